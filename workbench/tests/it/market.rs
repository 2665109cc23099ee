//! The simulator and the report.

use crate::pipeline::{BACKFILL, PATIENCE, Pipeline, simulate, workbench};
use common::Timestamp;
use common::decode::{Decoder, RecordContext, Rules};
use rdkafka::Message;
use std::process::Command;
use std::time::Duration;
use testing::{Child, TestDatabase, TestTopic};

#[tokio::test]
async fn a_simulated_market_has_the_messages_that_its_last_line_counts() {
    let topic = TestTopic::create(3).await;
    let totals = simulate(&topic, &BACKFILL).await;
    let records = read(&topic);
    let count = |name: &str| usize::try_from(totals[name].as_u64().unwrap()).unwrap();
    assert_eq!(count("messages"), 3000);
    assert_eq!(records.len(), 3000);
    assert_eq!(count("valid") + count("broken"), 3000);
    let per_partition: Vec<i64> =
        totals["per_partition"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    assert_eq!(per_partition, topic.high_watermarks().await);
    assert!(per_partition.iter().all(|count| *count > 0), "{per_partition:?}");
    let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
    let rejected = records.iter().filter(|record| {
        decoder
            .decode(record.value.as_deref().unwrap_or_default(), &RecordContext::NOTHING)
            .is_err()
    });
    assert_eq!(rejected.count(), count("broken"));
}

#[tokio::test]
async fn a_simulator_that_waits_for_brokers_says_so_and_ends_on_sigterm() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workbench"));
    command.args(["simulate", "--ticks", "1", "--kafka-brokers", "127.0.0.1:1"]);
    let mut child = Child::spawn(command);
    child.wait_stderr("no Kafka broker answers at 127.0.0.1:1", PATIENCE).await;
    child.sigterm();
    assert_eq!(child.wait_exit(Duration::from_secs(10)).await.code(), Some(1));
}

#[tokio::test]
async fn the_same_seed_sends_the_same_messages_to_the_same_partitions() {
    let (one, other) = (TestTopic::create(3).await, TestTopic::create(3).await);
    simulate(&one, &BACKFILL).await;
    simulate(&other, &BACKFILL).await;
    assert_eq!(read(&one), read(&other));
}

#[tokio::test]
async fn a_report_shows_counts_closes_and_reasons() {
    let Pipeline { topic, database, .. } = Pipeline::of_a_market().await;
    let mut command = workbench(&topic, "report");
    command.env("DATABASE_URL", database.url());
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let page = child.stdout().join("\n");
    for wanted in ["0 behind the topic's 2 partitions", "AAPL", "bad_price", "HOURLY SUMMARIES"] {
        assert!(page.contains(wanted), "{wanted}:\n{page}");
    }
}

#[tokio::test]
async fn a_report_on_a_database_without_tables_says_how_to_get_them() {
    let (topic, database) = (TestTopic::create(1).await, TestDatabase::create().await);
    let mut command = workbench(&topic, "report");
    command.env("DATABASE_URL", database.url());
    let mut child = Child::spawn(command);
    assert_eq!(child.wait_exit(PATIENCE).await.code(), Some(1));
    assert!(child.stderr().join("\n").contains("--migrations only"), "{:?}", child.stderr());
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    timestamp: Option<i64>,
}

/// Every record of the topic, by partition and offset.
pub fn read(topic: &TestTopic) -> Vec<Read> {
    let mut records = Vec::new();
    let reading = topic.read(|message| {
        records.push(Read {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            timestamp: message.timestamp().to_millis(),
        });
        Ok(())
    });
    reading.unwrap();
    records.sort();
    records
}
