//! [`Statement`]: one that is whole also where another session may have the next one.
//!
//! sqlx sends a statement and its values apart, and waits for an answer between them. Behind a
//! pooler that shares out transactions (PgBouncer's `pool_mode = transaction`), and outside of a
//! transaction, the values may so come to another server session, and meet the statement of
//! somebody else there. So each such statement has a transaction of its own behind a pooler.

use super::connecting::has_a_session;
use async_stream::try_stream;
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::encode::Encode;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::types::Type;
use sqlx::{Connection as _, FromRow, PgConnection, Postgres};
use sqlx_core::transaction::TransactionManager;

/// A statement whose rows are those of sqlx, a type, or the first column, as `Q` says.
pub struct Statement<Q>(pub(super) Q);

/// Whether a statement must have a transaction of its own.
fn stands_alone(connection: &PgConnection) -> bool {
    !has_a_session() && !connection.is_in_transaction()
}

/// The same methods for each kind of statement.
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

            /// All rows.
            ///
            /// # Errors
            /// PostgreSQL's; here and below.
            pub async fn fetch_all(self, connection: &mut PgConnection) -> sqlx::Result<Vec<$row>> {
                if !stands_alone(connection) {
                    return self.0.fetch_all(connection).await;
                }
                let mut transaction = connection.begin().await?;
                let rows = self.0.fetch_all(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(rows)
            }

            /// The first row, which must be there.
            ///
            /// # Errors
            /// And where there is none.
            pub async fn fetch_one(self, connection: &mut PgConnection) -> sqlx::Result<$row> {
                self.fetch_optional(connection).await?.ok_or(sqlx::Error::RowNotFound)
            }

            /// The first row, if any.
            ///
            /// # Errors
            /// As of all.
            pub async fn fetch_optional(
                self,
                connection: &mut PgConnection,
            ) -> sqlx::Result<Option<$row>> {
                if !stands_alone(connection) {
                    return self.0.fetch_optional(connection).await;
                }
                let mut transaction = connection.begin().await?;
                let row = self.0.fetch_optional(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(row)
            }

            /// One row after the other.
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
                    while let Some(row) = rows.next().await {
                        yield row?;
                    }
                    drop(rows);
                    transaction.commit().await?;
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
    /// PostgreSQL's.
    pub async fn execute(self, connection: &mut PgConnection) -> sqlx::Result<PgQueryResult> {
        if !stands_alone(connection) {
            return self.0.execute(connection).await;
        }
        let mut transaction = connection.begin().await?;
        let result = self.0.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(result)
    }
}

type Manager = sqlx::postgres::PgTransactionManager;

/// Begins a transaction that sees the database as it is now, until [`end_snapshot`]. It is not
/// bound to a place in the program, as sqlx's are.
///
/// # Errors
/// PostgreSQL's.
pub async fn begin_snapshot(connection: &mut PgConnection) -> sqlx::Result<()> {
    let begin = "begin isolation level repeatable read, read only";
    Manager::begin(connection, Some(sqlx::SqlSafeStr::into_sql_str(begin))).await
}

/// Ends the transaction.
///
/// # Errors
/// PostgreSQL's.
pub async fn end_snapshot(connection: &mut PgConnection) -> sqlx::Result<()> {
    Manager::commit(connection).await
}
