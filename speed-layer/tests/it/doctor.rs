//! `speed-layer doctor`: what it finds, that its proposal works, and that it leaves everything as
//! it is.

use crate::scene::{PATIENCE, Scene};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use testing::{Child, TestMessage};

/// Its exit code, and what it printed to standard output and standard error.
async fn outcome(mut command: Command, flags: &[&str]) -> (Option<i32>, String, String) {
    command.arg("doctor").args(flags);
    let mut doctor = Child::spawn(command);
    let status = doctor.wait_exit(PATIENCE).await;
    (status.code(), doctor.stdout().join("\n"), doctor.stderr().join("\n"))
}

/// The groups that the brokers know, by their names.
fn groups(brokers: &str) -> Vec<String> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let list = consumer.fetch_group_list(None, Duration::from_secs(30)).unwrap();
    list.groups().iter().map(|group| group.name().to_owned()).collect()
}

#[tokio::test]
async fn the_flags_that_doctor_proposes_make_the_messages_ticks() {
    let scene = Scene::new(2).await;
    let value = |number: i64| {
        let time = 1_749_218_401_000 + number;
        format!(
            r#"{{"e":"trade","s":"BTCUSDT","p":"45123.5{number}","q":"0.0{number}","t":{number},"T":{time}}}"#
        )
    };
    scene
        .topic
        .produce((0..40).map(|number| TestMessage::new((number % 2) as i32, value(number))))
        .await;
    scene.topic.produce([TestMessage::new(0, "no tick")]).await;

    let (code, report, log) = outcome(scene.command(), &["--format", "json"]).await;
    assert_eq!(code, Some(1), "{log}");
    let found: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (found["messages"].as_u64(), found["ticks"].as_u64()),
        (Some(41), Some(0)),
        "{found}"
    );
    assert_eq!(
        (&found["partitions"][0]["high"], &found["partitions"][1]["read"]),
        (&21.into(), &20.into()),
        "{found}"
    );
    assert_eq!(
        (&found["proposal"]["flags"], &found["proposal"]["ticks"]),
        (&"--preset binance".into(), &40.into())
    );
    assert_eq!(found["postgresql"]["is_ready"], true, "a run would make the tables: {found}");

    let _speed_layer = scene.start(&["--preset", "binance"]);
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock where volume % 1 > 0").await, 39);
    let (code, report, _) = outcome(scene.command(), &["--preset", "binance"]).await;
    assert_eq!(code, Some(1), "one message is no tick");
    for said in [
        "40 of 41 messages (97.5 %) are ticks",
        "  not_json: 1",
        "no tick",
        "is ready, with its tables",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
}

#[tokio::test]
async fn messages_of_kinds_that_flags_leave_out_are_no_fault_unless_there_is_nothing_else() {
    let scene = Scene::new(1).await;
    let trade = r#"{"type":"match","symbol":"A","price":1,"volume":2,"ts":1749218401}"#;
    scene
        .topic
        .produce(
            [trade, r#"{"type":"heartbeat"}"#, r#"{"type":"heartbeat"}"#]
                .map(|it| TestMessage::new(0, it)),
        )
        .await;
    let (code, report, _) = outcome(scene.command(), &["--where", "type=match"]).await;
    assert_eq!(code, Some(0), "{report}");
    assert!(
        report.contains("of other kinds than the flags take (--where, --preset): 2; a run keeps"),
        "{report}"
    );
    let (code, report, _) = outcome(scene.command(), &["--where", "type=nothing"]).await;
    assert_eq!(code, Some(1), "{report}");
}

#[tokio::test]
async fn doctor_names_each_right_that_a_run_would_miss() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    scene.database.set_up_roles().await;
    let url = scene.database.url_of("speed_writer");
    let as_writer = || {
        let mut command = scene.command();
        command.env("DATABASE_URL", &url).env("MIGRATIONS", "check");
        command
    };
    let (code, report, log) = outcome(as_writer(), &[]).await;
    assert_eq!(code, Some(0), "{report} {log}");
    let tables = "select relname::text from pg_class
                  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
                    and has_table_privilege('speed_writer', oid, 'insert')";
    let tables: Vec<String> =
        sqlx::query_scalar(tables).fetch_all(scene.database.pool()).await.unwrap();
    assert!(tables.len() > 6, "{tables:?}");
    for table in tables {
        let change = |verb: &str, way: &str| {
            sqlx::AssertSqlSafe(format!("{verb} insert on {table} {way} speed_writer"))
        };
        sqlx::raw_sql(change("revoke", "from")).execute(scene.database.pool()).await.unwrap();
        let (code, report, _) = outcome(as_writer(), &[]).await;
        assert_eq!(code, Some(1), "{report}");
        assert!(
            report.contains(&format!("this user has no right to insert on {table} in ")),
            "{report}"
        );
        sqlx::raw_sql(change("grant", "to")).execute(scene.database.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn doctor_writes_nothing_and_joins_no_group() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 1200).await;
    let (code, report, log) = outcome(scene.command(), &[]).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(report.contains("1000 of 1000 messages (100.0 %) are ticks"), "{report}");
    assert_eq!(
        scene.count("select count(*) from pg_class where relname = 'realtime_stock'").await,
        0
    );
    assert_eq!(scene.topic.high_watermarks().await, [1200]);
    let known = groups(scene.topic.brokers());
    assert!(!known.iter().any(|group| group.contains("doctor")), "{known:?}");
}

#[tokio::test]
async fn what_keeps_doctor_from_looking_is_said_with_its_exit_code() {
    let scene = Scene::new(1).await;
    let mut away = scene.command();
    away.env("KAFKA_BROKERS", "127.0.0.1:1");
    let (code, _, log) = outcome(away, &[]).await;
    assert!(
        code == Some(3) && log.contains("127.0.0.1:1") && log.contains("--kafka-brokers"),
        "{code:?}: {log}"
    );
    let (code, _, log) = outcome(scene.command(), &["--topic", "nowhere"]).await;
    assert!(code == Some(2) && log.contains("topic nowhere does not exist"), "{code:?}: {log}");
    let mut no_database = scene.command();
    no_database.env("DATABASE_URL", scene.database.url().replace(scene.database.name(), "nowhere"));
    let (code, report, _) = outcome(no_database, &[]).await;
    assert!(
        code == Some(1) && report.contains("There is no message") && report.contains("nowhere"),
        "{report}"
    );
}

#[tokio::test]
async fn a_layer_that_takes_hardly_any_message_names_doctor_once() {
    let scene = Scene::new(1).await;
    scene.topic.produce((0..300).map(|_| TestMessage::new(0, r#"{"s":"A","p":1}"#))).await;
    let speed_layer = scene.start(&["--batch-rows", "100"]);
    scene.wait_all_in().await;
    let line = speed_layer.wait_stderr("speed-layer doctor", PATIENCE).await;
    assert!(line.contains("messages are no ticks"), "{line}");
}

#[tokio::test]
async fn a_layer_with_other_flags_says_that_what_was_rejected_is_not_read_again() {
    let scene = Scene::new(1).await;
    let message = r#"{"s":"A","p":1,"t":1748869200000}"#;
    scene.topic.produce((0..7).map(|_| TestMessage::new(0, message))).await;
    let speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    drop(speed_layer);
    let map = ["--map", "symbol=s,price=p,timestamp=t"];
    let speed_layer = scene.start(&map);
    let line = speed_layer.wait_stderr("and are not read again", PATIENCE).await;
    assert!(line.contains("have rejected 7 are ticks by the flags of this one"), "{line}");
    assert!(line.contains("RejectRateHigh, step 4"), "{line}");
}
