//! What the index knows of an object, and what it holds of an hour.

use crate::archive::Object;
use crate::hour::Hour;
use crate::scan::Offsets;
use common::Timestamp;
use rustc_hash::FxHashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What the index knows of an object that is listed again.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownObject {
    pub etag: String,
    pub size: u64,
    pub stored_at: Timestamp,
    /// Some of its lines are no ticks.
    pub has_rejects: bool,
    /// It was read by the decode rules that were asked about.
    pub is_as_read: bool,
    /// No listing has shown it since.
    pub is_gone: bool,
    /// Some of its ticks carry no offset.
    pub lacks_offsets: bool,
}

/// What the index knows of a folder's objects, by their key.
pub type KnownObjects = FxHashMap<String, KnownObject>;

/// An object of which an hour was computed from another place than this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownElsewhere {
    pub key: String,
    pub etag: String,
    pub size: u64,
    /// That place.
    pub location: String,
}

impl KnownElsewhere {
    /// Whether it is what a listing shows. Of an object that was copied in parts the etag is
    /// another one; of one that has the same name by chance both are.
    #[must_use]
    pub fn is(&self, object: &Object) -> bool {
        *self.key == *object.key && (self.size == object.size || self.etag == object.etag)
    }
}

/// An object that holds ticks of an hour.
#[derive(Debug, Clone)]
pub struct Indexed {
    pub object: Object,
    /// The prefix of the listing that showed it when it was read: where the layout has changed
    /// since, no folder of today's.
    pub folder: Arc<str>,
    /// Whether it is in the hour's sums.
    pub is_merged: bool,
    /// The version of it that is in the hour's sums, this one or an earlier one; `None` if none is.
    pub summed: Option<InSums>,
    /// What it holds of the hour.
    pub ticks: u64,
    /// The times of the first and of the last of them.
    pub span: RangeInclusive<Timestamp>,
    /// By which decode rules it was read.
    pub decode_rules: String,
    /// Some of its ticks, of whatever hour, carry no offset.
    pub lacks_offsets: bool,
    /// How many lines it has, with those that are no ticks.
    pub lines: u64,
}

/// Hashes of what an object holds of an hour: where they are the same, so is what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprints {
    /// Hash of its bars and offsets, by [`crate::state::content_hash`].
    pub content: u64,
    /// Hash of its offsets alone, by [`crate::state::offsets_hash`].
    pub offsets: u64,
}

/// An object that was deleted before an hour's sums had anything of it.
#[derive(Debug)]
pub struct DeletedUnsummed {
    pub hour: Hour,
    pub key: String,
    /// Its ticks of the hour.
    pub ticks: u64,
    pub lines: u64,
    /// Some of its ticks carry no offset.
    pub lacks_offsets: bool,
    /// Its offsets of the hour; `None` if they take too many bytes.
    pub offsets: Option<Offsets>,
    /// Another object has brought the same ticks into the sums.
    pub is_elsewhere: bool,
}

/// An object in an hour's sums of which not all ticks carry their offset.
#[derive(Debug, Clone)]
pub struct ObjectWithoutOffsets {
    pub key: Arc<str>,
    pub lines: u64,
    /// Its ticks of the hour that carry none.
    pub ticks: u64,
    /// Others of the hour carry theirs, so its lines are not simply those from its name's offset
    /// on.
    pub is_mixed: bool,
}

/// A version of an object that is in an hour's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InSums {
    pub fingerprints: Fingerprints,
    pub ticks: u64,
    /// How many of them carry no offset.
    pub without_offsets: u64,
}

impl KnownObject {
    /// Whether the store gives an object a later time than when it was read: then more of its ticks
    /// may have a plausible time.
    #[must_use]
    pub fn is_earlier(&self, object: &Object) -> bool {
        self.has_rejects && object.last_modified.is_some_and(|at| at > self.stored_at)
    }
}

impl Indexed {
    /// Whether an hour's sums have an earlier version of it, to which nothing of what it holds is
    /// to be added.
    #[must_use]
    pub const fn is_replaced(&self) -> bool {
        !self.is_merged && self.summed.is_some()
    }
}
