//! The recorded objects in `tests/fixtures/r-robust`, and the messages that lead to them.
//!
//! The messages themselves were not recorded. They are reconstructed from the lines: a line without
//! `kafka_partition` and `kafka_offset` is the message, in its values; its record time is any in
//! the hour of the object's folder. Where the converter changed a value (wrapped, rounded, turned
//! into "Infinity") the message is written out below. Offsets that no line has belong to messages
//! that the sink could not read or ignores; such are put in their places.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use testing::TestMessage;

pub const TOPIC: &str = "stock_prices";

pub struct Recording {
    /// Key to bytes.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// In the order of their offsets, for each partition.
    pub messages: Vec<TestMessage>,
    /// How many of the messages are no JSON object.
    pub dead_letters: usize,
}

/// Messages whose numbers the converter changed.
const CHANGED: [(i32, i64, &str); 3] = [
    (
        0,
        57,
        r#"{"symbol":"AAPL","timestamp":1748869200000,"open":1,"close":8.6499996185302734375,"volume":1.5}"#,
    ),
    (
        0,
        58,
        r#"{"symbol":"AAPL","timestamp":"2025-06-02T13:00:00Z","open":123456789012345678901234567890,"close":1e400,"volume":9223372036854775808}"#,
    ),
    (
        0,
        62,
        r#"{"symbol":"B","timestamp":"2025-06-02T13:00:00Z","open":0.1234567890123456789,"close":100.10,"volume":1000.0}"#,
    ),
];

const UNREADABLE: [Option<&[u8]>; 4] =
    [Some(b"not json"), None, Some(b"[1,2]"), Some(b"{\"symbol\":\"AA")];

pub fn load() -> Recording {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/r-robust");
    let mut objects = BTreeMap::new();
    let mut messages: BTreeMap<(i32, i64), TestMessage> = BTreeMap::new();
    for folder in std::fs::read_dir(root.join("raw").join(TOPIC)).unwrap() {
        let folder = folder.unwrap();
        let hour = folder.file_name().into_string().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            for line in str::from_utf8(&bytes).unwrap().lines() {
                let (offset, record) = message(line, start_of(&hour));
                assert!(
                    messages.insert((record.partition, offset), record).is_none(),
                    "recorded twice: {line}"
                );
            }
            objects.insert(
                format!("raw/{TOPIC}/{hour}/{}", file.file_name().into_string().unwrap()),
                bytes,
            );
        }
    }
    let dead_letters = fill_gaps(&mut messages);
    Recording { objects, messages: messages.into_values().collect(), dead_letters }
}

fn message(line: &str, hour_ms: i64) -> (i64, TestMessage) {
    let value: Value = serde_json::from_str(line).unwrap();
    let offset = value["kafka_offset"].as_i64().unwrap();
    let partition = i32::try_from(value["kafka_partition"].as_i64().unwrap()).unwrap();
    // Fields stay in the line's order: names that share a bucket of Java's hash map come out as
    // they went in.
    let provenance = format!(r#""kafka_offset":{offset},"kafka_partition":{partition}"#);
    assert!(line.contains(&provenance), "{line}");
    let text = line.replace(&format!("{provenance},"), "").replace(&provenance, "");
    let changed = CHANGED.iter().find(|(p, o, _)| (*p, *o) == (partition, offset));
    let text = changed.map_or(text, |(_, _, text)| (*text).to_owned());
    (offset, TestMessage::new(partition, text).at(hour_ms + offset))
}

/// Returns how many of the messages put in go to the dead-letter topic.
fn fill_gaps(messages: &mut BTreeMap<(i32, i64), TestMessage>) -> usize {
    let mut last: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, offset) in messages.keys() {
        last.insert(*partition, *offset);
    }
    let mut filled = Vec::new();
    for (partition, last) in last {
        let missing = (0..last).filter(|offset| !messages.contains_key(&(partition, *offset)));
        filled.extend(missing.map(|offset| (partition, offset)));
    }
    let mut dead_letters = 0;
    for (key, value) in filled.into_iter().zip(UNREADABLE.iter().cycle()) {
        let record = TestMessage {
            partition: key.0,
            value: value.map(Into::into),
            ..TestMessage::default()
        };
        messages.insert(key, record.at(1_748_869_200_000));
        dead_letters += usize::from(value.is_some());
    }
    dead_letters
}

fn start_of(hour: &str) -> i64 {
    let start = DateTime::strptime("%Y-%m-%d-%H-%M", format!("{hour}-00")).unwrap();
    start.to_zoned_datetime(TimeZone::UTC).unwrap().timestamp().as_millisecond()
}
