//! The lake beside the main topic: a topic, a database and a bucket of their own, with
//! `batch-layer` and `compact --delete-covered` in turn, on the same services. Main's objects
//! nearly all have broken lines, and stay; here each tick is known and every object may go, so the
//! lake becomes the only place that has the ticks.

use super::batch;
use super::delivery_counts::{DeliveryCounts, count_differences};
use super::findings::{Findings, LIMIT};
use super::instance_settings::Protocol;
use super::instances::{Instance, Setup};
use crate::process::{self, Process};
use anyhow::Context;
use common::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testing::{TestBucket, TestDatabase, TestMessage, TestTopic};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(500);
/// The lock of a run that was killed is taken over after a third of it.
const TAKEOVER_AFTER: &str = "6s";
/// Kills in one fault.
const KILLS: u32 = 3;

/// 2025-06-06T00:00:00Z
const START: Timestamp = Timestamp::from_micros(1_749_168_000_000_000);
const WINDOW: [&str; 4] = ["--from", "2025-06-06T00", "--to", "2025-06-06T12"];
/// Those of [`WINDOW`].
const HOURS: usize = 12;
/// Hours that get ticks in a round: the next one of `compact` writes these, and may delete what
/// those of others brought.
const HOURS_A_ROUND: usize = 3;
const TICKS_AN_HOUR: usize = 20;
/// Lines that the next object has as well, of another hour's ticks: a sink that was killed writes
/// them twice.
const OVERLAP: usize = 5;
/// One round in so many brings an object once more.
const REPLAY_ONE_IN: usize = 4;

const LEFT: &str = include_str!("../../sql/chaos/left.sql");

const COUNTING: &str = "select key from lake_objects";

const WRITTEN: &str = "select count(*) from realtime_stock";

const SUMMARIES: &str = include_str!("../../sql/chaos/summaries.sql");

/// What must not be in the end, and how often it is.
const AT_REST: [(&str, &str); 4] = [
    ("objects count as deleted by nobody knows whom", "select count(*) from deleted_objects"),
    (
        "raw objects are still announced",
        "select count(*) from covered_objects where deleted_at is null",
    ),
    (
        "objects of the lake were not shown, or not cleared away",
        "select count(*) from lake_objects where state <> 'verified'",
    ),
    ("hours are incomplete", "select count(*) from archive_hours where status <> 'complete'"),
];

/// What a tick says, as an export writes it: symbol, time, close and volume.
type SentTick = [String; 4];

/// A tick that no other one is like.
struct Tick {
    /// Its offset; the topic has one partition.
    number: usize,
    hour: usize,
}

impl Tick {
    fn content(&self) -> SentTick {
        let Self { number, hour } = self;
        let micros =
            i64::try_from(hour * 3_600_000_000 + number % 3600 * 1_000_000).unwrap_or_default();
        let (symbol, cents) = (["LAKE", "POND", "SEA", "WELL"][number % 4], 1 + number % 9);
        [
            symbol.to_owned(),
            START.plus_micros(micros).to_string(),
            format!("200.{cents}"),
            number.to_string(),
        ]
    }

    fn message(&self) -> String {
        let [symbol, timestamp, close, volume] = self.content();
        format!(
            r#"{{"symbol":"{symbol}","timestamp":"{timestamp}","open":200.5,"close":{close},"volume":{volume}}}"#
        )
    }

    /// As the sink writes it with provenance.
    fn line(&self) -> String {
        let (message, number) = (self.message(), self.number);
        format!(
            "{},\"kafka_partition\":0,\"kafka_offset\":{number}}}\n",
            message.trim_end_matches('}')
        )
    }
}

/// The ticks of a round, hour by hour.
fn ticks(round: usize) -> Vec<Tick> {
    let all = HOURS_A_ROUND * TICKS_AN_HOUR;
    let tick = |of_round: usize| {
        let hour = (round * HOURS_A_ROUND + of_round / TICKS_AN_HOUR) % HOURS;
        Tick { number: round * all + of_round, hour }
    };
    (0..all).map(tick).collect()
}

pub struct LakeScenario {
    // Dropped in this order: the instance needs its topic and database.
    speed: Instance,
    topic: TestTopic,
    bucket: TestBucket,
    database: TestDatabase,
    environment: Vec<(&'static str, String)>,
    logs: PathBuf,
    findings: Arc<Findings>,
    rounds: usize,
    sent: BTreeMap<usize, SentTick>,
    /// Keys and what they hold.
    archived: Vec<(String, String)>,
    /// How long the last run of `compact` took that was not killed.
    took: Duration,
}

impl LakeScenario {
    /// Before anything fails. `through`: a database of PostgreSQL and the store, by the links that
    /// other faults break.
    pub async fn set_up(
        kafka_brokers: &str,
        through: (&str, &str),
        logs: &Path,
        findings: &Arc<Findings>,
    ) -> anyhow::Result<Self> {
        // What Kafka has is compared in the end, and its times are long past.
        let topic = TestTopic::with_settings(1, &[("retention.ms", "-1")]).await;
        let (bucket, database) = (TestBucket::create().await, TestDatabase::create().await);
        let mut linked = Url::parse(through.0).context("the database's address is a URL")?;
        linked.set_path(database.name());
        let mut environment = bucket.env().to_vec();
        environment.extend([
            ("S3_ENDPOINT_URL", through.1.to_owned()),
            ("S3_PREFIX", format!("raw/{}/%Y-%m-%d-%H/", topic.name())),
            ("DATABASE_URL", linked.to_string()),
            ("KAFKA_BROKERS", kafka_brokers.to_owned()),
            ("KAFKA_TOPIC", topic.name().to_owned()),
            ("KAFKA_GROUP_ID", "lakeside".to_owned()),
        ]);
        let mut speed = Instance::speed_layer(Setup {
            name: "speed-layer-lakeside".to_owned(),
            database_url: database.url().to_owned(),
            kafka_brokers: kafka_brokers.to_owned(),
            topic: topic.name().to_owned(),
            group_id: "lakeside".to_owned(),
            properties: Some(Protocol::Classic.properties()),
            flags: Vec::new(),
            logs: logs.to_owned(),
        });
        speed.start()?;
        let (logs, findings) = (logs.to_owned(), Arc::clone(findings));
        let (rounds, sent, archived, took) = (0, BTreeMap::new(), Vec::new(), EVERY);
        Ok(Self {
            speed,
            topic,
            bucket,
            database,
            environment,
            logs,
            findings,
            rounds,
            sent,
            archived,
            took,
        })
    }

    /// More ticks, a batch layer and a run of `compact`, whatever becomes of them.
    async fn round(&mut self) -> anyhow::Result<()> {
        self.archive_more().await?;
        self.run("batch-layer-lakeside", &[]).await?;
        if let Some(took) = self.run("compact", &["compact", "--delete-covered"]).await? {
            self.took = took;
        }
        Ok(())
    }

    /// Runs of `compact` are killed: the first one when `severity` of the time has passed that the
    /// last one took, the others at moments as far apart as can be.
    pub async fn kill_compact(&mut self, severity: f64) -> anyhow::Result<String> {
        let mut said = Vec::new();
        for kill in 0..KILLS {
            self.archive_more().await?;
            self.run("batch-layer-lakeside", &[]).await?;
            let after = self.took.mul_f64((severity + f64::from(kill) / f64::from(KILLS)).fract());
            let mut process = self.start("compact-killed", &["compact", "--delete-covered"])?;
            let ended = process.wait(after).await?;
            process.kill().await?;
            said.push(match ended {
                Some(_) => format!("had ended before {after:.1?}"),
                None => format!("after {after:.1?} ({})", self.left().await),
            });
        }
        Ok(said.join(", "))
    }

    /// What a run that was killed has left, as the database knows it.
    async fn left(&self) -> String {
        let left: sqlx::Result<String> =
            sqlx::query_scalar(LEFT).fetch_one(self.database.pool()).await;
        left.unwrap_or_else(|_| "PostgreSQL is away".to_owned())
    }

    async fn archive_more(&mut self) -> anyhow::Result<()> {
        self.speed.look_after(&self.findings)?;
        let ticks = ticks(self.rounds);
        let records = ticks.iter().map(|tick| TestMessage::new(0, tick.message()));
        self.topic.produce(records.collect::<Vec<_>>()).await;
        self.sent.extend(ticks.iter().map(|tick| (tick.number, tick.content())));
        for from in (0..ticks.len()).step_by(TICKS_AN_HOUR) {
            let some = &ticks[from..ticks.len().min(from + TICKS_AN_HOUR + OVERLAP)];
            let (topic, Tick { number, hour }) = (self.topic.name(), &some[0]);
            let key = format!("raw/{topic}/2025-06-06-{hour:02}/{topic}+0+{number:010}.json");
            self.archived.push((key, some.iter().map(Tick::line).collect()));
            self.put(self.archived.len() - 1).await?;
        }
        if self.rounds % REPLAY_ONE_IN == REPLAY_ONE_IN - 1 {
            self.put(self.rounds * 7 % self.archived.len()).await?;
        }
        self.rounds += 1;
        Ok(())
    }

    /// The store may be away: that is one of the faults.
    async fn put(&self, number: usize) -> anyhow::Result<()> {
        let (begun, (key, body)) = (Instant::now(), &self.archived[number]);
        loop {
            match self.bucket.put(key, body.clone()).await {
                Err(_) if begun.elapsed() < LIMIT => sleep(PAUSE).await,
                put => return put,
            }
        }
    }

    fn start(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command: Command = process::command("batch-layer")?;
        command.args(arguments).args(WINDOW).envs(self.environment.iter().cloned());
        command.env("TAKEOVER_AFTER", TAKEOVER_AFTER);
        Process::spawn(name, command, &self.logs)
    }

    /// One run to its end, once nothing is left of one that was killed; gives how long it took
    /// where it ended well.
    async fn run(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Option<Duration>> {
        let waiting = Instant::now();
        loop {
            let begun = Instant::now();
            let mut process = self.start(name, arguments)?;
            let status = batch::finish(&mut process, &self.findings).await?;
            let took = begun.elapsed();
            if !process.last_words().ends_with(": nothing to do") {
                return Ok(status.filter(|status| status.success()).map(|_| took));
            }
            if waiting.elapsed() > LIMIT {
                self.findings.add(format!("{name} found the lock held for {LIMIT:?}"));
                return Ok(None);
            }
            sleep(PAUSE).await;
        }
    }

    /// One with nothing in its way.
    async fn run_well(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        if self.run(name, arguments).await?.is_none() {
            let log = self.logs.join(format!("{name}.log"));
            self.findings
                .add(format!("{name} failed though nothing was in its way: see {}", log.display()));
        }
        Ok(())
    }

    /// After the last fault: what the lake, the summaries and an export have is what was sent.
    pub async fn prove(&mut self) -> anyhow::Result<DeliveryCounts> {
        let pool = self.database.pool();
        self.findings.await_count(pool, WRITTEN, self.sent.len(), "beside the lake").await;
        self.speed.stop(&self.findings).await?;
        self.run_well("batch-layer-lakeside", &[]).await?;
        self.run_well("compact", &["compact", "--delete-covered"]).await?;
        self.compare_objects().await?;
        // What the first one wrote.
        self.run_well("compact", &["compact", "--delete-covered"]).await?;
        for object in self.bucket.list("raw/").await? {
            self.findings
                .add(format!("the lake has each tick of {}, and it was not deleted", object.key));
        }
        for (what, count) in AT_REST {
            let count: i64 =
                sqlx::query_scalar(count).fetch_one(self.database.pool()).await.context(what)?;
            if count > 0 {
                self.findings.add(format!("beside the lake: {count} {what}"));
            }
        }
        self.run_well("verify", &["verify"]).await?;
        self.compare_summaries().await?;
        self.export().await
    }

    /// What lies in the lake is what `lake_objects` knows.
    async fn compare_objects(&self) -> anyhow::Result<()> {
        let known: Vec<String> =
            sqlx::query_scalar(COUNTING).fetch_all(self.database.pool()).await?;
        let known: BTreeSet<String> = known.into_iter().collect();
        let there: BTreeSet<String> =
            self.bucket.list("lake/").await?.into_iter().map(|object| object.key).collect();
        for orphan in there.difference(&known) {
            self.findings.add(format!(
                "{orphan} lies in the lake after a whole run of compact, and nobody knows it"
            ));
        }
        for lost in known.difference(&there) {
            self.findings.add(format!("{lost} counts, and does not lie in the lake"));
        }
        Ok(())
    }

    async fn compare_summaries(&self) -> anyhow::Result<()> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as(SUMMARIES).fetch_all(self.database.pool()).await?;
        let found = rows.into_iter().map(|(hour, ticks, volume)| (hour, (ticks, volume))).collect();
        let expected = summaries(&self.sent);
        if expected != found {
            let of =
                |all: &BTreeMap<_, (i64, i64)>| all.values().map(|(ticks, _)| ticks).sum::<i64>();
            let (expected, found) = (of(&expected), of(&found));
            self.findings.add(format!(
                "beside the lake the summaries have {found} ticks, sent were {expected}"
            ));
        }
        Ok(())
    }

    /// The ticks of all hours by `export` against those that were sent.
    async fn export(&self) -> anyhow::Result<DeliveryCounts> {
        let file = self.logs.join("lakeside.csv");
        self.run_well("export", &["export", "--output", &file.display().to_string()]).await?;
        let mut reader =
            csv::Reader::from_path(&file).with_context(|| format!("read {}", file.display()))?;
        let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let columns = ["kafka_offset", "symbol", "timestamp", "close", "volume"];
        let columns = columns
            .map(|name| header.iter().position(|column| column == name).unwrap_or(usize::MAX));
        let mut found = Vec::new();
        for row in reader.records() {
            let row = row.with_context(|| format!("read {}", file.display()))?;
            let [number, content @ ..] =
                columns.map(|column| row.get(column).unwrap_or_default().to_owned());
            found.push((number.parse().unwrap_or(usize::MAX), content));
        }
        Ok(count_differences(&self.sent, found))
    }
}

/// Ticks and volume of each symbol and hour.
fn summaries(sent: &BTreeMap<usize, SentTick>) -> BTreeMap<String, (i64, i64)> {
    let mut summaries: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for [symbol, timestamp, _, volume] in sent.values() {
        let (ticks, sum) = summaries.entry(format!("{symbol} {}", &timestamp[11..13])).or_default();
        *ticks += 1;
        *sum += volume.parse::<i64>().unwrap_or_default();
    }
    summaries
}

/// One round after the other until `stop`; a fault comes between two of them.
pub async fn schedule(
    lake_scenario: &Mutex<LakeScenario>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        lake_scenario.lock().await.round().await?;
        let _ = tokio::time::timeout(EVERY, stop.cancelled()).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_brings_other_hours_than_the_one_before_and_no_two_ticks_are_alike() {
        let (first, second) = (ticks(0), ticks(1));
        let hours = |ticks: &[Tick]| ticks.iter().map(|tick| tick.hour).collect::<BTreeSet<_>>();
        assert_eq!(hours(&first), BTreeSet::from([0, 1, 2]));
        assert!(hours(&first).is_disjoint(&hours(&second)));
        assert_eq!(hours(&ticks(HOURS / HOURS_A_ROUND)), hours(&first));
        let numbers: Vec<usize> = first.iter().chain(&second).map(|tick| tick.number).collect();
        assert_eq!(numbers, (0..120).collect::<Vec<_>>());
        let contents: BTreeSet<SentTick> = first.iter().chain(&second).map(Tick::content).collect();
        assert_eq!(contents.len(), 120);
    }

    #[test]
    fn a_line_is_the_message_with_its_place() {
        let tick = Tick { number: 61, hour: 3 };
        let message: serde_json::Value = serde_json::from_str(&tick.message()).unwrap();
        let mut line: serde_json::Value = serde_json::from_str(&tick.line()).unwrap();
        assert_eq!(message["timestamp"], "2025-06-06T03:01:01Z");
        assert_eq!((&line["kafka_partition"], &line["kafka_offset"]), (&0.into(), &61.into()));
        let members = line.as_object_mut().unwrap();
        members.retain(|name, _| !name.starts_with("kafka_"));
        assert_eq!(line, message);
    }

    #[test]
    fn summaries_are_those_of_the_ticks_by_symbol_and_hour() {
        let sent =
            [Tick { number: 0, hour: 1 }, Tick { number: 4, hour: 1 }, Tick { number: 8, hour: 2 }];
        let sent = sent.iter().map(|tick| (tick.number, tick.content())).collect();
        let expected = [("LAKE 01".to_owned(), (2, 4)), ("LAKE 02".to_owned(), (1, 8))];
        assert_eq!(summaries(&sent), BTreeMap::from(expected));
    }
}
