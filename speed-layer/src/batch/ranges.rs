//! Which offsets a batch covers.

use crate::source::SourcePartition;

/// The offsets [start, next) of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub at: SourcePartition,
    /// The offset that was expected when the range began: where the last batch ended.
    pub start: i64,
    /// The offset after the last message.
    pub next: i64,
}

/// One range a partition, in the order in which partitions came up.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    ranges: Vec<Range>,
    /// The index of the last message's range: neighbours mostly share it.
    last: usize,
}

impl Ranges {
    /// How many partitions they are of.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Takes in a message of a partition that moves it from `start` to `next`.
    pub fn extend(&mut self, at: SourcePartition, start: i64, next: i64) {
        if let Some(range) = self.ranges.get_mut(self.last).filter(|range| range.at == at) {
            range.next = next;
            return;
        }
        self.last = match self.ranges.iter().position(|range| range.at == at) {
            Some(known) => {
                self.ranges[known].next = next;
                known
            }
            None => {
                self.ranges.push(Range { at, start, next });
                self.ranges.len() - 1
            }
        };
    }

    /// Leaves out the other partitions.
    pub fn retain(&mut self, is_kept: impl Fn(SourcePartition) -> bool) {
        self.ranges.retain(|range| is_kept(range.at));
        self.last = 0;
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.ranges.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn clear(&mut self) {
        self.ranges.clear();
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_where_the_partition_stood_and_ends_behind_its_last_message() {
        let mut ranges = Ranges::default();
        let at = |partition| SourcePartition { source: 1, partition };
        ranges.extend(at(0), 5, 6);
        ranges.extend(at(1), 0, 4);
        ranges.extend(at(0), 6, 9);
        let expected =
            [Range { at: at(0), start: 5, next: 9 }, Range { at: at(1), start: 0, next: 4 }];
        assert_eq!(ranges.iter().collect::<Vec<_>>(), expected);
    }
}
