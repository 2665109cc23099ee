//! Reading what is new in the archive's folders into the index.

use super::{RELIST_TRIES, WindowRun};
use crate::archive::{FileName, Folder, LISTINGS_AHEAD, Object, StoreError, Twin};
use crate::hour::Hour;
use crate::index::{
    Fingerprints, Indexed, IndexedHour, IndexedObject, KnownObjects, NewestPlaces, newest_of,
};
use crate::reader::{Breakage, BrokenKind, IN_FLIGHT, ReadError};
use crate::scan::{HourBars, Scan};
use crate::state;
use crate::stop::stopped;
use crate::survey::{Change, ChangeKind, OlderTwin, compare};
use anyhow::Context as _;
use common::Timestamp;
use futures::stream::{self, StreamExt};
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use service::telemetry::TRACED;
use service::words::{counted, inflected};
use std::iter;
use std::sync::Arc;
use tracing::Instrument;

/// Changes that are gathered over folders before they are read, so that small folders are read side
/// by side.
const CHANGES_GATHERED: usize = 2000;
/// Objects that are indexed in one transaction, unless they have many rejected lines.
const ENTRIES_AT_ONCE: usize = 500;
const REJECTS_AT_ONCE: usize = 4000;
/// Rows of objects and hours that are written in one transaction, unless a single object has more.
const HOURS_AT_ONCE: usize = 20_000;
/// Offsets of an object and hour that are kept until sums have them. Those of a million neighbours
/// take a hundred bytes, with a gap after each hundred of them 40,000.
const MAX_OFFSET_BYTES: usize = 1 << 16;
const OFFSET_BYTES_AT_ONCE: usize = 4 << 20;
/// Unknown files that are named in the log; the others are counted.
const UNKNOWN_NAMED: usize = 10;

impl WindowRun {
    /// Indexes the folders that this run has not indexed yet.
    pub(super) async fn index_folders(&mut self, mut folders: Vec<Folder>) -> Result<(), Failure> {
        folders.retain(|folder| !self.folders.listed.contains(&folder.prefix));
        self.folders.listed.extend(folders.iter().map(|folder| folder.prefix.clone()));
        self.find_new_folders(&folders).await?;
        if let Some(there) = &self.folders.existing {
            let known = self.db.known_folders(&folders).await?;
            let is_there = |folder: &Folder| there.contains(self.template.level(&folder.prefix));
            let broken = &self.broken;
            let was_read =
                |prefix: &Arc<str>| known.contains(&**prefix) || broken.contains_key(prefix);
            folders.retain(|folder| is_there(folder) || was_read(&folder.prefix));
        }
        self.check_whereabouts(&folders).await?;
        let moved = self.index_once(folders, self.recompute).await?;
        self.index_again(moved).await
    }

    /// Indexes the folders of objects that could not be read before: they may have been mended or
    /// deleted.
    pub(super) async fn index_broken_folders(&mut self) -> Result<(), Failure> {
        let folders = self.broken.keys().map(|prefix| self.folder_of(prefix)).collect();
        self.index_folders(folders).await
    }

    /// Indexes the folders of deleted objects of the window and of hours of which something is
    /// missing, wherever they lie: the objects may be there again. Those of another template are
    /// looked for by its own runs.
    pub(super) async fn index_folders_of_deleted(&mut self) -> Result<(), Failure> {
        let window = self.plan.window.clone();
        let directories = self.db.directories_of_deleted(&window, &self.incomplete_hours).await?;
        let folders = directories.iter().filter_map(|name| self.template.folder_below(name));
        let mut folders: Vec<Folder> = folders.collect();
        // The directories of a folder come one after the other.
        folders.dedup();
        self.index_folders(folders).await
    }

    /// The folder of a directory: the one that it lies below, or itself, without hours, where it
    /// lies below none of this template's.
    pub(super) fn folder_of(&self, directory: &Arc<str>) -> Folder {
        let hours = self.plan.due..self.plan.due;
        let itself = || Folder { prefix: Arc::clone(directory), hours };
        self.template.folder_below(directory).unwrap_or_else(itself)
    }

    /// Objects that cannot be read, by the folders that this run would find them in. `found`: by
    /// those in which they were.
    pub(super) fn place_broken(
        &self,
        found: FxHashMap<Arc<str>, Vec<String>>,
    ) -> FxHashMap<Arc<str>, Vec<String>> {
        let mut placed: FxHashMap<Arc<str>, Vec<String>> = FxHashMap::default();
        for (folder, keys) in found {
            for key in keys {
                let own = self.template.prefix_below(&key).map(Arc::from);
                placed.entry(own.unwrap_or_else(|| Arc::clone(&folder))).or_default().push(key);
            }
        }
        placed
    }

    /// The objects that hold ticks of an hour, by key, each in the folder that this run would find
    /// it in.
    pub(super) async fn objects_of(&mut self, hour: Hour) -> Result<Vec<Indexed>, Failure> {
        let mut objects = self.db.objects_of(hour).await?;
        for indexed in &mut objects {
            let own = self.template.prefix_below(&indexed.object.key);
            if let Some(own) = own.filter(|own| **own != *indexed.folder) {
                indexed.folder = own.into();
            }
        }
        Ok(objects)
    }

    /// Indexes folders whose objects changed after they had been listed, until they hold still.
    pub(super) async fn index_again(&mut self, mut moved: Vec<Change>) -> Result<(), Failure> {
        for _ in 0..RELIST_TRIES {
            let mut folders: Vec<Folder> = moved.into_iter().map(|change| change.folder).collect();
            folders.dedup();
            if folders.is_empty() {
                return Ok(());
            }
            moved = self.index_once(folders, false).await?;
        }
        for Change { object, folder, .. } in moved {
            let why =
                "it is replaced again and again while it is read, or is longer than it is listed"
                    .to_owned();
            let broken = Breakage { kind: BrokenKind::Unavailable, why, hours: Vec::new() };
            self.note_broken(&object, &folder, broken).await?;
        }
        Ok(())
    }

    /// Lists folders and reads what has changed. Gives the changes whose objects were no longer
    /// those listed. `force` reads everything in the window's own folders; in others too would draw
    /// in their neighbours, and so on.
    async fn index_once(
        &mut self,
        folders: Vec<Folder>,
        force: bool,
    ) -> Result<Vec<Change>, Failure> {
        // Those that have come meanwhile share a query of the index.
        let mut listings = self.store.listings(folders).ready_chunks(LISTINGS_AHEAD);
        let (mut gathered, mut moved, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        let list = || tracing::info_span!(target: TRACED, "list");
        while let Some(listed) = self.unless_stopped(listings.next().instrument(list())).await? {
            let prefixes: Vec<&str> = listed.iter().map(|(folder, _)| &*folder.prefix).collect();
            let mut known = self.db.folders(&prefixes, &self.decode_rules).await?;
            for (folder, listing) in listed {
                let listing = match listing {
                    Err(error) if error.is_of_one_folder() => {
                        self.fail_folder(&folder, &error);
                        continue;
                    }
                    listing => listing?,
                };
                let known = known.remove(&*folder.prefix).unwrap_or_default();
                let (deleted, mended) = self.no_longer_broken(&folder, &listing, &known);
                // In folders farther off a change of flags would draw in their neighbours, and so
                // on through all of history.
                let (is_own, is_near) = (self.touches_window(&folder), self.is_near(&folder));
                let force = force && is_own && self.is_read_anew(&folder);
                let objects_kept_for_lake = if force {
                    Box::pin(self.objects_kept_for_lake(&folder)).await?
                } else {
                    FxHashSet::default()
                };
                let is_forced = |key: &str| force && !objects_kept_for_lake.contains(key);
                let listed = listing.len();
                let survey = compare(&folder, listing, known, &self.names, is_near, is_forced);
                if is_near && listed > survey.passed_over {
                    self.folders.window.insert(Arc::clone(&folder.prefix));
                }
                self.objects_listed += listed - survey.passed_over;
                self.unknown_files += survey.unknown.len();
                self.db.rename(&survey.renamed).await?;
                survey.renamed.iter().for_each(|(old, _)| self.engine.forget_object(old));
                self.remove(&survey.gone).await?;
                self.db.restore(&survey.back, is_own).await?;
                self.db.remove(&deleted, self.plan.kept_since).await?;
                self.db.mend(&mended).await?;
                self.log_readable_again(&mended);
                unknown.extend(survey.unknown);
                gathered.extend(survey.changes);
                if gathered.len() >= CHANGES_GATHERED {
                    moved.extend(self.read_changes(std::mem::take(&mut gathered)).await?);
                }
            }
        }
        moved.extend(self.read_changes(gathered).await?);
        self.name_unknown(&unknown);
        Ok(moved)
    }

    /// Notes that the hours of a folder are not written, because its objects are not known.
    fn fail_folder(&mut self, folder: &Folder, why: &StoreError) {
        let what = format!("not written: {}{}: {why}", self.store.location(), folder.prefix);
        Hour::each(folder.hours.clone()).for_each(|hour| self.fail(hour, &what));
    }

    /// Objects of a folder that could not be read: those that are no longer there, and those that
    /// are again as they were when they were read.
    fn no_longer_broken(
        &mut self,
        folder: &Folder,
        listing: &[Object],
        known: &KnownObjects,
    ) -> (Vec<String>, Vec<String>) {
        let keys = self.broken.remove(&folder.prefix).unwrap_or_default();
        if keys.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let listed: FxHashMap<&str, &Object> =
            listing.iter().map(|object| (&*object.key, object)).collect();
        let (there, deleted): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| listed.contains_key(&**key));
        let is_as_read =
            |key: &String| known.get(key).is_some_and(|known| known.etag == listed[&**key].etag);
        (deleted, there.into_iter().filter(is_as_read).collect())
    }

    /// Logs that broken objects can be read again; nothing else reports it.
    fn log_readable_again(&self, mended: &[String]) {
        if let Some(first) = mended.first() {
            let location = self.store.location();
            let (objects, key) = (mended.len(), first);
            let text = inflected(objects as u64, "object[s] can be read again");
            self.progress.log_done(|| {
                tracing::info!(location, objects, key, "{text}, {location}{key} the first by key");
            });
        }
    }

    async fn remove(&mut self, gone: &[String]) -> Result<(), Failure> {
        if gone.is_empty() {
            return Ok(());
        }
        let hours = self.db.remove(gone, self.plan.kept_since).await?;
        gone.iter().for_each(|key| self.engine.forget_object(key));
        let left = (gone.len() as u64).saturating_sub(hours.covered);
        if left == 0 {
            return Ok(());
        }
        let (location, key) = (self.store.location(), &gone[0]);
        let gone = inflected(left, "object[s] [is|are] gone from the archive");
        let kept = counted(hours.kept_hours, "hour");
        let lost = match hours.lost_hours {
            0 => String::new(),
            lost => {
                format!(", and are lost to {}", inflected(lost, "that [was|were] not computed yet"))
            }
        };
        let text = format!(
            "{gone}, {location}{key} the first by key; their ticks remain in the summaries of \
             {kept}{lost}"
        );
        // Other objects that have what they held may still be read.
        self.may_be_deleted |= hours.deleted > 0;
        self.progress.log(|| {
            tracing::warn!(
                location,
                objects = left,
                key,
                hours = hours.kept_hours,
                lost_hours = hours.lost_hours,
                "{text}"
            );
        });
        Ok(())
    }

    /// Logs which of the objects that were missed since the last call were deleted, and did
    /// not expire.
    pub(super) async fn name_deleted(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.may_be_deleted) {
            return Ok(());
        }
        let (count, first) = self.db.deleted_since(self.run_id, self.plan.kept_since).await?;
        if let Some(key) = first {
            let location = self.store.location();
            let what = "object[s] that [is|are] gone [was|were] stored within --lookback: no \
                        object of that age has expired, [it was|they were] deleted";
            let text = inflected(count, what);
            self.progress.log(|| {
                tracing::warn!(
                    location,
                    objects = count,
                    key,
                    "{text}, {location}{key} the first by key (view hour_completeness); restore \
                     what was deleted, or let the sink write it again"
                );
            });
        }
        Ok(())
    }

    /// Reads objects and indexes them. Gives those that were no longer there as listed.
    async fn read_changes(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, Failure> {
        if changes.is_empty() {
            return Ok(changes);
        }
        let span = tracing::info_span!(target: TRACED, "read", objects = changes.len());
        self.read_chunks(changes).instrument(span).await
    }

    async fn read_chunks(&mut self, mut changes: Vec<Change>) -> Result<Vec<Change>, Failure> {
        let mut moved = Vec::new();
        while !changes.is_empty() {
            let rest = changes.split_off(self.engine.bulk.at_once().min(changes.len()));
            let some = std::mem::replace(&mut changes, rest);
            let objects: Vec<Object> = some.iter().map(|change| change.object.clone()).collect();
            self.engine.read_ahead(&objects).await?;
            moved.extend(self.read_some(some).await?);
        }
        Ok(moved)
    }

    async fn read_some(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, Failure> {
        let (reader, stop) = (self.engine.reader.clone(), self.stop.clone());
        let mut reads = stream::iter(changes)
            .map(|change| {
                let reader = reader.clone();
                async move {
                    let scan = reader.read_beside_others(&change.object).await;
                    (change, scan)
                }
            })
            // In the order of the keys, so that the result depends on the objects alone.
            .buffered(IN_FLIGHT);
        let (mut moved, mut entries) = (Vec::new(), Vec::new());
        let mut result = Ok(());
        // What has been read when the run is stopped is still indexed.
        while let Some(next) = stop.run_until_cancelled(reads.next()).await {
            let Some((change, mut scan)) = next else {
                break;
            };
            if matches!(scan, Err(ReadError::Wide)) {
                scan = self.engine.reader.read(&change.object, None).await;
            }
            match scan {
                Ok(scan) if self.is_left_out(&change, &scan, &entries).await? => {
                    self.pass_over(&change.object, &scan)
                }
                Ok(scan) => match self.emptied(&change, &scan).await? {
                    Some(broken) => {
                        self.note_broken(&change.object, &change.folder, broken).await?
                    }
                    None => {
                        self.log_shrunk(&change, &scan).await?;
                        entries.push(self.take_in(change, scan).await?);
                    }
                },
                Err(ReadError::Moved | ReadError::Wide) => moved.push(change),
                Err(ReadError::Broken(broken)) => {
                    self.note_broken(&change.object, &change.folder, broken).await?
                }
                Err(ReadError::Outage(failure)) => result = Err(failure),
                Err(ReadError::Stopped) => result = Err(stopped()),
            }
            if result.is_err() {
                break;
            }
            if is_enough(&entries) {
                self.db.store(&entries).await?;
                entries.clear();
            }
        }
        if !entries.is_empty() {
            self.db.store(&entries).await?;
        }
        result.and_then(|()| self.check_stop()).map(|()| moved)
    }

    /// Whether an object is not indexed: by other rules, as a copy, or as an older one of its name.
    async fn is_left_out(
        &mut self,
        change: &Change,
        scan: &Scan,
        entries: &[IndexedObject],
    ) -> Result<bool, Failure> {
        Ok(self.refuses(change, scan).await?
            || self.is_copy(change, scan, entries).await?
            || self.is_outdated(change, scan, entries).await?)
    }

    /// Logs that an object whose ticks no sums have yet holds fewer now: nothing else would.
    async fn log_shrunk(&mut self, change: &Change, scan: &Scan) -> Result<(), Failure> {
        if change.kind != ChangeKind::Replaced {
            return Ok(());
        }
        let now = |hour: Hour| {
            let held = scan.hours.iter().find(|(of, _)| *of == hour);
            held.map_or(0, |(_, part)| part.ticks + part.duplicates)
        };
        let before = self.db.unsummed_ticks_by_hour(&change.object.key).await?;
        let fewer: u64 =
            before.into_iter().map(|(hour, ticks)| ticks.saturating_sub(now(hour))).sum();
        if fewer > 0 {
            let (location, key) = (self.store.location(), &change.object.key);
            let ticks = counted(fewer, "tick");
            self.progress.log(|| {
                tracing::warn!(
                    location,
                    key = &**key,
                    ticks = fewer,
                    "{location}{key} was replaced by a version with {ticks} fewer of hours that \
                     have not been written with the earlier one: no summary will have them, \
                     unless they come again"
                );
            });
        }
        Ok(())
    }

    /// What is the matter with an object that held ticks and was replaced by what is no archive of
    /// records, though it be JSON, as a proxy's error: none of its lines even has an offset.
    async fn emptied(&mut self, change: &Change, scan: &Scan) -> Result<Option<Breakage>, Failure> {
        let is_replaced = change.kind == ChangeKind::Replaced && scan.hours.is_empty();
        if !is_replaced || scan.rejects.iter().any(|line| line.kafka_position.is_some()) {
            return Ok(None);
        }
        let held = self.db.ticks_by_hour(&change.object.key).await?;
        if held.keys().all(|hour| self.may_shrink(*hour)) {
            return Ok(None);
        }
        let ticks = counted(held.values().sum(), "tick");
        let why = format!(
            "it was replaced by what holds no tick and no line that tells its place; it held \
             {ticks}, which --allow-shrink, with a window that holds their hours, takes out"
        );
        Ok(Some(Breakage { kind: BrokenKind::Damaged, why, hours: held.into_keys().collect() }))
    }

    /// Whether an object holds what another one of its name holds, which is compressed otherwise,
    /// and the index knows nothing of it: an earlier version would stay there. What counts is what
    /// that one holds as it is listed: what it held before it was replaced may be here alone. It is
    /// looked at again in each run, until one of the two is gone.
    async fn is_copy(
        &mut self,
        change: &Change,
        scan: &Scan,
        read: &[IndexedObject],
    ) -> Result<bool, Failure> {
        let is_looked_at = change.kind == ChangeKind::New && !scan.hours.is_empty();
        let Some(twin) = change.twin.as_ref().filter(|_| is_looked_at) else {
            return Ok(false);
        };
        let pairs = |of: &[IndexedHour]| {
            of.iter().map(|of| (of.hour, of.fingerprints.content)).collect::<Vec<_>>()
        };
        let ours = scan
            .hours
            .iter()
            .map(to_index_entry)
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::Infrastructure)?;
        let key = &change.object.key;
        for other in twin.others(key) {
            let theirs = match read.iter().find(|entry| entry.object.key == other.key) {
                Some(entry) => pairs(&entry.hours),
                None => self.db.content_hashes_of(other).await?,
            };
            if pairs(&ours) == theirs {
                let location = self.store.location();
                self.progress.log(|| {
                    tracing::warn!(
                        location,
                        key = &**key,
                        other = %other.key,
                        "{location}{key} holds the same as {location}{} and is passed over: delete \
                         one of them",
                        other.key
                    );
                });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if a newer object of the same name replaces this one. That is so when one of the two
    /// has no offsets, so their duplicates cannot be found. Each run looks at it again, until one
    /// of the two is gone. What the index knows about an earlier version is taken back.
    async fn is_outdated(
        &mut self,
        change: &Change,
        scan: &Scan,
        read: &[IndexedObject],
    ) -> Result<bool, Failure> {
        let Some(twin) = change.twin.as_ref().filter(|twin| twin.is_newer) else {
            return Ok(false);
        };
        let key = &change.object.key;
        // Where the newest is not known, a third one that holds the same may stand for it.
        for other in iter::once(&twin.key).chain(twin.others(key).map(|other| &other.key)) {
            let other_lacks = match read.iter().find(|entry| entry.object.key == *other) {
                Some(entry) => Some(entry.lacks_offsets),
                None => self.db.lacks_offsets(other).await?,
            };
            if let Some(other) = other_lacks {
                let is_outdated = other || scan_lacks_offsets(scan);
                if is_outdated {
                    self.note_outdated(key, &twin.key, Some(twin));
                }
                if is_outdated && change.kind != ChangeKind::New {
                    self.engine.forget_object(key);
                    self.db.take_back(key).await?;
                }
                return Ok(is_outdated);
            }
        }
        Ok(false)
    }

    /// `other`: the one that counts, which stands first by key where none is newer.
    fn note_outdated(&self, key: &str, other: &str, twin: Option<&Twin>) {
        let location = self.store.location();
        let why = if twin.is_some_and(|twin| twin.are_as_old(key, other)) {
            "is as old, the first by key and of the same name"
        } else {
            "is newer and of the same name"
        };
        self.progress.log(|| {
            tracing::warn!(
                location,
                key,
                other,
                error = why,
                "{location}{key} is passed over, because {location}{other} {why}, and lines have \
                 no offsets, so only one of the two counts: delete the other"
            );
        });
    }

    /// Names the first object with offsets that count as none.
    fn note_far_offsets(&mut self, key: &str, ticks: u64) {
        if ticks == 0 || self.has_named_far_offsets {
            return;
        }
        self.has_named_far_offsets = true;
        let location = self.store.location();
        let what = "tick[s] [has|have] an offset that no broker can assign (below zero, or of 2^48 \
                    and more), which counts as none";
        let text = inflected(ticks, what);
        self.progress.log(|| {
            tracing::warn!(
                location,
                key,
                ticks,
                "{location}{key}: {text}; other objects are not named in this run"
            );
        });
    }

    /// Counts what was read in vain.
    fn pass_over(&mut self, object: &Object, scan: &Scan) {
        self.counts.rejected_lines += scan.rejected;
        self.count_read(object.size);
    }

    async fn take_in(&mut self, change: Change, mut scan: Scan) -> Result<IndexedObject, Failure> {
        self.counts.rejected_lines += scan.rejected;
        self.note_far_offsets(&change.object.key, scan.far_offsets);
        let lacks_offsets = scan_lacks_offsets(&scan);
        let outdated = outdated_twins(&change, &scan).iter();
        let instead_of: Vec<_> = outdated.map(|older| Arc::clone(&older.key)).collect();
        for older in &instead_of {
            self.note_outdated(older, &change.object.key, change.twin.as_ref());
            self.engine.forget_object(older);
        }
        // The same bytes hold more ticks where they are said to be stored later.
        if change.kind != ChangeKind::New {
            self.engine.forget_object(&change.object.key);
        }
        let newest = self.newest_of(&change.object, &scan);
        let hours = scan
            .hours
            .iter()
            .map(to_index_entry)
            .collect::<Result<_, _>>()
            .map_err(Failure::Infrastructure)?;
        let due = self.plan.due;
        self.engine.remember(&change.object, &mut scan, |hour| hour < due).await?;
        self.count_reads();
        Ok(IndexedObject {
            wanted: self.touches_window(&change.folder),
            object: change.object,
            folder: change.folder.prefix,
            lines: scan.lines,
            rejected: scan.rejected,
            rejects: scan.rejects,
            hours,
            lacks_offsets,
            decode_rules: Arc::clone(&self.decode_rules),
            instead_of,
            newest,
        })
    }

    /// How far an object goes.
    fn newest_of(&self, object: &Object, scan: &Scan) -> NewestPlaces {
        let FileName::Records(origin) = self.names.read(&object.key) else {
            return NewestPlaces::new();
        };
        let stored_at = object.last_modified.unwrap_or_else(Timestamp::now);
        let of = (self.names.topic(&object.key), origin.partition);
        newest_of(scan.hours.iter().map(|(_, held)| held), of, stored_at)
    }

    fn name_unknown(&self, unknown: &[String]) {
        let location = self.store.location();
        for key in unknown.iter().take(UNKNOWN_NAMED) {
            self.progress.log(|| {
                tracing::warn!(
                    location,
                    key,
                    template = self.names.as_str(),
                    "{location}{key}: skipped, its name is not of the form {} (--file-name)",
                    self.names.as_str()
                );
            });
        }
        if unknown.len() > UNKNOWN_NAMED {
            let more = unknown.len() - UNKNOWN_NAMED;
            self.progress.log(|| {
                tracing::warn!(files = more, "{more} more files with other names were skipped")
            });
        }
    }
}

fn to_index_entry((hour, part): &(Hour, HourBars)) -> anyhow::Result<IndexedHour> {
    let (start, end) = (hour.start(), hour.plus(1).start());
    // An hour of an object has at least one tick.
    let first = part.bars.iter().map(|(_, bar)| bar.first.timestamp).min().unwrap_or(start);
    let last = part.bars.iter().map(|(_, bar)| bar.last.timestamp).max().unwrap_or(end);
    let (fingerprints, offsets) = fingerprints_and_offsets(part)?;
    Ok(IndexedHour {
        hour: *hour,
        ticks: part.ticks + part.duplicates,
        without_offsets: part.ticks_without_offsets(),
        span: first..=last,
        fingerprints,
        offsets: (offsets.len() <= MAX_OFFSET_BYTES).then_some(offsets),
    })
}

/// The older objects of its name that one counts in the place of.
pub(super) fn outdated_twins<'c>(change: &'c Change, scan: &Scan) -> &'c [OlderTwin] {
    let is_older_without = change.older.iter().any(|older| older.lacks_offsets);
    if is_older_without || scan_lacks_offsets(scan) { &change.older } else { &[] }
}

/// The hashes of what an object holds of an hour.
pub(super) fn fingerprints(part: &HourBars) -> anyhow::Result<Fingerprints> {
    Ok(fingerprints_and_offsets(part)?.0)
}

/// The same, and its places as bytes.
fn fingerprints_and_offsets(part: &HourBars) -> anyhow::Result<(Fingerprints, Vec<u8>)> {
    const DOING: &str = "taking a fingerprint of what an object holds";
    let offsets = state::encode_offsets(&part.offsets).context(DOING)?;
    let offsets_hash = state::offsets_hash(&offsets);
    Ok((
        Fingerprints { content: state::content_hash(part).context(DOING)?, offsets: offsets_hash },
        offsets,
    ))
}

/// Whether some ticks do not tell their offset.
fn scan_lacks_offsets(scan: &Scan) -> bool {
    scan.hours.iter().any(|(_, bars)| bars.ticks_without_offsets() > 0)
}

fn is_enough(entries: &[IndexedObject]) -> bool {
    let rejects: usize = entries.iter().map(|entry| entry.rejects.len()).sum();
    let hours: usize = entries.iter().map(|entry| entry.hours.len()).sum();
    let holdings = entries.iter().flat_map(|entry| &entry.hours);
    let bytes: usize = holdings.filter_map(|of| of.offsets.as_ref()).map(Vec::len).sum();
    entries.len() >= ENTRIES_AT_ONCE
        || rejects >= REJECTS_AT_ONCE
        || hours >= HOURS_AT_ONCE
        || bytes >= OFFSET_BYTES_AT_ONCE
}
