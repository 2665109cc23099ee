//! What PostgreSQL holds.

use futures::TryStreamExt;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ascending offsets of each partition that a table row stands for, as often as they are there, and
/// how many of the rows are ticks and rejected messages.
#[derive(Debug, Default)]
pub struct Rows {
    pub offsets: BTreeMap<i32, Vec<i64>>,
    pub ticks: u64,
    pub rejected: u64,
}

const IDENTITIES: &str = include_str!("../../sql/prove/identities.sql");

pub async fn read(connection: &mut PgConnection, topic: &str) -> sqlx::Result<Rows> {
    let mut found = Rows::default();
    let mut rows = sqlx::query(IDENTITIES).bind(topic).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        found.offsets.entry(row.get(0)).or_default().push(row.get(1));
        match row.get(2) {
            true => found.ticks += 1,
            false => found.rejected += 1,
        }
    }
    Ok(found)
}

/// The next offset that the speed layer writes, for each partition.
pub async fn next_offsets(
    connection: &mut PgConnection,
    group: &str,
    topic: &str,
) -> sqlx::Result<BTreeMap<i32, i64>> {
    let query =
        "select partition, next_offset from ingest_positions where group_id = $1 and topic = $2";
    let rows: Vec<(i32, i64)> =
        sqlx::query_as(query).bind(group).bind(topic).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Hours that the batch layer has computed, and what of them differs from a plain aggregate of
/// ticks.
#[derive(Debug, Default)]
pub struct Hours {
    /// Whether the batch layer has ever run to its end.
    pub batch_has_run: bool,
    pub compared: i64,
    pub rows: i64,
    pub differences: Vec<String>,
}

/// Of the ticks that the speed layer wrote.
const HOURS: &str = include_str!("../../sql/prove/hours.sql");

/// `ticks` is the table of the ticks.
pub async fn compare_hours(
    connection: &mut PgConnection,
    ticks: &str,
    grace: Duration,
) -> sqlx::Result<Hours> {
    let query = sqlx::AssertSqlSafe(HOURS.replace("realtime_stock", ticks));
    let row = sqlx::query(query).bind(grace.as_secs_f64()).fetch_one(connection).await?;
    Ok(Hours {
        batch_has_run: row.get(0),
        compared: row.get(1),
        rows: row.get(2),
        differences: row.get(3),
    })
}
