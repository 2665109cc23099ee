//! Which hours have ticks, and what is the matter with them.

use super::source::Source;
use crate::archive::{FileNameTemplate, Folder, LISTINGS_AHEAD, PrefixTemplate, StoreError};
use crate::hour::Hour;
use crate::index::Index;
use crate::lake::table::Counting;
use crate::survey::{Change, ChangeKind, compare};
use common::Timestamp;
use futures::StreamExt;
use rustc_hash::FxHashSet;
use service::Failure;
use service::pg;
use service::pg::in_time;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeSet;
use std::ops::Range;

/// In a range of more hours it is looked first which folders there are.
const LONG_HOURS: usize = 500;

/// What the tables say of an hour.
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
    pub fn is_in(&self, lake: &[Counting]) -> bool {
        let is_now = |object: &Counting| Some(object.computed_at) == self.computed_at;
        // An hour whose objects have expired is in the lake with all of its ticks.
        let is_all = || self.has_expired && Some(lake.iter().map(|object| object.seen.rows).sum()) == self.ticks;
        !self.is_stale && !lake.is_empty() && (lake.iter().all(is_now) || is_all())
    }
}

/// The hours of a range of which anything is known.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn with_ticks(index: &mut Index, hours: &Range<Hour>) -> Result<BTreeSet<Hour>, Failure> {
    let found = pg::query_scalar(
        "select hour from batch_hours where hour >= $1 and hour < $2
         union
         select hour from archive_object_hours where hour >= $1 and hour < $2
         union
         select hour from archive_hours where hour >= $1 and hour < $2 and status = 'incomplete'
         union
         select hour from held_hours where hour >= $1 and hour < $2",
    )
    .bind(hours.start.start())
    .bind(hours.end.start())
    .fetch_all(&mut index.connection);
    let found: Result<Vec<Timestamp>, _> = in_time(index.patience, found).await;
    let found = found.map_err(|error| index.failed("reading computed hours in", error))?;
    Ok(found.into_iter().map(Hour::of).collect())
}

/// What the tables say of an hour now.
pub async fn known(index: &mut Index, hour: Hour) -> Result<KnownHour, Failure> {
    let row = pg::query(
        "select b.ticks, b.computed_at, coalesce(b.gone_objects, 0) > 0 as has_expired,
                coalesce(b.location, '') as location,
                exists (select from stale_hours s where s.hour = h.hour) as is_stale,
                coalesce((select a.reason from archive_hours a where a.hour = h.hour and a.status = 'incomplete'),
                         (select 'an object cannot be read: ' || min(key) from held_hours e where e.hour = h.hour)) as lack
         from (select $1::timestamptz as hour) h left join batch_hours b using (hour)",
    )
    .bind(hour.start())
    .fetch_one(&mut index.connection);
    let row = in_time(index.patience, row).await;
    row.and_then(|row| known_of(&row)).map_err(|error| index.failed("reading computed hours in", error))
}

fn known_of(row: &PgRow) -> Result<KnownHour, sqlx::Error> {
    Ok(KnownHour {
        ticks: row.try_get::<Option<i64>, _>("ticks")?.map(i64::cast_unsigned),
        computed_at: row.try_get("computed_at")?,
        has_expired: row.try_get("has_expired")?,
        location: row.try_get("location")?,
        is_stale: row.try_get("is_stale")?,
        lack: row.try_get("lack")?,
    })
}

/// The folders of a range with objects that the index does not know, or knows as they were. `broken`: keys of those that
/// could not be read.
pub async fn unread_folders(
    source: &mut Source,
    (template, names): (&PrefixTemplate, &FileNameTemplate),
    hours: &Range<Hour>,
    broken: &FxHashSet<String>,
) -> Result<Vec<Folder>, Failure> {
    let folders = folders(source, template, hours).await?;
    // Those that have come meanwhile share a query of the index.
    let mut listings = source.store.listings(folders).ready_chunks(LISTINGS_AHEAD);
    let mut unread = Vec::new();
    while let Some(listed) = listings.next().await {
        let prefixes: Vec<&str> = listed.iter().map(|(folder, _)| &*folder.prefix).collect();
        let mut known = source.index.folders(&prefixes, "").await?;
        for (folder, listing) in listed {
            let known = known.remove(&*folder.prefix).unwrap_or_default();
            let survey = compare(&folder, listing?, known, names, false, |_| false);
            if survey.changes.iter().any(|change| is_unread(change, broken)) {
                unread.push(folder);
            }
        }
    }
    Ok(unread)
}

/// Whether its ticks, as they are now, are in no hour.
fn is_unread(change: &Change, broken: &FxHashSet<String>) -> bool {
    let is_another = matches!(change.kind, ChangeKind::New | ChangeKind::Replaced);
    let is_older = change.twin.as_ref().is_some_and(|twin| twin.is_newer);
    is_another && !is_older && !broken.contains(&*change.object.key)
}

/// The folders of a range; of a long one, those that there are.
async fn folders(source: &Source, template: &PrefixTemplate, hours: &Range<Hour>) -> Result<Vec<Folder>, Failure> {
    if Hour::each(hours.clone()).count() <= LONG_HOURS {
        return Ok(template.folders(hours.clone()));
    }
    let there = match source.store.folders(template.stem(), "", true).await {
        // Who may not list there is not told of them.
        Err(StoreError::Refused(_)) => return Ok(Vec::new()),
        there => BTreeSet::from_iter(there?),
    };
    let is_there = |hour: &Hour| there.contains(template.level(&template.prefix(*hour)));
    Ok(template.folders_of(Hour::each(hours.clone()).filter(is_there)))
}
