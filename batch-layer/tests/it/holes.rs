//! Offsets between archived ones that the archive does not show, where there is no speed layer that
//! knows them.

use crate::completeness::insert_speed;
use crate::support::{self, Tick, World, key_of, lines};
use common::Timestamp;
use hourly::hour::Hour;

/// Ticks of one partition whose offsets follow one another from hour to hour, 20 in each: of the
/// hour `back` hours ago.
fn ticks_of(back: i64) -> (Hour, Vec<Tick>) {
    let hour = Hour::of(Timestamp::now()).plus(-back);
    (hour, support::ticks_of(hour, 0, (1000 - back) * 20, 20))
}

async fn put(world: &World, back: i64) {
    let (hour, ticks) = ticks_of(back);
    world.put(&key_of(hour, 0, ticks[0].offset), &ticks).await;
}

/// As if so many hours had gone by since.
async fn wait(world: &World, hours: i64) {
    world
        .execute(&format!(
            "update batch_runs set (started_at, finished_at, first_hour, end_hour)
                 = (started_at - interval '{hours} hours', finished_at - interval '{hours} hours',
                    first_hour - interval '{hours} hours', end_hour - interval '{hours} hours');
             update archive_hours set listed_at = listed_at - interval '{hours} hours'"
        ))
        .await;
}

async fn incomplete(world: &World) -> Vec<String> {
    let query = "select concat_ws(' ', hour, reason) from hour_completeness where status = 'incomplete' order by hour";
    world.rows(query).await
}

async fn incomplete_hours(world: &World) -> Vec<i64> {
    let query =
        "select (extract(epoch from date_trunc('hour', now()) - hour) / 3600)::bigint::text from hour_completeness
                 where status = 'incomplete' order by hour";
    world.rows(query).await.iter().map(|hours| hours.parse().unwrap()).collect()
}

#[tokio::test]
async fn offsets_of_an_hour_that_is_not_written_yet_are_missing_to_nobody() {
    let world = World::create().await;
    put(&world, 2).await;
    // Those of the hour that is not over, and behind them late ones.
    put(&world, 0).await;
    let (late, ticks) = ticks_of(2);
    let moved = Tick { offset: 1_000 * 20 + 20, ..ticks[0].clone() };
    world.put(&key_of(late, 0, moved.offset), std::slice::from_ref(&moved)).await;
    world.run_ok(&[]).await;
    assert!(!incomplete(&world).await.iter().any(|why| why.contains("19980 to 20019")));
    let missing =
        world.rows("select concat(first_offset, ' ', last_offset) from missing_offsets").await;
    assert_eq!(missing, ["19980 19999"], "the hour between them");
}

#[tokio::test]
async fn an_hour_that_is_missing_between_archived_ones_is_looked_for_until_its_object_comes_however_late()
 {
    let world = World::create().await;
    for back in [9, 8, 6, 5] {
        put(&world, back).await;
    }
    let outcome = world.run_ok(&["--lookback", "10h"]).await;
    assert!(
        outcome.stderr.contains("are incomplete (view hour_completeness)"),
        "{}",
        outcome.stderr
    );
    assert_eq!(incomplete_hours(&world).await, [8, 7, 6]);
    let said = "20 offsets between archived ones are missing: 19860 to 19879 of partition 0 of stock_prices";
    assert!(
        incomplete(&world).await.iter().all(|why| why.ends_with(said)),
        "{:?}",
        incomplete(&world).await
    );

    // Days later it is found, far behind the window.
    put(&world, 7).await;
    wait(&world, 2).await;
    world.run_ok(&["--lookback", "2h"]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
    assert_eq!(world.number("select count(*) from batch_hours").await, 5);
    assert_eq!(world.number("select count(*) from missing_offsets").await, 0);
}

#[tokio::test]
async fn a_line_whose_offset_is_far_from_all_others_leaves_one_hole_and_ends_no_run() {
    let world = World::create().await;
    let (hour, mut ticks) = ticks_of(5);
    let far = (1 << 48) - 1;
    ticks[19].offset = far;
    world.put(&key_of(hour, 0, ticks[0].offset), &ticks).await;
    world.run_ok(&["--lookback", "10h"]).await;
    let holes = "select concat_ws(' ', first_offset, last_offset, offsets) from missing_offsets";
    let first = ticks[18].offset + 1;
    let hole = format!("{first} {} {}", far - 1, far - first);
    assert_eq!(world.rows(holes).await, [hole]);
    assert_eq!(incomplete_hours(&world).await, [5]);
}

#[tokio::test]
async fn an_offset_that_no_broker_gives_is_no_hole_and_a_run_names_one_object_with_such() {
    let world = World::create().await;
    for (back, strange) in [(5, 0), (4, 19)] {
        let (hour, mut ticks) = ticks_of(back);
        let key = key_of(hour, 0, ticks[0].offset);
        ticks[strange].offset = (1 << 48) + back;
        world.put(&key, &ticks).await;
    }
    let outcome = world.run_ok(&["--lookback", "10h"]).await;
    let said = ".json: 1 tick has an offset that no broker can assign (below zero, or of 2^48 and \
                more), which counts as none";
    assert_eq!(outcome.stderr.matches(said).count(), 1, "{}", outcome.stderr);
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 40);
    assert_eq!(world.number("select count(*) from missing_offsets").await, 0);
    assert_eq!(incomplete(&world).await, [""; 0]);
}

/// An hour's ticks, of which the archive lacks the sixth to the eighth.
async fn put_with_hole(world: &World) -> (Hour, Vec<Tick>) {
    let (hour, ticks) = ticks_of(5);
    let start = ticks[0].offset;
    world.put(&key_of(hour, 0, start), &ticks[..5]).await;
    world.put(&key_of(hour, 0, start + 8), &ticks[8..]).await;
    (hour, ticks)
}

#[tokio::test]
async fn some_lines_that_are_missing_within_an_hour_make_it_incomplete_until_they_come() {
    let world = World::create().await;
    let (hour, ticks) = put_with_hole(&world).await;
    let start = ticks[0].offset;
    world.run_ok(&[]).await;
    assert_eq!(incomplete_hours(&world).await, [5]);
    let range = format!("{} to {}", start + 5, start + 7);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
    world.put(&key_of(hour, 0, start + 5), &ticks[5..7]).await;
    world.run_ok(&[]).await;
    let last = format!("1 offset between archived ones is missing: {} of partition 0", start + 7);
    assert!(incomplete(&world).await[0].contains(&last), "{:?}", incomplete(&world).await);
    world.put(&key_of(hour, 0, start + 7), &ticks[7..8]).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
}

/// Clocks of producers differ, and so may those of a sink's tasks.
#[tokio::test]
async fn what_is_missing_before_an_offset_of_an_earlier_folder_is_found() {
    let world = World::create().await;
    let ((earlier, before), (hour, ticks)) = (ticks_of(6), ticks_of(5));
    let start = ticks[0].offset;
    world.put(&key_of(hour, 0, start), &ticks[..1]).await;
    let mut late = before[19].clone();
    late.offset = start + 10;
    world.put(&key_of(earlier, 0, before[0].offset), &before).await;
    world.put(&key_of(earlier, 0, late.offset), &[late]).await;
    world.put(&key_of(hour, 0, start + 11), &ticks[11..]).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete_hours(&world).await, [6, 5]);
    let range = format!("{} to {} of partition 0", start + 1, start + 9);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
    world.put(&key_of(hour, 0, start + 1), &ticks[1..10]).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
}

/// A producer that sends history behind the live ticks, of which an object is lost: 50 offsets from
/// the one on that this gives. The key of the live ticks is the other.
async fn put_history_with_hole(world: &World) -> (i64, String) {
    let ((_, mut history), (hour, ticks)) = (ticks_of(50), ticks_of(5));
    let live = key_of(hour, 0, ticks[0].offset);
    world.put(&live, &ticks).await;
    let next = ticks[19].offset + 1;
    (next + 50..).zip(&mut history).for_each(|(offset, tick)| tick.offset = offset);
    world.put(&key_of(ticks_of(50).0, 0, history[0].offset), &history).await;
    (next, live)
}

#[tokio::test]
async fn what_is_missing_before_history_that_was_sent_later_is_found() {
    let world = World::create().await;
    let (next, _) = put_history_with_hole(&world).await;
    world.run_ok(&["--lookback", "60h"]).await;
    // What is missing goes on behind the live ticks, or comes before the history: not in between.
    assert_eq!(incomplete_hours(&world).await, [50, 5]);
    let range = format!("{} to {} of partition 0", next, next + 49);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
}

#[tokio::test]
async fn what_was_found_missing_stays_so_when_the_objects_beside_it_are_gone() {
    let world = World::create().await;
    let (next, live) = put_history_with_hole(&world).await;
    world.run_ok(&["--lookback", "60h"]).await;
    let hours = incomplete_hours(&world).await;
    world.expire(&live).await;
    world.run_ok(&["--lookback", "60h"]).await;
    // A late tick has the hour looked through once more.
    let (hour, mut ticks) = ticks_of(5);
    ticks[3].offset = next + 70;
    world.put(&key_of(hour, 0, next + 70), &ticks[3..4]).await;
    world.run_ok(&["--lookback", "60h"]).await;
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 41);
    assert_eq!(incomplete_hours(&world).await, hours);
    let range = format!("{} to {} of partition 0", next, next + 49);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
    // Some of it comes: the rest has another neighbour.
    let (earlier, mut found) = ticks_of(50);
    found.truncate(10);
    (next + 40..).zip(&mut found).for_each(|(offset, tick)| tick.offset = offset);
    world.put(&key_of(earlier, 0, next + 40), &found).await;
    world.run_ok(&["--lookback", "60h"]).await;
    assert_eq!(incomplete_hours(&world).await, hours);
    let range = format!("{} to {} of partition 0", next, next + 39);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
}

#[tokio::test]
async fn what_was_found_missing_is_no_new_topics_though_another_object_of_the_hour_is_an_old_one() {
    let world = World::create().await;
    let ((earlier, mut own), (hour, mut found)) = (ticks_of(50), ticks_of(5));
    let start = found[0].offset;
    own.truncate(3);
    (start - 3..).zip(&mut own).for_each(|(offset, tick)| tick.offset = offset);
    world.put(&key_of(earlier, 0, start - 3), &own).await;
    let (next, _) = put_history_with_hole(&world).await;
    world.run_ok(&["--lookback", "60h"]).await;
    assert_eq!(incomplete_hours(&world).await, [50, 5]);
    // The old hour has an object that was stored in its time, and loses that of the history.
    world
        .execute(&format!(
            "update archive_objects set last_modified = now() - interval '49 hours' where key = '{}'",
            key_of(earlier, 0, start - 3)
        ))
        .await;
    world.expire(&key_of(earlier, 0, next + 50)).await;
    // Some of what is missing comes: the rest has another neighbour before it.
    found.truncate(5);
    (next..).zip(&mut found).for_each(|(offset, tick)| tick.offset = offset);
    world.put(&key_of(hour, 0, next), &found).await;
    world.run_ok(&["--lookback", "60h"]).await;
    let range = format!("{} to {} of partition 0", next + 5, next + 49);
    assert_eq!(incomplete_hours(&world).await, [50, 5]);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
    // And what replaces that lacks two more, which were taken out: the hole grows no further.
    world.put(&key_of(hour, 0, next), &found[..3]).await;
    world.run_ok(&["--lookback", "60h"]).await;
    assert_eq!(incomplete_hours(&world).await, [50, 5]);
}

#[tokio::test]
async fn a_hole_is_not_filled_by_a_new_topics_records_of_the_same_numbers() {
    let world = World::create().await;
    for back in [9, 7] {
        put(&world, back).await;
    }
    world.run_ok(&["--lookback", "10h"]).await;
    assert_eq!(incomplete_hours(&world).await, [9, 8, 7]);
    let before = incomplete(&world).await;
    world.execute("update archive_objects set last_modified = now() - interval '6 hours'").await;
    let ((_, old), (hour, mut new)) = (ticks_of(8), ticks_of(2));
    new.iter_mut().zip(&old).for_each(|(new, old)| new.offset = old.offset);
    world.put(&key_of(hour, 0, new[0].offset), &new).await;
    for _ in 0..2 {
        world.run_ok(&["--lookback", "10h"]).await;
        assert_eq!(incomplete(&world).await, before);
        assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 60);
    }
    // Some of what is missing comes, and then all.
    world.put(&key_of(ticks_of(8).0, 0, old[0].offset), &old[..5]).await;
    world.run_ok(&["--lookback", "10h"]).await;
    let range = format!("{} to {} of partition 0", old[5].offset, old[19].offset);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
    put(&world, 8).await;
    world.run_ok(&["--lookback", "10h"]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
    assert_eq!(world.number("select count(*) from missing_offsets").await, 0);
}

/// A producer that was offline sends what its sink writes at once; the others' objects of that time
/// are longer in the writing.
#[tokio::test]
async fn a_hole_before_a_late_tick_is_filled_by_the_ticks_of_the_time_that_it_came_at() {
    let world = World::create().await;
    let ((earlier, before), (hour, mut live)) = (ticks_of(9), ticks_of(5));
    let start = before[0].offset;
    let mut late = before[19].clone();
    late.offset = start + 30;
    world.put(&key_of(earlier, 0, start), &before[..10]).await;
    world.put(&key_of(earlier, 0, late.offset), &[late]).await;
    world.run_ok(&["--lookback", "10h"]).await;
    assert_eq!(incomplete_hours(&world).await, [9]);
    (start + 10..).zip(&mut live).for_each(|(offset, tick)| tick.offset = offset);
    world.put(&key_of(hour, 0, start + 10), &live).await;
    world.run_ok(&["--lookback", "10h"]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
}

#[tokio::test]
async fn what_no_run_has_looked_at_is_not_missing() {
    let world = World::create().await;
    for back in [9, 5] {
        put(&world, back).await;
        world.run_ok(&["--hour", &ticks_of(back).0.start().to_string()]).await;
    }
    assert_eq!(incomplete(&world).await, [""; 0]);
    // A run that looks at all of it finds that nothing is there.
    world.run_ok(&["--lookback", "20h"]).await;
    assert_eq!(incomplete_hours(&world).await, [9, 8, 7, 6, 5]);
}

#[tokio::test]
async fn a_line_that_is_no_tick_is_not_missing_and_what_was_taken_out_neither() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5);
    let start = ticks[0].offset;
    let broken =
        format!("{{\"symbol\":\"\",\"kafka_partition\":0,\"kafka_offset\":{}}}\n", start + 5);
    let text = lines(&ticks[..5]) + &broken + &lines(&ticks[6..]);
    world.bucket.put(&key_of(hour, 0, start), text.clone()).await.unwrap();
    world.run_ok(&[]).await;
    assert_eq!(
        world
            .number("select count(*) from rejected_archive_lines where kafka_offset is not null")
            .await,
        1
    );
    assert_eq!(incomplete(&world).await, [""; 0]);
    let corrected = lines(&ticks[..5]) + &broken + &lines(&ticks[10..]);
    world.bucket.put(&key_of(hour, 0, start), corrected).await.unwrap();
    let outcome = world.run_ok(&[]).await;
    assert!(outcome.stderr.contains("4 of 19 records are taken out"), "{}", outcome.stderr);
    assert_eq!(incomplete(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_message_whose_elements_are_no_ticks_is_not_missing() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5);
    let start = ticks[0].offset;
    let broken = format!(
        "{{\"data\":[{{\"symbol\":\"A\"}},{{}}],\"kafka_partition\":0,\"kafka_offset\":{}}}\n",
        start + 5
    );
    let text = lines(&ticks[..5]) + &broken + &lines(&ticks[6..]);
    world.bucket.put(&key_of(hour, 0, start), text).await.unwrap();
    world.run_ok(&["--each", "data"]).await;
    let places = "select concat_ws(' ', kafka_partition, kafka_offset, element) from rejected_lines order by element";
    let at = |element: u16| format!("0 {} {element}", start + 5);
    assert_eq!(world.rows(places).await, [at(0), at(1)]);
    assert_eq!(incomplete(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_person_may_say_that_nothing_is_missing() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5);
    let start = ticks[0].offset;
    world.put(&key_of(hour, 0, start), &ticks[..5]).await;
    world.put(&key_of(hour, 0, start + 8), &ticks[8..15]).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete_hours(&world).await, [5]);
    world.execute("update missing_offsets set is_accepted = true").await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
    // It stays so when the hour is computed again; what is missing beside is new.
    world.put(&key_of(hour, 0, start + 17), &ticks[17..]).await;
    world.run_ok(&[]).await;
    assert_eq!(world.number("select count(*) from missing_offsets where is_accepted").await, 1);
    let range = format!("{} to {}", start + 15, start + 16);
    assert!(incomplete(&world).await[0].contains(&range), "{:?}", incomplete(&world).await);
}

#[tokio::test]
async fn what_the_speed_layer_has_read_past_is_its_word() {
    let world = World::create().await;
    // Offsets of a transaction's markers, say: the speed layer has no tick there either.
    let (_, ticks) = put_with_hole(&world).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete_hours(&world).await, [5]);
    insert_speed(&world, &[&ticks[..5], &ticks[8..]].concat()).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete(&world).await, [""; 0]);
    assert_eq!(world.number("select count(*) from missing_offsets").await, 0);
}

#[tokio::test]
async fn a_speed_layer_that_began_behind_them_knows_nothing_of_missing_offsets() {
    let world = World::create().await;
    let (_, ticks) = put_with_hole(&world).await;
    insert_speed(&world, &ticks[8..]).await;
    world.run_ok(&[]).await;
    assert_eq!(incomplete_hours(&world).await, [5]);
}

#[tokio::test]
async fn a_run_that_was_killed_before_it_had_looked_is_made_good_by_the_next_one() {
    let world = World::create().await;
    for back in [9, 7] {
        put(&world, back).await;
    }
    world.run_ok(&["--lookback", "10h"]).await;
    world
        .execute("delete from missing_offsets; delete from archive_hours; update hour_spans set gaps_checked = false")
        .await;
    world.run_ok(&["--lookback", "10h"]).await;
    assert_eq!(incomplete_hours(&world).await, [9, 8, 7]);
}
