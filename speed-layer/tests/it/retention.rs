use crate::scene::{PATIENCE, Scene, tick};
use workbench::testing::{Record, eventually};

/// A tick of `days_ago` days before now.
fn tick_of(days_ago: i64) -> Record {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let millis = (now - days_ago * 86_400) * 1000;
    Record::new(0, tick(1).replace("\"2025-06-06T10:00:00.001-04:00\"", &millis.to_string()))
}

const PARTITIONS: &str = "select count(*) from pg_inherits where inhparent = 'realtime_stock'::regclass";
const SEALED: &str = "select count(*) from pg_indexes where indexname like 'realtime_stock_%_symbol_timestamp_idx'";

#[tokio::test]
async fn old_days_are_dropped_and_finished_days_indexed_but_never_the_one_being_written() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--retention-days", "7", "--upkeep-interval", "200ms"]);
    scene.topic.produce([400, 9, 3, 2, 0].map(tick_of)).await;
    eventually("two old days to be dropped and two finished days to be indexed", PATIENCE, || async {
        let (partitions, sealed) = (scene.count(PARTITIONS).await, scene.count(SEALED).await);
        if (partitions, sealed) == (3, 2) { Ok(()) } else { Err(format!("{partitions} partitions, {sealed} indexed")) }
    })
    .await;
    // A day that was dropped or indexed takes ticks again.
    scene.topic.produce([tick_of(3), tick_of(0)]).await;
    eventually("the ticks that came after it", PATIENCE, || async {
        scene.count("select count(*) from realtime_stock").await == 5
    })
    .await;
}

#[tokio::test]
async fn without_retention_nothing_is_dropped() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--upkeep-interval", "100ms"]);
    scene.topic.produce([400, 2].map(tick_of)).await;
    eventually("both days to be indexed", PATIENCE, || async { scene.count(SEALED).await == 2 }).await;
    assert_eq!(scene.count(PARTITIONS).await, 2);
}
