use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::Quiet;

/// One message to be sent. Without a partition the key decides (murmur2, as the Java client does it); without a
/// timestamp (milliseconds of the epoch) the moment of sending is the record's.
#[derive(Clone, Copy, Default)]
pub struct Outgoing<'a> {
    pub headers: &'a [(&'static str, String)],
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub timestamp: Option<i64>,
}

/// Sends messages to one topic in order, as fast as the brokers take them, and knows where they went.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
    deliveries: Arc<Counts>,
    topic: String,
}

#[derive(Default)]
struct Counts {
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
    per_partition: Mutex<Vec<u64>>,
}

struct Deliveries(Arc<Counts>);

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let mut counts = lock(&self.0.per_partition);
                let partition = usize::try_from(message.partition()).unwrap_or_default();
                if counts.len() <= partition {
                    counts.resize(partition + 1, 0);
                }
                counts[partition] += 1;
            }
            Err((error, _)) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
                lock(&self.0.first_failure).get_or_insert_with(|| error.to_string());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters stay meaningful whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// # Errors
    /// A property that librdkafka refuses. Brokers are not asked yet.
    pub fn new(mut config: ClientConfig, topic: &str) -> anyhow::Result<Self> {
        // Throughput first, unless the caller measures latency.
        if config.get("linger.ms").is_none() {
            config.set("linger.ms", "5");
        }
        config
            .set("partitioner", "murmur2_random")
            // Order within a partition holds through retries, and no retry writes twice.
            .set("enable.idempotence", "true")
            .set("batch.num.messages", "20000")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "131072")
            .set("compression.type", "lz4");
        let deliveries = Arc::new(Counts::default());
        let producer =
            config.create_with_context(Deliveries(Arc::clone(&deliveries))).context("set up the Kafka producer")?;
        Ok(Self { producer, deliveries, topic: topic.to_owned() })
    }

    /// Queues one message, and waits where the queue is full.
    ///
    /// # Errors
    /// The client refuses the message, or has given up on an earlier one.
    pub fn send(&self, message: Outgoing<'_>) -> anyhow::Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic);
        record.partition = message.partition;
        record.key = message.key;
        record.payload = message.value;
        record.timestamp = message.timestamp;
        record.headers = owned_headers(message.headers);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(Duration::from_millis(50));
                    self.check()?;
                }
                Err((error, _)) => bail!("send to topic {}: {error}", self.topic),
            }
        }
    }

    /// Serves delivery reports without waiting; called every now and then while sending.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until the brokers have acknowledged everything, and gives the messages per partition.
    ///
    /// # Errors
    /// Messages that could not be delivered, or brokers that do not answer within `timeout`.
    pub fn finish(&self, timeout: Duration) -> anyhow::Result<Vec<u64>> {
        self.producer.flush(timeout).with_context(|| {
            format!(
                "{} messages for topic {} were not acknowledged within {timeout:?}",
                self.producer.in_flight_count(),
                self.topic
            )
        })?;
        self.check()?;
        Ok(lock(&self.deliveries.per_partition).clone())
    }

    fn check(&self) -> anyhow::Result<()> {
        let failed = self.deliveries.failed.load(Ordering::Relaxed);
        if let Some(failure) = lock(&self.deliveries.first_failure).as_deref() {
            bail!("{failed} messages did not reach topic {}: {failure}", self.topic);
        }
        Ok(())
    }
}

fn owned_headers(headers: &[(&'static str, String)]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let insert =
        |owned: OwnedHeaders, (key, value): &(&'static str, String)| owned.insert(Header { key, value: Some(value) });
    Some(headers.iter().fold(OwnedHeaders::new(), insert))
}
