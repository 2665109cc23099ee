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
}
