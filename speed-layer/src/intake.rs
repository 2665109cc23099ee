//! [`Intake`]: the thread that polls Kafka and decodes, while the stores write.

mod failures;
mod letters;
mod rebalance;
mod schemas;
mod strangers;

use crate::Shared;
use crate::assignment::Assignment;
use crate::config::OnGap;
use crate::handover::Reply;
use crate::kafka::{self, Consumer, DeadLetters, Finding, Inquiry, MessageQueues, Polled, Reports};
use crate::kafka_watch::KafkaWatch;
use crate::partition::Event;
use crate::registry;
use crate::source::TopicPartition;
use crate::writer::{self, Writers};
use anyhow::anyhow;
use common::Timestamp;
use common::decode::{Decoder, ProvenanceNames};
use failures::{Identifying, PartitionFailure};
use letters::LettersWatch;
use rdkafka::consumer::Consumer as _;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The longest that a poll may wait for a message.
const IDLE: Duration = Duration::from_millis(100);
/// How long a shutdown waits for what is decoded to be written. Longer would be killed by most
/// supervisors; what is not written then is still in Kafka.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(7);
/// How often a stalled intake polls all the same: the group must see it alive.
const STALLED_POLL: Duration = Duration::from_secs(1);
/// How often Kafka is told the offsets; monitors need no more.
const ADVISORY_COMMIT: Duration = Duration::from_secs(1);
/// How long a rebalance or the end may wait for rejected messages to reach their topic.
const LETTERS_PATIENCE: Duration = Duration::from_secs(3);
/// Without an answer for so long it is told once more: longer than Kafka's client goes on trying.
const ANSWER_LOST: Duration = Duration::from_secs(70);
/// How long the group's coordinator may take to hear of the last offsets.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long it is left alone where it did not take them.
const LAST_WORD_AGAIN: Duration = Duration::from_millis(50);
/// Schemas that the registry is asked for after one look at Kafka. A topic has few; bytes that only
/// look like a registry's name others in each message.
const ASKED_AT_ONCE: usize = 100;

/// Why a session is over.
pub enum Ended {
    Shutdown,
    /// A new session can go on from the stored offsets; the text says why this one could not.
    Rejoin(String),
}

/// Why the intake cannot go on.
enum Interrupt {
    Ended(Ended),
    Failed(Failure),
}

type Step<T = ()> = Result<T, Interrupt>;

impl From<writer::Ended> for Interrupt {
    /// The session knows why: this text is never shown.
    fn from(_: writer::Ended) -> Self {
        rejoin("the store has ended".into())
    }
}

/// The reading half of a session.
pub struct Intake {
    shared: Arc<Shared>,
    /// Cancelled once the session does not wait for this intake any more. What the process shows is
    /// the next one's affair then.
    left: CancellationToken,
    /// They are the consumer's, and go before it.
    messages: MessageQueues,
    consumer: Consumer,
    inquiry: Inquiry,
    dead_letters: Option<DeadLetters>,
    writers: Writers,
    decoder: Decoder,
    assignment: Assignment,
    watch: KafkaWatch,
    letters_watch: LettersWatch,
    /// When Kafka was last told the offsets.
    committed: Instant,
    /// Since when Kafka has not answered.
    committing: Option<Instant>,
    /// Since when no partition has had a leader that the client finds.
    all_leaderless: Option<Instant>,
    /// When it was last asked what there is of partitions without a leader.
    ends_asked: Instant,
    /// Whom else the group gives partitions that should be ours.
    stranger: Option<String>,
    /// Members that call themselves as we do and have no mark in our database, each since when.
    unmarked: strangers::Unmarked,
    /// Kafka does not tell who is in the group, which was said.
    are_members_refused: bool,
    /// By which this session joins the group.
    client_id: String,
    /// Topics of which it is being asked whether they may be read.
    rights_asked: BTreeSet<String>,
    /// Whether it is being asked if any broker answers.
    brokers_asked: bool,
    /// Topics that cannot be read, with what was said of each.
    absent: BTreeMap<String, String>,
    /// Topics of which a store is asked which source they are, and those that it did not take.
    identifying: BTreeMap<String, Identifying>,
    /// What the decoder knows of the registry's schemas.
    schemas_seen: registry::Seen,
}

impl Intake {
    /// The group is joined later.
    ///
    /// # Errors
    /// A property that librdkafka does not take.
    pub fn new(
        shared: Arc<Shared>,
        writers: Writers,
        left: CancellationToken,
    ) -> Result<Self, Failure> {
        let client_id = shared.client_id();
        let consumer = kafka::consumer(&shared.config, &client_id)?;
        let messages = MessageQueues::new(&consumer, writers.count()).ok_or_else(|| {
            Failure::Infrastructure(anyhow!("librdkafka has no memory for a queue"))
        })?;
        let mut inquiry = Inquiry::start(&shared.config)?;
        for topic in shared.config.named_topics() {
            inquiry.about_topic(topic);
        }
        if let Some(topic) = &shared.config.dead_letter_topic {
            inquiry.about_topic(topic);
        }
        let dead_letters = DeadLetters::new(&shared.config, &shared.metrics.letters_cut)?;
        let rules = shared.config.messages.rules(ProvenanceNames::default());
        let (health, retries) = (Arc::clone(&shared.health), shared.metrics.retries("Kafka"));
        let watch = KafkaWatch::new(
            &shared.config.kafka_brokers,
            health,
            retries,
            shared.kafka_said_away.clone(),
        );
        let skips = shared.config.on_gap == OnGap::Skip;
        shared.health.letters.set(true);
        let letters_watch = LettersWatch::new(
            shared.config.dead_letter_topic.as_deref(),
            shared.metrics.retries("dead letters"),
        );
        let ends = shared.take_ends();
        Ok(Self {
            shared,
            left,
            messages,
            consumer,
            inquiry,
            dead_letters,
            writers,
            decoder: Decoder::new(rules, Timestamp::now()),
            assignment: Assignment::new(skips, ends),
            watch,
            letters_watch,
            committed: Instant::now(),
            committing: None,
            all_leaderless: None,
            ends_asked: Instant::now(),
            stranger: None,
            unmarked: strangers::Unmarked::default(),
            are_members_refused: false,
            client_id,
            rights_asked: BTreeSet::new(),
            brokers_asked: false,
            absent: BTreeMap::new(),
            identifying: BTreeMap::new(),
            schemas_seen: registry::Seen::default(),
        })
    }

    /// Reads until shutdown, or until this membership is of no use any more; then leaves the group.
    pub fn run(mut self) -> Result<Ended, Failure> {
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
            kafka::bury(move || drop(dead_letters));
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
        self.make_sure_of_the_group()?;
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
                    if lacking.len() < ASKED_AT_ONCE {
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
                    if !step.is_again
                        && let Some(dead_letters) = dead_letters
                    {
                        dead_letters.send(part, index, reject);
                    }
                });
            }
            Polled::Failed { topic, partition, offset, code, why } => {
                let at = TopicPartition { topic: topic.to_owned(), partition };
                if kafka::is_damage_code(code) {
                    // At once: what comes behind it in this burst is not next.
                    shared.metrics.damaged.inc();
                    assignment.event(&at, Event::Damaged(why.clone()), Instant::now());
                }
                failures.push(PartitionFailure { at, offset, code, why });
            }
        });
        lacking.into_iter().for_each(|id| self.ask_for_schema(id));
        failures.into_iter().try_for_each(|failure| self.take_failure(failure))
    }

    /// Moves partitions on to `next` over what is no message, or cannot be read.
    fn pass(&mut self, at: &TopicPartition, next: i64) {
        let Some(step) = self.assignment.advance(&at.topic, at.partition, next, next) else {
            return;
        };
        if step.expected < next {
            let batch = self.writers.batch(step.at);
            batch.gaps.extend(step.gap(next));
            batch.pass(step.at, step.expected, next);
        }
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

    /// Hands over what is due. `false` where rejected messages have to reach their topic first:
    /// they are sent before the batch is committed, so that after a crash they come twice rather
    /// than not at all.
    fn hand_over_due(&mut self) -> Step<bool> {
        let due: Vec<usize> = self.writers.due().collect();
        let has_letters = due.iter().any(|index| self.writers.has_rejects(*index));
        if has_letters && !self.are_letters_delivered(IDLE) {
            return Ok(false);
        }
        if self.letters_watch.is_waiting() {
            // Those that were waited for may be another instance's by now.
            self.are_letters_delivered(Duration::ZERO);
        }
        due.into_iter().try_for_each(|index| self.writers.hand_over(index))?;
        Ok(true)
    }

    /// Hands over the batches of these writers; what waits for letters for long is left to another
    /// session.
    fn hand_over(&mut self, writers: Vec<usize>, patience: Duration) -> Step {
        let (with_letters, without): (Vec<usize>, Vec<usize>) =
            writers.into_iter().partition(|index| self.writers.has_rejects(*index));
        without.into_iter().try_for_each(|index| self.writers.hand_over(index))?;
        if !with_letters.is_empty() && !self.are_letters_delivered(patience.min(LETTERS_PATIENCE)) {
            return Err(rejoin("rejected messages do not reach --dead-letter-topic".into()));
        }
        Ok(with_letters.into_iter().try_for_each(|index| self.writers.hand_over(index))?)
    }

    fn are_letters_delivered(&mut self, wait: Duration) -> bool {
        let Some(letters) = &mut self.dead_letters else {
            return true;
        };
        let are_delivered = letters.await_delivery(wait);
        self.letters_watch.note(are_delivered, letters.trouble(), &self.shared.health.letters);
        are_delivered
    }

    fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Ended => {}
            Reply::Checked => self.shared.session_works(),
            Reply::Identified(source) => self.topic_is_identified(source),
            Reply::NotIdentified(identity, why, again) => {
                self.topic_is_not_taken(identity, why, again);
            }
            Reply::Located(answers) => {
                answers
                    .into_iter()
                    .for_each(|answer| self.assignment.answered(answer, Instant::now()));
            }
            Reply::HeldBack(partitions) => {
                partitions
                    .into_iter()
                    .for_each(|one| self.assignment.held_back(one, Instant::now()));
            }
            Reply::Written(batch) => {
                self.shared.session_works();
                for range in batch.ranges.iter() {
                    self.assignment.written(range.at, range.next);
                }
                self.writers.give_back(*batch);
            }
        }
    }

    fn take_findings(&mut self) -> Step {
        let findings: Vec<Finding> = self.inquiry.findings().collect();
        findings.into_iter().try_for_each(|finding| self.take_finding(finding))
    }

    /// All batches are full, and so are the ways to the stores. Kafka is polled now and then all the
    /// same, since only that keeps this instance in its group.
    fn wait_for_store(&mut self) -> Step {
        if let Some(reply) = self.writers.wait(STALLED_POLL)? {
            self.take_reply(reply);
        }
        Ok(())
    }

    /// Hands everything over and waits until it is written, at most for `timeout`. What a store
    /// takes nothing of meanwhile is read again.
    fn drain(&mut self, timeout: Duration) -> Step {
        let deadline = Instant::now() + timeout;
        let mut filled = self.writers.holding(|_| true);
        let mut handed_over = Ok(());
        loop {
            let (stuck, free): (Vec<usize>, Vec<usize>) =
                filled.into_iter().partition(|index| self.writers.is_stuck(*index));
            filled = stuck;
            let left = deadline.saturating_duration_since(Instant::now());
            if handed_over.is_ok() && !free.is_empty() {
                handed_over = self.hand_over(free, left);
            }
            if self.writers.in_flight() == 0 {
                break;
            }
            match self.writers.wait(deadline.saturating_duration_since(Instant::now()))? {
                Some(reply) => self.take_reply(reply),
                None => break,
            }
        }
        filled.into_iter().for_each(|index| self.drop_batch(index));
        handed_over
    }

    /// Drops a batch that cannot be handed over: what it holds is read again from where the store
    /// stands, once that says so.
    fn drop_batch(&mut self, index: usize) {
        let partitions = self.writers.drop_batch(index);
        let count = partitions.len();
        tracing::warn!(
            writer = index,
            "PostgreSQL has taken none of the last batches of writer {index}: what else was read of its {count} partitions \
             is read again"
        );
        for at in partitions {
            self.assignment.not_taken(at, Instant::now());
        }
    }

    fn finish(&mut self) -> Interrupt {
        match self.drain(DRAIN_TIMEOUT) {
            Err(Interrupt::Failed(failure)) => Interrupt::Failed(failure),
            Ok(()) | Err(Interrupt::Ended(_)) => {
                if self.writers.in_flight() > 0 {
                    tracing::warn!(
                        "PostgreSQL did not answer in time; what is not written will be read again from Kafka"
                    );
                }
                // It would wait for brokers that are away. In its first second nothing is known of
                // them.
                let kafka = &self.shared.health.kafka;
                if kafka.get() || !kafka.has_held() {
                    self.report_last_offsets();
                }
                Interrupt::Ended(Ended::Shutdown)
            }
        }
    }

    fn report_offsets_if_due(&mut self) {
        if self.committed.elapsed() >= ADVISORY_COMMIT {
            self.report_offsets();
        }
    }

    /// Kafka's copy of the offsets is for monitors; nothing is read from it, so a failure costs
    /// nothing but another try. One commit is under way at a time: of two the older might arrive
    /// last.
    fn report_offsets(&mut self) {
        self.committed = Instant::now();
        if self.committing.is_some_and(|since| since.elapsed() < ANSWER_LOST) {
            return;
        }
        let sent = self.assignment.unacknowledged().and_then(|offsets| match offsets.count() {
            0 => Ok(None),
            _ => kafka::commit(&self.consumer, &offsets).map(|()| Some(Instant::now())),
        });
        self.committing = sent.unwrap_or_else(|error| {
            tracing::debug!("telling Kafka the offsets: {error}");
            None
        });
    }

    fn hear_of_commit(&mut self, reports: &Reports) {
        if reports.has_answered {
            self.committing = None;
        }
        reports
            .acknowledged
            .iter()
            .for_each(|(at, offset)| self.assignment.acknowledged(at, *offset));
    }

    /// Monitors should not show a lag for ever because the group was rebalancing at the wrong
    /// moment.
    fn report_last_offsets(&mut self) {
        let deadline = Instant::now() + LAST_WORD;
        self.report_offsets();
        while self.committing.is_some() && Instant::now() < deadline {
            // Serves the answer; whatever else comes is nothing to us any more.
            let _ = self.consumer.poll(Duration::from_millis(20));
            let reports = self.consumer.context().take_reports();
            self.hear_of_commit(&reports);
            if self.committing.is_none() {
                if reports.acknowledged.is_empty() {
                    std::thread::sleep(LAST_WORD_AGAIN);
                }
                self.report_offsets();
            }
        }
    }
}

fn rejoin(why: String) -> Interrupt {
    Interrupt::Ended(Ended::Rejoin(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::writer::Limits;
    use clap::Parser as _;
    use rdkafka::mocking::MockCluster;
    use std::sync::mpsc;
    use tokio::sync::mpsc::unbounded_channel;

    fn shared(brokers: &str) -> Arc<Shared> {
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let config = Config::try_parse_from(flags.into_iter().chain([brokers])).unwrap();
        let database = config.database.parse("speed-layer").unwrap();
        Arc::new(Shared::new(config, database, CancellationToken::new()).unwrap())
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
            let limits = Limits { rows: 1, linger: Duration::ZERO };
            let writers = Writers::new(vec![commands], replies, limits);
            let left = CancellationToken::new();
            if is_left {
                left.cancel();
            }
            let intake = Intake::new(Arc::clone(&shared), writers, left).unwrap();
            assert!(matches!(intake.run(), Ok(Ended::Rejoin(_))));
            assert_eq!(shared.health.group.get(), is_left);
        }
    }
}
