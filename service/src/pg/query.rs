//! Statements, each whole wherever it is sent.

use super::pooling::has_a_session;
use super::statement::Statement;
use super::within;
use sqlx::SqlSafeStr;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::{Query, QueryAs, QueryScalar};

/// A statement. Behind a pooler it is prepared for this one time.
#[must_use]
pub fn query(sql: &'static str) -> Statement<Query<'static, Postgres, PgArguments>> {
    Statement(within::query(sql))
}

/// Like [`query`], for rows as a type.
#[must_use]
pub fn query_as<T>(sql: &'static str) -> Statement<QueryAs<'static, Postgres, T, PgArguments>>
where
    T: for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(within::query_as(sql))
}

/// Like [`query`], for the first column.
#[must_use]
pub fn query_scalar<T>(
    sql: &'static str,
) -> Statement<QueryScalar<'static, Postgres, T, PgArguments>>
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(within::query_scalar(sql))
}

/// Like [`query`], with the statement's first arguments. The text may be one that the program has
/// put together, never from input.
#[must_use]
pub fn query_with(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<Query<'static, Postgres, PgArguments>> {
    Statement(within::query_with(sql, arguments))
}

/// Like [`query_as`], with the statement's first arguments. The text may be one that the program
/// has put together, never from input.
#[must_use]
pub fn query_as_with<T>(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<QueryAs<'static, Postgres, T, PgArguments>>
where
    T: for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(sqlx::query_as_with(sql, arguments).persistent(has_a_session()))
}

/// Like [`query_scalar`], with the statement's first arguments. The text may be one that the
/// program has put together, never from input.
#[must_use]
pub fn query_scalar_with<T>(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<QueryScalar<'static, Postgres, T, PgArguments>>
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(sqlx::query_scalar_with(sql, arguments).persistent(has_a_session()))
}
