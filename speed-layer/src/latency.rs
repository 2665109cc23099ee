//! [`LatencyHistogram`]: a Prometheus histogram that takes many equal observations at once.
//!
//! A batch's messages share few millisecond timestamps, and observing each message alone took a
//! twentieth of the process's time.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Seconds up to which a bucket counts, each 1.6 times the one before: 2 ms to 15 s, and everything
/// above.
const BOUNDS: usize = 20;
const FIRST: f64 = 0.002;
const FACTOR: f64 = 1.6;

#[derive(Debug, Default)]
struct LatencyState {
    sum: f64,
    count: u64,
    /// Observations by bucket, not added up.
    buckets: [u64; BOUNDS + 1],
}

/// Clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct LatencyHistogram(Arc<Mutex<LatencyState>>);

impl LatencyHistogram {
    /// Counts `messages` messages, each with this latency.
    pub fn observe(&self, latency: Duration, messages: u32) {
        let seconds = latency.as_secs_f64();
        let mut state = self.lock();
        state.sum += seconds * f64::from(messages);
        state.count += u64::from(messages);
        let bucket = bucket_bounds().take_while(|bound| seconds > *bound).count();
        state.buckets[bucket] += u64::from(messages);
    }

    fn lock(&self) -> MutexGuard<'_, LatencyState> {
        // Counters stay meaningful after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket_bounds() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(FIRST), |bound| Some(bound * FACTOR)).take(BOUNDS)
}

impl EncodeMetric for LatencyHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.lock();
        let bounds = bucket_bounds().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(state.buckets).collect();
        encoder.encode_histogram::<NoLabelSet>(state.sum, state.count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for LatencyHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn many_observations_at_once_count_each() {
        let histogram = LatencyHistogram::default();
        let mut registry = Registry::default();
        registry.register("latency", "Latency", histogram.clone());
        histogram.observe(Duration::from_millis(3), 10);
        histogram.observe(Duration::from_secs(60), 2);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "latency_sum 120.03",
            "latency_count 12",
            "latency_bucket{le=\"0.002\"} 0",
            "latency_bucket{le=\"+Inf\"} 12",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(text.contains("latency_bucket{le=\"0.0032\"} 10"), "{text}");
    }
}
