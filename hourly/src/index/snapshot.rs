//! What the index said about an hour when its sums were begun: another run may change that before
//! they are written.

use super::batch_db::BatchDb;
use crate::hour::Hour;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Acquire;
use sqlx::postgres::{PgConnection, PgTransaction};

/// A hash of all that an hour is computed from: its objects, what is known about it, and why it is
/// stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSnapshot(String);

impl BatchDb {
    /// What the index says about an hour. It must be taken before anything else is read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn snapshot(&mut self, hour: Hour) -> Result<IndexSnapshot, Failure> {
        self.query("reading the index in", async |connection| read(connection, hour).await).await
    }
}

impl IndexSnapshot {
    /// Whether the index still says the same, in a transaction that keeps it so. Another one that
    /// would write the same hour waits from here on.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn is_current(
        &self,
        transaction: &mut PgTransaction<'_>,
        hour: Hour,
    ) -> Result<bool, sqlx::Error> {
        pg::query("select from stale_hours where hour = $1 for update")
            .bind(Timestamptz(hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
        Ok(read(transaction.acquire().await?, hour).await? == *self)
    }
}

async fn read(connection: &mut PgConnection, hour: Hour) -> Result<IndexSnapshot, sqlx::Error> {
    let snapshot = pg::query_scalar(include_str!("../../sql/index/snapshot.sql"))
        .bind(Timestamptz(hour.start()))
        .fetch_one(connection)
        .await?;
    Ok(IndexSnapshot(snapshot))
}
