//! Hours that are computed anew from the lake, against the same from the raw objects.

use crate::support::{COMPACT, DAY, Outcome, Tick, World, at, finish, key, lines, some_ticks};
use hourly::state;
use std::fmt::Write as _;

const RECOMPUTE: [&str; 5] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00", "--recompute"];

/// All that the archive's hours have become: rows, what was kept of them, and what is known of the
/// objects.
async fn state(world: &World) -> Vec<String> {
    let mut all = world.summary().await;
    for query in [
        "select concat_ws(' ', hour, decode_rules, location, objects, gone_objects, ticks, symbols, duplicates, withdrawn, conflicts)
         from batch_hours order by hour",
        "select concat_ws(' ', key, etag, lines, rejected_lines, decode_rules) from archive_objects order by key",
        "select concat_ws(' ', hour, key, ticks, content_hash, offsets_hash, merged, summed_content_hash, summed_offsets_hash)
         from archive_object_hours order by hour, key",
        "select concat_ws(' ', key, line, element, reason, detail, value) from rejected_lines order by key, line, element",
        "select concat_ws(' ', hour, topic, partition, first_offset, last_offset) from hour_spans order by 1",
        "select hour::text from stale_hours order by hour",
    ] {
        all.extend(world.rows(query).await);
    }
    all.extend(kept(world).await);
    all
}

/// What was kept of the hours, symbol by symbol and place by place.
async fn kept(world: &World) -> Vec<String> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("select bars, offsets from hour_sums order by hour")
            .fetch_all(world.database.pool())
            .await
            .unwrap();
    let mut all = Vec::new();
    for (bars, offsets) in rows {
        let sum = state::decode(&bars, &offsets).unwrap();
        let mut of_hour: Vec<String> =
            sum.bars.iter().map(|(symbol, bar)| format!("{} {bar:?}", symbol.as_str())).collect();
        of_hour.extend(sum.offsets.iter().map(|(topic, partition, places)| {
            format!("{topic} {partition} {:?}", places.iter().collect::<Vec<_>>())
        }));
        of_hour.sort_unstable();
        all.push(format!("{} ticks, {} duplicates", sum.ticks, sum.duplicates));
        all.append(&mut of_hour);
    }
    all
}

/// What the last run of `batch-layer` read: hours from the lake, its objects, raw objects.
async fn read(world: &World) -> String {
    let query =
        "select concat_ws(' ', hours_from_lake, lake_objects_read, objects_read) from batch_runs
                 order by run_id desc limit 1";
    world.rows(query).await.remove(0)
}

/// Makes the rows wrong, so that they are right again only where they were computed.
async fn spoil(world: &World) {
    world.execute("update hourly_stock_summary set close = 1, volume = 2, ticks = 3").await;
}

/// Computes everything anew, from the lake and from the raw objects, and asserts that either leaves
/// `before`. Gives what was said of the lake.
async fn assert_same_from_both(world: &World, before: &[String], expected: &str) -> Outcome {
    spoil(world).await;
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
    assert_eq!(read(world).await, expected, "{}", outcome.stderr);
    assert_eq!(state(world).await, before, "{}", outcome.stderr);
    spoil(world).await;
    world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off", "--from-lake", "never"]].concat()).await;
    assert!(read(world).await.starts_with("0 0 "));
    assert_eq!(state(world).await, before);
    outcome
}

/// Fractions, no volume, high and low, several ticks in a message, and what is no tick.
fn odd_lines() -> String {
    let mut text = String::new();
    for (number, volume) in
        (0..).zip(["0.000000001", "12.5", "null", "9223372036854775807.999999999", "0"])
    {
        let time = at(13, number);
        let _ = writeln!(
            text,
            r#"{{"symbol":"ODD{}","timestamp":"{time}","open":1.123456789,"high":3,"low":0.5,"close":2,"volume":{volume},"kafka_partition":2,"kafka_offset":{number}}}"#,
            number / 2
        );
    }
    let tick = |second: i64| {
        let time = at(13, 30).plus_micros(second * 1_000_000);
        format!(r#"{{"symbol":"MANY","timestamp":"{time}","open":{second}.5,"close":2}}"#)
    };
    let (first, second) = (tick(1), tick(2));
    let _ = writeln!(
        text,
        r#"{{"value":[{first},{second},{{"symbol":"MANY"}}],"offset":9,"partition":2}}"#
    );
    text.push_str("{\"symbol\":\"AAPL\"}\nno json\n");
    text
}

#[tokio::test]
async fn where_no_temporary_file_can_be_made_the_raw_objects_are_read_and_the_lake_is_not_blamed() {
    let world = World::create().await;
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 30)).await;
    world.run_both().await;
    let mut command = world.command(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat());
    command.env("TMPDIR", "/nowhere");
    let Outcome { code, stderr, .. } = finish(command).await;
    assert_eq!((code, &*read(&world).await), (0, "0 0 1"), "{stderr}");
    assert!(stderr.contains("/nowhere (--temp-dir)"), "{stderr}");
    assert!(stderr.contains("what the lake was made of is read instead"), "{stderr}");
    assert!(!stderr.contains("mends the lake"), "{stderr}");
}

#[tokio::test]
async fn an_hour_that_is_computed_anew_is_read_from_the_lake_to_the_same_digits() {
    let world = World::create().await;
    let (first, other) = (some_ticks(13, 0, 0, 300), some_ticks(13, 1, 0, 200));
    world.put(&key(13, 0, 0), &first).await;
    // Some records were archived twice, one of them as something else.
    let mut again = [&first[200..], &some_ticks(13, 0, 300, 20)].concat();
    again[3].close += 1;
    world.put(&key(13, 0, 200), &again).await;
    world.put(&key(14, 1, 0), &[&other[..], &some_ticks(14, 1, 200, 70)].concat()).await;
    world.bucket.put(&key(13, 2, 0), odd_lines()).await.unwrap();
    world.run_both().await;
    let before = state(&world).await;
    assert_eq!(world.number("select count(*) from rejected_lines").await, 3);
    assert_eq!(
        world.number("select conflicts from batch_hours where hour = '2025-06-02T13:00Z'").await,
        1
    );
    let outcome = assert_same_from_both(&world, &before, "2 2 0").await;
    assert!(
        outcome.stderr.contains("2 hours computed (2 of them from 2 objects of the lake)"),
        "{}",
        outcome.stderr
    );
    // What was computed from the lake is what the lake has.
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--from-lake", "auto"]].concat()).await;
    assert_eq!(read(&world).await.split(' ').next(), Some("2"), "{}", outcome.stderr);
    let lake = world.rows("select key from lake_objects order by key").await;
    world.run_ok(&COMPACT).await;
    assert_eq!(world.rows("select key from lake_objects order by key").await, lake);
}

#[tokio::test]
async fn an_hour_of_which_nothing_was_kept_takes_a_late_tick_beside_what_the_lake_has() {
    for spoil in ["delete from hour_sums", "update hour_sums set bars = '\\x00'"] {
        let world = World::create().await;
        world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 50)).await;
        world.run_both().await;
        world.put(&key(15, 0, 50), &some_ticks(13, 0, 50, 2)).await;
        world.execute(spoil).await;
        let outcome = world.run_ok(&[&DAY[..], &["--anomalies", "off"]].concat()).await;
        assert_eq!(read(&world).await, "1 1 1", "{}", outcome.stderr);
        let before = state(&world).await;
        // The lake does not have the late ticks yet.
        assert_same_from_both(&world, &before, "0 0 2").await;
        world.run_both().await;
        // The late object lies in a folder far from its hour, and is read once more for the index.
        assert_same_from_both(&world, &before, "1 1 1").await;
    }
}

#[tokio::test]
async fn late_ticks_come_to_what_the_lake_has_in_the_run_that_computes_anew() {
    let world = World::create().await;
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 50)).await;
    world.run_both().await;
    world.put(&key(15, 0, 50), &some_ticks(13, 0, 50, 2)).await;
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
    assert_eq!(read(&world).await, "1 1 1", "{}", outcome.stderr);
    let before = state(&world).await;
    assert_same_from_both(&world, &before, "0 0 2").await;
}

#[tokio::test]
async fn an_object_that_repeats_records_of_the_lake_has_all_raw_objects_read() {
    let world = World::create().await;
    let ticks = some_ticks(13, 0, 0, 60);
    world.put(&key(13, 0, 0), &ticks[..50]).await;
    world.run_both().await;
    world.put(&key(15, 0, 40), &ticks[40..]).await;
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
    assert!(read(&world).await.starts_with("0 1 "), "{}", outcome.stderr);
    let before = state(&world).await;
    spoil(&world).await;
    world.run_ok(&[&RECOMPUTE[..], &["--from-lake", "never"]].concat()).await;
    assert_eq!(state(&world).await, before);
}

#[tokio::test]
async fn an_object_that_was_replaced_since_makes_the_raw_ones_be_read() {
    let world = World::create().await;
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 50)).await;
    world.put(&key(13, 1, 0), &some_ticks(13, 1, 0, 50)).await;
    world.run_both().await;
    let mut changed = some_ticks(13, 1, 0, 50);
    changed[7].close += 1;
    world.put(&key(13, 1, 0), &changed).await;
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
    assert!(read(&world).await.starts_with("0 0 "), "{}", outcome.stderr);
    let before = state(&world).await;
    assert_same_from_both(&world, &before, "0 0 2").await;
    world.run_both().await;
    assert_same_from_both(&world, &before, "1 1 0").await;
}

#[tokio::test]
async fn objects_that_are_read_by_other_flags_are_not_taken_from_the_lake() {
    let world = World::create().await;
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 50)).await;
    world.run_both().await;
    let outcome = world.run_ok(&[&RECOMPUTE[..], &["--map", "close=open"]].concat()).await;
    assert!(read(&world).await.starts_with("0 0 "), "{}", outcome.stderr);
}

/// An hour in the lake, and what it has become.
async fn of_lake() -> (World, Vec<String>, String) {
    let world = World::create().await;
    world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 50)).await;
    world.put(&key(14, 0, 100), &some_ticks(14, 0, 100, 50)).await;
    world.run_both().await;
    let before = state(&world).await;
    let key = world.rows("select key from lake_objects order by hour limit 1").await.remove(0);
    (world, before, key)
}

#[tokio::test]
async fn an_object_of_the_lake_that_is_not_what_it_was_is_not_believed() {
    for case in ["gone", "garbage", "cut", "of another hour"] {
        let (world, before, key) = of_lake().await;
        let whole = world.bucket.get(&key).await.unwrap();
        let other =
            world.rows("select key from lake_objects order by hour desc limit 1").await.remove(0);
        match case {
            "gone" => world.bucket.delete(&key).await.unwrap(),
            "garbage" => world.bucket.put(&key, "garbage").await.unwrap(),
            "cut" => world.bucket.put(&key, whole[..whole.len() / 2].to_vec()).await.unwrap(),
            _ => world.bucket.put(&key, world.bucket.get(&other).await.unwrap()).await.unwrap(),
        }
        let outcome = assert_same_from_both(&world, &before, "1 1 1").await;
        assert!(outcome.stderr.contains(&key), "{case}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("is read instead"), "{case}: {}", outcome.stderr);
    }
}

#[tokio::test]
async fn ticks_of_another_hour_are_not_believed_whatever_is_known_of_their_object() {
    let (world, before, key) = of_lake().await;
    let other =
        world.rows("select key from lake_objects order by hour desc limit 1").await.remove(0);
    world.bucket.put(&key, world.bucket.get(&other).await.unwrap()).await.unwrap();
    world
        .execute(&format!(
            "update lake_objects l set (etag, size) = (o.etag, o.size) from lake_objects o
             where l.key = '{key}' and o.key = '{other}'"
        ))
        .await;
    let outcome = assert_same_from_both(&world, &before, "1 1 1").await;
    assert!(outcome.stderr.contains("is not believed"), "{}", outcome.stderr);
}

#[tokio::test]
async fn ticks_whose_raw_objects_have_expired_are_computed_anew_from_the_lake() {
    for spoilt in ["select 1", "delete from hour_sums", "update hour_sums set bars = '\\x00'"] {
        for partitions in [1, 2] {
            let world = World::create().await;
            for partition in 0..2 {
                world.put(&key(13, partition, 0), &some_ticks(13, partition, 0, 50)).await;
            }
            world.run_both().await;
            let rows = world.summary().await;
            for partition in 0..partitions {
                match partition {
                    0 => world.expire(&key(13, partition, 0)).await,
                    // What was deleted before its time is known while it is gone.
                    _ => world.bucket.delete(&key(13, partition, 0)).await.unwrap(),
                }
            }
            world.run_ok(&DAY).await;
            let before = state(&world).await;
            spoil(&world).await;
            world.execute(spoilt).await;
            let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
            assert_eq!(read(&world).await, "1 1 0", "{spoilt}: {}", outcome.stderr);
            assert_eq!(state(&world).await, before, "{spoilt}: {}", outcome.stderr);
            assert_eq!(world.summary().await, rows);
            // A late tick comes to them.
            let late: Vec<Tick> = some_ticks(13, 0, 50, 1);
            world.put(&key(15, 0, 50), &late).await;
            world.execute(spoilt).await;
            world.run_ok(&DAY).await;
            assert_eq!(world.number("select ticks from batch_hours").await, 101, "{spoilt}");
        }
    }
}

#[tokio::test]
async fn numbers_that_were_corrected_behind_the_lake_stay_when_objects_expire_before_it_has_them() {
    for case in ["the corrected one expires", "all expire", "another one expires"] {
        let world = World::create().await;
        for partition in 0..2 {
            world.put(&key(13, partition, 0), &some_ticks(13, partition, 0, 50)).await;
        }
        world.run_both().await;
        let mut corrected = some_ticks(13, 0, 0, 50);
        corrected[7].close += 1;
        world.put(&key(13, 0, 0), &corrected).await;
        world.run_ok(&DAY).await;
        let expire: &[i32] = match case {
            "the corrected one expires" => &[0],
            "all expire" => &[0, 1],
            _ => &[1],
        };
        for partition in expire {
            world.expire(&key(13, *partition, 0)).await;
        }
        if *expire == [1] {
            // A late tick makes compact write the hour anew, beside what it has.
            world.put(&key(15, 2, 0), &some_ticks(13, 2, 0, 1)).await;
        }
        world.run_both().await;
        let before = state(&world).await;
        spoil(&world).await;
        let outcome = world.run_ok(&[&RECOMPUTE[..], &["--anomalies", "off"]].concat()).await;
        assert!(
            outcome.stderr.contains("it tells other numbers of 1 symbol"),
            "{case}: {outcome:?}"
        );
        assert_eq!(read(&world).await.split(' ').next(), Some("0"), "{case}: {outcome:?}");
        assert_eq!(state(&world).await, before, "{case}: {outcome:?}");
    }
}

#[tokio::test]
async fn hours_that_may_shrink_are_not_read_from_the_lake() {
    let world = World::create().await;
    for partition in 0..2 {
        world.put(&key(13, partition, 0), &some_ticks(13, partition, 0, 50)).await;
    }
    world.run_both().await;
    world.expire(&key(13, 0, 0)).await;
    world.run_ok(&DAY).await;
    world.run_ok(&[&RECOMPUTE[..], &["--allow-shrink"]].concat()).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 50);
    assert!(read(&world).await.starts_with("0 0 "));
}

#[tokio::test]
async fn a_lake_below_another_prefix_is_read_where_it_is_named() {
    let world = World::create().await;
    world.bucket.put(&key(13, 0, 0), lines(&some_ticks(13, 0, 0, 50))).await.unwrap();
    world.run_ok(&DAY).await;
    world.run_ok(&[&COMPACT[..], &["--lake-prefix", "other/"]].concat()).await;
    world.run_ok(&RECOMPUTE).await;
    assert!(read(&world).await.starts_with("0 0 "));
    world.run_ok(&COMPACT).await;
    world.run_ok(&[&RECOMPUTE[..], &["--lake-prefix", "other/"]].concat()).await;
    assert!(read(&world).await.starts_with("1 1 "));
}
