//! [`EpochUnit`]: a number since 1970 as an instant.

use super::instant::Timestamp;
use crate::Named;
use crate::decimal::{self, Rounding};

/// The unit of a number since 1970-01-01T00:00:00Z, or since .NET's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EpochUnit {
    /// The unit that the number's magnitude tells.
    #[default]
    Auto,
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// .NET's ticks: 100 nanoseconds since 0001-01-01T00:00:00Z.
    DotNet,
}

/// Microseconds from the year 1 to 1970.
const BEFORE_1970: i64 = 62_135_596_800_000_000;

impl Named for EpochUnit {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::Auto,
            "auto",
            "Seconds below 10^11, milliseconds below 10^14, microseconds below 10^17, then \
             nanoseconds: right for every instant from 1973-03-03 on, but for numbers from 6.2 to \
             7.0 * 10^17, which are rejected: these are nanoseconds until 1992-03-08, or .NET's \
             ticks",
        ),
        (Self::S, "s", "Seconds"),
        (Self::Ms, "ms", "Milliseconds"),
        (Self::Us, "us", "Microseconds"),
        (Self::Ns, "ns", "Nanoseconds"),
        (Self::DotNet, "dotnet", ".NET's ticks in UTC: 100 nanoseconds since the year 1"),
    ];
}

impl EpochUnit {
    /// The unit of a number with this whole part: never [`EpochUnit::Auto`].
    #[must_use]
    #[inline]
    pub const fn of(self, whole: i64) -> Self {
        match (self, whole.unsigned_abs()) {
            (Self::Auto, 0..100_000_000_000) => Self::S,
            (Self::Auto, 0..100_000_000_000_000) => Self::Ms,
            (Self::Auto, 0..100_000_000_000_000_000) => Self::Us,
            (Self::Auto, _) => Self::Ns,
            (pinned, _) => pinned,
        }
    }

    /// Whether a number with this whole part may be .NET's ticks of 1965 to 2219, and nobody has
    /// said that it is nanoseconds, of 1989 to 1992 then.
    #[must_use]
    #[inline]
    pub const fn may_be_dotnet(self, whole: i64) -> bool {
        matches!(self, Self::Auto)
            && matches!(whole, 620_000_000_000_000_000..=700_000_000_000_000_000)
    }

    /// Microseconds since 1970 of this many of .NET's ticks; `None` for what is beyond all
    /// instants.
    #[must_use]
    #[inline]
    pub const fn micros_of_dotnet(ticks: i64) -> Option<i64> {
        (ticks / 10).checked_sub(BEFORE_1970)
    }

    /// The instant of `number`, a number in JSON's grammar. Digits below a microsecond are cut off.
    /// `None` for what lies beyond all instants.
    #[must_use]
    pub fn parse(self, number: &str) -> Option<Timestamp> {
        let whole = decimal::parse(number, 0, Rounding::Down).ok()?;
        let scale = match self.of(whole) {
            Self::Auto | Self::S => 6,
            Self::Ms => 3,
            Self::Us => 0,
            Self::Ns => -3,
            Self::DotNet => return Self::micros_of_dotnet(whole).map(Timestamp),
        };
        decimal::parse(number, scale, Rounding::Down).ok().map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: i64 = 1_749_218_401_123_456;

    #[test]
    fn the_unit_follows_from_the_magnitude() {
        for (number, micros) in [
            ("1749218401", 1_749_218_401_000_000),
            ("1749218401123", 1_749_218_401_123_000),
            ("1749218401123456", AT),
            ("1749218401123456789", AT),
            ("1749218401.123456", AT),
            ("1749218401.1234569", AT),
            ("1.749218401123456E9", AT),
            ("1749218401123.456", AT),
            ("1749218401123456.7", AT),
            ("100000000", 100_000_000_000_000),
            ("99999999999", 99_999_999_999_000_000),
            ("100000000000", 100_000_000_000_000),
            ("-1", -1_000_000),
        ] {
            assert_eq!(EpochUnit::Auto.parse(number), Some(Timestamp(micros)), "{number}");
        }
    }

    #[test]
    fn a_pinned_unit_is_not_guessed() {
        assert_eq!(EpochUnit::Ms.parse("1749218401"), Some(Timestamp(1_749_218_401_000)));
        assert_eq!(EpochUnit::S.parse("1749218401123"), Some(Timestamp(1_749_218_401_123_000_000)));
        assert_eq!(EpochUnit::Ns.parse("1999"), Some(Timestamp(1)));
        assert_eq!(EpochUnit::S.parse("9223372036855"), None);
        assert_eq!(EpochUnit::Auto.parse("1e300"), None);
    }

    #[test]
    fn ticks_of_dotnet_are_counted_from_the_year_1() {
        for (ticks, micros) in [
            // `new DateTime(1970, 1, 1).Ticks`
            ("621355968000000000", 0),
            ("638848152011234560", AT),
            ("638848152011234569", AT),
            ("638848152011234569.9", AT),
            ("6.3884815201123456E17", AT),
            ("0", -BEFORE_1970),
        ] {
            assert_eq!(EpochUnit::DotNet.parse(ticks), Some(Timestamp(micros)), "{ticks}");
        }
        let year_1 = crate::timestamp::parse_rfc3339("0001-01-01T00:00:00Z");
        assert_eq!(year_1, Ok(Timestamp(-BEFORE_1970)));
        assert!(EpochUnit::DotNet.parse("-9223372036854775808").is_some(), "no overflow");
        assert!(EpochUnit::Auto.may_be_dotnet(638_848_152_011_234_560));
        assert!(!EpochUnit::Ns.may_be_dotnet(638_848_152_011_234_560));
        // 2001-01-01 and 2200-01-01.
        let century = [631_139_040_000_000_000, 693_937_152_000_000_000];
        assert!(century.iter().all(|ticks| EpochUnit::Auto.may_be_dotnet(*ticks)));
        // Seconds, milliseconds and microseconds of today, and nanoseconds of 1993 to 2200.
        for whole in [1_749_218_401, 1_749_218_401_123, AT, 725_846_400_000_000_000, AT * 1000] {
            assert!(!EpochUnit::Auto.may_be_dotnet(whole), "{whole}");
        }
    }

    proptest! {
        /// Times from 1973-03-03 to the last instant that nanoseconds hold.
        #[test]
        fn an_instant_comes_back_from_every_unit(at in 100_000_000_000_000_i64..9_223_372_036_854_775) {
            let auto = |number: String| EpochUnit::Auto.parse(&number).map(Timestamp::micros);
            prop_assert_eq!(auto(format!("{}", at / 1_000_000)), Some(at / 1_000_000 * 1_000_000));
            prop_assert_eq!(auto(format!("{}", at / 1000)), Some(at / 1000 * 1000));
            prop_assert_eq!(auto(format!("{at}")), Some(at));
            prop_assert_eq!(auto(format!("{at}999")), Some(at));
            prop_assert_eq!(auto(format!("{}.{:06}", at / 1_000_000, at % 1_000_000)), Some(at));
        }
    }
}
