//! What the topic holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::archive::convert::{Converted, Position, convert};
use crate::simulate::feed::Kind;
use testing::kafka::{KafkaArgs, Quiet, partitions, watermarks};

use super::staging::{Entry, Rows};

/// How long the brokers may be silent while there is something to read.
const SILENCE: Duration = Duration::from_secs(30);

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
pub fn bounds(kafka: &KafkaArgs) -> anyhow::Result<Topic> {
    let inquirer = kafka.inquirer()?;
    let ids = partitions(&inquirer, &kafka.topic)?;
    let bounds = watermarks(&inquirer, &kafka.topic)?;
    let partition = |(low, high)| Partition { low, high, ..Partition::default() };
    Ok(ids.into_iter().zip(bounds.into_iter().map(partition)).collect())
}

/// Reads every record below the high watermarks, and gives each to `rows` too.
pub fn read(kafka: &KafkaArgs, topic: &mut Topic, rows: &mut Rows) -> anyhow::Result<()> {
    let mut config = kafka.client_config();
    // It joins no group, but the client wants a name.
    config
        .set("group.id", "workbench-prove")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    config.set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer<Quiet> =
        config.create_with_context(Quiet).context("set up the Kafka consumer")?;
    let mut open: Vec<i32> =
        topic.iter().filter(|(_, found)| found.high > found.low).map(|(id, _)| *id).collect();
    let mut assignment = TopicPartitionList::new();
    for id in &open {
        let offset = Offset::Offset(topic.get(id).map_or(0, |found| found.low));
        assignment.add_partition_offset(&kafka.topic, *id, offset).context("a list of offsets")?;
    }
    consumer.assign(&assignment).context("read the topic")?;
    let mut heard = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let Some(found) = topic.get_mut(&message.partition()) else { continue };
                if message.offset() < found.high {
                    found.take(&message);
                    rows.push(&entry(&message))?;
                }
                if message.offset() + 1 >= found.high {
                    open.retain(|id| *id != message.partition());
                }
            }
            // Below the watermark may be gaps, of transactions or compaction.
            Some(Err(KafkaError::PartitionEOF(id))) => open.retain(|open| *open != id),
            Some(Err(error)) => {
                tracing::warn!("reading topic {}: {error}; the client goes on trying", kafka.topic)
            }
            None => {}
        }
        if heard.elapsed() > SILENCE {
            bail!("topic {}: partitions {open:?} gave nothing for {SILENCE:?}", kafka.topic);
        }
    }
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
