//! Technical indicators of each symbol, by hour and by day at the exchange: brought up to date after the hours.
//!
//! Averages such as the EMA never forget entirely, so a value depends on every bar before it. It is always computed
//! from the symbol's first bar on, and written from the first bar on that has changed: the result depends on the
//! summaries alone, not on which runs there were. `docs/indicators.md` says what each column is.

mod series;
mod store;

pub use series::{COLUMNS, Series, compute};
pub use store::mark;

use crate::index::Index;
use crate::work::stopped;
use common::Failure;
use common::pg::in_time;
use sqlx::Connection;
use store::{Interval, Mark, Rows};
use tokio_util::sync::CancellationToken;

/// Symbols of the first transaction.
const FIRST_SYMBOLS: i64 = 16;

/// Bars that are in memory at once, as far as the last symbols' bars tell how many the next will have: 40 MB, or 16
/// symbols of five years of trading hours.
const BARS_AT_ONCE: usize = 150_000;

/// Computes what is marked as stale, some symbols at a time. `stop` ends it between two transactions.
///
/// # Errors
/// Where the database fails or `stop` is cancelled; what is not done stays marked.
pub async fn refresh(index: &mut Index, stop: &CancellationToken) -> Result<(), Failure> {
    let mut symbols = FIRST_SYMBOLS;
    loop {
        if stop.is_cancelled() {
            return Err(stopped());
        }
        let done =
            refresh_some(index, symbols).await.map_err(|error| index.failed("computing indicators in", error))?;
        if done.symbols == 0 {
            return Ok(());
        }
        symbols = (BARS_AT_ONCE * done.symbols / done.bars.max(1)).clamp(1, 1000) as i64;
    }
}

struct Done {
    symbols: usize,
    bars: usize,
}

async fn refresh_some(index: &mut Index, symbols: i64) -> Result<Done, sqlx::Error> {
    let patience = index.patience;
    let mut transaction = in_time(patience, Connection::begin(&mut index.connection)).await?;
    let marks = in_time(patience, store::marks(&mut transaction, symbols)).await?;
    let mut done = Done { symbols: marks.len(), bars: 0 };
    if marks.is_empty() {
        return Ok(done);
    }
    for interval in [Interval::Hour, Interval::Day] {
        let bars = in_time(patience, store::bars(&mut transaction, interval, &marks)).await?;
        let mut rows = Rows::default();
        for (mark, series) in marks.iter().zip(&bars) {
            let columns = compute(series).map_err(|error| undefined(mark, error))?;
            rows.add(interval, mark, series, &columns);
            done.bars += series.start.len();
        }
        in_time(patience, store::delete(&mut transaction, interval, &marks)).await?;
        in_time(patience, store::insert(&mut transaction, interval, &rows)).await?;
    }
    in_time(patience, store::unmark(&mut transaction, &marks)).await?;
    in_time(patience, transaction.commit()).await?;
    Ok(done)
}

/// TA-Lib refuses only parameters and lengths, which are ours, and numbers that are none, which PostgreSQL would not cast.
fn undefined(mark: &Mark, error: ta_lib::RetCode) -> sqlx::Error {
    sqlx::Error::Decode(format!("TA-Lib on the bars of {}: {error:?}", mark.symbol).into())
}
