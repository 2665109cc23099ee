//! Messages of megabytes.

use crate::scene::{Scene, tick};
use sha2::{Digest, Sha256};
use testing::Record;
use testing::kafka::{Outgoing, Sender, client_config};

const LENGTH: usize = 2_000_000;

/// A valid tick, but for its length.
fn large_tick() -> Vec<u8> {
    let mut value = tick(1).into_bytes();
    value.pop();
    value.extend_from_slice(b",\"note\":\"");
    value.resize(LENGTH - 2, b'x');
    value.extend_from_slice(b"\"}");
    value
}

#[tokio::test]
async fn a_value_of_two_megabytes_is_kept_aside_in_part_with_its_length_and_hash() {
    let scene = Scene::with_topic(&[("max.message.bytes", "4000000")]).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    scene.topic.produce([Record::new(0, tick(0))]).await;
    tokio::task::spawn_blocking(move || {
        let mut config = client_config(&brokers);
        config.set("message.max.bytes", "4000000");
        let sender = Sender::new(config, &topic).unwrap();
        sender
            .send(Outgoing {
                partition: Some(0),
                value: Some(&large_tick()),
                ..Outgoing::default()
            })
            .unwrap();
        sender.finish(crate::scene::PATIENCE).unwrap();
    })
    .await
    .unwrap();
    scene.topic.produce([Record::new(0, tick(2))]).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;

    let (reason, kept, length, hash): (String, i32, i64, Vec<u8>) = sqlx::query_as(
        "select reason, length(value), value_bytes::bigint, value_sha256 from rejected_ticks",
    )
    .fetch_one(scene.database.pool())
    .await
    .unwrap();
    assert_eq!((reason.as_str(), length), ("too_large", LENGTH as i64));
    assert_eq!(kept, 16 * 1024);
    assert_eq!(hash, Sha256::digest(large_tick()).to_vec());
}
