//! An hour's rows in PostgreSQL: replaced as a whole, together with the note of what they were computed from.

use crate::archive::Object;
use crate::hour::Hour;
use crate::index::Index;
use crate::indicators;
use crate::scan::HourBars;
use common::pg::in_time;
use common::pg::numeric::Numeric;
use common::wide_sum::WideSum;
use common::{Bar, Failure};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Connection};

/// A computed hour, ready to be written.
#[derive(Debug)]
pub struct Summary {
    pub hour: Hour,
    pub sum: HourBars,
    pub fingerprint: [u8; 32],
    /// How many objects it was computed from.
    pub objects: usize,
    pub run_id: i64,
}

/// What an hour is computed from, as a hash of (key, etag, size) of each of its objects, which come in order of key.
#[must_use]
pub fn fingerprint<'a>(objects: impl IntoIterator<Item = &'a Object>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for object in objects {
        // Neither a key nor an etag holds a zero byte, so no two lists look alike.
        for part in [object.key.as_bytes(), object.etag.as_bytes(), object.size.to_string().as_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
    }
    hash.finalize().into()
}

impl Summary {
    /// Replaces the hour's rows, in one transaction with its row in `batch_hours` and its mark as stale.
    ///
    /// # Errors
    /// Where the database fails; nothing has changed then.
    pub async fn write(&self, index: &mut Index) -> Result<(), Failure> {
        let written = in_time(index.patience, self.write_all(&mut index.connection)).await;
        written.map_err(|error| index.failed(&format!("writing hour {} to", self.hour), error))
    }

    async fn write_all(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut transaction = Connection::begin(connection).await?;
        delete_rows(&mut transaction, self.hour).await?;
        self.insert_rows(&mut transaction).await?;
        indicators::mark(&mut transaction, self.hour).await?;
        self.note(&mut transaction).await?;
        transaction.commit().await
    }

    async fn insert_rows(&self, transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
        let mut bars: Vec<(&str, &Bar)> = self.sum.bars.iter().map(|(symbol, bar)| (symbol.as_str(), bar)).collect();
        bars.sort_unstable_by_key(|(symbol, _)| *symbol);
        let numbers = |of: fn(&Bar) -> Numeric| bars.iter().map(|(_, bar)| of(bar)).collect::<Vec<_>>();
        // PostgreSQL divides, so that the averages are those of its own avg() to the last digit.
        sqlx::query(
            "insert into hourly_stock_summary
                 (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
             select symbol, $1, sum_close / ticks, volume / ticks, open, high, low, close, volume,
                    notional / nullif(volume, 0), ticks
             from unnest($2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
                         $8::numeric[], $9::numeric[], $10::bigint[])
                  as bars (symbol, open, high, low, close, volume, sum_close, notional, ticks)",
        )
        .bind(self.hour.start())
        .bind(bars.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(numbers(|bar| bar.open.into()))
        .bind(numbers(|bar| bar.high.into()))
        .bind(numbers(|bar| bar.low.into()))
        .bind(numbers(|bar| bar.close.into()))
        .bind(numbers(|bar| Numeric::Integer(bar.volume)))
        .bind(numbers(|bar| Numeric::Nanos(WideSum::from(bar.sum_close))))
        .bind(numbers(|bar| Numeric::Nanos(bar.notional)))
        .bind(bars.iter().map(|(_, bar)| bar.ticks.cast_signed()).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
        Ok(())
    }

    async fn note(&self, transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into batch_hours (hour, fingerprint, objects, ticks, symbols, duplicates, run_id)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (hour) do update
                 set (fingerprint, objects, ticks, symbols, duplicates, run_id, computed_at)
                     = (excluded.fingerprint, excluded.objects, excluded.ticks, excluded.symbols, excluded.duplicates,
                        excluded.run_id, now())",
        )
        .bind(self.hour.start())
        .bind(&self.fingerprint[..])
        .bind(i32::try_from(self.objects).unwrap_or(i32::MAX))
        .bind(self.sum.ticks.cast_signed())
        .bind(i32::try_from(self.sum.bars.len()).unwrap_or(i32::MAX))
        .bind(self.sum.duplicates.cast_signed())
        .bind(self.run_id)
        .execute(transaction.acquire().await?)
        .await?;
        settle(transaction, self.hour).await
    }
}

/// Takes an hour back whose every tick was withdrawn by replacing the objects.
///
/// # Errors
/// Where the database fails; nothing has changed then.
pub async fn withdraw(index: &mut Index, hour: Hour) -> Result<(), Failure> {
    let withdrawn = in_time(index.patience, withdraw_all(&mut index.connection, hour)).await;
    withdrawn.map_err(|error| index.failed(&format!("deleting hour {hour} from"), error))
}

async fn withdraw_all(connection: &mut PgConnection, hour: Hour) -> Result<(), sqlx::Error> {
    let mut transaction = Connection::begin(connection).await?;
    delete_rows(&mut transaction, hour).await?;
    sqlx::query("delete from batch_hours where hour = $1")
        .bind(hour.start())
        .execute(transaction.acquire().await?)
        .await?;
    settle(&mut transaction, hour).await?;
    transaction.commit().await
}

async fn delete_rows(transaction: &mut PgTransaction<'_>, hour: Hour) -> Result<(), sqlx::Error> {
    // A symbol may be in the old rows only.
    indicators::mark(transaction, hour).await?;
    sqlx::query("delete from hourly_stock_summary where hour = $1")
        .bind(hour.start())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn settle(transaction: &mut PgTransaction<'_>, hour: Hour) -> Result<(), sqlx::Error> {
    sqlx::query("delete from stale_hours where hour = $1")
        .bind(hour.start())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}
