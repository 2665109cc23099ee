//! `covered_objects`: raw objects that were deleted because the lake has each of their ticks.

use crate::archive::Object;
use crate::hour::Hour;
use crate::index::BatchDb;
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::postgres::{PgRow, PgTransaction};
use sqlx::{Acquire, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A raw object, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct RawObject {
    pub object: Object,
    /// Ticks of all hours.
    pub ticks: u64,
    pub hours: BTreeSet<Hour>,
    /// Lines, and parts of lines, that are no ticks.
    pub rejected: u64,
    /// Some of its ticks have no offset.
    pub lacks_offsets: bool,
    /// By which flags about messages, and which version of this program, it was read.
    pub decode_rules: String,
    /// It could not be read last.
    pub is_broken: bool,
    /// All of its ticks are in summaries.
    pub is_merged: bool,
}

/// Which hours are asked for.
pub(crate) struct CoverQuery<'a> {
    pub window: &'a Range<Hour>,
    /// Prefix of the lake's keys.
    pub prefix: &'a str,
    pub location: &'a str,
    /// Objects of the lake that this run has written are compared by a later one.
    pub run_id: i64,
    /// How this run reads objects.
    pub decode_rules: &'a str,
}

/// The hours of which raw objects are there, each with why the lake does not stand for them;
/// `None`: it does.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn cover_status(
    db: &mut BatchDb,
    asked: &CoverQuery<'_>,
) -> Result<BTreeMap<Hour, Option<String>>, Failure> {
    let statement = pg::query(include_str!("../../sql/lake/cover_status.sql"))
        .bind(Timestamptz(asked.window.start.start()))
        .bind(Timestamptz(asked.window.end.start()))
        .bind(asked.prefix)
        .bind(asked.location)
        .bind(asked.run_id)
        .bind(asked.decode_rules);
    let of = |row: &PgRow| {
        Ok((Hour::from(row.try_get::<Timestamptz, _>("hour")?), row.try_get("lack")?))
    };
    let hours = db.read_all("reading computed hours in", statement, of).await?;
    Ok(hours.into_iter().collect())
}

/// The raw objects that have ticks of an hour, by key.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn raw(db: &mut BatchDb, hour: Hour) -> Result<Vec<RawObject>, Failure> {
    let statement =
        pg::query(include_str!("../../sql/lake/raw.sql")).bind(Timestamptz(hour.start()));
    db.read_all("reading the index in", statement, raw_of).await
}

fn raw_of(row: &PgRow) -> Result<RawObject, sqlx::Error> {
    let hours: Vec<Timestamptz> = row.try_get("hours")?;
    Ok(RawObject {
        object: Object {
            key: row.try_get::<&str, _>("key")?.into(),
            etag: row.try_get("etag")?,
            size: row.try_get::<i64, _>("size")?.cast_unsigned(),
            last_modified: row
                .try_get::<Option<Timestamptz>, _>("last_modified")?
                .map(Timestamp::from),
        },
        ticks: row.try_get::<i64, _>("ticks")?.cast_unsigned(),
        hours: hours.into_iter().map(Hour::from).collect(),
        rejected: row.try_get::<i64, _>("rejected_lines")?.cast_unsigned(),
        lacks_offsets: row.try_get("lacks_offsets")?,
        decode_rules: row.try_get("decode_rules")?,
        is_broken: row.try_get("is_broken")?,
        is_merged: row.try_get("is_merged")?,
    })
}

/// Notes objects that are about to be deleted, so that a run which is killed meanwhile leaves none
/// of which nobody knows why it is gone. `lake`: what was compared with them.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn announce(
    db: &mut BatchDb,
    run_id: i64,
    some: &[&RawObject],
    lake: &BTreeMap<Hour, Vec<String>>,
) -> Result<(), Failure> {
    for RawObject { object, ticks, hours, .. } in some.iter().copied() {
        let keys: Vec<&str> =
            hours.iter().filter_map(|hour| lake.get(hour)).flatten().map(String::as_str).collect();
        let insert = pg::query(include_str!("../../sql/lake/announce_covered.sql"))
            .bind(&*object.key)
            .bind(&*object.etag)
            .bind(object.size.cast_signed())
            .bind(ticks.cast_signed())
            .bind(Timestamptz::all(hours.iter().map(|hour| hour.start())))
            .bind(keys)
            .bind(run_id);
        db.write("covered_objects", insert).await?;
    }
    Ok(())
}

/// Forgets that objects were about to be deleted. The lake goes on standing for what was deleted
/// under their keys before.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn retract(db: &mut BatchDb, keys: &[String]) -> Result<(), Failure> {
    let delete =
        pg::query("delete from covered_objects where key = any ($1) and deleted_at is null")
            .bind(keys);
    db.write("covered_objects", delete).await?;
    let update = pg::query(include_str!("../../sql/lake/retract_covered.sql")).bind(keys);
    db.write("covered_objects", update).await.map(drop)
}

/// The keys of objects that were about to be deleted when a run ended, each with whether that run
/// may still be frozen, and delete it when it wakes up.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn announced(db: &mut BatchDb) -> Result<Vec<(String, bool)>, Failure> {
    let statement = pg::query_as(include_str!("../../sql/lake/undeleted.sql"));
    db.fetch_all("reading covered_objects in", statement).await
}

/// Notes of objects that the index does not know any more that they are deleted.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn note_deleted(db: &mut BatchDb, keys: &[String]) -> Result<(), Failure> {
    let update = pg::query(include_str!("../../sql/lake/note_deleted.sql")).bind(keys);
    db.write("covered_objects", update).await.map(drop)
}

/// The hours of a range that lack raw objects for that reason.
///
/// # Errors
/// Where the database fails.
pub async fn hours(db: &mut BatchDb, range: &Range<Hour>) -> Result<BTreeSet<Hour>, Failure> {
    let statement = pg::query_scalar(include_str!("../../sql/lake/covered_hours.sql"))
        .bind(Timestamptz(range.start.start()))
        .bind(Timestamptz(range.end.start()));
    let hours: Vec<Timestamptz> = db.fetch_all("reading covered_objects in", statement).await?;
    Ok(hours.into_iter().map(Hour::from).collect())
}

/// The keys of the objects that those hours of a range lack for that reason, each with whether it
/// is known to be deleted: another one is about to be.
///
/// # Errors
/// Where the database fails.
pub async fn keys(
    db: &mut BatchDb,
    range: &Range<Hour>,
) -> Result<BTreeMap<Hour, BTreeMap<String, bool>>, Failure> {
    let statement = pg::query_as(include_str!("../../sql/lake/covered_objects.sql"))
        .bind(Timestamptz(range.start.start()))
        .bind(Timestamptz(range.end.start()));
    let rows: Vec<(Timestamptz, String, bool)> =
        db.fetch_all("reading covered_objects in", statement).await?;
    let mut keys: BTreeMap<Hour, BTreeMap<String, bool>> = BTreeMap::new();
    for (hour, key, is_deleted) in rows {
        keys.entry(Hour::from(hour)).or_default().insert(key, is_deleted);
    }
    Ok(keys)
}

/// An hour was computed from objects that are there, and lacks none of its records: nothing of it
/// is in the lake alone.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn release(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
) -> Result<(), sqlx::Error> {
    for statement in [
        include_str!("../../sql/lake/uncover.sql"),
        "delete from covered_objects where hours = '{}' and $1::timestamptz is not null",
    ] {
        pg::query(statement)
            .bind(Timestamptz(hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
    }
    Ok(())
}
