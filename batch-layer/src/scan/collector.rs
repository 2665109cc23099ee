//! [`Collector`]: sums up an object's ticks by their hour.

use super::{HourBars, Offsets, ScanOptions};
use crate::archive::Origin;
use crate::hour::Hour;
use common::Timestamp;
use common::decode::{Provenance, Record};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Records to leave out, by the hour of their tick.
pub type Exclusions = FxHashMap<Hour, Offsets>;

pub struct Collector<'a> {
    origin: Origin,
    topic: Arc<str>,
    exclude: Option<&'a Exclusions>,
    hours: Vec<(Hour, HourBars)>,
    places: FxHashMap<Hour, usize>,
    /// The hour of the last tick. The next one nearly always has the same.
    current: usize,
    current_start: Timestamp,
}

impl<'a> Collector<'a> {
    pub fn new(options: &'a ScanOptions) -> Self {
        Self {
            origin: options.origin,
            topic: Arc::clone(&options.topic),
            exclude: options.exclude.as_deref(),
            hours: Vec::new(),
            places: FxHashMap::default(),
            current: 0,
            // No tick is that old.
            current_start: Timestamp::from_micros(-Timestamp::HOUR),
        }
    }

    /// Takes in the tick of the line `number`, unless its record was there before.
    pub fn add(&mut self, record: &Record<'_>, number: u64) {
        self.turn_to(record.tick.timestamp());
        let (hour, bars) = &mut self.hours[self.current];
        let (partition, offset) = match &record.provenance {
            Some(Provenance { partition, offset }) if *offset >= 0 => {
                let place = offset.unsigned_abs();
                let excluded = self.exclude.and_then(|exclude| exclude.get(hour));
                let is_excluded = excluded.is_some_and(|offsets| offsets.contains(&self.topic, *partition, place));
                if is_excluded || !bars.offsets.insert(*partition, place) {
                    bars.duplicates += 1;
                    bars.repeated.insert(*partition, place);
                    return;
                }
                (*partition, *offset)
            }
            // The true offset is at least this: records may be missing in between. It does for the order.
            _ => (self.origin.partition, self.origin.start_offset.saturating_add_unsigned(number - 1)),
        };
        bars.add(&record.tick, partition, offset);
    }

    fn turn_to(&mut self, timestamp: Timestamp) {
        if timestamp.is_within(self.current_start, Timestamp::HOUR) {
            return;
        }
        let hour = Hour::of(timestamp);
        self.current = *self.places.entry(hour).or_insert_with(|| {
            self.hours.push((hour, HourBars::of_topic(Arc::clone(&self.topic))));
            self.hours.len() - 1
        });
        self.current_start = hour.start();
    }

    /// How many bars there are so far.
    pub fn bars(&self) -> usize {
        self.hours.iter().map(|(_, bars)| bars.bars.len()).sum()
    }

    /// The hours seen so far.
    pub fn hours(&self) -> Vec<Hour> {
        self.hours.iter().map(|(hour, _)| *hour).collect()
    }

    /// What was collected, in order of time.
    pub fn finish(mut self) -> Vec<(Hour, HourBars)> {
        for (_, bars) in &mut self.hours {
            bars.offsets.settle();
            bars.repeated.settle();
        }
        self.hours.sort_unstable_by_key(|(hour, _)| *hour);
        self.hours
    }
}
