//! `bench speed`.

use super::backlog::Backlog;
use super::consuming::cpu_of_consuming;
use super::process::{Measured, Usage};
use super::{median, rounded, rows, without_tls};
use crate::simulate::Shape;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde_json::json;
use speed_layer::batch::Batch;
use speed_layer::{DayPartitions, write_ticks};
use sqlx::Connection;
use std::time::{Duration, Instant};
use testing::{HttpProxy, HttpRequest, TestDatabase, TestTopic, Treatment};

/// A drain is begun anew this often where one of two workers came too late.
const TRIES: u32 = 3;

/// How much, and how often.
#[derive(clap::Args, Clone)]
pub struct SpeedArgs {
    /// Ticks in the backlog.
    #[arg(long, default_value_t = 5_000_000)]
    ticks: u64,
    /// Rounds; each runs all sides one after the other.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Messages a batch, on both sides.
    #[arg(long, default_value_t = 50_000)]
    batch_rows: u32,
    /// Whether speed-layer looks for anomalies meanwhile. With `both` each round drains bare and
    /// enveloped ticks once more without; what that comes to is beside the other figures.
    #[arg(long, value_enum, default_value_t = Anomalies::On)]
    anomalies: Anomalies,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Anomalies {
    On,
    Off,
    Both,
}

impl Anomalies {
    fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Both => "both",
        }
    }
}

/// What one drain took.
pub(super) struct Drain {
    pub rows_per_second: f64,
    pub usage: Usage,
}

/// All measurements of the run.
#[derive(Default)]
struct Figures {
    bare_ratio: Vec<f64>,
    envelope_ratio: Vec<f64>,
    avro_ratio: Vec<f64>,
    mapped_ratio: Vec<f64>,
    two_workers_ratio: Vec<f64>,
    two_writers_ratio: Vec<f64>,
    rate: Vec<f64>,
    cpu: Vec<f64>,
    consuming: Vec<f64>,
    cpu_to_consuming: Vec<f64>,
    memory: Vec<f64>,
    without: Without,
}

/// What drains without detectors came to beside those with them.
#[derive(Default)]
struct Without {
    bare_ratio: Vec<f64>,
    envelope_ratio: Vec<f64>,
    cpu: Vec<f64>,
    cpu_to_consuming: Vec<f64>,
    memory: Vec<f64>,
}

/// # Errors
/// Services that are not there, or a binary that is not built.
pub async fn run(args: &SpeedArgs) -> anyhow::Result<serde_json::Value> {
    let (bare, enveloped) =
        (TestTopic::create(rows::PARTITIONS).await, TestTopic::create(rows::PARTITIONS).await);
    let (avro, mapped) =
        (TestTopic::create(rows::PARTITIONS).await, TestTopic::create(rows::PARTITIONS).await);
    eprintln!(
        "sending {} ticks: bare, enveloped, as Avro, and as trades with numbers in text",
        args.ticks
    );
    rows::send(&bare, args.ticks, Shape::Bare, 0.0)?;
    rows::send(&enveloped, args.ticks, Shape::Envelope, 0.0)?;
    rows::send_avro(&avro, args.ticks)?;
    rows::send(&mapped, args.ticks, Shape::Binance, 0.0)?;
    // It has the one schema, and needs no server behind it.
    let schema = json!({ "schema": rows::AVRO }).to_string();
    let answer = move |_: &HttpRequest| Treatment::Answer { status: 200, body: schema.clone() };
    let registry_server = HttpProxy::start("127.0.0.1:1", answer).await;
    let registry = format!("http://{}", registry_server.address());
    let batches = rows::encoded(&bare, args.ticks, args.batch_rows)?;
    let topics = Topics {
        bare: &bare,
        enveloped: &enveloped,
        avro: &avro,
        mapped: &mapped,
        registry: &registry,
    };
    let mut figures = Figures::default();
    for number in 1..=args.rounds {
        let round = Round::run(args, &batches, &topics).await?;
        round.print(number);
        figures.add(&round);
    }
    figures.print_spread();
    Ok(figures.json(args.anomalies))
}

struct Topics<'a> {
    bare: &'a TestTopic,
    enveloped: &'a TestTopic,
    avro: &'a TestTopic,
    mapped: &'a TestTopic,
    registry: &'a str,
}

/// All sides once, one after the other.
struct Round {
    /// Rows a second.
    copy: f64,
    /// CPU seconds a million.
    consuming: f64,
    cpu: f64,
    one: Drain,
    envelope: f64,
    avro: f64,
    mapped: f64,
    two_workers: f64,
    two_writers: f64,
    /// Bare and enveloped ticks without detectors, where both are asked for.
    without: Option<(Drain, f64)>,
}

impl Round {
    async fn run(args: &SpeedArgs, batches: &[Batch], topics: &Topics<'_>) -> anyhow::Result<Self> {
        let copy = bare_copy(batches).await?;
        let of = |topic, workers, writers| {
            let (messages, batch_rows) = (args.ticks, args.batch_rows);
            let anomalies = args.anomalies != Anomalies::Off;
            Backlog { topic, messages, batch_rows, workers, writers, anomalies, reading: &[] }
        };
        let a_million = 1e6 / args.ticks as f64;
        let consuming = cpu_of_consuming(&of(topics.bare, 1, 1))? * a_million;
        let one = drain(&of(topics.bare, 1, 1)).await?;
        // Beside the same with detectors, as the machine's state changes within a round.
        let without = match args.anomalies {
            Anomalies::Both => {
                Some(without_detectors([topics.bare, topics.enveloped].map(|t| of(t, 1, 1))).await?)
            }
            Anomalies::On | Anomalies::Off => None,
        };
        let by_registry = ["--schema-registry", topics.registry];
        Ok(Self {
            copy,
            consuming,
            cpu: one.usage.cpu_seconds * a_million,
            one,
            envelope: rate(&of(topics.enveloped, 1, 1)).await?,
            avro: rate(&Backlog { reading: &by_registry, ..of(topics.avro, 1, 1) }).await?,
            mapped: rate(&Backlog { reading: &["--preset", "binance"], ..of(topics.mapped, 1, 1) })
                .await?,
            two_workers: rate(&of(topics.bare, 2, 1)).await?,
            two_writers: rate(&of(topics.bare, 1, 2)).await?,
            without,
        })
    }

    fn print(&self, number: u32) {
        let (copy, one) = (self.copy, self.one.rows_per_second);
        println!(
            "round {number}: bare COPY {copy:.0} rows/s; speed-layer {one:.0} ({:.2}), enveloped {:.0} ({:.2}), \
             Avro {:.0} ({:.2} of bare), trades {:.0} ({:.2} of bare), two workers {:.0} ({:.2} of one), \
             two writers {:.2} of one; {:.2} CPU s per million ({:.2} times {:.2} for consuming alone), {:.0} MB",
            one / copy,
            self.envelope,
            self.envelope / copy,
            self.avro,
            self.avro / one,
            self.mapped,
            self.mapped / one,
            self.two_workers,
            self.two_workers / one,
            self.two_writers / one,
            self.cpu,
            self.cpu / self.consuming,
            self.consuming,
            self.one.usage.peak_megabytes,
        );
        if let Some((bare, envelope)) = &self.without {
            println!(
                "round {number}, without detectors: speed-layer {:.0} ({:.2}), enveloped {envelope:.0} ({:.2}); \
                 {:.2} CPU s per million ({:.2} times consuming alone), {:.0} MB",
                bare.rows_per_second,
                bare.rows_per_second / copy,
                envelope / copy,
                self.cpu_of(bare),
                self.cpu_of(bare) / self.consuming,
                bare.usage.peak_megabytes,
            );
        }
    }

    /// CPU seconds a million.
    fn cpu_of(&self, drain: &Drain) -> f64 {
        drain.usage.cpu_seconds * self.cpu / self.one.usage.cpu_seconds
    }
}

impl Figures {
    fn add(&mut self, round: &Round) {
        let one = round.one.rows_per_second;
        self.bare_ratio.push(one / round.copy);
        self.envelope_ratio.push(round.envelope / round.copy);
        self.avro_ratio.push(round.avro / one);
        self.mapped_ratio.push(round.mapped / one);
        self.two_workers_ratio.push(round.two_workers / one);
        self.two_writers_ratio.push(round.two_writers / one);
        self.rate.push(one);
        self.cpu.push(round.cpu);
        self.consuming.push(round.consuming);
        self.cpu_to_consuming.push(round.cpu / round.consuming);
        self.memory.push(round.one.usage.peak_megabytes);
        self.without.add(round);
    }

    fn print_spread(&self) {
        let spreads = [
            ("bare", &self.bare_ratio),
            ("enveloped", &self.envelope_ratio),
            ("two workers to one", &self.two_workers_ratio),
            ("two writers of one worker to one", &self.two_writers_ratio),
            ("CPU to that of consuming alone", &self.cpu_to_consuming),
            ("Avro to bare", &self.avro_ratio),
            ("trades with numbers in text to bare", &self.mapped_ratio),
            ("bare, without detectors", &self.without.bare_ratio),
            ("enveloped, without detectors", &self.without.envelope_ratio),
            ("CPU to that of consuming alone, without detectors", &self.without.cpu_to_consuming),
        ];
        for (name, ratios) in spreads.into_iter().filter(|(_, ratios)| !ratios.is_empty()) {
            let min = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let max = ratios.iter().copied().fold(0.0, f64::max);
            println!("{name}: ratio {:.2} (min {min:.2}, max {max:.2})", median(ratios));
        }
    }

    fn json(&self, anomalies: Anomalies) -> serde_json::Value {
        let mut json = json!({
            "bench": "speed",
            "anomalies": anomalies.name(),
            "ratio_bare": rounded(median(&self.bare_ratio)),
            "ratio_envelope": rounded(median(&self.envelope_ratio)),
            "ratio_two_workers": rounded(median(&self.two_workers_ratio)),
            "ratio_two_writers": rounded(median(&self.two_writers_ratio)),
            "rows_per_s": median(&self.rate).round(),
            "cpu_s_per_million": rounded(median(&self.cpu)),
            "consuming_cpu_s_per_million": rounded(median(&self.consuming)),
            "cpu_to_consuming": rounded(median(&self.cpu_to_consuming)),
            "rss_mb": median(&self.memory).round(),
            "ratio_avro_to_bare": rounded(median(&self.avro_ratio)),
            "ratio_mapped_to_bare": rounded(median(&self.mapped_ratio)),
        });
        if !self.without.bare_ratio.is_empty() {
            self.without.put(&mut json);
        }
        json
    }
}

impl Without {
    fn add(&mut self, round: &Round) {
        let Some((bare, envelope)) = &round.without else { return };
        let cpu = round.cpu_of(bare);
        self.bare_ratio.push(bare.rows_per_second / round.copy);
        self.envelope_ratio.push(envelope / round.copy);
        self.cpu.push(cpu);
        self.cpu_to_consuming.push(cpu / round.consuming);
        self.memory.push(bare.usage.peak_megabytes);
    }

    fn put(&self, json: &mut serde_json::Value) {
        json["ratio_bare_without_anomalies"] = rounded(median(&self.bare_ratio)).into();
        json["ratio_envelope_without_anomalies"] = rounded(median(&self.envelope_ratio)).into();
        json["cpu_s_per_million_without_anomalies"] = rounded(median(&self.cpu)).into();
        json["cpu_to_consuming_without_anomalies"] = rounded(median(&self.cpu_to_consuming)).into();
        json["rss_mb_without_anomalies"] = median(&self.memory).round().into();
    }
}

/// Rows a second of a COPY with minute bars that were encoded beforehand: no Kafka, no decoding,
/// one connection.
async fn bare_copy(batches: &[Batch]) -> anyhow::Result<f64> {
    let database = TestDatabase::create().await;
    let target = service::pg::Database::parse(&without_tls(&database), "bench")?;
    let mut connection = target.connect_ready().await?;
    let mut days = DayPartitions::default();
    for batch in batches {
        days.ensure(&mut connection, &batch.days).await?;
    }
    sqlx::query("checkpoint").execute(&mut connection).await?;
    let begun = Instant::now();
    for batch in batches {
        let mut transaction = connection.begin().await?;
        write_ticks(&mut transaction, batch).await?;
        transaction.commit().await?;
    }
    let rows: u64 = batches.iter().map(|batch| u64::from(batch.rows.count())).sum();
    Ok(rows as f64 / begun.elapsed().as_secs_f64())
}

/// Lets the workers drain the topic into a new database. The rate counts from the first commit that
/// is seen, so that joining the group does not count; the usage is the first worker's.
pub(super) async fn drain(backlog: &Backlog<'_>) -> anyhow::Result<Drain> {
    for _ in 0..TRIES {
        if let Some(drain) = drain_once(backlog).await? {
            return Ok(drain);
        }
        eprintln!("one worker wrote everything before the other had a share; once more");
    }
    anyhow::bail!(
        "{TRIES} times one worker wrote everything before the other had a share; take more messages"
    )
}

/// Nothing where one worker had written everything before the other had a share.
async fn drain_once(backlog: &Backlog<'_>) -> anyhow::Result<Option<Drain>> {
    let database = TestDatabase::create().await;
    let target = service::pg::Database::parse(&without_tls(&database), "bench")?;
    let mut connection = target.connect_ready().await?;
    sqlx::query("checkpoint").execute(&mut connection).await?;
    let running = (0..backlog.workers)
        .map(|_| start(&database, backlog))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let first = running.first().context("no worker")?;
    let total = backlog.messages.cast_signed();
    let mut begun: Option<(Instant, i64)> = None;
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        let written: i64 =
            sqlx::query_scalar("select coalesce(sum(next_offset), 0)::bigint from kafka_offsets")
                .fetch_one(&mut connection)
                .await?;
        // Two workers count once both have a share.
        if begun.is_none()
            && written > 0
            && (backlog.workers == 1 || both_write(&mut connection).await?)
        {
            begun = Some((Instant::now(), written));
        }
        if written >= total {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{written} of {total} messages were written in ten minutes"
        );
        // Seldom enough that asking costs the measured database nothing that counts.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Some((since, from)) = begun else { return Ok(None) };
    let rows = total - from;
    Ok(Some(Drain {
        rows_per_second: rows as f64 / since.elapsed().as_secs_f64(),
        usage: first.usage()?,
    }))
}

/// Bare ticks, and the rate of enveloped ones.
async fn without_detectors([bare, enveloped]: [Backlog<'_>; 2]) -> anyhow::Result<(Drain, f64)> {
    let bare = drain(&Backlog { anomalies: false, ..bare }).await?;
    Ok((bare, rate(&Backlog { anomalies: false, ..enveloped }).await?))
}

async fn rate(backlog: &Backlog<'_>) -> anyhow::Result<f64> {
    Ok(drain(backlog).await?.rows_per_second)
}

const BOTH_WRITE: &str = include_str!("../../sql/bench/both_write.sql");

async fn both_write(connection: &mut sqlx::PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(BOTH_WRITE).fetch_one(connection).await
}

fn start(database: &TestDatabase, backlog: &Backlog<'_>) -> anyhow::Result<Measured> {
    let mut command = crate::process::command("speed-layer")?;
    command
        .env("DATABASE_URL", without_tls(database))
        .env("KAFKA_BROKERS", backlog.topic.brokers())
        .env("KAFKA_TOPIC", backlog.topic.name())
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("RUST_LOG", "warn")
        // Its own: the members of the drain before were killed, and the group would wait for them.
        .args(["--group-id", database.name()])
        .args([
            "--batch-rows",
            &backlog.batch_rows.to_string(),
            "--writers",
            &backlog.writers.to_string(),
            "--anomalies",
            if backlog.anomalies { "on" } else { "off" },
        ])
        .args(backlog.reading);
    Measured::spawn(command)
}
