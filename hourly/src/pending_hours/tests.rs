//! Sums do not depend on how records are cut into objects, or merged.

use super::*;
use crate::archive::Origin;
use crate::scan::{Scan, ScanOptions, scan};
use common::decode::{Decoder, RecordContext, Rules};
use common::{Bar, Timestamp};
use proptest::prelude::*;
use std::fmt::Write;

const START: i64 = 1_748_869_200_000;

/// One record of the topic.
#[derive(Debug, Clone)]
struct Record {
    symbol: char,
    millis: i64,
    cents: i64,
    volume: i64,
    partition: i32,
    offset: i64,
}

impl Record {
    fn line(&self, with_provenance: bool) -> String {
        let Self { symbol, millis, volume, partition, offset, .. } = self;
        let price = format!("{}.{:02}", self.cents / 100, self.cents % 100);
        let mut line = format!(
            r#"{{"symbol":"{symbol}","timestamp":{},"open":{price},"close":{price},"volume":{volume}"#,
            START + millis
        );
        if with_provenance {
            let _ = write!(line, r#","kafka_partition":{partition},"kafka_offset":{offset}"#);
        }
        line + "}\n"
    }
}

/// Up to a hundred records of three hours in two partitions.
fn some_records() -> impl Strategy<Value = Vec<Record>> {
    let part = ("[A-C]", 0..3 * 3_600_000_i64, 1_i64..100_000, 0_i64..1000, 0_i32..2);
    proptest::collection::vec(part, 1..100).prop_map(|parts| {
        let numbered = parts.into_iter().zip(0..);
        let record =
            |((symbol, millis, cents, volume, partition), offset): ((String, _, _, _, _), _)| {
                Record {
                    symbol: symbol.chars().next().unwrap(),
                    // Many in the same millisecond, as in real trading.
                    millis: millis / 600_000 * 600_000,
                    cents,
                    volume,
                    partition,
                    offset,
                }
            };
        numbered.map(record).collect()
    })
}

/// Objects as (first record, number of records) of a partition: they overlap, repeat and leave
/// gaps.
fn some_cuts() -> impl Strategy<Value = Vec<(i32, usize, usize)>> {
    proptest::collection::vec((0_i32..2, 0_usize..60, 1_usize..40), 0..12)
}

fn options(exclude: Option<Exclusions>) -> ScanOptions {
    let stored_at = Timestamp::from_micros(START * 1000 + Timestamp::DAY);
    let options = ScanOptions::unlimited(Origin { partition: 0, start_offset: 0 }, stored_at);
    ScanOptions { exclude: exclude.map(Arc::new), ..options }
}

fn scanned(text: &str, exclude: Option<Exclusions>) -> Scan {
    // No sink writes an empty object.
    if text.is_empty() {
        Scan::default()
    } else {
        scan(text.as_bytes(), &options(exclude)).unwrap()
    }
}

/// The bars of a plain list of records.
fn expected(records: &[Record]) -> BTreeMap<(Hour, String), Bar> {
    let mut bars: BTreeMap<(Hour, String), Bar> = BTreeMap::new();
    for record in records {
        let line = record.line(true);
        let mut decoder = Decoder::new(Rules::default(), options(None).stored_at);
        let tick = decoder.decode(line.trim().as_bytes(), &RecordContext::NOTHING).unwrap().tick;
        let bar = Bar::of(&tick, common::Place::of_message(record.partition, record.offset));
        let key = (Hour::of(tick.timestamp()), record.symbol.to_string());
        bars.entry(key).and_modify(|sum| sum.merge(&bar)).or_insert(bar);
    }
    bars
}

fn all(pending: &mut PendingHours) -> BTreeMap<(Hour, String), Bar> {
    let hours: Vec<Hour> = pending.hours.keys().copied().collect();
    let sums = hours.into_iter().map(|hour| (hour, pending.take(hour).sum));
    sums.flat_map(|(hour, sum)| {
        let bars = sum.bars.iter().map(|(symbol, bar)| ((hour, symbol.as_str().to_owned()), *bar));
        bars.collect::<Vec<_>>()
    })
    .collect()
}

/// What a run does with an object.
fn feed(pending: &mut PendingHours, key: &str, text: &str) {
    let key = Arc::from(key);
    let again = pending.merge_object(&key, scanned(text, None).hours);
    if !again.is_empty() {
        assert!(pending.merge_object(&key, scanned(text, Some(again)).hours).is_empty());
    }
}

proptest! {
    #[test]
    fn any_cutting_and_duplication_into_objects_gives_the_bars_of_the_plain_list(
        records in some_records(),
        cuts in some_cuts(),
        shuffle: u64,
    ) {
        let of = |partition: i32| records.iter().filter(move |record| record.partition == partition);
        let mut objects: Vec<String> = cuts
            .iter()
            .map(|(partition, first, count)| of(*partition).skip(*first).take(*count).map(|r| r.line(true)).collect())
            .collect();
        // These make sure that every record is in some object.
        objects.extend((0..2).map(|partition| of(partition).map(|record| record.line(true)).collect()));
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_by_key(|place| (*place as u64 + 1).wrapping_mul(shuffle | 1));
        let mut pending = PendingHours::default();
        for place in &order {
            feed(&mut pending, &place.to_string(), &objects[*place]);
        }
        let lines: usize = objects.iter().map(|text| text.lines().count()).sum();
        let duplicates: u64 = pending.hours.values().map(|total| total.sum.duplicates).sum();
        prop_assert_eq!(duplicates as usize, lines - records.len());
        prop_assert_eq!(all(&mut pending), expected(&records));
        prop_assert_eq!(pending.bars, 0);
    }

    #[test]
    fn a_record_that_stands_twice_in_one_object_counts_once(records in some_records(), twice in 0_usize..100) {
        let mut text: String = records.iter().map(|record| record.line(true)).collect();
        text.push_str(&records[twice % records.len()].line(true));
        let mut pending = PendingHours::default();
        feed(&mut pending, "one", &text);
        prop_assert_eq!(all(&mut pending), expected(&records));
    }

    #[test]
    fn the_count_of_bars_is_kept_however_hours_come_and_go(records in some_records(), limit in 0_usize..10) {
        let text: String = records.iter().map(|record| record.line(true)).collect();
        let mut pending = PendingHours::default();
        feed(&mut pending, "one", &text);
        let count = |pending: &PendingHours| pending.hours.values().map(|total| total.sum.bars.len()).sum::<usize>();
        prop_assert_eq!(pending.bars, count(&pending));
        pending.shrink(limit);
        prop_assert_eq!(pending.bars, count(&pending));
        prop_assert!(pending.bars <= limit || pending.hours.len() == 1);
        pending.forget_before(Hour::of(Timestamp::from_micros(START * 1000)).plus(1));
        prop_assert_eq!(pending.bars, count(&pending));
        pending.forget_object("one");
        prop_assert_eq!((pending.bars, pending.hours.len()), (0, 0));
    }
}

#[test]
fn an_object_that_is_given_twice_counts_once() {
    let record = Record { symbol: 'A', millis: 0, cents: 100, volume: 1, partition: 0, offset: 7 };
    let mut pending = PendingHours::default();
    for _ in 0..2 {
        // Without provenance only the key tells.
        feed(&mut pending, "one", &record.line(false));
    }
    let hour = Hour::of(Timestamp::from_micros(START * 1000));
    assert!(
        pending.holds(hour, "one")
            && !pending.holds(hour, "two")
            && !pending.holds(hour.plus(1), "one")
    );
    assert_eq!(pending.take(hour).sum.ticks, 1);
}

#[test]
fn sums_that_are_joined_to_more_symbols_than_there_is_memory_for_are_given_up() {
    let symbols = |range: std::ops::Range<usize>| {
        let lines = range.map(|number| {
            let line = Record {
                symbol: 'A',
                millis: 0,
                cents: 1,
                volume: 1,
                partition: 0,
                offset: number as i64,
            };
            line.line(true).replace(r#""A""#, &format!(r#""A{number}""#))
        });
        scanned(&lines.collect::<String>(), None).hours.pop().unwrap().1
    };
    let half = MAX_SYMBOLS / 2;
    let whole = joined(symbols(0..half), symbols(half..MAX_SYMBOLS)).unwrap();
    assert_eq!(whole.bars.len(), MAX_SYMBOLS);
    assert!(joined(whole, symbols(MAX_SYMBOLS..MAX_SYMBOLS + 1)).is_none());
}
