//! Each tick once, whatever becomes of the instances.

use crate::scene::{Fate, PATIENCE, Scene, tick};
use std::time::Duration;
use testing::{TestMessage, eventually};

#[tokio::test]
async fn every_tick_is_written_once_and_every_other_message_is_kept_with_its_reason() {
    let scene = Scene::new(2).await;
    let long = "x".repeat(20_000);
    scene
        .topic
        .produce([
            TestMessage::new(0, tick(1)).at(1_749_218_400_000),
            TestMessage::new(0, format!(r#"{{"schema":{{}},"payload":{}}}"#, tick(2))),
            TestMessage::tombstone(0, "AAPL"),
            TestMessage::new(1, "not json"),
            TestMessage::new(1, long.clone()),
            TestMessage::new(1, tick(3)),
        ])
        .await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;

    let fates = scene.assert_each_once().await;
    let rejected: Vec<_> =
        fates.iter().filter(|(_, fate)| **fate == Fate::Rejected).map(|(at, _)| *at).collect();
    assert_eq!(rejected, [(0, 2), (1, 0), (1, 1)]);

    let row: (String, String, String, Option<String>, String, i64) = sqlx::query_as(
        "select symbol, (timestamp at time zone 'UTC')::text, open::text, high::text, close::text, \
         volume::bigint
         from realtime_stock where kafka_partition = 0 and kafka_offset = 0",
    )
    .fetch_one(scene.database.pool())
    .await
    .unwrap();
    let expected =
        ("MSFT".into(), "2025-06-06 14:00:00.001".into(), "201.5".into(), None, "201.25".into(), 1);
    assert_eq!(row, expected);

    /// Reason, kept bytes, length of the whole, and whether there is a hash.
    type Rejected = (String, Option<Vec<u8>>, Option<i64>, bool);
    let rejects: Vec<Rejected> = sqlx::query_as(
        "select reason, value, value_bytes, value_sha256 is not null from rejected_ticks
         order by kafka_partition, kafka_offset",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    assert_eq!(rejects[0], ("empty".into(), None, None, false));
    assert_eq!(rejects[1], ("not_json".into(), Some(b"not json".to_vec()), Some(8), false));
    assert_eq!(
        rejects[2],
        ("not_json".into(), Some(long.as_bytes()[..16 * 1024].to_vec()), Some(20_000), true)
    );
}

const CLASSIC: [&str; 2] = ["--kafka-property", "session.timeout.ms=6000"];

#[tokio::test]
async fn killed_joined_and_left_by_others_it_still_writes_each_tick_once() {
    be_killed_joined_and_left(&[&["--linger", "5ms"], &CLASSIC[..]].concat()).await;
}

#[tokio::test]
async fn so_it_does_with_the_newer_protocol_of_groups() {
    be_killed_joined_and_left(&["--linger", "5ms", "--kafka-property", "group.protocol=consumer"])
        .await;
}

#[tokio::test]
async fn so_it_does_with_an_assignment_that_is_taken_whole() {
    let eager = ["--kafka-property", "partition.assignment.strategy=range"];
    be_killed_joined_and_left(&[CLASSIC, eager].concat()).await;
}

#[tokio::test]
async fn so_it_does_through_several_connections() {
    be_killed_joined_and_left(&[&["--linger", "5ms", "--writers", "3"], &CLASSIC[..]].concat())
        .await;
}

/// In a group of its own: instances of another protocol or strategy must not be in it.
async fn be_killed_joined_and_left(flags: &[&str]) {
    let scene = Scene::new(4).await;
    let group = format!("group-of-{}", scene.topic.name());
    let flags = [flags, &["--batch-rows", "500", "--group-id", &group]].concat();
    scene.send_ticks(4, 3000).await;
    let first = scene.start(&flags);
    wait_for_rows(&scene, 1000).await;
    first.sigkill();
    drop(first);

    let mut second = scene.start(&flags);
    let sending = scene.send_ticks(4, 3000);
    let joining = async {
        second.wait_stderr("assigned partitions", PATIENCE).await;
        let mut third = scene.start(&flags);
        third.wait_stderr("assigned partitions", PATIENCE).await;
        scene.send_ticks(4, 3000).await;
        third.sigterm();
        assert!(third.wait_exit(Duration::from_secs(15)).await.success());
    };
    tokio::join!(sending, joining);
    scene.wait_all_in().await;
    second.sigterm();
    assert!(second.wait_exit(Duration::from_secs(15)).await.success());
    assert_eq!(scene.assert_each_once().await.len(), 36_000);
}

#[tokio::test]
async fn an_instance_that_wakes_up_after_its_partitions_moved_writes_nothing() {
    let scene = Scene::new(1).await;
    let flags = ["--kafka-property", "session.timeout.ms=6000"];
    scene.send_ticks(1, 100).await;
    let paused = scene.start(&flags);
    wait_for_rows(&scene, 100).await;
    paused.sigstop();

    // The paused instance is still a member; the other one gets the partition when its session
    // times out.
    let other = scene.start(&flags);
    scene.send_ticks(1, 100).await;
    wait_for_rows(&scene, 200).await;
    other.sigstop();
    scene.send_ticks(1, 100).await;
    paused.sigcont();
    // It knows nothing of what the other has written, and must find out before it goes on.
    wait_for_rows(&scene, 300).await;
    other.sigcont();
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn what_was_read_of_a_lost_partition_is_not_written_twice_when_it_comes_back() {
    let scene = Scene::new(1).await;
    let flags =
        ["--linger", "1m", "--batch-rows", "150", "--kafka-property", "session.timeout.ms=6000"];
    // 150 of 200 messages are a batch; the others wait in the next one until it is full.
    let paused = scene.start(&flags);
    scene.send_ticks(1, 200).await;
    wait_for_rows(&scene, 150).await;
    paused.sigstop();
    // Another instance gets the partition, and is killed before it has written anything.
    let other = scene.start(&flags);
    other.wait_stderr(&assigned(&scene, "0@150"), PATIENCE).await;
    other.sigkill();
    paused.sigcont();
    paused.wait_stderr(&assigned(&scene, "0@150"), PATIENCE).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn two_instances_that_write_the_same_bars_never_deadlock() {
    let scene = Scene::new(4).await;
    let flags = ["--batch-rows", "100", "--linger", "1ms"];
    let (first, second) = (scene.start(&flags), scene.start(&flags));
    first.wait_stderr("assigned partitions", PATIENCE).await;
    second.wait_stderr("assigned partitions", PATIENCE).await;
    scene.send_ticks(4, 5000).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(scene.count(deadlocks).await, 0);
    for instance in [&first, &second] {
        let failures: Vec<_> =
            instance.stderr().into_iter().filter(|line| line.contains("trying again")).collect();
        assert_eq!(failures, [""; 0]);
    }
}

#[tokio::test]
async fn partitions_that_stay_are_not_interrupted_when_another_instance_joins() {
    let scene = Scene::new(2).await;
    let first = scene.start(&[]);
    first.wait_stderr(&assigned(&scene, "0@0 1@0"), PATIENCE).await;
    let second = scene.start(&[]);
    second.wait_stderr("assigned partitions (with next offsets): ", PATIENCE).await;
    let given_up = first.wait_stderr("gave up partitions: ", PATIENCE).await;
    let partition = given_up.rsplit('/').next().unwrap();
    assert!(["0", "1"].contains(&partition), "{given_up}");
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn kafka_is_told_the_offsets_for_lag_monitors() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let mut speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(Duration::from_secs(10)).await;
    assert_eq!(committed(&scene), Some(10));
}

/// The line that an instance logs when it begins with these partitions, such as "0@5 1@7".
fn assigned(scene: &Scene, positions: &str) -> String {
    let positions: Vec<_> =
        positions.split(' ').map(|at| format!("{}/{at}", scene.topic.name())).collect();
    format!("assigned partitions (with next offsets): {}", positions.join(" "))
}

async fn wait_for_rows(scene: &Scene, at_least: i64) {
    eventually("rows to be written", PATIENCE, || async {
        let rows: i64 = sqlx::query_scalar("select count(*) from realtime_stock")
            .fetch_one(scene.database.pool())
            .await
            .unwrap_or(0);
        if rows >= at_least { Ok(()) } else { Err(format!("{rows} of {at_least}")) }
    })
    .await;
}

fn committed(scene: &Scene) -> Option<i64> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", scene.topic.brokers())
        .set("group.id", scene.group())
        .create()
        .unwrap();
    let mut asked = rdkafka::TopicPartitionList::new();
    asked.add_partition(scene.topic.name(), 0);
    let offsets = consumer.committed_offsets(asked, PATIENCE).unwrap();
    offsets.elements()[0].offset().to_raw()
}
