//! Hands the heavy commands to the `workbench` binary, which is built only when one of them is
//! asked for.

use crate::ask;
use crate::build::{Profile, Target};
use crate::stack::Stack;
use crate::stack::owned::OwnedStack;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Replaces this process by `workbench ARGUMENTS`, of which the first is the command, with the
/// environment of the stack in `dir` where one runs.
pub fn run(dir: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    // What is measured is what is deployed, and as new as what measures it.
    let is_bench = arguments.first().is_some_and(|command| command == "bench");
    let profile = if is_bench { Profile::Dist } else { Profile::soonest(Target::Workbench)? };
    if let Some(code) = ask::answer(Target::Workbench, arguments)? {
        return Ok(code);
    }
    let program = Target::Workbench.build(profile)?;
    let mut workbench = Command::new(&program);
    workbench.args(arguments);
    // The environment of one that has stopped leads nowhere.
    match Stack::open(dir)?.filter(Stack::is_running) {
        Some(stack) => drop(workbench.envs(stack.environment()?)),
        // A measurement needs every service, and nobody else on them.
        None if is_bench => {
            return match ask::refused(&program, arguments)? {
                Some(code) => Ok(code),
                None => OwnedStack::run("bench", None, |_| Ok(workbench)),
            };
        }
        None => eprintln!(
            "xtask: no stack runs in {}; `cargo xtask stack up` starts one",
            dir.display()
        ),
    }
    Err(workbench.exec()).context("cannot run workbench")
}
