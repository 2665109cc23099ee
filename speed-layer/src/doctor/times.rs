//! Which members of a message are times, and whether they are read. Only the time of its record can
//! tell the unit of a number.

use super::anatomy::{Leaf, has, number, plain_name};
use common::decode::{Field, Path, usual_field};
use common::timestamp::{EpochUnit, TimeRules, TimeZone};
use common::{Named, Timestamp};
use serde_json::Value;
use std::ops::RangeInclusive;

/// This close to its record's time a number is surely one.
const CLOSE: u64 = 2 * Timestamp::DAY.unsigned_abs();
/// Numbers that may be times of day, in any unit: from an hour on, in seconds, to a day in
/// nanoseconds.
const OF_A_DAY: RangeInclusive<f64> = 3600.0..=8.64e13;

/// Parts of names of times, and of those that are no tick's.
const TIMES: [&str; 6] = ["time", "date", "epoch", "timestamp", "clock", "minute"];
const OTHER_TIMES: [&str; 17] = [
    "expir",
    "listing",
    "birth",
    "matur",
    "founded",
    "settle",
    "ipo",
    "zone",
    "frame",
    "timein",
    "interval",
    "candidate",
    "open",
    "close",
    "uptime",
    "until",
    "valid",
];

/// A date this many years before its record is one of history.
const YEARS: i32 = 5;

/// A member of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub path: Path,
    /// The value of the member.
    pub text: String,
}

impl Member {
    pub fn of(leaf: &Leaf<'_>) -> Option<Self> {
        Some(Self { path: Path::new(&leaf.path)?, text: leaf.value.to_string() })
    }

    pub fn name(&self) -> &str {
        self.path.names().last().map(|name| &**name).unwrap_or_default()
    }
}

/// The times of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Times {
    /// The first that could be one, readable or not.
    pub first: Option<Member>,
    /// The first that is read, and is no date alone.
    pub read: Option<Member>,
    /// A time of day next to a date, as a text.
    pub of_day: Option<Member>,
    /// The unit in which a number is its record's time, where its magnitude tells another.
    pub unit: Option<EpochUnit>,
    /// A date of the seventies or eighties. A number of these may count anything.
    pub is_old: bool,
    /// Whether one is a date in letters, and so means what it says.
    pub has_text: bool,
    /// Whether such a one is years before its record, which was loaded later then.
    pub has_old_text: bool,
    has_date: bool,
    unread: Option<Member>,
    /// A number that may be a time of day, which no flag reads.
    number_of_day: Option<Member>,
}

impl Times {
    pub fn note(&mut self, leaf: &Leaf<'_>, record_time: Option<Timestamp>) {
        let or_this = |known: &mut Option<Member>| {
            *known = known.take().or_else(|| Member::of(leaf));
        };
        if is_time_of_day(leaf) {
            or_this(&mut self.of_day);
        }
        if is_number_of_day(leaf) {
            or_this(&mut self.number_of_day);
        }
        self.is_old |= is_old(leaf);
        if is_time(leaf, record_time) {
            let is_text = leaf.value.as_str().is_some_and(is_date);
            let unit = unit_by(record_time, leaf.value).filter(|unit| *unit != EpochUnit::Auto);
            self.has_text |= is_text;
            self.has_old_text |= is_text && is_years_before(leaf, record_time);
            self.has_date |= is_date_alone(leaf.value);
            self.unit = self.unit.or(unit);
            or_this(&mut self.first);
            match at(leaf.value).is_some() || unit.is_some() {
                true if is_date_alone(leaf.value) => {}
                true => or_this(&mut self.read),
                false => or_this(&mut self.unread),
            }
        }
    }

    /// A time of day next to a date that no flag reads.
    pub fn unread_of_day(&self) -> Option<&Member> {
        self.number_of_day.as_ref().filter(|_| self.has_date && self.read.is_none())
    }

    /// A time that no flag reads, of a message in which there is none that is.
    pub fn unread(&self) -> Option<&Member> {
        let is_put_together = self.has_date && self.of_day.is_some();
        if self.read.is_some() || is_put_together {
            return None;
        }
        // A date in digits is one half of a time at best.
        let is_day = self.has_date && self.has_text;
        self.unread_of_day().or(self.unread.as_ref().filter(|_| !is_day))
    }
}

/// By the year that a date in letters begins with; so it is where that is not known.
fn is_years_before(leaf: &Leaf<'_>, record_time: Option<Timestamp>) -> bool {
    let year = |text: &str| text.get(..4)?.parse::<i32>().ok();
    let own = leaf.value.as_str().and_then(year);
    let sent = record_time.and_then(|time| year(&time.to_string()));
    own.zip(sent).is_none_or(|(own, sent)| sent - own >= YEARS)
}

/// Whether a member is named as a tick's time is.
pub fn is_time_name(leaf: &Leaf<'_>) -> bool {
    let one = |name: &&str| {
        let known =
            usual_field(name) == Some(Field::Timestamp) || matches!(*name, "t" | "T" | "E" | "ts");
        let ends = name.starts_with("ts_")
            || name.ends_with("At")
            || name.ends_with("_at")
            || name.ends_with("Updated")
            || name.ends_with("_ts");
        let plain = plain_name(name);
        let part = (has(&plain, &TIMES) || plain.contains("update")) && !has(&plain, &OTHER_TIMES);
        known || ends || part
    };
    // MongoDB's `$date` is named by what is around it.
    leaf.path.iter().rev().take(2).any(one)
}

/// Whether it is the time of its record, or close to it, whatever its name.
pub fn is_time_by(record_time: Option<Timestamp>, leaf: &Leaf<'_>) -> bool {
    let is_other = has(&plain_name(leaf.name()), &OTHER_TIMES) || is_date_alone(leaf.value);
    let is_at = at(leaf.value).is_some_and(|at| is_close(at, record_time));
    !is_other && (is_at || unit_by(record_time, leaf.value).is_some())
}

/// Whether a member could be a time, be it one that is not read.
fn is_time(leaf: &Leaf<'_>, record_time: Option<Timestamp>) -> bool {
    let is_named = is_time_name(leaf);
    let is_other = has(&plain_name(leaf.name()), &OTHER_TIMES);
    match leaf.value {
        Value::String(text) if is_date(text) => !is_other,
        Value::String(text) if text.parse::<f64>().is_err() => {
            is_named && text.contains(|c: char| c.is_ascii_digit())
        }
        Value::Array(parts) => is_named && parts.len() >= 3,
        // By its own name it is one even where no unit makes a time of it.
        value if usual_field(leaf.name()) == Some(Field::Timestamp) => {
            number(value).is_some_and(|number| number != 0.0)
        }
        value => {
            unit_by(record_time, value).is_some()
                || instant(value).is_some_and(|_| is_named || is_edge_of_a_bar(leaf))
                || (is_named && is_date_alone(value))
        }
    }
}

/// `s` and `e` of Massive's bars, in milliseconds: less is a size.
fn is_edge_of_a_bar(leaf: &Leaf<'_>) -> bool {
    matches!(leaf.name(), "s" | "e") && number(leaf.value).is_some_and(|number| number > 1e11)
}

fn is_close(instant: Timestamp, record_time: Option<Timestamp>) -> bool {
    record_time.is_some_and(|time| instant.micros().abs_diff(time.micros()) <= CLOSE)
}

/// The unit in which a number is close to its record's time.
fn unit_by(record_time: Option<Timestamp>, value: &Value) -> Option<EpochUnit> {
    let number = digits(value)?;
    let is_one = |unit: &EpochUnit| {
        unit.parse(&number).is_some_and(|instant| is_close(instant, record_time))
    };
    EpochUnit::ALL.iter().map(|(unit, ..)| *unit).find(is_one)
}

/// A number, or its text without a sign.
fn digits(value: &Value) -> Option<String> {
    let is_plain = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text)
            if text.split_once('.').map_or(is_plain(text), |(a, b)| is_plain(a) && is_plain(b)) =>
        {
            Some(text.clone())
        }
        _ => None,
    }
}

/// The instant from 1990 on that a number, or its text, may mean.
pub fn instant(value: &Value) -> Option<Timestamp> {
    const FIRST: i64 = 631_152_000_000_000;
    const LAST: i64 = 4_102_444_800_000_000;
    EpochUnit::Auto
        .parse(&digits(value)?)
        .filter(|instant| (FIRST..LAST).contains(&instant.micros()))
}

/// The instant that is read of it; in UTC where it has no offset.
fn at(value: &Value) -> Option<Timestamp> {
    let of_text = || {
        let zone = "UTC".parse::<TimeZone>().ok();
        TimeRules { zone, ..TimeRules::default() }.parse_text(value.as_str()?).ok()
    };
    instant(value).or_else(of_text)
}

/// `2025-06-06..`
pub fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && (bytes[4], bytes[7]) == (b'-', b'-')
}

/// A date without a time: `2025-06-06`, `20250606`.
pub fn is_date_alone(value: &Value) -> bool {
    let digits = match value {
        Value::String(text) if text.len() == 10 => return is_date(text),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    digits.len() == 8
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.starts_with(['1', '2'])
}

/// `10:00`, `10:00:01.5`: named as a tick's.
pub fn is_time_of_day(leaf: &Leaf<'_>) -> bool {
    let is_clock = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() >= 5
            && bytes[2] == b':'
            && [0, 1, 3, 4].iter().all(|at| bytes[*at].is_ascii_digit())
    };
    leaf.value.as_str().is_some_and(is_clock) && is_time_name(leaf)
}

/// `36000`, `36000000`, `100000`, `100000123`: possibly 10:00 next to a date.
fn is_number_of_day(leaf: &Leaf<'_>) -> bool {
    let name = plain_name(leaf.name());
    let ends = name.ends_with("time") || name.ends_with("timeofday");
    let is_named = usual_field(leaf.name()) == Some(Field::Timestamp) || ends;
    let is_one = number(leaf.value).is_some_and(|number| OF_A_DAY.contains(&number));
    let is_whole = instant(leaf.value).is_some() || is_date_alone(leaf.value);
    is_named && is_one && !is_whole && !has(&name, &OTHER_TIMES)
}

fn is_old(leaf: &Leaf<'_>) -> bool {
    let text = leaf.value.as_str().unwrap_or_default();
    is_date(text) && (text.starts_with("197") || text.starts_with("198"))
}

#[cfg(test)]
mod tests {
    use super::super::anatomy::{each_leaf, parse};
    use super::*;

    const SENT: Timestamp = Timestamp::from_micros(1_749_218_405_000_000);

    fn times(message: &str) -> Times {
        let mut times = Times::default();
        let value = parse(message.as_bytes()).unwrap();
        each_leaf(&value, &mut |leaf| times.note(leaf, Some(SENT)));
        times
    }

    #[test]
    fn a_time_that_is_read_is_never_an_unread_one() {
        for read in [
            r#"{"ts":1749218401123}"#,
            r#"{"ts":"1749218401.5"}"#,
            r#"{"tm":1749218401123}"#,
            r#"{"ts":{"seconds":1749218401,"nanos":5}}"#,
            r#"{"meta":{"received":"2025-06-06T14:00:01Z"}}"#,
            r#"{"time":"2025-06-06 10:00:01"}"#,
            r#"{"date":"2025-06-06"}"#,
            r#"{"date":"2025-06-06","time":"10:00"}"#,
            r#"{"date":20250606,"time":"10:00"}"#,
            r#"{"date":"06/06/2025","ts":1749218401123}"#,
            r#"{"ts":638848152011230000}"#,
            r#"{"timestamp":"Fri, 06 Jun 2025 14:00:01 GMT"}"#,
        ] {
            let times = times(read);
            assert!(times.first.is_some() && times.unread().is_none(), "{read}: {times:?}");
        }
        for (unread, name) in [
            (r#"{"timestamp":"06/07/2025 10:00:01"}"#, "timestamp"),
            (r#"{"timestamp":"10:00:01"}"#, "timestamp"),
            (r#"{"date":20250606,"open_time":"x"}"#, "date"),
            (r#"{"date":"2025-06-06","time":36915}"#, "time"),
            (r#"{"date":"2025-06-06","time":"36915000"}"#, "time"),
            (r#"{"trade_date":20250606,"trade_time":102035361}"#, "trade_time"),
            (r#"{"date":20250606,"time":101540480}"#, "time"),
        ] {
            let times = times(unread);
            assert_eq!(times.unread().map(Member::name), Some(name), "{unread}: {times:?}");
        }
    }

    #[test]
    fn the_record_s_time_tells_what_a_number_counts() {
        let unit = |number: &str| times(&format!(r#"{{"ts":{number}}}"#)).unit;
        assert_eq!(unit("638848152011230000"), Some(EpochUnit::DotNet));
        // On another day it may be nanoseconds.
        assert_eq!(unit("638748152011230000"), None);
        assert_eq!(unit("1749218401123"), None);
    }

    #[test]
    fn a_date_is_old_by_its_letters_and_no_number_is() {
        assert!(times(r#"{"date":"1986-12-31"}"#).is_old);
        for number in [r#"{"time":102035361}"#, r#"{"ts":523324800}"#] {
            assert!(!times(number).is_old, "{number}");
        }
    }

    #[test]
    fn what_is_close_to_its_record_is_a_time_whatever_its_name() {
        let is_one = |message: &str| {
            let value = parse(message.as_bytes()).unwrap();
            let mut is_one = false;
            each_leaf(&value, &mut |leaf| is_one |= is_time_by(Some(SENT), leaf));
            is_one
        };
        for time in ["1749218401123", "\"2025-06-06T14:00:01Z\"", "638848152011230000"] {
            assert!(is_one(&format!(r#"{{"x":{time}}}"#)), "{time}");
        }
        for other in [
            r#"{"valid_until":1749218401123}"#,
            r#"{"open_time":1749218401123}"#,
            r#"{"x":"2025-06-06"}"#,
            r#"{"x":1649218401123}"#,
        ] {
            assert!(!is_one(other), "{other}");
        }
    }
}
