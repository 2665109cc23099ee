//! Binaries of this project as child processes.

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fmt, fs};

/// A binary that stands beside this one; `cargo xtask` builds both.
///
/// # Errors
/// Where it is not built.
pub fn command(name: &str) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("find this binary")?;
    let path = own.with_file_name(name);
    ensure!(path.is_file(), "{} is not built; start this by `cargo xtask`", path.display());
    Ok(Command::new(path))
}

/// A command of this binary itself.
///
/// # Errors
/// Where the system does not say which it is.
pub fn own(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this binary")?);
    command.arg(name);
    Ok(command)
}

/// A number that the system shows of a process, of sizes in kB.
///
/// # Errors
/// A process that has ended.
pub fn status(id: u32, name: &str) -> anyhow::Result<f64> {
    let file = format!("/proc/{id}/status");
    let text = fs::read_to_string(&file).context("the measured process has ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).with_context(|| format!("{name} in {file}"))
}

/// A running process; killed when it is dropped. What it prints goes to the end of a file.
pub struct Process {
    child: tokio::process::Child,
    pid: Pid,
    name: String,
    log: PathBuf,
}

impl Process {
    /// The log is `folder/name.log`.
    ///
    /// # Errors
    /// Where it cannot be started, or the log not be written.
    pub fn spawn(name: &str, command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("write {}", log.display()))?;
        let program = command.get_program().display().to_string();
        let child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .context("a process has a number")?;
        Ok(Self { child, pid, name: name.to_owned(), log })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Only this process's own child is meant: its number cannot be another's before it was waited
    /// for.
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself, which whoever waits for it will see.
        let _ = kill_process(self.pid, signal);
    }

    /// None while it runs.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look at {}", self.name))
    }

    /// None where it still runs after `patience`.
    ///
    /// # Errors
    /// Where the system does not say.
    pub async fn wait(&mut self, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => Ok(Some(status.with_context(|| format!("wait for {}", self.name))?)),
            Err(_) => Ok(None),
        }
    }

    /// kill -9, and the end of it.
    ///
    /// # Errors
    /// Where the system does not let it be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("kill {}", self.name))
    }

    /// For whoever finds that it has ended otherwise than it should.
    pub fn ending(&self, how: fmt::Arguments<'_>) -> String {
        format!("{} ended {how}: {}", self.name, self.last_words())
    }

    /// The last line that it printed.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next_back().unwrap_or("it said nothing").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_process_prints_is_kept_from_start_to_start() {
        let folder = tempfile::tempdir().unwrap();
        for word in ["one", "two"] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo {word} >&2")]);
            let mut process = Process::spawn("talker", command, folder.path()).unwrap();
            assert!(process.wait(Duration::from_secs(60)).await.unwrap().unwrap().success());
            assert_eq!(process.last_words(), word);
        }
        assert_eq!(fs::read_to_string(folder.path().join("talker.log")).unwrap(), "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_frozen_process_can_be_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut process = Process::spawn("sleeper", command, folder.path()).unwrap();
        process.signal(Signal::STOP);
        assert_eq!(process.wait(Duration::from_millis(50)).await.unwrap(), None);
        process.kill().await.unwrap();
        assert!(process.ended().unwrap().is_some());
    }
}
