//! What was found of an hour.

use hourly::hour::Hour;
use serde::Serialize;

/// Result of a comparison, from good to bad: of two the worse counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Retention has dropped the day from `realtime_stock`; what is left agrees.
    Purged,
    /// Nothing differs so far, but something could not be compared yet.
    Open,
    Mismatch,
}

/// An hour and its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HourOutcome {
    #[serde(serialize_with = "as_text")]
    pub hour: Hour,
    /// The worst of the hour itself and its partitions.
    pub status: Status,
    /// `None` where retention has dropped them.
    pub realtime_ticks: Option<u64>,
    pub minute_bar_ticks: u64,
    /// Each record once.
    pub archive_ticks: u64,
    /// `None` where batch-layer has not computed the hour.
    pub summary_ticks: Option<u64>,
    /// That readers of the lake find, of several in the one that has least; `None` where none has
    /// the hour.
    pub lake_ticks: Option<u64>,
    /// Faults of the hour as a whole.
    pub details: Vec<String>,
    pub partitions: Vec<PartitionOutcome>,
}

/// An hour in one partition. Counts are of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionOutcome {
    pub topic: String,
    pub partition: i32,
    pub status: Status,
    /// Kafka's offsets whose record time is in the hour: [from, to). `None` where Kafka was not
    /// asked.
    pub kafka_from: Option<u64>,
    pub kafka_to: Option<u64>,
    pub realtime_ticks: Option<u64>,
    pub archive_ticks: u64,
    /// Rows that stand for a record which has a row already.
    pub realtime_duplicates: u64,
    /// Lines that stand for a record which has a line already; they are left out everywhere.
    pub archive_duplicates: u64,
    /// Messages that are no tick, in `rejected_ticks`.
    pub rejected: u64,
    /// Ticks of the archive that Kafka had lost before the speed layer came to them; `kafka_gaps`
    /// has them.
    pub skipped: u64,
    /// Of an hour whose ticks retention has dropped: ticks of the archive that the speed layer
    /// never wrote, as `kafka_gaps` and `rejected_ticks` tell.
    pub unwritten: u64,
    /// In the archive only.
    pub missing_in_realtime: u64,
    /// In realtime_stock only.
    pub missing_in_archive: u64,
    /// In Kafka only.
    pub missing_everywhere: u64,
    /// Blocks of 1,024 offsets whose ticks are the same on both sides by number and not by value.
    pub differing_blocks: u64,
    /// Sums over the ticks' hashes, as hexadecimal digits.
    pub realtime_checksum: Option<String>,
    pub archive_checksum: String,
    pub details: Vec<String>,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Purged => "purged",
            Self::Open => "open",
            Self::Mismatch => "mismatch",
        }
    }
}

impl PartitionOutcome {
    /// Notes what was found; the status becomes at least as bad as `status`.
    pub fn find(&mut self, status: Status, detail: String) {
        self.status = self.status.max(status);
        self.details.push(detail);
    }
}

impl HourOutcome {
    /// As [`PartitionOutcome::find`].
    pub fn find(&mut self, status: Status, detail: String) {
        self.status = self.status.max(status);
        self.details.push(detail);
    }

    /// Whether there was nothing anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.details.is_empty()
    }
}

fn as_text<S: serde::Serializer>(hour: &Hour, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&hour.start())
}
