//! Day partitions that are many, or not as the speed layer would have made them.

use crate::scene::{Scene, tick};
use testing::TestMessage;

fn tick_at(instant: &str) -> TestMessage {
    TestMessage::new(0, tick(1).replace("2025-06-06T10:00:00.001-04:00", instant))
}

#[tokio::test]
async fn ticks_of_thousands_of_days_in_one_batch_are_written() {
    let scene = Scene::new(1).await;
    let day = |number: i64| {
        TestMessage::new(
            0,
            tick(1)
                .replace("\"2025-06-06T10:00:00.001-04:00\"", &(number * 86_400_000).to_string()),
        )
    };
    // From 1994-08-23 on, with one day that is there before.
    scene.topic.produce([day(9_110)]).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.topic.produce((9_000..14_000).map(day)).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    // One a month, and one more around the day that was there.
    assert_eq!(
        scene.count("select count(*) from realtime_partitions where to_time < now()").await,
        165 + 2
    );
}

#[tokio::test]
async fn a_day_is_set_aside_as_the_manual_says() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    scene.topic.produce(["2025-06-06T10:00:00Z", "2025-06-07T10:00:00Z"].map(tick_at)).await;
    scene.wait_all_in().await;
    drop(speed_layer);
    let manual = include_str!("../../../docs/operations.md");
    let (_, section) = manual.split_once("once the day is over:").unwrap();
    let (statements, _) = section.split_once("\n\nThe table is yours").unwrap();
    scene.execute(statements).await;
    for (sql, expected) in [
        ("select count(*) from realtime_stock", 1),
        ("select count(*) from realtime_days.realtime_stock_20250606", 1),
        ("select count(*) from dropped_days where day = '2025-06-06'", 1),
    ] {
        assert_eq!(scene.count(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_late_tick_of_a_day_that_was_detached_renamed_or_is_part_of_a_month_is_written() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    scene.topic.produce(["2025-06-06T10:00:00Z", "2025-06-07T10:00:00Z"].map(tick_at)).await;
    scene.wait_all_in().await;
    drop(speed_layer);
    scene
        .execute(
            "alter table realtime_stock detach partition \
        realtime_days.realtime_stock_20250606;
         alter table realtime_days.realtime_stock_20250607 rename to a_day_of_june;
         create table july (like realtime_stock including all);
         alter table realtime_stock attach partition july for values from ('2025-07-01Z') to \
         ('2025-07-31 12:00Z')",
        )
        .await;
    let _speed_layer = scene.start(&[]);
    let late = [
        "2025-06-06T11:00:00Z",
        "2025-06-07T11:00:00Z",
        "2025-07-04T11:00:00Z",
        "2025-07-31T13:00:00Z",
    ];
    scene.topic.produce(late.map(tick_at)).await;
    scene.wait_count("the late ticks", "select count(*) from realtime_stock", 5).await;
    let names: Vec<(String, i64)> = sqlx::query_as(
        "select tableoid::regclass::text, count(*) from realtime_stock group by 1 order by 1",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    let expected = [
        ("july", 1),
        ("realtime_days.a_day_of_june", 2),
        ("realtime_days.realtime_stock_20250606_2", 1),
        ("realtime_days.realtime_stock_20250731", 1),
    ];
    assert_eq!(names, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn a_day_whose_detaching_was_broken_off_takes_ticks_again() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    scene.topic.produce([tick_at("2025-06-06T10:00:00Z")]).await;
    scene.wait_all_in().await;
    drop(speed_layer);
    let mut reading = scene.database.connection().await;
    sqlx::raw_sql("begin; select * from realtime_stock").execute(&mut reading).await.unwrap();
    let mut detaching = scene.database.connection().await;
    sqlx::raw_sql("set statement_timeout = '500ms'").execute(&mut detaching).await.unwrap();
    let detach = "alter table realtime_stock detach partition \
        realtime_days.realtime_stock_20250606 concurrently";
    assert!(sqlx::raw_sql(detach).execute(&mut detaching).await.is_err());
    drop(reading);
    let _speed_layer = scene.start(&[]);
    scene.topic.produce([tick_at("2025-06-06T11:00:00Z")]).await;
    scene
        .wait_count(
            "the tick in a new partition",
            "select count(*) from realtime_days.realtime_stock_20250606_2",
            1,
        )
        .await;
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 0);
}

#[tokio::test]
async fn days_are_made_ahead_of_time_and_the_first_tick_of_one_waits_for_no_lock() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&[]);
    scene
        .wait_count(
            "today's and tomorrow's day",
            "select count(*) from realtime_partitions where to_time > now()",
            2,
        )
        .await;
    let mut vacuuming = scene.database.connection().await;
    let hold = "begin; lock table realtime_stock in share update exclusive mode";
    sqlx::raw_sql(hold).execute(&mut vacuuming).await.unwrap();
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let record =
        TestMessage::new(0, tick(1).replace("\"2025-06-06T10:00:00.001-04:00\"", &now.to_string()));
    scene.topic.produce([record]).await;
    scene.wait_all_in().await;
}

/// The days' bounds are read by a pattern, whose backslashes such a database would take for its
/// own.
#[tokio::test]
async fn tables_that_are_made_where_strings_have_escapes_have_days_all_the_same() {
    let scene = Scene::new(1).await;
    let escapes = format!(
        "alter database \"{}\" set standard_conforming_strings = off",
        scene.database.name()
    );
    scene.execute(&escapes).await;
    scene.send_ticks(1, 10).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 0);
    assert_eq!(
        scene.count("select count(*) from realtime_partitions where from_time is null").await,
        0
    );
}
