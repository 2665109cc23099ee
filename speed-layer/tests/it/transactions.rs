use crate::scene::{PATIENCE, Scene, tick};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;
use workbench::testing::eventually;

#[tokio::test]
async fn only_committed_transactions_are_written_and_their_markers_are_no_gap() {
    let scene = Scene::new(1).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    tokio::task::spawn_blocking(move || send_transactions(&brokers, &topic)).await.unwrap();
    let mut speed_layer = scene.start(&[]);
    let written = || async { scene.count("select count(*) from realtime_stock").await == 20 };
    eventually("the two committed transactions", PATIENCE, written).await;

    // The offsets behind the last marker are found again after a restart.
    speed_layer.sigterm();
    speed_layer.wait_exit(Duration::from_secs(10)).await;
    let _speed_layer = scene.start(&[]);
    scene.send_ticks(1, 5).await;
    let sums = "select count(*) from realtime_stock where volume between 10 and 19";
    eventually("the ticks after it", PATIENCE, || async {
        scene.count("select count(*) from realtime_stock").await == 25
    })
    .await;
    assert_eq!(scene.count(sums).await, 0, "the aborted transaction was written");
    assert_eq!(scene.count("select count(*) from kafka_gaps").await, 0);
}

/// Three transactions of ten ticks each, of which the middle one is aborted.
fn send_transactions(brokers: &str, topic: &str) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("transactional.id", topic).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for transaction in 0..3 {
        producer.begin_transaction().unwrap();
        for number in transaction * 10..transaction * 10 + 10 {
            producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload(&tick(number))).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        match transaction {
            1 => producer.abort_transaction(PATIENCE).unwrap(),
            _ => producer.commit_transaction(PATIENCE).unwrap(),
        }
    }
}
