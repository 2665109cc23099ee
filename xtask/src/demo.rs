//! `cargo xtask demo`: a person's first contact with the pipeline.

mod binaries;
mod connector;
mod grafana;
mod play;
mod prometheus;
mod reader;
mod shape;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::build::{self, Binaries, Profile};
use crate::stack::ports::PortChoice;
use crate::stack::{self, OwnedStack, StoreKind, UpOptions};
use crate::{chaos, files, interrupt};
use play::Play;
use shape::Shape;

#[derive(Args)]
pub struct Options {
    /// Go through everything once, prove that topic, tables and archive agree, and end with exit
    /// code 0 or 1
    #[arg(long)]
    once: bool,
    /// End after this many minutes instead of by Ctrl-C
    #[arg(long, conflicts_with = "once")]
    minutes: Option<u64>,
    /// Break the services and programs meanwhile, and count the ticks that are lost or doubled by
    /// it
    #[arg(long, conflicts_with_all = ["once", "connect_plugin"])]
    chaos: bool,
    /// Hours of market time before now to begin with; MACD needs 34 of them, a moving average of 50
    /// hours 50
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u64).range(1..=240))]
    hours: u64,
    /// Messages in those hours
    #[arg(long, default_value_t = 300_000)]
    ticks: u64,
    /// Messages a second from then on
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Symbols traded
    #[arg(long, default_value_t = 50)]
    symbols: u64,
    /// What the messages look like; default: the pipeline's own form, bare and in Connect's
    /// envelope
    #[arg(long, value_enum, conflicts_with = "chaos")]
    shape: Option<Shape>,
    /// How the binaries are compiled: `release` takes minutes more, and is many times as fast
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    profile: Profile,
    /// Run the programs of this folder instead of compiling them
    #[arg(long, value_name = "DIR", conflicts_with = "profile")]
    programs: Option<PathBuf>,
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    store: Option<StoreKind>,
    /// Archive by the real sink connector, whose plugin is in this folder, instead of the stand-in
    #[arg(long, value_name = "DIR")]
    connect_plugin: Option<PathBuf>,
}

impl Options {
    /// What `demo --once` does, with programs that are there already.
    pub fn once_with(programs: PathBuf) -> Self {
        Self {
            once: true,
            minutes: None,
            chaos: false,
            hours: 2,
            ticks: 50_000,
            rate: 200,
            symbols: 25,
            shape: None,
            profile: Profile::Quick,
            programs: Some(programs),
            store: None,
            connect_plugin: None,
        }
    }

    /// See [`Profile::caution`].
    fn caution(&self) -> Option<&'static str> {
        self.profile.caution().filter(|_| self.programs.is_none())
    }

    fn binaries(&self) -> Result<Binaries> {
        match &self.programs {
            Some(folder) => Ok(Binaries::of(folder)),
            None => {
                println!("compiling the binaries (the first time takes some minutes)");
                let services = || stack::fetch(self.store);
                build::binaries_while(services, self.profile)
            }
        }
    }
}

/// Exit code 1 where the proof of `--once` fails. An interrupt is the normal end of the demo
/// without it.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.chaos {
        return chaos::demo(options.minutes, options.profile, options.store);
    }
    let binaries = options.binaries()?;
    let up = UpOptions {
        store: options.store,
        ports: Some(PortChoice::Free),
        port_base: None,
        connect_plugin: options.connect_plugin.clone(),
    };
    options.caution().into_iter().for_each(|caution| println!("{caution}"));
    println!("starting the services");
    let owned = OwnedStack::start(&files::workspace().join("target/demo"), &up)?;
    match Play::begin(options, owned.stack(), binaries).and_then(Play::go) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => {
            println!("all logs are kept in {}", owned.keep_logs()?.display());
            Ok(ExitCode::FAILURE)
        }
        Err(_) if interrupt::requested() && !options.once => {
            println!("\nstopping");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(owned.fail(error)),
    }
}
