//! [`OffsetBlocks`]: a set of places that come in any order.
//!
//! The lake is sorted by symbol, so neighbouring offsets lie far apart in it. A bit for each takes
//! a few nanoseconds, where [`Offsets`] looks for runs.

use crate::scan::Offsets;
use roaring::{RoaringBitmap, RoaringTreemap};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many bits of a number lie in its block.
const BITS: u32 = 16;
const WORDS: usize = 1 << (BITS - 6);
/// Blocks of all partitions that are kept as bits: 16 MB. Beyond that they become
/// [`RoaringTreemap`]s, which take what is in them.
const MAX_BLOCKS: usize = 2048;

type Block = Box<[u64; WORDS]>;

/// Consecutive ticks are mostly of one partition and one block.
#[derive(Debug, Default)]
pub struct OffsetBlocks {
    partitions: Vec<PartitionPlaces>,
    /// Which of them the last place was of.
    last: usize,
}

#[derive(Debug, Default)]
struct PartitionPlaces {
    number: i32,
    blocks: Vec<(u64, Block)>,
    /// Where a block is in `blocks`.
    by_number: FxHashMap<u64, usize>,
    /// Which block the last place was of.
    last: usize,
    known: RoaringTreemap,
}

impl OffsetBlocks {
    #[inline]
    pub fn insert(&mut self, partition: i32, place: u64) {
        if self.partitions.get(self.last).is_none_or(|of| of.number != partition) {
            self.last = self.find(partition);
        }
        let (number, in_block) = (place >> BITS, place % (1 << BITS));
        if !self.partitions[self.last].is_at(number) {
            self.seek(number);
        }
        self.partitions[self.last].insert(in_block);
    }

    /// Makes a block the one that its partition's last place was of.
    fn seek(&mut self, number: u64) {
        let is_full = self.partitions.iter().map(|of| of.blocks.len()).sum::<usize>() >= MAX_BLOCKS;
        if is_full && !self.partitions[self.last].by_number.contains_key(&number) {
            self.partitions.iter_mut().for_each(PartitionPlaces::spill);
        }
        self.partitions[self.last].seek(number);
    }

    fn find(&mut self, partition: i32) -> usize {
        self.partitions.iter().position(|of| of.number == partition).unwrap_or_else(|| {
            self.partitions
                .push(PartitionPlaces { number: partition, ..PartitionPlaces::default() });
            self.partitions.len() - 1
        })
    }

    /// The places as the offsets of a topic.
    #[must_use]
    pub fn into_offsets(self, topic: &Arc<str>) -> Offsets {
        let mut offsets = Offsets::of_topic(Arc::clone(topic));
        for mut of in self.partitions {
            of.spill();
            offsets.add_all(Offsets::of_partition(topic, of.number, of.known));
        }
        offsets.flush();
        offsets
    }
}

impl PartitionPlaces {
    /// Whether the last place was of a block.
    #[inline]
    fn is_at(&self, number: u64) -> bool {
        self.blocks.get(self.last).is_some_and(|(of, _)| *of == number)
    }

    fn seek(&mut self, number: u64) {
        self.last = *self.by_number.entry(number).or_insert_with(|| {
            self.blocks.push((number, Box::new([0; WORDS])));
            self.blocks.len() - 1
        });
    }

    #[inline]
    fn insert(&mut self, in_block: u64) {
        self.blocks[self.last].1[(in_block / 64) as usize] |= 1 << (in_block % 64);
    }

    /// Moves the blocks to what is known.
    fn spill(&mut self) {
        let mut bitmaps: BTreeMap<u32, RoaringBitmap> = BTreeMap::new();
        self.by_number.clear();
        self.blocks.sort_unstable_by_key(|(number, _)| *number);
        for (number, block) in self.blocks.drain(..) {
            let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
            let start = number << BITS;
            *bitmaps.entry((start >> 32) as u32).or_default() |=
                RoaringBitmap::from_lsb0_bytes(start as u32, &bytes);
        }
        self.known |= RoaringTreemap::from_bitmaps(bitmaps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_in_any_order_are_the_set_that_they_are_in_order(
            places in proptest::collection::vec(
                (0_i32..3, prop_oneof![3 => 0_u64..200_000, 1 => 0_u64..(1 << 52), 1 => (1_u64 << 32) - 3..(1 << 32) + 3]),
                0..300,
            ),
            spills in any::<bool>(),
        ) {
            let mut of_lake = OffsetBlocks::default();
            let mut expected = Offsets::of_topic("t".into());
            for (number, (partition, place)) in places.iter().enumerate() {
                of_lake.insert(*partition, *place);
                expected.insert(*partition, *place);
                if spills && number % 7 == 0 {
                    of_lake.partitions.iter_mut().for_each(PartitionPlaces::spill);
                }
            }
            expected.flush();
            let found = of_lake.into_offsets(&"t".into());
            prop_assert_eq!(found.len(), expected.len());
            prop_assert!(found.is_superset(&expected));
        }
    }

    #[test]
    fn bits_of_many_partitions_take_no_more_memory_than_those_of_one() {
        let mut of_lake = OffsetBlocks::default();
        for number in 0..3 * MAX_BLOCKS as u64 {
            of_lake.insert((number % 64) as i32, number << BITS);
            assert!(
                of_lake.partitions.iter().map(|of| of.blocks.len()).sum::<usize>() <= MAX_BLOCKS
            );
        }
        assert_eq!(of_lake.into_offsets(&"t".into()).len(), 3 * MAX_BLOCKS as u64);
    }
}
