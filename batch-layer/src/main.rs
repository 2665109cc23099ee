//! The archive to hourly summaries: one run, then the end.

use batch_layer::Command;
use service::{Failure, failure, shutdown, telemetry};
use std::process::ExitCode;

fn main() -> ExitCode {
    batch_layer::arenas::limit();
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
        (Ok(stop), Command::Run(args)) => Box::pin(batch_layer::run(args, stop)).await,
        (Ok(stop), Command::Verify(args)) => Box::pin(batch_layer::verify::run(args, stop)).await,
        (Ok(stop), Command::Compact(args)) => {
            Box::pin(batch_layer::lake::compact(args, stop)).await
        }
        (Ok(stop), Command::Export(args)) => Box::pin(batch_layer::export::run(args, stop)).await,
        (Err(error), _) => Err(Failure::Infrastructure(error)),
    };
    let code = failure::conclude(result);
    traces.end();
    code
}
