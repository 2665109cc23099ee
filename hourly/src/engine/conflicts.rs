//! Records that several lines tell of: whether they all say the same.
//!
//! Sums cannot be taken apart, so the objects are read once more, and of them only those that can
//! hold such records. It is rare: a sink that was killed repeats a little, a replay repeats what it
//! replays.

use crate::archive::Object;
use crate::hour::Hour;
use crate::pending_hours::TimeSpan;
use crate::reader::{IN_FLIGHT, ReadError, Reader};
use crate::scan::{self, Conflicts, Exclusions, LineIdentity, Offsets};
use futures::stream::{self, StreamExt};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Records that are compared at a time: some megabytes for each object in flight, if it holds them
/// all.
const RECORDS_AT_ONCE: usize = 250_000;

/// Where such records are looked for.
pub struct ConflictSearch<'a> {
    pub reader: &'a Reader,
    pub hour: Hour,
    /// By key, each with the span of its offsets.
    pub objects: &'a [(Object, TimeSpan)],
}

impl ConflictSearch<'_> {
    /// Counts those of `repeated` of which the objects tell different things. `read` gets the sizes
    /// of the objects that were read.
    ///
    /// # Errors
    /// Where an object cannot be read, with that object.
    pub async fn run(
        &self,
        repeated: &Offsets,
        read: &mut Vec<u64>,
    ) -> Result<Conflicts, (Object, ReadError)> {
        let mut conflicts = Conflicts::default();
        for (topic, partition, offsets) in repeated.iter() {
            let mut rest = offsets.iter();
            loop {
                let part: RoaringTreemap = rest.by_ref().take(RECORDS_AT_ONCE).collect();
                if part.is_empty() {
                    break;
                }
                let differing = self.compare(topic, partition, part, read).await?;
                let example = differing.keys().min().map(|place| (partition, *place));
                let different_ticks =
                    differing.values().filter(|is_stranger| **is_stranger).count() as u64;
                conflicts.add(Conflicts {
                    records: differing.len() as u64,
                    different_ticks,
                    example,
                });
            }
        }
        Ok(conflicts)
    }

    /// The offsets, of some of a partition, whose records differ between objects; and whether
    /// symbol or time do.
    async fn compare(
        &self,
        topic: &str,
        partition: i32,
        offsets: RoaringTreemap,
        read: &mut Vec<u64>,
    ) -> Result<FxHashMap<u64, bool>, (Object, ReadError)> {
        let may_tell = |(object, span): &&(Object, TimeSpan)| {
            self.reader.topic(&object.key) == topic
                && span.is_some_and(|span| touches(&offsets, span))
        };
        let telling: Vec<Object> =
            self.objects.iter().filter(may_tell).map(|(object, _)| object.clone()).collect();
        let asked: Exclusions =
            [(self.hour, Offsets::of_partition(topic, partition, offsets))].into_iter().collect();
        let asked = Arc::new(asked);
        let mut reads = stream::iter(telling)
            .map(|object| {
                let asked = Arc::clone(&asked);
                async move {
                    let identities =
                        self.reader.read_with(&object, Some(asked), scan::read_identities).await;
                    (object, identities)
                }
            })
            .buffered(IN_FLIGHT);
        let (mut first, mut differing) = (FxHashMap::default(), FxHashMap::default());
        while let Some((object, identities)) = reads.next().await {
            let identities = identities.map_err(|error| (object.clone(), error))?;
            read.push(object.size);
            for LineIdentity { place, hash, whose, .. } in identities {
                let (first_hash, first_whose) = *first.entry(place).or_insert((hash, whose));
                if first_hash != hash {
                    *differing.entry(place).or_default() |= first_whose != whose;
                }
            }
        }
        Ok(differing)
    }
}

/// Whether any of some offsets lies in a span.
fn touches(offsets: &RoaringTreemap, (least, greatest): (u64, u64)) -> bool {
    let below = least.checked_sub(1).map_or(0, |below| offsets.rank(below));
    offsets.rank(greatest) > below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_may_tell_of_offsets_within_its_span() {
        let offsets: RoaringTreemap = [5, 9, 1 << 40].into_iter().collect();
        for (span, expected) in [
            ((0, 4), false),
            ((5, 5), true),
            ((6, 8), false),
            ((0, 5), true),
            ((10, 1 << 41), true),
        ] {
            assert_eq!(touches(&offsets, span), expected, "{span:?}");
        }
    }
}
