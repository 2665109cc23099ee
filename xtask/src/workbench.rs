//! Hands the heavy commands to the `workbench` binary, which is built only when one of them is asked for.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::stack::ports::PortChoice;
use crate::stack::{OwnedStack, Stack, UpOptions};
use crate::test;

/// Replaces this process by `workbench COMMAND ARGUMENTS`, with the environment of the stack in `dir` where one runs.
pub fn run(dir: &Path, command: &str, arguments: &[OsString]) -> Result<ExitCode> {
    // What is measured is what is deployed, and as new as what measures it.
    let (profile, packages): (_, &[&str]) = match command {
        "bench" => (Profile::Dist, &["workbench", "speed-layer", "batch-layer"]),
        _ => (Profile::Release, &["workbench"]),
    };
    let binaries = build::binaries(profile, packages)?;
    let mut workbench = binaries.command("workbench");
    workbench.arg(command).args(arguments);
    // The environment of one that has stopped leads nowhere.
    match Stack::open(dir)?.filter(Stack::is_running) {
        Some(stack) => drop(workbench.envs(stack.environment()?)),
        // A measurement needs every service, and nobody else on them.
        None if command == "bench" => return on_own_stack(workbench),
        None => eprintln!("xtask: no stack runs in {}; `cargo xtask stack up` starts one", dir.display()),
    }
    Err(workbench.exec()).context("cannot run workbench")
}

fn on_own_stack(workbench: Command) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("stock-lambda-bench-{}", std::process::id()));
    let options = UpOptions { store: None, ports: Some(PortChoice::Private), port_base: None, connect_plugin: None };
    let owned = OwnedStack::start(&folder, &options)?;
    let status = owned.stack().run_program("workbench", workbench).map_err(|error| owned.fail(error))?;
    Ok(test::exit_code(status))
}
