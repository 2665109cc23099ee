//! The archive's hours as Parquet: what is written, what readers see, and what a killed run leaves.

use crate::support::{COMPACT, DAY, LONG, Tick, World, key, lines, some_ticks};
use crate::verify::{HOURS, agreeing, verify};
use hourly::lake::file;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use testing::{Child, stack};

/// The keys that readers see.
async fn published(world: &World) -> BTreeSet<String> {
    let listed = world.bucket.list("lake/source=").await.unwrap();
    listed.into_iter().map(|object| object.key).collect()
}

/// Every tick that readers see, as text, object by object and in the order of each.
async fn lake(world: &World) -> Vec<String> {
    let mut ticks = Vec::new();
    for key in published(world).await {
        let bytes = world.bucket.get(&key).await.unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file::each(file, &mut |content, place| {
            ticks.push(format!("{content} at {}+{}", place.partition, place.offset));
        })
        .unwrap();
    }
    ticks
}

/// The same of ticks that a test has made up, by hour, symbol, time and place.
fn expected(ticks: &[Tick]) -> Vec<String> {
    let mut ticks: Vec<&Tick> = ticks.iter().collect();
    ticks.sort_by_key(|tick| {
        (tick.at.floor(3_600_000_000), &tick.symbol, tick.at, tick.partition, tick.offset)
    });
    let decimal = |units: i64| {
        let text = format!("{}.{:04}", units / 10_000, units % 10_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = |tick: &&Tick| {
        let Tick { symbol, at, open, close, volume, partition, offset } = tick;
        let (open, close) = (decimal(*open), decimal(*close));
        format!("{symbol} {at} open {open} close {close} volume {volume} at {partition}+{offset}")
    };
    ticks.iter().map(text).collect()
}

#[tokio::test]
async fn an_hour_of_several_objects_becomes_one_of_its_ticks_each_once_by_symbol_and_time() {
    let world = World::create().await;
    let (first, second, late) =
        (some_ticks(13, 0, 0, 300), some_ticks(13, 1, 0, 200), some_ticks(13, 0, 300, 20));
    world.put(&key(13, 0, 0), &first).await;
    // Some of its records were archived before.
    world.put(&key(13, 0, 200), &[&first[200..], &late[..]].concat()).await;
    world.put(&key(14, 1, 0), &second).await;
    world.run_both().await;
    assert_eq!(lake(&world).await, expected(&[first, second, late].concat()));
    let keys = published(&world).await;
    let prefix = "lake/source=stock_prices/date=2025-06-02/hour=13/";
    assert!(keys.len() == 1 && keys.iter().all(|key| key.starts_with(prefix)), "{keys:?}");
    let known = world
        .rows("select concat_ws(' ', state, rows, etag is not null, key) from lake_objects")
        .await;
    assert_eq!(known, keys.iter().map(|key| format!("verified 520 t {key}")).collect::<Vec<_>>());
    world.run_ok(&COMPACT).await;
    assert_eq!(published(&world).await, keys, "what is there is not written again");
}

/// What the lake has of each tick beside its price: as text, by offset.
async fn beside(world: &World) -> Vec<String> {
    let mut ticks = Vec::new();
    for key in published(world).await {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&world.bucket.get(&key).await.unwrap()).unwrap();
        file::each(file, &mut |content, place| {
            let extras = &content.extras;
            let price = |price: Option<common::Price>| {
                price.map_or("-".to_owned(), |price| price.to_string())
            };
            let codes: Vec<&str> = extras.conditions().iter().collect();
            let (bid, ask) = (price(extras.bid()), price(extras.ask()));
            ticks.push((place.offset, format!("{bid} {ask} {:?} {codes:?}", extras.sequence())));
        })
        .unwrap();
    }
    ticks.sort();
    ticks.into_iter().map(|(_, beside)| beside).collect()
}

#[tokio::test]
async fn what_a_tick_says_beside_its_price_is_in_the_lake_to_the_last_digit() {
    let world = World::create().await;
    let members = [
        r#","bid":201.123456789,"ask":"201.2","conditions":["@","U"],"n":9007199254740993}"#,
        r#","ask":0.000000001,"conditions":"cancelled"}"#,
        r#","n":0}"#,
        "}",
    ];
    let text: String = some_ticks(13, 0, 0, 4)
        .iter()
        .zip(members)
        .map(|(tick, members)| {
            lines(std::slice::from_ref(tick)).replace("}\n", &format!("{members}\n"))
        })
        .collect();
    world.bucket.put(&key(13, 0, 0), text).await.unwrap();
    let flags = ["--map", "sequence=n"];
    world.run_ok(&[&DAY[..], &flags].concat()).await;
    world.run_ok(&[&COMPACT[..], &flags].concat()).await;
    let expected = [
        r#"201.123456789 201.2 Some(9007199254740993) ["@", "U"]"#,
        r#"- 0.000000001 None ["cancelled"]"#,
        "- - Some(0) []",
        "- - None []",
    ];
    assert_eq!(beside(&world).await, expected);
}

#[tokio::test]
async fn a_late_tick_makes_its_hour_be_written_anew_and_the_earlier_object_is_gone() {
    let world = World::create().await;
    let (ticks, late) = (some_ticks(13, 0, 0, 50), some_ticks(13, 0, 50, 3));
    world.put(&key(13, 0, 0), &ticks).await;
    world.put(&key(14, 2, 0), &some_ticks(14, 2, 0, 5)).await;
    world.run_both().await;
    let before = published(&world).await;
    world.put(&key(15, 0, 50), &late).await;
    let untouched = world.run_ok(&COMPACT).await;
    assert_eq!(published(&world).await, before, "{}", untouched.stderr);
    world.run_both().await;
    let after = published(&world).await;
    assert_eq!((after.len(), after.intersection(&before).count()), (2, 1), "{before:?} {after:?}");
    assert_eq!(lake(&world).await, expected(&[ticks, late, some_ticks(14, 2, 0, 5)].concat()));
}

#[tokio::test]
async fn hours_whose_ticks_tell_no_offsets_or_are_gone_are_named_and_left_out() {
    let world = World::create().await;
    let without_offsets =
        lines(&some_ticks(10, 0, 0, 5)).replace(r#""kafka_offset":"#, r#""other":"#);
    world.bucket.put(&key(10, 0, 0), without_offsets).await.unwrap();
    for hour in [11, 12] {
        world.put(&key(hour, 0, 10 * hour), &some_ticks(hour, 0, 10 * hour, 5)).await;
    }
    world.run_ok(&DAY).await;
    world.expire(&key(11, 0, 110)).await;
    world.run_ok(&DAY).await;
    let outcome = world.run_ok(&COMPACT).await;
    assert!(
        outcome.stderr.contains("the first 2025-06-02T10:00Z: lines do not tell their offsets"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("the first 2025-06-02T11:00Z: objects have expired"),
        "{}",
        outcome.stderr
    );
    assert_eq!(lake(&world).await, expected(&some_ticks(12, 0, 120, 5)));
}

#[tokio::test]
async fn an_hour_whose_objects_have_expired_stays_in_the_lake_as_it_is() {
    let world = World::create().await;
    let ticks = some_ticks(13, 0, 0, 50);
    world.put(&key(13, 0, 0), &ticks).await;
    world.run_both().await;
    world.expire(&key(13, 0, 0)).await;
    world.run_ok(&DAY).await;
    let outcome = world.run_ok(&COMPACT).await;
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(lake(&world).await, expected(&ticks));
}

#[tokio::test]
async fn an_object_that_was_replaced_since_holds_its_hour_back_and_no_other() {
    let world = World::create().await;
    for hour in [10, 11] {
        world.put(&key(hour, 0, 10 * hour), &some_ticks(hour, 0, 10 * hour, 5)).await;
    }
    world.run_ok(&DAY).await;
    world.put(&key(10, 0, 100), &some_ticks(10, 0, 100, 6)).await;
    let outcome = world.run(&COMPACT).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("hour 2025-06-02T10:00Z: not written to the lake: its objects have changed")
    );
    assert_eq!(lake(&world).await, expected(&some_ticks(11, 0, 110, 5)));
}

#[tokio::test]
async fn what_a_killed_run_has_left_is_gone_after_the_next_one() {
    let world = World::create().await;
    let ticks = some_ticks(13, 0, 0, 50);
    world.put(&key(13, 0, 0), &ticks).await;
    world.run_both().await;
    for (state, name) in [("written", "a"), ("superseded", "b")] {
        let key = format!("lake/source=stock_prices/date=2025-06-02/hour=12/{name}.parquet");
        world.bucket.put(&key, "half").await.unwrap();
        world
            .execute(&format!(
                "insert into lake_objects (key, source, hour, computed_at, size, rows, checksum, digest, state, run_id)
                 values ('{key}', 'stock_prices', '2025-06-02T12:00Z', now(), 1, 1, 1, 1, '{state}', 1)"
            ))
            .await;
    }
    world.bucket.put("lake/_staging/9-0.parquet.staged", "half").await.unwrap();
    world.run_ok(&COMPACT).await;
    assert_eq!(lake(&world).await, expected(&ticks));
    assert_eq!(world.number("select count(*) from lake_objects").await, 1);
}

#[tokio::test]
async fn runs_that_are_killed_at_any_point_leave_each_tick_in_the_lake_once() {
    let world = World::create().await;
    let mut ticks = Vec::new();
    for hour in 8..14 {
        ticks.extend(some_ticks(hour, 0, 1000 * hour, 500));
        world.put(&key(hour, 0, 1000 * hour), &ticks[ticks.len() - 500..]).await;
    }
    world.run_ok(&DAY).await;
    for (round, pause) in (0..).zip([50, 100, 150, 200, 250, 300, 400, 500, 650, 800]) {
        // Each time some hours are written anew.
        let late = some_ticks(8 + round % 6, 1, 100 * round, 3);
        world.put(&key(20, 1, 100 * round), &late).await;
        ticks.extend(late);
        world.run_ok(&DAY).await;
        let mut run = Child::spawn(world.command(&COMPACT));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        run.sigkill();
        run.wait_exit(LONG).await;
        // Nobody need wait until the run counts as dead.
        world.execute("delete from batch_lock").await;
    }
    world.run_ok(&COMPACT).await;
    assert_eq!(lake(&world).await, expected(&ticks));
    assert_eq!(
        world.number("select count(*) from lake_objects where state <> 'verified'").await,
        0
    );
}

/// What is seen by readers of a folder other than that of the lake.
async fn below(world: &World, prefix: &str) -> usize {
    world.bucket.list(prefix).await.unwrap().len()
}

#[tokio::test]
async fn an_hour_that_is_emptied_leaves_the_lake() {
    let world = World::create().await;
    let (kept, moved) = (some_ticks(10, 0, 0, 50), some_ticks(11, 0, 50, 50));
    world.put(&key(10, 0, 0), &kept).await;
    world.put(&key(11, 0, 50), &moved).await;
    world.run_both().await;
    // The records were of another hour.
    let mended: Vec<Tick> = some_ticks(10, 0, 50, 50);
    world.put(&key(11, 0, 50), &mended).await;
    world.run_both().await;
    assert_eq!(lake(&world).await, expected(&[kept, mended].concat()));
    assert_eq!(world.number("select count(*) from lake_objects").await, 1);
}

#[tokio::test]
async fn a_database_that_is_made_anew_takes_over_the_lake_that_it_finds() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 50);
    world.put(&key(10, 0, 0), &ticks).await;
    world.run_both().await;
    world.execute("delete from lake_objects").await;
    let outcome = world.run_ok(&COMPACT).await;
    assert!(
        outcome.stderr.contains("which lake_objects does not know, is replaced"),
        "{}",
        outcome.stderr
    );
    assert_eq!(lake(&world).await, expected(&ticks));
    let outcome = world.run_ok(&COMPACT).await;
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
}

#[tokio::test]
async fn what_nobody_knows_and_holds_more_than_the_archive_is_left_alone_and_said() {
    let world = World::create().await;
    let (ticks, expiring) = (some_ticks(10, 0, 0, 50), some_ticks(10, 1, 0, 20));
    world.put(&key(10, 0, 0), &ticks).await;
    world.put(&key(10, 1, 0), &expiring).await;
    world.run_both().await;
    // Another database over the same bucket, after some objects have expired.
    world.expire(&key(10, 1, 0)).await;
    world
        .execute(
            "truncate lake_objects, batch_hours, archive_object_hours, archive_objects, hourly_stock_summary cascade",
        )
        .await;
    world.run_ok(&DAY).await;
    let outcome = world.run(&COMPACT).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("holds 20 ticks that the archive does not have"),
        "{}",
        outcome.stderr
    );
    assert_eq!(lake(&world).await, expected(&[ticks, expiring].concat()));
}

#[tokio::test]
async fn an_object_that_was_deleted_or_overwritten_is_found_by_verify_and_written_anew() {
    for content in [None, Some("garbage")] {
        let world = agreeing().await;
        let compact = [&["compact"], &HOURS[..]].concat();
        world.run_ok(&compact).await;
        let outcome = verify(&world, &[&HOURS[..], &["--format", "json"]].concat()).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout.matches(r#""lake_ticks":800"#).count(), 3, "{}", outcome.stdout);
        let before = lake(&world).await;
        let keys = published(&world).await;
        let first = keys.first().unwrap();
        match content {
            Some(content) => world.bucket.put(first, content).await.unwrap(),
            None => world.bucket.delete(first).await.unwrap(),
        }
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        assert!(
            outcome.stdout.contains(first) && outcome.stdout.contains("writes the hour anew"),
            "{}",
            outcome.stdout
        );
        let outcome = world.run_ok(&compact).await;
        assert!(outcome.stderr.contains("the hour is written again"), "{}", outcome.stderr);
        assert_eq!(lake(&world).await, before);
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }
}

#[tokio::test]
async fn a_copy_that_was_put_back_counts_as_what_it_was() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 50)).await;
    world.run_both().await;
    let keys = published(&world).await;
    world.execute("update lake_objects set etag = 'that of before'").await;
    let outcome = world.run_ok(&COMPACT).await;
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(published(&world).await, keys);
    assert_eq!(
        world.number("select count(*) from lake_objects where etag = 'that of before'").await,
        0
    );
}

#[tokio::test]
async fn what_nothing_can_bring_back_is_said_in_each_run_and_by_verify() {
    let world = agreeing().await;
    let compact = [&["compact"], &HOURS[..]].concat();
    world.run_ok(&compact).await;
    for partition in 0..2 {
        world.expire(&key(9, partition, 9000)).await;
    }
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let keys = published(&world).await;
    world.bucket.delete(keys.first().unwrap()).await.unwrap();
    for _ in 0..2 {
        let outcome = world.run(&compact).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("is gone; the hour cannot be written again"),
            "{}",
            outcome.stderr
        );
    }
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn a_late_tick_of_an_hour_whose_objects_have_expired_comes_to_what_the_lake_has() {
    let world = World::create().await;
    let (ticks, late) = (some_ticks(13, 0, 0, 50), some_ticks(13, 0, 50, 1));
    world.put(&key(13, 0, 0), &ticks).await;
    world.run_both().await;
    world.expire(&key(13, 0, 0)).await;
    world.run_ok(&DAY).await;
    world.put(&key(15, 0, 50), &late).await;
    world.run_both().await;
    assert_eq!(lake(&world).await, expected(&[ticks, late].concat()));
    assert_eq!(world.number("select sum(rows)::bigint from lake_objects").await, 51);
}

#[tokio::test]
async fn another_prefix_is_a_lake_of_its_own() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 50)).await;
    world.run_both().await;
    let other = [&COMPACT[..], &["--lake-prefix", "other/"]].concat();
    world.run_ok(&other).await;
    world.run_ok(&COMPACT).await;
    world.run_ok(&other).await;
    assert_eq!([below(&world, "lake/").await, below(&world, "other/").await], [1, 1]);
    world.insert_realtime(&some_ticks(10, 0, 0, 50)).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 50).await;
    let outcome = world.run_ok(&[&["verify", "--format", "json"], &DAY[..]].concat()).await;
    assert!(outcome.stdout.contains(r#""lake_ticks":50"#), "{}", outcome.stdout);
    let outcome =
        world.run(&[&COMPACT[..], &["--lake-prefix", "raw/stock_prices/lake/"]].concat()).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}

/// What docs/lake.md says to run, language by language.
fn queries() -> Vec<&'static str> {
    let docs = include_str!("../../../docs/lake.md");
    docs.split("```python\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[tokio::test]
async fn the_queries_of_the_docs_find_each_tick_once() {
    let world = World::create().await;
    let ticks = [some_ticks(13, 0, 0, 300), some_ticks(14, 1, 0, 200)].concat();
    world.put(&key(13, 0, 0), &ticks[..300]).await;
    world.put(&key(14, 1, 0), &ticks[300..]).await;
    world.run_both().await;
    // What a reader's glob must pass over.
    world.bucket.put("lake/_staging/9-0.parquet.staged", "half").await.unwrap();
    let of_symbol: Vec<&Tick> = ticks.iter().filter(|tick| tick.symbol == "AAPL").collect();
    let volume: i64 = of_symbol.iter().map(|tick| tick.volume).sum();
    let queries = queries();
    assert_eq!(queries.len(), 3);
    for query in queries {
        // Nothing is downloaded here: the package has the extension.
        let query = query.replace("stock-data", world.bucket.name()).replace(
            "install httpfs; load httpfs",
            "load '\" + next(__import__('pathlib').Path(__import__('duckdb_extension_httpfs').__file__).parent\
             .rglob('httpfs.duckdb_extension')).as_posix() + \"'",
        );
        let environment = world.bucket.env();
        let of = |name: &str| {
            environment.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone()).unwrap()
        };
        let output = Command::new(stack("STACK_PYTHON"))
            .args(["-c", &query])
            .env("AWS_ENDPOINT_URL", of("S3_ENDPOINT_URL"))
            .env("AWS_ACCESS_KEY_ID", of("AWS_ACCESS_KEY_ID"))
            .env("AWS_SECRET_ACCESS_KEY", of("AWS_SECRET_ACCESS_KEY"))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let (count, sum) = printed.trim().split_once(' ').unwrap_or_default();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(count.parse(), Ok(of_symbol.len()), "{query}{complaint}");
        assert_eq!(sum.parse(), Ok(volume as f64), "{query}{complaint}");
    }
}
