//! What holds of the repository itself, read as it lies there: its sources and its pages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test may say so with a panic"
)]

mod circles;
mod docs;
mod sources;
mod widths;

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 10] = [
    "anomalies",
    "common",
    "service",
    "testing",
    "speed-layer",
    "hourly",
    "reconciliation",
    "batch-layer",
    "workbench",
    "xtask",
];

/// The root folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust files below a folder, with what stands in them.
fn rust_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => rust_files(&path),
        Some(end) if end == "rs" => vec![(path.clone(), fs::read_to_string(&path).unwrap())],
        _ => Vec::new(),
    };
    paths.flat_map(read).collect()
}
