//! Hands the heavy commands to the `workbench` binary, which is built only when one of them is asked for.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::stack::Stack;

/// Replaces this process by `workbench COMMAND ARGUMENTS`, with the environment of the stack in `dir` where there is one.
pub fn run(dir: &Path, command: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let binaries = build::binaries(Profile::Release, &["workbench"])?;
    let mut workbench = binaries.command("workbench");
    workbench.arg(command).args(arguments);
    if let Some(stack) = Stack::open(dir)? {
        workbench.envs(stack.environment());
    } else {
        eprintln!("xtask: no stack in {}; `cargo xtask stack up` makes one", dir.display());
    }
    Err(workbench.exec()).context("cannot run workbench")
}
