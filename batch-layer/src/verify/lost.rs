//! Offsets that neither side accounts for: whether they hold a tick, and of which hour, is asked of Kafka.

use super::archive::Archived;
use super::holdings::Holdings;
use super::log::{Log, Span};
use super::tables::{self, Known, Sources};
use crate::hour::Hour;
use crate::index::Index;
use crate::scan::places;
use anyhow::Context;
use common::decode::{Decoder, Rules};
use common::{Failure, Timestamp};
use roaring::RoaringTreemap;
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
    /// Kafka was not asked, or holds nothing that far back: perhaps a lost tick, perhaps the end of a transaction or a
    /// late tick of an hour that is not looked at.
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
    pub gaps: &'a Known,
    pub next_offsets: &'a BTreeMap<i32, u64>,
    /// Hours whose ticks retention has dropped: nothing tells any more which late ticks lay among theirs.
    pub purged: &'a BTreeSet<Hour>,
    pub log: Option<&'a Arc<Log>>,
    pub spans: &'a BTreeMap<i32, Span>,
    /// What a message may look like.
    pub rules: &'a Arc<Rules>,
}

impl Search<'_> {
    /// # Errors
    /// Where the database or Kafka fails.
    pub async fn run(&self, index: &mut Index) -> Result<Lost, Failure> {
        let mut lost = Lost::default();
        for partition in self.partitions() {
            let known = self.known(partition);
            let span = self.spans.get(&partition);
            let mut in_log = RoaringTreemap::new();
            in_log.insert_range(span.map(Span::range).unwrap_or_default());
            in_log -= &known;
            let before_log = self.holes(&known, span.map_or(u64::MAX, |span| span.low));

            let left = self.without_rejected(index, partition, in_log, &mut lost).await?;
            self.ask_log(index, partition, left, &mut lost).await?;

            let left = self.without_rejected(index, partition, before_log, &mut lost).await?;
            self.note_unaccounted(index, partition, &left, &mut lost).await?;
        }
        Ok(lost)
    }

    fn partitions(&self) -> Vec<i32> {
        let held = [self.realtime, &self.archived.holdings].into_iter().flat_map(|side| side.hours.values());
        let mut partitions: Vec<i32> = held.flat_map(|hour| hour.shares.keys().copied()).collect();
        partitions.extend(self.spans.keys());
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// Messages of a partition that hold a tick on some side.
    fn known(&self, partition: i32) -> RoaringTreemap {
        let mut known = RoaringTreemap::new();
        for hour in self.realtime.hours.values().chain(self.archived.holdings.hours.values()) {
            if let Some(offsets) = hour.offsets.partition(partition) {
                known |= places::messages(offsets);
            }
        }
        known
    }

    /// Offsets below `end` that are missing between known ones.
    fn holes(&self, known: &RoaringTreemap, end: u64) -> RoaringTreemap {
        let mut holes = RoaringTreemap::new();
        if let (Some(min), Some(max)) = (known.min(), known.max()) {
            holes.insert_range(min..max.min(end).max(min));
        }
        holes - known
    }

    async fn without_rejected(
        &self,
        index: &mut Index,
        partition: i32,
        mut offsets: RoaringTreemap,
        lost: &mut Lost,
    ) -> Result<RoaringTreemap, Failure> {
        if let Some(gaps) = self.gaps.get(&partition) {
            offsets -= gaps;
        }
        let rejected = places::messages(&tables::rejected(index, self.topic, partition, &offsets).await?);
        self.attribute(partition, &rejected, &mut lost.rejected);
        Ok(offsets - rejected)
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
        records: &[(u64, Option<Hour>)],
    ) -> Result<RoaringTreemap, Failure> {
        let mut held = self.archived.elsewhere.get(&partition).cloned().unwrap_or_default();
        let mut by_hour: BTreeMap<Hour, RoaringTreemap> = BTreeMap::new();
        for (offset, hour) in records {
            if let Some(hour) = hour.filter(|hour| !self.hours.contains(hour)) {
                by_hour.entry(hour).or_default().insert(*offset);
            }
        }
        for (hour, offsets) in by_hour {
            held |= tables::realtime_in(index, hour, (partition, self.sources), &offsets).await?;
        }
        Ok(held)
    }

    async fn ask_log(
        &self,
        index: &mut Index,
        partition: i32,
        offsets: RoaringTreemap,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let (Some(log), false) = (self.log, offsets.is_empty()) else {
            return Ok(());
        };
        let (log, rules) = (Arc::clone(log), Arc::clone(self.rules));
        let reading = tokio::task::spawn_blocking(move || {
            let mut decoder = Decoder::new(rules, Timestamp::now());
            let mut records = Vec::new();
            log.read(partition, &offsets, |offset, value, beside| {
                let read = decoder.decode_each(value.unwrap_or_default(), beside, &mut |element| {
                    records.push((offset, element.read.ok().map(|record| Hour::of(record.tick.timestamp()))));
                });
                if read.is_err() {
                    records.push((offset, None));
                }
            })?;
            anyhow::Ok(records)
        });
        let records = reading.await.context("reading Kafka").and_then(|read| read).map_err(Failure::Infrastructure)?;
        let next = self.next_offsets.get(&partition).copied().unwrap_or(0);
        let elsewhere = self.held_elsewhere(index, partition, &records).await?;
        for (offset, hour) in records {
            let is_tick = hour.is_some();
            // A tick of an hour that is not looked at is found in that of its record, unless some side has it.
            let own = hour.filter(|hour| self.hours.contains(hour));
            if own.is_none() && elsewhere.contains(offset) {
                continue;
            }
            let Some(hour) = own.or_else(|| self.hour_near(partition, offset)) else {
                continue;
            };
            match (offset < next, is_tick) {
                (true, _) => drop(lost.lost.entry((hour, partition)).or_default().insert(offset)),
                (false, true) => drop(lost.pending.entry((hour, partition)).or_default().insert(offset)),
                (false, false) => {}
            }
        }
        Ok(())
    }

    /// Notes offsets that are no ticks, so that they have no hour of their own, with the hours that they lie in.
    fn attribute(&self, partition: i32, offsets: &RoaringTreemap, places: &mut Places) {
        let mut near = None;
        for offset in offsets {
            // Those that follow one another share their hour.
            near = match near {
                Some((last, hour)) if last + 1 == offset => Some((offset, hour)),
                _ => self.hour_near(partition, offset).map(|hour| (offset, hour)),
            };
            if let Some((_, hour)) = near {
                places.entry((hour, partition)).or_default().insert(offset);
            }
        }
    }

    /// The hour in which Kafka took an offset, or, where that is not known, the hour of the tick before it.
    fn hour_near(&self, partition: i32, offset: u64) -> Option<Hour> {
        let by_time = self.spans.get(&partition).and_then(|span| {
            let number = span.starts.windows(2).position(|hour| (hour[0]..hour[1]).contains(&offset))?;
            Hour::each(self.hours.clone()).nth(number)
        });
        by_time.or_else(|| {
            let before = offset.checked_sub(1)?;
            let sides = self.realtime.hours.iter().chain(&self.archived.holdings.hours);
            let mut holding = sides.filter(|(_, hour)| hour.offsets.contains("", partition, before));
            holding.next().map(|(hour, _)| *hour)
        })
    }
}
