//! Whether a program takes its arguments: it is asked that before anything is installed, compiled
//! or started for their sake.

use crate::build::{self, Profile, Target};
use crate::{process, setup};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

/// The exit code where nothing is left to be done, since the program has given its help or has said
/// what is wrong with `arguments`; `None` where it is to be run, or compiled before it can tell.
pub fn answer(target: Target, arguments: &[OsString]) -> Result<Option<ExitCode>> {
    let newest = target.newest()?;
    if wants_help(arguments) {
        let program = match newest {
            Some(program) => program,
            None => {
                setup::check_build_tools()?;
                target.build(Profile::Quick)?
            }
        };
        let status = Command::new(&program).args(arguments).status();
        let status = status.with_context(|| format!("cannot run {}", program.display()))?;
        return Ok(Some(process::exit_code(status)));
    }
    // One of before does not know what its sources know by now.
    match newest.filter(|program| build::is_current(program)) {
        Some(program) => refused(&program, arguments),
        None => Ok(None),
    }
}

/// The exit code where `program` has said what is wrong with `arguments`.
pub fn refused(program: &Path, arguments: &[OsString]) -> Result<Option<ExitCode>> {
    Ok(refusal(program, arguments)?.map(|output| {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        process::exit_code(output.status)
    }))
}

/// It reads all that stands in front of a last `--help`.
fn refusal(program: &Path, arguments: &[OsString]) -> Result<Option<Output>> {
    let mut ask = Command::new(program);
    let output = ask.args(arguments).arg("--help").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    Ok((!output.status.success()).then_some(output))
}

/// Whether a program is only to say what it can do. `bench` alone does nothing else.
pub fn wants_help(arguments: &[OsString]) -> bool {
    let of_bench = match arguments {
        [first, rest @ ..] if first == "bench" => rest.first().is_none_or(|next| next == "help"),
        _ => false,
    };
    let mut flags = arguments.iter().take_while(|argument| *argument != "--");
    of_bench || flags.any(|argument| argument == "--help" || argument == "-h")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn a_program_is_asked_for_help_wherever_the_flag_stands() {
        for words in [
            &["simulate", "--help"][..],
            &["bench", "speed", "-h"],
            &["bench", "batch", "--ticks", "5", "--help"],
            &["bench"],
            &["bench", "help"],
            &["bench", "help", "speed"],
        ] {
            assert!(wants_help(&arguments(words)), "{words:?}");
        }
        for words in [
            &[][..],
            &["simulate"],
            &["bench", "speed", "--ticks", "5"],
            &["bench", "--", "--help"],
            &["bench", "speed", "help"],
        ] {
            assert!(!wants_help(&arguments(words)), "{words:?}");
        }
    }

    #[test]
    fn arguments_are_refused_by_what_the_program_says_with_help_behind_them() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("workbench");
        let script = "#!/bin/sh\n[ \"$*\" = 'bench speed --help' ] && echo help && exit\n\
                      echo \"unexpected: $*\" >&2; exit 2\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(refusal(&program, &arguments(&["bench", "speed"])).unwrap().is_none());
        let refused = refusal(&program, &arguments(&["bench", "--", "--help"])).unwrap().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert_eq!(refused.stderr, b"unexpected: bench -- --help --help\n");
    }
}
