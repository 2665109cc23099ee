//! What a value says, read by serde_json and jiff alone: the proof must not rest on the decoder that it checks.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// The fields of a tick as PostgreSQL takes them. Nothing is judged: that a value is read does not make it valid.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    pub symbol: String,
    pub timestamp: jiff::Timestamp,
    pub open: String,
    pub high: Option<String>,
    pub low: Option<String>,
    pub close: String,
    pub volume: Option<String>,
}

type Object<'a> = HashMap<String, &'a RawValue>;

/// Bare or in an envelope; None where it is not even the outline of a tick.
pub fn read(value: &[u8]) -> Option<Plain> {
    let outer: Object<'_> = serde_json::from_slice(value).ok()?;
    let object = match outer.get("payload") {
        Some(payload) if outer.contains_key("schema") => serde_json::from_str(payload.get()).ok()?,
        _ => outer,
    };
    let number = |name: &str| object.get(name).map(|raw| raw.get()).filter(|text| is_number(text)).map(str::to_owned);
    Some(Plain {
        symbol: serde_json::from_str(object.get("symbol")?.get()).ok().filter(|symbol: &String| is_word(symbol))?,
        timestamp: timestamp(object.get("timestamp")?.get())?,
        open: number("open")?,
        high: number("high"),
        low: number("low"),
        close: number("close")?,
        volume: number("volume"),
    })
}

/// RFC 3339, or milliseconds of the epoch; digits below a microsecond are cut off.
fn timestamp(json: &str) -> Option<jiff::Timestamp> {
    let timestamp: jiff::Timestamp = match serde_json::from_str::<String>(json) {
        Ok(text) => text.parse().ok()?,
        Err(_) => jiff::Timestamp::from_millisecond(json.parse().ok()?).ok()?,
    };
    jiff::Timestamp::from_microsecond(timestamp.as_microsecond()).ok()
}

/// A JSON number, not so large or small that PostgreSQL would refuse it.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && text.parse::<f64>().is_ok_and(|number| number.abs() < 1e30)
}

/// Needs no escaping in COPY's text format; nor does a symbol, by its own rules.
fn is_word(symbol: &str) -> bool {
    symbol.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_read_bare_and_enveloped_with_its_digits_as_they_are() {
        let bare = br#"{"symbol":"BRK-B","timestamp":"2025-06-06T10:00:01.1234567-04:00","open":201.50,"close":2.016e2,"volume":100.0,"low":null}"#;
        let plain = read(bare).unwrap();
        assert_eq!(
            (plain.symbol.as_str(), plain.timestamp.to_string().as_str()),
            ("BRK-B", "2025-06-06T14:00:01.123456Z")
        );
        assert_eq!(
            (plain.open.as_str(), plain.close.as_str(), plain.volume.as_deref()),
            ("201.50", "2.016e2", Some("100.0"))
        );
        assert_eq!((plain.high, plain.low), (None, None));
        let payload = r#"{"symbol":"A","timestamp":1749218401123,"open":1,"high":3,"close":2,"volume":0}"#;
        let enveloped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{payload},"kafka_offset":5}}"#);
        let plain = read(enveloped.as_bytes()).unwrap();
        assert_eq!(plain.timestamp.to_string(), "2025-06-06T14:00:01.123Z");
        assert_eq!(plain.high.as_deref(), Some("3"));
    }

    #[test]
    fn of_duplicate_names_the_last_counts() {
        let twice = br#"{"symbol":"A","timestamp":0,"open":1,"open":2,"close":2,"volume":0}"#;
        assert_eq!(read(twice).unwrap().open, "2");
    }

    #[test]
    fn what_has_not_the_outline_of_a_tick_is_not_read() {
        for value in [
            "",
            "[1]",
            "201.5",
            r#"{"symbol":"A","timestamp":0,"open":"1","close":2,"volume":0}"#,
            r#"{"symbol":"A","timestamp":0,"open":1e400,"close":2,"volume":0}"#,
            r#"{"symbol":"A B","timestamp":0,"open":1,"close":2,"volume":0}"#,
            r#"{"symbol":"A","timestamp":"yesterday","open":1,"close":2,"volume":0}"#,
        ] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
    }
}
