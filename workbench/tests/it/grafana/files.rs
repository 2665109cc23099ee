//! The rules of the files themselves.

use super::{dashboards, text};
use crate::pipeline::repository;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use workbench::dashboards::Language;

/// What Grafana 12 draws without a further plugin, as far as these dashboards use it.
const PANELS: [&str; 10] = [
    "row",
    "stat",
    "timeseries",
    "table",
    "barchart",
    "candlestick",
    "heatmap",
    "bargauge",
    "text",
    "alertlist",
];

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

fn provisioned_uids() -> HashSet<String> {
    let yaml =
        fs::read_to_string(repository().join("grafana/provisioning/datasources/stocks.yaml"))
            .unwrap();
    yaml.lines().filter_map(|line| line.trim().strip_prefix("uid: ").map(str::to_owned)).collect()
}

#[test]
fn every_data_source_that_a_dashboard_names_is_provisioned() {
    let provisioned = provisioned_uids();
    for dashboard in dashboards() {
        let mut named = BTreeSet::new();
        referenced_uids(&dashboard.json, &mut named);
        assert!(!named.is_empty(), "{} names no data source", dashboard.file);
        // Grafana's own, which every installation has.
        named.remove("-- Grafana --");
        for uid in named {
            assert!(provisioned.contains(&uid), "{}: no data source has uid {uid}", dashboard.file);
        }
    }
}

#[test]
fn uids_and_panel_ids_are_unique_and_no_two_panels_overlap() {
    let mut uids = HashSet::new();
    for dashboard in dashboards() {
        let file = dashboard.file;
        let uid = text(&dashboard.json, "uid").to_owned();
        assert!(!uid.is_empty() && uid.len() <= 40, "{file}: uid {uid:?}");
        assert!(uids.insert(uid), "{file}: another dashboard has its uid");
        let mut ids = HashSet::new();
        for panel in dashboard.panels() {
            let id = panel["id"].as_i64().unwrap_or_default();
            let title = text(panel, "title");
            assert!(id > 0 && ids.insert(id), "{file}: panel {title:?} shares its id {id}");
        }
        let top = dashboard.json["panels"].as_array().unwrap();
        assert_no_overlap(file, top);
        // What a closed row holds moves the rows below it when it is opened.
        for row in top.iter().filter(|row| row["collapsed"] == true) {
            assert_no_overlap(file, row["panels"].as_array().unwrap());
        }
    }
}

fn assert_no_overlap(file: &str, panels: &[Value]) {
    let mut cells = HashSet::new();
    for panel in panels {
        let title = text(panel, "title");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(
            at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24,
            "{file}: panel {title:?} leaves the grid"
        );
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{file}: panel {title:?} lies on another one");
            }
        }
    }
}

#[test]
fn every_panel_explains_itself_with_a_unit_and_a_legend() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let (kind, title) = (text(panel, "type"), text(panel, "title"));
            let place = format!("{}: {title:?}", dashboard.file);
            assert!(PANELS.contains(&kind), "{place}: {kind} is no panel that was looked at");
            if kind == "row" {
                continue;
            }
            assert!(
                !title.is_empty() && text(panel, "description").len() > 20,
                "{place}: no description"
            );
            if kind == "alertlist" {
                continue;
            }
            assert!(
                !text(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
                "{place}: no unit"
            );
            let queries = panel["targets"].as_array().map_or(0, Vec::len);
            assert!(queries > 0, "{place}: asks for nothing");
            if kind == "timeseries" {
                let defaults = &panel["fieldConfig"]["defaults"];
                // Of seconds Grafana makes 15 s or 500 ms, and knows best how many digits these
                // take.
                assert_eq!(
                    defaults["decimals"].is_u64(),
                    text(defaults, "unit") != "s",
                    "{place}: decimals"
                );
                assert!(
                    panel["options"]["legend"]["showLegend"].is_boolean(),
                    "{place}: no legend"
                );
            }
        }
    }
}

/// `sishort` makes 5 k of 4,987, where no digit is left to tell 2,493 from 2,507.
#[test]
fn counts_are_shown_whole() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let defaults = &panel["fieldConfig"]["defaults"];
            let coarse =
                ["short", "sishort"].contains(&text(defaults, "unit")) && defaults["decimals"] == 0;
            assert!(!coarse, "{}: {:?}", dashboard.file, text(panel, "title"));
        }
    }
}

/// Every unit of a panel or a column.
fn units(panel: &Value) -> Vec<&str> {
    let config = &panel["fieldConfig"];
    let rules = config["overrides"].as_array().into_iter().flatten();
    let of_columns = rules.flat_map(|rule| rule["properties"].as_array().unwrap());
    let of_columns = of_columns.filter(|property| property["id"] == "unit");
    let of_columns = of_columns.filter_map(|property| property["value"].as_str());
    config["defaults"]["unit"].as_str().into_iter().chain(of_columns).collect()
}

/// `short` writes 15.5 Mil, `bytes` MiB beside the MB of everything else here, and a whole date
/// takes twice the width of one without its year.
#[test]
fn numbers_have_one_unit_for_one_thing_in_all_dashboards() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for unit in units(panel) {
                assert!(
                    !["short", "bytes", "dateTimeAsIso"].contains(&unit),
                    "{}: {:?} has {unit}",
                    dashboard.file,
                    text(panel, "title")
                );
            }
        }
    }
}

/// Grafana gives a column 150 pixels unless it is told otherwise, and 20 of each heading to a
/// funnel.
#[test]
fn columns_of_tables_may_be_narrow() {
    for dashboard in dashboards() {
        for panel in dashboard.panels().into_iter().filter(|panel| text(panel, "type") == "table") {
            let custom = &panel["fieldConfig"]["defaults"]["custom"];
            assert_eq!(custom["minWidth"], 70, "{}: {:?}", dashboard.file, text(panel, "title"));
            assert_eq!(
                custom["filterable"],
                false,
                "{}: {:?}",
                dashboard.file,
                text(panel, "title")
            );
        }
    }
}

/// A mark for each run covers the charts: runs are marked by whoever wants to see them.
#[test]
fn nothing_is_marked_over_the_data_unasked_that_happens_all_the_time() {
    for dashboard in dashboards() {
        for annotation in dashboard.json["annotations"]["list"].as_array().unwrap() {
            let often = text(annotation, "name") == "Batch runs";
            assert!(!often || annotation["enable"] == false, "{}", dashboard.file);
        }
    }
}

/// An empty database has no symbol to choose: `in ()` is a syntax error.
#[test]
fn the_chosen_symbols_may_be_none() {
    for dashboard in dashboards() {
        for query in dashboard.queries() {
            assert!(!query.text.contains("($symbol)"), "{}", query.place);
        }
    }
}

/// Asked for once, and not once a row.
fn is_chosen(query: &str) -> bool {
    ["(select chosen_symbols(", "(select (chosen_symbols("]
        .iter()
        .any(|asked| query.contains(asked))
}

/// A symbol that a file names is none of another market: Grafana would take the first of the list.
#[test]
fn no_file_knows_which_symbols_there_are() {
    for dashboard in dashboards() {
        for variable in dashboard.variables().filter(|variable| text(variable, "type") == "query") {
            let place = format!("{}: {}", dashboard.file, text(variable, "name"));
            match text(variable, "name") {
                "symbol" => assert_eq!(dashboard.first_choice("symbol"), ["most traded"]),
                "namespace" => assert_is_a_list_of_namespaces(variable, &place),
                // Grafana takes the first of the list, which is the most traded one.
                _ => {
                    assert!(text(variable, "query").contains("symbols_by_trade"), "{place}");
                    assert_eq!(variable["current"], serde_json::json!({}), "{place}");
                }
            }
            assert_eq!(variable["allowCustomValue"], false, "{place}");
        }
        for query in dashboard.queries().iter().filter(|query| query.text.contains("${symbol:")) {
            assert!(is_chosen(query.text), "{}", query.place);
        }
    }
}

/// Opens with all of them, and `.*` takes in series that have none, as outside of Kubernetes. Of
/// several Grafana makes `(a|b)`, with what is special in a regular expression escaped.
fn assert_is_a_list_of_namespaces(variable: &Value, place: &str) {
    assert_eq!(variable["current"]["value"], serde_json::json!(["$__all"]), "{place}");
    assert!(variable["multi"] == true && variable["includeAll"] == true, "{place}");
    assert_eq!(variable["allValue"], ".*", "{place}");
    assert_eq!(variable["datasource"]["type"], "prometheus", "{place}");
    let asked = r#"label_values(up{job="speed-layer"}, namespace)"#;
    assert_eq!(variable["query"]["query"], asked, "{place}");
    assert_eq!(variable["definition"], asked, "{place}");
}

/// Grafana encodes a link as a whole, which leaves `&` and `#` as they are: M&M would be M.
#[test]
fn what_a_link_takes_from_the_data_is_encoded() {
    let dashboards = dashboards();
    let mut all = Vec::new();
    dashboards.iter().for_each(|dashboard| addresses(&dashboard.json, &mut all));
    let values = all.iter().flat_map(|address| address.split('&').map(move |part| (address, part)));
    let mut encoded = 0;
    for (address, part) in values.filter(|(_, part)| part.contains("var-") && part.contains("=${"))
    {
        let is_number = part.ends_with(".numeric}");
        assert!(is_number || part.ends_with(":percentencode}"), "{address}");
        encoded += usize::from(!is_number);
    }
    assert!(encoded >= 20, "only {encoded}");
}

/// Side by side at a width of 1280 pixels, less would not hold its title and figures.
#[test]
fn no_panel_is_too_small_to_be_read() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {:?}", dashboard.file, text(panel, "title"));
            let (width, height) =
                (panel["gridPos"]["w"].as_u64().unwrap(), panel["gridPos"]["h"].as_u64().unwrap());
            match text(panel, "type") {
                "row" => assert_eq!((width, height), (24, 1), "{place}"),
                // One of several figures gives each its part of the width.
                "stat" => {
                    let figures =
                        panel["fieldConfig"]["overrides"].as_array().map_or(0, Vec::len) as u64;
                    assert!(
                        width >= 4.max(2 * figures) && height >= 4,
                        "{place}: {width} x {height}"
                    );
                    let letters = text(panel, "title").chars().count() as u64;
                    assert!(letters <= 4 * width, "{place}: cut after {} letters", 4 * width);
                }
                // In an incident five fire.
                "alertlist" => assert!(width >= 12 && height >= 6, "{place}: {width} x {height}"),
                _ => assert!(width >= 8 && height >= 8, "{place}: {width} x {height}"),
            }
        }
    }
}

/// An hour that begins before the range has a part in it. `$__timeFilter` would leave it out.
#[test]
fn the_hour_that_the_left_edge_cuts_is_shown() {
    for dashboard in dashboards() {
        for query in dashboard.queries() {
            let is_of_hours = query.text.contains("$__timeFilter(hour)")
                || query.text.contains(".hour)") && query.text.contains("$__timeFilter(")
                || query.text.contains("from technical_indicators")
                    && query.text.contains("$__timeFilter(start)");
            assert!(!is_of_hours, "{}", query.place);
        }
    }
}

/// At midnight of the exchange it is another day in a browser west of it.
#[test]
fn a_day_stands_at_noon() {
    let mut days = 0;
    for dashboard in dashboards() {
        for query in dashboard.queries().iter().filter(|query| query.text.contains("as time,")) {
            assert!(!query.text.contains("start as time,"), "{}", query.place);
            days += usize::from(query.text.contains("interval '12 hours'"));
        }
    }
    assert!(days >= 9, "only {days} queries draw days");
}

/// Movers, volumes and times come from functions that end where the range does.
#[test]
fn no_panel_of_the_market_counts_whole_hours_or_draws_an_unknown_volume() {
    for dashboard in dashboards() {
        for query in dashboard.queries() {
            assert!(!query.text.contains("market_hours("), "{}", query.place);
            assert!(!query.text.contains("max(minute)"), "{}", query.place);
            let ranks = query.text.contains("order by volume desc");
            assert!(!ranks || query.text.contains("where volume is not null"), "{}", query.place);
        }
    }
}

/// A description that says "below" must not have been copied from a page that has that panel.
#[test]
fn the_batch_runs_are_below_where_a_panel_says_so_and_rejects_say_what_they_count() {
    for dashboard in dashboards() {
        let panels = dashboard.panels();
        let has_runs = panels.iter().any(|panel| text(panel, "title") == "Batch runs");
        let named = dashboard.json.to_string().contains("the batch runs below");
        assert!(!named || has_runs, "{}", dashboard.file);
        for query in dashboard.queries() {
            let counts = query.text.contains("from rejected_messages\nwhere $__timeFilter");
            let Some(panel) = query.panel.filter(|_| counts) else { continue };
            assert!(text(panel, "description").contains("other_kind"), "{}", query.place);
        }
    }
}

/// What says the same in two places is asked for in the same words.
#[test]
fn the_overview_asks_nothing_that_another_dashboard_does_not() {
    let dashboards = dashboards();
    let (overview, others): (Vec<_>, Vec<_>) =
        dashboards.iter().partition(|dashboard| text(&dashboard.json, "uid") == "overview");
    let asked: HashSet<&str> =
        others.iter().flat_map(|dashboard| dashboard.queries()).map(|query| query.text).collect();
    let of_overview = overview[0].queries();
    assert!(of_overview.len() > 10);
    for query in of_overview {
        assert!(asked.contains(query.text), "{}", query.place);
    }
}

#[test]
fn every_alert_leads_to_the_panel_that_shows_its_matter() {
    let file = repository().join("grafana/provisioning/alerting/batch-layer.json");
    let alerting: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let dashboards = dashboards();
    let groups = alerting["groups"].as_array().unwrap();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = text(rule, "title");
        let dashboard = dashboards
            .iter()
            .find(|dashboard| text(&dashboard.json, "uid") == text(rule, "dashboardUid"));
        let panels = dashboard.unwrap_or_else(|| panic!("{name} leads to no dashboard")).panels();
        assert!(
            panels.iter().any(|panel| panel["id"] == rule["panelId"]),
            "{name} leads to no panel"
        );
    }
}

#[test]
fn the_dashboards_lead_to_one_another_and_open_on_a_range_that_refreshes() {
    for dashboard in dashboards() {
        let file = dashboard.file;
        assert_eq!(
            dashboard.json["links"][0]["tags"], dashboard.json["tags"],
            "{file}: links to the others by their tag"
        );
        for key in ["title", "description", "refresh"] {
            assert!(!text(&dashboard.json, key).is_empty(), "{file}: no {key}");
        }
        assert!(text(&dashboard.json["time"], "from").starts_with("now-"), "{file}");
        assert!(
            dashboard.json["id"].is_null(),
            "{file}: an id is the installation's, not the file's"
        );
        for variable in dashboard.variables() {
            assert!(!text(variable, "label").is_empty(), "{file}: a variable without a label");
        }
    }
}

/// From a page of now to another of now the range is the same moment; of a week it would be no live
/// market.
#[test]
fn the_range_goes_along_to_pages_of_the_same_kind_alone() {
    for dashboard in dashboards() {
        let file = dashboard.file;
        let [own, other] = dashboard.json["links"].as_array().unwrap().as_slice() else {
            panic!("{file}: two groups")
        };
        assert!(own["keepTime"] == true && other["keepTime"] == false, "{file}");
        assert_eq!(own["tags"][0], other["tags"][0], "{file}");
        assert_ne!(own["tags"], other["tags"], "{file}");
    }
}

/// The addresses of all links that a click follows.
fn addresses<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("url").and_then(Value::as_str).filter(|url| url.starts_with('/')));
            map.values().for_each(|v| addresses(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| addresses(v, found)),
        _ => {}
    }
}

#[test]
fn every_link_leads_to_a_dashboard_that_has_its_variables() {
    let dashboards = dashboards();
    let mut all = Vec::new();
    dashboards.iter().for_each(|dashboard| addresses(&dashboard.json, &mut all));
    assert!(all.len() > 20, "only {} links", all.len());
    for address in all {
        let (uid, variables) =
            address.strip_prefix("/d/").unwrap().split_once('?').unwrap_or((&address[3..], ""));
        let target = dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == uid);
        let target = target.unwrap_or_else(|| panic!("{address}: no such dashboard"));
        for id in variables.split('&').filter_map(|part| part.strip_prefix("viewPanel=")) {
            let is_there =
                target.panels().iter().any(|panel| panel["id"].as_u64() == id.parse().ok());
            assert!(is_there, "{address}: no panel {id}");
        }
        assert!(
            !address.contains("${namespace:") || target.json.to_string().contains("$namespace"),
            "{address}: no namespaces there"
        );
        for name in variables.split('&').filter_map(|part| part.strip_prefix("var-")) {
            let name = name.split('=').next().unwrap();
            assert!(
                target.variables().any(|variable| text(variable, "name") == name),
                "{address}: no variable {name}"
            );
        }
    }
}

/// A mover, a reject and an hour each lead to what is behind them.
#[test]
fn whatever_names_a_symbol_an_offset_or_an_hour_leads_on() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {:?}", dashboard.file, text(panel, "title"));
            let asked: Vec<&str> = panel["targets"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|target| text(target, "rawSql"))
                .collect();
            let (asked, all) = (asked.join("\n"), panel["fieldConfig"].to_string());
            match text(panel, "type") {
                "barchart" => assert!(
                    all.contains("/d/stock-market?var-chart="),
                    "{place}: no way to the candles"
                ),
                "timeseries" if asked.contains("symbol as metric") => {
                    assert!(
                        all.contains("var-chart=${__series.name:percentencode}"),
                        "{place}: no way to the candles"
                    );
                }
                "table" if text(&dashboard.json, "uid") != "evidence" => {
                    for (column, link) in [
                        ("kafka_offset", "/d/evidence?var-topic="),
                        ("computed_at", "/d/evidence?var-hour="),
                        ("symbol", "/d/stock-market?var-chart="),
                    ] {
                        let names = asked.lines().any(|line| {
                            let line =
                                line.trim().trim_start_matches("select ").trim_end_matches(',');
                            line == column || line.ends_with(&format!(".{column}"))
                        });
                        assert!(!names || all.contains(link), "{place}: {column} leads nowhere");
                    }
                }
                _ => {}
            }
        }
    }
}

/// A row of a day or an hour is of that time, whatever the page's range: what it leads to is, too.
#[test]
fn a_row_of_a_day_or_an_hour_leads_to_that_time() {
    for (uid, title, since) in [
        ("daily-report", "The day, symbol by symbol", "since"),
        ("daily-report", "$chart: day by day", "since"),
        ("hourly-history", "Hourly summaries", "hour"),
        ("evidence", "The hour", "hour"),
    ] {
        let dashboards = dashboards();
        let dashboard =
            dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == uid).unwrap();
        let panels = dashboard.panels();
        let panel = panels.iter().find(|panel| text(panel, "title") == title).unwrap();
        let span =
            format!("from=${{__data.fields.{since}.numeric}}&to=${{__data.fields.until.numeric}}");
        let mut links = Vec::new();
        addresses(&panel["fieldConfig"], &mut links);
        let market = links.iter().filter(|link| link.starts_with("/d/stock-market"));
        let (of_span, others): (Vec<&&str>, Vec<&&str>) =
            market.partition(|link| link.ends_with(&span));
        assert!(!of_span.is_empty(), "{uid}, {title}: no way to its time");
        // Of a symbol in a row of an hour the page's range is right.
        assert!(others.is_empty() || uid == "hourly-history", "{uid}, {title}: {others:?}");
        // What is taken from a row, and is none of its columns, is not drawn.
        let rules = panel["fieldConfig"]["overrides"].as_array().unwrap();
        let until = rules.iter().find(|rule| rule["matcher"]["options"] == "until").unwrap();
        assert!(until.to_string().contains("custom.hidden"), "{uid}, {title}");
    }
}

/// Lines end where the market rests: Grafana joins what is far apart unless it is told how far is
/// too far.
#[test]
fn no_line_goes_straight_over_a_night_or_an_outage() {
    for dashboard in dashboards() {
        for panel in
            dashboard.panels().into_iter().filter(|panel| text(panel, "type") == "timeseries")
        {
            let custom = &panel["fieldConfig"]["defaults"]["custom"];
            let place = format!("{}: {:?}", dashboard.file, text(panel, "title"));
            if text(&panel["datasource"], "type") == "prometheus" {
                assert_eq!(custom["spanNulls"], false, "{place}: drawn over scrapes that failed");
                continue;
            }
            // A day is one point, and weeks of them have weekends.
            if text(custom, "drawStyle") != "line" || text(&dashboard.json, "uid") == "daily-report"
            {
                continue;
            }
            let ends_by_query = panel["targets"][0]["rawSql"]
                .as_str()
                .unwrap()
                .contains("pause > interval '2 hours'");
            let far = custom["insertNulls"].as_u64();
            assert!(
                ends_by_query && custom["spanNulls"] == false
                    || far.is_some_and(|ms| ms <= 7_200_000),
                "{place}"
            );
            assert!(custom["spanNulls"].as_u64() <= far, "{place}: joined again");
        }
    }
}

/// A legend below takes half of a chart and still hides rows; colours by name are those of no other
/// meaning, and the same in each chart.
#[test]
fn legends_and_colours_leave_the_charts_to_the_data() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {:?}", dashboard.file, text(panel, "title"));
            let defaults = &panel["fieldConfig"]["defaults"];
            match text(panel, "type") {
                "timeseries" => {
                    let legend = &panel["options"]["legend"];
                    let is_wide = panel["gridPos"]["w"].as_u64().unwrap() >= 12;
                    assert!(!is_wide || legend["placement"] == "right", "{place}");
                    assert!(
                        legend["calcs"].as_array().is_some_and(Vec::is_empty),
                        "{place}: a table takes the plot"
                    );
                    assert_eq!(
                        text(&defaults["color"], "mode"),
                        "palette-classic-by-name",
                        "{place}"
                    );
                }
                // Each bar has its value; an axis beside would be cut.
                "barchart" => {
                    assert_eq!(text(&defaults["custom"], "axisPlacement"), "hidden", "{place}");
                    assert_eq!(panel["options"]["showValue"], "always", "{place}");
                }
                _ => {}
            }
        }
        for annotation in dashboard.json["annotations"]["list"].as_array().unwrap() {
            let covers_all = annotation["enable"] == true
                && annotation["builtIn"] != 1
                && annotation["filter"].is_null();
            assert!(
                !covers_all,
                "{}: {:?} lies over every chart",
                dashboard.file,
                text(annotation, "name")
            );
        }
    }
}

/// Lines of several symbols may be percent or prices, in all dashboards by the same switch.
#[test]
fn lines_of_symbols_have_a_switch_between_percent_and_prices() {
    let mut switched = 0;
    for dashboard in dashboards() {
        for panel in
            dashboard.panels().into_iter().filter(|panel| text(panel, "title") == "${lines:text}")
        {
            switched += 1;
            let targets = panel["targets"].as_array().unwrap();
            for (target, value) in targets.iter().zip(["percent", "price"]) {
                assert!(
                    text(target, "rawSql").contains(&format!("'$lines' = '{value}'")),
                    "{}",
                    dashboard.file
                );
            }
            let unit = &panel["fieldConfig"]["overrides"][0];
            assert_eq!(
                (text(&unit["matcher"], "options"), &unit["properties"][0]["value"]),
                ("B", &"locale".into())
            );
            assert_eq!(text(&panel["fieldConfig"]["defaults"], "unit"), "percent");
        }
    }
    assert_eq!(switched, 3, "live, history and daily report");
}

/// Of no instance at all `sum(up)` has no series, and the tile would be empty instead of a red 0.
#[test]
fn no_instance_at_all_is_a_zero() {
    for dashboard in dashboards() {
        for query in dashboard.queries().iter().filter(|query| query.text.starts_with("sum(up{")) {
            assert!(query.text.ends_with(" or vector(0)"), "{}", query.place);
        }
    }
}

/// Below 768 pixels Grafana puts panels one under the other, each as wide as the screen: figures
/// side by side are what gets too narrow then, and a title must say what is meant before it is cut.
#[test]
fn a_phone_shows_each_figure_and_title() {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let place = format!("{}: {:?}", dashboard.file, text(panel, "title"));
            let figures = panel["fieldConfig"]["overrides"].as_array().map_or(0, Vec::len);
            assert!(
                text(panel, "type") != "stat" || figures <= 6,
                "{place}: {figures} figures in a row"
            );
            assert!(
                text(panel, "title").chars().count() <= 48,
                "{place}: longer than a phone is wide"
            );
        }
    }
}

/// Nothing is waited for on Pipeline's long part: rows that are opened for a reason are closed.
#[test]
fn the_first_look_at_the_pipeline_is_no_longer_than_three_screens() {
    let dashboards = dashboards();
    let pipeline =
        dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == "pipeline").unwrap();
    let top = pipeline.json["panels"].as_array().unwrap();
    let end = |panel: &Value| {
        panel["gridPos"]["y"].as_u64().unwrap() + panel["gridPos"]["h"].as_u64().unwrap()
    };
    let height = top.iter().map(end).max().unwrap();
    assert!(height <= 48, "{height} rows of the grid");
    for title in ["Rejected messages", "Batch layer"] {
        let row = top.iter().find(|panel| text(panel, "title") == title).unwrap();
        assert_eq!(row["collapsed"], true, "{title}");
        assert!(row["panels"].as_array().unwrap().len() >= 2, "{title}");
    }
}

/// A figure of a stat panel of several: the panel's title and its name.
fn figure<'a>(panel: &'a Value, name: &str) -> Option<&'a Value> {
    let rules = panel["fieldConfig"]["overrides"].as_array()?;
    rules.iter().find(|rule| {
        let mut properties = rule["properties"].as_array().unwrap().iter();
        properties.any(|one| one["id"] == "displayName" && one["value"] == name)
    })
}

/// Whether all is well is asked of the archive and of the ticks' prices, too.
#[test]
fn the_overview_leads_to_the_archive_and_to_bad_prints() {
    let dashboards = dashboards();
    let overview =
        dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == "overview").unwrap();
    for (title, name, asked, page) in [
        ("Speed layer", "Lag", "consumer_lag", "/d/pipeline?viewPanel=14&"),
        ("Speed layer", "p99 visible", "visible_latency", "/d/pipeline?viewPanel=16&"),
        ("Ticks", "Rejected", "rejected_messages", "/d/evidence?"),
        ("Batch layer", "Last good run", "batch_run_history", "/d/pipeline?viewPanel=24&"),
        ("Batch layer", "Mismatched", "hour_reconciliation", "/d/pipeline?viewPanel=28&"),
        ("Batch layer", "Archive behind", "archive_lag", "/d/pipeline?"),
        ("Sink", "Sink lag", "kafka_consumergroup_lag", "/d/pipeline?viewPanel=35&"),
        ("Sink", "Failed tasks", "kafka_connect_connector_status", "/d/pipeline?"),
        ("Findings", "Bad prints", "found_anomalies", "/d/data-quality?"),
        ("Findings", "Not judged", "judged_hour_history", "/d/data-quality?"),
        ("Storage", "Database", "table_sizes", "/d/pipeline?viewPanel=27&"),
    ] {
        let panel = overview.panels().into_iter().find(|panel| text(panel, "title") == title);
        let panel = panel.unwrap_or_else(|| panic!("no tiles {title:?}"));
        assert!(panel["targets"].to_string().contains(asked), "{name}");
        let rule = figure(panel, name).unwrap_or_else(|| panic!("no figure {name:?}"));
        let mut links = Vec::new();
        addresses(rule, &mut links);
        assert!(links.iter().any(|link| link.starts_with(page)), "{name}: {links:?}");
    }
}

/// On a phone each panel has the whole width and keeps its height, so that twenty tiles are four
/// screens. Several figures of one panel Grafana lays out side by side by itself.
#[test]
fn a_phone_shows_the_overviews_first_chart_after_nine_panels() {
    let dashboards = dashboards();
    let overview =
        dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == "overview").unwrap();
    let panels = overview.panels();
    let above = panels.iter().take_while(|panel| text(panel, "type") != "timeseries").count();
    assert!(above <= 9 && above < panels.len(), "{above} panels");
    // Grafana sorts them by their places.
    let places: Vec<_> = panels
        .iter()
        .map(|panel| (panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64()))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    for panel in panels.iter().take(above) {
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        for target in
            targets.iter().filter(|target| targets.len() > 1 && target["expr"].is_string())
        {
            let name = text(target, "legendFormat");
            let rule = figure(panel, name).unwrap_or_else(|| panic!("no rule for {name:?}"));
            assert_eq!(rule["matcher"]["options"], name);
            let mut links = Vec::new();
            addresses(rule, &mut links);
            assert!(!links.is_empty(), "{name} leads nowhere");
        }
    }
}

/// What is red leads on to why. Of lost offsets Pipeline has no more to show.
#[test]
fn each_tile_of_the_pipeline_leads_on() {
    let dashboards = dashboards();
    let pipeline =
        dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == "pipeline").unwrap();
    for panel in pipeline.panels().into_iter().filter(|panel| text(panel, "type") == "stat") {
        let title = text(panel, "title");
        let mut links = Vec::new();
        addresses(&panel["fieldConfig"], &mut links);
        assert!(title == "Lost offsets" || !links.is_empty(), "{title} leads nowhere");
    }
}

/// Drawn where the alert of that chart's matter begins.
#[test]
fn the_charts_of_the_pipeline_have_the_thresholds_of_the_alerts() {
    let dashboards = dashboards();
    let pipeline =
        dashboards.iter().find(|dashboard| text(&dashboard.json, "uid") == "pipeline").unwrap();
    for (title, file, alert, color) in [
        ("Lag by partition", "speed-layer", "ConsumerLagGrowing", "red"),
        ("Visible after", "speed-layer", "VisibleLatencyHigh", "orange"),
        ("Sink lag by connector", "archive-sink", "ArchiveSinkBehind", "orange"),
    ] {
        let panels = pipeline.panels();
        let panel = panels.iter().find(|panel| text(panel, "title") == title).unwrap();
        let defaults = &panel["fieldConfig"]["defaults"];
        assert_eq!(defaults["custom"]["thresholdsStyle"]["mode"], "dashed", "{title}");
        let step = &defaults["thresholds"]["steps"][1];
        assert_eq!(step["color"], color, "{title}");
        assert!(text(panel, "description").contains(alert), "{title}");
        let rules = repository().join(format!("prometheus/rules/{file}.rules.yml"));
        let rules = fs::read_to_string(rules).unwrap();
        let (_, rule) = rules.split_once(&format!("alert: {alert}\n")).unwrap();
        let (rule, _) = rule.split_once("annotations:").unwrap();
        let is_above = |end: &str| rule.contains(&format!("> {}{end}", step["value"]));
        assert!(is_above("\n") || is_above(" and "), "{alert} does not fire above {step}");
        let severity = if color == "red" { "page" } else { "ticket" };
        assert!(rule.contains(&format!("severity: {severity}")), "{alert}");
    }
}

/// An answer without a series is no figure: an empty tile would look like one that is well.
#[test]
fn a_tile_says_what_it_means_when_prometheus_has_nothing() {
    for dashboard in dashboards() {
        for query in dashboard.queries().iter().filter(|query| query.language == Language::PromQl) {
            let panel = query.panel.unwrap();
            let is_silent = text(panel, "type") == "stat"
                && text(&panel["fieldConfig"]["defaults"], "noValue").is_empty();
            assert!(!is_silent, "{}", query.place);
        }
    }
}

#[test]
fn the_first_page_is_the_overview() {
    let compose = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    assert!(compose.contains(
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: /etc/grafana/dashboards/overview.json"
    ));
}

/// Grafana expands `$NAME` in data source files only; a password with `$` in it would be cut short
/// elsewhere.
#[test]
fn the_data_sources_take_addresses_and_secrets_from_the_environment() {
    let yaml =
        fs::read_to_string(repository().join("grafana/provisioning/datasources/stocks.yaml"))
            .unwrap();
    for name in [
        "GRAFANA_DB_HOST",
        "GRAFANA_DB_NAME",
        "GRAFANA_DB_USER",
        "GRAFANA_DB_PASSWORD",
        "GRAFANA_PROMETHEUS_URL",
    ] {
        assert!(yaml.contains(&format!(": ${name}\n")), "{name} is not taken from the environment");
    }
    assert!(yaml.contains("type: grafana-postgresql-datasource"));
}
