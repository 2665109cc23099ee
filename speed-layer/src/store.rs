//! [`Store`]: the one connection to PostgreSQL, and trying again until it works.

pub mod day_partitions;
mod findings;
pub mod limits;
#[cfg(test)]
mod model;
mod offsets;
pub mod rights;
mod sources;
mod statements;
mod table;
mod transaction;
mod tries;
mod verdict;

pub use day_partitions::DayPartitions;
pub use transaction::write_ticks;

use crate::Shared;
use crate::batch::{Batch, Range};
use crate::detection::{Detection, Judged, Judging};
use crate::handover::{Answer, Begin, HeldBack, Position, Question, TRY_AGAIN};
use crate::health::Health;
use crate::outage::Outage;
use crate::presence;
use crate::source::{Source, SourceId, SourcePartition, TopicIdentity};
use anyhow::anyhow;
use common::Timestamp;
use limits::Limits;
use offsets::{Moved, Outcome};
use service::failure::one_line;
use service::telemetry::TRACED;
use service::{Failure, pg};
use sources::Admission;
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use table::Table;
use tracing::Instrument;
use tries::{Failures, Smaller, Try};
use verdict::Verdict;

/// How long a question may take that needs no lock.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a refused message is said.
const SAY_REFUSED_EVERY: Duration = Duration::from_secs(60);
/// How long partitions may be taken apart while others wait.
const TAKING_APART: Duration = Duration::from_secs(1);
/// How long they are left then, since others may have messages.
const TURN_OF_OTHERS: Duration = Duration::from_millis(500);
/// Of messages that took too long at once so many times fewer are tried.
const FEWER: u32 = 16;
/// When a try that is still going on is said to take long.
const LONG: Duration = Duration::from_secs(5);

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
    /// A part of the batch that is being written took too long: the parts of it are tried briefly,
    /// so that the one message that may be the cause is soon found.
    is_too_slow: bool,
    /// The last try failed: something of somebody's may be in the way.
    is_held_up: bool,
    /// Tries of the same that got no answer in time.
    unanswered: u32,
    /// How far each partition was when this store last wrote it: after a failover to an older state
    /// not only the partitions of the next batch are to be compared, but all of them.
    reached: BTreeMap<SourcePartition, i64>,
    /// The connection is new: what it shows has not been compared with `reached`.
    is_unchecked: bool,
    /// Since when an offset has been locked by somebody.
    busy_since: Option<Instant>,
    /// Partitions of which PostgreSQL does not take what comes next.
    held: BTreeMap<SourcePartition, Held>,
    /// Of those that were left out while they were taken apart: so many messages are tried first.
    sizes: BTreeMap<SourcePartition, u32>,
    /// When a message that is refused was last said.
    refused_said: Option<Instant>,
}

/// What becomes of the messages of a partition that PostgreSQL does not take on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// They are left out until it is located again, since those before them were.
    Back,
    /// The same, but nothing is in the way: others had their turn.
    Left,
    /// They are tried apart from the others', and briefly.
    OnTrial,
}

/// Why a batch or an assignment could not be completed.
pub enum StoreError {
    /// Another consumer has moved the partition's offset: this one writes nothing more in this
    /// session.
    Fenced(String),
    /// Only a person can help.
    Fatal(Failure),
}

/// What became of the parts of a partition.
enum Apart {
    Written,
    /// It is held back.
    Stands(Vec<HeldBack>),
    /// There was no more time, since parts of it are not taken, in these words.
    Left(String),
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
        self.held.clear();
        self.sizes.clear();
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
            is_too_slow: false,
            is_held_up: false,
            unanswered: 0,
            reached: BTreeMap::new(),
            is_unchecked: false,
            busy_since: None,
            held: BTreeMap::new(),
            sizes: BTreeMap::new(),
            refused_said: None,
        }
    }

    /// Whether nothing is written of a partition until it is located again.
    pub fn holds_back(&self, at: SourcePartition) -> bool {
        matches!(self.held.get(&at), Some(Held::Back | Held::Left))
    }

    fn is_held(&self, batch: &Batch) -> bool {
        !self.held.is_empty() && batch.ranges.iter().any(|range| self.held.contains_key(&range.at))
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
                Some(Smaller::TooMuch) => self.messages_at_once = self.note_too_slow(batch),
                Some(Smaller::Refused(_) | Smaller::NotTaken(_)) => {}
            }
        }
        let held_back = self.write_apart(batch, &mut meanwhile).await?;
        self.is_too_slow = false;
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        Ok(held_back)
    }

    /// Each partition by itself: first those that are written without more ado, then the others.
    async fn write_apart(
        &mut self,
        batch: &Batch,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Vec<HeldBack>, StoreError> {
        let (mut held_back, mut left) = (Vec::new(), Vec::new());
        for mut parts in batch.stacks() {
            let is_held_back = |part: &Batch| part.ranges.iter().any(|r| self.holds_back(r.at));
            if parts.iter().any(is_held_back) {
                continue;
            }
            match self.take_apart(&mut parts, Some(Instant::now()), meanwhile).await? {
                Apart::Written => {}
                Apart::Stands(one) => held_back.extend(one),
                Apart::Left(_) => left.push(parts),
            }
        }
        // Where all partitions are taken apart nobody waits for it.
        let is_waited_for = left.len() < self.reached.len();
        let until = is_waited_for.then(|| Instant::now() + TAKING_APART);
        // Where instances live shortly, each partition is first now and then.
        let turn = Timestamp::now().micros().unsigned_abs() as usize % left.len().max(1);
        left.rotate_left(turn);
        for mut parts in left {
            match self.take_apart(&mut parts, until, meanwhile).await? {
                Apart::Written => {}
                Apart::Stands(one) => held_back.extend(one),
                Apart::Left(why) => {
                    let Some(next) = parts.last() else { continue };
                    self.set_size(next);
                    let why =
                        format!("{why}; it is written in small parts, and the others meanwhile");
                    held_back.extend(self.hold_back(next, &why, Held::Left));
                }
            }
        }
        Ok(held_back)
    }

    /// Writes the parts of one partition, of which the last is the next one. Those that are not
    /// taken are made smaller, up to the first one behind `until`.
    async fn take_apart(
        &mut self,
        parts: &mut Vec<Batch>,
        until: Option<Instant>,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Apart, StoreError> {
        while let Some(part) = parts.pop() {
            if let Some(smaller) = self.not_more_than_is_tried(&part) {
                parts.extend(smaller.into_iter().rev());
                continue;
            }
            // One that stands alone is not given up for what was known of partitions, either.
            let tries = if part.messages > 1 { 1 } else { 2 };
            let Some(why) = self.write_at_once(&part, tries, meanwhile).await? else {
                self.try_more(&part, parts.is_empty());
                continue;
            };
            let words = why.words();
            match self.make_smaller(&part, why) {
                Ok(smaller) => parts.extend(smaller.into_iter().rev()),
                Err(why) => {
                    return Ok(Apart::Stands(self.hold_back(&part, &why, Held::Back)));
                }
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Apart::Left(words));
            }
        }
        Ok(Apart::Written)
    }

    /// A part of a partition in what is tried of it at once; `None` where that is all of it.
    fn not_more_than_is_tried(&self, part: &Batch) -> Option<Vec<Batch>> {
        let size = part.ranges.iter().find_map(|range| self.sizes.get(&range.at));
        let most = size.map_or(self.messages_at_once, |size| self.messages_at_once.min(*size));
        // One message may need more than fits.
        let is_small = part.messages <= 1 || part.fits(most);
        (!is_small).then(|| match size {
            Some(_) => part.first_apart(most),
            None => part.parts(most),
        })
    }

    /// A part was taken; where it `is_last`, the partition is as any other.
    fn try_more(&mut self, part: &Batch, is_last: bool) {
        for range in part.ranges.iter() {
            if is_last {
                self.held.remove(&range.at);
                self.sizes.remove(&range.at);
            } else if let Some(size) = self.sizes.get_mut(&range.at) {
                *size = size.saturating_mul(2);
            }
        }
    }

    /// As much of a partition is tried first when it is located again.
    fn set_size(&mut self, part: &Batch) {
        let size = part.messages.max(1);
        self.sizes.extend(part.ranges.iter().map(|range| (range.at, size)));
    }

    fn put_all_on_trial(&mut self, batch: &Batch) {
        self.held.extend(batch.ranges.iter().map(|range| (range.at, Held::OnTrial)));
    }

    /// Leaves out what comes next of a batch's partition.
    fn hold_back(&mut self, batch: &Batch, why: &str, held: Held) -> Vec<HeldBack> {
        let again = if held == Held::Left { TURN_OF_OTHERS } else { TRY_AGAIN };
        let of = |Range { at, start, .. }: Range| {
            self.held.insert(at, held);
            HeldBack { at, next: start, why: why.to_owned(), again }
        };
        batch.ranges.iter().map(of).collect()
    }

    /// `None` once it is in.
    async fn write_at_once(
        &mut self,
        batch: &Batch,
        tries: u32,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Option<Smaller>, StoreError> {
        let is_on_trial = self.is_held(batch);
        let limits = match (is_on_trial, self.is_too_slow) {
            (true, _) => Arc::new(self.limits.brief()),
            (false, true) => Arc::new(self.limits.quick()),
            (false, false) => Arc::clone(&self.limits),
        };
        let mut failures = Failures::none(tries, is_on_trial);
        // Once for all tries of the same.
        let judge = self.judge(batch).instrument(tracing::info_span!(target: TRACED, "judge"));
        let mut judging = judge.await?;
        loop {
            let begun = Instant::now();
            let mut at = Table::Days;
            let mut once = || meanwhile.take().into_iter().for_each(|meanwhile| meanwhile());
            let tried = match self.make_days(&batch.days, &limits).await? {
                Try::Done(()) => {
                    let write = async |connection: &mut PgConnection| {
                        let at = &mut at;
                        transaction::write(connection, &limits, batch, &mut judging, &mut once, at)
                            .await
                    };
                    let span = tracing::info_span!(target: TRACED, "transaction");
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
                        return Ok(smaller);
                    }
                }
            }
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
                return Ok((before.refused >= before.tries).then_some(Smaller::Refused(words)));
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
                ((is_more && at.is_written()).then_some(Smaller::TooMuch), words)
            }
            Try::TooMuch if is_more && at != Table::Days => (Some(Smaller::TooMuch), String::new()),
            Try::TooMuch => {
                let is_apart = before.is_enough();
                let why = format!("message {} alone takes too long", self.place(batch));
                (is_apart.then(|| Smaller::NotTaken("it takes too long".to_owned())), why)
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
        StoreError::Fenced(format!(
            "another instance has moved {}: the stored offset is {}, expected {}",
            self.name(moved.at),
            moved.found(),
            moved.expected
        ))
    }

    /// What the detectors will say of the batch, by states that are those of all that was committed
    /// before it.
    async fn judge<'a>(&mut self, batch: &'a Batch) -> Result<Judging<'a>, StoreError> {
        loop {
            let Some(detection) = &mut self.detection else {
                return Ok(Judging::nothing(batch));
            };
            let missing = detection.missing(batch);
            if missing.is_empty() {
                return Ok(detection.judge(batch));
            }
            let limits = Arc::clone(&self.limits);
            let read = async |connection: &mut PgConnection| {
                findings::read(connection, &limits, &missing).await
            };
            match self.attempt(read).await? {
                Try::Done(remembered) => {
                    if let Some(detection) = &mut self.detection {
                        for ((at, next), remembered) in missing.into_iter().zip(remembered) {
                            detection.restore(at, next, remembered);
                        }
                    }
                }
                failed => {
                    self.pause_after(failed, "reading what the detectors know takes too long").await
                }
            }
        }
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

    /// The smaller parts of one of a partition; of one message what is left without what is
    /// refused. `Err`: nothing is left to leave out, or to try apart from others, for this reason.
    fn make_smaller(&mut self, part: &Batch, why: Smaller) -> Result<Vec<Batch>, String> {
        let words = match why {
            Smaller::Locked(words) if self.is_held(part) => return Err(words),
            Smaller::Locked(_) => {
                self.put_all_on_trial(part);
                return Ok(part.by_partition());
            }
            Smaller::TooMuch => {
                let now = self.note_too_slow(part);
                if self.reached.len() <= 1 {
                    self.messages_at_once = now;
                }
                return Ok(part.parts(now));
            }
            Smaller::Refused(_) | Smaller::NotTaken(_) if part.messages > 1 => {
                return Ok(part.parts(part.messages.div_ceil(2)));
            }
            Smaller::NotTaken(words) => {
                self.set_size(part);
                return Err(format!("message {} cannot be written: {words}", self.place(part)));
            }
            Smaller::Refused(words) => words,
        };
        let at = self.place(part);
        let Some(kept) = part.without_what_is_refused(&words) else {
            return Err(format!("rejected_ticks takes no row for message {at}: {words}"));
        };
        self.say_refused(&at, &words);
        Ok(vec![kept])
    }

    /// How many messages of a batch that takes too long are tried at once.
    fn note_too_slow(&mut self, batch: &Batch) -> u32 {
        self.is_too_slow = true;
        let messages = batch.messages;
        let why = format!("PostgreSQL takes too long for {messages} messages at once");
        self.shared.health.database.fails_for(self.writer, why.clone());
        let now = messages.div_ceil(FEWER);
        tracing::warn!(messages, "{why}: now {now}");
        now
    }

    /// Of a batch of one message.
    fn place(&self, batch: &Batch) -> String {
        let of = |range: Range| format!("{}/{}", self.name(range.at), range.next - 1);
        batch.ranges.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// All of them stand in `rejected_ticks`; now and then one is said.
    fn say_refused(&mut self, at: &str, words: &str) {
        if self.refused_said.is_none_or(|said| said.elapsed() >= SAY_REFUSED_EVERY) {
            self.refused_said = Some(Instant::now());
            tracing::warn!(
                message_at = at,
                error = words,
                "PostgreSQL refuses message {at}, which rejected_ticks is to keep: {words}; others of the next minute \
                 are kept without a word"
            );
        } else {
            tracing::debug!(
                message_at = at,
                error = words,
                "PostgreSQL refuses message {at}: {words}"
            );
        }
    }

    /// After a batch that had to be small was quick, the next ones may be larger.
    fn take_more(&mut self, batch: &Batch, took: Duration) {
        if batch.messages >= self.messages_at_once / 2 && took < self.limits.patience() / 4 {
            self.messages_at_once = self.messages_at_once.saturating_mul(2);
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

    /// Which sources the topics are.
    pub async fn identify(&mut self, topics: &[TopicIdentity]) -> Result<Vec<Source>, StoreError> {
        let mut sources = Vec::with_capacity(topics.len());
        for topic in topics {
            let (shared, limits) = (Arc::clone(&self.shared), Arc::clone(&self.limits));
            let ask = async |connection: &mut PgConnection| {
                sources::identify(connection, (&shared.config, &limits), &shared.metrics, topic)
                    .await
            };
            match self.until_done("entering a topic takes too long", ask).await? {
                Admission::Granted(source) => {
                    self.shared.note_topic(source.id, topic);
                    sources.push(source);
                }
                Admission::Refused(why) => {
                    return Err(StoreError::Fatal(Failure::Configuration(why)));
                }
            }
        }
        Ok(sources)
    }

    /// Where to begin with each of the partitions.
    pub async fn locate(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        if let Some(detection) = &mut self.detection {
            questions.iter().for_each(|question| detection.forget(question.at));
        }
        self.put_on_trial(questions);
        let (shared, limits) = (Arc::clone(&self.shared), Arc::clone(&self.limits));
        let (config, metrics) = (&shared.config, &shared.metrics);
        let ask = async |connection: &mut PgConnection| {
            offsets::locate(connection, config, &limits, metrics, questions).await
        };
        let answers = self.until_done("reading the offsets takes too long", ask).await?;
        if self.detection.is_none() {
            self.forget_detectors(questions).await?;
        }
        self.note_busy(&answers);
        // What was never written in this session may be missing from another server as well.
        let begun = |answer: &Answer| match answer.start {
            Begin::At(next) => Some((answer.at, next)),
            Begin::Busy | Begin::AskKafka | Begin::Gap(_) => None,
        };
        self.reached.extend(answers.iter().filter_map(begun));
        Ok(answers)
    }

    /// What is located anew may be tried once more. Whoever holds up a partition may be frozen or
    /// gone, which is looked for when the connection is made.
    fn put_on_trial(&mut self, questions: &[Question]) {
        for question in questions {
            let Some(held) = self.held.get_mut(&question.at) else { continue };
            if std::mem::replace(held, Held::OnTrial) == Held::Back {
                self.connection = None;
                self.is_held_up = true;
            }
        }
    }

    /// Forgets partitions that are another instance's from now on: what is known of them would take
    /// memory, and grow old. Those that come back are located anew.
    pub fn give_up(&mut self, partitions: &[SourcePartition]) {
        self.reached.retain(|at, _| !partitions.contains(at));
        let Some(detection) = &mut self.detection else { return };
        partitions.iter().for_each(|at| detection.forget(*at));
        let (forgotten, left) = (partitions.len(), detection.count());
        tracing::debug!("gave up {forgotten} partitions; the detectors know {left} others");
    }

    /// Ticks that no detector looks at would be a silence, and a jump, to those that go on from
    /// before them.
    async fn forget_detectors(&mut self, questions: &[Question]) -> Result<(), StoreError> {
        let partitions: Vec<_> = questions.iter().map(|question| question.at).collect();
        let limits = Arc::clone(&self.limits);
        let clear = async |connection: &mut PgConnection| {
            let mut transaction = limits.begin(connection).await?;
            findings::clear(&mut transaction, &partitions).await?;
            transaction.commit().await
        };
        self.until_done("forgetting what the detectors know takes too long", clear).await
    }

    /// An offset that stays locked for longer than any batch may take is a frozen writer's, which
    /// nothing else ends.
    fn note_busy(&mut self, answers: &[Answer]) {
        if !answers.iter().any(|answer| answer.start == Begin::Busy) {
            self.busy_since = None;
            return;
        }
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.limits.patience() {
            self.busy_since = None;
            self.connection = None;
            self.is_held_up = true;
        }
    }

    /// Makes sure that the database takes writes, and that the stored offsets are not behind
    /// `positions`, where they once were.
    pub async fn check(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        while !self.shared.stop.is_cancelled() {
            let limits = Arc::clone(&self.limits);
            let look = async |connection: &mut PgConnection| {
                let mut transaction = limits.begin(connection).await?;
                let is_read_only: bool =
                    pg::query_scalar(IS_READ_ONLY).fetch_one(&mut *transaction).await?;
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
                failed => self.pause_after(failed, "reading the offsets takes too long").await,
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

    /// Tries until it is done; `long` is said where that takes longer than the limits.
    async fn until_done<T>(
        &mut self,
        long: &str,
        mut work: impl AsyncFnMut(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        loop {
            match self.attempt(&mut work).await? {
                Try::Done(done) => {
                    self.works();
                    return Ok(done);
                }
                failed => self.pause_after(failed, long).await,
            }
        }
    }

    /// One try on a live connection; a pause after a failure that trying again may cure.
    async fn attempt<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<Try<T>, StoreError> {
        let mut connection = match self.connect_if_needed().await {
            Ok(connection) => connection,
            Err(failure) => {
                self.pause(&failure).await;
                return Ok(Try::Again);
            }
        };
        let what = self.shared.database.what("writing to");
        let unchecked =
            self.is_unchecked.then(|| (self.positions_reached(), self.shared.topics().clone()));
        let (limits, begun) = (Arc::clone(&self.limits), Instant::now());
        let working = async {
            match compare_all(&mut connection, &limits, unchecked.as_ref()).await? {
                Some(other) => Ok(Worked::Elsewhere(other)),
                None => work(&mut connection).await.map(Worked::Done),
            }
        };
        let working = tokio::time::timeout(self.limits.patience(), working);
        let health = &self.shared.health;
        let Ok(worked) = unless_long(health, self.writer, &mut self.outage, &what, working).await
        else {
            drop(connection);
            return self.note_unanswered(what).await;
        };
        match worked {
            Ok(Worked::Done(done)) => {
                self.is_unchecked = false;
                self.connection = Some(connection);
                Ok(Try::Done(done))
            }
            Ok(Worked::Elsewhere(Other::Older(moved))) => Err(self.is_older(moved)),
            Ok(Worked::Elsewhere(Other::Numbers(why))) => {
                self.shared.topics().clear();
                Err(StoreError::Fenced(why))
            }
            Err(error) => self.note_failed(connection, error, begun.elapsed()).await,
        }
    }

    /// What follows from a try that PostgreSQL has not answered.
    async fn note_unanswered<T>(&mut self, what: String) -> Result<Try<T>, StoreError> {
        self.forget();
        self.is_held_up = true;
        self.unanswered += 1;
        let patience = self.limits.patience().as_secs();
        let why = format!("{what}: no answer within {patience} s (--writer-timeout)");
        // Once may be a standby that the commit waits for: then the next try finds a lock, or that
        // all is in.
        if self.unanswered > 1 {
            return Ok(Try::Unanswered(why));
        }
        self.pause_for(&why).await;
        Ok(Try::Again)
    }

    /// What follows from a try that PostgreSQL has answered by an error.
    async fn note_failed<T>(
        &mut self,
        connection: PgConnection,
        error: sqlx::Error,
        took: Duration,
    ) -> Result<Try<T>, StoreError> {
        let verdict = Verdict::of(&error, took);
        let is_of_a_lock = verdict == Verdict::Locked;
        if !is_of_a_lock {
            self.forget();
            // A lock may be that of the try before, which nobody waits for any more.
            self.unanswered = 0;
        }
        // Where only the way was cut, nobody is to be ended for it: an index may take longer than
        // the way holds.
        self.is_held_up = matches!(verdict, Verdict::Locked | Verdict::TooMuch);
        match verdict {
            Verdict::Refused(_) => self.keep_after_rollback(connection).await,
            // Before the pause: the server counts it as long as it is open.
            _ => drop(connection),
        }
        let words = |error| self.shared.database.failure("writing to", error);
        Ok(match verdict {
            Verdict::Refused(words) => Try::Refused(words),
            Verdict::TooMuch => Try::TooMuch,
            Verdict::Locked => Try::Locked(words(error).to_string()),
            Verdict::Broken => Try::Broken(pg::describe(&error)),
            Verdict::Other => {
                let failure = words(error);
                self.pause(&failure).await;
                Try::Again
            }
        })
    }

    /// The connection may be in the middle of anything: a new one costs less than finding out. What
    /// was known of partitions may be what is wrong.
    fn forget(&mut self) {
        self.days = DayPartitions::default();
    }

    async fn connect_if_needed(&mut self) -> Result<PgConnection, Failure> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = self.shared.database.connect().await?;
        note_database(&self.shared, &mut connection).await?;
        self.is_unchecked = true;
        if std::mem::take(&mut self.is_held_up) {
            let ended =
                pg::in_time(self.limits.patience(), self.limits.clear_the_way(&mut connection))
                    .await;
            let ended = ended.map_err(|error| {
                self.shared.database.failure("looking for abandoned sessions in", error)
            })?;
            if ended > 0 {
                tracing::warn!(
                    ended,
                    "ended {ended} sessions that held up this one: a frozen instance's, or upkeep's"
                );
            }
        }
        Ok(connection)
    }

    /// A connection whose statement was refused is good for the next one: with a new one for each,
    /// a few messages that are refused would hold up all others.
    async fn keep_after_rollback(&mut self, mut connection: PgConnection) {
        let rolled_back =
            pg::in_time(self.limits.patience(), sqlx::raw_sql("rollback").execute(&mut connection))
                .await;
        if rolled_back.is_ok() {
            self.connection = Some(connection);
        }
    }

    fn positions_reached(&self) -> Vec<Position> {
        self.reached.iter().map(|(at, next)| Position { at: *at, next: *next }).collect()
    }

    /// What was asked for is done, and not only a step on the way to it.
    fn works(&mut self) {
        self.unanswered = 0;
        self.outage.over();
        self.shared.health.database.holds_for(self.writer);
    }

    /// Waits before what has failed is tried again; `long` is said where it took too long.
    async fn pause_after<T>(&mut self, failed: Try<T>, long: &str) {
        if let Some(why) = failed.why(long) {
            self.pause_for(&why).await;
        }
    }

    async fn pause_for(&mut self, why: &str) {
        self.shared.health.database.fails_for(self.writer, one_line(&why));
        self.outage.failed(&why).await;
    }

    /// What was right when the process began ([`Store::open`]) is somebody's change since, or a
    /// moment's: a restart would cure it no sooner.
    async fn pause(&mut self, failure: &Failure) {
        self.pause_for(&failure.reason()).await;
    }
}

/// Fails where this user may not do what a run does.
async fn may_write(shared: &Shared, connection: &mut PgConnection) -> Result<(), Failure> {
    let asked = pg::in_time(LOOK_TIMEOUT, rights::missing(connection)).await;
    let missing = asked
        .map_err(|error| shared.database.failure("asking for this user's rights in", error))?;
    match missing {
        None => Ok(()),
        Some(rights) => Err(Failure::Configuration(anyhow!(
            "this user has no right to {rights} in PostgreSQL at {} (--database-url)",
            shared.database.address()
        ))),
    }
}

/// Learns which database it is: its server's number, which a standby shares, and its own. In a
/// transaction, since behind a pooler a question and its parts may else meet different sessions.
async fn note_database(shared: &Shared, connection: &mut PgConnection) -> Result<(), Failure> {
    let ask = async {
        let mut transaction = connection.begin().await?;
        let may: bool = pg::query_scalar(MAY_ASK_FOR_SYSTEM).fetch_one(&mut *transaction).await?;
        let system: i64 = match may {
            true => {
                pg::query_scalar("select system_identifier from pg_control_system()")
                    .fetch_one(&mut *transaction)
                    .await?
            }
            false => 0,
        };
        let database: i64 = pg::query_scalar(DATABASE_NUMBER).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::Result::Ok((system, database))
    };
    let asked = pg::in_time(LOOK_TIMEOUT, ask).await;
    let (system, database) =
        asked.map_err(|error| shared.database.failure("asking for the identity of", error))?;
    shared.note_database(presence::short_digest(&format!("{system}/{database}")));
    Ok(())
}

/// Learns when offsets were last skipped: who skips some and ends before Prometheus asks it would
/// take the news with it.
async fn note_last_gap(shared: &Shared, connection: &mut PgConnection) -> Result<(), Failure> {
    let ask = async {
        let mut transaction = connection.begin().await?;
        let at: i64 = pg::query_scalar(LAST_GAP).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::Result::Ok(at)
    };
    let asked = pg::in_time(LOOK_TIMEOUT, ask).await;
    let at = asked.map_err(|error| shared.database.failure("reading kafka_gaps of", error))?;
    shared.metrics.note_last_gap(at);
    Ok(())
}

const LAST_GAP: &str =
    "select coalesce(extract(epoch from max(recorded_at))::int8, 0) from kafka_gaps";
/// Some providers may take this right away.
const MAY_ASK_FOR_SYSTEM: &str = "select has_function_privilege('pg_control_system()', 'execute')";
const DATABASE_NUMBER: &str =
    "select oid::int8 from pg_database where datname = current_database()";
const IS_READ_ONLY: &str = "select current_setting('transaction_read_only') = 'on'";

/// Carries on with `work`; where that takes long, says so.
async fn unless_long<T>(
    health: &Health,
    writer: u8,
    outage: &mut Outage,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(LONG, &mut work).await {
        return done;
    }
    let why = format!("{what}: no answer for {} s, perhaps because of a lock", LONG.as_secs());
    health.database.fails_for(writer, why.clone());
    outage.waits(&why);
    work.await
}

/// What came of work on a connection.
enum Worked<T> {
    Done(T),
    /// It was not begun.
    Elsewhere(Other),
}

/// In what a database is not the one that was left.
enum Other {
    /// It is an older state of it.
    Older(Moved),
    /// Its sources are other topics.
    Numbers(String),
}

/// Whether a new connection shows another database than was left, or an older state of it.
async fn compare_all(
    connection: &mut PgConnection,
    limits: &Limits,
    left: Option<&(Vec<Position>, BTreeMap<SourceId, TopicIdentity>)>,
) -> sqlx::Result<Option<Other>> {
    let Some((positions, topics)) =
        left.filter(|(positions, topics)| !(positions.is_empty() && topics.is_empty()))
    else {
        return Ok(None);
    };
    let mut transaction = limits.begin(connection).await?;
    let other = match sources::renumbered(&mut transaction, topics).await? {
        Some(why) => Some(Other::Numbers(why)),
        None => offsets::behind(&mut transaction, positions).await?.map(Other::Older),
    };
    transaction.commit().await?;
    Ok(other)
}
