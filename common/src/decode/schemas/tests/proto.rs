//! Protobuf, held against the crate that reads its schemas.

use super::super::*;
use crate::decode::{Decoder, Element, RecordContext};
use crate::{Reason, Timestamp};
use proptest::prelude::*;
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MapKey, Value};

const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

fn proto(text: &str) -> SchemaText {
    SchemaText { kind: SchemaKind::Protobuf, text: text.to_owned(), references: Vec::new() }
}

/// The JSON that the schema makes of bytes, with the path of the message's type before them.
fn json_of(text: &SchemaText, rules: Option<&Rules>, body: &[u8]) -> Result<String, String> {
    let mut scratch = Scratch::default();
    match Schema::parse(text, rules)?.0 {
        Format::Protobuf(schema) => {
            schema.write(body, &mut scratch.text, &mut scratch.slots, false)?
        }
        _ => return Err("is it Protobuf?".to_owned()),
    }
    Ok(String::from_utf8(scratch.text).unwrap())
}

/// An empty message of the schema's, for the crate to fill.
fn message(text: &str, name: &str) -> DynamicMessage {
    let pool: DescriptorPool = proto::compiled(&proto(text)).unwrap();
    DynamicMessage::new(pool.get_message_by_name(name).unwrap())
}

/// Behind the place of the file's first message.
fn first(message: &DynamicMessage) -> Vec<u8> {
    [&[0], &message.encode_to_vec()[..]].concat()
}

const ALL: &str = r#"syntax = "proto3"; package t;
    import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "confluent/type/decimal.proto";
    enum Side { UNKNOWN = 0; BUY = 1; }
    message All {
        double d = 1; float f = 2; int32 i = 3; int64 l = 4; uint32 u = 5; uint64 ul = 6; sint32 s = 7; sint64 sl = 8;
        fixed32 f32 = 9; fixed64 f64 = 10; sfixed32 sf32 = 11; sfixed64 sf64 = 12; bool b = 13; string t = 14; bytes y = 15;
        Side side = 16; Inner inner = 17; repeated int32 many = 18; repeated Inner inners = 19; map<string, double> by_name = 20;
        google.protobuf.Timestamp at = 21; google.protobuf.DoubleValue wrapped = 22; optional int64 may = 23;
        confluent.type.Decimal price = 24; oneof one { int32 left = 25; string right = 26; } map<int32, Inner> by_number = 27;
    }
    message Inner { string name = 1; int32 n = 2; }"#;

#[test]
fn every_type_is_what_it_means() {
    let mut all = message(ALL, "t.All");
    let empty = json_of(&proto(ALL), None, &first(&all)).unwrap();
    // Without presence absent is zero; what may be absent is not there.
    let zeros = r#"{"d":0.0,"f":0.0,"i":0,"l":0,"u":0,"ul":0,"s":0,"sl":0,"f32":0,"f64":0,"sf32":0,"sf64":0,"b":false,"t":"","y":"","side":"UNKNOWN","many":[],"inners":[],"by_name":{},"by_number":{}}"#;
    assert_eq!(empty, zeros);
    let inner = |name: &str, n| {
        let mut inner = message(ALL, "t.Inner");
        inner.set_field_by_name("name", Value::String(name.to_owned()));
        inner.set_field_by_name("n", Value::I32(n));
        Value::Message(inner)
    };
    let mut at = message(ALL, "google.protobuf.Timestamp");
    at.set_field_by_name("seconds", Value::I64(1_749_218_401));
    at.set_field_by_name("nanos", Value::I32(123_456_789));
    let mut wrapped = message(ALL, "google.protobuf.DoubleValue");
    wrapped.set_field_by_name("value", Value::F64(0.0));
    let mut price = message(ALL, "confluent.type.Decimal");
    price.set_field_by_name("value", Value::Bytes(2_015_001_i64.to_be_bytes().to_vec().into()));
    price.set_field_by_name("scale", Value::I32(4));
    for (name, value) in [
        ("d", Value::F64(201.5)),
        ("f", Value::F32(150.72)),
        ("i", Value::I32(-7)),
        ("l", Value::I64(i64::MIN)),
        ("u", Value::U32(u32::MAX)),
        ("ul", Value::U64(u64::MAX)),
        ("s", Value::I32(i32::MIN)),
        ("sl", Value::I64(i64::MAX)),
        ("f32", Value::U32(u32::MAX)),
        ("f64", Value::U64(u64::MAX)),
        ("sf32", Value::I32(-1)),
        ("sf64", Value::I64(-1)),
        ("b", Value::Bool(true)),
        ("t", Value::String("A\"ä".to_owned())),
        ("y", Value::Bytes(b"\x01z".to_vec().into())),
        ("side", Value::EnumNumber(1)),
        ("inner", inner("x", 0)),
        ("many", Value::List(vec![Value::I32(1), Value::I32(-1)])),
        ("inners", Value::List(vec![inner("a", 1), inner("b", 2)])),
        ("by_name", Value::Map([(MapKey::String("k".to_owned()), Value::F64(0.1))].into())),
        ("at", Value::Message(at)),
        ("wrapped", Value::Message(wrapped)),
        ("may", Value::I64(0)),
        ("price", Value::Message(price)),
        ("right", Value::String("r".to_owned())),
        ("by_number", Value::Map([(MapKey::I32(-3), inner("m", 5))].into())),
    ] {
        all.set_field_by_name(name, value);
    }
    let full = r#"{"d":201.5,"f":150.72,"i":-7,"l":-9223372036854775808,"u":4294967295,"ul":18446744073709551615,"s":-2147483648,"sl":9223372036854775807,"f32":4294967295,"f64":18446744073709551615,"sf32":-1,"sf64":-1,"b":true,"t":"A\"ä","y":"\u0001z","side":"BUY","inner":{"name":"x","n":0},"many":[1,-1],"inners":[{"name":"a","n":1},{"name":"b","n":2}],"by_name":{"k":0.1},"at":"2025-06-06T14:00:01.123456Z","wrapped":0.0,"may":0,"price":201.5001,"right":"r","by_number":{"-3":{"name":"m","n":5}}}"#;
    assert_eq!(json_of(&proto(ALL), None, &first(&all)).unwrap(), full);
}

#[test]
fn a_message_in_parts_is_one_and_of_a_number_the_last_counts() {
    let text = r#"syntax = "proto3"; message A { B b = 1; int32 n = 2; } message B { string s = 1; int32 n = 2; }"#;
    // b { s: "x" }, n: 1, b { n: 5 }, n: 2; and a field that is not in the schema, as of a
    // producer's newer message.
    let body = [0, 10, 3, 10, 1, b'x', 16, 1, 10, 2, 16, 5, 16, 2, 0x7a, 1, b'?'];
    assert_eq!(json_of(&proto(text), None, &body).unwrap(), r#"{"b":{"s":"x","n":5},"n":2}"#);
}

/// Producers' libraries write one; where messages were joined there may be more.
#[test]
fn of_a_oneof_the_last_that_was_written_counts() {
    let text = r#"syntax = "proto3";
        message A { oneof x { double last = 1; double mid = 2; B b = 3; } int32 n = 4; optional int32 m = 5; }
        message B { int32 n = 1; }"#;
    let (last, mid) = ([&[9], &1.5_f64.to_le_bytes()[..]].concat(), [17, 0, 0, 0, 0, 0, 0, 4, 64]);
    let (b, n) = ([26, 2, 8, 7], [32, 1, 40, 2]);
    let (last, mid, b, n) = (&last[..], &mid[..], &b[..], &n[..]);
    for (parts, expected) in [
        ([last, n, mid], r#"{"mid":2.5,"n":1,"m":2}"#),
        ([mid, n, last], r#"{"last":1.5,"n":1,"m":2}"#),
        ([last, n, b], r#"{"b":{"n":7},"n":1,"m":2}"#),
        ([b, mid, n], r#"{"mid":2.5,"n":1,"m":2}"#),
    ] {
        let body = parts.concat();
        let found = json_of(&proto(text), None, &[&[0], &body[..]].concat()).unwrap();
        assert_eq!(found, expected);
        let pool = proto::compiled(&proto(text)).unwrap();
        let theirs = pool.get_message_by_name("A").unwrap();
        let theirs = DynamicMessage::decode(theirs, &body[..]).unwrap();
        for name in ["last", "mid", "b"] {
            let is_theirs = theirs.has_field_by_name(name);
            assert_eq!(found.contains(&format!("\"{name}\"")), is_theirs, "{found}");
        }
    }
}

/// The parts in front of another field of the `oneof` are taken back with it.
#[test]
fn of_a_oneof_a_message_is_made_of_the_parts_that_no_other_field_has_replaced() {
    let text = r#"syntax = "proto3"; message A { oneof x { double last = 1; B b = 2; } }
        message B { int32 n = 1; string s = 2; repeated int32 all = 3; }"#;
    let last = [&[9], &1.5_f64.to_le_bytes()[..]].concat();
    let part = |bytes: &[u8]| [&[18, bytes.len() as u8][..], bytes].concat();
    let (n, s, all) = (part(&[8, 7, 24, 1]), part(&[18, 1, b'x']), part(&[24, 2]));
    let empty = part(&[]);
    for (parts, expected) in [
        (vec![&n, &s, &all], r#"{"b":{"n":7,"s":"x","all":[1,2]}}"#),
        (vec![&n, &last, &s, &all], r#"{"b":{"n":0,"s":"x","all":[2]}}"#),
        (vec![&n, &s, &last, &empty, &all, &s], r#"{"b":{"n":0,"s":"x","all":[2]}}"#),
        (vec![&n, &last, &s], r#"{"b":{"n":0,"s":"x","all":[]}}"#),
        (vec![&n, &s, &last], r#"{"last":1.5}"#),
    ] {
        let body: Vec<u8> = parts.into_iter().flatten().copied().collect();
        let found = json_of(&proto(text), None, &[&[0], &body[..]].concat()).unwrap();
        assert_eq!(found, expected);
        let pool = proto::compiled(&proto(text)).unwrap();
        let theirs = DynamicMessage::decode(pool.get_message_by_name("A").unwrap(), &body[..]);
        let theirs = theirs.unwrap();
        let b = theirs.get_field_by_name("b").unwrap();
        let n = b.as_message().unwrap().get_field_by_name("n").unwrap().as_i32();
        assert_eq!(found.contains("\"n\":7"), n == Some(7), "{found}");
        assert_eq!(found.contains("\"b\""), theirs.has_field_by_name("b"), "{found}");
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// As of a field that was an int64 once.
#[test]
fn of_a_number_of_32_bits_that_is_written_with_more_the_lower_ones_count() {
    let text = r#"syntax = "proto3"; enum E { NO = 0; YES = 7; } message A { int32 i = 1; uint32 u = 2; sint32 s = 3; E e = 4;
        bool b = 5; int64 l = 6; repeated int32 many = 7; map<uint32, sint32> m = 8; }"#;
    let descriptor = proto::compiled(&proto(text)).unwrap().get_message_by_name("A").unwrap();
    for (number, expected, theirs) in [
        (
            (1 << 33) + 7,
            r#"{"i":7,"u":7,"s":-4,"e":"YES","b":true,"l":8589934599,"many":[7],"m":{"7":-4}}"#,
            (7, 7, -4, 7),
        ),
        (
            1 << 33,
            r#"{"i":0,"u":0,"s":0,"e":"NO","b":true,"l":8589934592,"many":[0],"m":{"0":0}}"#,
            (0, 0, 0, 0),
        ),
        (
            u64::from(u32::MAX),
            r#"{"i":-1,"u":4294967295,"s":-2147483648,"e":-1,"b":true,"l":4294967295,"many":[-1],"m":{"4294967295":-2147483648}}"#,
            (-1, u32::MAX, i32::MIN, -1),
        ),
    ] {
        let bits = varint(number);
        let entry = [&[8][..], &bits, &[16], &bits].concat();
        let fields = (1..=7).flat_map(|field: u8| [&[field << 3], &bits[..]].concat());
        let body: Vec<u8> =
            fields.chain([8 << 3 | 2, entry.len() as u8]).chain(entry.iter().copied()).collect();
        let found = json_of(&proto(text), None, &[&[0], &body[..]].concat()).unwrap();
        assert_eq!(found, expected);
        let message = DynamicMessage::decode(descriptor.clone(), &body[..]).unwrap();
        let field = |name: &str| message.get_field_by_name(name).unwrap();
        let (i, u, s) = (field("i").as_i32(), field("u").as_u32(), field("s").as_i32());
        let read = (i.unwrap(), u.unwrap(), s.unwrap(), field("e").as_enum_number().unwrap());
        assert_eq!(read, theirs);
    }
}

#[test]
fn numbers_of_32_bits_in_known_types_are_cut_as_well() {
    let text = r#"syntax = "proto3"; import "google/type/money.proto"; import "google/protobuf/timestamp.proto";
        import "google/type/date.proto"; import "confluent/type/decimal.proto"; message T { google.type.Money m = 1;
        google.protobuf.Timestamp ts = 2; google.type.Date day = 3; confluent.type.Decimal d = 4; }"#;
    let more = |number: u64| varint((1 << 32) + number);
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let money = [&[16, 201, 1, 24], &more(500_000_000)[..]].concat();
    let ts = [&[8, 0xe1, 0xe8, 0x8b, 0xc2, 6, 16], &more(1000)[..]].concat();
    let day = [&[8][..], &more(2025), &[16], &more(6), &[24], &more(6)].concat();
    let decimal = [&[10, 1, 15, 24], &more(1)[..]].concat();
    let fields = [field(1, &money), field(2, &ts), field(3, &day), field(4, &decimal)].concat();
    assert_eq!(
        json_of(&proto(text), None, &[&[0], &fields[..]].concat()).unwrap(),
        r#"{"m":201.5,"ts":"2025-06-06T14:00:01.000001Z","day":"2025-06-06","d":1.5}"#
    );
}

/// A field that is zero is not written, so nobody can tell it from one that was forgotten.
#[test]
fn a_price_that_is_absent_is_a_reject_and_no_tick_of_zero() {
    for (price, reason) in [
        ("double price = 2;", Reason::BadPrice),
        ("optional double price = 2;", Reason::MissingField),
        ("oneof p { double price = 2; double mid = 3; }", Reason::MissingField),
    ] {
        let text = format!(
            r#"syntax = "proto3"; message T {{ string symbol = 1; {price} int64 ts = 4; }}"#
        );
        let mut trade = message(&text, "T");
        trade.set_field_by_name("symbol", Value::String("AAPL".to_owned()));
        trade.set_field_by_name("ts", Value::I64(1_749_218_401));
        let json = json_of(&proto(&text), Some(&Rules::default()), &first(&trade)).unwrap();
        let mut decoder = Decoder::new(Rules::default(), NOW);
        let read = decoder.decode(json.as_bytes(), &RecordContext::NOTHING);
        assert_eq!(read.unwrap_err().reason, reason, "{price}");
    }
}

/// Read or passed over.
#[test]
fn a_field_that_is_written_otherwise_than_its_type_makes_the_value_none() {
    let text = r#"syntax = "proto3"; enum E { NO = 0; } message A { double d = 1; repeated float f = 2; map<int32, fixed32> m = 3;
        string s = 4; repeated sint32 n = 5; E e = 6; bool b = 7; repeated string t = 8; }"#;
    for (body, said) in [
        (&[8, 5][..], "field 1 is written as a varint"),
        (&[13, 1, 2, 3, 4], "field 1 is written in 4 bytes"),
        (&[17, 1, 2, 3, 4, 5, 6, 7, 8], "field 2 is written in 8 bytes"),
        (&[26, 4, 8, 1, 16, 5], "field 2 is written as a varint"),
        (&[32, 5], "field 4 is written as a varint"),
        (&[34, 1, 0xff], "a string that is no UTF-8"),
        (&[66, 1, 0xff], "a string that is no UTF-8"),
        (&[42, 2, 2, 0x80], "in the midst"),
        (&[18, 3, 1, 2, 3], "in the midst"),
        (&[50, 0], "field 6 is written with a length"),
        (&[56, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "beyond 64 bits"),
        (&[0xf8, 0xff, 0xff, 0xff, 0x7f, 1], "which no field has"),
        // Bytes that look like the beginning of a group end as another one.
        (&[0x63, 0x6c], "the end of a group that did not begin"),
    ] {
        for rules in [None, Some(&Rules::default())] {
            let error = json_of(&proto(text), rules, &[&[0], body].concat()).unwrap_err();
            assert!(error.contains(said), "{body:?}, read whole: {}: {error}", rules.is_none());
        }
    }
    let packed =
        [&[0, 18, 4][..], &1_f32.to_le_bytes(), &[21], &2_f32.to_le_bytes(), &[40, 1, 42, 1, 3]]
            .concat();
    let json = json_of(&proto(text), None, &packed).unwrap();
    assert!(json.contains(r#""f":[1.0,2.0]"#) && json.contains(r#""n":[-1,-2]"#), "{json}");
}

/// Whatever no message goes on with. Bytes that are one more field are one: readers must bear with
/// fields they do not know.
#[test]
fn bytes_behind_a_message_that_are_no_field_make_it_none() {
    let text = r#"syntax = "proto3"; message A { string s = 1; int64 n = 2; }"#;
    let message = [0, 10, 1, b'x', 16, 7];
    assert!(json_of(&proto(text), None, &message).is_ok());
    for garbage in [
        &b"\0"[..],
        b"\0\0\0\0",
        b"more",
        b"garbage",
        b"trailing",
        b"\xff",
        b"\n",
        b"\r\n",
        b"{}",
        b"\x08\x01",
        b"\x12\0",
    ] {
        let read = json_of(&proto(text), None, &[&message, garbage].concat());
        assert!(read.is_err(), "{garbage:?}: {read:?}");
    }
}

/// It has 40 kB, and would have a text of gigabytes.
#[test]
fn a_short_message_has_no_endless_text() {
    let names: String =
        (3..60).map(|number| format!("int32 {}{number} = {number}; ", "n".repeat(200))).collect();
    let text = format!("syntax = \"proto3\"; message A {{ A l = 1; A r = 2; {names} }}");
    let deep = (0..14).fold(vec![], |inner: Vec<u8>, _| {
        let length = [
            (inner.len() & 0x7f) as u8 | 0x80,
            (inner.len() >> 7 & 0x7f) as u8 | 0x80,
            (inner.len() >> 14) as u8,
        ];
        [&[10][..], &length, &inner, &[18], &length, &inner].concat()
    });
    let error = json_of(&proto(&text), None, &[&[0], &deep[..]].concat()).unwrap_err();
    assert!(error.contains("as text it has"), "{error}");
}

#[test]
fn a_schema_that_is_nested_without_end_is_none() {
    let text = format!("{}{}", "message A { ".repeat(100_000), "}".repeat(100_000));
    let error = Schema::parse(&proto(&format!("syntax = \"proto3\"; {text}")), None).unwrap_err();
    assert!(error.contains("nested"), "{error}");
}

#[test]
fn a_value_names_its_message_by_its_place_in_the_file() {
    let text = r#"syntax = "proto3"; message A { map<string, int32> m = 1; message X { int32 x = 1; } message Y { int32 y = 1; } }
        message B { int32 b = 1; }"#;
    let read = |place: &[u8]| json_of(&proto(text), None, &[place, &[8, 7]].concat());
    assert_eq!(read(&[2, 2]).unwrap(), r#"{"b":7}"#);
    assert_eq!(read(&[4, 0, 2]).unwrap(), r#"{"y":7}"#, "a map's entries do not count");
    for place in [&[2, 8][..], &[2, 1], &[6, 0, 0, 0], &[0x81, 1]] {
        assert!(read(place).unwrap_err().contains("type is none"), "{place:?}");
    }
}

#[test]
fn a_schema_may_refer_to_others_and_know_confluents() {
    let reference = Reference {
        name: "money.proto".to_owned(),
        text: r#"syntax = "proto3"; package m; message Money { int64 units = 1; }"#.to_owned(),
    };
    let text = r#"syntax = "proto3"; import "money.proto"; import "confluent/meta.proto";
        message T { m.Money price = 1 [(confluent.field_meta) = { doc: "the price" }]; }"#;
    let with = SchemaText { references: vec![reference], ..proto(text) };
    assert_eq!(json_of(&with, None, &[0, 10, 2, 8, 7]).unwrap(), r#"{"price":{"units":7}}"#);
    let error = Schema::parse(&proto(text), None).unwrap_err();
    assert!(error.contains("money.proto"), "{error}");
    let error =
        Schema::parse(&proto("syntax = \"proto3\"; message A { B b = 1; }"), None).unwrap_err();
    assert!(error.contains('B'), "{error}");
}

/// No registry lists them as references.
#[test]
fn google_types_are_known_and_are_what_they_mean() {
    let text = r#"syntax = "proto3"; import "google/type/decimal.proto"; import "google/type/money.proto";
        import "google/type/date.proto"; import "google/type/timeofday.proto"; import "google/protobuf/timestamp.proto";
        message T { google.type.Decimal d = 1; google.type.Money m = 2; google.type.Date day = 3;
            google.type.TimeOfDay at = 4; google.protobuf.Timestamp ts = 5; }"#;
    let of = |field: &str, name: &str, members: &[(&str, Value)]| {
        let mut inner = message(text, name);
        members.iter().for_each(|(name, value)| inner.set_field_by_name(name, value.clone()));
        let mut whole = message(text, "T");
        whole.set_field_by_name(field, Value::Message(inner));
        json_of(&proto(text), None, &first(&whole)).unwrap()
    };
    for (value, expected) in [
        ("201.50", r#""201.50""#),
        (
            "12345678901234567890.123456789012345678901",
            r#""12345678901234567890.123456789012345678901""#,
        ),
        ("-2.5E-3", r#""-2.5E-3""#),
        // Values that the type allows and JSON does not.
        ("+7", r#""7""#),
        (".5", r#""0.5""#),
        ("-.5e3", r#""-0.5e3""#),
        ("5.", r#""5.0""#),
        ("5.e1", r#""5.0e1""#),
        ("", r#""0""#),
        ("1,5", r#""1,5""#),
        ("+", r#""+""#),
    ] {
        let json = of("d", "google.type.Decimal", &[("value", Value::String(value.to_owned()))]);
        assert_eq!(json, format!(r#"{{"d":{expected}}}"#), "{value}");
    }
    for (units, nanos, expected) in [
        (201, 500_000_000, "201.5"),
        (0, 1, "0.000000001"),
        (-37, -630_000_000, "-37.63"),
        (0, -5, "-0.000000005"),
        (i64::MIN, 0, "-9223372036854775808"),
        (1, -1, r#"{"units":1,"nanos":-1}"#),
        (-1, 1, r#"{"units":-1,"nanos":1}"#),
        (0, 1_000_000_000, r#"{"units":0,"nanos":1000000000}"#),
    ] {
        let members = [
            ("currency_code", Value::String("USD".to_owned())),
            ("units", Value::I64(units)),
            ("nanos", Value::I32(nanos)),
        ];
        assert_eq!(of("m", "google.type.Money", &members), format!(r#"{{"m":{expected}}}"#));
    }
    let day = |year, month, day| {
        of(
            "day",
            "google.type.Date",
            &[("year", Value::I32(year)), ("month", Value::I32(month)), ("day", Value::I32(day))],
        )
    };
    assert_eq!(day(2025, 6, 6), r#"{"day":"2025-06-06"}"#);
    assert_eq!(day(0, 6, 6), r#"{"day":{"year":0,"month":6,"day":6}}"#);
    let at = |hours, nanos| {
        of(
            "at",
            "google.type.TimeOfDay",
            &[("hours", Value::I32(hours)), ("nanos", Value::I32(nanos))],
        )
    };
    assert_eq!(at(14, 123_456_789), r#"{"at":"14:00:00.123456"}"#);
    assert_eq!(at(24, 0), r#"{"at":{"hours":24,"minutes":0,"seconds":0,"nanos":0}}"#);
    let ts = |nanos| {
        of(
            "ts",
            "google.protobuf.Timestamp",
            &[("seconds", Value::I64(1)), ("nanos", Value::I32(nanos))],
        )
    };
    assert_eq!(ts(-1), r#"{"ts":{"seconds":1,"nanos":-1}}"#);
}

#[test]
fn every_import_that_confluents_registry_knows_is_known() {
    for name in [
        "google/protobuf/any",
        "google/protobuf/api",
        "google/protobuf/descriptor",
        "google/protobuf/duration",
        "google/protobuf/empty",
        "google/protobuf/field_mask",
        "google/protobuf/source_context",
        "google/protobuf/struct",
        "google/protobuf/timestamp",
        "google/protobuf/type",
        "google/protobuf/wrappers",
        "google/type/calendar_period",
        "google/type/color",
        "google/type/date",
        "google/type/datetime",
        "google/type/dayofweek",
        "google/type/decimal",
        "google/type/expr",
        "google/type/fraction",
        "google/type/interval",
        "google/type/latlng",
        "google/type/localized_text",
        "google/type/money",
        "google/type/month",
        "google/type/phone_number",
        "google/type/postal_address",
        "google/type/quaternion",
        "google/type/timeofday",
        "confluent/meta",
        "confluent/type/decimal",
    ] {
        let text =
            format!(r#"syntax = "proto3"; import "{name}.proto"; message A {{ int32 n = 1; }}"#);
        assert!(Schema::parse(&proto(&text), None).is_ok(), "{name}");
    }
    // A registry's list counts before the schemas that are known.
    let own = Reference {
        name: "google/type/decimal.proto".to_owned(),
        text: r#"syntax = "proto3"; package google.type; message Decimal { string value = 1; int32 scale = 2; }"#
            .to_owned(),
    };
    let text = r#"syntax = "proto3"; import "google/type/decimal.proto"; message A { google.type.Decimal d = 1; }"#;
    let with = SchemaText { references: vec![own], ..proto(text) };
    assert_eq!(json_of(&with, None, &[0, 10, 3, 10, 1, b'7']).unwrap(), r#"{"d":"7"}"#);
}

#[test]
fn bytes_that_are_no_message_are_said() {
    let text = r#"syntax = "proto3"; message A { A a = 1; repeated A all = 2; string s = 3; }"#;
    let deep = (0..200).fold(vec![], |inner: Vec<u8>, _| {
        let length = [(inner.len() & 0x7f) as u8 | 0x80, (inner.len() >> 7) as u8];
        [&[10][..], &length, &inner].concat()
    });
    for (body, said) in [
        (&[][..], "in the midst"),
        (&[0, 26, 5, b'a'], "in the midst"),
        (
            &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            "more than ten bytes",
        ),
        (&[0, 0], "without a number"),
        (&[0, 15], "no wire type 7"),
        (&[0, 12], "end of a group"),
        (&[0, 11], "in a group"),
        (&[&[0], &deep[..]].concat(), "nested deeper"),
    ] {
        let error = json_of(&proto(text), None, body).unwrap_err();
        assert!(error.contains(said), "{body:?}: {error}");
    }
}

/// Nothing looks for `number_value` and `venue`.
#[test]
fn a_reject_shows_what_was_there_be_it_passed_over() {
    let text = r#"syntax = "proto3"; message T { string symbol = 1; P price = 2; int64 ts = 3; string venue = 4; }
        message M { repeated T data = 1; } message P { double number_value = 1; }"#;
    let mut price = message(text, "P");
    price.set_field_by_name("number_value", Value::F64(3.5));
    let mut trade = message(text, "T");
    trade.set_field_by_name("symbol", Value::String("A".to_owned()));
    trade.set_field_by_name("price", Value::Message(price));
    trade.set_field_by_name("ts", Value::I64(1_749_218_401));
    trade.set_field_by_name("venue", Value::String("XNAS".to_owned()));
    let mut several = message(text, "M");
    several.set_field_by_name("data", Value::List(vec![Value::Message(trade.clone()); 2]));
    let rules = Rules { each: Some("data".parse().unwrap()), ..Rules::default() };
    let mut schemas = Schemas::default();
    schemas.insert(3, Schema::parse(&proto(text), Some(&rules)));
    let mut decoder = Decoder::new(rules, NOW);
    decoder.set_schemas(schemas);
    let mut read = |body: &[u8]| {
        let value = [&[0, 0, 0, 0, 3], body].concat();
        let (mut scratch, mut elements) = (Scratch::default(), Vec::new());
        let json = decoder.json(&value, &mut scratch).unwrap();
        assert!(!json.windows(5).any(|part| part == b"venue"), "it is passed over");
        let mut each = |element: Element<'_>| {
            let text = String::from_utf8(element.value.to_vec()).unwrap();
            elements.push((element.index, text, element.read.unwrap_err().to_string()));
        };
        let whole = decoder.decode_each_by_schema(&value, json, &RecordContext::NOTHING, &mut each);
        (whole.err().map(|reject| reject.to_string()), elements)
    };
    let why = r#"bad_price: price {"number_value":3.5} is not a number"#.to_owned();
    assert_eq!(read(&first(&trade)), (Some(why.clone()), vec![]));
    let own = r#"{"symbol":"A","price":{"number_value":3.5},"ts":1749218401,"venue":"XNAS"}"#;
    let element = |index| (index, own.to_owned(), why.clone());
    let second = [&[2, 2], &several.encode_to_vec()[..]].concat();
    assert_eq!(read(&second), (None, vec![element(0), element(1)]));
}

#[test]
fn a_message_is_a_tick_by_its_names_and_a_volume_of_zero_is_one() {
    let text = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message Trade { string venue = 1; string symbol = 2; double price = 3; int64 size = 4; google.protobuf.Timestamp ts = 5; }"#;
    let mut trade = message(text, "Trade");
    trade.set_field_by_name("venue", Value::String("XNAS".to_owned()));
    trade.set_field_by_name("symbol", Value::String("AAPL".to_owned()));
    trade.set_field_by_name("price", Value::F64(201.5));
    let mut at = message(text, "google.protobuf.Timestamp");
    at.set_field_by_name("seconds", Value::I64(1_749_218_401));
    trade.set_field_by_name("ts", Value::Message(at));
    let pruned = json_of(&proto(text), Some(&Rules::default()), &first(&trade)).unwrap();
    assert_eq!(
        pruned,
        r#"{"symbol":"AAPL","price":201.5,"size":0,"ts":"2025-06-06T14:00:01.000000Z"}"#
    );
    let mut schemas = Schemas::default();
    schemas.insert(3, Schema::parse(&proto(text), Some(&Rules::default())));
    let mut decoder = Decoder::new(Rules::default(), NOW);
    decoder.set_schemas(schemas);
    let (mut scratch, value) =
        (Scratch::default(), [&[0, 0, 0, 0, 3], &first(&trade)[..]].concat());
    let json = decoder.json(&value, &mut scratch).unwrap();
    let mut seen = 0;
    let read =
        decoder.decode_each(json, &RecordContext::NOTHING, &mut |Element { read, .. }| {
            let tick = read.unwrap().tick;
            assert_eq!(tick.volume().map(|volume| volume.to_string()).as_deref(), Some("0"));
            seen += 1;
        });
    assert!(read.is_ok() && seen == 1);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        let Format::Protobuf(schema) = Schema::parse(&proto(ALL), None).unwrap().0 else { panic!("it is Protobuf") };
        let mut scratch = Scratch::default();
        if schema.write(&body, &mut scratch.text, &mut scratch.slots, false).is_ok() {
            // A text may be no UTF-8, which the decoder says.
            let text = String::from_utf8_lossy(&scratch.text);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn any_message_that_the_crate_writes_is_read(d: f64, l: i64, s: i32, t: String, many: Vec<i32>, right: Option<String>, may: Option<i64>) {
        let mut all = message(ALL, "t.All");
        all.set_field_by_name("d", Value::F64(if d.is_finite() { d } else { 0.5 }));
        all.set_field_by_name("l", Value::I64(l));
        all.set_field_by_name("s", Value::I32(s));
        all.set_field_by_name("t", Value::String(t.clone()));
        all.set_field_by_name("many", Value::List(many.iter().copied().map(Value::I32).collect()));
        if let Some(right) = &right {
            all.set_field_by_name("right", Value::String(right.clone()));
        }
        if let Some(may) = may {
            all.set_field_by_name("may", Value::I64(may));
        }
        let text = json_of(&proto(ALL), None, &first(&all)).unwrap();
        // Value reads a float to the next but one.
        let written = text.strip_prefix(r#"{"d":"#).and_then(|text| text.split(',').next()).unwrap();
        prop_assert_eq!(written.parse::<f64>().unwrap(), if d.is_finite() { d } else { 0.5 });
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!((json["l"].as_i64(), json["s"].as_i64()), (Some(l), Some(i64::from(s))));
        prop_assert_eq!(json["t"].as_str(), Some(t.as_str()));
        prop_assert_eq!(json["right"].as_str(), right.as_deref());
        prop_assert_eq!(json["may"].as_i64(), may);
        let read: Vec<i64> = json["many"].as_array().unwrap().iter().map(|item| item.as_i64().unwrap()).collect();
        prop_assert_eq!(read, many.into_iter().map(i64::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_chain_of_messages_that_is_longer_than_the_stack_is_no_schema() {
    let chain = |length: usize| {
        let link = |at: usize| format!("message M{at} {{ M{} next = 1; }}", at + 1);
        let links: Vec<String> = (0..length).map(link).collect();
        format!("syntax = \"proto3\"; {} message M{length} {{ int32 end = 1; }}", links.join(" "))
    };
    assert!(Schema::parse(&proto(&chain(400)), None).is_ok());
    let why = Schema::parse(&proto(&chain(5_000)), None).err().unwrap();
    assert!(why.contains("more than 500 deep"), "{why}");
}
