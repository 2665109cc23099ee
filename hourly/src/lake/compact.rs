//! `batch-layer compact`: which hours are written, and what each goes through.

use super::args::CompactArgs;
use super::cover::{self, DeleteCovered};
use super::gather::{Gathered, add_kept, extras_of, gather};
use super::inventory::Inventory;
use super::look::{LakeReadError, LakeReader, ObjectContents};
use super::publish::{self, StagedObject, VisibleObjects};
use super::sort::{Sorted, Sorter, nameless, rewound};
use super::table::{
    self, Candidate, CompactionStatus, LakeHoursQuery, LakeObject, PublishedObject,
};
use super::{file, key};
use crate::archive::{Object, ObjectStore, PrefixTemplate, StoreError};
use crate::checksum::TickContent;
use crate::holdings::{Holdings, HourHoldings, find_difference};
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::ledger::{self, Begun, RunCounts};
use crate::lock;
use crate::progress::size;
use crate::reader::{Others, ReadError, Reader};
use crate::stop::stopped;
use common::{Place, Timestamp};
use service::Failure;
use service::pg::Migrations;
use service::telemetry::TRACED;
use service::words::{counted, inflected};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Writes the hours that `args` asks for. `stop` ends it between two hours.
///
/// # Errors
/// As `batch-layer compact --help` says under exit codes.
pub async fn run(args: CompactArgs, stop: CancellationToken) -> Result<(), Failure> {
    let window = args.window(Timestamp::now())?;
    if args.database.args.migrations == Migrations::Only {
        return args.database.args.parse("batch-layer")?.migrate_only().await;
    }
    let store = ObjectStore::open(&args.archive.store()).await?;
    if args.dry_run {
        return show_covered(&args, &store, &window, &stop).await;
    }
    let Some(mut db) = lock::open(&args.database, args.takeover_after).await? else {
        return Ok(());
    };
    // Who has lost the lock must not go on.
    let stop = stop.child_token();
    let _kept = lock::spawn_heartbeat(&db, args.takeover_after, stop.clone());
    let arguments = args.describe(&window);
    let begun = Begun { arguments: &arguments, engine: "", looks_back: false, window: None };
    let run_id = match ledger::begin(&mut db, begun).await {
        Ok(run_id) => run_id,
        Err(failure) => {
            lock::release(&mut db).await;
            return Err(failure);
        }
    };
    let mut compaction = Compaction::new(&args, store, db, run_id, stop);
    let result = compaction
        .run(&args.below.prefix, &window)
        .instrument(tracing::info_span!("run", run = run_id))
        .instrument(tracing::info_span!(target: TRACED, "compact", run = run_id))
        .await;
    let Compaction { mut db, counts, .. } = compaction;
    ledger::finish(&mut db, run_id, &counts, &result).await;
    lock::release(&mut db).await;
    result
}

/// Prints which raw objects would be deleted.
async fn show_covered(
    args: &CompactArgs,
    store: &ObjectStore,
    window: &Range<Hour>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut db = args.database.open("batch-layer compact", false).await?;
    let others = Others::of(&mut db, std::slice::from_ref(&args.below.prefix), window).await?;
    let reader =
        Reader::new(store.clone(), args.archive.format(), stop.clone()).with_others(others);
    let folder = args.lake.folder();
    // Any run is later than those that have written the lake.
    let (db, prefix, run_id) = (&mut db, &*args.lake.lake_prefix, i64::MAX);
    let (reader, folder, decode_rules) = (&reader, &*folder, &*args.archive.format().describe());
    let mut cover = DeleteCovered {
        db,
        store,
        reader,
        prefix,
        folder,
        run_id,
        decode_rules,
        stop,
        is_dry: true,
    };
    let done = cover.run(window).await?;
    cover::failures(&done.failed).map_or(Ok(()), |what| Err(Failure::Partial(what)))
}

struct Compaction {
    store: ObjectStore,
    db: BatchDb,
    reader: Reader,
    /// The decode rules of this run, as stored in `batch_hours.decode_rules`.
    decode_rules: String,
    prefix: String,
    is_deleting: bool,
    /// Target size of a file, in bytes.
    target: u64,
    folder: PathBuf,
    run_id: i64,
    /// Tells its objects apart from those of another database, whose runs have the same numbers.
    begun_at: Timestamp,
    stop: CancellationToken,
    inventory: Inventory,
    counts: RunCounts,
    /// Bytes of what was written.
    written: u64,
}

/// Reason why one hour cannot be written.
enum Obstacle {
    /// Its objects are no longer those that were listed.
    Changed,
    Because(String),
    /// The run cannot go on.
    Fatal(Failure),
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error.into())
    }
}

/// A file of sorted ticks.
struct WrittenFile {
    file: File,
    rows: u64,
}

impl Compaction {
    fn new(
        args: &CompactArgs,
        store: ObjectStore,
        db: BatchDb,
        run_id: i64,
        stop: CancellationToken,
    ) -> Self {
        let format = args.archive.format();
        Self {
            decode_rules: format.describe(),
            reader: Reader::new(store.clone(), format, stop.clone()),
            store,
            db,
            prefix: args.lake.lake_prefix.clone(),
            is_deleting: args.delete_covered,
            target: args.target_size << 20,
            folder: args.lake.folder(),
            run_id,
            begun_at: Timestamp::now(),
            stop,
            inventory: Inventory::default(),
            counts: RunCounts::default(),
            written: 0,
        }
    }

    async fn run(&mut self, prefix: &PrefixTemplate, window: &Range<Hour>) -> Result<(), Failure> {
        self.reader = self
            .reader
            .clone()
            .with_others(Others::of(&mut self.db, std::slice::from_ref(prefix), window).await?);
        publish::clear(&mut self.db, &self.store, &self.prefix).await?;
        self.cover().resolve_announced().await?;
        let look = LakeReader { store: &self.store, folder: &self.folder, stop: &self.stop };
        self.inventory = Inventory::take(&mut self.db, look, &self.prefix, window).await?;
        let (decode_rules, anew, damaged) =
            (&self.decode_rules, self.inventory.hours(), self.inventory.damaged());
        let location = self.store.location();
        let asked = LakeHoursQuery {
            window,
            decode_rules,
            location: &location,
            prefix: &self.prefix,
            anew: &anew,
            damaged: &damaged,
        };
        let candidates = table::hours(&mut self.db, &asked).await?;
        let damaged = self.inventory.damaged();
        // The reasons below are complete as they are.
        report_others(candidates.iter().filter(|candidate| !damaged.contains(&candidate.hour)));
        let mut failed = self.inventory.report(&candidates);
        for candidate in
            candidates.iter().filter(|candidate| candidate.status == CompactionStatus::Due)
        {
            if self.stop.is_cancelled() {
                return Err(stopped());
            }
            if let Some(why) = self.try_hour(candidate).await? {
                let hour = candidate.hour;
                tracing::warn!(%hour, error = why, "hour {hour}: not written to the lake: {why}");
                failed.push(candidate.hour);
            }
        }
        // What was not shown.
        publish::clear(&mut self.db, &self.store, &self.prefix).await?;
        self.report();
        let wanting = candidates.iter().filter(|candidate| candidate.status.is_to_be_mended());
        failed.extend(wanting.map(|candidate| candidate.hour));
        self.counts.hours_failed = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        let undeleted =
            if self.is_deleting { self.cover().run(window).await?.failed } else { Vec::new() };
        match failed.first() {
            None => cover::failures(&undeleted).map_or(Ok(()), |what| Err(Failure::Partial(what))),
            Some(first) => {
                let what = "hour[s] [was|were] not written to the lake; the warnings above say \
                            why. The first";
                Err(Failure::Partial(format!("{}: {first}", inflected(failed.len() as u64, what))))
            }
        }
    }

    fn cover(&mut self) -> DeleteCovered<'_> {
        let (db, store, reader, stop) = (&mut self.db, &self.store, &self.reader, &self.stop);
        let (prefix, folder, run_id, decode_rules) =
            (&*self.prefix, &*self.folder, self.run_id, &*self.decode_rules);
        DeleteCovered {
            db,
            store,
            reader,
            prefix,
            folder,
            run_id,
            decode_rules,
            stop,
            is_dry: false,
        }
    }

    fn report(&self) {
        let RunCounts { hours_computed, ticks, bytes_read, .. } = self.counts;
        let hours = counted(hours_computed.into(), "hour");
        let text = format!("{} read, {} written", size(bytes_read), size(self.written));
        tracing::info!(
            hours = hours_computed,
            ticks,
            bytes_read,
            bytes_written = self.written,
            "{hours} written to the lake: {ticks} ticks, {text}"
        );
    }

    /// Writes an hour; gives why that cannot be done.
    async fn try_hour(&mut self, candidate: &Candidate) -> Result<Option<String>, Failure> {
        match self.write_hour(candidate).await {
            Ok(()) => {
                self.counts.hours_computed += 1;
                self.counts.ticks += candidate.ticks;
                Ok(None)
            }
            Err(Obstacle::Changed) => {
                Ok(Some("its objects have changed: run batch-layer, and compact again".into()))
            }
            Err(Obstacle::Because(why)) => Ok(Some(why)),
            Err(Obstacle::Fatal(failure)) => Err(failure),
        }
    }

    async fn write_hour(&mut self, candidate: &Candidate) -> Result<(), Obstacle> {
        let (mut parts, mut replaceable, mut ticks) = (Vec::new(), Vec::new(), 0);
        let kept = self.read_unchanged(candidate).await?;
        let mut objects = self.objects(candidate.hour).await?;
        for published in &kept {
            objects.entry(published.source.clone()).or_default();
        }
        for (topic, objects) in objects {
            let gathered = self.gather_topic(candidate, &topic, &objects, &kept).await?;
            ticks += gathered.ticks(candidate.hour);
            self.counts.objects_read += objects.len() as u64;
            self.counts.bytes_read += objects.iter().map(|object| object.size).sum::<u64>();
            let expected = self.stage_topic(candidate, &topic, gathered, &mut parts).await?;
            let expected = expected.hours.get(&candidate.hour);
            replaceable.extend(self.replaceable(&topic, candidate.hour, expected).await?);
        }
        if ticks != candidate.ticks {
            return Err(candidate.has_other_ticks(ticks));
        }
        if self.stop.is_cancelled() {
            return Err(stopped().into());
        }
        self.written += parts.iter().map(|part| part.staged.size).sum::<u64>();
        let (prefix, run_id) = (&*self.prefix, self.run_id);
        let look = LakeReader { store: &self.store, folder: &self.folder, stop: &self.stop };
        let shown = VisibleObjects { prefix, candidate, run_id, parts, replaceable, look };
        Ok(publish::publish((&mut self.db, &self.store), shown).await?)
    }

    /// Reads a topic's ticks of an hour: what the lake has `kept` of them, and its raw objects.
    async fn gather_topic(
        &self,
        candidate: &Candidate,
        topic: &str,
        objects: &[Object],
        kept: &[PublishedObject],
    ) -> Result<Gathered, Obstacle> {
        // As in the summary: what was known before of a record counts.
        let mut gathered = Gathered::new(Sorter::new(&self.folder));
        for published in kept.iter().filter(|published| published.source == topic) {
            let added = add_kept(gathered, self.look(), published).await;
            gathered = added.map_err(|error| unread(&published.key, error))?;
        }
        let gathered = gather(&self.reader, candidate.hour, objects, gathered).await;
        gathered.map_err(|(object, error)| self.unread(&object, error))
    }

    /// Writes a topic's ticks to where no reader looks, adds the objects to `parts`, and compares
    /// what they hold with what was gathered, which it gives.
    async fn stage_topic(
        &self,
        candidate: &Candidate,
        topic: &str,
        gathered: Gathered,
        parts: &mut Vec<StagedObject>,
    ) -> Result<Holdings, Obstacle> {
        let Gathered { sorter, holdings, extras } = gathered;
        let is_cut = sorter.is_cut();
        let (folder, target) = (self.folder.clone(), self.target);
        let files = blocking(move || write_files(sorter.finish()?, &folder, target)).await?;
        let mut found = (Holdings::default(), 0);
        for written in files {
            let name = format!(
                "{}-{}-{}{}",
                self.run_id,
                self.begun_at.micros(),
                parts.len(),
                key::ENDING
            );
            let (part, held) = self.stage(topic, name, written, found).await?;
            found = held;
            parts.push(part);
        }
        let (mut found, found_extras) = found;
        found.flush();
        let (expected, found) =
            (holdings.hours.get(&candidate.hour), found.hours.get(&candidate.hour));
        if let Some(difference) = find_difference(expected, found) {
            let why =
                format!("what was read back differs from the objects of {topic:?}: {difference}");
            return Err(Obstacle::Because(why));
        }
        if extras != found_extras && !is_cut {
            let why = format!(
                "what was read back has other quotes, numbers or conditions than the objects of \
                 {topic:?}"
            );
            return Err(Obstacle::Because(why));
        }
        Ok(holdings)
    }

    /// The objects of a topic and hour that `lake_objects` does not know, where they hold none but
    /// ticks that are about to be shown. `new`: those.
    async fn replaceable(
        &self,
        topic: &str,
        hour: Hour,
        new: Option<&HourHoldings>,
    ) -> Result<Vec<LakeObject>, Obstacle> {
        let mut replaceable = Vec::new();
        for object in self.inventory.unknown_objects(&key::folder(&self.prefix, topic, hour)) {
            let what = format!(
                "{}{}, which lake_objects does not know,",
                self.store.location(),
                object.key
            );
            let (contents, others) = match self.look().read(object, Holdings::default()).await {
                Ok((mut holdings, contents)) => {
                    holdings.flush();
                    (contents, others(&holdings, hour, new))
                }
                // What no reader can read is no tick of theirs.
                Err(LakeReadError::Damaged(_)) => (ObjectContents::default(), 0),
                Err(LakeReadError::Moved) => continue,
                Err(LakeReadError::Away(failure)) => return Err(failure.into()),
            };
            if others > 0 {
                let why = format!(
                    "{what} holds {others} ticks that the archive does not have: of another \
                     database, or of objects that have expired. Move it away, and compact again"
                );
                return Err(Obstacle::Because(why));
            }
            tracing::warn!(%hour, key = &*object.key, error = what, "hour {hour}: {what} is replaced: it holds none but the hour's ticks");
            let (key, source) = (object.key.to_string(), topic.to_owned());
            replaceable.push(LakeObject { key, source, size: object.size, contents });
        }
        Ok(replaceable)
    }

    /// The lake's objects of an hour whose raw objects are not all there any more.
    async fn read_unchanged(
        &mut self,
        candidate: &Candidate,
    ) -> Result<Vec<PublishedObject>, Failure> {
        if !candidate.has_expired {
            return Ok(Vec::new());
        }
        table::published_objects(
            &mut self.db,
            &self.prefix,
            &(candidate.hour..candidate.hour.plus(1)),
        )
        .await
    }

    fn look(&self) -> LakeReader<'_> {
        LakeReader { store: &self.store, folder: &self.folder, stop: &self.stop }
    }

    /// The objects of an hour by their topics, in the order of their keys.
    async fn objects(&mut self, hour: Hour) -> Result<BTreeMap<String, Vec<Object>>, Failure> {
        let objects = self.db.objects_of(hour).await?;
        Ok(self.reader.by_topic(objects, |indexed| indexed.object))
    }

    /// Writes a file to where no reader looks, reads it back from there, and adds what it holds to
    /// `found`.
    async fn stage(
        &self,
        topic: &str,
        name: String,
        written: WrittenFile,
        found: (Holdings, u64),
    ) -> Result<(StagedObject, (Holdings, u64)), Obstacle> {
        let key = key::staged(&self.prefix, &name);
        self.store.put(&key, &path_of(&written.file)).await?;
        let staged = self.store.find(&key).await?;
        let add =
            |(holdings, extras): &mut (Holdings, u64), content: &TickContent<'_>, place: Place| {
                holdings.add(place.partition, place.number(), content);
                *extras = extras.wrapping_add(extras_of(content, place));
                Ok(())
            };
        let (found, contents) =
            self.look().visit(&staged, found, add).await.map_err(|error| unread(&key, error))?;
        if contents.rows != written.rows {
            return Err(Obstacle::Because(format!(
                "{key} has {} of {} ticks",
                contents.rows, written.rows
            )));
        }
        Ok((StagedObject { source: topic.to_owned(), name, staged, contents }, found))
    }

    fn unread(&self, object: &Object, error: ReadError) -> Obstacle {
        let what = format!("{}{}", self.store.location(), object.key);
        match error {
            ReadError::Moved => Obstacle::Changed,
            ReadError::Wide => Obstacle::Because(format!("{what}: it holds too many symbols")),
            ReadError::Broken(broken) => Obstacle::Because(format!("{what}: {}", broken.why)),
            ReadError::Outage(failure) => Obstacle::Fatal(failure),
            ReadError::Stopped => Obstacle::Fatal(stopped()),
        }
    }
}

impl Candidate {
    /// Why an hour cannot be written of which its objects hold so many ticks, and its summary
    /// another number.
    fn has_other_ticks(&self, ticks: u64) -> Obstacle {
        let known = self.ticks;
        Obstacle::Because(if self.has_expired {
            format!(
                "objects have expired, and what is left of them and the lake has {ticks} of \
                 {known} ticks"
            )
        } else {
            format!(
                "its objects hold {ticks} ticks, its summary {known}: batch-layer --recompute, and \
                 compact again"
            )
        })
    }
}

/// Logs what is left out, kind by kind.
fn report_others<'c>(candidates: impl Iterator<Item = &'c Candidate> + Clone) {
    let log_status = |status: CompactionStatus, why: &str| {
        let mut hours = candidates.clone().filter(|candidate| candidate.status == status);
        if let Some(first) = hours.next() {
            let hours = hours.count() as u64 + 1;
            let (first, text) =
                (first.hour, inflected(hours, "hour[s] [is|are] not written to the lake"));
            tracing::warn!(hours, %first, error = why, "{text}, the first {first}: {why}");
        }
    };
    log_status(
        CompactionStatus::Unready,
        "they are not complete, or wait for batch-layer (hour_completeness tells why)",
    );
    log_status(
        CompactionStatus::Forgotten,
        "the lake had their ticks when raw objects were deleted for it, and lake_objects has lost \
         the rows: restore it from PostgreSQL's backup, or the raw objects from the bucket's \
         versions",
    );
    log_status(CompactionStatus::Expired, "objects have expired before the lake had their ticks");
    log_status(
        CompactionStatus::WithoutOffsets,
        "lines do not tell their offsets, so nothing could tell whether each tick is there once",
    );
    log_status(
        CompactionStatus::ReadOtherwise,
        "their objects were read by other flags about messages: give those of batch-layer (an hour \
         whose objects need several sets of flags cannot be written)",
    );
    log_status(
        CompactionStatus::Elsewhere,
        "they were computed from another bucket: give that of batch-layer (--bucket)",
    );
}

/// Work for a thread that may wait for disks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(panic.into())).map_err(Failure::Infrastructure)
}

/// Writes all ticks to files of about `target` bytes.
fn write_files(
    mut sorted: Sorted,
    folder: &std::path::Path,
    target: u64,
) -> anyhow::Result<Vec<WrittenFile>> {
    let mut files = Vec::new();
    let mut next = sorted.next_row()?;
    while next.is_some() {
        let mut writer = file::Writer::new(nameless(folder)?)?;
        while let Some(row) = next.take_if(|_| writer.bytes() < target) {
            writer.push(&row.content(sorted.name(&row), sorted.conditions(&row)), row.place)?;
            next = sorted.next_row()?;
        }
        let (file, rows) = writer.finish()?;
        files.push(WrittenFile { file: rewound(file)?, rows });
    }
    Ok(files)
}

/// The effect on an hour of an object of the lake that was not read back.
fn unread(what: &str, error: LakeReadError) -> Obstacle {
    match error {
        LakeReadError::Moved => {
            Obstacle::Because(format!("{what} was deleted before it was read back: compact again"))
        }
        LakeReadError::Damaged(why) => {
            Obstacle::Because(format!("{what} cannot be read back: {why}"))
        }
        LakeReadError::Away(failure) => Obstacle::Fatal(failure),
    }
}

/// How many ticks are not among `new`, or are of another hour.
fn others(held: &Holdings, hour: Hour, new: Option<&HourHoldings>) -> u64 {
    let nothing = HourHoldings::default();
    let new = new.unwrap_or(&nothing);
    held.hours
        .iter()
        .map(
            |(of, ticks)| {
                if *of == hour {
                    ticks.offsets.missing_in(&new.offsets)
                } else {
                    ticks.offsets.len()
                }
            },
        )
        .sum()
}

/// A path by which a file without a name can be opened once more.
fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::super::sort::Sorter;
    use super::*;
    use crate::checksum::TickContent;
    use common::Place;

    #[test]
    fn an_hour_of_more_than_the_target_becomes_several_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        let rows = 2 * file::GROUP as i64 + 5;
        for offset in 0..rows {
            sorter
                .push(&TickContent::with_close(offset), Place { partition: 0, offset, index: 0 })
                .unwrap();
        }
        let files = write_files(sorter.finish().unwrap(), folder.path(), 5).unwrap();
        let counts: Vec<_> = files.iter().map(|written| written.rows).collect();
        // What is written counts where a group of rows is full.
        assert_eq!(counts.iter().sum::<u64>(), rows.cast_unsigned());
        assert!(counts.len() >= 2, "{counts:?}");
        let mut next = 0;
        for written in files {
            file::each(written.file, &mut |_, place| {
                assert_eq!(place.offset, next);
                next += 1;
            })
            .unwrap();
        }
    }
}
