//! Objects that cannot be read, and the hours that they hold back.

use super::batch_db::{BatchDb, Statement};
use crate::archive::Object;
use crate::hour::Hour;
use crate::lock::TransactionLock;
use crate::reader::broken::{Breakage, BrokenKind};
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Acquire;
use sqlx::postgres::{PgConnection, PgTransaction};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that is broken, of whatever window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSummary {
    /// Without what lies in cold storage, which nobody has to mend.
    pub objects: u64,
    pub hours: u64,
    /// One of them, with the reason and since when.
    pub example: Option<String>,
}

impl BatchDb {
    /// Notes that an object cannot be read and which hours it may touch. `false` where that was
    /// known.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn note_broken(
        &mut self,
        object: &Object,
        folder: &str,
        broken: &Breakage,
        hours: &BTreeSet<Hour>,
    ) -> Result<bool, Failure> {
        self.transact("writing broken_objects in", TransactionLock::Index, async |transaction| {
            let is_new = insert(transaction, object, folder, broken).await?;
            hold_back(transaction, &object.key, hours).await?;
            Ok(is_new)
        })
        .await
    }

    /// Forgets that objects could not be read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn mend(&mut self, keys: &[String]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write("broken_objects", delete_broken(keys)).await.map(drop)
    }

    /// The folders that hold broken objects, each with their keys.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn broken(&mut self) -> Result<FxHashMap<Arc<str>, Vec<String>>, Failure> {
        let statement = pg::query_as("select folder, key from broken_objects");
        let rows: Vec<(String, String)> =
            self.fetch_all("reading broken_objects in", statement).await?;
        let mut folders: FxHashMap<Arc<str>, Vec<String>> = FxHashMap::default();
        for (folder, key) in rows {
            folders.entry(folder.into()).or_default().push(key);
        }
        Ok(folders)
    }

    /// What is broken in the end.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn broken_summary(&mut self) -> Result<BrokenSummary, Failure> {
        self.query("reading broken_objects in", summary).await
    }

    /// The hours that broken objects hold back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn blocked_hours(&mut self) -> Result<BTreeSet<Hour>, Failure> {
        let statement = pg::query_scalar("select distinct hour from blocked_hours");
        let hours: Vec<Timestamptz> = self.fetch_all("reading blocked_hours in", statement).await?;
        Ok(hours.into_iter().map(Hour::from).collect())
    }
}

/// Some objects can be read again, or are others now.
pub(super) fn delete_broken<'q, K>(keys: &'q [K]) -> Statement<'q>
where
    &'q [K]: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    pg::query("delete from broken_objects where key = any ($1)").bind(keys)
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    object: &Object,
    folder: &str,
    broken: &Breakage,
) -> Result<bool, sqlx::Error> {
    pg::query_scalar(include_str!("../../sql/index/note_broken.sql"))
        .bind(&*object.key)
        .bind(folder)
        .bind(&object.etag)
        .bind(object.size.cast_signed())
        .bind(broken.kind.as_str())
        .bind(&broken.why)
        .fetch_one(transaction.acquire().await?)
        .await
}

/// Also the hours that an earlier version of the object touched.
async fn hold_back(
    transaction: &mut PgTransaction<'_>,
    key: &str,
    hours: &BTreeSet<Hour>,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/index/hold_back.sql"))
        .bind(Timestamptz::all(hours.iter().map(|hour| hour.start())))
        .bind(key)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn summary(connection: &mut PgConnection) -> Result<BrokenSummary, sqlx::Error> {
    let (objects, hours, example): (i64, i64, Option<String>) =
        pg::query_as(include_str!("../../sql/index/broken_summary.sql"))
            .bind(BrokenKind::Frozen.as_str())
            .fetch_one(connection)
            .await?;
    Ok(BrokenSummary { objects: objects.cast_unsigned(), hours: hours.cast_unsigned(), example })
}
