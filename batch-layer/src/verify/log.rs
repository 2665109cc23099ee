//! [`Log`]: what Kafka itself has of the topic.

#[cfg(feature = "kafka")]
mod client;
#[cfg(not(feature = "kafka"))]
mod none;

#[cfg(feature = "kafka")]
pub use client::Log;
#[cfg(not(feature = "kafka"))]
pub use none::Log;

use std::ops::Range;

/// Whether Kafka can be asked.
pub enum Asked {
    NotGiven,
    Away,
    There(Log),
}

/// What Kafka has of a partition: the offsets [low, high), and where hours begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub low: u64,
    pub high: u64,
    /// The first offset whose record time is not before the hour, for each hour asked for and the
    /// end of the last.
    pub starts: Vec<u64>,
}

impl Span {
    /// The offsets of the whole stretch of hours that are in the log.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let start = self.starts.first().copied().unwrap_or(self.low);
        start..self.starts.last().copied().unwrap_or(start).max(start)
    }
}
