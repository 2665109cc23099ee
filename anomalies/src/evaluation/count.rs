//! How much of what is wrong was found, and how much of what was found is wrong.

use crate::tick::TickId;
use std::collections::HashSet;

/// Counts over any number of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Wrong ticks that were found.
    pub hits: usize,
    /// Right ticks that were found.
    pub false_alarms: usize,
    /// Wrong ticks that were not.
    pub missed: usize,
}

impl Counts {
    /// Adds one symbol; a place counts once.
    pub fn add(&mut self, wrong: &HashSet<TickId>, found: &HashSet<TickId>) {
        let hits = wrong.intersection(found).count();
        self.hits += hits;
        self.false_alarms += found.len() - hits;
        self.missed += wrong.len() - hits;
    }

    /// 1 where nothing was found.
    #[must_use]
    pub fn precision(&self) -> f64 {
        share(self.hits, self.false_alarms)
    }

    /// 1 where nothing was wrong.
    #[must_use]
    pub fn recall(&self) -> f64 {
        share(self.hits, self.missed)
    }

    /// The harmonic mean of both.
    #[must_use]
    pub fn f1(&self) -> f64 {
        share(2 * self.hits, self.false_alarms + self.missed)
    }
}

fn share(part: usize, rest: usize) -> f64 {
    if part + rest == 0 { 1.0 } else { part as f64 / (part + rest) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_recall_and_their_mean_are_counted() {
        let places =
            |offsets: &[i64]| offsets.iter().map(|&offset| TickId { offset, index: 0 }).collect();
        let mut counts = Counts::default();
        counts.add(&places(&[1, 2, 3]), &places(&[2, 3, 4, 5]));
        assert_eq!(counts, Counts { hits: 2, false_alarms: 2, missed: 1 });
        assert_eq!((counts.precision(), counts.recall(), counts.f1()), (0.5, 2.0 / 3.0, 4.0 / 7.0));
    }
}
