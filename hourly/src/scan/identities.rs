//! [`read_identities`]: what an object says of some records, for comparing it with what others say
//! of them.

use super::{Line, LinePosition, ScanError, ScanOptions, Visitor, place_of, visit};
use crate::checksum::{Checksum, TickContent};
use crate::hour::Hour;
use common::decode::DecodedTick;
use common::{Place, Reject};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::io::Read;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What one line says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineIdentity {
    pub partition: i32,
    /// The number of the tick's place.
    pub place: u64,
    /// Hash of the tick. Prices count as 64-bit floats, because Connect makes such of them.
    pub hash: u64,
    /// Hash of its symbol and time alone.
    pub whose: u64,
}

/// Reads of an object what it says of the records that `options.exclude` names, line by line: of
/// each the first claim, and the first ones that part from that.
///
/// # Errors
/// Where it cannot be read to its end.
pub fn read_identities(
    input: impl Read,
    options: &ScanOptions,
) -> Result<Vec<LineIdentity>, ScanError> {
    let mut reading =
        IdentityVisitor { options, first: FxHashMap::default(), identities: Vec::new() };
    match visit(input, options, &mut reading) {
        Ok(()) => Ok(reading.identities),
        Err(error) => Err(ScanError { error, hours: Vec::new() }),
    }
}

struct IdentityVisitor<'a> {
    options: &'a ScanOptions,
    /// By partition and place.
    first: FxHashMap<(i32, u64), First>,
    identities: Vec<LineIdentity>,
}

/// The first claim of a record, and what others have said since.
struct First {
    hash: u64,
    whose: u64,
    has_other: bool,
    has_stranger: bool,
}

impl IdentityVisitor<'_> {
    /// Keeps a claim that says something new. An object may tell one record any number of times.
    fn add(&mut self, identity: LineIdentity) {
        let LineIdentity { partition, place, hash, whose } = identity;
        let is_news = match self.first.entry((partition, place)) {
            Entry::Vacant(first) => {
                first.insert(First { hash, whose, has_other: false, has_stranger: false });
                true
            }
            Entry::Occupied(mut first) => {
                let first = first.get_mut();
                let (is_other, is_stranger) = (first.hash != hash, first.whose != whose);
                let is_news = is_other && !first.has_other || is_stranger && !first.has_stranger;
                first.has_other |= is_other;
                first.has_stranger |= is_stranger;
                is_news
            }
        };
        if is_news {
            self.identities.push(identity);
        }
    }
}

impl Visitor for IdentityVisitor<'_> {
    fn record(&mut self, record: &DecodedTick<'_>, LinePosition { element, .. }: LinePosition) {
        let Some((Place { partition, .. }, place)) =
            record.provenance.and_then(|position| place_of(position, element))
        else {
            return;
        };
        let ScanOptions { exclude, topic, .. } = self.options;
        let asked =
            exclude.as_ref().and_then(|asked| asked.get(&Hour::of(record.tick.timestamp())));
        if asked.is_some_and(|asked| asked.contains(topic, partition, place)) {
            let content = TickContent::of(record);
            let hash = Checksum::of(&content, None).as_floats;
            let seed = content.timestamp.micros().cast_unsigned();
            let whose = xxh3_64_with_seed(content.symbol.as_bytes(), seed);
            self.add(LineIdentity { partition, place, hash, whose });
        }
    }

    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {}
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use crate::scan::{Exclusions, Offsets};
    use std::sync::Arc;

    #[test]
    fn of_a_record_that_is_told_again_and_again_the_claims_are_kept_that_say_something_new() {
        let at = 1_748_869_200_000_i64;
        let told = |symbol: &str, price: u32| {
            format!(
                r#"{{"symbol":"{symbol}","timestamp":{at},"price":{price},"volume":1,"kafka_partition":3,"kafka_offset":7}}"#
            )
        };
        let lines =
            [told("A", 1), told("A", 1), told("A", 2), told("A", 3), told("B", 3), told("B", 4)];
        let text = lines.map(|line| (line + "\n").repeat(1_000)).concat();
        let mut asked = Offsets::of_topic("t".into());
        let place = Place { partition: 3, offset: 7, index: 0 }.number().unwrap();
        assert!(asked.insert(3, place));
        asked.flush();
        let hour = Hour::of(common::Timestamp::from_micros(at * 1000));
        let asked: Exclusions = [(hour, asked)].into_iter().collect();
        let options = ScanOptions { exclude: Some(Arc::new(asked)), ..options() };
        let identities = read_identities(text.as_bytes(), &options).unwrap();
        let whose: Vec<bool> =
            identities.iter().map(|identity| identity.whose == identities[0].whose).collect();
        assert_eq!(whose, [true, true, false]);
        assert_ne!(identities[0].hash, identities[1].hash);
    }
}
