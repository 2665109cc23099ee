//! [`Outage`]: said once when it begins and once when it ends, however many tries lie between.

use crate::Shared;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use common::failure::one_line;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Short, so that work goes on within five seconds of recovery (jitter may double it); a try costs the other side next
/// to nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);

/// Failures in a row of one thing that is tried again and again.
pub struct Outage {
    target: &'static str,
    since: Option<Instant>,
    pauses: ExponentialBackoff,
}

impl Outage {
    pub fn new(target: &'static str) -> Self {
        Self { target, since: None, pauses: pauses() }
    }

    /// Notes a failure, and waits before the next try: exponentially longer, with jitter. Ends early on shutdown.
    pub async fn failed(&mut self, shared: &Shared, error: &impl Display) {
        shared.metrics.retries(self.target).inc();
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!("{}: {}; trying again until it works", self.target, one_line(error));
        }
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.stop.cancelled() => {}
        }
    }

    /// Notes that it works.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!("{}: works again after {:.1} s", self.target, since.elapsed().as_secs_f64());
            self.pauses = pauses();
        }
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
