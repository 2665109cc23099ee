//! [`Batch`]: decoded messages, ready to be written. It knows PostgreSQL's COPY format, but no
//! connection.

mod bars;
mod described;
mod detector_input;
mod message;
mod parts;
mod ranges;
mod rejects;
mod rows;
mod trace;

use bars::MinuteBars;
pub use bars::SortedBars;
pub use detector_input::{DetectorInput, DetectorTick, Noted, Series};
pub use message::Message;
pub use ranges::{Range, Ranges};
pub use rejects::RejectedMessage;
pub use rows::Rows;
pub use trace::Trace;

use crate::source::SourcePartition;
use common::decode::{Decoder, Element, Scratch, schema_id};
use common::{Place, Reject, Tick, Timestamp};
use std::collections::BTreeSet;
use std::time::Instant;

/// Bound for a batch's memory whatever its messages are; 50,000 ordinary rows take 6 MB.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Bound for its bars: one takes some 400 bytes, with its symbol's state. Batches of 500 symbols
/// have a few thousand.
const MAX_BARS: usize = 30_000;

/// Broken elements of one message that are kept aside; of more, only their number is. A message of
/// a few kilobytes may have thousands.
const KEPT_OF_A_MESSAGE: usize = 100;

/// Offsets that were not read, to be recorded in `kafka_gaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub at: SourcePartition,
    /// The first of them.
    pub from: i64,
    /// The first that is there again; not above `from` where nobody knows what followed it.
    pub to: i64,
    /// The next offset to read.
    pub goes_on_at: i64,
    pub detail: String,
}

impl Gap {
    /// The messages [from, to) are there and cannot be read.
    pub fn damaged(at: SourcePartition, from: i64, to: i64, why: &str) -> Self {
        let detail = format!("the offsets {from}..{to} cannot be read: {why}");
        Self { at, from, to, goes_on_at: to, detail }
    }
}

/// The rows of one transaction. Reused from batch to batch, so that its memory is allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Rows,
    bars: MinuteBars,
    pub detector_input: DetectorInput,
    pub rejects: Vec<RejectedMessage>,
    pub ranges: Ranges,
    pub gaps: Vec<Gap>,
    /// The UTC days that the rows need partitions for, as microseconds of their starts.
    pub days: BTreeSet<Timestamp>,
    /// Messages by Kafka's millisecond, in the order in which they came, for the latency metric.
    pub sent: Vec<(Timestamp, u32)>,
    pub messages: u32,
    /// Ticks whose producer gives no volume.
    pub without_volume: u32,
    /// Ticks with a bid, an ask, conditions or a number that could not be read.
    pub with_unread: u32,
    pub trace: Trace,
    rejected_bytes: usize,
    /// The JSON text of values that are not JSON.
    scratch: Scratch,
    opened: Option<Instant>,
    last_day: Option<Timestamp>,
}

impl Batch {
    /// Takes in a message of the partition `at`: a valid tick becomes a row and part of its
    /// minute's bar, any other is kept aside; of a message that holds several, each. `expected` is
    /// the offset that was to come. `rejected` hears of what is kept aside: the message, or the
    /// element of it with its index, as a message of its own.
    pub fn push(
        &mut self,
        decoder: &mut Decoder,
        message: &Message<'_>,
        at: SourcePartition,
        expected: i64,
        rejected: impl FnMut(&Message<'_>, u16, &Reject),
    ) {
        self.messages += 1;
        self.pass(at, expected, message.offset + 1);
        if let Some(sent) = message.timestamp {
            self.note_sent(sent);
        }
        let value = message.value.unwrap_or_default();
        if let Some(record) = decoder.decode_known(value, &message.context()) {
            return self.accept(&record.tick, at, message.offset, 0);
        }
        // A value with a registry's header was no JSON, so JSON pays nothing for this look.
        match schema_id(value) {
            None => self.push_json(decoder, message, value, at, rejected),
            Some(_) => self.push_by_schema(decoder, message, at, rejected),
        }
    }

    fn push_by_schema(
        &mut self,
        decoder: &mut Decoder,
        message: &Message<'_>,
        at: SourcePartition,
        mut rejected: impl FnMut(&Message<'_>, u16, &Reject),
    ) {
        // It is lent to what this batch takes in.
        let mut scratch = std::mem::take(&mut self.scratch);
        match decoder.json(message.value.unwrap_or_default(), &mut scratch) {
            Ok(json) => match decoder.decode_known(json, &message.context()) {
                Some(record) => self.accept(&record.tick, at, message.offset, 0),
                None => self.push_json(decoder, message, json, at, rejected),
            },
            Err(reject) => {
                rejected(message, 0, &reject);
                self.reject(message, at, 0, reject);
            }
        }
        self.scratch = scratch;
    }

    /// `json`: the message's value, or what its schema makes of it; of that a reject shows all.
    fn push_json(
        &mut self,
        decoder: &mut Decoder,
        message: &Message<'_>,
        json: &[u8],
        at: SourcePartition,
        mut rejected: impl FnMut(&Message<'_>, u16, &Reject),
    ) {
        let mut broken = 0_usize;
        let mut each = |element: Element<'_>| match element.read {
            Ok(record) => self.accept(&record.tick, at, message.offset, element.index),
            Err(reject) => {
                broken += 1;
                if broken <= KEPT_OF_A_MESSAGE {
                    let part = Message { value: Some(element.value), ..*message };
                    rejected(&part, element.index, &reject);
                    self.reject(&part, at, element.index, reject);
                }
            }
        };
        let (value, context) = (message.value.unwrap_or_default(), message.context());
        let read = match schema_id(value) {
            None => decoder.decode_each(json, &context, &mut each),
            Some(_) => decoder.decode_each_by_schema(value, json, &context, &mut each),
        };
        if let Err(reject) = read {
            rejected(message, 0, &reject);
            self.reject(message, at, 0, reject);
        }
        if let (Some(more @ 1..), Some(last)) =
            (broken.checked_sub(KEPT_OF_A_MESSAGE), self.rejects.last_mut())
        {
            last.reject.detail +=
                &format!("; {more} more elements of the message are broken, and are not kept");
        }
    }

    fn reject(&mut self, message: &Message<'_>, at: SourcePartition, index: u16, reject: Reject) {
        let rejected = RejectedMessage::new(at, message, index, reject);
        // The whole of it, which may be on its way to another topic meanwhile.
        self.rejected_bytes += message.value.map_or(0, <[u8]>::len)
            + rejected.reject.detail.len()
            + size_of::<RejectedMessage>();
        self.rejects.push(rejected);
    }

    /// Moves a partition from `expected` to `next`, over offsets that are no messages (or over a
    /// message).
    pub fn pass(&mut self, at: SourcePartition, expected: i64, next: i64) {
        if self.opened.is_none() {
            self.opened = Some(Instant::now());
            self.trace = Trace::begin();
        }
        self.ranges.extend(at, expected, next);
    }

    fn accept(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64, index: u16) {
        self.rows.push(tick, at, offset, index);
        let series = self.detector_input.push(tick, at, offset, index);
        self.bars.add(series, tick, Place { partition: at.partition, offset, index });
        self.note_day(tick.timestamp());
        self.without_volume += u32::from(tick.volume().is_none());
        self.with_unread += u32::from(tick.extras().has_unread());
    }

    /// The bars of its minutes, sorted by symbol and minute.
    pub fn sorted_bars(&self) -> SortedBars<'_> {
        self.bars.sorted(self.detector_input.series())
    }

    /// Whether the batch should be written before it takes in more: `rows` messages, or as many
    /// bytes and bars as memory allows.
    pub fn is_full(&self, rows: u32) -> bool {
        self.messages >= rows
            || self.rows.bytes() + self.rejected_bytes >= MAX_BATCH_BYTES
            || self.bars.count() >= MAX_BARS
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// When the first message came in.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.bars.clear();
        self.detector_input.clear();
        self.rejects.clear();
        self.ranges.clear();
        self.gaps.clear();
        self.days.clear();
        self.sent.clear();
        self.messages = 0;
        self.without_volume = 0;
        self.with_unread = 0;
        self.rejected_bytes = 0;
        self.opened = None;
        self.trace = Trace::default();
        self.last_day = None;
    }

    fn note_day(&mut self, timestamp: Timestamp) {
        if !self.last_day.is_some_and(|day| timestamp.is_within(day, Timestamp::DAY)) {
            let day = timestamp.floor(Timestamp::DAY);
            self.last_day = Some(day);
            self.days.insert(day);
        }
    }

    fn note_sent(&mut self, sent: Timestamp) {
        match self.sent.last_mut() {
            Some((last, count)) if *last == sent => *count += 1,
            _ => self.sent.push((sent, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Bar;
    use common::decode::{Rules, Schema, SchemaKind, SchemaText, Schemas};

    const AT: SourcePartition = SourcePartition { source: 1, partition: 1 };
    const GOOD: &[u8] = br#"{"symbol":"A","timestamp":1749218401,"open":1,"close":2,"volume":3}"#;

    fn message(offset: i64, value: Option<&[u8]>) -> Message<'_> {
        Message {
            topic: "t",
            partition: 1,
            offset,
            timestamp: Some(Timestamp::from_micros(5)),
            key: None,
            value,
        }
    }

    fn decoder() -> Decoder {
        Decoder::new(Rules::default(), Timestamp::now())
    }

    /// The values of a rejected message that are kept.
    fn push(batch: &mut Batch, message: &Message<'_>, expected: i64) -> Vec<(u16, String)> {
        let mut kept_aside = Vec::new();
        batch.push(&mut decoder(), message, AT, expected, |part, index, reject| {
            let value = String::from_utf8_lossy(part.value.unwrap_or_default());
            kept_aside.push((index, format!("{} {value}", reject.reason.as_str())));
        });
        kept_aside
    }

    #[test]
    fn each_element_of_a_message_becomes_a_row_or_a_reject_and_the_message_counts_once() {
        let mut batch = Batch::default();
        let good = String::from_utf8_lossy(GOOD);
        let value = format!(r#"[{good}, 5 ,{good},{{"symbol":"B"}}]"#);
        let kept_aside = push(&mut batch, &message(7, Some(value.as_bytes())), 7);
        let expected =
            [(1, "not_object 5".to_owned()), (3, r#"missing_field {"symbol":"B"}"#.to_owned())];
        assert_eq!(kept_aside, expected);
        let rejects: Vec<_> =
            batch.rejects.iter().map(|kept| (kept.offset, kept.index, kept.value_bytes)).collect();
        assert_eq!(rejects, [(7, 1, Some(1)), (7, 3, Some(14))]);
        let rows: Vec<_> = batch.rows.iter().map(|row| (row.offset, row.index)).collect();
        assert_eq!((rows, batch.rows.count(), batch.messages), (vec![(7, 0), (7, 2)], 2, 1));
        assert_eq!(
            batch.ranges.iter().collect::<Vec<_>>(),
            [ranges::Range { at: AT, start: 7, next: 8 }]
        );
        assert_eq!(batch.sorted_bars().map(|(.., bar)| bar.ticks).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn of_thousands_of_broken_elements_the_first_hundred_are_kept_and_the_others_counted() {
        let mut batch = Batch::default();
        let value = format!("[{}]", ["{}"; 5000].join(","));
        assert_eq!(push(&mut batch, &message(7, Some(value.as_bytes())), 7).len(), 100);
        let last = &batch.rejects[99];
        let more = "; 4900 more elements of the message are broken, and are not kept";
        assert!(
            batch.rejects.len() == 100 && last.index == 99 && last.reject.detail.ends_with(more),
            "{last:?}"
        );
    }

    #[test]
    fn a_message_without_a_tick_is_one_reject() {
        for value in [&b"[]"[..], b"[1,2]", b"[", b"[[],[1]]"] {
            let mut batch = Batch::default();
            assert_eq!(push(&mut batch, &message(7, Some(value)), 7).len(), 1, "{value:?}");
            assert_eq!(
                (batch.rejects[0].index, batch.rejects[0].value.as_deref()),
                (0, Some(value))
            );
        }
    }

    /// Nothing that reads ticks looks for `units`.
    #[test]
    fn a_reject_shows_what_a_value_has_by_its_schema() {
        let text = r#"{"type":"record","name":"T","fields":[{"name":"price","type":
            {"type":"record","name":"P","fields":[{"name":"units","type":"int"}]}},
            {"name":"symbol","type":"string"},{"name":"ts","type":"long"}]}"#;
        let kind = SchemaKind::Avro;
        let schema = SchemaText { kind, text: text.to_owned(), references: Vec::new() };
        let mut schemas = Schemas::default();
        schemas.insert(1, Schema::parse(&schema, Some(&Rules::default())));
        let (mut batch, mut decoder) = (Batch::default(), decoder());
        decoder.set_schemas(schemas);
        // Units of 7, the symbol A, and the second 1,749,218,401.
        let value = [0, 0, 0, 0, 1, 14, 2, b'A', 0xc2, 0xd1, 0x97, 0x84, 0x0d];
        batch.push(&mut decoder, &message(7, Some(&value)), AT, 7, |_, _, _| ());
        assert_eq!(batch.rejects[0].reject.detail, r#"price {"units":7} is not a number"#);
        assert_eq!(batch.rejects[0].value.as_deref(), Some(&value[..]));
    }

    #[test]
    fn every_message_becomes_a_row_or_a_reject() {
        let mut batch = Batch::default();
        push(&mut batch, &message(7, Some(GOOD)), 7);
        push(&mut batch, &message(8, None), 8);
        push(&mut batch, &message(12, Some(b"x")), 9);
        assert_eq!((batch.messages, batch.rows.count(), batch.rejects.len()), (3, 1, 2));
        assert_eq!(
            batch.ranges.iter().collect::<Vec<_>>(),
            [ranges::Range { at: AT, start: 7, next: 13 }]
        );
        assert_eq!(batch.sent, [(Timestamp::from_micros(5), 3)]);
    }

    #[test]
    fn ticks_without_a_volume_are_counted() {
        let mut batch = Batch::default();
        let without = br#"{"symbol":"A","timestamp":1749218401,"price":1,"volume":null}"#;
        for (offset, value) in [(7, GOOD), (8, without), (9, without)] {
            push(&mut batch, &message(offset, Some(value)), offset);
        }
        assert_eq!((batch.rows.count(), batch.without_volume), (3, 2));
        assert_eq!(
            batch.parts(2).iter().map(|part| part.without_volume).collect::<Vec<_>>(),
            [1, 1]
        );
        batch.clear();
        assert_eq!(batch.without_volume, 0);
    }

    #[test]
    fn a_batch_of_many_symbols_or_minutes_is_full_before_its_bars_take_much_memory() {
        let bar = size_of::<(u32, Timestamp, Bar)>() + size_of::<Series>();
        assert!(bar <= 400, "{bar} bytes");
        for (symbols, minutes) in [(MAX_BARS, 1), (1, MAX_BARS), (MAX_BARS / 2, 2)] {
            let (mut batch, mut decoder, mut offset) = (Batch::default(), decoder(), 0);
            for (minute, symbol) in (0..minutes).flat_map(|m| (0..symbols).map(move |s| (m, s))) {
                assert!(!batch.is_full(u32::MAX), "{offset}");
                let seconds = 1_700_000_000 + minute * 60;
                let value = format!(
                    r#"{{"symbol":"S{symbol}","timestamp":{seconds},"price":1,"volume":3}}"#
                );
                let message = message(offset, Some(value.as_bytes()));
                batch.push(&mut decoder, &message, AT, offset, |_, _, _| ());
                offset += 1;
            }
            assert!(batch.is_full(u32::MAX), "{symbols} symbols in {minutes} minutes");
            batch.clear();
            assert!(!batch.is_full(u32::MAX));
        }
    }

    #[test]
    fn a_cleared_batch_is_as_new() {
        let mut batch = Batch::default();
        push(&mut batch, &message(7, Some(GOOD)), 7);
        batch.clear();
        assert!(batch.is_empty() && batch.opened().is_none() && batch.days.is_empty());
        push(&mut batch, &message(8, Some(GOOD)), 8);
        assert_eq!((batch.rows.count(), batch.days.len(), batch.sorted_bars().count()), (1, 1, 1));
    }
}
