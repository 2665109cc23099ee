//! File operations whose errors name the file.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The root folder of the workspace.
pub fn workspace() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_owned()
}

/// Full path of a program.
pub fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

pub fn create_dir(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// What is written to it comes behind what it has.
pub fn open_log(file: &Path) -> Result<fs::File> {
    let log = fs::OpenOptions::new().create(true).append(true).open(file);
    log.with_context(|| format!("cannot write {}", file.display()))
}

pub fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Deletes a folder that may not exist.
pub fn remove_dir(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Deletes a file that may not exist.
pub fn remove_file(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The file's path and its last lines, for an error message.
pub fn tail(file: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
    format!("the end of {}:\n  {last}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_the_path_and_only_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kafka.log");
        let lines: String = (1..=100).map(|number| format!("line {number}.\n")).collect();
        write(&file, &lines).unwrap();
        let tail = tail(&file);
        assert!(tail.starts_with(&format!("the end of {}:", file.display())), "{tail}");
        assert!(tail.ends_with("line 100."), "{tail}");
        assert!(tail.contains("line 81.") && !tail.contains("line 80."), "{tail}");
    }
}
