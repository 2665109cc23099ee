//! [`Timestamp`], and [`TimeBounds`] between two of them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const SECONDS_PER_DAY: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub(super) i64);

impl Timestamp {
    /// Microseconds of a minute.
    pub const MINUTE: i64 = 60 * MICROS_PER_SECOND;
    /// Microseconds of an hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// Microseconds of a day.
    pub const DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

    /// The time this many microseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The system clock.
    #[must_use]
    pub fn now() -> Self {
        // A clock before 1970 is a broken machine; every tick is then in the future and kept aside
        // as such.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// The start of the interval of `width` microseconds that holds this instant, counted from the
    /// epoch (so days and hours are UTC's).
    #[must_use]
    #[inline]
    pub const fn floor(self, width: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(width))
    }

    /// Whether this instant lies in [start, start + `width` microseconds). Where most instants
    /// share their interval with the one before, this is what to ask before [`Timestamp::floor`],
    /// which divides.
    #[must_use]
    #[inline]
    pub const fn is_within(self, start: Self, width: i64) -> bool {
        let since = self.0 - start.0;
        0 <= since && since < width
    }

    /// The time this many microseconds later, or the first or last one that there is.
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

/// The instants that a tick's time may be, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBounds {
    /// The earliest instant.
    pub oldest: Timestamp,
    /// The latest.
    pub latest: Timestamp,
}

impl TimeBounds {
    /// The bounds from 1970 to `latest`.
    #[must_use]
    pub const fn until(latest: Timestamp) -> Self {
        Self { oldest: Timestamp(0), latest }
    }

    /// One instant, of a tick that was believed before.
    #[must_use]
    pub const fn only(instant: Timestamp) -> Self {
        Self { oldest: instant, latest: instant }
    }

    /// Whether `instant` is within them.
    #[must_use]
    #[inline]
    pub fn contain(&self, instant: Timestamp) -> bool {
        self.oldest <= instant && instant <= self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
