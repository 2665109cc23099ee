//! What the intake does when its share of the partitions changes.

use super::{Command, Intake, Interrupt, Step, rejoin};
use crate::kafka::{self, Rebalance};
use crate::store::{Known, Position};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use std::time::Duration;

/// How long a revocation may be held up for the last batch to be written.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka may take to say what it has of a partition.
const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(10);

impl Intake {
    pub(super) fn take_reports(&mut self) -> Step {
        let mut reports = self.consumer.context().take_reports();
        if let Some(leaderless) = &mut reports.leaderless {
            leaderless.retain(|partition| self.assignment.contains(*partition));
        }
        self.watch.note(&self.shared, &reports).map_err(Interrupt::Failed)?;
        self.assignment.report_lag(&reports.ends, &self.shared.metrics);
        for rebalance in reports.rebalances {
            match rebalance {
                Rebalance::Assign(partitions) => self.locate(partitions)?,
                Rebalance::Revoke(partitions) => self.give_up(&partitions)?,
            }
        }
        Ok(())
    }

    /// Asks Kafka what it has of the new partitions, and the store where to begin.
    fn locate(&mut self, partitions: TopicPartitionList) -> Step {
        self.shared.metrics.rebalanced("assigned");
        self.locating.begin(partitions);
        self.locate_again(&[])
    }

    /// `stored` are offsets that the store has found beyond the partitions' ends.
    pub(super) fn locate_again(&mut self, stored: &[Position]) -> Step {
        // Revoked before the store had answered.
        let Some(partitions) = self.locating.partitions() else {
            return Ok(());
        };
        let beyond = |partition| stored.iter().find(|position| position.partition == partition).map(|found| found.next);
        let ids = partitions.elements().into_iter().map(|element| element.partition());
        let known = ids.map(|partition| self.known(partition, beyond(partition))).collect::<Step<_>>()?;
        self.locating.asked();
        self.command(Command::Locate(known))
    }

    fn known(&self, partition: i32, beyond: Option<i64>) -> Step<Known> {
        let topic = &self.shared.config.topic;
        match self.consumer.fetch_watermarks(topic, partition, WATERMARKS_TIMEOUT) {
            Ok((low, high)) => Ok(Known { partition, low, high, beyond }),
            Err(error) => Err(rejoin(format!("asking Kafka for the offsets of {topic}/{partition}: {error}"))),
        }
    }

    pub(super) fn take_up(&mut self, positions: &[Position]) -> Step {
        // Revoked before the store had answered.
        let Some(mut partitions) = self.locating.take() else {
            return Ok(());
        };
        for Position { partition, next } in positions {
            let topic = &self.shared.config.topic;
            let offset = rdkafka::Offset::Offset(*next);
            self.messages.forward(&self.consumer, topic, *partition);
            partitions
                .set_partition_offset(topic, *partition, offset)
                .map_err(|error| rejoin(format!("beginning {topic}/{partition} at {next}: {error}")))?;
        }
        self.assignment.begin(positions);
        self.topic_missing = false;
        self.shared.health.group.set(true);
        let text = positions.iter().map(|p| format!("{}@{}", p.partition, p.next)).collect::<Vec<_>>().join(" ");
        tracing::info!("assigned partitions (with next offsets): {text}");
        kafka::take_up(&self.consumer, &partitions).map_err(|error| rejoin(format!("taking up partitions: {error}")))
    }

    /// Writes what was read of the partitions, if the store is quick about it, and lets them go. Otherwise the offsets
    /// in PostgreSQL decide between this instance and the next. Lost are always all partitions, and another instance may
    /// have them already: then what was read is dropped.
    fn give_up(&mut self, partitions: &TopicPartitionList) -> Step {
        self.shared.metrics.rebalanced("revoked");
        if self.consumer.assignment_lost() {
            // It may come back, and is then read from where the store stands: what is kept would be written twice.
            self.batch.clear();
        } else {
            self.drain(REVOKE_TIMEOUT)?;
            self.tell_kafka_now(CommitMode::Async);
        }
        self.locating.forget();
        self.assignment.end(partitions);
        for element in partitions.elements() {
            self.shared.metrics.forget_lag(element.partition());
        }
        tracing::info!("gave up partitions: {}", names(partitions));
        kafka::release(&self.consumer, partitions);
        Ok(())
    }
}

fn names(partitions: &TopicPartitionList) -> String {
    partitions.elements().iter().map(|element| element.partition().to_string()).collect::<Vec<_>>().join(" ")
}
