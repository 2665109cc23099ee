//! One batch, one transaction: ticks, bars, anomalies, rejects and offsets together, or nothing.

use super::limits::{COMMIT, Limits};
use super::offsets::Moved;
use super::{findings, offsets, statements};
use crate::batch::{Batch, MinuteBars, RejectedMessage, Rows};
use crate::detection::Judged;
use common::{Bar, Timestamp};
use service::pg;
use service::pg::bars::Columns;
use sqlx::PgConnection;

/// What became of a batch.
pub enum Outcome {
    Written,
    /// The stored offsets show that an earlier try had committed.
    WrittenBefore,
    /// The stored offsets are not those from which the batch began.
    Fenced(Moved),
}

/// Writes the batch unless another consumer has moved its partitions' offsets.
///
/// # Errors
/// Whatever PostgreSQL says; the connection is then in the middle of the transaction, and of no use.
pub async fn write(
    connection: &mut PgConnection,
    limits: &Limits,
    batch: &Batch,
    judged: &Judged,
) -> sqlx::Result<Outcome> {
    limits.begin_batch(connection).await?;
    let stored = offsets::lock(connection, &batch.ranges).await?;
    if let Some(not_ours) = offsets::compare(&stored, &batch.ranges) {
        sqlx::raw_sql("rollback").execute(connection).await?;
        return Ok(not_ours);
    }
    write_ticks(connection, batch).await?;
    findings::write(connection, judged).await?;
    insert_rejects(connection, &batch.rejects).await?;
    offsets::record(connection, &batch.gaps).await?;
    offsets::advance(connection, &batch.ranges).await?;
    sqlx::raw_sql(COMMIT).execute(connection).await?;
    Ok(Outcome::Written)
}

/// The ticks and their bars alone.
///
/// # Errors
/// Whatever PostgreSQL says; the transaction is then of no use.
pub async fn write_ticks(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    copy_rows(connection, &batch.rows).await?;
    let minutes = batch.bars.sorted();
    merge_bars(connection, statements::MERGE_MINUTE_BARS, &minutes).await?;
    merge_bars(connection, statements::MERGE_HOUR_BARS, &MinuteBars::hours(&minutes)).await
}

async fn copy_rows(connection: &mut PgConnection, rows: &Rows) -> sqlx::Result<()> {
    /// Large enough to cost few system calls, small enough that the client's own buffer stays small.
    const CHUNK: usize = 128 * 1024;
    for (statement, stream) in rows.copies() {
        let mut copy = connection.copy_in_raw(statement).await?;
        for chunk in stream.chunks(CHUNK) {
            copy.send(chunk).await?;
        }
        copy.send(Rows::trailer()).await?;
        copy.finish().await?;
    }
    Ok(())
}

async fn merge_bars(
    connection: &mut PgConnection,
    statement: &'static str,
    bars: &[(&str, Timestamp, Bar)],
) -> sqlx::Result<()> {
    if bars.is_empty() {
        return Ok(());
    }
    let bars: Vec<_> = bars.iter().map(|(symbol, start, bar)| (*symbol, *start, bar)).collect();
    pg::query_with(statement, Columns::All.arguments(&bars)?).execute(connection).await?;
    Ok(())
}

async fn insert_rejects(connection: &mut PgConnection, rejects: &[RejectedMessage]) -> sqlx::Result<()> {
    if rejects.is_empty() {
        return Ok(());
    }
    pg::query(statements::INSERT_REJECTS)
        .bind(rejects.iter().map(|r| r.at.source).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.at.partition).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.offset).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.index.cast_signed()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.reject.reason.as_str()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.reject.detail.as_str()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value.as_deref()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value_bytes).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value_sha256.as_deref()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.kafka_timestamp).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
