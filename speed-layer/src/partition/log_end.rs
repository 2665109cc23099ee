//! [`LogEnd`]: whether Kafka's log may have been truncated before the offset that comes next.

use crate::handover::SeenEnd;
use std::time::Instant;

/// The known end of a partition's log.
#[derive(Debug)]
pub struct LogEnd {
    /// The next offset when it was begun, or had no leader, until Kafka has said whether its log
    /// ends before that. `None`: nothing is to be checked.
    pub(super) unchecked_start: Option<i64>,
    /// Answers to what Kafka was asked before this time say nothing about this offset, or about the
    /// refused one.
    pub(super) ignore_answers_before: Instant,
    /// Where Kafka's log ended when that was seen to be before the refused offset: what has come
    /// since is other messages, also where the offsets agree again.
    pub truncated_end: Option<i64>,
    /// The lowest end of Kafka's log that was seen before it was known where to begin, or when it
    /// was truncated.
    pub earliest_end: Option<SeenEnd>,
    /// The `earliest_end` that the store was given when it was last asked.
    pub(super) end_sent_to_store: Option<SeenEnd>,
}

impl LogEnd {
    /// An end of which nothing is known: Kafka was asked nothing before `now`.
    pub(super) fn unknown(now: Instant) -> Self {
        Self {
            unchecked_start: None,
            ignore_answers_before: now,
            truncated_end: None,
            earliest_end: None,
            end_sent_to_store: None,
        }
    }

    /// Forgets the end that was known when another offset came next. Kafka's answers to earlier
    /// questions still count for nothing.
    pub(super) fn forget(&mut self) {
        *self = Self::unknown(self.ignore_answers_before);
    }

    /// Kafka is to say whether its log ends before `next`.
    pub(super) fn begin_start_check(&mut self, next: i64, now: Instant) {
        self.unchecked_start = Some(next).filter(|next| *next > 0);
        self.ignore_answers_before = now;
    }

    /// Kafka's log ended there, before the refused offset.
    pub(super) fn note_truncated(&mut self, end: i64) {
        self.truncated_end = Some(self.truncated_end.map_or(end, |before| before.min(end)));
    }

    /// Kafka's log ended there when Kafka was asked.
    pub(super) fn note_seen(&mut self, offset: i64, asked: Instant) {
        if self.earliest_end.is_none_or(|seen| offset < seen.offset) {
            self.earliest_end = Some(SeenEnd { offset, asked });
        }
    }

    /// Whether the log may have been truncated before `next`, which the store could not know: it
    /// was not told so about that offset.
    pub(super) fn is_cut_before(&self, next: i64, refused: Option<i64>) -> bool {
        let is_refused = self.truncated_end.is_some_and(|end| end < next)
            && refused.is_some_and(|refused| refused >= next);
        let is_seen = self.earliest_end.is_some_and(|seen| seen.offset < next);
        is_refused || is_seen && self.earliest_end != self.end_sent_to_store
    }
}
