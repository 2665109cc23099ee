//! [`Hour`]: an hour of UTC, the unit in which summaries are computed.

use common::Timestamp;
use common::timestamp::parse_rfc3339;
use service::pg::Timestamptz;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// An hour of UTC, ordered by time. It counts hours from 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The first of the year 2000, before which there was no Kafka.
    pub const OLDEST: Self = Self::of(Timestamp::from_micros(946_684_800_000_000));

    /// The hour that holds an instant.
    #[must_use]
    pub const fn of(instant: Timestamp) -> Self {
        Self(instant.micros().div_euclid(Timestamp::HOUR))
    }

    /// Its first instant.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(Timestamp::HOUR))
    }

    /// The hour `hours` later; earlier where that is negative.
    #[must_use]
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// The hours of a range, in order of time.
    pub fn each(range: Range<Self>) -> impl DoubleEndedIterator<Item = Self> {
        (range.start.0..range.end.0).map(Self)
    }

    /// Takes `2025-06-02T13` (UTC) or an RFC 3339 instant at the start of an hour, such as
    /// `2025-06-02T13:00:00Z`.
    ///
    /// # Errors
    /// A sentence for clap to show.
    pub fn parse(text: &str) -> Result<Self, String> {
        let full = if text.len() == "2025-06-02T13".len() {
            format!("{text}:00:00Z")
        } else {
            text.to_owned()
        };
        let instant = parse_rfc3339(&full).map_err(|_| {
            "expected an hour such as 2025-06-02T13 (UTC) or 2025-06-02T13:00:00Z".to_owned()
        })?;
        let hour = Self::of(instant);
        if hour.start() != instant {
            return Err("is not the start of an hour of UTC".into());
        }
        // The calendar's last instant lies as far before the year's end as the farthest zone is
        // from UTC.
        match jiff::Timestamp::from_microsecond(instant.micros()) {
            Ok(_) => Ok(hour),
            Err(_) => Err("lies beyond 9999-12-30".into()),
        }
    }

    /// Takes a day as well, such as `2025-06-02`, for its first hour.
    ///
    /// # Errors
    /// As [`Hour::parse`].
    pub fn parse_or_day(text: &str) -> Result<Self, String> {
        if text.len() == "2025-06-02".len() {
            Self::parse(&format!("{text}T00"))
        } else {
            Self::parse(text)
        }
    }
}

/// The hour that holds an instant of a row.
impl From<Timestamptz> for Hour {
    fn from(Timestamptz(instant): Timestamptz) -> Self {
        Self::of(instant)
    }
}

/// `2025-06-02T13:00Z`
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.start().to_string();
        let minute = text.strip_suffix(":00Z").map(|minute| format!("{minute}Z"));
        f.pad(&minute.unwrap_or(text))
    }
}

/// The least number of whole hours that last at least `duration`.
#[must_use]
pub fn hours_covering(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis().div_ceil(3_600_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_written_short_or_as_an_instant_with_any_offset() {
        let hour = Hour::parse("2025-06-02T13").unwrap();
        assert_eq!(hour.to_string(), "2025-06-02T13:00Z");
        assert_eq!(Hour::parse("2025-06-02T09:00:00-04:00"), Ok(hour));
        assert_eq!(Hour::parse("2025-06-02T13:00:00.000Z"), Ok(hour));
        assert_eq!(Hour::parse_or_day("2025-06-02T13"), Ok(hour));
        assert_eq!(Hour::parse_or_day("2025-06-02"), Ok(hour.plus(-13)));
        assert!(Hour::parse("2025-06-02").is_err() && Hour::parse_or_day("2025-06-0x").is_err());
        for text in [
            "9999-12-31T23",
            "",
            "2025-06-02",
            "2025-06-02T13:30:00Z",
            "2025-06-02T18:30:00+05:30Z",
            "2025-06-02T24",
            "13",
        ] {
            assert!(Hour::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_before_1970_has_the_hour_that_began_before_it() {
        assert_eq!(Hour::of(Timestamp::from_micros(-1)), Hour(-1));
        assert_eq!(Hour(-1).start().micros(), -Timestamp::HOUR);
    }

    #[test]
    fn a_part_of_an_hour_needs_a_whole_one() {
        let hours = |seconds| hours_covering(Duration::from_secs(seconds));
        assert_eq!([hours(0), hours(1), hours(3600), hours(3601)], [0, 1, 1, 2]);
        assert_eq!(hours_covering(Duration::from_millis(1)), 1);
    }
}
