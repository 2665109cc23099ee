use crate::scene::{Fate, Scene};
use std::collections::BTreeMap;
use workbench::kafka::{Outgoing, Sender, client_config};
use workbench::simulate::Shape;
use workbench::simulate::feed::{Feed, Kind, Pace, Plan, Volumes};

const MESSAGES: u64 = 1_000_000;

#[tokio::test]
async fn a_million_messages_of_both_shapes_are_each_in_one_table_with_the_right_reason() {
    let scene = Scene::new(4).await;
    let (brokers, topic) = (scene.topic.brokers().to_owned(), scene.topic.name().to_owned());
    let _speed_layer = scene.start(&[]);
    let expected = tokio::task::spawn_blocking(move || send_market(&brokers, &topic)).await.unwrap();
    scene.wait_all_in().await;

    let fates = scene.assert_each_once().await;
    let rejected = fates.values().filter(|fate| **fate == Fate::Rejected).count() as u64;
    assert_eq!(fates.len() as u64, MESSAGES);
    assert_eq!(rejected, expected.values().sum::<u64>());
    let reasons: Vec<(String, i64)> = sqlx::query_as("select reason, count(*) from rejected_ticks group by 1")
        .fetch_all(scene.database.pool())
        .await
        .unwrap();
    let reasons: BTreeMap<String, u64> = reasons.into_iter().map(|(reason, n)| (reason, n as u64)).collect();
    assert_eq!(reasons, expected);
}

/// Sends a simulated market and counts what must be rejected, by reason.
fn send_market(brokers: &str, topic: &str) -> BTreeMap<String, u64> {
    let start = 1_749_186_000_000_000;
    let plan = Plan {
        seed: 7,
        symbols: 500,
        shape: Shape::Mixed,
        high_low: false,
        volumes: Volumes { fractional: 0.1, absent: 0.01 },
        late: 0.01,
        broken: 0.001,
        pace: Pace::Spread { start, span: 6 * 3_600_000_000, ticks: MESSAGES },
    };
    let mut feed = Feed::new(plan).unwrap();
    let sender = Sender::new(client_config(brokers), topic).unwrap();
    let mut expected = BTreeMap::new();
    while let Some(message) = feed.next_message() {
        if let Kind::Broken(fault) = message.kind {
            *expected.entry(fault.reason().as_str().to_owned()).or_default() += 1;
        }
        sender
            .send(Outgoing { key: Some(message.key.as_bytes()), value: message.value, ..Outgoing::default() })
            .unwrap();
    }
    sender.finish(crate::scene::PATIENCE).unwrap();
    expected
}
