//! A value's bytes as the JSON text that is read.
//!
//! Kafka Connect's converter, which writes the archive, takes more than JSON: of several values it
//! takes the first, it drops a byte order mark, and zeros in front of a number. The speed layer
//! must take what the archive will hold.

use crate::reject::{Reason, Reject};

/// A value this long or longer is no tick, whatever it holds.
pub const MAX_VALUE_BYTES: usize = 1_000_000;

/// Arrays and objects inside one another; Connect's own parser stops somewhere too.
pub(super) const MAX_DEPTH: usize = 128;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The value as text that the JSON parser may see.
pub(super) fn check(value: &[u8]) -> Result<&str, Reject> {
    if value.is_empty() {
        return Err(Reject::new(Reason::Empty, "the message has no value"));
    }
    if value.len() >= MAX_VALUE_BYTES {
        let detail = format!("{} bytes; a tick has less than {MAX_VALUE_BYTES}", value.len());
        return Err(Reject::new(Reason::TooLarge, detail));
    }
    let text = str::from_utf8(value).map_err(|error| {
        Reject::new(Reason::NotUtf8, format!("byte {} is not UTF-8", error.valid_up_to()))
    })?;
    if is_too_deep(value) {
        return Err(Reject::new(Reason::NotJson, format!("nested deeper than {MAX_DEPTH}")));
    }
    Ok(text)
}

/// Why the JSON parser takes none of it.
pub(super) fn not_json(error: serde_json::Error) -> Reject {
    Reject::new(Reason::NotJson, error.to_string())
}

/// The part of `value` that Connect reads, if that is not all of it: without anything before the
/// first object or array or after it, and without zeros at the front of numbers. `None` where
/// nothing would change; with `refuses_rest` also where anything follows it.
pub(super) fn as_connect(value: &[u8], refuses_rest: bool) -> Option<Vec<u8>> {
    let start = if value.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let bytes = value[start..].trim_ascii_start();
    if !bytes.first().is_some_and(|first| is_opening(*first)) || value.len() >= MAX_VALUE_BYTES {
        return None;
    }
    let mut read = Vec::with_capacity(bytes.len());
    let mut walk = Walk::default();
    for (at, &byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let next = bytes.get(at + 1).copied().unwrap_or(b' ');
        if !walk.is_leading_zero(byte, before, next) {
            read.push(byte);
        }
        if walk.ends_with(byte) {
            if refuses_rest && !bytes[at + 1..].trim_ascii_start().is_empty() {
                return None;
            }
            break;
        }
    }
    (walk.is_over && read != value.trim_ascii()).then_some(read)
}

/// The position of a byte in a value.
#[derive(Default)]
struct Walk {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether only zeros of a number were seen.
    in_zeros: bool,
    is_over: bool,
}

impl Walk {
    /// Whether `byte` is a zero in front of another digit at the beginning of a number.
    fn is_leading_zero(&mut self, byte: u8, before: u8, next: u8) -> bool {
        let begins = matches!(before, b':' | b',' | b'[' | b'-' | b' ' | b'\t' | b'\n' | b'\r')
            || self.in_zeros;
        self.in_zeros = !self.in_string && byte == b'0' && begins && next.is_ascii_digit();
        self.in_zeros
    }

    /// Whether the value ends with `byte`.
    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_string {
            (self.escaped, self.in_string) =
                (!self.escaped && byte == b'\\', self.escaped || byte != b'"');
        } else if is_opening(byte) {
            self.depth += 1;
        } else if byte == b'}' || byte == b']' {
            self.depth = self.depth.saturating_sub(1);
            self.is_over = self.depth == 0;
        } else {
            self.in_string = byte == b'"';
        }
        self.is_over
    }
}

fn is_opening(byte: u8) -> bool {
    byte == b'{' || byte == b'['
}

fn is_too_deep(value: &[u8]) -> bool {
    // Nearly every value opens fewer brackets than the limit altogether: one pass without branches
    // tells.
    if value.iter().filter(|byte| is_opening(**byte)).count() <= MAX_DEPTH {
        return false;
    }
    let mut walk = Walk::default();
    value.iter().any(|byte| {
        walk.ends_with(*byte);
        walk.depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Option<String> {
        as_connect(value.as_bytes(), false).map(|read| String::from_utf8(read).unwrap())
    }

    #[test]
    fn the_first_object_is_read_without_what_surrounds_it() {
        for value in [
            "{\"a\":1}\n{\"a\":2}",
            "\u{feff}{\"a\":1}",
            "{\"a\":1} x",
            "{\"a\":1}}",
            "{\"a\":01}",
            " \u{feff}",
        ] {
            let expected = value.contains('{').then(|| "{\"a\":1}".to_owned());
            assert_eq!(read(value), expected, "{value}");
        }
        for value in
            ["{\"a\":1}", " {\"a\":1} ", "", "[1]", "{\"a\":1", "x{\"a\":1}", "{\"a\":\"}\""]
        {
            assert_eq!(read(value), None, "{value}");
        }
        assert_eq!(as_connect(b"{\"a\":1}\xff", false).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(as_connect(b"{\"a\":1}\xff", true), None);
        assert_eq!(as_connect(b"{\"a\":01} ", true).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(read("\u{feff}[{\"a\":[01]}]]").as_deref(), Some("[{\"a\":[1]}]"));
    }

    #[test]
    fn zeros_in_front_of_numbers_are_dropped_and_no_others() {
        let value = r#"{"a":0201.5,"b":-007,"c":00,"d":[010,0],"e":"0012:01","f":100.05e05,"g":0.5,"h": 0001}"#;
        let expected =
            r#"{"a":201.5,"b":-7,"c":0,"d":[10,0],"e":"0012:01","f":100.05e05,"g":0.5,"h": 1}"#;
        assert_eq!(read(value).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn json_is_left_as_it_is(pairs in proptest::collection::vec(("[a-z{}\\[\\]\"\\\\:0-9 \
            ]{0,6}", any::<f64>()), 0..5)) {
            let members: serde_json::Map<_, _> = pairs.into_iter().map(|(name, value)| (name, value.into())).collect();
            let value = serde_json::to_string(&members).unwrap();
            prop_assert_eq!(read(&value), None);
            prop_assert_eq!(read(&format!("{value}{value}")), Some(value));
        }
    }
}
