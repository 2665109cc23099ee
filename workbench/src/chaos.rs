//! Faults of every kind while the pipeline works, and the proof that nothing was lost, doubled or
//! changed by them.

pub(crate) mod archiver;
pub(crate) mod batch;
mod database;
mod delivery_counts;
mod environment;
mod fault;
pub(crate) mod findings;
mod inject;
mod instance_settings;
pub(crate) mod instances;
mod lake_scenario;
mod link;
mod live;
mod load;
mod plan;
mod report;
mod services;
mod side_topics;
mod silence;

use crate::prove::{self, ProveArgs};
use anyhow::Context;
use clap::{Args, ValueEnum};
use environment::{Environment, Scenario};
use fault::Fault;
use instance_settings::InstanceSettings;
use live::Board;
use load::Amount;
use plan::{Planned, Terms, plan};
pub use report::ChaosReport;
use report::Happened;
use service::cli::duration;
use services::StackArgs;
use side_topics::SideTopics;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

#[derive(Args, Clone)]
pub struct ChaosArgs {
    #[command(flatten)]
    prove: ProveArgs,
    #[command(flatten)]
    stack: StackArgs,
    /// Decides the faults, their moments and the messages. Default: another one every time; it is
    /// printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Mean time from one fault to the next.
    #[arg(long, value_parser = duration, default_value = "4s")]
    every: Duration,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Messages a second, between bursts of eight times as many.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// Messages of the three hours before.
    #[arg(long, default_value_t = 20_000)]
    backlog: u64,
    /// Shows the pipeline live instead of a line a fault, until the time is over or Ctrl-C.
    #[arg(long)]
    live: bool,
    /// Folder for the programs' logs and for `chaos.json`, the whole report.
    #[arg(long, default_value = ".")]
    logs: PathBuf,
}

/// How often programs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs the load and the faults for their time, lets everything come to rest, and proves. None
/// where it was only shown and somebody has seen enough.
///
/// # Errors
/// Something that cannot be started or read. What is wrong with the data is no error: it is
/// in the report.
pub async fn run(
    args: &ChaosArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<ChaosReport>> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let length = Duration::from_secs_f64(args.minutes.max(0.0) * 60.0);
    let faults = if args.faults.is_empty() { Fault::value_variants() } else { &args.faults };
    let planned = plan(&Terms { seed, length, every: args.every, faults });
    let settings = InstanceSettings::of(seed);
    println!("seed {seed}: {} faults in {:.0} s; {settings}", planned.len(), length.as_secs_f64());
    std::fs::create_dir_all(&args.logs).with_context(|| format!("make {}", args.logs.display()))?;
    // Some faults need the tables.
    args.prove.database.parse("workbench")?.connect_ready().await?;
    let has_lake = planned.iter().any(|planned| planned.fault == Fault::CompactKill);
    let beside: Vec<Fault> =
        planned.iter().map(|planned| planned.fault).filter(|fault| fault.is_beside()).collect();
    let beside = match beside.is_empty() {
        true => None,
        false => Some(SideTopics::set_up(&args.prove, &beside, &settings, &args.logs).await?),
    };
    let scenario = Scenario { settings: &settings, beside, has_lake };
    let environment =
        Arc::new(Environment::set_up(&args.prove, &args.stack, &args.logs, scenario).await?);
    let work = BackgroundLoad::begin(args, seed, &environment, shutdown).await;
    let watching = shutdown.child_token();
    let watch = tokio::spawn(silence::watch(
        Arc::clone(&environment),
        args.prove.clone(),
        watching.clone(),
    ));
    let board = Board::new(args.live);
    let begun = Instant::now();
    let happened = tokio::select! {
        happened = break_things(&environment, planned, length, &board) => happened?,
        () = live::show(&args.prove, &board, shutdown), if args.live => return Ok(None),
        () = shutdown.cancelled(), if !args.live => anyhow::bail!("stopped before the end"),
    };
    let acknowledged = work.end().await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("no more faults; waiting until everything is written and archived");
    let settled = Instant::now();
    prove::await_caught_up(&args.prove).await?;
    let caught_up_seconds = settled.elapsed().as_secs_f64();
    watching.cancel();
    watch.await.context("the watch over the partitions")?;
    environment.come_to_rest().await?;
    environment.look_for_strangers().await;
    println!("comparing topics, tables and archive");
    let beside = environment.prove_beside().await?;
    let verdict =
        prove::run(&ProveArgs { at_rest: true, grace: Duration::ZERO, ..args.prove.clone() })
            .await?;
    let report = ChaosReport {
        seed,
        replay: args.replay(seed),
        manner: settings,
        seconds,
        faults: happened,
        acknowledged,
        fenced: environment.fences().await,
        caught_up_seconds,
        findings: environment.findings.all(),
        silent: environment.findings.silent(),
        beside,
        verdict,
    };
    let file = args.logs.join("chaos.json");
    std::fs::write(&file, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("write {}", file.display()))?;
    Ok(Some(report))
}

impl ChaosArgs {
    /// The command line that does it all again.
    fn replay(&self, seed: u64) -> String {
        let Self { minutes, every, rate, faults, .. } = self;
        let mut line = format!(
            "cargo xtask chaos --seed {seed} --minutes {minutes} --every {}ms --rate {rate}",
            every.as_millis()
        );
        if !faults.is_empty() {
            line.push_str(" --faults ");
            line.push_str(&faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(","));
        }
        line
    }
}

/// What goes on beside the faults: producers, and batch layers and `compact` on their schedules.
struct BackgroundLoad {
    stop: CancellationToken,
    load: JoinHandle<anyhow::Result<u64>>,
    batches: JoinHandle<anyhow::Result<()>>,
    lake: JoinHandle<anyhow::Result<()>>,
}

impl BackgroundLoad {
    async fn begin(
        args: &ChaosArgs,
        seed: u64,
        environment: &Arc<Environment>,
        shutdown: &CancellationToken,
    ) -> Self {
        let stop = shutdown.child_token();
        let (kafka, stop_load) = (args.prove.kafka.clone(), stop.clone());
        let skew = Arc::clone(&*environment.producers.lock().await);
        let amount = Amount { seed, rate: args.rate, backlog: args.backlog };
        let load =
            tokio::task::spawn_blocking(move || load::run(&kafka, amount, &skew, &stop_load));
        let batches = tokio::spawn(Arc::clone(&environment.batches).schedule(stop.clone()));
        let (environment, stop_lake) = (Arc::clone(environment), stop.clone());
        let lake = tokio::spawn(async move {
            match &environment.lake_scenario {
                Some(lake_scenario) => lake_scenario::schedule(lake_scenario, stop_lake).await,
                None => Ok(()),
            }
        });
        Self { stop, load, batches, lake }
    }

    /// The number of messages that the brokers have acknowledged.
    async fn end(self) -> anyhow::Result<u64> {
        self.stop.cancel();
        let acknowledged = self.load.await.context("the sending thread")??;
        self.batches.await.context("the schedule of batch layers")??;
        self.lake.await.context("the schedule of the lake")??;
        Ok(acknowledged)
    }
}

/// Lets each fault happen in its time, and returns when the time and all of them are over.
async fn break_things(
    environment: &Arc<Environment>,
    planned: Vec<Planned>,
    length: Duration,
    board: &Board,
) -> anyhow::Result<Vec<Happened>> {
    let begun = Instant::now();
    let mut happening = JoinSet::new();
    let mut happened = Vec::new();
    let total = planned.len();
    let mut planned = planned.into_iter().peekable();
    while begun.elapsed() < length || !happening.is_empty() {
        while let Some(planned) = planned.next_if(|planned| planned.at <= begun.elapsed()) {
            let environment = Arc::clone(environment);
            happening.spawn(async move {
                let what = inject::inject(&environment, &planned).await;
                what.with_context(|| planned.fault.name()).map(|what| (planned, what))
            });
        }
        match tokio::time::timeout(LOOK_EVERY, happening.join_next()).await {
            Ok(Some(ended)) => {
                let (planned, what) = ended.context("a fault")??;
                board.say(format!(
                    "{:>7.1} s  {:<20} {what}",
                    planned.at.as_secs_f64(),
                    planned.fault.name()
                ));
                happened.push(Happened { planned, over: begun.elapsed(), what });
            }
            Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
            Err(_) => {}
        }
        environment.look_after()?;
    }
    anyhow::ensure!(happened.len() == total, "{} of {total} faults have happened", happened.len());
    Ok(happened)
}
