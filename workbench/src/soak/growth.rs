//! Whether anything grows: the last quarter of the time against the second one. The first is
//! warming up.

use super::sample::Sample;
use crate::figures;
use serde::Serialize;

/// A figure that must not grow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    pub what: &'static str,
    /// Median of the second quarter.
    pub early: f64,
    /// Median of the last quarter.
    pub late: f64,
    /// The most that `late` may be.
    pub allowed: f64,
}

impl Growth {
    pub fn is_ok(&self) -> bool {
        self.late <= self.allowed
    }
}

/// `rate` in messages a second: two seconds of it may be on their way.
pub fn growths(samples: &[Sample], rate: f64) -> Vec<Growth> {
    let quarter = samples.len() / 4;
    let (early, late) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    let growth = |what, of: fn(&Sample) -> f64, allowed: fn(f64) -> f64| {
        let early = median(early, of);
        Growth { what, early, late: median(late, of), allowed: allowed(early) }
    };
    let mut growths = vec![
        growth("memory_mb", |sample| sample.memory_mb, |early| early * 1.05 + 1.0),
        growth("handles", |sample| sample.handles as f64, |early| early),
        growth("threads", |sample| sample.threads as f64, |early| early),
        growth("connections", |sample| sample.connections as f64, |early| early),
        growth("p50_ms", |sample| sample.p50_ms, |early| early * 1.5 + 10.0),
    ];
    let (early, late) =
        (median(early, |sample| sample.lag as f64), median(late, |sample| sample.lag as f64));
    growths.push(Growth { what: "lag", early, late, allowed: 2.0 * rate });
    growths
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let values: Vec<f64> = samples.iter().map(of).filter(|value| value.is_finite()).collect();
    figures::median(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory: impl Fn(f64) -> f64, handles: impl Fn(f64) -> u64) -> Vec<Sample> {
        let sample = |number: u32| {
            let seconds = f64::from(number) * 10.0;
            let (memory_mb, handles) = (memory(seconds), handles(seconds));
            let (lag, written) = (100, 0);
            Sample {
                seconds,
                memory_mb,
                handles,
                threads: 7,
                connections: 2,
                lag,
                written,
                p50_ms: 20.0,
                p99_ms: 40.0,
            }
        };
        (0..360).map(sample).collect()
    }

    fn growing(samples: &[Sample]) -> Vec<&'static str> {
        growths(samples, 1000.0)
            .iter()
            .filter(|growth| !growth.is_ok())
            .map(|growth| growth.what)
            .collect()
    }

    #[test]
    fn what_goes_up_and_down_does_not_grow() {
        assert!(growing(&samples(|seconds| 40.0 + (seconds / 60.0).sin(), |_| 30)).is_empty());
    }

    #[test]
    fn a_slow_leak_is_found_in_an_hour() {
        // Two kilobytes a second.
        assert_eq!(growing(&samples(|seconds| 40.0 + seconds * 0.002, |_| 30)), ["memory_mb"]);
        assert_eq!(
            growing(&samples(|_| 40.0, |seconds| 30 + (seconds / 1000.0) as u64)),
            ["handles"]
        );
    }

    #[test]
    fn warming_up_is_not_growth() {
        assert!(
            growing(&samples(|seconds| if seconds < 600.0 { 20.0 } else { 45.0 }, |_| 30))
                .is_empty()
        );
    }
}
