//! The intake's reaction to a new assignment, and to partitions that are not read.

use super::failures::LEADERS_LOST;
use super::{Intake, Interrupt, Step, rejoin};
use crate::config::reads_its_own_letters;
use crate::kafka::{self, Rebalance, Reports};
use crate::partition::{Action, Event};
use crate::source::{SourcePartition, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often it is asked what there is of partitions without a leader.
const ENDS_EVERY: Duration = Duration::from_secs(3);
/// How long no partition at all may have a leader before that is named as a trouble.
const ALL_LEADERLESS: Duration = Duration::from_secs(10);
/// How long a revocation may be held up for the last batch to be written.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Kafka's client may take to move to another offset.
const SEEK_TIMEOUT: Duration = Duration::from_secs(1);

impl Intake {
    pub(super) fn take_reports(&mut self) -> Step {
        let mut reports = self.consumer.context().take_reports();
        if let Some(leaderless) = &mut reports.leaderless {
            leaderless.retain(|partition| self.assignment.contains(partition));
        }
        self.watch.note(&reports).map_err(Interrupt::Failed)?;
        self.note_commit_results(&reports);
        for rebalance in std::mem::take(&mut reports.rebalances) {
            match rebalance {
                Rebalance::Assign(partitions) => self.assigned(&partitions)?,
                Rebalance::Revoke(partitions) => self.revoked(&partitions)?,
            }
        }
        if reports.connected.is_some() {
            self.look_at_statistics(&reports)?;
        }
        Ok(())
    }

    fn look_at_statistics(&mut self, reports: &Reports) -> Step {
        if self.shared.client_id() != self.client_id {
            return Err(rejoin(
                "the database is another one than before, and so is this group's member".into(),
            ));
        }
        if self.watch.is_away_for(LEADERS_LOST) && !std::mem::replace(&mut self.brokers_asked, true)
        {
            self.inquiry.about_brokers();
        }
        self.pass_over_markers(reports);
        for (at, messages) in self.assignment.lag(&reports.ends) {
            self.shared.metrics.set_lag(&at, messages);
        }
        let leaderless = reports.leaderless.as_deref().unwrap_or_default();
        let is_asked_for = |at| !self.writers.is_held_up(at);
        self.assignment.watch(&reports.ends, leaderless, is_asked_for, Instant::now());
        self.ask_for_ends(leaderless);
        self.identify_again()?;
        let absent = self.absent.values().next().cloned().or(self.topic_not_taken());
        let elsewhere = self.stranger.clone().or(self.note_leaders(leaderless));
        let (health, now) = (&self.shared.health, Instant::now());
        if !health.database.get() || !health.kafka.get() || absent.is_some() {
            // Nobody can say where to begin; that has its own line.
            self.assignment.restart_wait(now);
        }
        let troubles = [absent, elsewhere, self.assignment.log_troubles(now)];
        let troubles: Vec<String> = troubles.into_iter().flatten().collect();
        self.shared.metrics.set_stalled(self.assignment.stalled(now));
        match troubles.is_empty() {
            true => self.shared.health.partitions.set(true),
            false => self.shared.health.partitions.fails(troubles.join("; ")),
        }
        Ok(())
    }

    /// A broker that comes back with an older disk may hide its leaders from the client until its
    /// logs have grown beyond the next offsets: so their ends are asked for while it is so, and
    /// while it is not known which offsets those are.
    fn ask_for_ends(&mut self, leaderless: &[TopicPartition]) {
        let mut asked = self.assignment.starts_long_unknown(Instant::now());
        asked.retain(|at| !leaderless.contains(at));
        asked.extend_from_slice(leaderless);
        let is_there = self.shared.health.kafka.get() && !asked.is_empty();
        if !is_there || self.ends_asked.elapsed() < ENDS_EVERY {
            return;
        }
        self.ends_asked = Instant::now();
        for at in leaderless {
            self.assignment.event(at, Event::Leaderless, Instant::now());
        }
        self.inquiry.about_ends(asked);
    }

    /// Nothing is read where no partition has a leader: gives that as the trouble, and asks the
    /// brokers about one of them.
    fn note_leaders(&mut self, leaderless: &[TopicPartition]) -> Option<String> {
        if leaderless.is_empty() || leaderless.len() < self.assignment.count_in_client() {
            self.all_leaderless = None;
            return None;
        }
        let since = *self.all_leaderless.get_or_insert_with(Instant::now);
        if since.elapsed() < ALL_LEADERLESS {
            return None;
        }
        if since.elapsed() >= LEADERS_LOST {
            self.inquiry.about_leader(leaderless[0].clone());
        }
        Some(format!("no partition has a reachable leader: {}, ...", leaderless[0]))
    }

    fn assigned(&mut self, partitions: &TopicPartitionList) -> Step {
        let letters = self.shared.config.dead_letter_topic.as_deref();
        if let Some(letters) =
            letters.filter(|name| partitions.elements().iter().any(|of| of.topic() == *name))
        {
            // A pattern has found it.
            return Err(Interrupt::Failed(reads_its_own_letters(letters)));
        }
        self.shared.metrics.rebalanced("assigned");
        self.assignment.assign(partitions, Instant::now());
        // They may be new because the topic is: its offsets must not be taken for the old one's.
        let topics: BTreeSet<String> =
            partitions.elements().iter().map(|element| element.topic().to_owned()).collect();
        topics.iter().for_each(|topic| self.confirm(topic));
        Ok(())
    }

    /// Does what partitions ask for, and assigns those whose start is known to the client.
    pub(super) fn look_after_partitions(&mut self) -> Step {
        let mut questions = Vec::new();
        for (at, action) in self.assignment.due_actions(Instant::now()) {
            match action {
                Action::AskStore => questions.extend(self.assignment.question(&at)),
                Action::AskKafka => self.inquiry.about_partition(at),
                Action::Seek => self.seek(&at),
                Action::FindReadable => {
                    if let Some(next) = self.assignment.next(&at) {
                        self.inquiry.about_readable(at, next);
                    }
                }
                Action::AskAllowed => {
                    // It is the topic's; one question at a time is enough.
                    if let Some(next) = self.assignment.next(&at)
                        && self.rights_asked.insert(at.topic.clone())
                    {
                        self.inquiry.about_right(at, next);
                    }
                }
                Action::AskSchema(id) => self.ask_for_schema(id),
                Action::Pause => self.pause(&at),
                Action::Unassign => self.unassign(&at),
            }
        }
        if !questions.is_empty() {
            // The store must have what was read of them before it gives the stored offset. Batches
            // without them stay: a stalled one is asked about again and again, and what is handed
            // over beyond what a store takes has no limit.
            let asked: BTreeSet<SourcePartition> = questions.iter().map(|one| one.at).collect();
            let holding = self.writers.holding(|at| asked.contains(&at));
            self.hand_over(holding, REVOKE_TIMEOUT)?;
            self.writers.resolve_starts(questions)?;
        }
        match self.assignment.ready(Instant::now()) {
            Some((partitions, is_answer)) => self.assign(&partitions, is_answer),
            None => Ok(()),
        }
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64)], is_answer: bool) -> Step {
        if !is_answer
            && !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
        {
            // Such a client takes all partitions at once or none. The next session knows where all
            // of them begin.
            return Err(rejoin(
                "partitions came late, and the group's protocol takes them up only together".into(),
            ));
        }
        let mut list = TopicPartitionList::new();
        for (at, next) in partitions {
            let writer = self.assignment.stored(at).map_or(0, |at| self.writers.index(at));
            self.messages.forward(writer, &self.consumer, &at.topic, at.partition);
            list.add_partition_offset(&at.topic, at.partition, rdkafka::Offset::Offset(*next))
                .map_err(|error| rejoin(format!("beginning {at} at {next}: {error}")))?;
        }
        let text = partitions
            .iter()
            .map(|(at, next)| format!("{at}@{next}"))
            .collect::<Vec<_>>()
            .join(" ");
        if text.is_empty() {
            // It may have others already.
            tracing::info!(
                partitions = text,
                "assigned partitions (with next offsets): none but those that it has"
            );
        } else {
            tracing::info!(partitions = text, "assigned partitions (with next offsets): {text}");
        }
        kafka::assign(&self.consumer, &list)
            .map_err(|error| rejoin(format!("taking up partitions: {error}")))?;
        // The client goes on pausing one that it had before, and that was stalled then.
        self.consumer
            .resume(&list)
            .map_err(|error| rejoin(format!("reading partitions: {error}")))?;
        self.shared.health.group.set(true);
        Ok(())
    }

    /// Tells Kafka's client to go on somewhere else.
    fn seek(&mut self, at: &TopicPartition) {
        let Some(next) = self.assignment.resume_at(at) else {
            return;
        };
        match self.try_seek(at, next) {
            Ok(()) => self.assignment.note_seek(at),
            Err(why) => {
                tracing::debug!("going on with {at} at {next}: {why}");
                self.assignment.event(at, Event::SeekFailed, Instant::now());
            }
        }
    }

    /// The client stops reading it; the group goes on taking it for ours.
    fn unassign(&mut self, at: &TopicPartition) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&at.topic, at.partition);
        // A client that takes all partitions at once or none keeps it, and the next session begins
        // again.
        if matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            kafka::unassign(&self.consumer, &list);
        }
        self.assignment.event(at, Event::ClientUnassigned, Instant::now());
    }

    /// Offsets that are no messages (a transaction's marker, what was aborted) move the client's
    /// position in turn with the messages. Without looking at it they would count as lag for ever,
    /// and as a gap when retention removes them.
    fn pass_over_markers(&mut self, reports: &Reports) {
        let waiting = self.assignment.waiting(&reports.ends);
        let positions = if waiting.is_empty() { None } else { self.consumer.position().ok() };
        for at in waiting {
            let element =
                positions.as_ref().and_then(|all| all.find_partition(&at.topic, at.partition));
            if let Some(rdkafka::Offset::Offset(next)) = element.map(|element| element.offset()) {
                self.pass(&at, next);
            }
        }
        for (at, end) in self.assignment.damaged_ends(&reports.ends, Instant::now()) {
            // Messages that were fetched may be waiting for the store, and can be read then.
            let stored = self.assignment.stored(&at);
            if stored.is_some_and(|at| !self.writers.is_held_up(at)) {
                self.pass(&at, end);
            }
        }
    }

    fn try_seek(&self, at: &TopicPartition, next: i64) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&at.topic, at.partition, rdkafka::Offset::Offset(next))?;
        self.consumer.resume(&list)?;
        let sought = self.consumer.seek_partitions(list, SEEK_TIMEOUT)?;
        sought.elements().iter().try_for_each(|element| element.error())
    }

    fn pause(&mut self, at: &TopicPartition) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&at.topic, at.partition);
        // Where it fails, the messages come and are not taken.
        if let Err(error) = self.consumer.pause(&list) {
            tracing::debug!("pausing {at}: {error}");
        }
        self.assignment.event(at, Event::Paused, Instant::now());
    }

    /// Writes what was read of the partitions, if the stores are quick about it, and lets them go.
    /// Otherwise the offsets in PostgreSQL decide between this instance and the next. Lost are
    /// always all partitions, and another instance may have them already: then what was read is
    /// dropped.
    fn revoked(&mut self, partitions: &TopicPartitionList) -> Step {
        self.shared.metrics.rebalanced("revoked");
        let are_lost = self.consumer.assignment_lost();
        if are_lost {
            // It may come back, and is then read from the stored offset: what is kept would be
            // written twice.
            self.writers.drop_batches();
            self.dead_letters.iter_mut().for_each(kafka::DeadLetters::forget_undelivered);
        } else {
            self.drain(REVOKE_TIMEOUT)?;
            self.report_offsets();
        }
        let given_up = self.assignment.known(partitions);
        let in_client = self.assignment.revoke(partitions);
        for element in partitions.elements() {
            let at = TopicPartition {
                topic: element.topic().to_owned(),
                partition: element.partition(),
            };
            self.shared.metrics.forget_lag(&at);
        }
        let names = names_of(partitions);
        tracing::info!(partitions = names, "gave up partitions: {names}");
        kafka::unassign(&self.consumer, &in_client);
        self.writers.release(given_up)?;
        if are_lost {
            self.shared.health.group.set(false);
            if !self.assignment.is_empty() {
                return Err(rejoin("a part of the assignment was lost".into()));
            }
        }
        Ok(())
    }
}

fn names_of(partitions: &TopicPartitionList) -> String {
    let name = |topic: &str, partition: i32| format!("{topic}/{partition}");
    let names: Vec<_> = partitions
        .elements()
        .iter()
        .map(|element| name(element.topic(), element.partition()))
        .collect();
    names.join(" ")
}
