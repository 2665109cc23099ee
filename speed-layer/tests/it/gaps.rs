//! Offsets that Kafka no longer has.

use crate::refused::{NO_MORE_TRIGGER, passing_over};
use crate::scene::{PATIENCE, Scene, get, http_address, metric, tick, wait_ready};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sqlx::postgres::PgTransaction;
use std::time::{Duration, Instant};
use testing::{Child, TestMessage, TestTopic, eventually};

fn admin(scene: &Scene) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", scene.topic.brokers()).create().unwrap()
}

/// A scene whose consumer has read ten messages and missed five of the ten that followed.
async fn with_a_gap() -> Scene {
    let scene = Scene::read_and_stopped(1, 10).await;
    scene.send_ticks(1, 10).await;

    let mut before = TopicPartitionList::new();
    before.add_partition_offset(scene.topic.name(), 0, Offset::Offset(15)).unwrap();
    admin(&scene).delete_records(&before, &AdminOptions::new()).await.unwrap();
    scene
}

async fn passes_over_the_gap(scene: &Scene) {
    scene
        .wait_count("the messages behind the gap", "select count(*) from realtime_stock", 15)
        .await;
    let gap: (i64, i64) = sqlx::query_as("select from_offset, to_offset from kafka_gaps")
        .fetch_one(scene.database.pool())
        .await
        .unwrap();
    assert_eq!(gap, (10, 15));
    assert_eq!(scene.count("select next_offset from kafka_offsets").await, 20);
}

#[tokio::test]
async fn messages_that_kafka_no_longer_has_stop_their_partition_by_default() {
    let scene = with_a_gap().await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("--on-gap skip", PATIENCE).await;
    for part in ["/0: Kafka has the offsets 15..20", "next to read is 10", "5 offsets are gone"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    wait_ready(&address, 503).await;
    let (_, body) = get(&address, "/readyz");
    assert!(body.contains("5 offsets are gone"), "{body}");
    assert_eq!(metric(&address, "speed_layer_stalled_partitions"), Some(1));
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 10);
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
}

#[tokio::test]
async fn a_partition_that_stands_at_a_gap_holds_up_no_other() {
    let scene = Scene::new(2).await;
    scene.send_ticks(2, 10).await;
    let speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    drop(speed_layer);
    sqlx::query("update kafka_offsets set next_offset = 1000 where partition = 0")
        .execute(scene.database.pool())
        .await
        .unwrap();
    let speed_layer = scene.start(&[]);
    speed_layer
        .wait_stderr("/0: Kafka has the offsets 0..10, but the next to read is 1000", PATIENCE)
        .await;
    scene.topic.produce((0..5).map(|number| TestMessage::new(1, tick(number)))).await;
    scene
        .wait_count(
            "the other partition",
            "select count(*) from realtime_stock where kafka_partition = 1",
            15,
        )
        .await;
}

#[tokio::test]
async fn a_gap_that_may_be_skipped_is_recorded() {
    let scene = with_a_gap().await;
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    passes_over_the_gap(&scene).await;
}

/// An instance that skips it may end before Prometheus has asked.
#[tokio::test]
async fn when_the_last_gap_was_is_told_by_whoever_skips_it_and_by_whoever_starts_later() {
    let scene = with_a_gap().await;
    let tells = async |speed_layer: &Child, at: i64| {
        let address = http_address(speed_layer).await;
        eventually("the time of the last gap", PATIENCE, || async {
            let told = metric(&address, "speed_layer_last_gap_timestamp_seconds");
            // Seconds of two clocks.
            let is_it = told.is_some_and(|told| told.abs_diff(at.cast_unsigned()) <= 60);
            if is_it { Ok(()) } else { Err(format!("{told:?}, not {at}")) }
        })
        .await;
    };
    let mut skipping = scene.start(&["--on-gap", "skip"]);
    passes_over_the_gap(&scene).await;
    let recorded = "select extract(epoch from recorded_at)::bigint from kafka_gaps";
    tells(&skipping, scene.count(recorded).await).await;
    skipping.sigterm();
    skipping.wait_exit(PATIENCE).await;

    let long_ago = "update kafka_gaps set recorded_at = recorded_at - interval '2 hours'";
    sqlx::query(long_ago).execute(scene.database.pool()).await.unwrap();
    tells(&scene.start(&[]), scene.count(recorded).await).await;
}

#[tokio::test]
async fn a_gap_that_cannot_be_recorded_is_not_passed_over() {
    let scene = with_a_gap().await;
    sqlx::raw_sql(passing_over("kafka_gaps", "insert", "true"))
        .execute(scene.database.pool())
        .await
        .unwrap();
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    speed_layer.wait_stderr("kafka_gaps took 0 of 1 rows", PATIENCE).await;
    assert_eq!(scene.count("select next_offset from kafka_offsets").await, 10);
    scene.execute(NO_MORE_TRIGGER).await;
    passes_over_the_gap(&scene).await;
}

/// The log of the topic ends at 10, and 15 is to be read next. While that is shown it grows to 20.
async fn truncated_and_grown() -> (Scene, Child) {
    let scene = Scene::read_and_stopped(1, 10).await;
    let beyond = "update kafka_offsets set next_offset = 15";
    sqlx::query(beyond).execute(scene.database.pool()).await.unwrap();
    let speed_layer = scene.start(&[]);
    speed_layer.wait_stderr("it was truncated, and ended at 10", PATIENCE).await;
    scene.send_ticks(1, 10).await;
    (scene, speed_layer)
}

/// The gap that the line asks about was forgotten by the restart that it takes, and five messages
/// were lost in silence.
#[tokio::test]
async fn a_log_that_was_cut_and_has_grown_is_read_from_its_end_on_after_a_restart_with_skip() {
    let (scene, mut speed_layer) = truncated_and_grown().await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    scene.wait_count("what came since", "select count(*) from realtime_stock", 20).await;
    let gaps: Vec<(i64, i64)> = sqlx::query_as("select from_offset, to_offset from kafka_gaps")
        .fetch_all(scene.database.pool())
        .await
        .unwrap();
    assert_eq!(gaps, [(15, 10)]);
    assert_eq!(scene.count("select count(log_end) from kafka_offsets").await, 0);
}

#[tokio::test]
async fn a_log_that_was_cut_and_has_grown_stands_whichever_instance_has_it() {
    let (scene, speed_layer) = truncated_and_grown().await;
    speed_layer.sigkill();
    drop(speed_layer);
    let other = scene.start(&["--kafka-property", "session.timeout.ms=6000"]);
    other.wait_stderr("it was truncated, and ended at 10", PATIENCE).await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 10);
    // Somebody decides that the new messages are those that were written.
    let moved = "update kafka_offsets set next_offset = 10";
    sqlx::query(moved).execute(scene.database.pool()).await.unwrap();
    scene.wait_count("what came since", "select count(*) from realtime_stock", 20).await;
}

/// The end was in memory alone for as long as the gap could not be recorded.
#[tokio::test]
async fn where_a_log_ended_is_known_also_where_its_gap_could_not_be_recorded_before_it_grew() {
    let scene = Scene::read_and_stopped(1, 10).await;
    let beyond = "update kafka_offsets set next_offset = 15";
    sqlx::query(beyond).execute(scene.database.pool()).await.unwrap();
    let mut open = scene.database.pool().begin().await.unwrap();
    sqlx::query("lock table kafka_gaps in share mode").execute(&mut *open).await.unwrap();
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    scene
        .wait_count(
            "the end to be kept",
            "select count(*) from kafka_offsets where log_end = 10",
            1,
        )
        .await;
    scene.send_ticks(1, 10).await;
    speed_layer.sigkill();
    drop(speed_layer);
    let flags = ["--on-gap", "skip", "--kafka-property", "session.timeout.ms=6000"];
    let _speed_layer = scene.start(&flags);
    open.rollback().await.unwrap();
    scene.wait_count("what came since", "select count(*) from realtime_stock", 20).await;
    assert_eq!(scene.count("select count(*) from kafka_gaps where to_offset = 10").await, 1);
}

/// It took others along for two minutes, and then again and again.
#[tokio::test]
async fn a_gap_whose_record_takes_for_ever_holds_up_no_other_partition_for_long() {
    let scene = Scene::read_and_stopped(2, 10).await;
    let harm = "update kafka_offsets set next_offset = 1000 where partition = 0;
                create function stay() returns trigger language plpgsql as
                $$ begin perform pg_sleep(600); return new; end $$;
                create trigger stay before insert on kafka_gaps for each row execute function \
                stay()";
    scene.execute(harm).await;
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    let begun = Instant::now();
    for number in 0..5 {
        scene.topic.produce([TestMessage::new(1, tick(number))]).await;
        eventually("the other partition", PATIENCE, || async {
            let rows = "select count(*) from realtime_stock where kafka_partition = 1";
            scene.count(rows).await == 11 + number
        })
        .await;
    }
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    speed_layer.wait_stderr("PostgreSQL refuses the start offset", PATIENCE).await;
    scene.execute("drop function stay() cascade").await;
    scene.wait_count("the gap", "select count(*) from kafka_gaps", 1).await;
}

/// The first half of what was not taken was halved again and again, until there was no more time.
#[tokio::test]
async fn of_many_partitions_all_begin_but_the_one_whose_question_takes_for_ever() {
    const PARTITIONS: i32 = 24;
    let scene = Scene::read_and_stopped(PARTITIONS, 2).await;
    let harm = "update kafka_offsets set next_offset = 3, log_end = 2;
                create function stay() returns trigger language plpgsql as
                $$ begin perform pg_sleep(600); return new; end $$;
                create trigger stay before insert on kafka_gaps for each row
                when (new.partition = 0) execute function stay()";
    scene.execute(harm).await;
    let speed_layer = scene.start(&["--on-gap", "skip"]);
    let first = format!("{}/0: the start offset is unknown", scene.topic.name());
    speed_layer.wait_stderr(&first, PATIENCE).await;
    scene
        .topic
        .produce((1..PARTITIONS).map(|at| TestMessage::new(at, tick(1000 + i64::from(at)))))
        .await;
    eventually("all others", PATIENCE, || async {
        let rows = "select count(distinct kafka_partition) from realtime_stock
                    where kafka_offset = 2";
        let seen = scene.count(rows).await;
        if seen == i64::from(PARTITIONS - 1) { Ok(()) } else { Err(seen) }
    })
    .await;
    scene.execute("drop function stay() cascade").await;
    eventually("each gap", PATIENCE, || async {
        scene.count("select count(*) from kafka_gaps").await == i64::from(PARTITIONS)
    })
    .await;
}

/// A try of a second and a half was all that they were given until the full try.
#[tokio::test]
async fn gaps_whose_records_take_some_seconds_each_are_recorded_one_after_the_other() {
    let scene = Scene::read_and_stopped(4, 2).await;
    let harm = "update kafka_offsets set next_offset = 3, log_end = 2;
                create function stay() returns trigger language plpgsql as
                $$ begin perform pg_sleep(2); return new; end $$;
                create trigger stay before insert on kafka_gaps for each row execute function \
                stay()";
    scene.execute(harm).await;
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    scene.wait_count("each gap", "select count(*) from kafka_gaps", 4).await;
}

/// An instance that has seen where the log of ten messages ends, and is kept from the offsets by
/// the transaction.
async fn knows_the_end_alone(scene: &Scene) -> (Child, PgTransaction<'static>) {
    let mut open = scene.database.pool().begin().await.unwrap();
    let lock = "lock table kafka_offsets in access exclusive mode";
    sqlx::query(lock).execute(&mut *open).await.unwrap();
    let mut command = scene.command();
    command.env("RUST_LOG", "info,speed_layer::kafka::inquiry=debug").args(["--on-gap", "skip"]);
    let speed_layer = Child::spawn(command);
    let end = format!("{}/0 has the offsets 0..10", scene.topic.name());
    speed_layer.wait_stderr(&end, PATIENCE).await;
    (speed_layer, open)
}

/// Kafka was asked for its end only once it was known where to begin.
#[tokio::test]
async fn a_log_that_was_cut_and_has_grown_while_the_store_could_not_be_asked_is_seen() {
    let scene = Scene::read_and_stopped(1, 10).await;
    let beyond = "update kafka_offsets set next_offset = 15";
    sqlx::query(beyond).execute(scene.database.pool()).await.unwrap();
    let (_speed_layer, open) = knows_the_end_alone(&scene).await;
    scene.send_ticks(1, 10).await;
    open.rollback().await.unwrap();
    scene.wait_count("what came since", "select count(*) from realtime_stock", 20).await;
    assert_eq!(scene.count("select count(*) from kafka_gaps where to_offset = 10").await, 1);
}

/// Another instance has had it meanwhile, so it was no truncation.
#[tokio::test]
async fn an_offset_that_was_moved_behind_the_end_that_was_seen_is_where_to_begin() {
    let scene = Scene::read_and_stopped(1, 10).await;
    let (_speed_layer, mut open) = knows_the_end_alone(&scene).await;
    scene.send_ticks(1, 10).await;
    let moved = "update kafka_offsets set next_offset = 20, updated_at = clock_timestamp()";
    sqlx::query(moved).execute(&mut *open).await.unwrap();
    open.commit().await.unwrap();
    scene.topic.produce([TestMessage::new(0, tick(12))]).await;
    scene.wait_count("the message behind them", "select next_offset from kafka_offsets", 21).await;
    let gaps: Vec<String> = sqlx::query_scalar("select detail from kafka_gaps")
        .fetch_all(scene.database.pool())
        .await
        .unwrap();
    assert!(gaps.is_empty(), "{gaps:?}");
}

/// A frozen owner's batch begins at the stored offset, but with the log as it was before.
#[tokio::test]
async fn an_offset_that_was_moved_back_and_has_come_to_the_same_again_is_another_instances() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    let moved = "update kafka_offsets set rewinds = rewinds + 1";
    sqlx::query(moved).execute(scene.database.pool()).await.unwrap();
    scene.send_ticks(1, 10).await;
    speed_layer.wait_stderr("it was moved back in between", PATIENCE).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn a_gap_that_moves_the_offset_back_counts_as_such() {
    let (scene, speed_layer) = truncated_and_grown().await;
    drop(speed_layer);
    let _speed_layer = scene.start(&["--on-gap", "skip"]);
    scene
        .wait_count("the gap", "select count(*) from kafka_gaps where to_offset < from_offset", 1)
        .await;
    assert_eq!(scene.count("select rewinds::bigint from kafka_offsets").await, 1);
}

/// An instance that has lost its partition may have a batch on its way.
#[tokio::test]
async fn a_batch_leaves_what_is_known_of_a_log_that_ended_before_it() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&[]);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    for (end, after, left) in [(5, 11, Some(5)), (11, 12, None)] {
        sqlx::query("update kafka_offsets set log_end = $1")
            .bind(end)
            .execute(scene.database.pool())
            .await
            .unwrap();
        scene.topic.produce([TestMessage::new(0, tick(after))]).await;
        scene.wait_all_in().await;
        let stands: (i64, Option<i64>) =
            sqlx::query_as("select next_offset, log_end from kafka_offsets")
                .fetch_one(scene.database.pool())
                .await
                .unwrap();
        assert_eq!(stands, (after, left));
    }
}

#[tokio::test]
async fn a_gap_that_cannot_be_recorded_holds_up_no_other_partition() {
    let scene = Scene::read_and_stopped(2, 10).await;
    let beyond = "update kafka_offsets set next_offset = 1000 where partition = 0";
    sqlx::query(beyond).execute(scene.database.pool()).await.unwrap();
    let refuse = "create function refuse() returns trigger language plpgsql as
                  $$ begin raise exception 'not in this table' using errcode = '0A000'; end $$;
                  create trigger refuse before insert on kafka_gaps for each row execute function \
                  refuse()";
    scene.execute(refuse).await;

    let speed_layer = scene.start(&["--on-gap", "skip"]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("PostgreSQL refuses the start offset", PATIENCE).await;
    assert!(line.contains(&format!("{}/0", scene.topic.name())), "{line}");
    assert!(line.contains("not in this table"), "{line}");
    // Each of them while the other is asked about again and again.
    for number in 0..5 {
        scene.topic.produce([TestMessage::new(1, tick(number))]).await;
        eventually("the other partition", Duration::from_secs(3), || async {
            let rows = "select count(*) from realtime_stock where kafka_partition = 1";
            scene.count(rows).await == 11 + number
        })
        .await;
    }
    wait_ready(&address, 503).await;
    scene.execute("drop function refuse() cascade").await;
    scene.wait_count("the gap", "select count(*) from kafka_gaps", 1).await;
    wait_ready(&address, 200).await;
}

#[tokio::test]
async fn a_partition_that_is_added_later_is_read_whole_also_where_latest_is_asked_for() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&[
        "--start",
        "latest",
        "--kafka-property",
        "topic.metadata.refresh.interval.ms=500",
    ]);
    let begun = format!("assigned partitions (with next offsets): {}/0@10", scene.topic.name());
    speed_layer.wait_stderr(&begun, PATIENCE).await;
    admin(&scene)
        .create_partitions([&NewPartitions::new(scene.topic.name(), 2)], &AdminOptions::new())
        .await
        .unwrap();
    // At once, long before the group gives it to anybody.
    scene.topic.produce((0..100).map(|number| TestMessage::new(1, tick(number)))).await;
    scene
        .wait_count(
            "what was sent to the new partition",
            "select count(*) from realtime_stock",
            100,
        )
        .await;
}

#[tokio::test]
async fn a_new_group_may_begin_with_the_next_message() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&["--start", "latest"]);
    let begun = format!("assigned partitions (with next offsets): {}/0@10", scene.topic.name());
    speed_layer.wait_stderr(&begun, PATIENCE).await;
    scene.send_ticks(1, 3).await;
    scene.wait_count("the new messages", "select count(*) from realtime_stock", 3).await;
}

#[tokio::test]
async fn all_of_a_topic_that_comes_later_is_read_also_where_latest_is_asked_for() {
    let (scene, later) = (Scene::new(1).await, TestTopic::create(1).await);
    scene.send_ticks(1, 10).await;
    later.delete().await;
    let names = format!("{},{}", scene.topic.name(), later.name());
    let speed_layer = scene.start(&["--start", "latest", "--topic", &names]);
    speed_layer.wait_stderr("does not exist", PATIENCE).await;
    speed_layer.wait_stderr("assigned partitions", PATIENCE).await;
    later.make_anew_after_delete(1).await;
    later.produce((0..100).map(|number| TestMessage::new(0, tick(number)))).await;
    scene.wait_count("all of it", "select count(*) from realtime_stock", 100).await;
}

#[tokio::test]
async fn all_of_a_topic_that_a_pattern_finds_later_is_read_also_where_latest_is_asked_for() {
    let (scene, later) = (Scene::new(1).await, TestTopic::create(1).await);
    scene.send_ticks(1, 10).await;
    later.delete().await;
    let pattern = format!("^({}|{})$", scene.topic.name(), later.name());
    let speed_layer = scene.start(&["--start", "latest", "--topic", &pattern]);
    speed_layer.wait_stderr("is source 1 in kafka_sources", PATIENCE).await;
    let earlier = "update kafka_sources set first_seen_at = first_seen_at - interval '1 hour'";
    sqlx::query(earlier).execute(scene.database.pool()).await.unwrap();
    later.make_anew_after_delete(1).await;
    later.produce((0..100).map(|number| TestMessage::new(0, tick(number)))).await;
    scene.wait_count("all of it", "select count(*) from realtime_stock", 100).await;
}

#[tokio::test]
async fn a_partition_whose_offset_was_deleted_is_not_read_a_second_time() {
    let scene = Scene::read_and_stopped(2, 10).await;
    sqlx::query("delete from kafka_offsets where partition = 0")
        .execute(scene.database.pool())
        .await
        .unwrap();
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    let line = speed_layer.wait_stderr("its row in kafka_offsets is gone", PATIENCE).await;
    assert!(
        line.contains(&format!("{}/0", scene.topic.name())) && line.contains("source 1"),
        "{line}"
    );
    wait_ready(&address, 503).await;
    scene.send_ticks(2, 5).await;
    scene.wait_count("the other partition", "select count(*) from realtime_stock", 25).await;
    let runbook = include_str!("../../../docs/operations.md");
    let (_, step) = runbook.split_once("Its row in `kafka_offsets` is gone").unwrap();
    let back = step.split("```").nth(1).and_then(|block| block.strip_prefix("sql")).unwrap();
    let back =
        back.replace("source = 2 and kafka_partition = 1", "source = 1 and kafka_partition = 0");
    let inserted = scene.execute(&back).await;
    assert_eq!(inserted.rows_affected(), 1);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    wait_ready(&address, 200).await;
}
