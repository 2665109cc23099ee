//! [`Offsets`]: a set of places in a topic.

use roaring::RoaringTreemap;
use std::ops::Range;

/// A set of (partition, offset). Offsets that follow one another cost nothing to insert and next to nothing to keep.
#[derive(Debug, Clone, Default)]
pub struct Offsets {
    /// Few: an object holds one partition, an hour those of its topic.
    partitions: Vec<PartitionOffsets>,
}

/// What two parts of an hour have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    None,
    /// Some records; sums cannot be taken apart, so the other part must be read again without those.
    Some,
    /// Every record of the other part.
    Whole,
}

#[derive(Debug, Clone)]
struct PartitionOffsets {
    partition: i32,
    known: RoaringTreemap,
    /// One more than the largest in `known`.
    known_end: u64,
    /// Inserted last, and not in `known` yet.
    run: Range<u64>,
}

impl Offsets {
    /// Whether the place is new.
    pub fn insert(&mut self, partition: i32, offset: u64) -> bool {
        match self.partitions.iter_mut().find(|of| of.partition == partition) {
            Some(of) => of.insert(offset),
            None => {
                self.partitions.push(PartitionOffsets::new(partition, offset));
                true
            }
        }
    }

    #[must_use]
    pub fn contains(&self, partition: i32, offset: u64) -> bool {
        self.of(partition).is_some_and(|of| of.run.contains(&offset) || of.known.contains(offset))
    }

    /// Makes the set ready for the operations on whole sets.
    pub fn settle(&mut self) {
        for of in &mut self.partitions {
            of.settle();
            // Bitmaps of neighbouring offsets become runs of a few bytes.
            of.known.optimize();
        }
    }

    /// How many places; both sets must be settled, here and below.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.partitions.iter().map(|of| of.known.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        other.partitions.iter().all(|of| self.of(of.partition).is_none_or(|own| own.known.is_disjoint(&of.known)))
    }

    #[must_use]
    pub fn is_superset(&self, other: &Self) -> bool {
        other.partitions.iter().all(|of| self.of(of.partition).is_some_and(|own| own.known.is_superset(&of.known)))
    }

    pub fn add_all(&mut self, other: Self) {
        for of in other.partitions {
            match self.partitions.iter_mut().find(|own| own.partition == of.partition) {
                Some(own) => {
                    own.known |= of.known;
                    own.known_end = own.known_end.max(of.known_end);
                }
                None => self.partitions.push(of),
            }
        }
    }

    /// The offsets of one partition.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&RoaringTreemap> {
        self.of(partition).map(|of| &of.known)
    }

    /// The largest offset of each partition.
    pub fn newest(&self) -> impl Iterator<Item = (i32, u64)> {
        self.partitions.iter().filter_map(|of| Some((of.partition, of.known.max()?)))
    }

    /// How much of `other`, the places of `ticks` ticks, is here already.
    #[must_use]
    pub fn overlap(&self, other: &Self, ticks: u64) -> Overlap {
        if self.is_disjoint(other) {
            return Overlap::None;
        }
        let all_known = ticks == other.len() && self.is_superset(other);
        if all_known { Overlap::Whole } else { Overlap::Some }
    }

    fn of(&self, partition: i32) -> Option<&PartitionOffsets> {
        self.partitions.iter().find(|of| of.partition == partition)
    }
}

impl PartitionOffsets {
    fn new(partition: i32, offset: u64) -> Self {
        Self { partition, known: RoaringTreemap::new(), known_end: 0, run: offset..offset + 1 }
    }

    fn insert(&mut self, offset: u64) -> bool {
        if offset == self.run.end && offset >= self.known_end {
            self.run.end += 1;
            return true;
        }
        if self.run.contains(&offset) || self.known.contains(offset) {
            return false;
        }
        self.settle();
        self.run = offset..offset + 1;
        true
    }

    fn settle(&mut self) {
        self.known.insert_range(self.run.clone());
        self.known_end = self.known_end.max(self.run.end);
        self.run = self.run.end..self.run.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn some_places() -> impl Strategy<Value = Vec<(i32, u64)>> {
        proptest::collection::vec((0_i32..3, 0_u64..40), 0..80)
    }

    fn set(places: &[(i32, u64)]) -> Offsets {
        let mut offsets = Offsets::default();
        for (partition, offset) in places {
            offsets.insert(*partition, *offset);
        }
        offsets.settle();
        offsets
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set(places in some_places()) {
            let (mut offsets, mut model) = (Offsets::default(), BTreeSet::new());
            for (partition, offset) in &places {
                prop_assert_eq!(offsets.contains(*partition, *offset), model.contains(&(*partition, *offset)));
                prop_assert_eq!(offsets.insert(*partition, *offset), model.insert((*partition, *offset)));
            }
            offsets.settle();
            prop_assert_eq!(offsets.len(), model.len() as u64);
        }

        #[test]
        fn whole_sets_compare_and_unite(a in some_places(), b in some_places()) {
            let (model_a, model_b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
            let (mut set_a, set_b) = (set(&a), set(&b));
            prop_assert_eq!(set_a.is_disjoint(&set_b), model_a.is_disjoint(&model_b));
            prop_assert_eq!(set_a.is_superset(&set_b), model_a.is_superset(&model_b));
            set_a.add_all(set_b);
            prop_assert_eq!(set_a.len(), model_a.union(&model_b).count() as u64);
            prop_assert!(!b.iter().any(|(partition, offset)| set_a.insert(*partition, *offset)));
        }
    }
}
