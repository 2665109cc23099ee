//! Upkeep of `realtime_stock`'s day partitions, during the writing: the next ones are made ahead of
//! time, old days are dropped, finished ones get the index that would have slowed their writing.

use crate::process::Process;
use crate::store::day_partitions;
use crate::store::limits::UPKEEP;
use common::Timestamp;
use service::Failure;
use service::pg::{self, Database, Limits, Timestamptz, in_time};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Time that an instance has for a look at the partitions, before another one may do the upkeep.
const LEASE: &str = include_str!("../sql/upkeep/lease.sql");
const RELEASE: &str = include_str!("../sql/upkeep/release.sql");

/// Longer than any statement takes that only looks, or makes two days.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// A lock that is not had within a short time is left for the next look, so that upkeep never holds
/// up writers for long. An index takes as long as its day has ticks.
const LIMITS: Limits =
    Limits { lock: Some(Duration::from_secs(2)), statement: Some(LONGEST_STATEMENT), idle: None };
const LONGEST_STATEMENT: Duration = Duration::from_secs(15 * 60);

const PARTITIONS: &str = include_str!("../sql/upkeep/partitions.sql");

/// A partition as it was found.
struct DayPartition {
    name: String,
    /// When the partition's day is over.
    end: Timestamp,
    inserted: i64,
    is_sealed: bool,
}

/// An action for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// The day ended as many days ago as are kept.
    Drop {
        keep: i32,
    },
    Seal,
}

/// Looks at the start and every `--upkeep-interval`, until shutdown. The first look only learns
/// which partitions are quiet.
pub async fn run(shared: Arc<Process>) {
    let mut upkeep = Upkeep {
        database: shared.database.with_application(UPKEEP),
        holder: shared.presence.number().to_owned(),
        retention_days: shared.config.retention_days,
        inserted_before: HashMap::new(),
    };
    let mut outage = shared.outage("partition upkeep");
    loop {
        let looked = tokio::select! {
            looked = upkeep.look() => looked,
            () = shared.stop.cancelled() => return,
        };
        match looked {
            Ok(()) => outage.over(),
            Err(error) => outage.failed(&error).await,
        }
        tokio::select! {
            () = tokio::time::sleep(shared.config.upkeep_interval) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

struct Upkeep {
    database: Database,
    /// This process, among all.
    holder: String,
    retention_days: Option<u32>,
    /// The last look's counts: a partition that has grown since is being written, whatever its day.
    inserted_before: HashMap<String, i64>,
}

impl Upkeep {
    /// One look at all partitions. An error at one of them does not stop the others.
    async fn look(&mut self) -> Result<(), Failure> {
        let mut connection = self.database.connect().await?;
        let failed =
            |error: sqlx::Error| self.database.failure("upkeep of the partitions in", error);
        if !in_time(LOOK_TIMEOUT, lease(&mut connection, &self.holder)).await.map_err(failed)? {
            return Ok(());
        }
        let made = in_time(LOOK_TIMEOUT, make_ahead(&mut connection)).await.map_err(failed);
        let (partitions, horizon) =
            in_time(LOOK_TIMEOUT, read_partitions(&mut connection)).await.map_err(failed)?;
        let mut first_trouble = made.err();
        for (name, task) in self.tasks(&partitions, horizon) {
            let leased = in_time(LOOK_TIMEOUT, lease(&mut connection, &self.holder)).await;
            let done = match leased {
                Ok(true) => {
                    in_time(
                        LONGEST_STATEMENT + LOOK_TIMEOUT,
                        carry_out(&mut connection, task, &name),
                    )
                    .await
                }
                Ok(false) => return Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                let failure = self.database.failure(&format!("upkeep of {name} in"), error);
                first_trouble.get_or_insert(failure);
                connection = self.database.connect().await?;
            }
        }
        in_time(LOOK_TIMEOUT, release(&mut connection, &self.holder))
            .await
            .map_err(|error| self.database.failure("upkeep of the partitions in", error))?;
        first_trouble.map_or(Ok(()), Err)
    }

    fn tasks(
        &mut self,
        partitions: &[DayPartition],
        horizon: Option<Timestamp>,
    ) -> Vec<(String, Task)> {
        let now = Timestamp::now();
        // As in the database: a clock that has jumped ahead, be it this one or the server's, makes
        // no day old.
        let horizon = horizon.map(|horizon| horizon.min(now));
        let before = std::mem::take(&mut self.inserted_before);
        let mut tasks = Vec::new();
        for partition in partitions {
            let is_quiet = before.get(&partition.name) == Some(&partition.inserted);
            let task = find_task(partition, is_quiet, now, horizon, self.retention_days);
            tasks.extend(task.map(|task| (partition.name.clone(), task)));
            self.inserted_before.insert(partition.name.clone(), partition.inserted);
        }
        tasks
    }
}

async fn lease(connection: &mut PgConnection, holder: &str) -> sqlx::Result<bool> {
    let mut transaction = LIMITS.begin(connection, &[]).await?;
    let seconds = LONGEST_STATEMENT.as_secs_f64() + 60.0;
    let leased =
        pg::within::query(LEASE).bind(holder).bind(seconds).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(leased.rows_affected() > 0)
}

async fn release(connection: &mut PgConnection, holder: &str) -> sqlx::Result<()> {
    let mut transaction = LIMITS.begin(connection, &[]).await?;
    pg::within::query(RELEASE).bind(holder).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Today's day and tomorrow's: while a vacuum of the whole table goes on, no day can be made for
/// the first tick that needs it.
async fn make_ahead(connection: &mut PgConnection) -> sqlx::Result<()> {
    let today = Timestamp::now().floor(Timestamp::DAY);
    let mut transaction = LIMITS.begin(connection, &[]).await?;
    day_partitions::make(&mut transaction, &[today, today.plus_micros(Timestamp::DAY)]).await?;
    transaction.commit().await
}

/// The partitions, and the instant from which retention counts back.
async fn read_partitions(
    connection: &mut PgConnection,
) -> sqlx::Result<(Vec<DayPartition>, Option<Timestamp>)> {
    let mut transaction = LIMITS.begin(connection, &[]).await?;
    let horizon: Option<Timestamptz> =
        pg::within::query_scalar("select realtime_horizon()").fetch_one(&mut *transaction).await?;
    let rows: Vec<(String, Timestamptz, i64, bool)> =
        pg::within::query_as(PARTITIONS).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let partitions = rows.into_iter().map(|(name, Timestamptz(end), inserted, is_sealed)| {
        DayPartition { name, end, inserted, is_sealed }
    });
    Ok((partitions.collect(), horizon.map(Timestamp::from)))
}

/// A partition is touched only when its day is over and nothing has been written into it for a
/// while.
fn find_task(
    partition: &DayPartition,
    is_quiet: bool,
    now: Timestamp,
    horizon: Option<Timestamp>,
    retention_days: Option<u32>,
) -> Option<Task> {
    let end = partition.end;
    if !is_quiet || end > now {
        return None;
    }
    let kept_until = |days: u32| end.plus_micros(i64::from(days).saturating_mul(Timestamp::DAY));
    let expired =
        retention_days.filter(|days| horizon.is_some_and(|horizon| kept_until(*days) <= horizon));
    match (expired.and_then(|days| i32::try_from(days).ok()), partition.is_sealed) {
        (Some(keep), _) => Some(Task::Drop { keep }),
        (None, false) => Some(Task::Seal),
        (None, true) => None,
    }
}

async fn carry_out(connection: &mut PgConnection, task: Task, name: &str) -> sqlx::Result<()> {
    let mut transaction = LIMITS.begin(connection, &[]).await?;
    let (query, message) = match task {
        Task::Drop { keep } => (
            pg::within::query_scalar("select drop_realtime_day($1, $2, true)")
                .bind(name)
                .bind(keep),
            "dropped partition {name}: older than --retention-days",
        ),
        Task::Seal => (
            pg::within::query_scalar("select seal_realtime_day($1)").bind(name),
            "indexed partition {name}: its day is over",
        ),
    };
    let done: bool = query.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    if done {
        let text = message.replace("{name}", name);
        tracing::info!(table = name, "{text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Timestamp = Timestamp::from_micros(20_000 * Timestamp::DAY);
    const NOW: Timestamp = Timestamp::from_micros(20_000 * Timestamp::DAY + Timestamp::HOUR);

    fn ended(days_ago: i64, is_sealed: bool) -> DayPartition {
        let end = TODAY.plus_micros((1 - days_ago) * Timestamp::DAY);
        DayPartition { name: String::new(), end, inserted: 0, is_sealed }
    }

    fn task_for(
        days_ago: i64,
        is_quiet: bool,
        is_sealed: bool,
        retention_days: Option<u32>,
    ) -> Option<Task> {
        find_task(&ended(days_ago, is_sealed), is_quiet, NOW, Some(NOW), retention_days)
    }

    #[test]
    fn a_day_that_is_not_over_or_is_being_written_is_left_alone() {
        assert_eq!(task_for(0, true, false, Some(1)), None);
        assert_eq!(task_for(9, false, false, Some(1)), None);
    }

    #[test]
    fn a_finished_day_is_sealed_once() {
        assert_eq!(task_for(1, true, false, None), Some(Task::Seal));
        assert_eq!(task_for(1, true, true, None), None);
    }

    #[test]
    fn a_day_is_dropped_when_its_end_is_as_many_days_ago_as_are_kept() {
        assert_eq!(task_for(8, true, true, Some(7)), Some(Task::Drop { keep: 7 }));
        assert_eq!(task_for(7, true, true, Some(7)), None);
        assert_eq!(task_for(900, true, true, None), None);
    }

    #[test]
    fn no_number_of_days_wraps_into_the_past() {
        for days in [1_000_000_000, 999_999_999, u32::MAX] {
            assert_eq!(task_for(900, true, true, Some(days)), None);
        }
    }

    #[test]
    fn a_clock_that_jumps_ahead_of_the_newest_ticks_drops_nothing() {
        let jumped = NOW.plus_micros(3650 * Timestamp::DAY);
        assert_eq!(find_task(&ended(3, true), true, jumped, Some(NOW), Some(7)), None);
        // Without ticks nothing is known to be old.
        assert_eq!(find_task(&ended(900, true), true, jumped, None, Some(7)), None);
    }
}
