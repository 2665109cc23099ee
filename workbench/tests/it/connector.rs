//! The connector configurations in `connect/`, on a real Kafka Connect worker as far as that goes
//! without the vendors' plugins: converters, transforms, predicates, error handling and consumer
//! settings are Kafka's own, and are tried with Kafka's file sink in the place of the S3 sink. The
//! sink's own settings are compared with a recording.

use serde_json::{Map, Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use testing::{Secrets, TestMessage, TestTopic, eventually, stack};

const PATIENCE: Duration = Duration::from_secs(120);

/// The prefixes of what belongs to Kafka Connect and not to a vendor's sink.
const FRAMEWORK: [&str; 7] = [
    "tasks.max",
    "key.converter",
    "value.converter",
    "transforms",
    "predicates",
    "errors.",
    "consumer.override.",
];

fn configuration(name: &str) -> Map<String, Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../connect")
        .join(format!("{name}-sink-connector.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The framework's part of a configuration, in front of a sink that writes to `file`.
fn with_file_sink(name: &str, topic: &str, dead_letters: &str, file: &str) -> Map<String, Value> {
    let mut config = configuration(name);
    config.retain(|key, _| FRAMEWORK.iter().any(|prefix| key.starts_with(prefix)));
    config.insert(
        "connector.class".into(),
        json!("org.apache.kafka.connect.file.FileStreamSinkConnector"),
    );
    config.insert("name".into(), json!(topic));
    config.insert("topics".into(), json!(topic));
    config.insert("file".into(), json!(file));
    config.insert("errors.deadletterqueue.topic.name".into(), json!(dead_letters));
    config
}

/// Status and body of a request to the worker.
async fn request(method: &'static str, path: String, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", stack("STACK_CONNECT_URL"));
    let asking = move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = match (method, body) {
            ("PUT", Some(body)) => {
                agent.put(&url).content_type("application/json").send(body.to_string())
            }
            ("DELETE", _) => agent.delete(&url).call(),
            _ => agent.get(&url).call(),
        };
        let mut answer = answer.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

#[tokio::test]
async fn the_worker_finds_nothing_wrong_with_the_framework_s_settings() {
    for name in ["confluent", "aiven"] {
        let config = with_file_sink(name, "stock_prices", "dlq", "/dev/null");
        let path = "/connector-plugins/FileStreamSinkConnector/config/validate".to_owned();
        let (status, answer) = request("PUT", path, Some(Value::Object(config))).await;
        assert_eq!(status, 200, "{answer}");
        let wrong: Vec<_> =
            answer["configs"].as_array().unwrap().iter().map(|config| &config["value"]).collect();
        let wrong: Vec<_> =
            wrong.into_iter().filter(|value| value["errors"] != json!([])).collect();
        assert!(wrong.is_empty() && answer["error_count"] == 0, "{name}: {wrong:?}");
    }
}

#[tokio::test]
async fn whatever_a_producer_sends_the_sink_goes_on_and_each_line_says_where_it_came_from() {
    for name in ["confluent", "aiven"] {
        let (topic, dead_letters, folder) =
            (TestTopic::create(1).await, TestTopic::create(1).await, Secrets::new());
        let file = folder.file("lines", "");
        let tick = |symbol: &str| {
            format!(r#"{{"symbol":"{symbol}","timestamp":"2025-06-06T10:00:00Z","close":1.5}}"#)
        };
        let bad = ["no JSON", "[1]", "7", "\"text\"", "{\"symbol\":"];
        let mut records = vec![TestMessage::new(0, tick("FIRST"))];
        records.extend(bad.map(|value| TestMessage::new(0, value)));
        records.push(TestMessage::new(
            0,
            format!(r#"{{"schema":null,"payload":{}}}"#, tick("ENVELOPED")),
        ));
        records.push(TestMessage::new(0, tick("LAST")));
        topic.produce(records).await;

        let config = with_file_sink(name, topic.name(), dead_letters.name(), &file);
        let text = sunk(topic.name(), config, &file).await;
        let places: Vec<bool> =
            text.lines().zip([0, 6, 7]).map(|(line, offset)| has_place(line, offset)).collect();
        assert_eq!(places, [true; 3], "{name}: {text}");
        assert_eq!(
            dead_letters.high_watermarks().await,
            [i64::try_from(bad.len()).unwrap()],
            "{name}"
        );
    }
}

/// What a connector has written to `file` when a line with `LAST` is in it.
async fn sunk(name: &str, config: Map<String, Value>, file: &str) -> String {
    let connector = format!("/connectors/{name}");
    let (status, answer) =
        request("PUT", format!("{connector}/config"), Some(Value::Object(config))).await;
    assert_eq!(status, 201, "{answer}");
    eventually("the last line to be written", PATIENCE, || async {
        let text = std::fs::read_to_string(file).unwrap();
        if text.contains("LAST") { Ok(()) } else { Err(text) }
    })
    .await;
    // A worker tells of a task some time after it has begun.
    eventually("the task to run", PATIENCE, || async {
        let (_, status) = request("GET", format!("{connector}/status"), None).await;
        if status["tasks"][0]["state"] == "RUNNING" { Ok(()) } else { Err(status) }
    })
    .await;
    request("DELETE", connector, None).await;
    std::fs::read_to_string(file).unwrap()
}

/// The transform that docs/message-format.md names.
#[tokio::test]
async fn arrays_are_archived_with_their_place_where_connect_wraps_them() {
    let (topic, dead_letters, folder) =
        (TestTopic::create(1).await, TestTopic::create(1).await, Secrets::new());
    let file = folder.file("lines", "");
    let array = |symbol: &str| format!(r#"[{{"symbol":"{symbol}"}},{{"symbol":"B"}}]"#);
    topic.produce(["FIRST", "LAST"].map(|symbol| TestMessage::new(0, array(symbol)))).await;
    let mut config = with_file_sink("confluent", topic.name(), dead_letters.name(), &file);
    for (setting, value) in [
        ("transforms", "wrap,provenance"),
        ("transforms.wrap.type", "org.apache.kafka.connect.transforms.HoistField$Value"),
        ("transforms.wrap.field", "data"),
    ] {
        config.insert(setting.into(), json!(value));
    }
    let text = sunk(topic.name(), config, &file).await;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && has_place(lines[0], 0) && has_place(lines[1], 1), "{text}");
    assert!(lines[0].contains("data=[{symbol=FIRST}, {symbol=B}]"), "{text}");
    assert_eq!(dead_letters.high_watermarks().await, [0]);
}

/// The file sink writes a value as Java prints a map.
fn has_place(line: &str, offset: i64) -> bool {
    line.contains("kafka_partition=0") && line.contains(&format!("kafka_offset={offset}"))
}

/// Every difference from the configuration whose objects were recorded, and why it does not change
/// what they hold.
#[test]
fn the_default_differs_from_the_recorded_one_in_known_settings_only() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/r-robust/connector.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let recorded = recorded["config"].as_object().unwrap();
    let ours = configuration("confluent");
    let mut differing: Vec<&str> = recorded
        .iter()
        .filter(|(key, value)| ours.get(*key) != Some(*value))
        .map(|(key, _)| key.as_str())
        .collect();
    differing.sort_unstable();
    let expected = [
        "aws.access.key.id",     // from the worker's environment
        "aws.secret.access.key", // from the worker's environment
        "errors.deadletterqueue.topic.replication.factor", // a cluster has three
        "json.output.fields",    // its default
        "json.output.pretty.print", // its default
        "rotate.schedule.interval.ms", // longer in production
        "s3.bucket.name",        // from the worker's environment
        "s3.compression.type",   // gzip: batch-layer tells it by the first bytes
        "s3.region",             // from the worker's environment
        "s3.ssl.enabled",        // said by the scheme of store.url
        "store.url",             // from the worker's environment
        "transforms",            // another name for the same
        "transforms.prov.offset.field",
        "transforms.prov.partition.field",
        "transforms.prov.type",
    ];
    assert_eq!(differing, expected);
    // By default a killed sink gives up what it reads again, an hour's folder at a time.
    assert_eq!(ours["enable.conditional.writes"], "false");
    for setting in ["type", "offset.field", "partition.field"] {
        let theirs = &recorded[&format!("transforms.prov.{setting}")];
        assert_eq!(&ours[&format!("transforms.provenance.{setting}")], theirs);
    }
}

/// Neither a name nor a value of the worker's environment may be read that the allow list does not
/// have.
#[test]
fn configurations_read_only_the_variables_that_the_worker_allows() {
    let connect = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect");
    let worker = std::fs::read_to_string(connect.join("worker.properties")).unwrap();
    let allowed = worker
        .lines()
        .find_map(|line| line.strip_prefix("config.providers.env.param.allowlist.pattern="));
    let allowed: Vec<&str> = allowed.unwrap().split('|').collect();
    assert!(
        !allowed.iter().any(|name| name.contains("SECRET") || name.contains("PASSWORD")),
        "{allowed:?}"
    );
    for name in ["confluent", "aiven"] {
        let text = Value::Object(configuration(name)).to_string();
        let used: Vec<&str> =
            text.split("${env:").skip(1).filter_map(|rest| rest.split('}').next()).collect();
        assert!(
            !used.is_empty() && used.iter().all(|name| allowed.contains(name)),
            "{name}: {used:?}"
        );
    }
}

/// Runs a script of `connect/` with a `curl` that gives one answer to everything. Gives the exit
/// code and what was said.
async fn script(
    name: &str,
    arguments: &[&str],
    answer: &str,
    variables: &[(&str, &str)],
) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let curl = folder.path().join("curl");
    std::fs::write(&curl, format!("#!/bin/sh\ncat >/dev/null\nprintf '{answer}'\n")).unwrap();
    std::fs::set_permissions(&curl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = tokio::process::Command::new("sh");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect").join(name))
        .args(arguments);
    command
        .env("PATH", path)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("the script does not go on trying").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_configuration_that_no_worker_can_read_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sink.json");
    let path = file.to_str().unwrap();
    // As a worker that is starting may answer, too.
    let (starting, an_hour) = (r#"{"error_code":500}\n500"#, [("CONNECT_TIMEOUT", "3600")]);
    let refused = script("register.sh", &["sink", path], starting, &an_hour).await;
    assert_eq!(refused, (Some(1), format!("connector sink: cannot read {path}\n")));
    for text in ["", "<html>", "{ \"a\": 1"] {
        std::fs::write(&file, text).unwrap();
        let refused = script("register.sh", &["sink", path], starting, &an_hour).await;
        assert_eq!(
            refused,
            (Some(1), format!("connector sink: {path} holds no JSON object\n")),
            "{text}"
        );
    }
    std::fs::write(&file, "{ a }").unwrap();
    let strange = r#"{"error_code":500,"message":"Unexpected character (a)"}\n500"#;
    let (code, said) = script("register.sh", &["sink", path], strange, &an_hour).await;
    assert!(code == Some(1) && said.contains("is no JSON"), "{said}");
}

#[tokio::test]
async fn a_bucket_whose_name_no_store_takes_is_not_tried_again() {
    for (name, word) in [("my bucket", "no store takes such a name"), ("ab", "refuses (HTTP 400)")]
    {
        let mut variables = vec![
            ("S3_BUCKET", name),
            ("S3_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("S3_REGION", "r"),
        ];
        variables.extend([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")]);
        let (code, said) = script("create-bucket.sh", &[], "400", &variables).await;
        assert!(code == Some(1) && said.contains(word), "{said}");
    }
}
