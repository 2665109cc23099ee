//! Programs of tests that are built by Go.

use crate::{files, process};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Whether there is a Go 1 of this minor version or a newer one on the PATH.
pub fn is_at_least(oldest: u32) -> bool {
    let asked = Command::new("go")
        .args(["env", "GOVERSION"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|output| {
        minor(&String::from_utf8_lossy(&output.stdout)).is_some_and(|minor| minor >= oldest)
    })
}

/// 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix("go1.")?
        .split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// A `go` that builds `program` of the module that `files` are, by name and text, in the folder
/// `into`.
pub fn building(program: &str, files: &[(&str, &str)], into: &Path) -> Result<Command> {
    for (name, text) in files {
        files::write(&into.join(name), text)?;
    }
    let mut go = Command::new("go");
    go.args(["build", "-o", program]).current_dir(into);
    Ok(go)
}

/// Runs a `go` that builds `what`, without C.
pub fn build(what: &str, go: &mut Command) -> Result<()> {
    let started = Instant::now();
    process::output(go.env("CGO_ENABLED", "0"))
        .with_context(|| format!("Go cannot build {what}"))?;
    println!("  built in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        for (version, expected) in
            [("go1.26.8\n", Some(26)), ("go1.24", Some(24)), ("go1.19rc1", Some(19)), ("", None)]
        {
            assert_eq!(minor(version), expected, "{version}");
        }
    }
}
