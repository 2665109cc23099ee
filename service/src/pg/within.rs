//! Statements for those whose transaction is under way, whatever sqlx knows of it.

use super::pooling::has_a_session;
use sqlx::SqlSafeStr;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::{Query, QueryAs, QueryScalar};

/// A statement. Behind a pooler it is prepared for this one time.
pub fn query(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql).persistent(has_a_session())
}

/// Like [`query`], for rows as a type.
pub fn query_as<T>(sql: &'static str) -> QueryAs<'static, Postgres, T, PgArguments>
where
    T: for<'r> sqlx::FromRow<'r, PgRow>,
{
    sqlx::query_as(sql).persistent(has_a_session())
}

/// Like [`query`], for the first column.
pub fn query_scalar<T>(sql: &'static str) -> QueryScalar<'static, Postgres, T, PgArguments>
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow>,
{
    sqlx::query_scalar(sql).persistent(has_a_session())
}

/// Like [`query`], with the statement's first arguments.
pub fn query_with(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Query<'static, Postgres, PgArguments> {
    sqlx::query_with(sql, arguments).persistent(has_a_session())
}
