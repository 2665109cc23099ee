//! [`claims()`]: what an object says of some records, for comparing it with what others say of
//! them.

use super::{Line, ScanError, ScanOptions, Spot, Visitor, place_of, visit};
use crate::checksum::{Checksum, Content};
use crate::hour::Hour;
use common::decode::Record;
use common::{Place, Reject};
use std::io::Read;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What one line says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub partition: i32,
    /// The number of the tick's place.
    pub place: u64,
    /// Of the tick. Prices count as 64-bit floats, because Connect makes such of them.
    pub hash: u64,
    /// Of its symbol and time alone.
    pub whose: u64,
}

/// Reads of an object what it says of the records that `options.exclude` names, line by line.
///
/// # Errors
/// Where it cannot be read to its end.
pub fn claims(input: impl Read, options: &ScanOptions) -> Result<Vec<Claim>, ScanError> {
    let mut claiming = Claiming { options, claims: Vec::new() };
    match visit(input, options, &mut claiming) {
        Ok(()) => Ok(claiming.claims),
        Err(error) => Err(ScanError { error, hours: Vec::new() }),
    }
}

struct Claiming<'a> {
    options: &'a ScanOptions,
    claims: Vec<Claim>,
}

impl Visitor for Claiming<'_> {
    fn record(&mut self, record: &Record<'_>, Spot { index, .. }: Spot) {
        let Some((Place { partition, .. }, place)) =
            record.provenance.and_then(|told| place_of(told, index))
        else {
            return;
        };
        let ScanOptions { exclude, topic, .. } = self.options;
        let asked =
            exclude.as_ref().and_then(|asked| asked.get(&Hour::of(record.tick.timestamp())));
        if asked.is_some_and(|asked| asked.contains(topic, partition, place)) {
            let content = Content::of(record);
            let hash = Checksum::of(&content, None).as_floats;
            let seed = content.timestamp.micros().cast_unsigned();
            let whose = xxh3_64_with_seed(content.symbol.as_bytes(), seed);
            self.claims.push(Claim { partition, place, hash, whose });
        }
    }

    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {}
}
