//! Symbols that trade seldom, and ticks that come late.

use anomalies::causal::{self, bad_print};
use anomalies::evaluation::count::Counts;
use anomalies::evaluation::market::Market;
use anomalies::evaluation::thin::{RIGHT, Shape, draw, judge_hours};
use anomalies::{Calendar, Kind, MINUTE, SECOND, Tick, TickId, hindsight};
use std::collections::HashSet;

const CENT: i64 = 10_000_000;

fn with_hindsight(market: &Market) -> HashSet<TickId> {
    judge_hours(&market.ticks, &hindsight::Parameters::default())
}

#[test]
fn of_right_prints_hindsight_takes_none_for_wrong_however_seldom_they_are() {
    for pause in [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0] {
        for move_of_minute in [0.0, 0.0002, 0.0006] {
            for seed in 0..4 {
                let market = draw(&Shape { pause, move_of_minute, ..RIGHT }, seed);
                let found = with_hindsight(&market);
                assert!(found.is_empty(), "{pause} {move_of_minute} {seed}: {found:?}");
            }
        }
    }
}

#[test]
fn of_right_prints_of_a_wild_price_hindsight_takes_fewer_than_one_in_a_thousand_for_wrong() {
    for pause in [0.5, 2.0, 10.0] {
        let markets =
            (0..10).map(|seed| draw(&Shape { pause, move_of_minute: 0.003, ..RIGHT }, seed));
        let found: usize = markets.map(|market| with_hindsight(&market).len()).sum();
        assert!(found < 50, "{pause}: {found} of 50,000");
    }
}

#[test]
fn wrong_prints_far_off_what_the_price_moves_in_a_pause_are_found() {
    for pause in [0.1, 0.5, 1.0, 2.0, 5.0_f64] {
        let band = 5.0 * RIGHT.move_of_minute * pause.sqrt();
        let (wrong_from, wrong_until) = (10.0 * band, 20.0 * band);
        let mut counts = Counts::default();
        for seed in 0..10 {
            let market =
                draw(&Shape { pause, wrong: 0.005, wrong_from, wrong_until, ..RIGHT }, seed);
            counts.add(&market.wrong, &with_hindsight(&market));
        }
        assert_eq!(counts.false_alarms, 0, "{pause}: {counts:?}");
        // An hour of some ticks: a wrong one may hide another.
        let hidden = if pause > 2.0 { 2 } else { 0 };
        assert!(counts.hits > 200 && counts.missed <= hidden, "{pause}: {counts:?}");
    }
}

/// The findings for prices as the ticks come, in the order of their places.
fn as_they_come(ticks: &[Tick]) -> HashSet<TickId> {
    let mut coming = ticks.to_vec();
    coming.sort_unstable_by_key(|tick| tick.place);
    let (mut state, mut found, parameters) =
        (causal::State::default(), Vec::new(), causal::Parameters::default());
    let mut newest = i64::MIN;
    for tick in &coming {
        newest = newest.max(tick.at);
        state.observe(tick, Some(newest), &parameters, &Calendar::default(), &mut found);
    }
    found.retain(|finding| finding.kind == Kind::Spike);
    found.into_iter().map(|finding| finding.place).collect()
}

#[test]
fn ticks_that_come_late_are_not_said_and_make_no_others_be() {
    for pause in [0.02, 0.1, 0.5, 2.0, 8.0] {
        let (mut usual, mut said) = (0, 0);
        for seed in 0..10 {
            usual += as_they_come(&draw(&Shape { pause, ..RIGHT }, seed).ticks).len();
            said += as_they_come(&draw(&Shape { pause, late: 0.02, ..RIGHT }, seed).ticks).len();
        }
        // 1,000 of 50,000 are late.
        assert!(said <= usual + 30, "{pause}: {said}, {usual} without late ones");
    }
}

/// One tick in two seconds that bounces by a cent, and one at the end that is `late` by so much.
fn then_late(late: i64, cents: i64) -> Vec<Tick> {
    let place = |offset| TickId { offset, index: 0 };
    let usual =
        |number: i64| Tick::of(place(number), number * 2 * SECOND, (10_000 + number % 2) * CENT);
    let mut ticks: Vec<Tick> = (0..1000).map(usual).collect();
    ticks.push(Tick::of(place(1000), ticks[999].at - late - 1, cents * CENT));
    ticks.extend((1001..1100).map(usual));
    ticks
}

#[test]
fn a_late_spike_is_left_to_hindsight_which_finds_it() {
    let it = HashSet::from([TickId { offset: 1000, index: 0 }]);
    for late in [0, 30 * SECOND, MINUTE + 1, 20 * MINUTE] {
        let mut ticks = then_late(late, 10_500);
        let said = as_they_come(&ticks);
        assert_eq!(said, if late <= MINUTE { it.clone() } else { HashSet::new() }, "{late}");
        ticks.sort_by_key(|tick| tick.at);
        assert_eq!(judge_hours(&ticks, &hindsight::Parameters::default()), it, "{late}");
    }
}

#[test]
fn late_ticks_do_not_change_what_is_said_of_those_in_time() {
    let mut ticks = then_late(20 * MINUTE, 10_500);
    ticks[995].price = 10_300 * CENT;
    ticks[1050].price = 9_700 * CENT;
    let mut said: Vec<i64> = as_they_come(&ticks).iter().map(|place| place.offset).collect();
    said.sort_unstable();
    assert_eq!(said, [995, 1050]);
}

#[test]
fn behind_many_late_ticks_in_a_row_the_level_is_of_their_time() {
    let (mut state, mut found, parameters) =
        (bad_print::State::default(), Vec::new(), bad_print::Parameters::default());
    let mut offset = 0;
    let mut see = |at: i64, cents: i64| {
        offset += 1;
        state.observe(
            &Tick::of(TickId { offset, index: 0 }, at, cents * CENT),
            &parameters,
            &mut found,
        );
    };
    let day = 1440 * MINUTE;
    (0..100).for_each(|number| see(day + number * SECOND, 10_000 + number % 2));
    // An older day is told again.
    for number in 0..100 {
        let cents = if number == 50 { 12_500 } else { 12_000 + number % 2 };
        see(number * SECOND, cents);
    }
    (100..200).for_each(|number| see(day + number * SECOND, 10_000 + number % 2));
    let said: Vec<i64> = found.iter().map(|finding| finding.place.offset).collect();
    assert_eq!(said, [151]);
}
