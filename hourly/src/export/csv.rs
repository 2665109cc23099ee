//! A tick as a line of comma-separated fields (RFC 4180, but for its line ends).

use crate::checksum::TickContent;
use crate::lake::gather::is_without_offset;
use common::{Codes, Place};
use std::fmt::Display;
use std::io::{self, Write};

/// The first line.
pub const HEADER: &str = "symbol,timestamp,open,high,low,close,volume,bid,ask,sequence,conditions,source,kafka_partition,\
                          kafka_offset,kafka_index\n";

/// Writes a tick of a topic. What it does not tell is empty.
///
/// # Errors
/// Where `out` fails.
pub fn write(
    out: &mut impl Write,
    content: &TickContent<'_>,
    topic: &str,
    place: Place,
) -> io::Result<()> {
    let TickContent { symbol, timestamp, open, high, low, close, volume, extras } = content;
    text(out, symbol)?;
    write!(out, ",{timestamp}")?;
    for price in [open, high, low, close] {
        field(out, price.as_ref())?;
    }
    field(out, volume.as_ref())?;
    field(out, extras.bid().as_ref())?;
    field(out, extras.ask().as_ref())?;
    field(out, extras.sequence().as_ref())?;
    out.write_all(b",")?;
    text(out, &json(extras.conditions()))?;
    out.write_all(b",")?;
    text(out, topic)?;
    write!(out, ",{}", place.partition)?;
    let identified = (!is_without_offset(place)).then_some((place.offset, place.index));
    field(out, identified.map(|(offset, _)| offset).as_ref())?;
    field(out, identified.map(|(_, index)| index).as_ref())?;
    out.write_all(b"\n")
}

fn field(out: &mut impl Write, value: Option<&impl Display>) -> io::Result<()> {
    match value {
        Some(value) => write!(out, ",{value}"),
        None => out.write_all(b","),
    }
}

fn text(out: &mut impl Write, text: &str) -> io::Result<()> {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.write_all(text.as_bytes());
    }
    write!(out, "\"{}\"", text.replace('"', "\"\""))
}

/// Conditions as an array of texts; empty where there is none.
fn json(conditions: Codes<'_>) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    serde_json::Value::from_iter(conditions.iter()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{Extras, Price, Timestamp, Volume};

    fn line(symbol: &str, conditions: &str, place: Place) -> String {
        let mut extras = Extras::default();
        extras.set_bid(1);
        extras.set_sequence(0);
        extras.set_conditions(Codes::of_text(conditions));
        let content = TickContent {
            symbol,
            timestamp: Timestamp::from_micros(1_748_869_200_000_001),
            open: Price::from_nanos(201_500_000_000),
            high: None,
            low: None,
            close: Price::from_nanos(-1),
            volume: Volume::from_parts(i64::MAX, 10),
            extras,
        };
        let mut out = Vec::new();
        write(&mut out, &content, "stock_prices", place).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_have_all_their_digits_and_what_is_not_told_is_empty() {
        let place = Place { partition: 3, offset: 7, index: 1 };
        let begin = "A,2025-06-02T13:00:00.000001Z,201.5,,,-0.000000001,9223372036854775807.00000001,0.000000001,,0,";
        assert_eq!(line("A", "", place), format!("{begin},stock_prices,3,7,1\n"));
        let unknown = Place { offset: i64::MIN, ..place };
        assert_eq!(line("A", "", unknown), format!("{begin},stock_prices,3,,\n"));
        let count = |line: &str| line.matches(',').count();
        assert_eq!(count(HEADER), count(&line("A", "", place)));
    }

    #[test]
    fn a_text_with_commas_or_quotes_is_quoted() {
        let place = Place { partition: 0, offset: 0, index: 0 };
        assert!(line("A,\"B\"", "", place).starts_with("\"A,\"\"B\"\"\",2025"));
        let line = line("A", r#"["@","Odd Lot"]"#, place);
        assert!(line.contains(r#","[""@"",""Odd Lot""]",stock_prices"#), "{line}");
        assert!(super::tests::line("A", "7", place).contains(r#","[""7""]","#));
    }
}
