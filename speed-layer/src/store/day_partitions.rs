//! Partitions of `realtime_stock`, one a UTC day, made when the first tick of a day arrives.

use common::Timestamp;
use common::timestamp::parse_rfc3339;
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeSet, HashSet};

/// Serializes makers of partitions within the database; the number stands for nothing.
const LOCK: &str = "select pg_advisory_xact_lock(hashtext('stocks.realtime_stock.partitions'))";

const IS_ATTACHED: &str = "
    select exists (select from pg_inherits
                   where inhparent = 'realtime_stock'::regclass and inhrelid = to_regclass($1))";

/// The days that are known to have a partition.
#[derive(Debug, Default)]
pub struct DayPartitions {
    known: HashSet<Timestamp>,
}

impl DayPartitions {
    /// Makes the partitions of `days` that are missing. Outside of the batch's transaction, because attaching takes a
    /// lock that lasts until the end of its own.
    pub async fn ensure(&mut self, connection: &mut PgConnection, days: &BTreeSet<Timestamp>) -> sqlx::Result<()> {
        for day in days {
            if !self.known.contains(day) {
                make(connection, *day).await?;
                self.known.insert(*day);
            }
        }
        Ok(())
    }
}

async fn make(connection: &mut PgConnection, day: Timestamp) -> sqlx::Result<()> {
    let name = name(day);
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    let attached: bool = sqlx::query_scalar(IS_ATTACHED).bind(&name).fetch_one(&mut *transaction).await?;
    if !attached {
        // Made apart and then attached: unlike `create table .. partition of`, that stops neither readers nor writers
        // of the other days.
        let statements = format!(
            "create table {name} (like realtime_stock including all);
             alter table realtime_stock attach partition {name} for values from ('{day}') to ('{}');",
            day.plus_micros(Timestamp::DAY)
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut *transaction).await?;
        tracing::info!("made partition {name}");
    }
    transaction.commit().await
}

const PREFIX: &str = "realtime_stock_";

/// `realtime_stock_20250606`.
fn name(day: Timestamp) -> String {
    let date = day.to_string();
    format!("{PREFIX}{}", date.chars().take(10).filter(char::is_ascii_digit).collect::<String>())
}

/// The start of the day that the partition of this name holds; `None` where it is no day partition's name.
pub fn day(name: &str) -> Option<Timestamp> {
    let date = name.strip_prefix(PREFIX).filter(|date| date.len() == 8)?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    parse_rfc3339(&format!("{year}-{month}-{day}T00:00:00Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_after_its_day() {
        let start = Timestamp::from_micros(1_749_168_000_000_000);
        assert_eq!(name(start), "realtime_stock_20250606");
        assert_eq!(day("realtime_stock_20250606"), Some(start));
        assert_eq!(day("realtime_stock_20250606_old"), None);
        assert_eq!(day("realtime_stock_archive1"), None);
    }
}
