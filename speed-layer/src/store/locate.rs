//! Where to begin: what topics are to the database, and which offset of a partition is next. What
//! PostgreSQL does not take for one of them stops no other.

use super::attempt::Asked;
use super::limits::Limits;
use super::tries::Kind;
use super::{Held, Store, StoreError, findings, offsets, sources};
use crate::handover::{Answer, Begin, Question, TRY_AGAIN};
use crate::source::{Source, SourcePartition, TopicIdentity};
use service::Failure;
use sources::Admission;
use sqlx::PgConnection;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long questions that PostgreSQL does not take together are asked one by one, before the
/// writer's batches have their turn.
const ASKING_APART: Duration = Duration::from_secs(5);

/// Why one of them is to be asked again.
const OTHERS_FIRST: &str = "what it does not take of others takes its time";

/// What a topic is to the database, as far as that could be found out.
pub enum Identified {
    Source(Source),
    /// PostgreSQL does not take what that needs; in its words, and when it is to be asked again.
    NotTaken(String, Duration),
}

/// The longest pause before what was not taken is asked again.
const AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// When what was not taken is to be asked again: the others have five times as long.
fn again(took: Duration) -> Duration {
    (took * 5).clamp(TRY_AGAIN, AGAIN_WITHIN)
}

/// The first half is the last, to be asked first.
fn halves(questions: &[Question]) -> Vec<&[Question]> {
    let (first, second) = questions.split_at(questions.len().div_ceil(2));
    [second, first].into_iter().filter(|half| !half.is_empty()).collect()
}

impl Store {
    /// Which source the topic is. Where PostgreSQL did not take one it is tried briefly.
    pub async fn identify(&mut self, topic: &TopicIdentity) -> Result<Identified, StoreError> {
        let is_whole = !self.unidentified.is_empty() && Instant::now() >= self.whole_try;
        let (limits, tries) = match (is_whole, self.unidentified.is_empty()) {
            (true, _) => (self.take_whole_try(), 1),
            (false, false) => (Arc::new(self.limits.brief()), 1),
            (false, true) => (Arc::new(self.limits.quick()), 2),
        };
        let begun = Instant::now();
        let shared = Arc::clone(&self.shared);
        let ask = async |connection: &mut PgConnection| {
            let (config, metrics) = (&shared.config, &shared.metrics);
            Asked::of(sources::identify(connection, (config, &limits), metrics, topic).await)
        };
        match self.ask(tries, ask).await? {
            Asked::Answered(Admission::Granted(source)) => {
                self.give_whole_try_to_next(is_whole);
                self.unidentified.remove(&topic.topic);
                self.shared.note_topic(source.id, topic);
                Ok(Identified::Source(source))
            }
            Asked::Answered(Admission::Refused(why)) => {
                Err(StoreError::Fatal(Failure::Configuration(why)))
            }
            Asked::NotTaken(why) => {
                self.note_not_taken();
                self.unidentified.insert(topic.topic.clone());
                Ok(Identified::NotTaken(why, again(begun.elapsed())))
            }
        }
    }

    /// Where to begin with each of the partitions.
    pub async fn locate(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        if let Some(detection) = &mut self.detection {
            questions.iter().for_each(|question| detection.forget(question.at));
        }
        self.put_on_trial(questions);
        let answers = self.answers(questions).await?;
        self.note_busy(&answers);
        for answer in &answers {
            match answer.start {
                // What was never written in this session may be missing from another server as well.
                Begin::At(next) => drop(self.reached.insert(answer.at, next)),
                Begin::Busy | Begin::AskKafka | Begin::Gap(_) | Begin::NotTaken { .. } => {}
            }
        }
        Ok(answers)
    }

    /// Those that were not taken before come last, and each alone.
    async fn answers(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        let (odd, others): (Vec<Question>, Vec<Question>) =
            questions.iter().cloned().partition(|question| self.unlocated.contains(&question.at));
        let limits = self.limits.quick();
        let mut answers = Vec::with_capacity(questions.len());
        while !others.is_empty() {
            match self.ask_where(&others, &limits, 2).await? {
                Asked::Answered(all) => answers.extend(all),
                // Somebody has locked a whole table, so that nothing can be asked or written.
                Asked::NotTaken(why) if !self.are_tables_free().await? => {
                    self.pause_for(&why).await;
                    continue;
                }
                Asked::NotTaken(_) => answers.extend(self.answers_apart(halves(&others)).await?),
            }
            break;
        }
        answers.extend(self.odd_answers(&odd).await?);
        Ok(answers)
    }

    /// Those that were not taken before, one by one, and each first now and then. What their tries
    /// take the others have five times, however many they are.
    async fn odd_answers(&mut self, odd: &[Question]) -> Result<Vec<Answer>, StoreError> {
        let begun = Instant::now();
        let left = self.ask_odd_from.saturating_duration_since(begun);
        if odd.is_empty() || !left.is_zero() {
            let then = Begin::NotTaken { why: OTHERS_FIRST.to_owned(), again: left };
            return Ok(odd.iter().map(|question| question.answered(then.clone())).collect());
        }
        let mut parts: Vec<&[Question]> = odd.chunks(1).collect();
        let turn = self.odd_turn % parts.len();
        parts.rotate_left(turn);
        self.odd_turn = turn + 1;
        let answers = self.answers_apart(parts).await?;
        self.ask_odd_from = Instant::now() + again(begun.elapsed()).saturating_sub(TRY_AGAIN);
        Ok(answers)
    }

    /// Parts of the questions, and briefly: those that are not taken are halved until what is not
    /// taken stands alone. Those that there is no time for are asked again.
    async fn answers_apart(
        &mut self,
        mut parts: Vec<&[Question]>,
    ) -> Result<Vec<Answer>, StoreError> {
        let until = Instant::now() + ASKING_APART;
        let mut answers = Vec::new();
        while let Some(part) = parts.pop() {
            let begun = Instant::now();
            if begun >= until {
                let then = Begin::NotTaken { why: OTHERS_FIRST.to_owned(), again: TRY_AGAIN };
                answers.extend(part.iter().map(|question| question.answered(then.clone())));
                continue;
            }
            let is_known = part.iter().all(|question| self.unlocated.contains(&question.at));
            let is_whole = is_known && begun >= self.whole_try;
            let limits = match is_whole {
                true => self.take_whole_try(),
                false => Arc::new(self.limits.glance()),
            };
            match (self.ask_where(part, &limits, 1).await?, part) {
                (Asked::Answered(all), _) => {
                    self.give_whole_try_to_next(is_whole);
                    for question in part {
                        self.unlocated.remove(&question.at);
                    }
                    answers.extend(all);
                }
                (Asked::NotTaken(why), [question]) => {
                    self.note_not_taken();
                    self.unlocated.insert(question.at);
                    let again = again(begun.elapsed());
                    answers.push(question.answered(Begin::NotTaken { why, again }));
                }
                (Asked::NotTaken(_), _) => parts.extend(halves(part)),
            }
        }
        Ok(answers)
    }

    async fn ask_where(
        &mut self,
        questions: &[Question],
        limits: &Limits,
        tries: u32,
    ) -> Result<Asked<Vec<Answer>>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let (config, metrics) = (&shared.config, &shared.metrics);
        // Ticks that no detector looks at would be a silence, and a jump, to those that go on from
        // before them.
        let forgets = self.detection.is_none();
        let partitions: Vec<SourcePartition> =
            questions.iter().map(|question| question.at).collect();
        let ask = async |connection: &mut PgConnection| {
            if forgets {
                let mut transaction = limits.begin(connection).await?;
                findings::clear(&mut transaction, &partitions).await?;
                transaction.commit().await?;
            }
            Asked::of(offsets::locate(connection, config, limits, metrics, questions).await)
        };
        self.ask(tries, ask).await
    }

    /// The first one that is not taken waits for its whole try.
    fn note_not_taken(&mut self) {
        if self.unlocated.is_empty() && self.unidentified.is_empty() && self.aside.is_empty() {
            self.put_off_whole_try();
        }
    }

    /// What is located anew may be tried once more. Whoever holds a lock may be frozen or gone,
    /// which is looked for when the connection is made.
    fn put_on_trial(&mut self, questions: &[Question]) {
        for question in questions {
            let Some(aside) = self.aside.get_mut(&question.at) else { continue };
            let is_locked = aside.is_for(Kind::Locked);
            if mem::take(&mut aside.held) == Held::Back && is_locked {
                self.connection = None;
                self.is_held_up = true;
            }
        }
    }

    /// An offset that stays locked for longer than any batch may take is a frozen writer's, which
    /// nothing else ends.
    fn note_busy(&mut self, answers: &[Answer]) {
        for answer in answers {
            if answer.start != Begin::Busy {
                self.busy_since.remove(&answer.at);
                continue;
            }
            let since = self.busy_since.entry(answer.at).or_insert_with(Instant::now);
            if since.elapsed() > self.limits.patience() {
                *since = Instant::now();
                self.connection = None;
                self.is_held_up = true;
            }
        }
    }
}
