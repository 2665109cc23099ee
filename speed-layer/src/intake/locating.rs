//! [`Locating`]: partitions that were assigned and wait for the store to say where to begin.

use rdkafka::TopicPartitionList;

/// One question is open at most; answers to those before it, about partitions that were lost and perhaps assigned anew
/// since, do not count.
#[derive(Debug, Default)]
pub struct Locating {
    partitions: Option<TopicPartitionList>,
    /// Answers that are still to come. The store answers in order, so only the last one is about `partitions`.
    awaited: usize,
}

impl Locating {
    /// What the next question is about.
    pub fn begin(&mut self, partitions: TopicPartitionList) {
        self.partitions = Some(partitions);
    }

    /// Nothing: the partitions were given up.
    pub fn forget(&mut self) {
        self.partitions = None;
    }

    /// `None` where they were given up before the store had answered.
    pub fn partitions(&self) -> Option<&TopicPartitionList> {
        self.partitions.as_ref()
    }

    pub fn take(&mut self) -> Option<TopicPartitionList> {
        self.partitions.take()
    }

    pub fn asked(&mut self) {
        self.awaited += 1;
    }

    /// Whether this answer counts.
    pub fn answered(&mut self) -> bool {
        self.awaited -= 1;
        self.awaited == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(id: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", id);
        list
    }

    #[test]
    fn an_answer_about_partitions_that_were_lost_is_not_taken_for_one_about_those_assigned_since() {
        let mut locating = Locating::default();
        locating.begin(partition(0));
        locating.asked();
        locating.forget();
        locating.begin(partition(0));
        locating.asked();
        assert!(!locating.answered(), "the first answer is older than the assignment");
        assert!(locating.answered());
        assert_eq!(locating.take().map(|list| list.count()), Some(1));
    }

    #[test]
    fn an_answer_after_the_partitions_were_given_up_finds_none() {
        let mut locating = Locating::default();
        locating.begin(partition(0));
        locating.asked();
        locating.forget();
        assert!(locating.answered());
        assert!(locating.take().is_none());
    }
}
