//! Processes that outlive this one, known by a pid file that cannot be mistaken for a stranger's.

use crate::interrupt;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

/// A process, told apart from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: Pid,
    /// Clock ticks since boot, from /proc/PID/stat.
    started: u64,
}

impl Process {
    /// The running process with this number; None where there is none, or only a zombie.
    pub fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid: to_pid(pid)?, started: start_time(&stat)? })
    }

    pub fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub fn is_running(&self) -> bool {
        let number = self.number().unsigned_abs();
        Self::find(number) == Some(*self)
    }

    /// Reads a pid file; None where there is no such file or the process that it names has ended.
    pub fn read(file: &Path) -> Option<Self> {
        let process = parse(&fs::read_to_string(file).ok()?)?;
        process.is_running().then_some(process)
    }

    /// Writes the pid file by a rename, so that a reader sees all of it or nothing.
    pub fn write(&self, file: &Path) -> Result<()> {
        let partial = file.with_extension("pid.partial");
        fs::write(&partial, format!("{} {}\n", self.number(), self.started))
            .and_then(|()| fs::rename(&partial, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Sends `polite` to the process group that this process leads, waits up to `patience` for the
    /// leader to end, and kills what is left of the group.
    pub fn stop(&self, polite: Signal, patience: Duration) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        // Errors mean that nobody is left to be signalled, which is what is wanted.
        let _ = kill_process_group(self.pid, polite);
        let ended = self.ends_within(patience);
        let _ = kill_process_group(self.pid, Signal::KILL);
        if !ended && !self.ends_within(Duration::from_secs(5)) {
            bail!("process {} does not end, even by SIGKILL", self.number());
        }
        Ok(())
    }

    /// Waits without regard to interrupts: it is part of taking things down.
    fn ends_within(&self, timeout: Duration) -> bool {
        interrupt::wait(timeout, || !self.is_running())
    }
}

fn parse(text: &str) -> Option<Process> {
    let (pid, started) = text.trim().split_once(' ')?;
    Some(Process { pid: to_pid(pid.parse().ok()?)?, started: started.parse().ok()? })
}

fn to_pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// Field 22 of /proc/PID/stat. The command's name (field 2) may hold spaces and brackets, so
/// counting starts after the last bracket.
fn start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// What a command prints that must end well; otherwise what it complained about.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {name}"))?;
    let [said, complaint] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    if !output.status.success() {
        bail!("{name} failed: {} {}", complaint.trim(), said.trim());
    }
    Ok(said.trim().to_owned())
}

/// 1 for a process that a signal ended.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        None => ExitCode::FAILURE,
    }
}

/// A command that runs in a session of its own, so that neither Ctrl-C nor a closed terminal
/// reaches it.
pub fn detached(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program.as_ref());
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_pid_file_with_another_start_time_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sleep.pid");
        let mut child = sleeper();
        let process = Process::find(child.id()).unwrap();
        process.write(&file).unwrap();
        assert_eq!(Process::read(&file), Some(process));

        let stranger = Process { started: process.started + 1, ..process };
        stranger.write(&file).unwrap();
        assert_eq!(Process::read(&file), None);
        stranger.stop(Signal::KILL, Duration::ZERO).unwrap();
        assert!(process.is_running(), "a stranger was killed");

        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_zombie_counts_as_ended() {
        let mut child = sleeper();
        let process = Process::find(child.id()).unwrap();
        process.stop(Signal::TERM, Duration::from_secs(5)).unwrap();
        assert!(!process.is_running());
        child.wait().unwrap();
    }

    #[test]
    fn what_a_leader_started_ends_with_it_even_when_it_ignores_the_polite_signal() {
        let dir = tempfile::tempdir().unwrap();
        let number = dir.path().join("number");
        let script = format!(
            "sh -c 'trap \"\" TERM; echo $$ > {0}.new; mv {0}.new {0}; sleep 60' & wait",
            number.display()
        );
        let mut leader = Command::new("sh").args(["-c", &script]).process_group(0).spawn().unwrap();
        assert!(interrupt::wait(Duration::from_secs(10), || number.exists()));
        let pid = fs::read_to_string(&number).unwrap().trim().parse().unwrap();
        let stubborn = Process::find(pid).unwrap();

        Process::find(leader.id()).unwrap().stop(Signal::TERM, Duration::from_secs(10)).unwrap();
        leader.wait().unwrap();
        assert!(stubborn.ends_within(Duration::from_secs(5)), "it outlived its leader");
    }

    #[test]
    fn start_time_is_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(start_time(stat), Some(4711));
    }

    #[test]
    fn a_pid_file_that_is_broken_names_nobody() {
        for text in ["", "12", "0 5", "-3 5", "x 5", "12 x"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
