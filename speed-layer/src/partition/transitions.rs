//! State x event: what follows, state by state as in the table of docs/partitions.md.

use super::{Action, Damage, Event, HeldBackReason, LOCKED_RETRY, Partition, Stall, State};
use crate::handover::{HELD_BACK_RETRY, StartResolution, Watermarks};
use std::time::Instant;

/// The start failure while another session has locked the row.
const LOCKED: &str = "its row in kafka_offsets is locked by another instance's batch or another \
    session";

/// The transition that follows from an event.
struct Transition {
    state: State,
    /// The next action, and when it is due.
    next_action: Option<(Action, Instant)>,
}

impl Transition {
    fn new(state: State, action: Action, when: Instant) -> Option<Self> {
        Some(Self { state, next_action: Some((action, when)) })
    }

    fn without_action(state: State) -> Option<Self> {
        Some(Self { state, next_action: None })
    }
}

impl Partition {
    /// Handles an event. One that is not written out for a state changes nothing: it came too late.
    pub fn handle(&mut self, event: Event, now: Instant) {
        if let Event::Answered(resolution) = &event {
            self.note_answer(resolution);
            // The store is asked again once the client reads it no more.
            if self.is_to_unassign() {
                return;
            }
        }
        let transition = match &self.state {
            State::Assigned => self.in_assigned(event, now),
            State::StartKnown => self.in_start_known(&event, now),
            State::Reading => self.in_reading(event, now),
            State::Stalled(stall) => self.in_stalled(stall.clone(), event, now),
        };
        if let Some(Transition { state, next_action }) = transition {
            (self.state, self.next_action, self.changed_at) = (state, next_action, now);
        }
    }

    /// The store has answered where to begin, whatever the state.
    fn note_answer(&mut self, resolution: &StartResolution) {
        use StartResolution as R;
        self.is_store_asked = false;
        self.stalls.start_failure = match resolution {
            R::Locked => Some(LOCKED.to_owned()),
            R::Failed { why, .. } => Some(format!("PostgreSQL refuses the start offset: {why}")),
            R::At(_) | R::AfterGap(_) | R::NeverRead | R::GapNeedsDecision(_) => None,
        };
    }

    fn in_assigned(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Waited => self.stay(Action::AskKafka, now),
            event => self.resolve_start(event, now),
        }
    }

    fn in_start_known(&mut self, event: &Event, now: Instant) -> Option<Transition> {
        match event {
            Event::ClientAssigned => {
                (self.in_client, self.is_displaced) = (true, false);
                self.begin_start_check(now);
                let check = self.log_end.unchecked_start.map(|_| (Action::AskKafka, now));
                Some(Transition { state: State::Reading, next_action: check })
            }
            _ => None,
        }
    }

    fn in_reading(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Waited if self.log_end.unchecked_start.is_some() => {
                self.stay(Action::AskKafka, now)
            }
            Event::NothingComes => {
                Transition::new(State::Stalled(Stall::Silent), Action::Seek, now)
            }
            Event::Forbidden(why) => self.forbid(why, now),
            event => self.take_from_client(event, now),
        }
    }

    fn in_stalled(&mut self, stall: Stall, event: Event, now: Instant) -> Option<Transition> {
        match stall {
            Stall::OutOfRange => self.in_out_of_range(event, now),
            Stall::Gap(_) => in_gap(&event, now),
            Stall::Damaged(why) => self.in_damaged(why, event, now),
            Stall::Silent => self.in_silent(event, now),
            Stall::Forbidden(_) => self.in_forbidden(event, now),
            Stall::Schema(id) => self.in_schema(id, event, now),
            Stall::HeldBack => self.in_held_back(event, now),
        }
    }

    fn in_out_of_range(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Waited => self.stay(Action::AskKafka, now),
            event => self.resolve_start(event, now),
        }
    }

    fn in_damaged(&mut self, why: String, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Readable { from, offset } if from == self.next && offset >= from => {
                // If it is the next offset, nothing before it was lost.
                let is_lost = offset > self.next;
                self.damage = is_lost.then_some(Damage { why, end: offset });
                Transition::new(State::Reading, Action::Seek, now)
            }
            Event::Waited | Event::Paused if self.skips => self.stay(Action::FindReadable, now),
            Event::Waited => Transition::new(State::Reading, Action::Seek, now),
            Event::HeldBack(reason) => self.hold_back(reason, now),
            event => self.go_on(&event, now),
        }
    }

    fn in_silent(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Waited => self.stay(Action::Seek, now),
            Event::Forbidden(why) => self.forbid(why, now),
            event => self.take_from_client(event, now),
        }
    }

    fn in_forbidden(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Waited => self.stay(Action::AskAllowed, now),
            Event::Allowed => {
                self.stalls.is_trouble_logged = false;
                Transition::new(State::Reading, Action::Seek, now)
            }
            event => self.take_from_client(event, now),
        }
    }

    fn in_schema(&mut self, id: u32, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::SchemaKnown => {
                self.stalls.is_trouble_logged = false;
                Transition::new(State::Reading, Action::Seek, now)
            }
            Event::Waited => self.stay(Action::AskSchema(id), now),
            Event::HeldBack(reason) => self.hold_back(reason, now),
            event => self.go_on(&event, now),
        }
    }

    fn in_held_back(&mut self, event: Event, now: Instant) -> Option<Transition> {
        use StartResolution as R;
        match event {
            Event::Answered(R::Failed { retry_after, .. }) => {
                self.stay(Action::AskStore, now + retry_after)
            }
            Event::Paused | Event::Answered(R::Locked) => {
                let reason = self.held_back.as_ref();
                let retry_after = reason.map_or(HELD_BACK_RETRY, |reason| reason.retry_after);
                self.stay(Action::AskStore, now + retry_after)
            }
            Event::Answered(R::At(next) | R::AfterGap(next)) => {
                // Whether it is over shows when something of it is written.
                let was_logged = self.stalls.is_trouble_logged;
                self.begin(next);
                self.stalls.is_trouble_logged = was_logged;
                self.begin_start_check(now);
                Transition::new(State::Reading, Action::Seek, now)
            }
            Event::Answered(R::NeverRead | R::GapNeedsDecision(_)) => {
                self.waiting_since = now;
                Transition::new(State::Assigned, Action::Unassign, now)
            }
            Event::Waited => self.stay(Action::AskStore, now),
            event => self.go_on(&event, now),
        }
    }

    /// Where to begin is being found out: the state is assigned or out of range.
    fn resolve_start(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Answered(resolution) => self.resolved(resolution, now),
            Event::Measured(watermarks, asked) => self.measured(watermarks, asked, now),
            Event::ClientUnassigned => {
                (self.in_client, self.unassigned_at) = (false, Some(now));
                let is_assigned = self.state == State::Assigned;
                self.stay(if is_assigned { Action::AskStore } else { Action::AskKafka }, now)
            }
            _ => None,
        }
    }

    /// The store's answer while where to begin is being found out.
    fn resolved(&mut self, resolution: StartResolution, now: Instant) -> Option<Transition> {
        match resolution {
            StartResolution::At(next) if self.log_end.is_cut_before(next, self.refused) => {
                // The store was asked before what was read was held back, or before the end was
                // seen.
                self.refused = self.refused.map(|_| next);
                let is_measured = self.watermarks.is_some();
                self.stay(if is_measured { Action::AskStore } else { Action::AskKafka }, now)
            }
            StartResolution::At(next) | StartResolution::AfterGap(next) => {
                self.begin(next);
                self.read_before = -1;
                Transition::without_action(State::StartKnown)
            }
            StartResolution::NeverRead => {
                (self.refused, self.log_end.truncated_end) = (None, None);
                Transition::new(State::Assigned, Action::AskKafka, now)
            }
            StartResolution::Locked => self.stay(Action::AskStore, now + LOCKED_RETRY),
            StartResolution::Failed { retry_after, .. } => {
                self.stay(Action::AskStore, now + retry_after)
            }
            StartResolution::GapNeedsDecision(why) => {
                // Another trouble may have been logged.
                (self.stalls.is_trouble_logged, self.stalls.gap) = (false, Some(why.clone()));
                Transition::without_action(State::Stalled(Stall::Gap(why)))
            }
        }
    }

    /// Kafka's answer while where to begin is being found out.
    fn measured(
        &mut self,
        watermarks: Watermarks,
        asked: Instant,
        now: Instant,
    ) -> Option<Transition> {
        let is_old = asked < self.log_end.ignore_answers_before;
        if !is_old {
            self.watermarks = Some(watermarks);
            if self.refused.is_some_and(|refused| refused > watermarks.high) {
                self.log_end.note_truncated(watermarks.high);
            }
            // The log may grow to the stored offset before the store says which that is.
            self.log_end.note_seen(watermarks.high, asked);
        }
        if self.is_to_unassign() {
            return None;
        }
        let ask = if is_old { Action::AskKafka } else { Action::AskStore };
        // The store has said when it is to be asked again.
        let is_later = |(action, _): &(Action, Instant)| *action == Action::AskStore;
        let next_action = self.next_action.filter(is_later).or(Some((ask, now)));
        Some(Transition { state: self.state.clone(), next_action })
    }

    /// The events of Kafka's client and the store for a partition that may go on by itself: it is
    /// read, silent or forbidden.
    fn take_from_client(&mut self, event: Event, now: Instant) -> Option<Transition> {
        match event {
            Event::ClientError => {
                self.is_displaced = true;
                self.stay(Action::Seek, now)
            }
            Event::OutOfRange => {
                (self.refused, self.log_end.ignore_answers_before) = (Some(self.next), now);
                Transition::new(State::Stalled(Stall::OutOfRange), Action::Unassign, now)
            }
            Event::Damaged(why) => {
                // The batch may have begun before the next offset, and is of no use as a whole.
                self.is_displaced = true;
                Transition::new(State::Stalled(Stall::Damaged(why)), Action::Pause, now)
            }
            Event::LacksSchema(id) => {
                (self.is_displaced, self.waiting_since) = (true, now);
                self.stalls.is_trouble_logged = false;
                Transition::new(State::Stalled(Stall::Schema(id)), Action::Pause, now)
            }
            Event::HeldBack(reason) => self.hold_back(reason, now),
            event => self.go_on(&event, now),
        }
    }

    /// The events that count in each state in which the next offset is known, and none was refused.
    fn go_on(&mut self, event: &Event, now: Instant) -> Option<Transition> {
        match event {
            Event::Leaderless => {
                // Each answer would be too old if each question began the check again.
                if self.log_end.unchecked_start.is_none() {
                    self.begin_start_check(now);
                }
                None
            }
            Event::Measured(watermarks, asked) => self.check_start(*watermarks, *asked, now),
            Event::SeekFailed | Event::BatchDropped | Event::Unknown => {
                self.waiting_since = now;
                Transition::new(State::Assigned, Action::Unassign, now)
            }
            _ => None,
        }
    }

    /// Whether Kafka's log ends before the offset that comes next.
    fn check_start(
        &mut self,
        watermarks: Watermarks,
        asked: Instant,
        now: Instant,
    ) -> Option<Transition> {
        if asked < self.log_end.ignore_answers_before {
            return None;
        }
        let begun = self.log_end.unchecked_start.take()?;
        if watermarks.high >= begun {
            return None;
        }
        // The log may grow to the next offset before the client asks for that.
        self.log_end.note_truncated(watermarks.high);
        self.log_end.note_seen(watermarks.high, asked);
        self.refused = Some(self.next_in_store());
        Transition::new(State::Stalled(Stall::OutOfRange), Action::Unassign, now)
    }

    fn forbid(&mut self, why: String, now: Instant) -> Option<Transition> {
        self.is_displaced = true;
        Transition::new(State::Stalled(Stall::Forbidden(why)), Action::Seek, now)
    }

    fn hold_back(&mut self, reason: HeldBackReason, now: Instant) -> Option<Transition> {
        // Messages that the client has given since are not written, and the reason of the stall
        // comes later.
        self.stalls.is_trouble_logged &= self.state == State::Reading;
        (self.is_displaced, self.held_back) = (true, Some(reason));
        self.read_before = self.read_before.max(self.next);
        Transition::new(State::Stalled(Stall::HeldBack), Action::Pause, now)
    }

    /// The state stays, and that is to be done next.
    fn stay(&self, action: Action, when: Instant) -> Option<Transition> {
        Transition::new(self.state.clone(), action, when)
    }
}

/// A person must decide; what Kafka has is asked meanwhile.
fn in_gap(event: &Event, now: Instant) -> Option<Transition> {
    match event {
        Event::Waited => Transition::new(State::Stalled(Stall::OutOfRange), Action::AskKafka, now),
        _ => None,
    }
}
