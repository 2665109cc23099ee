//! The words in a time's text: days and months by their names (RFC 2822, HTTP, JavaScript), and
//! what names a zone.

use super::date::Date;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The date of `Fri, 06 Jun 2025 14:00:01 GMT`, and what follows it. JavaScript writes `Fri Jun 06
/// 2025 14:00:01 GMT+0000`. A day of the week must be the date's.
pub(super) fn parts(text: &[u8]) -> Option<(Date, &[u8])> {
    let text = str::from_utf8(text).ok()?;
    let (first, behind) = text.split_once(' ')?;
    let weekday = WEEKDAYS.iter().position(|name| *name == first.trim_end_matches(','));
    let mut words = if weekday.is_some() { behind } else { text }.splitn(4, ' ');
    let (one, other, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_day_first = one.starts_with(|first: char| first.is_ascii_digit());
    let (day, month) = if is_day_first { (one, other) } else { (other, one) };
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let date = Date::new(number(year, 4..=4)?, month, number(day, 1..=2)?)?;
    // 1970 began on a Thursday.
    let is_right =
        weekday.is_none_or(|weekday| (date.days_from_epoch() + 3).rem_euclid(7) == weekday as i64);
    is_right.then_some((date, time.as_bytes()))
}

fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_one = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { text.parse().ok() } else { None }
}

/// Whether the text after an offset is empty, or what common programs write there:
/// `[America/New_York]` (Java), ` EDT` and ` m=+0.5` (Go), ` (Eastern Daylight Time)` (JavaScript).
pub(super) fn is_zone_name(behind: &[u8]) -> bool {
    let is_name = |inner: &[u8]| {
        !inner.is_empty()
            && inner.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(byte))
    };
    match behind {
        [] => true,
        [b'[', inner @ .., b']'] => is_name(inner),
        [b' ', b'(', inner @ .., b')'] => {
            inner.iter().all(|byte| matches!(byte, b' '..=b'~') && !b"()".contains(byte))
        }
        [b' ', words @ ..] => is_of_go(words),
        _ => false,
    }
}

/// `EDT`, or `-03` where a zone has no such name, and perhaps the reading of the monotonic clock.
fn is_of_go(words: &[u8]) -> bool {
    let (name, clock) = match words.iter().position(|byte| *byte == b' ') {
        Some(end) => (&words[..end], Some(&words[end + 1..])),
        None => (words, None),
    };
    let is_name = match name {
        [b'+' | b'-', digits @ ..] => {
            (2..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        name => (1..=6).contains(&name.len()) && name.iter().all(u8::is_ascii_uppercase),
    };
    let is_clock = |clock: &[u8]| match clock {
        [b'm', b'=', b'+' | b'-', rest @ ..] => {
            rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        }
        _ => false,
    };
    is_name && clock.is_none_or(is_clock)
}
