//! Developer commands of this workspace: `cargo xtask --help`.

mod cache;
mod cli;
mod interrupt;
mod process;
mod setup;
mod stack;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
