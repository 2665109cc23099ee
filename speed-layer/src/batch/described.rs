//! The attributes of a batch's trace.

use super::{Batch, Ranges, Trace};
use crate::source::{SourceId, TopicIdentity};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tracing::Span;

/// Ranges of offsets that a trace tells; of more only the first.
const RANGES_TOLD: usize = 20;

impl Trace {
    /// The whole batch's span, with what there is to say of it.
    pub fn described(
        self,
        batch: &Batch,
        writer: usize,
        topics: &BTreeMap<SourceId, TopicIdentity>,
    ) -> Span {
        let span = self.batch;
        if span.is_disabled() {
            return span;
        }
        let names: BTreeSet<&str> = batch
            .ranges
            .iter()
            .filter_map(|range| topics.get(&range.at.source))
            .map(|found| found.topic.as_str())
            .collect();
        let partitions: BTreeSet<i32> =
            batch.ranges.iter().map(|range| range.at.partition).collect();
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        span.record("writer", writer)
            .record("topic", names.into_iter().collect::<Vec<_>>().join(","))
            .record("partitions", partitions.join(","))
            .record("offsets", offsets(&batch.ranges))
            .record("messages", batch.messages)
            .record("rows", batch.rows.count())
            .record("rejects", batch.rejects.len());
        span
    }
}

/// `partition:first..next`, by commas.
fn offsets(ranges: &Ranges) -> String {
    let mut told = String::new();
    for range in ranges.iter().take(RANGES_TOLD) {
        let comma = if told.is_empty() { "" } else { "," };
        // A string takes all that is written.
        let _ = write!(told, "{comma}{}:{}..{}", range.at.partition, range.start, range.next);
    }
    if ranges.len() > RANGES_TOLD {
        told.push_str(",..");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourcePartition;

    #[test]
    fn offsets_are_told_by_partition_and_not_without_end() {
        let mut ranges = Ranges::default();
        assert_eq!(offsets(&ranges), "");
        ranges.extend(SourcePartition { source: 1, partition: 3 }, 120, 180);
        ranges.extend(SourcePartition { source: 1, partition: 4 }, 0, 1);
        assert_eq!(offsets(&ranges), "3:120..180,4:0..1");
        for partition in 5..40 {
            ranges.extend(SourcePartition { source: 1, partition }, 0, 1);
        }
        assert!(offsets(&ranges).ends_with(",22:0..1,.."), "{}", offsets(&ranges));
    }
}
