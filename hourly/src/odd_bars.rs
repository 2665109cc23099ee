//! Odd hours of each symbol, by its bars of the weeks before: brought up to date after the hours.
//!
//! What is found is a function of the summaries alone (`anomalies::bars::hours`): of those symbols
//! whose hours have changed, the bars from the first of these on are looked at again, up to where
//! they are no measure any more. `docs/anomalies.md` says what is odd, and what it costs.

mod store;

pub use store::mark;

use crate::args::Args;
use crate::index::BatchDb;
use crate::indicators::how_many;
use crate::lock::TransactionLock;
use crate::stop::stopped;
use anomalies::bars::hours::{
    self, DETECTOR, DISTANCE_LIMIT, NOVELTY_LIMIT, Odd, RARITY_LIMIT, WEEKS,
};
use service::Failure;
use sqlx::postgres::PgConnection;
use store::{Changed, StaleSymbol};
use tokio_util::sync::CancellationToken;

/// Symbols that are looked at together, unless they have more bars than there is memory for.
const SYMBOLS_AT_ONCE: i64 = 500;

/// What is being done, in every step.
const LOOKING: &str = "looking for odd bars in";

/// Looks at the bars that have changed, some symbols at a time; at all of them, where another
/// detector did last. `stop` ends it between two symbols.
///
/// # Errors
/// Where the database fails or `stop` is cancelled; what is not done stays marked.
pub async fn refresh(
    db: &mut BatchDb,
    args: &Args,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    if args.anomalies.hindsight().is_none() {
        return Ok(());
    }
    db.transact(LOOKING, TransactionLock::None, async |transaction| {
        store::mark_all_of_others(transaction, &detector()).await
    })
    .await?;
    let mut changed = Changed::default();
    while let Some(more) = refresh_some(db, stop).await? {
        changed.add(more);
    }
    if changed != Changed::default() {
        let Changed { added, gone } = changed;
        tracing::info!(added, gone, "odd bars: {added} added, {gone} taken back");
    }
    Ok(())
}

/// Limits are a part of what finds.
fn detector() -> String {
    format!(
        "{} {}, limits {NOVELTY_LIMIT}, {RARITY_LIMIT}, {DISTANCE_LIMIT}, {WEEKS} weeks",
        DETECTOR.name, DETECTOR.version
    )
}

/// `None`: no symbol is marked. Forests take their time, and no transaction waits for them: a
/// symbol that is marked again meanwhile stays marked.
async fn refresh_some(
    db: &mut BatchDb,
    stop: &CancellationToken,
) -> Result<Option<Changed>, Failure> {
    if stop.is_cancelled() {
        return Err(stopped());
    }
    let (marks, bars) = db.query(LOOKING, read_some).await?;
    if marks.is_empty() {
        return Ok(None);
    }
    let until = stop.clone();
    let judging = move || {
        let judge = |(mark, bars): (&StaleSymbol, &Vec<_>)| {
            (!until.is_cancelled())
                .then(|| hours::find_odd(hours::seed(&mark.symbol), bars, mark.changed()))
        };
        let found: Option<Vec<Vec<Odd>>> = marks.iter().zip(&bars).map(judge).collect();
        (marks, found)
    };
    let judged = tokio::task::spawn_blocking(judging).await;
    let (marks, found) = judged.map_err(|error| Failure::Infrastructure(error.into()))?;
    let found = found.ok_or_else(stopped)?;
    db.transact(LOOKING, TransactionLock::None, async |transaction| {
        let changed = store::replace(transaction, &marks, &found).await?;
        store::unmark(transaction, &marks).await?;
        Ok(Some(changed))
    })
    .await
}

/// Some marks, each with the bars that have to be known.
async fn read_some(
    connection: &mut PgConnection,
) -> Result<(Vec<StaleSymbol>, Vec<Vec<hours::Hour>>), sqlx::Error> {
    let mut marks = store::marks(connection, SYMBOLS_AT_ONCE).await?;
    let counts = store::count_bars(connection, &marks).await?;
    marks.truncate(how_many(&counts));
    let bars = store::bars(connection, &marks).await?;
    Ok((marks, bars))
}
