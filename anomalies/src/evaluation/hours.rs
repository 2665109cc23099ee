//! Hours of a market of which is known which are odd.
//!
//! Seven a day on five days a week, with more volume and wider moves in the first and the last one.
//! The plain market is regular: normal returns of one volatility. The hard one has returns of
//! Student's t with three degrees of freedom, and a volatility that wanders from day to day.

use crate::bars::hours::Hour;
use crate::random::Random;
use std::collections::HashSet;

/// The properties of the generated hours.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub weeks: i64,
    pub has_heavy_tails: bool,
    /// How much the logarithm of the volatility wanders in a day.
    pub wandering: f64,
    /// Share of odd hours: of returns, ranges and volumes in turn, 12 times the usual one.
    pub odd: f64,
}

/// A regular market.
pub const PLAIN: Shape = Shape { weeks: 26, has_heavy_tails: false, wandering: 0.0, odd: 0.0 };

/// A market with difficulties.
pub const HARD: Shape = Shape { weeks: 26, has_heavy_tails: true, wandering: 0.15, odd: 0.0 };

/// The hours of one symbol.
#[derive(Debug, Clone, Default)]
pub struct Market {
    pub hours: Vec<Hour>,
    /// The starts of those that are odd.
    pub odd: HashSet<i64>,
}

const DAY: i64 = 86_400;
/// A Monday.
const BEGINS: i64 = 20_000 * DAY + 4 * DAY;
/// Times of the usual volatility, by the hour of the session.
const OF_THE_DAY: [f64; 7] = [2.0, 1.2, 1.0, 0.8, 0.8, 1.0, 1.5];

/// Draws hours; the same seed gives the same.
#[must_use]
pub fn draw(shape: &Shape, seed: u64) -> Market {
    let (mut random, mut market) = (Random::of(seed), Market::default());
    let (mut close, mut wandered) = (100.0, 0.0_f64);
    for day in (0..shape.weeks * 7).filter(|day| day % 7 < 5) {
        wandered = 0.95 * wandered + shape.wandering * random.normal();
        for (number, of_the_hour) in OF_THE_DAY.iter().enumerate() {
            let at = BEGINS + day * DAY + (13 + number as i64) * 3600;
            let hour = draw_hour(
                shape,
                (at, close, of_the_hour * wandered.exp()),
                &mut random,
                &mut market.odd,
            );
            close = hour.close;
            market.hours.push(hour);
        }
    }
    market
}

fn draw_hour(
    shape: &Shape,
    (at, before, volatility): (i64, f64, f64),
    random: &mut Random,
    odd: &mut HashSet<i64>,
) -> Hour {
    let which =
        if random.chance(shape.odd) { odd.insert(at).then(|| random.below(3)) } else { None };
    let times = |of: usize| if which == Some(of) { 12.0 } else { 1.0 };
    let draw = if shape.has_heavy_tails { random.heavy() } else { random.normal() };
    let sign = if draw < 0.0 { -1.0 } else { 1.0 };
    // An odd return is one of 12 usual ones, and not 12 times of nearly nothing.
    let size = if which == Some(0) { 12.0 } else { draw.abs() };
    let usual = 0.003 * volatility;
    let close = before * (usual * sign * size).exp();
    let wider = (usual * times(1) * (0.3 + random.exponential(0.4))).exp();
    let volume = 10_000.0 * volatility * times(2) * (0.4 * random.normal()).exp();
    Hour {
        at,
        low: before.min(close) / wider,
        high: before.max(close) * wider,
        close,
        volume: Some(volume.ceil()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_hours_and_a_share_is_odd() {
        let shape = Shape { odd: 0.01, ..HARD };
        assert_eq!(draw(&shape, 3).hours, draw(&shape, 3).hours);
        let market = draw(&shape, 3);
        assert!(
            market.hours.is_sorted_by_key(|hour| hour.at)
                && market.hours.iter().all(|hour| hour.low > 0.0)
        );
        assert!((4..16).contains(&market.odd.len()), "{}", market.odd.len());
    }
}
