//! Whether the archive shows an hour completely: `archive_hours`.
//!
//! The speed layer reads the topic on its own; an hour of which it has a tick that the archive
//! lacks ([`compared`]) is incomplete, and is looked at in each run until it is not, however far
//! back it lies. So is an hour that a broken object holds back, and one in whose folder offsets are
//! missing between archived ones ([`holes`]). Of an hour that the speed layer knows nothing of,
//! nothing else tells what is missing: it counts as complete, and its reason says so.

mod compared;
mod holes;
mod known;
mod standing;

pub use compared::compare;
pub use holes::{Naming, follow, forget_read, lacks};
pub use standing::standing;

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

/// Hours whose numbers of ticks are compared in each run. Older ones are looked at where the batch
/// layer has none at all.
const COMPARED_HOURS: i64 = 35 * 24;

/// Hours outside of the window whose folders a run lists at most; those that were listed longest
/// ago come first.
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

/// Hours before `due` of which something is missing, without those whose folders were listed within
/// the hour.
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
                       left join compared_hours c on c.hour = s.hour
              where s.ticks > b.ticks + b.withdrawn or c.speed_ticks <> s.ticks
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

/// When the last run began that looked at all of its usual window, came to its end and was not
/// stopped: what was archived since may lie as far back before that as a run looks back.
pub async fn last_run(index: &mut Index) -> Result<Option<Timestamp>, Failure> {
    let last = pg::query_scalar(
        "select max(started_at) from batch_runs
         where looks_back and status in ('ok', 'partial') and not starts_with(coalesce(error, ''), $1)",
    )
    .bind(crate::stop::STOPPED)
    .fetch_one(&mut index.connection);
    in_time(index.patience, last)
        .await
        .map_err(|error| index.failed("reading batch_runs in", error))
}

/// What the archive itself tells of hours.
#[derive(Debug)]
pub struct Lacks<'a> {
    /// Hours in whose folders no line is a tick, with the number of lines.
    pub rejected: &'a BTreeMap<Hour, u64>,
    /// Hours of which offsets are missing, with why.
    pub offsets: &'a BTreeMap<Hour, String>,
}

/// Judges hours that were `listed`, and those of which the archive itself tells something, by what
/// is known now.
pub async fn judge(
    index: &mut Index,
    window: &Range<Hour>,
    (listed, lacks): (&[Timestamp], Lacks<'_>),
) -> Result<Verdict, Failure> {
    let token = index.lock.clone();
    let judged = async {
        let mut transaction =
            lock::begin(&mut index.connection, token.as_ref(), Hold::Nothing).await?;
        write_hours(&mut transaction, listed, lacks).await?;
        lock::commit(transaction, token.as_ref()).await
    };
    in_time(index.patience, judged)
        .await
        .map_err(|error| index.failed("writing archive_hours in", error))?;
    let verdict = in_time(index.patience, verdict(&mut index.connection, window)).await;
    verdict.map_err(|error| index.failed("reading archive_hours in", error))
}

const JUDGED: &str = "with asked (hour) as
             (select unnest($1::timestamptz[])
              union select unnest($4::timestamptz[])
              union select hour from deleted_objects
              union select hour from archive_hours where is_by_offsets),
         judged as
             (select h.hour, s.ticks as speed_ticks, b.ticks as batch_ticks, m.why as hole,
                     case when c.missing > 0 then c.example end as example,
                     case
                         when k.key is not null then 'an object cannot be read: ' || k.key
                         when d.hour is not null then 'its objects have changed since it was computed'
                         when x.objects is not null
                             then x.objects || ' of its objects were deleted, though they had not expired: ' || x.key
                         when b.hour is null and r.lines is not null
                             then 'all ' || r.lines || ' lines in its folder are rejected (table rejected_lines says why)'
                         when b.hour is null and s.hour is not null then 'the archive has no ticks of it'
                         when greatest(s.ticks - b.ticks - b.withdrawn, c.missing) > 0
                             then greatest(s.ticks - b.ticks - b.withdrawn, c.missing)
                                      || ' ticks of the speed layer are not in the archive'
                     end as lack,
                     case
                         when s.hour is null
                             then 'the speed layer has no ticks of it: nothing tells whether the archive shows all'
                     end as doubt
              from asked h
                       left join (select hour, sum(ticks)::bigint as ticks
                                  from hour_bars where hour in (select hour from asked) group by hour) s
                                 on s.hour = h.hour
                       left join batch_hours b on b.hour = h.hour
                       left join compared_hours c on c.hour = h.hour and c.computed_at = b.computed_at
                       left join (select hour, min(key) as key from held_hours group by hour) k on k.hour = h.hour
                       left join stale_hours d on d.hour = h.hour
                       left join (select hour, count(*) as objects, min(key) as key
                                  from deleted_objects group by hour) x on x.hour = h.hour
                       left join unnest($2::timestamptz[], $3::bigint[]) as r (hour, lines) on r.hour = h.hour
                       left join unnest($4::timestamptz[], $5::text[]) as m (hour, why) on m.hour = h.hour
              where coalesce(s.hour, b.hour, k.hour, d.hour, m.hour) is not null),
         gone as
             (delete from archive_hours
              where is_by_offsets and hour not in (select hour from judged))
         insert into archive_hours as known
             (hour, status, reason, speed_ticks, batch_ticks, is_by_offsets, example, listed_at)
         select hour, case when lack is null and hole is null then 'complete' else 'incomplete' end,
                coalesce(lack, hole, doubt), speed_ticks, batch_ticks, lack is null and hole is not null, example,
                case when hour = any ($1) then now() else '-infinity' end
         from judged
         on conflict (hour) do update
             set (status, reason, speed_ticks, batch_ticks, is_by_offsets, example, listed_at, since)
                 = (excluded.status, excluded.reason, excluded.speed_ticks, excluded.batch_ticks, excluded.is_by_offsets,
                    excluded.example, greatest(known.listed_at, excluded.listed_at),
                    case when known.status = excluded.status then known.since else now() end)";

async fn write_hours(
    transaction: &mut PgTransaction<'_>,
    listed: &[Timestamp],
    Lacks { rejected, offsets }: Lacks<'_>,
) -> Result<(), sqlx::Error> {
    pg::query(JUDGED)
        .bind(listed)
        .bind(rejected.keys().map(|hour| hour.start()).collect::<Vec<_>>())
        .bind(rejected.values().map(|lines| lines.cast_signed()).collect::<Vec<_>>())
        .bind(offsets.keys().map(|hour| hour.start()).collect::<Vec<_>>())
        .bind(offsets.values().collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn verdict(
    connection: &mut PgConnection,
    window: &Range<Hour>,
) -> Result<Verdict, sqlx::Error> {
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
