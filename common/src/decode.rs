//! JSON to [`Tick`]: Kafka values and lines of the archive alike.
//!
//! The rules are in `docs/message-format.md`. They live in the strict path, which reads with serde_json. In front of it
//! stands a fast path that has learned how the last values were laid out: it takes a value or passes it on, and never
//! decides otherwise than the strict one. Neither allocates for a valid tick.

mod fields;
mod learn;
mod minutes;
mod shape;
mod text;

use crate::decimal::{self, DecimalError, Rounding};
use crate::reject::{Reason, Reject, excerpt};
use crate::tick::Prices;
use crate::timestamp::{Rfc3339Error, parse_rfc3339};
use crate::{Price, Tick, Timestamp};
use fields::Fields;
use serde_json::value::RawValue;
use shape::Shapes;

/// A value this long or longer is no tick, whatever it holds.
pub const MAX_VALUE_BYTES: usize = 1_000_000;

/// Arrays and objects inside one another; Connect's own parser stops somewhere too.
const MAX_DEPTH: usize = 128;

/// A tick's timestamp may be this far ahead of the clock, for producers whose clocks are wrong.
pub const MAX_AHEAD: i64 = Timestamp::DAY;

/// Where a line of the archive came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    pub partition: i32,
    pub offset: i64,
}

/// The names under which the archive's connector inserts the provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenanceNames {
    pub partition: String,
    pub offset: String,
}

impl Default for ProvenanceNames {
    fn default() -> Self {
        Self { partition: "kafka_partition".into(), offset: "kafka_offset".into() }
    }
}

/// A decoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub tick: Tick<'a>,
    /// What the line says of its origin; `None` where it says nothing, as in Kafka itself.
    pub provenance: Option<Provenance>,
}

/// Decodes one value after the other.
#[derive(Debug)]
pub struct Decoder {
    names: ProvenanceNames,
    latest: Timestamp,
    shapes: Shapes,
    /// Holds a symbol that was written with escapes, which no borrowed slice of the value can show.
    unescaped: String,
}

impl Decoder {
    /// A decoder for values that were written at about `now` (a message: the clock; an archived object: the time it
    /// was stored): timestamps more than [`MAX_AHEAD`] later are rejected.
    #[must_use]
    pub fn new(names: ProvenanceNames, now: Timestamp) -> Self {
        let mut decoder = Self { names, latest: now, shapes: Shapes::default(), unescaped: String::new() };
        decoder.set_now(now);
        decoder
    }

    /// Moves the clock on.
    pub fn set_now(&mut self, now: Timestamp) {
        self.latest = now.plus_micros(MAX_AHEAD);
    }

    /// The tick in `value`, a bare JSON object or one in Connect's envelope of `schema` and `payload`.
    ///
    /// # Errors
    /// Why it is none. Nothing in `value` can make this panic.
    #[inline]
    pub fn decode<'a>(&'a mut self, value: &'a [u8]) -> Result<Record<'a>, Reject> {
        match self.shapes.decode(value, self.latest) {
            Some(record) => Ok(record),
            None => self.decode_and_learn(value),
        }
    }

    /// The tick in `value` if the fast path takes it; else [`Decoder::decode`] must decide. For loops where the copy of
    /// a result that may hold either a tick or a reason counts.
    #[inline]
    pub fn decode_known<'a>(&mut self, value: &'a [u8]) -> Option<Record<'a>> {
        self.shapes.decode(value, self.latest)
    }

    /// As [`Decoder::decode_known`], for the line that `lines` begin with; gives its length, too, without the newline,
    /// which must be there. For loops where looking for the newline beforehand counts.
    #[inline]
    pub fn decode_known_line<'a>(&mut self, lines: &'a [u8]) -> Option<(Record<'a>, usize)> {
        self.shapes.decode_line(lines, self.latest)
    }

    #[cold]
    fn decode_and_learn<'a>(&'a mut self, value: &'a [u8]) -> Result<Record<'a>, Reject> {
        let Self { names, latest, shapes, unescaped } = self;
        let record = decode_strictly(value, names, *latest, unescaped)?;
        shapes.learn(value, names);
        Ok(record)
    }

    /// As [`Decoder::decode`], by the strict path alone: the reference that tests hold the fast path against.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_strictly<'a>(&'a mut self, value: &'a [u8]) -> Result<Record<'a>, Reject> {
        decode_strictly(value, &self.names, self.latest, &mut self.unescaped)
    }
}

fn decode_strictly<'a>(
    value: &'a [u8],
    names: &ProvenanceNames,
    latest: Timestamp,
    unescaped: &'a mut String,
) -> Result<Record<'a>, Reject> {
    let text = check_text(value)?;
    let outer = Fields::parse(text, names)?;
    let fields = match outer.payload {
        Some(payload) if outer.has_schema => Fields::parse(payload.get(), names)?,
        _ => outer,
    };
    let provenance = provenance(&outer).or_else(|| provenance(&fields));
    let symbol = symbol(required(fields.symbol, "symbol")?, unescaped)?;
    let timestamp = timestamp(required(fields.timestamp, "timestamp")?)?;
    let prices = Prices {
        open: price(required(fields.open, "open")?, "open")?,
        high: optional(fields.high).map(|raw| price(raw, "high")).transpose()?,
        low: optional(fields.low).map(|raw| price(raw, "low")).transpose()?,
        close: price(required(fields.close, "close")?, "close")?,
    };
    let volume = volume(required(fields.volume, "volume")?)?;
    let tick = Tick::new(symbol, timestamp, prices, volume, latest)?;
    Ok(Record { tick, provenance })
}

/// The value as text that the JSON parser may see.
fn check_text(value: &[u8]) -> Result<&str, Reject> {
    if value.is_empty() {
        return Err(Reject::new(Reason::Empty, "the message has no value"));
    }
    if value.len() >= MAX_VALUE_BYTES {
        let detail = format!("{} bytes; a tick has less than {MAX_VALUE_BYTES}", value.len());
        return Err(Reject::new(Reason::TooLarge, detail));
    }
    let text = str::from_utf8(value)
        .map_err(|error| Reject::new(Reason::NotUtf8, format!("byte {} is not UTF-8", error.valid_up_to())))?;
    if is_too_deep(value) {
        return Err(Reject::new(Reason::NotJson, format!("nested deeper than {MAX_DEPTH}")));
    }
    Ok(text)
}

fn is_too_deep(value: &[u8]) -> bool {
    let is_opening = |byte: u8| byte == b'{' || byte == b'[';
    // Nearly every value opens fewer brackets than the limit altogether: one pass without branches tells.
    if value.iter().filter(|byte| is_opening(**byte)).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in value {
        if in_string {
            (escaped, in_string) = (!escaped && byte == b'\\', escaped || byte != b'"');
        } else if is_opening(byte) {
            depth += 1;
            if depth > MAX_DEPTH {
                return true;
            }
        } else if byte == b'}' || byte == b']' {
            depth = depth.saturating_sub(1);
        } else {
            in_string = byte == b'"';
        }
    }
    false
}

fn optional(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn required<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<&'a RawValue, Reject> {
    optional(raw).ok_or_else(|| Reject::new(Reason::MissingField, format!("{name} is missing")))
}

/// The text of a JSON number; `None` for every other kind of value.
fn number(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(text)
}

fn integer(raw: &RawValue) -> Option<i64> {
    decimal::parse(number(raw)?, 0, Rounding::Exact).ok()
}

fn provenance(fields: &Fields<'_>) -> Option<Provenance> {
    let partition = i32::try_from(integer(fields.partition?)?).ok()?;
    let offset = integer(fields.offset?)?;
    Some(Provenance { partition, offset })
}

/// The content of a JSON string, unescaped into `buffer` only where it has escapes.
fn string<'a>(raw: &'a RawValue, buffer: &'a mut String) -> Option<&'a str> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner);
    }
    *buffer = serde_json::from_str(raw.get()).ok()?;
    Some(buffer)
}

fn symbol<'a>(raw: &'a RawValue, buffer: &'a mut String) -> Result<&'a str, Reject> {
    string(raw, buffer)
        .ok_or_else(|| Reject::new(Reason::BadSymbol, format!("symbol {} is not a string", excerpt(raw.get()))))
}

fn timestamp(raw: &RawValue) -> Result<Timestamp, Reject> {
    let bad = |what: &str| {
        let detail = format!("timestamp {} {what}", excerpt(raw.get()));
        Err(Reject::new(Reason::BadTimestamp, detail))
    };
    if number(raw).is_some() {
        let millis = integer(raw).and_then(|millis| millis.checked_mul(1000));
        return match millis {
            Some(micros) => Ok(Timestamp::from_micros(micros)),
            None => bad("is not an integer of milliseconds"),
        };
    }
    let mut buffer = String::new();
    match string(raw, &mut buffer).map(parse_rfc3339) {
        Some(Ok(timestamp)) => Ok(timestamp),
        Some(Err(Rfc3339Error::NoOffset)) => bad("has no UTC offset"),
        Some(Err(Rfc3339Error::Malformed)) => bad("is not RFC 3339"),
        None => bad("is neither RFC 3339 text nor epoch milliseconds"),
    }
}

fn price(raw: &RawValue, name: &str) -> Result<Price, Reject> {
    let bad = |what: &str| Reject::new(Reason::BadPrice, format!("{name} {} {what}", excerpt(raw.get())));
    let text = number(raw).ok_or_else(|| bad("is not a number"))?;
    let nanos =
        decimal::parse(text, Price::SCALE.into(), Rounding::HalfEven).map_err(|_| bad("is beyond 9.2 billion"))?;
    Price::from_nanos(nanos).ok_or_else(|| bad("is not above zero"))
}

fn volume(raw: &RawValue) -> Result<i64, Reject> {
    let bad = |what: &str| Reject::new(Reason::BadVolume, format!("volume {} {what}", excerpt(raw.get())));
    let text = number(raw).ok_or_else(|| bad("is not a number"))?;
    match decimal::parse(text, 0, Rounding::Exact) {
        Ok(volume) if volume < 0 => Err(bad("is below zero")),
        Ok(volume) => Ok(volume),
        Err(DecimalError::NotExact) => Err(bad("is not an integer")),
        Err(DecimalError::OutOfRange) => Err(bad("is beyond 2^63")),
    }
}

#[cfg(test)]
mod tests;
