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
    /// Of the objects that it was computed from, and of what they hold of it.
    pub fingerprint: String,
    pub ticks: u64,
    pub standing: Standing,
}

/// What is to be done with an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The lake has it as it is.
    Covered,
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

const HOURS: &str = r#"
    with objects as
        (select o.hour, md5(string_agg(concat_ws(' ', o.key, o.fingerprint, o.places), E'\n' order by o.key)) as fingerprint,
                bool_or(a.placeless) as is_placeless, bool_or(a.format <> $3) as is_read_otherwise
         from archive_object_hours o join archive_objects a using (key)
         where o.hour >= $1 and o.hour < $2 and not a.gone
         group by o.hour),
    lake as
        (select hour, max(fingerprint) as fingerprint, sum(rows) as rows
         from lake_objects
         where hour >= $1 and hour < $2 and state = 'verified'
         group by hour)
    select b.hour, coalesce(o.fingerprint, '') as fingerprint, b.ticks,
           case when l.fingerprint = o.fingerprint then 'covered'
                when b.gone_objects > 0 and l.rows = b.ticks then 'covered'
                when s.hour is not null or h.hour is not null or a.status is distinct from 'complete' then 'unready'
                when b.gone_objects > 0 or o.hour is null then 'expired'
                when o.is_placeless then 'placeless'
                when o.is_read_otherwise then 'otherwise'
                else 'due' end as standing
    from batch_hours b
         left join objects o using (hour)
         left join lake l using (hour)
         left join stale_hours s using (hour)
         left join (select distinct hour from held_hours) h using (hour)
         left join archive_hours a using (hour)
    where b.hour >= $1 and b.hour < $2
    order by b.hour"#;

/// The computed hours of a window, in order of time. `format`: how this run reads objects.
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
        "covered" => Standing::Covered,
        "unready" => Standing::Unready,
        "expired" => Standing::Expired,
        "placeless" => Standing::Placeless,
        "otherwise" => Standing::ReadOtherwise,
        _ => Standing::Due,
    };
    let hour = Hour::of(row.try_get::<Timestamp, _>("hour")?);
    let ticks = row.try_get::<i64, _>("ticks")?.cast_unsigned();
    Ok(Candidate { hour, fingerprint: row.try_get("fingerprint")?, ticks, standing })
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
        "insert into lake_objects (key, source, hour, fingerprint, size, rows, checksum, state, run_id)
         values ($1, $2, $3, $4, $5, $6, $7, 'written', $8)",
    )
    .bind(&object.key)
    .bind(&object.source)
    .bind(candidate.hour.start())
    .bind(&candidate.fingerprint)
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
