//! The hours of one symbol: return, range and volume of each, every one a series that [`OddBar`]
//! looks at.
//!
//! In NAB's thousands of values in a row that detector's novelty and rarity make one score. Among a
//! few hundred bars rarity would never have a say in it, so each has a limit of its own here.
//!
//! A bar is judged by those of its own week and of the [`WEEKS`] before it, the detector beginning
//! again with each week. So the findings are a function of these bars, and a changed bar changes
//! none after the weeks that it is a measure for.

use super::detector::BarDetector;
use super::history::Episodes;
use super::odd::{Look, OddBar, Sieve};
use crate::tick::Detector;
use std::ops::Range;

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: OddBar::NAME, version: OddBar::VERSION };

/// The novelty, from 0 to 1, from which on a bar is odd. This and [`RARITY_LIMIT`] are the lowest
/// of those tried (0.1, 0.12, 0.15, 0.18, 0.22; 5, 6, 7) by which of the regular market (the plain
/// one of [`crate::evaluation::hours`], seeds 0 to 15) not more than one value in 4,000 is.
pub const NOVELTY_LIMIT: f64 = 0.18;
/// The rarity from which on a bar is odd, if it is at [`DISTANCE_LIMIT`] as well. Rarity is a sum
/// of ranks, each a power of ten: 2 is the rarest hundredth.
pub const RARITY_LIMIT: f64 = 6.0;
/// The rank of the distance from the time of day, as a power of ten: the farthest hundredth. Bars
/// below it need no forest.
pub const DISTANCE_LIMIT: f64 = 2.0;

/// Number of bars of an episode: within it only a bar that is odder than before is reported.
const EPISODE: usize = 100;

/// Whole weeks before its own that a bar is judged by.
pub const WEEKS: i64 = 8;

const WEEK: i64 = 7 * 86_400;
/// The first Monday after 1970-01-01, in seconds since then.
const FIRST_MONDAY: i64 = 4 * 86_400;

/// One hour that has ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hour {
    /// The hour's start, in seconds since 1970.
    pub at: i64,
    pub low: f64,
    pub high: f64,
    pub close: f64,
    /// `None`: of some tick it is not known.
    pub volume: Option<f64>,
}

/// The aspect of a bar that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// From the close before to its own, as a share of the former; none where that is not above
    /// zero.
    Return,
    /// From low to high, as a share of the former; none where that is not above zero.
    Range,
    Volume,
}

impl View {
    pub const ALL: [Self; 3] = [Self::Return, Self::Range, Self::Volume];

    /// The kind of what is found in it, as it is called in tables.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Return => "odd_return",
            Self::Range => "odd_range",
            Self::Volume => "odd_volume",
        }
    }

    fn of(self, hour: &Hour, before: Option<&Hour>) -> Option<f64> {
        match self {
            Self::Return => before
                .filter(|before| before.close > 0.0)
                .map(|before| hour.close / before.close - 1.0),
            Self::Range => (hour.low > 0.0).then(|| hour.high / hour.low - 1.0),
            Self::Volume => hour.volume,
        }
    }
}

/// An odd bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odd {
    pub at: i64,
    pub view: View,
    /// How far beyond the limit: 1 at it.
    pub score: f64,
    /// A share, or a volume.
    pub observed: f64,
    /// The average of this time of day, in the same unit.
    pub expected: f64,
}

/// The bars that have to be known, where those from `first` to `last` (seconds) have changed.
#[must_use]
pub fn known(first: i64, last: i64) -> Range<i64> {
    start_of(week_of(first) - WEEKS)..affected_range(first, last).end
}

/// The bars of which other things may be found then.
#[must_use]
pub fn affected_range(first: i64, last: i64) -> Range<i64> {
    first..start_of(week_of(last) + WEEKS + 1)
}

/// The odd bars in the [`affected_range`] among `hours`, which are those of [`known`] in the order
/// of time. `seed`: that of the symbol.
#[must_use]
pub fn find_odd(seed: u64, hours: &[Hour], (first, last): (i64, i64)) -> Vec<Odd> {
    let mut found = Vec::new();
    for week in week_of(first)..=week_of(last) + WEEKS {
        let place = |at: i64| hours.partition_point(|hour| hour.at < at);
        let (start, end) = (place(start_of(week)), place(start_of(week + 1)));
        if start < end {
            let window = &hours[place(start_of(week - WEEKS))..end];
            let from = start_of(week).max(first);
            found.extend(
                View::ALL.iter().flat_map(|view| find_odd_of_week(seed, *view, window, from)),
            );
        }
    }
    found.sort_by_key(|odd| (odd.at, odd.view));
    found
}

/// The seed of a symbol's random cuts.
#[must_use]
pub fn seed(symbol: &str) -> u64 {
    // FNV-1a.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    symbol.bytes().chain(DETECTOR.version.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, mix)
}

fn week_of(at: i64) -> i64 {
    (at - FIRST_MONDAY).div_euclid(WEEK)
}

fn start_of(week: i64) -> i64 {
    week * WEEK + FIRST_MONDAY
}

fn find_odd_of_week(seed: u64, view: View, window: &[Hour], from: i64) -> Vec<Odd> {
    let values = values_of(view, window);
    if may_be_odd(&values, from) { odd_among(seed, view, &values, from) } else { Vec::new() }
}

/// Whether any value from `from` on can be odd: nearly none can, and to see that costs next to
/// nothing.
fn may_be_odd(values: &[Value], from: i64) -> bool {
    let mut sieve = Sieve::default();
    let looks: Vec<Look> = values.iter().map(|value| sieve.look(value.at, value.scaled)).collect();
    let may_be = |look: &Look| look.novelty >= NOVELTY_LIMIT || look.distance >= DISTANCE_LIMIT;
    values.iter().zip(looks).any(|(value, look)| value.at >= from && may_be(&look))
}

fn odd_among(seed: u64, view: View, values: &[Value], from: i64) -> Vec<Odd> {
    let (mut detector, mut episodes) = (OddBar::seeded(seed ^ view as u64), Episodes::of(EPISODE));
    let odd = |value: &Value| {
        let look = detector.look(value.at, value.scaled);
        let score = episodes.next(score_of(&look));
        let (at, observed) = (value.at, value.value);
        let expected = (value.scaled - look.residual).sinh() * value.usual;
        (score >= 1.0 && at >= from).then_some(Odd { at, view, score, observed, expected })
    };
    values.iter().filter_map(odd).collect()
}

/// 1 at the limit.
fn score_of(look: &Look) -> f64 {
    let rarity = if look.distance >= DISTANCE_LIMIT { look.rarity / RARITY_LIMIT } else { 0.0 };
    rarity.max(look.novelty / NOVELTY_LIMIT)
}

struct Value {
    at: i64,
    value: f64,
    /// The mean size of those before it.
    usual: f64,
    /// In units of that: small ones as they are, of large ones the logarithm, since their tails are
    /// heavy.
    scaled: f64,
}

fn values_of(view: View, hours: &[Hour]) -> Vec<Value> {
    let (mut sum, mut count, mut values) = (0.0, 0.0, Vec::with_capacity(hours.len()));
    for (number, hour) in hours.iter().enumerate() {
        let before = number.checked_sub(1).map(|number| &hours[number]);
        let Some(value) = view.of(hour, before).filter(|value| value.is_finite()) else { continue };
        if sum > 0.0 {
            let usual = sum / count;
            values.push(Value { at: hour.at, value, usual, scaled: (value / usual).asinh() });
        }
        sum += value.abs();
        count += 1.0;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::hours::{HARD, PLAIN, Shape, draw};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const SEED: u64 = 7;

    fn whole(hours: &[Hour]) -> Vec<Odd> {
        match (hours.first(), hours.last()) {
            (Some(first), Some(last)) => find_odd(SEED, hours, (first.at, last.at)),
            _ => Vec::new(),
        }
    }

    /// A table of bars and what was found in them, which is brought up to date change by change.
    #[derive(Default)]
    struct Table {
        hours: BTreeMap<i64, Hour>,
        found: Vec<Odd>,
        changed: Option<(i64, i64)>,
    }

    impl Table {
        fn change(&mut self, at: i64, hour: Option<Hour>) {
            match hour {
                Some(hour) => drop(self.hours.insert(at, hour)),
                None => drop(self.hours.remove(&at)),
            }
            let (first, last) = self.changed.unwrap_or((at, at));
            self.changed = Some((first.min(at), last.max(at)));
        }

        fn refresh(&mut self) {
            let Some((first, last)) = self.changed.take() else { return };
            let known: Vec<Hour> =
                self.hours.range(known(first, last)).map(|(_, hour)| *hour).collect();
            let affected = affected_range(first, last);
            self.found.retain(|odd| !affected.contains(&odd.at));
            self.found.extend(find_odd(SEED, &known, (first, last)));
            self.found.sort_by_key(|odd| (odd.at, odd.view));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_found_is_the_same_in_whichever_order_bars_come_and_whenever_runs_are(
            market in 0..1000_u64,
            moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
            runs in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut hours = draw(&HARD, market).hours;
            let mut table = Table::default();
            let mut order = hours.clone();
            moves.iter().for_each(|(one, other)| order.swap(one.index(hours.len()), other.index(hours.len())));
            let runs: Vec<usize> = runs.iter().map(|run| run.index(hours.len())).collect();
            for (number, hour) in order.iter().enumerate() {
                table.change(hour.at, Some(*hour));
                if runs.contains(&number) {
                    table.refresh();
                }
            }
            table.refresh();
            prop_assert_eq!(&table.found, &whole(&hours));
            for gone in gone {
                let hour = hours.remove(gone.index(hours.len()));
                table.change(hour.at, None);
                table.refresh();
            }
            prop_assert_eq!(&table.found, &whole(&hours));
        }
    }

    #[test]
    fn an_hour_far_beyond_all_before_is_said_with_what_was_to_be_expected() {
        let mut hours = draw(&PLAIN, 1).hours;
        let number = hours.len() - 20;
        hours[number].volume = hours[number].volume.map(|volume| 40.0 * volume);
        let found = whole(&hours);
        let odd = found.iter().find(|odd| odd.at == hours[number].at).unwrap();
        assert_eq!((odd.view, Some(odd.observed)), (View::Volume, hours[number].volume));
        assert!(
            odd.score > 1.0 && odd.expected > 0.0 && odd.expected < odd.observed / 10.0,
            "{odd:?}"
        );
    }

    #[test]
    fn a_late_hour_changes_nothing_behind_the_weeks_that_it_is_a_measure_for() {
        let monday = FIRST_MONDAY + 2000 * WEEK;
        assert_eq!(
            affected_range(monday + 3600, monday + 7200),
            monday + 3600..monday + (WEEKS + 1) * WEEK
        );
        assert_eq!(known(monday, monday).start, monday - WEEKS * WEEK);
    }

    #[test]
    fn bars_without_any_difference_and_volumes_that_are_not_known_are_not_odd() {
        let hour =
            |number: i64| Hour { at: 3600 * number, low: 5.0, high: 5.0, close: 5.0, volume: None };
        assert_eq!(whole(&(0..900).map(hour).collect::<Vec<_>>()), []);
    }

    #[test]
    fn a_price_that_is_not_above_zero_is_no_measure_for_a_return_or_a_range() {
        let hour = |low: f64, close: f64| Hour { at: 0, low, high: 9.79, close, volume: None };
        let before = |close| Some(hour(1.0, close));
        for low in [-0.05, 0.0] {
            assert_eq!(View::Range.of(&hour(low, 5.0), None), None);
            assert_eq!(View::Return.of(&hour(1.0, 5.0), before(low).as_ref()), None);
        }
        assert_eq!(View::Return.of(&hour(-1.0, -1.0), before(2.0).as_ref()), Some(-1.5));
        // Hours of both signs say no range below zero.
        let wandering = |number: i64| Hour {
            at: 3600 * number,
            low: (number % 7 - 3) as f64,
            high: 9.0 + (number % 300 / 299 * 50) as f64,
            close: (number % 5 - 2) as f64,
            volume: None,
        };
        let found = whole(&(0..900).map(wandering).collect::<Vec<_>>());
        assert!(
            found
                .iter()
                .filter(|odd| odd.view == View::Range)
                .all(|odd| odd.observed >= 0.0 && odd.expected >= 0.0)
        );
    }

    #[test]
    fn what_cannot_be_odd_is_not_said_by_the_whole_detector_either() {
        let markets = (0..6).map(|seed| draw(&Shape { odd: 0.003, ..HARD }, seed).hours);
        for (view, hours) in markets.flat_map(|hours| View::ALL.map(|view| (view, hours.clone()))) {
            let values = values_of(view, &hours);
            let all = odd_among(SEED, view, &values, 0);
            for start in hours.iter().step_by(35).map(|hour| hour.at) {
                let found = all.iter().any(|odd| odd.at >= start);
                assert!(!found || may_be_odd(&values, start), "{view:?}");
            }
        }
    }

    #[test]
    fn what_is_rare_for_its_time_of_day_is_said_though_it_is_nothing_new() {
        let mut hours = draw(&PLAIN, 3).hours;
        // In the fourth hour of a day, when least is traded, what one of the first ones had.
        let number = hours.len() - 4;
        let before =
            hours[number - 280..number].iter().filter_map(|hour| hour.volume).fold(0.0, f64::max);
        hours[number].volume = Some(before);
        let odd = whole(&hours).into_iter().find(|odd| odd.at == hours[number].at).unwrap();
        assert_eq!((odd.view, odd.observed), (View::Volume, before));
    }

    #[test]
    fn symbols_have_seeds_of_their_own() {
        assert_ne!(seed("AAPL"), seed("AAPM"));
    }
}
