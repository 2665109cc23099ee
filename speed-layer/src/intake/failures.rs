//! The intake's reaction to failures of Kafka's client, and to findings about topics.

use super::{Identifying, Intake, Interrupt, Step, rejoin};
use crate::handover::StoreCommand;
use crate::kafka::{self, Finding};
use crate::partition::Event;
use crate::source::{Source, TopicIdentity, TopicPartition};
use anyhow::anyhow;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use service::Failure;
use std::time::{Duration, Instant};

/// How long the client may find no leader of any partition before the brokers are asked whether
/// there are some.
pub(super) const LEADERS_LOST: Duration = Duration::from_secs(30);

fn is_not_taken(topic: &str, why: &str) -> String {
    format!(
        "PostgreSQL does not take topic \"{topic}\" as a source (kafka_sources, and kafka_gaps for \
         what was there before): {why}; trying again"
    )
}

/// A report of the client for one partition.
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
                // A topic that was made again refuses the old one's offsets as well.
                self.confirm(&at.topic);
                self.assignment.event(&at, Event::OutOfRange, Instant::now());
            }
            // It was taken in turn.
            code if kafka::is_damage_code(code) => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                // Whether it is so, the inquiry says, and also which topic it is that may come
                // back.
                self.confirm(&at.topic);
                self.assignment.event(&at, Event::Unknown, Instant::now());
            }
            Code::TopicAuthorizationFailed => {
                self.assignment.event(&at, Event::Forbidden(why), Instant::now())
            }
            // The client recovers from everything else; an outage shows in its statistics.
            _ => self.assignment.event(&at, Event::ClientError, Instant::now()),
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
                self.ask_about_named_topics();
                Ok(())
            }
            Some(
                Code::InconsistentGroupProtocol
                | Code::GroupMaxSizeReached
                | Code::InvalidSessionTimeout,
            ) => {
                let group = &self.shared.config.group_id;
                Err(rejoin(format!(
                    "group \"{group}\" (--group-id) does not take this instance: {error}; its \
                     members must agree on partition.assignment.strategy and group.protocol \
                     (--kafka-property)"
                )))
            }
            Some(Code::GroupAuthorizationFailed) => Err(self.group_is_forbidden(error)),
            Some(Code::TopicAuthorizationFailed) => {
                // Which one it is, the inquiry says.
                self.ask_about_named_topics();
                Ok(())
            }
            // It would throw out the other one if it came back, and be thrown out again.
            Some(Code::FencedInstanceId) => {
                Err(Interrupt::Failed(Failure::Configuration(anyhow!(
                    "another instance with the same group.instance.id (--kafka-property) has taken \
                     this one's place: each needs one of its own, or none"
                ))))
            }
            Some(Code::UnreleasedInstanceId) => Err(rejoin(
                "another instance with the same group.instance.id (--kafka-property) is in the \
                 group: each needs one of its own, or none; waiting until it leaves"
                    .into(),
            )),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(rejoin(format!("Kafka client: {error}")))
            }
            // The client recovers from everything else by itself; an outage shows in its
            // statistics.
            _ => {
                tracing::debug!("Kafka client: {error}");
                Ok(())
            }
        }
    }

    fn ask_about_named_topics(&mut self) {
        for topic in self.shared.config.named_topics() {
            self.inquiry.about_topic(topic);
        }
    }

    /// A right that is missing from the beginning is a mistake of the configuration's. One that is
    /// taken away later may come back.
    fn group_is_forbidden(&self, why: &KafkaError) -> Interrupt {
        let group = &self.shared.config.group_id;
        let text =
            format!("Kafka forbids the group \"{group}\" (--group-id): {why}; grant READ on it");
        if self.shared.health.group.has_held() {
            return rejoin(text);
        }
        Interrupt::Failed(Failure::Configuration(anyhow!(text)))
    }

    pub(super) fn take_finding(&mut self, finding: Finding) -> Step {
        match finding {
            Finding::Members(members) => self.take_members(&members),
            Finding::MembersRefused(why) => self.members_are_unknown(&why),
            Finding::Missing(topic) if self.is_of_letters(&topic) => {
                self.note_topic_of_letters(false)
            }
            Finding::Topic(identity, _) if self.is_of_letters(&identity.topic) => {
                self.note_topic_of_letters(true)
            }
            // To write is another right than to look.
            Finding::Forbidden(topic, _) if self.is_of_letters(&topic) => {}
            Finding::Missing(topic) => self.topic_is_missing(&topic),
            Finding::Forbidden(topic, why) => return self.topic_is_forbidden(&topic, &why),
            Finding::Topic(identity, question) => {
                self.absent.remove(&identity.topic);
                if let Err(before) = self.assignment.describe(identity.clone(), question) {
                    // The client would read on at the old topic's offset.
                    return Err(rejoin(format!(
                        "topic \"{}\" was recreated: id {}, before {}",
                        identity.topic, identity.topic_id, before.topic_id
                    )));
                }
                self.identify(identity)?;
            }
            Finding::Partition(at, watermarks, asked) => {
                self.assignment.event(&at, Event::Measured(watermarks, asked), Instant::now());
            }
            Finding::Readable { at, from, offset } => {
                let event = Event::Readable { from, offset };
                self.assignment.event(&at, event, Instant::now());
            }
            Finding::Led(at) => return self.leader_is_not_found(&at),
            Finding::Brokers(do_answer) => {
                self.brokers_asked = false;
                if do_answer && self.watch.is_away_for(LEADERS_LOST) {
                    return Err(rejoin(
                        "brokers answer, and Kafka's client has a connection to none".into(),
                    ));
                }
            }
            Finding::Allowed(at) => {
                self.rights_asked.remove(&at.topic);
                self.assignment.is_allowed(&at.topic, Instant::now());
            }
            Finding::StillForbidden(at, why) => {
                tracing::debug!("asking Kafka whether {at} may be read: {why}");
                self.rights_asked.remove(&at.topic);
            }
            Finding::NotFound(at, why) => {
                tracing::debug!("asking Kafka for the offsets of {at}: {why}; it is asked again");
            }
        }
        Ok(())
    }

    /// Asks a store which source the topic is. One that is being asked about is asked again after
    /// the answer.
    fn identify(&mut self, identity: TopicIdentity) -> Step {
        if let Some(asked) = self.identifying.get_mut(&identity.topic) {
            asked.is_news |= asked.identity != identity;
            asked.identity = identity;
            return Ok(());
        }
        let asked =
            Identifying { identity: identity.clone(), is_news: false, why: None, retry_at: None };
        self.identifying.insert(identity.topic.clone(), asked);
        Ok(self.writers.ask(StoreCommand::Identify(identity))?)
    }

    pub(super) fn topic_is_identified(&mut self, source: Source) {
        match self.identifying.get_mut(&source.topic) {
            Some(asked) if asked.is_news => {
                (asked.is_news, asked.retry_at) = (false, Some(Instant::now()));
            }
            _ => drop(self.identifying.remove(&source.topic)),
        }
        self.assignment.identified(source);
    }

    /// Said once; the other topics are read.
    pub(super) fn topic_is_not_taken(
        &mut self,
        identity: TopicIdentity,
        why: String,
        retry_after: Duration,
    ) {
        // It may be gone meanwhile.
        let Some(asked) = self.identifying.get_mut(&identity.topic) else { return };
        if asked.why.as_ref() != Some(&why) {
            let (topic, text) = (identity.topic.as_str(), is_not_taken(&identity.topic, &why));
            tracing::warn!(topic, error = why, "{text}");
        }
        (asked.why, asked.is_news) = (Some(why), false);
        asked.retry_at = Some(Instant::now() + retry_after);
    }

    /// Asks again about topics that the database did not take.
    pub(super) fn identify_again(&mut self) -> Step {
        let now = Instant::now();
        let mut due = Vec::new();
        for asked in self.identifying.values_mut() {
            if asked.retry_at.take_if(|retry_at| *retry_at <= now).is_some() {
                due.push(asked.identity.clone());
            }
        }
        Ok(due
            .into_iter()
            .try_for_each(|identity| self.writers.ask(StoreCommand::Identify(identity)))?)
    }

    /// Why a topic is not read that Kafka has, for people.
    pub(super) fn topic_not_taken(&self) -> Option<String> {
        let why = |(topic, asked): (&String, &Identifying)| {
            Some(is_not_taken(topic, asked.why.as_deref()?))
        };
        self.identifying.iter().find_map(why)
    }

    /// The brokers name a leader, and Kafka's client has not found it for a while. One that was
    /// restored to an older state counts its leaders from before, and the client takes that for old
    /// news; a new client does not.
    fn leader_is_not_found(&self, at: &TopicPartition) -> Step {
        if self.all_leaderless.is_none_or(|since| since.elapsed() < LEADERS_LOST) {
            return Ok(());
        }
        Err(rejoin(format!(
            "the brokers name a leader of {at}, which Kafka's client does not find"
        )))
    }

    /// Said once; the topic is waited for. One of its name that is there later is found out about
    /// before it is read.
    fn is_of_letters(&self, topic: &str) -> bool {
        self.shared.config.dead_letter_topic.as_deref() == Some(topic)
    }

    fn note_topic_of_letters(&mut self, is_there: bool) {
        self.letters_watch.note_topic(is_there, &self.shared.health.letters);
    }

    fn topic_is_missing(&mut self, topic: &str) {
        self.assignment.is_missing(topic, Instant::now());
        self.identifying.remove(topic);
        let brokers = &self.shared.config.kafka_brokers;
        let then = match self.assignment.is_read(topic) {
            true => {
                " any more; a recreated one is another topic, see SpeedLayerDown in \
                 docs/operations.md"
            }
            false => "; create it",
        };
        let text = format!(
            "topic \"{topic}\" (--topic) does not exist on {brokers}{then}; waiting for it"
        );
        self.topic_is_absent(topic, text);
    }

    /// Said once; the other topics are read. Where there is none, and never was, it is a mistake of
    /// the configuration's.
    fn topic_is_forbidden(&mut self, topic: &str, why: &str) -> Step {
        let text =
            format!("Kafka forbids reading topic \"{topic}\" (--topic): {why}; grant READ on it");
        let is_only_one = self.shared.config.topics.len() == 1;
        if is_only_one && !self.shared.health.group.has_held() {
            return Err(Interrupt::Failed(Failure::Configuration(anyhow!(text))));
        }
        self.topic_is_absent(topic, text);
        Ok(())
    }

    fn topic_is_absent(&mut self, topic: &str, text: String) {
        // A pattern's topics may go.
        if !self.shared.config.named_topics().any(|asked| asked == topic) {
            return;
        }
        if self.absent.get(topic) != Some(&text) {
            tracing::warn!(topic, error = text, "{text}");
            self.absent.insert(topic.to_owned(), text);
        }
    }
}
