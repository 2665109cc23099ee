//! [`Folder`]: files of a test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::stack::unique_name;

/// A folder of a test's own, readable by this user only. It is deleted with the value.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(kind: &str) -> Self {
        let path = std::env::temp_dir().join(unique_name(kind));
        fs::create_dir(&path).expect("make a folder for the test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .expect("protect the test's folder");
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a new file with `text`.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).expect("write a file of the test's");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
