//! [`ScanOptions`]: what is known of an object before it is read.

use super::Offsets;
use crate::archive::{CsvFields, Origin};
use crate::hour::Hour;
use common::Timestamp;
use common::decode::Rules;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Records to leave out, by the hour of their tick.
pub type Exclusions = FxHashMap<Hour, Offsets>;

/// What is known of an object before its first byte is read.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Whether the name promises compressed content.
    pub compressed_name: bool,
    pub origin: Origin,
    /// The topic of the records; two topics have the same offsets.
    pub topic: Arc<str>,
    /// What a message may look like.
    pub rules: Arc<Rules>,
    /// `None` where a line is JSON.
    pub csv: Option<CsvFields>,
    /// When the object was stored: what lies more than a day after that is no tick's time.
    pub stored_at: Timestamp,
    /// How many bars, of symbols and hours, may be made of it, give or take a few thousand.
    pub max_bars: usize,
    /// As how many bars an hour counts in addition to its own.
    pub hour_weight: usize,
    /// How many of its lines may hold no tick.
    pub max_without_tick: u64,
    /// How many bytes it may unpack to.
    pub max_unpacked: u64,
    /// Records to leave out, because another object has already given them.
    pub exclude: Option<Arc<Exclusions>>,
}

#[cfg(test)]
impl ScanOptions {
    /// Those of an object without limits, for tests.
    pub(crate) fn unlimited(origin: Origin, stored_at: Timestamp) -> Self {
        Self {
            compressed_name: false,
            origin,
            topic: "t".into(),
            csv: None,
            rules: Arc::default(),
            stored_at,
            max_bars: usize::MAX,
            hour_weight: 0,
            max_without_tick: u64::MAX,
            max_unpacked: u64::MAX,
            exclude: None,
        }
    }
}

/// How many lines without a tick an object of `size` bytes may hold: what a sink writes does not
/// pack into less than a byte a line, but for some that are alike.
#[must_use]
pub const fn max_without_tick(size: u64) -> u64 {
    const ALIKE: u64 = 1_000_000;
    size.saturating_add(ALIKE)
}
