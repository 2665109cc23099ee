//! [`Store`]: the one connection to PostgreSQL, and trying again until it works.

pub mod day_partitions;
#[cfg(test)]
mod model;
mod offsets;
mod sources;
mod statements;
mod transaction;

pub use day_partitions::DayPartitions;
pub use transaction::write_ticks;

use crate::Shared;
use crate::batch::Batch;
use crate::handover::{Answer, Position, Question};
use crate::outage::Outage;
use crate::source::{Source, SourceId, SourcePartition, TopicIdentity};
use anyhow::anyhow;
use common::{Failure, Timestamp};
use offsets::Moved;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transaction::Outcome;

/// Longer than any statement takes that still goes on; then the connection counts as dead.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// PostgreSQL, as the session sees it.
pub struct Store {
    shared: Arc<Shared>,
    connection: Option<PgConnection>,
    days: DayPartitions,
    outage: Outage,
    /// The topics' names, for messages.
    topics: BTreeMap<SourceId, String>,
    /// How far each partition was when this connection's predecessor last wrote or looked: after a failover to an older
    /// state not only the partitions of the next batch are to be compared, but all of them.
    reached: BTreeMap<SourcePartition, i64>,
    /// The connection is new: what it shows has not been compared with `reached`.
    is_unchecked: bool,
}

/// Why a batch or an assignment could not be completed.
pub enum StoreError {
    /// Another consumer has moved the partition's offset: this one writes nothing more in this session.
    Fenced(String),
    /// Only a person can help.
    Fatal(Failure),
}

impl Store {
    /// Connects and brings the tables up to date. `None` where the process was stopped meanwhile.
    pub async fn open(shared: &Arc<Shared>) -> Result<Option<Self>, Failure> {
        let mut outage = Outage::new("PostgreSQL");
        while !shared.stop.is_cancelled() {
            match shared.database.connect_ready().await {
                Ok(connection) => {
                    outage.over();
                    shared.health.database.set(true);
                    return Ok(Some(Self::new(shared, Some(connection), outage)));
                }
                Err(Failure::Infrastructure(error)) => outage.failed(shared, &format!("{error:#}")).await,
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// One more writer, which connects when it is needed.
    pub fn another(shared: &Arc<Shared>) -> Self {
        Self::new(shared, None, Outage::new("PostgreSQL"))
    }

    fn new(shared: &Arc<Shared>, connection: Option<PgConnection>, outage: Outage) -> Self {
        Self {
            shared: Arc::clone(shared),
            connection,
            days: DayPartitions::default(),
            outage,
            topics: BTreeMap::new(),
            reached: BTreeMap::new(),
            is_unchecked: false,
        }
    }

    /// Forgets the session before: its positions are read anew.
    pub fn begin_session(&mut self) {
        self.reached.clear();
    }

    /// Writes a batch in one transaction, trying until it is in or another consumer has moved its partitions.
    pub async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        loop {
            let begun = Instant::now();
            match self.attempt(async |store, connection| store.write_once(connection, batch).await).await? {
                None => continue,
                Some(Outcome::Written) => self.shared.metrics.written(batch, begun.elapsed(), Timestamp::now()),
                // The commit of an earlier try got through although its answer was lost.
                Some(Outcome::WrittenBefore) => {
                    self.shared.metrics.written(batch, Duration::ZERO, Timestamp::now());
                }
                Some(Outcome::Fenced(moved)) => {
                    self.shared.metrics.fences.inc();
                    return Err(StoreError::Fenced(format!(
                        "another instance has moved {}: the stored offset is {}, expected {}",
                        self.name(moved.at),
                        moved.found(),
                        moved.expected
                    )));
                }
            }
            self.reached.extend(batch.ranges.iter().map(|range| (range.at, range.next)));
            return Ok(());
        }
    }

    /// Which sources the topics are.
    pub async fn identify(&mut self, topics: &[TopicIdentity]) -> Result<Vec<Source>, StoreError> {
        let mut sources = Vec::with_capacity(topics.len());
        for topic in topics {
            let shared = Arc::clone(&self.shared);
            let source = loop {
                let attempt =
                    self.attempt(async |_, connection| sources::identify(connection, &shared.config, topic).await);
                match attempt.await? {
                    None => {}
                    Some(Ok(source)) => break source,
                    Some(Err(error)) => return Err(StoreError::Fatal(Failure::Configuration(error))),
                }
            };
            self.topics.insert(source.id, source.topic.clone());
            sources.push(source);
        }
        Ok(sources)
    }

    /// Where to begin with each of the partitions.
    pub async fn locate(&mut self, questions: &[Question]) -> Result<Vec<Answer>, StoreError> {
        loop {
            let shared = Arc::clone(&self.shared);
            let (config, metrics) = (&shared.config, &shared.metrics);
            let attempt =
                self.attempt(async |_, connection| offsets::locate(connection, config, metrics, questions).await);
            if let Some(answers) = attempt.await? {
                return Ok(answers);
            }
        }
    }

    /// Makes sure that the stored offsets are not behind `positions`, where they once were.
    pub async fn check(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        while !self.shared.stop.is_cancelled() {
            match self.attempt(async |_, connection| offsets::behind(connection, positions).await).await? {
                None => continue,
                Some(None) => return Ok(()),
                Some(Some(moved)) => return Err(self.is_older(moved)),
            }
        }
        Ok(())
    }

    fn is_older(&self, moved: Moved) -> StoreError {
        self.shared.metrics.fences.inc();
        StoreError::Fenced(format!(
            "the database is an older state of itself: the stored offset of {} is {}, but {} was committed; what is \
             missing is read again",
            self.name(moved.at),
            moved.found(),
            moved.expected
        ))
    }

    /// `topic/partition`, for messages.
    fn name(&self, at: SourcePartition) -> String {
        match self.topics.get(&at.source) {
            Some(topic) => format!("{topic}/{}", at.partition),
            None => format!("source {}, partition {}", at.source, at.partition),
        }
    }

    async fn write_once(&mut self, connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<Outcome> {
        self.days.ensure(connection, &batch.days).await?;
        transaction::write(connection, batch).await
    }

    /// One try on a live connection. `None` after a failure that trying again may cure, and a pause.
    async fn attempt<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self, &mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.shared.database.connect().await {
                Ok(connection) => {
                    self.is_unchecked = true;
                    connection
                }
                Err(error) => return self.pause(error).await,
            },
        };
        let attempt = async {
            if let Some(moved) = self.check_new(&mut connection).await? {
                return Ok(Err(self.is_older(moved)));
            }
            work(self, &mut connection).await.map(Ok)
        };
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await {
            Ok(Ok(done)) => {
                self.connection = Some(connection);
                self.outage.over();
                self.shared.health.database.set(true);
                return done.map(Some);
            }
            Ok(Err(error)) => self.shared.database.failure("writing to", error),
            Err(_) => Failure::Infrastructure(anyhow!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs())),
        };
        // The connection may be in the middle of anything: a new one costs less than finding out. What was known of
        // partitions may be what is wrong.
        drop(connection);
        self.days = DayPartitions::default();
        self.pause(error).await
    }

    /// Which partition a new connection shows behind where it was, if any.
    async fn check_new(&mut self, connection: &mut PgConnection) -> sqlx::Result<Option<Moved>> {
        if !self.is_unchecked {
            return Ok(None);
        }
        let reached: Vec<Position> = self.reached.iter().map(|(at, next)| Position { at: *at, next: *next }).collect();
        let behind = if reached.is_empty() { None } else { offsets::behind(connection, &reached).await? };
        self.is_unchecked = behind.is_some();
        Ok(behind)
    }

    async fn pause<T>(&mut self, error: Failure) -> Result<Option<T>, StoreError> {
        self.shared.health.database.set(false);
        match error {
            Failure::Infrastructure(error) => {
                self.outage.failed(&self.shared, &format!("{error:#}")).await;
                Ok(None)
            }
            failure => Err(StoreError::Fatal(failure)),
        }
    }
}
