//! Topics that are not what they were, or not the only one.

use crate::scene::{Fate, PATIENCE, Scene, http_address, metric, tick, wait_ready};
use std::time::Duration;
use testing::{Child, TestMessage, TestTopic, eventually};

/// Ten ticks of the topic are written; then it is recreated with fifteen others, so that the old
/// offset is in its range.
async fn with_a_topic_made_anew() -> Scene {
    let scene = Scene::read_and_stopped(1, 10).await;
    scene.topic.make_anew(1).await;
    scene.send_ticks(1, 15).await;
    scene
}

#[tokio::test]
async fn a_topic_that_was_made_anew_ends_the_process_with_a_sentence_by_default() {
    let scene = with_a_topic_made_anew().await;
    let mut speed_layer = scene.start(&[]);
    assert_eq!(speed_layer.wait_exit(PATIENCE).await.code(), Some(2));
    let line = speed_layer.stderr().last().cloned().unwrap();
    for part in [scene.topic.name(), "was recreated", "source 1", "--on-gap skip"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 10);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_read_whole_as_another_source_where_that_is_wanted() {
    let scene = with_a_topic_made_anew().await;
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    scene
        .wait_count(
            "all of the new topic",
            "select count(*) from realtime_stock where source = 2",
            15,
        )
        .await;
    assert_eq!(scene.count("select count(*) from realtime_stock where source = 1").await, 10);
    assert_eq!(scene.count("select from_offset from kafka_gaps where source = 1").await, 10);
    let address = http_address(&speed_layer).await;
    assert_eq!(metric(&address, "speed_layer_gaps_skipped_total"), Some(1));
}

#[tokio::test]
async fn broken_messages_of_a_topic_made_anew_stand_beside_those_of_the_old_one() {
    let scene = Scene::new(1).await;
    scene
        .topic
        .produce([
            TestMessage::new(0, tick(1)),
            TestMessage::new(0, "x"),
            TestMessage::new(0, tick(2)),
        ])
        .await;
    let mut speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    scene.topic.make_anew(1).await;
    scene.topic.produce([TestMessage::new(0, tick(1)), TestMessage::new(0, "y")]).await;
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    eventually("both topics' messages", PATIENCE, || async {
        let rejected =
            scene.count("select count(*) from rejected_ticks where kafka_offset = 1").await;
        rejected == 2 && scene.count("select count(*) from realtime_stock").await == 3
    })
    .await;
}

/// As if the brokers had told less when the topic was first seen.
const FORGET_IDS: &str = "update kafka_sources set cluster_id = '', topic_id = ''";
const WITH_IDS: &str =
    "select count(*) from kafka_sources where cluster_id <> '' and topic_id <> ''";

#[tokio::test]
async fn a_topic_that_was_entered_without_its_ids_learns_them_and_is_told_apart_from_then_on() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    for forget in ["update kafka_sources set cluster_id = ''", FORGET_IDS] {
        let mut speed_layer = scene.start(&[]);
        scene.wait_all_in().await;
        speed_layer.sigterm();
        speed_layer.wait_exit(PATIENCE).await;
        scene.execute(forget).await;
    }
    let mut speed_layer = scene.start(&[]);
    scene.wait_count("the ids", WITH_IDS, 1).await;
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from kafka_sources").await, 1);
    scene.assert_each_once().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    scene.topic.make_anew(1).await;
    let mut speed_layer = scene.start(&[]);
    assert_eq!(speed_layer.wait_exit(PATIENCE).await.code(), Some(2));
    assert!(speed_layer.stderr().last().unwrap().contains("was recreated"));
}

#[tokio::test]
async fn of_two_instances_that_enter_a_topic_at_once_one_of_which_knows_no_id_none_makes_a_second_source()
 {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success());
    // Another one is at it.
    let mut entering = scene.database.pool().begin().await.unwrap();
    let enter = "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions) \
        values ($1, '', $2, '', 1)";
    let query = sqlx::query(enter).bind(scene.group()).bind(scene.topic.name());
    query.execute(&mut *entering).await.unwrap();
    let _speed_layer = scene.start(&[]);
    let waiting =
        "select count(*) from pg_locks where relation = 'kafka_sources'::regclass and not granted";
    scene.wait_count("the speed layer to wait for it", waiting, 1).await;
    entering.commit().await.unwrap();
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from kafka_sources").await, 1);
    assert_eq!(scene.count(WITH_IDS).await, 1);
    scene.assert_each_once().await;
}

#[tokio::test]
async fn a_topic_that_is_made_anew_while_it_is_read_is_noticed() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    let address = http_address(&speed_layer).await;
    scene.wait_all_in().await;
    scene.topic.delete().await;
    speed_layer.wait_stderr("does not exist", PATIENCE).await;
    wait_ready(&address, 503).await;
    scene.topic.make_anew_after_delete(2).await;
    scene.send_ticks(2, 5).await;
    scene
        .wait_count(
            "all of the new topic",
            "select count(*) from realtime_stock where source = 2",
            10,
        )
        .await;
    let rows: Vec<(i16, i32, i64)> = sqlx::query_as(
        "select source, kafka_partition, count(*) from realtime_stock group by 1, 2 order by 1, 2",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    assert_eq!(rows, [(1, 0, 10), (2, 0, 5), (2, 1, 5)], "{:#?}", speed_layer.stderr());
    wait_ready(&address, 200).await;
}

#[tokio::test]
async fn several_topics_feed_one_database_and_are_told_apart() {
    let scene = Scene::new(1).await;
    let other = TestTopic::create(2).await;
    let topics = format!("{},{}", scene.topic.name(), other.name());
    scene.send_ticks(1, 10).await;
    let mut speed_layer = scene.start(&["--topic", &topics]);
    other.produce((0..20).map(|number| TestMessage::new(number % 2, tick(number.into())))).await;
    scene.wait_count("both topics", "select count(*) from realtime_stock", 30).await;
    let mut by_topic: Vec<(String, i64)> = sqlx::query_as(
        "select topic, count(distinct (kafka_partition, kafka_offset))
         from realtime_stock join kafka_sources using (source) group by topic",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    by_topic.sort_by_key(|(_, count)| *count);
    assert_eq!(by_topic, [(scene.topic.name().to_owned(), 10), (other.name().to_owned(), 20)]);
    // They are so after a restart, too.
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    let _speed_layer = scene.start(&["--topic", &topics]);
    other.produce([TestMessage::new(1, tick(99))]).await;
    scene.wait_count("one more", "select count(*) from realtime_stock", 31).await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_entered_holds_up_no_other() {
    let scene = Scene::read_and_stopped(1, 10).await;
    let other = TestTopic::create(1).await;
    other.produce([TestMessage::new(0, tick(0))]).await;

    // Somebody renames a group in a session that is left open.
    let mut open = scene.database.pool().begin().await.unwrap();
    let rename = "update kafka_sources set group_id = group_id";
    sqlx::query(rename).execute(&mut *open).await.unwrap();
    let topics = format!("{},{}", scene.topic.name(), other.name());
    let speed_layer = scene.start(&["--topic", &topics]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("as a source (kafka_sources", PATIENCE).await;
    assert!(line.contains(other.name()) && line.contains("lock"), "{line}");
    for number in 0..5 {
        scene.topic.produce([TestMessage::new(0, tick(number))]).await;
        eventually("the topic that is known", Duration::from_secs(3), || async {
            scene.count("select count(*) from realtime_stock").await == 11 + number
        })
        .await;
    }
    wait_ready(&address, 503).await;
    open.rollback().await.unwrap();
    scene
        .wait_count("the other topic", "select count(*) from realtime_stock where source = 2", 1)
        .await;
    wait_ready(&address, 200).await;
}

/// The topic of the groups' offsets, which an instance writes to: each of its commits would be a
/// message to read.
#[tokio::test]
async fn a_pattern_finds_none_of_kafka_s_own_topics() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 5).await;
    let pattern = format!("^(__consumer_offsets|{})$", scene.topic.name());
    let _speed_layer = scene.start(&["--topic", &pattern]);
    scene.wait_all_in().await;
    // All topics of an assignment are entered before any of them is read.
    assert_eq!(scene.count("select count(*) from kafka_sources").await, 1);
}

#[tokio::test]
async fn the_topics_of_a_pattern_are_read() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let pattern = format!("^{}$", scene.topic.name());
    let _speed_layer = scene.start(&["--topic", &pattern]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn the_same_group_with_another_topic_is_another_source() {
    let scene = Scene::new(1).await;
    let other = TestTopic::create(1).await;
    scene.send_ticks(1, 10).await;
    let mut speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    other.produce((0..10).map(|number| TestMessage::new(0, tick(number)))).await;
    let _speed_layer = scene.start(&["--topic", other.name()]);
    scene
        .wait_count(
            "both topics",
            "select count(distinct (source, kafka_offset)) from realtime_stock",
            20,
        )
        .await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 20);
}

#[tokio::test]
async fn of_two_groups_that_begin_at_once_one_is_refused_and_no_tick_is_doubled() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 1000).await;
    let start = |group: &str| scene.start(&["--group-id", group]);
    let (mut one, mut other) = (start("one"), start("other"));
    let refused =
        |child: &mut Child| child.exit_status().is_some_and(|status| status.code() == Some(2));
    eventually("one of them to be refused", PATIENCE, || {
        let found = refused(&mut one) || refused(&mut other);
        async move { found }
    })
    .await;
    scene.wait_all_in().await;
    let fates = scene.assert_each_once().await;
    assert!(fates.values().all(|fate| *fate == Fate::Written));
    let ended = if one.exit_status().is_some() { &one } else { &other };
    let line = ended.stderr().last().cloned().unwrap();
    assert!(line.contains("already writes topic") && !line.contains("delete"), "{line}");
}

#[tokio::test]
async fn a_database_that_numbers_its_sources_otherwise_after_an_outage_gets_no_tick_under_a_false_number()
 {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let mut speed_layer = scene.start(&["--writers", "2"]);
    scene.wait_all_in().await;
    // As in a restored one: what source 1 is here is another topic.
    let other = "update kafka_sources set topic = 'another';
                 select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'speed-layer'";
    scene.execute(other).await;
    scene.send_ticks(1, 10).await;
    scene
        .wait_count(
            "all of the topic under a number of its own",
            "select count(*) from realtime_stock where source > 1",
            20,
        )
        .await;
    assert_eq!(scene.count("select count(*) from realtime_stock where source = 1").await, 10);
    assert_eq!(speed_layer.exit_status(), None);
}

/// Like `pg_restore` between its data and its keys: rows that were entered then were there twice.
#[tokio::test]
async fn nothing_is_entered_or_begun_while_a_restore_has_not_made_the_keys() {
    let scene = Scene::new(2).await;
    scene.send_ticks(2, 20).await;
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    for (table, columns) in [
        ("kafka_sources", "source"),
        ("kafka_offsets", "source, partition"),
        ("started_partitions", "source, partition"),
    ] {
        let lose = format!("alter table {table} drop constraint {table}_pkey cascade");
        scene.execute(&lose).await;
        let rows = format!("select count(*) from {table}");
        let speed_layer = scene.start(&[]);
        speed_layer.wait_stderr("42P10", PATIENCE).await;
        assert_eq!(scene.count(rows.leak()).await, 0, "{table}");
        drop(speed_layer);
        let make =
            format!("alter table {table} add constraint {table}_pkey primary key ({columns})");
        scene.execute(&make).await;
    }
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}
