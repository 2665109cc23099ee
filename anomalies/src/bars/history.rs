//! The history that a value is compared with: everything before it, in small.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Number of values before anything is called new or rare.
const MIN_HISTORY: usize = 50;

/// How far outside everything seen before a value lies, in widths of that.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Novelty {
    seen: usize,
    #[serde(with = "crate::exact")]
    low: f64,
    #[serde(with = "crate::exact")]
    high: f64,
}

impl Novelty {
    pub fn next(&mut self, value: f64) -> f64 {
        if self.seen == 0 {
            (self.low, self.high) = (value, value);
        }
        let beyond = (value - self.high).max(self.low - value);
        let width = self.high - self.low;
        let novelty = if self.seen < MIN_HISTORY || beyond <= 0.0 {
            0.0
        } else if width > 0.0 {
            beyond / width
        } else {
            1.0
        };
        self.seen += 1;
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
        novelty
    }
}

/// Values that a rank is taken among.
const RANKED: usize = 4096;
/// How much more than by its rank a value is worth that is above all, at most.
const ABOVE_ALL: f64 = 5.0;

/// How rare so high a value is, as a power of ten.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rank {
    #[serde(with = "crate::exact::many")]
    window: VecDeque<f64>,
    #[serde(with = "crate::exact::many")]
    sorted: Vec<f64>,
}

impl Rank {
    /// 0 for the lowest, 1 for one of the highest tenth, 2 for one of the highest hundredth.
    ///
    /// A value above all others is worth more, by its distance from them against their own upper
    /// half.
    pub fn next(&mut self, value: f64) -> f64 {
        let count = self.sorted.len();
        let below = self.sorted.partition_point(|other| *other < value);
        let mut rarity = ((count + 1) as f64 / (count - below + 1) as f64).log10();
        if below == count && count > MIN_HISTORY {
            let (middle, highest) = (self.sorted[count / 2], self.sorted[count - 1]);
            rarity += ((value - highest) / (highest - middle).max(1e-12)).min(ABOVE_ALL);
        }
        self.sorted.insert(below, value);
        self.window.push_back(value);
        if count == RANKED
            && let Some(oldest) = self.window.pop_front()
        {
            self.sorted.remove(self.sorted.partition_point(|other| *other < oldest));
        }
        if count < MIN_HISTORY { 0.0 } else { rarity }
    }
}

/// The mean of the last values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mean {
    width: usize,
    #[serde(with = "crate::exact::many")]
    window: VecDeque<f64>,
}

impl Mean {
    #[must_use]
    pub fn of(width: usize) -> Self {
        Self { width, window: VecDeque::with_capacity(width) }
    }

    pub fn next(&mut self, value: f64) -> f64 {
        if self.window.len() == self.width {
            self.window.pop_front();
        }
        self.window.push_back(value);
        self.window.iter().sum::<f64>() / self.window.len() as f64
    }
}

const QUARTER_HOUR: i64 = 900;
/// The weight of a count that is a day older.
const OF_THE_DAY_BEFORE: f64 = 0.98;

/// The mean of each quarter of an hour of the day, old days counting less.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Season {
    /// Weighted sum of each quarter, and its weight.
    #[serde(with = "crate::exact::many")]
    sums: Vec<f64>,
    #[serde(with = "crate::exact::many")]
    weights: Vec<f64>,
}

impl Season {
    /// How far `value` is from what this time of day (UTC) had before; 0 where nothing is known.
    pub fn residual(&mut self, at: i64, value: f64) -> f64 {
        for quarters in [&mut self.sums, &mut self.weights] {
            quarters.resize(86_400 / QUARTER_HOUR as usize, 0.0);
        }
        let quarter = (at.rem_euclid(86_400) / QUARTER_HOUR) as usize;
        let (sum, weight) = (&mut self.sums[quarter], &mut self.weights[quarter]);
        let expected = if *weight > 0.0 { *sum / *weight } else { value };
        *sum = *sum * OF_THE_DAY_BEFORE + value;
        *weight = *weight * OF_THE_DAY_BEFORE + 1.0;
        value - expected
    }
}

/// Lets a score pass that is higher than those of the last values; 0 otherwise.
///
/// So an episode is reported once, and again only if it becomes worse, whatever the threshold is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Episodes {
    width: usize,
    #[serde(with = "crate::exact::many")]
    window: VecDeque<f64>,
}

impl Episodes {
    #[must_use]
    pub fn of(width: usize) -> Self {
        Self { width, window: VecDeque::with_capacity(width) }
    }

    pub fn next(&mut self, score: f64) -> f64 {
        let highest = self.window.iter().copied().fold(0.0, f64::max);
        if self.window.len() == self.width {
            self.window.pop_front();
        }
        self.window.push_back(score);
        if score > highest { score } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_everything_seen_is_new() {
        let mut novelty = Novelty::default();
        for value in 0..100 {
            novelty.next(f64::from(value % 11));
        }
        assert_eq!(novelty.next(10.0), 0.0);
        assert_eq!(novelty.next(15.0), 0.5);
        assert_eq!(novelty.next(14.0), 0.0);
        assert_eq!(novelty.next(-15.0), 1.0);
    }

    #[test]
    fn a_rank_is_rarer_the_fewer_values_are_as_high() {
        let mut rank = Rank::default();
        for value in 0..999 {
            rank.next(f64::from(value));
        }
        assert!((rank.clone().next(900.0) - 1.0).abs() < 0.01);
        assert!((rank.clone().next(990.0) - 2.0).abs() < 0.01);
        assert!(rank.clone().next(2000.0) > 4.9);
    }

    #[test]
    fn a_rank_forgets_what_is_old() {
        let mut rank = Rank::default();
        for value in 0..3 * RANKED {
            rank.next((value % 100) as f64);
        }
        assert_eq!((rank.window.len(), rank.sorted.len()), (RANKED, RANKED));
        assert!(rank.sorted.is_sorted());
    }

    #[test]
    fn a_time_of_day_is_compared_with_itself() {
        let mut season = Season::default();
        for day in 0..10 {
            season.residual(day * 86_400, 5.0);
            season.residual(day * 86_400 + 43_200, 50.0);
        }
        assert!(season.residual(10 * 86_400 + 43_200, 50.0).abs() < 1e-9);
        assert!((season.residual(10 * 86_400 + 43_200 + 60, 57.0) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn an_episode_is_said_once_unless_it_becomes_worse() {
        let mut episodes = Episodes::of(3);
        let said: Vec<f64> =
            [0.5, 0.5, 0.4, 0.6, 0.1, 0.1, 0.1, 0.2].map(|score| episodes.next(score)).into();
        assert_eq!(said, [0.5, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.2]);
    }
}
