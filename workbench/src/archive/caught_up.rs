//! Whether what the topic held is archived, where other members of the group read some of it.

use super::subscription::Subscription;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often one looks at what the others have committed.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is said what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How long the brokers may take to tell where the group and the log stand.
const ASKING_PATIENCE: Duration = Duration::from_secs(5);

/// Follows the partitions that other members have.
pub struct Others {
    consumer: Arc<StreamConsumer<Subscription>>,
    topic: String,
    group: String,
    partitions: Vec<i32>,
    /// Where each partition ended when it was first looked at.
    goals: BTreeMap<i32, i64>,
    /// What others have committed up to its goal.
    done: BTreeSet<i32>,
    said: Instant,
}

/// A partition as the brokers tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    partition: i32,
    /// `None` where the group has committed nothing, or what the log does not have.
    committed: Option<i64>,
    low: i64,
    high: i64,
}

impl Standing {
    /// Whether the group has all that the partition had when it ended at `goal`.
    fn is_done(self, goal: i64) -> bool {
        match self.committed {
            Some(committed) => (goal..=self.high).contains(&committed),
            None => self.low == self.high,
        }
    }
}

impl Others {
    pub fn new(
        consumer: Arc<StreamConsumer<Subscription>>,
        (topic, group): (&str, &str),
        partitions: Vec<i32>,
    ) -> Self {
        Self {
            consumer,
            topic: topic.to_owned(),
            group: group.to_owned(),
            partitions,
            goals: BTreeMap::new(),
            done: BTreeSet::new(),
            said: Instant::now(),
        }
    }

    /// Whether each partition is read to its end, by `is_read` of this member's own ones, or
    /// committed by another member.
    pub fn are_done(&self, is_read: impl Fn(i32) -> Option<bool>) -> bool {
        self.partitions.iter().all(|id| is_read(*id).unwrap_or_else(|| self.done.contains(id)))
    }

    /// Looks at what the others have committed, and says now and then what is waited for.
    pub async fn look(&mut self) {
        if !self.consumer.context().is_member() {
            return;
        }
        let (consumer, topic, all) =
            (Arc::clone(&self.consumer), self.topic.clone(), self.partitions.clone());
        let asked =
            tokio::task::spawn_blocking(move || standings_of_others(&consumer, &topic, &all));
        // Who does not answer now may the next time.
        let Ok(Ok(standings)) = asked.await else { return };
        self.done.clear();
        let mut waited_for = Vec::new();
        for standing in standings {
            let partition = standing.partition;
            let goal = *self.goals.entry(partition).or_insert(standing.high);
            if standing.is_done(goal) {
                self.done.insert(partition);
            } else {
                let committed =
                    standing.committed.map_or("nothing".to_owned(), |at| at.to_string());
                waited_for.push(format!("{partition} (committed: {committed}, of {goal})"));
            }
        }
        if !waited_for.is_empty() && self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            tracing::info!(
                "waiting for other members of group {}, which have these partitions of {}: {}",
                self.group,
                self.topic,
                waited_for.join(", ")
            );
        }
    }
}

/// Where the partitions stand that this member does not have.
fn standings_of_others(
    consumer: &StreamConsumer<Subscription>,
    topic: &str,
    all: &[i32],
) -> KafkaResult<Vec<Standing>> {
    let assignment = consumer.assignment()?;
    let own: BTreeSet<i32> =
        assignment.elements().iter().map(|element| element.partition()).collect();
    let mut asked = TopicPartitionList::new();
    for id in all.iter().filter(|id| !own.contains(id)) {
        asked.add_partition(topic, *id);
    }
    if asked.count() == 0 {
        return Ok(Vec::new());
    }
    let committed = consumer.committed_offsets(asked, ASKING_PATIENCE)?;
    let standings = committed.elements().into_iter().map(|element| {
        let partition = element.partition();
        let (low, high) = consumer.fetch_watermarks(topic, partition, ASKING_PATIENCE)?;
        let committed = match element.offset() {
            Offset::Offset(next) if next <= high => Some(next),
            _ => None,
        };
        Ok(Standing { partition, committed, low, high })
    });
    standings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_member_has_counts_once_it_has_committed_what_there_was() {
        let at = |committed| Standing { partition: 0, committed, low: 3, high: 12 };
        assert!(at(Some(10)).is_done(10) && at(Some(12)).is_done(10));
        assert!(!at(Some(9)).is_done(10));
        // Offsets of a log that was longer once tell nothing of this one.
        assert!(!at(Some(13)).is_done(10));
        assert!(!at(None).is_done(10));
        assert!(Standing { committed: None, low: 12, ..at(None) }.is_done(12), "nothing to read");
    }
}
