//! Writing a batch, and taking it apart: what PostgreSQL does not take of it stands alone in the
//! end.

use super::tries::{Kind, Smaller, Why};
use super::{Aside, Haste, Held, Store, StoreError};
use crate::batch::{Batch, Range};
use crate::handover::{HeldBack, TRY_AGAIN};
use crate::source::SourcePartition;
use common::Timestamp;
use std::time::{Duration, Instant};

/// How often a refused message is said.
const SAY_REFUSED_EVERY: Duration = Duration::from_secs(60);
/// How long partitions may be taken apart while others wait.
const TAKING_APART: Duration = Duration::from_secs(1);
/// The same where nobody waits that is known: others may come, or these may be given up.
const TAKING_ALL_APART: Duration = Duration::from_secs(10);
/// How long they are left then, since others may have messages.
const TURN_OF_OTHERS: Duration = Duration::from_millis(500);
/// Of messages that took too long at once so many times fewer are tried.
const FEWER: u32 = 16;

/// What became of the parts of a partition.
enum Apart {
    Written,
    /// It is held back.
    Stands(Vec<HeldBack>),
    /// There was no more time, since parts of it are not taken, for this reason.
    Left(Why),
}

impl Store {
    /// Writes a batch in one transaction, trying until it is in or another consumer has moved its
    /// partitions. What PostgreSQL does not take as a whole is written partition by partition, and
    /// taken apart until what is refused stands alone and is kept aside. Partitions of which
    /// somebody holds something, or a message is not taken at all, are left out, and given.
    /// `meanwhile` runs once PostgreSQL is busy, and at the latest after the first try.
    pub async fn write(
        &mut self,
        batch: &Batch,
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<HeldBack>, StoreError> {
        let mut meanwhile = Some(meanwhile);
        if !self.is_held(batch) && batch.fits(self.messages_at_once) {
            // What is refused may be so for what was known of partitions: then the second time it
            // is not.
            match self.write_at_once(batch, 2, &mut meanwhile).await? {
                None => return Ok(Vec::new()),
                Some(Smaller::Locked(_)) => self.put_all_on_trial(batch),
                Some(Smaller::TooMuch(why)) => {
                    self.messages_at_once = self.note_too_slow(batch, &why);
                }
                // The rest of a batch of which one message may be the cause is not to take as long.
                Some(Smaller::TooLong(_) | Smaller::NotJudged(Why { kind: Kind::Slow, .. })) => {
                    self.haste = Haste::Quick;
                }
                Some(Smaller::Refused(_) | Smaller::NotTaken(_) | Smaller::NotJudged(_)) => {}
            }
        }
        let held_back = self.write_apart(batch, &mut meanwhile).await?;
        self.haste = Haste::None;
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        Ok(held_back)
    }

    /// Each partition by itself: first those that are written without more ado, then the others, and
    /// at the end one of those that are known to take long.
    async fn write_apart(
        &mut self,
        batch: &Batch,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Vec<HeldBack>, StoreError> {
        let (mut held_back, mut left) = (Vec::new(), Vec::new());
        let (mut slow, mut stacks) = (Vec::new(), Vec::new());
        for parts in self.in_turn(batch.stacks()) {
            match self.slow(&parts) {
                Some(why) => slow.push((parts, why)),
                None => stacks.push(parts),
            }
        }
        let are_several = stacks.len() > 1;
        for mut parts in stacks {
            if are_several && self.haste == Haste::Quick {
                self.haste = Haste::Glance;
            }
            match self.take_apart(&mut parts, Instant::now(), meanwhile).await? {
                Apart::Written => {}
                Apart::Stands(one) => held_back.extend(one),
                Apart::Left(why) => left.push((parts, why)),
            }
        }
        if self.haste == Haste::Glance {
            self.haste = Haste::Quick;
        }
        // Where all partitions are taken apart nobody waits for it.
        let is_waited_for = left.len() + slow.len() < self.reached.len();
        let limit = if is_waited_for { TAKING_APART } else { TAKING_ALL_APART };
        let until = Instant::now() + limit;
        for (mut parts, why) in left {
            let tried = match Instant::now() >= until {
                true => Apart::Left(why),
                false => self.take_apart(&mut parts, until, meanwhile).await?,
            };
            self.leave(tried, &parts, &mut held_back);
        }
        let until = Instant::now() + limit;
        for (number, (mut parts, why)) in slow.into_iter().enumerate() {
            // Another one has taken long, and may take as long each time.
            if number > 0 && Instant::now() >= until {
                let next = parts.last().into_iter();
                held_back
                    .extend(next.flat_map(|next| self.hold_back(next, why.clone(), Held::Waits)));
                continue;
            }
            let tried = self.take_apart(&mut parts, Instant::now(), meanwhile).await?;
            self.leave(tried, &parts, &mut held_back);
        }
        Ok(held_back)
    }

    /// Holds back what was not taken of a partition.
    fn leave(&mut self, tried: Apart, parts: &[Batch], held_back: &mut Vec<HeldBack>) {
        match tried {
            Apart::Written => {}
            Apart::Stands(one) => held_back.extend(one),
            Apart::Left(why) => {
                let Some(next) = parts.last() else { return };
                self.set_size(next);
                held_back.extend(self.hold_back(next, why, Held::Left));
            }
        }
    }

    /// The partitions that are not held back: those that are on trial behind the others, and each
    /// of them first now and then.
    fn in_turn(&self, stacks: impl IntoIterator<Item = Vec<Batch>>) -> Vec<Vec<Batch>> {
        let is_held_back = |part: &Batch| part.ranges.iter().any(|r| self.holds_back(r.at));
        let free = stacks.into_iter().filter(|parts| !parts.iter().any(is_held_back));
        let (mut on_trial, mut others): (Vec<_>, Vec<_>) =
            free.partition(|parts| self.are_on_trial(parts));
        // By the clock, since instances may live shortly.
        let turn = Timestamp::now().micros().unsigned_abs() as usize % on_trial.len().max(1);
        on_trial.rotate_left(turn);
        others.append(&mut on_trial);
        others
    }

    /// Why it was held back, where that was because it took too long.
    pub(super) fn slow(&self, parts: &[Batch]) -> Option<Why> {
        let mut at = parts.iter().flat_map(|part| part.ranges.iter()).map(|range| range.at);
        at.find_map(|at| self.aside.get(&at)?.why.clone().filter(|why| why.kind == Kind::Slow))
    }

    fn are_on_trial(&self, parts: &[Batch]) -> bool {
        parts.iter().any(|part| self.is_held(part))
    }

    /// Writes the parts of one partition, of which the last is the next one. Those that are not
    /// taken are made smaller, up to the first one behind `until`.
    async fn take_apart(
        &mut self,
        parts: &mut Vec<Batch>,
        until: Instant,
        meanwhile: &mut Option<impl FnOnce()>,
    ) -> Result<Apart, StoreError> {
        while let Some(part) = parts.pop() {
            if let Some(smaller) = self.not_more_than_is_tried(&part) {
                parts.extend(smaller.into_iter().rev());
                continue;
            }
            // One that stands alone is not given up for what was known of partitions, either.
            let tries = if part.messages > 1 { 1 } else { 2 };
            let Some(why) = self.write_at_once(&part, tries, meanwhile).await? else {
                self.try_more(&part, parts.is_empty());
                continue;
            };
            let reason = why.why();
            match self.make_smaller(&part, why) {
                Ok(smaller) => parts.extend(smaller.into_iter().rev()),
                Err(why) => {
                    return Ok(Apart::Stands(self.hold_back(&part, why, Held::Back)));
                }
            }
            if Instant::now() >= until {
                return Ok(Apart::Left(reason));
            }
        }
        Ok(Apart::Written)
    }

    /// A part of a partition in what is tried of it at once; `None` where that is all of it.
    fn not_more_than_is_tried(&self, part: &Batch) -> Option<Vec<Batch>> {
        let size = part.ranges.iter().find_map(|range| self.aside.get(&range.at)?.size);
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
                self.aside.remove(&range.at);
            } else if let Some(Aside { size: Some(size), .. }) = self.aside.get_mut(&range.at) {
                *size = size.saturating_mul(2);
            }
        }
    }

    /// As much of a partition is tried first when it is located again, or less.
    fn set_size(&mut self, part: &Batch) {
        let now = part.messages.max(1);
        for range in part.ranges.iter() {
            let size = &mut self.set_aside(range.at).size;
            *size = Some(size.map_or(now, |size| size.min(now)));
        }
    }

    /// Notes that it is held.
    fn set_aside(&mut self, at: SourcePartition) -> &mut Aside {
        self.aside.entry(at).or_insert_with(Aside::new)
    }

    fn put_all_on_trial(&mut self, batch: &Batch) {
        for range in batch.ranges.iter() {
            self.set_aside(range.at).held = Held::OnTrial;
        }
    }

    /// Leaves out what comes next of a batch's partition.
    fn hold_back(&mut self, batch: &Batch, why: Why, held: Held) -> Vec<HeldBack> {
        let (again, then) = match held {
            Held::Waits => (TURN_OF_OTHERS, "; the others have their turn first"),
            Held::Left => {
                (TURN_OF_OTHERS, "; it is written in small parts, and the others meanwhile")
            }
            Held::Back | Held::OnTrial => (TRY_AGAIN, ""),
        };
        let of = |Range { at, start, .. }: Range| {
            let aside = self.set_aside(at);
            (aside.held, aside.why) = (held, Some(why.clone()));
            HeldBack { at, next: start, why: format!("{}{then}", why.words), again }
        };
        batch.ranges.iter().map(of).collect()
    }

    /// The smaller parts of one of a partition; of one message what is left without what is
    /// refused. `Err`: nothing is left to leave out, or to try apart from others, for this reason.
    fn make_smaller(&mut self, part: &Batch, smaller: Smaller) -> Result<Vec<Batch>, Why> {
        let why = smaller.why();
        match smaller {
            Smaller::Locked(_) if self.is_held(part) => return Err(why),
            Smaller::Locked(_) => {
                self.put_all_on_trial(part);
                return Ok(part.by_partition());
            }
            Smaller::TooMuch(words) => {
                let now = self.note_too_slow(part, &words);
                if self.reached.len() <= 1 {
                    self.messages_at_once = now;
                }
                return Ok(part.parts(now));
            }
            // It is of the partition, whatever part of it is to be written.
            Smaller::NotJudged(_) => return Err(why),
            Smaller::Refused(_) | Smaller::NotTaken(_) | Smaller::TooLong(_)
                if part.messages > 1 =>
            {
                return Ok(part.parts(part.messages.div_ceil(2)));
            }
            Smaller::NotTaken(_) | Smaller::TooLong(_) => {
                self.set_size(part);
                let at = self.place(part);
                let words = format!("message {at} cannot be written: {}", why.words);
                return Err(Why { words, ..why });
            }
            Smaller::Refused(_) => {}
        }
        let at = self.place(part);
        let Some(kept) = part.without_what_is_refused(&why.words) else {
            let words = format!("rejected_ticks takes no row for message {at}: {}", why.words);
            return Err(Why { words, ..why });
        };
        self.say_refused(&at, &why.words);
        Ok(vec![kept])
    }

    /// How many messages of a batch that takes too long are tried at once.
    fn note_too_slow(&mut self, batch: &Batch, why: &str) -> u32 {
        self.haste = self.haste.max(Haste::Quick);
        let messages = batch.messages;
        let why = format!("PostgreSQL does not take {messages} messages at once: {why}");
        self.shared.health.database.fails_for(self.writer, why.clone());
        let now = messages.div_ceil(FEWER);
        tracing::warn!(messages, "{why}; now {now} are tried");
        now
    }

    /// Of a batch of one message.
    pub(super) fn place(&self, batch: &Batch) -> String {
        let of = |range: Range| format!("{}/{}", self.name(range.at), range.next - 1);
        batch.ranges.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// All of them stand in `rejected_ticks`; now and then one is said.
    fn say_refused(&mut self, at: &str, words: &str) {
        if self.refused_said.is_none_or(|said| said.elapsed() >= SAY_REFUSED_EVERY) {
            self.refused_said = Some(Instant::now());
            tracing::warn!(
                message_at = at,
                error = words,
                "PostgreSQL refuses message {at}, which rejected_ticks is to keep: {words}; others of the next minute \
                 are kept without a word"
            );
        } else {
            tracing::debug!(
                message_at = at,
                error = words,
                "PostgreSQL refuses message {at}: {words}"
            );
        }
    }
}
