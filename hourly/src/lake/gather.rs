//! [`gather()`]: an hour's ticks of one topic out of the raw objects.

use super::look::{LakeReadError, LakeReader};
use super::sort::Sorter;
use super::table::PublishedObject;
use crate::archive::{Object, Origin};
use crate::checksum::TickContent;
use crate::holdings::Holdings;
use crate::hour::Hour;
use crate::reader::{ReadError, Reader};
use crate::scan::{self, Line, LinePosition, ScanError, Visitor};
use common::decode::DecodedTick;
use common::{Place, Price, Reject};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The ticks of an hour, each once.
pub struct Gathered {
    pub sorter: Sorter,
    /// Over what they say other than prices and volume, which no other checksum is over.
    pub extras: u64,
    /// The ticks that the lake must hold, with checksums by block.
    pub holdings: Holdings,
}

impl Gathered {
    #[must_use]
    pub fn new(sorter: Sorter) -> Self {
        Self { sorter, extras: 0, holdings: Holdings::default() }
    }

    /// How many ticks of an hour there are, whether they are all asked for or not.
    #[must_use]
    pub fn ticks(&self, hour: Hour) -> u64 {
        let held = self.holdings.hours.get(&hour).into_iter();
        held.flat_map(|held| held.partitions.values()).map(|held| held.ticks).sum()
    }
}

/// Reads `objects`, which come in the order of their keys: of two records with the same place the
/// first counts, as in the summaries. `gathered`: what is there already.
///
/// # Errors
/// Where an object cannot be read; with the object.
pub async fn gather(
    reader: &Reader,
    hour: Hour,
    objects: &[Object],
    gathered: Gathered,
) -> Result<Gathered, (Object, ReadError)> {
    let gatherer = Gatherer::new(hour, gathered, TicksWithoutOffsets::Refused);
    for object in objects {
        gatherer.read(reader, object).await.map_err(|error| (object.clone(), error))?;
    }
    Ok(gatherer.finish())
}

/// Treatment of ticks whose lines carry no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicksWithoutOffsets {
    /// Their object counts as broken.
    Refused,
    /// They come before those that carry one, at places below zero ([`is_without_offset`]).
    Taken,
}

/// Whether a place is a made-up one, of a tick whose line carries no offset.
#[must_use]
pub const fn is_without_offset(place: Place) -> bool {
    place.offset < 0
}

/// Gathers the ticks of an hour and a topic, object by object.
pub struct Gatherer(Arc<Mutex<Gathering>>);

impl Gatherer {
    /// `gathered`: what is there already.
    #[must_use]
    pub fn new(hour: Hour, gathered: Gathered, without_offsets: TicksWithoutOffsets) -> Self {
        let origin = Origin { partition: 0, start_offset: 0 };
        let (taken, seen, has_unread, failed) = (0, 0, false, None);
        Self(Arc::new(Mutex::new(Gathering {
            hour,
            gathered,
            without_offsets,
            origin,
            taken,
            seen,
            has_unread,
            failed,
        })))
    }

    /// Takes the ticks of an object that are not there yet. One that cannot be read to its end
    /// leaves those before.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read(&self, reader: &Reader, object: &Object) -> Result<(), ReadError> {
        let shared = Arc::clone(&self.0);
        {
            let mut gathering = shared.lock().unwrap_or_else(PoisonError::into_inner);
            (gathering.taken, gathering.has_unread) = (0, false);
        }
        // An object that is read once more, because the store broke off, brings no record a second
        // time.
        let read = reader.read_with(object, None, move |body, options| {
            let mut gathering = shared.lock().unwrap_or_else(PoisonError::into_inner);
            (gathering.origin, gathering.seen) = (options.origin, 0);
            let seen = scan::visit(body, options, &mut *gathering);
            let failed = gathering.failed.take().map_or(Ok(()), Err);
            seen.and(failed).map_err(|error| ScanError { error, hours: Vec::new() })
        });
        read.await
    }

    /// Whether the object that was read last says something other than prices and volume that could
    /// not be read.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).has_unread
    }

    #[must_use]
    pub fn finish(self) -> Gathered {
        let mut gathering = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut holdings = std::mem::take(&mut gathering.gathered.holdings);
        holdings.flush();
        let (sorter, extras) =
            (std::mem::take(&mut gathering.gathered.sorter), gathering.gathered.extras);
        Gathered { sorter, extras, holdings }
    }
}

/// Adds those ticks of an object of the lake that are not there yet: raw objects of them are gone.
/// Gives why that cannot be done.
///
/// # Errors
/// Where it cannot be read, or is no longer what it was.
pub async fn add_kept(
    gathered: Gathered,
    look: LakeReader<'_>,
    published: &PublishedObject,
) -> Result<Gathered, LakeReadError> {
    let object = look.store.find(&published.key).await?;
    let added = look.visit(&object, gathered, |gathered, content, place| {
        if !gathered.holdings.add(place.partition, place.number(), content) {
            return Ok(());
        }
        gathered.extras = gathered.extras.wrapping_add(extras_of(content, place));
        gathered.sorter.push(content, place)
    });
    let (mut gathered, contents) = added.await?;
    if !contents.has_ticks_of(&published.contents) {
        return Err(LakeReadError::Damaged("it was overwritten, and holds other ticks".to_owned()));
    }
    gathered.holdings.flush();
    Ok(gathered)
}

/// The checksum of what a tick says other than prices and volume; parts add up. 0 where that is
/// nothing.
#[must_use]
pub fn extras_of(content: &TickContent<'_>, place: Place) -> u64 {
    let extras = &content.extras;
    if extras.is_empty() {
        return 0;
    }
    let nanos = |price: Option<Price>| price.map_or(0, Price::nanos);
    let mut text =
        format!("{} {} {:?}", nanos(extras.bid()), nanos(extras.ask()), extras.sequence());
    for code in extras.conditions().iter() {
        text.push('\n');
        text.push_str(code);
    }
    let hash = xxh3_64_with_seed(text.as_bytes(), place.number().unwrap_or_default());
    xxh3_64_with_seed(&hash.to_le_bytes(), u64::from(place.partition.cast_unsigned()))
}

struct Gathering {
    hour: Hour,
    gathered: Gathered,
    without_offsets: TicksWithoutOffsets,
    /// The origin of the object that is read.
    origin: Origin,
    /// How many ticks without a place it has brought, and how many were seen since its beginning.
    taken: u64,
    seen: u64,
    has_unread: bool,
    failed: Option<io::Error>,
}

/// A tick has no offset although the index says that all ticks of its object have one.
const NO_PLACE: &str = "a tick has no offset: run batch-layer, and compact again";

impl Gathering {
    fn add(&mut self, content: &TickContent<'_>, place: Place, number: Option<u64>) {
        if !self.gathered.holdings.add(place.partition, number, content) {
            return;
        }
        self.gathered.extras = self.gathered.extras.wrapping_add(extras_of(content, place));
        if let Err(error) = self.gathered.sorter.push(content, place) {
            self.failed = Some(error);
        }
    }
}

impl Visitor for Gathering {
    fn record(&mut self, record: &DecodedTick<'_>, position: LinePosition) {
        let content = TickContent::of(record);
        if Hour::of(content.timestamp) != self.hour {
            return;
        }
        self.has_unread |= content.extras.has_unread();
        match record.provenance.and_then(|provenance| scan::place_of(provenance, position.element))
        {
            Some((place, number)) => self.add(&content, place, Some(number)),
            None if self.without_offsets == TicksWithoutOffsets::Taken => {
                self.seen += 1;
                if self.seen <= self.taken {
                    return;
                }
                self.taken = self.seen;
                let place = self.origin.place(position.order);
                // In the order of the lines, and below all that are told.
                let offset = i64::MIN.saturating_add(place.offset.max(0));
                self.add(&content, Place { offset, ..place }, None);
            }
            None => self.failed = Some(io::Error::other(NO_PLACE)),
        }
    }

    /// What is no tick is in `rejected_lines`.
    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {}

    fn has_enough(&self) -> bool {
        self.failed.is_some()
    }
}
