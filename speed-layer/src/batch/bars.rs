//! The bars of one batch, by minute and by hour.

use common::{Bar, SymbolMap, Tick, Timestamp};
use std::collections::BTreeMap;

/// Bars by symbol and minute.
#[derive(Debug, Default)]
pub struct MinuteBars {
    by_symbol: SymbolMap<BTreeMap<Timestamp, Bar>>,
}

impl MinuteBars {
    pub fn add(&mut self, tick: &Tick<'_>, partition: i32, offset: i64) {
        let minute = tick.timestamp().floor(Timestamp::MINUTE);
        let new = || Bar::of(tick, partition, offset);
        let Some(minutes) = self.by_symbol.get_mut(tick.symbol()) else {
            return self.by_symbol.insert(tick.symbol(), BTreeMap::from([(minute, new())]));
        };
        match minutes.get_mut(&minute) {
            Some(bar) => bar.add(tick, partition, offset),
            None => drop(minutes.insert(minute, new())),
        }
    }

    /// All bars, sorted by symbol and minute: writers that lock rows in one order cannot deadlock.
    pub fn sorted(&self) -> Vec<(&str, Timestamp, Bar)> {
        let mut symbols: Vec<(&str, &BTreeMap<Timestamp, Bar>)> =
            self.by_symbol.iter().map(|(symbol, minutes)| (symbol.as_str(), minutes)).collect();
        symbols.sort_unstable_by_key(|(symbol, _)| *symbol);
        let bars = |(symbol, minutes)| {
            let minutes: &BTreeMap<Timestamp, Bar> = minutes;
            minutes.iter().map(move |(minute, bar)| (symbol, *minute, *bar))
        };
        symbols.into_iter().flat_map(bars).collect()
    }

    /// The bars that [`MinuteBars::sorted`] gives, merged into those of their hours; sorted as well.
    pub fn hours<'a>(minutes: &[(&'a str, Timestamp, Bar)]) -> Vec<(&'a str, Timestamp, Bar)> {
        let mut hours: Vec<(&str, Timestamp, Bar)> = Vec::new();
        for (symbol, minute, bar) in minutes {
            let hour = minute.floor(Timestamp::HOUR);
            match hours.last_mut() {
                Some((last_symbol, last_hour, sum)) if last_symbol == symbol && *last_hour == hour => sum.merge(bar),
                _ => hours.push((symbol, hour, *bar)),
            }
        }
        hours
    }

    pub fn clear(&mut self) {
        self.by_symbol.clear();
    }
}
