//! The protocol of the offsets in every order of events: two writers (of two instances, or of sessions of one), rebalances that each of them may be the last to
//! hear of, crashes, and connections that break before or after a commit. What decides in it is the real [`compare`].

use super::offsets::{Stored, compare};
use super::transaction::Outcome;
use crate::batch::Ranges;
use crate::source::SourcePartition;
use stateright::{Checker, Model, Property};

const AT: SourcePartition = SourcePartition { source: 1, partition: 0 };
/// Messages in the one partition.
const END: i64 = 3;
const INSTANCES: usize = 2;
/// Messages that one batch may hold; more than there are, so that one could be in it twice.
const BATCH: usize = 4;

/// What the protocol rests on, one part of which a test leaves out.
#[derive(Clone, Copy)]
struct Protocol {
    /// The transaction writes only where the stored offset is the batch's start.
    compares: bool,
    /// The stored offset is locked from comparing to commit.
    locks: bool,
    /// What was read of a partition is dropped when the partition is lost.
    forgets: bool,
    /// Before a partition is located once more, what was read of it is handed over.
    hands_over: bool,
}

const WHOLE: Protocol = Protocol { compares: true, locks: true, forgets: true, hands_over: true };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// PostgreSQL: the stored offset, how often each message is in a table, and who has locked the offset.
    next_offset: i64,
    copies: [u8; END as usize],
    locked_by: Option<usize>,
    instances: [Instance; INSTANCES],
    /// Whether any instance was ever fenced.
    fenced: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Instance {
    /// The offset to read next, while it believes that the partition is its own.
    next: Option<i64>,
    /// It was assigned the partition, and the store has not answered yet where to begin.
    locating: bool,
    /// The offsets in the batch that is being filled.
    batch: Vec<i64>,
    /// What the store has still to do, one after the other.
    work: Vec<Work>,
    /// The transaction of the first work has compared, and not committed.
    in_transaction: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    Write(Vec<i64>),
    Locate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// The group gives it the partition; another may believe to have it still.
    Assign,
    /// It hears that the partition is no longer its own, or its session ends: what was handed over is still written.
    Lose,
    /// Kafka's client has lost its place, and the store is asked once more where to begin.
    Relocate,
    Read,
    HandOver,
    /// The store finds out where to begin.
    Locate,
    /// The transaction begins, and compares.
    Begin,
    Commit,
    /// The commit gets through and its answer does not: the store tries again.
    CommitUnheard,
    /// The connection breaks before the commit.
    Break,
    Crash,
}

const EVENTS: [Event; 11] = [
    Event::Assign,
    Event::Lose,
    Event::Relocate,
    Event::Read,
    Event::HandOver,
    Event::Locate,
    Event::Begin,
    Event::Commit,
    Event::CommitUnheard,
    Event::Break,
    Event::Crash,
];

impl Model for Protocol {
    type State = World;
    type Action = (usize, Event);

    fn init_states(&self) -> Vec<World> {
        let instances = Default::default();
        vec![World { next_offset: 0, copies: Default::default(), locked_by: None, instances, fenced: false }]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Self::Action>) {
        actions.extend((0..INSTANCES).flat_map(|who| EVENTS.map(|event| (who, event))));
    }

    /// `None` where the event cannot happen.
    fn next_state(&self, world: &World, (who, event): Self::Action) -> Option<World> {
        let mut world = world.clone();
        match event {
            Event::Assign | Event::Lose | Event::Relocate | Event::Read | Event::HandOver => {
                self.intake(&mut world, who, event)?
            }
            Event::Locate | Event::Begin | Event::Commit | Event::CommitUnheard | Event::Break => {
                self.store(&mut world, who, event)?;
            }
            Event::Crash => world.forget(who),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no message is written twice", |_, world: &World| world.copies.iter().all(|c| *c <= 1)),
            Property::always("written is what lies before the stored offset", |_, world: &World| {
                (0..).zip(&world.copies).all(|(offset, copies)| (*copies > 0) == (offset < world.next_offset))
            }),
            Property::sometimes("everything is written", |_, world: &World| world.next_offset == END),
            Property::sometimes("an instance is fenced", |_, world: &World| world.fenced),
        ]
    }
}

impl Protocol {
    fn intake(self, world: &mut World, who: usize, event: Event) -> Option<()> {
        let instance = &mut world.instances[who];
        match event {
            Event::Assign if instance.next.is_none() && !instance.work.contains(&Work::Locate) => {
                instance.locating = true;
                instance.work.push(Work::Locate);
            }
            Event::Lose if instance.next.is_some() || instance.locating => {
                (instance.next, instance.locating) = (None, false);
                if self.forgets {
                    instance.batch.clear();
                }
            }
            Event::Relocate if instance.next.is_some() && instance.work.len() < 2 => {
                (instance.next, instance.locating) = (None, true);
                if self.hands_over && !instance.batch.is_empty() {
                    instance.work.push(Work::Write(std::mem::take(&mut instance.batch)));
                }
                instance.work.push(Work::Locate);
            }
            Event::Read if instance.batch.len() < BATCH => {
                let next = instance.next.filter(|next| *next < END)?;
                instance.batch.push(next);
                instance.next = Some(next + 1);
            }
            Event::HandOver if !instance.batch.is_empty() && instance.work.len() < 2 => {
                instance.work.push(Work::Write(std::mem::take(&mut instance.batch)));
            }
            _ => return None,
        }
        Some(())
    }

    fn store(self, world: &mut World, who: usize, event: Event) -> Option<()> {
        let work = world.instances[who].work.first()?.clone();
        let in_transaction = world.instances[who].in_transaction;
        match (event, work) {
            (Event::Locate, Work::Locate) if world.locked_by.is_none() => {
                let next_offset = world.next_offset;
                let instance = &mut world.instances[who];
                instance.work.remove(0);
                // Lost before the store had answered: then the answer does not count.
                if std::mem::take(&mut instance.locating) {
                    instance.next = Some(next_offset);
                }
            }
            (Event::Begin, Work::Write(batch)) if !in_transaction && world.locked_by.is_none() => {
                self.begin(world, who, &batch);
            }
            (Event::Commit, Work::Write(batch)) if in_transaction => {
                world.commit(who, &batch);
                world.instances[who].work.remove(0);
            }
            (Event::CommitUnheard, Work::Write(batch)) if in_transaction => world.commit(who, &batch),
            (Event::Break, Work::Write(_)) if in_transaction => world.end_transaction(who),
            _ => return None,
        }
        Some(())
    }

    fn begin(self, world: &mut World, who: usize, batch: &[i64]) {
        let mut ranges = Ranges::default();
        for offset in batch {
            ranges.extend(AT, *offset, offset + 1);
        }
        let stored = Stored::from([(AT, world.next_offset)]);
        match compare(&stored, &ranges).filter(|_| self.compares) {
            None => {
                world.instances[who].in_transaction = true;
                world.locked_by = self.locks.then_some(who);
            }
            Some(Outcome::WrittenBefore) => drop(world.instances[who].work.remove(0)),
            // The session ends, and with it everything that it had read.
            Some(_) => {
                world.fenced = true;
                world.forget(who);
            }
        }
    }
}

impl World {
    fn commit(&mut self, who: usize, batch: &[i64]) {
        for (offset, copies) in (0..).zip(&mut self.copies) {
            let written = batch.iter().filter(|written| **written == offset).count() as u8;
            // More than twice is no worse, and would have no end.
            *copies = (*copies + written).min(2);
        }
        self.next_offset = batch.last().map_or(self.next_offset, |last| last + 1);
        self.end_transaction(who);
    }

    fn end_transaction(&mut self, who: usize) {
        self.instances[who].in_transaction = false;
        self.locked_by = self.locked_by.filter(|holder| *holder != who);
    }

    /// PostgreSQL rolls back what an instance leaves behind.
    fn forget(&mut self, who: usize) {
        self.end_transaction(who);
        self.instances[who] = Instance::default();
    }
}

#[test]
fn no_order_of_rebalances_crashes_and_broken_connections_loses_or_doubles_a_message() {
    let checker = WHOLE.checker().threads(2).spawn_bfs().join();
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
fn without_the_comparison_a_message_is_doubled() {
    assert_finds(Protocol { compares: false, ..WHOLE }, "no message is written twice");
}

#[test]
fn without_the_lock_a_message_is_doubled() {
    assert_finds(Protocol { locks: false, ..WHOLE }, "no message is written twice");
}

#[test]
fn a_partition_that_is_located_again_beside_what_was_read_of_it_doubles_a_message() {
    assert_finds(Protocol { hands_over: false, ..WHOLE }, "no message is written twice");
}

#[test]
fn a_batch_that_outlives_its_partition_doubles_a_message() {
    assert_finds(Protocol { forgets: false, ..WHOLE }, "no message is written twice");
}
