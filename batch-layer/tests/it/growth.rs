//! Objects that grow, which a sink has begun anew, beside others of their hour that have expired.

use crate::changes::lines_without_offsets;
use crate::completeness::{insert_speed, ticks_of};
use crate::support::{Tick, World, gzip, key, key_of, lines, some_ticks};
use crate::verify::{HOURS, verify};
use common::Timestamp;

const AT_TEN: &str = "select concat_ws(' ', ticks, objects, gone_objects, duplicates, withdrawn)
                      from batch_hours where hour = '2025-06-02T10:00Z'";

/// What three objects of hour 10 hold in the end, one of each partition. The speed layer has all of
/// it.
async fn speed_side() -> (World, [Vec<Tick>; 3]) {
    let world = World::create().await;
    let all = [0, 1, 2].map(|partition| some_ticks(10, partition, 0, 40));
    world.insert_realtime(&all.concat()).await;
    for partition in 0..3 {
        world.set_next_offset("stock_prices", partition, 40).await;
    }
    (world, all)
}

/// The same, where the object of partition 0 has expired, and of the two others the first ten ticks
/// are known.
async fn half_expired() -> (World, [Vec<Tick>; 3]) {
    let (world, all) = speed_side().await;
    world.put(&key(10, 0, 0), &all[0]).await;
    for ticks in &all[1..] {
        world.put(&key(10, ticks[0].partition, 0), &ticks[..10]).await;
    }
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    (world, all)
}

/// That the tables are those of all ticks, that verify agrees, and that nothing is left to do.
async fn assert_all_there(world: &World, what: &str) {
    world.fill_minute_bars().await;
    assert_eq!(world.summary().await, world.expected().await, "{what}");
    let outcome = verify(world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{what}: {}{}", outcome.stdout, outcome.stderr);
    let outcome = world.run_ok(&HOURS).await;
    assert!(outcome.stderr.contains("0 hours computed"), "{what}: {}", outcome.stderr);
}

#[tokio::test]
async fn an_object_that_grew_beside_expired_ones_brings_its_new_ticks() {
    for (is_noticed, flags) in [(true, &[][..]), (false, &[][..]), (true, &["--recompute"][..])] {
        let (world, all) = half_expired().await;
        if is_noticed {
            world.run_ok(&HOURS).await;
        }
        for ticks in &all[1..] {
            world.put(&key(10, ticks[0].partition, 0), ticks).await;
        }
        world.run_ok(&[&HOURS[..], flags].concat()).await;
        assert_eq!(world.rows(AT_TEN).await, ["120 3 1 0 0"], "{is_noticed} {flags:?}");
        assert_all_there(&world, &format!("{is_noticed} {flags:?}")).await;
    }
}

#[tokio::test]
async fn an_object_that_grows_again_and_again_beside_expired_ones_brings_its_new_ticks_each_time() {
    let (world, all) = half_expired().await;
    world.run_ok(&HOURS).await;
    for end in [20, 25] {
        world.put(&key(10, 1, 0), &all[1][..end]).await;
        world.run_ok(&HOURS).await;
        assert_eq!(world.rows(AT_TEN).await, [format!("{} 3 1 0 0", 50 + end)]);
    }
    // Compressed, in two steps of which the first lacks a part, and is not known to have been.
    world.put(&key(10, 1, 0), &all[1][..5]).await;
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    world.bucket.put(&key(10, 1, 0), gzip(&lines(&all[1]))).await.unwrap();
    world.put(&key(10, 2, 0), &all[2]).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(AT_TEN).await, ["120 3 1 0 0"]);
    assert_all_there(&world, "the end").await;
}

/// A sink that went back, and an object that comes back in two parts.
#[tokio::test]
async fn an_object_that_grew_by_records_of_expired_ones_is_not_taken_for_one_that_lacks_some() {
    for (start, first, then) in [(10, 10..15, 10..25), (0, 0..12, 0..20), (10, 10..15, 10..50)] {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 50);
        world.insert_realtime(&ticks).await;
        world.set_next_offset("stock_prices", 0, 50).await;
        world.put(&key(10, 0, 0), &ticks[..20]).await;
        world.put(&key(10, 0, 20), &ticks[20..40]).await;
        world.put(&key(10, 0, 40), &ticks[40..]).await;
        world.run_ok(&HOURS).await;
        world.expire(&key(10, 0, 0)).await;
        world.expire(&key(10, 0, 20)).await;
        world.run_ok(&HOURS).await;
        world.put(&key(10, 0, start), &ticks[first]).await;
        world.run_ok(&HOURS).await;
        world.put(&key(10, 0, start), &ticks[then.clone()]).await;
        for flags in [&[][..], &["--recompute"]] {
            world.run_ok(&[&HOURS[..], flags].concat()).await;
            assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 50);
        }
        assert_all_there(&world, &format!("{then:?}")).await;
    }
}

#[tokio::test]
async fn an_object_that_grew_by_records_of_expired_ones_and_lacks_its_first_is_refused() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 40);
    world.put(&key(10, 0, 0), &ticks[..20]).await;
    world.put(&key(10, 0, 20), &ticks[20..]).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&HOURS).await;
    world.put(&key(10, 0, 10), &ticks[10..15]).await;
    world.run_ok(&HOURS).await;
    world.put(&key(10, 0, 10), &ticks[11..19]).await;
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let word = "was replaced by a version that does not begin with the earlier one's records";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_object_that_grew_brings_its_new_ticks_though_it_shared_some_with_an_expired_one() {
    let (world, all) = speed_side().await;
    let shared = [&all[0][..], &all[1][..5]].concat();
    world.put(&key(10, 0, 0), &shared).await;
    world.put(&key(10, 1, 0), &all[1][..10]).await;
    world.put(&key(10, 2, 0), &all[2]).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.put(&key(10, 1, 0), &all[1]).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(AT_TEN).await, ["120 3 1 5 0"]);
    assert_all_there(&world, "shared").await;
}

#[tokio::test]
async fn an_object_that_grew_in_one_hour_beside_an_expired_one_of_two_hours_brings_its_new_ticks() {
    let (world, all) = speed_side().await;
    let mut of_nine = some_ticks(9, 0, 100, 10);
    of_nine.iter_mut().for_each(|tick| tick.at = tick.at.plus_micros(Timestamp::MINUTE));
    world.insert_realtime(&of_nine).await;
    world.put(&key(10, 0, 0), &[&of_nine[..], &all[0]].concat()).await;
    world.put(&key(10, 1, 0), &all[1][..10]).await;
    world.put(&key(10, 2, 0), &all[2]).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.put(&key(10, 1, 0), &all[1]).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 2"]);
    world.set_next_offset("stock_prices", 0, 110).await;
    world
        .execute(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
             select 1, 0, o, 'empty', 'no value' from generate_series(40, 99) as o",
        )
        .await;
    assert_all_there(&world, "two hours").await;
}

async fn assert_refused(world: &World, flags: &[&str], why: &str) {
    const ROWS: &str = "select concat(s) from hourly_stock_summary s where hour = '2025-06-02T10:00Z' order by symbol";
    let before = world.rows(ROWS).await;
    let outcome = world.run(&[&HOURS[..], flags].concat()).await;
    assert_eq!((outcome.code, world.rows(ROWS).await), (4, before), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(why), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("put the earlier version back, or --allow-shrink"),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn an_object_that_was_replaced_beside_expired_ones_and_lacks_records_is_not_taken_for_one_that_grew()
 {
    let lacks = "stock_prices+1+0000000000.json was replaced by a version that lacks records of the earlier one";
    let (world, all) = half_expired().await;
    // More than before, but not the same and more.
    world.put(&key(10, 1, 0), &all[1][1..]).await;
    assert_refused(&world, &[], lacks).await;
    assert_refused(&world, &["--recompute"], lacks).await;
    // One that grew beside it changes nothing in that.
    world.put(&key(10, 2, 0), &all[2]).await;
    assert_refused(&world, &[], lacks).await;
    // Nor does one that holds what is lacking: the earlier version may have held more than that.
    world.put(&key(10, 1, 0), &all[1]).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(AT_TEN).await, ["120 3 1 0 0"]);
}

#[tokio::test]
async fn an_object_that_was_replaced_beside_expired_ones_by_one_without_the_hours_ticks_takes_none_away()
 {
    let (world, all) = half_expired().await;
    let why = "one of its objects was replaced by a version that holds nothing of the hour";
    world.put(&key(10, 1, 0), &some_ticks(11, 1, 100, 5)).await;
    world.put(&key(10, 2, 0), &all[2]).await;
    assert_refused(&world, &[], why).await;
    // What comes later is known to lack none of it.
    world.put(&key(10, 1, 0), &all[1]).await;
    world.run_ok(&HOURS).await;
    assert_eq!(world.rows(AT_TEN).await, ["120 3 1 0 0"]);
    assert_all_there(&world, "put back").await;
}

#[tokio::test]
async fn an_object_without_offsets_that_was_replaced_beside_expired_ones_is_refused_with_the_reason()
 {
    let world = World::create().await;
    for partition in 0..2 {
        world
            .bucket
            .put(&key(10, partition, 0), lines_without_offsets(10, partition, 10))
            .await
            .unwrap();
    }
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.bucket.put(&key(10, 1, 0), lines_without_offsets(10, 1, 20)).await.unwrap();
    assert_refused(
        &world,
        &[],
        "its lines have no offsets, so nobody can tell which of them are new",
    )
    .await;
}

#[tokio::test]
async fn of_an_object_that_grew_beside_expired_ones_known_records_keep_their_values_and_that_is_said()
 {
    let (world, all) = half_expired().await;
    let mut changed = all[1].clone();
    changed[3].close += 1;
    world.put(&key(10, 1, 0), &changed).await;
    world.put(&key(10, 2, 0), &all[2]).await;
    let outcome = world.run_ok(&HOURS).await;
    let word = "stock_prices+1+0000000000.json tells other things than before of some of its 10 known records";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert_eq!(world.rows(AT_TEN).await, ["120 3 1 0 0"]);
    assert_eq!(world.summary().await, world.expected().await);
    // It is a difference to the archive for good, and verify finds it.
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    world.put(&key(10, 1, 0), &all[1]).await;
    world.run_ok(&HOURS).await;
    assert_all_there(&world, "put right").await;
}

#[tokio::test]
async fn what_was_corrected_while_another_object_was_away_is_taken_in_once_that_is_back() {
    // The correction is of what was wrong, or comes with a restored object that is packed
    // otherwise.
    for (is_wrong_first, is_packed) in [(true, false), (false, false), (true, true)] {
        let world = World::create().await;
        let (hour, ticks) = ticks_of(5, 60);
        insert_speed(&world, &ticks).await;
        let mut others = ticks.clone();
        others[30].close += 1;
        others[30].volume += 7;
        let (before, after) = if is_wrong_first { (&others, &ticks) } else { (&ticks, &others) };
        let keys = [5000, 5020, 5040].map(|offset| key_of(hour, 0, offset));
        for (key, ticks) in keys.iter().zip(before.chunks(20)) {
            world.put(key, ticks).await;
        }
        world.run_ok(&[]).await;
        let of_before = world.summary().await;
        world.bucket.delete(&keys[0]).await.unwrap();
        world.run(&[]).await;
        world.put(&keys[1], &after[20..40]).await;
        let outcome = world.run(&[]).await;
        let word = "tells other things than before of some of its 20 known records";
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert_eq!(world.summary().await, of_before);
        match is_packed {
            true => world.bucket.put(&keys[0], gzip(&lines(&ticks[..20]))).await.unwrap(),
            false => world.put(&keys[0], &ticks[..20]).await,
        };
        world.run_ok(&[]).await;
        assert_ne!(world.summary().await, of_before, "{is_wrong_first} {is_packed}");
        let is_right = world.summary().await == world.expected().await;
        assert_eq!(is_right, is_wrong_first, "{is_packed}");
        assert_eq!(world.rows("select status from hour_completeness").await, ["complete"]);
        let outcome = world.run_ok(&[]).await;
        assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
    }
}
