//! Messages of megabytes, and markets of tens of thousands of symbols.

use crate::scene::{PATIENCE, Scene, tick};
use sha2::{Digest, Sha256};
use testing::kafka::{Outgoing, Sender, client_config};
use testing::{TestMessage, eventually};

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
    scene.topic.produce([TestMessage::new(0, tick(0))]).await;
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
    scene.topic.produce([TestMessage::new(0, tick(2))]).await;
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

/// The most memory that the process has had, in megabytes.
fn peak_megabytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_market_of_many_symbols_is_written_well_below_the_shipped_limit_of_memory() {
    const SYMBOLS: i64 = 26_000;
    const MINUTES: i64 = 5;
    let scene = Scene::new(1).await;
    for minute in 0..MINUTES {
        let value = |symbol: i64| {
            format!(
                r#"{{"symbol":"S{symbol}","timestamp":"2025-06-06T10:{minute:02}:01-04:00","open":201.5,"close":201.25,"volume":{symbol}}}"#
            )
        };
        scene.topic.produce((0..SYMBOLS).map(|symbol| TestMessage::new(0, value(symbol)))).await;
    }
    let speed_layer = scene.start(&[]);
    eventually("every tick", PATIENCE, || async {
        scene.count("select coalesce(sum(next_offset), 0)::bigint from kafka_offsets").await
            == SYMBOLS * MINUTES
    })
    .await;
    let peak = peak_megabytes(speed_layer.pid());
    assert!(peak < 200, "{peak} MB");
    let bars = "select count(*) from minute_bars where ticks = 1";
    assert_eq!(scene.count(bars).await, SYMBOLS * MINUTES);
    let hours =
        "select count(*) from hour_bars where ticks = 5 and volume = 5 * substr(symbol, 2)::bigint";
    assert_eq!(scene.count(hours).await, SYMBOLS);
}
