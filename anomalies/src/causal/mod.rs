//! What is found as ticks arrive: each detector is a function of its state and the next tick, and
//! of nothing else.
//!
//! A state is that of one symbol in one partition; ticks come in the order of their offsets. A
//! symbol that is spread over partitions has a state in each.

pub mod bad_print;
pub mod band;
pub mod burst;
pub mod sequence;
pub mod silence;

use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, Session};
use crate::tick::{Finding, Tick};

/// What all detectors are set to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Parameters {
    pub bad_print: bad_print::Parameters,
    pub band: band::Parameters,
    pub burst: burst::Parameters,
    pub silence: silence::Parameters,
}

/// What all detectors know of one symbol. Written down and read again, it goes on as if nothing had
/// been.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    bad_print: bad_print::State,
    band: band::State,
    burst: burst::State,
    silence: silence::State,
    sequence: sequence::State,
    /// The session of the last tick.
    session: Option<Session>,
}

impl State {
    /// Adds to `found` what `tick` shows, of itself or of those before it.
    ///
    /// Outside the sessions of `calendar` there are no bands, bursts and silence.
    #[inline]
    pub fn observe(&mut self, tick: &Tick, to: &Parameters, calendar: &Calendar, found: &mut Vec<Finding>) {
        self.sequence.observe(tick, found);
        self.bad_print.observe(tick, &to.bad_print, found);
        self.silence.observe(tick, &to.silence, calendar, found);
        if self.session.is_none_or(|session| !session.contains(tick.at)) {
            self.session = calendar.at(tick.at);
        }
        if let Some(session) = self.session {
            self.band.observe(tick, &to.band, session, found);
            self.burst.observe(tick, &to.burst, session, found);
        }
    }

    /// As [`silence::State::is_silent`].
    #[must_use]
    pub fn is_silent(&self, now: i64, to: &Parameters, calendar: &Calendar) -> Option<i64> {
        self.silence.is_silent(now, &to.silence, calendar)
    }
}
