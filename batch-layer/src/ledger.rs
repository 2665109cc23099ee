//! `batch_runs`, one row a run, and the lock that lets one run work at a time.

use crate::index::Index;
use common::Failure;
use common::pg::in_time;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;

/// What a run has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    pub hours_computed: u32,
    pub hours_failed: u32,
    /// Times that an object was read.
    pub objects_read: u64,
    /// As stored, compressed or not.
    pub bytes_read: u64,
    /// In the computed hours.
    pub ticks: u64,
    /// In the objects that were read for the first time.
    pub rejected_lines: u64,
    /// In the computed hours.
    pub duplicates: u64,
}

/// Takes the lock of the database's batch layer for as long as the connection lives; `false` where another run has it.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn try_lock(index: &mut Index) -> Result<bool, Failure> {
    let (class, object) = lock_key();
    let locked = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
        .bind(class)
        .bind(object)
        .fetch_one(&mut index.connection);
    let locked = in_time(index.patience, locked).await;
    locked.map_err(|error| index.failed("taking the batch layer's lock in", error))
}

/// Two numbers that no other program's locks are likely to have. Advisory locks are each database's own.
fn lock_key() -> (i32, i32) {
    let hash = Sha256::digest(b"batch-layer/hourly_stock_summary");
    let word = |at: usize| i32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
    (word(0), word(4))
}

/// Notes the start of a run. Gives its number.
pub async fn begin(index: &mut Index, arguments: &str) -> Result<i64, Failure> {
    let begun = in_time(index.patience, insert(&mut index.connection, arguments)).await;
    begun.map_err(|error| index.failed("noting the run in", error))
}

async fn insert(connection: &mut PgConnection, arguments: &str) -> Result<i64, sqlx::Error> {
    // Whoever holds the lock is alone, so a row that says "running" was left by a process that was killed.
    sqlx::query(
        "update batch_runs set status = 'failed', finished_at = now(), error = 'the process ended without a word'
         where status = 'running'",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar("insert into batch_runs (arguments) values ($1) returning run_id")
        .bind(arguments)
        .fetch_one(connection)
        .await
}

/// Notes the end of a run: over the run's own connection, or a new one where that is broken.
pub async fn finish(index: &mut Index, run_id: i64, counts: &Counts, result: &Result<(), Failure>) {
    // What has failed may be this very connection, and it need not say so.
    let is_usable = !matches!(result, Err(Failure::Infrastructure(_)));
    let patience = index.patience;
    let noted =
        match is_usable && in_time(patience, update(&mut index.connection, run_id, counts, result)).await.is_ok() {
            true => Ok(()),
            false => retry(index, run_id, counts, result).await,
        };
    if let Err(error) = noted {
        tracing::warn!("the end of run {run_id} could not be noted in batch_runs: {error:#}");
    }
}

async fn retry(index: &Index, run_id: i64, counts: &Counts, result: &Result<(), Failure>) -> anyhow::Result<()> {
    let mut connection = index.database.connect().await?;
    Ok(in_time(index.patience, update(&mut connection, run_id, counts, result)).await?)
}

async fn update(
    connection: &mut PgConnection,
    run_id: i64,
    counts: &Counts,
    result: &Result<(), Failure>,
) -> Result<(), sqlx::Error> {
    let status = match result {
        Ok(()) => "ok",
        Err(Failure::Partial(_)) => "partial",
        Err(_) => "failed",
    };
    sqlx::query(
        "update batch_runs
         set (finished_at, status, hours_computed, hours_failed, objects_read, bytes_read, ticks, rejected_lines,
              duplicates, error)
             = (now(), $2, $3, $4, $5, $6, $7, $8, $9, $10)
         where run_id = $1",
    )
    .bind(run_id)
    .bind(status)
    .bind(counts.hours_computed.cast_signed())
    .bind(counts.hours_failed.cast_signed())
    .bind(counts.objects_read.cast_signed())
    .bind(counts.bytes_read.cast_signed())
    .bind(counts.ticks.cast_signed())
    .bind(counts.rejected_lines.cast_signed())
    .bind(counts.duplicates.cast_signed())
    .bind(result.as_ref().err().map(ToString::to_string))
    .execute(connection)
    .await?;
    Ok(())
}
