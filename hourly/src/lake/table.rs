//! `lake_objects`: which object of the lake holds which ticks.

use super::look::ObjectContents;
use crate::archive::Object;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::TransactionLock;
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::postgres::{PgRow, PgTransaction};
use sqlx::{Acquire, Row};
use std::ops::Range;

/// An hour that was computed, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub hour: Hour,
    /// When it was computed: again whenever its objects have changed.
    pub computed_at: Timestamp,
    pub ticks: u64,
    /// Some of its raw objects are no longer there.
    pub has_expired: bool,
    pub status: CompactionStatus,
}

/// Whether an hour can be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompactionStatus {
    /// It is not complete yet, or waits for being computed.
    Unready,
    /// Objects have expired whose ticks the lake does not have.
    Expired,
    /// Objects were deleted because the lake had their ticks, and nobody knows its own any more.
    Forgotten,
    /// Some ticks do not tell their offsets, so that nothing could tell whether the lake has each
    /// of them once.
    WithoutOffsets,
    /// Its objects were read by other flags about messages.
    ReadOtherwise,
    /// It was computed from another bucket.
    Elsewhere,
    Due,
}

impl CompactionStatus {
    /// Whether a person has to do something before the hour can be written.
    #[must_use]
    pub const fn is_to_be_mended(self) -> bool {
        matches!(self, Self::Forgotten | Self::ReadOtherwise | Self::Elsewhere)
    }
}

/// An object of the lake that is about to be shown to readers.
#[derive(Debug, Clone)]
pub(crate) struct LakeObject {
    pub key: String,
    pub source: String,
    pub size: u64,
    pub contents: ObjectContents,
}

const HOURS: &str = include_str!("../../sql/lake/hours.sql");

/// Description, for errors, of changing which objects count.
const WRITING: &str = "writing lake_objects to";

/// Which hours of a lake are asked for.
pub(crate) struct LakeHoursQuery<'a> {
    pub window: &'a Range<Hour>,
    /// How this run reads objects.
    pub decode_rules: &'a str,
    /// Prefix of the lake's keys.
    pub prefix: &'a str,
    /// The store's address, as messages name it.
    pub location: &'a str,
    /// Hours that the lake does not have as it should, whatever `lake_objects` says.
    pub anew: &'a [Hour],
    /// The hours, of those, of which it has lost ticks.
    pub damaged: &'a [Hour],
}

/// The computed hours that the lake does not have as they are, in order of time.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn hours(
    db: &mut BatchDb,
    asked: &LakeHoursQuery<'_>,
) -> Result<Vec<Candidate>, Failure> {
    let starts = |hours: &[Hour]| Timestamptz::all(hours.iter().map(|hour| hour.start()));
    let rows = pg::query(HOURS)
        .bind(Timestamptz(asked.window.start.start()))
        .bind(Timestamptz(asked.window.end.start()));
    let rows = rows.bind(asked.decode_rules).bind(asked.prefix).bind(starts(asked.anew));
    let rows = rows.bind(asked.location).bind(starts(asked.damaged));
    db.read_all("reading computed hours in", rows, candidate).await
}

/// An object that counts: it was compared, and is shown to readers.
#[derive(Debug, Clone)]
pub struct PublishedObject {
    pub key: String,
    pub source: String,
    pub hour: Hour,
    /// `batch_hours.computed_at` when the object was written.
    pub computed_at: Timestamp,
    pub etag: String,
    pub size: u64,
    /// Its contents when it was written.
    pub contents: ObjectContents,
}

/// The objects that count of some hours, whose keys begin so.
///
/// # Errors
/// Where the database fails.
pub async fn published_objects(
    db: &mut BatchDb,
    prefix: &str,
    hours: &Range<Hour>,
) -> Result<Vec<PublishedObject>, Failure> {
    let statement = pg::query(include_str!("../../sql/lake/published_objects.sql"))
        .bind(prefix)
        .bind(Timestamptz(hours.start.start()))
        .bind(Timestamptz(hours.end.start()));
    db.read_all("reading lake_objects in", statement, published_object_of).await
}

fn published_object_of(row: &PgRow) -> Result<PublishedObject, sqlx::Error> {
    Ok(PublishedObject {
        key: row.try_get("key")?,
        source: row.try_get("source")?,
        hour: Hour::from(row.try_get::<Timestamptz, _>("hour")?),
        computed_at: row.try_get::<Timestamptz, _>("computed_at")?.into(),
        etag: row.try_get("etag")?,
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        contents: ObjectContents {
            rows: row.try_get::<i64, _>("rows")?.cast_unsigned(),
            checksum: row.try_get::<i64, _>("checksum")?.cast_unsigned(),
            digest: row.try_get::<i64, _>("digest")?.cast_unsigned(),
        },
    })
}

/// Notes that what counts under a key was put there once more, and has the same ticks. `digest`: of
/// its bytes.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn note_copy(
    db: &mut BatchDb,
    key: &str,
    (object, digest): (&Object, u64),
) -> Result<(), Failure> {
    let update =
        pg::query("update lake_objects set (etag, size, digest) = ($2, $3, $4) where key = $1")
            .bind(key)
            .bind(&*object.etag)
            .bind(object.size.cast_signed())
            .bind(digest.cast_signed());
    db.write("lake_objects", update).await.map(drop)
}

/// Notes that hours were computed again from these objects: they are of what was computed then.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn note_computed(
    transaction: &mut PgTransaction<'_>,
    keys: &[String],
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/lake/note_computed.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await
        .map(drop)
}

/// Takes an hour that is no more out of the lake: its objects count no longer, and the next run of
/// `compact` deletes them.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn withdraw(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
) -> Result<(), sqlx::Error> {
    for statement in [
        "update lake_objects set state = 'superseded' where hour = $1 and state = 'verified'",
        "delete from lake_sources where hour = $1",
    ] {
        pg::query(statement)
            .bind(Timestamptz(hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
    }
    Ok(())
}

fn candidate(row: &PgRow) -> Result<Candidate, sqlx::Error> {
    let status = match row.try_get::<&str, _>("status")? {
        "unready" => CompactionStatus::Unready,
        "forgotten" => CompactionStatus::Forgotten,
        "expired" => CompactionStatus::Expired,
        "without_offsets" => CompactionStatus::WithoutOffsets,
        "otherwise" => CompactionStatus::ReadOtherwise,
        "elsewhere" => CompactionStatus::Elsewhere,
        _ => CompactionStatus::Due,
    };
    let hour = Hour::from(row.try_get::<Timestamptz, _>("hour")?);
    let ticks = row.try_get::<i64, _>("ticks")?.cast_unsigned();
    let Timestamptz(computed_at) = row.try_get("computed_at")?;
    let has_expired = row.try_get("has_expired")?;
    Ok(Candidate { hour, computed_at, ticks, has_expired, status })
}

/// Notes objects that are about to be shown, so that a run which is killed meanwhile leaves none
/// that nobody knows.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn announce(
    db: &mut BatchDb,
    candidate: &Candidate,
    run_id: i64,
    objects: &[LakeObject],
) -> Result<(), Failure> {
    db.transact(WRITING, TransactionLock::None, async |transaction| {
        for object in objects {
            insert(transaction, (candidate, run_id, "written"), object).await?;
        }
        Ok(())
    })
    .await
}

async fn insert(
    transaction: &mut PgTransaction<'_>,
    (candidate, run_id, state): (&Candidate, i64, &str),
    object: &LakeObject,
) -> Result<(), sqlx::Error> {
    pg::query(include_str!("../../sql/lake/insert.sql"))
        .bind(&object.key)
        .bind(&object.source)
        .bind(Timestamptz(candidate.hour.start()))
        .bind(Timestamptz(candidate.computed_at))
        .bind(object.size.cast_signed())
        .bind(object.contents.rows.cast_signed())
        .bind(object.contents.checksum.cast_signed())
        .bind(object.contents.digest.cast_signed())
        .bind(state)
        .bind(run_id)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// Lets the announced objects of an hour, each with its etag, count in the place of those before.
/// `replaceable` hold nothing else than they, and are to be deleted.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn switch(
    db: &mut BatchDb,
    (candidate, run_id, prefix): (&Candidate, i64, &str),
    etags: &[(String, String)],
    replaceable: &[LakeObject],
) -> Result<(), Failure> {
    db.transact(WRITING, TransactionLock::None, async |transaction| {
        pg::query(include_str!("../../sql/lake/supersede.sql"))
            .bind(Timestamptz(candidate.hour.start()))
            .bind(prefix)
            .execute(transaction.acquire().await?)
            .await?;
        for object in replaceable {
            insert(transaction, (candidate, run_id, "superseded"), object).await?;
        }
        for (key, etag) in etags {
            pg::query(include_str!("../../sql/lake/verify.sql"))
                .bind(key)
                .bind(etag)
                .bind(run_id)
                .execute(transaction.acquire().await?)
                .await?;
        }
        note_sources(transaction, candidate.hour, prefix).await
    })
    .await
}

/// Notes the raw objects that a lake has all ticks of an hour of. No other run changes the index
/// meanwhile.
async fn note_sources(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    prefix: &str,
) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from lake_sources where hour = $1 and prefix = $2",
        include_str!("../../sql/lake/note_sources.sql"),
    ] {
        pg::query(statement)
            .bind(Timestamptz(hour.start()))
            .bind(prefix)
            .execute(transaction.acquire().await?)
            .await?;
    }
    Ok(())
}

/// The keys of objects that no reader should see: those that were not shown to the end, and those
/// that others replace.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn leftovers(db: &mut BatchDb) -> Result<Vec<String>, Failure> {
    let statement =
        pg::query_scalar("select key from lake_objects where state <> 'verified' order by key");
    db.fetch_all("reading lake_objects in", statement).await
}

/// Forgets an object that is deleted.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn forget(db: &mut BatchDb, key: &str) -> Result<(), Failure> {
    let delete =
        pg::query("delete from lake_objects where key = $1 and state <> 'verified'").bind(key);
    db.write("lake_objects", delete).await.map(drop)
}
