//! A small market in a database of the test's own.

use crate::reader;
use sqlx::PgConnection;
use testing::TestDatabase;

/// What every symbol variable is set to.
pub const SYMBOLS: [&str; 2] = ["AAPL", "BRK-B"];

/// Three days of two symbols: minute bars of the last six hours, hour bars up to now, hourly
/// summaries of the hours that are over, indicators, two kinds of rejected messages, batch runs,
/// one restated hour.
const SEED: &str = "
    insert into minute_bars
    select symbol, minute, 10, 12, 9, 11, 100, 4, 44, 1100, minute, 0, 0, minute + interval '59 seconds', 0, 1
    from unnest(array['AAPL', 'BRK-B']) as symbol,
         generate_series(date_trunc('minute', now()) - interval '6 hours', now(), '1 minute') as minute;
    insert into hour_bars
    select symbol, hour, 10, 12, 9, 11, 6000, 240, 2640, 66000, hour, 0, 0, hour + interval '59 minutes', 0, 1
    from unnest(array['AAPL', 'BRK-B']) as symbol,
         generate_series(date_trunc('hour', now()) - interval '72 hours', now(), '1 hour') as hour;
    insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
    select symbol, hour, 11, 25, 10, 12, 9, 11, 6000, 11, 240
    from hour_bars where hour < date_trunc('hour', now());
    insert into technical_indicators
    select symbol, 'hour', hour, 11, 6000, 11, 11, 11, 11, 50, 0, 0, 0, 12, 11, 10, 3, 6000, 11 from hourly_stock_summary;
    insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions) values ('speed-layer', '', 'stock_prices', '', 1);
    insert into kafka_offsets (source, partition, next_offset) values (1, 0, 7);
    insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail, value)
    values (1, 0, 1, 'not_json', 'expected value at column 1', '\\x00ff27'),
           (1, 0, 2, 'tombstone', 'no value', null);
    insert into batch_runs (started_at, finished_at, status, arguments, hours_computed)
    values (now() - interval '2 hours', now() - interval '119 minutes', 'ok', '', 3),
           (now() - interval '1 hour', now() - interval '59 minutes', 'partial', '', 1);
    insert into batch_hours (hour, decode_rules, objects, ticks, symbols, duplicates, run_id, first_computed_at)
    values (date_trunc('hour', now()) - interval '3 hours', '', 1, 480, 2, 0, 1, now() - interval '1 day');
    insert into archive_objects (key, folder, etag, size, last_modified, lines, rejected_lines)
    select 'raw/' || name, 'raw/', name, 1000, hour + interval '1 hour', 240, 1 from batch_hours, unnest(array['a', 'b']) as name;
    insert into archive_object_hours (hour, key, ticks, first_at, last_at, content_hash, offsets_hash, merged)
    select hour, key, 240, hour, hour + interval '59 minutes', 1, 1, key = 'raw/a' from batch_hours, archive_objects;
    insert into broken_objects (key, folder, etag, size, kind, detail) values ('raw/c', 'raw/', 'c', 9, 'damaged', 'no gzip');
    insert into blocked_hours select hour, 'raw/c' from batch_hours;
    insert into deleted_objects select hour, 'raw/d', now() from batch_hours;
    insert into reconciled_hours
    select hour, 'mismatch', 480, 480, 479, 479, 'a tick is missing in the archive', now() from batch_hours;
    insert into archive_lag_check (allowed_seconds) values (2700);
    insert into stale_hours values (date_trunc('hour', now()) - interval '2 hours', true, false);
    insert into judged_hours (hour, detectors, ticks, judged_at)
    select hour, 'two_sided 1', 480, hour + interval '90 minutes' from batch_hours;
    insert into clean_hours (symbol, hour, open, high, low, close, volume, ticks, sum_close, notional, of_hour, left_out)
    select symbol, hour, 10, 11.5, 9, 11, 5975, 239, 2629, 65725, hour, 1
    from batch_hours, unnest(array['AAPL', 'BRK-B']) as symbol;
    insert into clean_minutes (symbol, minute, open, high, low, close, volume, ticks, sum_close, notional, of_hour, left_out)
    select symbol, hour, 10, 11.5, 9, 10.5, 75, 3, 32, 800, hour, 1
    from batch_hours, unnest(array['AAPL', 'BRK-B']) as symbol;
    insert into anomalies (source, version, kafka_partition, kafka_offset, kafka_index, detector, kind, symbol, time, score,
                           observed, expected, verdict, found_at, judged_at)
    select source, 1, 0, 10 * number + place, 0, detector, kind, symbol, time, 2, 12, 11, verdict, time + interval '1 second',
           judged_at
    from unnest(array['AAPL', 'BRK-B']) with ordinality as symbols (symbol, number)
             cross join (values (1, 1, 'bad_print', 'spike', now() - interval '10 minutes', 'provisional', null),
                                (1, 2, 'bad_print', 'spike', now() - interval '3 hours', 'confirmed', now()),
                                (1, 3, 'bad_print', 'spike', now() - interval '3 hours', 'withdrawn', now()),
                                (0, 4, 'two_sided', 'off_neighbours', now() - interval '3 hours', 'confirmed', now()),
                                (0, 5, 'odd_bar', 'odd_range', date_trunc('hour', now()) - interval '3 hours',
                                 'confirmed', now()))
                 as found (source, place, detector, kind, time, verdict, judged_at);";

pub async fn migrated() -> TestDatabase {
    let database = TestDatabase::create().await;
    service::pg::MIGRATOR.run(database.pool()).await.unwrap();
    database
}

pub async fn seeded() -> TestDatabase {
    let database = migrated().await;
    sqlx::raw_sql(SEED).execute(database.pool()).await.unwrap();
    database
}

/// As Grafana reads it.
pub async fn reading(database: &TestDatabase) -> PgConnection {
    reader::connect(database).await
}
