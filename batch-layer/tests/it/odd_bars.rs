//! Odd hours by the bars of the weeks before: found, taken back, and the same whatever the order of
//! runs.

use crate::support::{DAY, Tick, World, at, key};

const FOUND: &str =
    "select concat_ws(' ', symbol, to_char(time at time zone 'UTC', 'MM-DD HH24'), kind, verdict, reason,
                                      detector, source, kafka_partition)
                     from found_anomalies where kind like 'odd%' order by 1";

/// Eight weeks of two symbols that trade seven hours a day, one like the other.
const HISTORY: &str = "
    set time zone 'UTC';
    insert into hourly_stock_summary
        (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
    select symbol, day + make_interval(hours => number), close, 100, close, close + 0.02 + dice[2] / 50,
           close - 0.02 - dice[3] / 50, close, round(36000 + 4000 * dice[4]), close, 360
    from unnest('{AAPL,MSFT}'::text[]) as symbol,
         generate_series(timestamptz '2025-04-07T00:00Z', '2025-05-30T00:00Z', '1 day') as day,
         generate_series(13, 19) as number,
         lateral (select array_agg(('x' || substr(md5(concat(symbol, day, number, n)), 1, 6))::bit(24)::int / 16777216.0
                                   order by n) as dice
                  from generate_series(1, 4) as n) as drawn,
         lateral (select 100 + round(dice[1] / 20, 4) as close) as price
    where extract(isodow from day at time zone 'UTC') < 6";

async fn with_history() -> World {
    let world = World::create().await;
    world.execute(HISTORY).await;
    world
}

/// An hour of a tick every ten seconds.
fn hour(symbol: &str, hour: i64, offset: i64, volume: i64) -> Vec<Tick> {
    let tick = |number: i64| Tick {
        symbol: symbol.into(),
        at: at(hour, 0).plus_micros(number * 10_000_000),
        open: 1_000_000,
        close: 1_000_000 + number % 5 * 100,
        volume,
        partition: 0,
        offset: offset + number,
    };
    (0..360).map(tick).collect()
}

#[tokio::test]
async fn an_odd_hour_is_said_when_it_is_computed_and_taken_back_when_its_ticks_are_others() {
    let world = with_history().await;
    world
        .put(&key(13, 0, 0), &[hour("AAPL", 13, 0, 5000), hour("MSFT", 13, 360, 100)].concat())
        .await;
    let outcome = world.run_ok(&DAY).await;
    let odd = "AAPL 06-02 13 odd_volume confirmed found_with_hindsight odd_bar 0 -1";
    let all = world.rows(FOUND).await;
    assert!(all.contains(&odd.to_owned()), "{all:?} {}", outcome.stderr);
    assert!(!all.iter().any(|row| row.starts_with("MSFT 06-02")), "{all:?}");
    let values = "select concat_ws(' ', observed, expected between 30000 and 50000) from anomalies
                  where kind = 'odd_volume' and time >= '2025-06-01'";
    assert_eq!(world.rows(values).await, ["1800000 t"]);
    world
        .put(&key(13, 0, 0), &[hour("AAPL", 13, 0, 100), hour("MSFT", 13, 360, 100)].concat())
        .await;
    world.run_ok(&DAY).await;
    assert!(!world.rows(FOUND).await.contains(&odd.to_owned()));
    assert_eq!(world.number("select count(*) from stale_bars").await, 0);
}

#[tokio::test]
async fn bars_that_nothing_has_changed_are_looked_at_once_by_each_detector() {
    let world = with_history().await;
    world.put(&key(13, 0, 0), &hour("AAPL", 13, 0, 5000)).await;
    world.run_ok(&DAY).await;
    let rows = "select concat(xmin, ' ', symbol, ' ', time, kind, score) from anomalies where detector = 'odd_bar'
                order by 1";
    let before = world.rows(rows).await;
    assert!(!before.is_empty());
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(rows).await, before);
    // Another one has found other things.
    world
        .execute(
            "update anomalies set version = 0, score = 9 where detector = 'odd_bar';
             update bar_detector_version set detector = 'odd_bar 0'",
        )
        .await;
    let found = world.rows(FOUND).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, found);
    assert_eq!(
        world
            .number("select count(*) from anomalies where detector = 'odd_bar' and version = 0")
            .await,
        0
    );
}

#[tokio::test]
async fn odd_bars_are_the_same_in_whichever_order_hours_come_and_a_deleted_hour_has_none() {
    let found = async |order: &[i64]| {
        let world = with_history().await;
        for number in order {
            let volume = if *number == 14 { 4000 } else { 100 };
            let both = [
                hour("AAPL", *number, 1000 * number, volume),
                hour("MSFT", *number, 1000 * number + 360, 100),
            ];
            world.put(&key(*number, 0, 1000 * number), &both.concat()).await;
            world.run_ok(&DAY).await;
        }
        world
    };
    let (one, other) = (found(&[13, 14, 15, 16]).await, found(&[16, 14, 13, 15]).await);
    let scores =
        "select concat_ws(' ', symbol, time, kind, score, observed, expected) from anomalies
                  where detector = 'odd_bar' order by 1";
    assert_eq!(one.rows(scores).await, other.rows(scores).await);
    assert!(one.rows(FOUND).await.iter().any(|row| row.starts_with("AAPL 06-02 14 odd_volume")));
    // It was another hour's.
    one.put(&key(14, 0, 14_000), &hour("AAPL", 17, 14_000, 100)).await;
    one.run_ok(&DAY).await;
    assert!(!one.rows(FOUND).await.iter().any(|row| row.starts_with("AAPL 06-02 14")));
}

#[tokio::test]
async fn nothing_is_said_of_bars_where_that_is_off_and_it_is_made_up_for_when_it_is_on() {
    let world = with_history().await;
    world.put(&key(13, 0, 0), &hour("AAPL", 13, 0, 5000)).await;
    world.run_ok(&[&DAY[..], &["--anomalies", "off"]].concat()).await;
    assert_eq!(world.rows(FOUND).await, [""; 0]);
    world.run_ok(&DAY).await;
    assert!(world.rows(FOUND).await.iter().any(|row| row.starts_with("AAPL 06-02 13 odd_volume")));
}
