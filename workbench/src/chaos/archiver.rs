//! The stand-in for the archiving connector, as a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::process::{self, Process};

const PATIENCE: Duration = Duration::from_secs(180);

pub struct Archiver {
    endpoint_url: String,
    flags: &'static [&'static str],
    logs: PathBuf,
    running: Option<Process>,
}

impl Archiver {
    pub fn new(endpoint_url: String, flags: &'static [&'static str], logs: PathBuf) -> Self {
        Self { endpoint_url, flags, logs, running: None }
    }

    /// What is not on the command line, the environment says.
    fn command(&self) -> anyhow::Result<Command> {
        let mut command = process::own("archive")?;
        command.args(["--dead-letter-topic", "dlq"]).args(self.flags);
        command.env("S3_ENDPOINT_URL", &self.endpoint_url);
        Ok(command)
    }

    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.running.is_none() {
            self.running = Some(Process::spawn("archive", self.command()?, &self.logs)?);
        }
        Ok(())
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Where it has given up, it is started again; says so then.
    pub fn look_after(&mut self) -> anyhow::Result<Option<String>> {
        let Some(process) = &mut self.running else { return Ok(None) };
        let Some(status) = process.ended()? else { return Ok(None) };
        let ending = process.ending(format_args!("by itself ({status})"));
        self.running = None;
        self.start()?;
        Ok(Some(ending))
    }

    /// Ends it, and archives what is left.
    pub async fn complete(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.running.take() {
            process.signal(Signal::TERM);
            process.wait(PATIENCE).await?.context("the archiver does not end by SIGTERM")?;
        }
        let mut command = self.command()?;
        command.arg("--until-caught-up");
        let mut process = Process::spawn("archive", command, &self.logs)?;
        match process.wait(PATIENCE).await? {
            Some(status) if status.success() => Ok(()),
            _ => bail!("the archiver does not catch up: {}", process.last_words()),
        }
    }
}
