//! The command line.

use crate::archive::{self, ArchiveArgs};
use crate::bench::Bench;
use crate::chaos::{self, ChaosArgs};
use crate::dashboards::{self, DashboardsArgs};
use crate::prove::{self, ProveArgs};
use crate::report::{self, ReportArgs};
use crate::simulate::{self, SimulateArgs};
use crate::soak::{self, SoakArgs};
use clap::{Parser, Subcommand};
use serde::Serialize;
use service::telemetry::{self, LogArgs};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Developers' equipment around the pipeline.
///
/// The commands meet the pipeline where it meets the world: Kafka, the S3 store and PostgreSQL.
/// `cargo xtask` runs them with the addresses of the local stack. Results go to standard output,
/// one JSON object at the end; progress and trouble to standard error. Exit codes: 0 done, 1
/// failed, 2 wrong arguments.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Sends a simulated market: random walks, volumes shaped over the exchange day, late and
    /// broken messages on demand.
    Simulate(SimulateArgs),
    /// Measures; the last line is JSON.
    #[command(subcommand)]
    Bench(Bench),
    /// Archives the topic as the Kafka Connect S3 sink does: same keys, same lines.
    Archive(ArchiveArgs),
    /// Shows ticks, latest closes, hourly summaries and rejected messages.
    Report(ReportArgs),
    /// Asks what Grafana's dashboards ask; 0 where every query finds something, otherwise 1.
    Dashboards(DashboardsArgs),
    /// Proves that topic, tables and archive hold the same records and that both layers' numbers
    /// agree; 0 or 1.
    Prove(ProveArgs),
    /// Breaks the pipeline and its services in every way, and proves that nothing was lost, doubled
    /// or changed; 0 or 1.
    Chaos(ChaosArgs),
    /// A long time at a steady rate; whether memory, handles, connections, lag or latency grow, as
    /// a plot; 0 or 1.
    Soak(SoakArgs),
}

/// Runs the command and says in one line why it failed.
pub async fn main(cli: Cli) -> ExitCode {
    telemetry::init(&cli.log);
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{}", service::failure::one_line(&format_args!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let shutdown: CancellationToken = service::shutdown::token()?;
    match command {
        Command::Simulate(args) => print_json(&simulate::run(&args, &shutdown).await?)?,
        Command::Bench(what) => print_json(&crate::bench::run(&what).await?)?,
        Command::Dashboards(args) => {
            let findings = dashboards::run(&args).await?;
            return tell("", &findings, findings.empty.is_empty());
        }
        Command::Report(args) => report::run(&args).await?,
        Command::Prove(args) => {
            let verdict = tokio::select! {
                verdict = prove::run(&args) => verdict?,
                () = shutdown.cancelled() => anyhow::bail!("stopped before the proof was complete"),
            };
            return tell(&verdict.text(), &verdict, verdict.is_ok());
        }
        Command::Chaos(args) => {
            if let Some(report) = chaos::run(&args, &shutdown).await? {
                return tell(&report.text(), &report.last_line(), report.is_ok());
            }
        }
        Command::Soak(args) => {
            let report = soak::run(&args, &shutdown).await?;
            return tell(&report.text(), &report, report.is_ok());
        }
        Command::Archive(args) => print_json(&archive::run(&args, &shutdown).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The text for people, the last line, and the exit code.
fn tell(text: &str, result: &impl Serialize, is_ok: bool) -> anyhow::Result<ExitCode> {
    print!("{text}");
    print_json(result)?;
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_json(result: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}
