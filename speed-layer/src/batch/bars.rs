//! The bars of one batch, by minute and by hour.

use common::{Bar, Place, SymbolMap, Tick, Timestamp};
use std::collections::BTreeMap;

/// Bars by symbol and minute.
#[derive(Debug, Default)]
pub struct MinuteBars {
    by_symbol: SymbolMap<Minutes>,
}

/// The minutes of one symbol. The last one lies beside its symbol, since nearly every tick belongs
/// to it.
#[derive(Debug)]
struct Minutes {
    last: (Timestamp, Bar),
    others: BTreeMap<Timestamp, Bar>,
}

impl MinuteBars {
    pub fn add(&mut self, tick: &Tick<'_>, place: Place) {
        match self.by_symbol.get_mut(tick.symbol()) {
            Some(minutes) => minutes.add(tick, place),
            None => {
                let last = (tick.timestamp().floor(Timestamp::MINUTE), Bar::of(tick, place));
                self.by_symbol.insert(tick.symbol(), Minutes { last, others: BTreeMap::new() });
            }
        }
    }

    /// All bars, sorted by symbol and minute: writers that lock rows in one order cannot deadlock.
    pub fn sorted(&self) -> Vec<(&str, Timestamp, Bar)> {
        let mut symbols: Vec<(&str, &Minutes)> =
            self.by_symbol.iter().map(|(symbol, minutes)| (symbol.as_str(), minutes)).collect();
        symbols.sort_unstable_by_key(|(symbol, _)| *symbol);
        let mut all = Vec::new();
        for (symbol, Minutes { last, others }) in symbols {
            all.extend(others.range(..last.0).map(|(minute, bar)| (symbol, *minute, *bar)));
            all.push((symbol, last.0, last.1));
            all.extend(others.range(last.0..).map(|(minute, bar)| (symbol, *minute, *bar)));
        }
        all
    }

    /// The bars that [`MinuteBars::sorted`] gives, merged into those of their hours; sorted as
    /// well.
    pub fn hours<'a>(minutes: &[(&'a str, Timestamp, Bar)]) -> Vec<(&'a str, Timestamp, Bar)> {
        let mut hours: Vec<(&str, Timestamp, Bar)> = Vec::new();
        for (symbol, minute, bar) in minutes {
            let hour = minute.floor(Timestamp::HOUR);
            match hours.last_mut() {
                Some((last_symbol, last_hour, sum))
                    if last_symbol == symbol && *last_hour == hour =>
                {
                    sum.merge(bar)
                }
                _ => hours.push((symbol, hour, *bar)),
            }
        }
        hours
    }

    pub fn clear(&mut self) {
        self.by_symbol.clear();
    }
}

impl Minutes {
    #[inline]
    fn add(&mut self, tick: &Tick<'_>, place: Place) {
        if tick.timestamp().is_within(self.last.0, Timestamp::MINUTE) {
            return self.last.1.add(tick, place);
        }
        self.turn_to(tick, place);
    }

    #[cold]
    fn turn_to(&mut self, tick: &Tick<'_>, place: Place) {
        let minute = tick.timestamp().floor(Timestamp::MINUTE);
        let mut bar = Bar::of(tick, place);
        if let Some(known) = self.others.remove(&minute) {
            bar.merge(&known);
        }
        let (before, bar_before) = std::mem::replace(&mut self.last, (minute, bar));
        self.others.insert(before, bar_before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::tick::Prices;
    use common::{Price, TimeBounds};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_minute_has_the_bar_of_its_ticks_in_whatever_order_they_come(
            ticks in proptest::collection::vec((0_usize..3, 0_i64..6, 1_i64..9), 0..60),
        ) {
            let (mut bars, mut model) = (MinuteBars::default(), BTreeMap::new());
            for (offset, (symbol, half_minutes, price)) in (0..).zip(ticks) {
                let symbol = ["A", "B", "LONGER-THAN-8"][symbol];
                let price = Price::from_nanos(price).unwrap();
                let prices = Prices { open: price, high: None, low: None, close: price };
                let at = Timestamp::from_micros(half_minutes * Timestamp::MINUTE / 2);
                let tick = Tick::new(symbol, at, prices, None, TimeBounds::until(at)).unwrap();
                let place = Place { partition: 0, offset: offset / 2, index: offset as u16 % 2 };
                bars.add(&tick, place);
                let bar = Bar::of(&tick, place);
                model.entry((symbol, at.floor(Timestamp::MINUTE))).and_modify(|sum: &mut Bar| sum.merge(&bar)).or_insert(bar);
            }
            let expected: Vec<_> = model.into_iter().map(|((symbol, minute), bar)| (symbol, minute, bar)).collect();
            prop_assert_eq!(bars.sorted(), expected);
        }
    }
}
