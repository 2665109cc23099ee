//! Partitions of `realtime_stock`, one a UTC day: upkeep makes those of today and tomorrow ahead of
//! time, the store any other when the first tick of it arrives.

use common::Timestamp;
use service::pg;
use service::pg::Timestamptz;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashSet};

/// The function takes the rights that its caller lacks (migrations/0007_realtime_days.sql).
const MAKE: &str = include_str!("../../sql/store/make_days.sql");

/// Days that one transaction makes: each may cost a few locks. Many at once become whole months.
const DAYS_PER_TRANSACTION: usize = 256;

/// The days that are known to have a partition.
#[derive(Debug, Default)]
pub struct DayPartitions {
    known: HashSet<Timestamp>,
}

impl DayPartitions {
    /// Makes the partitions of `days` that are missing. Outside of the batch's transaction, because
    /// attaching takes a lock that lasts until the end of its own.
    ///
    /// # Errors
    /// If PostgreSQL refuses a statement, or its connection breaks.
    pub async fn ensure(
        &mut self,
        connection: &mut PgConnection,
        days: &BTreeSet<Timestamp>,
    ) -> sqlx::Result<()> {
        loop {
            let missing = self.missing(days);
            if missing.is_empty() {
                return Ok(());
            }
            make(connection, &missing).await?;
            self.note(missing);
        }
    }

    /// Some of the days that have no partition yet, as many as one transaction makes.
    pub fn missing(&self, days: &BTreeSet<Timestamp>) -> Vec<Timestamp> {
        days.iter()
            .filter(|day| !self.known.contains(day))
            .take(DAYS_PER_TRANSACTION)
            .copied()
            .collect()
    }

    /// Notes partitions that have been made.
    pub fn note(&mut self, days: Vec<Timestamp>) {
        self.known.extend(days);
    }
}

/// Makes those of the days that are missing.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn make(connection: &mut PgConnection, days: &[Timestamp]) -> sqlx::Result<()> {
    let made: i32 = pg::within::query_scalar(MAKE)
        .bind(Timestamptz::all(days.iter().copied()))
        .fetch_one(connection)
        .await?;
    if let (1.., Some(first), Some(last)) = (made, days.first(), days.last()) {
        tracing::info!(made, %first, %last, "made {made} partitions for days from {first} to \
            {last}");
    }
    Ok(())
}
