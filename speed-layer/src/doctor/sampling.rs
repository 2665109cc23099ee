//! The newest messages of each partition.

use super::args::DoctorArgs;
use anyhow::{Context as _, anyhow};
use common::{Reject, Timestamp};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use service::Failure;
use service::kafka::{Quiet, partitions};
use std::time::{Duration, Instant};

/// Messages read of each partition.
const NEWEST: usize = 1000;
/// Messages, and bytes of them, read in all: they are held in memory.
const MOST: usize = 200_000;
const MOST_BYTES: usize = 128 << 20;
/// How long the brokers may take for an answer, and for the next message.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// A message as Kafka hands it out.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub time: Option<Timestamp>,
    pub key: Option<Vec<u8>>,
    /// Empty for a tombstone.
    pub value: Vec<u8>,
    /// Why it names a schema and is not read by it.
    pub unread: Option<Reject>,
}

/// A partition's current state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledPartition {
    pub topic: String,
    pub partition: i32,
    /// Kafka has the offsets [low, high).
    pub low: i64,
    pub high: i64,
    /// How many of its newest messages were read, and their bytes.
    pub read: usize,
    bytes: usize,
    /// The record times of the first and the last of them.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Why it could not be read.
    pub trouble: Option<String>,
    is_done: bool,
}

/// The messages that were read.
#[derive(Debug, Default)]
pub struct Sampled {
    pub samples: Vec<Sample>,
    pub partitions: Vec<SampledPartition>,
}

/// Reads every partition of the topics.
///
/// # Errors
/// If brokers do not answer, or a topic is not there. Trouble with one partition is noted there.
pub fn read(args: &DoctorArgs) -> Result<Sampled, Failure> {
    let consumer = connect(args)?;
    let mut partitions = Vec::new();
    for topic in &args.topics {
        partitions.extend(look_at(&consumer, topic)?);
    }
    let limits = SampleLimits::of(partitions.len());
    let mut samples = Vec::new();
    for of_topic in partitions.chunk_by_mut(|one, other| one.topic == other.topic) {
        if let Err(error) = read_topic(&consumer, of_topic, &limits, &mut samples) {
            let open = of_topic.iter_mut().filter(|partition| !partition.is_done);
            open.for_each(|partition| partition.trouble = Some(error.to_string()));
        }
    }
    samples.sort_by(|one: &Sample, other| {
        (&one.topic, one.partition, one.offset).cmp(&(&other.topic, other.partition, other.offset))
    });
    Ok(Sampled { samples, partitions })
}

/// The offsets that may be read of one partition.
struct SampleLimits {
    messages: usize,
    bytes: usize,
}

impl SampleLimits {
    fn of(partitions: usize) -> Self {
        let partitions = partitions.max(1);
        Self { messages: (MOST / partitions).clamp(1, NEWEST), bytes: MOST_BYTES / partitions }
    }
}

/// A client that only asks and reads.
fn connect(args: &DoctorArgs) -> Result<BaseConsumer<Quiet>, Failure> {
    args.kafka.check_login()?;
    let small_queue = [("queued.max.messages.kbytes", "4096"), ("log_level", "2")];
    let mut settings =
        args.kafka.client_settings(&args.kafka_brokers, "speed-layer-doctor", &small_queue);
    // It joins no group, but a consumer must have a name for one.
    settings.set("group.id", "speed-layer-doctor").set("group.protocol", "classic");
    settings.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    settings.set("enable.partition.eof", "true").set("auto.offset.reset", "error");
    let consumer: BaseConsumer<Quiet> = settings
        .create_with_context(Quiet)
        .context("the Kafka client refuses its settings (--kafka-brokers, --kafka-property)")
        .map_err(Failure::Configuration)?;
    if let Err(error) = consumer.fetch_metadata(None, BROKER_TIMEOUT) {
        // librdkafka's latest error tells more than that the time is over.
        let error = consumer.poll(Duration::ZERO).and_then(Result::err).unwrap_or(error);
        let brokers = &args.kafka_brokers;
        let what =
            format!("no Kafka broker answers at {brokers} (--kafka-brokers, --kafka-property)");
        return Err(Failure::Infrastructure(anyhow!(error).context(what)));
    }
    Ok(consumer)
}

/// The partitions of a topic, and which offsets they have.
fn look_at(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Vec<SampledPartition>, Failure> {
    if topic.starts_with('^') {
        let error = anyhow!("--topic {topic} is a pattern: give doctor the names of topics");
        return Err(Failure::Configuration(error));
    }
    let ids = partitions(consumer, topic)
        .map_err(|error| Failure::Configuration(error.context("--topic")))?;
    Ok(ids.into_iter().map(|id| SampledPartition::new(consumer, topic, id)).collect())
}

impl SampledPartition {
    fn new(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> Self {
        let mut new = Self {
            topic: topic.to_owned(),
            partition,
            low: 0,
            high: 0,
            read: 0,
            bytes: 0,
            times: None,
            trouble: None,
            is_done: false,
        };
        match consumer.fetch_watermarks(topic, partition, BROKER_TIMEOUT) {
            Ok((low, high)) => (new.low, new.high) = (low, high),
            Err(error) => new.trouble = Some(error.to_string()),
        }
        new.is_done = new.low >= new.high;
        new
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, limits: &SampleLimits) -> Sample {
        let millis = message.timestamp().to_millis().filter(|millis| *millis >= 0);
        let time = millis.map(|millis| Timestamp::from_micros(millis.saturating_mul(1000)));
        let value = message.payload().unwrap_or_default().to_vec();
        self.read += 1;
        self.bytes += value.len();
        if let Some(time) = time {
            self.times = Some((self.times.map_or(time, |(first, _)| first), time));
        }
        let is_last = message.offset() + 1 >= self.high;
        self.is_done = is_last || self.read >= limits.messages || self.bytes >= limits.bytes;
        Sample {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: message.offset(),
            time,
            key: message.key().map(<[u8]>::to_vec),
            value,
            unread: None,
        }
    }
}

/// The partition, if there is more to read of it.
fn open(partitions: &mut [SampledPartition], id: i32) -> Option<&mut SampledPartition> {
    partitions.iter_mut().find(|partition| partition.partition == id && !partition.is_done)
}

/// Reads the partitions of one topic at once.
fn read_topic(
    consumer: &BaseConsumer<Quiet>,
    partitions: &mut [SampledPartition],
    limits: &SampleLimits,
    samples: &mut Vec<Sample>,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for open in partitions.iter().filter(|partition| !partition.is_done) {
        let from = (open.high - limits.messages as i64).max(open.low);
        list.add_partition_offset(&open.topic, open.partition, Offset::Offset(from))?;
    }
    consumer.assign(&list)?;
    let mut heard = Instant::now();
    while partitions.iter().any(|partition| !partition.is_done) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                if let Some(partition) =
                    open(partitions, message.partition()).filter(|at| at.topic == message.topic())
                {
                    samples.push(partition.take(&message, limits));
                    heard = Instant::now();
                }
            }
            // Behind the last message there may be nothing but the marks of transactions, or an
            // open one.
            Some(Err(KafkaError::PartitionEOF(id))) => {
                if let Some(partition) = open(partitions, id) {
                    partition.is_done = true;
                }
            }
            Some(Err(error)) if heard.elapsed() > BROKER_TIMEOUT => return Err(error),
            Some(Err(error)) => tracing::debug!("reading {}: {error}", partitions[0].topic),
            None if heard.elapsed() > BROKER_TIMEOUT => {
                let silent = rdkafka::types::RDKafkaErrorCode::OperationTimedOut;
                return Err(KafkaError::MessageConsumption(silent));
            }
            None => {}
        }
    }
    Ok(())
}
