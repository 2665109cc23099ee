//! The bars' detector: several views of a series, each by what it has not seen before, and one
//! score.

use super::detector::BarDetector;
use super::forest::{Forest, Growth};
use super::history::{Episodes, Mean, Novelty, Rank, Season};
use super::spectral::SpectralResidual;
use serde::{Deserialize, Serialize};

/// Number of values that are smoothed together.
const SMOOTHED: usize = 20;
const SMOOTHED_SEASONAL: usize = 10;
/// The weight of the smoothed values' novelty, that of the values themselves being 1.
const OF_SMOOTHED: f64 = 0.3;
const OF_SMOOTHED_SEASONAL: f64 = 0.2;
/// The weight of the spectral residual's rank, the others' being 1.
const OF_SPECTRAL: f64 = 0.5;
/// The weight of a power of ten of rarity, a whole range of novelty being 1.
const OF_RARITY: f64 = 0.003;
/// The sum that is halfway between usual and odd.
const HALFWAY: f64 = 0.02;
/// Number of values of an episode: within it only a value that is odder than before is reported.
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

/// The part of [`OddBar`] that costs next to nothing: novelty, and the distance from the time of
/// day.
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

/// The measures of a value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// How far it lies outside everything seen, in widths of that.
    pub novelty: f64,
    /// How rare it is among the last ones: the powers of ten of three ranks.
    pub rarity: f64,
    /// The rarity of the distance from its time of day alone.
    pub distance: f64,
    /// How far it lies from the mean of its time of day.
    pub residual: f64,
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
    /// Looks at a finite value; its rarity is that of its distance.
    pub fn look(&mut self, at: i64, value: f64) -> Look {
        let residual = self.season.residual(at, value);
        let novelty = self.novelty(value, residual);
        let distance = self.distance.next(residual.abs());
        Look { novelty, rarity: distance, distance, residual }
    }

    fn novelty(&mut self, value: f64, residual: f64) -> f64 {
        let smooth = self.smooth.next(value);
        let smooth_seasonal = self.smooth_seasonal.next(residual);
        let of_smoothed = OF_SMOOTHED * self.smoothed.next(smooth);
        let of_seasonal = OF_SMOOTHED_SEASONAL * self.smoothed_seasonal.next(smooth_seasonal);
        self.value.next(value).max(of_smoothed).max(of_seasonal)
    }
}

impl Default for OddBar {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl OddBar {
    /// A forest whose random cuts are drawn from `seed`.
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

    /// The measures of a finite value, the next one of its series.
    pub fn look(&mut self, at: i64, value: f64) -> Look {
        let look = self.sieve.look(at, value);
        let isolation = self.isolation.next(self.forest.score(value));
        let saliency = self.saliency.next(self.spectral.saliency(value));
        Look { rarity: isolation + look.distance + OF_SPECTRAL * saliency, ..look }
    }
}

impl BarDetector for OddBar {
    const NAME: &'static str = "odd_bar";
    const VERSION: u32 = 1;

    fn score(&mut self, at: i64, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let Look { novelty, rarity, .. } = self.look(at, value);
        let raw = novelty.max(OF_RARITY * rarity);
        self.episodes.next(raw / (raw + HALFWAY))
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
        Self {
            spectral: SpectralResidual::default(),
            rank: Rank::default(),
            episodes: Episodes::of(EPISODE),
        }
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
