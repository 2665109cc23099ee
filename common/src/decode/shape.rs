//! The fast path: values that are laid out like an earlier one.
//!
//! A [`Shape`] is a value that the strict path has accepted, with the parts that vary cut out: what stays is compared
//! byte by byte, and what varies is read by the narrowest grammar that covers nearly all values. So a value that fits
//! is JSON of the same structure, and the strict path would read the same; one that does not fit is passed on.

use super::{MAX_VALUE_BYTES, Provenance, ProvenanceNames, Record, learn};
use crate::tick::{MAX_SYMBOL_BYTES, Prices, symbol_len};
use crate::timestamp::MinuteCache;
use crate::{Price, Tick, Timestamp};

/// Shapes kept: a topic has few, and an archive whose sink orders fields by hash has one an object.
const KEPT: usize = 8;

/// The shapes that the last values had.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// Tried in this order; the one that fits comes to the front.
    shapes: Vec<Shape>,
    minutes: MinuteCache,
}

impl Shapes {
    /// The tick in `value`, if it has one of the known shapes and is valid.
    #[inline]
    pub fn decode<'a>(&mut self, value: &'a [u8], latest: Timestamp) -> Option<Record<'a>> {
        for at in 0..self.shapes.len() {
            if let Some(record) = self.shapes[at].decode(value, latest, &mut self.minutes) {
                if at > 0 {
                    self.shapes.swap(0, at);
                }
                return Some(record);
            }
        }
        None
    }

    /// Remembers how `value`, which the strict path has accepted, is laid out.
    pub fn learn(&mut self, value: &[u8], names: &ProvenanceNames) {
        let Some(shape) = learn::shape(value, names).filter(|shape| !self.shapes.contains(shape)) else {
            return;
        };
        self.shapes.truncate(KEPT - 1);
        self.shapes.insert(0, shape);
    }
}

/// The layout of a value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub steps: Vec<Step>,
    /// What follows the last varying part.
    pub tail: Box<[u8]>,
}

/// Fixed bytes, and the varying part behind them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub literal: Box<[u8]>,
    pub part: Part,
}

/// A part that varies. Texts are read without their quotes, which belong to the literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Symbol,
    TimestampText,
    TimestampMillis,
    Open,
    High,
    Low,
    Close,
    Volume,
    Partition,
    Offset,
    /// A number that is none of ours.
    OtherNumber,
    /// A text that is none of ours.
    OtherText,
}

/// What has been read so far.
#[derive(Default)]
struct Read<'a> {
    symbol: &'a str,
    timestamp: i64,
    open: i64,
    high: Option<i64>,
    low: Option<i64>,
    close: i64,
    volume: i64,
    partition: Option<i64>,
    offset: Option<i64>,
}

impl Shape {
    fn decode<'a>(&self, value: &'a [u8], latest: Timestamp, minutes: &mut MinuteCache) -> Option<Record<'a>> {
        if value.len() >= MAX_VALUE_BYTES {
            return None;
        }
        let mut read = Read::default();
        let mut rest = value;
        for step in &self.steps {
            rest = strip(rest, &step.literal)?;
            rest = read.part(step.part, rest, minutes)?;
        }
        if rest != &*self.tail {
            return None;
        }
        read.record(latest)
    }
}

/// What follows `literal`. Literals are short, so comparing words in place beats a call of memcmp.
#[inline]
fn strip<'a>(rest: &'a [u8], literal: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(literal.len())?;
    let (head_words, head_end) = head.as_chunks::<8>();
    let (literal_words, literal_end) = literal.as_chunks::<8>();
    let words_differ =
        head_words.iter().zip(literal_words).any(|(a, b)| u64::from_ne_bytes(*a) != u64::from_ne_bytes(*b));
    let ends_differ = head_end.iter().zip(literal_end).any(|(a, b)| a != b);
    (!words_differ && !ends_differ).then_some(tail)
}

impl<'a> Read<'a> {
    /// Reads one part and gives what follows it.
    #[inline]
    fn part(&mut self, part: Part, rest: &'a [u8], minutes: &mut MinuteCache) -> Option<&'a [u8]> {
        let number;
        match part {
            Part::Symbol => return self.symbol(rest),
            Part::TimestampText => {
                let (timestamp, rest) = minutes.parse(rest)?;
                self.timestamp = timestamp.micros();
                return Some(rest);
            }
            Part::OtherText => return Some(&rest[other_text_len(rest)..]),
            Part::OtherNumber => return decimal(rest, 0).map(|(_, rest)| rest),
            Part::Open => (self.open, number) = decimal(rest, Price::SCALE as usize)?,
            Part::Close => (self.close, number) = decimal(rest, Price::SCALE as usize)?,
            Part::High => {
                let (high, after) = decimal(rest, Price::SCALE as usize)?;
                (self.high, number) = (Some(high), after);
            }
            Part::Low => {
                let (low, after) = decimal(rest, Price::SCALE as usize)?;
                (self.low, number) = (Some(low), after);
            }
            Part::TimestampMillis => {
                let (millis, after) = integer(rest)?;
                (self.timestamp, number) = (millis.checked_mul(1000)?, after);
            }
            Part::Volume => (self.volume, number) = integer(rest)?,
            Part::Partition => {
                let (partition, after) = integer(rest)?;
                (self.partition, number) = (Some(partition), after);
            }
            Part::Offset => {
                let (offset, after) = integer(rest)?;
                (self.offset, number) = (Some(offset), after);
            }
        }
        Some(number)
    }

    #[inline]
    fn symbol(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let len = symbol_len(&rest[..rest.len().min(MAX_SYMBOL_BYTES + 1)]);
        if len == 0 || len > MAX_SYMBOL_BYTES {
            return None;
        }
        let (symbol, rest) = rest.split_at(len);
        self.symbol = str::from_utf8(symbol).ok()?;
        Some(rest)
    }

    #[inline]
    fn record(&self, latest: Timestamp) -> Option<Record<'a>> {
        let prices = Prices {
            open: Price::from_nanos(self.open)?,
            high: optional_price(self.high)?,
            low: optional_price(self.low)?,
            close: Price::from_nanos(self.close)?,
        };
        let timestamp = Timestamp::from_micros(self.timestamp);
        let tick = Tick::of_symbol(self.symbol, timestamp, prices, self.volume, latest).ok()?;
        let provenance = match (self.partition, self.offset) {
            (Some(partition), Some(offset)) => Some(Provenance { partition: i32::try_from(partition).ok()?, offset }),
            _ => None,
        };
        Some(Record { tick, provenance })
    }
}

/// `None` where there is a price that is none.
fn optional_price(nanos: Option<i64>) -> Option<Option<Price>> {
    match nanos {
        None => Some(None),
        Some(nanos) => Price::from_nanos(nanos).map(Some),
    }
}

/// The length of the printable ASCII text without escapes that `rest` begins with.
fn other_text_len(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')).count()
}

/// A plain integer of up to 18 digits, and what follows it.
#[inline]
fn integer(rest: &[u8]) -> Option<(i64, &[u8])> {
    let (value, digits) = digits(rest);
    let is_json = digits == 1 || (digits > 1 && rest[0] != b'0');
    // A fraction or an exponent would be part of the number.
    let is_whole = !matches!(rest.get(digits), Some(b'.' | b'e' | b'E'));
    (is_json && digits <= 18 && is_whole).then(|| (value, &rest[digits..]))
}

/// A plain decimal in units of 10^-`scale`, with at most `scale` digits behind the point (any number where `scale` is
/// 0, whose value is of no interest) and 18 in all; and what follows it.
#[inline]
fn decimal(rest: &[u8], scale: usize) -> Option<(i64, &[u8])> {
    const POWERS: [i64; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
    let (whole, whole_digits) = digits(rest);
    let is_json = whole_digits == 1 || (whole_digits > 1 && rest[0] != b'0');
    if !is_json || whole_digits > 18 {
        return None;
    }
    let after = &rest[whole_digits..];
    let (fraction, fraction_digits, after) = match after.first() {
        Some(b'.') => {
            let (fraction, fraction_digits) = digits(&after[1..]);
            (fraction, fraction_digits, &after[1 + fraction_digits..])
        }
        _ => (0, usize::MAX, after),
    };
    if fraction_digits == 0 || matches!(after.first(), Some(b'e' | b'E')) {
        return None;
    }
    let fraction_digits = if fraction_digits == usize::MAX { 0 } else { fraction_digits };
    if scale == 0 {
        return (fraction_digits <= 18).then_some((0, after));
    }
    let unit = POWERS.get(scale.checked_sub(fraction_digits)?)?;
    let value = whole.checked_mul(POWERS[scale])?.checked_add(fraction * unit)?;
    Some((value, after))
}

/// The value and count of the digits that `rest` begins with; the value is right for up to 18 of them.
#[inline]
fn digits(rest: &[u8]) -> (i64, usize) {
    let mut value: i64 = 0;
    let mut count = 0;
    while let Some(digit) = rest.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        count += 1;
    }
    (value, count)
}
