//! Bytes of one object to bars. This module knows no store and no database.

mod collector;
mod decompress;
mod hour_bars;
mod lines;
mod offsets;

pub use collector::Exclusions;
pub use hour_bars::{HourBars, Overlap};
pub use offsets::Offsets;

use crate::archive::Origin;
use crate::hour::Hour;
use collector::Collector;
use common::decode::{Decoder, MAX_VALUE_BYTES, ProvenanceNames};
use common::{Reason, Reject, Timestamp};
use lines::{Line, Lines};
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
    pub names: ProvenanceNames,
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

/// Reads an object: plain, gzip or zstd (told by its first bytes), one JSON value a line.
///
/// Memory does not grow with the object, only with the distinct symbols and hours in it.
///
/// # Errors
/// Where reading or decompressing fails. Lines that are no tick are no error.
pub fn scan(input: impl Read, options: &ScanOptions) -> Result<Scan, ScanError> {
    let mut collector = Collector::new(options);
    let mut scan = Scan::default();
    match scan_lines(input, options, &mut collector, &mut scan) {
        Ok(()) => {
            scan.hours = collector.finish();
            Ok(scan)
        }
        Err(error) => Err(ScanError { error, hours: collector.hours() }),
    }
}

fn scan_lines(
    input: impl Read,
    options: &ScanOptions,
    collector: &mut Collector<'_>,
    scan: &mut Scan,
) -> io::Result<()> {
    let mut decoder = Decoder::new(options.names.clone(), options.stored_at);
    let mut lines = Lines::new(decompress::open(input, options.compressed_name)?);
    while let Some(line) = lines.next_line()? {
        if line.is_blank() {
            continue;
        }
        scan.lines += 1;
        if line.length >= MAX_VALUE_BYTES as u64 {
            let detail = format!("{} bytes; a tick has less than {MAX_VALUE_BYTES}", line.length);
            scan.reject(&line, Reject { reason: Reason::TooLarge, detail });
            continue;
        }
        if let Some(record) = decoder.decode_known(line.bytes) {
            collector.add(&record, line.number);
            continue;
        }
        match decoder.decode(line.bytes) {
            Ok(record) => collector.add(&record, line.number),
            Err(reject) => scan.reject(&line, reject),
        }
    }
    Ok(())
}

impl Scan {
    fn reject(&mut self, line: &Line<'_>, reject: Reject) {
        self.rejected += 1;
        if self.rejects.len() < MAX_REJECTS_KEPT {
            let value = line.bytes[..line.bytes.len().min(MAX_REJECT_BYTES)].to_vec();
            self.rejects.push(RejectedLine { number: line.number, reject, value, value_bytes: line.length });
        }
    }
}

#[cfg(test)]
mod tests;
