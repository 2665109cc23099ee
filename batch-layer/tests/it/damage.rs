//! Objects that cannot be read.

use crate::support::{DAY, World, gzip, key, lines, some_ticks};

#[tokio::test]
async fn a_truncated_object_holds_back_its_hour_and_no_other_until_it_is_repaired() {
    let world = World::create().await;
    for hour in 9..12 {
        let ticks = some_ticks(hour, 0, hour * 1000, 300);
        world.put(&key(hour, 0, hour * 1000), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    let ticks = some_ticks(10, 1, 0, 300);
    world.insert_realtime(&ticks).await;
    let (key, whole) = (key(10, 1, 0) + ".gz", gzip(&lines(&ticks)));
    world.bucket.put(&key, whole[..whole.len() / 2].to_vec()).await.unwrap();

    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T11 by 1"]);
    let named = outcome
        .stderr
        .lines()
        .filter(|line| line.contains(&key) && line.contains("not written until"))
        .count();
    assert_eq!(named, 1, "{}", outcome.stderr);
    let word = "1 object cannot be read and holds back 1 hour";
    assert!(
        outcome.stderr.contains(word) && outcome.stderr.contains("2025-06-02T10:00Z"),
        "{}",
        outcome.stderr
    );
    let run = world
        .rows("select concat_ws(' ', status, hours_computed, hours_failed, error) from batch_runs")
        .await;
    assert!(run[0].starts_with("partial 2 1 1 object cannot be read"), "{run:?}");
    assert_eq!(world.run(&DAY).await.code, 4, "it stays loud");

    world.bucket.put(&key, whole).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 3", "02T11 by 1"]);
}

#[tokio::test]
async fn a_good_object_replaced_by_a_broken_one_leaves_the_summary_as_it_was() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    let (key, whole) = (key(10, 0, 0) + ".gz", gzip(&lines(&ticks)));
    world.bucket.put(&key, whole.clone()).await.unwrap();
    world.run_ok(&DAY).await;
    let before = world.summary().await;
    world.bucket.put(&key, whole[..100].to_vec()).await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn bad_lines_never_fail_an_hour_and_are_kept_up_to_a_thousand_an_object() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.insert_realtime(&ticks).await;
    let text =
        format!("{}\n\n{{}}\n{}{}", "no json\n".repeat(1200), lines(&ticks), "x".repeat(2_000_000));
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    let known =
        world.rows("select concat_ws(' ', lines, rejected_lines) from archive_objects").await;
    assert_eq!(known, ["1302 1202"]);
    assert_eq!(world.number("select count(*) from rejected_lines").await, 1000);
    assert_eq!(world.number("select rejected_lines from batch_runs").await, 1202);
}

#[tokio::test]
async fn an_object_that_unpacks_to_hardly_a_tick_is_given_up_and_holds_back_its_hour_alone() {
    let world = World::create().await;
    for hour in [9, 10] {
        let ticks = some_ticks(hour, 0, hour * 1000, 300);
        world.put(&key(hour, 0, hour * 1000), &ticks).await;
    }
    let text = lines(&some_ticks(10, 1, 0, 3)) + &"{}\n".repeat(3_000_000);
    let (key, packed) = (key(10, 1, 0) + ".gz", gzip(&text));
    assert!(packed.len() < 100_000, "{}", packed.len());
    world.bucket.put(&key, packed).await.unwrap();
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(world.computed_by().await, ["02T09 by 1"]);
    let says = |line: &str| line.contains(&key) && line.contains("of its lines hold no tick");
    assert!(outcome.stderr.lines().any(says), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from rejected_lines").await, 0);
}

#[tokio::test]
async fn a_line_longer_than_any_tick_is_kept_by_its_beginning_and_length() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), "{".to_owned() + &"x".repeat(1_999_999)).await.unwrap();
    world.run_ok(&DAY).await;
    let kept = world
        .rows("select concat_ws(' ', line, reason, length(value), value_bytes) from rejected_lines")
        .await;
    assert_eq!(kept, ["1 too_large 2048 2000000"]);
}

#[tokio::test]
async fn what_is_no_archive_of_records_is_broken_and_takes_no_ticks_away() {
    let ticks = some_ticks(10, 0, 0, 300);
    let zstd = zstd::encode_all(lines(&ticks).as_bytes(), 3).unwrap();
    let contents: [&[u8]; 11] = [
        // JSON, and no record of anything.
        b"null",
        b"[1,2]\n",
        b"{\"message\":\"Internal Server Error\"}\n",
        &[0; 5000],
        b"<html><body>502 Bad Gateway</body></html>\n",
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F",
        b"\x04\"M\x18d@\xa7",
        // As pzstd begins.
        b"\x50\x2a\x4d\x18\x04\0\0\0\x10\0\0\0",
        b"PAR1\x15\x04\x15",
        b"",
        &zstd[..zstd.len() / 2],
    ];
    for content in contents {
        let world = World::create().await;
        world.put(&key(10, 0, 0), &ticks).await;
        world.run_ok(&DAY).await;
        let before = world.summary().await;
        world.bucket.put(&key(10, 0, 0), content.to_vec()).await.unwrap();
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{content:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(&key(10, 0, 0)), "{}", outcome.stderr);
        assert_eq!(world.summary().await, before, "{content:?}");
        assert_eq!(world.rows("select kind from broken_archive_objects").await, ["damaged"]);
        // It is not forgotten when the window has moved on.
        assert_eq!(world.run(&["--hour", "2025-06-04T10"]).await.code, 4);
        world.put(&key(10, 0, 0), &ticks).await;
        world.run_ok(&DAY).await;
        assert_eq!(world.summary().await, before);
    }
}

#[tokio::test]
async fn ticks_of_an_object_that_was_replaced_by_none_are_taken_out_where_its_lines_tell_places() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 300)).await;
    world.run_ok(&DAY).await;
    let none = r#"{"kafka_partition":0,"kafka_offset":0}"#;
    world.bucket.put(&key(10, 0, 0), none).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    // And where a person says so.
    world.put(&key(11, 0, 0), &some_ticks(11, 0, 0, 300)).await;
    world.run_ok(&DAY).await;
    world.bucket.put(&key(11, 0, 0), "{}\n").await.unwrap();
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("it held 300 ticks, which --allow-shrink"),
        "{}",
        outcome.stderr
    );
    world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
}

/// The object of hour 10, replaced by one with more ticks that is known and not computed, as
/// another object holds the hour back. Gives the keys of both.
pub async fn replaced_and_held(world: &World) -> [String; 2] {
    let (object, broken) = (key(10, 0, 0), key(10, 1, 0));
    world.put(&object, &some_ticks(10, 0, 0, 100)).await;
    world.run_ok(&DAY).await;
    world.put(&object, &some_ticks(10, 0, 0, 110)).await;
    world.bucket.put(&broken, "<html>").await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    [object, broken]
}

#[tokio::test]
async fn an_object_that_was_replaced_twice_the_second_time_by_no_archive_takes_no_ticks_away() {
    let world = World::create().await;
    let [object, broken] = replaced_and_held(&world).await;
    let before = world.summary().await;
    world.bucket.put(&object, "null").await.unwrap();
    world.bucket.delete(&broken).await.unwrap();
    for _ in 0..2 {
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert_eq!(world.summary().await, before);
        assert_eq!(
            world.rows("select key from broken_objects").await,
            std::slice::from_ref(&object)
        );
    }
    let outcome = world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    assert!(outcome.stderr.contains("its 100 records are taken out"), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_object_whose_hour_was_not_computed_yet_is_broken_all_the_same_by_what_is_no_archive() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.insert_realtime(&ticks).await;
    world.put(&key(10, 0, 0), &ticks).await;
    world.put(&key(10, 1, 0), &some_ticks(10, 1, 0, 5)).await;
    world.bucket.put(&key(10, 2, 0), "<html>").await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    world.bucket.put(&key(10, 0, 0), "null").await.unwrap();
    world.bucket.delete(&key(10, 2, 0)).await.unwrap();
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(world.computed_by().await, [""; 0]);
    world.put(&key(10, 0, 0), &ticks).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 105);
}

#[tokio::test]
async fn an_object_that_was_replaced_and_not_computed_yet_is_not_read_by_wrong_flags() {
    let world = World::create().await;
    let [_, broken] = replaced_and_held(&world).await;
    let before = world.summary().await;
    world.bucket.delete(&broken).await.unwrap();
    let outcome = world.run(&[&DAY[..], &["--map", "close=nothing"]].concat()).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let word = "1 of its objects hold 0 ticks where they held 110";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 110);
}

#[tokio::test]
async fn a_broken_object_in_a_days_folder_holds_back_the_whole_day_of_a_long_backfill() {
    let world = World::create().await;
    // The third day begins in the first stretch of 72 hours and its slack, and ends in the second.
    for day in 0..5 {
        for hour in [0, 1, 23] {
            let ticks = some_ticks(day * 24 + hour, 0, day * 1000 + hour * 10, 5);
            let key = format!(
                "raw/2025-06-{:02}/stock_prices+0+{:010}.json",
                day + 2,
                day * 1000 + hour * 10
            );
            world.bucket.put(&key, lines(&ticks)).await.unwrap();
        }
    }
    world.bucket.put("raw/2025-06-05/stock_prices+1+0000000000.json", "<html>").await.unwrap();
    let window = ["--from", "2025-06-02T00", "--to", "2025-06-07T00", "--prefix", "raw/%Y-%m-%d/"];
    let outcome = world.run(&window).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let days = "select concat(extract(day from hour at time zone 'UTC'), ':', count(*)) from batch_hours group by
                extract(day from hour at time zone 'UTC') order by 1";
    assert_eq!(world.rows(days).await, ["2:3", "3:3", "4:3", "6:3"]);
}
