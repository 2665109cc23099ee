//! A simulated market that has gone through the real pipeline: both layers and the archive.

use clap::Parser;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use testing::{Child, TestBucket, TestDatabase, TestTopic, eventually};
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(120);

pub const BACKFILL: [&str; 15] = [
    "--ticks",
    "3000",
    "--symbols",
    "20",
    "--shape",
    "mixed",
    "--high-low",
    "--start",
    "2025-06-06T13:30:00Z",
    "--span",
    "2h",
    "--broken",
    "0.05",
    "--late",
    "0.02",
];

pub struct Pipeline {
    pub topic: TestTopic,
    pub bucket: TestBucket,
    pub database: TestDatabase,
}

impl Pipeline {
    /// Everything is written, archived and summed up, and nothing runs any more.
    pub async fn of_a_market() -> Self {
        Self::of(&BACKFILL, &[]).await
    }

    /// The same of a market simulated by these arguments, whose messages both layers read by these
    /// `flags`.
    pub async fn of(market: &[&str], flags: &[&str]) -> Self {
        let pipeline = Self::empty().await;
        simulate(&pipeline.topic, market).await;
        pipeline.archive().await;
        let messages = pipeline.topic.high_watermarks().await.iter().sum();
        pipeline.write(flags, messages).await;
        pipeline.sum_up(flags).await;
        pipeline
    }

    /// With a topic of two partitions, in which nothing is.
    pub async fn empty() -> Self {
        Self::with_partitions(2).await
    }

    /// With a topic of so many, in which nothing is.
    pub async fn with_partitions(partitions: i32) -> Self {
        let (topic, bucket, database) = tokio::join!(
            TestTopic::create(partitions),
            TestBucket::create(),
            TestDatabase::create()
        );
        Self { topic, bucket, database }
    }

    /// All that the topic holds.
    pub async fn archive(&self) {
        self.archive_with(&[]).await;
    }

    /// The same, with more of its flags.
    pub async fn archive_with(&self, flags: &[&str]) {
        let mut archive = workbench(&self.topic, "archive");
        archive
            .args(["--until-caught-up", "--group-id", self.topic.name()])
            .args(flags)
            .envs(self.bucket.env());
        assert!(Child::spawn(archive).wait_exit(PATIENCE).await.success());
    }

    /// Runs a speed layer until so many rows are in its tables.
    pub async fn write(&self, flags: &[&str], rows: i64) {
        let stop = CancellationToken::new();
        let running = speed_layer::run(self.speed_layer("127.0.0.1:0", flags), stop.clone());
        let watching = async {
            self.wait_until_written(rows).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(running, watching);
        ended.unwrap();
    }

    /// A speed layer's settings.
    pub fn speed_layer(&self, http_addr: &str, flags: &[&str]) -> speed_layer::Config {
        let arguments = [
            "speed-layer",
            "--database-url",
            self.database.url(),
            "--kafka-brokers",
            self.topic.brokers(),
        ];
        let more =
            ["--topic", self.topic.name(), "--group-id", "speed-layer", "--http-addr", http_addr];
        speed_layer::Config::try_parse_from(arguments.iter().chain(&more).chain(flags)).unwrap()
    }

    async fn wait_until_written(&self, expected: i64) {
        eventually("every message to be in a table", PATIENCE, || async {
            let count = "select (select count(*) from realtime_stock) + (select count(*) from rejected_ticks)";
            // Before the tables are made there is nothing to count.
            let seen: i64 = sqlx::query_scalar(count).fetch_one(self.database.pool()).await.unwrap_or(0);
            if seen == expected { Ok(()) } else { Err(format!("{seen} of {expected}")) }
        })
        .await;
    }

    /// Credentials are the stack's own, from the environment.
    pub async fn sum_up(&self, flags: &[&str]) {
        let arguments = [&["--quiet".to_owned()], &*self.archive_flags()].concat();
        let all = ["batch-layer"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .chain(flags.iter().copied());
        let args = hourly::Args::try_parse_from(all).unwrap();
        hourly::run(args, CancellationToken::new()).await.unwrap();
    }

    /// Whether Kafka, tables and archive agree, as `batch-layer verify` sees it.
    pub async fn verify(&self, flags: &[&str]) -> Result<(), service::Failure> {
        let kafka = ["--kafka-brokers", self.topic.brokers(), "--topic", self.topic.name()];
        let arguments = self.archive_flags();
        let all = ["verify"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .chain(flags.iter().copied());
        let args = reconciliation::VerifyArgs::try_parse_from(all.chain(kafka)).unwrap();
        reconciliation::run(args, CancellationToken::new()).await
    }

    /// Where the archive and the tables are, and which hours are looked at.
    pub fn archive_flags(&self) -> Vec<String> {
        let prefix = format!("raw/{}/%Y-%m-%d-%H/", self.topic.name());
        let endpoint = testing::stack("STACK_S3_ENDPOINT_URL");
        let places = ["--database-url", self.database.url(), "--bucket", self.bucket.name()];
        let more = ["--s3-endpoint-url", &endpoint, "--prefix", &prefix];
        // The late ones are up to three hours older than the first one on time.
        let window = ["--from", "2025-06-06T10", "--to", "2025-06-06T17"];
        places.into_iter().chain(more).chain(window).map(ToOwned::to_owned).collect()
    }

    /// Exit code and last line of the proof of `database`, with the topic and the archive of this
    /// pipeline.
    pub async fn prove(&self, database: &TestDatabase) -> (i32, Value) {
        self.prove_shape(database, "bare").await
    }

    pub async fn prove_shape(&self, database: &TestDatabase, shape: &str) -> (i32, Value) {
        let mut command = workbench(&self.topic, "prove");
        command
            .args(["--shape", shape])
            .args(["--at-rest", "--timeout", "1s", "--archive-group-id", self.topic.name()])
            .env("KAFKA_GROUP_ID", "speed-layer")
            .env("DATABASE_URL", database.url())
            .envs(self.bucket.env());
        let mut child = Child::spawn(command);
        let status = child.wait_exit(PATIENCE).await;
        let stdout = child.stdout();
        let last = stdout.last().unwrap_or_else(|| panic!("{:?}", child.stderr()));
        (status.code().unwrap(), serde_json::from_str(last).unwrap())
    }
}

/// The root folder of the workspace.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn workbench(topic: &TestTopic, subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workbench"));
    command.arg(subcommand).env("KAFKA_BROKERS", topic.brokers()).env("KAFKA_TOPIC", topic.name());
    command
}

/// Runs the simulator to its end, and gives its last line.
pub async fn simulate(topic: &TestTopic, arguments: &[&str]) -> Value {
    let mut command = workbench(topic, "simulate");
    command.args(arguments);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    serde_json::from_str(child.stdout().last().unwrap()).unwrap()
}
