//! The intake's turns: a look at everything, and a burst of messages, until its session is over.

use super::failures::PartitionFailure;
use super::{DRAIN_TIMEOUT, IDLE, Intake, Interrupt, SessionEnd, Step, rejoin};
use crate::kafka::{self, Finding, Polled};
use crate::partition::Event;
use crate::source::TopicPartition;
use common::Timestamp;
use service::Failure;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Schemas that the registry is asked for after one look at Kafka. A topic has few; bytes that only
/// look like a registry's name others in each message.
const SCHEMAS_PER_TURN: usize = 100;

impl Intake {
    /// Reads until shutdown, or until this membership is of no use any more; then leaves the group.
    ///
    /// # Errors
    /// If a person has to help: a wrong setting, a missing right.
    pub fn run(mut self) -> Result<SessionEnd, Failure> {
        let interrupt = self.join().err().unwrap_or_else(|| {
            loop {
                if let Err(interrupt) = self.turn() {
                    break interrupt;
                }
            }
        });
        if !self.left.is_cancelled() {
            self.shared.end_reading();
        }
        if let Some(dead_letters) = self.dead_letters.take() {
            kafka::drop_with_timeout(move || drop(dead_letters));
        }
        self.shared.keep_ends(self.assignment.into_ends());
        kafka::leave(self.consumer, self.messages);
        match interrupt {
            Interrupt::Failed(failure) => Err(failure),
            Interrupt::Ended(ended) => Ok(ended),
        }
    }

    /// Joins the group, unless somebody is in it who has no business there.
    fn join(&mut self) -> Step {
        self.check_group()?;
        kafka::subscribe(&self.consumer, &self.shared.config).map_err(Interrupt::Failed)
    }

    /// One look at everything, and one burst of messages.
    fn turn(&mut self) -> Step {
        if self.shared.stop.is_cancelled() {
            return Err(self.finish());
        }
        while let Some(reply) = self.writers.reply()? {
            self.take_reply(reply);
        }
        self.serve_consumer()?;
        self.take_schemas()?;
        self.take_findings()?;
        self.take_reports()?;
        self.look_after_partitions()?;
        if !self.hand_over_due()? {
            // Nothing more is read before the letters are delivered: what holds them back would
            // only grow.
            self.writers.hold_up_all();
            return Ok(());
        }
        let assignment = &self.assignment;
        self.writers.check_idle(|| assignment.positions())?;
        self.report_offsets_if_due();
        self.decoder.set_now(Timestamp::now());
        let rooms = self.writers.rooms();
        if rooms.iter().all(|room| *room == 0) {
            return self.wait_for_store();
        }
        self.read_burst(&rooms)
    }

    /// `rooms`: how many messages each writer can take.
    fn read_burst(&mut self, rooms: &[usize]) -> Step {
        let wait = self.writers.patience(IDLE);
        let Self { messages, writers, decoder, assignment, dead_letters, shared, .. } = self;
        let (mut failures, mut lacking) = (Vec::new(), BTreeSet::new());
        let has_registry = shared.registry.is_some();
        messages.drain(wait, rooms, |polled| match polled {
            Polled::Message(message) => {
                let (partition, offset) = (message.partition, message.offset);
                if has_registry
                    && let Some(id) = decoder.lacks_schema(message.value.unwrap_or_default())
                {
                    let at = TopicPartition { topic: message.topic.to_owned(), partition };
                    assignment.event(&at, Event::LacksSchema(id), Instant::now());
                    if lacking.len() < SCHEMAS_PER_TURN {
                        lacking.insert(id);
                    }
                    return;
                }
                let Some(step) = assignment.advance(message.topic, partition, offset, offset + 1)
                else {
                    return;
                };
                let batch = writers.batch(step.at);
                batch.gaps.extend(step.gap(offset));
                batch.push(decoder, &message, step.at, step.expected, |part, index, reject| {
                    // It has its letter where it was taken before.
                    if !step.was_read_before
                        && let Some(dead_letters) = dead_letters
                    {
                        dead_letters.send(part, index, reject);
                    }
                });
            }
            Polled::Failed { topic, partition, offset, code, why } => {
                let at = TopicPartition { topic: topic.to_owned(), partition };
                if kafka::is_damage_code(code) {
                    // At once: the messages after it in this burst are not next.
                    shared.metrics.damaged.inc();
                    assignment.event(&at, Event::Damaged(why.clone()), Instant::now());
                }
                failures.push(PartitionFailure { at, offset, code, why });
            }
        });
        lacking.into_iter().for_each(|id| self.ask_for_schema(id));
        failures.into_iter().try_for_each(|failure| self.take_failure(failure))
    }

    /// Serves rebalances, errors and statistics. Messages come another way.
    fn serve_consumer(&mut self) -> Step {
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(()),
            Some(Err(error)) => self.take_error(&error),
            Some(Ok(message)) => {
                let (topic, partition) =
                    (rdkafka::Message::topic(&message), rdkafka::Message::partition(&message));
                let offset = rdkafka::Message::offset(&message);
                Err(rejoin(format!("message {topic}/{partition}/{offset} came out of turn")))
            }
        }
    }

    fn take_findings(&mut self) -> Step {
        let findings: Vec<Finding> = self.inquiry.findings().collect();
        findings.into_iter().try_for_each(|finding| self.take_finding(finding))
    }

    fn finish(&mut self) -> Interrupt {
        match self.drain(DRAIN_TIMEOUT) {
            Err(Interrupt::Failed(failure)) => Interrupt::Failed(failure),
            Ok(()) | Err(Interrupt::Ended(_)) => {
                if self.writers.in_flight() > 0 {
                    tracing::warn!(
                        "PostgreSQL did not answer in time; what is not written will be read again \
                         from Kafka"
                    );
                }
                // It would wait for brokers that are away. In its first second nothing is known of
                // them.
                let kafka = &self.shared.health.kafka;
                if kafka.get() || !kafka.has_held() {
                    self.report_last_offsets();
                }
                Interrupt::Ended(SessionEnd::Shutdown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::process::Process;
    use crate::writer::{BatchLimits, Writers};
    use clap::Parser as _;
    use rdkafka::mocking::MockCluster;
    use std::sync::{Arc, mpsc};
    use tokio::sync::mpsc::unbounded_channel;
    use tokio_util::sync::CancellationToken;

    fn shared(brokers: &str) -> Arc<Process> {
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let config = Config::try_parse_from(flags.into_iter().chain([brokers])).unwrap();
        let database = config.database.parse("speed-layer").unwrap();
        Arc::new(Process::new(config, database, CancellationToken::new()).unwrap())
    }

    #[test]
    fn an_intake_that_its_session_left_behind_ends_nothing_that_the_next_one_shows() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        for is_left in [false, true] {
            let shared = shared(&cluster.bootstrap_servers());
            shared.health.group.set(true);
            let (commands, _hears) = unbounded_channel();
            // Nobody answers: the session is over.
            let (_, replies) = mpsc::channel();
            let limits = BatchLimits { rows: 1, linger: Duration::ZERO };
            let writers = Writers::new(vec![commands], replies, limits);
            let left = CancellationToken::new();
            if is_left {
                left.cancel();
            }
            let intake = Intake::new(Arc::clone(&shared), writers, left).unwrap();
            assert!(matches!(intake.run(), Ok(SessionEnd::Rejoin(_))));
            assert_eq!(shared.health.group.get(), is_left);
        }
    }
}
