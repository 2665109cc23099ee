//! A broker that lets the speed layer read only so fast.

use crate::outages::RECOVERY;
use crate::scene::{PATIENCE, Scene, http_address, lag_series, metric, tick, wait_ready};
use std::time::{Duration, Instant};
use testing::kafka::{Outgoing, Sender, client_config};
use testing::{ReadQuota, eventually};

/// About 1,700 ticks a second. Much less would keep the reader waiting long after the quota is
/// lifted: an answer that was too large is paid for by a pause that nothing ends, here of 1.3 s for
/// the 256 KiB that are asked for at once.
const BYTES_PER_SECOND: u32 = 200_000;

const TICKS: i64 = 100_000;

/// The broker gives a batch of messages whole, however large, so they are sent in small ones.
const AT_ONCE: i64 = 1_000;

/// Kafka lets through what it owes for ten seconds before it slows a reader down.
const BURST: i64 = 25_000;

/// Takes six seconds at the quota, and a moment without.
const SLOW: i64 = 10_000;

#[tokio::test]
async fn a_throttled_instance_lives_within_its_memory_and_catches_up_once_the_quota_is_lifted() {
    // The quota counts bytes on the wire: they shall be those of the ticks.
    let scene = Scene::with_topic(&[("compression.type", "uncompressed")]).await;
    let quota = ReadQuota::set(BYTES_PER_SECOND);
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    tokio::task::spawn_blocking(move || send(&brokers, &topic)).await.unwrap();
    let client_id = format!("client.id={}", quota.client_id());
    let mut speed_layer = scene.start(&["--kafka-property", &client_id]);
    let address = http_address(&speed_layer).await;

    wait_written(&scene, BURST).await;
    let begun = Instant::now();
    wait_written(&scene, BURST + SLOW).await;
    assert!(begun.elapsed() > Duration::from_secs(3), "it is not throttled: {:?}", begun.elapsed());
    let lag = metric(&address, &lag_series(scene.topic.name(), 0)).unwrap();
    assert!(lag > 0, "monitors must see that it is behind");
    wait_ready(&address, 200).await;

    quota.lift();
    let lifted = Instant::now();
    scene.wait_all_in().await;
    assert!(lifted.elapsed() < RECOVERY, "{:?}", lifted.elapsed());
    let memory = metric(&address, "speed_layer_resident_memory_bytes").unwrap();
    assert!(memory < 100_000_000, "{memory} bytes");
    assert_eq!(speed_layer.exit_status(), None);
    scene.assert_each_once().await;
}

fn send(brokers: &str, topic: &str) {
    let sender = Sender::new(client_config(brokers), topic).unwrap();
    for number in 1..=TICKS {
        sender
            .send(Outgoing { value: Some(tick(number).as_bytes()), ..Outgoing::default() })
            .unwrap();
        if number % AT_ONCE == 0 {
            sender.finish(PATIENCE).unwrap();
        }
    }
}

async fn wait_written(scene: &Scene, count: i64) {
    eventually("so many ticks to be written", PATIENCE, || async {
        let seen = scene.count("select count(*) from realtime_stock").await;
        if seen >= count { Ok(()) } else { Err(format!("{seen} of {count}")) }
    })
    .await;
}
