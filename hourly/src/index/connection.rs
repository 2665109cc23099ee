//! [`Index`]: the one connection of a run, and how it writes on its own.

use crate::lock::transaction::{self, Hold, TakenOver, Token};
use service::Failure;
use service::pg;
use service::pg::{Database, in_time};
use sqlx::Acquire;
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::Query;
use std::time::Duration;

/// A statement with its values.
pub type Statement<'q> = pg::Statement<Query<'q, Postgres, PgArguments>>;

/// The one connection of a run. Its transactions end with a look at the run's lock, so whoever has
/// lost that cannot write.
pub struct Index {
    pub connection: PgConnection,
    pub database: Database,
    /// How long a statement may take.
    pub patience: Duration,
    /// `None` where nothing is written that another run may be at.
    pub lock: Option<Token>,
}

impl Index {
    /// Lets the server end a statement that nobody waits for any more.
    ///
    /// # Errors
    /// Where the database fails; here and below.
    pub async fn limit_statements(&mut self) -> Result<(), Failure> {
        if !pg::has_a_session() {
            // What writes brings its limit along (`transaction::begin`).
            return Ok(());
        }
        let limit = format!("set statement_timeout = {}", self.server_patience().as_millis());
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(limit)).execute(&mut self.connection);
        in_time(self.patience, done)
            .await
            .map_err(|error| self.failed("setting a time limit in", error))?;
        Ok(())
    }

    /// How long the server lets a statement go on: a little longer than this side, which says what
    /// for.
    pub fn server_patience(&self) -> Duration {
        self.patience + Duration::from_secs(1)
    }

    /// A statement that writes on its own. Gives how many rows it has touched.
    pub async fn write(&mut self, table: &str, statement: Statement<'_>) -> Result<u64, Failure> {
        let token = self.lock.clone();
        let written = async {
            let mut transaction =
                transaction::begin(&mut self.connection, token.as_ref(), Hold::Index).await?;
            let done = statement.execute(transaction.acquire().await?).await?;
            transaction::commit(transaction, token.as_ref()).await?;
            Ok(done.rows_affected())
        };
        in_time(self.patience, written)
            .await
            .map_err(|error| self.failed(&format!("writing {table} in"), error))
    }

    pub fn failed(&self, doing: &str, error: sqlx::Error) -> Failure {
        if TakenOver::caused(&error) {
            return Failure::Partial(TakenOver.to_string());
        }
        self.database.failure(doing, error)
    }
}
