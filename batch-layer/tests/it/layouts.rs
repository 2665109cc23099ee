//! An archive whose layout or prefix changes while its objects stay where they are, and prefixes of
//! which one lies inside another: an object is known by its key, whatever listing shows it.

use crate::support::{DAY, World, key, some_ticks};
use crate::verify::verify;

const HOURLY: [&str; 2] = ["--prefix", "raw/%Y-%m-%d/%H/"];
const DAILY: [&str; 2] = ["--prefix", "raw/%Y-%m-%d/"];
const OUTER: &str = "raw/a/%Y-%m-%d-%H/";
const INNER: &str = "raw/a/%Y-%m-%d-%H/sub/";

const DELETED: &str = "select key from deleted_objects order by key";
const ANOTHER_PREFIX: &str = "it lies below another --prefix";

fn of_day(prefix: &[&'static str]) -> Vec<&'static str> {
    [&DAY[..], prefix].concat()
}

async fn objects_read(world: &World) -> i64 {
    world.number("select objects_read from batch_runs order by run_id desc limit 1").await
}

/// Two objects of hour 10 under these keys, which agree with `realtime_stock`, and which no run has
/// read.
async fn two_objects(keys: [&str; 2]) -> World {
    let world = World::create().await;
    for (key, offset) in keys.into_iter().zip([0, 100]) {
        let ticks = some_ticks(10, 0, offset, 100);
        world.put(key, &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 200).await;
    world
}

const KEYS: [&str; 2] = [
    "raw/2025-06-02/10/stock_prices+0+0000000000.json",
    "raw/2025-06-02/10/stock_prices+0+0000000100.json",
];

/// A world that a run of hourly folders has read.
async fn read_by_the_hour() -> World {
    let world = two_objects(KEYS).await;
    world.run_ok(&of_day(&HOURLY)).await;
    world
}

#[tokio::test]
async fn objects_that_another_layout_shows_are_known_and_neither_read_nor_counted_again() {
    let world = read_by_the_hour().await;
    let before = world.footprint().await;
    for prefix in [DAILY, HOURLY] {
        world.run_ok(&of_day(&prefix)).await;
        assert_eq!((world.footprint().await, objects_read(&world).await), (before.clone(), 0));
        let outcome = verify(&world, &of_day(&prefix)).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }
    // What lies below another prefix is not known to be gone.
    let other = ["--prefix", "other/%Y-%m-%d/"];
    let outcome = world.run(&of_day(&other)).await;
    assert!(!outcome.stderr.contains("gone"), "{}", outcome.stderr);
    assert_eq!(world.footprint().await, before);
    let outcome = verify(&world, &of_day(&other)).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains(ANOTHER_PREFIX), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_object_that_is_deleted_while_the_layout_changes_is_missed_and_back_when_it_is_back() {
    let world = read_by_the_hour().await;
    world.bucket.delete(KEYS[1]).await.unwrap();
    // Whatever the layout, the same is said of it.
    let told = verify(&world, &of_day(&HOURLY)).await;
    let outcome = verify(&world, &of_day(&DAILY)).await;
    assert_eq!((outcome.code, outcome.stdout), (told.code, told.stdout));
    let outcome = world.run_ok(&of_day(&DAILY)).await;
    assert!(outcome.stderr.contains("1 object is gone"), "{}", outcome.stderr);
    assert_eq!(world.rows(DELETED).await, [KEYS[1]]);
    let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours";
    assert_eq!(world.rows(hour).await, ["200 2 1"]);
    let outcome = verify(&world, &of_day(&DAILY)).await;
    assert!(!outcome.stdout.contains(ANOTHER_PREFIX), "{}", outcome.stdout);
    world.put(KEYS[1], &some_ticks(10, 0, 100, 100)).await;
    world.run_ok(&of_day(&DAILY)).await;
    assert_eq!(world.rows(DELETED).await, [""; 0]);
    assert_eq!(world.rows(hour).await, ["200 2 0"]);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_hour_that_is_computed_again_by_another_layout_misses_a_deleted_object_and_no_other() {
    let world = read_by_the_hour().await;
    world.bucket.delete(KEYS[1]).await.unwrap();
    let again = ["--hour", "2025-06-02T10", "--recompute"];
    world.run(&[&again[..], &DAILY].concat()).await;
    assert_eq!(world.rows(DELETED).await, [KEYS[1]]);
    let outcome = verify(&world, &of_day(&DAILY)).await;
    assert!(!outcome.stdout.contains(ANOTHER_PREFIX), "{}", outcome.stdout);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_deleted_object_is_looked_for_in_the_folder_that_todays_layout_has_for_it() {
    let world = World::create().await;
    let (far, late) =
        ("raw/2025-06-05/03/stock_prices+1+0000000000.json", some_ticks(10, 1, 0, 10));
    world.put(KEYS[0], &some_ticks(10, 0, 0, 100)).await;
    world.put(far, &late).await;
    let days = ["--from", "2025-06-02T00", "--to", "2025-06-06T00"];
    world.run_ok(&[&days[..], &HOURLY].concat()).await;
    world.bucket.delete(far).await.unwrap();
    world.run_ok(&[&days[..], &HOURLY].concat()).await;
    assert_eq!(world.rows(DELETED).await, [far]);
    world.put(far, &late).await;
    world.run_ok(&[&["--hour", "2025-06-02T10"][..], &DAILY].concat()).await;
    assert_eq!(world.rows(DELETED).await, [""; 0]);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_looked_for_where_todays_layout_has_it() {
    for is_deleted in [true, false] {
        let world = two_objects(KEYS).await;
        let broken = "raw/2025-06-02/10/stock_prices+0+0000000200.json";
        world.bucket.put(broken, "<html>").await.unwrap();
        assert_eq!(world.run(&of_day(&HOURLY)).await.code, 4);
        assert_eq!(world.number("select count(*) from broken_objects").await, 1);
        match is_deleted {
            true => world.bucket.delete(broken).await.unwrap(),
            false => world.put(broken, &some_ticks(10, 0, 200, 50)).await,
        }
        world.run_ok(&of_day(&DAILY)).await;
        assert_eq!(world.number("select count(*) from broken_objects").await, 0);
        let ticks = if is_deleted { 200 } else { 250 };
        assert_eq!(world.number("select ticks from batch_hours").await, ticks);
    }
}

/// The keys of two objects, of which the second lies below both prefixes.
const NESTED: [&str; 2] = [
    "raw/a/2025-06-02-10/stock_prices+0+0000000000.json",
    "raw/a/2025-06-02-10/sub/stock_prices+0+0000000100.json",
];

#[tokio::test]
async fn what_lies_below_two_prefixes_is_read_once_by_the_runs_of_both() {
    for (order, reads) in [([OUTER, INNER], [2, 0]), ([INNER, OUTER], [1, 1])] {
        let world = two_objects(NESTED).await;
        for (prefix, reads) in order.into_iter().zip(reads) {
            world.run_ok(&of_day(&["--prefix", prefix])).await;
            assert_eq!(objects_read(&world).await, reads, "{prefix} of {order:?}");
        }
        assert_eq!(world.summary().await, world.expected().await);
        let before = world.footprint().await;
        for prefix in order {
            world.run_ok(&of_day(&["--prefix", prefix])).await;
            assert_eq!((world.footprint().await, objects_read(&world).await), (before.clone(), 0));
        }
        // Each of the two misses what is gone there.
        world.bucket.delete(NESTED[1]).await.unwrap();
        world.run_ok(&of_day(&["--prefix", order[1]])).await;
        assert_eq!(world.rows(DELETED).await, [NESTED[1]]);
    }
}

#[tokio::test]
async fn what_lies_below_two_prefixes_is_compared_once() {
    let world = two_objects(NESTED).await;
    for prefix in [OUTER, INNER] {
        world.run_ok(&of_day(&["--prefix", prefix])).await;
    }
    for prefixes in [OUTER.to_owned(), format!("{OUTER},{INNER}"), format!("{INNER},{OUTER}")] {
        let outcome = world.run(&[&["verify", "--prefix", &prefixes], &DAY[..]].concat()).await;
        assert_eq!(outcome.code, 0, "{prefixes}: {}{}", outcome.stdout, outcome.stderr);
        let found = "select concat_ws(' ', archive_ticks, archive_duplicates) from reconciliations";
        assert_eq!(world.rows(found).await, ["200 0"], "{prefixes}");
    }
    let outcome = world.run(&[&["verify", "--prefix", INNER], &DAY[..]].concat()).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let said = format!("{}: {ANOTHER_PREFIX}", NESTED[0]);
    assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains(NESTED[1]), "{}", outcome.stdout);
}

#[tokio::test]
async fn names_that_only_begin_alike_are_other_folders() {
    let world = World::create().await;
    let (here, beside) = (key(10, 0, 0), key(10, 0, 100).replace("-10/", "-10a/"));
    world.put(&here, &some_ticks(10, 0, 0, 100)).await;
    world.put(&beside, &some_ticks(10, 0, 100, 100)).await;
    let other = ["--prefix", "raw/stock_prices/%Y-%m-%d-%Ha/"];
    world.run_ok(&of_day(&other)).await;
    world.bucket.delete(&beside).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(DELETED).await, [""; 0], "it is no object of this prefix");
    world.run_ok(&of_day(&other)).await;
    assert_eq!(world.rows(DELETED).await, [beside]);
}
