//! Stopping on SIGTERM and SIGINT.

use anyhow::Context;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `timeout` and shells signal a process and its group: within so long that is one signal.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// A token that is cancelled at the first SIGTERM or SIGINT. A second one ends the process at once,
/// for a person who does not want to wait.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn token() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut stopped_at: Option<Instant> = None;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if is_same_signal(stopped_at, Instant::now()) {
                continue;
            }
            if cancelled.is_cancelled() {
                tracing::warn!(signal = name, "{name} again: ending at once");
                std::process::exit(130);
            }
            tracing::info!(signal = name, "{name}: stopping");
            cancelled.cancel();
            stopped_at = Some(Instant::now());
        }
    });
    Ok(token)
}

/// `stopped_at`: when the first one came.
fn is_same_signal(stopped_at: Option<Instant>, now: Instant) -> bool {
    stopped_at.is_some_and(|at| now.saturating_duration_since(at) < SAME_SIGNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_to_a_process_and_its_group_is_one_and_a_persons_second_one_is_not() {
        let at = Instant::now();
        let behind = |millis| is_same_signal(Some(at), at + Duration::from_millis(millis));
        assert_eq!([behind(0), behind(99), behind(100)], [true, true, false]);
        assert!(!is_same_signal(None, at), "the first one");
    }
}
