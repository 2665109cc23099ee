//! Records of which objects tell times of different hours.

use crate::support::{Tick, World, at, key, lines, some_ticks};
use crate::verify::{HOURS, verify};

/// Ten ticks of hour 10, and five of hour 11 of which the first tells the offset of the last one
/// before.
fn overlapping() -> [Vec<Tick>; 2] {
    [some_ticks(10, 0, 0, 10), some_ticks(11, 0, 9, 6)]
}

async fn shared(world: &World) -> Vec<String> {
    world
        .rows(
            "select concat_ws(' ', to_char(hour at time zone 'UTC', 'HH24'), to_char(other_hour at time zone 'UTC', 'HH24'),
                              records, topic, partition, place)
             from shared_records order by hour, other_hour",
        )
        .await
}

#[tokio::test]
async fn a_record_that_objects_tell_two_hours_of_is_said_counted_and_found_by_verify() {
    let [tens, elevens] = overlapping();
    for order in [[0, 1], [1, 0]] {
        let (world, objects) =
            (World::create().await, [(key(10, 0, 0), &tens), (key(11, 0, 9), &elevens)]);
        for number in order {
            let (key, ticks) = &objects[number];
            world.put(key, ticks).await;
            let outcome = world.run_ok(&HOURS).await;
            let other = ["11:00Z", "10:00Z"][number];
            let words = format!(
                "1 record is counted in hour 2025-06-02T{other}, too, offset 9 of partition 0 for one"
            );
            assert_eq!(outcome.stderr.contains(&words), number == order[1], "{}", outcome.stderr);
        }
        assert_eq!(shared(&world).await, ["10 11 1 stock_prices 0 9", "11 10 1 stock_prices 0 9"]);
        assert_eq!(world.number("select sum(conflicts)::bigint from batch_runs").await, 1);
        let outcome = verify(&world, &HOURS).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        for other in ["10:00Z", "11:00Z"] {
            let words = format!(
                "mismatch: 1 record is counted in hour 2025-06-02T{other}, too, offset 9 of partition 0"
            );
            assert!(outcome.stdout.contains(&words), "{}", outcome.stdout);
        }
        // One that is mended is counted once.
        world.put(&key(11, 0, 9), &elevens[1..]).await;
        world.run_ok(&HOURS).await;
        assert_eq!(shared(&world).await, [""; 0]);
        assert!(!verify(&world, &HOURS).await.stdout.contains("counted in hour"));
    }
}

#[tokio::test]
async fn a_record_of_two_hours_that_lie_far_apart_is_found_though_one_has_expired() {
    let world = World::create().await;
    let [tens, _] = overlapping();
    world.put(&key(10, 0, 0), &tens).await;
    world.run_ok(&HOURS).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&HOURS).await;
    world.put(&key(20, 0, 5), &some_ticks(20, 0, 5, 100)).await;
    let later = ["--hour", "2025-06-02T20"];
    let outcome = world.run_ok(&later).await;
    let words =
        "5 records are counted in hour 2025-06-02T10:00Z, too, offset 5 of partition 0 for one";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    let outcome = verify(&world, &later).await;
    assert!(
        outcome.code == 1 && outcome.stdout.contains(words),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
}

#[tokio::test]
async fn ticks_of_one_message_may_be_of_two_hours() {
    let world = World::create().await;
    let ticks = [some_ticks(10, 0, 0, 3), some_ticks(11, 0, 0, 3)];
    let [tens, elevens] = ticks.map(|ticks| lines(&ticks).replace("kafka_", "former_"));
    let message = |(offset, (ten, eleven)): (usize, (&str, &str))| {
        format!("{{\"data\":[{ten},{eleven}],\"kafka_partition\":0,\"kafka_offset\":{offset}}}\n")
    };
    let text: String = tens.lines().zip(elevens.lines()).enumerate().map(message).collect();
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    let outcome = world.run_ok(&[&HOURS[..], &["--each", "data"]].concat()).await;
    assert!(!outcome.stderr.contains("counted in hour"), "{}", outcome.stderr);
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 6);
    assert_eq!(shared(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_has_the_same_offsets_again_for_other_records() {
    let world = World::create().await;
    let [tens, elevens] = overlapping();
    for (id, seen) in [("one", at(9, 0)), ("two", at(10, 59))] {
        world
            .execute(&format!(
                "insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions, first_seen_at)
                 values ('speed-layer', '', 'stock_prices', '{id}', 1, '{seen}')"
            ))
            .await;
    }
    world.put(&key(10, 0, 0), &tens).await;
    world.put(&key(11, 0, 9), &elevens).await;
    let outcome = world.run_ok(&HOURS).await;
    assert!(!outcome.stderr.contains("counted in hour"), "{}", outcome.stderr);
    assert_eq!(shared(&world).await, [""; 0]);
}

#[tokio::test]
async fn an_hour_with_objects_of_a_topic_that_was_made_anew_is_named_and_held_back() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 50)).await;
    world.run_ok(&HOURS).await;
    let before = world.summary().await;
    // The same offsets, and other records: the times of nearly all are others.
    let anew = some_ticks(10, 0, 0, 40);
    world.put(&key(11, 0, 0), &anew).await;
    let outcome = world.run(&HOURS).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let words = "not written, because of 39 records its objects tell different symbols or times, offset 1 of partition 0 among \
                 them: was the topic made anew under the same name?";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    let status =
        "select concat_ws(' ', status, reason) from hour_completeness where status = 'incomplete'";
    assert_eq!(
        world.rows(status).await,
        ["incomplete its objects have changed since it was computed"]
    );
    world.run_ok(&["--hour", "2025-06-02T10", "--allow-shrink"]).await;
    assert_eq!(
        world.rows("select concat_ws(' ', ticks, conflicts) from batch_hours").await,
        ["50 39"]
    );
}
