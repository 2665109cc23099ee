//! [`Writers`]: the intake's side of the conversation with the stores. Each writer fills a batch
//! while its store writes another; partitions are shared out among them.

use crate::batch::Batch;
use crate::handover::{Position, StartQuery, StoreCommand, StoreReply};
use crate::source::SourcePartition;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Batches that may be on their way to a store at once: one being written, one waiting, so that it
/// never waits for the decoder.
const IN_FLIGHT: usize = 2;
/// How often a store without anything to write looks after the database: a failover to a state that
/// lacks what was written must be found although no message comes, and readiness must be true.
const IDLE_CHECK: Duration = Duration::from_secs(2);
/// If a writer took nothing in within this time, it is no silence of Kafka's that nothing comes of
/// its partitions.
const HELD_UP: Duration = Duration::from_secs(15);

/// The store can go on no more; the session knows why.
#[derive(Debug)]
pub struct StoreEnded;

/// The limits at which a batch is handed over.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub rows: u32,
    pub linger: Duration,
}

/// A reply of a writer's store.
pub type Replied = (usize, StoreReply);

/// Which of `count` writers has the partition.
fn share(at: SourcePartition, count: usize) -> usize {
    usize::try_from(i64::from(at.source) + i64::from(at.partition)).unwrap_or_default() % count
}

/// The writer and batches of one store.
struct Writer {
    commands: UnboundedSender<StoreCommand>,
    batch: Batch,
    spare: Vec<Batch>,
    in_flight: usize,
    /// When the store, or rejected messages on their way to their topic, last held up reading.
    held_up: Option<Instant>,
    /// When the database was last seen to be where it was left.
    checked: Instant,
    is_checking: bool,
}

/// All writers.
pub struct Writers {
    writers: Vec<Writer>,
    replies: Receiver<Replied>,
    limits: BatchLimits,
}

impl Writers {
    pub fn new(
        commands: Vec<UnboundedSender<StoreCommand>>,
        replies: Receiver<Replied>,
        limits: BatchLimits,
    ) -> Self {
        Self { writers: commands.into_iter().map(Writer::new).collect(), replies, limits }
    }

    pub fn count(&self) -> usize {
        self.writers.len()
    }

    /// Which of them has the partition.
    pub fn index(&self, at: SourcePartition) -> usize {
        share(at, self.writers.len())
    }

    /// The batch that the partition's messages go into.
    pub fn batch(&mut self, at: SourcePartition) -> &mut Batch {
        let index = self.index(at);
        &mut self.writers[index].batch
    }

    /// Any store will do: the one that has least to write.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn ask(&self, command: StoreCommand) -> Result<(), StoreEnded> {
        let writer = self.writers.iter().min_by_key(|writer| writer.in_flight);
        writer.map_or(Err(StoreEnded), |writer| writer.command(command))
    }

    /// Asks where to begin, each store for its partitions: it answers after what it has still to
    /// write of them.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn resolve_starts(&self, questions: Vec<StartQuery>) -> Result<(), StoreEnded> {
        self.share_out(questions, |question| question.at, StoreCommand::ResolveStarts)
    }

    /// Lets each store forget those of its partitions that are given up, once it has written what
    /// it has still of them.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn release(&self, partitions: Vec<SourcePartition>) -> Result<(), StoreEnded> {
        self.share_out(partitions, |at| *at, StoreCommand::Release)
    }

    fn share_out<T>(
        &self,
        all: Vec<T>,
        at: impl Fn(&T) -> SourcePartition,
        command: impl Fn(Vec<T>) -> StoreCommand,
    ) -> Result<(), StoreEnded> {
        let mut shares: Vec<Vec<T>> = self.writers.iter().map(|_| Vec::new()).collect();
        for one in all {
            shares[self.index(at(&one))].push(one);
        }
        let mut filled = self.writers.iter().zip(shares).filter(|(_, share)| !share.is_empty());
        filled.try_for_each(|(writer, share)| writer.command(command(share)))
    }

    /// The next reply, if one is there.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn reply(&mut self) -> Result<Option<StoreReply>, StoreEnded> {
        match self.replies.try_recv() {
            Ok(replied) => self.take(replied).map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(StoreEnded),
        }
    }

    /// The next reply, if one comes in time.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn wait(&mut self, patience: Duration) -> Result<Option<StoreReply>, StoreEnded> {
        match self.replies.recv_timeout(patience) {
            Ok(replied) => self.take(replied).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(StoreEnded),
        }
    }

    fn take(&mut self, (index, reply): Replied) -> Result<StoreReply, StoreEnded> {
        if matches!(reply, StoreReply::Ended) {
            return Err(StoreEnded);
        }
        if let Some(writer) = self.writers.get_mut(index) {
            writer.note(&reply);
        }
        Ok(reply)
    }

    /// A batch that is written and emptied serves again, where one is missing.
    pub fn give_back(&mut self, mut batch: Batch) {
        batch.clear();
        let fewest = self.writers.iter_mut().min_by_key(|writer| writer.spare.len());
        if let Some(writer) = fewest.filter(|writer| writer.spare.len() < IN_FLIGHT) {
            writer.spare.push(batch);
        }
    }

    /// How many messages each may take in before this must be asked again: none where its batch is
    /// full and cannot be handed over. The others go on.
    pub fn rooms(&mut self) -> Vec<usize> {
        let rows = self.limits.rows;
        let room = |writer: &mut Writer| {
            let room = writer.room(rows);
            if room == 0 {
                writer.held_up = Some(Instant::now());
            }
            room
        };
        self.writers.iter_mut().map(room).collect()
    }

    /// Notes that no writer takes in anything at this time.
    pub fn hold_up_all(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.held_up = Some(Instant::now()));
    }

    /// Whether the partition's writer takes in nothing, or did not shortly before.
    pub fn is_held_up(&self, at: SourcePartition) -> bool {
        let held_up = self.writers[self.index(at)].held_up;
        held_up.is_some_and(|held_up| held_up.elapsed() < HELD_UP)
    }

    /// Whether a batch is due: full, with room on the way, or lingered, with an idle store.
    pub fn due(&self) -> impl Iterator<Item = usize> + use<> {
        let due = |writer: &Writer| {
            let is_full = writer.batch.is_full(self.limits.rows);
            let has_lingered =
                writer.batch.opened().is_some_and(|opened| opened.elapsed() >= self.limits.linger);
            (is_full && writer.in_flight < IN_FLIGHT) || (has_lingered && writer.in_flight == 0)
        };
        let due: Vec<usize> = self
            .writers
            .iter()
            .enumerate()
            .filter(|(_, writer)| due(writer))
            .map(|(index, _)| index)
            .collect();
        due.into_iter()
    }

    /// The writers whose batch holds anything of such partitions.
    pub fn holding(&self, is_such: impl Fn(SourcePartition) -> bool) -> Vec<usize> {
        let holds = |writer: &Writer| writer.batch.ranges.iter().any(|range| is_such(range.at));
        let writers = self.writers.iter().enumerate();
        writers.filter(|(_, writer)| holds(writer)).map(|(index, _)| index).collect()
    }

    pub fn has_rejects(&self, index: usize) -> bool {
        self.writers.get(index).is_some_and(|writer| !writer.batch.rejects.is_empty())
    }

    /// Hands the batches over to the stores.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn hand_over(&mut self, index: usize) -> Result<(), StoreEnded> {
        let Some(writer) = self.writers.get_mut(index) else {
            return Ok(());
        };
        let next = writer.spare.pop().unwrap_or_default();
        let mut full = std::mem::replace(&mut writer.batch, next);
        full.trace.fill_ended();
        writer.in_flight += 1;
        writer.command(StoreCommand::Write(Box::new(full)))
    }

    /// Drops what was read and not handed over to one; gives the partitions that it is of.
    pub fn drop_batch(&mut self, index: usize) -> Vec<SourcePartition> {
        let Some(writer) = self.writers.get_mut(index) else {
            return Vec::new();
        };
        let partitions = writer.batch.ranges.iter().map(|range| range.at).collect();
        writer.batch.clear();
        partitions
    }

    /// Whether nothing comes back from its store, though it has more than it is usually given: what
    /// is handed over besides has no limit.
    pub fn is_stuck(&self, index: usize) -> bool {
        self.writers.get(index).is_some_and(|writer| writer.in_flight > IN_FLIGHT)
    }

    pub fn in_flight(&self) -> usize {
        self.writers.iter().map(|writer| writer.in_flight).sum()
    }

    /// Drops what was read and not handed over.
    pub fn drop_batches(&mut self) {
        self.writers.iter_mut().for_each(|writer| writer.batch.clear());
    }

    /// Lets the stores that have nothing to do look after the database.
    ///
    /// # Errors
    /// If the stores have ended.
    pub fn check_idle(
        &mut self,
        find_positions: impl FnOnce() -> Vec<Position>,
    ) -> Result<(), StoreEnded> {
        let count = self.writers.len();
        if !self.writers.iter().any(Writer::is_idle) {
            return Ok(());
        }
        let positions = find_positions();
        for (index, writer) in
            self.writers.iter_mut().enumerate().filter(|(_, writer)| writer.is_idle())
        {
            let is_its = |position: &Position| share(position.at, count) == index;
            let share: Vec<Position> = positions.iter().copied().filter(is_its).collect();
            writer.is_checking = true;
            writer.command(StoreCommand::Check(share))?;
        }
        Ok(())
    }

    /// How long a poll may wait without holding up a batch; at most `idle`.
    pub fn patience(&self, idle: Duration) -> Duration {
        let wait = |opened: Instant| match self.limits.linger.saturating_sub(opened.elapsed()) {
            // Due, but the store is busy: look again soon.
            Duration::ZERO => Duration::from_millis(1),
            left => left.min(idle),
        };
        self.writers
            .iter()
            .filter_map(|writer| writer.batch.opened())
            .map(wait)
            .min()
            .unwrap_or(idle)
    }
}

impl Writer {
    fn new(commands: UnboundedSender<StoreCommand>) -> Self {
        Self {
            commands,
            batch: Batch::default(),
            spare: Vec::new(),
            in_flight: 0,
            held_up: None,
            checked: Instant::now(),
            is_checking: false,
        }
    }

    fn command(&self, command: StoreCommand) -> Result<(), StoreEnded> {
        self.commands.send(command).map_err(|_| StoreEnded)
    }

    fn note(&mut self, reply: &StoreReply) {
        match reply {
            StoreReply::Written(_) => {
                self.in_flight -= 1;
                self.checked = Instant::now();
            }
            StoreReply::Checked => {
                self.is_checking = false;
                self.checked = Instant::now();
            }
            StoreReply::Identified(_)
            | StoreReply::NotIdentified { .. }
            | StoreReply::Starts(_)
            | StoreReply::HeldBack(_)
            | StoreReply::Ended => {}
        }
    }

    fn room(&self, rows: u32) -> usize {
        match self.batch.is_full(rows) {
            true => 0,
            false => rows.saturating_sub(self.batch.messages) as usize,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0 && !self.is_checking && self.checked.elapsed() >= IDLE_CHECK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn at(partition: i32) -> SourcePartition {
        SourcePartition { source: 1, partition }
    }

    /// Two writers, what their stores hear, and the stores' end of the answers.
    fn two() -> (Writers, [UnboundedReceiver<StoreCommand>; 2], Sender<Replied>) {
        let ((first, hears), (second, hears_too)) = (unbounded_channel(), unbounded_channel());
        let (answers, replies) = channel();
        let limits = BatchLimits { rows: 1, linger: Duration::ZERO };
        (Writers::new(vec![first, second], replies, limits), [hears, hears_too], answers)
    }

    #[test]
    fn each_store_forgets_partitions_of_its_own_once_it_has_written_what_it_has_of_them() {
        let (mut writers, [mut first, mut second], _answers) = two();
        writers.hand_over(0).unwrap();
        writers.release(vec![at(0), at(1), at(3)]).unwrap();
        assert!(matches!(first.try_recv(), Ok(StoreCommand::Write(_))));
        assert!(
            matches!(first.try_recv(), Ok(StoreCommand::Release(all)) if all == [at(1), at(3)])
        );
        assert!(matches!(second.try_recv(), Ok(StoreCommand::Release(all)) if all == [at(0)]));
        writers.release(vec![at(2)]).unwrap();
        assert!(first.try_recv().is_err());
    }

    #[test]
    fn only_batches_with_something_of_the_partitions_are_those_that_hold_them() {
        let (mut writers, _stores, _answers) = two();
        writers.batch(at(0)).pass(at(0), 5, 7);
        assert_eq!(writers.holding(|_| true), [1]);
        assert!(writers.holding(|of| of == at(2)).is_empty());
        assert_eq!(writers.holding(|of| of == at(0)), [1]);
    }

    #[test]
    fn batches_that_come_back_are_kept_as_far_as_they_can_be_of_use() {
        let (mut writers, _stores, _answers) = two();
        (0..100).for_each(|_| writers.give_back(Batch::default()));
        assert!(writers.writers.iter().all(|writer| writer.spare.len() == IN_FLIGHT));
    }

    #[test]
    fn a_writer_with_more_on_its_way_than_usual_is_stuck_until_something_comes_back() {
        let (mut writers, _stores, answers) = two();
        (0..=IN_FLIGHT).for_each(|_| writers.hand_over(1).unwrap());
        assert!(writers.is_stuck(1) && !writers.is_stuck(0));
        answers.send((1, StoreReply::Written(Box::default()))).unwrap();
        assert!(writers.reply().unwrap().is_some() && !writers.is_stuck(1));
    }

    #[test]
    fn what_is_dropped_of_one_writer_is_named_and_the_others_keep_theirs() {
        let (mut writers, _stores, _answers) = two();
        writers.batch(at(0)).pass(at(0), 5, 7);
        writers.batch(at(1)).pass(at(1), 5, 7);
        assert_eq!(writers.drop_batch(1), [at(0)]);
        assert_eq!(writers.holding(|_| true), [0]);
    }

    #[test]
    fn one_writer_that_takes_in_nothing_holds_up_no_other() {
        let (mut writers, _stores, _answers) = two();
        writers.batch(at(0)).messages = 1;
        assert_eq!(writers.rooms(), [1, 0]);
        assert!(writers.is_held_up(at(0)) && !writers.is_held_up(at(1)));
        writers.hold_up_all();
        assert!(writers.is_held_up(at(1)));
    }

    #[test]
    fn a_session_that_is_gone_is_the_end_although_nobody_says_so() {
        let (mut writers, _stores, answers) = two();
        answers.send((0, StoreReply::Checked)).unwrap();
        assert!(matches!(writers.reply(), Ok(Some(StoreReply::Checked))));
        assert!(matches!(writers.reply(), Ok(None)));
        drop(answers);
        assert!(writers.reply().is_err());
        assert!(writers.wait(Duration::ZERO).is_err());
    }
}
