//! Objects of one name, but for what says that they are compressed.
//!
//! Two lie there while an object is compressed where it lies, and where a sink was given another
//! compression and began its object anew: then both hold the records from the same offset on, each
//! as far as it goes. Where lines tell their offsets, each record counts once anyway. Where they do
//! not, one of the two objects counts. It is the newer: what the sink wrote after that follows on
//! its records, and not on those of the older one.

use super::{Object, uncompressed};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::sync::Arc;

/// The other object of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    pub key: Arc<str>,
    /// It is the one that counts where lines do not tell their offsets.
    pub is_newer: bool,
}

/// Those objects of a listing that are not alone with their names, by key: of the newest another
/// one, of each other the newest.
#[must_use]
pub fn twins<'a>(listing: impl Iterator<Item = &'a Object> + Clone) -> FxHashMap<Arc<str>, Twin> {
    let mut twins = FxHashMap::default();
    // Mostly all objects of a folder are compressed alike.
    let is_packed = |object: &Object| uncompressed(&object.key).len() < object.key.len();
    if !listing.clone().any(is_packed) {
        return twins;
    }
    let mut newest: FxHashMap<&str, &Object> = FxHashMap::default();
    for object in listing {
        let Some(other) = newest.insert(uncompressed(&object.key), object) else {
            continue;
        };
        // Of two of one time the first by key counts. What tells none was stored just now, for all
        // that is known.
        let rank = |object: &'a Object| {
            (object.last_modified.is_none(), object.last_modified, Reverse(&object.key))
        };
        let (older, newer) =
            if rank(object) > rank(other) { (other, object) } else { (object, other) };
        newest.insert(uncompressed(&newer.key), newer);
        twins.insert(Arc::clone(&older.key), Twin { key: Arc::clone(&newer.key), is_newer: true });
        twins.insert(Arc::clone(&newer.key), Twin { key: Arc::clone(&older.key), is_newer: false });
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    #[test]
    fn of_objects_of_one_name_the_newest_counts_and_of_one_time_the_first_by_key() {
        let object = |(key, at): (&str, i64)| Object {
            key: key.into(),
            etag: String::new(),
            size: 1,
            last_modified: Some(Timestamp::from_micros(at)),
        };
        for (listed, expected) in [
            (&[("a.json", 1), ("b.json.gz", 2)][..], &[][..]),
            (
                &[("a.json", 1), ("a.json.gz", 2)],
                &[("a.json", "a.json.gz", true), ("a.json.gz", "a.json", false)],
            ),
            (
                &[("a.json", 2), ("a.json.gz", 2)],
                &[("a.json", "a.json.gz", false), ("a.json.gz", "a.json", true)],
            ),
        ] {
            let listing: Vec<_> = listed.iter().copied().map(object).collect();
            let twins = twins(listing.iter());
            let mut found: Vec<_> =
                twins.iter().map(|(key, twin)| (&**key, &*twin.key, twin.is_newer)).collect();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
