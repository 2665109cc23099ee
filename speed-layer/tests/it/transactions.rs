//! Transactions of producers: committed, aborted, and left open.

use crate::scene::{PATIENCE, Scene, http_address, lag_series, metric, tick};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use testing::eventually;

#[tokio::test]
async fn only_committed_transactions_are_written_and_their_markers_are_no_gap() {
    let scene = Scene::new(1).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    tokio::task::spawn_blocking(move || send_transactions(&brokers, &topic)).await.unwrap();
    let mut speed_layer = scene.start(&[]);
    let written = || async { scene.count("select count(*) from realtime_stock").await == 20 };
    eventually("the two committed transactions", PATIENCE, written).await;

    // The offsets after the last marker are found again after a restart.
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;
    let _speed_layer = scene.start(&[]);
    scene.send_ticks(1, 5).await;
    let sums = "select count(*) from realtime_stock where volume between 10 and 19";
    scene.wait_count("the ticks after it", "select count(*) from realtime_stock", 25).await;
    assert_eq!(scene.count(sums).await, 0, "the aborted transaction was written");
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
}

/// Three transactions of ten ticks each, of which the middle one is aborted.
fn send_transactions(brokers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for transaction in 0..3 {
        producer.begin_transaction().unwrap();
        for number in transaction * 10..transaction * 10 + 10 {
            producer
                .send(BaseRecord::<(), _>::to(topic).partition(0).payload(&tick(number)))
                .unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        match transaction {
            1 => producer.abort_transaction(PATIENCE).unwrap(),
            _ => producer.commit_transaction(PATIENCE).unwrap(),
        }
    }
}

#[tokio::test]
async fn what_was_aborted_and_the_markers_are_no_lag_and_no_gap_when_they_are_removed() {
    let scene = Scene::new(1).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    tokio::task::spawn_blocking(move || send_and_abort(&brokers, &topic)).await.unwrap();
    let mut speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.wait_count("the committed transaction", "select count(*) from realtime_stock", 10).await;
    // Ten ticks, a marker, fifty that were aborted, a marker.
    eventually("the aborted one to be passed over", PATIENCE, || async {
        let (lag, stored) = (
            metric(&address, &lag_series(scene.topic.name(), 0)),
            scene.count("select next_offset from kafka_offsets").await,
        );
        if (lag, stored) == (Some(0), 62) { Ok(()) } else { Err(format!("{lag:?} {stored}")) }
    })
    .await;
    speed_layer.sigterm();
    speed_layer.wait_exit(PATIENCE).await;

    // Retention removes all of it.
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", scene.topic.brokers()).create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(scene.topic.name(), 0, Offset::Offset(62)).unwrap();
    admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
    let speed_layer = scene.start(&[]);
    scene.send_ticks(1, 5).await;
    scene.wait_count("the ticks after it", "select count(*) from realtime_stock", 15).await;
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
    drop(speed_layer);
}

/// Ten ticks that are committed, then fifty that are not.
fn send_and_abort(brokers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for count in [10, 50] {
        producer.begin_transaction().unwrap();
        for number in 0..count {
            producer
                .send(BaseRecord::<(), _>::to(topic).partition(0).payload(&tick(number)))
                .unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        match count {
            10 => producer.commit_transaction(PATIENCE).unwrap(),
            _ => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_transaction_that_hangs_open_is_named_and_its_ticks_come_when_it_ends() {
    let scene = Scene::new(1).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    let begun = tokio::task::spawn_blocking(move || begin(&brokers, &topic)).await.unwrap();
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    // It may last a minute before it counts as hanging.
    let line =
        speed_layer.wait_stderr("an open transaction holds up the messages", PATIENCE * 2).await;
    assert!(
        line.contains("from offset 0 on, 10 so far") && line.contains("transaction.timeout.ms"),
        "{line}"
    );
    assert_eq!(metric(&address, &lag_series(scene.topic.name(), 0)), Some(10));
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 0);
    tokio::task::spawn_blocking(move || begun.commit_transaction(PATIENCE)).await.unwrap().unwrap();
    scene.wait_count("its ticks", "select count(*) from realtime_stock", 10).await;
    let over = format!("{}/0: the open transaction has ended after ", scene.topic.name());
    speed_layer.wait_stderr(&over, PATIENCE).await;
}

/// A transaction of ten ticks that its producer leaves open.
fn begin(brokers: &str, topic: &str) -> BaseProducer {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("transactional.id", topic)
        .set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = settings.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for number in 0..10 {
        producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload(&tick(number))).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    producer
}
