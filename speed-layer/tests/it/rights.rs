//! The rights of this user in Kafka, and the time when they are gone.

use crate::elections::TURN;
use crate::scene::{PATIENCE, Scene, get, http_address, tick, wait_ready};
use testing::{Child, TestCluster, TestMessage, TestTopic, eventually};

const DENY: [&str; 3] = ["--add", "--deny-principal", "User:*"];
const DENY_NO_MORE: [&str; 3] = ["--remove", "--deny-principal", "User:*"];
/// A right holds as long as one of its rules is there.
const ALLOW: [&str; 3] = ["--add", "--allow-principal", "User:*"];
const ALLOW_NO_MORE: [&str; 3] = ["--remove", "--allow-principal", "User:*"];

/// Changes what all may do with a topic.
fn topic_rights(cluster: &TestCluster, how: [&str; 3], operation: &str, topic: &str) {
    cluster.change_rights(&[&how[..], &["--operation", operation, "--topic", topic]].concat());
}

async fn last_words(mut child: Child) -> (Option<i32>, String) {
    let code = child.wait_exit(PATIENCE).await.code();
    (code, child.stderr().join("\n"))
}

#[tokio::test]
async fn what_kafka_forbids_at_the_start_is_named_and_what_it_forbids_later_is_waited_for() {
    let _turn = TURN.lock().await;
    let cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1], &[1]]).await).await;
    let topic = scene.topic.name();

    let group = ["--operation", "Read", "--group", scene.group()];
    cluster.change_rights(&[&DENY[..], &group].concat());
    let (code, said) = last_words(scene.start(&[])).await;
    assert!(
        code == Some(2) && said.contains(scene.group()) && said.contains("grant READ"),
        "{said}"
    );
    cluster.change_rights(&[&DENY_NO_MORE[..], &group].concat());

    topic_rights(&cluster, DENY, "Describe", topic);
    let (code, said) = last_words(scene.start(&[])).await;
    assert!(
        code == Some(2) && said.contains(&format!("forbids reading topic \"{topic}\"")),
        "{said}"
    );
    topic_rights(&cluster, DENY_NO_MORE, "Describe", topic);

    let mut speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    topic_rights(&cluster, ALLOW, "Describe", topic);
    for wanted in
        ["grant READ on the topic", "0: Kafka forbids reading it", "1: Kafka forbids reading it"]
    {
        speed_layer.wait_stderr(wanted, PATIENCE).await;
    }
    eventually("/readyz to say so", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        if status == 503 && body.contains("grant READ on the topic") { Ok(()) } else { Err(body) }
    })
    .await;
    topic_rights(&cluster, ALLOW_NO_MORE, "Describe", topic);
    // Also where no message comes that would show it.
    wait_ready(&address, 200).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;

    cluster.change_rights(&[&DENY[..], &group].concat());
    speed_layer.wait_stderr("Kafka forbids the group", PATIENCE).await;
    assert_eq!(speed_layer.exit_status(), None);
    cluster.change_rights(&[&DENY_NO_MORE[..], &group].concat());
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn of_several_topics_one_that_may_not_be_read_holds_up_no_other() {
    let _turn = TURN.lock().await;
    let cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1]]).await).await;
    let other = TestTopic::placed(&cluster.brokers(), &[&[1]]).await;
    topic_rights(&cluster, DENY, "Describe", other.name());
    let speed_layer = scene.start(&["--topic", scene.topic.name(), "--topic", other.name()]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    speed_layer
        .wait_stderr(&format!("Kafka forbids reading topic \"{}\"", other.name()), PATIENCE)
        .await;
    wait_ready(&address, 503).await;
    topic_rights(&cluster, DENY_NO_MORE, "Describe", other.name());
    other.produce([TestMessage::new(0, tick(1))]).await;
    scene.wait_count("the other topic's tick", "select count(*) from realtime_stock", 11).await;
    wait_ready(&address, 200).await;
}

/// The rights that docs/operations.md lists; nobody has any others on the topics and the group.
#[tokio::test]
async fn the_rights_that_the_manual_lists_are_enough() {
    let _turn = TURN.lock().await;
    let cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1]]).await).await;
    let letters = TestTopic::placed(&cluster.brokers(), &[&[1]]).await;
    scene
        .topic
        .produce([
            TestMessage::new(0, tick(1)),
            TestMessage::new(0, "no tick"),
            TestMessage::new(0, tick(2)),
        ])
        .await;
    for (operations, kind, name) in [
        (&["Read", "Describe"][..], "--topic", scene.topic.name()),
        (&["Read"], "--group", scene.group()),
        (&["Write", "Describe"], "--topic", letters.name()),
    ] {
        let operations = operations.iter().flat_map(|operation| ["--operation", operation]);
        let rest = operations.chain([kind, name]).collect::<Vec<_>>();
        cluster.change_rights(&[&ALLOW[..], &rest].concat());
    }
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene.wait_count("both ticks", "select count(*) from realtime_stock", 2).await;
    wait_ready(&http_address(&speed_layer).await, 200).await;
    assert!(
        !speed_layer.stderr().iter().any(|line| line.contains("uthoriz")),
        "{:#?}",
        speed_layer.stderr()
    );
}
