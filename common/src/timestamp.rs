//! [`Timestamp`]: an instant to the microsecond, and RFC 3339 text to it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const MINUTE: i64 = 60 * MICROS_PER_SECOND;
    pub const HOUR: i64 = 60 * Self::MINUTE;
    pub const DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The system clock.
    #[must_use]
    pub fn now() -> Self {
        // A clock before 1970 is a broken machine; every tick is then in the future and kept aside as such.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// The start of the interval of `width` microseconds that holds this instant, counted from the epoch (so days
    /// and hours are UTC's).
    #[must_use]
    #[inline]
    pub const fn floor(self, width: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(width))
    }

    /// Whether this instant lies in [start, start + `width` microseconds). Where most instants share their interval with
    /// the one before, this is what to ask before [`Timestamp::floor`], which divides.
    #[must_use]
    #[inline]
    pub const fn is_within(self, start: Self, width: i64) -> bool {
        let since = self.0 - start.0;
        0 <= since && since < width
    }

    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// RFC 3339 in UTC, as `2025-06-06T14:00:01.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} µs since 1970", self.0),
        }
    }
}

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rfc3339Error {
    /// A date and time, but nothing that says which instant: guessing a zone would be wrong half of the year.
    NoOffset,
    Malformed,
}

/// The instant that an RFC 3339 text names; the date and the time may be parted by a space. Digits below a
/// microsecond are cut off, so that a tick stays in its minute. A leap second (`:60`) is malformed.
///
/// Own code, because this runs for every tick: a property test holds it against jiff.
///
/// # Errors
/// [`Rfc3339Error`] for everything else.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, Rfc3339Error> {
    use Rfc3339Error::Malformed;
    let bytes = text.as_bytes();
    let (civil, rest) = bytes.split_at_checked(19).ok_or(Malformed)?;
    let separators = [civil[4], civil[7], civil[10], civil[13], civil[16]];
    if !matches!(separators, [b'-', b'-', b'T' | b't' | b' ', b':', b':']) {
        return Err(Malformed);
    }
    let year = two(civil, 0)? * 100 + two(civil, 2)?;
    let (month, day) = (two(civil, 5)?, two(civil, 8)?);
    let (hour, minute, second) = (two(civil, 11)?, two(civil, 14)?, two(civil, 17)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return Err(Malformed);
    }
    let (micros, rest) = fraction(rest)?;
    let offset = utc_offset(rest)?;
    let seconds = days_from_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    Ok(Timestamp(seconds * MICROS_PER_SECOND + micros))
}

/// The two digits at `at`.
fn two(bytes: &[u8], at: usize) -> Result<i64, Rfc3339Error> {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return Err(Rfc3339Error::Malformed);
    }
    Ok(i64::from(tens * 10 + ones))
}

/// Microseconds of an optional `.digits`, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), Rfc3339Error> {
    let Some((b'.', rest)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return Err(Rfc3339Error::Malformed);
    }
    let counted = rest[..digits].iter().map(|digit| i64::from(digit - b'0'));
    let micros = counted.chain(std::iter::repeat(0)).take(6).fold(0, |micros, digit| micros * 10 + digit);
    Ok((micros, &rest[digits..]))
}

/// Seconds east of UTC.
fn utc_offset(rest: &[u8]) -> Result<i64, Rfc3339Error> {
    match rest {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(rest, 1)?, two(rest, 4)?);
            if hours > 23 || minutes > 59 {
                return Err(Rfc3339Error::Malformed);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        [] => Err(Rfc3339Error::NoOffset),
        _ => Err(Rfc3339Error::Malformed),
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that a leap day is the
/// last of its year (E. Richards, in the Explanatory Supplement to the Astronomical Almanac, 3rd ed., 15.11.3).
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days_before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    days_before_year + days_before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> Result<i64, Rfc3339Error> {
        parse_rfc3339(text).map(Timestamp::micros)
    }

    #[test]
    fn an_instant_is_taken_with_any_offset() {
        assert_eq!(micros("2025-06-06T10:00:01.123-04:00"), Ok(1_749_218_401_123_000));
        assert_eq!(micros("2025-06-06 14:00:01.123Z"), Ok(1_749_218_401_123_000));
        assert_eq!(micros("2025-06-06t14:00:01.123456789z"), Ok(1_749_218_401_123_456));
        assert_eq!(micros("2025-06-06T19:30:01.123+05:30"), Ok(1_749_218_401_123_000));
        assert_eq!(micros("1970-01-01T00:00:00-00:00"), Ok(0));
        assert_eq!(micros("0000-01-01T00:00:00Z").unwrap(), -62_167_219_200_000_000);
    }

    #[test]
    fn a_time_without_an_offset_is_not_guessed() {
        assert_eq!(micros("2025-06-06T10:00:01"), Err(Rfc3339Error::NoOffset));
        assert_eq!(micros("2025-06-06 10:00:01.5"), Err(Rfc3339Error::NoOffset));
    }

    #[test]
    fn what_is_no_rfc_3339_is_malformed() {
        for text in [
            "",
            "2025",
            "2025-06-06",
            "2025-06-06T10:00Z",
            "2025-06-06T10:00:01+0400",
            "2025-06-06T10:00:01+04",
            "2025-13-06T10:00:01Z",
            "2025-02-29T10:00:01Z",
            "2025-06-06T24:00:00Z",
            "2025-06-06T10:60:00Z",
            "2025-06-06T10:00:60Z",
            "2025-06-06T10:00:01.Z",
            "2025-06-06T10:00:01Z ",
            " 2025-06-06T10:00:01Z",
            "2025-06-06T10:00:01+24:00",
            "2025-06-06T10:00:01+04:60",
            "2025/06/06T10:00:01Z",
            "2025-06-06_10:00:01Z",
            "+025-06-06T10:00:01Z",
            "2025-06-06T10:00:01é",
            "２025-06-06T10:00:0",
            "2025-06-06T10:00:01-04:00[X]",
        ] {
            assert_eq!(micros(text), Err(Rfc3339Error::Malformed), "{text}");
        }
        assert!(micros("2024-02-29T10:00:01Z").is_ok());
        assert!(micros("1900-02-29T10:00:01Z").is_err());
    }

    #[test]
    fn the_start_of_an_interval_is_at_or_before_the_instant() {
        assert_eq!(Timestamp(61_000_000).floor(Timestamp::MINUTE), Timestamp(60_000_000));
        assert_eq!(Timestamp(60_000_000).floor(Timestamp::MINUTE), Timestamp(60_000_000));
        assert_eq!(Timestamp(-1).floor(Timestamp::DAY), Timestamp(-Timestamp::DAY));
        for micros in [-1, 0, 59_999_999, 60_000_000, 61_000_000, 119_999_999, 120_000_000] {
            let (instant, start) = (Timestamp(micros), Timestamp(60_000_000));
            assert_eq!(
                instant.is_within(start, Timestamp::MINUTE),
                instant.floor(Timestamp::MINUTE) == start,
                "{micros}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_instant_comes_back_from_its_text(at in 0_i64..253_402_300_799_000_000, offset in -1439_i32..1440) {
            let instant = jiff::Timestamp::from_microsecond(at).unwrap();
            prop_assert_eq!(micros(&instant.to_string()), Ok(at));
            let offset = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
            let local = instant.display_with_offset(offset).to_string();
            if jiff::Timestamp::from_microsecond(at + i64::from(offset.seconds()) * 1_000_000).is_ok() {
                prop_assert_eq!(micros(&local), Ok(at), "{}", local);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9TZz:.+ é]{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
