//! Changes of the index. Each is one transaction that also notes which hours became stale by it.

use super::batch_db::{BatchDb, Statement};
use super::broken;
use super::newest::{self, NewestPlaces};
use super::object::Fingerprints;
use super::snapshot::IndexSnapshot;
use crate::archive::Object;
use crate::hour::Hour;
use crate::lock::TransactionLock;
use crate::scan::RejectedLine;
use common::Timestamp;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Acquire;
use sqlx::postgres::PgTransaction;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// An object that has been read.
#[derive(Debug)]
pub struct IndexedObject {
    pub object: Object,
    /// The prefix of the listing that showed it.
    pub folder: Arc<str>,
    /// Whether that folder belongs to the run's window.
    pub wanted: bool,
    pub lines: u64,
    pub rejected: u64,
    pub rejects: Vec<RejectedLine>,
    pub hours: Vec<IndexedHour>,
    /// Some of its ticks do not tell their offset.
    pub lacks_offsets: bool,
    /// How it was read.
    pub decode_rules: Arc<str>,
    /// The keys of objects that it counts in the place of, though they still lie there. It takes
    /// the place of the last, unless it is known itself.
    pub instead_of: Vec<Arc<str>>,
    /// How far it goes.
    pub newest: NewestPlaces,
}

/// What an object holds of an hour.
#[derive(Debug, Clone)]
pub struct IndexedHour {
    pub hour: Hour,
    pub ticks: u64,
    /// Ticks without an offset.
    pub without_offsets: u64,
    /// The times of the first and of the last of them.
    pub span: RangeInclusive<Timestamp>,
    pub fingerprints: Fingerprints,
    /// Its places as bytes, unless these are many.
    pub offsets: Option<Vec<u8>>,
}

/// What is being done where several tables of the index change.
const WRITING: &str = "writing the index in";

impl BatchDb {
    /// Replaces what is known of some objects.
    pub async fn store(&mut self, entries: &[IndexedObject]) -> Result<(), Failure> {
        self.transact(WRITING, TransactionLock::Index, async |transaction| {
            store(transaction, entries).await
        })
        .await
    }

    /// Forgets objects that are gone from the archive; hours whose sums they are in keep their
    /// ticks. Of those that were stored after `kept_since` it is noted that they were deleted.
    pub async fn remove(
        &mut self,
        keys: &[String],
        kept_since: Timestamp,
    ) -> Result<Removed, Failure> {
        if keys.is_empty() {
            return Ok(Removed { kept_hours: 0, lost_hours: 0, deleted: 0, covered: 0 });
        }
        self.transact(WRITING, TransactionLock::Index, async |transaction| {
            remove(transaction, keys, kept_since).await
        })
        .await
    }

    /// Forgets an object in whose place another one of its name counts, though it is there: what
    /// sums have of it is to be taken out.
    pub async fn take_back(&mut self, key: &str) -> Result<(), Failure> {
        self.transact(WRITING, TransactionLock::Index, async |transaction| {
            take_back(transaction, &[key]).await
        })
        .await
    }

    /// Notes that objects have other keys now, each as (old, new).
    pub async fn rename(&mut self, renamed: &[(String, String)]) -> Result<(), Failure> {
        if renamed.is_empty() {
            return Ok(());
        }
        self.write("archive_objects", rename(renamed.iter().map(|(old, new)| (&**old, &**new))))
            .await
            .map(drop)
    }

    /// Notes that objects which were gone are back as they were. What was not in any sums yet is to
    /// be computed.
    pub async fn restore(&mut self, keys: &[String], wanted: bool) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        self.transact(WRITING, TransactionLock::Index, async |transaction| {
            restore(transaction, keys, wanted).await
        })
        .await
    }

    /// Notes that hours of a range are to be computed from what is left of their objects.
    pub async fn mark_shrunk(&mut self, hours: &Range<Hour>) -> Result<(), Failure> {
        let mark = pg::query(include_str!("../../sql/index/mark_shrunk.sql"))
            .bind(Timestamptz(hours.start.start()))
            .bind(Timestamptz(hours.end.start()));
        self.write("stale_hours", mark).await.map(drop)
    }

    /// Notes that every hour of a range of which anything is known is to be computed, changed or
    /// not, but for some.
    pub async fn mark_all(
        &mut self,
        hours: &Range<Hour>,
        except: &BTreeSet<Hour>,
    ) -> Result<(), Failure> {
        let mark = pg::query(include_str!("../../sql/index/mark_all.sql"))
            .bind(Timestamptz(hours.start.start()))
            .bind(Timestamptz(hours.end.start()))
            .bind(Timestamptz::all(except.range(hours.clone()).map(|hour| hour.start())));
        self.write("stale_hours", mark).await.map(drop)
    }

    /// Notes that those of some hours that are stale must not wait for a window to cover them.
    pub async fn mark_wanted(&mut self, hours: &BTreeSet<Hour>) -> Result<(), Failure> {
        if hours.is_empty() {
            return Ok(());
        }
        let mark = pg::query(include_str!("../../sql/index/mark_wanted.sql"))
            .bind(Timestamptz::all(hours.iter().map(|hour| hour.start())));
        self.write("stale_hours", mark).await.map(drop)
    }

    /// Notes that a stale hour is not stale any more, although it was not computed; not where it
    /// has changed since it was seen. `read_as`: the decode rules by which all of its objects hold
    /// what its sums have of them, if that is known.
    pub async fn unmark_stale(
        &mut self,
        hour: Hour,
        snapshot: &IndexSnapshot,
        read_as: Option<&str>,
    ) -> Result<(), Failure> {
        self.transact("writing stale_hours in", TransactionLock::Index, async |transaction| {
            unmark_stale(transaction, (hour, snapshot), read_as).await
        })
        .await
    }
}

async fn unmark_stale(
    transaction: &mut PgTransaction<'_>,
    (hour, snapshot): (Hour, &IndexSnapshot),
    read_as: Option<&str>,
) -> Result<(), sqlx::Error> {
    if snapshot.is_current(transaction, hour).await? {
        if let Some(read_as) = read_as {
            pg::query(include_str!("../../sql/index/adopt_rules.sql"))
                .bind(Timestamptz(hour.start()))
                .bind(read_as)
                .execute(transaction.acquire().await?)
                .await?;
        }
        not_stale(transaction, hour).await?;
        forget_emptied(transaction, hour).await?;
    }
    Ok(())
}

/// An hour is as its objects are, or is none any more.
///
/// # Errors
/// Where the database fails.
pub async fn not_stale(transaction: &mut PgTransaction<'_>, hour: Hour) -> Result<(), sqlx::Error> {
    let delete =
        pg::query("delete from stale_hours where hour = $1").bind(Timestamptz(hour.start()));
    delete.execute(transaction.acquire().await?).await.map(drop)
}

/// Forgets which objects hold nothing of an hour any more: its sums are as they are to be.
///
/// # Errors
/// Where the database fails.
pub async fn forget_emptied(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
) -> Result<(), sqlx::Error> {
    let delete = pg::query(include_str!("../../sql/index/forget_emptied.sql"))
        .bind(Timestamptz(hour.start()));
    delete.execute(transaction.acquire().await?).await.map(drop)
}

/// What became of the hours of objects that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    pub kept_hours: u64,
    pub lost_hours: u64,
    /// Objects of the kept hours that did not expire.
    pub deleted: u64,
    /// Objects that were deleted because the lake has them.
    pub covered: u64,
}

async fn store(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
) -> Result<(), sqlx::Error> {
    let replacing =
        entries.iter().filter_map(|entry| Some((&**entry.instead_of.last()?, &*entry.object.key)));
    rename(replacing).execute(transaction.acquire().await?).await?;
    let older = entries.iter().flat_map(|entry| &entry.instead_of);
    take_back(transaction, &older.map(|key| &**key).collect::<Vec<_>>()).await?;
    let summed = read_summed(transaction, entries).await?;
    withdraw(transaction, entries, &summed).await?;
    insert_objects(transaction, entries).await?;
    insert_hours(transaction, entries, &summed).await?;
    insert_emptied(transaction, &summed).await?;
    forget_deleted(transaction, &keys_of(entries)).await?;
    if !summed.is_empty() {
        mark_kept(transaction, &keys_of(entries)).await?;
    }
    insert_rejects(transaction, entries).await?;
    newest::note(transaction, entries.iter().map(|entry| &entry.newest)).await?;
    forget_covered(transaction, &keys_of(entries)).await
}

/// Forgets objects that are there; the hours whose sums have something of them become stale.
async fn take_back(transaction: &mut PgTransaction<'_>, keys: &[&str]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    pg::query(include_str!("../../sql/index/mark_taken_back.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    uncount_gone(transaction, keys).await?;
    forget_objects(transaction, keys).await
}

/// Forgets objects with all that is known of them.
async fn forget_objects(
    transaction: &mut PgTransaction<'_>,
    keys: &[&str],
) -> Result<(), sqlx::Error> {
    let delete = pg::query("delete from archive_objects where key = any ($1)").bind(keys);
    delete.execute(transaction.acquire().await?).await.map(drop)
}

/// Gives objects other keys, each as (old, new), unless these are known.
fn rename<'k>(renamed: impl Iterator<Item = (&'k str, &'k str)>) -> Statement<'k> {
    let (old, new): (Vec<&str>, Vec<&str>) = renamed.unzip();
    let statement = include_str!("../../sql/index/rename.sql");
    pg::query(statement).bind(old).bind(new)
}

fn keys_of(entries: &[IndexedObject]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.object.key).collect()
}

fn decode_rules_of(entries: &[IndexedObject]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.decode_rules).collect()
}

fn etags(entries: &[IndexedObject]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.object.etag).collect()
}

/// What is known of the versions that are in sums, by object and hour.
type Summed = FxHashMap<(String, Hour), Version>;

#[derive(Debug, Clone, Copy)]
struct Version {
    content_hash: i64,
    offsets_hash: i64,
    ticks: i64,
    /// How many of them carry no offset.
    without_offsets: i64,
    /// The content hash of the version that was taken in. Of known records the sums may keep the
    /// values of an earlier one.
    taken_in: i64,
}

/// The versions of some objects that are in sums.
async fn read_summed(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
) -> Result<Summed, sqlx::Error> {
    let rows: Vec<(String, Timestamptz, i64, i64, i64, i64, i64)> =
        pg::query_as(include_str!("../../sql/index/summed.sql"))
            .bind(keys_of(entries))
            .fetch_all(transaction.acquire().await?)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(key, hour, content_hash, offsets_hash, ticks, without_offsets, taken_in)| {
            (
                (key, Hour::from(hour)),
                Version { content_hash, offsets_hash, ticks, without_offsets, taken_in },
            )
        })
        .collect())
}

/// Deletes earlier versions of the objects; the hours that those touched become stale, but for
/// those that they hold the same of.
async fn withdraw(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
    summed: &Summed,
) -> Result<(), sqlx::Error> {
    let holdings = entries.iter().flat_map(|entry| entry.hours.iter().map(move |of| (entry, of)));
    let same = holdings.filter(|(entry, of)| is_same(summed, entry, of).1);
    let (same_keys, same_hours): (Vec<&str>, Vec<Timestamptz>) =
        same.map(|(entry, of)| (&*entry.object.key, Timestamptz(of.hour.start()))).unzip();
    pg::query(include_str!("../../sql/index/mark_withdrawn.sql"))
        .bind(keys_of(entries))
        .bind(etags(entries))
        .bind(decode_rules_of(entries))
        .bind(same_keys)
        .bind(same_hours)
        .execute(transaction.acquire().await?)
        .await?;
    let keys = keys_of(entries);
    uncount_gone(transaction, &keys).await?;
    forget_objects(transaction, &keys).await?;
    broken::delete_broken(&keys).execute(transaction.acquire().await?).await.map(drop)
}

async fn insert_objects(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
) -> Result<(), sqlx::Error> {
    let texts = |of: fn(&IndexedObject) -> &str| entries.iter().map(of).collect::<Vec<_>>();
    let numbers = |of: fn(&IndexedObject) -> u64| {
        entries.iter().map(|entry| of(entry).cast_signed()).collect::<Vec<_>>()
    };
    let modified =
        |entry: &IndexedObject| entry.object.last_modified.unwrap_or_else(Timestamp::now);
    let modified = Timestamptz::all(entries.iter().map(modified));
    pg::query(include_str!("../../sql/index/insert_objects.sql"))
        .bind(texts(|entry| &entry.object.key))
        .bind(texts(|entry| &entry.folder))
        .bind(texts(|entry| &entry.object.etag))
        .bind(numbers(|entry| entry.object.size))
        .bind(modified)
        .bind(numbers(|entry| entry.lines))
        .bind(numbers(|entry| entry.rejected))
        .bind(texts(|entry| &entry.decode_rules))
        .bind(entries.iter().map(|entry| entry.lacks_offsets).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn insert_hours(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
    summed: &Summed,
) -> Result<(), sqlx::Error> {
    let (mut hours, mut keys, mut ticks, mut wanted) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut known, mut content_hashes, mut offsets_hashes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut before, mut offsets_hashes_before, mut ticks_before, mut without_offsets_before) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let (mut offsets, mut without_offsets) = (Vec::new(), Vec::new());
    for entry in entries {
        for indexed in &entry.hours {
            first.push(Timestamptz(*indexed.span.start()));
            last.push(Timestamptz(*indexed.span.end()));
            hours.push(Timestamptz(indexed.hour.start()));
            keys.push(&*entry.object.key);
            ticks.push(indexed.ticks.cast_signed());
            content_hashes.push(indexed.fingerprints.content.cast_signed());
            offsets_hashes.push(indexed.fingerprints.offsets.cast_signed());
            wanted.push(entry.wanted);
            let (in_sums, is_same) = is_same(summed, entry, indexed);
            before.push(in_sums.map(|of| of.content_hash));
            offsets_hashes_before.push(in_sums.map(|of| of.offsets_hash));
            ticks_before.push(in_sums.map(|of| of.ticks));
            without_offsets_before.push(in_sums.map(|of| of.without_offsets));
            without_offsets.push(indexed.without_offsets.cast_signed());
            offsets.push(indexed.offsets.as_deref().filter(|_| in_sums.is_none()));
            known.push(is_same);
        }
    }
    pg::query(include_str!("../../sql/index/insert_hours.sql"))
        .bind(&hours)
        .bind(&keys)
        .bind(&ticks)
        .bind(&content_hashes)
        .bind(&offsets_hashes)
        .bind(&known)
        .bind(&before)
        .bind(&offsets_hashes_before)
        .bind(&ticks_before)
        .bind(&without_offsets_before)
        .bind(&first)
        .bind(&last)
        .bind(&offsets)
        .bind(&without_offsets)
        .execute(transaction.acquire().await?)
        .await?;
    pg::query(include_str!("../../sql/index/mark_touched.sql"))
        .bind(&hours)
        .bind(&wanted)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// Notes of which hours sums have an earlier version of an object that holds nothing of them now.
async fn insert_emptied(
    transaction: &mut PgTransaction<'_>,
    summed: &Summed,
) -> Result<(), sqlx::Error> {
    if summed.is_empty() {
        return Ok(());
    }
    let (mut keys, mut hours) = (Vec::new(), Vec::new());
    let (mut content_hashes, mut offsets_hashes) = (Vec::new(), Vec::new());
    let (mut ticks, mut without_offsets) = (Vec::new(), Vec::new());
    for ((key, hour), of) in summed {
        keys.push(&**key);
        hours.push(Timestamptz(hour.start()));
        content_hashes.push(of.content_hash);
        offsets_hashes.push(of.offsets_hash);
        ticks.push(of.ticks);
        without_offsets.push(of.without_offsets);
    }
    pg::query(include_str!("../../sql/index/insert_emptied.sql"))
        .bind(keys)
        .bind(hours)
        .bind(content_hashes)
        .bind(offsets_hashes)
        .bind(ticks)
        .bind(without_offsets)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// What of an object is in an hour's sums, if anything is, and whether it is what the object holds
/// now.
fn is_same(
    summed: &Summed,
    entry: &IndexedObject,
    indexed: &IndexedHour,
) -> (Option<Version>, bool) {
    if summed.is_empty() {
        return (None, false);
    }
    let before = summed.get(&(entry.object.key.to_string(), indexed.hour)).copied();
    let content = indexed.fingerprints.content.cast_signed();
    (before, before.is_some_and(|of| [of.content_hash, of.taken_in].contains(&content)))
}

async fn insert_rejects(
    transaction: &mut PgTransaction<'_>,
    entries: &[IndexedObject],
) -> Result<(), sqlx::Error> {
    let rejects = || {
        entries
            .iter()
            .flat_map(|entry| entry.rejects.iter().map(|reject| (&*entry.object.key, reject)))
    };
    if rejects().next().is_none() {
        return Ok(());
    }
    // Values that share a line and an index are counted, and one of them is kept.
    pg::query(include_str!("../../sql/index/insert_rejects.sql"))
        .bind(rejects().map(|(key, _)| key).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.number.cast_signed()).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.element.cast_signed()).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.reject.reason.as_str()).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.reject.detail.as_str()).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.value.as_slice()).collect::<Vec<_>>())
        .bind(rejects().map(|(_, line)| line.value_bytes.cast_signed()).collect::<Vec<_>>())
        .bind(
            rejects()
                .map(|(_, line)| line.kafka_position.map(|position| position.partition))
                .collect::<Vec<_>>(),
        )
        .bind(
            rejects()
                .map(|(_, line)| line.kafka_position.map(|position| position.offset))
                .collect::<Vec<_>>(),
        )
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn remove(
    transaction: &mut PgTransaction<'_>,
    keys: &[String],
    kept_since: Timestamp,
) -> Result<Removed, sqlx::Error> {
    let deleted = note_deleted(transaction, keys, kept_since).await?;
    let kept = pg::query(include_str!("../../sql/index/count_gone.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    let covered = pg::query(include_str!("../../sql/index/note_covered_gone.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    let lost: i64 = pg::query_scalar(include_str!("../../sql/index/lost_hours.sql"))
        .bind(keys)
        .fetch_one(transaction.acquire().await?)
        .await?;
    pg::query(include_str!("../../sql/index/keep_gone.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    pg::query("delete from archive_objects where key = any ($1) and not gone")
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    broken::delete_broken(keys).execute(transaction.acquire().await?).await?;
    let covered = covered.rows_affected();
    Ok(Removed {
        kept_hours: kept.rows_affected(),
        lost_hours: lost.cast_unsigned(),
        deleted,
        covered,
    })
}

/// Gives how many of the objects were deleted.
async fn note_deleted(
    transaction: &mut PgTransaction<'_>,
    keys: &[String],
    kept_since: Timestamp,
) -> Result<u64, sqlx::Error> {
    let deleted: i64 = pg::query_scalar(include_str!("../../sql/index/note_deleted.sql"))
        .bind(keys)
        .bind(Timestamptz(kept_since))
        .fetch_one(transaction.acquire().await?)
        .await?;
    Ok(deleted.cast_unsigned())
}

/// Objects that were deleted are there again, with what sums have of them. Where they are not as
/// they were, the hours are computed again, and forget it then.
async fn forget_deleted<K>(
    transaction: &mut PgTransaction<'_>,
    keys: &[K],
) -> Result<(), sqlx::Error>
where
    for<'q> &'q [K]: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let delete = pg::query(include_str!("../../sql/index/forget_deleted.sql")).bind(keys);
    delete.execute(transaction.acquire().await?).await.map(drop)
}

/// Objects that were deleted because the lake has their ticks are there again, with all of these.
/// If one came again with fewer, as a sink writes an object by its first part, the lake still has
/// the others.
async fn forget_covered<K>(
    transaction: &mut PgTransaction<'_>,
    keys: &[K],
) -> Result<(), sqlx::Error>
where
    for<'q> &'q [K]: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let delete = pg::query(include_str!("../../sql/index/forget_covered.sql"));
    delete.bind(keys).execute(transaction.acquire().await?).await.map(drop)
}

async fn restore(
    transaction: &mut PgTransaction<'_>,
    keys: &[String],
    wanted: bool,
) -> Result<(), sqlx::Error> {
    uncount_gone(transaction, keys).await?;
    pg::query("update archive_objects set gone = false where key = any ($1)")
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    forget_deleted(transaction, keys).await?;
    forget_covered(transaction, keys).await?;
    pg::query(include_str!("../../sql/index/mark_restored.sql"))
        .bind(keys)
        .bind(wanted)
        .execute(transaction.acquire().await?)
        .await?;
    mark_kept(transaction, keys).await
}

/// Where objects come again and none of an hour's is gone any more, what others told of known
/// records meanwhile can be taken in.
async fn mark_kept<K>(transaction: &mut PgTransaction<'_>, keys: &[K]) -> Result<(), sqlx::Error>
where
    for<'q> &'q [K]: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let mark = pg::query(include_str!("../../sql/index/mark_kept.sql")).bind(keys);
    mark.execute(transaction.acquire().await?).await.map(drop)
}

/// Objects that come again no longer count as gone from their hours.
async fn uncount_gone<K>(transaction: &mut PgTransaction<'_>, keys: &[K]) -> Result<(), sqlx::Error>
where
    for<'q> &'q [K]: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    pg::query(include_str!("../../sql/index/uncount_gone.sql"))
        .bind(keys)
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}
