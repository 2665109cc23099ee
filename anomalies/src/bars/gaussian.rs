//! The windowed Gaussian: how far in the tail of the last values a value lies. The baseline of NAB.

use super::detector::BarDetector;
use super::math::{mean_and_deviation, tail};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values that the distribution is estimated from.
const WINDOW: usize = 6400;
/// A full window moves on by this many values at a time.
const STEP: usize = 100;

/// Scores 0.5 at the mean and 1 far in either tail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WindowedGaussian {
    #[serde(with = "crate::exact::many")]
    window: VecDeque<f64>,
    #[serde(with = "crate::exact::many")]
    waiting: Vec<f64>,
    #[serde(with = "crate::exact")]
    mean: f64,
    #[serde(with = "crate::exact")]
    deviation: f64,
}

impl WindowedGaussian {
    fn estimate(&mut self) {
        let (mean, deviation) = mean_and_deviation(self.window.iter().copied());
        (self.mean, self.deviation) = (mean, if deviation == 0.0 { 1e-6 } else { deviation });
    }
}

impl BarDetector for WindowedGaussian {
    const NAME: &'static str = "windowed_gaussian";
    const VERSION: u32 = 1;

    fn score(&mut self, _at: i64, value: f64) -> f64 {
        let score = if self.window.is_empty() {
            0.0
        } else {
            1.0 - tail((value - self.mean).abs() / self.deviation)
        };
        if self.window.len() < WINDOW {
            self.window.push_back(value);
            self.estimate();
        } else {
            self.waiting.push(value);
            if self.waiting.len() == STEP {
                self.window.drain(..STEP);
                self.window.extend(self.waiting.drain(..));
                self.estimate();
            }
        }
        score
    }
}
