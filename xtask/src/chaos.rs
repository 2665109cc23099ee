//! Faults on a stack of their own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Binaries, Profile};
use crate::stack::ports::PortChoice;
use crate::stack::{OwnedStack, Stack, StoreKind, UpOptions};
use crate::{files, test};

#[derive(Args)]
pub struct Options {
    /// Decides the faults, their moments and the messages; without it they are other ones every time
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Mean time from one fault to the next
    #[arg(long, default_value = "4s", value_name = "DURATION")]
    every: String,
    /// Only these, separated by commas; `--faults help` names all
    #[arg(long, value_name = "LIST")]
    faults: Option<String>,
    /// Messages a second, between bursts of eight times as many
    #[arg(long, default_value_t = 300)]
    rate: u64,
    /// How the binaries are compiled
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    store: Option<StoreKind>,
}

/// Exit code 0 where everything was proven; what a failed run has left behind is kept.
pub fn run(options: &Options) -> Result<ExitCode> {
    let binaries = build::binaries(options.profile, &["speed-layer", "batch-layer", "workbench"])?;
    let folder = std::env::temp_dir().join(format!("stock-lambda-chaos-{}", std::process::id()));
    let up =
        UpOptions { store: options.store, ports: Some(PortChoice::Private), port_base: None, connect_plugin: None };
    let owned = OwnedStack::start(&folder, &up)?;
    let reports = files::workspace().join("target/chaos");
    files::remove_dir(&reports)?;
    let command = command(options, owned.stack(), &binaries, reports.clone())?;
    let status = owned.stack().run_program("chaos", command).map_err(|error| owned.fail(error))?;
    println!("the whole report and the programs' logs: {}", reports.display());
    if !status.success() {
        println!("the services' logs are kept in {}", owned.keep_logs()?.display());
    }
    Ok(test::exit_code(status))
}

fn command(options: &Options, stack: &Stack, binaries: &Binaries, logs: PathBuf) -> Result<Command> {
    let launcher = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = binaries.command("workbench");
    command
        .args(["chaos", "--timeout", "180s", "--every", &options.every])
        .args(["--minutes", &options.minutes.to_string(), "--rate", &options.rate.to_string()])
        .arg("--logs")
        .arg(logs)
        .env("XTASK", launcher)
        .env("STACK_DIR", stack.dir());
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(faults) = &options.faults {
        command.args(["--faults", faults]);
    }
    Ok(command)
}
