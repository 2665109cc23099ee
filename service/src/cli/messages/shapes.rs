//! Messages as public producers send them: their layouts, with values of our own. Each line of
//! `shapes.jsonl` says which flags it needs and which tick it then is, or why it is none.

use super::{Flags, MessageArgs};
use clap::Parser;
use common::decode::{Decoder, Element, ProvenanceNames, RecordContext};
use common::{Price, Reason, Reject, Tick, Timestamp};
use serde::Deserialize;

#[derive(Deserialize)]
struct Shape {
    value: String,
    key: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    /// More flags that say the same.
    #[serde(default)]
    also: Vec<String>,
    /// Symbol, time, open, high, low, close and volume.
    tick: Option<String>,
    /// The beginning of the sentence for people, after the reason.
    reason: Option<String>,
}

fn read_shapes() -> Vec<Shape> {
    include_str!("shapes.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Shape {
    /// At most one flag is needed: several are in a file.
    fn args(&self, flags: &[String]) -> MessageArgs {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<&str> = flags.iter().map(|flag| flag.trim_start_matches('-')).collect();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let one = match flags {
            [] => Vec::new(),
            [one] => vec![one.clone()],
            _ => vec![format!("--message-file={}", file.path().display())],
        };
        Flags::try_parse_from(["test".to_owned()].iter().chain(&one)).unwrap().messages
    }

    fn decode(&self, flags: &[String]) -> Result<String, Reject> {
        let args = self.args(flags);
        let record_time = Timestamp::from_micros(1_749_218_405_000_000);
        let mut decoder = Decoder::new(args.rules(ProvenanceNames::default()), record_time);
        let key = self.key.as_deref().map(str::as_bytes);
        let beside = RecordContext {
            key,
            topic: Some(self.topic.as_deref().unwrap_or("stock_prices")),
            time: Some(record_time),
        };
        // Each of them holds one, be it in an array.
        let mut found = Vec::new();
        let mut note =
            |element: Element<'_>| found.push(element.read.map(|record| text(&record.tick)));
        let value = self.value.as_bytes();
        let first = decoder.decode_each_strictly(value, &beside, &mut note);
        // Values that the fast path has learned it must read as well.
        for _ in 0..2 {
            assert_eq!(decoder.decode_each(value, &beside, &mut note), first, "{}", self.value);
        }
        first?;
        assert!(
            found.len() == 3 && found.iter().all(|again| *again == found[0]),
            "{}: {found:?}",
            self.value
        );
        found.remove(0)
    }
}

fn text(tick: &Tick<'_>) -> String {
    let prices = tick.prices();
    let or_none =
        |price: Option<Price>| price.map_or_else(|| "-".to_owned(), |price| price.to_string());
    let (high, low) = (or_none(prices.high), or_none(prices.low));
    let (symbol, at) = (tick.symbol().as_str(), tick.timestamp());
    let volume = tick.volume().map_or_else(|| "-".to_owned(), |volume| volume.to_string());
    format!("{symbol} {at} {} {high} {low} {} {volume}", prices.open, prices.close)
}

#[test]
fn every_shape_is_the_tick_that_is_meant_or_says_why_it_is_none() {
    for shape in read_shapes() {
        let found = shape.decode(&shape.flags);
        match (&shape.tick, &shape.reason) {
            (Some(tick), None) => {
                assert_eq!(found.as_ref(), Ok(tick), "{}", shape.value);
                let also = if shape.also.is_empty() { &shape.flags } else { &shape.also };
                assert_eq!(shape.decode(also).as_ref(), Ok(tick), "{}", shape.value);
            }
            (None, Some(reason)) => {
                let reject = found.expect_err(&shape.value);
                assert!(reject.to_string().starts_with(reason), "{}: {reject}", shape.value);
            }
            _ => panic!("{} is a tick or none", shape.value),
        }
    }
}

#[test]
fn no_shape_has_a_flag_that_it_does_not_need() {
    for shape in read_shapes() {
        for left_out in 0..shape.flags.len() {
            let mut flags = shape.flags.clone();
            let flag = flags.remove(left_out);
            assert_ne!(shape.decode(&flags).ok(), shape.tick, "{}: {flag}", shape.value);
        }
    }
}

/// The figures of docs/message-format.md.
#[test]
fn the_manual_counts_the_shapes_rightly() {
    let shapes = read_shapes();
    let count =
        |wanted: &dyn Fn(&Shape) -> bool| shapes.iter().filter(|shape| wanted(shape)).count();
    let with_flags =
        |flags: usize| count(&|shape| shape.tick.is_some() && shape.flags.len().min(2) == flags);
    let ticks = [with_flags(0), with_flags(1), with_flags(2)];
    let simple = ticks[0] + ticks[1];
    assert!(simple * 100 >= shapes.len() * 75, "{ticks:?} of {}", shapes.len());
    let none = |start: &str| {
        count(&|shape| shape.reason.as_ref().is_some_and(|reason| reason.starts_with(start)))
    };
    let found = [none("not_json"), none("not_object"), none("missing_field")];
    let manual = include_str!("../../../../docs/message-format.md");
    let line = format!(
        "Of {} shapes {} are ticks: {} need no flag and {} one, which is {} % of all; {} need \
         more, in a\n\
         `--message-file`; {} are no JSON, and {} lack a field.",
        shapes.len(),
        ticks.iter().sum::<usize>(),
        ticks[0],
        ticks[1],
        simple * 100 / shapes.len(),
        ticks[2],
        found[0] + found[1],
        found[2],
    );
    assert!(manual.contains(&line), "the manual should say: {line}");
    assert_eq!(ticks.iter().sum::<usize>() + found.iter().sum::<usize>(), shapes.len());
}

#[test]
fn every_reason_speaks_to_a_person() {
    for shape in read_shapes() {
        if let Err(Reject { reason: Reason::MissingField, detail }) = shape.decode(&[]) {
            assert!(detail.contains("--"), "{}: {detail} names no flag", shape.value);
        }
    }
}
