//! [`StoredSums`]: what `hour_sums` has of an hour of which objects have expired, next to what
//! everything else says of it.
//!
//! The values of ticks that only expired objects had cannot be compared one by one any more. What
//! is left of them are sums by symbol, and those are.

use crate::symbols::NamedSymbols;
use crate::tables::{self, ComputedCounts, Derived};
use common::bar::Traded;
use common::{Bar, SymbolMap};
use hourly::checksum::{carried_nanos, is_exact_price};
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::scan::Offsets;
use service::Failure;
use std::collections::BTreeMap;

/// Below it, floats tell all fractions of volumes apart.
const EXACT_VOLUME: u128 = 1 << 23;

/// How far sums may lie apart whose parts a 64-bit float has rounded, as a part of their size.
const ROUNDED: f64 = 1e-15;

/// The kept sums of an hour of which objects have expired.
#[derive(Debug, Default)]
pub struct StoredSums {
    /// Ticks in the sums; `None` where those are of another version of batch-layer.
    pub ticks: Option<u64>,
    /// Ticks without an offset.
    pub without_offsets: u64,
    /// The index tells about which objects those are.
    pub is_attributed: bool,
    /// Symbols of which `hourly_stock_summary` says something else.
    pub summary: NamedSymbols,
    /// Symbols of which the speed layer has as many ticks, and other sums.
    pub other_values: NamedSymbols,
    /// Symbols of which it has more or fewer ticks.
    pub other_counts: NamedSymbols,
}

impl StoredSums {
    /// Also gives the places of the ticks. `realtime`: what the bars of all ticks of
    /// `realtime_stock` are; `None` where retention has dropped those, or there are too many of
    /// them: then `hour_bars` is asked.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read(
        db: &mut BatchDb,
        hour: Hour,
        computed: &ComputedCounts,
        realtime: Option<&SymbolMap<Bar>>,
    ) -> Result<(Self, Offsets), Failure> {
        let Some(sum) = db.computed(hour).await?.and_then(|known| known.sum) else {
            return Ok((Self::default(), Offsets::default()));
        };
        let without_offsets = sum.ticks_without_offsets();
        let is_attributed = db.summed_without_offsets(hour).await? == without_offsets;
        let mut kept =
            Self { ticks: Some(sum.ticks), without_offsets, is_attributed, ..Self::default() };
        kept.summary = tables::find_differing(db, hour, Derived::Summary, &sum.bars).await?;
        // Without places, the order of ticks of the same time is a guess.
        let is_ordered = without_offsets == 0;
        match realtime {
            Some(realtime) => kept.compare(&sum.bars, realtime, is_ordered),
            None if computed.hour_bar_ticks == sum.ticks => {
                kept.other_values =
                    tables::find_differing(db, hour, Derived::Archived { is_ordered }, &sum.bars)
                        .await?;
            }
            None => {}
        }
        Ok((kept, sum.offsets))
    }

    fn compare(&mut self, sums: &SymbolMap<Bar>, realtime: &SymbolMap<Bar>, is_ordered: bool) {
        let mut symbols: BTreeMap<&str, [Option<&Bar>; 2]> = BTreeMap::new();
        for (side, bars) in [sums, realtime].into_iter().enumerate() {
            bars.iter().for_each(|(symbol, bar)| {
                symbols.entry(symbol.as_str()).or_default()[side] = Some(bar)
            });
        }
        for (symbol, bars) in symbols {
            match bars {
                [Some(sum), Some(other)] if sum.ticks == other.ticks => {
                    if !are_alike(sum, other, is_ordered) {
                        self.other_values.add(symbol);
                    }
                }
                _ => self.other_counts.add(symbol),
            }
        }
    }
}

/// Whether two bars of as many ticks say the same, but for what a 64-bit float has rounded on the
/// archive's way.
fn are_alike(one: &Bar, other: &Bar, is_ordered: bool) -> bool {
    let carried = |bar: &Bar| {
        let ends =
            [bar.open, bar.close].map(|price| if is_ordered { carried_nanos(price) } else { 0 });
        (carried_nanos(bar.high), carried_nanos(bar.low), ends)
    };
    if carried(one) != carried(other) || one.traded.is_known != other.traded.is_known {
        return false;
    }
    let has_exact_prices =
        [one, other].into_iter().all(|bar| is_exact_price(bar.high) && is_exact_price(bar.low));
    let has_exact_volumes = [one, other]
        .into_iter()
        .all(|bar| bar.traded.whole < EXACT_VOLUME || bar.traded.nanos == 0);
    let price = [one.high, one.low]
        .map(|price| price.nanos().unsigned_abs())
        .into_iter()
        .max()
        .unwrap_or_default() as f64;
    let is_near = |one: f64, other: f64, size: f64| (one - other).abs() <= size * ROUNDED;
    let closes = if has_exact_prices {
        one.sum_close == other.sum_close
    } else {
        is_near(one.sum_close as f64, other.sum_close as f64, price * one.ticks as f64)
    };
    let traded = match (has_exact_volumes, has_exact_prices) {
        (true, true) => one.traded == other.traded,
        (true, false) => {
            (one.traded.whole, one.traded.nanos) == (other.traded.whole, other.traded.nanos)
        }
        (false, _) => is_near(volume(&one.traded), volume(&other.traded), volume(&one.traded)),
    };
    let notional =
        is_near(notional(&one.traded), notional(&other.traded), price * volume(&one.traded) * 4.0);
    closes && traded && notional
}

fn volume(traded: &Traded) -> f64 {
    traded.whole as f64 + traded.nanos as f64 / 1e9
}

/// In units of 10^-9.
fn notional(traded: &Traded) -> f64 {
    let (high, low) = traded.notional.to_parts();
    high as f64 * 2_f64.powi(128) + low as f64 + traded.notional_attos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::tick::Prices;
    use common::{Place, Price, Tick, TimeBounds, Timestamp, Volume};

    /// A bar of ticks of one symbol: each with its price and volume.
    fn bar(ticks: &[(&str, &str)]) -> Bar {
        let number = |text: &str| common::decimal::parse_nanos(text).unwrap();
        let mut bar = None;
        for (offset, (price, volume)) in ticks.iter().enumerate() {
            let price = Price::from_nanos(i64::try_from(number(price)).unwrap()).unwrap();
            let prices = Prices { open: price, high: None, low: None, close: price };
            let at = Timestamp::from_micros(1_748_869_200_000_000 + offset as i64);
            let volume = Volume::from_nanos(number(volume));
            let tick = Tick::new("A", at, prices, volume, TimeBounds::only(at)).unwrap();
            let place = Place { partition: 0, offset: offset as i64, index: 0 };
            match &mut bar {
                None => bar = Some(Bar::of(&tick, place)),
                Some(bar) => bar.add(&tick, place),
            }
        }
        bar.unwrap()
    }

    #[test]
    fn each_sum_of_a_symbol_counts() {
        let ticks = [("10", "5"), ("12.5", "1000000000"), ("9", "7.25"), ("11", "3")];
        let one = bar(&ticks);
        assert!(are_alike(&one, &bar(&ticks), true));
        for (number, other) in [
            (0, ("10.000000001", "5")),
            (1, ("12.6", "1000000000")),
            (2, ("8", "7.25")),
            (3, ("11.5", "3")),
            (0, ("10", "6")),
            (2, ("9", "8.25")),
        ] {
            let mut ticks = ticks;
            ticks[number] = other;
            assert!(!are_alike(&one, &bar(&ticks), true), "{other:?}");
        }
        // The same prices and volumes, but not the same price for the same volume.
        let swapped = [("10", "5"), ("12.5", "7.25"), ("9", "1000000000"), ("11", "3")];
        assert!(!are_alike(&one, &bar(&swapped), true));
    }

    #[test]
    fn what_floats_round_is_alike_and_no_more_than_that() {
        let one = bar(&[("12345678.123456789", "5"), ("12345679.1", "9000000.123456789")]);
        assert!(are_alike(
            &one,
            &bar(&[("12345678.12345679", "5"), ("12345679.1", "9000000.12345679")]),
            true
        ));
        assert!(!are_alike(
            &one,
            &bar(&[("12345678.1234568", "5"), ("12345679.1", "9000000.12345679")]),
            true
        ));
        assert!(!are_alike(
            &one,
            &bar(&[("12345678.12345679", "6"), ("12345679.1", "9000000.12345679")]),
            true
        ));
    }

    #[test]
    fn without_places_the_order_of_ticks_does_not_count() {
        let (one, other) = (bar(&[("10", "5"), ("11", "5")]), bar(&[("11", "5"), ("10", "5")]));
        assert!(are_alike(&one, &other, false));
        assert!(!are_alike(&one, &other, true));
    }
}
