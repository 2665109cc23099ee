//! The lake as a source: hours that it has whole, as the raw objects are now.

use super::args::LakeArgs;
use super::look::{LakeReadError, LakeReader};
use super::read::HourOfTopic;
use super::table::{self, PublishedObject};
use crate::checksum::TickContent;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::scan::HourBars;
use common::Place;
use rustc_hash::FxHashSet;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Whether hours are read from the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum FromLake {
    /// Those that are computed again, where it has all of their ticks
    #[default]
    Auto,
    /// None
    Never,
}

/// The lake, for who reads it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Lake")]
pub struct SourceArgs {
    /// Whether hours that are to be computed again are read from the Parquet that `batch-layer
    /// compact` has written. It must have all of an hour's ticks, of the same objects as they are
    /// now; else those are read. The digits are the same.
    #[arg(long, env = "FROM_LAKE", default_value = "auto", value_enum, value_name = "WHEN")]
    pub from_lake: FromLake,

    #[command(flatten)]
    pub lake: LakeArgs,
}

/// Where the lake lies.
#[derive(Debug, Clone)]
pub(crate) struct Lake {
    prefix: String,
    /// Where an object may lie while it is read.
    pub folder: PathBuf,
}

/// Requirements on an hour's raw objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Required<'a> {
    /// How they were read.
    pub decode_rules: &'a str,
    /// The store's address, as messages name it.
    pub location: &'a str,
}

/// The hours of $1 to $2 that the lake below $3 has whole, if they were read as $4 says from $5: as
/// many ticks as the summary; no object in its sums that the lake does not have, or had otherwise;
/// none that the lake has and that is there no longer, unless it has expired.
const COVERED: &str = include_str!("../../sql/lake/covered.sql");

/// The hours, of $1, without some of their raw objects, of which the lake below $2, together
/// with the raw objects that are there, has all ticks, if they were read as $3 says from $4: no
/// fewer ticks than the summary; no raw object that the lake had otherwise, or of which nobody can
/// tell.
const COVERS: &str = include_str!("../../sql/lake/stands_for.sql");

impl Lake {
    /// `None`: nothing is to be read from there.
    #[must_use]
    pub fn of(args: &SourceArgs) -> Option<Self> {
        let LakeArgs { lake_prefix, .. } = &args.lake;
        (args.from_lake == FromLake::Auto)
            .then(|| Self { prefix: lake_prefix.clone(), folder: args.lake.folder() })
    }

    /// The hours of a range that it has whole.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn covered(
        &self,
        db: &mut BatchDb,
        hours: &Range<Hour>,
        required: Required<'_>,
    ) -> Result<Vec<Hour>, Failure> {
        let statement = pg::query_scalar(COVERED)
            .bind(Timestamptz(hours.start.start()))
            .bind(Timestamptz(hours.end.start()))
            .bind(&self.prefix)
            .bind(required.decode_rules)
            .bind(required.location);
        let rows: Vec<Timestamptz> = db.fetch_all("reading lake_sources in", statement).await?;
        Ok(rows.into_iter().map(Hour::from).collect())
    }

    /// The hours, of some, whose raw objects are gone, and all of whose ticks are in its objects
    /// and the raw ones that are there.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn covers(
        &self,
        db: &mut BatchDb,
        hours: &[Hour],
        required: Required<'_>,
    ) -> Result<FxHashSet<Hour>, Failure> {
        if hours.is_empty() {
            return Ok(FxHashSet::default());
        }
        let statement = pg::query_scalar(COVERS)
            .bind(Timestamptz::all(hours.iter().map(|hour| hour.start())))
            .bind(&self.prefix)
            .bind(required.decode_rules)
            .bind(required.location);
        let rows: Vec<Timestamptz> = db.fetch_all("reading lake_sources in", statement).await?;
        Ok(rows.into_iter().map(Hour::from).collect())
    }

    /// Its objects of an hour, whether it has that whole or not.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn published_objects(
        &self,
        db: &mut BatchDb,
        hour: Hour,
    ) -> Result<Vec<PublishedObject>, Failure> {
        table::published_objects(db, &self.prefix, &(hour..hour.plus(1))).await
    }

    /// Its objects of an hour that it has whole; `None`: it has not.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn objects(
        &self,
        db: &mut BatchDb,
        hour: Hour,
        required: Required<'_>,
    ) -> Result<Option<Vec<PublishedObject>>, Failure> {
        let hours = hour..hour.plus(1);
        if self.covered(db, &hours, required).await?.is_empty() {
            Ok(None)
        } else {
            table::published_objects(db, &self.prefix, &hours).await.map(Some)
        }
    }

    /// The keys of a folder's objects whose hours of a range are all among `covered`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn objects_kept_for_lake(
        &self,
        db: &mut BatchDb,
        (folder, hours): (&str, &Range<Hour>),
        covered: &[Hour],
    ) -> Result<FxHashSet<String>, Failure> {
        let statement = pg::query_scalar(include_str!("../../sql/lake/spared.sql"))
            .bind(folder)
            .bind(Timestamptz(hours.start.start()))
            .bind(Timestamptz(hours.end.start()))
            .bind(Timestamptz::all(covered.iter().map(|hour| hour.start())));
        let keys: Vec<String> = db.fetch_all("reading the index in", statement).await?;
        Ok(keys.into_iter().collect())
    }
}

/// Why an object does not tell what it holds.
#[derive(Debug)]
pub enum LakeSourceError {
    /// What is wrong with it: nothing more can be done about it here.
    OfObject(String),
    /// The store or the disk is to blame, or the run is stopped.
    OfRun(Failure),
}

/// Shows each tick of an object of the lake to `take`, with what it gathers in, where it holds what
/// it was written with.
///
/// # Errors
/// Where it does not, or cannot be read.
pub async fn visit<T: Send + 'static>(
    look: LakeReader<'_>,
    published: &PublishedObject,
    into: T,
    take: impl Fn(&mut T, &TickContent<'_>, Place) -> io::Result<()> + Send + 'static,
) -> Result<T, LakeSourceError> {
    let visited = match look.store.find(&published.key).await {
        Ok(object) => look.visit(&object, into, take).await,
        Err(error) => Err(error.into()),
    };
    let what = match visited {
        // The checksum is not over quotes, conditions and numbers; the digest is over all.
        Ok((gathered, contents)) if contents == published.contents => return Ok(gathered),
        Ok((_, contents)) if contents.has_ticks_of(&published.contents) => {
            "is not, to the byte, what was compared".to_owned()
        }
        Ok(_) => "holds other ticks than when it was written".to_owned(),
        Err(LakeReadError::Moved) => "is gone".to_owned(),
        Err(LakeReadError::Damaged(why)) => format!("cannot be read: {why}"),
        Err(LakeReadError::Away(failure)) => return Err(LakeSourceError::OfRun(failure)),
    };
    Err(LakeSourceError::OfObject(what))
}

/// Gathers the ticks that an object of the lake adds to its hour.
///
/// # Errors
/// Where it is not the one that was compared, or cannot be read.
pub(crate) async fn sum_up(
    look: LakeReader<'_>,
    published: &PublishedObject,
) -> Result<HourBars, LakeReadError> {
    let object = look.store.find(&published.key).await?;
    if *object.etag != *published.etag || object.size != published.size {
        return Err(LakeReadError::Damaged("it was overwritten".to_owned()));
    }
    let of = HourOfTopic { hour: published.hour, topic: published.source.as_str().into() };
    let sum = look.sum_up((&object, published.contents.digest), of).await?;
    if sum.ticks == published.contents.rows {
        Ok(sum)
    } else {
        Err(LakeReadError::Damaged(format!(
            "it has {} of {} ticks",
            sum.ticks, published.contents.rows
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Writer;
    use super::*;
    use crate::archive::{ObjectStore, StoreOptions};
    use crate::holdings::Holdings;
    use common::Timestamp;
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use tokio_util::sync::CancellationToken;

    const KEY: &str = "a.parquet";

    /// A store with an object of the lake that has two ticks.
    async fn store(folder: &Path) -> ObjectStore {
        let mut writer = Writer::new(File::create(folder.join(KEY)).unwrap()).unwrap();
        for offset in [1, 2] {
            writer
                .push(&TickContent::with_close(201_500_000_000), Place::of_message(0, offset))
                .unwrap();
        }
        writer.finish().unwrap();
        ObjectStore::open(&StoreOptions::Local(folder.to_owned())).await.unwrap()
    }

    /// Changes a byte, as a disk does that rots: nothing tells but the byte.
    fn spoil(path: &Path, at: u64) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let (modified, mut byte) = (file.metadata().unwrap().modified().unwrap(), [0]);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        file.set_modified(modified).unwrap();
    }

    #[tokio::test]
    async fn an_object_of_which_a_byte_is_another_one_than_when_it_was_compared_gives_neither_sums_nor_ticks()
     {
        let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let store = store(folder.path()).await;
        let look = LakeReader { store: &store, folder: folder.path(), stop: &stop };
        let object = store.find(KEY).await.unwrap();
        let (_, contents) = look.read(&object, Holdings::default()).await.unwrap();
        let of = HourOfTopic { hour: Hour::of(Timestamp::from_micros(5)), topic: "t".into() };
        let sum = look.sum_up((&object, contents.digest), of.clone()).await.unwrap();
        assert_eq!((sum.ticks, contents.rows), (2, 2));
        let published = PublishedObject {
            key: KEY.to_owned(),
            source: "t".to_owned(),
            hour: of.hour,
            computed_at: Timestamp::from_micros(0),
            etag: object.etag.to_string(),
            size: object.size,
            contents,
        };
        let visit = || super::visit(look, &published, (), |(), _, _| Ok(()));
        for at in 0..object.size {
            spoil(&folder.path().join(KEY), at);
            let spoilt = look.sum_up((&object, contents.digest), of.clone()).await;
            assert!(matches!(spoilt, Err(LakeReadError::Damaged(_))), "byte {at}");
            assert!(matches!(visit().await, Err(LakeSourceError::OfObject(_))), "byte {at}");
            spoil(&folder.path().join(KEY), at);
        }
        assert!(look.sum_up((&object, contents.digest), of).await.is_ok() && visit().await.is_ok());
    }
}
