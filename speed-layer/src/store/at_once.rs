//! A batch, or a part of one, in one transaction: tried until it is in, or until less is to be
//! tried.

use super::attempt::Asked;
use super::limits::Limits;
use super::offsets::{Moved, Outcome};
use super::table::Table;
use super::tries::{Failures, Kind, Smaller, Try, Why};
use super::{Haste, Store, StoreError, day_partitions, findings, transaction};
use crate::batch::Batch;
use crate::detection::{Judged, Judging};
use crate::source::SourcePartition;
use common::Timestamp;
use service::telemetry::TRACED;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, info_span};

impl Store {
    /// `None` once it is in.
    pub(super) async fn write_at_once(
        &mut self,
        batch: &Batch,
        tries: u32,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Option<Smaller>, StoreError> {
        let is_on_trial = self.is_held(batch);
        let missing = self.detection.as_ref().map_or(Vec::new(), |known| known.missing(batch));
        let (limits, is_whole_try) = self.limits_of(batch, !missing.is_empty());
        let mut failures = Failures::none(tries, is_on_trial);
        // Once for all tries of the same.
        let judge = self.judge(batch, missing, &limits);
        let mut judging = match judge.instrument(info_span!(target: TRACED, "judge")).await? {
            Asked::Answered(judging) => judging,
            Asked::NotTaken(why) => return Ok(Some(Smaller::NotJudged(why))),
        };
        loop {
            let begun = Instant::now();
            let mut at = Table::Days;
            let mut once = || meanwhile.take().into_iter().for_each(|meanwhile| meanwhile());
            let tried = match self.make_days(&batch.days, &limits).await? {
                Try::Done(()) => {
                    let rewinds = Arc::clone(&self.rewinds);
                    let write = async |connection: &mut PgConnection| {
                        let (work, at) = ((batch, &*rewinds), &mut at);
                        transaction::write(connection, &limits, work, &mut judging, &mut once, at)
                            .await
                    };
                    let span = info_span!(target: TRACED, "transaction");
                    self.attempt(write).instrument(span).await?
                }
                failed => failed.without(),
            };
            once();
            match tried {
                Try::Done(Outcome::Written) => {
                    self.works();
                    self.shared.metrics.written(batch, begun.elapsed(), Timestamp::now());
                    self.take_more(batch, begun.elapsed());
                    self.give_whole_try_to_next(is_whole_try);
                    self.note_reached(batch, judging.into_judged());
                    return Ok(None);
                }
                // The commit of an earlier try got through although its answer was lost.
                Try::Done(Outcome::WrittenBefore) => {
                    self.works();
                    self.shared.metrics.written(batch, Duration::ZERO, Timestamp::now());
                    self.note_reached(batch, judging.into_judged());
                    return Ok(None);
                }
                Try::Done(Outcome::Fenced(moved)) => return Err(self.fenced(moved)),
                failed => {
                    let smaller = self.weigh(failed, (batch, at), &mut failures).await?;
                    if smaller.is_some() {
                        if let Some(detection) = &mut self.detection {
                            detection.take_back(judging);
                        }
                        return Ok(smaller);
                    }
                }
            }
        }
    }

    /// For how long a batch is tried, and whether it is one of those that are held for their time and
    /// are given the whole of it this once: what takes longer than a brief try stood for ever. Where
    /// the detectors' states are to be read first, these may be what takes long.
    fn limits_of(&mut self, batch: &Batch, reads_states: bool) -> (Arc<Limits>, bool) {
        if !self.is_held(batch) {
            return match self.haste {
                Haste::Glance => (Arc::new(self.limits.glance()), false),
                Haste::Quick => (Arc::new(self.limits.quick()), false),
                Haste::None => (Arc::clone(&self.limits), false),
            };
        }
        let is_due = |at| {
            let aside = self.aside.get(&at).filter(|aside| aside.is_for(Kind::Slow));
            aside.is_some_and(|aside| self.is_whole_try_due(aside.since))
        };
        let is_one = batch.messages == 1 || reads_states;
        if !is_one || !batch.ranges.iter().any(|range| is_due(range.at)) {
            return (Arc::new(self.limits.brief()), false);
        }
        (self.take_whole_try(), true)
    }

    /// What follows from a try that has failed at a table: `None` where the same is tried again,
    /// which is waited for here.
    async fn weigh(
        &mut self,
        failed: Try<Outcome>,
        (batch, at): (&Batch, Table),
        before: &mut Failures,
    ) -> Result<Option<Smaller>, StoreError> {
        let is_more = batch.messages > 1;
        let (smaller, why) = match failed {
            Try::Locked(words) => {
                before.locked += 1;
                let is_apart =
                    before.is_on_trial || before.locked > 1 && self.are_tables_free().await?;
                (is_apart.then(|| Smaller::Locked(words.clone())), words)
            }
            Try::Refused(words) | Try::Done(Outcome::LeftOut(words)) if at.is_of_messages() => {
                before.refused += 1;
                if before.refused >= before.tries {
                    return Ok(Some(Smaller::Refused(words)));
                }
                self.forget();
                return Ok(None);
            }
            Try::Refused(words) | Try::Done(Outcome::LeftOut(words)) => {
                // The plan of a statement that a rule has made nothing of outlives the rule.
                self.connection = None;
                let why = format!("{} does not take what a batch needs: {words}", at.name());
                (before.is_enough().then(|| Smaller::NotTaken(why.clone())), why)
            }
            Try::Broken(words) => {
                let is_apart = at != Table::Begin && before.is_enough();
                let why = format!("{}: {words}", self.shared.database.what("writing to"));
                (is_apart.then_some(Smaller::NotTaken(words)), why)
            }
            // The way may be too slow for as much.
            Try::Unanswered(words) => {
                ((is_more && at.is_written()).then(|| Smaller::TooMuch(words.clone())), words)
            }
            Try::TooMuch(words) if is_more && at != Table::Days => {
                (Some(Smaller::TooMuch(words.clone())), words)
            }
            // Others wait, so it is not tried for as long once more.
            Try::TooMuch(words) => (Some(Smaller::TooLong(words.clone())), words),
            Try::Cut(words) => {
                let is_apart = at.is_written() && before.are_cuts_enough();
                return Ok(is_apart.then_some(Smaller::NotTaken(words)));
            }
            Try::Again | Try::Done(_) => return Ok(None),
        };
        if smaller.is_none() {
            self.pause_for(&why).await;
        }
        Ok(smaller)
    }

    fn fenced(&mut self, moved: Moved) -> StoreError {
        self.works();
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

    /// What the detectors will say of the batch, by states that are those of all that was committed
    /// before it.
    async fn judge<'a>(
        &mut self,
        batch: &'a Batch,
        missing: Vec<(SourcePartition, i64)>,
        limits: &Arc<Limits>,
    ) -> Result<Asked<Judging<'a>>, StoreError> {
        let is_held = self.is_held(batch);
        let limits = match is_held || self.haste != Haste::None {
            true => Arc::clone(limits),
            false => Arc::new(self.limits.quick()),
        };
        let tries = if is_held { 1 } else { 2 };
        for (at, next) in missing {
            let read = async |connection: &mut PgConnection| {
                findings::read(connection, &limits, at).await.map(Asked::Answered)
            };
            let remembered = loop {
                match self.ask(tries, read).await? {
                    Asked::Answered(remembered) => break remembered,
                    Asked::NotTaken(Why { words, kind }) if self.are_tables_free().await? => {
                        let words =
                            format!("what the detectors know of it cannot be read: {words}");
                        return Ok(Asked::NotTaken(Why { words, kind }));
                    }
                    Asked::NotTaken(why) => self.pause_for(&why.words).await,
                }
            };
            if let Some(detection) = &mut self.detection {
                detection.restore(at, next, remembered);
            }
        }
        let detection = self.detection.as_mut();
        Ok(Asked::Answered(
            detection.map_or_else(|| Judging::nothing(batch), |known| known.judge(batch)),
        ))
    }

    async fn make_days(
        &mut self,
        days: &BTreeSet<Timestamp>,
        limits: &Limits,
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

    fn note_reached(&mut self, batch: &Batch, judged: Judged) {
        self.shared.metrics.found(&judged.findings);
        if let Some(detection) = &mut self.detection {
            detection.adopt(judged);
        }
        for range in batch.ranges.iter() {
            self.reached.insert(range.at, range.next);
        }
    }

    /// After a batch that had to be small was quick, the next ones may be larger.
    fn take_more(&mut self, batch: &Batch, took: Duration) {
        if batch.messages >= self.messages_at_once / 2 && took < self.limits.patience() / 4 {
            self.messages_at_once = self.messages_at_once.saturating_mul(2);
        }
    }
}
