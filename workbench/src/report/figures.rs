//! The queries. Numbers that are only shown come as text, rounded by PostgreSQL.

use anyhow::Context;
use sqlx::{FromRow, PgConnection};

#[derive(Debug, Default)]
pub struct Figures {
    pub totals: Overview,
    /// Partition and the next offset to be written, ascending.
    pub next_offsets: Vec<(i32, i64)>,
    pub closes: Vec<Close>,
    pub summaries: Vec<Summary>,
    pub rejects: Vec<Reject>,
    pub last_run: Option<Run>,
}

#[derive(Debug, Default, FromRow)]
pub struct Overview {
    pub ticks: i64,
    pub symbols: i64,
    pub ticks_last_minute: i64,
    /// Seconds since the newest tick; None where there is no tick.
    pub age: Option<f64>,
    pub rejected: i64,
    pub summaries: i64,
    pub summary_hours: i64,
}

#[derive(Debug, FromRow)]
pub struct Close {
    pub symbol: String,
    pub close: String,
    /// Per cent, against the open an hour before.
    pub change: String,
    pub volume: String,
    pub ticks: i64,
    pub last_tick: String,
}

#[derive(Debug, FromRow)]
pub struct Summary {
    pub hour: String,
    pub symbol: String,
    pub avg_close: String,
    pub vwap: Option<String>,
    pub high: String,
    pub low: String,
    pub close: String,
    pub volume: String,
}

#[derive(Debug, FromRow)]
pub struct Reject {
    pub reason: String,
    pub count: i64,
    pub example: String,
}

#[derive(Debug, FromRow)]
pub struct Run {
    pub run_id: i64,
    pub status: String,
    pub started: String,
    pub hours_computed: i32,
    pub objects_read: i64,
    pub ticks: i64,
    pub duplicates: i64,
}

/// Counts come from minute_bars, which has a few rows a minute where realtime_stock has thousands.
const TOTALS: &str = "
    select coalesce(sum(ticks), 0)::bigint                                          as ticks,
           count(distinct symbol)                                                   as symbols,
           coalesce(sum(ticks) filter (where minute = date_trunc('minute', now()) - interval '1 minute'), 0)::bigint
                                                                                    as ticks_last_minute,
           extract(epoch from now() - max(last_timestamp))::float8                  as age,
           (select count(*) from rejected_ticks)                                    as rejected,
           (select count(*) from hourly_stock_summary)                              as summaries,
           (select count(distinct hour) from hourly_stock_summary)                  as summary_hours
    from minute_bars";

const CLOSES: &str = "
    with newest as (select max(minute) as minute from minute_bars),
         recent as (select b.* from minute_bars b, newest where b.minute > newest.minute - interval '1 hour')
    select symbol,
           (array_agg(close order by minute desc))[1]::text                         as close,
           coalesce(to_char(percent((array_agg(close order by minute desc))[1] - (array_agg(open order by minute))[1],
                                    (array_agg(open order by minute))[1]), 'FMS990.00'), '-') as change,
           coalesce(rtrim(to_char(case when count(volume) = count(*) then sum(volume) end,
                                  'FM999,999,999,999,990.9999'), '.'), '-')         as volume,
           sum(ticks)::bigint                                                       as ticks,
           to_char(max(last_timestamp) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as last_tick
    from recent
    group by symbol
    order by ticks desc, symbol
    limit 10";

const SUMMARIES: &str = "
    with last_hours as (select distinct hour from hourly_stock_summary order by hour desc limit 3),
         ranked as (select s.*, row_number() over (partition by hour order by volume desc nulls last, symbol) as rank
                    from hourly_stock_summary s where hour in (select hour from last_hours))
    select to_char(hour at time zone 'UTC', 'YYYY-MM-DD HH24:MI') as hour,
           symbol, high::text, low::text, close::text,
           round(avg_close, 4)::text                              as avg_close,
           round(vwap, 4)::text                                   as vwap,
           coalesce(rtrim(to_char(volume, 'FM999,999,999,999,990.9999'), '.'), '-') as volume
    from ranked
    where rank <= 3
    order by ranked.hour desc, rank";

const REJECTS: &str = "
    select reason, count(*) as count, (array_agg(detail order by rejected_at desc, kafka_offset desc))[1] as example
    from rejected_ticks
    group by reason
    order by count desc, reason";

const LAST_RUN: &str = "
    select run_id, status, to_char(started_at at time zone 'UTC', 'HH24:MI:SS') as started,
           hours_computed, objects_read, ticks, duplicates
    from batch_runs order by run_id desc limit 1";

const NEXT_OFFSETS: &str = "
    select partition, next_offset from ingest_positions where group_id = $1 and topic = $2 order by partition";

impl Figures {
    pub async fn read(
        connection: &mut PgConnection,
        group: &str,
        topic: &str,
    ) -> anyhow::Result<Self> {
        Self::query(connection, group, topic)
            .await
            .context("read the pipeline's tables (speed-layer makes them)")
    }

    async fn query(connection: &mut PgConnection, group: &str, topic: &str) -> sqlx::Result<Self> {
        let offsets = sqlx::query_as(NEXT_OFFSETS).bind(group).bind(topic);
        Ok(Self {
            totals: sqlx::query_as(TOTALS).fetch_one(&mut *connection).await?,
            next_offsets: offsets.fetch_all(&mut *connection).await?,
            closes: sqlx::query_as(CLOSES).fetch_all(&mut *connection).await?,
            summaries: sqlx::query_as(SUMMARIES).fetch_all(&mut *connection).await?,
            rejects: sqlx::query_as(REJECTS).fetch_all(&mut *connection).await?,
            last_run: sqlx::query_as(LAST_RUN).fetch_optional(&mut *connection).await?,
        })
    }
}
