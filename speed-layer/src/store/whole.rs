//! A batch, or a part of one, in one transaction: tried until it is in, or until less is to be
//! tried.

use super::attempt::QueryOutcome;
use super::limits::TimeLimits;
use super::offsets::{Moved, WriteOutcome};
use super::table::Table;
use super::transaction::{self, WriteTask};
use super::tries::{Cause, CauseKind, Failures, SplitReason, Try, WholeOutcome};
use super::{Store, StoreError, TimeBudget, day_partitions, findings, offsets};
use crate::batch::Batch;
use crate::detection::{Detected, Detecting};
use crate::source::SourcePartition;
use common::Timestamp;
use service::telemetry::TRACED;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, info_span};

impl Store {
    /// Tries until the batch is in, or must be split.
    pub(super) async fn write_whole(
        &mut self,
        batch: &Batch,
        tries: u32,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<WholeOutcome, StoreError> {
        let is_probe = self.is_quarantined(batch);
        let missing = self.detection.as_ref().map_or(Vec::new(), |known| known.missing(batch));
        let (limits, is_full_try) = self.limits_of(batch, !missing.is_empty());
        let mut failures = Failures::none(tries, is_probe);
        // Once for all tries of the same.
        let detect = self.detect(batch, missing, &limits);
        let mut detecting = match detect.instrument(info_span!(target: TRACED, "detect")).await? {
            QueryOutcome::Answered(detecting) => detecting,
            QueryOutcome::Failed(cause) => {
                return Ok(WholeOutcome::MustBeSplit(SplitReason::NoDetectorState(cause)));
            }
        };
        loop {
            let begun = Instant::now();
            let mut at = Table::Days;
            let mut once = || meanwhile.take().into_iter().for_each(|meanwhile| meanwhile());
            let tried =
                self.try_to_write(batch, &limits, &mut detecting, &mut once, &mut at).await?;
            once();
            match tried {
                Try::Done(WriteOutcome::Written) => {
                    offsets::log_recorded(&batch.gaps, &self.shared);
                    self.note_recovered();
                    self.shared.metrics.written(batch, begun.elapsed(), Timestamp::now());
                    self.take_more(batch, begun.elapsed());
                    self.allow_full_try_now(is_full_try);
                    self.note_written(batch, detecting.into_detected());
                    return Ok(WholeOutcome::Written);
                }
                // The commit of an earlier try got through although its answer was lost.
                Try::Done(WriteOutcome::WrittenBefore) => {
                    self.note_recovered();
                    self.shared.metrics.written(batch, Duration::ZERO, Timestamp::now());
                    self.note_written(batch, detecting.into_detected());
                    return Ok(WholeOutcome::Written);
                }
                Try::Done(WriteOutcome::Fenced(moved)) => return Err(self.fenced(moved)),
                failed => {
                    let split = self.after_failure(failed, batch, at, &mut failures).await?;
                    if let Some(reason) = split {
                        if let Some(detection) = &mut self.detection {
                            detection.take_back(detecting);
                        }
                        return Ok(WholeOutcome::MustBeSplit(reason));
                    }
                }
            }
        }
    }

    /// One try: makes the days that are missing, and writes the batch. `at` is set to the table
    /// that is being written.
    async fn try_to_write(
        &mut self,
        batch: &Batch,
        limits: &TimeLimits,
        detecting: &mut Detecting<'_>,
        meanwhile: &mut impl FnMut(),
        at: &mut Table,
    ) -> Result<Try<WriteOutcome>, StoreError> {
        let made = self.make_days(&batch.days, limits).await?;
        if !matches!(made, Try::Done(())) {
            return Ok(made.without());
        }
        let rewinds = Arc::clone(&self.rewinds);
        let write = async |connection: &mut PgConnection| {
            let task = WriteTask { batch, rewinds: &rewinds, limits };
            transaction::write(connection, task, detecting, &mut *meanwhile, at).await
        };
        self.attempt(write).instrument(info_span!(target: TRACED, "transaction")).await
    }

    /// The time limits for this batch, and whether a slow partition now gets the full
    /// `--writer-timeout`. Without such a turn a message that needs longer than a short try would
    /// never be written. Where the detectors' states are to be read first, they may be what takes
    /// long.
    fn limits_of(&mut self, batch: &Batch, reads_states: bool) -> (Arc<TimeLimits>, bool) {
        if !self.is_quarantined(batch) {
            return match self.budget {
                TimeBudget::Shortest => (Arc::new(self.limits.shortest()), false),
                TimeBudget::Short => (Arc::new(self.limits.short()), false),
                TimeBudget::Full => (Arc::clone(&self.limits), false),
            };
        }
        let is_due = |at| {
            let slow =
                self.quarantined.get(&at).filter(|quarantine| quarantine.is_for(CauseKind::Slow));
            slow.is_some_and(|quarantine| self.is_full_try_due(quarantine.since))
        };
        let is_one = batch.messages == 1 || reads_states;
        if !is_one || !batch.ranges.iter().any(|range| is_due(range.at)) {
            return (Arc::new(self.limits.short_lock()), false);
        }
        (self.take_full_timeout(), true)
    }

    /// Decides what to do after a try that has failed at a table. `None`: the same is tried again,
    /// after a pause that is made here.
    async fn after_failure(
        &mut self,
        failed: Try<WriteOutcome>,
        batch: &Batch,
        at: Table,
        before: &mut Failures,
    ) -> Result<Option<SplitReason>, StoreError> {
        let is_more = batch.messages > 1;
        let (split, why) = match failed {
            Try::Locked(words) => {
                before.locked += 1;
                let is_apart =
                    before.is_probe || before.locked > 1 && self.are_tables_free().await?;
                (is_apart.then(|| SplitReason::Locked(words.clone())), words)
            }
            Try::Refused(words) | Try::Done(WriteOutcome::LeftOut(words))
                if at.is_of_messages() =>
            {
                before.refused += 1;
                if before.refused >= before.tries {
                    return Ok(Some(SplitReason::Refused(words)));
                }
                self.forget_day_partitions();
                return Ok(None);
            }
            Try::Refused(words) | Try::Done(WriteOutcome::LeftOut(words)) => {
                // The plan of a statement that a rule has made nothing of outlives the rule.
                self.connection = None;
                let why = format!("{} does not take what a batch needs: {words}", at.name());
                (before.note_failure().then(|| SplitReason::Failed(why.clone())), why)
            }
            Try::Broken(words) => {
                let is_apart = at != Table::Begin && before.note_failure();
                let why = format!("{}: {words}", self.shared.database.what("writing to"));
                (is_apart.then_some(SplitReason::Failed(words)), why)
            }
            // The way may be too slow for as much.
            Try::Unanswered(words) => {
                ((is_more && at.is_written()).then(|| SplitReason::TooMuch(words.clone())), words)
            }
            Try::TooMuch(words) if is_more && at != Table::Days => {
                (Some(SplitReason::TooMuch(words.clone())), words)
            }
            // Others wait, so it is not tried for as long once more.
            Try::TooMuch(words) => (Some(SplitReason::TooLong(words.clone())), words),
            Try::Cut(words) => {
                let is_apart = at.is_written() && before.note_cut();
                return Ok(is_apart.then_some(SplitReason::Failed(words)));
            }
            Try::Again | Try::Done(_) => return Ok(None),
        };
        if split.is_none() {
            self.pause_for(&why).await;
        }
        Ok(split)
    }

    fn fenced(&mut self, moved: Moved) -> StoreError {
        self.note_recovered();
        self.shared.metrics.fences.inc();
        let back = match moved.found == Some(moved.expected) {
            true => "; it was moved back in between",
            false => "",
        };
        StoreError::Fenced(format!(
            "another instance has moved {}: the stored offset is {}, expected {}{back}",
            self.name(moved.at),
            moved.found(),
            moved.expected
        ))
    }

    /// Begins the detectors' work on the batch, from the states after all that was committed before
    /// it.
    async fn detect<'a>(
        &mut self,
        batch: &'a Batch,
        missing: Vec<(SourcePartition, i64)>,
        limits: &Arc<TimeLimits>,
    ) -> Result<QueryOutcome<Detecting<'a>>, StoreError> {
        let is_quarantined = self.is_quarantined(batch);
        let limits = match is_quarantined || self.budget != TimeBudget::Full {
            true => Arc::clone(limits),
            false => Arc::new(self.limits.short()),
        };
        let tries = if is_quarantined { 1 } else { 2 };
        for (at, next) in missing {
            let read = async |connection: &mut PgConnection| {
                findings::read(connection, &limits, at).await.map(QueryOutcome::Answered)
            };
            let remembered = loop {
                match self.ask(tries, read).await? {
                    QueryOutcome::Answered(remembered) => break remembered,
                    QueryOutcome::Failed(Cause { words, kind })
                        if self.are_tables_free().await? =>
                    {
                        let words =
                            format!("what the detectors know of it cannot be read: {words}");
                        return Ok(QueryOutcome::Failed(Cause { words, kind }));
                    }
                    QueryOutcome::Failed(cause) => self.pause_for(&cause.words).await,
                }
            };
            if let Some(detection) = &mut self.detection {
                detection.restore(at, &self.shared.topic_name(at.source), next, remembered);
            }
        }
        let detection = self.detection.as_mut();
        Ok(QueryOutcome::Answered(
            detection.map_or_else(|| Detecting::disabled(batch), |known| known.detect(batch)),
        ))
    }

    async fn make_days(
        &mut self,
        days: &BTreeSet<Timestamp>,
        limits: &TimeLimits,
    ) -> Result<Try<()>, StoreError> {
        loop {
            let missing = self.days.missing(days);
            if missing.is_empty() {
                return Ok(Try::Done(()));
            }
            let make = async |connection: &mut PgConnection| {
                let mut transaction = limits.begin(connection).await?;
                day_partitions::make(&mut transaction, &missing).await?;
                transaction.commit().await
            };
            match self.attempt(make).await? {
                Try::Done(()) => self.days.note(missing),
                failed => return Ok(failed),
            }
        }
    }

    fn note_written(&mut self, batch: &Batch, detected: Detected) {
        self.shared.metrics.found(&detected.findings);
        if let Some(detection) = &mut self.detection {
            detection.adopt(detected);
        }
        for range in batch.ranges.iter() {
            self.written_offsets.insert(range.at, range.next);
        }
    }

    /// After a batch that had to be small was quick, the next ones may be larger.
    fn take_more(&mut self, batch: &Batch, took: Duration) {
        if batch.messages >= self.messages_at_once / 2 && took < self.limits.patience() / 4 {
            self.messages_at_once = self.messages_at_once.saturating_mul(2);
        }
    }
}
