//! Whether records of an object are those of another one, by what its name and its lines tell.
//!
//! Where lines have no offsets, nothing else does: an object begins with the offset of its name,
//! and has a line for each record. So one without offsets that lies among the records of others is
//! not counted in addition to them; and what was deleted before its hour was written is missed no
//! longer, once others have its records.

use super::WindowRun;
use super::due::{HourToCompute, NewSums};
use crate::archive::{FileName, Origin};
use crate::index::{DeletedUnsummed, InSums, Indexed, ObjectWithoutOffsets};
use crate::scan::HourBars;
use service::Failure;
use std::ops::Range;

impl WindowRun {
    /// Whether an object without offsets may hold ticks that the hour also has from other objects:
    /// they would count twice. Logs it in that case. What is already in the hour's sums stays
    /// there: a person has allowed it.
    pub(super) fn skip_if_doubled(&mut self, due: &HourToCompute<'_>, new: &NewSums<'_>) -> bool {
        let (hour, sum) = (due.stale.hour, &new.sum);
        let without_offsets = || due.objects.iter().filter(|indexed| indexed.lacks_offsets);
        let ticks = without_offsets().map(|indexed| indexed.ticks).sum::<u64>()
            + due.known.map_or(0, |known| known.gone_without_offsets);
        // If some lines of an object have offsets, those offsets are its own and do not show a
        // duplicate.
        let are_mixed = ticks > sum.ticks_without_offsets();
        if ticks == 0 || are_mixed || self.may_shrink(hour) {
            return false;
        }
        let before = due.known.and_then(|known| known.sum.as_ref());
        let came = before.map(|before| sum.offsets.without(&before.offsets));
        let came = came.as_ref().unwrap_or(&sum.offsets);
        let there = without_offsets().map(|indexed| {
            let is_beside = match new.scope.added().is_some() {
                // What the sums have of its earlier version is still there.
                true => indexed.summed.is_some(),
                false => indexed.is_merged && !due.is_forced,
            };
            let others = if is_beside { came } else { &sum.offsets };
            let cure = if indexed.summed.is_some() {
                "put it there with offsets, or, if the others have all of it, delete it and"
            } else {
                "put it there with offsets, or delete it if the others have all of it; or"
            };
            let words = ("have no offsets, and by its name it holds", cure);
            (&*indexed.object.key, indexed.lines, others, words)
        });
        let gone = due.gone_without_offsets.iter().filter(|_| new.scope.added().is_some());
        let words = (
            "had no offsets before it was gone, and by its name it held",
            "if those have all of it,",
        );
        let gone = gone.map(|gone| (&*gone.key, gone.lines, came, words));
        let doubled = there.chain(gone).find(|(key, lines, others, _)| {
            let FileName::Records(origin) = self.names.read(key) else { return false };
            // It has a record's line for each offset, or compaction has taken some.
            others.touches(self.names.topic(key), origin.partition, &named(&origin, *lines))
        });
        let Some((key, .., (words, cure))) = doubled else {
            return false;
        };
        let why = format!(
            "not written, because lines of {key} {words} records that the hour has of other \
             objects, too: they would count twice: {cure} let a run with --allow-shrink, and a \
             window that holds the hour, write it from all that is there"
        );
        self.fail(hour, &why);
        true
    }

    /// Forgets objects that were deleted before an hour's sums had anything of them, where those
    /// have the same records of others by now: told by their lines, or by the names of those
    /// without offsets, for which it was refused.
    pub(super) async fn forget_found(&mut self) -> Result<(), Failure> {
        self.db.forget_moved().await?;
        let (mut found, mut hour) = (Vec::new(), None);
        let (mut known, mut without_offsets) = (None, Vec::new());
        for deleted in self.db.deleted_before_summed().await? {
            if hour.replace(deleted.hour) != Some(deleted.hour) {
                known = self.db.computed(deleted.hour).await?.and_then(|known| known.sum);
                without_offsets = self.db.gone_without_offsets(deleted.hour).await?;
                let there = self.db.objects_of(deleted.hour).await?.into_iter();
                without_offsets.extend(there.filter_map(in_sums));
                without_offsets.retain(|object| !object.is_mixed);
            }
            if known.as_ref().is_some_and(|sum| self.is_found(&deleted, sum, &without_offsets)) {
                found.push(deleted);
            }
        }
        if found.is_empty() { Ok(()) } else { self.db.forget_found_again(&found).await }
    }

    /// `sum`: of the hour; `without_offsets`: the objects without offsets that are in it.
    fn is_found(
        &self,
        deleted: &DeletedUnsummed,
        sum: &HourBars,
        without_offsets: &[ObjectWithoutOffsets],
    ) -> bool {
        if deleted.is_elsewhere {
            return true;
        }
        let FileName::Records(origin) = self.names.read(&deleted.key) else { return false };
        let (topic, range) = (self.names.topic(&deleted.key), named(&origin, deleted.lines));
        if deleted.lacks_offsets {
            return sum.offsets.len_of(topic, origin.partition, &range) >= deleted.ticks;
        }
        let Some(offsets) = &deleted.offsets else { return false };
        let mut left = offsets.without(&sum.offsets);
        for ObjectWithoutOffsets { key, lines, .. } in without_offsets {
            if let FileName::Records(other) = self.names.read(key) {
                let (topic, range) = (self.names.topic(key), named(&other, *lines));
                left.remove_messages(topic, other.partition, range);
            }
        }
        left.is_empty()
    }
}

/// An object that is there, if the hour's sums have ticks of it that do not tell their offset.
fn in_sums(indexed: Indexed) -> Option<ObjectWithoutOffsets> {
    let Indexed { object, lines, summed, .. } = indexed;
    let InSums { ticks: all, without_offsets: ticks, .. } = summed?;
    (ticks > 0).then_some(ObjectWithoutOffsets {
        key: object.key,
        lines,
        ticks,
        is_mixed: ticks < all,
    })
}

/// The offsets that an object of so many records holds by its name.
fn named(origin: &Origin, records: u64) -> Range<u64> {
    let start = origin.start_offset.cast_unsigned();
    start..start.saturating_add(records)
}
