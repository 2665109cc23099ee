//! The detectors of anomalies need no service to be measured.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{build, process, setup};

/// Compiles and runs the bench of the crate `anomalies`; paths are meant from the folder that the
/// caller is in.
pub fn bench(arguments: &[OsString]) -> Result<ExitCode> {
    setup::ensure_build_tools()?;
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let mut cargo = build::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "anomalies",
        "--example",
        "bench",
        "--",
    ]);
    let status = cargo.args(arguments).current_dir(here).status().context("cannot run cargo")?;
    Ok(process::exit_code(status))
}
