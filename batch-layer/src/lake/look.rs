//! Reading an object of the lake back from the store.

use super::file;
use super::sort::{nameless, rewound};
use crate::archive::{Object, Store, StoreError};
use crate::checksum::{Checksum, Content};
use crate::stop::stopped;
use crate::verify::Holdings;
use common::Place;
use service::Failure;
use std::fs::File;
use std::io;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// What an object holds.
pub struct Held {
    pub rows: u64,
    /// Of all its ticks with their places.
    pub checksum: u64,
    pub holdings: Holdings,
}

/// Why an object was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is gone, or was replaced since it was listed.
    Moved,
    /// What lies there is no file of the lake.
    Damaged(String),
    /// The store or the disk is to blame.
    Away(Failure),
}

/// Reads an object and adds what it holds to `known`. `folder`: where it may lie meanwhile.
///
/// # Errors
/// [`Unread`].
pub async fn read(
    store: &Store,
    object: &Object,
    room: (&Path, &CancellationToken),
    known: Holdings,
) -> Result<Held, Unread> {
    let taken = visit(store, object, room, Held { rows: 0, checksum: 0, holdings: known }, |held, content, place| {
        held.holdings.add(place.partition, place.number(), content);
        Ok(())
    });
    let (held, Seen { rows, checksum }) = taken.await?;
    Ok(Held { rows, checksum, ..held })
}

/// What was seen of an object as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub rows: u64,
    /// Of all its ticks with their places.
    pub checksum: u64,
}

/// Shows each tick of an object to `take`, with what it gathers in.
///
/// # Errors
/// [`Unread`]; an error of `take` counts as the disk's.
pub async fn visit<T: Send + 'static>(
    store: &Store,
    object: &Object,
    (folder, stop): (&Path, &CancellationToken),
    mut into: T,
    take: impl Fn(&mut T, &Content<'_>, Place) -> io::Result<()> + Send + 'static,
) -> Result<(T, Seen), Unread> {
    let file = fetch(store, object, (folder, stop)).await?;
    let visited = tokio::task::spawn_blocking(move || {
        let (mut checksum, mut failed) = (Checksum::default(), Ok(()));
        let rows = file::each(file, &mut |content, place| {
            checksum.add(Checksum::of(content, place.number()));
            if failed.is_ok() {
                failed = take(&mut into, content, place);
            }
        });
        let rows = rows.map_err(|error| Unread::Damaged(error.to_string()))?;
        failed.map_err(|error| Unread::Away(Failure::Infrastructure(error.into())))?;
        Ok((into, Seen { rows, checksum: checksum.exact }))
    });
    let visited = visited.await.unwrap_or_else(|panic| Err(Unread::Damaged(panic.to_string())));
    if stop.is_cancelled() { Err(Unread::Away(stopped())) } else { visited }
}

/// How often an object is asked for: a store may break off.
const TRIES: u32 = 3;

/// A copy of an object on the disk.
async fn fetch(store: &Store, object: &Object, (folder, stop): (&Path, &CancellationToken)) -> Result<File, Unread> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut body = match store.read(object, stop).await {
            Ok(body) => body,
            Err(StoreError::Moved) => return Err(Unread::Moved),
            Err(error) => return Err(Unread::Away(error.into())),
        };
        let file = nameless(folder).map_err(|error| Unread::Away(Failure::Infrastructure(error.into())))?;
        let copied = tokio::task::spawn_blocking(move || {
            let mut file = file;
            io::copy(&mut body, &mut file)?;
            rewound(file)
        });
        match copied.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(file) => return Ok(file),
            Err(_) if tries < TRIES && !stop.is_cancelled() => {}
            Err(_) if stop.is_cancelled() => return Err(Unread::Away(stopped())),
            Err(error) => {
                let what = format!("reading {}{} to {} (--temp-dir)", store.location(), object.key, folder.display());
                return Err(Unread::Away(Failure::Infrastructure(anyhow::Error::new(error).context(what))));
            }
        }
    }
}
