//! Messages that hold several ticks.

use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

const MAP: &str = "symbol=s,price=p,volume=v,timestamp=t";

fn rules_of(each: &str, map: &str) -> Rules {
    let mapping = Mapping::new(&map.parse::<MapEntries>().unwrap().paths);
    Rules { mapping, each: (!each.is_empty()).then(|| each.parse().unwrap()), ..Rules::default() }
}

fn trade_of(symbol: &str, price: &str) -> String {
    format!(r#"{{"s":"{symbol}","p":{price},"v":100,"t":1749218401123}}"#)
}

/// The outcome for one element, or for a message that has none.
fn text(index: u16, read: &Result<DecodedTick<'_>, Reject>) -> String {
    match read {
        Ok(DecodedTick { tick, provenance }) => {
            let at = provenance
                .map(|at| format!(" at {}/{}", at.partition, at.offset))
                .unwrap_or_default();
            let millis = tick.timestamp().micros() / 1000;
            format!("{index} {} {} {millis}{at}", tick.symbol().as_str(), tick.prices().close)
        }
        Err(reject) => format!("{index} {}", reject.reason.as_str()),
    }
}

fn all_by(
    decoder: &mut Decoder,
    value: &str,
    context: &RecordContext<'_>,
    strictly: bool,
) -> Vec<String> {
    let mut all = Vec::new();
    let mut each = |element: Element<'_>| all.push(text(element.index, &element.read));
    let read = match strictly {
        true => decoder.decode_each_strictly(value.as_bytes(), context, &mut each),
        false => decoder.decode_each(value.as_bytes(), context, &mut each),
    };
    if let Err(reject) = read {
        assert!(all.is_empty(), "what is none as a whole shows no elements");
        all.push(format!("none: {reject}"));
    }
    all
}

/// By the strict path, and twice by the other, which has learned of it then.
fn all(rules: &Rules, value: &str) -> Vec<String> {
    let mut decoder = Decoder::new(rules.clone(), NOW);
    let expected = all_by(&mut decoder, value, &RecordContext::NOTHING, true);
    for _ in 0..2 {
        assert_eq!(
            all_by(&mut decoder, value, &RecordContext::NOTHING, false),
            expected,
            "{value}"
        );
    }
    expected
}

const TWO: [&str; 2] = ["0 AAPL 201.5 1749218401123", "1 MSFT 7 1749218401123"];

#[test]
fn each_element_of_an_array_is_a_tick_wherever_the_array_is() {
    let two = format!("[{} , {}]", trade_of("AAPL", "201.5"), trade_of("MSFT", "7"));
    for (each, value) in [
        ("", two.clone()),
        ("", format!("\u{feff}\n {two}\n")),
        ("", format!("{two} {two}")),
        ("data", two.clone()),
        ("data", format!(r#"{{"data":{two},"type":"trade"}}"#)),
        ("data", format!(r#"{{"data":5,"d\u0061ta":{two}}}"#)),
        ("a.b", format!(r#"{{"a":[{{"b":{two}}}]}}"#)),
        (
            "a.b",
            format!(
                r#"[{{"a":{{"b":{}}}}},{{"a":{{"b":[{}]}}}}]"#,
                trade_of("AAPL", "201.5"),
                trade_of("MSFT", "7")
            ),
        ),
        ("\"a.b\"", format!(r#"{{"a.b":[[{two}]]}}"#)),
        ("data", format!(r#"{{"schema":null,"payload":{{"data":{two}}}}}"#)),
    ] {
        assert_eq!(all(&rules_of(each, MAP), &value), TWO, "{each}: {value}");
    }
}

/// Connect's envelope is one whose payload is an object; producers have these names, too.
#[test]
fn an_envelope_without_an_object_in_it_is_the_message_itself() {
    let two = format!("[{},{}]", trade_of("AAPL", "201.5"), trade_of("MSFT", "7"));
    let one = trade_of("AAPL", "201.5");
    for (each, value, expected) in [
        ("payload", format!(r#"{{"schema":"trade.v1","payload":{two}}}"#), &TWO[..]),
        ("payload", format!(r#"{{"payload":{two},"schema":1}}"#), &TWO),
        ("payload.all", format!(r#"{{"schema":1,"payload":{{"all":{two}}}}}"#), &TWO),
        ("all", format!(r#"{{"schema":1,"payload":{{"all":{two}}}}}"#), &TWO),
        // The way leads into Connect's envelope as it does around it.
        ("payload", format!(r#"{{"schema":1,"payload":{one}}}"#), &TWO[..1]),
        ("payload", format!(r#"{{"schema":1,"payload":{{"payload":{two}}}}}"#), &TWO),
    ] {
        assert_eq!(all(&rules_of(each, MAP), &value), expected, "{each}: {value}");
    }
    for payload in ["null", "\"x\"", "[]", "7", &format!("[{}]", trade_of("X", "9"))] {
        let beside = one.replace('{', &format!(r#"{{"schema":"a","payload":{payload},"#));
        assert_eq!(all(&rules_of("", MAP), &beside), TWO[..1], "{beside}");
        let alone = format!(r#"{{"schema":"a","payload":{payload}}}"#);
        assert!(all(&rules_of("", MAP), &alone)[0].starts_with("none: not_object"), "{alone}");
    }
    let beside = one.replace('{', r#"{"schema":"a","payload":{"x":1},"#);
    assert!(all(&rules_of("", MAP), &beside)[0].starts_with("none: missing_field"), "{beside}");
    // A symbol around a payload of candles is theirs.
    let candles =
        r#"{"schema":1,"symbol":"AAPL","payload":{"all":[{"price":201.5,"ts":1749218401123}]}}"#;
    assert_eq!(all(&rules_of("payload.all", "price=price"), candles), TWO[..1]);
}

#[test]
fn where_the_way_leads_nowhere_the_message_is_the_tick() {
    let trade = trade_of("AAPL", "201.5");
    for value in
        [&trade, &trade.replace('{', r#"{"data":null,"#), &trade.replace('{', r#"{"data":"x","#)]
    {
        assert_eq!(all(&rules_of("data", MAP), value), TWO[..1], "{value}");
    }
    // An object in place of an array is the only element.
    assert_eq!(all(&rules_of("data", MAP), &format!(r#"{{"data":{trade}}}"#)), TWO[..1]);
}

#[test]
fn a_broken_element_is_none_and_the_others_are_ticks() {
    let value = format!(
        r#"[{},{{"s":"X"}},7,{},{}]"#,
        trade_of("AAPL", "201.5"),
        trade_of("B", "-1"),
        trade_of("C", "3")
    );
    let expected = [
        "0 AAPL 201.5 1749218401123",
        "1 missing_field",
        "2 not_object",
        "3 bad_price",
        "4 C 3 1749218401123",
    ];
    assert_eq!(all(&rules_of("", MAP), &value), expected);
}

#[test]
fn a_message_without_an_element_that_may_be_a_tick_is_none_as_a_whole() {
    for (value, reason) in [
        ("[]", "none: not_object: the array holds no object"),
        ("[[],[1,\"x\"]]", "none: not_object"),
        ("{\"data\":[]}", "none: not_object"),
        ("[{]", "none: not_json"),
        ("[", "none: not_json"),
        ("{\"data\":[1}", "none: not_json"),
        ("", "none: empty"),
    ] {
        let found = all(&rules_of("data", MAP), value);
        assert!(found.len() == 1 && found[0].starts_with(reason), "{value}: {found:?}");
    }
}

#[test]
fn symbol_and_time_may_stand_around_the_elements_and_the_nearest_counts() {
    let candles = r#"{"symbol":"AAPL","time":1749218401000,"days":[
        {"symbol":"MSFT","bars":[{"open":1,"close":2,"ts":1749218402000},{"open":1,"close":3,"symbol":null}]},
        {"time":1749218403000,"bars":[{"open":1,"close":4}]},
        {"symbol":7,"bars":[{"open":1,"close":5},{"open":1,"close":6,"symbol":"A"}]}]}"#;
    let expected = [
        "0 MSFT 2 1749218402000",
        "1 MSFT 3 1749218401000",
        "2 AAPL 4 1749218403000",
        "3 bad_symbol",
        "4 A 6 1749218401000",
    ];
    assert_eq!(all(&rules_of("days.bars", "volume=none"), candles), expected);
    let mapped = r#"{"meta":{"code":"X"},"rows":[{"p":1,"t":1749218401000},{"p":2,"t":1749218401000,"meta":{"code":"Y"}}]}"#;
    let rules = rules_of("rows", "symbol=meta.code,price=p,timestamp=t");
    assert_eq!(all(&rules, mapped), ["0 X 1 1749218401000", "1 Y 2 1749218401000"]);
}

/// It would be counted once for each element.
#[test]
fn a_price_or_a_volume_around_the_elements_is_none_of_theirs() {
    let value = r#"{"symbol":"A","ts":1749218401000,"price":5,"open":1,"close":2,"data":[{"volume":1},{"price":3}]}"#;
    let mut decoder = Decoder::new(rules_of("data", "volume=volume"), NOW);
    assert_eq!(
        all(&rules_of("data", "volume=volume"), value),
        ["0 missing_field", "1 A 3 1749218401000"]
    );
    let outside = value.replace(r#"{"volume":1}"#, r#"{"price":1}"#).replacen(
        "\"price\":5",
        "\"volume\":5",
        1,
    );
    let mut volumes = Vec::new();
    let mut each = |element: Element<'_>| volumes.push(element.read.unwrap().tick.volume());
    decoder.decode_each(outside.as_bytes(), &RecordContext::NOTHING, &mut each).unwrap();
    assert_eq!(volumes, [None, None]);
}

#[test]
fn the_place_in_an_archived_line_is_that_of_the_message() {
    let inner = trade_of("AAPL", "201.5").replace('{', r#"{"kafka_partition":9,"kafka_offset":9,"#);
    let place = r#""kafka_offset":77,"kafka_partition":3"#;
    let value = format!(r#"{{"data":[{inner},{}],{place}}}"#, trade_of("MSFT", "7"));
    let expected = TWO.map(|text| format!("{text} at 3/77"));
    assert_eq!(all(&rules_of("data", MAP), &value), expected);
    let enveloped = format!(
        r#"{{"schema":1,"payload":{{"data":[{inner},{}]}},{place}}}"#,
        trade_of("MSFT", "7")
    );
    assert_eq!(all(&rules_of("data", MAP), &enveloped), expected);
    // Without one, none is made up.
    assert_eq!(all(&rules_of("data", MAP), &format!(r#"{{"data":[{inner}]}}"#)), TWO[..1]);
}

#[test]
fn key_and_record_time_are_those_of_every_element() {
    let rules = Rules {
        symbol_from: SymbolFrom::Key,
        timestamp_from: TimestampFrom::Record,
        ..rules_of("data", MAP)
    };
    let value = r#"{"data":[{"p":1},{"p":2},{"p":0}],"kafka_timestamp":1749218401000}"#;
    let mut decoder = Decoder::new(rules, NOW);
    let context = RecordContext { key: Some(b"K"), ..RecordContext::NOTHING };
    for strictly in [true, false, false] {
        let found = all_by(&mut decoder, value, &context, strictly);
        assert_eq!(found, ["0 K 1 1749218401000", "1 K 2 1749218401000", "2 bad_price"]);
    }
    let context =
        RecordContext { time: Some(Timestamp::from_micros(1_749_218_402_000_000)), ..context };
    assert_eq!(all_by(&mut decoder, value, &context, false)[0], "0 K 1 1749218402000");
}

#[test]
fn a_message_has_so_many_elements_and_on_so_many_days() {
    let rules = rules_of("", MAP);
    let array = |count: usize| format!("[{}]", vec![r#"{"s":"A"}"#; count].join(","));
    assert_eq!(all(&rules, &array(MAX_ELEMENTS)).len(), MAX_ELEMENTS);
    let found = all(&rules, &array(MAX_ELEMENTS + 1));
    assert_eq!(found, ["none: too_large: the message holds more than 10000 elements"]);

    let day =
        |day: usize| format!(r#"{{"s":"A","p":1,"v":1,"t":{}}}"#, 1_700_000_000 + 86_400 * day);
    let days: Vec<String> = (0..MAX_DAYS + 3).chain([0]).map(day).collect();
    let found = all(&rules, &format!("[{}]", days.join(",")));
    let large: Vec<usize> =
        (0..found.len()).filter(|at| found[*at].ends_with("too_large")).collect();
    assert_eq!(large, [MAX_DAYS, MAX_DAYS + 1, MAX_DAYS + 2], "the last is on the first day again");
}

#[test]
fn nothing_takes_quadratic_time_to_be_taken_apart() {
    let deep = format!("{}{}{}", "[".repeat(127), trade_of("A", "1"), "]".repeat(127));
    assert_eq!(all(&rules_of("", MAP), &deep).len(), 1);
    assert!(all(&rules_of("", MAP), &format!("[{deep}]"))[0].starts_with(
        "none: not_json: nested \
            deeper"
    ));
}

#[test]
fn the_fast_path_takes_elements_like_those_it_has_seen() {
    let mut decoder = Decoder::new(rules_of("data", MAP), NOW);
    let value = format!(r#"{{"data":[{}]}}"#, trade_of("AAPL", "201.5"));
    all_by(&mut decoder, &value, &RecordContext::NOTHING, false);
    let given = decoder.given(&RecordContext::NOTHING);
    assert!(
        decoder.element_shapes[0].decode(trade_of("MSFT", "9.25").as_bytes(), &given).is_some()
    );
    assert!(
        decoder
            .decode_known(trade_of("MSFT", "9.25").as_bytes(), &RecordContext::NOTHING)
            .is_none(),
        "that is no message"
    );
}

#[test]
fn the_fast_path_prefers_a_symbol_around_an_element_to_the_key() {
    let rules = Rules { symbol_from: SymbolFrom::ValueOrKey, ..rules_of("data", MAP) };
    let mut decoder = Decoder::new(rules, NOW);
    let row = r#"{"p":201.5,"v":100,"t":1749218401123}"#;
    let context = RecordContext { key: Some(b"KEY"), ..RecordContext::NOTHING };
    for (around, expected) in [("", "KEY"), (r#""s":"AROUND","#, "AROUND"), ("", "KEY")] {
        let value = format!(r#"{{{around}"data":[{row},{row}]}}"#);
        let strict = all_by(&mut decoder, &value, &context, true);
        assert_eq!(all_by(&mut decoder, &value, &context, false), strict, "{value}");
        assert!(strict.iter().all(|tick| tick.contains(expected)), "{strict:?}");
    }
    let given = decoder.given(&context);
    assert!(decoder.element_shapes[0].decode(row.as_bytes(), &given).is_some());
}

/// It has all that a tick needs at its top, too.
#[test]
fn what_is_to_be_taken_apart_is_never_taken_whole() {
    let around = trade_of("X", "1");
    let around = around.strip_suffix('}').unwrap();
    let value = format!(r#"{around},"data":[{}]}}"#, trade_of("AAPL", "201.5"));
    let mut decoder = Decoder::new(rules_of("data", MAP), NOW);
    decoder.decode(value.as_bytes(), &RecordContext::NOTHING).unwrap();
    assert!(decoder.decode_known(value.as_bytes(), &RecordContext::NOTHING).is_none());
    assert_eq!(all_by(&mut decoder, &value, &RecordContext::NOTHING, false), TWO[..1]);
}

fn some_element() -> impl Strategy<Value = String> {
    let number = || prop_oneof![4 => "[1-9][0-9]{0,3}\\.[0-9]{1,3}", 1 => "\"[0-9.]{1,5}\"", 1 => Just("null".to_owned())];
    let symbol = prop_oneof![4 => "\"[A-Z]{1,4}\"", 1 => "\"[a-zü]{1,3}\"", 1 => Just("null".to_owned()), 1 => "[0-9]"];
    let time = prop_oneof![4 => "17[0-9]{11}", 1 => "\"2025-06-0[1-9]T10:00:0[0-9]Z\"", 1 => Just("null".to_owned())];
    (symbol, number(), number(), time, 0_u8..16).prop_map(|(symbol, price, volume, time, kind)| {
        let mut members = vec![
            format!("\"s\":{symbol}"),
            format!("\"p\":{price}"),
            format!("\"v\":{volume}"),
            format!("\"t\":{time}"),
        ];
        match kind {
            0 => drop(members.remove(0)),
            1 => drop(members.remove(3)),
            2 => drop(members.remove(1)),
            3 => members.push("\"kafka_partition\":3,\"kafka_offset\":4".to_owned()),
            4 => members.push(format!("\"kafka_timestamp\":{time}")),
            5 => members.push("\"data\":[{}]".to_owned()),
            6 => members.push("\"data\":null".to_owned()),
            7 => members.rotate_left(2),
            8 => return volume,
            9 => members.push("\"e\":\"trade\"".to_owned()),
            10 => members.push("\"e\":\"other\"".to_owned()),
            11 => members.push("\"e\":null".to_owned()),
            _ => {}
        }
        format!("{{{}}}", members.join(","))
    })
}

fn some_message() -> impl Strategy<Value = String> {
    let elements = proptest::collection::vec(some_element(), 0..5);
    (elements, some_element(), 0_u8..8).prop_map(|(elements, around, kind)| {
        let array = format!("[{}]", elements.join(","));
        let place = r#""kafka_partition":1,"kafka_offset":2,"kafka_timestamp":1749218401000"#;
        match (kind, around.strip_suffix('}')) {
            (0, _) => array,
            (1, Some(around)) => format!(r#"{around},"data":{array}}}"#),
            (2, _) => format!(r#"{{"schema":{{}},"payload":{{"data":{array}}},{place}}}"#),
            (3, _) => format!(r#"{{"data":{array},{place}}}"#),
            (4, Some(around)) => format!(r#"{{"data":[{around},"data":{array}}}]}}"#),
            (5, _) => format!(r#"[{{"data":{array}}},{around}]"#),
            (6, _) => around,
            _ => format!(r#"{{"data":{array}}}"#),
        }
    })
}

proptest! {
    /// One decoder reads them all, so that what it learned from some is tried on the others; as the
    /// speed layer does, which tries the fast path by itself beforehand.
    #[test]
    fn the_fast_path_decides_on_elements_as_the_strict_one(
        values in proptest::collection::vec(some_message(), 1..20),
        each: bool, record: bool, time: bool, upper: bool, kinds in 0_u8..3,
        symbol_from in proptest::sample::select(vec![SymbolFrom::Value, SymbolFrom::Key, SymbolFrom::ValueOrKey]),
    ) {
        let Conditions(mut conditions) = "e=trade|x".parse().unwrap();
        conditions.truncate(usize::from(kinds.min(1)));
        conditions.iter_mut().for_each(|condition| condition.is_optional = kinds == 2);
        let rules = Rules {
            symbol_from,
            timestamp_from: if record { TimestampFrom::Record } else { TimestampFrom::Value },
            uppercase_symbols: upper,
            conditions,
            ..rules_of(if each { "data" } else { "" }, MAP)
        };
        let (mut fast, mut strict) = (Decoder::new(rules.clone(), NOW), Decoder::new(rules, NOW));
        for (number, value) in values.iter().chain(&values).enumerate() {
            let context = RecordContext { key: Some(b"KEY"), time: (time && number % 3 > 0).then_some(NOW), topic: None };
            let expected = all_by(&mut strict, value, &context, true);
            if let Some(record) = fast.decode_known(value.as_bytes(), &context) {
                prop_assert_eq!(vec![text(0, &Ok(record))], expected.clone(), "{}", value);
            }
            prop_assert_eq!(all_by(&mut fast, value, &context, false), expected, "{}", value);
        }
    }

    #[test]
    fn no_message_makes_it_panic(value in r#"([{}\[\]":,0-9a \\]|"data"|"s"|"p"){0,60}"#) {
        all(&rules_of("data", MAP), &value);
    }
}
