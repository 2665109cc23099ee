//! Faults, or a long time at a steady rate, on a stack of their own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Profile};
use crate::stack::ports::PortChoice;
use crate::stack::{self, OwnedStack, StoreKind, UpOptions};
use crate::{files, process};

#[derive(Args)]
pub struct ChaosOptions {
    /// Decides the faults, their moments and the messages; without it they are other ones every
    /// time
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Mean time from one fault to the next
    #[arg(long, default_value = "4s", value_name = "DURATION")]
    every: String,
    /// Only these, separated by commas; a wrong name lists all
    #[arg(long, value_name = "LIST")]
    faults: Option<String>,
    /// Messages a second, between bursts of eight times as many
    #[arg(long, default_value_t = 300)]
    rate: u64,
    #[command(flatten)]
    ground: GroundOptions,
}

#[derive(Args)]
pub struct SoakOptions {
    /// How long
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Messages a second
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    #[command(flatten)]
    ground: GroundOptions,
}

#[derive(Args)]
struct GroundOptions {
    /// How the binaries are compiled
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    store: Option<StoreKind>,
}

/// Exit code 0 where everything was proven.
pub fn run(options: &ChaosOptions) -> Result<ExitCode> {
    let (minutes, rate) = (options.minutes.to_string(), options.rate.to_string());
    let mut arguments = vec![
        "--timeout",
        "180s",
        "--minutes",
        &minutes,
        "--rate",
        &rate,
        "--every",
        &options.every,
    ];
    let seed = options.seed.map(|seed| seed.to_string());
    for (flag, value) in [("--seed", &seed), ("--faults", &options.faults)] {
        arguments.extend(value.iter().flat_map(|value| [flag, value.as_str()]));
    }
    run_workbench("chaos", &arguments, &options.ground)
}

/// For people: the pipeline live, while one fault after the other happens.
pub fn demo(minutes: Option<u64>, profile: Profile, store: Option<StoreKind>) -> Result<ExitCode> {
    let minutes = minutes.unwrap_or(24 * 60).to_string();
    run_workbench(
        "chaos",
        &["--live", "--minutes", &minutes, "--every", "6s"],
        &GroundOptions { profile, store },
    )
}

/// Exit code 0 where nothing grew and everything was proven.
pub fn soak(options: &SoakOptions) -> Result<ExitCode> {
    let (minutes, rate) = (options.minutes.to_string(), options.rate.to_string());
    run_workbench(
        "soak",
        &["--timeout", "600s", "--minutes", &minutes, "--rate", &rate],
        &options.ground,
    )
}

/// On a stack of its own; what a failed run has left behind is kept.
fn run_workbench(name: &str, arguments: &[&str], ground: &GroundOptions) -> Result<ExitCode> {
    // Asked for before anything is built, which may put a new file in this program's place.
    let launcher = std::env::current_exe().context("cannot find this program's own file")?;
    let services = || stack::fetch(ground.store);
    let binaries = build::binaries_while(services, ground.profile)?;
    ground.profile.caution().into_iter().for_each(|caution| eprintln!("{caution}"));
    let folder = std::env::temp_dir().join(format!("stock-lambda-{name}-{}", std::process::id()));
    let up = UpOptions {
        store: ground.store,
        ports: Some(PortChoice::Private),
        port_base: None,
        connect_plugin: None,
    };
    let owned = OwnedStack::start(&folder, &up)?;
    let results: PathBuf = files::workspace().join("target").join(name);
    files::remove_dir(&results)?;
    let mut command: Command = binaries.command("workbench");
    command.arg(name).args(arguments).arg("--logs").arg(&results);
    command.env("XTASK", launcher).env("STACK_DIR", owned.stack().dir());
    let status = owned.stack().run_program(name, command).map_err(|error| owned.fail(error))?;
    eprintln!("the results and the programs' logs: {}", results.display());
    if !status.success() {
        eprintln!("the services' logs are kept in {}", owned.keep_logs()?.display());
    }
    Ok(process::exit_code(status))
}
