//! [`Sender`]: messages that are sent and acknowledged, with a queue that is bounded.

#![allow(unsafe_code, reason = "rd_kafka_brokers_add has no safe wrapper in rdkafka")]

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::bindings;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use service::kafka::Quiet;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A client that has sent nothing for so long, though it has messages to send, is told again where
/// Kafka is.
const REMIND_AFTER: Duration = Duration::from_secs(5);
/// How long one wait for acknowledgements may take.
const POLL: Duration = Duration::from_millis(50);

/// One message to be sent. Without a partition the key decides (murmur2, as the Java client does
/// it); without a timestamp (milliseconds of the epoch) the moment of sending is the record's.
#[derive(Clone, Copy, Default)]
pub struct Outgoing<'a> {
    pub headers: &'a [(&'static str, String)],
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub timestamp: Option<i64>,
}

/// Sends messages to one topic in order, as fast as the brokers take them, and knows where they
/// went.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
    deliveries: Arc<Counts>,
    topic: String,
    brokers: CString,
    progress: Mutex<Progress>,
}

/// When messages were last seen to arrive.
struct Progress {
    delivered: u64,
    at: Instant,
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
    ///
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
        let brokers = CString::new(config.get("bootstrap.servers").unwrap_or_default())
            .context("the brokers' list")?;
        let deliveries = Arc::new(Counts::default());
        let producer = config
            .create_with_context(Deliveries(Arc::clone(&deliveries)))
            .context("set up the Kafka producer")?;
        let progress = Mutex::new(Progress { delivered: 0, at: Instant::now() });
        Ok(Self { producer, deliveries, topic: topic.to_owned(), brokers, progress })
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
                    self.poll_for(POLL);
                    self.check()?;
                }
                Err((error, _)) => bail!("send to topic {}: {error}", self.topic),
            }
        }
    }

    /// Serves delivery reports without waiting; called every now and then while sending.
    pub fn poll(&self) {
        self.poll_for(Duration::ZERO);
    }

    /// Waits until the brokers have acknowledged everything, and gives the messages per partition.
    ///
    /// # Errors
    /// Messages that could not be delivered, or brokers that do not answer within
    /// `timeout`.
    pub fn finish(&self, timeout: Duration) -> anyhow::Result<Vec<u64>> {
        let deadline = Instant::now() + timeout;
        while self.producer.flush(POLL).is_err() {
            self.remind_if_stuck();
            if Instant::now() >= deadline {
                let (left, topic) = (self.producer.in_flight_count(), &self.topic);
                bail!("{left} messages for topic {topic} were not acknowledged within {timeout:?}");
            }
        }
        self.check()?;
        Ok(lock(&self.deliveries.per_partition).clone())
    }

    fn poll_for(&self, time: Duration) {
        self.producer.poll(time);
        self.remind_if_stuck();
    }

    /// librdkafka lets go of every broker that an answer does not name, and a broker that has just
    /// started may name none: the client then connects to nobody for ever (its issue 5301). One
    /// that has its brokers takes no harm.
    fn remind_if_stuck(&self) {
        let delivered = lock(&self.deliveries.per_partition).iter().sum();
        let mut progress = lock(&self.progress);
        if progress.delivered != delivered || self.producer.in_flight_count() == 0 {
            *progress = Progress { delivered, at: Instant::now() };
        } else if progress.at.elapsed() >= REMIND_AFTER {
            progress.at = Instant::now();
            // SAFETY: the client lives as long as this value; the list is copied.
            unsafe {
                bindings::rd_kafka_brokers_add(
                    self.producer.client().native_ptr(),
                    self.brokers.as_ptr(),
                )
            };
        }
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
    let insert = |owned: OwnedHeaders, (key, value): &(&'static str, String)| {
        owned.insert(Header { key, value: Some(value) })
    };
    Some(headers.iter().fold(OwnedHeaders::new(), insert))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForgettingBroker;
    use crate::kafka::client_config;

    const MANY: u64 = 100;

    #[test]
    fn a_producer_whose_broker_named_none_for_a_while_sends_on() {
        let broker = ForgettingBroker::start();
        let mut config = client_config(broker.address());
        // The client asks again and again who is there.
        config.set("topic.metadata.refresh.interval.ms", "100");
        let sender = Sender::new(config, "ticks").expect("the settings are right");
        send(&sender);
        sender.finish(REMIND_AFTER).expect("the broker acknowledges");

        for round in 1..=MANY {
            let begun = Instant::now();
            broker.name_no_broker(true);
            while broker.answers_without_brokers() < round {
                send(&sender);
                std::thread::sleep(POLL);
            }
            broker.name_no_broker(false);
            send(&sender);
            sender.finish(4 * REMIND_AFTER).expect("the producer finds its broker again");
            // In some of them, mostly the first, the client is lost: then it is enough.
            if begun.elapsed() >= REMIND_AFTER {
                break;
            }
        }
        // What is not acknowledged in time is sent once more.
        assert!(broker.produced() >= lock(&sender.deliveries.per_partition).iter().sum::<u64>());
    }

    fn send(sender: &Sender) {
        sender
            .send(Outgoing { value: Some(b"a tick"), ..Outgoing::default() })
            .expect("the queue has room");
        sender.poll();
    }
}
