//! [`Store`]: the one connection to PostgreSQL, and trying again until it works.

pub mod day_partitions;
#[cfg(test)]
mod model;
mod offsets;
mod statements;
mod transaction;

pub use day_partitions::DayPartitions;
pub use offsets::{Known, Located, Position};
pub use transaction::write_ticks;

use crate::batch::Batch;
use crate::outage::Outage;
use crate::{Config, Shared};
use anyhow::anyhow;
use common::{Failure, Timestamp};
use sqlx::PgConnection;
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
}

/// Why a batch or an assignment could not be completed.
pub enum StoreError {
    /// Another consumer has moved the partition's offset: this one writes nothing more in this session.
    Fenced(String),
    /// Only a person can help.
    Fatal(Failure),
}

impl Store {
    /// Connects, brings the tables up to date and makes sure that no other group writes the same ticks. `None` where
    /// the process was stopped meanwhile.
    pub async fn open(shared: &Arc<Shared>) -> Result<Option<Self>, Failure> {
        let mut outage = Outage::new("PostgreSQL");
        while !shared.stop.is_cancelled() {
            match Self::connect(shared).await {
                Ok(connection) => {
                    outage.over();
                    shared.health.database.set(true);
                    let days = DayPartitions::default();
                    return Ok(Some(Self { shared: Arc::clone(shared), connection: Some(connection), days, outage }));
                }
                Err(Failure::Infrastructure(error)) => outage.failed(shared, &format!("{error:#}")).await,
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    async fn connect(shared: &Shared) -> Result<PgConnection, Failure> {
        let mut connection = shared.database.connect_ready().await?;
        check_sole_group(&mut connection, shared).await?;
        Ok(connection)
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
                Some(Outcome::Fenced(why)) => {
                    self.shared.metrics.fences.inc();
                    return Err(StoreError::Fenced(why));
                }
            }
            return Ok(());
        }
    }

    /// Where to begin with each of the partitions.
    pub async fn positions(&mut self, known: &[Known]) -> Result<Located, StoreError> {
        loop {
            let shared = Arc::clone(&self.shared);
            let attempt = self.attempt(async |_, connection| offsets::positions(connection, &shared, known).await);
            match attempt.await? {
                None => continue,
                Some(Ok(located)) => return Ok(located),
                Some(Err(gap)) => return Err(StoreError::Fatal(Failure::Configuration(gap))),
            }
        }
    }

    /// Makes sure that the stored offsets are not behind `positions`, where they once were.
    pub async fn check(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        while !self.shared.stop.is_cancelled() {
            let shared = Arc::clone(&self.shared);
            let attempt =
                self.attempt(async |_, connection| offsets::behind(connection, &shared.config, positions).await);
            match attempt.await? {
                None => continue,
                Some(None) => return Ok(()),
                Some(Some(why)) => {
                    self.shared.metrics.fences.inc();
                    return Err(StoreError::Fenced(why));
                }
            }
        }
        Ok(())
    }

    async fn write_once(&mut self, connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<Outcome> {
        self.days.ensure(connection, &batch.days).await?;
        transaction::write(connection, &self.shared.config, batch).await
    }

    /// One try on a live connection. `None` after a failure that trying again may cure, and a pause.
    async fn attempt<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self, &mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.shared.database.connect().await {
                Ok(connection) => connection,
                Err(error) => return self.pause(error).await,
            },
        };
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, work(self, &mut connection)).await {
            Ok(Ok(done)) => {
                self.connection = Some(connection);
                self.outage.over();
                self.shared.health.database.set(true);
                return Ok(Some(done));
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

/// A second group would write every tick a second time: nearly always a changed flag rather than a wish.
async fn check_sole_group(connection: &mut PgConnection, shared: &Shared) -> Result<(), Failure> {
    let Config { topic, group_id, .. } = &shared.config;
    let other: Option<String> = sqlx::query_scalar(statements::OTHER_GROUP)
        .bind(topic)
        .bind(group_id)
        .fetch_optional(connection)
        .await
        .map_err(|error| shared.database.failure("reading kafka_offsets in", error))?;
    let Some(other) = other else {
        return Ok(());
    };
    Err(Failure::Configuration(anyhow!(
        "group \"{other}\" already writes topic {topic} into this database, and group \"{group_id}\" (--group-id) would \
         write each tick a second time; use the same group, another database, or delete the other group's rows from \
         kafka_offsets"
    )))
}
