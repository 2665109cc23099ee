//! [`StallLog`]: what people are told of a partition's stalls, each of them once.

use std::time::{Duration, Instant};

/// A stall is over once the partition was read for so long: one that is written in small parts
/// stalls again after each of them.
pub(super) const RECOVERED_AFTER: Duration = Duration::from_secs(3);

/// The logged stalls of a partition, and why it is stalled.
#[derive(Debug, Default)]
pub(super) struct StallLog {
    /// Why the store, when it was last asked, did not say where to begin.
    pub(super) start_failure: Option<String>,
    /// The gap that a person must decide about.
    pub(super) gap: Option<String>,
    /// Whether its present trouble was logged.
    pub(super) is_trouble_logged: bool,
    /// The last stall that was logged, until its end is logged as well.
    logged: Option<LoggedStall>,
}

/// A stall that was logged, and whose end was not yet.
#[derive(Debug)]
struct LoggedStall {
    since: Instant,
    /// The offset that was to be read next when it began.
    next: i64,
    /// The stall's reason, without the numbers in it.
    why: String,
    /// Since when the partition is read again. `None`: it is not.
    over_since: Option<Instant>,
}

impl StallLog {
    /// Notes the partition's trouble, with its next offset. Returns whether to log it.
    pub(super) fn note_trouble(&mut self, trouble: &str, next: i64, now: Instant) -> bool {
        let was_logged = std::mem::replace(&mut self.is_trouble_logged, true);
        if let Some(stall) = &mut self.logged {
            stall.over_since = None;
        }
        if was_logged {
            return false;
        }
        let why: String = trouble.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if let Some(stall) = &mut self.logged {
            let is_other = stall.why != why;
            stall.why = why;
            return is_other;
        }
        self.logged = Some(LoggedStall { since: now, next, why, over_since: None });
        true
    }

    /// How long the stall lasted, once the partition, which `is_reading` and has come to `next`,
    /// has been read again for a while.
    pub(super) fn take_recovery(
        &mut self,
        is_reading: bool,
        next: i64,
        now: Instant,
    ) -> Option<Duration> {
        let stall = self.logged.as_mut()?;
        if !(is_reading && (!self.is_trouble_logged || next > stall.next)) {
            stall.over_since = None;
            return None;
        }
        let over = *stall.over_since.get_or_insert(now);
        if now.saturating_duration_since(over) < RECOVERED_AFTER {
            return None;
        }
        self.is_trouble_logged = false;
        self.logged.take().map(|stall| over.saturating_duration_since(stall.since))
    }
}
