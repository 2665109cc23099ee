//! What PostgreSQL holds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::{PgConnection, Row};

/// Ascending offsets of each partition that a table row stands for, as often as they are there, and
/// how many of the rows are ticks and rejected messages.
#[derive(Debug, Default)]
pub struct Rows {
    pub offsets: BTreeMap<i32, Vec<i64>>,
    pub ticks: u64,
    pub rejected: u64,
}

const IDENTITIES: &str = include_str!("../../sql/prove/identities.sql");

pub async fn read(connection: &mut PgConnection, topic: &str) -> sqlx::Result<Rows> {
    let mut found = Rows::default();
    let mut rows = sqlx::query(IDENTITIES).bind(topic).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        found.offsets.entry(row.get(0)).or_default().push(row.get(1));
        match row.get(2) {
            true => found.ticks += 1,
            false => found.rejected += 1,
        }
    }
    Ok(found)
}

/// The next offset that the speed layer writes, for each partition.
pub async fn next_offsets(
    connection: &mut PgConnection,
    group: &str,
    topic: &str,
) -> sqlx::Result<BTreeMap<i32, i64>> {
    let query =
        "select partition, next_offset from ingest_positions where group_id = $1 and topic = $2";
    let rows: Vec<(i32, i64)> =
        sqlx::query_as(query).bind(group).bind(topic).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// Hours that the batch layer has computed, and what of them differs from a plain aggregate of
/// ticks.
#[derive(Debug, Default)]
pub struct Hours {
    /// Whether the batch layer has ever run to its end.
    pub batch_has_run: bool,
    pub compared: i64,
    pub rows: i64,
    pub differences: Vec<String>,
}

/// Hours are compared that the batch layer has computed or, since its last run began after their
/// end and the grace period, should have. `$1` is the grace period in seconds.
const WANTED: &str = "
    with last_run as (select max(started_at) as began from batch_runs where status in ('ok', 'partial')),
         wanted as (select hour from batch_hours
                    union
                    select distinct date_trunc('hour', minute, 'UTC')
                    from minute_bars, last_run
                    where date_trunc('hour', minute, 'UTC') + interval '1 hour' + make_interval(secs => $1) <= began),";

const DIFFERENCES: &str = "
         plain as (select symbol,
                          date_trunc('hour', timestamp, 'UTC')                                               as hour,
                          trim_scale(sum(close)) / count(*)                                                  as avg_close,
                          case when count(volume) = count(*) then trim_scale(sum(volume)) / count(*) end     as avg_volume,
                          (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1]             as open,
                          max(greatest(open, close, high))                                                   as high,
                          min(least(open, close, low))                                                       as low,
                          (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1] as close,
                          case when count(volume) = count(*) then sum(volume) end                            as volume,
                          case when count(volume) = count(*)
                                   then trim_scale(sum(close * volume)) / nullif(trim_scale(sum(volume)), 0) end as vwap,
                          count(*)                                                                           as ticks
                   from {ticks}
                   where date_trunc('hour', timestamp, 'UTC') in (select hour from wanted)
                   group by symbol, date_trunc('hour', timestamp, 'UTC')),
         compared as (select symbol, hour,
                             case
                                 when b.ticks is null then 'no summary of ' || p.ticks || ' ticks'
                                 when p.ticks is null then 'a summary of ' || b.ticks || ' ticks without any tick'
                                 else concat_ws(', ',
                                     case when b.ticks is distinct from p.ticks then format('ticks %s, should be %s', b.ticks, p.ticks) end,
                                     case when b.avg_close is distinct from p.avg_close then format('avg_close %s, should be %s', b.avg_close, p.avg_close) end,
                                     case when b.avg_volume is distinct from p.avg_volume then format('avg_volume %s, should be %s', b.avg_volume, p.avg_volume) end,
                                     case when b.open is distinct from p.open then format('open %s, should be %s', b.open, p.open) end,
                                     case when b.high is distinct from p.high then format('high %s, should be %s', b.high, p.high) end,
                                     case when b.low is distinct from p.low then format('low %s, should be %s', b.low, p.low) end,
                                     case when b.close is distinct from p.close then format('close %s, should be %s', b.close, p.close) end,
                                     case when b.volume is distinct from p.volume then format('volume %s, should be %s', b.volume, p.volume) end,
                                     case when b.vwap is distinct from p.vwap then format('vwap %s, should be %s', b.vwap, p.vwap) end)
                             end as difference
                      from plain p full join (select * from hourly_stock_summary where hour in (select hour from wanted)) b
                               using (symbol, hour))
    select (select began is not null from last_run), (select count(*) from wanted), (select count(*) from compared),
           array(select symbol || ' ' || to_char(hour at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ': ' || difference
                 from compared where difference <> '' order by hour, symbol)";

/// `ticks` is the table of the ticks.
pub async fn compare_hours(
    connection: &mut PgConnection,
    ticks: &str,
    grace: Duration,
) -> sqlx::Result<Hours> {
    let query = sqlx::AssertSqlSafe(format!("{WANTED}{}", DIFFERENCES.replace("{ticks}", ticks)));
    let row = sqlx::query(query).bind(grace.as_secs_f64()).fetch_one(connection).await?;
    Ok(Hours {
        batch_has_run: row.get(0),
        compared: row.get(1),
        rows: row.get(2),
        differences: row.get(3),
    })
}
