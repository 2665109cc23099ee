//! Secrets in files, and the proof that they stay there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Child;

/// A folder of secret files, readable by this user only. It is deleted with the value.
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(super::unique_name("secrets"));
        fs::create_dir(&folder).expect("make a folder for the test's secrets");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("protect the test's secrets");
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a new file with `text`.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("write a secret file");
        path.to_str().expect("a temporary folder's name is text").to_owned()
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Fails where a secret shows in what the process has printed, or in what `ps` shows of it while it runs.
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
