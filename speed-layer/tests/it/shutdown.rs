//! How it ends, and what it says of itself meanwhile.

use crate::scene::{PATIENCE, Scene, get, http_address, lag_series, metric, tick};
use std::process::Stdio;
use std::time::{Duration, Instant};
use testing::{Child, TestMessage};

#[tokio::test]
async fn on_sigterm_what_was_read_is_written_and_the_process_ends_well() {
    let scene = Scene::new(1).await;
    // Without the signal the batch would wait for minutes.
    let mut speed_layer = scene.start(&["--linger", "1m"]);
    let address = http_address(&speed_layer).await;
    speed_layer.wait_stderr("assigned partitions", PATIENCE).await;
    scene.send_ticks(1, 10).await;
    // That the lag is known means that Kafka was polled, but not that the messages were read:
    // SIGTERM must not lose those either way, so the test holds whichever comes first.
    testing::eventually("the lag to be known", PATIENCE, || async {
        metric(&address, &lag_series(scene.topic.name(), 0)) == Some(10)
    })
    .await;
    speed_layer.sigterm();
    assert!(speed_layer.wait_exit(Duration::from_secs(15)).await.success());
    scene.assert_each_once().await;
}

#[tokio::test]
async fn with_nothing_to_do_it_ends_at_once() {
    let scene = Scene::new(1).await;
    let mut speed_layer = scene.start(&[]);
    speed_layer.wait_stderr("assigned partitions", PATIENCE).await;
    speed_layer.sigterm();
    let asked = Instant::now();
    assert!(speed_layer.wait_exit(Duration::from_secs(15)).await.success());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn it_tells_monitors_what_it_did() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.topic.produce([TestMessage::new(0, tick(1)), TestMessage::new(0, "x")]).await;
    scene.wait_all_in().await;
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    crate::scene::wait_ready(&address, 200).await;
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "speed_layer_ticks_written_total 1",
        "speed_layer_messages_rejected_total{reason=\"not_json\"} 1",
        "speed_layer_messages_rejected_total{reason=\"bad_price\"} 0",
        "speed_layer_visible_latency_seconds_count 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn connections_that_say_nothing_neither_keep_it_from_answering_nor_stay() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    let mut silent: Vec<_> =
        (0..300).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(get(&address, "/healthz").0, 200);
    // The oldest have made room for the others, and the newest may stay for half a minute.
    for stream in [silent.remove(0), silent.remove(298)] {
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        assert_eq!(std::io::Read::read(&mut &stream, &mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(get(&address, "/healthz").0, 200);
}

#[tokio::test]
async fn the_health_check_tells_a_live_instance_from_none() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    let ask = async |address: String| {
        let mut command = scene.command();
        command.env_remove("DATABASE_URL").env_remove("KAFKA_BROKERS");
        command.args(["--healthcheck", "--http-addr", &address]);
        let mut check = Child::spawn(command);
        (check.wait_exit(PATIENCE).await.code(), check.stderr().join(" "))
    };
    assert_eq!(ask(address.clone()).await, (Some(0), String::new()));
    let port = address.rsplit(':').next().unwrap();
    assert_eq!(ask(format!("0.0.0.0:{port}")).await.0, Some(0));
    drop(speed_layer);
    let (code, said) = ask(address).await;
    assert!(
        code == Some(3) && said.contains("no healthy instance") && said.contains("--http-addr"),
        "{said}"
    );
}

#[tokio::test]
async fn it_works_and_ends_well_although_nobody_reads_its_log_any_more() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    drop(process.stderr.take());
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&process),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let ended = testing::eventually("its end", PATIENCE, || {
        let ended = process.try_wait().unwrap();
        async move { ended.ok_or("it runs") }
    });
    assert!(ended.await.success());
    scene.assert_each_once().await;
}
