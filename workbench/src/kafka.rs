//! The thin edge to Kafka that the simulator, the replay and the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the topic is. The names of the variables are those of `speed-layer`.
#[derive(Args, Clone)]
pub struct KafkaArgs {
    /// Kafka brokers to start from, as `host:port,host:port`.
    #[arg(long = "kafka-brokers", env = "KAFKA_BROKERS", default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub brokers: String,
    /// Topic of the ticks.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "stock_prices")]
    pub topic: String,
    /// A property of librdkafka, such as `security.protocol=SASL_SSL`; repeatable, in the variable separated by `;`.
    #[arg(
        long = "kafka-property",
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        value_delimiter = ';',
        value_parser = property,
        value_name = "KEY=VALUE"
    )]
    pub properties: Vec<(String, String)>,
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
    pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

impl KafkaArgs {
    pub fn client_config(&self) -> ClientConfig {
        client_config(&self.brokers, &self.properties)
    }

    /// A consumer for questions about the topic; it joins no group.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn inquirer(&self) -> anyhow::Result<BaseConsumer> {
        self.client_config().create().context("set up the Kafka client")
    }

    /// Waits until brokers answer, and gives the topic's partitions. Says once that it waits.
    ///
    /// # Errors
    /// No answer within `patience`, or a topic that is not there.
    pub async fn await_topic(&self, patience: Duration) -> anyhow::Result<Vec<i32>> {
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            let args = self.clone();
            let asked = tokio::task::spawn_blocking(move || {
                let inquirer = args.inquirer()?;
                // Told apart: without brokers it waits, without the topic it does not.
                inquirer
                    .fetch_metadata(None, Duration::from_secs(3))
                    .map_err(anyhow::Error::new)
                    .map_err(Answer::None)?;
                partitions(&inquirer, &args.topic).map_err(Answer::Final)
            });
            match asked.await.context("ask the Kafka brokers")? {
                Ok(partitions) => return Ok(partitions),
                Err(Answer::None(error)) if Instant::now() >= deadline => {
                    let brokers = &self.brokers;
                    return Err(error.context(format!("no Kafka broker answers at {brokers} (--kafka-brokers)")));
                }
                Err(Answer::None(_)) if !said => {
                    said = true;
                    tracing::warn!(
                        "no Kafka broker answers at {} (--kafka-brokers); trying for {patience:?}",
                        self.brokers
                    );
                }
                Err(Answer::None(_)) => {}
                Err(Answer::Final(error)) => return Err(error),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

enum Answer {
    None(anyhow::Error),
    Final(anyhow::Error),
}

impl From<anyhow::Error> for Answer {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

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

impl ClientContext for Deliveries {}

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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counters stay meaningful whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every client here starts from. `properties` are librdkafka's own, such as `security.protocol`.
pub fn client_config(brokers: &str, properties: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "workbench")
        // Its own lines about lost connections would break the output; failures come back as errors.
        .set("log_level", "2");
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

impl Sender {
    /// # Errors
    /// A property that librdkafka refuses. Brokers are not asked yet.
    pub fn new(mut config: ClientConfig, topic: &str) -> anyhow::Result<Self> {
        config
            .set("partitioner", "murmur2_random")
            // Order within a partition holds through retries, and no retry writes twice.
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
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

/// Low and high watermark of each partition, in the partitions' order.
///
/// # Errors
/// Brokers that do not answer, or a topic that is not there.
pub fn watermarks(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    partitions(consumer, topic)?
        .into_iter()
        .map(|partition| {
            consumer
                .fetch_watermarks(topic, partition, METADATA_TIMEOUT)
                .with_context(|| format!("watermarks of topic {topic}, partition {partition}"))
        })
        .collect()
}

/// The ids of a topic's partitions, ascending.
///
/// # Errors
/// Brokers that do not answer, or a topic that is not there.
pub fn partitions(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), METADATA_TIMEOUT)
        .with_context(|| format!("ask the Kafka brokers about topic {topic}"))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let mut ids: Vec<i32> = found.map(|found| found.partitions().iter().map(|p| p.id()).collect()).unwrap_or_default();
    if ids.is_empty() {
        bail!("topic {topic} does not exist: create it first");
    }
    ids.sort_unstable();
    Ok(ids)
}
