//! `compact --delete-covered`: which raw objects go, which stay, and what is left after any end.

use crate::changes::lines_without_offsets;
use crate::support::{
    COMPACT, DAY, LONG, Outcome, Tick, World, at, finish, gzip, key, key_of, lines, some_ticks,
};
use crate::verify::{HOURS, agreeing, verify};
use hourly::hour::Hour;
use std::collections::BTreeSet;
use std::time::Duration;
use testing::{Child, HttpProxy, Treatment, stack};

const DELETE: [&str; 6] =
    ["compact", "--from", "2025-06-02T00", "--to", "2025-06-03T00", "--delete-covered"];
const EXPORT: [&str; 5] = ["export", "--from", "2025-06-02", "--to", "2025-06-03"];

/// The raw objects that are there.
async fn raw(world: &World) -> BTreeSet<String> {
    world.bucket.list("raw/").await.unwrap().into_iter().map(|object| object.key).collect()
}

/// Where each tick of the archive stands, by what an export finds.
async fn places(world: &World) -> Vec<String> {
    let outcome = world.run_ok(&EXPORT).await;
    let place = |line: &str| line.rsplitn(4, ',').take(3).collect::<Vec<_>>().join(" ");
    let mut places: Vec<String> = outcome.stdout.lines().skip(1).map(place).collect();
    places.sort();
    places
}

fn expected(ticks: &[Tick]) -> Vec<String> {
    let mut places: Vec<String> =
        ticks.iter().map(|tick| format!("0 {} {}", tick.offset, tick.partition)).collect();
    places.sort();
    places
}

/// Three hours that the lake has, in five objects, one of which has ticks of two hours.
async fn in_the_lake(world: &World) -> Vec<Tick> {
    let (first, second, third) =
        (some_ticks(10, 0, 0, 100), some_ticks(11, 0, 100, 100), some_ticks(12, 1, 0, 50));
    world.put(&key(10, 0, 0), &first[..60]).await;
    world.put(&key(10, 0, 60), &[&first[60..], &second[..10]].concat()).await;
    world.put(&key(11, 0, 110), &second[10..50]).await;
    world.put(&key(11, 0, 150), &second[50..]).await;
    world.put(&key(12, 1, 0), &third).await;
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    [first, second, third].concat()
}

async fn untouched(world: &World) -> Vec<String> {
    world.rows("select concat_ws(' ', hour, ticks, computed_at) from batch_hours order by 1").await
}

#[tokio::test]
async fn objects_whose_every_tick_an_earlier_run_has_written_to_the_lake_are_deleted_and_nothing_else_changes()
 {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 100)).await;
    world.run_ok(&DAY).await;
    // The run that writes the lake deletes nothing of it.
    let outcome = world.run_ok(&DELETE).await;
    assert_eq!(raw(&world).await.len(), 1, "{}", outcome.stderr);
    let (hours, summary) = (untouched(&world).await, world.summary().await);
    let outcome = world.run_ok(&DELETE).await;
    assert!(
        outcome.stderr.contains("1 raw object deleted, whose ticks the lake has"),
        "{}",
        outcome.stderr
    );
    assert_eq!(raw(&world).await, BTreeSet::new());
    for _ in 0..2 {
        for run in [&DAY[..], &COMPACT, &DELETE] {
            let outcome = world.run_ok(run).await;
            assert!(!outcome.stderr.contains("WARN"), "{run:?} {}", outcome.stderr);
        }
    }
    assert_eq!((untouched(&world).await, world.summary().await), (hours, summary));
    assert_eq!(places(&world).await, expected(&some_ticks(10, 0, 0, 100)));
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    let known = world
        .rows(
            "select concat_ws(' ', key, ticks, deleted_at is not null, lake_keys[1] is not null) from covered_objects",
        )
        .await;
    assert_eq!(known, [format!("{} 100 t t", key(10, 0, 0))]);
    assert_eq!(
        world.number("select count(*) from archive_hours where status = 'incomplete'").await,
        0
    );
}

#[tokio::test]
async fn an_hour_that_the_lake_has_had_and_nobody_knows_of_any_more_is_not_called_expired() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 100)).await;
    for run in [&DAY[..], &COMPACT, &DELETE] {
        world.run_ok(run).await;
    }
    assert_eq!(raw(&world).await, BTreeSet::new());
    world.execute("delete from lake_objects").await;
    for _ in 0..2 {
        let outcome = world.run(&COMPACT).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        let said = "the first 2025-06-02T10:00Z: the lake had their ticks when raw objects were deleted for it, and \
                    lake_objects has lost the rows";
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("expired"), "{}", outcome.stderr);
        // The next run of batch-layer counts the raw objects as gone.
        world.run_ok(&DAY).await;
    }
}

#[tokio::test]
async fn a_dry_run_names_what_would_go_and_what_stays_and_does_nothing() {
    let world = World::create().await;
    in_the_lake(&world).await;
    world
        .bucket
        .put(&key(13, 0, 900), lines(&some_ticks(13, 0, 900, 5)) + "no tick\n")
        .await
        .unwrap();
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    let (before, rows) = (raw(&world).await, world.footprint().await);
    let outcome = world.run_ok(&[&DELETE[..], &["--dry-run"]].concat()).await;
    let said: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(said.len(), 7, "{}", outcome.stdout);
    let both = said.iter().find(|line| line.contains("+0+0000000060")).unwrap();
    assert!(
        both.starts_with("delete ")
            && both.contains("bytes): 2025-06-02T10:00Z, 2025-06-02T11:00Z"),
        "{both}"
    );
    assert!(
        said[5].starts_with("keep ") && said[5].contains("+0+0000000900.json: nothing else has"),
        "{}",
        said[5]
    );
    assert!(
        said[6].starts_with("5 raw objects, ") && said[6].contains("would be deleted, and 1 kept"),
        "{}",
        said[6]
    );
    assert_eq!((raw(&world).await, world.footprint().await), (before, rows));
    assert_eq!(world.number("select count(*) from covered_objects").await, 0);
    let outcome = world.run(&[&COMPACT[..], &["--dry-run"]].concat()).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}

#[tokio::test]
async fn objects_with_what_the_lake_does_not_have_stay_and_the_reason_is_said() {
    let world = World::create().await;
    let all = in_the_lake(&world).await;
    // Lines that are no ticks; no offsets; ticks of an hour that is not in the lake; another
    // version; a quote that is none.
    world
        .bucket
        .put(&key(13, 0, 1300), lines(&some_ticks(13, 0, 1300, 5)) + "no tick\n")
        .await
        .unwrap();
    let without_offsets =
        lines(&some_ticks(14, 0, 1400, 5)).replace(r#""kafka_offset":"#, r#""other":"#);
    world.bucket.put(&key(14, 0, 1400), without_offsets).await.unwrap();
    let quoted =
        lines(&some_ticks(15, 0, 1500, 5)).replace(r#"{"volume""#, r#"{"bid":"none","volume""#);
    world.bucket.put(&key(15, 0, 1500), quoted).await.unwrap();
    world.put(&key(16, 0, 1600), &some_ticks(16, 0, 1600, 5)).await;
    world.run_ok(&DAY).await;
    world.run(&COMPACT).await;
    world
        .put(&key(17, 0, 1700), &[some_ticks(12, 1, 50, 5), some_ticks(17, 0, 1700, 5)].concat())
        .await;
    world.run_ok(&DAY).await;
    world.put(&key(16, 0, 1600), &some_ticks(16, 0, 1600, 6)).await;
    let outcome = world.run(&DELETE).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    for why in [
        "that are no ticks",
        "its lines have no offsets",
        "that cannot be read, which nothing else has",
        "has changed since",
    ] {
        assert!(outcome.stderr.contains(why), "{why}: {}", outcome.stderr);
    }
    let left = raw(&world).await;
    let stay = [
        key(12, 1, 0),
        key(13, 0, 1300),
        key(14, 0, 1400),
        key(15, 0, 1500),
        key(16, 0, 1600),
        key(17, 0, 1700),
    ];
    assert_eq!(left, BTreeSet::from(stay), "{}", outcome.stderr);
    world.run_ok(&DAY).await;
    assert!(places(&world).await.len() >= all.len());
}

#[tokio::test]
async fn verify_reads_the_lake_in_the_place_of_what_was_deleted_and_says_so() {
    let world = agreeing().await;
    let compact = [&["compact"], &HOURS[..]].concat();
    world.run_ok(&compact).await;
    world.run_ok(&[&compact[..], &["--delete-covered"]].concat()).await;
    assert_eq!(raw(&world).await, BTreeSet::new());
    for _ in 0..2 {
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("the lake covers"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("expired"), "{}", outcome.stdout);
        world.run_ok(&HOURS).await;
    }
    // It still compares: a value of realtime_stock that is another one is found.
    world.execute("update realtime_stock set close = close + 1 where kafka_offset = (select min(kafka_offset) from realtime_stock)").await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn what_came_again_and_was_deleted_again_for_the_lakes_sake_has_not_expired() {
    // In part, as it was, and with the same ticks in other bytes: a bucket may tell another etag.
    for (count, is_packed) in [(150, false), (400, false), (400, true)] {
        let world = agreeing().await;
        let compact = [&["compact"], &HOURS[..]].concat();
        world.run_ok(&compact).await;
        let object = key(10, 0, 10_000);
        let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours
                    where hour = '2025-06-02T10:00Z'";
        for _ in 0..3 {
            world.run_ok(&[&compact[..], &["--delete-covered"]].concat()).await;
            world.run_ok(&HOURS).await;
            assert_eq!(raw(&world).await, BTreeSet::new(), "{count}");
            assert_eq!(world.rows(hour).await, ["800 2 2"], "{count}");
            let outcome = verify(&world, &HOURS).await;
            assert_eq!(outcome.code, 0, "{count}: {}{}", outcome.stdout, outcome.stderr);
            assert!(!outcome.stdout.contains("expired"), "{count}: {}", outcome.stdout);
            let text = lines(&some_ticks(10, 0, 10_000, 400)[..count]);
            let body = if is_packed { gzip(&text) } else { text.into_bytes() };
            world.bucket.put(&object, body).await.unwrap();
            world.run_ok(&HOURS).await;
            let gone = world.rows(
                "select gone_objects::text from batch_hours where hour = '2025-06-02T10:00Z'",
            );
            assert_eq!(gone.await, [if count == 400 { "1" } else { "2" }], "{is_packed}");
            let outcome = verify(&world, &HOURS).await;
            assert_eq!(outcome.code, 0, "{count}: {}{}", outcome.stdout, outcome.stderr);
            assert!(!outcome.stdout.contains("expired"), "{count}: {}", outcome.stdout);
        }
    }
}

#[tokio::test]
async fn allow_shrink_takes_nothing_from_hours_whose_objects_were_deleted_for_the_lakes_sake() {
    let world = World::create().await;
    let ticks = in_the_lake(&world).await;
    world.run_ok(&DELETE).await;
    let summary = world.summary().await;
    world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    world.run(&[&DAY[..], &["--recompute"]].concat()).await;
    world.run_ok(&COMPACT).await;
    assert_eq!(world.summary().await, summary);
    assert_eq!(places(&world).await, expected(&ticks));
}

#[tokio::test]
async fn late_ticks_and_objects_that_come_back_are_counted_once() {
    let world = World::create().await;
    let ticks = in_the_lake(&world).await;
    world.run_ok(&DELETE).await;
    let late = some_ticks(12, 1, 50, 5);
    world.put(&key(15, 1, 50), &late).await;
    world.put(&key(10, 0, 0), &ticks[..60]).await;
    for _ in 0..2 {
        world.run_ok(&DAY).await;
        world.run_ok(&DELETE).await;
    }
    assert_eq!(places(&world).await, expected(&[ticks, late].concat()));
    assert_eq!(raw(&world).await, BTreeSet::new());
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 255);
}

#[tokio::test]
async fn an_object_that_comes_again_without_offsets_is_not_added_to_what_the_lake_has() {
    for end in ["", ".gz"] {
        let world = World::create().await;
        in_the_lake(&world).await;
        world.run_ok(&DELETE).await;
        world.run_ok(&DAY).await;
        let (summary, object) = (world.summary().await, format!("{}{end}", key(10, 0, 0)));
        world.bucket.put(&object, lines_without_offsets(10, 0, 60)).await.unwrap();
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{end}: {}", outcome.stderr);
        let word = "have no offsets, and by its name it holds records that the hour has";
        assert!(outcome.stderr.contains(word), "{end}: {}", outcome.stderr);
        assert_eq!(world.summary().await, summary, "{end}");
        world.bucket.delete(&object).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.summary().await, summary, "{end}");
    }
}

#[tokio::test]
async fn while_an_object_without_offsets_is_held_back_beside_what_the_lake_has_its_hour_is_open() {
    for end in ["", ".gz"] {
        let world = World::create().await;
        let ticks = [some_ticks(10, 0, 0, 100), some_ticks(11, 0, 100, 100)].concat();
        world.insert_realtime(&[&ticks[..], &some_ticks(12, 1, 0, 50)].concat()).await;
        world.fill_minute_bars().await;
        world.set_next_offset("stock_prices", 0, 200).await;
        world.set_next_offset("stock_prices", 1, 50).await;
        in_the_lake(&world).await;
        world.run_ok(&DELETE).await;
        assert_eq!(verify(&world, &DAY).await.code, 0, "{end}");
        let (object, text) = (format!("{}{end}", key(10, 0, 0)), lines_without_offsets(10, 0, 60));
        match end {
            "" => world.bucket.put(&object, text).await.unwrap(),
            _ => world.bucket.put(&object, gzip(&text)).await.unwrap(),
        }
        assert_eq!(world.run(&DAY).await.code, 4, "{end}");
        let outcome = verify(&world, &DAY).await;
        assert_eq!(outcome.code, 4, "{end}: {}{}", outcome.stdout, outcome.stderr);
        let word = "some may be there twice";
        assert!(outcome.stdout.contains(word), "{end}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("1 open, 0 mismatch"), "{end}: {}", outcome.stdout);
    }
}

#[tokio::test]
async fn an_hour_of_which_nothing_was_kept_is_computed_anew_from_the_lake_that_stands_for_its_objects()
 {
    let world = World::create().await;
    let ticks = in_the_lake(&world).await;
    world.run_ok(&DELETE).await;
    let summary = world.summary().await;
    world.execute("delete from hour_sums; delete from hourly_stock_summary").await;
    let outcome = world.run_ok(&[&DAY[..], &["--recompute"]].concat()).await;
    assert_eq!(world.summary().await, summary, "{}", outcome.stderr);
    world.run_ok(&COMPACT).await;
    assert_eq!(places(&world).await, expected(&ticks));
}

/// A run of which the store answers each deletion of a raw object so.
async fn deleting(world: &World, status: u16) -> Outcome {
    let target = stack("STACK_S3_ENDPOINT_URL").replace("http://", "");
    let proxy = HttpProxy::start(&target, move |request| {
        match request.method == "DELETE"
            && request.path.contains("%2B0%2B0000000060") | request.path.contains("+0+0000000060")
        {
            true => Treatment::Answer { status, body: String::new() },
            false => Treatment::Forward,
        }
    })
    .await;
    let mut command = world.command(&DELETE);
    command.env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    finish(command).await
}

#[tokio::test]
async fn an_object_that_the_store_does_not_delete_is_named_and_stops_no_other() {
    for status in [403, 500] {
        let world = World::create().await;
        let ticks = in_the_lake(&world).await;
        let outcome = deleting(&world, status).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("0000000060.json was not deleted"), "{}", outcome.stderr);
        assert_eq!(raw(&world).await, BTreeSet::from([key(10, 0, 60)]), "{}", outcome.stderr);
        assert_eq!(places(&world).await, expected(&ticks));
        world.run_ok(&DELETE).await;
        assert_eq!(raw(&world).await, BTreeSet::new());
        assert_eq!(places(&world).await, expected(&ticks));
    }
}

#[tokio::test]
async fn a_lake_that_lost_or_changed_an_object_keeps_its_raw_objects() {
    for content in [None, Some("garbage")] {
        let world = World::create().await;
        in_the_lake(&world).await;
        let listed = world.bucket.list("lake/source=").await.unwrap();
        // The very run that finds it writes it anew, and deletes nothing of the hour.
        match content {
            Some(content) => world.bucket.put(&listed[0].key, content).await.unwrap(),
            None => world.bucket.delete(&listed[0].key).await.unwrap(),
        }
        let outcome = world.run(&[&DELETE[..], &["--dry-run"]].concat()).await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        world.run_ok(&DELETE).await;
        let left = raw(&world).await;
        assert_eq!(left, BTreeSet::from([key(10, 0, 0), key(10, 0, 60)]));
    }
}

#[tokio::test]
async fn runs_that_are_killed_at_any_point_lose_no_tick_and_the_next_one_makes_them_good() {
    let world = World::create().await;
    let mut ticks = Vec::new();
    for round in 0..8_i64 {
        for hour in 8..14 {
            let offset = 10_000 * hour + 100 * round;
            let more = some_ticks(hour, 0, offset, 20);
            world.put(&key(hour, 0, offset), &more).await;
            ticks.extend(more);
        }
        world.run_ok(&DAY).await;
        world.run_ok(&COMPACT).await;
        let mut run = Child::spawn(world.command(&DELETE));
        tokio::time::sleep(Duration::from_millis(
            [150, 200, 250, 300, 350, 400, 500, 700][round as usize],
        ))
        .await;
        run.sigkill();
        run.wait_exit(LONG).await;
        // Nobody need wait until the run counts as dead.
        world.execute("delete from batch_lock").await;
        // What it has left is no fault to whoever comes next.
        let outcome = world.run_ok(&DAY).await;
        assert!(!outcome.stderr.contains("gone from the archive"), "{}", outcome.stderr);
    }
    world.run_ok(&DELETE).await;
    world.run_ok(&DELETE).await;
    assert_eq!(places(&world).await, expected(&ticks));
    assert_eq!(raw(&world).await, BTreeSet::new());
    assert_eq!(
        world.number("select count(*) from covered_objects where deleted_at is null").await,
        0
    );
    assert_eq!(world.number("select count(*) from covered_objects").await, 48);
}

#[tokio::test]
async fn allow_shrink_takes_nothing_from_hours_of_earlier_days_that_the_lake_stands_for() {
    let world = World::create().await;
    let early = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &early).await;
    world
        .put(&key_of(Hour::of(at(10 + 24 * 6, 0)), 0, 5000), &some_ticks(10 + 24 * 6, 0, 5000, 5))
        .await;
    let window = ["--from", "2025-06-02T00", "--to", "2025-06-12T00"];
    let compact = [&["compact"], &window[..]].concat();
    world.run_ok(&window).await;
    world.run_ok(&compact).await;
    world.run_ok(&[&compact[..], &["--delete-covered"]].concat()).await;
    assert_eq!(raw(&world).await, BTreeSet::new());
    // A late tick of the first hour, in a folder that is listed days of hours later.
    let late = some_ticks(10, 1, 9000, 1);
    world.put(&key_of(Hour::of(at(10 + 24 * 6, 0)), 1, 9000), &late).await;
    world.run(&[&window[..], &["--allow-shrink"]].concat()).await;
    world.run_ok(&window).await;
    let ticks = "select ticks from batch_hours order by hour limit 1";
    assert_eq!(world.number(ticks).await, 101);
    world.run_ok(&compact).await;
    assert_eq!(
        world.number("select sum(rows)::bigint from lake_objects where state = 'verified'").await,
        106
    );
}

#[tokio::test]
async fn an_object_that_comes_again_with_fewer_ticks_takes_no_others_along() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &ticks).await;
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    world.run_ok(&DELETE).await;
    assert_eq!(raw(&world).await, BTreeSet::new());
    world.put(&key(10, 0, 0), &ticks[..50]).await;
    world.run(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    world.run(&COMPACT).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 100);
    assert_eq!(world.number("select count(*) from covered_objects").await, 1);
    assert_eq!(places(&world).await, expected(&ticks));
    // All of it: then nothing is covered any more.
    world.put(&key(10, 0, 0), &ticks).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from covered_objects").await, 0);
    assert_eq!(places(&world).await, expected(&ticks));
}

#[tokio::test]
async fn an_object_that_comes_again_with_fewer_hours_and_is_deleted_again_stands_for_all_of_them() {
    for fails in [false, true] {
        let world = World::create().await;
        let (object, rest) = (key(10, 0, 60), key(11, 1, 0));
        let (of_ten, of_eleven) = (some_ticks(10, 0, 60, 40), some_ticks(11, 0, 100, 10));
        let whole = [&of_ten[..], &of_eleven].concat();
        world.put(&object, &whole).await;
        world.bucket.put(&rest, lines(&some_ticks(11, 1, 0, 20)) + "no tick\n").await.unwrap();
        for run in [&DAY[..], &COMPACT, &DELETE] {
            world.run_ok(run).await;
        }
        assert_eq!(raw(&world).await, BTreeSet::from([rest.clone()]));
        // The sink writes it again by its first part, which has nothing of the second hour.
        world.put(&object, &of_ten).await;
        world.run_ok(&DAY).await;
        world.run_ok(&COMPACT).await;
        match fails {
            true => assert_eq!(deleting(&world, 403).await.code, 4),
            false => drop(world.run_ok(&DELETE).await),
        }
        assert_eq!(raw(&world).await.contains(&object), fails);
        let outcome = world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
        assert!(outcome.stderr.contains("takes nothing from 2 hours"), "{}", outcome.stderr);
        let ticks = "select ticks::text from batch_hours order by hour";
        assert_eq!(world.rows(ticks).await, ["40", "30"], "{fails}: {}", outcome.stderr);
        // Once more; a run that is killed behind its deed, too, is made good.
        world.put(&object, &of_ten).await;
        world.run_ok(&DAY).await;
        let known =
            format!("select count(*) from covered_objects where key = '{object}' and ticks = 50");
        assert_eq!(world.number(&known).await, 1, "{fails}");
        world
            .execute(&format!("update covered_objects set noted_at = now() where key = '{object}'"))
            .await;
        world.bucket.delete(&object).await.unwrap();
        world.run_ok(&COMPACT).await;
        assert_eq!(
            world.number(&format!("{known} and deleted_at >= noted_at")).await,
            1,
            "{fails}"
        );
        assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
        // With all of its ticks it is covered no more.
        world.put(&object, &whole).await;
        world.run_ok(&DAY).await;
        assert_eq!(world.number(&known).await, 0);
        assert_eq!(world.rows(ticks).await, ["40", "30"]);
    }
}

#[tokio::test]
async fn what_was_read_by_other_flags_or_was_not_judged_yet_stays() {
    let world = World::create().await;
    in_the_lake(&world).await;
    let before = raw(&world).await;
    let outcome = world.run(&[&DELETE[..], &["--map", "volume=amount"]].concat()).await;
    assert_eq!(raw(&world).await, before, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("by other flags about messages"), "{}", outcome.stderr);
    world.execute("delete from judged_hours where hour >= '2025-06-02T11:00Z'").await;
    let outcome = world.run_ok(&DELETE).await;
    assert!(outcome.stderr.contains("has not judged its anomalies yet"), "{}", outcome.stderr);
    let gone: Vec<String> = before.difference(&raw(&world).await).cloned().collect();
    assert_eq!(gone, [key(10, 0, 0)], "{}", outcome.stderr);
}

#[tokio::test]
async fn a_smaller_version_of_an_object_that_stayed_is_taken_by_allow_shrink_and_takes_nothing_out()
{
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &ticks[..60]).await;
    world.bucket.put(&key(10, 0, 60), lines(&ticks[60..]) + "no tick\n").await.unwrap();
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    world.run_ok(&DELETE).await;
    assert_eq!(raw(&world).await, BTreeSet::from([key(10, 0, 60)]));
    let more = some_ticks(10, 0, 100, 5);
    let (shorter, of_another_hour) = ([&ticks[70..], &more].concat(), some_ticks(11, 0, 200, 5));
    for smaller in [&shorter, &of_another_hour] {
        world.put(&key(10, 0, 60), smaller).await;
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("--allow-shrink"), "{}", outcome.stderr);
        let outcome = world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
        assert!(
            outcome.stderr.contains("what it has stays, because the lake has it"),
            "{}",
            outcome.stderr
        );
        world.run_ok(&DAY).await;
        world.run_ok(&COMPACT).await;
        assert_eq!(world.number("select ticks from batch_hours order by hour limit 1").await, 105);
    }
    assert_eq!(places(&world).await, expected(&[ticks, more, of_another_hour].concat()));
}

#[tokio::test]
async fn an_object_that_a_frozen_run_deletes_when_it_wakes_up_is_one_that_the_lake_stands_for() {
    let world = World::create().await;
    let ticks = in_the_lake(&world).await;
    // As a run leaves it that is frozen between its word and its deed.
    let announced = format!(
        "insert into covered_objects (key, etag, size, ticks, hours, lake_keys, run_id)
         select o.key, o.etag, o.size, h.ticks, array[h.hour], '{{}}', 1
         from archive_objects o join archive_object_hours h using (key) where key = '{}'",
        key(12, 1, 0)
    );
    world.execute(&announced).await;
    world.run_ok(&COMPACT).await;
    world.bucket.delete(&key(12, 1, 0)).await.unwrap();
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    assert_eq!(places(&world).await, expected(&ticks));
    // Nobody sleeps for longer than a day.
    world.execute(&announced.replace(&key(12, 1, 0), &key(10, 0, 0))).await;
    world.execute("update covered_objects set noted_at = now() - interval '2 days' where deleted_at is null").await;
    world.run_ok(&COMPACT).await;
    assert_eq!(
        world.number("select count(*) from covered_objects where deleted_at is null").await,
        0
    );
}

#[tokio::test]
async fn an_hour_whose_covered_object_came_again_with_other_prices_is_named_with_what_can_be_done()
{
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &ticks[..60]).await;
    world.put(&key(10, 0, 60), &ticks[60..]).await;
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    world.run_ok(&DELETE).await;
    let mut other = ticks[..60].to_vec();
    other[3].close += 1;
    world.put(&key(10, 0, 0), &other).await;
    world.run(&DAY).await;
    let outcome = world.run(&DELETE).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("put the earlier version back"), "{}", outcome.stderr);
    assert_eq!(raw(&world).await, BTreeSet::from([key(10, 0, 0)]));
    world.put(&key(10, 0, 0), &ticks[..60]).await;
    world.run_ok(&DAY).await;
    world.run_ok(&DELETE).await;
    assert_eq!(raw(&world).await, BTreeSet::new());
    assert_eq!(places(&world).await, expected(&ticks));
}

#[tokio::test]
async fn an_hour_of_which_other_objects_have_each_tick_is_covered_by_the_lake_no_more() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &ticks[..60]).await;
    world.put(&key(10, 0, 60), &ticks[60..]).await;
    world.run_ok(&DAY).await;
    world.run_ok(&COMPACT).await;
    world.run_ok(&DELETE).await;
    assert_eq!(world.number("select count(*) from covered_objects").await, 2);
    world.put(&key(11, 2, 0), &ticks).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select gone_objects::bigint from batch_hours").await, 0);
    assert_eq!(world.number("select count(*) from covered_objects").await, 0);
}

#[tokio::test]
async fn verify_takes_an_object_that_is_about_to_be_deleted_for_none_of_those_that_are_gone() {
    let world = agreeing().await;
    let compact = [&["compact"], &HOURS[..]].concat();
    world
        .bucket
        .put(&key(9, 1, 9000), lines(&some_ticks(9, 1, 9000, 400)) + "no tick\n")
        .await
        .unwrap();
    world.run_ok(&HOURS).await;
    world.run_ok(&compact).await;
    world.run_ok(&[&compact[..], &["--delete-covered"]].concat()).await;
    assert_eq!(raw(&world).await, BTreeSet::from([key(9, 1, 9000)]));
    world.expire(&key(9, 1, 9000)).await;
    world.run(&HOURS).await;
    let before = verify(&world, &HOURS).await;
    world
        .execute(
            "insert into covered_objects (key, etag, size, ticks, hours, lake_keys, run_id)
             select 'raw/announced.json', '', 1, 1, array[hour], '{}', 1 from batch_hours order by hour limit 1",
        )
        .await;
    let after = verify(&world, &HOURS).await;
    assert_eq!((after.code, after.stdout), (before.code, before.stdout));
}
