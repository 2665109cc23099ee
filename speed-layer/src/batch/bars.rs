//! The minute bars of one batch.

use common::{Bar, Tick, Timestamp};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Bars by symbol and minute.
#[derive(Debug, Default)]
pub struct MinuteBars {
    by_symbol: FxHashMap<Box<str>, BTreeMap<Timestamp, Bar>>,
}

impl MinuteBars {
    pub fn add(&mut self, tick: &Tick<'_>, partition: i32, offset: i64) {
        let minute = tick.timestamp().floor(Timestamp::MINUTE);
        // Most ticks are of a symbol that the batch knows: only the first of each costs an allocation.
        let minutes = match self.by_symbol.get_mut(tick.symbol()) {
            Some(minutes) => minutes,
            None => self.by_symbol.entry(tick.symbol().into()).or_default(),
        };
        match minutes.get_mut(&minute) {
            Some(bar) => bar.add(tick, partition, offset),
            None => drop(minutes.insert(minute, Bar::of(tick, partition, offset))),
        }
    }

    /// All bars, sorted by symbol and minute: writers that lock rows in one order cannot deadlock.
    pub fn sorted(&self) -> Vec<(&str, Timestamp, &Bar)> {
        let mut symbols: Vec<(&str, &BTreeMap<Timestamp, Bar>)> =
            self.by_symbol.iter().map(|(symbol, minutes)| (&**symbol, minutes)).collect();
        symbols.sort_unstable_by_key(|(symbol, _)| *symbol);
        let bars = |(symbol, minutes)| {
            let minutes: &BTreeMap<Timestamp, Bar> = minutes;
            minutes.iter().map(move |(minute, bar)| (symbol, *minute, bar))
        };
        symbols.into_iter().flat_map(bars).collect()
    }

    pub fn clear(&mut self) {
        self.by_symbol.clear();
    }
}
