//! Computing the hours that are stale.

use super::due::{HourToCompute, NewSums, Scope, Step};
use super::{RELIST_TRIES, WindowRun};
use crate::archive::Folder;
use crate::hour::Hour;
use crate::index::{Computed, IndexSnapshot, Indexed, ObjectWithoutOffsets, Stale};
use crate::scan::{Conflicts, HourBars, Offsets, places};
use crate::shared::SharedRecords;
use crate::summary::{self, Summary, Written, changed_symbols};
use rustc_hash::FxHashSet;
use service::Failure;
use service::telemetry::TRACED;
use service::words::counted;
use std::collections::BTreeSet;
use std::ops::Range;
use tracing::Instrument;

/// Corrects the stale flags from the objects that exist now. An object that was missing for a while
/// may have lost its "replaced" flag.
fn correct_stale_flags<'a>(
    stale: &mut Stale,
    known: &Computed,
    objects: impl Iterator<Item = &'a Indexed> + Clone,
) {
    let mut replaced = objects.clone().filter(|indexed| indexed.is_replaced()).peekable();
    if replaced.peek().is_none() && known.emptied == 0 {
        if known.accounts_for(objects.filter(|indexed| indexed.is_merged).count() as u64) {
            // What was replaced is again what it was.
            (stale.is_replaced, stale.is_reread) = (false, false);
        }
    } else if !stale.is_replaced && !stale.is_reread {
        stale.is_replaced = replaced.all(|indexed| *indexed.decode_rules == *known.decode_rules);
        stale.is_reread = !stale.is_replaced;
    }
}

/// Records that an hour had once and has no longer, and how many of them are truly out of it. What
/// comes again is no longer withdrawn: a sink may overwrite an object by its first part, whose rest
/// follows. As many as have come since without offsets may be the same ones.
fn withdrawn_records(
    due: &HourToCompute<'_>,
    before: Option<&HourBars>,
    sum: &HourBars,
) -> (Offsets, u64) {
    let mut withdrawn =
        due.known.map(|known| known.withdrawn.without(&sum.offsets)).unwrap_or_default();
    let again = due.known.map_or(0, |known| known.withdrawn.len()) - withdrawn.len();
    let out_before = due.known.map_or(0, |known| known.taken_out);
    let comparable = before.filter(|_| !due.is_read_otherwise);
    let more = comparable.map(|before| before.offsets.without(&sum.offsets)).unwrap_or_default();
    let (gone, came) = comparable
        .map_or((0, 0), |before| (before.ticks_without_offsets(), sum.ticks_without_offsets()));
    let taken_out = (out_before + more.len() + gone).saturating_sub(again + came);
    withdrawn.add_all(more);
    let taken_out = taken_out.min(withdrawn.len());
    (withdrawn, taken_out)
}

/// The keys of the objects that come into an hour's sums; `None` if those are all that it has.
fn merged_keys<'a>(due: &HourToCompute<'a>, scope: &Scope<'a>) -> Option<Vec<&'a str>> {
    let key = |indexed: &&'a Indexed| &*indexed.object.key;
    match scope {
        Scope::Added(added) => Some(added.iter().map(key).collect()),
        Scope::All if due.foreign.is_empty() => None,
        Scope::All => Some(due.objects.iter().map(|indexed| key(&indexed)).collect()),
    }
}

/// How many symbols of an hour have ticks without a volume.
fn without_volume(sum: &HourBars) -> u64 {
    sum.bars.iter().filter(|(_, bar)| !bar.traded.is_known).count() as u64
}

impl WindowRun {
    /// Computes stale hours until there are none left but those that failed and those of later
    /// hours.
    pub(super) async fn compute_stale(&mut self, hours: &Range<Hour>) -> Result<(), Failure> {
        loop {
            let mut stale = self.db.stale(self.plan.due, &self.plan.window).await?;
            let later = hours.end..self.plan.window.end;
            self.fail_refused();
            let is_done = |hour: &Hour| {
                self.outcomes.failed.contains(hour) || self.outcomes.deferred.contains(hour)
            };
            let is_of_others = |hour: &Hour| self.own_stretch.is_some() && !hours.contains(hour);
            stale.retain(|Stale { hour, .. }| {
                !is_done(hour) && !later.contains(hour) && !is_of_others(hour)
            });
            if stale.is_empty() {
                return Ok(());
            }
            // An hour outside of the stretch may have objects that this run has not seen.
            let unseen = self.unseen_folders(&stale);
            if !unseen.is_empty() {
                self.index_folders(unseen).await?;
                continue;
            }
            let mut pending: FxHashSet<Hour> = stale.iter().map(|stale| stale.hour).collect();
            for stale in stale {
                self.check_stop()?;
                let span = tracing::info_span!("hour", hour = %stale.hour);
                let trace = tracing::info_span!(target: TRACED, "hour", hour = %stale.hour);
                self.compute(stale, &pending).instrument(span).instrument(trace).await?;
                pending.remove(&stale.hour);
            }
        }
    }

    /// The folders around hours that this run has not indexed yet.
    fn unseen_folders(&self, stale: &[Stale]) -> Vec<Folder> {
        let hours: BTreeSet<Hour> = stale
            .iter()
            .flat_map(|stale| Hour::each(self.plan.around(&(stale.hour..stale.hour.plus(1)))))
            .collect();
        let mut folders: Vec<Folder> =
            hours.into_iter().flat_map(|hour| self.template.folders(hour..hour.plus(1))).collect();
        folders.dedup();
        folders.retain(|folder| !self.folders.listed.contains(&folder.prefix));
        folders
    }

    /// Computes one hour, unless it changed meanwhile. `pending`: hours that will be computed after
    /// it.
    async fn compute(
        &mut self,
        mut stale: Stale,
        pending: &FxHashSet<Hour>,
    ) -> Result<(), Failure> {
        let hour = stale.hour;
        let snapshot = &self.db.snapshot(hour).await?;
        let objects = self.objects_of(hour).await?;
        self.forget_others(&objects);
        let (foreign, objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|indexed| self.is_foreign(indexed));
        let is_forced = self.plan.window.contains(&hour) && (self.recompute || self.allow_shrink);
        let is_as_it_was = |stale: &Stale| {
            !(is_forced || stale.is_replaced || stale.is_reread)
                && objects.iter().all(|object| object.is_merged)
        };
        if is_as_it_was(&stale) {
            return self.leave_unchanged((hour, snapshot), &objects, &foreign).await;
        }
        let mut known = self.db.computed(hour).await?;
        if let Some(known) = &known {
            correct_stale_flags(&mut stale, known, objects.iter().chain(&foreign));
        }
        if is_as_it_was(&stale) {
            return self.leave_unchanged((hour, snapshot), &objects, &foreign).await;
        }
        let from_lake = match &mut known {
            Some(known) if foreign.is_empty() && (is_forced || known.sum.is_none()) => {
                Box::pin(self.read_lake(&stale, known)).await?
            }
            _ => None,
        };
        match (objects.is_empty(), foreign.is_empty()) {
            (true, true) if is_forced && self.is_written_from_kept(&stale, known.as_ref()) => {}
            (true, true) => return self.empty((stale, snapshot), known.as_ref(), is_forced).await,
            (true, false) if known.is_none() => {
                return self.leave_as_it_is((hour, snapshot), &foreign).await;
            }
            _ => self.engine.forget_before(hour),
        }
        let (foreign, objects, known) = (&foreign[..], &objects[..], known.as_ref());
        let is_read_otherwise = self.is_read_otherwise(&stale, known, objects);
        let due = HourToCompute {
            stale,
            snapshot,
            is_read_otherwise,
            foreign,
            is_forced,
            objects,
            gone_without_offsets: self.gone_without_offsets(hour, known).await?,
            known,
            from_lake: from_lake.as_ref().filter(|_| !is_read_otherwise),
            pending,
        };
        match self.sums(&due).await? {
            Step::Done(new) if !self.skip_if_doubled(&due, &new) => self.write(&due, new).await,
            _ => Ok(()),
        }
    }

    /// The objects without offsets that an hour's sums have, and that are gone.
    async fn gone_without_offsets(
        &mut self,
        hour: Hour,
        known: Option<&Computed>,
    ) -> Result<Vec<ObjectWithoutOffsets>, Failure> {
        match known {
            Some(known) if known.gone_without_offsets > 0 => {
                self.db.gone_without_offsets(hour).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether some of an hour's objects were read by other rules than this run's.
    fn is_read_otherwise(
        &self,
        stale: &Stale,
        known: Option<&Computed>,
        objects: &[Indexed],
    ) -> bool {
        // A run by other rules may have read them in between, whose sums were not written.
        let has_other_sums = known.is_none_or(|known| *known.decode_rules != *self.decode_rules);
        objects.iter().any(|indexed| *indexed.decode_rules != *self.decode_rules)
            || (stale.is_reread && has_other_sums)
    }

    /// An hour whose objects hold what its sums have of them. Where all were read by this run's
    /// rules, other ones that have made the sums are forgotten.
    async fn leave_unchanged(
        &mut self,
        (hour, snapshot): (Hour, &IndexSnapshot),
        objects: &[Indexed],
        foreign: &[Indexed],
    ) -> Result<(), Failure> {
        let rules = &self.decode_rules;
        let are_read_so = objects.iter().all(|indexed| *indexed.decode_rules == **rules);
        if foreign.is_empty() && !objects.is_empty() && are_read_so {
            return self.db.unmark_stale(hour, snapshot, Some(rules)).await;
        }
        self.leave_as_it_is((hour, snapshot), foreign).await
    }

    /// An hour with nothing to do: but where a run with another prefix has, it stays stale for
    /// that.
    pub(super) async fn leave_as_it_is(
        &mut self,
        (hour, snapshot): (Hour, &IndexSnapshot),
        foreign: &[Indexed],
    ) -> Result<(), Failure> {
        if foreign.iter().all(|indexed| indexed.is_merged) {
            return self.db.unmark_stale(hour, snapshot, None).await;
        }
        self.outcomes.deferred.insert(hour);
        Ok(())
    }

    async fn write(&mut self, due: &HourToCompute<'_>, new: NewSums<'_>) -> Result<(), Failure> {
        if due.foreign.iter().any(|indexed| !indexed.is_merged) {
            self.outcomes.deferred.insert(due.stale.hour);
        }
        if let Some(known) = due.known.filter(|_| due.is_read_otherwise) {
            self.note_rewritten(due.stale.hour, known);
        }
        self.note_conflicts(due.stale.hour, new.sum.conflicts);
        let added = new.scope.added();
        let is_from_lake = due.from_lake.is_some() && added.is_some();
        let origin = self.origin(due, added);
        let (decode_rules, location) =
            (self.decode_rules_of(due, &new.scope), self.store.location());
        let summary = self.summary(due, new, (&decode_rules, &location));
        let written = summary.write(&mut self.db).await?;
        // Its rows are of ticks that came when some of its objects had expired.
        let has_expired = due.known.is_some_and(|known| known.gone_objects > 0);
        let is_late =
            has_expired && summary.changed.as_ref().is_some_and(|changed| !changed.is_empty());
        let Summary { hour, sum, .. } = summary;
        let Written::Done(shared) = written else {
            self.note_retry(hour);
            return Ok(());
        };
        self.outcomes.late.extend(is_late.then_some(hour));
        if !self.plan.window.contains(&hour) {
            self.outcomes.computed_elsewhere.insert(hour);
        }
        self.counts.hours_from_lake += u32::from(is_from_lake);
        self.count_written(hour, &sum, &shared);
        self.log_written(hour, &sum, &origin);
        Ok(())
    }

    /// What is written of an hour. `decode_rules` and `location`: as [`Summary`] has them.
    fn summary<'a>(
        &self,
        due: &'a HourToCompute<'a>,
        new: NewSums<'a>,
        (decode_rules, location): (&'a str, &'a str),
    ) -> Summary<'a> {
        let NewSums { mut sum, scope, keep_old_values_of } = new;
        let before = due.known.and_then(|known| known.sum.as_ref());
        // Nothing else repairs the rows of what has expired.
        let has_expired = due.known.is_some_and(|known| known.gone_objects > 0);
        let changed = before.map(|before| changed_symbols(before, &mut sum));
        let (withdrawn, taken_out) = withdrawn_records(due, before, &sum);
        // What was found in an hour that is only added to stays true.
        let kept = due.known.filter(|_| scope.added().is_some());
        let is_of_lake_alone = scope.added().is_some_and(<[_]>::is_empty);
        Summary {
            hour: due.stale.hour,
            changed,
            only_changed_rows: before.is_some()
                && !due.is_forced
                && !has_expired
                && due.from_lake.is_none(),
            rebuild_indicators: due.is_forced,
            from_all_objects: scope.added().is_none(),
            accept_missing: self.may_shrink(due.stale.hour),
            lake_keys: due.from_lake.filter(|_| is_of_lake_alone).map(|lake| &*lake.keys),
            merged_keys: merged_keys(due, &scope),
            keep_old_values_of: keep_old_values_of
                .iter()
                .map(|indexed| &*indexed.object.key)
                .collect(),
            neighbours: due.neighbours(&scope),
            gone_objects: kept.map_or(0, |known| known.gone_objects),
            withdrawn,
            taken_out,
            conflicts: kept.map_or(0, |known| known.conflicts) + sum.conflicts.records,
            sum,
            snapshot: due.snapshot,
            decode_rules,
            location,
            run_id: self.run_id,
        }
    }

    /// How the objects of an hour's new sums were read: sums that were only kept, as they were.
    fn decode_rules_of(&self, due: &HourToCompute<'_>, scope: &Scope<'_>) -> String {
        match (due.known, scope.added()) {
            (Some(known), Some([])) => known.decode_rules.clone(),
            _ => self.decode_rules.to_string(),
        }
    }

    /// `shared`: the records that other hours have, too.
    fn count_written(&mut self, hour: Hour, sum: &HourBars, shared: &[SharedRecords]) {
        let also_elsewhere = self.note_shared(hour, shared);
        self.counts.hours_computed += 1;
        self.counts.ticks += sum.ticks;
        self.counts.without_volume += without_volume(sum);
        self.counts.duplicates += sum.duplicates;
        self.counts.conflicts += sum.conflicts.records + also_elsewhere;
    }

    fn log_written(&self, hour: Hour, sum: &HourBars, origin: &str) {
        let without_volume = without_volume(sum);
        let unknown = match without_volume {
            0 => String::new(),
            symbols => format!(" ({symbols} without a volume)"),
        };
        self.progress.log_done(|| {
            let (ticks, symbols) =
                (counted(sum.ticks, "tick"), counted(sum.bars.len() as u64, "symbol"));
            let text = format!("{ticks} of {symbols}{unknown}");
            let duplicates = counted(sum.duplicates, "duplicate");
            tracing::info!(
                %hour,
                origin,
                ticks = sum.ticks,
                symbols = sum.bars.len(),
                without_volume,
                duplicates = sum.duplicates,
                "hour {hour}: {text} from {origin}, {duplicates} left out"
            );
        });
    }

    fn note_conflicts(&self, hour: Hour, conflicts: Conflicts) {
        let Some((partition, place)) = conflicts.example else {
            return;
        };
        let offset = places::text(place);
        self.progress.log(|| {
            tracing::warn!(
                %hour,
                records = conflicts.records,
                partition,
                offset,
                "hour {hour}: of {} records several lines tell different things, offset {offset} \
                 of partition {partition} among them; the first object by key counts",
                conflicts.records
            );
        });
    }

    /// Gives how many records other hours have, too.
    fn note_shared(&self, hour: Hour, shared: &[SharedRecords]) -> u64 {
        for shared in shared {
            let SharedRecords { other, records, topic, partition, .. } = shared;
            let text = shared.describe();
            self.progress.log(|| {
                tracing::warn!(%hour, %other, records, topic, partition, "hour {hour}: {text}");
            });
        }
        shared.iter().map(|shared| shared.records).sum()
    }

    /// An hour without objects: its ticks were withdrawn, or have expired.
    async fn empty(
        &mut self,
        (stale, snapshot): (Stale, &IndexSnapshot),
        known: Option<&Computed>,
        is_forced: bool,
    ) -> Result<(), Failure> {
        let hour = stale.hour;
        let Some(known) = known else {
            return self.db.unmark_stale(hour, snapshot, None).await;
        };
        let has_all_objects = known.gone_objects == 0 && known.location == self.store.location();
        let is_allowed = self.may_shrink(hour);
        if is_allowed || (has_all_objects && stale.is_replaced && !stale.is_reread) {
            let why = if is_allowed {
                "--allow-shrink says so"
            } else {
                "its objects were replaced by others without"
            };
            self.progress.log(|| {
                tracing::warn!(
                    %hour,
                    records = known.ticks,
                    error = why,
                    "hour {hour}: its {} records are taken out: {why}",
                    known.ticks
                );
            });
            return summary::withdraw(&mut self.db, hour, snapshot, is_allowed).await;
        }
        if stale.is_replaced && !stale.is_reread && self.keeps_lake_records(hour) {
            self.note_kept_for_lake(
                hour,
                "its objects were replaced by others without its records",
            );
            return self.db.unmark_stale(hour, snapshot, None).await;
        }
        if stale.is_replaced || stale.is_reread {
            let why = if stale.is_reread {
                "its objects are read by other rules of messages, which explains no loss"
            } else {
                "some of its objects were replaced by others without them, some are gone"
            };
            let words = format!(
                "not written, because it would lose all its {} records: {why}",
                known.ticks
            );
            self.fail(
                hour,
                &format!("{words}; --allow-shrink, with a window that holds it, deletes it"),
            );
            return Ok(());
        }
        if is_forced && known.sum.is_none() && known.location == self.store.location() {
            let why = "not written anew: its objects are gone, and what was kept of them cannot be \
                       read; its rows stay as they are, and --allow-shrink, with a window that \
                       holds it, deletes them";
            self.fail(hour, why);
        }
        self.db.unmark_stale(hour, snapshot, None).await
    }
    /// The hour stays stale and is tried again, but not for ever.
    pub(super) fn note_retry(&mut self, hour: Hour) {
        let retries = self.outcomes.retries.entry(hour).or_default();
        *retries += 1;
        if *retries > RELIST_TRIES {
            self.fail(
                hour,
                "not written, because its objects change again and again while they are read",
            );
        }
    }
}
