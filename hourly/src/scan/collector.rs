//! [`Collector`]: sums up an object's ticks by their hour.

use super::{Exclusions, HourBars, LinePosition, ScanOptions, place_of};
use crate::archive::Origin;
use crate::hour::Hour;
use common::Timestamp;
use common::decode::DecodedTick;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Which records are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Records that are not to be left out.
    Others,
    /// Only the records that would be left out.
    Named,
}

pub struct Collector<'a> {
    origin: Origin,
    topic: Arc<str>,
    exclude: Option<&'a Exclusions>,
    selection: Selection,
    hours: Vec<(Hour, HourBars)>,
    hour_weight: usize,
    places: FxHashMap<Hour, usize>,
    /// Ticks whose offset no broker can have given.
    far_offsets: u64,
    /// The hour of the last tick. The next one nearly always has the same.
    current: usize,
    current_start: Timestamp,
}

impl<'a> Collector<'a> {
    pub fn new(options: &'a ScanOptions, selection: Selection) -> Self {
        Self {
            origin: options.origin,
            topic: Arc::clone(&options.topic),
            exclude: options.exclude.as_deref(),
            selection,
            hours: Vec::new(),
            hour_weight: options.hour_weight,
            places: FxHashMap::default(),
            far_offsets: 0,
            current: 0,
            // No tick is that old.
            current_start: Timestamp::from_micros(-Timestamp::HOUR),
        }
    }

    /// Takes in a tick, unless it was there before.
    pub fn add(&mut self, record: &DecodedTick<'_>, position: LinePosition) {
        self.turn_to(record.tick.timestamp());
        let (hour, bars) = &mut self.hours[self.current];
        let identified =
            record.provenance.and_then(|provenance| place_of(provenance, position.element));
        let place = match identified {
            Some((place, number)) => {
                let excluded = self.exclude.and_then(|exclude| exclude.get(hour));
                let is_named = excluded
                    .is_some_and(|known| known.contains(&self.topic, place.partition, number));
                if self.selection == Selection::Named && !is_named {
                    return;
                }
                let is_excluded = self.selection == Selection::Others && is_named;
                if is_excluded || !bars.offsets.insert(place.partition, number) {
                    bars.duplicates += 1;
                    bars.repeated.insert(place.partition, number);
                    return;
                }
                place
            }
            None if self.selection == Selection::Named => return,
            None => {
                self.far_offsets += u64::from(record.provenance.is_some());
                self.origin.place(position.order)
            }
        };
        bars.add(&record.tick, place);
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

    /// How many bars there are so far, by the memory that they and their hours take.
    pub fn bars(&self) -> usize {
        self.hours.iter().map(|(_, bars)| bars.bars.len() + self.hour_weight).sum()
    }

    /// Ticks so far whose offset counts as none, because no broker can have given it.
    pub const fn far_offsets(&self) -> u64 {
        self.far_offsets
    }

    /// The hours seen so far.
    pub fn hours(&self) -> Vec<Hour> {
        self.hours.iter().map(|(hour, _)| *hour).collect()
    }

    /// What was collected, in order of time.
    pub fn finish(mut self) -> Vec<(Hour, HourBars)> {
        for (_, bars) in &mut self.hours {
            bars.offsets.flush();
            bars.repeated.flush();
        }
        self.hours.sort_unstable_by_key(|(hour, _)| *hour);
        self.hours
    }
}
