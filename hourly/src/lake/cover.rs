//! `batch-layer compact --delete-covered`: raw objects are deleted whose every tick the lake has.
//!
//! Hour by hour the lake's objects, which an earlier run has written, are read back once more and
//! compared with the raw ones. An object goes when all hours that it has ticks of were compared so
//! in this run.

use super::covered::{self, CoverQuery, RawObject};
use super::gather::{Gathered, Gatherer, TicksWithoutOffsets, extras_of};
use super::look::LakeReader;
use super::sort::{RowFilter, Sorter};
use super::source::{self, LakeSourceError};
use super::table::{self, PublishedObject};
use crate::archive::{Object, ObjectStore, StoreError};
use crate::checksum::TickContent;
use crate::holdings::{Holdings, HourHoldings, find_difference};
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::output::print;
use crate::progress::size;
use crate::reader::{ReadError, Reader};
use crate::stop::stopped;
use common::{Place, Timestamp};
use service::Failure;
use service::words::inflected;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Objects that are announced together.
const OBJECTS_PER_DELETION: usize = 100;
/// Objects of which the log says why they stay, reason by reason; the others are counted.
const NAMED: u64 = 10;

/// How to end a difference that each run finds again.
const HOW_TO_FIX: &str = "Where the raw objects are right and all there, `batch-layer --recompute \
                          --from-lake never` and compact write the hour again; where some were \
                          deleted because the lake has them, known records keep their values: put \
                          the earlier version back, or keep what is there";

/// Dependencies of deleting.
pub struct DeleteCovered<'a> {
    pub db: &'a mut BatchDb,
    pub store: &'a ObjectStore,
    pub reader: &'a Reader,
    pub prefix: &'a str,
    pub folder: &'a Path,
    pub run_id: i64,
    /// The decode rules of this run, as stored in `batch_hours.decode_rules`.
    pub decode_rules: &'a str,
    pub stop: &'a CancellationToken,
    /// `--dry-run`: prints what would be deleted, and deletes nothing.
    pub is_dry: bool,
}

/// Counts of what was deleted and kept.
#[derive(Debug, Default)]
pub struct DeletedCounts {
    pub deleted: u64,
    pub bytes: u64,
    /// Failures, each of which was logged.
    pub failed: Vec<String>,
    /// Why objects stay, and how many.
    kept: BTreeMap<String, u64>,
    /// Objects that are deleted or stay.
    seen: BTreeSet<Arc<str>>,
}

/// Hours that were compared.
#[derive(Default)]
struct Compared {
    /// The objects of the lake, by hour.
    lake: BTreeMap<Hour, Vec<String>>,
    /// Hours that are still to be compared.
    to_come: BTreeSet<Hour>,
    /// Objects with quotes, numbers or conditions that cannot be read.
    unread: BTreeSet<Arc<str>>,
}

impl DeleteCovered<'_> {
    /// Makes good what a run that was killed has left: of each object that it was about to delete
    /// it is noted what became of it. One that is there stays announced for a day: the run may be
    /// frozen, and delete it yet.
    ///
    /// # Errors
    /// Where the database fails. An object that cannot be looked for is left to the
    /// next run.
    pub async fn resolve_announced(&mut self) -> Result<(), Failure> {
        for (key, may_wake) in covered::announced(self.db).await? {
            match self.store.find(&key).await {
                Ok(_) if may_wake => {}
                Ok(_) => covered::retract(self.db, &[key]).await?,
                Err(StoreError::Moved) => self.forget(vec![key]).await?,
                Err(error) => tracing::warn!(
                    location = self.store.location(),
                    key,
                    %error,
                    "{}{key} was about to be deleted when a run ended, and nothing tells whether \
                     it was: {error}",
                    self.store.location()
                ),
            }
        }
        Ok(())
    }

    /// The index forgets what is deleted; the hours keep their ticks.
    async fn forget(&mut self, keys: Vec<String>) -> Result<(), Failure> {
        self.db.remove(&keys, Timestamp::now()).await?;
        covered::note_deleted(self.db, &keys).await
    }

    /// Deletes what the lake has, of the hours of a window.
    pub async fn run(&mut self, window: &Range<Hour>) -> Result<DeletedCounts, Failure> {
        let location = self.store.location();
        let asked = CoverQuery {
            window,
            prefix: self.prefix,
            location: &location,
            run_id: self.run_id,
            decode_rules: self.decode_rules,
        };
        let status = covered::cover_status(self.db, &asked).await?;
        let (mut done, mut compared) = (DeletedCounts::default(), Compared::default());
        compared.to_come =
            status.iter().filter(|(_, lack)| lack.is_none()).map(|(hour, _)| *hour).collect();
        let lacking = status.iter().filter_map(|(hour, lack)| Some((*hour, lack.clone()?)));
        let mut left: BTreeMap<Hour, String> = lacking.collect();
        for hour in status.into_keys() {
            if self.stop.is_cancelled() {
                return Err(stopped());
            }
            if compared.to_come.remove(&hour)
                && let Some(why) = self.compare(hour, &mut compared).await?
            {
                tracing::warn!(%hour, error = why, "hour {hour}: its raw objects stay: {why}");
                done.failed.push(format!("hour {hour}: {why}"));
                left.insert(hour, why);
            }
            self.delete_of(hour, (&compared, &left), &mut done).await?;
        }
        self.report(&done)?;
        Ok(done)
    }

    fn report(&self, done: &DeletedCounts) -> Result<(), Failure> {
        let (text, bytes) = (inflected(done.deleted, "raw object[s]"), size(done.bytes));
        if self.is_dry {
            let kept: u64 = done.kept.values().sum();
            let text = format!("{text}, {bytes}, would be deleted, and {kept} kept; nothing was\n");
            return print(&text).map_err(Failure::Infrastructure);
        }
        for (why, count) in done.kept.iter().filter(|(_, count)| **count > NAMED) {
            let objects = count - NAMED;
            let text = inflected(objects, "more raw object[s] [is|are]");
            tracing::info!(objects, error = why, "{text} not deleted: {why}");
        }
        let (objects, deleted) = (done.deleted, done.bytes);
        tracing::info!(
            objects,
            bytes = deleted,
            "{text} deleted, whose ticks the lake has: {bytes}"
        );
        Ok(())
    }

    /// Compares the lake with the raw objects of an hour; gives how they differ.
    async fn compare(
        &mut self,
        hour: Hour,
        compared: &mut Compared,
    ) -> Result<Option<String>, Failure> {
        let objects = self.db.objects_of(hour).await?;
        let topics = self.reader.by_topic(objects, |indexed| indexed.object);
        let published =
            table::published_objects(self.db, self.prefix, &(hour..hour.plus(1))).await?;
        for (topic, objects) in topics {
            let raw = match self.of_raw(hour, &objects, compared).await {
                Ok(raw) => raw,
                Err(LakeSourceError::OfObject(why)) => return Ok(Some(why)),
                Err(LakeSourceError::OfRun(failure)) => return Err(failure),
            };
            let of_topic: Vec<&PublishedObject> =
                published.iter().filter(|object| object.source == topic).collect();
            if let Some(why) = self.differs(hour, raw, &of_topic).await? {
                return Ok(Some(format!(
                    "the lake differs from the raw objects of {topic:?}: {why}. {HOW_TO_FIX}"
                )));
            }
        }
        compared.lake.insert(hour, published.into_iter().map(|object| object.key).collect());
        Ok(None)
    }

    /// Reads an hour's ticks from raw objects.
    async fn of_raw(
        &self,
        hour: Hour,
        objects: &[Object],
        compared: &mut Compared,
    ) -> Result<Gathered, LakeSourceError> {
        let nothing = Sorter::new(self.folder).only(RowFilter::nothing());
        let gatherer = Gatherer::new(hour, Gathered::new(nothing), TicksWithoutOffsets::Refused);
        for object in objects {
            let what = format!("{}{}", self.store.location(), object.key);
            match gatherer.read(self.reader, object).await {
                Ok(()) if gatherer.has_unread() => {
                    compared.unread.insert(Arc::clone(&object.key));
                }
                Ok(()) => {}
                Err(ReadError::Outage(failure)) => return Err(LakeSourceError::OfRun(failure)),
                Err(ReadError::Stopped) => return Err(LakeSourceError::OfRun(stopped())),
                Err(ReadError::Moved) => {
                    return Err(LakeSourceError::OfObject(format!(
                        "{what} has changed since batch-layer read it"
                    )));
                }
                Err(ReadError::Wide) => {
                    return Err(LakeSourceError::OfObject(format!(
                        "{what} holds too many symbols"
                    )));
                }
                Err(ReadError::Broken(broken)) => {
                    return Err(LakeSourceError::OfObject(format!("{what}: {}", broken.why)));
                }
            }
        }
        Ok(gatherer.finish())
    }

    /// How the lake differs in what raw objects hold. It may have more, of those that are gone.
    async fn differs(
        &self,
        hour: Hour,
        raw: Gathered,
        lake: &[&PublishedObject],
    ) -> Result<Option<String>, Failure> {
        let Gathered { mut holdings, extras, .. } = raw;
        let raw = Arc::new(holdings.hours.remove(&hour).unwrap_or_default());
        let mut found = (Holdings::default(), 0_u64);
        for published in lake {
            found = match self.read_back(published, Arc::clone(&raw), found).await {
                Ok(found) => found,
                Err(LakeSourceError::OfObject(why)) => {
                    return Ok(Some(format!("{}{} {why}", self.store.location(), published.key)));
                }
                Err(LakeSourceError::OfRun(failure)) => return Err(failure),
            };
        }
        let (mut held, held_extras) = found;
        held.flush();
        let difference = find_difference(Some(&raw), held.hours.get(&hour));
        Ok(difference.or_else(|| {
            (extras != held_extras)
                .then(|| "ticks have other quotes, numbers or conditions".to_owned())
        }))
    }

    /// Adds what an object of the lake holds of the places of raw ones.
    async fn read_back(
        &self,
        published: &PublishedObject,
        raw: Arc<HourHoldings>,
        into: (Holdings, u64),
    ) -> Result<(Holdings, u64), LakeSourceError> {
        let look = LakeReader { store: self.store, folder: self.folder, stop: self.stop };
        let take =
            move |(held, extras): &mut (Holdings, u64), content: &TickContent<'_>, place: Place| {
                if raw.offsets.has(place) && held.add(place.partition, place.number(), content) {
                    *extras = extras.wrapping_add(extras_of(content, place));
                }
                Ok(())
            };
        source::visit(look, published, into, take).await
    }

    /// Deletes those objects of an hour that have no ticks of an hour that is still to come.
    /// `left`: hours that were not compared, and why.
    async fn delete_of(
        &mut self,
        hour: Hour,
        (compared, left): (&Compared, &BTreeMap<Hour, String>),
        done: &mut DeletedCounts,
    ) -> Result<(), Failure> {
        let mut covered = Vec::new();
        for raw in covered::raw(self.db, hour).await? {
            let is_waiting = raw.hours.iter().any(|of| compared.to_come.contains(of));
            if is_waiting || done.seen.contains(&raw.object.key) {
                continue;
            }
            match obstacle(&raw, self.decode_rules, compared, left) {
                None => covered.push(raw),
                Some(why) => self.keep(&raw, why, done)?,
            }
        }
        for raw in &covered {
            done.seen.insert(Arc::clone(&raw.object.key));
        }
        for some in covered.chunks(OBJECTS_PER_DELETION) {
            if self.is_dry {
                self.show(some, done)?
            } else {
                self.delete(some, compared, done).await?
            }
        }
        Ok(())
    }

    fn keep(&self, raw: &RawObject, why: String, done: &mut DeletedCounts) -> Result<(), Failure> {
        done.seen.insert(Arc::clone(&raw.object.key));
        let count = done.kept.entry(why.clone()).or_default();
        *count += 1;
        let (location, key) = (self.store.location(), &raw.object.key);
        if self.is_dry {
            return print(&format!("keep    {location}{key}: {why}\n"))
                .map_err(Failure::Infrastructure);
        }
        if *count <= NAMED {
            let key = &**key;
            tracing::info!(location, key, error = why, "{location}{key} is not deleted: {why}");
        }
        Ok(())
    }

    fn show(&self, some: &[RawObject], done: &mut DeletedCounts) -> Result<(), Failure> {
        for RawObject { object, hours, .. } in some {
            let hours: Vec<String> = hours.iter().map(Hour::to_string).collect();
            let (location, bytes) = (self.store.location(), object.size);
            print(&format!(
                "delete  {location}{} ({bytes} bytes): {}\n",
                object.key,
                hours.join(", ")
            ))
            .map_err(Failure::Infrastructure)?;
            (done.deleted, done.bytes) = (done.deleted + 1, done.bytes + bytes);
        }
        Ok(())
    }

    /// Announces some objects, deletes them one by one, and notes which are gone.
    async fn delete(
        &mut self,
        some: &[RawObject],
        compared: &Compared,
        done: &mut DeletedCounts,
    ) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(stopped());
        }
        covered::announce(self.db, self.run_id, &some.iter().collect::<Vec<_>>(), &compared.lake)
            .await?;
        let (mut deleted, mut left) = (Vec::new(), Vec::new());
        for RawObject { object, .. } in some {
            let key = object.key.to_string();
            if self.stop.is_cancelled() {
                left.push(key);
                continue;
            }
            match self.delete_one(object).await {
                Ok(()) => {
                    (done.deleted, done.bytes) = (done.deleted + 1, done.bytes + object.size);
                    deleted.push(key);
                }
                Err((why, is_there)) => {
                    let location = self.store.location();
                    let text = format!("{location}{key} was not deleted: {why}");
                    tracing::warn!(location, key, error = %why, "{text}");
                    done.failed.push(text);
                    left.extend(is_there.then_some(key));
                }
            }
        }
        self.forget(deleted).await?;
        covered::retract(self.db, &left).await
    }

    /// The error says why it was not deleted, and whether it is certainly there. Of one that
    /// nothing is known of the next run finds out.
    async fn delete_one(&self, object: &Object) -> Result<(), (String, bool)> {
        let error = match self.store.delete_listed(object).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Moved) => "it was replaced or deleted meanwhile".to_owned(),
            Err(error) => error.to_string(),
        };
        match self.store.find(&object.key).await {
            Ok(_) => Err((error, true)),
            // It was deleted, though the answer was lost.
            Err(StoreError::Moved) => Ok(()),
            Err(_) => Err((error, false)),
        }
    }
}

/// Why an object is not deleted.
fn obstacle(
    raw: &RawObject,
    decode_rules: &str,
    compared: &Compared,
    left: &BTreeMap<Hour, String>,
) -> Option<String> {
    if raw.decode_rules != decode_rules {
        return Some(
            "batch-layer has read it by other flags about messages: give compact the same"
                .to_owned(),
        );
    }
    if raw.rejected > 0 {
        return Some(
            "nothing else has those of its lines that are no ticks (rejected_lines)".to_owned(),
        );
    }
    if raw.lacks_offsets {
        return Some("its lines have no offsets".to_owned());
    }
    if raw.is_broken {
        return Some("it cannot be read (broken_archive_objects)".to_owned());
    }
    if !raw.is_merged {
        return Some("summaries do not have all of its ticks yet: run batch-layer".to_owned());
    }
    if compared.unread.contains(&raw.object.key) {
        return Some(
            "its ticks have quotes, numbers or conditions that cannot be read, which nothing else \
             has"
            .to_owned(),
        );
    }
    if let Some((of, why)) = raw.hours.iter().find_map(|of| Some((of, left.get(of)?))) {
        return Some(format!("it has ticks of {of}: {why}"));
    }
    let other = raw.hours.iter().find(|of| !compared.lake.contains_key(of))?;
    Some(format!("it has ticks of {other}, which was not compared in this run"))
}

/// For messages of a run that is over.
#[must_use]
pub fn failures(failed: &[String]) -> Option<String> {
    let first = failed.first()?;
    let count = inflected(
        failed.len() as u64,
        "raw object[s], or hour[s] of them, [was|were] not deleted though the lake has them",
    );
    Some(format!("{count}; the first: {first}"))
}
