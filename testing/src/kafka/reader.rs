//! Reading a topic as far as it went at one moment.

use anyhow::{Context, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use service::kafka::Quiet;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the brokers may be silent while there is something to read.
const SILENCE: Duration = Duration::from_secs(30);

/// Gives every record from a partition's low watermark up to its high one to `take`. The watermarks
/// stay as they are given, so that a topic that is being written can be read, too.
///
/// # Errors
/// Brokers that fall silent, and what `take` says.
pub fn read(
    mut config: ClientConfig,
    topic: &str,
    watermarks: &BTreeMap<i32, (i64, i64)>,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // It joins no group, but the client wants a name.
    config.set("group.id", "workbench-reader").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true").set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer<Quiet> =
        config.create_with_context(Quiet).context("set up the Kafka consumer")?;
    let high = |id: i32| watermarks.get(&id).map_or(0, |(_, high)| *high);
    let (mut open, mut all) = (Vec::new(), TopicPartitionList::new());
    for (id, (low, _)) in watermarks.iter().filter(|(_, (low, high))| high > low) {
        open.push(*id);
        all.add_partition_offset(topic, *id, Offset::Offset(*low)).context("a list of offsets")?;
    }
    consumer.assign(&all).context("read the topic")?;
    let mut heard = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (id, offset) = (message.partition(), message.offset());
                if offset < high(id) {
                    take(&message)?;
                }
                if offset + 1 >= high(id) {
                    open.retain(|open| *open != id);
                }
            }
            // Below the watermark may be gaps, of transactions or compaction.
            Some(Err(KafkaError::PartitionEOF(id))) => open.retain(|open| *open != id),
            Some(Err(error)) => {
                tracing::warn!("reading topic {topic}: {error}; the client goes on trying")
            }
            None => {}
        }
        if heard.elapsed() > SILENCE {
            bail!("topic {topic}: partitions {open:?} gave nothing for {SILENCE:?}");
        }
    }
    Ok(())
}
