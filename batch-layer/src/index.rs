//! The index of the archive in PostgreSQL: which objects were read, which hours they touch, and which hours are stale.

mod write;

pub use write::Entry;

use crate::archive::Object;
use crate::hour::Hour;
use common::pg::{Database, in_time};
use common::{Failure, Timestamp};
use rustc_hash::FxHashMap;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The one connection of a run. It also holds the run's lock, so whoever has lost the lock cannot write.
pub struct Index {
    pub connection: PgConnection,
    pub database: Database,
    /// How long a statement may take.
    pub patience: Duration,
}

/// What the index knows of an object that is listed again.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub etag: String,
    pub size: u64,
}

/// What the index knows of a folder's objects, by their key.
pub type KnownObjects = FxHashMap<String, Known>;

/// A stale hour that a run must see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    pub hour: Hour,
    /// Its objects were replaced, rather than deleted.
    pub withdrawn: bool,
}

/// The state in which an hour was computed last.
#[derive(Debug)]
pub struct Computed {
    pub fingerprint: Vec<u8>,
}

impl Index {
    /// The known objects of some folders, by folder and key.
    ///
    /// # Errors
    /// Where the database fails; here and below.
    pub async fn folders(&mut self, prefixes: &[&str]) -> Result<FxHashMap<String, KnownObjects>, Failure> {
        let rows = sqlx::query("select folder, key, etag, size from archive_objects where folder = any ($1)")
            .bind(prefixes)
            .fetch_all(&mut self.connection);
        let rows = in_time(self.patience, rows).await.map_err(|error| self.failed("reading the index in", error))?;
        let mut folders = FxHashMap::default();
        for row in &rows {
            add_known(&mut folders, row).map_err(|error| self.failed("reading the index in", error))?;
        }
        Ok(folders)
    }

    /// Stale hours before `due` that are in the window, or that must not wait for a window to cover them.
    pub async fn stale(&mut self, due: Hour, window: &Range<Hour>) -> Result<Vec<Stale>, Failure> {
        let rows = sqlx::query(
            "select hour, withdrawn from stale_hours s
             where hour < $1
               and (wanted or (hour >= $2 and hour < $3) or exists (select from batch_hours b where b.hour = s.hour))
             order by hour",
        )
        .bind(due.start())
        .bind(window.start.start())
        .bind(window.end.start())
        .fetch_all(&mut self.connection);
        let rows = in_time(self.patience, rows).await.map_err(|error| self.failed("reading stale hours in", error))?;
        let stale = |row: &PgRow| {
            Ok(Stale { hour: Hour::of(row.try_get::<Timestamp, _>("hour")?), withdrawn: row.try_get("withdrawn")? })
        };
        let stale: Result<_, sqlx::Error> = rows.iter().map(stale).collect();
        stale.map_err(|error| self.failed("reading stale hours in", error))
    }

    /// The objects that hold ticks of an hour, by key, each with its folder.
    pub async fn objects_of(&mut self, hour: Hour) -> Result<Vec<(Object, Arc<str>)>, Failure> {
        let rows = sqlx::query(
            r#"select o.key, o.etag, o.size, o.last_modified, o.folder
               from archive_object_hours h join archive_objects o using (key)
               where h.hour = $1
               order by o.key collate "C""#,
        )
        .bind(hour.start())
        .fetch_all(&mut self.connection);
        let rows = in_time(self.patience, rows).await.map_err(|error| self.failed("reading the index in", error))?;
        let objects: Result<_, sqlx::Error> = rows.iter().map(object_and_folder).collect();
        objects.map_err(|error| self.failed("reading the index in", error))
    }

    /// The hours that an object touched when it was read last.
    pub async fn hours_of(&mut self, key: &str) -> Result<Vec<Hour>, Failure> {
        let hours = sqlx::query_scalar("select hour from archive_object_hours where key = $1 order by hour")
            .bind(key)
            .fetch_all(&mut self.connection);
        let hours: Result<Vec<Timestamp>, _> = in_time(self.patience, hours).await;
        let hours = hours.map_err(|error| self.failed("reading the index in", error))?;
        Ok(hours.into_iter().map(Hour::of).collect())
    }

    /// How an hour was computed last, if ever.
    pub async fn computed(&mut self, hour: Hour) -> Result<Option<Computed>, Failure> {
        let fingerprint = sqlx::query_scalar("select fingerprint from batch_hours where hour = $1")
            .bind(hour.start())
            .fetch_optional(&mut self.connection);
        let fingerprint: Result<Option<Vec<u8>>, _> = in_time(self.patience, fingerprint).await;
        let fingerprint = fingerprint.map_err(|error| self.failed("reading batch_hours in", error))?;
        Ok(fingerprint.map(|fingerprint| Computed { fingerprint }))
    }

    pub(crate) fn failed(&self, doing: &str, error: sqlx::Error) -> Failure {
        self.database.failure(doing, error)
    }
}

fn add_known(folders: &mut FxHashMap<String, KnownObjects>, row: &PgRow) -> Result<(), sqlx::Error> {
    let size = row.try_get::<i64, _>("size")?.cast_unsigned();
    let known = Known { etag: row.try_get("etag")?, size };
    folders.entry(row.try_get("folder")?).or_default().insert(row.try_get("key")?, known);
    Ok(())
}

fn object_and_folder(row: &PgRow) -> Result<(Object, Arc<str>), sqlx::Error> {
    let object = Object {
        key: row.try_get::<&str, _>("key")?.into(),
        etag: row.try_get("etag")?,
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        last_modified: row.try_get("last_modified")?,
    };
    Ok((object, row.try_get::<&str, _>("folder")?.into()))
}
