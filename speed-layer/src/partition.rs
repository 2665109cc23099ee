//! [`Partition`]: what this instance does with one partition, as a state machine. It knows neither
//! Kafka's client nor SQL: events come in, and what is to be done goes out. docs/partitions.md has
//! its table.

mod log_end;
mod stall_log;
mod transitions;

pub use log_end::LogEnd;

use crate::handover::{StartResolution, Watermarks};
use stall_log::StallLog;
use std::time::{Duration, Instant};

/// Interval between retries of a stalled partition.
pub const STALL_RETRY: Duration = Duration::from_secs(10);
/// Interval between retries while the previous owner still holds the row.
const LOCKED_RETRY: Duration = Duration::from_millis(200);
/// Time without a start offset from the store after which Kafka is asked for the log's end.
const START_LONG_UNKNOWN: Duration = Duration::from_secs(1);
/// Time that a registry may take for a schema before the partition counts as stalled.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(3);
/// Minimum time between unassigning a partition from Kafka's client and assigning it again: the
/// client ends its reading in the background, and would then forget where the messages go.
const REASSIGN_DELAY: Duration = Duration::from_millis(500);

/// The state of a partition of the assignment.
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
    /// The record batch at the next offset is damaged.
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

/// An event of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The store says where to begin.
    Answered(StartResolution),
    /// Kafka says what it has, and when it was asked.
    Measured(Watermarks, Instant),
    /// Kafka's client was told to read it, and where to begin.
    ClientAssigned,
    /// Kafka's client was told to read it no more.
    ClientUnassigned,
    /// The client has paused it.
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
    HeldBack(HeldBackReason),
    /// Kafka's client finds no leader for it: what it has then may end before the next offset.
    Leaderless,
    /// Kafka has more, and nothing has come for a while.
    NothingComes,
    /// Nothing has changed for [`STALL_RETRY`].
    Waited,
    /// Kafka's client could not go to the offset that it was told.
    SeekFailed,
    /// The messages that were read and not written yet were dropped.
    BatchDropped,
}

/// An action that an event asks for.
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

/// The decision about an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The message was taken before, or the partition is stalled.
    No,
    /// It is the next one; `expected` was to come. Offsets between them are no messages (a
    /// transaction's marker, or compaction), unless `has_loss_before` says that they were damaged.
    /// `was_read_before`: it was taken before the store held it back.
    Yes { expected: i64, has_loss_before: bool, was_read_before: bool },
}

/// Messages that cannot be read.
#[derive(Debug)]
struct Damage {
    why: String,
    /// The first offset after them that can be read.
    end: i64,
}

/// Why what comes next was not written, and when to ask the store about it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBackReason {
    pub why: String,
    pub retry_after: Duration,
}

/// One partition of the assignment.
#[derive(Debug)]
pub struct Partition {
    pub state: State,
    /// Number of this assignment: answers for an earlier one are ignored.
    pub assignment: u64,
    /// The offset to read next.
    pub next: i64,
    /// The offset up to which everything is committed in PostgreSQL, exclusive.
    pub written: i64,
    /// The offset that Kafka has acknowledged as committed, exclusive.
    pub acknowledged: i64,
    /// Offsets below this were read before the store held them back.
    read_before: i64,
    /// The offsets that Kafka has, as far as it was asked.
    pub watermarks: Option<Watermarks>,
    /// The offset that Kafka has refused.
    pub refused: Option<i64>,
    /// The known end of Kafka's log.
    pub log_end: LogEnd,
    /// Whether Kafka's client has it.
    in_client: bool,
    /// When the client was told to stop reading it.
    unassigned_at: Option<Instant>,
    /// The client's position is wrong until the next seek or message.
    pub is_displaced: bool,
    /// Why what comes next could not be written. `None` once it is written.
    held_back: Option<HeldBackReason>,
    /// The damage between `next` and the next message.
    damage: Option<Damage>,
    /// When its state, or what is to be done about it, last changed.
    pub changed_at: Instant,
    /// Since when it has waited for its start offset, or for a schema.
    waiting_since: Instant,
    /// The store was asked where to begin, and has not answered.
    is_store_asked: bool,
    /// The stalls as they are logged.
    stalls: StallLog,
    /// The next action, and when it is due.
    next_action: Option<(Action, Instant)>,
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
            read_before: -1,
            watermarks: None,
            refused: None,
            log_end: LogEnd::unknown(now),
            in_client: false,
            unassigned_at: None,
            is_displaced: false,
            held_back: None,
            damage: None,
            changed_at: now,
            waiting_since: now,
            is_store_asked: false,
            stalls: StallLog::default(),
            next_action: Some((Action::AskStore, now)),
            skips,
        }
    }

    /// The action that is due now; once. The store is asked again only once it has answered: it may
    /// be away for hours, and works off its questions before it writes.
    pub fn take_due_action(&mut self, now: Instant) -> Option<Action> {
        let is_store_asked = self.is_store_asked;
        let is_now = |(action, when): &mut (Action, Instant)| {
            *when <= now && !(is_store_asked && *action == Action::AskStore)
        };
        let (action, _) = self.next_action.take_if(is_now)?;
        if action == Action::AskStore {
            (self.is_store_asked, self.log_end.end_sent_to_store) =
                (true, self.log_end.earliest_end);
        }
        Some(action)
    }

    /// Puts back an action that cannot be done yet.
    pub fn postpone(&mut self, action: Action, now: Instant) {
        self.is_store_asked &= action != Action::AskStore;
        self.next_action = Some((action, now));
    }

    /// Whether Kafka's client is still to be told to read it no more.
    fn is_to_unassign(&self) -> bool {
        matches!(self.next_action, Some((Action::Unassign, _)))
    }

    /// The offset that comes next in the store.
    fn next_in_store(&self) -> i64 {
        if self.state == State::Stalled(Stall::HeldBack) { self.written } else { self.next }
    }

    /// Kafka is to say whether its log ends before the next offset.
    fn begin_start_check(&mut self, now: Instant) {
        self.log_end.begin_start_check(self.next_in_store(), now);
    }

    /// Whether what lies before the next message cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// No action is pending.
    pub fn has_nothing_pending(&self) -> bool {
        matches!(self.state, State::Reading)
            && self.next_action.is_none()
            && self.log_end.unchecked_start.is_none()
    }

    /// Whether Kafka's client has it.
    pub fn is_in_client(&self) -> bool {
        self.in_client
    }

    /// Whether Kafka's client may be told to take it up.
    pub fn is_ready(&self, now: Instant) -> bool {
        let has_forgotten = |since: Instant| now.saturating_duration_since(since) >= REASSIGN_DELAY;
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
            // Messages that were not taken have been passed over.
            self.held_back = None;
        }
        (self.next, self.written, self.acknowledged) = (next, next, -1);
        (self.damage, self.stalls.gap) = (None, None);
        // They are about the offset before: that it was refused once is no reason for another gap.
        (self.refused, self.watermarks) = (None, None);
        self.log_end.forget();
        self.stalls.is_trouble_logged = false;
    }

    /// Everything up to `next` is committed.
    pub fn note_written(&mut self, next: i64) {
        if next > self.written {
            self.written = next;
            self.stalls.is_trouble_logged &= self.held_back.take().is_none();
        }
    }

    /// Everything up to `next` is committed, and what comes then is not taken.
    pub fn note_held_back_at(&mut self, next: i64) {
        self.written = self.written.max(next);
    }

    /// Moves past `offset`, up to `next`, if that is still to come. `next` is `offset + 1` for a
    /// message, and equal to `offset` where there is none before it.
    #[inline]
    pub fn advance(&mut self, offset: i64, next: i64) -> Accepted {
        if offset < self.next || !matches!(self.state, State::Reading) {
            return self.advance_slowly(offset, next);
        }
        let has_loss_before = self.damage.is_some() && offset > self.next;
        let was_read_before = offset < self.read_before;
        Accepted::Yes {
            expected: std::mem::replace(&mut self.next, next),
            has_loss_before,
            was_read_before,
        }
    }

    #[cold]
    fn advance_slowly(&mut self, offset: i64, next: i64) -> Accepted {
        if offset < self.next
            || !matches!(self.state, State::Stalled(Stall::Silent | Stall::Forbidden(_)))
        {
            return Accepted::No;
        }
        self.state = State::Reading;
        self.next_action = None;
        self.stalls.is_trouble_logged = false;
        self.advance(offset, next)
    }

    /// Why the messages that were passed over could not be read. The message after them has put the
    /// client right.
    pub fn take_damage(&mut self) -> Option<String> {
        self.is_displaced = false;
        self.stalls.is_trouble_logged = false;
        self.damage.take().map(|damage| damage.why)
    }

    /// The offset at which Kafka's client is to read on.
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
            State::Reading if self.log_end.unchecked_start.is_none() => false,
            State::Reading | State::Assigned | State::Stalled(_) => {
                self.next_action.is_none()
                    && now.saturating_duration_since(self.changed_at) >= STALL_RETRY
            }
        }
    }

    /// Neither Kafka nor PostgreSQL is reachable: the wait for a start offset begins again.
    pub fn restart_wait(&mut self, now: Instant) {
        // The store's reason for it alone is its own trouble.
        if self.state == State::Assigned && self.stalls.start_failure.is_none() {
            self.waiting_since = now;
        }
    }

    /// Notes its trouble. Returns whether to log it: it is new, or has another reason than before.
    pub fn note_trouble(&mut self, trouble: &str, now: Instant) -> bool {
        self.stalls.note_trouble(trouble, self.next, now)
    }

    /// Called where it has no trouble: how long its stall lasted, once it has been read again for a
    /// while. That is returned once, to be logged.
    pub fn take_recovery(&mut self, now: Instant) -> Option<Duration> {
        self.stalls.take_recovery(self.state == State::Reading, self.next, now)
    }

    /// Why it is not read, for people; `None` where it is, or where nobody need know.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        if let (
            State::Reading | State::Stalled(Stall::HeldBack),
            Some(HeldBackReason { why, .. }),
        ) = (&self.state, &self.held_back)
        {
            let written = self.written;
            return Some(format!(
                "PostgreSQL does not take its messages from offset {written} on: {why}"
            ));
        }
        match &self.state {
            State::Assigned if now.saturating_duration_since(self.waiting_since) >= STALL_RETRY => {
                let nobody = "neither Kafka nor PostgreSQL has answered";
                let why = self.stalls.start_failure.as_deref().unwrap_or(nobody);
                Some(format!("the start offset is unknown: {why}"))
            }
            State::Stalled(Stall::Gap(why)) => Some(why.clone()),
            State::Stalled(Stall::Damaged(why)) => {
                let then = if self.skips {
                    "the next that can be is looked for"
                } else {
                    "--on-gap skip records them in kafka_gaps and goes on after them"
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
                if now.saturating_duration_since(self.waiting_since) >= SCHEMA_TIMEOUT =>
            {
                Some(format!(
                    "the messages from offset {} on need schema {id}, which the registry has not \
                     given",
                    self.next
                ))
            }
            // It is being asked again, and is stalled all the same.
            State::Stalled(Stall::OutOfRange) => {
                self.stalls.gap.clone().or(self.stalls.start_failure.clone())
            }
            State::Reading
            | State::StartKnown
            | State::Assigned
            | State::Stalled(Stall::Schema(_) | Stall::HeldBack) => None,
        }
    }
}

#[cfg(test)]
mod tests;
