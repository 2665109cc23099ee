//! [`Inventory`]: what lies in the lake, held against what `lake_objects` says.

use super::key;
use super::look::{LakeReadError, LakeReader};
use super::table::{self, Candidate, CompactionStatus, PublishedObject};
use crate::archive::Object;
use crate::holdings::Holdings;
use crate::hour::Hour;
use crate::index::BatchDb;
use service::Failure;
use service::words::counted;
use std::collections::BTreeMap;
use std::ops::Range;

/// Differences between the lake and `lake_objects`.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Objects that it does not name, by the folder that readers find them in.
    unknown_objects: BTreeMap<String, Vec<Object>>,
    /// Hours of which an object that counts is gone, or holds something else; and what is wrong.
    damaged: BTreeMap<Hour, String>,
}

impl Inventory {
    /// Lists the lake, and holds its hours of a window against the table. An object that is another
    /// one than it was is read: a copy that was put back holds the same.
    ///
    /// # Errors
    /// Where the store or the database fails.
    pub async fn take(
        db: &mut BatchDb,
        look: LakeReader<'_>,
        prefix: &str,
        window: &Range<Hour>,
    ) -> Result<Self, Failure> {
        let (store, mut there) = (look.store, BTreeMap::new());
        for source in store.folders(&key::sources(prefix), "", true).await? {
            there.extend(
                store.list(&source).await?.into_iter().map(|object| (object.key.clone(), object)),
            );
        }
        let mut inventory = Self::default();
        for published in table::published_objects(db, prefix, window).await? {
            let object = there.remove(&*published.key);
            if let Some(what) = fault(db, look, &published, object).await? {
                inventory.damaged.insert(
                    published.hour,
                    format!("{}{} {what}", store.location(), published.key),
                );
            }
        }
        for object in there.into_values().filter(|object| object.key.ends_with(key::ENDING)) {
            let Some(folder) = key::folder_of(&object.key) else { continue };
            if key::hour_of(folder).is_some_and(|hour| window.contains(&hour)) {
                inventory.unknown_objects.entry(folder.to_owned()).or_default().push(object);
            }
        }
        Ok(inventory)
    }

    /// The hours that are not as they should be.
    pub fn hours(&self) -> Vec<Hour> {
        let unknown = self.unknown_objects.keys().filter_map(|folder| key::hour_of(folder));
        self.damaged.keys().copied().chain(unknown).collect()
    }

    /// The hours of which the lake has lost ticks.
    pub fn damaged(&self) -> Vec<Hour> {
        self.damaged.keys().copied().collect()
    }

    /// Unknown objects of a folder.
    pub fn unknown_objects(&self, folder: &str) -> &[Object] {
        self.unknown_objects.get(folder).map_or(&[], Vec::as_slice)
    }

    /// Logs what is wrong; returns the hours of which the lake lacks ticks that nothing brings back
    /// in this run.
    pub fn report(&self, candidates: &[Candidate]) -> Vec<Hour> {
        let is_due = |hour: Hour| {
            candidates.iter().any(|candidate| {
                candidate.hour == hour && candidate.status == CompactionStatus::Due
            })
        };
        let mut left = Vec::new();
        for (hour, what) in &self.damaged {
            let outcome = if is_due(*hour) {
                "the hour is written again"
            } else {
                left.push(*hour);
                "the hour cannot be written again: its raw objects are not all there, or it is \
                 not complete. Restore it, as from the bucket's versions"
            };
            tracing::warn!(%hour, error = what, outcome, "hour {hour}: {what}; {outcome}");
        }
        let of_others = self
            .unknown_objects
            .iter()
            .filter(|(folder, _)| key::hour_of(folder).is_some_and(|hour| !is_due(hour)));
        let objects: Vec<&Object> = of_others.flat_map(|(_, objects)| objects).collect();
        if let Some(first) = objects.first() {
            let text = counted(objects.len() as u64, "object");
            tracing::warn!(
                objects = objects.len(),
                first = %first.key,
                "readers of the lake see {text} that lake_objects does not know, the first {}: of \
                 another database, whose ticks they may count twice. They are left alone, as their \
                 hours cannot be written again",
                first.key
            );
        }
        left
    }
}

/// The fault of a published object, if any.
async fn fault(
    db: &mut BatchDb,
    look: LakeReader<'_>,
    published: &PublishedObject,
    object: Option<Object>,
) -> Result<Option<String>, Failure> {
    let Some(object) = object else {
        return Ok(Some("is gone".to_owned()));
    };
    if *object.etag == *published.etag && object.size == published.size {
        return Ok(None);
    }
    match look.read(&object, Holdings::default()).await {
        Ok((_, contents)) if contents.has_ticks_of(&published.contents) => {
            table::note_copy(db, &published.key, (&object, contents.digest)).await?;
            Ok(None)
        }
        Ok(_) => Ok(Some("was overwritten, and holds other ticks".to_owned())),
        Err(LakeReadError::Moved) => Ok(Some("is gone".to_owned())),
        Err(LakeReadError::Damaged(why)) => {
            Ok(Some(format!("was overwritten, and cannot be read: {why}")))
        }
        Err(LakeReadError::Away(failure)) => Err(failure),
    }
}
