//! A topic and a database of a test's own, the speed layer between them, and what was written.

use sqlx::postgres::PgQueryResult;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use testing::{Child, TestDatabase, TestMessage, TestTopic, eventually};

pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Scene {
    pub database: TestDatabase,
    pub topic: TestTopic,
}

/// The table that one message is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Written,
    Rejected,
}

impl Scene {
    pub async fn new(partitions: i32) -> Self {
        let (database, topic) = tokio::join!(TestDatabase::create(), TestTopic::create(partitions));
        Self { database, topic }
    }

    /// The scene after an instance that has written so many ticks of each partition, and was
    /// stopped.
    pub async fn read_and_stopped(partitions: i32, count: i64) -> Self {
        let scene = Self::new(partitions).await;
        scene.send_ticks(partitions, count).await;
        let mut speed_layer = scene.start(&[]);
        scene.wait_all_in().await;
        speed_layer.sigterm();
        speed_layer.wait_exit(PATIENCE).await;
        scene
    }

    /// With a topic of one partition that has settings of its own.
    pub async fn with_topic(settings: &[(&str, &str)]) -> Self {
        let (database, topic) =
            tokio::join!(TestDatabase::create(), TestTopic::with_settings(1, settings));
        Self { database, topic }
    }

    pub async fn with(topic: TestTopic) -> Self {
        Self { database: TestDatabase::create().await, topic }
    }

    /// The binary, set up for this scene; a test may still change everything.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_speed-layer"));
        command
            .env("DATABASE_URL", self.database.url())
            .env("KAFKA_BROKERS", self.topic.brokers())
            .env("KAFKA_TOPIC", self.topic.name())
            .env("KAFKA_GROUP_ID", self.group())
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("RUST_LOG", std::env::var("SL_LOG").unwrap_or("info".into()));
        command
    }

    /// A group of its own: the rebalances of other tests are none of ours.
    pub fn group(&self) -> &str {
        self.database.name()
    }

    pub fn start(&self, flags: &[&str]) -> Child {
        let mut command = self.command();
        command.args(flags);
        Child::spawn(command)
    }

    /// Sends `count` valid ticks to each partition, numbered in their volume.
    pub async fn send_ticks(&self, partitions: i32, count: i64) {
        let records = (0..count)
            .flat_map(|number| (0..partitions).map(move |p| TestMessage::new(p, tick(number))));
        self.topic.produce(records).await;
    }

    /// Waits until as many messages are written or rejected as the topic holds.
    pub async fn wait_all_in(&self) {
        let expected: i64 = self.topic.high_watermarks().await.iter().sum();
        eventually("every message to be in a table", PATIENCE, || async {
            let seen = self.count_in_tables().await;
            if seen == expected { Ok(()) } else { Err(format!("{seen} of {expected}")) }
        })
        .await;
    }

    async fn count_in_tables(&self) -> i64 {
        let sql =
            "select (select count(*) from realtime_stock) + (select count(*) from rejected_ticks)";
        // Before the binary has migrated there is no table to count.
        sqlx::query_scalar(sql).fetch_one(self.database.pool()).await.unwrap_or(0)
    }

    /// Every message in the tables by partition and offset; fails where one is there twice.
    pub async fn fates(&self) -> BTreeMap<(i32, i64), Fate> {
        let rows: Vec<(i32, i64, bool)> = sqlx::query_as(
            "select kafka_partition, kafka_offset, true from realtime_stock
             union all select kafka_partition, kafka_offset, false from rejected_ticks",
        )
        .fetch_all(self.database.pool())
        .await
        .unwrap();
        let mut fates = BTreeMap::new();
        for (partition, offset, written) in rows {
            let fate = if written { Fate::Written } else { Fate::Rejected };
            assert_eq!(
                fates.insert((partition, offset), fate),
                None,
                "{partition}/{offset} is there twice"
            );
        }
        fates
    }

    /// Fails unless each offset of the topic is in exactly one table, and the stored offsets are
    /// the topic's ends.
    pub async fn assert_each_once(&self) -> BTreeMap<(i32, i64), Fate> {
        let ends = self.topic.high_watermarks().await;
        let fates = self.fates().await;
        let expected: Vec<(i32, i64)> = (0_i32..)
            .zip(&ends)
            .flat_map(|(partition, end)| (0..*end).map(move |offset| (partition, offset)))
            .collect();
        assert_eq!(fates.keys().copied().collect::<Vec<_>>(), expected);
        let stored: Vec<i64> =
            sqlx::query_scalar("select next_offset from kafka_offsets order by partition")
                .fetch_all(self.database.pool())
                .await
                .unwrap();
        assert_eq!(stored, ends);
        fates
    }

    /// Runs statements that a test changes or breaks something with.
    pub async fn execute(&self, sql: &str) -> PgQueryResult {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(self.database.pool()).await.unwrap()
    }

    pub async fn wait_count(&self, what: &str, sql: &'static str, expected: i64) {
        eventually(what, PATIENCE, || async {
            let seen = self.count(sql).await;
            if seen == expected { Ok(()) } else { Err(format!("{seen} of {expected}")) }
        })
        .await;
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        // Before the binary has migrated there is no table to count.
        sqlx::query_scalar(sql).fetch_one(self.database.pool()).await.unwrap_or(-1)
    }
}

/// A valid tick in minute `number / 100` of 2025-06-06, with `number` as its volume.
pub fn tick(number: i64) -> String {
    let (minute, millis) = (number / 100 % 60, number % 100);
    let symbol = ["AAPL", "MSFT", "BRK-B"][(number % 3) as usize];
    format!(
        r#"{{"symbol":"{symbol}","timestamp":"2025-06-06T10:{minute:02}:00.{millis:03}-04:00","open":201.5,"close":{}.25,"volume":{number}}}"#,
        200 + number % 7
    )
}

/// The last line of a process that must end by itself with code 2.
pub async fn last_words(mut child: Child) -> String {
    let status = child.wait_exit(PATIENCE).await;
    assert_eq!(status.code(), Some(2), "{:#?}", child.stderr());
    child.stderr().last().cloned().unwrap_or_default()
}

/// The address that the process serves on.
pub async fn http_address(speed_layer: &Child) -> String {
    let line = speed_layer.wait_stderr("serving /metrics", PATIENCE).await;
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Status and body of a GET.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

/// The value of one series of /metrics, which must be a whole number; None where there is no such
/// series.
pub fn metric(address: &str, series: &str) -> Option<u64> {
    let metrics = get(address, "/metrics").1;
    let value = metrics.lines().find_map(|line| line.strip_prefix(series))?;
    Some(value.trim().parse().unwrap())
}

/// The series of a partition's lag.
pub fn lag_series(topic: &str, partition: i32) -> String {
    format!("speed_layer_consumer_lag_messages{{topic=\"{topic}\",partition=\"{partition}\"}}")
}

pub async fn wait_ready(address: &str, expected: u16) {
    eventually("/readyz to say how it is", PATIENCE, || async {
        let (status, body) = get(address, "/readyz");
        if status == expected { Ok(()) } else { Err(format!("{status} {body}")) }
    })
    .await;
}
