//! The command line, and which module does what it asks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::stack::ports::PortChoice;
use crate::stack::{self, Stack, StoreKind};
use crate::{interrupt, setup};

/// Developer commands: a local Kafka, Kafka Connect, S3 store and PostgreSQL without containers, and what runs on them.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing to build and to run everything (as root; otherwise print the line that does)
    Setup {
        /// S3 store that is going to be used: `minio` needs Go
        #[arg(long, value_enum)]
        store: Option<StoreKind>,
    },
    /// Run the services as local processes on loopback, their data in one folder
    #[command(subcommand)]
    Stack(StackCommand),
}

#[derive(Subcommand)]
enum StackCommand {
    /// Start whatever is not running and wait until it is ready
    Up {
        #[command(flatten)]
        dir: Dir,
        #[command(flatten)]
        options: UpOptions,
    },
    /// Stop the services in reverse order
    Down {
        #[command(flatten)]
        dir: Dir,
        /// Delete the data too
        #[arg(long)]
        purge: bool,
    },
    /// Show the services; exits with 1 unless all of them run
    Status {
        #[command(flatten)]
        dir: Dir,
    },
    /// Take a stack down as soon as standard input closes: outlives an owner that was killed
    #[command(hide = true)]
    Watch {
        #[command(flatten)]
        dir: Dir,
    },
}

#[derive(Args)]
struct Dir {
    /// Folder of data, logs, pid files and `env`
    #[arg(long, default_value = ".stack")]
    dir: PathBuf,
}

#[derive(Args)]
pub struct UpOptions {
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    pub store: Option<StoreKind>,
    /// `default` (9092, 8083, 9000, 5432) or `private` (any free ones)
    #[arg(long, value_enum, default_value_t = PortChoice::Default, conflicts_with = "port_base")]
    pub ports: PortChoice,
    /// Take consecutive ports from here on instead of the default ones
    #[arg(long, value_parser = clap::value_parser!(u16).range(1024..65000))]
    pub port_base: Option<u16>,
    /// Folder of a sink connector plugin for the Connect worker
    #[arg(long, value_name = "DIR")]
    pub connect_plugin: Option<PathBuf>,
}

pub fn run(cli: Cli) -> Result<ExitCode> {
    interrupt::listen()?;
    match cli.command {
        Command::Setup { store } => {
            setup::ensure_build_tools()?;
            setup::ensure_services(stack::store_or_default(store))?;
            println!("nothing is missing");
            Ok(ExitCode::SUCCESS)
        }
        Command::Stack(command) => run_stack(command),
    }
}

fn run_stack(command: StackCommand) -> Result<ExitCode> {
    match command {
        StackCommand::Up { dir, options } => {
            let stack = Stack::open_or_create(&dir.dir, &options)?;
            stack.up()?;
            stack.print_addresses();
            Ok(ExitCode::SUCCESS)
        }
        StackCommand::Down { dir, purge } => {
            stack::down(&dir.dir, purge)?;
            Ok(ExitCode::SUCCESS)
        }
        StackCommand::Status { dir } => stack::status(&dir.dir),
        StackCommand::Watch { dir } => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            stack::down(&dir.dir, true)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
