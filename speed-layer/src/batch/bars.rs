//! The bars of one batch, by minute and by hour.

use super::Series;
use common::{Bar, Place, Tick, Timestamp};
use std::collections::BTreeMap;

/// Bars by series and minute.
#[derive(Debug, Default)]
pub struct MinuteBars {
    /// The minute of each series' last tick, since nearly every next one belongs to it.
    last: Vec<(Timestamp, Bar)>,
    /// The other minutes of all series. A tree for each would take 2 KB for its first bar.
    others: BTreeMap<(u32, Timestamp), Bar>,
}

impl MinuteBars {
    /// `series`: its number in [`super::Seen::series`]. A new one is the next number.
    #[inline]
    pub fn add(&mut self, series: u32, tick: &Tick<'_>, place: Place) {
        match self.last.get_mut(series as usize) {
            Some((minute, bar)) if tick.timestamp().is_within(*minute, Timestamp::MINUTE) => {
                bar.add(tick, place);
            }
            Some(_) => self.turn_to(series, tick, place),
            None => self.last.push(bar_of(tick, place)),
        }
    }

    #[cold]
    fn turn_to(&mut self, series: u32, tick: &Tick<'_>, place: Place) {
        let (minute, mut bar) = bar_of(tick, place);
        if let Some(known) = self.others.remove(&(series, minute)) {
            bar.merge(&known);
        }
        if let Some(last) = self.last.get_mut(series as usize) {
            let (before, bar_before) = std::mem::replace(last, (minute, bar));
            self.others.insert((series, before), bar_before);
        }
    }

    /// All bars, those of a symbol's partitions merged, sorted by symbol and minute: writers that
    /// lock rows in one order cannot deadlock.
    pub fn sorted<'a>(&self, series: &'a [Series]) -> Vec<(&'a str, Timestamp, Bar)> {
        let last = series.iter().zip(&self.last);
        let last = last.map(|(series, (minute, bar))| (&*series.symbol, *minute, bar));
        let others = self.others.iter().filter_map(|((number, minute), bar)| {
            Some((&*series.get(*number as usize)?.symbol, *minute, bar))
        });
        let mut parts: Vec<(&str, Timestamp, &Bar)> = last.chain(others).collect();
        parts.sort_unstable_by_key(|(symbol, minute, _)| (*symbol, *minute));
        merged(parts.iter().map(|(symbol, minute, bar)| (*symbol, *minute, **bar)), parts.len())
    }

    /// The bars that [`MinuteBars::sorted`] gives, merged into those of their hours; sorted as
    /// well.
    pub fn hours<'a>(minutes: &[(&'a str, Timestamp, Bar)]) -> Vec<(&'a str, Timestamp, Bar)> {
        let hour_of = |(symbol, minute, bar): &'_ (&'a str, Timestamp, Bar)| {
            (*symbol, minute.floor(Timestamp::HOUR), *bar)
        };
        merged(minutes.iter().map(hour_of), 0)
    }

    pub fn clear(&mut self) {
        self.last.clear();
        self.others.clear();
    }
}

fn bar_of(tick: &Tick<'_>, place: Place) -> (Timestamp, Bar) {
    (tick.timestamp().floor(Timestamp::MINUTE), Bar::of(tick, place))
}

/// Sorted bars, those of one symbol and time merged. `room`: for how many, at first.
fn merged<'a>(
    bars: impl Iterator<Item = (&'a str, Timestamp, Bar)>,
    room: usize,
) -> Vec<(&'a str, Timestamp, Bar)> {
    let mut merged: Vec<(&str, Timestamp, Bar)> = Vec::with_capacity(room);
    for (symbol, start, bar) in bars {
        match merged.last_mut() {
            Some((last, at, sum)) if (*last, *at) == (symbol, start) => sum.merge(&bar),
            _ => merged.push((symbol, start, bar)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourcePartition;
    use common::tick::Prices;
    use common::{Price, TimeBounds};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_minute_has_the_bar_of_its_ticks_in_whatever_order_and_partitions_they_come(
            ticks in proptest::collection::vec((0_i32..2, 0_usize..3, 0_i64..6, 1_i64..9), 0..60),
        ) {
            let (mut bars, mut model) = (MinuteBars::default(), BTreeMap::new());
            let mut series: Vec<Series> = Vec::new();
            for (offset, (partition, symbol, half_minutes, price)) in (0..).zip(ticks) {
                let symbol = ["A", "B", "LONGER-THAN-8"][symbol];
                let whose = Series {
                    at: SourcePartition { source: 1, partition },
                    symbol: symbol.into(),
                };
                let known = series.iter().position(|known| *known == whose);
                let number = known.unwrap_or(series.len());
                if known.is_none() {
                    series.push(whose);
                }
                let price = Price::from_nanos(price).unwrap();
                let prices = Prices { open: price, high: None, low: None, close: price };
                let at = Timestamp::from_micros(half_minutes * Timestamp::MINUTE / 2);
                let tick = Tick::new(symbol, at, prices, None, TimeBounds::until(at)).unwrap();
                let place = Place { partition, offset: offset / 2, index: offset as u16 % 2 };
                bars.add(number as u32, &tick, place);
                let bar = Bar::of(&tick, place);
                let minute = model.entry((symbol, at.floor(Timestamp::MINUTE)));
                minute.and_modify(|sum: &mut Bar| sum.merge(&bar)).or_insert(bar);
            }
            let expected: Vec<_> =
                model.into_iter().map(|((symbol, minute), bar)| (symbol, minute, bar)).collect();
            prop_assert_eq!(bars.sorted(&series), expected);
        }
    }
}
