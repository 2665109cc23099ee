//! What Kafka says when it is asked: what it has of a partition ([`LogRange`]), and of which hours
//! ([`held`]).

use hourly::hour::Hour;
use std::ops::Range;

/// Kafka's part of a partition: the offsets [low, high), and where hours begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRange {
    pub low: u64,
    pub high: u64,
    /// The first offset whose record time is not before the hour, for each hour asked for and the
    /// end of the last.
    pub starts: Vec<u64>,
}

impl LogRange {
    /// The offsets of the whole span of hours that are in the log.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let start = self.starts.first().copied().unwrap_or(self.low);
        start..self.starts.last().copied().unwrap_or(start).max(start)
    }
}

/// Spans of so many hours are not cut further.
const SHORT: i64 = 24;

/// The spans of some hours in which records lie. `starts`: the first offset of each partition
/// whose record time is not before an hour.
pub(super) fn held(
    hours: Range<Hour>,
    mut starts: impl FnMut(Hour) -> anyhow::Result<Vec<u64>>,
) -> anyhow::Result<Vec<Range<Hour>>> {
    let mut held = Vec::new();
    if hours.is_empty() {
        return Ok(held);
    }
    let ends = [starts(hours.start)?, starts(hours.end)?];
    let mut left = vec![(hours, ends)];
    while let Some((hours, [first, last])) = left.pop() {
        if first == last {
            continue;
        }
        let length = Hour::each(hours.clone()).count() as i64;
        if length <= SHORT {
            held.push(hours);
            continue;
        }
        let middle = hours.start.plus(length / 2);
        let at_middle = starts(middle)?;
        left.push((middle..hours.end, [at_middle.clone(), last]));
        left.push((hours.start..middle, [first, at_middle]));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    #[test]
    fn of_decades_few_questions_tell_which_hours_kafka_has() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        // Of each partition the hours of its records, in order of their offsets.
        let records: [&[i64]; 2] = [&[7, 250_000, 250_001, 249_999], &[400_000]];
        let mut questions = 0;
        let starts = |at: Hour| {
            questions += 1;
            let start = |records: &&[i64]| {
                records.iter().position(|of| hour(*of) >= at).unwrap_or(records.len()) as u64
            };
            Ok(records.iter().map(start).collect())
        };
        let found = super::held(hour(0)..hour(500_000), starts).unwrap();
        for number in [7, 250_000, 250_001, 400_000] {
            let holding = found.iter().filter(|span| span.contains(&hour(number)));
            assert_eq!(holding.count(), 1, "{number}: {found:?}");
        }
        assert!(found.len() <= 4 && questions < 100, "{found:?}: {questions}");
        let none = super::held(hour(9)..hour(9), |_| panic!("nothing is asked"));
        assert!(none.unwrap().is_empty());
    }
}
