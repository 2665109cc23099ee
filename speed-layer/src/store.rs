//! [`Store`]: the one connection to PostgreSQL, and trying again until it works.

mod apart;
mod attempt;
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
pub use locate::Identified;
pub use transaction::write_ticks;

use crate::Shared;
use crate::batch::Batch;
use crate::detection::{Detection, Judged, Judging};
use crate::handover::{HeldBack, Position};
use crate::outage::Outage;
use crate::presence;
use crate::source::{SourceId, SourcePartition, TopicIdentity};
use attempt::{Asked, unless_long};
use common::Timestamp;
use limits::Limits;
use look::{may_write, note_database, note_last_gap};
use offsets::{Moved, Outcome, Rewinds};
use service::failure::one_line;
use service::telemetry::TRACED;
use service::{Failure, pg};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use table::Table;
use tracing::{Instrument, info_span};
use tries::{Failures, Kind, Smaller, Try, Why};
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

/// What a look at the database finds.
enum Looked {
    Good,
    ReadOnly,
    Behind(Moved),
}

impl Store {
    /// Connects and brings the tables up to date. `None` where the process was stopped meanwhile.
    pub async fn open(shared: &Arc<Shared>) -> Result<Option<Self>, Failure> {
        let mut outage = shared.outage("PostgreSQL");
        while !shared.stop.is_cancelled() {
            let opening = shared.database.what("opening");
            let open = async {
                let mut connection = shared.database.connect_ready().await?;
                note_database(shared, &mut connection).await?;
                may_write(shared, &mut connection).await?;
                presence::show(shared, &mut connection).await?;
                note_last_gap(shared, &mut connection).await?;
                Ok(connection)
            };
            let opened = tokio::select! {
                opened = unless_long(&shared.health, 0, &mut outage, &opening, open) => opened,
                () = shared.stop.cancelled() => break,
            };
            match opened {
                Ok(connection) => {
                    outage.over();
                    shared.health.database.set(true);
                    return Ok(Some(Self::new(0, shared, Some(connection), outage)));
                }
                Err(Failure::Infrastructure(error)) => {
                    let error = format!("{error:#}");
                    shared.health.database.fails(one_line(&error));
                    outage.failed(&error).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

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

    /// Writes a batch in one transaction, trying until it is in or another consumer has moved its
    /// partitions. What PostgreSQL does not take as a whole is written partition by partition, and
    /// taken apart until what is refused stands alone and is kept aside. Partitions of which
    /// somebody holds something, or a message is not taken at all, are left out, and given.
    /// `meanwhile` runs once PostgreSQL is busy, and at the latest after the first try.
    pub async fn write(
        &mut self,
        batch: &Batch,
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<HeldBack>, StoreError> {
        let mut meanwhile = Some(meanwhile);
        if !self.is_held(batch) && batch.fits(self.messages_at_once) {
            // What is refused may be so for what was known of partitions: then the second time it
            // is not.
            match self.write_at_once(batch, 2, &mut meanwhile).await? {
                None => return Ok(Vec::new()),
                Some(Smaller::Locked(_)) => self.put_all_on_trial(batch),
                Some(Smaller::TooMuch(why)) => {
                    self.messages_at_once = self.note_too_slow(batch, &why);
                }
                // The rest of a batch of which one message may be the cause is not to take as long.
                Some(Smaller::TooLong(_) | Smaller::NotJudged(Why { kind: Kind::Slow, .. })) => {
                    self.haste = Haste::Quick;
                }
                Some(Smaller::Refused(_) | Smaller::NotTaken(_) | Smaller::NotJudged(_)) => {}
            }
        }
        let held_back = self.write_apart(batch, &mut meanwhile).await?;
        self.haste = Haste::None;
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        Ok(held_back)
    }

    /// `None` once it is in.
    async fn write_at_once(
        &mut self,
        batch: &Batch,
        tries: u32,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Option<Smaller>, StoreError> {
        let is_on_trial = self.is_held(batch);
        let missing = self.detection.as_ref().map_or(Vec::new(), |known| known.missing(batch));
        let (limits, is_whole_try) = self.limits_of(batch, !missing.is_empty());
        let mut failures = Failures::none(tries, is_on_trial);
        // Once for all tries of the same.
        let judge = self.judge(batch, missing, &limits);
        let mut judging = match judge.instrument(info_span!(target: TRACED, "judge")).await? {
            Asked::Answered(judging) => judging,
            Asked::NotTaken(why) => return Ok(Some(Smaller::NotJudged(why))),
        };
        loop {
            let begun = Instant::now();
            let mut at = Table::Days;
            let mut once = || meanwhile.take().into_iter().for_each(|meanwhile| meanwhile());
            let tried = match self.make_days(&batch.days, &limits).await? {
                Try::Done(()) => {
                    let rewinds = Arc::clone(&self.rewinds);
                    let write = async |connection: &mut PgConnection| {
                        let (work, at) = ((batch, &*rewinds), &mut at);
                        transaction::write(connection, &limits, work, &mut judging, &mut once, at)
                            .await
                    };
                    let span = info_span!(target: TRACED, "transaction");
                    self.attempt(write).instrument(span).await?
                }
                failed => failed.without(),
            };
            once();
            match tried {
                Try::Done(Outcome::Written) => {
                    self.works();
                    self.shared.metrics.written(batch, begun.elapsed(), Timestamp::now());
                    self.take_more(batch, begun.elapsed());
                    self.give_whole_try_to_next(is_whole_try);
                    self.note_reached(batch, judging.into_judged());
                    return Ok(None);
                }
                // The commit of an earlier try got through although its answer was lost.
                Try::Done(Outcome::WrittenBefore) => {
                    self.works();
                    self.shared.metrics.written(batch, Duration::ZERO, Timestamp::now());
                    self.note_reached(batch, judging.into_judged());
                    return Ok(None);
                }
                Try::Done(Outcome::Fenced(moved)) => return Err(self.fenced(moved)),
                failed => {
                    let smaller = self.weigh(failed, (batch, at), &mut failures).await?;
                    if smaller.is_some() {
                        if let Some(detection) = &mut self.detection {
                            detection.take_back(judging);
                        }
                        return Ok(smaller);
                    }
                }
            }
        }
    }

    /// For how long a batch is tried, and whether it is one of those that are held for their time and
    /// are given the whole of it this once: what takes longer than a brief try stood for ever. Where
    /// the detectors' states are to be read first, these may be what takes long.
    fn limits_of(&mut self, batch: &Batch, reads_states: bool) -> (Arc<Limits>, bool) {
        if !self.is_held(batch) {
            return match self.haste {
                Haste::Glance => (Arc::new(self.limits.glance()), false),
                Haste::Quick => (Arc::new(self.limits.quick()), false),
                Haste::None => (Arc::clone(&self.limits), false),
            };
        }
        let is_due = |at| {
            let aside = self.aside.get(&at).filter(|aside| aside.is_for(Kind::Slow));
            aside.is_some_and(|aside| self.is_whole_try_due(aside.since))
        };
        let is_one = batch.messages == 1 || reads_states;
        if !is_one || !batch.ranges.iter().any(|range| is_due(range.at)) {
            return (Arc::new(self.limits.brief()), false);
        }
        (self.take_whole_try(), true)
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

    /// What follows from a try that has failed at a table: `None` where the same is tried again,
    /// which is waited for here.
    async fn weigh(
        &mut self,
        failed: Try<Outcome>,
        (batch, at): (&Batch, Table),
        before: &mut Failures,
    ) -> Result<Option<Smaller>, StoreError> {
        let is_more = batch.messages > 1;
        let (smaller, why) = match failed {
            Try::Locked(words) => {
                before.locked += 1;
                let is_apart =
                    before.is_on_trial || before.locked > 1 && self.are_tables_free().await?;
                (is_apart.then(|| Smaller::Locked(words.clone())), words)
            }
            Try::Refused(words) | Try::Done(Outcome::LeftOut(words)) if at.is_of_messages() => {
                before.refused += 1;
                if before.refused >= before.tries {
                    return Ok(Some(Smaller::Refused(words)));
                }
                self.forget();
                return Ok(None);
            }
            Try::Refused(words) | Try::Done(Outcome::LeftOut(words)) => {
                // The plan of a statement that a rule has made nothing of outlives the rule.
                self.connection = None;
                let why = format!("{} does not take what a batch needs: {words}", at.name());
                (before.is_enough().then(|| Smaller::NotTaken(why.clone())), why)
            }
            Try::Broken(words) => {
                let is_apart = at != Table::Begin && before.is_enough();
                let why = format!("{}: {words}", self.shared.database.what("writing to"));
                (is_apart.then_some(Smaller::NotTaken(words)), why)
            }
            // The way may be too slow for as much.
            Try::Unanswered(words) => {
                ((is_more && at.is_written()).then(|| Smaller::TooMuch(words.clone())), words)
            }
            Try::TooMuch(words) if is_more && at != Table::Days => {
                (Some(Smaller::TooMuch(words.clone())), words)
            }
            // Others wait, so it is not tried for as long once more.
            Try::TooMuch(words) => (Some(Smaller::TooLong(words.clone())), words),
            Try::Cut(words) => {
                let is_apart = at.is_written() && before.are_cuts_enough();
                return Ok(is_apart.then_some(Smaller::NotTaken(words)));
            }
            Try::Again | Try::Done(_) => return Ok(None),
        };
        if smaller.is_none() {
            self.pause_for(&why).await;
        }
        Ok(smaller)
    }

    /// Whether what somebody holds is a part of a table and not a whole one, so that it may be in
    /// the way of some partitions alone.
    async fn are_tables_free(&mut self) -> Result<bool, StoreError> {
        let limits = self.limits.brief();
        let look = async |connection: &mut PgConnection| limits.look_at_tables(connection).await;
        Ok(matches!(self.attempt(look).await?, Try::Done(())))
    }

    fn fenced(&mut self, moved: Moved) -> StoreError {
        self.works();
        self.shared.metrics.fences.inc();
        let back = match moved.found == Some(moved.expected) {
            true => "; it was moved back in between",
            false => "",
        };
        StoreError::Fenced(format!(
            "another instance has moved {}: the stored offset is {}, expected {}{back}",
            self.name(moved.at),
            moved.found(),
            moved.expected
        ))
    }

    /// What the detectors will say of the batch, by states that are those of all that was committed
    /// before it.
    async fn judge<'a>(
        &mut self,
        batch: &'a Batch,
        missing: Vec<(SourcePartition, i64)>,
        limits: &Arc<Limits>,
    ) -> Result<Asked<Judging<'a>>, StoreError> {
        let is_held = self.is_held(batch);
        let limits = match is_held || self.haste != Haste::None {
            true => Arc::clone(limits),
            false => Arc::new(self.limits.quick()),
        };
        let tries = if is_held { 1 } else { 2 };
        for (at, next) in missing {
            let read = async |connection: &mut PgConnection| {
                findings::read(connection, &limits, at).await.map(Asked::Answered)
            };
            let remembered = loop {
                match self.ask(tries, read).await? {
                    Asked::Answered(remembered) => break remembered,
                    Asked::NotTaken(Why { words, kind }) if self.are_tables_free().await? => {
                        let words =
                            format!("what the detectors know of it cannot be read: {words}");
                        return Ok(Asked::NotTaken(Why { words, kind }));
                    }
                    Asked::NotTaken(why) => self.pause_for(&why.words).await,
                }
            };
            if let Some(detection) = &mut self.detection {
                detection.restore(at, next, remembered);
            }
        }
        let detection = self.detection.as_mut();
        Ok(Asked::Answered(
            detection.map_or_else(|| Judging::nothing(batch), |known| known.judge(batch)),
        ))
    }

    fn note_reached(&mut self, batch: &Batch, judged: Judged) {
        self.shared.metrics.found(&judged.findings);
        if let Some(detection) = &mut self.detection {
            detection.adopt(judged);
        }
        for range in batch.ranges.iter() {
            self.reached.insert(range.at, range.next);
        }
    }

    async fn make_days(
        &mut self,
        days: &BTreeSet<Timestamp>,
        limits: &Limits,
    ) -> Result<Try<()>, StoreError> {
        loop {
            let missing = self.days.missing(days);
            if missing.is_empty() {
                return Ok(Try::Done(()));
            }
            let make = async |connection: &mut PgConnection| {
                let mut transaction = limits.begin(connection).await?;
                day_partitions::make(&mut transaction, &missing).await?;
                transaction.commit().await
            };
            match self.attempt(make).await? {
                Try::Done(()) => self.days.note(missing),
                failed => return Ok(failed),
            }
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

    /// Makes sure that the database takes writes, and that the stored offsets are not behind
    /// `positions`, where they once were.
    pub async fn check(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        while !self.shared.stop.is_cancelled() {
            let limits = Arc::clone(&self.limits);
            let look = async |connection: &mut PgConnection| {
                let mut transaction = limits.begin(connection).await?;
                let is_read_only: bool =
                    pg::within::query_scalar(IS_READ_ONLY).fetch_one(&mut *transaction).await?;
                let behind = offsets::behind(&mut transaction, positions).await?;
                transaction.commit().await?;
                Ok(match behind {
                    _ if is_read_only => Looked::ReadOnly,
                    Some(moved) => Looked::Behind(moved),
                    None => Looked::Good,
                })
            };
            match self.attempt(look).await? {
                Try::Done(Looked::Good) => {
                    self.works();
                    return Ok(());
                }
                Try::Done(Looked::Behind(moved)) => return Err(self.is_older(moved)),
                Try::Done(Looked::ReadOnly) => {
                    // Another server may be the one that takes writes by now.
                    self.connection = None;
                    let what = self.shared.database.what("looking after");
                    self.pause_for(&format!("{what}: it takes no writes at this moment")).await;
                }
                failed => self.pause_after(failed).await,
            }
        }
        Ok(())
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

const IS_READ_ONLY: &str = "select current_setting('transaction_read_only') = 'on'";
