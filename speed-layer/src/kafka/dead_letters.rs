//! [`DeadLetters`]: rejected messages, whole, in a topic of their own (`--dead-letter-topic`), for those who want to
//! repair and send them again. The table `rejected_ticks` has them all the same.

use super::client_settings;
use crate::batch::Message;
use crate::config::Config;
use anyhow::Context as _;
use common::{Failure, Reject};
use prometheus_client::metrics::counter::Counter;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long Kafka may take to acknowledge; longer, and the batch is read again.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a message that are sent where all of them are more than the topic takes.
const CUT_TO: usize = 16 * 1024;

/// Sends to the topic. A crash between sending and committing sends a message again: at least once.
pub struct DeadLetters {
    producer: BaseProducer<Deliveries>,
    topic: String,
    /// Letters that were cut, or are not in the topic at all.
    cut: Counter,
}

/// Remembers what could not be delivered.
#[derive(Default)]
struct Deliveries(Mutex<Undelivered>);

#[derive(Default)]
struct Undelivered {
    /// The first failure.
    failure: Option<KafkaError>,
    /// Letters that the broker finds too large. It refuses all that came in one request with such a one.
    refused: Vec<OwnedMessage>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Undelivered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, letter)) = result else {
            return;
        };
        let mut undelivered = self.lock();
        if is_too_large(error) {
            undelivered.refused.push(letter.detach());
        } else {
            undelivered.failure.get_or_insert_with(|| error.clone());
        }
    }
}

fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}

/// A letter as it is sent.
struct Letter<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: OwnedHeaders,
}

impl<'a> Letter<'a> {
    fn of(message: &Message<'a>, index: u16, reject: &Reject) -> Self {
        let (partition, offset) = (message.partition.to_string(), message.offset.to_string());
        let index = index.to_string();
        let headers = [
            ("reason", reject.reason.as_str()),
            ("detail", &reject.detail),
            ("topic", message.topic),
            ("partition", &partition),
            ("offset", &offset),
            ("index", &index),
        ];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        Self { key: message.key, value: message.value, headers }
    }

    /// The beginning of the letter, with its whole length as a header. A key that is too long is left out.
    fn cut(&self) -> Self {
        let value = self.value.unwrap_or_default();
        let length = value.len().to_string();
        let headers = self.headers.clone().insert(Header { key: "cut_from_bytes", value: Some(&length) });
        Self {
            key: self.key.filter(|key| key.len() <= CUT_TO),
            value: self.value.map(|value| &value[..value.len().min(CUT_TO)]),
            headers,
        }
    }
}

impl DeadLetters {
    /// `None` where no topic is asked for. `cut` counts the letters that the topic did not take whole.
    ///
    /// # Errors
    /// A property that librdkafka does not take.
    pub fn new(config: &Config, cut: &Counter) -> Result<Option<Self>, Failure> {
        let Some(topic) = config.dead_letter_topic.clone() else {
            return Ok(None);
        };
        let mut settings = client_settings(config, &[]);
        settings.set("enable.idempotence", "true").set("message.timeout.ms", TIMEOUT.as_millis().to_string());
        let producer = settings
            .create_with_context(Deliveries::default())
            .context("the producer for --dead-letter-topic refuses its settings (--kafka-property)")
            .map_err(Failure::Configuration)?;
        Ok(Some(Self { producer, topic, cut: cut.clone() }))
    }

    /// Queues a message, or an element of one, with the reason and its place as headers.
    ///
    /// # Errors
    /// What the client says.
    pub fn send(&self, message: &Message<'_>, index: u16, reject: &Reject) -> Result<(), KafkaError> {
        let letter = Letter::of(message, index, reject);
        match self.queue(&letter) {
            Err(error) if is_too_large(&error) => self.send_cut(&letter),
            sent => sent,
        }
    }

    fn send_cut(&self, letter: &Letter<'_>) -> Result<(), KafkaError> {
        self.cut.inc();
        let bytes = letter.value.map_or(0, <[u8]>::len);
        match self.queue(&letter.cut()) {
            // Nothing is left to cut: the row in the table must do.
            Err(error) if is_too_large(&error) => {
                tracing::warn!(
                    "topic \"{}\" (--dead-letter-topic) does not take a rejected message: {error}",
                    self.topic
                );
                Ok(())
            }
            sent => {
                tracing::warn!(
                    "topic \"{}\" (--dead-letter-topic) does not take a rejected message of {bytes} bytes; its first \
                     {CUT_TO} were sent",
                    self.topic
                );
                sent
            }
        }
    }

    fn queue(&self, letter: &Letter<'_>) -> Result<(), KafkaError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(letter.headers.clone());
        record.key = letter.key;
        record.payload = letter.value;
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

    /// Waits until everything sent is acknowledged. What the broker refuses for its size is sent again by itself, and
    /// cut where that is refused as well.
    ///
    /// # Errors
    /// The first failure since the last call.
    pub fn flush(&self) -> Result<(), KafkaError> {
        for refused in self.settle()? {
            let letter = Letter {
                key: refused.key(),
                value: refused.payload(),
                headers: refused.headers().cloned().unwrap_or_default(),
            };
            self.queue(&letter)?;
            if !self.settle()?.is_empty() {
                self.send_cut(&letter)?;
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Waits for the answers; gives what was refused for its size.
    fn settle(&self) -> Result<Vec<OwnedMessage>, KafkaError> {
        self.producer.flush(TIMEOUT)?;
        let mut undelivered = self.producer.context().lock();
        match undelivered.failure.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut undelivered.refused)),
        }
    }
}
