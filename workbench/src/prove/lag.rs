//! Waiting for the readers of the topic.

use super::args::ProveArgs;
use super::tables;
use super::topic::Topic;
use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Quiet};

const PAUSE: Duration = Duration::from_millis(500);

/// Records of the topic that a reader has not come to, in all partitions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lags {
    pub speed_layer: i64,
    pub archiver: i64,
}

/// Waits until both readers have come to the high watermarks, or the time is up; gives what was
/// left then.
pub async fn await_none(
    args: &ProveArgs,
    topic: &Topic,
    connection: &mut PgConnection,
) -> anyhow::Result<Lags> {
    let deadline = Instant::now() + args.timeout;
    let mut said = false;
    loop {
        let written = tables::next_offsets(connection, &args.group_id, &args.kafka.topic)
            .await
            .context("read kafka_offsets")?;
        let (kafka, group) = (args.kafka.clone(), args.archive_group_id.clone());
        let ids: Vec<i32> = topic.keys().copied().collect();
        let asking = tokio::task::spawn_blocking(move || committed(&kafka, &group, &ids));
        let archived = asking.await.context("a reading thread")??;
        let lags = Lags { speed_layer: lag(topic, &written), archiver: lag(topic, &archived) };
        if lags == (Lags { speed_layer: 0, archiver: 0 }) || Instant::now() >= deadline {
            return Ok(lags);
        }
        if !said {
            said = true;
            let Lags { speed_layer, archiver } = lags;
            tracing::info!(
                "waiting for the speed layer ({speed_layer} records behind) and the archiver ({archiver})"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn lag(topic: &Topic, reached: &BTreeMap<i32, i64>) -> i64 {
    let behind = |(id, found): (&i32, &super::topic::Partition)| {
        let next = reached.get(id).copied().unwrap_or(found.low).max(found.low);
        (found.high - next).max(0)
    };
    topic.iter().map(behind).sum()
}

fn committed(kafka: &KafkaArgs, group: &str, ids: &[i32]) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut config = kafka.client_config();
    config.set("group.id", group);
    let consumer: BaseConsumer<Quiet> =
        config.create_with_context(Quiet).context("set up the Kafka client")?;
    let mut asked = TopicPartitionList::new();
    for id in ids {
        asked.add_partition(&kafka.topic, *id);
    }
    let offsets = consumer
        .committed_offsets(asked, Duration::from_secs(10))
        .with_context(|| format!("committed offsets of group {group}"))?;
    let known = offsets.elements();
    let known = known.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    });
    Ok(known.collect())
}
