//! [`Batch`]: decoded messages, ready to be written. It knows PostgreSQL's COPY format, but no connection.

mod bars;
mod parts;
mod ranges;
mod rejects;
mod rows;

pub use bars::MinuteBars;
pub use ranges::Ranges;
pub use rejects::RejectedMessage;
pub use rows::{COPY, Rows};

use crate::source::SourcePartition;
use common::decode::{Beside, Decoder};
use common::{Reject, Tick, Timestamp};
use std::collections::BTreeSet;
use std::time::Instant;

/// What bounds the memory of a batch whatever its messages are; 50,000 ordinary rows take 6 MB.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// A message as Kafka hands it out.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// When the producer sent it or the broker took it; `None` where the topic keeps no time.
    pub timestamp: Option<Timestamp>,
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

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

/// What one transaction will write. Reused from batch to batch, so that its memory is allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Rows,
    pub bars: MinuteBars,
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
    rejected_bytes: usize,
    opened: Option<Instant>,
    last_day: Option<Timestamp>,
}

impl Batch {
    /// Takes in a message of the partition `at`: a valid tick becomes a row and part of its minute's bar, any other is
    /// kept aside. `expected` is the offset that was to come. Gives the reason for which a message was rejected.
    pub fn push(
        &mut self,
        decoder: &mut Decoder,
        message: &Message<'_>,
        at: SourcePartition,
        expected: i64,
    ) -> Option<&Reject> {
        self.messages += 1;
        self.pass(at, expected, message.offset + 1);
        if let Some(sent) = message.timestamp {
            self.note_sent(sent);
        }
        let value = message.value.unwrap_or_default();
        let beside = Beside { key: message.key, topic: Some(message.topic), time: message.timestamp };
        if let Some(record) = decoder.decode_known(value, &beside) {
            self.accept(&record.tick, at, message.offset);
            return None;
        }
        match decoder.decode(value, &beside) {
            Ok(record) => {
                self.accept(&record.tick, at, message.offset);
                None
            }
            Err(reject) => {
                let rejected = RejectedMessage::new(at, message, reject);
                // The whole of it, which may be on its way to another topic meanwhile.
                self.rejected_bytes += value.len();
                self.rejects.push(rejected);
                self.rejects.last().map(|rejected| &rejected.reject)
            }
        }
    }

    /// Moves a partition from `expected` to `next`, over offsets that are no messages (or over a message).
    pub fn pass(&mut self, at: SourcePartition, expected: i64, next: i64) {
        self.opened.get_or_insert_with(Instant::now);
        self.ranges.extend(at, expected, next);
    }

    fn accept(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64) {
        self.rows.push(tick, at, offset);
        self.bars.add(tick, at.partition, offset);
        self.note_day(tick.timestamp());
        self.without_volume += u32::from(tick.volume().is_none());
    }

    /// Whether the batch should be written before it takes in more: `rows` messages, or as many bytes as memory allows.
    pub fn is_full(&self, rows: u32) -> bool {
        self.messages >= rows || self.rows.bytes().len() + self.rejected_bytes >= MAX_BATCH_BYTES
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
        self.rejects.clear();
        self.ranges.clear();
        self.gaps.clear();
        self.days.clear();
        self.sent.clear();
        self.messages = 0;
        self.without_volume = 0;
        self.rejected_bytes = 0;
        self.opened = None;
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
    use common::decode::Rules;

    const AT: SourcePartition = SourcePartition { source: 1, partition: 1 };
    const GOOD: &[u8] = br#"{"symbol":"A","timestamp":1749218401,"open":1,"close":2,"volume":3}"#;

    fn message(offset: i64, value: Option<&[u8]>) -> Message<'_> {
        Message { topic: "t", partition: 1, offset, timestamp: Some(Timestamp::from_micros(5)), key: None, value }
    }

    fn decoder() -> Decoder {
        Decoder::new(Rules::default(), Timestamp::now())
    }

    #[test]
    fn every_message_becomes_a_row_or_a_reject() {
        let mut batch = Batch::default();
        batch.push(&mut decoder(), &message(7, Some(GOOD)), AT, 7);
        batch.push(&mut decoder(), &message(8, None), AT, 8);
        batch.push(&mut decoder(), &message(12, Some(b"x")), AT, 9);
        assert_eq!((batch.messages, batch.rows.count(), batch.rejects.len()), (3, 1, 2));
        assert_eq!(batch.ranges.iter().collect::<Vec<_>>(), [ranges::Range { at: AT, start: 7, next: 13 }]);
        assert_eq!(batch.sent, [(Timestamp::from_micros(5), 3)]);
    }

    #[test]
    fn ticks_without_a_volume_are_counted() {
        let mut batch = Batch::default();
        let without = br#"{"symbol":"A","timestamp":1749218401,"price":1,"volume":null}"#;
        for (offset, value) in [(7, GOOD), (8, without), (9, without)] {
            batch.push(&mut decoder(), &message(offset, Some(value)), AT, offset);
        }
        assert_eq!((batch.rows.count(), batch.without_volume), (3, 2));
        assert_eq!(batch.parts(2).iter().map(|part| part.without_volume).collect::<Vec<_>>(), [1, 1]);
        batch.clear();
        assert_eq!(batch.without_volume, 0);
    }

    #[test]
    fn a_cleared_batch_is_as_new() {
        let mut batch = Batch::default();
        batch.push(&mut decoder(), &message(7, Some(GOOD)), AT, 7);
        batch.clear();
        assert!(batch.is_empty() && batch.opened().is_none() && batch.days.is_empty());
        batch.push(&mut decoder(), &message(8, Some(GOOD)), AT, 8);
        assert_eq!((batch.rows.count(), batch.days.len(), batch.bars.sorted().len()), (1, 1, 1));
    }
}
