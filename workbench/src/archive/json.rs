//! JSON as Connect's `JsonConverter` without schemas reads it (Jackson, with its leniencies) and
//! the sink writes it.

use super::java::{HashMap, Text, write_double};

/// Jackson's limits; beyond them a value is not read.
const MAX_DEPTH: usize = 1000;
const MAX_NUMBER_LENGTH: usize = 1000;

/// A value as Connect holds it: every integer is a `long`, every other number a `double`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Long(i64),
    Double(f64),
    Text(Text),
    List(Vec<Value>),
    Map(HashMap<Value>),
}

/// Why a value is not JSON, in a word for a log.
pub type NotJson = &'static str;

/// Reads the first value in `bytes`; like Connect's parser it does not look at what follows. None
/// where there is none.
///
/// # Errors
/// What stands in the way.
pub fn read(bytes: &[u8]) -> Result<Option<Value>, NotJson> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { bytes, at: 0 };
    reader.skip_space();
    if reader.peek().is_none() {
        return Ok(None);
    }
    reader.value(0).map(Some)
}

/// Appends `value`; the fields of maps in the order in which Java iterates them.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Long(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) => write_double(*number, out),
        Value::Text(text) => text.write_json(out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Map(fields) => {
            out.push(b'{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                name.write_json(out);
                out.push(b':');
                write(field, out);
            }
            out.push(b'}');
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Value, NotJson> {
        if depth > MAX_DEPTH {
            return Err("nested too deeply");
        }
        self.skip_space();
        match self.peek().ok_or("ends early")? {
            b'{' => self.map(depth + 1),
            b'[' => self.list(depth + 1),
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Null),
            _ => Err("unexpected character"),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, NotJson> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err("unknown word");
        }
        self.at += word.len();
        let goes_on = self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if goes_on { Err("unknown word") } else { Ok(value) }
    }

    fn map(&mut self, depth: usize) -> Result<Value, NotJson> {
        let mut fields = HashMap::new();
        self.at += 1;
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Map(fields));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err("field name expected");
            }
            let name = self.text()?;
            self.skip_space();
            if !self.take(b':') {
                return Err("colon expected");
            }
            let value = self.value(depth)?;
            fields.put(name, value);
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Map(fields));
            }
            if !self.take(b',') {
                return Err("comma or end of object expected");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, NotJson> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err("comma or end of array expected");
            }
        }
    }

    fn text(&mut self) -> Result<Text, NotJson> {
        let mut text = Text::default();
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F))
                .ok_or("string without end")?;
            text.push_str(str::from_utf8(&rest[..plain]).map_err(|_| "not UTF-8")?);
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(text),
                b'\\' => self.escape(&mut text)?,
                _ => return Err("control character in a string"),
            }
        }
    }

    fn escape(&mut self, text: &mut Text) -> Result<(), NotJson> {
        let unit = match self.peek().ok_or("string without end")? {
            byte @ (b'"' | b'\\' | b'/') => u16::from(byte),
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => 0x0A,
            b'r' => 0x0D,
            b't' => 0x09,
            b'u' => {
                let digits =
                    self.bytes.get(self.at + 1..self.at + 5).ok_or("string without end")?;
                self.at += 4;
                hexadecimal(digits).ok_or("wrong \\u escape")?
            }
            _ => return Err("wrong escape"),
        };
        self.at += 1;
        text.push(unit);
        Ok(())
    }

    fn digits(&mut self) -> Result<&[u8], NotJson> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err("digit expected") } else { Ok(&self.bytes[start..self.at]) }
    }

    fn number(&mut self) -> Result<Value, NotJson> {
        let start = self.at;
        let negative = self.take(b'-');
        let whole = self.digits()?;
        // Past 64 bits it wraps, as BigInteger.longValue does.
        let long = whole
            .iter()
            .fold(0_i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
        let mut is_long = true;
        if self.take(b'.') {
            self.digits()?;
            is_long = false;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'-') || self.take(b'+');
            let exponent = self.digits()?;
            // BigDecimal's exponents are 32-bit.
            if exponent.len() > 9 {
                return Err("exponent too large");
            }
            is_long = false;
        }
        if self.at - start > MAX_NUMBER_LENGTH {
            return Err("number too long");
        }
        if is_long {
            return Ok(Value::Long(if negative { long.wrapping_neg() } else { long }));
        }
        let text = str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        let double: f64 = text.parse().map_err(|_| "number")?;
        // It goes through BigDecimal, which knows no negative zero (but -1e-400 becomes one).
        let is_zero = text
            .bytes()
            .take_while(|byte| !matches!(byte, b'e' | b'E'))
            .all(|byte| !matches!(byte, b'1'..=b'9'));
        Ok(Value::Double(if is_zero { 0.0 } else { double }))
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |sum, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(sum * 16 + u16::try_from(digit).ok()?)
    })
}
