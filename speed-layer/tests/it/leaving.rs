//! Brokers that say nothing while an instance, or a session of one, leaves its group.

use crate::outages::KAFKA_PROXY;
use crate::scene::{PATIENCE, Scene, http_address, wait_ready};
use std::time::{Duration, Instant};
use testing::{Child, TcpProxy, stack};

const PROTOCOLS: [&str; 2] = ["group.protocol=classic", "group.protocol=consumer"];

/// Ten seconds are promised, and as many again are for a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// As long as `max.poll.interval.ms`. The session's time-out is ten seconds, by either protocol.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(60);

async fn kafka_proxy() -> TcpProxy {
    TcpProxy::listen(&stack("STACK_KAFKA_PROXY_LISTEN"), &stack("STACK_KAFKA_PROXY_TARGET")).await
}

fn start_behind_proxy(scene: &Scene, protocol: &str) -> Child {
    let mut command = scene.command();
    command
        .env("KAFKA_BROKERS", stack("STACK_KAFKA_PROXY_LISTEN"))
        .args(["--kafka-property", protocol]);
    Child::spawn(command)
}

/// Waits until everything is written; fails where that took too long.
async fn wait_assigned(scene: &Scene, protocol: &str) {
    let begun = Instant::now();
    scene.wait_all_in().await;
    let took = begun.elapsed();
    assert!(took < TAKEN_UP_WITHIN, "{protocol}: {took:?}");
}

#[tokio::test]
async fn an_instance_that_brokers_do_not_hear_ends_in_time_and_another_gets_its_partitions() {
    let _turn = KAFKA_PROXY.lock().await;
    let mut proxy = kafka_proxy().await;
    for protocol in PROTOCOLS {
        leave_unheard(protocol, &mut proxy).await;
    }
}

async fn leave_unheard(protocol: &str, proxy: &mut TcpProxy) {
    let scene = Scene::new(2).await;
    let mut leaving = start_behind_proxy(&scene, protocol);
    leaving.wait_stderr("assigned partitions", PATIENCE).await;
    let _heir = scene.start(&["--kafka-property", protocol]);
    leaving.wait_stderr("gave up partitions: ", PATIENCE).await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;

    // Its connections stay, and nothing that it says of its end arrives.
    proxy.stall().await;
    scene.send_ticks(2, 100).await;
    leaving.sigterm();
    let status = leaving.wait_exit(ENDS_WITHIN).await;
    assert!(status.success(), "{protocol}: {:#?}", leaving.stderr());
    wait_assigned(&scene, protocol).await;
    scene.assert_each_once().await;

    // An answer that arrives late is of a member that is gone.
    proxy.restore().await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// The database loses what was written, as by a failover to an older state of itself: so the
/// session ends, and the next one has to read it again.
#[tokio::test]
async fn a_session_whose_end_brokers_do_not_hear_keeps_its_partitions_from_no_other() {
    let _turn = KAFKA_PROXY.lock().await;
    let mut proxy = kafka_proxy().await;
    for protocol in PROTOCOLS {
        end_unheard(protocol, &mut proxy).await;
    }
}

async fn end_unheard(protocol: &str, proxy: &mut TcpProxy) {
    let scene = Scene::new(1).await;
    let mut speed_layer = start_behind_proxy(&scene, protocol);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;

    proxy.stall().await;
    lose_all(&scene).await;
    // That is logged once the session is over.
    speed_layer.wait_stderr("the database is an older state of itself", PATIENCE).await;
    wait_ready(&address, 503).await;
    scene.send_ticks(1, 100).await;
    // Another instance has no part in it: it gets the partition when the group misses the member.
    let mut other = scene.start(&["--kafka-property", protocol]);
    wait_assigned(&scene, protocol).await;
    other.sigterm();
    assert!(other.wait_exit(ENDS_WITHIN).await.success(), "{protocol}: {:#?}", other.stderr());

    // The process was not ended by it, and reads on when it gets the partition back.
    proxy.restore().await;
    scene.send_ticks(1, 100).await;
    wait_assigned(&scene, protocol).await;
    scene.assert_each_once().await;
    let in_bars = "select coalesce(sum(ticks), 0)::bigint from minute_bars";
    assert_eq!(scene.count(in_bars).await, 300, "{protocol}");
    wait_ready(&address, 200).await;
    assert_eq!(speed_layer.exit_status(), None);
}

async fn lose_all(scene: &Scene) {
    let mut connection = scene.database.connection().await;
    let lose = "begin; truncate realtime_stock, minute_bars, hour_bars, anomalies, detector_log;
                update kafka_offsets set next_offset = 0; commit";
    sqlx::raw_sql(lose).execute(&mut connection).await.unwrap();
}
