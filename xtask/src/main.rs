//! Developer commands of this workspace: `cargo xtask --help`.

mod anomalies;
mod ask;
mod build;
mod cache;
mod capture;
mod chaos;
mod chart;
mod cli;
mod containers;
mod control_plane;
mod demo;
mod files;
mod go;
mod interrupt;
mod manifests;
mod pictures;
mod process;
mod python;
mod schema_registry;
mod setup;
mod spark;
mod stack;
mod supply_chain;
mod test;
mod workbench;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
