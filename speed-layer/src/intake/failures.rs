//! What the intake does about what Kafka's client cannot do, and about what was found out of topics.

use super::{Intake, Interrupt, Step, rejoin};
use crate::handover::Command;
use crate::kafka::{self, Finding};
use crate::partition::Event;
use crate::source::TopicPartition;
use anyhow::anyhow;
use common::Failure;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::time::Instant;

/// What the client says of one partition.
pub(super) struct PartitionFailure {
    pub at: TopicPartition,
    pub offset: i64,
    pub code: Code,
    pub why: String,
}

impl Intake {
    /// A partition's failure is its own, but for what forbids reading at all.
    pub(super) fn take_failure(&mut self, failure: PartitionFailure) -> Step {
        let PartitionFailure { at, offset, code, why } = failure;
        tracing::debug!("Kafka client, {at}, offset {offset}: {code:?}: {why}");
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                // A topic that was made anew refuses the old one's offsets as well.
                self.confirm(&at.topic);
                self.assignment.event(&at, Event::OutOfRange, Instant::now());
            }
            // It was taken in turn.
            code if kafka::is_damage_code(code) => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                // Whether it is so, the inquiry says, and also which topic it is that may come back.
                self.confirm(&at.topic);
                self.assignment.event(&at, Event::Unknown, Instant::now());
            }
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed => {
                return Err(self.forbidden(&why));
            }
            // The client recovers from everything else; an outage shows in its statistics.
            _ => self.assignment.event(&at, Event::Failed, Instant::now()),
        }
        Ok(())
    }

    /// Nothing more is begun of the topic until Kafka has said, from now on, which topic it is.
    pub(super) fn confirm(&mut self, topic: &str) {
        let question = self.inquiry.about_topic(topic);
        self.assignment.confirm(topic, question);
    }

    pub(super) fn take_error(&mut self, error: &KafkaError) -> Step {
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                // Which one it is, the inquiry says.
                for topic in self.shared.config.named_topics() {
                    self.inquiry.about_topic(topic);
                }
                Ok(())
            }
            Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                Err(self.forbidden(&error.to_string()))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(rejoin(format!("Kafka client: {error}")))
            }
            // The client recovers from everything else by itself; an outage shows in its statistics.
            _ => {
                tracing::debug!("Kafka client: {error}");
                Ok(())
            }
        }
    }

    fn forbidden(&self, why: &str) -> Interrupt {
        let (topics, group) = (self.shared.config.topics.join(", "), &self.shared.config.group_id);
        let error = anyhow!("Kafka forbids reading topic \"{topics}\" as group \"{group}\": {why}; grant READ on both");
        Interrupt::Failed(Failure::Configuration(error))
    }

    pub(super) fn take_finding(&mut self, finding: Finding) -> Step {
        match finding {
            Finding::Missing(topic) => self.topic_is_missing(&topic),
            Finding::Topic(identity, question) => {
                self.missing.remove(&identity.topic);
                if let Err(before) = self.assignment.describe(identity.clone(), question) {
                    // The client would read on where the old topic stood.
                    return Err(rejoin(format!(
                        "topic \"{}\" was made anew: its id is {}, it was {}",
                        identity.topic, identity.topic_id, before.topic_id
                    )));
                }
                self.writers.ask(Command::Identify(vec![identity]))?;
            }
            Finding::Partition(at, watermarks) => {
                self.assignment.event(&at, Event::Measured(watermarks), Instant::now());
            }
            Finding::Readable(at, offset) => {
                self.assignment.event(&at, Event::Readable(offset), Instant::now());
            }
            Finding::NotFound(at, why) => {
                tracing::debug!("asking Kafka for the offsets of {at}: {why}; it is asked again");
            }
        }
        Ok(())
    }

    /// Said once; the topic is waited for. One of its name that is there later is found out about before it is read.
    fn topic_is_missing(&mut self, topic: &str) {
        self.assignment.is_missing(topic, Instant::now());
        // A pattern's topics may go.
        let is_asked_for = self.shared.config.named_topics().any(|asked| asked == topic);
        if is_asked_for && self.missing.insert(topic.to_owned()) {
            let brokers = &self.shared.config.kafka_brokers;
            tracing::warn!("topic \"{topic}\" (--topic) does not exist on {brokers}; create it; waiting for it");
        }
    }
}
