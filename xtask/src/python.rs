//! A Python with the packages that tests compare results with.

use crate::{cache, process};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// TA-Lib by its authors, with the C library inside, and what it needs; what the docs read the lake
/// with; and Sail, a server of Spark Connect. DuckDB's extension for S3 must be of its own version.
const PACKAGES: [&str; 8] = [
    "TA-Lib==0.8.2",
    "numpy==2.4.6",
    "duckdb==1.5.5",
    "duckdb-extension-httpfs==1.5.5",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "polars==2.1.0",
    "pysail==0.7.2",
];
/// To be changed with the packages.
const KEY: &str = "python-3";

/// The interpreter of a virtual environment in the cache, made on first use.
pub fn interpreter() -> Result<PathBuf> {
    let folder = cache::entry(KEY, |folder| {
        println!("installing {} for Python ...", PACKAGES.join(", "));
        environment(folder, &[&["--only-binary=:all:"], &PACKAGES[..]].concat())
    })?;
    Ok(python(&folder))
}

/// Makes a folder a virtual environment with what `wanted` tells pip to install.
pub fn environment(folder: &Path, wanted: &[&str]) -> Result<()> {
    process::output(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(python(folder));
    pip.args(["-m", "pip", "install", "--quiet"]).args(wanted);
    process::output(&mut pip).map(drop)
}

/// Works in a folder that was moved, unlike the scripts beside it.
fn python(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}
