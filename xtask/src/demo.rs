//! `cargo xtask demo`: a person's first contact with the pipeline.

mod binaries;
mod connector;
mod grafana;
mod options;
mod play;
mod prometheus;
mod reader;
mod view;

use crate::stack::UpOptions;
use crate::stack::owned::OwnedStack;
use crate::stack::ports::PortChoice;
use crate::{chaos, files, interrupt};
use anyhow::Result;
pub use options::Options;
use play::Play;
use std::process::ExitCode;

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
        connect_plugin: options.connect_plugin.clone(),
        ..UpOptions::default()
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
