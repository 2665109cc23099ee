//! Verdicts with hindsight: what is confirmed, withdrawn and added, and the bars without bad
//! prints.

use crate::support::{COMPACT, Tick, World, at, key, key_of, lines};
use anomalies::Kind;
use common::Timestamp;
use hourly::hour::Hour;
use std::fmt::Display;

const DAY: [&str; 6] =
    ["--from", "2025-06-02T00", "--to", "2025-06-03T00", "--trading-hours", "always"];
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
async fn find(world: &World, tick: &Tick, kind: &str, values: (f64, f64)) {
    find_with(world, tick, kind, 2, values).await;
}

async fn find_with(
    world: &World,
    tick: &Tick,
    kind: &str,
    score: i64,
    (observed, expected): (f64, f64),
) {
    let source = world.source("stock_prices").await;
    let (detector, offset, at) =
        (if kind == "silence" { "silence" } else { "bad_print" }, tick.offset, tick.at);
    world
        .execute(&format!(
            "insert into anomalies (source, version, kafka_partition, kafka_offset, kafka_index, detector, kind, symbol,
                                    time, score, observed, expected)
             values ({source}, 2, {}, {offset}, 0, '{detector}', '{kind}', '{}', '{at}', {score}, {observed},
                     {expected})",
            tick.partition, tick.symbol
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
    assert!(
        outcome.stderr.contains(
            "1 hour judged with hindsight: of anomalies 1 confirmed, 1 withdrawn, 1 added"
        )
    );
    let topics =
        world.rows("select distinct topic from found_anomalies where judged_at is not null").await;
    assert_eq!(topics, ["stock_prices"]);
}

/// The lines of an hour, with members beside those of some ticks.
fn lines_with<S: Display>(ticks: &[Tick], beside: impl Fn(i64) -> S) -> String {
    let of = |tick: &Tick| {
        lines(std::slice::from_ref(tick))
            .replace("}\n", &format!("{}}}\n", beside(tick.offset % 1000)))
    };
    ticks.iter().map(of).collect()
}

#[tokio::test]
async fn what_was_taken_back_is_in_no_clean_bar_and_what_corrects_others_is() {
    let world = World::create().await;
    let ticks = calm(10, &[]);
    let beside = |number| match number {
        100 | 150 => r#","conditions":["@","Cancelled"]"#,
        200 => r#","conditions":"corrected""#,
        250 => r#","conditions":["void"]"#,
        _ => r#","conditions":["@"]"#,
    };
    world.bucket.put(&key(10, 0, 10_000), lines_with(&ticks, beside)).await.unwrap();
    find(&world, &ticks[100], "cancel", price(&ticks[100])).await;
    find(&world, &ticks[200], "correction", price(&ticks[200])).await;
    find(&world, &ticks[300], "cancel", price(&ticks[300])).await;
    world.run_ok(&DAY).await;
    let expected = [
        "10100 cancel bad_print confirmed",
        "10150 cancel two_sided confirmed",
        "10200 correction bad_print confirmed",
        "10300 cancel bad_print withdrawn",
    ];
    assert_eq!(world.rows(FOUND).await, expected);
    assert_eq!(
        world.rows("select concat_ws(' ', ticks, left_out) from clean_hours").await,
        ["358 2"]
    );
    // Other codes make it judge the hour again.
    world.run_ok(&[&DAY[..], &["--cancel-conditions", "void"]].concat()).await;
    let said = "select concat_ws(' ', kafka_offset, kind, verdict) from anomalies where verdict <> 'withdrawn'
                order by kafka_offset";
    assert_eq!(world.rows(said).await, ["10200 correction confirmed", "10250 cancel confirmed"]);
    assert_eq!(
        world.rows("select concat_ws(' ', ticks, left_out) from clean_hours").await,
        ["359 1"]
    );
}

#[tokio::test]
async fn a_price_that_its_quote_and_those_beside_it_contain_is_no_bad_print_and_one_outside_them_is()
 {
    let world = World::create().await;
    // Both are off by two per cent.
    let ticks = calm(10, &[100, 200]);
    let quotes = |number| {
        if number == 100 { r#","bid":101.99,"ask":102.02"# } else { r#","bid":99.99,"ask":100.03"# }
    };
    world.bucket.put(&key(10, 0, 10_000), lines_with(&ticks, quotes)).await.unwrap();
    find(&world, &ticks[100], "spike", price(&ticks[100])).await;
    world.run_ok(&DAY).await;
    let expected = ["10100 spike bad_print withdrawn", "10200 outside_quotes two_sided confirmed"];
    assert_eq!(world.rows(FOUND).await, expected);
}

#[tokio::test]
async fn a_second_run_judges_nothing_again_and_other_detectors_judge_all() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    let touched = "select concat(t.xmin, ' ', t) from anomalies t union all select concat(t.xmin, ' ', t) from judged_hours t";
    let before = world.rows(touched).await;
    assert_eq!(before.len(), 2);
    assert!(!world.run_ok(&DAY).await.stderr.contains("judged"));
    assert_eq!(world.rows(touched).await, before);
    world.execute("update judged_hours set detectors = 'two_sided 0'").await;
    assert!(
        world.run_ok(&DAY).await.stderr.contains("of anomalies 0 confirmed, 0 withdrawn, 0 added")
    );
    assert_eq!(
        world
            .number("select count(*) from judged_hours where detectors like 'two_sided 5,%'")
            .await,
        1
    );
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
                                                                 'decode_rules', 'of another run'))).*
             from batch_hours b, generate_series(1, 30) as day",
        )
        .await;
    world.run_ok(&["--from", "2025-09-01T00", "--to", "2025-09-02T00"]).await;
    assert_eq!(
        world.rows("select (hour at time zone 'UTC')::text from judged_hours").await,
        ["2025-06-02 10:00:00"]
    );
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
async fn a_silence_of_which_late_ticks_leave_too_much_is_confirmed_and_withdrawn_once_they_do_not()
{
    let world = World::create().await;
    let ticks = calm(10, &[]);
    world.put(&key(10, 0, 10_000), &[&ticks[..50], &ticks[100..]].concat()).await;
    // Its limit is 105 seconds.
    find(&world, &ticks[100], "silence", (510.0, 3.5)).await;
    let mut said = Vec::new();
    for late in [54, 90, 62, 71, 80, 81] {
        world.put(&key(10, 0, 10_000 + late), &ticks[late as usize..=late as usize]).await;
        world.run_ok(&DAY).await;
        said.extend(world.rows(REASONS).await);
    }
    let silent = ["10100 silence confirmed stays_silent"; 4];
    assert_eq!(said, [&silent[..], &["10100 silence withdrawn ticks_came"; 2]].concat());
}

const REASONS: &str =
    "select concat_ws(' ', kafka_offset, kind, verdict, reason) from found_anomalies
                       order by kafka_offset, kind";

#[tokio::test]
async fn nothing_stays_provisional_whatever_its_kind_when_its_hour_and_the_next_one_are_there() {
    let world = World::create().await;
    let ticks = calm(10, &[100]);
    let numbered = |number: i64| format!(r#","sequence":{number}"#);
    world.bucket.put(&key(10, 0, 10_000), lines_with(&ticks, numbered)).await.unwrap();
    world.put(&key(11, 0, 11_000), &calm(11, &[])).await;
    for tick in [&ticks[0], &ticks[100], &ticks[359]] {
        for kind in Kind::CAUSAL {
            find(&world, tick, kind.name(), price(tick)).await;
        }
    }
    world.run_ok(&[&DAY[..], &["--map", "sequence=sequence"]].concat()).await;
    let left =
        "select distinct kind from anomalies where verdict = 'provisional' or reason is null";
    assert_eq!(world.rows(left).await, [""; 0]);
    assert_eq!(world.number("select count(*) from anomalies").await, 3 * Kind::CAUSAL.len() as i64);
    // What is said rests on what there is, and is no default.
    assert_eq!(world.number("select count(distinct reason) from anomalies").await, 9);
}

#[tokio::test]
async fn a_silence_is_not_confirmed_where_the_hours_that_are_looked_at_have_no_session() {
    let world = World::create().await;
    // 06:16:40 in New York: the time without a tick is that of Friday's last minutes.
    let ticks = calm(10, &[]);
    world.put(&key(10, 0, 10_000), &ticks[100..]).await;
    find(&world, &ticks[100], "silence", (510.0, 1.0)).await;
    find(&world, &ticks[100], "market_silence", (510.0, 1.0)).await;
    world.run_ok(&DAY[..4]).await;
    let said =
        |what: &str| ["market_silence", "silence"].map(|kind| format!("10100 {kind} {what}"));
    assert_eq!(world.rows(REASONS).await, said("withdrawn outside_sessions"));
    // Other sessions make it judge the hour again.
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, said("confirmed no_ticks"));
}

#[tokio::test]
async fn a_silence_over_the_close_is_withdrawn_by_a_late_tick_of_the_session() {
    let world = World::create().await;
    let ticks = calm(20, &[]);
    // 15:50 to 16:10 in New York, ten minutes of which are in the session.
    world.put(&key(20, 0, 20_000), &ticks[60..]).await;
    find(&world, &ticks[60], "silence", (600.0, 1.0)).await;
    world.run_ok(&DAY[..4]).await;
    assert_eq!(world.rows(REASONS).await, ["20060 silence confirmed no_ticks"]);
    world.put(&key(19, 0, 19_301), &calm(19, &[])[301..]).await;
    world.run_ok(&DAY[..4]).await;
    assert_eq!(world.rows(REASONS).await, ["20060 silence withdrawn ticks_came"]);
}

#[tokio::test]
async fn a_market_was_silent_until_ticks_of_its_partition_come_late() {
    let world = World::create().await;
    let ticks = calm(10, &[]);
    world.put(&key(10, 0, 10_000), &[&ticks[..50], &ticks[100..]].concat()).await;
    find(&world, &ticks[100], "market_silence", (510.0, 1.0)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, ["10100 market_silence confirmed no_ticks"]);
    // Of another partition.
    let other: Vec<Tick> =
        ticks[50..100].iter().map(|tick| Tick { partition: 1, ..tick.clone() }).collect();
    world.put(&key(10, 1, 10_050), &other).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, ["10100 market_silence confirmed no_ticks"]);
    let late = |number: usize| Tick { symbol: "MSFT".into(), ..ticks[number].clone() };
    world.put(&key(10, 0, 10_070), &[late(70)]).await;
    world.run_ok(&DAY).await;
    // What is left of it is still too long.
    assert_eq!(world.rows(REASONS).await, ["10100 market_silence confirmed stays_silent"]);
    let others: Vec<Tick> = [55, 60, 65, 75, 80, 85, 90, 95].map(late).to_vec();
    world.put(&key(10, 0, 10_055), &others).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, ["10100 market_silence withdrawn ticks_came"]);
}

#[tokio::test]
async fn a_silence_that_began_in_the_hour_before_is_withdrawn_by_late_ticks_of_that_hour_however_early()
 {
    let world = World::create().await;
    let (before, ticks) = (calm(10, &[]), calm(11, &[]));
    world.put(&key(10, 0, 10_000), &before[..200]).await;
    world.put(&key(11, 0, 11_000), &ticks[60..]).await;
    // From 10:33:10 to 11:10.
    find(&world, &ticks[60], "silence", (2210.0, 10.0)).await;
    find(&world, &ticks[60], "market_silence", (2210.0, 10.0)).await;
    let said =
        |what: &str| ["market_silence", "silence"].map(|kind| format!("11060 {kind} {what}"));
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, said("confirmed no_ticks"));
    // Five minutes are its limit.
    world.put(&key(10, 0, 10_210), &before[210..211]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, said("confirmed stays_silent"));
    world.put(&key(10, 0, 10_220), &before[220..]).await;
    world.put(&key(11, 0, 11_020), &ticks[20..50]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(REASONS).await, said("withdrawn ticks_came"));
}

#[tokio::test]
async fn a_hole_in_the_numbers_is_closed_by_all_that_were_missing_and_not_by_some() {
    let world = World::create().await;
    let ticks = calm(10, &[]);
    let numbered = |number: i64| format!(r#","n":{number}"#);
    let put = async |ticks: &[Tick]| {
        world.bucket.put(&key(10, 0, ticks[0].offset), lines_with(ticks, numbered)).await.unwrap();
        world.run_ok(&[&DAY[..], &["--map", "sequence=n"]].concat()).await;
    };
    find_with(&world, &ticks[103], "sequence_hole", 3, (103.0, 100.0)).await;
    put(&[&ticks[..100], &ticks[103..]].concat()).await;
    assert_eq!(world.rows(REASONS).await, ["10103 sequence_hole confirmed numbers_missing"]);
    // They come behind the tick that showed the hole, with the times that they had.
    let late: Vec<Tick> = (100..103)
        .map(|number| Tick { offset: 50_000 + number, ..ticks[number as usize].clone() })
        .collect();
    put(&late[..2]).await;
    assert_eq!(world.rows(REASONS).await, ["10103 sequence_hole confirmed numbers_missing"]);
    put(&late[2..]).await;
    assert_eq!(world.rows(REASONS).await, ["10103 sequence_hole withdrawn numbers_came"]);
}

#[tokio::test]
async fn a_step_back_is_withdrawn_of_a_late_number_and_confirmed_of_one_that_comes_twice_or_begins_anew()
 {
    let world = World::create().await;
    let mut ticks = calm(10, &[]);
    // It was sent ten ticks too late, with the time and number of its own.
    ticks[100].offset = 10_110;
    for tick in &mut ticks[101..111] {
        tick.offset -= 1;
    }
    let number = |offset: i64| match offset {
        110 => 5_100,
        100..110 => 5_001 + offset,
        200 => 5_199,
        300.. => offset - 299,
        other => 5_000 + other,
    };
    let numbered = |offset: i64| format!(r#","n":{}"#, number(offset));
    world.bucket.put(&key(10, 0, 10_000), lines_with(&ticks, numbered)).await.unwrap();
    for tick in [100, 200, 300] {
        find(&world, &ticks[tick], "sequence_step", (5_000.0, 5_001.0)).await;
    }
    world.run_ok(&[&DAY[..], &["--map", "sequence=n"]].concat()).await;
    let expected = [
        "10110 sequence_step withdrawn number_came_late",
        "10200 sequence_step confirmed number_repeated",
        "10300 sequence_step confirmed numbers_went_back",
    ];
    assert_eq!(world.rows(REASONS).await, expected);
}

#[tokio::test]
async fn a_new_level_that_shows_only_in_the_next_hour_withdraws_what_the_first_ticks_of_it_were_taken_for()
 {
    let world = World::create().await;
    let mut ticks = calm(10, &[]);
    ticks
        .iter_mut()
        .skip(358)
        .for_each(|tick| (tick.open, tick.close) = (tick.open / 4, tick.close / 4));
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
async fn what_was_found_late_is_judged_however_old_its_hour_is_some_hours_at_a_time() {
    let world = World::create().await;
    let mut first = Vec::new();
    for hour in 0..30 {
        let of = Hour::parse("2025-05-01T00").unwrap().plus(hour);
        let since = of.start().micros() - at(0, 0).micros();
        let tick = |tick: Tick| Tick {
            at: tick.at.plus_micros(since),
            offset: tick.offset + 100 * hour,
            ..tick
        };
        let ticks: Vec<Tick> = calm(0, &[]).into_iter().take(5).map(tick).collect();
        world.put(&key_of(of, 0, 100 * hour), &ticks).await;
        first.extend(ticks.into_iter().next());
    }
    world.run_ok(&["--from", "2025-05-01T00", "--to", "2025-05-03T00"]).await;
    for tick in &first {
        find(&world, tick, "spike", price(tick)).await;
    }
    for expected in [6, 0] {
        world.run_ok(&DAY).await;
        assert_eq!(
            world.number("select count(*) from anomalies where verdict = 'provisional'").await,
            expected
        );
    }
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains("judged"), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_archive_that_the_speed_layer_has_never_read_is_judged_as_well() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.rows("select concat(source, ' ', verdict) from found_anomalies").await,
        ["0 confirmed"]
    );
    world.execute("delete from anomalies; delete from judged_hours").await;
    world.run_ok(&[&DAY[..], &["--anomalies", "off"]].concat()).await;
    assert_eq!(world.number("select count(*) from judged_hours").await, 0);
}

#[tokio::test]
async fn two_odd_ticks_that_are_presumed_in_one_place_are_one_finding_and_stop_no_run() {
    let world = World::create().await;
    let ticks = calm(10, &[150]);
    let without_places = |ticks: &[Tick]| {
        let stripped = |line: &str| {
            let (head, tail) = line.split_once("\"kafka_offset\":").unwrap();
            format!("{head}{}\n", &tail[tail.find("\"close\"").unwrap()..])
        };
        lines(ticks).lines().map(stripped).collect::<String>()
    };
    world.bucket.put(&key(10, 0, 0), without_places(&ticks[..200])).await.unwrap();
    world.bucket.put(&key(10, 0, 100), without_places(&ticks[100..])).await.unwrap();
    world.put(&key(11, 1, 0), &calm(11, &[])).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.rows("select concat(kafka_offset, ' ', verdict) from anomalies").await,
        ["150 confirmed"]
    );
    assert_eq!(world.number("select count(*) from judged_hours").await, 2);
}

#[tokio::test]
async fn a_version_of_the_detectors_judges_older_hours_some_at_a_time() {
    let world = World::create().await;
    for hour in 0..30 {
        let of = Hour::parse("2025-05-01T00").unwrap().plus(hour);
        let ticks: Vec<Tick> = calm(0, &[]);
        let since = of.start().micros() - at(0, 0).micros();
        let ticks =
            ticks.into_iter().map(|tick| Tick { at: tick.at.plus_micros(since), ..tick }).take(5);
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
    let good: Vec<Tick> =
        ticks.iter().filter(|tick| ![10_100, 10_200].contains(&tick.offset)).cloned().collect();
    world.insert_realtime(&good).await;
    let columns = "symbol, trim_scale(open), trim_scale(high), trim_scale(low), trim_scale(close), trim_scale(volume),
                   ticks, trim_scale(sum_close), trim_scale(notional)";
    world.fill_minute_bars().await;
    let hour = world.rows(&format!("select concat_ws(' ', {columns}) from clean_hours")).await;
    assert_eq!(hour, world.rows(&format!("select concat_ws(' ', {columns}) from hour_bars")).await);
    let minutes = world
        .rows(&format!(
            "select concat_ws(' ', minute, {columns}) from clean_minutes order by minute"
        ))
        .await;
    let expected = format!(
        "select concat_ws(' ', minute, {columns}) from minute_bars
         where minute in ('{}', '{}') order by minute",
        ticks[100].at.floor(Timestamp::MINUTE),
        ticks[200].at.floor(Timestamp::MINUTE)
    );
    assert_eq!(minutes, world.rows(&expected).await);
    assert_eq!(world.number("select sum(left_out)::bigint from clean_hours").await, 2);
}

/// A usual run does not look at clean bars that are there.
#[tokio::test]
async fn wrong_clean_bars_are_written_anew_where_their_hour_is_computed_anew() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100, 200])).await;
    world.run_ok(&DAY).await;
    let clean = "select concat_ws(' ', trim_scale(high), ticks, left_out) from clean_hours
                 union all
                 select concat_ws(' ', minute, trim_scale(high), ticks) from clean_minutes order by 1";
    let before = world.rows(clean).await;
    for spoil in [
        "update clean_hours set high = high + 1000",
        "update clean_minutes set high = high + 1000",
        "delete from clean_hours",
    ] {
        world.execute(spoil).await;
        world.run_ok(&DAY).await;
        assert_ne!(world.rows(clean).await, before, "{spoil}");
        world.run_ok(&[&DAY[..], &["--recompute"]].concat()).await;
        assert_eq!(world.rows(clean).await, before, "{spoil}");
    }
}

#[tokio::test]
async fn the_clean_views_leave_bad_prints_out_of_bars_that_have_no_newer_ticks() {
    let world = World::create().await;
    let ticks = calm(10, &[100, 200]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    let hour = |view: &str| {
        format!("select concat_ws(' ', ticks, trim_scale(high), trim_scale(volume)) from {view}")
    };
    assert_eq!(world.rows(&hour("hourly_stock")).await, ["360 102 36000"]);
    assert_eq!(
        world.rows(&hour("clean_hourly_stock where left_out = 2")).await,
        ["358 100.01 35800"]
    );
    let listed = "select concat_ws(' ', ticks, left_out, trim_scale(raw_high),
                                   coalesce(trim_scale(clean_high)::text, 'none'))
                  from hours_with_bad_prints";
    assert_eq!(world.rows(listed).await, ["360 2 102 100.01"]);
    world.execute("update clean_hours set ticks = 0, left_out = 360").await;
    assert_eq!(world.rows(listed).await, ["360 360 102 none"]);
    world.execute("update clean_hours set ticks = 358, left_out = 2").await;
    assert_eq!(world.rows("select trim_scale(high)::text from daily_stock_report").await, ["102"]);
    assert_eq!(
        world.rows("select trim_scale(high)::text from clean_daily_stock_report").await,
        ["100.01"]
    );
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
    let ticks: Vec<Tick> = calm(10, &[120])
        .into_iter()
        .filter(|tick| !(10_121..10_126).contains(&tick.offset))
        .collect();
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from minute_stock").await, 60);
    assert_eq!(world.number("select count(*) from clean_minute_stock").await, 59);
    assert_eq!(
        world.rows("select concat_ws(' ', ticks, left_out) from clean_minutes").await,
        ["0 1"]
    );
}

/// Three hours of three symbols that walk, with prints that are off near the hours' ends.
fn walking() -> Vec<Tick> {
    let mut dice = Dice(7);
    let mut prices = [1_000_000; 3];
    let of_hour = |number: i64| number % 240;
    let tick = |number: i64| {
        let symbol = (number % 3) as usize;
        prices[symbol] += dice.roll(400) - 200;
        let is_near_an_end = !(20..220).contains(&of_hour(number));
        let off = if is_near_an_end && dice.roll(6) == 0 { 800 + dice.roll(5_000) } else { 0 };
        let price = prices[symbol] + off;
        Tick {
            symbol: ["AAPL", "MSFT", "BRK-B"][symbol].into(),
            at: at(10 + number / 240, 0).plus_micros(of_hour(number) * 15_000_000),
            open: price,
            close: price,
            volume: 100,
            partition: 0,
            offset: number,
        }
    };
    (0..720).map(tick).collect()
}

/// Numbers that are the same in each run of a test.
struct Dice(u64);

impl Dice {
    /// From 0 to below `sides`.
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides.unsigned_abs()).cast_signed()
    }
}

/// All that hindsight has said.
async fn said(world: &World) -> Vec<String> {
    let columns = "symbol, open, high, low, close, volume, ticks, sum_close, notional, left_out";
    world
        .rows(&format!(
            "select concat_ws(' ', kafka_offset, symbol, kind, score, observed, expected, verdict) from anomalies
             union all select concat_ws(' ', 'minute', minute, {columns}) from clean_minutes
             union all select concat_ws(' ', 'hour', hour, {columns}) from clean_hours
             order by 1"
        ))
        .await
}

#[tokio::test]
async fn verdicts_are_the_same_however_records_lie_in_objects_and_whichever_hours_runs_have_looked_at()
 {
    let ticks = walking();
    let whole = World::create().await;
    for hour in 0..3 {
        let of_hour = &ticks[240 * hour..240 * (hour + 1)];
        whole.put(&key(10 + hour as i64, 0, 240 * hour as i64), of_hour).await;
    }
    whole.run_ok(&DAY).await;
    let expected = said(&whole).await;
    assert!(expected.len() > 10, "{expected:?}");

    let cut = World::create().await;
    let (mut dice, mut left) = (Dice(11), ticks);
    while !left.is_empty() {
        // Some come later than others of their hour.
        let from = dice.roll(left.len().min(20) as i64) as usize;
        let object: Vec<Tick> = left.drain(from..left.len().min(from + 7)).collect();
        let last = object.iter().map(|tick| tick.at).max().unwrap();
        cut.put(&key_of(Hour::of(last), 0, object[0].offset), &object).await;
        if dice.roll(20) == 0 {
            cut.run_ok(&DAY).await;
        }
    }
    cut.run_ok(&DAY).await;
    assert_eq!(said(&cut).await, expected);
    for hour in ["2025-06-02T12", "2025-06-02T10", "2025-06-02T11"] {
        cut.run_ok(&["--hour", hour, "--recompute"]).await;
        assert_eq!(said(&cut).await, expected, "after {hour}");
    }
}

#[tokio::test]
async fn a_late_tick_has_those_hours_alone_judged_again_whose_ticks_it_lies_beside() {
    let world = World::create().await;
    for hour in 10..13 {
        world.put(&key(hour, 0, hour * 1000), &calm(hour, &[100])).await;
    }
    world.run_ok(&DAY).await;
    let judged = "select concat(to_char(hour at time zone 'UTC', 'HH24'), ' ', judged_at)
                  from judged_hours order by 1";
    let mut late = Vec::new();
    let cases: [(i64, i64, &[&str]); 4] =
        [(0, 30, &["11"]), (1, 9, &["10", "11"]), (2, 51, &["11", "12"]), (3, 10, &["11"])];
    for (offset, minute, expected) in cases {
        let tick =
            Tick { at: at(11, minute), partition: 1, offset, ..calm(11, &[offset])[0].clone() };
        world.put(&key(11, 1, offset), std::slice::from_ref(&tick)).await;
        late.push(tick);
        let before = world.rows(judged).await;
        world.run_ok(&DAY).await;
        let after = world.rows(judged).await;
        let again: Vec<&str> =
            after.iter().filter(|row| !before.contains(row)).map(|row| &row[..2]).collect();
        assert_eq!(again, expected, "minute {minute}");
    }
    // The verdicts are those of an archive that had them from the first.
    let whole = World::create().await;
    for hour in 10..13 {
        whole.put(&key(hour, 0, hour * 1000), &calm(hour, &[100])).await;
    }
    whole.put(&key(11, 1, 0), &late).await;
    whole.run_ok(&DAY).await;
    assert_eq!(said(&world).await, said(&whole).await);
}

/// Ticks of more symbols than an hour may have to be judged whole, from an offset on.
fn wide(offset: i64, count: i64) -> Vec<Tick> {
    let calm = calm(10, &[]);
    let tick = |number: i64| Tick {
        symbol: format!("S{number}"),
        partition: 1,
        offset: offset + number,
        ..calm[number as usize % calm.len()].clone()
    };
    (0..count).map(tick).collect()
}

#[tokio::test]
async fn of_an_hour_too_large_to_be_judged_whole_late_ticks_of_symbols_without_findings_are_not_judged()
 {
    let world = World::create().await;
    let ticks = calm(10, &[100]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    world.put(&key(10, 1, 0), &wide(0, 10_001)).await;
    find(&world, &ticks[100], "spike", price(&ticks[100])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10100 spike bad_print confirmed"]);
    let clean = "select concat_ws(' ', xmin, ticks, left_out) from clean_hours";
    let before = world.rows(clean).await;
    assert!(before.len() == 1 && before[0].ends_with(" 359 1"), "{before:?}");
    let due = "select count(*) from batch_hours b join judged_hours j using (hour)
               where b.computed_at > j.judged_at or j.added_symbols <> '{}'";

    world.put(&key(10, 1, 20_000), &wide(20_000, 100)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(clean).await, before, "nothing was judged again");
    assert_eq!(world.number(due).await, 0);

    // What is found there since is judged, and so are late ticks of a symbol of which something is.
    let late = &wide(20_000, 1)[0];
    find(&world, late, "spike", price(late)).await;
    world.run_ok(&DAY).await;
    let said = "select concat_ws(' ', symbol, verdict) from anomalies order by symbol";
    assert_eq!(world.rows(said).await, ["AAPL confirmed", "S0 withdrawn"]);
    let tick = Tick { offset: 11_000, ..calm(10, &[])[200].clone() };
    world.put(&key(10, 0, 11_000), &[tick]).await;
    world.run_ok(&DAY).await;
    let after = world.rows(clean).await;
    assert!(after.len() == 1 && after[0].ends_with(" 360 1"), "{after:?}");
    assert_eq!(world.number(due).await, 0);
}

#[tokio::test]
async fn of_conflicting_records_the_clean_bars_have_that_of_the_summary() {
    for other in ["aa", "zz"] {
        let world = World::create().await;
        let (ticks, mut others) = (calm(10, &[]), calm(10, &[100, 101]));
        others.truncate(150);
        world.put(&key(10, 0, 10_000), &ticks).await;
        let folder = "raw/stock_prices/2025-06-02-10";
        let name = key(10, 0, 10_000).replace(folder, &format!("{folder}/{other}"));
        world.put(&name, &others).await;
        world.run_ok(&DAY).await;
        let high = world.rows("select trim_scale(high)::text from hourly_stock_summary").await;
        let bad = world.number("select count(*) from anomalies where verdict = 'confirmed'").await;
        assert_eq!(
            (high == ["102.01"], bad),
            if other == "aa" { (true, 2) } else { (false, 0) },
            "{high:?}"
        );
    }
}

#[tokio::test]
async fn an_hour_that_is_written_and_not_judged_shows_its_raw_bars() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select sum(left_out)::bigint from clean_hourly_stock").await, 1);
    let mut mended = calm(10, &[]);
    mended
        .iter_mut()
        .for_each(|tick| (tick.open, tick.close) = (tick.open + 500_000, tick.close + 500_000));
    world.put(&key(10, 0, 10_000), &mended).await;
    world.run_ok(&[&DAY[..], &["--anomalies", "off"]].concat()).await;
    let bars = "select concat_ws(' ', left_out, trim_scale(low)) from clean_hourly_stock";
    assert_eq!(world.rows(bars).await, ["0 150"]);
    assert_eq!(world.number("select count(*) from hours_with_bad_prints").await, 0);
}

/// The same ticks of another symbol, in another partition.
fn of_msft(ticks: &[Tick]) -> Vec<Tick> {
    ticks.iter().map(|tick| Tick { symbol: "MSFT".into(), partition: 1, ..tick.clone() }).collect()
}

const CLEAN_HOURS: &str =
    "select concat_ws(' ', symbol, ticks, left_out) from clean_hourly_stock order by 1";

#[tokio::test]
async fn late_ticks_of_an_hour_that_nothing_can_judge_any_more_show_the_raw_bars_of_their_symbol_and_that_is_said_once()
 {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])[..300]).await;
    world.put(&key(10, 1, 10_000), &of_msft(&calm(10, &[200]))).await;
    world.run_ok(&DAY).await;
    let before = world.rows(CLEAN_HOURS).await;
    assert_eq!(before, ["AAPL 299 1", "MSFT 359 1"]);
    for partition in 0..2 {
        world.expire(&key(10, partition, 10_000)).await;
    }
    let said = said(&world).await;
    for run in [&DAY[..], &[&DAY[..], &["--recompute"]].concat()] {
        let outcome = world.run_ok(run).await;
        assert!(!outcome.stderr.contains("late ticks"), "{}", outcome.stderr);
        assert_eq!(world.rows(CLEAN_HOURS).await, before);
    }
    assert_eq!(self::said(&world).await, said);
    world.put(&key(12, 0, 10_300), &calm(10, &[])[300..]).await;
    let outcome = world.run_ok(&DAY).await;
    let words = "late ticks have come to 1 hour, the first 2025-06-02T10";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    for run in [&DAY[..], &[&DAY[..], &["--recompute"]].concat()] {
        assert_eq!(world.rows(CLEAN_HOURS).await, ["AAPL 360 0", "MSFT 359 1"]);
        let outcome = world.run_ok(run).await;
        assert!(!outcome.stderr.contains("late ticks"), "{}", outcome.stderr);
    }
    assert_eq!(world.rows(CLEAN_HOURS).await, ["AAPL 360 0", "MSFT 359 1"]);
}

/// Writes the archive's hours to the lake, and deletes the raw objects that are then needless.
async fn cover(world: &World) {
    world.run_ok(&COMPACT).await;
    world.run_ok(&[&COMPACT[..], &["--delete-covered"]].concat()).await;
}

async fn raw_objects(world: &World) -> usize {
    world.bucket.list("raw/").await.unwrap().len()
}

#[tokio::test]
async fn hours_without_their_raw_objects_are_judged_from_the_lake_to_the_same_rows() {
    let world = World::create().await;
    let (args, ticks) = ([&DAY[..], &["--map", "sequence=sequence"]].concat(), walking());
    let beside = |number| match number % 50 {
        7 => r#","conditions":["@","Cancelled"],"sequence":7"#.to_owned(),
        9 => r#","bid":50,"ask":60,"conditions":["T"]"#.to_owned(),
        _ => format!(r#","conditions":["@"],"sequence":{number}"#),
    };
    for hour in 0..3 {
        let of_hour = &ticks[240 * hour..240 * (hour + 1)];
        let key = key(10 + hour as i64, 0, 240 * hour as i64);
        world.bucket.put(&key, lines_with(of_hour, beside)).await.unwrap();
    }
    for (number, kind) in
        [(30, "spike"), (100, "cancel"), (250, "spike"), (239, "sequence_hole"), (300, "silence")]
    {
        find(&world, &ticks[number], kind, price(&ticks[number])).await;
    }
    world.run_ok(&args).await;
    let expected = said(&world).await;
    assert!(expected.len() > 20, "{expected:?}");
    for also in [&[][..], &["--delete-covered"]] {
        world.run_ok(&[&COMPACT[..], &["--map", "sequence=sequence"], also].concat()).await;
    }
    assert_eq!(raw_objects(&world).await, 0);
    let outcome = world.run_ok(&[&args[..], &["--recompute"]].concat()).await;
    assert!(outcome.stderr.contains("3 hours judged"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(said(&world).await, expected);
    // From nothing.
    world
        .execute(
            "delete from judged_hours; delete from anomalies where detector = 'two_sided';
             update anomalies set (verdict, reason) = ('provisional', null)",
        )
        .await;
    world.run_ok(&[&args[..], &["--from-lake", "never"]].concat()).await;
    assert_eq!(world.number("select count(*) from judged_hours").await, 0);
    world.run_ok(&args).await;
    assert_eq!(said(&world).await, expected);
}

#[tokio::test]
async fn a_late_tick_of_an_hour_that_the_lake_has_is_judged_with_those_of_the_lake() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])[..300]).await;
    world.put(&key(10, 1, 10_000), &of_msft(&calm(10, &[200]))).await;
    world.run_ok(&DAY).await;
    cover(&world).await;
    assert_eq!(raw_objects(&world).await, 0);
    world.put(&key(12, 0, 10_300), &calm(10, &[310])[300..]).await;
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains("late ticks"), "{}", outcome.stderr);
    assert_eq!(world.rows(CLEAN_HOURS).await, ["AAPL 358 2", "MSFT 359 1"], "{}", outcome.stderr);
    // Of an object of the lake that is gone nothing is taken for true, and what was judged stays.
    let said_before = said(&world).await;
    let lake = world.rows("select key from lake_objects").await.remove(0);
    world.bucket.delete(&lake).await.unwrap();
    world.execute("update judged_hours set detectors = ''").await;
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("not judged with hindsight"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&lake), "{}", outcome.stderr);
    assert_eq!(said(&world).await, said_before);
}

#[tokio::test]
async fn the_margin_of_an_hour_comes_from_the_lake_where_the_hour_beside_it_has_no_raw_objects() {
    let world = World::create().await;
    // The last ticks are of a new level, as only the next hour shows.
    let mut ticks = calm(10, &[]);
    ticks
        .iter_mut()
        .skip(358)
        .for_each(|tick| (tick.open, tick.close) = (tick.open / 4, tick.close / 4));
    let mut next = calm(11, &[]);
    next.iter_mut().for_each(|tick| (tick.open, tick.close) = (tick.open / 4, tick.close / 4));
    world.put(&key(11, 0, 11_000), &next).await;
    world.run_ok(&DAY).await;
    cover(&world).await;
    assert_eq!(raw_objects(&world).await, 0);
    world.put(&key(10, 0, 10_000), &ticks).await;
    find(&world, &ticks[359], "spike", price(&ticks[359])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(FOUND).await, ["10359 spike bad_print withdrawn"]);
}

#[tokio::test]
async fn of_ticks_that_the_archive_has_lost_nothing_is_said() {
    let world = World::create().await;
    let ticks = calm(10, &[100, 200, 300]);
    world.put(&key(10, 0, 10_000), &ticks).await;
    find(&world, &ticks[100], "spike", price(&ticks[100])).await;
    find(&world, &ticks[200], "spike", price(&ticks[200])).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from anomalies where verdict = 'confirmed'").await, 3);
    world.put(&key(10, 0, 10_000), &ticks[..150]).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.rows(FOUND).await,
        ["10100 spike bad_print confirmed", "10200 spike bad_print provisional"]
    );
    // It was another hour's.
    world.put(&key(10, 0, 10_000), &calm(9, &[])).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.rows(FOUND).await,
        ["10100 spike bad_print provisional", "10200 spike bad_print provisional"]
    );
    assert_eq!(world.number("select count(*) from clean_hours").await, 0);
}

#[tokio::test]
async fn two_sets_of_flags_that_judge_the_same_hours_in_turn_are_named_once_a_run() {
    let world = World::create().await;
    world.put(&key(10, 0, 10_000), &calm(10, &[100])).await;
    world.put(&key(11, 0, 11_000), &calm(11, &[])).await;
    let said = "were judged by other flags within a day";
    for (flags, is_logged) in [
        (&[][..], false),
        (&["--price-step", "5"], true),
        (&["--price-step", "5"], false),
        (&[], true),
        (&["--cancel-conditions", "44"], true),
    ] {
        let outcome = world.run_ok(&[&DAY[..], flags].concat()).await;
        let times = outcome.stderr.matches(said).count();
        assert_eq!(times, usize::from(is_logged), "{flags:?} {}", outcome.stderr);
        let name = flags.first().unwrap_or(&"--price-step");
        assert!(!is_logged || outcome.stderr.contains(name), "{flags:?} {}", outcome.stderr);
    }
    // What was judged long ago by other flags is judged anew, once.
    world.execute("update judged_hours set judged_at = now() - interval '25 hours'").await;
    world.execute("update batch_hours set computed_at = now() - interval '26 hours'").await;
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains(said), "{}", outcome.stderr);
}
