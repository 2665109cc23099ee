//! Technical indicators: equal to TA-Lib's own, and dependent on the summaries alone.

use crate::support::{DAY, LONG, World, key, key_of, some_ticks};
use hourly::hour::Hour;
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use testing::stack;

/// `$1` symbols with up to `$2` hours of a random walk before 2025-06-02, each symbol with fewer
/// than the last, seven hours on each day but the weekend's.
const HISTORY: &str = "
    with hours as (
        select symbol, hour, 100 + symbol * 37 + round((sum(random() - 0.5) over walk)::numeric, 4) as close
        from generate_series(1, $1::int) as symbol,
             generate_series(timestamptz '2025-06-01T23:00Z' - make_interval(hours => $2::int / (symbol * symbol)),
                             timestamptz '2025-06-01T23:00Z', '1 hour') as hour
        where extract(hour from hour at time zone 'UTC') between 13 and 20 and extract(isodow from hour at time zone 'UTC') < 6
        window walk as (partition by symbol order by hour))
    insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
    select 'S' || symbol, date_trunc('hour', hour, 'UTC'), close, 1, close, close + round(random()::numeric, 4),
           close - round(random()::numeric, 4), close, trunc(random() * 5)::int * 10, close, 5
    from hours";

const MARK_ALL: &str = "
    insert into stale_indicators select symbol, min(hour) from hourly_stock_summary group by symbol
    on conflict (symbol) do update set hour = excluded.hour";

/// The bars that the indicators of `$1` are made of, by `$2`, as PostgreSQL itself rolls them up.
const BARS: &str = "
    with bars as (
        select date_trunc($2, hour, case $2 when 'day' then 'America/New_York' else 'UTC' end) as start, max(high) as high,
               min(low) as low, (array_agg(close order by hour desc))[1] as close, sum(volume) as volume
        from hourly_stock_summary where symbol = $1 group by 1)
    select jsonb_build_object('high', jsonb_agg(high order by start), 'low', jsonb_agg(low order by start),
                              'close', jsonb_agg(close order by start), 'volume', jsonb_agg(volume order by start))
    from bars";

async fn world_with_history(symbols: i32, hours: i32) -> World {
    let world = World::create().await;
    let mut connection = world.database.pool().acquire().await.unwrap();
    // Every run of the tests walks the same way.
    sqlx::raw_sql("select setseed(0.5)").execute(&mut *connection).await.unwrap();
    sqlx::query(HISTORY).bind(symbols).bind(hours).execute(&mut *connection).await.unwrap();
    drop(connection);
    world.execute(MARK_ALL).await;
    world
}

/// The whole table as text.
async fn indicators(world: &World) -> Vec<String> {
    world.rows("select t::text from technical_indicators t order by symbol, interval, start").await
}

/// What the library of TA-Lib's authors makes of the bars.
fn reference(bars: &Value) -> Value {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/indicators/reference.py");
    let mut python = Command::new(stack("STACK_PYTHON"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    python.stdin.take().unwrap().write_all(bars.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "reference.py failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Equal within 1e-9 of the value. What is a difference of two averages (MACD, its histogram) comes
/// near zero while the averages do not, and there the rounding of those counts: 1e-14 of the price.
fn assert_equal(place: &str, price: f64, ours: &Value, theirs: &Value) {
    let (Some(ours), Some(theirs)) = (ours.as_f64(), theirs.as_f64()) else {
        assert_eq!(ours, theirs, "{place}: one has no value");
        return;
    };
    let tolerance = (1e-9 * theirs.abs().max(ours.abs())).max(1e-14 * price);
    assert!((ours - theirs).abs() <= tolerance, "{place}: {ours} is not TA-Lib's {theirs}");
}

#[tokio::test]
async fn every_indicator_of_every_bar_equals_ta_libs_own_and_is_null_where_that_has_none() {
    // From 5,000 hours' worth of trading days down to a few bars.
    let world = world_with_history(10, 5000).await;
    world.run_ok(&DAY).await;
    for symbol in world.rows("select distinct symbol from hourly_stock_summary order by 1").await {
        for interval in ["hour", "day"] {
            let bars: Value = sqlx::query_scalar(BARS)
                .bind(&symbol)
                .bind(interval)
                .fetch_one(world.database.pool())
                .await
                .unwrap();
            let theirs = reference(&bars);
            let highest = bars["high"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_f64)
                .fold(0.0, f64::max);
            for (column, theirs) in theirs.as_object().unwrap() {
                let ours: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                    "select jsonb_agg({column} order by start) from technical_indicators where symbol = $1 and interval = $2"
                )))
                .bind(&symbol)
                .bind(interval)
                .fetch_one(world.database.pool())
                .await
                .unwrap();
                let (ours, theirs) = (ours.as_array().unwrap(), theirs.as_array().unwrap());
                let place = format!("{symbol} {interval} {column}");
                assert_eq!(ours.len(), theirs.len(), "{place}: a row for each bar and none beside");
                for (bar, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                    assert_equal(&format!("{place}, bar {bar}"), highest, ours, theirs);
                }
            }
        }
    }
    let undefined = "select count(*) from technical_indicators where interval = 'hour' and symbol = 'S1' and sma_50 is null";
    assert_eq!(world.number(undefined).await, 49);
}

#[tokio::test]
async fn the_result_does_not_depend_on_which_runs_there_were() {
    let world = world_with_history(3, 2000).await;
    world.execute("update hourly_stock_summary set symbol = 'AAPL' where symbol = 'S1'; delete from stale_indicators",
    )
    .await;
    world.execute(MARK_ALL).await;
    for hour in 9..14 {
        world.put(&key(hour, 0, hour * 1000), &some_ticks(hour, 0, hour * 1000, 200)).await;
        world.run_ok(&DAY).await;
    }
    let before_late = indicators(&world).await;
    world.put(&key(10, 3, 0), &some_ticks(10, 3, 0, 7)).await;
    world.run_ok(&DAY).await;
    let piecemeal = indicators(&world).await;
    assert_ne!(piecemeal, before_late, "the late ticks show");
    let untouched = |rows: &[String]| {
        rows.iter().filter(|row| row.starts_with("(S2,")).cloned().collect::<Vec<_>>()
    };
    assert!(!untouched(&piecemeal).is_empty());

    // So late that what was kept of the symbols holds it.
    assert!(world.number("select count(*) from indicator_states").await > 0);
    let old = Hour::parse("2025-05-20T15").unwrap();
    let mut ticks = some_ticks(10, 4, 0, 30);
    ticks.iter_mut().for_each(|tick| tick.at = old.start());
    world.put(&key_of(old, 4, 0), &ticks).await;
    world.run_ok(&["--hour", "2025-05-20T15"]).await;
    let piecemeal = indicators(&world).await;

    world.execute("delete from technical_indicators; delete from indicator_states").await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    assert_eq!(indicators(&world).await, piecemeal);
}

#[tokio::test]
async fn a_run_rewrites_the_bars_from_the_changed_hour_on_and_no_earlier_one() {
    let world = world_with_history(1, 500).await;
    world
        .execute("update hourly_stock_summary set symbol = 'AAPL'; delete from stale_indicators")
        .await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    let rows = "select concat(interval, ' ', start, ' ', xmin) from technical_indicators where symbol = 'AAPL' order by 1";
    let before = world.rows(rows).await;
    world.put(&key(14, 0, 0), &some_ticks(14, 0, 0, 200)).await;
    world.run_ok(&DAY).await;
    let after = world.rows(rows).await;
    let new: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert_eq!(new.len(), 2, "one hour and its day: {new:?}");
    assert!(before.iter().all(|row| after.contains(row)), "what came before is untouched");
}

/// What stands there of 2025-06-02.
const NEW: &str = "select t::text from technical_indicators t where symbol = 'AAPL' and start >= '2025-06-02T04:00Z' order by 1";

#[tokio::test]
async fn a_new_bar_is_computed_without_those_that_the_kept_state_holds() {
    let world = world_with_history(1, 2000).await;
    world
        .execute("update hourly_stock_summary set symbol = 'AAPL'; delete from stale_indicators")
        .await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.rows("select interval from indicator_states order by 1").await,
        ["day", "hour"]
    );
    // Whoever read them would come to other values.
    let held =
        "delete from hourly_stock_summary where hour < (select min(start) from indicator_states)";
    world.execute("create table aside as table hourly_stock_summary").await;
    world.execute(held).await;
    world.put(&key(14, 0, 0), &some_ticks(14, 0, 0, 200)).await;
    world.run_ok(&DAY).await;
    let by_state = world.rows(NEW).await;
    assert_eq!(by_state.len(), 2);

    world
        .execute("insert into hourly_stock_summary select * from aside on conflict do nothing")
        .await;
    world.execute("delete from indicator_states; delete from technical_indicators").await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(NEW).await, by_state);
}

#[tokio::test]
async fn a_late_tick_rewrites_no_row_that_stays_what_it_is() {
    let world = World::create().await;
    for hour in 9..12 {
        world.put(&key(hour, 0, hour * 1000), &some_ticks(hour, 0, hour * 1000, 200)).await;
    }
    world.run_ok(&DAY).await;
    let rows = "select concat_ws(' ', symbol, interval, start, xmin, xmax) from technical_indicators order by 1";
    let before = world.rows(rows).await;
    // It has no volume, and a price that was there before: the summary counts it, and no indicator
    // looks at that.
    let mut late = some_ticks(9, 0, 9000, 200)
        .into_iter()
        .filter(|tick| tick.symbol == "AAPL")
        .nth(3)
        .unwrap();
    (late.offset, late.volume, late.close) = (99_000, 0, late.open);
    let counted = "select ticks from hourly_stock_summary where symbol = 'AAPL' and hour = '2025-06-02T09:00Z'";
    let ticks = world.number(counted).await;
    world.put(&key(9, 0, 99_000), &[late]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number(counted).await, ticks + 1);
    assert_eq!(world.number("select count(*) from stale_indicators").await, 0);
    assert_eq!(world.rows(rows).await, before);
}

#[tokio::test]
async fn recompute_trusts_no_state_that_was_kept() {
    let world = world_with_history(1, 2000).await;
    world
        .execute("update hourly_stock_summary set symbol = 'AAPL'; delete from stale_indicators")
        .await;
    world.put(&key(14, 0, 0), &some_ticks(14, 0, 0, 200)).await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    let right = world.rows(NEW).await;
    // Behind two bytes, two counts and the closes: in the sum of the last 50.
    world
        .execute(
            "update indicator_states set state = set_byte(state, 432, get_byte(state, 432) # 1)",
        )
        .await;
    world
        .execute("update technical_indicators set sma_50 = 1 where start >= '2025-06-02T04:00Z'")
        .await;
    world.run_ok(&[&DAY[..], &["--recompute"]].concat()).await;
    assert_eq!(world.rows(NEW).await, right);
}

#[tokio::test]
async fn an_hour_that_is_withdrawn_takes_its_indicators_along() {
    let world = World::create().await;
    for hour in [9, 10] {
        world.put(&key(hour, 0, hour * 1000), &some_ticks(hour, 0, hour * 1000, 20)).await;
    }
    world.run_ok(&DAY).await;
    let ten = "select count(*) from technical_indicators where interval = 'hour' and start = '2025-06-02T10:00Z'";
    assert_eq!(world.number(ten).await, 5);
    world.put(&key(10, 0, 10_000), &some_ticks(9, 0, 10_000, 20)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number(ten).await, 0);
    assert_eq!(world.number("select count(*) from stale_indicators").await, 0);
}

#[tokio::test]
async fn another_time_zone_cuts_the_days_anew_at_the_next_run() {
    let world = world_with_history(1, 200).await;
    world.run_ok(&DAY).await;
    let days = "select to_char(start at time zone 'UTC', 'HH24:MI') from technical_indicators where interval = 'day'";
    assert!(world.rows(days).await.iter().all(|midnight| midnight == "04:00"));
    world.execute("update exchange set time_zone = 'Asia/Tokyo'").await;
    assert_eq!(world.number("select count(*) from daily_stock_report").await, {
        world
            .number(
                "select count(distinct date_trunc('day', hour, 'Asia/Tokyo')) from hourly_stock",
            )
            .await
    });
    world.run_ok(&DAY).await;
    let midnights = world.rows(days).await;
    assert!(
        !midnights.is_empty() && midnights.iter().all(|midnight| midnight == "15:00"),
        "{midnights:?}"
    );
    let unknown = sqlx::query("update exchange set time_zone = 'Mars/Olympus'")
        .execute(world.database.pool())
        .await;
    assert!(unknown.unwrap_err().to_string().contains("Mars/Olympus"));
}

#[tokio::test]
async fn short_histories_that_sort_before_long_ones_do_not_widen_what_is_computed_at_once() {
    let world = World::create().await;
    // How many symbols are taken next was once told by those before alone.
    world
        .execute(
            "insert into hourly_stock_summary
             (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
         select symbol, hour, 100, 1, 100, 101, 99, 100, 10, 100, 5
         from (select 'A' || number, 1 from generate_series(10, 25) as number
               union all select 'B' || number, 1000 from generate_series(100, 259) as number)
                  as s (symbol, hours),
              generate_series(timestamptz '2025-06-01T23:00Z' - make_interval(hours => hours - 1),
                              timestamptz '2025-06-01T23:00Z', '1 hour') as hour",
        )
        .await;
    world.execute(MARK_ALL).await;
    world.run_ok(&DAY).await;
    let at_once = "select count(*) as bars from technical_indicators where interval = 'hour' group by xmin::text";
    assert_eq!(
        world.number(&format!("select sum(bars)::bigint from ({at_once}) as a")).await,
        160_016
    );
    let widest = world.number(&format!("select max(bars) from ({at_once}) as a")).await;
    assert!(widest <= 150_000, "{widest} bars in one transaction");
}

#[tokio::test]
async fn a_database_that_gives_no_answer_is_given_up_here_too_and_the_marks_stay() {
    let world = world_with_history(2, 2000).await;
    let mut other = world.database.pool().begin().await.unwrap();
    sqlx::raw_sql("lock table technical_indicators in access exclusive mode")
        .execute(&mut *other)
        .await
        .unwrap();
    let outcome = world.run(&[&DAY[..], &["--query-timeout", "2s"]].concat()).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("computing indicators in PostgreSQL"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no answer within 2 s (--query-timeout)"),
        "{}",
        outcome.stderr
    );
    other.rollback().await.unwrap();
    assert_eq!(world.number("select count(*) from stale_indicators").await, 2);
    testing::eventually("the indicators to be there", LONG, || async {
        world.run(&DAY).await;
        world.number("select count(distinct symbol) from technical_indicators").await == 2
    })
    .await;
}
