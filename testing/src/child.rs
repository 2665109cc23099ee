//! [`Child`]: a program under test, with what it says.

use crate::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;

/// Servers of others take their time to start.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// The binary under test as a process of its own. It is killed when the value is dropped.
pub struct Child {
    process: std::process::Child,
    name: String,
    stdout: Lines,
    stderr: Lines,
    readers: Vec<JoinHandle<()>>,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Child {
    /// Starts `command` without standard input; both outputs are captured by line.
    ///
    /// ```text
    /// let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_speed-layer"));
    /// command.env("DATABASE_URL", database.url()).args(["--topic", topic.name()]);
    /// let mut speed_layer = Child::spawn(command);
    /// ```
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        let (stdout, reads_stdout) = capture(process.stdout.take().expect("stdout is piped"));
        let (stderr, reads_stderr) = capture(process.stderr.take().expect("stderr is piped"));
        Self { process, name, stdout, stderr, readers: vec![reads_stdout, reads_stderr] }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lock().expect("the reader has not panicked").clone()
    }

    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().expect("the reader has not panicked").clone()
    }

    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    pub fn sigkill(&self) {
        self.signal(Signal::KILL);
    }

    /// Freezes the process: it keeps its connections and its membership, and does nothing.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// None while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("look at the child")
    }

    /// # Panics
    /// When it still runs after `timeout`; with what it last wrote to standard error.
    pub async fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = eventually(&what, timeout, || {
            let look = self
                .exit_status()
                .ok_or_else(|| format!("it runs; its last words: {:?}", self.last_words()));
            async move { look }
        })
        .await;
        // Its last words may still be in the pipe.
        self.readers.drain(..).for_each(|reader| reader.join().expect("the reader does not panic"));
        status
    }

    /// Waits until a line of standard error holds `text`, and gives that line.
    pub async fn wait_stderr(&self, text: &str, timeout: Duration) -> String {
        let what = format!("{text:?} from {}", self.name);
        eventually(&what, timeout, || async {
            self.stderr()
                .into_iter()
                .find(|line| line.contains(text))
                .ok_or_else(|| format!("{:?}", self.last_words()))
        })
        .await
    }

    /// Waits until it takes connections at this port of 127.0.0.1.
    pub async fn wait_listening(&self, port: u16) {
        let what = format!("{} to listen", self.name);
        eventually(&what, LISTENS_WITHIN, || async {
            let connected = TcpStream::connect(("127.0.0.1", port)).await;
            connected.map(drop).map_err(|error| format!("{error}; {:?}", self.last_words()))
        })
        .await;
    }

    fn last_words(&self) -> Vec<String> {
        let mut lines = self.stderr();
        lines.split_off(lines.len().saturating_sub(5))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal)
            .unwrap_or_else(|error| panic!("send {signal:?} to {}: {error}", self.name));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn capture(output: impl Read + Send + 'static) -> (Lines, JoinHandle<()>) {
    let lines = Lines::default();
    let into = Arc::clone(&lines);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            into.lock().expect("no reader panics").push(line);
        }
    });
    (lines, reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn(command)
    }

    #[tokio::test]
    async fn captures_both_outputs_and_the_exit_code() {
        let mut child = shell("echo out; echo err >&2; exit 3");
        let status = child.wait_exit(Duration::from_secs(5)).await;
        assert_eq!(status.code(), Some(3));
        child.wait_stderr("err", Duration::from_secs(5)).await;
        assert_eq!(child.stdout(), ["out"]);
    }

    #[tokio::test]
    async fn a_signal_reaches_the_process() {
        let mut child = shell("trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.02; done");
        child.wait_stderr("ready", Duration::from_secs(5)).await;
        child.sigterm();
        assert_eq!(child.wait_exit(Duration::from_secs(5)).await.code(), Some(7));
    }

    #[tokio::test]
    #[should_panic(expected = "working on it")]
    async fn a_process_that_does_not_end_is_shown_with_its_last_words() {
        let mut child = shell("echo working on it >&2; exec sleep 60");
        child.wait_stderr("working", Duration::from_secs(5)).await;
        child.wait_exit(Duration::from_millis(120)).await;
    }
}
