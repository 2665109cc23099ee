//! The detectors of anomalies need no service to be measured.

use crate::build::{Profile, Target};
use crate::{ask, process};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

const BENCH: Target = Target::Example { package: "anomalies", name: "bench" };

/// Compiles and runs the bench of the crate `anomalies`; paths are meant from the folder that the
/// caller is in.
pub fn bench(arguments: &[OsString]) -> Result<ExitCode> {
    if let Some(code) = ask::answer(BENCH, arguments)? {
        return Ok(code);
    }
    let status = Command::new(BENCH.build(Profile::Release)?).args(arguments).status();
    Ok(process::exit_code(status.context("cannot run the bench")?))
}
