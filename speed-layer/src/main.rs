//! Kafka to PostgreSQL: every tick once, within a fraction of a second.

use service::{failure, shutdown, telemetry};
use speed_layer::Command;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Command::parse();
    let traces = match telemetry::start(command.logs(), "speed-layer") {
        Ok(traces) => traces,
        Err(failure) => return failure::conclude(Err(failure)),
    };
    let result = match (shutdown::token(), command) {
        (Ok(stop), Command::Run(config)) => Box::pin(speed_layer::run(*config, stop)).await,
        (Ok(_), Command::Doctor(args)) => Box::pin(speed_layer::doctor(*args)).await,
        (Err(error), _) => Err(service::Failure::Infrastructure(error)),
    };
    let code = failure::conclude(result);
    traces.end();
    code
}
