//! Which hours have ticks, and what is the matter with them.

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lake::table::PublishedObject;
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeSet;
use std::ops::Range;

/// An hour as the tables have it.
#[derive(Debug)]
pub struct KnownHour {
    /// `None` where it was not computed.
    pub ticks: Option<u64>,
    pub computed_at: Option<Timestamp>,
    /// Some of its raw objects are no longer there.
    pub has_expired: bool,
    /// The bucket that it was computed from.
    pub location: String,
    /// Its objects have changed since.
    pub is_stale: bool,
    /// Why it is incomplete, if it is.
    pub lack: Option<String>,
}

impl KnownHour {
    /// Whether it is of the archive at this location.
    #[must_use]
    pub fn is_of(&self, location: &str) -> bool {
        self.location.is_empty() || self.location == location
    }

    /// Whether the lake has the hour as it is now.
    #[must_use]
    pub fn is_in(&self, lake: &[PublishedObject]) -> bool {
        let is_now = |object: &PublishedObject| Some(object.computed_at) == self.computed_at;
        // An hour whose objects have expired is in the lake with all of its ticks.
        let is_all = || {
            self.has_expired
                && Some(lake.iter().map(|object| object.contents.rows).sum()) == self.ticks
        };
        !self.is_stale && !lake.is_empty() && (lake.iter().all(is_now) || is_all())
    }
}

/// The hours of a range of which anything is known.
///
/// # Errors
/// Where the database fails.
pub async fn with_ticks(db: &mut BatchDb, hours: &Range<Hour>) -> Result<BTreeSet<Hour>, Failure> {
    let statement = pg::query_scalar(include_str!("../../sql/export/hours_of_range.sql"))
        .bind(Timestamptz(hours.start.start()))
        .bind(Timestamptz(hours.end.start()));
    let found: Vec<Timestamptz> = db.fetch_all("reading computed hours in", statement).await?;
    Ok(found.into_iter().map(Hour::from).collect())
}

/// Reads an hour as the tables have it now.
///
/// # Errors
/// Where the database fails.
pub async fn known(db: &mut BatchDb, hour: Hour) -> Result<KnownHour, Failure> {
    let statement =
        pg::query(include_str!("../../sql/export/known_hour.sql")).bind(Timestamptz(hour.start()));
    db.query("reading computed hours in", async |connection| {
        known_of(&statement.fetch_one(connection).await?)
    })
    .await
}

fn known_of(row: &PgRow) -> Result<KnownHour, sqlx::Error> {
    Ok(KnownHour {
        ticks: row.try_get::<Option<i64>, _>("ticks")?.map(i64::cast_unsigned),
        computed_at: row.try_get::<Option<Timestamptz>, _>("computed_at")?.map(Timestamp::from),
        has_expired: row.try_get("has_expired")?,
        location: row.try_get("location")?,
        is_stale: row.try_get("is_stale")?,
        lack: row.try_get("lack")?,
    })
}
