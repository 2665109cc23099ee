//! Whether the archive shows an hour completely: `archive_hours`.
//!
//! The speed layer reads the topic on its own; an hour of which it has more ticks than the archive is incomplete, and is
//! looked at in each run until it is not, however far back it lies. So is an hour that a broken object holds back. Of an
//! hour that the speed layer knows nothing of, nothing tells what is missing: it counts as complete, and its reason says so.

use crate::hour::Hour;
use crate::index::Index;
use crate::lock::{self, Hold};
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::in_time;
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Hours whose numbers of ticks are compared in each run. Older ones are looked at where the batch layer has none at all.
const COMPARED_HOURS: i64 = 35 * 24;

/// Hours outside of the window whose folders a run lists at most; those that were listed longest ago come first.
const LISTED_AT_MOST: i64 = 1000;

/// What was found of the hours that were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub incomplete: u64,
    /// One of them, with the reason.
    pub example: Option<String>,
    /// Hours of the window of which only the speed layer has ticks.
    pub speed_only: u64,
}

/// Hours before `due` of which something is missing, without those whose folders were listed within the hour.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn wanting(index: &mut Index, due: Hour) -> Result<BTreeSet<Hour>, Failure> {
    // Hops from one hour to the next in the index of hour_bars, which has a row for each symbol.
    let hours = pg::query_scalar(
        "with recursive seen (hour) as
             ((select hour from hour_bars order by hour limit 1)
              union all
              select (select b.hour from hour_bars b where b.hour > seen.hour order by b.hour limit 1)
              from seen
              where seen.hour is not null),
             missing as
             (select hour from seen where hour < $1 and not exists (select from batch_hours b where b.hour = seen.hour)
              union
              select s.hour
              from (select hour, sum(ticks) as ticks from hour_bars where hour >= $2 and hour < $1 group by hour) s
                       join batch_hours b on b.hour = s.hour
              where s.ticks > b.ticks + b.withdrawn
              union
              select hour from archive_hours where status = 'incomplete' and hour < $1)
         select hour
         from missing left join archive_hours a using (hour)
         where a.listed_at is null or a.listed_at < now() - interval '1 hour'
         order by a.listed_at nulls first, hour desc
         limit $3",
    )
    .bind(due.start())
    .bind(due.plus(-COMPARED_HOURS).start())
    .bind(LISTED_AT_MOST)
    .fetch_all(&mut index.connection);
    let hours: Result<Vec<Timestamp>, _> = in_time(index.patience, hours).await;
    let hours = hours.map_err(|error| index.failed("looking for missing hours in", error))?;
    Ok(hours.into_iter().map(Hour::of).collect())
}

/// When the last run began that looked at all of its usual window, came to its end and was not stopped: what was archived
/// since may lie as far back before that as a run looks back.
pub async fn last_run(index: &mut Index) -> Result<Option<Timestamp>, Failure> {
    let last = pg::query_scalar(
        "select max(started_at) from batch_runs
         where looks_back and status in ('ok', 'partial') and not starts_with(coalesce(error, ''), $1)",
    )
    .bind(crate::stop::STOPPED)
    .fetch_one(&mut index.connection);
    in_time(index.patience, last).await.map_err(|error| index.failed("reading batch_runs in", error))
}

/// Judges the hours of the window, and `others`, by what is known now. `rejected`: hours in whose folders no line is a
/// tick, with the number of lines.
pub async fn judge(
    index: &mut Index,
    window: &Range<Hour>,
    (others, rejected): (&BTreeSet<Hour>, &BTreeMap<Hour, u64>),
) -> Result<Verdict, Failure> {
    let hours: BTreeSet<Hour> = Hour::each(window.clone()).chain(others.iter().copied()).collect();
    let hours: Vec<Timestamp> = hours.into_iter().map(Hour::start).collect();
    let token = index.lock.clone();
    let judged = async {
        let mut transaction = lock::begin(&mut index.connection, token.as_ref(), Hold::Nothing).await?;
        write_hours(&mut transaction, &hours, rejected).await?;
        lock::commit(transaction, token.as_ref()).await
    };
    in_time(index.patience, judged).await.map_err(|error| index.failed("writing archive_hours in", error))?;
    let verdict = in_time(index.patience, verdict(&mut index.connection, window)).await;
    verdict.map_err(|error| index.failed("reading archive_hours in", error))
}

async fn write_hours(
    transaction: &mut PgTransaction<'_>,
    hours: &[Timestamp],
    rejected: &BTreeMap<Hour, u64>,
) -> Result<(), sqlx::Error> {
    pg::query(
        "with judged as
             (select h.hour, s.ticks as speed_ticks, b.ticks as batch_ticks,
                     case
                         when k.key is not null then 'an object cannot be read: ' || k.key
                         when d.hour is not null then 'its objects have changed since it was computed'
                         when x.objects is not null
                             then x.objects || ' of its objects were deleted, though they had not expired: ' || x.key
                         when b.hour is null and r.lines is not null
                             then 'all ' || r.lines || ' lines in its folder are rejected (table rejected_lines says why)'
                         when b.hour is null then 'the archive has no ticks of it'
                         when s.ticks > b.ticks + b.withdrawn
                             then s.ticks - b.ticks - b.withdrawn || ' ticks of the speed layer are not in the archive'
                     end as lack,
                     case
                         when s.hour is null
                             then 'the speed layer has no ticks of it: nothing tells whether the archive shows all'
                     end as doubt
              from (select unnest($1::timestamptz[]) union select hour from deleted_objects) as h (hour)
                       left join (select hour, sum(ticks)::bigint as ticks
                                  from hour_bars where hour = any ($1) group by hour) s on s.hour = h.hour
                       left join batch_hours b on b.hour = h.hour
                       left join (select hour, min(key) as key from held_hours group by hour) k on k.hour = h.hour
                       left join stale_hours d on d.hour = h.hour
                       left join (select hour, count(*) as objects, min(key) as key
                                  from deleted_objects group by hour) x on x.hour = h.hour
                       left join unnest($2::timestamptz[], $3::bigint[]) as r (hour, lines) on r.hour = h.hour
              where coalesce(s.hour, b.hour, k.hour, d.hour) is not null)
         insert into archive_hours as known (hour, status, reason, speed_ticks, batch_ticks)
         select hour, case when lack is null then 'complete' else 'incomplete' end, coalesce(lack, doubt), speed_ticks,
                batch_ticks
         from judged
         on conflict (hour) do update
             set (status, reason, speed_ticks, batch_ticks, listed_at, since)
                 = (excluded.status, excluded.reason, excluded.speed_ticks, excluded.batch_ticks, now(),
                    case when known.status = excluded.status then known.since else now() end)",
    )
    .bind(hours)
    .bind(rejected.keys().map(|hour| hour.start()).collect::<Vec<_>>())
    .bind(rejected.values().map(|lines| lines.cast_signed()).collect::<Vec<_>>())
    .execute(transaction.acquire().await?)
    .await?;
    Ok(())
}

async fn verdict(connection: &mut PgConnection, window: &Range<Hour>) -> Result<Verdict, sqlx::Error> {
    let row = pg::query(
        "select count(*) as incomplete,
                min(concat(to_char(hour at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI\"Z\"'), ': ', reason)) as example,
                count(*) filter (where speed_ticks > 0 and batch_ticks is null and hour >= $1 and hour < $2) as speed_only
         from archive_hours
         where status = 'incomplete'",
    )
    .bind(window.start.start())
    .bind(window.end.start())
    .fetch_one(connection)
    .await?;
    let incomplete: i64 = row.try_get("incomplete")?;
    let speed_only: i64 = row.try_get("speed_only")?;
    let example: Option<String> = row.try_get("example")?;
    Ok(Verdict {
        incomplete: incomplete.cast_unsigned(),
        example: example.filter(|_| incomplete > 0),
        speed_only: speed_only.cast_unsigned(),
    })
}

/// Notes the newest tick that this run has read in the archive, if any. Gives for how long the speed layer has had newer
/// ones: zero where it has none.
pub async fn standing(index: &mut Index, newest: Option<Timestamp>, allowed: Duration) -> Result<Duration, Failure> {
    let note = pg::query(
        "insert into archive_newest as known (tick, allowed_seconds) values ($1, $2)
         on conflict (is_the_only_row) do update
             set (tick, allowed_seconds, checked_at)
                 = (greatest(known.tick, excluded.tick), excluded.allowed_seconds, now())",
    )
    .bind(newest)
    .bind(allowed.as_secs_f64());
    index.write("archive_newest", note).await?;
    let waiting =
        pg::query_scalar("select waiting_seconds::float8 from archive_standing").fetch_one(&mut index.connection);
    let waiting: Result<f64, _> = in_time(index.patience, waiting).await;
    let waiting = waiting.map_err(|error| index.failed("reading archive_standing in", error))?;
    Ok(Duration::from_secs_f64(waiting.max(0.0)))
}
