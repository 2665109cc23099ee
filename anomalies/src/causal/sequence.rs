//! A feed's own numbers: a step back, or a hole.

use crate::pack::pack;
use crate::tick::{Detector, Finding, Kind, Tick};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "sequence", version: 1 };

/// How far a number may lie back and be late; farther back the feed counts again.
const LATE_AFTER_NUMBERS: u64 = 1000;

/// How odd numbers may become before they are taken for a count of other things than this symbol's
/// ticks: an odd number adds two, one in order takes one off.
const TOO_ODD: u8 = 20;

/// The highest number seen, and whether the numbers count this symbol's ticks at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    last: Option<u64>,
    oddness: u8,
    /// Until the oddness is gone.
    is_silent: bool,
}

pack!(State { last, oddness, is_silent });

impl State {
    /// Looks at the number of `tick`, where it has one.
    #[inline]
    pub fn observe(&mut self, tick: &Tick, found: &mut Vec<Finding>) {
        let Some(number) = tick.sequence else { return };
        let Some(last) = self.last.replace(number) else { return };
        if number <= last && last - number <= LATE_AFTER_NUMBERS {
            self.last = Some(last);
        }
        if number == last.wrapping_add(1) {
            self.oddness = self.oddness.saturating_sub(1);
            self.is_silent &= self.oddness > 0;
            return;
        }
        if !self.is_silent {
            found.push(odd(tick, number, last));
        }
        self.oddness = (self.oddness + 2).min(TOO_ODD);
        self.is_silent |= self.oddness == TOO_ODD;
    }
}

fn odd(tick: &Tick, number: u64, last: u64) -> Finding {
    match number > last {
        true => finding(tick, Kind::SequenceHole, (number - last - 1) as f64, last + 1),
        false => {
            finding(tick, Kind::SequenceStep, (last - number + 1) as f64, last.saturating_add(1))
        }
    }
}

fn finding(tick: &Tick, kind: Kind, score: f64, expected: u64) -> Finding {
    let (observed, expected) = (tick.sequence.unwrap_or_default() as f64, expected as f64);
    Finding { detector: DETECTOR, kind, place: tick.place, at: tick.at, score, observed, expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::TickId;

    fn found(numbers: &[u64]) -> Vec<(i64, Kind, f64)> {
        let (mut state, mut found) = (State::default(), Vec::new());
        for (offset, &number) in numbers.iter().enumerate() {
            let place = TickId { offset: offset as i64, index: 0 };
            state.observe(&Tick { sequence: Some(number), ..Tick::of(place, 0, 1) }, &mut found);
        }
        found
            .into_iter()
            .map(|finding| (finding.place.offset, finding.kind, finding.score))
            .collect()
    }

    #[test]
    fn numbers_in_order_are_nothing() {
        assert_eq!(found(&[7, 8, 9]), []);
    }

    #[test]
    fn a_hole_is_as_large_as_what_is_missing() {
        assert_eq!(found(&[7, 11, 12]), [(1, Kind::SequenceHole, 3.0)]);
    }

    #[test]
    fn a_late_number_is_one_finding_and_does_not_make_a_hole() {
        assert_eq!(found(&[7, 8, 7, 9]), [(2, Kind::SequenceStep, 2.0)]);
    }

    #[test]
    fn a_feed_that_counts_anew_is_one_finding() {
        assert_eq!(found(&[5000, 1, 2, 3]), [(1, Kind::SequenceStep, 5000.0)]);
    }

    #[test]
    fn numbers_that_count_something_else_are_said_ten_times_and_no_more_until_they_are_in_order() {
        let of_all_symbols: Vec<u64> = (0..10_000).map(|tick| tick * 7).collect();
        assert_eq!(found(&of_all_symbols).len(), 10);
        let then_of_this_one: Vec<u64> =
            of_all_symbols.into_iter().chain(80_000..80_021).chain([80_030]).collect();
        assert_eq!(found(&then_of_this_one).last(), Some(&(10_021, Kind::SequenceHole, 9.0)));
    }

    #[test]
    fn a_hole_in_a_hundred_ticks_is_said_each_time() {
        let numbers: Vec<u64> = (0..10_000_u64).filter(|number| number % 100 != 50).collect();
        assert_eq!(found(&numbers).len(), 100);
    }

    #[test]
    fn the_highest_number_of_all_is_no_panic() {
        assert_eq!(found(&[u64::MAX, u64::MAX]), [(1, Kind::SequenceStep, 1.0)]);
        assert_eq!(found(&[u64::MAX, 0]).len(), 0);
    }
}
