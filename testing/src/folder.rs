//! Files of a test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::{Builder, TempDir};

/// A folder of a test's own, readable by this user only. It is deleted with the value.
pub fn folder() -> TempDir {
    let made = Builder::new().permissions(Permissions::from_mode(0o700)).tempdir();
    made.expect("make a folder for the test")
}

/// The path of a new file with `text`.
pub fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("write a file of the test's");
    path
}
