//! What SQL compares: each statement gives one line of text for every row that is wrong.

use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Something that must not be.
#[derive(Clone, Copy)]
struct Check {
    /// As in "3 `what`: `the first examples`".
    what: &'static str,
    differences: &'static str,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub what: &'static str,
    pub count: i64,
    pub examples: Vec<String>,
}

/// Hold at any time, because each statement sees one moment of the tables.
const ALWAYS: [Check; 6] = [
    Check {
        what: "ticks differ from what was sent",
        differences: "
            select format('%s/%s is %s, sent was %s', kafka_partition, kafka_offset,
                          (t.symbol, t.timestamp, t.open, t.high, t.low, t.close, t.volume)::text,
                          (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)::text)
            from sent s join realtime_stock t using (kafka_partition, kafka_offset)
            where (t.symbol, t.timestamp, t.open, t.high, t.low, t.close, t.volume)
                  is distinct from (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)
              and coalesce(s.fate, 'tick') = 'tick'",
    },
    Check {
        what: "broken messages are in realtime_stock",
        differences: "
            select format('%s/%s is a tick, sent was one with %s', kafka_partition, kafka_offset, s.fate)
            from sent s join realtime_stock using (kafka_partition, kafka_offset)
            where s.fate <> 'tick'",
    },
    Check {
        what: "rejected messages have another reason or other bytes than what was sent",
        differences: "
            select format('%s/%s is rejected for %s, sent was %s, the bytes %s', kafka_partition, kafka_offset, r.reason,
                          coalesce(s.fate, 'anything'),
                          case when coalesce(r.value_sha256, sha256(r.value)) is not distinct from s.sha256
                               then 'agree' else 'differ' end)
            from sent s join rejected_ticks r using (kafka_partition, kafka_offset)
            where r.source in (select source from kafka_sources where topic = $1)
              and (coalesce(r.value_sha256, sha256(r.value)) is distinct from s.sha256 or s.fate <> r.reason)",
    },
    Check {
        what: "lines of the archive differ from what was sent",
        differences: "
            select format('%s/%s is %s, sent was %s', kafka_partition, kafka_offset,
                          (a.symbol, a.timestamp, a.open, a.high, a.low, a.close, a.volume)::text,
                          (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)::text)
            from sent s join archived a using (kafka_partition, kafka_offset)
            where s.fate = 'tick'
              and (a.symbol, a.timestamp, a.open, a.high, a.low, a.close, a.volume)
                  is distinct from (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)",
    },
    Check {
        what: "minute bars differ from an aggregate of realtime_stock",
        differences: "
            with plain as (select symbol,
                                  date_trunc('minute', timestamp, 'UTC')                                                 as minute,
                                  (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1]                 as open,
                                  max(greatest(open, close, high))                                                       as high,
                                  min(least(open, close, low))                                                           as low,
                                  (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1] as close,
                                  case when count(volume) = count(*) then sum(volume) end                                as volume,
                                  count(*)                                                                               as ticks,
                                  sum(close)                                                                             as sum_close,
                                  case when count(volume) = count(*) then sum(close * volume) end                        as notional,
                                  (array_agg((timestamp, kafka_partition, kafka_offset)::text
                                             order by timestamp, kafka_partition, kafka_offset))[1]                      as first,
                                  (array_agg((timestamp, kafka_partition, kafka_offset)::text
                                             order by timestamp desc, kafka_partition desc, kafka_offset desc))[1]       as last
                           from realtime_stock
                           group by symbol, date_trunc('minute', timestamp, 'UTC')),
                 bars as (select *,
                                 (first_timestamp, first_partition, first_offset)::text as first,
                                 (last_timestamp, last_partition, last_offset)::text    as last
                          from minute_bars)
            select format('%s %s is %s, should be %s', symbol, minute,
                          (b.open, b.high, b.low, b.close, b.volume, b.ticks, b.sum_close, b.notional, b.first, b.last)::text,
                          (p.open, p.high, p.low, p.close, p.volume, p.ticks, p.sum_close, p.notional, p.first, p.last)::text)
            from plain p full join bars b using (symbol, minute)
            where (b.open, b.high, b.low, b.close, b.volume, b.ticks, b.sum_close, b.notional, b.first, b.last)
                  is distinct from (p.open, p.high, p.low, p.close, p.volume, p.ticks, p.sum_close, p.notional, p.first, p.last)",
    },
    Check {
        what: "summaries have other ticks than the minute bars of their hour",
        differences: "
            select format('%s %s: batch %s, speed %s', symbol, hour, batch_ticks, speed_ticks)
            from hourly_stock
            where hour in (select hour from batch_hours) and batch_ticks <> speed_ticks",
    },
];

/// Hold once nothing writes any more.
const AT_REST: [Check; 5] = [
    Check {
        what: "gaps were recorded",
        differences: "select format('%s/%s [%s, %s)', topic, partition, from_offset, to_offset) from ingest_gaps",
    },
    Check {
        what: "sessions were left behind",
        differences: "
            select format('%s (pid %s) %s since %s', application_name, pid, state, state_change)
            from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
              and application_name in ('speed-layer', 'speed-layer upkeep', 'batch-layer')",
    },
    Check {
        what: "transactions were left prepared",
        differences: "select gid from pg_prepared_xacts where database = current_database()",
    },
    Check {
        what: "day partitions hang in the air: made, but not attached",
        differences: "
            select relname::text from pg_class
            where relname ~ '^realtime_stock_[0-9]+$' and relkind = 'r'
              and not exists (select from pg_inherits where inhrelid = pg_class.oid)",
    },
    Check {
        what: "day partitions hold no tick",
        differences: "
            select name from realtime_partitions
            -- Today's and tomorrow's are made ahead of time.
            where to_time <= now()
              and not exists (select from realtime_stock t where t.tableoid = partition)",
    },
];

/// What is wrong.
pub async fn run(
    connection: &mut PgConnection,
    topic: &str,
    at_rest: bool,
) -> sqlx::Result<Vec<Found>> {
    let more: &[Check] = if at_rest { &AT_REST } else { &[] };
    let mut found = Vec::new();
    for Check { what, differences } in ALWAYS.iter().chain(more) {
        // The topic stands in every statement, so that each takes the same one parameter.
        let query = format!(
            "with differences (difference) as ({differences})
             select count(*), (array_agg(difference order by difference))[1:3] from differences where $1::text is not null"
        );
        let row = sqlx::query(AssertSqlSafe(query)).bind(topic).fetch_one(&mut *connection).await?;
        let count: i64 = row.get(0);
        if count > 0 {
            found.push(Found { what, count, examples: row.get(1) });
        }
    }
    Ok(found)
}
