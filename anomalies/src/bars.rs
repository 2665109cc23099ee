//! Detectors over the bars of one series (volumes, ranges, returns), each value judged by those
//! before it.
//!
//! Price levels wander into new territory by nature: give returns or ranges instead.

mod detector;
pub mod forest;
pub mod gaussian;
pub mod history;
pub mod hours;
pub(crate) mod math;
pub mod odd;
pub mod spectral;

pub use detector::BarDetector;
pub use gaussian::WindowedGaussian;
pub use odd::{IsolationAlone, OddBar, SpectralAlone};
