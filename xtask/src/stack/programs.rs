//! Programs that use a stack and end with it: each leads a process group of its own and has a pid
//! file and a log.

use super::settings::Stack;
use crate::process::Process;
use crate::{files, interrupt};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The binaries promise to end within 10 s of SIGTERM. Where they run in containers, the engine
/// then takes what was a container away, which takes it longer on a busy machine.
const STOP_WITHIN: Duration = Duration::from_secs(40);

pub struct Program {
    name: String,
    child: Child,
    process: Option<Process>,
    log: PathBuf,
}

/// A program that has ended.
pub struct Captured {
    pub status: ExitStatus,
    /// Its standard output.
    pub output: String,
    name: String,
    log: PathBuf,
}

impl Stack {
    /// Starts `command` in the background with the stack's environment; what it prints goes into a
    /// log named after it.
    pub fn start_program(&self, name: &str, mut command: Command) -> Result<Program> {
        let log = self.open_log(name)?;
        command.stderr(log.try_clone()?).stdout(log);
        self.spawn(name, command)
    }

    /// Runs `command` to its end with the stack's environment; it prints wherever the caller said.
    pub fn run_program(&self, name: &str, command: Command) -> Result<ExitStatus> {
        self.spawn(name, command)?.wait()
    }

    /// Runs `command` to its end with the stack's environment. Standard output is returned, the
    /// rest goes into its log.
    pub fn capture_program(&self, name: &str, mut command: Command) -> Result<Captured> {
        command.stderr(self.open_log(name)?).stdout(Stdio::piped());
        let mut program = self.spawn(name, command)?;
        let mut output = program.child.stdout.take();
        // Reads beside the wait, so that a full pipe blocks neither the program nor an interrupt.
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.as_mut().map_or(Ok(0), |output| output.read_to_end(&mut bytes));
            read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
        });
        let log = program.log.clone();
        let status = program.wait()?;
        let text = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Captured {
            status,
            name: name.to_owned(),
            log,
            output: text.with_context(|| format!("cannot read from {name}"))?,
        })
    }

    fn open_log(&self, name: &str) -> Result<fs::File> {
        files::open_log(&self.program_log(name))
    }

    fn program_log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    fn spawn(&self, name: &str, mut command: Command) -> Result<Program> {
        let child = command
            .envs(self.environment()?)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let process = Process::find(child.id());
        if let Some(process) = process {
            self.started.add(name, process, Signal::TERM);
            files::create_dir(&self.programs())?;
            process.write(&self.programs().join(format!("{name}.pid")))?;
        }
        Ok(Program { name: name.to_owned(), child, process, log: self.program_log(name) })
    }

    fn programs(&self) -> PathBuf {
        self.dir.join("programs")
    }

    /// Stops every program that uses the stack.
    pub fn stop_programs(&self) -> Result<()> {
        for entry in fs::read_dir(self.programs()).into_iter().flatten().flatten() {
            if let Some(process) = Process::read(&entry.path()) {
                process.stop(Signal::TERM, STOP_WITHIN)?;
            }
        }
        files::remove_dir(&self.programs())
    }
}

impl Program {
    /// Waits for the end. An interrupt stops the program and is an error.
    pub fn wait(mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if let Err(interrupted) = interrupt::check() {
                self.stop()?;
                return Err(interrupted);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// None while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// An error, with the end of its log, when the program is not running any more.
    pub fn check(&mut self) -> Result<()> {
        match self.status()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}); {}", self.name, self.log_tail()),
        }
    }

    /// The end of its log, for an error message.
    pub fn log_tail(&self) -> String {
        files::tail(&self.log)
    }

    /// SIGTERM, SIGKILL when that does not help, and the status with which it ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(process) = &self.process {
            process.stop(Signal::TERM, STOP_WITHIN)?;
        }
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))
    }
}

impl Captured {
    /// Its output where it ended well.
    ///
    /// # Errors
    /// Where it did not, with the end of its log.
    pub fn well(self) -> Result<String> {
        let Self { status, output, name, log } = self;
        ensure!(status.success(), "{name} failed ({status}); {}", files::tail(&log));
        Ok(output)
    }
}
