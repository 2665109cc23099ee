//! What Kafka lets this user do, and when it does not any more.

use crate::elections::TURN;
use crate::scene::{PATIENCE, Scene, get, http_address, tick, wait_ready};
use workbench::testing::{Child, Record, TestCluster, TestTopic, eventually};

const DENY: [&str; 3] = ["--add", "--deny-principal", "User:*"];
const DENY_NO_MORE: [&str; 3] = ["--remove", "--deny-principal", "User:*"];

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

    let group = ["--operation", "Read", "--group", "speed-layer"];
    cluster.change_rights(&[&DENY[..], &group].concat());
    let (code, said) = last_words(scene.start(&[])).await;
    assert!(code == Some(2) && said.contains("group \"speed-layer\"") && said.contains("grant READ"), "{said}");
    cluster.change_rights(&[&DENY_NO_MORE[..], &group].concat());

    topic_rights(&cluster, DENY, "Describe", topic);
    let (code, said) = last_words(scene.start(&[])).await;
    assert!(code == Some(2) && said.contains(&format!("forbids reading topic \"{topic}\"")), "{said}");
    topic_rights(&cluster, DENY_NO_MORE, "Describe", topic);

    let mut speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    topic_rights(&cluster, DENY, "Read", topic);
    for wanted in ["grant READ on the topic", "0: Kafka forbids reading it", "1: Kafka forbids reading it"] {
        speed_layer.wait_stderr(wanted, PATIENCE).await;
    }
    wait_ready(&address, 503).await;
    assert!(get(&address, "/readyz").1.contains("grant READ on the topic"));
    topic_rights(&cluster, DENY_NO_MORE, "Read", topic);
    // Also where no message comes that would show it.
    wait_ready(&address, 200).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;

    cluster.change_rights(&[&DENY[..], &group].concat());
    speed_layer.wait_stderr("Kafka forbids the group \"speed-layer\"", PATIENCE).await;
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
    speed_layer.wait_stderr(&format!("Kafka forbids reading topic \"{}\"", other.name()), PATIENCE).await;
    wait_ready(&address, 503).await;
    topic_rights(&cluster, DENY_NO_MORE, "Describe", other.name());
    other.produce([Record::new(0, tick(1))]).await;
    eventually("the other topic's tick", PATIENCE, || async {
        scene.count("select count(*) from realtime_stock").await == 11
    })
    .await;
    wait_ready(&address, 200).await;
}
