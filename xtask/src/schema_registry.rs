//! A schema registry for tests, built by Go into the cache: franz-go's, which nobody of this project wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{cache, files};

/// To be changed with the files.
const KEY: &str = "schema-registry-1";
const FILES: [(&str, &str); 3] = [
    ("main.go", include_str!("schema_registry/main.go")),
    ("go.mod", include_str!("schema_registry/go.mod")),
    ("go.sum", include_str!("schema_registry/go.sum")),
];
/// Of Go 1, what the module needs.
const OLDEST_GO: u32 = 24;

/// The program, built on first use. `None` where there is no Go that can build it, or Go cannot fetch what it is built of:
/// this says so, and tests that need it do.
pub fn program() -> Result<Option<PathBuf>> {
    if !has_go() {
        println!("no Go 1.{OLDEST_GO} or newer on the PATH: tests with a schema registry are left out");
        return Ok(None);
    }
    match cache::entry(KEY, build) {
        Ok(folder) => Ok(Some(folder.join("schema-registry"))),
        Err(error) => {
            println!("{error:#}: tests with a schema registry are left out");
            Ok(None)
        }
    }
}

fn has_go() -> bool {
    let asked = Command::new("go").args(["env", "GOVERSION"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    asked.is_ok_and(|output| minor(&String::from_utf8_lossy(&output.stdout)).is_some_and(|minor| minor >= OLDEST_GO))
}

/// 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("go1.")?.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn build(into: &Path) -> Result<()> {
    let started = Instant::now();
    println!("building a schema registry for tests by Go ...");
    for (name, text) in FILES {
        files::write(&into.join(name), text)?;
    }
    let output = Command::new("go")
        .args(["build", "-o", "schema-registry", "."])
        .current_dir(into)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    if !output.status.success() {
        bail!("Go cannot build the schema registry: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    println!("  built in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        for (version, expected) in [("go1.26.8\n", Some(26)), ("go1.24", Some(24)), ("go1.19rc1", Some(19)), ("", None)]
        {
            assert_eq!(minor(version), expected, "{version}");
        }
    }
}
