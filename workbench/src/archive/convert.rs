//! One Kafka value to one line of the archive: `JsonConverter` without schemas, then
//! `InsertField$Value`, then the sink's JSON format. Held to the byte against the real converter by
//! `workbench/tests/fixtures/connect-converter.md`.

use super::java::{HashMap, Text};
use super::json::{self, Value};

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

pub fn convert(value: Option<&[u8]>, position: Position) -> Converted {
    let fields = match json::read(value.unwrap_or_default()) {
        Ok(Some(Value::Map(fields))) => fields,
        Ok(None | Some(Value::Null)) => return Converted::Ignored,
        Ok(Some(_)) => return Converted::DeadLetter("the value is not a JSON object"),
        Err(why) => return Converted::DeadLetter(why),
    };
    let mut fields = HashMap::copy_of(fields);
    fields.put(Text::from("kafka_partition"), Value::Long(position.partition.into()));
    fields.put(Text::from("kafka_offset"), Value::Long(position.offset));
    let mut line = Vec::with_capacity(value.map_or(0, <[u8]>::len) + 64);
    json::write(&Value::Map(fields), &mut line);
    line.push(b'\n');
    Converted::Line(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;
    use common::decode::{Beside, Decoder, Rules};

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
        let tick = match decoder.decode(value, &Beside::NOTHING) {
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
