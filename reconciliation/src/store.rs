//! The outcomes in PostgreSQL, for dashboards and alerts.

use crate::outcome::{HourOutcome, PartitionOutcome};
use common::Timestamp;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::pg;
use service::pg::{Timestamptz, in_time};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Connection};

/// What was found could not be written.
#[derive(Debug)]
pub struct Unwritten {
    pub failure: Failure,
    /// The server has refused it, and answers.
    pub is_refused: bool,
}

impl Unwritten {
    async fn of(db: &BatchDb, error: sqlx::Error) -> Self {
        let is_refused = error.as_database_error().is_some();
        Self { failure: db.explain("writing reconciled_hours to", error).await, is_refused }
    }
}

/// Replaces what is known of an hour. `read_at`: of which moment the tables were read; what was
/// computed since then was not looked at.
///
/// # Errors
/// Where the database fails; nothing has changed then.
pub async fn write(
    db: &mut BatchDb,
    outcome: &HourOutcome,
    read_at: Timestamp,
) -> Result<(), Unwritten> {
    match in_time(db.patience, write_all(&mut db.connection, outcome, read_at)).await {
        Ok(()) => Ok(()),
        Err(error) => Err(Unwritten::of(db, error).await),
    }
}

/// Notes that an hour was compared without something of it.
///
/// # Errors
/// Where the database fails.
pub async fn open(db: &mut BatchDb, hour: Hour, why: &str) -> Result<(), Unwritten> {
    let note =
        pg::query(include_str!("../sql/open_hour.sql")).bind(Timestamptz(hour.start())).bind(why);
    match in_time(db.patience, note.execute(&mut db.connection)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Unwritten::of(db, error).await),
    }
}

async fn write_all(
    connection: &mut PgConnection,
    outcome: &HourOutcome,
    read_at: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut transaction = Connection::begin(connection).await?;
    // Another comparison may replace the same hour: its row, which comes first, is what waits.
    let replaced = match outcome.is_empty() {
        // The partitions' rows go with it.
        true => "delete from reconciled_hours where hour = $1",
        false => {
            insert_hour(&mut transaction, outcome, read_at).await?;
            "delete from reconciliations where hour = $1"
        }
    };
    pg::query(replaced)
        .bind(Timestamptz(outcome.hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    for partition in &outcome.partitions {
        insert_partition(&mut transaction, outcome.hour, partition).await?;
    }
    transaction.commit().await
}

async fn insert_hour(
    transaction: &mut PgTransaction<'_>,
    outcome: &HourOutcome,
    read_at: Timestamp,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../sql/insert_hour.sql"))
        .bind(Timestamptz(outcome.hour.start()))
        .bind(outcome.status.as_str())
        .bind(outcome.realtime_ticks.map(u64::cast_signed))
        .bind(outcome.minute_bar_ticks.cast_signed())
        .bind(outcome.archive_ticks.cast_signed())
        .bind(outcome.summary_ticks.map(u64::cast_signed))
        .bind(outcome.details.join("; "))
        .bind(Timestamptz(read_at))
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn insert_partition(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    outcome: &PartitionOutcome,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../sql/insert_partition.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(&outcome.topic)
        .bind(outcome.partition)
        .bind(outcome.status.as_str())
        .bind(outcome.kafka_from.map(u64::cast_signed))
        .bind(outcome.kafka_to.map(u64::cast_signed))
        .bind(outcome.realtime_ticks.map(u64::cast_signed))
        .bind(outcome.archive_ticks.cast_signed())
        .bind(outcome.realtime_duplicates.cast_signed())
        .bind(outcome.archive_duplicates.cast_signed())
        .bind(outcome.rejected.cast_signed())
        .bind(outcome.skipped.cast_signed())
        .bind(outcome.missing_in_realtime.cast_signed())
        .bind(outcome.missing_in_archive.cast_signed())
        .bind(outcome.missing_everywhere.cast_signed())
        .bind(outcome.differing_blocks.cast_signed())
        .bind(&outcome.realtime_checksum)
        .bind(&outcome.archive_checksum)
        .bind(outcome.details.join("; "))
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}
