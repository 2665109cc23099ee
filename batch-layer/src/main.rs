//! The archive to hourly summaries: one run, then the end.

use batch_layer::Args;
use clap::Parser;
use common::{Failure, failure, shutdown, telemetry};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::init(&args.logs);
    let result = match shutdown::token() {
        Ok(stop) => batch_layer::run(args, stop).await,
        Err(error) => Err(Failure::Infrastructure(error)),
    };
    failure::conclude(result)
}
