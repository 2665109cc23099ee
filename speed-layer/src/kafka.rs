//! The Kafka consumer: its settings, and what librdkafka reports while it is polled.

mod dead_letters;
mod inquiry;
mod leaders;
mod leave;
mod queue;
mod readable;

pub use dead_letters::DeadLetters;
pub use inquiry::{Finding, Inquiry};
pub use leave::{bury, leave};
pub use queue::{MessageQueues, Polled, commit};
pub use readable::is_damage_code;

use crate::config::Config;
use crate::source::TopicPartition;
use anyhow::Context as _;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
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

/// Settings that a `--kafka-property` may override. Small fetches and queues keep the process below
/// 64 MB, because each queued message costs librdkafka several times its length; and a full queue
/// is looked at again after 5 ms rather than a second, which would cost three quarters of the rate
/// (docs/benchmarks.md).
const TUNING: [(&str, &str); 13] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    (SESSION_TIMEOUT, "10000"),
    ("heartbeat.interval.ms", "2000"),
    // The intake asks for messages all the time. A client that a session has left behind does not,
    // but goes on with its heartbeats: for so long the whole group waits for it.
    (MAX_POLL_INTERVAL, "60000"),
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "10000"),
    ("fetch.message.max.bytes", "262144"),
    ("fetch.max.bytes", "2097152"),
    ("fetch.queue.backoff.ms", "5"),
    // A broker is asked for one thing at a time, and never for what has a full queue. Where the
    // others have nothing new, their question must not hold up that queue for half a second.
    ("fetch.wait.max.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.max.ms", "2000"),
    // A broker that says nothing for so long is away; librdkafka's default is a minute.
    ("socket.timeout.ms", "15000"),
];

/// What more there is of them where several writers wait for messages: on a busy machine each answer
/// takes its time, and only one is on its way (docs/tried.md).
const OF_SEVERAL_WRITERS: [(&str, &str); 4] = [
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "40000"),
    ("fetch.message.max.bytes", "524288"),
    ("fetch.max.bytes", "4194304"),
];

const MAX_POLL_INTERVAL: &str = "max.poll.interval.ms";
const SESSION_TIMEOUT: &str = "session.timeout.ms";
/// As long as the interval: librdkafka refuses one below the session's time-out.
const LONGEST_SESSION: u64 = 60_000;

/// Settings that the promises of this program rest on: PostgreSQL holds the offsets, and a gap must
/// never be skipped in silence.
const FIXED: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("statistics.interval.ms", "1000"),
    // Without it a price that a disk has spoiled is stored as true.
    ("check.crcs", "true"),
    // The client counts such an event as a message, and may then go on one too far.
    ("enable.partition.eof", "false"),
];

/// Settings that have a flag of their own, which each program reads elsewhere as well.
const FLAGS: [(&str, &str); 3] = [
    ("bootstrap.servers", "--kafka-brokers"),
    ("metadata.broker.list", "--kafka-brokers"),
    ("group.id", "--group-id"),
];

/// Defaults of [`TUNING`] that librdkafka refuses where the group's coordinator decides
/// (`group.protocol=consumer`).
const CLASSIC_ONLY: [&str; 3] =
    ["partition.assignment.strategy", SESSION_TIMEOUT, "heartbeat.interval.ms"];

/// A client that has not joined the group yet, by the name of `client_id`.
///
/// # Errors
/// A property that librdkafka does not take.
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

fn consumer_settings(config: &Config, client_id: &str) -> ClientConfig {
    let more = OF_SEVERAL_WRITERS.into_iter().filter(|_| config.writers > 1);
    let tuning = TUNING.into_iter().chain(more).filter(|(key, _)| is_possible(config, key));
    let tuning: Vec<_> = tuning.collect();
    let mut settings = config.kafka.client_settings(&config.kafka_brokers, client_id, &tuning);
    for (key, value) in FIXED {
        settings.set(key, value);
    }
    settings.set("group.id", &config.group_id);
    if config.topics.iter().any(|topic| topic.starts_with('^')) {
        // Kafka's own, among them that of the groups' offsets: each commit would be a message to
        // read.
        settings.set("topic.blacklist", INTERNAL_TOPICS);
    }
    settings
}

/// Whether a default of [`TUNING`] goes with what the user has set.
fn is_possible(config: &Config, key: &str) -> bool {
    let session = || config.kafka_property(SESSION_TIMEOUT)?.parse().ok();
    match key {
        MAX_POLL_INTERVAL => session().is_none_or(|millis: u64| millis <= LONGEST_SESSION),
        key => !(config.has_newer_groups() && CLASSIC_ONLY.contains(&key)),
    }
}

const INTERNAL_TOPICS: &str = "^__.*";

/// Joins the group.
///
/// # Errors
/// A topic's name, or a pattern, that librdkafka does not take.
pub fn subscribe(consumer: &Consumer, config: &Config) -> Result<(), Failure> {
    let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .with_context(|| {
            let topics = topics.join(", ");
            format!("cannot subscribe to {topics} (--topic): what begins with ^ must be a regular expression")
        })
        .map_err(Failure::Configuration)
}

/// What a consumer and a producer have in common: where Kafka is, and how to get in. A
/// `--kafka-property` overrides the `defaults`.
fn client_settings(config: &Config, defaults: &[(&str, &str)]) -> ClientConfig {
    config.kafka.client_settings(&config.kafka_brokers, "speed-layer", defaults)
}

/// A change of the partitions that this instance reads. The intake carries it out after the poll
/// that brought it.
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
    /// What has been reported since the last call.
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
                // -1001 stands for an end that is not known.
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
pub fn assign(consumer: &Consumer, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}

/// Answers an assignment or a revocation that nobody has answered; where none is open it gives up
/// what is read.
fn answer_open(consumer: &Consumer) {
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
    // What was never taken up must not be in the list.
    match consumer.assignment() {
        Ok(partitions) => unassign(consumer, &partitions),
        Err(error) => tracing::debug!("giving up partitions: {error}"),
    }
}

/// Stops reading the partitions, and tells the group so. All of them must have been taken up.
pub fn unassign(consumer: &Consumer, partitions: &TopicPartitionList) {
    let released = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    };
    if let Err(error) = released {
        tracing::debug!("giving up partitions: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use rdkafka::Offset;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaApiKey;
    use std::time::{Duration, Instant};

    /// What the coordinator says of offset 7 of partition 0.
    fn acknowledged(consumer: &Consumer) -> Vec<(TopicPartition, i64)> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("ticks", 0, Offset::Offset(7)).unwrap();
        commit(consumer, &offsets).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            assert!(consumer.poll(Duration::from_millis(20)).is_none_or(|polled| polled.is_err()));
            let reports = consumer.context().take_reports();
            if reports.has_answered {
                return reports.acknowledged;
            }
        }
        panic!("no answer");
    }

    #[test]
    fn more_is_fetched_at_once_for_several_writers_unless_somebody_says_otherwise() {
        let fetch = |more: &[&str]| {
            let flags = ["speed-layer", "--database-url=postgres://h/d", "--kafka-brokers=b"];
            let config = Config::try_parse_from(flags.iter().chain(more)).unwrap();
            consumer_settings(&config, "test").get("fetch.message.max.bytes").map(str::to_owned)
        };
        let (two, own) = ("--writers=2", "--kafka-property=fetch.message.max.bytes=9000");
        let found = [fetch(&[]), fetch(&[two]), fetch(&[two, own])].map(Option::unwrap);
        assert_eq!(found, ["262144", "524288", "9000"]);
    }

    #[test]
    fn a_client_that_is_left_behind_holds_up_its_group_no_longer_where_its_session_is_set() {
        let interval = |properties: &[&str]| {
            let flags = ["speed-layer", "--database-url=postgres://h/d", "--kafka-brokers=b"];
            let properties = properties.iter().flat_map(|property| ["--kafka-property", *property]);
            let config = Config::try_parse_from(flags.into_iter().chain(properties)).unwrap();
            assert!(consumer(&config, "test").is_ok());
            consumer_settings(&config, "test").get(MAX_POLL_INTERVAL).map(str::to_owned)
        };
        assert_eq!(interval(&[]).as_deref(), Some("60000"));
        assert_eq!(interval(&["session.timeout.ms=6000"]).as_deref(), Some("60000"));
        assert_eq!(interval(&["group.protocol=consumer"]).as_deref(), Some("60000"));
        // The client's own, which is five minutes.
        assert_eq!(interval(&["session.timeout.ms=120000"]), None);
        let both = ["session.timeout.ms=6000", "max.poll.interval.ms=7000"];
        assert_eq!(interval(&both).as_deref(), Some("7000"));
    }

    #[test]
    fn an_offset_counts_as_told_once_the_coordinator_has_taken_it() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let brokers = cluster.bootstrap_servers();
        let config = Config::try_parse_from(flags.into_iter().chain([brokers.as_str()])).unwrap();
        let consumer = consumer(&config, "test").unwrap();
        let at = TopicPartition { topic: "ticks".into(), partition: 0 };
        assert_eq!(acknowledged(&consumer), [(at.clone(), 7)]);
        // As often as librdkafka tries by itself.
        let loading = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[loading; 3]);
        assert_eq!(acknowledged(&consumer), []);
        assert_eq!(acknowledged(&consumer), [(at, 7)]);
    }
}
