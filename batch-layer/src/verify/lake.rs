//! The lake as a side of its own: whether its hours hold what the archive holds.

use super::outcome::Status;
use super::{Holdings, HourHoldings};
use crate::archive::{Object, Store};
use crate::hour::Hour;
use crate::index::Index;
use crate::lake::key;
use crate::lake::look::{self, Unread};
use crate::lake::table::{self, Counting};
use crate::stop::stopped_comparing;
use common::Timestamp;
use service::Failure;
use service::words::counted;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// What was found of an hour in the lake.
#[derive(Debug, Default)]
pub struct Found {
    /// Ticks that readers find; `None` where the lake does not have the hour.
    pub ticks: Option<u64>,
    pub details: Vec<(Status, String)>,
}

/// What the lake must hold.
pub struct Expected<'a> {
    /// Of the topics that are compared: what the archive has. `None` where not all of it is there, or was read: then the
    /// lake must hold what it held when it was written.
    pub archive: Option<BTreeMap<String, Option<&'a HourHoldings>>>,
    /// When the hour was computed.
    pub computed_at: Option<Timestamp>,
}

/// Where the lake is.
pub struct Lake<'a> {
    pub store: &'a Store,
    pub stop: &'a CancellationToken,
}

impl Found {
    fn find(&mut self, status: Status, detail: String) {
        self.details.push((status, detail));
    }
}

impl Lake<'_> {
    /// Reads what readers find of an hour.
    ///
    /// # Errors
    /// Where the database fails, or the store as a whole.
    pub async fn compare(&self, index: &mut Index, hour: Hour, expected: &Expected<'_>) -> Result<Found, Failure> {
        let (counting, mut found) = (table::counting_of_hour(index, hour).await?, Found::default());
        let mut held: BTreeMap<&str, Held> = BTreeMap::new();
        let mut there = self.list(&counting).await?;
        for object in &counting {
            let of_topic = held.entry(&object.source).or_default();
            let read = self.read(object, there.remove(&*object.key), std::mem::take(&mut of_topic.holdings)).await;
            match read? {
                Ok(holdings) => (of_topic.holdings, of_topic.ticks) = (holdings, of_topic.ticks + object.rows),
                Err((status, what)) => {
                    of_topic.is_short = true;
                    found.find(status, format!("the lake: {}{} {what}", self.store.location(), object.key));
                }
            }
            of_topic.is_earlier |= expected.computed_at != Some(object.computed_at);
        }
        for key in there.into_keys().filter(|key| key.ends_with(key::ENDING)) {
            let location = self.store.location();
            let detail = format!(
                "the lake: readers find {location}{key}, too, which lake_objects does not know: its ticks may be there \
                 twice; batch-layer compact mends it"
            );
            found.find(Status::Mismatch, detail);
        }
        found.ticks = (!held.is_empty()).then(|| held.values().map(|of_topic| of_topic.ticks).sum());
        for (topic, of_topic) in held.into_iter().filter(|(_, of_topic)| !of_topic.is_short) {
            let Some(archived) = expected.archive.as_ref().and_then(|archive| archive.get(topic)).copied() else {
                continue;
            };
            let is_earlier = of_topic.is_earlier;
            match of_topic.difference(hour, archived) {
                Some(what) if is_earlier => {
                    let then = "batch-layer compact brings it up to date";
                    found.find(Status::Ok, format!("the lake has an earlier state of {topic}: {what}; {then}"));
                }
                Some(what) => {
                    let detail = format!("the lake has other ticks of {topic} than the archive: {what}");
                    found.find(Status::Mismatch, detail);
                }
                None => {}
            }
        }
        Ok(found)
    }

    /// What lies in the folders of some objects.
    async fn list(&self, counting: &[Counting]) -> Result<BTreeMap<String, Object>, Failure> {
        let folders: BTreeSet<&str> = counting.iter().filter_map(|object| key::folder_of(&object.key)).collect();
        let mut there = BTreeMap::new();
        for folder in folders {
            let listed = self.store.list(folder).await?;
            there.extend(listed.into_iter().map(|object| (object.key.to_string(), object)));
        }
        Ok(there)
    }

    /// Adds what an object holds to `known`; or what is wrong with it.
    async fn read(
        &self,
        counting: &Counting,
        object: Option<Object>,
        known: Holdings,
    ) -> Result<Result<Holdings, (Status, String)>, Failure> {
        const CURE: &str = "batch-layer compact writes the hour anew where its raw objects are there";
        let Some(object) = object else {
            return Ok(Err((Status::Mismatch, format!("is gone; {CURE}"))));
        };
        let room = (&*std::env::temp_dir(), self.stop);
        let wrong = match look::read(self.store, &object, room, known).await {
            Ok(held) if (held.rows, held.checksum) == (counting.rows, counting.checksum) => {
                return Ok(Ok(held.holdings));
            }
            Ok(_) => "holds other ticks than when it was written".to_owned(),
            Err(Unread::Damaged(why)) => format!("cannot be read: {why}"),
            Err(Unread::Moved) => return Ok(Err((Status::Open, "was replaced meanwhile: verify again".to_owned()))),
            Err(Unread::Away(_)) if self.stop.is_cancelled() => return Err(stopped_comparing()),
            Err(Unread::Away(failure)) => return Ok(Err((Status::Open, format!("could not be read: {failure}")))),
        };
        Ok(Err((Status::Mismatch, format!("{wrong}; {CURE}"))))
    }
}

/// What the lake has of a topic.
#[derive(Default)]
struct Held {
    holdings: Holdings,
    ticks: u64,
    /// Some of it was not read.
    is_short: bool,
    /// It was written before the hour was computed last.
    is_earlier: bool,
}

impl Held {
    fn difference(mut self, hour: Hour, archived: Option<&HourHoldings>) -> Option<String> {
        self.holdings.settle();
        let elsewhere: u64 = (self.holdings.hours.iter())
            .filter(|(of, _)| **of != hour)
            .flat_map(|(_, held)| held.shares.values())
            .map(|share| share.ticks)
            .sum();
        if elsewhere > 0 {
            return Some(format!("{} of another hour", counted(elsewhere, "tick")));
        }
        super::difference(archived, self.holdings.hours.get(&hour))
    }
}
