//! Reading an object of the lake back from the store.

use super::file;
use super::read::{self, HourOfTopic};
use super::sort::{nameless, rewound};
use crate::archive::{Body, Object, ObjectStore, StoreError};
use crate::checksum::{Checksum, TickContent};
use crate::holdings::Holdings;
use crate::scan::HourBars;
use crate::stop::stopped;
use common::Place;
use service::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

/// How objects of the lake are read.
#[derive(Clone, Copy)]
pub struct LakeReader<'a> {
    pub store: &'a ObjectStore,
    /// Where an object may lie meanwhile.
    pub folder: &'a Path,
    pub stop: &'a CancellationToken,
}

/// Summary of an object's contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjectContents {
    pub rows: u64,
    /// Checksum of all its ticks with their places.
    pub checksum: u64,
    /// Digest of its bytes.
    pub digest: u64,
}

impl ObjectContents {
    /// Whether both have the same ticks, however these are written.
    #[must_use]
    pub fn has_ticks_of(&self, other: &Self) -> bool {
        (self.rows, self.checksum) == (other.rows, other.checksum)
    }
}

/// How often an object is asked for: a store may break off.
const TRIES: u32 = 3;

/// Why an object was not read.
#[derive(Debug)]
pub enum LakeReadError {
    /// It is gone, or was replaced since it was listed.
    Moved,
    /// Not a file of the lake, with the reason.
    Damaged(String),
    /// The store or the disk is to blame.
    Away(Failure),
}

impl LakeReader<'_> {
    /// Reads an object and adds what it holds to `known`.
    ///
    /// # Errors
    /// [`LakeReadError`].
    pub async fn read(
        self,
        object: &Object,
        known: Holdings,
    ) -> Result<(Holdings, ObjectContents), LakeReadError> {
        let add = |holdings: &mut Holdings, content: &TickContent<'_>, place: Place| {
            holdings.add(place.partition, place.number(), content);
            Ok(())
        };
        self.visit(object, known, add).await
    }

    /// Shows each tick of an object to `take`, with what it gathers in. An error of `take` counts
    /// as the disk's.
    ///
    /// # Errors
    /// [`LakeReadError`].
    pub async fn visit<T: Send + 'static>(
        self,
        object: &Object,
        mut into: T,
        take: impl Fn(&mut T, &TickContent<'_>, Place) -> io::Result<()> + Send + 'static,
    ) -> Result<(T, ObjectContents), LakeReadError> {
        let (file, digest) = self.fetch(object).await?;
        let visited = tokio::task::spawn_blocking(move || {
            let (mut checksum, mut failed) = (Checksum::default(), Ok(()));
            let rows = file::each(file, &mut |content, place| {
                checksum.add(Checksum::of(content, place.number()));
                if failed.is_ok() {
                    failed = take(&mut into, content, place);
                }
            });
            let rows = rows.map_err(|error| LakeReadError::Damaged(error.to_string()))?;
            failed.map_err(|error| LakeReadError::Away(Failure::Infrastructure(error.into())))?;
            Ok((into, ObjectContents { rows, checksum: checksum.exact, digest }))
        });
        let visited =
            visited.await.unwrap_or_else(|panic| Err(LakeReadError::Damaged(panic.to_string())));
        if self.stop.is_cancelled() { Err(LakeReadError::Away(stopped())) } else { visited }
    }

    /// Sums up an object's ticks. `digest`: of the bytes that were compared. No page tells whether
    /// it is as it was written.
    ///
    /// # Errors
    /// [`LakeReadError`].
    pub async fn sum_up(
        self,
        (object, digest): (&Object, u64),
        of: HourOfTopic,
    ) -> Result<HourBars, LakeReadError> {
        let ((file, fetched), stop) = (self.fetch(object).await?, self.stop.clone());
        if fetched != digest {
            return Err(LakeReadError::Damaged(
                "its bytes are not those that were compared".to_owned(),
            ));
        }
        let summed =
            tokio::task::spawn_blocking(move || read::sum_up(&file, &of, &|| stop.is_cancelled()));
        let summed = match summed.await {
            Ok(summed) => summed.map_err(|error| LakeReadError::Damaged(error.to_string())),
            Err(panic) => Err(LakeReadError::Damaged(panic.to_string())),
        };
        if self.stop.is_cancelled() { Err(LakeReadError::Away(stopped())) } else { summed }
    }

    /// A copy of an object on the disk, and the digest of its bytes.
    async fn fetch(self, object: &Object) -> Result<(File, u64), LakeReadError> {
        let Self { store, folder, stop } = self;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut body = Digesting { body: store.read(object, stop).await?, digest: Xxh3::new() };
            let mut file = nameless(folder)
                .map_err(|error| LakeReadError::Away(Failure::Infrastructure(error.into())))?;
            let copied = tokio::task::spawn_blocking(move || {
                io::copy(&mut body, &mut file)?;
                Ok((rewound(file)?, body.digest.digest()))
            });
            match copied.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                Ok(fetched) => return Ok(fetched),
                Err(_) if stop.is_cancelled() => return Err(LakeReadError::Away(stopped())),
                Err(_) if tries < TRIES => {}
                Err(error) => {
                    let what = format!(
                        "reading {}{} to {} (--temp-dir)",
                        store.location(),
                        object.key,
                        folder.display()
                    );
                    return Err(LakeReadError::Away(Failure::Infrastructure(
                        anyhow::Error::new(error).context(what),
                    )));
                }
            }
        }
    }
}

/// A body with the digest of what was read of it.
struct Digesting {
    body: Body,
    digest: Xxh3,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

impl From<StoreError> for LakeReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Moved => Self::Moved,
            error => Self::Away(error.into()),
        }
    }
}
