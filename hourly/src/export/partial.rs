//! [`Partial`]: a file that nobody sees under its name before it is whole.

use anyhow::Context;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How often a file is opened that another process has just given its name.
const TRIES: u32 = 3;

/// A file that is being written, next to its final place. It is deleted with the value; what a
/// killed process has left is overwritten by the next one.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    partial: PathBuf,
    is_whole: bool,
    /// Held until its name is gone, or another's.
    _lock: File,
}

impl Partial {
    /// Gives the file to write to as well.
    ///
    /// # Errors
    /// Where it cannot be made, or another process is writing it.
    pub fn create(path: PathBuf) -> anyhow::Result<(Self, File)> {
        // A link goes on leading to its file.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let what = || format!("cannot write {} (--output)", partial.display());
        for _ in 0..TRIES {
            let file = open(&partial).with_context(what)?;
            if is_locked(&file, &partial).with_context(what)? {
                file.set_len(0).with_context(what)?;
                let lock = file.try_clone().with_context(what)?;
                return Ok((Self { path, partial, is_whole: false, _lock: lock }, file));
            }
        }
        anyhow::bail!("another process is writing {} (--output)", path.display())
    }

    /// Gives it its name. `file` has all of it.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn finish(mut self, file: &File) -> anyhow::Result<()> {
        let what = || format!("cannot write {} (--output)", self.path.display());
        file.sync_all().with_context(what)?;
        fs::rename(&self.partial, &self.path).with_context(what)?;
        sync_folder(&self.path).with_context(what)?;
        self.is_whole = true;
        Ok(())
    }
}

fn open(partial: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(partial)
}

/// Locks a file; `false` where another process has it, or it has another name by now: then that one
/// is done with it.
fn is_locked(file: &File, partial: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let own = file.metadata()?;
    let there = fs::metadata(partial);
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

/// A name lasts once its folder is written.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_whole {
            // The next one overwrites it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_there_under_its_name_once_it_is_whole_and_one_before_stays_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        fs::write(&path, "before").unwrap();
        // A killed process has left more than comes now.
        fs::write(folder.path().join("ticks.csv.partial"), "much more").unwrap();
        let (partial, mut file) = Partial::create(path.clone()).unwrap();
        file.write_all(b"now").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        partial.finish(&file).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "now");
        drop(Partial::create(path.clone()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_another_process_has_finished_meanwhile_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (path, partial) =
            (folder.path().join("ticks.csv"), folder.path().join("ticks.csv.partial"));
        let (first, mut file) = Partial::create(path.clone()).unwrap();
        let opened = open(&partial).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!is_locked(&opened, &partial).unwrap());
        first.finish(&file).unwrap();
        drop(file);
        assert!(!is_locked(&opened, &partial).unwrap(), "it is the finished file");
        let (second, _file) = Partial::create(path.clone()).unwrap();
        assert!(!is_locked(&opened, &partial).unwrap(), "it is another file");
        drop(second);
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("ticks.csv"), folder.path().join("latest"));
        fs::write(&path, "before").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (partial, mut file) = Partial::create(link.clone()).unwrap();
        file.write_all(b"now").unwrap();
        partial.finish(&file).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "now");
    }

    #[test]
    fn two_processes_do_not_write_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        let _first = Partial::create(path.clone()).unwrap();
        let error = Partial::create(path).unwrap_err().to_string();
        assert!(error.contains("another process is writing"), "{error}");
    }
}
