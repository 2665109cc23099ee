//! `batch-layer verify`: what it finds, and what it does not take for a finding.

use crate::changes::lines_without_offsets;
use crate::support::{
    LONG, Outcome, Tick, World, finish, gzip, key, key_of, lines, some_ticks, ticks_of,
};
use common::Timestamp;
use hourly::hour::Hour;
use serde_json::Value;
use std::process::Stdio;
use testing::{HttpProxy, TestMessage, TestTopic, Treatment, eventually, free_port, stack};

pub const HOURS: [&str; 4] = ["--from", "2025-06-02T09", "--to", "2025-06-02T12"];

pub async fn verify(world: &World, flags: &[&str]) -> Outcome {
    world.run(&[&["verify"], flags].concat()).await
}

/// Hours 9 to 11 with two partitions each, the same everywhere, and computed.
pub async fn agreeing() -> World {
    let world = World::with_hours(9..12, 2, 400).await;
    make_stable(&world).await;
    // The offsets between an hour's last tick and the next one's first were no ticks.
    world.source("stock_prices").await;
    world
        .execute(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
             select 1, partition, o, 'empty', 'no value'
             from generate_series(0, 1) as partition, generate_series(9400, 11000) as o
             where o % 1000 >= 400",
        )
        .await;
    world
}

/// Everything that follows from the ticks.
async fn make_stable(world: &World) {
    world.fill_minute_bars().await;
    for partition in 0..2 {
        world.set_next_offset("stock_prices", partition, 20_000).await;
    }
    world.run_ok(&HOURS).await;
}

/// The statuses of hours and of partitions in the tables.
async fn statuses(world: &World) -> Vec<String> {
    world
        .rows(
            "select concat_ws(' ', to_char(hour at time zone 'UTC', 'HH24'), p, status)
             from (select hour, 'all' as p, status from reconciled_hours
                   union all select hour, partition::text, status from reconciliations where status <> 'ok') as found
             order by 1",
        )
        .await
}

#[tokio::test]
async fn hours_that_agree_are_found_to_agree_and_written_down() {
    let world = agreeing().await;
    let before = world.footprint().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("3 hours: 3 ok, 0 purged, 0 open, 0 mismatch; 2400 ticks"),
        "{}",
        outcome.stdout
    );
    assert_eq!(statuses(&world).await, ["09 all ok", "10 all ok", "11 all ok"]);
    let sums = "select count(*) from reconciliations where realtime_checksum = archive_checksum and realtime_ticks = 400";
    assert_eq!(world.number(sums).await, 6);
    assert_eq!(world.number("select count(*) from hour_reconciliation where needs_look").await, 0);
    assert_eq!(world.footprint().await, before, "nothing else is touched");
    assert_eq!(world.number("select count(*) from batch_runs").await, 1);
    // An hour that is computed again must be looked at again.
    world.run_ok(&[&HOURS[..], &["--recompute"]].concat()).await;
    assert_eq!(world.number("select count(*) from hour_reconciliation where needs_look").await, 3);
}

#[tokio::test]
async fn every_kind_of_difference_is_found_in_its_hour_and_partition() {
    let world = agreeing().await;
    for statement in [
        "delete from realtime_stock where kafka_partition = 0 and kafka_offset between 9010 and 9012",
        // As many ticks as before, and another value.
        "update realtime_stock set close = close + 0.000000001 where kafka_partition = 1 and kafka_offset = 10005",
        "insert into realtime_stock select * from realtime_stock where kafka_partition = 0 and kafka_offset = 11007",
    ] {
        world.execute(statement).await;
    }
    let archived = some_ticks(11, 1, 11_000, 400);
    world.put(&key(11, 1, 11_000), &[&archived[..20], &archived[25..]].concat()).await;
    world.execute("truncate minute_bars").await;
    make_stable(&world).await;

    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    for word in [
        "3 ticks of the archive are not in realtime_stock: offsets 9010-9012",
        "1 tick has other values in realtime_stock than in the archive: offsets 10005",
        "offset 10005: realtime_stock has BTC-USD 2025-06-02T10:00:45Z open ",
        "1 row of realtime_stock stands for a record that has a row already",
        "5 ticks of realtime_stock are not in the archive: offsets 11020-11024",
    ] {
        assert!(outcome.stdout.contains(word), "{word} is missing in\n{}", outcome.stdout);
    }
    assert_eq!(
        statuses(&world).await,
        [
            "09 0 mismatch",
            "09 all mismatch",
            "10 1 mismatch",
            "10 all mismatch",
            "11 0 mismatch",
            "11 1 mismatch",
            "11 all mismatch"
        ]
    );
    assert!(outcome.stderr.contains("3 of 3 hours differ"), "{}", outcome.stderr);
}

/// What makes a block of offsets one in which the two sides hold others.
const BLURS: [&str; 3] = [
    // A gap.
    "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 10007;
     insert into kafka_gaps (source, partition, from_offset, to_offset, detail) values (1, 0, 10007, 10008, '')",
    // A reject that Connect's parser takes.
    "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 10007;
     insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail, value, value_bytes)
     values (1, 0, 10007, 'not_json', 'a nested value', '[', 1)",
    "",
];

#[tokio::test]
async fn a_changed_value_beside_a_gap_a_reject_or_an_expired_object_is_found() {
    for blur in BLURS {
        let world = agreeing().await;
        if blur.is_empty() {
            let ticks = some_ticks(10, 0, 10_000, 400);
            world.expire(&key(10, 0, 10_000)).await;
            world.put(&key(10, 0, 10_000), &ticks[..100]).await;
            world.put(&key(10, 0, 10_100), &ticks[100..]).await;
            world.run_ok(&HOURS).await;
            world.expire(&key(10, 0, 10_000)).await;
            world.run_ok(&HOURS).await;
        } else {
            world.execute(blur).await;
            world.fill_minute_bars().await;
        }
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{blur}: {}{}", outcome.stdout, outcome.stderr);
        let mut ticks = some_ticks(10, 0, 10_000, 400);
        ticks[200].close += 5;
        match blur.is_empty() {
            true => world.put(&key(10, 0, 10_100), &ticks[100..]).await,
            false => world.put(&key(10, 0, 10_000), &ticks).await,
        }
        for _ in 0..2 {
            let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
            assert_eq!(outcome.code, 1, "{blur}: {}{}", outcome.stdout, outcome.stderr);
            let word =
                "1 tick has other values in realtime_stock than in the archive: offsets 10200";
            assert!(outcome.stdout.contains(word), "{blur}: {}", outcome.stdout);
            world.run(&HOURS).await;
        }
    }
}

#[tokio::test]
async fn a_second_read_reads_only_the_objects_that_it_needs_and_counts_a_repeated_record_once() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 5000);
    let lacking: Vec<_> = ticks.iter().filter(|tick| tick.offset % 1500 != 700).cloned().collect();
    world.insert_realtime(&lacking).await;
    world.fill_minute_bars().await;
    // Blocks 0, 2, 3 and 4 lack an offset each; records of block 2 stand in two objects.
    for (from, to) in [(0, 1000), (1024, 2048), (2048, 2600), (2500, 4000), (4000, 5000)] {
        world.put(&key(10, 0, from as i64), &ticks[from..to]).await;
    }
    world.put(&key(10, 0, 1000), &ticks[1000..1024]).await;
    world.set_next_offset("stock_prices", 0, 5000).await;
    world
        .execute(
            "insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
             select 1, 0, o, o + 1, '' from generate_series(700, 5000, 1500) as o",
        )
        .await;
    world.run_ok(&HOURS).await;
    let store = HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), |_| {
        Treatment::Forward
    })
    .await;
    let address = format!("http://{}", store.address());
    let mut command = world.command(&["verify", "--hour", "2025-06-02T10"]);
    command.env("S3_ENDPOINT_URL", &address);
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let of =
        |name: &str| store.requests().iter().filter(|request| request.path.contains(name)).count();
    assert_eq!(of("0000001024.json"), 1, "its block has the same offsets on both sides");
    assert!(of("0000004000.json") >= 2);
}

#[tokio::test]
async fn records_that_the_archive_has_twice_and_ticks_in_other_folders_are_no_difference() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 3000);
    world.insert_realtime(&ticks).await;
    for (hour, from, to) in
        [(10, 0, 1500), (10, 1200, 2000), (10, 1300, 1310), (11, 2000, 2500), (18, 2500, 3000)]
    {
        world.put(&key(hour, 0, from), &ticks[from as usize..to]).await;
    }
    world.run_ok(&["--from", "2025-06-02T00", "--to", "2025-06-03T00"]).await;
    make_stable(&world).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let found = world
        .rows("select concat_ws(' ', archive_ticks, archive_duplicates) from reconciliations")
        .await;
    assert_eq!(found, ["3000 310"]);
}

#[tokio::test]
async fn a_day_that_retention_has_dropped_is_compared_by_its_bars() {
    let world = agreeing().await;
    world.execute("truncate realtime_stock").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(
        outcome.code, 1,
        "ticks that are only missing were not dropped by retention: {}",
        outcome.stdout
    );
    world
        .execute(
            "insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
        )
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("0 ok, 3 purged"), "{}", outcome.stdout);
    world.execute("delete from dropped_days; drop table realtime_all").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "a day that nobody says to have dropped: {}", outcome.stdout);
    world
        .execute(
            "insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
        )
        .await;
    world
        .execute("update minute_bars set ticks = ticks - 1 where minute = '2025-06-02T10:07Z' and symbol = 'AAPL'")
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("minute_bars count 799 ticks, the archive has 800"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn an_hour_with_an_unreadable_object_is_open_and_the_others_are_compared() {
    let world = agreeing().await;
    let whole = gzip(&lines(&some_ticks(10, 1, 10_000, 400)));
    world.bucket.put(&key(10, 1, 10_000), whole[..whole.len() / 2].to_vec()).await.unwrap();
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("2 ok, 0 purged, 1 open, 0 mismatch"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(&key(10, 1, 10_000)), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_hour_that_batch_layer_has_not_computed_from_the_present_archive_is_open() {
    let world = agreeing().await;
    let late = some_ticks(10, 0, 15_000, 7);
    world.put(&key(10, 0, 15_000), &late).await;
    world.insert_realtime(&late).await;
    world.execute("truncate minute_bars").await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stdout);
    let word = format!(
        "1 object came since the last run of batch-layer, or was replaced, and no run has read it yet, {} the first: \
         hourly_stock_summary counts 800 ticks, the archive has 807",
        key(10, 0, 15_000)
    );
    assert!(outcome.stdout.contains(&word), "{}", outcome.stdout);
    world.execute("delete from batch_hours where hour = '2025-06-02T10:00Z'").await;
    world.execute("truncate hourly_stock_summary, technical_indicators, indicator_states").await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("batch-layer has not computed the hour"), "{}", outcome.stdout);
    // Nor where a run has read all of it, as a neighbour.
    world
        .execute(
            "insert into stale_hours (hour, wanted, replaced) values ('2025-06-02T10:00Z', true, false)
             on conflict do nothing",
        )
        .await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert!(outcome.stdout.contains("batch-layer has not computed the hour"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("has changed since"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_writer_of_late_ticks_beside_it_makes_no_difference() {
    let world = agreeing().await;
    // A tick and its bars in one transaction, as the speed layer writes them.
    let late = some_ticks(10, 0, 15_000, 200);
    let writer = async {
        for tick in &late {
            let Tick { symbol, at, open, close, volume, offset, .. } = tick;
            world
                .execute(&format!(
                    "begin;
                     insert into realtime_stock (symbol, timestamp, open, close, volume, kafka_partition, source, kafka_offset)
                     values ('{symbol}', '{at}', {open} / 10000.0, {close} / 10000.0, {volume}, 0, 1, {offset});
                     delete from minute_bars; delete from hour_bars; {};
                     commit",
                    World::filling_bars()
                ))
                .await;
        }
    };
    let verifying = async {
        for _ in 0..5 {
            let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
            assert!(outcome.stdout.contains(" 0 mismatch"), "{}{}", outcome.stdout, outcome.stderr);
        }
    };
    tokio::select! {
        () = verifying => {}
        () = async { writer.await; std::future::pending().await } => {}
    }
}

#[tokio::test]
async fn an_object_that_no_run_has_read_excuses_no_ticks_but_its_own() {
    let world = agreeing().await;
    let late = some_ticks(10, 0, 15_000, 7);
    world.put(&key(10, 0, 15_000), &late).await;
    world.insert_realtime(&late).await;
    world.fill_minute_bars().await;
    world
        .execute("update batch_hours set ticks = ticks - 1 where hour = '2025-06-02T10:00Z'")
        .await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    let word = "hourly_stock_summary counts 799 ticks, the archive has 807: run batch-layer";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_hour_is_open_whose_object_was_replaced_since_the_last_run() {
    let world = agreeing().await;
    let ticks = some_ticks(10, 0, 10_000, 400);
    world.put(&key(10, 0, 10_000), &ticks[..390]).await;
    world
        .execute(
            "delete from realtime_stock where kafka_partition = 0 and kafka_offset between 10390 and 10399;
             insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
             select 1, 0, o, 'empty', 'no value' from generate_series(10390, 10399) as o",
        )
        .await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "no run has read it yet";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    world.run_ok(&["--hour", "2025-06-02T10"]).await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn what_batch_hours_says_is_compared_with_the_summaries() {
    let world = agreeing().await;
    let recompute = ["--hour", "2025-06-02T10", "--recompute"];
    for (change, word) in [
        (
            "update batch_hours set symbols = symbols + 1 where hour = '2025-06-02T10:00Z'",
            "batch_hours counts 6 symbols",
        ),
        (
            "update batch_hours set ticks = ticks + 1 where hour = '2025-06-02T10:00Z'",
            "batch_hours counts 801 ticks, hourly_stock_summary has 800",
        ),
        (
            "update batch_hours set objects = objects + 1 where hour = '2025-06-02T10:00Z'",
            "computed from 3 objects, of which 0 are gone, and the index has 2 objects of it",
        ),
        (
            "update batch_hours set gone_objects = 1 where hour = '2025-06-02T10:00Z'",
            "computed from 2 objects, of which 1 are gone",
        ),
        (
            "update batch_hours set withdrawn = 9 where hour = '2025-06-02T10:00Z'",
            "9 records were taken out, and hour_sums names 0",
        ),
        (
            "update batch_hours set decode_rules = 'another' where hour = '2025-06-02T10:00Z'",
            "the hour's objects were read by `another`",
        ),
        (
            "delete from batch_hours where hour = '2025-06-02T10:00Z'",
            "hourly_stock_summary has 800 ticks: batch-layer",
        ),
    ] {
        world.execute(change).await;
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{change}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
        world.run_ok(&recompute).await;
        assert_eq!(verify(&world, &HOURS).await.code, 0, "{change}");
    }
    world
        .execute("update batch_hours set location = 's3://old/' where hour = '2025-06-02T10:00Z'")
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("was computed from s3://old/, and not from s3://"),
        "{}",
        outcome.stdout
    );
    world.run_ok(&recompute).await;
    assert_eq!(verify(&world, &HOURS).await.code, 0);
    // The summary may be all that is left of what has expired.
    world.bucket.delete(&key(10, 0, 10_000)).await.unwrap();
    world.execute("delete from batch_hours where hour = '2025-06-02T10:00Z'").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("and the archive only 400: put the objects back"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn an_archive_without_provenance_is_compared_by_number_and_content() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    let bare = lines(&ticks)
        .replace(r#""kafka_offset""#, r#""o""#)
        .replace(r#""kafka_partition""#, r#""p""#);
    world.bucket.put(&key(10, 0, 0), bare.clone()).await.unwrap();
    world.insert_realtime(&ticks).await;
    make_stable(&world).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stdout);
    world
        .bucket
        .put(&key(10, 0, 0), bare.replacen("\"volume\":", "\"volume\":1", 1))
        .await
        .unwrap();
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("their values differ"), "{}", outcome.stdout);
}

/// AAPL is traded in fractions, and one tick of MSFT says no volume.
#[tokio::test]
async fn fractions_of_volumes_and_absent_ones_are_summed_up_and_compared_to_the_last_digit() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    let without = ticks.iter().position(|tick| tick.symbol == "MSFT").unwrap();
    let line = |(number, tick): (usize, &Tick)| {
        let (text, volume) =
            (lines(std::slice::from_ref(tick)), format!("\"volume\":{},", tick.volume));
        match &*tick.symbol {
            "AAPL" => text.replace(&volume, &format!("\"volume\":{}.123456789,", tick.volume)),
            _ if number == without => text.replace(&volume, ""),
            _ => text,
        }
    };
    world
        .bucket
        .put(&key(10, 0, 0), ticks.iter().enumerate().map(line).collect::<String>())
        .await
        .unwrap();
    world.insert_realtime(&ticks).await;
    world
        .execute("update realtime_stock set volume = volume + 0.123456789 where symbol = 'AAPL'")
        .await;
    world
        .execute(&format!("update realtime_stock set volume = null where kafka_offset = {without}"))
        .await;
    make_stable(&world).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(
        world.number("select count(*) from hourly_stock_summary where volume is null").await,
        1
    );
    assert_eq!(
        world.number("select count(*) from technical_indicators where obv is null").await,
        2
    );
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    for change in [
        format!("volume = 0 where kafka_offset = {without}"),
        "volume = volume + 0.000000001 where symbol = 'AAPL'".to_owned(),
    ] {
        world.execute(&format!("update realtime_stock set {change}")).await;
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{change}: {}", outcome.stdout);
        assert!(
            outcome.stdout.contains("other values in realtime_stock"),
            "{change}: {}",
            outcome.stdout
        );
        world
            .execute(&format!(
                "update realtime_stock set volume = null where kafka_offset = {without}"
            ))
            .await;
    }
}

#[tokio::test]
async fn rows_of_every_table_that_follows_from_the_ticks_are_read() {
    for (statement, table) in [
        (
            "delete from hourly_stock_summary where symbol = 'AAPL' and hour = '2025-06-02T10:00Z'",
            "hourly_stock_summary",
        ),
        ("update hourly_stock_summary set vwap = vwap + 0.000001 where symbol = 'AAPL'", "hourly_stock_summary"),
        ("update hour_bars set high = high + 1 where symbol = 'AAPL'", "hour_bars"),
        ("delete from hour_bars where symbol = 'AAPL' and hour = '2025-06-02T10:00Z'", "hour_bars"),
        ("update minute_bars set volume = volume + 1 where symbol = 'AAPL'", "minute_bars"),
        // Within the hour, where its first, last, highest and lowest price stay as they are.
        (
            "update minute_bars set open = open + 0.0001 where (symbol, minute) =
                 (select symbol, minute from minute_bars where symbol = 'AAPL' and minute > '2025-06-02T10:00Z'
                  order by minute limit 1)",
            "minute_bars",
        ),
        (
            "update minute_bars set close = close - 0.0001 where (symbol, minute) =
                 (select symbol, minute from minute_bars where symbol = 'AAPL' and minute < '2025-06-02T10:30Z'
                  order by minute desc limit 1)",
            "minute_bars",
        ),
        (
            "update minute_bars set high = high + 0.0001, low = low + 0.0001 where (symbol, minute) =
                 (select symbol, minute from minute_bars where symbol = 'AAPL' and minute < '2025-06-02T11:00Z'
                  order by abs(high + low - 220) limit 1)",
            "minute_bars",
        ),
        ("delete from technical_indicators where symbol = 'AAPL'", "technical_indicators"),
        (
            "update technical_indicators set obv = obv + 1 where symbol = 'AAPL' and start = '2025-06-02T10:00Z'",
            "technical_indicators",
        ),
        ("update technical_indicators set vwap = 1 where symbol = 'AAPL' and interval = 'day'", "technical_indicators"),
        (
            "insert into technical_indicators (symbol, interval, start, close)
             values ('AAPL', 'hour', '2025-06-02T09:30Z', 1)",
            "technical_indicators",
        ),
    ] {
        let world = agreeing().await;
        world.execute(statement).await;
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{statement}: {}{}", outcome.stdout, outcome.stderr);
        let word = format!("rows of {table} are wrong, missing or too many: AAPL;");
        assert!(outcome.stdout.contains(&word), "{statement}: {}", outcome.stdout);
        if ["hourly_stock_summary", "technical_indicators"].contains(&table) {
            world.run_ok(&[&HOURS[..], &["--recompute"]].concat()).await;
            assert_eq!(verify(&world, &HOURS).await.code, 0, "{statement}");
        }
    }
}

/// What minute and hour bars say beside what they must say: rows of the one that are not in the
/// other.
async fn bars_beside_the_ticks(world: &World) -> i64 {
    let mut differing = 0;
    for (table, unit) in [("minute_bars", "minute"), ("hour_bars", "hour")] {
        let expected = format!(
            "select symbol, date_trunc('{unit}', timestamp, 'UTC'),
                    (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1],
                    max(greatest(open, close)), min(least(open, close)),
                    (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1],
                    sum(volume), count(*), sum(close), sum(close * volume),
                    min(timestamp), (array_agg(kafka_partition order by timestamp, kafka_partition, kafka_offset))[1],
                    (array_agg(kafka_offset order by timestamp, kafka_partition, kafka_offset))[1],
                    max(timestamp),
                    (array_agg(kafka_partition order by timestamp desc, kafka_partition desc, kafka_offset desc))[1],
                    (array_agg(kafka_offset order by timestamp desc, kafka_partition desc, kafka_offset desc))[1],
                    (array_agg(kafka_index order by timestamp, kafka_partition, kafka_offset))[1],
                    (array_agg(kafka_index order by timestamp desc, kafka_partition desc, kafka_offset desc))[1]
             from realtime_stock group by 1, 2"
        );
        let count = format!(
            "select count(*) from ((table {table} except {expected}) union all ({expected} except table {table})) as d"
        );
        differing += world.number(&count).await;
    }
    differing
}

const SPOILT: &str = "
    update minute_bars set sum_close = sum_close + 1 where minute < '2025-06-02T09:10Z' and symbol = 'AAPL';
    update hour_bars set high = high + 1 where symbol = 'MSFT'";

#[tokio::test]
async fn repair_brings_the_bars_back_in_line_with_the_ticks_and_says_what_it_changed() {
    let world = agreeing().await;
    world.execute(SPOILT).await;
    let repair = [&HOURS[..], &["--repair"]].concat();
    let outcome = verify(&world, &repair).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(bars_beside_the_ticks(&world).await, 0);
    let rows = "select concat_ws(' ', symbol, minute, xmin) from minute_bars where symbol <> 'AAPL'
                union all select concat_ws(' ', symbol, hour, xmin) from hour_bars order by 1";
    let before = world.rows(rows).await;
    let outcome = verify(&world, &repair).await;
    assert!(!outcome.stdout.contains("repaired"), "{}", outcome.stdout);
    assert_eq!(world.rows(rows).await, before);

    world
        .execute(
            "delete from minute_bars where (symbol, minute) in
                 (select symbol, minute from minute_bars where symbol = 'AAPL' and minute < '2025-06-02T10:00Z' limit 2);
             insert into minute_bars select 'STRAY', '2025-06-02T09:00Z', 1, 1, 1, 1, 1, 1, 1, 1, now(), 0, 0, now(), 0, 0",
        )
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("--repair brings them in line"), "{}", outcome.stdout);
    let outcome = verify(&world, &repair).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let word = "repaired: minute_bars: 0 rows changed, 2 added, 1 taken out; hour_bars: 0 rows changed, 0 added, 0 taken out";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("hour 2025-06-02T09:00Z: repaired"), "{}", outcome.stderr);
    assert_eq!(world.rows(rows).await, before);
    assert_eq!(bars_beside_the_ticks(&world).await, 0);
}

#[tokio::test]
async fn which_ticks_gave_open_and_close_is_compared_and_repaired_as_well() {
    let world = agreeing().await;
    let hour = ["--hour", "2025-06-02T09"];
    for (table, start) in [("minute_bars", "minute"), ("hour_bars", "hour")] {
        for end in ["first", "last"] {
            for (column, more) in [
                ("timestamp", "interval '1 ms'"),
                ("partition", "1"),
                ("offset", "1"),
                ("index", "1"),
            ] {
                let change = format!(
                    "update {table} set {end}_{column} = {end}_{column} + {more}
                     where ctid = (select min(ctid) from {table}
                                   where symbol = 'AAPL' and {start} < '2025-06-02T10:00Z')"
                );
                world.execute(&change).await;
                let outcome = verify(&world, &hour).await;
                assert_eq!(outcome.code, 1, "{change}: {}{}", outcome.stdout, outcome.stderr);
                let word = format!("rows of {table} are wrong, missing or too many: AAPL");
                assert!(outcome.stdout.contains(&word), "{}", outcome.stdout);
                let outcome = verify(&world, &[&hour[..], &["--repair"]].concat()).await;
                assert_eq!(outcome.code, 0, "{change}: {}{}", outcome.stdout, outcome.stderr);
            }
        }
    }
    // Where the ticks are gone, the archive knows them.
    world.execute("truncate realtime_stock").await;
    world
        .execute(
            "insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
        )
        .await;
    assert_eq!(verify(&world, &HOURS).await.code, 0);
    world.execute("update hour_bars set last_offset = last_offset + 1 where symbol = 'AAPL'").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("AAPL; the archive says otherwise"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("AAPL; hour_bars say otherwise"), "{}", outcome.stdout);
}

#[tokio::test]
async fn repair_counts_the_ticks_of_a_writer_that_is_at_work_meanwhile_once() {
    let world = agreeing().await;
    verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
    world.execute(SPOILT).await;
    // A writer in the middle of its batch: a tick that nobody sees yet, and its bars.
    let mut writer = world.database.pool().begin().await.unwrap();
    for statement in [
        "insert into realtime_stock
             (symbol, timestamp, open, close, volume, kafka_partition, source, kafka_offset)
         values ('AAPL', '2025-06-02T09:05:00Z', 1, 2, 3, 0, 1, 99999)",
        "insert into minute_bars as known
         values ('AAPL', '2025-06-02T09:05Z', 1, 2, 1, 2, 3, 1, 2, 6, '2025-06-02T09:05Z', 0, 99999,
                 '2025-06-02T09:05Z', 0, 99999)
         on conflict (symbol, minute) do update set ticks = known.ticks + 1, volume = known.volume + 3,
             sum_close = known.sum_close + 2, notional = known.notional + 6, low = least(known.low, 1)",
    ] {
        sqlx::query(statement).execute(&mut *writer).await.unwrap();
    }
    let repairing = verify(&world, &["--hour", "2025-06-02T09", "--repair"]);
    let committing = async {
        eventually("the repair waits for the writer", LONG, || async {
            let waiting = "select count(*) from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            world.number(waiting).await > 0
        })
        .await;
        writer.commit().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(repairing, committing);
    assert!(
        outcome.stdout.contains("repaired: minute_bars: "),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
    let hour_nine = "select count(*) from realtime_stock where timestamp < '2025-06-02T10:00Z'";
    let counted = "select sum(ticks)::bigint from minute_bars where minute < '2025-06-02T10:00Z'";
    assert_eq!(world.number(counted).await, world.number(hour_nine).await);
    assert_eq!(world.number(hour_nine).await, 801);
    verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
    assert_eq!(bars_beside_the_ticks(&world).await, 0);
}

#[tokio::test]
async fn repair_without_the_right_to_change_bars_says_so_and_changes_nothing() {
    let world = agreeing().await;
    world.database.add_roles().await;
    world.execute(SPOILT).await;
    let before = bars(&world).await;
    let mut command =
        world.command(&[&["verify"], &HOURS[..], &["--repair", "--migrations", "check"]].concat());
    command.env("DATABASE_URL", world.database.url_of("batch_writer"));
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 2, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stderr.contains("permission denied for table minute_bars"),
        "{}",
        outcome.stderr
    );
    assert_eq!(bars(&world).await, before);
}

/// Every row of minute and hour bars, and which transaction wrote it.
pub async fn bars(world: &World) -> Vec<String> {
    world
        .rows("select concat(xmin, ' ', t) from minute_bars t union all select concat(xmin, ' ', t) from hour_bars t order by 1")
        .await
}

#[tokio::test]
async fn repair_leaves_the_bars_alone_where_the_ticks_do_not_tell_what_they_should_be() {
    for (damage, word, code) in [
        (
            "insert into realtime_stock select * from realtime_stock where kafka_partition = 0 and kafka_offset = 9007",
            "not repaired, because realtime_stock has rows twice",
            1,
        ),
        (
            "delete from realtime_stock where timestamp < '2025-06-02T10:00Z'",
            "not repaired, because realtime_stock has no tick of this hour",
            1,
        ),
        // Retention has dropped the day: the bars are all that is left.
        (
            "truncate realtime_stock;
             insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
            "rows of hour_bars are wrong, missing or too many: MSFT; the archive says otherwise",
            1,
        ),
    ] {
        let world = agreeing().await;
        world.execute(SPOILT).await;
        world.execute(damage).await;
        let before = bars(&world).await;
        let outcome = verify(&world, &["--hour", "2025-06-02T09", "--repair"]).await;
        assert_eq!(outcome.code, code, "{damage}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains(word), "{damage}: {}", outcome.stdout);
        assert!(
            !outcome.stdout.contains("--repair brings them in line"),
            "{damage}: {}",
            outcome.stdout
        );
        assert_eq!(bars(&world).await, before, "{damage}");
    }
}

#[tokio::test]
async fn repair_gives_up_on_an_hour_whose_rows_others_hold_and_says_so() {
    let world = agreeing().await;
    world.execute(SPOILT).await;
    let before = bars(&world).await;
    let mut other = world.database.pool().begin().await.unwrap();
    sqlx::query("select from hour_bars for update").execute(&mut *other).await.unwrap();
    let outcome =
        verify(&world, &["--hour", "2025-06-02T09", "--repair", "--query-timeout", "16s"]).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("not repaired, because its rows, or the table, are locked by pid "),
        "{}",
        outcome.stdout
    );
    let warned = |line: &str| line.contains("WARN") && line.contains("in a transaction since 20");
    assert!(outcome.stderr.lines().any(warned), "{}", outcome.stderr);
    other.rollback().await.unwrap();
    assert_eq!(bars(&world).await, before);
    assert_eq!(verify(&world, &["--hour", "2025-06-02T09", "--repair"]).await.code, 0);
}

#[tokio::test]
async fn bars_are_left_alone_where_the_table_of_ticks_is_short_of_some_that_are_known() {
    let world = agreeing().await;
    world
        .execute("create table kept as select * from realtime_stock where kafka_offset = 9010")
        .await;
    world.execute("delete from realtime_stock where kafka_offset = 9010").await;
    let before = bars(&world).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "realtime_stock lacks ticks that the archive or Kafka has: put them back first, as docs/operations.md says \
                under HourNotReconciled";
    assert!(
        outcome.stdout.contains(&format!("they do not follow from realtime_stock; {word}")),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.stdout.matches(word).count(), 1, "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("--repair"), "{}", outcome.stdout);
    let outcome = verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
    assert!(
        outcome.stdout.contains(&format!("not repaired, because {word}")),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.stdout.matches(word).count(), 1, "{}", outcome.stdout);
    assert_eq!((outcome.code, bars(&world).await), (1, before));
    world.execute("insert into realtime_stock select * from kept").await;
    assert_eq!(verify(&world, &HOURS).await.code, 0);
}

/// What says that bars may know more than the ticks.
const UNSURE: &str = "they have seen more ticks than realtime_stock has, and the archive does not say that those were too \
                      many: see docs/operations.md under HourNotReconciled";

const UNASKED: &str = "they have seen more ticks than realtime_stock has, and offsets of the hour are in no table and not \
                       in the archive: verify with --kafka-brokers first";

#[tokio::test]
async fn bars_that_have_seen_more_are_left_alone_unless_the_whole_archive_agrees_with_the_ticks() {
    let gone = "delete from realtime_stock where kafka_offset = 9010 and kafka_partition = 0";
    for is_trimmed in [false, true] {
        let world = agreeing().await;
        world.execute(gone).await;
        // Nothing but the bars tells that there was another tick.
        world.bucket.put(&key(9, 0, 9000), vec![0; 1000]).await.unwrap();
        if is_trimmed {
            world.execute("truncate minute_bars").await;
        }
        let before = bars(&world).await;
        let outcome = verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
        assert!(
            outcome.stdout.contains(&format!("not repaired, because {UNSURE}")),
            "{}",
            outcome.stdout
        );
        assert_eq!(outcome.stdout.matches(UNSURE).count(), 1, "{}", outcome.stdout);
        assert_eq!(bars(&world).await, before);
        // What the archive holds is wholly known again, and has no such tick.
        let ticks = some_ticks(9, 0, 9000, 400);
        world.put(&key(9, 0, 9000), &[&ticks[..10], &ticks[11..]].concat()).await;
        world.run_ok(&[&HOURS[..], &["--allow-shrink"]].concat()).await;
        // It may have been one all the same, which both sides have lost.
        let outcome = verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
        assert!(
            outcome.stdout.contains(&format!("not repaired, because {UNASKED}")),
            "{}",
            outcome.stdout
        );
        assert_eq!(bars(&world).await, before);
        world
            .execute(
                "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
                 values (1, 0, 9010, 'empty', 'no value')",
            )
            .await;
        verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
        assert_eq!(
            world.number("select sum(ticks)::bigint from hour_bars").await,
            2399,
            "{is_trimmed}"
        );
    }
}

/// 2,600 symbols with a tick each, in one hour, in order: S0000, S0001 and so on.
async fn many_symbols() -> World {
    let world = World::create().await;
    let mut ticks = some_ticks(10, 0, 0, 2600);
    ticks.iter_mut().zip(0..).for_each(|(tick, number)| tick.symbol = format!("S{number:04}"));
    world.put(&key(10, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    make_stable(&world).await;
    world
}

#[tokio::test]
async fn an_hour_of_many_symbols_is_repaired_part_by_part_and_none_is_left_out() {
    let world = many_symbols().await;
    let repair = ["--hour", "2025-06-02T10", "--repair"];
    // The ends of what is looked at together: 2,500 and 333 symbols.
    world
        .execute(
            "update minute_bars set high = high + 1 where symbol in ('S0000', 'S0332', 'S0333', 'S2499', 'S2500', 'S2599');
             update hour_bars set low = low - 1 where symbol in ('S0000', 'S0333', 'S2499', 'S2500', 'S2599');
             delete from minute_bars where symbol in ('S0001', 'S2501', 'S2598');
             insert into minute_bars
             select s, '2025-06-02T10:00Z', 1, 1, 1, 1, 1, 1, 1, 1, now(), 0, 0, now(), 0, 0
             from unnest(array['A', 'S0332X', 'S2499X', 'Z']) as s",
        )
        .await;
    let outcome = verify(&world, &repair).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let changed =
        "6 rows changed, 3 added, 4 taken out; hour_bars: 5 rows changed, 0 added, 0 taken out";
    assert!(outcome.stdout.contains(changed), "{}", outcome.stdout);
    assert_eq!(bars_beside_the_ticks(&world).await, 0);
    let before = bars(&world).await;
    verify(&world, &repair).await;
    assert_eq!(bars(&world).await, before);
}

#[tokio::test]
async fn of_many_symbols_with_wrong_indicators_a_few_are_named_and_all_counted() {
    let world = many_symbols().await;
    world
        .execute("update technical_indicators set vwap = 1 where symbol not in ('S0003', 'S2400')")
        .await;
    world
        .execute(
            "insert into stale_indicators select symbol, '2025-06-02T10:00Z'
             from generate_series(2500, 2509) as number, lateral (select 'S' || number as symbol) as named",
        )
        .await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "rows of technical_indicators are wrong, missing or too many: S0000, S0001, S0002, S0004, S0005 and 2583 \
                more; the hour's and the day's rows;";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn of_wrong_indicators_it_is_said_whether_they_are_the_hour_s_or_the_day_s() {
    let world = agreeing().await;
    world
        .execute(
            "update technical_indicators set vwap = 1 where interval = 'day' and symbol = 'AAPL'",
        )
        .await;
    let outcome = verify(&world, &HOURS).await;
    let word = "rows of technical_indicators are wrong, missing or too many: AAPL; the day's rows; batch-layer --recompute";
    assert_eq!(outcome.stdout.matches(word).count(), 1, "{}", outcome.stdout);
}

#[tokio::test]
async fn wrong_indicators_are_mended_over_the_hour_that_is_named_though_it_has_no_ticks() {
    let world = agreeing().await;
    // The exchange's day begins at 04:00Z.
    let window = ["--from", "2025-06-02T04", "--to", "2025-06-02T12"];
    for (hour, falsehood) in [
        ("2025-06-02T04", "delete from technical_indicators where interval = 'day' and symbol = 'AAPL'"),
        (
            "2025-06-02T05",
            "insert into technical_indicators
             select (jsonb_populate_record(t, '{\"symbol\": \"ZZ\", \"start\": \"2025-06-02T05:00:00Z\"}')).*
             from technical_indicators t where interval = 'hour' limit 1",
        ),
    ] {
        world.execute(falsehood).await;
        let outcome = verify(&world, &window).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        let named = format!("{hour}:00Z  all mismatch: rows of technical_indicators are wrong");
        assert!(outcome.stdout.contains(&named), "{}", outcome.stdout);
        world.run_ok(&["--hour", hour, "--recompute"]).await;
        let outcome = verify(&world, &window).await;
        assert_eq!(outcome.code, 0, "{falsehood}: {}{}", outcome.stdout, outcome.stderr);
    }
}

#[tokio::test]
async fn an_hour_that_is_not_looked_at_yet_is_no_success() {
    let world = agreeing().await;
    let now = Hour::of(Timestamp::now());
    for flag in ["--hour", "--from"] {
        let outcome = verify(&world, &[flag, &now.start().to_string()]).await;
        assert_eq!(outcome.code, 4, "{flag}: {}{}", outcome.stdout, outcome.stderr);
        let word = format!(
            "nothing was compared: hour {now} is looked at from {} on, 300s after its end (--grace)",
            now.plus(1).start().plus_micros(5 * Timestamp::MINUTE)
        );
        assert!(outcome.stderr.contains(&word), "{flag}: {}", outcome.stderr);
    }
}

#[tokio::test]
async fn a_window_without_a_tick_is_no_success_while_the_newest_hour_was_never_compared() {
    let world = World::create().await;
    assert_eq!(verify(&world, &[]).await.code, 0, "there is nothing at all");
    let world = agreeing().await;
    let outcome = verify(&world, &[]).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "the tables have hours from 2025-06-02T09:00Z to 2025-06-02T11:00Z: --from 2025-06-02T09:00:00Z reaches them";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    // Hours that were named, and nothing is there.
    let outcome = verify(&world, &["--hour", "2025-06-01T09"]).await;
    assert!(outcome.code == 4 && outcome.stderr.contains(word), "{}", outcome.stderr);
    let outcome = verify(&world, &["--from", "2025-06-01T09", "--to", "2025-06-01T12"]).await;
    assert!(outcome.code == 0 && outcome.stderr.contains(word), "{}", outcome.stderr);
    // On a weekend there are no ticks, and Friday was compared.
    assert_eq!(verify(&world, &HOURS).await.code, 0);
    let outcome = verify(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn hours_whose_objects_hold_lines_and_no_tick_are_no_success() {
    let world = World::create().await;
    let (now, junk) = (Hour::of(Timestamp::now()), "{\"a\":1}\n".repeat(12));
    let object = key_of(now.plus(-2), 0, 0);
    world.bucket.put(&object, junk.clone()).await.unwrap();
    let of = |back: i64| now.plus(-back).start().to_string();
    let (own, next) = (of(2), of(1));
    let word = format!("{object} is one. Table rejected_lines has the reasons");
    for flags in [&[][..], &["--hour", &own]] {
        let outcome = verify(&world, flags).await;
        assert_eq!(outcome.code, 4, "{flags:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(&word), "{flags:?}: {}", outcome.stderr);
    }
    // It is read for the next hour's sake, too, and lies in none of its folders.
    let outcome = verify(&world, &["--from", &next]).await;
    assert!(!outcome.stderr.contains(&object), "{}", outcome.stderr);
    // With ticks in another hour.
    let world = agreeing().await;
    world.bucket.put(&key(14, 0, 14_000), junk).await.unwrap();
    world.run(&["--hour", "2025-06-02T14"]).await;
    let outcome = verify(&world, &["--hour", "2025-06-02T14"]).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let outcome = verify(&world, &["--from", "2025-06-02T09", "--to", "2025-06-02T15"]).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn symbols_whose_indicators_are_still_to_be_computed_leave_their_hours_open_from_there_on() {
    let world = agreeing().await;
    world.execute("insert into stale_indicators values ('AAPL', '2025-06-02T10:00Z')").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "batch-layer has still to compute indicators, which were not compared: of AAPL";
    assert_eq!(outcome.stdout.matches(word).count(), 2, "{}", outcome.stdout);
    assert_eq!(statuses(&world).await, ["09 all ok", "10 all open", "11 all open"]);
}

#[tokio::test]
async fn what_was_repaired_is_said_though_the_archive_has_grown_too_large_for_its_stretch_meanwhile()
 {
    let world = agreeing().await;
    world.execute(SPOILT).await;
    let mut other = world.database.pool().begin().await.unwrap();
    sqlx::query("select from hour_bars for update").execute(&mut *other).await.unwrap();
    let day =
        ["--from", "2025-06-02T00", "--to", "2025-06-03T00", "--repair", "--query-timeout", "300s"];
    let (objects, repairing) = (wide_day(), verify(&world, &day));
    let growing = async {
        eventually("the repair waits for the rows", LONG, || async {
            let waiting = "select count(*) from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            world.number(waiting).await > 0
        })
        .await;
        put_all(&world, objects).await;
        other.rollback().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(repairing, growing);
    assert_eq!(
        outcome.code, 4,
        "no run has read the wide objects yet: {}{}",
        outcome.stdout, outcome.stderr
    );
    for hour in ["09", "10", "11"] {
        let said = outcome.stderr.contains(&format!("hour 2025-06-02T{hour}:00Z: repaired: "));
        assert!(said, "{}", outcome.stderr);
    }
    let said = outcome.stdout.matches("repaired: minute_bars: ").count();
    assert_eq!(said, 3, "{}", outcome.stdout);
    assert_eq!(bars_beside_the_ticks(&world).await, 0);
}

/// How many symbols each hour of [`wide_day`] has.
const WIDE: i64 = 6300;

/// An object in each hour of 2025-06-02, which hold more together than there is memory for: keys
/// and content.
fn wide_day() -> Vec<(String, String)> {
    assert!(24 * WIDE as usize > hourly::pending_hours::MAX_BARS);
    let object = |hour| {
        let mut ticks = some_ticks(hour, 7, hour * WIDE, WIDE);
        ticks.iter_mut().zip(0..).for_each(|(tick, number)| tick.symbol = format!("S{number}"));
        (key(hour, 7, hour * WIDE), lines(&ticks))
    };
    (0..24).map(object).collect()
}

async fn put_all(world: &World, objects: Vec<(String, String)>) {
    for (key, text) in objects {
        world.bucket.put(&key, text).await.unwrap();
    }
}

#[tokio::test]
async fn a_group_that_has_never_written_the_topic_is_named_and_hides_no_loss() {
    let world = agreeing().await;
    world
        .execute("delete from realtime_stock where kafka_partition = 0 and kafka_offset = 9010")
        .await;
    let outcome = verify(&world, &[&HOURS[..], &["--group-id", "another"]].concat()).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 tick of the archive is not in realtime_stock: offsets 9010";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    let word = "group another has never written topic stock_prices here: what speed-layer has written is compared";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let world = agreeing().await;
    for flags in [&["verify", "--format", "json"][..], &["verify"], &["--dry-run"]] {
        let mut command =
            tokio::process::Command::from(world.command(&[flags, &HOURS[..]].concat()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = tokio::time::timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {said}");
        assert!(!said.contains("panicked"), "{flags:?}: {said}");
    }
}

#[tokio::test]
async fn minutes_that_were_trimmed_are_no_difference() {
    let world = agreeing().await;
    world.execute("truncate minute_bars").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn objects_that_have_expired_are_no_difference() {
    let world = agreeing().await;
    world.expire(&key(10, 1, 10_000)).await;
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("1 object of the archive has expired"), "{}", outcome.stdout);
}

#[tokio::test]
async fn expired_objects_whose_lines_told_no_offsets_are_compared_by_number() {
    let world = World::create().await;
    for partition in 0..2 {
        let name = key(10, partition, 0);
        world.bucket.put(&name, lines_without_offsets(10, partition, 20)).await.unwrap();
        world.insert_realtime(&some_ticks(10, partition, 0, 20)).await;
    }
    make_stable(&world).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // One after the other.
    for partition in 0..2 {
        world.expire(&key(10, partition, 0)).await;
        world.run_ok(&HOURS).await;
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        let word = "20 ticks of realtime_stock were in objects that have expired, whose lines had no offsets";
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    }
    world
        .execute("delete from realtime_stock where kafka_partition = 0 and kafka_offset = 7")
        .await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn what_connects_parser_takes_and_the_speed_layer_rejects_has_a_verdict_of_its_own() {
    let world = agreeing().await;
    world
        .execute(
            "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 9010;
             insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail, value, value_bytes)
             values (1, 0, 9010, 'not_json', 'a nested value', '[', 1)",
        )
        .await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("1 tick of the archive stands in rejected_ticks"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn layers_that_read_by_other_flags_do_not_agree() {
    let world = agreeing().await;
    let value = lines(&some_ticks(9, 0, 9000, 11)[10..]);
    let statement = format!(
        "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 9010;
         insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail, value, value_bytes)
         values (1, 0, 9010, 'missing_field', 'price is missing', '{value}', length('{value}'))"
    );
    world.execute(&statement).await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let said = "1 tick of the archive stands in rejected_ticks and is a tick by these flags: give speed-layer";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
}

#[tokio::test]
async fn ticks_whose_lines_are_none_by_these_flags_do_not_wait_for_the_sink() {
    let world = agreeing().await;
    for flags in [&["--where", "symbol=AAPL"][..], &["--where", "kind=trade"]] {
        let outcome = verify(&world, &[&HOURS[..], flags].concat()).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        let said =
            "ticks of realtime_stock are rejected in the archive, which has their lines: offsets ";
        assert_eq!(outcome.stdout.matches(said).count(), 6, "{}", outcome.stdout);
        assert!(outcome.stdout.contains("the first for other_kind: "), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("for the sink"), "{}", outcome.stdout);
    }
    // The hours were computed by others, which are said.
    let outcome = verify(&world, &[&HOURS[..], &["--map", "symbol=instrument"]].concat()).await;
    for said in [
        "hourly_stock_summary counts 800 ticks, the archive has 0 by these flags\n",
        "batch-layer has computed the hour by other rules of messages: then ",
        "(is a flag missing?): give speed-layer, batch-layer and verify the same flags",
    ] {
        assert_eq!(outcome.stdout.matches(said).count(), 3, "{said}: {}", outcome.stdout);
    }
    // Nothing tells the speed layer's; that most ticks differ does.
    world.execute("update realtime_stock set close = close + 1 where kafka_partition = 0").await;
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    let said =
        "400 of the 400 that were looked up differ: rather the layers read them by other flags";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
    // Those that no line stands for are told apart.
    let ticks = some_ticks(9, 0, 9000, 400);
    world.put(&key(9, 0, 9000), &ticks[..390]).await;
    let outcome = verify(&world, &["--hour", "2025-06-02T09", "--where", "kind=trade"]).await;
    for said in
        ["390 ticks of realtime_stock are rejected", "10 ticks of realtime_stock wait for the sink"]
    {
        assert!(outcome.stdout.contains(said), "{said}: {}", outcome.stdout);
    }
}

#[tokio::test]
async fn repair_carries_nothing_into_bars_that_the_archive_contradicts() {
    for falsehood in [
        "update realtime_stock set close = close + 1000, high = high + 1000
         where kafka_partition = 0 and kafka_offset = 10010",
        "update realtime_stock set symbol = 'GHOST' where kafka_partition = 0 and kafka_offset = 10010",
        "insert into realtime_stock
         select (jsonb_populate_record(r, '{\"kafka_index\": 1}')).* from realtime_stock r
         where kafka_partition = 0 and kafka_offset = 10010",
        "update realtime_stock set timestamp = timestamp + interval '1 hour'
         where kafka_partition = 0 and kafka_offset = 9010",
    ] {
        let world = agreeing().await;
        let bars = "select t::text from hour_bars t order by 1";
        let before = world.rows(bars).await;
        world.execute(falsehood).await;
        let outcome = verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
        assert_eq!(outcome.code, 1, "{falsehood}: {}{}", outcome.stdout, outcome.stderr);
        let said = "not repaired, because the archive says otherwise than realtime_stock";
        assert!(outcome.stdout.contains(said), "{falsehood}: {}", outcome.stdout);
        assert_eq!(world.rows(bars).await, before, "{falsehood}");
    }
}

/// Two topics, whose ticks have the same places, below one prefix and in one database.
async fn two_topics() -> World {
    let world = World::create().await;
    let (stocks, mut coins) = (some_ticks(10, 0, 0, 300), some_ticks(10, 0, 0, 200));
    coins.iter_mut().for_each(|tick| tick.symbol = format!("X-{}", tick.symbol));
    world.put(&key(10, 0, 0), &stocks).await;
    world.put(&key(10, 0, 0).replace("stock_prices+", "coins+"), &coins).await;
    let sources = [world.source("stock_prices").await, world.source("coins").await];
    assert_eq!(sources, [1, 2]);
    world.insert_realtime(&[stocks, coins].concat()).await;
    world.execute("update realtime_stock set source = 2 where symbol like 'X-%'").await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 300).await;
    world.set_next_offset("coins", 0, 200).await;
    world.run_ok(&HOURS).await;
    world
}

#[tokio::test]
async fn several_topics_with_the_same_offsets_are_compared_in_one_run() {
    let world = two_topics().await;
    let both = [&HOURS[..], &["--topic", "stock_prices,coins"]].concat();
    let found = "select concat_ws(' ', topic, partition, status, realtime_ticks, archive_ticks, missing_in_realtime)
                 from reconciliations order by 1";
    let outcome = verify(&world, &both).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(world.rows(found).await, ["coins 0 ok 200 200 0", "stock_prices 0 ok 300 300 0"]);
    assert!(outcome.stdout.contains("topic coins:"), "{}", outcome.stdout);

    world.execute("delete from realtime_stock where source = 2 and kafka_offset = 17").await;
    let outcome = verify(&world, &both).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("1 tick of the archive is not in realtime_stock: offsets 17"));
    assert_eq!(
        world.rows(found).await,
        ["coins 0 mismatch 199 200 1", "stock_prices 0 ok 300 300 0"]
    );
}

#[tokio::test]
async fn of_several_topics_all_must_be_named() {
    let world = two_topics().await;
    world.source("bonds").await;
    let outcome = verify(&world, &[&HOURS[..], &["--topic", "stock_prices,bonds"]].concat()).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let unread = "coins+0+0000000000.json: it is of none of the topics of --topic";
    assert!(outcome.stdout.contains(unread), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("--topic stock_prices,bonds,coins compares all of them"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn a_topic_that_shares_the_database_is_compared_by_its_own_rows_and_shared_hours_are_open() {
    let world = World::create().await;
    let stocks = [some_ticks(9, 0, 0, 300), some_ticks(10, 0, 300, 300)];
    let mut coins = some_ticks(10, 0, 200, 200);
    coins.iter_mut().for_each(|tick| tick.symbol = format!("X-{}", tick.symbol));
    world.put(&key(9, 0, 0), &stocks[0]).await;
    world.put(&key(10, 0, 300), &stocks[1]).await;
    world.put(&key(10, 0, 200).replace("stock_prices", "coins"), &coins).await;
    assert_eq!([world.source("stock_prices").await, world.source("coins").await], [1, 2]);
    world.insert_realtime(&[&stocks.concat()[..], &coins].concat()).await;
    world.execute("update realtime_stock set source = 2 where symbol like 'X-%'").await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 600).await;
    world.set_next_offset("coins", 0, 400).await;
    let below_coins = ["--prefix", "raw/coins/%Y-%m-%d-%H/"];
    world.run_ok(&HOURS).await;
    world.run_ok(&[&HOURS[..], &below_coins].concat()).await;
    let before = bars(&world).await;
    for (flags, words, hours) in [
        (
            &["--repair"][..],
            "--topic stock_prices,coins compares all of them",
            "2 hours: 1 ok, 0 purged, 1 open",
        ),
        (
            &[&["--topic", "coins"][..], &below_coins].concat(),
            "--topic coins,stock_prices",
            "0 ok, 0 purged, 2 open",
        ),
    ] {
        let outcome = verify(&world, &[&HOURS[..], flags].concat()).await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        assert!(
            outcome.stdout.contains(words) && outcome.stdout.contains(hours),
            "{}",
            outcome.stdout
        );
        assert!(!outcome.stdout.contains("mismatch "), "{}", outcome.stdout);
    }
    assert_eq!(bars(&world).await, before);
    // Its own losses are found where nothing is shared, and named where something is.
    world
        .execute("delete from realtime_stock where source = 1 and kafka_offset in (17, 317)")
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    for offset in ["17", "317"] {
        let word = format!("1 tick of the archive is not in realtime_stock: offsets {offset}\n");
        assert!(outcome.stdout.contains(&word), "{}", outcome.stdout);
    }
    // Of a day that is gone nothing tells whose ticks the bars have counted.
    world.execute("truncate realtime_stock").await;
    world
        .execute(
            "insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test')",
        )
        .await;
    world.execute("delete from archive_objects where key like '%coins%'").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("1 purged, 1 open, 0 mismatch"), "{}", outcome.stdout);
}

#[tokio::test]
async fn topics_that_only_the_archive_has_are_told_apart_by_the_names_of_its_objects() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 22)).await;
    let coins = key(10, 0, 0).replace("stock_prices+", "coins+");
    world.put(&coins, &some_ticks(10, 0, 0, 23)).await;
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("--topic stock_prices,coins compares all"),
        "{}",
        outcome.stdout
    );
    // A single one is the only one, whatever it is called.
    world.bucket.delete(&key(10, 0, 0)).await.unwrap();
    world.run_ok(&[&HOURS[..], &["--allow-shrink"]].concat()).await;
    let outcome = verify(&world, &HOURS).await;
    assert!(!outcome.stdout.contains("compares all"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_row_of_a_source_that_is_none_is_a_mismatch() {
    let world = agreeing().await;
    world.execute("update realtime_stock set source = 2 where kafka_offset = 10007").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let said = "rows of realtime_stock have source 2, which kafka_sources does not have";
    assert_eq!(outcome.stdout.matches(said).count(), 1, "{}", outcome.stdout);
}

#[tokio::test]
async fn topics_of_one_database_that_lie_below_prefixes_of_their_own_are_compared_in_one_run() {
    let world = World::create().await;
    let (stocks, mut coins) = (some_ticks(10, 0, 0, 300), some_ticks(10, 0, 0, 200));
    coins.iter_mut().for_each(|tick| tick.symbol = format!("X-{}", tick.symbol));
    world.put(&key(10, 0, 0), &stocks).await;
    world.put(&key(10, 0, 0).replace("stock_prices", "coins"), &coins).await;
    assert_eq!([world.source("stock_prices").await, world.source("coins").await], [1, 2]);
    world.insert_realtime(&[stocks, coins].concat()).await;
    world.execute("update realtime_stock set source = 2 where symbol like 'X-%'").await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 300).await;
    world.set_next_offset("coins", 0, 200).await;
    let prefixes = ["raw/stock_prices/%Y-%m-%d-%H/", "raw/coins/%Y-%m-%d-%H/"];
    for prefix in prefixes {
        world.run_ok(&[&HOURS[..], &["--prefix", prefix]].concat()).await;
    }
    let both = prefixes.join(",");
    let both = [&HOURS[..], &["--topic", "stock_prices,coins", "--prefix", &both]].concat();
    let found = "select concat_ws(' ', topic, status, realtime_ticks, archive_ticks) from reconciliations order by 1";
    let outcome = verify(&world, &both).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(world.rows(found).await, ["coins ok 200 200", "stock_prices ok 300 300"]);
    world.execute("delete from realtime_stock where source = 2 and kafka_offset = 17").await;
    let outcome = verify(&world, &both).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(world.rows(found).await, ["coins mismatch 199 200", "stock_prices ok 300 300"]);
    world.execute("update hourly_stock_summary set high = high + 1 where symbol = 'X-AAPL'").await;
    let outcome = verify(&world, &both).await;
    let word = "rows of hourly_stock_summary are wrong, missing or too many: X-AAPL";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_window_of_centuries_begins_where_anything_is() {
    let world = agreeing().await;
    let centuries = ["--from", "0001-01-01T00", "--to", "2025-06-02T12"];
    let outcome = verify(&world, &centuries).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("3 hours: 3 ok"), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("there is nothing before 2025-06-02T08:00Z"),
        "{}",
        outcome.stderr
    );
    // A row that nothing explains is found however old it is.
    world
        .execute(
            "insert into hourly_stock_summary (symbol, hour, avg_close, open, high, low, close, ticks)
             values ('OLD', '2025-05-30T07:00Z', 1, 1, 1, 1, 1, 1)",
        )
        .await;
    let outcome = verify(&world, &centuries).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stderr.contains("there is nothing before 2025-05-30T07:00Z"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn two_comparisons_at_once_of_hours_that_were_never_compared_come_to_their_end() {
    let world = agreeing().await;
    let day = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];
    for _ in 0..5 {
        world.execute("delete from reconciled_hours").await;
        let outcomes = futures::future::join_all([(); 3].map(|()| verify(&world, &day))).await;
        for outcome in outcomes {
            assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        }
    }
}

#[tokio::test]
async fn a_comparison_does_not_wait_for_what_cleans_up_its_table() {
    let world = agreeing().await;
    let mut cleaning = world.database.pool().begin().await.unwrap();
    // As VACUUM and ANALYZE do.
    sqlx::query("lock table reconciled_hours, reconciliations in share update exclusive mode")
        .execute(&mut *cleaning)
        .await
        .unwrap();
    let outcome = verify(&world, &[&HOURS[..], &["--query-timeout", "16s"]].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(statuses(&world).await, ["09 all ok", "10 all ok", "11 all ok"]);
    cleaning.rollback().await.unwrap();
}

/// Hours are compared a day at a time.
#[tokio::test]
async fn a_hole_between_two_days_that_are_compared_apart_is_found() {
    let world = World::create().await;
    let hours = [(23, 0), (24, 100)];
    let ticks: Vec<Vec<Tick>> =
        hours.iter().map(|(hour, start)| some_ticks(*hour, 0, *start, 50)).collect();
    for ((hour, start), ticks) in hours.iter().zip(&ticks) {
        world.put(&key(*hour, 0, *start), ticks).await;
        world.insert_realtime(ticks).await;
    }
    world.fill_minute_bars().await;
    let two_days = ["--from", "2025-06-02T00", "--to", "2025-06-04T00"];
    world.run_ok(&two_days).await;
    let outcome = verify(&world, &two_days).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("50 offsets are in no table"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("50-99"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_window_of_centuries_begins_with_the_oldest_row_of_whatever_table() {
    let world = agreeing().await;
    let centuries = ["--from", "1900-01-01T00", "--to", "2025-06-02T12"];
    // Of which nothing is left but what was found of it.
    world
        .execute(
            "insert into reconciled_hours
                 (hour, status, realtime_ticks, minute_bar_ticks, archive_ticks, detail)
             values ('1955-05-05T05:00Z', 'mismatch', 1, 1, 1, '')",
        )
        .await;
    let outcome = verify(&world, &centuries).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let old = "select count(*) from reconciled_hours where hour < '2000-01-01'";
    assert_eq!(world.number(old).await, 0);
    for (interval, start) in [("hour", "1950-05-05T05:00"), ("day", "1940-05-05T04:00")] {
        world
            .execute(&format!(
                "insert into technical_indicators
                 select (jsonb_populate_record(t, '{{\"symbol\": \"ZZ\", \"start\": \"{start}:00Z\"}}')).*
                 from technical_indicators t where interval = '{interval}' limit 1"
            ))
            .await;
        let outcome = verify(&world, &centuries).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        let said = format!("{start}Z  all mismatch: rows of technical_indicators are wrong");
        assert!(outcome.stdout.contains(&said), "{said}: {}", outcome.stdout);
    }
    // Tables that may have an hour of which the others have nothing.
    world.execute("insert into deleted_objects (hour, key) values ('1930-05-05T05:00Z', '')").await;
    let outcome = verify(&world, &centuries).await;
    let said = "there is nothing before 1930-05-05T05:00Z";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[tokio::test]
async fn holes_between_days_are_found_behind_a_late_tick_of_a_day_that_retention_has_dropped() {
    let world = World::create().await;
    let first = Hour::parse("2025-06-02T23").unwrap();
    let late = ticks_of(first, 0, 250, 1);
    for (day, late) in [(0, &[][..]), (1, &[]), (2, &late)] {
        let (hour, start) = (first.plus(24 * day), 100 * day);
        let ticks = [&ticks_of(hour, 0, start, 50), late].concat();
        world.put(&key_of(hour, 0, start), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 251).await;
    let days = ["--from", "2025-06-02T00", "--to", "2025-06-05T00"];
    world.run_ok(&days).await;
    world
        .execute(
            "insert into dropped_days (day, partition, reason) values ('2025-06-02', '', 'test');
             delete from realtime_stock where timestamp < '2025-06-03T00:00Z'",
        )
        .await;
    let outcome = verify(&world, &days).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.stdout.matches("50 offsets are in no table").count(), 2);
    for offsets in ["offsets 50-99\n", "offsets 150-199\n"] {
        assert!(outcome.stdout.contains(offsets), "{offsets}: {}", outcome.stdout);
    }
}

#[tokio::test]
async fn ticks_in_a_folder_beyond_slack_that_no_run_has_read_leave_their_hours_open() {
    let world = World::create().await;
    let first = Hour::parse("2025-06-02T05").unwrap();
    for day in 0..3 {
        let (hour, start) = (first.plus(24 * day), 50 * day);
        let ticks = ticks_of(hour, 0, start, 50);
        world.put(&key_of(hour, 0, start), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 200).await;
    // So long that what nobody has anything of is passed over.
    let window = ["--from", "2025-06-01T00", "--to", "2025-06-22T00"];
    world.run_ok(&window).await;
    assert_eq!(verify(&world, &window).await.code, 0);
    // An hour that was compared before the object is read, and one that has its turn later.
    let far = first.plus(16 * 24);
    let nobody_had = first.plus(3);
    let hours = [(first, 150), (far, 151), (nobody_had, 152)];
    let late = hours.map(|(hour, offset)| ticks_of(hour, 0, offset, 1)).concat();
    let name = key_of(first.plus(24 + 8), 0, 150);
    world.put(&name, &late).await;
    let outcome = verify(&world, &window).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let why = format!(
        "an object that no run has read yet, and whose folder is beyond --slack, holds ticks of it: {name}"
    );
    let said = format!("2025-06-18T05:00Z  all open: not all of the archive was read: {why}");
    assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
    let said = format!(
        "2 hours were compared without all of their ticks, 2025-06-02T05:00Z the first: {why}"
    );
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    let last = "5 hours: 2 ok, 0 purged, 3 open, 0 mismatch";
    assert!(outcome.stdout.contains(last), "{}", outcome.stdout);
    assert_eq!(
        world
            .rows(
                "select concat_ws(' ', to_char(hour at time zone 'UTC', 'DD HH24'), status)
                 from reconciled_hours order by 1",
            )
            .await,
        ["02 05 open", "02 08 open", "03 05 ok", "04 05 ok", "18 05 open"]
    );
    world.run_ok(&window).await;
    let outcome = verify(&world, &window).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    for offset in [150, 151, 152] {
        let said = format!("1 tick of the archive is not in realtime_stock: offsets {offset}\n");
        assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
    }
    world.insert_realtime(&late).await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &window).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

/// Two days, of which an hour each has ticks, computed; gives those hours.
async fn two_days() -> (World, [Hour; 2]) {
    let world = World::create().await;
    let hours = ["2025-06-02T05", "2025-06-03T05"].map(|hour| Hour::parse(hour).unwrap());
    for (hour, offset, count) in [(hours[0], 0, 9), (hours[1], 10, 10)] {
        let ticks = ticks_of(hour, 0, offset, count);
        world.put(&key_of(hour, 0, offset), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    world.insert_realtime(&ticks_of(hours[1], 0, 9, 1)).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 20).await;
    world.run_ok(&TWO_DAYS).await;
    (world, hours)
}

const TWO_DAYS: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-04T00"];

/// As of producers whose clocks are ahead.
#[tokio::test]
async fn an_hour_is_open_of_which_an_object_in_an_earlier_folder_was_not_read_though_later_ticks_were()
 {
    let (world, [first, second]) = two_days().await;
    world.put(&key_of(first, 0, 9), &ticks_of(second, 0, 9, 1)).await;
    let outcome = verify(&world, &TWO_DAYS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "no run has read yet, and whose folder is beyond --slack";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("is not in the archive"), "{}", outcome.stdout);
    // Nor is it known that the archive confirms what realtime_stock has.
    world.execute("delete from realtime_stock where kafka_offset = 9").await;
    let before = bars(&world).await;
    let outcome = verify(&world, &[&TWO_DAYS[..], &["--repair"]].concat()).await;
    assert_eq!(bars(&world).await, before, "{}{}", outcome.stdout, outcome.stderr);
    world.insert_realtime(&ticks_of(second, 0, 9, 1)).await;
    world.run_ok(&TWO_DAYS).await;
    let outcome = verify(&world, &TWO_DAYS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // Nor is it read when it was deleted, which a run has noticed, and comes again with more.
    world.bucket.delete(&key_of(first, 0, 9)).await.unwrap();
    world.run_ok(&TWO_DAYS).await;
    let more = [20, 30].map(|offset| ticks_of(second, 0, offset, 1));
    world.insert_realtime(&more.concat()).await;
    world.execute("truncate minute_bars, hour_bars").await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 31).await;
    world.put(&key_of(second, 0, 30), &more[1]).await;
    world.run_ok(&TWO_DAYS).await;
    let again = [ticks_of(second, 0, 9, 1), more[0].clone()].concat();
    world.put(&key_of(first, 0, 9), &again).await;
    let outcome = verify(&world, &TWO_DAYS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_leaves_the_hours_open_that_its_readable_part_names() {
    let (world, [first, second]) = two_days().await;
    world.put(&key_of(second, 0, 9), &ticks_of(second, 0, 9, 1)).await;
    world.run_ok(&TWO_DAYS).await;
    assert_eq!(verify(&world, &TWO_DAYS).await.code, 0);
    let text = lines(&ticks_of(first, 0, 20, 5));
    // In a folder of the second day, and in one that is read for the sake of slack alone.
    for folder in [second.plus(12), second.plus(19)] {
        let name = key_of(folder, 0, 20);
        world.bucket.put(&name, text[..text.len() - 20].to_owned()).await.unwrap();
        let outcome = verify(&world, &TWO_DAYS).await;
        assert_eq!(outcome.code, 4, "{folder}: {}{}", outcome.stdout, outcome.stderr);
        let word = "1 hour was compared without all of its ticks, 2025-06-02T05:00Z the first";
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("it ends in the middle"), "{}", outcome.stderr);
        let open = "select hour::text from reconciled_hours where status = 'open'
                    and hour = '2025-06-02T05:00Z'";
        assert_eq!(world.rows(open).await.len(), 1);
        world.bucket.delete(&name).await.unwrap();
        assert_eq!(verify(&world, &TWO_DAYS).await.code, 0);
    }
}

#[tokio::test]
async fn of_a_window_of_centuries_only_stretches_are_read_of_which_something_is_there() {
    let world = agreeing().await;
    world
        .execute(
            "insert into hourly_stock_summary (symbol, hour, avg_close, open, high, low, close, ticks)
             values ('OLD', '1905-05-30T07:00Z', 1, 1, 1, 1, 1, 1)",
        )
        .await;
    // Of which nothing is left but what was found of it.
    world
        .execute(
            "insert into reconciled_hours
                 (hour, status, realtime_ticks, minute_bar_ticks, archive_ticks, detail)
             values ('1955-05-05T05:00Z', 'ok', 1, 1, 1, '')",
        )
        .await;
    let store = HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), |_| {
        Treatment::Forward
    })
    .await;
    let mut command =
        world.command(&["verify", "--from", "1900-01-01T00", "--to", "2025-06-02T12"]);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("4 hours: 3 ok"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("OLD"), "{}", outcome.stdout);
    let old = "select count(*) from reconciled_hours where hour = '1955-05-05T05:00Z'";
    assert_eq!(world.number(old).await, 0);
    let requests = store.requests().len();
    assert!(requests < 500, "{requests}: a listing for each of a million hours");
}

#[tokio::test]
async fn hours_that_hold_more_together_than_there_is_memory_for_are_compared_in_smaller_stretches()
{
    let world = World::create().await;
    put_all(&world, wide_day()).await;
    let store = HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), |_| {
        Treatment::Forward
    })
    .await;
    let mut command = world.command(&[
        "verify",
        "--from",
        "2025-06-02T00",
        "--to",
        "2025-06-03T00",
        "--format",
        "json",
    ]);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let outcome = finish(command).await;
    // The speed layer has nothing of it yet.
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let archived =
        outcome.stdout.lines().filter(|line| line.contains(&format!(r#""archive_ticks":{WIDE},"#)));
    assert_eq!(archived.count(), 24, "{}", outcome.stdout);
    let reads = store.requests().iter().filter(|request| request.path.contains(".json")).count();
    assert!(reads > 24 + 2, "{reads} objects were read: all at once");
}

#[tokio::test]
async fn json_has_an_object_for_each_hour_and_the_totals_last() {
    let world = agreeing().await;
    let outcome = verify(&world, &[&HOURS[..], &["--format", "json"]].concat()).await;
    let parsed: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 4, "{}", outcome.stdout);
    assert_eq!(parsed[1]["hour"], "2025-06-02T10:00:00Z");
    assert_eq!(parsed[1]["partitions"][1]["archive_ticks"], 400);
    assert_eq!((&parsed[3]["verify"], &parsed[3]["ok"]), (&Value::from("ok"), &Value::from(3)));
}

/// The last object of `--format json`.
fn last(outcome: &Outcome) -> Value {
    serde_json::from_str(outcome.stdout.lines().last().unwrap_or_default()).unwrap_or_default()
}

#[tokio::test]
async fn the_last_object_says_what_the_exit_code_says() {
    let world = agreeing().await;
    let away = format!("http://127.0.0.1:{}", free_port());
    let database = "postgres://u:p@127.0.0.1:1/d?sslmode=disable".to_owned();
    for (name, value, flags, verdict, code) in [
        ("S3_ENDPOINT_URL", away, &HOURS[..], "failed", 3),
        ("DATABASE_URL", database, &HOURS[..], "failed", 3),
        ("RUST_LOG", String::new(), &["--hour", "2025-01-01T00"][..], "nothing", 4),
    ] {
        let mut command = world.command(&[&["verify", "--format", "json"], flags].concat());
        command.env(name, value);
        let outcome = finish(command).await;
        assert_eq!(outcome.code, code, "{}{}", outcome.stdout, outcome.stderr);
        let last = last(&outcome);
        assert_eq!(last["verify"], verdict, "{}", outcome.stdout);
        assert!(last["error"].as_str().is_some_and(|why| !why.is_empty()), "{last}");
    }
    world.execute("delete from realtime_stock where kafka_offset = 9010").await;
    let outcome = verify(&world, &[&HOURS[..], &["--format", "json"]].concat()).await;
    assert_eq!((outcome.code, &last(&outcome)["verify"]), (1, &Value::from("mismatch")));
}

#[tokio::test]
async fn what_cannot_be_written_is_printed_all_the_same() {
    let world = agreeing().await;
    let read_only = format!(
        "alter database \"{}\" set default_transaction_read_only = on",
        world.database.name()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(read_only)).execute(world.database.pool()).await.unwrap();
    let outcome = verify(&world, &[&HOURS[..], &["--format", "json"]].concat()).await;
    assert_eq!(outcome.code, 3, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains("target_session_attrs=read-write"), "{}", outcome.stderr);
    let last = last(&outcome);
    assert_eq!((&last["verify"], &last["ok"]), (&Value::from("failed"), &Value::from(3)), "{last}");
    assert_eq!(outcome.stdout.lines().count(), 4, "{}", outcome.stdout);
    let outcome = verify(&world, &HOURS).await;
    let words = "not finished; until then 3 hours: 3 ok";
    assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
}

/// A topic and a database that hold the same ticks of an hour that is over; the last one of the
/// topic is no tick.
pub struct Live {
    pub world: World,
    pub topic: TestTopic,
    hour: Hour,
    pub ticks: Vec<Tick>,
}

impl Live {
    pub async fn create() -> Self {
        let (world, topic) = (World::create().await, TestTopic::create(1).await);
        let hour = Hour::of(Timestamp::now()).plus(-2);
        let ticks = ticks_of(hour, 0, 0, 200);
        let live = Self { world, topic, hour, ticks };
        live.send(&live.ticks).await;
        let end = live.ticks[199].at.micros() / 1000;
        live.topic.produce([TestMessage::new(0, "no tick").at(end)]).await;
        live.world.insert_realtime(&live.ticks).await;
        live.world.fill_minute_bars().await;
        live.world.put(&key_of(hour, 0, 0), &live.ticks).await;
        live.world.run_ok(&["--hour", &hour.start().to_string()]).await;
        live.world.set_next_offset(live.topic.name(), 0, 201).await;
        live.world
            .execute(
                "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
                 values (1, 0, 200, 'not_json', 'no tick')",
            )
            .await;
        live
    }

    async fn send(&self, ticks: &[Tick]) {
        let text = lines(ticks);
        let records = text
            .lines()
            .zip(ticks)
            .map(|(line, tick)| TestMessage::new(0, line).at(tick.at.micros() / 1000));
        self.topic.produce(records).await;
    }

    pub async fn verify(&self) -> Outcome {
        let hour = self.hour.start().to_string();
        let flags = [
            "--hour",
            &hour,
            "--kafka-brokers",
            self.topic.brokers(),
            "--topic",
            self.topic.name(),
        ];
        verify(&self.world, &flags).await
    }
}

#[tokio::test]
async fn kafkas_offsets_of_the_hour_are_all_accounted_for() {
    let live = Live::create().await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let found = live
        .world
        .rows(
            "select concat_ws(' ', kafka_from, kafka_to, realtime_ticks, archive_ticks, rejected) from reconciliations",
        )
        .await;
    assert_eq!(found, ["0 201 200 200 1"]);
}

/// What Kafka was asked for ended at the first record behind the hour by its time.
#[tokio::test]
async fn a_record_that_is_lost_is_found_in_kafka_whatever_time_it_bears() {
    let live = Live::create().await;
    let now = Timestamp::now().micros() / 1000;
    let [lost, last] = [201, 202].map(|offset| ticks_of(live.hour, 0, offset, 1));
    live.topic.produce([TestMessage::new(0, lines(&lost).trim()).at(now)]).await;
    live.send(&last).await;
    live.world.insert_realtime(&last).await;
    live.world.execute("truncate minute_bars").await;
    live.world.fill_minute_bars().await;
    live.world.put(&key_of(live.hour, 0, 202), &last).await;
    live.world.run_ok(&["--hour", &live.hour.start().to_string()]).await;
    live.world.set_next_offset(live.topic.name(), 0, 203).await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 record of Kafka is neither in a table nor in the archive: offset";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

/// Nor those that Kafka has no more because its log was lost.
#[tokio::test]
async fn offsets_of_an_earlier_topic_are_not_looked_for_in_the_log_of_the_one_that_it_is_now() {
    let live = Live::create().await;
    let old = live.hour.plus(-3);
    let ticks = [ticks_of(old, 0, 1_000, 2), ticks_of(old, 0, 1_003, 1)].concat();
    live.world
        .execute(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             select group_id, 'moved', topic, '', 1 from kafka_sources where source = 1;
             update realtime_stock set source = 2",
        )
        .await;
    live.world.insert_realtime(&ticks).await;
    live.world.execute("truncate minute_bars, hour_bars").await;
    live.world.fill_minute_bars().await;
    live.world.put(&key_of(old, 0, 1_000), &ticks).await;
    let hour = old.start().to_string();
    live.world.run_ok(&["--hour", &hour]).await;
    let asked = ["--kafka-brokers", live.topic.brokers()];
    let flags = [&["--hour", &hour, "--topic", live.topic.name()][..], &asked].concat();
    let is_found = async |what: &str| {
        let outcome = verify(&live.world, &flags).await;
        assert_eq!(outcome.code, 4, "{what}: {}{}", outcome.stdout, outcome.stderr);
        let word = "1 offset is in no table and not in the archive";
        assert!(outcome.stdout.contains(word), "{what}: {}", outcome.stdout);
    };
    is_found("behind the log's end").await;
    live.send(&ticks_of(live.hour, 0, 201, 1_000)).await;
    is_found("the new topic has a record of that number").await;
    live.world.insert_realtime(&ticks_of(live.hour, 0, 1_002, 1)).await;
    live.world.execute("update realtime_stock set source = 2 where kafka_offset = 1002").await;
    is_found("which was read").await;
}

#[tokio::test]
async fn records_of_hours_that_retention_has_dropped_are_not_lost_to_another_hour() {
    let live = Live::create().await;
    // A tick of the first hour comes behind those of another one, in a folder of its own.
    let (world, first) = (&live.world, live.hour.plus(-9));
    let other = live.hour.plus(-5);
    let ticks = [(first, 201, 9), (other, 210, 10), (first, 220, 1)]
        .map(|(hour, offset, count)| ticks_of(hour, 0, offset, count));
    live.send(&ticks.concat()).await;
    world.insert_realtime(&ticks.concat()).await;
    world.execute("truncate minute_bars, hour_bars").await;
    world.fill_minute_bars().await;
    for (hour, ticks) in [first, other, live.hour.plus(-2)].into_iter().zip(&ticks) {
        world.put(&key_of(hour, 0, ticks[0].offset), ticks).await;
    }
    world.set_next_offset(live.topic.name(), 0, 221).await;
    let window = ["--from", &first.start().to_string(), "--to", &live.hour.start().to_string()];
    world.run_ok(&window).await;
    world
        .execute(
            "truncate realtime_stock;
             insert into dropped_days (day, partition, reason)
             select (now() at time zone 'UTC')::date - back, '', 'test'
             from generate_series(0, 1) as back",
        )
        .await;
    let hour = first.start().to_string();
    let asked = ["--kafka-brokers", live.topic.brokers(), "--topic", live.topic.name()];
    let outcome = verify(world, &[&["--hour", &hour][..], &asked].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("1 purged"), "{}", outcome.stdout);
}

#[tokio::test]
async fn hours_before_1970_are_compared_though_kafka_can_have_nothing_of_them() {
    let live = Live::create().await;
    live.world
        .execute(
            "insert into hourly_stock_summary (symbol, hour, avg_close, open, high, low, close, ticks)
             values ('OLD', '1905-05-30T07:00Z', 1, 1, 1, 1, 1, 1)",
        )
        .await;
    let (brokers, topic) = (live.topic.brokers(), live.topic.name());
    let flags = ["--from", "1900-01-01T00", "--kafka-brokers", brokers, "--topic", topic];
    let outcome = verify(&live.world, &flags).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("OLD"), "{}", outcome.stdout);
    let said = "2 hours: 1 ok, 0 purged, 0 open, 1 mismatch";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
}

/// All between an hour's ticks was given to it, whatever hour it was of.
#[tokio::test]
async fn a_message_that_is_no_tick_counts_once_where_late_ticks_surround_it() {
    let world = agreeing().await;
    let late = some_ticks(9, 0, 11_900, 1);
    world.put(&key(9, 0, 11_900), &late).await;
    world.insert_realtime(&late).await;
    world.execute("truncate minute_bars, hour_bars").await;
    make_stable(&world).await;
    let timed = "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
                 select 1, 0, o, 'empty', 'no value' from generate_series(11400, 11899) as o;
                 update rejected_ticks
                 set kafka_timestamp = timestamptz '2025-06-02T00:30Z' + kafka_offset / 1000 * interval '1 hour'";
    world.execute(timed).await;
    let rejected = "select concat_ws(' ', extract(hour from hour at time zone 'UTC'), rejected) from reconciliations
                    where partition = 0 order by hour";
    let found = [&["--hour", "2025-06-02T09"][..], &HOURS[..]];
    for (window, counts) in found.into_iter().zip([&["9 600"][..], &["9 600", "10 600", "11 500"]])
    {
        world.execute("truncate reconciled_hours cascade").await;
        let outcome = verify(&world, window).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(world.rows(rejected).await, counts);
    }
}

#[tokio::test]
async fn the_one_topic_that_was_read_is_compared_where_none_is_named() {
    let world = agreeing().await;
    world.execute("update kafka_sources set topic = 'trades'").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let topics = world.rows("select distinct topic from reconciliations").await;
    assert_eq!(topics, ["trades"]);
    world
        .execute(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             select group_id, cluster_id, 'coins', 'other', 1 from kafka_sources",
        )
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let said = "--topic is not given, and nothing of stock_prices was read: --topic ";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[tokio::test]
async fn messages_that_are_no_ticks_count_in_the_hour_in_which_kafka_took_them() {
    let live = Live::create().await;
    let at = live.hour.plus(1).start().micros() / 1000;
    live.topic.produce((0..3).map(|_| TestMessage::new(0, "no tick").at(at))).await;
    live.world
        .execute(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
             select 1, 0, o, 'not_json', 'no tick' from generate_series(201, 203) as o",
        )
        .await;
    live.world.set_next_offset(live.topic.name(), 0, 204).await;
    let (from, to) = (live.hour.start().to_string(), live.hour.plus(2).start().to_string());
    let (brokers, topic) = (live.topic.brokers(), live.topic.name());
    let kafka = ["--kafka-brokers", brokers, "--topic", topic, "--grace", "1s"];
    let outcome =
        verify(&live.world, &[&["--from", &from, "--to", &to][..], &kafka].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let rejected =
        "select concat_ws(' ', kafka_from, kafka_to, rejected) from reconciliations order by hour";
    assert_eq!(live.world.rows(rejected).await, ["0 201 1", "201 204 3"]);
    assert!(
        outcome.stdout.contains("200 in the archive; 4 messages rejected"),
        "{}",
        outcome.stdout
    );
    // Where all of them are none, nothing was compared.
    let hour = live.hour.plus(1).start().to_string();
    let outcome = verify(&live.world, &[&["--hour", &hour][..], &kafka].concat()).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let said = "nothing was compared: 3 messages of these hours are no ticks";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[tokio::test]
async fn hours_before_the_window_that_its_objects_hold_ticks_of_are_compared_as_well() {
    let world = World::create().await;
    let (sent, midnight) =
        (Hour::of(Timestamp::now()).plus(-3), Hour::of(Timestamp::now()).plus(-70));
    let ticks = ticks_of(midnight, 0, 0, 150);
    world.put(&key_of(sent, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 150).await;
    world.run_ok(&[]).await;
    let outcome = verify(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let said = "1 hour: 1 ok, 0 purged, 0 open, 0 mismatch; 150 ticks in realtime_stock, 150 in the archive";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
    world.execute("delete from realtime_stock where kafka_offset < 5").await;
    let outcome = verify(&world, &[]).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let said = "5 ticks of the archive are not in realtime_stock: offsets 0-4";
    assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
}

/// By default the hours between are not looked at: nothing tells that their offsets are missing.
#[tokio::test]
async fn offsets_between_an_older_hour_and_the_window_are_not_taken_for_missing_ones() {
    let world = World::create().await;
    let now = Hour::of(Timestamp::now());
    let (old, between, sent) = (now.plus(-30 * 24), now.plus(-15 * 24), now.plus(-3));
    for partition in 0..2 {
        // In partition 0 a late tick of the old hour comes with those of today.
        let late = if partition == 0 { ticks_of(old, 0, 1000, 1) } else { Vec::new() };
        let rest = 951 - late.len() as i64;
        for (hour, offset, ticks) in [
            (old, 0, ticks_of(old, partition, 0, 50)),
            (between, 50, ticks_of(between, partition, 50, rest)),
            (sent, 50 + rest, [late, ticks_of(sent, partition, 1001, 100)].concat()),
        ] {
            world.put(&key_of(hour, partition, offset), &ticks).await;
            world.insert_realtime(&ticks).await;
        }
        world.set_next_offset("stock_prices", partition, 1101).await;
    }
    world.fill_minute_bars().await;
    for hour in [old, between] {
        world.run_ok(&["--hour", &hour.start().to_string()]).await;
    }
    world.run_ok(&[]).await;
    world
        .execute(
            "insert into dropped_days (day, partition, reason)
             select distinct (hour at time zone 'UTC')::date, '', 'test' from hour_bars
             where hour < now() - interval '10 days';
             delete from realtime_stock where timestamp < now() - interval '10 days'",
        )
        .await;
    let outcome = verify(&world, &[]).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("2 hours: 1 ok, 1 purged"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_record_of_kafka_that_is_nowhere_else_is_found() {
    let live = Live::create().await;
    live.world.execute("delete from realtime_stock where kafka_offset between 20 and 22").await;
    live.world.execute("truncate minute_bars, rejected_ticks").await;
    live.world.fill_minute_bars().await;
    live.world
        .put(&key_of(live.hour, 0, 0), &[&live.ticks[..20], &live.ticks[23..]].concat())
        .await;
    live.world.run_ok(&["--hour", &live.hour.start().to_string()]).await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "4 records of Kafka are neither in a table nor in the archive: offsets 20-22, 200";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_lost_record_whose_tick_is_of_a_day_before_is_found_in_the_hour_of_the_record() {
    let live = Live::create().await;
    let mut late = live.ticks[..3].to_vec();
    late.iter_mut().for_each(|tick| tick.at = tick.at.plus_micros(-28 * Timestamp::HOUR));
    let text = lines(&late);
    let records = text
        .lines()
        .zip(&live.ticks)
        .map(|(line, tick)| TestMessage::new(0, line).at(tick.at.micros() / 1000));
    live.topic.produce(records).await;
    live.world.set_next_offset(live.topic.name(), 0, 204).await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "3 records of Kafka are neither in a table nor in the archive: offsets 201-203";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    live.world
        .insert_realtime(
            &late
                .iter()
                .zip(201..)
                .map(|(tick, offset)| Tick { offset, ..tick.clone() })
                .collect::<Vec<_>>(),
        )
        .await;
    live.world.fill_minute_bars().await;
    assert_eq!(live.verify().await.code, 0, "some side has them");
}

#[tokio::test]
async fn what_the_speed_layer_has_not_read_yet_is_no_loss() {
    let live = Live::create().await;
    live.send(&live.ticks[190..]).await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("10 ticks of Kafka wait for the speed layer: offsets 201-210"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn what_the_speed_layer_has_not_read_yet_is_no_loss_though_the_archive_tells_no_offsets() {
    let live = Live::create().await;
    let without = |ticks: &[Tick]| {
        lines(ticks).replace(r#""kafka_offset""#, r#""o""#).replace("kafka_partition", "p")
    };
    live.world.bucket.put(&key_of(live.hour, 0, 0), without(&live.ticks)).await.unwrap();
    let hour = live.hour.start().to_string();
    live.world.run_ok(&["--hour", &hour, "--allow-shrink"]).await;
    live.world.set_next_offset(live.topic.name(), 0, 150).await;
    live.world
        .execute("delete from realtime_stock where kafka_offset >= 150; truncate rejected_ticks")
        .await;
    live.world.fill_minute_bars().await;
    let alone = ["--hour", &hour, "--topic", live.topic.name()];
    for outcome in [live.verify().await, verify(&live.world, &alone).await] {
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("50 ticks wait for the speed layer"), "{}", outcome.stdout);
    }
    // What Kafka does not explain is one.
    live.world.execute("delete from realtime_stock where kafka_offset = 20").await;
    live.world.fill_minute_bars().await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn kafka_being_away_is_said_and_the_rest_compared() {
    let live = Live::create().await;
    let free = format!("127.0.0.1:{}", free_port());
    let hour = live.hour.start().to_string();
    let flags = [
        "--hour",
        &hour,
        "--kafka-brokers",
        &free,
        "--kafka-timeout",
        "2s",
        "--topic",
        live.topic.name(),
    ];
    let outcome = verify(&live.world, &flags).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("no Kafka broker answers at {free}")),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("Kafka could not be asked"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("1 hour: 1 ok"), "{}", outcome.stdout);
    // A hole that Kafka cannot be asked about is neither a loss nor agreement.
    live.world.execute("delete from realtime_stock where kafka_offset = 20").await;
    live.world.execute("truncate minute_bars").await;
    live.world.fill_minute_bars().await;
    live.world
        .put(&key_of(live.hour, 0, 0), &[&live.ticks[..20], &live.ticks[21..]].concat())
        .await;
    live.world.run_ok(&["--hour", &hour]).await;
    let outcome = verify(&live.world, &flags).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("1 offset is in no table and not in the archive"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn a_kafka_that_cannot_be_asked_for_whatever_reason_is_no_agreement() {
    let live = Live::create().await;
    let hour = live.hour.start().to_string();
    // A name that nobody knows, and brokers that are asked for an encryption which they do not
    // have.
    for (brokers, property) in [
        ("kafka.invalid:9092", "client.id=verify"),
        (live.topic.brokers(), "security.protocol=ssl"),
    ] {
        let flags = [
            "--hour",
            &hour,
            "--kafka-brokers",
            brokers,
            "--kafka-property",
            property,
            "--kafka-timeout",
            "2s",
            "--topic",
            live.topic.name(),
        ];
        let outcome = verify(&live.world, &flags).await;
        assert_eq!(outcome.code, 4, "{brokers}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains("Kafka could not be asked"), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn messages_of_a_topic_that_was_made_anew_are_not_taken_for_those_of_the_old_one() {
    let live = Live::create().await;
    live.world.execute("update kafka_sources set topic_id = 'AAAAAAAAAAAAAAAAAAAAAQ'").await;
    // As many as the old one had, and more than was read of it.
    for _ in 0..2 {
        let outcome = live.verify().await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        let word = "has read another one of that name (AAAAAAAAAAAAAAAAAAAAAQ)";
        assert!(
            outcome.stdout.contains(word) && outcome.stdout.contains("1 open, 0 mismatch"),
            "{}",
            outcome.stdout
        );
        live.send(&live.ticks[190..]).await;
    }
    // What is wrong otherwise is found nevertheless.
    live.world.execute("delete from realtime_stock where kafka_offset = 20").await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("is not in realtime_stock: offsets 20"), "{}", outcome.stdout);
}

/// Nothing but `kafka_sources` tells that it was another one: Kafka is not asked.
#[tokio::test]
async fn between_the_ticks_of_a_topic_and_of_the_one_that_it_was_before_no_offsets_are_missing() {
    let world = World::create().await;
    let (old, new) = (some_ticks(9, 0, 400, 100), some_ticks(11, 0, 0, 50));
    world.put(&key(9, 0, 400), &old).await;
    world.put(&key(11, 0, 0), &new).await;
    world.set_next_offset("stock_prices", 0, 500).await;
    world
        .execute(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             values ('speed-layer', '', 'stock_prices', 'AAAAAAAAAAAAAAAAAAAAAQ', 1)",
        )
        .await;
    world.insert_realtime(&[old, new.clone()].concat()).await;
    world.execute("update realtime_stock set source = 2 where kafka_offset < 50").await;
    world.fill_minute_bars().await;
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // What is missing between ticks of one of them is found.
    world.put(&key(11, 0, 0), &[&new[..20], &new[25..]].concat()).await;
    world.execute("delete from realtime_stock where kafka_offset between 20 and 24").await;
    world.fill_minute_bars().await;
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("offsets 20-24\n"), "{}", outcome.stdout);
    // Where all are of one, they lie between its own.
    world.execute("update realtime_stock set source = 1").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("offsets 20-24, 50-399\n"), "{}", outcome.stdout);
}

#[tokio::test]
async fn between_the_last_tick_of_a_source_and_the_first_of_another_a_day_later_no_offsets_are_missing()
 {
    let world = World::create().await;
    let hours = ["2025-06-02T09", "2025-06-03T11"].map(|hour| Hour::parse(hour).unwrap());
    let (old, new) = (ticks_of(hours[0], 0, 0, 100), ticks_of(hours[1], 0, 400, 50));
    world.put(&key_of(hours[0], 0, 0), &old).await;
    world.put(&key_of(hours[1], 0, 400), &new).await;
    world.set_next_offset("stock_prices", 0, 450).await;
    world
        .execute(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             values ('speed-layer', 'moved', 'stock_prices', '', 1)",
        )
        .await;
    world.insert_realtime(&[old, new].concat()).await;
    world.execute("update realtime_stock set source = 2 where kafka_offset >= 400").await;
    world.fill_minute_bars().await;
    world.run_ok(&TWO_DAYS).await;
    let outcome = verify(&world, &TWO_DAYS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // What lies between ticks of a single one is missing.
    for change in [
        "update realtime_stock set source = 1 where kafka_offset = 449",
        "update realtime_stock set source = 2 where kafka_offset = 3",
    ] {
        world.execute(change).await;
        let outcome = verify(&world, &TWO_DAYS).await;
        assert_eq!(outcome.code, 4, "{change}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("offsets 100-399\n"), "{change}: {}", outcome.stdout);
        world
            .execute(
                "update realtime_stock set source = case when kafka_offset < 400 then 1 else 2 end",
            )
            .await;
    }
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_a_configuration_error() {
    let world = World::create().await;
    let topic = TestTopic::create(1).await;
    let outcome =
        verify(&world, &["--kafka-brokers", topic.brokers(), "--topic", "no-such-topic"]).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no-such-topic"), "{}", outcome.stderr);
}
