//! An hour's rows in PostgreSQL, together with the sums that they come from and the note of what
//! those hold.

use crate::hour::Hour;
use crate::index::{BatchDb, IndexSnapshot, forget_emptied, not_stale};
use crate::indicators;
use crate::judging;
use crate::lake;
use crate::lock::{self, End, TransactionLock};
use crate::odd_bars;
use crate::scan::{HourBars, Offsets};
use crate::shared::{self, SharedRecords};
use crate::state;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::pg::bars::Columns;
use service::telemetry::TRACED;
use sqlx::postgres::PgTransaction;
use sqlx::{Acquire, AssertSqlSafe};
use std::collections::BTreeSet;
use tracing::Instrument;

pub use crate::judging::NeighbourHours;

/// A computed hour, ready to be written.
#[derive(Debug)]
pub struct Summary<'a> {
    pub hour: Hour,
    pub sum: HourBars,
    /// The symbols whose bars have changed; `None` if that is unknown.
    pub changed: Option<BTreeSet<String>>,
    /// Only the rows of the changed symbols are written.
    pub only_changed_rows: bool,
    /// Its symbols' indicators are computed from their first bars on, and not from their saved
    /// states.
    pub rebuild_indicators: bool,
    /// Keys of the objects that are in the sums now and were not before; `None` if those are all of
    /// the hour's objects.
    pub merged_keys: Option<Vec<&'a str>>,
    /// Keys among `merged_keys` whose records have changed; the sums keep the old values.
    pub keep_old_values_of: Vec<&'a str>,
    /// Keys of the lake's objects, where the hour was computed from them and nothing else.
    pub lake_keys: Option<&'a [String]>,
    /// The sums are of all objects that are there, and not only added to what was known.
    pub from_all_objects: bool,
    /// A person says that it may lack what was deleted before its ticks came into it.
    pub accept_missing: bool,
    /// Neighbouring hours that must be judged again because of what has changed.
    pub neighbours: NeighbourHours,
    /// Objects in the sums that are no longer in the archive.
    pub gone_objects: u32,
    /// Records that the hour had once and has no longer, because an object was replaced or a person
    /// said so.
    pub withdrawn: Offsets,
    /// How many of them have not come again, as lines without offsets either.
    pub taken_out: u64,
    /// Records of which several objects tell different things.
    pub conflicts: u64,
    /// The index's state of the hour before its objects were read.
    pub snapshot: &'a IndexSnapshot,
    pub decode_rules: &'a str,
    pub location: &'a str,
    pub run_id: i64,
}

/// Result of writing an hour.
#[derive(Debug)]
pub enum Written {
    /// It was written. These records other hours have, too.
    Done(Vec<SharedRecords>),
    /// Nothing was written: another run has changed what the hour is made of.
    Outdated,
}

/// The symbols whose bars differ, in either direction.
#[must_use]
pub fn changed_symbols(before: &HourBars, after: &mut HourBars) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    let mut unseen: BTreeSet<&str> =
        before.bars.iter().map(|(symbol, _)| symbol.as_str()).collect();
    for (symbol, bar) in before.bars.iter() {
        if after.bars.get_mut(symbol).is_none_or(|after| after != bar) {
            changed.insert(symbol.as_str().to_owned());
        }
    }
    for (symbol, _) in after.bars.iter() {
        if !unseen.remove(symbol.as_str()) {
            changed.insert(symbol.as_str().to_owned());
        }
    }
    changed
}

impl Summary<'_> {
    /// Replaces the rows that are others, in one transaction with the hour's sums, its row in
    /// `batch_hours` and its mark as stale.
    ///
    /// # Errors
    /// Where the database fails; nothing has changed then.
    pub async fn write(&self, db: &mut BatchDb) -> Result<Written, Failure> {
        let doing = format!("writing hour {} to", self.hour);
        let span = tracing::info_span!(target: TRACED, "write", ticks = self.sum.ticks);
        let writing = db.transact_or_undo(&doing, TransactionLock::Hour, async |transaction| {
            self.write_all(transaction).await
        });
        writing.instrument(span).await
    }

    async fn write_all(
        &self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<End<Written>, sqlx::Error> {
        if !self.snapshot.is_current(transaction, self.hour).await? {
            return Ok(End::Undo(Written::Outdated));
        }
        let changed: Option<Vec<&str>> =
            self.changed.as_ref().map(|all| all.iter().map(String::as_str).collect());
        let others = (changed.as_deref(), !self.from_all_objects);
        judging::store::forget_clean(transaction, self.hour, others).await?;
        let written = changed.as_deref().filter(|_| self.only_changed_rows);
        let mut touched = delete_rows(transaction, self.hour, written).await?;
        touched.extend(self.insert_rows(transaction).await?);
        self.note(transaction).await?;
        if let Some(keys) = self.lake_keys {
            lake::table::note_computed(transaction, keys).await?;
        }
        self.keep_sums(transaction).await?;
        self.keep_stale_for_others(transaction).await?;
        // What follows is of several hours.
        lock::serialize_commits(transaction).await?;
        if self.rebuild_indicators {
            indicators::forget(transaction, self.hour).await?;
        }
        let shared = shared::find(transaction, self.hour, &self.sum.offsets).await?;
        let places = (&self.sum.offsets, &self.withdrawn);
        shared::write(transaction, self.hour, places, &shared).await?;
        indicators::mark(transaction, self.hour, &touched).await?;
        odd_bars::mark(transaction, self.hour, &touched).await?;
        Ok(End::Commit(Written::Done(shared)))
    }

    /// Objects that only a run with another prefix can read leave the hour stale, until that has
    /// added them.
    async fn keep_stale_for_others(
        &self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<(), sqlx::Error> {
        pg::query(include_str!("../sql/summary/keep_stale.sql"))
            .bind(Timestamptz(self.hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
        pg::query(include_str!("../sql/summary/forget_stale.sql"))
            .bind(Timestamptz(self.hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
        Ok(())
    }

    /// Gives the symbols of the new rows.
    async fn insert_rows(
        &self,
        transaction: &mut PgTransaction<'_>,
    ) -> Result<Vec<String>, sqlx::Error> {
        let written = self.changed.as_ref().filter(|_| self.only_changed_rows);
        let is_written = |symbol: &str| written.is_none_or(|written| written.contains(symbol));
        let start = self.hour.start();
        let all = self.sum.bars.iter().map(|(symbol, bar)| (symbol.as_str(), start, bar));
        let mut bars: Vec<_> = all.filter(|(symbol, ..)| is_written(symbol)).collect();
        bars.sort_unstable_by_key(|(symbol, ..)| *symbol);
        // PostgreSQL divides, so that the averages are those that it makes of ticks to the last
        // digit. These sums have no zeros at their ends, on which the digits of a quotient depend.
        let statement = format!(
            "insert into hourly_stock_summary
                 (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
             select symbol, start, sum_close / ticks, volume / ticks, open, high, low, close, volume,
                    notional / nullif(volume, 0), ticks
             from {}",
            Columns::Values.rows()
        );
        let insert = pg::query_with(AssertSqlSafe(statement), Columns::Values.arguments(&bars)?);
        insert.execute(transaction.acquire().await?).await?;
        Ok(bars.iter().map(|(symbol, ..)| (*symbol).to_owned()).collect())
    }

    async fn note(&self, transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
        if self.from_all_objects {
            drop_gone_objects(transaction, self.hour, self.accept_missing).await?;
        }
        forget_emptied(transaction, self.hour).await?;
        pg::query(include_str!("../sql/summary/note_merged.sql"))
            .bind(Timestamptz(self.hour.start()))
            .bind(&self.merged_keys)
            .bind(&self.keep_old_values_of)
            .execute(transaction.acquire().await?)
            .await?;
        pg::query(include_str!("../sql/summary/forget_deleted.sql"))
            .bind(Timestamptz(self.hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
        pg::query(include_str!("../sql/summary/note_computed.sql"))
            .bind(Timestamptz(self.hour.start()))
            .bind(self.decode_rules)
            .bind(self.location)
            .bind(i32::try_from(self.gone_objects).unwrap_or(i32::MAX))
            .bind(self.sum.ticks.cast_signed())
            .bind(i32::try_from(self.sum.bars.len()).unwrap_or(i32::MAX))
            .bind(self.sum.duplicates.cast_signed())
            .bind(self.taken_out.cast_signed())
            .bind(self.run_id)
            .bind(self.conflicts.cast_signed())
            .bind(self.neighbours.before)
            .bind(self.neighbours.after)
            .execute(transaction.acquire().await?)
            .await?;
        Ok(())
    }

    async fn keep_sums(&self, transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
        let (bars, offsets) = state::encode(&self.sum)?;
        pg::query(include_str!("../sql/summary/keep_sums.sql"))
            .bind(Timestamptz(self.hour.start()))
            .bind(bars)
            .bind(offsets)
            .bind(state::encode_offsets(&self.withdrawn)?)
            .execute(transaction.acquire().await?)
            .await?;
        Ok(())
    }
}

/// Takes an hour back whose every tick was withdrawn by replacing the objects; not where another
/// run has changed what it is made of.
///
/// # Errors
/// Where the database fails; nothing has changed then.
pub async fn withdraw(
    db: &mut BatchDb,
    hour: Hour,
    snapshot: &IndexSnapshot,
    accept_missing: bool,
) -> Result<(), Failure> {
    // No other hour is written meanwhile.
    db.transact_or_undo(
        &format!("deleting hour {hour} from"),
        TransactionLock::Index,
        async |transaction| withdraw_all(transaction, (hour, snapshot), accept_missing).await,
    )
    .await
}

async fn withdraw_all(
    transaction: &mut PgTransaction<'_>,
    (hour, snapshot): (Hour, &IndexSnapshot),
    accept_missing: bool,
) -> Result<End<()>, sqlx::Error> {
    if !snapshot.is_current(transaction, hour).await? {
        return Ok(End::Undo(()));
    }
    judging::store::forget_clean(transaction, hour, (None, false)).await?;
    let touched = delete_rows(transaction, hour, None).await?;
    indicators::mark(transaction, hour, &touched).await?;
    odd_bars::mark(transaction, hour, &touched).await?;
    drop_gone_objects(transaction, hour, accept_missing).await?;
    forget_emptied(transaction, hour).await?;
    lake::table::withdraw(transaction, hour).await?;
    judging::store::withdraw(transaction, hour).await?;
    // The sums go with it.
    pg::query("delete from batch_hours where hour = $1")
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    not_stale(transaction, hour).await?;
    Ok(End::Commit(()))
}

/// The sums are of what is there now: an object that was gone is new to them when it comes back,
/// and none that they had is missing. `accept_missing`: nor any other.
async fn drop_gone_objects(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    accept_missing: bool,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../sql/summary/forget_deleted_before.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(accept_missing)
        .execute(transaction.acquire().await?)
        .await?;
    pg::query(include_str!("../sql/summary/take_out_gone.sql"))
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    pg::query(include_str!("../sql/summary/forget_gone.sql"))
        .bind(Timestamptz(hour.start()))
        .execute(transaction.acquire().await?)
        .await?;
    lake::covered::release(transaction, hour).await
}

/// `symbols`: of these alone. Gives those of the rows that there were.
async fn delete_rows(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    symbols: Option<&[&str]>,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let deleted: Vec<String> = pg::query_scalar(include_str!("../sql/summary/delete_rows.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(symbols)
        .fetch_all(transaction.acquire().await?)
        .await?;
    Ok(deleted.into_iter().collect())
}
