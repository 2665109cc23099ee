//! Objects of every form, scanned.

use super::trickle::Trickle;
use super::*;
use crate::archive::Origin;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::decode::{MapEntries, Mapping, Rules, SymbolFrom, TimestampFrom};
use common::{Bar, Reason, Timestamp};
use proptest::prelude::*;
use std::io::{self, Cursor};
use std::sync::Arc;

const AT: i64 = 1_748_869_200_000;

pub(super) fn options() -> ScanOptions {
    let stored_at = Timestamp::from_micros((AT + 60_000) * 1000);
    ScanOptions::unlimited(Origin { partition: 3, start_offset: 100 }, stored_at)
}

fn line(symbol: &str, millis: i64, close: &str) -> String {
    format!(
        r#"{{"symbol":"{symbol}","timestamp":{millis},"open":{close},"close":{close},"volume":2}}"#
    )
}

fn bar_of_a(bars: &HourBars) -> Bar {
    bars.bars.iter().find(|(symbol, _)| symbol.as_str() == "A").map(|(_, bar)| *bar).unwrap()
}

#[test]
fn ticks_are_summed_up_by_their_own_hour() {
    let text = [
        line("A", AT, "1.5"),
        line("B", AT, "2"),
        line("A", AT - 1, "3"),
        line("A", AT + 1, "4.5"),
    ]
    .join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let hours: Vec<_> =
        scan.hours.iter().map(|(hour, bars)| (hour.to_string(), bars.ticks)).collect();
    assert_eq!(hours, [("2025-06-02T12:00Z".to_owned(), 1), ("2025-06-02T13:00Z".to_owned(), 3)]);
    let bar = bar_of_a(&scan.hours[1].1);
    assert_eq!(
        (bar.open.to_string().as_str(), bar.close.to_string().as_str(), bar.ticks),
        ("1.5", "4.5", 2)
    );
}

#[test]
fn without_provenance_the_key_and_the_line_give_the_order() {
    let text =
        [line("A", AT, "1"), String::new(), line("A", AT, "2"), line("A", AT, "3")].join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let bar = bar_of_a(&scan.hours[0].1);
    assert_eq!(
        (bar.first.place.partition, bar.first.place.offset, bar.last.place.offset),
        (3, 100, 103)
    );
    assert_eq!((bar.open.to_string().as_str(), bar.close.to_string().as_str()), ("1", "3"));
    assert!(scan.hours[0].1.offsets.is_empty());
}

#[test]
fn an_offset_that_no_broker_gives_counts_as_none() {
    let told = |offset: i64| {
        let tick = line("A", AT, "1");
        let members = tick.trim_end_matches('}');
        format!("{members},\"kafka_partition\":5,\"kafka_offset\":{offset}}}\n")
    };
    let text = [1 << 48, (1 << 48) - 1, 1 << 59, -1].map(told).concat();
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let bars = &scan.hours[0].1;
    assert_eq!((bars.ticks, bars.offsets.len(), scan.far_offsets), (4, 1, 3));
    assert!(bars.offsets.contains("t", 5, (1 << 48) - 1));
    // The first line stands where its object says.
    let first = bar_of_a(bars).first.place;
    assert_eq!((first.partition, first.offset), (3, 100));
}

/// A text again and again, without an end.
struct Endless(&'static [u8], usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn an_object_of_nothing_but_lines_that_are_no_records_is_not_read_to_its_end() {
    for text in [&b"x\n"[..], b"\0\n"] {
        let error = scan(Endless(text, 0), &options()).unwrap_err().error;
        assert!(error.to_string().contains("it holds no record"), "{error}");
    }
}

#[test]
fn an_object_of_hardly_anything_but_lines_without_a_tick_is_not_read_to_its_end() {
    let each = Rules { each: Some("data".parse().unwrap()), ..Rules::default() };
    let options = ScanOptions { max_without_tick: 5_000, rules: Arc::new(each), ..options() };
    let tick = line("A", AT, "1");
    let strange = [
        &b"{}\n"[..],
        b"x\n",
        b"\n",
        b" \r\n",
        b"{\"a\":1}{}x\n",
        b"{}",
        b"{\"data\":[{},{},1]}\n",
    ];
    let behind = |begin: String, text: &'static [u8]| Cursor::new(begin).chain(Endless(text, 0));
    for object in strange
        .map(|text| behind(format!("{tick}\n"), text))
        .into_iter()
        .chain([behind(format!("[{tick},"), b"{},"), behind(format!("[{tick}]"), b"\n{}")])
    {
        let failed = scan(object, &options).unwrap_err();
        let why = failed.error.to_string();
        assert!(why.starts_with("more than 5000 of its lines hold no tick"), "{why}");
        assert_eq!(failed.hours, [Hour::of(Timestamp::from_micros(AT * 1000))]);
    }
    let whole = format!("{tick}\n{}", "{}\n".repeat(5_000));
    assert_eq!(scan(whole.as_bytes(), &options).unwrap().rejected, 5_000);
}

#[test]
fn a_small_object_that_unpacks_to_a_thousand_times_as_much_is_read_where_it_holds_ticks() {
    use std::io::Write;
    let text = (line("A", AT, "1") + "\n\n").repeat(150_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    assert!(gzip.len() * 150 < text.len() && zstd.len() * 1_000 < text.len());
    for packed in [gzip, zstd] {
        let size = packed.len() as u64;
        let options = ScanOptions {
            max_without_tick: max_without_tick(size),
            max_unpacked: max_unpacked(size),
            ..options()
        };
        assert_eq!(scan(&*packed, &options).unwrap().hours[0].1.ticks, 150_000);
    }
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
    let rejects: Vec<_> =
        scan.rejects.iter().map(|r| (r.number, r.reject.reason.as_str())).collect();
    assert_eq!(
        rejects,
        [(2, "missing_field"), (5, "not_json"), (6, "missing_field"), (7, "bad_price")]
    );
    assert_eq!(scan.rejects[1].value, b"no json");
}

#[test]
fn a_byte_order_mark_in_front_of_an_object_costs_it_no_tick() {
    let text = format!("\u{feff}{}\n{}\n", line("A", AT, "1"), line("A", AT + 1, "2"));
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.lines, scan.rejected, scan.hours[0].1.ticks), (2, 0, 2));
}

#[test]
fn of_many_bad_lines_the_first_thousand_are_kept() {
    let text = "x\n".repeat(1500) + &line("A", AT, "1");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.rejected, scan.rejects.len()), (1500, MAX_REJECTS_KEPT));
}

#[test]
fn an_object_that_ends_in_zeros_has_lost_its_end() {
    let text = line("A", AT, "1") + "\n" + &line("A", AT, "2");
    for zeros in [1, 100, 3_000_000] {
        for end in [text.len() - 1, text.len() - 20, text.len() / 2 + 1] {
            let torn = [&text.as_bytes()[..end], &vec![0; zeros]].concat();
            let error = scan(&*torn, &options()).unwrap_err().error;
            assert!(error.to_string().contains("zero bytes"), "{end} {zeros}: {error}");
        }
    }
    // Lines follow: something strange stood between them.
    for zeros in [3, 3_000_000] {
        let text = [text.as_bytes(), b"\n", &vec![0; zeros], b"\n", text.as_bytes()].concat();
        assert_eq!(scan(&*text, &options()).unwrap().rejected, 1, "{zeros}");
    }
}

#[test]
fn content_without_a_single_record_is_an_error_and_bad_records_are_none() {
    let read = |content: &[u8]| {
        scan(content, &options())
            .map(|scan| scan.rejected)
            .map_err(|failed| failed.error.to_string())
    };
    for content in
        [&b""[..], b"\n \n", &[0; 70_000], b"<html>\n</html>\n", b"\xfd7zXZ\0", b"PAR1\x15\x04"]
    {
        assert!(read(content).unwrap_err().starts_with("it holds no record: "), "{content:?}");
    }
    assert_eq!(read(b"{}\n{}"), Ok(2));
    assert_eq!(read(b"[{}]"), Ok(1));
    assert_eq!(read(b"null\n"), Ok(1));
}

#[test]
fn of_an_archive_of_comma_separated_fields_the_flag_is_named() {
    let why = |content: &str, options: &ScanOptions| {
        scan(content.as_bytes(), options).map(|_| ()).unwrap_err().error.to_string()
    };
    let message = BASE64.encode(line("A", AT, "1").trim());
    for content in
        [format!("QQ==,{message},17,1748869200000\n"), format!(",{message},17\n,{message},18\n")]
    {
        let why = why(&content, &options());
        assert!(why.starts_with("it holds no record: "), "{why}");
        assert!(why.contains("--csv-fields key,value,offset,timestamp"), "{why}");
        assert!(!why.contains("producer"), "{why}");
    }
    let csv = ScanOptions { csv: "value,offset".parse().ok(), ..options() };
    for (content, options) in [
        ("<html>,</html>\n", &options()),
        ("{'symbol': 'AAPL', 'price': None}\n", &options()),
        ("x,y\n", &csv),
    ] {
        assert!(!why(content, options).contains("--csv-fields"), "{content}");
    }
}

#[test]
fn what_the_sink_says_of_a_record_comes_before_what_its_producer_wrote() {
    let value = line("A", AT, "1");
    let value = value.trim().strip_suffix('}').unwrap();
    let text = format!(r#"{{"value":{value},"kafka_partition":9,"kafka_offset":9}},"offset":17}}"#);
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!(scan.hours[0].1.offsets.newest().collect::<Vec<_>>(), [(3, 17)]);
}

#[test]
fn a_line_too_long_for_a_tick_is_one_bad_line() {
    let text = format!("{}\n{}\n{}", line("A", AT, "1"), "y".repeat(3_000_000), line("A", AT, "2"));
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.lines, scan.rejected, scan.hours[0].1.ticks), (3, 1, 2));
    let reject = &scan.rejects[0];
    assert_eq!(
        (reject.number, reject.value_bytes, reject.value.len()),
        (2, 3_000_000, MAX_REJECT_BYTES)
    );
    assert_eq!(reject.reject.reason, Reason::TooLarge);
}

#[test]
fn an_object_that_is_cut_within_a_long_last_line_is_cut_all_the_same() {
    let (tick, long) = (line("A", AT, "1"), "x".repeat(2_000_000));
    for begun in [
        format!(r#"{{"symbol":"A","note":"{long}"#),
        format!(r#"[{{"a":"{long}"#),
        format!(r#""{long}"#),
        "[".repeat(2_000_000),
    ] {
        for text in [format!("{tick}\n{begun}"), begun] {
            let failed = scan(text.as_bytes(), &options()).unwrap_err();
            assert_eq!(failed.error.kind(), io::ErrorKind::UnexpectedEof, "{}", failed.error);
        }
    }
    // Whole, it is one that is too long.
    let text = format!("{tick}\n{{\"note\":\"{long}\"}}");
    assert_eq!(scan(text.as_bytes(), &options()).unwrap().rejected, 1);
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

#[test]
fn lines_behind_an_array_are_lines_though_its_elements_had_newlines() {
    let tick = line("A", AT, "1").replace(',', ",\n");
    let text = format!("[{tick},{tick}]\n{tick}\n{}\n", line("A", AT, "1"));
    let scan = scan(text.as_bytes(), &options()).unwrap();
    assert_eq!((scan.hours[0].1.ticks, scan.rejected), (3, 5));
}

proptest! {
    /// A line that is in the buffer as a whole is read up to its end, another looked for first.
    #[test]
    fn lines_are_read_alike_however_the_bytes_arrive(
        lines in proptest::collection::vec((0_usize..9, 1_u32..99_999, 0_i64..3), 0..40), step in 1_usize..400, ending in "\r?\n?",
    ) {
        let lines = lines.into_iter().map(|(kind, price, hours)| {
            let tick = line("A", AT + hours * 3_600_000, &format!("{price}.5"));
            match kind {
                0 => String::new(),
                1 => "  ".to_owned(),
                2 => tick.replace("close", "cloze"),
                3 => tick.replace("\"volume\":2", "\"volume\":2,\"note\":\"x\""),
                4 => tick.replace('}', "} x"),
                5 => tick[..tick.len() / 2].to_owned(),
                6 => tick.replace("\":", "\": "),
                7 => tick + "\r",
                _ => tick,
            }
        });
        let text = lines.chain([line("A", AT, "1")]).collect::<Vec<_>>().join("\n") + &ending;
        let whole = scan(text.as_bytes(), &options()).unwrap();
        let parts = scan(Trickle(text.as_bytes(), step), &options()).unwrap();
        prop_assert_eq!((whole.lines, whole.rejected), (parts.lines, parts.rejected));
        prop_assert_eq!(&whole.rejects, &parts.rejects);
        let sums = |scan: &Scan| scan.hours.iter().map(|(hour, bars)| (*hour, bar_of_a(bars))).collect::<Vec<_>>();
        prop_assert_eq!(sums(&whole), sums(&parts));
    }

    #[test]
    fn no_content_makes_it_panic(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan(&content[..], &options());
    }

    #[test]
    fn no_text_makes_it_panic(text in r#"([{}\[\]":,.eE0-9a-z\n -]|"symbol"|"timestamp"|"open"|"close"|"volume"){0,80}"#) {
        // What looks like an array may have no end.
        if let Ok(scan) = scan(text.as_bytes(), &options()) {
            prop_assert!(scan.rejected <= text.len() as u64);
        }
    }
}

#[test]
fn lines_of_every_layout_are_read_by_the_same_rules_as_messages() {
    let rules = Rules {
        symbol_from: SymbolFrom::Key,
        timestamp_from: TimestampFrom::Record,
        mapping: Mapping::new(&"price=q.p".parse::<MapEntries>().unwrap().paths),
        ..Rules::default()
    };
    let time = Timestamp::from_micros(AT * 1000).to_string();
    let text = [
        format!(
            r#"{{"key":"A","value":{{"q":{{"p":"1.5"}},"qty":2}},"offset":7,"timestamp":"{time}"}}"#
        ),
        format!(
            r#"{{"key":"A","value":{{"q":{{"p":"2.5"}},"qty":2}},"offset":8,"timestamp":{AT}}}"#
        ),
        r#"{"q":{"p":"2.5"},"qty":2}"#.to_owned(),
    ]
    .join("\n");
    let scan = scan(text.as_bytes(), &ScanOptions { rules: rules.into(), ..options() }).unwrap();
    assert_eq!((bar_of_a(&scan.hours[0].1).sum_close, scan.rejected), (4_000_000_000, 1));
    let detail = &scan.rejects[0].reject.detail;
    assert!(detail.contains("the archive's line has no key"), "{detail}");
}

#[test]
fn the_topic_of_the_objects_name_may_be_the_symbol() {
    let rules = Rules { symbol_from: SymbolFrom::Topic, ..Rules::default() };
    let options = ScanOptions { rules: rules.into(), topic: "A".into(), ..options() };
    let text = format!(r#"{{"price":2,"volume":1,"ts":{AT}}}"#);
    let scan = scan(text.as_bytes(), &options).unwrap();
    assert_eq!(bar_of_a(&scan.hours[0].1).ticks, 1);
}

#[test]
fn an_object_of_more_bars_than_there_is_memory_for_is_an_error_before_they_are_all_there() {
    let text = |symbols: u32| {
        (0..symbols).map(|number| line(&format!("S{number}"), AT, "1") + "\n").collect::<String>()
    };
    let limited = ScanOptions { max_bars: 10_000, ..options() };
    let error = scan(text(30_000).as_bytes(), &limited).unwrap_err().error;
    assert!(TooWide::caused(&error), "{error}");
    assert_eq!(
        error.to_string(),
        "it holds bars of more than 10000 symbols and hours, for which there is no memory"
    );
    // Without an end: it was not read any further.
    let endless = Cursor::new(text(20_000)).chain(Endless(b"{}\n", 0));
    assert!(TooWide::caused(&scan(endless, &limited).unwrap_err().error));
    assert_eq!(scan(text(9_000).as_bytes(), &limited).unwrap().hours[0].1.bars.len(), 9_000);
}

#[test]
fn an_object_of_very_many_hours_takes_the_memory_of_more_bars_than_it_has() {
    let text: String =
        (0..5_000).map(|hour| line("A", AT - hour * 3_600_000, "1") + "\n").collect();
    let with = |max_bars, hour_weight| {
        let limited = ScanOptions { max_bars, hour_weight, ..options() };
        scan(text.as_bytes(), &limited).map(|scan| scan.hours.len()).map_err(|failed| failed.error)
    };
    assert!(TooWide::caused(&with(20_000, 8).unwrap_err()));
    assert_eq!(with(20_000, 0).unwrap(), 5_000);
    assert_eq!(with(50_000, 8).unwrap(), 5_000);
}

#[test]
fn a_line_that_holds_several_ticks_counts_once_and_each_tick_has_a_place_of_its_own() {
    let tick = |close: &str| line("A", AT, close);
    let several = |offset: i64, ticks: &[String]| {
        format!(r#"{{"data":[{}],"kafka_partition":3,"kafka_offset":{offset}}}"#, ticks.join(","))
    };
    let (first, second) =
        (several(7, &[tick("1"), "{}".into(), tick("2")]), several(8, &[tick("3"), tick("4")]));
    // The second line has been archived twice.
    let text = [
        first,
        second.clone(),
        second,
        tick("9").replace('}', r#","kafka_partition":3,"kafka_offset":9}"#),
    ];
    let rules = Rules { each: Some("data".parse().unwrap()), ..Rules::default() };
    let options = ScanOptions { rules: rules.into(), ..options() };
    let scan = scan(text.join("\n").as_bytes(), &options).unwrap();
    assert_eq!((scan.lines, scan.rejected), (4, 1));
    let reject = &scan.rejects[0];
    assert_eq!(
        (reject.number, reject.element, &*reject.value, reject.value_bytes),
        (1, 1, &b"{}"[..], 2)
    );
    let (_, hour) = &scan.hours[0];
    assert_eq!((hour.ticks, hour.duplicates, hour.offsets.len()), (5, 2, 5));
    assert_eq!(hour.offsets.newest().collect::<Vec<_>>(), [(3, 9)]);
    let bar = bar_of_a(hour);
    assert_eq!(
        (bar.open.to_string(), bar.close.to_string(), bar.ticks),
        ("1".to_owned(), "9".to_owned(), 5)
    );
    assert_eq!((bar.first.place.offset, bar.first.place.index), (7, 0));
}

#[test]
fn in_an_envelope_an_array_is_several_ticks_of_the_record() {
    let ticks = [line("A", AT, "1"), line("A", AT, "2")].join(",");
    let packed = BASE64.encode(format!("[{ticks}]"));
    for value in [format!("[{ticks}]"), format!("\"{packed}\"")] {
        let text = format!(r#"{{"key":null,"value":{value},"offset":17}}"#);
        let scan = scan(text.as_bytes(), &options()).unwrap();
        let bar = bar_of_a(&scan.hours[0].1);
        let places = [bar.first.place, bar.last.place]
            .map(|place| (place.partition, place.offset, place.index));
        assert_eq!((places, bar.ticks, scan.lines), ([(3, 17, 0), (3, 17, 1)], 2, 1));
        assert_eq!(scan.hours[0].1.offsets.len(), 2);
    }
}

#[test]
fn lines_that_are_arrays_are_several_ticks_in_the_order_of_lines_and_elements() {
    let array =
        |closes: [&str; 2]| format!("[{},{}]", line("A", AT, closes[0]), line("A", AT, closes[1]));
    let text = [line("A", AT, "1"), array(["2", "3"]), array(["4", "5"])].join("\n");
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let bar = bar_of_a(&scan.hours[0].1);
    assert_eq!(
        (bar.ticks, bar.open.to_string(), bar.close.to_string()),
        (5, "1".to_owned(), "5".to_owned())
    );
    assert_eq!((bar.last.place.offset, bar.last.place.index, scan.lines), (102, 1, 3));
}

/// The places of the first and last tick, where all have the same time.
fn ends(text: &str) -> [(i64, u16, String); 2] {
    let scan = scan(text.as_bytes(), &options()).unwrap();
    let bar = bar_of_a(&scan.hours[0].1);
    let of =
        |place: common::Place, price: common::Price| (place.offset, place.index, price.to_string());
    [of(bar.first.place, bar.open), of(bar.last.place, bar.close)]
}

#[test]
fn lines_behind_an_array_stand_behind_one_message_and_before_the_next_object() {
    let array = |count: u32| {
        (1..=count).map(|number| line("A", AT, &number.to_string())).collect::<Vec<_>>().join(",")
    };
    let text = format!("[{}]\n{}\n[{}]\n", array(50), line("A", AT, "7"), array(3));
    // Three messages, from offset 100 on.
    assert_eq!(ends(&text), [(100, 0, "1".into()), (102, 2, "3".into())]);
    let scan = scan(format!("[{{}},{}]\nx\n", array(2)).as_bytes(), &options()).unwrap();
    let rejects: Vec<_> = scan.rejects.iter().map(|r| (r.number, r.element)).collect();
    // What is left of the array's own line has one, too.
    assert_eq!(rejects, [(1, 0), (5, 0)], "each has a number of its own");
}

#[test]
fn elements_of_an_array_that_is_the_whole_object_stay_in_their_order_and_before_the_next_object() {
    let elements =
        (1..=70_000).map(|number| line("A", AT, &number.to_string())).collect::<Vec<_>>().join(",");
    let [first, last] = ends(&format!("[{elements}]"));
    assert_eq!((first, last.2), ((100, 0, "1".into()), "70000".into()));
    assert!(last.0 < 100 + 70_000, "{}", last.0);
}

/// A record that tells its offset, as the sink writes it.
fn told(offset: i64) -> String {
    let place = format!(r#","kafka_partition":3,"kafka_offset":{offset}}}"#);
    line("A", AT, "1").replace('}', &place)
}

/// The offsets of an object's ticks, and the texts of what is rejected of it.
fn offsets_and_rejects(text: &[u8]) -> (Vec<u64>, Vec<String>) {
    let scan = scan(text, &options()).unwrap();
    assert_eq!(scan.rejected as usize, scan.rejects.len());
    let ticks: u64 = scan.hours.iter().map(|(_, bars)| bars.ticks).sum();
    let offsets: Vec<u64> = (0..100)
        .filter(|offset| {
            let number =
                place_of(Provenance { partition: 3, offset: *offset as i64 }, 0).unwrap().1;
            scan.hours.iter().any(|(_, bars)| bars.offsets.contains("t", 3, number))
        })
        .collect();
    assert_eq!(offsets.len() as u64, ticks, "each tick has its place");
    let mut places: Vec<_> =
        scan.rejects.iter().map(|reject| (reject.number, reject.element)).collect();
    places.dedup();
    assert_eq!(places.len(), scan.rejects.len(), "each has a place of its own");
    (
        offsets,
        scan.rejects
            .iter()
            .map(|reject| String::from_utf8_lossy(&reject.value).into_owned())
            .collect(),
    )
}

/// What is no tick is no hole in the archive where its place is known.
#[test]
fn a_rejected_element_has_the_place_of_its_message() {
    let rules = Rules { each: Some("data".parse().unwrap()), ..Rules::default() };
    let csv = ScanOptions { csv: "value,offset".parse().ok(), ..options() };
    let (tick, broken) =
        (line("A", AT, "1"), r#"{"symbol":"A","kafka_partition":9,"kafka_offset":9}"#);
    let message = format!(r#"{{"data":[{broken},{tick},"x"]"#);
    let enveloped = format!(r#"{{"schema":null,"payload":{message}}}"#);
    for (options, text) in [
        (options(), format!(r#"{message},"kafka_partition":3,"kafka_offset":17}}"#)),
        (options(), format!(r#"{enveloped},"kafka_partition":3,"kafka_offset":17}}"#)),
        (options(), format!(r#"{{"key":"k","value":{message}}},"offset":17}}"#)),
        (csv, format!("{},17", BASE64.encode(format!("{message}}}")))),
    ] {
        let options = ScanOptions { rules: Arc::new(rules.clone()), ..options };
        let scan = scan(format!("{text}\n").as_bytes(), &options).unwrap();
        assert_eq!((scan.lines, scan.rejected, scan.hours[0].1.ticks), (1, 2, 1), "{text}");
        let places: Vec<_> =
            scan.rejects.iter().map(|reject| (reject.element, reject.kafka_position)).collect();
        let told = Some(Provenance { partition: 3, offset: 17 });
        assert_eq!(places, [(0, told), (2, told)], "{text}");
    }
}

/// Messages of a REST proxy's say places of their own.
#[test]
fn what_an_element_says_of_a_place_is_none_of_the_archive_s() {
    let rules = Rules { each: Some("data".parse().unwrap()), ..Rules::default() };
    let options = ScanOptions { rules: Arc::new(rules), ..options() };
    for broken in [
        r#"{"value":{"symbol":"A"},"offset":100}"#,
        r#"{"symbol":"A","kafka_partition":9,"kafka_offset":9}"#,
    ] {
        let line = format!(r#"{{"data":[{broken},{}]}}"#, line("A", AT, "1"));
        let scan = scan(line.as_bytes(), &options).unwrap();
        assert_eq!(
            (scan.rejects[0].element, scan.rejects[0].kafka_position),
            (0, None),
            "{broken}"
        );
    }
}

/// What the sink has put around a message is undone first, and nothing but that: whatever the
/// message and the flags are, the line is what the message is.
#[test]
fn a_sinks_envelope_is_undone_before_the_way_of_the_flags_is_gone() {
    let (a, b) = (line("A", AT, "7"), line("B", AT, "8"));
    let messages = [
        format!(r#"{{"source":"x","value":[{a},{b}]}}"#),
        a.replacen('{', &format!(r#"{{"value":[{b}],"#), 1),
        a.clone(),
        format!(r#"{{"topic":"src","key":null,"value":{a},"partition":0,"offset":100}}"#),
        r#"{"value":[{"symbol":"A"}]}"#.to_owned(),
        r#"{"symbol":"A"}"#.to_owned(),
    ];
    let first = format!(r#"{{"key":null,"value":{},"offset":5}}"#, line("Z", AT, "1"));
    let map = |text: &str| Mapping::new(&text.parse::<MapEntries>().unwrap().paths);
    for rules in [
        Rules { each: Some("value".parse().unwrap()), ..Rules::default() },
        Rules { mapping: map("symbol=value.symbol,open=value.open"), ..Rules::default() },
        Rules { mapping: map("price=value.close|close"), ..Rules::default() },
    ] {
        let options = ScanOptions { rules: Arc::new(rules), ..options() };
        for message in &messages {
            let of = |text: &str| texts(&scan(text.as_bytes(), &options).unwrap());
            let object = message.strip_suffix('}').unwrap();
            let by_connect = format!(r#"{object},"kafka_partition":3,"kafka_offset":17}}"#);
            let by_aiven =
                format!(r#"{{"key":null,"value":{message},"offset":17,"timestamp":{AT}}}"#);
            let expected = of(&by_connect);
            assert_eq!(of(&by_aiven), expected, "{message}");
            let behind_another = format!("{first}\n{by_aiven}");
            assert_eq!(of(&behind_another), expected, "{message}");
        }
    }
}

/// The ticks of a scan, and its rejects with their reasons and places, but for those of offset 5.
fn texts(scan: &Scan) -> Vec<String> {
    let bars = scan.hours.iter().flat_map(|(_, hour)| hour.bars.iter());
    let ticks = bars.filter(|(_, bar)| bar.first.place.offset != 5).map(|(symbol, bar)| {
        format!("{} {} {} {:?}", symbol.as_str(), bar.close, bar.ticks, bar.first.place)
    });
    let is_other = |one: &&RejectedLine| one.kafka_position.is_none_or(|told| told.offset != 5);
    let rejects = scan.rejects.iter().filter(is_other).map(|one| {
        format!("{} of {} at {:?}", one.reject.reason.as_str(), one.element, one.kafka_position)
    });
    let mut all: Vec<String> = ticks.chain(rejects).collect();
    all.sort();
    all
}

#[test]
fn no_tick_of_a_line_is_lost_by_what_stands_between_it_and_others() {
    let all: Vec<String> = (0..10).map(told).collect();
    for separator in ["", " ", ",", "\t,\r", "\u{1e}", "\u{feff}"] {
        for ending in ["", "\n", ",\n"] {
            let (offsets, rejects) = offsets_and_rejects((all.join(separator) + ending).as_bytes());
            assert_eq!((offsets.len(), rejects), (10, vec![]), "{separator:?} {ending:?}");
        }
    }
    for garbage in [
        "xx",
        "\0",
        "\0\0\0",
        "]}",
        "\"",
        "{\"a\":",
        "null",
        "{\"symbol\":\"A",
        "[{",
        "{x}",
        "{}",
        "[1]",
    ] {
        let (offsets, rejects) = offsets_and_rejects((all.join(garbage) + "\n").as_bytes());
        assert_eq!((offsets.len(), rejects), (10, vec![garbage.to_owned(); 9]), "{garbage:?}");
        let (offsets, rejects) =
            offsets_and_rejects(format!("{}{garbage}\n{}\n", all[0], all[1]).as_bytes());
        assert_eq!(
            (offsets.len(), rejects),
            (2, vec![garbage.to_owned()]),
            "{garbage:?} at the end"
        );
    }
    let broken = [told(0).as_bytes(), b"\xff", told(1).as_bytes(), b"\n"].concat();
    assert_eq!(offsets_and_rejects(&broken), (vec![0, 1], vec!["\u{fffd}".to_owned()]));
}

#[test]
fn a_value_that_is_cut_off_in_the_middle_of_a_line_takes_no_other_along() {
    for end in 1..told(1).len() {
        let cut = told(1)[..end].to_owned();
        let text = format!("{}{cut}{}{}\n", told(0), told(2), told(3));
        assert_eq!(
            offsets_and_rejects(text.as_bytes()),
            (vec![0, 2, 3], vec![cut.clone()]),
            "{cut}"
        );
        let text = format!("{cut}{}{}\n", told(2), told(3));
        assert_eq!(
            offsets_and_rejects(text.as_bytes()),
            (vec![2, 3], vec![cut.clone()]),
            "{cut} in front"
        );
        // At the object's end it is damage.
        let text = format!("{}xx{}", told(0), &told(2)[..end]);
        assert!(scan(text.as_bytes(), &options()).is_err(), "{text}");
    }
}

#[test]
fn what_stands_behind_the_value_of_a_message_in_an_envelope_is_ignored_as_connect_does() {
    let value = serde_json::to_string(&(line("A", AT, "1") + "xx{}")).unwrap();
    let wrapped = |offset: i64| format!(r#"{{"key":"k","value":{value},"offset":{offset}}}"#);
    let text = format!("{}\n{}{}xx{}\n", wrapped(0), wrapped(1), wrapped(2), wrapped(3));
    assert_eq!(offsets_and_rejects(text.as_bytes()), (vec![0, 1, 2, 3], vec!["xx".to_owned()]));
}

#[test]
fn an_array_of_records_in_a_line_is_its_records_wherever_it_stands() {
    let list = |offsets: std::ops::Range<i64>| {
        format!("[{}]", offsets.map(told).collect::<Vec<_>>().join(","))
    };
    for text in [
        format!("{}{}\n", told(0), list(1..10)),
        format!("{}\n{}\n", told(0), list(1..10)),
        format!("{}\n{}{}\n", told(0), list(1..5), list(5..10)),
        format!("{}{}\n", list(0..5), list(5..10)),
        format!("{}\n{},{}\n", told(0), list(1..9), told(9)),
        // Once more by itself, or as an element: each counts once.
        format!("{}\n{}\n{}\n", told(0), list(0..10), told(3)),
    ] {
        assert_eq!(offsets_and_rejects(text.as_bytes()), ((0..10).collect(), vec![]), "{text}");
    }
    let text = format!("{}xx[{},{{}},{}]\n", told(0), told(1), told(2));
    assert_eq!(
        offsets_and_rejects(text.as_bytes()),
        (vec![0, 1, 2], vec!["xx".to_owned(), "{}".to_owned()])
    );
}

#[test]
fn a_line_longer_than_any_tick_loses_none_of_its_ticks_whatever_stands_between_them() {
    let count = 3 * common::decode::MAX_VALUE_BYTES as i64 / told(0).len() as i64;
    for separator in [",", "xx"] {
        let text = (0..count).map(told).collect::<Vec<_>>().join(separator) + "\n";
        let scan = scan(text.as_bytes(), &options()).unwrap();
        let rejected = if separator == "," { 0 } else { count as u64 - 1 };
        assert_eq!((scan.hours[0].1.ticks, scan.rejected), (count as u64, rejected), "{separator}");
    }
}

#[test]
fn a_line_of_what_might_begin_a_record_again_and_again_is_given_up() {
    for text in ["{", "[", "x{\"a\":", "{\"a\":[\"", "[{},"] {
        let line = text.repeat(900_000 / text.len());
        let content = format!("{}\n{line}\n{}\n", told(0), told(1));
        let scan = scan(content.as_bytes(), &options()).unwrap();
        assert_eq!(scan.hours[0].1.ticks, 2, "{text}");
        assert!(scan.rejected > 0, "{text}");
    }
}

#[test]
fn an_object_of_many_such_lines_is_given_up_as_well_and_the_others_of_its_lines_are_read() {
    // In each of them some megabytes are looked through before its record is found.
    let strange = |offset: i64| format!("{}{}\n", "[".repeat(3_000), told(offset));
    let text: String = (0..30).map(strange).chain((30..90).map(|at| told(at) + "\n")).collect();
    let (offsets, rejects) = offsets_and_rejects(text.as_bytes());
    let found = offsets.iter().filter(|offset| **offset < 30).count();
    assert!((3..30).contains(&found), "{found}");
    assert_eq!(offsets.len(), found + 60);
    assert_eq!(rejects.len(), 30);
}

#[test]
fn arrays_of_records_in_one_another_are_read_some_deep_and_end_no_process() {
    let nested: String = (0..6_000).map(|offset| format!("[{},", told(offset))).collect();
    let nested = nested + "[]" + &"]".repeat(6_000);
    for text in [format!("{}\n{nested}\n", line("A", AT, "1")), nested] {
        let scan = scan(text.as_bytes(), &options()).unwrap();
        let ticks = scan.hours[0].1.ticks;
        assert!((8..20).contains(&ticks) && scan.rejected > 0, "{ticks} {}", scan.rejected);
    }
}

#[test]
fn records_that_are_named_are_left_out_or_are_all_that_counts() {
    let told = |offset: i64, close: &str| {
        line("A", AT + offset, close)
            .replace('}', &format!(r#","kafka_partition":3,"kafka_offset":{offset}}}"#))
    };
    let text =
        [told(1, "1"), told(2, "2"), line("A", AT, "9"), told(3, "3"), told(2, "2"), told(4, "4")]
            .join("\n");
    let hour = Hour::of(Timestamp::from_micros(AT * 1000));
    let mut named = Offsets::of_topic("t".into());
    [2, 4].into_iter().for_each(|offset| assert!(named.insert(3, offset)));
    named.flush();
    let named: Exclusions = [(hour, named)].into_iter().collect();
    let options = ScanOptions { exclude: Some(Arc::new(named)), ..options() };
    let of = |scan: Scan| {
        let (_, bars) = &scan.hours[0];
        let bar = bar_of_a(bars);
        (bars.ticks, bars.duplicates, bars.offsets.len(), bar.high.to_string(), bar.low.to_string())
    };
    let others = of(scan(text.as_bytes(), &options).unwrap());
    assert_eq!(others, (3, 3, 2, "9".to_owned(), "1".to_owned()));
    let alone = of(scan_named(text.as_bytes(), &options).unwrap());
    assert_eq!(alone, (2, 1, 2, "4".to_owned(), "2".to_owned()));
}
