//! Messages that hold several ticks.

use crate::bars::differences;
use crate::scene::{PATIENCE, Scene, tick};
use std::time::Duration;
use testing::{TestMessage, eventually};

const ELEMENTS: i64 = 20;
const BROKEN: i64 = 7;

/// An array at its top, or in `data` next to other members. Some share their millisecond, and one
/// element is broken.
fn message(number: i64) -> String {
    let element = |index: i64| match index {
        BROKEN => "{}".to_owned(),
        _ => tick(number + index / 2).replace("201.5", &format!("{}", 201 + index % 2)),
    };
    let elements: Vec<String> = (0..ELEMENTS).map(element).collect();
    match number % 2 {
        0 => format!("[{}]", elements.join(",")),
        _ => format!(r#"{{"type":"trade","data":[{}]}}"#, elements.join(", ")),
    }
}

async fn send(scene: &Scene, partitions: i32, numbers: std::ops::Range<i64>) {
    let records = numbers
        .flat_map(|number| (0..partitions).map(move |at| TestMessage::new(at, message(number))));
    scene.topic.produce(records).await;
}

const ROWS: &str =
    "select (select count(*) from realtime_stock) + (select count(*) from rejected_ticks)";

async fn wait_for_rows(scene: &Scene, rows: i64) {
    eventually("the elements to be in a table", PATIENCE, || async {
        let seen = scene.count(ROWS).await;
        if seen >= rows { Ok(()) } else { Err(format!("{seen} of {rows}")) }
    })
    .await;
}

#[tokio::test]
async fn each_element_is_written_once_though_instances_are_killed_and_joined() {
    let scene = Scene::new(2).await;
    let flags = [
        "--each",
        "data",
        "--batch-rows",
        "50",
        "--linger",
        "5ms",
        "--kafka-property",
        "session.timeout.ms=6000",
    ];
    send(&scene, 2, 0..400).await;
    let first = scene.start(&flags);
    wait_for_rows(&scene, 2_000).await;
    first.sigkill();
    drop(first);
    let mut second = scene.start(&flags);
    second.wait_stderr("assigned partitions", PATIENCE).await;
    let mut third = scene.start(&flags);
    send(&scene, 2, 400..600).await;
    third.wait_stderr("assigned partitions", PATIENCE).await;
    let all = 2 * 600 * ELEMENTS;
    wait_for_rows(&scene, all).await;
    for instance in [&mut second, &mut third] {
        instance.sigterm();
        assert!(instance.wait_exit(Duration::from_secs(15)).await.success());
    }
    assert_eq!(scene.count(ROWS).await, all);
    let places =
        "select count(distinct (kafka_partition, kafka_offset, kafka_index)) from realtime_stock";
    assert_eq!(scene.count(places).await, 2 * 600 * (ELEMENTS - 1));
    let broken = "select count(*) from rejected_ticks where kafka_index = 7 and reason = \
        'missing_field' and value = '{}'";
    assert_eq!(scene.count(broken).await, 2 * 600);
    // Offsets are those of messages.
    assert_eq!(scene.count("select sum(next_offset)::bigint from kafka_offsets").await, 2 * 600);
    assert_eq!(scene.count("select max(kafka_offset) from realtime_stock").await, 599);
    for unit in ["minute", "hour"] {
        assert_eq!(differences(&scene, unit).await, 0, "{unit}");
    }
}

#[tokio::test]
async fn a_message_whose_ticks_postgresql_refuses_is_kept_aside_and_all_others_are_written() {
    let scene = Scene::new(1).await;
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    let forbid = "alter table realtime_stock add constraint not_seven check (volume <> 17)";
    scene.execute(forbid).await;
    let array = |numbers: [i64; 3]| {
        format!("[{},{},{},5]", tick(numbers[0]), tick(numbers[1]), tick(numbers[2]))
    };
    let messages = [array([1, 2, 3]), array([16, 17, 18]), tick(4), array([5, 6, 8])];
    scene.topic.produce(messages.map(|message| TestMessage::new(0, message))).await;
    let _speed_layer = scene.start(&[]);
    wait_for_rows(&scene, 13).await;
    let written = "select count(*) from realtime_stock where kafka_offset <> 1";
    assert_eq!(
        (scene.count(written).await, scene.count("select count(*) from realtime_stock").await),
        (7, 7)
    );
    let rejects: Vec<(i64, i16, String)> = sqlx::query_as(
        "select kafka_offset, kafka_index, reason from rejected_ticks order by kafka_offset, \
         kafka_index",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    let reject = |offset, index, reason: &str| (offset, index, reason.to_owned());
    let refused = (0..3).map(|index| reject(1, index, "refused_by_database"));
    let expected: Vec<_> = [reject(0, 3, "not_object")]
        .into_iter()
        .chain(refused)
        .chain([reject(1, 3, "not_object"), reject(3, 3, "not_object")])
        .collect();
    assert_eq!(rejects, expected);
    assert_eq!(scene.count("select sum(ticks)::bigint from minute_bars").await, 7);
    assert_eq!(scene.count("select next_offset from kafka_offsets").await, 4);
}
