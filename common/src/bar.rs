//! [`Bar`]: the one aggregate of ticks, for minutes and hours, in both layers.

use crate::wide_sum::WideSum;
use crate::{Price, Tick, Timestamp};

/// The total order of ticks: by their own time, and where that is equal (a fifth to half of real trades share a
/// millisecond with their neighbour) by their place in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    pub timestamp: Timestamp,
    pub partition: i32,
    pub offset: i64,
}

/// The ticks of one symbol in [start, start + width), summed up. It always holds at least one tick.
///
/// All sums are exact integers, so merging is associative and commutative: the result does not depend on how ticks
/// were cut into batches or objects, nor on the order in which those came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    /// Sum of the ticks' volumes, in shares.
    pub volume: u128,
    pub ticks: u64,
    /// Sum of the ticks' closes, in units of 10^-9.
    pub sum_close: u128,
    /// Sum of close * volume, in units of 10^-9.
    pub notional: WideSum,
    /// The tick that gave `open`.
    pub first: OrderKey,
    /// The tick that gave `close`.
    pub last: OrderKey,
}

impl Bar {
    /// The bar of a single tick, which stands at `partition` and `offset`.
    #[must_use]
    #[inline]
    pub fn of(tick: &Tick<'_>, partition: i32, offset: i64) -> Self {
        let prices = tick.prices();
        let key = OrderKey { timestamp: tick.timestamp(), partition, offset };
        let close = u128::from(prices.close.nanos());
        Self {
            open: prices.open,
            high: prices.highest(),
            low: prices.lowest(),
            close: prices.close,
            volume: tick.volume().into(),
            ticks: 1,
            sum_close: close,
            notional: WideSum::from(close * u128::from(tick.volume())),
            first: key,
            last: key,
        }
    }

    /// Takes in one more tick. The same as merging with [`Bar::of`], which would cost a copy for each tick.
    #[inline]
    pub fn add(&mut self, tick: &Tick<'_>, partition: i32, offset: i64) {
        let prices = tick.prices();
        let key = OrderKey { timestamp: tick.timestamp(), partition, offset };
        if (key, prices.open) < (self.first, self.open) {
            (self.first, self.open) = (key, prices.open);
        }
        if (key, prices.close) > (self.last, self.close) {
            (self.last, self.close) = (key, prices.close);
        }
        self.high = self.high.max(prices.highest());
        self.low = self.low.min(prices.lowest());
        self.volume += u128::from(tick.volume());
        self.ticks += 1;
        let close = u128::from(prices.close.nanos());
        self.sum_close += close;
        self.notional += close * u128::from(tick.volume());
    }

    /// Takes in the ticks of `other`, a bar of the same symbol and interval that shares no tick with this one.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        // The prices decide between ticks with the same key, which an archive that does not tell offsets may have: so the
        // result never depends on which of them came first.
        (self.first, self.open) = (self.first, self.open).min((other.first, other.open));
        (self.last, self.close) = (self.last, self.close).max((other.last, other.close));
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume += other.volume;
        self.ticks += other.ticks;
        self.sum_close += other.sum_close;
        self.notional += other.notional;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Prices;
    use proptest::prelude::*;

    fn bar(micros: i64, offset: i64, open: i64, close: i64, volume: i64) -> Bar {
        let price = |nanos| Price::from_nanos(nanos).unwrap();
        let prices = Prices { open: price(open), high: None, low: None, close: price(close) };
        let at = Timestamp::from_micros(micros);
        Bar::of(&Tick::new("A", at, prices, volume, crate::TimeBounds::until(at)).unwrap(), 0, offset)
    }

    fn merged<'a>(bars: impl IntoIterator<Item = &'a Bar>) -> Bar {
        let mut bars = bars.into_iter();
        let mut all = *bars.next().unwrap();
        bars.for_each(|bar| all.merge(bar));
        all
    }

    fn some_bars() -> impl Strategy<Value = Vec<Bar>> {
        let part = (0_i64..50, 1_i64..=i64::MAX, 1_i64..=i64::MAX, 0_i64..=i64::MAX);
        proptest::collection::vec(part, 3..40).prop_map(|parts| {
            // Some share their place, as in an archive that does not tell offsets.
            let numbered = parts.into_iter().zip((0..).map(|number| number / 2));
            numbered.map(|((at, open, close, volume), offset)| bar(at / 9, offset, open, close, volume)).collect()
        })
    }

    #[test]
    fn open_and_close_are_those_of_the_first_and_last_tick_whenever_they_come() {
        let all = merged(&[bar(20, 7, 3, 4, 1), bar(10, 9, 1, 2, 1), bar(20, 8, 5, 6, 1), bar(15, 1, 7, 8, 1)]);
        assert_eq!((all.open.nanos(), all.close.nanos()), (1, 6));
        assert_eq!((all.high.nanos(), all.low.nanos()), (8, 1));
        assert_eq!((all.ticks, all.volume, all.sum_close), (4, 4, 20));
    }

    #[test]
    fn sums_of_absurd_ticks_are_exact() {
        let absurd = bar(0, 0, 1, i64::MAX, i64::MAX);
        let all = merged(&[absurd; 5]);
        assert_eq!(all.notional.to_string(), "425352958651173079236984538921162506245");
    }

    proptest! {
        #[test]
        fn merge_is_commutative(bars in some_bars()) {
            let (mut ab, mut ba) = (bars[0], bars[1]);
            ab.merge(&bars[1]);
            ba.merge(&bars[0]);
            prop_assert_eq!(ab, ba);
        }

        #[test]
        fn adding_a_tick_is_merging_its_bar(bars in some_bars(), at in 0_i64..6, price in 1..=i64::MAX, offset in 0_i64..20) {
            let price = Price::from_nanos(price).unwrap();
            let prices = Prices { open: price, high: None, low: None, close: price };
            let at = Timestamp::from_micros(at);
            let tick = Tick::new("A", at, prices, 7, crate::TimeBounds::until(at)).unwrap();
            let (mut added, mut combined) = (merged(&bars), merged(&bars));
            added.add(&tick, 0, offset);
            combined.merge(&Bar::of(&tick, 0, offset));
            prop_assert_eq!(added, combined);
        }

        #[test]
        fn merge_is_associative(bars in some_bars(), cut in 1_usize..39) {
            let cut = cut.min(bars.len() - 1);
            let mut halves = merged(&bars[..cut]);
            halves.merge(&merged(&bars[cut..]));
            prop_assert_eq!(halves, merged(&bars));
        }

        #[test]
        fn the_order_of_ticks_does_not_matter(bars in some_bars(), seed: u64) {
            let mut shuffled = bars.clone();
            shuffled.sort_by_key(|bar| (bar.open.nanos() ^ seed).wrapping_mul(seed | 1));
            prop_assert_eq!(merged(&shuffled), merged(&bars));
        }
    }
}
