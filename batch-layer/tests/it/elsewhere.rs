//! Another bucket than the one that the known objects lie in: a wrong one, a copy, and one to which
//! the archive has moved.

use crate::support::{DAY, World, key, key_of, lines, some_ticks, ticks_of};
use crate::verify::verify;
use common::Timestamp;
use hourly::hour::Hour;
use testing::TestBucket;

const AT_TEN: [&str; 2] = ["--hour", "2025-06-02T10"];
const DELETED: &str = "select count(*) from deleted_objects";

/// Hours 9 and 10 of the tests' day, as they were computed, and a bucket that has nothing of them.
async fn computed() -> (World, TestBucket) {
    let world = World::with_hours(9..11, 1, 20).await;
    world.run_ok(&DAY).await;
    (world, TestBucket::create().await)
}

#[tokio::test]
async fn a_bucket_that_has_none_of_the_known_objects_is_refused_and_changes_nothing() {
    let (world, other) = computed().await;
    let recent = Hour::of(Timestamp::now()).plus(-3);
    world.put(&key_of(recent, 0, 30_000), &ticks_of(recent, 0, 30_000, 10)).await;
    world.run_ok(&[]).await;
    let before = world.footprint().await;
    let (ours, theirs) = (world.bucket.name(), other.name());
    for flags in [
        &[][..],
        &DAY,
        &[&DAY[..], &["--recompute"]].concat(),
        &AT_TEN,
        &[&AT_TEN[..], &["--allow-shrink"]].concat(),
        &[&AT_TEN[..], &["--allow-shrink", "--recompute"]].concat(),
        &[&DAY[..], &["--dry-run"]].concat(),
    ] {
        let outcome = world.run(&[flags, &["--bucket", theirs]].concat()).await;
        assert_eq!(outcome.code, 2, "{flags:?}: {}", outcome.stderr);
        for word in [
            &*format!("computed from s3://{ours}/, and s3://{theirs}/ has none of them"),
            &format!("Give --bucket {ours} where they still lie there"),
            "--archive-moved says so",
        ] {
            assert!(outcome.stderr.contains(word), "{flags:?}: {}", outcome.stderr);
        }
        assert_eq!(world.footprint().await, before, "{flags:?}");
        assert_eq!(world.number(DELETED).await, 0, "{flags:?}");
    }
}

/// Nothing is left of its objects that could be looked for.
#[tokio::test]
async fn an_hour_whose_objects_have_expired_is_not_emptied_from_another_bucket() {
    let (world, other) = computed().await;
    for hour in 9..11 {
        world.expire(&key(hour, 0, hour * 1000)).await;
    }
    world.run_ok(&DAY).await;
    let before = world.footprint().await;
    let shrink = [&AT_TEN[..], &["--allow-shrink", "--bucket", other.name()]].concat();
    let outcome = world.run(&shrink).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Give --bucket "), "{}", outcome.stderr);
    assert_eq!(world.footprint().await, before);
}

#[tokio::test]
async fn an_archive_that_was_copied_is_read_on_where_it_lies_now() {
    let (world, other) = computed().await;
    for hour in 9..11 {
        let text = lines(&some_ticks(hour, 0, hour * 1000, 20));
        other.put(&key(hour, 0, hour * 1000), text).await.unwrap();
    }
    let ticks = some_ticks(11, 0, 11_000, 20);
    other.put(&key(11, 0, 11_000), lines(&ticks)).await.unwrap();
    world.insert_realtime(&ticks).await;
    let outcome = world.run_ok(&[&DAY[..], &["--bucket", other.name()]].concat()).await;
    assert!(outcome.stderr.contains("1 hour computed"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number(DELETED).await, 0);
}

#[tokio::test]
async fn an_archive_that_moved_without_its_objects_is_one_when_a_person_says_so() {
    let (world, other) = computed().await;
    let before = world.summary().await;
    let there = [&DAY[..], &["--bucket", other.name()]].concat();
    let outcome = world.run_ok(&[&there[..], &["--archive-moved"]].concat()).await;
    assert!(outcome.stderr.contains("1 object is gone from the archive"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before, "what is known stays");
    let ticks = some_ticks(11, 0, 11_000, 20);
    other.put(&key(11, 0, 11_000), lines(&ticks)).await.unwrap();
    world.insert_realtime(&ticks).await;
    world.run_ok(&there).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn verify_names_the_bucket_that_is_to_be_given_before_it_names_a_remedy() {
    let (world, other) = computed().await;
    let outcome = verify(&world, &[&AT_TEN[..], &["--bucket", other.name()]].concat()).await;
    let word = format!(
        "and not from s3://{}/: give --bucket {}; only where the archive has moved for good, batch-layer --recompute",
        other.name(),
        world.bucket.name()
    );
    assert!(outcome.stdout.contains(&word), "{}{}", outcome.stdout, outcome.stderr);
    let wrong = "the archive has 0: run batch-layer over this hour";
    assert!(!outcome.stdout.contains(wrong), "{}", outcome.stdout);
}
