use crate::scene::{PATIENCE, Scene};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A scene whose consumer has read ten messages and missed five of the ten that followed.
async fn with_a_gap() -> Scene {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let mut speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    scene.send_ticks(1, 10).await;

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", scene.topic.brokers()).create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(scene.topic.name(), 0, Offset::Offset(15)).unwrap();
    admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
    scene
}

#[tokio::test]
async fn messages_that_kafka_no_longer_has_stop_it_by_default() {
    let scene = with_a_gap().await;
    let mut speed_layer = scene.start(&[]);
    assert_eq!(speed_layer.wait_exit(PATIENCE).await.code(), Some(2));
    let line = speed_layer.stderr().last().cloned().unwrap();
    for part in ["/0 has offsets 15..20", "next to read is 10", "5 offsets are gone", "--on-gap skip"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn a_gap_that_may_be_skipped_is_recorded() {
    let scene = with_a_gap().await;
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    workbench::testing::eventually("the messages behind the gap", PATIENCE, || async {
        scene.count("select count(*) from realtime_stock").await == 15
    })
    .await;
    let gap: (i64, i64) =
        sqlx::query_as("select from_offset, to_offset from kafka_gaps").fetch_one(scene.database.pool()).await.unwrap();
    assert_eq!(gap, (10, 15));
    assert_eq!(scene.count("select next_offset from kafka_offsets").await, 20);
}

#[tokio::test]
async fn an_offset_beyond_the_topics_end_is_a_gap_too() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    drop(speed_layer);
    // As if the topic had been made anew.
    sqlx::query("update kafka_offsets set next_offset = 1000").execute(scene.database.pool()).await.unwrap();
    let mut speed_layer = scene.start(&[]);
    assert_eq!(speed_layer.wait_exit(PATIENCE).await.code(), Some(2));
    let line = speed_layer.stderr().last().cloned().unwrap();
    assert!(line.contains("made anew or truncated"), "{line}");
}

#[tokio::test]
async fn a_new_group_may_begin_with_the_next_message() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&["--start", "latest"]);
    speed_layer.wait_stderr("assigned partitions (with next offsets): 0@10", PATIENCE).await;
    scene.send_ticks(1, 3).await;
    workbench::testing::eventually("the new messages", PATIENCE, || async {
        scene.count("select count(*) from realtime_stock").await == 3
    })
    .await;
}
