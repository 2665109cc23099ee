//! Upkeep of `realtime_stock`'s day partitions, beside the writing: old days are dropped, finished ones get the index
//! that would have slowed their writing.

use crate::Shared;
use crate::outage::Outage;
use crate::store::day_partitions;
use common::{Failure, Timestamp};
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::HashMap;
use std::sync::Arc;

/// One instance does the upkeep; the others find the lock taken.
const LOCK: &str = "select pg_try_advisory_lock(hashtext('stocks.realtime_stock.upkeep'))";
const UNLOCK: &str = "select pg_advisory_unlock(hashtext('stocks.realtime_stock.upkeep'))";

/// A lock that is not had within this time is left for the next look, so that upkeep never holds up writers for long.
const LOCK_TIMEOUT: &str = "set lock_timeout = '2s'";

/// Every day partition, how many rows were ever inserted into it, and whether it has the index of a finished day.
const PARTITIONS: &str = "
    select c.relname, coalesce(s.n_tup_ins, 0),
           exists (select from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = c.oid and i.indisvalid and x.relname = c.relname || '_symbol_timestamp_idx')
    from pg_inherits h
         join pg_class c on c.oid = h.inhrelid
         left join pg_stat_user_tables s on s.relid = c.oid
    where h.inhparent = 'realtime_stock'::regclass and c.relnamespace = 'realtime_days'::regnamespace
    order by c.relname";

/// A partition as it was found.
struct Partition {
    name: String,
    day: Timestamp,
    inserted: i64,
    is_sealed: bool,
}

/// What is to be done with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Drop,
    Seal,
}

/// Looks every `--upkeep-interval` until shutdown.
pub async fn run(shared: Arc<Shared>) {
    let mut outage = Outage::new("partition upkeep");
    let mut inserted_before = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.config.upkeep_interval) => {}
            () = shared.stop.cancelled() => return,
        }
        match look(&shared, &mut inserted_before).await {
            Ok(()) => outage.over(),
            Err(error) => outage.failed(&shared, &error).await,
        }
    }
}

/// One look at all partitions. `inserted_before` remembers the last one's counts: a partition that has grown since is
/// being written, whatever its day.
async fn look(shared: &Shared, inserted_before: &mut HashMap<String, i64>) -> Result<(), Failure> {
    let mut connection = shared.database.connect().await?;
    let done = async {
        sqlx::query(LOCK_TIMEOUT).execute(&mut connection).await?;
        if !sqlx::query_scalar::<_, bool>(LOCK).fetch_one(&mut connection).await? {
            return Ok(());
        }
        let partitions = partitions(&mut connection).await?;
        let now = Timestamp::now();
        for partition in &partitions {
            let is_quiet =
                inserted_before.insert(partition.name.clone(), partition.inserted) == Some(partition.inserted);
            if let Some(task) = task(partition, is_quiet, now, shared.config.retention_days) {
                carry_out(&mut connection, task, &partition.name).await?;
            }
        }
        inserted_before.retain(|name, _| partitions.iter().any(|partition| partition.name == *name));
        sqlx::query(UNLOCK).execute(&mut connection).await.map(drop)
    };
    done.await.map_err(|error| shared.database.failure("upkeep of the partitions in", error))
}

async fn partitions(connection: &mut PgConnection) -> sqlx::Result<Vec<Partition>> {
    let rows: Vec<(String, i64, bool)> = sqlx::query_as(PARTITIONS).fetch_all(connection).await?;
    // A partition that a person has attached has another name, and is left alone.
    let ours = rows.into_iter().filter_map(|(name, inserted, is_sealed)| {
        let day = day_partitions::day(&name)?;
        Some(Partition { name, day, inserted, is_sealed })
    });
    Ok(ours.collect())
}

/// A partition is touched only when its day is over and nothing has been written into it for a while.
fn task(partition: &Partition, is_quiet: bool, now: Timestamp, retention_days: Option<u32>) -> Option<Task> {
    let end = partition.day.plus_micros(Timestamp::DAY);
    if !is_quiet || end > now {
        return None;
    }
    let is_expired = retention_days.is_some_and(|days| end.plus_micros(i64::from(days) * Timestamp::DAY) <= now);
    match (is_expired, partition.is_sealed) {
        (true, _) => Some(Task::Drop),
        (false, false) => Some(Task::Seal),
        (false, true) => None,
    }
}

async fn carry_out(connection: &mut PgConnection, task: Task, name: &str) -> sqlx::Result<()> {
    let statement = match task {
        Task::Drop => format!("drop table realtime_days.{name}"),
        // An index that was left invalid by a crash would keep its name.
        Task::Seal => format!("drop index if exists realtime_days.{name}_symbol_timestamp_idx"),
    };
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    if task == Task::Seal {
        // Concurrently, so that a tick that comes late after all is written meanwhile.
        let statement = format!(
            "create index concurrently {name}_symbol_timestamp_idx on realtime_days.{name} (symbol, timestamp)"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    match task {
        Task::Drop => tracing::info!("dropped partition {name}: older than --retention-days"),
        Task::Seal => tracing::info!("indexed partition {name}: its day is over"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Timestamp = Timestamp::from_micros(20_000 * Timestamp::DAY);

    fn task_for(days_ago: i64, is_quiet: bool, is_sealed: bool, retention_days: Option<u32>) -> Option<Task> {
        let day = TODAY.plus_micros(-days_ago * Timestamp::DAY);
        let partition = Partition { name: String::new(), day, inserted: 0, is_sealed };
        task(&partition, is_quiet, TODAY.plus_micros(Timestamp::HOUR), retention_days)
    }

    #[test]
    fn a_day_that_is_not_over_or_is_being_written_is_left_alone() {
        assert_eq!(task_for(0, true, false, Some(0)), None);
        assert_eq!(task_for(9, false, false, Some(1)), None);
    }

    #[test]
    fn a_finished_day_is_sealed_once() {
        assert_eq!(task_for(1, true, false, None), Some(Task::Seal));
        assert_eq!(task_for(1, true, true, None), None);
    }

    #[test]
    fn a_day_is_dropped_when_its_end_is_as_many_days_ago_as_are_kept() {
        assert_eq!(task_for(8, true, true, Some(7)), Some(Task::Drop));
        assert_eq!(task_for(7, true, true, Some(7)), None);
        assert_eq!(task_for(900, true, true, None), None);
    }
}
