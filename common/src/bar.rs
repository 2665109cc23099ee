//! [`Bar`]: the one aggregate of ticks, for minutes and hours, in both layers.

use crate::wide_sum::{Exact, WideSum};
use crate::{Place, Price, Tick, Timestamp, Volume};

/// The total order of ticks: by their own time, and where that is equal (a fifth to half of real
/// trades share a millisecond with their neighbour) by their place in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// The tick's own time, UTC.
    pub timestamp: Timestamp,
    /// The tick's identity, which orders ticks of equal time.
    pub place: Place,
}

/// The ticks of one symbol in [start, start + width), summed up. It always holds at least one tick.
///
/// All sums are exact integers, so merging is associative and commutative: the result does not
/// depend on how ticks were cut into batches or objects, nor on the order in which those came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// The price that the first tick opened with.
    pub open: Price,
    /// The highest price of any tick.
    pub high: Price,
    /// The lowest.
    pub low: Price,
    /// The price that the last tick closed with.
    pub close: Price,
    /// How many ticks it is made of.
    pub ticks: u64,
    /// Sum of the ticks' closes, in units of 10^-9.
    pub sum_close: i128,
    /// Sums of volume and of price times volume.
    pub traded: Traded,
    /// The tick that gave `open`.
    pub first: OrderKey,
    /// The tick that gave `close`.
    pub last: OrderKey,
}

/// Sums over the volumes of ticks. Fractions are summed separately, so that whole volumes cost
/// nothing extra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traded {
    /// Sum of the volumes before their points.
    pub whole: u128,
    /// Sum of the volumes' fractional parts, in units of 10^-9.
    pub nanos: u128,
    /// Sum of close * volume for the volumes before their points, in units of 10^-9.
    pub notional: WideSum,
    /// Sum of close * volume for the fractional parts, in units of 10^-18.
    pub notional_attos: i128,
    /// Whether each tick has a volume. A sum over the others alone would pass for one over all.
    pub is_known: bool,
}

impl Default for Traded {
    fn default() -> Self {
        Self { whole: 0, nanos: 0, notional: WideSum::default(), notional_attos: 0, is_known: true }
    }
}

impl Traded {
    /// Sum of the ticks' volumes; `None` where a tick has none.
    #[must_use]
    pub fn volume(&self) -> Option<Exact> {
        self.is_known.then(|| Exact::of_nanos(self.whole, self.nanos))
    }

    /// Sum of close * volume; `None` where a tick has no volume.
    #[must_use]
    pub fn notional(&self) -> Option<Exact> {
        self.is_known.then(|| Exact::of_attos(self.notional, self.notional_attos))
    }

    #[inline]
    fn add(&mut self, close: Price, volume: Option<Volume>) {
        let Some(volume) = volume else {
            self.is_known = false;
            return;
        };
        self.whole += u128::from(volume.whole());
        self.notional += i128::from(close.nanos()) * i128::from(volume.whole());
        if volume.nanos() != 0 {
            self.nanos += u128::from(volume.nanos());
            self.notional_attos += i128::from(close.nanos()) * i128::from(volume.nanos());
        }
    }

    #[inline]
    fn merge(&mut self, other: &Self) {
        self.whole += other.whole;
        self.nanos += other.nanos;
        self.notional += other.notional;
        self.notional_attos += other.notional_attos;
        self.is_known &= other.is_known;
    }
}

impl Bar {
    /// The bar of a single tick, whose identity is `place`.
    #[must_use]
    #[inline]
    pub fn of(tick: &Tick<'_>, place: Place) -> Self {
        let prices = tick.prices();
        let key = OrderKey { timestamp: tick.timestamp(), place };
        let mut traded = Traded::default();
        traded.add(prices.close, tick.volume());
        Self {
            open: prices.open,
            high: prices.highest(),
            low: prices.lowest(),
            close: prices.close,
            ticks: 1,
            sum_close: prices.close.nanos().into(),
            traded,
            first: key,
            last: key,
        }
    }

    /// Adds one more tick. The result is that of merging with [`Bar::of`], without its copy for
    /// each tick.
    #[inline]
    pub fn add(&mut self, tick: &Tick<'_>, place: Place) {
        let prices = tick.prices();
        let key = OrderKey { timestamp: tick.timestamp(), place };
        if (key, prices.open) < (self.first, self.open) {
            (self.first, self.open) = (key, prices.open);
        }
        if (key, prices.close) > (self.last, self.close) {
            (self.last, self.close) = (key, prices.close);
        }
        self.high = self.high.max(prices.highest());
        self.low = self.low.min(prices.lowest());
        self.ticks += 1;
        self.sum_close += i128::from(prices.close.nanos());
        self.traded.add(prices.close, tick.volume());
    }

    /// Takes in the ticks of `other`, a bar of the same symbol and interval that shares no tick
    /// with this one.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        // The prices decide between ticks with the same key, which an archive that does not tell
        // offsets may have: so the result never depends on which of them came first.
        (self.first, self.open) = (self.first, self.open).min((other.first, other.open));
        (self.last, self.close) = (self.last, self.close).max((other.last, other.close));
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.ticks += other.ticks;
        self.sum_close += other.sum_close;
        self.traded.merge(&other.traded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Prices;
    use proptest::prelude::*;

    fn bar(micros: i64, offset: i64, open: i64, close: i64, volume: i64) -> Bar {
        bar_of(micros, offset, open, close, Volume::from_parts(volume, 0))
    }

    fn bar_of(micros: i64, offset: i64, open: i64, close: i64, volume: Option<Volume>) -> Bar {
        let price = |nanos| Price::from_nanos(nanos).unwrap();
        let prices = Prices { open: price(open), high: None, low: None, close: price(close) };
        let at = Timestamp::from_micros(micros);
        let tick = Tick::new("A", at, prices, volume, crate::TimeBounds::until(at)).unwrap();
        // Two elements of each message.
        Bar::of(&tick, Place { partition: 0, offset: offset / 2, index: (offset % 2) as u16 })
    }

    fn merged<'a>(bars: impl IntoIterator<Item = &'a Bar>) -> Bar {
        let mut bars = bars.into_iter();
        let mut all = *bars.next().unwrap();
        bars.for_each(|bar| all.merge(bar));
        all
    }

    fn some_bars() -> impl Strategy<Value = Vec<Bar>> {
        let nanos =
            prop_oneof![3 => Just(Some(0)), 2 => (0..Volume::ONE).prop_map(Some), 1 => Just(None)];
        let volume =
            (0_i64..=i64::MAX, nanos).prop_map(|(whole, nanos)| Volume::from_parts(whole, nanos?));
        let price = || prop_oneof![3 => 1..=i64::MAX, 1 => -i64::MAX..=0];
        let part = (0_i64..50, price(), price(), volume);
        proptest::collection::vec(part, 3..40).prop_map(|parts| {
            // Some share their place, as in an archive that does not tell offsets.
            let numbered = parts.into_iter().zip((0..).map(|number| number / 2));
            numbered
                .map(|((at, open, close, volume), offset)| {
                    bar_of(at / 9, offset, open, close, volume)
                })
                .collect()
        })
    }

    #[test]
    fn open_and_close_are_those_of_the_first_and_last_tick_whenever_they_come() {
        let all = merged(&[
            bar(20, 7, 3, 4, 1),
            bar(10, 9, 1, 2, 1),
            bar(20, 8, 5, 6, 1),
            bar(15, 1, 7, 8, 1),
        ]);
        assert_eq!((all.open.nanos(), all.close.nanos()), (1, 6));
        assert_eq!((all.high.nanos(), all.low.nanos()), (8, 1));
        assert_eq!((all.ticks, all.traded.whole, all.sum_close), (4, 4, 20));
    }

    #[test]
    fn sums_of_absurd_ticks_are_exact() {
        let absurd = bar(0, 0, 1, i64::MAX, i64::MAX);
        let all = merged(&[absurd; 5]);
        assert_eq!(all.traded.notional.to_string(), "425352958651173079236984538921162506245");
    }

    #[test]
    fn fractions_of_volumes_are_added_up_to_the_last_digit() {
        let volume = |whole, nanos| Volume::from_parts(whole, nanos);
        let all = merged(&[
            bar_of(1, 1, 1, 3, volume(0, 999_999_999)),
            bar_of(2, 2, 1, 1_500_000_000, volume(7, 1)),
            bar_of(3, 3, 1, i64::MAX, volume(i64::MAX, 999_999_999)),
        ]);
        let text = |exact: Option<Exact>| exact.map(|exact| exact.to_string());
        assert_eq!(
            text(all.traded.volume()).as_deref(),
            Some("9223372036854775815.999999999000000000")
        );
        assert_eq!(
            text(all.traded.notional()).as_deref(),
            Some("85070591730234615856620279822.363905023645224190")
        );
    }

    #[test]
    fn prices_below_zero_are_added_up_with_their_sign() {
        let all = merged(&[
            bar_of(1, 1, -1, -37_630_000_000, Volume::from_parts(2, 500_000_000)),
            bar_of(2, 2, 1, 0, Volume::from_parts(100, 0)),
            bar_of(3, 3, 1, 10_000_000_000, Volume::from_parts(1, 0)),
        ]);
        assert_eq!((all.open.nanos(), all.high.nanos()), (-1, 10_000_000_000));
        assert_eq!((all.low.nanos(), all.sum_close), (-37_630_000_000, -27_630_000_000));
        assert_eq!(all.traded.notional().unwrap().to_string(), "-84.075000000000000000");
    }

    #[test]
    fn a_tick_without_a_volume_leaves_the_sums_of_volumes_unknown() {
        let (mut all, without) = (bar(1, 1, 1, 1, 5), bar_of(2, 2, 1, 1, None));
        assert!(all.traded.volume().is_some());
        all.merge(&without);
        all.merge(&bar(3, 3, 1, 1, 5));
        assert_eq!((all.traded.volume(), all.traded.notional(), all.ticks), (None, None, 3));
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
        fn adding_a_tick_is_merging_its_bar(
            bars in some_bars(), at in 0_i64..6, price in 1..=i64::MAX, offset in 0_i64..20, nanos in 0_u32..4,
        ) {
            let price = Price::from_nanos(price).unwrap();
            let prices = Prices { open: price, high: None, low: None, close: price };
            let at = Timestamp::from_micros(at);
            let tick = Tick::new("A", at, prices, Volume::from_parts(7, nanos), crate::TimeBounds::until(at)).unwrap();
            let (mut added, mut combined) = (merged(&bars), merged(&bars));
            added.add(&tick, Place::of_message(0, offset));
            combined.merge(&Bar::of(&tick, Place::of_message(0, offset)));
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
            shuffled.sort_by_key(|bar| (bar.open.nanos().cast_unsigned() ^ seed).wrapping_mul(seed | 1));
            prop_assert_eq!(merged(&shuffled), merged(&bars));
        }
    }
}
