//! [`DeadLetters`]: rejected messages, whole, in a topic of their own (`--dead-letter-topic`), for those who want to
//! repair and send them again. The table `rejected_ticks` has them all the same.

use super::client_settings;
use crate::batch::Message;
use crate::config::Config;
use anyhow::Context as _;
use common::{Failure, Reject};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long Kafka may take to acknowledge; longer, and the batch is read again.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends to the topic. A crash between sending and committing sends a message again: at least once.
pub struct DeadLetters {
    producer: BaseProducer<Deliveries>,
    topic: String,
}

/// Remembers the first message that could not be delivered.
#[derive(Default)]
struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

impl DeadLetters {
    /// `None` where no topic is asked for.
    ///
    /// # Errors
    /// A property that librdkafka does not take.
    pub fn new(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(topic) = config.dead_letter_topic.clone() else {
            return Ok(None);
        };
        let mut settings = client_settings(config, &[]);
        settings.set("enable.idempotence", "true").set("message.timeout.ms", TIMEOUT.as_millis().to_string());
        let producer = settings
            .create_with_context(Deliveries::default())
            .context("the producer for --dead-letter-topic refuses its settings (--kafka-property)")
            .map_err(Failure::Configuration)?;
        Ok(Some(Self { producer, topic }))
    }

    /// Queues a message with the reason and its place as headers.
    ///
    /// # Errors
    /// What the client says.
    pub fn send(&self, message: &Message<'_>, reject: &Reject) -> Result<(), KafkaError> {
        let (partition, offset) = (message.partition.to_string(), message.offset.to_string());
        let headers = [
            ("reason", reject.reason.as_str()),
            ("detail", &reject.detail),
            ("partition", &partition),
            ("offset", &offset),
        ];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
        record.key = message.key;
        record.payload = message.value;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until everything sent is acknowledged.
    ///
    /// # Errors
    /// The first failure since the last call.
    pub fn flush(&self) -> Result<(), KafkaError> {
        self.producer.flush(TIMEOUT)?;
        match self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
