//! Verdicts with hindsight: what is confirmed, withdrawn and added, and the bars without bad prints.

use crate::support::{Tick, World, at, key, key_of};
use batch_layer::hour::Hour;
use common::Timestamp;

const DAY: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];
const FOUND: &str = "select concat_ws(' ', kafka_offset, kind, detector, verdict) from anomalies
                     order by kafka_offset, detector, kind";

/// A calm hour of one symbol, a tick every ten seconds, with the `wrong` ones off by two per cent.
fn calm(hour: i64, wrong: &[i64]) -> Vec<Tick> {
    let tick = |number: i64| {
        let price = 1_000_000 + number % 2 * 100;
        let price = if wrong.contains(&number) { price + 20_000 } else { price };
        Tick {
            symbol: "AAPL".into(),
            at: at(hour, 0).plus_micros(number * 10_000_000),
            open: price,
            close: price,
            volume: 100,
            partition: 0,
            offset: hour * 1000 + number,
        }
    };
    (0..360).map(tick).collect()
}

/// What the speed layer would have found.
async fn find(world: &World, tick: &Tick, kind: &str, (observed, expected): (f64, f64)) {
    let source = world.source("stock_prices").await;
    let (detector, offset, at) = (if kind == "silence" { "silence" } else { "bad_print" }, tick.offset, tick.at);
    world
        .execute(&format!(
            "insert into anomalies (source, version, kafka_partition, kafka_offset, kafka_index, detector, kind, symbol,
                                    time, score, observed, expected)
             values ({source}, 2, 0, {offset}, 0, '{detector}', '{kind}', '{}', '{at}', 2, {observed}, {expected})",
            tick.symbol
        ))
        .await;
}

fn price(tick: &Tick) -> (f64, f64) {
    (tick.close as f64 / 10_000.0, 100.0)
}

#[tokio::test]
async fn what_was_found_as_ticks_came_is_confirmed_or_withdrawn_and_what_was_not_is_added() {
    let world = World::create().await;
    let ticks = calm(10, &[100, 200]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    find(&world, &ticks[100], "spike", price(&ticks[100])).await;
    find(&world, &ticks[150], "spike", price(&ticks[150])).await;
    let outcome = world.run_ok(&DAY).await;
    assert_eq!(
        world.rows(FOUND).await,
        [
            "10100 spike bad_print confirmed",
            "10150 spike bad_print withdrawn",
            "10200 off_neighbours two_sided confirmed"
        ]
    );
    assert!(outcome.stderr.contains("1 hour judged with hindsight: of anomalies 1 confirmed, 1 withdrawn, 1 added"));
    let topics = world.rows("select distinct topic from found_anomalies where judged_at is not null").await;
    assert_eq!(topics, ["stock_prices"]);
}

#[tokio::test]
async fn a_second_run_judges_nothing_again_and_other_detectors_judge_all() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    let touched =
        "select concat(t.xmin, ' ', t) from anomalies t union all select concat(t.xmin, ' ', t) from judged_hours t";
    let before = world.rows(touched).await;
    assert_eq!(before.len(), 2);
    assert!(!world.run_ok(&DAY).await.stderr.contains("judged"));
    assert_eq!(world.rows(touched).await, before);
    world.execute("update judged_hours set detectors = 'two_sided 0'").await;
    assert!(world.run_ok(&DAY).await.stderr.contains("of anomalies 0 confirmed, 0 withdrawn, 0 added"));
    assert_eq!(world.number("select count(*) from judged_hours where detectors like 'two_sided 1,%'").await, 1);
}

#[tokio::test]
async fn hours_that_another_run_reads_by_other_rules_keep_no_older_hour_from_being_judged() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    world.execute("delete from judged_hours").await;
    world
        .execute(
            "insert into batch_hours
             select (jsonb_populate_record(b, jsonb_build_object('hour', b.hour + day * interval '1 day',
                                                                 'format', 'of another run'))).*
             from batch_hours b, generate_series(1, 30) as day",
        )
        .await;
    world.run_ok(&["--from", "2025-09-01T00", "--to", "2025-09-02T00"]).await;
    assert_eq!(world.rows("select (hour at time zone 'UTC')::text from judged_hours").await, ["2025-06-02 10:00:00"]);
}

#[tokio::test]
async fn ticks_that_came_late_withdraw_a_silence() {
    let world = World::create().await;
    let ticks = calm(10, &[]);
    let without: Vec<Tick> = [&ticks[..50], &ticks[100..]].concat();
    world.put(&key(10, 0, 10_000), &without).await;
    find(&world, &ticks[100], "silence", (510.0, 60.0)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10100 silence silence confirmed"]);
    world.put(&key(10, 0, 10_050), &ticks[50..100]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10100 silence silence withdrawn"]);
}

#[tokio::test]
async fn a_new_level_that_shows_only_in_the_next_hour_withdraws_what_the_first_ticks_of_it_were_taken_for() {
    let world = World::create().await;
    let mut ticks = calm(10, &[]);
    ticks.iter_mut().skip(358).for_each(|tick| (tick.open, tick.close) = (tick.open / 4, tick.close / 4));
    world.put(&key(10, 0, 10_000), &ticks).await;
    find(&world, &ticks[359], "spike", price(&ticks[359])).await;
    world.run_ok(&["--hour", "2025-06-02T10"]).await;
    let mut next = calm(11, &[]);
    next.iter_mut().for_each(|tick| (tick.open, tick.close) = (tick.open / 4, tick.close / 4));
    world.put(&key(11, 0, 11_000), &next).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10359 spike bad_print withdrawn"]);
    assert_eq!(world.number("select count(*) from judged_hours").await, 2);
}

#[tokio::test]
async fn what_was_found_after_an_hour_was_judged_is_judged_too() {
    let world = World::create().await;
    let ticks = calm(10, &[100]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.run_ok(&DAY).await;
    find(&world, &ticks[100], "spike", price(&ticks[100])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10100 spike bad_print confirmed"]);
}

#[tokio::test]
async fn an_archive_that_the_speed_layer_has_never_read_is_judged_as_well() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows("select concat(source, ' ', verdict) from found_anomalies").await, ["0 confirmed"]);
    world.execute("delete from anomalies; delete from judged_hours").await;
    world.run_ok(&[&DAY[..], &["--anomalies", "off"]].concat()).await;
    assert_eq!(world.number("select count(*) from judged_hours").await, 0);
}

#[tokio::test]
async fn a_version_of_the_detectors_judges_older_hours_some_at_a_time() {
    let world = World::create().await;
    for hour in 0..30 {
        let of = Hour::parse("2025-05-01T00").unwrap().plus(hour);
        let ticks: Vec<Tick> = calm(0, &[]);
        let since = of.start().micros() - at(0, 0).micros();
        let ticks = ticks.into_iter().map(|tick| Tick { at: tick.at.plus_micros(since), ..tick }).take(5);
        world.put(&key_of(of, 0, 0), &ticks.collect::<Vec<_>>()).await;
    }
    world.run_ok(&["--from", "2025-05-01T00", "--to", "2025-05-03T00"]).await;
    assert_eq!(world.number("select count(*) from judged_hours").await, 30);
    world.execute("update judged_hours set detectors = ''").await;
    let left = "select count(*) from judged_hours where detectors = ''";
    world.run_ok(&DAY).await;
    assert_eq!(world.number(left).await, 6);
    world.run_ok(&DAY).await;
    assert_eq!(world.number(left).await, 0);
}

#[tokio::test]
async fn clean_bars_are_those_of_the_good_ticks() {
    let world = World::create().await;
    let ticks = calm(10, &[100, 200]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.run_ok(&DAY).await;
    let good: Vec<Tick> = ticks.iter().filter(|tick| ![10_100, 10_200].contains(&tick.offset)).cloned().collect();
    world.insert_realtime(&good).await;
    let columns = "symbol, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close), trim_scale(volume),
                   ticks, trim_scale(sum_close), trim_scale(notional)";
    world.fill_minute_bars().await;
    let hour = world.rows(&format!("select concat_ws(' ', {columns}) from clean_hours")).await;
    assert_eq!(hour, world.rows(&format!("select concat_ws(' ', {columns}) from hour_bars")).await);
    let minutes =
        world.rows(&format!("select concat_ws(' ', minute, {columns}) from clean_minutes order by minute")).await;
    let expected = format!(
        "select concat_ws(' ', minute, {columns}) from minute_bars
         where minute in ('{}', '{}') order by minute",
        ticks[100].at.floor(Timestamp::MINUTE),
        ticks[200].at.floor(Timestamp::MINUTE)
    );
    assert_eq!(minutes, world.rows(&expected).await);
    assert_eq!(world.number("select sum(left_out)::bigint from clean_hours").await, 2);
}

#[tokio::test]
async fn the_clean_views_leave_bad_prints_out_of_bars_that_have_no_newer_ticks() {
    let world = World::create().await;
    let ticks = calm(10, &[100, 200]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    let hour = |view: &str| format!("select concat_ws(' ', ticks, trim_scale(high), trim_scale(volume)) from {view}");
    assert_eq!(world.rows(&hour("hourly_stock")).await, ["360 102 36000"]);
    assert_eq!(world.rows(&hour("clean_hourly_stock where left_out = 2")).await, ["358 100.01 35800"]);
    assert_eq!(world.rows("select trim_scale(high)::text from daily_stock_report").await, ["102"]);
    assert_eq!(world.rows("select trim_scale(high)::text from clean_daily_stock_report").await, ["100.01"]);
    let minutes = "select concat_ws(' ', ticks, trim_scale(high), left_out) from clean_minute_stock
                   where minute in (select minute from clean_minutes) order by minute";
    assert_eq!(world.rows(minutes).await, ["5 100.01 1", "5 100.01 1"]);
    world.execute("update minute_bars set ticks = 7 where minute = (select min(minute) from clean_minutes)").await;
    assert_eq!(world.rows(minutes).await, ["7 102 0", "5 100.01 1"]);
    assert_eq!(world.number("select count(*) from clean_minute_stock").await, 60);
}

#[tokio::test]
async fn a_bar_of_nothing_but_bad_prints_is_in_no_clean_view() {
    let world = World::create().await;
    // A minute has six ticks, of which only the last of these stays.
    let ticks: Vec<Tick> =
        calm(10, &[120]).into_iter().filter(|tick| !(10_121..10_126).contains(&tick.offset)).collect();
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from minute_stock").await, 60);
    assert_eq!(world.number("select count(*) from clean_minute_stock").await, 59);
    assert_eq!(world.rows("select concat_ws(' ', ticks, left_out) from clean_minutes").await, ["0 1"]);
}
