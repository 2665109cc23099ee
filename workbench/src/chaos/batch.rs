//! The batch layers: one every few seconds, as a scheduler would start them.

use super::findings::Findings;
use crate::process::{self, Process};
use common::Timestamp;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);
/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// More than one stretch of hours, with the slack of [`Batches::flags`].
const SHARED_HOURS: i64 = 60;

/// The start of the hour so many hours ago.
fn hour_before(hours: i64) -> String {
    let now = Timestamp::now().micros();
    Timestamp::from_micros(now - now.rem_euclid(Timestamp::HOUR) - hours * Timestamp::HOUR)
        .to_string()
}

/// How a batch layer is started, beside what the environment says.
pub struct Batches {
    pub database_url: String,
    pub endpoint_url: String,
    pub topic: String,
    pub flags: &'static [&'static str],
    pub logs: PathBuf,
    pub findings: Arc<Findings>,
}

impl Batches {
    /// Starts one after the other until `stop`; whatever becomes of the services around, none may
    /// end in a way that its manual does not know.
    pub async fn schedule(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            self.run().await?;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// One run to its end.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut process = self.start("batch-layer")?;
        finish(&mut process, &self.findings).await.map(drop)
    }

    /// Two runs at once.
    pub async fn run_twice(&self) -> anyhow::Result<()> {
        self.finish_both(self.start("batch-layer-one")?, self.start("batch-layer-other")?).await
    }

    async fn finish_both(&self, mut one: Process, mut other: Process) -> anyhow::Result<()> {
        let (one, other) =
            tokio::join!(finish(&mut one, &self.findings), finish(&mut other, &self.findings));
        one.and(other).map(drop)
    }

    /// A run that is killed after `time`; true where it was still at work.
    pub async fn run_and_kill(&self, time: Duration) -> anyhow::Result<bool> {
        let mut process = self.start("batch-layer-killed")?;
        let ended = process.wait(time).await?;
        process.kill().await?;
        Ok(ended.is_none())
    }

    /// Three runs that share a window, of which one is killed after `time`; true where it was still
    /// at work. The others end.
    pub async fn share(&self, time: Duration) -> anyhow::Result<bool> {
        let (from, to) = (hour_before(SHARED_HOURS), hour_before(0));
        let start = |name: &str| {
            let mut command = self.command()?;
            command.args(["--share", "--from", &from, "--to", &to]);
            Process::spawn(name, command, &self.logs)
        };
        let mut killed = start("batch-layer-sharing-killed")?;
        let (one, other) = (start("batch-layer-sharing-one")?, start("batch-layer-sharing-other")?);
        let ended = killed.wait(time).await?;
        killed.kill().await?;
        self.finish_both(one, other).await?;
        Ok(ended.is_none())
    }

    /// One with nothing in its way: the lock of one that was killed is taken over once it has aged.
    pub async fn run_well(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let mut process = self.start("batch-layer-last")?;
            let Some(status) = finish(&mut process, &self.findings).await? else { return Ok(()) };
            let said = process.last_words();
            if !status.success() {
                self.findings
                    .add(format!("batch-layer failed ({status}) though nothing was in its way"));
            } else if said.ends_with(": nothing to do") && begun.elapsed() < PATIENCE {
                tokio::time::sleep(EVERY).await;
                continue;
            } else if said.ends_with(": nothing to do") {
                self.findings
                    .add(format!("batch-layer found the lock held for {PATIENCE:?}: {said}"));
            }
            return Ok(());
        }
    }

    fn start(&self, name: &str) -> anyhow::Result<Process> {
        Process::spawn(name, self.command()?, &self.logs)
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = process::command("batch-layer")?;
        command
            .env("DATABASE_URL", &self.database_url)
            .env("S3_ENDPOINT_URL", &self.endpoint_url)
            .env("S3_PREFIX", format!("raw/{}/%Y-%m-%d-%H/", self.topic))
            .args(self.flags);
        Ok(command)
    }
}

/// Waits for the end. 0, 3 and 4 are what the manual promises while services come and go.
pub async fn finish(
    process: &mut Process,
    findings: &Findings,
) -> anyhow::Result<Option<ExitStatus>> {
    let ended = process.wait(PATIENCE).await?;
    match ended {
        Some(status) if matches!(status.code(), Some(0 | 3 | 4)) => {}
        Some(status) => findings.add(process.ending(format_args!("with {status}"))),
        None => {
            findings.add(format!(
                "{} was at work for {PATIENCE:?}: {}",
                process.name(),
                process.last_words()
            ));
            process.kill().await?;
        }
    }
    Ok(ended)
}
