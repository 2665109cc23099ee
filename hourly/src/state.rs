//! What is kept of a computed hour, in a form that goes on being merged: `hour_sums`.
//!
//! Bars are written as fixed fields in little-endian order, sorted by symbol and compressed, so
//! that the same sums are the same bytes. [`VERSION`] is in front, and a hash of all that
//! behind: nothing else tells about a byte that has changed.

use crate::scan::{HourBars, Offsets};
use common::bar::{OrderKey, Traded};
use common::wide_sum::WideSum;
use common::{Bar, Place, Price, Symbol, Timestamp};
use roaring::RoaringTreemap;
use std::io::{self, Read, Write};
use xxhash_rust::xxh3::xxh3_64;

/// Version of the layout and of the meaning of the numbers. Hours with another one are computed
/// from the archive again.
pub const VERSION: u8 = 4;

/// Quick, and a bar's upper bytes are nearly always zeros.
const ZSTD_LEVEL: i32 = 1;

/// The bars and the offsets of an hour as bytes.
///
/// # Errors
/// Never in practice: it writes to memory.
pub fn encode(sum: &HourBars) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut out = zstd::stream::write::Encoder::new(vec![VERSION], ZSTD_LEVEL)?;
    write_bars(&mut out, sum)?;
    Ok((sealed(out.finish()?), encode_offsets(&sum.offsets)?))
}

/// A hash of what an object holds of an hour: with the same hash, an hour's sums would be the same.
///
/// # Errors
/// As [`encode`].
pub fn content_hash(part: &HourBars) -> io::Result<u64> {
    let mut bytes = vec![VERSION];
    write_bars(&mut bytes, part)?;
    part.offsets.write_to(&mut bytes)?;
    part.repeated.write_to(&mut bytes)?;
    Ok(xxh3_64(&bytes))
}

/// A hash of which records an object holds of an hour, whatever they say. `offsets`: theirs, as
/// [`encode_offsets`] gives them.
#[must_use]
pub fn offsets_hash(offsets: &[u8]) -> u64 {
    xxh3_64(offsets)
}

fn write_bars(out: &mut impl Write, sum: &HourBars) -> io::Result<()> {
    let mut bars: Vec<(&str, &Bar)> =
        sum.bars.iter().map(|(symbol, bar)| (symbol.as_str(), bar)).collect();
    bars.sort_unstable_by_key(|(symbol, _)| *symbol);
    for number in [sum.ticks, sum.duplicates, bars.len() as u64] {
        out.write_all(&number.to_le_bytes())?;
    }
    for (symbol, bar) in bars {
        // A symbol has at most 64 bytes.
        out.write_all(&[symbol.len() as u8])?;
        out.write_all(symbol.as_bytes())?;
        write_bar(out, bar)?;
    }
    Ok(())
}

/// Offsets alone as bytes.
///
/// # Errors
/// As [`encode`].
pub fn encode_offsets(offsets: &Offsets) -> io::Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    offsets.write_to(&mut bytes)?;
    Ok(sealed(bytes))
}

/// The offsets of messages of one partition as bytes.
///
/// # Errors
/// As [`encode`].
pub fn encode_messages(messages: &mut RoaringTreemap) -> io::Result<Vec<u8>> {
    // Bitmaps of neighbouring offsets become runs of a few bytes.
    messages.optimize();
    let mut bytes = vec![VERSION];
    messages.serialize_into(&mut bytes)?;
    Ok(sealed(bytes))
}

/// The hash of some bytes, which follows them.
type Seal = [u8; 8];

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let seal: Seal = xxh3_64(&bytes).to_le_bytes();
    bytes.extend(seal);
    bytes
}

/// Reads the bytes of [`encode`].
///
/// # Errors
/// Where they are of another version, something else, or no longer what they were.
pub fn decode(bars: &[u8], offsets: &[u8]) -> io::Result<HourBars> {
    let mut input = zstd::stream::read::Decoder::new(of_this_version(bars)?)?;
    let mut sum = HourBars {
        ticks: read_u64(&mut input)?,
        duplicates: read_u64(&mut input)?,
        ..HourBars::default()
    };
    for _ in 0..read_u64(&mut input)? {
        let mut length = [0];
        input.read_exact(&mut length)?;
        let mut text = vec![0; length[0].into()];
        input.read_exact(&mut text)?;
        let symbol = str::from_utf8(&text).ok().and_then(Symbol::new).ok_or_else(malformed)?;
        sum.bars.insert(symbol, read_bar(&mut input)?);
    }
    sum.offsets = decode_offsets(offsets)?;
    Ok(sum)
}

/// The offsets alone.
///
/// # Errors
/// As [`decode`].
pub fn decode_offsets(offsets: &[u8]) -> io::Result<Offsets> {
    Offsets::read_from(&mut of_this_version(offsets)?)
}

/// Reads the bytes of [`encode_messages`].
///
/// # Errors
/// As [`decode`].
pub fn decode_messages(messages: &[u8]) -> io::Result<RoaringTreemap> {
    RoaringTreemap::deserialize_from(of_this_version(messages)?)
}

fn of_this_version(bytes: &[u8]) -> io::Result<&[u8]> {
    let (content, seal) =
        bytes.split_last_chunk::<{ size_of::<Seal>() }>().ok_or_else(malformed)?;
    match content.split_first() {
        Some((&VERSION, rest)) if xxh3_64(content).to_le_bytes() == *seal => Ok(rest),
        _ => Err(malformed()),
    }
}

fn write_bar(out: &mut impl Write, bar: &Bar) -> io::Result<()> {
    for price in [bar.open, bar.high, bar.low, bar.close] {
        out.write_all(&price.nanos().to_le_bytes())?;
    }
    let Traded { whole, nanos, notional, notional_attos, is_known } = bar.traded;
    let (high, low) = notional.to_parts();
    for wide in [whole, nanos, bar.sum_close.cast_unsigned(), low, notional_attos.cast_unsigned()] {
        out.write_all(&wide.to_le_bytes())?;
    }
    for number in [high.cast_unsigned(), bar.ticks, is_known.into()] {
        out.write_all(&number.to_le_bytes())?;
    }
    for OrderKey { timestamp, place: Place { partition, offset, index } } in [bar.first, bar.last] {
        out.write_all(&timestamp.micros().to_le_bytes())?;
        out.write_all(&partition.to_le_bytes())?;
        out.write_all(&offset.to_le_bytes())?;
        out.write_all(&index.to_le_bytes())?;
    }
    Ok(())
}

fn read_bar(input: &mut impl Read) -> io::Result<Bar> {
    let [open, high, low, close] =
        [read_price(input)?, read_price(input)?, read_price(input)?, read_price(input)?];
    let [whole, nanos, sum_close] = [read_u128(input)?, read_u128(input)?, read_u128(input)?];
    let [notional_low, notional_attos] = [read_u128(input)?, read_u128(input)?];
    let (sum_close, notional_attos) = (sum_close.cast_signed(), notional_attos.cast_signed());
    let notional = WideSum::from_parts(read_u64(input)?.cast_signed(), notional_low);
    let ticks = read_u64(input)?;
    let traded = Traded { whole, nanos, notional, notional_attos, is_known: read_u64(input)? == 1 };
    let [first, last] = [read_key(input)?, read_key(input)?];
    Ok(Bar { open, high, low, close, ticks, sum_close, traded, first, last })
}

fn read_key(input: &mut impl Read) -> io::Result<OrderKey> {
    let timestamp = Timestamp::from_micros(read_u64(input)?.cast_signed());
    let mut partition = [0; 4];
    input.read_exact(&mut partition)?;
    let offset = read_u64(input)?.cast_signed();
    let mut index = [0; 2];
    input.read_exact(&mut index)?;
    let place = Place {
        partition: i32::from_le_bytes(partition),
        offset,
        index: u16::from_le_bytes(index),
    };
    Ok(OrderKey { timestamp, place })
}

fn read_price(input: &mut impl Read) -> io::Result<Price> {
    Price::from_nanos(read_u64(input)?.cast_signed()).ok_or_else(malformed)
}

fn read_u64(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_u128(input: &mut impl Read) -> io::Result<u128> {
    let mut bytes = [0; 16];
    input.read_exact(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no sums of this version of batch-layer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::tick::Prices;
    use common::{Tick, Volume};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sum_of(ticks: &[(usize, i64, i64, Option<Volume>)]) -> HourBars {
        let mut sum = HourBars::of_topic("stock_prices".into());
        for (number, (symbol, at, nanos, volume)) in ticks.iter().enumerate() {
            let price = Price::from_nanos(*nanos).unwrap();
            let prices = Prices { open: price, high: None, low: None, close: price };
            let at = Timestamp::from_micros(*at);
            let symbol = ["A", "BRK-B", "A-SYMBOL-OF-MORE-THAN-8-BYTES"][*symbol];
            sum.offsets.insert(0, number as u64 * 3);
            sum.add(
                &Tick::new(symbol, at, prices, *volume, common::TimeBounds::only(at)).unwrap(),
                Place { partition: 0, offset: number as i64 * 3, index: number as u16 % 3 },
            );
        }
        sum.offsets.flush();
        sum
    }

    fn some_volume() -> impl Strategy<Value = Option<Volume>> {
        let nanos = prop_oneof![20 => Just(Some(0)), 20 => (0..Volume::ONE).prop_map(Some), 1 => Just(None)];
        (0..=i64::MAX, nanos).prop_map(|(whole, nanos)| Volume::from_parts(whole, nanos?))
    }

    fn bars(sum: &HourBars) -> BTreeMap<String, Bar> {
        sum.bars.iter().map(|(symbol, bar)| (symbol.as_str().to_owned(), *bar)).collect()
    }

    proptest! {
        #[test]
        fn sums_that_were_kept_come_back_to_the_last_digit(
            ticks in proptest::collection::vec((0_usize..3, 0_i64..1000, -i64::MAX..=i64::MAX, some_volume()), 0..60),
        ) {
            let sum = sum_of(&ticks);
            let (kept, offsets) = encode(&sum).unwrap();
            let back = decode(&kept, &offsets).unwrap();
            prop_assert_eq!(bars(&back), bars(&sum));
            prop_assert_eq!((back.ticks, back.offsets.len()), (sum.ticks, sum.offsets.len()));
            prop_assert!(back.offsets.is_superset(&sum.offsets));
        }
    }

    #[test]
    fn a_bit_that_has_changed_is_found_wherever_it_is() {
        let (kept, offsets) = encode(&sum_of(&[(0, 1, 1, None), (1, 5, 7, None)])).unwrap();
        let spoilt = |bytes: &[u8], bit: usize| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        assert!(decode(&kept, &offsets).is_ok());
        assert!((0..kept.len() * 8).all(|bit| decode(&spoilt(&kept, bit), &offsets).is_err()));
        assert!((0..offsets.len() * 8).all(|bit| decode(&kept, &spoilt(&offsets, bit)).is_err()));
    }

    #[test]
    fn what_another_version_has_kept_is_an_error_and_no_sum() {
        let (mut kept, offsets) = encode(&sum_of(&[(0, 1, 1, None)])).unwrap();
        kept[0] += 1;
        assert!(decode(&kept, &offsets).is_err());
        assert!(decode(&[], &offsets).is_err());
        assert!(decode(&encode(&HourBars::default()).unwrap().0, &[]).is_err());
    }
}
