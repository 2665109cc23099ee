//! The simulator, the replay, the report and the proof, over a pipeline that the test plays itself.

use std::process::Command;
use std::time::Duration;

use common::Timestamp;
use common::decode::{Decoder, ProvenanceNames};
use common::pg::MIGRATOR;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;
use sqlx::PgPool;
use workbench::testing::{Child, TestBucket, TestDatabase, TestTopic};

const PATIENCE: Duration = Duration::from_secs(60);
const BACKFILL: [&str; 14] = [
    "--ticks",
    "3000",
    "--symbols",
    "20",
    "--shape",
    "mixed",
    "--start",
    "2025-06-06T13:30:00Z",
    "--span",
    "2h",
    "--broken",
    "0.05",
    "--late",
    "0.02",
];

#[tokio::test]
async fn a_simulated_market_has_the_messages_that_its_last_line_counts() {
    let topic = TestTopic::create(3).await;
    let totals = simulate(&topic, &BACKFILL).await;
    let records = read(&topic).await;
    let count = |name: &str| usize::try_from(totals[name].as_u64().unwrap()).unwrap();
    assert_eq!(count("messages"), 3000);
    assert_eq!(records.len(), 3000);
    assert_eq!(count("valid") + count("broken"), 3000);
    let per_partition: Vec<i64> =
        totals["per_partition"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    assert_eq!(per_partition, topic.high_watermarks().await);
    assert!(per_partition.iter().all(|count| *count > 0), "{per_partition:?}");
    let mut decoder = Decoder::new(ProvenanceNames::default(), Timestamp::now());
    let rejected = records.iter().filter(|record| decoder.decode(record.value.as_deref().unwrap_or_default()).is_err());
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
    assert_eq!(read(&one).await, read(&other).await);
}

#[tokio::test]
async fn a_replayed_file_arrives_line_by_line() {
    let topic = TestTopic::create(2).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = "symbol,timestamp,open,high,low,close,volume\n\
                 AAPL,2019-02-11T09:30:00.000-05:00,171.14,171.2,170.7,170.97,619925\n\
                 AMZN,2019-02-11T09:30:00.000-05:00,1601.5,1601.76,1599.475,1601.76,205994\n";
    std::fs::write(file.path(), lines).unwrap();
    let mut command = workbench(&topic, "replay");
    command.arg(file.path());
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let records = read(&topic).await;
    assert_eq!(records.len(), 2);
    assert!(records.iter().any(|record| {
        record.value.as_deref()
            == Some(br#"{"symbol":"AMZN","timestamp":"2019-02-11T09:30:00.000-05:00","open":1601.5,"high":1601.76,"low":1599.475,"close":1601.76,"volume":205994}"#.as_slice())
            && record.timestamp == Some(1_549_895_400_000)
    }));
}

#[tokio::test]
async fn what_agrees_is_proven_and_what_is_missing_or_wrong_is_named() {
    let (topic, bucket, database) =
        (TestTopic::create(2).await, TestBucket::create().await, TestDatabase::create().await);
    simulate(&topic, &BACKFILL).await;
    let mut archive = workbench(&topic, "archive");
    archive.args(["--until-caught-up", "--group-id", topic.name(), "--gzip"]).envs(bucket.env());
    assert!(Child::spawn(archive).wait_exit(PATIENCE).await.success());
    MIGRATOR.run(database.pool()).await.unwrap();
    play_the_pipeline(&topic, database.pool()).await;

    let (code, proof) = prove(&topic, &bucket, &database).await;
    assert_eq!((code, proof["proof"].as_str()), (0, Some("ok")), "{proof}");
    assert_eq!(proof["records"], 3000);
    assert!(proof["summaries"].as_u64().unwrap() > 20, "{proof}");

    // Each of these alone would have to be found.
    let spoil = [
        "delete from rejected_ticks where (kafka_partition, kafka_offset) in
            (select kafka_partition, kafka_offset from rejected_ticks limit 1)",
        "update hourly_stock_summary set vwap = vwap + 0.0000000000000001
            where (symbol, hour) in (select symbol, hour from hourly_stock_summary where symbol = 'AAPL' limit 1)",
    ];
    for statement in spoil {
        let changed = sqlx::query(statement).execute(database.pool()).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }
    let object = bucket.list("").await.unwrap().remove(0);
    bucket.delete(&object.key).await.unwrap();
    let (code, proof) = prove(&topic, &bucket, &database).await;
    assert_eq!((code, proof["proof"].as_str()), (1, Some("failed")), "{proof}");
    let findings = proof["findings"].to_string();
    for wanted in ["1 records of the topic are in no table", "are not in the archive", "summary of AAPL", "vwap"] {
        assert!(findings.contains(wanted), "{wanted}: {findings}");
    }
}

#[tokio::test]
async fn a_report_shows_counts_closes_and_reasons() {
    let (topic, database) = (TestTopic::create(2).await, TestDatabase::create().await);
    simulate(&topic, &BACKFILL).await;
    MIGRATOR.run(database.pool()).await.unwrap();
    play_the_pipeline(&topic, database.pool()).await;
    let mut command = workbench(&topic, "report");
    command.env("DATABASE_URL", database.url()).env("KAFKA_GROUP_ID", "test");
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let page = child.stdout().join("\n");
    for wanted in ["0 behind the topic's 2 partitions", "AAPL", "bad_price", "HOURLY SUMMARIES"] {
        assert!(page.contains(wanted), "{wanted}:\n{page}");
    }
}

fn workbench(topic: &TestTopic, subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workbench"));
    command.arg(subcommand).env("KAFKA_BROKERS", topic.brokers()).env("KAFKA_TOPIC", topic.name());
    command
}

/// Runs the simulator to its end, and gives its last line.
async fn simulate(topic: &TestTopic, arguments: &[&str]) -> Value {
    let mut command = workbench(topic, "simulate");
    command.args(arguments);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    serde_json::from_str(child.stdout().last().unwrap()).unwrap()
}

async fn prove(topic: &TestTopic, bucket: &TestBucket, database: &TestDatabase) -> (i32, Value) {
    let mut command = workbench(topic, "prove");
    command
        .args(["--timeout", "1s", "--archive-group-id", topic.name()])
        .env("KAFKA_GROUP_ID", "test")
        .env("DATABASE_URL", database.url())
        .envs(bucket.env());
    let mut child = Child::spawn(command);
    let status = child.wait_exit(PATIENCE).await;
    let stdout = child.stdout();
    let last = stdout.last().unwrap_or_else(|| panic!("{:?}", child.stderr()));
    (status.code().unwrap(), serde_json::from_str(last).unwrap())
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: Option<i64>,
}

/// Every record of the topic, by partition and offset.
async fn read(topic: &TestTopic) -> Vec<Read> {
    let highs = topic.high_watermarks().await;
    let total: i64 = highs.iter().sum();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topic.brokers()).set("group.id", "reader").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    for (partition, _) in (0..).zip(&highs) {
        assignment.add_partition_offset(topic.name(), partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    while i64::try_from(records.len()).unwrap() < total {
        let message = consumer.poll(PATIENCE).expect("records come").unwrap();
        records.push(Read {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            timestamp: message.timestamp().to_millis(),
        });
    }
    records.sort();
    records
}

/// Fills the tables as both layers would, by plain SQL.
async fn play_the_pipeline(topic: &TestTopic, pool: &PgPool) {
    let statements = [
        "create table if not exists realtime_stock_all partition of realtime_stock default",
        "insert into minute_bars (symbol, minute, open, high, low, close, volume, ticks, sum_close, notional,
             first_timestamp, first_partition, first_offset, last_timestamp, last_partition, last_offset)
         select symbol, date_trunc('minute', timestamp), min(open), max(greatest(open, close)), min(least(open, close)), max(close),
                sum(volume), count(*), sum(close), sum(close * volume), min(timestamp), 0, 0, max(timestamp), 0, 0
         from realtime_stock group by 1, 2",
        "insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
         select symbol, date_trunc('hour', timestamp, 'UTC'), sum(close) / count(*), sum(volume) / count(*),
                (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1], max(greatest(open, close)), min(least(open, close)),
                (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1],
                sum(volume), sum(close * volume) / sum(volume), count(*)
         from realtime_stock group by 1, 2",
        "insert into batch_runs (status, arguments) values ('ok', '')",
    ];
    sqlx::query(statements[0]).execute(pool).await.unwrap();
    let records = read(topic).await;
    let mut decoder = Decoder::new(ProvenanceNames::default(), Timestamp::now());
    let mut transaction = pool.begin().await.unwrap();
    for record in &records {
        let value = record.value.as_deref().unwrap_or_default();
        let query = match decoder.decode(value) {
            Ok(decoded) => {
                let tick = decoded.tick;
                sqlx::query(
                    "insert into realtime_stock (symbol, timestamp, open, close, volume, kafka_partition, kafka_offset)
                     values ($1, to_timestamp($2::numeric / 1000000), $3::numeric, $4::numeric, $5, $6, $7)",
                )
                .bind(tick.symbol().to_owned())
                .bind(tick.timestamp().micros())
                .bind(tick.prices().open.to_string())
                .bind(tick.prices().close.to_string())
                .bind(i64::try_from(tick.volume()).unwrap())
                .bind(record.partition)
                .bind(record.offset)
            }
            Err(reject) => sqlx::query(
                "insert into rejected_ticks (topic, reason, detail, kafka_partition, kafka_offset) values ($1, $2, $3, $4, $5)",
            )
            .bind(topic.name().to_owned())
            .bind(reject.reason.as_str())
            .bind(reject.detail)
            .bind(record.partition)
            .bind(record.offset),
        };
        query.execute(&mut *transaction).await.unwrap();
    }
    for (partition, high) in (0..).zip(topic.high_watermarks().await) {
        let insert = "insert into kafka_offsets (group_id, topic, partition, next_offset) values ('test', $1, $2, $3)";
        let query = sqlx::query(insert).bind(topic.name()).bind(partition).bind::<i64>(high);
        query.execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    for statement in &statements[1..] {
        sqlx::query(*statement).execute(pool).await.unwrap();
    }
}
