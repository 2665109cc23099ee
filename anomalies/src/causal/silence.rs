//! A symbol, or a whole market, that says nothing for longer than usual while its exchange trades.

use crate::calendar::{Calendar, Session};
use crate::pack::pack;
use crate::tick::{Detector, Finding, Kind, SECOND, Tick};
use serde::{Deserialize, Serialize};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "silence", version: 3 };

/// The limits of a silence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// No silence is shorter, in nanoseconds.
    pub shortest: i64,
    /// Nor shorter than this many usual times between ticks.
    pub usual: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { shortest: 60 * SECOND, usual: 30.0 }
    }
}

impl Parameters {
    /// The longest time without a tick that is none, in nanoseconds, where `usual` is the usual
    /// one.
    #[must_use]
    pub fn longest(&self, usual: f64) -> i64 {
        self.shortest.max((self.usual * usual) as i64)
    }
}

/// The weight of a new time between ticks in their mean, of 1.
const SMOOTHING_WEIGHT: f64 = 1.0 / 64.0;
/// Number of times between ticks before their mean is believed.
const MIN_GAPS: u32 = 32;

/// The last tick, and the usual time between two. Take one for each symbol, and one more for all
/// ticks of a partition: that one sees a market's silence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct State {
    last: Option<i64>,
    gaps: u32,
    usual: f64,
    /// The session of the last tick that came, or the pause between two; and whether it is a
    /// session.
    session_or_break: Option<(Session, bool)>,
}

pack!(State { last, gaps, usual, session_or_break });

impl State {
    /// Says a silence that `tick` ends.
    #[inline]
    pub fn observe(
        &mut self,
        tick: &Tick,
        parameters: &Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) {
        if self.session_or_break.is_none_or(|(span, _)| !span.contains(tick.at)) {
            self.session_or_break = Some(calendar.session_or_break_at(tick.at));
        }
        let last = self.last.unwrap_or(tick.at);
        self.last = Some(last.max(tick.at));
        let gap = tick.at - last;
        // Most ticks come soon, and need no calendar.
        let gap = if gap >= SECOND { self.trading_since(last, tick.at, calendar) } else { gap };
        if gap < 0 {
            return;
        }
        let (limit, usual) = (self.limit(parameters), self.usual);
        if gap > limit {
            let score = gap as f64 / limit as f64;
            let (place, at) = (tick.place, tick.at);
            let (observed, expected) = (gap as f64, usual);
            found.push(Finding {
                detector: DETECTOR,
                kind: Kind::Silence,
                place,
                at,
                score,
                observed,
                expected,
            });
        }
        // Times outside of sessions say nothing of how a symbol trades within.
        if gap >= SECOND || self.session().is_some() {
            self.learn((gap as f64).min(limit as f64));
        }
    }

    /// Like [`Calendar::trading_between`], from the tick before to the present one, whose session
    /// or break is known: mostly that of both.
    #[inline]
    fn trading_since(&self, last: i64, at: i64, calendar: &Calendar) -> i64 {
        match self.session_or_break {
            Some((span, true)) if span.contains(last) => at - last,
            _ => calendar.trading_between(last, at),
        }
    }

    /// The newest time of those that came.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.last
    }

    /// The last tick was ahead of the time, which the next tick tells.
    pub(super) fn go_back(&mut self) {
        self.last = None;
    }

    /// The session of the last tick that came, if that was in one.
    #[inline]
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        self.session_or_break.and_then(|(session, is_open)| is_open.then_some(session))
    }

    /// How many nanoseconds of trading have passed since the last tick, if that is too long at
    /// `now`.
    ///
    /// `now` is the newest time of any tick, not that of a clock, so that the answer is the same
    /// after a replay.
    #[must_use]
    pub fn is_silent(&self, now: i64, parameters: &Parameters, calendar: &Calendar) -> Option<i64> {
        let gap = calendar.trading_between(self.last?, now);
        (gap > self.limit(parameters)).then_some(gap)
    }

    fn limit(&self, parameters: &Parameters) -> i64 {
        if self.gaps < MIN_GAPS {
            return i64::MAX;
        }
        parameters.longest(self.usual)
    }

    #[inline]
    fn learn(&mut self, gap: f64) {
        self.gaps = self.gaps.saturating_add(1);
        // A plain mean at first.
        let weight = if self.gaps < 64 { 1.0 / f64::from(self.gaps) } else { SMOOTHING_WEIGHT };
        self.usual += (gap - self.usual) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Session;
    use crate::tick::{MINUTE, TickId};

    fn days() -> Calendar {
        let day = |number: i64| Session {
            opens: number * 1000 * MINUTE,
            closes: (number * 1000 + 390) * MINUTE,
        };
        Calendar::of((0..3).map(day).collect())
    }

    fn after(times: impl Iterator<Item = i64>) -> (State, Vec<Finding>) {
        let (mut state, mut found) = (State::default(), Vec::new());
        for at in times {
            state.observe(
                &Tick::of(TickId::default(), at, 1),
                &Parameters::default(),
                &days(),
                &mut found,
            );
        }
        (state, found)
    }

    #[test]
    fn a_silence_in_trading_hours_is_said_by_the_tick_that_ends_it() {
        let (_, found) = after((0..100).map(|number| number * SECOND).chain([400 * SECOND]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].at), (Kind::Silence, 400 * SECOND));
        assert!((found[0].score - 301.0 / 60.0).abs() < 1e-9, "{}", found[0].score);
    }

    #[test]
    fn a_night_is_no_silence() {
        let evening = (389 * MINUTE..390 * MINUTE).step_by(SECOND as usize);
        assert_eq!(after(evening.chain([1000 * MINUTE])).1, []);
    }

    #[test]
    fn times_between_ticks_outside_of_sessions_teach_nothing() {
        const DAY: i64 = 1000 * MINUTE;
        let night = |day: i64, apart: i64| {
            (day * DAY + 400 * MINUTE..(day + 1) * DAY).step_by(apart as usize)
        };
        let session = |day: i64| (day * DAY..day * DAY + 390 * MINUTE).step_by(4 * MINUTE as usize);
        // Around the clock, and livelier outside: many a second, too.
        for apart in [4 * MINUTE, 20 * SECOND, SECOND / 4] {
            let times = (0..3).flat_map(|day| session(day).chain(night(day, apart)));
            assert_eq!(after(times).1, [], "{apart}");
        }
        // Who is silent within the session is found all the same.
        let lively = (0..200).map(|number| number * SECOND);
        let times = night(-1, SECOND / 4).chain(lively).chain([500 * SECOND]);
        assert_eq!(after(times).1.len(), 1);
    }

    #[test]
    fn a_slow_symbol_may_be_silent_for_longer() {
        assert_eq!(after((0..100).map(|number| number * MINUTE).chain([110 * MINUTE])).1, []);
    }

    #[test]
    fn a_silence_is_seen_before_it_ends_too() {
        let (state, _) = after((0..100).map(|number| number * SECOND));
        let is_silent = |now| state.is_silent(now, &Parameters::default(), &days());
        assert_eq!(is_silent(150 * SECOND), None);
        assert_eq!(is_silent(200 * SECOND), Some(101 * SECOND));
    }
}
