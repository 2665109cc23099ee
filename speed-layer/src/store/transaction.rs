//! One batch, one transaction: ticks, bars, anomalies, rejects and offsets together, or nothing.

use super::limits::{COMMIT, TimeLimits};
use super::offsets::{Rewinds, WriteOutcome};
use super::table::{Table, WriteError, all_in};
use super::{findings, offsets, statements};
use crate::batch::{Batch, RejectedMessage, Rows, SortedBars};
use crate::detection::Detecting;
use service::pg;
use service::pg::Timestamptz;
use service::pg::bars::Columns;
use service::telemetry::TRACED;
use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use tracing::{Instrument, info_span};

/// Batches up to this size are examined after COPY: they are too short to overlap with it, and the
/// detectors' states stay true if PostgreSQL refuses them.
const DETECT_AFTER_COPY_MAX: u32 = 4096;

/// A batch that is to be written.
#[derive(Clone, Copy)]
pub struct WriteTask<'a> {
    pub batch: &'a Batch,
    /// How often the offsets had been moved back when the starts were resolved.
    pub rewinds: &'a Rewinds,
    pub limits: &'a TimeLimits,
}

/// Writes the batch unless another consumer has moved its partitions' offsets. `meanwhile` runs
/// while PostgreSQL is busy with the rows that it was sent. `at` is set to the table that is being
/// written.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks; the connection is then in the
/// middle of the transaction, and of no use.
pub async fn write(
    connection: &mut PgConnection,
    task: WriteTask<'_>,
    detecting: &mut Detecting<'_>,
    meanwhile: impl FnOnce(),
    at: &mut Table,
) -> sqlx::Result<WriteOutcome> {
    let WriteTask { batch, rewinds, limits } = task;
    *at = Table::Begin;
    let lock = offsets::begin_and_lock(connection, limits, &batch.ranges);
    let locked = lock.instrument(info_span!(target: TRACED, "lock_offsets")).await?;
    let moved_back = offsets::moved_back(&locked, rewinds, &batch.ranges);
    if let Some(not_ours) = moved_back.or_else(|| offsets::compare(&locked.stored, &batch.ranges)) {
        sqlx::raw_sql("rollback").execute(connection).await?;
        return Ok(not_ours);
    }
    let span = info_span!(target: TRACED, "write");
    match write_all(connection, batch, detecting, meanwhile, at).instrument(span).await {
        Ok(()) => {}
        Err(WriteError::Sql(error)) => return Err(error),
        Err(WriteError::LeftOut(words)) => {
            sqlx::raw_sql("rollback").execute(connection).await?;
            return Ok(WriteOutcome::LeftOut(words));
        }
    }
    let commit = sqlx::raw_sql(COMMIT).execute(connection);
    commit.instrument(info_span!(target: TRACED, "commit")).await?;
    Ok(WriteOutcome::Written)
}

async fn write_all(
    connection: &mut PgConnection,
    batch: &Batch,
    detecting: &mut Detecting<'_>,
    meanwhile: impl FnOnce(),
    at: &mut Table,
) -> Result<(), WriteError> {
    let detect = || {
        meanwhile();
        if batch.messages > DETECT_AFTER_COPY_MAX {
            detecting.detected();
        }
    };
    write_rows(connection, batch, detect, at).await?;
    *at = Table::Detectors;
    findings::write(connection, detecting.detected()).await?;
    *at = Table::RejectedTicks;
    insert_rejects(connection, &batch.rejects).await?;
    *at = Table::KafkaGaps;
    all_in(*at, offsets::record(connection, &batch.gaps).await?, batch.gaps.len())?;
    *at = Table::KafkaOffsets;
    all_in(*at, offsets::advance(connection, &batch.ranges).await?, batch.ranges.len())
}

/// The ticks and their bars alone.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks; the transaction is then of no use.
pub async fn write_ticks(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    Ok(write_rows(connection, batch, || (), &mut Table::RealtimeStock).await?)
}

/// `meanwhile`: what may be done while PostgreSQL is busy with the ticks.
async fn write_rows(
    connection: &mut PgConnection,
    batch: &Batch,
    meanwhile: impl FnOnce(),
    at: &mut Table,
) -> Result<(), WriteError> {
    let mut bars = None;
    let prepare = || {
        meanwhile();
        let minutes = batch.sorted_bars();
        let hours = minutes.hours();
        bars = Some((BarRows::of(minutes), BarRows::of(hours)));
    };
    *at = Table::RealtimeStock;
    all_in(*at, copy_rows(connection, &batch.rows, prepare).await?, batch.rows.count() as usize)?;
    let Some((minutes, hours)) = bars else {
        return Ok(());
    };
    *at = Table::MinuteBars;
    minutes?.merge(connection, &statements::MERGE_MINUTE_BARS, *at).await?;
    *at = Table::HourBars;
    hours?.merge(connection, &statements::MERGE_HOUR_BARS, *at).await
}

/// Bars that one statement takes. Their parameters are in memory three times.
const BARS_PER_STATEMENT: usize = 8192;

/// Bars as they are sent.
struct BarRows<'a> {
    bars: SortedBars<'a>,
    /// The bars that are sent next.
    encoded: Encoded,
}

struct Encoded {
    count: usize,
    arguments: PgArguments,
}

impl<'a> BarRows<'a> {
    fn of(mut bars: SortedBars<'a>) -> sqlx::Result<Self> {
        Ok(Self { encoded: Encoded::next_of(&mut bars)?, bars })
    }

    async fn merge(
        mut self,
        connection: &mut PgConnection,
        statement: &'static str,
        table: Table,
    ) -> Result<(), WriteError> {
        while self.encoded.count > 0 {
            let Encoded { count, arguments } = self.encoded;
            let merged =
                pg::within::query_with(statement, arguments).execute(&mut *connection).await?;
            all_in(table, merged.rows_affected(), count)?;
            self.encoded = Encoded::next_of(&mut self.bars)?;
        }
        Ok(())
    }
}

impl Encoded {
    fn next_of(bars: &mut SortedBars<'_>) -> sqlx::Result<Self> {
        let bars: Vec<_> = bars.take(BARS_PER_STATEMENT).collect();
        let rows: Vec<_> = bars.iter().map(|(symbol, start, bar)| (*symbol, *start, bar)).collect();
        Ok(Self { count: rows.len(), arguments: Columns::All.arguments(&rows)? })
    }
}

/// How many rows PostgreSQL took. `meanwhile` runs when all that fits the sockets' buffers is in
/// them, so that PostgreSQL has something to do.
async fn copy_rows(
    connection: &mut PgConnection,
    rows: &Rows,
    meanwhile: impl FnOnce(),
) -> sqlx::Result<u64> {
    /// Large enough to cost few system calls, small enough that the client's own buffer stays
    /// small.
    const CHUNK: usize = 128 * 1024;
    let mut taken = 0;
    let mut meanwhile = Some(meanwhile);
    for (statement, stream) in rows.copies() {
        let mut copy = connection.copy_in_raw(statement).await?;
        for chunk in stream.chunks(CHUNK) {
            copy.send(chunk).await?;
        }
        copy.send(Rows::trailer()).await?;
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        taken += copy.finish().await?;
    }
    // Not a single tick.
    if let Some(meanwhile) = meanwhile {
        meanwhile();
    }
    Ok(taken)
}

async fn insert_rejects(
    connection: &mut PgConnection,
    rejects: &[RejectedMessage],
) -> Result<(), WriteError> {
    if rejects.is_empty() {
        return Ok(());
    }
    let inserted = pg::within::query(statements::INSERT_REJECTS)
        .bind(rejects.iter().map(|r| r.at.source).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.at.partition).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.offset).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.index.cast_signed()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.reject.reason.as_str()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.reject.detail.as_str()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value.as_deref()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value_bytes).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.value_sha256.as_deref()).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.kafka_timestamp.map(Timestamptz)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    if inserted.rows_affected() == rejects.len() as u64 {
        return Ok(());
    }
    // Some may have been there already.
    let there: i64 = pg::within::query_scalar(statements::COUNT_REJECTS)
        .bind(rejects.iter().map(|r| r.at.source).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.at.partition).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.offset).collect::<Vec<_>>())
        .bind(rejects.iter().map(|r| r.index.cast_signed()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    all_in(Table::RejectedTicks, there.cast_unsigned(), rejects.len())
}
