//! `batch_runs`, one row a run.

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::{Token, TransactionLock};
use service::Failure;
use service::pg;
use service::pg::{Timestamptz, in_time};
use sqlx::Acquire;
use sqlx::postgres::{PgConnection, PgTransaction};
use std::ops::Range;

/// Counts of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RunCounts {
    pub hours_computed: u32,
    pub hours_failed: u32,
    /// Times that an object was read.
    pub objects_read: u64,
    /// As stored, compressed or not.
    pub bytes_read: u64,
    /// Computed hours that were read from the lake.
    pub hours_from_lake: u32,
    /// Objects of the lake that were read for them.
    pub lake_objects_read: u64,
    /// In the computed hours.
    pub ticks: u64,
    /// Symbols in the computed hours of which some tick has no volume.
    pub without_volume: u64,
    /// In the objects that were read for the first time.
    pub rejected_lines: u64,
    /// In the computed hours.
    pub duplicates: u64,
    /// Records of the computed hours of which several lines tell different things.
    pub conflicts: u64,
}

impl RunCounts {
    /// Adds the counts of a later part of the same run.
    pub const fn add(&mut self, later: Self) {
        self.hours_computed += later.hours_computed;
        self.hours_failed = later.hours_failed;
        self.objects_read += later.objects_read;
        self.bytes_read += later.bytes_read;
        self.hours_from_lake += later.hours_from_lake;
        self.lake_objects_read += later.lake_objects_read;
        self.ticks += later.ticks;
        self.without_volume += later.without_volume;
        self.rejected_lines += later.rejected_lines;
        self.duplicates += later.duplicates;
        self.conflicts += later.conflicts;
    }
}

/// A run as it begins.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    pub arguments: &'a str,
    pub engine: &'a str,
    /// It sees to the usual window, and not to some hours alone.
    pub looks_back: bool,
    /// The hours whose folders it is to look at.
    pub window: Option<&'a Range<Hour>>,
}

/// Description, for errors, of noting a run.
const NOTING: &str = "noting the run in";

/// Notes the start of a run. Gives its number.
///
/// # Errors
/// Where the database fails.
pub async fn begin(db: &mut BatchDb, begun: Begun<'_>) -> Result<i64, Failure> {
    let token = db.lock.clone();
    db.transact(NOTING, TransactionLock::Membership, async |transaction| {
        insert(transaction, token.as_ref(), begun).await
    })
    .await
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    token: Option<&Token>,
    Begun { arguments, engine, looks_back, window }: Begun<'_>,
) -> Result<i64, sqlx::Error> {
    // A row that says "running" of a run that does not hold the lock was left by a process that was
    // killed.
    pg::query(include_str!("../sql/ledger/end_dead.sql"))
        .execute(transaction.acquire().await?)
        .await?;
    let insert = include_str!("../sql/ledger/begin.sql");
    pg::query_scalar(insert)
        .bind(arguments)
        .bind(engine)
        .bind(looks_back)
        .bind(token.map(Token::as_str))
        .bind(window.map(|window| Timestamptz(window.start.start())))
        .bind(window.map(|window| Timestamptz(window.end.start())))
        .fetch_one(transaction.acquire().await?)
        .await
}

/// Notes the end of a run: over the run's own connection, or a new one where that is broken.
pub async fn finish(
    db: &mut BatchDb,
    run_id: i64,
    counts: &RunCounts,
    result: &Result<(), Failure>,
) {
    // What has failed may be this very connection, and it need not say so.
    let is_usable = !matches!(result, Err(Failure::Infrastructure(_)));
    let over_own =
        async |connection: &mut PgConnection| update(connection, run_id, counts, result).await;
    let noted = if is_usable && db.query(NOTING, over_own).await.is_ok() {
        Ok(())
    } else {
        retry(db, run_id, counts, result).await
    };
    if let Err(error) = noted {
        let error = format!("{error:#}");
        tracing::warn!(
            run = run_id,
            error,
            "the end of run {run_id} could not be noted in batch_runs: {error}"
        );
    }
}

async fn retry(
    db: &BatchDb,
    run_id: i64,
    counts: &RunCounts,
    result: &Result<(), Failure>,
) -> anyhow::Result<()> {
    let mut connection = db.database.connect().await?;
    Ok(in_time(db.patience, update(&mut connection, run_id, counts, result)).await?)
}

async fn update(
    connection: &mut PgConnection,
    run_id: i64,
    counts: &RunCounts,
    result: &Result<(), Failure>,
) -> Result<(), sqlx::Error> {
    let status = match result {
        Ok(()) => "ok",
        Err(Failure::Partial(_)) => "partial",
        Err(_) => "failed",
    };
    pg::query(include_str!("../sql/ledger/end.sql"))
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
        .bind(counts.conflicts.cast_signed())
        .bind(counts.hours_from_lake.cast_signed())
        .bind(counts.lake_objects_read.cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}
