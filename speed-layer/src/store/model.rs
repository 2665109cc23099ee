//! The protocol of the offsets in every order of events: instances with one writer or several,
//! assignments that are answered late, given back meanwhile, or never answered because the session
//! closes, rebalances that either instance may be the last to hear of, fences, crashes, and
//! connections that break before or after a commit. The real [`compare`] decides in it.

use super::offsets::WriteOutcome;
use super::offsets::{Stored, compare};
use crate::batch::Ranges;
use crate::source::SourcePartition;
use stateright::{Checker, Model, Property};

/// Batches that may be on their way to a writer.
const IN_FLIGHT: usize = 2;

/// The rules of the protocol, one of which a test leaves out.
#[derive(Clone, Copy)]
struct Protocol {
    instances: usize,
    /// Beside them there is one that reads and writes a message at once.
    has_others: bool,
    /// Partitions; each has a writer of its own in every instance.
    partitions: usize,
    /// Messages of each.
    end: i64,
    /// The transaction writes only where the stored offset is the batch's start.
    compares: bool,
    /// The stored offset is locked from comparing to commit.
    locks: bool,
    /// The messages of a partition that were read are dropped when the partition is lost.
    forgets: bool,
    /// Before a partition's start is resolved again, what was read of it is handed over.
    hands_over: bool,
    /// A batch whose connection broke is tried again, before any later one.
    retries: bool,
    /// The store's answer counts only for the assignment that it was asked for.
    numbers: bool,
    /// The writer that has a partition's batches says where to begin with it.
    shares: bool,
    /// A session that closes answers the group, whatever it still waits for.
    answers: bool,
}

const WHOLE: Protocol = Protocol {
    instances: 2,
    has_others: false,
    partitions: 1,
    end: 2,
    compares: true,
    locks: true,
    forgets: true,
    hands_over: true,
    retries: true,
    numbers: true,
    shares: true,
    answers: true,
};
const TWO_WRITERS: Protocol = Protocol { instances: 1, has_others: true, partitions: 2, ..WHOLE };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    table: Vec<Row>,
    instances: Vec<Instance>,
    /// Whether any instance was ever fenced, and whether one was although nobody had moved its
    /// partition.
    fenced: bool,
    fenced_in_vain: bool,
}

/// PostgreSQL's state of a partition: the stored offset, how often each message is in a table, and
/// who has locked it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    next: i64,
    copies: Vec<u8>,
    locked_by: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Instance {
    shares: Vec<Share>,
    /// The group waits for an answer to what it gave.
    owes_answer: bool,
    /// It closed without that answer, and Kafka's client waits for it.
    hangs: bool,
}

/// A partition in one instance, and its writer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Share {
    /// The offset to read next, while it believes that the partition is its own.
    next: Option<i64>,
    /// It was assigned the partition, and does not know yet where to begin.
    resolving: bool,
    /// The offsets in the batch that is being filled.
    batch: Vec<i64>,
    /// The writer's tasks, one after the other.
    work: Vec<Work>,
    /// The transaction of the first work has compared, and not committed.
    in_transaction: bool,
    /// An answer on its way to the intake.
    answer: Option<i64>,
    /// Another instance has written since the assignment.
    moved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// A batch, and whether its assignment is over.
    Write(Vec<i64>, bool),
    /// Where to begin with a partition.
    ResolveStart(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// The group gives it the partition; another may believe to have it still.
    Assign,
    /// The group is answered although it is not known yet where to begin.
    AnswerGroup,
    /// It hears that the partition is no longer its own: what was handed over is still written.
    Lose,
    /// Kafka's client has lost its place, and the store is asked once more where to begin.
    ResolveAgain,
    Read,
    HandOver,
    /// The writer finds out where to begin.
    ResolveStart,
    /// The intake hears of it.
    TakeAnswer,
    /// The transaction begins, and compares.
    Begin,
    Commit,
    /// The commit gets through and its answer does not: the writer tries again.
    CommitUnheard,
    /// The connection breaks before the commit.
    Break,
    /// Another instance reads and writes a message.
    Other,
    /// It is told to end, or to join again; what was handed over is still written.
    Close,
    Crash,
}

const EVENTS: [Event; 15] = [
    Event::Assign,
    Event::AnswerGroup,
    Event::Lose,
    Event::ResolveAgain,
    Event::Read,
    Event::HandOver,
    Event::ResolveStart,
    Event::TakeAnswer,
    Event::Begin,
    Event::Commit,
    Event::CommitUnheard,
    Event::Break,
    Event::Other,
    Event::Close,
    Event::Crash,
];

const ONCE: &str = "no message is written twice";
const IN_ORDER: &str = "written is what lies before the stored offset";
const CAUSE: &str = "nobody is fenced unless another has written";
const ANSWERED: &str = "no session ends that owes the group an answer";

impl Model for Protocol {
    type State = World;
    /// Instance, partition, event.
    type Action = (usize, usize, Event);

    fn init_states(&self) -> Vec<World> {
        let row = Row { next: 0, copies: vec![0; self.end as usize], locked_by: None };
        vec![World {
            table: vec![row; self.partitions],
            instances: vec![self.instance(); self.instances],
            fenced: false,
            fenced_in_vain: false,
        }]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Self::Action>) {
        let places =
            (0..self.instances).flat_map(|who| (0..self.partitions).map(move |at| (who, at)));
        actions.extend(places.flat_map(|(who, at)| EVENTS.map(|event| (who, at, event))));
    }

    /// `None` where the event cannot happen.
    fn next_state(&self, world: &World, (who, at, event): Self::Action) -> Option<World> {
        let mut world = world.clone();
        match event {
            Event::Crash => {
                world.roll_back(who);
                world.instances[who] = self.instance();
            }
            Event::Other if self.has_others && world.table[at].is_free(self.end) => {
                let next = world.table[at].next;
                world.commit(None, at, &[next]);
            }
            Event::Other => return None,
            _ if world.instances[who].hangs => return None,
            Event::Close => {
                let instance = &mut world.instances[who];
                (0..self.partitions).for_each(|at| self.lose(instance, at));
                instance.hangs = instance.owes_answer && !self.answers;
                instance.owes_answer = false;
            }
            Event::ResolveStart
            | Event::Begin
            | Event::Commit
            | Event::CommitUnheard
            | Event::Break => {
                self.write(&mut world, who, at, event)?;
            }
            _ => self.read(&mut world.instances[who], at, event)?,
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| {
                world.table.iter().all(|row| row.copies.iter().all(|c| *c <= 1))
            }),
            Property::always(IN_ORDER, |_, world: &World| world.table.iter().all(Row::is_in_order)),
            Property::always(CAUSE, |_, world: &World| !world.fenced_in_vain),
            Property::always(ANSWERED, |_, world: &World| {
                world.instances.iter().all(|instance| !instance.hangs)
            }),
            Property::sometimes("everything is written", |protocol: &Self, world: &World| {
                world.table.iter().all(|row| row.next == protocol.end)
            }),
            Property::sometimes("an instance is fenced", |_, world: &World| world.fenced),
        ]
    }
}

impl Protocol {
    fn instance(self) -> Instance {
        Instance {
            shares: vec![Share::default(); self.partitions],
            owes_answer: false,
            hangs: false,
        }
    }

    fn read(self, instance: &mut Instance, at: usize, event: Event) -> Option<()> {
        // Whom it asks where to begin.
        let asked = if self.shares { at } else { (at + 1) % self.partitions };
        let room = instance.shares[asked].work.len() < IN_FLIGHT;
        let share = &mut instance.shares[at];
        match event {
            Event::Assign if share.next.is_none() && !share.resolving && room => {
                (share.resolving, share.moved) = (true, false);
                instance.owes_answer = true;
                instance.shares[asked].work.push(Work::ResolveStart(at));
            }
            Event::AnswerGroup if instance.owes_answer => instance.owes_answer = false,
            Event::Lose if share.next.is_some() || share.resolving => {
                self.lose(instance, at);
                // A revocation ends whatever assignment it was that waited.
                instance.owes_answer = false;
            }
            Event::ResolveAgain if share.next.is_some() && share.work.len() < IN_FLIGHT && room => {
                (share.next, share.resolving) = (None, true);
                if self.hands_over && !share.batch.is_empty() {
                    share.work.push(Work::Write(std::mem::take(&mut share.batch), false));
                }
                instance.shares[asked].work.push(Work::ResolveStart(at));
            }
            // More than there are, so that one could be in it twice.
            Event::Read if share.batch.len() <= self.end as usize => {
                let next = share.next.filter(|next| *next < self.end)?;
                share.batch.push(next);
                share.next = Some(next + 1);
            }
            Event::HandOver if !share.batch.is_empty() && share.work.len() < IN_FLIGHT => {
                share.work.push(Work::Write(std::mem::take(&mut share.batch), false));
            }
            Event::TakeAnswer => {
                let next = share.answer.take()?;
                if std::mem::take(&mut share.resolving) {
                    share.next = Some(next);
                    instance.owes_answer = false;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Nothing more is read of it.
    fn lose(self, instance: &mut Instance, at: usize) {
        let share = &mut instance.shares[at];
        (share.next, share.resolving, share.moved) = (None, false, false);
        if self.forgets {
            share.batch.clear();
        }
        for work in &mut share.work {
            if let Work::Write(_, is_over) = work {
                *is_over = true;
            }
        }
        // Whatever is still answered counts for nothing.
        if self.numbers {
            share.answer = None;
            instance
                .shares
                .iter_mut()
                .for_each(|share| share.work.retain(|work| *work != Work::ResolveStart(at)));
        }
    }

    fn write(self, world: &mut World, who: usize, at: usize, event: Event) -> Option<()> {
        let share = &mut world.instances[who].shares[at];
        let work = share.work.first()?.clone();
        match (event, work) {
            // Otherwise it is asked again in a moment.
            (Event::ResolveStart, Work::ResolveStart(of))
                if world.table[of].locked_by.is_none() =>
            {
                share.work.remove(0);
                world.instances[who].shares[of].answer = Some(world.table[of].next);
            }
            (Event::Begin, Work::Write(batch, is_over)) if !share.in_transaction => {
                self.begin(world, who, at, &batch, is_over)?;
            }
            (Event::Commit, Work::Write(batch, _)) if share.in_transaction => {
                share.work.remove(0);
                world.commit(Some(who), at, &batch);
            }
            (Event::CommitUnheard, Work::Write(batch, _)) if share.in_transaction => {
                world.commit(Some(who), at, &batch)
            }
            (Event::Break, Work::Write(..)) if share.in_transaction => {
                if !self.retries {
                    share.work.remove(0);
                }
                world.end_transaction(who, at);
            }
            _ => return None,
        }
        Some(())
    }

    fn begin(
        self,
        world: &mut World,
        who: usize,
        at: usize,
        batch: &[i64],
        is_over: bool,
    ) -> Option<()> {
        let row = &mut world.table[at];
        if row.locked_by.is_some() {
            return None;
        }
        let partition = SourcePartition { source: 1, partition: at as i32 };
        let mut ranges = Ranges::default();
        for offset in batch {
            ranges.extend(partition, *offset, offset + 1);
        }
        match compare(&Stored::from([(partition, row.next)]), &ranges).filter(|_| self.compares) {
            None => {
                row.locked_by = self.locks.then_some(who);
                world.instances[who].shares[at].in_transaction = true;
            }
            Some(WriteOutcome::WrittenBefore) => {
                drop(world.instances[who].shares[at].work.remove(0))
            }
            // The session ends, and with it everything that it had read, in all writers.
            Some(_) => {
                world.fenced = true;
                world.fenced_in_vain |= !is_over && !world.instances[who].shares[at].moved;
                world.roll_back(who);
                let hangs = world.instances[who].owes_answer && !self.answers;
                world.instances[who] = Instance { hangs, ..self.instance() };
            }
        }
        Some(())
    }
}

impl Row {
    /// Whether another instance may write its next message.
    fn is_free(&self, end: i64) -> bool {
        self.locked_by.is_none() && self.next < end
    }

    fn is_in_order(&self) -> bool {
        (0..).zip(&self.copies).all(|(offset, copies)| (*copies > 0) == (offset < self.next))
    }
}

impl World {
    fn commit(&mut self, who: Option<usize>, at: usize, batch: &[i64]) {
        let row = &mut self.table[at];
        for (offset, copies) in (0..).zip(&mut row.copies) {
            let written = batch.iter().filter(|written| **written == offset).count() as u8;
            // More than twice is no worse, and would have no end.
            *copies = (*copies + written).min(2);
        }
        row.next = batch.last().map_or(row.next, |last| last + 1);
        if let Some(who) = who {
            self.end_transaction(who, at);
        }
        for (other, instance) in self.instances.iter_mut().enumerate() {
            let share = &mut instance.shares[at];
            share.moved |= Some(other) != who && (share.next.is_some() || share.resolving);
        }
    }

    fn end_transaction(&mut self, who: usize, at: usize) {
        self.instances[who].shares[at].in_transaction = false;
        self.table[at].locked_by = self.table[at].locked_by.filter(|holder| *holder != who);
    }

    /// PostgreSQL rolls back the open transactions of an instance that is gone.
    fn roll_back(&mut self, who: usize) {
        (0..self.table.len()).for_each(|at| self.end_transaction(who, at));
    }
}

/// Every state that can be reached.
fn assert_holds(protocol: Protocol) {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

/// The shortest way into trouble must exist, or the model could not have found any.
fn assert_finds(protocol: Protocol, property: &'static str) {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    let Some(path) = checker.discovery(property) else {
        panic!("nothing violates \"{property}\"");
    };
    println!("{:?}", path.into_actions());
}

#[test]
fn no_order_of_rebalances_closings_crashes_and_broken_connections_loses_or_doubles_a_message() {
    assert_holds(WHOLE);
}

#[test]
fn nor_does_any_with_several_writers() {
    assert_holds(TWO_WRITERS);
}

#[test]
fn without_the_comparison_a_message_is_doubled_and_offsets_lie() {
    assert_finds(Protocol { compares: false, ..WHOLE }, ONCE);
    assert_finds(Protocol { compares: false, ..WHOLE }, IN_ORDER);
}

#[test]
fn without_the_lock_a_message_is_doubled() {
    assert_finds(Protocol { locks: false, ..WHOLE }, ONCE);
}

#[test]
fn a_start_that_is_resolved_again_beside_what_was_read_doubles_a_message() {
    assert_finds(Protocol { hands_over: false, ..WHOLE }, ONCE);
}

#[test]
fn a_batch_that_outlives_its_partition_doubles_a_message() {
    assert_finds(Protocol { forgets: false, ..WHOLE }, ONCE);
}

#[test]
fn a_batch_that_is_not_tried_again_fences_the_next_one() {
    assert_finds(Protocol { retries: false, ..WHOLE }, CAUSE);
}

#[test]
fn an_answer_about_an_assignment_that_has_ended_fences_the_next_one() {
    assert_finds(Protocol { numbers: false, ..WHOLE }, CAUSE);
}

#[test]
fn a_writer_that_says_where_to_begin_with_anothers_partition_fences_its_own_instance() {
    assert_finds(Protocol { shares: false, has_others: false, ..TWO_WRITERS }, CAUSE);
}

#[test]
fn a_session_that_closes_or_is_fenced_while_it_is_assigned_hangs_without_an_answer() {
    assert_finds(Protocol { answers: false, ..WHOLE }, ANSWERED);
}
