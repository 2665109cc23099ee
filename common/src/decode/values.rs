//! The strict path's reading of single values.

use super::mapping::Field;
use super::rules::Rules;
use super::schemas::times::{self, TimeKind};
use crate::decimal::{self, DecimalError, Rounding, parse_nanos};
use crate::extras::{MAX_CODE_BYTES, MAX_CODES};
use crate::reject::{Reason, Reject, excerpt};
use crate::timestamp::{EpochUnit, TimeError, TimeRules};
use crate::{Codes, Extras, Price, TimeBounds, Timestamp, Volume};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The text of a JSON number; `None` for every other kind of value.
pub(super) fn parse_number(raw: &RawValue) -> Option<&str> {
    let text = raw.get();
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(text)
}

/// The number that a value writes as one or as text.
fn number_or_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    parse_number(raw).map(Cow::Borrowed).or_else(|| parse_text(raw).filter(|text| is_number(text)))
}

/// The content of a JSON string. One that was written with escapes is the same in the archive
/// without them.
fn parse_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let unescaped = || serde_json::from_str::<String>(raw.get()).ok();
    plain_text(raw).map(Cow::Borrowed).or_else(|| unescaped().map(Cow::Owned))
}

/// The content of a JSON string without escapes, which no number and no time needs.
pub(super) fn plain_text(raw: &RawValue) -> Option<&str> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

/// Whether `text` is a number in JSON's grammar, but for zeros in front.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole)
        && digits(fraction)
        && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

pub(super) fn integer(raw: &RawValue) -> Option<i64> {
    decimal::parse(parse_number(raw)?, 0, Rounding::Exact).ok()
}

/// The record's own time as the archive has it: milliseconds since 1970.
pub(super) fn record_time(raw: &RawValue) -> Option<Timestamp> {
    EpochUnit::Ms.parse(&number_or_text(raw)?)
}

/// The content of a JSON string, unescaped into `buffer` only where it has escapes.
fn string<'a>(raw: &'a RawValue, buffer: &'a mut String) -> Option<&'a str> {
    if let Some(text) = plain_text(raw) {
        return Some(text);
    }
    *buffer = serde_json::from_str(raw.get()).ok()?;
    Some(buffer)
}

pub(super) fn symbol<'a>(raw: &'a RawValue, buffer: &'a mut String) -> Result<&'a str, Reject> {
    string(raw, buffer).ok_or_else(|| {
        let written = excerpt(raw.get());
        let what = match parse_number(raw) {
            Some(_) => format!(
                "is a number, and no flag makes a text of it: the producer must \
                 write \"{written}\", or name another member with --map symbol=NAME"
            ),
            None => "is not a string".to_owned(),
        };
        Reject::new(Reason::BadSymbol, format!("symbol {written} {what}"))
    })
}

/// The symbol that a record's key holds, as text or as a JSON string.
pub(super) fn key_symbol<'a>(
    key: Option<&'a [u8]>,
    buffer: &'a mut String,
) -> Result<&'a str, Reject> {
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        let detail = "the record has no key to take the symbol from (--symbol-from key)";
        return Err(Reject::new(Reason::MissingField, detail));
    };
    let bad = || {
        Reject::new(
            Reason::BadSymbol,
            format!("the key {} is no text", excerpt(&String::from_utf8_lossy(key))),
        )
    };
    let text = str::from_utf8(key).map_err(|_| bad())?;
    if !text.starts_with('"') {
        let is_json = may_be_json(key) && serde_json::from_str::<IgnoredAny>(text).is_ok();
        return if is_json { Err(bad()) } else { Ok(text) };
    }
    *buffer = serde_json::from_str(text).map_err(|_| bad())?;
    Ok(buffer)
}

/// Like [`key_symbol`], where no flag says that keys are symbols: a key that plainly is something
/// else is none.
pub(super) fn key_symbol_in_place<'a>(
    key: &'a [u8],
    buffer: &'a mut String,
) -> Result<&'a str, Reject> {
    let symbol = key_symbol(Some(key), buffer)?;
    let what = match symbol {
        text if is_number(text) => "a number",
        text if is_clock(text)
            || TimeRules::default().parse_text(text) != Err(TimeError::Malformed) =>
        {
            "a time"
        }
        text if is_an_id(text) => "an id",
        text => return Ok(text),
    };
    let key = excerpt(symbol);
    let detail = format!(
        "symbol is missing, and the key {key} looks like {what} (if it is one: --symbol-from key)"
    );
    Err(Reject::new(Reason::BadSymbol, detail))
}

/// Whether a text is the id of something, as a UUID or a hash.
#[must_use]
pub fn is_an_id(text: &str) -> bool {
    text.len() > 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether a key is one that [`key_symbol_in_place`] takes as it is; `false` where that is not
/// plain. Numbers and times do not begin with a letter unless blanks follow, and have no letters
/// alone after a point, as `2330.TW` has; ids are longer.
pub(super) fn is_surely_a_symbol(key: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_=^&".contains(byte);
    let is_of_a_place = || {
        let place = key.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let rest = key.get(..key.len() - place.len()).unwrap_or_default();
        let is_place = !place.is_empty() && place.iter().all(u8::is_ascii_alphabetic);
        let number = rest.strip_suffix(b".").unwrap_or_default();
        is_place && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
    };
    let is_short = (1..=16).contains(&key.len()) && key.iter().all(is_usual) && key != b"null";
    is_short && (matches!(key.first(), Some(b'^' | b'A'..=b'Z' | b'a'..=b'z')) || is_of_a_place())
}

/// Whether a key may be JSON that is no plain text: a string in quotes, an object, an array, or
/// null.
pub(super) fn may_be_json(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'"' | b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n')) || key == b"null"
}

/// `symbol` in upper case, put into `buffer` only where it is not.
pub(super) fn in_upper_case<'a>(symbol: &'a str, buffer: &'a mut String) -> &'a str {
    if is_plain_upper_case(symbol) {
        return symbol;
    }
    *buffer = symbol.to_uppercase();
    buffer
}

/// Whether a symbol is ASCII without lower-case letters.
pub(super) fn is_plain_upper_case(symbol: &str) -> bool {
    symbol.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_lowercase())
}

/// The wrappers of a time in MongoDB's extended JSON: `{"$date":".."}`,
/// `{"$date":{"$numberLong":"1749218401123"}}`.
pub(super) fn unwrapped(raw: &RawValue) -> &RawValue {
    match only_member(raw, "$date") {
        Some(date) => only_member(date, "$numberLong").unwrap_or(date),
        None => raw,
    }
}

pub(super) fn timestamp(
    raw: &RawValue,
    rules: &Rules,
    bounds: TimeBounds,
) -> Result<Timestamp, Reject> {
    let raw = unwrapped(raw);
    let bad = |what: &str| Err(bad_time(Reason::BadTimestamp, raw.get(), what));
    if let Some(number) = number_or_text(raw) {
        return number_since_1970(&number, rules.times.unit, bounds).or_else(bad);
    }
    if let Some((kind, number)) = counted(raw) {
        if kind.may_be_dotnet(number, rules.times.unit) {
            return bad(MAY_BE_DOTNET);
        }
        return match times::write_text(kind, number) {
            Some(text) => time_of_text(&text, raw.get(), &rules.times),
            None => Err(bad_time(
                Reason::TimestampOutOfRange,
                raw.get(),
                "is of no year from 0 to 9999",
            )),
        };
    }
    match parse_text(raw) {
        Some(text) => time_of_text(&text, raw.get(), &rules.times),
        None => bad("is neither text of a time nor a number since 1970"),
    }
}

const MAY_BE_DOTNET: &str = "may be .NET's ticks, or nanoseconds of 1989 to 1992: say which, as \
                             --timestamp-unit dotnet or --timestamp-unit ns";

/// The unit of a number, or why it has none. One that reads as a date has a unit only where it is
/// pinned.
fn number_since_1970(
    number: &str,
    unit: EpochUnit,
    bounds: TimeBounds,
) -> Result<Timestamp, &'static str> {
    let instant =
        unit.parse(number).ok_or("is beyond all times that can be meant (--timestamp-unit)")?;
    if decimal::parse(number, 0, Rounding::Down).is_ok_and(|whole| unit.may_be_dotnet(whole)) {
        return Err(MAY_BE_DOTNET);
    }
    match is_date_in_digits(number) {
        true if unit == EpochUnit::Auto && bounds.contain(instant) => {
            Err("is a date in digits, which the producer must write as 2025-06-06; or if it is a \
             number since 1970, say of what with --timestamp-unit")
        }
        true if !bounds.contain(instant) => {
            Err("is a date in digits, and no number since 1970: the producer must write it as \
             2025-06-06")
        }
        _ => Ok(instant),
    }
}

/// The instant that a date and a time of day in two members make.
pub(super) fn date_and_time(
    date: &RawValue,
    time: &RawValue,
    rules: &Rules,
) -> Result<Timestamp, Reject> {
    let written = format!("{} {}", date.get(), time.get());
    match (parse_number(date).map(Cow::Borrowed).or_else(|| parse_text(date)), parse_text(time)) {
        (Some(date), Some(time)) => time_of_text(&format!("{date}T{time}"), &written, &rules.times),
        _ => Err(bad_time(
            Reason::BadTimestamp,
            &written,
            "is no date and time of day, as \"2025-06-06\" and \"10:00:01\"",
        )),
    }
}

/// Whether a value is a time of day alone, as `"10:00"` or `"10:00:01.5"`.
pub(super) fn is_time_of_day(raw: &RawValue) -> bool {
    plain_text(raw).is_some_and(is_clock)
}

fn is_clock(text: &str) -> bool {
    TimeRules::default().parse_text(&format!("2000-01-01T{text}")) == Err(TimeError::NoOffset)
}

/// Whether a value is a date alone, as `"2025-06-06"` or `20250606`.
pub(super) fn is_date(raw: &RawValue) -> bool {
    let is_one = |text: &str| {
        TimeRules::default().parse_text(text) == Err(TimeError::NoOffset) && text.len() == 10
    };
    number_or_text(raw).is_some_and(|number| number.len() == 8 && is_date_in_digits(&number))
        || plain_text(raw).is_some_and(is_one)
}

/// `20250606`, or with the time of day: as a number it would be a time of the 1970s, or in hundreds
/// of years.
fn is_date_in_digits(number: &str) -> bool {
    let part = |range: std::ops::Range<usize>| {
        number.get(range).and_then(|digits| digits.parse::<u32>().ok())
    };
    let is_within =
        |range, (first, last)| part(range).is_none_or(|part| (first..=last).contains(&part));
    let is_date =
        is_within(0..4, (1900, 2199)) && is_within(4..6, (1, 12)) && is_within(6..8, (1, 31));
    let is_clock =
        is_within(8..10, (0, 23)) && is_within(10..12, (0, 59)) && is_within(12..14, (0, 60));
    matches!(number.len(), 8 | 12 | 14 | 17)
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && is_date
        && is_clock
}

fn bad_time(reason: Reason, written: &str, what: &str) -> Reject {
    Reject::new(reason, format!("timestamp {} {what}", excerpt(written)))
}

/// `written`: how the message has it.
fn time_of_text(text: &str, written: &str, times: &TimeRules) -> Result<Timestamp, Reject> {
    let reject = |reason, what: &str| Err(bad_time(reason, written, what));
    match times.parse_text(text) {
        Ok(timestamp) => Ok(timestamp),
        Err(TimeError::NoOffset) => reject(
            Reason::BadTimestamp,
            "has no UTC offset: say whose time it is, as --timestamp-zone America/New_York",
        ),
        Err(TimeError::Nonexistent) => reject(
            Reason::NonexistentTime,
            &format!("never was in {}: clocks went forward over it", zone(times)),
        ),
        Err(TimeError::Ambiguous) => reject(
            Reason::AmbiguousTime,
            &format!("was twice in {}: clocks went back over it", zone(times)),
        ),
        Err(TimeError::Malformed) if is_clock(text) => reject(
            Reason::BadTimestamp,
            "is a time of day without its date: name both, as --map \
             timestamp=DATE,time_of_day=TIME",
        ),
        Err(TimeError::Malformed) => reject(
            Reason::BadTimestamp,
            "is no time that is read: the producer must write it as 2025-06-06T14:00:01Z",
        ),
    }
}

/// Why an instant is not believed. `written`: how the message has it.
pub(super) fn out_of_range(written: &RawValue, instant: Timestamp, bounds: &TimeBounds) -> Reject {
    let raw = unwrapped(written);
    let unit = if number_or_text(raw).is_some() { ", --timestamp-unit" } else { "" };
    let is = if plain_text(raw) == Some(&instant.to_string()) {
        "is"
    } else {
        &format!("is {instant},")
    };
    let TimeBounds { oldest, latest } = bounds;
    let what = match instant < *oldest {
        true => format!("{is} before {oldest} (--oldest{unit})"),
        false if unit.is_empty() => format!("{is} after {latest}, a day from now"),
        false => format!("{is} after {latest}, a day from now (--timestamp-unit)"),
    };
    bad_time(Reason::TimestampOutOfRange, raw.get(), &what)
}

/// An instant of a schema that can hardly be meant: see [`times`].
fn counted(raw: &RawValue) -> Option<(TimeKind, i64)> {
    let (name, number) = only(raw)?;
    let kind = TimeKind::of_name(&name).filter(|kind| kind.is_instant())?;
    Some((kind, number.get().parse().ok()?))
}

/// The value of an object's only member, if that has this name.
fn only_member<'a>(raw: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    only(raw).filter(|(only, _)| only == name).map(|(_, value)| value)
}

/// An object's only member.
fn only(raw: &RawValue) -> Option<(String, &RawValue)> {
    if !raw.get().starts_with('{') {
        return None;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    if members.len() == 1 { members.into_iter().next() } else { None }
}

fn zone(times: &TimeRules) -> &str {
    times.zone.as_ref().map_or("its zone", |zone| zone.name())
}

pub(super) fn price(raw: &RawValue, name: &str, rules: &Rules) -> Result<Price, Reject> {
    const BEYOND: &str = "is beyond 9.2 billion";
    let bad =
        |what: &str| Reject::new(Reason::BadPrice, format!("{name} {} {what}", excerpt(raw.get())));
    let nanos =
        parse_number_nanos(raw, BEYOND).and_then(|nanos| i64::try_from(nanos).map_err(|_| BEYOND));
    let nanos = nanos.map_err(bad)?;
    if nanos < rules.lowest_price() {
        return Err(bad("is not above zero (--allow-nonpositive-prices)"));
    }
    Price::from_nanos(nanos).ok_or_else(|| bad(BEYOND))
}

pub(super) fn volume(raw: &RawValue) -> Result<Volume, Reject> {
    const BEYOND: &str = "is beyond 2^63";
    let bad = |what: &str| {
        Reject::new(Reason::BadVolume, format!("volume {} {what}", excerpt(raw.get())))
    };
    let nanos = parse_number_nanos(raw, BEYOND).map_err(bad)?;
    if nanos < 0 {
        return Err(bad("is below zero"));
    }
    Volume::from_nanos(nanos).ok_or_else(|| bad(BEYOND))
}

/// A number in units of 10^-9, or what is wrong with it; `beyond`: that it is too large.
fn parse_number_nanos(raw: &RawValue, beyond: &'static str) -> Result<i128, &'static str> {
    let text = number_or_text(raw).ok_or_else(|| why_no_number(raw))?;
    parse_nanos(&text).map_err(|error| match error {
        DecimalError::OutOfRange => beyond,
        DecimalError::NotExact => "has digits below 10^-9",
    })
}

fn why_no_number(raw: &RawValue) -> &'static str {
    let digits = plain_text(raw).map(|text| text.replace([',', ' ', '_', '\''], ""));
    match digits {
        Some(digits) if is_number(&digits) => "has separators among its digits, which are not read",
        _ => "is not a number",
    }
}

/// Notes a bid, an ask or a feed's number. Text without anything in it says that there is none.
pub(super) fn extra(raw: &RawValue, field: Field, extras: &mut Extras<'_>) {
    if plain_text(raw).is_some_and(|text| text.trim().is_empty()) {
        return;
    }
    let number = number_or_text(raw).and_then(|text| match field {
        Field::Sequence => decimal::parse(&text, 0, Rounding::Exact).ok(),
        _ => i64::try_from(parse_nanos(&text).ok()?).ok(),
    });
    match (number, field) {
        (None, _) => extras.note_unread(),
        (Some(number), Field::Sequence) => extras.set_sequence(number),
        (Some(nanos), Field::Bid) => extras.set_bid(nanos),
        (Some(nanos), _) => extras.set_ask(nanos),
    }
}

/// The correction that a message is, as a condition; `None` where it is an ordinary one. An error:
/// it cannot be read.
pub(super) fn correction_of(raw: &RawValue) -> Result<Option<String>, ()> {
    let text = match raw.get() {
        "false" => return Ok(None),
        json if json.starts_with('"') => serde_json::from_str(json).map_err(drop)?,
        json => json.to_owned(),
    };
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let code = if is_number { text.trim_start_matches('0') } else { text };
    if code.is_empty() || code.eq_ignore_ascii_case("n") {
        return Ok(None);
    }
    let is_code = is_number
        || code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' '));
    let code = format!("{CORRECTION}{code}");
    if is_code && code.len() <= MAX_CODE_BYTES { Ok(Some(code)) } else { Err(()) }
}

/// The prefix of a condition that comes from the member `correction`.
const CORRECTION: &str = "correction=";

/// Notes the conditions of a sale, what it corrects by in front of them.
pub(super) fn conditions<'a>(
    raw: Option<&'a RawValue>,
    correction: Option<String>,
    buffer: &'a mut String,
    extras: &mut Extras<'a>,
) {
    let json = raw.map_or("[]", RawValue::get);
    let mut room = String::new();
    let Some(correction) = correction else {
        let (codes, is_all) = Codes::of_json(json, buffer);
        return set_conditions(codes, is_all, extras);
    };
    let (codes, is_all) = Codes::of_json(json, &mut room);
    let is_all = is_all && codes.iter().count() < MAX_CODES;
    let all = std::iter::once(&*correction).chain(codes.iter()).take(MAX_CODES);
    set_conditions(Codes::of(all, buffer), is_all, extras);
}

fn set_conditions<'a>(codes: Codes<'a>, is_all: bool, extras: &mut Extras<'a>) {
    extras.set_conditions(codes);
    if !is_all {
        extras.note_unread();
    }
}
