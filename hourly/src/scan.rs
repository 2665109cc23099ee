//! Bytes of one object to bars. This module knows no store and no database.

mod collector;
mod decompress;
mod elements;
mod envelope;
mod error;
mod hour_bars;
mod identities;
mod kafka_position;
#[cfg(feature = "spark")]
mod layout;
mod line;
mod lines;
mod offsets;
mod options;
pub mod places;
mod run_set;
pub mod runs;
mod values;
mod visit;

pub use decompress::max_unpacked;
pub use error::{ScanError, TooWide};
pub use hour_bars::{Conflicts, HourBars};
pub use identities::{LineIdentity, read_identities};
#[cfg(feature = "spark")]
pub use layout::LineLayout;
pub use line::{Line, MAX_REJECT_BYTES};
pub use offsets::{Offsets, Overlap};
pub use options::{Exclusions, ScanOptions, max_without_tick};
pub use places::place_of;
pub use run_set::Runs;
pub use visit::{LinePosition, Visitor, visit};

use crate::hour::Hour;
use collector::{Collector, Selection};
use common::Reject;
use common::decode::{DecodedTick, Provenance};
use std::io::Read;

/// How many rejected lines of an object are kept; all are counted.
pub const MAX_REJECTS_KEPT: usize = 1000;

/// Contents of one object.
#[derive(Debug, Default)]
pub struct Scan {
    /// Lines that are not blank.
    pub lines: u64,
    /// Lines, and elements of lines, that are no valid tick.
    pub rejected: u64,
    /// The first [`MAX_REJECTS_KEPT`] of those.
    pub rejects: Vec<RejectedLine>,
    /// Ticks whose offset counts as none, because no broker can have given it.
    pub far_offsets: u64,
    /// The ticks by their own hour, in order of time.
    pub hours: Vec<(Hour, HourBars)>,
}

/// A line that is no tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedLine {
    /// Counted from 1, blank lines included.
    pub number: u64,
    /// Which of the line's elements it is; 0 where it is the line.
    pub element: u16,
    pub reject: Reject,
    /// At most the first [`MAX_REJECT_BYTES`] of it.
    pub value: Vec<u8>,
    /// The length of the whole line in bytes.
    pub value_bytes: u64,
    /// Where its message stood in the topic, if it tells that.
    pub kafka_position: Option<Provenance>,
}

/// Reads an object: plain, gzip or zstd (told by its first bytes), one JSON value a line or an
/// array of them.
///
/// Memory does not grow with the object, only with the distinct symbols and hours in it, up to
/// `options.max_bars`.
///
/// # Errors
/// Where reading or decompressing fails, it holds more bars ([`TooWide`]), or hardly any tick for
/// what it unpacks to. Lines that are no tick are no error otherwise.
pub fn scan(input: impl Read, options: &ScanOptions) -> Result<Scan, ScanError> {
    sum_up(input, options, Selection::Others)
}

/// Sums up only the records that `options.exclude` names.
///
/// # Errors
/// As [`scan`].
pub fn scan_named(input: impl Read, options: &ScanOptions) -> Result<Scan, ScanError> {
    sum_up(input, options, Selection::Named)
}

/// Some lines that an object begins with.
///
/// # Errors
/// Where reading or decompressing fails before that.
#[cfg(feature = "spark")]
pub fn first_lines(input: impl Read, options: &ScanOptions) -> std::io::Result<Vec<Vec<u8>>> {
    const COUNT: usize = 32;
    let mut lines = lines::Lines::new(decompress::open(input, options)?);
    let mut first = Vec::new();
    while first.len() < COUNT
        && let Some(line) = line::Source::next_line(&mut lines)?
    {
        first.push(line.bytes.to_vec());
    }
    Ok(first)
}

/// Sums up some lines of an object, each with its number, where the others are ticks that were read
/// elsewhere. `is_wrapped`: the tick before them is in a sink's envelope.
#[cfg(feature = "spark")]
#[must_use]
pub fn scan_some(lines: &[(u64, Vec<u8>)], options: &ScanOptions, is_wrapped: bool) -> Scan {
    let mut summing = Summing::new(options, Selection::Others);
    visit::visit_some(lines, options, is_wrapped, &mut summing);
    summing.finish()
}

fn sum_up(
    input: impl Read,
    options: &ScanOptions,
    selection: Selection,
) -> Result<Scan, ScanError> {
    let mut summing = Summing::new(options, selection);
    match visit(input, options, &mut summing) {
        Ok(()) if summing.is_too_wide => Err(ScanError {
            error: TooWide::error(options.max_bars),
            hours: summing.collector.hours(),
        }),
        Ok(()) => Ok(summing.finish()),
        Err(error) => Err(ScanError { error, hours: summing.collector.hours() }),
    }
}

/// Where the message of a line that is no tick stood in its topic, if it tells that.
#[must_use]
pub fn kafka_position_of(line: &Line<'_>, options: &ScanOptions) -> Option<Provenance> {
    // What an element says of a place is its own word.
    line.kafka_position.or_else(|| {
        (!line.is_element).then(|| kafka_position::position_in(line.bytes, options)).flatten()
    })
}

/// A reject in an archive's words: what its record had, and the sink has not kept, nobody can see.
#[must_use]
pub fn of_archive(reject: Reject) -> Reject {
    let detail = reject.detail.replace("the record has no key", "the archive's line has no key");
    Reject { detail, ..reject }
}

/// Ticks between two looks at how many bars there are.
pub const TICKS_BETWEEN_LOOKS: u64 = 4096;

struct Summing<'a> {
    options: &'a ScanOptions,
    collector: Collector<'a>,
    scan: Scan,
    max_bars: usize,
    records: u64,
    is_too_wide: bool,
}

impl<'a> Summing<'a> {
    fn new(options: &'a ScanOptions, selection: Selection) -> Self {
        Self {
            options,
            collector: Collector::new(options, selection),
            scan: Scan::default(),
            max_bars: options.max_bars,
            records: 0,
            is_too_wide: false,
        }
    }

    fn finish(self) -> Scan {
        let far_offsets = self.collector.far_offsets();
        Scan { far_offsets, hours: self.collector.finish(), ..self.scan }
    }
}

impl Visitor for Summing<'_> {
    fn record(&mut self, record: &DecodedTick<'_>, position: LinePosition) {
        self.scan.note_line(position.element);
        self.collector.add(record, position);
        self.records += 1;
        if self.records.is_multiple_of(TICKS_BETWEEN_LOOKS) {
            self.is_too_wide = self.collector.bars() > self.max_bars;
        }
    }

    fn reject(&mut self, line: &Line<'_>, element: u16, reject: Reject) {
        self.scan.reject(line, element, reject, self.options);
    }

    fn has_enough(&self) -> bool {
        self.is_too_wide
    }
}

impl Scan {
    /// Takes in other lines of the same object. `false` where a record is in both, of which the
    /// first line counts.
    #[cfg(feature = "spark")]
    pub fn join(&mut self, other: Self) -> bool {
        self.lines += other.lines;
        self.rejected += other.rejected;
        self.far_offsets += other.far_offsets;
        self.rejects.extend(other.rejects);
        for (hour, part) in other.hours {
            match self.hours.iter_mut().find(|(known, _)| *known == hour) {
                Some((_, sum)) if !sum.offsets.is_disjoint(&part.offsets) => return false,
                Some((_, sum)) => sum.merge(part),
                None => self.hours.push((hour, part)),
            }
        }
        self.hours.sort_unstable_by_key(|(hour, _)| *hour);
        true
    }

    /// A line's first element stands for it.
    fn note_line(&mut self, element: u16) {
        self.lines += u64::from(element == 0);
    }

    fn reject(&mut self, line: &Line<'_>, element: u16, reject: Reject, options: &ScanOptions) {
        self.note_line(element);
        self.rejected += 1;
        if self.rejects.len() < MAX_REJECTS_KEPT {
            let value = line.bytes[..line.bytes.len().min(MAX_REJECT_BYTES)].to_vec();
            let kafka_position = kafka_position_of(line, options);
            let (number, value_bytes) = (line.number, line.length);
            let reject = of_archive(reject);
            self.rejects.push(RejectedLine {
                number,
                element,
                reject,
                value,
                value_bytes,
                kafka_position,
            });
        }
    }
}

#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trickle;
