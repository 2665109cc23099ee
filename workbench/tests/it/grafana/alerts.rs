//! The alert rules of Prometheus, which `promtool` checks and tests, and those of Grafana, whose
//! SQL runs here.

use super::market::{migrated, reading};
use super::text;
use crate::pipeline::repository;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::fs;
use std::process::Command;
use workbench::dashboards::ask;

/// A state of the tables, and which of Grafana's alerts fire in it.
struct Case {
    name: &'static str,
    state: &'static str,
    firing: &'static [&'static str],
}

/// A minute with a tick; what its bar says does not matter.
const BAR: &str = "alter table minute_bars alter open set default 1, alter high set default 1, alter low set default 1,
    alter close set default 1, alter volume set default 1, alter ticks set default 1, alter sum_close set default 1,
    alter notional set default 1, alter first_timestamp set default now(), alter first_partition set default 0,
    alter first_offset set default 0, alter last_timestamp set default now(), alter last_partition set default 0,
    alter last_offset set default 0;
    insert into minute_bars (symbol, minute)";

const RUN: &str = "insert into batch_runs (started_at, finished_at, status, arguments)";

/// Where the speed layer is in the two partitions of a topic.
const SPEED: &str = "insert into archive_lag_check (allowed_seconds) values (2700);
    insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions) values ('', '', 't', '', 2);
    insert into kafka_offsets (source, partition, next_offset) select source, partition, 1 from kafka_sources, generate_series(0, 1)
    as partition";

/// How far the archive is: partition, next offset, and its newest tick.
const ARCHIVE: &str = "insert into archive_high_offsets (topic, stored_at, partition, next_offset, tick) select 't', now(), *";

const CASES: [Case; 28] = [
    Case { name: "no run ever", state: "", firing: &["BatchOverdue"] },
    Case {
        name: "since the last whole run only some of a single hour",
        state: "RUN values (now() - interval '5 hours', now() - interval '5 hours', 'ok', '');
                insert into batch_runs (started_at, finished_at, status, arguments, looks_back)
                values (now(), now(), 'ok', '', false)",
        firing: &["BatchOverdue"],
    },
    Case { name: "a good run a minute ago", state: "RUN values (now(), now() - interval '1 minute', 'ok', '')", firing: &[] },
    Case {
        name: "the last good run three hours ago",
        state: "RUN values (now(), now() - interval '3 hours', 'ok', '')",
        firing: &["BatchOverdue"],
    },
    Case {
        name: "the first run of all, at work for an hour",
        state: "RUN values (now() - interval '1 hour', null, 'running', '')",
        firing: &[],
    },
    Case {
        name: "the first run failed three hours ago, and no other was",
        state: "RUN values (now() - interval '3 hours', now() - interval '3 hours', 'failed', '')",
        firing: &["BatchOverdue"],
    },
    Case {
        name: "a lake that was written every night up to three days ago",
        state: "RUN values (now(), now(), 'ok', '');
                RUN select at, at, 'ok', 'compact --from a --to b'
                    from generate_series(now() - interval '9 days', now() - interval '3 days', '1 day') as at",
        firing: &["CompactOverdue"],
    },
    Case {
        name: "one that since then leaves hours out",
        state: "RUN values (now() - interval '1 day', now() - interval '1 day', 'partial', 'compact --from a --to b'),
                           (now(), now(), 'ok', '');
                RUN select at, at, 'ok', 'compact --from a --to b'
                    from generate_series(now() - interval '9 days', now() - interval '3 days', '1 day') as at",
        firing: &["CompactOverdue"],
    },
    Case {
        name: "one that is written every night",
        state: "RUN values (now(), now(), 'ok', '');
                RUN select at, at, 'ok', 'compact --from a --to b'
                    from generate_series(now() - interval '9 days', now() - interval '1 day', '1 day') as at",
        firing: &[],
    },
    Case {
        name: "one that was tried by hand on a day of last week, and one that was given up long ago",
        state: "RUN values (now(), now(), 'ok', '');
                RUN values (now() - interval '7 days', now() - interval '7 days', 'ok', 'compact --from a --to b');
                RUN select at, at, 'ok', 'compact --from a --to b'
                    from generate_series(now() - interval '60 days', now() - interval '40 days', '1 day') as at",
        firing: &[],
    },
    Case {
        name: "one bad run after a good one",
        state: "RUN values (now() - interval '2 minutes', now(), 'ok', ''), (now(), now(), 'partial', '')",
        firing: &[],
    },
    Case {
        name: "two bad runs after a good one, and one at work",
        state: "RUN values (now() - interval '9 minutes', now(), 'ok', ''), (now() - interval '8 minutes', now(), 'failed', ''),
                (now() - interval '7 minutes', now(), 'partial', ''), (now(), null, 'running', '')",
        firing: &["BatchRunFailing"],
    },
    Case {
        name: "three runs that left the same hour out",
        state: "RUN values (now() - interval '9 minutes', now(), 'partial', ''), (now() - interval '8 minutes', now(), 'partial', '')",
        firing: &["BatchRunFailing"],
    },
    Case {
        name: "an object that cannot be read, and one in cold storage",
        state: "RUN values (now(), now(), 'ok', '');
                insert into broken_objects (key, folder, etag, size, kind, detail) values ('k', 'f/', 'e', 1, 'damaged', '')",
        firing: &["ObjectsBroken"],
    },
    Case {
        name: "an object in cold storage",
        state: "RUN values (now(), now(), 'ok', '');
                insert into broken_objects (key, folder, etag, size, kind, detail) values ('k', 'f/', 'e', 1, 'frozen', '')",
        firing: &[],
    },
    Case {
        name: "an hour of which only the speed layer has ticks",
        state: "RUN values (now(), now(), 'ok', '');
                insert into archive_hours (hour, status, reason) values (now() - interval '5 hours', 'incomplete', ''),
                                                                        (now() - interval '6 hours', 'complete', null)",
        firing: &["HoursIncomplete"],
    },
    Case {
        name: "ticks that have waited for the archive for an hour",
        state: "RUN values (now(), now(), 'ok', '');
                SPEED; ARCHIVE from (values (0, 0, now() - interval '2 hours'), (1, 1, now() + interval '1 day')) as newest;
                BAR values ('A', now() - interval '1 hour')",
        firing: &["ArchiveStands"],
    },
    Case {
        name: "the same in a partition of which the archive has nothing yet",
        state: "RUN values (now(), now(), 'ok', '');
                SPEED; ARCHIVE from (values (1, 1, now())) as newest;
                BAR values ('A', now() - interval '1 hour')",
        firing: &["ArchiveStands"],
    },
    Case {
        name: "an archive that has all offsets, and a tick that was ahead of its time",
        state: "RUN values (now(), now(), 'ok', '');
                SPEED; ARCHIVE from (values (0, 1, now() - interval '2 hours'), (1, 1, now() - interval '9 hours')) as newest;
                BAR values ('A', now() - interval '1 hour'), ('A', now() + interval '1 day')",
        firing: &[],
    },
    Case {
        name: "ticks that have waited for a quarter of an hour, after a night without any",
        state: "RUN values (now(), now(), 'ok', '');
                SPEED; ARCHIVE from (values (0, 0, now() - interval '17 hours')) as newest;
                BAR values ('A', now() - interval '15 minutes'), ('A', now() - interval '18 hours')",
        firing: &[],
    },
    Case {
        name: "an hour of this morning is stale",
        state: "RUN values (now(), now(), 'ok', ''); insert into stale_hours values (now() - interval '5 hours', true, false)",
        firing: &["HoursStayStale"],
    },
    Case {
        name: "a stale hour that is just over, and one that no run has asked for",
        state: "RUN values (now(), now(), 'ok', '');
                insert into stale_hours values (now() - interval '1 hour', true, false), (now() - interval '9 hours', false, false)",
        firing: &[],
    },
    Case {
        name: "an hour that was computed two days ago and never compared",
        state: "RUN values (now(), now(), 'ok', '');
                insert into batch_hours values (now() - interval '50 hours', '', 1, 1, 1, 0, 1, now() - interval '48 hours')",
        firing: &["HourNotReconciled"],
    },
    Case {
        name: "one hour that agrees, and one that was computed just now",
        state: "RUN values (now(), now(), 'ok', '');
                insert into batch_hours values (now() - interval '50 hours', '', 1, 1, 1, 0, 1, now() - interval '48 hours'),
                                               (now() - interval '2 hours', '', 1, 1, 1, 0, 1, now());
                insert into reconciled_hours values (now() - interval '50 hours', 'ok', 1, 1, 1, 1, '')",
        firing: &[],
    },
    Case {
        name: "an hour that was computed five hours ago and never judged, and one that was",
        state: "RUN values (now(), now(), 'ok', '');
                insert into batch_hours values (now() - interval '6 hours', '', 1, 1, 1, 0, 1, now() - interval '5 hours'),
                                               (now() - interval '7 hours', '', 1, 1, 1, 0, 1, now() - interval '5 hours');
                insert into judged_hours (hour, detectors, ticks) select min(hour), '', 1 from batch_hours",
        firing: &["HoursNotJudged"],
    },
    Case {
        name: "a market that had a tick a week ago at this time and has none now",
        state: "RUN values (now(), now(), 'ok', ''); BAR values ('A', now() - interval '7 days 5 minutes')",
        firing: &["MarketSilent"],
    },
    Case {
        name: "a market that was silent a week ago at this time, too",
        state: "RUN values (now(), now(), 'ok', ''); BAR values ('A', now() - interval '7 days 5 hours')",
        firing: &[],
    },
    Case {
        name: "of three symbols one is silent that was lively a week ago",
        state: "RUN values (now(), now(), 'ok', '');
                BAR select symbol, minute
                    from unnest('{A, B}'::text[]) as symbol,
                         generate_series(now() - interval '7 days 29 minutes', now() - interval '7 days 1 minute', '1 minute') as minute
                    union all
                    values ('C', now() - interval '7 days 5 minutes'), ('B', now() - interval '5 minutes')",
        firing: &["SymbolsSilent"],
    },
];

fn grafana_rules() -> Vec<Value> {
    let file = repository().join("grafana/provisioning/alerting/batch-layer.json");
    let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    json["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// Evaluates a rule as Grafana does: one number from PostgreSQL, above the threshold or not.
async fn fires(rule: &Value, connection: &mut sqlx::PgConnection) -> bool {
    let [query, condition] = &rule["data"].as_array().unwrap()[..] else {
        panic!("a query and a condition")
    };
    assert_eq!(rule["condition"], condition["refId"]);
    assert_eq!(condition["model"]["expression"], query["refId"]);
    assert_eq!(query["datasourceUid"], "stocks-postgres");
    let evaluator = &condition["model"]["conditions"][0]["evaluator"];
    assert_eq!(evaluator["type"], "gt");
    let answer = ask(connection, text(&query["model"], "rawSql")).await.unwrap();
    assert_eq!(
        (answer.rows.len(), answer.columns.len()),
        (1, 1),
        "{}: one number",
        text(rule, "title")
    );
    answer.rows[0][&answer.columns[0].0].as_f64().unwrap()
        > evaluator["params"][0].as_f64().unwrap()
}

#[tokio::test]
async fn grafanas_alerts_fire_in_the_states_that_they_are_for_and_in_no_other() {
    for case in CASES {
        let database = migrated().await;
        sqlx::raw_sql(AssertSqlSafe(
            case.state
                .replace("RUN", RUN)
                .replace("BAR", BAR)
                .replace("SPEED", SPEED)
                .replace("ARCHIVE", ARCHIVE),
        ))
        .execute(database.pool())
        .await
        .unwrap();
        let mut connection = reading(&database).await;
        let mut firing = Vec::new();
        for rule in grafana_rules() {
            if fires(&rule, &mut connection).await {
                firing.push(text(&rule, "title").to_owned());
            }
        }
        assert_eq!(firing, case.firing, "{}", case.name);
    }
}

/// What Prometheus watches.
const RULES: [&str; 3] = ["speed-layer", "archive-sink", "batch-layer-kubernetes"];

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(repository().join("prometheus"))
        .output();
    let output = output.expect("promtool starts (`cargo xtask setup` installs it)");
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules() {
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn promtools_unit_tests_of_the_alert_rules_pass() {
    for file in RULES.into_iter().chain(["speed-layer-days"]) {
        promtool(&["test", "rules", &format!("rules/{file}.test.yml")]);
    }
}

/// Names of Prometheus's alerts, or those of its tests.
fn names(file: &str, key: &str) -> Vec<String> {
    let yaml = fs::read_to_string(repository().join("prometheus/rules").join(file)).unwrap();
    let after = |line: &str| Some(line.split_once(key)?.1.split([',', ' ']).next()?.to_owned());
    yaml.lines().filter_map(after).collect()
}

#[test]
fn every_alert_has_a_unit_test_a_summary_and_a_runbook() {
    let of_all = |kind: &str, key: &str| -> Vec<String> {
        RULES.iter().flat_map(|file| names(&format!("{file}.{kind}.yml"), key)).collect()
    };
    let prometheus = of_all("rules", "- alert: ");
    let grafana: Vec<String> =
        grafana_rules().iter().map(|rule| text(rule, "title").to_owned()).collect();
    assert!(prometheus.len() > 5 && grafana.len() > 2);
    let tested = of_all("test", "alertname: ");
    for alert in &prometheus {
        assert!(tested.contains(alert), "{alert}: no unit test");
    }
    for alert in &grafana {
        assert!(
            CASES.iter().any(|case| case.firing.contains(&alert.as_str())),
            "{alert}: no case in which it fires"
        );
    }
    let read = |file: &&str| {
        fs::read_to_string(repository().join(format!("prometheus/rules/{file}.rules.yml"))).unwrap()
    };
    let rules: String = RULES.iter().map(read).collect();
    let json =
        fs::read_to_string(repository().join("grafana/provisioning/alerting/batch-layer.json"))
            .unwrap();
    let runbooks = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    for alert in prometheus.iter().chain(&grafana) {
        assert!(
            runbooks.contains(&format!("\n### {alert}\n")),
            "{alert}: no section in docs/operations.md"
        );
        let link = format!("docs/operations.md#{}", alert.to_lowercase());
        assert!(
            rules.contains(&link) || json.contains(&link),
            "{alert}: no annotation leads to {link}"
        );
    }
    assert_eq!(rules.matches("summary: ").count(), prometheus.len());
    assert_eq!(json.matches("\"summary\": ").count(), grafana.len());
}
