//! [`Inquiry`]: a thread with its own Kafka client for requests that may block: a partition without
//! a leader holds up no other one, and the end of a session no answer.

use super::leaders::{self, Leaders};
use super::leave::drop_with_timeout;
use super::readable::{first_readable, may_read};
use super::settings::client_settings;
use crate::config::Config;
use crate::handover::Watermarks;
use crate::source::{TopicIdentity, TopicPartition};
use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use service::Failure;
use service::kafka::Quiet;
use service::kafka::group::{Member, MembersError, members};
use service::kafka::topic_id::{self, Description, NoDescription};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::discriminant;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// How often it is made sure that a topic is still the one that it was.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked who is in the group.
const ASK_FOR_MEMBERS_EVERY: Duration = Duration::from_secs(10);
/// How long the brokers may take for one answer; the question is asked again.
const BROKER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long they may leave open which cluster they are before a topic is taken without that: some
/// never tell.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// Partitions of which a new client is asked at once.
const MEASURED_PER_TURN: usize = 100;

/// A client that has had no answer for this long is replaced: librdkafka's may forget every broker
/// that it knew, and then connects to none of those that are there.
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// A question to Kafka.
#[derive(Debug)]
enum KafkaQuestion {
    /// Which topic is this now? From then on it is checked again and again. The number identifies
    /// the question.
    Topic(String, u64),
    /// Which offsets does this partition have?
    Partition(TopicPartition),
    Slow(Slow),
}

/// A question whose answer may take seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slow {
    /// Which offset from this one on can be read?
    Readable(TopicPartition, i64),
    /// Which offsets do these partitions have, for which the client finds no leader?
    Ends(Vec<TopicPartition>),
    /// Do the brokers name a leader for this partition?
    Leader(TopicPartition),
    /// May this user read from this offset on?
    Allowed(TopicPartition, i64),
    /// Does any broker answer?
    Brokers,
}

impl Slow {
    /// Whether one answer is enough for both. A question about a damaged batch or a right is for
    /// each partition; of any other kind the newest question counts.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Readable(at, _), Self::Readable(other, _))
            | (Self::Allowed(at, _), Self::Allowed(other, _)) => at == other,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// Questions that are still open. A partition without an answer asks again, and must not find its
/// own questions before itself: at most one of each kind and partition waits.
#[derive(Debug, Default)]
struct Waiting {
    /// No partition of a topic is begun before it is known which topic it is, so these come first.
    topics: BTreeSet<String>,
    partitions: VecDeque<TopicPartition>,
    slow: VecDeque<Slow>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.partitions.is_empty() && self.slow.is_empty()
    }

    fn measure(&mut self, partition: TopicPartition) {
        if !self.partitions.contains(&partition) {
            self.partitions.push_back(partition);
        }
    }

    /// The newest question takes the turn of the one before.
    fn ask(&mut self, question: Slow) {
        match self.slow.iter_mut().find(|waiting| waiting.is_like(&question)) {
            Some(waiting) => *waiting = question,
            None => self.slow.push_back(question),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Finding {
    /// When it was asked for, and whenever it has changed since; the number is that of the last
    /// question that Kafka was asked after.
    Topic(TopicIdentity, u64),
    /// Who is in the group, now and then.
    Members(Vec<Member>),
    /// Who is in the group cannot be asked; in the client's words.
    MembersRefused(String),
    /// The brokers know no topic of this name.
    Missing(String),
    /// The brokers do not tell this user about the topic of this name; in their words.
    Forbidden(String, String),
    /// The offsets that it has, and when that was asked.
    Partition(TopicPartition, Watermarks, Instant),
    /// The first offset from `from` on that can be read.
    Readable { at: TopicPartition, from: i64, offset: i64 },
    /// This user may read it.
    Allowed(TopicPartition),
    /// This user may not read it yet, or nobody says; in the client's words.
    StillForbidden(TopicPartition, String),
    /// The brokers name a leader for it.
    Led(TopicPartition),
    /// The offsets could not be found out; in the client's words.
    NotFound(TopicPartition, String),
    /// Whether any broker answers.
    Brokers(bool),
}

/// The asking end.
pub struct Inquiry {
    questions: Sender<KafkaQuestion>,
    findings: Receiver<Finding>,
    /// Questions about topics so far.
    count: u64,
}

impl Inquiry {
    /// Starts the thread; it ends when this end is dropped.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let client = create_client(config)?;
        let (questions, asked) = mpsc::channel();
        let (found, findings) = mpsc::channel();
        let asker = InquiryThread {
            config: config.clone(),
            client,
            answered: Instant::now(),
            asked,
            found,
            topics: BTreeMap::new(),
            waiting: Waiting::default(),
            slow_done: Instant::now(),
            leaders: Leaders::default(),
            measured: 0,
        };
        std::thread::Builder::new()
            .name("inquiry".into())
            .spawn(move || asker.run())
            .context("start the thread that asks Kafka")
            .map_err(Failure::Infrastructure)?;
        Ok(Self { questions, findings, count: 0 })
    }

    /// Gives the question's number: an answer that bears it, or a later one, is no older than the
    /// question.
    pub fn about_topic(&mut self, topic: &str) -> u64 {
        self.count += 1;
        self.ask(KafkaQuestion::Topic(topic.to_owned(), self.count));
        self.count
    }

    pub fn about_partition(&self, partition: TopicPartition) {
        self.ask(KafkaQuestion::Partition(partition));
    }

    /// The offset to go on at after a damaged batch.
    pub fn about_readable(&self, partition: TopicPartition, damaged: i64) {
        self.ask(KafkaQuestion::Slow(Slow::Readable(partition, damaged)));
    }

    /// The offsets of partitions for which the client finds no leader.
    pub fn about_ends(&self, partitions: Vec<TopicPartition>) {
        self.ask(KafkaQuestion::Slow(Slow::Ends(partitions)));
    }

    /// Whether the brokers name a leader that the client does not find.
    pub fn about_leader(&self, partition: TopicPartition) {
        self.ask(KafkaQuestion::Slow(Slow::Leader(partition)));
    }

    /// Whether a right that was missing is there now.
    pub fn about_right(&self, partition: TopicPartition, next: i64) {
        self.ask(KafkaQuestion::Slow(Slow::Allowed(partition, next)));
    }

    /// Whether any broker answers, though Kafka's client has a connection to none.
    pub fn about_brokers(&self) {
        self.ask(KafkaQuestion::Slow(Slow::Brokers));
    }

    fn ask(&self, question: KafkaQuestion) {
        // The thread lives as long as this end does.
        let _ = self.questions.send(question);
    }

    /// Takes the answers since the last call.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.findings.try_iter()
    }
}

fn create_client(config: &Config) -> Result<BaseConsumer<Quiet>, Failure> {
    client_settings(config, &[])
        .create_with_context(Quiet)
        .context("the Kafka client refuses its settings (--kafka-brokers, --kafka-property)")
        .map_err(Failure::Configuration)
}

/// A topic that Kafka is asked about.
#[derive(Debug, Default)]
struct TopicInquiry {
    /// The number of the last question.
    number: u64,
    /// The last answer since somebody asked. `None`: none, or the topic was not there.
    last_answer: Option<TopicIdentity>,
    /// How often it was not there. A broker that has just started may know nothing yet.
    missing: u32,
    /// Since when it has been there, and nobody has told of which cluster it is.
    nameless: Option<Instant>,
    is_nameless_logged: bool,
}

impl TopicInquiry {
    /// Whether it is to be asked again of which cluster it is. That nobody tells is logged once.
    fn waits_for_cluster(&mut self, found: &TopicIdentity, now: Instant) -> bool {
        if !found.cluster_id.is_empty() {
            self.nameless = None;
            return false;
        }
        let since = *self.nameless.get_or_insert(now);
        if now.saturating_duration_since(since) < NAMED_WITHIN {
            return true;
        }
        if !std::mem::replace(&mut self.is_nameless_logged, true) {
            let topic = found.topic.as_str();
            tracing::warn!(
                topic,
                "the brokers do not tell which Kafka cluster they are: a topic \"{topic}\" of \
                 another one is not noticed where it has no id of its own either"
            );
        }
        false
    }
}

struct InquiryThread {
    config: Config,
    client: BaseConsumer<Quiet>,
    /// When the client last had an answer, or was made.
    answered: Instant,
    asked: Receiver<KafkaQuestion>,
    found: Sender<Finding>,
    topics: BTreeMap<String, TopicInquiry>,
    waiting: Waiting,
    /// When the last slow question had its answer.
    slow_done: Instant,
    leaders: Leaders,
    /// The index of the next of many partitions that a new client is asked about.
    measured: usize,
}

impl InquiryThread {
    fn run(mut self) {
        let mut next_look = Instant::now() + LOOK_EVERY;
        let mut next_members = Instant::now() + ASK_FOR_MEMBERS_EVERY;
        while self.hear(next_look) {
            // Other questions must not put this off for ever.
            if Instant::now() >= next_look {
                self.look_at_all();
                if Instant::now() >= next_members {
                    self.look_at_members();
                    next_members = Instant::now() + ASK_FOR_MEMBERS_EVERY;
                }
                next_look = Instant::now() + LOOK_EVERY;
            }
            self.look_at_asked();
            self.answer_one();
            self.renew_client();
        }
    }

    /// Takes all that was asked meanwhile; waits for it until `next_look` where there is nothing
    /// else to do. `false` where nobody listens any more.
    fn hear(&mut self, next_look: Instant) -> bool {
        if self.waiting.is_empty() {
            let left = next_look.saturating_duration_since(Instant::now());
            match self.asked.recv_timeout(left) {
                Ok(question) => self.note(question),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        loop {
            match self.asked.try_recv() {
                Ok(question) => self.note(question),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// Measures a partition, or answers a slow question. Between two slow ones partitions have
    /// their time.
    fn answer_one(&mut self) {
        let is_turn = self.waiting.partitions.is_empty() || self.slow_done.elapsed() >= LOOK_EVERY;
        if is_turn && let Some(question) = self.waiting.slow.pop_front() {
            self.answer(question);
            self.slow_done = Instant::now();
        } else if let Some(partition) = self.waiting.partitions.pop_front() {
            let found = self.measure(partition);
            self.tell(Some(found));
        }
    }

    fn renew_client(&mut self) {
        if self.answered.elapsed() < RENEW_AFTER {
            return;
        }
        self.answered = Instant::now();
        // The settings were taken before.
        if let Ok(new) = create_client(&self.config) {
            tracing::debug!("nobody answers what Kafka is asked: asking by a new client");
            let old = std::mem::replace(&mut self.client, new);
            drop_with_timeout(move || drop(old));
        }
    }

    fn note(&mut self, question: KafkaQuestion) {
        match question {
            KafkaQuestion::Topic(topic, number) => {
                // The answer is wanted, new or not; if nobody answers now, then at the next look.
                let asked = self.topics.entry(topic.clone()).or_default();
                (asked.number, asked.last_answer) = (number, None);
                self.waiting.topics.insert(topic);
            }
            KafkaQuestion::Partition(partition) => self.waiting.measure(partition),
            KafkaQuestion::Slow(question) => self.waiting.ask(question),
        }
    }

    fn answer(&mut self, question: Slow) {
        let found = match question {
            Slow::Readable(partition, damaged) => Some(self.find_readable(partition, damaged)),
            Slow::Ends(partitions) => {
                self.measure_by_a_new_client(partitions);
                None
            }
            Slow::Leader(partition) => self.is_led(&partition).then_some(Finding::Led(partition)),
            Slow::Brokers => Some(Finding::Brokers(self.do_brokers_answer())),
            Slow::Allowed(partition, next) => {
                Some(match may_read(&self.config, &partition, next) {
                    Ok(()) => Finding::Allowed(partition),
                    Err(error) => Finding::StillForbidden(partition, error.to_string()),
                })
            }
        };
        self.tell(found);
    }

    /// A new client would wait for a leader all of its time, so it is made only where there is one
    /// that answers.
    fn find_readable(&mut self, at: TopicPartition, from: i64) -> Finding {
        let found = self.watermarks(&at).and_then(|watermarks| {
            first_readable(&self.config, &at, from, watermarks.high)
                .map_err(|error| error.to_string())
        });
        match found {
            Ok(offset) => Finding::Readable { at, from, offset },
            Err(why) => Finding::NotFound(at, why),
        }
    }

    fn tell(&self, finding: Option<Finding>) {
        if let Some(finding) = finding {
            // Where nobody listens any more, the next look at the questions ends the thread.
            let _ = self.found.send(finding);
        }
    }

    fn look_at_all(&mut self) {
        self.waiting.topics = self.topics.keys().cloned().collect();
        self.look_at_asked();
    }

    fn look_at_asked(&mut self) {
        for topic in std::mem::take(&mut self.waiting.topics) {
            let found = self.look_at(&topic);
            self.tell(found);
        }
    }

    fn do_brokers_answer(&mut self) -> bool {
        let is_answer =
            self.client.fetch_metadata(Some(self.config.any_topic()), BROKER_TIMEOUT).is_ok();
        self.note_answer(is_answer);
        is_answer
    }

    fn note_answer(&mut self, is_answer: bool) {
        if is_answer {
            self.answered = Instant::now();
        }
    }

    fn look_at_members(&mut self) {
        let found =
            members(&self.client, &self.config.group_id, self.config.any_topic(), BROKER_TIMEOUT);
        self.note_answer(!matches!(found, Err(MembersError::Unanswered(_))));
        match found {
            Ok(members) => {
                tracing::debug!("Kafka names {} members of the group", members.len());
                self.tell(Some(Finding::Members(members)));
            }
            Err(MembersError::Refused(why)) => self.tell(Some(Finding::MembersRefused(why))),
            Err(MembersError::Unanswered(why)) => {
                tracing::debug!("Kafka names 0 members of the group: {why}");
            }
        }
    }

    /// `None` where nothing is new, or nobody answers.
    fn look_at(&mut self, topic: &str) -> Option<Finding> {
        let described = topic_id::describe(&self.client, topic, BROKER_TIMEOUT);
        self.note_answer(!matches!(described, Err(NoDescription::Unknown(_))));
        let identity = match described {
            Ok(Description { topic_id, partitions }) => TopicIdentity {
                topic: topic.to_owned(),
                cluster_id: self
                    .client
                    .client()
                    .fetch_cluster_id(BROKER_TIMEOUT)
                    .unwrap_or_default(),
                topic_id,
                partitions,
                was_missing: self.topics.get(topic)?.missing > 1,
            },
            Err(NoDescription::Missing) => {
                // When it is there again, that is news.
                let asked = self.topics.get_mut(topic)?;
                asked.last_answer = None;
                asked.missing = asked.missing.saturating_add(1);
                return Some(Finding::Missing(topic.to_owned()));
            }
            Err(NoDescription::Forbidden(why)) => {
                self.topics.get_mut(topic)?.last_answer = None;
                return Some(Finding::Forbidden(topic.to_owned(), why));
            }
            Err(NoDescription::Unknown(why)) => {
                tracing::debug!("asking Kafka about topic {topic}: {why}");
                // The question goes to one broker, which may be away: any other one says to which
                // it may go next.
                if let Err(error) = self.client.fetch_metadata(Some(topic), BROKER_TIMEOUT) {
                    tracing::debug!("asking Kafka for its brokers: {error}");
                }
                return None;
            }
        };
        let asked = self.topics.get_mut(topic)?;
        if asked.waits_for_cluster(&identity, Instant::now())
            || asked.last_answer.as_ref() == Some(&identity)
        {
            return None;
        }
        asked.last_answer = Some(identity.clone());
        Some(Finding::Topic(identity, asked.number))
    }

    /// A client that has known the leaders before takes those of a broker that was restored for old
    /// news; a new one does not. Who has none is not asked.
    fn measure_by_a_new_client(&mut self, mut partitions: Vec<TopicPartition>) {
        let Ok(client) = create_client(&self.config) else { return };
        // If there are more than are asked about at once, each has its turn.
        let count = partitions.len().max(1);
        partitions.rotate_left(self.measured % count);
        self.measured = (self.measured % count).saturating_add(MEASURED_PER_TURN);
        let mut leaders = Leaders::default();
        for at in partitions.into_iter().take(MEASURED_PER_TURN) {
            let Ok(leader) = leaders.of(&client, &at, BROKER_TIMEOUT) else { continue };
            let asked = Instant::now();
            match client.fetch_watermarks(&at.topic, at.partition, BROKER_TIMEOUT) {
                Ok((low, high)) => {
                    tracing::debug!("{at} has the offsets {low}..{high}, by a new client");
                    self.tell(Some(Finding::Partition(at, Watermarks { low, high }, asked)));
                }
                Err(error) => {
                    tracing::debug!("asking a new client for the end of {at}: {error}");
                    if asked.elapsed() >= BROKER_TIMEOUT / 2 {
                        leaders.is_silent(leader);
                    }
                }
            }
        }
        drop_with_timeout(move || drop(client));
    }

    fn is_led(&self, at: &TopicPartition) -> bool {
        leaders::ask(&self.client, &at.topic, BROKER_TIMEOUT)
            .is_ok_and(|leaders| leaders.contains_key(&at.partition))
    }

    fn measure(&mut self, partition: TopicPartition) -> Finding {
        let asked = Instant::now();
        match self.watermarks(&partition) {
            Ok(watermarks) => Finding::Partition(partition, watermarks, asked),
            Err(why) => Finding::NotFound(partition, why),
        }
    }

    /// Asked is the partition's leader. Where there is none, or one that does not answer, nobody
    /// waits for it but its own partitions.
    fn watermarks(&mut self, at: &TopicPartition) -> Result<Watermarks, String> {
        let leader = self.leaders.of(&self.client, at, BROKER_TIMEOUT)?;
        let begun = Instant::now();
        let watermarks = self.client.fetch_watermarks(&at.topic, at.partition, BROKER_TIMEOUT);
        self.note_answer(watermarks.is_ok());
        // A refusal comes quickly, as while another is elected.
        if watermarks.is_err() && begun.elapsed() >= BROKER_TIMEOUT / 2 {
            self.leaders.is_silent(leader);
        }
        let (low, high) = watermarks.map_err(|error| error.to_string())?;
        Ok(Watermarks { low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use rdkafka::mocking::MockCluster;

    const WITHIN: Duration = Duration::from_secs(60);

    fn inquiry(cluster: &MockCluster<'_, impl rdkafka::ClientContext>) -> Inquiry {
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let brokers = cluster.bootstrap_servers();
        Inquiry::start(
            &Config::try_parse_from(flags.into_iter().chain([brokers.as_str()])).unwrap(),
        )
        .unwrap()
    }

    /// The first finding that is looked for, and how long that took.
    fn find<T>(inquiry: &Inquiry, look: impl Fn(Finding) -> Option<T>) -> (T, Duration) {
        let begun = Instant::now();
        while begun.elapsed() < WITHIN {
            if let Some(found) = inquiry.findings().find_map(&look) {
                return (found, begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing was found");
    }

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "ticks".into(), partition }
    }

    /// The partition that was measured.
    fn measured(finding: Finding) -> Option<TopicPartition> {
        match finding {
            Finding::Partition(found, ..) => Some(found),
            _ => None,
        }
    }

    #[test]
    fn partitions_without_a_leader_hold_up_no_other() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 41, 1).unwrap();
        (0..40).for_each(|partition| cluster.partition_leader("ticks", partition, None).unwrap());
        let inquiry = inquiry(&cluster);
        (0..=40).for_each(|partition| inquiry.about_partition(at(partition)));
        let (found, took) = find(&inquiry, measured);
        assert_eq!(found, at(40));
        // One after the other they would take two minutes.
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn a_leader_that_does_not_answer_holds_up_the_partitions_of_others_once() {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("ticks", 21, 1).unwrap();
        (0..20)
            .for_each(|partition| cluster.partition_leader("ticks", partition, Some(2)).unwrap());
        cluster.partition_leader("ticks", 20, Some(1)).unwrap();
        cluster.broker_down(2).unwrap();
        let inquiry = inquiry(&cluster);
        (0..=20).for_each(|partition| inquiry.about_partition(at(partition)));
        let (found, took) = find(&inquiry, measured);
        assert_eq!(found, at(20));
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn damage_where_nobody_leads_holds_up_no_other_partition() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 12, 1).unwrap();
        (0..4).for_each(|partition| cluster.partition_leader("ticks", partition, None).unwrap());
        let inquiry = inquiry(&cluster);
        // As they ask each ten seconds, whether there was an answer or not.
        for _ in 0..5 {
            (0..4).for_each(|partition| inquiry.about_readable(at(partition), 0));
        }
        inquiry.about_partition(at(11));
        let (found, took) = find(&inquiry, measured);
        assert_eq!(found, at(11));
        // With five seconds for each of them they would take more than a minute.
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn one_question_of_each_kind_and_partition_waits() {
        let mut waiting = Waiting::default();
        for next in 0..100 {
            waiting.ask(Slow::Readable(at(0), next));
            waiting.ask(Slow::Readable(at(1), next));
            waiting.ask(Slow::Leader(at(2)));
            waiting.ask(Slow::Ends(vec![at(2), at(3)]));
            waiting.ask(Slow::Allowed(at(0), next));
            waiting.ask(Slow::Brokers);
            waiting.measure(at(0));
        }
        // Partitions of which one is asked about come and go.
        waiting.ask(Slow::Leader(at(3)));
        waiting.ask(Slow::Ends(vec![at(3)]));
        let newest = [
            Slow::Readable(at(0), 99),
            Slow::Readable(at(1), 99),
            Slow::Leader(at(3)),
            Slow::Ends(vec![at(3)]),
            Slow::Allowed(at(0), 99),
            Slow::Brokers,
        ];
        assert_eq!(waiting.slow, newest);
        assert_eq!(waiting.partitions, [at(0)]);
    }

    #[test]
    fn brokers_that_do_not_tell_their_cluster_are_asked_again_for_a_while() {
        let told = |cluster_id: &str| TopicIdentity {
            cluster_id: cluster_id.into(),
            ..TopicIdentity::default()
        };
        let (mut asked, begun) = (TopicInquiry::default(), Instant::now());
        assert!(asked.waits_for_cluster(&told(""), begun));
        assert!(!asked.waits_for_cluster(&told("c"), begun + NAMED_WITHIN));
        // The wait begins again, as after another broker was found.
        let later = begun + 2 * NAMED_WITHIN;
        assert!(asked.waits_for_cluster(&told(""), later));
        assert!(!asked.is_nameless_logged);
        assert!(!asked.waits_for_cluster(&told(""), later + NAMED_WITHIN));
        assert!(asked.is_nameless_logged);
    }
}
