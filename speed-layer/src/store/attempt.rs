//! One try on a live connection, what follows from its failure, and the pause before the next one.

use super::day_partitions::DayPartitions;
use super::limits::TimeLimits;
use super::look::note_database;
use super::offsets::{self, Moved};
use super::table::WriteError;
use super::tries::{CUTS, Cause, CauseKind, Try};
use super::verdict::Verdict;
use super::{Store, StoreError, sources};
use crate::handover::Position;
use crate::health::Health;
use crate::outage::Outage;
use crate::source::{SourceId, TopicIdentity};
use service::failure::one_line;
use service::{Failure, pg};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this time it is logged that a try takes long: longer than the short ones.
const LONG: Duration = Duration::from_secs(6);

impl Store {
    /// Asks until there is an answer, or PostgreSQL has not taken the question this many times:
    /// what is away is waited for.
    pub(super) async fn ask<T>(
        &mut self,
        tries: u32,
        mut work: impl AsyncFnMut(&mut PgConnection) -> sqlx::Result<QueryOutcome<T>>,
    ) -> Result<QueryOutcome<T>, StoreError> {
        let (mut not_taken, mut cuts) = (0, 0);
        loop {
            let (words, kind) = match self.attempt(&mut work).await? {
                Try::Done(QueryOutcome::Answered(answer)) => {
                    self.note_recovered();
                    return Ok(QueryOutcome::Answered(answer));
                }
                // The query itself may be why.
                Try::Cut(words) => {
                    cuts += 1;
                    if cuts < CUTS {
                        continue;
                    }
                    return Ok(QueryOutcome::Failed(Cause { words, kind: CauseKind::Failed }));
                }
                Try::Again => continue,
                Try::Unanswered(words) => {
                    self.pause_for(&words).await;
                    continue;
                }
                // Others wait, so nothing takes its time twice.
                Try::TooMuch(words) => {
                    return Ok(QueryOutcome::Failed(Cause { words, kind: CauseKind::Slow }));
                }
                Try::Done(QueryOutcome::Failed(cause)) => (cause.words, cause.kind),
                Try::Locked(words) => (words, CauseKind::Locked),
                Try::Refused(words) | Try::Broken(words) => (words, CauseKind::Failed),
            };
            not_taken += 1;
            if not_taken >= tries {
                return Ok(QueryOutcome::Failed(Cause { words, kind }));
            }
            self.pause_for(&words).await;
        }
    }

    /// Whether nobody has locked a whole table, so that a lock may be in the way of some partitions
    /// only.
    pub(super) async fn are_tables_free(&mut self) -> Result<bool, StoreError> {
        let limits = self.limits.short_lock();
        let look = async |connection: &mut PgConnection| limits.check_table_locks(connection).await;
        Ok(matches!(self.attempt(look).await?, Try::Done(())))
    }

    /// One try on a live connection; a pause after a failure that trying again may cure.
    pub(super) async fn attempt<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<Try<T>, StoreError> {
        let mut connection = match self.connect_if_needed().await {
            Ok(connection) => connection,
            Err(failure) => {
                self.pause(&failure).await;
                return Ok(Try::Again);
            }
        };
        let what = self.shared.database.what("writing to");
        let unchecked =
            self.is_unchecked.then(|| (self.written_positions(), self.shared.topics().clone()));
        let (limits, begun) = (Arc::clone(&self.limits), Instant::now());
        let working = async {
            match compare_database(&mut connection, &limits, unchecked.as_ref()).await? {
                Some(other) => Ok(Worked::Mismatch(other)),
                None => work(&mut connection).await.map(Worked::Done),
            }
        };
        let working = tokio::time::timeout(self.limits.patience(), working);
        let health = &self.shared.health;
        let Ok(worked) =
            with_time_limit(health, self.writer, &mut self.outage, &what, working).await
        else {
            drop(connection);
            return self.note_unanswered(what).await;
        };
        match worked {
            Ok(Worked::Done(done)) => {
                self.is_unchecked = false;
                self.connection = Some(connection);
                Ok(Try::Done(done))
            }
            Ok(Worked::Mismatch(DatabaseMismatch::RolledBack(moved))) => {
                Err(self.rolled_back(moved))
            }
            Ok(Worked::Mismatch(DatabaseMismatch::SourceIds(why))) => {
                self.shared.topics().clear();
                Err(StoreError::Fenced(why))
            }
            Err(error) => self.note_failed(connection, error, begun.elapsed()).await,
        }
    }

    /// Decides what to do after a try that PostgreSQL has not answered.
    async fn note_unanswered<T>(&mut self, what: String) -> Result<Try<T>, StoreError> {
        self.forget_day_partitions();
        self.is_held_up = true;
        self.unanswered += 1;
        let patience = self.limits.patience().as_secs();
        let why = format!("{what}: no answer within {patience} s (--writer-timeout)");
        // Once may be a standby that the commit waits for: then the next try finds a lock, or that
        // all is in.
        if self.unanswered > 1 {
            return Ok(Try::Unanswered(why));
        }
        self.pause_for(&why).await;
        Ok(Try::Again)
    }

    /// Decides what to do after a try that PostgreSQL has answered by an error.
    async fn note_failed<T>(
        &mut self,
        connection: PgConnection,
        error: sqlx::Error,
        took: Duration,
    ) -> Result<Try<T>, StoreError> {
        let verdict = Verdict::of(&error, took);
        // A lock may be that of the try before, which nobody waits for any more.
        if verdict != Verdict::Locked {
            self.unanswered = 0;
        }
        // Refused rows are data: were their day's partition the cause, the next try would be told.
        if !matches!(verdict, Verdict::Locked | Verdict::Refused(_)) {
            self.forget_day_partitions();
        }
        // Where only the way was cut, or something takes long by itself, nobody is to be ended for
        // it: an index may take longer.
        self.is_held_up = verdict == Verdict::Locked;
        match verdict {
            Verdict::Refused(_) => self.keep_after_rollback(connection).await,
            // Before the pause: the server counts it as long as it is open.
            _ => drop(connection),
        }
        let words = |error| self.shared.database.failure("writing to", error);
        Ok(match verdict {
            Verdict::Refused(words) => Try::Refused(words),
            Verdict::TooMuch(words) => Try::TooMuch(words),
            Verdict::Locked => Try::Locked(words(error).to_string()),
            Verdict::Broken => Try::Broken(pg::describe(&error)),
            Verdict::Cut => {
                let failure = words(error);
                self.pause(&failure).await;
                Try::Cut(failure.reason())
            }
            Verdict::Other => {
                let failure = words(error);
                self.pause(&failure).await;
                Try::Again
            }
        })
    }

    /// The list of day partitions that exist may be what is wrong.
    pub(super) fn forget_day_partitions(&mut self) {
        self.days = DayPartitions::default();
    }

    async fn connect_if_needed(&mut self) -> Result<PgConnection, Failure> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = self.shared.database.connect().await?;
        note_database(&self.shared, &mut connection).await?;
        self.is_unchecked = true;
        if std::mem::take(&mut self.is_held_up) {
            let ended = pg::in_time(
                self.limits.patience(),
                self.limits.end_blocking_sessions(&mut connection),
            )
            .await;
            let ended = ended.map_err(|error| {
                self.shared.database.failure("looking for abandoned sessions in", error)
            })?;
            if ended > 0 {
                tracing::warn!(
                    ended,
                    "ended {ended} sessions that held up this one: a frozen instance's, or upkeep's"
                );
            }
        }
        Ok(connection)
    }

    /// A connection whose statement was refused is good for the next one: with a new one for each,
    /// a few messages that are refused would hold up all others.
    async fn keep_after_rollback(&mut self, mut connection: PgConnection) {
        let rolled_back =
            pg::in_time(self.limits.patience(), sqlx::raw_sql("rollback").execute(&mut connection))
                .await;
        if rolled_back.is_ok() {
            self.connection = Some(connection);
        }
    }

    fn written_positions(&self) -> Vec<Position> {
        self.written_offsets.iter().map(|(at, next)| Position { at: *at, next: *next }).collect()
    }

    /// PostgreSQL works again: what was asked for is done, and not only a step on the way to it.
    pub(super) fn note_recovered(&mut self) {
        self.unanswered = 0;
        self.outage.over();
        self.shared.health.database.holds_for(self.writer);
    }

    /// Waits before what has failed is tried again.
    pub(super) async fn pause_after<T>(&mut self, failed: Try<T>) {
        if let Some(why) = failed.why() {
            self.pause_for(&why).await;
        }
    }

    pub(super) async fn pause_for(&mut self, why: &str) {
        self.shared.health.database.fails_for(self.writer, one_line(&why));
        self.outage.failed(&why).await;
    }

    /// Waits after a failure. Settings were right when the process began ([`Store::open`]):
    /// somebody has changed them since, or the failure passes. A restart would cure neither sooner.
    async fn pause(&mut self, failure: &Failure) {
        self.pause_for(&failure.reason()).await;
    }
}

/// Goes on with `work`, and logs it where that takes long.
pub(super) async fn with_time_limit<T>(
    health: &Health,
    writer: u8,
    outage: &mut Outage,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(LONG, &mut work).await {
        return done;
    }
    let why = format!("{what}: no answer for {} s, perhaps because of a lock", LONG.as_secs());
    health.database.fails_for(writer, why.clone());
    outage.waits(&why);
    work.await
}

/// The result of a query.
pub(super) enum QueryOutcome<T> {
    Answered(T),
    /// PostgreSQL answers, but not this.
    Failed(Cause),
}

impl<T> QueryOutcome<T> {
    /// Rows that were left out are a failure too, though PostgreSQL raised no error.
    pub(super) fn of(answer: Result<T, WriteError>) -> sqlx::Result<Self> {
        match answer {
            Ok(answer) => Ok(Self::Answered(answer)),
            Err(WriteError::LeftOut(words)) => {
                Ok(Self::Failed(Cause { words, kind: CauseKind::Failed }))
            }
            Err(WriteError::Sql(error)) => Err(error),
        }
    }
}

/// The result of work on a connection.
enum Worked<T> {
    Done(T),
    /// The work was not begun: the connection shows another database than was left.
    Mismatch(DatabaseMismatch),
}

/// How a database differs from the one that was left.
enum DatabaseMismatch {
    /// It is an older state of the same database.
    RolledBack(Moved),
    /// Its source ids mean other topics.
    SourceIds(String),
}

/// Whether a new connection shows another database than was left, or an older state of it.
async fn compare_database(
    connection: &mut PgConnection,
    limits: &TimeLimits,
    left: Option<&(Vec<Position>, BTreeMap<SourceId, TopicIdentity>)>,
) -> sqlx::Result<Option<DatabaseMismatch>> {
    let Some((positions, topics)) =
        left.filter(|(positions, topics)| !(positions.is_empty() && topics.is_empty()))
    else {
        return Ok(None);
    };
    let mut transaction = limits.begin(connection).await?;
    let other = match sources::source_ids_changed(&mut transaction, topics).await? {
        Some(why) => Some(DatabaseMismatch::SourceIds(why)),
        None => offsets::find_rolled_back(&mut transaction, positions)
            .await?
            .map(DatabaseMismatch::RolledBack),
    };
    transaction.commit().await?;
    Ok(other)
}
