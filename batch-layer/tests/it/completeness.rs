//! Which hours the archive shows completely, and how far back a run looks for what is missing.

use crate::support::{self, Tick, World, key_of};
use common::Timestamp;
use hourly::hour::Hour;

/// `count` ticks of the hour `back` hours ago.
pub fn ticks_of(back: i64, count: i64) -> (Hour, Vec<Tick>) {
    let hour = Hour::of(Timestamp::now()).plus(-back);
    (hour, support::ticks_of(hour, 0, back * 1000, count))
}

/// What the speed layer has of the ticks.
pub async fn insert_speed(world: &World, ticks: &[Tick]) {
    world.insert_realtime(ticks).await;
    world.fill_minute_bars().await;
}

/// Of an hour that counts as complete because nothing speaks against it.
const NOBODY_CAN_TELL: &str =
    "the speed layer has no ticks of it: nothing tells whether the archive shows all";

async fn statuses(world: &World) -> Vec<String> {
    world.rows("select concat_ws(' ', status, reason) from hour_completeness order by hour").await
}

#[tokio::test]
async fn an_hour_that_only_the_speed_layer_knows_is_looked_for_however_far_back_until_it_is_archived()
 {
    for back in [60, 24 * 8, 24 * 90] {
        let world = World::create().await;
        let (hour, ticks) = ticks_of(back, 50);
        insert_speed(&world, &ticks).await;
        // The sink is at work on other hours meanwhile.
        let (now, others) = ticks_of(3, 20);
        world.put(&key_of(now, 0, 3000), &others).await;
        let outcome = world.run_ok(&[]).await;
        assert!(
            outcome
                .stderr
                .contains(&format!("1 hour is incomplete (view hour_completeness): {hour}")),
            "{}",
            outcome.stderr
        );
        let nobody_can_tell = format!("complete {NOBODY_CAN_TELL}");
        assert_eq!(
            statuses(&world).await,
            ["incomplete the archive has no ticks of it", &*nobody_can_tell]
        );

        world.put(&key_of(hour, 0, back * 1000), &ticks).await;
        world.execute("update archive_hours set listed_at = listed_at - interval '2 hours'").await;
        world.run_ok(&[]).await;
        assert_eq!(statuses(&world).await, ["complete", &*nobody_can_tell]);
        let ticks = format!("select ticks from batch_hours where hour = '{}'", hour.start());
        assert_eq!(world.number(&ticks).await, 50);
    }
}

#[tokio::test]
async fn an_hour_of_which_the_archive_shows_a_part_is_incomplete() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    insert_speed(&world, &ticks).await;
    world.put(&key_of(hour, 0, 5000), &ticks[..30]).await;
    world.run_ok(&[]).await;
    assert_eq!(
        statuses(&world).await,
        ["incomplete 20 ticks of the speed layer are not in the archive"]
    );
    world.put(&key_of(hour, 0, 5030), &ticks[30..]).await;
    world.run_ok(&[]).await;
    assert_eq!(statuses(&world).await, ["complete"]);
}

#[tokio::test]
async fn an_hour_that_a_broken_object_holds_back_is_incomplete() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    world.put(&key_of(hour, 0, 5000), &ticks).await;
    world.bucket.put(&key_of(hour, 1, 0), "<html>").await.unwrap();
    assert_eq!(world.run(&[]).await.code, 4);
    let found = statuses(&world).await;
    assert!(found[0].starts_with("incomplete an object cannot be read: "), "{found:?}");
}

#[tokio::test]
async fn a_correction_that_takes_ticks_out_shows_although_the_speed_layer_has_more() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    insert_speed(&world, &ticks).await;
    world.put(&key_of(hour, 0, 5000), &ticks).await;
    world.run_ok(&[]).await;
    let shown = "select concat_ws(' ', source, sum(ticks)) from hourly_stock group by source";
    assert_eq!(world.rows(shown).await, ["batch 50"]);
    // All ticks of one symbol go.
    let corrected: Vec<Tick> = ticks.iter().filter(|tick| tick.symbol != "AAPL").cloned().collect();
    world.put(&key_of(hour, 0, 5000), &corrected).await;
    world.run_ok(&[]).await;
    assert_eq!(world.rows(shown).await, [format!("batch {}", corrected.len())]);
    let reason = format!(
        "complete {} records were taken out: replaced by a version without them, or by --allow-shrink",
        ticks.len() - corrected.len()
    );
    assert_eq!(statuses(&world).await, [reason]);
    // Until the archive has it, a late tick is the speed layer's; the next run says so.
    let (_, mut late) = ticks_of(5, 1);
    late[0].offset = 9999;
    insert_speed(&world, &late).await;
    world.run_ok(&[]).await;
    assert_eq!(
        statuses(&world).await,
        ["incomplete 1 tick of the speed layer is not in the archive"]
    );
}

#[tokio::test]
async fn an_object_that_is_overwritten_by_its_first_part_is_made_good_by_the_rest() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    insert_speed(&world, &ticks).await;
    let withdrawn = "select withdrawn from batch_hours";
    // As a sink without conditional writes leaves it that was killed before it had committed its
    // offsets.
    world.put(&key_of(hour, 0, 5000), &ticks).await;
    world.run_ok(&[]).await;
    world.put(&key_of(hour, 0, 5000), &ticks[..20]).await;
    let outcome = world.run_ok(&[]).await;
    assert!(outcome.stderr.contains("30 of 50 records are taken out"), "{}", outcome.stderr);
    assert_eq!(world.number(withdrawn).await, 30);
    world.put(&key_of(hour, 0, 5020), &ticks[20..]).await;
    world.run_ok(&[]).await;
    assert_eq!(world.number(withdrawn).await, 0);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(statuses(&world).await, ["complete"]);
}

async fn note_run_of_five_days_ago(world: &World) {
    world
        .execute(
            "insert into batch_runs (started_at, finished_at, status, arguments)
             values (now() - interval '5 days', now() - interval '5 days', 'ok', '')",
        )
        .await;
}

#[tokio::test]
async fn after_a_pause_of_the_batch_layer_a_run_looks_at_all_that_was_archived_meanwhile() {
    let world = World::create().await;
    note_run_of_five_days_ago(&world).await;
    let (hour, ticks) = ticks_of(24 * 6, 50);
    world.put(&key_of(hour, 0, 0), &ticks).await;
    world.run_ok(&[]).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 50);
}

#[tokio::test]
async fn a_run_of_a_single_hour_does_not_count_as_the_last_run() {
    let world = World::create().await;
    note_run_of_five_days_ago(&world).await;
    let (hour, ticks) = ticks_of(24 * 6, 50);
    let (other, _) = ticks_of(5, 1);
    world.put(&key_of(hour, 0, 0), &ticks).await;
    // Of which the archive shows nothing.
    assert_eq!(world.run(&["--hour", &other.start().to_string()]).await.code, 4);
    let looked_back = "select run_id::text from batch_run_history where looks_back order by 1";
    assert_eq!(world.rows(looked_back).await, ["1"]);
    world.run_ok(&[]).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 50);
    assert_eq!(world.rows(looked_back).await, ["1", "3"]);
}

#[tokio::test]
async fn an_archive_that_shows_nothing_where_the_speed_layer_has_ticks_is_not_well() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    world.put(&key_of(hour, 0, 5000), &ticks).await;
    let wrong = ["--prefix", "raw/stock_price/%Y-%m-%d-%H/"];
    world.run_ok(&wrong).await;
    insert_speed(&world, &ticks).await;
    let outcome = world.run(&wrong).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("but the speed layer has ticks of 1 of its hours: check --bucket"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        world.rows("select status from batch_runs order by run_id").await,
        ["ok", "partial"]
    );
}

#[tokio::test]
async fn an_archive_of_files_that_are_not_read_is_not_well() {
    let world = World::create().await;
    let (hour, _) = ticks_of(5, 1);
    let key = key_of(hour, 0, 5000).replace(".json", ".snappy.parquet");
    world.bucket.put(&key, "PAR1").await.unwrap();
    let outcome = world.run(&[]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("none of the 1 files of the window"), "{}", outcome.stderr);
}

/// `count` ticks of the hour `back` hours ago, in a partition from `offset` on.
fn ticks_at(back: i64, partition: i32, offset: i64, count: i64) -> (Hour, Vec<Tick>) {
    let (hour, mut ticks) = ticks_of(back, count);
    for (number, tick) in (offset..).zip(&mut ticks) {
        (tick.partition, tick.offset) = (partition, number);
    }
    (hour, ticks)
}

const STANDS: &str = "select count(*) from archive_lag where waiting_seconds > allowed_seconds";

#[tokio::test]
async fn an_archive_that_stands_is_said_by_the_run_and_by_the_view() {
    let world = World::create().await;
    let (hour, old) = ticks_at(5, 0, 0, 50);
    world.put(&key_of(hour, 0, 0), &old).await;
    let (_, new) = ticks_at(2, 0, 50, 50);
    insert_speed(&world, &[old, new].concat()).await;
    world.set_next_offset("stock_prices", 0, 100).await;
    let outcome = world.run_ok(&["--archive-delay", "30m"]).await;
    assert!(outcome.stderr.contains("the archive lags"), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 1);
    let outcome = world.run_ok(&["--archive-delay", "5h"]).await;
    assert!(!outcome.stderr.contains("the archive lags"), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 0);
}

/// A world in which the archive of partition 0 stands since the hour before the last ones, and
/// partition 1 has `others`.
async fn with_standing_partition(others: &[Tick], archived: &[Tick]) -> World {
    let world = World::create().await;
    let (hour, old) = ticks_at(5, 0, 0, 50);
    world.put(&key_of(hour, 0, 0), &old).await;
    let (now, new) = ticks_at(2, 0, 50, 50);
    world.put(&key_of(now, 1, 0), archived).await;
    insert_speed(&world, &[&old, &new, others].concat()).await;
    world.set_next_offset("stock_prices", 0, 100).await;
    world.set_next_offset("stock_prices", 1, others.len() as i64).await;
    world
}

#[tokio::test]
async fn a_partition_that_goes_on_does_not_hide_one_that_stands() {
    let (_, others) = ticks_at(1, 1, 0, 50);
    let world = with_standing_partition(&others, &others).await;
    let outcome = world.run_ok(&["--archive-delay", "30m"]).await;
    let word =
        "the archive lags: the speed layer has had newer ticks of partition 0 of stock_prices";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 1);
}

#[tokio::test]
async fn a_tick_ahead_of_its_time_does_not_hide_that_the_archive_stands() {
    let world = World::create().await;
    let (hour, mut old) = ticks_at(5, 0, 0, 50);
    old[49].at = Timestamp::now().plus_micros(Timestamp::HOUR * 20);
    world.put(&key_of(hour, 0, 0), &old).await;
    let (_, new) = ticks_at(2, 0, 50, 50);
    insert_speed(&world, &[old, new].concat()).await;
    world.set_next_offset("stock_prices", 0, 100).await;
    let outcome = world.run_ok(&["--archive-delay", "30m"]).await;
    assert!(outcome.stderr.contains("the archive lags"), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 1);
}

#[tokio::test]
async fn a_partition_without_news_does_not_stand_however_long_ago_its_last_tick_was() {
    let (_, others) = ticks_at(30, 1, 0, 50);
    let world = with_standing_partition(&others, &others).await;
    let (now, new) = ticks_at(2, 0, 50, 50);
    world.put(&key_of(now, 0, 50), &new).await;
    // Its last message was no tick, and is in no object.
    world.set_next_offset("stock_prices", 1, 51).await;
    let outcome = world.run_ok(&["--archive-delay", "30m"]).await;
    assert!(!outcome.stderr.contains("the archive lags"), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 0);
    assert_eq!(world.number("select count(*) from archive_lag").await, 2);
}

#[tokio::test]
async fn a_late_tick_does_not_make_the_archive_stand() {
    let (_, others) = ticks_at(1, 1, 0, 50);
    let (_, late) = ticks_at(40, 1, 50, 1);
    let world = with_standing_partition(&[&others[..], &late].concat(), &others).await;
    let (now, new) = ticks_at(2, 0, 50, 50);
    world.put(&key_of(now, 0, 50), &new).await;
    let outcome = world.run_ok(&["--archive-delay", "30m"]).await;
    assert!(!outcome.stderr.contains("the archive lags"), "{}", outcome.stderr);
    assert_eq!(world.number(STANDS).await, 0);
}

#[tokio::test]
async fn after_a_topic_was_made_anew_its_small_offsets_are_compared_with_its_own_objects() {
    let world = World::create().await;
    let (hour, old) = ticks_at(5, 0, 1000, 50);
    world.put(&key_of(hour, 0, 1000), &old).await;
    world.source("stock_prices").await;
    world.execute("update kafka_sources set first_seen_at = now() - interval '9 hours'").await;
    world.run_ok(&[]).await;
    world
        .execute(
            "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             values ('speed-layer', '', 'stock_prices', 'made anew', 1);
             insert into kafka_offsets (source, partition, next_offset)
             select source, 0, 50 from kafka_sources where topic_id = 'made anew'",
        )
        .await;
    let (_, new) = ticks_at(2, 0, 0, 50);
    insert_speed(&world, &new).await;
    world.run_ok(&["--archive-delay", "30m"]).await;
    // Its ticks are hours old, and the speed layer has just come to them.
    assert_eq!(world.number(STANDS).await, 0);
    let seen_earlier = "update kafka_sources set first_seen_at = first_seen_at - interval '1 hour' where topic_id <> ''";
    world.execute(seen_earlier).await;
    world
        .execute("update archive_high_offsets set stored_at = stored_at - interval '2 hours'")
        .await;
    world.run_ok(&["--archive-delay", "30m"]).await;
    assert_eq!(world.number(STANDS).await, 1);
    let (now, _) = ticks_at(2, 0, 0, 1);
    world.put(&key_of(now, 0, 0), &new).await;
    world.run_ok(&["--archive-delay", "30m"]).await;
    assert_eq!(world.number(STANDS).await, 0);
    assert_eq!(world.number("select next_offset from archive_high_offsets").await, 50);
}

#[tokio::test]
async fn one_tick_that_is_missing_and_one_that_is_too_many_do_not_make_an_hour_complete() {
    let world = World::create().await;
    let (hour, ticks) = ticks_at(5, 0, 0, 51);
    // The speed layer has skipped the first one, and the archive has lost another.
    insert_speed(&world, &ticks[1..]).await;
    let archived: Vec<Tick> = ticks.iter().filter(|tick| tick.offset != 20).cloned().collect();
    world.put(&key_of(hour, 0, 0), &archived).await;
    world.run_ok(&[]).await;
    let said = "select concat_ws(' ', status, reason, example) from hour_completeness";
    let word =
        "incomplete 1 tick of the speed layer is not in the archive offset 20 of partition 0 of";
    let found = world.rows(said).await;
    assert!(found.len() == 1 && found[0].starts_with(word), "{found:?}");
    // It is looked for until it comes.
    world.put(&key_of(hour, 0, 20), &ticks[20..21]).await;
    world.run_ok(&[]).await;
    assert_eq!(statuses(&world).await, ["complete"]);
}

#[tokio::test]
async fn ticks_of_one_partition_do_not_stand_for_those_of_another() {
    let world = World::create().await;
    let (hour, ticks) = ticks_at(5, 0, 0, 50);
    let (_, others) = ticks_at(5, 1, 0, 50);
    insert_speed(&world, &[ticks.clone(), others.clone()].concat()).await;
    world.put(&key_of(hour, 0, 0), &ticks[..40]).await;
    // Ten that the speed layer has rejected, as Connect's parser takes more than it does.
    let (_, more) = ticks_at(5, 1, 50, 10);
    world.put(&key_of(hour, 1, 0), &[others, more].concat()).await;
    world.run_ok(&[]).await;
    assert_eq!(
        statuses(&world).await,
        ["incomplete 10 ticks of the speed layer are not in the archive"]
    );
}

#[tokio::test]
async fn an_old_hour_is_looked_at_again_when_the_speed_layer_has_another_number_of_its_ticks() {
    let world = World::create().await;
    let (hour, ticks) = ticks_at(60, 0, 0, 51);
    insert_speed(&world, &ticks[1..50]).await;
    world.put(&key_of(hour, 0, 0), &ticks[..50]).await;
    world.run_ok(&["--hour", &hour.start().to_string()]).await;
    assert_eq!(statuses(&world).await, ["complete"]);
    // A late one. The numbers are the same now.
    insert_speed(&world, &ticks[50..]).await;
    world.execute("update archive_hours set listed_at = listed_at - interval '2 hours'").await;
    world.run_ok(&[]).await;
    assert_eq!(
        statuses(&world).await,
        ["incomplete 1 tick of the speed layer is not in the archive"]
    );
    world.put(&key_of(hour.plus(1), 0, 50), &ticks[50..]).await;
    world.execute("update archive_hours set listed_at = listed_at - interval '2 hours'").await;
    world.run_ok(&[]).await;
    assert_eq!(statuses(&world).await, ["complete"]);
}

#[tokio::test]
async fn of_an_hour_whose_last_tick_was_taken_out_nothing_is_said_any_more() {
    for is_deleted_first in [false, true] {
        let world = World::create().await;
        let ((hour, ticks), (earlier, mut first)) = (ticks_of(5, 10), ticks_of(6, 1));
        first[0].offset = 5010;
        let object = key_of(hour, 0, 5000);
        world.put(&object, &[&ticks[..], &first].concat()).await;
        world.run_ok(&[]).await;
        let nobody_can_tell = format!("complete {NOBODY_CAN_TELL}");
        assert_eq!(statuses(&world).await, [&*nobody_can_tell; 2]);
        if is_deleted_first {
            world.bucket.delete(&object).await.unwrap();
            world.run_ok(&[]).await;
            assert!(statuses(&world).await.iter().all(|status| status.starts_with("incomplete")));
        }
        world.put(&object, &ticks).await;
        let outcome = world.run(&[]).await;
        let word = "its 1 records are taken out";
        assert!(outcome.stderr.contains(word), "{is_deleted_first}: {}", outcome.stderr);
        assert_eq!(statuses(&world).await, [&*nobody_can_tell], "{is_deleted_first}");
        let known =
            format!("select count(*) from archive_hours where hour = '{}'", earlier.start());
        assert_eq!(world.number(&known).await, 0, "{is_deleted_first}");
    }
}

#[tokio::test]
async fn hours_beside_a_backfill_are_computed_by_the_next_usual_run() {
    let world = World::create().await;
    for back in 97..103 {
        let (hour, ticks) = ticks_of(back, 20);
        insert_speed(&world, &ticks).await;
        world.put(&key_of(hour, 0, back * 1000), &ticks).await;
    }
    let [from, to] = [101, 98].map(|back| ticks_of(back, 1).0.start().to_string());
    world.run_ok(&["--from", &from, "--to", &to]).await;
    assert_eq!(world.number("select count(*) from batch_hours").await, 3);
    world.run_ok(&[]).await;
    assert_eq!(statuses(&world).await, ["complete"; 6]);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select count(*) from stale_hours").await, 0);
}

#[tokio::test]
async fn an_old_hour_that_is_made_whole_by_a_late_object_in_the_window_is_complete_at_once() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(60, 20);
    insert_speed(&world, &ticks).await;
    world.put(&key_of(hour, 0, 60_000), &ticks[..15]).await;
    world.run_ok(&["--hour", &hour.start().to_string()]).await;
    assert_eq!(
        statuses(&world).await,
        ["incomplete 5 ticks of the speed layer are not in the archive"]
    );
    world.put(&key_of(ticks_of(3, 1).0, 0, 60_015), &ticks[15..]).await;
    let outcome = world.run_ok(&[]).await;
    assert!(!outcome.stderr.contains("incomplete"), "{}", outcome.stderr);
    assert_eq!(statuses(&world).await, ["complete"]);
}

#[tokio::test]
async fn a_prefix_below_which_nothing_was_ever_seen_is_named_though_its_hours_are_known() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 20);
    insert_speed(&world, &ticks).await;
    world.put(&key_of(hour, 0, 5000), &ticks).await;
    let word = "no run has ever seen one there";
    let outcome = world.run_ok(&[]).await;
    assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    let outcome = world.run_ok(&["--prefix", "rwa/stock_prices/%Y-%m-%d-%H/"]).await;
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    // Who asks for hours is told so by the exit code, in an empty database, too.
    let empty = World::create().await;
    for world in [&world, &empty] {
        let wrong = ["--prefix", "rwa/stock_prices/%Y-%m-%d-%H/"];
        let outcome = world.run(&[&wrong[..], &["--from", "2025-06-01"]].concat()).await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        let outcome = world.run_ok(&wrong).await;
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    // Below its own prefix everything may have expired.
    world.expire(&key_of(hour, 0, 5000)).await;
    let outcome = world.run_ok(&[]).await;
    assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
}
