//! Hands the heavy commands to the `workbench` binary, which is built only when one of them is
//! asked for.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::process;
use crate::stack::ports::PortChoice;
use crate::stack::{OwnedStack, Stack, UpOptions};

/// Replaces this process by `workbench COMMAND ARGUMENTS`, with the environment of the stack in
/// `dir` where one runs.
pub fn run(dir: &Path, command: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let (is_bench, is_help) = (command == "bench", asks_for_help(arguments));
    let is_measured = is_bench && !is_help;
    // What is measured is what is deployed, and as new as what measures it. Help is compiled as
    // what is then asked for.
    let profile = if is_bench { Profile::Dist } else { build::soonest("workbench")? };
    // Help is not worth minutes of compiling where a program of before can give it.
    let built = if is_help { build::newest("workbench")? } else { None };
    let mut workbench = match built {
        Some(program) => Command::new(program),
        None => build::binaries(profile)?.command("workbench"),
    };
    workbench.arg(command).args(arguments);
    if is_help {
        return Err(workbench.exec()).context("cannot run workbench");
    }
    // The environment of one that has stopped leads nowhere.
    match Stack::open(dir)?.filter(Stack::is_running) {
        Some(stack) => drop(workbench.envs(stack.environment()?)),
        // A measurement needs every service, and nobody else on them.
        None if is_measured && !needs_no_services(arguments) => return on_own_stack(workbench),
        None if is_measured => {}
        None => eprintln!(
            "xtask: no stack runs in {}; `cargo xtask stack up` starts one",
            dir.display()
        ),
    }
    Err(workbench.exec()).context("cannot run workbench")
}

/// Whether a program is only to say what it can do: that takes no services.
pub fn asks_for_help(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--help" || argument == "-h")
}

/// The decoder's two paths are held against each other within one process.
fn needs_no_services(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|bench| bench == "fuzz")
}

fn on_own_stack(workbench: Command) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("stock-lambda-bench-{}", std::process::id()));
    let options = UpOptions {
        store: None,
        ports: Some(PortChoice::Private),
        port_base: None,
        connect_plugin: None,
    };
    let owned = OwnedStack::start(&folder, &options)?;
    let status =
        owned.stack().run_program("workbench", workbench).map_err(|error| owned.fail(error))?;
    Ok(process::exit_code(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_for_help_wherever_the_flag_stands() {
        let asks =
            |words: &[&str]| asks_for_help(&words.iter().map(Into::into).collect::<Vec<_>>());
        assert!(
            asks(&["--help"])
                && asks(&["speed", "-h"])
                && asks(&["batch", "--ticks", "5", "--help"])
        );
        assert!(!asks(&[]) && !asks(&["speed", "--ticks", "5"]) && !asks(&["--", "--help"]));
    }
}
