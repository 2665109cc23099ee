//! [`gather()`]: an hour's ticks of one topic out of the raw objects.

use super::look::{Look, Unread};
use super::publish;
use super::sort::Sorter;
use super::table::Counting;
use crate::archive::Object;
use crate::checksum::Content;
use crate::hour::Hour;
use crate::reader::{ReadError, Reader};
use crate::scan::{self, Line, ScanError, Spot, Visitor};
use crate::verify::Holdings;
use common::Reject;
use common::decode::Record;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The ticks of an hour, each once.
pub struct Gathered {
    pub sorter: Sorter,
    /// What the lake must hold, with checksums by block.
    pub holdings: Holdings,
}

/// Reads `objects`, which come in the order of their keys: of two records with the same place the first counts, as in the
/// summaries. `folder`: where ticks may be sorted.
///
/// # Errors
/// Where an object cannot be read; with the object.
pub async fn gather(
    reader: &Reader,
    hour: Hour,
    objects: &[Object],
    folder: &Path,
) -> Result<Gathered, (Object, ReadError)> {
    let gathering = Gathering { hour, sorter: Sorter::new(folder), holdings: Holdings::default(), failed: None };
    let shared = Arc::new(Mutex::new(gathering));
    for object in objects {
        let gathering = Arc::clone(&shared);
        // An object that is read once more, because the store broke off, brings no record a second time.
        let read = reader.read_with(object, None, move |body, options| {
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = scan::visit(body, options, &mut *gathering);
            let failed = gathering.failed.take().map_or(Ok(()), Err);
            seen.and(failed).map_err(|error| ScanError { error, hours: Vec::new() })
        });
        read.await.map_err(|error| (object.clone(), error))?;
    }
    let mut gathering = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut holdings = std::mem::take(&mut gathering.holdings);
    holdings.settle();
    let sorter = std::mem::replace(&mut gathering.sorter, Sorter::new(folder));
    Ok(Gathered { sorter, holdings })
}

/// Adds those ticks of an object of the lake that are not there yet: their raw objects have expired. Gives why that cannot
/// be done.
///
/// # Errors
/// Where it cannot be read, or is no longer what it was.
pub async fn add_kept(gathered: Gathered, look: Look<'_>, counting: &Counting) -> Result<Gathered, Unread> {
    let object = publish::find(look.store, &counting.key).await?;
    let added = look.visit(&object, gathered, |gathered, content, place| {
        match gathered.holdings.add(place.partition, place.number(), content) {
            true => gathered.sorter.push(content, place),
            false => Ok(()),
        }
    });
    let (mut gathered, seen) = added.await?;
    if seen != counting.seen {
        return Err(Unread::Damaged("it was overwritten, and holds other ticks".to_owned()));
    }
    gathered.holdings.settle();
    Ok(gathered)
}

struct Gathering {
    hour: Hour,
    sorter: Sorter,
    holdings: Holdings,
    failed: Option<io::Error>,
}

/// A tick tells no place, though the index says that all of its object's do.
const NO_PLACE: &str = "a tick tells no offset: run batch-layer, and compact again";

impl Visitor for Gathering {
    fn record(&mut self, record: &Record<'_>, spot: Spot) {
        let content = Content::of(record);
        if Hour::of(content.timestamp) != self.hour {
            return;
        }
        let Some((place, number)) = record.provenance.and_then(|told| scan::place_of(told, spot.index)) else {
            self.failed = Some(io::Error::other(NO_PLACE));
            return;
        };
        if self.holdings.add(place.partition, Some(number), &content)
            && let Err(error) = self.sorter.push(&content, place)
        {
            self.failed = Some(error);
        }
    }

    /// What is no tick stands in `rejected_lines`.
    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {}

    fn has_enough(&self) -> bool {
        self.failed.is_some()
    }
}
