//! Partitions of `realtime_stock`, one a UTC day, made when the first tick of a day arrives.

use common::Timestamp;
use common::timestamp::parse_rfc3339;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashSet};

/// The function takes the rights that its caller lacks (migrations/0007_realtime_days.sql).
const MAKE: &str = "select make_realtime_day(($1 at time zone 'UTC')::date)";

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
    if sqlx::query_scalar::<_, bool>(MAKE).bind(day).fetch_one(connection).await? {
        tracing::info!("made the partition of the day from {day} on");
    }
    Ok(())
}

const PREFIX: &str = "realtime_stock_";

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
    fn the_day_is_read_from_the_name_of_the_partition() {
        let start = Timestamp::from_micros(1_749_168_000_000_000);
        assert_eq!(day("realtime_stock_20250606"), Some(start));
        assert_eq!(day("realtime_stock_20250606_old"), None);
        assert_eq!(day("realtime_stock_archive1"), None);
    }
}
