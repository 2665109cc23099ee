//! Bars equal an aggregate of the ticks.

use crate::scene::{Scene, tick};
use testing::TestMessage;

/// Bars computed from the ticks, compared with those that were merged batch by batch, column by
/// column. `unit` is minute or hour.
pub async fn differences(scene: &Scene, unit: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(DIFFERENCES.replace("minute", unit));
    sqlx::query_scalar(sql).fetch_one(scene.database.pool()).await.unwrap()
}

const DIFFERENCES: &str = "
    with expected as (
        select symbol,
               date_trunc('minute', timestamp, 'UTC') as minute,
               (array_agg(open order by timestamp, kafka_partition, kafka_offset, kafka_index))[1] \
               as open,
               max(coalesce(high, greatest(open, close))) as high,
               min(coalesce(low, least(open, close))) as low,
               (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc, \
               kafka_index desc))[1]
                   as close,
               case when count(volume) = count(*) then sum(volume) end as volume,
               count(*) as ticks,
               sum(close) as sum_close,
               case when count(volume) = count(*) then sum(close * volume) end as notional
        from realtime_stock group by 1, 2)
    select count(*) from expected e
        full join minute_bars b using (symbol, minute)
    where (e.open, e.high, e.low, e.close, e.volume, e.ticks, e.sum_close, e.notional)
        is distinct from (b.open, b.high, b.low, b.close, b.volume, b.ticks, b.sum_close, \
        b.notional)";

#[tokio::test]
async fn bars_equal_an_aggregate_of_the_ticks_however_they_were_batched() {
    let scene = Scene::new(3).await;
    // Small batches cut minutes into many pieces, and late ticks come after them.
    let _speed_layer = scene.start(&["--batch-rows", "7", "--linger", "1ms"]);
    let order = (0..600_i64).map(|number| number * 389 % 600);
    scene
        .topic
        .produce(order.map(|number| TestMessage::new((number % 3) as i32, tick(number))))
        .await;
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from minute_bars").await, 18);
    for unit in ["minute", "hour"] {
        assert_eq!(differences(&scene, unit).await, 0, "{unit}");
    }
}

/// Fractions in every minute, and in some of them ticks without a volume.
#[tokio::test]
async fn fractions_of_volumes_add_up_exactly_and_a_tick_without_one_leaves_its_bars_sums_null() {
    let scene = Scene::new(2).await;
    let _speed_layer = scene.start(&["--batch-rows", "5", "--linger", "1ms"]);
    let volume = |number: i64| match number {
        // In the first minute of S1 alone.
        1 => String::new(),
        _ => format!(",\"volume\":{}.{:09}", number % 7, number * 12_345_679 % 1_000_000_000),
    };
    let value = |number: i64| {
        let (symbol, minute) = (number % 2, number / 30);
        format!(
            r#"{{"symbol":"S{symbol}","timestamp":"2025-06-06T10:{minute:02}:00Z","price":45123.123456789{}}}"#,
            volume(number)
        )
    };
    scene
        .topic
        .produce((0..120).map(|number| TestMessage::new((number % 2) as i32, value(number))))
        .await;
    scene.wait_all_in().await;
    for unit in ["minute", "hour"] {
        assert_eq!(differences(&scene, unit).await, 0, "{unit}");
    }
    assert_eq!(
        scene
            .count("select count(*) from minute_bars where volume is null and notional is null")
            .await,
        1
    );
    assert_eq!(scene.count("select count(*) from minute_bars where volume % 1 > 0").await, 7);
    assert_eq!(scene.count("select count(*) from hour_bars where volume is null").await, 1);
}

#[tokio::test]
async fn absurd_numbers_overflow_nothing_and_stay_exact() {
    let scene = Scene::new(1).await;
    let absurd = r#"{"symbol":"X","timestamp":"2025-06-06T10:00:00Z","open":9223372036.854775807,
        "close":9223372036.854775807,"high":9223372036.854775807,"volume":9223372036854775807}"#;
    scene.topic.produce((0..9).map(|_| TestMessage::new(0, absurd))).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 9);
    assert_eq!(differences(&scene, "minute").await + differences(&scene, "hour").await, 0);
}

#[tokio::test]
async fn ticks_of_any_day_find_a_partition() {
    let scene = Scene::new(1).await;
    let days = ["1990-01-01", "1999-12-31", "2024-02-29", "2025-06-06"];
    let records = days.map(|day| TestMessage::new(0, tick(1).replace("2025-06-06", day)));
    let _speed_layer = scene.start(&[]);
    scene.topic.produce(records).await;
    scene.wait_all_in().await;
    let partitions = "select count(*) from realtime_partitions where to_time <= now()";
    assert_eq!(scene.count(partitions).await, 4);
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 4);
}
