//! [`Statement`]: one that is whole also where another session may have the next one.
//!
//! sqlx sends a statement and its values separately, and waits for an answer between them. Through
//! a pooler that shares out transactions (PgBouncer's `pool_mode = transaction`), and outside of a
//! transaction, the values may so come to another server session, and meet another client's
//! statement there. So each such statement has a transaction of its own through a pooler.

use super::pooling::has_a_session;
use async_stream::try_stream;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::encode::Encode;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgTransaction};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::types::Type;
use sqlx::{Connection as _, FromRow, PgConnection, Postgres};
use sqlx_core::transaction::TransactionManager;
use std::time::Duration;

/// A statement whose rows are those of sqlx, a type, or the first column, as `Q` says.
pub struct Statement<Q>(pub(super) Q);

/// Whether a statement must have a transaction of its own.
fn stands_alone(connection: &PgConnection) -> bool {
    !has_a_session() && !connection.is_in_transaction()
}

/// Ends a statement's own transaction. A failed one is undone at once: sqlx would only tell the
/// server with the next statement, and until then the pooler has a session less.
async fn end<T>(transaction: PgTransaction<'_>, done: sqlx::Result<T>) -> sqlx::Result<T> {
    match done {
        Ok(done) => transaction.commit().await.map(|()| done),
        Err(error) => {
            // Where that fails the connection is broken, and the statement's error says more.
            transaction.rollback().await.ok();
            Err(error)
        }
    }
}

/// Methods that each kind of statement has.
macro_rules! statement {
    ($query:ty, $row:ty, [$($generics:tt)*], [$($bounds:tt)*]) => {
        impl<'q, $($generics)*> Statement<$query>
        where
            $($bounds)*
        {
            /// Gives the statement its next value.
            #[must_use]
            pub fn bind<V>(self, value: V) -> Self
            where
                V: 'q + Encode<'q, Postgres> + Type<Postgres>,
            {
                Self(self.0.bind(value))
            }

            /// Fetches all rows.
            ///
            /// # Errors
            /// If PostgreSQL refuses the statement, or the connection breaks.
            pub async fn fetch_all(self, connection: &mut PgConnection) -> sqlx::Result<Vec<$row>> {
                if !stands_alone(connection) {
                    return self.0.fetch_all(connection).await;
                }
                let mut transaction = connection.begin().await?;
                let rows = self.0.fetch_all(&mut *transaction).await;
                end(transaction, rows).await
            }

            /// The first row, which must be there.
            ///
            /// # Errors
            /// If PostgreSQL refuses the statement, the connection breaks, or there is no row.
            pub async fn fetch_one(self, connection: &mut PgConnection) -> sqlx::Result<$row> {
                self.fetch_optional(connection).await?.ok_or(sqlx::Error::RowNotFound)
            }

            /// The first row, if any.
            ///
            /// # Errors
            /// If PostgreSQL refuses the statement, or the connection breaks.
            pub async fn fetch_optional(
                self,
                connection: &mut PgConnection,
            ) -> sqlx::Result<Option<$row>> {
                if !stands_alone(connection) {
                    return self.0.fetch_optional(connection).await;
                }
                let mut transaction = connection.begin().await?;
                let row = self.0.fetch_optional(&mut *transaction).await;
                end(transaction, row).await
            }

            /// One row after the other. They are to be taken to the end: through a pooler a stream
            /// that is dropped earlier has its statement undone, and only with the next one.
            ///
            /// # Errors
            /// If PostgreSQL refuses the statement, or the connection breaks: as an item of the
            /// stream.
            pub fn fetch<'c>(
                self,
                connection: &'c mut PgConnection,
            ) -> BoxStream<'c, sqlx::Result<$row>>
            where
                'q: 'c,
                $row: 'c,
            {
                if !stands_alone(connection) {
                    return self.0.fetch(connection);
                }
                let rows = try_stream! {
                    let mut transaction = connection.begin().await?;
                    let mut rows = self.0.fetch(&mut *transaction);
                    let mut done = Ok(());
                    while let Some(row) = rows.next().await {
                        match row {
                            Ok(row) => yield row,
                            Err(error) => {
                                done = Err(error);
                                break;
                            }
                        }
                    }
                    drop(rows);
                    end(transaction, done).await?;
                };
                rows.boxed()
            }
        }
    };
}

statement!(Query<'q, Postgres, PgArguments>, PgRow, [], []);
statement!(
    QueryAs<'q, Postgres, T, PgArguments>,
    T,
    [T],
    [T: for<'r> FromRow<'r, PgRow> + Send + Unpin]
);
statement!(
    QueryScalar<'q, Postgres, T, PgArguments>,
    T,
    [T],
    [T: Send + Unpin, (T,): for<'r> FromRow<'r, PgRow>]
);

impl Statement<Query<'_, Postgres, PgArguments>> {
    /// Carries it out, for what it changes.
    ///
    /// # Errors
    /// If PostgreSQL refuses the statement, or the connection breaks.
    pub async fn execute(self, connection: &mut PgConnection) -> sqlx::Result<PgQueryResult> {
        if !stands_alone(connection) {
            return self.0.execute(connection).await;
        }
        let mut transaction = connection.begin().await?;
        let result = self.0.execute(&mut *transaction).await;
        end(transaction, result).await
    }
}

type Manager = sqlx::postgres::PgTransactionManager;

/// Begins a transaction that sees the database as it is now, until [`end_snapshot`]. It is not
/// bound to a place in the program, as sqlx's are.
///
/// # Errors
/// If PostgreSQL refuses the statement, or the connection breaks.
pub async fn begin_snapshot(connection: &mut PgConnection) -> sqlx::Result<()> {
    let begin = "begin isolation level repeatable read, read only";
    Manager::begin(connection, Some(sqlx::SqlSafeStr::into_sql_str(begin))).await
}

/// Ends the transaction.
///
/// # Errors
/// If PostgreSQL refuses the statement, or the connection breaks.
pub async fn end_snapshot(connection: &mut PgConnection) -> sqlx::Result<()> {
    Manager::commit(connection).await
}

/// Gives up a statement that gets no answer: a server, or the way to it, may be gone without a
/// word. The connection is of no use afterwards.
///
/// # Errors
/// If the statement fails, or takes longer than `patience`.
pub async fn in_time<T>(
    patience: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Ok(done) = tokio::time::timeout(patience, statement).await else {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, NoAnswer(patience));
        return Err(sqlx::Error::Io(error));
    };
    done
}

/// A statement was given up: how long it was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f64())]
pub struct NoAnswer(pub Duration);

impl NoAnswer {
    /// Whether this is why something failed.
    #[must_use]
    pub fn caused(error: &sqlx::Error) -> Option<&Self> {
        let sqlx::Error::Io(error) = error else { return None };
        error.get_ref().and_then(|cause| cause.downcast_ref())
    }
}
