//! Where to begin: what topics are to the database, and which offset of a partition is next. What
//! PostgreSQL does not take for one of them stops no other.

use super::attempt::Asked;
use super::limits::Limits;
use super::tries::{Kind, Why};
use super::unlocated::Part;
use super::{Held, Identified, Store, StoreError, findings, offsets, sources};
use crate::handover::{Answer, Begin, Question, TRY_AGAIN};
use crate::source::{SourcePartition, TopicIdentity};
use service::Failure;
use sources::Admission;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long questions that PostgreSQL does not take together are asked apart, before the writer's
/// batches have their turn.
const ASKING_APART: Duration = Duration::from_secs(5);

/// The longest pause before what was not taken is asked again.
const AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// When what was not taken is to be asked again: the others have five times as long.
fn again(took: Duration) -> Duration {
    (took * 5).clamp(TRY_AGAIN, AGAIN_WITHIN)
}

impl Store {
    /// Which source the topic is. Where PostgreSQL did not take one it is tried briefly.
    pub async fn identify(&mut self, topic: &TopicIdentity) -> Result<Identified, StoreError> {
        let since = self.unidentified.get(&topic.topic).copied();
        let is_whole = since.is_some_and(|since| self.is_whole_try_due(since));
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
                self.unidentified.entry(topic.topic.clone()).or_insert(begun);
                Ok(Identified::NotTaken(why.words, again(begun.elapsed())))
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
                Begin::At(next) | Begin::Behind(next) => drop(self.reached.insert(answer.at, next)),
                Begin::Busy | Begin::AskKafka | Begin::Gap(_) | Begin::NotTaken { .. } => {}
            }
        }
        Ok(answers)
    }

    /// Those that were not taken before come last, and apart.
    async fn answers(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        let (odd, others): (Vec<Question>, Vec<Question>) = questions
            .iter()
            .cloned()
            .partition(|question| self.unlocated.why(question.at).is_some());
        let limits = self.limits.quick();
        let mut answers = Vec::with_capacity(questions.len());
        while !others.is_empty() {
            match self.ask_where(&others, &limits, 2).await? {
                Asked::Answered(all) => answers.extend(all),
                // Somebody has locked a whole table, so that nothing can be asked or written.
                Asked::NotTaken(why) if !self.are_tables_free().await? => {
                    self.pause_for(&why.words).await;
                    continue;
                }
                Asked::NotTaken(why) => {
                    let partitions: Vec<_> = others.iter().map(|question| question.at).collect();
                    self.unlocated.put_in_halves(&partitions, &why.words);
                    self.ask_apart_from = Instant::now();
                    answers.extend(self.answers_apart(questions).await?);
                    return Ok(answers);
                }
            }
            break;
        }
        answers.extend(self.answers_apart(&odd).await?);
        Ok(answers)
    }

    /// Part by part, and briefly. What is not taken is halved until it stands alone. What there is
    /// no time for has its turn the next time: what is tried in vain, others have five times, and
    /// less while it is not known who cannot begin.
    async fn answers_apart(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        let begun = Instant::now();
        let mut answers = Vec::new();
        if !questions.is_empty() && begun >= self.ask_apart_from {
            let asked: BTreeMap<SourcePartition, &Question> =
                questions.iter().map(|question| (question.at, question)).collect();
            let (mut alone, mut in_vain) = (Vec::new(), Duration::ZERO);
            while begun.elapsed() < ASKING_APART
                && let Some(part) = self.unlocated.next(|at| asked.contains_key(&at))
            {
                let of_part: Vec<Question> =
                    part.partitions.iter().map(|at| asked[at].clone()).collect();
                let tried = Instant::now();
                match self.ask_part(&part, &of_part).await? {
                    Asked::Answered(all) => {
                        answers.extend(all);
                        continue;
                    }
                    Asked::NotTaken(Why { words, .. }) if of_part.len() == 1 => {
                        let alone_since = part.alone_since.or_else(|| Some(Instant::now()));
                        alone.push(Part { why: words, alone_since, ..part });
                    }
                    Asked::NotTaken(why) => {
                        self.unlocated.put_in_halves(&part.partitions, &why.words);
                    }
                }
                in_vain += tried.elapsed();
            }
            self.unlocated.put_back(alone);
            let are_known = self.unlocated.are_alone();
            let pause = if are_known { again(in_vain) } else { TRY_AGAIN };
            self.ask_apart_from = Instant::now() + pause;
        }
        let again = self.ask_apart_from.saturating_duration_since(Instant::now());
        answers.extend(questions.iter().filter_map(|question| {
            let why = self.unlocated.why(question.at)?.to_owned();
            Some(question.answered(Begin::NotTaken { why, again }))
        }));
        Ok(answers)
    }

    /// One that was not taken alone has the whole of `--writer-timeout` now and then.
    async fn ask_part(
        &mut self,
        part: &Part,
        questions: &[Question],
    ) -> Result<Asked<Vec<Answer>>, StoreError> {
        let is_whole = part.alone_since.is_some_and(|since| self.is_whole_try_due(since));
        let limits = match (is_whole, part.alone_since) {
            (true, _) => self.take_whole_try(),
            // It may need no more than that.
            (false, Some(_)) => Arc::new(self.limits.quick()),
            (false, None) => Arc::new(self.limits.glance()),
        };
        let asked = self.ask_where(questions, &limits, 1).await?;
        self.give_whole_try_to_next(is_whole && matches!(asked, Asked::Answered(_)));
        Ok(asked)
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
        Ok(match self.ask(tries, ask).await? {
            Asked::Answered((answers, rewinds)) => {
                Arc::make_mut(&mut self.rewinds).extend(rewinds);
                Asked::Answered(answers)
            }
            Asked::NotTaken(why) => Asked::NotTaken(why),
        })
    }

    /// What is located anew may be tried once more. Whoever holds a lock may be frozen or gone,
    /// which is looked for when the connection is made.
    fn put_on_trial(&mut self, questions: &[Question]) {
        for question in questions {
            let Some(aside) = self.aside.get_mut(&question.at) else { continue };
            let is_locked = aside.is_for(Kind::Locked);
            if mem::replace(&mut aside.held, Held::OnTrial) == Held::Back && is_locked {
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
