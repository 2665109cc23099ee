//! Objects that have grown, in hours of which others have expired.
//!
//! What has expired is in an hour's sums alone, and those cannot be taken apart. So nothing can be
//! taken out of them: new records can only come to them, once it is certain that an object's new
//! version lacks none of its earlier one's. The index has two numbers of that one, of what it held
//! and of its places. What the new version holds of the places that are in the sums must have the
//! same; or, where the sums have some of those from other objects, its first ticks, as many as the
//! earlier version held: a sink writes an object anew from the same offset on. Where it lacks some,
//! and the lake has the hour in the place of objects that were deleted for that, a person may say
//! that those stay.

use super::Work;
use super::due::{Due, New};
use super::index::prints;
use crate::hour::Hour;
use crate::index::{Computed, InSums, Indexed};
use crate::scan::HourBars;
use service::Failure;
use std::cmp::Ordering;

/// What the new version of an object holds of the earlier one.
enum Growth {
    /// All of it.
    Whole,
    /// All of its records, of which some say other things now.
    OtherValues,
    /// Why it lacks some of its records.
    Less(String),
    /// Why that is not certain.
    Uncertain(String),
}

impl Work {
    /// Adds to an hour what its objects have that were replaced or are new. `lost`: how many
    /// records it would lose if it were made of those alone that are there. `None` where it is not
    /// to be written, which has been noted.
    pub(super) async fn grow<'a>(
        &mut self,
        due: &Due<'a>,
        known: &Computed,
        (before, lost): (&HourBars, u64),
        added: Vec<&'a Indexed>,
    ) -> Result<Option<New<'a>>, Failure> {
        let there = due.objects.iter().filter(|indexed| indexed.summed.is_some()).count();
        if !known.is_of(there as u64) {
            let why = "one of its objects was replaced by a version that holds nothing of the hour";
            if !self.stands(due.stale.hour) {
                return Ok(self.fail_grown(due, known, (lost, why)));
            }
            self.note_standing(due.stale.hour, why);
        }
        let (mut told_before, mut kept) = (0, Vec::new());
        for indexed in &added {
            let Some(summed) = indexed.summed else {
                continue;
            };
            let Some(held) = self.held_before(due, indexed, summed, before).await? else {
                return Ok(None);
            };
            match growth(indexed, summed, &held, before)? {
                Growth::Whole => {}
                Growth::OtherValues => {
                    self.note_other_values(due, indexed, held.ticks);
                    kept.push(*indexed);
                }
                Growth::Less(why) if self.stands(due.stale.hour) => {
                    self.note_standing(due.stale.hour, &why)
                }
                Growth::Less(why) | Growth::Uncertain(why) => {
                    return Ok(self.fail_grown(due, known, (lost, &why)));
                }
            }
            told_before += held.ticks + held.duplicates;
        }
        let Some(mut part) = self.sum(due, &added, Some(&before.offsets)).await? else {
            return Ok(None);
        };
        // What an object had before has not come again.
        part.duplicates = part.duplicates.saturating_sub(told_before);
        Ok(self.add(due, before, part, added).map(|new| New { kept, ..new }))
    }

    /// What an object holds of its earlier version: what it holds of the sums, or, of more, as many
    /// of its first ticks. `None` where it cannot be read, which has been noted.
    async fn held_before(
        &mut self,
        due: &Due<'_>,
        indexed: &Indexed,
        summed: InSums,
        before: &HourBars,
    ) -> Result<Option<HourBars>, Failure> {
        let (hour, object) = (due.stale.hour, &indexed.object);
        let held = self.engine.sum_known(hour, object, &before.offsets).await?;
        let Some(held) = self.whole(due, &[indexed], held).await? else {
            return Ok(None);
        };
        let first = held.offsets.first(summed.ticks).filter(|_| held.ticks > summed.ticks);
        let Some(first) = first else {
            return Ok(Some(held));
        };
        let held = self.engine.sum_known(hour, object, &first).await?;
        self.whole(due, &[indexed], held).await
    }

    pub(super) fn note_standing(&self, hour: Hour, why: &str) {
        self.progress
            .warn(format_args!("hour {hour}: {why}; what it has stays, because the lake has it"));
    }

    fn note_other_values(&self, due: &Due<'_>, indexed: &Indexed, ticks: u64) {
        self.progress.warn(format_args!(
            "hour {}: {}{} tells other things than before of some of its {ticks} known records; those stay as they were, \
             because other objects of the hour have expired",
            due.stale.hour,
            self.store.location(),
            indexed.object.key
        ));
    }

    fn fail_grown<'a>(
        &mut self,
        due: &Due<'a>,
        known: &Computed,
        (lost, why): (u64, &str),
    ) -> Option<New<'a>> {
        let words = format!(
            "not written, because it would lose {lost} of {} records: some of its objects have expired, and {why}; put the \
             earlier version back, or --allow-shrink, with a window that holds it, writes it from what is there (where raw objects \
             were deleted because the lake has them: it takes what is new, and nothing out)",
            known.ticks
        );
        self.fail(due.stale.hour, &words);
        None
    }
}

/// `held`: what the object holds of the records that it held before, for all that can be known;
/// `summed`: what its earlier version held; `before`: the hour's sums.
fn growth(
    indexed: &Indexed,
    summed: InSums,
    held: &HourBars,
    before: &HourBars,
) -> Result<Growth, Failure> {
    let now = prints(held).map_err(Failure::Infrastructure)?;
    let key = &indexed.object.key;
    Ok(if now.content == summed.prints.content {
        Growth::Whole
    } else if indexed.placeless {
        let why = "its lines tell no offsets, so nobody can tell which of them are new";
        Growth::Uncertain(format!("{key} was replaced: {why}"))
    } else if before.placeless() > 0 {
        let why =
            "lines of the hour told no offsets before, so nobody can tell which of them are new";
        Growth::Uncertain(format!("{key} was replaced: {why}"))
    } else if now.places == summed.prints.places {
        Growth::OtherValues
    } else {
        let lacks = match held.ticks.cmp(&summed.ticks) {
            Ordering::Less => "that lacks records of the earlier one",
            Ordering::Equal | Ordering::Greater => {
                "that does not begin with the earlier one's records"
            }
        };
        Growth::Less(format!("{key} was replaced by a version {lacks}"))
    })
}
