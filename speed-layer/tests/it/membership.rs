//! Sessions that end while an assignment waits, or while something is still to be written.

use crate::outages::{KAFKA_PROXY, postgres_proxy, through};
use crate::scene::{PATIENCE, Scene, get, http_address, lag_series, metric};
use std::time::Duration;
use testing::{Child, TcpProxy, eventually, stack};

/// So that a killed instance is missed soon.
const SHORT: [&str; 2] = ["--kafka-property", "session.timeout.ms=6000"];

const ASSIGNED: &str = "speed_layer_rebalances_total{kind=\"assigned\"}";

/// Waits until the group has given partitions, be it none, so many times.
async fn wait_assigned(address: &str, times: u64) {
    eventually("an assignment", PATIENCE, || async {
        let seen = metric(address, ASSIGNED).unwrap_or_default();
        if seen >= times { Ok(()) } else { Err(format!("{seen} of {times}")) }
    })
    .await;
}

#[tokio::test]
async fn it_ends_in_time_although_an_assignment_is_unanswered_and_its_brokers_are_slow() {
    let _turn = KAFKA_PROXY.lock().await;
    let scene = Scene::new(1).await;
    let first = scene.start(&SHORT);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    let mut postgres = postgres_proxy().await;
    let (listen, target) = (stack("STACK_KAFKA_PROXY_LISTEN"), stack("STACK_KAFKA_PROXY_TARGET"));
    let kafka = TcpProxy::listen(&listen, &target).await;
    let mut command = through(&scene, &postgres);
    command.env("KAFKA_BROKERS", &listen).args(SHORT);
    let mut heir = Child::spawn(command);
    let address = http_address(&heir).await;
    wait_assigned(&address, 1).await;
    // It gets the partition, and PostgreSQL does not say where to begin.
    kafka.delay(Duration::from_millis(400));
    postgres.stall().await;
    first.sigkill();
    wait_assigned(&address, 2).await;
    heir.sigterm();
    // Ten seconds are promised, and as many again are for a busy machine.
    assert!(heir.wait_exit(Duration::from_secs(20)).await.success(), "{:#?}", heir.stderr());
}

#[tokio::test]
async fn an_instance_that_is_fenced_after_its_partition_moved_reads_on_when_it_gets_it_back() {
    let scene = Scene::new(1).await;
    let mut proxy = postgres_proxy().await;
    let mut command = through(&scene, &proxy);
    command.args(SHORT);
    let mut fenced = Child::spawn(command);
    let address = http_address(&fenced).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    // The messages that it has read by now are on their way to PostgreSQL, and another instance
    // gets the partition.
    proxy.cut().await;
    scene.send_ticks(1, 100).await;
    fenced.wait_stderr("trying again", PATIENCE).await;
    fenced.sigstop();
    let other = scene.start(&SHORT);
    scene.send_ticks(1, 50).await;
    scene.wait_all_in().await;
    fenced.sigcont();
    wait_assigned(&address, 2).await;
    proxy.restore().await;
    fenced.wait_stderr("another instance has moved", PATIENCE).await;
    other.sigkill();
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(fenced.exit_status(), None);
}

/// Both came back for ever, and each threw out the other.
#[tokio::test]
async fn of_two_instances_with_one_group_instance_id_the_older_one_ends_and_says_why() {
    let scene = Scene::new(2).await;
    let flags = ["--kafka-property", "group.instance.id=one"];
    let mut older = scene.start(&flags);
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    let _newer = scene.start(&flags);
    assert_eq!(older.wait_exit(PATIENCE).await.code(), Some(2));
    older.wait_stderr("has taken this one's place", PATIENCE).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn lag_and_readiness_fall_back_when_a_session_ends() {
    let _turn = KAFKA_PROXY.lock().await;
    let scene = Scene::new(1).await;
    let (listen, target) = (stack("STACK_KAFKA_PROXY_LISTEN"), stack("STACK_KAFKA_PROXY_TARGET"));
    let mut kafka = TcpProxy::listen(&listen, &target).await;
    let mut command = scene.command();
    command.env("KAFKA_BROKERS", &listen);
    let speed_layer = Child::spawn(command);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    let mut locking = scene.database.connection().await;
    sqlx::raw_sql("begin; lock table minute_bars in access exclusive mode")
        .execute(&mut locking)
        .await
        .unwrap();
    scene.send_ticks(1, 10).await;
    let lag = || metric(&address, &lag_series(scene.topic.name(), 0));
    eventually("the lag to show what cannot be written", PATIENCE, || async { lag() == Some(10) })
        .await;
    assert!(
        !get(&address, "/readyz").1.contains("no assignment"),
        "{}",
        get(&address, "/readyz").1
    );
    // The session ends, as the offset was moved by somebody else; and no other begins, without
    // Kafka.
    kafka.cut().await;
    sqlx::raw_sql("update kafka_offsets set next_offset = next_offset + 5; commit")
        .execute(&mut locking)
        .await
        .unwrap();
    speed_layer.wait_stderr("another instance has moved", PATIENCE).await;
    // The transaction that found it is over, so the partition's owner need not wait for it.
    let row_locks = "select count(*) from pg_locks
        where database = (select oid from pg_database where datname = current_database())
        and relation = 'kafka_offsets'::regclass and mode in ('RowShareLock', 'RowExclusiveLock')";
    assert_eq!(scene.count(row_locks).await, 0);
    eventually("the lag to be gone", PATIENCE, || async { lag().is_none() }).await;
    let (status, body) = get(&address, "/readyz");
    assert!(status == 503 && body.contains("another instance has moved"), "{status} {body}");
    // Who was told of it is told of its end.
    speed_layer.wait_stderr("Kafka: no connection", PATIENCE).await;
    kafka.restore().await;
    speed_layer.wait_stderr("Kafka: works again", PATIENCE).await;
    speed_layer.wait_stderr("consumer group: works again", PATIENCE).await;
}

/// Kafka's client went on waiting with what it had been told to wait with before.
#[tokio::test]
async fn partitions_that_stood_and_come_back_from_another_instance_are_read_at_once() {
    let scene = Scene::new(2).await;
    let first = scene.start(&SHORT);
    let address = http_address(&first).await;
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    let mut holding = scene.database.pool().begin().await.unwrap();
    let hold = "select from kafka_offsets for update";
    sqlx::query(hold).execute(&mut *holding).await.unwrap();
    scene.send_ticks(2, 1).await;
    eventually("both to stand", PATIENCE, || async {
        let stands = |line: &&String| line.contains("PostgreSQL does not take its messages");
        first.stderr().iter().filter(stands).count() >= 2
    })
    .await;
    let mut second = scene.start(&SHORT);
    second.wait_stderr("assigned partitions", PATIENCE).await;
    let before = metric(&address, ASSIGNED).unwrap_or_default();
    second.sigterm();
    second.wait_exit(PATIENCE).await;
    wait_assigned(&address, before + 1).await;
    holding.rollback().await.unwrap();
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    let silent = |line: &String| line.contains("but sends none");
    assert!(!first.stderr().iter().any(silent), "{:#?}", first.stderr());
}
