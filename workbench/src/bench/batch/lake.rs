//! `bench lake`: an hour of the archive as Parquet, next to the lines that it was made of.

use super::archive::Source;
use super::data::{Archives, ENVELOPED_TICKS, FOLDER, HOUR_NAME, SMALL_OBJECTS, Size, TICKS};
use super::ours;
use super::peers::Peers;
use crate::bench::database::migrated;
use crate::figures::{median, rounded};
use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use testing::TestDatabase;

const COMPACT: [&str; 5] = ["compact", "--from", HOUR_NAME, "--to", "2025-06-06T15"];
/// What a question for a day reads.
const DAY: &str = "lake/source=stock_prices/date=2025-06-06/*/*.parquet";

/// What is written and read, and how often.
#[derive(Args, Clone)]
pub struct LakeArgs {
    /// Ticks of the hour.
    #[arg(long, default_value_t = TICKS)]
    ticks: u64,
    /// How often each question is asked.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where the archives (5 GB) and the peers are kept.
    #[arg(long, default_value = "target/bench-data", value_name = "DIRECTORY")]
    data: PathBuf,
}

/// # Errors
/// Services that are not there, a full disk, or a binary that is not built.
pub async fn run(args: &LakeArgs) -> anyhow::Result<Value> {
    // The archives are those of `bench batch`.
    let (enveloped_ticks, small_objects) = (ENVELOPED_TICKS, SMALL_OBJECTS);
    let size = Size { ticks: args.ticks, enveloped_ticks, small_objects };
    let archives = Archives::packed(&args.data, size)?;
    let peers = Peers::install(&args.data)?;
    let source = Source::stored(&archives.gzip).await?;
    let database = migrated().await?;
    ours::run_in(&database, &source, &["--hour", HOUR_NAME])?;
    let (seconds, usage) = ours::command_in(&database, &source, &COMPACT)?;
    let (bytes, raw) = (lake_bytes(&database, args.ticks).await?, source.bytes(FOLDER).await?);
    let ticks = args.ticks as f64;
    println!(
        "compact: {seconds:.1} s, {:.1} CPU s, {:.0} MB; {:.2} bytes a tick of {:.2} as gzip lines",
        usage.cpu_seconds,
        usage.peak_megabytes,
        bytes as f64 / ticks,
        raw as f64 / ticks
    );
    let anew = recompute(args.rounds, &database, &source).await?;
    let mut mismatches = anew.mismatches;
    let mut speedups = Vec::new();
    for round in 1..=args.rounds {
        let lines = peers.ask_symbol("lines", &source, &format!("{FOLDER}/*"))?;
        let lake = peers.ask_symbol("lake", &source, DAY)?;
        ensure!(!lines.rows.is_empty(), "no tick of the symbol that is asked for");
        mismatches += u64::from(lines.rows != lake.rows);
        let speedup = lines.seconds / lake.seconds;
        println!(
            "round {round}: lines {:.2} s, lake {:.3} s ({speedup:.1})",
            lines.seconds, lake.seconds
        );
        speedups.push(speedup);
    }
    Ok(json!({
        "bench": "lake",
        "bytes_per_tick": rounded(bytes as f64 / ticks),
        "raw_gzip_bytes_per_tick": rounded(raw as f64 / ticks),
        "compact_s_per_million": rounded(seconds * 1e6 / ticks),
        "compact_cpu_s_per_million": rounded(usage.cpu_seconds * 1e6 / ticks),
        "compact_rss_mb": usage.peak_megabytes.round(),
        "duckdb_query_speedup": rounded(median(&speedups)),
        "batch_from_parquet_ratio": rounded(median(&anew.ratios)),
        "batch_from_parquet_rss_mb": anew.lake_megabytes.round(),
        "batch_from_gzip_rss_mb": anew.lines_megabytes.round(),
        "mismatches": mismatches,
    }))
}

/// The hour that was computed anew from the lines and from the lake.
#[derive(Default)]
struct Anew {
    /// How many times as long the lines took, a round each.
    ratios: Vec<f64>,
    /// The largest peaks of memory.
    lines_megabytes: f64,
    lake_megabytes: f64,
    /// How many rows differ.
    mismatches: u64,
}

/// Computes the hour anew from the lines and from the lake, in turn.
async fn recompute(rounds: u32, database: &TestDatabase, source: &Source) -> anyhow::Result<Anew> {
    const ANEW: [&str; 3] = ["--hour", HOUR_NAME, "--recompute"];
    let mut anew = Anew::default();
    for round in 1..=rounds {
        let (lines, of_lines) =
            ours::run_in(database, source, &[&ANEW[..], &["--from-lake", "never"]].concat())?;
        let expected = rows(database).await?;
        let (lake, of_lake) = ours::run_in(database, source, &ANEW)?;
        anew.mismatches += differing(&expected, &rows(database).await?);
        anew.lines_megabytes = anew.lines_megabytes.max(of_lines.peak_megabytes);
        anew.lake_megabytes = anew.lake_megabytes.max(of_lake.peak_megabytes);
        println!(
            "round {round}: the hour anew from lines {lines:.2} s, {:.2} CPU s, {:.0} MB, from the lake {lake:.2} s, {:.2} CPU s, \
             {:.0} MB ({:.2})",
            of_lines.cpu_seconds,
            of_lines.peak_megabytes,
            of_lake.cpu_seconds,
            of_lake.peak_megabytes,
            lines / lake
        );
        anew.ratios.push(lines / lake);
    }
    let from_lake = "select count(*) from batch_runs where hours_from_lake = 1";
    let from_lake: i64 =
        sqlx::query_scalar(from_lake).fetch_one(&mut database.connection().await).await?;
    ensure!(
        from_lake == i64::from(rounds),
        "the hour was read from the lake {from_lake} times, and not {rounds}"
    );
    Ok(anew)
}

const ROWS: &str = include_str!("../../../sql/bench/rows.sql");

/// The hour's rows, as text.
async fn rows(database: &TestDatabase) -> anyhow::Result<Vec<String>> {
    Ok(sqlx::query_scalar(ROWS).fetch_all(&mut database.connection().await).await?)
}

/// How many rows of two lists in order are not the same.
fn differing(one: &[String], other: &[String]) -> u64 {
    let differing = one.iter().zip(other).filter(|(one, other)| one != other).count();
    (differing + one.len().abs_diff(other.len())) as u64
}

/// The size of what readers see, which must have all ticks.
async fn lake_bytes(database: &TestDatabase, ticks: u64) -> anyhow::Result<i64> {
    let known = sqlx::query_as(
        "select sum(size)::bigint, sum(rows)::bigint from lake_objects where state = 'verified'",
    );
    let (bytes, rows): (Option<i64>, Option<i64>) =
        known.fetch_one(&mut database.connection().await).await?;
    ensure!(rows == Some(ticks.cast_signed()), "the lake has {rows:?} of {ticks} ticks");
    Ok(bytes.unwrap_or_default())
}
