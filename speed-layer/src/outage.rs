//! [`Outage`]: logged when it begins, when its reason changes, and when it ends, however many tries
//! lie between.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use prometheus_client::metrics::counter::Counter;
use service::failure::one_line;
use std::collections::HashSet;
use std::fmt::Display;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Short, so that work goes on within five seconds of recovery (jitter may double it); a try costs
/// the other side next to nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// Reasons that one outage may give: beyond that they tell nothing new.
const MOST_REASONS: usize = 8;

/// Failures in a row of one thing that is tried again and again.
pub struct Outage {
    target: &'static str,
    /// Counts the failures.
    retries: Counter,
    stop: CancellationToken,
    since: Option<Instant>,
    /// Failures since it worked.
    attempt: u32,
    /// Reasons that were logged, without the numbers in them, which are ports and times.
    logged: HashSet<String>,
    pauses: ExponentialBackoff,
}

impl Outage {
    /// A `stop` ends a pause.
    pub fn new(target: &'static str, retries: Counter, stop: CancellationToken) -> Self {
        Self {
            target,
            retries,
            stop,
            since: None,
            attempt: 0,
            logged: HashSet::new(),
            pauses: pauses(),
        }
    }

    /// Notes a failure; gives how long to wait before the next try: exponentially longer, with
    /// jitter.
    pub fn note(&mut self, error: &impl Display) -> Duration {
        self.retries.inc();
        self.attempt += 1;
        let error = one_line(error);
        if let Some(text) = self.change_to_log(&error, "trying again until it works") {
            tracing::warn!(service = self.target, error, attempt = self.attempt, "{text}");
        }
        self.pauses.next().unwrap_or(LONGEST_PAUSE)
    }

    /// Notes a failure, and waits before the next try. Ends early on shutdown.
    pub async fn failed(&mut self, error: &impl Display) {
        let pause = self.note(error);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Notes that a try takes long, and may still come to a good end.
    pub fn waits(&mut self, why: &impl Display) {
        let error = one_line(why);
        if let Some(text) = self.change_to_log(&error, "waiting") {
            tracing::warn!(service = self.target, error, attempt = self.attempt, "{text}");
        }
    }

    /// Notes that it works.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let (target, seconds) = (self.target, since.elapsed().as_secs_f64());
            tracing::info!(
                service = target,
                seconds,
                attempt = self.attempt,
                "{target}: works again after {seconds:.1} s"
            );
            self.attempt = 0;
            self.logged.clear();
            self.pauses = pauses();
        }
    }

    /// The text to log about this reason. `None` where it was logged already.
    fn change_to_log(&mut self, reason: &str, what_is_done: &str) -> Option<String> {
        let is_first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        let kind: String = reason.chars().filter(|character| !character.is_ascii_digit()).collect();
        if self.logged.len() >= MOST_REASONS || !self.logged.insert(kind) {
            return None;
        }
        let target = self.target;
        Some(match is_first {
            true => format!("{target}: {reason}; {what_is_done}"),
            false => format!("{target}: does not work yet, now because: {reason}"),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_once_and_another_one_when_it_comes() {
        let mut outage = Outage::new("PostgreSQL", Counter::default(), CancellationToken::new());
        let mut logged = |reason| outage.change_to_log(reason, "trying again");
        assert_eq!(
            logged("reset by 1.2.3.4:567").as_deref(),
            Some("PostgreSQL: reset by 1.2.3.4:567; trying again")
        );
        assert_eq!(logged("reset by 1.2.3.4:589"), None);
        let full = logged("no space left").unwrap();
        assert!(full.contains("now because: no space left"), "{full}");
        assert_eq!(logged("reset by 1.2.3.4:567"), None);
        outage.over();
        assert!(outage.change_to_log("no space left", "trying again").is_some());
    }
}
