use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

fn decoder() -> Decoder {
    Decoder::new(ProvenanceNames::default(), NOW)
}

fn reason(value: &[u8]) -> Reason {
    decoder().decode(value).expect_err("must be rejected").reason
}

fn bare(field: &str, json: &str) -> String {
    let member = |name: &str, value: &str| format!("\"{name}\":{}", if name == field { json } else { value });
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
    decoder().decode(value.as_bytes()).is_ok()
}

#[test]
fn a_bare_tick_is_decoded_exactly() {
    let mut decoder = decoder();
    let value = bare("", "");
    let record = decoder.decode(value.as_bytes()).unwrap();
    assert_eq!(record.tick.symbol().as_str(), "AAPL");
    assert_eq!(record.tick.timestamp(), Timestamp::from_micros(1_749_218_401_123_000));
    assert_eq!(record.tick.prices().open.to_string(), "201.5");
    assert_eq!(record.tick.prices().close.to_string(), "201.6");
    assert_eq!((record.tick.prices().high, record.tick.prices().low), (None, None));
    assert_eq!(record.tick.volume(), 100);
    assert_eq!(record.provenance, None);
}

#[test]
fn an_enveloped_tick_equals_the_bare_one() {
    let payload = bare("", "");
    let enveloped = format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{payload}}}"#);
    let turned = format!(r#" {{ "payload" : {payload} , "schema" : null }} "#);
    let (mut a, mut b, mut c) = (decoder(), decoder(), decoder());
    let expected = a.decode(payload.as_bytes()).unwrap();
    assert_eq!(b.decode(enveloped.as_bytes()).unwrap(), expected);
    assert_eq!(c.decode(turned.as_bytes()).unwrap(), expected);
}

#[test]
fn a_known_line_is_taken_up_to_its_newline_and_only_there() {
    let (mut decoder, mut other) = (decoder(), decoder());
    let value = bare("", "");
    let expected = other.decode(value.as_bytes()).unwrap();
    decoder.decode(value.as_bytes()).unwrap();
    for rest in ["\n", "\nnext\n", "\n\n"] {
        let lines = format!("{value}{rest}");
        assert_eq!(decoder.decode_known_line(lines.as_bytes()), Some((expected, value.len())), "{rest:?}");
    }
    for rest in ["", " ", " \n", "}\n", "\r\n"] {
        let lines = format!("{value}{rest}");
        assert_eq!(decoder.decode_known_line(lines.as_bytes()), None, "{rest:?}");
    }
}

#[test]
fn a_value_of_several_lines_is_none_of_them() {
    let mut decoder = decoder();
    let value = bare("", "").replace(',', ",\n");
    decoder.decode(value.as_bytes()).unwrap();
    assert!(decoder.decode_known(value.as_bytes()).is_some());
    assert_eq!(decoder.decode_known_line(format!("{value}\n").as_bytes()), None);
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
        assert_eq!(decoder().decode(line.as_bytes()).unwrap().provenance, expected, "{line}");
    }
}

#[test]
fn fields_may_come_in_any_order_and_of_duplicates_the_last_wins() {
    let value = r#"{"volume":1,"close":2,"close":3.5,"x":[{"symbol":"NO"}],"open":2,
        "timestamp":1749218401123,"symbol":"A","symbol":"B\u0052K-B"}"#;
    let mut decoder = decoder();
    let record = decoder.decode(value.as_bytes()).unwrap();
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
    assert_eq!(reason(format!("{} x", bare("", "")).as_bytes()), Reason::NotJson);
    assert_eq!(reason(format!("\u{feff}{}", bare("", "")).as_bytes()), Reason::NotJson);
    assert_eq!(reason(br#"{"schema":{},"payload":null}"#), Reason::NotObject);
    assert_eq!(reason(br#"{"schema":{},"payload":[]}"#), Reason::NotObject);
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
    let nested =
        |depth: usize| bare("", "").replacen('{', &format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)), 1);
    assert!(accepts(&nested(MAX_DEPTH - 1)));
    assert_eq!(reason(nested(MAX_DEPTH).as_bytes()), Reason::NotJson);
    assert_eq!(reason("[".repeat(999_999).as_bytes()), Reason::NotJson);
    let brackets_in_text = bare("", "").replacen('{', &format!("{{\"x\":\"\\\"{}\",", "[".repeat(500)), 1);
    assert!(accepts(&brackets_in_text));
}

#[test]
fn symbols_of_every_market_pass_and_others_do_not() {
    for symbol in ["BRK-B", "^GSPC", "BTC-USD", "7203.T", "NASDAQ:AAPL", "EURUSD=X", "a", &"X".repeat(32)] {
        assert!(accepts(&bare("symbol", &format!("\"{symbol}\""))), "{symbol}");
    }
    for symbol in ["", "A B", "Ä", "A\\n", "A;DROP", &"X".repeat(33)] {
        assert_eq!(reason_of("symbol", &format!("\"{symbol}\"")), Reason::BadSymbol, "{symbol}");
    }
    assert_eq!(reason_of("symbol", "7"), Reason::BadSymbol);
    assert_eq!(reason_of("symbol", "null"), Reason::MissingField);
}

#[test]
fn a_timestamp_is_an_instant_that_can_be() {
    assert!(accepts(&bare("timestamp", "\"2025-06-06 10:00:01+05:30\"")));
    assert!(accepts(&bare("timestamp", "0")));
    assert!(accepts(&bare("timestamp", "1749218401123.0")));
    let in_a_day = NOW.micros() / 1000 + 86_400_000;
    assert!(accepts(&bare("timestamp", &in_a_day.to_string())));
    assert_eq!(reason_of("timestamp", &(in_a_day + 1).to_string()), Reason::TimestampOutOfRange);
    assert_eq!(reason_of("timestamp", "-1"), Reason::TimestampOutOfRange);
    assert_eq!(reason_of("timestamp", "\"1969-12-31T23:59:59Z\""), Reason::TimestampOutOfRange);
    for json in ["\"2025-06-06T10:00:01\"", "\"yesterday\"", "1.5", "1e300", "true", "{}", "9223372036854775807"] {
        assert_eq!(reason_of("timestamp", json), Reason::BadTimestamp, "{json}");
    }
}

#[test]
fn a_time_without_an_offset_is_named_as_such() {
    let value = bare("timestamp", "\"2025-06-06T10:00:01\"");
    let reject = decoder().decode(value.as_bytes()).unwrap_err();
    assert!(reject.detail.contains("has no UTC offset"), "{reject}");
}

#[test]
fn a_price_is_a_number_above_zero() {
    assert!(accepts(&bare("close", "1e-9")));
    assert!(accepts(&bare("open", "9223372036.854775807")));
    for json in ["0", "-1", "0.1e-20", "1e400", "\"201.5\"", "\"NaN\"", "true", "[1]", "9223372036.9"] {
        assert_eq!(reason_of("close", json), Reason::BadPrice, "{json}");
    }
    for json in ["NaN", "Infinity", "01", "1.", ".5", "+1", "0x10"] {
        assert_eq!(reason_of("close", json), Reason::NotJson, "{json}");
    }
}

#[test]
fn volume_is_an_integer_of_zero_or_more() {
    for json in ["0", "-0", "100.0", "1e3", "9223372036854775807"] {
        assert!(accepts(&bare("volume", json)), "{json}");
    }
    for json in ["-1", "1.5", "9223372036854775808", "\"5\"", "null "] {
        let expected = if json == "null " { Reason::MissingField } else { Reason::BadVolume };
        assert_eq!(reason_of("volume", json), expected, "{json}");
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
        let _ = decoder().decode(&value);
    }

    #[test]
    fn a_changed_byte_never_makes_it_panic(at in 0_usize..110, byte: u8) {
        let mut value = bare("", "").into_bytes();
        let at = at % value.len();
        value[at] = byte;
        let _ = decoder().decode(&value);
    }
}

/// Members and whole values from which the fast path may learn, and which it must not misread afterwards.
fn some_value() -> impl Strategy<Value = String> {
    let digits = || prop_oneof!["[0-9]{1,20}", "0", "[1-9][0-9]{0,3}"];
    let number = || {
        (digits(), proptest::option::of(digits()), proptest::option::weighted(0.1, "[eE][-+]?[0-9]{1,3}"), any::<u8>())
            .prop_map(|(whole, fraction, exponent, sign)| {
                let sign = if sign < 10 { "-" } else { "" };
                let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
                format!("{sign}{whole}{fraction}{}", exponent.unwrap_or_default())
            })
    };
    let price = || prop_oneof![8 => "[1-9][0-9]{0,4}\\.[0-9]{1,4}", 1 => number(), 1 => Just("null".to_owned())];
    let symbol =
        prop_oneof![8 => "\"[A-Z]{1,5}\"", 1 => "\"[A-Za-z0-9.^=_:/ é-]{0,40}\"", 1 => Just("\"A\\u0042\"".to_owned())];
    let time = prop_oneof![
        8 => "\"2025-06-06T10:0[0-3]:[0-5][0-9]\\.[0-9]{1,9}(Z|-04:00)\"",
        1 => "\"2025-0[1-7]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])?\"",
        1 => number(),
        1 => "17[0-9]{11}",
    ];
    let other = prop_oneof![number(), Just("true".to_owned()), "\"[a-z\\\\é]{0,6}\"", Just("{\"close\":1}".to_owned())];
    let members = (
        symbol,
        time,
        price(),
        price(),
        price(),
        price(),
        prop_oneof![4 => digits(), 1 => number()],
        other,
        0_u8..9,
        "[ \n]{0,1}",
    );
    (members, prop_oneof![2 => Just(false), 1 => Just(true)]).prop_map(
        |((symbol, time, open, high, low, close, volume, other, which, space), enveloped)| {
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

#[test]
fn the_fast_path_takes_what_it_has_seen_the_like_of() {
    let first = bare("", "");
    let enveloped = format!(r#"{{"schema":{{"a":[1]}},"kafka_offset":1,"kafka_partition":2,"payload":{first}}}"#);
    for (value, like) in [(&first, "MSFT"), (&enveloped, "MSFT")] {
        let like = value.replace("AAPL", like).replace("201.5", "7.0625").replace(":01.123", ":59.5");
        let mut shapes = Shapes::default();
        assert!(shapes.decode(value.as_bytes(), NOW).is_none());
        shapes.learn(value.as_bytes(), &ProvenanceNames::default());
        let record = shapes.decode(like.as_bytes(), NOW).expect("it has the same layout");
        assert_eq!(record, decoder().decode_strictly(like.as_bytes()).unwrap());
    }
}

proptest! {
    /// One decoder reads them all, so that what it learned from some is tried on the others.
    #[test]
    fn the_fast_path_decides_as_the_strict_one(values in proptest::collection::vec(some_value(), 1..40)) {
        let (mut fast, mut strict) = (decoder(), decoder());
        for value in values.iter().chain(&values) {
            let expected = strict.decode_strictly(value.as_bytes());
            prop_assert_eq!(fast.decode(value.as_bytes()), expected, "{}", value);
        }
    }

    #[test]
    fn a_changed_byte_is_seen_by_the_fast_path(at in 0_usize..300, byte: u8, enveloped: bool) {
        let mut value = bare("", "");
        if enveloped {
            value = format!(r#"{{"schema":{{"type":"struct"}},"payload":{value}}}"#);
        }
        let (mut fast, mut strict) = (decoder(), decoder());
        prop_assert!(fast.decode(value.as_bytes()).is_ok());
        let mut changed = value.into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        prop_assert_eq!(fast.decode(&changed), strict.decode_strictly(&changed));
    }
}
