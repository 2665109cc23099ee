//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use common::telemetry::{self, LogArgs};
use tokio_util::sync::CancellationToken;

use crate::archive::{self, ArchiveArgs};

/// Developers' equipment around the pipeline.
///
/// The commands meet the pipeline where it meets the world: Kafka, the S3 store and PostgreSQL. `cargo xtask` runs them
/// with the addresses of the local stack. Results go to standard output, one JSON object at the end; progress and
/// trouble to standard error. Exit codes: 0 done, 1 failed, 2 wrong arguments.
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
    /// Archives the topic as the Kafka Connect S3 sink does: same keys, same lines.
    Archive(ArchiveArgs),
}

/// Runs the command and says in one line why it failed.
pub async fn main(cli: Cli) -> ExitCode {
    telemetry::init(&cli.log);
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            tracing::error!("{line}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let shutdown: CancellationToken = common::shutdown::token()?;
    match command {
        Command::Archive(args) => {
            let totals = archive::run(&args, &shutdown).await?;
            println!("{}", serde_json::to_string(&totals)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
