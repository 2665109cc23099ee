//! Whether `technical_indicators` says what a computation from every symbol's first bar on says.

use crate::symbols::NamedSymbols;
use crate::tables;
use common::Timestamp;
use hourly::hour::Hour;
use hourly::index::{BatchDb, each_row};
use hourly::indicators::{
    Bar, BarValues, BarsAfter, COLUMNS, Interval, SYMBOLS_WITH_ROWS, State, bars, count_bars,
    first_day, how_many,
};
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Symbols that are looked at in one step, unless they have too many bars and rows for that.
const SYMBOLS_AT_ONCE: usize = 1000;

/// Symbols of which rows are wrong, missing or too many.
#[derive(Debug, Default)]
pub struct WrongIndicatorRows {
    symbols: NamedSymbols,
    /// The intervals whose rows are meant: the hour, or the day that begins with it.
    intervals: BTreeSet<&'static str>,
}

impl WrongIndicatorRows {
    /// A sentence for the report.
    pub fn describe(&self) -> String {
        let intervals: Vec<String> =
            self.intervals.iter().rev().map(|interval| format!("the {interval}'s")).collect();
        let what = format!("{} rows; {}", intervals.join(" and "), tables::ANEW);
        self.symbols.describe_rows("technical_indicators", &what)
    }
}

/// Description, for errors, of every step.
const READING: &str = "reading technical_indicators in";

/// Comparison of indicators.
#[derive(Debug, Default)]
pub struct IndicatorComparison {
    /// By the hour in which the rows begin; a day that begins before all hours counts as the first
    /// one's.
    pub strays: BTreeMap<Hour, WrongIndicatorRows>,
    /// Symbols of which batch-layer knows that something is still to be computed, by the hour from
    /// which on that is so; what is from before all hours is with the first.
    waiting: BTreeMap<Hour, NamedSymbols>,
}

impl IndicatorComparison {
    /// The symbols of which something in an hour is still to be computed.
    pub fn waiting(&self, hour: Hour) -> NamedSymbols {
        let mut all = NamedSymbols::default();
        self.waiting.range(..=hour).for_each(|(_, symbols)| all.add_all(symbols));
        all
    }
}

/// Compares the rows of some hours, and of the days that hold them. Symbols of which batch-layer
/// knows that something is still to be computed are not compared.
///
/// Each step is of one moment; what PostgreSQL cleans up waits for no more than that.
///
/// # Errors
/// Where the database fails.
pub async fn strays(db: &mut BatchDb, hours: &Range<Hour>) -> Result<IndicatorComparison, Failure> {
    let first_day =
        db.query(READING, async |connection| first_day(connection, hours.start).await).await?;
    let window = Rows { from: first_day, to: hours.end.start() };
    // One symbol after the other by the key, whose other columns tell nothing of all symbols' rows
    // at once.
    let statement = pg::query_scalar(SYMBOLS_WITH_ROWS)
        .bind(Timestamptz(window.from))
        .bind(Timestamptz(window.to));
    let symbols: Vec<String> = db.fetch_all(READING, statement).await?;
    let (mut rest, mut found) = (&symbols[..], IndicatorComparison::default());
    while !rest.is_empty() {
        tables::begin_snapshot(db).await?;
        let step =
            ComparisonStep { hours, window, symbols: &rest[..rest.len().min(SYMBOLS_AT_ONCE)] };
        rest = &rest[step.run(db, &mut found).await?..];
        tables::end_snapshot(db).await?;
    }
    Ok(found)
}

/// The hours of each symbol with differing rows, and which rows these are.
type HoursOf<'s> = BTreeMap<&'s str, BTreeMap<Hour, BTreeSet<&'static str>>>;

/// Symbols that are looked at together.
struct ComparisonStep<'a> {
    hours: &'a Range<Hour>,
    /// From the first hour's day on.
    window: Rows,
    symbols: &'a [String],
}

impl ComparisonStep<'_> {
    /// Looks at the first of the symbols, and gives how many they were.
    async fn run(
        &self,
        db: &mut BatchDb,
        found: &mut IndicatorComparison,
    ) -> Result<usize, Failure> {
        let mut asked: Vec<BarsAfter<'_>> =
            self.symbols.iter().map(|symbol| (&**symbol, None)).collect();
        let mut counts =
            db.query(READING, async |connection| count_bars(connection, &asked).await).await?;
        let held = db
            .query(READING, async |connection| self.window.count(connection, self.symbols).await)
            .await?;
        counts.iter_mut().zip(held).for_each(|(bars, rows)| *bars += rows);
        asked.truncate(how_many(&counts));
        let done = asked.len();
        let stale = db
            .query(READING, async |connection| read_stale(connection, &self.symbols[..done]).await)
            .await?;
        asked.retain(|(symbol, _)| !stale.contains_key(*symbol));
        for (symbol, since) in &stale {
            found.waiting.entry((*since).max(self.hours.start)).or_default().add(symbol);
        }
        let mut hours_of = HoursOf::new();
        for interval in [Interval::Hour, Interval::Day] {
            self.look_at(interval, &asked, db, &mut hours_of).await?;
        }
        for (symbol, hours) in hours_of {
            for (hour, intervals) in hours {
                let stray = found.strays.entry(hour).or_default();
                stray.symbols.add(symbol);
                stray.intervals.extend(intervals);
            }
        }
        Ok(done)
    }

    /// Adds the hours of rows that say something else.
    async fn look_at<'s>(
        &self,
        interval: Interval,
        asked: &[BarsAfter<'s>],
        db: &mut BatchDb,
        hours_of: &mut HoursOf<'s>,
    ) -> Result<(), Failure> {
        let mut note = |symbol: &'s str, start: Timestamp| {
            let hour = Hour::of(start).max(self.hours.start);
            hours_of.entry(symbol).or_default().entry(hour).or_default().insert(interval.name());
        };
        let all =
            db.query(READING, async |connection| bars(connection, interval, asked).await).await?;
        let rows = match interval {
            Interval::Hour => Rows { from: self.hours.start.start(), ..self.window },
            Interval::Day => self.window,
        };
        let mut held = db
            .steps(READING, async |connection, patience| {
                rows.read(connection, patience, (interval, asked)).await
            })
            .await?;
        for (((symbol, _), bars), held) in asked.iter().zip(&all).zip(&mut held) {
            rows.compare(bars, held, |start| note(symbol, start));
            held.keys().for_each(|start| note(symbol, *start));
        }
        Ok(())
    }
}

/// Symbols of which something is still to be computed, and from which hour on.
async fn read_stale(
    connection: &mut PgConnection,
    symbols: &[String],
) -> Result<BTreeMap<String, Hour>, sqlx::Error> {
    let stale: Vec<(String, Timestamptz)> =
        pg::query_as("select symbol, hour from stale_indicators where symbol = any($1)")
            .bind(symbols)
            .fetch_all(connection)
            .await?;
    Ok(stale.into_iter().map(|(symbol, hour)| (symbol, Hour::from(hour))).collect())
}

/// Values of a row: close, volume and [`COLUMNS`].
type StoredValues = (f64, Option<f64>, BarValues);

/// Rows that begin in a range of time.
#[derive(Debug, Clone, Copy)]
struct Rows {
    from: Timestamp,
    to: Timestamp,
}

impl Rows {
    /// Takes the rows that a symbol should have out of those that there are; notes those that are
    /// not there or say otherwise.
    fn compare(
        self,
        bars: &[(Timestamp, Bar)],
        held: &mut BTreeMap<Timestamp, StoredValues>,
        mut note: impl FnMut(Timestamp),
    ) {
        let mut state = State::default();
        for (start, bar) in bars.iter().take_while(|(start, _)| *start < self.to) {
            let expected = (bar.close, bar.volume, state.push(bar));
            if *start >= self.from && held.remove(start) != Some(expected) {
                note(*start);
            }
        }
    }

    /// How many rows there are of each symbol.
    async fn count(
        self,
        connection: &mut PgConnection,
        symbols: &[String],
    ) -> Result<Vec<usize>, sqlx::Error> {
        let counts: Vec<i64> = pg::query_scalar(include_str!("../sql/count_indicators.sql"))
            .bind(symbols)
            .bind(Timestamptz(self.from))
            .bind(Timestamptz(self.to))
            .fetch_all(connection)
            .await?;
        Ok(counts.into_iter().map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect())
    }

    /// The rows of each symbol; these come in order.
    async fn read(
        self,
        connection: &mut PgConnection,
        patience: Duration,
        (interval, asked): (Interval, &[BarsAfter<'_>]),
    ) -> Result<Vec<BTreeMap<Timestamp, StoredValues>>, sqlx::Error> {
        let rows = pg::query(include_str!("../sql/indicators.sql"))
            .bind(asked.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
            .bind(interval.name())
            .bind(Timestamptz(self.from))
            .bind(Timestamptz(self.to))
            .fetch(connection);
        let mut held = vec![BTreeMap::new(); asked.len()];
        each_row(patience, rows, |row| {
            let symbol: &str = row.try_get("symbol")?;
            if let Ok(place) = asked.binary_search_by_key(&symbol, |(symbol, _)| symbol) {
                let Timestamptz(start) = row.try_get("start")?;
                held[place].insert(start, stored_values(&row)?);
            }
            Ok(())
        })
        .await?;
        Ok(held)
    }
}

fn stored_values(row: &PgRow) -> Result<StoredValues, sqlx::Error> {
    let mut values = BarValues::default();
    for (value, column) in values.iter_mut().zip(COLUMNS) {
        *value = row.try_get(column)?;
    }
    Ok((row.try_get("close")?, row.try_get("volume")?, values))
}
