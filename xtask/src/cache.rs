//! Downloads, kept in the user's cache folder. An entry appears by a rename, so a broken download
//! is never taken for a whole one.

use crate::files;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn root() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no cache folder: set XDG_CACHE_HOME or HOME")?;
    Ok(base.join("stock-lambda"))
}

/// Path of the folder `key`. Where it is not there yet, `fill` is given an empty folder to fill.
pub fn entry(key: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    entry_in(&root()?, key, fill)
}

fn entry_in(root: &Path, key: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = root.join(key);
    if done.is_dir() {
        return Ok(done);
    }
    let partial = root.join(format!(".{key}.{}", std::process::id()));
    files::remove_dir(&partial)?;
    files::create_dir(&partial)?;
    if let Err(error) = fill(&partial) {
        // The cause matters more than what is left over; the next attempt starts from an empty
        // folder anyway.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    match fs::rename(&partial, &done) {
        Ok(()) => Ok(done),
        // Another process was quicker; its entry is as good.
        Err(_) if done.is_dir() => {
            let _ = fs::remove_dir_all(&partial);
            Ok(done)
        }
        Err(error) => Err(error).with_context(|| format!("cannot create {}", done.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_download_leaves_no_entry_and_the_next_attempt_starts_empty() {
        let root = tempfile::tempdir().unwrap();
        let failed = entry_in(root.path(), "kafka-1", |dir| {
            fs::write(dir.join("half.jar"), "half")?;
            anyhow::bail!("connection lost")
        });
        assert_eq!(failed.unwrap_err().to_string(), "connection lost");
        assert!(!root.path().join("kafka-1").exists());

        let done = entry_in(root.path(), "kafka-1", |dir| {
            assert_eq!(fs::read_dir(dir)?.count(), 0);
            Ok(fs::write(dir.join("whole.jar"), "whole")?)
        })
        .unwrap();
        assert!(done.join("whole.jar").is_file());
    }

    #[test]
    fn an_entry_that_exists_is_not_filled_again() {
        let root = tempfile::tempdir().unwrap();
        entry_in(root.path(), "kafka-1", |_| Ok(())).unwrap();
        entry_in(root.path(), "kafka-1", |_| anyhow::bail!("filled twice")).unwrap();
    }
}
