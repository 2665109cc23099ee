//! What is computed again when the archive changes: those hours, and no others.

use crate::support::{DAY, Tick, World, at, key, lines, some_ticks};

/// A world of the hours 9 to 13 with two objects each, computed.
pub async fn computed() -> World {
    let world = World::with_hours(9..14, 2, 200).await;
    world.run_ok(&DAY).await;
    world
}

#[tokio::test]
async fn a_second_run_changes_no_row_and_reads_no_object() {
    let world = computed().await;
    let before = world.footprint().await;
    world.run_ok(&DAY).await;
    assert_eq!(world.footprint().await, before);
    assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 0);
}

#[tokio::test]
async fn a_late_object_of_an_old_hour_makes_that_hour_alone_be_computed_again() {
    let world = computed().await;
    let late = some_ticks(10, 3, 0, 7);
    world.put(&key(10, 3, 0), &late).await;
    world.insert_realtime(&late).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        world.computed_by().await,
        ["02T09 by 1", "02T10 by 2", "02T11 by 1", "02T12 by 1", "02T13 by 1"]
    );
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_late_tick_in_a_later_folder_reaches_its_own_hour_outside_of_the_window_too() {
    let world = computed().await;
    // Hour 9's ticks, archived at 13: the run looks at 13 only, and hour 9 must still be computed
    // from everything.
    let late = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &late).await;
    world.insert_realtime(&late).await;
    world.run_ok(&["--hour", "2025-06-02T13"]).await;
    assert_eq!(
        world.computed_by().await,
        ["02T09 by 2", "02T10 by 1", "02T11 by 1", "02T12 by 1", "02T13 by 1"]
    );
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_single_hour_is_computed_from_its_neighbours_folders_too_and_draws_in_no_others() {
    let world = World::create().await;
    for hour in 8..13 {
        let mut ticks = some_ticks(hour, 0, hour * 1000, 50);
        // A tick of the hour before, archived just after the full hour.
        ticks[0].at = at(hour, 0).plus_micros(-1000);
        world.put(&key(hour, 0, hour * 1000), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    world.run_ok(&["--hour", "2025-06-02T10"]).await;
    // Hour 9 has a tick in hour 10's own folder; hours 8, 11 and 12 were only read for their
    // neighbours' sake.
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 1"]);
    let expected = world.expected().await;
    assert!(world.summary().await.iter().all(|row| expected.contains(row)));
    // What was left out then is done as soon as a window covers it.
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_replaced_object_is_read_again_and_its_old_ticks_are_gone() {
    let world = computed().await;
    let replaced = some_ticks(11, 0, 11_000, 60);
    world.put(&key(11, 0, 11_000), &replaced).await;
    let outcome = world.run_ok(&DAY).await;
    assert_eq!(world.computed_by().await[2], "02T11 by 2");
    let ticks = world.number("select ticks from batch_hours where run_id = 2").await;
    assert_eq!(ticks, 60 + 200);
    let word = format!(
        "hour 2025-06-02T11:00Z: 140 of 400 records are taken out: {} was replaced by one",
        key(11, 0, 11_000)
    );
    assert!(outcome.stderr.contains(&word), "{}", outcome.stderr);
    assert_eq!(world.number("select withdrawn from batch_hours where run_id = 2").await, 140);
}

#[tokio::test]
async fn an_hour_whose_objects_were_replaced_by_ones_without_its_ticks_is_withdrawn() {
    let world = computed().await;
    for partition in 0..2 {
        let moved = some_ticks(12, partition, 50_000, 10);
        world.put(&key(13, partition, 13_000), &moved).await;
    }
    world.run_ok(&DAY).await;
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 1", "02T11 by 1", "02T12 by 2"]);
    assert_eq!(
        world
            .number("select count(*) from hourly_stock_summary where hour = '2025-06-02T13:00Z'")
            .await,
        0
    );
}

#[tokio::test]
async fn an_hour_keeps_the_ticks_of_objects_that_have_expired() {
    let world = computed().await;
    let before = world.summary().await;
    world.expire(&key(10, 1, 10_000)).await;
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("1 object is gone from the archive"), "{}", outcome.stderr);
    assert_eq!(world.computed_by().await[1], "02T10 by 1");
    world.expire(&key(10, 0, 10_000)).await;
    world.run_ok(&DAY).await;
    let quiet = world.run_ok(&DAY).await;
    assert!(!quiet.stderr.contains("gone"), "it is said once: {}", quiet.stderr);
    assert_eq!(world.summary().await, before);
    assert_eq!(
        world
            .number("select gone_objects::bigint from batch_hours where hour = '2025-06-02T10:00Z'")
            .await,
        2
    );
}

#[tokio::test]
async fn a_late_tick_joins_an_hour_whose_objects_have_all_expired() {
    let world = computed().await;
    for partition in 0..2 {
        world.expire(&key(10, partition, 10_000)).await;
    }
    let late = some_ticks(10, 3, 0, 1);
    world.put(&key(10, 3, 0), &late).await;
    world.insert_realtime(&late).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(
        world.number("select ticks from batch_hours where hour = '2025-06-02T10:00Z'").await,
        401
    );
}

#[tokio::test]
async fn a_late_object_costs_what_it_holds_and_touches_no_other_symbol() {
    let world = computed().await;
    let mut late = some_ticks(10, 3, 0, 7);
    late.iter_mut().for_each(|tick| tick.symbol = "AAPL".into());
    world.put(&key(10, 3, 0), &late).await;
    world.insert_realtime(&late).await;
    let others = "select concat_ws(' ', symbol, hour, xmin) from hourly_stock_summary
                  where not (symbol = 'AAPL' and hour = '2025-06-02T10:00Z')
                  union all
                  select concat_ws(' ', symbol, interval, start, xmin) from technical_indicators where symbol <> 'AAPL'
                  order by 1";
    let before = world.rows(others).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(others).await, before);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(
        world.number("select objects_read from batch_runs where run_id = 2").await,
        1,
        "no old object"
    );
}

#[tokio::test]
async fn an_hour_that_would_lose_records_is_written_only_where_that_is_allowed() {
    let world = computed().await;
    let before = world.summary().await;
    world.expire(&key(10, 1, 10_000)).await;
    let outcome = world.run_ok(&["--hour", "2025-06-02T10", "--recompute"]).await;
    let word = "hour 2025-06-02T10:00Z: 200 of 400 records are no longer in";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    // By other rules nothing that was kept is added to.
    let outcome =
        world.run(&["--hour", "2025-06-02T10", "--recompute", "--map", "close=open"]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let word = "hour 2025-06-02T10:00Z: not written, because it would lose 200 of 400 records";
    assert!(
        outcome.stderr.contains(word) && outcome.stderr.contains("--allow-shrink"),
        "{}",
        outcome.stderr
    );
    let of_ten = |rows: Vec<String>| {
        rows.into_iter().filter(|row| row.contains(" 10:00:00 ")).collect::<Vec<_>>()
    };
    assert_eq!(of_ten(world.summary().await), of_ten(before.clone()));
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before, "nothing is left of the refused attempt");

    let outcome = world.run_ok(&["--hour", "2025-06-02T10", "--allow-shrink"]).await;
    assert!(outcome.stderr.contains("200 of 400 records are taken out"), "{}", outcome.stderr);
    let hour = world
        .rows("select concat_ws(' ', ticks, gone_objects, withdrawn) from batch_hours where hour = '2025-06-02T10:00Z'")
        .await;
    assert_eq!(hour, ["200 0 200"]);
}

#[tokio::test]
async fn another_bucket_takes_no_ticks_away_from_what_was_computed() {
    let (world, other) = (computed().await, World::create().await);
    let before = world.summary().await;
    // The same key holds something else there, and all others are missing.
    other.put(&key(10, 0, 10_000), &some_ticks(10, 0, 10_000, 3)).await;
    let mut command = world.command(&DAY);
    command.env("S3_BUCKET", other.bucket.name());
    let outcome = crate::support::finish(command).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("has none of them: nothing was written"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    let moved: Vec<&str> = DAY.into_iter().chain(["--archive-moved"]).collect();
    let mut command = world.command(&moved);
    command.env("S3_BUCKET", other.bucket.name());
    let outcome = crate::support::finish(command).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("would lose 397 of 400 records"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn objects_that_a_listing_leaves_out_and_shows_again_change_nothing() {
    let world = computed().await;
    let before = world.summary().await;
    world.expire(&key(10, 1, 10_000)).await;
    world.run_ok(&DAY).await;
    world.put(&key(10, 1, 10_000), &some_ticks(10, 1, 10_000, 200)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before);
    let hour = world
        .rows("select concat_ws(' ', ticks, gone_objects, withdrawn) from batch_hours where hour = '2025-06-02T10:00Z'")
        .await;
    assert_eq!(hour, ["400 0 0"]);
}

/// As a sink without provenance writes them.
pub fn lines_without_offsets(hour: i64, partition: i32, count: i64) -> String {
    without_offsets(&some_ticks(hour, partition, 0, count))
}

/// Lines that do not tell their offsets.
pub fn without_offsets(ticks: &[Tick]) -> String {
    let without = |line: &str| {
        let (before, after) = line.split_once("\"kafka_offset\"").unwrap();
        format!(
            "{before}{}\n",
            after.split_once("\"close\"").map(|(_, after)| format!("\"close\"{after}")).unwrap()
        )
    };
    lines(ticks).lines().map(without).collect()
}

#[tokio::test]
async fn ticks_that_tell_no_offset_count_once_though_their_object_vanishes_from_a_listing_and_comes_back()
 {
    let world = World::create().await;
    let texts = [
        lines_without_offsets(10, 0, 100),
        lines_without_offsets(10, 1, 60),
        lines_without_offsets(10, 2, 5),
    ];
    let put = async |partition: i32| {
        let text = texts[partition as usize].clone();
        world.bucket.put(&key(10, partition, 0), text).await.unwrap();
    };
    let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours";
    put(0).await;
    put(1).await;
    world.run_ok(&DAY).await;
    let before = world.summary().await;

    world.expire(&key(10, 1, 0)).await;
    world.run_ok(&DAY).await;
    let quiet = world.run_ok(&DAY).await;
    assert!(!quiet.stderr.contains("gone"), "it is said once: {}", quiet.stderr);
    assert_eq!(world.rows(hour).await, ["160 2 1"]);
    put(1).await;
    world.run_ok(&DAY).await;
    assert_eq!(
        (world.summary().await, world.rows(hour).await),
        (before, vec!["160 2 0".to_owned()])
    );
    assert_eq!(world.number("select sum(objects_read)::bigint from batch_runs").await, 2);

    // A late object comes meanwhile.
    world.expire(&key(10, 1, 0)).await;
    put(2).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(hour).await, ["165 3 1"]);
    put(1).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(hour).await, ["165 3 0"]);

    // What --allow-shrink has taken out is counted anew.
    world.expire(&key(10, 1, 0)).await;
    world.run_ok(&DAY).await;
    world.run_ok(&["--hour", "2025-06-02T10", "--allow-shrink"]).await;
    assert_eq!(world.rows(hour).await, ["105 2 0"]);
    put(1).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(hour).await, ["165 3 0"]);
}

#[tokio::test]
async fn an_hour_that_was_taken_out_counts_its_objects_anew_when_they_come_back() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), lines_without_offsets(10, 0, 100)).await.unwrap();
    world.run_ok(&DAY).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    world.bucket.put(&key(10, 0, 0), lines_without_offsets(10, 0, 100)).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 100);
}

const OF_TEN: &str = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours
                      where hour = '2025-06-02T10:00Z'";

#[tokio::test]
async fn ticks_without_offsets_of_an_object_with_the_same_etag_and_another_size_take_the_earlier_ones_place()
 {
    for count in [20, 5] {
        let world = World::create().await;
        world.bucket.put(&key(10, 0, 0), lines_without_offsets(10, 0, 10)).await.unwrap();
        world.run_ok(&DAY).await;
        world.bucket.put(&key(10, 0, 0), lines_without_offsets(10, 0, count)).await.unwrap();
        // As of a store that lists no etags, where the sink wrote it twice within a second.
        let listed = world.bucket.list("raw/stock_prices/2025-06-02-10/").await.unwrap();
        let etag = &listed[0].etag;
        world.execute(&format!("update archive_objects set etag = '{etag}'")).await;
        let outcome = world.run_ok(&DAY).await;
        assert_eq!(world.rows(OF_TEN).await, [format!("{count} 1 0")], "{}", outcome.stderr);
    }
}

/// An hour without offsets that is computed with ten ticks of an object, which has twenty now, and
/// is held back by one that cannot be read; gives the keys of both.
async fn replaced_and_held() -> (World, String, String) {
    let (world, object, broken) = (World::create().await, key(10, 1, 0), key(10, 3, 0));
    world.bucket.put(&object, lines_without_offsets(10, 1, 10)).await.unwrap();
    world.run_ok(&DAY).await;
    world.bucket.put(&object, lines_without_offsets(10, 1, 20)).await.unwrap();
    world.bucket.put(&broken, "<html>").await.unwrap();
    (world, object, broken)
}

async fn run_held(world: &World) {
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await[0].split(' ').next(), Some("10"));
}

#[tokio::test]
async fn an_object_that_was_gone_before_it_was_in_any_sums_makes_no_replaced_one_be_added() {
    let (world, _, broken) = replaced_and_held().await;
    world.bucket.put(&key(10, 2, 0), lines_without_offsets(10, 2, 7)).await.unwrap();
    run_held(&world).await;
    world.expire(&key(10, 2, 0)).await;
    run_held(&world).await;
    world.bucket.delete(&broken).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["20 1 0"]);
}

#[tokio::test]
async fn an_object_without_offsets_that_was_replaced_and_is_gone_for_a_while_counts_once() {
    for is_held in [true, false] {
        let (world, object, broken) = replaced_and_held().await;
        run_held(&world).await;
        world.expire(&object).await;
        run_held(&world).await;
        world.bucket.delete(&broken).await.unwrap();
        if !is_held {
            world.run_ok(&DAY).await;
            assert_eq!(world.rows(OF_TEN).await, ["10 1 1"]);
        }
        world.bucket.put(&object, lines_without_offsets(10, 1, 20)).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.rows(OF_TEN).await, ["20 1 0"], "{is_held}");
    }
}

/// Ten ticks without offsets that are computed, in an object that has twelve with offsets by now,
/// and is held back.
async fn placed_and_held() -> (World, String) {
    let (world, object, broken) = (World::create().await, key(10, 1, 0), key(10, 3, 0));
    world.bucket.put(&object, lines_without_offsets(10, 1, 10)).await.unwrap();
    world.run_ok(&DAY).await;
    world.put(&object, &some_ticks(10, 1, 0, 12)).await;
    world.bucket.put(&broken, "<html>").await.unwrap();
    run_held(&world).await;
    world.expire(&object).await;
    world.bucket.delete(&broken).await.unwrap();
    (world, object)
}

#[tokio::test]
async fn ticks_whose_object_tells_their_offsets_since_it_was_replaced_count_once_though_it_is_gone_for_a_while()
 {
    let (world, object) = placed_and_held().await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["10 1 1"]);
    world.put(&object, &some_ticks(10, 1, 0, 12)).await;
    let outcome = world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["12 1 0"], "{}", outcome.stderr);
}

#[tokio::test]
async fn ticks_without_offsets_of_a_gone_object_are_not_dropped_where_others_have_as_many_more() {
    let (world, object) = placed_and_held().await;
    let other = key(10, 2, 0);
    world.put(&other, &some_ticks(10, 2, 0, 5)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["15 2 1"]);
    // It needs all of the hour's objects read.
    let mut more = some_ticks(10, 2, 0, 25);
    more[0].close += 1;
    world.put(&other, &more).await;
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--allow-shrink"), "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await, ["15 2 1"]);
    world.put(&object, &some_ticks(10, 1, 0, 12)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["37 2 0"]);
}

#[tokio::test]
async fn what_a_replaced_object_lacks_is_taken_out_though_it_is_gone_for_a_while_before_its_hour_is_computed()
 {
    let world = World::create().await;
    let ([object, broken], ticks) = ([key(10, 0, 0), key(10, 1, 0)], some_ticks(10, 0, 0, 100));
    world.put(&object, &ticks).await;
    world.run_ok(&DAY).await;
    world.put(&object, &ticks[10..]).await;
    world.bucket.put(&broken, "<html>").await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    world.expire(&object).await;
    world.bucket.delete(&broken).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(OF_TEN).await, ["100 1 1"]);
    world.put(&object, &ticks[10..]).await;
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("10 of 100 records are taken out"), "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await, ["90 1 0"]);
}

#[tokio::test]
async fn records_that_come_again_in_a_late_object_count_once_whether_the_first_has_expired_or_not()
{
    let world = computed().await;
    let again = some_ticks(10, 0, 10_000, 200);
    world.put(&key(11, 0, 10_100), &again[100..]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    world.expire(&key(10, 0, 10_000)).await;
    world.put(&key(11, 0, 10_050), &again[50..120]).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn of_two_records_with_one_place_the_one_in_the_first_object_by_key_counts_whoever_came_first()
 {
    let (at_once, one_by_one) = (World::create().await, World::create().await);
    let all = some_ticks(10, 0, 0, 150);
    let (first, mut second) = (all[..100].to_vec(), all[50..].to_vec());
    second.iter_mut().for_each(|tick| tick.close += 500);
    for world in [&at_once, &one_by_one] {
        world.put(&key(10, 0, 50), &second).await;
        if world.bucket.name() == one_by_one.bucket.name() {
            world.run_ok(&DAY).await;
        }
        world.put(&key(10, 0, 0), &first).await;
        world.run_ok(&DAY).await;
    }
    assert_eq!(one_by_one.summary().await, at_once.summary().await);
}

#[tokio::test]
async fn records_of_which_objects_tell_different_things_are_counted_and_shown() {
    let (at_once, one_by_one) = (World::create().await, World::create().await);
    let all = some_ticks(10, 0, 0, 120);
    let (first, mut second) = (all[..100].to_vec(), all[50..].to_vec());
    // Five of the fifty that both have, and two more.
    second.iter_mut().step_by(10).for_each(|tick| tick.close += 500);
    let mut third = some_ticks(10, 1, 0, 10);
    let again = third.clone();
    third.extend(again);
    third[15].volume += 1;
    let shown = "select concat_ws(' ', ticks, duplicates, conflicts) from batch_hour_history";
    for world in [&at_once, &one_by_one] {
        world.put(&key(10, 0, 50), &second).await;
        if world.bucket.name() == one_by_one.bucket.name() {
            world.run_ok(&DAY).await;
            assert_eq!(world.rows(shown).await, ["70 0 0"]);
        }
        world.put(&key(10, 0, 0), &first).await;
        world.put(&key(10, 1, 0), &third).await;
        let outcome = world.run_ok(&DAY).await;
        let word =
            "of 6 records several lines tell different things, offset 50 of partition 0 among them";
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("60 duplicates (6 in conflict)"), "{}", outcome.stderr);
        assert_eq!(world.rows(shown).await, ["130 60 6"]);
        assert_eq!(world.number("select max(conflicts) from batch_run_history").await, 6);
    }
    // What comes to the hour later takes nothing away from it.
    let world = at_once;
    world.put(&key(10, 2, 0), &some_ticks(10, 2, 0, 5)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.rows(shown).await, ["135 60 6"]);
    let kept: Vec<_> = [&first[..], &second[50..], &third[..10], &some_ticks(10, 2, 0, 5)].concat();
    world.insert_realtime(&kept).await;
    world.fill_minute_bars().await;
    assert_eq!(world.summary().await, world.expected().await);
    let outcome = world.run(&[&["verify"], &DAY[..]].concat()).await;
    let word = "of 6 records several objects tell different things, as batch-layer has counted; the first by key counts";
    assert!(outcome.stdout.contains(word), "{}{}", outcome.stdout, outcome.stderr);
    for (lines, partition) in [(50, 0), (10, 1)] {
        let word =
            format!("{lines} lines of the archive stand for a record that has a line already");
        assert!(outcome.stdout.contains(&word), "partition {partition}: {}", outcome.stdout);
    }
    // It has counted them itself.
    world.execute("update batch_hours set conflicts = 0").await;
    let outcome = world.run(&[&["verify"], &DAY[..]].concat()).await;
    let word = "of 6 records several lines of the archive tell different things, and batch-layer has counted 0 such";
    assert!(outcome.stdout.contains(word), "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn records_that_come_again_as_they_were_are_no_conflict() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    world.put(&key(10, 0, 0), &ticks).await;
    world.put(&key(10, 0, 1), &ticks).await;
    world.put(&key(11, 0, 2), &ticks[30..60]).await;
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains("different things"), "{}", outcome.stderr);
    let shown = "select concat_ws(' ', ticks, duplicates, conflicts) from batch_hour_history";
    assert_eq!(world.rows(shown).await, ["100 130 0"]);
}

#[tokio::test]
async fn an_object_that_vanished_or_was_replaced_unseen_counts_as_it_was_until_its_folder_is_listed()
 {
    let world = computed().await;
    let far = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &far).await;
    world.run_ok(&DAY).await;
    // The index still knows the object in folder 13 when hour 9 gets another one.
    let (other, late) = (some_ticks(9, 3, 0, 4), some_ticks(9, 3, 100, 5));
    world.put(&key(13, 3, 0), &other).await;
    world.put(&key(9, 3, 100), &late).await;
    world.run_ok(&["--hour", "2025-06-02T09"]).await;
    let ticks = "select ticks from batch_hours where hour = '2025-06-02T09:00Z'";
    assert_eq!(world.number(ticks).await, 400 + 7 + 5);
    world.insert_realtime(&other).await;
    world.insert_realtime(&late).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn recompute_computes_an_unchanged_window_again_and_gives_the_same() {
    let world = computed().await;
    let before = world.summary().await;
    world.run_ok(&["--from", "2025-06-02T10", "--to", "2025-06-02T12", "--recompute"]).await;
    assert_eq!(
        world.computed_by().await,
        ["02T09 by 1", "02T10 by 2", "02T11 by 2", "02T12 by 1", "02T13 by 1"]
    );
    assert_eq!(world.summary().await, before);
    assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 2 * 2);
}

#[tokio::test]
async fn objects_of_another_prefix_add_to_those_of_the_first_and_take_none_away() {
    let world = computed().await;
    let ticks = some_ticks(10, 0, 0, 30);
    world.put(&key(10, 0, 0).replace("raw/", "new/"), &ticks).await;
    world.insert_realtime(&ticks).await;
    let prefix = "new/stock_prices/%Y-%m-%d-%H/";
    world.run_ok(&[&DAY[..], &["--prefix", prefix]].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn topics_under_one_prefix_have_offsets_of_their_own() {
    let world = World::create().await;
    let (here, mut there) = (some_ticks(10, 0, 0, 100), some_ticks(10, 0, 0, 60));
    there.iter_mut().for_each(|tick| tick.symbol = "TOPIX".into());
    world.put(&key(10, 0, 0), &here).await;
    world.put(&key(10, 0, 0).replace("stock_prices+", "tokyo_prices+"), &there).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 160);
    assert_eq!(world.number("select duplicates from batch_hours").await, 0);
}

#[tokio::test]
async fn other_flags_make_a_window_be_read_again() {
    let world = computed().await;
    world.run_ok(&[&DAY[..], &["--offset-field", "another"]].concat()).await;
    assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 2 * 5);
    assert_eq!(world.number("select count(*) from batch_hours where run_id = 2").await, 5);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}
