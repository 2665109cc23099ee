//! [`Store`]: a connection to PostgreSQL, and what is known about what the tables hold.

mod apart;
mod attempt;
mod check;
pub mod day_partitions;
mod findings;
pub mod limits;
mod look;
#[cfg(test)]
mod model;
mod offsets;
pub mod rights;
mod sources;
mod starts;
mod statements;
mod table;
mod transaction;
mod tries;
mod unresolved;
mod verdict;
mod whole;

pub use day_partitions::DayPartitions;
pub use transaction::write_ticks;

use crate::batch::Batch;
use crate::detection::Detection;
use crate::outage::Outage;
use crate::process::Process;
use crate::source::{Source, SourceId, SourcePartition, TopicIdentity};
use limits::TimeLimits;
use offsets::{Moved, Rewinds};
use service::Failure;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use tries::{Cause, CauseKind};
use unresolved::UnresolvedStarts;

/// PostgreSQL, as the session sees it.
pub struct Store {
    /// Which of the writers it is.
    writer: u8,
    shared: Arc<Process>,
    limits: Arc<TimeLimits>,
    connection: Option<PgConnection>,
    days: DayPartitions,
    /// `None` with --anomalies off.
    detection: Option<Detection>,
    outage: Outage,
    /// Messages that one transaction may hold: fewer than a batch where PostgreSQL was too slow for
    /// it.
    messages_at_once: u32,
    /// How much time the parts of the batch that is being written get.
    budget: TimeBudget,
    /// The last try failed: something of somebody's may be in the way.
    is_held_up: bool,
    /// Consecutive tries without an answer in time.
    unanswered: u32,
    /// The offset last written for each partition. After a failover all of them are compared, not
    /// only the next batch's.
    written_offsets: BTreeMap<SourcePartition, i64>,
    /// The connection is new: what it shows has not been compared with `written_offsets`.
    is_unchecked: bool,
    /// How often the offset of each partition had been moved back when its start was
    /// resolved.
    rewinds: Arc<Rewinds>,
    /// Since when offsets have been locked by somebody.
    busy_since: BTreeMap<SourcePartition, Instant>,
    /// Partitions whose next messages PostgreSQL does not take.
    quarantined: BTreeMap<SourcePartition, Quarantine>,
    /// Partitions whose start offset PostgreSQL last did not give.
    unresolved: UnresolvedStarts,
    /// Topics whose source PostgreSQL did not give or take, and since when.
    unidentified: BTreeMap<String, Instant>,
    /// Failed start offsets are not queried separately before this time.
    next_query_apart: Instant,
    /// Earliest time of the next try with the full `--writer-timeout`.
    next_full_try: Instant,
    /// When a refused message was last logged.
    refused_logged: Option<Instant>,
}

/// A partition whose next messages PostgreSQL does not take.
#[derive(Debug)]
struct Quarantine {
    state: QuarantineState,
    since: Instant,
    /// Why it was held back last. `None`: it never was.
    cause: Option<Cause>,
    /// How many of its messages are tried first. `None`: all that come.
    size: Option<u32>,
}

impl Quarantine {
    fn new() -> Self {
        Self { state: QuarantineState::Probing, since: Instant::now(), cause: None, size: None }
    }

    /// Whether it was last held back for such a reason.
    fn is_for(&self, kind: CauseKind) -> bool {
        self.cause.as_ref().is_some_and(|cause| cause.kind == kind)
    }
}

/// How the messages of such a partition are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuarantineState {
    /// The messages are left out until the start is resolved again: the next one was not taken.
    Blocked,
    /// Left out for now: other partitions have their turn.
    TakingTurns,
    /// Left out without being tried: the time was used up.
    NotTried,
    /// The messages are tried apart from the others', and briefly.
    Probing,
}

/// How much time a try of a part of a batch gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TimeBudget {
    /// As long as `--writer-timeout` says.
    Full,
    /// A part of the batch took too long, and the one message that may be the cause is sought.
    Short,
    /// A part is tried for the first time, one partition after the other, which takes even less.
    Shortest,
}

/// Why a batch or an assignment could not be completed.
pub enum StoreError {
    /// Another consumer has moved the partition's offset: this one writes nothing more in this
    /// session.
    Fenced(String),
    /// Only a person can help.
    Fatal(Failure),
}

/// The topic's source, if that could be found out.
pub enum Identified {
    Source(Source),
    /// PostgreSQL does not take what that needs.
    Failed {
        /// The reason, in PostgreSQL's words.
        why: String,
        retry_after: Duration,
    },
}

impl Store {
    /// Adds a writer, which connects when it is needed.
    pub fn another(writer: u8, shared: &Arc<Process>) -> Self {
        Self::new(writer, shared, None, shared.outage("PostgreSQL"))
    }

    /// Forgets the session before: its offsets are read again.
    pub fn begin_session(&mut self) {
        self.written_offsets.clear();
        self.rewinds = Arc::default();
        self.quarantined.clear();
        self.unresolved.clear();
        self.unidentified.clear();
        self.busy_since.clear();
        self.budget = TimeBudget::Full;
        self.detection.iter_mut().for_each(Detection::forget_all);
    }

    fn new(
        writer: u8,
        shared: &Arc<Process>,
        connection: Option<PgConnection>,
        outage: Outage,
    ) -> Self {
        Self {
            writer,
            shared: Arc::clone(shared),
            limits: Arc::new(TimeLimits::new(shared.config.writer_timeout)),
            connection,
            days: DayPartitions::default(),
            detection: shared.config.anomalies.settings().map(Detection::new),
            outage,
            messages_at_once: u32::MAX,
            budget: TimeBudget::Full,
            is_held_up: false,
            unanswered: 0,
            written_offsets: BTreeMap::new(),
            is_unchecked: false,
            rewinds: Arc::default(),
            busy_since: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            unresolved: UnresolvedStarts::default(),
            unidentified: BTreeMap::new(),
            next_query_apart: Instant::now(),
            next_full_try: Instant::now(),
            refused_logged: None,
        }
    }

    /// Whether nothing is written of a partition until its start is resolved again.
    pub fn holds_back(&self, at: SourcePartition) -> bool {
        self.quarantined
            .get(&at)
            .is_some_and(|quarantine| quarantine.state != QuarantineState::Probing)
    }

    fn is_quarantined(&self, batch: &Batch) -> bool {
        !self.quarantined.is_empty()
            && batch.ranges.iter().any(|range| self.quarantined.contains_key(&range.at))
    }

    /// Whether what has been held up `since` then may have the whole of `--writer-timeout`: the
    /// others have five times as long before it, and between two such tries.
    fn is_full_try_due(&self, since: Instant) -> bool {
        Instant::now() >= self.next_full_try.max(since + self.limits.between_full_tries())
    }

    /// The whole of `--writer-timeout`, for one of those that are held up.
    fn take_full_timeout(&mut self) -> Arc<TimeLimits> {
        self.next_full_try = Instant::now() + self.limits.between_full_tries();
        Arc::clone(&self.limits)
    }

    /// After a full try that was taken: the others may need no more.
    fn allow_full_try_now(&mut self, was_full: bool) {
        if was_full {
            self.next_full_try = Instant::now();
        }
    }

    /// Forgets partitions that belong to another instance from now on: what is known about them
    /// would take memory, and grow old. If they come back, their starts are resolved again.
    pub fn release(&mut self, partitions: &[SourcePartition]) {
        self.written_offsets.retain(|at, _| !partitions.contains(at));
        Arc::make_mut(&mut self.rewinds).retain(|at, _| !partitions.contains(at));
        self.quarantined.retain(|at, _| !partitions.contains(at));
        self.unresolved.remove(partitions);
        self.busy_since.retain(|at, _| !partitions.contains(at));
        let Some(detection) = &mut self.detection else { return };
        partitions.iter().for_each(|at| detection.forget(*at));
        let (forgotten, left) = (partitions.len(), detection.count());
        tracing::debug!("gave up {forgotten} partitions; the detectors know {left} others");
    }

    fn rolled_back(&self, moved: Moved) -> StoreError {
        self.shared.metrics.fences.inc();
        if moved.found.is_none() {
            // What is read then, if anything, is said when it is asked where to begin.
            return StoreError::Fenced(format!(
                "the row of {} in kafka_offsets is gone, where {} was committed: somebody has deleted it, or the database \
                 is an older state of itself",
                self.name(moved.at),
                moved.expected
            ));
        }
        StoreError::Fenced(format!(
            "the database is an older state of itself: the stored offset of {} is {}, but {} was \
             committed; what is missing is read again",
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
