//! Which lines and objects are left to our own decoder.

use super::*;
use crate::archive::Origin;
use crate::scan::ScanOptions;
use common::Timestamp;
use common::decode::Rules;
use common::timestamp::{EpochUnit, TimeRules};
use std::sync::Arc;

fn options() -> ScanOptions {
    let stored_at = Timestamp::from_micros(1_749_218_405_000_000);
    let options = ScanOptions::unlimited(Origin { partition: 0, start_offset: 0 }, stored_at);
    ScanOptions { topic: "stock_prices".into(), ..options }
}

fn layout(line: &str) -> Option<LineLayout> {
    LineLayout::of(line.as_bytes(), &options())
}

const TICK: &str = r#"{"symbol":"A","timestamp":"2025-06-06T10:00:00Z","price":1.5,"volume":3}"#;

#[test]
fn the_layout_of_a_line_is_that_of_what_our_own_decoder_reads() {
    let bare = layout(TICK).unwrap();
    assert!(!bare.is_wrapped && !bare.has_offset());
    let wrapped =
        layout(&format!(r#"{{"key":null,"offset":17,"value":{TICK},"timestamp":"x"}}"#)).unwrap();
    assert!(wrapped.is_wrapped && wrapped.has_offset());
    let rebuilt: String = wrapped.layout.steps.iter().map(|(text, _)| text.as_str()).collect();
    assert!(rebuilt.starts_with(r#"{"key":null,"offset":,"value":{"symbol":""#), "{rebuilt}");
    for line in [
        "",
        "{}",
        "[1]",
        r#"{"symbol":"A"}"#,
        &format!(r#"{{"offset":17,"value":{}}}"#, serde_json::to_string(TICK).unwrap()),
        &format!(r#"{{"value":{TICK}}}"#),
    ] {
        assert_eq!(layout(line), None, "{line}");
    }
    // A `value` next to other members is the producer's own.
    let own_value = TICK.replace("\"price\"", "\"value\":{\"a\":1},\"price\"");
    assert!(!layout(&own_value).unwrap().is_wrapped);
}

#[test]
fn lines_with_ticks_of_dotnet_are_left_to_our_own_decoder() {
    let has_pattern = |unit| {
        let times = TimeRules { unit, ..TimeRules::default() };
        let rules = Arc::new(Rules { times, ..Rules::default() });
        let options = ScanOptions { rules: Arc::clone(&rules), ..options() };
        let line = r#"{"symbol":"A","ts":638848152011230000,"price":1.5,"volume":3}"#;
        Pattern::of(&LineLayout::of(line.as_bytes(), &options).unwrap(), &rules).is_some()
    };
    assert!(has_pattern(EpochUnit::Ns) && !has_pattern(EpochUnit::DotNet));
}

#[test]
fn an_object_that_begins_or_ends_otherwise_is_left_to_our_own_scan() {
    let row = |kind: &str, cells: &str| format!("{kind},0,{cells}");
    let object = |plain: &str, count: u64, first: i64, last: i64| {
        row(
            "15",
            &format!(
                ",,,,{plain},0,,0,1,0,,0,1,1,1,1,0,,,,,,0,{},{count},{first},{last},9",
                count - 1
            ),
        )
    };
    for (plain, count, first, last, expected) in [
        ("10", 10, 0, 9, Some(0)),
        ("9", 10, 0, 9, Some(1)),
        ("9", 10, 1, 9, None),
        ("9", 10, 0, 8, None),
        ("0", 10, 0, 8, None),
    ] {
        let sums = answer::sums(&[object(plain, count, first, last)], 1).unwrap();
        assert_eq!(sums[0].others().map(|(lines, _)| lines), expected, "{plain} {first} {last}");
    }
    let torn = row("15", ",,,,9,0,,0,1,0,,0,1,1,1,1,0,,,,,,0,90,10,0,90,9");
    assert_eq!(
        answer::sums(&[torn], 1).unwrap()[0].others(),
        None,
        "its rows are not in one piece"
    );
    assert!(answer::sums(&["15,7".to_owned()], 1).is_err());
}
