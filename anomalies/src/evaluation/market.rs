//! A market whose faults are known: what detectors are measured with.
//!
//! The plain one has a random walk and prints that are wrong by half a percent and more. The hard
//! one has what makes real trades difficult: heavy tails, a spread to bounce in, an opening auction
//! and wild first minutes, sweeps through the book that return at once and are right, late reports
//! with sale conditions, jumps to new levels, a split, quotes that lag, and wrong prints of 0.1 to
//! 1 % that may come two or three in a row.

use crate::calendar::{Calendar, Session};
use crate::random::Random;
use crate::tick::{MINUTE, Quote, Tick, TickId};
use std::collections::HashSet;

const CENT: i64 = 10_000_000;
const OPENS: i64 = 570 * MINUTE;
const DAY: i64 = 1440 * MINUTE;
const LENGTH: i64 = 390 * MINUTE;

/// The properties of a symbol's generated days. Shares are of ticks, sizes of the price.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub days: i64,
    pub ticks_a_day: usize,
    /// Share of wrong prints, and their sizes.
    pub wrong: f64,
    pub wrong_from: f64,
    pub wrong_until: f64,
    /// Share of wrong prints that another one follows.
    pub in_a_row: f64,
    /// Deviation of a step of the middle price.
    pub step: f64,
    pub has_heavy_tails: bool,
    /// Cents between bid and ask, at most.
    pub spread: usize,
    /// Share of right prints that sweep through the book, and their mean size.
    pub sweeps: f64,
    pub sweep: f64,
    /// Jumps to a new level a day.
    pub jumps: usize,
    /// Whether a split by four lies in the middle of the last day.
    pub has_split: bool,
    /// Share of right prints with an excluded condition, and of wrong ones.
    pub excluded: f64,
    pub wrong_excluded: f64,
    /// Share of quotes that lag by some ticks.
    pub lagging: f64,
}

/// A random walk with wrong prints of half a percent and more.
pub const PLAIN: Shape = Shape {
    days: 1,
    ticks_a_day: 20_000,
    wrong: 0.002,
    wrong_from: 0.005,
    wrong_until: 0.1,
    in_a_row: 0.0,
    step: 0.00005,
    has_heavy_tails: false,
    spread: 2,
    sweeps: 0.0,
    sweep: 0.0,
    jumps: 0,
    has_split: false,
    excluded: 0.0,
    wrong_excluded: 0.0,
    lagging: 0.0,
};

/// Properties that make real trades difficult.
pub const HARD: Shape = Shape {
    days: 2,
    ticks_a_day: 20_000,
    wrong: 0.001,
    wrong_from: 0.001,
    wrong_until: 0.01,
    in_a_row: 0.2,
    step: 0.00008,
    has_heavy_tails: true,
    spread: 4,
    sweeps: 0.003,
    sweep: 0.0005,
    jumps: 2,
    has_split: true,
    excluded: 0.03,
    wrong_excluded: 0.6,
    lagging: 0.05,
};

/// The ticks of one symbol, and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct Market {
    pub ticks: Vec<Tick>,
    /// Ticks whose price is wrong.
    pub wrong: HashSet<TickId>,
    /// First ticks of a new level.
    pub shifts: Vec<usize>,
    pub calendar: Calendar,
}

/// Draws a market; the same seed gives the same.
#[must_use]
pub fn draw(shape: &Shape, seed: u64) -> Market {
    let sessions = (0..shape.days).map(|day| {
        let opens = day * DAY + OPENS;
        Session { opens, closes: opens + LENGTH }
    });
    let mut random = Random::of(seed);
    let middle = 60.0 + 240.0 * random.unit();
    let market = Market { calendar: Calendar::of(sessions.collect()), ..Market::default() };
    let mut painter = Painter { shape, random, market, middle, quotes: Vec::new() };
    (0..shape.days).for_each(|day| painter.paint(day));
    painter.market
}

struct Painter<'a> {
    shape: &'a Shape,
    random: Random,
    market: Market,
    middle: f64,
    /// Quotes of the ticks so far, without lag.
    quotes: Vec<Quote>,
}

impl Painter<'_> {
    fn paint(&mut self, day: i64) {
        let count = self.shape.ticks_a_day;
        let jumps: HashSet<usize> =
            (0..self.shape.jumps).map(|_| 100 + self.random.below(count - 200)).collect();
        let split = (self.shape.has_split && day + 1 == self.shape.days).then_some(count / 2);
        let mut at = day * DAY + OPENS;
        if day > 0 {
            // The night.
            self.middle *= (0.01 * self.random.normal()).exp();
            self.market.shifts.push(self.market.ticks.len());
        }
        let mut wrong_again = 0.0;
        for number in 0..count {
            at += self.random.exponential(LENGTH as f64 / count as f64 * 0.98) as i64;
            let at = at.min(day * DAY + OPENS + LENGTH - 1);
            self.step(at - day * DAY - OPENS);
            if jumps.contains(&number) || split == Some(number) {
                let size = if split == Some(number) {
                    0.25
                } else {
                    1.0 + self.side() * (0.01 + 0.02 * self.random.unit())
                };
                self.middle *= size;
                self.market.shifts.push(self.market.ticks.len());
            }
            let share = if number < 30 { 0.0 } else { self.shape.wrong.max(wrong_again) };
            let is_wrong = self.random.chance(share);
            wrong_again = if is_wrong { self.shape.in_a_row } else { 0.0 };
            self.print(at, is_wrong, number == 0);
        }
    }

    fn side(&mut self) -> f64 {
        if self.random.chance(0.5) { 1.0 } else { -1.0 }
    }

    fn step(&mut self, since_opening: i64) {
        // Volatility has a daily shape: wild at first, and livelier again before the close.
        let minutes = since_opening as f64 / MINUTE as f64;
        let factor = if self.shape.has_heavy_tails {
            1.0 + 4.0 * (-minutes / 10.0).exp() + (-(390.0 - minutes) / 20.0).exp()
        } else {
            1.0
        };
        let draw = if self.shape.has_heavy_tails {
            self.random.heavy().clamp(-12.0, 12.0)
        } else {
            self.random.normal()
        };
        self.middle *= (self.shape.step * factor * draw).exp();
    }

    fn print(&mut self, at: i64, is_wrong: bool, is_auction: bool) {
        let spread = (1 + self.random.below(self.shape.spread)) as i64 * CENT;
        let sweeps = !is_wrong && self.random.chance(self.shape.sweeps);
        let sweep =
            if sweeps { self.side() * self.random.exponential(self.shape.sweep) } else { 0.0 };
        let middle = self.middle * (1.0 + sweep) * 1e9;
        let bid = (middle as i64 - spread / 2) / CENT * CENT;
        let quote = Quote { bid, ask: bid + spread };
        let right = if self.random.chance(0.5) { quote.bid } else { quote.ask };
        let price = if is_wrong { self.wrong(right) } else { right };
        let excluded = if is_wrong { self.shape.wrong_excluded } else { self.shape.excluded };
        let place = TickId { offset: self.market.ticks.len() as i64, index: 0 };
        let volume = if is_auction { 50_000.0 } else { self.random.exponential(100.0).ceil() };
        if is_wrong {
            self.market.wrong.insert(place);
        }
        let tick = Tick {
            place,
            at,
            price,
            volume,
            quote: Some(self.seen(quote)),
            is_excluded: self.random.chance(excluded),
            revision: None,
            sequence: None,
        };
        self.market.ticks.push(tick);
    }

    fn wrong(&mut self, right: i64) -> i64 {
        let Shape { wrong_from, wrong_until, .. } = *self.shape;
        // Small ones are more frequent.
        let size = wrong_from * (wrong_until / wrong_from).powf(self.random.unit());
        let price = right as f64 * (1.0 + self.side() * size);
        (price / CENT as f64).round() as i64 * CENT
    }

    /// The quote that a report shows: sometimes an older one.
    fn seen(&mut self, quote: Quote) -> Quote {
        let lag = if self.random.chance(self.shape.lagging) { 1 + self.random.below(5) } else { 0 };
        self.quotes.push(quote);
        self.quotes[self.quotes.len().saturating_sub(1 + lag)]
    }
}

impl Market {
    /// The market without quotes.
    #[must_use]
    pub fn without_quotes(&self) -> Self {
        let mut market = self.clone();
        market.ticks.iter_mut().for_each(|tick| tick.quote = None);
        market
    }

    /// The market with prices alone.
    #[must_use]
    pub fn without_conditions(&self) -> Self {
        let mut market = self.without_quotes();
        market.ticks.iter_mut().for_each(|tick| tick.is_excluded = false);
        market
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::SECOND;

    #[test]
    fn the_same_seed_gives_the_same_market() {
        assert_eq!(draw(&HARD, 3).ticks, draw(&HARD, 3).ticks);
        assert_ne!(draw(&HARD, 3).ticks, draw(&HARD, 4).ticks);
    }

    #[test]
    fn ticks_stand_in_order_within_sessions_and_a_share_is_wrong() {
        let market = draw(&HARD, 1);
        assert!(market.ticks.is_sorted_by_key(|tick| tick.at));
        assert!(market.ticks.iter().all(|tick| market.calendar.at(tick.at).is_some()));
        assert!(
            market
                .ticks
                .iter()
                .all(|tick| tick.price > 0 && tick.quote.is_some_and(|quote| quote.is_usable()))
        );
        let share = market.wrong.len() as f64 / market.ticks.len() as f64;
        assert!((0.0005..0.002).contains(&share), "{share}");
        assert_eq!(market.shifts.len(), 6);
        assert!(market.ticks.last().unwrap().at < market.ticks[0].at + 2 * DAY + SECOND);
    }
}
