//! [`Store`]: the one connection to PostgreSQL, and what is known of what stands there.

mod apart;
mod at_once;
mod attempt;
mod check;
pub mod day_partitions;
mod findings;
pub mod limits;
mod locate;
mod look;
#[cfg(test)]
mod model;
mod offsets;
pub mod rights;
mod sources;
mod statements;
mod table;
mod transaction;
mod tries;
mod unlocated;
mod verdict;

pub use day_partitions::DayPartitions;
pub use transaction::write_ticks;

use crate::batch::Batch;
use crate::detection::Detection;
use crate::outage::Outage;
use crate::process::Shared;
use crate::source::{Source, SourceId, SourcePartition, TopicIdentity};
use limits::Limits;
use offsets::{Moved, Rewinds};
use service::Failure;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use tries::{Kind, Why};
use unlocated::Unlocated;

/// PostgreSQL, as the session sees it.
pub struct Store {
    /// Which of the writers it is.
    writer: u8,
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    connection: Option<PgConnection>,
    days: DayPartitions,
    /// `None` with --anomalies off.
    detection: Option<Detection>,
    outage: Outage,
    /// Messages that one transaction may hold: fewer than a batch where PostgreSQL was too slow for
    /// it.
    messages_at_once: u32,
    /// A part of the batch that is being written took too long.
    haste: Haste,
    /// The last try failed: something of somebody's may be in the way.
    is_held_up: bool,
    /// Tries of the same that got no answer in time.
    unanswered: u32,
    /// How far each partition was when this store last wrote it: after a failover to an older state
    /// not only the partitions of the next batch are to be compared, but all of them.
    reached: BTreeMap<SourcePartition, i64>,
    /// The connection is new: what it shows has not been compared with `reached`.
    is_unchecked: bool,
    /// How often the offset of each partition had been moved back when it was located.
    rewinds: Arc<Rewinds>,
    /// Since when offsets have been locked by somebody.
    busy_since: BTreeMap<SourcePartition, Instant>,
    /// Partitions of which PostgreSQL does not take what comes next.
    aside: BTreeMap<SourcePartition, Aside>,
    /// Partitions of which PostgreSQL last did not take the question where to begin.
    unlocated: Unlocated,
    /// And topics of which it did not take which source they are, since when.
    unidentified: BTreeMap<String, Instant>,
    /// The pause before partitions that are not located are asked of again lasts until then.
    ask_apart_from: Instant,
    /// When one of those that are held up is to have the whole of `--writer-timeout` again.
    whole_try: Instant,
    /// When a message that is refused was last said.
    refused_said: Option<Instant>,
}

/// A partition of which PostgreSQL does not take what comes next.
#[derive(Debug)]
struct Aside {
    held: Held,
    since: Instant,
    /// Why it was held back last, if it was.
    why: Option<Why>,
    /// So many messages of it are tried first, where fewer were taken than came.
    size: Option<u32>,
}

impl Aside {
    fn new() -> Self {
        Self { held: Held::OnTrial, since: Instant::now(), why: None, size: None }
    }

    /// Whether it was held back last for such a reason.
    fn is_for(&self, kind: Kind) -> bool {
        self.why.as_ref().is_some_and(|why| why.kind == kind)
    }
}

/// What becomes of the messages of such a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// They are left out until it is located again, since those before them were.
    Back,
    /// The same, but nothing is in the way: others had their turn.
    Left,
    /// The same, and it was not even tried.
    Waits,
    /// They are tried apart from the others', and briefly.
    OnTrial,
}

/// For how long the parts of a batch are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    /// As long as `--writer-timeout` says.
    None,
    /// Briefly: a part of it took too long, and the one message that may be the cause is sought.
    Quick,
    /// And one partition after the other for the first time.
    Glance,
}

/// Why a batch or an assignment could not be completed.
pub enum StoreError {
    /// Another consumer has moved the partition's offset: this one writes nothing more in this
    /// session.
    Fenced(String),
    /// Only a person can help.
    Fatal(Failure),
}

/// What a topic is to the database, as far as that could be found out.
pub enum Identified {
    Source(Source),
    /// PostgreSQL does not take what that needs; in its words, and when it is to be asked again.
    NotTaken(String, Duration),
}

impl Store {
    /// One more writer, which connects when it is needed.
    pub fn another(writer: u8, shared: &Arc<Shared>) -> Self {
        Self::new(writer, shared, None, shared.outage("PostgreSQL"))
    }

    /// Forgets the session before: its positions are read anew.
    pub fn begin_session(&mut self) {
        self.reached.clear();
        self.rewinds = Arc::default();
        self.aside.clear();
        self.unlocated.clear();
        self.unidentified.clear();
        self.busy_since.clear();
        self.haste = Haste::None;
        self.detection.iter_mut().for_each(Detection::forget_all);
    }

    fn new(
        writer: u8,
        shared: &Arc<Shared>,
        connection: Option<PgConnection>,
        outage: Outage,
    ) -> Self {
        Self {
            writer,
            shared: Arc::clone(shared),
            limits: Arc::new(Limits::new(shared.config.writer_timeout)),
            connection,
            days: DayPartitions::default(),
            detection: shared.config.anomalies.settings().map(Detection::new),
            outage,
            messages_at_once: u32::MAX,
            haste: Haste::None,
            is_held_up: false,
            unanswered: 0,
            reached: BTreeMap::new(),
            is_unchecked: false,
            rewinds: Arc::default(),
            busy_since: BTreeMap::new(),
            aside: BTreeMap::new(),
            unlocated: Unlocated::default(),
            unidentified: BTreeMap::new(),
            ask_apart_from: Instant::now(),
            whole_try: Instant::now(),
            refused_said: None,
        }
    }

    /// Whether nothing is written of a partition until it is located again.
    pub fn holds_back(&self, at: SourcePartition) -> bool {
        self.aside.get(&at).is_some_and(|aside| aside.held != Held::OnTrial)
    }

    fn is_held(&self, batch: &Batch) -> bool {
        !self.aside.is_empty()
            && batch.ranges.iter().any(|range| self.aside.contains_key(&range.at))
    }

    /// Whether one that is held up since then is to have the whole of `--writer-timeout`: the others
    /// have five times as long before it, and between two of them.
    fn is_whole_try_due(&self, since: Instant) -> bool {
        Instant::now() >= self.whole_try.max(since + self.limits.between_whole_tries())
    }

    /// The whole of `--writer-timeout`, for one of those that are held up.
    fn take_whole_try(&mut self) -> Arc<Limits> {
        self.whole_try = Instant::now() + self.limits.between_whole_tries();
        Arc::clone(&self.limits)
    }

    /// After one that was taken in its whole try: the others may need no more.
    fn give_whole_try_to_next(&mut self, was_whole: bool) {
        if was_whole {
            self.whole_try = Instant::now();
        }
    }

    /// Forgets partitions that are another instance's from now on: what is known of them would take
    /// memory, and grow old. Those that come back are located anew.
    pub fn give_up(&mut self, partitions: &[SourcePartition]) {
        self.reached.retain(|at, _| !partitions.contains(at));
        Arc::make_mut(&mut self.rewinds).retain(|at, _| !partitions.contains(at));
        self.aside.retain(|at, _| !partitions.contains(at));
        self.unlocated.forget(partitions);
        self.busy_since.retain(|at, _| !partitions.contains(at));
        let Some(detection) = &mut self.detection else { return };
        partitions.iter().for_each(|at| detection.forget(*at));
        let (forgotten, left) = (partitions.len(), detection.count());
        tracing::debug!("gave up {forgotten} partitions; the detectors know {left} others");
    }

    fn is_older(&self, moved: Moved) -> StoreError {
        self.shared.metrics.fences.inc();
        StoreError::Fenced(format!(
            "the database is an older state of itself: the stored offset of {} is {}, but {} was committed; what is \
             missing is read again",
            self.name(moved.at),
            moved.found(),
            moved.expected
        ))
    }

    /// The topics of the sources that are known.
    pub fn topics(&self) -> MutexGuard<'_, BTreeMap<SourceId, TopicIdentity>> {
        self.shared.topics()
    }

    /// `topic/partition`, for messages.
    fn name(&self, at: SourcePartition) -> String {
        match self.shared.topics().get(&at.source) {
            Some(topic) => format!("{}/{}", topic.topic, at.partition),
            None => format!("source {}, partition {}", at.source, at.partition),
        }
    }
}
