//! What the index said of an hour when its sums were begun: another run may change that before they
//! are written.

use super::connection::Index;
use crate::hour::Hour;
use service::Failure;
use service::pg;
use service::pg::in_time;
use sqlx::Acquire;
use sqlx::postgres::{PgConnection, PgTransaction};

/// All that an hour is computed from, as one number: its objects, what is known of it, and why it
/// is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(String);

impl Index {
    /// What the index says of an hour. It comes before anything else that is read of it.
    ///
    /// # Errors
    /// Where the database fails; here and below.
    pub async fn seen(&mut self, hour: Hour) -> Result<Seen, Failure> {
        let seen = in_time(self.patience, read(&mut self.connection, hour)).await;
        seen.map_err(|error| self.failed("reading the index in", error))
    }
}

impl Seen {
    /// Whether the index still says that, in a transaction that keeps it so. Another one that would
    /// write the same hour waits from here on.
    pub async fn still(
        &self,
        transaction: &mut PgTransaction<'_>,
        hour: Hour,
    ) -> Result<bool, sqlx::Error> {
        pg::query("select from stale_hours where hour = $1 for update")
            .bind(hour.start())
            .execute(transaction.acquire().await?)
            .await?;
        Ok(read(transaction.acquire().await?, hour).await? == *self)
    }
}

async fn read(connection: &mut PgConnection, hour: Hour) -> Result<Seen, sqlx::Error> {
    let seen = pg::query_scalar(include_str!("../../sql/index/seen.sql"))
        .bind(hour.start())
        .fetch_one(connection)
        .await?;
    Ok(Seen(seen))
}
