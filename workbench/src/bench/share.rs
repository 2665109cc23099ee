//! `bench share`: a backfill by one `batch-layer`, and by several that share it, each on one core.

use super::database::{migrated, without_tls};
use crate::figures::{median, rounded};
use anyhow::{Context, ensure};
use clap::Args;
use common::Timestamp;
use serde_json::json;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use testing::TestDatabase;

/// 2025-06-02T00:00Z
const FIRST: i64 = 1_748_822_400_000_000;
const PROCESSES: [usize; 3] = [1, 2, 4];

/// What is computed, and how often.
#[derive(Args, Clone)]
pub struct ShareArgs {
    /// Hours of the backfill; an object each.
    #[arg(long, default_value_t = 200)]
    hours: i64,
    /// Ticks of an hour.
    #[arg(long, default_value_t = 20_000)]
    ticks: i64,
    #[arg(long, default_value_t = 100)]
    symbols: i64,
    /// Rounds; each runs one, two and four processes one after the other.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where the archive is kept.
    #[arg(long, default_value = "target/bench-data", value_name = "DIRECTORY")]
    data: PathBuf,
}

/// # Errors
/// Services that are not there, a full disk, or a binary that is not built.
pub async fn run(args: &ShareArgs) -> anyhow::Result<serde_json::Value> {
    let root = args.archive()?;
    let mut seconds = PROCESSES.map(|_| Vec::new());
    let mut mismatches = 0;
    for round in 1..=args.rounds {
        let mut first = None;
        for (taken, processes) in seconds.iter_mut().zip(PROCESSES) {
            let database = migrated().await?;
            let took = args.backfill(&root, &database, processes)?;
            println!("round {round}, {processes} at once: {took:.2} s");
            taken.push(took);
            let sum = sum(&database).await?;
            mismatches += i64::from(*first.get_or_insert_with(|| sum.clone()) != sum);
        }
    }
    let [one, two, four] = seconds.map(|seconds| median(&seconds));
    Ok(json!({
        "bench": "share", "hours": args.hours, "one_s": rounded(one), "two_s": rounded(two), "four_s": rounded(four),
        "two": rounded(one / two), "four": rounded(one / four), "mismatches": mismatches,
    }))
}

impl ShareArgs {
    /// Writes the archive; gives its folder.
    fn archive(&self) -> anyhow::Result<PathBuf> {
        let root = self.data.join(format!("share-{}-{}-{}", self.hours, self.ticks, self.symbols));
        for hour in 0..self.hours {
            let start = Timestamp::from_micros(FIRST + hour * Timestamp::HOUR).to_string();
            let folder = root.join(format!("raw/stock_prices/{}-{}", &start[..10], &start[11..13]));
            let name = folder.join(format!("stock_prices+0+{:010}.json", hour * self.ticks));
            if !name.is_file() {
                fs::create_dir_all(&folder)
                    .with_context(|| format!("make {}", folder.display()))?;
                fs::write(&name, self.lines(hour))
                    .with_context(|| format!("write {}", name.display()))?;
            }
        }
        root.canonicalize().with_context(|| format!("find {}", root.display()))
    }

    fn lines(&self, hour: i64) -> String {
        let mut text = String::new();
        for number in 0..self.ticks {
            let at = Timestamp::from_micros(
                FIRST + hour * Timestamp::HOUR + number * (Timestamp::HOUR / self.ticks),
            );
            let (symbol, offset) = (number % self.symbols, hour * self.ticks + number);
            let cents = 10_000 + (offset * 7919).rem_euclid(9973);
            let _ = writeln!(
                text,
                r#"{{"volume":{},"symbol":"S{symbol}","kafka_offset":{offset},"kafka_partition":0,"close":{}.{:02},"open":100.5,"timestamp":"{at}"}}"#,
                number % 1000,
                cents / 100,
                cents % 100
            );
        }
        text
    }

    /// The seconds from the first start to the last end.
    fn backfill(
        &self,
        root: &Path,
        database: &TestDatabase,
        processes: usize,
    ) -> anyhow::Result<f64> {
        let (from, to) = (
            Timestamp::from_micros(FIRST),
            Timestamp::from_micros(FIRST + self.hours * Timestamp::HOUR),
        );
        let program = crate::process::command("batch-layer")?.get_program().to_owned();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let begun = Instant::now();
        let start = |number: usize| {
            // A core is what a small machine has.
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &(number % cores).to_string()]).arg(&program);
            command.args(["--quiet", "--bucket", &format!("file://{}", root.display())]);
            command.args(["--from", &from.to_string(), "--to", &to.to_string()]);
            command.args((processes > 1).then_some("--share"));
            command.env("DATABASE_URL", without_tls(database)).env("RUST_LOG", "warn");
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("start batch-layer")
        };
        let all: Vec<Child> = (0..processes).map(start).collect::<anyhow::Result<_>>()?;
        // All are waited for, so that none is left behind where one has failed.
        let ends: Vec<_> = all.into_iter().map(|mut child| child.wait()).collect();
        for end in ends {
            let status = end.context("wait for batch-layer")?;
            ensure!(status.success(), "batch-layer failed: {status}");
        }
        Ok(begun.elapsed().as_secs_f64())
    }
}

const SUM: &str = include_str!("../../sql/bench/sum.sql");

/// One number of all rows that users see.
async fn sum(database: &TestDatabase) -> anyhow::Result<String> {
    Ok(sqlx::query_scalar(SUM).fetch_one(&mut database.connection().await).await?)
}
