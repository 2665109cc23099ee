//! The thin edge to Kafka that all commands and the tests share.

mod sender;

pub use sender::{Outgoing, Sender};

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

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
        value_parser = common::cli::key_value,
        value_name = "KEY=VALUE"
    )]
    pub properties: Vec<(String, String)>,
}

impl KafkaArgs {
    pub fn client_config(&self) -> ClientConfig {
        client_config(&self.brokers, &self.properties)
    }

    /// A consumer for questions about the topic; it joins no group.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn inquirer(&self) -> anyhow::Result<BaseConsumer<Quiet>> {
        self.client_config().create_with_context(Quiet).context("set up the Kafka client")
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

/// A client that leaves its errors to the caller, who gets them as results and knows which of them matter: the default
/// one also logs each of them, even the end of a partition.
pub struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
    }
}

impl ConsumerContext for Quiet {}

/// What every client here starts from. `properties` are librdkafka's own, such as `security.protocol`.
pub fn client_config(brokers: &str, properties: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "workbench")
        // Its own lines about lost connections would break the output; failures come back as errors.
        .set_log_level(RDKafkaLogLevel::Critical);
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}

/// Low and high watermark of each partition, in the partitions' order.
///
/// # Errors
/// Brokers that do not answer, or a topic that is not there.
pub fn watermarks(consumer: &BaseConsumer<Quiet>, topic: &str) -> anyhow::Result<Vec<(i64, i64)>> {
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
pub fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str) -> anyhow::Result<Vec<i32>> {
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
