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
            let [(_, label), (_, value)] = &answer.columns[..] else {
                panic!("{place}: {:?}", answer.columns)
            };
            assert!(label == "TEXT" && is_number(value), "{place}: {:?}", answer.columns);
        }
        ("table", "table") => {}
        other => panic!("{place}: teach this test what a panel of {other:?} needs"),
    }
    check_overrides(place, panel, answer);
    check_links(place, panel, answer);
}

/// What a link takes from the row that was clicked on must be in the row: Grafana would put nothing
/// in.
fn check_links(place: &str, panel: &Value, answer: &Answer) {
    let text = panel["fieldConfig"].to_string();
    for part in text.split("${__data.fields.").skip(1) {
        let name = part.split(['.', '}']).next().unwrap();
        assert!(
            answer.columns.iter().any(|(column, _)| column == name),
            "{place}: a link takes {name:?} from a row"
        );
    }
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

/// Either a series a metric (`time`, `metric`, one number) or one a column (`time`, numbers);
/// ascending in time.
fn check_series(place: &str, answer: &Answer) {
    let (time, values) = answer.columns.split_first().unwrap();
    assert!(time.0 == "time" && is_time(&time.1), "{place}: time is {time:?}");
    match values {
        [(metric, kind), (_, value)] if metric == "metric" => {
            assert!(kind == "TEXT" && is_number(value), "{place}: {:?}", answer.columns);
            let metrics: HashSet<&str> =
                answer.rows.iter().map(|row| text(row, "metric")).collect();
            assert!(
                metrics.len() >= 2,
                "{place}: the seeded market has two of each at least: {metrics:?}"
            );
        }
        values => {
            assert!(
                !values.is_empty() && values.iter().all(|(_, kind)| is_number(kind)),
                "{place}: {values:?}"
            );
            for (name, _) in values {
                assert!(
                    answer.rows.iter().any(|row| !row[name].is_null()),
                    "{place}: {name} has no value at all"
                );
            }
        }
    }
    let times: Vec<String> = answer.rows.iter().map(|row| row["time"].to_string()).collect();
    assert!(times.is_sorted(), "{place}: Grafana wants ascending times");
}

fn check_candles(place: &str, answer: &Answer) {
    let names: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["time", "open", "high", "low", "close", "volume"], "{place}");
    assert!(
        is_time(&answer.columns[0].1)
            && answer.columns[1..].iter().all(|(_, kind)| is_number(kind)),
        "{place}"
    );
    let times: HashSet<String> = answer.rows.iter().map(|row| row["time"].to_string()).collect();
    assert_eq!(times.len(), answer.rows.len(), "{place}: one candle at a time");
}

/// An override of a column that is not there would be a format that never shows.
fn check_overrides(place: &str, panel: &Value, answer: &Answer) {
    for rule in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
        let name = rule["matcher"]["options"].as_str().unwrap();
        if text(&rule["matcher"], "id") == "byFrameRefID" {
            let asked = panel["targets"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|target| text(target, "refId") == name);
            assert!(asked, "{place}: an override names query {name:?}, which is not there");
            continue;
        }
        let known = answer.columns.iter().any(|(column, _)| column == name);
        assert!(known, "{place}: an override names column {name:?}, which is not there");
    }
}

/// Asks every query of panels, variables and annotations with these symbols chosen, and hands the
/// answers to `check`.
async fn for_each_query(
    database: &TestDatabase,
    symbols: &[&str],
    check: impl Fn(&Query<'_>, &Answer),
) {
    let symbols: Vec<String> = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
    let mut connection = reading(database).await;
    for dashboard in dashboards() {
        let view = View::of(&dashboard, Timestamp::now(), &symbols).unwrap();
        let all =
            [dashboard.queries(), dashboard.variable_queries(), dashboard.annotation_queries()];
        for query in all.iter().flatten().filter(|query| query.language == Language::Sql) {
            let sql = expand_sql(query.text, &dashboard, &view).unwrap();
            let answer = ask(&mut connection, &sql)
                .await
                .unwrap_or_else(|e| panic!("{}: {e}\n{sql}", query.place));
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
            assert!(
                !answer.rows.is_empty(),
                "{}: Grafana 12 fails on a heatmap without a row",
                query.place
            );
        }
    })
    .await;
}

/// The answers of one dashboard's panel, with text boxes filled in.
async fn panel_asked(
    database: &TestDatabase,
    uid: &str,
    title: &str,
    boxes: &[(&str, &str)],
) -> Vec<Value> {
    let mut dashboard =
        dashboards().into_iter().find(|dashboard| text(&dashboard.json, "uid") == uid).unwrap();
    for variable in dashboard.json["templating"]["list"].as_array_mut().unwrap() {
        if let Some((_, value)) = boxes.iter().find(|(name, _)| text(variable, "name") == *name) {
            variable["current"]["value"] = (*value).into();
        }
    }
    let view = View::of(&dashboard, Timestamp::now(), &SYMBOLS.map(str::to_owned)).unwrap();
    let place = format!("{}: {title:?}", dashboard.file());
    let queries = dashboard.queries();
    let query =
        queries.iter().find(|query| query.place == place).unwrap_or_else(|| panic!("no {place}"));
    let sql = expand_sql(query.text, &dashboard, &view).unwrap();
    ask(&mut reading(database).await, &sql)
        .await
        .unwrap_or_else(|e| panic!("{place}: {e}\n{sql}"))
        .rows
}

#[tokio::test]
async fn an_hour_leads_to_its_objects_and_an_offset_to_its_message() {
    let database = seeded().await;
    let hour: (String, i64) = sqlx::query_as(
        "select to_char(hour at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI\"Z\"'), (extract(epoch from hour) * 1000)::bigint
         from batch_hours",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    // As a person writes it, as a link has it, and where nothing is chosen the hour that was
    // computed last.
    for chosen in [hour.0.as_str(), &hour.1.to_string(), ""] {
        let rows = panel_asked(&database, "evidence", "Its objects", &[("hour", chosen)]).await;
        let mut states: Vec<_> =
            rows.iter().map(|row| (text(row, "key"), text(row, "state"))).collect();
        states.sort_unstable();
        let wanted =
            [("raw/a", "summed"), ("raw/b", "waits"), ("raw/c", "damaged"), ("raw/d", "deleted")];
        assert_eq!(states, wanted, "{chosen:?}");
        let rows = panel_asked(&database, "evidence", "The hour", &[("hour", chosen)]).await;
        assert_eq!(
            (text(&rows[0], "status"), &rows[0]["ticks"]),
            ("mismatch", &480.into()),
            "{chosen:?}"
        );
    }
    assert!(
        panel_asked(&database, "evidence", "Its objects", &[("hour", "2001-01-01T00:00Z")])
            .await
            .is_empty()
    );
    let message = [("topic", "stock_prices"), ("partition", "0"), ("offset", "1")];
    let rows = panel_asked(&database, "evidence", "The message, if it is no tick", &message).await;
    let found: Vec<_> =
        rows.iter().map(|row| (text(row, "reason"), text(row, "message"))).collect();
    assert_eq!(found, [("not_json", "\\000\\377'")]);
    let newest = panel_asked(&database, "evidence", "The message, if it is no tick", &[]).await;
    assert_eq!(newest.len(), 2, "without an offset the newest");
}

/// Where the market rests a line has an end: straight over a night it would show prices that nobody
/// paid.
#[tokio::test]
async fn an_indicator_by_hour_is_not_drawn_over_a_night() {
    let database = seeded().await;
    let night = "delete from technical_indicators
                 where start between now() - interval '30 hours' and now() - interval '14 hours'";
    sqlx::raw_sql(night).execute(database.pool()).await.unwrap();
    for (title, column) in
        [("RSI 14", "RSI 14"), ("MACD 12/26/9", "Signal"), ("ATR 14", "ATR 14"), ("OBV", "OBV")]
    {
        let rows = panel_asked(&database, "hourly-history", title, &[]).await;
        assert_eq!(rows.iter().filter(|row| row[column].is_null()).count(), 1, "{title}");
    }
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
            assert_eq!(
                ask(&mut connection, query.text).await.unwrap().rows.len(),
                5000,
                "{}",
                query.place
            );
        }
    }
}
