//! What the panels ask of the exporters beside the sink, which no test here runs: of series as
//! these write them.

use super::dashboards;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use workbench::dashboards::{Language, Query};

/// Two connectors, of which one has a task that failed, and a group that is none of a connector.
const SERIES: [(&str, &str); 6] = [
    (
        r#"kafka_consumergroup_lag{consumergroup="connect-s3",topic="stock_prices",partition="0"}"#,
        "5+0x4",
    ),
    (
        r#"kafka_consumergroup_lag{consumergroup="connect-s3",topic="stock_prices",partition="1"}"#,
        "-1+0x4",
    ),
    (
        r#"kafka_consumergroup_lag{consumergroup="connect-b",topic="stock_prices",partition="0"}"#,
        "7+0x4",
    ),
    (
        r#"kafka_consumergroup_lag{consumergroup="speed-layer",topic="stock_prices",partition="0"}"#,
        "90+0x4",
    ),
    (r#"kafka_connect_connector_status{connector="s3",task="0",status="failed"}"#, "1+0x4"),
    (r#"up{job="kafka-connect"}"#, "1+0x4"),
];

/// `promtool test rules` on one expression after two minutes of these series; whether it found what
/// is expected.
fn finds(series: &[(&str, &str)], expression: &str, samples: &str) -> bool {
    let mut test =
        String::from("evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n");
    for (name, values) in series {
        writeln!(test, "      - series: '{name}'\n        values: '{values}'").unwrap();
    }
    writeln!(
        test,
        "    promql_expr_test:\n      - expr: '{expression}'\n        eval_time: 2m\n        exp_samples: {samples}"
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sink.test.yml");
    fs::write(&file, test).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output();
    output.expect("promtool starts (`cargo xtask setup` installs it)").status.success()
}

#[test]
fn the_tiles_of_the_sink_add_up_what_its_exporters_write_and_are_empty_without_them() {
    let dashboards = dashboards();
    let queries: Vec<Query<'_>> =
        dashboards.iter().flat_map(|dashboard| dashboard.queries()).collect();
    let of_the_sink = queries.iter().filter(|query| query.is_of_the_sink());
    let asked: BTreeSet<String> =
        of_the_sink.map(|query| of_all_namespaces(query.measured())).collect();
    let expected = |expression: &str| {
        if expression.contains("by (consumergroup)") {
            r#"[{labels: '{consumergroup="connect-s3"}', value: 5}, {labels: '{consumergroup="connect-b"}', value: 7}]"#
        } else if expression.contains("kafka_consumergroup_lag") {
            "[{labels: '{}', value: 12}]"
        } else {
            "[{labels: '{}', value: 1}]"
        }
    };
    assert_eq!(asked.len(), 3, "{asked:?}");
    for expression in asked {
        assert!(finds(&SERIES, &expression, expected(&expression)), "{expression}");
        assert!(finds(&[], &expression, "[]"), "{expression} has a value where nobody watches");
    }
    // A worker that answers and has no failed task is a zero, and not unknown.
    let all_well = [("up{job=\"kafka-connect\"}", "1+0x4")];
    let failed = queries.iter().find(|query| query.text.contains("kafka_connect_connector_status"));
    let failed = of_all_namespaces(failed.unwrap().text);
    assert!(finds(&all_well, &failed, "[{labels: '{}', value: 0}]"));
}

/// Where nobody watches, Grafana shows "not watched" for a figure that is no number, and leaves one
/// out that has no series.
#[test]
fn each_figure_of_the_tiles_is_there_where_nobody_watches() {
    let dashboards = dashboards();
    let queries = dashboards.iter().flat_map(|dashboard| dashboard.queries());
    let of_tiles = queries.filter(|query| {
        let is_tile = query.panel.is_some_and(|panel| panel["type"] == "stat");
        is_tile && query.language == Language::PromQl
    });
    let asked: BTreeSet<String> = of_tiles
        .map(|query| of_all_namespaces(query.text).replace("$__rate_interval", "1m"))
        .collect();
    assert!(asked.len() >= 6, "{asked:?}");
    for expression in asked {
        let there = format!("count({expression})");
        assert!(finds(&[], &there, "[{labels: '{}', value: 1}]"), "{expression}");
        // Nothing is equal to what is no number.
        let numbers = format!("({expression}) == ({expression})");
        let expected =
            if expression.ends_with("or vector(0)") { "[{labels: '{}', value: 0}]" } else { "[]" };
        assert!(finds(&[], &numbers, expected), "{expression}");
    }
}

#[test]
fn the_tiles_of_the_sink_add_up_one_namespace_where_one_is_chosen() {
    let dashboards = dashboards();
    let overview = dashboards.iter().find(|dashboard| dashboard.file == "overview.json").unwrap();
    let queries = overview.queries();
    let lag = queries.iter().find(|query| query.text.contains("kafka_consumergroup_lag")).unwrap();
    let series = [
        (r#"kafka_consumergroup_lag{namespace="prod",consumergroup="connect-a"}"#, "5+0x4"),
        (r#"kafka_consumergroup_lag{namespace="staging",consumergroup="connect-a"}"#, "7+0x4"),
    ];
    let of_one = lag.text.replace("$namespace", "prod");
    assert!(finds(&series, &of_one, "[{labels: '{}', value: 5}]"), "{of_one}");
    let of_all = of_all_namespaces(lag.text);
    assert!(finds(&series, &of_all, "[{labels: '{}', value: 12}]"), "{of_all}");
}

/// As the dashboards open. It takes in series without a namespace, as these are without Kubernetes.
fn of_all_namespaces(expression: &str) -> String {
    expression.replace("$namespace", ".*")
}
