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
    /// It was read in the way that was asked about.
    pub is_as_read: bool,
    /// No listing has shown it since.
    pub gone: bool,
    /// Some of its ticks do not tell their offset.
    pub placeless: bool,
}

/// What the index knows of a folder's objects, by their key.
pub type KnownObjects = FxHashMap<String, KnownObject>;

/// An object that holds ticks of an hour.
#[derive(Debug, Clone)]
pub struct Indexed {
    pub object: Object,
    /// The prefix of the listing that showed it when it was read: where the layout has changed
    /// since, no folder of today's.
    pub folder: Arc<str>,
    /// Whether it is in the hour's sums.
    pub merged: bool,
    /// What of it is, or of an earlier version of it; `None`: nothing.
    pub summed: Option<InSums>,
    /// What it holds of the hour.
    pub ticks: u64,
    /// The times of the first and of the last of them.
    pub span: RangeInclusive<Timestamp>,
    /// How it was read.
    pub format: String,
    /// Some of its ticks, of whatever hour, do not tell their offset.
    pub placeless: bool,
    /// How many lines it has, with those that are no ticks.
    pub lines: u64,
}

/// What an object holds of an hour, as numbers: where they are the same, so is what they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prints {
    /// By [`crate::state::fingerprint`].
    pub content: u64,
    /// Of its places alone, by [`crate::state::fingerprint_of_places`].
    pub places: u64,
}

/// An object that was deleted before an hour's sums had anything of it.
#[derive(Debug)]
pub struct Missed {
    pub hour: Hour,
    pub key: String,
    /// Its ticks of the hour.
    pub ticks: u64,
    pub lines: u64,
    /// Some of its ticks do not tell their offset.
    pub placeless: bool,
    /// Its places of the hour, unless they take too many bytes.
    pub offsets: Option<Offsets>,
    /// The sums have the same of another object.
    pub is_elsewhere: bool,
}

/// An object that does not tell the offsets of all of its ticks, and that an hour's sums have.
#[derive(Debug, Clone)]
pub struct Placeless {
    pub key: Arc<str>,
    pub lines: u64,
    /// Its ticks of the hour that do not.
    pub ticks: u64,
    /// Others of the hour do: its lines are not those of the offsets from its name's on.
    pub is_mixed: bool,
}

/// A version of an object that is in an hour's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InSums {
    pub prints: Prints,
    pub ticks: u64,
    /// Those of them that do not tell their offset.
    pub placeless: u64,
}

impl KnownObject {
    /// Whether the store tells a later time of an object than when it was read: then more of its
    /// ticks may be of a time that can be.
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
        !self.merged && self.summed.is_some()
    }
}
