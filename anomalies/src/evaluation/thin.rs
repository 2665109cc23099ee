//! A market that trades seldom: some ticks an hour, at odd times, of a price that wanders with the
//! time; some of them come late. Judged hour by hour, as the batch layer has them.

use super::market::Market;
use crate::hindsight::{self, Parameters};
use crate::random::Random;
use crate::tick::{MINUTE, Tick, TickId};
use std::collections::HashSet;

const CENT: i64 = 10_000_000;
const HOUR: i64 = 60 * MINUTE;
/// How far from its hour a neighbour may lie.
const MARGIN: i64 = 10 * MINUTE;

/// The properties of a symbol's generated ticks. Shares are of ticks, sizes of the price, times in
/// minutes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub ticks: usize,
    /// The mean time between two ticks.
    pub pause: f64,
    /// Deviation of the price's moves in a minute.
    pub move_of_minute: f64,
    /// Share of wrong prints, and their sizes.
    pub wrong: f64,
    pub wrong_from: f64,
    pub wrong_until: f64,
    /// Share of ticks that come late, by a minute to three hours.
    pub late: f64,
}

/// Right prints of a share that moves by two per cent a day.
pub const RIGHT: Shape = Shape {
    ticks: 5_000,
    pause: 4.0,
    move_of_minute: 0.0006,
    wrong: 0.0,
    wrong_from: 0.0,
    wrong_until: 0.0,
    late: 0.0,
};

/// Draws ticks in the order of their times; their places are in the order in which they come.
#[must_use]
pub fn draw(shape: &Shape, seed: u64) -> Market {
    let mut random = Random::of(seed);
    let mut market = Market::default();
    let (mut at, mut middle) = (0.0, 60.0 + 240.0 * random.unit());
    let mut coming = Vec::with_capacity(shape.ticks);
    for number in 0..shape.ticks {
        let pause = random.exponential(shape.pause);
        at += pause;
        middle *= (shape.move_of_minute * pause.sqrt() * random.normal()).exp();
        let is_wrong = random.chance(shape.wrong);
        let size = if is_wrong {
            shape.wrong_from * (shape.wrong_until / shape.wrong_from).powf(random.unit())
        } else {
            0.0
        };
        let price = middle * if random.chance(0.5) { 1.0 + size } else { 1.0 - size };
        let bounce = random.below(3) as i64 - 1;
        let late = if random.chance(shape.late) { 1.0 + 179.0 * random.unit() } else { 0.0 };
        let time = (at * MINUTE as f64) as i64;
        let price = ((price * 100.0).round() as i64 + bounce) * CENT;
        coming.push((time + (late * MINUTE as f64) as i64, number, is_wrong));
        market.ticks.push(Tick::of(TickId::default(), time, price));
    }
    coming.sort_unstable();
    for (offset, (_, number, is_wrong)) in (0..).zip(coming) {
        let place = TickId { offset, index: 0 };
        market.ticks[number].place = place;
        if is_wrong {
            market.wrong.insert(place);
        }
    }
    market
}

/// The findings of hindsight in `ticks`, each hour with its margin.
#[must_use]
pub fn judge_hours(ticks: &[Tick], parameters: &Parameters) -> HashSet<TickId> {
    let mut found = HashSet::new();
    let mut first = 0;
    while let Some(tick) = ticks.get(first) {
        let begins = tick.at.div_euclid(HOUR) * HOUR;
        let place = |at| ticks.partition_point(|tick| tick.at < at);
        let end = place(begins + HOUR);
        let half = parameters.neighbours / 2;
        let from = place(begins - MARGIN).max(first.saturating_sub(half));
        let until = place(begins + HOUR + MARGIN).min(end + half);
        let judged = hindsight::judge(&ticks[from..until], first - from..end - from, parameters);
        found.extend(judged.iter().map(|finding| finding.place));
        first = end;
    }
    found
}
