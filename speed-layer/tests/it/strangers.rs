//! Others in the consumer group.

use crate::elections::TURN;
use crate::scene::{PATIENCE, Scene, get, http_address, wait_ready};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;
use testing::{Child, TestCluster, TestDatabase, TestPostgres, TestTopic, eventually};

/// Who shares out the partitions of a group.
const PROTOCOLS: [&str; 2] = ["classic", "consumer"];

fn start_with_group(scene: &Scene, group: &str, database: &str) -> Child {
    start_by("classic", scene, group, database)
}

fn start_by(protocol: &str, scene: &Scene, group: &str, database: &str) -> Child {
    let (mut command, protocol) = (scene.command(), format!("group.protocol={protocol}"));
    command.env("DATABASE_URL", database).args([
        "--group-id",
        group,
        "--kafka-property",
        &protocol,
    ]);
    Child::spawn(command)
}

#[tokio::test]
async fn an_instance_with_another_database_is_refused_by_the_group_unless_the_first_one_is_gone() {
    let refused = PROTOCOLS.map(refuse_another_database);
    futures::future::join_all(refused).await;
}

async fn refuse_another_database(protocol: &str) {
    let (scene, other) = (Scene::new(2).await, TestDatabase::create().await);
    let group = scene.database.name();
    let first = start_by(protocol, &scene, group, scene.database.url());
    let address = http_address(&first).await;
    wait_ready(&address, 200).await;
    let mut second = start_by(protocol, &scene, group, other.url());
    assert_eq!(second.wait_exit(PATIENCE).await.code(), Some(2), "{protocol}");
    let said = second.stderr().last().cloned().unwrap();
    assert!(said.contains(group) && said.contains("a group of its own"), "{said}");
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    assert_eq!(get(&address, "/readyz").0, 200);

    // Kafka takes a while to notice.
    first.sigkill();
    let second = start_by(protocol, &scene, group, other.url());
    second.wait_stderr("assigned partitions", PATIENCE).await;
}

#[tokio::test]
async fn another_program_that_takes_a_part_of_the_partitions_is_named_as_long_as_it_does() {
    futures::future::join_all(PROTOCOLS.map(name_another_program)).await;
}

async fn name_another_program(protocol: &str) {
    let scene = Scene::new(2).await;
    let group = scene.database.name();
    let speed_layer = start_by(protocol, &scene, group, scene.database.url());
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    let thief = steal_by(protocol, &scene, group);
    wait_named(&thief, &address).await;
    drop(thief);
    wait_ready(&address, 200).await;
}

/// As on the way from one protocol to the other: brokers let both be in one group.
#[tokio::test]
async fn another_program_of_the_other_protocol_is_named_as_well() {
    let scene = Scene::new(2).await;
    let group = scene.database.name();
    let speed_layer = start_with_group(&scene, group, scene.database.url());
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    let thief = steal_by("consumer", &scene, group);
    wait_named(&thief, &address).await;
}

#[tokio::test]
async fn a_group_that_agrees_on_another_strategy_is_named() {
    let scene = Scene::new(2).await;
    let group = scene.database.name();
    let first = start_with_group(&scene, group, scene.database.url());
    wait_ready(&http_address(&first).await, 200).await;
    let mut command = scene.command();
    command.args(["--group-id", group, "--kafka-property", "partition.assignment.strategy=range"]);
    let second = Child::spawn(command);
    let line = second.wait_stderr("does not take this instance", PATIENCE).await;
    assert!(line.contains("partition.assignment.strategy"), "{line}");
}

#[tokio::test]
async fn another_program_is_named_while_a_broker_that_is_not_the_coordinator_is_away() {
    let _turn = TURN.lock().await;
    let mut cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1], &[1]]).await).await;
    let group = scene.database.name();
    let speed_layer = start_with_group(&scene, group, scene.database.url());
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    cluster.second.kill();
    let thief = steal(&scene, group);
    wait_named(&thief, &address).await;
}

/// An instance that writes, and a copy of the whole server that it writes into. That one has the
/// same identity in everything that a server tells of itself.
struct Copied {
    scene: Scene,
    first: Child,
    address: String,
    copy: TestPostgres,
    _postgres: TestPostgres,
}

async fn copied() -> Copied {
    let (scene, postgres) = (Scene::new(2).await, TestPostgres::start().await);
    let first = start_with_group(&scene, scene.database.name(), &postgres.url());
    let address = http_address(&first).await;
    wait_ready(&address, 200).await;
    Copied { scene, first, address, copy: postgres.copy().await, _postgres: postgres }
}

#[tokio::test]
async fn an_instance_that_writes_into_a_copy_of_the_whole_server_is_named_by_the_one_that_does_not()
{
    let before = copied().await;
    let group = before.scene.database.name();
    let second = start_with_group(&before.scene, group, &before.copy.url());
    second.wait_stderr("assigned partitions", PATIENCE).await;
    let line = before.first.wait_stderr("as if it wrote into a copy", PATIENCE).await;
    assert!(line.contains(group) && line.contains("a group of its own"), "{line}");
    wait_ready(&before.address, 503).await;

    second.sigkill();
    wait_ready(&before.address, 200).await;
}

#[tokio::test]
async fn an_instance_that_starts_on_an_older_copy_of_the_whole_server_is_refused_by_the_group() {
    let before = copied().await;
    let group = before.scene.database.name();
    let age = "update speed_instances set seen_at = seen_at - interval '1 hour'";
    sqlx::raw_sql(age).execute(&mut before.copy.connection().await).await.unwrap();
    let mut second = start_with_group(&before.scene, group, &before.copy.url());
    assert_eq!(second.wait_exit(PATIENCE).await.code(), Some(2));
    let said = second.stderr().last().cloned().unwrap();
    assert!(said.contains("as if it wrote into a copy"), "{said}");
    assert_eq!(get(&before.address, "/readyz").0, 200);
}

/// Another program that joins the group.
fn steal(scene: &Scene, group: &str) -> BaseConsumer {
    steal_by("classic", scene, group)
}

fn steal_by(protocol: &str, scene: &Scene, group: &str) -> BaseConsumer {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", scene.topic.brokers())
        .set("group.id", group)
        .set("client.id", "thief")
        .set("group.protocol", protocol);
    if protocol == "classic" {
        settings.set("partition.assignment.strategy", "cooperative-sticky");
    }
    let thief: BaseConsumer = settings.create().unwrap();
    thief.subscribe(&[scene.topic.name()]).unwrap();
    thief
}

async fn wait_named(thief: &BaseConsumer, address: &str) {
    eventually("the thief to be named", PATIENCE, || async {
        thief.poll(Duration::from_millis(10));
        let (status, body) = get(address, "/readyz");
        if status == 503 && body.contains("client \"thief\"") { Ok(()) } else { Err(body) }
    })
    .await;
}
