//! [`HourBars`]: the bars of one hour, out of one object or of all.

use super::{Offsets, Overlap};
use crate::hour::Hour;
use common::{Bar, Place, SymbolMap, Tick};
use std::sync::Arc;

/// The ticks of one hour summed up by symbol, and which records they were.
#[derive(Debug, Clone, Default)]
pub struct HourBars {
    pub bars: SymbolMap<Bar>,
    /// The places of those ticks whose lines tell it.
    pub offsets: Offsets,
    /// Ticks in `bars`.
    pub ticks: u64,
    /// Ticks left out, because the same record had been counted before.
    pub duplicates: u64,
    /// The places of those.
    pub repeated: Offsets,
    /// What is known of those that said something else than what was counted.
    pub conflicts: Conflicts,
}

/// Records that several lines give with different values. Which line counts is defined by the
/// objects alone: the first by key, and in it the first line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conflicts {
    pub records: u64,
    /// Records whose lines carry another symbol or time.
    pub different_ticks: u64,
    /// The partition of one of them, and the number of its place.
    pub example: Option<(i32, u64)>,
}

/// So many different ticks are no single corrections.
const MANY_DIFFERENT_TICKS: u64 = 10;

impl HourBars {
    /// Nothing yet, of an object of a topic.
    #[must_use]
    pub fn of_topic(topic: Arc<str>) -> Self {
        let repeated = Offsets::of_topic(Arc::clone(&topic));
        Self { offsets: Offsets::of_topic(topic), repeated, ..Self::default() }
    }

    /// How many ticks carry no offset. It must be flushed.
    #[must_use]
    pub fn ticks_without_offsets(&self) -> u64 {
        self.ticks.saturating_sub(self.offsets.len())
    }

    /// Takes in a tick, and its place for the order.
    #[inline]
    pub fn add(&mut self, tick: &Tick<'_>, place: Place) {
        self.ticks += 1;
        match self.bars.get_mut(tick.symbol()) {
            Some(bar) => bar.add(tick, place),
            None => self.bars.insert(tick.symbol(), Bar::of(tick, place)),
        }
    }

    /// Whether these can be the sums of so many ticks of an hour: what was kept may have been
    /// changed by others.
    #[must_use]
    pub fn may_be_of(&self, hour: Hour, ticks: u64) -> bool {
        let is_within =
            |bar: &Bar| [bar.first, bar.last].iter().all(|key| Hour::of(key.timestamp) == hour);
        let of_bars: u64 = self.bars.iter().map(|(_, bar)| bar.ticks).sum();
        // Each symbol's first tick is another one, and all ticks with an offset have theirs among
        // the places.
        let unplaced =
            self.bars.iter().filter(|(_, bar)| !self.offsets.has(bar.first.place)).count() as u64;
        self.ticks == ticks
            && of_bars == ticks
            && self.bars.iter().all(|(_, bar)| is_within(bar))
            && ticks.checked_sub(self.offsets.len()).is_some_and(|without| unplaced <= without)
    }

    /// How many of the records of `other` are here already.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Overlap {
        self.offsets.overlap(&other.offsets, other.ticks)
    }

    /// Takes in another part of the same hour, which must not overlap with this one.
    pub fn merge(&mut self, other: Self) {
        for (symbol, bar) in other.bars.iter() {
            match self.bars.get_mut(symbol) {
                Some(sum) => sum.merge(bar),
                None => self.bars.insert(symbol, *bar),
            }
        }
        self.offsets.add_all(other.offsets);
        self.ticks += other.ticks;
        self.duplicates += other.duplicates;
        self.repeated.add_all(other.repeated);
        self.conflicts.add(other.conflicts);
    }

    /// Notes that all records of `other` have come again.
    pub fn repeat(&mut self, other: Self) {
        self.duplicates += other.ticks + other.duplicates;
        self.repeated.add_all(other.offsets);
        self.repeated.add_all(other.repeated);
    }
}

impl Conflicts {
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.different_ticks += other.different_ticks;
        self.example = self.example.or(other.example);
    }

    /// Whether the lines seem to come from two topics of the same name: most of the repeated
    /// records, and more than a few, carry another symbol or time.
    #[must_use]
    pub const fn are_of_two_topics(&self, repeated: u64) -> bool {
        self.different_ticks >= MANY_DIFFERENT_TICKS && self.different_ticks * 2 > repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_different_ticks_among_few_repetitions_are_of_another_topic() {
        let of = |different_ticks, repeated| {
            Conflicts { different_ticks, ..Conflicts::default() }.are_of_two_topics(repeated)
        };
        assert!(of(10, 10) && of(10, 19) && of(1000, 1000));
        assert!(!of(9, 9) && !of(10, 20) && !of(0, 1000));
    }
}
