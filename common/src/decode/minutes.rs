//! [`MinuteCache`]: timestamps of a stream, most of which share their minute and offset with the
//! one before.

use super::text::{Literal, POWERS, Text};
use crate::Timestamp;
use crate::timestamp::TimeRules;

/// The longest text that is tried.
const MAX_TEXT: usize = 96;
/// The length of `2025-06-06T10:00:`.
const MINUTE_LEN: usize = 17;
/// Digits of a fraction that count.
const MICRO_DIGITS: usize = 6;

/// Within a minute that began before this, zones with offsets in seconds changed theirs.
const SINCE_WHOLE_MINUTES: i64 = 3 * 365 * Timestamp::DAY;

/// Reads times, and remembers the last minute.
#[derive(Debug)]
pub(super) struct MinuteCache {
    times: TimeRules,
    last: Option<Minute>,
}

#[derive(Debug)]
struct Minute {
    /// `2025-06-06T10:00:` of the last timestamp that was parsed whole.
    text: Literal,
    /// The text after its fraction, such as `-04:00`; empty where a zone was named.
    offset: Literal,
    /// The minute's start, in microseconds of the epoch.
    start: i64,
}

impl MinuteCache {
    pub fn new(times: TimeRules) -> Self {
        Self { times, last: None }
    }

    /// The timestamp at `at`, in microseconds of the epoch, and the position of the quote that ends
    /// it. `None` if it is none.
    #[inline(always)]
    pub fn parse(&mut self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        self.last
            .as_ref()
            .and_then(|known| known.parse(text, at))
            .or_else(|| self.parse_new(text, at))
    }

    #[cold]
    fn parse_new(&mut self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        let rest = text.rest(at);
        let len = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'"')?;
        let text = &rest[..len];
        let timestamp = self.times.parse_text(str::from_utf8(text).ok()?).ok()?;
        if timestamp.micros() >= SINCE_WHOLE_MINUTES {
            self.last = Minute::of(text, timestamp).or_else(|| self.last.take());
        }
        Some((timestamp.micros(), at + len))
    }
}

impl Minute {
    /// `text` is what `timestamp` was parsed from. `None` where it has no seconds, or a comma, or
    /// begins otherwise.
    fn of(text: &[u8], timestamp: Timestamp) -> Option<Self> {
        let (minute, rest) = text.split_at_checked(MINUTE_LEN)?;
        if (minute[4], minute[MINUTE_LEN - 1]) != (b'-', b':') {
            return None;
        }
        let rest = rest.get(2..).filter(|rest| !rest.starts_with(b","))?;
        let fraction = rest.iter().take_while(|byte| matches!(byte, b'.' | b'0'..=b'9')).count();
        Some(Self {
            text: Literal::new(minute),
            offset: Literal::new(&rest[fraction..]),
            // Offsets are whole minutes, so the minute begins at the same instant everywhere.
            start: timestamp.floor(Timestamp::MINUTE).micros(),
        })
    }

    #[inline(always)]
    fn parse(&self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        let at = text.strip(at, &self.text)?;
        let [tens, ones, point, ..] = text.word(at).to_le_bytes();
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if tens > 5 || ones > 9 {
            return None;
        }
        let second = self.start + i64::from(tens * 10 + ones) * 1_000_000;
        let (micros, end) = match point {
            b'.' => {
                let (fraction, digits) = text.digits(at + 3);
                let unit = POWERS.get(MICRO_DIGITS.checked_sub(digits)?)?;
                (second + fraction * unit, if digits > 0 { at + 3 + digits } else { return None })
            }
            _ => (second, at + 2),
        };
        let end = text.strip(end, &self.offset)?;
        (text.byte(end) == b'"').then_some((micros, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(zone: Option<&str>) -> TimeRules {
        TimeRules { zone: zone.map(|name| name.parse().unwrap()), ..TimeRules::default() }
    }

    #[test]
    fn a_new_cache_knows_no_minute() {
        let text = Text::new(b"15\",     ").unwrap();
        assert_eq!(MinuteCache::new(rules(None)).parse(text, 0), None);
    }

    fn agree(texts: &[String], rules: &TimeRules) -> Result<(), TestCaseError> {
        let mut cache = MinuteCache::new(rules.clone());
        for text in texts {
            let value = format!("{text}\",       ");
            let expected =
                rules.parse_text(text).ok().map(|timestamp| (timestamp.micros(), text.len()));
            prop_assert_eq!(
                cache.parse(Text::new(value.as_bytes()).unwrap(), 0),
                expected,
                "{}",
                text
            );
        }
        Ok(())
    }

    proptest! {
        /// A few minutes, so that most texts meet a minute that is known.
        #[test]
        fn every_text_is_read_as_without_the_cache(
            texts in proptest::collection::vec(
                "2025-06-06[Tt \
                 ]10:0[01](:[0-6][0-9]([.,][0-9]{0,9})?)?(Z|z|-04:00|-0400|[+]05:30|[+]05| UTC| \
                 -0400 EDT|\
                 -04:00\\[America/New_York\\]|)[ ]?|20250606-1[04]:00:0[0-9](\\.[0-9])?|\
                 6 Jun 2025 10:0[01]:0[0-9](\\.[0-9])? GMT|20250606T10000[0-9]Z", 1..20),
            zone: bool,
        ) {
            agree(&texts, &rules(zone.then_some("America/New_York")))?;
        }

        /// Around the hours that clocks leave out and repeat.
        #[test]
        fn every_time_of_a_zone_is_read_as_without_the_cache(
            texts in proptest::collection::vec("2025-(03-09|11-02)T0[0-3]:(00|59):[0-5][0-9](\\.5)?(-05:00)?", 1..20),
        ) {
            agree(&texts, &rules(Some("America/New_York")))?;
        }
    }
}
