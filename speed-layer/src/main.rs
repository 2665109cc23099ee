//! Kafka to PostgreSQL: every tick once, within a fraction of a second.

use service::{failure, shutdown, telemetry};
use speed_layer::Command;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Command::parse();
    telemetry::init(command.logs());
    let result = match (shutdown::token(), command) {
        (Ok(stop), Command::Run(config)) => Box::pin(speed_layer::run(*config, stop)).await,
        (Ok(_), Command::Doctor(args)) => Box::pin(speed_layer::doctor(*args)).await,
        (Err(error), _) => Err(service::Failure::Infrastructure(error)),
    };
    failure::conclude(result)
}
