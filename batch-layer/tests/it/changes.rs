//! What is computed again when the archive changes: those hours, and no others.

use crate::support::{World, at, key, some_ticks};

const DAY: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];

/// A world of the hours 9 to 13 with two objects each, computed.
async fn computed() -> World {
    let world = World::create().await;
    for hour in 9..14 {
        for partition in 0..2 {
            let ticks = some_ticks(hour, partition, hour * 1000, 200);
            world.put(&key(hour, partition, hour * 1000), &ticks).await;
            world.insert_realtime(&ticks).await;
        }
    }
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
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 2", "02T11 by 1", "02T12 by 1", "02T13 by 1"]);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_late_tick_in_a_later_folder_reaches_its_own_hour_outside_of_the_window_too() {
    let world = computed().await;
    // Hour 9's ticks, archived at 13: the run looks at 13 only, and hour 9 must still be computed from everything.
    let late = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &late).await;
    world.insert_realtime(&late).await;
    world.run_ok(&["--hour", "2025-06-02T13"]).await;
    assert_eq!(world.computed_by().await, ["02T09 by 2", "02T10 by 1", "02T11 by 1", "02T12 by 1", "02T13 by 1"]);
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
    // Hour 9 has a tick in hour 10's own folder; hours 8, 11 and 12 were only read for their neighbours' sake.
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
    world.run_ok(&DAY).await;
    assert_eq!(world.computed_by().await[2], "02T11 by 2");
    let ticks = world.number("select ticks from batch_hours where run_id = 2").await;
    assert_eq!(ticks, 60 + 200);
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
    assert_eq!(world.number("select count(*) from hourly_stock_summary where hour = '2025-06-02T13:00Z'").await, 0);
}

#[tokio::test]
async fn of_an_hour_that_lost_an_object_the_rest_counts() {
    let world = computed().await;
    world.bucket.delete(&key(10, 1, 10_000)).await.unwrap();
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("gone from the archive"), "{}", outcome.stderr);
    assert_eq!(world.computed_by().await[1], "02T10 by 2");
    assert_eq!(world.number("select ticks from batch_hours where run_id = 2").await, 200);
}

#[tokio::test]
async fn an_hour_whose_every_object_has_expired_keeps_its_summary() {
    let world = computed().await;
    let before = world.summary().await;
    for partition in 0..2 {
        world.bucket.delete(&key(10, partition, 10_000)).await.unwrap();
    }
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("2025-06-02T10:00Z: all its objects are gone"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    let quiet = world.run_ok(&DAY).await;
    assert!(!quiet.stderr.contains("gone"), "it is said once: {}", quiet.stderr);
}

#[tokio::test]
async fn an_object_that_vanished_unseen_is_left_out_once_its_hour_is_computed_again() {
    let world = computed().await;
    let far = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &far).await;
    world.run_ok(&DAY).await;
    // The index still knows the object in folder 13 when hour 9 gets another one; only reading it tells.
    world.bucket.delete(&key(13, 3, 0)).await.unwrap();
    let late = some_ticks(9, 3, 100, 5);
    world.put(&key(9, 3, 100), &late).await;
    world.insert_realtime(&late).await;
    world.run_ok(&["--hour", "2025-06-02T09"]).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_that_was_replaced_unseen_is_indexed_anew_once_its_hour_is_computed_again() {
    let world = computed().await;
    let far = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &far).await;
    world.run_ok(&DAY).await;
    let other = some_ticks(9, 3, 0, 4);
    world.put(&key(13, 3, 0), &other).await;
    let late = some_ticks(9, 3, 100, 5);
    world.put(&key(9, 3, 100), &late).await;
    world.insert_realtime(&other).await;
    world.insert_realtime(&late).await;
    world.run_ok(&["--hour", "2025-06-02T09"]).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn recompute_computes_an_unchanged_window_again_and_gives_the_same() {
    let world = computed().await;
    let before = world.summary().await;
    world.run_ok(&["--from", "2025-06-02T10", "--to", "2025-06-02T12", "--recompute"]).await;
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T10 by 2", "02T11 by 2", "02T12 by 1", "02T13 by 1"]);
    assert_eq!(world.summary().await, before);
    assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 2 * 2);
}

#[tokio::test]
async fn objects_of_another_prefix_do_not_count_beside_those_of_the_present_one() {
    let world = computed().await;
    let ticks = some_ticks(10, 0, 0, 30);
    world.put(&key(10, 0, 0).replace("raw/", "new/"), &ticks).await;
    let prefix = "new/stock_prices/%Y-%m-%d-%H/";
    world.run_ok(&[&DAY[..], &["--prefix", prefix]].concat()).await;
    assert_eq!(world.number("select ticks from batch_hours where hour = '2025-06-02T10:00Z'").await, 30);
    assert_eq!(world.number("select count(*) from batch_hours where run_id = 2").await, 1);
}
