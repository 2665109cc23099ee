//! What a look at the dashboards in a real Grafana found, and what mended it.

use super::{dashboards, text};
use crate::pipeline::repository;
use serde_json::{Value, json};
use std::fs;

/// What a column's rule says: `restated: mappings`. Of a panel itself it is a JSON pointer.
fn setting<'a>(panel: &'a Value, name: &str) -> &'a Value {
    let Some((column, property)) = name.split_once(": ") else {
        return panel.pointer(name).unwrap_or(&Value::Null);
    };
    let rules = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let of_column = rules.filter(|rule| rule["matcher"]["options"] == column);
    let mut properties = of_column.flat_map(|rule| rule["properties"].as_array().unwrap());
    properties.find(|one| one["id"] == property).map_or(&Value::Null, |one| &one["value"])
}

/// What a look at a real Grafana found, and what mended it: the file, the panel, its setting, and
/// what that is.
#[test]
fn what_was_mended_panel_by_panel_stays() {
    let yes = json!([{"type": "value", "options": {"true": {"text": "yes", "color": "orange", "index": 0},
                                                   "false": {"text": "", "index": 1}}}]);
    let signs = json!({"mode": "absolute", "steps": [{"color": "red", "value": null}, {"color": "green", "value": 0}]});
    // A day of -0.001 % is no red -0.00 %.
    let change = json!({"mode": "absolute", "steps": [{"color": "red", "value": null},
                        {"color": "text", "value": -0.005}, {"color": "green", "value": 0.005}]});
    let mended = [
        ("stock-market", 13, "change_percent: thresholds", change.clone()),
        ("stock-market", 8, "change_percent: thresholds", change),
        // Candles of a pixel and a half are hairlines.
        ("stock-market", 9, "/maxDataPoints", json!(100)),
        ("daily-report", 13, "/maxDataPoints", json!(100)),
        // A green 0 above a table in which nothing was compared.
        ("pipeline", 11, "differing: displayName", json!("Mismatched")),
        ("pipeline", 11, "late: displayName", json!("Not compared")),
        ("overview", 8, "late: displayName", json!("Not compared")),
        // 340.959 ms, and an axis from 0 to 100 of nothing.
        ("pipeline", 16, "/fieldConfig/defaults/decimals", Value::Null),
        ("pipeline", 17, "/fieldConfig/defaults/decimals", Value::Null),
        ("pipeline", 18, "batches a second: custom.axisPlacement", json!("right")),
        ("pipeline", 19, "/fieldConfig/defaults/unit", json!("suffix: /min")),
        ("pipeline", 19, "/fieldConfig/defaults/custom/axisSoftMax", json!(1)),
        // The busiest symbol last, and white in the dark theme.
        ("hourly-history", 4, "/options/yAxis/reverse", json!(true)),
        ("hourly-history", 4, "/options/cellValues/unit", json!("percentunit")),
        // A histogram in one colour; lines of RSI that nobody sees; a price and shares on one axis.
        ("hourly-history", 8, "Histogram: custom.gradientMode", json!("scheme")),
        ("hourly-history", 8, "Histogram: thresholds", signs),
        (
            "hourly-history",
            7,
            "/fieldConfig/defaults/custom/thresholdsStyle/mode",
            json!("dashed+area"),
        ),
        ("hourly-history", 9, "/title", json!("ATR 14")),
        ("hourly-history", 11, "/title", json!("OBV")),
        // Values of four sizes, or none.
        ("stock-market", 10, "/options/text/valueSize", json!(11)),
        ("daily-report", 8, "/options/text/valueSize", json!(11)),
        ("daily-report", 9, "/options/text/valueSize", json!(11)),
        ("daily-report", 10, "/options/text/valueSize", json!(11)),
        ("data-quality", 9, "/options/text/valueSize", json!(11)),
        // Raw true and false, and texts that nobody could read to their end.
        ("pipeline", 26, "restated: mappings", yes.clone()),
        ("pipeline", 26, "stale: mappings", yes.clone()),
        ("pipeline", 28, "needs_look: mappings", yes.clone()),
        ("evidence", 2, "restated: mappings", yes),
        ("pipeline", 22, "detail: custom.inspect", json!(true)),
        ("pipeline", 22, "message: custom.inspect", json!(true)),
        ("pipeline", 24, "error: custom.inspect", json!(true)),
        ("pipeline", 28, "detail: custom.inspect", json!(true)),
        ("evidence", 3, "key: custom.inspect", json!(true)),
        ("evidence", 5, "message: custom.inspect", json!(true)),
        // Blank on an empty database, and no line under a figure that moves.
        ("stock-market", 2, "/fieldConfig/defaults/noValue", json!("never")),
        ("overview", 5, "age: noValue", json!("never")),
        ("overview", 8, "age: noValue", json!("never")),
        ("overview", 8, "seconds: noValue", json!("no run yet")),
        ("overview", 2, "Lag: noValue", json!("unknown")),
        ("overview", 19, "Failed tasks: noValue", json!("not watched")),
        ("pipeline", 1, "/options/graphMode", json!("area")),
        ("pipeline", 3, "/options/graphMode", json!("area")),
        ("pipeline", 12, "/options/graphMode", json!("area")),
    ];
    let dashboards = dashboards();
    for (file, id, name, value) in mended {
        let dashboard =
            dashboards.iter().find(|dashboard| dashboard.file == format!("{file}.json")).unwrap();
        let panels = dashboard.panels();
        let panel = panels.iter().find(|panel| panel["id"] == id);
        let panel = panel.unwrap_or_else(|| panic!("{file}: no panel {id}"));
        assert_eq!(setting(panel, name), &value, "{file}, {:?}: {name}", text(panel, "title"));
    }
}

/// Without a network it would try for minutes, and fill its log with errors.
#[test]
fn the_demos_grafana_asks_nobody_for_plugins() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let (demo, told) = (read("xtask/src/demo/grafana.rs"), read("grafana/loopback.env"));
    assert!(demo.contains("grafana/loopback.env") && demo.contains("\"GF_PATHS_PLUGINS\""));
    for line in [
        "GF_PLUGINS_PREINSTALL_DISABLED=true",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED=true",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
    ] {
        assert!(told.lines().any(|there| there == line), "{line}");
    }
}
