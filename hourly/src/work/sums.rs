//! The new sums of an hour: of all of its objects, or of what was known and of what is new.

use super::WindowRun;
use super::due::{HourToCompute, NewSums, Scope, Step};
use crate::engine::Summed;
use crate::hour::Hour;
use crate::index::{Computed, Indexed, Stale};
use crate::pending_hours::{self, MAX_SYMBOLS};
use crate::scan::{HourBars, Offsets, Overlap};
use crate::survey::{Change, ChangeKind};
use service::Failure;
use service::telemetry::TRACED;
use service::words::counted;
use tracing::Instrument;

/// How many records an hour would lose. `is_read_otherwise`: those whose offsets are missing may be
/// among the ticks that carry none now, unless their objects have expired. `there`: ticks of those
/// objects that it was made of, which are still there.
fn lost(known: &Computed, sum: &HourBars, is_read_otherwise: bool, there: u64) -> u64 {
    let missing = known.sum.as_ref().map_or(0, |before| before.offsets.missing_in(&sum.offsets));
    let by_place = missing.saturating_sub(if is_read_otherwise && known.gone_objects == 0 {
        sum.ticks_without_offsets()
    } else {
        0
    });
    // Where nobody knows which records have expired, as many new ones are none of them.
    let expired = if known.sum.is_none() && known.gone_objects > 0 {
        known.ticks.saturating_sub(there).max(1)
    } else {
        0
    };
    // For ticks without offsets we know only their count, and how many of them came from objects
    // that are gone.
    by_place.max(known.ticks.saturating_sub(sum.ticks)).max(known.gone_without_offsets).max(expired)
}

impl WindowRun {
    /// The hour's new sums.
    pub(super) async fn sums<'a>(
        &mut self,
        due: &HourToCompute<'a>,
    ) -> Result<Step<NewSums<'a>>, Failure> {
        let known_sum = due.known.and_then(|known| known.sum.as_ref());
        let added: Vec<&Indexed> = due.objects.iter().filter(|object| !object.is_merged).collect();
        if due.has_foreign() {
            return self.sums_beside(due, known_sum, added).await;
        }
        if let (Some(before), false) = (known_sum, due.needs_all()) {
            let Step::Done(part) = self.sum(due, &added, None).await? else {
                return Ok(Step::Skipped);
            };
            if before.overlap(&part) == Overlap::None {
                return Ok(self.add(due, before, part, added));
            }
        }
        // Where records come twice, the first object by key has them: so all are read again, in
        // that order.
        let all: Vec<&Indexed> = due.objects.iter().collect();
        let Step::Done(sum) = self.sum(due, &all, None).await? else {
            return Ok(Step::Skipped);
        };
        if self.skip_if_two_topics(due, &sum) {
            return Ok(Step::Skipped);
        }
        let Some(known) = due.known else {
            return Ok(Step::Done(NewSums::of_all(sum)));
        };
        let merged = due.objects.iter().filter(|indexed| indexed.is_merged);
        let there = merged.clone().map(|indexed| indexed.ticks).sum();
        // Whatever was kept or noted of it: what it was made of is all there, as it was.
        let has_all_objects = known.gone_objects == 0
            && known.accounts_for(merged.count() as u64)
            && known.location == self.store.location()
            && !due.is_read_otherwise;
        let lost = if has_all_objects && known.sum.is_none() {
            0
        } else {
            lost(known, &sum, due.is_read_otherwise, there)
        };
        match lost {
            0 if self.skip_if_grown(due, known, &sum) => Ok(Step::Skipped),
            0 => Ok(Step::Done(NewSums::of_all(sum))),
            lost => self.shrink(due, known, (sum, lost), added).await,
        }
    }

    /// The new sums of an hour that has records of objects which only a run with another prefix can
    /// read: new records come to what is known.
    async fn sums_beside<'a>(
        &mut self,
        due: &HourToCompute<'a>,
        known: Option<&HourBars>,
        added: Vec<&'a Indexed>,
    ) -> Result<Step<NewSums<'a>>, Failure> {
        let hour = due.stale.hour;
        let Some(before) = known.filter(|_| !due.needs_all()) else {
            self.fail_foreign(hour, due.foreign);
            if !due.stale.is_replaced && !due.stale.is_reread && added.is_empty() {
                self.leave_as_it_is((hour, due.snapshot), due.foreign).await?;
            }
            return Ok(Step::Skipped);
        };
        let Step::Done(part) = self.sum(due, &added, Some(&before.offsets)).await? else {
            return Ok(Step::Skipped);
        };
        Ok(self.add(due, before, part, added))
    }

    /// What becomes of an hour that would lose records which it has: whether anything explains
    /// that. `lost`: how many.
    async fn shrink<'a>(
        &mut self,
        due: &HourToCompute<'a>,
        known: &Computed,
        (sum, lost): (HourBars, u64),
        added: Vec<&'a Indexed>,
    ) -> Result<Step<NewSums<'a>>, Failure> {
        if let Some(why) = self.why_taken_out(due, known, &added) {
            let hour = due.stale.hour;
            self.progress.log(|| {
                tracing::warn!(
                    %hour,
                    records = lost,
                    known = known.ticks,
                    error = why,
                    "hour {hour}: {lost} of {} records are taken out: {why}",
                    known.ticks
                );
            });
            return Ok(Step::Done(NewSums::of_all(sum)));
        }
        // What has expired cannot be read again, and stays as it is known; only new records come to
        // it. What was read in another way cannot be added to: the same records would count twice.
        let may_be_known = due.stale.is_reread && sum.ticks_without_offsets() > 0;
        let can_be_added_to = !due.is_read_otherwise && !may_be_known;
        let is_anew = due.is_forced && self.is_written_from_kept(&due.stale, Some(known));
        match &known.sum {
            Some(before)
                if can_be_added_to && !due.stale.is_replaced && (is_anew || !added.is_empty()) =>
            {
                if is_anew {
                    self.note_written_from_kept(due.stale.hour, known, lost);
                }
                let Step::Done(part) = self.sum(due, &added, Some(&before.offsets)).await? else {
                    return Ok(Step::Skipped);
                };
                Ok(self.add(due, before, part, added))
            }
            Some(before)
                if can_be_added_to
                    && due.stale.is_replaced
                    && known.location == self.store.location() =>
            {
                self.grow(due, known, (before, lost), added).await
            }
            _ => {
                self.fail_loss(due, known, lost);
                Ok(Step::Skipped)
            }
        }
    }

    /// Why records may be taken out of an hour; `None` if nothing explains that they are missing.
    fn why_taken_out(
        &self,
        due: &HourToCompute<'_>,
        known: &Computed,
        added: &[&Indexed],
    ) -> Option<String> {
        if self.may_shrink(due.stale.hour) {
            return Some("--allow-shrink says so".to_owned());
        }
        // Where all its other objects are there, what is missing was in those that were replaced.
        let has_all_objects = known.gone_objects == 0 && known.location == self.store.location();
        if !has_all_objects || !due.stale.is_replaced || due.is_read_otherwise {
            return None;
        }
        let replaced: Vec<_> = added.iter().filter(|indexed| indexed.summed.is_some()).collect();
        Some(match &replaced[..] {
            [] => "an object was replaced by one without them".to_owned(),
            [one] => format!("{} was replaced by one without them", one.object.key),
            [first, ..] => format!(
                "{}, {} the first, were replaced by others without them",
                counted(replaced.len() as u64, "object"),
                first.object.key
            ),
        })
    }

    fn note_written_from_kept(&self, hour: Hour, known: &Computed, lost: u64) {
        let location = self.store.location();
        self.progress.log(|| {
            tracing::warn!(
                %hour,
                location,
                records = lost,
                known = known.ticks,
                "hour {hour}: {lost} of {} records are no longer in {location}: all of its rows \
                 are written again from what was kept of them",
                known.ticks
            );
        });
    }

    /// The hour stays stale: what is new is looked at in each run, until it is written or gone
    /// again.
    fn fail_loss(&mut self, due: &HourToCompute<'_>, known: &Computed, lost: u64) {
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
                    "their objects are no longer in {location}, and what was kept of them cannot \
                     be read"
                )
            }
        };
        let words =
            format!("not written, because it would lose {lost} of {} records: {why}", known.ticks);
        self.fail(
            due.stale.hour,
            &format!("{words}; --allow-shrink, with a window that holds it, writes it"),
        );
    }

    /// Whether an hour whose objects are not all there any more may be written again from what was
    /// kept of it.
    pub(super) fn is_written_from_kept(&self, stale: &Stale, known: Option<&Computed>) -> bool {
        let is_kept = known.is_some_and(|known| {
            known.gone_objects > 0 && known.sum.is_some() && known.location == self.store.location()
        });
        is_kept && !stale.is_replaced && !stale.is_reread && !self.may_shrink(stale.hour)
    }

    /// Whether by other rules the same objects hold more ticks than by those that the hour was
    /// computed by, which no person has asked for. Logs it in that case.
    fn skip_if_grown(&mut self, due: &HourToCompute<'_>, known: &Computed, sum: &HourBars) -> bool {
        let new: u64 = due
            .objects
            .iter()
            .filter(|indexed| indexed.summed.is_none())
            .map(|indexed| indexed.ticks)
            .sum();
        let is_more = sum.ticks > known.ticks + new;
        let refuses = is_more && due.is_read_otherwise && !due.is_forced && !due.stale.is_replaced;
        refuses && self.fail_more(due.stale.hour, known, sum.ticks)
    }

    /// The sums of what an hour was, and of `part`: what `added` hold.
    pub(super) fn add<'a>(
        &mut self,
        due: &HourToCompute<'a>,
        before: &HourBars,
        part: HourBars,
        added: Vec<&'a Indexed>,
    ) -> Step<NewSums<'a>> {
        let Some(sum) = pending_hours::joined(before.clone(), part) else {
            self.fail_wide(due.stale.hour);
            return Step::Skipped;
        };
        let scope = Scope::Added(added);
        Step::Done(NewSums { sum, scope, keep_old_values_of: Vec::new() })
    }

    fn fail_wide(&mut self, hour: Hour) {
        self.fail(
            hour,
            &format!(
                "not written: it has more than {MAX_SYMBOLS} symbols, for which there is no memory"
            ),
        );
    }

    /// The sums of some of an hour's objects, without records that are known. The hour is skipped
    /// if one of them has changed or cannot be read.
    pub(super) async fn sum(
        &mut self,
        due: &HourToCompute<'_>,
        objects: &[&Indexed],
        known: Option<&Offsets>,
    ) -> Result<Step<HourBars>, Failure> {
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
        self.require_sums(due, objects, summed?).await
    }

    /// What was summed up of some of an hour's objects. The hour is skipped if that failed.
    pub(super) async fn require_sums(
        &mut self,
        due: &HourToCompute<'_>,
        objects: &[&Indexed],
        summed: Summed,
    ) -> Result<Step<HourBars>, Failure> {
        self.count_reads();
        let hour = due.stale.hour;
        let folder_of = |key: &str| objects.iter().find(|indexed| *indexed.object.key == *key);
        match summed {
            Summed::Complete(sum) => return Ok(Step::Done(sum)),
            Summed::Moved(object) => {
                if let Some(other) =
                    objects.iter().find(|indexed| *indexed.decode_rules != *self.decode_rules)
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
        Ok(Step::Skipped)
    }

    /// An object that this run has not read into the index, because it lies in a folder far off.
    fn fail_moved(&mut self, hour: Hour, other: &Indexed) {
        let why = format!(
            "not written, because {} and others were read by other rules of messages, and hold \
             none of its ticks by this run's: a window that covers {} reads them again",
            other.object.key, other.folder
        );
        self.fail(hour, &why);
    }
}
