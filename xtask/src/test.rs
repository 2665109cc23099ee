//! The whole test suite against a stack of its own.

use crate::stack::StoreKind;
use crate::stack::owned::OwnedStack;
use crate::{build, process, python, schema_registry, setup, spark};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

/// Compiles the tests, brings up a stack in a temporary folder, runs them, and takes the stack
/// down, whatever happens.
///
/// The exit code is cargo's.
pub fn run(store: Option<StoreKind>, with_spark: bool, arguments: &[OsString]) -> Result<ExitCode> {
    setup::ensure_build_tools()?;
    setup::ensure_test_tools()?;
    let compiled = cargo_test(&["--no-run"], arguments).status().context("cannot run cargo")?;
    if !compiled.success() {
        return Ok(process::exit_code(compiled));
    }
    let scratch = if with_spark { Some(spark::scratch()?) } else { None };
    let mut server = None;
    let code = OwnedStack::run("test", store, |_| {
        let mut tests = cargo_test(&[], arguments);
        tests.env("STACK_PYTHON", python::interpreter()?);
        if let Some(program) = schema_registry::program()? {
            tests.env("STACK_SCHEMA_REGISTRY", program);
        }
        if let Some(scratch) = &scratch {
            let server = server.insert(spark::spark(scratch)?);
            tests.env("STACK_SPARK_URL", server.url());
        }
        // A test says what failed; a hundred lines of the runtime's own would only hide it.
        tests.env("RUST_BACKTRACE", "0");
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            tests.env("RUST_TEST_THREADS", side_by_side().to_string());
        }
        Ok(tests)
    });
    drop(server);
    if let Some(scratch) = scratch {
        let _ = fs::remove_dir_all(scratch);
    }
    code
}

/// How many tests run at a time: they mostly wait for services.
fn side_by_side() -> usize {
    3 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// `cargo test` of the whole workspace, unless the arguments choose packages.
fn cargo_test(more: &[&str], arguments: &[OsString]) -> Command {
    let mut cargo = build::cargo();
    cargo.arg("test");
    if !chooses_packages(arguments) {
        cargo.arg("--workspace");
    }
    cargo.args(more).args(arguments);
    cargo
}

fn chooses_packages(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .take_while(|argument| *argument != "--")
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_cargo_is_told_a_package() {
        for (words, whole) in [
            (&["-p", "common"][..], false),
            (&["--package=common"], false),
            (&["late_ticks", "--", "--nocapture"], true),
            (&["--", "-p"], true),
        ] {
            let cargo = cargo_test(&[], &arguments(words));
            assert_eq!(
                cargo.get_args().any(|argument| argument == "--workspace"),
                whole,
                "{words:?}"
            );
        }
    }

    #[test]
    fn filters_stand_after_the_flags_of_this_command() {
        let cargo = cargo_test(&["--no-run"], &arguments(&["late", "--", "--nocapture"]));
        let words: Vec<_> = cargo.get_args().collect();
        assert_eq!(words, ["test", "--workspace", "--no-run", "late", "--", "--nocapture"]);
    }
}
