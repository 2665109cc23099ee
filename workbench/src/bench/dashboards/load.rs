//! A month of a market in the tables, made by PostgreSQL itself.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Instant;

/// How much is loaded.
#[derive(clap::Args, Clone)]
pub struct Size {
    /// Trading days of 6.5 hours, each ending at the present time of day
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Symbols that trade in each minute
    #[arg(long, default_value_t = 500)]
    symbols: u32,
    /// Rows of realtime_stock (about 130 bytes each with its index)
    #[arg(long, default_value_t = 50_000_000)]
    ticks: u64,
}

/// What the symbol variables are set to: as many as a dashboard opens with.
pub const CHOSEN: [&str; 5] = ["S001", "S002", "S003", "S004", "S005"];

pub const MARK_ALL: &str = "insert into stale_indicators select symbol, min(hour) from hourly_stock_summary group by symbol";
pub const MARK_LAST_HOUR: &str = "insert into stale_indicators select symbol, max(hour) from hourly_stock_summary group by symbol";

const MINUTES_A_DAY: u32 = 390;

/// `$DAYS`, `$SYMBOLS` and `$TICKS` a minute bar stand for the size.
const STATEMENTS: [(&str, &str); 8] = [
    (
        "minute bars",
        "insert into minute_bars
         select 'S' || to_char(s, 'FM000'), minute, p, p + 1, p - 1, p + 0.25, 100 * $TICKS, $TICKS, p * $TICKS, p * 100 * $TICKS,
                minute, 0, 0, minute + interval '59 seconds', 0, 1
         from generate_series($DAYS - 1, 0, -1) as day,
              generate_series(date_trunc('minute', now()) - make_interval(days => day, mins => 389),
                              date_trunc('minute', now()) - make_interval(days => day), '1 minute') as minute,
              generate_series(1, $SYMBOLS) as s,
              lateral (select 50 + s + round((10 * sin(day + s + extract(epoch from minute) / 9000))::numeric, 2) as p) as price",
    ),
    (
        "hour bars",
        "insert into hour_bars
         select symbol, date_trunc('hour', minute, 'UTC'), (array_agg(open order by minute))[1], max(high), min(low),
                (array_agg(close order by minute desc))[1], sum(volume), sum(ticks), sum(sum_close), sum(notional),
                min(minute), 0, 0, max(minute) + interval '59 seconds', 0, 1
         from minute_bars group by 1, 2 order by 2, 1",
    ),
    (
        "hourly summaries",
        "insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
         select symbol, hour, sum_close / ticks, volume / ticks, open, high, low, close, volume, notional / volume, ticks
         from hour_bars where hour < date_trunc('hour', now()) order by hour, symbol",
    ),
    (
        "day partitions",
        "select make_realtime_days(array[current_date - day]) from generate_series(0, $DAYS) as day",
    ),
    (
        "ticks",
        "insert into realtime_stock
         select symbol, minute + number * interval '1 second', open, high, low, close, 100, 0, 1, 0, 0
         from minute_bars, generate_series(0, $TICKS - 1) as number",
    ),
    ("index on finished days", "create index on realtime_stock (symbol, timestamp)"),
    (
        "rejected messages",
        "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail, value, rejected_at)
         select 1, 0, n, case n % 3 when 0 then 'not_json' when 1 then 'bad_price' else 'tombstone' end, 'why',
                'no tick', now() - (100000 - n) * interval '26 seconds'
         from generate_series(1, 100000) as n",
    ),
    (
        "batch runs",
        "with runs as (
             insert into batch_runs (started_at, finished_at, status, arguments, hours_computed)
             select started, started + interval '20 seconds', 'ok', '', 1
             from generate_series(now() - make_interval(days => $DAYS), now(), '5 minutes') as started
             returning run_id, started_at)
         insert into batch_hours (hour, format, objects, ticks, symbols, duplicates, run_id)
         select distinct on (date_trunc('hour', started_at)) date_trunc('hour', started_at), '', 4, 1, 1, 0, run_id from runs",
    ),
];

/// # Errors
/// Whatever PostgreSQL says; a full disk for example.
pub async fn all(connection: &mut PgConnection, size: &Size) -> anyhow::Result<()> {
    let bars = u64::from(size.days) * u64::from(size.symbols) * u64::from(MINUTES_A_DAY);
    let ticks_a_bar = size.ticks.div_ceil(bars.max(1));
    println!("loading {bars} minute bars and {} ticks", bars * ticks_a_bar);
    connection.execute("set synchronous_commit = off").await?;
    for (what, sql) in STATEMENTS {
        let begun = Instant::now();
        let sql = sql
            .replace("$DAYS", &size.days.to_string())
            .replace("$SYMBOLS", &size.symbols.to_string());
        connection.execute(AssertSqlSafe(sql.replace("$TICKS", &ticks_a_bar.to_string()))).await?;
        println!("  {what}: {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// What autovacuum would have done by and by.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn settle(connection: &mut PgConnection) -> anyhow::Result<()> {
    connection.execute("vacuum (analyze)").await?;
    connection.execute("checkpoint").await?;
    Ok(())
}
