//! [`Assignment`]: the partitions that the group gave to this instance, topic by topic.

use crate::batch::Gap;
use crate::handover::{HeldBackPartition, Position, SeenEnd, StartAnswer, StartQuery};
use crate::kafka::End;
use crate::partition::{Accepted, Action, Event, HeldBackReason, Partition, Stall, State};
use crate::source::{Source, SourcePartition, TopicIdentity, TopicPartition};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How long the group is left without an answer because it is not known yet where to begin with
/// some partitions. Partitions whose start is known then are assigned to the client; the others
/// follow.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a partition may have messages of which none comes, before it is called silent.
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// The statistics come once a second. After such a pause this process, or its machine, has slept.
const SLEPT: Duration = Duration::from_secs(5);
/// How long a transaction may hold up its partition before that is logged.
const HELD_UP_AFTER: Duration = Duration::from_secs(60);
/// Stalled partitions whose names are shown, in addition to the first one.
const NAMED: usize = 8;

/// Where Kafka's logs ended when that was last asked.
pub type SeenEnds = BTreeMap<TopicPartition, SeenEnd>;

/// All partitions that this instance has.
#[derive(Debug)]
pub struct Assignment {
    topics: Vec<Topic>,
    /// The index of the last message's topic: neighbours mostly share it.
    last: usize,
    /// How many assignments there have been.
    count: u64,
    skips: bool,
    /// When the group asked; `None` once answered.
    unanswered: Option<Instant>,
    /// Something is to be done about a partition.
    has_pending: bool,
    /// When the statistics were last looked at.
    statistics_at: Option<Instant>,
    /// Where the logs of partitions ended that were taken back before the store has said where to
    /// begin: the group may give them again.
    ends: SeenEnds,
}

#[derive(Debug)]
struct Topic {
    name: String,
    identity: Option<TopicIdentity>,
    source: Option<Source>,
    /// The question to Kafka, which topic it is, that must be answered before anything of it is
    /// begun.
    question: u64,
    /// That question was answered.
    is_confirmed: bool,
    partitions: BTreeMap<i32, Partition>,
    monitors: HashMap<i32, StallMonitor>,
}

/// Watches the statistics of a partition for silence, and for open transactions.
#[derive(Debug)]
struct StallMonitor {
    next: i64,
    last_advance: Instant,
    /// Held up by an open transaction: since when, and from which offset on.
    held_up: Option<(Instant, i64)>,
    logged: bool,
}

/// A log line about an open transaction.
#[derive(Debug, PartialEq, Eq)]
enum Transaction {
    HoldsUp,
    /// The transaction has ended, after it held up its partition for so long.
    Ended(Duration),
}

/// A message or end that is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Advance {
    pub at: SourcePartition,
    pub expected: i64,
    /// Why the offsets between the expected one and this could not be read.
    pub lost: Option<String>,
    /// The message was read before the store held it back.
    pub was_read_before: bool,
}

impl Advance {
    /// The offsets that were lost before `offset`, if any were.
    pub fn gap(&self, offset: i64) -> Option<Gap> {
        self.lost.as_deref().map(|why| Gap::damaged(self.at, self.expected, offset, why))
    }
}

impl Assignment {
    /// `skips`: `--on-gap skip`. `ends`: what the session before knew.
    pub fn new(skips: bool, ends: SeenEnds) -> Self {
        Self {
            topics: Vec::new(),
            last: 0,
            count: 0,
            skips,
            unanswered: None,
            has_pending: false,
            statistics_at: None,
            ends,
        }
    }

    /// The group gives partitions. They are answered for by [`Assignment::ready`].
    pub fn assign(&mut self, partitions: &TopicPartitionList, now: Instant) {
        self.count += 1;
        let (count, skips) = (self.count, self.skips);
        for element in partitions.elements() {
            let (name, id) = (element.topic().to_owned(), element.partition());
            let mut partition = Partition::new(count, skips, now);
            let at = TopicPartition { topic: name, partition: id };
            partition.log_end.earliest_end = self.ends.remove(&at);
            let topic = self.topic_mut(element.topic());
            topic.partitions.insert(element.partition(), partition);
            topic.monitors.remove(&element.partition());
        }
        self.unanswered.get_or_insert(now);
        self.has_pending = true;
    }

    fn topic_mut(&mut self, name: &str) -> &mut Topic {
        let index = self.topics.iter().position(|topic| topic.name == name).unwrap_or_else(|| {
            self.topics.push(Topic {
                name: name.to_owned(),
                identity: None,
                source: None,
                question: 0,
                is_confirmed: false,
                partitions: BTreeMap::new(),
                monitors: HashMap::new(),
            });
            self.topics.len() - 1
        });
        &mut self.topics[index]
    }

    /// The group takes partitions back; gives those that Kafka's client has to give up.
    pub fn revoke(&mut self, partitions: &TopicPartitionList) -> TopicPartitionList {
        let mut in_client = TopicPartitionList::new();
        for element in partitions.elements() {
            let topic = self.topics.iter_mut().find(|topic| topic.name == element.topic());
            let partition = topic.and_then(|topic| topic.partitions.remove(&element.partition()));
            let end = partition.as_ref().and_then(|partition| partition.log_end.earliest_end);
            if let Some(end) = end {
                let (topic, partition) = (element.topic().to_owned(), element.partition());
                self.ends.insert(TopicPartition { topic, partition }, end);
            }
            if partition.is_some_and(|partition| partition.is_in_client()) {
                in_client.add_partition(element.topic(), element.partition());
            }
        }
        // A revocation ends whatever assignment it was that waited.
        self.unanswered = None;
        in_client
    }

    /// The given partitions that are ours, by their ids in the database, if it knows them.
    pub fn known(&self, partitions: &TopicPartitionList) -> Vec<SourcePartition> {
        let known = |name: &str, partition| {
            let topic = self.topics.iter().find(|topic| topic.name == name)?;
            let source = topic.source.as_ref()?.id;
            let is_ours = topic.partitions.contains_key(&partition);
            is_ours.then_some(SourcePartition { source, partition })
        };
        let elements = partitions.elements();
        elements.iter().filter_map(|element| known(element.topic(), element.partition())).collect()
    }

    /// How many partitions Kafka's client reads.
    pub fn count_in_client(&self) -> usize {
        self.each().filter(|(_, partition)| partition.is_in_client()).count()
    }

    /// Whether anything of the topic is ours, or was.
    pub fn has_topic(&self, name: &str) -> bool {
        self.topics.iter().any(|topic| topic.name == name)
    }

    /// Whether the database knows the topic.
    pub fn is_read(&self, name: &str) -> bool {
        self.topics.iter().any(|topic| topic.name == name && topic.source.is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.topics.iter().all(|topic| topic.partitions.is_empty())
    }

    pub fn contains(&self, at: &TopicPartition) -> bool {
        self.partition(at).is_some()
    }

    fn partition(&self, at: &TopicPartition) -> Option<&Partition> {
        self.topics.iter().find(|topic| topic.name == at.topic)?.partitions.get(&at.partition)
    }

    fn partition_mut(&mut self, at: &TopicPartition) -> Option<&mut Partition> {
        self.topics
            .iter_mut()
            .find(|topic| topic.name == at.topic)?
            .partitions
            .get_mut(&at.partition)
    }

    /// The partition by the name that the store has for it.
    fn stored_mut(&mut self, at: SourcePartition) -> Option<&mut Partition> {
        let topic = self.topics.iter_mut().find(|topic| topic.is(at))?;
        topic.partitions.get_mut(&at.partition)
    }

    /// No partition of a topic is begun until an answer to this question, or to a later one, says
    /// which topic it is.
    pub fn confirm(&mut self, topic: &str, question: u64) {
        let topic = self.topic_mut(topic);
        (topic.question, topic.is_confirmed) = (question, false);
    }

    /// Kafka knows no such topic: what there is under its name later may be another one.
    pub fn is_missing(&mut self, topic: &str, now: Instant) {
        self.has_pending = true;
        if let Some(topic) = self.topics.iter_mut().find(|known| known.name == topic) {
            topic.is_confirmed = false;
            topic
                .partitions
                .values_mut()
                .for_each(|partition| partition.handle(Event::Unknown, now));
        }
    }

    /// Kafka lets this user read the topic.
    pub fn is_allowed(&mut self, topic: &str, now: Instant) {
        self.has_pending = true;
        if let Some(topic) = self.topics.iter_mut().find(|known| known.name == topic) {
            topic
                .partitions
                .values_mut()
                .for_each(|partition| partition.handle(Event::Allowed, now));
        }
    }

    /// Takes the identity of a topic that Kafka has described in answer to a question. `Err` has
    /// the id that it had before: it is another one now.
    ///
    /// # Errors
    /// If it is another topic than before; with the identity that it had.
    pub fn describe(&mut self, found: TopicIdentity, question: u64) -> Result<(), TopicIdentity> {
        let topic = self.topic_mut(&found.topic);
        match &topic.identity {
            Some(known) if !known.may_be(&found) => Err(known.clone()),
            known => {
                topic.identity = Some(match known {
                    Some(known) => found.filled_from(known),
                    None => found,
                });
                topic.is_confirmed = question >= topic.question;
                Ok(())
            }
        }
    }

    pub fn identified(&mut self, source: Source) {
        self.has_pending = true;
        let topic = self.topic_mut(&source.topic);
        topic.source = Some(source);
    }

    /// More schemas are known: partitions that were stalled for one of them go on.
    pub fn schemas_are_known(&mut self, is_known: impl Fn(u32) -> bool, now: Instant) {
        for partition in self.topics.iter_mut().flat_map(|topic| topic.partitions.values_mut()) {
            if let State::Stalled(Stall::Schema(id)) = partition.state
                && is_known(id)
            {
                self.has_pending = true;
                partition.handle(Event::SchemaKnown, now);
            }
        }
    }

    /// Something happened to a partition, if it is still ours.
    pub fn event(&mut self, at: &TopicPartition, event: Event, now: Instant) {
        self.has_pending = true;
        if let Some(partition) = self.partition_mut(at) {
            partition.handle(event, now);
        }
    }

    /// The store's answer, if it is about the present assignment.
    pub fn answered(&mut self, answer: StartAnswer, now: Instant) {
        self.has_pending = true;
        let stored = self.stored_mut(answer.at);
        if let Some(partition) = stored.filter(|stored| stored.assignment == answer.assignment) {
            partition.handle(Event::Answered(answer.resolution), now);
        }
    }

    /// The store has left out what comes next of a partition.
    pub fn held_back(
        &mut self,
        HeldBackPartition { at, next, why, retry_after }: HeldBackPartition,
        now: Instant,
    ) {
        self.has_pending = true;
        if let Some(partition) = self.stored_mut(at) {
            partition.note_held_back_at(next);
            partition.handle(Event::HeldBack(HeldBackReason { why, retry_after }), now);
        }
    }

    /// A partition's messages were dropped: its start is resolved again.
    pub fn batch_dropped(&mut self, at: SourcePartition, now: Instant) {
        self.has_pending = true;
        if let Some(partition) = self.stored_mut(at) {
            partition.handle(Event::BatchDropped, now);
        }
    }

    /// The actions that are due for partitions. A question to the store waits until the source is
    /// known.
    pub fn due_actions(&mut self, now: Instant) -> Vec<(TopicPartition, Action)> {
        if !self.has_pending {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.has_pending = self.unanswered.is_some();
        for topic in &mut self.topics {
            for (id, partition) in &mut topic.partitions {
                let at = || TopicPartition { topic: topic.name.clone(), partition: *id };
                if partition.is_due(now) {
                    partition.handle(Event::Waited, now);
                }
                match partition.take_due_action(now) {
                    Some(Action::AskStore) if topic.source.is_none() || !topic.is_confirmed => {
                        partition.postpone(Action::AskStore, now)
                    }
                    Some(action) => due.push((at(), action)),
                    None => {}
                }
                self.has_pending |= !partition.has_nothing_pending();
            }
        }
        due
    }

    /// The partition by its id in the database; `None` before its topic is known there.
    pub fn stored(&self, at: &TopicPartition) -> Option<SourcePartition> {
        let topic = self.topics.iter().find(|topic| topic.name == at.topic)?;
        Some(SourcePartition { source: topic.source.as_ref()?.id, partition: at.partition })
    }

    /// The question to the store about a partition.
    pub fn question(&self, at: &TopicPartition) -> Option<StartQuery> {
        let topic = self.topics.iter().find(|topic| topic.name == at.topic)?;
        let (source, partition) = (topic.source.as_ref()?, topic.partitions.get(&at.partition)?);
        Some(StartQuery {
            at: self.stored(at)?,
            assignment: partition.assignment,
            is_first: at.partition < source.first_partitions,
            watermarks: partition.watermarks,
            refused: partition.refused,
            truncated_end: partition.log_end.truncated_end,
            earliest_end: partition.log_end.earliest_end,
        })
    }

    /// Partitions whose start offset has not been known for a while.
    pub fn starts_long_unknown(&self, now: Instant) -> Vec<TopicPartition> {
        let unknown = self.each().filter(|(_, partition)| partition.is_start_long_unknown(now));
        unknown.map(|(at, _)| at).collect()
    }

    /// The known ends of logs, for the session that follows.
    pub fn into_ends(mut self) -> SeenEnds {
        let ends = std::mem::take(&mut self.ends);
        let seen =
            self.each().filter_map(|(at, partition)| Some((at, partition.log_end.earliest_end?)));
        ends.into_iter().chain(seen).collect()
    }

    /// The offset to read next.
    pub fn next(&self, at: &TopicPartition) -> Option<i64> {
        self.partition(at).map(|partition| partition.next)
    }

    /// Where Kafka's client is to read on.
    pub fn resume_at(&self, at: &TopicPartition) -> Option<i64> {
        self.partition(at).map(Partition::resume_at)
    }

    /// Partitions at whose next offset there may be no message: Kafka has more, and none of it has
    /// come.
    pub fn waiting(&self, ends: &HashMap<TopicPartition, End>) -> Vec<TopicPartition> {
        let waits = |at: &TopicPartition, partition: &Partition| {
            let has_more = ends.get(at).is_some_and(|end| end.stable > partition.next);
            partition.state == State::Reading && !partition.is_displaced && has_more
        };
        self.each().filter(|(at, partition)| waits(at, partition)).map(|(at, _)| at).collect()
    }

    /// Partitions that end with what cannot be read and is to be passed over: the client has been
    /// through it for a while, up to the offset given.
    pub fn damaged_ends(
        &self,
        ends: &HashMap<TopicPartition, End>,
        now: Instant,
    ) -> Vec<(TopicPartition, i64)> {
        let of = |(at, partition): (TopicPartition, &Partition)| {
            let end = ends.get(&at)?;
            let is_through =
                partition.is_damaged() && end.fetched >= end.stable && end.stable > partition.next;
            let lasts = now.saturating_duration_since(partition.changed_at) >= SILENT_AFTER;
            (is_through && lasts).then_some((at, end.stable))
        };
        self.each().filter_map(of).collect()
    }

    /// Kafka's client was told where to read.
    pub fn note_seek(&mut self, at: &TopicPartition) {
        if let Some(partition) = self.partition_mut(at) {
            partition.is_displaced = false;
        }
    }

    /// Partitions that are to be assigned to Kafka's client, with their next offsets; `None` where
    /// there is nothing to tell it. The flag: this answers the group.
    pub fn ready(&mut self, now: Instant) -> Option<(Vec<(TopicPartition, i64)>, bool)> {
        let is_answer = self.unanswered.is_some();
        if let Some(since) = self.unanswered {
            let all_known = self.each().all(|(_, partition)| partition.state != State::Assigned);
            if !all_known && now.saturating_duration_since(since) < ANSWER_WITHIN {
                return None;
            }
        } else if !self.has_pending {
            return None;
        }
        let startable = self.each().filter(|(_, partition)| partition.is_ready(now));
        let startable: Vec<_> = startable.map(|(at, partition)| (at, partition.next)).collect();
        if startable.is_empty() && !is_answer {
            return None;
        }
        for (at, _) in &startable {
            self.event(at, Event::ClientAssigned, now);
        }
        self.unanswered = None;
        Some((startable, is_answer))
    }

    fn each(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.topics.iter().flat_map(|topic| {
            let at = |partition| TopicPartition { topic: topic.name.clone(), partition };
            topic.partitions.iter().map(move |(id, partition)| (at(*id), partition))
        })
    }

    /// Moves a partition past `offset`, up to `next`. `None` for a message that is not to be taken:
    /// the partition is not ours or is stalled, or it was taken before.
    #[inline]
    pub fn advance(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        next: i64,
    ) -> Option<Advance> {
        if self.topics.get(self.last).is_none_or(|last| last.name != topic) {
            self.last = self.topics.iter().position(|known| known.name == topic)?;
        }
        let topic = self.topics.get_mut(self.last)?;
        let source = topic.source.as_ref()?.id;
        let known = topic.partitions.get_mut(&partition)?;
        match known.advance(offset, next) {
            Accepted::No => None,
            Accepted::Yes { expected, has_loss_before, was_read_before } => {
                let lost = if has_loss_before { known.take_damage() } else { None };
                let at = SourcePartition { source, partition };
                Some(Advance { at, expected, lost, was_read_before })
            }
        }
    }

    /// A partition is committed up to `next`.
    pub fn written(&mut self, at: SourcePartition, next: i64) {
        if let Some(partition) = self.stored_mut(at) {
            partition.note_written(next);
        }
    }

    /// The stored offset of each partition.
    pub fn positions(&self) -> Vec<Position> {
        let of = |topic: &Topic| {
            let source = topic.source.as_ref().map(|source| source.id);
            let written = topic.partitions.iter().filter(|(_, partition)| partition.is_written());
            let all = written.filter_map(move |(id, partition)| {
                Some(Position {
                    at: SourcePartition { source: source?, partition: *id },
                    next: partition.written,
                })
            });
            all.collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(of).collect()
    }

    /// Messages between what is written and the end, by partition.
    pub fn lag(&self, ends: &HashMap<TopicPartition, End>) -> Vec<(TopicPartition, i64)> {
        let of = |(at, partition): (TopicPartition, &Partition)| {
            let end = ends.get(&at).filter(|_| partition.written >= 0)?;
            Some((at, (end.high - partition.written).max(0)))
        };
        self.each().filter_map(of).collect()
    }

    /// Looks for partitions that have messages of which none comes. `is_asked_for`: this instance
    /// asks for a partition's messages, so that it is not its own doing.
    pub fn watch(
        &mut self,
        ends: &HashMap<TopicPartition, End>,
        leaderless: &[TopicPartition],
        is_asked_for: impl Fn(SourcePartition) -> bool,
        now: Instant,
    ) {
        let mut silent = Vec::new();
        // Messages that did not come while this process slept are no silence of Kafka's.
        let before = self.statistics_at.replace(now);
        let has_slept = before.is_some_and(|last| now.saturating_duration_since(last) >= SLEPT);
        for topic in &mut self.topics {
            let source = topic.source.as_ref().map(|source| source.id);
            for (id, partition) in &topic.partitions {
                let at = TopicPartition { topic: topic.name.clone(), partition: *id };
                let Some(end) = ends.get(&at) else { continue };
                let monitor = topic
                    .monitors
                    .entry(*id)
                    .or_insert_with(|| StallMonitor::new(partition.next, now));
                let stored = source.map(|source| SourcePartition { source, partition: *id });
                let could_come =
                    !has_slept && !leaderless.contains(&at) && stored.is_some_and(&is_asked_for);
                if monitor.is_silent(partition, *end, could_come, now) {
                    silent.push(at.clone());
                }
                if let Some(transaction) = monitor.note_transaction(partition.next, *end, now) {
                    transaction.log(&at, *end);
                }
            }
        }
        for at in silent {
            self.event(&at, Event::NothingComes, now);
        }
    }

    /// The time so far during which starts were unknown counts as no partition's own trouble.
    pub fn restart_wait(&mut self, now: Instant) {
        let partitions = self.topics.iter_mut().flat_map(|topic| topic.partitions.values_mut());
        partitions.for_each(|partition| partition.restart_wait(now));
    }

    /// Logs each stall and each recovery once. Returns the trouble of the first stalled partition,
    /// and the names of the others, for people. `None`: none is stalled.
    pub fn log_troubles(&mut self, now: Instant) -> Option<String> {
        let (mut first, mut others) = (None, Vec::new());
        for topic in &mut self.topics {
            for (id, partition) in &mut topic.partitions {
                let Some(trouble) = partition.trouble(now) else {
                    if let Some(stalled_for) = partition.take_recovery(now) {
                        log_recovery(&topic.name, *id, partition.next, stalled_for);
                    }
                    continue;
                };
                let at = format!("{}/{id}", topic.name);
                let text = format!("{at}: {trouble}");
                if partition.note_trouble(&trouble, now) {
                    tracing::error!(topic = topic.name, partition = id, error = %trouble, "{text}; \
                        it is asked again, and the others go on");
                }
                match first {
                    None => first = Some(text),
                    Some(_) => others.push(at),
                }
            }
        }
        first.map(|first| with_others(first, &others))
    }

    /// How many partitions are stalled.
    pub fn stalled(&self, now: Instant) -> usize {
        self.each().filter(|(_, partition)| partition.trouble(now).is_some()).count()
    }

    /// Kafka has taken this offset.
    pub fn acknowledged(&mut self, at: &TopicPartition, offset: i64) {
        if let Some(partition) = self.partition_mut(at) {
            partition.acknowledged = offset;
        }
    }

    /// The offsets that Kafka has not taken yet.
    ///
    /// # Errors
    /// If librdkafka does not take an offset.
    pub fn unacknowledged(&self) -> rdkafka::error::KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (at, partition) in
            self.each().filter(|(_, partition)| partition.acknowledged < partition.written)
        {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(partition.written))?;
        }
        Ok(list)
    }
}

fn log_recovery(topic: &str, partition: i32, offset: i64, stalled_for: Duration) {
    let seconds = stalled_for.as_secs_f64();
    tracing::info!(
        topic,
        partition,
        offset,
        seconds,
        "{topic}/{partition}: goes on after {seconds:.1} s, and has come to offset {offset}"
    );
}

/// The trouble of one partition, and the names of others that are stalled.
fn with_others(first: String, others: &[String]) -> String {
    let named = others.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match others.len().saturating_sub(NAMED) {
        _ if others.is_empty() => first,
        0 => format!("{first}; these are stalled as well, as the log says: {named}"),
        more => {
            format!("{first}; these are stalled as well, as the log says: {named} and {more} more")
        }
    }
}

impl Topic {
    fn is(&self, at: SourcePartition) -> bool {
        self.source.as_ref().is_some_and(|source| source.id == at.source)
    }
}

impl StallMonitor {
    fn new(next: i64, now: Instant) -> Self {
        Self { next, last_advance: now, held_up: None, logged: false }
    }

    fn is_silent(
        &mut self,
        partition: &Partition,
        end: End,
        could_come: bool,
        now: Instant,
    ) -> bool {
        let has_news = end.stable > partition.next
            && partition.state == State::Reading
            && !partition.is_damaged();
        if self.next != partition.next || !has_news || !could_come {
            (self.next, self.last_advance) = (partition.next, now);
            return false;
        }
        now.saturating_duration_since(self.last_advance) >= SILENT_AFTER
    }

    /// An open transaction holds up everything after the stable end.
    fn note_transaction(&mut self, next: i64, end: End, now: Instant) -> Option<Transaction> {
        let has_ended = |(_, at): &mut (Instant, i64)| *at != end.stable || end.high <= end.stable;
        if let Some((since, _)) = self.held_up.take_if(has_ended)
            && std::mem::take(&mut self.logged)
        {
            return Some(Transaction::Ended(now.saturating_duration_since(since)));
        }
        if end.high <= end.stable || next < end.stable {
            return None;
        }
        let (since, _) = *self.held_up.get_or_insert((now, end.stable));
        let is_long = now.saturating_duration_since(since) >= HELD_UP_AFTER;
        (is_long && !std::mem::replace(&mut self.logged, true)).then_some(Transaction::HoldsUp)
    }
}

impl Transaction {
    fn log(&self, at: &TopicPartition, end: End) {
        let (topic, partition, offset) = (&at.topic, at.partition, end.stable);
        let messages = end.high - offset;
        match self {
            Self::HoldsUp => tracing::warn!(
                topic,
                partition,
                offset,
                messages,
                "{topic}/{partition}: an open transaction holds up the messages from offset \
                 {offset} on, {messages} so far; they come when its producer ends it, or Kafka \
                 does (transaction.timeout.ms)"
            ),
            Self::Ended(held_up) => {
                let seconds = held_up.as_secs_f64();
                tracing::info!(
                    topic,
                    partition,
                    offset,
                    seconds,
                    "{topic}/{partition}: the open transaction has ended after {seconds:.1} s, and \
                     the messages after it come"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::{StartResolution, Watermarks};

    fn list(partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition("t", *partition);
        }
        list
    }

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn identity(id: &str) -> TopicIdentity {
        TopicIdentity {
            topic: "t".into(),
            cluster_id: "c".into(),
            topic_id: id.into(),
            partitions: 1,
            was_missing: false,
        }
    }

    fn assigned(partitions: &[i32]) -> Assignment {
        let mut assignment = Assignment::new(false, SeenEnds::new());
        assignment.assign(&list(partitions), Instant::now());
        assignment.describe(identity("a"), 0).unwrap();
        assignment.identified(Source { id: 1, topic: "t".into(), first_partitions: 2 });
        assignment
    }

    fn answer(assignment: &Assignment, partition: i32, next: i64) -> StartAnswer {
        assignment.question(&at(partition)).unwrap().answer(StartResolution::At(next))
    }

    fn reading(partitions: &[i32], next: i64) -> Assignment {
        let mut assignment = assigned(partitions);
        for partition in partitions {
            let answer = answer(&assignment, *partition, next);
            assignment.answered(answer, Instant::now());
        }
        assert_eq!(assignment.ready(Instant::now()).unwrap().0.len(), partitions.len());
        assignment
    }

    #[test]
    fn all_that_stand_are_named() {
        let others: Vec<String> = (1..12).map(|number| format!("t/{number}")).collect();
        let named = |count: usize| with_others("t/0: a gap".into(), &others[..count]);
        assert_eq!(named(0), "t/0: a gap");
        assert!(named(2).ends_with("as the log says: t/1, t/2"));
        assert!(named(11).ends_with("t/7, t/8 and 3 more"));
    }

    #[test]
    fn the_group_is_answered_when_all_is_known_or_in_time_with_what_is_known() {
        let mut assignment = assigned(&[0, 1]);
        let first = answer(&assignment, 0, 5);
        assignment.answered(first, Instant::now());
        assert_eq!(assignment.ready(Instant::now()), None);
        let later = Instant::now() + ANSWER_WITHIN;
        assert_eq!(assignment.ready(later), Some((vec![(at(0), 5)], true)));
        // The other follows when it is known.
        let second = answer(&assignment, 1, 7);
        assignment.answered(second, later);
        assert_eq!(assignment.ready(later), Some((vec![(at(1), 7)], false)));
        assert_eq!(assignment.ready(later), None);
    }

    #[test]
    fn an_assignment_of_nothing_is_answered_at_once() {
        let mut assignment = Assignment::new(false, SeenEnds::new());
        assignment.assign(&list(&[]), Instant::now());
        assert_eq!(assignment.ready(Instant::now()), Some((vec![], true)));
    }

    #[test]
    fn an_answer_about_partitions_that_were_lost_is_not_taken_for_one_about_those_assigned_since() {
        let mut assignment = assigned(&[0]);
        let old = answer(&assignment, 0, 5);
        assert_eq!(assignment.revoke(&list(&[0])).count(), 0);
        assignment.assign(&list(&[0]), Instant::now());
        assignment.answered(old, Instant::now());
        assert_eq!(assignment.ready(Instant::now()), None);
        let new = answer(&assignment, 0, 9);
        assignment.answered(new, Instant::now());
        assert_eq!(assignment.ready(Instant::now()).unwrap().0, [(at(0), 9)]);
    }

    #[test]
    fn where_a_log_ended_is_known_when_its_partition_is_given_again_also_in_the_next_session() {
        for is_next in [false, true] {
            let mut assignment = assigned(&[0]);
            let asked = Instant::now();
            let end = Event::Measured(Watermarks { low: 3, high: 9 }, asked);
            assignment.event(&at(0), end, Instant::now());
            let mut assignment = if is_next {
                Assignment::new(false, assignment.into_ends())
            } else {
                assignment.revoke(&list(&[0]));
                assignment
            };
            assignment.assign(&list(&[0]), Instant::now());
            let topic = assignment.topics.iter().find(|topic| topic.name == "t").unwrap();
            let known = Some(SeenEnd { offset: 9, asked });
            assert_eq!(topic.partitions[&0].log_end.earliest_end, known);
        }
    }

    #[test]
    fn only_what_the_client_had_is_taken_from_it() {
        let mut assignment = reading(&[0], 5);
        assignment.assign(&list(&[1]), Instant::now());
        assert_eq!(assignment.revoke(&list(&[0, 1])).elements().len(), 1);
        assert!(assignment.is_empty());
    }

    #[test]
    fn the_store_hears_only_of_partitions_that_are_ours_and_that_it_knows() {
        let mut assignment = reading(&[0, 1], 5);
        let here = |partition| SourcePartition { source: 1, partition };
        assert_eq!(assignment.known(&list(&[1, 2])), [here(1)]);
        assignment.revoke(&list(&[1]));
        assert_eq!(assignment.known(&list(&[0, 1])), [here(0)]);
        let mut unidentified = Assignment::new(false, SeenEnds::new());
        unidentified.assign(&list(&[0]), Instant::now());
        assert_eq!(unidentified.known(&list(&[0])), []);
    }

    #[test]
    fn a_message_is_taken_once_and_only_from_a_partition_that_is_ours() {
        let mut assignment = reading(&[0], 5);
        let here = SourcePartition { source: 1, partition: 0 };
        assert_eq!(assignment.advance("t", 0, 4, 5), None);
        assert_eq!(
            assignment.advance("t", 0, 5, 6),
            Some(Advance { at: here, expected: 5, lost: None, was_read_before: false })
        );
        assert_eq!(assignment.advance("t", 0, 5, 6), None);
        assert_eq!(assignment.advance("t", 1, 0, 1), None);
        assert_eq!(assignment.advance("other", 0, 6, 7), None);
    }

    #[test]
    fn kafka_is_told_what_is_written_until_it_takes_it() {
        let mut assignment = reading(&[0], 5);
        let unacknowledged = |assignment: &Assignment| {
            let list = assignment.unacknowledged().unwrap();
            list.elements()
                .iter()
                .map(|element| element.offset().to_raw().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(unacknowledged(&assignment), [5]);
        assert_eq!(unacknowledged(&assignment), [5]);
        assignment.acknowledged(&at(0), 5);
        assert_eq!(unacknowledged(&assignment), [0_i64; 0]);
        assignment.written(SourcePartition { source: 1, partition: 0 }, 9);
        assert_eq!(unacknowledged(&assignment), [9]);
        // The answer to what it was told before.
        assignment.acknowledged(&at(0), 7);
        assert_eq!(unacknowledged(&assignment), [9]);
    }

    #[test]
    fn kafka_is_told_an_offset_before_the_one_it_knows_where_the_log_was_truncated() {
        let mut assignment = reading(&[0], 5);
        assignment.acknowledged(&at(0), 5);
        let (now, truncated) = (
            Instant::now(),
            StartAnswer { resolution: StartResolution::At(2), ..answer(&assignment, 0, 2) },
        );
        assignment.event(&at(0), Event::OutOfRange, now);
        assert_eq!(assignment.due_actions(now), [(at(0), Action::Unassign)]);
        assignment.event(&at(0), Event::ClientUnassigned, now);
        assignment.answered(truncated, now);
        assert_eq!(assignment.unacknowledged().unwrap().elements()[0].offset(), Offset::Offset(2));
    }

    #[test]
    fn a_partition_that_has_messages_and_gets_none_is_silent_unless_we_do_not_ask() {
        let (mut assignment, start) = (reading(&[0], 5), Instant::now());
        let ends = HashMap::from([(at(0), End { high: 9, stable: 9, fetched: 5 })]);
        let later = start + SILENT_AFTER;
        let watch = |assignment: &mut Assignment, leaderless: &[_], waiting, from: Instant| {
            for second in 0..=SILENT_AFTER.as_secs() {
                let now = from + Duration::from_secs(second);
                assignment.watch(&ends, leaderless, |_| waiting, now);
            }
        };
        for (waiting, leaderless) in [(false, vec![]), (true, vec![at(0)])] {
            watch(&mut assignment, &leaderless, waiting, start);
            assert_eq!(assignment.stalled(later), 0);
        }
        watch(&mut assignment, &[], true, later);
        assert_eq!(assignment.stalled(later), 1);
        assert!(assignment.advance("t", 0, 5, 6).is_some());
        assert_eq!(assignment.stalled(later), 0);
    }

    #[test]
    fn a_silent_partition_is_found_while_another_one_is_not_asked_for() {
        let (mut assignment, start) = (reading(&[0, 1], 5), Instant::now());
        let end = End { high: 9, stable: 9, fetched: 5 };
        let ends = HashMap::from([(at(0), end), (at(1), end)]);
        for second in 0..=SILENT_AFTER.as_secs() {
            let now = start + Duration::from_secs(second);
            assignment.watch(&ends, &[], |at| at.partition == 1, now);
        }
        let is_silent = |id| assignment.partition(&at(id)).unwrap().state != State::Reading;
        assert_eq!((is_silent(0), is_silent(1)), (false, true));
    }

    #[test]
    fn an_open_transaction_is_logged_when_it_lasts_and_when_it_has_ended() {
        let start = Instant::now();
        let mut monitor = StallMonitor::new(5, start);
        let (open, later) = (End { high: 9, stable: 5, fetched: 5 }, start + HELD_UP_AFTER);
        assert_eq!(monitor.note_transaction(5, open, start), None);
        assert_eq!(monitor.note_transaction(5, open, later), Some(Transaction::HoldsUp));
        assert_eq!(monitor.note_transaction(5, open, later), None);
        // A message before it that is read once more does not end it.
        assert_eq!(monitor.note_transaction(3, open, later), None);
        let ended = End { high: 9, stable: 9, fetched: 5 };
        let logged = monitor.note_transaction(5, ended, later);
        assert_eq!(logged, Some(Transaction::Ended(HELD_UP_AFTER)));
        assert_eq!(monitor.note_transaction(9, ended, later), None);
    }

    #[test]
    fn short_transactions_one_behind_the_other_are_none_that_lasts() {
        let start = Instant::now();
        let mut monitor = StallMonitor::new(0, start);
        for second in 0..=2 * HELD_UP_AFTER.as_secs() {
            let stable = second.cast_signed();
            let end = End { high: stable + 1, stable, fetched: stable };
            let now = start + Duration::from_secs(second);
            assert_eq!(monitor.note_transaction(stable, end, now), None);
        }
    }

    #[test]
    fn what_did_not_come_while_this_process_slept_is_no_silence() {
        let (mut assignment, start) = (reading(&[0], 5), Instant::now());
        let ends = HashMap::from([(at(0), End { high: 9, stable: 9, fetched: 5 })]);
        let woken = start + SILENT_AFTER;
        assignment.watch(&ends, &[], |_| true, start);
        assignment.watch(&ends, &[], |_| true, woken);
        assert_eq!(assignment.stalled(woken), 0);
    }

    #[test]
    fn the_store_is_asked_about_a_partition_only_once_kafka_has_said_again_which_topic_it_is_of() {
        let mut assignment = reading(&[0], 5);
        assignment.assign(&list(&[1]), Instant::now());
        assignment.confirm("t", 2);
        // An answer that was on its way is too old.
        assignment.describe(identity("a"), 1).unwrap();
        assert!(assignment.due_actions(Instant::now()).iter().all(|(of, _)| *of != at(1)));
        assignment.describe(identity("a"), 2).unwrap();
        assert!(assignment.due_actions(Instant::now()).contains(&(at(1), Action::AskStore)));
    }

    #[test]
    fn a_topic_that_has_another_id_than_before_is_another_topic() {
        let mut assignment = assigned(&[0]);
        assert!(assignment.describe(identity("a"), 0).is_ok());
        assert!(assignment.describe(identity("a"), 0).is_ok());
        assert_eq!(assignment.describe(identity("b"), 0).unwrap_err().topic_id, "a");
    }

    #[test]
    fn an_id_that_the_brokers_do_not_tell_for_a_while_is_not_forgotten() {
        let mut assignment = assigned(&[0]);
        let nameless = || TopicIdentity { cluster_id: String::new(), ..identity("") };
        for found in [nameless(), identity("a"), nameless()] {
            assert!(assignment.describe(found, 0).is_ok());
        }
        assert_eq!(assignment.describe(identity("b"), 0).unwrap_err().topic_id, "a");
        let elsewhere = TopicIdentity { cluster_id: "d".into(), ..identity("") };
        assert_eq!(assignment.describe(elsewhere, 0).unwrap_err().cluster_id, "c");
    }

    #[test]
    fn a_topic_that_is_gone_is_begun_anew_once_kafka_says_which_it_is() {
        let (mut assignment, now) = (reading(&[0], 5), Instant::now());
        assignment.is_missing("t", now);
        assert_eq!(assignment.due_actions(now), [(at(0), Action::Unassign)]);
        assignment.event(&at(0), Event::ClientUnassigned, now);
        assert_eq!(assignment.due_actions(now), []);
        assignment.describe(identity("a"), 0).unwrap();
        assert_eq!(assignment.due_actions(now), [(at(0), Action::AskStore)]);
    }
}
