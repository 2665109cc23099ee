//! The stand-in for the archiving connector, as a process of its own.

use super::instances::Instance;
use crate::process::{self, Process};
use anyhow::{Context, bail};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);

/// What is not on its command line, the environment says.
pub fn archiver(endpoint_url: String, flags: &'static [&'static str], logs: &Path) -> Instance {
    Instance::new("archive", logs, move || {
        let mut command = process::own("archive")?;
        command.args(["--dead-letter-topic", "dlq"]).args(flags);
        command.env("S3_ENDPOINT_URL", &endpoint_url);
        Ok(command)
    })
}

/// Ends it, and archives what is left.
pub async fn complete(archiver: &mut Instance) -> anyhow::Result<()> {
    if let Some(mut process) = archiver.running.take() {
        process.signal(Signal::TERM);
        process.wait(PATIENCE).await?.context("the archiver does not end by SIGTERM")?;
    }
    let mut command = (archiver.command)()?;
    command.arg("--until-caught-up");
    let mut process = Process::spawn(&archiver.name, command, &archiver.logs)?;
    match process.wait(PATIENCE).await? {
        Some(status) if status.success() => Ok(()),
        _ => bail!("the archiver does not catch up: {}", process.last_words()),
    }
}
