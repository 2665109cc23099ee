//! [`Source`]: the ticks of an hour, from the lake or from raw objects.

use super::args::{ExportArgs, Format};
use super::hours::KnownHour;
use crate::archive::ObjectStore;
use crate::hour::Hour;
use crate::index::{BatchDb, Indexed};
use crate::lake::gather::{Gathered, Gatherer, TicksWithoutOffsets, add_kept};
use crate::lake::look::{LakeReadError, LakeReader};
use crate::lake::sort::{RowFilter, Sorter};
use crate::lake::table::{self, PublishedObject};
use crate::reader::{ReadError, Reader};
use crate::stop::stopped_exporting;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// The archive, and what is known of it.
pub struct Source {
    pub store: ObjectStore,
    pub db: BatchDb,
    pub reader: Reader,
    /// The decode rules of this run, as stored in `batch_hours.decode_rules`.
    decode_rules: String,
    lake_prefix: String,
    /// Where ticks are sorted.
    folder: PathBuf,
    wanted: RowFilter,
    /// The output needs the place of each tick.
    needs_places: bool,
    stop: CancellationToken,
}

/// The ticks of an hour, topic by topic.
pub struct HourTicks {
    hour: Hour,
    /// That are still to come.
    topics: BTreeSet<String>,
    /// Objects of the lake to read.
    lake: Vec<PublishedObject>,
    /// The lake has all of the hour.
    is_in_lake: bool,
    /// An object of the lake is not there, or not what it was.
    pub has_lost_lake: bool,
    /// Raw objects were looked at.
    pub has_read_raw: bool,
    /// Raw objects, once they are asked for.
    raw: Option<BTreeMap<String, Vec<Indexed>>>,
    /// Reasons why the hour is incomplete.
    pub lacks: Vec<String>,
}

impl HourTicks {
    fn of(hour: Hour) -> Self {
        let (topics, lake, raw, lacks) = (BTreeSet::new(), Vec::new(), None, Vec::new());
        Self {
            hour,
            topics,
            lake,
            is_in_lake: false,
            has_lost_lake: false,
            has_read_raw: false,
            raw,
            lacks,
        }
    }
}

impl Source {
    pub fn new(
        (args, format): (&ExportArgs, Format),
        store: ObjectStore,
        db: BatchDb,
        reader: Reader,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            db,
            reader,
            decode_rules: args.archive.format().describe(),
            lake_prefix: args.lake.lake_prefix.clone(),
            folder: args.lake.folder(),
            wanted: args.wanted(),
            needs_places: format == Format::Parquet,
            stop,
        }
    }

    /// Where the ticks of an hour are.
    ///
    /// # Errors
    /// Where the database or the store fails; an object that cannot be read is one
    /// of the hour's lacks.
    pub async fn of_hour(&mut self, hour: Hour, known: &KnownHour) -> Result<HourTicks, Failure> {
        let mut of = HourTicks::of(hour);
        if !known.is_of(&self.store.location()) {
            return Ok(of);
        }
        of.lake = table::published_objects(&mut self.db, &self.lake_prefix, &(hour..hour.plus(1)))
            .await?;
        of.is_in_lake = known.is_in(&of.lake);
        if !of.is_in_lake && !known.has_expired {
            of.lake.clear();
        }
        of.topics.extend(of.lake.iter().map(|object| object.source.clone()));
        if !of.is_in_lake {
            let raw = self.reader.by_topic(self.db.objects_of(hour).await?, |indexed| indexed);
            of.topics.extend(raw.keys().cloned());
            of.raw = Some(raw);
        }
        Ok(of)
    }

    /// The ticks of the next topic.
    pub async fn next_topic(
        &mut self,
        of: &mut HourTicks,
    ) -> Result<Option<(String, Gathered)>, Failure> {
        let Some(topic) = of.topics.pop_first() else { return Ok(None) };
        let (mut gathered, is_complete) = self.of_lake(of, &topic).await?;
        of.has_read_raw |= !is_complete;
        if !is_complete {
            if of.raw.is_none() {
                of.raw = Some(
                    self.reader.by_topic(self.db.objects_of(of.hour).await?, |indexed| indexed),
                );
            }
            let objects = of.raw.as_mut().and_then(|raw| raw.remove(&topic)).unwrap_or_default();
            gathered = self.add_raw(of, objects, gathered).await?;
        }
        Ok(Some((topic, gathered)))
    }

    /// Reads a topic's ticks from the lake; and whether they are all.
    async fn of_lake(
        &mut self,
        of: &mut HourTicks,
        topic: &str,
    ) -> Result<(Gathered, bool), Failure> {
        let mut left: Vec<&PublishedObject> =
            of.lake.iter().filter(|object| object.source == topic).collect();
        let (mut is_complete, mut has_lost) = (of.is_in_lake, false);
        loop {
            let (gathered, fault) = self.read_published(&left).await?;
            let Some((at, why)) = fault else {
                of.has_lost_lake |= has_lost;
                return Ok((gathered, is_complete));
            };
            // It may have brought other ticks by then: without it from the beginning.
            let key = &left.remove(at).key;
            let (hour, location) = (of.hour, self.store.location());
            tracing::warn!(
                %hour,
                location,
                key,
                error = why,
                "hour {hour}: {location}{key} {why}; its raw objects are read"
            );
            (is_complete, has_lost) = (false, true);
        }
    }

    /// The ticks of some objects of the lake; or the first that is not what it was, and why.
    async fn read_published(
        &self,
        objects: &[&PublishedObject],
    ) -> Result<(Gathered, Option<(usize, String)>), Failure> {
        let look = LakeReader { store: &self.store, folder: &self.folder, stop: &self.stop };
        let mut gathered = Gathered::new(Sorter::new(&self.folder).only(self.wanted.clone()));
        for (at, published) in objects.iter().enumerate() {
            gathered = match add_kept(gathered, look, published).await {
                Ok(gathered) => gathered,
                Err(LakeReadError::Away(_)) if self.stop.is_cancelled() => {
                    return Err(stopped_exporting());
                }
                Err(LakeReadError::Away(failure)) => return Err(failure),
                Err(unread) => {
                    let why = match unread {
                        LakeReadError::Damaged(why) => format!("cannot be taken: {why}"),
                        _ => "is gone".to_owned(),
                    };
                    return Ok((Gathered::new(Sorter::new(&self.folder)), Some((at, why))));
                }
            };
        }
        Ok((gathered, None))
    }

    /// Adds those ticks of raw objects that are not there yet.
    async fn add_raw(
        &self,
        of: &mut HourTicks,
        objects: Vec<Indexed>,
        gathered: Gathered,
    ) -> Result<Gathered, Failure> {
        let gatherer = Gatherer::new(of.hour, gathered, TicksWithoutOffsets::Taken);
        for Indexed { object, decode_rules, lacks_offsets, .. } in objects {
            let what = format!("{}{}", self.store.location(), object.key);
            if decode_rules != self.decode_rules {
                of.lacks.push(format!(
                    "{what} was read by other flags about messages, and is left out: give those of \
                     batch-layer"
                ));
                continue;
            }
            if lacks_offsets && self.needs_places {
                of.lacks.push(format!(
                    "{what} is left out: its lines have no offsets, for which the lake's columns \
                     have no place; --format csv has them"
                ));
                continue;
            }
            let why = match gatherer.read(&self.reader, &object).await {
                Ok(()) => continue,
                Err(ReadError::Moved) => {
                    "has changed since batch-layer read it: run batch-layer, and export again"
                        .to_owned()
                }
                Err(ReadError::Broken(broken)) => {
                    format!("cannot be read to its end: {}", broken.why)
                }
                Err(ReadError::Wide) => "holds too many symbols".to_owned(),
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped_exporting()),
            };
            of.lacks.push(format!("{what} {why}"));
        }
        Ok(gatherer.finish())
    }
}
