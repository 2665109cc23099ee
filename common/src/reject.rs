//! Why a message or an archive line is no tick.

use crate::named::named_enum;
use crate::symbol::is_invisible;
use std::fmt;

named_enum! {
    /// The kind of a rejection: the `reason` column and the metric's label. The names are stable.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Reason {
        /// No value at all (a tombstone) or an empty one.
        Empty => "empty",
        /// Longer than [`crate::decode::MAX_VALUE_BYTES`].
        TooLarge => "too_large",
        /// Not valid UTF-8.
        NotUtf8 => "not_utf8",
        /// Not valid JSON.
        NotJson => "not_json",
        /// Valid JSON, but not an object.
        NotObject => "not_object",
        /// In a schema registry's format, but no values can be read by its schema.
        UnknownSchema => "unknown_schema",
        /// The bytes do not match the schema.
        NotOfSchema => "not_of_schema",
        /// A field that a tick needs is not there, or it is not clear which member it is.
        MissingField => "missing_field",
        /// A kind of message that the flags exclude, such as quotes in a feed of trades.
        OtherKind => "other_kind",
        /// The symbol is empty, too long or unprintable.
        BadSymbol => "bad_symbol",
        /// The time cannot be parsed.
        BadTimestamp => "bad_timestamp",
        /// A time without an offset that its zone never had: clocks went forward over it.
        NonexistentTime => "nonexistent_time",
        /// A time without an offset that its zone had twice: clocks went back over it.
        AmbiguousTime => "ambiguous_time",
        /// A time before `--oldest`, or more than a day ahead.
        TimestampOutOfRange => "timestamp_out_of_range",
        /// The price cannot be parsed, is zero or less, or has too many digits.
        BadPrice => "bad_price",
        /// The volume cannot be parsed, or is below zero.
        BadVolume => "bad_volume",
        /// high below, or low above, another price of the tick.
        InconsistentPrices => "inconsistent_prices",
        /// PostgreSQL refuses the tick, for example because of a constraint that somebody has
        /// added.
        RefusedByDatabase => "refused_by_database",
    }
}

/// A rejection: its kind, and a sentence for a person with the field and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The kind of reason.
    pub reason: Reason,
    /// A sentence for people, with the field and the value.
    pub detail: String,
}

impl Reject {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

/// At most 80 characters of `text`, for use in a sentence. Characters that would be invisible
/// there, or turn the rest of it, are escaped.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 80;
    let mut excerpt = String::new();
    for character in text.chars().take(LIMIT) {
        match character {
            ' ' => excerpt.push(' '),
            _ if character.is_ascii_control() => excerpt.extend(character.escape_debug()),
            _ if character.is_whitespace() || is_invisible(character) => {
                excerpt.extend(character.escape_unicode())
            }
            _ => excerpt.push(character),
        }
    }
    if text.chars().nth(LIMIT).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_manual_has_every_reason_and_no_other() {
        let manual = include_str!("../../docs/message-format.md");
        let (_, below) = manual.split_once("\n| reason | |\n").unwrap();
        let rows = below.lines().skip(1).take_while(|line| line.starts_with('|'));
        let first = rows.filter_map(|row| row.split('|').nth(1));
        let listed: BTreeSet<&str> =
            first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        assert_eq!(listed, BTreeSet::from(Reason::ALL.map(Reason::as_str)));
    }

    #[test]
    fn an_excerpt_is_short_and_has_no_control_characters() {
        assert_eq!(excerpt("\"a\u{0}\nb\""), "\"a\\0\\nb\"");
        assert_eq!(excerpt(&"é".repeat(90)), format!("{}…", "é".repeat(80)));
    }

    #[test]
    fn what_is_not_seen_is_escaped_in_an_excerpt() {
        for (text, expected) in [
            ("A\u{200b}B", "A\\u{200b}B"),
            ("A\u{202e}B", "A\\u{202e}B"),
            ("A\u{ad}\u{2060}", "A\\u{ad}\\u{2060}"),
            ("\u{7f}\u{85}", "\\u{7f}\\u{85}"),
            ("A\u{a0}", "A\\u{a0}"),
            ("A\u{16fe4}\u{fdd0}\u{3164}", "A\\u{16fe4}\\u{fdd0}\\u{3164}"),
            ("A\u{308} 茅 \t", "A\u{308} 茅 \\t"),
        ] {
            assert_eq!(excerpt(text), expected);
        }
    }
}
