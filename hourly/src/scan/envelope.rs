//! [`Envelope`]: the value of a record out of a line that has the record's other parts next to it,
//! as Aiven's connector writes lines (`format.output.fields` key, value, offset, timestamp).
//!
//! It comes before the decoder where a line is surely such an envelope ([`is_surely_one`]):
//! `--each value` would lead into it, and members of the message would be looked for around it.
//! Else it comes after: a line that is a tick as it is never comes here.

use crate::archive::CsvFields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::decode::Provenance;
use common::timestamp::{EpochUnit, Timestamp, parse_rfc3339};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Takes envelope after envelope off.
#[derive(Debug)]
pub struct Envelope<'o> {
    csv: Option<&'o CsvFields>,
    /// The partition of lines that do not tell theirs.
    partition: i32,
    unescaped: String,
    unpacked: Vec<u8>,
    key: Vec<u8>,
}

/// What was inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    pub value: &'a [u8],
    pub provenance: Option<Provenance>,
    pub key: Option<&'a [u8]>,
    /// The record's own time.
    pub time: Option<Timestamp>,
    /// Whether nothing else than a sink writes such a line.
    pub is_sure: bool,
}

/// All that a sink writes. What has other members as well is a producer's own message, which may
/// hold a `value` and an `offset` of whatever it likes: its place is what the sink has put into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    offset: Option<i64>,
    partition: Option<i32>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(rename = "topic")]
    _topic: Option<IgnoredAny>,
    #[serde(rename = "headers")]
    _headers: Option<IgnoredAny>,
}

impl Parts<'_> {
    /// A value that is a text may be a producer's; and so may one that has no offset next to it.
    fn are_surely_a_sinks(&self) -> bool {
        self.offset.is_some() && self.value.get().starts_with(['{', '['])
    }
}

/// Whether a line is surely an envelope: a message next to its offset, and nothing that no sink
/// writes.
pub fn is_surely_one(line: &[u8]) -> bool {
    let may_be_one = line.trim_ascii_start().starts_with(b"{");
    let parts = || serde_json::from_slice::<Parts<'_>>(line);
    may_be_one && parts().is_ok_and(|parts| parts.are_surely_a_sinks())
}

impl<'o> Envelope<'o> {
    pub fn new(csv: Option<&'o CsvFields>, partition: i32) -> Self {
        Self { csv, partition, unescaped: String::new(), unpacked: Vec::new(), key: Vec::new() }
    }

    /// The value of a line; `None` where the line has none of the known forms. The value is JSON as
    /// it is, JSON in a string, or either in base64. A key is in base64 where the value is, and
    /// where lines are comma-separated.
    pub fn open<'a>(&'a mut self, line: &'a [u8]) -> Option<Unwrapped<'a>> {
        let line = str::from_utf8(line).ok()?.trim_ascii();
        let Self { csv, partition, unescaped, unpacked, key } = self;
        if let Some(fields) = csv {
            let cut = fields.cut(line)?;
            let provenance = cut.offset.map(|offset| Provenance { partition: *partition, offset });
            let time = cut.timestamp.and_then(|millis| EpochUnit::Ms.parse(millis_of(millis)?));
            let key = cut.key.and_then(|text| unpack_key(text, key));
            return Some(Unwrapped {
                value: unpack(cut.value, unpacked)?.0,
                provenance,
                key,
                time,
                is_sure: false,
            });
        }
        if line.starts_with('"') {
            *unescaped = serde_json::from_str(line).ok()?;
            let (value, _) = unpack(unescaped, unpacked)?;
            return Some(Unwrapped {
                value,
                provenance: None,
                key: None,
                time: None,
                is_sure: false,
            });
        }
        let parts: Parts<'_> = serde_json::from_str(line).ok()?;
        let is_sure = parts.are_surely_a_sinks();
        let partition = parts.partition.unwrap_or(*partition);
        let provenance = parts.offset.map(|offset| Provenance { partition, offset });
        let time = parts.timestamp.and_then(time_of);
        let (value, is_packed) = match parts.value.get() {
            text if text.starts_with('"') => {
                *unescaped = serde_json::from_str(text).ok()?;
                unpack(unescaped, unpacked)?
            }
            json => (json.as_bytes(), false),
        };
        let text = parts.key.and_then(|key| serde_json::from_str::<String>(key.get()).ok());
        let key =
            text.and_then(|text| if is_packed { unpack_key(&text, key) } else { keep(text, key) });
        Some(Unwrapped { value, provenance, key, time, is_sure })
    }
}

fn unpack_key<'a>(text: &str, key: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    key.clear();
    BASE64.decode_vec(text, key).ok()?;
    Some(key)
}

fn keep(text: String, key: &mut Vec<u8>) -> Option<&[u8]> {
    *key = text.into_bytes();
    Some(key)
}

/// Aiven's JSON lines write a time as text, its other formats as epoch milliseconds.
fn time_of(raw: &RawValue) -> Option<Timestamp> {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => parse_rfc3339(&text).ok(),
        Err(_) => EpochUnit::Ms.parse(millis_of(raw.get())?),
    }
}

fn millis_of(text: &str) -> Option<&str> {
    let is_integer = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_integer.then_some(text)
}

/// The value, and whether it was in base64, which has no brackets.
fn unpack<'a>(text: &'a str, unpacked: &'a mut Vec<u8>) -> Option<(&'a [u8], bool)> {
    if text.trim_ascii_start().starts_with(['{', '[']) {
        return Some((text.as_bytes(), false));
    }
    unpacked.clear();
    BASE64.decode_vec(text.trim_ascii(), unpacked).ok()?;
    Some((unpacked, true))
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
            let line = format!(
                r#"{{"key":"k","value":{value},"offset":17,"timestamp":"2025-06-02T13:00:00Z"}}"#
            );
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
    fn a_message_beside_its_offset_and_nothing_else_is_surely_an_envelope() {
        for (line, expected) in [
            (r#"{"key":null,"value":{"a":1},"offset":7,"timestamp":1}"#, true),
            (r#" {"value":[{"a":1}],"offset":7,"partition":1,"headers":[],"topic":"t"}"#, true),
            // A producer's message may be such, too.
            (r#"{"key":"A","value":{"a":1},"timestamp":1}"#, false),
            (r#"{"key":"A","value":201.5,"offset":7}"#, false),
            (r#"{"value":"eyJhIjoxfQ==","offset":7}"#, false),
            (r#"{"value":{"a":1},"offset":7,"kafka_offset":7}"#, false),
            (r#"{"value":{"a":1},"offset":7,"symbol":"A"}"#, false),
            (r#"[{"value":{"a":1},"offset":7}]"#, false),
            ("", false),
        ] {
            assert_eq!(is_surely_one(line.as_bytes()), expected, "{line}");
            let mut envelope = Envelope::new(None, 3);
            let is_sure = envelope.open(line.as_bytes()).is_some_and(|content| content.is_sure);
            assert_eq!(is_sure, expected, "{line}");
        }
    }

    #[test]
    fn an_envelope_tells_its_records_key_and_time() {
        let packed = BASE64.encode(VALUE);
        let time = Timestamp::from_micros(1_748_869_200_000_000);
        for (csv, line) in [
            (
                None,
                format!(r#"{{"key":"AAPL","value":{VALUE},"timestamp":"2025-06-02T13:00:00Z"}}"#),
            ),
            (None, format!(r#"{{"key":"QUFQTA==","value":"{packed}","timestamp":1748869200000}}"#)),
            (Some("key,value,timestamp"), format!("QUFQTA==,{VALUE},1748869200000")),
        ] {
            let csv = csv.map(|fields| fields.parse().unwrap());
            let mut envelope = Envelope::new(csv.as_ref(), 3);
            let content = envelope.open(line.as_bytes()).unwrap();
            assert_eq!((content.key, content.time), (Some(&b"AAPL"[..]), Some(time)), "{line}");
        }
        let mut envelope = Envelope::new(None, 3);
        let line = format!(r#"{{"key":null,"value":{VALUE},"timestamp":"today"}}"#);
        let content = envelope.open(line.as_bytes()).unwrap();
        assert_eq!((content.key, content.time), (None, None));
    }

    #[test]
    fn what_is_no_envelope_is_left_alone() {
        for line in [
            "",
            "{}",
            "[1]",
            "no json",
            r#"{"key":"k","offset":1}"#,
            r#"{"value":"***"}"#,
            r#""v0!""#,
            // What producers send: Kafka's REST proxy, and a tick that has a `value` of its own.
            r#"{"topic":"t","key":null,"value":{"symbol":"A"},"partition":0,"offset":1,
                "kafka_partition":2,"kafka_offset":7}"#,
            r#"{"symbol":"B","price":3,"value":{"symbol":"A"}}"#,
        ] {
            assert_eq!(open(None, line), None, "{line}");
        }
        let headers = format!(r#"{{"value":{VALUE},"offset":1,"headers":[],"topic":"t"}}"#);
        assert_eq!(open(None, &headers), Some((VALUE.to_owned(), Some((3, 1)))));
        assert_eq!(open(Some("key,value"), VALUE), None);
    }
}
