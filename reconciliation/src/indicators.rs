//! Whether `technical_indicators` says what a computation from every symbol's first bar on says.

use super::symbols::Named;
use super::tables;
use common::Timestamp;
use futures::TryStreamExt;
use hourly::hour::Hour;
use hourly::index::Index;
use hourly::indicators::{
    Bar, BarsAfter, COLUMNS, Interval, State, Values, bars, count_bars, how_many,
};
use service::Failure;
use service::pg::{self, in_time};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Symbols that are looked at in one step, unless they have too many bars and rows for that.
const SYMBOLS_AT_ONCE: usize = 1000;

/// Symbols of which rows are wrong, missing or too many.
#[derive(Debug, Default)]
pub struct Stray {
    symbols: Named,
    /// Those of which rows are meant: of the hour, or of the day that begins with it.
    intervals: BTreeSet<&'static str>,
}

impl Stray {
    /// A sentence for the report.
    pub fn describe(&self) -> String {
        let intervals: Vec<String> =
            self.intervals.iter().rev().map(|interval| format!("the {interval}'s")).collect();
        let what = format!("{} rows; {}", intervals.join(" and "), tables::ANEW);
        self.symbols.describe_rows("technical_indicators", &what)
    }
}

/// What was found of indicators.
#[derive(Debug, Default)]
pub struct IndicatorComparison {
    /// By the hour in which the rows begin; a day that begins before all hours counts as the first
    /// one's.
    pub strays: BTreeMap<Hour, Stray>,
    /// Symbols of which batch-layer knows that something is still to be computed, by the hour from
    /// which on that is so; what is from before all hours is with the first.
    waiting: BTreeMap<Hour, Named>,
}

impl IndicatorComparison {
    /// Those symbols of which something in an hour is still to be computed.
    pub fn waiting(&self, hour: Hour) -> Named {
        let mut all = Named::default();
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
pub async fn strays(
    index: &mut Index,
    hours: &Range<Hour>,
) -> Result<IndicatorComparison, Failure> {
    let failed = |index: &Index, error| index.failed("reading technical_indicators in", error);
    let days = first_day(&mut index.connection, index.patience, hours).await;
    let first_day = days.map_err(|error| failed(index, error))?;
    let window = Rows { from: first_day, to: hours.end.start() };
    let symbols = in_time(index.patience, window.symbols(&mut index.connection)).await;
    let symbols = symbols.map_err(|error| failed(index, error))?;
    let (mut rest, mut found) = (&symbols[..], IndicatorComparison::default());
    while !rest.is_empty() {
        tables::begin_snapshot(index).await?;
        let step =
            ComparisonStep { hours, window, symbols: &rest[..rest.len().min(SYMBOLS_AT_ONCE)] };
        let done = step.run(&mut index.connection, index.patience, &mut found).await;
        rest = &rest[done.map_err(|error| failed(index, error))?..];
        tables::end_snapshot(index).await?;
    }
    Ok(found)
}

/// The start of the exchange's day that holds the first hour.
async fn first_day(
    connection: &mut PgConnection,
    patience: Duration,
    hours: &Range<Hour>,
) -> Result<Timestamp, sqlx::Error> {
    let day = pg::query_scalar("select date_trunc('day', $1, time_zone) from exchange")
        .bind(hours.start.start());
    in_time(patience, day.fetch_one(connection)).await
}

/// Of symbols the hours with rows that say something else, and which rows these are.
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
        connection: &mut PgConnection,
        patience: Duration,
        found: &mut IndicatorComparison,
    ) -> Result<usize, sqlx::Error> {
        let mut asked: Vec<BarsAfter<'_>> =
            self.symbols.iter().map(|symbol| (&**symbol, None)).collect();
        let mut counts = in_time(patience, count_bars(connection, &asked)).await?;
        let held = in_time(patience, self.window.count(connection, self.symbols)).await?;
        counts.iter_mut().zip(held).for_each(|(bars, rows)| *bars += rows);
        asked.truncate(how_many(&counts));
        let done = asked.len();
        let stale = in_time(patience, stale(connection, &self.symbols[..done])).await?;
        asked.retain(|(symbol, _)| !stale.contains_key(*symbol));
        for (symbol, since) in &stale {
            found.waiting.entry((*since).max(self.hours.start)).or_default().add(symbol);
        }
        let mut hours_of = HoursOf::new();
        for interval in [Interval::Hour, Interval::Day] {
            self.look_at(interval, &asked, (&mut *connection, patience), &mut hours_of).await?;
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
        (connection, patience): (&mut PgConnection, Duration),
        hours_of: &mut HoursOf<'s>,
    ) -> Result<(), sqlx::Error> {
        let mut note = |symbol: &'s str, start: Timestamp| {
            let hour = Hour::of(start).max(self.hours.start);
            hours_of.entry(symbol).or_default().entry(hour).or_default().insert(interval.name());
        };
        let all = in_time(patience, bars(connection, interval, asked)).await?;
        let rows = match interval {
            Interval::Hour => Rows { from: self.hours.start.start(), ..self.window },
            Interval::Day => self.window,
        };
        let mut held = rows.read(connection, patience, (interval, asked)).await?;
        for (((symbol, _), bars), held) in asked.iter().zip(&all).zip(&mut held) {
            rows.compare(bars, held, |start| note(symbol, start));
            held.keys().for_each(|start| note(symbol, *start));
        }
        Ok(())
    }
}

/// Symbols of which something is still to be computed, and from which hour on.
async fn stale(
    connection: &mut PgConnection,
    symbols: &[String],
) -> Result<BTreeMap<String, Hour>, sqlx::Error> {
    let stale: Vec<(String, Timestamp)> =
        pg::query_as("select symbol, hour from stale_indicators where symbol = any($1)")
            .bind(symbols)
            .fetch_all(connection)
            .await?;
    Ok(stale.into_iter().map(|(symbol, hour)| (symbol, Hour::of(hour))).collect())
}

/// What a row says: close, volume and [`COLUMNS`].
type Said = (f64, Option<f64>, Values);

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
        held: &mut BTreeMap<Timestamp, Said>,
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

    /// Symbols that have rows, or should have.
    async fn symbols(self, connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
        // One symbol after the other by the key, whose other columns tell nothing of all symbols'
        // rows at once.
        pg::query_scalar(hourly::indicators::SYMBOLS_WITH_ROWS)
            .bind(self.from)
            .bind(self.to)
            .fetch_all(connection)
            .await
    }

    /// How many rows there are of each symbol.
    async fn count(
        self,
        connection: &mut PgConnection,
        symbols: &[String],
    ) -> Result<Vec<usize>, sqlx::Error> {
        let counts: Vec<i64> = pg::query_scalar(include_str!("../sql/count_indicators.sql"))
            .bind(symbols)
            .bind(self.from)
            .bind(self.to)
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
    ) -> Result<Vec<BTreeMap<Timestamp, Said>>, sqlx::Error> {
        let mut rows = pg::query(include_str!("../sql/indicators.sql"))
            .bind(asked.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
            .bind(interval.name())
            .bind(self.from)
            .bind(self.to)
            .fetch(connection);
        let mut held = vec![BTreeMap::new(); asked.len()];
        while let Some(row) = in_time(patience, rows.try_next()).await? {
            let symbol: &str = row.try_get("symbol")?;
            if let Ok(place) = asked.binary_search_by_key(&symbol, |(symbol, _)| symbol) {
                held[place].insert(row.try_get("start")?, said(&row)?);
            }
        }
        Ok(held)
    }
}

fn said(row: &PgRow) -> Result<Said, sqlx::Error> {
    let mut values = Values::default();
    for (value, column) in values.iter_mut().zip(COLUMNS) {
        *value = row.try_get(column)?;
    }
    Ok((row.try_get("close")?, row.try_get("volume")?, values))
}
