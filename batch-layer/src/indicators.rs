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
use crate::lock;
use crate::work::stopped;
use common::Failure;
use common::pg::in_time;
use store::{Interval, Mark, Rows};
use tokio_util::sync::CancellationToken;

/// Symbols of the first transaction.
const FIRST_SYMBOLS: i64 = 16;

/// Bars that are in memory at once, unless a single symbol has more: 40 MB, or 16 symbols of five years of trading hours.
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
    let (patience, token) = (index.patience, index.lock.clone());
    let mut transaction = in_time(patience, lock::begin(&mut index.connection, token.as_ref())).await?;
    let mut marks = in_time(patience, store::marks(&mut transaction, symbols)).await?;
    let counts = in_time(patience, store::count_bars(&mut transaction, &marks)).await?;
    marks.truncate(how_many(&counts));
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
    in_time(patience, lock::commit(transaction, token.as_ref())).await?;
    Ok(done)
}

/// How many of the first symbols, whose bars were counted, are taken at once: at least one.
fn how_many(counts: &[usize]) -> usize {
    let mut bars = 0;
    let fitting = counts.iter().take_while(|count| {
        bars += **count;
        bars <= BARS_AT_ONCE
    });
    fitting.count().max(1)
}

/// TA-Lib refuses only parameters and lengths, which are ours, and numbers that are none, which PostgreSQL would not cast.
fn undefined(mark: &Mark, error: ta_lib::RetCode) -> sqlx::Error {
    sqlx::Error::Decode(format!("TA-Lib on the bars of {}: {error:?}", mark.symbol).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_symbols_are_taken_as_have_bars_that_fit_and_one_at_least() {
        assert_eq!(how_many(&[1; 16]), 16);
        assert_eq!(how_many(&[1, 2, BARS_AT_ONCE - 3, 1, 1]), 3);
        assert_eq!(how_many(&[2 * BARS_AT_ONCE, 1]), 1);
        assert_eq!(how_many(&vec![2000; 1000]), 75);
    }
}
