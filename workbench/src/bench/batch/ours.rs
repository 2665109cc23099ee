//! The hour by `batch-layer`: the whole program, from its start to the rows in PostgreSQL.

use super::archive::Source;
use super::data::HOUR_NAME;
use crate::bench::database::{layer, migrated};
use crate::bench::process::{Measured, Usage};
use anyhow::ensure;
use sqlx::PgConnection;
use std::time::Instant;
use testing::TestDatabase;

/// What a run took, and where its rows are.
pub struct Run {
    pub seconds: f64,
    pub usage: Usage,
    pub database: TestDatabase,
}

/// # Errors
/// A run that fails.
pub async fn run(source: &Source) -> anyhow::Result<Run> {
    let database = migrated().await?;
    let (seconds, usage) = run_in(&database, source, &["--hour", HOUR_NAME])?;
    Ok(Run { seconds, usage, database })
}

/// A run over some hours: its seconds, and what it has used.
///
/// # Errors
/// A run that fails.
pub fn run_in(
    database: &TestDatabase,
    source: &Source,
    window: &[&str],
) -> anyhow::Result<(f64, Usage)> {
    // The others compute hours, and judge no ticks.
    command_in(database, source, &[&["--anomalies", "off"], window].concat())
}

/// A run with these arguments: its seconds, and what it has used.
///
/// # Errors
/// A run that fails.
pub fn command_in(
    database: &TestDatabase,
    source: &Source,
    arguments: &[&str],
) -> anyhow::Result<(f64, Usage)> {
    let mut command = layer("batch-layer", database)?;
    command
        .args(arguments)
        .args(["--bucket", &source.bucket()])
        .envs(source.environment().into_iter().filter(|(name, _)| *name != "S3_BUCKET"));
    let begun = Instant::now();
    let (status, usage) = Measured::spawn(command)?.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "batch-layer failed on {}: {status}", source.bucket());
    Ok((seconds, usage))
}

const PEER_TABLE: &str = include_str!("../../../sql/bench/peer_table.sql");

const MISMATCHES: &str = include_str!("../../../sql/bench/mismatches.sql");

/// How many of the hour's rows differ from a peer's: in any figure, or in being there.
///
/// # Errors
/// Rows that are none.
pub async fn mismatches(run: &Run, peers_rows: &str) -> anyhow::Result<i64> {
    let mut connection: PgConnection = run.database.connection().await;
    sqlx::raw_sql(PEER_TABLE).execute(&mut connection).await?;
    let mut copy = connection.copy_in_raw("copy peer from stdin").await?;
    copy.send(peers_rows.as_bytes()).await?;
    copy.finish().await?;
    Ok(sqlx::query_scalar(MISMATCHES).fetch_one(&mut connection).await?)
}
