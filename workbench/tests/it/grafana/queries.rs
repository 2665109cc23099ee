//! Every query in SQL, as `grafana_reader` sends it.

use super::market::{SYMBOLS, migrated, reading, seeded};
use super::{dashboards, text};
use common::Timestamp;
use serde_json::Value;
use sqlx::AssertSqlSafe;
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
        ("candlestick", "table") => check_candles(place, panel, answer),
        ("barchart", "table") => {
            let [(_, label), (_, value)] = &answer.columns[..] else {
                panic!("{place}: {:?}", answer.columns)
            };
            assert!(label == "TEXT" && is_number(value), "{place}: {:?}", answer.columns);
        }
        ("table", "table") => check_widths(place, panel, answer),
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
        let name = part.split(['.', ':', '}']).next().unwrap();
        assert!(
            answer.columns.iter().any(|(column, _)| column == name),
            "{place}: a link takes {name:?} from a row"
        );
        // What is computed from a column is of no row.
        let is_of_row = panel["options"]["reduceOptions"]["values"] == true;
        assert!(panel["type"] != "stat" || is_of_row, "{place}: a link takes {name:?}");
    }
}

/// At a width of 1280 pixels all columns show: what is right of the panel's edge nobody looks for.
fn check_widths(place: &str, panel: &Value, answer: &Answer) {
    let room = panel["gridPos"]["w"].as_u64().unwrap() * 1250 / 24 - 20;
    let widths = answer.columns.iter().map(|(column, _)| {
        let of_column = |id: &str| setting(panel, column, id);
        if of_column("custom.hidden") == Some(&Value::Bool(true)) {
            return 0;
        }
        let width = of_column("custom.width").or_else(|| of_column("custom.minWidth"));
        width.map_or(70, |width| width.as_u64().unwrap())
    });
    let widths: u64 = widths.sum();
    assert!(widths <= room, "{place}: columns of {widths} pixels in a panel of {room}");
}

/// What a panel's rule says of a column.
fn setting<'a>(panel: &'a Value, column: &str, id: &str) -> Option<&'a Value> {
    let rules = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let of_column = rules.filter(|rule| rule["matcher"]["options"] == column);
    let mut properties = of_column.flat_map(|rule| rule["properties"].as_array().unwrap());
    properties.find(|property| property["id"] == id).map(|property| &property["value"])
}

fn check_stat(place: &str, panel: &Value, answer: &Answer) {
    assert_eq!(answer.rows.len(), 1, "{place}: a stat shows one row");
    // Text shows only where the panel is told to take every field, or that one.
    let fields = text(&panel["options"]["reduceOptions"], "fields");
    let only = fields.strip_prefix("/^").and_then(|rest| rest.strip_suffix("$/"));
    let is_there = |wanted: &str| answer.columns.iter().any(|(name, _)| name == wanted);
    assert!(only.is_none_or(is_there), "{place}: {:?}", answer.columns);
    let asks_several = panel["targets"].as_array().unwrap().len() > 1;
    assert!(answer.columns.len() == 1 || !fields.is_empty() || asks_several, "{place}");
    for (name, kind) in &answer.columns {
        assert!(is_number(kind) || !fields.is_empty(), "{place}: {kind}");
        assert!(!answer.rows[0][name].is_null(), "{place}: {name} is null in a seeded market");
        // The panel's title is of all of them.
        let has_name = setting(panel, name, "displayName").is_some();
        assert!(!asks_several || has_name, "{place}: what is {name:?}?");
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

fn check_candles(place: &str, panel: &Value, answer: &Answer) {
    let names: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    let (candles, lines) = names.split_at(6);
    assert_eq!(candles, ["time", "open", "high", "low", "close", "volume"], "{place}");
    // Whatever else is asked for is drawn as a line, if the panel is told so.
    assert_eq!(panel["options"]["includeAllFields"] == true, !lines.is_empty(), "{place}");
    for line in lines {
        assert!(answer.rows.iter().any(|row| !row[*line].is_null()), "{place}: no {line}");
        assert!(setting(panel, line, "displayName").is_some(), "{place}: what is {line:?}?");
    }
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
        // Another query of the panel may have it.
        let as_name = format!(" as {name}");
        let mut targets = panel["targets"].as_array().into_iter().flatten();
        let of_another = targets.any(|target| {
            text(target, "rawSql").split([',', '\n']).any(|part| part.ends_with(&as_name))
        });
        assert!(
            known || of_another,
            "{place}: an override names column {name:?}, which is not there"
        );
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
            let groups = groups_of(query);
            let (first, symbols) = values.split_at(groups.len());
            assert_eq!(first, groups, "{}: what opens on any market is first", query.place);
            assert_eq!(symbols, SYMBOLS, "{}: each symbol once, sorted", query.place);
        }
        None => {
            let names: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["time", "timeend", "text", "tags"], "{}", query.place);
            // The seeded market does not rest: another test looks at one that does.
            let rests = query.place.contains("Between sessions");
            assert_eq!(answer.rows.is_empty(), rests, "{}", query.place);
        }
    })
    .await;
}

/// What a variable offers beside symbols: the daily report alone lists all of them.
fn groups_of(query: &Query<'_>) -> &'static [&'static str] {
    match query.place.as_str() {
        place if !place.ends_with("variable \"symbol\"") => &[],
        place if place.starts_with("daily-report") => &["most traded", "all symbols"],
        _ => &["most traded"],
    }
}

/// As a dashboard opens on a market that none of its files names.
#[tokio::test]
async fn the_first_choice_fills_each_panel_on_any_market() {
    let database = seeded().await;
    for table in ["minute_bars", "hour_bars", "hourly_stock_summary", "technical_indicators"] {
        let other = format!(
            "update {table} set symbol = case symbol when 'AAPL' then '7203.T' else 'BTC-EUR' end"
        );
        sqlx::raw_sql(AssertSqlSafe(other)).execute(database.pool()).await.unwrap();
    }
    let mut connection = reading(&database).await;
    let mut asked = 0;
    for dashboard in dashboards() {
        let view = View::opened(&dashboard, Timestamp::now(), "7203.T").unwrap();
        let queries = dashboard.queries();
        for query in queries.iter().filter(|query| query.text.contains("${symbol:")) {
            let sql = expand_sql(query.text, &dashboard, &view).unwrap();
            let answer = ask(&mut connection, &sql)
                .await
                .unwrap_or_else(|e| panic!("{}: {e}\n{sql}", query.place));
            check_shape(&query.place, query.panel.unwrap(), query.format, &answer);
            asked += 1;
        }
    }
    assert!(asked >= 12, "only {asked} queries ask for the chosen symbols");
}

/// Seven symbols, the later in the alphabet the more traded, and one of them not on the newest day.
async fn seven_symbols() -> TestDatabase {
    let database = migrated().await;
    let fill = "insert into hour_bars
        select symbol, hour, 10, 12, 9, 11, volume, 1, 11, 11, hour, 0, 0, hour, 0, 1
        from (values ('A', 1, 0), ('B', 2, 0), ('C', 3, 0), ('D', 4, 0), ('E', 5, 0), ('F', 6, 0), ('G', 7, 3))
             as bars (symbol, volume, days),
             lateral (select date_trunc('hour', now()) - days * interval '1 day' as hour) as at";
    sqlx::raw_sql(fill).execute(database.pool()).await.unwrap();
    database
}

async fn chosen(database: &TestDatabase, choice: &[&str]) -> Vec<String> {
    let sql = "select chosen_symbols($1, now())";
    let mut connection = reading(database).await;
    sqlx::query_scalar(sql).bind(choice).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn the_most_traded_are_five_of_the_newest_day_and_names_stay_names() {
    let database = seven_symbols().await;
    assert_eq!(chosen(&database, &["A", "not known"]).await, ["A", "not known"]);
    assert_eq!(chosen(&database, &[]).await, [""; 0]);
    let five = ["F", "E", "D", "C", "B", "most traded"];
    assert_eq!(chosen(&database, &["most traded"]).await, five);
    let mut six = five.to_vec();
    six.push("A");
    assert_eq!(chosen(&database, &["most traded", "A"]).await, six);
    let all = ["F", "E", "D", "C", "B", "A", "G"];
    assert_eq!(chosen(&database, &["all symbols"]).await, all);
}

/// As if closed, a day of an hour would be far below the mean of whole days.
#[tokio::test]
async fn the_running_day_says_so_far_and_is_not_compared_with_whole_ones() {
    let database = seeded().await;
    // The last trade is of this minute, and days of the exchange here have as many hours each.
    sqlx::raw_sql("update exchange set time_zone = 'UTC'").execute(database.pool()).await.unwrap();
    let more = "insert into hour_bars
        select symbol, hour, 10, 12, 9, 11, 6000, 240, 2640, 66000, hour, 0, 0, hour, 0, 1
        from unnest(array['AAPL', 'BRK-B']) as symbol,
             generate_series(date_trunc('hour', now()) - interval '200 hours',
                             date_trunc('hour', now()) - interval '73 hours', '1 hour') as hour";
    sqlx::raw_sql(more).execute(database.pool()).await.unwrap();
    let rows = panel_asked(&database, "daily-report", "Trading day", &[]).await;
    let day = text(&rows[0], "day");
    assert!(day.contains(", so far to "), "{day}");
    let rows = panel_asked(&database, "daily-report", "The day, symbol by symbol", &[]).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let days = row["volume_mean_days"].as_i64();
        assert!(row["volume_ratio"].is_null() && days >= Some(5), "{row}");
    }
    let rows = panel_asked(&database, "daily-report", "$chart: day by day", &[]).await;
    let compared: Vec<bool> = rows.iter().map(|row| !row["volume_ratio"].is_null()).collect();
    // Newest first: today, then those with five days or more before them, and the first five.
    let (today, before) = compared.split_first().unwrap();
    assert!(!today && before[0], "{compared:?}");
    assert!(before.iter().rev().take(5).all(|is| !is), "{compared:?}");
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
        let Some(panel) = query.panel.filter(|panel| text(panel, "type") == "stat") else { return };
        let blank = answer
            .columns
            .iter()
            .filter(|(name, _)| answer.rows.iter().all(|row| row[name].is_null()));
        for (name, _) in blank {
            let says_so = setting(panel, name, "noValue").is_some()
                || !text(&panel["fieldConfig"]["defaults"], "noValue").is_empty();
            assert!(says_so, "{}: {name} is blank, and no word why", query.place);
        }
    })
    .await;
}

/// As Grafana writes a number: `none` with so many decimals, `locale` with at most so many.
fn shown(unit: &str, decimals: Option<u64>, value: f64) -> Option<String> {
    let fixed = format!("{value:.*}", usize::try_from(decimals?).unwrap());
    match unit {
        "none" => Some(fixed),
        "locale" if fixed.contains('.') => {
            Some(fixed.trim_end_matches('0').trim_end_matches('.').to_owned())
        }
        "locale" => Some(fixed),
        _ => None,
    }
}

/// The unit and the decimals of a column, by the rules of the column, the query or the panel.
fn format_of<'a>(query: &Query<'a>, panel: &'a Value, column: &str) -> (&'a str, Option<u64>) {
    let mut targets = panel["targets"].as_array().into_iter().flatten();
    let target = targets.find(|target| text(target, "rawSql") == query.text).unwrap();
    let defaults = &panel["fieldConfig"]["defaults"];
    let of = |id: &str| {
        setting(panel, column, id)
            .or_else(|| setting(panel, text(target, "refId"), id))
            .unwrap_or(&defaults[id])
    };
    (of("unit").as_str().unwrap(), of("decimals").as_u64())
}

/// Where prices are.
const PRICES: [(&str, &str); 7] = [
    ("minute_bars", "open high low close"),
    ("hour_bars", "open high low close"),
    ("hourly_stock_summary", "open high low close avg_close vwap"),
    ("clean_hours", "open high low close"),
    ("clean_minutes", "open high low close"),
    ("anomalies", "observed expected"),
    (
        "technical_indicators",
        "close sma_20 sma_50 ema_12 ema_26 bollinger_upper bollinger_middle bollinger_lower atr_14 vwap",
    ),
];

/// A coin of 0.00001234 and a currency of 1.08345: as 0.00 and 1.08 nobody could trade them.
#[tokio::test]
async fn prices_of_coins_and_currencies_can_be_read() {
    let database = seeded().await;
    for (symbol, close) in [("AAPL", "0.00001234"), ("BRK-B", "1.08345")] {
        for (table, columns) in PRICES {
            let scaled =
                |column: &str| format!("{column} = round(({column} * {close} / 11)::numeric, 8)");
            let set: Vec<String> = columns.split(' ').map(scaled).collect();
            let update = format!("update {table} set {} where symbol = '{symbol}'", set.join(", "));
            sqlx::raw_sql(AssertSqlSafe(update)).execute(database.pool()).await.unwrap();
        }
        // A mean has more digits than a price.
        for table in ["minute_bars", "hour_bars", "clean_hours", "clean_minutes"] {
            let update = format!(
                "update {table} set sum_close = ticks * close * 1.00001 / 0.99997,
                                    notional = volume * close * 1.00001 / 0.99997 where symbol = '{symbol}'"
            );
            sqlx::raw_sql(AssertSqlSafe(update)).execute(database.pool()).await.unwrap();
        }
    }
    sqlx::raw_sql("delete from hourly_stock_summary where hour > now() - interval '24 hours'")
        .execute(database.pool())
        .await
        .unwrap();
    for chart in [["AAPL", "BRK-B"], ["BRK-B", "AAPL"]] {
        for_each_query(&database, &chart, |query, answer| {
            let Some(panel) = query.panel else { return };
            for (column, kind) in answer.columns.iter().filter(|(_, kind)| is_number(kind)) {
                // Seconds since 1970, and how much happens, which nobody compares by its digits.
                if ["time", "rate", "score", "avg_volume", "volume_ratio"]
                    .contains(&column.as_str())
                {
                    continue;
                }
                let (unit, decimals) = format_of(query, panel, column);
                for value in answer.rows.iter().filter_map(|row| row[column].as_f64()) {
                    let Some(text) = shown(unit, decimals, value) else { continue };
                    let place = format!("{}: {column} ({kind}) {value}", query.place);
                    let far = (text.parse::<f64>().unwrap() - value).abs();
                    assert!(far <= value.abs() / 1000.0, "{place} is shown as {text}");
                    assert!(text.len() <= 12, "{place}: too many digits in {text}");
                }
            }
        })
        .await;
    }
}

/// Of candles alone nobody could tell a night from a gap in the data.
#[tokio::test]
async fn the_time_between_two_sessions_is_marked_from_the_last_hour_with_a_trade_to_the_next() {
    let database = seeded().await;
    for table in ["hour_bars", "hourly_stock_summary"] {
        let night = format!(
            "delete from {table} where hour between now() - interval '30 hours' and now() - interval '14 hours'"
        );
        sqlx::raw_sql(AssertSqlSafe(night)).execute(database.pool()).await.unwrap();
    }
    let mut connection = reading(&database).await;
    let rest = "select date_trunc('hour', now()) - interval '29 hours' as time,
                       date_trunc('hour', now()) - interval '13 hours' as timeend";
    let rest = ask(&mut connection, rest).await.unwrap().rows.remove(0);
    let mut marked = 0;
    for dashboard in dashboards() {
        let annotations = dashboard.annotation_queries();
        let Some(query) = annotations.iter().find(|query| query.place.contains("Between sessions"))
        else {
            continue;
        };
        let listed = dashboard.json["annotations"]["list"].as_array().unwrap();
        let annotation = listed.iter().find(|one| text(one, "name") == "Between sessions").unwrap();
        assert_eq!(annotation["enable"], true, "{}", query.place);
        let mut view = View::of(&dashboard, Timestamp::now(), &[]).unwrap();
        // One that began before the range is marked as well.
        for hours in [48, 20] {
            view.from = view.to.plus_micros(-hours * Timestamp::HOUR);
            let sql = expand_sql(query.text, &dashboard, &view).unwrap();
            let rows = ask(&mut connection, &sql).await.unwrap().rows;
            let [row] = &rows[..] else { panic!("{}: {rows:?}", query.place) };
            for key in ["time", "timeend"] {
                assert_eq!(row[key], rest[key], "{}: {key}", query.place);
            }
        }
        marked += 1;
    }
    assert_eq!(marked, 2, "live and history");
}

/// A day's VWAP begins with the day, and the mean of twenty candles has twenty from the first one.
#[tokio::test]
async fn the_lines_on_the_candles_know_what_is_left_of_the_edge() {
    let database = migrated().await;
    let fill = "insert into minute_bars
        select 'AAPL', minute, 10, 12, 9, 10 + n % 7, n, 4, 44, n * (10 + n % 5), minute, 0, 0, minute, 0, 1
        from generate_series(1, 600) as n,
             lateral (select date_trunc('minute', now()) - n * interval '1 minute' as minute) as at";
    sqlx::raw_sql(fill).execute(database.pool()).await.unwrap();
    let wanted: Vec<(f64, f64, f64)> = sqlx::query_as(
        "select extract(epoch from minute)::float8,
                (sum(volume * vwap) over day / sum(volume) over day)::float8,
                (avg(close) over (order by minute rows 19 preceding))::float8
         from minute_stock, exchange_settings
         window day as (partition by (minute at time zone time_zone)::date order by minute)
         order by minute",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    let rows = panel_asked(&database, "stock-market", "$chart: candles and volume", &[]).await;
    // Six hours, a candle each minute.
    assert!((355..=361).contains(&rows.len()), "{} candles", rows.len());
    let shown = &wanted[wanted.len() - rows.len()..];
    for (row, (time, vwap, mean)) in rows.iter().zip(shown) {
        assert_eq!(row["time"].as_f64(), Some(*time));
        for (line, wanted) in [("vwap", vwap), ("sma_20", mean)] {
            let value = row[line].as_f64().unwrap();
            assert!((value - wanted).abs() < 0.0001, "{line} {value} at {time}: {wanted}");
        }
    }
}

/// By the clock of the exchange, which nobody knows by the hour alone.
#[tokio::test]
async fn the_last_trade_says_where_it_is_that_late_and_leads_to_its_day() {
    let database = seeded().await;
    sqlx::raw_sql("update exchange set time_zone = 'America/New_York'")
        .execute(database.pool())
        .await
        .unwrap();
    for uid in ["overview", "stock-market"] {
        let rows = panel_asked(&database, uid, "Last trade", &[]).await;
        let said = text(&rows[0], "last_trade");
        assert!(said.ends_with(" New York") && said.len() == "Mon 20:59 New York".len(), "{said}");
        assert!(text(&rows[0], "since") < text(&rows[0], "until"), "{rows:?}");
    }
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
    let place = format!("{}: {title:?}", dashboard.file);
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
                5000 + groups_of(&query).len(),
                "{}",
                query.place
            );
        }
    }
}
