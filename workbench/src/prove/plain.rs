//! What a value says, read by serde_json and jiff alone: the proof must not rest on the decoder
//! that it checks.

use crate::simulate::Names;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The fields of a tick as PostgreSQL takes them. Nothing is judged: that a value is read does not
/// make it valid.
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

/// Bare or in an envelope, its fields under these names; None where it is not even the outline of a
/// tick.
pub fn read(value: &[u8], names: &Names) -> Option<Plain> {
    let outer: Object<'_> = serde_json::from_slice(value).ok()?;
    let object = match outer.get("payload") {
        Some(payload) if outer.contains_key("schema") => {
            serde_json::from_str(payload.get()).ok()?
        }
        _ => outer,
    };
    let number = |name: &str| {
        let text = object.get(name).map(|raw| raw.get().trim_matches('"'));
        text.filter(|text| is_number(text)).map(str::to_owned)
    };
    Some(Plain {
        symbol: serde_json::from_str(object.get(names.symbol)?.get())
            .ok()
            .filter(|symbol: &String| is_word(symbol))?,
        timestamp: timestamp(object.get(names.timestamp)?.get())?,
        open: number(names.open)?,
        high: names.high.and_then(number),
        low: names.low.and_then(number),
        close: number(names.close)?,
        volume: number(names.volume),
    })
}

/// RFC 3339, New York's time without an offset, or seconds or milliseconds of the epoch; digits
/// below a microsecond are cut off.
fn timestamp(json: &str) -> Option<jiff::Timestamp> {
    let timestamp: jiff::Timestamp = match serde_json::from_str::<String>(json) {
        Ok(text) => text.parse().ok().or_else(|| in_new_york(&text))?,
        Err(_) => since_1970(json.parse().ok()?)?,
    };
    jiff::Timestamp::from_microsecond(timestamp.as_microsecond()).ok()
}

fn in_new_york(text: &str) -> Option<jiff::Timestamp> {
    let local: jiff::civil::DateTime = text.parse().ok()?;
    local.in_tz("America/New_York").ok().map(|zoned| zoned.timestamp())
}

/// What is simulated has three decimals of a second at most, which a float holds.
fn since_1970(number: f64) -> Option<jiff::Timestamp> {
    let millis = if number.abs() < 1e11 { number * 1000.0 } else { number };
    jiff::Timestamp::from_millisecond(millis.round() as i64).ok()
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
    use crate::simulate::Shape;

    fn read(value: &[u8]) -> Option<Plain> {
        super::read(value, &Shape::Bare.names())
    }

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
        let payload =
            r#"{"symbol":"A","timestamp":1749218401123,"open":1,"high":3,"close":2,"volume":0}"#;
        let enveloped =
            format!(r#"{{"schema":{{"type":"struct"}},"payload":{payload},"kafka_offset":5}}"#);
        let plain = read(enveloped.as_bytes()).unwrap();
        assert_eq!(plain.timestamp.to_string(), "2025-06-06T14:00:01.123Z");
        assert_eq!(plain.high.as_deref(), Some("3"));
    }

    #[test]
    fn a_feed_s_tick_is_read_under_its_own_names_and_with_numbers_as_text() {
        let read = |shape: Shape, value: &str| {
            let Plain { symbol, timestamp, open, close, volume, .. } =
                super::read(value.as_bytes(), &shape.names()).unwrap();
            format!("{symbol} {timestamp} {open} {close} {}", volume.unwrap_or_default())
        };
        let binance =
            r#"{"e":"trade","s":"BTC","p":"45123.50","q":"0.00012345","t":7,"T":1749218401123}"#;
        assert_eq!(
            read(Shape::Binance, binance),
            "BTC 2025-06-06T14:00:01.123Z 45123.50 45123.50 0.00012345"
        );
        let cryptofeed =
            r#"{"symbol":"BTC","amount":1.0E-4,"price":2.5,"timestamp":1.749218401123E9}"#;
        assert_eq!(
            read(Shape::Cryptofeed, cryptofeed),
            "BTC 2025-06-06T14:00:01.123Z 2.5 2.5 1.0E-4"
        );
        let local = r#"{"symbol":"A","timestamp":"2025-06-06 10:00:01","1. open":"1","4. close":"2","5. volume":null}"#;
        assert_eq!(read(Shape::AlphaVantage, local), "A 2025-06-06T14:00:01Z 1 2 ");
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
            r#"{"symbol":"A","timestamp":0,"open":"one","close":2,"volume":0}"#,
            r#"{"symbol":"A","timestamp":0,"open":1e400,"close":2,"volume":0}"#,
            r#"{"symbol":"A B","timestamp":0,"open":1,"close":2,"volume":0}"#,
            r#"{"symbol":"A","timestamp":"yesterday","open":1,"close":2,"volume":0}"#,
        ] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
    }
}
