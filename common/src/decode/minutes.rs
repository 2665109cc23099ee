//! [`MinuteCache`]: timestamps of a stream, most of which share their minute and offset with the one before.

use super::text::{Literal, POWERS, Text};
use crate::Timestamp;
use crate::timestamp::parse_rfc3339;

/// The longest text that is tried.
const MAX_TEXT: usize = 48;
/// Of `2025-06-06T10:00:`.
const MINUTE_LEN: usize = 17;
/// Digits of a fraction that count.
const MICRO_DIGITS: usize = 6;

/// Reads RFC 3339 texts, and remembers the last minute.
#[derive(Debug, Default)]
pub(super) struct MinuteCache {
    /// `2025-06-06T10:00:` of the last timestamp that was parsed whole.
    minute: Literal,
    /// What followed its fraction, such as `-04:00`.
    offset: Literal,
    /// The minute's start, in microseconds of the epoch.
    start: i64,
}

impl MinuteCache {
    /// The timestamp that stands at `at`, in microseconds of the epoch, and the place of the quote that ends it.
    /// `None` for what is none.
    #[inline(always)]
    pub fn parse(&mut self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        self.parse_known(text, at).or_else(|| self.parse_new(text, at))
    }

    #[inline(always)]
    fn parse_known(&self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        let at = text.strip(at, &self.minute)?;
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

    #[cold]
    fn parse_new(&mut self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        let rest = text.rest(at);
        let len = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'"')?;
        let text = &rest[..len];
        let timestamp = parse_rfc3339(str::from_utf8(text).ok()?).ok()?;
        self.remember(text, timestamp);
        Some((timestamp.micros(), at + len))
    }

    fn remember(&mut self, text: &[u8], timestamp: Timestamp) {
        let fraction = text[19..].iter().take_while(|byte| matches!(byte, b'.' | b'0'..=b'9')).count();
        self.minute = Literal::new(&text[..MINUTE_LEN]);
        self.offset = Literal::new(&text[19 + fraction..]);
        // Offsets are whole minutes, so the minute begins at the same instant everywhere.
        self.start = timestamp.floor(Timestamp::MINUTE).micros();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A few minutes, so that most texts meet a minute that is known.
        #[test]
        fn every_text_is_read_as_without_the_cache(
            texts in proptest::collection::vec("2025-06-06[Tt ]10:0[01]:[0-6][0-9](\\.[0-9]{0,9})?(Z|z|-04:00|[+]05:30|)[ ]?", 1..20),
        ) {
            let mut cache = MinuteCache::default();
            for text in texts {
                let value = format!("{text}\",       ");
                let expected = parse_rfc3339(&text).ok().map(|timestamp| (timestamp.micros(), text.len()));
                prop_assert_eq!(cache.parse(Text::new(value.as_bytes()).unwrap(), 0), expected, "{}", text);
            }
        }
    }
}
