//! Every query in SQL, as `grafana_reader` sends it.

use super::market::{SYMBOLS, migrated, reading, seeded};
use super::{dashboards, text};
use common::Timestamp;
use serde_json::Value;
use std::collections::HashSet;
use testing::TestDatabase;
use workbench::dashboards::{Answer, Language, Query, View, ask, expand_sql};

/// PostgreSQL's types that Grafana draws as a number, and as a time.
const NUMBERS: [&str; 5] = ["NUMERIC", "INT8", "INT4", "FLOAT8", "FLOAT4"];

fn is_number(kind: &str) -> bool {
    NUMBERS.contains(&kind)
}

/// Grafana takes seconds since 1970 for a time as well.
fn is_time(kind: &str) -> bool {
    kind == "TIMESTAMPTZ" || is_number(kind)
}

/// Holds the answer against what the panel's type can draw.
fn check_shape(place: &str, panel: &Value, format: &str, answer: &Answer) {
    assert!(!answer.rows.is_empty(), "{place}: no rows, the panel would be empty");
    match (text(panel, "type"), format) {
        ("stat", "table") => check_stat(place, panel, answer),
        ("timeseries" | "heatmap", "time_series") => check_series(place, answer),
        ("candlestick", "table") => check_candles(place, answer),
        ("barchart", "table") => {
            let [(_, label), (_, value)] = &answer.columns[..] else { panic!("{place}: {:?}", answer.columns) };
            assert!(label == "TEXT" && is_number(value), "{place}: {:?}", answer.columns);
        }
        ("table", "table") => {}
        other => panic!("{place}: teach this test what a panel of {other:?} needs"),
    }
    check_overrides(place, panel, answer);
}

fn check_stat(place: &str, panel: &Value, answer: &Answer) {
    assert_eq!(answer.rows.len(), 1, "{place}: a stat shows one row");
    // Text, and more than one figure, show only where the panel is told to take every field.
    let takes_all = text(&panel["options"]["reduceOptions"], "fields") == "/.*/";
    assert!(answer.columns.len() == 1 || takes_all, "{place}: {:?}", answer.columns);
    for (name, kind) in &answer.columns {
        assert!(is_number(kind) || takes_all, "{place}: {kind}");
        assert!(!answer.rows[0][name].is_null(), "{place}: {name} is null in a seeded market");
    }
}

/// Either a series a metric (`time`, `metric`, one number) or one a column (`time`, numbers); ascending in time.
fn check_series(place: &str, answer: &Answer) {
    let (time, values) = answer.columns.split_first().unwrap();
    assert!(time.0 == "time" && is_time(&time.1), "{place}: time is {time:?}");
    match values {
        [(metric, kind), (_, value)] if metric == "metric" => {
            assert!(kind == "TEXT" && is_number(value), "{place}: {:?}", answer.columns);
            let metrics: HashSet<&str> = answer.rows.iter().map(|row| text(row, "metric")).collect();
            assert!(metrics.len() >= 2, "{place}: the seeded market has two of each at least: {metrics:?}");
        }
        values => {
            assert!(!values.is_empty() && values.iter().all(|(_, kind)| is_number(kind)), "{place}: {values:?}");
            for (name, _) in values {
                assert!(answer.rows.iter().any(|row| !row[name].is_null()), "{place}: {name} has no value at all");
            }
        }
    }
    let times: Vec<String> = answer.rows.iter().map(|row| row["time"].to_string()).collect();
    assert!(times.is_sorted(), "{place}: Grafana wants ascending times");
}

fn check_candles(place: &str, answer: &Answer) {
    let names: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["time", "open", "high", "low", "close", "volume"], "{place}");
    assert!(is_time(&answer.columns[0].1) && answer.columns[1..].iter().all(|(_, kind)| is_number(kind)), "{place}");
    let times: HashSet<String> = answer.rows.iter().map(|row| row["time"].to_string()).collect();
    assert_eq!(times.len(), answer.rows.len(), "{place}: one candle at a time");
}

/// An override of a column that is not there would be a format that never shows.
fn check_overrides(place: &str, panel: &Value, answer: &Answer) {
    for rule in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
        let name = rule["matcher"]["options"].as_str().unwrap();
        let known = answer.columns.iter().any(|(column, _)| column == name);
        assert!(known, "{place}: an override names column {name:?}, which is not there");
    }
}

/// Asks every query of panels, variables and annotations with these symbols chosen, and hands the answers to `check`.
async fn for_each_query(database: &TestDatabase, symbols: &[&str], check: impl Fn(&Query<'_>, &Answer)) {
    let symbols: Vec<String> = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
    let mut connection = reading(database).await;
    for dashboard in dashboards() {
        let view = View::of(&dashboard, Timestamp::now(), &symbols).unwrap();
        let all = [dashboard.queries(), dashboard.variable_queries(), dashboard.annotation_queries()];
        for query in all.iter().flatten().filter(|query| query.language == Language::Sql) {
            let sql = expand_sql(query.text, &dashboard, &view).unwrap();
            let answer = ask(&mut connection, &sql).await.unwrap_or_else(|e| panic!("{}: {e}\n{sql}", query.place));
            check(query, &answer);
        }
    }
}

#[tokio::test]
async fn every_query_gives_rows_that_its_panel_can_draw() {
    let database = seeded().await;
    for_each_query(&database, &SYMBOLS, |query, answer| match query.panel {
        Some(panel) => check_shape(&query.place, panel, query.format, answer),
        None if query.place.contains("variable") => {
            let values: Vec<&str> = answer.rows.iter().map(|row| text(row, "symbol")).collect();
            assert_eq!(values, SYMBOLS, "{}: each symbol once, sorted", query.place);
        }
        None => {
            let names: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["time", "timeend", "text", "tags"], "{}", query.place);
            assert!(!answer.rows.is_empty(), "{}: nothing marked", query.place);
        }
    })
    .await;
}

#[tokio::test]
async fn no_query_fails_on_a_database_that_is_still_empty() {
    // Grafana finds no symbol there, and then puts nothing in for the variable.
    for_each_query(&migrated().await, &[], |query, answer| {
        if query.panel.is_some_and(|panel| text(panel, "type") == "heatmap") {
            assert!(!answer.rows.is_empty(), "{}: Grafana 12 fails on a heatmap without a row", query.place);
        }
    })
    .await;
}

#[tokio::test]
async fn five_thousand_symbols_fill_the_variable() {
    let database = migrated().await;
    let fill = "insert into hour_bars
        select 'S' || s, h, 10, 12, 9, 11, 1, 1, 11, 11, h, 0, 0, h, 0, 1
        from generate_series(1, 5000) s, generate_series(timestamptz '2025-06-06Z', '2025-06-06T03:00Z', '1 hour') h";
    sqlx::raw_sql(fill).execute(database.pool()).await.unwrap();
    let mut connection = reading(&database).await;
    for dashboard in dashboards() {
        for query in dashboard.variable_queries() {
            assert_eq!(ask(&mut connection, query.text).await.unwrap().rows.len(), 5000, "{}", query.place);
        }
    }
}
