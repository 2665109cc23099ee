//! `bench memory`: the most memory that batch-layer takes where something is very large.

mod store;

use super::database::{layer, migrated};
use super::process::Measured;
use crate::figures::rounded;
use anyhow::ensure;
use bytes::Bytes;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sqlx::Executor;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;
use store::{Body, EndlessStore, Objects};
use testing::TestDatabase;

/// More than that is a failure.
const LIMIT_MEGABYTES: f64 = 256.0;
const HOUR: &str = "2025-06-06T14";
const FOLDER: &str = "raw/stock_prices/2025-06-06-14/";
/// The hour in seconds since 1970.
const START: usize = 1_749_218_400;

/// How large.
#[derive(Args, Clone)]
pub struct MemoryArgs {
    /// Symbols of one hour; each of 16 objects has all of them.
    #[arg(long, default_value_t = 100_000)]
    symbols: usize,
    /// Bytes of one object, in units of 10^9.
    #[arg(long, default_value_t = 5)]
    gigabytes: usize,
    /// What a gzip object of some megabytes unpacks to, in units of 10^9 bytes.
    #[arg(long, default_value_t = 10)]
    bomb_gigabytes: usize,
    /// Objects of 28 lines in one folder.
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
    /// Keys of one folder, more than batch-layer takes.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Symbols with indicators.
    #[arg(long, default_value_t = 500)]
    indicators: usize,
    /// Years of seven hours on each of 252 days.
    #[arg(long, default_value_t = 10)]
    years: usize,
    /// Only this case, or these.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
}

const MARK_ALL: &str = include_str!("../../sql/bench/mark_all.sql");
const MANY_SUMMARIES: &str = include_str!("../../sql/bench/many_summaries.sql");

/// What a case came to.
struct Outcome {
    megabytes: f64,
    seconds: f64,
    code: i32,
    /// The last line of what was said, where it did not end well.
    said: String,
}

/// # Errors
/// Services that are not there, a binary that is not built, or a case that ends otherwise
/// than it must.
pub async fn run(args: &MemoryArgs) -> anyhow::Result<Value> {
    let mut result = json!({ "bench": "memory", "limit_mb": LIMIT_MEGABYTES });
    let mut worst = 0.0_f64;
    for (name, code) in [
        ("symbols", 0),
        ("verify_symbols", 1),
        ("one_object", 0),
        ("gzip_bomb", 4),
        ("objects", 0),
        ("keys", 4),
        ("verify_keys", 4),
        ("indicators", 0),
        ("verify_indicators", 4),
    ] {
        if !args.only.is_empty() && !args.only.iter().any(|only| name.ends_with(&**only)) {
            continue;
        }
        let outcome = args.measure(name).await?;
        let Outcome { megabytes, seconds, said, .. } = &outcome;
        println!("{name}: {megabytes:.0} MB, {seconds:.1} s, exit code {}: {said}", outcome.code);
        ensure!(outcome.code == code, "{name} ended with {} instead of {code}", outcome.code);
        worst = worst.max(*megabytes);
        result[name] = megabytes.round().into();
        result[format!("{name}_s")] = rounded(*seconds).into();
    }
    result["worst_mb"] = worst.round().into();
    Ok(result)
}

impl MemoryArgs {
    async fn measure(&self, name: &str) -> anyhow::Result<Outcome> {
        let database = migrated().await?;
        let store = EndlessStore::start(self.objects_of(name)?).await?;
        if name.ends_with("indicators") {
            self.fill(&database).await?;
        }
        let is_verify = name.starts_with("verify");
        if name == "verify_indicators" {
            // First they must be there.
            batch_layer(&store, &database, false).await?;
        }
        batch_layer(&store, &database, is_verify).await
    }

    fn objects_of(&self, name: &str) -> std::io::Result<Objects> {
        let (count, ending): (usize, &'static str) = match name {
            "symbols" | "verify_symbols" => (16, ".json"),
            "one_object" => (1, ".json"),
            "gzip_bomb" => (1, ".json.gz"),
            "objects" => (self.objects, ".json"),
            "keys" | "verify_keys" => (self.keys, ".json"),
            _ => (0, ".json"),
        };
        let content: Box<dyn Fn(usize) -> Body + Send + Sync> = match name {
            "symbols" | "verify_symbols" => {
                let all = lines(0..self.symbols, self.symbols);
                Box::new(move |_| Body { block: all.clone(), times: 1 })
            }
            "one_object" => {
                let (block, size) = (lines(0..10_000, 500), self.gigabytes * 1_000_000_000);
                Box::new(move |_| Body { times: size / block.len(), block: block.clone() })
            }
            "gzip_bomb" => {
                let (block, times) = (packed_zeros()?, self.bomb_gigabytes * 10);
                Box::new(move |_| Body { block: block.clone(), times })
            }
            _ => {
                let block = lines(0..28, 28);
                Box::new(move |_| Body { block: block.clone(), times: 1 })
            }
        };
        Ok(Objects { folder: FOLDER.to_owned(), count, ending, content })
    }

    /// Hourly summaries as of many years, all of them to be computed.
    async fn fill(&self, database: &TestDatabase) -> anyhow::Result<()> {
        let mut connection = database.connection().await;
        sqlx::query(MANY_SUMMARIES)
            .bind(i64::try_from(self.years * 252)?)
            .bind(i64::try_from(self.indicators)?)
            .execute(&mut connection)
            .await?;
        for sql in ["delete from stale_indicators", MARK_ALL, "analyze hourly_stock_summary"] {
            connection.execute(sql).await?;
        }
        Ok(())
    }
}

async fn batch_layer(
    store: &EndlessStore,
    database: &TestDatabase,
    is_verify: bool,
) -> anyhow::Result<Outcome> {
    let mut command = layer("batch-layer", database)?;
    let said = std::env::temp_dir().join(format!("bench-memory-{}.log", std::process::id()));
    command
        .args(is_verify.then_some("verify"))
        .args(["--hour", HOUR])
        .env("QUERY_TIMEOUT", "600s")
        .envs(store.environment())
        .stderr(File::create(&said)?);
    let begun = Instant::now();
    // The store is a part of this process.
    let (status, usage) =
        tokio::task::spawn_blocking(move || Measured::spawn(command)?.finish()).await??;
    let seconds = begun.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&said)?;
    std::fs::remove_file(&said)?;
    let said = text.lines().last().unwrap_or_default().to_owned();
    Ok(Outcome {
        megabytes: usage.peak_megabytes,
        seconds,
        code: status.code().unwrap_or(-1),
        said,
    })
}

/// Lines of ticks, which tell no offset.
fn lines(numbers: std::ops::Range<usize>, symbols: usize) -> Bytes {
    let mut text = String::new();
    for number in numbers {
        let (symbol, second, cents) = (number % symbols, START + number % 3600, number % 100);
        let _ = writeln!(
            text,
            r#"{{"symbol":"S{symbol:06}","timestamp":{second}000,"open":101.{cents:02},"close":102.{cents:02},"volume":{number}}}"#
        );
    }
    text.into()
}

/// A gzip member of 100 MB of zeros.
fn packed_zeros() -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1_000_000];
    for _ in 0..100 {
        encoder.write_all(&zeros)?;
    }
    Ok(encoder.finish()?.into())
}
