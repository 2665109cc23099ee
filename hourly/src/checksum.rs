//! [`Checksum`]: tells whether two collections hold the same ticks, in whatever order they come.

use common::decode::DecodedTick;
use common::tick::Prices;
use common::{Extras, Price, Tick, TimeBounds, Timestamp, Volume};
use std::fmt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Below it, 64-bit floats lie closer together than 10^-9, and tell all prices and volumes apart.
const EXACT_IN_FLOAT: u64 = 1 << 23;

/// The content of a tick, from either side. A price is `None` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickContent<'a> {
    pub symbol: &'a str,
    pub timestamp: Timestamp,
    pub open: Option<Price>,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub close: Option<Price>,
    pub volume: Option<Volume>,
    /// No checksum is over it.
    pub extras: Extras<'a>,
}

/// The sum of the hashes of ticks, modulo 2^64: it does not depend on their order, and parts add
/// up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    /// Over prices and volumes to the last digit.
    pub exact: u64,
    /// Over prices and fractions of volumes as 64-bit floats tell them apart, because the archive's
    /// went through Connect's converter. It differs from `exact` only from 8,388,608 on, where
    /// floats are coarser than 10^-9.
    pub as_floats: u64,
}

impl<'a> TickContent<'a> {
    #[must_use]
    pub fn of(record: &DecodedTick<'a>) -> Self {
        let DecodedTick { tick, .. } = record;
        let prices = Tick::prices(tick);
        Self {
            symbol: tick.symbol().as_str(),
            timestamp: tick.timestamp(),
            open: Some(prices.open),
            high: prices.high,
            low: prices.low,
            close: Some(prices.close),
            volume: tick.volume(),
            extras: *tick.extras(),
        }
    }

    /// The tick itself, for being summed up; `None` for what no decoder would have let pass.
    #[must_use]
    pub fn tick(&self) -> Option<Tick<'a>> {
        Tick::new(
            self.symbol,
            self.timestamp,
            self.prices_of_tick()?,
            self.volume,
            TimeBounds::only(self.timestamp),
        )
        .ok()
    }

    /// `None` for those of no tick.
    #[must_use]
    pub(crate) fn prices_of_tick(&self) -> Option<Prices> {
        Some(Prices { open: self.open?, high: self.high, low: self.low, close: self.close? })
    }

    fn prices(&self) -> [Option<Price>; 4] {
        [self.open, self.high, self.low, self.close]
    }
}

/// `AAPL 2025-06-02T10:00:45Z open 201.5 close 201.25 volume 7`
impl fmt::Display for TickContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.timestamp)?;
        for (name, price) in ["open", "high", "low", "close"].into_iter().zip(self.prices()) {
            if let Some(price) = price {
                write!(f, " {name} {price}")?;
            }
        }
        self.volume.map_or(Ok(()), |volume| write!(f, " volume {volume}"))
    }
}

#[cfg(test)]
impl TickContent<'static> {
    /// A tick for tests that look at places and prices alone.
    pub(crate) fn with_close(nanos: i64) -> Self {
        Self {
            symbol: "A",
            timestamp: Timestamp::from_micros(5),
            open: Price::from_nanos(1),
            high: None,
            low: None,
            close: Price::from_nanos(nanos),
            volume: Volume::from_parts(1, 0),
            extras: Extras::default(),
        }
    }
}

impl Checksum {
    /// The checksum of one tick. `offset`: its place in its partition, where that is known; the
    /// same tick at another place is then another one.
    #[must_use]
    pub fn of(content: &TickContent<'_>, offset: Option<u64>) -> Self {
        let exact = hash(content, offset, nanos, parts);
        let is_exact = content.prices().into_iter().flatten().all(is_exact_price)
            && content.volume.is_none_or(is_exact_volume);
        let as_floats =
            if is_exact { exact } else { hash(content, offset, carried_nanos, carried_parts) };
        Self { exact, as_floats }
    }

    pub fn add(&mut self, other: Self) {
        self.exact = self.exact.wrapping_add(other.exact);
        self.as_floats = self.as_floats.wrapping_add(other.as_floats);
    }
}

fn hash(
    content: &TickContent<'_>,
    offset: Option<u64>,
    price_of: fn(Price) -> u64,
    volume_of: fn(Volume) -> (u64, u32),
) -> u64 {
    // The longest symbol has 64 bytes, the numbers have 52.
    let mut bytes = [0; 116];
    let mut length = 0;
    let mut put = |part: &[u8]| {
        let part = &part[..part.len().min(bytes.len() - length)];
        bytes[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    };
    put(&content.timestamp.micros().to_le_bytes());
    // No fraction has all bits set.
    let (whole, part) = content.volume.map_or((0, u32::MAX), volume_of);
    put(&whole.to_le_bytes());
    put(&part.to_le_bytes());
    for price in content.prices() {
        // No price is this.
        put(&price.map_or(i64::MIN.cast_unsigned(), price_of).to_le_bytes());
    }
    put(content.symbol.as_bytes());
    let hash = xxh3_64(&bytes[..length]);
    match offset {
        Some(offset) => xxh3_64_with_seed(&hash.to_le_bytes(), offset),
        None => hash,
    }
}

fn nanos(price: Price) -> u64 {
    price.nanos().cast_unsigned()
}

fn parts(volume: Volume) -> (u64, u32) {
    (volume.whole(), volume.nanos())
}

/// Whether a float tells it from all others.
pub fn is_exact_price(price: Price) -> bool {
    price.nanos().unsigned_abs() < EXACT_IN_FLOAT * Price::ONE
}

/// Connect passes integers as they are, and everything else as a float.
fn is_exact_volume(volume: Volume) -> bool {
    volume.nanos() == 0 || volume.whole() < EXACT_IN_FLOAT
}

/// What becomes of a price on the way through Connect. It must be the number itself, and not the
/// float's bits: what it has become may be one that is exact.
pub fn carried_nanos(price: Price) -> u64 {
    if is_exact_price(price) {
        return nanos(price);
    }
    let carried = through_float(&price.to_string())
        .and_then(|nanos| Price::from_nanos(i64::try_from(nanos).ok()?));
    nanos(carried.unwrap_or(price))
}

/// The parts of a volume, as those of a price.
fn carried_parts(volume: Volume) -> (u64, u32) {
    if is_exact_volume(volume) {
        return parts(volume);
    }
    let carried = through_float(&volume.to_string()).and_then(Volume::from_nanos);
    parts(carried.unwrap_or(volume))
}

/// The decimal, in units of 10^-9, that stands for the float nearest to `number`.
fn through_float(number: &str) -> Option<i128> {
    let float: f64 = number.parse().ok()?;
    common::decimal::parse_nanos(&float.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> Option<Price> {
        let nanos = common::decimal::parse(text, 9, common::decimal::Rounding::HalfEven).unwrap();
        Price::from_nanos(nanos)
    }

    fn content(close: &str) -> TickContent<'static> {
        let timestamp = Timestamp::from_micros(1_000_000);
        let open = price("1.5");
        TickContent {
            symbol: "AAPL",
            timestamp,
            open,
            high: None,
            low: None,
            close: price(close),
            volume: Volume::from_parts(7, 0),
            extras: Extras::default(),
        }
    }

    #[test]
    fn every_field_counts() {
        let tick = content("201.5");
        let others = [
            TickContent { symbol: "AAPM", ..tick },
            TickContent {
                symbol: "A-SYMBOL-OF-SIXTY-FOUR-BYTES-WHOSE-LAST-BYTES-COUNT-AS-WELL-AS-A",
                ..tick
            },
            TickContent {
                symbol: "A-SYMBOL-OF-SIXTY-FOUR-BYTES-WHOSE-LAST-BYTES-COUNT-AS-WELL-AS-B",
                ..tick
            },
            TickContent { timestamp: tick.timestamp.plus_micros(1), ..tick },
            TickContent { open: price("1.500000001"), ..tick },
            TickContent { high: price("201.5"), ..tick },
            TickContent { low: price("1.5"), ..tick },
            TickContent { low: price("0"), ..tick },
            TickContent { low: price("-1.5"), ..tick },
            TickContent { close: price("201.500000001"), ..tick },
            TickContent { volume: Volume::from_parts(8, 0), ..tick },
            TickContent { volume: Volume::from_parts(7, 1), ..tick },
            TickContent { volume: None, ..tick },
            TickContent { volume: Volume::from_parts(0, 0), ..tick },
        ];
        let sum = Checksum::of(&tick, Some(3));
        let long = others.map(|other| Checksum::of(&other, Some(3)).exact);
        assert_ne!(long[1], long[2], "the whole symbol counts");
        for other in others {
            let differing = Checksum::of(&other, Some(3));
            assert_ne!(
                (differing.exact, differing.as_floats),
                (sum.exact, sum.as_floats),
                "{other:?}"
            );
            assert_ne!(differing.as_floats, sum.as_floats, "{other:?}");
        }
        assert_ne!(Checksum::of(&tick, Some(4)), sum, "the place counts too");
    }

    #[test]
    fn prices_beyond_a_floats_precision_count_as_equal_in_one_of_the_sums() {
        let (original, archived) = (content("12345678.123456789"), content("12345678.12345679"));
        assert_eq!("12345678.123456789".parse::<f64>(), "12345678.12345679".parse::<f64>());
        let (a, b) = (Checksum::of(&original, None), Checksum::of(&archived, None));
        assert_eq!(a.as_floats, b.as_floats);
        assert_ne!(a.exact, b.exact);
        assert_ne!(Checksum::of(&content("12345678.12346"), None).as_floats, a.as_floats);
    }

    #[test]
    fn a_volume_of_which_a_float_keeps_the_whole_part_alone_is_equal_beside_any_price() {
        let volume = |nanos| Volume::from_parts(4_503_599_627_370_496, nanos);
        for close in ["201.5", "12345678.123456789"] {
            let sum = |nanos| {
                Checksum::of(&TickContent { volume: volume(nanos), ..content(close) }, None)
            };
            assert_eq!(sum(1).as_floats, sum(0).as_floats, "{close}");
            assert_ne!(sum(1).exact, sum(0).exact, "{close}");
        }
    }

    proptest! {
        #[test]
        fn what_a_float_has_carried_is_equal_to_the_original(nanos in -i64::MAX..=i64::MAX) {
            let original = Price::from_nanos(nanos).unwrap();
            // The shortest text of the float is what Java writes.
            let carried = price(&format!("{}", original.to_string().parse::<f64>().unwrap()));
            let sums = [Some(original), carried].map(|close| Checksum::of(&TickContent { close, ..content("1") }, None));
            prop_assert_eq!(sums[0].as_floats, sums[1].as_floats);
            prop_assert_eq!(sums[0].exact == sums[1].exact, carried == Some(original));
        }

        /// The one may be beyond the edge, and the other not.
        #[test]
        fn so_it_is_at_the_edge_of_what_floats_tell_apart(offset in -40_i64..40) {
            let original = Price::from_nanos((EXACT_IN_FLOAT * Price::ONE).cast_signed() + offset).unwrap();
            let carried = price(&original.to_string().parse::<f64>().unwrap().to_string());
            let sums = [Some(original), carried].map(|close| Checksum::of(&TickContent { close, ..content("1") }, None));
            prop_assert_eq!(sums[0].as_floats, sums[1].as_floats);
        }

        #[test]
        fn so_is_a_volume_that_a_float_has_carried_beside_such_a_price(
            whole in 0..=i64::MAX, shift in 0_u32..63, nanos in 0..Volume::ONE, close in -1_i64 << 62..1 << 62,
        ) {
            let original = Volume::from_parts(whole >> shift, nanos).unwrap();
            // An integer passes as it is.
            prop_assume!(nanos > 0 && original.to_string().parse::<f64>().unwrap() < 9e18);
            let text = format!("{}", original.to_string().parse::<f64>().unwrap());
            let carried = Volume::from_nanos(common::decimal::parse_nanos(&text).unwrap());
            let close = Price::from_nanos(close).unwrap();
            let carried_close = price(&close.to_string().parse::<f64>().unwrap().to_string());
            let sum = |close, volume| Checksum::of(&TickContent { close, volume, ..content("1") }, None);
            let [sent, archived] = [sum(Some(close), Some(original)), sum(carried_close, carried)];
            prop_assert_eq!(sent.as_floats, archived.as_floats, "{} {}", close, original);
            let is_same = carried == Some(original) && carried_close == Some(close);
            prop_assert_eq!(sent.exact == archived.exact, is_same);
        }

        #[test]
        fn the_order_of_ticks_does_not_matter(volumes in proptest::collection::vec(0_i64..9, 1..20)) {
            let sum = |volumes: &mut dyn Iterator<Item = &i64>| {
                let mut sum = Checksum::default();
                volumes.for_each(|volume| {
                    let volume = Volume::from_parts(*volume, 0);
                    sum.add(Checksum::of(&TickContent { volume, ..content("1") }, None));
                });
                sum
            };
            prop_assert_eq!(sum(&mut volumes.iter()), sum(&mut volumes.iter().rev()));
        }
    }
}
