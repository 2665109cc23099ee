//! [`PendingHours`]: what has been read of each hour so far in this run.

use crate::archive::Object;
use crate::hour::Hour;
use crate::scan::{Exclusions, HourBars, Overlap};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most bars that are kept at once, about 50 MB. Beyond that the latest hours are forgotten and
/// read again later.
pub const MAX_BARS: usize = 150_000;

/// Memory of an hour in addition to its bars, 2 kB, in units of bars.
pub const BARS_OF_AN_HOUR: usize = 8;

/// The most symbols of an hour. One with more is not computed: 65 MB of bars, and as much again for
/// writing them.
pub const MAX_SYMBOLS: usize = 200_000;

/// The smallest and the largest of some offsets, of whatever partition; `None` where there are
/// none.
pub type TimeSpan = Option<(u64, u64)>;

/// The ticks of hours that are not written yet, merged object by object.
///
/// Parts are merged in the order in which they are given; where that is the order of the keys, the
/// result depends on the objects alone.
#[derive(Debug, Default)]
pub struct PendingHours {
    hours: BTreeMap<Hour, PendingHour>,
    bars: usize,
}

/// One hour, as far as it has been read.
#[derive(Debug, Default)]
pub struct PendingHour {
    pub sum: HourBars,
    /// The objects that are in `sum`, by their keys, each with the span of its offsets.
    pub objects: FxHashMap<Arc<str>, TimeSpan>,
    /// It had more than [`MAX_SYMBOLS`], and its sums were dropped.
    pub is_too_wide: bool,
    /// The greatest key so far, and whether a smaller one came after it.
    greatest: Option<Arc<str>>,
    is_out_of_order: bool,
}

impl PendingHour {
    /// Whether the objects' order decides what counts, and they did not come in that order.
    #[must_use]
    pub fn depends_on_order(&self) -> bool {
        self.is_out_of_order && !self.sum.repeated.is_empty()
    }

    fn note_key(&mut self, key: &Arc<str>) {
        if self.greatest.as_ref().is_some_and(|greatest| greatest > key) {
            self.is_out_of_order = true;
        } else {
            self.greatest = Some(Arc::clone(key));
        }
    }
}

impl PendingHours {
    /// Takes in what the object `key` holds of some hours, leaving out what it gave before. Gives
    /// the records that the object must be read again without, of those hours of which only a part
    /// is new.
    #[must_use]
    pub fn merge_object(&mut self, key: &Arc<str>, parts: Vec<(Hour, HourBars)>) -> Exclusions {
        let mut again = Exclusions::default();
        for (hour, part) in parts {
            let total = self.hours.entry(hour).or_default();
            if total.objects.contains_key(key) {
                continue;
            }
            total.note_key(key);
            let span = span_of(&part);
            let bars_before = total.sum.bars.len();
            match total.sum.overlap(&part) {
                Overlap::None => total.sum.merge(part),
                Overlap::All => total.sum.repeat(part),
                Overlap::Part => {
                    again.insert(hour, total.sum.offsets.clone());
                    continue;
                }
            }
            total.objects.insert(Arc::clone(key), span);
            if total.sum.bars.len() > MAX_SYMBOLS || total.is_too_wide {
                (total.sum, total.is_too_wide) = (HourBars::default(), true);
            }
            self.bars = self.bars + total.sum.bars.len() - bars_before;
        }
        again
    }

    /// Forgets the latest hours, until at most `limit` bars are left or the earliest hour alone.
    pub fn shrink(&mut self, limit: usize) {
        while self.bars + BARS_OF_AN_HOUR * self.hours.len() > limit && self.hours.len() > 1 {
            if let Some((_, total)) = self.hours.pop_last() {
                self.bars -= total.sum.bars.len();
            }
        }
    }

    /// Whether an object is already in an hour's total.
    #[must_use]
    pub fn holds(&self, hour: Hour, key: &str) -> bool {
        self.hours.get(&hour).is_some_and(|total| total.objects.contains_key(key))
    }

    /// Whether an hour's total holds objects other than these.
    #[must_use]
    pub fn holds_others(&self, hour: Hour, objects: &[Object]) -> bool {
        let Some(total) = self.hours.get(&hour) else {
            return false;
        };
        let known = objects.iter().filter(|object| total.objects.contains_key(&object.key));
        known.count() < total.objects.len()
    }

    /// Takes an hour out, to be written or dropped.
    pub fn take(&mut self, hour: Hour) -> PendingHour {
        let total = self.hours.remove(&hour).unwrap_or_default();
        self.bars -= total.sum.bars.len();
        total
    }

    /// Forgets the hours that an earlier version of an object is in.
    pub fn forget_object(&mut self, key: &str) {
        let bars = &mut self.bars;
        self.hours.retain(|_, total| {
            let keep = !total.objects.contains_key(key);
            *bars -= if keep { 0 } else { total.sum.bars.len() };
            keep
        });
    }

    /// Forgets every hour before `hour`.
    pub fn forget_before(&mut self, hour: Hour) {
        let kept = self.hours.split_off(&hour);
        self.bars -= self.hours.values().map(|total| total.sum.bars.len()).sum::<usize>();
        self.hours = kept;
    }
}

/// An hour's sums with another part of it; `None` where that has more symbols than there is memory
/// for.
#[must_use]
pub fn joined(mut sum: HourBars, part: HourBars) -> Option<HourBars> {
    sum.merge(part);
    (sum.bars.len() <= MAX_SYMBOLS).then_some(sum)
}

fn span_of(part: &HourBars) -> TimeSpan {
    match (part.offsets.span(), part.repeated.span()) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
