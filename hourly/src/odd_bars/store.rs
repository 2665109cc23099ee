//! The tables around odd bars.

use crate::hour::Hour;
use crate::judging::store::{UNKNOWN_SOURCE, WITH_HINDSIGHT};
use anomalies::bars::hours::{self, DETECTOR, Odd};
use common::Timestamp;
use futures::TryStreamExt;
use service::pg;
use service::pg::Timestamptz;
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Row};
use std::collections::BTreeSet;
use std::ops::Range;

/// A bar is no record of a partition.
const NO_PARTITION: i32 = -1;

const SECOND: i64 = 1_000_000;

/// A symbol whose hours have changed since they were looked at.
#[derive(Debug)]
pub struct StaleSymbol {
    pub symbol: String,
    first: Timestamp,
    last: Timestamp,
    changes: i64,
}

/// How many findings have come and gone.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    pub added: u64,
    pub gone: u64,
}

impl Changed {
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.gone += other.gone;
    }
}

impl StaleSymbol {
    /// The first hour that has changed, and the last one, in seconds since 1970.
    pub fn changed(&self) -> (i64, i64) {
        (self.first.micros() / SECOND, self.last.micros() / SECOND)
    }

    fn known(&self) -> Range<Timestamp> {
        let (first, last) = self.changed();
        between(hours::known(first, last))
    }

    fn judged(&self) -> Range<Timestamp> {
        let (first, last) = self.changed();
        between(hours::affected_range(first, last))
    }
}

fn between(seconds: Range<i64>) -> Range<Timestamp> {
    at(seconds.start)..at(seconds.end)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * SECOND)
}

/// A bar's place: its hours since 1970.
fn number(at: Timestamp) -> i64 {
    at.micros().div_euclid(Timestamp::HOUR)
}

/// Marks symbols that have a bar in an hour, or have had one until now.
///
/// # Errors
/// Where the database fails.
pub async fn mark(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    symbols: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/odd_bars/mark.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(symbols.iter().map(String::as_str).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await
        .map(drop)
}

/// Marks all bars, unless it was this detector that has looked at those that are not marked.
///
/// # Errors
/// Where the database fails.
pub async fn mark_all_of_others(
    connection: &mut PgConnection,
    detector: &str,
) -> Result<(), sqlx::Error> {
    let known: Option<String> = pg::query_scalar("select detector from bar_detector_version")
        .fetch_optional(&mut *connection)
        .await?;
    if known.as_deref() == Some(detector) {
        return Ok(());
    }
    pg::query(include_str!("../../sql/odd_bars/mark_all.sql")).execute(&mut *connection).await?;
    pg::query(include_str!("../../sql/odd_bars/note_detector.sql"))
        .bind(detector)
        .execute(connection)
        .await
        .map(drop)
}

/// At most `limit` marked symbols.
///
/// # Errors
/// Where the database fails.
pub async fn marks(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<StaleSymbol>, sqlx::Error> {
    let rows = pg::query(
        "select symbol, first_hour, last_hour, changes from stale_bars order by symbol limit $1",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let mark = |row: &sqlx::postgres::PgRow| {
        Ok(StaleSymbol {
            symbol: row.try_get("symbol")?,
            first: row.try_get::<Timestamptz, _>("first_hour")?.into(),
            last: row.try_get::<Timestamptz, _>("last_hour")?.into(),
            changes: row.try_get("changes")?,
        })
    };
    rows.iter().map(mark).collect()
}

/// How many bars are to be read of each.
///
/// # Errors
/// Where the database fails.
pub async fn count_bars(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
) -> Result<Vec<usize>, sqlx::Error> {
    let counts: Vec<i64> = pg::query_scalar(include_str!("../../sql/odd_bars/count_bars.sql"))
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.known().start)).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.known().end)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(counts.into_iter().map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect())
}

/// The bars that have to be known of each.
///
/// # Errors
/// Where the database fails.
pub async fn bars(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
) -> Result<Vec<Vec<hours::Hour>>, sqlx::Error> {
    let mut rows = pg::query(include_str!("../../sql/odd_bars/bars.sql"))
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.known().start)).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.known().end)).collect::<Vec<_>>())
        .fetch(connection);
    let mut all = vec![Vec::new(); marks.len()];
    while let Some(row) = rows.try_next().await? {
        let number = usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(0);
        all[number].push(hours::Hour {
            at: row.try_get(1)?,
            low: row.try_get(2)?,
            high: row.try_get(3)?,
            close: row.try_get(4)?,
            volume: row.try_get(5)?,
        });
    }
    Ok(all)
}

/// Writes what was found of each mark, in place of what was said of the same bars before.
///
/// # Errors
/// Where the database fails.
pub async fn replace(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
    found: &[Vec<Odd>],
) -> Result<Changed, sqlx::Error> {
    let rows: Vec<(&str, &Odd)> = marks
        .iter()
        .zip(found)
        .flat_map(|(mark, found)| found.iter().map(|odd| (&*mark.symbol, odd)))
        .collect();
    let gone = delete(connection, marks, &rows).await?;
    Ok(Changed { added: write(connection, &rows).await?, gone })
}

/// Deletes what is not found any more; gives how many.
async fn delete(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
    rows: &[(&str, &Odd)],
) -> Result<u64, sqlx::Error> {
    let deleted = pg::query(include_str!("../../sql/odd_bars/delete.sql"))
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.judged().start)).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| Timestamptz(mark.judged().end)).collect::<Vec<_>>())
        .bind(UNKNOWN_SOURCE)
        .bind(NO_PARTITION)
        .bind(marks.iter().map(|mark| number(mark.first)).min().unwrap_or(i64::MAX))
        .bind(DETECTOR.name)
        .bind(DETECTOR.version.cast_signed())
        .bind(rows.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| Timestamptz(at(odd.at))).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| odd.view.kind()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// A finding that is found again keeps the time at which it was found first. Returns the number of
/// new ones.
async fn write(connection: &mut PgConnection, rows: &[(&str, &Odd)]) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let written: Vec<bool> = pg::query_scalar(include_str!("../../sql/odd_bars/write.sql"))
        .bind(UNKNOWN_SOURCE)
        .bind(NO_PARTITION)
        .bind(DETECTOR.name)
        .bind(DETECTOR.version.cast_signed())
        .bind(WITH_HINDSIGHT)
        .bind(rows.iter().map(|(_, odd)| number(at(odd.at))).collect::<Vec<_>>())
        .bind(rows.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| Timestamptz(at(odd.at))).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| odd.view.kind()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| odd.score).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| odd.observed).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, odd)| odd.expected).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(written.into_iter().filter(|is_new| *is_new).count() as u64)
}

/// The marked symbols are up to date, but for those that were marked again since.
///
/// # Errors
/// Where the database fails.
pub async fn unmark(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/odd_bars/unmark.sql"))
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .bind(marks.iter().map(|mark| mark.changes).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}
