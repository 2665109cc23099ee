//! [`Partition`]: what this instance does with one partition, as a state machine. It knows neither
//! Kafka's client nor SQL: events come in, and what is to be done goes out. docs/partitions.md has
//! its table.

use crate::handover::{Begin, SeenEnd, TRY_AGAIN, Watermarks};
use std::time::{Duration, Instant};

/// A partition that is stalled is tried again after this time.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);
/// One whose last owner is still writing, after this time.
const ASK_SOON: Duration = Duration::from_millis(200);
/// If the store does not say for so long where to begin, Kafka is asked for the log's end.
const START_LONG_UNKNOWN: Duration = Duration::from_secs(1);
/// A registry that gives a schema within this time has not kept anybody waiting.
const GIVEN_WITHIN: Duration = Duration::from_secs(3);
/// Kafka's client may be given a partition again so long after it was taken from it: the client
/// ends its reading in the background, and would then forget where the messages go.
const FORGETS_AFTER: Duration = Duration::from_millis(500);
/// Why its row of `kafka_offsets` says nothing.
const LOCKED: &str = "its row of kafka_offsets is locked, by an instance that has not ended its batch or by another \
                      session";
/// A stall is over once the partition was read for so long: one that is written in small parts
/// stalls again after each of them.
const RECOVERED_AFTER: Duration = Duration::from_secs(3);

/// Where a partition of the assignment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The group gave it; where to begin is being found out.
    Assigned,
    /// Where to begin is known; Kafka's client has not been told yet.
    StartKnown,
    /// Its messages come and are taken.
    Reading,
    /// Its messages are not taken; the others' are.
    Stalled(Stall),
}

/// Why a partition is stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stall {
    /// Kafka does not have the next offset; what it has is being asked.
    OutOfRange,
    /// Offsets are gone, and a person must decide.
    Gap(String),
    /// What is stored at the next offset cannot be read.
    Damaged(String),
    /// Kafka has messages, and none of them comes.
    Silent,
    /// Kafka does not let this user read it any more; in its words.
    Forbidden(String),
    /// The next message is of this schema, which the registry has not given yet.
    Schema(u32),
    /// PostgreSQL does not take its next message: somebody holds what it needs, or refuses it.
    HeldBack,
}

impl State {
    /// Whether it is known which offset comes next, and nothing was refused.
    fn has_begun(&self) -> bool {
        match self {
            Self::Assigned
            | Self::StartKnown
            | Self::Stalled(Stall::OutOfRange | Stall::Gap(_)) => false,
            Self::Reading
            | Self::Stalled(
                Stall::Damaged(_)
                | Stall::Silent
                | Stall::Forbidden(_)
                | Stall::Schema(_)
                | Stall::HeldBack,
            ) => true,
        }
    }
}

/// What happens to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The store says where to begin.
    Answered(Begin),
    /// Kafka says what it has, and when it was asked.
    Measured(Watermarks, Instant),
    /// Kafka's client was told to read it, and where to begin.
    ClientAssigned,
    /// Kafka's client was told to read it no more.
    ClientUnassigned,
    /// Kafka's client waits with it.
    Paused,
    /// The client reported an error for this partition. It counts the error as a message, so its
    /// position may be one too high.
    ClientError,
    /// Kafka does not know its topic.
    Unknown,
    /// Kafka does not let this user read it; in its words.
    Forbidden(String),
    /// The broker does not have the offset that was asked for.
    OutOfRange,
    /// The client could not make messages of a batch, for this reason.
    Damaged(String),
    /// The first offset from `from` on that can be read.
    Readable { from: i64, offset: i64 },
    /// Kafka lets this user read it.
    Allowed,
    /// A message is of a schema that is not known.
    LacksSchema(u32),
    /// The schema that it waits for is known.
    SchemaKnown,
    /// The store skipped this partition's next messages: the reason, and when to ask again.
    HeldBack(HoldReason),
    /// Kafka's client finds no leader for it: what it has then may end before the next offset.
    Leaderless,
    /// Kafka has more, and nothing has come for a while.
    NothingComes,
    /// Nothing has changed for [`ASK_AGAIN`].
    Waited,
    /// Kafka's client could not go to the offset that it was told.
    SeekFailed,
    /// What was read of it and not written yet was dropped.
    BatchDropped,
}

/// What an event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the store where to begin.
    AskStore,
    /// Ask Kafka what it has.
    AskKafka,
    /// Find the first offset from [`Partition::next`] on that can be read.
    FindReadable,
    /// Ask Kafka whether it lets this user read on.
    AskAllowed,
    /// Ask the registry for the schema.
    AskSchema(u32),
    /// Tell Kafka's client to read on at [`Partition::resume_at`].
    Seek,
    /// Tell Kafka's client to wait with it.
    Pause,
    /// Tell Kafka's client to read it no more.
    Unassign,
}

/// What to do with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was taken before, or the partition is stalled.
    No,
    /// It is the next one; `expected` was to come. Offsets between them are no messages (a
    /// transaction's marker, or compaction), unless `lost` says that they were damaged. `is_again`:
    /// it was taken before the store held it back.
    Yes { expected: i64, lost: bool, is_again: bool },
}

/// Messages that cannot be read.
#[derive(Debug)]
struct Damage {
    why: String,
    /// The first offset behind them that can be read.
    end: i64,
}

/// Why what comes next was not written, and when to ask the store about it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldReason {
    pub why: String,
    pub retry_after: Duration,
}

/// A stall that was logged, and whose end was not yet.
#[derive(Debug)]
struct LoggedStall {
    since: Instant,
    /// The offset that was to be read next when it began.
    next: i64,
    /// Its reason, without the numbers in it.
    why: String,
    /// Since when the partition is read again. `None`: it is not.
    over_since: Option<Instant>,
}

/// One partition of the assignment.
#[derive(Debug)]
pub struct Partition {
    pub state: State,
    /// Counts the assignments of this process, so that an answer about an earlier one is known.
    pub assignment: u64,
    /// The offset to read next.
    pub next: i64,
    /// The offset up to which everything is committed in PostgreSQL, exclusive.
    pub written: i64,
    /// The offset that Kafka has acknowledged as committed, exclusive.
    pub acknowledged: i64,
    /// The next offset when it was begun, or had no leader, until Kafka has said whether its log
    /// ends before that. `None`: nothing is to be checked.
    unchecked_start: Option<i64>,
    /// Answers to what Kafka was asked before this time say nothing about this offset, or about the
    /// refused one.
    stale_before: Instant,
    /// Offsets before this one were taken once, and held back by the store.
    taken_to: i64,
    /// What Kafka has, as far as it was asked.
    pub watermarks: Option<Watermarks>,
    /// The offset that Kafka has refused.
    pub refused: Option<i64>,
    /// Where Kafka's log ended when that was seen to be before the refused offset: what has come
    /// since is other messages, also where the offsets agree again.
    pub truncated_at: Option<i64>,
    /// The gap that a person must decide about, for people.
    gap: Option<String>,
    /// Whether Kafka's client has it.
    in_client: bool,
    /// Since when it has not, if it had it.
    unassigned_at: Option<Instant>,
    /// The client's own position is of no use until it was told where to read, or has given a
    /// message.
    pub is_displaced: bool,
    /// Why what comes next could not be written. `None` once it is written.
    hold: Option<HoldReason>,
    /// What lies between `next` and the next message.
    damage: Option<Damage>,
    /// When its state, or what is to be done about it, last changed.
    pub changed_at: Instant,
    /// Since when it has waited for its start offset, or for a schema.
    waiting_since: Instant,
    /// The store was asked where to begin, and has not answered.
    is_store_asked: bool,
    /// Why the store, when it was last asked, did not say where to begin.
    start_failure: Option<String>,
    /// Whether its present trouble was logged.
    is_trouble_logged: bool,
    /// Its last stall that was logged, until its end is logged as well.
    logged_stall: Option<LoggedStall>,
    /// The lowest end of Kafka's log that was seen before it was known where to begin, or when it
    /// was truncated.
    pub seen_end: Option<SeenEnd>,
    /// The `seen_end` that the store was given when it was last asked.
    end_given_to_store: Option<SeenEnd>,
    /// What is to be done next, and when.
    wanted: Option<(Action, Instant)>,
    /// `--on-gap skip`.
    skips: bool,
}

impl Partition {
    /// `skips`: what cannot be read is passed over and recorded (`--on-gap skip`).
    pub fn new(assignment: u64, skips: bool, now: Instant) -> Self {
        Self {
            state: State::Assigned,
            assignment,
            next: -1,
            written: -1,
            acknowledged: -1,
            unchecked_start: None,
            stale_before: now,
            taken_to: -1,
            watermarks: None,
            refused: None,
            truncated_at: None,
            gap: None,
            in_client: false,
            unassigned_at: None,
            is_displaced: false,
            hold: None,
            damage: None,
            changed_at: now,
            waiting_since: now,
            is_store_asked: false,
            start_failure: None,
            is_trouble_logged: false,
            logged_stall: None,
            seen_end: None,
            end_given_to_store: None,
            wanted: Some((Action::AskStore, now)),
            skips,
        }
    }

    /// State x event. What is not written out changes nothing: the event came too late.
    pub fn on(&mut self, event: Event, now: Instant) {
        use {Action as A, Event as E, Stall as St, State as S};
        if let E::Answered(begin) = &event {
            self.start_failure = match begin {
                Begin::Busy => Some(LOCKED.to_owned()),
                Begin::Failed { why, .. } => {
                    Some(format!("PostgreSQL does not take what that needs: {why}"))
                }
                Begin::At(_) | Begin::AfterGap(_) | Begin::AskKafka | Begin::Gap(_) => None,
            };
            self.is_store_asked = false;
        }
        let (state, wanted) = match (&self.state, event) {
            // The store is asked again once the client reads it no more.
            (_, E::Answered(_)) if self.is_to_unassign() => return,
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::At(next)))
                if self.is_cut_before(next) =>
            {
                // The store was asked before what was read was held back, or before the end was
                // seen.
                self.refused = self.refused.map(|_| next);
                let ask = if self.watermarks.is_some() { A::AskStore } else { A::AskKafka };
                (self.state.clone(), Some((ask, now)))
            }
            (
                S::Assigned | S::Stalled(St::OutOfRange),
                E::Answered(Begin::At(next) | Begin::AfterGap(next)),
            ) => {
                self.begin(next);
                self.taken_to = -1;
                (S::StartKnown, None)
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::AskKafka)) => {
                (self.refused, self.truncated_at) = (None, None);
                (S::Assigned, Some((A::AskKafka, now)))
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::Busy)) => {
                (self.state.clone(), Some((A::AskStore, now + ASK_SOON)))
            }
            (
                S::Assigned | S::Stalled(St::OutOfRange | St::HeldBack),
                E::Answered(Begin::Failed { retry_after, .. }),
            ) => (self.state.clone(), Some((A::AskStore, now + retry_after))),
            (S::Assigned | S::Stalled(St::OutOfRange), E::Measured(watermarks, asked)) => {
                let is_old = asked < self.stale_before;
                if !is_old {
                    self.watermarks = Some(watermarks);
                    if self.refused.is_some_and(|refused| refused > watermarks.high) {
                        self.note_end(watermarks.high);
                    }
                    // The log may grow to the stored offset before the store says which that is.
                    self.see_end(watermarks.high, asked);
                }
                if self.is_to_unassign() {
                    return;
                }
                let ask = if is_old { A::AskKafka } else { A::AskStore };
                // The store has said when it is to be asked again.
                let is_later = |(action, _): &(A, Instant)| *action == A::AskStore;
                (self.state.clone(), self.wanted.filter(is_later).or(Some((ask, now))))
            }
            (S::Assigned, E::Waited) => (S::Assigned, Some((A::AskKafka, now))),
            (S::StartKnown, E::ClientAssigned) => {
                (self.in_client, self.is_displaced) = (true, false);
                self.begin_start_check(now);
                (S::Reading, self.unchecked_start.map(|_| (A::AskKafka, now)))
            }
            (state, E::Leaderless) if state.has_begun() => {
                // Each answer would be too old if each question began the check again.
                if self.unchecked_start.is_none() {
                    self.begin_start_check(now);
                }
                return;
            }
            (S::Reading, E::Waited) if self.unchecked_start.is_some() => {
                (S::Reading, Some((A::AskKafka, now)))
            }
            (state, E::Measured(watermarks, asked))
                if state.has_begun() && asked >= self.stale_before =>
            {
                match self.unchecked_start.take() {
                    Some(begun) if watermarks.high < begun => {
                        // The log may grow to the next offset before the client asks for that.
                        self.note_end(watermarks.high);
                        self.see_end(watermarks.high, asked);
                        self.refused = Some(self.next_in_store());
                        (S::Stalled(St::OutOfRange), Some((A::Unassign, now)))
                    }
                    _ => return,
                }
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::ClientError) => {
                self.is_displaced = true;
                (self.state.clone(), Some((A::Seek, now)))
            }
            (S::Reading | S::Stalled(St::Silent), E::Forbidden(why)) => {
                self.is_displaced = true;
                (S::Stalled(St::Forbidden(why)), Some((A::Seek, now)))
            }
            (
                S::Reading
                | S::Stalled(
                    St::Damaged(_) | St::Silent | St::Forbidden(_) | St::Schema(_) | St::HeldBack,
                ),
                E::SeekFailed | E::BatchDropped | E::Unknown,
            ) => {
                self.waiting_since = now;
                (S::Assigned, Some((A::Unassign, now)))
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::OutOfRange) => {
                (self.refused, self.stale_before) = (Some(self.next), now);
                (S::Stalled(St::OutOfRange), Some((A::Unassign, now)))
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::ClientUnassigned) => {
                (self.in_client, self.unassigned_at) = (false, Some(now));
                let ask = if self.state == S::Assigned { A::AskStore } else { A::AskKafka };
                (self.state.clone(), Some((ask, now)))
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::Gap(why))) => {
                // Another trouble may have been logged.
                (self.is_trouble_logged, self.gap) = (false, Some(why.clone()));
                (S::Stalled(St::Gap(why)), None)
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::Damaged(why)) => {
                // The batch may have begun before the next offset, and is of no use as a whole.
                self.is_displaced = true;
                (S::Stalled(St::Damaged(why)), Some((A::Pause, now)))
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::LacksSchema(id)) => {
                (self.is_displaced, self.is_trouble_logged, self.waiting_since) =
                    (true, false, now);
                (S::Stalled(St::Schema(id)), Some((A::Pause, now)))
            }
            (S::Stalled(St::Schema(_)), E::SchemaKnown) => {
                self.is_trouble_logged = false;
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Stalled(St::Schema(id)), E::Waited) => {
                (self.state.clone(), Some((A::AskSchema(*id), now)))
            }
            (
                S::Reading
                | S::Stalled(St::Silent | St::Forbidden(_) | St::Schema(_) | St::Damaged(_)),
                E::HeldBack(reason),
            ) => {
                // What the client has given since is not written, and why it was stalled comes
                // later.
                self.is_trouble_logged &= self.state == S::Reading;
                (self.is_displaced, self.hold) = (true, Some(reason));
                self.taken_to = self.taken_to.max(self.next);
                (S::Stalled(St::HeldBack), Some((A::Pause, now)))
            }
            (S::Stalled(St::HeldBack), E::Paused | E::Answered(Begin::Busy)) => {
                let retry_after = self.hold.as_ref().map_or(TRY_AGAIN, |hold| hold.retry_after);
                (self.state.clone(), Some((A::AskStore, now + retry_after)))
            }
            (S::Stalled(St::HeldBack), E::Answered(Begin::At(next) | Begin::AfterGap(next))) => {
                // Whether it is over shows when something of it is written.
                let was_logged = self.is_trouble_logged;
                self.begin(next);
                self.is_trouble_logged = was_logged;
                self.begin_start_check(now);
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Stalled(St::HeldBack), E::Answered(Begin::AskKafka | Begin::Gap(_))) => {
                self.waiting_since = now;
                (S::Assigned, Some((A::Unassign, now)))
            }
            (S::Stalled(St::HeldBack), E::Waited) => (self.state.clone(), Some((A::AskStore, now))),
            (S::Stalled(St::Damaged(why)), E::Readable { from, offset })
                if from == self.next && offset >= from =>
            {
                // If it is the next offset, nothing before it was lost.
                let is_lost = offset > self.next;
                self.damage = is_lost.then(|| Damage { why: why.clone(), end: offset });
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Reading, E::NothingComes) => (S::Stalled(St::Silent), Some((A::Seek, now))),
            (S::Stalled(St::Silent), E::Waited) => (S::Stalled(St::Silent), Some((A::Seek, now))),
            (S::Stalled(St::Forbidden(_)), E::Waited) => {
                (self.state.clone(), Some((A::AskAllowed, now)))
            }
            (S::Stalled(St::Forbidden(_)), E::Allowed) => {
                self.is_trouble_logged = false;
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Stalled(St::Gap(_) | St::OutOfRange), E::Waited) => {
                (S::Stalled(St::OutOfRange), Some((A::AskKafka, now)))
            }
            (S::Stalled(St::Damaged(_)), E::Waited) if self.skips => {
                (self.state.clone(), Some((A::FindReadable, now)))
            }
            (S::Stalled(St::Damaged(_)), E::Waited) => (S::Reading, Some((A::Seek, now))),
            (S::Stalled(St::Damaged(_)), E::Paused) if self.skips => {
                (self.state.clone(), Some((A::FindReadable, now)))
            }
            _ => return,
        };
        self.state = state;
        self.wanted = wanted;
        self.changed_at = now;
    }

    /// What is to be done now; once. The store is asked again only once it has answered: it may be
    /// away for hours, and works off what it was asked before it writes.
    pub fn take_wanted(&mut self, now: Instant) -> Option<Action> {
        let is_store_asked = self.is_store_asked;
        let is_now = |(action, when): &mut (Action, Instant)| {
            *when <= now && !(is_store_asked && *action == Action::AskStore)
        };
        let (action, _) = self.wanted.take_if(is_now)?;
        if action == Action::AskStore {
            (self.is_store_asked, self.end_given_to_store) = (true, self.seen_end);
        }
        Some(action)
    }

    /// Puts back an action that cannot be done yet.
    pub fn put_back(&mut self, action: Action, now: Instant) {
        self.is_store_asked &= action != Action::AskStore;
        self.wanted = Some((action, now));
    }

    /// Whether Kafka's client is still to be told to read it no more.
    fn is_to_unassign(&self) -> bool {
        matches!(self.wanted, Some((Action::Unassign, _)))
    }

    /// The offset that comes next in the store.
    fn next_in_store(&self) -> i64 {
        if self.state == State::Stalled(Stall::HeldBack) { self.written } else { self.next }
    }

    /// Kafka is to say whether its log ends before the next offset.
    fn begin_start_check(&mut self, now: Instant) {
        self.unchecked_start = Some(self.next_in_store()).filter(|next| *next > 0);
        self.stale_before = now;
    }

    /// Kafka's log ended there, before the refused offset.
    fn note_end(&mut self, end: i64) {
        self.truncated_at = Some(self.truncated_at.map_or(end, |before| before.min(end)));
    }

    fn see_end(&mut self, offset: i64, asked: Instant) {
        if self.seen_end.is_none_or(|seen| offset < seen.offset) {
            self.seen_end = Some(SeenEnd { offset, asked });
        }
    }

    /// Whether the log may have been truncated before `next`, which the store could not know: it
    /// was not told so about that offset.
    fn is_cut_before(&self, next: i64) -> bool {
        let is_refused = self.truncated_at.is_some_and(|end| end < next)
            && self.refused.is_some_and(|refused| refused >= next);
        let is_seen = self.seen_end.is_some_and(|seen| seen.offset < next);
        is_refused || is_seen && self.seen_end != self.end_given_to_store
    }

    /// Whether what lies before the next message cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Whether nothing is to be done about it.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Reading)
            && self.wanted.is_none()
            && self.unchecked_start.is_none()
    }

    /// Whether Kafka's client has it.
    pub fn is_in_client(&self) -> bool {
        self.in_client
    }

    /// Whether Kafka's client may be told to take it up.
    pub fn is_ready(&self, now: Instant) -> bool {
        let has_forgotten = |since: Instant| now.saturating_duration_since(since) >= FORGETS_AFTER;
        self.state == State::StartKnown && self.unassigned_at.is_none_or(has_forgotten)
    }

    /// Whether [`Partition::written`] is what the store has: while it resolves the start, it may
    /// move the offset.
    pub fn is_written(&self) -> bool {
        let is_moved = matches!(self.state, State::Assigned | State::Stalled(Stall::OutOfRange));
        self.written >= 0 && !is_moved
    }

    fn begin(&mut self, next: i64) {
        if next != self.written {
            // What was not taken has been passed over.
            self.hold = None;
        }
        (self.next, self.written, self.acknowledged) = (next, next, -1);
        (self.damage, self.gap, self.truncated_at) = (None, None, None);
        (self.seen_end, self.end_given_to_store) = (None, None);
        // They are about the offset before: that it was refused once is no reason for another gap.
        (self.refused, self.watermarks, self.unchecked_start) = (None, None, None);
        self.is_trouble_logged = false;
    }

    /// Everything up to `next` is committed.
    pub fn note_written(&mut self, next: i64) {
        if next > self.written {
            self.written = next;
            self.is_trouble_logged &= self.hold.take().is_none();
        }
    }

    /// Everything up to `next` is committed, and what comes then is not taken.
    pub fn note_held_back_at(&mut self, next: i64) {
        self.written = self.written.max(next);
    }

    /// Moves behind `offset`, up to `next`, if that is still to come. `next` is `offset + 1` for a
    /// message, and equal to `offset` where there is none before it.
    #[inline]
    pub fn advance(&mut self, offset: i64, next: i64) -> Taken {
        if offset < self.next || !matches!(self.state, State::Reading) {
            return self.advance_slowly(offset, next);
        }
        let lost = self.damage.is_some() && offset > self.next;
        let is_again = offset < self.taken_to;
        Taken::Yes { expected: std::mem::replace(&mut self.next, next), lost, is_again }
    }

    #[cold]
    fn advance_slowly(&mut self, offset: i64, next: i64) -> Taken {
        if offset < self.next
            || !matches!(self.state, State::Stalled(Stall::Silent | Stall::Forbidden(_)))
        {
            return Taken::No;
        }
        self.state = State::Reading;
        self.wanted = None;
        self.is_trouble_logged = false;
        self.advance(offset, next)
    }

    /// Why what was passed over could not be read. The message behind it has put the client right.
    pub fn take_damage(&mut self) -> Option<String> {
        self.is_displaced = false;
        self.is_trouble_logged = false;
        self.damage.take().map(|damage| damage.why)
    }

    /// Where Kafka's client is to read on.
    pub fn resume_at(&self) -> i64 {
        self.damage.as_ref().map_or(self.next, |damage| damage.end)
    }

    /// Whether its start offset has not been known for a while.
    pub fn is_start_long_unknown(&self, now: Instant) -> bool {
        self.state == State::Assigned
            && now.saturating_duration_since(self.waiting_since) >= START_LONG_UNKNOWN
    }

    /// Whether it waits for an answer that may never come, or for better times.
    pub fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::StartKnown => false,
            State::Reading if self.unchecked_start.is_none() => false,
            State::Reading | State::Assigned | State::Stalled(_) => {
                self.wanted.is_none() && now.saturating_duration_since(self.changed_at) >= ASK_AGAIN
            }
        }
    }

    /// Whoever could say where to begin cannot be asked.
    pub fn excuse(&mut self, now: Instant) {
        // What the store has said of it alone is its own trouble.
        if self.state == State::Assigned && self.start_failure.is_none() {
            self.waiting_since = now;
        }
    }

    /// Notes its trouble. Returns whether to log it: it is new, or has another reason than before.
    pub fn note_trouble(&mut self, trouble: &str, now: Instant) -> bool {
        let was_logged = std::mem::replace(&mut self.is_trouble_logged, true);
        if let Some(stall) = &mut self.logged_stall {
            stall.over_since = None;
        }
        if was_logged {
            return false;
        }
        let why: String = trouble.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if let Some(stall) = &mut self.logged_stall {
            let is_other = stall.why != why;
            stall.why = why;
            return is_other;
        }
        self.logged_stall =
            Some(LoggedStall { since: now, next: self.next, why, over_since: None });
        true
    }

    /// Called where it has no trouble: how long its stall lasted, once it has been read again for a
    /// while. That is returned once, to be logged.
    pub fn take_recovery(&mut self, now: Instant) -> Option<Duration> {
        let stall = self.logged_stall.as_mut()?;
        let is_read =
            self.state == State::Reading && (!self.is_trouble_logged || self.next > stall.next);
        if !is_read {
            stall.over_since = None;
            return None;
        }
        let over = *stall.over_since.get_or_insert(now);
        if now.saturating_duration_since(over) < RECOVERED_AFTER {
            return None;
        }
        self.is_trouble_logged = false;
        self.logged_stall.take().map(|stall| over.saturating_duration_since(stall.since))
    }

    /// Why it is not read, for people; `None` where it is, or where nobody need know.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        if let (State::Reading | State::Stalled(Stall::HeldBack), Some(HoldReason { why, .. })) =
            (&self.state, &self.hold)
        {
            let written = self.written;
            return Some(format!(
                "PostgreSQL does not take its messages from offset {written} on: {why}"
            ));
        }
        match &self.state {
            State::Assigned if now.saturating_duration_since(self.waiting_since) >= ASK_AGAIN => {
                let nobody = "neither Kafka nor PostgreSQL has said so";
                let why = self.start_failure.as_deref().unwrap_or(nobody);
                Some(format!("where to begin is not known yet: {why}"))
            }
            State::Stalled(Stall::Gap(why)) => Some(why.clone()),
            State::Stalled(Stall::Damaged(why)) => {
                let then = if self.skips {
                    "the next that can be is looked for"
                } else {
                    "--on-gap skip records them in kafka_gaps and goes on behind them"
                };
                Some(format!(
                    "the messages from offset {} on cannot be read: {why}; {then}",
                    self.next
                ))
            }
            State::Stalled(Stall::Silent) => {
                Some(format!("Kafka has messages from offset {} on, but sends none", self.next))
            }
            State::Stalled(Stall::Forbidden(why)) => {
                Some(format!("Kafka forbids reading it: {why}; grant READ on the topic"))
            }
            State::Stalled(Stall::Schema(id))
                if now.saturating_duration_since(self.waiting_since) >= GIVEN_WITHIN =>
            {
                Some(format!(
                    "the messages from offset {} on need schema {id}, which the registry has not given",
                    self.next
                ))
            }
            // It is being asked again, and is stalled all the same.
            State::Stalled(Stall::OutOfRange) => self.gap.clone().or(self.start_failure.clone()),
            State::Reading
            | State::StartKnown
            | State::Assigned
            | State::Stalled(Stall::Schema(_) | Stall::HeldBack) => None,
        }
    }
}

#[cfg(test)]
mod tests;
