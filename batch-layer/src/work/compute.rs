//! Computing the hours that are stale.

use super::due::{Due, New};
use super::{ROUNDS, Work};
use crate::archive::Folder;
use crate::engine::Summed;
use crate::hour::Hour;
use crate::index::{Computed, Indexed, Seen, Stale};
use crate::scan::{Conflicts, HourBars, Offsets, Overlap, places};
use crate::shared::Shared;
use crate::summary::{self, Summary, changed_symbols};
use crate::survey::{Change, ChangeKind};
use crate::totals::{self, MAX_SYMBOLS};
use rustc_hash::FxHashSet;
use service::Failure;
use service::telemetry::TRACED;
use service::words::counted;
use std::collections::BTreeSet;
use std::ops::Range;
use tracing::Instrument;

/// Sets an hour's mark right by its objects, those that are there. The mark of one that was replaced
/// may be lost: it was gone for a while.
fn set_right<'a>(
    stale: &mut Stale,
    known: &Computed,
    objects: impl Iterator<Item = &'a Indexed> + Clone,
) {
    let mut replaced = objects.clone().filter(|indexed| indexed.is_replaced()).peekable();
    if replaced.peek().is_none() && known.emptied == 0 {
        if known.is_of(objects.filter(|indexed| indexed.merged).count() as u64) {
            // What was replaced is again what it was.
            (stale.replaced, stale.reread) = (false, false);
        }
    } else if !stale.replaced && !stale.reread {
        stale.replaced = replaced.all(|indexed| *indexed.format == *known.format);
        stale.reread = !stale.replaced;
    }
}

/// Records that an hour would lose. `is_read_otherwise`: those whose places are missing may be
/// among the ticks that tell none now, unless their objects have expired. `there`: ticks of those
/// objects that it was made of, which are still there.
fn lost(known: &Computed, sum: &HourBars, is_read_otherwise: bool, there: u64) -> u64 {
    let missing = known.sum.as_ref().map_or(0, |before| before.offsets.missing_in(&sum.offsets));
    let by_place = missing.saturating_sub(if is_read_otherwise && known.gone_objects == 0 {
        sum.placeless()
    } else {
        0
    });
    // Where nobody knows which records have expired, as many new ones are none of them.
    let expired = match known.sum.is_none() && known.gone_objects > 0 {
        true => known.ticks.saturating_sub(there).max(1),
        false => 0,
    };
    // Of ticks that do not tell their place only the number is known, and that of those whose
    // objects are gone.
    by_place.max(known.ticks.saturating_sub(sum.ticks)).max(known.gone_placeless).max(expired)
}

/// Records that an hour had once and has no longer, and how many of them are truly out of it. What
/// comes again is no longer withdrawn: a sink may overwrite an object by its first part, whose rest
/// follows. As many as have come since without offsets may be the same ones.
fn withdrawn(due: &Due<'_>, before: Option<&HourBars>, sum: &HourBars) -> (Offsets, u64) {
    let mut withdrawn =
        due.known.map(|known| known.withdrawn.without(&sum.offsets)).unwrap_or_default();
    let again = due.known.map_or(0, |known| known.withdrawn.len()) - withdrawn.len();
    let out_before = due.known.map_or(0, |known| known.taken_out);
    let comparable = before.filter(|_| !due.is_read_otherwise);
    let more = comparable.map(|before| before.offsets.without(&sum.offsets)).unwrap_or_default();
    let (gone, came) = comparable.map_or((0, 0), |before| (before.placeless(), sum.placeless()));
    let taken_out = (out_before + more.len() + gone).saturating_sub(again + came);
    withdrawn.add_all(more);
    let taken_out = taken_out.min(withdrawn.len());
    (withdrawn, taken_out)
}

/// The keys of the objects that come into an hour's sums; `None`: all that it has.
fn merged<'a>(due: &Due<'a>, added: Option<Vec<&'a Indexed>>) -> Option<Vec<&'a str>> {
    let added = match added {
        Some(added) => added,
        None if due.foreign.is_empty() => return None,
        None => due.objects.iter().collect(),
    };
    Some(added.iter().map(|indexed| &*indexed.object.key).collect())
}

impl Work {
    /// Computes stale hours until there are none left but those that failed and those of later
    /// stretches.
    pub(super) async fn compute_stale(&mut self, stretch: &Range<Hour>) -> Result<(), Failure> {
        loop {
            let mut stale = self.index.stale(self.plan.due, &self.plan.window).await?;
            let later = stretch.end..self.plan.window.end;
            self.fail_refused();
            let is_done = |hour: &Hour| self.failed.contains(hour) || self.left.contains(hour);
            let is_of_others = |hour: &Hour| self.own.is_some() && !stretch.contains(hour);
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
        folders.retain(|folder| !self.surveyed.contains(&folder.prefix));
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
        let seen = &self.index.seen(hour).await?;
        let objects = self.objects_of(hour).await?;
        self.forget_others(&objects);
        let (foreign, objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|indexed| self.is_foreign(indexed));
        let is_forced = self.plan.window.contains(&hour) && (self.recompute || self.allow_shrink);
        let is_as_it_was = |stale: &Stale| {
            !(is_forced || stale.replaced || stale.reread)
                && objects.iter().all(|object| object.merged)
        };
        if is_as_it_was(&stale) {
            return self.leave_as_it_is((hour, seen), &foreign).await;
        }
        let mut known = self.index.computed(hour).await?;
        if let Some(known) = &known {
            set_right(&mut stale, known, objects.iter().chain(&foreign));
        }
        if is_as_it_was(&stale) {
            return self.leave_as_it_is((hour, seen), &foreign).await;
        }
        let from_lake = match &mut known {
            Some(known) if foreign.is_empty() && (is_forced || known.sum.is_none()) => {
                Box::pin(self.read_lake(&stale, known)).await?
            }
            _ => None,
        };
        match (objects.is_empty(), foreign.is_empty()) {
            (true, true) if is_forced && self.is_written_from_kept(&stale, known.as_ref()) => {}
            (true, true) => return self.empty((stale, seen), known.as_ref(), is_forced).await,
            (true, false) if known.is_none() => {
                return self.leave_as_it_is((hour, seen), &foreign).await;
            }
            _ => self.engine.forget_before(hour),
        }
        let (foreign, objects, known) = (&foreign[..], &objects[..], known.as_ref());
        let is_read_otherwise = self.is_read_otherwise(&stale, known, objects);
        let gone_placeless = match known {
            Some(known) if known.gone_placeless > 0 => self.index.gone_placeless(hour).await?,
            _ => Vec::new(),
        };
        let from_lake = from_lake.as_ref().filter(|_| !is_read_otherwise);
        let due = Due {
            stale,
            seen,
            is_read_otherwise,
            foreign,
            is_forced,
            objects,
            gone_placeless,
            known,
            from_lake,
            pending,
        };
        match self.sums(&due).await? {
            Some(new) if !self.refuses_doubled(&due, &new) => self.write(&due, new).await,
            _ => Ok(()),
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
        let has_other_sums = known.is_none_or(|known| *known.format != *self.format);
        objects.iter().any(|indexed| *indexed.format != *self.format)
            || (stale.reread && has_other_sums)
    }

    /// An hour with nothing to do: but where a run with another prefix has, it stays stale for
    /// that.
    async fn leave_as_it_is(
        &mut self,
        (hour, seen): (Hour, &Seen),
        foreign: &[Indexed],
    ) -> Result<(), Failure> {
        if foreign.iter().all(|indexed| indexed.merged) {
            return self.index.unmark_stale(hour, seen).await;
        }
        self.left.insert(hour);
        Ok(())
    }

    async fn write(&mut self, due: &Due<'_>, new: New<'_>) -> Result<(), Failure> {
        let New { mut sum, added, kept: keeping } = new;
        let before = due.known.and_then(|known| known.sum.as_ref());
        // Rows of what has expired are mended by nothing else.
        let has_expired = due.known.is_some_and(|known| known.gone_objects > 0);
        let are_kept =
            before.is_some() && !due.is_forced && !has_expired && due.from_lake.is_none();
        let changed = before.map(|before| changed_symbols(before, &mut sum));
        let is_late = has_expired && changed.as_ref().is_some_and(|changed| !changed.is_empty());
        let (withdrawn, taken_out) = withdrawn(due, before, &sum);
        // Of an hour that is only added to, what was found before stays true.
        let kept = due.known.filter(|_| added.is_some());
        // What is written from what was kept was read as that was.
        let is_read = added.as_ref().is_none_or(|added| !added.is_empty());
        let format = kept
            .filter(|_| !is_read)
            .map_or_else(|| self.format.to_string(), |known| known.format.clone());
        let gone = kept.map_or(0, |known| known.gone_objects);
        if due.foreign.iter().any(|indexed| !indexed.merged) {
            self.left.insert(due.stale.hour);
        }
        if let Some(known) = due.known.filter(|_| due.is_read_otherwise) {
            self.note_rewritten(due.stale.hour, known);
        }
        self.note_conflicts(due.stale.hour, sum.conflicts);
        let conflicts = kept.map_or(0, |known| known.conflicts) + sum.conflicts.records;
        let is_of_lake = due.from_lake.is_some() && added.is_some();
        let is_of_lake_alone = added.as_ref().is_some_and(Vec::is_empty);
        let from = self.origin(due, added.as_deref());
        let beside = due.beside(added.as_deref());
        let summary = Summary {
            hour: due.stale.hour,
            sum,
            changed,
            are_kept,
            is_anew: due.is_forced,
            is_whole: added.is_none(),
            may_lack: self.may_shrink(due.stale.hour),
            of_lake: due.from_lake.filter(|_| is_of_lake_alone).map(|lake| &*lake.keys),
            merged: merged(due, added),
            kept: keeping.iter().map(|indexed| &*indexed.object.key).collect(),
            beside,
            gone_objects: gone,
            withdrawn,
            taken_out,
            conflicts,
            seen: due.seen,
            format: &format,
            location: &self.store.location(),
            run_id: self.run_id,
        };
        let written = summary.write(&mut self.index).await?;
        let Summary { hour, sum, .. } = summary;
        let Some(shared) = written else {
            self.note_retry(hour);
            return Ok(());
        };
        self.late.extend(is_late.then_some(hour));
        if !self.plan.window.contains(&hour) {
            self.computed_elsewhere.insert(hour);
        }
        let also_elsewhere = self.note_shared(hour, &shared);
        self.counts.hours_computed += 1;
        self.counts.hours_from_lake += u32::from(is_of_lake);
        self.counts.ticks += sum.ticks;
        let without_volume = sum.bars.iter().filter(|(_, bar)| !bar.traded.is_known).count();
        self.counts.without_volume += without_volume as u64;
        self.counts.duplicates += sum.duplicates;
        self.counts.conflicts += sum.conflicts.records + also_elsewhere;
        self.say_written(hour, &sum, without_volume, &from);
        Ok(())
    }

    fn say_written(&self, hour: Hour, sum: &HourBars, without_volume: usize, from: &str) {
        let unknown = match without_volume {
            0 => String::new(),
            symbols => format!(" ({symbols} without a volume)"),
        };
        self.progress.say(format_args!(
            "hour {hour}: {} of {}{unknown} from {from}, {} left out",
            counted(sum.ticks, "tick"),
            counted(sum.bars.len() as u64, "symbol"),
            counted(sum.duplicates, "duplicate")
        ));
    }

    fn note_conflicts(&self, hour: Hour, conflicts: Conflicts) {
        let Some((partition, place)) = conflicts.example else {
            return;
        };
        let offset = places::text(place);
        self.progress.warn(format_args!(
            "hour {hour}: of {} records several lines tell different things, offset {offset} of partition {partition} \
             among them; the first object by key counts",
            conflicts.records
        ));
    }

    /// Gives how many records other hours have, too.
    fn note_shared(&self, hour: Hour, shared: &[Shared]) -> u64 {
        shared.iter().for_each(|shared| {
            self.progress.warn(format_args!("hour {hour}: {}", shared.describe()))
        });
        shared.iter().map(|shared| shared.records).sum()
    }

    /// The hour's new sums; `None` where it is not to be written now, which has been noted.
    async fn sums<'a>(&mut self, due: &Due<'a>) -> Result<Option<New<'a>>, Failure> {
        let known_sum = due.known.and_then(|known| known.sum.as_ref());
        let added: Vec<&Indexed> = due.objects.iter().filter(|object| !object.merged).collect();
        if due.has_foreign() {
            return self.sums_beside(due, known_sum, added).await;
        }
        if let (Some(before), false) = (known_sum, due.needs_all()) {
            let Some(part) = self.sum(due, &added, None).await? else {
                return Ok(None);
            };
            if before.overlap(&part) == Overlap::None {
                return Ok(self.add(due, before, part, added));
            }
        }
        // Where records come twice, the first object by key has them: so all are read again, in
        // that order.
        let all: Vec<&Indexed> = due.objects.iter().collect();
        let Some(sum) = self.sum(due, &all, None).await? else {
            return Ok(None);
        };
        if self.refuses_strangers(due, &sum) {
            return Ok(None);
        }
        let Some(known) = due.known else {
            return Ok(Some(New { sum, added: None, kept: Vec::new() }));
        };
        let merged = due.objects.iter().filter(|indexed| indexed.merged);
        let there = merged.clone().map(|indexed| indexed.ticks).sum();
        // Whatever was kept or noted of it: what it was made of is all there, as it was.
        let is_whole = known.gone_objects == 0
            && known.is_of(merged.count() as u64)
            && known.location == self.store.location()
            && !due.is_read_otherwise;
        let lost = match is_whole && known.sum.is_none() {
            true => 0,
            false => lost(known, &sum, due.is_read_otherwise, there),
        };
        match lost {
            0 if self.refuses_more(due, known, &sum) => Ok(None),
            0 => Ok(Some(New { sum, added: None, kept: Vec::new() })),
            lost => self.shrink(due, known, (sum, lost), added).await,
        }
    }

    /// The new sums of an hour that has records of objects which only a run with another prefix can
    /// read: new records come to what is known. `None` where that is not enough, which has been
    /// noted.
    async fn sums_beside<'a>(
        &mut self,
        due: &Due<'a>,
        known: Option<&HourBars>,
        added: Vec<&'a Indexed>,
    ) -> Result<Option<New<'a>>, Failure> {
        let hour = due.stale.hour;
        let Some(before) = known.filter(|_| !due.needs_all()) else {
            self.fail_foreign(hour, due.foreign);
            if !due.stale.replaced && !due.stale.reread && added.is_empty() {
                self.leave_as_it_is((hour, due.seen), due.foreign).await?;
            }
            return Ok(None);
        };
        let Some(part) = self.sum(due, &added, Some(&before.offsets)).await? else {
            return Ok(None);
        };
        Ok(self.add(due, before, part, added))
    }

    /// What becomes of an hour that would lose records which it has: whether anything explains
    /// that.
    async fn shrink<'a>(
        &mut self,
        due: &Due<'a>,
        known: &Computed,
        (sum, lost): (HourBars, u64),
        added: Vec<&'a Indexed>,
    ) -> Result<Option<New<'a>>, Failure> {
        let hour = due.stale.hour;
        // Where all its other objects are there, what is missing was in those that were replaced.
        let is_whole = known.gone_objects == 0 && known.location == self.store.location();
        let is_allowed = self.may_shrink(hour);
        if is_allowed || (is_whole && due.stale.replaced && !due.is_read_otherwise) {
            let replaced: Vec<_> =
                added.iter().filter(|indexed| indexed.summed.is_some()).collect();
            let why = match (is_allowed, &replaced[..]) {
                (true, _) => "--allow-shrink says so".to_owned(),
                (false, []) => "an object was replaced by one without them".to_owned(),
                (false, [one]) => format!("{} was replaced by one without them", one.object.key),
                (false, [first, ..]) => format!(
                    "{}, {} the first, were replaced by others without them",
                    counted(replaced.len() as u64, "object"),
                    first.object.key
                ),
            };
            self.progress.warn(format_args!(
                "hour {hour}: {lost} of {} records are taken out: {why}",
                known.ticks
            ));
            return Ok(Some(New { sum, added: None, kept: Vec::new() }));
        }
        // What has expired cannot be read again, and stays as it is known; only new records come to
        // it. What was read in another way cannot be added to: the same records would count twice.
        let may_be_known = due.stale.reread && sum.placeless() > 0;
        let is_anew = due.is_forced && self.is_written_from_kept(&due.stale, Some(known));
        let is_added_to = (is_anew || !added.is_empty())
            && !due.stale.replaced
            && !due.is_read_otherwise
            && !may_be_known;
        if let Some(before) = known.sum.as_ref().filter(|_| is_added_to) {
            if is_anew {
                self.progress.warn(format_args!(
                    "hour {hour}: {lost} of {} records are no longer in {}: all of its rows are written anew from what \
                     was kept of them",
                    known.ticks,
                    self.store.location()
                ));
            }
            let Some(part) = self.sum(due, &added, Some(&before.offsets)).await? else {
                return Ok(None);
            };
            return Ok(self.add(due, before, part, added));
        }
        let may_have_grown = due.stale.replaced && !due.is_read_otherwise && !may_be_known;
        if let Some(before) =
            known.sum.as_ref().filter(|_| may_have_grown && known.location == self.store.location())
        {
            return self.grow(due, known, (before, lost), added).await;
        }
        let location = self.store.location();
        let why = match (due.is_read_otherwise, known.sum.is_some()) {
            (true, _) => {
                "its objects are read by other rules of messages, which explains no loss".to_owned()
            }
            (false, true) => {
                format!("their objects are no longer in {location} and nothing replaced them")
            }
            (false, false) => {
                format!(
                    "their objects are no longer in {location}, and what was kept of them cannot be read"
                )
            }
        };
        // It stays stale: what is new is looked at in each run, until it is written or gone again.
        let words =
            format!("not written, because it would lose {lost} of {} records: {why}", known.ticks);
        self.fail(
            hour,
            &format!("{words}; --allow-shrink, with a window that holds it, writes it"),
        );
        Ok(None)
    }

    /// Whether an hour whose objects are not all there any more may be written anew from what was
    /// kept of it.
    fn is_written_from_kept(&self, stale: &Stale, known: Option<&Computed>) -> bool {
        let is_kept = known.is_some_and(|known| {
            known.gone_objects > 0 && known.sum.is_some() && known.location == self.store.location()
        });
        is_kept && !stale.replaced && !stale.reread && !self.may_shrink(stale.hour)
    }

    /// Whether by other rules the same objects hold more ticks than by those that the hour was
    /// computed by, which no person has asked for; it has been noted then.
    fn refuses_more(&mut self, due: &Due<'_>, known: &Computed, sum: &HourBars) -> bool {
        let new: u64 = due
            .objects
            .iter()
            .filter(|indexed| indexed.summed.is_none())
            .map(|indexed| indexed.ticks)
            .sum();
        let is_more = sum.ticks > known.ticks + new;
        let refuses = is_more && due.is_read_otherwise && !due.is_forced && !due.stale.replaced;
        refuses && self.fail_more(due.stale.hour, known, sum.ticks)
    }

    /// What an hour was, and what `added` hold; `None` where that is too much, which has been
    /// noted.
    pub(super) fn add<'a>(
        &mut self,
        due: &Due<'a>,
        before: &HourBars,
        part: HourBars,
        added: Vec<&'a Indexed>,
    ) -> Option<New<'a>> {
        let sum = totals::joined(before.clone(), part);
        if sum.is_none() {
            self.fail_wide(due.stale.hour);
        }
        sum.map(|sum| New { sum, added: Some(added), kept: Vec::new() })
    }

    fn fail_wide(&mut self, hour: Hour) {
        self.fail(
            hour,
            &format!(
                "not written: it has more than {MAX_SYMBOLS} symbols, for which there is no memory"
            ),
        );
    }

    /// The sums of some of an hour's objects, without records that are known; `None` where one of
    /// them changed or cannot be read, which has been noted.
    pub(super) async fn sum(
        &mut self,
        due: &Due<'_>,
        objects: &[&Indexed],
        known: Option<&Offsets>,
    ) -> Result<Option<HourBars>, Failure> {
        let (hour, pending) = (due.stale.hour, due.pending);
        let asked: Vec<_> = objects.iter().map(|indexed| indexed.object.clone()).collect();
        let read = tracing::info_span!(target: TRACED, "read", objects = asked.len());
        let sum = async {
            match known {
                None => self.engine.sum(hour, &asked, |later| pending.contains(&later)).await,
                Some(known) => self.engine.sum_without(hour, &asked, known).await,
            }
        };
        let summed = sum.instrument(read).await;
        self.whole(due, objects, summed?).await
    }

    /// What was summed up of some of an hour's objects; `None` where that failed, which has been
    /// noted.
    pub(super) async fn whole(
        &mut self,
        due: &Due<'_>,
        objects: &[&Indexed],
        summed: Summed,
    ) -> Result<Option<HourBars>, Failure> {
        self.count_reads();
        let hour = due.stale.hour;
        let folder_of = |key: &str| objects.iter().find(|indexed| *indexed.object.key == *key);
        match summed {
            Summed::Whole(sum) => return Ok(Some(sum)),
            Summed::Moved(object) => {
                if let Some(other) = objects.iter().find(|indexed| *indexed.format != *self.format)
                {
                    self.fail_moved(hour, other);
                } else if let Some(indexed) =
                    folder_of(&object.key).filter(|indexed| self.is_own(&indexed.folder))
                {
                    let folder = self.folder_of(&indexed.folder);
                    let change = Change {
                        object,
                        folder,
                        kind: ChangeKind::Replaced,
                        by_other_rules: false,
                        twin: None,
                        older: Vec::new(),
                    };
                    self.index_again(vec![change]).await?;
                }
                self.note_retry(hour);
            }
            Summed::TooWide => self.fail_wide(hour),
            Summed::Broken(object, broken) => {
                if let Some(indexed) = folder_of(&object.key) {
                    let folder = self.folder_of(&indexed.folder);
                    self.note_broken(&object, &folder, broken).await?;
                }
            }
        }
        Ok(None)
    }

    /// An hour without objects: its ticks were withdrawn, or have expired.
    async fn empty(
        &mut self,
        (stale, seen): (Stale, &Seen),
        known: Option<&Computed>,
        is_forced: bool,
    ) -> Result<(), Failure> {
        let hour = stale.hour;
        let Some(known) = known else {
            return self.index.unmark_stale(hour, seen).await;
        };
        let is_whole = known.gone_objects == 0 && known.location == self.store.location();
        let is_allowed = self.may_shrink(hour);
        if is_allowed || (is_whole && stale.replaced && !stale.reread) {
            let why = if is_allowed {
                "--allow-shrink says so"
            } else {
                "its objects were replaced by others without"
            };
            self.progress.warn(format_args!(
                "hour {hour}: its {} records are taken out: {why}",
                known.ticks
            ));
            return summary::withdraw(&mut self.index, hour, seen, is_allowed).await;
        }
        if stale.replaced && !stale.reread && self.stands(hour) {
            self.note_standing(hour, "its objects were replaced by others without its records");
            return self.index.unmark_stale(hour, seen).await;
        }
        if stale.replaced || stale.reread {
            let why = match stale.reread {
                true => "its objects are read by other rules of messages, which explains no loss",
                false => "some of its objects were replaced by others without them, some are gone",
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
            let why = "not written anew: its objects are gone, and what was kept of them cannot be read; its rows stay as \
                       they are, and --allow-shrink, with a window that holds it, deletes them";
            self.fail(hour, why);
        }
        self.index.unmark_stale(hour, seen).await
    }

    /// An object that this run has not read into the index, because it lies in a folder far off.
    fn fail_moved(&mut self, hour: Hour, other: &Indexed) {
        let why = format!(
            "not written, because {} and others were read by other rules of messages, and hold none of its ticks by \
             this run's: a window that covers {} reads them again",
            other.object.key, other.folder
        );
        self.fail(hour, &why);
    }

    /// The hour stays stale and is tried again, but not for ever.
    fn note_retry(&mut self, hour: Hour) {
        let retries = self.retries.entry(hour).or_default();
        *retries += 1;
        if *retries > ROUNDS {
            self.fail(
                hour,
                "not written, because its objects change again and again while they are read",
            );
        }
    }
}
