//! The thin edge to Kafka that all commands and the tests share.

mod reader;
mod sender;

pub use reader::read;
pub use sender::{Outgoing, Sender};

use anyhow::Context;
use clap::Args;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use service::kafka::KafkaProperties;
pub use service::kafka::{Quiet, partitions};
use std::time::{Duration, Instant};

const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the topic is. The names of the variables are those of `speed-layer`.
#[derive(Args, Clone)]
pub struct KafkaArgs {
    /// Kafka brokers to start from, as `host:port,host:port`.
    #[arg(
        long = "kafka-brokers",
        env = "KAFKA_BROKERS",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT",
        value_parser = service::cli::brokers
    )]
    pub brokers: String,
    /// Topic of the ticks.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "stock_prices")]
    pub topic: String,
    #[command(flatten)]
    pub properties: KafkaProperties,
}

impl KafkaArgs {
    pub fn client_config(&self) -> ClientConfig {
        settings(&self.brokers, &self.properties)
    }

    /// A consumer for questions about the topic; it joins no group.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn inquirer(&self) -> anyhow::Result<BaseConsumer<Quiet>> {
        self.client_config().create_with_context(Quiet).context("set up the Kafka client")
    }

    /// Low and high watermark of each partition, in the partitions' order.
    ///
    /// # Errors
    /// Brokers that do not answer, or a topic that is not there.
    pub async fn watermarks(&self) -> anyhow::Result<Vec<(i64, i64)>> {
        let kafka = self.clone();
        let asked =
            tokio::task::spawn_blocking(move || watermarks(&kafka.inquirer()?, &kafka.topic));
        asked.await.context("ask Kafka")?
    }

    /// Waits until brokers answer, and gives the topic's partitions. Says once that it waits.
    ///
    /// # Errors
    /// No answer within `patience`, or a topic that is not there.
    pub async fn await_topic(&self, patience: Duration) -> anyhow::Result<Vec<i32>> {
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            let (inquirer, topic) = (self.inquirer()?, self.topic.clone());
            let asked = tokio::task::spawn_blocking(move || {
                // Told apart: without brokers it waits, without the topic it does not.
                let found = inquirer.fetch_metadata(None, Duration::from_secs(3));
                found.map(|_| partitions(&inquirer, &topic))
            });
            let brokers = &self.brokers;
            match asked.await.context("ask the Kafka brokers")? {
                Ok(partitions) => return partitions,
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| {
                        format!("no Kafka broker answers at {brokers} (--kafka-brokers)")
                    });
                }
                Err(_) if !said => {
                    said = true;
                    tracing::warn!(
                        "no Kafka broker answers at {brokers} (--kafka-brokers); trying for {patience:?}"
                    );
                }
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A consumer for questions; it joins no group.
///
/// # Errors
/// Never in practice, as there are no properties to refuse.
pub fn inquirer(brokers: &str) -> anyhow::Result<BaseConsumer<Quiet>> {
    client_config(brokers).create_with_context(Quiet).context("set up a client")
}

/// What every client of the tests and benchmarks starts from.
pub fn client_config(brokers: &str) -> ClientConfig {
    settings(brokers, &KafkaProperties::default())
}

fn settings(brokers: &str, properties: &KafkaProperties) -> ClientConfig {
    let mut settings = properties.client_settings(brokers, "workbench", &[]);
    // librdkafka's own lines about lost connections would break the output; failures come back as
    // errors.
    settings.set_log_level(RDKafkaLogLevel::Critical);
    settings
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
