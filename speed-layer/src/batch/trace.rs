//! [`Trace`]: a batch as spans for who takes traces, from its first message on.

use super::{Batch, Ranges};
use crate::source::{SourceId, TopicIdentity};
use service::telemetry::TRACED;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tracing::Span;
use tracing::field::Empty;

/// Ranges of offsets that a trace tells; of more only the first.
const RANGES_TOLD: usize = 20;

/// The whole batch, and the time until it is handed over. Where nobody takes traces it is nothing.
#[derive(Debug)]
pub struct Trace {
    batch: Span,
    filling: Span,
}

impl Default for Trace {
    fn default() -> Self {
        Self { batch: Span::none(), filling: Span::none() }
    }
}

impl Trace {
    /// Each batch is a trace of its own: sessions last for days.
    pub fn begin() -> Self {
        let batch = tracing::info_span!(
            target: TRACED,
            parent: None,
            "batch",
            writer = Empty,
            topic = Empty,
            partitions = Empty,
            offsets = Empty,
            messages = Empty,
            rows = Empty,
            rejects = Empty,
        );
        let filling = tracing::info_span!(target: TRACED, parent: &batch, "fill");
        Self { batch, filling }
    }

    /// No more messages come in.
    pub fn fill_ended(&mut self) {
        self.filling = Span::none();
    }

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
