//! Archives as sinks write them: compression, names, provenance, duplicates, pages.

use crate::support::{DAY, World, gzip, key, lines, some_ticks};
use futures::StreamExt;

#[tokio::test]
async fn summaries_equal_a_plain_aggregate_over_the_same_ticks_to_the_last_digit() {
    let world = World::with_hours(9..14, 4, 997).await;
    let outcome = world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.summary().await.len(), 5 * 5);
    assert!(
        outcome.stderr.contains("5 hours computed, 0 failed; 20 objects read"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn plain_gzip_and_zstd_objects_are_read_alike() {
    let world = World::create().await;
    for (partition, kind) in [(0, ""), (1, ".gz"), (2, ".zst")] {
        let ticks = some_ticks(10, partition, 0, 500);
        let text = lines(&ticks);
        let body = match kind {
            ".gz" => gzip(&text),
            ".zst" => zstd::encode_all(text.as_bytes(), 3).unwrap(),
            _ => text.into_bytes(),
        };
        world.bucket.put(&(key(10, partition, 0) + kind), body).await.unwrap();
        world.insert_realtime(&ticks).await;
    }
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn records_that_stand_in_several_objects_count_once() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 1000);
    world.insert_realtime(&ticks).await;
    // As a sink leaves them that was killed twice: other cuts, one object a part of another, one
    // wholly repeated.
    for (from, to) in [(0, 400), (300, 700), (310, 320), (650, 1000)] {
        world.put(&key(10, 0, from), &ticks[from as usize..to]).await;
    }
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select duplicates from batch_hours").await, 160);
    assert_eq!(world.number("select duplicates from batch_runs").await, 160);
}

/// An object is read again while others wait for a core, which some are given meanwhile.
#[tokio::test]
async fn many_objects_that_overlap_are_read_to_their_end() {
    const OBJECTS: i64 = 60;
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, (OBJECTS + 1) * 50);
    world.insert_realtime(&ticks).await;
    for from in (0..OBJECTS).map(|number| number * 50) {
        world.put(&key(10, 0, from), &ticks[from as usize..from as usize + 100]).await;
    }
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select duplicates from batch_hours").await, (OBJECTS - 1) * 50);
}

#[tokio::test]
async fn a_recording_with_odd_lines_gives_its_ticks_and_keeps_the_rest_with_reasons() {
    let world = World::create().await;
    world.put_fixture("r-robust").await;
    world.run_ok(&DAY).await;
    let ticks = world.number("select sum(ticks)::bigint from hourly_stock_summary").await;
    let lines = world.number("select sum(lines)::bigint from archive_objects").await;
    let rejected = world.number("select count(*) from rejected_lines").await;
    assert_eq!(ticks + rejected, lines);
    let reasons = world.rows("select distinct reason from rejected_lines order by 1").await;
    assert_eq!(reasons, ["bad_price", "bad_timestamp", "missing_field"]);
    let empty = world
        .rows(
            "select convert_from(value, 'UTF8') from rejected_lines where reason = 'missing_field'",
        )
        .await;
    assert_eq!(empty[0], r#"{"kafka_offset":55,"kafka_partition":0}"#);
    let counted = world.number("select sum(rejected_lines)::bigint from archive_objects").await;
    assert_eq!(counted, rejected);
}

#[tokio::test]
async fn late_records_in_an_old_hours_folder_stay_in_the_hour_of_their_own_time() {
    let world = World::create().await;
    world.put_fixture("f4-late").await;
    world.run_ok(&DAY).await;
    let by_hour = world
        .rows("select concat(extract(hour from hour at time zone 'UTC'), ':', sum(ticks)) from hourly_stock_summary group by hour order by hour")
        .await;
    assert_eq!(by_hour, ["12:1", "13:13", "14:15", "15:10"]);
    assert_eq!(world.number("select sum(duplicates)::bigint from batch_hours").await, 0);
}

#[tokio::test]
async fn a_recording_without_provenance_is_ordered_by_key_and_line() {
    let world = World::create().await;
    let keys = world.put_fixture("c-gzip").await;
    world.run_ok(&DAY).await;
    assert_eq!(keys.len(), 1);
    assert_eq!(world.number("select sum(ticks)::bigint from hourly_stock_summary").await, 1000);
}

#[tokio::test]
async fn companions_are_passed_over_and_unknown_files_named_and_skipped() {
    let world = World::create().await;
    world.put_fixture("h-keys").await;
    world.bucket.put("raw/stock_prices/2025-06-02-14/notes.txt", "hello").await.unwrap();
    let outcome = world.run_ok(&DAY).await;
    assert_eq!(outcome.stderr.matches("notes.txt: skipped").count(), 1, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("keys.json"), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from archive_objects").await, 1);
}

#[tokio::test]
async fn more_objects_than_a_page_of_a_listing_holds_are_all_read() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 2 * 1100);
    world.insert_realtime(&ticks).await;
    let puts = futures::stream::iter(ticks.chunks(2)).map(|pair| {
        let key = key(10, 0, pair[0].offset);
        let world = &world;
        async move { world.put(&key, pair).await }
    });
    puts.buffer_unordered(16).collect::<Vec<()>>().await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select objects_read from batch_runs").await, 1100);
}

#[tokio::test]
async fn a_local_directory_gives_the_same_as_a_bucket() {
    let world = World::create().await;
    let folder = tempfile::tempdir().unwrap();
    let ticks = some_ticks(10, 0, 0, 300);
    let path = folder.path().join(key(10, 0, 0));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, lines(&ticks)).unwrap();
    world.insert_realtime(&ticks).await;
    let bucket = format!("file://{}", folder.path().display());
    let args = [&DAY[..], &["--bucket", &bucket]].concat();
    world.run_ok(&args).await;
    assert_eq!(world.summary().await, world.expected().await);
    let before = world.footprint().await;
    world.run_ok(&args).await;
    assert_eq!(world.footprint().await, before);
}

#[tokio::test]
async fn another_layout_is_read_by_its_template() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 50);
    world.insert_realtime(&ticks).await;
    let key = "archive/year=2025/month=06/day=02/stock_prices+0+0000000000.json";
    world.put(key, &ticks).await;
    world.run_ok(&[&DAY[..], &["--prefix", "archive/year=%Y/month=%m/day=%d/"]].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
}
