//! [`Limits`]: how long the server itself lets a transaction wait and work, so that nothing goes on
//! that nobody waits for any more.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};
use std::fmt::Write;
use std::time::Duration;

/// The time limits of a transaction. `None`: what the server, the database or the user has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// How long a statement may wait for a lock.
    pub lock: Option<Duration>,
    /// How long a statement may take.
    pub statement: Option<Duration>,
    /// How long the server waits for the next statement.
    pub idle: Option<Duration>,
}

impl Limits {
    /// The statement that begins a transaction within these limits, with other `settings` of its
    /// own: names, and values as SQL has them.
    #[must_use]
    pub fn begin_statement(&self, settings: &[(&str, &str)]) -> String {
        self.begin_statement_at("read committed", settings)
    }

    /// Like [`Limits::begin_statement`], for a transaction of another `isolation` level.
    #[must_use]
    pub fn begin_statement_at(&self, isolation: &str, settings: &[(&str, &str)]) -> String {
        let mut begin = format!("begin isolation level {isolation}");
        for (name, limit) in [
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
            ("idle_in_transaction_session_timeout", self.idle),
        ] {
            if let Some(limit) = limit {
                let _ = write!(begin, "; set local {name} = {}", limit.as_millis());
            }
        }
        for (name, value) in settings {
            let _ = write!(begin, "; set local {name} = {value}");
        }
        begin
    }

    /// Begins a transaction within these limits.
    ///
    /// # Errors
    /// If PostgreSQL refuses a statement, or the connection breaks.
    pub async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
        settings: &[(&str, &str)],
    ) -> sqlx::Result<Transaction<'c, Postgres>> {
        connection.begin_with(AssertSqlSafe(self.begin_statement(settings))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_in_milliseconds_and_one_that_is_not_given_not_at_all() {
        let limits = Limits { statement: Some(Duration::from_secs(900)), ..Limits::default() };
        assert_eq!(
            limits.begin_statement(&[("synchronous_commit", "off")]),
            "begin isolation level read committed; set local statement_timeout = 900000; \
             set local synchronous_commit = off"
        );
        assert_eq!(
            Limits::default().begin_statement_at("repeatable read", &[]),
            "begin isolation level repeatable read"
        );
    }
}
