//! The serving views, case by case, and who may read them.

use crate::reader;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use testing::TestDatabase;

/// 2025-06-06T14:00Z, 10:00 in New York.
const HOUR: &str = "2025-06-06T14:00Z";

/// How many ticks each side has seen of the hour; None where it has no row.
struct Case {
    name: &'static str,
    speed: Option<i64>,
    batch: Option<i64>,
    expected: Option<&'static str>,
}

const CASES: [Case; 8] = [
    Case {
        name: "only speed: no batch run yet",
        speed: Some(5),
        batch: None,
        expected: Some("speed"),
    },
    Case {
        name: "an hour that is still running",
        speed: Some(1),
        batch: None,
        expected: Some("speed"),
    },
    Case {
        name: "only batch: computed from an archive",
        speed: None,
        batch: Some(5),
        expected: Some("batch"),
    },
    Case { name: "purged speed data", speed: None, batch: Some(1), expected: Some("batch") },
    Case { name: "both agree", speed: Some(5), batch: Some(5), expected: Some("batch") },
    Case {
        name: "a late tick after the batch",
        speed: Some(6),
        batch: Some(5),
        expected: Some("speed"),
    },
    Case {
        name: "the speed layer was behind",
        speed: Some(3),
        batch: Some(5),
        expected: Some("batch"),
    },
    Case { name: "neither", speed: None, batch: None, expected: None },
];

async fn database() -> TestDatabase {
    let database = TestDatabase::create().await;
    service::pg::MIGRATOR.run(database.pool()).await.unwrap();
    database
}

async fn execute(database: &TestDatabase, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(database.pool()).await.unwrap();
}

async fn rows(database: &TestDatabase, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(database.pool()).await.unwrap()
}

/// An hour as the speed layer writes it: closes of 10, one share a tick.
async fn speed(database: &TestDatabase, symbol: &str, hour: &str, ticks: i64) {
    execute(
        database,
        &format!(
            "insert into hour_bars
             select '{symbol}', hour, 10, 12, 9, 10, {ticks}, {ticks}, {ticks} * 10, {ticks} * 10, hour, 0, 0, hour, 0, 1
             from (select timestamptz '{hour}' as hour) as it"
        ),
    )
    .await;
}

/// An hour as the batch layer writes it: closes of 20, two shares a tick.
async fn batch(database: &TestDatabase, symbol: &str, hour: &str, ticks: i64) {
    execute(
        database,
        &format!(
            "insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
             values ('{symbol}', '{hour}', 20, 2, 19, 22, 18, 20, {ticks} * 2, 20, {ticks})"
        ),
    )
    .await;
}

#[tokio::test]
async fn an_hour_that_is_not_known_to_be_complete_comes_from_the_side_that_has_seen_more_ticks_and_from_the_batch_at_a_tie()
 {
    let database = database().await;
    for (number, case) in CASES.iter().enumerate() {
        let symbol = format!("S{number}");
        if let Some(ticks) = case.speed {
            speed(&database, &symbol, HOUR, ticks).await;
        }
        if let Some(ticks) = case.batch {
            batch(&database, &symbol, HOUR, ticks).await;
        }
        let found = rows(
            &database,
            &format!(
                "select concat_ws(' ', source, close::int, round(avg_close, 1), round(avg_volume, 1), open::int, high::int, low::int,
                                  round(vwap, 1), volume, ticks, batch_ticks, speed_ticks)
                 from hourly_stock where symbol = '{symbol}'"
            ),
        )
        .await;
        let (s, b) = (case.speed.unwrap_or(0), case.batch.unwrap_or(0));
        let expected = case.expected.map(|side| match side {
            "speed" => format!("speed 10 10.0 1.0 10 12 9 10.0 {s} {s} {b} {s}"),
            _ => format!("batch 20 20.0 2.0 19 22 18 20.0 {} {b} {b} {s}", b * 2),
        });
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{}", case.name);
    }
    let columns = "concat_ws(' ', symbol, hour, open, close, volume, ticks)";
    let market = rows(
        &database,
        &format!("select {columns} from market_hours('-infinity', 'infinity') order by 1"),
    )
    .await;
    let of_view = rows(&database, &format!("select {columns} from hourly_stock order by 1")).await;
    assert_eq!(market, of_view, "the hours of the market are those of the view");
    assert!(!market.is_empty());
}

/// A correction of the archive takes ticks, or a whole symbol, out; the speed layer still has them.
#[tokio::test]
async fn an_hour_that_the_archive_shows_completely_comes_from_the_batch_whatever_the_speed_layer_has()
 {
    let database = database().await;
    for symbol in ["CORRECTED", "WITHDRAWN"] {
        speed(&database, symbol, HOUR, 6).await;
    }
    batch(&database, "CORRECTED", HOUR, 5).await;
    let cut = format!(
        "select symbol from market_hours('{HOUR}'::timestamptz + interval '1 minute', 'infinity')"
    );
    assert_eq!(rows(&database, &cut).await, Vec::<String>::new(), "the hour that is cut");
    let shown = "select concat_ws(' ', symbol, source, ticks) from hourly_stock order by symbol";
    let market = "select concat_ws(' ', symbol, ticks) from market_hours('-infinity', 'infinity') order by symbol";
    for (status, expected, of_market) in [
        (
            "incomplete",
            &["CORRECTED speed 6", "WITHDRAWN speed 6"][..],
            &["CORRECTED 6", "WITHDRAWN 6"][..],
        ),
        ("complete", &["CORRECTED batch 5"], &["CORRECTED 5"]),
    ] {
        execute(
            &database,
            &format!(
                "delete from archive_hours; insert into archive_hours values ('{HOUR}', '{status}')"
            ),
        )
        .await;
        assert_eq!(rows(&database, shown).await, expected, "{status}");
        assert_eq!(rows(&database, market).await, of_market, "{status}");
    }
}

#[tokio::test]
async fn vwap_is_null_at_zero_volume_in_every_view() {
    let database = database().await;
    speed(&database, "A", HOUR, 1).await;
    execute(&database, "update hour_bars set volume = 0, notional = 0").await;
    execute(&database, "insert into minute_bars select * from hour_bars").await;
    for view in ["minute_stock", "hourly_stock", "daily_stock_report"] {
        assert_eq!(
            rows(&database, &format!("select coalesce(vwap::text, 'null') from {view}")).await,
            ["null"],
            "{view}"
        );
    }
}

/// Nothing but an index may be read for a few symbols of a few hours.
#[tokio::test]
async fn filters_by_symbol_and_time_reach_the_indexes_of_both_sides() {
    let database = database().await;
    execute(
        &database,
        "insert into hour_bars
         select 'S' || s, h, 10, 12, 9, 10, 5, 5, 50, 50, h, 0, 0, h, 0, 1
         from generate_series(1, 100) s, generate_series(timestamptz '2025-05-01Z', '2025-06-01Z', '1 hour') h;
         insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, ticks)
         select symbol, hour, 10, 1, 10, 12, 9, 10, 5, 5 from hour_bars;
         analyze hour_bars, hourly_stock_summary",
    )
    .await;
    let filters = [
        "from hourly_stock where symbol in ('S1', 'S2') and hour >= '2025-05-31Z'",
        "from hourly_stock where hour >= '2025-05-31T23:00Z'",
        "from daily_stock_report where symbol = 'S1'",
    ];
    for filter in filters {
        let plan = rows(&database, &format!("explain select * {filter}")).await.join("\n");
        assert!(!plan.contains("Seq Scan on hour"), "{filter}:\n{plan}");
    }
}

#[tokio::test]
async fn a_day_is_the_exchanges_and_its_figures_are_those_of_its_hours() {
    let database = database().await;
    // Three days of New York: the second one's last hour begins at 23:00 there, 03:00 of the next
    // day in UTC.
    for (hour, ticks) in [
        ("2025-06-05T14:00Z", 10),
        ("2025-06-06T14:00Z", 10),
        ("2025-06-07T03:00Z", 20),
        ("2025-06-07T04:00Z", 60),
    ] {
        speed(&database, "A", hour, ticks).await;
    }
    execute(
        &database,
        "update hour_bars set open = 11, close = 15, notional = 15 * volume where hour = '2025-06-07T03:00Z'",
    )
    .await;
    let report = "select concat_ws(' ', day, open::int, high::int, low::int, close::int, coalesce(round(change_percent, 2)::text, '-'),
                         round(open_to_close_percent, 2), volume, round(vwap, 4), ticks, range::int, round(range_percent, 2),
                         coalesce(round(volume_mean, 1)::text, '-'), volume_mean_days, coalesce(round(volume_ratio, 2)::text, '-'), hours)
                  from daily_stock_report order by day";
    assert_eq!(
        rows(&database, report).await,
        [
            "2025-06-05 10 12 9 10 - 0.00 10 10.0000 10 3 33.33 - 0 - 1",
            "2025-06-06 10 12 9 15 50.00 50.00 30 13.3333 30 3 33.33 10.0 1 3.00 2",
            "2025-06-07 10 12 9 10 -33.33 0.00 60 10.0000 60 3 33.33 20.0 2 3.00 1",
        ]
    );
    execute(&database, "update exchange set time_zone = 'UTC'").await;
    let days = "select day || ' ' || ticks from daily_stock_report order by day";
    assert_eq!(rows(&database, days).await, ["2025-06-05 10", "2025-06-06 10", "2025-06-07 80"]);
}

#[tokio::test]
async fn the_newest_day_of_the_market_agrees_with_the_report_of_that_day() {
    let database = database().await;
    // A Friday, a Monday and a Tuesday; B was not traded on the Monday, C for the first time on the
    // Tuesday.
    for (symbol, hour) in [
        ("A", "2025-06-06T14:00Z"),
        ("B", "2025-06-06T14:00Z"),
        ("A", "2025-06-09T14:00Z"),
        ("A", "2025-06-10T14:00Z"),
        ("B", "2025-06-10T15:00Z"),
        ("C", "2025-06-10T15:00Z"),
    ] {
        speed(&database, symbol, hour, 5).await;
    }
    execute(&database, "update hour_bars set close = 12 where hour = '2025-06-10T15:00Z'").await;
    let newest = "select concat_ws(' ', symbol, open::int, close::int, coalesce(round(change_percent, 2)::text, '-'), volume, ticks)
                  from newest_day_of_market('2025-06-11T03:00Z') order by 1";
    assert_eq!(
        rows(&database, newest).await,
        ["A 10 10 0.00 5 5", "B 10 12 20.00 5 5", "C 10 12 - 5 5"]
    );
    let differing = "select m.symbol from newest_day_of_market('2025-06-11T03:00Z') m
                     full join (select * from daily_stock_report where day = '2025-06-10') r using (symbol)
                     where (m.open, m.close, m.change_percent, m.volume, m.ticks)
                           is distinct from (r.open, r.close, r.change_percent, r.volume, r.ticks)";
    assert!(rows(&database, differing).await.is_empty());
    let previous = "select concat_ws(' ', symbol, coalesce(previous_close::int::text, '-'))
                    from newest_day_of_market('2025-06-11T03:00Z') order by 1";
    assert_eq!(rows(&database, previous).await, ["A 10", "B 10", "C -"]);
    let weekend = "select day::text from newest_trading_day('2025-06-08T12:00Z')";
    assert_eq!(rows(&database, weekend).await, ["2025-06-06"]);
}

/// A price below zero has no hundredths, and the way up from it is a way up.
#[tokio::test]
async fn a_day_that_follows_a_close_below_zero_has_no_change_in_per_cent_and_counts_by_its_closes()
{
    let database = database().await;
    speed(&database, "CL", "2025-06-09T14:00Z", 1).await;
    speed(&database, "CL", "2025-06-10T14:00Z", 1).await;
    execute(&database, "update hour_bars set close = -37.63 where hour = '2025-06-09T14:00Z'")
        .await;
    let shown = "select concat_ws(' ', previous_close, coalesce(change_percent::text, '-'), close > coalesce(previous_close, open))
                 from newest_day_of_market('2025-06-11T03:00Z')";
    assert_eq!(rows(&database, shown).await, ["-37.63 - t"]);
}

/// How many digits a quotient has depends on the zeros at the ends of its operands.
#[tokio::test]
async fn an_average_of_the_speed_layers_sums_has_the_digits_that_the_batch_layer_gives_it() {
    let database = database().await;
    speed(&database, "A", HOUR, 3).await;
    let sums = "update hour_bars set sum_close = 600000000.300000000, volume = 300000000.300000000,
                                     notional = 900000000.600000000000000000";
    execute(&database, sums).await;
    let shown = "select concat_ws(' ', avg_close, avg_volume, vwap) from hourly_stock";
    let expected =
        "select concat_ws(' ', 600000000.3 / 3, 300000000.3 / 3, 900000000.6 / 300000000.3)";
    assert_eq!(rows(&database, shown).await, rows(&database, expected).await);
    execute(&database, "insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
                        select symbol, hour, 0, 0, open, high, low, close, volume, 0, 1 from hour_bars").await;
    assert_eq!(
        rows(&database, shown).await,
        rows(&database, expected).await,
        "beside the batch layer's, too"
    );
}

#[tokio::test]
async fn the_mean_volume_is_that_of_the_twenty_trading_days_before() {
    let database = database().await;
    for day in 1..=25 {
        speed(&database, "A", &format!("2025-05-{day:02}T15:00Z"), day).await;
    }
    let last = "select concat_ws(' ', round(volume_mean, 2), volume_mean_days) from daily_stock_report order by day desc limit 1";
    // (5 + .. + 24) / 20
    assert_eq!(rows(&database, last).await, ["14.50 20"]);
}

/// A sum of the others would pass for one of all.
#[tokio::test]
async fn an_hour_without_a_volume_leaves_the_days_volume_unknown_and_the_mean_to_the_other_days() {
    let database = database().await;
    for day in 1..=3 {
        for hour in [15, 16] {
            speed(&database, "A", &format!("2025-05-{day:02}T{hour}:00Z"), day).await;
        }
    }
    let unknown =
        "update hour_bars set volume = null, notional = null where hour = '2025-05-02T15:00Z'";
    execute(&database, unknown).await;
    let days = "select concat_ws(' ', coalesce(volume::text, '-'), coalesce(round(vwap)::text, '-'), volume_mean_days)
                from daily_stock_report order by day";
    let known =
        rows(&database, "select volume::text from daily_stock_report order by day limit 1").await;
    let shown = rows(&database, days).await;
    assert!(
        shown[0].starts_with(&known[0])
            && shown[1].starts_with("- - 1")
            && shown[2].ends_with(" 1"),
        "{shown:?}"
    );
    let newest =
        "select coalesce(volume::text, '-') from newest_day_of_market('2025-05-03T00:00Z')";
    assert_eq!(rows(&database, newest).await, ["-"]);
}

#[tokio::test]
async fn each_symbol_is_known_once_whichever_side_has_seen_it() {
    let database = database().await;
    assert!(rows(&database, "select symbol from known_symbols").await.is_empty());
    for (symbol, hour) in [
        ("BRK-B", "2025-06-06T14:00Z"),
        ("AAPL", "2025-06-06T14:00Z"),
        ("AAPL", "2025-06-06T15:00Z"),
    ] {
        speed(&database, symbol, hour, 1).await;
    }
    for symbol in ["AAPL", "^GSPC"] {
        batch(&database, symbol, HOUR, 1).await;
    }
    assert_eq!(
        rows(&database, "select symbol from known_symbols order by 1").await,
        ["AAPL", "BRK-B", "^GSPC"]
    );
}

/// Minutes as the speed layer writes them, ten shares each.
async fn minutes(database: &TestDatabase, symbol: &str, bars: &[(&str, i64, i64)]) {
    for (minute, open, close) in bars {
        let insert = format!(
            "insert into minute_bars
             select '{symbol}', minute, {open}, 90, 1, {close}, 10, 1, {close}, 10 * {close}, minute, 0, 0, minute, 0, 1
             from (select timestamptz '2026-03-02 {minute}Z' as minute) as it"
        );
        execute(database, &insert).await;
    }
}

/// Three hours of A, the last of which is traded from 14:20 on.
async fn three_hours() -> TestDatabase {
    let database = database().await;
    for hour in ["12:00", "13:00", "14:00"] {
        speed(&database, "A", &format!("2026-03-02 {hour}Z"), 6).await;
    }
    let bars = [
        ("12:10", 10, 20),
        ("12:50", 20, 30),
        ("13:40", 30, 35),
        ("14:20", 35, 40),
        ("14:59", 40, 50),
    ];
    minutes(&database, "A", &bars).await;
    database
}

#[tokio::test]
async fn the_newest_minute_is_none_after_the_moment() {
    let database = three_hours().await;
    for (until, newest) in
        [("12:20", "12:10"), ("14:10", "13:40"), ("14:30", "14:20"), ("18:00", "14:59")]
    {
        let sql = format!(
            "select to_char(newest_minute('2026-03-02 {until}Z') at time zone 'UTC', 'HH24:MI')"
        );
        assert_eq!(rows(&database, &sql).await, [newest], "{until}");
    }
}

#[tokio::test]
async fn what_moved_between_two_moments_is_told_to_the_minute() {
    let database = three_hours().await;
    for (since, until, moved) in [
        ("12:05", "12:20", "A 10 20 10"),
        ("12:30", "14:30", "A 20 40 26"),
        ("12:00", "13:00", "A 10 10 6"),
        ("14:30", "18:00", "A 40 50 10"),
    ] {
        let sql = format!(
            "select concat_ws(' ', symbol, first, last, volume)
             from market_moves('2026-03-02 {since}Z', '2026-03-02 {until}Z')"
        );
        assert_eq!(rows(&database, &sql).await, [moved], "{since} to {until}");
    }
}

/// One tick without a volume makes an hour's volume unknown.
#[tokio::test]
async fn a_busy_symbol_does_not_fall_behind_by_a_tick_without_a_volume() {
    let database = database().await;
    for (symbol, ticks) in [("BUSY", 100), ("QUIET", 20)] {
        speed(&database, symbol, "2026-03-02 15:00Z", ticks).await;
        speed(&database, symbol, "2026-03-02 16:00Z", ticks / 10).await;
    }
    let traded = "select symbol from traded_symbols('2026-03-03Z') order by place";
    assert_eq!(rows(&database, traded).await, ["BUSY", "QUIET"]);
    execute(&database, "update hour_bars set volume = null, notional = null where ticks = 100")
        .await;
    assert_eq!(rows(&database, traded).await, ["BUSY", "QUIET"]);
}

/// What the reader may do with each relation of the schema.
async fn relations(owner: &mut PgConnection) -> Vec<(String, bool, bool)> {
    let sql = "select relname::text, relkind = 'v' or relname = 'technical_indicators',
                      has_table_privilege('grafana_reader', oid, 'select')
               from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')";
    let all = sqlx::query(sql).fetch_all(owner).await.unwrap();
    all.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn grafana_reader_may_read_the_views_and_nothing_else_and_change_nothing() {
    let database = database().await;
    let mut reading = reader::connect(&database).await;
    for (relation, is_meant, is_granted) in relations(&mut database.connection().await).await {
        assert_eq!(is_granted, is_meant, "{relation}");
        let read = format!("select count(*) from {relation}");
        let read = sqlx::query(AssertSqlSafe(read)).execute(&mut reading).await;
        assert_eq!(read.is_ok(), is_meant, "{relation}: {read:?}");
    }
    for change in [
        "delete from technical_indicators",
        "create table mine (x int)",
        "update exchange set time_zone = 'UTC'",
    ] {
        let change = format!("begin read write; {change}; commit");
        let changed = sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut reading).await;
        assert!(changed.unwrap_err().to_string().contains("permission denied"));
        sqlx::raw_sql("rollback").execute(&mut reading).await.unwrap();
    }
}

#[tokio::test]
async fn the_role_that_was_made_before_the_tables_gets_its_rights_from_the_migrations() {
    let database = TestDatabase::create().await;
    database.set_up_roles().await;
    let mut reading = reader::connect_as_it_is(&database).await;
    sqlx::query("select count(*) from hourly_stock").execute(&mut reading).await.unwrap();
}
