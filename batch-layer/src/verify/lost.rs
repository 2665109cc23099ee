//! Offsets that neither side accounts for: whether they hold a tick, and of which hour, is asked of
//! Kafka.

use super::archive::Archived;
use super::holdings::Holdings;
use super::log::{Log, Span};
use super::tables::{self, Known, Sources};
use crate::hour::Hour;
use crate::index::Index;
use crate::scan::places;
use anyhow::Context;
use common::decode::{Beside, Decoder, Rules};
use common::{Place, Timestamp};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Offsets by hour and partition.
pub type Places = BTreeMap<(Hour, i32), RoaringTreemap>;

/// What became of the offsets that are ticks on neither side.
#[derive(Debug, Default)]
pub struct Lost {
    /// Kafka holds a record, and no table does.
    pub lost: Places,
    /// Kafka holds a tick that the speed layer has not come to yet.
    pub pending: Places,
    /// Kafka was not asked, or holds nothing that far back: perhaps a lost tick, perhaps the end of
    /// a transaction or a late tick of an hour that is not looked at.
    pub unaccounted: Places,
    /// In `rejected_ticks`.
    pub rejected: Places,
}

/// What is looked at.
pub struct Search<'a> {
    pub topic: &'a str,
    pub sources: Sources<'a>,
    pub hours: &'a Range<Hour>,
    pub realtime: &'a Holdings,
    pub archived: &'a Archived,
    /// Ticks that were archived once and have expired.
    pub expired: &'a Places,
    pub gaps: &'a Known,
    pub next_offsets: &'a BTreeMap<i32, u64>,
    /// Hours whose ticks retention has dropped: nothing tells any more which late ticks lay among
    /// theirs.
    pub purged: &'a BTreeSet<Hour>,
    pub log: Option<&'a Arc<Log>>,
    pub spans: &'a BTreeMap<i32, Span>,
    /// What a message may look like.
    pub rules: &'a Arc<Rules>,
}

/// What is known of some messages: what `rejected_ticks` has of them and, where they may hold
/// several ticks, any side.
#[derive(Debug, Default)]
struct Rejected {
    /// Messages, or elements of them.
    places: RoaringTreemap,
    messages: RoaringTreemap,
    /// The length in bytes of what stands there as a message's first element.
    lengths: FxHashMap<u64, i64>,
}

impl Rejected {
    /// Whether the message itself was rejected, and not an element of it.
    fn is_whole(&self, offset: u64, value: Option<&[u8]>) -> bool {
        let length = value.and_then(|value| i64::try_from(value.len()).ok());
        length.is_some() && self.lengths.get(&offset).copied() == length
    }
}

/// What Kafka has at a place that nothing else accounts for.
struct Found {
    /// Of the message, or of the one element of it that is missing.
    place: u64,
    /// Of the element.
    element: u64,
    /// `None`: it is no tick.
    hour: Option<Hour>,
}

impl Search<'_> {
    /// # Errors
    /// Where the database or Kafka fails.
    pub async fn run(&self, index: &mut Index) -> Result<Lost, Failure> {
        let mut lost = Lost::default();
        for partition in self.partitions() {
            let known = self.known(partition);
            let known_messages = places::messages(&known);
            let span = self.spans.get(&partition);
            let mut in_log = RoaringTreemap::new();
            in_log.insert_range(span.map(Span::range).unwrap_or_default());
            let before_log = holes(&known_messages, span.map_or(u64::MAX, |span| span.low));

            let (mut left, mut rejected) =
                self.without_gaps(index, partition, (in_log, &known_messages), &mut lost).await?;
            if places::have_elements(&known) || places::have_elements(&rejected.places) {
                // Only Kafka tells whether the elements that are known or were rejected are all of
                // their message.
                rejected.places |= &known;
                rejected.messages |= &known_messages;
            } else {
                left -= &known_messages;
                left -= std::mem::take(&mut rejected).messages;
            }
            self.ask_log(index, partition, (left, rejected), &mut lost).await?;

            let (left, rejected) = self
                .without_gaps(index, partition, (before_log, &known_messages), &mut lost)
                .await?;
            let left = left - (rejected.messages - places::with_holes(&rejected.places));
            self.note_unaccounted(index, partition, &left, &mut lost).await?;
        }
        Ok(lost)
    }

    fn partitions(&self) -> Vec<i32> {
        let held = [self.realtime, &self.archived.holdings]
            .into_iter()
            .flat_map(|side| side.hours.values());
        let mut partitions: Vec<i32> = held.flat_map(|hour| hour.shares.keys().copied()).collect();
        partitions.extend(self.expired.keys().map(|(_, partition)| *partition));
        partitions.extend(self.spans.keys());
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// The places of a partition's ticks on whatever side.
    fn known(&self, partition: i32) -> RoaringTreemap {
        let mut known = RoaringTreemap::new();
        let held = self.realtime.hours.values().chain(self.archived.holdings.hours.values());
        held.filter_map(|hour| hour.offsets.partition(partition))
            .for_each(|offsets| known |= offsets);
        let expired = self.expired.iter().filter(|((_, of), _)| *of == partition);
        expired.for_each(|(_, offsets)| known |= offsets);
        known
    }

    /// Those messages that the speed layer has read, and what was rejected of them. Of those that
    /// are not known otherwise that is noted.
    async fn without_gaps(
        &self,
        index: &mut Index,
        partition: i32,
        (mut offsets, known): (RoaringTreemap, &RoaringTreemap),
        lost: &mut Lost,
    ) -> Result<(RoaringTreemap, Rejected), Failure> {
        if let Some(gaps) = self.gaps.get(&partition) {
            offsets -= gaps;
        }
        let places = tables::rejected(index, self.topic, partition, &offsets).await?;
        let messages = places::messages(&places);
        self.attribute(partition, &(&messages - known), &mut lost.rejected);
        Ok((offsets, Rejected { places, messages, lengths: FxHashMap::default() }))
    }

    async fn note_unaccounted(
        &self,
        index: &mut Index,
        partition: i32,
        offsets: &RoaringTreemap,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let mut places = Places::new();
        self.attribute(partition, offsets, &mut places);
        places.retain(|(hour, _), _| !self.purged.contains(hour));
        let among = places.values().fold(RoaringTreemap::new(), |all, offsets| all | offsets);
        let elsewhere = tables::realtime_anywhere(index, (partition, self.sources), &among).await?;
        for (place, offsets) in places {
            let left = offsets - &elsewhere;
            if !left.is_empty() {
                lost.unaccounted.insert(place, left);
            }
        }
        Ok(())
    }

    /// Those of some ticks of hours that are not looked at that some side has.
    async fn held_elsewhere(
        &self,
        index: &mut Index,
        partition: i32,
        found: &[Found],
    ) -> Result<RoaringTreemap, Failure> {
        let mut held = self.archived.elsewhere.get(&partition).cloned().unwrap_or_default();
        let mut by_hour: BTreeMap<Hour, RoaringTreemap> = BTreeMap::new();
        for Found { place, hour, .. } in found {
            if let Some(hour) = hour.filter(|hour| !self.hours.contains(hour)) {
                by_hour.entry(hour).or_default().insert(Place::offset_of(*place));
            }
        }
        for (hour, offsets) in by_hour {
            held |= tables::realtime_in(index, hour, (partition, self.sources), &offsets).await?;
        }
        Ok(held)
    }

    /// Looks in Kafka for what some messages hold that was not rejected.
    async fn ask_log(
        &self,
        index: &mut Index,
        partition: i32,
        (offsets, mut rejected): (RoaringTreemap, Rejected),
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let (Some(log), false) = (self.log, offsets.is_empty()) else {
            return Ok(());
        };
        rejected.lengths =
            tables::rejected_lengths(index, self.topic, partition, &rejected.messages).await?;
        let (log, rules) = (Arc::clone(log), Arc::clone(self.rules));
        let reading = tokio::task::spawn_blocking(move || {
            let mut decoder = Decoder::new(rules, Timestamp::now());
            let mut found = Vec::new();
            log.read(partition, &offsets, |offset, value, beside| {
                if !rejected.is_whole(offset, value) {
                    look_at(&mut decoder, (offset, value, beside), &rejected, &mut found);
                }
            })?;
            anyhow::Ok(found)
        });
        let found = reading
            .await
            .context("reading Kafka")
            .and_then(|read| read)
            .map_err(Failure::Infrastructure)?;
        let next = self.next_offsets.get(&partition).copied().unwrap_or(0);
        let elsewhere = self.held_elsewhere(index, partition, &found).await?;
        for Found { place, element, hour } in found {
            let (offset, is_tick) = (Place::offset_of(place), hour.is_some());
            // A tick of an hour that is not looked at is found in that of its record, unless some
            // side has it.
            let own = hour.filter(|hour| self.hours.contains(hour));
            if own.is_none() && elsewhere.contains(offset) {
                continue;
            }
            let Some(hour) = own.or_else(|| self.hour_near(partition, offset)) else {
                continue;
            };
            match (offset < next, is_tick) {
                (true, _) => drop(lost.lost.entry((hour, partition)).or_default().insert(place)),
                (false, true) => {
                    lost.pending.entry((hour, partition)).or_default().insert(element);
                }
                (false, false) => {}
            }
        }
        Ok(())
    }

    /// Notes offsets that are no ticks, so that they have no hour of their own, with the hours that
    /// they lie in. Those that follow one another share the hour of the tick before them, where
    /// nothing tells when Kafka took them.
    fn attribute(&self, partition: i32, offsets: &RoaringTreemap, places: &mut Places) {
        let starts = self.spans.get(&partition).map_or(&[][..], |span| &span.starts);
        for run in places::runs(offsets) {
            let before = || self.hour_before(partition, run.start.checked_sub(1)?);
            let cuts = if run.end - run.start > 1 { starts } else { &[] };
            let within = cuts.iter().copied().filter(|cut| (run.start + 1..run.end).contains(cut));
            let mut start = run.start;
            for end in within.chain([run.end]) {
                if let Some(hour) = self.hour_by_time(partition, start).or_else(before) {
                    places.entry((hour, partition)).or_default().insert_range(start..end);
                }
                start = end;
            }
        }
    }

    /// The hour in which Kafka took an offset, or, where that is not known, the hour of the last
    /// tick before it.
    fn hour_near(&self, partition: i32, offset: u64) -> Option<Hour> {
        self.hour_by_time(partition, offset)
            .or_else(|| self.hour_before(partition, offset.checked_sub(1)?))
    }

    /// The hour in which Kafka took an offset.
    fn hour_by_time(&self, partition: i32, offset: u64) -> Option<Hour> {
        let starts = &self.spans.get(&partition)?.starts;
        let number = starts.windows(2).position(|hour| (hour[0]..hour[1]).contains(&offset))?;
        Hour::each(self.hours.clone()).nth(number)
    }

    /// The hour of the last tick up to an offset.
    fn hour_before(&self, partition: i32, offset: u64) -> Option<Hour> {
        let sides = self.realtime.hours.iter().chain(&self.archived.holdings.hours);
        let held =
            sides.filter_map(|(hour, held)| Some((*hour, held.offsets.partition(partition)?)));
        // It mostly is the offset itself.
        if let Some((hour, _)) = held.clone().find(|(_, offsets)| offsets.contains(offset)) {
            return Some(hour);
        }
        let last = held.filter_map(|(hour, offsets)| {
            let number = offsets.rank(offset).checked_sub(1)?;
            Some((offsets.select(number)?, hour))
        });
        last.max().map(|(_, hour)| hour)
    }
}

/// Offsets below `end` that are missing between known ones. What lies billions of offsets behind
/// the others, as a damaged line tells it, leaves no hole of so many messages.
fn holes(known: &RoaringTreemap, end: u64) -> RoaringTreemap {
    let mut holes = RoaringTreemap::new();
    let highs: Vec<u32> = known.bitmaps().map(|(high, _)| high).collect();
    let near = highs.chunk_by(|one, next| one + 1 == *next).next().and_then(<[u32]>::last);
    if let (Some(min), Some(max), Some(near)) = (known.min(), known.max(), near) {
        let near_end = (u64::from(*near) + 1) << 32;
        holes.insert_range(min..max.min(end).min(near_end).max(min));
    }
    holes - known
}

/// Notes what a message of Kafka's holds. Of one that is known or was rejected in part, only its
/// other ticks are missing.
fn look_at(
    decoder: &mut Decoder,
    (offset, value, beside): (u64, Option<&[u8]>, &Beside<'_>),
    rejected: &Rejected,
    found: &mut Vec<Found>,
) {
    let is_known = rejected.messages.contains(offset);
    let read = decoder.decode_each(value.unwrap_or_default(), beside, &mut |element| {
        let hour = element.read.ok().map(|record| Hour::of(record.tick.timestamp()));
        let element = places::number(offset, element.index);
        match is_known {
            false => found.push(Found { place: offset, element, hour }),
            true if hour.is_some() && !rejected.places.contains(element) => {
                found.push(Found { place: element, element, hour });
            }
            true => {}
        }
    });
    if read.is_err() && !is_known {
        found.push(Found { place: offset, element: offset, hour: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::decode::Rules;

    const TICK: &str = r#"{"symbol":"A","timestamp":1748869200000,"open":1,"close":1,"volume":1}"#;

    /// The places that are missing of a message at offset 7, of which some elements were rejected.
    fn missing(message: &str, rejected: &[u16], first_length: Option<usize>) -> Vec<(u64, bool)> {
        let rejected = Rejected {
            places: rejected.iter().map(|index| places::number(7, *index)).collect(),
            messages: rejected.iter().map(|_| 7).collect(),
            lengths: first_length.map(|length| (7, length as i64)).into_iter().collect(),
        };
        let mut found = Vec::new();
        let value = Some(message.as_bytes());
        if !rejected.is_whole(7, value) {
            let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
            look_at(&mut decoder, (7, value, &Beside::NOTHING), &rejected, &mut found);
        }
        found.iter().map(|found| (found.place, found.hour.is_some())).collect()
    }

    #[test]
    fn holes_lie_between_known_offsets_that_are_not_too_far_apart() {
        let holes_of = |known: &[u64], end| {
            let holes = super::holes(&known.iter().collect(), end);
            (holes.min(), holes.max(), holes.len())
        };
        assert_eq!(holes_of(&[3, 4, 7, 9], u64::MAX), (Some(5), Some(8), 3));
        assert_eq!(holes_of(&[3, 4, 7, 9], 6), (Some(5), Some(5), 1));
        assert_eq!(holes_of(&[], 6), (None, None, 0));
        let (first, _, count) = holes_of(&[3, 5, (1 << 48) - 1], u64::MAX);
        assert_eq!((first, count), (Some(4), (1 << 32) - 5));
        assert_eq!(holes_of(&[(1 << 32) - 2, (1 << 32) + 1], u64::MAX).2, 2);
    }

    #[test]
    fn of_a_message_that_was_rejected_in_part_the_other_ticks_are_missing() {
        let message = format!("[{TICK},{{}},{TICK}]");
        let of = |index| (places::number(7, index), true);
        assert_eq!(missing(&message, &[1], None), [of(0), of(2)]);
        assert_eq!(missing(&message, &[0, 1], Some(TICK.len())), [of(2)]);
        assert_eq!(missing(&message, &[0, 1, 2], Some(TICK.len())), []);
        // By other flags it was no message at all.
        assert_eq!(missing(&message, &[0], Some(message.len())), []);
        // Of very many broken elements only the first are kept.
        assert_eq!(missing(&format!("[{{}},{{}},{TICK}]"), &[0], Some(2)), [of(2)]);
    }

    #[test]
    fn a_message_of_which_nothing_was_rejected_is_missing_as_a_whole() {
        assert_eq!(missing(TICK, &[], None), [(7, true)]);
        assert_eq!(missing(&format!("[{TICK},{{}}]"), &[], None), [(7, true), (7, false)]);
        assert_eq!(missing("no tick", &[], None), [(7, false)]);
        assert_eq!(missing("no tick", &[0], Some(7)), []);
        assert_eq!(missing(TICK, &[0], Some(TICK.len())), []);
    }
}
