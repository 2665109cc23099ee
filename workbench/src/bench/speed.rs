//! `bench speed`.

use super::consuming::cpu_of_consuming;
use super::database::{connected, speed_layer};
use super::process::{Measured, Usage};
use super::rows::{self, Backlog};
use crate::figures::{median, rounded};
use crate::simulate::Shape;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use speed_layer::batch::Batch;
use speed_layer::{DayPartitions, write_ticks};
use sqlx::Connection;
use std::collections::BTreeMap;
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

#[derive(ValueEnum, Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Anomalies {
    On,
    Off,
    Both,
}

/// What one drain took.
struct Drain {
    rows_per_second: f64,
    usage: Usage,
}

/// Each measurement of the run by its name in the last line, a round each.
#[derive(Default)]
struct Figures(BTreeMap<String, Vec<f64>>);

/// # Errors
/// Services that are not there, or a binary that is not built.
pub async fn run(args: &SpeedArgs) -> anyhow::Result<serde_json::Value> {
    let topics = Topics::filled(args.ticks).await?;
    let batches = rows::encoded(&topics.bare, args.batch_rows)?;
    let mut figures = Figures::default();
    for number in 1..=args.rounds {
        println!("round {number}");
        figures.round(args, &batches, &topics).await?;
    }
    Ok(figures.json(args.anomalies))
}

/// The same ticks in four forms, and as many messages that are none.
struct Topics {
    bare: TestTopic,
    enveloped: TestTopic,
    avro: TestTopic,
    /// Trades with numbers in text.
    mapped: TestTopic,
    broken: TestTopic,
    /// It has the one schema, and needs no server behind it.
    registry: HttpProxy,
}

impl Topics {
    async fn filled(ticks: u64) -> anyhow::Result<Self> {
        let empty = || TestTopic::create(rows::PARTITIONS);
        let schema = json!({ "schema": rows::AVRO }).to_string();
        let answer = move |_: &HttpRequest| Treatment::Answer { status: 200, body: schema.clone() };
        let topics = Self {
            bare: empty().await,
            enveloped: empty().await,
            avro: empty().await,
            mapped: empty().await,
            broken: empty().await,
            registry: HttpProxy::start("127.0.0.1:1", answer).await,
        };
        eprintln!(
            "sending {ticks} ticks: bare, enveloped, as Avro, with numbers in text, and broken"
        );
        rows::send(&topics.bare, ticks, Shape::Bare, 0.0)?;
        rows::send(&topics.enveloped, ticks, Shape::Envelope, 0.0)?;
        rows::send_avro(&topics.avro, ticks)?;
        rows::send(&topics.mapped, ticks, Shape::Binance, 0.0)?;
        rows::send(&topics.broken, ticks, Shape::Bare, 1.0)?;
        Ok(topics)
    }
}

impl Figures {
    /// All sides once, one after the other.
    async fn round(
        &mut self,
        args: &SpeedArgs,
        batches: &[Batch],
        topics: &Topics,
    ) -> anyhow::Result<()> {
        let copy = bare_copy(batches).await?;
        let of = |topic, workers, writers| {
            let (messages, batch_rows) = (args.ticks, args.batch_rows);
            let anomalies = args.anomalies != Anomalies::Off;
            Backlog { topic, messages, batch_rows, workers, writers, anomalies, reading: &[] }
        };
        let a_million = 1e6 / args.ticks as f64;
        let consuming = cpu_of_consuming(&of(&topics.bare, 1, 1))? * a_million;
        let one = drain(&of(&topics.bare, 1, 1)).await?;
        // Beside the same with detectors, as the machine's state changes within a round.
        if args.anomalies == Anomalies::Both {
            let [bare, enveloped] = [&topics.bare, &topics.enveloped].map(|topic| of(topic, 1, 1));
            let bare = drain(&Backlog { anomalies: false, ..bare }).await?;
            let enveloped = rate(&Backlog { anomalies: false, ..enveloped }).await?;
            self.note("_without_anomalies", (&bare, enveloped), (copy, consuming, a_million));
        }
        let enveloped = rate(&of(&topics.enveloped, 1, 1)).await?;
        self.note("", (&one, enveloped), (copy, consuming, a_million));
        let registry = format!("http://{}", topics.registry.address());
        let by_registry = ["--schema-registry", &registry];
        let trades = ["--preset", "binance"];
        for (name, backlog) in [
            ("ratio_avro_to_bare", Backlog { reading: &by_registry, ..of(&topics.avro, 1, 1) }),
            ("ratio_mapped_to_bare", Backlog { reading: &trades, ..of(&topics.mapped, 1, 1) }),
            ("ratio_broken_to_bare", of(&topics.broken, 1, 1)),
            ("ratio_two_workers", of(&topics.bare, 2, 1)),
            ("ratio_two_writers", of(&topics.bare, 1, 2)),
        ] {
            self.put(name, rate(&backlog).await? / one.rows_per_second);
        }
        self.put("consuming_cpu_s_per_million", consuming);
        self.put("rows_per_s", one.rows_per_second);
        Ok(())
    }

    /// What bare and enveloped ticks came to.
    fn note(
        &mut self,
        how: &str,
        (bare, enveloped): (&Drain, f64),
        (copy, consuming, a_million): (f64, f64, f64),
    ) {
        let cpu = bare.usage.cpu_seconds * a_million;
        for (name, figure) in [
            ("ratio_bare", bare.rows_per_second / copy),
            ("ratio_envelope", enveloped / copy),
            ("cpu_s_per_million", cpu),
            ("cpu_to_consuming", cpu / consuming),
            ("rss_mb", bare.usage.peak_megabytes),
        ] {
            self.put(&format!("{name}{how}"), figure);
        }
    }

    fn put(&mut self, name: &str, figure: f64) {
        println!("  {name} {figure:.2}");
        self.0.entry(name.to_owned()).or_default().push(figure);
    }

    fn json(&self, anomalies: Anomalies) -> serde_json::Value {
        let mut json = json!({ "bench": "speed", "anomalies": anomalies });
        for (name, figures) in &self.0 {
            let min = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let max = figures.iter().copied().fold(0.0, f64::max);
            let middle = median(figures);
            println!("{name}: {middle:.2} (min {min:.2}, max {max:.2})");
            let is_whole = name == "rows_per_s" || name.starts_with("rss_mb");
            json[name] = if is_whole { middle.round() } else { rounded(middle) }.into();
        }
        json
    }
}

/// Rows a second of a COPY with minute bars that were encoded beforehand: no Kafka, no decoding,
/// one connection.
async fn bare_copy(batches: &[Batch]) -> anyhow::Result<f64> {
    let (_database, mut connection) = connected().await?;
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
async fn drain(backlog: &Backlog<'_>) -> anyhow::Result<Drain> {
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
    let (database, mut connection) = connected().await?;
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

async fn rate(backlog: &Backlog<'_>) -> anyhow::Result<f64> {
    Ok(drain(backlog).await?.rows_per_second)
}

const BOTH_WRITE: &str = include_str!("../../sql/bench/both_write.sql");

async fn both_write(connection: &mut sqlx::PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(BOTH_WRITE).fetch_one(connection).await
}

fn start(database: &TestDatabase, backlog: &Backlog<'_>) -> anyhow::Result<Measured> {
    let mut command = speed_layer(backlog.topic, database)?;
    command
        // Its own: the members of the drain before were killed, and the group would wait for them.
        .args(["--group-id", database.name()])
        .args(["--batch-rows", &backlog.batch_rows.to_string()])
        .args(["--writers", &backlog.writers.to_string()])
        .args(["--anomalies", if backlog.anomalies { "on" } else { "off" }])
        .args(backlog.reading);
    Measured::spawn(command)
}
