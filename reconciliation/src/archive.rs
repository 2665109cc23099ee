//! What the archive holds of a span of hours.

use crate::late::{FarObject, FarObjects};
use crate::stop::stopped_comparing;
use anyhow::Context as _;
use common::Place;
use futures::future;
use futures::stream::{self, StreamExt};
use hourly::archive::{
    Body, FileName, Folder, MAX_OBJECTS, Object, ObjectStore, PrefixTemplate, find_twins,
};
use hourly::checksum::TickContent;
use hourly::flags::HourPlan;
use hourly::holdings::{Holdings, HourHoldings, OffsetsByHour, PresumedRange, are_few, of_object};
use hourly::hour::Hour;
use hourly::index::{BatchDb, InSums, Indexed, KnownObjects, ObjectWithoutOffsets};
use hourly::lake::covered;
use hourly::lake::look::LakeReader;
use hourly::lake::source::{self, LakeSourceError};
use hourly::lake::table::{self, PublishedObject};
use hourly::pending_hours::MAX_BARS;
use hourly::reader::{Breakage, IN_FLIGHT, ReadError, Reader};
use hourly::scan::{Conflicts, Exclusions, HourBars, Offsets, ScanOptions, places};
use hourly::state;
use roaring::RoaringTreemap;
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Objects by key, with their folders.
type Listed = BTreeMap<Arc<str>, (Object, Option<Folder>)>;

/// Places that came again, by hour, topic and partition.
type Repeated = BTreeMap<(Hour, String, i32), RoaringTreemap>;

/// Where the archive is, and how it is read.
pub struct Archive {
    /// The template of each prefix.
    pub templates: Vec<PrefixTemplate>,
    pub store: ObjectStore,
    pub reader: Reader,
    pub plan: HourPlan,
    /// All that are compared.
    pub topics: Vec<String>,
    pub stop: CancellationToken,
}

/// The archive's side of some hours.
#[derive(Debug, Default)]
pub struct Archived {
    pub holdings: Holdings,
    /// Hours that an object which cannot be read may touch, with that object and why.
    pub unread: BTreeMap<Hour, String>,
    /// The newest offset of each partition, of whatever hour.
    pub newest: BTreeMap<i32, u64>,
    /// Messages with ticks of hours that are not looked at, by partition.
    pub elsewhere: BTreeMap<i32, RoaringTreemap>,
    /// Behind the last line of each partition, of whatever hour, where lines do not tell their
    /// offsets.
    pub presumed_ends: BTreeMap<i32, u64>,
    /// How many objects of which batch-layer has kept an hour's ticks, or an earlier version's, are
    /// no longer there, though it has not noticed.
    pub vanished: BTreeMap<Hour, u32>,
    /// Vanished objects without offsets, by hour.
    pub vanished_without_offsets: BTreeMap<Hour, Vec<ObjectWithoutOffsets>>,
    /// Vanished objects that were deleted before they expired, by hour.
    pub deleted: BTreeMap<Hour, u32>,
    /// How many raw objects of an hour were deleted because the lake has them: it was read in their
    /// place.
    pub covered: BTreeMap<Hour, u32>,
    /// Objects that no run of batch-layer has read as they are.
    pub news: BTreeMap<Hour, News>,
    /// Unread or unreadable objects with ticks of hours outside this comparison: their folders lie
    /// beyond slack of those.
    pub far: FarObjects,
    /// Their keys, and whether one was read as it was before.
    new_keys: FxHashMap<Arc<str>, bool>,
    /// The first object by key in a folder of the hours that has lines, and none of them is a tick.
    pub tickless: Option<Arc<str>>,
    /// Records that have several lines, while they are not compared yet.
    pub(super) repeated: Repeated,
    /// Records of which they tell different things.
    pub conflicts: BTreeMap<Hour, Conflicts>,
    /// Objects that were read, by key.
    pub(super) read: Vec<ReadObject>,
    /// Objects of the lake that were read.
    lake: Vec<PublishedObject>,
}

/// Ticks of an hour in objects that came since the last run of batch-layer, or were replaced
/// since.
#[derive(Debug, Default)]
pub struct News {
    pub objects: u32,
    /// Ticks in them, known or not.
    pub ticks: u64,
    /// An earlier version of one of them was indexed.
    pub is_replaced: bool,
    /// Key of the first such object.
    pub first: String,
}

impl News {
    fn add(&mut self, object: &Object, held: &HourHoldings, is_replaced: bool) {
        if self.objects == 0 {
            self.first = object.key.to_string();
        }
        self.objects += 1;
        self.ticks +=
            held.partitions.values().map(|held| held.ticks + held.duplicates).sum::<u64>();
        self.is_replaced |= is_replaced;
    }

    /// Takes in another topic's.
    pub fn join(&mut self, other: &Self) {
        if self.objects == 0 {
            self.first.clone_from(&other.first);
        }
        (self.objects, self.ticks) = (self.objects + other.objects, self.ticks + other.ticks);
        self.is_replaced |= other.is_replaced;
    }

    /// Whether they are why an hour's sums have another number of ticks than the archive.
    #[must_use]
    pub fn explain(&self, summed: u64, archived: u64) -> bool {
        self.is_replaced || (summed <= archived && archived <= summed + self.ticks)
    }
}

/// An object, and where what it holds of the hours lies.
#[derive(Debug)]
pub(super) struct ReadObject {
    pub object: Object,
    /// Some of its lines are no ticks.
    has_rejects: bool,
    pub spans: Box<[OffsetSpan]>,
}

/// The smallest and the largest place in an hour and a partition.
#[derive(Debug)]
pub(super) struct OffsetSpan {
    pub hour: Hour,
    partition: i32,
    pub first: u64,
    pub last: u64,
}

impl OffsetSpan {
    fn all(holdings: &Holdings) -> Box<[Self]> {
        let places = holdings
            .hours
            .iter()
            .flat_map(|(hour, held)| held.offsets.iter().map(|of| (*hour, of)));
        let span = |(hour, (_, partition, places)): (Hour, (&str, i32, &RoaringTreemap))| {
            Some(Self { hour, partition, first: places.min()?, last: places.max()? })
        };
        places.filter_map(span).collect()
    }

    fn touches(&self, places: &OffsetsByHour) -> bool {
        let below =
            |places: &RoaringTreemap, end: Option<u64>| end.map_or(0, |end| places.rank(end));
        let places = places.get(&(self.hour, self.partition));
        places.is_some_and(|places| {
            below(places, Some(self.last)) > below(places, self.first.checked_sub(1))
        })
    }
}

impl Archived {
    /// Notes an object of which the sums have ticks without offsets and that is gone. `summed`: its
    /// version in the sums.
    fn note_without_offsets(
        &mut self,
        hour: Hour,
        key: Arc<str>,
        lines: u64,
        summed: Option<InSums>,
    ) {
        if let Some(InSums { without_offsets: ticks @ 1.., ticks: all, .. }) = summed {
            let vanished = ObjectWithoutOffsets { key, lines, ticks, is_mixed: ticks < all };
            self.vanished_without_offsets.entry(hour).or_default().push(vanished);
        }
    }

    /// `known`: what the index has of the object's folder.
    fn note_if_new(&mut self, object: &Object, known: Option<&KnownObjects>) {
        let known = known.and_then(|known| known.get(&*object.key));
        // One that had been gone is still to be taken in again.
        let is_as_read = known.is_some_and(|known| {
            known.etag == *object.etag && known.size == object.size && !known.is_gone
        });
        if !is_as_read {
            self.new_keys.insert(Arc::clone(&object.key), known.is_some());
        }
    }

    /// Notes an object whose lines are no ticks, where its folder is one of the hours'.
    fn note_tickless(
        &mut self,
        (object, folder): (&Object, Option<&Folder>),
        (part, hours): (&Holdings, &Range<Hour>),
    ) {
        let is_of_hours =
            |folder: &Folder| folder.hours.start < hours.end && hours.start < folder.hours.end;
        if part.has_rejects && part.hours.is_empty() && folder.is_some_and(is_of_hours) {
            self.tickless.get_or_insert_with(|| Arc::clone(&object.key));
        }
    }

    /// Notes what an object holds that is known, or holds twice.
    fn note_repeated(&mut self, topic: &str, part: &Holdings) {
        for (hour, held) in &part.hours {
            let known =
                self.holdings.hours.get(hour).map(|known| known.offsets.common(&held.offsets));
            let common = known
                .iter()
                .flat_map(Offsets::iter)
                .map(|(_, partition, places)| (partition, places));
            let twice = held.partitions.iter().map(|(partition, held)| (*partition, &held.doubled));
            for (partition, places) in common.chain(twice).filter(|(_, places)| !places.is_empty())
            {
                *self.repeated.entry((*hour, topic.to_owned(), partition)).or_default() |= places;
            }
        }
    }

    /// Objects some of whose lines are no ticks.
    pub(super) fn with_rejects(&self) -> impl Iterator<Item = &Object> {
        self.read.iter().filter(|read| read.has_rejects).map(|read| &read.object)
    }

    pub(super) fn note_unread(&mut self, hours: impl IntoIterator<Item = Hour>, why: &str) {
        for hour in hours {
            self.unread.entry(hour).or_insert_with(|| why.to_owned());
        }
    }
}

impl Archive {
    /// Reads the folders of the hours and their neighbours within slack, and those objects
    /// elsewhere that batch-layer has found to hold ticks of the hours. `topic`: only the objects
    /// of this one, by their names.
    ///
    /// # Errors
    /// Where the store or the database fails, or the run is stopped. `None`: several hours hold
    /// more together than there is memory for.
    pub async fn read(
        &self,
        db: &mut BatchDb,
        hours: &Range<Hour>,
        topic: Option<&str>,
    ) -> Result<Option<Archived>, Failure> {
        let mut archived = Archived::default();
        let may_be_cut = hours.start.plus(1) < hours.end;
        // On the heap, here and below: as parts of this one they would nest deeper than the
        // compiler follows.
        let covered = Box::pin(covered::keys(db, hours)).await?;
        let mut objects = self.objects(db, (hours, &covered), topic, &mut archived).await?;
        if let Some(topic) = topic {
            self.leave_out_others(topic, &mut objects, &mut archived);
        }
        if may_be_cut && objects.len() > MAX_OBJECTS {
            return Ok(None);
        }
        self.leave_out_twins(db, &mut objects, &archived).await?;
        let sharing = self.reader.sharing();
        let mut reads = stream::iter(objects)
            .map(|(object, folder)| {
                let sharing = sharing.clone();
                async move {
                    let read = sharing
                        .read_with(&object, None, |body, options| of_object(body, options, None))
                        .await;
                    (object, folder, read)
                }
            })
            // In the order of the keys: of two records with the same place the first counts, as in
            // the summaries.
            .buffered(IN_FLIGHT);
        while let Some((object, folder, mut read)) = reads.next().await {
            if matches!(read, Err(ReadError::Wide)) {
                read = self.holdings_of(&object, None, None).await;
            }
            let place = (&object, folder.as_ref());
            let read = match read {
                Ok(part) => {
                    archived.note_tickless(place, (&part, hours));
                    self.note_far(db, &mut archived, place, (&part, hours)).await?;
                    self.merge_listed(&mut archived, &object, part, hours).await
                }
                Err(error) => Err(error),
            };
            if may_be_cut && archived.holdings.bars() > MAX_BARS {
                return Ok(None);
            }
            if let Err(error) = read {
                self.note_unread(db, &mut archived, place, (error, hours)).await?;
            }
        }
        archived.holdings.flush();
        Box::pin(self.count_conflicts(&mut archived)).await?;
        for (hour, keys) in covered {
            Box::pin(self.read_covered(db, (hour, &keys), topic, &mut archived)).await?;
        }
        Ok(Some(archived))
    }

    fn look<'a>(&'a self, folder: &'a Path) -> LakeReader<'a> {
        LakeReader { store: &self.store, folder, stop: &self.stop }
    }

    /// Adds what the lake has of an hour of which raw objects were deleted for that.
    async fn read_covered(
        &self,
        db: &mut BatchDb,
        (hour, keys): (Hour, &BTreeMap<String, bool>),
        topic: Option<&str>,
        archived: &mut Archived,
    ) -> Result<(), Failure> {
        let is_own = |key: &str| topic.is_none_or(|topic| self.is_of(key, topic));
        let own = keys.iter().filter(|(key, is_deleted)| **is_deleted && is_own(key)).count();
        let mut published = table::published_objects(db, "", &(hour..hour.plus(1))).await?;
        published.retain(|object| {
            topic.is_none_or(|topic| object.source == topic || object.source.is_empty())
        });
        for object in published {
            let known = archived
                .holdings
                .hours
                .get(&hour)
                .map(|held| held.offsets.clone())
                .unwrap_or_default();
            let part = match self.of_lake(&object, known).await {
                Ok(part) => part,
                Err(LakeSourceError::OfRun(failure)) => return Err(failure),
                Err(LakeSourceError::OfObject(why)) => {
                    let what = format!(
                        "{}{}, which covers raw objects, {why}",
                        self.store.location(),
                        object.key
                    );
                    archived.note_unread([hour], &what);
                    continue;
                }
            };
            for (partition, newest) in part.hours.values().flat_map(|hour| hour.offsets.newest()) {
                let known = archived.newest.entry(partition).or_default();
                *known = newest.max(*known);
            }
            let left = archived.holdings.merge_part(part);
            debug_assert!(left.is_empty(), "what is known was left out");
            archived.lake.push(object);
        }
        archived.covered.insert(hour, u32::try_from(own).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Reads the ticks of an object of the lake other than known places.
    async fn of_lake(
        &self,
        published: &PublishedObject,
        known: Offsets,
    ) -> Result<Holdings, LakeSourceError> {
        let add = move |held: &mut Holdings, content: &TickContent<'_>, place: Place| {
            if !known.has(place)
                && held.add(place.partition, place.number(), content)
                && let Some(tick) = content.tick()
            {
                held.sum_up(&tick, place);
            }
            Ok(())
        };
        self.visit_lake(published, Holdings::default(), add).await
    }

    async fn visit_lake(
        &self,
        published: &PublishedObject,
        into: Holdings,
        add: impl Fn(&mut Holdings, &TickContent<'_>, Place) -> io::Result<()> + Send + 'static,
    ) -> Result<Holdings, LakeSourceError> {
        let folder = std::env::temp_dir();
        match source::visit(self.look(&folder), published, into, add).await {
            Ok(mut held) => {
                held.flush();
                Ok(held)
            }
            Err(LakeSourceError::OfRun(_)) if self.stop.is_cancelled() => {
                Err(LakeSourceError::OfRun(stopped_comparing()))
            }
            Err(flaw) => Err(flaw),
        }
    }

    /// The places, of some, that an object of the lake has and `known` has not.
    async fn add_lake_among(
        &self,
        published: &PublishedObject,
        places: &Arc<OffsetsByHour>,
        known: &mut Holdings,
    ) -> Result<(), Failure> {
        known.flush();
        let (places, keeps_values) = (Arc::clone(places), are_few(places));
        let of =
            known.hours.get(&published.hour).map(|held| held.offsets.clone()).unwrap_or_default();
        let add = move |held: &mut Holdings, content: &TickContent<'_>, place: Place| {
            let Some(number) = place.number() else { return Ok(()) };
            let asked = places.get(&(Hour::of(content.timestamp), place.partition));
            let is_asked = asked.is_some_and(|places| places.contains(number)) && !of.has(place);
            if is_asked && held.add(place.partition, Some(number), content) && keeps_values {
                held.keep_value(place.partition, number, content);
            }
            Ok(())
        };
        match self.visit_lake(published, Holdings::default(), add).await {
            Ok(part) => {
                let left = known.merge_part(part);
                debug_assert!(left.is_empty(), "what is known was left out");
                Ok(())
            }
            Err(LakeSourceError::OfObject(_)) => Ok(()),
            Err(LakeSourceError::OfRun(failure)) => Err(failure),
        }
    }

    /// Notes as unread what belongs to none of the topics.
    fn leave_out_others(
        &self,
        topic: &str,
        objects: &mut Vec<(Object, Option<Folder>)>,
        archived: &mut Archived,
    ) {
        for (object, folder) in objects.iter() {
            if let (Some(folder), Some(_)) = (folder, self.other_topic(&object.key)) {
                let why = format!(
                    "{}{}: it is of none of the topics of --topic",
                    self.store.location(),
                    object.key
                );
                archived.note_unread(Hour::each(folder.hours.clone()), &why);
            }
        }
        objects.retain(|(object, _)| self.is_of(&object.key, topic));
    }

    /// Whether an object belongs to a topic, by its name. One that names none belongs to the only
    /// one there is.
    pub(super) fn is_of(&self, key: &str, topic: &str) -> bool {
        let of = self.reader.topic(key);
        of == topic || (of.is_empty() && self.topics.len() == 1)
    }

    /// Where the ticks of an object that has no offsets are in a topic, by its name; `None`: it
    /// is of another one, or has no such name.
    pub(super) fn presumed(
        &self,
        object: &ObjectWithoutOffsets,
        topic: &str,
    ) -> Option<(i32, PresumedRange)> {
        let FileName::Records(origin) = self.reader.name(&object.key) else { return None };
        let start = origin.start_offset.cast_unsigned();
        let end = start.saturating_add(object.lines);
        let presumed = PresumedRange { start, end, ticks: object.ticks };
        self.is_of(&object.key, topic).then_some((origin.partition, presumed))
    }

    /// The topic that an object belongs to, where it is none of those that are compared.
    fn other_topic<'k>(&self, key: &'k str) -> Option<&'k str> {
        (!self.topics.iter().any(|topic| self.is_of(key, topic))).then(|| self.reader.topic(key))
    }

    /// The topics that are not compared, of which batch-layer has found objects with ticks of an
    /// hour.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn other_topics(
        &self,
        db: &mut BatchDb,
        hour: Hour,
    ) -> Result<BTreeSet<String>, Failure> {
        let objects = db.objects_of(hour).await?;
        Ok(objects
            .iter()
            .filter_map(|known| self.other_topic(&known.object.key))
            .map(str::to_owned)
            .collect())
    }

    /// The topics that are not compared, where all objects are taken for the only one's, and those
    /// with ticks of an hour are of several by their names.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn topics_among(
        &self,
        db: &mut BatchDb,
        hour: Hour,
    ) -> Result<BTreeSet<String>, Failure> {
        let objects = db.objects_of(hour).await?;
        let topics = objects.iter().map(|known| self.reader.topic(&known.object.key));
        let mut topics: BTreeSet<String> =
            topics.filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
        if topics.len() < 2 {
            return Ok(BTreeSet::new());
        }
        topics.retain(|topic| !self.topics.contains(topic));
        Ok(topics)
    }

    /// Leaves out objects that count next to another one of their name no more than for
    /// batch-layer.
    async fn leave_out_twins(
        &self,
        db: &mut BatchDb,
        objects: &mut Vec<(Object, Option<Folder>)>,
        archived: &Archived,
    ) -> Result<(), Failure> {
        self.leave_out_copies(db, objects, archived).await?;
        self.leave_out_older(objects).await
    }

    /// Leaves out objects that hold what another one of their name holds, which a run has read: it
    /// passes them over each time, as batch-layer does.
    async fn leave_out_copies(
        &self,
        db: &mut BatchDb,
        objects: &mut Vec<(Object, Option<Folder>)>,
        archived: &Archived,
    ) -> Result<(), Failure> {
        let twins = find_twins(objects.iter().map(|(object, _)| object));
        let mut copies: FxHashSet<Arc<str>> = FxHashSet::default();
        for (object, _) in objects.iter() {
            let is_unknown = archived.new_keys.get(&object.key) == Some(&false);
            if let Some(twin) = twins.get(&object.key).filter(|_| is_unknown) {
                let known = |other: &&Object| !archived.new_keys.contains_key(&other.key);
                let others: Vec<&Object> = twin.others(&object.key).filter(known).collect();
                if !others.is_empty() && self.is_copy(db, object, &others).await? {
                    copies.insert(Arc::clone(&object.key));
                }
            }
        }
        objects.retain(|(object, _)| !copies.contains(&object.key));
        Ok(())
    }

    /// Whether an object holds the same as one of some that the index knows.
    async fn is_copy(
        &self,
        db: &mut BatchDb,
        object: &Object,
        others: &[&Object],
    ) -> Result<bool, Failure> {
        let scan = match self.reader.read(object, None).await {
            Ok(scan) => scan,
            Err(ReadError::Outage(failure)) => return Err(failure),
            Err(ReadError::Stopped) => return Err(stopped_comparing()),
            // That is reported where it is read with the others.
            Err(ReadError::Moved | ReadError::Broken(_) | ReadError::Wide) => return Ok(false),
        };
        let print = |(hour, part): &(Hour, HourBars)| Ok((*hour, state::content_hash(part)?));
        let prints: io::Result<Vec<(Hour, u64)>> = scan.hours.iter().map(print).collect();
        let prints = prints
            .context("taking a fingerprint of what an object holds")
            .map_err(Failure::Infrastructure)?;
        if prints.is_empty() {
            return Ok(false);
        }
        for other in others {
            if db.content_hashes_of(other).await? == prints {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Leaves out objects of which another one counts, that is newer and of the same name, as
    /// batch-layer does.
    async fn leave_out_older(
        &self,
        objects: &mut Vec<(Object, Option<Folder>)>,
    ) -> Result<(), Failure> {
        let twins = find_twins(objects.iter().map(|(object, _)| object));
        let mut outdated: FxHashSet<Arc<str>> = FxHashSet::default();
        let of_name = objects
            .iter()
            .map(|(object, _)| object)
            .filter(|object| twins.contains_key(&object.key));
        let by_key: FxHashMap<&str, &Object> =
            of_name.map(|object| (&*object.key, object)).collect();
        for (key, twin) in twins.iter().filter(|(_, twin)| twin.is_newer) {
            let (older, newer) =
                (self.lacks_offsets(by_key[&**key]), self.lacks_offsets(by_key[&*twin.key]));
            let (older, newer) = future::try_join(older, newer).await?;
            if older.zip(newer).is_some_and(|(older, newer)| older || newer) {
                outdated.insert(Arc::clone(key));
            }
        }
        objects.retain(|(object, _)| !outdated.contains(&object.key));
        Ok(())
    }

    /// Whether some ticks of an object do not tell their offset; `None`: it cannot be read, which
    /// is reported where it is read with the others.
    async fn lacks_offsets(&self, object: &Object) -> Result<Option<bool>, Failure> {
        match self.holdings_of(object, None, None).await {
            Ok(held) => Ok(Some(held.hours.values().any(HourHoldings::lacks_offsets))),
            Err(ReadError::Outage(failure)) => Err(failure),
            Err(ReadError::Stopped) => Err(stopped_comparing()),
            Err(ReadError::Moved | ReadError::Broken(_) | ReadError::Wide) => Ok(None),
        }
    }

    /// Reads the objects once more that hold any of some places, for the checksums of those alone.
    /// Objects that are no longer there as they were are left out.
    ///
    /// # Errors
    /// Where the store fails, or the run is stopped.
    pub async fn read_among(
        &self,
        archived: &Archived,
        places: &Arc<OffsetsByHour>,
    ) -> Result<Holdings, Failure> {
        let holds = |read: &&ReadObject| read.spans.iter().any(|span| span.touches(places));
        let objects: Vec<Object> = archived
            .read
            .iter()
            .filter(holds)
            .map(|ReadObject { object, .. }| object.clone())
            .collect();
        let mut reads = stream::iter(objects)
            .map(async |object| {
                let read = self.holdings_of(&object, None, Some(Arc::clone(places))).await;
                (object, read)
            })
            .buffered(IN_FLIGHT);
        let mut found = Holdings::default();
        while let Some((object, read)) = reads.next().await {
            let read = match read {
                Ok(part) => self.merge_into(&mut found, &object, part, Some(places)).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(()) | Err(ReadError::Moved | ReadError::Broken(_) | ReadError::Wide) => {}
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped_comparing()),
            }
        }
        for published in &archived.lake {
            Box::pin(self.add_lake_among(published, places, &mut found)).await?;
        }
        found.flush();
        Ok(found)
    }

    /// The folders of some hours and of their neighbours within slack, below each prefix.
    fn folders(&self, hours: &Range<Hour>) -> Vec<Folder> {
        self.templates
            .iter()
            .flat_map(|template| template.folders(self.plan.around(hours)))
            .collect()
    }

    /// Lists folders. Of those that cannot be listed to their end, `unlisted` gets why.
    async fn list(
        &self,
        db: &mut BatchDb,
        folders: Vec<Folder>,
        (objects, unlisted): (&mut Listed, &mut BTreeMap<Arc<str>, String>),
        archived: &mut Archived,
    ) -> Result<(), Failure> {
        let prefixes: Vec<&str> = folders.iter().map(|folder| &*folder.prefix).collect();
        let known = db.folders(&prefixes, "").await?;
        for folder in folders {
            let listing = match self.store.list(&folder.prefix).await {
                Err(error) if error.is_of_one_folder() => {
                    let why = format!("{}{}: {error}", self.store.location(), folder.prefix);
                    archived.note_unread(Hour::each(folder.hours.clone()), &why);
                    unlisted.insert(folder.prefix, why);
                    continue;
                }
                listing => listing?,
            };
            for object in listing {
                if matches!(self.reader.name(&object.key), FileName::Records(_)) {
                    archived.note_if_new(&object, known.get(&*folder.prefix));
                    objects.insert(Arc::clone(&object.key), (object, Some(folder.clone())));
                }
            }
        }
        Ok(())
    }

    /// The objects to read, by key. The hours of a folder that cannot be listed to its end are
    /// noted as unread, and objects that only the index knows any more as vanished.
    async fn objects(
        &self,
        db: &mut BatchDb,
        (hours, covered): (&Range<Hour>, &BTreeMap<Hour, BTreeMap<String, bool>>),
        topic: Option<&str>,
        archived: &mut Archived,
    ) -> Result<Vec<(Object, Option<Folder>)>, Failure> {
        let (mut objects, mut unlisted) = (BTreeMap::new(), BTreeMap::new());
        let folders = self.folders(hours);
        let mut listed: BTreeSet<Arc<str>> =
            folders.iter().map(|folder| Arc::clone(&folder.prefix)).collect();
        self.list(db, folders, (&mut objects, &mut unlisted), archived).await?;
        let mut far: FxHashMap<Arc<str>, Object> = FxHashMap::default();
        for hour in Hour::each(hours.clone()) {
            let is_covered =
                |key: &str| covered.get(&hour).is_some_and(|keys| keys.contains_key(key));
            for Indexed { object, summed, lines, .. } in db.objects_of(hour).await? {
                // Of another topic it is that one's.
                let is_own = topic.is_none_or(|topic| self.is_of(&object.key, topic));
                let Some(folder) = self.prefix_below(&object.key, &listed) else {
                    if summed.is_some() && is_own {
                        let why = "it lies below another --prefix, and several may be given";
                        archived.note_unread([hour], &format!("{}: {why}", object.key));
                    }
                    continue;
                };
                if listed.insert(Arc::clone(&folder)) {
                    match self.store.list(&folder).await {
                        Err(error) if error.is_of_one_folder() => {
                            let why = format!("{}{folder}: {error}", self.store.location());
                            unlisted.insert(Arc::clone(&folder), why);
                        }
                        listing => far.extend(
                            listing?.into_iter().map(|object| (Arc::clone(&object.key), object)),
                        ),
                    }
                }
                if let Some(why) = unlisted.get(&folder) {
                    archived.note_unread([hour], why);
                } else if let Some(there) = far.get(&object.key) {
                    if there.etag != object.etag {
                        archived.new_keys.insert(Arc::clone(&object.key), true);
                    }
                    let object = there;
                    objects.insert(Arc::clone(&object.key), (object.clone(), None));
                } else if summed.is_some()
                    && !objects.contains_key(&object.key)
                    && !is_covered(&object.key)
                {
                    let is_young = object.last_modified.is_some_and(|at| at > self.plan.kept_since);
                    *archived.vanished.entry(hour).or_default() += u32::from(is_own);
                    *archived.deleted.entry(hour).or_default() += u32::from(is_own && is_young);
                    let summed = summed.filter(|_| is_own);
                    archived.note_without_offsets(hour, object.key, lines, summed);
                }
            }
        }
        Ok(objects.into_values().collect())
    }

    /// The folder that a key lies below, one of those that are listed where several are one inside
    /// another; `None`: it lies below none of the prefixes.
    fn prefix_below(&self, key: &str, listed: &BTreeSet<Arc<str>>) -> Option<Arc<str>> {
        let below = || self.templates.iter().filter_map(|template| template.prefix_below(key));
        let known = below().find_map(|folder| listed.get(folder).cloned());
        known.or_else(|| below().next().map(Arc::from))
    }

    async fn holdings_of(
        &self,
        object: &Object,
        exclude: Option<Arc<Exclusions>>,
        among: Option<Arc<OffsetsByHour>>,
    ) -> Result<Holdings, ReadError> {
        let scan =
            move |body: Body, options: &ScanOptions| of_object(body, options, among.as_ref());
        self.reader.read_with(object, exclude, scan).await
    }

    /// Notes hours other than those that are looked at whose comparison does not read an object, as
    /// no run has read it yet: its folder is none of theirs. One that the index alone tells about
    /// lies in a folder of other hours, which tell of it.
    async fn note_far(
        &self,
        db: &mut BatchDb,
        archived: &mut Archived,
        (object, folder): (&Object, Option<&Folder>),
        (part, hours): (&Holdings, &Range<Hour>),
    ) -> Result<(), Failure> {
        let (Some(folder), Some(is_replaced)) =
            (folder, archived.new_keys.get(&object.key).copied())
        else {
            return Ok(());
        };
        // Of one that was replaced the index still tells hours; not of one that was gone.
        let known =
            if is_replaced { db.hours_with_ticks(&object.key).await? } else { BTreeSet::new() };
        let unread = FarObject { key: Arc::clone(&object.key), why: None };
        let held = part.hours.keys().filter(|hour| !known.contains(hour));
        self.note_beyond(archived, (&unread, folder), (held.copied(), hours));
        Ok(())
    }

    /// Notes those hours that are not looked at, and beyond slack of an object's folder.
    fn note_beyond(
        &self,
        archived: &mut Archived,
        (object, folder): (&FarObject, &Folder),
        (held, hours): (impl Iterator<Item = Hour>, &Range<Hour>),
    ) {
        let near = self.plan.around(&folder.hours);
        for hour in held.filter(|hour| !hours.contains(hour) && !near.contains(hour)) {
            archived.far.note(hour, (object, folder), hours.start);
        }
    }

    /// Adds what an object holds; reads it again where records of it are there already.
    async fn merge_listed(
        &self,
        archived: &mut Archived,
        object: &Object,
        mut part: Holdings,
        hours: &Range<Hour>,
    ) -> Result<(), ReadError> {
        for (partition, newest) in part.hours.values().flat_map(|hour| hour.offsets.newest()) {
            let known = archived.newest.entry(partition).or_default();
            *known = newest.max(*known);
        }
        for (partition, held) in part.hours.values().flat_map(|hour| &hour.partitions) {
            for presumed in &held.presumed {
                let end = archived.presumed_ends.entry(*partition).or_default();
                *end = presumed.end.max(*end);
            }
        }
        for (_, other) in part.hours.extract_if(.., |hour, _| !hours.contains(hour)) {
            for (_, partition, offsets) in other.offsets.iter() {
                *archived.elsewhere.entry(partition).or_default() |= places::messages(offsets);
            }
        }
        let (spans, has_rejects) = (OffsetSpan::all(&part), part.has_rejects);
        archived.note_repeated(self.reader.topic(&object.key), &part);
        if let Some(is_replaced) = archived.new_keys.get(&object.key).copied() {
            for (hour, held) in &part.hours {
                archived.news.entry(*hour).or_default().add(object, held, is_replaced);
            }
        }
        self.merge_into(&mut archived.holdings, object, part, None).await?;
        if has_rejects || !spans.is_empty() {
            archived.read.push(ReadObject { object: object.clone(), has_rejects, spans });
        }
        Ok(())
    }

    async fn merge_into(
        &self,
        holdings: &mut Holdings,
        object: &Object,
        part: Holdings,
        among: Option<&Arc<OffsetsByHour>>,
    ) -> Result<(), ReadError> {
        let again = holdings.merge_part(part);
        if !again.is_empty() {
            let known: BTreeSet<Hour> = again.keys().copied().collect();
            let mut rest = self.holdings_of(object, Some(Arc::new(again)), among.cloned()).await?;
            rest.hours.retain(|hour, _| known.contains(hour));
            let left = holdings.merge_part(rest);
            debug_assert!(left.is_empty(), "what overlapped was left out");
        }
        Ok(())
    }

    /// `folder`: `None` where the index alone tells that the object has to do with the hours.
    async fn note_unread(
        &self,
        db: &mut BatchDb,
        archived: &mut Archived,
        (object, folder): (&Object, Option<&Folder>),
        (error, hours): (ReadError, &Range<Hour>),
    ) -> Result<(), Failure> {
        let (why, seen) = match error {
            ReadError::Moved => (
                "it was replaced or deleted while it was read: verify again".to_owned(),
                Vec::new(),
            ),
            ReadError::Broken(Breakage { why, hours, .. }) => (why, hours),
            ReadError::Wide => ("it holds too many symbols".to_owned(), Vec::new()),
            ReadError::Outage(failure) => return Err(failure),
            ReadError::Stopped => return Err(stopped_comparing()),
        };
        let own = folder.map(|folder| Hour::each(folder.hours.clone())).into_iter().flatten();
        let before = db.hours_indexed_for(&object.key).await?;
        let what = format!("{}{}: {why}", self.store.location(), object.key);
        if let Some(folder) = folder {
            // Of hours that the index knows it is read with those.
            let unknown = seen.iter().copied().filter(|hour| !before.contains(hour));
            let unread =
                FarObject { key: Arc::clone(&object.key), why: Some(what.as_str().into()) };
            self.note_beyond(archived, (&unread, folder), (unknown, hours));
        }
        archived.note_unread(own.chain(seen).chain(before), &what);
        Ok(())
    }
}
