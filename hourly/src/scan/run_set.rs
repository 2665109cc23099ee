//! [`Runs`]: sets of offsets with few runs of neighbours, and whatever length those have.
//!
//! A hole between two archived offsets may be billions wide, and there may be thousands of such.
//! A bit for each of their offsets would take gigabytes.

use super::places;
use super::runs::{bounding_range, common, in_order, joined, missing};
use roaring::RoaringTreemap;
use std::ops::Range;

/// A longer run is kept by its ends. One by one so many take 200 bytes at most.
const LONG: u64 = 64;

/// A set of offsets of messages: what it takes goes by the number of its runs.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    short: RoaringTreemap,
    /// In order, none of them with an offset of another.
    long: Vec<Range<u64>>,
}

impl Runs {
    /// Adds a run that lies after all that are there.
    pub fn push(&mut self, run: Range<u64>) {
        if run.end.saturating_sub(run.start) > LONG {
            debug_assert!(self.long.last().is_none_or(|last| last.end <= run.start), "{run:?}");
            self.long.push(run);
        } else {
            self.short.insert_range(run);
        }
    }

    /// From neighbour to neighbour, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        joined(in_order(places::runs(&self.short), self.long.iter().cloned()))
    }

    /// How many offsets.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.short.len() + self.long.iter().map(|run| run.end - run.start).sum::<u64>()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    #[must_use]
    pub fn contains(&self, offset: u64) -> bool {
        let behind = self.long.partition_point(|run| run.end <= offset);
        self.long.get(behind).is_some_and(|run| run.contains(&offset))
            || self.short.contains(offset)
    }

    /// From the first to after the last.
    #[must_use]
    pub fn hull(&self) -> Option<Range<u64>> {
        let short = self.short.min().zip(self.short.max()).map(|(first, last)| first..last + 1);
        let long = self.long.first().zip(self.long.last());
        bounding_range(short.into_iter().chain(long.map(|(first, last)| first.start..last.end)))
    }

    /// The numbers that are not in a set.
    #[must_use]
    pub fn without(mut self, others: &RoaringTreemap) -> Self {
        let long = std::mem::take(&mut self.long);
        self.short -= others;
        missing(long.into_iter(), places::runs(others)).for_each(|run| self.push(run));
        self
    }

    /// The numbers that are not in `others`.
    #[must_use]
    pub fn without_runs(self, others: &Self) -> Self {
        if others.is_empty() { self } else { missing(self.iter(), others.iter()).collect() }
    }

    /// The places, of some, whose messages are in it.
    #[must_use]
    pub fn of_messages(&self, places: &RoaringTreemap) -> RoaringTreemap {
        let mut found = places::of_messages(places, &self.short);
        for (messages, part) in places::parts(places) {
            let first = self.long.partition_point(|run| run.end <= messages.start);
            let near = self.long[first..].iter().take_while(|run| run.start < messages.end);
            for run in common(part.messages(), near.cloned()) {
                found.insert_range(part.places(&run));
            }
        }
        found
    }

    /// How many offsets are kept one by one, and how many runs by their ends.
    #[must_use]
    pub fn kept(&self) -> (u64, usize) {
        (self.short.len(), self.long.len())
    }
}

/// In order, each after those before it.
impl FromIterator<Range<u64>> for Runs {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(runs: I) -> Self {
        let mut all = Self::default();
        runs.into_iter().for_each(|run| all.push(run));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::sorted;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Short runs and long ones.
    fn some_runs() -> impl Strategy<Value = Vec<Range<u64>>> {
        let length = prop_oneof![3 => 0_u64..4, 1 => LONG - 1..LONG + 3, 1 => 0_u64..200];
        let run = (0_u64..600, length).prop_map(|(start, length)| start..start + length);
        proptest::collection::vec(run, 0..12)
    }

    fn all(runs: &[Range<u64>]) -> BTreeSet<u64> {
        runs.iter().cloned().flatten().collect()
    }

    fn of(runs: &[Range<u64>]) -> Runs {
        sorted(runs.to_vec()).into_iter().collect()
    }

    fn offsets(runs: &Runs) -> BTreeSet<u64> {
        runs.iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set(one in some_runs(), other in some_runs()) {
            let (runs, others) = (of(&one), of(&other));
            let (model, without) = (all(&one), all(&other));
            prop_assert_eq!(offsets(&runs), model.clone());
            prop_assert!(runs.iter().zip(runs.iter().skip(1)).all(|(run, next)| run.end < next.start));
            prop_assert_eq!(runs.len(), model.len() as u64);
            prop_assert_eq!(runs.is_empty(), model.is_empty());
            let ends = model.first().zip(model.last()).map(|(first, last)| *first..last + 1);
            prop_assert_eq!(runs.hull(), ends);
            for offset in 0..820 {
                prop_assert_eq!(runs.contains(offset), model.contains(&offset), "{}", offset);
            }
            let set: RoaringTreemap = without.iter().copied().collect();
            let left: BTreeSet<u64> = model.difference(&without).copied().collect();
            prop_assert_eq!(offsets(&runs.clone().without(&set)), left.clone());
            prop_assert_eq!(runs.clone().without(&set).len(), left.len() as u64);
            prop_assert_eq!(offsets(&runs.clone().without_runs(&others)), left);
            let both: Vec<u64> = common(runs.iter(), others.iter()).flatten().collect();
            prop_assert_eq!(both, model.intersection(&without).copied().collect::<Vec<_>>());
        }

        #[test]
        fn places_are_found_by_their_messages(
            runs in some_runs(),
            places in proptest::collection::btree_set((0_u64..820, prop_oneof![2 => Just(0_u16), 1 => 0_u16..3]), 0..60),
            far in any::<bool>(),
        ) {
            // Also across the border of two parts of a set.
            let base = if far { (1 << 32) - 300 } else { 0 };
            let moved: Vec<_> = runs.iter().map(|run| run.start + base..run.end + base).collect();
            let number = |(offset, index): &(u64, u16)| places::number(offset + base, *index);
            let set: RoaringTreemap = places.iter().map(number).collect();
            let own = all(&runs);
            let expected: RoaringTreemap =
                places.iter().filter(|(offset, _)| own.contains(offset)).map(number).collect();
            prop_assert_eq!(of(&moved).of_messages(&set), expected);
        }
    }

    #[test]
    fn runs_take_what_their_number_takes_and_not_their_length() {
        let apart = |step: u64, count: u64| -> Runs {
            let known: RoaringTreemap = (0..count).map(|number| number * step).collect();
            std::iter::once(0..(count - 1) * step + 1).collect::<Runs>().without(&known)
        };
        for (step, count) in [(1 << 30, 1_000), (1 << 20, 50_000), (1 << 44, 16), (66, 10_000)] {
            let holes = apart(step, count);
            assert_eq!(holes.kept(), (0, (count - 1) as usize), "{step}");
            assert_eq!(holes.len(), (count - 1) * (step - 1), "{step}");
        }
        // One by one where ends would take more.
        assert_eq!(apart(2, 10_000).kept(), (9_999, 0));
    }
}
