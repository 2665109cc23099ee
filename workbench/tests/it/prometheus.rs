//! What dashboards and alerts ask of Prometheus, asked of a real one that scrapes the running
//! binary.

use crate::pipeline::{PATIENCE, Pipeline, repository};
use common::Timestamp;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use testing::{Child, TestMessage, TestTopic, eventually, free_port};
use tokio_util::sync::CancellationToken;
use workbench::dashboards::{Language, Prometheus, View, expand_promql, own};

/// Debian's `prometheus` with the project's rules, scraping one instance every second.
fn start(folder: &Path, target: &str) -> (Child, Prometheus) {
    let rules = repository().join("prometheus/rules/*.rules.yml");
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: speed-layer\n    \
         static_configs: [{{ targets: ['{target}'] }}]\n",
        rules.display()
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let free = free_address();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={free}"));
    (Child::spawn(command), Prometheus::new(&format!("http://{free}")))
}

#[tokio::test]
async fn every_expression_of_dashboards_and_rules_finds_its_series_in_a_real_prometheus() {
    let pipeline = Pipeline::empty().await;
    send_ticks(&pipeline, 500).await;
    pipeline.topic.produce([TestMessage::new(0, "no tick")]).await;
    let (stop, address) = (CancellationToken::new(), free_address());
    let folder = tempfile::tempdir().unwrap();
    let (_process, prometheus) = start(folder.path(), &address);
    let asking = async {
        assert_each_finds_its_series(&pipeline, &prometheus).await;
        assert_rules_are_sound(&prometheus).await;
        stop.cancel();
    };
    let running = speed_layer::run(pipeline.speed_layer(&address, &[]), stop.clone());
    let (ended, ()) = tokio::join!(running, asking);
    ended.unwrap();
}

async fn assert_each_finds_its_series(pipeline: &Pipeline, prometheus: &Prometheus) {
    for dashboard in own().unwrap() {
        let view = View::of(&dashboard, Timestamp::now(), &["AAPL".to_owned()]).unwrap();
        let queries = dashboard.queries();
        let asked = queries.iter().filter(|query| query.language == Language::PromQl);
        // The sink has exporters of its own: grafana/sink.rs has their series.
        for query in asked.filter(|query| !query.is_of_the_sink()) {
            let expression = expand_promql(query.text, &dashboard, &view).unwrap();
            let what = format!("a series for {}: {expression}", query.place);
            eventually(&what, PATIENCE, || async {
                // Rates need two scrapes, and more messages between them.
                send_ticks(pipeline, 10).await;
                let values =
                    prometheus.ask(&expression).await.map_err(|error| format!("{error:#}"))?;
                match values.iter().all(|value| value.is_nan()) {
                    true => Err(format!("{} series, none with a number", values.len())),
                    false => Ok(()),
                }
            })
            .await;
        }
    }
}

/// The counter's first sample has it already, so that no increase of it shows.
#[tokio::test]
async fn a_gap_that_a_process_skips_at_its_start_fires_in_a_real_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    fires_for_a_gap(folder.path(), &free_address()).await;
}

/// As often as it happens: the counter's first sample is also what its last one was.
#[tokio::test]
async fn so_does_one_of_a_start_more_than_an_hour_after_another_that_skipped_one() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    remember_a_gap(folder.path(), &address);
    fires_for_a_gap(folder.path(), &address).await;
}

/// Lets Prometheus know of a process that skipped a gap two hours ago, and ran until lately.
fn remember_a_gap(folder: &Path, target: &str) {
    let now = Timestamp::now().micros() / 1_000_000;
    let (begun, ended) = (now - 7200, now - 600);
    let mut samples = String::new();
    for (series, value) in
        [("speed_layer_gaps_skipped_total", 1), ("speed_layer_last_gap_timestamp_seconds", begun)]
    {
        for at in (begun..=ended).step_by(15) {
            let labels = format!(r#"{{instance="{target}",job="speed-layer"}}"#);
            writeln!(samples, "{series}{labels} {value} {at}").unwrap();
        }
    }
    let file = folder.join("samples.txt");
    fs::write(&file, samples + "# EOF\n").unwrap();
    let mut command = Command::new("promtool");
    command.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(file).arg(folder.join("data"));
    let output = command.output().expect("promtool starts (`cargo xtask setup` installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two partitions; five messages of one of them are gone that were not read.
async fn with_a_gap() -> Pipeline {
    let pipeline = Pipeline::empty().await;
    send_ticks(&pipeline, 10).await;
    pipeline.write(&[], 20).await;
    send_ticks(&pipeline, 10).await;
    delete_records(&pipeline.topic, 15).await;
    pipeline
}

/// Takes the records of the partition 0 before an offset out of Kafka.
pub async fn delete_records(topic: &TestTopic, end: i64) {
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic.name(), 0, Offset::Offset(end)).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topic.brokers());
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
}

/// Starts a speed layer that skips a gap, and a Prometheus once that is done.
async fn fires_for_a_gap(folder: &Path, address: &str) {
    let (pipeline, stop) = (with_a_gap().await, CancellationToken::new());
    let running =
        speed_layer::run(pipeline.speed_layer(address, &["--on-gap", "skip"]), stop.clone());
    let asking = async {
        let gaps = "select count(*) from kafka_gaps";
        eventually("the gap to be recorded", PATIENCE, || async {
            let count: i64 =
                sqlx::query_scalar(gaps).fetch_one(pipeline.database.pool()).await.unwrap();
            count == 1
        })
        .await;
        let (_process, prometheus) = start(folder, address);
        let alert = r#"ALERTS{alertname="OffsetsLost",alertstate="firing"}"#;
        eventually("OffsetsLost to fire", PATIENCE, || async {
            prometheus.ask(alert).await.is_ok_and(|firing| firing == [1.0])
        })
        .await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(running, asking);
    ended.unwrap();
}

fn free_address() -> String {
    // Below the ephemeral ones: some seconds pass before anybody listens there.
    format!("127.0.0.1:{}", free_port())
}

/// So many ticks into each partition.
async fn send_ticks(pipeline: &Pipeline, count: i64) {
    let tick = |volume: i64| {
        let at = "2025-06-06T10:00:00-04:00";
        format!(
            r#"{{"symbol":"AAPL","timestamp":"{at}","open":201.5,"close":201.25,"volume":{volume}}}"#
        )
    };
    let records = (0..count)
        .flat_map(|number| (0..2).map(move |partition| TestMessage::new(partition, tick(number))));
    pipeline.topic.produce(records).await;
}

/// Every rule was evaluated without an error, each recording rule with a result, and no alert
/// fires.
async fn assert_rules_are_sound(prometheus: &Prometheus) {
    let rules = eventually("every rule to be evaluated", PATIENCE, || async {
        let answer =
            prometheus.get("/api/v1/rules", &[]).await.map_err(|error| format!("{error:#}"))?;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        match rules.iter().find(|rule| rule["health"] != "ok") {
            None if rules.len() > 10 => Ok(rules),
            sick => Err(format!("{} rules; not evaluated well: {sick:?}", rules.len())),
        }
    })
    .await;
    for rule in rules {
        let name = rule["name"].as_str().unwrap();
        if rule["type"] == "recording" {
            assert!(!prometheus.ask(name).await.unwrap().is_empty(), "{name} records nothing");
        } else {
            assert_ne!(rule["state"], "firing", "{name}");
        }
    }
}
