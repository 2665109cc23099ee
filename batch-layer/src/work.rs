//! [`Work`]: a run's state, and the order of its steps.
//!
//! First every new object of a stretch of folders is read and indexed, then the stretch's stale hours are computed,
//! so that no hour is computed from a part of its objects. What was read for the index is kept in [`Totals`], so that
//! an object is usually read once.

mod compute;
mod index;

use crate::archive::{FileNameTemplate, Folder, Object, PrefixTemplate, Store};
use crate::cli::{Args, Plan};
use crate::hour::Hour;
use crate::index::Index;
use crate::ledger::Counts;
use crate::progress::Progress;
use crate::reader::{ReadError, Reader};
use crate::scan::HourBars;
use crate::totals::{MAX_BARS, Totals};
use common::Failure;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many hours are indexed before the first of them is computed.
const STRETCH_HOURS: i64 = 72;

/// How often folders are listed again whose objects change while they are read.
const ROUNDS: u32 = 3;

/// One run.
pub struct Work {
    template: PrefixTemplate,
    names: FileNameTemplate,
    recompute: bool,
    plan: Plan,
    store: Store,
    reader: Reader,
    index: Index,
    run_id: i64,
    stop: CancellationToken,
    progress: Progress,
    counts: Counts,
    totals: Totals,
    /// Folders that were listed and indexed in this run.
    surveyed: FxHashSet<Arc<str>>,
    /// Hours that cannot be written, because an object that may touch them was not read.
    failed: BTreeSet<Hour>,
    /// How often an hour's objects had changed when it was to be computed.
    retries: FxHashMap<Hour, u32>,
}

impl Work {
    #[must_use]
    pub fn new(args: &Args, plan: Plan, store: Store, index: Index, run_id: i64, stop: CancellationToken) -> Self {
        let hours = Hour::each(plan.window.clone()).count() as u64;
        Self {
            template: args.archive.prefix.clone(),
            names: args.archive.file_name.clone(),
            recompute: args.recompute,
            plan,
            reader: Reader::new(store.clone(), args.archive.format(), stop.clone()),
            store,
            index,
            run_id,
            stop,
            progress: Progress::new(hours, args.quiet),
            counts: Counts::default(),
            totals: Totals::default(),
            surveyed: FxHashSet::default(),
            failed: BTreeSet::new(),
            retries: FxHashMap::default(),
        }
    }

    /// Brings the window up to date, stretch by stretch.
    ///
    /// # Errors
    /// [`Failure::Partial`] where some hours could not be written; the others are.
    pub async fn run(&mut self) -> Result<(), Failure> {
        let window = self.plan.window.clone();
        let mut start = window.start;
        loop {
            let stretch = start..start.plus(STRETCH_HOURS).min(window.end);
            self.index_folders(self.template.folders(self.plan.around(&stretch))).await?;
            self.compute_stale(&stretch).await?;
            self.totals.forget_before(stretch.end);
            self.progress.hours_done(Hour::each(window.start..stretch.end).count() as u64);
            start = stretch.end;
            if start >= window.end {
                return self.conclude();
            }
        }
    }

    /// Gives back the connection, for the run's last words, and what was done.
    #[must_use]
    pub fn finish(self) -> (Index, Counts) {
        self.progress.finish();
        (self.index, self.counts)
    }

    fn conclude(&self) -> Result<(), Failure> {
        const NAMED: usize = 5;
        let count = self.failed.len();
        if count == 0 {
            return Ok(());
        }
        let named: Vec<String> = self.failed.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
        Err(Failure::Partial(format!(
            "{count} hours were not written: {}{more}; the warnings above name the objects",
            named.join(", ")
        )))
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

    /// Adds what an object holds of hours that are over to their totals; reads it again where records of it are there
    /// already. `keep` says which of those hours are still needed.
    async fn absorb(
        &mut self,
        object: &Object,
        parts: Vec<(Hour, HourBars)>,
        keep: impl Fn(Hour) -> bool,
    ) -> Result<(), Failure> {
        let needed = |parts: Vec<(Hour, HourBars)>| parts.into_iter().filter(|(hour, _)| keep(*hour)).collect();
        let again = self.totals.absorb(&object.key, needed(parts));
        if !again.is_empty() {
            match self.reader.read(object, Some(Arc::new(again))).await {
                Ok(scan) => {
                    self.count_read(object);
                    let rest = self.totals.absorb(&object.key, needed(scan.hours));
                    debug_assert!(rest.is_empty(), "what overlapped was left out");
                }
                Err(ReadError::Unavailable(error)) => return Err(Failure::Infrastructure(error)),
                Err(ReadError::Stopped) => return Err(stopped()),
                // The hour's total then lacks the object, which is noticed when it is to be written.
                Err(ReadError::Moved | ReadError::Broken { .. }) => {}
            }
        }
        self.totals.shrink(MAX_BARS);
        Ok(())
    }

    fn count_read(&mut self, object: &Object) {
        self.counts.objects_read += 1;
        self.counts.bytes_read += object.size;
        self.progress.object(object.size);
    }

    /// Notes that hours cannot be written because of one object.
    fn fail(&mut self, object: &Object, why: &str, hours: BTreeSet<Hour>) {
        let named: Vec<String> = hours.iter().map(ToString::to_string).collect();
        let location = self.store.location();
        self.progress.warn(format_args!(
            "{location}{}: {why}; not written until it is repaired or deleted: {}",
            object.key,
            named.join(", ")
        ));
        self.failed.extend(hours);
        self.counts.hours_failed = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
    }

    fn touches_window(&self, folder: &Folder) -> bool {
        let Range { start, end } = self.plan.window;
        folder.hours.start < end && start < folder.hours.end
    }
}

/// What a run says that a signal has ended.
pub(crate) fn stopped() -> Failure {
    Failure::Partial("stopped by a signal before all hours were done; the next run goes on with the rest".into())
}
