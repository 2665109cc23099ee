//! [`Agenda`]: which question to the registry is put when. Several are on their way at once, so
//! that one without an answer delays no other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Questions on their way at once.
const MAX_OPEN_QUESTIONS: usize = 8;
/// How many of them may have been put before: what hangs again and again leaves room for what is
/// new.
const MAX_OPEN_REPEATS: usize = MAX_OPEN_QUESTIONS / 2;
/// A partition that waits for a schema asks for it every ten seconds. A schema that nobody has
/// asked for so long is not wanted any more: the partition is another instance's.
const WANTED_FOR: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegistryQuestion {
    /// Is it there, and does it let us in?
    Probe,
    Schema(u32),
}

#[derive(Debug)]
struct Open {
    question: RegistryQuestion,
    /// When it was last asked for.
    wanted: Instant,
    was_put: bool,
}

/// Questions without an answer.
#[derive(Debug, Default)]
pub struct Agenda {
    waiting: VecDeque<Open>,
    on_their_way: Vec<Open>,
    /// Until when none is put again.
    rests_until: Option<Instant>,
    /// How long after one the next is put again.
    pause: Duration,
}

impl Agenda {
    /// Somebody wants an answer.
    pub fn note(&mut self, question: RegistryQuestion, now: Instant) {
        let known = self
            .waiting
            .iter_mut()
            .chain(&mut self.on_their_way)
            .find(|open| open.question == question);
        match known {
            Some(open) => open.wanted = now,
            None => self.waiting.push_back(Open { question, wanted: now, was_put: false }),
        }
    }

    /// The question to put now. One that was never put goes first; the others take turns, one after
    /// each pause.
    pub fn next(&mut self, now: Instant) -> Option<RegistryQuestion> {
        let at = self.next_place(now)?;
        let open = self.waiting.remove(at)?;
        if open.was_put {
            self.rests_until = Some(now + self.pause);
        }
        let question = open.question;
        self.on_their_way.push(open);
        Some(question)
    }

    fn next_place(&self, now: Instant) -> Option<usize> {
        if self.on_their_way.len() >= MAX_OPEN_QUESTIONS {
            return None;
        }
        let new = self.waiting.iter().position(|open| !open.was_put);
        let may_again = self.has_room_again() && self.rests_until.is_none_or(|until| until <= now);
        new.or_else(|| (may_again && !self.waiting.is_empty()).then_some(0))
    }

    fn has_room_again(&self) -> bool {
        self.on_their_way.iter().filter(|open| open.was_put).count() < MAX_OPEN_REPEATS
    }

    /// How long there is nothing to put, unless something happens.
    pub fn rests(&self, now: Instant) -> Duration {
        match self.rests_until {
            Some(until) if !self.waiting.is_empty() && self.has_room_again() => {
                until.saturating_duration_since(now)
            }
            _ => Duration::MAX,
        }
    }

    /// Removes a question that needs no answer any more.
    pub fn done(&mut self, question: RegistryQuestion) {
        self.on_their_way.retain(|open| open.question != question);
    }

    /// Notes that there was no answer; questions that were put before rest for so long.
    pub fn failed(&mut self, question: RegistryQuestion, now: Instant, pause: Duration) {
        (self.rests_until, self.pause) = (Some(now + pause), pause);
        if let Some(at) = self.on_their_way.iter().position(|open| open.question == question) {
            let open = self.on_their_way.remove(at);
            self.waiting.push_back(Open { was_put: true, ..open });
        }
    }

    /// The registry answers: what waits may be put at once.
    pub fn works(&mut self) {
        self.rests_until = None;
    }

    /// Gives up what nobody has asked for in a while.
    pub fn drop_unwanted(&mut self, now: Instant) -> Vec<RegistryQuestion> {
        let is_wanted = |open: &Open| {
            open.question == RegistryQuestion::Probe
                || now.saturating_duration_since(open.wanted) < WANTED_FOR
        };
        let unwanted =
            self.waiting.iter().filter(|open| !is_wanted(open)).map(|open| open.question).collect();
        self.waiting.retain(is_wanted);
        unwanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn all_next(agenda: &mut Agenda, now: Instant) -> Vec<u32> {
        let next = std::iter::from_fn(|| agenda.next(now));
        next.map(|question| if let RegistryQuestion::Schema(id) = question { id } else { 0 })
            .collect()
    }

    fn with(ids: impl IntoIterator<Item = u32>, now: Instant) -> Agenda {
        let mut agenda = Agenda::default();
        ids.into_iter().for_each(|id| agenda.note(RegistryQuestion::Schema(id), now));
        agenda
    }

    #[test]
    fn a_few_are_put_at_once_and_each_once() {
        let now = Instant::now();
        let mut agenda = with(1..=10, now);
        agenda.note(RegistryQuestion::Schema(3), now);
        assert_eq!(all_next(&mut agenda, now), [1, 2, 3, 4, 5, 6, 7, 8]);
        agenda.done(RegistryQuestion::Schema(5));
        agenda.note(RegistryQuestion::Schema(3), now);
        assert_eq!(all_next(&mut agenda, now), [9]);
        agenda.done(RegistryQuestion::Schema(3));
        assert_eq!(all_next(&mut agenda, now), [10]);
        assert_eq!(all_next(&mut agenda, now), [0; 0]);
    }

    #[test]
    fn what_failed_is_put_again_one_after_each_pause_and_at_once_when_the_registry_works() {
        let now = Instant::now();
        let mut agenda = with(1..=3, now);
        assert_eq!(all_next(&mut agenda, now).len(), 3);
        (1..=3).for_each(|id| agenda.failed(RegistryQuestion::Schema(id), now, PAUSE));
        assert_eq!((all_next(&mut agenda, now), agenda.rests(now)), (vec![], PAUSE));
        assert_eq!(all_next(&mut agenda, now + PAUSE), [1]);
        assert_eq!(all_next(&mut agenda, now + PAUSE * 2), [2]);
        agenda.done(RegistryQuestion::Schema(1));
        agenda.works();
        assert_eq!(all_next(&mut agenda, now + PAUSE * 2), [3]);
    }

    #[test]
    fn what_hangs_leaves_room_for_what_is_new() {
        let mut now = Instant::now();
        let mut agenda = with(1..=20, now);
        // All hang, until each has failed once.
        for _ in 0..3 {
            all_next(&mut agenda, now);
            (1..=20).for_each(|id| agenda.failed(RegistryQuestion::Schema(id), now, PAUSE));
        }
        let mut again = 0;
        for _ in 0..20 {
            now += PAUSE;
            again += all_next(&mut agenda, now).len();
        }
        assert_eq!((again, agenda.rests(now)), (MAX_OPEN_REPEATS, Duration::MAX));
        agenda.note(RegistryQuestion::Schema(21), now);
        assert_eq!(all_next(&mut agenda, now), [21]);
    }

    #[test]
    fn what_nobody_asks_for_any_more_is_given_up() {
        let now = Instant::now();
        let mut agenda = with(1..=2, now);
        agenda.note(RegistryQuestion::Probe, now);
        all_next(&mut agenda, now);
        for question in
            [RegistryQuestion::Schema(1), RegistryQuestion::Schema(2), RegistryQuestion::Probe]
        {
            agenda.failed(question, now, PAUSE);
        }
        agenda.note(RegistryQuestion::Schema(2), now + PAUSE);
        let later = now + WANTED_FOR;
        assert_eq!(agenda.drop_unwanted(later), [RegistryQuestion::Schema(1)]);
        assert_eq!(agenda.drop_unwanted(later), []);
    }
}
