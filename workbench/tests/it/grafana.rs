//! Grafana's dashboards without Grafana: the files' own rules, and every panel's SQL, macros and variables expanded as
//! Grafana does it, against a PostgreSQL with the migrations and a small market.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Connection, Row, TypeInfo};

/// The symbols of the seeded market, and what every symbol variable is set to.
const SYMBOLS: [&str; 2] = ["AAPL", "BRK-B"];

/// PostgreSQL's types that Grafana draws as a number.
const NUMBERS: [&str; 4] = ["NUMERIC", "INT8", "INT4", "FLOAT8"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = repository().join(folder);
    let mut found: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .{extension} in {}", folder.display());
    found
}

fn dashboards() -> Vec<(String, Value)> {
    files("grafana/dashboards", "json")
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (path.display().to_string(), json)
        })
        .collect()
}

/// All panels, those inside collapsed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        all.push(panel);
        all.extend(panel["panels"].as_array().into_iter().flatten());
    }
    all
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every `uid` of a data source that anything in the dashboard refers to.
fn referenced_uids(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(uid) = value["datasource"]["uid"].as_str() {
        found.insert(uid.to_owned());
    }
    match value {
        Value::Object(map) => map.values().for_each(|v| referenced_uids(v, found)),
        Value::Array(list) => list.iter().for_each(|v| referenced_uids(v, found)),
        _ => {}
    }
}

#[test]
fn every_data_source_that_a_dashboard_names_is_provisioned() {
    let provisioned: HashSet<String> = files("grafana/provisioning/datasources", "yaml")
        .iter()
        .flat_map(|path| {
            let yaml = fs::read_to_string(path).unwrap();
            let uids: Vec<String> =
                yaml.lines().filter_map(|line| line.trim().strip_prefix("uid: ").map(str::to_owned)).collect();
            uids
        })
        .collect();
    for (file, dashboard) in dashboards() {
        let mut named = BTreeSet::new();
        referenced_uids(&dashboard, &mut named);
        assert!(!named.is_empty(), "{file} names no data source");
        for uid in named {
            assert!(provisioned.contains(&uid), "{file}: no data source has uid {uid}");
        }
    }
}

#[test]
fn uids_and_panel_ids_are_unique_and_no_two_panels_overlap() {
    let mut uids = HashSet::new();
    for (file, dashboard) in dashboards() {
        let uid = text(&dashboard, "uid").to_owned();
        assert!(!uid.is_empty(), "{file} has no uid");
        assert!(uids.insert(uid), "{file}: another dashboard has its uid");

        let mut ids = HashSet::new();
        let mut cells = HashSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            let id = panel["id"].as_i64().unwrap_or_default();
            assert!(id > 0 && ids.insert(id), "{file}: panel {title:?} shares its id {id}");
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{file}: panel {title:?} leaves the grid");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{file}: panel {title:?} lies on another one");
                }
            }
        }
    }
}

#[test]
fn every_panel_explains_itself() {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|p| text(p, "type") != "row") {
            let title = text(panel, "title");
            assert!(!title.is_empty(), "{file}: a panel has no title");
            assert!(!text(panel, "description").is_empty(), "{file}: {title:?} has no description");
            let queries = panel["targets"].as_array().map_or(0, Vec::len);
            assert!(queries > 0, "{file}: {title:?} asks for nothing");
        }
    }
}

/// `sql` as Grafana sends it: time range = the last six hours, `$__interval` = one minute, each multi-value variable
/// the quoted [`SYMBOLS`].
fn expand(sql: &str, dashboard: &Value) -> String {
    let (from, to) = ("now() - interval '6 hours'", "now()");
    let mut out = sql.replace("$__interval", "1m");
    out = replace_call(&out, "$__timeFilter", |arg| format!("{arg} between {from} and {to}"));
    out = replace_call(&out, "$__timeGroup", |args| {
        let (column, width) = args.split_once(',').expect("$__timeGroup(column, width)");
        assert_eq!(width.trim(), "'1m'", "the width is '$__interval'");
        format!("floor(extract(epoch from {column})/60)*60")
    });
    out = replace_call(&out, "$__timeFrom", |_| format!("({from})"));
    out = replace_call(&out, "$__timeTo", |_| format!("({to})"));
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        assert_eq!(variable["multi"], true, "a variable with one value is written differently");
        let quoted = SYMBOLS.map(|symbol| format!("'{symbol}'")).join(",");
        let name = text(variable, "name");
        out = out.replace(&format!("${{{name}}}"), &quoted).replace(&format!("${name}"), &quoted);
    }
    assert!(!out.contains('$'), "not every macro or variable is known: {out}");
    out
}

/// Replaces each `name(argument)`; an argument holds no parenthesis in these dashboards.
fn replace_call(sql: &str, name: &str, with: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(&format!("{name}(")) {
        let (argument, tail) = after.split_once(')').expect("a closing parenthesis");
        out.push_str(before);
        out.push_str(&with(argument));
        rest = tail;
    }
    out + rest
}

/// What a query gave: column names with their types, and the rows as JSON objects.
struct Answer {
    columns: Vec<(String, String)>,
    rows: Vec<Value>,
}

async fn ask(connection: &mut PgConnection, sql: &str) -> Result<Answer, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *connection).await?;
    let columns = rows.first().map_or(Vec::new(), |row| {
        row.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect()
    });
    let as_json = format!("select to_jsonb(answer) from ({sql}) as answer");
    let rows = sqlx::query_scalar(AssertSqlSafe(as_json)).fetch_all(connection).await?;
    Ok(Answer { columns, rows })
}

fn is_number(kind: &str) -> bool {
    NUMBERS.contains(&kind)
}

/// Holds the answer against what the panel's type can draw.
fn check_shape(place: &str, panel: &Value, format: &str, answer: &Answer) {
    let columns = &answer.columns;
    assert!(!answer.rows.is_empty(), "{place}: no rows, the panel would be empty");
    match (text(panel, "type"), format) {
        ("stat", "table") => {
            assert_eq!(answer.rows.len(), 1, "{place}: a stat shows one row");
            assert!(columns.len() == 1 && is_number(&columns[0].1), "{place}: {columns:?}");
            let value = answer.rows[0].as_object().unwrap().values().next().unwrap();
            assert!(!value.is_null(), "{place}: null in a seeded market");
        }
        ("timeseries", "time_series") => check_series(place, answer),
        ("table", "table") => {
            for rule in panel["fieldConfig"]["overrides"].as_array().into_iter().flatten() {
                let name = rule["matcher"]["options"].as_str().unwrap();
                let known = columns.iter().any(|(column, _)| column == name);
                assert!(known, "{place}: an override names column {name:?}, which is not there");
            }
        }
        other => panic!("{place}: teach this test what a panel of {other:?} needs"),
    }
}

/// A series a metric: `time`, ascending; `metric`, text; one number.
fn check_series(place: &str, answer: &Answer) {
    let [(time, time_type), (metric, metric_type), (_, value_type)] = &answer.columns[..] else {
        panic!("{place}: wants time, metric and one value: {:?}", answer.columns);
    };
    assert_eq!((time.as_str(), metric.as_str()), ("time", "metric"), "{place}");
    assert!(is_number(time_type) || time_type == "TIMESTAMPTZ", "{place}: time is {time_type}");
    assert_eq!(metric_type, "TEXT", "{place}: metric");
    assert!(is_number(value_type), "{place}: the value is {value_type}");
    let metrics: HashSet<&str> = answer.rows.iter().map(|row| text(row, "metric")).collect();
    assert_eq!(metrics.len(), 2, "{place}: the seeded market has two of each: {metrics:?}");
    let times: Vec<String> = answer.rows.iter().map(|row| row["time"].to_string()).collect();
    assert!(times.is_sorted(), "{place}: Grafana wants ascending times");
}

/// Runs every query of every panel and variable, and hands the answer to `check`: with the panel and the target's
/// format, or with None for a variable.
async fn for_each_query(connection: &mut PgConnection, check: impl Fn(&str, Option<(&Value, &str)>, &Answer)) {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                if !text(&target["datasource"], "type").ends_with("postgresql-datasource") {
                    continue;
                }
                let place = format!("{file}: {:?}", text(panel, "title"));
                let sql = expand(text(target, "rawSql"), &dashboard);
                let answer = ask(connection, &sql).await.unwrap_or_else(|e| panic!("{place}: {e}\n{sql}"));
                check(&place, Some((panel, text(target, "format"))), &answer);
            }
        }
        for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
            let place = format!("{file}: variable {:?}", text(variable, "name"));
            let sql = text(variable, "query");
            let answer = ask(connection, sql).await.unwrap_or_else(|e| panic!("{place}: {e}\n{sql}"));
            check(&place, None, &answer);
        }
    }
}

#[tokio::test]
async fn every_query_gives_rows_that_its_panel_can_draw() {
    let mut database = Database::create("shapes").await;
    database.seed().await;
    for_each_query(&mut database.connection, |place, panel, answer| match panel {
        Some((panel, format)) => check_shape(place, panel, format, answer),
        None => {
            let values: Vec<&str> = answer.rows.iter().map(|row| text(row, "symbol")).collect();
            assert_eq!(values, SYMBOLS, "{place}: each symbol once, sorted");
        }
    })
    .await;
    database.drop().await;
}

#[tokio::test]
async fn no_query_fails_on_a_database_that_is_still_empty() {
    let mut database = Database::create("empty").await;
    for_each_query(&mut database.connection, |_, _, _| {}).await;
    database.drop().await;
}

/// A database of the test's own, with the migrations applied.
struct Database {
    name: String,
    server: String,
    connection: PgConnection,
}

impl Database {
    async fn create(purpose: &str) -> Database {
        let server = std::env::var("STACK_DATABASE_URL").expect("run `cargo xtask test`");
        let name = format!("grafana_{purpose}_{}", std::process::id());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let create = format!("create database {name}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();

        let (address, _) = server.rsplit_once('/').unwrap();
        let mut connection = PgConnection::connect(&format!("{address}/{name}")).await.unwrap();
        let migrations = repository().join("migrations");
        let migrator = sqlx::migrate::Migrator::new(migrations.as_path()).await.unwrap();
        migrator.run(&mut connection).await.unwrap();
        Database { name, server, connection }
    }

    /// Five hours of two symbols: minute bars up to now, hourly summaries of the hours that are over, two kinds of
    /// rejected messages, one finished batch run.
    async fn seed(&mut self) {
        let seed = "
            insert into minute_bars
            select symbol, minute, 10, 12, 9, 11, 100, 4, 44, 1100, minute, 0, 0, minute + interval '59 seconds', 0, 1
            from unnest(array['AAPL', 'BRK-B']) as symbol,
                 generate_series(date_trunc('minute', now()) - interval '5 hours', now(), '1 minute') as minute;
            insert into hourly_stock_summary (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
            select symbol, hour, 11, 25, 10, 12, 9, 11, 6000, 11, 240
            from unnest(array['AAPL', 'BRK-B']) as symbol,
                 generate_series(date_trunc('hour', now()) - interval '5 hours',
                                 date_trunc('hour', now()) - interval '1 hour', '1 hour') as hour;
            insert into kafka_offsets (group_id, topic, partition, next_offset) values ('speed-layer', 'stock_prices', 0, 7);
            insert into rejected_ticks (topic, kafka_partition, kafka_offset, reason, detail, value)
            values ('stock_prices', 0, 1, 'not_json', 'expected value at column 1', '\\x00ff27'),
                   ('stock_prices', 0, 2, 'tombstone', 'no value', null);
            insert into batch_runs (finished_at, status, arguments) values (now(), 'ok', '');";
        sqlx::raw_sql(seed).execute(&mut self.connection).await.unwrap();
    }

    async fn drop(self) {
        self.connection.close().await.unwrap();
        let mut admin = PgConnection::connect(&self.server).await.unwrap();
        let drop = format!("drop database {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
    }
}
