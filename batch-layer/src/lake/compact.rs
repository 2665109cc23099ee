//! `batch-layer compact`: which hours are written, and what each goes through.

use super::args::CompactArgs;
use super::gather::{Gathered, gather};
use super::publish::{self, Part};
use super::sort::{Sorted, nameless, rewound};
use super::table::{self, Candidate, Standing};
use super::{file, key};
use crate::archive::{Object, PrefixTemplate, Store, StoreError};
use crate::checksum::Checksum;
use crate::hour::Hour;
use crate::index::Index;
use crate::ledger::{self, Counts};
use crate::lock;
use crate::progress::size;
use crate::reader::{Others, ReadError, Reader};
use crate::stop::stopped;
use crate::verify::{Holdings, HourHoldings};
use anyhow::Context;
use common::Timestamp;
use service::Failure;
use service::pg::Migrations;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
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
    let store = Store::open(&args.archive.store()).await?;
    let Some(mut index) = lock::open(&args.database, args.takeover_after).await? else { return Ok(()) };
    // Who has lost the lock must not go on.
    let stop = stop.child_token();
    let _kept = lock::keep(&index, args.takeover_after, stop.clone());
    let run_id = match ledger::begin(&mut index, &args.describe(&window), false).await {
        Ok(run_id) => run_id,
        Err(failure) => {
            lock::release(&mut index).await;
            return Err(failure);
        }
    };
    let mut compaction = Compaction::new(&args, store, index, run_id, stop);
    let result = compaction.run(&args.below.prefix, &window).instrument(tracing::info_span!("run", run = run_id)).await;
    let Compaction { mut index, counts, .. } = compaction;
    ledger::finish(&mut index, run_id, &counts, &result).await;
    lock::release(&mut index).await;
    result
}

struct Compaction {
    store: Store,
    index: Index,
    reader: Reader,
    /// How objects are read.
    format: String,
    prefix: String,
    /// In bytes.
    target: u64,
    folder: PathBuf,
    run_id: i64,
    stop: CancellationToken,
    counts: Counts,
    /// Bytes of what was written.
    written: u64,
}

/// What keeps an hour from being written, and no other.
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
struct Written {
    file: File,
    rows: u64,
}

impl Compaction {
    fn new(args: &CompactArgs, store: Store, index: Index, run_id: i64, stop: CancellationToken) -> Self {
        let format = args.archive.format();
        Self {
            format: format.describe(),
            reader: Reader::new(store.clone(), format, stop.clone()),
            store,
            index,
            prefix: args.lake_prefix.clone(),
            target: args.target_size << 20,
            folder: args.temp_dir.clone().unwrap_or_else(std::env::temp_dir),
            run_id,
            stop,
            counts: Counts::default(),
            written: 0,
        }
    }

    async fn run(&mut self, prefix: &PrefixTemplate, window: &Range<Hour>) -> Result<(), Failure> {
        self.reader =
            self.reader.clone().beside(Others::of(&mut self.index, std::slice::from_ref(prefix), window).await?);
        publish::clear(&mut self.index, &self.store, &self.prefix).await?;
        let candidates = table::hours(&mut self.index, window, &self.format).await?;
        report_others(&candidates);
        let mut failed = Vec::new();
        for candidate in candidates.iter().filter(|candidate| candidate.standing == Standing::Due) {
            if self.stop.is_cancelled() {
                return Err(stopped());
            }
            if let Some(why) = self.try_hour(candidate).await? {
                tracing::warn!("hour {}: not written to the lake: {why}", candidate.hour);
                failed.push(candidate.hour);
            }
        }
        self.report();
        let otherwise = candidates.iter().filter(|candidate| candidate.standing == Standing::ReadOtherwise);
        failed.extend(otherwise.map(|candidate| candidate.hour));
        self.counts.hours_failed = u32::try_from(failed.len()).unwrap_or(u32::MAX);
        match failed.first() {
            None => Ok(()),
            Some(first) => {
                let what = "hours were not written to the lake; the warnings above say why. The first";
                Err(Failure::Partial(format!("{} {what}: {first}", failed.len())))
            }
        }
    }

    fn report(&self) {
        let Counts { hours_computed, ticks, bytes_read, .. } = self.counts;
        let (read, written) = (size(bytes_read), size(self.written));
        tracing::info!("{hours_computed} hours written to the lake: {ticks} ticks, {read} read, {written} written");
    }

    /// Writes an hour; gives why that cannot be done.
    async fn try_hour(&mut self, candidate: &Candidate) -> Result<Option<String>, Failure> {
        match self.write_hour(candidate).await {
            Ok(()) => {
                self.counts.hours_computed += 1;
                self.counts.ticks += candidate.ticks;
                Ok(None)
            }
            Err(Obstacle::Changed) => Ok(Some("its objects have changed: run batch-layer, and compact again".into())),
            Err(Obstacle::Because(why)) => Ok(Some(why)),
            Err(Obstacle::Fatal(failure)) => Err(failure),
        }
    }

    async fn write_hour(&mut self, candidate: &Candidate) -> Result<(), Obstacle> {
        let (mut parts, mut ticks) = (Vec::new(), 0);
        for (topic, objects) in self.objects(candidate.hour).await? {
            let gathered = gather(&self.reader, candidate.hour, &objects, &self.folder).await;
            let Gathered { sorter, holdings } = gathered.map_err(|(object, error)| self.unread(&object, error))?;
            self.counts.objects_read += objects.len() as u64;
            self.counts.bytes_read += objects.iter().map(|object| object.size).sum::<u64>();
            let (folder, target) = (self.folder.clone(), self.target);
            let files = blocking(move || write_files(sorter.finish()?, &folder, target)).await?;
            let mut found = Holdings::default();
            for written in files {
                let name = format!("{}-{}.parquet", self.run_id, parts.len());
                let (part, held) = self.stage(&topic, name, written, found).await?;
                found = held;
                parts.push(part);
            }
            found.settle();
            ticks += ticks_of(&holdings, candidate.hour);
            let (expected, found) = (holdings.hours.get(&candidate.hour), found.hours.get(&candidate.hour));
            if let Some(difference) = difference(expected, found) {
                let why = format!("what was read back differs from the objects of {topic:?}: {difference}");
                return Err(Obstacle::Because(why));
            }
        }
        if ticks != candidate.ticks {
            let known = candidate.ticks;
            let why = format!(
                "its objects hold {ticks} ticks, its summary {known}: batch-layer --recompute, and compact again"
            );
            return Err(Obstacle::Because(why));
        }
        if self.stop.is_cancelled() {
            return Err(stopped().into());
        }
        self.written += parts.iter().map(|part| part.staged.size).sum::<u64>();
        let ends = (&mut self.index, &self.store);
        Ok(publish::publish(ends, &self.prefix, candidate, self.run_id, parts).await?)
    }

    /// The objects of an hour by their topics, in the order of their keys.
    async fn objects(&mut self, hour: Hour) -> Result<BTreeMap<String, Vec<Object>>, Failure> {
        let mut topics: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for indexed in self.index.objects_of(hour).await? {
            let topic = self.reader.topic(&indexed.object.key).to_owned();
            topics.entry(topic).or_default().push(indexed.object);
        }
        Ok(topics)
    }

    /// Writes a file to where no reader looks, reads it back from there, and adds what it holds to `found`.
    async fn stage(
        &self,
        topic: &str,
        name: String,
        written: Written,
        found: Holdings,
    ) -> Result<(Part, Holdings), Obstacle> {
        let key = key::staged(&self.prefix, &name);
        self.store.put(&key, &path_of(&written.file)).await?;
        let staged = publish::find(&self.store, &key).await?;
        let mut body = self.store.read(&staged, &self.stop).await?;
        let folder = self.folder.clone();
        let (rows, checksum, found) = blocking(move || {
            let mut file = nameless(&folder)?;
            io::copy(&mut body, &mut file).context("reading it back")?;
            sum_up(rewound(file)?, found)
        })
        .await?;
        if rows != written.rows {
            return Err(Obstacle::Because(format!("{key} has {rows} of {} ticks", written.rows)));
        }
        Ok((Part { source: topic.to_owned(), name, staged, rows, checksum }, found))
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

/// Says what is left out, kind by kind.
fn report_others(candidates: &[Candidate]) {
    let say = |standing: Standing, why: &str| {
        let mut hours = candidates.iter().filter(|candidate| candidate.standing == standing);
        if let Some(first) = hours.next() {
            tracing::warn!("{} hours are not written to the lake, the first {}: {why}", hours.count() + 1, first.hour);
        }
    };
    say(Standing::Expired, "objects have expired before the lake had their ticks");
    say(Standing::Placeless, "lines do not tell their offsets, so nothing could tell whether each tick is there once");
    say(Standing::ReadOtherwise, "their objects were read by other flags about messages: give those of batch-layer");
}

/// Work for a thread that may wait for disks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(panic.into())).map_err(Failure::Infrastructure)
}

/// Writes all ticks to files of about `target` bytes.
fn write_files(mut sorted: Sorted, folder: &std::path::Path, target: u64) -> anyhow::Result<Vec<Written>> {
    let mut files = Vec::new();
    let mut next = sorted.next_row()?;
    while next.is_some() {
        let mut writer = file::Writer::new(nameless(folder)?)?;
        while let Some(row) = next.take_if(|_| writer.bytes() < target) {
            writer.push(&row.content(sorted.name(&row)), row.place)?;
            next = sorted.next_row()?;
        }
        let (file, rows) = writer.finish()?;
        files.push(Written { file: rewound(file)?, rows });
    }
    Ok(files)
}

/// Adds what a file holds to `found`; gives the number of its ticks and their checksum, too.
fn sum_up(file: File, mut found: Holdings) -> anyhow::Result<(u64, u64, Holdings)> {
    let mut checksum = Checksum::default();
    let rows = file::each(file, &mut |content, place| {
        let number = place.number();
        checksum.add(Checksum::of(content, number));
        found.add(place.partition, number, content);
    })?;
    Ok((rows, checksum.exact, found))
}

fn ticks_of(holdings: &Holdings, hour: Hour) -> u64 {
    holdings.hours.get(&hour).into_iter().flat_map(|held| held.shares.values()).map(|share| share.ticks).sum()
}

/// What two sides hold otherwise, partition by partition: the first difference. Both must be settled.
fn difference(expected: Option<&HourHoldings>, found: Option<&HourHoldings>) -> Option<String> {
    let nothing = HourHoldings::default();
    let (expected, found) = (expected.unwrap_or(&nothing), found.unwrap_or(&nothing));
    let (lacking, extra) = (expected.offsets.missing_in(&found.offsets), found.offsets.missing_in(&expected.offsets));
    if lacking + extra > 0 {
        return Some(format!("{lacking} ticks are missing, {extra} are too many"));
    }
    let blocks = expected.shares.iter().flat_map(|(partition, share)| {
        let other = found.shares.get(partition);
        share.blocks.iter().filter(move |(block, sum)| other.and_then(|other| other.blocks.get(block)) != Some(*sum))
    });
    let doubled: u64 = found.shares.values().map(|share| share.duplicates + share.placeless).sum();
    match (blocks.count(), doubled) {
        (0, 0) => None,
        (blocks, doubled) => {
            Some(format!("{blocks} blocks of ticks say something else, {doubled} ticks are there twice"))
        }
    }
}

/// A path by which a file without a name can be opened once more.
fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::super::sort::Sorter;
    use super::*;
    use crate::checksum::Content;
    use common::{Place, Price, Volume};

    fn content(close: i64) -> Content<'static> {
        Content {
            symbol: "A",
            timestamp: Timestamp::from_micros(5),
            open: Price::from_nanos(1),
            high: None,
            low: None,
            close: Price::from_nanos(close),
            volume: Volume::from_parts(1, 0),
        }
    }

    fn held(ticks: &[(u64, i64)]) -> HourHoldings {
        let mut holdings = Holdings::default();
        for (place, close) in ticks {
            holdings.add(0, Some(*place), &content(*close));
        }
        holdings.settle();
        holdings.hours.into_values().next().unwrap_or_default()
    }

    #[test]
    fn a_tick_that_is_missing_too_many_there_twice_or_otherwise_is_a_difference() {
        let whole = held(&[(1, 7), (2000, 8)]);
        assert_eq!(difference(Some(&whole), Some(&held(&[(2000, 8), (1, 7)]))), None);
        for other in [&[(1, 7)][..], &[(1, 7), (2000, 8), (3, 9)], &[(1, 7), (2000, 9)], &[(1, 7), (2000, 8), (1, 7)]] {
            assert!(difference(Some(&whole), Some(&held(other))).is_some(), "{other:?}");
        }
        assert!(difference(Some(&whole), None).is_some());
        assert_eq!(difference(None, None), None);
    }

    #[test]
    fn an_hour_of_more_than_the_target_becomes_several_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        let rows = 2 * file::GROUP as i64 + 5;
        for offset in 0..rows {
            sorter.push(&content(offset), Place { partition: 0, offset, index: 0 }).unwrap();
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
