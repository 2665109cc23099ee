//! Writing a batch, and taking it apart until what PostgreSQL does not take is alone in its part.

use super::tries::{Cause, CauseKind, SplitReason, WholeOutcome};
use super::{Quarantine, QuarantineState, Store, StoreError, TimeBudget};
use crate::batch::{Batch, Range};
use crate::handover::{HELD_BACK_RETRY, HeldBackPartition};
use crate::source::SourcePartition;
use common::Timestamp;
use std::time::{Duration, Instant};

/// Minimum interval between log lines about refused messages.
const REFUSED_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Time limit for splitting partitions while others wait.
const SPLIT_TIME: Duration = Duration::from_secs(1);
/// The limit if no others are known to wait: some may come, or these may be revoked.
const SPLIT_TIME_ALONE: Duration = Duration::from_secs(10);
/// Time that the others then have for their turn.
const OTHERS_TURN: Duration = Duration::from_millis(500);
/// Divisor for the number of messages after a timeout.
const SHRINK_FACTOR: u32 = 16;

/// The outcome for the parts of a partition.
enum PartsOutcome {
    Written,
    /// PostgreSQL does not take its next messages.
    HeldBack(Vec<HeldBackPartition>),
    /// Parts of it were not taken, for this reason, and there is no time to try more.
    OutOfTime(Cause),
}

impl Store {
    /// Writes a batch in one transaction, trying until it is in or another consumer has moved its
    /// partitions. A batch that PostgreSQL does not take as a whole is written partition by
    /// partition, and taken apart until each refused message is alone and becomes a reject.
    /// Partitions on which somebody holds a lock, or with a message that is not taken at all, are
    /// left out and returned. `meanwhile` runs once PostgreSQL is busy, and at the latest after the
    /// first try.
    ///
    /// # Errors
    /// If another consumer has moved an offset, or only a person can help.
    pub async fn write(
        &mut self,
        batch: &Batch,
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<HeldBackPartition>, StoreError> {
        let mut meanwhile = Some(meanwhile);
        if !self.is_quarantined(batch) && batch.fits(self.messages_at_once) {
            // Rows may be refused because of outdated knowledge of partitions: then the second try
            // succeeds.
            match self.write_whole(batch, 2, &mut meanwhile).await? {
                WholeOutcome::Written => return Ok(Vec::new()),
                WholeOutcome::MustBeSplit(reason) => self.prepare_split(batch, &reason),
            }
        }
        let held_back = self.write_apart(batch, &mut meanwhile).await?;
        self.budget = TimeBudget::Full;
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        Ok(held_back)
    }

    fn prepare_split(&mut self, batch: &Batch, reason: &SplitReason) {
        match reason {
            SplitReason::Locked(_) => self.probe_all(batch),
            SplitReason::TooMuch(why) => {
                self.messages_at_once = self.note_too_slow(batch, why);
            }
            // One message may be the cause: the rest of the batch gets a shorter limit.
            SplitReason::TooLong(_)
            | SplitReason::NoDetectorState(Cause { kind: CauseKind::Slow, .. }) => {
                self.budget = TimeBudget::Short;
            }
            SplitReason::Refused(_) | SplitReason::Failed(_) | SplitReason::NoDetectorState(_) => {}
        }
    }

    /// Writes each partition by itself: first those that are taken at once, then the others, and at
    /// the end one of those that are known to be slow.
    async fn write_apart(
        &mut self,
        batch: &Batch,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Vec<HeldBackPartition>, StoreError> {
        let (mut held_back, mut left) = (Vec::new(), Vec::new());
        let (mut slow, mut others) = (Vec::new(), Vec::new());
        for parts in self.in_turn(batch.parts_by_partition_reversed()) {
            match self.slow(&parts) {
                Some(cause) => slow.push((parts, cause)),
                None => others.push(parts),
            }
        }
        let are_several = others.len() > 1;
        for mut parts in others {
            if are_several && self.budget == TimeBudget::Short {
                self.budget = TimeBudget::Shortest;
            }
            match self.take_apart(&mut parts, Instant::now(), meanwhile).await? {
                PartsOutcome::Written => {}
                PartsOutcome::HeldBack(one) => held_back.extend(one),
                PartsOutcome::OutOfTime(cause) => left.push((parts, cause)),
            }
        }
        if self.budget == TimeBudget::Shortest {
            self.budget = TimeBudget::Short;
        }
        // If all partitions are taken apart, no other one waits for that.
        let is_waited_for = left.len() + slow.len() < self.written_offsets.len();
        let limit = if is_waited_for { SPLIT_TIME } else { SPLIT_TIME_ALONE };
        let until = Instant::now() + limit;
        for (mut parts, cause) in left {
            let tried = match Instant::now() >= until {
                true => PartsOutcome::OutOfTime(cause),
                false => self.take_apart(&mut parts, until, meanwhile).await?,
            };
            self.hold_back_rest(tried, &parts, &mut held_back);
        }
        let until = Instant::now() + limit;
        for (number, (mut parts, cause)) in slow.into_iter().enumerate() {
            // A slow partition has used up the time, and may do so each time.
            if number > 0 && Instant::now() >= until {
                let next = parts.last().into_iter();
                held_back.extend(next.flat_map(|next| {
                    self.hold_back(next, cause.clone(), QuarantineState::NotTried)
                }));
                continue;
            }
            let tried = self.take_apart(&mut parts, Instant::now(), meanwhile).await?;
            self.hold_back_rest(tried, &parts, &mut held_back);
        }
        Ok(held_back)
    }

    /// Holds back what was not taken of a partition.
    fn hold_back_rest(
        &mut self,
        tried: PartsOutcome,
        parts: &[Batch],
        held_back: &mut Vec<HeldBackPartition>,
    ) {
        match tried {
            PartsOutcome::Written => {}
            PartsOutcome::HeldBack(one) => held_back.extend(one),
            PartsOutcome::OutOfTime(cause) => {
                let Some(next) = parts.last() else { return };
                self.set_size(next);
                held_back.extend(self.hold_back(next, cause, QuarantineState::TakingTurns));
            }
        }
    }

    /// The partitions that are not held back. Probed ones come after the others, and take turns at
    /// being the first of the probed ones.
    fn in_turn(&self, all: impl IntoIterator<Item = Vec<Batch>>) -> Vec<Vec<Batch>> {
        let is_held_back = |part: &Batch| part.ranges.iter().any(|r| self.holds_back(r.at));
        let free = all.into_iter().filter(|parts| !parts.iter().any(is_held_back));
        let (mut probes, mut others): (Vec<_>, Vec<_>) =
            free.partition(|parts| self.are_probes(parts));
        // By the clock, since instances may live shortly.
        let turn = Timestamp::now().micros().unsigned_abs() as usize % probes.len().max(1);
        probes.rotate_left(turn);
        others.append(&mut probes);
        others
    }

    /// Why it was held back, where that was because it took too long.
    pub(super) fn slow(&self, parts: &[Batch]) -> Option<Cause> {
        let mut at = parts.iter().flat_map(|part| part.ranges.iter()).map(|range| range.at);
        at.find_map(|at| {
            self.quarantined.get(&at)?.cause.clone().filter(|cause| cause.kind == CauseKind::Slow)
        })
    }

    fn are_probes(&self, parts: &[Batch]) -> bool {
        parts.iter().any(|part| self.is_quarantined(part))
    }

    /// Writes the parts of one partition, of which the last is the next one. Parts that are not
    /// taken are made smaller, up to the first one after `until`.
    async fn take_apart(
        &mut self,
        parts: &mut Vec<Batch>,
        until: Instant,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<PartsOutcome, StoreError> {
        while let Some(part) = parts.pop() {
            if let Some(smaller) = self.split_if_too_large(&part) {
                parts.extend(smaller.into_iter().rev());
                continue;
            }
            // A message that is alone is not given up because the known day partitions were wrong.
            let tries = if part.messages > 1 { 1 } else { 2 };
            let reason = match self.write_whole(&part, tries, meanwhile).await? {
                WholeOutcome::MustBeSplit(reason) => reason,
                WholeOutcome::Written => {
                    self.try_more(&part, parts.is_empty());
                    continue;
                }
            };
            let cause = reason.cause();
            match self.make_smaller(&part, reason) {
                Ok(smaller) => parts.extend(smaller.into_iter().rev()),
                Err(cause) => {
                    return Ok(PartsOutcome::HeldBack(self.hold_back(
                        &part,
                        cause,
                        QuarantineState::Blocked,
                    )));
                }
            }
            if Instant::now() >= until {
                return Ok(PartsOutcome::OutOfTime(cause));
            }
        }
        Ok(PartsOutcome::Written)
    }

    /// A part of a partition in what is tried of it at once; `None` where that is all of it.
    fn split_if_too_large(&self, part: &Batch) -> Option<Vec<Batch>> {
        let size = part.ranges.iter().find_map(|range| self.quarantined.get(&range.at)?.size);
        let most = size.map_or(self.messages_at_once, |size| self.messages_at_once.min(size));
        // One message may need more than fits.
        let is_small = part.messages <= 1 || part.fits(most);
        (!is_small).then(|| match size {
            Some(_) => part.first_apart(most),
            None => part.parts(most),
        })
    }

    /// A part was taken; where it `is_last`, the partition is as any other.
    fn try_more(&mut self, part: &Batch, is_last: bool) {
        for range in part.ranges.iter() {
            if is_last {
                self.quarantined.remove(&range.at);
            } else if let Some(Quarantine { size: Some(size), .. }) =
                self.quarantined.get_mut(&range.at)
            {
                *size = size.saturating_mul(2);
            }
        }
    }

    /// When the partition is tried again, no more than this part is tried first.
    fn set_size(&mut self, part: &Batch) {
        let now = part.messages.max(1);
        for range in part.ranges.iter() {
            let size = &mut self.quarantine(range.at).size;
            *size = Some(size.map_or(now, |size| size.min(now)));
        }
    }

    /// The partition's entry among those whose next messages are not taken; new where it has none.
    fn quarantine(&mut self, at: SourcePartition) -> &mut Quarantine {
        self.quarantined.entry(at).or_insert_with(Quarantine::new)
    }

    fn probe_all(&mut self, batch: &Batch) {
        for range in batch.ranges.iter() {
            self.quarantine(range.at).state = QuarantineState::Probing;
        }
    }

    /// Leaves out the next messages of a batch's partitions.
    fn hold_back(
        &mut self,
        batch: &Batch,
        cause: Cause,
        state: QuarantineState,
    ) -> Vec<HeldBackPartition> {
        let (retry_after, then) = match state {
            QuarantineState::NotTried => (OTHERS_TURN, "; the others have their turn first"),
            QuarantineState::TakingTurns => {
                (OTHERS_TURN, "; it is written in small parts, and the others meanwhile")
            }
            QuarantineState::Blocked | QuarantineState::Probing => (HELD_BACK_RETRY, ""),
        };
        let of = |Range { at, start, .. }: Range| {
            let quarantine = self.quarantine(at);
            (quarantine.state, quarantine.cause) = (state, Some(cause.clone()));
            HeldBackPartition {
                at,
                next: start,
                why: format!("{}{then}", cause.words),
                retry_after,
            }
        };
        batch.ranges.iter().map(of).collect()
    }

    /// The smaller parts of a part of a partition; for a single message, what is left of it without
    /// what is refused. `Err`: nothing can be left out or tried apart any more, for this reason.
    fn make_smaller(&mut self, part: &Batch, reason: SplitReason) -> Result<Vec<Batch>, Cause> {
        let cause = reason.cause();
        match reason {
            SplitReason::Locked(_) if self.is_quarantined(part) => return Err(cause),
            SplitReason::Locked(_) => {
                self.probe_all(part);
                return Ok(part.by_partition());
            }
            SplitReason::TooMuch(words) => {
                let now = self.note_too_slow(part, &words);
                if self.written_offsets.len() <= 1 {
                    self.messages_at_once = now;
                }
                return Ok(part.parts(now));
            }
            // It concerns the whole partition, whatever part of it is to be written.
            SplitReason::NoDetectorState(_) => return Err(cause),
            SplitReason::Refused(_) | SplitReason::Failed(_) | SplitReason::TooLong(_)
                if part.messages > 1 =>
            {
                return Ok(part.parts(part.messages.div_ceil(2)));
            }
            SplitReason::Failed(_) | SplitReason::TooLong(_) => {
                self.set_size(part);
                let at = self.place(part);
                let words = format!("message {at} cannot be written: {}", cause.words);
                return Err(Cause { words, ..cause });
            }
            SplitReason::Refused(_) => {}
        }
        let at = self.place(part);
        let Some(kept) = part.without_what_is_refused(&cause.words) else {
            let words = format!("rejected_ticks takes no row for message {at}: {}", cause.words);
            return Err(Cause { words, ..cause });
        };
        self.log_refused(part, &cause.words);
        Ok(vec![kept])
    }

    /// How many messages of a batch that takes too long are tried at once.
    fn note_too_slow(&mut self, batch: &Batch, why: &str) -> u32 {
        self.budget = self.budget.max(TimeBudget::Short);
        let messages = batch.messages;
        let why = format!("PostgreSQL does not take {messages} messages at once: {why}");
        self.shared.health.database.fails_for(self.writer, why.clone());
        let now = messages.div_ceil(SHRINK_FACTOR);
        tracing::warn!(messages, error = why, now, "{why}; now {now} are tried");
        now
    }

    /// The place of the message in a batch of one message, for people.
    pub(super) fn place(&self, batch: &Batch) -> String {
        let of = |range: Range| format!("{}/{}", self.name(range.at), range.next - 1);
        batch.ranges.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// Logs the refused message, at WARN once a minute: `rejected_ticks` has all of them.
    fn log_refused(&mut self, message: &Batch, error: &str) {
        let is_due = |logged: Instant| logged.elapsed() >= REFUSED_LOG_INTERVAL;
        let is_warning = self.refused_logged.is_none_or(is_due);
        if is_warning {
            self.refused_logged = Some(Instant::now());
        }
        for Range { at, next, .. } in message.ranges.iter() {
            let (topic, partition) = (self.shared.topic_name(at.source), at.partition);
            let offset = next - 1;
            if is_warning {
                tracing::warn!(
                    topic,
                    partition,
                    offset,
                    error,
                    "PostgreSQL refuses message {topic}/{partition}/{offset}, which \
                     rejected_ticks is to keep: {error}; further refusals of the next minute \
                     are logged at DEBUG"
                );
            } else {
                tracing::debug!(
                    topic,
                    partition,
                    offset,
                    error,
                    "PostgreSQL refuses message {topic}/{partition}/{offset}: {error}"
                );
            }
        }
    }
}
