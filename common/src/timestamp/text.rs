//! A time's text as an instant: RFC 3339, and what common serializers make of it.

use super::date::Date;
use super::instant::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use super::worded;
use super::zone::TimeZone;
use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;

/// Why a text is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeError {
    /// A date or time, but nothing that says which instant: guessing a zone would be wrong half of
    /// the year.
    NoOffset,
    /// In the zone there was no such time: clocks went forward over it.
    Nonexistent,
    /// In the zone there was this time twice: clocks went back over it.
    Ambiguous,
    /// No time that is known here.
    Malformed,
}

/// A date and time of day, as it is written.
struct Civil {
    date: Date,
    /// Seconds of the day, and microseconds of that second.
    second: i64,
    micros: i64,
}

/// The instant that a text names. Date and time may be parted by a space, seconds may be left out,
/// the fraction may follow a comma, and the offset may lack its colon or its minutes, have a blank
/// in front, and the zone's name after it. Dates without dashes (ISO 8601's basic form, and FIX's,
/// which is UTC), and with the month's name (RFC 2822), are read as well. A text without an offset,
/// or without a time at all, is a time of `zone`, or its midnight. Digits below a microsecond are
/// cut off, so that a tick stays in its minute. A leap second (`:60`) is malformed.
///
/// Own code, because this runs for every tick: a property test holds it against jiff.
pub(super) fn parse(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, TimeError> {
    let (civil, offset) = parse_civil(text.as_bytes())?;
    match (offset, zone) {
        (Some(offset), _) => Ok(civil.at_offset(offset)),
        (None, Some(zone)) => civil.in_zone(zone),
        (None, None) => Err(TimeError::NoOffset),
    }
}

fn parse_civil(bytes: &[u8]) -> Result<(Civil, Option<i64>), TimeError> {
    let Some((date, rest)) =
        bytes.split_at_checked(10).filter(|(date, _)| (date[4], date[7]) == (b'-', b'-'))
    else {
        return civil_otherwise(bytes);
    };
    let year = two(date, 0)? * 100 + two(date, 2)?;
    let date = Date::new(year, two(date, 5)?, two(date, 8)?).ok_or(TimeError::Malformed)?;
    let (second, micros, offset) = match rest {
        [] => (0, 0, None),
        [b'T' | b't' | b' ', time @ ..] => time_of_day(time)?,
        _ => return Err(TimeError::Malformed),
    };
    Ok((Civil { date, second, micros }, offset))
}

/// `20250606T140001Z`, FIX's `20250606-14:00:01`, or with the month's name.
#[cold]
fn civil_otherwise(bytes: &[u8]) -> Result<(Civil, Option<i64>), TimeError> {
    let (date, (second, micros, offset)) = match bytes.split_at_checked(8) {
        Some((date, rest)) if date.iter().all(u8::is_ascii_digit) => {
            let date = Date::new(two(date, 0)? * 100 + two(date, 2)?, two(date, 4)?, two(date, 6)?);
            let date = date.ok_or(TimeError::Malformed)?;
            let time = match rest {
                [b'-', time @ ..] => fix_time_of_day(time)?,
                [b'T' | b't' | b' ', _, _, b':', ..] => time_of_day(&rest[1..])?,
                [b'T' | b't' | b' ', time @ ..] => basic_time_of_day(time)?,
                _ => return Err(TimeError::Malformed),
            };
            (date, time)
        }
        _ => {
            let (date, time) = worded::parts(bytes).ok_or(TimeError::Malformed)?;
            (date, time_of_day(time)?)
        }
    };
    Ok((Civil { date, second, micros }, offset))
}

/// Seconds of the day, microseconds, and the offset, if there is one.
fn time_of_day(time: &[u8]) -> Result<(i64, i64, Option<i64>), TimeError> {
    let (clock, rest) = time
        .split_at_checked(5)
        .filter(|(clock, _)| clock[2] == b':')
        .ok_or(TimeError::Malformed)?;
    let (seconds, rest) = match rest {
        [b':', seconds @ ..] => seconds.split_at_checked(2).map(|(two, rest)| (Some(two), rest)),
        rest => Some((None, rest)),
    }
    .ok_or(TimeError::Malformed)?;
    clock_time([&clock[..2], &clock[3..], seconds.unwrap_or(b"00")], seconds.is_some(), rest)
}

/// The same for FIX. A text like its `UTCTimestamp` (`14:00:01`, with a fraction or without) is UTC
/// without saying so. A `TZTimestamp` has its offset.
fn fix_time_of_day(time: &[u8]) -> Result<(i64, i64, Option<i64>), TimeError> {
    let (second, micros, offset) = time_of_day(time)?;
    let is_utc = matches!(time.get(5..), Some([b':', _, _] | [b':', _, _, b'.', ..]));
    Ok((second, micros, offset.or(is_utc.then_some(0))))
}

/// The time of day without colons.
fn basic_time_of_day(time: &[u8]) -> Result<(i64, i64, Option<i64>), TimeError> {
    let digits = time.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (clock, rest) = time.split_at(digits);
    match digits {
        4 => clock_time([&clock[..2], &clock[2..], b"00"], false, rest),
        6 => clock_time([&clock[..2], &clock[2..4], &clock[4..]], true, rest),
        _ => Err(TimeError::Malformed),
    }
}

/// Hours, minutes and seconds, two digits each, and the text after them: a fraction only after
/// seconds.
fn clock_time(
    [hour, minute, second]: [&[u8]; 3],
    has_seconds: bool,
    rest: &[u8],
) -> Result<(i64, i64, Option<i64>), TimeError> {
    let (hour, minute, second) = (two(hour, 0)?, two(minute, 0)?, two(second, 0)?);
    let (micros, rest) = if has_seconds { fraction(rest)? } else { (0, rest) };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(TimeError::Malformed);
    }
    Ok((hour * 3600 + minute * 60 + second, micros, utc_offset(rest)?))
}

impl Civil {
    fn at_offset(&self, offset: i64) -> Timestamp {
        let seconds = self.date.days_from_epoch() * SECONDS_PER_DAY + self.second - offset;
        Timestamp(seconds * MICROS_PER_SECOND + self.micros)
    }

    fn in_zone(&self, zone: &TimeZone) -> Result<Timestamp, TimeError> {
        // All of them are in range: years have four digits, and the rest was looked at.
        let time =
            [self.second / 3600, self.second / 60 % 60, self.second % 60].map(|part| part as i8);
        let date = (self.date.year as i16, self.date.month as i8, self.date.day as i8);
        let written = DateTime::new(date.0, date.1, date.2, time[0], time[1], time[2], 0);
        let written = written.map_err(|_| TimeError::Malformed)?;
        match zone.0.to_ambiguous_timestamp(written).offset() {
            AmbiguousOffset::Unambiguous { offset } => Ok(self.at_offset(offset.seconds().into())),
            AmbiguousOffset::Gap { .. } => Err(TimeError::Nonexistent),
            AmbiguousOffset::Fold { .. } => Err(TimeError::Ambiguous),
        }
    }
}

/// The two digits at `at`.
fn two(bytes: &[u8], at: usize) -> Result<i64, TimeError> {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return Err(TimeError::Malformed);
    }
    Ok(i64::from(tens * 10 + ones))
}

/// Microseconds of an optional `.digits`, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.' | b',', rest)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return Err(TimeError::Malformed);
    }
    let counted = rest[..digits].iter().map(|digit| i64::from(digit - b'0'));
    let micros =
        counted.chain(std::iter::repeat(0)).take(6).fold(0, |micros, digit| micros * 10 + digit);
    Ok((micros, &rest[digits..]))
}

/// Seconds east of UTC; `None` where the text has none. A zone's name after them is passed over:
/// they say more.
fn utc_offset(rest: &[u8]) -> Result<Option<i64>, TimeError> {
    let (sign, hours, minutes, behind) = match rest {
        [] => return Ok(None),
        [b'Z' | b'z', behind @ ..] => (b'+', 0, 0, behind),
        [sign @ (b'+' | b'-'), _, _, b':', _, _, behind @ ..] => {
            (*sign, two(rest, 1)?, two(rest, 4)?, behind)
        }
        [sign @ (b'+' | b'-'), _, _, b'0'..=b'9', _, behind @ ..] => {
            (*sign, two(rest, 1)?, two(rest, 3)?, behind)
        }
        [sign @ (b'+' | b'-'), _, _, behind @ ..] => (*sign, two(rest, 1)?, 0, behind),
        // JavaScript writes the zone and the offset from it.
        [b' ', b'G', b'M', b'T', b'+' | b'-', ..] => return utc_offset(&rest[4..]),
        [b' ', b'U', b'T', b'C', behind @ ..] | [b' ', b'G', b'M', b'T', behind @ ..] => {
            (b'+', 0, 0, behind)
        }
        [b' ', b'Z' | b'z' | b'+' | b'-', ..] => return utc_offset(&rest[1..]),
        _ => return Err(TimeError::Malformed),
    };
    if hours > 23 || minutes > 59 || !worded::is_zone_name(behind) {
        return Err(TimeError::Malformed);
    }
    let seconds = hours * 3600 + minutes * 60;
    Ok(Some(if sign == b'-' { -seconds } else { seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> Result<i64, TimeError> {
        parse(text, None).map(Timestamp::micros)
    }

    fn new_york(text: &str) -> Result<String, TimeError> {
        parse(text, Some(&"America/New_York".parse().unwrap())).map(|instant| instant.to_string())
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
    fn what_serializers_leave_out_is_not_needed() {
        for text in [
            "2025-06-06T14:00:00+0000",
            "2025-06-06T10:00:00-04",
            "2025-06-06T10:00-0400",
            "2025-06-06T14:00Z",
            "2025-06-06 14:00z",
            "2025-06-06T19:30+05:30",
            "2025-06-06T14:00:00,000Z",
        ] {
            assert_eq!(micros(text), Ok(1_749_218_400_000_000), "{text}");
        }
        assert_eq!(micros("2025-06-06T14:00:00,5+00"), Ok(1_749_218_400_500_000));
    }

    #[test]
    fn the_name_of_a_zone_behind_the_offset_is_passed_over() {
        for text in [
            "2025-06-06T10:00:01-04:00[America/New_York]",
            "2025-06-06T14:00:01Z[UTC]",
            "2025-06-06T14:00:01Z[Etc/GMT+5]",
            "2025-06-06 10:00:01 -0400",
            "2025-06-06 14:00:01 +00:00",
            "2025-06-06 14:00:01 Z",
            "2025-06-06 14:00:01 UTC",
            "2025-06-06 14:00:01 GMT",
            "2025-06-06 10:00:01 -0400 EDT",
            "2025-06-06 11:00:01 -0300 -03",
            "2025-06-06 10:00:01 -0400 EDT m=+0.000012345",
            "Fri Jun 06 2025 10:00:01 GMT-0400 (Eastern Daylight Time)",
        ] {
            assert_eq!(micros(text), Ok(1_749_218_401_000_000), "{text}");
        }
    }

    #[test]
    fn dates_without_dashes_and_with_the_months_name_are_read() {
        for text in [
            "20250606T140001Z",
            "20250606T100001-0400",
            "20250606T140001.000+00:00",
            "20250606T14:00:01Z",
            "Fri, 06 Jun 2025 14:00:01 GMT",
            "Fri, 6 Jun 2025 10:00:01 -0400",
            "6 Jun 2025 14:00:01 +0000",
        ] {
            assert_eq!(micros(text), Ok(1_749_218_401_000_000), "{text}");
        }
        assert_eq!(micros("20250606T1400Z"), Ok(1_749_218_400_000_000));
        for text in ["20250606T100001.5", "20250606-10:00:01,5", "06 Jun 2025 10:00:01.5"] {
            assert_eq!(micros(text), Err(TimeError::NoOffset), "{text}");
            assert_eq!(new_york(text).unwrap(), "2025-06-06T14:00:01.5Z");
        }
        assert_eq!(micros("20250606-10:00"), Err(TimeError::NoOffset));
    }

    #[test]
    fn fix_writes_utc_without_saying_so() {
        for (text, instant) in [
            ("20250606-14:00:01", 1_749_218_401_000_000),
            ("20250606-14:00:01.123", 1_749_218_401_123_000),
            ("20250606-14:00:01.123456", 1_749_218_401_123_456),
            ("20250606-14:00:01.123456789", 1_749_218_401_123_456),
            ("20250606-14:00:01.123456789012", 1_749_218_401_123_456),
            // With an offset it is a `TZTimestamp`.
            ("20250606-10:00:01.123-04", 1_749_218_401_123_000),
            ("20250606-19:30:01.123+05:30", 1_749_218_401_123_000),
            ("20250606-14:00:01.123Z", 1_749_218_401_123_000),
            ("20250606-10:00-04", 1_749_218_400_000_000),
        ] {
            assert_eq!(micros(text), Ok(instant), "{text}");
            let zone = "America/New_York".parse().unwrap();
            assert_eq!(parse(text, Some(&zone)), Ok(Timestamp(instant)), "{text}");
        }
        // Not even in an hour that New York did not have.
        assert_eq!(new_york("20250309-02:30:00").unwrap(), "2025-03-09T02:30:00Z");
        for text in ["20250606-14:00:60", "20250606-24:00:00", "20250606-14:00:01.", "20250606-"] {
            assert_eq!(micros(text), Err(TimeError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_not_guessed() {
        for text in
            ["2025-06-06T10:00:01", "2025-06-06 10:00:01.5", "2025-06-06T10:00", "2025-06-06"]
        {
            assert_eq!(micros(text), Err(TimeError::NoOffset), "{text}");
        }
    }

    #[test]
    fn in_a_zone_that_was_named_a_time_needs_no_offset() {
        assert_eq!(new_york("2025-06-06 10:00:01.123456").unwrap(), "2025-06-06T14:00:01.123456Z");
        assert_eq!(new_york("2025-01-06T10:00").unwrap(), "2025-01-06T15:00:00Z");
        assert_eq!(new_york("2025-06-06").unwrap(), "2025-06-06T04:00:00Z");
        assert_eq!(new_york("2025-06-06T10:00:00+02:00").unwrap(), "2025-06-06T08:00:00Z");
    }

    #[test]
    fn an_hour_that_does_not_exist_or_exists_twice_is_none() {
        assert_eq!(new_york("2025-03-09T01:59:59.9").unwrap(), "2025-03-09T06:59:59.9Z");
        assert_eq!(new_york("2025-03-09T02:00:00"), Err(TimeError::Nonexistent));
        assert_eq!(new_york("2025-03-09T02:59:59"), Err(TimeError::Nonexistent));
        assert_eq!(new_york("2025-03-09T03:00:00").unwrap(), "2025-03-09T07:00:00Z");
        assert_eq!(new_york("2025-11-02T00:59:59").unwrap(), "2025-11-02T04:59:59Z");
        assert_eq!(new_york("2025-11-02T01:00:00"), Err(TimeError::Ambiguous));
        assert_eq!(new_york("2025-11-02T01:59:59.999"), Err(TimeError::Ambiguous));
        assert_eq!(new_york("2025-11-02T02:00:00").unwrap(), "2025-11-02T07:00:00Z");
        assert_eq!(new_york("2025-11-02T01:30:00-05:00").unwrap(), "2025-11-02T06:30:00Z");
        // A day that began at one o'clock.
        let sao_paulo = "America/Sao_Paulo".parse().unwrap();
        assert_eq!(parse("2018-11-04", Some(&sao_paulo)), Err(TimeError::Nonexistent));
    }

    #[test]
    fn what_is_no_such_text_is_malformed() {
        for text in [
            "",
            "2025",
            "2025-06",
            "2025-06-06T",
            "2025-06-06Z",
            "2025-06-06T10",
            "2025-06-06T10Z",
            "2025-06-06T10:00.5Z",
            "2025-06-06T10:00.0Z",
            "2025-06-06T10:00:Z",
            "2025-06-06T10:00:01+4",
            "2025-06-06T10:00:01+040",
            "2025-06-06T10:00:01+04:0",
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
            "06/06/2025",
            "2025-06-06_10:00:01Z",
            "+025-06-06T10:00:01Z",
            "2025-06-06T10:00:01é",
            "２025-06-06T10:00:0",
            "2025-06-06T10:00:01[America/New_York]",
            "2025-06-06T10:00:01-04:00[]",
            "2025-06-06T10:00:01-04:00[X",
            "2025-06-06T10:00:01-04:00 ",
            "2025-06-06T10:00:01-04:00 edt",
            "2025-06-06 10:00:01 EDT",
            "2025-06-06 10:00:01  +0000",
            "2025-06-06T10:00:01UTC",
            "2025-06-06 UTC",
            "20250606T10Z",
            "20250606T1000011Z",
            "20250606T100060Z",
            "20251306T100000Z",
            "20250606-100001Z",
            "20250606Z",
            "20250606",
            "Sat, 06 Jun 2025 14:00:01 GMT",
            "Fri, 31 Jun 2025 14:00:01 GMT",
            "Fri, 06 Jux 2025 14:00:01 GMT",
            "Fri, 006 Jun 2025 14:00:01 GMT",
            "Fri, 06 Jun 25 14:00:01 GMT",
            "Fri, 06 Jun 2025 14:00:01 EST",
            "Fri Jun 06 14:00:01 2025",
        ] {
            assert_eq!(micros(text), Err(TimeError::Malformed), "{text}");
        }
        assert!(micros("2024-02-29T10:00:01Z").is_ok());
        assert!(micros("1900-02-29T10:00:01Z").is_err());
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
                let (head, minutes) = local.split_at(local.len() - 3);
                prop_assert_eq!(micros(&format!("{head}{}", &minutes[1..])), Ok(at), "{}", local);
            }
        }

        /// Times of New York from 1970 on, those in folds and gaps aside.
        #[test]
        fn a_time_in_a_zone_comes_back(at in 0_i64..4_102_444_800) {
            let zone: TimeZone = "America/New_York".parse().unwrap();
            let local = zone.0.to_datetime(jiff::Timestamp::from_second(at).unwrap());
            match parse(&local.to_string(), Some(&zone)) {
                Ok(instant) => prop_assert_eq!(instant.micros(), at * 1_000_000),
                Err(error) => prop_assert_eq!((error, local.hour(), local.month() >= 10), (TimeError::Ambiguous, 1, true)),
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "([-0-9TZz:.,+ é\\[\\]()]|2025|0606|Fri, |Jun | GMT| \
            m=){0,40}") {
            let zone = "Europe/Berlin".parse().unwrap();
            let _ = (parse(&text, None), parse(&text, Some(&zone)));
        }
    }
}
