//! Objects that have grown, in hours of which others have expired.
//!
//! Ticks of an expired object exist only in the hour's sums, and sums cannot be subtracted from. So
//! a replaced object may only add ticks, and only if its new version still has all the old ones. We
//! check this with two hashes of the old version: one of its ticks, one of its offsets. Either the
//! new version's ticks at offsets already in the sums have the same hash; or, where the sums have
//! some of those from other objects, its first N ticks have, where N is the old version's count: a
//! sink writes an object again from the same offset on. If the new version lacks some ticks, and
//! the lake has the hour in place of objects that were deleted for that, a person may allow that
//! those ticks stay.

use super::WindowRun;
use super::due::{HourToCompute, NewSums, Step};
use super::index::fingerprints;
use crate::hour::Hour;
use crate::index::{Computed, InSums, Indexed};
use crate::scan::HourBars;
use service::Failure;
use std::cmp::Ordering;

/// What the new version of an object holds of the earlier one.
enum HourGrowth {
    /// All of it.
    Superset,
    /// All of its records, of which some say other things now.
    OtherValues,
    /// Why it lacks some of its records.
    Less(String),
    /// Why that is not certain.
    Uncertain(String),
}

impl WindowRun {
    /// Adds to an hour what its objects have that were replaced or are new. `lost`: how many
    /// records it would lose if it were made of those alone that are there.
    pub(super) async fn grow<'a>(
        &mut self,
        due: &HourToCompute<'a>,
        known: &Computed,
        (before, lost): (&HourBars, u64),
        added: Vec<&'a Indexed>,
    ) -> Result<Step<NewSums<'a>>, Failure> {
        let there = due.objects.iter().filter(|indexed| indexed.summed.is_some()).count();
        if !known.accounts_for(there as u64) {
            let why = "one of its objects was replaced by a version that holds nothing of the hour";
            if !self.keeps_lake_records(due.stale.hour) {
                return Ok(self.fail_grown(due, known, (lost, why)));
            }
            self.note_kept_for_lake(due.stale.hour, why);
        }
        let (mut ticks_before, mut keep_old_values_of) = (0, Vec::new());
        for indexed in &added {
            let Some(summed) = indexed.summed else {
                continue;
            };
            let Step::Done(held) = self.held_before(due, indexed, summed, before).await? else {
                return Ok(Step::Skipped);
            };
            match growth(indexed, summed, &held, before)? {
                HourGrowth::Superset => {}
                HourGrowth::OtherValues => {
                    self.note_other_values(due, indexed, held.ticks);
                    keep_old_values_of.push(*indexed);
                }
                HourGrowth::Less(why) if self.keeps_lake_records(due.stale.hour) => {
                    self.note_kept_for_lake(due.stale.hour, &why)
                }
                HourGrowth::Less(why) | HourGrowth::Uncertain(why) => {
                    return Ok(self.fail_grown(due, known, (lost, &why)));
                }
            }
            ticks_before += held.ticks + held.duplicates;
        }
        let Step::Done(mut part) = self.sum(due, &added, Some(&before.offsets)).await? else {
            return Ok(Step::Skipped);
        };
        // What an object had before has not come again.
        part.duplicates = part.duplicates.saturating_sub(ticks_before);
        let Step::Done(new) = self.add(due, before, part, added) else {
            return Ok(Step::Skipped);
        };
        Ok(Step::Done(NewSums { keep_old_values_of, ..new }))
    }

    /// What an object holds of its earlier version: what it holds of the sums, or, of more, as many
    /// of its first ticks. The hour is skipped if it cannot be read.
    async fn held_before(
        &mut self,
        due: &HourToCompute<'_>,
        indexed: &Indexed,
        summed: InSums,
        before: &HourBars,
    ) -> Result<Step<HourBars>, Failure> {
        let (hour, object) = (due.stale.hour, &indexed.object);
        let held = self.engine.sum_known(hour, object, &before.offsets).await?;
        let Step::Done(held) = self.require_sums(due, &[indexed], held).await? else {
            return Ok(Step::Skipped);
        };
        let first = held.offsets.first(summed.ticks).filter(|_| held.ticks > summed.ticks);
        let Some(first) = first else {
            return Ok(Step::Done(held));
        };
        let held = self.engine.sum_known(hour, object, &first).await?;
        self.require_sums(due, &[indexed], held).await
    }

    pub(super) fn note_kept_for_lake(&self, hour: Hour, why: &str) {
        self.progress.log(|| {
            tracing::warn!(
                %hour,
                error = why,
                "hour {hour}: {why}; what it has stays, because the lake has it"
            );
        });
    }

    fn note_other_values(&self, due: &HourToCompute<'_>, indexed: &Indexed, ticks: u64) {
        let (hour, key) = (due.stale.hour, &*indexed.object.key);
        let location = self.store.location();
        self.progress.log(|| {
            tracing::warn!(
                %hour,
                location,
                key,
                ticks,
                "hour {hour}: {location}{key} tells other things than before of some of its \
                 {ticks} known records; those stay as they were, because other objects of the \
                 hour have expired"
            );
        });
    }

    fn fail_grown<'a>(
        &mut self,
        due: &HourToCompute<'a>,
        known: &Computed,
        (lost, why): (u64, &str),
    ) -> Step<NewSums<'a>> {
        let words = format!(
            "not written, because it would lose {lost} of {} records: some of its objects have \
             expired, and {why}; put the earlier version back, or --allow-shrink, with a window \
             that holds it, writes it from what is there (where raw objects were deleted because \
             the lake has them: it takes what is new, and nothing out)",
            known.ticks
        );
        self.fail(due.stale.hour, &words);
        Step::Skipped
    }
}

/// `held`: what the object holds of the records that it held before, for all that can be known;
/// `summed`: what its earlier version held; `before`: the hour's sums.
fn growth(
    indexed: &Indexed,
    summed: InSums,
    held: &HourBars,
    before: &HourBars,
) -> Result<HourGrowth, Failure> {
    let now = fingerprints(held).map_err(Failure::Infrastructure)?;
    let key = &indexed.object.key;
    Ok(if now.content == summed.fingerprints.content {
        HourGrowth::Superset
    } else if indexed.lacks_offsets {
        let why = "its lines have no offsets, so nobody can tell which of them are new";
        HourGrowth::Uncertain(format!("{key} was replaced: {why}"))
    } else if before.ticks_without_offsets() > 0 {
        let why =
            "lines of the hour had no offsets before, so nobody can tell which of them are new";
        HourGrowth::Uncertain(format!("{key} was replaced: {why}"))
    } else if now.offsets == summed.fingerprints.offsets {
        HourGrowth::OtherValues
    } else {
        let lacks = match held.ticks.cmp(&summed.ticks) {
            Ordering::Less => "that lacks records of the earlier one",
            Ordering::Equal | Ordering::Greater => {
                "that does not begin with the earlier one's records"
            }
        };
        HourGrowth::Less(format!("{key} was replaced by a version {lacks}"))
    })
}
