//! A compacted topic, whose offsets have holes.

use crate::scene::{PATIENCE, Scene, tick};
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use std::time::Duration;
use testing::kafka::client_config;
use testing::{Record, eventually};

const SENT: i64 = 300;

/// Makes Kafka's cleaner take the topic at its next round, every 15 seconds.
const AT_ONCE: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("min.compaction.lag.ms", "0"),
];

/// The offsets that the topic still has.
fn offsets_in(topic: &str, brokers: &str) -> Vec<i64> {
    let consumer: BaseConsumer = client_config(brokers)
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut offsets = Vec::new();
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => offsets.push(message.offset()),
            Some(Err(_)) => return offsets,
            None => {}
        }
    }
}

#[tokio::test]
async fn a_compacted_topics_missing_offsets_are_no_gap() {
    let scene = Scene::with_topic(&AT_ONCE).await;
    let (topic, brokers) = (scene.topic.name().to_owned(), scene.topic.brokers().to_owned());
    for number in 0..SENT {
        // Five keys, and time for segments to be closed: only closed ones are compacted.
        scene.topic.produce([Record::new(0, tick(number)).key(format!("{}", number % 5))]).await;
    }
    let kept = || {
        let (topic, brokers) = (topic.clone(), brokers.clone());
        async move { tokio::task::spawn_blocking(move || offsets_in(&topic, &brokers)).await.unwrap() }
    };
    eventually("Kafka to compact the topic", PATIENCE, || async {
        (kept().await.len() < 100).then_some(())
    })
    .await;

    let mut speed_layer = scene.start(&[]);
    let stored = "select next_offset from kafka_offsets";
    eventually("the topic's end", PATIENCE, || async { scene.count(stored).await == SENT }).await;
    let written: Vec<i64> =
        sqlx::query_scalar("select kafka_offset from realtime_stock order by 1")
            .fetch_all(scene.database.pool())
            .await
            .unwrap();
    // The cleaner may have gone on meanwhile: what it left last must be there, and nothing that was
    // not sent.
    assert!(kept().await.iter().all(|offset| written.contains(offset)), "{written:?}");
    assert!(written.len() < SENT as usize);
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
    assert_eq!(speed_layer.exit_status(), None);
}
