//! The tables around the indicators.

use super::state::{Bar, BarValues, COLUMNS, State};
use crate::hour::Hour;
use common::Timestamp;
use futures::TryStreamExt;
use service::pg;
use service::pg::Timestamptz;
use sqlx::postgres::{PgConnection, PgRow, PgTransaction};
use sqlx::{Acquire, Row};
use std::collections::BTreeSet;
use std::ops::Range;

/// The width of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    Hour,
    /// A day at the exchange.
    Day,
}

impl Interval {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How many bars at least lie after a state that is kept: as far back as ticks are often late.
    pub const fn kept_back(self) -> usize {
        match self {
            Self::Hour => 48,
            Self::Day => 10,
        }
    }
}

/// A symbol whose indicators lag behind its hours.
#[derive(Debug)]
pub struct StaleSymbol {
    pub symbol: String,
    /// The first hour that has changed.
    hour: Timestamp,
    /// The start of the exchange's day that holds it.
    day: Timestamp,
}

impl StaleSymbol {
    /// The first bar of an interval that has changed.
    pub fn from(&self, interval: Interval) -> Timestamp {
        match interval {
            Interval::Hour => self.hour,
            Interval::Day => self.day,
        }
    }
}

/// Marks symbols that have a row in an hour, or have had one until now.
///
/// # Errors
/// Where the database fails.
pub async fn mark(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    symbols: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    // Hours are written in order of time, so nearly always a symbol is marked by an earlier hour
    // already.
    pg::query(include_str!("../../sql/indicators/mark.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(symbols.iter().map(String::as_str).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// The symbols that have rows, or should have, in a time.
pub const SYMBOLS_WITH_ROWS: &str = include_str!("../../sql/indicators/symbols.sql");

/// The start of the exchange's day that holds an hour.
///
/// # Errors
/// Where the database fails.
pub async fn first_day(
    connection: &mut PgConnection,
    hour: Hour,
) -> Result<Timestamp, sqlx::Error> {
    let day: Timestamptz =
        pg::query_scalar("select date_trunc('day', $1, time_zone) from exchange")
            .bind(Timestamptz(hour.start()))
            .fetch_one(connection)
            .await?;
    Ok(day.into())
}

/// The symbols that have rows, or should have, from the exchange's day on that holds the first of
/// some hours.
///
/// # Errors
/// Where the database fails.
pub async fn symbols(
    transaction: &mut PgTransaction<'_>,
    hours: &Range<Hour>,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let day = first_day(transaction, hours.start).await?;
    let symbols: Vec<String> = pg::query_scalar(SYMBOLS_WITH_ROWS)
        .bind(Timestamptz(day))
        .bind(Timestamptz(hours.end.start()))
        .fetch_all(transaction.acquire().await?)
        .await?;
    Ok(symbols.into_iter().collect())
}

/// At most `limit` marked symbols. Until the transaction ends, nobody can mark them again or move
/// the exchange.
///
/// # Errors
/// Where the database fails.
pub async fn marks(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<StaleSymbol>, sqlx::Error> {
    let rows = pg::query(include_str!("../../sql/indicators/marks.sql"))
        .bind(limit)
        .fetch_all(connection)
        .await?;
    let mark = |row: &PgRow| {
        Ok(StaleSymbol {
            symbol: row.try_get("symbol")?,
            hour: row.try_get::<Timestamptz, _>("hour")?.into(),
            day: row.try_get::<Timestamptz, _>("day")?.into(),
        })
    };
    rows.iter().map(mark).collect()
}

/// A symbol, and the bar after which the requested ones begin; `None`: with its first.
pub type BarsAfter<'a> = (&'a str, Option<Timestamp>);

/// The state to continue from.
#[derive(Debug, Default)]
pub struct SavedState {
    /// The last bar that is in it.
    at: Option<Timestamp>,
    pub state: State,
}

/// The states from which the marked symbols can be gone on with: nothing that is in them has
/// changed.
///
/// # Errors
/// Where the database fails.
pub async fn read_states(
    connection: &mut PgConnection,
    interval: Interval,
    marks: &[StaleSymbol],
) -> Result<Vec<SavedState>, sqlx::Error> {
    let rows = pg::query(include_str!("../../sql/indicators/states.sql"))
        .bind(interval.name())
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut kept: Vec<SavedState> = marks.iter().map(|_| SavedState::default()).collect();
    for row in rows {
        let (symbol, Timestamptz(at)): (&str, _) = (row.try_get("symbol")?, row.try_get("start")?);
        let place = marks.binary_search_by(|mark| (*mark.symbol).cmp(symbol)).ok();
        let state = State::from_bytes(row.try_get("state")?);
        if let (Some(place), Some(state)) =
            (place.filter(|place| at < marks[*place].from(interval)), state)
        {
            kept[place] = SavedState { at: Some(at), state };
        }
    }
    Ok(kept)
}

/// Which bars are not in the kept states.
#[must_use]
pub fn asked<'m>(marks: &'m [StaleSymbol], kept: &[SavedState]) -> Vec<BarsAfter<'m>> {
    marks.iter().zip(kept).map(|(mark, kept)| (&*mark.symbol, kept.at)).collect()
}

/// How many hours there are of each symbol.
///
/// # Errors
/// Where the database fails.
pub async fn count_bars(
    connection: &mut PgConnection,
    asked: &[BarsAfter<'_>],
) -> Result<Vec<usize>, sqlx::Error> {
    let counts: Vec<i64> = pg::query_scalar(include_str!("../../sql/indicators/count_bars.sql"))
        .bind(asked.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, at)| at.map(Timestamptz)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(counts.into_iter().map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect())
}

const HOURS: &str = include_str!("../../sql/indicators/hours.sql");

const DAYS: &str = include_str!("../../sql/indicators/days.sql");

/// The bars of some symbols, which come in order, each with its start.
///
/// # Errors
/// Where the database fails.
pub async fn bars(
    connection: &mut PgConnection,
    interval: Interval,
    asked: &[BarsAfter<'_>],
) -> Result<Vec<Vec<(Timestamp, Bar)>>, sqlx::Error> {
    let query = match interval {
        Interval::Hour => HOURS,
        Interval::Day => DAYS,
    };
    let mut rows = pg::query(query)
        .bind(asked.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(asked.iter().map(|(_, at)| at.map(Timestamptz)).collect::<Vec<_>>())
        .fetch(connection);
    let mut all = vec![Vec::new(); asked.len()];
    // Both are sorted by symbol.
    let mut place = 0;
    while let Some(row) = rows.try_next().await? {
        let symbol: &str = row.try_get("symbol")?;
        while asked[place].0 != symbol {
            place += 1;
        }
        let bar = Bar {
            high: row.try_get("high")?,
            low: row.try_get("low")?,
            close: row.try_get("close")?,
            volume: row.try_get("volume")?,
            vwap: row.try_get("vwap")?,
        };
        let Timestamptz(start) = row.try_get("start")?;
        all[place].push((start, bar));
    }
    Ok(all)
}

/// Rows of `technical_indicators` of one interval, column by column.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    symbols: Vec<&'a str>,
    starts: Vec<Timestamptz>,
    closes: Vec<f64>,
    volumes: Vec<Option<f64>>,
    columns: [Vec<Option<f64>>; COLUMNS.len()],
}

impl<'a> Rows<'a> {
    pub fn add(&mut self, symbol: &'a str, start: Timestamp, bar: &Bar, values: &BarValues) {
        self.symbols.push(symbol);
        self.starts.push(Timestamptz(start));
        self.closes.push(bar.close);
        self.volumes.push(bar.volume);
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(*value));
    }
}

/// New states of one interval.
#[derive(Debug, Default)]
pub struct States<'a> {
    symbols: Vec<&'a str>,
    starts: Vec<Timestamptz>,
    states: Vec<Vec<u8>>,
}

impl<'a> States<'a> {
    /// `start`: of the last bar that is in it.
    pub fn add(&mut self, symbol: &'a str, start: Timestamp, state: &State) {
        self.symbols.push(symbol);
        self.starts.push(Timestamptz(start));
        self.states.push(state.to_bytes());
    }
}

/// Deletes what is no longer true: rows from the marks on that are not among the new ones, and
/// states with what has changed.
///
/// # Errors
/// Where the database fails.
pub async fn delete(
    connection: &mut PgConnection,
    interval: Interval,
    (marks, rows): (&[StaleSymbol], &Rows<'_>),
) -> Result<(), sqlx::Error> {
    let symbols: Vec<&str> = marks.iter().map(|mark| &*mark.symbol).collect();
    let starts = Timestamptz::all(marks.iter().map(|mark| mark.from(interval)));
    pg::query(include_str!("../../sql/indicators/delete_rows.sql"))
        .bind(&symbols)
        .bind(&starts)
        .bind(interval.name())
        .bind(&rows.symbols)
        .bind(&rows.starts)
        .execute(&mut *connection)
        .await?;
    pg::query(include_str!("../../sql/indicators/delete_states.sql"))
        .bind(&symbols)
        .bind(&starts)
        .bind(interval.name())
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the rows that are others than they were.
///
/// # Errors
/// Where the database fails.
pub async fn write(
    connection: &mut PgConnection,
    interval: Interval,
    rows: &Rows<'_>,
) -> Result<(), sqlx::Error> {
    let insert = pg::query(include_str!("../../sql/indicators/write.sql"))
        .bind(interval.name())
        .bind(&rows.symbols)
        .bind(&rows.starts)
        .bind(&rows.closes)
        .bind(&rows.volumes);
    rows.columns
        .iter()
        .fold(insert, |insert, column| insert.bind(column))
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps states for the runs to come.
///
/// # Errors
/// Where the database fails.
pub async fn keep(
    connection: &mut PgConnection,
    interval: Interval,
    states: &States<'_>,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/indicators/keep_states.sql"))
        .bind(interval.name())
        .bind(&states.symbols)
        .bind(&states.starts)
        .bind(&states.states)
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets the symbols of an hour be computed from their first bar on.
///
/// # Errors
/// Where the database fails.
pub async fn forget(transaction: &mut PgTransaction<'_>, hour: Hour) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/indicators/forget_states.sql"))
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// The marked symbols are up to date.
///
/// # Errors
/// Where the database fails.
pub async fn unmark(
    connection: &mut PgConnection,
    marks: &[StaleSymbol],
) -> Result<(), sqlx::Error> {
    pg::query("delete from stale_indicators where symbol = any($1)")
        .bind(marks.iter().map(|mark| &*mark.symbol).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
