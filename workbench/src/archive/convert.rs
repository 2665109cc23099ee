//! One Kafka value to one line of the archive: `JsonConverter` without schemas, then
//! `InsertField$Value`, then the sink's JSON format. Held to the byte against the real converter by
//! `workbench/tests/fixtures/connect-converter.md`.

use super::java::{HashMap, Text};
use super::json::{self, Value};
use jiff::Timestamp;
use serde_json::json;

/// What the sink makes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Converted {
    /// A line, with its line end.
    Line(Vec<u8>),
    /// Not an object, or no JSON: it goes to the dead-letter topic. The text says why.
    DeadLetter(&'static str),
    /// A tombstone, or what the converter takes for one: an empty value, blanks, `null`.
    Ignored,
}

/// Where a value stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

/// What a line has beside the value and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form {
    /// As Aiven's sink writes it, with the record's other parts beside the value.
    pub keys: bool,
    /// The record's time.
    pub record_time: bool,
    /// The value within an object, as by `HoistField$Value`.
    pub wrap: bool,
}

/// What Kafka has of a message. Its time is in milliseconds of the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    pub timestamp: i64,
    pub position: Position,
}

/// As the connector of this project is configured.
pub fn convert(value: Option<&[u8]>, position: Position) -> Converted {
    let value = value.unwrap_or_default();
    convert_as(Form::default(), &Record { key: None, value, timestamp: 0, position })
}

pub fn convert_as(form: Form, record: &Record<'_>) -> Converted {
    let value = match json::read(record.value) {
        Ok(Some(Value::Null) | None) => return Converted::Ignored,
        Ok(Some(value)) => value,
        Err(why) => return Converted::DeadLetter(why),
    };
    let mut line = Vec::with_capacity(record.value.len() + 64);
    let written = match form.keys {
        true => write_parts(&value, record, &mut line),
        false => fields_of(value, form, record).map(|fields| json::write(&fields, &mut line)),
    };
    line.push(b'\n');
    written.map_or_else(Converted::DeadLetter, |()| Converted::Line(line))
}

/// The value with its place among its members.
///
/// # Errors
/// A value that has none.
fn fields_of(value: Value, form: Form, record: &Record<'_>) -> Result<Value, &'static str> {
    let mut fields = match value {
        value if form.wrap => {
            let mut fields = HashMap::new();
            fields.put(Text::from("data"), value);
            fields
        }
        Value::Map(fields) => HashMap::copy_of(fields),
        Value::List(_) => {
            return Err(
                "it is an array, to which Connect can add no place: --keys or --wrap keeps it",
            );
        }
        _ => return Err("the value is not a JSON object"),
    };
    let Position { partition, offset } = record.position;
    fields.put(Text::from("kafka_partition"), Value::Long(partition.into()));
    fields.put(Text::from("kafka_offset"), Value::Long(offset));
    if form.record_time {
        fields.put(Text::from("kafka_timestamp"), Value::Long(record.timestamp));
    }
    Ok(Value::Map(fields))
}

/// The line of Aiven's sink with `format.output.fields` key, value, offset and timestamp.
///
/// # Errors
/// A value of another kind than messages with ticks are.
fn write_parts(value: &Value, record: &Record<'_>, line: &mut Vec<u8>) -> Result<(), &'static str> {
    if !matches!(value, Value::Map(_) | Value::List(_)) {
        return Err("the value is neither a JSON object nor an array");
    }
    let key = json!(record.key.map(String::from_utf8_lossy));
    let time = Timestamp::from_millisecond(record.timestamp).unwrap_or_default().to_string();
    let offset = record.position.offset;
    line.extend_from_slice(format!(r#"{{"key":{key},"value":"#).as_bytes());
    json::write(value, line);
    line.extend_from_slice(format!(r#","offset":{offset},"timestamp":"{time}"}}"#).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;
    use common::decode::{Decoder, RecordContext, Rules};

    /// What the fixture's second file says of a value: a line, or one of two words.
    fn described(value: &str, offset: i64) -> String {
        match convert(Some(value.as_bytes()), Position { partition: 3, offset }) {
            Converted::Line(line) => {
                String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned()
            }
            Converted::DeadLetter(_) => "dead letter".to_owned(),
            Converted::Ignored => "ignored".to_owned(),
        }
    }

    #[test]
    fn every_value_becomes_what_the_real_converter_made_of_it() {
        let values = include_str!("../../tests/fixtures/connect-converter-values.txt");
        let results = include_str!("../../tests/fixtures/connect-converter-results.txt");
        let values: Vec<&str> = values.strip_suffix('\n').unwrap().split('\n').collect();
        let results: Vec<&str> = results.strip_suffix('\n').unwrap().split('\n').collect();
        assert_eq!(values.len(), results.len());
        let differing: Vec<String> = (0..)
            .zip(values.iter().zip(&results))
            .filter(|(offset, (value, result))| described(value, *offset) != **result)
            .map(|(offset, (value, result))| {
                format!("{value}\n  is      {}\n  should be {result}", described(value, offset))
            })
            .collect();
        assert!(
            differing.is_empty(),
            "{} of {} differ:\n{}",
            differing.len(),
            values.len(),
            differing.join("\n")
        );
    }

    fn line_of(form: Form, key: Option<&str>, value: &str) -> String {
        let position = Position { partition: 3, offset: 7 };
        let (key, value) = (key.map(str::as_bytes), value.as_bytes());
        match convert_as(form, &Record { key, value, timestamp: 1_749_218_401_123, position }) {
            Converted::Line(line) => String::from_utf8(line).unwrap(),
            Converted::DeadLetter(why) => why.to_owned(),
            Converted::Ignored => "ignored".to_owned(),
        }
    }

    #[test]
    fn keys_times_and_arrays_are_kept_where_that_is_asked_for() {
        let (keys, wrap) =
            (Form { keys: true, ..Form::default() }, Form { wrap: true, ..Form::default() });
        assert_eq!(
            line_of(keys, Some("A\"B"), r#"[{"price":1.5}]"#),
            "{\"key\":\"A\\\"B\",\"value\":[{\"price\":1.5}],\"offset\":7,\"timestamp\":\"2025-06-06T14:00:01.123Z\"}\n"
        );
        assert!(line_of(keys, None, "{}").starts_with(r#"{"key":null,"value":{},"offset":7,"#));
        assert!(line_of(keys, None, "7").contains("neither a JSON object nor an array"));
        let wrapped: serde_json::Value =
            serde_json::from_str(&line_of(wrap, None, r#"[{"price":1}]"#)).unwrap();
        let place = json!({"data": [{"price": 1}], "kafka_partition": 3, "kafka_offset": 7});
        assert_eq!(wrapped, place);
        let timed = line_of(Form { record_time: true, ..Form::default() }, None, "{}");
        assert!(timed.contains(r#""kafka_timestamp":1749218401123"#), "{timed}");
        assert!(line_of(Form::default(), None, "[]").contains("--keys or --wrap keeps it"));
        assert_eq!(line_of(keys, Some("A"), "null"), "ignored");
    }

    #[test]
    fn a_tombstone_is_ignored() {
        let position = Position { partition: 0, offset: 0 };
        assert_eq!(convert(None, position), Converted::Ignored);
    }

    #[test]
    fn a_value_that_is_not_utf8_is_a_dead_letter() {
        let position = Position { partition: 0, offset: 0 };
        assert_eq!(
            convert(Some(b"{\"symbol\":\"\xff\xfe\"}"), position),
            Converted::DeadLetter("not UTF-8")
        );
    }

    #[test]
    fn nesting_beyond_the_limit_is_a_dead_letter_and_no_overflow() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        let position = Position { partition: 0, offset: 0 };
        assert_eq!(
            convert(Some(deep.as_bytes()), position),
            Converted::DeadLetter("nested too deeply")
        );
    }

    /// Price, high and volume of a tick, or why it is none.
    fn read(value: &[u8]) -> String {
        let now = Timestamp::from_micros(1_780_000_000_000_000);
        let mut decoder = Decoder::new(Rules::default(), now);
        let tick = match decoder.decode(value, &RecordContext::NOTHING) {
            Ok(record) => record.tick,
            Err(reject) => return reject.reason.as_str().to_owned(),
        };
        let prices = tick.prices();
        let high = prices.high.map(|high| format!(" high {high}")).unwrap_or_default();
        let volume = tick.volume().map(|volume| format!(" of {volume}")).unwrap_or_default();
        format!("{}{high}{volume}", prices.close)
    }

    fn read_archived(value: &[u8]) -> String {
        match convert(Some(value), Position { partition: 3, offset: 7 }) {
            Converted::Line(line) => read(line.trim_ascii_end()),
            Converted::DeadLetter(_) => "dead letter".to_owned(),
            Converted::Ignored => "ignored".to_owned(),
        }
    }

    fn trade(members: &str) -> String {
        format!(r#"{{"symbol":"A","ts":1749218401,{members}}}"#)
    }

    /// The rows of docs/message-format.md, with what the speed layer and the archive make of each.
    #[test]
    fn where_the_converter_changes_a_value_the_layers_say_what_the_manual_says() {
        let filled = |bytes: usize| {
            let bare = trade(r#""price":1,"x":"""#).len();
            trade(&format!(r#""price":1,"x":"{}""#, "x".repeat(bytes - bare)))
        };
        let digits = format!(r#""price":1,"x":{}"#, "1".repeat(1001));
        let hair = r#""open":8000000000.000000002,"close":8000000000,"high":8000000000.000000001"#;
        for (value, speed, archive) in [
            (trade(r#""price":1,"volume":18446744073709551621"#), "bad_volume", "1 of 5"),
            (
                trade(r#""price":1,"volume":9007199254740993.0"#),
                "1 of 9007199254740993",
                "1 of 9007199254740992",
            ),
            (trade(r#""price":201.5000000000000000001"#), "bad_price", "201.5"),
            (trade(hair), "inconsistent_prices", "8000000000 high 8000000000"),
            (trade(r#""price":9223372036.854775807"#), "9223372036.854775807", "bad_price"),
            (filled(999_000), "1", "1"),
            (filled(999_999), "1", "too_large"),
            (filled(1_000_000), "too_large", "too_large"),
            (trade(&digits), "1", "dead letter"),
        ] {
            let found = (read(value.as_bytes()), read_archived(value.as_bytes()));
            assert_eq!(found, (speed.to_owned(), archive.to_owned()), "{value:.200}");
        }
        let overlong = b"{\"symbol\":\"A\",\"ts\":1749218401,\"price\":1,\"x\":\"\xc1\x81\"}";
        let utf16: Vec<u8> =
            trade(r#""price":1"#).encode_utf16().flat_map(u16::to_be_bytes).collect();
        for value in [&overlong[..], &utf16] {
            let found = read(value);
            assert!(found.starts_with("not_"), "{found}");
        }
    }

    #[test]
    fn what_the_converter_reads_beyond_json_both_layers_read_alike() {
        let plain = trade(r#""price":201.5"#);
        for value in [
            format!("{plain} {{\"price\":7}}"),
            format!("{plain}garbage"),
            format!("\u{feff}{plain}"),
            trade(r#""price":0201.5"#),
        ] {
            let found = (read(value.as_bytes()), read_archived(value.as_bytes()));
            assert_eq!(found, ("201.5".to_owned(), "201.5".to_owned()), "{value}");
        }
    }
}
