//! Limits that the server itself enforces, so that no try leaves anything running that nobody waits
//! for any more.

use service::pg::{self, Limits};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};
use std::time::Duration;

/// How long a statement may wait for a lock. Short, because PostgreSQL then says what was waited
/// for, and what is in the way can be looked at.
const LOCK: Duration = Duration::from_secs(4);
/// The limit if others wait for the answer: a lock that is held for longer is waited for later.
const SHORT_LOCK: Duration = Duration::from_millis(250);
/// How long a statement may take where others wait for the answer.
const SHORT_STATEMENT: Duration = Duration::from_secs(5);
/// How long it may take where several partitions wait for each other's first try, one of which is
/// known to take too long. Longer than what [`super::verdict`] takes for no limit.
const SHORTEST_STATEMENT: Duration = Duration::from_millis(1500);
/// The pause between two full tries of what is held up is this many times as long as one of them.
const FULL_TRY_PAUSE: u32 = 5;
/// How much longer than the server this side waits: what the server says of the end tells more than
/// silence.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// How much older than a try may become another instance's transaction must be to be taken for
/// abandoned.
const GRACE: Duration = Duration::from_secs(2);

/// The name of the sessions that write in `pg_stat_activity`.
const WRITER: &str = "speed-layer";
/// The name of the sessions that look after the days.
pub const UPKEEP: &str = "speed-layer upkeep";
/// The name of the sessions that show which instances write.
pub const PRESENCE: &str = "speed-layer presence";

/// Begins a batch's transaction. A table that somebody has locked is waited for before anything is
/// written: a try that fails later leaves dead rows. Constraints that somebody's triggers would
/// check at the end are checked with each table's rows, so that the table at fault is known.
const BEFORE_A_BATCH: &str = "; lock table minute_bars, hour_bars, anomalies, detector_log in row \
    exclusive mode; set constraints all immediate";
/// Locks the tables that every batch needs: this shows whether someone else holds one.
const CHECK_TABLE_LOCKS: &str = "; lock table minute_bars, hour_bars, anomalies, detector_log, \
    kafka_offsets, only realtime_stock in row exclusive mode; rollback";
/// How a batch's transaction ends: a standby that is waited for has no limit, since giving it up
/// would call a batch safe that is not.
pub const COMMIT: &str = "set local statement_timeout = 0; commit";

/// Ends sessions of this role that hold up others: writers whose process is frozen or gone in the
/// middle of a COPY, whom no setting of the server's ends, and upkeep, which is done again. A
/// writer that waits for a standby has done its part.
const END_BLOCKING_SESSIONS: &str = include_str!("../../sql/store/end_blocking_sessions.sql");

/// The limits of everything that one try does.
#[derive(Debug, Clone)]
pub struct TimeLimits {
    /// How long a statement may take.
    statement: Duration,
    begin: String,
}

impl TimeLimits {
    pub fn new(statement: Duration) -> Self {
        Self::with_lock(statement, LOCK)
    }

    /// Limits for work that is tried again soon after it failed, while others wait.
    pub fn short_lock(&self) -> Self {
        Self::with_lock(self.statement.min(SHORT_STATEMENT), SHORT_LOCK)
    }

    /// Limits for work that others wait for, but a lock may be in the way for a while.
    pub fn short(&self) -> Self {
        Self::with_lock(self.statement.min(SHORT_STATEMENT), LOCK)
    }

    /// Limits for finding out which of several partitions take long.
    pub fn shortest(&self) -> Self {
        Self::with_lock(self.statement.min(SHORTEST_STATEMENT), LOCK)
    }

    fn with_lock(statement: Duration, lock: Duration) -> Self {
        // If both limits end a statement at once, PostgreSQL names the statement's.
        let lock = Some(lock.min(statement * 2 / 3));
        let limits = Limits { lock, statement: Some(statement), idle: Some(statement) };
        Self { statement, begin: limits.begin_statement(&[]) }
    }

    /// How long others have their turn between two tries that may take as long as the limit.
    pub fn between_full_tries(&self) -> Duration {
        self.statement * FULL_TRY_PAUSE
    }

    /// How long a try may take.
    pub fn patience(&self) -> Duration {
        self.statement + ANSWER_GRACE
    }

    /// A transaction within these limits.
    ///
    /// # Errors
    /// If PostgreSQL refuses a statement, or the connection breaks.
    pub async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> sqlx::Result<Transaction<'c, Postgres>> {
        connection.begin_with(AssertSqlSafe(self.begin.clone())).await
    }

    /// A transaction for a batch, which ends with [`COMMIT`] or with the connection. Returns the
    /// rows of the `first` query in it. They go in one message, since each answer that is waited
    /// for takes a millisecond of a busy machine.
    ///
    /// # Errors
    /// If PostgreSQL refuses a statement, or the connection breaks.
    pub async fn begin_batch(
        &self,
        connection: &mut PgConnection,
        first: &str,
    ) -> sqlx::Result<Vec<PgRow>> {
        let begin = AssertSqlSafe(format!("{}{BEFORE_A_BATCH}; {first}", self.begin));
        sqlx::raw_sql(begin).fetch_all(connection).await
    }

    /// Whether somebody has locked a table that all batches need, by the error that this is.
    ///
    /// # Errors
    /// If somebody holds a lock, PostgreSQL refuses a statement, or the connection breaks.
    pub async fn check_table_locks(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let look = AssertSqlSafe(format!("{}{CHECK_TABLE_LOCKS}", self.begin));
        sqlx::raw_sql(look).execute(connection).await.map(drop)
    }

    /// Ends what holds up others, and says how many sessions that was.
    ///
    /// # Errors
    /// If PostgreSQL refuses a statement, or the connection breaks.
    pub async fn end_blocking_sessions(&self, connection: &mut PgConnection) -> sqlx::Result<i64> {
        let mut transaction = self.begin(connection).await?;
        let ended = pg::within::query_scalar(END_BLOCKING_SESSIONS)
            .bind(WRITER)
            .bind((self.patience() + GRACE).as_secs_f64())
            .bind(UPKEEP)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_less_long_than_the_statement_that_waits() {
        let limits = TimeLimits::new(Duration::from_secs(2));
        for limits in [limits.shortest(), limits.short(), limits.short_lock(), limits] {
            let of = |name: &str| {
                let (_, value) = limits.begin.split_once(&format!("set local {name} = ")).unwrap();
                value.split(';').next().unwrap().parse::<u64>().unwrap()
            };
            assert!(of("lock_timeout") < of("statement_timeout"), "{}", limits.begin);
        }
    }
}
