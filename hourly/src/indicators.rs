//! Technical indicators of each symbol, by hour and by day at the exchange: brought up to date
//! after the hours.
//!
//! Averages such as the EMA never forget entirely, so a value depends on every bar before it. What
//! the bars up to some time ago have come to is kept ([`State`]), and gone on from where no bar
//! before that has changed; otherwise all are taken in again. Either way the digits are the same,
//! so the result depends on the summaries alone, not on which runs there were. Rows that stay what
//! they are are not written. `docs/indicators.md` says what each column is.

#[cfg(test)]
mod reference;
mod state;
mod store;

pub use state::{Bar, BarValues, COLUMNS, State};
pub use store::{
    BarsAfter, Interval, SYMBOLS_WITH_ROWS, bars, count_bars, first_day, forget, mark,
};

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::{End, TransactionLock};
use crate::stop::stopped;
use common::Timestamp;
use service::Failure;
use sqlx::postgres::PgTransaction;
use std::ops::Range;
use store::{Rows, SavedState, StaleSymbol, States};
use tokio_util::sync::CancellationToken;

/// Symbols of the first transaction.
const FIRST_SYMBOLS: i64 = 16;

/// Bars that are in memory at once, unless a single symbol has more: 40 MB, or 16 symbols of five
/// years of trading hours.
const BARS_AT_ONCE: usize = 150_000;

/// A day at the exchange, and an hour more where clocks go back.
const DAY_HOURS: i64 = 25;

/// Marks all symbols that have rows, or should have, in some hours and in the exchange's days that
/// hold these: also such as no hour has ticks of.
///
/// # Errors
/// Where the database fails.
pub async fn mark_all(db: &mut BatchDb, hours: &Range<Hour>) -> Result<(), Failure> {
    db.transact("marking indicators in", TransactionLock::None, async |transaction| {
        let behind = hours.end.plus(DAY_HOURS);
        let symbols = store::symbols(transaction, &(hours.start..behind)).await?;
        store::mark(transaction, hours.start, &symbols).await
    })
    .await
}

/// Computes what is marked as stale, some symbols at a time. `stop` ends it between two
/// transactions.
///
/// # Errors
/// Where the database fails or `stop` is cancelled; what is not done stays marked.
pub async fn refresh(db: &mut BatchDb, stop: &CancellationToken) -> Result<(), Failure> {
    let mut symbols = FIRST_SYMBOLS;
    loop {
        if stop.is_cancelled() {
            return Err(stopped());
        }
        let done = db
            .transact_or_undo(
                "computing indicators in",
                TransactionLock::None,
                async |transaction| refresh_some(transaction, symbols).await,
            )
            .await?;
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

async fn refresh_some(
    transaction: &mut PgTransaction<'_>,
    symbols: i64,
) -> Result<End<Done>, sqlx::Error> {
    let mut marks = store::marks(transaction, symbols).await?;
    let hours = store::read_states(transaction, Interval::Hour, &marks).await?;
    let counts = count_bars(transaction, &store::asked(&marks, &hours)).await?;
    marks.truncate(how_many(&counts));
    let mut done = Done { symbols: marks.len(), bars: 0 };
    if marks.is_empty() {
        return Ok(End::Undo(done));
    }
    for interval in [Interval::Hour, Interval::Day] {
        let kept = store::read_states(transaction, interval, &marks).await?;
        let bars = bars(transaction, interval, &store::asked(&marks, &kept)).await?;
        let (mut rows, mut states) = (Rows::default(), States::default());
        for ((mark, kept), bars) in marks.iter().zip(kept).zip(&bars) {
            go_on(interval, (mark, kept), bars, (&mut rows, &mut states));
            done.bars += bars.len();
        }
        store::delete(transaction, interval, (&marks, &rows)).await?;
        store::write(transaction, interval, &rows).await?;
        store::keep(transaction, interval, &states).await?;
    }
    store::unmark(transaction, &marks).await?;
    Ok(End::Commit(done))
}

/// Takes in a symbol's bars that are not in the kept state; gives the rows from its mark on, and
/// now and then a new state.
fn go_on<'m>(
    interval: Interval,
    (mark, kept): (&'m StaleSymbol, SavedState),
    bars: &[(Timestamp, Bar)],
    (rows, states): (&mut Rows<'m>, &mut States<'m>),
) {
    let mut state = kept.state;
    // Late ticks change what is a little back, so a state is kept that lies before that.
    let back = interval.kept_back();
    let keep_at = bars.len().checked_sub(back).filter(|_| bars.len() >= 2 * back);
    for (number, (start, bar)) in bars.iter().enumerate() {
        let values = state.push(bar);
        if *start >= mark.from(interval) {
            rows.add(&mark.symbol, *start, bar, &values);
        }
        if keep_at == Some(number + 1) {
            states.add(&mark.symbol, *start, &state);
        }
    }
}

/// How many of the first symbols, whose bars were counted, are taken at once: at least one.
#[must_use]
pub fn how_many(counts: &[usize]) -> usize {
    let mut bars = 0;
    let fitting = counts.iter().take_while(|count| {
        bars += **count;
        bars <= BARS_AT_ONCE
    });
    fitting.count().max(1)
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
