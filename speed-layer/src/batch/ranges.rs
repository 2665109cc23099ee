//! Which offsets a batch covers.

/// The offsets [start, next) of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub partition: i32,
    /// The offset that was expected when the range began: where the last batch ended.
    pub start: i64,
    /// The offset after the last message.
    pub next: i64,
}

/// One range a partition, in the order in which partitions came up.
#[derive(Debug, Clone, Default)]
pub struct Ranges {
    ranges: Vec<Range>,
    /// Where the last message's range stands: neighbours mostly share it.
    last: usize,
}

impl Ranges {
    /// Takes in a message of `partition` that moves it from `start` to `next`.
    pub fn extend(&mut self, partition: i32, start: i64, next: i64) {
        if let Some(range) = self.ranges.get_mut(self.last).filter(|range| range.partition == partition) {
            range.next = next;
            return;
        }
        self.last = match self.ranges.iter().position(|range| range.partition == partition) {
            Some(known) => {
                self.ranges[known].next = next;
                known
            }
            None => {
                self.ranges.push(Range { partition, start, next });
                self.ranges.len() - 1
            }
        };
    }

    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.ranges.iter().copied()
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
        ranges.extend(0, 5, 6);
        ranges.extend(1, 0, 4);
        ranges.extend(0, 6, 9);
        let expected = [Range { partition: 0, start: 5, next: 9 }, Range { partition: 1, start: 0, next: 4 }];
        assert_eq!(ranges.iter().collect::<Vec<_>>(), expected);
    }
}
