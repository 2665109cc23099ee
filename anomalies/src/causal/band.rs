//! Bands in the manner of the United States' limit up, limit down: a share around the mean of the
//! last five minutes, doubled at the beginning and the end of a session.

use crate::calendar::Session;
use crate::pack::pack;
use crate::tick::{Detector, Finding, Kind, MINUTE, Tick};
use serde::{Deserialize, Serialize};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "band", version: 4 };

/// Minutes that the reference price is a mean of, as in the plan of the limits (LULD, 2012).
const MINUTES: usize = 5;
/// This many trades in a row outside are the new price.
const ACCEPTED_AFTER: u8 = 5;

/// How wide the bands are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Half the width, as a share of the mean.
    pub width: f64,
    /// The same for a mean below [`CHEAP`].
    pub width_of_cheap: f64,
    /// Nanoseconds after the opening in which the bands are doubled.
    pub at_opening: i64,
    /// Nanoseconds before the close in which they are doubled.
    pub at_close: i64,
    /// Trades that the mean needs.
    pub trades: u32,
    /// No price is outside by less than this, in units of 10^-9.
    pub price_step: i64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            width: 0.05,
            width_of_cheap: 0.2,
            at_opening: 15 * MINUTE,
            at_close: 25 * MINUTE,
            trades: 5,
            price_step: 10_000_000,
        }
    }
}

/// A mean below this is cheap, as in the same plan: three, in units of 10^-9.
const CHEAP: f64 = 3e9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    prices: i128,
    trades: u32,
}

pack!(Sum { prices, trades });

impl Sum {
    #[inline]
    fn mean(&self) -> f64 {
        // Fewer steps give the same float where it fits.
        let prices =
            i64::try_from(self.prices).map_or_else(|_| self.prices as f64, |prices| prices as f64);
        prices / f64::from(self.trades)
    }
}

/// Sums of the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    minutes: [Sum; MINUTES],
    total: Sum,
    /// The newest minute, since 1970.
    newest: i64,
    outside: u8,
}

pack!(State { minutes, total, newest, outside });

impl State {
    /// Looks at the price of `tick`, which came in `session`.
    #[inline]
    pub fn observe(
        &mut self,
        tick: &Tick,
        parameters: &Parameters,
        session: Session,
        found: &mut Vec<Finding>,
    ) {
        self.turn_to(tick.at.div_euclid(MINUTE));
        if tick.price <= 0 {
            // A share of it is no band, nor one of a mean that it is part of.
            *self = Self { newest: self.newest, ..Self::default() };
            return;
        }
        if self.total.trades >= parameters.trades {
            let mean = self.total.mean();
            let limit = (width(mean, tick.at, parameters, session) * mean)
                .max(parameters.price_step as f64);
            let off = (tick.price as f64 - mean).abs();
            if off > limit {
                self.outside += 1;
                let (place, at, score) = (tick.place, tick.at, off / limit);
                let kind = Kind::OutsideBands;
                let (observed, expected) = (tick.price as f64, mean);
                found.push(Finding {
                    detector: DETECTOR,
                    kind,
                    place,
                    at,
                    score,
                    observed,
                    expected,
                });
                if self.outside < ACCEPTED_AFTER {
                    return;
                }
                *self = Self { newest: self.newest, ..Self::default() };
            }
        }
        self.outside = 0;
        self.add(tick.price);
    }

    #[inline]
    fn turn_to(&mut self, minute: i64) {
        let passed = minute - self.newest;
        if passed <= 0 {
            // A late tick counts in the newest minute.
            return;
        }
        for step in 0..passed.min(MINUTES as i64) {
            let gone = std::mem::take(
                &mut self.minutes[((minute - step).rem_euclid(MINUTES as i64)) as usize],
            );
            self.total.prices -= gone.prices;
            self.total.trades -= gone.trades;
        }
        self.newest = minute;
    }

    #[inline]
    fn add(&mut self, price: i64) {
        let minute = &mut self.minutes[self.newest.rem_euclid(MINUTES as i64) as usize];
        for sum in [minute, &mut self.total] {
            sum.prices += i128::from(price);
            sum.trades += 1;
        }
    }
}

#[inline]
fn width(mean: f64, at: i64, parameters: &Parameters, session: Session) -> f64 {
    let width = if mean < CHEAP { parameters.width_of_cheap } else { parameters.width };
    let is_wide =
        at < session.opens + parameters.at_opening || at >= session.closes - parameters.at_close;
    if is_wide { 2.0 * width } else { width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{SECOND, TickId};

    const SESSION: Session = Session { opens: 0, closes: 390 * MINUTE };

    fn found(start: i64, prices: &[i64]) -> Vec<usize> {
        let (mut state, mut found) = (State::default(), Vec::new());
        for (number, price) in prices.iter().enumerate() {
            let place = TickId { offset: number as i64, index: 0 };
            let tick = Tick::of(place, start + number as i64 * SECOND, price * 1_000_000_000);
            state.observe(&tick, &Parameters::default(), SESSION, &mut found);
        }
        found.iter().map(|finding| finding.place.offset as usize).collect()
    }

    #[test]
    fn a_price_outside_the_band_is_said() {
        assert_eq!(found(60 * MINUTE, &[100, 100, 100, 100, 100, 104, 107, 94, 100]), [6, 7]);
    }

    #[test]
    fn bands_are_twice_as_wide_at_the_opening_and_before_the_close() {
        for start in [0, 370 * MINUTE] {
            assert_eq!(found(start, &[100, 100, 100, 100, 100, 107, 93, 112]), [7]);
        }
    }

    #[test]
    fn a_price_that_is_off_by_less_than_the_price_step_is_none_outside() {
        let (mut state, mut found) = (State::default(), Vec::new());
        for number in 0..200 {
            let tick = Tick::of(
                TickId { offset: number, index: 0 },
                60 * MINUTE + number * SECOND,
                3 + number % 3,
            );
            state.observe(&tick, &Parameters::default(), SESSION, &mut found);
        }
        assert_eq!(found, []);
    }

    #[test]
    fn prices_of_zero_and_below_are_none_outside_and_no_part_of_a_mean() {
        let zeros_and_one = [[0; 40].as_slice(), &[5], &[0; 40]].concat();
        let through_zero: Vec<i64> =
            (-50..50).chain((-50..50).rev()).map(|price| price / 10).collect();
        assert_eq!(found(60 * MINUTE, &zeros_and_one), []);
        assert_eq!(
            found(60 * MINUTE, &[100, 100, 100, 100, 100, 0, 100, 100, 100, 100, 100, 120]),
            [11]
        );
        assert!(found(60 * MINUTE, &through_zero).iter().all(|offset| through_zero[*offset] > 0));
    }

    #[test]
    fn of_a_split_five_trades_are_said() {
        let prices: Vec<i64> = [100; 50].into_iter().chain([25; 50]).collect();
        assert_eq!(found(60 * MINUTE, &prices), [50, 51, 52, 53, 54]);
    }

    #[test]
    fn the_mean_is_that_of_the_last_five_minutes() {
        let (mut state, mut found) = (State::default(), Vec::new());
        for minute in 60..200 {
            // One percent a minute: five percent in five.
            let price = (1e11 * 1.01f64.powi(minute - 60)) as i64;
            for second in 0..30 {
                let at = i64::from(minute) * MINUTE + second * SECOND;
                state.observe(
                    &Tick::of(TickId::default(), at, price),
                    &Parameters::default(),
                    SESSION,
                    &mut found,
                );
            }
        }
        assert_eq!(found, []);
        assert_eq!(
            state.total.trades,
            state.minutes.iter().map(|minute| minute.trades).sum::<u32>()
        );
    }
}
