//! General engines, in a Python environment of the benchmark's own.

use super::archive::Source;
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("peers.py");
/// The extension must be of DuckDB's own version.
const PACKAGES: [&str; 5] =
    ["duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5", "chdb==4.4.0", "boto3", "pytz"];

/// Who else aggregates the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    DuckDb,
    ClickHouse,
    /// Python that reads an object after the other.
    Sequential,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::ClickHouse => "chdb",
            Self::Sequential => "sequential",
        }
    }
}

/// The peers' environment.
pub struct Peers {
    python: PathBuf,
    script: PathBuf,
    folder: PathBuf,
}

/// What a peer made of an hour.
pub struct Answer {
    /// Of the query alone.
    pub seconds: f64,
    /// One line a symbol: symbol, open, high, low, close, volume, ticks, sum of close, sum of
    /// close * volume.
    pub rows: String,
}

impl Peers {
    /// Installs the engines under `folder`, unless they are there.
    ///
    /// # Errors
    /// No Python, or a package that cannot be had.
    pub fn install(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("peers");
        let python = folder.join("bin").join("python");
        let installed = folder.join("installed");
        if fs::read_to_string(&installed).ok() != Some(PACKAGES.join(" ")) {
            eprintln!("installing {} into {}", PACKAGES.join(", "), folder.display());
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&folder);
            succeed(&mut venv)
                .context("make a Python environment (Debian: apt-get install python3-venv)")?;
            succeed(
                Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES),
            )?;
            fs::write(&installed, PACKAGES.join(" "))?;
        }
        let script = folder.join("peers.py");
        fs::write(&script, SCRIPT)?;
        Ok(Self { python, script, folder })
    }

    /// # Errors
    /// A query that fails; here and below.
    pub fn ask(&self, peer: Peer, source: &Source) -> anyhow::Result<Answer> {
        let shape = if source.enveloped { "envelope" } else { "bare" };
        self.answer([peer.name(), shape, &source.glob()], source)
    }

    /// A symbol's minutes of a day by DuckDB. `shape`: `lines` or `lake`.
    pub fn ask_symbol(&self, shape: &str, source: &Source, keys: &str) -> anyhow::Result<Answer> {
        self.answer(["duckdb-symbol", shape, &source.glob_of(keys)], source)
    }

    fn answer(&self, arguments: [&str; 3], source: &Source) -> anyhow::Result<Answer> {
        let rows = self.folder.join("rows");
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(arguments).arg(&rows).envs(source.environment());
        let printed = succeed(&mut command)?;
        let seconds = printed
            .trim()
            .parse()
            .with_context(|| format!("{} printed \"{printed}\"", arguments[0]))?;
        Ok(Answer { seconds, rows: fs::read_to_string(rows)? })
    }
}

fn succeed(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {complaint}", command.get_program().display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
