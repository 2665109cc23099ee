//! Faults, or a long time at a steady rate, on a stack of their own.

use crate::build::{self, Profile, Target};
use crate::stack::owned::OwnedStack;
use crate::stack::{self, StoreKind};
use crate::{ask, files};
use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// What `cargo xtask chaos` and `soak` take beside the options of the program, which follow
///
/// The logs go to `target/chaos` and `target/soak`; `--timeout` is 180s and 600s unless it is
/// given.
#[derive(Parser)]
#[command(disable_help_flag = true)]
#[command(override_usage = "cargo xtask chaos|soak [OPTIONS] [OPTIONS OF THE PROGRAM]")]
struct StackOptions {
    /// How the binaries are compiled
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// S3 store; default: MinIO where `minio` is on the PATH, otherwise S3Proxy
    #[arg(long, value_enum)]
    store: Option<StoreKind>,
}

const OWN: [&str; 2] = ["--profile", "--store"];

/// Exit code 0 where everything was proven, and in a soak nothing grew.
pub fn run(name: &str, arguments: Vec<OsString>) -> Result<ExitCode> {
    let (own, rest) = split(arguments);
    if ask::wants_help(&rest) {
        println!("{}", StackOptions::command().render_long_help());
    }
    run_workbench(name, rest, &StackOptions::parse_from(own))
}

/// For people: the pipeline live, while one fault after the other happens.
pub fn demo(minutes: Option<u64>, profile: Profile, store: Option<StoreKind>) -> Result<ExitCode> {
    let minutes = minutes.unwrap_or(24 * 60).to_string();
    let arguments = ["--live", "--minutes", &minutes, "--every", "6s"].map(OsString::from);
    run_workbench("chaos", arguments.to_vec(), &StackOptions { profile, store })
}

/// The arguments of [`StackOptions`], behind a program's name, and those that are handed on.
fn split(arguments: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let (mut own, mut rest) = (vec!["xtask".into()], Vec::new());
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let is_own = OWN.contains(&text.split('=').next().unwrap_or_default());
        let value = if is_own && !text.contains('=') { words.next() } else { None };
        let taken = if is_own { &mut own } else { &mut rest };
        taken.push(word);
        taken.extend(value);
    }
    (own, rest)
}

/// On a stack of its own; what a failed run has left behind is kept.
fn run_workbench(
    name: &str,
    mut arguments: Vec<OsString>,
    options: &StackOptions,
) -> Result<ExitCode> {
    // Asked for before anything is built, which may put a new file in this program's place.
    let launcher = std::env::current_exe().context("cannot find this program's own file")?;
    let results = files::workspace().join("target").join(name);
    arguments.insert(0, name.into());
    arguments.extend(["--logs".into(), (&results).into()]);
    if !arguments.iter().any(|word| word.to_string_lossy().starts_with("--timeout")) {
        let patience = if name == "soak" { "600s" } else { "180s" };
        arguments.extend(["--timeout".into(), patience.into()]);
    }
    if let Some(code) = ask::answer(Target::Workbench, &arguments)? {
        return Ok(code);
    }
    let services = || stack::fetch(options.store);
    let binaries = build::binaries_while(services, options.profile)?;
    if let Some(code) = ask::refused(&binaries.path("workbench"), &arguments)? {
        return Ok(code);
    }
    options.profile.caution().into_iter().for_each(|caution| eprintln!("{caution}"));
    let code = OwnedStack::run(name, options.store, |stack| {
        files::remove_dir(&results)?;
        let mut command: Command = binaries.command("workbench");
        command.args(&arguments).env("XTASK", launcher).env("STACK_DIR", stack.dir());
        Ok(command)
    })?;
    eprintln!("the results and the programs' logs: {}", results.display());
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(words: &[&str]) -> (Vec<OsString>, Vec<OsString>) {
        split(words.iter().map(Into::into).collect())
    }

    #[test]
    fn its_own_flags_are_taken_out_wherever_they_stand() {
        let words = ["--seed", "7", "--store=minio", "--every", "5s", "--profile", "dev", "--x"];
        let (own, rest) = split_words(&words);
        let options = StackOptions::try_parse_from(own).unwrap();
        assert!(options.profile == Profile::Dev && options.store == Some(StoreKind::Minio));
        assert_eq!(rest, ["--seed", "7", "--every", "5s", "--x"]);
    }

    #[test]
    fn a_wrong_value_of_its_own_flags_is_a_usage_error() {
        for words in [&["--store", "disk"][..], &["--profile"], &["--store=s3proxy", "--store=a"]] {
            let error = StackOptions::try_parse_from(split_words(words).0).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn without_flags_of_its_own_all_is_handed_on() {
        let (own, rest) = split_words(&["--faults", "wrong", "--profiles", "--help"]);
        let options = StackOptions::try_parse_from(own).unwrap();
        assert!(options.profile == Profile::Release && options.store.is_none());
        assert_eq!(rest, ["--faults", "wrong", "--profiles", "--help"]);
    }
}
