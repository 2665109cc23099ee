//! What the topic holds.

use super::staging::{Entry, Rows};
use crate::archive::convert::{Converted, Position, convert};
use crate::simulate::feed::Kind;
use anyhow::Context;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use std::collections::BTreeMap;
use testing::kafka::{self, KafkaArgs, partitions, watermarks};

/// One partition up to a high watermark that stays fixed, so that a topic being written can be
/// proven too.
#[derive(Debug, Default)]
pub struct Partition {
    pub low: i64,
    pub high: i64,
    /// Offsets of all records.
    pub records: Vec<i64>,
    /// Offsets of those that the archive must hold.
    pub archivable: Vec<i64>,
    /// Records that the sink sends to the dead-letter topic, and those that it ignores.
    pub dead_letters: u64,
    pub ignored: u64,
}

pub type Topic = BTreeMap<i32, Partition>;

/// The partitions with their watermarks; nothing is read yet.
pub async fn bounds(kafka: KafkaArgs) -> anyhow::Result<Topic> {
    let asked = tokio::task::spawn_blocking(move || {
        let inquirer = kafka.inquirer()?;
        let ids = partitions(&inquirer, &kafka.topic)?;
        let bounds = watermarks(&inquirer, &kafka.topic)?;
        let partition = |(low, high)| Partition { low, high, ..Partition::default() };
        Ok(ids.into_iter().zip(bounds.into_iter().map(partition)).collect())
    });
    asked.await.context("a reading thread")?
}

/// Reads every record below the high watermarks, and gives each to `rows` too.
pub fn read(kafka: &KafkaArgs, topic: &mut Topic, rows: &mut Rows) -> anyhow::Result<()> {
    let watermarks = topic.iter().map(|(id, found)| (*id, (found.low, found.high))).collect();
    kafka::read(kafka.client_config(), &kafka.topic, &watermarks, |message| {
        if let Some(found) = topic.get_mut(&message.partition()) {
            found.take(message);
        }
        rows.push(&entry(message))
    })?;
    rows.flush()
}

fn entry<'a>(message: &'a BorrowedMessage<'_>) -> Entry<'a> {
    let header = message
        .headers()
        .and_then(|headers| headers.iter().find(|header| header.key == Kind::HEADER));
    Entry {
        partition: message.partition(),
        offset: message.offset(),
        fate: header.and_then(|header| str::from_utf8(header.value?).ok()),
        value: message.payload(),
    }
}

impl Partition {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let position = Position { partition: message.partition(), offset: message.offset() };
        self.records.push(position.offset);
        match convert(message.payload(), position) {
            Converted::Line(_) => self.archivable.push(position.offset),
            Converted::DeadLetter(_) => self.dead_letters += 1,
            Converted::Ignored => self.ignored += 1,
        }
    }
}
