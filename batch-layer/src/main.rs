//! The archive to hourly summaries: one run, then the end.

mod arenas;
mod cli;

use cli::Command;
use service::{Failure, failure, shutdown, telemetry};
use std::process::ExitCode;

fn main() -> ExitCode {
    arenas::limit();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    let command = Command::parse();
    let traces = match telemetry::start(command.logs(), "batch-layer") {
        Ok(traces) => traces,
        Err(failure) => return failure::conclude(Err(failure)),
    };
    let result = match (shutdown::token(), command) {
        (Ok(stop), Command::Run(args)) => Box::pin(hourly::run(args, stop)).await,
        (Ok(stop), Command::Verify(args)) => Box::pin(reconciliation::run(args, stop)).await,
        (Ok(stop), Command::Compact(args)) => Box::pin(hourly::lake::compact(args, stop)).await,
        (Ok(stop), Command::Export(args)) => Box::pin(hourly::export::run(args, stop)).await,
        (Err(error), _) => Err(Failure::Infrastructure(error)),
    };
    let code = failure::conclude(result);
    traces.end();
    code
}
