//! Gaps of the speed layer beside what `verify` compares.

use crate::changes::lines_without_offsets;
use crate::support::{World, key, some_ticks};
use crate::verify::{agreeing, verify};

const AT_TEN: [&str; 2] = ["--hour", "2025-06-02T10"];

/// A world whose offset 10007 the speed layer has not written, and its bars neither. `source`:
/// whose gap it is.
async fn with_gap(source: &str) -> World {
    let world = agreeing().await;
    world
        .execute(&format!(
            "update kafka_sources set first_seen_at = '2025-06-01T00:00Z';
             insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions, first_seen_at)
             values ('speed-layer', '', 'stock_prices', 'made anew', 2, '2025-06-02T09:30Z');
             delete from realtime_stock where kafka_partition = 0 and kafka_offset = 10007;
             insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
             select source, 0, 10007, 10008, '' from kafka_sources where topic_id = '{source}'"
        ))
        .await;
    world.fill_minute_bars().await;
    world
}

#[tokio::test]
async fn a_gap_excuses_no_loss_of_a_topic_that_was_made_anew_since() {
    let outcome = verify(&with_gap("made anew").await, &AT_TEN).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let world = with_gap("").await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 tick of the archive is not in realtime_stock: offsets 10007";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    // Of hours before that, it is the topic's own.
    world.execute("update kafka_sources set first_seen_at = '2025-06-02T10:30Z' where topic_id = 'made anew'").await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn a_gap_of_a_day_that_retention_has_dropped_is_no_difference() {
    let world = with_gap("made anew").await;
    world.drop_day().await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("1 tick of the archive was never written"),
        "{}",
        outcome.stdout
    );
    // Two bars that are others are not explained by one tick.
    world.execute("update hour_bars set high = high + 1 where symbol in ('AAPL', 'MSFT')").await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("the archive says otherwise"), "{}", outcome.stdout);
    world.execute("delete from kafka_gaps").await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("ticks, the archive has 800"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_line_that_is_lost_without_offsets_leaves_its_hour_open_until_a_newer_object_shows_it_for_lost()
 {
    let world = World::create().await;
    world.insert_realtime(&some_ticks(10, 0, 0, 20)).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 25).await;
    let text: String =
        lines_without_offsets(10, 0, 20).lines().take(19).map(|line| format!("{line}\n")).collect();
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    world.run_ok(&AT_TEN).await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 tick waits for the sink, as far as can be told";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    world.bucket.put(&key(11, 0, 20), lines_without_offsets(11, 0, 5)).await.unwrap();
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "realtime_stock has 20 ticks, the archive 19; its lines do not tell their offsets";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}
