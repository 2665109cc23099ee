//! Objects of one name, but for what says that they are compressed.
//!
//! Two lie there while an object is compressed where it lies, and where a sink was given another
//! compression and began its object again: then both hold the records from the same offset on, each
//! as far as it goes. Where lines tell their offsets, each record counts once anyway. Where they do
//! not, one of the two objects counts. It is the newer: what the sink wrote after that follows on
//! its records, and not on those of the older one.

use super::{Object, uncompressed};
use common::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::sync::Arc;

/// Another object of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    pub key: Arc<str>,
    /// It is the one that counts where lines do not tell their offsets.
    pub is_newer: bool,
    /// All objects of the name, as listed, the newest last.
    pub all: Arc<[Object]>,
}

impl Twin {
    /// Whether two objects of the name were stored at one time, or tell none.
    #[must_use]
    pub fn are_as_old(&self, one: &str, other: &str) -> bool {
        let of = |key: &str| self.all.iter().find(|object| *object.key == *key);
        of(one).map(|one| one.last_modified) == of(other).map(|other| other.last_modified)
    }

    /// The others of the name of `key`.
    pub fn others<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Object> {
        self.all.iter().filter(move |other| *other.key != *key)
    }
}

/// The objects of a listing that share their names with others, by key: for the newest, the newest
/// of the others; for each other, the newest.
#[must_use]
pub fn find_twins<'a>(
    listing: impl Iterator<Item = &'a Object> + Clone,
) -> FxHashMap<Arc<str>, Twin> {
    // Mostly all objects of a folder are compressed alike.
    let is_packed = |object: &Object| uncompressed(&object.key).len() < object.key.len();
    if !listing.clone().any(is_packed) {
        return FxHashMap::default();
    }
    let mut names: FxHashSet<&str> = FxHashSet::default();
    let of_several = listing.clone().map(|object| uncompressed(&object.key));
    let mut by_name: FxHashMap<&str, Vec<&Object>> =
        of_several.filter(|name| !names.insert(*name)).map(|name| (name, Vec::new())).collect();
    for object in listing {
        if let Some(all) = by_name.get_mut(uncompressed(&object.key)) {
            all.push(object);
        }
    }
    by_name.into_values().flat_map(of_one_name).collect()
}

fn of_one_name(mut all: Vec<&Object>) -> Vec<(Arc<str>, Twin)> {
    all.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
    let all: Arc<[Object]> = all.into_iter().cloned().collect();
    let [.., second, newest] = &all[..] else {
        return Vec::new();
    };
    let twin = |object: &Object| {
        let is_newer = object.key != newest.key;
        let other = if is_newer { newest } else { second };
        let (key, all) = (Arc::clone(&other.key), Arc::clone(&all));
        (Arc::clone(&object.key), Twin { key, is_newer, all })
    };
    all.iter().map(twin).collect()
}

/// If two have the same time, the first by key counts. One without a time counts as stored just
/// now.
fn rank(object: &Object) -> (bool, Option<Timestamp>, Reverse<&str>) {
    (object.last_modified.is_none(), object.last_modified, Reverse(&*object.key))
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
            (
                &[("a.json", 1), ("a.json.gz", 2), ("a.json.zst", 3), ("b.json", 4)],
                &[
                    ("a.json", "a.json.zst", true),
                    ("a.json.gz", "a.json.zst", true),
                    ("a.json.zst", "a.json.gz", false),
                ],
            ),
        ] {
            let listing: Vec<_> = listed.iter().copied().map(object).collect();
            let twins = find_twins(listing.iter());
            let at = |of: &str| listed.iter().find(|(key, _)| *key == of).map(|(_, at)| at);
            for (key, twin) in &twins {
                assert_eq!(twin.are_as_old(key, &twin.key), at(key) == at(&twin.key), "{key}");
            }
            let mut found: Vec<_> =
                twins.iter().map(|(key, twin)| (&**key, &*twin.key, twin.is_newer)).collect();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
