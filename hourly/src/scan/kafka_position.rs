//! The position in Kafka of a line that is no tick: such an offset is not missing.

use super::ScanOptions;
use common::decode::Provenance;
use serde_json::{Map, Value};

/// The partition and offset that a line carries, bare or in a sink's envelope.
pub fn position_in(line: &[u8], options: &ScanOptions) -> Option<Provenance> {
    if let Some(fields) = &options.csv {
        let offset = fields.cut(str::from_utf8(line).ok()?)?.offset?;
        return Some(Provenance { partition: options.origin.partition, offset });
    }
    let Value::Object(members) = serde_json::from_slice(line).ok()? else {
        return None;
    };
    // A message may hold a `value` and an `offset` of its producer's, in addition to what the sink
    // says.
    of_line(&members, options).or_else(|| of_envelope(&members, options))
}

fn of_envelope(members: &Map<String, Value>, options: &ScanOptions) -> Option<Provenance> {
    let offset = number(members, "offset").filter(|_| members.contains_key("value"))?;
    let partition =
        number(members, "partition").and_then(|partition| i32::try_from(partition).ok());
    Some(Provenance { partition: partition.unwrap_or(options.origin.partition), offset })
}

fn of_line(members: &Map<String, Value>, options: &ScanOptions) -> Option<Provenance> {
    let names = &options.rules.names;
    let partition = i32::try_from(number(members, &names.partition)?).ok()?;
    Some(Provenance { partition, offset: number(members, &names.offset)? })
}

fn number(members: &Map<String, Value>, name: &str) -> Option<i64> {
    members.get(name)?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    #[test]
    fn a_line_that_is_no_tick_may_carry_its_position() {
        let position = |line: &str| {
            position_in(line.as_bytes(), &options()).map(|of| (of.partition, of.offset))
        };
        assert_eq!(
            position(r#"{"symbol":"A","kafka_partition":3,"kafka_offset":17}"#),
            Some((3, 17))
        );
        let partition = options().origin.partition;
        assert_eq!(position(r#"{"key":"A","value":{},"offset":18}"#), Some((partition, 18)));
        assert_eq!(position(r#"{"value":"x","offset":18,"partition":5}"#), Some((5, 18)));
        let both = r#"{"value":"x","offset":18,"kafka_partition":3,"kafka_offset":17}"#;
        assert_eq!(position(both), Some((3, 17)));
        for silent in [
            "",
            "no json",
            "[]",
            "{}",
            r#"{"kafka_offset":17}"#,
            r#"{"offset":17}"#,
            r#"{"kafka_partition":"3"}"#,
        ] {
            assert_eq!(position(silent), None, "{silent}");
        }
    }
}
