//! Sending in real time.

use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The longest sleep at a stretch, so that a signal is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// Ties the market's time to the clock: `origin` is now.
pub struct Pacer {
    started: Instant,
    origin: i64,
}

impl Pacer {
    /// `origin` is in microseconds of the epoch.
    pub fn new(origin: i64) -> Self {
        Self { started: Instant::now(), origin }
    }

    /// Sleeps until `time`, in microseconds of the epoch, has come, calling `meanwhile` now and
    /// then; or until `shutdown`.
    pub fn wait(&self, time: i64, shutdown: &CancellationToken, meanwhile: impl Fn()) {
        let after = Duration::from_micros((time - self.origin).max(0).cast_unsigned());
        while !shutdown.is_cancelled() {
            let left = after.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return;
            }
            meanwhile();
            std::thread::sleep(left.min(SLICE));
        }
    }
}
