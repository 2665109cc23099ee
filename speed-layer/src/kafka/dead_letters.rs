//! [`DeadLetters`]: rejected messages, whole, in a topic of their own (`--dead-letter-topic`), for
//! those who want to repair and send them again. The table `rejected_ticks` has them all the same.

use super::leave::drop_with_timeout;
use super::settings::client_settings;
use crate::batch::Message;
use crate::config::Config;
use anyhow::Context as _;
use common::Reject;
use prometheus_client::metrics::counter::Counter;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{
    DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage,
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use service::Failure;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long Kafka may take to acknowledge a letter before it is sent again.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How soon what was not acknowledged is sent again.
const SEND_AGAIN: Duration = Duration::from_secs(1);
/// How long a client that has no room for more letters is waited for, while nothing else is read.
const ROOM_WITHIN: Duration = Duration::from_millis(500);
/// How long one look at the client's answers may take.
const POLL: Duration = Duration::from_millis(5);
/// Bytes of a message that are sent where all of them are more than the topic takes.
const CUT_TO: usize = 16 * 1024;
/// Properties of consumers: librdkafka warns of each that a producer is given.
const OF_CONSUMERS: [&str; 27] = [
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "check.crcs",
    "consume.callback.max.messages",
    "coordinator.query.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

/// Sends messages to the topic, and again until they are there. A message that the topic refuses
/// for its size or for its missing key (in a compacted topic) is cut, or left to the table. A crash
/// between sending and committing sends a message again: at least once.
pub struct DeadLetters {
    producer: BaseProducer<Deliveries>,
    settings: ClientConfig,
    topic: String,
    /// Letters that were cut, or are not in the topic at all.
    cut: Counter,
    /// Refused in company: the broker refuses all that came in one request with one that it does
    /// not take. They are sent again once nothing is on its way.
    in_company: Vec<OwnedMessage>,
    /// Each letter goes in a request of its own, since one was refused: what is refused then is so
    /// for what it is.
    is_single: bool,
    /// When letters that the topic does not take whole, or not at all, were last logged.
    logged: [Option<Instant>; 2],
    /// Letters that were not acknowledged, for another reason than their content.
    again: Vec<OwnedMessage>,
    /// Some letters were answered by nobody.
    unanswered: bool,
    send_again_at: Option<Instant>,
    /// Since when the client has had no room.
    full_since: Option<Instant>,
    /// Why; in the client's words.
    trouble: Option<String>,
}

/// Remembers what could not be delivered.
#[derive(Default)]
struct Deliveries(Mutex<Undelivered>);

#[derive(Default)]
struct Undelivered {
    /// Letters of which nobody has said yet what became of them. The client's own count has its
    /// errors in it as well.
    waiting: usize,
    refused: Vec<(OwnedMessage, KafkaError)>,
    failed: Vec<(OwnedMessage, KafkaError)>,
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
        let mut undelivered = self.lock();
        undelivered.waiting = undelivered.waiting.saturating_sub(1);
        if let Err((error, letter)) = result {
            let list =
                if is_refusal(error) { &mut undelivered.refused } else { &mut undelivered.failed };
            list.push((letter.detach(), error.clone()));
        }
    }
}

/// Whether the same letter would be refused for ever.
fn is_refusal(error: &KafkaError) -> bool {
    let refusals =
        [Code::InvalidRecord, Code::PolicyViolation, Code::InvalidTimestamp, Code::InvalidMessage];
    is_too_large(error) || error.rdkafka_error_code().is_some_and(|code| refusals.contains(&code))
}

fn is_too_large(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize))
}

/// How often such letters are logged.
const LOG_EVERY: Duration = Duration::from_secs(60);
const OTHERS: &str =
    "Others of the next minute go without a word: speed_layer_dead_letters_cut_total counts them";

/// Whether it was not logged lately; notes that it is.
fn is_to_be_logged(logged: &mut Option<Instant>) -> bool {
    let is_due = logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY);
    if is_due {
        *logged = Some(Instant::now());
    }
    is_due
}

/// The header that tells the whole length of a letter that was cut.
const CUT_FROM: &str = "cut_from_bytes";

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
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: Some(value) })
        });
        Self { key: message.key, value: message.value, headers }
    }

    fn again(letter: &'a OwnedMessage) -> Self {
        Self {
            key: letter.key(),
            value: letter.payload(),
            headers: letter.headers().cloned().unwrap_or_default(),
        }
    }

    /// The beginning of the letter, with its whole length as a header. A key that is too long is
    /// left out.
    fn cut(&self) -> Self {
        let value = self.value.unwrap_or_default();
        let length = value.len().to_string();
        let headers = self.headers.clone().insert(Header { key: CUT_FROM, value: Some(&length) });
        Self {
            key: self.key.filter(|key| key.len() <= CUT_TO),
            value: self.value.map(|value| &value[..value.len().min(CUT_TO)]),
            headers,
        }
    }

    /// Whether less of it would be sent.
    fn can_be_cut(&self) -> bool {
        let is_long = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.len() > CUT_TO);
        !self.is_cut() && (is_long(self.value) || is_long(self.key))
    }

    fn is_cut(&self) -> bool {
        self.headers.iter().any(|header| header.key == CUT_FROM)
    }

    fn to_owned(&self, topic: &str) -> OwnedMessage {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let (value, key, headers) =
            (owned(self.value), owned(self.key), Some(self.headers.clone()));
        OwnedMessage::new(
            value,
            key,
            topic.to_owned(),
            rdkafka::Timestamp::NotAvailable,
            0,
            0,
            headers,
        )
    }
}

impl DeadLetters {
    /// `None` where no topic is asked for. `cut` counts the letters that the topic did not take
    /// whole.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn new(config: &Config, cut: &Counter) -> Result<Option<Self>, Failure> {
        let Some(topic) = config.dead_letter_topic.clone() else {
            return Ok(None);
        };
        let mut settings = settings_of(config);
        // Letters may come twice anyway, and an idempotent producer that has lost a right is of no
        // use ever after.
        settings
            .set("enable.idempotence", "false")
            .set("acks", "all")
            .set("message.timeout.ms", TIMEOUT.as_millis().to_string());
        let producer = settings
            .create_with_context(Deliveries::default())
            .context("the producer for --dead-letter-topic refuses its settings (--kafka-property)")
            .map_err(Failure::Configuration)?;
        Ok(Some(Self {
            producer,
            settings,
            topic,
            cut: cut.clone(),
            in_company: Vec::new(),
            is_single: false,
            logged: [None; 2],
            again: Vec::new(),
            unanswered: false,
            send_again_at: None,
            full_since: None,
            trouble: None,
        }))
    }

    /// Sends a message, or an element of one, with the reason and its place as headers. Whether it
    /// arrives, [`DeadLetters::await_delivery`] says.
    pub fn send(&mut self, message: &Message<'_>, index: u16, reject: &Reject) {
        let letter = Letter::of(message, index, reject);
        match self.queue(&letter) {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => self.cut_or_leave(&letter, &error),
            Err(error) => self.keep(letter.to_owned(&self.topic), &error),
        }
    }

    /// Why letters do not arrive, in the client's words; `None` where nothing is known.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Waits for a while for what was sent. Gives whether all of it is where it belongs: in the
    /// topic, or, where that refuses it, in the table alone.
    pub fn await_delivery(&mut self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            self.producer.poll(POLL.min(deadline.saturating_duration_since(Instant::now())));
            if self.take_reports() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Forgets messages that are not to be written: they are read again.
    pub fn forget_undelivered(&mut self) {
        (self.trouble, self.send_again_at) = (None, None);
        self.in_company.clear();
        self.again.clear();
    }

    /// Does the next step with what was not delivered. Gives whether nothing is left.
    fn take_reports(&mut self) -> bool {
        let (waiting, refused, failed) = {
            let mut undelivered = self.producer.context().lock();
            let (refused, failed) =
                (std::mem::take(&mut undelivered.refused), std::mem::take(&mut undelivered.failed));
            (undelivered.waiting, refused, failed)
        };
        for (letter, error) in failed {
            self.unanswered |= error.rdkafka_error_code() == Some(Code::MessageTimedOut);
            self.keep(letter, &error);
        }
        match self.is_single {
            true => refused
                .iter()
                .for_each(|(letter, error)| self.cut_or_leave(&Letter::again(letter), error)),
            false => self.in_company.extend(refused.into_iter().map(|(letter, _)| letter)),
        }
        // A message that was cut is on its way, too.
        if waiting > 0 || self.producer.context().lock().waiting > 0 {
            return false;
        }
        if !self.in_company.is_empty() {
            self.send_singly();
            return false;
        }
        if self.again.is_empty() {
            self.trouble = None;
            return true;
        }
        if self.send_again_at.is_none_or(|at| at <= Instant::now()) {
            self.send_again_at = None;
            self.renew_producer();
            std::mem::take(&mut self.again).into_iter().for_each(|letter| self.send_again(letter));
        }
        false
    }

    /// Sends what was refused in company again, and from now on each letter in a request of its
    /// own: many are on their way all the same.
    fn send_singly(&mut self) {
        self.settings.set("batch.num.messages", "1");
        self.is_single = self.replace_producer();
        let refused = std::mem::take(&mut self.in_company);
        refused.into_iter().for_each(|letter| self.send_again(letter));
    }

    /// librdkafka's may have let go of every broker, and then connects to none of those that are
    /// there. Nothing is on its way by the old one.
    fn renew_producer(&mut self) {
        if !std::mem::take(&mut self.unanswered) {
            return;
        }
        tracing::debug!(
            "nobody answers what is sent to topic \"{}\": sending by a new client",
            self.topic
        );
        self.replace_producer();
    }

    /// Replaces the producer; nothing may be on its way by the old one. Returns whether there is a
    /// new one.
    fn replace_producer(&mut self) -> bool {
        // The settings were taken before, but there may be no thread for it.
        let Ok(new) = self.settings.create_with_context(Deliveries::default()) else {
            return false;
        };
        let old = std::mem::replace(&mut self.producer, new);
        drop_with_timeout(move || drop(old));
        true
    }

    fn keep(&mut self, letter: OwnedMessage, error: &KafkaError) {
        self.trouble = Some(error.to_string());
        self.send_again_at = Some(Instant::now() + SEND_AGAIN);
        self.again.push(letter);
    }

    fn send_again(&mut self, letter: OwnedMessage) {
        match self.queue(&Letter::again(&letter)) {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => self.cut_or_leave(&Letter::again(&letter), &error),
            Err(error) => self.keep(letter, &error),
        }
    }

    /// A letter that the topic refuses for what it is.
    fn cut_or_leave(&mut self, letter: &Letter<'_>, refusal: &KafkaError) {
        if !letter.is_cut() {
            self.cut.inc();
        }
        let bytes = letter.value.map_or(0, <[u8]>::len);
        let [cut_logged, left_logged] = &mut self.logged;
        if is_too_large(refusal) && letter.can_be_cut() {
            let topic = &self.topic;
            if is_to_be_logged(cut_logged) {
                tracing::warn!(
                    topic,
                    bytes,
                    "topic \"{topic}\" (--dead-letter-topic) does not take a rejected message of \
                     {bytes} bytes; its first {CUT_TO} are sent. {OTHERS}"
                );
            }
            match self.queue(&letter.cut()) {
                Err(error) if !is_refusal(&error) => {
                    self.keep(letter.cut().to_owned(&self.topic), &error);
                }
                // A topic that takes less than that leaves it to the table.
                Ok(()) | Err(_) => {}
            }
        } else if is_to_be_logged(left_logged) {
            let topic = &self.topic;
            tracing::warn!(
                topic,
                bytes,
                error = %refusal,
                "topic \"{topic}\" (--dead-letter-topic) does not take a rejected message ({bytes} \
                 bytes of it): {refusal}; rejected_ticks has it. {OTHERS}"
            );
        }
    }

    /// A client that has no room for long is not waited for with each letter.
    fn queue(&mut self, letter: &Letter<'_>) -> Result<(), KafkaError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).headers(letter.headers.clone());
        record.key = letter.key;
        record.payload = letter.value;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.full_since = None;
                    self.producer.context().lock().waiting += 1;
                    return Ok(());
                }
                Err((error @ KafkaError::MessageProduction(Code::QueueFull), refused)) => {
                    if self.full_since.get_or_insert_with(Instant::now).elapsed() >= ROOM_WITHIN {
                        return Err(error);
                    }
                    record = refused;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// The client's reports, as far as they are of use to a producer.
fn settings_of(config: &Config) -> ClientConfig {
    let mut settings = client_settings(config, &[]);
    for property in OF_CONSUMERS {
        settings.remove(property);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use common::Reason;
    use testing::ForgettingBroker;

    const MANY: u64 = 100;

    #[test]
    fn a_producer_gets_no_properties_of_consumers() {
        let config = Config::try_parse_from([
            "speed-layer",
            "--database-url=postgres://h/d",
            "--kafka-brokers=b",
            "--kafka-property=group.protocol=consumer",
            "--kafka-property=security.protocol=SSL",
        ]);
        let settings = settings_of(&config.unwrap());
        assert_eq!(settings.get("group.protocol"), None);
        assert_eq!(settings.get("security.protocol"), Some("SSL"));
    }

    #[test]
    fn letters_arrive_though_the_client_has_let_go_of_every_broker() {
        let broker = ForgettingBroker::start();
        let config = Config::try_parse_from([
            "speed-layer",
            "--database-url=postgres://h/d",
            "--dead-letter-topic=letters",
            "--kafka-property=topic.metadata.refresh.interval.ms=100",
            &format!("--kafka-brokers={}", broker.address()),
        ]);
        let mut letters = DeadLetters::new(&config.unwrap(), &Counter::default()).unwrap().unwrap();
        send(&mut letters);
        assert!(letters.await_delivery(TIMEOUT));

        for round in 1..=MANY {
            let begun = Instant::now();
            broker.name_no_broker(true);
            while broker.answers_without_brokers() < round {
                if letters.await_delivery(POLL) {
                    send(&mut letters);
                }
            }
            broker.name_no_broker(false);
            assert!(letters.await_delivery(3 * TIMEOUT), "{:?}", letters.trouble());
            // In some of them, mostly the first, the client is lost: then it is enough.
            if begun.elapsed() >= TIMEOUT / 2 {
                break;
            }
        }
    }

    /// Letters by a client that has room for ten.
    fn with_little_room(brokers: &str) -> DeadLetters {
        let config = Config::try_parse_from([
            "speed-layer",
            "--database-url=postgres://h/d",
            "--dead-letter-topic=letters",
            "--kafka-property=queue.buffering.max.messages=10",
            &format!("--kafka-brokers={brokers}"),
        ]);
        DeadLetters::new(&config.unwrap(), &Counter::default()).unwrap().unwrap()
    }

    #[test]
    fn more_letters_than_the_client_has_room_for_all_arrive() {
        let broker = ForgettingBroker::start();
        let mut letters = with_little_room(broker.address());
        (0..MANY).for_each(|_| send(&mut letters));
        assert!(letters.await_delivery(TIMEOUT), "{:?}", letters.trouble());
    }

    #[test]
    fn letters_for_which_there_is_no_room_hold_up_nobody_while_kafka_is_away() {
        let mut letters = with_little_room("127.0.0.1:1");
        let begun = Instant::now();
        (0..MANY).for_each(|_| send(&mut letters));
        assert!(begun.elapsed() < 4 * ROOM_WITHIN, "{:?}", begun.elapsed());
        assert!(!letters.await_delivery(POLL));
        assert_eq!(letters.again.len() as u64, MANY - 10);
    }

    fn send(letters: &mut DeadLetters) {
        let (key, value) = (None, Some(&b"no tick"[..]));
        let message =
            Message { topic: "ticks", partition: 0, offset: 0, timestamp: None, key, value };
        letters.send(&message, 0, &Reject { reason: Reason::NotJson, detail: String::new() });
    }
}
