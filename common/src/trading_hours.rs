//! [`TradingHours`]: when an exchange trades.

use crate::Timestamp;
use jiff::civil::{Date, Time, Weekday, date};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Sessions are known from the first of these days to before the last.
const DAYS: (Date, Date) = (date(1990, 1, 1), date(2100, 1, 1));

/// The hours of continuous trading from Monday to Friday, or all hours of all days.
#[derive(Debug, Clone, PartialEq)]
pub struct TradingHours(Option<Hours>);

#[derive(Debug, Clone, PartialEq)]
struct Hours {
    zone: TimeZone,
    opens: Time,
    closes: Time,
}

impl TradingHours {
    /// Each session from its opening to its close, in order; none on `holidays`. A session is that
    /// of the day on which it ends, as exchanges count: one over midnight begins the evening
    /// before, so Monday's on Sunday. Each UTC day is a session of a market that never closes.
    #[must_use]
    pub fn sessions(&self, holidays: &BTreeSet<Holiday>) -> Vec<(Timestamp, Timestamp)> {
        let days = DAYS.0.series(jiff::ToSpan::day(1)).take_while(|day| *day < DAYS.1);
        let open = days.filter(|day| !holidays.contains(&Holiday(*day)));
        open.filter_map(|day| self.session(day)).collect()
    }

    fn session(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let Some(Hours { zone, opens, closes }) = &self.0 else {
            return Some((
                instant_of(day, Time::midnight(), &TimeZone::UTC)?,
                instant_of(day.tomorrow().ok()?, Time::midnight(), &TimeZone::UTC)?,
            ));
        };
        if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            return None;
        }
        let first = if closes > opens { day } else { day.yesterday().ok()? };
        Some((instant_of(first, *opens, zone)?, instant_of(day, *closes, zone)?))
    }
}

fn instant_of(day: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let instant = zone.to_timestamp(day.to_datetime(time)).ok()?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

impl FromStr for TradingHours {
    type Err = String;

    /// `always`, or a zone and two times, as `America/New_York 09:30-16:00`. An opening that is not
    /// before the close is one of the evening before.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "always" {
            return Ok(Self(None));
        }
        let wanted = || "expected `always`, or as `America/New_York 09:30-16:00`".to_owned();
        let (zone, hours) = text.split_once(' ').ok_or_else(wanted)?;
        let (opens, closes) = hours.split_once('-').ok_or_else(wanted)?;
        let time = |text: &str| text.trim().parse::<Time>().map_err(|_| wanted());
        let (opens, closes) = (time(opens)?, time(closes)?);
        let zone: crate::timestamp::TimeZone = zone.parse()?;
        Ok(Self(Some(Hours { zone: zone.into_inner(), opens, closes })))
    }
}

impl fmt::Display for TradingHours {
    /// As it is read.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Hours { zone, opens, closes }) = &self.0 else {
            return formatter.write_str("always");
        };
        let zone = zone.iana_name().unwrap_or("another zone");
        write!(formatter, "{zone} {}-{}", opens.strftime("%H:%M:%S"), closes.strftime("%H:%M:%S"))
    }
}

/// A day that has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday(Date);

impl fmt::Display for Holiday {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Holiday {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "expected a day such as 2026-12-25".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::parse_rfc3339;

    fn on(hours: &str, holidays: &[&str], day: &str) -> Option<(Timestamp, Timestamp)> {
        let holidays = holidays.iter().map(|day| day.parse().unwrap()).collect();
        let sessions = hours.parse::<TradingHours>().unwrap().sessions(&holidays);
        let day = parse_rfc3339(&format!("{day}T12:00:00Z")).unwrap().floor(Timestamp::DAY);
        sessions.into_iter().find(|(opens, _)| opens.is_within(day, Timestamp::DAY))
    }

    fn between(from: &str, to: &str) -> Option<(Timestamp, Timestamp)> {
        Some((parse_rfc3339(from).unwrap(), parse_rfc3339(to).unwrap()))
    }

    const NEW_YORK: &str = "America/New_York 09:30-16:00";

    #[test]
    fn sessions_follow_the_clocks_of_their_place() {
        assert_eq!(
            on(NEW_YORK, &[], "2025-01-06"),
            between("2025-01-06T14:30:00Z", "2025-01-06T21:00:00Z")
        );
        assert_eq!(
            on(NEW_YORK, &[], "2025-06-06"),
            between("2025-06-06T13:30:00Z", "2025-06-06T20:00:00Z")
        );
    }

    #[test]
    fn weekends_and_holidays_have_none() {
        assert_eq!(on(NEW_YORK, &[], "2025-06-07"), None);
        assert_eq!(on(NEW_YORK, &["2025-06-06"], "2025-06-06"), None);
    }

    #[test]
    fn a_session_over_midnight_is_that_of_the_day_on_which_it_ends() {
        const FUTURES: &str = "America/Chicago 17:00-16:00";
        let expected = between("2025-06-05T22:00:00Z", "2025-06-06T21:00:00Z");
        assert_eq!(on(FUTURES, &[], "2025-06-05"), expected);
        assert_eq!(on(FUTURES, &["2025-06-06"], "2025-06-05"), None);
        assert_eq!(on(FUTURES, &["2025-06-05"], "2025-06-05"), expected);
    }

    #[test]
    fn a_week_of_sessions_over_midnight_begins_on_sunday_and_ends_on_friday() {
        const FUTURES: &str = "America/New_York 18:00-17:00";
        assert_eq!(
            on(FUTURES, &[], "2025-06-08"),
            between("2025-06-08T22:00:00Z", "2025-06-09T21:00:00Z")
        );
        assert_eq!(on(FUTURES, &[], "2025-06-06"), None);
        assert_eq!(on(FUTURES, &[], "2025-06-07"), None);
    }

    #[test]
    fn a_market_may_never_close() {
        assert_eq!(
            on("always", &[], "2025-06-07"),
            between("2025-06-07T00:00:00Z", "2025-06-08T00:00:00Z")
        );
        let sessions = "always".parse::<TradingHours>().unwrap().sessions(&BTreeSet::new());
        assert!(sessions.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn what_is_no_session_is_refused() {
        for text in
            ["", "never", "Mars/Base 09:30-16:00", "UTC 9-16", "UTC 09:30", "UTC 25:00-26:00"]
        {
            assert!(text.parse::<TradingHours>().is_err(), "{text}");
        }
        assert!("christmas".parse::<Holiday>().is_err());
    }
}
