//! [`Hole`]: offsets that are missing, between which ticks, and in which folders they would lie.

use crate::hour::Hour;

/// From which to which offset of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub topic: String,
    pub partition: i32,
    pub first: u64,
    pub last: u64,
}

/// Missing offsets, of whose neighbours the ticks are of the same hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub first: u64,
    pub last: u64,
    pub offsets: u64,
    pub before: (u64, Hour),
    pub after: (u64, Hour),
}

/// In which folders objects would lie: those of the hours from the first to the last. Where the
/// first is the later one, the folders are out of order, and it is these two alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folders {
    pub first: Hour,
    pub last: Hour,
}

/// A hole, and where its objects would lie.
pub type Recorded = (Hole, Folders);

impl Hole {
    pub fn has_neighbours_of(&self, other: &Self) -> bool {
        (self.before, self.after) == (other.before, other.after)
    }
}
