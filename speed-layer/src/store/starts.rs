//! Where to begin: which source a topic is, and which offset of a partition is next. A refusal for
//! one of them stops no other.

use super::attempt::QueryOutcome;
use super::limits::TimeLimits;
use super::tries::{Cause, CauseKind};
use super::unresolved::Part;
use super::{Identified, QuarantineState, Store, StoreError, findings, offsets, sources};
use crate::handover::{HELD_BACK_RETRY, StartAnswer, StartQuery, StartResolution};
use crate::source::{SourcePartition, TopicIdentity};
use service::Failure;
use sources::Admission;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long partitions whose query failed are queried apart, before the writer's batches have their
/// turn.
const PARTS_TIME: Duration = Duration::from_secs(5);

/// The longest pause before what was not taken is asked again.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// The pause before a query that failed is tried again: the others have five times as long.
fn retry_delay(took: Duration) -> Duration {
    (took * 5).clamp(HELD_BACK_RETRY, MAX_RETRY_DELAY)
}

impl Store {
    /// Which source the topic is. While some topic is not taken, each is tried for a short time.
    ///
    /// # Errors
    /// If the topic must not be read, or the database is another one than before.
    pub async fn identify(&mut self, topic: &TopicIdentity) -> Result<Identified, StoreError> {
        let since = self.unidentified.get(&topic.topic).copied();
        let is_full_try = since.is_some_and(|since| self.is_full_try_due(since));
        let (limits, tries) = match (is_full_try, self.unidentified.is_empty()) {
            (true, _) => (self.take_full_timeout(), 1),
            (false, false) => (Arc::new(self.limits.short_lock()), 1),
            (false, true) => (Arc::new(self.limits.short()), 2),
        };
        let begun = Instant::now();
        let shared = Arc::clone(&self.shared);
        let ask = async |connection: &mut PgConnection| {
            let (config, metrics) = (&shared.config, &shared.metrics);
            QueryOutcome::of(sources::identify(connection, config, &limits, metrics, topic).await)
        };
        match self.ask(tries, ask).await? {
            QueryOutcome::Answered(Admission::Granted(source)) => {
                self.allow_full_try_now(is_full_try);
                self.unidentified.remove(&topic.topic);
                self.shared.note_topic(source.id, topic);
                Ok(Identified::Source(source))
            }
            QueryOutcome::Answered(Admission::Refused(why)) => {
                Err(StoreError::Fatal(Failure::Configuration(why)))
            }
            QueryOutcome::Failed(cause) => {
                self.unidentified.entry(topic.topic.clone()).or_insert(begun);
                Ok(Identified::Failed {
                    why: cause.words,
                    retry_after: retry_delay(begun.elapsed()),
                })
            }
        }
    }

    /// Where to begin with each of the partitions.
    ///
    /// # Errors
    /// If the database is another one than before, or only a person can help.
    pub async fn resolve_starts(
        &mut self,
        questions: &[StartQuery],
    ) -> Result<Vec<StartAnswer>, StoreError> {
        if let Some(detection) = &mut self.detection {
            questions.iter().for_each(|question| detection.forget(question.at));
        }
        self.begin_probing(questions);
        let answers = self.query_starts(questions).await?;
        self.note_busy(&answers);
        for answer in &answers {
            match answer.resolution {
                // A partition that was never written in this session may be missing from another
                // server as well.
                StartResolution::At(next) | StartResolution::AfterGap(next) => {
                    self.written_offsets.insert(answer.at, next);
                }
                StartResolution::Locked
                | StartResolution::NeverRead
                | StartResolution::GapNeedsDecision(_)
                | StartResolution::Failed { .. } => {}
            }
        }
        Ok(answers)
    }

    /// Queries that failed before come last, and in parts.
    async fn query_starts(
        &mut self,
        questions: &[StartQuery],
    ) -> Result<Vec<StartAnswer>, StoreError> {
        let (failed_before, others): (Vec<StartQuery>, Vec<StartQuery>) = questions
            .iter()
            .cloned()
            .partition(|question| self.unresolved.why(question.at).is_some());
        let limits = self.limits.short();
        let mut answers = Vec::with_capacity(questions.len());
        while !others.is_empty() {
            match self.query_part(&others, &limits, 2).await? {
                QueryOutcome::Answered(all) => answers.extend(all),
                // Somebody has locked a whole table, so that nothing can be asked or written.
                QueryOutcome::Failed(cause) if !self.are_tables_free().await? => {
                    self.pause_for(&cause.words).await;
                    continue;
                }
                QueryOutcome::Failed(cause) => {
                    let partitions: Vec<_> = others.iter().map(|question| question.at).collect();
                    self.unresolved.split(&partitions, &cause.words);
                    self.next_query_apart = Instant::now();
                    answers.extend(self.query_in_parts(questions).await?);
                    return Ok(answers);
                }
            }
            break;
        }
        answers.extend(self.query_in_parts(&failed_before).await?);
        Ok(answers)
    }

    /// Queries part by part, for a short time each. A part that fails is halved until the partition
    /// that fails is alone. Parts for which there is no time have their turn the next time: the
    /// others have five times as long as the failed tries took, and less while it is not known
    /// which partitions fail.
    async fn query_in_parts(
        &mut self,
        questions: &[StartQuery],
    ) -> Result<Vec<StartAnswer>, StoreError> {
        let begun = Instant::now();
        let mut answers = Vec::new();
        if !questions.is_empty() && begun >= self.next_query_apart {
            let asked: BTreeMap<SourcePartition, &StartQuery> =
                questions.iter().map(|question| (question.at, question)).collect();
            let (mut alone, mut failed_for) = (Vec::new(), Duration::ZERO);
            while begun.elapsed() < PARTS_TIME
                && let Some(part) = self.unresolved.next(|at| asked.contains_key(&at))
            {
                let of_part: Vec<StartQuery> =
                    part.partitions.iter().map(|at| asked[at].clone()).collect();
                let tried = Instant::now();
                match self.ask_part(&part, &of_part).await? {
                    QueryOutcome::Answered(all) => {
                        answers.extend(all);
                        continue;
                    }
                    QueryOutcome::Failed(Cause { words, .. }) if of_part.len() == 1 => {
                        let alone_since = part.alone_since.or_else(|| Some(Instant::now()));
                        alone.push(Part { why: words, alone_since, ..part });
                    }
                    QueryOutcome::Failed(cause) => {
                        self.unresolved.split(&part.partitions, &cause.words);
                    }
                }
                failed_for += tried.elapsed();
            }
            self.unresolved.put_back(alone);
            let are_known = self.unresolved.are_alone();
            let pause = if are_known { retry_delay(failed_for) } else { HELD_BACK_RETRY };
            self.next_query_apart = Instant::now() + pause;
        }
        let retry_after = self.next_query_apart.saturating_duration_since(Instant::now());
        answers.extend(questions.iter().filter_map(|question| {
            let why = self.unresolved.why(question.at)?.to_owned();
            Some(question.answer(StartResolution::Failed { why, retry_after }))
        }));
        Ok(answers)
    }

    /// A partition that fails alone has the whole of `--writer-timeout` now and then.
    async fn ask_part(
        &mut self,
        part: &Part,
        questions: &[StartQuery],
    ) -> Result<QueryOutcome<Vec<StartAnswer>>, StoreError> {
        let is_full_try = part.alone_since.is_some_and(|since| self.is_full_try_due(since));
        let limits = match (is_full_try, part.alone_since) {
            (true, _) => self.take_full_timeout(),
            // It may need no more than that.
            (false, Some(_)) => Arc::new(self.limits.short()),
            (false, None) => Arc::new(self.limits.shortest()),
        };
        let asked = self.query_part(questions, &limits, 1).await?;
        self.allow_full_try_now(is_full_try && matches!(asked, QueryOutcome::Answered(_)));
        Ok(asked)
    }

    async fn query_part(
        &mut self,
        questions: &[StartQuery],
        limits: &TimeLimits,
        tries: u32,
    ) -> Result<QueryOutcome<Vec<StartAnswer>>, StoreError> {
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
            QueryOutcome::of(
                offsets::resolve_starts(connection, config, limits, metrics, questions).await,
            )
        };
        Ok(match self.ask(tries, ask).await? {
            QueryOutcome::Answered(resolved) => {
                offsets::log_recorded(&resolved.gaps, &shared);
                Arc::make_mut(&mut self.rewinds).extend(resolved.rewinds);
                QueryOutcome::Answered(resolved.answers)
            }
            QueryOutcome::Failed(cause) => QueryOutcome::Failed(cause),
        })
    }

    /// A partition whose start is resolved again may be tried once more. The holder of a lock may
    /// be frozen or gone, which is looked for when the connection is made.
    fn begin_probing(&mut self, questions: &[StartQuery]) {
        for question in questions {
            let Some(quarantine) = self.quarantined.get_mut(&question.at) else { continue };
            let is_locked = quarantine.is_for(CauseKind::Locked);
            if mem::replace(&mut quarantine.state, QuarantineState::Probing)
                == QuarantineState::Blocked
                && is_locked
            {
                self.connection = None;
                self.is_held_up = true;
            }
        }
    }

    /// An offset that stays locked for longer than any batch may take is a frozen writer's, which
    /// nothing else ends.
    fn note_busy(&mut self, answers: &[StartAnswer]) {
        for answer in answers {
            if answer.resolution != StartResolution::Locked {
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
