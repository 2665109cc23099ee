//! Databases, topics and buckets of tests are theirs alone, and go with them.

use sqlx::{Connection, PgConnection};
use std::time::Duration;
use testing::{TestBucket, TestDatabase, TestMessage, TestTopic, eventually, stack};

#[tokio::test]
async fn a_database_of_a_panicking_test_is_gone() {
    let (says_name, name) = tokio::sync::oneshot::channel();
    let test = tokio::spawn(async {
        let database = TestDatabase::create().await;
        let held = database.connection().await;
        says_name.send(database.name().to_owned()).unwrap();
        let _held = held;
        panic!("as a failing test does");
    });
    let name = name.await.unwrap();
    assert!(test.await.is_err());
    let mut server = PgConnection::connect(&stack("STACK_DATABASE_URL")).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = $1")
        .bind(&name)
        .fetch_one(&mut server)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn records_land_on_the_partitions_they_name() {
    let topic = TestTopic::create(3).await;
    let records = [
        TestMessage::new(0, "a").key("k").at(1_748_869_200_000),
        TestMessage::new(2, "b"),
        TestMessage::tombstone(2, "k"),
    ];
    topic.produce(records).await;
    assert_eq!(topic.high_watermarks().await, [1, 0, 2]);
}

#[tokio::test]
async fn a_bucket_lists_what_was_put_and_not_what_was_deleted() {
    let bucket = TestBucket::create().await;
    bucket.put("raw/a.json", "{}\n").await.unwrap();
    bucket.put("raw/b.json", "{}\n{}\n").await.unwrap();
    bucket.put("other", "x").await.unwrap();
    bucket.delete("raw/a.json").await.unwrap();
    let listed = bucket.list("raw/").await.unwrap();
    let seen: Vec<_> = listed.iter().map(|object| (object.key.as_str(), object.size)).collect();
    assert_eq!(seen, [("raw/b.json", 6)]);
    assert_eq!(bucket.get("raw/b.json").await.unwrap(), "{}\n{}\n");
}

#[tokio::test]
async fn a_bucket_goes_with_its_objects() {
    let bucket = TestBucket::create().await;
    bucket.put("left/behind", "x").await.unwrap();
    let (client, name) = (bucket.client().clone(), bucket.name().to_owned());
    drop(bucket);
    eventually("the end of the bucket", Duration::from_secs(10), || async {
        client.head_bucket().bucket(&name).send().await.is_err()
    })
    .await;
}

#[tokio::test]
async fn an_object_that_is_put_in_parts_is_the_one_that_was_put() {
    let bucket = TestBucket::create().await;
    // Two whole parts of eight megabytes and a bit.
    let body: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    bucket.put_in_parts("large", body.clone().into()).await.unwrap();
    assert!(bucket.get("large").await.unwrap() == body);
}
