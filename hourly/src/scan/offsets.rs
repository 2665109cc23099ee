//! [`Offsets`]: a set of places in topics.

use super::places;
use common::Place;
use roaring::RoaringTreemap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

/// A set of (topic, partition, number of a place, which is the offset of most). Offsets that follow
/// one another cost nothing to insert and next to nothing to keep.
#[derive(Debug, Clone, Default)]
pub struct Offsets {
    /// The topic of what is inserted. A set that was united with others holds theirs, too.
    topic: Arc<str>,
    /// Few: an object holds one partition, an hour those of its topic.
    partitions: Vec<PartitionOffsets>,
}

/// What two parts of an hour have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    None,
    /// Some records; sums cannot be taken apart, so the other part must be read again without
    /// those.
    Part,
    /// Every record of the other part.
    All,
}

#[derive(Debug, Clone)]
struct PartitionOffsets {
    topic: Arc<str>,
    partition: i32,
    known: RoaringTreemap,
    /// One more than the largest in `known`.
    known_end: u64,
    /// Inserted last, and not in `known` yet.
    run: Range<u64>,
}

impl Offsets {
    /// An empty set for places in one topic.
    #[must_use]
    pub fn of_topic(topic: Arc<str>) -> Self {
        Self { topic, partitions: Vec::new() }
    }

    /// The offsets of one partition, as a set of its own.
    #[must_use]
    pub fn of_partition(topic: &str, partition: i32, known: RoaringTreemap) -> Self {
        let (topic, known_end): (Arc<str>, _) =
            (topic.into(), known.max().map_or(0, |max| max + 1));
        let run = known_end..known_end;
        let of = PartitionOffsets { topic: Arc::clone(&topic), partition, known, known_end, run };
        Self { topic, partitions: vec![of] }
    }

    /// The smallest and the largest offset, of whatever partition.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let least = self.partitions.iter().filter_map(|of| of.known.min()).min()?;
        Some((least, self.partitions.iter().filter_map(|of| of.known.max()).max()?))
    }

    /// Whether the place is new. Not for a set that was united with one of another topic.
    pub fn insert(&mut self, partition: i32, offset: u64) -> bool {
        match self.partitions.iter_mut().find(|of| of.partition == partition) {
            Some(of) => of.insert(offset),
            None => {
                self.partitions.push(PartitionOffsets::new(&self.topic, partition, offset));
                true
            }
        }
    }

    #[must_use]
    pub fn contains(&self, topic: &str, partition: i32, offset: u64) -> bool {
        self.of(topic, partition)
            .is_some_and(|of| of.run.contains(&offset) || of.known.contains(offset))
    }

    /// Whether a place is in it, of whatever topic.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        let number = place.number();
        let of_partition = self.partitions.iter().filter(|of| of.partition == place.partition);
        number.is_some_and(|number| {
            of_partition.clone().any(|of| of.run.contains(&number) || of.known.contains(number))
        })
    }

    /// How many places there are of messages of a partition with these offsets. It must be flushed.
    #[must_use]
    pub fn len_of(&self, topic: &str, partition: i32, offsets: &Range<u64>) -> u64 {
        self.of(topic, partition).map_or(0, |of| places::len_of(&of.known, offsets))
    }

    /// Whether one of some offsets of a partition is in it, which must be flushed.
    #[must_use]
    pub fn touches(&self, topic: &str, partition: i32, offsets: &Range<u64>) -> bool {
        let below = |of: &PartitionOffsets, end: u64| {
            end.checked_sub(1).map_or(0, |last| of.known.rank(last))
        };
        self.of(topic, partition)
            .is_some_and(|of| below(of, offsets.end) > below(of, offsets.start))
    }

    /// The places of its first messages, as [`places::first`] has them; `None` where they are of
    /// several partitions. It must be flushed.
    #[must_use]
    pub fn first(&self, count: u64) -> Option<Self> {
        let [of] = &self.partitions[..] else { return None };
        let known = places::first(&of.known, count);
        let mut first = Self::of_partition(&of.topic, of.partition, known);
        first.flush();
        Some(first)
    }

    /// Makes the set ready for the operations on whole sets.
    pub fn flush(&mut self) {
        for of in &mut self.partitions {
            of.flush();
            // Bitmaps of neighbouring offsets become runs of a few bytes.
            of.known.optimize();
        }
    }

    /// How many places; the set must be flushed.
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
        other.partitions.iter().all(|of| {
            self.of(&of.topic, of.partition).is_none_or(|own| own.known.is_disjoint(&of.known))
        })
    }

    #[must_use]
    pub fn is_superset(&self, other: &Self) -> bool {
        other.partitions.iter().all(|of| {
            self.of(&of.topic, of.partition).is_some_and(|own| own.known.is_superset(&of.known))
        })
    }

    pub fn add_all(&mut self, other: Self) {
        for of in other.partitions {
            match self.partitions.iter_mut().find(|own| own.is(&of.topic, of.partition)) {
                Some(own) => {
                    own.known |= of.known;
                    own.known_end = own.known_end.max(of.known_end);
                }
                None => self.partitions.push(of),
            }
        }
    }

    /// How many places are not in `other`.
    #[must_use]
    pub fn missing_in(&self, other: &Self) -> u64 {
        let missing = |of: &PartitionOffsets| match other.of(&of.topic, of.partition) {
            Some(others) => of.known.difference_len(&others.known),
            None => of.known.len(),
        };
        self.partitions.iter().map(missing).sum()
    }

    /// The places that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for of in &mut rest.partitions {
            if let Some(others) = other.of(&of.topic, of.partition) {
                of.known -= &others.known;
            }
        }
        rest.partitions.retain(|of| !of.known.is_empty());
        rest
    }

    /// Takes the places of messages with these offsets out. It must be flushed.
    pub fn remove_messages(&mut self, topic: &str, partition: i32, offsets: Range<u64>) {
        if let Some(of) = self.partitions.iter_mut().find(|of| of.is(topic, partition)) {
            let mut messages = RoaringTreemap::new();
            messages.insert_range(offsets);
            of.known -= places::of_messages(&of.known, &messages);
        }
        self.partitions.retain(|of| !of.known.is_empty());
    }

    /// The places that are also in `other`.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut common = self.clone();
        for of in &mut common.partitions {
            match other.of(&of.topic, of.partition) {
                Some(others) => of.known &= &others.known,
                None => of.known.clear(),
            }
        }
        common.partitions.retain(|of| !of.known.is_empty());
        common
    }

    /// The offsets of each topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &RoaringTreemap)> {
        self.partitions.iter().map(|of| (&*of.topic, of.partition, &of.known))
    }

    /// The offsets of one partition, where the set is of one topic.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&RoaringTreemap> {
        self.partitions.iter().find(|of| of.partition == partition).map(|of| &of.known)
    }

    /// The largest offset of each partition, where the set is of one topic.
    pub fn newest(&self) -> impl Iterator<Item = (i32, u64)> {
        self.partitions.iter().filter_map(|of| Some((of.partition, places::newest(&of.known)?)))
    }

    /// The newest place of each topic and partition.
    pub fn newest_places(&self) -> impl Iterator<Item = (&str, i32, u64)> {
        self.partitions
            .iter()
            .filter_map(|of| Some((&*of.topic, of.partition, places::newest(&of.known)?)))
    }

    /// How much of `other`, the places of `ticks` ticks, is here already.
    #[must_use]
    pub fn overlap(&self, other: &Self, ticks: u64) -> Overlap {
        if self.is_disjoint(other) {
            return Overlap::None;
        }
        let all_known = ticks == other.len() && self.is_superset(other);
        if all_known { Overlap::All } else { Overlap::Part }
    }

    fn of(&self, topic: &str, partition: i32) -> Option<&PartitionOffsets> {
        self.partitions.iter().find(|of| of.is(topic, partition))
    }

    /// Writes a flushed set down.
    ///
    /// # Errors
    /// Where `out` fails.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        write_len(out, self.partitions.len())?;
        for of in &self.partitions {
            write_len(out, of.topic.len())?;
            out.write_all(of.topic.as_bytes())?;
            out.write_all(&of.partition.to_le_bytes())?;
            of.known.serialize_into(&mut *out)?;
        }
        Ok(())
    }

    /// What [`Offsets::write_to`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn read_from(input: &mut impl Read) -> io::Result<Self> {
        let mut offsets = Self::default();
        for _ in 0..read_len(input)? {
            let mut topic = vec![0; read_len(input)?];
            input.read_exact(&mut topic)?;
            let topic: Arc<str> = String::from_utf8(topic).map_err(io::Error::other)?.into();
            let mut partition = [0; 4];
            input.read_exact(&mut partition)?;
            let known = RoaringTreemap::deserialize_from(&mut *input)?;
            let known_end = known.max().map_or(0, |max| max + 1);
            let partition = i32::from_le_bytes(partition);
            let run = known_end..known_end;
            offsets.partitions.push(PartitionOffsets { topic, partition, known, known_end, run });
        }
        Ok(offsets)
    }
}

fn write_len(out: &mut impl Write, length: usize) -> io::Result<()> {
    out.write_all(&u32::try_from(length).map_err(io::Error::other)?.to_le_bytes())
}

fn read_len(input: &mut impl Read) -> io::Result<usize> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)
}

impl PartitionOffsets {
    fn new(topic: &Arc<str>, partition: i32, offset: u64) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition,
            known: RoaringTreemap::new(),
            known_end: 0,
            run: offset..offset + 1,
        }
    }

    fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic == *topic
    }

    fn insert(&mut self, offset: u64) -> bool {
        if offset == self.run.end && offset >= self.known_end {
            self.run.end += 1;
            return true;
        }
        if self.run.contains(&offset) || self.known.contains(offset) {
            return false;
        }
        self.flush();
        self.run = offset..offset + 1;
        true
    }

    fn flush(&mut self) {
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
        offsets.flush();
        offsets
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set(places in some_places()) {
            let (mut offsets, mut model) = (Offsets::default(), BTreeSet::new());
            for (partition, offset) in &places {
                prop_assert_eq!(offsets.contains("", *partition, *offset), model.contains(&(*partition, *offset)));
                prop_assert_eq!(offsets.insert(*partition, *offset), model.insert((*partition, *offset)));
            }
            offsets.flush();
            prop_assert_eq!(offsets.len(), model.len() as u64);
        }

        #[test]
        fn whole_sets_compare_and_unite(a in some_places(), b in some_places()) {
            let (model_a, model_b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
            let (mut set_a, set_b) = (set(&a), set(&b));
            prop_assert_eq!(set_a.is_disjoint(&set_b), model_a.is_disjoint(&model_b));
            prop_assert_eq!(set_a.is_superset(&set_b), model_a.is_superset(&model_b));
            prop_assert_eq!(set_a.missing_in(&set_b), model_a.difference(&model_b).count() as u64);
            let rest = set_a.without(&set_b);
            prop_assert!(rest.len() == set_a.missing_in(&set_b) && rest.is_disjoint(&set_b));
            let common = set_a.common(&set_b);
            prop_assert_eq!(common.len() + rest.len(), set_a.len());
            prop_assert!(set_a.is_superset(&common) && set_b.is_superset(&common));
            set_a.add_all(set_b);
            prop_assert_eq!(set_a.len(), model_a.union(&model_b).count() as u64);
            prop_assert!(!b.iter().any(|(partition, offset)| set_a.insert(*partition, *offset)));
        }

        #[test]
        fn a_set_that_was_written_down_is_read_as_it_was(a in some_places(), b in some_places()) {
            let (mut both, mut other) = (set(&a), Offsets::of_topic("other".into()));
            for (partition, offset) in &b {
                other.insert(*partition, *offset);
            }
            other.flush();
            both.add_all(other.clone());
            let mut bytes = Vec::new();
            both.write_to(&mut bytes).unwrap();
            let read = Offsets::read_from(&mut &*bytes).unwrap();
            prop_assert_eq!(read.len(), both.len());
            prop_assert!(read.is_superset(&both) && both.is_superset(&read) && read.is_superset(&other));
        }
    }

    #[test]
    fn places_of_two_topics_are_not_the_same() {
        let of = |topic: &str| {
            let mut offsets = Offsets::of_topic(topic.into());
            offsets.insert(0, 7);
            offsets.flush();
            offsets
        };
        let (mut a, b) = (of("a"), of("b"));
        assert!(a.is_disjoint(&b) && !a.is_superset(&b));
        a.add_all(b.clone());
        assert_eq!((a.len(), a.missing_in(&b)), (2, 1));
        assert!(a.contains("a", 0, 7) && a.contains("b", 0, 7) && !a.contains("c", 0, 7));
    }
}
