//! [`Extras`]: a tick's optional fields other than prices and volume: quotes, sale conditions, the
//! feed's own number.
//!
//! None of it makes or unmakes a tick. Unreadable ones are left out, and [`Extras::has_unread`]
//! says so.

use crate::Price;
use crate::symbol::is_printable;
use serde_json::value::RawValue;
use std::fmt;

/// Sale conditions of one tick that are kept: the first ones.
pub const MAX_CODES: usize = 16;

/// The longest sale condition, in bytes.
pub const MAX_CODE_BYTES: usize = 32;

/// Digits of a condition that is a number.
const MAX_DIGITS: usize = 18;

/// A tick's optional fields; most ticks have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras<'a> {
    /// The best bid, in units of 10^-9; 0: none.
    bid: i64,
    /// The best ask, likewise.
    ask: i64,
    /// One more than the feed's number; 0: none.
    after_sequence: u64,
    conditions: Codes<'a>,
    has_unread: bool,
}

impl<'a> Extras<'a> {
    /// The best bid at the time of the tick.
    #[must_use]
    pub fn bid(&self) -> Option<Price> {
        price(self.bid)
    }

    /// The best ask at the time of the tick.
    #[must_use]
    pub fn ask(&self) -> Option<Price> {
        price(self.ask)
    }

    /// The feed's own number of the message, from 0 to 2^63 - 1.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.after_sequence.checked_sub(1)
    }

    /// The conditions of the sale.
    #[must_use]
    pub fn conditions(&self) -> Codes<'a> {
        self.conditions
    }

    /// Whether the message says something in their place that could not be read, and was left out.
    #[must_use]
    #[inline]
    pub fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// Whether there is nothing to keep.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        (self.bid | self.ask) == 0 && self.after_sequence == 0 && self.conditions.is_empty()
    }

    /// Sets the bid, in units of 10^-9. Zero or less means none.
    #[inline]
    pub fn set_bid(&mut self, nanos: i64) {
        self.bid = nanos.max(0);
    }

    /// Takes an ask, by the same rule.
    #[inline]
    pub fn set_ask(&mut self, nanos: i64) {
        self.ask = nanos.max(0);
    }

    /// Takes the feed's number. One below zero is none, and was not read.
    #[inline]
    pub fn set_sequence(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.after_sequence = number + 1,
            Err(_) => self.has_unread = true,
        }
    }

    /// Takes the conditions.
    #[inline]
    pub fn set_conditions(&mut self, conditions: Codes<'a>) {
        self.conditions = conditions;
    }

    /// Notes that something was there that could not be read.
    pub fn note_unread(&mut self) {
        self.has_unread = true;
    }
}

fn price(nanos: i64) -> Option<Price> {
    if nanos > 0 { Price::from_nanos(nanos) } else { None }
}

/// The conditions of a sale, as their feed writes them: letters, numbers or words.
#[derive(Clone, Copy, Default)]
pub struct Codes<'a>(
    /// Plain JSON: a text, a whole number, or an array of these, without escapes. Empty where there
    /// is no code.
    &'a str,
);

impl<'a> Codes<'a> {
    /// All codes, in the feed's order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                rest = rest.trim_start_matches(['[', ' ', ',', ']']);
                let code = match rest.strip_prefix('"') {
                    Some(text) => {
                        let (code, behind) = text.split_once('"')?;
                        rest = behind;
                        code.trim()
                    }
                    None if rest.is_empty() => return None,
                    None => {
                        let (code, behind) =
                            rest.split_at(rest.find([',', ']', ' ']).unwrap_or(rest.len()));
                        rest = behind;
                        code
                    }
                };
                if !code.is_empty() {
                    return Some(code);
                }
            }
        })
    }

    /// Whether there is none.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// As the message writes them: who meets the same text again has the same codes.
    #[must_use]
    #[inline]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The text of [`Codes::text`].
    #[must_use]
    pub fn of_text(text: &'a str) -> Self {
        Self(text)
    }

    /// The codes that `bytes` begin with and the length of their JSON, if that is plain: printable
    /// ASCII without escapes, blanks alone between them, and nothing that would have to be left
    /// out.
    pub(crate) fn at_front(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let length = plain_length(bytes)?;
        let codes = Self(str::from_utf8(&bytes[..length]).ok()?);
        let is_empty = codes.iter().next().is_none();
        Some((if is_empty { Self::default() } else { codes }, length))
    }

    /// The codes that a JSON value holds, and whether it has nothing else. Text with escapes is
    /// written into `buffer`.
    pub(crate) fn of_json(json: &'a str, buffer: &'a mut String) -> (Self, bool) {
        if let Some((codes, length)) = Self::at_front(json.as_bytes())
            && length == json.len()
        {
            return (codes, true);
        }
        buffer.clear();
        let (texts, mut is_all) = parse_texts(json);
        let mut count = 0;
        for code in texts.iter().map(|text| text.trim()).filter(|code| !code.is_empty()) {
            let is_code =
                code.len() <= MAX_CODE_BYTES && is_printable(code) && !code.contains(['"', '\\']);
            if !is_code || count == MAX_CODES {
                is_all = false;
                continue;
            }
            buffer.push_str(if count == 0 { "[\"" } else { ",\"" });
            buffer.push_str(code);
            buffer.push('"');
            count += 1;
        }
        buffer.push_str(if count == 0 { "" } else { "]" });
        (Self(buffer), is_all)
    }

    /// Codes that were read before, written into `buffer` once more.
    pub fn of<'b>(codes: impl Iterator<Item = &'b str>, buffer: &'a mut String) -> Self {
        *buffer = serde_json::Value::from_iter(codes).to_string();
        let length = buffer.len();
        let mut room = String::new();
        // They were plain when they were read.
        let is_plain = Codes::of_json(buffer, &mut room).1 && length > "[]".len();
        if is_plain { Self(buffer) } else { Self::default() }
    }
}

/// Two are the same if their codes are, however these are written.
impl PartialEq for Codes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Codes<'_> {}

impl fmt::Debug for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The texts that a value holds, and whether it holds nothing else. A text alone may name several
/// codes.
fn parse_texts(json: &str) -> (Vec<String>, bool) {
    if json.starts_with('"') {
        let text: Result<String, _> = serde_json::from_str(json);
        return text.map_or((Vec::new(), false), |text| {
            (text.split(',').map(str::to_owned).collect(), true)
        });
    }
    if !json.starts_with('[') {
        return code_of(json).map_or((Vec::new(), false), |code| (vec![code], true));
    }
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return (Vec::new(), false);
    };
    let given = elements.iter().map(|raw| raw.get()).filter(|raw| *raw != "null");
    let codes: Vec<Option<String>> = given.map(code_of).collect();
    let is_all = codes.iter().all(Option::is_some);
    (codes.into_iter().flatten().collect(), is_all)
}

/// The one code that a text or a whole number is.
fn code_of(json: &str) -> Option<String> {
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    let is_whole = json.bytes().all(|byte| byte.is_ascii_digit());
    (is_whole && json.len() <= MAX_DIGITS).then(|| json.to_owned())
}

/// How long the plain codes are that `bytes` begin with.
fn plain_length(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'[') {
        let length = item_length(bytes)?;
        // A text alone may name several.
        return (!bytes[..length].contains(&b',')).then_some(length);
    }
    let mut at = blanks_end(bytes, 1);
    if bytes.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    for _ in 0..MAX_CODES {
        at = blanks_end(bytes, at + item_length(bytes.get(at..)?)?);
        match bytes.get(at)? {
            b',' => at = blanks_end(bytes, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
    None
}

fn blanks_end(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|byte| **byte == b' ').count()
}

/// The length of the text or whole number that `bytes` begin with.
fn item_length(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&b'"') {
        let text = bytes[1..].iter().take(MAX_CODE_BYTES + 1);
        let length = text
            .take_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
            .count();
        return (bytes.get(1 + length) == Some(&b'"') && length <= MAX_CODE_BYTES)
            .then_some(length + 2);
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let has_leading_zero = digits > 1 && bytes[0] == b'0';
    let goes_on = matches!(bytes.get(digits), Some(b'.' | b'e' | b'E'));
    ((1..=MAX_DIGITS).contains(&digits) && !has_leading_zero && !goes_on).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The codes of a value, and whether these are all that it says.
    fn read(json: &str) -> (Vec<String>, bool) {
        let mut buffer = String::new();
        let (codes, is_all) = Codes::of_json(json, &mut buffer);
        assert_eq!(codes.is_empty(), codes.iter().next().is_none(), "{json}");
        (codes.iter().map(str::to_owned).collect(), is_all)
    }

    #[test]
    fn conditions_are_texts_or_whole_numbers_alone_or_in_an_array() {
        for (json, expected) in [
            (r#"["@","T","I"]"#, &["@", "T", "I"][..]),
            (r#"[ "@" , 37 ]"#, &["@", "37"]),
            ("[12, 37]", &["12", "37"]),
            ("7", &["7"]),
            (r#""Odd Lot""#, &["Odd Lot"]),
            (r#""@,T, I""#, &["@", "T", "I"]),
            (r#"["a,b"]"#, &["a,b"]),
            (r#"["\u0054",null]"#, &["T"]),
            (r#"["é"]"#, &["é"]),
            ("[]", &[]),
            (r#"[" ",""]"#, &[]),
            (r#"" ""#, &[]),
        ] {
            assert_eq!(
                read(json),
                (expected.iter().map(ToString::to_string).collect(), true),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_condition_is_left_out_and_the_others_are_kept() {
        let long = "x".repeat(MAX_CODE_BYTES + 1);
        for (json, expected) in [
            (format!(r#"["@","{long}"]"#), &["@"][..]),
            (r#"["@",1.5]"#.to_owned(), &["@"]),
            (r#"["@",["T"],{"a":1},true]"#.to_owned(), &["@"]),
            (r#"["a\"b","c\\d","e\nf","T"]"#.to_owned(), &["T"]),
            ("-1".to_owned(), &[]),
            ("true".to_owned(), &[]),
            (r#"{"a":1}"#.to_owned(), &[]),
        ] {
            assert_eq!(
                read(&json),
                (expected.iter().map(ToString::to_string).collect(), false),
                "{json}"
            );
        }
    }

    #[test]
    fn of_more_conditions_than_are_kept_the_first_are() {
        let all: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(read(&format!("[{}]", all.join(","))), (all[..MAX_CODES].to_vec(), false));
        assert_eq!(
            read(&format!("[{}]", all[..MAX_CODES].join(","))),
            (all[..MAX_CODES].to_vec(), true)
        );
    }

    #[test]
    fn a_quote_of_zero_or_below_is_none_and_a_number_may_be_zero() {
        let mut extras = Extras::default();
        assert!(extras.is_empty());
        extras.set_bid(0);
        extras.set_ask(i64::MIN);
        assert!(extras.is_empty() && !extras.has_unread());
        extras.set_sequence(0);
        assert_eq!((extras.sequence(), extras.is_empty()), (Some(0), false));
        extras.set_sequence(i64::MAX);
        assert_eq!(extras.sequence(), Some(i64::MAX as u64));
        extras.set_sequence(-1);
        assert!(extras.has_unread());
    }

    proptest! {
        #[test]
        fn plain_codes_are_json_of_the_same_texts(text in "[\\[\\]\", 0-9a-zT@.\\\\-]{0,30}") {
            if let Some((codes, length)) = Codes::at_front(text.as_bytes()) {
                let value: serde_json::Value = serde_json::from_str(&text[..length]).unwrap();
                let elements = value.as_array().cloned().unwrap_or_else(|| vec![value]);
                let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let expected: Vec<String> = elements.iter().map(text).map(|code| code.trim().to_owned()).collect();
                let expected: Vec<&String> = expected.iter().filter(|code| !code.is_empty()).collect();
                prop_assert_eq!(codes.iter().collect::<Vec<_>>(), expected);
            }
        }

        #[test]
        fn codes_come_back_from_their_texts(codes in proptest::collection::vec("[A-Z0-9é]{1,8}( \
            [a-z]{1,8})?", 0..16)) {
            let mut buffer = String::new();
            let again = Codes::of(codes.iter().map(String::as_str), &mut buffer);
            prop_assert_eq!(again.iter().collect::<Vec<_>>(), codes.iter().collect::<Vec<_>>());
        }
    }
}
