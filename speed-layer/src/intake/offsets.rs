//! Kafka's copy of the offsets, which is for monitors.

use super::Intake;
use crate::kafka::{self, Reports};
use rdkafka::consumer::Consumer as _;
use std::time::{Duration, Instant};

/// How often Kafka is told the offsets; monitors need no more.
const ADVISORY_COMMIT: Duration = Duration::from_secs(1);
/// Without an answer for so long it is told once more: longer than Kafka's client goes on trying.
const ANSWER_LOST: Duration = Duration::from_secs(70);
/// How long the group's coordinator may take to hear of the last offsets.
const FINAL_COMMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long it is left alone where it did not take them.
const FINAL_COMMIT_RETRY: Duration = Duration::from_millis(50);

impl Intake {
    pub(super) fn report_offsets_if_due(&mut self) {
        if self.committed.elapsed() >= ADVISORY_COMMIT {
            self.report_offsets();
        }
    }

    /// Kafka's copy of the offsets is for monitors; nothing is read from it, so a failure costs
    /// nothing but another try. One commit is under way at a time: of two the older might arrive
    /// last.
    pub(super) fn report_offsets(&mut self) {
        self.committed = Instant::now();
        if self.committing.is_some_and(|since| since.elapsed() < ANSWER_LOST) {
            return;
        }
        let sent = self.assignment.unacknowledged().and_then(|offsets| match offsets.count() {
            0 => Ok(None),
            _ => kafka::commit(&self.consumer, &offsets).map(|()| Some(Instant::now())),
        });
        self.committing = sent.unwrap_or_else(|error| {
            tracing::debug!("telling Kafka the offsets: {error}");
            None
        });
    }

    pub(super) fn note_commit_results(&mut self, reports: &Reports) {
        if reports.has_answered {
            self.committing = None;
        }
        reports
            .acknowledged
            .iter()
            .for_each(|(at, offset)| self.assignment.acknowledged(at, *offset));
    }

    /// Monitors should not show a lag for ever because the group was rebalancing at the wrong
    /// moment.
    pub(super) fn report_last_offsets(&mut self) {
        let deadline = Instant::now() + FINAL_COMMIT_TIMEOUT;
        self.report_offsets();
        while self.committing.is_some() && Instant::now() < deadline {
            // Serves the answer; whatever else comes is nothing to us any more.
            let _ = self.consumer.poll(Duration::from_millis(20));
            let reports = self.consumer.context().take_reports();
            self.note_commit_results(&reports);
            if self.committing.is_none() {
                if reports.acknowledged.is_empty() {
                    std::thread::sleep(FINAL_COMMIT_RETRY);
                }
                self.report_offsets();
            }
        }
    }
}
