//! A local directory in the place of a bucket: the files' relative paths are the keys.

use super::{Object, StoreError};
use anyhow::Context;
use service::Failure;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A directory tree that is read as an archive.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Arc<Path>,
}

impl LocalStore {
    pub fn open(root: &Path) -> Result<Self, Failure> {
        if root.is_dir() {
            return Ok(Self { root: root.into() });
        }
        let error = anyhow::anyhow!("{} is no directory (--bucket file://)", root.display());
        Err(Failure::Configuration(error))
    }

    pub fn location(&self) -> String {
        format!("file://{}/", self.root.display())
    }

    /// `prefix`: a folder, or the path of one file.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let mut objects = Vec::new();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            let metadata = match fs::metadata(self.root.join(prefix)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(objects),
                metadata => metadata.context("cannot find it"),
            };
            let found = metadata.and_then(|metadata| object(prefix, &metadata));
            return found.map(|object| vec![object]).map_err(StoreError::Unavailable);
        }
        let mut folders = vec![self.root.join(prefix)];
        while let Some(folder) = folders.pop() {
            self.list_folder(&folder, &mut folders, &mut objects)
                .with_context(|| format!("cannot list {}", folder.display()))
                .map_err(StoreError::Unavailable)?;
        }
        Ok(objects)
    }

    pub fn folders(&self, stem: &str) -> Result<Vec<String>, StoreError> {
        let (parent, start) =
            stem.rsplit_once('/').map_or(("", stem), |(parent, start)| (parent, start));
        let path = self.root.join(parent);
        let read = || -> anyhow::Result<Vec<String>> {
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut folders = Vec::new();
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // A link to a folder is one, as for a listing of it; one that leads nowhere is
                // none.
                if name.starts_with(start)
                    && fs::metadata(entry.path()).is_ok_and(|found| found.is_dir())
                {
                    folders.push(if parent.is_empty() {
                        format!("{name}/")
                    } else {
                        format!("{parent}/{name}/")
                    });
                }
            }
            Ok(folders)
        };
        read()
            .with_context(|| format!("cannot list {}", path.display()))
            .map_err(StoreError::Unavailable)
    }

    fn list_folder(
        &self,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
        objects: &mut Vec<Object>,
    ) -> anyhow::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let is_link = entry.file_type()?.is_symlink();
            let metadata = match fs::metadata(&path) {
                // Deleted since the directory was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            match path.strip_prefix(&self.root)?.to_str() {
                // It may lead back to where it stands.
                _ if metadata.is_dir() && is_link => skip(&path, "a link to a folder"),
                _ if metadata.is_dir() => folders.push(path),
                _ if !metadata.is_file() => skip(&path, "no file"),
                None => skip(&path, "its name is not UTF-8"),
                Some(key) => objects.push(object(key, &metadata)?),
            }
        }
        Ok(())
    }

    /// Writes a file as an object, all of it at once; gives its etag.
    pub fn put(&self, key: &str, path: &Path) -> Result<String, StoreError> {
        let target = self.root.join(key);
        let partial = target.with_extension("partial");
        let write = || -> anyhow::Result<String> {
            fs::create_dir_all(target.parent().unwrap_or(&self.root))?;
            fs::copy(path, &partial)?;
            File::open(&partial)?.sync_all()?;
            fs::rename(&partial, &target)?;
            Ok(etag(&fs::metadata(&target)?))
        };
        write()
            .with_context(|| format!("cannot write {}", target.display()))
            .map_err(StoreError::Unavailable)
    }

    pub fn copy(&self, from: &str, to: &str) -> Result<String, StoreError> {
        let (source, target) = (self.root.join(from), self.root.join(to));
        let link = || -> anyhow::Result<String> {
            fs::create_dir_all(target.parent().unwrap_or(&self.root))?;
            fs::hard_link(&source, &target)?;
            Ok(etag(&fs::metadata(&target)?))
        };
        let what = || format!("cannot copy {} to {}", source.display(), target.display());
        link().with_context(what).map_err(StoreError::Unavailable)
    }

    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let error =
                    anyhow::Error::new(error).context(format!("cannot delete {}", path.display()));
                Err(StoreError::Refused(error))
            }
            _ => Ok(()),
        }
    }

    pub fn get(&self, object: &Object) -> Result<File, StoreError> {
        let path = self.root.join(&*object.key);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if etag(&metadata) == object.etag => Ok(file),
            Ok(_) => Err(StoreError::Moved),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::Moved),
            Err(error) => {
                let error =
                    anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
                Err(StoreError::Refused(error))
            }
        }
    }
}

fn skip(path: &Path, why: &str) {
    tracing::warn!(key = %path.display(), error = %why, "{}: skipped, {why}", path.display());
}

fn object(key: &str, metadata: &Metadata) -> anyhow::Result<Object> {
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let last_modified = Object::stored_at(Some(i64::try_from(modified.as_micros())?));
    Ok(Object { key: key.into(), etag: etag(metadata), size: metadata.len(), last_modified })
}

fn etag(metadata: &Metadata) -> String {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    format!("{}-{}", modified.as_nanos(), metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_link_to_a_folder_is_one_of_the_folders_and_one_that_leads_nowhere_is_not() {
        let (elsewhere, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("one.json"), "{}").unwrap();
        fs::create_dir_all(root.path().join("raw/1")).unwrap();
        fs::write(root.path().join("raw/4"), "a file").unwrap();
        symlink(elsewhere.path(), root.path().join("raw/2")).unwrap();
        symlink(root.path().join("nowhere"), root.path().join("raw/3")).unwrap();
        let store = LocalStore::open(root.path()).unwrap();
        let mut folders = store.folders("raw/").unwrap();
        folders.sort_unstable();
        assert_eq!(folders, ["raw/1/", "raw/2/"]);
        let listed = store.list("raw/2/").unwrap();
        assert_eq!(
            listed.iter().map(|object| &*object.key).collect::<Vec<_>>(),
            ["raw/2/one.json"]
        );
    }

    #[test]
    fn what_is_no_file_with_a_name_in_utf_8_is_passed_over_and_the_rest_listed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("raw")).unwrap();
        let path = |name: &[u8]| root.path().join("raw").join(OsStr::from_bytes(name));
        symlink(".", path(b"back")).unwrap();
        symlink("nowhere", path(b"dangling.json")).unwrap();
        let _socket = UnixListener::bind(path(b"socket.json")).unwrap();
        // Whoever opens it waits for a writer.
        let pipe = std::process::Command::new("mkfifo").arg(path(b"pipe.json")).status();
        assert!(pipe.unwrap().success());
        for name in [&b"one.json"[..], b"\xff.json"] {
            fs::write(path(name), "{}").unwrap();
        }
        let listed = LocalStore::open(root.path()).unwrap().list("raw/").unwrap();
        assert_eq!(listed.iter().map(|object| &*object.key).collect::<Vec<_>>(), ["raw/one.json"]);
    }
}
