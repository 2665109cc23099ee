//! Messages as public producers send them, once more: as the sink has archived them.

use super::*;
use crate::archive::Origin;
use clap::Parser;
use common::Timestamp;
use common::decode::ProvenanceNames;
use serde::Deserialize;
use service::cli::MessageArgs;

#[derive(Deserialize)]
struct Shape {
    value: String,
    key: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    /// Symbol, time, open, high, low, close and volume.
    tick: Option<String>,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    messages: MessageArgs,
}

fn shapes() -> Vec<Shape> {
    let lines = include_str!("../../../service/src/cli/messages/shapes.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

const RECORD_TIME: i64 = 1_749_218_405_000;

impl Shape {
    /// As Connect's sink writes it, with what `InsertField` adds.
    fn with_provenance(&self) -> String {
        let object = self.value.trim_end().strip_suffix('}').unwrap();
        format!(
            r#"{object},"kafka_partition":0,"kafka_offset":7,"kafka_timestamp":{RECORD_TIME}}}"#
        )
    }

    /// As Aiven's sink writes it.
    fn in_aivens_envelope(&self) -> String {
        let (key, value) = (serde_json::json!(self.key), &self.value);
        format!(r#"{{"key":{key},"value":{value},"offset":7,"timestamp":{RECORD_TIME}}}"#)
    }

    fn scan(&self, line: &str) -> Scan {
        let flags = Flags::try_parse_from(["test".to_owned()].iter().chain(&self.flags)).unwrap();
        let options = ScanOptions {
            compressed_name: false,
            origin: Origin { partition: 0, start_offset: 7 },
            topic: self.topic.as_deref().unwrap_or("stock_prices").into(),
            rules: flags.messages.rules(ProvenanceNames::default()).into(),
            csv: None,
            stored_at: Timestamp::from_micros(RECORD_TIME * 1000),
            exclude: None,
            max_bars: usize::MAX,
            hour_weight: 0,
            max_without_tick: u64::MAX,
            max_unpacked: u64::MAX,
        };
        scan(line.as_bytes(), &options).unwrap()
    }
}

/// What a bar of one tick tells about it.
fn text(scan: &Scan) -> String {
    let Some((_, hour)) = scan.hours.first() else {
        return format!("no tick, but {:?}", scan.rejects);
    };
    let (symbol, bar) = hour.bars.iter().next().unwrap();
    let volume = bar.traded.volume().map_or_else(|| "-".to_owned(), |volume| volume.to_string());
    format!("{} {} {} {} {volume}", symbol.as_str(), bar.first.timestamp, bar.open, bar.close)
}

#[test]
fn every_shape_is_the_same_tick_from_the_archive() {
    for shape in shapes() {
        let Some(tick) = &shape.tick else {
            continue;
        };
        let [symbol, at, open, high, low, close, volume] =
            tick.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let volume = match volume.split_once('.') {
            // Sums have 18 digits after the point.
            Some((whole, part)) => format!("{whole}.{part:0<18}"),
            None => volume.to_owned(),
        };
        let expected = format!("{symbol} {at} {open} {close} {volume}");
        let mut lines = vec![shape.in_aivens_envelope()];
        let is_object = shape.value.trim_end().ends_with('}');
        if is_object
            && (shape.key.is_none() || shape.flags.iter().any(|flag| flag.contains("topic")))
        {
            lines.push(shape.with_provenance());
        }
        for line in lines {
            let scan = shape.scan(&line);
            assert_eq!((text(&scan), scan.rejected), (expected.clone(), 0), "{line}");
            let bar = scan.hours[0].1.bars.iter().next().map(|(_, bar)| *bar).unwrap();
            let (top, bottom) =
                (bar.open.max(bar.close).to_string(), bar.open.min(bar.close).to_string());
            // The high and low of a trade are those of its day.
            let expected = [(high, top), (low, bottom)]
                .map(|(price, own)| if price == "-" { own } else { price.into() });
            assert_eq!([bar.high.to_string(), bar.low.to_string()], expected, "{line}");
        }
    }
}

#[test]
fn a_shape_that_is_no_tick_is_none_in_the_archive_either() {
    let objects = |shape: &Shape| shape.tick.is_none() && shape.value.starts_with('{');
    let mut count = 0;
    for shape in shapes().into_iter().filter(objects) {
        let scan = shape.scan(&shape.with_provenance());
        assert_eq!((scan.hours.len(), scan.rejected), (0, 1), "{}", shape.value);
        count += 1;
    }
    assert_eq!(count, 1);
}
