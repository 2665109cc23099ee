//! Which fault happens when: decided by the seed alone, so that a run can be repeated.

use super::fault::Fault;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::Duration;

/// The stream of random numbers of the faults that have their turn; of those that do the one with
/// which the two runs of CI hold each of them.
const IN_TURN: u64 = 3;

/// What decides the plan.
pub struct Terms<'a> {
    pub seed: u64,
    pub length: Duration,
    /// Mean time from one fault to the next.
    pub every: Duration,
    pub faults: &'a [Fault],
}

/// A fault to come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// Since the beginning.
    pub at: Duration,
    pub fault: Fault,
    pub lasts: Duration,
    /// Chooses among what the fault can hit.
    pub target: usize,
    /// How bad it is, from 0 to 1.
    pub severity: f64,
}

/// Faults are dealt like cards: each comes up once before any comes up again. Those that have their
/// turn follow one another, from a deck of their own; the others may overlap.
pub fn plan(terms: &Terms<'_>) -> Vec<Planned> {
    let (in_turn, any): (Vec<Fault>, Vec<Fault>) =
        terms.faults.iter().partition(|fault| fault.turn().is_some());
    let mut planned = deal(terms, 0, &any);
    planned.extend(deal(terms, IN_TURN, &in_turn));
    planned.sort_by_key(|planned| planned.at);
    planned
}

fn deal(terms: &Terms<'_>, stream: u64, faults: &[Fault]) -> Vec<Planned> {
    let mut rng = ChaCha8Rng::seed_from_u64(terms.seed);
    rng.set_stream(stream);
    let mut deck = Vec::new();
    let mut planned = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += terms.every.mul_f64(rng.random_range(0.2..1.8));
        if deck.is_empty() {
            deck = faults.to_vec();
            deck.shuffle(&mut rng);
        }
        let Some(fault) = deck.pop() else { return planned };
        let over = at + Duration::from_secs_f64(fault.turn().unwrap_or_default());
        if at >= terms.length || over > terms.length {
            return planned;
        }
        // All is over when the time is.
        let lasts =
            Duration::from_secs_f64(rng.random_range(fault.seconds())).min(terms.length - at);
        planned.push(Planned {
            at,
            fault,
            lasts,
            target: rng.random_range(0..64),
            severity: rng.random(),
        });
        if fault.turn().is_some() {
            at = over;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use proptest::prelude::*;

    fn faults(seed: u64, seconds: u64, faults: &[Fault]) -> Vec<Planned> {
        plan(&Terms {
            seed,
            length: Duration::from_secs(seconds),
            every: Duration::from_secs(4),
            faults,
        })
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_plan_within_the_time(seed: u64, seconds in 0_u64..600) {
            let planned = faults(seed, seconds, Fault::value_variants());
            prop_assert_eq!(&planned, &faults(seed, seconds, Fault::value_variants()));
            for fault in &planned {
                prop_assert!(fault.at + fault.lasts <= Duration::from_secs(seconds));
            }
        }

        #[test]
        fn every_fault_comes_before_any_comes_again_and_those_that_have_their_turn_follow_one_another(seed: u64) {
            let in_turn = |fault: &Fault| fault.turn().is_some();
            let planned = faults(seed, 600, Fault::value_variants());
            for deck in [true, false] {
                let kinds: Vec<Fault> =
                    Fault::value_variants().iter().copied().filter(|fault| in_turn(fault) == deck).collect();
                let dealt: Vec<&Planned> = planned.iter().filter(|planned| in_turn(&planned.fault) == deck).collect();
                for round in dealt.chunks_exact(kinds.len()) {
                    let mut kinds_of_round: Vec<Fault> = round.iter().map(|planned| planned.fault).collect();
                    kinds_of_round.sort();
                    prop_assert_eq!(&kinds_of_round, &kinds);
                }
                for pair in dealt.windows(2) {
                    let turn = Duration::from_secs_f64(pair[0].fault.turn().unwrap_or_default());
                    prop_assert!(pair[0].at + turn <= pair[1].at);
                }
            }
        }
    }

    #[test]
    fn the_two_runs_of_ci_hold_each_fault_that_has_its_turn() {
        let run = |seed| {
            let (length, every) = (Duration::from_secs(36), Duration::from_secs(2));
            plan(&Terms { seed, length, every, faults: Fault::value_variants() })
        };
        let dealt: Vec<Fault> =
            [8, 12].into_iter().flat_map(run).map(|planned| planned.fault).collect();
        let missing: Vec<_> =
            Fault::value_variants().iter().filter(|fault| !dealt.contains(fault)).collect();
        assert!(missing.iter().all(|fault| fault.turn().is_none()), "{missing:?} in {dealt:?}");
    }

    #[test]
    fn another_seed_gives_another_plan_and_thirty_minutes_hold_more_than_two_hundred_faults() {
        assert_ne!(
            faults(1, 1800, Fault::value_variants()),
            faults(2, 1800, Fault::value_variants())
        );
        assert!(faults(1, 1800, Fault::value_variants()).len() > 200);
    }

    #[test]
    fn no_faults_are_a_plan_too() {
        assert_eq!(faults(1, 60, &[]), []);
    }
}
