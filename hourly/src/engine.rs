//! [`Engine`]: hours with explicit lists of objects in, mergeable sums out.
//!
//! It knows the store and no database: which objects make up an hour, and what becomes of the sums,
//! is decided elsewhere. It reads objects itself, or has a cluster read many at once ([`Bulk`]);
//! either gives the same. What it has read of hours that are still to come is kept in
//! [`PendingHours`], so that an object is usually read once.

pub mod conflicts;

use crate::archive::Object;
use crate::bulk::Bulk;
use crate::hour::Hour;
use crate::pending_hours::{self, MAX_BARS, PendingHour, PendingHours};
use crate::reader::{Breakage, IN_FLIGHT, ReadError, Reader};
use crate::scan::{Exclusions, HourBars, Offsets, Scan};
use crate::stop::stopped;
use futures::stream::{self, StreamExt};
use service::Failure;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Result of the attempt to sum up an hour.
#[derive(Debug)]
pub enum Summed {
    Complete(HourBars),
    /// An object was no longer the one that was asked for.
    Moved(Object),
    /// An object cannot be read.
    Broken(Object, Breakage),
    /// It has more symbols than there is memory for.
    TooWide,
}

/// Reads objects, several at a time.
pub struct Engine {
    pub reader: Reader,
    /// The engine that may read objects instead.
    pub bulk: Bulk,
    pending: PendingHours,
    stop: CancellationToken,
    /// The sizes of the objects that were read since they were asked for last.
    read: Vec<u64>,
}

impl Engine {
    #[must_use]
    pub fn new(reader: Reader, stop: CancellationToken) -> Self {
        Self {
            reader,
            bulk: Bulk::default(),
            pending: PendingHours::default(),
            stop,
            read: Vec::new(),
        }
    }

    /// The sizes of the objects that were read since the last call.
    pub fn take_read(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.read)
    }

    /// Has objects read by the cluster, where there is one; the reader then gives what they hold.
    ///
    /// # Errors
    /// Where the cluster is away, or refuses what is asked.
    pub async fn read_ahead(&mut self, objects: &[Object]) -> Result<(), Failure> {
        // It sees by itself that the run is to end, and says so to the server.
        let scans = self.bulk.scan(objects, &self.reader).await?;
        self.reader.keep_ahead(scans);
        Ok(())
    }

    /// Keeps what an object holds, so that it need not be read again for those of its hours that
    /// `keep` names.
    ///
    /// # Errors
    /// Where the store is away or the run is stopped.
    pub async fn remember(
        &mut self,
        object: &Object,
        scan: &mut Scan,
        keep: impl Fn(Hour) -> bool,
    ) -> Result<(), Failure> {
        self.read.push(object.size);
        let parts = std::mem::take(&mut scan.hours);
        self.add_to_pending(object, parts, keep).await
    }

    /// Forgets what an earlier version of an object has given.
    pub fn forget_object(&mut self, key: &str) {
        self.pending.forget_object(key);
    }

    /// Forgets all that was read.
    pub fn forget_all(&mut self) {
        self.pending = PendingHours::default();
    }

    /// Forgets every hour before `hour`.
    pub fn forget_before(&mut self, hour: Hour) {
        self.pending.forget_before(hour);
    }

    /// Sums up what `objects`, which come in the order of their keys, hold of an hour: of two
    /// records with the same place the one in the earlier key counts. What they hold of hours that
    /// `keep` names is kept for later.
    ///
    /// # Errors
    /// Where the store is away or the run is stopped.
    pub async fn sum(
        &mut self,
        hour: Hour,
        objects: &[Object],
        keep: impl Fn(Hour) -> bool,
    ) -> Result<Summed, Failure> {
        loop {
            // The second time all of them are read, in order.
            if let Some(summed) = self.sum_once(hour, objects, &keep).await? {
                return Ok(summed);
            }
        }
    }

    /// `None` where the objects' order decides what counts, and what was kept of them had come in
    /// another.
    async fn sum_once(
        &mut self,
        hour: Hour,
        objects: &[Object],
        keep: &impl Fn(Hour) -> bool,
    ) -> Result<Option<Summed>, Failure> {
        // What was kept of others, for another question, is in sums that cannot be taken apart.
        if self.pending.holds_others(hour, objects) {
            self.pending.take(hour);
        }
        let missing: Vec<_> = objects
            .iter()
            .filter(|object| !self.pending.holds(hour, &object.key))
            .cloned()
            .collect();
        // What a cluster says of some objects is in memory until all of them are remembered.
        for some in missing.chunks(self.bulk.at_once()) {
            self.read_ahead(some).await?;
            if let Some(unread) = self.read_some(hour, some, keep).await? {
                return Ok(Some(unread));
            }
        }
        let total = self.pending.take(hour);
        match objects.first() {
            // One of them was read for an earlier hour, changed since, and is missing here or too
            // much.
            _ if total.is_too_wide => Ok(Some(Summed::TooWide)),
            Some(first) if total.objects.len() != objects.len() => {
                Ok(Some(Summed::Moved(first.clone())))
            }
            _ if total.depends_on_order() => Ok(None),
            _ => self.find_conflicts(hour, objects, total).await.map(Some),
        }
    }

    /// Reads and remembers some objects; returns the first obstacle.
    async fn read_some(
        &mut self,
        hour: Hour,
        some: &[Object],
        keep: &impl Fn(Hour) -> bool,
    ) -> Result<Option<Summed>, Failure> {
        let (reader, stop) = (self.reader.clone(), self.stop.clone());
        let mut reads = stream::iter(some.to_vec())
            .map(|object| {
                let reader = reader.clone();
                async move {
                    let scan = reader.read_beside_others(&object).await;
                    (object, scan)
                }
            })
            .buffered(IN_FLIGHT);
        while let Some((object, mut scan)) =
            stop.run_until_cancelled(reads.next()).await.ok_or_else(stopped)?
        {
            if matches!(scan, Err(ReadError::Wide)) {
                scan = self.reader.read(&object, None).await;
            }
            match scan {
                Ok(mut scan) => {
                    self.remember(&object, &mut scan, |other| other == hour || keep(other)).await?
                }
                Err(error) => return unread(&object, error).map(Some),
            }
        }
        Ok(None)
    }

    /// Looks at what several objects tell of the same records, if there are such.
    async fn find_conflicts(
        &mut self,
        hour: Hour,
        objects: &[Object],
        total: PendingHour,
    ) -> Result<Summed, Failure> {
        let PendingHour { mut sum, objects: spans, .. } = total;
        let spans_of_objects =
            |object: &Object| (object.clone(), spans.get(&object.key).copied().flatten());
        let spans_of_objects: Vec<_> = objects.iter().map(spans_of_objects).collect();
        let search =
            conflicts::ConflictSearch { reader: &self.reader, hour, objects: &spans_of_objects };
        let stop = self.stop.clone();
        match stop
            .run_until_cancelled(search.run(&sum.repeated, &mut self.read))
            .await
            .ok_or_else(stopped)?
        {
            Ok(conflicts) => {
                sum.conflicts = conflicts;
                Ok(Summed::Complete(sum))
            }
            Err((object, error)) => unread(&object, error),
        }
    }

    /// Sums up the ticks of `objects` in an hour, without the records that `known` has.
    ///
    /// # Errors
    /// Where the store is away or the run is stopped.
    pub async fn sum_without(
        &mut self,
        hour: Hour,
        objects: &[Object],
        known: &Offsets,
    ) -> Result<Summed, Failure> {
        let (mut sum, mut known) = (HourBars::default(), known.clone());
        for object in objects {
            let exclude: Exclusions = [(hour, known.clone())].into_iter().collect();
            let stop = self.stop.clone();
            let read = self.reader.read(object, Some(Arc::new(exclude)));
            match stop.run_until_cancelled(read).await.ok_or_else(stopped)? {
                Ok(scan) => {
                    self.read.push(object.size);
                    for (_, part) in scan.hours.into_iter().filter(|(of, _)| *of == hour) {
                        known.add_all(part.offsets.clone());
                        let Some(more) = pending_hours::joined(sum, part) else {
                            return Ok(Summed::TooWide);
                        };
                        sum = more;
                    }
                }
                Err(error) => return unread(object, error),
            }
        }
        Ok(Summed::Complete(sum))
    }

    /// Sums up the ticks of `object` in an hour, only the records that `known` has.
    ///
    /// # Errors
    /// Where the store is away or the run is stopped.
    pub async fn sum_known(
        &mut self,
        hour: Hour,
        object: &Object,
        known: &Offsets,
    ) -> Result<Summed, Failure> {
        let named: Exclusions = [(hour, known.clone())].into_iter().collect();
        let stop = self.stop.clone();
        let read = self.reader.read_named(object, Arc::new(named));
        match stop.run_until_cancelled(read).await.ok_or_else(stopped)? {
            Ok(scan) => {
                self.read.push(object.size);
                let part = scan.hours.into_iter().find(|(of, _)| *of == hour);
                Ok(Summed::Complete(part.map(|(_, part)| part).unwrap_or_default()))
            }
            Err(error) => unread(object, error),
        }
    }

    /// Adds parts to the pending hours; reads the object again where records of it are there
    /// already.
    async fn add_to_pending(
        &mut self,
        object: &Object,
        parts: Vec<(Hour, HourBars)>,
        keep: impl Fn(Hour) -> bool,
    ) -> Result<(), Failure> {
        let needed = |parts: Vec<(Hour, HourBars)>| {
            parts.into_iter().filter(|(hour, _)| keep(*hour)).collect()
        };
        let again = self.pending.merge_object(&object.key, needed(parts));
        if !again.is_empty() {
            match self.reader.read(object, Some(Arc::new(again))).await {
                Ok(scan) => {
                    self.read.push(object.size);
                    let rest = self.pending.merge_object(&object.key, needed(scan.hours));
                    debug_assert!(rest.is_empty(), "what overlapped was left out");
                }
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped()),
                // The hour's total then lacks the object, which is noticed when it is to be
                // written.
                Err(ReadError::Moved | ReadError::Broken(_) | ReadError::Wide) => {}
            }
        }
        self.pending.shrink(MAX_BARS);
        Ok(())
    }
}

/// The effect on an hour of an object that was not read.
fn unread(object: &Object, error: ReadError) -> Result<Summed, Failure> {
    match error {
        ReadError::Moved => Ok(Summed::Moved(object.clone())),
        ReadError::Broken(broken) => Ok(Summed::Broken(object.clone(), broken)),
        ReadError::Wide => Ok(Summed::TooWide),
        ReadError::Outage(failure) => Err(failure),
        ReadError::Stopped => Err(stopped()),
    }
}
