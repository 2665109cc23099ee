//! The tables around the indicators.

use super::series::{COLUMNS, Column, Series};
use crate::hour::Hour;
use common::Timestamp;
use common::pg;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow, PgTransaction};
use sqlx::{Acquire, Row};

/// The width of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    Hour,
    /// A day at the exchange.
    Day,
}

impl Interval {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// A symbol whose indicators lag behind its hours.
#[derive(Debug)]
pub struct Mark {
    pub symbol: String,
    /// The first hour that has changed.
    hour: Timestamp,
    /// The start of the exchange's day that holds it.
    day: Timestamp,
}

impl Mark {
    /// The first bar of an interval that has changed.
    fn from(&self, interval: Interval) -> Timestamp {
        match interval {
            Interval::Hour => self.hour,
            Interval::Day => self.day,
        }
    }
}

/// Marks the symbols, or those of some, that have a row in an hour: before it is deleted, and after it was written.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn mark(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    symbols: Option<&[&str]>,
) -> Result<(), sqlx::Error> {
    // Hours are written in order of time, so nearly always a symbol is marked by an earlier hour already.
    pg::query(
        "insert into stale_indicators as known (symbol, hour)
         select symbol, hour
         from hourly_stock_summary s
         where hour = $1 and ($2::text[] is null or symbol = any ($2))
           and not exists (select from stale_indicators m where m.symbol = s.symbol and m.hour <= s.hour)
         on conflict (symbol) do update set hour = excluded.hour where excluded.hour < known.hour",
    )
    .bind(hour.start())
    .bind(symbols)
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

/// At most `limit` marked symbols. Until the transaction ends, nobody can mark them anew or move the exchange.
pub async fn marks(connection: &mut PgConnection, limit: i64) -> Result<Vec<Mark>, sqlx::Error> {
    let rows = pg::query(
        "select symbol, hour, date_trunc('day', hour, time_zone) as day
         from stale_indicators, exchange
         order by symbol
         limit $1
         for update of stale_indicators for share of exchange",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let mark =
        |row: &PgRow| Ok(Mark { symbol: row.try_get("symbol")?, hour: row.try_get("hour")?, day: row.try_get("day")? });
    rows.iter().map(mark).collect()
}

/// How many hours each marked symbol has, in the order of the marks.
pub async fn count_bars(connection: &mut PgConnection, marks: &[Mark]) -> Result<Vec<usize>, sqlx::Error> {
    let counts: Vec<i64> = pg::query_scalar(
        "select (select count(*) from hourly_stock_summary s where s.symbol = marked.symbol)
         from unnest($1::text[]) with ordinality as marked (symbol, number)
         order by number",
    )
    .bind(symbols(marks))
    .fetch_all(connection)
    .await?;
    Ok(counts.into_iter().map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect())
}

const HOURS: &str = "
    select symbol, hour as start, high::float8, low::float8, close::float8, volume::float8, vwap::float8
    from hourly_stock_summary
    where symbol = any($1)
    order by symbol, hour";

const DAYS: &str = "
    select symbol, date_trunc('day', hour, time_zone) as start, max(high)::float8 as high, min(low)::float8 as low,
           ((array_agg(close order by hour desc))[1])::float8 as close,
           case when count(volume) = count(*) then sum(volume) end::float8 as volume,
           case when count(volume) = count(*) then sum(vwap * volume) / nullif(sum(volume), 0) end::float8 as vwap
    from hourly_stock_summary, exchange
    where symbol = any($1)
    group by 1, 2
    order by 1, 2";

/// All bars of the marked symbols, a series for each mark.
pub async fn bars(
    connection: &mut PgConnection,
    interval: Interval,
    marks: &[Mark],
) -> Result<Vec<Series>, sqlx::Error> {
    let query = match interval {
        Interval::Hour => HOURS,
        Interval::Day => DAYS,
    };
    let mut rows = pg::query(query).bind(symbols(marks)).fetch(connection);
    let mut all = vec![Series::default(); marks.len()];
    // Both are sorted by symbol.
    let mut at = 0;
    while let Some(row) = rows.try_next().await? {
        let symbol: &str = row.try_get("symbol")?;
        while marks[at].symbol != symbol {
            at += 1;
        }
        let series = &mut all[at];
        series.start.push(row.try_get("start")?);
        series.high.push(row.try_get("high")?);
        series.low.push(row.try_get("low")?);
        series.close.push(row.try_get("close")?);
        series.volume.push(row.try_get("volume")?);
        series.vwap.push(row.try_get("vwap")?);
    }
    Ok(all)
}

/// Deletes what the marks say is stale.
pub async fn delete(connection: &mut PgConnection, interval: Interval, marks: &[Mark]) -> Result<(), sqlx::Error> {
    pg::query(
        "delete from technical_indicators t
         using unnest($1::text[], $2::timestamptz[]) as stale (symbol, start)
         where t.symbol = stale.symbol and t.interval = $3 and t.start >= stale.start",
    )
    .bind(symbols(marks))
    .bind(marks.iter().map(|mark| mark.from(interval)).collect::<Vec<_>>())
    .bind(interval.name())
    .execute(connection)
    .await?;
    Ok(())
}

/// Rows of `technical_indicators` of one interval, column by column.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    symbols: Vec<&'a str>,
    starts: Vec<Timestamp>,
    closes: Vec<f64>,
    volumes: Vec<Option<f64>>,
    columns: [Column; COLUMNS.len()],
}

impl<'a> Rows<'a> {
    /// Takes in a symbol's values from its mark on. `columns` are those of all of `series`.
    pub fn add(&mut self, interval: Interval, mark: &'a Mark, series: &Series, columns: &[Column; COLUMNS.len()]) {
        let from = series.start.partition_point(|start| *start < mark.from(interval));
        self.symbols.extend(std::iter::repeat_n(&*mark.symbol, series.start.len() - from));
        self.starts.extend(&series.start[from..]);
        self.closes.extend(&series.close[from..]);
        self.volumes.extend(&series.volume[from..]);
        for (all, column) in self.columns.iter_mut().zip(columns) {
            all.extend(&column[from..]);
        }
    }
}

/// Writes all rows.
pub async fn insert(connection: &mut PgConnection, interval: Interval, rows: &Rows<'_>) -> Result<(), sqlx::Error> {
    let insert = pg::query(
        "insert into technical_indicators
             (interval, symbol, start, close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd, macd_signal,
              macd_histogram, bollinger_upper, bollinger_middle, bollinger_lower, atr_14, obv, vwap)
         select $1, *
         from unnest($2::text[], $3::timestamptz[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $8::float8[],
                     $9::float8[], $10::float8[], $11::float8[], $12::float8[], $13::float8[], $14::float8[],
                     $15::float8[], $16::float8[], $17::float8[], $18::float8[], $19::float8[])",
    )
    .bind(interval.name())
    .bind(&rows.symbols)
    .bind(&rows.starts)
    .bind(&rows.closes)
    .bind(&rows.volumes);
    rows.columns.iter().fold(insert, |insert, column| insert.bind(column)).execute(connection).await?;
    Ok(())
}

/// The marked symbols are up to date.
pub async fn unmark(connection: &mut PgConnection, marks: &[Mark]) -> Result<(), sqlx::Error> {
    pg::query("delete from stale_indicators where symbol = any($1)").bind(symbols(marks)).execute(connection).await?;
    Ok(())
}

fn symbols(marks: &[Mark]) -> Vec<&str> {
    marks.iter().map(|mark| &*mark.symbol).collect()
}
