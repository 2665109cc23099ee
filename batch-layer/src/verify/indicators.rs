//! Whether `technical_indicators` says what a computation from every symbol's first bar on says.

use super::tables;
use crate::hour::Hour;
use crate::index::Index;
use crate::indicators::{Bar, COLUMNS, Interval, State, Values, bars, count_bars, how_many};
use common::pg::{self, in_time};
use common::{Failure, Timestamp};
use futures::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Symbols that are looked at in one step, unless they have too many bars for that.
const SYMBOLS_AT_ONCE: usize = 1000;

/// Symbols of which rows are wrong, missing or too many, by the hour in which those begin; a day that begins before all hours
/// counts as the first one's.
pub type Strays = BTreeMap<Hour, Vec<String>>;

/// Compares the rows of some hours, and of the days that hold them. Symbols of which batch-layer knows that something is
/// still to be computed are left out.
///
/// # Errors
/// Where the database fails.
pub async fn strays(index: &mut Index, hours: &Range<Hour>) -> Result<Strays, Failure> {
    tables::begin_snapshot(index).await?;
    let found = in_snapshot(&mut index.connection, index.patience, hours).await;
    let found = found.map_err(|error| index.failed("reading technical_indicators in", error))?;
    tables::end_snapshot(index).await?;
    let mut by_hour: BTreeMap<Hour, BTreeSet<String>> = BTreeMap::new();
    for (start, symbol) in found {
        by_hour.entry(Hour::of(start).max(hours.start)).or_default().insert(symbol);
    }
    Ok(by_hour.into_iter().map(|(hour, symbols)| (hour, symbols.into_iter().collect())).collect())
}

async fn in_snapshot(
    connection: &mut PgConnection,
    patience: Duration,
    hours: &Range<Hour>,
) -> Result<Vec<(Timestamp, String)>, sqlx::Error> {
    let days = pg::query_scalar("select date_trunc('day', $1, time_zone) from exchange").bind(hours.start.start());
    let first_day: Timestamp = in_time(patience, days.fetch_one(&mut *connection)).await?;
    let to = hours.end.start();
    let symbols = in_time(patience, Rows { from: first_day, to }.symbols(connection)).await?;
    let (mut rest, mut found) = (&symbols[..], Vec::new());
    while !rest.is_empty() {
        let asked: Vec<_> = rest.iter().take(SYMBOLS_AT_ONCE).map(|symbol| (&**symbol, None)).collect();
        let counts = in_time(patience, count_bars(connection, &asked)).await?;
        let asked = &asked[..how_many(&counts)];
        rest = &rest[asked.len()..];
        for (interval, from) in [(Interval::Hour, hours.start.start()), (Interval::Day, first_day)] {
            let all = in_time(patience, bars(connection, interval, asked)).await?;
            let symbols: Vec<&str> = asked.iter().map(|(symbol, _)| *symbol).collect();
            let rows = Rows { from, to };
            let mut held = rows.read(connection, patience, (interval, &symbols)).await?;
            for (symbol, bars) in symbols.into_iter().zip(&all) {
                rows.compare((symbol, bars), &mut held, &mut found);
            }
            found.extend(held.into_keys().map(|(symbol, start)| (start, symbol)));
        }
    }
    Ok(found)
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
    /// Takes the rows that a symbol should have out of those that there are; notes those that are not there or say otherwise.
    fn compare(
        self,
        (symbol, bars): (&str, &[(Timestamp, Bar)]),
        held: &mut BTreeMap<(String, Timestamp), Said>,
        found: &mut Vec<(Timestamp, String)>,
    ) {
        let mut state = State::default();
        for (start, bar) in bars.iter().take_while(|(start, _)| *start < self.to) {
            let expected = (bar.close, bar.volume, state.push(bar));
            if *start >= self.from && held.remove(&(symbol.to_owned(), *start)) != Some(expected) {
                found.push((*start, symbol.to_owned()));
            }
        }
    }

    /// Symbols that have rows, or should have.
    async fn symbols(self, connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
        // One symbol after the other by the key, whose other columns tell nothing of all symbols' rows at once.
        pg::query_scalar(
            "with recursive known (symbol) as
                 ((select symbol from technical_indicators order by symbol limit 1)
                  union all
                  select (select t.symbol from technical_indicators t where t.symbol > known.symbol order by 1 limit 1)
                  from known
                  where known.symbol is not null),
             looked_at (symbol) as
                 (select symbol from known
                  where exists (select from technical_indicators t
                                where t.symbol = known.symbol and t.interval in ('hour', 'day') and t.start >= $1
                                  and t.start < $2)
                  union
                  select symbol from hourly_stock_summary where hour >= $1 and hour < $2)
             select symbol from looked_at
             where not exists (select from stale_indicators m where m.symbol = looked_at.symbol)
             order by symbol",
        )
        .bind(self.from)
        .bind(self.to)
        .fetch_all(connection)
        .await
    }

    async fn read(
        self,
        connection: &mut PgConnection,
        patience: Duration,
        (interval, symbols): (Interval, &[&str]),
    ) -> Result<BTreeMap<(String, Timestamp), Said>, sqlx::Error> {
        let mut rows = pg::query(
            "select symbol, start, close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd, macd_signal, macd_histogram,
                    bollinger_upper, bollinger_middle, bollinger_lower, atr_14, obv, vwap
             from technical_indicators
             where symbol = any($1) and interval = $2 and start >= $3 and start < $4",
        )
        .bind(symbols)
        .bind(interval.name())
        .bind(self.from)
        .bind(self.to)
        .fetch(connection);
        let mut held = BTreeMap::new();
        while let Some(row) = in_time(patience, rows.try_next()).await? {
            held.insert((row.try_get("symbol")?, row.try_get("start")?), said(&row)?);
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
