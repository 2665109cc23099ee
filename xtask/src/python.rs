//! A Python with the packages that tests compare results with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache;

/// TA-Lib by its authors, with the C library inside, and what it needs.
const PACKAGES: [&str; 2] = ["TA-Lib==0.8.2", "numpy==2.4.6"];
/// To be changed with the packages.
const KEY: &str = "python-1";

/// The interpreter of a virtual environment in the cache, made on first use.
pub fn interpreter() -> Result<PathBuf> {
    let folder = cache::entry(KEY, |folder| {
        println!("installing {} for Python ...", PACKAGES.join(" and "));
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        run(Command::new(python(folder))
            .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
            .args(PACKAGES))
    })?;
    Ok(python(&folder))
}

/// Works in a folder that was moved, unlike the scripts beside it.
fn python(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
