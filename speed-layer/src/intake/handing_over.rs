//! The exchange between the intake and the stores: batches there, answers back.

use super::{IDLE, Intake, Step, rejoin};
use crate::handover::StoreReply;
use std::time::{Duration, Instant};

/// How often a stalled intake polls all the same: the group must see it alive.
const STALLED_POLL: Duration = Duration::from_secs(1);
/// How long a rebalance or the end may wait for rejected messages to reach their topic.
const LETTERS_TIMEOUT: Duration = Duration::from_secs(3);

impl Intake {
    /// Hands over what is due. `false` where rejected messages have to reach their topic first:
    /// they are sent before the batch is committed, so that after a crash they come twice rather
    /// than not at all.
    pub(super) fn hand_over_due(&mut self) -> Step<bool> {
        let due: Vec<usize> = self.writers.due().collect();
        let has_letters = due.iter().any(|index| self.writers.has_rejects(*index));
        if has_letters && !self.are_letters_delivered(IDLE) {
            return Ok(false);
        }
        if self.letters_watch.is_waiting() {
            // The partitions that were waited for may be another instance's by now.
            self.are_letters_delivered(Duration::ZERO);
        }
        due.into_iter().try_for_each(|index| self.writers.hand_over(index))?;
        Ok(true)
    }

    /// Hands over the batches of these writers; what waits for letters for long is left to another
    /// session.
    pub(super) fn hand_over(&mut self, writers: Vec<usize>, patience: Duration) -> Step {
        let (with_letters, without): (Vec<usize>, Vec<usize>) =
            writers.into_iter().partition(|index| self.writers.has_rejects(*index));
        without.into_iter().try_for_each(|index| self.writers.hand_over(index))?;
        if !with_letters.is_empty() && !self.are_letters_delivered(patience.min(LETTERS_TIMEOUT)) {
            return Err(rejoin("rejected messages do not reach --dead-letter-topic".into()));
        }
        Ok(with_letters.into_iter().try_for_each(|index| self.writers.hand_over(index))?)
    }

    fn are_letters_delivered(&mut self, wait: Duration) -> bool {
        let Some(letters) = &mut self.dead_letters else {
            return true;
        };
        let are_delivered = letters.await_delivery(wait);
        self.letters_watch.note(are_delivered, letters.trouble(), &self.shared.health.letters);
        are_delivered
    }

    pub(super) fn take_reply(&mut self, reply: StoreReply) {
        match reply {
            StoreReply::Ended => {}
            StoreReply::Checked => self.shared.session_works(),
            StoreReply::Identified(source) => self.topic_is_identified(source),
            StoreReply::NotIdentified { identity, why, retry_after } => {
                self.topic_is_not_taken(identity, why, retry_after);
            }
            StoreReply::Starts(answers) => {
                answers
                    .into_iter()
                    .for_each(|answer| self.assignment.answered(answer, Instant::now()));
            }
            StoreReply::HeldBack(partitions) => {
                partitions
                    .into_iter()
                    .for_each(|one| self.assignment.held_back(one, Instant::now()));
            }
            StoreReply::Written(batch) => {
                self.shared.session_works();
                for range in batch.ranges.iter() {
                    self.assignment.written(range.at, range.next);
                }
                self.writers.give_back(*batch);
            }
        }
    }

    /// All batches are full, and so are the ways to the stores. Kafka is polled now and then all
    /// the same, since only that keeps this instance in its group.
    pub(super) fn wait_for_store(&mut self) -> Step {
        if let Some(reply) = self.writers.wait(STALLED_POLL)? {
            self.take_reply(reply);
        }
        Ok(())
    }

    /// Hands everything over and waits until it is written, at most for `timeout`. Messages that a
    /// store does not take meanwhile are read again.
    pub(super) fn drain(&mut self, timeout: Duration) -> Step {
        let deadline = Instant::now() + timeout;
        let mut filled = self.writers.holding(|_| true);
        let mut handed_over = Ok(());
        loop {
            let (stuck, free): (Vec<usize>, Vec<usize>) =
                filled.into_iter().partition(|index| self.writers.is_stuck(*index));
            filled = stuck;
            let left = deadline.saturating_duration_since(Instant::now());
            if handed_over.is_ok() && !free.is_empty() {
                handed_over = self.hand_over(free, left);
            }
            if self.writers.in_flight() == 0 {
                break;
            }
            match self.writers.wait(deadline.saturating_duration_since(Instant::now()))? {
                Some(reply) => self.take_reply(reply),
                None => break,
            }
        }
        filled.into_iter().for_each(|index| self.drop_batch(index));
        handed_over
    }

    /// Drops a batch that cannot be handed over: what it holds is read again from the stored
    /// offsets, once the store gives them.
    fn drop_batch(&mut self, index: usize) {
        let partitions = self.writers.drop_batch(index);
        let count = partitions.len();
        tracing::warn!(
            writer = index,
            partitions = count,
            "PostgreSQL has taken none of the last batches of writer {index}: what else was read \
             of its {count} partitions is read again"
        );
        for at in partitions {
            self.assignment.batch_dropped(at, Instant::now());
        }
    }
}
