//! Which values are ticks, which are rejected, and that both paths agree.

use super::*;
use crate::Volume;
use crate::timestamp::{EpochUnit, TimeRules};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

const ALONE: RecordContext<'_> = RecordContext::NOTHING;

fn decoder() -> Decoder {
    Decoder::new(Rules::default(), NOW)
}

fn reason(value: &[u8]) -> Reason {
    decoder().decode(value, &ALONE).expect_err("must be rejected").reason
}

fn bare(field: &str, json: &str) -> String {
    let member = |name: &str, value: &str| {
        format!("\"{name}\":{}", if name == field { json } else { value })
    };
    format!(
        "{{{},{},{},{},{}}}",
        member("symbol", "\"AAPL\""),
        member("timestamp", "\"2025-06-06T10:00:01.123-04:00\""),
        member("open", "201.5"),
        member("close", "201.6"),
        member("volume", "100"),
    )
}

fn reason_of(field: &str, json: &str) -> Reason {
    reason(bare(field, json).as_bytes())
}

fn accepts(value: &str) -> bool {
    decoder().decode(value.as_bytes(), &ALONE).is_ok()
}

#[test]
fn a_bare_tick_is_decoded_exactly() {
    let mut decoder = decoder();
    let value = bare("", "");
    let record = decoder.decode(value.as_bytes(), &ALONE).unwrap();
    assert_eq!(record.tick.symbol().as_str(), "AAPL");
    assert_eq!(record.tick.timestamp(), Timestamp::from_micros(1_749_218_401_123_000));
    assert_eq!(record.tick.prices().open.to_string(), "201.5");
    assert_eq!(record.tick.prices().close.to_string(), "201.6");
    assert_eq!((record.tick.prices().high, record.tick.prices().low), (None, None));
    assert_eq!(record.tick.volume(), Volume::from_parts(100, 0));
    assert_eq!(record.provenance, None);
}

#[test]
fn an_enveloped_tick_equals_the_bare_one() {
    let payload = bare("", "");
    let enveloped = format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{payload}}}"#);
    let turned = format!(r#" {{ "payload" : {payload} , "schema" : null }} "#);
    let (mut a, mut b, mut c) = (decoder(), decoder(), decoder());
    let expected = a.decode(payload.as_bytes(), &ALONE).unwrap();
    assert_eq!(b.decode(enveloped.as_bytes(), &ALONE).unwrap(), expected);
    assert_eq!(c.decode(turned.as_bytes(), &ALONE).unwrap(), expected);
}

#[test]
fn a_known_line_is_taken_up_to_its_newline_and_only_there() {
    let (mut decoder, mut other) = (decoder(), decoder());
    let value = bare("", "");
    let expected = other.decode(value.as_bytes(), &ALONE).unwrap();
    decoder.decode(value.as_bytes(), &ALONE).unwrap();
    for rest in ["\n", "\nnext\n", "\n\n"] {
        let lines = format!("{value}{rest}");
        assert_eq!(
            decoder.decode_known_line(lines.as_bytes(), &ALONE),
            Some((expected, value.len())),
            "{rest:?}"
        );
    }
    for rest in ["", " ", " \n", "}\n", "\r\n"] {
        let lines = format!("{value}{rest}");
        assert_eq!(decoder.decode_known_line(lines.as_bytes(), &ALONE), None, "{rest:?}");
    }
}

#[test]
fn a_value_of_several_lines_is_none_of_them() {
    let mut decoder = decoder();
    let value = bare("", "").replace(',', ",\n");
    decoder.decode(value.as_bytes(), &ALONE).unwrap();
    assert!(decoder.decode_known(value.as_bytes(), &ALONE).is_some());
    assert_eq!(decoder.decode_known_line(format!("{value}\n").as_bytes(), &ALONE), None);
}

#[test]
fn a_bare_tick_may_have_a_member_called_payload() {
    assert!(accepts(&bare("", "").replacen('{', r#"{"payload":{"symbol":7},"#, 1)));
}

#[test]
fn provenance_is_found_in_the_object_and_beside_the_envelope() {
    let expected = Some(Provenance { partition: 3, offset: 17 });
    let with = |text: &str| text.replacen('{', r#"{"kafka_offset":17,"kafka_partition":3,"#, 1);
    let inside = with(&bare("", ""));
    let beside = with(&format!(r#"{{"schema":{{}},"payload":{}}}"#, bare("", "")));
    let payload = format!(r#"{{"schema":{{}},"payload":{inside}}}"#);
    for line in [inside, beside, payload] {
        assert_eq!(
            decoder().decode(line.as_bytes(), &ALONE).unwrap().provenance,
            expected,
            "{line}"
        );
    }
}

#[test]
fn fields_may_come_in_any_order_and_of_duplicates_the_last_wins() {
    let value = r#"{"volume":1,"close":2,"close":3.5,"x":[{"symbol":"NO"}],"open":2,
        "timestamp":1749218401123,"symbol":"A","symbol":"B\u0052K-B"}"#;
    let mut decoder = decoder();
    let record = decoder.decode(value.as_bytes(), &ALONE).unwrap();
    assert_eq!(record.tick.symbol().as_str(), "BRK-B");
    assert_eq!(record.tick.prices().close.to_string(), "3.5");
    assert_eq!(record.tick.timestamp(), Timestamp::from_micros(1_749_218_401_123_000));
}

#[test]
fn names_written_with_escapes_are_names() {
    assert!(accepts(&bare("", "").replace("\"close\"", "\"c\\u006cose\"")));
}

#[test]
fn what_is_no_json_object_is_rejected() {
    assert_eq!(reason(b""), Reason::Empty);
    assert_eq!(reason(b"hello"), Reason::NotJson);
    assert_eq!(reason(b"{\"symbol\":\"A\""), Reason::NotJson);
    assert_eq!(reason(b"[1,2]"), Reason::NotObject);
    assert_eq!(reason(b"[1,2"), Reason::NotJson);
    assert_eq!(reason(b"null"), Reason::NotObject);
    assert_eq!(reason(b"{}"), Reason::MissingField);
    assert_eq!(reason(b"{\"a\":\"\xff\"}"), Reason::NotUtf8);
    assert_eq!(reason(br#"{"schema":{},"payload":null}"#), Reason::NotObject);
    assert_eq!(reason(br#"{"schema":{},"payload":[]}"#), Reason::NotObject);
}

#[test]
fn what_the_archives_converter_takes_is_taken() {
    let value = bare("", "");
    let (mut decoder, mut plain) = (decoder(), decoder());
    let expected = plain.decode(value.as_bytes(), &ALONE).unwrap();
    let other = value.replace("AAPL", "MSFT");
    for taken in [
        format!("{value}\n{other}"),
        format!("{value} x"),
        format!("{value}}}"),
        format!("\u{feff}{value}"),
        value.replace("201.5", "0201.5"),
        format!(r#"{{"schema":{{}},"payload":{value}}} {other}"#),
    ] {
        assert_eq!(decoder.decode(taken.as_bytes(), &ALONE), Ok(expected), "{taken}");
        assert_eq!(decoder.decode_strictly(taken.as_bytes(), &ALONE), Ok(expected), "{taken}");
    }
    assert_eq!(decoder.decode(&[value.as_bytes(), b"\xff"].concat(), &ALONE), Ok(expected));
    // The reason is that of what is read.
    assert_eq!(reason(format!("{} x", bare("close", "0")).as_bytes()), Reason::BadPrice);
    assert_eq!(reason(format!("x{value}").as_bytes()), Reason::NotJson);
}

#[test]
fn a_value_too_long_or_too_deep_is_rejected() {
    let padded = |bytes: usize| {
        let value = bare("", "");
        let padding = " ".repeat(bytes - value.len());
        value + &padding
    };
    assert!(accepts(&padded(MAX_VALUE_BYTES - 1)));
    assert_eq!(reason(padded(MAX_VALUE_BYTES).as_bytes()), Reason::TooLarge);
    let nested = |depth: usize| {
        bare("", "").replacen(
            '{',
            &format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)),
            1,
        )
    };
    assert!(accepts(&nested(json::MAX_DEPTH - 1)));
    assert_eq!(reason(nested(json::MAX_DEPTH).as_bytes()), Reason::NotJson);
    assert_eq!(reason("[".repeat(999_999).as_bytes()), Reason::NotJson);
    let brackets_in_text =
        bare("", "").replacen('{', &format!("{{\"x\":\"\\\"{}\",", "[".repeat(500)), 1);
    assert!(accepts(&brackets_in_text));
}

#[test]
fn symbols_of_every_market_pass_and_others_do_not() {
    for symbol in [
        "BRK-B",
        "^GSPC",
        "BTC-USD",
        "7203.T",
        "NASDAQ:AAPL",
        "EURUSD=X",
        "^RIYWCT",
        "0700.HK",
        "BRK.B",
        "a",
        "A B",
        "Ä",
        "A;DROP",
        &"X".repeat(64),
    ] {
        assert!(accepts(&bare("symbol", &format!("\"{symbol}\""))), "{symbol}");
    }
    for symbol in ["", "A ", "A\\n", "A\\u0000", &"X".repeat(65)] {
        assert_eq!(reason_of("symbol", &format!("\"{symbol}\"")), Reason::BadSymbol, "{symbol}");
    }
    assert_eq!(reason_of("symbol", "7"), Reason::BadSymbol);
    assert_eq!(reason_of("symbol", "null"), Reason::MissingField);
}

#[test]
fn a_timestamp_is_an_instant_that_can_be() {
    for json in [
        "\"2025-06-06 10:00:01+05:30\"",
        "\"2025-06-06T10:00+0530\"",
        "1749218401123.0",
        "1749218401",
        "1749218401.123456",
        "1.749218401123E9",
        "1749218401123456",
        "1749218401123456789",
        "\"1749218401123\"",
        "631152000",
    ] {
        assert!(accepts(&bare("timestamp", json)), "{json}");
    }
    let in_a_day = NOW.micros() / 1000 + 86_400_000;
    assert!(accepts(&bare("timestamp", &in_a_day.to_string())));
    assert_eq!(reason_of("timestamp", &(in_a_day + 1).to_string()), Reason::TimestampOutOfRange);
    for json in
        ["0", "-1", "631151999", "1.5", "1748869", "\"1969-12-31T23:59:59Z\"", "\"20259999\""]
    {
        assert_eq!(reason_of("timestamp", json), Reason::TimestampOutOfRange, "{json}");
    }
    for json in [
        "\"2025-06-06T10:00:01\"",
        "\"2025-06-06\"",
        "\"yesterday\"",
        "1e300",
        "true",
        "{}",
        "\"\"",
    ] {
        assert_eq!(reason_of("timestamp", json), Reason::BadTimestamp, "{json}");
    }
}

fn with_times(times: TimeRules) -> Decoder {
    Decoder::new(Rules { times, ..Rules::default() }, NOW)
}

#[test]
fn a_wrong_unit_never_becomes_a_tick_of_1970() {
    let mut decoder = with_times(TimeRules { unit: EpochUnit::Ms, ..TimeRules::default() });
    for json in ["1749218401123", "1749218402123"] {
        assert!(decoder.decode(bare("timestamp", json).as_bytes(), &ALONE).is_ok(), "{json}");
    }
    let value = bare("timestamp", "1749218401");
    let reject = decoder.decode(value.as_bytes(), &ALONE).unwrap_err();
    assert_eq!(reject.reason, Reason::TimestampOutOfRange);
    assert!(reject.detail.contains("1970-01-21") && reject.detail.contains("--oldest"), "{reject}");
}

#[test]
fn the_unit_changes_at_the_same_number_in_both_paths() {
    let times = TimeRules { oldest: Timestamp::from_micros(0), ..TimeRules::default() };
    let rules = Rules { times, ..Rules::default() };
    let (mut fast, mut strict) =
        (Decoder::new(rules.clone(), LAST_DAY_OF_ALL), Decoder::new(rules, LAST_DAY_OF_ALL));
    let of = |number: &str| format!(r#"{{"symbol":"A","price":1.5,"ts":{number}}}"#);
    assert!(fast.decode(of("1749218401").as_bytes(), &ALONE).is_ok());
    for (number, micros) in [
        ("99999999999", 99_999_999_999_000_000),
        ("99999999999.999999", 99_999_999_999_999_999),
        ("100000000000", 100_000_000_000_000),
        ("99999999999999", 99_999_999_999_999_000),
        ("99999999999999.9999", 99_999_999_999_999_999),
        ("100000000000000", 100_000_000_000_000),
        ("99999999999999999", 99_999_999_999_999_999),
        ("100000000000000000", 100_000_000_000_000),
        ("9223372036854775807", 9_223_372_036_854_775),
    ] {
        let value = of(number);
        let expected = strict.decode_strictly(value.as_bytes(), &ALONE);
        assert_eq!(fast.decode(value.as_bytes(), &ALONE), expected, "{number}");
        assert_eq!(expected.unwrap().tick.timestamp().micros(), micros, "{number}");
    }
}

#[test]
fn ticks_of_dotnet_are_no_nanoseconds_of_1990() {
    let of = |unit| {
        let times = TimeRules { unit, oldest: Timestamp::from_micros(0), ..TimeRules::default() };
        Decoder::new(Rules { times, ..Rules::default() }, NOW)
    };
    let value = |number: &str| format!(r#"{{"symbol":"A","price":1.5,"ts":{number}}}"#);
    let mut auto = of(EpochUnit::Auto);
    // The fast path has learned of nanoseconds and milliseconds.
    for number in
        ["1749218401123456789", "1749218401123", "619999999999999999", "700000000000000001"]
    {
        assert!(auto.decode(value(number).as_bytes(), &ALONE).is_ok(), "{number}");
    }
    for number in [
        "638848152011230000",
        "\"638848152011230000\"",
        "638848152011230000.5",
        "6.3884815201123E17",
        "620000000000000000",
        "700000000000000000",
        "700000000000000000.5",
    ] {
        let value = value(number);
        let expected = auto.decode_strictly(value.as_bytes(), &ALONE).unwrap_err();
        assert_eq!(auto.decode(value.as_bytes(), &ALONE), Err(expected.clone()), "{number}");
        assert_eq!(expected.reason, Reason::BadTimestamp, "{number}");
        assert!(expected.detail.contains("--timestamp-unit dotnet"), "{expected}");
    }
    for (unit, number, instant) in [
        (EpochUnit::Ns, "638848152011230000", "1990-03-31T01:49:12.01123Z"),
        (EpochUnit::DotNet, "638848152011230000", "2025-06-06T14:00:01.123Z"),
        (EpochUnit::DotNet, "\"638848152011230000\"", "2025-06-06T14:00:01.123Z"),
        (EpochUnit::DotNet, "638848152011230009.9", "2025-06-06T14:00:01.123Z"),
        (EpochUnit::DotNet, "6.3884815201123E17", "2025-06-06T14:00:01.123Z"),
    ] {
        let (mut pinned, value) = (of(unit), value(number));
        let strict = pinned.decode_strictly(value.as_bytes(), &ALONE).unwrap().tick.timestamp();
        for _ in 0..2 {
            let tick = pinned.decode(value.as_bytes(), &ALONE).unwrap().tick;
            assert_eq!((tick.timestamp(), strict.to_string().as_str()), (strict, instant));
        }
        assert!(pinned.decode_known(value.as_bytes(), &ALONE).is_some(), "{number}");
    }
    let milliseconds = value("1749218401123");
    let reject = of(EpochUnit::DotNet).decode(milliseconds.as_bytes(), &ALONE).unwrap_err();
    assert_eq!(reject.reason, Reason::TimestampOutOfRange);
    assert!(reject.detail.contains("--timestamp-unit"), "{reject}");
}

#[test]
fn a_time_without_an_offset_is_named_as_such_until_a_zone_is_given() {
    let value = bare("timestamp", "\"2025-06-06T10:00:01\"");
    let reject = decoder().decode(value.as_bytes(), &ALONE).unwrap_err();
    assert!(
        reject.detail.contains("has no UTC offset") && reject.detail.contains("--timestamp-zone"),
        "{reject}"
    );
    let mut decoder =
        with_times(TimeRules { zone: "America/New_York".parse().ok(), ..TimeRules::default() });
    for (text, expected) in [
        ("2025-06-06T10:00:01", "2025-06-06T14:00:01Z"),
        ("2025-06-06T10:00:02.5", "2025-06-06T14:00:02.5Z"),
        ("2025-01-06", "2025-01-06T05:00:00Z"),
    ] {
        let value = bare("timestamp", &format!("{text:?}"));
        assert_eq!(
            decoder.decode(value.as_bytes(), &ALONE).unwrap().tick.timestamp().to_string(),
            expected
        );
    }
    for (text, reason, said) in [
        ("2025-03-09T02:30:00", Reason::NonexistentTime, "never was in America/New_York"),
        ("2025-11-02T01:30:00", Reason::AmbiguousTime, "was twice in America/New_York"),
    ] {
        let value = bare("timestamp", &format!("{text:?}"));
        let reject = decoder.decode(value.as_bytes(), &ALONE).unwrap_err();
        assert_eq!(reject.reason, reason);
        assert!(reject.detail.contains(said), "{reject}");
    }
}

#[test]
fn a_clock_that_is_behind_rejects_nothing_that_kafka_has_taken() {
    let mut behind = Decoder::new(Rules::default(), NOW.plus_micros(-10 * MAX_AHEAD));
    let value = bare("timestamp", &(NOW.micros() / 1000).to_string());
    let taken = RecordContext { time: Some(NOW), ..ALONE };
    assert_eq!(
        behind.decode(value.as_bytes(), &ALONE).unwrap_err().reason,
        Reason::TimestampOutOfRange
    );
    assert!(behind.decode(value.as_bytes(), &taken).is_ok());
    assert!(behind.decode_known(value.as_bytes(), &taken).is_some());
    assert!(behind.decode_known(value.as_bytes(), &ALONE).is_none());
    // Nor does a late clock of the record's producer.
    let behind = RecordContext { time: Some(Timestamp::from_micros(0)), ..ALONE };
    assert!(decoder().decode(value.as_bytes(), &behind).is_ok());
}

#[test]
fn a_price_that_is_none_is_called_what_it_is() {
    let said = |value: &str| decoder().decode(value.as_bytes(), &ALONE).unwrap_err().to_string();
    let trade = r#"{"symbol":"A","price":"N/A","ts":1749218401123}"#;
    assert_eq!(said(trade), r#"bad_price: price "N/A" is not a number"#);
    assert_eq!(said(&bare("open", "\"N/A\"")), r#"bad_price: open "N/A" is not a number"#);
    for price in ["1,233.65", "1 233.65", "1'233.65"] {
        let why = format!(
            "bad_price: open \"{price}\" has separators among its digits, which are not read"
        );
        assert_eq!(said(&bare("open", &format!("\"{price}\""))), why);
    }
}

#[test]
fn a_record_s_time_in_a_wrong_unit_makes_no_tick() {
    let rules = Rules { timestamp_from: TimestampFrom::Record, ..Rules::default() };
    let value = r#"{"symbol":"AAPL","price":201.5,"volume":7}"#;
    let millis = NOW.micros() / 1000;
    for (millis, is_tick) in [
        (millis, true),
        (millis * 1000, false),
        (millis.saturating_mul(1_000_000), false),
        (i64::MAX, false),
    ] {
        let context = RecordContext {
            time: Some(Timestamp::from_micros(millis.saturating_mul(1000))),
            ..ALONE
        };
        let mut decoder = Decoder::new(rules.clone(), NOW);
        let read = decoder.decode(value.as_bytes(), &context).map(|record| record.tick.timestamp());
        match is_tick {
            true => assert_eq!(read, Ok(NOW)),
            false => assert_eq!(read.unwrap_err().reason, Reason::TimestampOutOfRange, "{millis}"),
        }
    }
}

#[test]
fn a_price_is_a_number_above_zero() {
    assert!(accepts(&bare("close", "1e-9")));
    assert!(accepts(&bare("open", "9223372036.854775807")));
    for json in ["201.5", "\"201.50\"", "\"0201.5\"", "\"2.015e2\"", "150.72000122070312"] {
        assert!(accepts(&bare("close", json).replace("201.5,", "150,")), "{json}");
    }
    for json in [
        "0",
        "-1",
        "0.1e-20",
        "1e400",
        "1.2345e-9",
        "\"1,000\"",
        "\"\"",
        "\" 5\"",
        "\"NaN\"",
        "true",
        "[1]",
        "9223372036.9",
    ] {
        assert_eq!(reason_of("close", json), Reason::BadPrice, "{json}");
    }
    for json in ["NaN", "Infinity", "1.", ".5", "+1", "0x10"] {
        assert_eq!(reason_of("close", json), Reason::NotJson, "{json}");
    }
}

#[test]
fn what_is_written_with_escapes_is_what_the_archive_has_without_them() {
    for (field, escaped, plain) in [
        ("timestamp", r#""2025-06-06T14:00:01\u002b00:00""#, r#""2025-06-06T14:00:01+00:00""#),
        ("timestamp", r#""17492184\u00301123""#, r#""1749218401123""#),
        ("open", r#""201\u002e5""#, r#""201.5""#),
        ("volume", r#""1\u0030""#, r#""10""#),
        ("timestamp", r#""\/Date(1795789984079)\/""#, r#""/Date(1795789984079)/""#),
        ("open", r#""x\u002e""#, r#""x.""#),
    ] {
        let (escaped, plain) = (bare(field, escaped), bare(field, plain));
        let (mut one, mut other) = (decoder(), decoder());
        let (one, other) =
            (one.decode(escaped.as_bytes(), &ALONE), other.decode(plain.as_bytes(), &ALONE));
        let reason = |read: Result<DecodedTick<'_>, Reject>| {
            read.map_err(|reject| reject.reason).map(|one| one.tick.prices().open)
        };
        assert_eq!(reason(one), reason(other), "{escaped}");
    }
    let detail = |json: &str| {
        decoder().decode(bare("timestamp", json).as_bytes(), &ALONE).unwrap_err().detail
    };
    let old_of_dotnet = detail(r#""\/Date(1795789984079)\/""#);
    assert!(old_of_dotnet.contains("the producer must write it as"), "{old_of_dotnet}");
}

#[test]
fn a_number_as_a_symbol_is_said_with_what_to_do() {
    let detail = decoder().decode(bare("symbol", "600519").as_bytes(), &ALONE).unwrap_err().detail;
    assert!(detail.contains("the producer must write \"600519\""), "{detail}");
    let other = decoder().decode(bare("symbol", "true").as_bytes(), &ALONE).unwrap_err().detail;
    assert_eq!(other, "symbol true is not a string");
}

/// A price as numpy's float32 has it, in a number or a text, and what only looks like one.
#[test]
fn both_paths_read_what_a_program_writes_of_a_float() {
    let known = [bare("open", "201.25"), bare("open", "\"201.25\"")];
    let mut fast = decoder();
    for value in &known {
        assert!(fast.decode(value.as_bytes(), &ALONE).is_ok());
    }
    for (number, expected) in [
        ("597.02001953125", Some("597.020019531")),
        ("5990.6201171875", Some("5990.620117188")),
        ("150.72000122070312", Some("150.720001221")),
        ("0.012299999594688416", Some("0.0123")),
        ("1.234499995916849e-05", Some("0.000012345")),
        ("5990.6201171874", None),
        ("0.0009765625", None),
    ] {
        for json in [number.to_owned(), format!("\"{number}\"")] {
            let (value, mut strict) = (bare("open", &json), decoder());
            let open = |tick: &Result<DecodedTick<'_>, Reject>| {
                tick.as_ref().ok().map(|one| one.tick.prices().open.to_string())
            };
            let found = open(&strict.decode_strictly(value.as_bytes(), &ALONE));
            assert_eq!(found.as_deref(), expected, "{json}");
            // More digits than the fast path reads.
            let is_long = number.len() == "0.012299999594688416".len() && !number.contains('e');
            let known = fast.decode_known(value.as_bytes(), &ALONE).map(Ok);
            let found = known.as_ref().and_then(open);
            assert_eq!(found.as_deref(), expected.filter(|_| !is_long), "{json}");
        }
    }
}

#[test]
fn volume_is_a_number_of_zero_or_more_and_may_be_absent() {
    let volume = |json| {
        let mut decoder = decoder();
        let record = decoder
            .decode(bare("volume", json).as_bytes(), &ALONE)
            .map(|record| record.tick.volume());
        record.unwrap().map(|volume| volume.to_string())
    };
    for (json, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("100.0", "100"),
        ("1e3", "1000"),
        ("2.384421e+06", "2384421"),
        ("1748755.0", "1748755"),
        ("\"5\"", "5"),
        ("\"100.0\"", "100"),
        ("0.01234", "0.01234"),
        ("\"1.50000000000\"", "1.5"),
        ("1e-9", "0.000000001"),
        ("0.30000000000000004", "0.3"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775807.000000001", "9223372036854775807.000000001"),
    ] {
        assert_eq!(volume(json).as_deref(), Some(expected), "{json}");
    }
    assert_eq!(volume("null "), None);
    for json in ["-1", "-0.5", "9223372036854775808", "\"5 \"", "1e-10", "0.0000000015", "\"many\""]
    {
        assert_eq!(reason_of("volume", json), Reason::BadVolume, "{json}");
    }
}

#[test]
fn a_price_of_zero_or_below_is_one_only_where_that_is_allowed() {
    let mut decoder =
        Decoder::new(Rules { allow_nonpositive_prices: true, ..Rules::default() }, NOW);
    for (json, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("-37.63", "-37.63"),
        ("\"-1e-9\"", "-0.000000001"),
        ("201.5", "201.5"),
    ] {
        let value = bare("open", json);
        assert_eq!(accepts(&value), json == "201.5", "{json}");
        let tick = decoder.decode(value.as_bytes(), &ALONE).unwrap().tick;
        assert_eq!(tick.prices().open.to_string(), expected, "{json}");
    }
    // One that the fast path has learned.
    let zero = bare("open", "0.0");
    assert!(decoder.decode_known(zero.as_bytes(), &ALONE).is_some());
    let high = zero.replacen('{', "{\"high\":-1,", 1);
    assert_eq!(
        decoder.decode(high.as_bytes(), &ALONE).unwrap_err().reason,
        Reason::InconsistentPrices
    );
    assert!(decoder.decode(bare("open", "-9223372036.854775808").as_bytes(), &ALONE).is_err());
}

#[test]
fn symbols_become_upper_case_where_that_is_asked_for() {
    let rules = |symbol_from| Rules { uppercase_symbols: true, symbol_from, ..Rules::default() };
    let mut decoder = Decoder::new(rules(SymbolFrom::Value), NOW);
    for (written, expected) in [
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        ("brk-B", "BRK-B"),
        ("\\u0061b", "AB"),
        ("ünit", "ÜNIT"),
        ("AAPL", "AAPL"),
    ] {
        let value = bare("symbol", &format!("\"{written}\""));
        let symbol =
            decoder.decode(value.as_bytes(), &ALONE).unwrap().tick.symbol().as_str().to_owned();
        assert_eq!(symbol, expected);
    }
    assert!(
        decoder.decode_known(bare("", "").as_bytes(), &ALONE).is_some(),
        "upper case stays with the fast path"
    );
    let too_long = bare("symbol", &format!("\"{}\"", "ŉ".repeat(32)));
    assert!(accepts(&too_long));
    assert_eq!(decoder.decode(too_long.as_bytes(), &ALONE).unwrap_err().reason, Reason::BadSymbol);
    let mut by_topic = Decoder::new(rules(SymbolFrom::Topic), NOW);
    for _ in 0..2 {
        let value = bare("", "");
        let context = RecordContext { topic: Some("btcusdt"), ..ALONE };
        assert_eq!(
            by_topic.decode(value.as_bytes(), &context).unwrap().tick.symbol().as_str(),
            "BTCUSDT"
        );
    }
}

#[test]
fn high_and_low_must_enclose_open_and_close() {
    let with = |extra: &str| bare("", "").replacen('{', &format!("{{{extra},"), 1);
    assert!(accepts(&with(r#""high":201.6,"low":201.5"#)));
    assert!(accepts(&with(r#""high":null,"low":null"#)));
    assert_eq!(reason(with(r#""high":201.59"#).as_bytes()), Reason::InconsistentPrices);
    assert_eq!(reason(with(r#""low":201.51"#).as_bytes()), Reason::InconsistentPrices);
    assert_eq!(reason(with(r#""low":0"#).as_bytes()), Reason::BadPrice);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decoder().decode(&value, &ALONE);
    }

    #[test]
    fn a_changed_byte_never_makes_it_panic(at in 0_usize..110, byte: u8) {
        let mut value = bare("", "").into_bytes();
        let at = at % value.len();
        value[at] = byte;
        let _ = decoder().decode(&value, &ALONE);
    }
}

/// Members and whole values from which the fast path may learn, and which it must not misread
/// afterwards.
fn some_value() -> impl Strategy<Value = String> {
    let digits = || prop_oneof!["[0-9]{1,20}", "0", "[1-9][0-9]{0,3}"];
    let number = || {
        (
            digits(),
            proptest::option::of(digits()),
            proptest::option::weighted(0.2, "[eE][-+]?[0-9]{1,3}"),
            any::<u8>(),
        )
            .prop_map(|(whole, fraction, exponent, sign)| {
                let sign = if sign < 10 { "-" } else { "" };
                let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
                format!("{sign}{whole}{fraction}{}", exponent.unwrap_or_default())
            })
    };
    let price = || {
        prop_oneof![
            8 => "[1-9][0-9]{0,4}\\.[0-9]{1,4}",
            1 => number(),
            1 => some_float(),
            1 => Just("null".to_owned())
        ]
    };
    let symbol = prop_oneof![8 => "\"[A-Z]{1,5}\"", 1 => "\"[A-Za-z0-9.^=_:/ \
        é-]{0,70}\"", 1 => Just("\"A\\u0042\"".to_owned())];
    let time = prop_oneof![
        8 => "\"2025-06-06T10:0[0-3]:[0-5][0-9]\\.[0-9]{1,9}(Z|-04:00)\"",
        1 => "\"2025-0[1-7]-[0-3][0-9][T \
            ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])?\"",
        1 => number(),
        1 => "17[0-9]{11}",
    ];
    let other = prop_oneof![
        number(),
        Just("true".to_owned()),
        "\"[a-z\\\\é]{0,6}\"",
        Just("{\"close\":1}".to_owned())
    ];
    let members = (
        symbol,
        time,
        price(),
        price(),
        price(),
        price(),
        prop_oneof![4 => digits(), 1 => number()],
        (other, some_extra()),
        0_u8..10,
        "[ \n]{0,1}",
    );
    (members, prop_oneof![2 => Just(false), 1 => Just(true)]).prop_map(
        |((symbol, time, open, high, low, close, volume, (other, extra), which, space), enveloped)| {
            let mut members = vec![
                format!("\"symbol\":{symbol}"), format!("\"timestamp\":{time}"), format!("\"open\":{open}"),
                format!("\"close\":{close}"), format!("\"volume\":{space}{volume}"),
            ];
            match which {
                0 => members.push(format!("\"high\":{high}")),
                1 => members.insert(1, format!("\"low\":{low}")),
                2 => members.push(format!("\"other\":{other}")),
                3 => members.push(format!("\"close\":{close}")),
                4 => members.push("\"kafka_partition\":3,\"kafka_offset\":77".to_owned()),
                5 => members.insert(2, format!("\"kafka_partition\":{other}")),
                6 => members.rotate_left(2),
                7 => members.push("\"kafka_partition\":-3,\"kafka_offset\":-77".to_owned()),
                8 => members.insert(3, extra),
                _ => {}
            }
            let bare = format!("{{{}}}{space}", members.join(","));
            if enveloped {
                format!("{{\"schema\":{{}},\"kafka_offset\":5,\"close\":{other},\"payload\":{bare},\"kafka_partition\":{volume}}}")
            } else {
                bare
            }
        },
    )
}

/// Numbers as programs write floats of either width.
fn some_float() -> impl Strategy<Value = String> {
    (0_u32..2_000_000, 0_u8..3, any::<bool>()).prop_map(|(cents, places, is_single)| {
        let double = f64::from(cents) / 10_f64.powi(i32::from(places) * 3);
        format!("{:?}", if is_single { f64::from(double as f32) } else { double * 1.1 })
    })
}

/// Members with more than prices and volume, and some that nearly have it.
fn some_extra() -> impl Strategy<Value = String> {
    let price = prop_oneof![
        6 => "[1-9][0-9]{0,4}\\.[0-9]{1,4}",
        2 => "\"[1-9][0-9]{0,4}\\.[0-9]{1,12}\"",
        1 => "-?[0-9]{1,20}(\\.[0-9]{1,12})?([eE]-?[0-9]{1,2})?",
        1 => proptest::sample::select(vec!["null", "\"\"", "\"n/a\"", "[1]", "{}", "true"]).prop_map(str::to_owned),
    ];
    let codes = prop_oneof![
        4 => "\\[(\"[@A-Z]\"(,\"[@A-Z]\"){0,3})?\\]",
        2 => "\\[[0-9]{1,2}(, ?[0-9]{1,2}){0,18}\\]",
        1 => "\"[A-Z, é@]{0,40}\"",
        1 => "\\[ ?(\"[ A-Z\\\\é]{0,3}\"|-?[0-9]{1,3}(\\.[0-9])?|null)(,(\"[A-Za-z \
            ]{0,40}\"|[0-9]{1,20}|true))?\\]",
        1 => "-?[0-9]{1,20}",
        1 => proptest::sample::select(vec!["null", "{}", "true", "[[]]", "\"\\u0041\""]).prop_map(str::to_owned),
    ];
    (price.clone(), price, codes, "[0-9]{1,20}|\"[0-9]{1,4}\"|-1|1\\.5|null|\"x\"", 0_u8..6)
        .prop_map(|(bid, ask, codes, sequence, which)| match which {
            0 => format!("\"bid\":{bid}"),
            1 => format!("\"bid\":{bid},\"ask\":{ask}"),
            2 => format!("\"conditions\":{codes}"),
            3 => format!("\"best_bid\":{bid},\"bid_price\":{ask}"),
            4 => format!("\"n\":{sequence},\"ask\":{ask}"),
            _ => format!("\"n\":{sequence},\"bid\":{bid},\"ask\":{ask},\"conditions\":{codes}"),
        })
}

/// Bid, ask, conditions and sequence, and whether something could not be read.
fn extras(decoder: &mut Decoder, value: &str) -> (String, bool) {
    let tick = decoder.decode(value.as_bytes(), &ALONE).unwrap().tick;
    let extras = tick.extras();
    let or_none = |price: Option<crate::Price>| {
        price.map_or_else(|| "-".to_owned(), |price| price.to_string())
    };
    let codes = extras.conditions().iter().collect::<Vec<_>>().join("+");
    let sequence = extras.sequence().map_or_else(|| "-".to_owned(), |number| number.to_string());
    (
        format!("{} {} [{codes}] {sequence}", or_none(extras.bid()), or_none(extras.ask())),
        extras.has_unread(),
    )
}

fn trade(members: &str) -> String {
    format!(r#"{{"symbol":"A","price":2.5,"volume":7,"ts":1749218401123{members}}}"#)
}

#[test]
fn a_mapped_correction_is_the_first_condition_and_an_ordinary_trade_has_none() {
    let many = r#","conditions":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"#;
    let kept = "correction=8 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
    for (members, expected, has_unread) in [
        (r#","x":0,"conditions":["@","T"]"#, "@ T", false),
        (r#","x":"00""#, "", false),
        (r#","x":"N""#, "", false),
        (r#","x":"" "#, "", false),
        (r#","x":false"#, "", false),
        (r#","x":null,"conditions":["@"]"#, "@", false),
        (r#","x":8,"conditions":["@","T"]"#, "correction=8 @ T", false),
        (r#","x":"08""#, "correction=8", false),
        (r#","x":" canceled ","conditions":["é"]"#, "correction=canceled é", false),
        (r#","x":[1],"conditions":["@"]"#, "@", true),
        (r#","x":1.5"#, "", true),
        (&format!(r#","x":8{many}"#), kept, true),
        (r#","correction":8"#, "", false),
    ] {
        let mut decoder = mapped("correction=x");
        // A shape learnt from an ordinary trade must not be used for one that is none.
        for members in [r#","x":0"#, r#","x":0,"conditions":["@","T"]"#, members, members] {
            let value = format!(r#"{{"symbol":"A","timestamp":1749218401,"price":1{members}}}"#);
            let read = decoder.decode(value.as_bytes(), &ALONE).unwrap();
            let strictly = mapped("correction=x")
                .decode_strictly(value.as_bytes(), &ALONE)
                .map(|record| format!("{record:?}"));
            assert_eq!(Ok(format!("{read:?}")), strictly, "{value}");
        }
        let value = format!(r#"{{"symbol":"A","timestamp":1749218401,"price":1{members}}}"#);
        let extras = *decoder.decode(value.as_bytes(), &ALONE).unwrap().tick.extras();
        let codes: Vec<&str> = extras.conditions().iter().collect();
        assert_eq!((&*codes.join(" "), extras.has_unread()), (expected, has_unread), "{value}");
    }
}

#[test]
fn quotes_conditions_and_a_mapped_sequence_are_read_by_both_paths() {
    for (members, expected, has_unread) in [
        ("", "- - [] -", false),
        (r#","bid":2.4,"ask":"2.60""#, "2.4 2.6 [] -", false),
        (r#","bestBid":2.4"#, "2.4 - [] -", false),
        (r#","conditions":["@","T"],"n":17"#, "- - [@+T] 17", false),
        (r#","conditions":[12,37],"n":"0""#, "- - [12+37] 0", false),
        (r#","conditions":"@,T""#, "- - [@+T] -", false),
        // Feeds say in these ways that there is none.
        (r#","bid":0,"ask":-1,"conditions":[" "],"n":null"#, "- - [] -", false),
        (r#","bid":null,"ask":"","conditions":null,"n":"""#, "- - [] -", false),
        // Not a tick is lost for what cannot be read.
        (r#","bid":"n/a","ask":2.6"#, "- 2.6 [] -", true),
        (r#","bid":[2.4,100],"ask":{"p":1}"#, "- - [] -", true),
        (r#","bid":1e-12"#, "- - [] -", true),
        (r#","bid":1e30,"ask":-1e30"#, "- - [] -", true),
        (r#","bid":2.4,"bid_price":2.4,"best_bid":2.4"#, "2.4 - [] -", false),
        (r#","bid_price":2.4,"best_bid":2.4"#, "- - [] -", true),
        (r#","n":-1"#, "- - [] -", true),
        (r#","n":9223372036854775807"#, "- - [] 9223372036854775807", false),
        (r#","n":9223372036854775808"#, "- - [] -", true),
        (r#","n":1.5,"conditions":{}"#, "- - [] -", true),
        // The feed's own number is taken where it was said that it is one.
        (r#","sequence":5"#, "- - [] -", false),
    ] {
        let mut decoder = mapped("sequence=n");
        for _ in 0..2 {
            assert_eq!(
                extras(&mut decoder, &trade(members)),
                (expected.to_owned(), has_unread),
                "{members}"
            );
        }
    }
}

#[test]
fn the_fast_path_takes_what_a_tick_says_beside_its_price() {
    let first = trade(r#","bid":2.4,"ask":2.6,"conditions":["@"],"n":17"#);
    let mut fast = mapped("sequence=n");
    assert!(fast.decode(first.as_bytes(), &ALONE).is_ok());
    for members in [
        r#","bid":2.45,"ask":12.6,"conditions":["@","T","I"],"n":18"#,
        r#","bid":0,"ask":-1.5,"conditions":[],"n":0"#,
        r#","bid":1e2,"ask":3,"conditions":"Odd Lot","n":18"#,
        r#","bid":1,"ask":3,"conditions":[12, 37],"n":18"#,
        r#","bid":1,"ask":3,"conditions":7,"n":18"#,
    ] {
        let like = trade(members);
        let known = fast.decode_known(like.as_bytes(), &ALONE);
        assert!(known.is_some(), "{like}");
        assert_eq!(known, mapped("sequence=n").decode_strictly(like.as_bytes(), &ALONE).ok());
    }
}

#[test]
fn a_member_that_is_a_price_is_no_condition() {
    let rules =
        || Rules { mapping: Mapping::new(&Preset::Alpaca.entries().paths), ..Rules::default() };
    let bar = r#"{"T":"b","S":"A","o":2,"h":3,"l":1,"c":2,"v":7,"t":"2025-06-06T14:00:00Z"}"#;
    let trade =
        r#"{"T":"t","S":"A","p":2.5,"s":7,"c":["@","I"],"z":"C","t":"2025-06-06T14:00:00Z"}"#;
    let mut decoder = Decoder::new(rules(), NOW);
    for _ in 0..2 {
        assert_eq!(extras(&mut decoder, bar), ("- - [] -".to_owned(), false));
        assert_eq!(extras(&mut decoder, trade), ("- - [@+I] -".to_owned(), false));
    }
    assert!(decoder.decode_known(bar.as_bytes(), &ALONE).is_some());
    assert!(decoder.decode_known(trade.as_bytes(), &ALONE).is_some());
}

#[test]
fn quotes_that_stand_outside_of_an_element_are_not_its_own() {
    let value = r#"{"bid":1,"ask":2,"data":[{"symbol":"A","price":2,"ts":1749218401,"bid":3}]}"#;
    let rules = Rules { each: "data".parse().ok(), ..Rules::default() };
    let mut bids = Vec::new();
    let mut note =
        |element: Element<'_>| bids.push(element.read.map(|record| record.tick.extras().bid()));
    Decoder::new(rules, NOW).decode_each(value.as_bytes(), &ALONE, &mut note).unwrap();
    assert_eq!(bids, [Ok(crate::Price::from_nanos(3_000_000_000))]);
}

#[test]
fn the_fast_path_takes_what_it_has_seen_the_like_of() {
    let first = bare("", "");
    let enveloped = format!(
        r#"{{"schema":{{"a":[1]}},"kafka_offset":1,"kafka_partition":2,"payload":{first}}}"#
    );
    for (value, like) in [(&first, "MSFT"), (&enveloped, "MSFT")] {
        let like =
            value.replace("AAPL", like).replace("201.5", "7.0625").replace(":01.123", ":59.5");
        let mut fast = decoder();
        assert!(fast.decode_known(value.as_bytes(), &ALONE).is_none());
        fast.decode(value.as_bytes(), &ALONE).unwrap();
        let record = fast.decode_known(like.as_bytes(), &ALONE).expect("it has the same layout");
        assert_eq!(record, decoder().decode_strictly(like.as_bytes(), &ALONE).unwrap());
    }
}

proptest! {
    /// One decoder reads them all, so that what it learned from some is tried on the others.
    #[test]
    fn the_fast_path_decides_as_the_strict_one(values in proptest::collection::vec(some_value(), 1..40)) {
        let (mut fast, mut strict) = (decoder(), decoder());
        for value in values.iter().chain(&values) {
            let expected = strict.decode_strictly(value.as_bytes(), &ALONE);
            prop_assert_eq!(fast.decode(value.as_bytes(), &ALONE), expected, "{}", value);
        }
    }

    #[test]
    fn a_changed_byte_is_seen_by_the_fast_path(at in 0_usize..300, byte: u8, enveloped: bool) {
        let mut value = bare("", "");
        if enveloped {
            value = format!(r#"{{"schema":{{"type":"struct"}},"payload":{value}}}"#);
        }
        let (mut fast, mut strict) = (decoder(), decoder());
        prop_assert!(fast.decode(value.as_bytes(), &ALONE).is_ok());
        let mut changed = value.into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        prop_assert_eq!(fast.decode(&changed, &ALONE), strict.decode_strictly(&changed, &ALONE));
    }
}

fn mapped(map: &str) -> Decoder {
    let MapEntries { paths, .. } = map.parse().unwrap();
    Decoder::new(Rules { mapping: Mapping::new(&paths), ..Rules::default() }, NOW)
}

/// Open, high, low, close and volume.
fn read(decoder: &mut Decoder, value: &str) -> Result<String, Reject> {
    let tick = decoder.decode(value.as_bytes(), &ALONE)?.tick;
    let Prices { open, high, low, close } = tick.prices();
    let or_none = |price: Option<crate::Price>| {
        price.map_or_else(|| "-".to_owned(), |price| price.to_string())
    };
    let volume = tick.volume().map_or_else(|| "-".to_owned(), |volume| volume.to_string());
    Ok(format!(
        "{} {open} {} {} {close} {volume}",
        tick.symbol().as_str(),
        or_none(*high),
        or_none(*low)
    ))
}

#[test]
fn the_names_of_most_producers_need_no_flag() {
    for (value, expected) in [
        (r#"{"ticker":"A","price":2.5,"qty":3,"ts":1749218401}"#, "A 2.5 - - 2.5 3"),
        (
            r#"{"Symbol":"A","Open":"1","High":"4","Low":"1","Close":"3","Volume":"9","Date":1749218401}"#,
            "A 1 4 1 3 9",
        ),
        (
            r#"{"StockSymbol":"A","LastTradePrice":2,"size":1,"LastTradeDateTime":"2025-06-06T10:00Z"}"#,
            "A 2 - - 2 1",
        ),
        // The day's open, high and low are not the trade's.
        (
            r#"{"symbol":"A","price":2,"open":1,"high":9,"low":1,"volume":3,"time":1749218401}"#,
            "A 2 - - 2 3",
        ),
        // The plain names go before the others, a bar's before the price.
        (
            r#"{"symbol":"A","ticker":"B","open":1,"close":2,"price":7,"volume":3,"timestamp":1749218401,"ts":1}"#,
            "A 1 - - 2 3",
        ),
        (r#"{"symbol":"A","price":2,"ts":1749218401}"#, "A 2 - - 2 -"),
        (r#"{"symbol":"A","price":2,"qty":"0.00000001","ts":1749218401}"#, "A 2 - - 2 0.00000001"),
        (
            r#"{"symbol":null,"ticker":"B","open":1,"close":2,"volume":3,"timestamp":1749218401}"#,
            "B 1 - - 2 3",
        ),
    ] {
        assert_eq!(read(&mut decoder(), value).unwrap(), expected, "{value}");
    }
}

#[test]
fn what_may_be_two_things_is_rejected_with_the_flag_that_tells() {
    let value =
        r#"{"symbol":"A","price":2,"qty":3,"event_time":1749218401,"trade_time":1749218401}"#;
    let reject = decoder().decode(value.as_bytes(), &ALONE).unwrap_err();
    assert_eq!(reject.reason, Reason::MissingField);
    assert!(reject.detail.contains("--map timestamp=\"event_time\""), "{reject}");
    assert_eq!(read(&mut mapped("timestamp=event_time"), value).unwrap(), "A 2 - - 2 3");
}

#[test]
fn what_is_missing_is_named_with_the_flag_that_finds_it() {
    for (value, map, said) in [
        (r#"{"price":2,"qty":3,"ts":1749218401}"#, "high=h", "symbol is missing"),
        (r#"{"symbol":"A","qty":3,"ts":1749218401}"#, "high=h", "--map price=NAME"),
        (r#"{"symbol":"A","open":2,"qty":3,"ts":1749218401}"#, "high=h", "close is missing"),
        (
            r#"{"symbol":"A","price":2,"qty":3,"ts":1749218401}"#,
            "price=q.last|p",
            "there is no q.last and no p",
        ),
        (r#"{"symbol":"A","price":2,"qty":3}"#, "high=h", "--timestamp-from record"),
        (
            r#"{"symbol":"A","price":2,"ts":1749218401,"size":1,"qty":1}"#,
            "high=h",
            "--map volume=\"qty\"",
        ),
    ] {
        let reject = read(&mut mapped(map), value).unwrap_err();
        assert_eq!(reject.reason, Reason::MissingField);
        assert!(reject.detail.contains(said), "{value}: {reject}");
    }
}

#[test]
fn a_mapped_field_stands_where_the_map_says_and_nowhere_else() {
    let map = r#"symbol=quote."the symbol",price=quote.last|p,volume=v.x,high=h,timestamp=t"#;
    let nested = r#"{"symbol":"NO","quote":{"the symbol":"A","last":"2.50"},"v":{"x":"7"},"h":3,"open":1,"close":1,"low":1,"t":1749218401}"#;
    assert_eq!(read(&mut mapped(map), nested).unwrap(), "A 2.5 3 - 2.5 7");
    let second = nested.replace("\"last\"", "\"other\"").replace("\"h\"", "\"p\":2,\"h\"");
    assert_eq!(read(&mut mapped(map), &second).unwrap(), "A 2 3 - 2 7");
    // The last of two members with the same name counts, with all that it holds.
    for last in ["{}", "null", "7"] {
        let twice = nested
            .replacen("\"v\":", "\"quote\":{\"last\":9},\"quote\":1,\"v\":", 1)
            .replace("\"h\"", "\"p\":2,\"h\"");
        let twice = twice.replace("\"quote\":1", &format!("\"quote\":{last}"));
        assert!(
            read(&mut mapped(map), &twice).unwrap_err().detail.contains("symbol is missing"),
            "{twice}"
        );
    }
    // A name with a dot is not a path.
    assert!(
        read(
            &mut mapped("price=\"a.b\""),
            r#"{"symbol":"A","a":{"b":1},"volume":1,"ts":1749218401}"#
        )
        .is_err()
    );
    let dotted = r#"{"symbol":"A","a.b":1,"volume":1,"ts":1749218401}"#;
    assert_eq!(read(&mut mapped("price=\"a.b\""), dotted).unwrap(), "A 1 - - 1 1");
}

#[test]
fn a_mapping_applies_within_connects_envelope() {
    let value = r#"{"schema":{},"payload":{"q":{"p":"2.5"},"ticker":"A","size":1,"ts":1749218401},"kafka_partition":1,"kafka_offset":2}"#;
    let mut decoder = mapped("price=q.p");
    assert_eq!(read(&mut decoder, value).unwrap(), "A 2.5 - - 2.5 1");
    let like = value.replace("2.5", "3.25").replace("\"A\"", "\"BC\"");
    let known = decoder.decode_known(like.as_bytes(), &ALONE).unwrap();
    assert_eq!(known.provenance, Some(Provenance { partition: 1, offset: 2 }));
}

#[test]
fn the_symbol_may_come_from_the_key_or_the_topic_and_the_time_from_the_record() {
    let value = br#"{"price":2.5,"volume":1,"symbol":"NO","timestamp":1}"#;
    let rules = |symbol_from| Rules {
        symbol_from,
        timestamp_from: TimestampFrom::Record,
        ..Rules::default()
    };
    let mut by_key = Decoder::new(rules(SymbolFrom::Key), NOW);
    for key in [&b"AAPL"[..], b"MSFT", b"\"BRK-B\""] {
        let context = RecordContext { key: Some(key), time: Some(NOW), ..ALONE };
        let tick = by_key.decode(value, &context).unwrap().tick;
        assert_eq!(tick.symbol().as_str(), str::from_utf8(key).unwrap().trim_matches('"'));
        assert_eq!(tick.timestamp(), NOW);
    }
    let reject = |context: &RecordContext<'_>, decoder: &mut Decoder| {
        decoder.decode(value, context).unwrap_err()
    };
    for key in [None, Some(&b""[..])] {
        let missing = reject(&RecordContext { key, time: Some(NOW), ..ALONE }, &mut by_key);
        assert!(missing.detail.contains("has no key"), "{missing}");
    }
    for key in [&b"\xff"[..], b"A B ", b"\"A", br#"{"symbol":"A"}"#, b"[1]", b"null"] {
        assert_eq!(
            reject(&RecordContext { key: Some(key), time: Some(NOW), ..ALONE }, &mut by_key).reason,
            Reason::BadSymbol
        );
    }
    assert!(
        reject(&RecordContext { key: Some(b"A"), ..ALONE }, &mut by_key)
            .detail
            .contains("--timestamp-from record")
    );
    let mut by_topic = Decoder::new(rules(SymbolFrom::Topic), NOW);
    let context = RecordContext { topic: Some("AAPL"), time: Some(NOW), ..ALONE };
    assert_eq!(by_topic.decode(value, &context).unwrap().tick.symbol().as_str(), "AAPL");
}

#[test]
fn a_key_in_a_registry_s_format_is_no_symbol() {
    let rules = Rules { symbol_from: SymbolFrom::Key, ..Rules::default() };
    let value = br#"{"price":1,"ts":1749218401}"#;
    for (key, expected) in
        [(&b"AAPL"[..], Ok("AAPL")), (b"\0\0\0\0\x07AAPL", Err(Reason::BadSymbol))]
    {
        let mut decoder = Decoder::new(rules.clone(), NOW);
        let read = decoder.decode(value, &RecordContext { key: Some(key), ..ALONE });
        let symbol = read.map(|record| record.tick.symbol().as_str().to_owned());
        assert_eq!(symbol.as_deref().map_err(|reject| reject.reason), expected);
    }
}

/// The sentences of docs/message-format.md about the archive by a registry's types.
#[test]
fn what_connect_makes_of_a_schema_s_types_is_read_as_the_manual_says() {
    let map: MapEntries = "price=price.value|price".parse().unwrap();
    let rules = Rules { mapping: Mapping::new(&map.paths), ..Rules::default() };
    let mut decoder = Decoder::new(rules, NOW);
    for (price, ts, expected) in [
        // A decimal as a number, and in Base64.
        ("201.5", "1749218401", Ok("201.5 2025-06-06T14:00:01Z")),
        (r#""B98=""#, "1749218401", Err(Reason::BadPrice)),
        // Google's decimals and amounts of money.
        (r#"{"value":"201.5"}"#, "1749218401", Ok("201.5 2025-06-06T14:00:01Z")),
        (r#"{"units":201,"nanos":500000000}"#, "1749218401", Err(Reason::BadPrice)),
        // `timestamp-millis`, `-micros` and `-nanos`, and a date.
        ("1", "1749218401123", Ok("1 2025-06-06T14:00:01.123Z")),
        ("1", "1749218401123456", Ok("1 2025-06-06T14:00:01.123456Z")),
        ("1", "1749218401123456789", Ok("1 2025-06-06T14:00:01.123456Z")),
        ("1", "20245", Err(Reason::TimestampOutOfRange)),
    ] {
        let line = format!(r#"{{"symbol":"A","price":{price},"ts":{ts}}}"#);
        let read = decoder.decode(line.as_bytes(), &ALONE).map(|DecodedTick { tick, .. }| {
            format!("{} {}", tick.prices().close, tick.timestamp())
        });
        assert_eq!(read.as_deref().map_err(|reject| reject.reason), expected, "{line}");
    }
}

#[test]
fn a_key_stands_for_a_symbol_that_the_message_lacks_unless_it_is_plainly_something_else() {
    let mut decoder =
        Decoder::new(Rules { symbol_from: SymbolFrom::ValueOrKey, ..Rules::default() }, NOW);
    let mut read = |symbol: &str, key: Option<&str>| {
        let value = format!(r#"{{{symbol}"price":2.5,"ts":1749218401}}"#);
        let context = RecordContext { key: key.map(str::as_bytes), ..ALONE };
        let symbol = |record: DecodedTick<'_>| record.tick.symbol().as_str().to_owned();
        let strict = decoder.decode_strictly(value.as_bytes(), &context).map(symbol);
        for _ in 0..2 {
            let fast = decoder.decode(value.as_bytes(), &context).map(symbol);
            assert_eq!(fast, strict, "{value}");
        }
        strict
    };
    assert_eq!(read("\"symbol\":\"A\",", Some("K")).as_deref(), Ok("A"));
    for symbol in ["", "\"symbol\":null,"] {
        assert_eq!(read(symbol, Some("K")).as_deref(), Ok("K"));
        assert_eq!(read(symbol, Some("\"BRK-B\"")).as_deref(), Ok("BRK-B"));
    }
    for (key, said) in [
        ("17", "looks like a number"),
        ("1749218401123", "looks like a number"),
        ("2025-06-06", "looks like a time"),
        ("2025-06-06T10:00:01Z", "looks like a time"),
        ("10:00", "looks like a time"),
        ("3f2b8c1e-0d4a-4c57-9e61-7a2f4b1c9d00", "looks like an id"),
    ] {
        let reject = read("", Some(key)).unwrap_err();
        assert_eq!(reject.reason, Reason::BadSymbol, "{key}");
        assert!(
            reject.detail.contains(said) && reject.detail.contains("--symbol-from key"),
            "{reject}"
        );
    }
    for key in [None, Some("")] {
        let reject = read("", key).unwrap_err();
        assert!(
            reject.detail.starts_with("symbol is missing") && reject.detail.contains("no key"),
            "{reject}"
        );
    }
}

/// Rows of yfinance do not say whose they are.
#[test]
fn the_fast_path_takes_the_symbol_of_a_row_from_its_key() {
    let preset = Preset::Yfinance;
    let MapEntries { paths, symbol_from, .. } = preset.entries();
    let rules = Rules {
        mapping: Mapping::new(&paths),
        symbol_from: symbol_from.unwrap(),
        times: TimeRules { zone: preset.zone(), ..TimeRules::default() },
        ..Rules::default()
    };
    let (mut fast, mut strict) = (Decoder::new(rules.clone(), NOW), Decoder::new(rules, NOW));
    let row = |close: &str| {
        format!(r#"{{"Open":201.5,"Close":{close},"Volume":1200,"Date":"2025-06-06 10:00:01"}}"#)
    };
    let of = |key: &'static str| RecordContext { key: Some(key.as_bytes()), ..ALONE };
    let first = row("201.5");
    assert!(fast.decode(first.as_bytes(), &of("AAPL")).is_ok());
    let (like, named) = (row("77.125"), row("77.125").replacen('{', r#"{"symbol":"OWN","#, 1));
    for key in ["MSFT", "BRK-B", "^GSPC", "EURUSD=X", "2330.TW", "600519.SS", "0700.HK", "k"] {
        let known = fast.decode_known(like.as_bytes(), &of(key));
        assert_eq!(known.map(|known| known.tick.symbol().as_str()), Some(key));
        assert_eq!(known, strict.decode_strictly(like.as_bytes(), &of(key)).ok());
    }
    for key in
        ["17", "1.5", "1.e5", "1.5E", "2025-06-06", "10:00", "06.E", "\"A\"", "null", "", "A\n"]
    {
        let expected = strict.decode_strictly(like.as_bytes(), &of(key));
        assert_eq!(fast.decode(like.as_bytes(), &of(key)), expected, "{key:?}");
    }
    assert_eq!(fast.decode_known(like.as_bytes(), &ALONE), None, "no key, no symbol");
    assert_eq!(
        fast.decode(named.as_bytes(), &of("KEY")).unwrap().tick.symbol().as_str(),
        "OWN",
        "a symbol of its own goes before the key"
    );
}

#[test]
fn a_date_and_a_time_of_day_in_two_members_are_one_time() {
    let times = TimeRules { zone: "America/New_York".parse().ok(), ..TimeRules::default() };
    let map: MapEntries = "timestamp=date,time_of_day=time".parse().unwrap();
    let mut decoder =
        Decoder::new(Rules { mapping: Mapping::new(&map.paths), times, ..Rules::default() }, NOW);
    let mut time_of = |date: &str, time: &str| {
        let value = format!(r#"{{"symbol":"A","price":1,"date":{date},"time":{time}}}"#);
        let read = decoder
            .decode(value.as_bytes(), &ALONE)
            .map(|record| record.tick.timestamp().to_string());
        read.map_err(|reject| reject.reason.as_str())
    };
    for (date, time, expected) in [
        ("\"2025-06-06\"", "\"10:00:01\"", Ok("2025-06-06T14:00:01Z")),
        ("\"2025-06-06\"", "\"15:59:59.5\"", Ok("2025-06-06T19:59:59.5Z")),
        ("\"20250606\"", "\"09:30\"", Ok("2025-06-06T13:30:00Z")),
        ("20250606", "\"10:00:01Z\"", Ok("2025-06-06T10:00:01Z")),
        ("\"2025-11-02\"", "\"01:30\"", Err("ambiguous_time")),
        ("\"2025-06-06T10:00:00\"", "\"10:00:01\"", Err("bad_timestamp")),
        ("\"2025-06-06\"", "36001", Err("bad_timestamp")),
        ("\"2025-06-06\"", "null", Err("missing_field")),
        ("1749218401", "\"10:00:01\"", Err("bad_timestamp")),
    ] {
        assert_eq!(time_of(date, time), expected.map(str::to_owned), "{date} {time}");
    }
}

#[test]
fn a_time_in_two_members_is_rejected_with_the_flag_that_puts_it_together() {
    let value = r#"{"symbol":"A","price":1,"date":"2025-06-06","time":"10:00:01"}"#;
    let reject = decoder().decode(value.as_bytes(), &ALONE).unwrap_err();
    let said = r#"--map timestamp="date",time_of_day="time""#;
    assert!(reject.reason == Reason::MissingField && reject.detail.contains(said), "{reject}");
}

#[test]
fn a_time_as_mongodb_wraps_it_is_read_by_both_paths() {
    let mut decoder = decoder();
    for time in [
        r#"{"$date":"2025-06-06T14:00:01.123Z"}"#,
        r#"{"$date":1749218401123}"#,
        r#"{ "$date" : {"$numberLong":"1749218401123"} }"#,
    ] {
        let value = format!(r#"{{"symbol":"A","price":1,"timestamp":{time}}}"#);
        for _ in 0..2 {
            let tick = decoder.decode(value.as_bytes(), &ALONE).unwrap().tick;
            assert_eq!(tick.timestamp(), Timestamp::from_micros(1_749_218_401_123_000), "{time}");
        }
        assert!(decoder.decode_known(value.as_bytes(), &ALONE).is_some(), "{time}");
    }
    for time in [r#"{"$date":null}"#, r#"{"$date":1,"x":2}"#, r#"{"date":1749218401123}"#, "{}"] {
        let value = format!(r#"{{"symbol":"A","price":1,"timestamp":{time}}}"#);
        assert_eq!(reason(value.as_bytes()), Reason::BadTimestamp, "{time}");
    }
}

#[test]
fn a_date_in_digits_is_named_as_such_and_sends_nobody_to_another_flag() {
    for time in
        ["20250606", "\"20250606\"", "20250606140001", "\"20250606140001123\"", "202506061400"]
    {
        let value = format!(r#"{{"symbol":"A","price":1,"timestamp":{time}}}"#);
        let reject = decoder().decode(value.as_bytes(), &ALONE).unwrap_err();
        assert!(
            reject.detail.contains("a date in digits") && !reject.detail.contains("--"),
            "{time}: {reject}"
        );
    }
    assert!(accepts(&bare("timestamp", "1749218401")));
}

#[test]
fn a_date_in_digits_is_no_tick_of_the_seventies_where_those_are_taken() {
    let of = |unit| TimeRules { unit, oldest: Timestamp::from_micros(0), ..TimeRules::default() };
    let mut decoder = Decoder::new(Rules { times: of(EpochUnit::Auto), ..Rules::default() }, NOW);
    let value = |time: &str| format!(r#"{{"symbol":"A","price":1,"timestamp":{time}}}"#);
    // The fast path has learned of numbers that may as well be dates.
    for time in ["22000101", "20251306", "202506069900", "86400000"] {
        assert!(decoder.decode(value(time).as_bytes(), &ALONE).is_ok(), "{time}");
    }
    for time in ["20240105", "\"20240105\"", "202401051030", "\"202401051030\""] {
        let reject = decoder.decode(value(time).as_bytes(), &ALONE).unwrap_err();
        assert_eq!(reject.reason, Reason::BadTimestamp, "{time}");
        assert!(
            reject.detail.contains("a date in digits")
                && reject.detail.contains("--timestamp-unit"),
            "{reject}"
        );
    }
    for (unit, time, expected) in [
        (EpochUnit::S, "20240105", "1970-08-23T06:15:05Z"),
        (EpochUnit::Ms, "202401051030", "1976-05-31T14:30:51.03Z"),
    ] {
        let mut pinned = Decoder::new(Rules { times: of(unit), ..Rules::default() }, NOW);
        let value = value(time);
        for _ in 0..2 {
            let tick = pinned.decode(value.as_bytes(), &ALONE).unwrap().tick;
            assert_eq!(tick.timestamp().to_string(), expected);
        }
    }
}

#[test]
fn an_archived_line_tells_its_records_time() {
    let rules = Rules { timestamp_from: TimestampFrom::Record, ..Rules::default() };
    let mut decoder = Decoder::new(rules, NOW);
    for millis in [1_749_218_401_123_i64, 1_749_218_401_999] {
        let value =
            format!(r#"{{"symbol":"A","price":2.5,"volume":1,"kafka_timestamp":{millis}}}"#);
        let tick = decoder.decode(value.as_bytes(), &ALONE).unwrap().tick;
        assert_eq!(tick.timestamp().micros(), millis * 1000);
    }
}

#[test]
fn a_records_time_in_the_line_is_read_alike_by_both_paths() {
    let rules = Rules { timestamp_from: TimestampFrom::Record, ..Rules::default() };
    let value =
        |time: &str| format!(r#"{{"symbol":"A","price":2.5,"volume":1,"kafka_timestamp":{time}}}"#);
    for (first, then) in [
        ("1749218401123", "1749218401999.5"),
        ("1749218401123.25", "1749218402000"),
        ("\"1749218401123\"", "\"1749218402000\""),
    ] {
        let (mut fast, mut strict) =
            (Decoder::new(rules.clone(), NOW), Decoder::new(rules.clone(), NOW));
        assert!(fast.decode(value(first).as_bytes(), &ALONE).is_ok(), "{first}");
        let then = value(then);
        let known = fast.decode_known(then.as_bytes(), &ALONE);
        assert!(known.is_some(), "{then}");
        assert_eq!(known, strict.decode_strictly(then.as_bytes(), &ALONE).ok());
    }
}

/// Compared each with each they would take half a minute.
#[test]
fn a_field_in_tens_of_thousands_of_spellings_takes_no_time() {
    let spelling = |number: u32| {
        let letters = "quantity".chars().zip(0..);
        letters.fold(String::new(), |name, (letter, bit)| {
            let blank = if number >> bit & 1 == 1 { "_" } else { "" };
            let letter =
                if number >> (bit + 8) & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
            format!("{name}{blank}{letter}")
        })
    };
    let members: Vec<String> =
        (1..30_000).map(|number| format!("\"{}\":null", spelling(number))).collect();
    let value =
        format!(r#"{{"symbol":"A","price":2.5,"ts":1749218401,{},"qty":7}}"#, members.join(","));
    let begun = std::time::Instant::now();
    assert_eq!(read(&mut decoder(), &value).unwrap(), "A 2.5 - - 2.5 7");
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn the_fast_path_learns_mapped_shapes_and_numbers_written_as_text() {
    for (map, value) in [
        (
            "price=p,symbol=s,volume=q,timestamp=T",
            r#"{"e":"trade","s":"BTCUSDT","t":1,"p":"45123.50","q":"7","T":1749218401123,"m":true}"#,
        ),
        (
            "price=q.last",
            r#"{"ticker":"A","q":{"last":"2.5","x":"y"},"size":1,"ts":1749218401.25,"note":"n"}"#,
        ),
        (
            "high=h",
            r#"{"symbol":"A","open":"1.5","close":"2.5","volume":"3","timestamp":"1749218401123456789"}"#,
        ),
    ] {
        let (mut fast, mut strict) = (mapped(map), mapped(map));
        assert!(fast.decode(value.as_bytes(), &ALONE).is_ok(), "{value}");
        let like = value
            .replace("2.5", "77.125")
            .replace("45123.50", "45124.75")
            .replace("1749218401", "1749218402");
        let known = fast.decode_known(like.as_bytes(), &ALONE);
        assert!(known.is_some(), "{like}");
        assert_eq!(known, strict.decode_strictly(like.as_bytes(), &ALONE).ok());
    }
}

#[test]
fn the_fast_path_takes_numbers_as_java_writes_them_and_those_with_a_sign() {
    let value = r#"{"symbol":"A","price":1.5,"volume":0.25,"ts":1749218401.5,"change":0.2}"#;
    let rules = Rules { allow_nonpositive_prices: true, ..Rules::default() };
    let (mut fast, mut strict) = (Decoder::new(rules.clone(), NOW), Decoder::new(rules, NOW));
    assert!(fast.decode(value.as_bytes(), &ALONE).is_ok());
    for (from, to) in [
        (":0.25", ":1.0E-4"),
        (":0.25", ":1.23456785E7"),
        (":0.25", ":2.5e+0"),
        (":0.25", ":0.0"),
        (":1.5", ":1.2E-5"),
        (":1.5", ":-37.63"),
        (":1.5", ":-1"),
        (":1749218401.5", ":1.749218401654321E9"),
        (":1749218401.5", ":1.749218401654E12"),
        (":0.2}", ":-1.75}"),
        (":0.2}", ":3.0E-4}"),
        (":0.2}", ":-3}"),
    ] {
        let like = value.replace(from, to);
        let known = fast.decode_known(like.as_bytes(), &ALONE);
        assert!(known.is_some(), "{like}");
        assert_eq!(known, strict.decode_strictly(like.as_bytes(), &ALONE).ok(), "{like}");
    }
    for to in [":1.0E-400}", ":1.E5}", ":1E}", ":--1}", ":-01}", ":-}"] {
        let like = value.replace(":0.2}", to);
        let expected = strict.decode_strictly(like.as_bytes(), &ALONE);
        assert_eq!(fast.decode(like.as_bytes(), &ALONE), expected, "{like}");
    }
}

#[test]
fn nothing_is_learned_of_a_value_whose_shape_is_known() {
    let rules = Rules { uppercase_symbols: true, ..Rules::default() };
    let mut fast = Decoder::new(rules, NOW);
    let known = bare("", "");
    let lower = known.replace("AAPL", "aapl");
    assert!(fast.decode(known.as_bytes(), &ALONE).is_ok());
    assert!(fast.decode(lower.as_bytes(), &ALONE).is_ok());
    assert!(fast.shapes.has_fitted);
    let new = known.replacen('{', "{\"venue\":1,", 1);
    assert!(fast.decode(new.as_bytes(), &ALONE).is_ok());
    assert!(!fast.shapes.has_fitted);
    assert!(fast.decode_known(new.as_bytes(), &ALONE).is_some(), "what is new is learned");
}

/// A tick's message under many names, and messages that are nearly one.
fn some_mapped_value() -> impl Strategy<Value = String> {
    let number = || {
        prop_oneof![
            4 => "[1-9][0-9]{0,4}\\.[0-9]{1,4}",
            2 => "\"[1-9][0-9]{0,4}\\.[0-9]{1,4}\"",
            1 => "[0-9]{1,20}",
            2 => "-?[0-9]\\.[0-9]{1,9}[eE][-+]?[0-9]{1,2}",
            1 => "-[1-9][0-9]{0,3}(\\.[0-9]{1,4})?",
            1 => "\"0?[0-9]{1,3}([.][0-9]{1,19})?([eE][-+]?[0-9]{1,2})?\"",
            1 => some_float(),
            1 => some_float().prop_map(|number| format!("\"{number}\"")),
            1 => Just("null".to_owned()),
            1 => "\"[0-9 .,x-]{0,4}\"",
        ]
    };
    let time = prop_oneof![
        2 => "17[0-9]{8}(\\.[0-9]{1,9})?",
        2 => "\"?17[0-9]{11}\"?",
        1 => "17[0-9]{14}(\\.[0-9]{1,3})?",
        1 => "17[0-9]{17}",
        1 => "(19|20|21)[0-9]{2}(0[0-9]|1[0-3])[0-3][0-9]([0-2][0-9][0-6][0-9])?",
        1 => "9[0-9]{18}",
        1 => "[0-9]{1,20}(\\.[0-9]{1,3})?(e[0-9])?",
        1 => "1\\.7[0-9]{8,18}E(9|12|15|18)",
        3 => "\"2025-(06-06|03-09|11-02)[T \
            ]0[0-3]:00(:[0-5][0-9]([.,][0-9]{1,7})?)?(Z|-0400|-04|)\"",
        1 => "\"2025-06-0[0-9]\"",
    ];
    let symbol = prop_oneof![4 => "\"[A-Z]{1,5}\"", 2 => "\"[A-Za-zü]{1,5}\"", 1 => number()];
    let names = (0_usize..4, 0_usize..5, 0_usize..4, 0_usize..4, 0_u8..14);
    let rest = (names, some_extra());
    (symbol, time, number(), number(), number(), rest).prop_map(
        |(symbol, time, price, other, volume, (names, extra))| {
            let name = |names: &[&'static str], at: usize| names[at % names.len()];
            let mut members = vec![
                format!("\"{}\":{symbol}", name(&["symbol", "ticker", "Symbol", "s"], names.0)),
                format!(
                    "\"{}\":{time}",
                    name(&["timestamp", "ts", "Date", "t", "kafka_timestamp"], names.1)
                ),
                format!("\"{}\":{price}", name(&["price", "last", "p", "Close"], names.2)),
                format!("\"{}\":{volume}", name(&["volume", "qty", "Volume", "v"], names.3)),
            ];
            match names.4 {
                0 => members.push(format!("\"open\":{other}")),
                1 => members.push(format!("\"q\":{{\"p\":{other},\"s\":\"Q\"}}")),
                2 => members.push(format!("\"q\":{other}")),
                3 => members.push(format!("\"High\":{other}")),
                4 => members.push(format!("\"last\":{other}")),
                5 => members.push(format!("\"q\":{{\"p\":{other}}},\"q\":{{\"s\":\"Z\"}}")),
                6 => members.push("\"schema\":null".to_owned()),
                7 => members.insert(2, format!("\"kafka_timestamp\":{other}")),
                8..=10 => members.insert(names.0, extra),
                _ => {}
            }
            format!("{{{}}}", members.join(","))
        },
    )
}

proptest! {
    #[test]
    fn the_fast_path_decides_as_the_strict_one_whatever_the_rules(
        values in proptest::collection::vec(some_mapped_value(), 1..40),
        map in proptest::option::of(proptest::sample::select(vec![
            "price=p", "price=q.p|p,symbol=q.s|s", "timestamp=t,symbol=s,price=p,volume=v", "open=open,close=Close,high=High",
            "sequence=n,conditions=q,bid=p", "conditions=conditions|volume,sequence=n|ts,ask=Close|ask",
        ])),
        zone: bool, record: bool, unit in proptest::sample::select(vec![EpochUnit::Auto, EpochUnit::Ns]),
        time: bool, nonpositive: bool, upper: bool, old: bool,
        symbol_from in proptest::sample::select(vec![SymbolFrom::Value, SymbolFrom::Key, SymbolFrom::ValueOrKey]),
    ) {
        let entries = map.map_or_else(Vec::new, |map| map.parse::<MapEntries>().unwrap().paths);
        let oldest = if old { Timestamp::from_micros(0) } else { TimeRules::OLDEST };
        let rules = Rules {
            mapping: Mapping::new(&entries),
            times: TimeRules { unit, zone: zone.then(|| "America/New_York".parse().unwrap()), oldest },
            symbol_from,
            timestamp_from: if record { TimestampFrom::Record } else { TimestampFrom::Value },
            allow_nonpositive_prices: nonpositive,
            uppercase_symbols: upper,
            ..Rules::default()
        };
        let (mut fast, mut strict) = (Decoder::new(rules.clone(), NOW), Decoder::new(rules, NOW));
        for (number, value) in values.iter().chain(&values).enumerate() {
            let keys: [&[u8]; 6] =
                [b"\"K\"", b"KEY", b"17.5", b"2330.TW", b"2025-06-06", b"key"];
            let key = keys[number % keys.len()];
            let context = RecordContext { key: (number % 7 > 0).then_some(key), time: (time && number % 3 > 0).then_some(NOW), ..ALONE };
            let expected = strict.decode_strictly(value.as_bytes(), &context);
            prop_assert_eq!(fast.decode(value.as_bytes(), &context), expected, "{}", value);
        }
    }
}
