//! The time of a symbol, or of a whole market: that of its newest tick, where a second one agrees.
//!
//! A tick whose producer's clock is wrong may tell a time of hours ahead. Were it believed, all
//! later ticks would be late. So a tick that leaps ahead waits for the next ones: one of another
//! record that has come as far confirms it, and one that goes on from the time before refutes it.
//! If several of them agree and are wrong all the same, time goes back once enough others in a row
//! go on from where it leapt.

use crate::pack::pack;
use crate::tick::{MINUTE, Revision, Tick, TickId};

/// Nanoseconds ahead of the newest tick from which on a tick is a leap.
const LEAP: i64 = MINUTE;
/// Ticks of one record that wait together, at most; of more the first ones do.
const MOST_WAITING: usize = 64;
/// This many ticks in a row that go on from the time before a leap take it back.
const BACK_AFTER: u8 = 5;
/// Number of ticks after a leap that confirm it.
const SETTLED_AFTER: u8 = 32;

/// The time of a tick for detectors that go by time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Waiting {
    place: TickId,
    at: i64,
    price: i64,
    volume: f64,
    is_cancel: bool,
}

pack!(Waiting { place, at, price, volume, is_cancel });

impl Waiting {
    fn of(tick: &Tick) -> Self {
        let Tick { place, at, price, volume, .. } = *tick;
        Self { place, at, price, volume, is_cancel: tick.is_cancel() }
    }

    fn tick(self) -> Tick {
        let Self { place, at, price, volume, is_cancel } = self;
        Tick {
            volume,
            revision: is_cancel.then_some(Revision::Cancel),
            ..Tick::of(place, at, price)
        }
    }
}

/// The treatment of a tick.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// The tick has its time, or is late.
    Usual,
    /// The tick waits for the next ones, replacing those that waited if it is the first.
    Waits { is_first: bool },
    /// These had their time, and come first; the first one of them without being asked again.
    Agreed(Vec<Tick>),
    /// Time goes back to it.
    Back,
}

/// The part of the time that is not sure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clock {
    doubt: Option<Box<Doubt>>,
}

pack!(Clock { doubt });

#[derive(Debug, Clone, PartialEq, Default)]
struct Doubt {
    /// Ticks of one record that have leapt ahead.
    waiting: Vec<Waiting>,
    leap: Option<Leap>,
}

pack!(Doubt { waiting, leap });

/// A leap that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Leap {
    /// The newest time before it, or of those that went on from there; `None`: it was the
    /// beginning.
    from: Option<i64>,
    /// How many have come after it, and how many in a row have gone on from before it.
    behind: u8,
    back: u8,
}

pack!(Leap { from, behind, back });

impl Clock {
    /// Decides how `tick` is treated. `last`: the newest time so far; `market`: that of the market,
    /// which a symbol's tick is believed by.
    #[inline]
    pub fn turn(&mut self, tick: &Tick, last: Option<i64>, market: Option<i64>) -> Turn {
        if self.doubt.is_none() && last.is_some_and(|last| is_near(tick.at, last)) {
            return Turn::Usual;
        }
        self.turn_in_doubt(tick, last, market)
    }

    #[cold]
    fn turn_in_doubt(&mut self, tick: &Tick, last: Option<i64>, market: Option<i64>) -> Turn {
        let doubt = self.doubt.get_or_insert_default();
        let turn = doubt.turn(tick, last, market);
        if doubt.waiting.is_empty() && doubt.leap.is_none() {
            self.doubt = None;
        }
        turn
    }
}

fn is_near(at: i64, other: i64) -> bool {
    at.abs_diff(other) <= LEAP.unsigned_abs()
}

fn leaps(at: i64, from: Option<i64>) -> bool {
    from.is_none_or(|from| at > from.saturating_add(LEAP))
}

impl Doubt {
    fn turn(&mut self, tick: &Tick, last: Option<i64>, market: Option<i64>) -> Turn {
        if let Some(first) = self.waiting.first()
            && first.place.offset != tick.place.offset
            && !leaps(first.at, Some(tick.at))
        {
            self.leap.get_or_insert(Leap { from: last, ..Leap::default() });
            return Turn::Agreed(self.waiting.drain(..).map(Waiting::tick).collect());
        }
        if leaps(tick.at, last.max(market)) {
            return self.wait(tick);
        }
        if last.is_none_or(|last| tick.at > last) {
            self.waiting.clear();
        }
        if leaps(tick.at, last) {
            // The market has been there.
            self.leap.get_or_insert(Leap { from: last, ..Leap::default() });
        }
        self.follow(tick.at, last)
    }

    fn wait(&mut self, tick: &Tick) -> Turn {
        let is_beside = |first: &Waiting| {
            first.place.offset == tick.place.offset && !leaps(first.at, Some(tick.at))
        };
        let is_first = !self.waiting.first().is_some_and(is_beside);
        if is_first {
            self.waiting.clear();
        }
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push(Waiting::of(tick));
        }
        Turn::Waits { is_first }
    }

    /// Counts ticks after a leap, and ticks that go on from before it.
    fn follow(&mut self, at: i64, last: Option<i64>) -> Turn {
        let Some(leap) = &mut self.leap else { return Turn::Usual };
        if last.is_none_or(|last| at >= last.saturating_sub(LEAP)) {
            (leap.behind, leap.back) = (leap.behind + 1, 0);
            if leap.behind >= SETTLED_AFTER {
                self.leap = None;
            }
        } else if leap.from.is_none_or(|from| at > from && is_near(at, from)) {
            (leap.from, leap.back) = (Some(at), leap.back + 1);
            if leap.back >= BACK_AFTER {
                *self = Self::default();
                return Turn::Back;
            }
        }
        Turn::Usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::SECOND;

    const HOUR: i64 = 60 * MINUTE;

    /// A clock, and the newest time.
    #[derive(Default)]
    struct Watched {
        clock: Clock,
        last: Option<i64>,
        offset: i64,
        looked_at: Vec<i64>,
    }

    impl Watched {
        fn see(&mut self, at: i64) -> Turn {
            self.offset += 1;
            self.see_with(at, None)
        }

        /// A tick of the same record as the one before.
        fn see_with(&mut self, at: i64, market: Option<i64>) -> Turn {
            let tick = Tick::of(TickId { offset: self.offset, index: 0 }, at, 1);
            let turn = self.clock.turn(&tick, self.last, market);
            match &turn {
                Turn::Usual => self.look_at(at),
                Turn::Back => {
                    self.last = None;
                    self.look_at(at);
                }
                Turn::Waits { .. } => {}
                Turn::Agreed(waiting) => {
                    waiting.iter().for_each(|tick| self.look_at(tick.at));
                    return self.see_with(at, market);
                }
            }
            turn
        }

        fn look_at(&mut self, at: i64) {
            self.last = self.last.max(Some(at));
            self.looked_at.push(at);
        }

        fn see_all(&mut self, times: impl IntoIterator<Item = i64>) {
            times.into_iter().for_each(|at| drop(self.see(at)));
        }
    }

    fn seconds(from: i64, count: i64) -> impl Iterator<Item = i64> {
        (0..count).map(move |number| from + number * SECOND)
    }

    #[test]
    fn one_tick_ahead_is_looked_at_by_nobody_and_those_behind_it_are_not_late() {
        for ahead in [90 * SECOND, 20 * HOUR] {
            let mut watched = Watched::default();
            watched.see_all(
                seconds(0, 10).chain([10 * SECOND + ahead]).chain(seconds(10 * SECOND, 50)),
            );
            assert_eq!(watched.looked_at, seconds(0, 60).collect::<Vec<_>>());
            assert_eq!(watched.clock, Clock::default());
        }
    }

    #[test]
    fn a_pause_ends_with_its_first_tick_once_the_next_one_has_come_as_far() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10));
        assert_eq!(watched.see(HOUR), Turn::Waits { is_first: true });
        assert_eq!(watched.last, Some(9 * SECOND));
        assert_eq!(watched.see(HOUR - 2 * SECOND), Turn::Usual);
        assert_eq!(watched.looked_at[10..], [HOUR, HOUR - 2 * SECOND]);
    }

    #[test]
    fn late_ticks_say_nothing_of_one_that_waits() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10).chain([HOUR, 8 * SECOND, HOUR + SECOND]));
        assert_eq!(watched.last, Some(HOUR + SECOND));
    }

    #[test]
    fn a_nearer_leap_takes_the_place_of_a_farther_one() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10).chain([20 * HOUR, HOUR, HOUR + SECOND]));
        assert_eq!(watched.looked_at[10..], [HOUR, HOUR + SECOND]);
    }

    #[test]
    fn ticks_of_one_record_do_not_agree_with_each_other() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10).chain([20 * HOUR]));
        assert_eq!(watched.see_with(20 * HOUR + 1, None), Turn::Waits { is_first: false });
        watched.see_all(seconds(10, 10));
        assert_eq!(watched.looked_at.len(), 20);
        // Another record makes all of them right.
        watched.see_all([HOUR]);
        watched.see_with(HOUR + 1, None);
        watched.see_all([HOUR + 2]);
        assert_eq!(watched.looked_at[20..], [HOUR, HOUR + 1, HOUR + 2]);
    }

    #[test]
    fn of_ticks_that_are_wrong_together_time_goes_back() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10).chain([20 * HOUR, 20 * HOUR + 1, 20 * HOUR + 2]));
        assert_eq!(watched.last, Some(20 * HOUR + 2));
        watched.see_all(seconds(10 * SECOND, 4));
        assert_eq!(watched.see(14 * SECOND), Turn::Back);
        watched.see_all(seconds(15 * SECOND, 5));
        assert_eq!((watched.last, &watched.clock), (Some(19 * SECOND), &Clock::default()));
    }

    #[test]
    fn of_two_at_the_beginning_it_goes_back_too() {
        let mut watched = Watched::default();
        watched.see_all([20 * HOUR, 20 * HOUR + 1].into_iter().chain(seconds(0, 10)));
        assert_eq!(watched.last, Some(9 * SECOND));
    }

    #[test]
    fn behind_a_leap_that_many_agree_with_older_ticks_are_late() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10).chain(seconds(HOUR, 100)).chain(seconds(10 * SECOND, 100)));
        assert_eq!(watched.last, Some(HOUR + 99 * SECOND));
    }

    #[test]
    fn a_symbol_is_believed_what_the_market_has_come_to() {
        let mut watched = Watched::default();
        watched.see_all(seconds(0, 10));
        watched.offset += 1;
        assert_eq!(watched.see_with(HOUR, Some(HOUR - MINUTE)), Turn::Usual);
        assert_eq!(watched.see(3 * HOUR), Turn::Waits { is_first: true });
        assert_eq!(watched.last, Some(HOUR));
    }

    #[test]
    fn times_at_the_ends_of_what_there_is_are_no_panic() {
        let mut watched = Watched::default();
        watched.see_all([i64::MIN, i64::MAX, i64::MIN, i64::MAX, i64::MAX, i64::MIN, 0]);
    }
}
