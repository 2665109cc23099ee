//! [`BarDetector`]: what each detector over the bars of a series is.

/// Scores the values of one series in the order of their times.
pub trait BarDetector {
    /// The name next to its findings.
    const NAME: &'static str;
    /// Changes with what is found.
    const VERSION: u32;

    /// How odd `value` is, from 0 to 1. `at` are seconds since 1970, and never less than before.
    fn score(&mut self, at: i64, value: f64) -> f64;
}
