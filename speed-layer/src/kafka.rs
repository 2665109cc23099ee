//! The Kafka consumer: its settings, and what librdkafka reports while it is polled.

mod dead_letters;
mod queue;

pub use dead_letters::DeadLetters;
pub use queue::MessageQueue;

use crate::config::Config;
use anyhow::Context as _;
use common::Failure;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{TopicPartitionList, consumer::RebalanceProtocol};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub type Consumer = BaseConsumer<Context>;

/// Settings that a `--kafka-property` may override. Small fetches and queues keep the process below 64 MB, because each
/// queued message costs librdkafka several times its length; and a full queue is looked at again after 5 ms rather
/// than a second, which would cost three quarters of the rate (docs/benchmarks.md).
const TUNING: [(&str, &str); 10] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "10000"),
    ("fetch.message.max.bytes", "262144"),
    ("fetch.max.bytes", "2097152"),
    ("fetch.queue.backoff.ms", "5"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.max.ms", "2000"),
];

/// Settings that the promises of this program rest on: PostgreSQL holds the offsets, and a gap must never be skipped
/// in silence.
const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("statistics.interval.ms", "1000"),
];

/// Joins the group.
///
/// # Errors
/// A property that librdkafka does not take.
pub fn subscribe(config: &Config) -> Result<Consumer, Failure> {
    let is_fixed = |key: &str| FIXED.iter().any(|(fixed, _)| *fixed == key);
    if let Some((key, _)) = config.kafka.iter().find(|(key, _)| is_fixed(key)) {
        let error = anyhow::anyhow!("--kafka-property {key} cannot be set: exactly-once rests on its value");
        return Err(Failure::Configuration(error));
    }
    let mut settings = client_settings(config, &TUNING);
    for (key, value) in FIXED {
        settings.set(key, value);
    }
    settings.set("group.id", &config.group_id);
    let context = Context::new(config.topic.clone());
    let consumer: Consumer = settings
        .create_with_context(context)
        .context("the Kafka client refuses its settings (--kafka-brokers, --kafka-property)")
        .map_err(Failure::Configuration)?;
    consumer
        .subscribe(&[&config.topic])
        .with_context(|| format!("cannot subscribe to topic \"{}\" (--topic)", config.topic))
        .map_err(Failure::Configuration)?;
    Ok(consumer)
}

/// What a consumer and a producer have in common: where Kafka is, and how to get in. A `--kafka-property` overrides the
/// `defaults`.
fn client_settings(config: &Config, defaults: &[(&str, &str)]) -> ClientConfig {
    config.kafka.client_settings(&config.kafka_brokers, "speed-layer", defaults)
}

/// A change of the partitions that this instance reads. The intake carries it out after the poll that brought it.
#[derive(Debug, Clone)]
pub enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// What librdkafka reported since it was last asked.
#[derive(Debug, Default)]
pub struct Reports {
    pub rebalances: Vec<Rebalance>,
    /// Whether a connection to a broker is up; `None` where nothing new is known.
    pub connected: Option<bool>,
    /// Partitions of the topic, ours or not, to whose leader no connection is up; `None` where nothing new is known.
    pub leaderless: Option<Vec<i32>>,
    /// The end of each partition, exclusive.
    pub ends: HashMap<i32, i64>,
    /// The latest trouble, in librdkafka's words.
    pub trouble: Option<(RDKafkaErrorCode, String)>,
    closing: bool,
}

/// Collects reports: callbacks must not block, and they run inside of a poll.
pub struct Context {
    topic: String,
    reports: Mutex<Reports>,
}

impl Context {
    fn new(topic: String) -> Self {
        Self { topic, reports: Mutex::default() }
    }

    /// What has been reported since the last call.
    pub fn take_reports(&self) -> Reports {
        let mut reports = self.lock();
        let closing = reports.closing;
        std::mem::replace(&mut *reports, Reports { closing, ..Reports::default() })
    }

    /// From now on partitions are given up as soon as the group asks: nothing will be written any more.
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
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::trace!("librdkafka {facility}: {message}"),
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
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return;
        };
        // -1001 stands for an end that is not known.
        let ends = topic.partitions.iter().filter(|(_, partition)| partition.hi_offset >= 0);
        reports.ends.extend(ends.map(|(id, partition)| (*id, partition.hi_offset)));
        // The connection to the group's coordinator is one apart: it brings no messages.
        let up = statistics.brokers.values().filter(|broker| broker.state == "UP" && broker.source != "logical");
        let up: HashSet<i32> = up.map(|broker| broker.nodeid).filter(|id| *id >= 0).collect();
        let leaderless = topic.partitions.iter().filter(|(_, partition)| !up.contains(&partition.leader));
        let mut leaderless: Vec<i32> = leaderless.map(|(id, _)| *id).collect();
        leaderless.sort_unstable();
        reports.leaderless = Some(leaderless);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &Consumer, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let is_assignment = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let mut reports = self.lock();
        if reports.closing && !is_assignment {
            drop(reports);
            release(consumer, partitions);
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

/// Starts reading the partitions at the offsets given.
pub fn take_up(consumer: &Consumer, partitions: &TopicPartitionList) -> rdkafka::error::KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}

/// Stops reading the partitions, and tells the group so.
pub fn release(consumer: &Consumer, partitions: &TopicPartitionList) {
    let released = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    };
    if let Err(error) = released {
        tracing::debug!("giving up partitions: {error}");
    }
}
