//! `lake_objects`: which object of the lake holds which ticks.

use crate::hour::Hour;
use crate::index::Index;
use crate::lock;
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::in_time;
use sqlx::postgres::{PgRow, PgTransaction};
use sqlx::{Acquire, Row};
use std::ops::Range;

/// An hour that was computed, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub hour: Hour,
    /// When it was computed: again whenever its objects have changed.
    pub computed_at: Timestamp,
    pub ticks: u64,
    pub standing: Standing,
}

/// What is to be done with an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is not complete yet, or waits for being computed.
    Unready,
    /// Objects have expired whose ticks the lake does not have.
    Expired,
    /// Some ticks do not tell their offsets, so that nothing could tell whether the lake has each of them once.
    Placeless,
    /// Its objects were read by other flags about messages.
    ReadOtherwise,
    Due,
}

/// An object of the lake that is about to be shown to readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeObject {
    pub key: String,
    pub source: String,
    pub size: u64,
    pub rows: u64,
    /// Of all its ticks with their places.
    pub checksum: u64,
}

const HOURS: &str = "
    with lake as
        (select hour, max(computed_at) as computed_at, sum(rows) as rows
         from lake_objects
         where hour >= $1 and hour < $2 and state = 'verified'
         group by hour),
    uncovered as
        (select b.hour, b.ticks, b.computed_at, b.gone_objects
         from batch_hours b left join lake l using (hour)
         where b.hour >= $1 and b.hour < $2
           and l.computed_at is distinct from b.computed_at
           -- An hour whose objects have expired is in the lake with all of its ticks.
           and (b.gone_objects = 0 or l.rows is distinct from b.ticks))
    select u.hour, u.ticks, u.computed_at,
           case when exists (select from stale_hours s where s.hour = u.hour)
                  or exists (select from held_hours h where h.hour = u.hour)
                  or not exists (select from archive_hours a where a.hour = u.hour and a.status = 'complete')
                    then 'unready'
                when u.gone_objects > 0 or of_hour.objects = 0 then 'expired'
                when of_hour.is_placeless then 'placeless'
                when of_hour.is_read_otherwise then 'otherwise'
                else 'due' end as standing
    from uncovered u
         cross join lateral
             (select count(*) as objects, bool_or(o.placeless) as is_placeless, bool_or(o.format <> $3) as is_read_otherwise
              from archive_object_hours h join archive_objects o using (key)
              where h.hour = u.hour and not o.gone) as of_hour
    order by u.hour";

/// The computed hours of a window that the lake does not have as they are, in order of time. `format`: how this run reads objects.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn hours(index: &mut Index, window: &Range<Hour>, format: &str) -> Result<Vec<Candidate>, Failure> {
    let rows = pg::query(HOURS).bind(window.start.start()).bind(window.end.start()).bind(format);
    let rows = in_time(index.patience, rows.fetch_all(&mut index.connection)).await;
    let read: Result<Vec<_>, sqlx::Error> = rows.and_then(|rows| rows.iter().map(candidate).collect());
    read.map_err(|error| index.failed("reading computed hours in", error))
}

fn candidate(row: &PgRow) -> Result<Candidate, sqlx::Error> {
    let standing = match row.try_get::<&str, _>("standing")? {
        "unready" => Standing::Unready,
        "expired" => Standing::Expired,
        "placeless" => Standing::Placeless,
        "otherwise" => Standing::ReadOtherwise,
        _ => Standing::Due,
    };
    let hour = Hour::of(row.try_get::<Timestamp, _>("hour")?);
    let ticks = row.try_get::<i64, _>("ticks")?.cast_unsigned();
    Ok(Candidate { hour, computed_at: row.try_get("computed_at")?, ticks, standing })
}

/// Notes objects that are about to be shown, so that a run which is killed meanwhile leaves none that nobody knows.
pub async fn announce(
    index: &mut Index,
    candidate: &Candidate,
    run_id: i64,
    objects: &[LakeObject],
) -> Result<(), Failure> {
    let token = index.lock.clone();
    let noted = async {
        let mut transaction = lock::begin(&mut index.connection, token.as_ref()).await?;
        for object in objects {
            insert(&mut transaction, candidate, run_id, object).await?;
        }
        lock::commit(transaction, token.as_ref()).await
    };
    in_time(index.patience, noted).await.map_err(|error| index.failed("writing lake_objects to", error))
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    candidate: &Candidate,
    run_id: i64,
    object: &LakeObject,
) -> Result<(), sqlx::Error> {
    pg::query(
        "insert into lake_objects (key, source, hour, computed_at, size, rows, checksum, state, run_id)
         values ($1, $2, $3, $4, $5, $6, $7, 'written', $8)",
    )
    .bind(&object.key)
    .bind(&object.source)
    .bind(candidate.hour.start())
    .bind(candidate.computed_at)
    .bind(object.size.cast_signed())
    .bind(object.rows.cast_signed())
    .bind(object.checksum.cast_signed())
    .bind(run_id)
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

/// Lets the announced objects of an hour, each with its etag, count in the place of those before.
pub async fn switch(index: &mut Index, hour: Hour, run_id: i64, etags: &[(String, String)]) -> Result<(), Failure> {
    let token = index.lock.clone();
    let switched = async {
        let mut transaction = lock::begin(&mut index.connection, token.as_ref()).await?;
        pg::query("update lake_objects set state = 'superseded' where hour = $1 and state = 'verified'")
            .bind(hour.start())
            .execute(transaction.acquire().await?)
            .await?;
        for (key, etag) in etags {
            pg::query(
                "update lake_objects set (state, etag, verified_at) = ('verified', $2, now())
                 where key = $1 and run_id = $3",
            )
            .bind(key)
            .bind(etag)
            .bind(run_id)
            .execute(transaction.acquire().await?)
            .await?;
        }
        lock::commit(transaction, token.as_ref()).await
    };
    in_time(index.patience, switched).await.map_err(|error| index.failed("writing lake_objects to", error))
}

/// The keys of objects that no reader should see: those that were not shown to the end, and those that others replace.
pub async fn leftovers(index: &mut Index) -> Result<Vec<String>, Failure> {
    let keys = pg::query_scalar("select key from lake_objects where state <> 'verified' order by key")
        .fetch_all(&mut index.connection);
    in_time(index.patience, keys).await.map_err(|error| index.failed("reading lake_objects in", error))
}

/// Forgets an object that is deleted.
pub async fn forget(index: &mut Index, key: &str) -> Result<(), Failure> {
    let delete = pg::query("delete from lake_objects where key = $1 and state <> 'verified'").bind(key);
    index.write("lake_objects", delete).await.map(drop)
}
