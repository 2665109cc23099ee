//! A market of a million messages through one instance of the speed layer.

use crate::pipeline::{PATIENCE, Pipeline};
use std::collections::BTreeMap;
use testing::kafka::{Outgoing, Sender, client_config};
use workbench::simulate::Shape;
use workbench::simulate::feed::{Feed, Kind, Pace, Plan, Volumes};

const MESSAGES: u64 = 1_000_000;

/// How many messages are in a table, how many places those are, and how far the stored offsets are.
const WRITTEN: &str = "
    with places as (
        select kafka_partition, kafka_offset from realtime_stock
        union all select kafka_partition, kafka_offset from rejected_ticks
    )
    select count(*), count(distinct (kafka_partition, kafka_offset)),
           (select sum(next_offset)::bigint from kafka_offsets)
    from places";

#[tokio::test]
async fn a_million_messages_of_both_shapes_are_each_in_one_table_with_the_right_reason() {
    let pipeline = Pipeline::with_partitions(4).await;
    let (brokers, topic) = (pipeline.topic.brokers().to_owned(), pipeline.topic.name().to_owned());
    let sending = tokio::task::spawn_blocking(move || send_market(&brokers, &topic));
    pipeline.write(&[], MESSAGES.cast_signed()).await;
    let expected = sending.await.unwrap();

    let pool = pipeline.database.pool();
    let written: (i64, i64, i64) = sqlx::query_as(WRITTEN).fetch_one(pool).await.unwrap();
    let each_once = MESSAGES.cast_signed();
    assert_eq!(written, (each_once, each_once, each_once));
    assert_eq!(pipeline.topic.high_watermarks().await.iter().sum::<i64>(), each_once);
    let reasons: Vec<(String, i64)> =
        sqlx::query_as("select reason, count(*) from rejected_ticks group by 1")
            .fetch_all(pool)
            .await
            .unwrap();
    let reasons: BTreeMap<String, u64> =
        reasons.into_iter().map(|(reason, n)| (reason, n as u64)).collect();
    assert_eq!(reasons, expected);
}

/// Sends a simulated market and counts what must be rejected, by reason.
fn send_market(brokers: &str, topic: &str) -> BTreeMap<String, u64> {
    let start = 1_749_186_000_000_000;
    let pace = Pace::Spread { start, span: 6 * 3_600_000_000, ticks: MESSAGES };
    let plan = Plan {
        volumes: Volumes { fractional: 0.1, absent: 0.01, ..Volumes::default() },
        late: 0.01,
        broken: 0.001,
        ..Plan::plain(7, 500, Shape::Mixed, pace)
    };
    let mut feed = Feed::new(plan).unwrap();
    let sender = Sender::new(client_config(brokers), topic).unwrap();
    let mut expected = BTreeMap::new();
    while let Some(message) = feed.next_message() {
        if let Kind::Broken(fault) = message.kind {
            *expected.entry(fault.reason().as_str().to_owned()).or_default() += 1;
        }
        sender
            .send(Outgoing {
                key: Some(message.key.as_bytes()),
                value: message.value,
                ..Outgoing::default()
            })
            .unwrap();
    }
    sender.finish(PATIENCE).unwrap();
    expected
}

#[test]
fn in_compose_the_backfill_and_what_follows_are_one_market() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker-compose.yml");
    let compose = std::fs::read_to_string(path).unwrap().replace('=', " ");
    for flag in ["--symbols 25", "--volume-per-second 20000"] {
        assert_eq!(compose.matches(flag).count(), 2, "{flag}");
    }
}
