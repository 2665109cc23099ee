//! Times of a schema's types as JSON text: RFC 3339, as far as that can be what was meant.
//!
//! A producer that counts in another unit than its schema says makes times of 1970, or of no year
//! that has four digits. Those are written as the number that they count,
//! `{"timestamp-micros":1749218401}`, which is read as the same instant: so a reject shows the
//! message's number and its type. So are nanoseconds that may be .NET's ticks, which the archive
//! has as a number.

use crate::timestamp::EpochUnit;
use std::io::Write;

/// Microseconds of a second, and seconds of a day.
const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;
/// The days that RFC 3339 can write, counted from 1970: from 0000-01-01 to 9999-12-31.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;
/// The days that an instant may well be of: from 1990-01-01 to 2099-12-31.
const LIKELY: std::ops::RangeInclusive<i64> = 7_305..=47_481;

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// The meaning of an Avro number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeKind {
    /// Since 1970. Local ones are of a zone that is not said.
    Instant { unit: Unit, is_local: bool },
    /// Days since 1970.
    Date,
    /// Since midnight.
    TimeOfDay(Unit),
}

/// The types by their names in Avro.
const KINDS: [(&str, TimeKind); 9] = [
    ("timestamp-millis", TimeKind::Instant { unit: Unit::Millis, is_local: false }),
    ("timestamp-micros", TimeKind::Instant { unit: Unit::Micros, is_local: false }),
    ("timestamp-nanos", TimeKind::Instant { unit: Unit::Nanos, is_local: false }),
    ("local-timestamp-millis", TimeKind::Instant { unit: Unit::Millis, is_local: true }),
    ("local-timestamp-micros", TimeKind::Instant { unit: Unit::Micros, is_local: true }),
    ("local-timestamp-nanos", TimeKind::Instant { unit: Unit::Nanos, is_local: true }),
    ("date", TimeKind::Date),
    ("time-millis", TimeKind::TimeOfDay(Unit::Millis)),
    ("time-micros", TimeKind::TimeOfDay(Unit::Micros)),
];

impl TimeKind {
    pub fn of_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether it has 32 bits.
    pub fn is_int(self) -> bool {
        matches!(self, Self::Date | Self::TimeOfDay(Unit::Millis))
    }

    pub fn is_instant(self) -> bool {
        matches!(self, Self::Instant { .. })
    }

    /// Whether this many, as a plain number, may count something else.
    pub fn may_be_dotnet(self, number: i64, unit: EpochUnit) -> bool {
        matches!(self, Self::Instant { unit: Unit::Nanos, is_local: false })
            && unit.may_be_dotnet(number)
    }
}

/// The time that is `number` of its kind.
pub fn write(out: &mut Vec<u8>, kind: TimeKind, number: i64) {
    out.push(b'"');
    let is_written = match kind {
        _ if kind.may_be_dotnet(number, EpochUnit::Auto) => false,
        TimeKind::Instant { unit, is_local } => write_instant(out, number, unit, is_local, &LIKELY),
        _ => write_plain(out, kind, number),
    };
    match is_written {
        true => out.push(b'"'),
        false => {
            out.pop();
            // Nothing fails that is written into memory.
            let _ = write!(out, r#"{{"{}":{number}}}"#, kind.name());
        }
    }
}

/// The text of a time, without quotes; `None` where it has none.
pub fn write_text(kind: TimeKind, number: i64) -> Option<String> {
    let mut text = Vec::new();
    let is_written = write_plain(&mut text, kind, number);
    String::from_utf8(text).ok().filter(|_| is_written)
}

/// A `google.protobuf.Timestamp`.
pub fn write_seconds(out: &mut Vec<u8>, seconds: i64, nanos: i64) {
    out.push(b'"');
    let micros = seconds.checked_mul(MICROS).and_then(|micros| micros.checked_add(nanos / 1000));
    let micros = micros.filter(|_| (0..1000 * MICROS).contains(&nanos));
    match micros.is_some_and(|micros| write_instant(out, micros, Unit::Micros, false, &DAYS)) {
        true => out.push(b'"'),
        false => {
            out.pop();
            let _ = write!(out, r#"{{"seconds":{seconds},"nanos":{nanos}}}"#);
        }
    }
}

/// A date of three numbers; `false` where it is none, and nothing was written.
pub fn write_ymd(out: &mut Vec<u8>, year: i64, month: i64, day: i64) -> bool {
    if !((1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return false;
    }
    write_digits_of_date(out, year, month, day);
    true
}

/// A time of day of hours, minutes, seconds and nanoseconds; `false` where it is none, and nothing
/// was written.
pub fn write_hms(out: &mut Vec<u8>, [hours, minutes, seconds, nanos]: [i64; 4]) -> bool {
    let is_one = (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..60).contains(&seconds)
        && (0..1000 * MICROS).contains(&nanos);
    if is_one {
        write_clock(out, (hours * 60 + minutes) * 60 + seconds, nanos / 1000, 6);
    }
    is_one
}

/// `false` where there is no text of it, and nothing was written.
fn write_plain(out: &mut Vec<u8>, kind: TimeKind, number: i64) -> bool {
    match kind {
        TimeKind::Instant { unit, is_local } => write_instant(out, number, unit, is_local, &DAYS),
        TimeKind::Date => write_date(out, number, &DAYS),
        TimeKind::TimeOfDay(unit) => write_time_of_day(out, number, unit),
    }
}

/// Writes a time, to the microsecond at most.
fn write_instant(
    out: &mut Vec<u8>,
    since: i64,
    unit: Unit,
    is_local: bool,
    days: &std::ops::RangeInclusive<i64>,
) -> bool {
    let (seconds, fraction, digits) = split(since, unit);
    if !write_date(out, seconds.div_euclid(DAY), days) {
        return false;
    }
    out.push(b'T');
    write_clock(out, seconds.rem_euclid(DAY), fraction, digits);
    if !is_local {
        out.push(b'Z');
    }
    true
}

/// The seconds, what is left of one, and how many digits that has.
fn split(since: i64, unit: Unit) -> (i64, i64, u32) {
    match unit {
        Unit::Millis => (since.div_euclid(1000), since.rem_euclid(1000), 3),
        Unit::Micros => (since.div_euclid(MICROS), since.rem_euclid(MICROS), 6),
        Unit::Nanos => (since.div_euclid(1000 * MICROS), since.rem_euclid(1000 * MICROS) / 1000, 6),
    }
}

fn write_time_of_day(out: &mut Vec<u8>, since_midnight: i64, unit: Unit) -> bool {
    let (seconds, fraction, digits) = split(since_midnight, unit);
    if !(0..DAY).contains(&seconds) {
        return false;
    }
    write_clock(out, seconds, fraction, digits);
    true
}

fn write_clock(out: &mut Vec<u8>, second: i64, fraction: i64, digits: u32) {
    write_padded(out, second / 3600, 2);
    out.push(b':');
    write_padded(out, second / 60 % 60, 2);
    out.push(b':');
    write_padded(out, second % 60, 2);
    out.push(b'.');
    write_padded(out, fraction, digits);
}

/// A day, counted from 1970, if it is one of `days`.
fn write_date(out: &mut Vec<u8>, day: i64, days: &std::ops::RangeInclusive<i64>) -> bool {
    if !days.contains(&day) {
        return false;
    }
    // Years are counted from March, so that a leap day is the last of its year, and days from
    // 0000-03-01.
    let days = day + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    write_digits_of_date(out, era * 400 + year_of_era + i64::from(month <= 2), month, day_of_month);
    true
}

fn write_digits_of_date(out: &mut Vec<u8>, year: i64, month: i64, day: i64) {
    write_padded(out, year, 4);
    out.push(b'-');
    write_padded(out, month, 2);
    out.push(b'-');
    write_padded(out, day, 2);
}

fn write_padded(out: &mut Vec<u8>, value: i64, digits: u32) {
    let (end, mut rest) = (out.len() + digits as usize, value);
    out.resize(end, b'0');
    for place in out.iter_mut().rev().take(digits as usize) {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(name: &str, number: i64) -> String {
        let mut out = Vec::new();
        write(&mut out, TimeKind::of_name(name).unwrap(), number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_can_hardly_be_meant_is_written_as_what_it_counts() {
        for (name, number, expected) in [
            ("timestamp-millis", 631_152_000_000, r#""1990-01-01T00:00:00.000Z""#),
            ("timestamp-millis", 631_151_999_999, r#"{"timestamp-millis":631151999999}"#),
            ("timestamp-millis", 4_102_444_799_999, r#""2099-12-31T23:59:59.999Z""#),
            ("timestamp-millis", 4_102_444_800_000, r#"{"timestamp-millis":4102444800000}"#),
            (
                "local-timestamp-micros",
                i64::MAX,
                r#"{"local-timestamp-micros":9223372036854775807}"#,
            ),
            (
                "timestamp-nanos",
                638_848_152_011_234_560,
                r#"{"timestamp-nanos":638848152011234560}"#,
            ),
            ("timestamp-nanos", 700_000_000_000_000_001, r#""1992-03-07T20:26:40.000000Z""#),
            ("local-timestamp-nanos", 638_848_152_011_234_560, r#""1990-03-31T01:49:12.011234""#),
            ("date", -719_528, r#""0000-01-01""#),
            ("date", 2_932_896, r#""9999-12-31""#),
            ("date", 2_932_897, r#"{"date":2932897}"#),
            ("time-millis", 36_001_123, r#""10:00:01.123""#),
            ("time-micros", 86_399_999_999, r#""23:59:59.999999""#),
            ("time-micros", 86_400_000_000, r#"{"time-micros":86400000000}"#),
            ("time-millis", -1, r#"{"time-millis":-1}"#),
        ] {
            assert_eq!(written(name, number), expected);
        }
    }

    #[test]
    fn a_timestamp_of_seconds_that_is_none_is_shown() {
        for (seconds, nanos, expected) in [
            (0, 1_999, r#""1970-01-01T00:00:00.000001Z""#),
            (-1, 999_999_999, r#""1969-12-31T23:59:59.999999Z""#),
            (0, 1_000_000_000, r#"{"seconds":0,"nanos":1000000000}"#),
            (0, -1, r#"{"seconds":0,"nanos":-1}"#),
            (i64::MAX, 0, r#"{"seconds":9223372036854775807,"nanos":0}"#),
            (253_402_300_800, 0, r#"{"seconds":253402300800,"nanos":0}"#),
        ] {
            let mut out = Vec::new();
            write_seconds(&mut out, seconds, nanos);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_instant_comes_back_from_its_text(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let read = |name: &str, number| {
                let text = write_text(TimeKind::of_name(name).unwrap(), number).unwrap();
                crate::timestamp::parse_rfc3339(&text).unwrap().micros()
            };
            prop_assert_eq!(read("timestamp-micros", micros), micros);
            let millis = micros.div_euclid(1000);
            prop_assert_eq!(read("timestamp-millis", millis), millis * 1000);
            if let Some(nanos) = micros.checked_mul(1000) {
                prop_assert_eq!(read("timestamp-nanos", nanos), micros);
            }
        }
    }
}
