//! An hour of ticks, judged from both sides.
//!
//! A price is off its neighbours if it lies further from their trimmed mean than their deviations
//! and a granularity allow (Brownlees and Gallo 2006), and not between the middles of the nearest
//! ones before and after it: the first follows the time's deviations, the second leaves steps to
//! new levels alone. Where a tick has a quote, its price is bad if it lies outside that quote and
//! the middle ones of both sides, so that one quote that lags accuses nobody.
//!
//! Where a symbol trades seldom its neighbours are of another time, and the price may have wandered
//! since: it has to lie farther from them than that.
//!
//! Beside a split or a new level two levels are among the neighbours. There a price is judged by
//! those of its own one.
//!
//! A trade that its producer takes back is no price, and no neighbour; a correction is reported,
//! and judged like any other trade.

use crate::causal::revision;
use crate::tick::{Detector, Finding, Kind, MINUTE, Quote, SECOND, Tick, outside};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "two_sided", version: 5 };

/// How far off is too far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Neighbours, half of them on each side.
    pub neighbours: usize,
    /// Share of them that is left out at each end before mean and deviation are taken.
    pub trimmed: f64,
    /// Deviations that are usual.
    pub deviations: f64,
    /// Tolerance beyond the deviations, as a share of the price: the granularity of Brownlees and
    /// Gallo 2006.
    pub granularity: f64,
    /// The same tolerance for a tick with an excluded condition.
    pub granularity_excluded: f64,
    /// Neighbours on each side whose middles a bad print does not lie between.
    pub nearest: usize,
    /// Neighbours within this many nanoseconds are of the same time.
    pub near: i64,
    /// Deviations that a price wanders from neighbours of other times as time goes by.
    pub moves: f64,
    /// The least deviation of a minute, as a share of the price.
    pub usual_move: f64,
    /// Spreads outside the quotes around it.
    pub spreads: f64,
    /// The least distance outside the quotes, as a share of the price: sweeps go beyond a quote
    /// that lags.
    pub least_quoted: f64,
    /// One step of prices, in units of 10^-9: nothing less is odd, nor less than two outside
    /// quotes.
    pub price_step: i64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            neighbours: 60,
            trimmed: 0.1,
            deviations: 3.0,
            granularity: 0.0008,
            granularity_excluded: 0.0005,
            nearest: 5,
            near: 10 * SECOND,
            moves: 5.0,
            usual_move: 0.0006,
            spreads: 0.5,
            least_quoted: 0.0006,
            price_step: 10_000_000,
        }
    }
}

/// Judges the ticks in `judged`; those before and after it are the margin that neighbours may lie
/// in.
///
/// `ticks` are those of one symbol in the order of their times and places, and so is what is found.
/// [`Parameters::neighbours`] of margin on each side make the result independent of where hours are
/// cut.
#[must_use]
pub fn judge(ticks: &[Tick], judged: Range<usize>, parameters: &Parameters) -> Vec<Finding> {
    if !ticks[judged.clone()].iter().any(|tick| tick.revision.is_some())
        && !ticks.iter().any(Tick::is_cancel)
    {
        return judge_prices(ticks, judged, parameters);
    }
    let mut found: Vec<Finding> = ticks[judged.clone()]
        .iter()
        .filter_map(|tick| Some(revision::finding(DETECTOR, tick, tick.revision?)))
        .collect();
    let prices: Vec<Tick> = ticks.iter().filter(|tick| !tick.is_cancel()).copied().collect();
    let before = |index: usize| ticks[..index].iter().filter(|tick| !tick.is_cancel()).count();
    found.extend(judge_prices(&prices, before(judged.start)..before(judged.end), parameters));
    found.sort_by_key(|finding| (finding.at, finding.place));
    found
}

fn judge_prices(ticks: &[Tick], judged: Range<usize>, parameters: &Parameters) -> Vec<Finding> {
    let mut room = Vec::with_capacity(parameters.neighbours + 1);
    judged
        .filter_map(|index| match ticks[index].quote.filter(|quote| quote.is_usable()) {
            Some(_) => outside_quotes(ticks, index, parameters),
            None => off_neighbours(ticks, index, parameters, &mut room),
        })
        .collect()
}

fn outside_quotes(ticks: &[Tick], index: usize, parameters: &Parameters) -> Option<Finding> {
    let tick = &ticks[index];
    let (mut bid, mut ask) = (i64::MAX, i64::MIN);
    let sides = find_sides(ticks, index, parameters.nearest);
    for quote in sides.into_iter().filter_map(middle_quote).chain(tick.quote) {
        (bid, ask) = (bid.min(quote.bid), ask.max(quote.ask));
    }
    let spread = tick.quote.map_or(0, |quote| quote.ask - quote.bid) as f64;
    let limit = (parameters.spreads * spread)
        .max(parameters.least_quoted * tick.price as f64)
        .max(2.0 * parameters.price_step as f64);
    let beyond = outside(tick.price, bid, ask) as f64 / limit;
    // Where the trades on both sides agree with it, the quotes lag.
    let (low, high) = between(ticks, index, parameters.nearest)?;
    let off = outside(tick.price, low, high) as f64;
    (beyond > 1.0 && off > parameters.granularity * tick.price as f64)
        .then(|| finding(tick, Kind::OutsideQuotes, beyond, bid.midpoint(ask) as f64))
}

fn off_neighbours(
    ticks: &[Tick],
    index: usize,
    parameters: &Parameters,
    room: &mut Vec<f64>,
) -> Option<Finding> {
    let tick = &ticks[index];
    let price = tick.price as f64;
    let (low, high) = between(ticks, index, parameters.nearest)?;
    let beyond = outside(tick.price, low, high);
    let share =
        if tick.is_excluded { parameters.granularity_excluded } else { parameters.granularity };
    let granularity = (share * price).max(parameters.price_step as f64);
    // Cheap, and true of nearly every tick.
    if (beyond as f64) <= granularity {
        return None;
    }
    let [before, behind] = find_sides(ticks, index, parameters.neighbours / 2);
    let wander = usual_wander(tick, [before, behind], parameters);
    if (beyond as f64) <= wander {
        return None;
    }
    let fill = |room: &mut Vec<f64>| {
        room.clear();
        room.extend(before.iter().chain(behind).map(|tick| tick.price as f64));
    };
    let off = |room: &mut Vec<f64>| {
        let (mean, deviation) = trimmed(room, parameters.trimmed)?;
        Some(((price - mean).abs() / (parameters.deviations * deviation + granularity), mean))
    };
    fill(room);
    let (mut score, mut mean) = off(room)?;
    if score <= 1.0 {
        // Two levels among them have a deviation that no error exceeds.
        fill(room);
        keep_level(room, (before.len(), price), granularity)?;
        (score, mean) = off(room)?;
    }
    let score = if wander > 0.0 { score.min(beyond as f64 / wander) } else { score };
    (score > 1.0).then(|| finding(tick, Kind::OffNeighbours, score, mean))
}

/// Minimum number of ticks of a level: fewer are bad prints or a sweep. This and the next two were
/// chosen on generated markets ([`crate::evaluation`]).
const MIN_LEVEL_TICKS: usize = 5;
/// Minimum distance between two levels, in mean distances within them: a price that wanders, or
/// runs, has no two by that.
const MIN_LEVEL_GAP: f64 = 20.0;
/// Number of moves whose variance is doubled; that of fewer is multiplied by more, since it may be
/// small by chance.
const UNSURE_MOVES: f64 = 20.0;

/// Leaves of `prices`, which are in the order of time, those of the level that a tick's `place`
/// before one of them lies in; between two levels the one that is nearer to its `price`. `None`:
/// there is but one level.
fn keep_level(prices: &mut Vec<f64>, (place, price): (usize, f64), least: f64) -> Option<()> {
    let (mut place, mut sorted, mut is_first) = (place, Vec::with_capacity(prices.len()), true);
    while let Some((step, [one, other])) = step(prices, least, &mut sorted) {
        if place < step || place == step && (price - one).abs() <= (price - other).abs() {
            prices.truncate(step);
        } else {
            prices.drain(..step);
            place -= step;
        }
        is_first = false;
    }
    (!is_first).then_some(())
}

/// Where prices leave one level for another, the place that parts them best, and both levels.
fn step(prices: &[f64], least: f64, room: &mut Vec<f64>) -> Option<(usize, [f64; 2])> {
    let mut level = |prices: &[f64]| {
        room.clear();
        room.extend_from_slice(prices);
        let middle = room.len() / 2;
        let level = *room.select_nth_unstable_by(middle, f64::total_cmp).1;
        (level, prices.iter().map(|price| (price - level).abs()).sum::<f64>())
    };
    let parted = |at: usize| {
        let ((one, within_one), (other, within_other)) =
            (level(&prices[..at]), level(&prices[at..]));
        (at, [one, other], within_one + within_other)
    };
    let places = MIN_LEVEL_TICKS..=prices.len().checked_sub(MIN_LEVEL_TICKS)?;
    let (at, levels, within) = places.map(parted).min_by(|one, other| one.2.total_cmp(&other.2))?;
    let apart = (levels[0] - levels[1]).abs();
    (apart > least && apart > MIN_LEVEL_GAP * within / prices.len() as f64).then_some((at, levels))
}

/// The ticks before and after, `count` at most.
fn find_sides(ticks: &[Tick], index: usize, count: usize) -> [&[Tick]; 2] {
    [
        &ticks[index.saturating_sub(count)..index],
        &ticks[index + 1..(index + 1 + count).min(ticks.len())],
    ]
}

/// The middle prices of both sides, the lower one first. Middles, so that a second bad print next
/// to the first hides neither.
fn between(ticks: &[Tick], index: usize, count: usize) -> Option<(i64, i64)> {
    let [before, behind] =
        find_sides(ticks, index, count).map(|side| middle(side.iter().map(|tick| tick.price)));
    let one = before.or(behind)?;
    let other = behind.unwrap_or(one);
    Some((one.min(other), one.max(other)))
}

/// The middle bid and ask, so that one quote that lags shows nothing.
fn middle_quote(side: &[Tick]) -> Option<Quote> {
    let usable = || side.iter().filter_map(|tick| tick.quote).filter(|quote| quote.is_usable());
    Some(Quote {
        bid: middle(usable().map(|quote| quote.bid))?,
        ask: middle(usable().map(|quote| quote.ask))?,
    })
}

fn middle(values: impl Iterator<Item = i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = values.collect();
    let middle = sorted.len() / 2;
    (!sorted.is_empty()).then(|| *sorted.select_nth_unstable(middle).1)
}

/// How far a price may have wandered from those around it: prices move as the root of the time
/// (Bachelier 1900), by what those on both `sides` have moved in theirs, or by what is usual. 0
/// where they are near in time.
fn usual_wander(tick: &Tick, sides: [&[Tick]; 2], parameters: &Parameters) -> f64 {
    let [before, behind] = sides;
    // The middle one in time of the nearest, as its price represents its side.
    let middle = |side: &[Tick]| side.len().min(parameters.nearest) / 2;
    let before_it = before.len().checked_sub(1 + middle(before)).map(|place| &before[place]);
    let away = |other: &Tick| tick.at.abs_diff(other.at) as f64;
    let time = match (before_it.map(away), behind.get(middle(behind)).map(away)) {
        // Between two known prices it moves less.
        (Some(one), Some(other)) => one * other / (one + other).max(1.0),
        (one, other) => one.or(other).unwrap_or(0.0),
    };
    if time <= parameters.near as f64 {
        return 0.0;
    }
    let all = || before.iter().chain(behind);
    let mut moves: Vec<(u64, u64)> = all()
        .zip(all().skip(1))
        .map(|(one, next)| (one.price.abs_diff(next.price), one.at.abs_diff(next.at)))
        .collect();
    moves.sort_unstable();
    // Moves to wrong prints and from them, and to new levels, are among the largest.
    moves.truncate(moves.len() - (moves.len() as f64 * 2.0 * parameters.trimmed) as usize);
    let squares: f64 = moves.iter().map(|(size, _)| (*size as f64).powi(2)).sum();
    let times: f64 = moves.iter().map(|(_, time)| *time as f64).sum();
    let unsure = 1.0 + UNSURE_MOVES / moves.len().max(1) as f64;
    let seen = squares * unsure / times.max(1.0);
    let usual = (parameters.usual_move * tick.price as f64).powi(2) / MINUTE as f64;
    parameters.moves * (seen.max(usual) * time).sqrt()
}

/// Mean and deviation of what is left of `prices` without its ends.
fn trimmed(prices: &mut [f64], share: f64) -> Option<(f64, f64)> {
    if prices.len() < 4 {
        return None;
    }
    prices.sort_unstable_by(f64::total_cmp);
    let left_out = (prices.len() as f64 * share) as usize;
    let kept = &prices[left_out..prices.len() - left_out];
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    let variance = kept.iter().map(|price| (price - mean).powi(2)).sum::<f64>() / kept.len() as f64;
    Some((mean, variance.sqrt()))
}

fn finding(tick: &Tick, kind: Kind, score: f64, expected: f64) -> Finding {
    Finding {
        detector: DETECTOR,
        kind,
        place: tick.place,
        at: tick.at,
        score,
        observed: tick.price as f64,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::{Revision, TickId};

    const CENT: i64 = 10_000_000;

    fn ticks(cents: impl IntoIterator<Item = i64>) -> Vec<Tick> {
        let place = |offset| TickId { offset, index: 0 };
        (0..)
            .zip(cents)
            .map(|(offset, cents)| Tick::of(place(offset), offset, cents * CENT))
            .collect()
    }

    /// A hundred ticks that bounce by a cent, some of them replaced.
    fn bouncing(replaced: &[(usize, i64)]) -> Vec<Tick> {
        let mut cents: Vec<i64> = (0..100).map(|number| 10_000 + number % 2).collect();
        replaced.iter().for_each(|&(number, other)| cents[number] = other);
        ticks(cents)
    }

    fn found(ticks: &[Tick]) -> Vec<i64> {
        judge(ticks, 0..ticks.len(), &Parameters::default())
            .iter()
            .map(|finding| finding.place.offset)
            .collect()
    }

    #[test]
    fn a_price_off_both_sides_is_found_wherever_it_stands() {
        for number in [0, 1, 50, 98, 99] {
            assert_eq!(found(&bouncing(&[(number, 10_030)])), [number as i64]);
        }
    }

    #[test]
    fn an_excluded_condition_is_held_to_a_narrower_margin() {
        let mut ticks = bouncing(&[(50, 10_008)]);
        assert_eq!(found(&ticks), []);
        ticks[50].is_excluded = true;
        assert_eq!(found(&ticks), [50]);
    }

    #[test]
    fn two_in_a_row_are_found_both() {
        assert_eq!(found(&bouncing(&[(50, 10_050), (51, 9_950)])), [50, 51]);
        assert_eq!(found(&bouncing(&[(50, 10_050), (51, 10_051)])), [50, 51]);
    }

    #[test]
    fn a_new_level_is_no_bad_print_on_either_of_its_sides() {
        assert_eq!(
            found(&ticks(
                (0..100).map(|number| if number < 50 { 10_000 } else { 2_500 } + number % 2)
            )),
            []
        );
        assert_eq!(
            found(&ticks(
                (0..100).map(|number| if number < 95 { 10_000 } else { 2_500 } + number % 2)
            )),
            []
        );
    }

    /// A step from one level to another in the middle of 240 ticks, with some replaced.
    fn stepping(from: i64, to: i64, replaced: &[(usize, i64)]) -> Vec<Tick> {
        let mut cents: Vec<i64> =
            (0..240).map(|number| if number < 120 { from } else { to } + number % 3).collect();
        replaced.iter().for_each(|&(number, other)| cents[number] = other);
        ticks(cents)
    }

    #[test]
    fn beside_a_step_a_price_off_both_levels_is_found_and_the_levels_are_not() {
        for (from, to) in
            [(10_000, 5_000), (10_000, 500), (10_000, 10_500), (5_000, 20_000), (10_000, 10_100)]
        {
            assert_eq!(found(&stepping(from, to, &[])), []);
            for distance in [5, 10, 15, 20, 25, 29] {
                for share in [70, 92, 108, 130, 200] {
                    let bad = [
                        (120 - distance - 1, from * share / 100),
                        (120 + distance, to * share / 100),
                    ];
                    let expected = bad.map(|(number, _)| number as i64);
                    assert_eq!(
                        found(&stepping(from, to, &bad)),
                        expected,
                        "{from} {to} {distance} {share}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_step_to_a_level_and_on_to_another_hides_nothing_either() {
        let level = |number: i64| [10_000, 5_000, 6_000][number as usize / 40];
        let mut cents: Vec<i64> = (0..120).map(|number| level(number) + number % 3).collect();
        assert_eq!(found(&ticks(cents.clone())), []);
        cents[60] = 5_400;
        assert_eq!(found(&ticks(cents)), [60]);
    }

    #[test]
    fn beside_a_step_a_price_that_wanders_within_its_level_is_none_wherever_it_stands() {
        for other in [1_000, 5_000, 20_000, 10_700] {
            for off in [-7, 9] {
                for number in 0..10 {
                    let before = stepping(10_000, other, &[(119 - number, 10_000 + off)]);
                    assert_eq!(found(&before), [], "{other} {off} {number}");
                    let behind = stepping(other, 10_000, &[(120 + number, 10_000 + off)]);
                    assert_eq!(found(&behind), [], "{other} {off} {number}");
                }
            }
        }
    }

    #[test]
    fn trades_that_agree_with_each_other_are_none_where_the_quotes_lag_behind_a_jump() {
        let mut ticks = ticks((0..100).map(|number| if number < 60 { 10_000 } else { 11_000 }));
        for (number, tick) in ticks.iter_mut().enumerate() {
            let of: i64 = if number < 75 { 10_000 } else { 11_000 };
            tick.quote = Some(Quote { bid: (of - 1) * CENT, ask: (of + 1) * CENT });
        }
        assert_eq!(found(&ticks), []);
    }

    #[test]
    fn a_price_that_runs_has_no_levels() {
        assert_eq!(found(&ticks((0..200).map(|number| 10_000 + 5 * number + number % 3))), []);
    }

    #[test]
    fn a_price_outside_the_quotes_is_found_unless_its_own_quote_lags_alone() {
        // From the sixtieth tick on prices and quotes are 30 cents higher.
        let mut ticks = ticks((0..100).map(|number| if number < 60 { 10_000 } else { 10_030 }));
        for tick in &mut ticks {
            tick.quote = Some(Quote { bid: tick.price - CENT, ask: tick.price + 2 * CENT });
        }
        ticks[62].quote = ticks[50].quote;
        assert_eq!(found(&ticks), []);
        ticks[30].price += 30 * CENT;
        ticks[80].price -= 30 * CENT;
        assert_eq!(found(&ticks), [30, 80]);
    }

    #[test]
    fn a_trade_that_is_taken_back_is_found_by_that_and_stands_beside_no_other() {
        let mut ticks = bouncing(&[
            (50, 10_050),
            (51, 10_050),
            (52, 10_050),
            (53, 10_050),
            (54, 10_050),
            (55, 10_050),
        ]);
        assert_eq!(found(&ticks), []);
        ticks[50..55].iter_mut().for_each(|tick| tick.revision = Some(Revision::Cancel));
        ticks[70].revision = Some(Revision::Correction);
        let all = judge(&ticks, 52..100, &Parameters::default());
        let all: Vec<(i64, Kind)> =
            all.iter().map(|finding| (finding.place.offset, finding.kind)).collect();
        let cancel = |offset| (offset, Kind::Cancel);
        assert_eq!(
            all,
            [cancel(52), cancel(53), cancel(54), (55, Kind::OffNeighbours), (70, Kind::Correction)]
        );
    }

    #[test]
    fn where_an_hour_is_cut_does_not_show() {
        let mut market =
            crate::evaluation::market::draw(&crate::evaluation::market::HARD, 5).without_quotes();
        let ticks = &mut market.ticks[..3000];
        ticks.iter_mut().step_by(10).for_each(|tick| tick.revision = Some(Revision::Cancel));
        let ticks = &*ticks;
        let parameters = Parameters::default();
        let whole = judge(ticks, 0..3000, &parameters);
        // One in ten is no neighbour.
        let margin = 2 * parameters.neighbours;
        let parts = [0..1000, 1000..1001, 1001..3000].into_iter().flat_map(|part: Range<usize>| {
            let from = part.start.saturating_sub(margin);
            let until = (part.end + margin).min(ticks.len());
            judge(&ticks[from..until], part.start - from..part.end - from, &parameters)
        });
        assert!(!whole.is_empty());
        assert_eq!(parts.collect::<Vec<_>>(), whole);
    }

    #[test]
    fn a_few_ticks_alone_are_not_judged() {
        assert_eq!(found(&ticks([10_000, 20_000])), []);
        assert_eq!(found(&ticks([10_000])), []);
        assert_eq!(found(&[]), []);
    }
}
