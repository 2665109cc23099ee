//! Whether the store is the one in which the known objects lie.
//!
//! In another bucket every object looks deleted. So, before a listing is believed, where hours were
//! computed from another place: some object that they are known to have been made of must be here,
//! too, as where an archive was copied. Where none is, the bucket is the wrong one until a person
//! says that the archive has moved.

use crate::archive::{Folder, ObjectStore};
use crate::hour::Hour;
use crate::index::BatchDb;
use futures::StreamExt;
use service::Failure;
use service::words::inflected;
use std::ops::Range;

/// Folders whose known objects are asked for at once.
const FOLDERS_AT_ONCE: usize = 500;

/// What is known of where the known objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Here, or a person says that the archive has moved here.
    Here,
    /// Some hours were computed from another place, and no object of theirs was looked for yet.
    Unsure,
}

impl Whereabouts {
    /// Before any folder is looked at.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(
        db: &mut BatchDb,
        store: &ObjectStore,
        has_moved: bool,
    ) -> Result<Self, Failure> {
        let is_sure = has_moved || !db.is_elsewhere_known(&store.location()).await?;
        Ok(if is_sure { Self::Here } else { Self::Unsure })
    }

    /// Looks for known objects of some folders. `emptied`: the hours that may lose their ticks
    /// although nothing of them is there any more.
    ///
    /// # Errors
    /// [`Failure::Configuration`] where some are known, of another place, and none is here.
    pub async fn check(
        &mut self,
        db: &mut BatchDb,
        store: &ObjectStore,
        folders: &[Folder],
        emptied: Option<&Range<Hour>>,
    ) -> Result<(), Failure> {
        if *self == Self::Here {
            return Ok(());
        }
        let location = store.location();
        let mut missed: Option<(String, u64)> = None;
        for some in folders.chunks(FOLDERS_AT_ONCE) {
            let prefixes: Vec<&str> = some.iter().map(|folder| &*folder.prefix).collect();
            let known = db.known_elsewhere(&prefixes, &location, emptied.is_some()).await?;
            let known_of =
                |folder: &Folder| known.get(&*folder.prefix).map_or(&[][..], Vec::as_slice);
            let asked = some.iter().filter(|folder| !known_of(folder).is_empty());
            let mut listings = store.listings(asked.cloned().collect());
            while let Some((folder, listing)) = listings.next().await {
                let listing = match listing {
                    Err(error) if error.is_of_one_folder() => continue,
                    listing => listing?,
                };
                let known = known_of(&folder);
                if listing.iter().any(|object| known.iter().any(|known| known.is(object))) {
                    *self = Self::Here;
                    return Ok(());
                }
                let newest = known.last().map(|known| known.location.clone()).unwrap_or_default();
                let count = missed.map_or(0, |(_, count)| count) + known.len() as u64;
                missed = Some((newest, count));
            }
        }
        if let (None, Some(hours)) = (&missed, emptied) {
            let former = db.computed_elsewhere(hours, &location).await?;
            missed = former.map(|former| (former, 0));
        }
        match missed {
            None => Ok(()),
            Some((former, count)) => {
                Err(Failure::Configuration(anyhow::anyhow!(refusal(&location, &former, count))))
            }
        }
    }
}

/// `count`: the objects that were looked for.
fn refusal(location: &str, former: &str, count: u64) -> String {
    let missing = match count {
        0 => format!("hours of the window were computed from {former}, and not from {location}"),
        count => format!(
            "{} known of these hours, which were computed from {former}, and {location} has none of them",
            inflected(count, "object[s] [is|are]")
        ),
    };
    format!(
        "{missing}: nothing was written. Give --bucket {} where they still lie there; where the archive has moved \
         for good, and the objects are not to be copied, --archive-moved says so",
        bucket_of(former)
    )
}

/// What `--bucket` calls a place.
#[must_use]
pub fn bucket_of(location: &str) -> &str {
    location.strip_prefix("s3://").map_or(location, |bucket| bucket.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Object;
    use crate::index::KnownElsewhere;
    use common::Timestamp;

    fn known(key: &str, etag: &str, size: u64) -> KnownElsewhere {
        KnownElsewhere { key: key.into(), etag: etag.into(), size, location: "s3://a/".into() }
    }

    #[test]
    fn a_copy_is_known_by_its_size_or_its_etag_and_a_name_alone_is_none() {
        let object = Object {
            key: "raw/1".into(),
            etag: "etag".into(),
            size: 7,
            last_modified: Some(Timestamp::from_micros(0)),
        };
        assert!(known("raw/1", "etag", 7).is(&object) && known("raw/1", "parts-2", 7).is(&object));
        assert!(!known("raw/1", "other", 8).is(&object) && !known("raw/2", "etag", 7).is(&object));
    }

    #[test]
    fn the_former_place_is_named_as_the_flag_has_it() {
        assert_eq!(bucket_of("s3://stock-data/"), "stock-data");
        assert_eq!(bucket_of("file:///data/"), "file:///data/");
        assert_eq!(
            refusal("s3://new/", "s3://old/", 2),
            "2 objects are known of these hours, which were computed from s3://old/, and s3://new/ has none of them: \
             nothing was written. Give --bucket old where they still lie there; where the archive has moved for good, \
             and the objects are not to be copied, --archive-moved says so"
        );
    }
}
