//! Spectral residual (Ren et al. 2019, "Time-Series Anomaly Detection Service at Microsoft"):
//! deviations of the last values' spectrum from its own smooth course draw the eye.

use super::math::fourier;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Values that are looked at together; a power of two.
const WINDOW: usize = 128;
/// Neighbours that a logarithmic amplitude is compared with.
const NEIGHBOURS: usize = 3;
/// Number of values that are guessed after the last one, since saliency is seen in the middle
/// better than at the edge.
const GUESSED: usize = 5;
/// Values before the last that its saliency is compared with.
const COMPARED: usize = 40;

/// Saliency of the newest value against that of those before it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpectralResidual {
    #[serde(with = "crate::exact::many")]
    window: VecDeque<f64>,
}

impl SpectralResidual {
    /// 0 for a value like those before it; 3 and more for a salient one.
    pub fn saliency(&mut self, value: f64) -> f64 {
        self.window.push_back(value);
        if self.window.len() <= WINDOW - GUESSED {
            return 0.0;
        }
        self.window.pop_front();
        let map = saliency_map(self.window.iter().copied());
        let last = self.window.len() - 1;
        let before = &map[last - COMPARED..last];
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        if mean > 0.0 { ((map[last] - mean) / mean).max(0.0) } else { 0.0 }
    }
}

fn saliency_map(values: impl ExactSizeIterator<Item = f64> + Clone) -> Vec<f64> {
    let count = values.len();
    let mut real: Vec<f64> = values.collect();
    // The mean slope of the values before the newest, carried on: with the newest, an outlier would
    // be continued.
    let known = &real[..count - 1];
    let last = known[known.len() - 1];
    let slopes = (1..=GUESSED).map(|back| (last - known[known.len() - 1 - back]) / back as f64);
    let guess = known[known.len() - GUESSED] + slopes.sum::<f64>();
    real.resize(WINDOW, guess);
    let mut imaginary = vec![0.0; WINDOW];
    fourier(&mut real, &mut imaginary, false);
    let amplitudes: Vec<f64> = real.iter().zip(&imaginary).map(|(a, b)| a.hypot(*b)).collect();
    let logs: Vec<f64> = amplitudes.iter().map(|amplitude| amplitude.max(1e-8).ln()).collect();
    for index in 0..WINDOW {
        let from = (index + 1).saturating_sub(NEIGHBOURS);
        let smooth = logs[from..=index].iter().sum::<f64>() / (index + 1 - from) as f64;
        let factor = if amplitudes[index] > 1e-8 {
            (logs[index] - smooth).exp() / amplitudes[index]
        } else {
            0.0
        };
        real[index] *= factor;
        imaginary[index] *= factor;
    }
    fourier(&mut real, &mut imaginary, true);
    real.iter().zip(&imaginary).map(|(a, b)| a.hypot(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_value_off_a_wave_is_salient() {
        let mut residual = SpectralResidual::default();
        let mut random = Random::of(1);
        let mut wave = |index: usize| (index as f64 / 5.0).sin() + 0.1 * random.normal();
        let usual = (0..400).map(|index| residual.saliency(wave(index))).fold(0.0, f64::max);
        let off = residual.saliency(4.0);
        assert!(off > 1.5 * usual, "{off} {usual}");
    }
}
