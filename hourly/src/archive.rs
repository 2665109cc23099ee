//! Where the archive is and how it is laid out: folders by hour, and objects in an S3 store or a
//! local directory.

mod below;
mod body;
mod error;
mod format;
mod local;
mod name;
mod object;
mod prefix;
mod s3;
mod twins;

pub use body::{Body, Interrupted, Longer};
pub use error::StoreError;
pub use format::{CsvFields, Format};
pub use name::{CONFLUENT, FileName, FileNameTemplate, Origin, uncompressed};
pub use object::{MAX_OBJECTS, Object};
pub use prefix::{Folder, PrefixTemplate};
pub use s3::S3Options;
pub use twins::{Twin, find_twins};

use futures::stream::{self, Stream, StreamExt};
use local::LocalStore;
use s3::S3Store;
use service::Failure;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Folders that are listed ahead of who asks for them.
pub const LISTINGS_AHEAD: usize = 8;

/// Which store to open.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    S3(S3Options),
    /// A directory whose files' relative paths are the keys.
    Local(PathBuf),
}

/// The store of the archive. Cloning is cheap.
#[derive(Debug, Clone)]
pub enum ObjectStore {
    S3(S3Store),
    Local(LocalStore),
}

impl ObjectStore {
    /// # Errors
    /// Where the options cannot work. A store that is not there is found out by the first listing.
    pub async fn open(options: &StoreOptions) -> Result<Self, Failure> {
        Ok(match options {
            StoreOptions::S3(options) => Self::S3(S3Store::open(options).await?),
            StoreOptions::Local(root) => Self::Local(LocalStore::open(root)?),
        })
    }

    /// Every object whose key starts with `prefix`, by key.
    ///
    /// # Errors
    /// [`StoreError::Refused`] or [`StoreError::Unavailable`], with bucket and prefix.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let mut objects = match self {
            Self::S3(store) => store.list(prefix).await?,
            Self::Local(store) => store.list(prefix)?,
        };
        if objects.len() > MAX_OBJECTS {
            return Err(StoreError::TooMany);
        }
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// The listings of folders, in their order, some ahead.
    pub fn listings(
        &self,
        folders: Vec<Folder>,
    ) -> impl Stream<Item = (Folder, Result<Vec<Object>, StoreError>)> + Unpin + use<> {
        let store = self.clone();
        let listings = stream::iter(folders).map(move |folder| {
            let store = store.clone();
            async move {
                let listing = store.list(&folder.prefix).await;
                (folder, listing)
            }
        });
        Box::pin(listings.buffered(LISTINGS_AHEAD))
    }

    /// The folders whose names begin with `stem`, from `from` on and in order of their names: with
    /// all that stands before them, and a `/` at the end. At least those of the first page are
    /// given; `all` asks for the others, too.
    ///
    /// # Errors
    /// As [`ObjectStore::list`].
    pub async fn folders(
        &self,
        stem: &str,
        from: &str,
        all: bool,
    ) -> Result<Vec<String>, StoreError> {
        let mut folders = match self {
            Self::S3(store) => store.folders(stem, from, all).await?,
            Self::Local(store) => store.folders(stem)?,
        };
        // Not every store heeds where to begin.
        folders.retain(|folder| &**folder >= from);
        folders.sort_unstable();
        Ok(folders)
    }

    /// Opens an object for reading, provided that it is still the one listed. `stop` ends the
    /// reading early.
    ///
    /// # Errors
    /// [`StoreError`], with bucket and key.
    pub async fn read(
        &self,
        object: &Object,
        stop: &CancellationToken,
    ) -> Result<Body, StoreError> {
        match self {
            Self::S3(store) => {
                // What the SDK needs for a request is large, and would be moved with each future
                // that it is a part of.
                let stream = Box::pin(store.get(object)).await?;
                Ok(Body::streamed(stream, object.size, stop.clone()).await)
            }
            Self::Local(store) => Ok(Body::file(store.get(object)?, object.size, stop.clone())),
        }
    }

    /// Writes a file as an object, all of it at once; gives its etag.
    ///
    /// # Errors
    /// [`StoreError`], with the key.
    pub async fn put(&self, key: &str, path: &Path) -> Result<String, StoreError> {
        match self {
            Self::S3(store) => store.put(key, path).await,
            Self::Local(store) => store.put(key, path),
        }
    }

    /// Copies an object of `size` bytes, all of it at once; gives the copy's etag.
    ///
    /// # Errors
    /// [`StoreError`], with the key.
    pub async fn copy(&self, from: &str, to: &str, size: u64) -> Result<String, StoreError> {
        match self {
            Self::S3(store) => store.copy(from, to, size).await,
            Self::Local(store) => store.copy(from, to),
        }
    }

    /// Deletes an object. That there is none is no error.
    ///
    /// # Errors
    /// [`StoreError`], with the key.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self {
            Self::S3(store) => store.delete(key).await,
            Self::Local(store) => store.delete(key),
        }
    }

    /// An object as the store lists it.
    ///
    /// # Errors
    /// [`StoreError::Moved`] where it is not there.
    pub async fn find(&self, key: &str) -> Result<Object, StoreError> {
        let listed = self.list(key).await?;
        listed.into_iter().find(|object| &*object.key == key).ok_or(StoreError::Moved)
    }

    /// Deletes an object that is still the one listed.
    ///
    /// # Errors
    /// [`StoreError::Moved`] where it is gone, or another one.
    pub async fn delete_listed(&self, object: &Object) -> Result<(), StoreError> {
        let now = self.find(&object.key).await?;
        if now.etag != object.etag || now.size != object.size {
            return Err(StoreError::Moved);
        }
        match self {
            Self::S3(store) => store.delete_listed(object).await,
            Self::Local(store) => store.delete(&object.key),
        }
    }

    /// For messages: `s3://stock-data/` or `file:///data/`.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::S3(store) => store.location(),
            Self::Local(store) => store.location(),
        }
    }
}
