//! Secrets in files, and the proof that they stay there.

use crate::Child;
use crate::folder::{folder, write};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder of secret files, readable by this user only. It is deleted with the value.
pub struct Secrets(TempDir);

impl Secrets {
    pub fn new() -> Self {
        Self(folder())
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The path of a new file with `text`.
    pub fn file(&self, name: &str, text: &str) -> String {
        write(&self.0, name, text).to_str().expect("a temporary folder's name is text").to_owned()
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

/// Fails where a secret shows in what the process has printed, or in what `ps` shows of it while it
/// runs.
pub fn assert_hidden(secrets: &[&str], process: &Child) {
    let proc = |file: &str| {
        let bytes = fs::read(format!("/proc/{}/{file}", process.pid())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let places = [
        ("standard error", process.stderr().join("\n")),
        ("standard output", process.stdout().join("\n")),
        ("the command line", proc("cmdline")),
        ("the environment", proc("environ")),
    ];
    for (place, text) in places {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret:?} shows in {place}: {text}");
        }
    }
}
