//! What a careless person with the right to it does to the database.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;

/// More than the stack's server allows.
const MOST_CONNECTIONS: usize = 500;

const TERMINATE: &str = include_str!("../../sql/chaos/terminate.sql");

const LOCKABLE: [&str; 4] =
    ["realtime_stock", "minute_bars", "kafka_offsets", "hourly_stock_summary"];

/// The server itself, without a proxy between.
#[derive(Clone)]
pub struct Administrator {
    url: String,
}

impl Administrator {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&self.url).await
    }

    /// Ends every session of the pipeline, and gives their number.
    pub async fn terminate(&self) -> anyhow::Result<i64> {
        let mut connection = self.connect().await.context("connect to end sessions")?;
        sqlx::query_scalar(TERMINATE).fetch_one(&mut connection).await.context("end sessions")
    }

    /// Locks one of the tables as a whole, and gives its name.
    pub async fn lock(&self, which: usize, lasts: Duration) -> anyhow::Result<&'static str> {
        let table = LOCKABLE[which % LOCKABLE.len()];
        let mut connection = self.connect().await.context("connect to lock a table")?;
        let mut transaction = connection.begin().await?;
        let lock = AssertSqlSafe(format!("lock table {table} in access exclusive mode"));
        sqlx::raw_sql(lock)
            .execute(&mut *transaction)
            .await
            .with_context(|| format!("lock {table}"))?;
        tokio::time::sleep(lasts).await;
        transaction.rollback().await?;
        Ok(table)
    }

    /// Takes every connection that is left, then those that the pipeline had; gives the number.
    pub async fn exhaust(&self, lasts: Duration) -> usize {
        let mut taken = self.take_all().await;
        if let Some(connection) = taken.first_mut() {
            // The pipeline finds out only when it needs a new one.
            let _ = sqlx::query(TERMINATE).execute(connection).await;
        }
        taken.extend(self.take_all().await);
        tokio::time::sleep(lasts).await;
        let count = taken.len();
        for connection in taken {
            // The server may be gone by now.
            let _ = connection.close().await;
        }
        count
    }

    async fn take_all(&self) -> Vec<PgConnection> {
        let mut taken = Vec::new();
        while taken.len() < MOST_CONNECTIONS {
            match self.connect().await {
                Ok(connection) => taken.push(connection),
                Err(_) => break,
            }
        }
        taken
    }
}
