//! What PostgreSQL answers.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement, TypeInfo};

/// The answer to one query.
pub struct Answer {
    /// Names and PostgreSQL's types.
    pub columns: Vec<(String, String)>,
    /// The rows as JSON objects.
    pub rows: Vec<Value>,
}

/// # Errors
/// Whatever PostgreSQL says.
pub async fn ask(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Answer> {
    let prepared = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await?;
    let columns = prepared
        .columns()
        .iter()
        .map(|c| (c.name().to_owned(), c.type_info().name().to_owned()))
        .collect();
    let as_json = format!("select to_jsonb(answer) from ({sql}\n) as answer");
    let rows = sqlx::query(AssertSqlSafe(as_json)).fetch_all(connection).await?;
    let rows = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(Answer { columns, rows })
}
