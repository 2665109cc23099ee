//! [`TimeRules`]: what a message's time may look like, and what it means.

use super::epoch::EpochUnit;
use super::instant::Timestamp;
use super::text::{self, TimeError};
use super::zone::TimeZone;

/// How the time of a message is read.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeRules {
    /// The unit of a number.
    pub unit: EpochUnit,
    /// The zone of times and dates without an offset. `None`: those are rejected.
    pub zone: Option<TimeZone>,
    /// The earliest time that a tick may have.
    pub oldest: Timestamp,
}

impl TimeRules {
    /// 1990-01-01T00:00:00Z.
    pub const OLDEST: Timestamp = Timestamp(631_152_000_000_000);

    /// The instant that a text names.
    ///
    /// # Errors
    /// If the text is no time: see [`TimeError`].
    pub fn parse_text(&self, text: &str) -> Result<Timestamp, TimeError> {
        text::parse(text, self.zone.as_ref())
    }
}

impl Default for TimeRules {
    fn default() -> Self {
        Self { unit: EpochUnit::Auto, zone: None, oldest: Self::OLDEST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_time_is_the_start_of_1990() {
        assert_eq!(TimeRules::OLDEST.to_string(), "1990-01-01T00:00:00Z");
    }
}
