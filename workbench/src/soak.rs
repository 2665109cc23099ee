//! A long time at a steady rate: whether memory, handles, connections, lag or latency grow.

mod growth;
mod plot;
mod probe;
mod sample;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use rustix::process::Signal;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::process::{self, Process};
use crate::prove::{self, ProveArgs, Verdict};
use growth::{Growth, growths};
use probe::Latencies;
use sample::{Sample, Usage, look_at_database};
use testing::kafka::watermarks;

#[derive(Args, Clone)]
pub struct SoakArgs {
    #[command(flatten)]
    prove: ProveArgs,
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Messages a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Folder for logs, `soak.json` and `soak.svg`.
    #[arg(long, default_value = ".")]
    logs: PathBuf,
}

const SAMPLE_EVERY: Duration = Duration::from_secs(10);
const BATCH_EVERY: Duration = Duration::from_secs(300);
/// Growth is told from quarters of the time.
const LEAST_SAMPLES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);

/// What was measured and found. Serialized without the samples, it is the last line.
#[derive(Serialize)]
pub struct Report {
    soak: &'static str,
    minutes: f64,
    rate: u32,
    written: i64,
    growths: Vec<Growth>,
    pub proof: Verdict,
}

impl Report {
    pub fn is_ok(&self) -> bool {
        self.soak == "ok"
    }

    pub fn text(&self) -> String {
        let line = |Growth { what, early, late, allowed }: &Growth| {
            format!("{what:<14} {early:>12.1} {late:>12.1} {allowed:>12.1}\n")
        };
        let lines: String = self.growths.iter().map(line).collect();
        let head = format!(
            "{:<14} {:>12} {:>12} {:>12}\n",
            "median of", "2nd quarter", "last quarter", "allowed"
        );
        format!("{head}{lines}\n{}", self.proof.text())
    }
}

/// # Errors
/// A program that ends, services that do not answer, or too short a time.
pub async fn run(args: &SoakArgs, shutdown: &CancellationToken) -> anyhow::Result<Report> {
    fs::create_dir_all(&args.logs).with_context(|| format!("make {}", args.logs.display()))?;
    args.prove.database.parse("workbench")?.connect_ready().await?;
    let mut soak = Soak::start(args)?;
    let samples = tokio::select! {
        samples = soak.sample_all() => samples?,
        () = shutdown.cancelled() => bail!("stopped before the end"),
    };
    let file = args.logs.join("soak.json");
    fs::write(&file, serde_json::to_string(&samples)?)
        .with_context(|| format!("write {}", file.display()))?;
    plot::draw(&samples, &args.logs.join("soak.svg"))?;
    ensure!(
        samples.len() >= LEAST_SAMPLES,
        "{} samples are too few: give --minutes more",
        samples.len()
    );
    soak.finish().await?;
    let proof =
        prove::run(&ProveArgs { at_rest: true, grace: Duration::ZERO, ..args.prove.clone() })
            .await?;
    let growths = growths(&samples, args.rate.into());
    let is_ok = proof.is_ok() && growths.iter().all(Growth::is_ok);
    let written = samples.last().map_or(0, |sample| sample.written);
    let soak = if is_ok { "ok" } else { "failed" };
    Ok(Report { soak, minutes: args.minutes, rate: args.rate, written, growths, proof })
}

/// Everything that runs meanwhile.
struct Soak<'a> {
    args: &'a SoakArgs,
    speed_layer: Process,
    archiver: Process,
    simulator: Process,
    batch: Option<Process>,
    next_batch: Instant,
}

impl<'a> Soak<'a> {
    fn start(args: &'a SoakArgs) -> anyhow::Result<Self> {
        let mut speed_layer = process::command("speed-layer")?;
        speed_layer.env("HTTP_ADDR", "127.0.0.1:0");
        let mut archive = own_command("archive")?;
        archive.args(["--rotate", "10s", "--gzip", "--dead-letter-topic", "dlq"]);
        let mut simulate = own_command("simulate")?;
        simulate.args([
            "--rate",
            &args.rate.to_string(),
            "--symbols",
            "500",
            "--shape",
            "mixed",
            "--high-low",
        ]);
        simulate.args(["--late", "0.001", "--broken", "0.0001"]);
        Ok(Self {
            args,
            speed_layer: Process::spawn("speed-layer", speed_layer, &args.logs)?,
            archiver: Process::spawn("archive", archive, &args.logs)?,
            simulator: Process::spawn("simulate", simulate, &args.logs)?,
            batch: None,
            next_batch: Instant::now() + BATCH_EVERY,
        })
    }

    /// A look every few seconds until the time is over.
    async fn sample_all(&mut self) -> anyhow::Result<Vec<Sample>> {
        let database = self.args.prove.database.parse("workbench")?;
        let (mut connection, latencies) = (database.connect().await?, Latencies::default());
        let probing =
            probe::run(&self.args.prove.kafka, database.connect().await?, latencies.clone());
        tokio::pin!(probing);
        let (begun, length) = (Instant::now(), Duration::from_secs_f64(self.args.minutes * 60.0));
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        let mut samples = Vec::new();
        while begun.elapsed() < length {
            tokio::select! {
                ended = &mut probing => ended?,
                _ = ticks.tick() => {
                    let sample = self.sample(begun, &mut connection, &latencies).await?;
                    tracing::info!("{}", serde_json::to_string(&sample)?);
                    samples.push(sample);
                    self.look_after()?;
                }
            }
        }
        Ok(samples)
    }

    async fn sample(
        &self,
        begun: Instant,
        connection: &mut PgConnection,
        latencies: &Latencies,
    ) -> anyhow::Result<Sample> {
        let Usage { memory_mb, handles, threads } = Usage::of(self.speed_layer.id())?;
        let (connections, written) = look_at_database(connection).await?;
        let kafka = self.args.prove.kafka.clone();
        let asking =
            tokio::task::spawn_blocking(move || watermarks(&kafka.inquirer()?, &kafka.topic));
        let end: i64 = asking.await.context("ask Kafka")??.iter().map(|(_, high)| high).sum();
        let (p50_ms, p99_ms) = latencies.take();
        let (seconds, lag) = (begun.elapsed().as_secs_f64(), end - written);
        Ok(Sample {
            seconds,
            memory_mb,
            handles,
            threads,
            connections,
            lag,
            written,
            p50_ms,
            p99_ms,
        })
    }

    /// None of the programs may end, and a batch layer runs now and then.
    fn look_after(&mut self) -> anyhow::Result<()> {
        for process in [&mut self.speed_layer, &mut self.archiver, &mut self.simulator] {
            if let Some(status) = process.ended()? {
                bail!("{} ended by itself ({status}): {}", process.name(), process.last_words());
            }
        }
        if let Some(batch) = &mut self.batch {
            let Some(status) = batch.ended()? else { return Ok(()) };
            ensure!(status.success(), "batch-layer failed ({status}): {}", batch.last_words());
            self.batch = None;
        }
        if Instant::now() >= self.next_batch {
            self.next_batch += BATCH_EVERY;
            self.batch = Some(Process::spawn("batch-layer", batch_layer()?, &self.args.logs)?);
        }
        Ok(())
    }

    /// Ends the programs in the order of the data, so that everything is written and archived.
    async fn finish(mut self) -> anyhow::Result<()> {
        end(&mut self.simulator).await?;
        prove::await_caught_up(&self.args.prove).await?;
        end(&mut self.speed_layer).await?;
        end(&mut self.archiver).await?;
        if let Some(batch) = &mut self.batch {
            batch.wait(PATIENCE).await?;
        }
        let mut archive = own_command("archive")?;
        archive.args(["--until-caught-up", "--gzip", "--dead-letter-topic", "dlq"]);
        for (name, command) in [("archive", archive), ("batch-layer", batch_layer()?)] {
            run_well(name, command, &self.args.logs).await?;
        }
        Ok(())
    }
}

async fn end(process: &mut Process) -> anyhow::Result<()> {
    process.signal(Signal::TERM);
    let status = process.wait(PATIENCE).await?;
    ensure!(
        status.is_some_and(|status| status.success()),
        "{} did not end well by SIGTERM",
        process.name()
    );
    Ok(())
}

async fn run_well(name: &str, command: Command, logs: &Path) -> anyhow::Result<()> {
    let mut process = Process::spawn(name, command, logs)?;
    let status = process.wait(PATIENCE).await?;
    ensure!(
        status.is_some_and(|status| status.success()),
        "{name} failed: {}",
        process.last_words()
    );
    Ok(())
}

/// A command of this binary itself.
fn own_command(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this binary")?);
    command.arg(name);
    Ok(command)
}

fn batch_layer() -> anyhow::Result<Command> {
    let mut command = process::command("batch-layer")?;
    command.args(["--lookback", "12h", "--grace", "0s"]);
    Ok(command)
}
