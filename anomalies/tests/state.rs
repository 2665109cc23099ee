//! A state is a function of the ticks in their order: written down anywhere and read again, it goes
//! on alike.

#![cfg(test)]

use anomalies::bars::{BarDetector, OddBar, WindowedGaussian};
use anomalies::causal::{Parameters, State};
use anomalies::evaluation::market::{HARD, Market, Shape, draw};
use anomalies::random::Random;
use anomalies::{Finding, Kind, Revision, SECOND};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn restored<T: Serialize + DeserializeOwned>(state: &T) -> T {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

/// Sequence numbers with holes and steps, cancels, corrections and a silence, in addition to the
/// market's own.
fn market(seed: u64) -> Market {
    let mut market =
        draw(&Shape { ticks_a_day: 1500, days: 6, jumps: 1, wrong: 0.01, ..HARD }, seed);
    let mut random = Random::of(seed);
    let mut number = 0;
    for (index, tick) in market.ticks.iter_mut().enumerate() {
        number = if random.chance(0.005) { random.below(20_000) as u64 } else { number + 1 };
        tick.sequence = Some(number);
        tick.volume *= if index % 1300 == 1299 { 10_000.0 } else { 1.0 };
        tick.quote = tick.quote.filter(|_| index % 3 == 0);
        tick.revision = (index % 500 == 0).then_some(Revision::Cancel);
        tick.revision = tick.revision.or((index % 700 == 1).then_some(Revision::Correction));
    }
    market.ticks.retain(|tick| !(5_000..5_300).contains(&tick.place.offset));
    // Some are ahead of their time: alone, or three of them one after the other.
    for (index, tick) in market.ticks.iter_mut().enumerate() {
        tick.at +=
            if index % 377 == 40 || (6_000..6_003).contains(&index) { 72_000 * SECOND } else { 0 };
    }
    market
}

/// At the first of `cuts` the state is written down whole, then what has changed; each time it goes
/// on from what is read.
fn found(market: &Market, cuts: &[usize]) -> Vec<Finding> {
    let (mut state, mut found, parameters) = (State::default(), Vec::new(), Parameters::default());
    let mut log = Vec::new();
    for (index, tick) in market.ticks.iter().enumerate() {
        if cuts.contains(&index) {
            state.write(log.is_empty(), &mut log);
            state = State::default();
            let mut from = &log[..];
            while !from.is_empty() {
                state.read(&mut from).unwrap();
            }
        }
        state.observe(tick, None, &parameters, &market.calendar, &mut found);
    }
    found
}

#[test]
fn the_market_of_this_test_shows_every_kind() {
    let mut kinds: Vec<Kind> =
        (0..4).flat_map(|seed| found(&market(seed), &[])).map(|finding| finding.kind).collect();
    kinds.sort();
    kinds.dedup();
    use Kind::*;
    let every = [
        OutsideQuotes,
        ExcludedCondition,
        Spike,
        OutsideBands,
        VolumeBurst,
        RangeBurst,
        Silence,
        SequenceStep,
        SequenceHole,
        Cancel,
        Correction,
    ];
    assert_eq!(kinds, every);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn findings_do_not_depend_on_where_the_state_was_written_down(
        seed in 0u64..1000,
        cuts in prop::collection::vec(0usize..8700, 0..12),
    ) {
        let market = market(seed);
        prop_assert_eq!(found(&market, &cuts), found(&market, &[]));
    }
}

fn scores<D: BarDetector + Default + Serialize + DeserializeOwned>(cuts: &[usize]) -> Vec<u64> {
    let (mut detector, mut random) = (D::default(), Random::of(7));
    let mut score = |index: usize| {
        if cuts.contains(&index) {
            detector = restored(&detector);
        }
        detector.score(index as i64 * 300, random.heavy() + (index as f64 / 46.0).sin()).to_bits()
    };
    (0..1200).map(&mut score).collect()
}

#[test]
fn the_scores_of_bars_do_not_either() {
    let cuts = [1, 63, 64, 65, 500, 700, 701, 1100];
    assert_eq!(scores::<OddBar>(&cuts), scores::<OddBar>(&[]));
    assert_eq!(scores::<WindowedGaussian>(&cuts), scores::<WindowedGaussian>(&[]));
}
