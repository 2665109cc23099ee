//! `verify`, and what batch-layer writes anew, of hours whose objects have expired.

use crate::changes::{lines_without_offsets, without_offsets};
use crate::support::{Tick, World, gzip, key, lines, some_ticks};
use crate::verify::{HOURS, agreeing, bars, verify};

const AT_TEN: [&str; 2] = ["--hour", "2025-06-02T10"];
/// Those of one partition alone.
const FALSE_ROWS: &str = "update hourly_stock_summary set high = high + 1000 where hour = '2025-06-02T10:00Z' and symbol = 'MSFT'";

/// As [`agreeing`], where objects of hour 10 have expired, of some partitions.
async fn expired(partitions: std::ops::Range<i32>) -> World {
    let world = agreeing().await;
    for partition in partitions {
        world.expire(&key(10, partition, 10_000)).await;
    }
    world
}

async fn recompute(world: &World) {
    world.run_ok(&[&AT_TEN[..], &["--recompute"]].concat()).await;
}

#[tokio::test]
async fn a_false_or_missing_summary_of_an_hour_with_expired_objects_is_found_and_written_anew() {
    for (partitions, statement, symbols) in [
        (0..2, FALSE_ROWS, "MSFT"),
        (0..1, FALSE_ROWS, "MSFT"),
        (
            0..2,
            "update hourly_stock_summary set ticks = 1 where symbol = 'AAPL' and hour = '2025-06-02T10:00Z'",
            "AAPL",
        ),
        (
            0..2,
            "update hourly_stock_summary set vwap = vwap + 0.000001 where symbol = 'AAPL'",
            "AAPL",
        ),
        (
            0..2,
            "delete from hourly_stock_summary where hour = '2025-06-02T10:00Z'",
            "AAPL, BRK-B, BTC-USD, MSFT, ^GSPC",
        ),
        (0..1, "delete from hourly_stock_summary where symbol in ('AAPL', 'MSFT')", "AAPL, MSFT"),
    ] {
        let world = expired(partitions).await;
        world.run_ok(&HOURS).await;
        let before = (
            world.summary().await,
            world.rows("select concat(t) from batch_hours t order by 1").await,
        );
        assert_eq!(verify(&world, &AT_TEN).await.code, 0);
        world.execute(statement).await;
        let outcome = verify(&world, &AT_TEN).await;
        assert_eq!(outcome.code, 1, "{statement}: {}{}", outcome.stdout, outcome.stderr);
        let word = format!(
            "rows of hourly_stock_summary are wrong, missing or too many: {symbols}; batch-layer --recompute, over this \
             hour (--hour), writes them anew"
        );
        assert!(outcome.stdout.contains(&word), "{statement}: {}", outcome.stdout);
        world.run_ok(&[&HOURS[..], &["--recompute"]].concat()).await;
        assert_eq!(world.summary().await, before.0, "{statement}");
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{statement}: {}{}", outcome.stdout, outcome.stderr);
        let gone = "select gone_objects::bigint from batch_hours where hour = '2025-06-02T10:00Z'";
        assert!(world.number(gone).await > 0, "{statement}: what has expired stays known as such");
    }
}

#[tokio::test]
async fn a_late_tick_of_an_hour_whose_objects_have_expired_writes_all_of_its_rows_anew() {
    let world = expired(0..2).await;
    world.run_ok(&HOURS).await;
    world.execute(FALSE_ROWS).await;
    world
        .execute(
            "delete from hourly_stock_summary where hour = '2025-06-02T10:00Z' and symbol = 'AAPL'",
        )
        .await;
    let late = Tick { symbol: "BRK-B".into(), ..some_ticks(10, 0, 10_700, 1).remove(0) };
    world.put(&key(10, 0, 10_700), std::slice::from_ref(&late)).await;
    world.insert_realtime(&[late]).await;
    world
        .execute("delete from rejected_ticks where kafka_partition = 0 and kafka_offset = 10700")
        .await;
    world.fill_minute_bars().await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.summary().await, world.expected().await);
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn expired_ticks_whose_values_changed_in_the_speed_layer_are_found_by_their_symbols_sums() {
    for statement in [
        "update realtime_stock set close = close + 0.0001 where kafka_partition = 0 and kafka_offset = 10007",
        "update realtime_stock set volume = volume + 1 where kafka_partition = 0 and kafka_offset = 10007",
        "update realtime_stock set symbol = 'GHOST' where kafka_partition = 0 and kafka_offset = 10007",
        // Bars that were right are not spoilt by a false tick.
        "update realtime_stock set high = 1000000 where kafka_partition = 0 and kafka_offset = 10007",
    ] {
        let world = expired(0..1).await;
        world.run_ok(&HOURS).await;
        let before = bars(&world).await;
        world.execute(statement).await;
        let outcome = verify(&world, &[&AT_TEN[..], &["--repair"]].concat()).await;
        assert_eq!(outcome.code, 1, "{statement}: {}{}", outcome.stdout, outcome.stderr);
        let said = match statement.contains("GHOST") {
            true => "the speed layer and the archive do not have as many ticks of",
            false => "the speed layer and the archive have other sums of as many ticks of",
        };
        assert!(outcome.stdout.contains(said), "{statement}: {}", outcome.stdout);
        assert_eq!(bars(&world).await, before, "{statement}");
    }
}

#[tokio::test]
async fn what_was_kept_of_expired_objects_and_cannot_be_read_is_not_compared_and_not_ok() {
    let world = expired(0..2).await;
    world.run_ok(&HOURS).await;
    world.execute("update hour_sums set bars = '\\x00', offsets = '\\x00'").await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_ne!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("is of another version, or lost: they are not compared"),
        "{}",
        outcome.stdout
    );
}

#[tokio::test]
async fn a_gap_beside_expired_objects_leaves_the_symbols_open_that_it_touches() {
    let world = expired(1..2).await;
    world
        .execute(
            "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 10010;
             insert into kafka_gaps (source, partition, from_offset, to_offset, detail) values (1, 0, 10010, 10011, '')",
        )
        .await;
    world.fill_minute_bars().await;
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    let word = "so the values of those whose objects have expired could not be compared";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn objects_that_expired_without_any_run_having_noticed_are_no_difference() {
    let world = expired(0..2).await;
    let before = world.footprint().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("2 objects of the archive have expired"), "{}", outcome.stdout);
    assert_eq!(world.footprint().await, before);
    // What they held is still asked of realtime_stock and of the summary.
    world.execute(FALSE_ROWS).await;
    assert_eq!(verify(&world, &HOURS).await.code, 1);
    recompute(&world).await;
    assert_eq!(verify(&world, &HOURS).await.code, 0);
    world
        .execute("delete from realtime_stock where kafka_partition = 1 and kafka_offset = 10010")
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 tick of objects that have expired is not in realtime_stock: offsets 10010";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn objects_in_a_folder_far_off_that_expired_unnoticed_are_no_difference() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 300).await;
    world.put(&key(10, 0, 0), &ticks[..200]).await;
    world.put(&key(19, 0, 200), &ticks[200..]).await;
    world.run_ok(&["--from", "2025-06-02T00", "--to", "2025-06-03T00"]).await;
    assert_eq!(verify(&world, &AT_TEN).await.code, 0);
    world.expire(&key(19, 0, 200)).await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("1 object of the archive has expired"), "{}", outcome.stdout);
}

#[tokio::test]
async fn objects_without_offsets_that_expired_unnoticed_are_compared_by_number_and_sums() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), lines_without_offsets(10, 0, 20)).await.unwrap();
    world.insert_realtime(&some_ticks(10, 0, 0, 20)).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 20).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    world.execute("update realtime_stock set close = close + 0.0001 where kafka_offset = 3").await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn of_an_hour_with_and_without_offsets_either_may_expire_first() {
    for (gone, deleted) in
        [(&[0][..], false), (&[20, 40], false), (&[0, 20, 40], false), (&[0], true)]
    {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 60);
        world.bucket.put(&key(10, 0, 0), without_offsets(&ticks[..20])).await.unwrap();
        world.put(&key(10, 0, 20), &ticks[20..40]).await;
        world.put(&key(10, 0, 40), &ticks[40..]).await;
        world.insert_realtime(&ticks).await;
        world.fill_minute_bars().await;
        world.set_next_offset("stock_prices", 0, 60).await;
        world.run_ok(&HOURS).await;
        assert_eq!(verify(&world, &HOURS).await.code, 0);
        for start in gone {
            match deleted {
                true => world.bucket.delete(&key(10, 0, *start)).await.unwrap(),
                false => world.expire(&key(10, 0, *start)).await,
            }
        }
        let code = if deleted { 4 } else { 0 };
        for _ in 0..2 {
            let outcome = verify(&world, &HOURS).await;
            assert_eq!(outcome.code, code, "{gone:?}: {}{}", outcome.stdout, outcome.stderr);
            assert!(!outcome.stdout.contains("not in the archive"), "{}", outcome.stdout);
            world.run_ok(&HOURS).await;
        }
        world.execute("delete from realtime_stock where kafka_offset = 45").await;
        world.fill_minute_bars().await;
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{gone:?}: {}{}", outcome.stdout, outcome.stderr);
    }
}

#[tokio::test]
async fn another_archive_is_no_archive_that_has_expired() {
    let world = agreeing().await;
    world.execute("update batch_hours set location = 's3://another/'").await;
    for partition in 0..2 {
        world.expire(&key(10, partition, 10_000)).await;
    }
    let outcome = verify(&world, &AT_TEN).await;
    assert_ne!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn bars_of_a_day_that_retention_has_dropped_are_compared_with_the_archives_symbol_by_symbol()
{
    for is_expired in [false, true] {
        let world = expired(0..i32::from(is_expired)).await;
        world.run_ok(&HOURS).await;
        world.drop_day().await;
        let outcome = verify(&world, &AT_TEN).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        for (change, back, said) in [
            ("hour_bars set low = low - 0.0001", "hour_bars set low = low + 0.0001", "AAPL"),
            (
                "minute_bars set volume = volume + 1",
                "minute_bars set volume = volume - 1",
                "rows of minute_bars are wrong, missing or too many: AAPL; hour_bars say otherwise",
            ),
        ] {
            world.execute(&format!("update {change} where symbol = 'AAPL'")).await;
            let outcome = verify(&world, &AT_TEN).await;
            assert_eq!(outcome.code, 1, "{change}: {}{}", outcome.stdout, outcome.stderr);
            assert!(outcome.stdout.contains(said), "{change}: {}", outcome.stdout);
            world.execute(&format!("update {back} where symbol = 'AAPL'")).await;
            assert_eq!(verify(&world, &AT_TEN).await.code, 0, "{back}");
        }
    }
}

#[tokio::test]
async fn a_row_of_an_hour_that_nobody_has_ticks_of_is_found() {
    let world = agreeing().await;
    world
        .execute(
            "insert into hourly_stock_summary
             select (jsonb_populate_record(s, '{\"hour\": \"2025-06-02T08:00Z\"}')).* from hourly_stock_summary s
             where symbol = 'AAPL' and hour = '2025-06-02T10:00Z';
             delete from technical_indicators",
        )
        .await;
    let outcome = verify(&world, &["--hour", "2025-06-02T08"]).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "rows of hourly_stock_summary are wrong, missing or too many: AAPL";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_hour_whose_expired_part_cannot_be_read_any_more_stays_to_be_written_in_each_run_until_it_may_shrink()
 {
    // More new ticks than have expired do not make up for them.
    for (spoil, late) in [
        ("update hour_sums set bars = '\\x00'", 3),
        ("delete from hour_sums", 3),
        ("delete from hour_sums", 2_000),
    ] {
        let world = expired(0..2).await;
        world.run_ok(&HOURS).await;
        let before = world.summary().await;
        world.execute(&format!("{spoil} where hour = '2025-06-02T10:00Z'")).await;
        world.put(&key(10, 0, 10_700), &some_ticks(10, 0, 10_700, late)).await;
        // Of the second run the hour is no part.
        for window in [&HOURS[..], &["--hour", "2025-06-02T09"], &HOURS] {
            let outcome = world.run(window).await;
            assert_eq!(outcome.code, 4, "{spoil}, {window:?}: {}", outcome.stderr);
            assert!(
                outcome.stderr.contains("what was kept of them cannot be read"),
                "{}",
                outcome.stderr
            );
            let known = "select concat_ws(' ', status, reason) from archive_hours where hour = '2025-06-02T10:00Z'";
            let reason = "incomplete its objects have changed since it was computed";
            assert_eq!(world.rows(known).await, [reason], "{spoil}, {window:?}");
            assert_eq!(world.summary().await, before, "{spoil}, {window:?}");
        }
        world.run_ok(&[&AT_TEN[..], &["--allow-shrink"]].concat()).await;
        let ticks = "select ticks from batch_hours where hour = '2025-06-02T10:00Z'";
        assert_eq!(world.number(ticks).await, late, "{spoil}");
        assert!(world.run_ok(&HOURS).await.stderr.contains("0 hours computed"), "{spoil}");
    }
}

#[tokio::test]
async fn an_hour_that_is_to_be_written_anew_and_of_which_nothing_can_be_read_is_said_to_be_not_written()
 {
    let world = expired(0..2).await;
    world.run_ok(&HOURS).await;
    world.execute("update hour_sums set bars = '\\x00' where hour = '2025-06-02T10:00Z'").await;
    let outcome = world.run(&[&AT_TEN[..], &["--recompute"]].concat()).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("not written anew: its objects are gone"),
        "{}",
        outcome.stderr
    );
    world.run_ok(&AT_TEN).await;
}

#[tokio::test]
async fn sums_that_cannot_be_those_of_their_hour_are_not_added_to() {
    const SPOILS: [&str; 4] = [
        "bars = (select bars from hour_sums where hour = '2025-06-02T09:00Z')",
        "offsets = (select offsets from hour_sums where hour = '2025-06-02T09:00Z')",
        "(bars, offsets) = (select bars, offsets from hour_sums where hour = '2025-06-02T09:00Z')",
        "withdrawn = withdrawn",
    ];
    for (gone, spoil) in
        [0..0, 0..1].into_iter().flat_map(|gone| SPOILS.map(|spoil| (gone.clone(), spoil)))
    {
        let (is_expired, is_spoilt) = (!gone.is_empty(), spoil != SPOILS[3]);
        let world = expired(gone).await;
        world.run_ok(&HOURS).await;
        let before = world.summary().await;
        world
            .execute(&format!("update hour_sums set {spoil} where hour = '2025-06-02T10:00Z'"))
            .await;
        let late = some_ticks(10, 0, 10_700, 3);
        world.put(&key(10, 0, 10_700), &late).await;
        world.insert_realtime(&late).await;
        let outcome = world.run(&HOURS).await;
        let code = if is_expired && is_spoilt { 4 } else { 0 };
        assert_eq!(outcome.code, code, "{is_expired} {spoil}: {}", outcome.stderr);
        let expected = if code == 4 { before } else { world.expected().await };
        assert_eq!(world.summary().await, expected, "{is_expired} {spoil}");
    }
}

#[tokio::test]
async fn an_object_that_is_gone_though_it_is_young_was_deleted_and_its_hour_is_incomplete_until_it_is_back()
 {
    for is_broken_first in [false, true] {
        let world = agreeing().await;
        let (object, ticks) = (key(10, 1, 10_000), some_ticks(10, 1, 10_000, 400));
        if is_broken_first {
            world.bucket.put(&object, "<html>").await.unwrap();
            assert_eq!(world.run(&HOURS).await.code, 4);
        }
        world.bucket.delete(&object).await.unwrap();
        let before = world.summary().await;
        for is_noticed in [false, true] {
            let outcome = verify(&world, &HOURS).await;
            assert_eq!(outcome.code, 4, "{is_noticed}: {}{}", outcome.stdout, outcome.stderr);
            let word = "1 object of the archive was deleted, though it had not expired";
            assert!(outcome.stdout.contains(word), "{is_noticed}: {}", outcome.stdout);
            assert!(!outcome.stdout.contains("have expired;"), "{is_noticed}: {}", outcome.stdout);
            let outcome = world.run_ok(&HOURS).await;
            assert_eq!(
                outcome.stderr.contains("1 object that is gone was stored within --lookback"),
                !is_noticed,
                "{}",
                outcome.stderr
            );
        }
        let known = "select concat_ws(' ', status, reason) from hour_completeness where hour = '2025-06-02T10:00Z'";
        let reason = format!(
            "incomplete one of its objects was deleted, though it had not expired: {object}"
        );
        assert_eq!(world.rows(known).await, [reason]);
        assert_eq!(world.summary().await, before);
        world.put(&object, &ticks).await;
        for _ in 0..2 {
            world.run_ok(&HOURS).await;
        }
        assert_eq!(world.rows(known).await, ["complete"]);
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }
}

/// Its folder is looked at for the sake of the hour beside it.
#[tokio::test]
async fn an_hour_outside_of_the_window_is_complete_again_as_soon_as_its_deleted_object_is_back() {
    let world = agreeing().await;
    let (object, ticks) = (key(10, 1, 10_000), some_ticks(10, 1, 10_000, 400));
    let at_eleven = ["--hour", "2025-06-02T11"];
    world.bucket.delete(&object).await.unwrap();
    world.run_ok(&at_eleven).await;
    let said = world.rows(STATUS_OF_TEN).await;
    assert!(said[0].contains("incomplete one of its objects was deleted"), "{said:?}");
    world.put(&object, &ticks).await;
    world.run_ok(&at_eleven).await;
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"));
}

/// An hour with an object that was read while another one held the hour back. Gives their keys, and
/// what they hold.
async fn held_back(is_computed: bool) -> (World, [String; 2], [String; 2]) {
    held_back_with(is_computed, lines(&some_ticks(10, 0, 20, 10))).await
}

/// `late`: what the object holds that was read.
async fn held_back_with(is_computed: bool, late: String) -> (World, [String; 2], [String; 2]) {
    let world = World::create().await;
    let keys = [key(10, 0, 0), key(10, 0, 20)];
    let texts = [lines(&some_ticks(10, 0, 0, 20)), late];
    world.put(&key(10, 1, 0), &some_ticks(10, 1, 0, 5)).await;
    if is_computed {
        world.run_ok(&HOURS).await;
    }
    world.bucket.put(&keys[0], texts[0][..texts[0].len() - 30].to_owned()).await.unwrap();
    world.bucket.put(&keys[1], texts[1].clone()).await.unwrap();
    assert_eq!(world.run(&HOURS).await.code, 4);
    (world, keys, texts)
}

#[tokio::test]
async fn an_object_that_was_deleted_before_its_hour_could_be_written_leaves_that_incomplete() {
    for is_computed in [false, true] {
        let (world, [broken, late], [text, other]) = held_back(is_computed).await;
        world.bucket.delete(&late).await.unwrap();
        let outcome = world.run(&HOURS).await;
        assert!(outcome.stderr.contains("stored within --lookback"), "{}", outcome.stderr);
        world.bucket.put(&broken, text).await.unwrap();
        for flags in [&[][..], &["--recompute"], &[]] {
            world.run_ok(&[&HOURS[..], flags].concat()).await;
            let reason = format!(
                "incomplete one of its objects was gone before it was written with its ticks: {late}"
            );
            assert_eq!(world.rows(STATUS_OF_TEN).await, [reason]);
        }
        let outcome = verify(&world, &AT_TEN).await;
        let word = "1 object of the archive was gone before the hour was written with their ticks";
        assert!(outcome.stdout.contains(word), "{}{}", outcome.stdout, outcome.stderr);
        world.bucket.put(&late, other).await.unwrap();
        for _ in 0..2 {
            world.run_ok(&HOURS).await;
        }
        assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"));
        assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 35);
    }
}

#[tokio::test]
async fn an_object_that_was_rewritten_elsewhere_before_its_hour_could_be_written_is_missed_no_longer()
 {
    for is_mended_first in [false, true] {
        for other_key in [key(11, 0, 20), key(10, 0, 0)] {
            let (world, [broken, late], [text, other]) = held_back(false).await;
            world.bucket.delete(&late).await.unwrap();
            if is_mended_first {
                world.bucket.put(&broken, text.clone()).await.unwrap();
            }
            world.run(&HOURS).await;
            let joined = if other_key == broken { [&*text, &*other].concat() } else { other };
            world.bucket.put(&broken, text).await.unwrap();
            world.bucket.put(&other_key, joined).await.unwrap();
            world.run_ok(&HOURS).await;
            assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"), "{other_key}");
            assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 35);
            assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
        }
    }
}

#[tokio::test]
async fn an_object_with_gaps_between_its_offsets_is_found_in_others_and_not_between_theirs() {
    let all = some_ticks(10, 0, 20, 12);
    // As transactions and compaction leave them.
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|tick| tick.offset % 3 == 0);
    for (other, is_there) in [
        ([&own[..], &others[..]].concat(), true),
        (own.clone(), true),
        // As many, between the offsets of the first and the last.
        (others, false),
        (own[1..].to_vec(), false),
    ] {
        let (world, [broken, late], [text, _]) = held_back_with(false, lines(&own)).await;
        world.bucket.delete(&late).await.unwrap();
        assert_eq!(world.run(&HOURS).await.code, 4);
        world.bucket.put(&broken, text).await.unwrap();
        world.put(&key(11, 0, 20), &other).await;
        world.run_ok(&HOURS).await;
        let status = &world.rows(STATUS_OF_TEN).await[0];
        assert_eq!(!status.contains("was gone before"), is_there, "{other:?}: {status}");
    }
}

#[tokio::test]
async fn an_object_is_not_found_in_one_without_offsets_that_by_its_name_has_some_of_its_records() {
    for (first, count, told, is_there) in [
        (20, 10, 0, true),
        (19, 11, 0, true),
        (20, 9, 0, false),
        (29, 1, 0, false),
        // Of one line the offset is known, and it is another.
        (20, 9, 1, false),
    ] {
        let (world, [broken, late], [text, _]) = held_back(false).await;
        world.bucket.delete(&late).await.unwrap();
        assert_eq!(world.run(&HOURS).await.code, 4);
        // 19 is not there: else its ticks would be twice.
        let text = text.lines().take(19).map(|line| line.to_owned() + "\n").collect::<String>();
        world.bucket.put(&broken, text).await.unwrap();
        let other = without_offsets(&some_ticks(10, 0, first, count));
        let other = other + &lines(&some_ticks(10, 0, 100, told));
        world.bucket.put(&key(11, 0, first), other).await.unwrap();
        world.run_ok(&HOURS).await;
        let status = &world.rows(STATUS_OF_TEN).await[0];
        assert_eq!(!status.contains("was gone before"), is_there, "{first} {count}: {status}");
    }
}

#[tokio::test]
async fn an_object_that_expires_while_its_hour_is_held_back_is_missing_from_it() {
    let (world, [broken, late], [text, _]) = held_back(false).await;
    world.expire(&late).await;
    let outcome = world.run(&HOURS).await;
    assert!(outcome.stderr.contains("lost to 1 that was not computed yet"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("stored within --lookback"), "{}", outcome.stderr);
    world.bucket.put(&broken, text).await.unwrap();
    world.run_ok(&HOURS).await;
    let reason = format!(
        "incomplete one of its objects was gone before it was written with its ticks: {late}"
    );
    assert_eq!(world.rows(STATUS_OF_TEN).await, [reason]);
}

#[tokio::test]
async fn an_object_without_offsets_that_no_run_has_read_beside_an_expired_one_leaves_the_hour_open()
{
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 8);
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 8).await;
    world.bucket.put(&key(10, 0, 0), without_offsets(&ticks[..4])).await.unwrap();
    world.put(&key(10, 0, 4), &ticks[4..6]).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&HOURS).await;
    world.bucket.put(&key(10, 0, 6), without_offsets(&ticks[6..])).await.unwrap();
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    world.run_ok(&HOURS).await;
    let outcome = verify(&world, &AT_TEN).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // What is missing of a partition stands in the view of those on call.
    world.execute("delete from realtime_stock where kafka_offset = 5").await;
    assert_eq!(verify(&world, &AT_TEN).await.code, 1);
    let detail = "select detail from hour_reconciliation where hour = '2025-06-02T10:00Z'";
    let detail = &world.rows(detail).await[0];
    let word = "stock_prices 0: realtime_stock has 7 ticks, the archive 8";
    assert!(detail.contains(word), "{detail}");
}

#[tokio::test]
async fn an_object_that_is_moved_beside_an_expired_one_is_missed_by_nobody() {
    let world = World::create().await;
    let keys = [key(10, 0, 0), key(10, 0, 20)];
    let texts = [lines(&some_ticks(10, 0, 0, 20)), lines(&some_ticks(10, 0, 20, 10))];
    for (key, text) in keys.iter().zip(&texts) {
        world.bucket.put(key, text.clone()).await.unwrap();
    }
    world.run_ok(&HOURS).await;
    world.expire(&keys[0]).await;
    world.run_ok(&HOURS).await;
    world.bucket.delete(&keys[1]).await.unwrap();
    world.bucket.put(&key(11, 0, 20), texts[1].clone()).await.unwrap();
    world.run_ok(&HOURS).await;
    assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"));
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 30);
}

#[tokio::test]
async fn what_an_object_has_grown_by_while_its_hour_is_held_back_is_missing_when_it_expires() {
    let (world, [broken, late], [text, other]) = held_back(false).await;
    world.bucket.put(&broken, text.clone()).await.unwrap();
    world.run_ok(&HOURS).await;
    world.bucket.put(&broken, text[..text.len() - 30].to_owned()).await.unwrap();
    world.bucket.put(&late, other + &lines(&some_ticks(10, 0, 30, 5))).await.unwrap();
    assert_eq!(world.run(&HOURS).await.code, 4);
    world.expire(&late).await;
    world.run(&HOURS).await;
    world.bucket.put(&broken, text).await.unwrap();
    world.run(&HOURS).await;
    let status = &world.rows(STATUS_OF_TEN).await[0];
    assert!(status.contains(&late) && status.starts_with("incomplete"), "{status}");
}

#[tokio::test]
async fn an_object_without_offsets_that_was_moved_before_its_hour_could_be_written_is_missed_no_longer()
 {
    for is_same in [true, false] {
        let own = lines_without_offsets(10, 0, 12);
        let (world, [broken, late], [text, _]) = held_back_with(false, own.clone()).await;
        world.bucket.delete(&late).await.unwrap();
        assert_eq!(world.run(&HOURS).await.code, 4);
        world.bucket.put(&broken, text).await.unwrap();
        let moved = if is_same { own } else { lines_without_offsets(10, 0, 11) };
        world.bucket.put(&key(11, 0, 20), moved).await.unwrap();
        world.run_ok(&HOURS).await;
        let status = &world.rows(STATUS_OF_TEN).await[0];
        assert_eq!(status.starts_with("complete"), is_same, "{status}");
    }
}

#[tokio::test]
async fn a_deleted_object_that_no_sums_had_is_not_back_as_what_is_no_archive_or_shorter_without_a_word()
 {
    for (text, code, word) in [
        ("null".to_owned(), 4, "holds no tick and no line that tells its place; it held 10 ticks"),
        (lines(&some_ticks(10, 0, 20, 1)), 0, "was replaced by a version with 9 ticks fewer"),
    ] {
        let (world, [broken, late], [whole, other]) = held_back(false).await;
        world.bucket.delete(&late).await.unwrap();
        assert_eq!(world.run(&HOURS).await.code, 4);
        world.bucket.put(&late, text).await.unwrap();
        world.bucket.put(&broken, whole).await.unwrap();
        let outcome = world.run(&HOURS).await;
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        world.bucket.put(&late, other).await.unwrap();
        world.run_ok(&HOURS).await;
        assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"));
        assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 35);
    }
}

#[tokio::test]
async fn an_hour_may_lack_what_was_deleted_before_it_was_written_where_a_person_says_so() {
    let (world, [broken, late], [text, _]) = held_back(false).await;
    world.bucket.delete(&late).await.unwrap();
    world.bucket.put(&broken, text).await.unwrap();
    world.run_ok(&HOURS).await;
    world.run_ok(&[&AT_TEN[..], &["--allow-shrink"]].concat()).await;
    assert!(world.rows(STATUS_OF_TEN).await[0].starts_with("complete"));
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 25);
}

#[tokio::test]
async fn an_object_that_shrinks_before_its_hour_could_be_written_is_named() {
    let (world, [_, late], [_, other]) = held_back(false).await;
    world.bucket.put(&late, other.lines().next().unwrap().to_owned() + "\n").await.unwrap();
    let outcome = world.run(&HOURS).await;
    let word = format!("{late} was replaced by a version with 9 ticks fewer of hours");
    assert!(outcome.stderr.contains(&word), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_deleted_object_that_somebody_has_accepted_makes_its_hour_incomplete_no_longer() {
    let (world, object) = deleted().await;
    assert_ne!(world.rows(STATUS_OF_TEN).await, ["complete"]);
    let before = world.summary().await;
    world
        .execute(&format!("update deleted_objects set is_accepted = true where key = '{object}'"))
        .await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"]);
    assert_eq!(world.summary().await, before);
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn an_object_that_was_replaced_and_deleted_before_its_hour_was_computed_anew_has_not_expired()
{
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 110);
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 110).await;
    let [object, broken] = crate::damage::replaced_and_held(&world).await;
    world.bucket.delete(&object).await.unwrap();
    world.bucket.delete(&broken).await.unwrap();
    let outcome = world.run_ok(&HOURS).await;
    let words = "1 object that is gone was stored within --lookback";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("are lost to"), "{}", outcome.stderr);
    let known = "select concat_ws(' ', status, reason) from hour_completeness where hour = '2025-06-02T10:00Z'";
    let reason =
        format!("incomplete one of its objects was deleted, though it had not expired: {object}");
    assert_eq!(world.rows(known).await, [reason]);
    let outcome = verify(&world, &AT_TEN).await;
    let word = "1 object of the archive was deleted, though it had not expired";
    assert!(outcome.stdout.contains(word), "{}{}", outcome.stdout, outcome.stderr);
    world.put(&object, &ticks).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(known).await, ["complete"]);
    assert_eq!(verify(&world, &AT_TEN).await.code, 0);
}

const OF_TEN: &str = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours
                      where hour = '2025-06-02T10:00Z'";
const STATUS_OF_TEN: &str = "select concat_ws(' ', status, reason) from hour_completeness
                             where hour = '2025-06-02T10:00Z'";

/// As [`agreeing`], where an object was deleted and a run has noticed. Gives its key, too.
async fn deleted() -> (World, String) {
    let (world, object) = (agreeing().await, key(10, 1, 10_000));
    world.bucket.delete(&object).await.unwrap();
    world.run_ok(&HOURS).await;
    (world, object)
}

#[tokio::test]
async fn an_object_that_was_moved_is_not_called_deleted() {
    let (world, object) = (agreeing().await, key(10, 1, 10_000));
    world.put(&key(11, 1, 10_000), &some_ticks(10, 1, 10_000, 400)).await;
    world.bucket.delete(&object).await.unwrap();
    let outcome = world.run_ok(&HOURS).await;
    let word = "1 object is gone from the archive";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("deleted"), "{}", outcome.stderr);
    assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"]);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

/// A usual run, by then, looks at hours of which something is missing once an hour.
const AN_HOUR_LATER: &str = "update archive_hours set listed_at = listed_at - interval '2 hours'";

#[tokio::test]
async fn a_deleted_object_whose_folder_lies_far_from_its_hour_is_found_again_wherever_that_is() {
    let usual: &[&str] = &["--lookback", "2h"];
    for flags in [usual, &AT_TEN, &["--recompute", "--hour", "2025-06-02T10"]] {
        let world = agreeing().await;
        // A late producer's: the sink goes by the time of the record.
        let (object, ticks) = (key(20, 1, 10_400), some_ticks(10, 1, 10_400, 100));
        world.put(&object, &ticks).await;
        world.insert_realtime(&ticks).await;
        world.execute("delete from rejected_ticks where kafka_partition = 1 and kafka_offset between 10400 and 10499").await;
        world.fill_minute_bars().await;
        let wide = ["--from", "2025-06-02T09", "--to", "2025-06-02T22"];
        world.run_ok(&wide).await;
        assert_eq!(world.rows(OF_TEN).await, ["900 3 0"]);
        world.bucket.delete(&object).await.unwrap();
        world.run_ok(&wide).await;
        assert_eq!(world.rows(OF_TEN).await, ["900 3 1"]);
        world.put(&object, &ticks).await;
        world.execute(AN_HOUR_LATER).await;
        world.run(flags).await;
        assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"], "{flags:?}");
        assert_eq!(world.rows(OF_TEN).await, ["900 3 0"], "{flags:?}");
        let outcome = verify(&world, &AT_TEN).await;
        assert_eq!(outcome.code, 0, "{flags:?}: {}{}", outcome.stdout, outcome.stderr);
    }
}

#[tokio::test]
async fn what_is_no_archive_under_the_key_of_a_deleted_object_does_not_make_it_forgotten() {
    for text in ["null", "{\"error\":\"x\"}\n"] {
        let (world, object) = deleted().await;
        let before = world.summary().await;
        world.bucket.put(&object, text).await.unwrap();
        for _ in 0..2 {
            let outcome = world.run(&HOURS).await;
            assert_eq!(outcome.code, 4, "{text}: {}", outcome.stderr);
            assert_eq!(
                world.rows("select key from broken_objects").await,
                std::slice::from_ref(&object)
            );
            let outcome = verify(&world, &HOURS).await;
            assert_eq!(outcome.code, 4, "{text}: {}{}", outcome.stdout, outcome.stderr);
            assert!(!outcome.stdout.contains("expired;"), "{text}: {}", outcome.stdout);
        }
        // It is as it was before that came.
        world.bucket.delete(&object).await.unwrap();
        world.run_ok(&HOURS).await;
        let reason = format!(
            "incomplete one of its objects was deleted, though it had not expired: {object}"
        );
        assert_eq!(world.rows(STATUS_OF_TEN).await, [reason], "{text}");
        assert_eq!(verify(&world, &HOURS).await.code, 4, "{text}");
        assert_eq!(world.summary().await, before, "{text}");
        world.put(&object, &some_ticks(10, 1, 10_000, 400)).await;
        world.run_ok(&HOURS).await;
        assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"], "{text}");
        assert_eq!(world.rows(OF_TEN).await, ["800 2 0"], "{text}");
        assert_eq!(verify(&world, &HOURS).await.code, 0, "{text}");
    }
}

#[tokio::test]
async fn a_shorter_version_of_a_deleted_object_is_judged_as_if_it_had_replaced_it() {
    let (world, object) = deleted().await;
    let ticks = some_ticks(10, 1, 10_000, 400);
    world.put(&object, &ticks[..300]).await;
    let outcome = world.run_ok(&HOURS).await;
    let word =
        format!("100 of 800 records are taken out: {object} was replaced by one without them");
    assert!(outcome.stderr.contains(&word), "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await, ["700 2 0"]);
    // Where another one is gone, too, nobody can tell what is to be taken out.
    let (world, object) = deleted().await;
    world.bucket.delete(&key(10, 0, 10_000)).await.unwrap();
    world.run_ok(&HOURS).await;
    let (before, marks) = (world.summary().await, "select count(*) from deleted_objects");
    assert_eq!(world.number(marks).await, 2);
    world.put(&object, &ticks[..300]).await;
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!((world.summary().await, world.number(marks).await), (before, 2));
    world.put(&object, &ticks).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(OF_TEN).await, ["800 2 1"]);
    assert_eq!(world.rows("select key from deleted_objects").await, [key(10, 0, 10_000)]);
}

#[tokio::test]
async fn an_hour_that_a_deleted_object_has_no_ticks_of_when_it_is_back_loses_them_with_a_warning() {
    let world = World::create().await;
    let (earlier, later) = (some_ticks(9, 0, 0, 10), some_ticks(10, 0, 10, 10));
    world.put(&key(10, 0, 0), &[earlier, later.clone()].concat()).await;
    world.put(&key(9, 1, 0), &some_ticks(9, 1, 0, 5)).await;
    world.run_ok(&HOURS).await;
    world.bucket.delete(&key(10, 0, 0)).await.unwrap();
    world.run_ok(&HOURS).await;
    world.put(&key(10, 0, 0), &later).await;
    let outcome = world.run_ok(&HOURS).await;
    assert!(outcome.stderr.contains("10 of 15 records are taken out"), "{}", outcome.stderr);
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 15);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn a_deleted_object_that_is_back_compressed_is_back() {
    let (world, object) = deleted().await;
    let packed = gzip(&lines(&some_ticks(10, 1, 10_000, 400)));
    world.bucket.put(&format!("{object}.gz"), packed).await.unwrap();
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"]);
    assert_eq!(world.rows(OF_TEN).await, ["800 2 0"]);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn a_shortened_object_that_is_deleted_beside_a_whole_compressed_copy_is_no_loss() {
    let (world, object) = deleted().await;
    let ticks = some_ticks(10, 1, 10_000, 400);
    world.put(&object, &ticks).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 10_000)).await;
    world.run_ok(&HOURS).await;
    world.put(&object, &ticks[..300]).await;
    world.bucket.put(&format!("{object}.gz"), gzip(&lines(&ticks))).await.unwrap();
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    world.bucket.delete(&object).await.unwrap();
    for _ in 0..2 {
        world.run_ok(&HOURS).await;
        assert_eq!(world.rows(STATUS_OF_TEN).await, ["complete"]);
    }
    assert_eq!(
        world.number("select ticks from batch_hours where hour = '2025-06-02T10:00Z'").await,
        800
    );
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    assert_eq!(verify(&world, &HOURS).await.code, 0);
}

/// An object with ticks of hours 9 and 10 in the folder of 9, computed beside another one of hour
/// 10. Gives its key, its ticks of hour 9, and all of them.
async fn of_two_hours() -> (World, String, [Vec<Tick>; 2]) {
    let (world, object) = (World::create().await, key(9, 0, 0));
    let first = some_ticks(9, 0, 0, 10);
    let all = [first.clone(), some_ticks(10, 0, 10, 10)].concat();
    world.put(&object, &all).await;
    world.put(&key(10, 1, 0), &some_ticks(10, 1, 0, 5)).await;
    world.run_ok(&HOURS).await;
    (world, object, [first, all])
}

#[tokio::test]
async fn an_object_that_is_written_again_in_two_parts_beside_another_that_is_gone_is_back_in_the_end()
 {
    let (world, object, [first, all]) = of_two_hours().await;
    world.expire(&key(10, 1, 0)).await;
    for _ in 0..2 {
        world.bucket.delete(&object).await.unwrap();
        world.run_ok(&HOURS).await;
        assert_eq!(world.rows(OF_TEN).await, ["15 2 2"]);
        // It has none of the hour's ticks yet.
        world.put(&object, &first).await;
        let outcome = world.run(&HOURS).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert_eq!(world.rows(OF_TEN).await, ["15 2 1"]);
    }
    world.put(&object, &all).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(OF_TEN).await, ["15 2 1"]);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    world.put(&key(10, 2, 0), &some_ticks(10, 2, 0, 5)).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(OF_TEN).await, ["20 3 1"]);
}

#[tokio::test]
async fn ticks_of_a_deleted_object_stay_when_a_version_without_them_came_and_is_gone_before_it_counts()
 {
    let (world, object, [first, all]) = of_two_hours().await;
    world.bucket.delete(&object).await.unwrap();
    world.run_ok(&HOURS).await;
    world.put(&object, &first).await;
    world.bucket.put(&key(10, 3, 0), "<html>").await.unwrap();
    assert_eq!(world.run(&HOURS).await.code, 4);
    world.bucket.delete(&object).await.unwrap();
    world.bucket.delete(&key(10, 3, 0)).await.unwrap();
    let outcome = world.run_ok(&HOURS).await;
    assert!(!outcome.stderr.contains("taken out"), "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await, ["15 2 1"]);
    world.put(&object, &all).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(OF_TEN).await, ["15 2 0"]);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn what_is_no_archive_under_the_key_of_a_deleted_object_holds_no_hour_that_was_written_without_it()
 {
    let (world, object, _) = of_two_hours().await;
    world.bucket.delete(&object).await.unwrap();
    world.run_ok(&HOURS).await;
    world.run_ok(&[&AT_TEN[..], &["--allow-shrink"]].concat()).await;
    assert_eq!(world.rows(OF_TEN).await, ["5 1 0"]);
    world.bucket.put(&object, "null").await.unwrap();
    world.put(&key(10, 2, 0), &some_ticks(10, 2, 0, 5)).await;
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("it held 10 ticks, which"), "{}", outcome.stderr);
    assert_eq!(world.rows(OF_TEN).await, ["10 2 0"]);
}
