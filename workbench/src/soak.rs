//! A long time at a steady rate: whether memory, handles, connections, lag or latency grow.

mod growth;
mod plot;
mod probe;
mod sample;

use crate::chaos::archiver::{archiver, complete};
use crate::chaos::batch::Batches;
use crate::chaos::findings::Findings;
use crate::chaos::instances::{Instance, Setup};
use crate::process::{self, Process};
use crate::prove::{self, ProveArgs, Verdict};
use anyhow::{Context, bail, ensure};
use clap::Args;
use growth::{Growth, growths};
use probe::Latencies;
use rustix::process::Signal;
use sample::{Sample, look_at_database, look_at_process};
use serde::Serialize;
use sqlx::PgConnection;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

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
pub struct SoakReport {
    soak: &'static str,
    minutes: f64,
    rate: u32,
    written: i64,
    growths: Vec<Growth>,
    /// Programs that ended by themselves, or badly.
    findings: Vec<String>,
    pub proof: Verdict,
}

impl SoakReport {
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
        let found = self.findings.iter().map(|finding| format!("FOUND  {finding}\n"));
        format!("{head}{lines}\n{}{}", self.proof.text(), found.collect::<String>())
    }
}

/// # Errors
/// A program that ends, services that do not answer, or too short a time.
pub async fn run(args: &SoakArgs, shutdown: &CancellationToken) -> anyhow::Result<SoakReport> {
    fs::create_dir_all(&args.logs).with_context(|| format!("make {}", args.logs.display()))?;
    args.prove.database.parse("workbench")?.connect_ready().await?;
    let (mut soak, stop) = (Soak::start(args)?, shutdown.child_token());
    let batches = tokio::spawn(run_batches(Arc::clone(&soak.batches), stop.clone()));
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
    stop.cancel();
    soak.finish().await?;
    batches.await.context("the schedule of batch layers")??;
    soak.batches.run_well().await?;
    let proof =
        prove::run(&ProveArgs { at_rest: true, grace: Duration::ZERO, ..args.prove.clone() })
            .await?;
    let growths = growths(&samples, args.rate.into());
    let findings = soak.findings.all();
    let is_ok = proof.is_ok() && growths.iter().all(Growth::is_ok) && findings.is_empty();
    let written = samples.last().map_or(0, |sample| sample.written);
    let soak = if is_ok { "ok" } else { "failed" };
    Ok(SoakReport {
        soak,
        minutes: args.minutes,
        rate: args.rate,
        written,
        growths,
        findings,
        proof,
    })
}

/// Everything that runs meanwhile.
struct Soak<'a> {
    args: &'a SoakArgs,
    speed_layer: Instance,
    archiver: Instance,
    simulator: Process,
    batches: Arc<Batches>,
    findings: Arc<Findings>,
}

impl<'a> Soak<'a> {
    fn start(args: &'a SoakArgs) -> anyhow::Result<Self> {
        let ProveArgs { kafka, database, store, group_id, .. } = &args.prove;
        let (logs, findings) = (args.logs.clone(), Arc::new(Findings::default()));
        let mut speed_layer = Instance::speed_layer(Setup {
            name: "speed-layer".to_owned(),
            database_url: database.url().to_owned(),
            kafka_brokers: kafka.brokers.clone(),
            topic: kafka.topic.clone(),
            group_id: group_id.clone(),
            properties: None,
            flags: Vec::new(),
            logs: logs.clone(),
        });
        speed_layer.start()?;
        let flags = &["--rotate", "10s", "--gzip"];
        let mut archiver = archiver(store.endpoint_url.clone(), flags, &logs);
        archiver.start()?;
        let mut simulate = process::own("simulate")?;
        simulate.args(["--rate", &args.rate.to_string(), "--symbols", "500", "--shape", "mixed"]);
        simulate.args(["--high-low", "--late", "0.001", "--broken", "0.0001"]);
        let simulator = Process::spawn("simulate", simulate, &logs)?;
        let batches = Arc::new(Batches {
            database_url: database.url().to_owned(),
            endpoint_url: store.endpoint_url.clone(),
            topic: kafka.topic.clone(),
            flags: &["--lookback", "12h", "--grace", "0s"],
            logs,
            findings: Arc::clone(&findings),
        });
        Ok(Self { args, speed_layer, archiver, simulator, batches, findings })
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
                    self.look_after()?;
                    let sample = self.sample(begun, &mut connection, &latencies).await?;
                    tracing::info!("{}", serde_json::to_string(&sample)?);
                    samples.push(sample);
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
        let (memory_mb, handles, threads) =
            look_at_process(self.speed_layer.id().context("the speed layer runs")?)?;
        let (connections, written) = look_at_database(connection).await?;
        let watermarks = self.args.prove.kafka.watermarks().await?;
        let end: i64 = watermarks.iter().map(|(_, high)| high).sum();
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

    /// None of the programs may end.
    fn look_after(&mut self) -> anyhow::Result<()> {
        self.speed_layer.look_after(&self.findings)?;
        self.archiver.look_after(&self.findings)?;
        let ended = self.simulator.ended()?;
        ensure!(ended.is_none(), "{}", self.simulator.ending(format_args!("by itself")));
        Ok(())
    }

    /// Ends the programs in the order of the data, so that everything is written and archived.
    async fn finish(&mut self) -> anyhow::Result<()> {
        self.simulator.signal(Signal::TERM);
        let ended = self.simulator.wait(PATIENCE).await?;
        let is_well = ended.is_some_and(|status| status.success());
        ensure!(is_well, "the simulator did not end well by SIGTERM");
        prove::await_caught_up(&self.args.prove).await?;
        self.speed_layer.stop(&self.findings).await?;
        complete(&mut self.archiver).await
    }
}

/// Now and then a batch layer.
async fn run_batches(batches: Arc<Batches>, stop: CancellationToken) -> anyhow::Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(BATCH_EVERY)).await.is_some() {
        batches.run_well().await?;
    }
    Ok(())
}
