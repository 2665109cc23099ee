//! The tables of the detectors: what they found, and the log of what they know.

use super::limits::Limits;
use super::statements;
use crate::detection::{Entry, Found, Judged, Remembered};
use crate::source::{SourceId, SourcePartition};
use futures::TryStreamExt as _;
use service::pg;
use sqlx::{Connection as _, PgConnection};

/// Of the log's entries about so many bytes are sent at once. One that is larger leaves buffers as
/// large, which are given back.
const LARGE: usize = 1 << 20;

/// Reads the log of a partition, in the order in which it was written.
pub async fn read(
    connection: &mut PgConnection,
    limits: &Limits,
    at: SourcePartition,
) -> sqlx::Result<Remembered> {
    let mut transaction = limits.begin(connection).await?;
    let log = pg::within::query_as::<(bool, Vec<u8>)>(statements::READ_DETECTOR_LOG)
        .bind(at.source)
        .bind(at.partition);
    let mut remembered = Remembered::default();
    {
        let mut log = log.fetch(&mut *transaction);
        while let Some((is_whole, states)) = log.try_next().await? {
            remembered.entry(is_whole, &states);
        }
    }
    transaction.commit().await?;
    Ok(remembered)
}

/// Appends what a batch shows.
pub async fn write(connection: &mut PgConnection, judged: &Judged) -> sqlx::Result<()> {
    insert_findings(connection, &judged.findings).await?;
    let whole: Vec<SourcePartition> =
        judged.log.iter().filter(|entry| entry.is_whole).map(|entry| entry.at).collect();
    if !whole.is_empty() {
        clear(connection, &whole).await?;
    }
    let mut bytes = 0;
    let fits = |entry: &Entry, _: &Entry| {
        bytes += entry.states.len();
        let fits = bytes < LARGE;
        bytes *= usize::from(fits);
        fits
    };
    for entries in judged.log.chunk_by(fits) {
        append(connection, entries).await?;
    }
    if judged.log.iter().any(|entry| entry.states.len() > LARGE) {
        connection.shrink_buffers();
    }
    Ok(())
}

async fn append(connection: &mut PgConnection, entries: &[Entry]) -> sqlx::Result<()> {
    pg::within::query(statements::APPEND_DETECTOR_LOG)
        .bind(entries.iter().map(|entry| entry.at.source).collect::<Vec<SourceId>>())
        .bind(entries.iter().map(|entry| entry.at.partition).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.is_whole).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.states.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what the detectors know of partitions.
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

async fn insert_findings(connection: &mut PgConnection, all: &[Found]) -> sqlx::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    pg::within::query(statements::INSERT_ANOMALIES)
        .bind(all.iter().map(|found| found.at.source).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.at.partition).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.place.offset).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.place.index.cast_signed()).collect::<Vec<_>>())
        .bind(all.iter().map(|found| &*found.symbol).collect::<Vec<_>>())
        .bind(all.iter().map(Found::time).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.detector.name).collect::<Vec<_>>())
        .bind(
            all.iter()
                .map(|found| found.finding.detector.version.cast_signed())
                .collect::<Vec<_>>(),
        )
        .bind(all.iter().map(|found| found.finding.kind.name()).collect::<Vec<_>>())
        .bind(all.iter().map(|found| found.finding.score).collect::<Vec<_>>())
        .bind(all.iter().map(Found::observed).collect::<Vec<_>>())
        .bind(all.iter().map(Found::expected).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
