//! What is the matter with an object that cannot be read.

use crate::hour::Hour;

/// Fault of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakage {
    pub kind: BrokenKind,
    /// A sentence about this object.
    pub why: String,
    /// Hours that its readable part touches.
    pub hours: Vec<Hour>,
}

/// Condition before the object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenKind {
    /// Its content is no archive of records, or ends too early: it must be mended or deleted.
    Damaged,
    /// The store refuses it to this user.
    Refused,
    /// The store fails at it, while it lists and gives others.
    Unavailable,
    /// It lies in cold storage: it must be restored.
    Frozen,
}

impl BrokenKind {
    /// As `broken_objects` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Frozen => "frozen",
        }
    }
}
