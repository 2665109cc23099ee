//! [`Object`]: what a listing shows.

use common::Timestamp;
use std::sync::Arc;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: Arc<str>,
    /// Changes whenever the content does.
    pub etag: String,
    /// In bytes, as stored.
    pub size: u64,
    /// When it was stored; `None` where the store does not tell.
    pub last_modified: Option<Timestamp>,
}

/// The most objects of a folder: each takes 0.8 kB while its hour is computed.
pub const MAX_OBJECTS: usize = 250_000;

/// The year 2000, before which there was no archive: what says so, or 1970, tells no time.
const OLDEST: Timestamp = Timestamp::from_micros(946_684_800_000_000);

/// Replacement for the etag of an object that the store lists without one.
const WITHOUT_ETAG: &str = "modified ";

impl Object {
    /// The time of the last change tells versions apart, too, if less surely.
    pub(super) fn etag_in_place_of_none(modified_micros: Option<i64>) -> String {
        format!("{WITHOUT_ETAG}{}", modified_micros.unwrap_or_default())
    }

    /// When it was stored, by the microseconds since 1970 that the store tells.
    pub(super) fn stored_at(modified_micros: Option<i64>) -> Option<Timestamp> {
        modified_micros.map(Timestamp::from_micros).filter(|at| *at >= OLDEST)
    }

    /// The store's own etag of this version of the object.
    pub(super) fn etag_of_store(&self) -> Option<&str> {
        Some(&*self.etag).filter(|etag| !etag.starts_with(WITHOUT_ETAG))
    }
}
