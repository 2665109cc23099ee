//! Runs with little to do: a late object for a full hour, and a month without news.

use super::archive::Source;
use super::data::{self, HOUR_NAME};
use super::ours;
use crate::bench::database::migrated;
use crate::figures::median;
use anyhow::ensure;
use testing::TestDatabase;

/// How often each is measured.
const TIMES: u64 = 5;
/// The month of [`data::month`].
const MONTH: [&str; 4] = ["--from", "2025-06-01T00", "--to", "2025-07-01T00"];

/// The seconds of a run that finds one object of 1,000 late ticks for an hour that is computed
/// already.
///
/// # Errors
/// A run that fails, or reads anything else.
pub async fn late(source: &Source) -> anyhow::Result<f64> {
    let database = migrated().await?;
    ours::run_in(&database, source, &["--hour", HOUR_NAME])?;
    let mut seconds = Vec::new();
    for number in 0..TIMES {
        let before = ticks(&database).await?;
        source.put(&data::late_name(number), data::late(number)?).await?;
        let (took, usage) = ours::run_in(&database, source, &["--hour", HOUR_NAME])?;
        let (added, objects) = (ticks(&database).await? - before, objects_read(&database).await?);
        println!(
            "late object: {took:.2} s, {:.2} CPU s; {added} ticks, {objects} object read",
            usage.cpu_seconds
        );
        ensure!(
            (added, objects) == (data::LATE_TICKS.cast_signed(), 1),
            "more than the late object was read, or less"
        );
        seconds.push(took);
    }
    Ok(median(&seconds))
}

/// The seconds of a run over 720 hours with four objects each, of which none is new.
///
/// # Errors
/// A run that fails, or reads anything.
pub async fn idle() -> anyhow::Result<f64> {
    let (database, source) = (migrated().await?, Source::empty().await);
    for (name, text) in data::month() {
        source.put(&name, text).await?;
    }
    let (first, _) = ours::run_in(&database, &source, &MONTH)?;
    println!(
        "720 hours: {first:.2} s for the first run, which reads {} objects",
        objects_read(&database).await?
    );
    let mut seconds = Vec::new();
    for _ in 0..TIMES {
        let (took, usage) = ours::run_in(&database, &source, &MONTH)?;
        let objects = objects_read(&database).await?;
        println!("720 hours without news: {took:.2} s, {:.2} CPU s", usage.cpu_seconds);
        ensure!(objects == 0, "{objects} objects were read");
        seconds.push(took);
    }
    Ok(median(&seconds))
}

async fn ticks(database: &TestDatabase) -> anyhow::Result<i64> {
    let sum = sqlx::query_scalar("select sum(ticks)::bigint from hourly_stock_summary");
    Ok(sum.fetch_one(&mut database.connection().await).await?)
}

/// Of the last run.
async fn objects_read(database: &TestDatabase) -> anyhow::Result<i64> {
    let read =
        sqlx::query_scalar("select objects_read from batch_runs order by run_id desc limit 1");
    Ok(read.fetch_one(&mut database.connection().await).await?)
}
