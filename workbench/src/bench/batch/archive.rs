//! Where an archive is read from: the local folder, or a bucket that it was put into.

use super::data::FOLDER;
use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use testing::TestBucket;

/// Objects on their way at once.
const IN_FLIGHT: usize = 8;

/// Objects that are put at once: they are large.
const PUTS_IN_FLIGHT: usize = 2;

/// One archive, for all who read it.
pub struct Source {
    place: ArchiveKind,
    pub enveloped: bool,
}

enum ArchiveKind {
    Folder(PathBuf),
    Bucket(TestBucket),
}

impl Source {
    pub fn local(root: &Path) -> anyhow::Result<Self> {
        let root =
            root.canonicalize().with_context(|| format!("cannot find {}", root.display()))?;
        Ok(Self { place: ArchiveKind::Folder(root), enveloped: false })
    }

    pub fn enveloped(self) -> Self {
        Self { enveloped: true, ..self }
    }

    /// A bucket with nothing in it.
    pub async fn empty() -> Self {
        Self { place: ArchiveKind::Bucket(TestBucket::create().await), enveloped: false }
    }

    /// Adds an object to a bucket.
    ///
    /// # Errors
    /// A store that is not there, or a folder.
    pub async fn put(&self, key: &str, text: String) -> anyhow::Result<()> {
        match &self.place {
            ArchiveKind::Folder(root) => anyhow::bail!("{} is kept as it is", root.display()),
            ArchiveKind::Bucket(bucket) => bucket.put(key, text).await,
        }
    }

    /// Puts the archive of a folder into a bucket of its own.
    ///
    /// # Errors
    /// A store that is not there.
    pub async fn stored(root: &Path) -> anyhow::Result<Self> {
        let bucket = TestBucket::create().await;
        let paths: Vec<PathBuf> = fs::read_dir(root.join(FOLDER))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        let put = |path: PathBuf| {
            let bucket = &bucket;
            async move {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .context("a name that is no text")?;
                bucket.put_in_parts(&format!("{FOLDER}/{name}"), fs::read(&path)?.into()).await
            }
        };
        stream::iter(paths)
            .map(put)
            .buffer_unordered(PUTS_IN_FLIGHT)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(Self { place: ArchiveKind::Bucket(bucket), enveloped: false })
    }

    /// Reads everything once, so that nobody pays for a cold disk.
    ///
    /// # Errors
    /// An object that is not there.
    pub async fn warm(&self) -> anyhow::Result<()> {
        match &self.place {
            ArchiveKind::Folder(root) => {
                for entry in fs::read_dir(root.join(FOLDER))? {
                    std::io::copy(&mut File::open(entry?.path())?, &mut std::io::sink())?;
                }
            }
            ArchiveKind::Bucket(bucket) => {
                let listed = bucket.list(FOLDER).await?;
                let gets = stream::iter(listed)
                    .map(|listed| async move { bucket.get(&listed.key).await.map(drop) });
                gets.buffer_unordered(IN_FLIGHT).try_collect::<Vec<_>>().await?;
            }
        }
        Ok(())
    }

    /// How large the objects below a prefix are, together.
    ///
    /// # Errors
    /// A store that is not there, or a folder.
    pub async fn bytes(&self, prefix: &str) -> anyhow::Result<i64> {
        match &self.place {
            ArchiveKind::Folder(root) => anyhow::bail!("{} is no bucket", root.display()),
            ArchiveKind::Bucket(bucket) => {
                Ok(bucket.list(prefix).await?.iter().map(|object| object.size).sum())
            }
        }
    }

    /// All its objects, as peers name them.
    pub fn glob(&self) -> String {
        self.glob_of(&format!("{FOLDER}/*"))
    }

    /// Objects whose keys match, as peers name them.
    pub fn glob_of(&self, keys: &str) -> String {
        match &self.place {
            ArchiveKind::Folder(root) => format!("{}/{keys}", root.display()),
            ArchiveKind::Bucket(bucket) => format!("s3://{}/{keys}", bucket.name()),
        }
    }

    /// As `batch-layer --bucket` takes it.
    pub fn bucket(&self) -> String {
        match &self.place {
            ArchiveKind::Folder(root) => format!("file://{}", root.display()),
            ArchiveKind::Bucket(bucket) => bucket.name().to_owned(),
        }
    }

    /// Address and keys of the store.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match &self.place {
            ArchiveKind::Folder(_) => Vec::new(),
            ArchiveKind::Bucket(bucket) => bucket.env().into(),
        }
    }
}
