//! [`Intake`]: the thread that polls Kafka and decodes, while the stores write.

mod failures;
mod handing_over;
mod letters;
mod offsets;
mod rebalance;
mod schemas;
mod strangers;
mod turn;
mod unmarked;

use crate::assignment::Assignment;
use crate::config::OnGap;
use crate::kafka::{self, Consumer, DeadLetters, Inquiry, MessageQueues};
use crate::kafka_watch::KafkaWatch;
use crate::process::Process;
use crate::registry;
use crate::source::{TopicIdentity, TopicPartition};
use crate::writer::{self, Writers};
use anyhow::anyhow;
use common::Timestamp;
use common::decode::{Decoder, ProvenanceNames};
use letters::LettersWatch;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use unmarked::Unmarked;

/// The longest that a poll may wait for a message.
const IDLE: Duration = Duration::from_millis(100);

/// How long a shutdown waits for what is decoded to be written. Longer would be killed by most
/// supervisors; what is not written then is still in Kafka.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(7);

/// Why a session is over.
pub enum SessionEnd {
    Shutdown,
    /// A new session can go on from the stored offsets; the text says why this one could not.
    Rejoin(String),
}

/// Why the intake cannot go on.
enum Interrupt {
    Ended(SessionEnd),
    Failed(Failure),
}

type Step<T = ()> = Result<T, Interrupt>;

impl From<writer::StoreEnded> for Interrupt {
    /// The session knows why: this text is never shown.
    fn from(_: writer::StoreEnded) -> Self {
        rejoin("the store has ended".into())
    }
}

/// A topic whose source a store is asked for.
struct Identifying {
    /// As Kafka last described it.
    identity: TopicIdentity,
    /// Kafka has described it again since the store was asked.
    is_news: bool,
    /// Why the database did not take it, in PostgreSQL's words.
    why: Option<String>,
    /// When the topic is asked for again; `None` while it is being asked for.
    retry_at: Option<Instant>,
}

/// The reading half of a session.
pub struct Intake {
    shared: Arc<Process>,
    /// Cancelled once the session does not wait for this intake any more. The next intake then sets
    /// the process's state.
    left: CancellationToken,
    /// They belong to the consumer, and are dropped before it.
    messages: MessageQueues,
    consumer: Consumer,
    inquiry: Inquiry,
    dead_letters: Option<DeadLetters>,
    writers: Writers,
    decoder: Decoder,
    assignment: Assignment,
    watch: KafkaWatch,
    letters_watch: LettersWatch,
    /// When Kafka was last told the offsets.
    committed: Instant,
    /// Since when Kafka has not answered.
    committing: Option<Instant>,
    /// Since when no partition has had a leader that the client finds.
    all_leaderless: Option<Instant>,
    /// When Kafka was last asked for the ends of partitions without a leader.
    ends_asked: Instant,
    /// A member that does not write into this database, but gets partitions; for people.
    stranger: Option<String>,
    /// Members that call themselves as we do and have no mark in our database, each since when.
    unmarked: Unmarked,
    /// Kafka does not tell who is in the group, and that was logged.
    are_members_refused: bool,
    /// The client id by which this session joins the group.
    client_id: String,
    /// Topics about which Kafka is being asked whether they may be read.
    rights_asked: BTreeSet<String>,
    /// Whether Kafka is being asked if any broker answers.
    brokers_asked: bool,
    /// Topics that cannot be read, with what was logged about each.
    absent: BTreeMap<String, String>,
    /// Topics whose source a store is asked for, and those that it did not take.
    identifying: BTreeMap<String, Identifying>,
    /// The registry's schemas that the decoder has.
    schemas_seen: registry::SchemaCursor,
}

impl Intake {
    /// The group is joined later.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(
        shared: Arc<Process>,
        writers: Writers,
        left: CancellationToken,
    ) -> Result<Self, Failure> {
        let client_id = shared.client_id();
        let consumer = kafka::consumer(&shared.config, &client_id)?;
        let messages = MessageQueues::new(&consumer, writers.count()).ok_or_else(|| {
            Failure::Infrastructure(anyhow!("librdkafka has no memory for a queue"))
        })?;
        let mut inquiry = Inquiry::start(&shared.config)?;
        for topic in shared.config.named_topics() {
            inquiry.about_topic(topic);
        }
        if let Some(topic) = &shared.config.dead_letter_topic {
            inquiry.about_topic(topic);
        }
        let dead_letters = DeadLetters::new(&shared.config, &shared.metrics.letters_cut)?;
        let rules = shared.config.messages.rules(ProvenanceNames::default());
        let (health, retries) = (Arc::clone(&shared.health), shared.metrics.retries("Kafka"));
        let watch = KafkaWatch::new(
            &shared.config.kafka_brokers,
            health,
            retries,
            shared.kafka_outage.clone(),
        );
        let skips = shared.config.on_gap == OnGap::Skip;
        shared.health.letters.set(true);
        let letters_watch = LettersWatch::new(
            shared.config.dead_letter_topic.as_deref(),
            shared.metrics.retries("dead letters"),
        );
        let ends = shared.take_ends();
        Ok(Self {
            shared,
            left,
            messages,
            consumer,
            inquiry,
            dead_letters,
            writers,
            decoder: Decoder::new(rules, Timestamp::now()),
            assignment: Assignment::new(skips, ends),
            watch,
            letters_watch,
            committed: Instant::now(),
            committing: None,
            all_leaderless: None,
            ends_asked: Instant::now(),
            stranger: None,
            unmarked: Unmarked::default(),
            are_members_refused: false,
            client_id,
            rights_asked: BTreeSet::new(),
            brokers_asked: false,
            absent: BTreeMap::new(),
            identifying: BTreeMap::new(),
            schemas_seen: registry::SchemaCursor::default(),
        })
    }

    /// Moves partitions on to `next` over what is no message, or cannot be read.
    fn pass(&mut self, at: &TopicPartition, next: i64) {
        let Some(step) = self.assignment.advance(&at.topic, at.partition, next, next) else {
            return;
        };
        if step.expected < next {
            let batch = self.writers.batch(step.at);
            batch.gaps.extend(step.gap(next));
            batch.pass(step.at, step.expected, next);
        }
    }
}

fn rejoin(why: String) -> Interrupt {
    Interrupt::Ended(SessionEnd::Rejoin(why))
}
