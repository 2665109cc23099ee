use std::process::ExitCode;

use clap::Parser;
use workbench::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    workbench::cli::main(Cli::parse()).await
}
