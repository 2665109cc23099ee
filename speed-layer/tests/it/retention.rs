//! Days that are old are dropped, and those that are over indexed.

use crate::scene::{PATIENCE, Scene, tick};
use testing::{TestMessage, eventually};

/// A tick of `days_ago` days before now.
fn tick_of(days_ago: i64) -> TestMessage {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        as i64;
    let millis = (now - days_ago * 86_400) * 1000;
    TestMessage::new(0, tick(1).replace("\"2025-06-06T10:00:00.001-04:00\"", &millis.to_string()))
}

/// Today's and tomorrow's are made ahead of time.
const ENDED: &str = "select count(*) from realtime_partitions where to_time <= now()";
const SEALED: &str =
    "select count(*) from pg_indexes where indexname like 'realtime_stock_%_symbol_timestamp_idx'";

#[tokio::test]
async fn old_days_are_dropped_and_finished_days_indexed_but_never_the_one_being_written() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--retention-days", "7", "--upkeep-interval", "200ms"]);
    scene.topic.produce([400, 9, 3, 2, 0].map(tick_of)).await;
    eventually(
        "two old days to be dropped and two finished days to be indexed",
        PATIENCE,
        || async {
            let (ended, sealed) = (scene.count(ENDED).await, scene.count(SEALED).await);
            if (ended, sealed) == (2, 2) {
                Ok(())
            } else {
                Err(format!("{ended} finished days, {sealed} indexed"))
            }
        },
    )
    .await;
    assert_eq!(
        scene
            .count(
                "select count(*) from dropped_days where reason = 'older than --retention-days 7'"
            )
            .await,
        2
    );
    // A day that was dropped or indexed takes ticks again.
    scene.topic.produce([tick_of(3), tick_of(0)]).await;
    scene
        .wait_count("the ticks that came after it", "select count(*) from realtime_stock", 5)
        .await;
}

#[tokio::test]
async fn a_day_that_is_dropped_by_hand_is_recorded_so_and_one_that_cannot_be_says_why() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--upkeep-interval", "1h"]);
    scene.topic.produce([9, 0].map(tick_of)).await;
    scene.wait_all_in().await;
    let by_hand = "select drop_realtime_day((select name from realtime_partitions where to_time <= \
        now()))::integer::bigint";
    assert_eq!(scene.count(by_hand).await, 1);
    assert_eq!(scene.count(ENDED).await, 0);
    let recorded =
        "select count(*) from dropped_days where reason = 'by hand, as ' || session_user";
    assert_eq!(scene.count(recorded).await, 1);
    for name in ["nonsense", "realtime_stock_20200101"] {
        let dropped = sqlx::query("select drop_realtime_day($1)").bind(name);
        let error = dropped.execute(scene.database.pool()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("no day partition \"{name}\" has ended")), "{error}");
    }
}

#[tokio::test]
async fn without_retention_nothing_is_dropped() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--upkeep-interval", "100ms"]);
    scene.topic.produce([400, 2].map(tick_of)).await;
    scene.wait_count("both days to be indexed", SEALED, 2).await;
    assert_eq!(scene.count(ENDED).await, 2);
}

/// A clock that jumps ahead looks like ticks that are late.
#[tokio::test]
async fn days_are_old_only_beside_the_newest_ticks() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--retention-days", "7", "--upkeep-interval", "100ms"]);
    scene.topic.produce([400, 399].map(tick_of)).await;
    scene.wait_count("both days to be indexed", SEALED, 2).await;
    assert_eq!(scene.count(ENDED).await, 2);
    scene.topic.produce([390].map(tick_of)).await;
    scene.wait_count("both days to be dropped", ENDED, 1).await;
}

#[tokio::test]
async fn a_day_that_a_reader_holds_does_not_keep_the_others_from_upkeep_and_no_half_of_an_index_is_left()
 {
    let scene = Scene::new(1).await;
    let retention = ["--retention-days", "7", "--upkeep-interval", "100ms"];
    let first = scene.start(&["--upkeep-interval", "1h"]);
    scene.topic.produce([20, 19, 3, 0].map(tick_of)).await;
    scene.wait_all_in().await;
    drop(first);
    let mut reader = scene.database.connection().await;
    let oldest: String = sqlx::query_scalar(
        "select partition::regclass::text from realtime_partitions order by from_time limit 1",
    )
    .fetch_one(scene.database.pool())
    .await
    .unwrap();
    let hold = format!("begin isolation level repeatable read; select * from {oldest}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut reader).await.unwrap();
    let speed_layer = scene.start(&retention);
    eventually("the other old day to be dropped and the third to be indexed", PATIENCE, || async {
        scene.count(ENDED).await == 2 && scene.count(SEALED).await == 1
    })
    .await;
    let line = speed_layer.wait_stderr("lock timeout", PATIENCE).await;
    assert!(line.contains("partition upkeep: upkeep of realtime_stock_"), "{line}");
    assert_eq!(scene.count("select count(*) from pg_index where not indisvalid").await, 0);
    sqlx::raw_sql("rollback").execute(&mut reader).await.unwrap();
    scene.wait_count("it to be dropped", ENDED, 1).await;
}
