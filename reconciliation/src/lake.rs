//! The lake as a side of its own: whether its hours hold what the archive holds.

use crate::outcome::Status;
use crate::stop::stopped_comparing;
use common::Timestamp;
use hourly::archive::{Object, ObjectStore};
use hourly::holdings::{Holdings, HourHoldings, find_difference};
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::lake::key;
use hourly::lake::look::{LakeReadError, LakeReader};
use hourly::lake::table::{self, PublishedObject};
use service::Failure;
use service::words::counted;
use std::collections::{BTreeMap, BTreeSet};

/// The lake's side of an hour.
#[derive(Debug, Default)]
pub struct LakeComparison {
    /// Ticks that readers find, where there are several lakes in the one that has least; `None`
    /// where none has the hour.
    pub ticks: Option<u64>,
    pub details: Vec<(Status, String)>,
}

/// Ticks that the lake must hold.
pub struct Expected<'a> {
    /// Of the topics that are compared: what the archive has. `None` where not all of it is there,
    /// or was read: then the lake must hold what it held when it was written.
    pub archive: Option<BTreeMap<String, Option<&'a HourHoldings>>>,
    /// When the hour was computed.
    pub computed_at: Option<Timestamp>,
}

impl LakeComparison {
    fn find(&mut self, status: Status, detail: String) {
        self.details.push((status, detail));
    }

    /// Notes whether a lake's folder has other ticks of a topic than the archive.
    fn compare(
        &mut self,
        folder: &str,
        hour: Hour,
        of_topic: TopicOfLake<'_>,
        archived: Option<&HourHoldings>,
    ) {
        let (topic, is_earlier) = (of_topic.topic, of_topic.is_earlier);
        match of_topic.find_difference(hour, archived) {
            Some(what) if is_earlier => {
                let then = "batch-layer compact brings it up to date";
                self.find(
                    Status::Ok,
                    format!("{folder} in the lake has an earlier state of {topic}: {what}; {then}"),
                );
            }
            Some(what) => {
                let detail = format!(
                    "{folder} in the lake has other ticks of {topic} than the archive: {what}"
                );
                self.find(Status::Mismatch, detail);
            }
            None => {}
        }
    }
}

/// Reads what readers find of an hour, in each lake that has it.
///
/// # Errors
/// Where the database fails, or the store as a whole.
pub async fn compare(
    db: &mut BatchDb,
    look: LakeReader<'_>,
    hour: Hour,
    expected: &Expected<'_>,
) -> Result<LakeComparison, Failure> {
    let (published, mut found) =
        (table::published_objects(db, "", &(hour..hour.plus(1))).await?, LakeComparison::default());
    // A folder is one topic's in one lake.
    let mut held: BTreeMap<&str, TopicOfLake> = BTreeMap::new();
    let mut there = list(look.store, &published).await?;
    let location = look.store.location();
    for object in &published {
        let of_topic = held.entry(key::folder_of(&object.key).unwrap_or_default()).or_default();
        of_topic.topic = &object.source;
        of_topic.is_earlier |= expected.computed_at != Some(object.computed_at);
        let known = std::mem::take(&mut of_topic.holdings);
        match read(look, object, there.remove(&*object.key), known).await? {
            Contents::Read(holdings) => {
                (of_topic.holdings, of_topic.ticks) =
                    (holdings, of_topic.ticks + object.contents.rows)
            }
            Contents::Wrong(status, what) => {
                of_topic.is_short = true;
                found.find(status, format!("the lake: {location}{} {what}", object.key));
            }
        }
    }
    for key in there.into_keys().filter(|key| key.ends_with(key::ENDING)) {
        let detail = format!(
            "the lake: readers find {location}{key}, too, which lake_objects does not know: its \
             ticks may be there twice; batch-layer compact mends it"
        );
        found.find(Status::Mismatch, detail);
    }
    let mut of_lakes: BTreeMap<&str, u64> = BTreeMap::new();
    for (folder, of_topic) in &held {
        *of_lakes.entry(key::lake_of(folder)).or_default() += of_topic.ticks;
    }
    found.ticks = of_lakes.into_values().min();
    for (folder, of_topic) in held.into_iter().filter(|(_, of_topic)| !of_topic.is_short) {
        let Some(archived) =
            expected.archive.as_ref().and_then(|archive| archive.get(of_topic.topic)).copied()
        else {
            continue;
        };
        found.compare(folder, hour, of_topic, archived);
    }
    Ok(found)
}

/// Lists the folders of some objects.
async fn list(
    store: &ObjectStore,
    published: &[PublishedObject],
) -> Result<BTreeMap<String, Object>, Failure> {
    let folders: BTreeSet<&str> =
        published.iter().filter_map(|object| key::folder_of(&object.key)).collect();
    let mut there = BTreeMap::new();
    for folder in folders {
        let listed = store.list(folder).await?;
        there.extend(listed.into_iter().map(|object| (object.key.to_string(), object)));
    }
    Ok(there)
}

/// Contents of an object of the lake.
enum Contents {
    /// What it holds, and what was known before.
    Read(Holdings),
    Wrong(Status, String),
}

/// Adds what an object holds to `known`.
async fn read(
    look: LakeReader<'_>,
    published: &PublishedObject,
    object: Option<Object>,
    known: Holdings,
) -> Result<Contents, Failure> {
    const HOW_TO_FIX: &str =
        "batch-layer compact writes the hour anew where its raw objects are there";
    let Some(object) = object else {
        return Ok(Contents::Wrong(Status::Mismatch, format!("is gone; {HOW_TO_FIX}")));
    };
    let wrong = match look.read(&object, known).await {
        Ok((holdings, contents)) if contents.has_ticks_of(&published.contents) => {
            return Ok(Contents::Read(holdings));
        }
        Ok(_) => "holds other ticks than when it was written".to_owned(),
        Err(LakeReadError::Damaged(why)) => format!("cannot be read: {why}"),
        Err(LakeReadError::Moved) => {
            return Ok(Contents::Wrong(
                Status::Open,
                "was replaced meanwhile: verify again".to_owned(),
            ));
        }
        Err(LakeReadError::Away(_)) if look.stop.is_cancelled() => return Err(stopped_comparing()),
        Err(LakeReadError::Away(failure)) => {
            return Ok(Contents::Wrong(Status::Open, format!("could not be read: {failure}")));
        }
    };
    Ok(Contents::Wrong(Status::Mismatch, format!("{wrong}; {HOW_TO_FIX}")))
}

/// A topic's ticks in the lake.
#[derive(Default)]
struct TopicOfLake<'a> {
    topic: &'a str,
    holdings: Holdings,
    ticks: u64,
    /// Some of it was not read.
    is_short: bool,
    /// It was written before the hour was computed last.
    is_earlier: bool,
}

impl TopicOfLake<'_> {
    fn find_difference(mut self, hour: Hour, archived: Option<&HourHoldings>) -> Option<String> {
        self.holdings.flush();
        let elsewhere: u64 = (self.holdings.hours.iter())
            .filter(|(of, _)| **of != hour)
            .flat_map(|(_, held)| held.partitions.values())
            .map(|held| held.ticks)
            .sum();
        if elsewhere > 0 {
            return Some(format!("{} of another hour", counted(elsewhere, "tick")));
        }
        find_difference(archived, self.holdings.hours.get(&hour))
    }
}
