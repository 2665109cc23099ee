//! Detectors for ticks as they arrive: each is a function of its state and the next tick, and of
//! nothing else.
//!
//! A state is that of one symbol in one partition; ticks come in the order of their offsets. A
//! symbol that is spread over partitions has a state in each.

pub mod bad_print;
pub mod band;
pub mod burst;
pub mod clock;
pub mod revision;
pub mod sequence;
pub mod silence;

use crate::calendar::Calendar;
use crate::pack::{Pack, pack};
use crate::tick::{Finding, Kind, Tick};
use clock::{Clock, Turn};
use serde::{Deserialize, Serialize};

/// The parameters of all detectors.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Parameters {
    pub bad_print: bad_print::Parameters,
    pub band: band::Parameters,
    pub burst: burst::Parameters,
    pub silence: silence::Parameters,
}

/// Symbols of a partition that are watched: the first ones. A feed may have millions of names.
pub const MOST_SYMBOLS: usize = 20_000;

/// A tick, and the symbol that it is of.
#[derive(Debug, Clone, Copy)]
pub struct SymbolTick<'a> {
    pub symbol: &'a str,
    pub tick: &'a Tick,
}

/// Looks at the next tick of a partition. `market` is what is known about all ticks of the
/// partition, and `state` what is known about those of the tick's symbol; `None` for a symbol
/// beyond [`MOST_SYMBOLS`]. Adds what it finds to `found`, with the symbol that it is about.
#[inline]
pub fn observe(
    next: SymbolTick<'_>,
    market: &mut Market,
    state: Option<&mut State>,
    parameters: &Parameters,
    calendar: &Calendar,
    found: &mut Vec<(Box<str>, Finding)>,
) {
    let SymbolTick { symbol, tick } = next;
    let mut new = Vec::new();
    let ended_by = market.observe(next, &parameters.silence, calendar, &mut new);
    new.iter_mut().for_each(|finding| finding.kind = Kind::MarketSilence);
    if let Some(state) = state {
        state.observe(tick, market.time(), parameters, calendar, &mut new);
    }
    let whose = |finding: &Finding| match &ended_by {
        Some(other) if finding.kind == Kind::MarketSilence && finding.place != tick.place => {
            other.clone()
        }
        _ => symbol.into(),
    };
    found.extend(new.into_iter().map(|finding| (whose(&finding), finding)));
}

/// The state for all ticks of a partition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Market {
    clock: Clock,
    silence: silence::State,
    /// The symbol of the first tick that the clock lets wait.
    waiting: Box<str>,
}

pack!(Market { clock, silence, waiting });

impl Market {
    /// The newest time of its ticks, as far as it is believed.
    #[inline]
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.silence.last()
    }

    /// Adds to `found` what the next tick shows. Where that is about a tick before it, returns the
    /// symbol of that tick.
    #[inline]
    fn observe(
        &mut self,
        next: SymbolTick<'_>,
        parameters: &silence::Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) -> Option<Box<str>> {
        match self.clock.turn(next.tick, self.time(), None) {
            Turn::Usual => self.silence.observe(next.tick, parameters, calendar, found),
            turn => return self.take(turn, next, parameters, calendar, found),
        }
        None
    }

    #[cold]
    fn take(
        &mut self,
        turn: Turn,
        next: SymbolTick<'_>,
        parameters: &silence::Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) -> Option<Box<str>> {
        let SymbolTick { symbol, tick } = next;
        match turn {
            Turn::Usual => self.silence.observe(tick, parameters, calendar, found),
            Turn::Waits { is_first: true } => self.waiting = symbol.into(),
            Turn::Waits { is_first: false } => {}
            Turn::Back => {
                self.silence.go_back();
                self.silence.observe(tick, parameters, calendar, found);
            }
            Turn::Agreed(waiting) => {
                let whose = std::mem::take(&mut self.waiting);
                waiting
                    .iter()
                    .take(1)
                    .for_each(|first| self.silence.observe(first, parameters, calendar, found));
                self.observe(next, parameters, calendar, found);
                return Some(whose);
            }
        }
        None
    }
}

/// The states of all detectors for one symbol. Written down and read again, they go on as if
/// nothing had been.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    bad_print: bad_print::State,
    band: band::State,
    burst: burst::State,
    silence: silence::State,
    sequence: sequence::State,
    clock: Clock,
}

impl State {
    /// Adds to `found` what `tick` shows, of itself or of those before it. `market`: the newest
    /// time of its partition, where that is known.
    ///
    /// Outside the sessions of `calendar` there are no bands, bursts and silence. A trade that is
    /// taken back has a number and a time, and neither price nor volume.
    #[inline]
    pub fn observe(
        &mut self,
        tick: &Tick,
        market: Option<i64>,
        parameters: &Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) {
        self.sequence.observe(tick, found);
        revision::observe(tick, found);
        if !tick.is_cancel() {
            self.bad_print.observe(tick, &parameters.bad_print, found);
        }
        self.observe_time(tick, market, parameters, calendar, found);
    }

    /// The findings of detectors that go by time: a tick that is ahead of it waits for the next
    /// ones.
    #[inline]
    fn observe_time(
        &mut self,
        tick: &Tick,
        market: Option<i64>,
        parameters: &Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) {
        match self.clock.turn(tick, self.silence.last(), market) {
            Turn::Usual => self.observe_in_time(tick, parameters, calendar, found),
            turn => self.take(turn, tick, market, parameters, calendar, found),
        }
    }

    #[cold]
    fn take(
        &mut self,
        turn: Turn,
        tick: &Tick,
        market: Option<i64>,
        parameters: &Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) {
        match turn {
            Turn::Usual => self.observe_in_time(tick, parameters, calendar, found),
            Turn::Waits { .. } => self.bad_print.go_back(self.silence.last()),
            Turn::Back => {
                self.bad_print.go_back(Some(tick.at));
                self.silence.go_back();
                self.burst.go_back();
                self.band = band::State::default();
                self.observe_in_time(tick, parameters, calendar, found);
            }
            Turn::Agreed(waiting) => {
                let mut waiting = waiting.iter();
                waiting
                    .next()
                    .into_iter()
                    .for_each(|first| self.observe_in_time(first, parameters, calendar, found));
                waiting
                    .chain([tick])
                    .for_each(|one| self.observe_time(one, market, parameters, calendar, found));
            }
        }
    }

    #[inline]
    fn observe_in_time(
        &mut self,
        tick: &Tick,
        parameters: &Parameters,
        calendar: &Calendar,
        found: &mut Vec<Finding>,
    ) {
        self.silence.observe(tick, &parameters.silence, calendar, found);
        if let Some(session) = self.silence.session().filter(|_| !tick.is_cancel()) {
            if !tick.is_excluded {
                self.band.observe(tick, &parameters.band, session, found);
            }
            self.burst.observe(tick, &parameters.burst, session, found);
        }
    }

    /// Appends what has changed since it was last written; where `is_snapshot`, everything.
    ///
    /// Half of a state changes once a minute, and the other with each tick.
    pub fn write(&mut self, is_snapshot: bool, to: &mut Vec<u8>) {
        let Self { bad_print, band, burst, silence, sequence, clock } = self;
        bad_print.put(to);
        (*band, *silence, *sequence).put(to);
        clock.put(to);
        burst.write(is_snapshot, to);
    }

    /// Reads on from what [`State::write`] appended after what this state knows. `None` where it is
    /// something else; the state is then of no use.
    pub fn read(&mut self, from: &mut &[u8]) -> Option<()> {
        self.bad_print = Pack::take(from)?;
        (self.band, self.silence, self.sequence) = Pack::take(from)?;
        self.clock = Pack::take(from)?;
        self.burst.read(from)?;
        self.bad_print.is_sound().then_some(())
    }

    /// Like [`silence::State::is_silent`].
    #[must_use]
    pub fn is_silent(&self, now: i64, parameters: &Parameters, calendar: &Calendar) -> Option<i64> {
        self.silence.is_silent(now, &parameters.silence, calendar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Session;
    use crate::tick::{MINUTE, Revision, SECOND, TickId};

    #[test]
    fn a_trade_that_is_taken_back_is_said_once_and_its_price_is_none() {
        let (mut state, mut found, parameters) =
            (State::default(), Vec::new(), Parameters::default());
        for offset in 0..100 {
            let is_cancel = offset >= 50 && offset % 2 == 0;
            let price = if is_cancel { 20_000_000_000 } else { 10_000_000_000 };
            let revision = is_cancel.then_some(Revision::Cancel);
            let tick = Tick { revision, ..Tick::of(TickId { offset, index: 0 }, offset, price) };
            state.observe(&tick, None, &parameters, &Calendar::default(), &mut found);
        }
        assert_eq!(found.len(), 25);
        assert!(
            found.iter().all(|finding| finding.kind == Kind::Cancel && finding.observed == 2e10)
        );
    }

    /// Two symbols in turn, a tick every two seconds of each, with pauses of both and bursts of
    /// one; `strays`: ticks ahead of their time, each after that number, so many seconds, of the
    /// first or the second symbol.
    fn found(strays: &[(i64, i64, usize)]) -> Vec<(Box<str>, Finding)> {
        let (mut market, mut states) = (Market::default(), [State::default(), State::default()]);
        let opens = 1440 * MINUTE;
        let calendar = Calendar::of(vec![Session { opens, closes: 2 * opens }]);
        let (mut offset, mut found, parameters) = (0, Vec::new(), Parameters::default());
        let mut see = |at: i64, symbol: usize, volume: f64| {
            let place = TickId { offset, index: 0 };
            let tick =
                Tick { volume, ..Tick::of(place, at, 100_000_000_000 + offset % 3 * 10_000_000) };
            let names = ["A", "B"];
            observe(
                SymbolTick { symbol: names[symbol], tick: &tick },
                &mut market,
                Some(&mut states[symbol]),
                &parameters,
                &calendar,
                &mut found,
            );
            offset += 1;
        };
        for number in 0..3000_i64 {
            let pause = if number < 2000 { 0 } else { 600 };
            let at = opens + (number + pause) * SECOND;
            let volume = if [1000, 1500, 1900].contains(&number) { 500_000.0 } else { 100.0 };
            see(at, (number % 2) as usize, volume);
            for (_, ahead, symbol) in strays.iter().filter(|(behind, ..)| *behind == number) {
                see(at + ahead * SECOND, *symbol, 100.0);
            }
        }
        found
    }

    /// Whose, of which kind, and when.
    fn said(found: &[(Box<str>, Finding)]) -> Vec<(Box<str>, Kind, i64)> {
        let mut said: Vec<_> = found
            .iter()
            .map(|(symbol, finding)| (symbol.clone(), finding.kind, finding.at))
            .collect();
        said.sort();
        said
    }

    #[test]
    fn a_tick_ahead_of_its_time_hides_neither_bursts_nor_silences_of_its_symbol_or_its_partition() {
        let undisturbed = said(&found(&[]));
        let kinds: Vec<Kind> = undisturbed.iter().map(|(_, kind, _)| *kind).collect();
        use Kind::{MarketSilence, Silence, VolumeBurst};
        assert_eq!(kinds, [VolumeBurst, VolumeBurst, VolumeBurst, Silence, MarketSilence, Silence]);
        for ahead in [90, 300, 20 * 3600] {
            for symbol in [0, 1] {
                assert_eq!(
                    said(&found(&[(700, ahead, symbol), (1800, ahead, symbol)])),
                    undisturbed,
                    "{ahead}"
                );
            }
        }
    }

    #[test]
    fn of_ticks_ahead_that_agree_with_each_other_what_comes_behind_is_found_too() {
        let undisturbed = said(&found(&[]));
        let strays: Vec<(i64, i64, usize)> =
            (0..4).map(|number| (700, 20 * 3600 + number, number as usize % 2)).collect();
        let disturbed = said(&found(&strays));
        assert!(undisturbed.iter().all(|one| disturbed.contains(one)), "{disturbed:?}");
    }

    #[test]
    fn a_silence_of_the_market_is_said_of_the_first_tick_behind_it_and_of_whose_that_is() {
        let found = found(&[]);
        let (symbol, finding) =
            found.iter().find(|(_, finding)| finding.kind == Kind::MarketSilence).unwrap();
        assert_eq!((&**symbol, finding.place.offset), ("A", 2000));
    }
}
