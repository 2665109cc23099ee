//! A jump to a new level and a split, through the whole pipeline: no bad prints with hindsight.

use crate::pipeline::Pipeline;
use testing::TestMessage;

/// Where the level is another one: up by eight per cent, and a split by four.
const SHIFTS: [i64; 2] = [1200, 1800];
const TICKS: i64 = 2400;

/// A tick a second from 2025-06-06, 10:00 in New York, on.
fn tick(number: i64) -> TestMessage {
    let cents = 20_000 + number * number % 7;
    let cents = if number >= SHIFTS[0] { cents * 108 / 100 } else { cents };
    let cents = if number >= SHIFTS[1] { cents / 4 } else { cents };
    let (millis, whole, rest) = (1_749_218_400_000 + number * 1000, cents / 100, cents % 100);
    let (open, close) = (format!("{whole}.{rest:02}"), format!("{whole}.{rest:02}"));
    let json = format!(
        r#"{{"symbol":"AAPL","timestamp":{millis},"open":{open},"close":{close},"volume":10}}"#
    );
    TestMessage::new(0, json).at(millis)
}

#[tokio::test]
async fn of_a_jump_and_a_split_at_most_five_ticks_are_flagged_as_they_come_and_all_are_withdrawn() {
    let pipeline = Pipeline::with_partitions(1).await;
    pipeline.topic.produce((0..TICKS).map(tick)).await;
    pipeline.archive().await;
    pipeline.write(&[], TICKS).await;
    let of_prices = "kind in ('spike', 'outside_bands', 'outside_quotes', 'excluded_condition', 'off_neighbours')";
    let flagged =
        format!("select distinct kafka_offset from anomalies where {of_prices} order by 1");
    let flagged: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(flagged))
        .fetch_all(pipeline.database.pool())
        .await
        .unwrap();
    assert!(!flagged.is_empty(), "the test shows nothing");
    for offset in &flagged {
        assert!(SHIFTS.iter().any(|shift| (*shift..shift + 5).contains(offset)), "{flagged:?}");
    }
    pipeline.sum_up(&[]).await;
    let verdicts =
        format!("select verdict || ' ' || reason from anomalies where {of_prices} group by 1");
    let verdicts: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(verdicts))
        .fetch_all(pipeline.database.pool())
        .await
        .unwrap();
    assert_eq!(verdicts, ["withdrawn not_off_both_sides"]);
    let left_out =
        "select (select count(*) from clean_hours) + (select count(*) from clean_minutes)";
    let left_out: i64 =
        sqlx::query_scalar(left_out).fetch_one(pipeline.database.pool()).await.unwrap();
    assert_eq!(left_out, 0);
}
