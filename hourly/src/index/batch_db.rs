//! [`BatchDb`]: the one connection of a run. All statements get their timeout and their error's
//! text here.

use crate::lock::transaction::{self, End, TakenOver, Token, TransactionLock};
use futures::stream::{BoxStream, TryStreamExt};
use service::Failure;
use service::pg;
use service::pg::{Database, NoAnswer, Waiting, in_time};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, PgTransaction, Postgres};
use sqlx::query::{Query, QueryAs, QueryScalar};
use std::time::Duration;

/// A statement with its values.
pub type Statement<'q> = pg::Statement<Query<'q, Postgres, PgArguments>>;

/// The one connection of a run. Its transactions end with a look at the run's lock, so whoever has
/// lost that cannot write.
pub struct BatchDb {
    pub connection: PgConnection,
    /// The server's number of its session, where it has one of its own.
    pub pid: Option<i32>,
    pub database: Database,
    /// How long a statement may take.
    pub patience: Duration,
    /// `None` where nothing is written that another run may be at.
    pub lock: Option<Token>,
}

impl BatchDb {
    /// Lets the server end a statement that nobody waits for any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn limit_statements(&mut self) -> Result<(), Failure> {
        if !pg::has_a_session() {
            // What writes brings its limit along (`transaction::begin_locked`).
            return Ok(());
        }
        let limit = format!("set statement_timeout = {}", self.server_patience().as_millis());
        self.query("setting a time limit in", async |connection| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(limit)).execute(connection).await.map(drop)
        })
        .await
    }

    /// What [`BatchDb::pid`] is to be; `None` behind a pooler, or if the server does not tell.
    pub async fn pid(connection: &mut PgConnection) -> Option<i32> {
        if !pg::has_a_session() {
            return None;
        }
        pg::query_scalar("select pg_backend_pid()").fetch_one(connection).await.ok()
    }

    /// How long the server lets a statement go on: a little longer than this side, which says what
    /// for.
    pub fn server_patience(&self) -> Duration {
        self.patience + Duration::from_secs(1)
    }

    /// Runs `task` within the statement timeout. `doing` describes it in errors, up to the
    /// database's name, as in "reading the index in".
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn query<T>(
        &mut self,
        doing: &str,
        task: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, Failure> {
        match in_time(self.patience, task(&mut self.connection)).await {
            Ok(done) => Ok(done),
            Err(error) => Err(self.explain(doing, error).await),
        }
    }

    /// Runs a task of several statements; the task applies the timeout to each itself, as
    /// [`each_row`] does.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn steps<T>(
        &mut self,
        doing: &str,
        task: impl AsyncFnOnce(&mut PgConnection, Duration) -> sqlx::Result<T>,
    ) -> Result<T, Failure> {
        match task(&mut self.connection, self.patience).await {
            Ok(done) => Ok(done),
            Err(error) => Err(self.explain(doing, error).await),
        }
    }

    /// The rows of one statement.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fetch_all<S: Rows>(
        &mut self,
        doing: &str,
        statement: S,
    ) -> Result<Vec<S::Row>, Failure> {
        self.query(doing, async |connection| statement.all(connection).await).await
    }

    /// What `decode` makes of the rows of one statement.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_all<S: Rows, T>(
        &mut self,
        doing: &str,
        statement: S,
        decode: impl Fn(&S::Row) -> sqlx::Result<T>,
    ) -> Result<Vec<T>, Failure> {
        self.query(doing, async |connection| {
            statement.all(connection).await?.iter().map(decode).collect()
        })
        .await
    }

    /// The first row of one statement, which must be there.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fetch_one<S: Rows>(
        &mut self,
        doing: &str,
        statement: S,
    ) -> Result<S::Row, Failure> {
        self.query(doing, async |connection| statement.one(connection).await).await
    }

    /// Its first row, if any.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fetch_optional<S: Rows>(
        &mut self,
        doing: &str,
        statement: S,
    ) -> Result<Option<S::Row>, Failure> {
        self.query(doing, async |connection| statement.optional(connection).await).await
    }

    /// What `decode` makes of it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_optional<S: Rows, T>(
        &mut self,
        doing: &str,
        statement: S,
        decode: impl FnOnce(&S::Row) -> sqlx::Result<T>,
    ) -> Result<Option<T>, Failure> {
        self.query(doing, async |connection| {
            statement.optional(connection).await?.as_ref().map(decode).transpose()
        })
        .await
    }

    /// Does `task` in one transaction of the run's, which keeps others from what `lock` says, and
    /// lasts as long as a statement may take.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn transact<T>(
        &mut self,
        doing: &str,
        lock: TransactionLock,
        task: impl AsyncFnOnce(&mut PgTransaction<'_>) -> sqlx::Result<T>,
    ) -> Result<T, Failure> {
        self.transact_or_undo(doing, lock, async |transaction| {
            task(transaction).await.map(End::Commit)
        })
        .await
    }

    /// The same, where `task` says how the transaction ends.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn transact_or_undo<T>(
        &mut self,
        doing: &str,
        lock: TransactionLock,
        task: impl AsyncFnOnce(&mut PgTransaction<'_>) -> sqlx::Result<End<T>>,
    ) -> Result<T, Failure> {
        let token = self.lock.clone();
        self.query(doing, async |connection| {
            transaction::within(connection, token.as_ref(), lock, task).await
        })
        .await
    }

    /// A statement that writes on its own. Gives how many rows it has touched.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn write(&mut self, table: &str, statement: Statement<'_>) -> Result<u64, Failure> {
        self.transact(&format!("writing {table} in"), TransactionLock::Index, async |transaction| {
            Ok(statement.execute(transaction).await?.rows_affected())
        })
        .await
    }

    /// Why a statement of this connection has failed just now. Where it has got no answer, the
    /// server is asked what for.
    pub async fn explain(&self, doing: &str, error: sqlx::Error) -> Failure {
        let Some(no_answer) = NoAnswer::caused(&error) else { return self.failed(doing, error) };
        let waiting = match self.pid {
            Some(pid) => Waiting::of(&self.database, pid).await.describe(),
            None => None,
        };
        let why = waiting.map_or_else(String::new, |waiting| format!(": {waiting}"));
        let place = self.database.address();
        Failure::Infrastructure(anyhow::anyhow!(
            "{doing} PostgreSQL at {place}: {no_answer} (--query-timeout){why}"
        ))
    }

    pub fn failed(&self, doing: &str, error: sqlx::Error) -> Failure {
        if TakenOver::caused(&error) {
            return Failure::Partial(TakenOver.to_string());
        }
        self.database.failure(doing, error)
    }
}

/// Shows rows to `each`, one after the other; the next one may take as long as `patience`.
///
/// # Errors
/// What PostgreSQL says, or `each`.
pub async fn each_row<R>(
    patience: Duration,
    mut rows: BoxStream<'_, sqlx::Result<R>>,
    mut each: impl FnMut(R) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    while let Some(row) = in_time(patience, rows.try_next()).await? {
        each(row)?;
    }
    Ok(())
}

/// A statement that gives rows.
pub trait Rows {
    type Row;

    /// All of them.
    fn all(
        self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Row>>>;

    /// The first one, which must be there.
    fn one(self, connection: &mut PgConnection) -> impl Future<Output = sqlx::Result<Self::Row>>;

    /// The first one, if any.
    fn optional(
        self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = sqlx::Result<Option<Self::Row>>>;
}

macro_rules! rows {
    ($query:ty, $row:ty, [$($generics:tt)*], [$($bounds:tt)*]) => {
        impl<$($generics)*> Rows for pg::Statement<$query>
        where
            $($bounds)*
        {
            type Row = $row;

            async fn all(self, connection: &mut PgConnection) -> sqlx::Result<Vec<$row>> {
                self.fetch_all(connection).await
            }

            async fn one(self, connection: &mut PgConnection) -> sqlx::Result<$row> {
                self.fetch_one(connection).await
            }

            async fn optional(self, connection: &mut PgConnection) -> sqlx::Result<Option<$row>> {
                self.fetch_optional(connection).await
            }
        }
    };
}

rows!(Query<'_, Postgres, PgArguments>, PgRow, [], []);
rows!(
    QueryAs<'_, Postgres, T, PgArguments>,
    T,
    [T],
    [T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin]
);
rows!(
    QueryScalar<'_, Postgres, T, PgArguments>,
    T,
    [T],
    [T: Send + Unpin, (T,): for<'r> sqlx::FromRow<'r, PgRow>]
);
