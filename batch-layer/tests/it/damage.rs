//! Objects that cannot be read.

use crate::support::{World, gzip, key, lines, some_ticks};

const DAY: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];

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
    let named = outcome.stderr.lines().filter(|line| line.contains(&key)).count();
    assert_eq!(named, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("1 hours were not written: 2025-06-02T10:00Z"), "{}", outcome.stderr);
    let run = world.rows("select concat_ws(' ', status, hours_computed, hours_failed, error) from batch_runs").await;
    assert!(run[0].starts_with("partial 2 1 1 hours were not written"), "{run:?}");
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
    let text = format!("{}\n\n{{}}\n{}{}", "no json\n".repeat(1200), lines(&ticks), "x".repeat(2_000_000));
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    let known = world.rows("select concat_ws(' ', lines, rejected_lines) from archive_objects").await;
    assert_eq!(known, ["1302 1202"]);
    assert_eq!(world.number("select count(*) from rejected_lines").await, 1000);
    assert_eq!(world.number("select rejected_lines from batch_runs").await, 1202);
}

#[tokio::test]
async fn a_line_longer_than_any_tick_is_kept_by_its_beginning_and_length() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), "x".repeat(2_000_000)).await.unwrap();
    world.run_ok(&DAY).await;
    let kept = world.rows("select concat_ws(' ', line, reason, length(value), value_bytes) from rejected_lines").await;
    assert_eq!(kept, ["1 too_large 2048 2000000"]);
}
