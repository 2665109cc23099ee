//! The detectors' scores on markets whose faults are known; on other seeds than those that the
//! parameters were chosen on.

use anomalies::causal::{self, bad_print};
use anomalies::evaluation::count::Counts;
use anomalies::evaluation::market::{HARD, Market, PLAIN, Shape, draw};
use anomalies::{Kind, TickId, hindsight};
use std::collections::HashSet;

fn markets(shape: &Shape) -> Vec<Market> {
    (100..104).map(|seed| draw(shape, seed)).collect()
}

fn as_they_come(market: &Market) -> HashSet<TickId> {
    let (mut state, mut found, parameters) =
        (bad_print::State::default(), Vec::new(), bad_print::Parameters::default());
    market.ticks.iter().for_each(|tick| state.observe(tick, &parameters, &mut found));
    found.iter().map(|finding| finding.place).collect()
}

fn with_hindsight(market: &Market) -> HashSet<TickId> {
    let found =
        hindsight::judge(&market.ticks, 0..market.ticks.len(), &hindsight::Parameters::default());
    found.iter().map(|finding| finding.place).collect()
}

fn counts(
    markets: &[Market],
    view: fn(&Market) -> Market,
    find: fn(&Market) -> HashSet<TickId>,
) -> Counts {
    let mut counts = Counts::default();
    markets.iter().for_each(|market| counts.add(&market.wrong, &find(&view(market))));
    counts
}

#[test]
fn prints_that_are_half_a_percent_off_are_all_found_and_nearly_nothing_else() {
    let markets = markets(&PLAIN);
    let counts = counts(&markets, Market::without_conditions, as_they_come);
    assert_eq!(counts.missed, 0, "{counts:?}");
    assert!(counts.precision() >= 0.99, "{counts:?}");
}

#[test]
fn hindsight_reaches_its_goals_in_a_hard_market() {
    let markets = markets(&HARD);
    let without = counts(&markets, Market::without_conditions, with_hindsight);
    assert!(without.f1() >= 0.6, "{without:?}");
    let with = counts(&markets, Market::clone, with_hindsight);
    assert!(with.f1() >= 0.95, "{with:?}");
}

#[test]
fn of_a_jump_or_a_split_at_most_five_ticks_are_found_and_hindsight_finds_none() {
    let calm = Shape { wrong: 0.0, sweeps: 0.0, has_heavy_tails: false, step: 0.00003, ..HARD };
    for market in markets(&calm).iter().map(Market::without_conditions) {
        let (mut state, mut found, parameters) =
            (causal::State::default(), Vec::new(), causal::Parameters::default());
        market
            .ticks
            .iter()
            .for_each(|tick| state.observe(tick, None, &parameters, &market.calendar, &mut found));
        for &shift in &market.shifts {
            let prices =
                |kind| matches!(kind, Kind::Spike | Kind::OutsideBands | Kind::OutsideQuotes);
            let ours = found.iter().filter(|finding| prices(finding.kind));
            let mut places: Vec<i64> =
                ours.map(|finding| finding.place.offset - shift as i64).collect();
            places.retain(|behind| (0..200).contains(behind));
            places.dedup();
            assert!(places.iter().all(|behind| *behind < 5), "{places:?}");
        }
        assert_eq!(with_hindsight(&market), HashSet::new());
    }
}
