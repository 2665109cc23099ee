//! What is found as ticks arrive: each detector is a function of its state and the next tick, and
//! of nothing else.
//!
//! A state is that of one symbol in one partition; ticks come in the order of their offsets. A
//! symbol that is spread over partitions has a state in each.

pub mod bad_print;
pub mod band;
pub mod burst;
pub mod revision;
pub mod sequence;
pub mod silence;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::pack::Pack;
use crate::tick::{Finding, Kind, Tick};

/// What all detectors are set to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Parameters {
    pub bad_print: bad_print::Parameters,
    pub band: band::Parameters,
    pub burst: burst::Parameters,
    pub silence: silence::Parameters,
}

/// Symbols of a partition that are watched: the first ones. A feed may have millions of names.
pub const MOST_SYMBOLS: usize = 20_000;

/// Looks at `tick`, the next one of its partition, by what is known of all of that one's ticks (`market`)
/// and of its symbol's; `None` for a symbol beyond [`MOST_SYMBOLS`].
#[inline]
pub fn observe(
    tick: &Tick,
    (market, symbol): (&mut silence::State, Option<&mut State>),
    to: &Parameters,
    calendar: &Calendar,
    found: &mut Vec<Finding>,
) {
    let before = found.len();
    market.observe(tick, &to.silence, calendar, found);
    found[before..].iter_mut().for_each(|finding| finding.kind = Kind::MarketSilence);
    if let Some(symbol) = symbol {
        symbol.observe(tick, to, calendar, found);
    }
}

/// What all detectors know of one symbol. Written down and read again, it goes on as if nothing had
/// been.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    bad_print: bad_print::State,
    band: band::State,
    burst: burst::State,
    silence: silence::State,
    sequence: sequence::State,
}

impl State {
    /// Adds to `found` what `tick` shows, of itself or of those before it.
    ///
    /// Outside the sessions of `calendar` there are no bands, bursts and silence. A trade that is taken back has a number
    /// and a time, and neither price nor volume.
    #[inline]
    pub fn observe(&mut self, tick: &Tick, to: &Parameters, calendar: &Calendar, found: &mut Vec<Finding>) {
        self.sequence.observe(tick, found);
        self.silence.observe(tick, &to.silence, calendar, found);
        revision::observe(tick, found);
        if tick.is_cancel() {
            return;
        }
        self.bad_print.observe(tick, &to.bad_print, found);
        if let Some(session) = self.silence.session() {
            self.band.observe(tick, &to.band, session, found);
            self.burst.observe(tick, &to.burst, session, found);
        }
    }

    /// Appends what has changed since it was written down last; where `is_whole`, everything.
    ///
    /// Half of a state changes once a minute, and the other with each tick.
    pub fn write(&mut self, is_whole: bool, to: &mut Vec<u8>) {
        let Self { bad_print, band, burst, silence, sequence } = self;
        bad_print.put(to);
        (*band, *silence, *sequence).put(to);
        burst.write(is_whole, to);
    }

    /// Reads on from what [`State::write`] appended after what this state knows. `None` where it is
    /// something else; the state is then of no use.
    pub fn read(&mut self, from: &mut &[u8]) -> Option<()> {
        self.bad_print = Pack::take(from)?;
        (self.band, self.silence, self.sequence) = Pack::take(from)?;
        self.burst.read(from)?;
        self.bad_print.is_sound().then_some(())
    }

    /// As [`silence::State::is_silent`].
    #[must_use]
    pub fn is_silent(&self, now: i64, to: &Parameters, calendar: &Calendar) -> Option<i64> {
        self.silence.is_silent(now, &to.silence, calendar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{Place, Revision};

    #[test]
    fn a_trade_that_is_taken_back_is_said_once_and_its_price_is_none() {
        let (mut state, mut found, to) = (State::default(), Vec::new(), Parameters::default());
        for offset in 0..100 {
            let is_cancel = offset >= 50 && offset % 2 == 0;
            let price = if is_cancel { 20_000_000_000 } else { 10_000_000_000 };
            let revision = is_cancel.then_some(Revision::Cancel);
            let tick = Tick { revision, ..Tick::of(Place { offset, index: 0 }, offset, price) };
            state.observe(&tick, &to, &Calendar::default(), &mut found);
        }
        assert_eq!(found.len(), 25);
        assert!(found.iter().all(|finding| finding.kind == Kind::Cancel && finding.observed == 2e10));
    }
}
