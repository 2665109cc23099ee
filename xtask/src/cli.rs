//! The command line, and which module does what it asks.

use crate::stack::{self, Service, Stack, StoreKind, UpOptions};
use crate::{
    anomalies, capture, chaos, chart, containers, demo, files, interrupt, manifests, pictures,
    setup, spark, supply_chain, test, workbench,
};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Developer commands: a local Kafka, Kafka Connect, S3 store and PostgreSQL without containers,
/// and what runs on them.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See the whole pipeline work: a simulated market through Kafka, both layers and the archive
    Demo(demo::Options),
    /// Run the tests of the workspace against a stack of their own, on private ports
    Test {
        /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
        #[arg(long, value_enum)]
        store: Option<StoreKind>,
        /// Start Spark, too, and test against it what is otherwise tested against Sail
        #[arg(long)]
        spark: bool,
        /// Arguments of `cargo test`, for instance `-- -p common late -- --nocapture`
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Break the pipeline and its services in every way while it works, and prove that no tick is
    /// lost, doubled or changed (`chaos --help`: all options)
    Chaos(PassThrough),
    /// Run for a long time at a steady rate, and see whether memory, handles, connections, lag or
    /// latency grow (`soak --help`: all options)
    Soak(PassThrough),
    /// Run the services as local processes on loopback, their data in one folder
    Stack {
        #[command(flatten)]
        dir: Dir,
        #[command(subcommand)]
        command: StackCommand,
    },
    /// Install what is missing to build and to run everything (as root; otherwise print the line
    /// that does)
    Setup {
        /// S3 store that is going to be used: `minio` needs Go
        #[arg(long, value_enum)]
        store: Option<StoreKind>,
    },
    /// Draw what a command prints as a moving picture: `cargo xtask chaos | cargo xtask capture
    /// FILE --command ...`
    Capture(capture::Options),
    /// Draw the figures of docs/benchmarks.md, and the README's badges
    Chart,
    /// Take the dashboards' pictures from a running Grafana (needs a Chromium, too)
    Pictures(pictures::Options),
    /// Check the Kubernetes manifests and the Compose files against their types and the project's
    /// rules (needs Go)
    Manifests {
        /// Also apply overlays and chart to a real control plane (etcd, API server, controllers),
        /// built by Go on first use; some minutes
        #[arg(long)]
        apply: bool,
    },
    /// Check licences, bans and sources of every dependency with cargo-deny
    Deny {
        /// Also ask for known vulnerabilities, for which cargo-deny fetches its database from the
        /// internet
        #[arg(long)]
        advisories: bool,
    },
    /// Write a bill of materials (CycloneDX, JSON) of each released binary into `target/sbom/`
    Sbom,
    /// Build the container images and run the pipeline in them against a local stack (needs a
    /// Docker engine, and root)
    Containers,
    /// Write a simulated market into Kafka (`simulate --help`: all options)
    Simulate(PassThrough),
    /// Archive the topic into the S3 store, as the sink connector does (`archive --help`: all
    /// options)
    Archive(PassThrough),
    /// Show what the pipeline has done (`report --help`: all options)
    Report(PassThrough),
    /// Check that topic, tables and archive agree (`prove --help`: all options)
    Prove(PassThrough),
    /// Measure (`bench --help`: all options; `bench anomalies --help`: the detectors, without
    /// services; `bench spark --help`: the batch layer by Spark)
    Bench(PassThrough),
}

/// Arguments that another program understands.
#[derive(Args)]
#[command(disable_help_flag = true)]
struct PassThrough {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

#[derive(Subcommand)]
enum StackCommand {
    /// Start whatever is not running and wait until it is ready
    Up(UpOptions),
    /// Stop the services in reverse order
    Down {
        /// Delete the data too
        #[arg(long)]
        purge: bool,
    },
    /// End a service without giving it time for anything
    #[command(hide = true)]
    Crash {
        #[arg(value_enum)]
        service: Service,
    },
    /// Start a service of a stack that is up otherwise
    #[command(hide = true)]
    Start {
        #[arg(value_enum)]
        service: Service,
    },
    /// Take a stack down as soon as standard input closes
    #[command(hide = true)]
    Watch,
}

#[derive(Args)]
struct Dir {
    /// Folder of data, logs, pid files and `env` [default: .stack in the root of the workspace]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

impl Dir {
    fn path(self) -> PathBuf {
        self.dir.unwrap_or_else(default_dir)
    }

    fn open(self) -> Result<Stack> {
        let path = self.path();
        Stack::open(&path)?.with_context(|| format!("no stack in {}", path.display()))
    }
}

fn default_dir() -> PathBuf {
    files::workspace().join(".stack")
}

pub fn run(cli: Cli) -> Result<ExitCode> {
    let pass = |name: &str, rest: PassThrough| {
        workbench::run(&default_dir(), &[&[name.into()], &rest.arguments[..]].concat())
    };
    interrupt::listen()?;
    match cli.command {
        Command::Demo(options) => demo::run(&options),
        Command::Test { store, spark, arguments } => test::run(store, spark, &arguments),
        Command::Chaos(rest) => chaos::run("chaos", rest.arguments),
        Command::Soak(rest) => chaos::run("soak", rest.arguments),
        Command::Stack { dir, command } => run_stack(dir, command).map(|()| ExitCode::SUCCESS),
        Command::Setup { store } => {
            setup::ensure_all(stack::store_or_default(store))?;
            println!("nothing is missing");
            Ok(ExitCode::SUCCESS)
        }
        Command::Capture(options) => capture::run(&options),
        Command::Chart => chart::run(),
        Command::Pictures(options) => pictures::run(&options),
        Command::Manifests { apply } => manifests::run(apply),
        Command::Deny { advisories } => supply_chain::deny(advisories),
        Command::Sbom => supply_chain::sbom(),
        Command::Containers => containers::run(),
        Command::Simulate(rest) => pass("simulate", rest),
        Command::Archive(rest) => pass("archive", rest),
        Command::Report(rest) => pass("report", rest),
        Command::Prove(rest) => pass("prove", rest),
        Command::Bench(rest) => match rest.arguments.first().and_then(|first| first.to_str()) {
            Some("anomalies") => anomalies::bench(&rest.arguments[1..]),
            Some("spark") => spark::bench(&rest.arguments[1..]),
            _ => pass("bench", rest),
        },
    }
}

fn run_stack(dir: Dir, command: StackCommand) -> Result<()> {
    match command {
        StackCommand::Up(options) => {
            let stack = Stack::open_or_create(&dir.path(), &options)?;
            stack.up()?;
            stack.addresses().iter().for_each(|line| println!("  {line}"));
        }
        StackCommand::Down { purge } => {
            let dir = dir.path();
            if Stack::open(&dir)?.is_none() {
                println!("no stack in {}", dir.display());
            }
            stack::down(&dir, purge)?;
        }
        StackCommand::Crash { service } => dir.open()?.crash(service)?,
        StackCommand::Start { service } => dir.open()?.start(service)?,
        StackCommand::Watch => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            stack::down(&dir.path(), true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_the_workbench_pass_through_even_help() {
        let cli = Cli::try_parse_from(["xtask", "simulate", "--help", "--rate", "5"]).unwrap();
        let Command::Simulate(rest) = cli.command else { panic!("another command") };
        assert_eq!(rest.arguments, ["--help", "--rate", "5"]);
        let cli = Cli::try_parse_from(["xtask", "chaos", "--store", "minio", "--x"]).unwrap();
        let Command::Chaos(rest) = cli.command else { panic!("another command") };
        assert_eq!(rest.arguments, ["--store", "minio", "--x"]);
    }
}
