//! Detectors over the bars of one series (volumes, ranges, returns), each value judged by those
//! before it.
//!
//! Price levels wander into new territory by nature: give returns or ranges instead.

pub mod forest;
pub mod gaussian;
pub mod history;
pub mod hours;
pub(crate) mod math;
pub mod odd;
pub mod spectral;

pub use gaussian::WindowedGaussian;
pub use odd::{IsolationAlone, OddBar, SpectralAlone};

/// Scores the values of one series in the order of their times.
pub trait BarDetector {
    /// Stands beside its findings.
    const NAME: &'static str;
    /// Changes with what is found.
    const VERSION: u32;

    /// How odd `value` is, from 0 to 1. `at` are seconds since 1970, and never less than before.
    fn score(&mut self, at: i64, value: f64) -> f64;
}
