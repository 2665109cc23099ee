//! [`Assignment`]: the partitions that this instance reads, and how far it is with each.

use crate::batch::Ranges;
use crate::metrics::Metrics;
use crate::store::Position;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};

/// How far one partition is.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The offset to read next.
    next: i64,
    /// The offset up to which everything is committed in PostgreSQL, exclusive.
    written: i64,
    /// The same, as Kafka was last told.
    told: i64,
}

/// All partitions of the one topic that are ours.
#[derive(Debug)]
pub struct Assignment {
    topic: String,
    partitions: BTreeMap<i32, Progress>,
}

impl Assignment {
    pub fn new(topic: String) -> Self {
        Self { topic, partitions: BTreeMap::new() }
    }

    pub fn begin(&mut self, positions: &[Position]) {
        for Position { partition, next } in positions {
            self.partitions.insert(*partition, Progress { next: *next, written: *next, told: -1 });
        }
    }

    pub fn end(&mut self, partitions: &TopicPartitionList) {
        for element in partitions.elements() {
            self.partitions.remove(&element.partition());
        }
    }

    pub fn contains(&self, partition: i32) -> bool {
        self.partitions.contains_key(&partition)
    }

    /// Moves the partition behind the message at `offset` and returns the offset that was expected. `None` for a
    /// message that is not to be taken: the partition is not ours, or the message was taken before.
    pub fn advance(&mut self, partition: i32, offset: i64) -> Option<i64> {
        let progress = self.partitions.get_mut(&partition)?;
        if offset < progress.next {
            return None;
        }
        Some(std::mem::replace(&mut progress.next, offset + 1))
    }

    pub fn written(&mut self, ranges: &Ranges) {
        for range in ranges.iter() {
            if let Some(progress) = self.partitions.get_mut(&range.partition) {
                progress.written = progress.written.max(range.next);
            }
        }
    }

    /// Where PostgreSQL stands with each partition.
    pub fn positions(&self) -> Vec<Position> {
        let written = self.partitions.iter().map(|(partition, progress)| (*partition, progress.written));
        written.map(|(partition, next)| Position { partition, next }).collect()
    }

    /// Messages between what is written and the ends of the partitions.
    pub fn report_lag(&self, ends: &HashMap<i32, i64>, metrics: &Metrics) {
        for (partition, end) in ends {
            if let Some(progress) = self.partitions.get(partition) {
                metrics.set_lag(*partition, (end - progress.written).max(0));
            }
        }
    }

    /// The offsets that Kafka has not been told yet; calling this counts as telling.
    pub fn untold(&mut self) -> rdkafka::error::KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, progress) in &mut self.partitions {
            if progress.told < progress.written {
                progress.told = progress.written;
                list.add_partition_offset(&self.topic, *partition, Offset::Offset(progress.written))?;
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_once_and_only_from_a_partition_that_is_ours() {
        let mut assignment = Assignment::new("t".into());
        assignment.begin(&[Position { partition: 0, next: 5 }]);
        assert_eq!(assignment.advance(0, 4), None);
        assert_eq!(assignment.advance(0, 5), Some(5));
        assert_eq!(assignment.advance(0, 5), None);
        // Offsets 6 and 7 do not exist: a transaction's marker, or compaction.
        assert_eq!(assignment.advance(0, 8), Some(6));
        assert_eq!(assignment.advance(1, 0), None);
    }

    #[test]
    fn kafka_is_told_what_is_written_once() {
        let mut assignment = Assignment::new("t".into());
        assignment.begin(&[Position { partition: 0, next: 5 }]);
        assert_eq!(assignment.untold().unwrap().count(), 1);
        assert_eq!(assignment.untold().unwrap().count(), 0);
        let mut ranges = Ranges::default();
        ranges.extend(0, 5, 9);
        ranges.extend(3, 0, 9);
        assignment.written(&ranges);
        let told = assignment.untold().unwrap();
        assert_eq!(told.elements()[0].offset(), Offset::Offset(9));
    }
}
