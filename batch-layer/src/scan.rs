//! Bytes of one object to bars. This module knows no store and no database.

mod collector;
mod decompress;
mod elements;
mod envelope;
mod hour_bars;
mod lines;
mod offsets;
mod visit;

pub use collector::Exclusions;
pub use hour_bars::HourBars;
pub use offsets::{Offsets, Overlap};
pub use visit::{Visitor, visit};

use crate::archive::{CsvFields, Origin};
use crate::hour::Hour;
use collector::Collector;
use common::decode::{Record, Rules};
use common::{Reject, Timestamp};
pub use lines::Line;

use std::io::{self, Read};
use std::sync::Arc;

/// How many rejected lines of an object are kept; all are counted.
pub const MAX_REJECTS_KEPT: usize = 1000;
/// How many bytes of a rejected line are kept.
pub const MAX_REJECT_BYTES: usize = 2048;

/// What is known of an object before its first byte is read.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Whether the name promises compressed content.
    pub compressed_name: bool,
    pub origin: Origin,
    /// Of the records; two topics have the same offsets.
    pub topic: Arc<str>,
    /// What a message may look like.
    pub rules: Arc<Rules>,
    /// `None` where a line is JSON.
    pub csv: Option<CsvFields>,
    /// When the object was stored: what lies more than a day after that is no tick's time.
    pub stored_at: Timestamp,
    /// Records to leave out, because another object has already given them.
    pub exclude: Option<Arc<Exclusions>>,
}

/// What one object holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// Lines that are not blank.
    pub lines: u64,
    /// Lines that are no valid tick.
    pub rejected: u64,
    /// The first [`MAX_REJECTS_KEPT`] of those.
    pub rejects: Vec<RejectedLine>,
    /// The ticks by their own hour, in order of time.
    pub hours: Vec<(Hour, HourBars)>,
}

/// A line that is no tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedLine {
    /// Counted from 1, blank lines included.
    pub number: u64,
    pub reject: Reject,
    /// At most the first [`MAX_REJECT_BYTES`] of it.
    pub value: Vec<u8>,
    /// The length of the whole line in bytes.
    pub value_bytes: u64,
}

/// An object that could not be read to its end.
#[derive(Debug)]
pub struct ScanError {
    pub error: io::Error,
    /// Hours that its readable part touches.
    pub hours: Vec<Hour>,
}

/// Reads an object: plain, gzip or zstd (told by its first bytes), one JSON value a line or an array of them.
///
/// Memory does not grow with the object, only with the distinct symbols and hours in it.
///
/// # Errors
/// Where reading or decompressing fails. Lines that are no tick are no error.
pub fn scan(input: impl Read, options: &ScanOptions) -> Result<Scan, ScanError> {
    let mut summing = Summing { collector: Collector::new(options), scan: Scan::default() };
    match visit(input, options, &mut summing) {
        Ok(()) => {
            summing.scan.hours = summing.collector.finish();
            Ok(summing.scan)
        }
        Err(error) => Err(ScanError { error, hours: summing.collector.hours() }),
    }
}

struct Summing<'a> {
    collector: Collector<'a>,
    scan: Scan,
}

impl Visitor for Summing<'_> {
    fn record(&mut self, record: &Record<'_>, number: u64) {
        self.scan.lines += 1;
        self.collector.add(record, number);
    }

    fn reject(&mut self, line: &Line<'_>, reject: Reject) {
        self.scan.reject(line, reject);
    }
}

impl Scan {
    fn reject(&mut self, line: &Line<'_>, reject: Reject) {
        self.lines += 1;
        self.rejected += 1;
        if self.rejects.len() < MAX_REJECTS_KEPT {
            let value = line.bytes[..line.bytes.len().min(MAX_REJECT_BYTES)].to_vec();
            self.rejects.push(RejectedLine { number: line.number, reject, value, value_bytes: line.length });
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trickle;
