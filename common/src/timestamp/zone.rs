//! [`TimeZone`]: whose clock shows a time.

use super::instant::Timestamp;
use std::str::FromStr;

/// A zone of the IANA database, such as `America/New_York`.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeZone(pub(super) jiff::tz::TimeZone);

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some(place) = without_summer(name) {
            return Err(format!(
                "{name} has no summer time: name a place, as {place}, or {name} as an offset, \
                 Etc/GMT+N"
            ));
        }
        // Each machine's own, and one that is none.
        let is_a_place =
            !["localtime", "posixrules", "factory"].contains(&&*name.to_ascii_lowercase());
        let found = jiff::tz::TimeZone::get(name).ok().filter(|_| is_a_place);
        found.map(Self).ok_or_else(|| {
            "there is no such zone; expected a name such as America/New_York, Asia/Kolkata or \
             UTC"
            .to_owned()
        })
    }
}

/// Names that most take for a place's time, which they are in winter alone; and such a place.
fn without_summer(name: &str) -> Option<&'static str> {
    match name.to_ascii_uppercase().as_str() {
        "EST" => Some("America/New_York"),
        "MST" => Some("America/Denver"),
        "HST" => Some("Pacific/Honolulu"),
        _ => None,
    }
}

impl TimeZone {
    /// Whether clocks show midnight there.
    #[must_use]
    pub fn is_midnight(&self, at: Timestamp) -> bool {
        let instant = jiff::Timestamp::from_microsecond(at.micros());
        instant.is_ok_and(|instant| {
            self.0.to_datetime(instant).time() == jiff::civil::Time::midnight()
        })
    }

    pub(crate) fn into_inner(self) -> jiff::tz::TimeZone {
        self.0
    }

    /// The zone's name, such as `America/New_York`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("its zone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_one_of_the_iana_database() {
        assert_eq!("America/New_York".parse::<TimeZone>().unwrap().name(), "America/New_York");
        for name in ["", "Mars", "+05:30", "EST5EDT4", "EST", "mst", "localtime", "Factory"] {
            assert!(name.parse::<TimeZone>().is_err(), "{name}");
        }
    }

    #[test]
    fn midnight_is_that_of_the_zone() {
        let new_york: TimeZone = "America/New_York".parse().unwrap();
        let midnight = Timestamp(1_749_182_400_000_000);
        assert!(new_york.is_midnight(midnight) && !new_york.is_midnight(midnight.plus_micros(1)));
        assert!(!"UTC".parse::<TimeZone>().unwrap().is_midnight(midnight));
    }
}
