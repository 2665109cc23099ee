//! Bad prints, as ticks arrive: by the quotes, by the sale condition, or by what the next trades
//! say.
//!
//! A price outside the quotes by more than a spread is reported at once. Any other that lies off
//! the last accepted prices waits. If a later one returns, it was a spike; if enough in a row stay
//! away, they are a new level, and nothing is reported.
//!
//! The level is of the newest time: of a late tick it tells nothing, and hindsight judges it.

use crate::pack::pack;
use crate::tick::{Detector, Finding, Kind, MINUTE, Tick, TickId, outside};
use serde::{Deserialize, Serialize};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "bad_print", version: 6 };

/// Number of accepted prices that form the level. This and the next five were chosen on generated
/// markets ([`crate::evaluation::market`]).
const LEVEL_PRICES: usize = 8;
/// Maximum number of waiting ticks.
const MAX_WAITING: usize = 4;
/// The same for ticks with an excluded condition, which are no level however many they are.
const MAX_WAITING_EXCLUDED: usize = 16;
/// Distance from the median, in margins, within which waiting ticks form a new level.
const LEVEL_MARGINS: f64 = 2.0;
/// Age in nanoseconds, compared with the newest tick, from which a tick is late, if it is more than
/// the usual time between two as well.
const LATE_AFTER_NANOS: i64 = MINUTE;
/// Weight of a new step between prices in the mean step, an exponential moving average; of 1.
const SMOOTHING_WEIGHT: f64 = 1.0 / 64.0;
/// Maximum of a step in that mean, in usual steps, so that a bad print hardly moves it.
const MAX_STEP_RATIO: f64 = 4.0;

/// How far off is too far. Shares are of the price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Usual steps between two prices that one may lie outside the last ones.
    pub steps: f64,
    /// The least distance outside, as a share.
    pub least: f64,
    /// The value of `steps` for a tick with an excluded condition.
    pub steps_excluded: f64,
    pub least_excluded: f64,
    /// Minimum distance from the last prices, as a share, for a price outside its quotes: a quote
    /// may lag.
    pub least_quoted: f64,
    /// Nothing less than one step of prices is odd, in units of 10^-9.
    pub price_step: i64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            steps: 4.0,
            least: 0.001,
            steps_excluded: 3.0,
            least_excluded: 0.0005,
            least_quoted: 0.0006,
            price_step: 10_000_000,
        }
    }
}

/// A tick that waits for the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Waiting {
    place: TickId,
    at: i64,
    price: i64,
    is_excluded: bool,
    score: f64,
}

pack!(Waiting { place, at, price, is_excluded, score });

/// The last accepted prices, the usual step between them, and who waits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    level: [i64; LEVEL_PRICES],
    known: u8,
    next: u8,
    step: f64,
    /// When the last waiting tick came, and the usual time between two.
    last: i64,
    pause: f64,
    low: i64,
    high: i64,
    waiting: Vec<Waiting>,
}

pack!(State { level, known, next, step, last, pause, low, high, waiting });

impl State {
    /// Looks at the price of `tick`, and judges those that waited for it.
    #[inline]
    pub fn observe(&mut self, tick: &Tick, parameters: &Parameters, found: &mut Vec<Finding>) {
        let off = self.distance(tick.price);
        if let Some(finding) = outside_quotes(tick, parameters)
            && (self.known < 2 || off as f64 > parameters.least_quoted * tick.price as f64)
        {
            found.push(finding);
            return;
        }
        let mut margin = self.margin(tick, parameters);
        if off as f64 > margin {
            margin = self.margin_apart(tick, parameters).max(margin);
        }
        if off as f64 <= margin {
            if tick.at < self.last && tick.at < self.on_time() {
                return;
            }
            self.return_to_level(found);
            if !tick.is_excluded {
                self.accept(tick);
            }
        } else if tick.quote.is_some_and(|quote| quote.is_usable()) {
            // The quotes have moved as well.
            self.move_level(tick.price, &[tick.price; 2]);
        } else {
            self.wait(tick, off as f64, margin);
        }
    }

    /// Moves the last tick's time back to `now`, because it was ahead.
    pub(super) fn go_back(&mut self, now: Option<i64>) {
        self.last = self.last.min(now.unwrap_or(0));
    }

    /// Whether its places are places of the level.
    pub(super) fn is_sound(&self) -> bool {
        usize::from(self.known) <= LEVEL_PRICES && usize::from(self.next) < LEVEL_PRICES
    }

    /// How far outside the last accepted prices; 0 while there are too few.
    #[inline]
    fn distance(&self, price: i64) -> i64 {
        if self.known < 2 { 0 } else { outside(price, self.low, self.high).max(0) }
    }

    #[inline]
    fn margin(&self, tick: &Tick, parameters: &Parameters) -> f64 {
        let price = self.high as f64;
        let (least, steps) = if tick.is_excluded {
            (parameters.least_excluded, parameters.steps_excluded)
        } else {
            (parameters.least, parameters.steps)
        };
        (least * price).max(steps * self.step).max(parameters.price_step as f64)
    }

    /// A price moves as the root of the time (Bachelier 1900): after a pause, or some time before
    /// the newest, it may be further off than a usual step.
    #[cold]
    fn margin_apart(&self, tick: &Tick, parameters: &Parameters) -> f64 {
        if tick.at < self.on_time() {
            return 0.0;
        }
        let steps = if tick.is_excluded { parameters.steps_excluded } else { parameters.steps };
        let pauses = tick.at.abs_diff(self.last) as f64 / self.pause.max(1.0);
        if self.pause > 0.0 { steps * self.step * pauses.max(1.0).sqrt() } else { 0.0 }
    }

    /// A tick that is older is late: the level is of another time.
    fn on_time(&self) -> i64 {
        self.last.saturating_sub(LATE_AFTER_NANOS.max(self.pause as i64))
    }

    #[inline]
    fn return_to_level(&mut self, found: &mut Vec<Finding>) {
        if self.waiting.is_empty() {
            return;
        }
        let (expected, on_time) = (self.low.midpoint(self.high) as f64, self.on_time());
        let of_its_time = self.waiting.drain(..).filter(|waiting| waiting.at >= on_time);
        found.extend(of_its_time.map(|waiting| {
            let Waiting { place, at, price, is_excluded, score } = waiting;
            let observed = price as f64;
            let kind = if is_excluded { Kind::ExcludedCondition } else { Kind::Spike };
            Finding { detector: DETECTOR, kind, place, at, score, observed, expected }
        }));
    }

    #[cold]
    fn wait(&mut self, tick: &Tick, off: f64, margin: f64) {
        let Tick { place, at, price, is_excluded, .. } = *tick;
        let of_its_kind =
            || self.waiting.iter().filter(|waiting| waiting.is_excluded == is_excluded);
        let (count, most) =
            (of_its_kind().count(), if is_excluded { MAX_WAITING_EXCLUDED } else { MAX_WAITING });
        if count < most {
            self.waiting.push(Waiting { place, at, price, is_excluded, score: off / margin });
        } else if !is_excluded {
            // If all are late the level is of their time.
            let newest = of_its_kind().map(|waiting| waiting.at).fold(at, i64::max);
            let mut prices: Vec<i64> =
                of_its_kind().map(|waiting| waiting.price).chain([price]).collect();
            let level = *prices.select_nth_unstable(MAX_WAITING / 2).1;
            let near = LEVEL_MARGINS * margin * self.times(level);
            prices.retain(|price| price.abs_diff(level) as f64 <= near);
            self.move_level(level, &prices);
            self.last = self.last.min(newest);
        }
    }

    /// The waiting ticks were the beginning of a new level, with these `prices`.
    fn move_level(&mut self, level: i64, prices: &[i64]) {
        self.waiting.clear();
        // The usual step is a share of the price.
        self.step *= self.times(level);
        (self.known, self.next) = (0, 0);
        let twice = [level, level];
        let prices = if prices.len() < 2 { &twice } else { prices };
        prices.iter().for_each(|price| self.put(*price));
    }

    /// How many times as high as the level a price is; 1 where one of them is not above zero.
    fn times(&self, price: i64) -> f64 {
        if price > 0 && self.high > 0 { price as f64 / self.high as f64 } else { 1.0 }
    }

    #[inline]
    fn accept(&mut self, tick: &Tick) {
        let price = tick.price;
        if self.last != 0 {
            let pause = (tick.at - self.last).max(0) as f64;
            let clipped =
                if self.pause > 0.0 { pause.min(MAX_STEP_RATIO * self.pause) } else { pause };
            self.pause += (clipped - self.pause) * SMOOTHING_WEIGHT;
        }
        self.last = self.last.max(tick.at);
        if self.known > 0 {
            let last = self.level[(usize::from(self.next) + LEVEL_PRICES - 1) % LEVEL_PRICES];
            let step = price.abs_diff(last) as f64;
            let clipped = if self.step > 0.0 { step.min(MAX_STEP_RATIO * self.step) } else { step };
            self.step += (clipped - self.step) * SMOOTHING_WEIGHT;
        }
        self.put(price);
    }

    #[inline]
    fn put(&mut self, price: i64) {
        let old = std::mem::replace(&mut self.level[usize::from(self.next)], price);
        self.next = (self.next + 1) % LEVEL_PRICES as u8;
        if usize::from(self.known) < LEVEL_PRICES {
            (self.low, self.high) = if self.known == 0 {
                (price, price)
            } else {
                (self.low.min(price), self.high.max(price))
            };
            self.known += 1;
        } else if old == self.low || old == self.high {
            self.low = self.level.into_iter().min().unwrap_or(price);
            self.high = self.level.into_iter().max().unwrap_or(price);
        } else {
            (self.low, self.high) = (self.low.min(price), self.high.max(price));
        }
    }
}

/// As Barndorff-Nielsen et al. (2009) clean trades by quotes (rule T4).
#[inline]
fn outside_quotes(tick: &Tick, parameters: &Parameters) -> Option<Finding> {
    let quote = tick.quote.filter(|quote| quote.is_usable())?;
    let beyond = outside(tick.price, quote.bid, quote.ask);
    let spread = (quote.ask - quote.bid).max(parameters.price_step);
    (beyond > spread).then(|| Finding {
        detector: DETECTOR,
        kind: Kind::OutsideQuotes,
        place: tick.place,
        at: tick.at,
        score: beyond as f64 / spread as f64,
        observed: tick.price as f64,
        expected: quote.bid.midpoint(quote.ask) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::tick::{Quote, SECOND};

    const CENT: i64 = 10_000_000;

    fn tick(offset: usize, cents: i64) -> Tick {
        Tick::of(TickId { offset: offset as i64, index: 0 }, 0, cents * CENT)
    }

    fn found(ticks: impl IntoIterator<Item = Tick>) -> Vec<(i64, Kind)> {
        let (mut state, mut found) = (State::default(), Vec::new());
        ticks.into_iter().for_each(|tick| state.observe(&tick, &Parameters::default(), &mut found));
        found.into_iter().map(|finding| (finding.place.offset, finding.kind)).collect()
    }

    #[test]
    fn prices_as_large_as_a_tick_may_have_are_seen_and_told_as_they_are() {
        let wrong = [i64::MAX, i64::MIN + 1, 9_200_000_000_000_000_000];
        let (mut state, mut found) = (State::default(), Vec::new());
        for (offset, price) in (0..20_i64).flat_map(|round| {
            let level = if round % 2 == 0 {
                -9_200_000_000_000_000_000
            } else {
                -9_199_999_999_000_000_000
            };
            let odd =
                (round as usize).checked_sub(10).and_then(|number| wrong.get(number).copied());
            std::iter::once(level).chain(odd).map(move |price| (round, price))
        }) {
            state.observe(
                &Tick::of(TickId { offset, index: 0 }, offset, price),
                &Parameters::default(),
                &mut found,
            );
        }
        let observed: Vec<f64> = found.iter().map(|finding| finding.observed).collect();
        assert!(observed.contains(&(i64::MAX as f64)), "{observed:?}");
    }

    /// A level with noise of 5 basis points, then another.
    fn noisy(from: f64, to: f64, seed: u64) -> Vec<Tick> {
        let mut random = Random::of(seed);
        let mut price =
            |offset| if offset < 500 { from } else { to } * (1.0 + 0.0005 * random.normal());
        (0..1000)
            .map(|offset| {
                Tick::of(TickId { offset, index: 0 }, offset * SECOND, (price(offset) * 1e9) as i64)
            })
            .collect()
    }

    #[test]
    fn of_a_split_of_prices_with_noise_no_more_than_usual_is_said() {
        let said = |from, to| (0..50).map(|seed| found(noisy(from, to, seed)).len()).sum::<usize>();
        for times in [50.0, 10.0, 4.0, 2.0, 0.5, 0.25, 0.05] {
            let usual = said(100.0, 100.0) / 2 + said(100.0 * times, 100.0 * times) / 2;
            let split = said(100.0, 100.0 * times);
            assert!(split <= usual + 20, "{times}: {split} in 50 splits, {usual} without one");
        }
    }

    #[test]
    fn of_many_trades_in_a_row_with_an_excluded_condition_none_is_the_level() {
        let odd = (0..30).map(|number| Tick { is_excluded: true, ..tick(10 + number, 15_000) });
        let then = (0..10).map(|number| tick(40 + number, 10_000));
        let found = found(prices(&[]).into_iter().chain(odd).chain(then));
        assert_eq!(found.len(), MAX_WAITING_EXCLUDED);
        assert!(found.iter().all(|(_, kind)| *kind == Kind::ExcludedCondition), "{found:?}");
    }

    /// Ten ticks that bounce by a cent, then the given ones.
    fn prices(then: &[i64]) -> Vec<Tick> {
        let before = (0..10).map(|offset| 10_000 + offset % 2);
        before
            .chain(then.iter().copied())
            .enumerate()
            .map(|(offset, cents)| tick(offset, cents))
            .collect()
    }

    #[test]
    fn a_spike_is_said_when_the_next_trade_returns() {
        assert_eq!(found(prices(&[10_050])), []);
        assert_eq!(found(prices(&[10_050, 10_001])), [(10, Kind::Spike)]);
        assert_eq!(found(prices(&[9_950, 9_940, 10_001])), [(10, Kind::Spike), (11, Kind::Spike)]);
    }

    #[test]
    fn a_new_level_is_accepted_after_five_trades_and_nothing_is_said() {
        assert_eq!(found(prices(&[2500, 2501, 2500, 2501, 2500, 2501, 2500])), []);
        assert_eq!(
            found(prices(&[2500, 2501, 2500, 2501, 2500, 2501, 2550, 2500])),
            [(16, Kind::Spike)]
        );
    }

    #[test]
    fn four_trades_away_that_return_are_spikes() {
        assert_eq!(found(prices(&[10_100, 10_100, 10_100, 10_100, 10_000])).len(), 4);
    }

    #[test]
    fn an_excluded_condition_is_said_where_its_price_is_off_by_less() {
        let mut ticks = prices(&[10_008, 10_001]);
        assert_eq!(found(ticks.clone()), []);
        ticks[10].is_excluded = true;
        assert_eq!(found(ticks), [(10, Kind::ExcludedCondition)]);
    }

    #[test]
    fn a_price_outside_the_quotes_by_more_than_a_spread_is_said_at_once() {
        let quote = Some(Quote { bid: 9_999 * CENT, ask: 10_001 * CENT });
        let quoted = |cents| Tick { quote, ..tick(0, cents) };
        assert_eq!(found([quoted(10_003)]), []);
        assert_eq!(found([quoted(10_004)]), [(0, Kind::OutsideQuotes)]);
        assert_eq!(found([quoted(9_996)]), [(0, Kind::OutsideQuotes)]);
    }

    #[test]
    fn a_level_that_the_quotes_share_is_no_spike() {
        let mut ticks = prices(&[10_100, 10_001]);
        ticks[10].quote = Some(Quote { bid: 10_099 * CENT, ask: 10_101 * CENT });
        assert_eq!(found(ticks), []);
    }

    /// A symbol that trades every two minutes or so: what moves with the time moves far in a long
    /// pause.
    #[test]
    fn a_price_that_wanders_at_odd_times_is_no_spike() {
        let (mut random, mut at, mut price) = (Random::of(1), 0, 10_000.0_f64);
        let ticks = (0..20_000).map(|offset| {
            let pause = random.exponential(130.0);
            at += (pause * SECOND as f64) as i64;
            price += pause.sqrt() * random.normal();
            Tick { at, ..tick(offset, price as i64) }
        });
        let spikes = found(ticks).len();
        // As many as of a price that wanders at even times; without regard for the pauses it would
        // be 1.6 %.
        assert!(spikes < 60, "{spikes} of 20,000");
    }

    #[test]
    fn a_wrong_price_after_a_usual_pause_is_a_spike_at_odd_times_too() {
        let (mut random, mut at) = (Random::of(2), 0);
        let ticks = (0..10_000).map(|offset| {
            at += (random.exponential(130.0).min(300.0) * SECOND as f64) as i64;
            let cents = if offset % 100 == 99 { 10_200 } else { 10_000 + random.below(5) as i64 };
            Tick { at, ..tick(offset, cents) }
        });
        // Nothing is known of the last one yet.
        assert_eq!(found(ticks).len(), 99);
    }

    #[test]
    fn crossed_quotes_say_nothing() {
        let quote = Some(Quote { bid: 10_001 * CENT, ask: 9_999 * CENT });
        assert_eq!(found([Tick { quote, ..tick(0, 20_000) }]), []);
    }
}
