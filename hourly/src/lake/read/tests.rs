//! What is written as Parquet is read back, whatever it is.

use super::super::file::{GROUP, Writer};
use super::super::sort::{nameless, rewound};
use super::*;
use crate::checksum::TickContent;
use common::{Price, Volume};
use parquet::file::reader::Length;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

const START: i64 = 1_748_865_600_000_000;

fn hour() -> Hour {
    Hour::of(Timestamp::from_micros(START))
}

fn of() -> HourOfTopic {
    HourOfTopic { hour: hour(), topic: "stock_prices".into() }
}

/// A tick as it is in its topic: symbol, time within the hour, prices, volume, place.
type Row = (String, i64, (i64, Option<i64>, i64), Option<(i64, u32)>, (i32, i64, u16));

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let nanos = || prop_oneof![-i64::MAX / 4..=i64::MAX / 4, -9_i64..9, Just(201_500_000_000)];
    let volume = prop_oneof![
        2 => (0..1000_i64, Just(0)).prop_map(Some),
        2 => (0..=i64::MAX, 0..Volume::ONE).prop_map(Some),
        1 => Just(None),
    ];
    let row = (
        "[A-C]{1,2}|µ{32}|LONG-SYMBOL-[AB]",
        0..Timestamp::HOUR,
        (nanos(), proptest::option::of(0..9_i64), nanos()),
        volume,
        (0..3_i32, prop_oneof![0..90_i64, (1_i64 << 40)..(1 << 40) + 9], 0..3_u16),
    );
    proptest::collection::vec(row, 0..60).prop_map(|rows| {
        let once: BTreeMap<_, _> = rows.into_iter().map(|row| (row.4, row)).collect();
        once.into_values().collect()
    })
}

fn content<'a>((symbol, at, (open, beyond, close), volume, _): &'a Row) -> TickContent<'a> {
    let price = |nanos: i64| Price::from_nanos(nanos);
    TickContent {
        symbol,
        timestamp: Timestamp::from_micros(START + at),
        open: price(*open),
        high: beyond.and_then(|beyond| price((*open).max(*close) + beyond)),
        low: beyond.and_then(|beyond| price((*open).min(*close) - beyond)),
        close: price(*close),
        volume: volume.and_then(|(whole, nanos)| Volume::from_parts(whole, nanos)),
        extras: Extras::default(),
    }
}

fn place_of((.., (partition, offset, index)): &Row) -> Place {
    Place { partition: *partition, offset: *offset, index: *index }
}

fn file_of(rows: &[Row]) -> File {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (&row.0, row.1, row.4));
    let mut writer = Writer::new(nameless(&std::env::temp_dir()).unwrap()).unwrap();
    rows.iter().for_each(|row| writer.push(&content(row), place_of(row)).unwrap());
    rewound(writer.finish().unwrap().0).unwrap()
}

fn bars(sum: &HourBars) -> BTreeMap<String, Bar> {
    sum.bars.iter().map(|(symbol, bar)| (symbol.as_str().to_owned(), *bar)).collect()
}

proptest! {
    #[test]
    fn sums_of_the_lake_are_those_of_its_ticks_one_by_one(rows in some_rows()) {
        assert_same(&sum_up(&file_of(&rows), &of(), &|| false).unwrap(), &summed_one_by_one(&rows));
    }
}

fn row(number: i64) -> Row {
    (
        format!("S{}", number % 7),
        number % Timestamp::HOUR,
        (1, None, 2),
        Some((3, 0)),
        (0, number, 0),
    )
}

/// More prices, volumes and symbols than a dictionary takes, and now and then what is optional.
fn varied_row(number: i64) -> Row {
    let symbol = if number % 3 == 0 { format!("{number:064}") } else { format!("S{}", number % 7) };
    let beyond = (number % 1000 < 500 && number % 20 == 0).then_some(number % 9);
    let volume = (number % 50_000 > 20).then_some((number, (number % 7) as u32));
    (
        symbol,
        number % Timestamp::HOUR,
        (number, beyond, 2 * number),
        volume,
        ((number % 4) as i32, number, 0),
    )
}

fn summed_one_by_one(rows: &[Row]) -> HourBars {
    let mut sum = HourBars::of_topic("stock_prices".into());
    for row in rows {
        let place = place_of(row);
        sum.offsets.insert(place.partition, place.number().unwrap());
        sum.add(&content(row).tick().unwrap(), place);
    }
    sum.offsets.flush();
    sum
}

fn assert_same(found: &HourBars, expected: &HourBars) {
    assert_eq!((found.ticks, found.offsets.len()), (expected.ticks, expected.offsets.len()));
    assert!(found.offsets.is_superset(&expected.offsets));
    assert!(bars(found) == bars(expected), "other bars");
}

#[test]
fn row_groups_that_several_threads_read_add_up() {
    let rows: Vec<Row> = (0..3 * GROUP as i64 + 11).map(row).collect();
    let sum = sum_up(&file_of(&rows), &of(), &|| false).unwrap();
    assert_same(&sum, &summed_one_by_one(&rows));
    assert_eq!(sum.bars.len(), 7);
}

#[test]
fn values_that_no_dictionary_has_room_for_are_read_to_the_last_digit() {
    let rows: Vec<Row> = (0..GROUP as i64 + 5000).map(varied_row).collect();
    let sum = sum_up(&file_of(&rows), &of(), &|| false).unwrap();
    assert_same(&sum, &summed_one_by_one(&rows));
}

#[test]
fn a_file_with_one_byte_that_is_another_is_read_or_an_error() {
    let rows: Vec<Row> = (0..40).map(varied_row).collect();
    let file = file_of(&rows);
    for at in 0..Length::len(&file) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        // Whether sums are those of the ticks is told by a hash of the whole, before.
        drop(sum_up(&file, &of(), &|| false));
        file.write_all_at(&byte, at).unwrap();
    }
    assert_same(&sum_up(&file, &of(), &|| false).unwrap(), &summed_one_by_one(&rows));
}

#[test]
fn what_cannot_be_an_hour_of_the_lake_is_an_error_and_no_sum() {
    let why = |file: File| sum_up(&file, &of(), &|| false).unwrap_err().to_string();
    let (mut twice, mut late) = (row(1), row(1));
    twice.0 = "Z".to_owned();
    assert!(why(file_of(&[row(1), twice])).contains("twice"));
    late.1 = Timestamp::HOUR;
    assert!(why(file_of(&[late])).contains("another hour"));
    let whole = file_of(&[row(1), row(2)]);
    whole.set_len(Length::len(&whole) - 1).unwrap();
    why(whole);
    let other = nameless(&std::env::temp_dir()).unwrap();
    other.write_all_at(b"no parquet", 0).unwrap();
    why(other);
}

#[test]
fn a_run_that_is_to_end_reads_no_further() {
    assert!(sum_up(&file_of(&[row(1)]), &of(), &|| true).is_err());
}
