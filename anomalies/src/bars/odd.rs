//! The bars' detector: several views of a series, each by what it has not seen before, and one
//! score.

use serde::{Deserialize, Serialize};

use super::BarDetector;
use super::forest::{Forest, Growth};
use super::history::{Episodes, Mean, Novelty, Rank, Season};
use super::spectral::SpectralResidual;

/// Values that are smoothed together.
const SMOOTHED: usize = 20;
const SMOOTHED_SEASONAL: usize = 10;
/// What novelty of the smoothed values counts beside that of the values themselves.
const OF_SMOOTHED: f64 = 0.3;
const OF_SMOOTHED_SEASONAL: f64 = 0.2;
/// What the spectral residual's rank counts beside the others'.
const OF_SPECTRAL: f64 = 0.5;
/// What a power of ten of rarity counts beside a whole range of novelty.
const OF_RARITY: f64 = 0.003;
/// The sum that is halfway between usual and odd.
const HALFWAY: f64 = 0.02;
/// Values of an episode: within it only what is odder than before is said.
const EPISODE: usize = 100;

/// Novelty (how far outside everything seen), for the value, its moving mean, and the moving mean
/// without the time of day's; or rarity (the rank of isolation, of the distance from the time of
/// day, of spectral saliency), if that is more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OddBar {
    sieve: Sieve,
    forest: Forest,
    isolation: Rank,
    spectral: SpectralResidual,
    saliency: Rank,
    episodes: Episodes,
}

/// What of [`OddBar`] costs next to nothing. It says the most that the rest could make of a value,
/// so that of a series in which nothing can be odd the rest need not be computed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sieve {
    value: Novelty,
    smooth: Mean,
    smoothed: Novelty,
    season: Season,
    smooth_seasonal: Mean,
    smoothed_seasonal: Novelty,
    distance: Rank,
}

/// What of a value is known without the forest and the spectrum.
struct Known {
    novelty: f64,
    distance: f64,
    residual: f64,
    /// The most that each of the other ranks can be.
    most: f64,
}

/// What is said of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// From 0 to 1.
    pub score: f64,
    /// The mean of its time of day.
    pub expected: f64,
}

impl Default for Sieve {
    fn default() -> Self {
        Self {
            value: Novelty::default(),
            smooth: Mean::of(SMOOTHED),
            smoothed: Novelty::default(),
            season: Season::default(),
            smooth_seasonal: Mean::of(SMOOTHED_SEASONAL),
            smoothed_seasonal: Novelty::default(),
            distance: Rank::default(),
        }
    }
}

impl Sieve {
    /// No less than the score that [`OddBar`] gives this value.
    pub fn most(&mut self, at: i64, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let Known { novelty, distance, most, .. } = self.next(at, value);
        let rarity = most + distance + OF_SPECTRAL * most;
        // Sums are rounded.
        score(novelty.max(OF_RARITY * rarity)) + 1e-9
    }

    fn next(&mut self, at: i64, value: f64) -> Known {
        let residual = self.season.residual(at, value);
        let novelty = self.novelty(value, residual);
        let most = self.distance.most();
        Known { novelty, distance: self.distance.next(residual.abs()), residual, most }
    }

    fn novelty(&mut self, value: f64, residual: f64) -> f64 {
        let smooth = self.smooth.next(value);
        let smooth_seasonal = self.smooth_seasonal.next(residual);
        let of_smoothed = OF_SMOOTHED * self.smoothed.next(smooth);
        let of_seasonal = OF_SMOOTHED_SEASONAL * self.smoothed_seasonal.next(smooth_seasonal);
        self.value.next(value).max(of_smoothed).max(of_seasonal)
    }
}

fn score(raw: f64) -> f64 {
    raw / (raw + HALFWAY)
}

/// The sum that a score was made of.
#[must_use]
pub fn raw(score: f64) -> f64 {
    HALFWAY * score / (1.0 - score)
}

impl Default for OddBar {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl OddBar {
    /// One whose random cuts are drawn from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            sieve: Sieve::default(),
            forest: Forest::of(Growth { shingle: 4, ..Growth::default() }).seeded(seed),
            isolation: Rank::default(),
            spectral: SpectralResidual::default(),
            saliency: Rank::default(),
            episodes: Episodes::of(EPISODE),
        }
    }

    /// As [`BarDetector::score`], with what was to be expected.
    pub fn look(&mut self, at: i64, value: f64) -> Look {
        if !value.is_finite() {
            return Look { score: 0.0, expected: value };
        }
        let Known { novelty, distance, residual, .. } = self.sieve.next(at, value);
        let isolation = self.isolation.next(self.forest.score(value));
        let saliency = self.saliency.next(self.spectral.saliency(value));
        let rarity = isolation + distance + OF_SPECTRAL * saliency;
        let score = self.episodes.next(score(novelty.max(OF_RARITY * rarity)));
        Look { score, expected: value - residual }
    }
}

impl BarDetector for OddBar {
    const NAME: &'static str = "odd_bar";
    const VERSION: u32 = 1;

    fn score(&mut self, at: i64, value: f64) -> f64 {
        self.look(at, value).score
    }
}

/// The isolation forest alone, by the rank of its score.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IsolationAlone {
    forest: Forest,
    rank: Rank,
    episodes: Episodes,
}

impl Default for IsolationAlone {
    fn default() -> Self {
        let forest = Forest::of(Growth { shingle: 4, ..Growth::default() });
        Self { forest, rank: Rank::default(), episodes: Episodes::of(EPISODE) }
    }
}

impl BarDetector for IsolationAlone {
    const NAME: &'static str = "isolation_forest";
    const VERSION: u32 = 1;

    fn score(&mut self, _at: i64, value: f64) -> f64 {
        let rarity = self.rank.next(self.forest.score(value));
        self.episodes.next(rarity / (rarity + 1.0))
    }
}

/// The spectral residual alone, by the rank of its saliency.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpectralAlone {
    spectral: SpectralResidual,
    rank: Rank,
    episodes: Episodes,
}

impl Default for SpectralAlone {
    fn default() -> Self {
        Self { spectral: SpectralResidual::default(), rank: Rank::default(), episodes: Episodes::of(EPISODE) }
    }
}

impl BarDetector for SpectralAlone {
    const NAME: &'static str = "spectral_residual";
    const VERSION: u32 = 1;

    fn score(&mut self, _at: i64, value: f64) -> f64 {
        let rarity = self.rank.next(self.spectral.saliency(value));
        self.episodes.next(rarity / (rarity + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sieve_says_no_less_than_the_whole_detector(
            values in prop::collection::vec(-3.0..3.0_f64, 300..400), wild in prop::collection::vec(0..300_usize, 0..4),
        ) {
            let (mut sieve, mut whole) = (Sieve::default(), OddBar::default());
            for (number, value) in values.into_iter().enumerate() {
                let value = if wild.contains(&number) { 7.0 * value } else { value };
                let at = 3600 * number as i64;
                let (most, score) = (sieve.most(at, value), whole.score(at, value));
                prop_assert!(most >= score, "{number}: {most} {score}");
            }
        }
    }
}
