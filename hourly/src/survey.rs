//! What has changed in a folder of the archive since it was indexed.

use crate::archive::{FileName, FileNameTemplate, Folder, Object, Twin, find_twins, uncompressed};
use crate::index::KnownObjects;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// An object that is new, or another one than the index knows.
#[derive(Debug, Clone)]
pub struct Change {
    pub object: Object,
    pub folder: Folder,
    pub kind: ChangeKind,
    /// It was read before, by other rules than this run's.
    pub by_other_rules: bool,
    /// A listed object of the same name, but for what says that it is compressed.
    pub twin: Option<Twin>,
    /// The index's entries of the others of its name, if this one is the newest. The last is
    /// the one that it takes the place of, if of any.
    pub older: Vec<OlderTwin>,
}

/// The index's entry of an object that has a newer twin.
#[derive(Debug, Clone)]
pub struct OlderTwin {
    pub key: Arc<str>,
    /// It was read by this run's rules.
    pub is_as_read: bool,
    /// Some of its ticks do not tell their offset.
    pub lacks_offsets: bool,
}

/// Why an object must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    New,
    Replaced,
    /// It is as it was, but everything is to be read again, or in another way than before.
    Forced,
}

/// A folder's listing compared with the index.
#[derive(Debug, Default)]
pub struct Survey {
    pub changes: Vec<Change>,
    /// Keys of objects that the index knows and the listing does not show.
    pub gone: Vec<String>,
    /// Such keys and those that took their places: an object was compressed, or unpacked.
    pub renamed: Vec<(String, String)>,
    /// Keys of objects that were gone and are back as they were.
    pub back: Vec<String>,
    /// Keys of files that no sink wrote.
    pub unknown: Vec<String>,
    /// How many objects hold no records, by their names.
    pub passed_over: usize,
}

/// Compares a listing with what is known of the folder. `names` says what an object's name means.
/// `is_forced`: which objects are changes in any case; `by_decode_rules` makes those changes that
/// were read in another way.
#[must_use]
pub fn compare(
    folder: &Folder,
    listing: Vec<Object>,
    mut known: KnownObjects,
    names: &FileNameTemplate,
    by_decode_rules: bool,
    is_forced: impl Fn(&str) -> bool,
) -> Survey {
    let mut survey = Survey::default();
    let twins = find_twins(listing.iter());
    let older = known_older(&twins, &known);
    for object in listing {
        let known = known.remove(&*object.key);
        // The name of an object that is as it was has been read before.
        if known.is_none() {
            match names.read(&object.key) {
                FileName::Companion => {
                    survey.passed_over += 1;
                    continue;
                }
                FileName::Unknown => {
                    survey.passed_over += 1;
                    survey.unknown.push(object.key.to_string());
                    continue;
                }
                FileName::Records(_) => {}
            }
        }
        let by_other_rules = known.as_ref().is_some_and(|known| !known.is_as_read);
        let must_be_read = (by_decode_rules && by_other_rules) || is_forced(&object.key);
        let kind = match known {
            None => ChangeKind::New,
            Some(known) if known.etag != object.etag || known.size != object.size => {
                ChangeKind::Replaced
            }
            Some(known) if must_be_read || known.is_earlier(&object) => ChangeKind::Forced,
            Some(known) => {
                survey.back.extend(known.is_gone.then(|| object.key.to_string()));
                continue;
            }
        };
        let twin = twins.get(&object.key).cloned();
        let older = older.get(&object.key).cloned().unwrap_or_default();
        survey.changes.push(Change {
            object,
            folder: folder.clone(),
            kind,
            by_other_rules,
            twin,
            older,
        });
    }
    // Whether one that is older counts depends on the newer one.
    survey.changes.sort_by_key(|change| change.twin.as_ref().is_some_and(|twin| twin.is_newer));
    take_renamed(&mut survey, &mut known);
    survey.gone =
        known.into_iter().filter(|(_, known)| !known.is_gone).map(|(key, _)| key).collect();
    survey.gone.sort_unstable();
    survey
}

/// Objects that have newer twins, by the keys of the newest: those that the index knows, the newest
/// last, or one whose ticks do not tell their offsets.
fn known_older(
    twins: &FxHashMap<Arc<str>, Twin>,
    known: &KnownObjects,
) -> FxHashMap<Arc<str>, Vec<OlderTwin>> {
    let older = |key: &Arc<str>| {
        let known = known.get(&**key)?;
        let (is_as_read, lacks_offsets) = (known.is_as_read, known.lacks_offsets);
        Some(OlderTwin { key: Arc::clone(key), is_as_read, lacks_offsets })
    };
    let known_twins = |(newest, twin): (&Arc<str>, &Twin)| {
        let others = twin.others(newest).map(|other| &other.key);
        let mut others: Vec<OlderTwin> = others.filter_map(older).collect();
        others.sort_by_key(|older| older.lacks_offsets);
        (Arc::clone(newest), others)
    };
    twins.iter().filter(|(_, twin)| !twin.is_newer).map(known_twins).collect()
}

/// Takes objects that were compressed or unpacked where they lay for what they were.
fn take_renamed(survey: &mut Survey, known: &mut KnownObjects) {
    if known.is_empty() {
        return;
    }
    let by_stem: FxHashMap<String, String> =
        known.keys().map(|key| (uncompressed(key).to_owned(), key.clone())).collect();
    for change in survey.changes.iter_mut().filter(|change| change.kind == ChangeKind::New) {
        let before =
            by_stem.get(uncompressed(&change.object.key)).and_then(|old| known.remove_entry(old));
        if let Some((old, known)) = before {
            (change.kind, change.by_other_rules) = (ChangeKind::Replaced, !known.is_as_read);
            survey.renamed.push((old, change.object.key.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hour::Hour;
    use crate::index::KnownObject;
    use common::Timestamp;

    fn object(name: &str, etag: &str) -> Object {
        Object {
            key: name.into(),
            etag: etag.into(),
            size: 1,
            last_modified: Some(Timestamp::from_micros(0)),
        }
    }

    fn known(etag: &str) -> KnownObject {
        KnownObject {
            etag: etag.into(),
            size: 1,
            stored_at: Timestamp::from_micros(0),
            has_rejects: false,
            is_as_read: true,
            is_gone: false,
            lacks_offsets: false,
        }
    }

    fn folder() -> Folder {
        let hour = Hour::of(Timestamp::from_micros(0));
        Folder { prefix: "f/".into(), hours: hour..hour.plus(1) }
    }

    fn survey(is_as_read: bool, force: bool) -> Survey {
        let listing = vec![
            object("f/_SUCCESS", "x"),
            object("f/t+0+1.json", "same"),
            object("f/t+0+1.keys.json", "x"),
            object("f/t+0+2.json", "other"),
            object("f/t+0+3.json", "new"),
        ];
        let known = |etag: &str| KnownObject { is_as_read, ..known(etag) };
        let index = [("f/t+0+0.json", "old"), ("f/t+0+1.json", "same"), ("f/t+0+2.json", "one")];
        let index = index.into_iter().map(|(key, etag)| (key.to_owned(), known(etag))).collect();
        let names = FileNameTemplate::parse(crate::archive::CONFLUENT).unwrap();
        compare(&folder(), listing, index, &names, true, |_| force)
    }

    #[test]
    fn new_replaced_and_deleted_objects_are_told_apart() {
        let survey = survey(true, false);
        let changes: Vec<_> =
            survey.changes.iter().map(|change| (&*change.object.key, change.kind)).collect();
        assert_eq!(
            changes,
            [("f/t+0+2.json", ChangeKind::Replaced), ("f/t+0+3.json", ChangeKind::New)]
        );
        assert_eq!(survey.gone, ["f/t+0+0.json"]);
        assert_eq!((survey.unknown, survey.passed_over), (vec!["f/_SUCCESS".to_owned()], 2));
    }

    #[test]
    fn an_object_that_was_compressed_where_it_lay_is_the_one_that_it_was() {
        let index = ["f/t+0+0.json", "f/t+0+1.json"].map(|key| (key.to_owned(), known("etag")));
        let listing = vec![object("f/t+0+0.json.gz", "other"), object("f/t+0+2.json.zst", "more")];
        let names = FileNameTemplate::parse(crate::archive::CONFLUENT).unwrap();
        let survey =
            compare(&folder(), listing, index.into_iter().collect(), &names, false, |_| false);
        let changes: Vec<_> =
            survey.changes.iter().map(|change| (&*change.object.key, change.kind)).collect();
        assert_eq!(
            changes,
            [("f/t+0+0.json.gz", ChangeKind::Replaced), ("f/t+0+2.json.zst", ChangeKind::New)]
        );
        assert_eq!(survey.renamed, [("f/t+0+0.json".to_owned(), "f/t+0+0.json.gz".to_owned())]);
        assert_eq!(survey.gone, ["f/t+0+1.json"]);
    }

    #[test]
    fn objects_that_were_gone_are_gone_once_and_come_back_as_they_were_or_as_others() {
        let known = |etag: &str| KnownObject { is_gone: true, ..known(etag) };
        let index = ["f/t+0+0.json", "f/t+0+1.json", "f/t+0+2.json"]
            .map(|key| (key.to_owned(), known("etag")));
        let listing = vec![object("f/t+0+1.json", "etag"), object("f/t+0+2.json", "other")];
        let names = FileNameTemplate::parse(crate::archive::CONFLUENT).unwrap();
        let survey =
            compare(&folder(), listing, index.into_iter().collect(), &names, false, |_| false);
        let changes: Vec<_> =
            survey.changes.iter().map(|change| (&*change.object.key, change.kind)).collect();
        assert_eq!(changes, [("f/t+0+2.json", ChangeKind::Replaced)]);
        assert_eq!((survey.back, survey.gone), (vec!["f/t+0+1.json".to_owned()], Vec::new()));
    }

    #[test]
    fn an_object_with_rejected_lines_is_read_again_when_it_is_said_to_have_been_stored_later() {
        let names = FileNameTemplate::parse(crate::archive::CONFLUENT).unwrap();
        let stored = |at: Option<i64>, has_rejects: bool| {
            let object = Object {
                last_modified: at.map(Timestamp::from_micros),
                ..object("f/t+0+0.json", "etag")
            };
            let known =
                KnownObject { stored_at: Timestamp::from_micros(5), has_rejects, ..known("etag") };
            let index = [("f/t+0+0.json".to_owned(), known)].into_iter().collect();
            let survey = compare(&folder(), vec![object], index, &names, false, |_| false);
            survey.changes.first().map(|change| change.kind)
        };
        assert_eq!(stored(Some(6), true), Some(ChangeKind::Forced));
        assert_eq!([stored(Some(5), true), stored(Some(6), false), stored(None, true)], [None; 3]);
    }

    #[test]
    fn everything_is_a_change_when_forced_or_read_in_another_way() {
        for survey in [survey(true, true), survey(false, false)] {
            let kinds: Vec<_> = survey.changes.iter().map(|change| change.kind).collect();
            assert_eq!(kinds, [ChangeKind::Forced, ChangeKind::Replaced, ChangeKind::New]);
        }
    }
}
