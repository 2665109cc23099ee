//! What the archive holds of a stretch of hours.

use super::holdings::{self, Holdings};
use crate::archive::{FileName, Folder, MAX_OBJECTS, Object, PrefixTemplate, Store, StoreError};
use crate::cli::Plan;
use crate::hour::Hour;
use crate::index::{Index, Indexed};
use crate::reader::{Broken, IN_FLIGHT, ReadError, Reader};
use crate::scan::{Exclusions, places};
use crate::totals::MAX_BARS;
use common::Failure;
use futures::stream::{self, StreamExt};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Where the archive is, and how it is read.
pub struct Archive {
    pub template: PrefixTemplate,
    pub store: Store,
    pub reader: Reader,
    pub plan: Plan,
    /// All that are compared.
    pub topics: Vec<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Archived {
    pub holdings: Holdings,
    /// Hours that an object which cannot be read may touch, with that object and why.
    pub unread: BTreeMap<Hour, String>,
    /// The newest offset of each partition, of whatever hour.
    pub newest: BTreeMap<i32, u64>,
    /// Messages with ticks of hours that are not looked at, by partition.
    pub elsewhere: BTreeMap<i32, RoaringTreemap>,
}

impl Archived {
    fn note_unread(&mut self, hours: impl IntoIterator<Item = Hour>, why: &str) {
        for hour in hours {
            self.unread.entry(hour).or_insert_with(|| why.to_owned());
        }
    }
}

impl Archive {
    /// Reads the folders of the hours and their neighbours within slack, and those objects elsewhere that batch-layer
    /// has found to hold ticks of the hours. `topic`: only the objects of this one, by their names.
    ///
    /// # Errors
    /// Where the store or the database fails, or the run is stopped. `None`: several hours hold more together than there is
    /// memory for.
    pub async fn read(
        &self,
        index: &mut Index,
        hours: &Range<Hour>,
        topic: Option<&str>,
    ) -> Result<Option<Archived>, Failure> {
        let mut archived = Archived::default();
        let may_be_cut = hours.start.plus(1) < hours.end;
        let mut objects = self.objects(index, hours, &mut archived).await?;
        if let Some(topic) = topic {
            self.leave_out_others(topic, &mut objects, &mut archived);
        }
        if may_be_cut && objects.len() > MAX_OBJECTS {
            return Ok(None);
        }
        let sharing = self.reader.sharing();
        let mut reads = stream::iter(objects)
            .map(|(object, folder)| {
                let sharing = sharing.clone();
                async move {
                    let read = sharing.read_with(&object, None, holdings::of_object).await;
                    (object, folder, read)
                }
            })
            // In the order of the keys: of two records with the same place the first counts, as in the summaries.
            .buffered(IN_FLIGHT);
        while let Some((object, folder, mut read)) = reads.next().await {
            if matches!(read, Err(ReadError::Wide)) {
                read = self.holdings_of(&object, None).await;
            }
            let read = match read {
                Ok(part) => self.absorb(&mut archived, &object, part, hours).await,
                Err(error) => Err(error),
            };
            if may_be_cut && archived.holdings.bars() > MAX_BARS {
                return Ok(None);
            }
            if let Err(error) = read {
                self.note_unread(index, &mut archived, (&object, folder.as_ref()), error).await?;
            }
        }
        archived.holdings.settle();
        Ok(Some(archived))
    }

    /// Notes as unread what belongs to none of the topics.
    fn leave_out_others(&self, topic: &str, objects: &mut Vec<(Object, Option<Folder>)>, archived: &mut Archived) {
        for (object, folder) in objects.iter() {
            let of = self.reader.topic(&object.key);
            if let (Some(folder), false) = (folder, self.topics.iter().any(|topic| topic == of)) {
                let why = format!("{}{}: it is of none of the topics of --topic", self.store.location(), object.key);
                archived.note_unread(Hour::each(folder.hours.clone()), &why);
            }
        }
        objects.retain(|(object, _)| self.reader.topic(&object.key) == topic);
    }

    /// What is to be read, by key. The hours of a folder that cannot be listed to its end are noted as unread.
    async fn objects(
        &self,
        index: &mut Index,
        hours: &Range<Hour>,
        archived: &mut Archived,
    ) -> Result<Vec<(Object, Option<Folder>)>, Failure> {
        let mut objects = BTreeMap::new();
        let folders = self.template.folders(self.plan.around(hours));
        let listed: BTreeSet<Arc<str>> = folders.iter().map(|folder| Arc::clone(&folder.prefix)).collect();
        let mut unlisted: BTreeMap<Arc<str>, String> = BTreeMap::new();
        for folder in folders {
            let listing = match self.store.list(&folder.prefix).await {
                Err(error @ StoreError::TooMany) => {
                    let why = format!("{}{}: {error}", self.store.location(), folder.prefix);
                    archived.note_unread(Hour::each(folder.hours.clone()), &why);
                    unlisted.insert(folder.prefix, why);
                    continue;
                }
                listing => listing?,
            };
            for object in listing {
                if matches!(self.reader.name(&object.key), FileName::Records(_)) {
                    objects.insert(Arc::clone(&object.key), (object, Some(folder.clone())));
                }
            }
        }
        for hour in Hour::each(hours.clone()) {
            for Indexed { object, folder, merged, .. } in index.objects_of(hour).await? {
                if let Some(why) = unlisted.get(&folder) {
                    archived.note_unread([hour], why);
                } else if merged && !self.template.owns(&folder) {
                    archived.note_unread([hour], &format!("{}: it lies below another --prefix", object.key));
                } else if self.template.owns(&folder) && !listed.contains(&folder) {
                    objects.insert(Arc::clone(&object.key), (object, None));
                }
            }
        }
        Ok(objects.into_values().collect())
    }

    async fn holdings_of(&self, object: &Object, exclude: Option<Arc<Exclusions>>) -> Result<Holdings, ReadError> {
        self.reader.read_with(object, exclude, holdings::of_object).await
    }

    /// Adds what an object holds; reads it again where records of it are there already.
    async fn absorb(
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
        for (_, other) in part.hours.extract_if(.., |hour, _| !hours.contains(hour)) {
            for (_, partition, offsets) in other.offsets.iter() {
                *archived.elsewhere.entry(partition).or_default() |= places::messages(offsets);
            }
        }
        let again = archived.holdings.absorb(part);
        if !again.is_empty() {
            let known: BTreeSet<Hour> = again.keys().copied().collect();
            let mut rest = self.holdings_of(object, Some(Arc::new(again))).await?;
            rest.hours.retain(|hour, _| known.contains(hour));
            let left = archived.holdings.absorb(rest);
            debug_assert!(left.is_empty(), "what overlapped was left out");
        }
        Ok(())
    }

    /// `folder`: `None` where the index alone knows the object; once that is gone, it has nothing to do with the hours.
    async fn note_unread(
        &self,
        index: &mut Index,
        archived: &mut Archived,
        (object, folder): (&Object, Option<&Folder>),
        error: ReadError,
    ) -> Result<(), Failure> {
        let (why, seen) = match error {
            ReadError::Moved if folder.is_none() => return Ok(()),
            ReadError::Moved => ("it was replaced or deleted while it was read: verify again".to_owned(), Vec::new()),
            ReadError::Broken(Broken { why, hours, .. }) => (why, hours),
            ReadError::Wide => ("it holds too many symbols".to_owned(), Vec::new()),
            ReadError::Outage(failure) => return Err(failure),
            ReadError::Stopped => return Err(super::stopped()),
        };
        let own = folder.map(|folder| Hour::each(folder.hours.clone())).into_iter().flatten();
        let before = index.hours_of(&object.key).await?;
        let what = format!("{}{}: {why}", self.store.location(), object.key);
        archived.note_unread(own.chain(seen).chain(before), &what);
        Ok(())
    }
}
