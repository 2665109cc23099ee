//! Kafka to PostgreSQL: every tick once, within a fraction of a second.

use clap::Parser;
use common::{failure, shutdown, telemetry};
use speed_layer::Config;
use std::process::ExitCode;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let config = Config::parse();
    telemetry::init(&config.logs);
    let result = match shutdown::token() {
        Ok(stop) => speed_layer::run(config, stop).await,
        Err(error) => Err(common::Failure::Infrastructure(error)),
    };
    failure::conclude(result)
}
