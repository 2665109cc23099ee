//! [`Intake`]: the thread that polls Kafka and decodes, while the store writes.

mod locating;
mod rebalance;

use crate::Shared;
use crate::assignment::Assignment;
use crate::batch::Batch;
use crate::kafka::{Consumer, DeadLetters, MessageQueue};
use crate::kafka_watch::KafkaWatch;
use crate::session::Ended;
use crate::store::{Known, Located, Position};
use anyhow::anyhow;
use common::decode::{Decoder, ProvenanceNames};
use common::{Failure, Timestamp};
use locating::Locating;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// What the intake asks of the store.
pub enum Command {
    Write(Box<Batch>),
    /// Where to begin with partitions that were just assigned.
    Locate(Vec<Known>),
    /// Whether the database is there, and still stands where it was left.
    Check(Vec<Position>),
}

/// What the store answers; a store that can go on no more closes the channel instead.
pub enum Reply {
    /// The batch is committed; it comes back so that its memory serves again.
    Written(Box<Batch>),
    Located(Located),
    Checked,
}

/// Batches that may be on their way at once: one being written, one waiting, so that the store never waits for the
/// decoder.
const IN_FLIGHT: usize = 2;
/// The longest that a poll may wait for a message.
const IDLE: Duration = Duration::from_millis(100);
/// How often a stalled intake polls all the same: the group must see it alive.
const STALLED_POLL: Duration = Duration::from_secs(1);
/// How often Kafka is told the offsets; monitors need no more.
const ADVISORY_COMMIT: Duration = Duration::from_secs(1);

/// How often an intake without anything to write looks after the database: a failover to a state that lacks what was
/// written must be found although no message comes, and readiness must be true.
const IDLE_CHECK: Duration = Duration::from_secs(2);

/// Why the intake cannot go on.
enum Interrupt {
    Ended(Ended),
    Failed(Failure),
}

type Step<T = ()> = Result<T, Interrupt>;

/// The reading half of a session.
pub struct Intake {
    shared: Arc<Shared>,
    /// Stands before the consumer, because it must be dropped first.
    messages: MessageQueue,
    consumer: Consumer,
    dead_letters: Option<DeadLetters>,
    commands: UnboundedSender<Command>,
    replies: Receiver<Reply>,
    decoder: Decoder,
    batch: Batch,
    spare: Vec<Batch>,
    in_flight: usize,
    assignment: Assignment,
    locating: Locating,
    watch: KafkaWatch,
    committed: Instant,
    /// When the database was last seen to be where it was left.
    checked: Instant,
    is_checking: bool,
    topic_missing: bool,
}

impl Intake {
    /// # Errors
    /// A producer for dead letters that cannot be set up.
    pub fn new(
        shared: Arc<Shared>,
        consumer: Consumer,
        commands: UnboundedSender<Command>,
        replies: Receiver<Reply>,
    ) -> Result<Self, Failure> {
        let messages = MessageQueue::new(&consumer)
            .ok_or_else(|| Failure::Infrastructure(anyhow!("librdkafka has no memory for a queue")))?;
        let dead_letters = DeadLetters::new(&shared.config)?;
        let assignment = Assignment::new(shared.config.topic.clone());
        Ok(Self {
            shared,
            messages,
            consumer,
            dead_letters,
            commands,
            replies,
            decoder: Decoder::new(ProvenanceNames::default(), Timestamp::now()),
            batch: Batch::default(),
            spare: Vec::new(),
            in_flight: 0,
            assignment,
            locating: Locating::default(),
            watch: KafkaWatch::new(),
            committed: Instant::now(),
            checked: Instant::now(),
            is_checking: false,
            topic_missing: false,
        })
    }

    /// Reads until shutdown, or until this membership is of no use any more.
    pub fn run(mut self) -> Result<Ended, Failure> {
        let interrupt = loop {
            if let Err(interrupt) = self.turn() {
                break interrupt;
            }
        };
        self.consumer.context().close();
        match interrupt {
            Interrupt::Failed(failure) => Err(failure),
            Interrupt::Ended(ended) => Ok(ended),
        }
    }

    /// One look at everything, and one burst of messages.
    fn turn(&mut self) -> Step {
        if self.shared.stop.is_cancelled() {
            return Err(self.finish());
        }
        self.take_replies()?;
        self.serve_consumer()?;
        self.take_reports()?;
        self.hand_over_if_due()?;
        self.check_if_idle()?;
        self.tell_kafka_if_due();
        self.decoder.set_now(Timestamp::now());
        if self.batch.is_full(self.shared.config.batch_rows) {
            return self.wait_for_store();
        }
        self.read_burst()
    }

    fn read_burst(&mut self) -> Step {
        let wait = self.patience();
        let room = self.shared.config.batch_rows.saturating_sub(self.batch.messages);
        let Self { messages, batch, decoder, assignment, dead_letters, .. } = self;
        let (mut failed, mut undelivered) = (None, None);
        messages.drain(wait, room as usize, |polled| match polled {
            Ok(message) => {
                let Some(expected) = assignment.advance(message.partition, message.offset) else {
                    return;
                };
                let rejected = batch.push(decoder, &message, expected);
                if let (Some(reject), Some(dead_letters)) = (rejected, &dead_letters) {
                    undelivered = undelivered.take().or(dead_letters.send(&message, reject).err());
                }
            }
            Err(error) => failed = Some(error),
        });
        if let Some(error) = undelivered {
            return Err(self.not_delivered(&error));
        }
        failed.map_or(Ok(()), |error| self.take_error(&error))
    }

    /// Serves rebalances, errors and statistics. Messages come another way, except for those that were on their way
    /// when their partition was forwarded.
    fn serve_consumer(&mut self) -> Step {
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(()),
            Some(Err(error)) => self.take_error(&error),
            Some(Ok(message)) => {
                let (partition, offset) = (rdkafka::Message::partition(&message), rdkafka::Message::offset(&message));
                Err(rejoin(format!("message {partition}/{offset} came out of turn")))
            }
        }
    }

    /// How long a poll may wait without holding up the batch.
    fn patience(&self) -> Duration {
        match self.batch.opened() {
            None => IDLE,
            Some(opened) => match self.shared.config.linger.saturating_sub(opened.elapsed()) {
                // Due, but the store is busy: look again soon.
                Duration::ZERO => Duration::from_millis(1),
                left => left.min(IDLE),
            },
        }
    }

    /// A full batch goes to the store if there is room on the way; one that has lingered, if the store is idle.
    fn hand_over_if_due(&mut self) -> Step {
        let is_full = self.batch.is_full(self.shared.config.batch_rows);
        let has_lingered = self.batch.opened().is_some_and(|opened| opened.elapsed() >= self.shared.config.linger);
        if (is_full && self.in_flight < IN_FLIGHT) || (has_lingered && self.in_flight == 0) {
            self.hand_over()?;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Step {
        // Sent before the batch is committed: after a crash they come twice rather than not at all.
        if let Some(dead_letters) = self.dead_letters.as_ref().filter(|_| !self.batch.rejects.is_empty()) {
            dead_letters.flush().map_err(|error| self.not_delivered(&error))?;
        }
        let next = self.spare.pop().unwrap_or_default();
        let full = std::mem::replace(&mut self.batch, next);
        self.in_flight += 1;
        self.command(Command::Write(Box::new(full)))
    }

    fn check_if_idle(&mut self) -> Step {
        let is_idle = self.in_flight == 0 && !self.is_checking && self.checked.elapsed() >= IDLE_CHECK;
        let positions = if is_idle { self.assignment.positions() } else { Vec::new() };
        if positions.is_empty() {
            return Ok(());
        }
        self.is_checking = true;
        self.command(Command::Check(positions))
    }

    fn not_delivered(&self, error: &KafkaError) -> Interrupt {
        let topic = self.shared.config.dead_letter_topic.as_deref().unwrap_or_default();
        rejoin(format!("topic \"{topic}\" (--dead-letter-topic) does not take rejected messages: {error}"))
    }

    fn command(&self, command: Command) -> Step {
        self.commands.send(command).map_err(|_| store_is_gone())
    }

    fn take_replies(&mut self) -> Step {
        loop {
            match self.replies.try_recv() {
                Ok(reply) => self.take_reply(reply)?,
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(()),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(store_is_gone()),
            }
        }
    }

    fn take_reply(&mut self, reply: Reply) -> Step {
        match reply {
            Reply::Checked => {
                (self.is_checking, self.checked) = (false, Instant::now());
                Ok(())
            }
            Reply::Written(mut batch) => {
                self.checked = Instant::now();
                self.in_flight -= 1;
                self.assignment.written(&batch.ranges);
                batch.clear();
                self.spare.push(*batch);
                Ok(())
            }
            Reply::Located(located) if self.locating.answered() => match located {
                Located::At(positions) => self.take_up(&positions),
                Located::Outdated(stored) => self.locate_again(&stored),
            },
            Reply::Located(_) => Ok(()),
        }
    }

    /// The batch is full and so is the way to the store. Kafka is polled now and then all the same, since only that
    /// keeps this instance in its group.
    fn wait_for_store(&mut self) -> Step {
        match self.replies.recv_timeout(STALLED_POLL) {
            Ok(reply) => self.take_reply(reply),
            Err(RecvTimeoutError::Disconnected) => Err(store_is_gone()),
            Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }

    /// Hands everything over and waits until it is written, at most for `timeout`.
    fn drain(&mut self, timeout: Duration) -> Step {
        if !self.batch.is_empty() {
            self.hand_over()?;
        }
        let deadline = Instant::now() + timeout;
        while self.in_flight > 0 {
            match self.replies.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(reply) => self.take_reply(reply)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(store_is_gone()),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Interrupt {
        match self.drain(crate::session::DRAIN_TIMEOUT) {
            Err(Interrupt::Failed(failure)) => Interrupt::Failed(failure),
            Ok(()) | Err(Interrupt::Ended(_)) => {
                if self.in_flight > 0 {
                    tracing::warn!(
                        "PostgreSQL did not answer in time; what is not written will be read again from Kafka"
                    );
                }
                // It would wait for brokers that are away.
                if self.shared.health.kafka.get() {
                    self.tell_kafka_now(CommitMode::Sync);
                }
                Interrupt::Ended(Ended::Shutdown)
            }
        }
    }

    fn tell_kafka_if_due(&mut self) {
        if self.committed.elapsed() >= ADVISORY_COMMIT {
            self.tell_kafka_now(CommitMode::Async);
        }
    }

    /// Kafka's copy of the offsets is for monitors; nothing is read from it, so a failure costs nothing.
    fn tell_kafka_now(&mut self, mode: CommitMode) {
        self.committed = Instant::now();
        let told = self.assignment.untold().and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => self.consumer.commit(&offsets, mode),
        });
        if let Err(error) = told {
            tracing::debug!("telling Kafka the offsets: {error}");
        }
    }

    fn take_error(&mut self, error: &KafkaError) -> Step {
        use RDKafkaErrorCode as Code;
        let (topic, brokers) = (&self.shared.config.topic, &self.shared.config.kafka_brokers);
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                if !std::mem::replace(&mut self.topic_missing, true) {
                    tracing::warn!(
                        "topic \"{topic}\" (--topic) does not exist on {brokers}; create it; waiting for it"
                    );
                }
                Ok(())
            }
            Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                let group = &self.shared.config.group_id;
                let error = anyhow!(
                    "Kafka forbids reading topic \"{topic}\" as group \"{group}\": {error}; grant READ on both"
                );
                Err(Interrupt::Failed(Failure::Configuration(error)))
            }
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                Err(rejoin(format!("Kafka no longer has the next offset of {topic}: {error}")))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(rejoin(format!("Kafka client: {error}")))
            }
            // The client recovers from everything else by itself; an outage shows in its statistics.
            _ => {
                tracing::debug!("Kafka client: {error}");
                Ok(())
            }
        }
    }
}

fn rejoin(why: String) -> Interrupt {
    Interrupt::Ended(Ended::Rejoin(why))
}

/// The session knows why: this text is never shown.
fn store_is_gone() -> Interrupt {
    rejoin("the store has ended".into())
}
