//! Settings that are wrong end the process with a sentence.

use crate::scene::{PATIENCE, Scene};
use std::time::Duration;
use testing::Child;

/// The last line of a process that must end by itself with code 2, without a panic.
async fn last_words(mut child: Child) -> String {
    let status = child.wait_exit(Duration::from_secs(15)).await;
    let lines = child.stderr();
    assert_eq!(status.code(), Some(2), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:#?}");
    lines.last().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_wrong_flag_ends_it_with_a_word() {
    let scene = Scene::new(1).await;
    for flags in [
        &["--linger", "soon"][..],
        &["--batch-rows", "0"],
        &["--kafka-property", "x"],
        &["--nonsense"],
    ] {
        let mut child = scene.start(flags);
        let status = child.wait_exit(Duration::from_secs(15)).await;
        assert_eq!(status.code(), Some(2), "{flags:?}");
        assert!(child.stderr()[0].contains(flags[0]), "{:?}", child.stderr());
    }
}

#[tokio::test]
async fn a_property_that_a_flag_or_a_promise_stands_for_cannot_be_set() {
    let scene = Scene::new(1).await;
    for (property, names) in [
        ("bootstrap.servers=localhost:1", "--kafka-brokers says it"),
        ("metadata.broker.list=localhost:1", "--kafka-brokers says it"),
        ("group.id=another", "--group-id says it"),
        ("enable.auto.commit=true", "exactly-once rests on its value"),
    ] {
        let line = last_words(scene.start(&["--kafka-property", property])).await;
        let (key, _) = property.split_once('=').unwrap();
        assert!(line.contains(key) && line.contains(names), "{line}");
    }
}

#[tokio::test]
async fn a_topic_that_kafka_cannot_have_is_a_wrong_flag() {
    let scene = Scene::new(1).await;
    for name in ["a b", "", "^", "..", "a/b"] {
        let mut child = scene.start(&["--topic", name]);
        assert_eq!(child.wait_exit(Duration::from_secs(15)).await.code(), Some(2), "{name:?}");
        assert!(child.stderr()[0].contains("--topic"), "{:?}", child.stderr());
    }
    let line = last_words(scene.start(&["--topic", "a", "--topic", "b,a"])).await;
    assert!(line.contains("--topic a is there twice"), "{line}");
    let line = last_words(scene.start(&["--topic", "^(a"])).await;
    assert!(line.contains("^(a") && line.contains("regular expression"), "{line}");
}

#[tokio::test]
async fn the_last_line_for_a_collector_has_the_exit_code_beside_the_sentence() {
    let scene = Scene::new(1).await;
    let line = last_words(scene.start(&["--log-format", "json", "--topic", "^(a"])).await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["exit_code"].as_i64()),
        (Some("ERROR"), Some(2)),
        "{line}"
    );
    assert!(line["message"].as_str().unwrap().contains("regular expression"), "{line}");
}

#[tokio::test]
async fn flags_of_which_one_has_no_effect_beside_another_are_refused_with_both_names() {
    let scene = Scene::new(1).await;
    let flags = ["--timestamp-from", "record", "--map", "timestamp=T"];
    for before in [&[][..], &["doctor"]] {
        let mut command = scene.command();
        command.args(before).args(flags);
        let line = last_words(Child::spawn(command)).await;
        assert!(
            line.contains("--map timestamp=T") && line.contains("--timestamp-from record"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn an_empty_variable_about_messages_or_migrations_says_nothing() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 5).await;
    let mut command = scene.command();
    let of_messages = [
        "MESSAGE_PRESET",
        "MESSAGE_MAP",
        "MESSAGE_WHERE",
        "TIMESTAMP_ZONE",
        "SYMBOL_FROM",
        "OLDEST",
        "MIGRATIONS",
    ];
    let of_schemas =
        ["URL", "USER", "PASSWORD_FILE", "CA_FILE"].map(|name| format!("SCHEMA_REGISTRY_{name}"));
    command.envs(of_messages.map(|name| (name, ""))).envs(of_schemas.map(|name| (name, "")));
    let _speed_layer = Child::spawn(command);
    scene.wait_all_in().await;
}

#[tokio::test]
async fn a_wrong_password_is_named_without_showing_it() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    let url = scene.database.url().replacen(":postgres@", ":s3cret@", 1);
    assert!(url.contains("s3cret"), "the stack's password has changed");
    command.env("DATABASE_URL", url);
    let line = last_words(Child::spawn(command)).await;
    assert!(
        line.contains("password authentication failed") && line.contains("--database-url"),
        "{line}"
    );
    assert!(!line.contains("s3cret"), "{line}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    command.env("DATABASE_URL", scene.database.url().replace(scene.database.name(), "nowhere"));
    let line = last_words(Child::spawn(command)).await;
    assert!(line.contains("nowhere"), "{line}");
}

#[tokio::test]
async fn a_property_that_would_break_the_promise_is_refused() {
    let scene = Scene::new(1).await;
    let line = last_words(scene.start(&["--kafka-property", "enable.auto.commit=true"])).await;
    assert!(line.contains("enable.auto.commit"), "{line}");
    let line = last_words(scene.start(&["--kafka-property", "no.such.thing=1"])).await;
    assert!(line.contains("no.such.thing"), "{line}");
}

#[tokio::test]
async fn a_second_group_on_the_same_tables_is_refused() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 5).await;
    let first = scene.start(&[]);
    scene.wait_all_in().await;
    drop(first);
    let line = last_words(scene.start(&["--group-id", "another"])).await;
    assert!(line.contains(scene.group()) && line.contains("--group-id"), "{line}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_said_within_seconds_and_waited_for() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    command.env("KAFKA_BROKERS", "127.0.0.1:1");
    let mut child = Child::spawn(command);
    let line = child.wait_stderr("Kafka: no connection", Duration::from_secs(15)).await;
    assert!(line.contains("127.0.0.1:1") && line.contains("--kafka-brokers"), "{line}");
    assert_eq!(child.exit_status(), None);
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_said_and_waited_for() {
    let scene = Scene::new(1).await;
    let mut child = scene.start(&["--topic", "nowhere"]);
    let line = child.wait_stderr("does not exist", PATIENCE).await;
    assert!(line.contains("nowhere") && line.contains("--topic"), "{line}");
    assert_eq!(child.exit_status(), None);
}
