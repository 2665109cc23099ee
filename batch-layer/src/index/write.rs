//! Changes of the index. Each is one transaction that also notes which hours became stale by it.

use super::Index;
use crate::archive::Object;
use crate::hour::Hour;
use crate::scan::RejectedLine;
use common::pg::in_time;
use common::{Failure, Timestamp};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Connection};
use std::sync::Arc;

/// An object that has been read.
#[derive(Debug)]
pub struct Entry {
    pub object: Object,
    /// The prefix of the listing that showed it.
    pub folder: Arc<str>,
    /// Whether that folder belongs to the run's window.
    pub wanted: bool,
    pub lines: u64,
    pub rejected: u64,
    pub rejects: Vec<RejectedLine>,
    /// Ticks by hour.
    pub hours: Vec<(Hour, u64)>,
}

impl Index {
    /// Replaces what is known of some objects.
    pub async fn store(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let stored = in_time(self.patience, store(&mut self.connection, entries)).await;
        stored.map_err(|error| self.failed("writing the index in", error))
    }

    /// Forgets objects that are gone from the archive. Gives the hours that they touched.
    pub async fn remove(&mut self, keys: &[String]) -> Result<Vec<Hour>, Failure> {
        let removed = in_time(self.patience, remove(&mut self.connection, keys)).await;
        removed.map_err(|error| self.failed("writing the index in", error))
    }

    /// Notes that a stale hour is not stale any more, although it was not computed.
    pub async fn settle(&mut self, hour: Hour) -> Result<(), Failure> {
        let done =
            sqlx::query("delete from stale_hours where hour = $1").bind(hour.start()).execute(&mut self.connection);
        let done = in_time(self.patience, done).await;
        done.map_err(|error| self.failed("writing the index in", error))?;
        Ok(())
    }
}

async fn store(connection: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let mut transaction = Connection::begin(connection).await?;
    withdraw(&mut transaction, entries).await?;
    insert_objects(&mut transaction, entries).await?;
    insert_hours(&mut transaction, entries).await?;
    insert_rejects(&mut transaction, entries).await?;
    transaction.commit().await
}

/// Deletes earlier versions of the objects; the hours that those touched become stale.
async fn withdraw(transaction: &mut PgTransaction<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let keys: Vec<&str> = entries.iter().map(|entry| &*entry.object.key).collect();
    sqlx::query(
        "insert into stale_hours (hour, wanted, withdrawn)
         select distinct hour, false, true from archive_object_hours where key = any ($1)
         on conflict (hour) do update set withdrawn = true",
    )
    .bind(&keys)
    .execute(transaction.acquire().await?)
    .await?;
    sqlx::query("delete from archive_objects where key = any ($1)")
        .bind(&keys)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn insert_objects(transaction: &mut PgTransaction<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let texts = |of: fn(&Entry) -> &str| entries.iter().map(of).collect::<Vec<_>>();
    let numbers = |of: fn(&Entry) -> u64| entries.iter().map(|entry| of(entry).cast_signed()).collect::<Vec<_>>();
    let modified: Vec<Timestamp> = entries.iter().map(|entry| entry.object.last_modified).collect();
    sqlx::query(
        "insert into archive_objects (key, folder, etag, size, last_modified, lines, rejected_lines)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[],
                              $7::bigint[])",
    )
    .bind(texts(|entry| &entry.object.key))
    .bind(texts(|entry| &entry.folder))
    .bind(texts(|entry| &entry.object.etag))
    .bind(numbers(|entry| entry.object.size))
    .bind(modified)
    .bind(numbers(|entry| entry.lines))
    .bind(numbers(|entry| entry.rejected))
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

async fn insert_hours(transaction: &mut PgTransaction<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let (mut hours, mut keys, mut ticks, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        for (hour, count) in &entry.hours {
            hours.push(hour.start());
            keys.push(&*entry.object.key);
            ticks.push(count.cast_signed());
            wanted.push(entry.wanted);
        }
    }
    sqlx::query(
        "insert into archive_object_hours (hour, key, ticks)
         select * from unnest($1::timestamptz[], $2::text[], $3::bigint[])",
    )
    .bind(&hours)
    .bind(&keys)
    .bind(&ticks)
    .execute(transaction.acquire().await?)
    .await?;
    sqlx::query(
        "insert into stale_hours (hour, wanted, withdrawn)
         select hour, bool_or(wanted), false from unnest($1::timestamptz[], $2::bool[]) as touched (hour, wanted)
         group by hour
         on conflict (hour) do update set wanted = stale_hours.wanted or excluded.wanted",
    )
    .bind(&hours)
    .bind(&wanted)
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

async fn insert_rejects(transaction: &mut PgTransaction<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let rejects = || entries.iter().flat_map(|entry| entry.rejects.iter().map(|reject| (&*entry.object.key, reject)));
    if rejects().next().is_none() {
        return Ok(());
    }
    sqlx::query(
        "insert into rejected_lines (key, line, reason, detail, value, value_bytes)
         select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::bigint[])",
    )
    .bind(rejects().map(|(key, _)| key).collect::<Vec<_>>())
    .bind(rejects().map(|(_, line)| line.number.cast_signed()).collect::<Vec<_>>())
    .bind(rejects().map(|(_, line)| line.reject.reason.as_str()).collect::<Vec<_>>())
    .bind(rejects().map(|(_, line)| line.reject.detail.as_str()).collect::<Vec<_>>())
    .bind(rejects().map(|(_, line)| line.value.as_slice()).collect::<Vec<_>>())
    .bind(rejects().map(|(_, line)| line.value_bytes.cast_signed()).collect::<Vec<_>>())
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

async fn remove(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<Hour>, sqlx::Error> {
    let mut transaction = Connection::begin(connection).await?;
    let hours: Vec<Timestamp> =
        sqlx::query_scalar("select distinct hour from archive_object_hours where key = any ($1) order by hour")
            .bind(keys)
            .fetch_all(transaction.acquire().await?)
            .await?;
    sqlx::query(
        "insert into stale_hours (hour, wanted, withdrawn) select hour, false, false from unnest($1::timestamptz[]) as hour
         on conflict (hour) do update set withdrawn = false",
    )
    .bind(&hours)
    .execute(transaction.acquire().await?)
    .await?;
    sqlx::query("delete from archive_objects where key = any ($1)")
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    transaction.commit().await?;
    Ok(hours.into_iter().map(Hour::of).collect())
}
