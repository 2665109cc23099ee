use super::*;
use common::{Bar, Reason};
use proptest::prelude::*;

const AT: i64 = 1_748_869_200_000;

fn options() -> ScanOptions {
    ScanOptions {
        compressed_name: false,
        origin: Origin { partition: 3, start_offset: 100 },
        names: ProvenanceNames::default(),
        csv: None,
        stored_at: Timestamp::from_micros((AT + 60_000) * 1000),
        exclude: None,
    }
}

fn line(symbol: &str, millis: i64, close: &str) -> String {
    format!(r#"{{"symbol":"{symbol}","timestamp":{millis},"open":{close},"close":{close},"volume":2}}"#)
}

fn bar_of_a(bars: &HourBars) -> Bar {
    bars.bars.iter().find(|(symbol, _)| symbol.as_str() == "A").map(|(_, bar)| *bar).unwrap()
}

#[test]
fn ticks_are_summed_up_by_their_own_hour() {
    let text = [line("A", AT, "1.5"), line("B", AT, "2"), line("A", AT - 1, "3"), line("A", AT + 1, "4.5")].join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let hours: Vec<_> = scan.hours.iter().map(|(hour, bars)| (hour.to_string(), bars.ticks)).collect();
    assert_eq!(hours, [("2025-06-02T12:00Z".to_owned(), 1), ("2025-06-02T13:00Z".to_owned(), 3)]);
    let bar = bar_of_a(&scan.hours[1].1);
    assert_eq!((bar.open.to_string().as_str(), bar.close.to_string().as_str(), bar.ticks), ("1.5", "4.5", 2));
}

#[test]
fn without_provenance_the_key_and_the_line_give_the_order() {
    let text = [line("A", AT, "1"), String::new(), line("A", AT, "2"), line("A", AT, "3")].join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let bar = bar_of_a(&scan.hours[0].1);
    assert_eq!((bar.first.partition, bar.first.offset, bar.last.offset), (3, 100, 103));
    assert_eq!((bar.open.to_string().as_str(), bar.close.to_string().as_str()), ("1", "3"));
    assert!(scan.hours[0].1.offsets.is_empty());
}

#[test]
fn bad_lines_are_counted_and_kept_with_number_and_reason() {
    let text = format!(
        "{}\n{{}}\n\n  \nno json\n{{\"kafka_partition\":0,\"kafka_offset\":4}}\n{}\n",
        line("A", AT, "1"),
        line("A", AT, "-1")
    );
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.lines, scan.rejected), (5, 4));
    let rejects: Vec<_> = scan.rejects.iter().map(|r| (r.number, r.reject.reason.as_str())).collect();
    assert_eq!(rejects, [(2, "missing_field"), (5, "not_json"), (6, "missing_field"), (7, "bad_price")]);
    assert_eq!(scan.rejects[1].value, b"no json");
}

#[test]
fn of_many_bad_lines_the_first_thousand_are_kept() {
    let scan = scan("x\n".repeat(1500).as_bytes(), &options()).unwrap();
    assert_eq!((scan.rejected, scan.rejects.len()), (1500, MAX_REJECTS_KEPT));
}

#[test]
fn a_line_too_long_for_a_tick_is_one_bad_line() {
    let text = format!("{}\n{}\n{}", line("A", AT, "1"), "y".repeat(3_000_000), line("A", AT, "2"));
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.lines, scan.rejected, scan.hours[0].1.ticks), (3, 1, 2));
    let reject = &scan.rejects[0];
    assert_eq!((reject.number, reject.value_bytes, reject.value.len()), (2, 3_000_000, MAX_REJECT_BYTES));
    assert_eq!(reject.reject.reason, Reason::TooLarge);
}

#[test]
fn a_timestamp_a_day_after_the_object_was_stored_is_rejected() {
    let late = AT + 60_000 + 86_400_000;
    let text = [line("A", late, "1"), line("A", late + 1, "1")].join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.rejected, scan.rejects[0].number), (1, 2));
}

#[test]
fn an_object_cut_short_names_the_hours_that_its_readable_part_touches() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    for number in 0..20_000 {
        writeln!(encoder, "{}", line("A", AT - number * 1000, "1")).unwrap();
    }
    let whole = encoder.finish().unwrap();
    let failed = scan(&whole[..whole.len() - 10], &options()).unwrap_err();
    assert_eq!(failed.error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(failed.hours.len() > 4, "{:?}", failed.hours);
}

proptest! {
    #[test]
    fn no_content_makes_it_panic(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan(&content[..], &options());
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"([{}\[\]":,.eE0-9a-z\n -]|"symbol"|"timestamp"|"open"|"close"|"volume"){0,80}"#) {
        // What looks like an array may have no end.
        if let Ok(scan) = scan(text.as_bytes(), &options()) {
            prop_assert!(scan.rejected <= scan.lines);
        }
    }
}
