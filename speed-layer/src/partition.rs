//! [`Partition`]: what this instance does with one partition, as a state machine. It knows neither
//! Kafka's client nor SQL: events come in, and what is to be done goes out. docs/partitions.md has
//! its table.

use crate::handover::{Begin, SeenEnd, TRY_AGAIN, Watermarks};
use std::time::{Duration, Instant};

/// A partition that stands is asked again after this time.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);
/// One whose last owner is still writing, after this time.
const ASK_SOON: Duration = Duration::from_millis(200);
/// Where the store does not say for so long where to begin, Kafka is asked for the log's end.
const LONG_UNLOCATED: Duration = Duration::from_secs(1);
/// A registry that gives a schema within this time has not kept anybody waiting.
const GIVEN_WITHIN: Duration = Duration::from_secs(3);
/// Kafka's client may be told of a partition again so long after it was to leave it: it ends its
/// reading aside, and would then forget where its messages go.
const FORGETS_AFTER: Duration = Duration::from_millis(500);
/// Why its row of `kafka_offsets` says nothing.
const LOCKED: &str = "its row of kafka_offsets is locked, by an instance that has not ended its batch or by another \
                      session";
/// One that stood goes on again once it was read for so long: one that goes on in small parts
/// stands anew each time.
const GOES_ON_AFTER: Duration = Duration::from_secs(3);

/// Where a partition of the assignment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The group gave it; where to begin is being found out.
    Assigned,
    /// Where to begin is known; Kafka's client has not been told yet.
    Located,
    /// Its messages come and are taken.
    Reading,
    /// Its messages are not taken; the others' are.
    Stalled(Stall),
}

/// Why a partition stands.
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
            Self::Assigned | Self::Located | Self::Stalled(Stall::OutOfRange | Stall::Gap(_)) => {
                false
            }
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
    /// Kafka's client was told where to begin.
    TakenUp,
    /// Kafka's client has left it.
    LetGo,
    /// Kafka's client waits with it.
    Paused,
    /// The client has said something of it that is no message. It counts that as one all the same,
    /// so it may go on one too far.
    Failed,
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
    /// The schema that it stands for is known.
    SchemaKnown,
    /// The store has left out what comes next, for this reason.
    /// Why, and when the store is asked again.
    HeldBack(String, Duration),
    /// Kafka's client finds no leader for it: what it has then may end before the next offset.
    Leaderless,
    /// Kafka has more, and nothing has come for a while.
    NothingComes,
    /// It has stood for [`ASK_AGAIN`].
    Waited,
    /// Kafka's client did not take what it was told.
    NotTaken,
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
    /// Tell Kafka's client to leave it.
    LetGo,
}

/// What to do with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was taken before, or the partition stands.
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

/// Trouble that was said.
#[derive(Debug)]
struct Stood {
    since: Instant,
    /// The offset to read next then.
    next: i64,
    /// Why, without its numbers.
    why: String,
    /// Since when it is read again.
    over: Option<Instant>,
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
    /// The same, as Kafka has taken it.
    pub acknowledged: i64,
    /// The next offset when it was begun, or had no leader, until Kafka has said what it has.
    unmeasured: Option<i64>,
    /// What Kafka was asked before says nothing of this offset, or of the refused one.
    counts_from: Instant,
    /// Offsets before this one were taken once, and held back by the store.
    taken_to: i64,
    /// What Kafka has, as far as it was asked.
    pub watermarks: Option<Watermarks>,
    /// The offset that Kafka has refused.
    pub refused: Option<i64>,
    /// Where Kafka's log ended when that was seen to be before the refused offset: what has come
    /// since is other messages, also where the offsets agree again.
    pub truncated_at: Option<i64>,
    /// What was last said of it that a person must decide on.
    gap: Option<String>,
    /// Whether Kafka's client has it.
    in_client: bool,
    /// Since when it has not, if it had it.
    let_go: Option<Instant>,
    /// The client's own position is of no use until it was told where to read, or has given a
    /// message.
    pub is_displaced: bool,
    /// Why what comes next could not be written, until it is, and when it is tried again.
    held: Option<(String, Duration)>,
    /// What lies between `next` and the next message.
    damage: Option<Damage>,
    /// When it last came on, or changed its state.
    pub moved: Instant,
    /// Since when it has been found out where to begin.
    since: Instant,
    /// The store was asked where to begin, and has not answered.
    is_asked: bool,
    /// Why the store, when it was last asked, did not say where to begin.
    unlocated: Option<String>,
    /// Whether its trouble was said.
    said: bool,
    /// Since when it stands, until that was said to be over.
    stood: Option<Stood>,
    /// The lowest end of Kafka's log that was seen before it was known where to begin, or when it
    /// was truncated.
    pub seen_end: Option<SeenEnd>,
    /// What of that the store was told when it was last asked.
    told_end: Option<SeenEnd>,
    /// What is to be done next, and when.
    wanted: Option<(Action, Instant)>,
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
            unmeasured: None,
            counts_from: now,
            taken_to: -1,
            watermarks: None,
            refused: None,
            truncated_at: None,
            gap: None,
            in_client: false,
            let_go: None,
            is_displaced: false,
            held: None,
            damage: None,
            moved: now,
            since: now,
            is_asked: false,
            unlocated: None,
            said: false,
            stood: None,
            seen_end: None,
            told_end: None,
            wanted: Some((Action::AskStore, now)),
            skips,
        }
    }

    /// State x event. What is not written out changes nothing: the event came too late.
    pub fn on(&mut self, event: Event, now: Instant) {
        use {Action as A, Event as E, Stall as St, State as S};
        if let E::Answered(begin) = &event {
            self.unlocated = match begin {
                Begin::Busy => Some(LOCKED.to_owned()),
                Begin::NotTaken { why, .. } => {
                    Some(format!("PostgreSQL does not take what that needs: {why}"))
                }
                Begin::At(_) | Begin::Behind(_) | Begin::AskKafka | Begin::Gap(_) => None,
            };
            self.is_asked = false;
        }
        let (state, wanted) = match (&self.state, event) {
            // It is asked anew once the client has left it.
            (_, E::Answered(_)) if self.is_to_let_go() => return,
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::At(next)))
                if self.is_cut_before(next) =>
            {
                // It was asked before what was read of it was held back, or before the end was seen.
                self.refused = self.refused.map(|_| next);
                let ask = if self.watermarks.is_some() { A::AskStore } else { A::AskKafka };
                (self.state.clone(), Some((ask, now)))
            }
            (
                S::Assigned | S::Stalled(St::OutOfRange),
                E::Answered(Begin::At(next) | Begin::Behind(next)),
            ) => {
                self.begin(next);
                self.taken_to = -1;
                (S::Located, None)
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
                E::Answered(Begin::NotTaken { again, .. }),
            ) => (self.state.clone(), Some((A::AskStore, now + again))),
            (S::Assigned | S::Stalled(St::OutOfRange), E::Measured(watermarks, asked)) => {
                let is_old = asked < self.counts_from;
                if !is_old {
                    self.watermarks = Some(watermarks);
                    if self.refused.is_some_and(|refused| refused > watermarks.high) {
                        self.note_end(watermarks.high);
                    }
                    // It may come to the stored offset before the store says which that is.
                    self.see_end(watermarks.high, asked);
                }
                if self.is_to_let_go() {
                    return;
                }
                let ask = if is_old { A::AskKafka } else { A::AskStore };
                // The store has said when it is to be asked again.
                let is_later = |(action, _): &(A, Instant)| *action == A::AskStore;
                (self.state.clone(), self.wanted.filter(is_later).or(Some((ask, now))))
            }
            (S::Assigned, E::Waited) => (S::Assigned, Some((A::AskKafka, now))),
            (S::Located, E::TakenUp) => {
                (self.in_client, self.is_displaced) = (true, false);
                self.is_to_be_measured(now);
                (S::Reading, self.unmeasured.map(|_| (A::AskKafka, now)))
            }
            (state, E::Leaderless) if state.has_begun() => {
                // Each answer would be too old where each question began it anew.
                if self.unmeasured.is_none() {
                    self.is_to_be_measured(now);
                }
                return;
            }
            (S::Reading, E::Waited) if self.unmeasured.is_some() => {
                (S::Reading, Some((A::AskKafka, now)))
            }
            (state, E::Measured(watermarks, asked))
                if state.has_begun() && asked >= self.counts_from =>
            {
                match self.unmeasured.take() {
                    Some(begun) if watermarks.high < begun => {
                        // It may come to the next offset before the client asks for that.
                        self.note_end(watermarks.high);
                        self.see_end(watermarks.high, asked);
                        self.refused = Some(self.stands());
                        (S::Stalled(St::OutOfRange), Some((A::LetGo, now)))
                    }
                    _ => return,
                }
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::Failed) => {
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
                E::NotTaken | E::Unknown,
            ) => {
                self.since = now;
                (S::Assigned, Some((A::LetGo, now)))
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::OutOfRange) => {
                (self.refused, self.counts_from) = (Some(self.next), now);
                (S::Stalled(St::OutOfRange), Some((A::LetGo, now)))
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::LetGo) => {
                (self.in_client, self.let_go) = (false, Some(now));
                let ask = if self.state == S::Assigned { A::AskStore } else { A::AskKafka };
                (self.state.clone(), Some((ask, now)))
            }
            (S::Assigned | S::Stalled(St::OutOfRange), E::Answered(Begin::Gap(why))) => {
                // Another trouble may have been said.
                (self.said, self.gap) = (false, Some(why.clone()));
                (S::Stalled(St::Gap(why)), None)
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::Damaged(why)) => {
                // The batch may have begun before the next offset, and is of no use as a whole.
                self.is_displaced = true;
                (S::Stalled(St::Damaged(why)), Some((A::Pause, now)))
            }
            (S::Reading | S::Stalled(St::Silent | St::Forbidden(_)), E::LacksSchema(id)) => {
                (self.is_displaced, self.said, self.since) = (true, false, now);
                (S::Stalled(St::Schema(id)), Some((A::Pause, now)))
            }
            (S::Stalled(St::Schema(_)), E::SchemaKnown) => {
                self.said = false;
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Stalled(St::Schema(id)), E::Waited) => {
                (self.state.clone(), Some((A::AskSchema(*id), now)))
            }
            (
                S::Reading
                | S::Stalled(St::Silent | St::Forbidden(_) | St::Schema(_) | St::Damaged(_)),
                E::HeldBack(why, again),
            ) => {
                // What the client has given since is not written, and why it stood comes later.
                self.said &= self.state == S::Reading;
                (self.is_displaced, self.held) = (true, Some((why, again)));
                self.taken_to = self.taken_to.max(self.next);
                (S::Stalled(St::HeldBack), Some((A::Pause, now)))
            }
            (S::Stalled(St::HeldBack), E::Paused | E::Answered(Begin::Busy)) => {
                let again = self.held.as_ref().map_or(TRY_AGAIN, |(_, again)| *again);
                (self.state.clone(), Some((A::AskStore, now + again)))
            }
            (S::Stalled(St::HeldBack), E::Answered(Begin::At(next) | Begin::Behind(next))) => {
                // Whether it is over shows when something of it is written.
                let said = self.said;
                self.begin(next);
                self.said = said;
                self.is_to_be_measured(now);
                (S::Reading, Some((A::Seek, now)))
            }
            (S::Stalled(St::HeldBack), E::Answered(Begin::AskKafka | Begin::Gap(_))) => {
                self.since = now;
                (S::Assigned, Some((A::LetGo, now)))
            }
            (S::Stalled(St::HeldBack), E::Waited) => (self.state.clone(), Some((A::AskStore, now))),
            (S::Stalled(St::Damaged(why)), E::Readable { from, offset })
                if from == self.next && offset >= from =>
            {
                // Where it is the next one nothing lies before it.
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
                self.said = false;
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
        self.moved = now;
    }

    /// What is to be done now; once. The store is asked again only once it has answered: it may be
    /// away for hours, and works off what it was asked before it writes.
    pub fn take_wanted(&mut self, now: Instant) -> Option<Action> {
        let is_asked = self.is_asked;
        let is_now = |(action, when): &mut (Action, Instant)| {
            *when <= now && !(is_asked && *action == Action::AskStore)
        };
        let (action, _) = self.wanted.take_if(is_now)?;
        if action == Action::AskStore {
            (self.is_asked, self.told_end) = (true, self.seen_end);
        }
        Some(action)
    }

    /// It cannot be done yet.
    pub fn put_back(&mut self, action: Action, now: Instant) {
        self.is_asked &= action != Action::AskStore;
        self.wanted = Some((action, now));
    }

    /// Whether Kafka's client is still to be told to leave it.
    fn is_to_let_go(&self) -> bool {
        matches!(self.wanted, Some((Action::LetGo, _)))
    }

    /// The offset that comes next in the store.
    fn stands(&self) -> i64 {
        if self.state == State::Stalled(Stall::HeldBack) { self.written } else { self.next }
    }

    /// Kafka is to say whether its log ends before the next offset.
    fn is_to_be_measured(&mut self, now: Instant) {
        self.unmeasured = Some(self.stands()).filter(|next| *next > 0);
        self.counts_from = now;
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

    /// Whether the log may have been truncated before `next`, and the store, which has not been told
    /// so of that offset, could not know it.
    fn is_cut_before(&self, next: i64) -> bool {
        let is_refused = self.truncated_at.is_some_and(|end| end < next)
            && self.refused.is_some_and(|refused| refused >= next);
        let is_seen = self.seen_end.is_some_and(|seen| seen.offset < next);
        is_refused || is_seen && self.seen_end != self.told_end
    }

    /// Whether what lies before the next message cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Whether nothing is to be done about it.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Reading) && self.wanted.is_none() && self.unmeasured.is_none()
    }

    /// Whether Kafka's client has it.
    pub fn is_in_client(&self) -> bool {
        self.in_client
    }

    /// Whether Kafka's client may be told to take it up.
    pub fn is_ready(&self, now: Instant) -> bool {
        let has_forgotten = |since: Instant| now.saturating_duration_since(since) >= FORGETS_AFTER;
        self.state == State::Located && self.let_go.is_none_or(has_forgotten)
    }

    /// Whether the store stands where [`Partition::written`] says: it may move one that is located
    /// anew.
    pub fn is_written(&self) -> bool {
        let is_moved = matches!(self.state, State::Assigned | State::Stalled(Stall::OutOfRange));
        self.written >= 0 && !is_moved
    }

    fn begin(&mut self, next: i64) {
        if next != self.written {
            // What was not taken has been passed over.
            self.held = None;
        }
        (self.next, self.written, self.acknowledged) = (next, next, -1);
        (self.damage, self.gap, self.truncated_at) = (None, None, None);
        (self.seen_end, self.told_end) = (None, None);
        // They are of the offset before: that it was refused once is no reason for another gap.
        (self.refused, self.watermarks, self.unmeasured) = (None, None, None);
        self.said = false;
    }

    /// Everything up to `next` is committed.
    pub fn note_written(&mut self, next: i64) {
        if next > self.written {
            self.written = next;
            self.said &= self.held.take().is_none();
        }
    }

    /// Everything up to `next` is committed, and what comes then is not taken.
    pub fn stands_at(&mut self, next: i64) {
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
        self.said = false;
        self.advance(offset, next)
    }

    /// Why what was passed over could not be read. The message behind it has put the client right.
    pub fn take_damage(&mut self) -> Option<String> {
        self.is_displaced = false;
        self.said = false;
        self.damage.take().map(|damage| damage.why)
    }

    /// Where Kafka's client is to read on.
    pub fn resume_at(&self) -> i64 {
        self.damage.as_ref().map_or(self.next, |damage| damage.end)
    }

    /// Whether the store has not said for a while where to begin.
    pub fn is_long_unlocated(&self, now: Instant) -> bool {
        self.state == State::Assigned && now.saturating_duration_since(self.since) >= LONG_UNLOCATED
    }

    /// Whether it waits for an answer that may never come, or for better times.
    pub fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Located => false,
            State::Reading if self.unmeasured.is_none() => false,
            State::Reading | State::Assigned | State::Stalled(_) => {
                self.wanted.is_none() && now.saturating_duration_since(self.moved) >= ASK_AGAIN
            }
        }
    }

    /// Whoever could say where to begin cannot be asked.
    pub fn excuse(&mut self, now: Instant) {
        // What the store has said of it alone is its own trouble.
        if self.state == State::Assigned && self.unlocated.is_none() {
            self.since = now;
        }
    }

    /// Notes its trouble; gives whether that is to be said: that it begins, or has another reason.
    pub fn note_trouble(&mut self, trouble: &str, now: Instant) -> bool {
        let was_said = std::mem::replace(&mut self.said, true);
        if let Some(stood) = &mut self.stood {
            stood.over = None;
        }
        if was_said {
            return false;
        }
        let why: String = trouble.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if let Some(stood) = &mut self.stood {
            let is_other = stood.why != why;
            stood.why = why;
            return is_other;
        }
        self.stood = Some(Stood { since: now, next: self.next, why, over: None });
        true
    }

    /// Where it has no trouble: how long it stood, once it has been read again for a while; said
    /// once.
    pub fn goes_on(&mut self, now: Instant) -> Option<Duration> {
        let stood = self.stood.as_mut()?;
        let is_read = self.state == State::Reading && (!self.said || self.next > stood.next);
        if !is_read {
            stood.over = None;
            return None;
        }
        let over = *stood.over.get_or_insert(now);
        if now.saturating_duration_since(over) < GOES_ON_AFTER {
            return None;
        }
        self.said = false;
        self.stood.take().map(|stood| over.saturating_duration_since(stood.since))
    }

    /// Why it is not read, for people; `None` where it is, or where nobody need know.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        if let (State::Reading | State::Stalled(Stall::HeldBack), Some((why, _))) =
            (&self.state, &self.held)
        {
            let written = self.written;
            return Some(format!(
                "PostgreSQL does not take its messages from offset {written} on: {why}"
            ));
        }
        match &self.state {
            State::Assigned if now.saturating_duration_since(self.since) >= ASK_AGAIN => {
                let nobody = "neither Kafka nor PostgreSQL has said so";
                let why = self.unlocated.as_deref().unwrap_or(nobody);
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
                if now.saturating_duration_since(self.since) >= GIVEN_WITHIN =>
            {
                Some(format!(
                    "the messages from offset {} on need schema {id}, which the registry has not given",
                    self.next
                ))
            }
            // It is being asked again, and stands all the same.
            State::Stalled(Stall::OutOfRange) => self.gap.clone().or(self.unlocated.clone()),
            State::Reading
            | State::Located
            | State::Assigned
            | State::Stalled(Stall::Schema(_) | Stall::HeldBack) => None,
        }
    }
}

#[cfg(test)]
mod tests;
