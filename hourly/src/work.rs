//! [`WindowRun`]: a run's state, and the order of its steps.
//!
//! First every new object of some hours' folders is read and indexed, then those hours' stale hours
//! are computed, so that no hour is computed from a part of its objects. What was read for the
//! index is kept by the [`Engine`], so that an object is usually read once.

mod compute;
mod doubled;
mod due;
pub mod folders;
mod growth;
mod index;
mod lake;
mod lines;
pub mod rules;
mod stretch;
mod sums;
pub mod whereabouts;

use crate::archive::{FileNameTemplate, Folder, Object, ObjectStore, PrefixTemplate};
use crate::args::Args;
use crate::bulk::Bulk;
use crate::completeness::{self, CompletenessSummary, Lacks, Naming};
use crate::engine::Engine;
use crate::flags::HourPlan;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lake::covered;
use crate::lake::source::Lake;
use crate::ledger::RunCounts;
use crate::progress::Progress;
use crate::reader::{Breakage, BrokenKind, Others, Reader};
use crate::stop::stopped;
use common::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use service::words::{counted, inflected};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use whereabouts::Whereabouts;

/// How many hours are indexed before the first of them is computed.
const INDEX_HOURS: i64 = 72;

/// How often folders are listed again whose objects change while they are read.
const RELIST_TRIES: u32 = 3;

/// One run.
pub struct WindowRun {
    template: PrefixTemplate,
    names: FileNameTemplate,
    /// The decode rules of this run, as stored in `batch_hours.decode_rules`.
    decode_rules: Arc<str>,
    recompute: bool,
    allow_shrink: bool,
    has_moved: bool,
    whereabouts: Whereabouts,
    /// Hours of which raw objects were deleted because the lake has them.
    covered_hours: BTreeSet<Hour>,
    plan: HourPlan,
    store: ObjectStore,
    engine: Engine,
    db: BatchDb,
    run_id: i64,
    stop: CancellationToken,
    progress: Progress,
    counts: RunCounts,
    folders: WindowFolders,
    outcomes: HourOutcomes,
    /// Whether it has named an object with offsets that no broker can have given.
    has_named_far_offsets: bool,
    /// Hours that this run leaves unchanged because its decode rules differ.
    refused_changes: RefusedChanges,
    /// Folders with objects that could not be read when this run began, and those objects' keys:
    /// the folders that this run would find them in, or else those that they were found in.
    broken: FxHashMap<Arc<str>, Vec<String>>,
    /// Hours outside of the window from which something is missing: their folders are the run's
    /// own, too.
    incomplete_hours: BTreeSet<Hour>,
    /// Some of the objects that are gone may have been deleted.
    may_be_deleted: bool,
    archive_delay: Duration,
    /// `None` if no hour is read from the lake.
    lake: Option<Lake>,
    /// Number of recognized objects in the folders that were listed.
    objects_listed: usize,
    /// Number of files with other names.
    unknown_files: usize,
    /// The stretch that it is at work on; `None` if it does the whole window.
    own_stretch: Option<OwnStretch>,
    /// True in the closing run of a shared window: the other runs have already applied the flags.
    is_closing: bool,
}

/// The folders of a run.
#[derive(Debug, Default)]
struct WindowFolders {
    /// The folders that exist, as a listing by folders shows them; `None` if the window is too
    /// short for asking.
    existing: Option<FxHashSet<String>>,
    /// Folders that were listed and indexed in this run.
    listed: FxHashSet<Arc<str>>,
    /// The folders around the window that hold objects.
    window: BTreeSet<Arc<str>>,
}

/// Outcomes of hours, other than being computed in the window.
#[derive(Debug, Default)]
struct HourOutcomes {
    /// Hours that this run does not write, for another reason than a broken object.
    failed: BTreeSet<Hour>,
    /// Why the first of them is not written.
    why_failed: Option<String>,
    /// Hours that are done as far as this run can read their objects; a run with another prefix
    /// sees to the rest.
    deferred: BTreeSet<Hour>,
    /// Hours outside of the window that it has computed.
    computed_elsewhere: BTreeSet<Hour>,
    /// Hours without some of their raw objects to which this run has added ticks.
    late: BTreeSet<Hour>,
    /// How often an hour's objects had changed when it was to be computed.
    retries: FxHashMap<Hour, u32>,
}

/// How many ticks this run's decode rules would take from an hour, or add to it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct TickCountChange {
    objects: u64,
    before: u64,
    now: u64,
    /// Some of the objects hold fewer.
    is_less: bool,
}

/// Objects that hold more or fewer ticks by this run's decode rules than by earlier ones.
#[derive(Debug, Default)]
struct RefusedChanges {
    hours: BTreeMap<Hour, TickCountChange>,
    is_explained: bool,
    is_rewrite_logged: bool,
}

/// A stretch that no other run is at work on.
struct OwnStretch {
    hours: Range<Hour>,
    /// The folders of its hours, and of the slack on either side.
    folders: FxHashSet<Arc<str>>,
}

impl WindowRun {
    #[must_use]
    pub fn new(
        args: &Args,
        plan: HourPlan,
        store: ObjectStore,
        db: BatchDb,
        run_id: i64,
        stop: CancellationToken,
    ) -> Self {
        let hours = Hour::each(plan.window.clone()).count() as u64;
        Self {
            template: args.below.prefix.clone(),
            names: args.archive.file_name.clone(),
            decode_rules: args.archive.format().describe().into(),
            recompute: args.recompute,
            allow_shrink: args.allow_shrink,
            has_moved: args.archive_moved,
            whereabouts: Whereabouts::Unsure,
            covered_hours: BTreeSet::new(),
            plan,
            engine: Engine::new(
                Reader::new(store.clone(), args.archive.format(), stop.clone()),
                stop.clone(),
            ),
            store,
            db,
            run_id,
            stop,
            progress: Progress::new(hours, args.quiet),
            counts: RunCounts::default(),
            folders: WindowFolders::default(),
            outcomes: HourOutcomes::default(),
            has_named_far_offsets: false,
            refused_changes: RefusedChanges::default(),
            broken: FxHashMap::default(),
            incomplete_hours: BTreeSet::new(),
            may_be_deleted: false,
            archive_delay: args.archive_delay,
            lake: Lake::of(&args.lake),
            objects_listed: 0,
            unknown_files: 0,
            own_stretch: None,
            is_closing: false,
        }
    }

    /// Has the archive's objects read by what `bulk` is.
    pub fn read_by(&mut self, bulk: Bulk) {
        self.engine.bulk = bulk;
    }

    /// Logs what the engine read and closes it.
    pub async fn close_engine(&self) {
        self.engine.bulk.close().await;
    }

    /// Brings the window up to date, some hours at a time.
    ///
    /// # Errors
    /// [`Failure::Partial`] where some hours could not be written; the others are.
    pub async fn run(&mut self) -> Result<(), Failure> {
        self.prepare().await?;
        let window = self.plan.window.clone();
        let mut start = window.start;
        loop {
            let hours = start..start.plus(INDEX_HOURS).min(window.end);
            self.index_folders(self.template.folders(self.plan.around(&hours))).await?;
            if start == window.start {
                let around = self
                    .incomplete_hours
                    .iter()
                    .flat_map(|hour| Hour::each(self.plan.around(&(*hour..hour.plus(1)))));
                let around: BTreeSet<Hour> = around.collect();
                self.index_folders(self.template.folders_of(around)).await?;
                self.index_folders_of_deleted().await?;
                // Their objects may have been read for the sake of the neighbouring hours.
                self.db.mark_wanted(&self.incomplete_hours).await?;
            }
            self.mark_asked(&hours).await?;
            self.compute_stale(&hours).await?;
            if start == window.start {
                // They may be many, and most are as they were: what is new does not wait for them.
                self.index_broken_folders().await?;
                self.compute_stale(&hours).await?;
            }
            self.engine.forget_before(hours.end);
            self.progress.hours_done(Hour::each(window.start..hours.end).count() as u64);
            start = hours.end;
            if start >= window.end {
                return self.conclude().await;
            }
        }
    }

    /// Looks at what earlier runs have left, and at what there is.
    pub(crate) async fn prepare(&mut self) -> Result<(), Failure> {
        let broken = self.db.broken().await?;
        self.broken = self.place_broken(broken);
        let others =
            Others::of(&mut self.db, std::slice::from_ref(&self.template), &self.plan.window)
                .await?;
        let reader = self.engine.reader.clone().with_others(others);
        self.engine.reader = reader.expecting_broken(self.broken.values().flatten().cloned());
        self.incomplete_hours = self.find_incomplete_hours().await?;
        if self.allow_shrink {
            self.covered_hours = covered::hours(&mut self.db, &self.plan.window).await?;
        }
        self.find_folders().await?;
        self.whereabouts = Whereabouts::of(&mut self.db, &self.store, self.has_moved).await?;
        let folders = self.template.folders(self.plan.around(&self.plan.window));
        self.check_whereabouts(&folders).await
    }

    /// Whether the store is the one in which the known objects of some folders lie.
    async fn check_whereabouts(&mut self, folders: &[Folder]) -> Result<(), Failure> {
        let emptied = self.allow_shrink.then_some(&self.plan.window);
        self.whereabouts.check(&mut self.db, &self.store, folders, emptied).await
    }

    /// Marks hours that the flags ask for, changed or not.
    async fn mark_asked(&mut self, hours: &Range<Hour>) -> Result<(), Failure> {
        if self.is_closing {
            return Ok(());
        }
        if self.allow_shrink {
            let mut covered = self.covered_hours.range(hours.clone()).peekable();
            if let Some(first) = covered.peek().copied() {
                let hours = covered.count();
                let text = counted(hours as u64, "hour");
                self.progress.log(|| {
                    tracing::warn!(
                        hours,
                        %first,
                        "--allow-shrink takes nothing from {text}, {first} the first: raw objects \
                         were deleted because the lake has them"
                    );
                });
            }
            self.db.mark_shrunk(hours).await?;
        }
        if self.recompute {
            self.fail_refused();
            self.db.mark_all(hours, &self.outcomes.failed).await?;
        }
        Ok(())
    }

    /// The reader of objects, with its knowledge of the store.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.engine.reader.clone()
    }

    /// The hours without some of their raw objects to which it has added ticks.
    #[must_use]
    pub fn late(&self) -> Vec<Hour> {
        self.outcomes.late.iter().copied().collect()
    }

    /// Gives back the connection, for the run's last words, and what was done.
    #[must_use]
    pub fn finish(self) -> (BatchDb, RunCounts) {
        self.progress.finish();
        (self.db, self.counts)
    }

    /// A run that looks back from now also looks wherever something is missing.
    async fn find_incomplete_hours(&mut self) -> Result<BTreeSet<Hour>, Failure> {
        if !self.plan.is_default {
            return Ok(BTreeSet::new());
        }
        let mut hours = completeness::incomplete_hours(&mut self.db, self.plan.due).await?;
        hours.retain(|hour| !self.plan.window.contains(hour));
        Ok(hours)
    }

    /// Logs where the archive shows less than the speed layer has seen. An archive that shows
    /// nothing of hours with ticks is a wrong prefix, a sink that is dead, or one whose files
    /// cannot be read.
    async fn check_archive(&mut self) -> Result<Option<String>, Failure> {
        let lines = self.check_lines().await?;
        let verdict = self.check_hours(&lines.hours).await?;
        if let Some(example) = &verdict.example {
            self.progress.log(|| log_incomplete(verdict.incomplete, example));
        }
        let lag = completeness::archive_lag(&mut self.db, self.archive_delay).await?;
        if lines.is_never_a_tick || (lines.are_all_rejected() && verdict.speed_only > 0) {
            // Then it is no word about the sink that helps.
            return Ok(Some(lines.words));
        }
        if !lines.words.is_empty() {
            let (rejected, text) = (lines.rejected, &lines.words);
            self.progress.log(|| tracing::warn!(rejected, hours = lines.hours.len(), "{text}"));
        }
        if let Some(lag) = lag {
            self.progress.log(|| lag.log());
        }
        let (location, prefix) = (self.store.location(), self.template.as_str());
        if self.objects_listed > 0 || (verdict.speed_only == 0 && self.unknown_files == 0) {
            // No hour of it is over; one that was looked through may have none that shows anything.
            let is_ahead = self.plan.window.is_empty() && self.folders.existing.is_none();
            if self.objects_listed > 0
                || is_ahead
                || self.db.is_prefix_known(self.template.stem()).await?
            {
                return Ok(None);
            }
            let words = format!(
                "{location}{prefix} shows no object of the window, and no run has ever seen one \
                 there: is --prefix right?"
            );
            // Who asks for hours expects some.
            if !self.plan.is_default {
                return Ok(Some(words));
            }
            let (prefix, text) = (format!("{location}{prefix}"), &words);
            self.progress.log(|| tracing::warn!(prefix, "{text}"));
            return Ok(None);
        }
        Ok(Some(match self.unknown_files {
            0 => format!(
                "{location}{prefix} shows no object of the window, but the speed layer has ticks \
                 of {} of its hours: check --bucket and --prefix, and the sink. Of ticks that were \
                 sent hours after their time the objects lie in later folders: --slack, now {}h, \
                 has to reach as far",
                verdict.speed_only, self.plan.slack
            ),
            files => format!(
                "none of the {files} files of the window below {location}{prefix} has a name or \
                 format that is read: check --file-name and the sink's format"
            ),
        }))
    }

    /// Updates the completeness of the window's hours, and of those elsewhere that were computed,
    /// or listed because something is missing of them.
    async fn check_hours(
        &mut self,
        rejected: &BTreeMap<Hour, u64>,
    ) -> Result<CompletenessSummary, Failure> {
        self.forget_found().await?;
        let (window, db) = (&self.plan.window, &mut self.db);
        let others = self
            .incomplete_hours
            .iter()
            .chain(&self.outcomes.failed)
            .chain(&self.outcomes.computed_elsewhere);
        let hours: BTreeSet<Hour> = Hour::each(window.clone()).chain(others.copied()).collect();
        let hours: Vec<Timestamp> = hours.into_iter().map(Hour::start).collect();
        completeness::compare(db, &hours).await?;
        let slack = self.plan.slack;
        let naming = Naming { template: &self.template, names: &self.names, slack };
        completeness::check_gaps(db, naming).await?;
        completeness::forget_read(db).await?;
        let offsets = completeness::lacks(db, &self.template, self.run_id).await?;
        let lacks = Lacks { rejected, offsets: &offsets };
        completeness::check_completeness(db, window, (&hours, lacks)).await
    }

    /// Ends the run: collects what was not done. Broken objects count whatever the window.
    async fn conclude(&mut self) -> Result<(), Failure> {
        const NAMED: usize = 5;
        let mut found = Vec::new();
        self.name_far_folders().await?;
        self.name_deleted().await?;
        self.fail_refused();
        found.extend(self.check_archive().await?);
        let broken = self.db.broken_summary().await?;
        if let Some(example) = broken.example {
            let (hours, location) = (counted(broken.hours, "hour"), self.store.location());
            let sentence = format!(
                "object[s] cannot be read and [holds|hold] back {hours} until readable or deleted"
            );
            found.push(format!("{}: {location}{example}", inflected(broken.objects, &sentence)));
        }
        let count = self.outcomes.failed.len();
        if count > 0 {
            let named: Vec<String> =
                self.outcomes.failed.iter().take(NAMED).map(ToString::to_string).collect();
            let more =
                if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
            let named = named.join(", ");
            let hours = inflected(count as u64, "hour[s] [was|were] not written");
            let why = self.outcomes.why_failed.as_deref().unwrap_or_default();
            found.push(format!("{hours}: {named}{more}; for one, {why}"));
        }
        let held = u32::try_from(broken.hours).unwrap_or(u32::MAX);
        self.counts.hours_failed = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(held);
        if found.is_empty() { Ok(()) } else { Err(Failure::Partial(found.join("; "))) }
    }

    /// # Errors
    /// Where the run is to end.
    fn check_stop(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    /// # Errors
    /// Where the run is to end before `wait` does.
    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        self.stop.run_until_cancelled(wait).await.ok_or_else(stopped)
    }

    /// Counts what the engine has read meanwhile.
    fn count_reads(&mut self) {
        self.engine.take_read().into_iter().for_each(|size| self.count_read(size));
    }

    fn count_read(&mut self, size: u64) {
        self.counts.objects_read += 1;
        self.counts.bytes_read += size;
        self.progress.object(size);
    }

    /// Notes an object that cannot be read, and the hours that it holds back: those of its folder,
    /// and those that its readable part and its earlier versions name.
    async fn note_broken(
        &mut self,
        object: &Object,
        folder: &Folder,
        broken: Breakage,
    ) -> Result<(), Failure> {
        let mut hours: BTreeSet<Hour> = Hour::each(folder.hours.clone()).collect();
        hours.extend(&broken.hours);
        let is_new = self.db.note_broken(object, &folder.prefix, &broken, &hours).await?;
        // Nobody mends what lies in cold storage: it is logged once.
        if is_new || broken.kind != BrokenKind::Frozen {
            let (location, key, why) = (self.store.location(), &*object.key, &broken.why);
            let (first, last) = (folder.hours.start, folder.hours.end.plus(-1));
            let named =
                if first == last { first.to_string() } else { format!("{first} to {last}") };
            let text = match (hours.len() - Hour::each(folder.hours.clone()).count()) as u64 {
                0 => named,
                others => format!("{named}, and {}", counted(others, "other hour")),
            };
            self.progress.log(|| {
                tracing::warn!(
                    location,
                    key,
                    error = why,
                    hours = hours.len(),
                    %first,
                    %last,
                    "{location}{key}: {why}; these hours are not written until it is readable or \
                     deleted: {text}"
                );
            });
        }
        Ok(())
    }

    /// Notes that an hour is not written.
    fn fail(&mut self, hour: Hour, why: &str) {
        self.progress.log(|| tracing::warn!(%hour, error = why, "hour {hour}: {why}"));
        self.outcomes.why_failed.get_or_insert_with(|| format!("hour {hour}: {why}"));
        self.outcomes.failed.insert(hour);
    }

    /// Whether it is read for the sake of the window: its ticks may belong there.
    fn is_near(&self, folder: &Folder) -> bool {
        let Range { start, end } = self.plan.around(&self.plan.window);
        (folder.hours.start < end && start < folder.hours.end) || self.touches_window(folder)
    }

    fn touches_window(&self, folder: &Folder) -> bool {
        let Range { start, end } = self.plan.window;
        let has_incomplete = || self.incomplete_hours.range(folder.hours.clone()).next().is_some();
        (folder.hours.start < end && start < folder.hours.end) || has_incomplete()
    }
}

fn log_incomplete(count: u64, example: &str) {
    let hours = inflected(count, "hour[s] [is|are] incomplete");
    tracing::warn!(hours = count, error = example, "{hours} (view hour_completeness): {example}");
}
