//! Messages that a broker's disk has spoiled.

use crate::refused::{NO_MORE_TRIGGER, passing_over};
use crate::scene::{PATIENCE, Scene, get, http_address, metric, tick, wait_ready};
use testing::{TestCluster, TestMessage, TestTopic, eventually};

/// Partition 1 has three batches of ten ticks each, of which the second has another price than was
/// sent.
async fn with_a_spoiled_batch() -> (Scene, TestCluster) {
    let mut cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1], &[2]]).await).await;
    for batch in 0..3 {
        let price = if batch == 1 { "\"open\":777.5" } else { "\"open\":201.5" };
        let ticks =
            (0..10).map(|number| tick(batch * 10 + number).replace("\"open\":201.5", price));
        scene.topic.produce(ticks.map(|tick| TestMessage::new(1, tick))).await;
    }
    cluster.second.stop().await;
    cluster.second.spoil(scene.topic.name(), 1, b"\"open\":777.5", b"\"open\":707.5");
    cluster.second.start();
    cluster.wait_leaders(scene.topic.name(), &[Some(1), Some(2)]).await;
    (scene, cluster)
}

#[tokio::test]
async fn a_spoiled_price_is_never_stored_and_stops_its_own_partition_alone() {
    let _turn = crate::elections::TURN.lock().await;
    let (scene, _cluster) = with_a_spoiled_batch().await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("cannot be read", PATIENCE).await;
    assert!(
        line.contains("/1: the messages from offset 10 on") && line.contains("--on-gap skip"),
        "{line}"
    );
    scene.topic.produce((0..5).map(|number| TestMessage::new(0, tick(number)))).await;
    scene
        .wait_count(
            "the other partition, and what lies before",
            "select count(*) from realtime_stock",
            15,
        )
        .await;
    assert_eq!(scene.count("select count(*) from realtime_stock where open > 700").await, 0);
    wait_ready(&address, 503).await;
    assert!(get(&address, "/readyz").1.contains("offset 10"));
}

#[tokio::test]
async fn a_spoiled_batch_that_may_be_skipped_is_recorded_as_a_gap() {
    let _turn = crate::elections::TURN.lock().await;
    let (scene, _cluster) = with_a_spoiled_batch().await;
    // Messages that are not recorded are not passed over, either.
    assert!(scene.start(&["--migrations", "only"]).wait_exit(PATIENCE).await.success());
    sqlx::raw_sql(passing_over("kafka_gaps", "insert", "true"))
        .execute(scene.database.pool())
        .await
        .unwrap();
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("does not take what a batch needs", PATIENCE).await;
    assert!(line.contains("kafka_gaps took 0 of 1 rows"), "{line}");
    let is_said = |line: &String| line.contains("recorded in kafka_gaps");
    assert!(!speed_layer.stderr().iter().any(is_said));
    scene.execute(NO_MORE_TRIGGER).await;
    scene
        .wait_count("what lies before and behind", "select count(*) from realtime_stock", 20)
        .await;
    let gap: (i32, i64, i64) =
        sqlx::query_as("select partition, from_offset, to_offset from kafka_gaps")
            .fetch_one(scene.database.pool())
            .await
            .unwrap();
    assert_eq!(gap, (1, 10, 20));
    assert_eq!(scene.count("select count(*) from realtime_stock where open > 700").await, 0);
    assert!(metric(&address, "speed_layer_damaged_batches_total").is_some_and(|count| count >= 1));
    assert_eq!(metric(&address, "speed_layer_gaps_skipped_total"), Some(1));
    assert_eq!(speed_layer.stderr().iter().filter(|line| is_said(line)).count(), 1);
}

/// Batches with a checksum that is right: of one the compressed bytes are spoiled, of the other
/// nobody knows the codec.
async fn with_batches_that_nobody_can_unpack() -> (Scene, TestCluster) {
    let mut cluster = TestCluster::start(&[1]).await;
    let (brokers, zstd) = (cluster.brokers(), [("compression.type", "zstd")]);
    let scene =
        Scene::with(TestTopic::placed_with(&brokers, &[&[1], &[2], &[2]], &zstd).await).await;
    for (partition, batch) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
        let ticks = (0..10).map(|number| tick(batch * 10 + number));
        scene.topic.produce(ticks.map(|tick| TestMessage::new(partition, tick))).await;
    }
    cluster.second.stop().await;
    // The records follow 40 bytes of attributes, numbers and times.
    cluster.second.remake(scene.topic.name(), 1, 10, |batch| {
        batch[40..72].iter_mut().for_each(|byte| *byte ^= 0xff)
    });
    cluster.second.remake(scene.topic.name(), 2, 10, |batch| batch[1] |= 7);
    cluster.second.start();
    cluster.wait_leaders(scene.topic.name(), &[Some(1), Some(2), Some(2)]).await;
    (scene, cluster)
}

#[tokio::test]
async fn a_batch_that_cannot_be_unpacked_stops_its_own_partition_and_is_recorded_where_it_may_be_skipped()
 {
    let _turn = crate::elections::TURN.lock().await;
    let (scene, _cluster) = with_batches_that_nobody_can_unpack().await;
    let mut stopped = scene.start(&[]);
    let address = http_address(&stopped).await;
    for (partition, why) in [(1, "codec 0x4"), (2, "codec 0x7")] {
        let words = format!(
            "{}/{partition}: the messages from offset 10 on cannot be read",
            scene.topic.name()
        );
        let line = stopped.wait_stderr(&words, PATIENCE).await;
        assert!(line.contains(why) && line.contains("--on-gap skip"), "{line}");
    }
    scene.topic.produce((0..5).map(|number| TestMessage::new(0, tick(number)))).await;
    let written = |count| {
        let scene = &scene;
        eventually("what can be read", PATIENCE, move || async move {
            scene.count("select count(*) from realtime_stock").await == count
        })
    };
    written(25).await;
    wait_ready(&address, 503).await;
    assert!(metric(&address, "speed_layer_damaged_batches_total").is_some_and(|count| count >= 2));
    stopped.sigterm();
    stopped.wait_exit(PATIENCE).await;

    let _skipping = scene.start(&["--on-gap", "skip"]);
    written(45).await;
    let gaps: Vec<(i32, i64, i64)> = sqlx::query_as(
        "select partition, from_offset, to_offset from kafka_gaps order by partition",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    assert_eq!(gaps, [(1, 10, 20), (2, 10, 20)]);
}
