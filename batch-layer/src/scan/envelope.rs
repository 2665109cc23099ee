//! [`Envelope`]: the value of a record out of a line that has the record's other parts beside it, as Aiven's connector
//! writes lines (`format.output.fields` key, value, offset, timestamp).
//!
//! It stands behind the decoder, not in front of it: a line that is a tick as it is never comes here.

use crate::archive::CsvFields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::decode::Provenance;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Takes envelope after envelope off.
#[derive(Debug)]
pub struct Envelope<'o> {
    csv: Option<&'o CsvFields>,
    /// The partition of lines that do not tell theirs.
    partition: i32,
    unescaped: String,
    unpacked: Vec<u8>,
}

/// What was inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Content<'a> {
    pub value: &'a [u8],
    pub provenance: Option<Provenance>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    offset: Option<i64>,
    partition: Option<i32>,
}

impl<'o> Envelope<'o> {
    pub fn new(csv: Option<&'o CsvFields>, partition: i32) -> Self {
        Self { csv, partition, unescaped: String::new(), unpacked: Vec::new() }
    }

    /// The value of a line; `None` where the line has none of the known forms. The value is JSON as it is, JSON in a
    /// string, or either in base64.
    pub fn open<'a>(&'a mut self, line: &'a [u8]) -> Option<Content<'a>> {
        let line = str::from_utf8(line).ok()?.trim_ascii();
        if let Some(fields) = self.csv {
            let (value, offset) = fields.cut(line)?;
            let provenance = offset.map(|offset| Provenance { partition: self.partition, offset });
            return Some(Content { value: unpack(value, &mut self.unpacked)?, provenance });
        }
        let (value, provenance) = match line.as_bytes().first()? {
            b'"' => (line, None),
            _ => {
                let parts: Parts<'_> = serde_json::from_str(line).ok()?;
                let partition = parts.partition.unwrap_or(self.partition);
                (parts.value.get(), parts.offset.map(|offset| Provenance { partition, offset }))
            }
        };
        if !value.starts_with('"') {
            return Some(Content { value: value.as_bytes(), provenance });
        }
        self.unescaped = serde_json::from_str(value).ok()?;
        Some(Content { value: unpack(&self.unescaped, &mut self.unpacked)?, provenance })
    }
}

/// Base64 has no braces.
fn unpack<'a>(text: &'a str, unpacked: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if text.trim_ascii_start().starts_with('{') {
        return Some(text.as_bytes());
    }
    unpacked.clear();
    BASE64.decode_vec(text.trim_ascii(), unpacked).ok()?;
    Some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"{"symbol":"A"}"#;

    fn open(csv: Option<&str>, line: &str) -> Option<(String, Option<(i32, i64)>)> {
        let csv = csv.map(|fields| fields.parse().unwrap());
        let mut envelope = Envelope::new(csv.as_ref(), 3);
        let content = envelope.open(line.as_bytes())?;
        let place = content.provenance.map(|at| (at.partition, at.offset));
        Some((String::from_utf8(content.value.to_vec()).unwrap(), place))
    }

    #[test]
    fn a_value_is_found_as_json_in_a_string_and_in_base64() {
        let packed = BASE64.encode(VALUE);
        let quoted = serde_json::to_string(VALUE).unwrap();
        for value in [VALUE, &quoted, &format!("\"{packed}\"")] {
            let line = format!(r#"{{"key":"k","value":{value},"offset":17,"timestamp":"2025-06-02T13:00:00Z"}}"#);
            assert_eq!(open(None, &line), Some((VALUE.to_owned(), Some((3, 17)))), "{line}");
        }
        for line in [&quoted, &format!("\"{packed}\""), &format!(r#"{{"value":{VALUE}}}"#)] {
            assert_eq!(open(None, line), Some((VALUE.to_owned(), None)), "{line}");
        }
        let elsewhere = format!(r#"{{"partition":7,"offset":1,"value":{VALUE}}}"#);
        assert_eq!(open(None, &elsewhere), Some((VALUE.to_owned(), Some((7, 1)))));
        for value in [&packed, VALUE] {
            let line = format!("a2V5,{value},17,1748869200000");
            assert_eq!(
                open(Some("key,value,offset,timestamp"), &line),
                Some((VALUE.to_owned(), Some((3, 17)))),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_envelope_is_left_alone() {
        for line in ["", "{}", "[1]", "no json", r#"{"key":"k","offset":1}"#, r#"{"value":"***"}"#, r#""v0!""#] {
            assert_eq!(open(None, line), None, "{line}");
        }
        assert_eq!(open(Some("key,value"), VALUE), None);
    }
}
