//! The index of the archive in PostgreSQL: which objects were read, which hours they touch, and
//! which hours are stale.

mod batch_db;
mod broken;
mod lines;
mod newest;
mod object;
mod snapshot;
mod write;

pub use batch_db::{BatchDb, each_row};
pub use broken::BrokenSummary;
pub use lines::{CommonReject, FolderLines};
pub use newest::{NewestPlaces, newest_of};
pub use object::{
    DeletedUnsummed, Fingerprints, InSums, Indexed, KnownElsewhere, KnownObject, KnownObjects,
    ObjectWithoutOffsets,
};
pub use snapshot::IndexSnapshot;
pub use write::{IndexedHour, IndexedObject, forget_emptied, not_stale};

use crate::archive::{Folder, Object};
use crate::hour::Hour;
use crate::scan::{HourBars, Offsets};
use crate::state;
use common::Timestamp;
use futures::TryStreamExt;
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::QueryAs;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A query that returns (hour, number) rows.
type HourCountQuery<'q> = pg::Statement<QueryAs<'q, Postgres, (Timestamptz, i64), PgArguments>>;

/// A stale hour that a run must see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    pub hour: Hour,
    /// An object that is in its sums was replaced.
    pub is_replaced: bool,
    /// An object that is in its sums was read again by other rules.
    pub is_reread: bool,
}

/// An hour as it was computed last.
#[derive(Debug)]
pub struct Computed {
    pub location: String,
    /// Objects in its sums that are no longer in the archive.
    pub gone_objects: u32,
    /// How many there are in its sums, with those.
    pub objects: u64,
    pub ticks: u64,
    /// Ticks of those objects that carry no offset.
    pub gone_without_offsets: u64,
    /// Present objects whose current version has no ticks of the hour, though the sums contain an
    /// earlier version.
    pub emptied: u64,
    /// By which decode rules its objects were read.
    pub decode_rules: String,
    /// Records of which several objects tell different things.
    pub conflicts: u64,
    /// Ticks that were left out, because the same record had been counted before.
    pub duplicates: u64,
    /// `None` if the stored sums are of another version, or cannot be of this hour and its ticks.
    pub sum: Option<HourBars>,
    /// Records that were in the sums and were taken out.
    pub withdrawn: Offsets,
    /// How many of them have not come again, as lines without offsets either.
    pub taken_out: u64,
}

impl Computed {
    /// Whether so many objects that are still there, and those that are gone, are all that its sums
    /// are made of.
    #[must_use]
    pub fn accounts_for(&self, present_objects: u64) -> bool {
        present_objects + u64::from(self.gone_objects) == self.objects
    }
}

impl BatchDb {
    /// The known objects below some folders, by folder and key, and whether they were read as
    /// `decode_rules` says. Objects are assigned to folders by key.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn folders(
        &mut self,
        prefixes: &[&str],
        decode_rules: &str,
    ) -> Result<FxHashMap<String, KnownObjects>, Failure> {
        self.query("reading the index in", async |connection| {
            let mut rows = pg::query(include_str!("../sql/index/objects_of_folders.sql"))
                .bind(prefixes)
                .bind(decode_rules)
                .fetch(connection);
            let mut folders = FxHashMap::default();
            while let Some(row) = rows.try_next().await? {
                add_known(&mut folders, &row)?;
            }
            Ok(folders)
        })
        .await
    }

    /// The folders, of some, below which the index knows objects.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn known_folders(
        &mut self,
        folders: &[Folder],
    ) -> Result<FxHashSet<String>, Failure> {
        let prefixes: Vec<&str> = folders.iter().map(|folder| &*folder.prefix).collect();
        let statement =
            pg::query_scalar(include_str!("../sql/index/known_folders.sql")).bind(prefixes);
        let known: Vec<String> = self.fetch_all("reading the index in", statement).await?;
        Ok(known.into_iter().collect())
    }

    /// The directories of deleted objects that hours in a range, or further ones, have ticks of.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn directories_of_deleted(
        &mut self,
        within: &Range<Hour>,
        others: &BTreeSet<Hour>,
    ) -> Result<Vec<String>, Failure> {
        let statement = pg::query_scalar(include_str!("../sql/index/directories_of_deleted.sql"))
            .bind(Timestamptz(within.start.start()))
            .bind(Timestamptz(within.end.start()))
            .bind(Timestamptz::all(others.iter().map(|hour| hour.start())));
        self.fetch_all("reading deleted_objects in", statement).await
    }

    /// How many objects were deleted before their time since a run began, and the first of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deleted_since(
        &mut self,
        run_id: i64,
        kept_since: Timestamp,
    ) -> Result<(u64, Option<String>), Failure> {
        let statement = pg::query_as(include_str!("../sql/index/deleted_since.sql"))
            .bind(run_id)
            .bind(Timestamptz(kept_since));
        let (count, first): (i64, Option<String>) =
            self.fetch_one("reading deleted_objects in", statement).await?;
        Ok((count.cast_unsigned(), first))
    }

    /// Objects that were read and are there, the last ones by key of those whose keys begin with
    /// `stem`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn last_objects(&mut self, stem: &str, count: i64) -> Result<Vec<Object>, Failure> {
        let statement =
            pg::query(include_str!("../sql/index/last_objects.sql")).bind(stem).bind(count);
        self.read_all("reading the index in", statement, read_object).await
    }

    /// Whether an object below a prefix was ever seen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn is_prefix_known(&mut self, prefix: &str) -> Result<bool, Failure> {
        let statement =
            pg::query_scalar(include_str!("../sql/index/is_prefix_known.sql")).bind(prefix);
        self.fetch_one("reading archive_objects in", statement).await
    }

    /// Whether hours were computed from another place than `location`.
    pub async fn is_elsewhere_known(&mut self, location: &str) -> Result<bool, Failure> {
        let statement =
            pg::query_scalar(include_str!("../sql/index/is_elsewhere_known.sql")).bind(location);
        self.fetch_one("reading batch_hours in", statement).await
    }

    /// Objects below some folders, by folder, of which an hour was computed from another place than
    /// `location`. `with_gone`: those that were gone as well.
    pub async fn known_elsewhere(
        &mut self,
        prefixes: &[&str],
        location: &str,
        with_gone: bool,
    ) -> Result<FxHashMap<String, Vec<KnownElsewhere>>, Failure> {
        let statement = pg::query_as(include_str!("../sql/index/known_elsewhere.sql"))
            .bind(prefixes)
            .bind(location)
            .bind(with_gone);
        let rows: Vec<(String, String, String, i64, String)> =
            self.fetch_all("reading the index in", statement).await?;
        let mut folders: FxHashMap<String, Vec<KnownElsewhere>> = FxHashMap::default();
        for (folder, key, etag, size, location) in rows {
            let known = KnownElsewhere { key, etag, size: size.cast_unsigned(), location };
            folders.entry(folder).or_default().push(known);
        }
        Ok(folders)
    }

    /// From which other place than `location` an hour of a range was computed, the last one first.
    pub async fn computed_elsewhere(
        &mut self,
        hours: &Range<Hour>,
        location: &str,
    ) -> Result<Option<String>, Failure> {
        let statement = pg::query_scalar(include_str!("../sql/index/computed_elsewhere.sql"))
            .bind(Timestamptz(hours.start.start()))
            .bind(Timestamptz(hours.end.start()))
            .bind(location);
        self.fetch_optional("reading batch_hours in", statement).await
    }

    /// The oldest hour that anything is known of.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn oldest_hour(&mut self) -> Result<Option<Hour>, Failure> {
        let statement = pg::query_scalar(include_str!("../sql/index/oldest_hour.sql"));
        let oldest: Option<Timestamptz> =
            self.fetch_one("reading batch_hours in", statement).await?;
        Ok(oldest.map(Hour::from))
    }

    /// Stale hours before `due` that are in the window, or that must not wait for a window to cover
    /// them; without those that a broken object holds back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn stale(&mut self, due: Hour, window: &Range<Hour>) -> Result<Vec<Stale>, Failure> {
        let statement = pg::query(include_str!("../sql/index/stale.sql"))
            .bind(Timestamptz(due.start()))
            .bind(Timestamptz(window.start.start()))
            .bind(Timestamptz(window.end.start()));
        let stale = |row: &PgRow| {
            let hour = Hour::from(row.try_get::<Timestamptz, _>("hour")?);
            Ok(Stale {
                hour,
                is_replaced: row.try_get("replaced")?,
                is_reread: row.try_get("reread")?,
            })
        };
        self.read_all("reading stale hours in", statement, stale).await
    }

    /// The objects that hold ticks of an hour, by key.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn objects_of(&mut self, hour: Hour) -> Result<Vec<Indexed>, Failure> {
        self.query("reading the index in", async |connection| {
            let mut rows = pg::query(include_str!("../sql/index/objects_of_hour.sql"))
                .bind(Timestamptz(hour.start()))
                .fetch(connection);
            let mut objects = Vec::new();
            while let Some(row) = rows.try_next().await? {
                objects.push(read_indexed(&row)?);
            }
            Ok(objects)
        })
        .await
    }

    /// The objects without offsets that are in an hour's sums, and are gone.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn gone_without_offsets(
        &mut self,
        hour: Hour,
    ) -> Result<Vec<ObjectWithoutOffsets>, Failure> {
        let statement = pg::query_as(include_str!("../sql/index/gone_without_offsets.sql"))
            .bind(Timestamptz(hour.start()));
        let rows: Vec<(String, i64, i64, bool)> =
            self.fetch_all("reading the index in", statement).await?;
        let without_offsets =
            |(key, lines, ticks, is_mixed): (String, i64, i64, bool)| ObjectWithoutOffsets {
                key: key.into(),
                lines: lines.cast_unsigned(),
                ticks: ticks.cast_unsigned(),
                is_mixed,
            };
        Ok(rows.into_iter().map(without_offsets).collect())
    }

    /// How many ticks of an hour's sums carry no offset, as the index knows from their objects.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn summed_without_offsets(&mut self, hour: Hour) -> Result<u64, Failure> {
        let statement = pg::query_scalar(include_str!("../sql/index/summed_without_offsets.sql"));
        let statement = statement.bind(Timestamptz(hour.start()));
        self.fetch_one("reading the index in", statement).await.map(i64::cast_unsigned)
    }

    /// Objects that were deleted before the sums of an hour had anything of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn deleted_before_summed(&mut self) -> Result<Vec<DeletedUnsummed>, Failure> {
        let statement = pg::query(include_str!("../sql/index/unsummed_deleted.sql"));
        let deleted = |row: &PgRow| {
            let offsets: Option<&[u8]> = row.try_get("offsets")?;
            Ok(DeletedUnsummed {
                hour: Hour::from(row.try_get::<Timestamptz, _>("hour")?),
                key: row.try_get("key")?,
                ticks: row.try_get::<i64, _>("ticks")?.cast_unsigned(),
                lines: row.try_get::<i64, _>("lines")?.cast_unsigned(),
                lacks_offsets: row.try_get("lacks_offsets")?,
                offsets: offsets.and_then(|offsets| state::decode_offsets(offsets).ok()),
                is_elsewhere: row.try_get("is_elsewhere")?,
            })
        };
        self.read_all("reading deleted_objects in", statement, deleted).await
    }

    /// Forgets that objects were deleted which were moved.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_moved(&mut self) -> Result<(), Failure> {
        let statement = pg::query(include_str!("../sql/index/forget_moved.sql"));
        self.write("deleted_objects", statement).await.map(drop)
    }

    /// Forgets that objects were deleted: others have their ticks.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn forget_found_again(&mut self, found: &[DeletedUnsummed]) -> Result<(), Failure> {
        let statement = pg::query(include_str!("../sql/index/found_again.sql"))
            .bind(found.iter().map(|deleted| Timestamptz(deleted.hour.start())).collect::<Vec<_>>())
            .bind(found.iter().map(|deleted| &*deleted.key).collect::<Vec<_>>());
        self.write("deleted_objects", statement).await.map(drop)
    }

    /// The hours that an object touched when it was read last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn hours_indexed_for(&mut self, key: &str) -> Result<Vec<Hour>, Failure> {
        let statement =
            pg::query_scalar("select hour from archive_object_hours where key = $1 order by hour")
                .bind(key);
        let hours: Vec<Timestamptz> = self.fetch_all("reading the index in", statement).await?;
        Ok(hours.into_iter().map(Hour::from).collect())
    }

    /// The hours of which an object that is there held ticks when it was read last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn hours_with_ticks(&mut self, key: &str) -> Result<BTreeSet<Hour>, Failure> {
        let statement =
            pg::query_scalar(include_str!("../sql/index/hours_with_ticks_of_object.sql")).bind(key);
        let hours: Vec<Timestamptz> = self.fetch_all("reading the index in", statement).await?;
        Ok(hours.into_iter().map(Hour::from).collect())
    }

    /// The content hashes of what an object that is there, as it is listed, holds of each hour, in
    /// order of time.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn content_hashes_of(
        &mut self,
        object: &Object,
    ) -> Result<Vec<(Hour, u64)>, Failure> {
        let statement = pg::query_as(include_str!("../sql/index/content_hashes_of_object.sql"));
        self.fetch_by_hour(statement.bind(&*object.key).bind(&object.etag)).await
    }

    /// Numbers of hours, in the order in which a statement gives them.
    async fn fetch_by_hour(
        &mut self,
        statement: HourCountQuery<'_>,
    ) -> Result<Vec<(Hour, u64)>, Failure> {
        let rows = self.fetch_all("reading the index in", statement).await?;
        let number =
            |(hour, number): (Timestamptz, i64)| (Hour::from(hour), number.cast_unsigned());
        Ok(rows.into_iter().map(number).collect())
    }

    /// Whether some ticks of an object carry no offset; `None` if the index does not know it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn lacks_offsets(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        let statement = pg::query_scalar(
            "select lacks_offsets from archive_objects where key = $1 and not gone",
        )
        .bind(key);
        self.fetch_optional("reading the index in", statement).await
    }

    /// The ticks of each hour that an object held when it was read last. For a deleted object: only
    /// hours whose sums include it or are known to lack it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn ticks_by_hour(&mut self, key: &str) -> Result<BTreeMap<Hour, u64>, Failure> {
        let statement = pg::query_as(include_str!("../sql/index/ticks_by_hour_of_object.sql"));
        Ok(self.fetch_by_hour(statement.bind(key)).await?.into_iter().collect())
    }

    /// The ticks of each hour whose sums have nothing of an object, as it was read last.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn unsummed_ticks_by_hour(&mut self, key: &str) -> Result<Vec<(Hour, u64)>, Failure> {
        self.fetch_by_hour(
            pg::query_as(include_str!("../sql/index/unsummed_of_object.sql")).bind(key),
        )
        .await
    }

    /// What an object held, when it was read last, of hours whose sums have that or an earlier
    /// version of it: their ticks, by hour, and how it was read.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn summed_ticks_and_rules(
        &mut self,
        key: &str,
    ) -> Result<(BTreeMap<Hour, u64>, String), Failure> {
        let statement = pg::query_as(include_str!("../sql/index/summed_of_object.sql")).bind(key);
        let rows: Vec<(Timestamptz, i64, String)> =
            self.fetch_all("reading the index in", statement).await?;
        let (mut held, mut decode_rules) = (BTreeMap::new(), String::new());
        for (hour, ticks, read_as) in rows {
            held.insert(Hour::from(hour), ticks.cast_unsigned());
            decode_rules = read_as;
        }
        Ok((held, decode_rules))
    }

    /// How an hour was computed last, if ever.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn computed(&mut self, hour: Hour) -> Result<Option<Computed>, Failure> {
        let statement =
            pg::query(include_str!("../sql/index/computed.sql")).bind(Timestamptz(hour.start()));
        let decode = |row: &PgRow| read_computed(row, hour);
        self.read_optional("reading batch_hours in", statement, decode).await
    }
}

fn add_known(
    folders: &mut FxHashMap<String, KnownObjects>,
    row: &PgRow,
) -> Result<(), sqlx::Error> {
    let size = row.try_get::<i64, _>("size")?.cast_unsigned();
    let (etag, is_as_read) = (row.try_get("etag")?, row.try_get("is_as_read")?);
    let Timestamptz(stored_at) = row.try_get("last_modified")?;
    let has_rejects = row.try_get("has_rejects")?;
    let (is_gone, lacks_offsets) = (row.try_get("gone")?, row.try_get("lacks_offsets")?);
    let known =
        KnownObject { etag, size, stored_at, has_rejects, is_as_read, is_gone, lacks_offsets };
    folders.entry(row.try_get("folder")?).or_default().insert(row.try_get("key")?, known);
    Ok(())
}

fn read_object(row: &PgRow) -> Result<Object, sqlx::Error> {
    let Timestamptz(last_modified) = row.try_get("last_modified")?;
    Ok(Object {
        key: row.try_get::<&str, _>("key")?.into(),
        etag: row.try_get("etag")?,
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        last_modified: Some(last_modified),
    })
}

fn read_indexed(row: &PgRow) -> Result<Indexed, sqlx::Error> {
    let object = read_object(row)?;
    let (folder, is_merged) = (row.try_get::<&str, _>("folder")?.into(), row.try_get("merged")?);
    let ticks = row.try_get::<i64, _>("ticks")?.cast_unsigned();
    let (content, offsets): (Option<i64>, Option<i64>) =
        (row.try_get("summed_content_hash")?, row.try_get("summed_offsets_hash")?);
    let ticks_summed: Option<i64> = row.try_get("summed_ticks")?;
    let without: Option<i64> = row.try_get("summed_without_offsets")?;
    let summed = |((content, offsets), ticks): ((i64, i64), i64)| InSums {
        fingerprints: Fingerprints {
            content: content.cast_unsigned(),
            offsets: offsets.cast_unsigned(),
        },
        ticks: ticks.cast_unsigned(),
        without_offsets: without.unwrap_or_default().cast_unsigned(),
    };
    let summed = content.zip(offsets).zip(ticks_summed).map(summed);
    let (decode_rules, lacks_offsets) =
        (row.try_get("decode_rules")?, row.try_get("lacks_offsets")?);
    let (Timestamptz(first), Timestamptz(last)) =
        (row.try_get("first_at")?, row.try_get("last_at")?);
    let lines = row.try_get::<i64, _>("lines")?.cast_unsigned();
    Ok(Indexed {
        object,
        folder,
        is_merged,
        summed,
        ticks,
        span: first..=last,
        decode_rules,
        lacks_offsets,
        lines,
    })
}

fn read_computed(row: &PgRow, hour: Hour) -> Result<Computed, sqlx::Error> {
    let (bars, offsets): (Option<&[u8]>, Option<&[u8]>) =
        (row.try_get("bars")?, row.try_get("offsets")?);
    let withdrawn: Option<&[u8]> = row.try_get("withdrawn")?;
    let ticks = row.try_get::<i64, _>("ticks")?.cast_unsigned();
    let sum = bars.zip(offsets).and_then(|(bars, offsets)| state::decode(bars, offsets).ok());
    Ok(Computed {
        location: row.try_get("location")?,
        gone_objects: row.try_get::<i32, _>("gone_objects")?.cast_unsigned(),
        objects: row.try_get::<i32, _>("objects")?.cast_unsigned().into(),
        ticks,
        gone_without_offsets: row.try_get::<i64, _>("gone_without_offsets")?.cast_unsigned(),
        emptied: row.try_get::<i64, _>("emptied")?.cast_unsigned(),
        decode_rules: row.try_get("decode_rules")?,
        conflicts: row.try_get::<i64, _>("conflicts")?.cast_unsigned(),
        duplicates: row.try_get::<i64, _>("duplicates")?.cast_unsigned(),
        withdrawn: withdrawn
            .and_then(|offsets| state::decode_offsets(offsets).ok())
            .unwrap_or_default(),
        taken_out: row.try_get::<i64, _>("taken_out")?.cast_unsigned(),
        sum: sum.filter(|sum| sum.may_be_of(hour, ticks)),
    })
}
