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
    /// `series`: its number in [`super::DetectorInput::series`]. A new one is the next number.
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
    pub fn sorted<'a>(&'a self, series: &'a [Series]) -> SortedBars<'a> {
        let last = series.iter().zip(&self.last);
        let last = last.map(|(series, (minute, bar))| (&*series.symbol, *minute, bar));
        let others = self.others.iter().filter_map(|((number, minute), bar)| {
            Some((&*series.get(*number as usize)?.symbol, *minute, bar))
        });
        let mut parts: Vec<(&str, Timestamp, &Bar)> = last.chain(others).collect();
        parts.sort_unstable_by_key(|(symbol, minute, _)| (*symbol, *minute));
        SortedBars { parts: parts.into_iter(), width: Timestamp::MINUTE }
    }

    /// How many there are: each series of a symbol has its own.
    pub fn count(&self) -> usize {
        self.last.len() + self.others.len()
    }

    pub fn clear(&mut self) {
        self.last.clear();
        self.others.clear();
    }
}

fn bar_of(tick: &Tick<'_>, place: Place) -> (Timestamp, Bar) {
    (tick.timestamp().floor(Timestamp::MINUTE), Bar::of(tick, place))
}

/// Bars in the order of their symbols and times. Each is merged when it is asked for, since all of
/// them at once would be as large as the batch.
#[derive(Debug, Clone)]
pub struct SortedBars<'a> {
    parts: std::vec::IntoIter<(&'a str, Timestamp, &'a Bar)>,
    /// Microseconds of each.
    width: i64,
}

impl SortedBars<'_> {
    /// The minutes' bars, merged into those of their hours.
    pub fn hours(&self) -> Self {
        Self { width: Timestamp::HOUR, ..self.clone() }
    }
}

impl<'a> Iterator for SortedBars<'a> {
    type Item = (&'a str, Timestamp, Bar);

    fn next(&mut self) -> Option<Self::Item> {
        let (symbol, at, bar) = self.parts.next()?;
        let (start, mut sum) = (at.floor(self.width), *bar);
        while let Some((other, at, bar)) = self.parts.as_slice().first()
            && *other == symbol
            && at.is_within(start, self.width)
        {
            sum.merge(bar);
            self.parts.next();
        }
        Some((symbol, start, sum))
    }
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
        fn each_minute_and_hour_has_the_bar_of_its_ticks_in_whatever_order_and_partitions_they_come(
            ticks in proptest::collection::vec((0_i32..2, 0_usize..3, 0_i64..6, 0_i64..2, 1_i64..9), 0..60),
        ) {
            let mut bars = MinuteBars::default();
            let mut model = [BTreeMap::new(), BTreeMap::new()];
            let mut series: Vec<Series> = Vec::new();
            for (offset, (partition, symbol, half_minutes, hours, price)) in (0..).zip(ticks) {
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
                let at = half_minutes * Timestamp::MINUTE / 2 + hours * Timestamp::HOUR;
                let at = Timestamp::from_micros(at);
                let tick = Tick::new(symbol, at, prices, None, TimeBounds::until(at)).unwrap();
                let place = Place { partition, offset: offset / 2, index: offset as u16 % 2 };
                bars.add(number as u32, &tick, place);
                let bar = Bar::of(&tick, place);
                for (width, bars) in [Timestamp::MINUTE, Timestamp::HOUR].into_iter().zip(&mut model) {
                    let known = bars.entry((symbol, at.floor(width)));
                    known.and_modify(|sum: &mut Bar| sum.merge(&bar)).or_insert(bar);
                }
            }
            let minutes = bars.sorted(&series);
            prop_assert!(bars.count() >= model[0].len());
            for (bars, model) in [minutes.clone(), minutes.hours()].into_iter().zip(model) {
                let bars: Vec<_> = bars.map(|(symbol, start, bar)| ((symbol, start), bar)).collect();
                prop_assert_eq!(bars, model.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
