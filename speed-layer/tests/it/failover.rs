//! A database that becomes an older state of itself.

use crate::outages::{postgres_proxy, server, through};
use crate::scene::{PATIENCE, Scene, http_address, tick, wait_ready};
use testing::{Child, TcpProxy, TestMessage, eventually};

/// Ends every connection to the test's database: neither copying nor renaming it is possible
/// before.
const DISCONNECT: &str = "select pg_terminate_backend(pid) from pg_stat_activity where datname = \
    '$database' and pid <> pg_backend_pid()";

/// Copies the database as it is now, under another name: this is how a lagging standby looks later.
async fn copy_database(scene: &Scene, proxy: &mut TcpProxy) {
    proxy.cut().await;
    server(scene, DISCONNECT).await;
    server(scene, "create database $database_standby template $database").await;
    proxy.restore().await;
}

/// The copy takes the database's place.
async fn fail_over(scene: &Scene, proxy: &mut TcpProxy) {
    proxy.cut().await;
    server(scene, DISCONNECT).await;
    server(scene, "alter database $database rename to $database_lost").await;
    server(scene, "alter database $database_standby rename to $database").await;
    proxy.restore().await;
}

/// While partition 1 goes on, so that the store is never idle.
async fn wait_quiet_partition(scene: &Scene) {
    eventually("what the quiet partition has lost", PATIENCE, || async {
        scene.topic.produce([TestMessage::new(1, tick(1))]).await;
        scene.count("select count(*) from realtime_stock where kafka_partition = 0").await == 200
    })
    .await;
}

/// The standby is a copy of the database as it was a while ago: this is how a lagging one looks.
#[tokio::test]
async fn after_a_failover_to_a_standby_that_lagged_what_it_lacks_is_written_again_and_only_that() {
    let scene = Scene::new(2).await;
    let mut proxy = postgres_proxy().await;
    let speed_layer = Child::spawn(through(&scene, &proxy));
    let address = http_address(&speed_layer).await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;

    copy_database(&scene, &mut proxy).await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;

    fail_over(&scene, &mut proxy).await;
    // It is found at once that both partitions have gone back, although only one of them has news.
    wait_quiet_partition(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    wait_ready(&address, 200).await;
    drop(speed_layer);
    server(&scene, "drop database $database_lost with (force)").await;
}

#[tokio::test]
async fn what_an_earlier_run_had_written_of_a_quiet_partition_is_missed_as_well() {
    let scene = Scene::new(2).await;
    let mut proxy = postgres_proxy().await;
    let mut first = Child::spawn(through(&scene, &proxy));
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    copy_database(&scene, &mut proxy).await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    first.sigterm();
    assert!(first.wait_exit(PATIENCE).await.success());

    let _second = Child::spawn(through(&scene, &proxy));
    scene.topic.produce([TestMessage::new(1, tick(1))]).await;
    scene.wait_all_in().await;
    fail_over(&scene, &mut proxy).await;
    wait_quiet_partition(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    server(&scene, "drop database $database_lost with (force)").await;
}
