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
pub(super) struct MinuteCache(Option<Minute>);

#[derive(Debug)]
struct Minute {
    /// `2025-06-06T10:00:` of the last timestamp that was parsed whole.
    text: Literal,
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
        self.0.as_ref().and_then(|known| known.parse(text, at)).or_else(|| self.parse_new(text, at))
    }

    #[cold]
    fn parse_new(&mut self, text: Text<'_>, at: usize) -> Option<(i64, usize)> {
        let rest = text.rest(at);
        let len = rest.iter().take(MAX_TEXT).position(|byte| *byte == b'"')?;
        let text = &rest[..len];
        let timestamp = parse_rfc3339(str::from_utf8(text).ok()?).ok()?;
        self.0 = Some(Minute::of(text, timestamp));
        Some((timestamp.micros(), at + len))
    }
}

impl Minute {
    /// `text` is what `timestamp` was parsed from.
    fn of(text: &[u8], timestamp: Timestamp) -> Self {
        let fraction = text[19..].iter().take_while(|byte| matches!(byte, b'.' | b'0'..=b'9')).count();
        Self {
            text: Literal::new(&text[..MINUTE_LEN]),
            offset: Literal::new(&text[19 + fraction..]),
            // Offsets are whole minutes, so the minute begins at the same instant everywhere.
            start: timestamp.floor(Timestamp::MINUTE).micros(),
        }
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

    #[test]
    fn a_new_cache_knows_no_minute() {
        let text = Text::new(b"15\",     ").unwrap();
        assert_eq!(MinuteCache::default().parse(text, 0), None);
    }

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
