//! Avro, held against values that another library has written (`avro.jsonl`, by Python's fastavro).

use super::super::header::HEADER;
use super::super::*;
use crate::Timestamp;
use crate::decode::{Decoder, Element, MapEntries, Mapping, Preset, RecordContext};
use crate::timestamp::{EpochUnit, TimeRules};
use proptest::prelude::*;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

fn avro(text: &str) -> SchemaText {
    SchemaText { kind: SchemaKind::Avro, text: text.to_owned(), references: Vec::new() }
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

/// The JSON that `schema` makes of a value that was written with it.
fn json_of(schema: &str, body: &[u8]) -> Result<String, String> {
    let mut text = Vec::new();
    match Schema::parse(&avro(schema), None)?.0 {
        Format::Avro(schema) => {
            schema.write(body, &mut text, false).map_err(|unread| unread.why)?
        }
        _ => return Err("is it Avro?".to_owned()),
    }
    String::from_utf8(text).map_err(|_| "it is no UTF-8".to_owned())
}

/// A number as Avro writes it.
fn long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A text or bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [long(bytes.len() as i64), bytes.to_vec()].concat()
}

#[test]
fn what_another_library_writes_is_read_as_it_means() {
    for line in include_str!("avro.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (schema, hex) = (case["schema"].to_string(), case["bytes"].as_str().unwrap());
        let bytes =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let bytes: Vec<u8> = bytes.collect();
        assert_eq!(
            json_of(&schema, &bytes).as_deref(),
            Ok(case["json"].as_str().unwrap()),
            "{line}"
        );
        // Not a byte of it may be missing, and none may be left over.
        let more = json_of(&schema, &[&bytes[..], b"more"].concat()).unwrap_err();
        assert!(more.starts_with("4 bytes are left over after the value"), "{line}: {more}");
        if let Some(cut) = bytes.len().checked_sub(1) {
            assert!(json_of(&schema, &bytes[..cut]).is_err(), "{line}");
        }
    }
}

#[test]
fn types_that_few_write_are_what_they_mean() {
    for (kind, bytes, expected) in [
        (r#""int""#, long(-7), "-7"),
        (r#""double""#, f64::NAN.to_le_bytes().to_vec(), r#""NaN""#),
        (r#""string""#, sized("A\"B\nä".as_bytes()), r#""A\"B\u000aä""#),
        (r#"{"type":"array","items":"int"}"#, vec![0], "[]"),
        // A block that says how long it is, and another one.
        (r#"{"type":"array","items":"int"}"#, vec![3, 4, 2, 4, 2, 6, 0], "[1,2,3]"),
        (
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
            long(1_749_218_401_123_456_789),
            r#""2025-06-06T14:00:01.123456Z""#,
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-nanos"}"#,
            long(1_749_218_401_123_456_789),
            r#""2025-06-06T14:00:01.123456""#,
        ),
        (
            r#"{"type":"long","logicalType":"local-timestamp-millis"}"#,
            long(1_749_218_401_123),
            r#""2025-06-06T14:00:01.123""#,
        ),
        (
            r#"{"type":"long","logicalType":"time-micros"}"#,
            long(36_001_123_456),
            r#""10:00:01.123456""#,
        ),
        (
            r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#,
            vec![0x12; 16],
            r#""12121212-1212-1212-1212-121212121212""#,
        ),
        // A value that does not fit its type says nothing.
        (r#"{"type":"long","logicalType":"no-such-thing"}"#, long(5), "5"),
        (r#"{"type":"int","logicalType":"timestamp-millis"}"#, long(5), "5"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":-2}"#,
            sized(b"A"),
            r#""A""#,
        ),
        (
            r#"{"type":{"type":"long","logicalType":"timestamp-millis"}}"#,
            long(0),
            r#"{"timestamp-millis":0}"#,
        ),
    ] {
        assert_eq!(json_of(kind, &bytes).as_deref(), Ok(expected), "{kind}");
    }
}

/// Avro has its readers ignore a logical type that cannot be; what Connect means is known.
#[test]
fn a_decimal_of_more_decimals_than_digits_is_bytes_unless_it_is_connects() {
    let of = |precision, scale, more: &str| {
        format!(
            r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}{more}}}"#
        )
    };
    let connects = r#","connect.version":1,"connect.parameters":{"scale":"31"},"connect.name":"org.apache.kafka.connect.data.Decimal""#;
    let wide = sized(&(2015 * 10_i128.pow(30)).to_be_bytes());
    for (schema, bytes, expected) in [
        (of(4, 8, ""), sized(&[5]), r#""\u0005""#),
        (of(4, 4, ""), sized(&[5]), "0.0005"),
        (of(30, 31, connects), wide, "201.500000000"),
        (
            r#"{"type":"fixed","name":"F","size":1,"logicalType":"decimal","precision":2,"scale":3}"#
                .to_owned(),
            vec![5],
            r#""\u0005""#,
        ),
    ] {
        assert_eq!(json_of(&schema, &bytes).as_deref(), Ok(expected), "{schema}");
    }
}

#[test]
fn names_are_found_in_their_namespace_and_a_record_may_hold_itself() {
    let schema = r#"{"type":"record","name":"a.b.Tick","fields":[
        {"name":"side","type":{"type":"enum","name":"Side","symbols":["BUY"]}},
        {"name":"other","type":"a.b.Side"},
        {"name":"next","type":["null","Tick"]}]}"#;
    let expected =
        r#"{"side":"BUY","other":"BUY","next":{"side":"BUY","other":"BUY","next":null}}"#;
    assert_eq!(json_of(schema, &[0, 0, 2, 0, 0, 0]).as_deref(), Ok(expected));
}

#[test]
fn a_schema_may_refer_to_others() {
    let reference = Reference {
        name: "com.Money".to_owned(),
        text: r#"{"type":"record","name":"Money","namespace":"com","fields":[{"name":"units","type":"int"}]}"#
            .to_owned(),
    };
    let text =
        r#"{"type":"record","name":"T","fields":[{"name":"price","type":"com.Money"}]}"#.to_owned();
    let schema = Schema::parse(
        &SchemaText { kind: SchemaKind::Avro, text, references: vec![reference] },
        None,
    )
    .unwrap();
    let Format::Avro(schema) = schema.0 else { panic!("it is Avro") };
    let mut json = Vec::new();
    schema.write(&[14], &mut json, false).unwrap();
    assert_eq!(json, br#"{"price":{"units":7}}"#);
}

/// A schema of arrays inside one another.
fn nested_arrays(count: usize) -> String {
    let begin = r#"{"type":"array","items":"#.repeat(count);
    format!(r#"{begin}"long"{}"#, "}".repeat(count))
}

/// As many objects inside one another as JSON may have, and no reject that says what is not so.
#[test]
fn a_value_may_be_as_deep_as_one_of_json() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"symbol","type":"string"},
        {"name":"price","type":"double"},{"name":"ts","type":"long"},{"name":"next","type":["null","L"]}]}"#;
    let link = [sized(b"A"), 1.5_f64.to_le_bytes().to_vec(), long(1_749_218_401)].concat();
    let body = |links: usize| {
        let mut body = [link.clone(), long(1)].concat().repeat(links - 1);
        body.extend([link.clone(), long(0)].concat());
        framed(1, &body)
    };
    let mut decoder = decoder(Rules::default(), &[(1, avro(list))]);
    let tick = "0 A 2025-06-06T14:00:01Z 1.5 1.5 ";
    for links in [1, 101, 120, 128] {
        assert_eq!(ticks(&mut decoder, &body(links)), [tick], "{links}");
    }
    let read = ticks(&mut decoder, &body(129));
    assert!(
        read[0].starts_with("not_json: the value is no message, though one of its schema")
            && read[0].contains("nested deeper than 128"),
        "{read:?}"
    );
    assert!(json_of(&nested_arrays(100), &[[2; 100].as_slice(), &[0; 101]].concat()).is_ok());
}

/// The archive has a plain number, which may be .NET's ticks.
#[test]
fn nanoseconds_of_1990_are_decided_as_in_the_archive() {
    let schema = QUOTE.replace("timestamp-micros", "timestamp-nanos");
    let nanos = 638_848_152_011_234_560;
    for (unit, expected) in [
        (
            EpochUnit::Auto,
            "bad_timestamp: timestamp {value} may be .NET's ticks, or nanoseconds of 1989 to 1992: \
             say which, as --timestamp-unit dotnet or --timestamp-unit ns",
        ),
        (EpochUnit::Ns, "0 AAPL 1990-03-31T01:49:12.011234Z 1 1 "),
    ] {
        let rules = Rules { times: TimeRules { unit, ..TimeRules::default() }, ..Rules::default() };
        let mut decoder = decoder(rules, &[(7, avro(&schema))]);
        let by_schema = ticks(&mut decoder, &quote_at(1_000_000, None, nanos));
        let archived = format!(r#"{{"symbol":"AAPL","price":1,"ts":{nanos}}}"#);
        let archived = ticks(&mut decoder, archived.as_bytes());
        let shown = format!(r#"{{"timestamp-nanos":{nanos}}}"#);
        assert_eq!(by_schema, [expected.replace("{value}", &shown)]);
        assert_eq!(archived, [expected.replace("{value}", &nanos.to_string())]);
    }
}

#[test]
fn what_is_no_schema_is_said() {
    for (text, said) in [
        ("{", "it is no JSON"),
        ("5", "5 is no type"),
        (r#""money""#, "there is no type \"money\""),
        (r#"{"name":"a"}"#, "without \"type\""),
        (r#"{"type":"record","name":"R"}"#, "without \"fields\""),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"f","type":"x"}]}"#,
            "field \"f\": there is no type \"x\"",
        ),
        (r#"{"type":"array"}"#, "without \"items\""),
        (r#"{"type":"fixed","name":"F","size":-1}"#, "size"),
        (r#"{"type":"enum","name":"E","symbols":[1]}"#, "symbol"),
        (r#"["null",["int","string"]]"#, "a union in a union"),
        (&nested_arrays(200), "its text is nested deeper than 128"),
    ] {
        let error = Schema::parse(&avro(text), None).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn bytes_that_do_not_follow_the_schema_are_said_and_never_take_for_ever() {
    let array = r#"{"type":"array","items":"null"}"#;
    for (schema, body, said) in [
        (r#""double""#, &[0; 7][..], "it ends after 7 bytes"),
        (r#""string""#, &[0x20, b'a'], "it ends after 2 bytes"),
        (r#""string""#, &[1], "a length of -1"),
        (r#""long""#, &[0xff; 12], "more than ten bytes"),
        (r#"["null","int"]"#, &[4], "no branch of a union 2"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, &[2], "no symbol of an enum 1"),
        (array, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "items"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}"#,
            &[],
            "nested deeper",
        ),
    ] {
        let error = json_of(schema, body).unwrap_err();
        assert!(error.contains(said) && error.contains("at byte"), "{schema}: {error}");
    }
    // Records of no length inside one another have a long text.
    let long = (0..20).fold(r#""null""#.to_owned(), |inner, number| {
        let other = if number == 0 { "null".to_owned() } else { format!("R{}", number - 1) };
        let fields = format!(r#"[{{"name":"a","type":{inner}}},{{"name":"b","type":"{other}"}}]"#);
        format!(r#"{{"type":"record","name":"R{number}","fields":{fields}}}"#)
    });
    assert!(json_of(&long, &[]).unwrap_err().contains("as text it has"));
    // A record of no length that holds itself twice would take 2^100 steps.
    let twice = r#"{"type":"record","name":"R","fields":[{"name":"price","type":"R"},{"name":"b","type":"R"}]}"#;
    assert!(json_of(twice, &[]).unwrap_err().contains("nested deeper"));
}

#[test]
fn what_is_passed_over_must_follow_the_schema_as_what_is_read() {
    let items = |of: &str| format!(r#"{{"type":"array","items":{of}}}"#);
    for (kind, bytes, said) in [
        (r#""boolean""#.to_owned(), vec![2], "a boolean of 2"),
        (r#""boolean""#.to_owned(), vec![0xff], "a boolean of 255"),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#.to_owned(),
            long(1),
            "no symbol of an enum 1",
        ),
        (r#"["null","boolean"]"#.to_owned(), vec![4], "no branch of a union 2"),
        (r#""int""#.to_owned(), long(1 << 31), "an int of 2147483648"),
        (
            r#"{"type":"int","logicalType":"date"}"#.to_owned(),
            long(-(1 << 31) - 1),
            "an int of -2147483649",
        ),
        (
            r#"{"type":"int","logicalType":"time-millis"}"#.to_owned(),
            long(i64::MAX),
            "an int of 9223372036854775807",
        ),
        (r#""long""#.to_owned(), [&[0xff; 9][..], &[2]].concat(), "a number beyond 64 bits"),
        (r#""string""#.to_owned(), sized(b"a\xff"), "a string that is no UTF-8"),
        (
            r#"{"type":"map","values":"null"}"#.to_owned(),
            [long(1), sized(b"\xff"), long(0)].concat(),
            "no UTF-8",
        ),
        (items(r#""boolean""#), [long(1), vec![3], long(0)].concat(), "a boolean of 3"),
        // A block that says how long it is.
        (items(r#""boolean""#), [long(-1), long(1), vec![3], long(0)].concat(), "a boolean of 3"),
        (
            items(r#""boolean""#),
            [long(-1), long(2), vec![1], long(0)].concat(),
            "a block of 2 bytes has 1",
        ),
        (
            items(r#""long""#),
            [long(-1), long(1), long(1 << 20), long(0)].concat(),
            "a block of 1 bytes has 4",
        ),
    ] {
        let schema = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{kind}}},{{"name":"symbol","type":"string"}}]}}"#
        );
        let body = [bytes, sized(b"AAPL")].concat();
        for rules in [None, Some(&Rules::default())] {
            let Format::Avro(schema) = Schema::parse(&avro(&schema), rules).unwrap().0 else {
                panic!("it is Avro")
            };
            let error = schema.write(&body, &mut Vec::new(), false).unwrap_err().why;
            assert!(error.contains(said), "{kind}, read whole: {}: {error}", rules.is_none());
        }
    }
}

#[test]
fn a_time_out_of_range_is_shown_by_its_type_and_what_it_counts() {
    let reject_of = |kind: &str, number: i64| {
        let schema = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"symbol","type":"string"}},{{"name":"price","type":"double"}},{{"name":"ts","type":{kind}}}]}}"#
        );
        let body = [sized(b"A"), 1.5_f64.to_le_bytes().to_vec(), long(number)].concat();
        ticks(&mut decoder(Rules::default(), &[(1, avro(&schema))]), &framed(1, &body)).remove(0)
    };
    let of = |name: &str, number: i64| {
        reject_of(&format!(r#"{{"type":"long","logicalType":"{name}"}}"#), number)
    };
    let of_int = |name: &str, number: i64| {
        reject_of(&format!(r#"{{"type":"int","logicalType":"{name}"}}"#), number)
    };
    for (reject, expected) in [
        (
            of("timestamp-micros", 1_749_218_401_123),
            r#"timestamp_out_of_range: timestamp {"timestamp-micros":1749218401123} is 1970-01-21T05:53:38.401123Z, before 1990-01-01T00:00:00Z (--oldest)"#,
        ),
        (
            of("timestamp-millis", 1_749_218_401_123_456),
            r#"timestamp_out_of_range: timestamp {"timestamp-millis":1749218401123456} is of no year from 0 to 9999"#,
        ),
        (
            of("timestamp-nanos", i64::MIN),
            r#"timestamp_out_of_range: timestamp {"timestamp-nanos":-9223372036854775808} is 1677-09-21T00:12:43.145224Z, before 1990-01-01T00:00:00Z (--oldest)"#,
        ),
        (
            of("local-timestamp-millis", 1_749_218_401),
            r#"bad_timestamp: timestamp {"local-timestamp-millis":1749218401} has no UTC offset: say whose time it is, as --timestamp-zone America/New_York"#,
        ),
        (
            of_int("date", 2_932_897),
            r#"bad_timestamp: timestamp {"date":2932897} is neither text of a time nor a number since 1970"#,
        ),
        (
            of_int("time-millis", 36_001_123),
            r#"bad_timestamp: timestamp "10:00:01.123" is a time of day without its date: name both, as --map timestamp=DATE,time_of_day=TIME"#,
        ),
        (
            of_int("time-millis", 90_000_000),
            r#"bad_timestamp: timestamp {"time-millis":90000000} is neither text of a time nor a number since 1970"#,
        ),
    ] {
        assert_eq!(reject, expected);
    }
    // A program that takes such times is given them.
    let rules = Rules {
        times: TimeRules { oldest: Timestamp::from_micros(0), ..TimeRules::default() },
        ..Rules::default()
    };
    let schema = avro(&QUOTE.replace("timestamp-micros", "timestamp-millis"));
    let old = ticks(&mut decoder(rules, &[(7, schema)]), &quote_at(1_000_000, None, 86_400_123));
    assert_eq!(old, ["0 AAPL 1970-01-02T00:00:00.123Z 1 1 "]);
}

fn decoder(rules: Rules, known: &[(u32, SchemaText)]) -> Decoder {
    let mut schemas = Schemas::default();
    for (id, text) in known {
        schemas.insert(*id, Schema::parse(text, Some(&rules)));
    }
    let mut decoder = Decoder::new(rules, NOW);
    decoder.set_schemas(schemas);
    decoder
}

/// The ticks of a message, or why there are none.
fn ticks(decoder: &mut Decoder, value: &[u8]) -> Vec<String> {
    let mut scratch = Scratch::default();
    let json = match decoder.json(value, &mut scratch) {
        Ok(json) => json,
        Err(reject) => return vec![reject.to_string()],
    };
    let mut all = Vec::new();
    let read = decoder.decode_each(
        json,
        &RecordContext::NOTHING,
        &mut |Element { index, read, .. }| {
            all.push(match read {
                Ok(record) => {
                    let (tick, prices) = (record.tick, record.tick.prices());
                    let volume = tick.volume().map(|volume| volume.to_string()).unwrap_or_default();
                    format!(
                        "{index} {} {} {} {} {volume}",
                        tick.symbol().as_str(),
                        tick.timestamp(),
                        prices.open,
                        prices.close
                    )
                }
                Err(reject) => reject.to_string(),
            });
        },
    );
    if let Err(reject) = read {
        all.push(reject.to_string());
    }
    all
}

const QUOTE: &str = r#"{"type":"record","name":"Quote","fields":[
    {"name":"venue","type":"string"},
    {"name":"symbol","type":"string"},
    {"name":"flags","type":{"type":"array","items":"string"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":6}},
    {"name":"qty","type":["null","long"],"default":null},
    {"name":"meta","type":{"type":"map","values":"string"}},
    {"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;

fn quote(price: i128, qty: Option<i64>) -> Vec<u8> {
    quote_at(price, qty, 1_749_218_401_123_456)
}

fn quote_at(price: i128, qty: Option<i64>, ts: i64) -> Vec<u8> {
    let qty = qty.map_or_else(|| long(0), |qty| [long(1), long(qty)].concat());
    let flags = [long(1), sized(b"@"), long(0)].concat();
    let meta = [long(1), sized(b"a"), sized(b"b"), long(0)].concat();
    let parts =
        [sized(b"XNAS"), sized(b"AAPL"), flags, sized(&price.to_be_bytes()), qty, meta, long(ts)];
    framed(7, &parts.concat())
}

#[test]
fn a_message_is_a_tick_by_its_schema_and_by_the_usual_names() {
    let mut decoder = decoder(Rules::default(), &[(7, avro(QUOTE))]);
    assert_eq!(decoder.lacks_schema(&quote(1, None)), None);
    // Twice, so that the second is read by what was learned of the first.
    for _ in 0..2 {
        assert_eq!(
            ticks(&mut decoder, &quote(201_500_001, Some(100))),
            ["0 AAPL 2025-06-06T14:00:01.123456Z 201.500001 201.500001 100"]
        );
        assert_eq!(
            ticks(&mut decoder, &quote(201_500_000, None)),
            ["0 AAPL 2025-06-06T14:00:01.123456Z 201.5 201.5 "]
        );
    }
    // JSON in the same topic is read as ever.
    let json = br#"{"symbol":"A","price":1,"ts":1749218401}"#;
    assert_eq!(ticks(&mut decoder, json), ["0 A 2025-06-06T14:00:01Z 1 1 "]);
}

#[test]
fn what_no_rule_looks_for_is_passed_over() {
    let text_of = |rules: Option<&Rules>| {
        let Format::Avro(schema) = Schema::parse(&avro(QUOTE), rules).unwrap().0 else {
            panic!("it is Avro")
        };
        let mut json = Vec::new();
        schema.write(&quote(1_000_000, Some(5))[HEADER..], &mut json, false).unwrap();
        String::from_utf8(json).unwrap()
    };
    let all = r#"{"venue":"XNAS","symbol":"AAPL","flags":["@"],"price":1.000000,"qty":5,"meta":{"a":"b"},"ts":"2025-06-06T14:00:01.123456Z"}"#;
    assert_eq!(text_of(None), all);
    let some = r#"{"symbol":"AAPL","price":1.000000,"qty":5,"meta":{"a":"b"},"ts":"2025-06-06T14:00:01.123456Z"}"#;
    assert_eq!(text_of(Some(&Rules::default())), some);
    let MapEntries { paths: entries, .. } = "symbol=venue,volume=meta.a".parse().unwrap();
    let mapped = Rules { mapping: Mapping::new(&entries), ..Rules::default() };
    assert!(text_of(Some(&mapped)).contains(r#""venue":"XNAS""#));
}

#[test]
fn several_ticks_and_nested_ones_are_read_as_of_json() {
    let schema = r#"{"type":"record","name":"M","fields":[
        {"name":"head","type":{"type":"record","name":"H","fields":[{"name":"sym","type":"string"}]}},
        {"name":"bars","type":{"type":"array","items":{"type":"record","name":"B","fields":[
            {"name":"o","type":"float"},{"name":"c","type":"double"},{"name":"n","type":"int"},
            {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}}}]}"#;
    let bar = |open: f32, close: f64| {
        [
            open.to_le_bytes().to_vec(),
            close.to_le_bytes().to_vec(),
            long(0),
            long(1_749_218_401_123),
        ]
        .concat()
    };
    let body = [sized(b"A"), long(2), bar(150.72, 1.5), bar(2.5, f64::NAN), long(0)].concat();
    let MapEntries { paths: entries, .. } = "open=o,close=c,timestamp=at,volume=n".parse().unwrap();
    let rules = Rules {
        mapping: Mapping::new(&entries),
        each: Some("bars".parse().unwrap()),
        ..Rules::default()
    };
    let missing = ticks(&mut decoder(rules.clone(), &[(1, avro(schema))]), &framed(1, &body));
    assert!(missing[0].starts_with("missing_field: symbol"), "{missing:?}");
    let MapEntries { paths: entries, .. } =
        "symbol=head.sym,open=o,close=c,timestamp=at,volume=n".parse().unwrap();
    let rules = Rules { mapping: Mapping::new(&entries), ..rules };
    let read = ticks(&mut decoder(rules, &[(1, avro(schema))]), &framed(1, &body));
    assert_eq!(read[0], "0 A 2025-06-06T14:00:01.123Z 150.72 1.5 0");
    assert_eq!(read[1], r#"bad_price: close "NaN" is not a number"#);
}

#[test]
fn json_schema_is_json_behind_a_number() {
    let json = SchemaText {
        kind: SchemaKind::Json,
        text: r#"{"type":"object"}"#.to_owned(),
        references: Vec::new(),
    };
    let mut decoder = decoder(Rules::default(), &[(9, json)]);
    let read = ticks(&mut decoder, &framed(9, br#"{"symbol":"A","price":"1.5","ts":1749218401}"#));
    assert_eq!(read, ["0 A 2025-06-06T14:00:01Z 1.5 1.5 "]);
    assert!(ticks(&mut decoder, &framed(9, b"x"))[0].starts_with("not_json"));
}

#[test]
fn a_value_whose_schema_is_none_is_rejected_with_the_reason() {
    let mut schemas = Schemas::default();
    schemas.insert(5, Err("no such schema".to_owned()));
    let mut knowing = Decoder::new(Rules::default(), NOW);
    let value = framed(5, b"abc");
    // Without a registry the flag is named.
    assert_eq!(knowing.lacks_schema(&value), None);
    let read = ticks(&mut knowing, &value);
    assert!(
        read[0].starts_with("unknown_schema: ") && read[0].contains("--schema-registry"),
        "{read:?}"
    );
    knowing.set_schemas(schemas);
    assert_eq!(
        ticks(&mut knowing, &value),
        ["unknown_schema: schema 5 of the registry: no such schema"]
    );
    assert_eq!(knowing.lacks_schema(&framed(6, b"")), Some(6));
    // No registry gives such a number, so none is asked.
    let beyond = framed(u32::MAX, b"");
    assert_eq!(knowing.lacks_schema(&beyond), None);
    assert!(ticks(&mut knowing, &beyond)[0].contains("none that a registry may have"));
    // Four bytes are no header.
    assert_eq!(knowing.lacks_schema(&[0, 0, 0, 1]), None);
    assert!(ticks(&mut knowing, &[0, 0, 0, 1])[0].starts_with("not_json"));
}

#[test]
fn a_value_that_does_not_follow_its_schema_is_rejected_with_the_place() {
    let mut decoder = decoder(Rules::default(), &[(7, avro(QUOTE))]);
    let read = ticks(&mut decoder, &quote(1, None)[..12]);
    assert!(
        read[0].starts_with("not_of_schema: ")
            && read[0].contains("at byte")
            && read[0].contains('7'),
        "{read:?}"
    );
}

#[test]
fn presets_and_record_times_mean_the_same_as_for_json() {
    let schema = r#"{"type":"record","name":"T","fields":[{"name":"s","type":"string"},{"name":"p","type":"double"},
        {"name":"q","type":"double"},{"name":"T","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
    let numbers = [45_123.5_f64.to_le_bytes(), 0.01234_f64.to_le_bytes()].concat();
    let body = [sized(b"BTCUSDT"), numbers, long(1_749_218_401_123)].concat();
    let binance = Preset::Binance;
    let (mapping, conditions) = (Mapping::new(&binance.entries().paths), binance.conditions());
    let rules = Rules { mapping, conditions, ..Rules::default() };
    let mut decoder = decoder(rules, &[(1, avro(schema))]);
    let read = ticks(&mut decoder, &framed(1, &body));
    assert_eq!(read, ["0 BTCUSDT 2025-06-06T14:00:01.123Z 45123.5 45123.5 0.01234"]);
}

/// Nothing looks for `units` and `unit`.
#[test]
fn a_reject_shows_what_was_there_be_it_passed_over() {
    let schema = r#"{"type":"record","name":"T","fields":[{"name":"symbol","type":"string"},
        {"name":"price","type":{"type":"record","name":"P","fields":[{"name":"units","type":"int"},{"name":"unit","type":"string"}]}},
        {"name":"ts","type":"long"}]}"#;
    let body = [sized(b"A"), long(7), sized(b"USD"), long(1_749_218_401)].concat();
    let (mut decoder, value) = (decoder(Rules::default(), &[(1, avro(schema))]), framed(1, &body));
    let mut scratch = Scratch::default();
    let json = decoder.json(&value, &mut scratch).unwrap();
    assert_eq!(json, br#"{"symbol":"A","price":{},"ts":1749218401}"#);
    let read = decoder.decode_each_by_schema(&value, json, &RecordContext::NOTHING, &mut |_| ());
    let expected = r#"bad_price: price {"units":7,"unit":"USD"} is not a number"#;
    assert_eq!(read.unwrap_err().to_string(), expected);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>, line in 0_usize..90) {
        let line = include_str!("avro.jsonl").lines().nth(line).unwrap();
        let case: Value = serde_json::from_str(line).unwrap();
        for schema in [QUOTE, &case["schema"].to_string()] {
            if let Ok(json) = json_of(schema, &body) {
                prop_assert!(serde_json::from_str::<Value>(&json).is_ok(), "{}", json);
            }
        }
    }

    #[test]
    fn what_is_passed_over_does_not_change_the_tick(price in 1_i128..1_000_000_000_000, qty: Option<i32>, cut in 5_usize..60) {
        let mut pruned = decoder(Rules::default(), &[(7, avro(QUOTE))]);
        let mut whole = Decoder::new(Rules::default(), NOW);
        let mut schemas = Schemas::default();
        schemas.insert(7, Schema::parse(&avro(QUOTE), None));
        whole.set_schemas(schemas);
        let value = quote(price, qty.map(i64::from));
        for value in [&value[..], &value[..cut.min(value.len())]] {
            prop_assert_eq!(ticks(&mut pruned, value), ticks(&mut whole, value));
        }
    }
}
