//! [`Consumer`]: the client that reads, and what librdkafka reports while it is polled.

use super::settings::{FIXED, FLAGS, consumer_settings};
use crate::config::Config;
use crate::source::TopicPartition;
use anyhow::Context as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::RebalanceProtocol;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use service::Failure;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub type Consumer = BaseConsumer<Context>;

/// A client that has not joined the group yet, by the name of `client_id`.
///
/// # Errors
/// If librdkafka refuses a property.
pub fn consumer(config: &Config, client_id: &str) -> Result<Consumer, Failure> {
    let is_fixed = |key: &str| FIXED.iter().any(|(fixed, _)| *fixed == key);
    if let Some((key, _)) = config.kafka.iter().find(|(key, _)| is_fixed(key)) {
        let error = anyhow::anyhow!(
            "--kafka-property {key} cannot be set: exactly-once rests on its value"
        );
        return Err(Failure::Configuration(error));
    }
    let flag_of = |key: &str| FLAGS.iter().find(|(known, _)| *known == key);
    if let Some((key, flag)) = config.kafka.iter().find_map(|(key, _)| flag_of(key)) {
        let error = anyhow::anyhow!("--kafka-property {key} cannot be set: {flag} says it");
        return Err(Failure::Configuration(error));
    }
    config.kafka.check_login()?;
    consumer_settings(config, client_id)
        .create_with_context(Context::default())
        .context("the Kafka client refuses its settings (--kafka-brokers, --kafka-property)")
        .map_err(Failure::Configuration)
}

/// Joins the group.
///
/// # Errors
/// If librdkafka refuses a topic's name, or a pattern.
pub fn subscribe(consumer: &Consumer, config: &Config) -> Result<(), Failure> {
    let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .with_context(|| {
            let topics = topics.join(", ");
            format!(
                "cannot subscribe to {topics} (--topic): what begins with ^ must be a regular \
                expression"
            )
        })
        .map_err(Failure::Configuration)
}

/// A change of the partitions that this instance reads. The intake carries it out after the poll
/// that brought it.
#[derive(Debug, Clone)]
pub enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Reports of librdkafka since the last call.
#[derive(Debug, Default)]
pub struct Reports {
    pub rebalances: Vec<Rebalance>,
    /// Whether a connection to a broker is up; `None` where nothing new is known.
    pub connected: Option<bool>,
    /// Partitions, ours or not, that no broker can be read from: to none that would serve them a
    /// connection is up. `None` where nothing new is known.
    pub leaderless: Option<Vec<TopicPartition>>,
    /// The end of each partition.
    pub ends: HashMap<TopicPartition, End>,
    /// Whether the group's coordinator has answered a commit.
    pub has_answered: bool,
    /// The offsets that it took.
    pub acknowledged: Vec<(TopicPartition, i64)>,
    /// The latest trouble, in librdkafka's words.
    pub trouble: Option<(RDKafkaErrorCode, String)>,
    closing: bool,
}

/// Where a partition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Exclusive; an open transaction's messages included.
    pub high: i64,
    /// Up to which offset a reader may come that waits for open transactions; exclusive.
    pub stable: i64,
    /// Which offset the client will ask for next.
    pub fetched: i64,
}

/// Collects reports: callbacks must not block, and they run inside of a poll.
#[derive(Default)]
pub struct Context {
    reports: Mutex<Reports>,
}

impl Context {
    /// Takes the reports since the last call.
    pub fn take_reports(&self) -> Reports {
        let mut reports = self.lock();
        let closing = reports.closing;
        std::mem::replace(&mut *reports, Reports { closing, ..Reports::default() })
    }

    /// From now on the group is answered at once: what it gives is taken and not read, what it
    /// wants back is given up. Nothing will be written any more, and an assignment that is never
    /// answered would keep the client from leaving.
    pub fn close(&self) {
        self.lock().closing = true;
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Its errors come through `error` as well; as log lines they would repeat at every try.
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => {
                tracing::trace!("librdkafka {facility}: {message}")
            }
            _ => tracing::debug!("librdkafka {facility}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let mut reports = self.lock();
        // That all brokers are down says less than the reason that came before it.
        if code != RDKafkaErrorCode::AllBrokersDown || reports.trouble.is_none() {
            reports.trouble = Some((code, reason.to_owned()));
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut reports = self.lock();
        reports.connected = Some(statistics.brokers.values().any(|broker| broker.state == "UP"));
        // The connection to the group's coordinator is one apart: it brings no messages.
        let up = statistics
            .brokers
            .values()
            .filter(|broker| broker.state == "UP" && broker.source != "logical");
        let up: HashSet<i32> = up.map(|broker| broker.nodeid).filter(|id| *id >= 0).collect();
        let mut leaderless = Vec::new();
        for (topic, name) in statistics.topics.values().map(|topic| (topic, &topic.topic)) {
            for (id, partition) in topic.partitions.iter().filter(|(id, _)| **id >= 0) {
                let at = || TopicPartition { topic: name.clone(), partition: *id };
                // The broker that serves it may be a follower (client.rack).
                if !up.contains(&partition.leader) && !up.contains(&partition.broker) {
                    leaderless.push(at());
                }
                // -1001 means that an end is not known.
                if partition.hi_offset >= 0 {
                    let stable = if partition.ls_offset >= 0 {
                        partition.ls_offset
                    } else {
                        partition.hi_offset
                    };
                    reports.ends.insert(
                        at(),
                        End { high: partition.hi_offset, stable, fetched: partition.next_offset },
                    );
                }
            }
        }
        leaderless.sort_unstable();
        reports.leaderless = Some(leaderless);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let mut reports = self.lock();
        reports.has_answered = true;
        match result {
            Ok(()) => reports.acknowledged.extend(offsets.elements().iter().filter_map(taken)),
            Err(error) => tracing::debug!("Kafka does not take the offsets: {error}"),
        }
    }

    fn rebalance(
        &self,
        consumer: &Consumer,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_assignment = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let mut reports = self.lock();
        if reports.closing {
            drop(reports);
            match is_assignment {
                true => assign_none(consumer),
                false => unassign_all(consumer),
            }
            return;
        }
        let partitions = partitions.clone();
        reports.rebalances.push(if is_assignment {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        });
    }
}

fn taken(element: &TopicPartitionListElem<'_>) -> Option<(TopicPartition, i64)> {
    let at = TopicPartition { topic: element.topic().to_owned(), partition: element.partition() };
    element.error().ok()?;
    Some((at, element.offset().to_raw()?))
}

/// Starts reading the partitions at the offsets given.
///
/// # Errors
/// If librdkafka refuses the assignment.
pub fn assign(consumer: &Consumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}

/// Answers an assignment or a revocation that nobody has answered; where none is open it gives up
/// what is read.
pub(super) fn answer_open(consumer: &Consumer) {
    assign_none(consumer);
    unassign_all(consumer);
}

fn assign_none(consumer: &Consumer) {
    if let Err(error) = assign(consumer, &TopicPartitionList::new()) {
        tracing::debug!("answering an assignment: {error}");
    }
}

/// Stops reading whatever is read, and tells the group so.
fn unassign_all(consumer: &Consumer) {
    // A partition that was never assigned to the client must not be in the list.
    match consumer.assignment() {
        Ok(partitions) => unassign(consumer, &partitions),
        Err(error) => tracing::debug!("giving up partitions: {error}"),
    }
}

/// Stops reading the partitions, and tells the group so. All of them must have been assigned to it.
pub fn unassign(consumer: &Consumer, partitions: &TopicPartitionList) {
    let released = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    };
    if let Err(error) = released {
        tracing::debug!("giving up partitions: {error}");
    }
}
