//! The tables of the detectors: what they found, and the log of what they know.

use super::limits::TimeLimits;
use super::statements;
use crate::detection::{Detected, LogEntry, Remembered, SymbolFinding};
use crate::source::{SourceId, SourcePartition};
use futures::TryStreamExt as _;
use service::pg;
use service::pg::Timestamptz;
use sqlx::{Connection as _, PgConnection};

/// About this many bytes of the log's entries are sent at once. An entry that is larger leaves
/// buffers as large, which are freed.
const LARGE: usize = 1 << 20;

/// Reads the log of a partition, in the order in which it was written.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn read(
    connection: &mut PgConnection,
    limits: &TimeLimits,
    at: SourcePartition,
) -> sqlx::Result<Remembered> {
    let mut transaction = limits.begin(connection).await?;
    let log = pg::within::query_as::<(bool, Vec<u8>)>(statements::READ_DETECTOR_LOG)
        .bind(at.source)
        .bind(at.partition);
    let mut remembered = Remembered::default();
    {
        let mut log = log.fetch(&mut *transaction);
        while let Some((is_snapshot, states)) = log.try_next().await? {
            remembered.entry(is_snapshot, &states);
        }
    }
    transaction.commit().await?;
    Ok(remembered)
}

/// Appends what a batch shows.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn write(connection: &mut PgConnection, detected: &Detected) -> sqlx::Result<()> {
    insert_findings(connection, &detected.findings).await?;
    let with_snapshot: Vec<SourcePartition> =
        detected.log.iter().filter(|entry| entry.is_snapshot).map(|entry| entry.at).collect();
    if !with_snapshot.is_empty() {
        clear(connection, &with_snapshot).await?;
    }
    let mut bytes = 0;
    let fits = |entry: &LogEntry, _: &LogEntry| {
        bytes += entry.states.len();
        let fits = bytes < LARGE;
        bytes *= usize::from(fits);
        fits
    };
    for entries in detected.log.chunk_by(fits) {
        append(connection, entries).await?;
    }
    if detected.log.iter().any(|entry| entry.states.len() > LARGE) {
        connection.shrink_buffers();
    }
    Ok(())
}

async fn append(connection: &mut PgConnection, entries: &[LogEntry]) -> sqlx::Result<()> {
    pg::within::query(statements::APPEND_DETECTOR_LOG)
        .bind(entries.iter().map(|entry| entry.at.source).collect::<Vec<SourceId>>())
        .bind(entries.iter().map(|entry| entry.at.partition).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.is_snapshot).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.states.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what the detectors know of partitions.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn clear(
    connection: &mut PgConnection,
    partitions: &[SourcePartition],
) -> sqlx::Result<()> {
    pg::within::query(statements::CLEAR_DETECTOR_LOG)
        .bind(partitions.iter().map(|at| at.source).collect::<Vec<_>>())
        .bind(partitions.iter().map(|at| at.partition).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_findings(connection: &mut PgConnection, all: &[SymbolFinding]) -> sqlx::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    pg::within::query(statements::INSERT_ANOMALIES)
        .bind(all.iter().map(|found| found.at.source).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.at.partition).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.place.offset).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.place.index.cast_signed()).collect::<Vec<_>>())
        .bind(all.iter().map(|found| &*found.symbol).collect::<Vec<_>>())
        .bind(Timestamptz::all(all.iter().map(SymbolFinding::time)))
        .bind(all.iter().map(|found| found.finding.detector.name).collect::<Vec<_>>())
        .bind(
            all.iter()
                .map(|found| found.finding.detector.version.cast_signed())
                .collect::<Vec<_>>(),
        )
        .bind(all.iter().map(|found| found.finding.kind.name()).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.score).collect::<Vec<_>>())
        .bind(all.iter().map(SymbolFinding::observed).collect::<Vec<_>>())
        .bind(all.iter().map(SymbolFinding::expected).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
