//! [`Reading`]: what comes of messages that are read by some flags.

use super::sampling::Sample;
use common::decode::{Decoder, ProvenanceNames, RecordContext};
use common::{Extras, Reason, Reject, Tick, Timestamp};
use service::cli::MessageArgs;
use std::collections::BTreeMap;

/// The outcomes of samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Messages that are a tick, or hold some.
    pub ticks: usize,
    /// Messages of other kinds than the flags take, and no more.
    pub other_kinds: usize,
    /// Ticks without a volume.
    pub without_volume: usize,
    /// Ticks with a bid, an ask, conditions or a number that cannot be read.
    pub with_unread: usize,
    /// The first tick, for a person.
    pub example: Option<String>,
    pub rejects: BTreeMap<&'static str, Rejects>,
}

/// The messages that were rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejects {
    pub count: usize,
    /// The first of them, by its place among the samples.
    pub example: usize,
    /// Why that one is no tick.
    pub detail: String,
}

impl Reading {
    /// Reads `samples` as a layer with these flags does, at the time `now`.
    pub fn of<'s>(
        args: &MessageArgs,
        samples: impl IntoIterator<Item = &'s Sample>,
        now: Timestamp,
    ) -> Self {
        let rules = args.rules(ProvenanceNames::default());
        let mut decoder = Decoder::new(rules, now);
        let mut reading = Self::default();
        for (index, sample) in samples.into_iter().enumerate() {
            if let Some(reject) = &sample.unread {
                reading.reject(index, reject.clone());
                continue;
            }
            let context = RecordContext {
                key: sample.key.as_deref(),
                topic: Some(&sample.topic),
                time: sample.time,
            };
            let (mut holds_ticks, mut is_of_other_kind) = (false, true);
            let mut reject = |reading: &mut Self, reject: Reject| {
                is_of_other_kind &= reject.reason == Reason::OtherKind;
                reading.reject(index, reject);
            };
            let read =
                decoder.decode_each(&sample.value, &context, &mut |element| match element.read {
                    // The first of several counts for all.
                    Ok(record) if !std::mem::replace(&mut holds_ticks, true) => {
                        reading.take(&record.tick);
                    }
                    Ok(_) => {}
                    Err(why) => reject(&mut reading, why),
                });
            if let Err(why) = read {
                reject(&mut reading, why);
            }
            reading.other_kinds += usize::from(is_of_other_kind && !holds_ticks);
        }
        reading
    }

    /// Messages that are ticks, or of other kinds if some are ticks. Messages that other flags
    /// exclude are no fault, unless they exclude all.
    pub fn understood(&self) -> usize {
        match self.ticks {
            0 => 0,
            ticks => ticks + self.other_kinds,
        }
    }

    fn take(&mut self, tick: &Tick<'_>) {
        self.ticks += 1;
        self.without_volume += usize::from(tick.volume().is_none());
        self.with_unread += usize::from(tick.extras().has_unread());
        self.example.get_or_insert_with(|| describe(tick));
    }

    fn reject(&mut self, index: usize, reject: Reject) {
        let rejects = self.rejects.entry(reject.reason.as_str());
        rejects
            .or_insert_with(|| Rejects { count: 0, example: index, detail: reject.detail })
            .count += 1;
    }
}

fn describe(tick: &Tick<'_>) -> String {
    let prices = tick.prices();
    let prices = match prices.open == prices.close {
        true => format!("price {}", prices.close),
        false => format!("open {}, close {}", prices.open, prices.close),
    };
    let volume =
        tick.volume().map_or_else(|| "no volume".to_owned(), |volume| format!("volume {volume}"));
    let extras = describe_extras(tick.extras());
    format!("{} at {}, {prices}, {volume}{extras}", tick.symbol().as_str(), tick.timestamp())
}

fn describe_extras(extras: &Extras<'_>) -> String {
    let mut text = extras.bid().map(|bid| format!(", bid {bid}")).unwrap_or_default();
    text += &extras.ask().map(|ask| format!(", ask {ask}")).unwrap_or_default();
    text += &extras.sequence().map(|number| format!(", sequence {number}")).unwrap_or_default();
    match extras.conditions().iter().collect::<Vec<_>>().as_slice() {
        [] => text,
        codes => text + &format!(", conditions {}", codes.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_counted_by_reason_with_the_first_of_each() {
        let values = [r#"{"symbol":"A","price":1,"ts":1749218401}"#, "x", "{}", "y"];
        let samples: Vec<Sample> = values
            .iter()
            .map(|value| Sample { value: value.as_bytes().to_vec(), ..Sample::default() })
            .collect();
        let reading = Reading::of(
            &MessageArgs::default(),
            &samples,
            Timestamp::from_micros(1_749_218_405_000_000),
        );
        assert_eq!((reading.ticks, reading.without_volume), (1, 1));
        assert_eq!(
            reading.example.as_deref(),
            Some("A at 2025-06-06T14:00:01Z, price 1, no volume")
        );
        let counts: Vec<_> =
            reading.rejects.iter().map(|(reason, of)| (*reason, of.count, of.example)).collect();
        assert_eq!(counts, [("missing_field", 1, 2), ("not_json", 2, 1)]);
    }

    #[test]
    fn the_example_has_all_that_the_tick_says_and_what_cannot_be_read_is_counted() {
        let values = [
            r#"{"symbol":"A","price":1,"ts":1749218401,"bid":0.5,"ask":1.5,"conditions":["@","T"]}"#,
            r#"{"symbol":"A","price":1,"ts":1749218401,"bid":"n/a"}"#,
        ];
        let samples: Vec<Sample> = values
            .iter()
            .map(|value| Sample { value: value.as_bytes().to_vec(), ..Sample::default() })
            .collect();
        let reading = Reading::of(
            &MessageArgs::default(),
            &samples,
            Timestamp::from_micros(1_749_218_405_000_000),
        );
        assert_eq!((reading.ticks, reading.with_unread), (2, 1));
        let expected =
            "A at 2025-06-06T14:00:01Z, price 1, no volume, bid 0.5, ask 1.5, conditions @ T";
        assert_eq!(reading.example.as_deref(), Some(expected));
    }

    #[test]
    fn messages_of_other_kinds_alone_are_counted_as_such() {
        let values = [
            r#"{"type":"match","symbol":"A","price":1,"ts":1749218401}"#,
            r#"{"type":"heartbeat"}"#,
            r#"[{"type":"match","symbol":"A","price":1,"ts":1749218401},{"type":"heartbeat"}]"#,
            r#"[{"type":"heartbeat"},{"type":"match"}]"#,
            "x",
        ];
        let samples: Vec<Sample> = values
            .iter()
            .map(|value| Sample { value: value.as_bytes().to_vec(), ..Sample::default() })
            .collect();
        let args = MessageArgs {
            conditions: Some("type=match".parse().unwrap()),
            ..MessageArgs::default()
        };
        let reading = Reading::of(&args, &samples, Timestamp::from_micros(1_749_218_405_000_000));
        assert_eq!((reading.ticks, reading.other_kinds, reading.understood()), (2, 1, 3));
        let none = Reading::of(&args, &samples[1..2], Timestamp::from_micros(0));
        assert_eq!((none.other_kinds, none.understood()), (1, 0));
    }
}
