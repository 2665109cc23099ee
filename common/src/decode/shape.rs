//! The fast path: values that are laid out like an earlier one.
//!
//! A [`Shape`] is a value that the strict path has accepted, with the parts that vary cut out: what
//! stays is compared byte by byte, and what varies is read by the narrowest grammar that covers
//! nearly all values. So a value that fits is JSON of the same structure, and the strict path would
//! read the same; one that does not fit is passed on.

use super::json::MAX_VALUE_BYTES;
use super::minutes::MinuteCache;
use super::record::{DecodedTick, Given, Provenance};
use super::text::{Literal, MAX_DIGITS, POWERS, Text};
use super::values::{is_plain_upper_case, is_surely_a_symbol};
use crate::decimal::parse_nanos;
use crate::tick::Prices;
use crate::timestamp::{EpochUnit, TimeRules};
use crate::{Codes, Extras, Price, Symbol, Tick, Timestamp, Volume};

/// Maximum number of remembered shapes. A topic has few; sinks that order fields by hash produce
/// one per object.
const MAX_SHAPES: usize = 8;

/// The shapes that the last values had.
#[derive(Debug)]
pub(super) struct Shapes {
    /// Tried in this order.
    shapes: Vec<Shape>,
    /// The one that the last value had; where it has the next one too, it comes to the front.
    last: usize,
    /// Whether the value that was read last has a known shape, and still is for the strict path:
    /// there is nothing to learn.
    pub(super) has_fitted: bool,
    minutes: MinuteCache,
}

impl Shapes {
    pub fn new(times: &TimeRules) -> Self {
        Self {
            shapes: Vec::new(),
            last: 0,
            has_fitted: false,
            minutes: MinuteCache::new(times.clone()),
        }
    }

    /// The tick in `value`, if it has one of the known shapes and is valid.
    #[inline(always)]
    pub fn decode<'a>(&mut self, value: &'a [u8], given: &Given<'a>) -> Option<DecodedTick<'a>> {
        self.find(value, given, |_, end| end == value.len()).map(|(record, _)| record)
    }

    /// The tick in the line that `lines` begin with, under the same conditions, and the length of
    /// the line.
    #[inline(always)]
    pub fn decode_line<'a>(
        &mut self,
        lines: &'a [u8],
        given: &Given<'a>,
    ) -> Option<(DecodedTick<'a>, usize)> {
        self.find(lines, given, |shape, end| shape.is_one_line && lines.get(end) == Some(&b'\n'))
    }

    /// The first shape that `text` begins with and that `fits` with the place where it ends.
    #[inline(always)]
    fn find<'a>(
        &mut self,
        text: &'a [u8],
        given: &Given<'a>,
        fits: impl Fn(&Shape, usize) -> bool,
    ) -> Option<(DecodedTick<'a>, usize)> {
        let text = Text::new(text)?;
        let mut has_fitted = false;
        for at in 0..self.shapes.len() {
            let shape = &self.shapes[at];
            let Some((read, end)) =
                shape.read(text, &mut self.minutes).filter(|(_, end)| fits(shape, *end))
            else {
                continue;
            };
            if let Some(record) = read.record(given) {
                if at > 0 && self.last == at {
                    self.shapes.swap(0, at);
                }
                self.last = at;
                return Some((record, end));
            }
            has_fitted = true;
        }
        self.has_fitted = has_fitted;
        None
    }

    /// Remembers how the value that was tried last, which the strict path has accepted, is laid
    /// out.
    pub fn learn(&mut self, layout: impl FnOnce() -> Option<Shape>) {
        if self.has_fitted {
            return;
        }
        let Some(shape) = layout().filter(|shape| !self.shapes.contains(shape)) else {
            return;
        };
        self.shapes.truncate(MAX_SHAPES - 1);
        self.shapes.insert(0, shape);
        self.last = 0;
    }
}

/// The layout of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    steps: Vec<Step>,
    /// The text after the last varying part.
    tail: Literal,
    /// Whether no literal has a newline; what varies never has one.
    is_one_line: bool,
}

/// How a value is laid out that is a tick. Another value is one with the same meaning where it
/// differs in the varying parts alone, and each of those is a plain one of its kind: a number
/// without a sign or exponent, a text without escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Fixed texts, each followed by the part that varies.
    pub steps: Vec<(String, Part)>,
    /// The text after the last of them.
    pub tail: String,
}

/// Fixed bytes, and the varying part after them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub literal: Literal,
    pub part: Part,
}

/// A part that varies. Texts, and numbers written as text, are read without their quotes, which
/// belong to the literals; conditions with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The traded volume.
    Symbol,
    /// The time, as text.
    TimestampText,
    /// A number since 1970, or of .NET's ticks.
    Epoch(EpochUnit),
    /// Open and close at once.
    Price,
    /// The first price.
    Open,
    /// The highest.
    High,
    /// The lowest.
    Low,
    /// The last.
    Close,
    /// How much was traded.
    Volume,
    /// The best price that a buyer offers.
    Bid,
    /// The best that a seller asks.
    Ask,
    /// The trade's conditions.
    Conditions,
    /// The schema's number.
    Sequence,
    /// The partition that the line came from.
    Partition,
    /// The offset in it.
    Offset,
    /// A number that is none of ours.
    OtherNumber,
    /// A text that is none of ours.
    OtherText,
}

/// The parts that have been read so far.
#[derive(Default)]
struct Read<'a> {
    symbol: Option<Symbol<'a>>,
    timestamp: Option<i64>,
    open: i64,
    high: Option<i64>,
    low: Option<i64>,
    close: i64,
    volume: Option<Volume>,
    extras: Extras<'a>,
    partition: Option<i64>,
    offset: Option<i64>,
}

impl Shape {
    pub fn new(steps: Vec<Step>, tail: Literal) -> Self {
        let has_newline = |literal: &Literal| literal.contains(b'\n');
        let is_one_line =
            !has_newline(&tail) && !steps.iter().any(|step| has_newline(&step.literal));
        Self { steps, tail, is_one_line }
    }

    /// The same as text, for other code than the fast path; `None` where a literal is no text.
    pub fn layout(&self) -> Option<Layout> {
        let text = |literal: &Literal| String::from_utf8(literal.bytes().to_vec()).ok();
        let steps = self.steps.iter().map(|step| Some((text(&step.literal)?, step.part)));
        Some(Layout { steps: steps.collect::<Option<_>>()?, tail: text(&self.tail)? })
    }

    /// Reads the value that `text` begins with, and returns the position after it.
    #[inline(always)]
    fn read<'a>(&self, text: Text<'a>, minutes: &mut MinuteCache) -> Option<(Read<'a>, usize)> {
        let (mut read, mut at) = (Read::default(), 0);
        for step in &self.steps {
            at = text.strip(at, &step.literal)?;
            at = read.part(step.part, text, at, minutes)?;
        }
        let end = text.strip(at, &self.tail)?;
        (end < MAX_VALUE_BYTES).then_some((read, end))
    }
}

impl<'a> Read<'a> {
    /// Reads the part at `at`, and returns the position after it.
    #[inline(always)]
    fn part(
        &mut self,
        part: Part,
        text: Text<'a>,
        at: usize,
        minutes: &mut MinuteCache,
    ) -> Option<usize> {
        let end;
        match part {
            Part::Symbol => {
                let (symbol, after) = read_symbol(text, at)?;
                (self.symbol, end) = (Some(symbol), after);
            }
            Part::TimestampText => {
                let (micros, after) = minutes.parse(text, at)?;
                (self.timestamp, end) = (Some(micros), after);
            }
            Part::Epoch(unit) => {
                let (micros, after) = epoch(text, at, unit)?;
                (self.timestamp, end) = (Some(micros), after);
            }
            Part::Price => {
                (self.open, end) = read_nanos(text, at)?;
                self.close = self.open;
            }
            Part::Open => (self.open, end) = read_nanos(text, at)?,
            Part::Close => (self.close, end) = read_nanos(text, at)?,
            Part::High => {
                let (high, after) = read_nanos(text, at)?;
                (self.high, end) = (Some(high), after);
            }
            Part::Low => {
                let (low, after) = read_nanos(text, at)?;
                (self.low, end) = (Some(low), after);
            }
            Part::Volume => {
                let (volume, after) = read_volume(text, at)?;
                (self.volume, end) = (Some(volume), after);
            }
            Part::Bid | Part::Ask | Part::Conditions | Part::Sequence => {
                end = self.extra(part, text, at)?
            }
            Part::Partition => {
                let (partition, after) = integer(text, at)?;
                (self.partition, end) = (Some(partition), after);
            }
            Part::Offset => {
                let (offset, after) = integer(text, at)?;
                (self.offset, end) = (Some(offset), after);
            }
            Part::OtherNumber => end = other_number(text, at)?,
            Part::OtherText => end = at + other_text_len(text.rest(at)),
        }
        Some(end)
    }

    /// Out of line: most ticks have none.
    fn extra(&mut self, part: Part, text: Text<'a>, at: usize) -> Option<usize> {
        if part == Part::Conditions {
            let (conditions, length) = Codes::at_front(text.rest(at))?;
            self.extras.set_conditions(conditions);
            return Some(at + length);
        }
        let (number, end) =
            if part == Part::Sequence { integer(text, at)? } else { read_nanos(text, at)? };
        match part {
            Part::Bid => self.extras.set_bid(number),
            Part::Ask => self.extras.set_ask(number),
            _ => self.extras.set_sequence(number),
        }
        Some(end)
    }

    #[inline(always)]
    fn record(&self, given: &Given<'a>) -> Option<DecodedTick<'a>> {
        let lowest = given.lowest;
        let prices = Prices {
            open: price(self.open, lowest)?,
            high: match self.high {
                Some(high) => Some(price(high, lowest)?),
                None => None,
            },
            low: match self.low {
                Some(low) => Some(price(low, lowest)?),
                None => None,
            },
            close: price(self.close, lowest)?,
        };
        let timestamp = given.timestamp.or_else(|| self.timestamp.map(Timestamp::from_micros))?;
        let symbol = match given.symbol.or(self.symbol) {
            Some(symbol) => symbol,
            None => in_place(given.key?)?,
        };
        if given.is_upper && !is_plain_upper_case(symbol.as_str()) {
            return None;
        }
        let tick =
            Tick::of_symbol(symbol, timestamp, prices, self.volume, self.extras, given.bounds)?;
        let provenance = match (self.partition, self.offset) {
            (Some(partition), Some(offset)) => {
                Some(Provenance { partition: i32::try_from(partition).ok()?, offset })
            }
            _ => None,
        };
        Some(DecodedTick { tick, provenance })
    }
}

#[inline(always)]
fn price(nanos: i64, lowest: i64) -> Option<Price> {
    if nanos >= lowest { Price::from_nanos(nanos) } else { None }
}

/// A key as the symbol of a value that has none, where nothing else can be meant by it.
fn in_place(key: &[u8]) -> Option<Symbol<'_>> {
    let text = is_surely_a_symbol(key).then(|| str::from_utf8(key).ok())??;
    Symbol::new(text)
}

#[inline(always)]
fn read_symbol(text: Text<'_>, at: usize) -> Option<(Symbol<'_>, usize)> {
    let symbol = Symbol::at_front(text.rest(at))?;
    Some((symbol, at + symbol.as_str().len()))
}

/// The length of the printable ASCII text without escapes that `rest` begins with.
fn other_text_len(rest: &[u8]) -> usize {
    rest.iter()
        .take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
        .count()
}

/// A plain integer of up to 18 digits, and the position after it.
#[inline(always)]
fn integer(text: Text<'_>, at: usize) -> Option<(i64, usize)> {
    let (value, digits) = text.digits(at);
    let end = at + digits;
    // A fraction or an exponent would be part of the number.
    let is_whole = !matches!(text.byte(end), b'.' | b'e' | b'E');
    (is_json_integer(text, at, digits) && is_whole).then_some((value, end))
}

/// A decimal, and the position after it.
#[inline(always)]
fn read_volume(text: Text<'_>, at: usize) -> Option<(Volume, usize)> {
    let Some(Decimal { whole, fraction, fraction_digits, end }) =
        read_decimal(text, at).filter(Decimal::is_of_nanos)
    else {
        let (nanos, end) = read_unusual_nanos(text, at)?;
        return Some((Volume::from_nanos(nanos)?, end));
    };
    let nanos = fraction * POWERS[Price::SCALE as usize - fraction_digits];
    Some((Volume::from_parts(whole, nanos as u32)?, end))
}

/// A plain number since 1970, in microseconds, and the position after it. Whatever `unit` it has,
/// its first 18 digits and those of its fraction are enough to tell.
#[inline(always)]
fn epoch(text: Text<'_>, at: usize, unit: EpochUnit) -> Option<(i64, usize)> {
    let Decimal { whole, fraction, fraction_digits, end } = nanosecond_decimal(text, at)?;
    // These may be dates in digits, with the time of day or without: 20250606, 202506061000.
    let may_be_date = matches!(whole, 19_000_000..22_000_000 | 190_000_000_000..220_000_000_000);
    if may_be_date && unit == EpochUnit::Auto {
        return None;
    }
    // The whole part times this, and as many digits of the fraction.
    let digits = match unit.of(whole) {
        EpochUnit::Auto | EpochUnit::S => 6,
        EpochUnit::Ms => 3,
        EpochUnit::Us => 0,
        EpochUnit::Ns if unit.may_be_dotnet(whole) => return None,
        EpochUnit::Ns => return Some((whole / 1000, end)),
        EpochUnit::DotNet => return Some((EpochUnit::micros_of_dotnet(whole)?, end)),
    };
    let counted = match fraction_digits > digits {
        true => fraction / POWERS[fraction_digits - digits],
        false => fraction * POWERS[digits - fraction_digits],
    };
    Some((whole.checked_mul(POWERS[digits])?.checked_add(counted)?, end))
}

/// A decimal of up to 18 digits in units of 10^-9, and the position after it.
#[inline(always)]
fn read_nanos(text: Text<'_>, at: usize) -> Option<(i64, usize)> {
    if let Some((digits, whole, fraction)) = text.short_decimal(at) {
        let end = at + whole + 1 + fraction;
        if is_json_integer(text, at, whole) && !matches!(text.byte(end), b'e' | b'E') {
            return Some((digits * POWERS[Price::SCALE as usize - fraction], end));
        }
    }
    let Some(Decimal { whole, fraction, fraction_digits, end }) =
        read_decimal(text, at).filter(Decimal::is_of_nanos)
    else {
        let (nanos, end) = read_unusual_nanos(text, at)?;
        return Some((i64::try_from(nanos).ok()?, end));
    };
    let unit = POWERS[Price::SCALE as usize - fraction_digits];
    let nanos = whole.checked_mul(POWERS[Price::SCALE as usize])?.checked_add(fraction * unit)?;
    Some((nanos, end))
}

/// A number as it is written: `whole.fraction`.
struct Decimal {
    whole: i64,
    fraction: i64,
    fraction_digits: usize,
    /// The position after it.
    end: usize,
}

impl Decimal {
    /// Whether no digit can be below 10^-9.
    #[inline(always)]
    fn is_of_nanos(&self) -> bool {
        self.fraction_digits <= Price::SCALE as usize
    }
}

/// A plain decimal of up to 18 digits on either side of the point.
#[inline(always)]
fn read_decimal(text: Text<'_>, at: usize) -> Option<Decimal> {
    let (whole, digits) = text.digits(at);
    if is_json_integer(text, at, digits) { decimal_of(text, at, whole, digits) } else { None }
}

/// Like [`read_decimal`], with up to 19 digits before the point where they fit: a number of
/// nanoseconds is so long.
#[inline(always)]
fn nanosecond_decimal(text: Text<'_>, at: usize) -> Option<Decimal> {
    let (whole, digits) = text.digits(at);
    let is_nanoseconds = digits == MAX_DIGITS + 1 && matches!(text.byte(at), b'1'..=b'8');
    let is_plain = is_nanoseconds || is_json_integer(text, at, digits);
    let decimal = if is_plain { decimal_of(text, at, whole, digits) } else { None };
    decimal.or_else(|| Unusual::read(text, at)?.decimal())
}

/// The position after a number that the fast path does not read.
#[inline(always)]
fn other_number(text: Text<'_>, at: usize) -> Option<usize> {
    match read_decimal(text, at) {
        Some(decimal) => Some(decimal.end),
        None => Unusual::read(text, at).map(|unusual| unusual.end),
    }
}

/// A number of up to 18 digits with a sign or an exponent, as Java writes those below 10^-3 and
/// from 10^7 on: `digits` * 10^`exponent`.
struct Unusual {
    digits: i64,
    exponent: i64,
    /// The position after it.
    end: usize,
}

impl Unusual {
    #[cold]
    fn read(text: Text<'_>, at: usize) -> Option<Self> {
        let is_negative = text.byte(at) == b'-';
        let at = at + usize::from(is_negative);
        let (whole, whole_digits) = text.digits(at);
        if !is_json_integer(text, at, whole_digits) {
            return None;
        }
        let mut end = at + whole_digits;
        let (mut fraction, mut fraction_digits) = (0, 0);
        if text.byte(end) == b'.' {
            (fraction, fraction_digits) = text.digits(end + 1);
            if fraction_digits == 0 || whole_digits + fraction_digits > MAX_DIGITS {
                return None;
            }
            end += 1 + fraction_digits;
        }
        let (power, end) = exponent(text, end)?;
        let digits = whole * POWERS[fraction_digits] + fraction;
        let digits = if is_negative { -digits } else { digits };
        Some(Self { digits, exponent: power - fraction_digits as i64, end })
    }

    /// The value in units of 10^-9; `None` where that is no whole number, or beyond all that are
    /// asked for.
    fn nanos(&self) -> Option<i128> {
        let (digits, power) = (i128::from(self.digits), self.exponent + i64::from(Price::SCALE));
        match power {
            _ if digits == 0 => Some(0),
            0..=18 => Some(digits * i128::from(POWERS[power as usize])),
            -18..0 => {
                let unit = i128::from(POWERS[power.unsigned_abs() as usize]);
                (digits % unit == 0).then(|| digits / unit)
            }
            _ => None,
        }
    }

    /// As a number without a sign or an exponent is read.
    fn decimal(&self) -> Option<Decimal> {
        let &Self { digits, exponent, end } = self;
        let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
        match exponent {
            _ if digits < 0 => None,
            0.. => Some(Decimal {
                whole: digits.checked_mul(power)?,
                fraction: 0,
                fraction_digits: 0,
                end,
            }),
            _ => {
                let fraction_digits = exponent.unsigned_abs() as usize;
                Some(Decimal {
                    whole: digits / power,
                    fraction: digits % power,
                    fraction_digits,
                    end,
                })
            }
        }
    }
}

/// The exponent of a number whose digits end here, 0 where it has none; and the position after it.
fn exponent(text: Text<'_>, at: usize) -> Option<(i64, usize)> {
    if !matches!(text.byte(at), b'e' | b'E') {
        return Some((0, at));
    }
    let sign = text.byte(at + 1);
    let at = at + 1 + usize::from(matches!(sign, b'+' | b'-'));
    let (power, digits) = text.digits(at);
    let power = if sign == b'-' { -power } else { power };
    (1..=3).contains(&digits).then_some((power, at + digits))
}

/// Also floats, whose digits below 10^-9 mean nothing.
#[cold]
fn read_unusual_nanos(text: Text<'_>, at: usize) -> Option<(i128, usize)> {
    let unusual = Unusual::read(text, at)?;
    let written = || str::from_utf8(text.rest(at).get(..unusual.end - at)?).ok();
    let nanos = unusual.nanos().or_else(|| parse_nanos(written()?).ok())?;
    Some((nanos, unusual.end))
}

/// The text after the whole part.
#[inline(always)]
fn decimal_of(text: Text<'_>, at: usize, whole: i64, whole_digits: usize) -> Option<Decimal> {
    let mut end = at + whole_digits;
    let (mut fraction, mut fraction_digits) = (0, 0);
    if text.byte(end) == b'.' {
        (fraction, fraction_digits) = text.digits(end + 1);
        if !(1..=MAX_DIGITS).contains(&fraction_digits) {
            return None;
        }
        end += 1 + fraction_digits;
    }
    let has_exponent = matches!(text.byte(end), b'e' | b'E');
    (!has_exponent).then_some(Decimal { whole, fraction, fraction_digits, end })
}

/// JSON writes no leading zeros.
#[inline(always)]
fn is_json_integer(text: Text<'_>, at: usize, digits: usize) -> bool {
    digits == 1 || ((2..=MAX_DIGITS).contains(&digits) && text.byte(at) != b'0')
}
