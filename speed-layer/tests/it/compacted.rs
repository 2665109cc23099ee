//! A compacted topic, whose offsets have holes.

use crate::scene::{PATIENCE, Scene, tick};
use rdkafka::message::Message;
use testing::{TestMessage, TestTopic, eventually};

const SENT: i64 = 300;

/// Makes Kafka's cleaner take the topic at its next round, every 15 seconds.
const AT_ONCE: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("min.compaction.lag.ms", "0"),
];

/// The offsets that the topic still has.
fn offsets_in(topic: &TestTopic) -> Vec<i64> {
    let mut offsets = Vec::new();
    let reading = topic.read(|message| {
        offsets.push(message.offset());
        Ok(())
    });
    reading.unwrap();
    offsets
}

#[tokio::test]
async fn a_compacted_topics_missing_offsets_are_no_gap() {
    let scene = Scene::with_topic(&AT_ONCE).await;
    for number in 0..SENT {
        // Five keys, and time for segments to be closed: only closed ones are compacted.
        scene
            .topic
            .produce([TestMessage::new(0, tick(number)).key(format!("{}", number % 5))])
            .await;
    }
    eventually("Kafka to compact the topic", PATIENCE, || async {
        offsets_in(&scene.topic).len() < 100
    })
    .await;

    let mut speed_layer = scene.start(&[]);
    let stored = "select next_offset from kafka_offsets";
    scene.wait_count("the topic's end", stored, SENT).await;
    let written: Vec<i64> =
        sqlx::query_scalar("select kafka_offset from realtime_stock order by 1")
            .fetch_all(scene.database.pool())
            .await
            .unwrap();
    // The cleaner may have gone on meanwhile: what it left last must be there, and nothing that was
    // not sent.
    assert!(offsets_in(&scene.topic).iter().all(|offset| written.contains(offset)), "{written:?}");
    assert!(written.len() < SENT as usize);
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
    assert_eq!(speed_layer.exit_status(), None);
}
