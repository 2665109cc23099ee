//! Partitions, and the consumer group, whose broker goes away or hands them over while ticks flow.

use crate::outages::{RECOVERY, wait_retries};
use crate::scene::{Fate, PATIENCE, Scene, get, http_address, metric, tick, wait_ready};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testing::kafka::{Outgoing, Quiet, Sender, client_config};
use testing::{Child, TestCluster, TestMessage, TestTopic, eventually};

/// Four Java processes at once would slow down all other tests.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_killed_broker_costs_no_tick_and_no_membership_and_another_leads_its_partitions() {
    let _turn = TURN.lock().await;
    let mut trial = Trial::start(&[2, 1], &[&[2, 1], &[1, 2]]).await;

    trial.cluster.second.kill();
    trial.goes_on(1).await;
    trial.wait_leaders(&[Some(1), Some(1)]).await;
    trial.goes_on(0).await;
    trial.assert_ready();

    trial.cluster.second.start();
    trial.wait_leaders(&[Some(2), Some(1)]).await;
    trial.goes_on(0).await;
    trial.end().await;
}

#[tokio::test]
async fn a_partition_whose_only_broker_is_killed_is_waited_for_and_named_and_the_others_are_read_on()
 {
    let _turn = TURN.lock().await;
    let mut trial = Trial::start(&[2, 1], &[&[1], &[2]]).await;

    trial.cluster.second.kill();
    trial.wait_leaders(&[Some(1), None]).await;
    trial
        .speed_layer
        .wait_stderr(
            &format!("partitions without a reachable leader: {}/1;", trial.scene.topic.name()),
            PATIENCE,
        )
        .await;
    trial.goes_on(0).await;
    // Again and again, as an alert wants it.
    wait_retries(&trial.address, "Kafka").await;
    trial.assert_ready();

    trial.cluster.second.start();
    trial.wait_leaders(&[Some(1), Some(2)]).await;
    trial.goes_on(1).await;
    trial.speed_layer.wait_stderr("every partition can be read again", PATIENCE).await;
    trial.end().await;
}

#[tokio::test]
async fn a_partition_without_a_leader_holds_up_no_other_at_a_start_nor_at_a_rebalance() {
    let _turn = TURN.lock().await;
    let mut cluster = TestCluster::start(&[1]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1], &[2], &[1]]).await).await;
    scene.send_ticks(3, 10).await;
    let mut first = scene.start(&[]);
    scene.wait_all_in().await;
    cluster.second.kill();
    cluster.wait_leaders(scene.topic.name(), &[Some(1), None, Some(1)]).await;
    first.sigterm();
    first.wait_exit(PATIENCE).await;

    let written = || scene.count("select count(*) from realtime_stock");
    let send = async || {
        scene.topic.produce([TestMessage::new(0, tick(20)), TestMessage::new(2, tick(20))]).await
    };
    let one = scene.start(&[]);
    send().await;
    eventually("the partitions that have a leader", PATIENCE, || async { written().await == 32 })
        .await;
    one.wait_stderr(&format!("without a reachable leader: {}/1;", scene.topic.name()), PATIENCE)
        .await;
    // Another instance joins, and takes over when the first one goes.
    let mut other = scene.start(&[]);
    other.wait_stderr("assigned partitions", PATIENCE).await;
    send().await;
    eventually("them after a rebalance", PATIENCE, || async { written().await == 34 }).await;
    drop(one);
    send().await;
    eventually("them after a crash", PATIENCE, || async { written().await == 36 }).await;
    assert_eq!(other.exit_status(), None);

    cluster.second.start();
    cluster.wait_leaders(scene.topic.name(), &[Some(1), Some(2), Some(1)]).await;
    scene.topic.produce([TestMessage::new(1, tick(20))]).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn a_coordinator_that_is_away_for_longer_than_a_question_to_it_waits_ends_no_instance() {
    let _turn = TURN.lock().await;
    let mut trial = Trial::start(&[2], &[&[1]]).await;

    trial.cluster.second.kill();
    trial.speed_layer.wait_stderr("Kafka names 0 members of the group", PATIENCE).await;
    trial.cluster.second.start();
    trial.cluster.wait_leaders("__consumer_offsets", &[Some(2)]).await;
    // The membership may be lost by then, and is waited for until the group forgets it.
    trial.flow.end().await;
    trial.scene.wait_all_in().await;
    trial.scene.assert_each_once().await;
    assert_eq!(trial.speed_layer.exit_status(), None);
}

#[tokio::test]
async fn a_broker_that_is_restored_to_an_older_state_is_read_on_by_a_running_instance() {
    let _turn = TURN.lock().await;
    let mut cluster = TestCluster::start(&[1]).await;
    cluster.second.kill();
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1]]).await).await;
    scene.send_ticks(1, 10).await;
    cluster.back_up_first().await;
    cluster.wait_leaders(scene.topic.name(), &[Some(1)]).await;
    // Its leaders are counted on.
    for _ in 0..2 {
        cluster.restart_first().await;
        cluster.wait_leaders(scene.topic.name(), &[Some(1)]).await;
    }
    let mut speed_layer = scene.start(&[]);
    scene.wait_all_in().await;

    cluster.restore_first().await;
    cluster.wait_leaders(scene.topic.name(), &[Some(1)]).await;
    scene.send_ticks(1, 10).await;
    speed_layer.wait_stderr("which Kafka's client does not find", PATIENCE).await;
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 20);
    assert_eq!(speed_layer.exit_status(), None);
}

#[tokio::test]
async fn a_broker_that_is_restarted_in_order_costs_no_tick_and_no_membership() {
    let _turn = TURN.lock().await;
    let mut trial = Trial::start(&[2, 1], &[&[2, 1], &[1, 2]]).await;

    trial.cluster.second.stop().await;
    trial.wait_leaders(&[Some(1), Some(1)]).await;
    trial.goes_on(0).await;
    trial.goes_on(1).await;
    trial.assert_ready();

    trial.cluster.second.start();
    trial.wait_leaders(&[Some(2), Some(1)]).await;
    trial.goes_on(0).await;
    trial.goes_on(1).await;
    trial.end().await;
}

/// The speed layer on a cluster of its own, with ticks flowing.
struct Trial {
    // They are dropped in this order: a topic needs its brokers to be deleted.
    flow: Flow,
    speed_layer: Child,
    scene: Scene,
    cluster: TestCluster,
    address: String,
    /// Ticks that did not come from the flow, by partition.
    apart: Vec<u64>,
}

/// Such a reader may have no connection to the leader at all.
#[tokio::test]
async fn a_partition_that_is_read_from_a_follower_beside_the_reader_is_not_called_leaderless() {
    let _turn = TURN.lock().await;
    let cluster = TestCluster::start(&[2]).await;
    let scene = Scene::with(TestTopic::placed(&cluster.brokers(), &[&[1, 2]]).await).await;
    let rack = ("client.rack", "rack-2");
    scene.send_ticks(1, 10).await;
    assert_eq!(serving(&scene.topic, rack).await, 2);
    let speed_layer = scene.start(&["--kafka-property", &format!("{}={}", rack.0, rack.1)]);
    let address = http_address(&speed_layer).await;
    let begun = Instant::now();
    // A leader that is missing is named after ten seconds.
    while begun.elapsed() < Duration::from_secs(20) {
        scene.send_ticks(1, 10).await;
        scene.wait_all_in().await;
        wait_ready(&address, 200).await;
    }
    scene.assert_each_once().await;
    let said = speed_layer.stderr();
    assert!(!said.iter().any(|line| line.contains("leader")), "{said:#?}");
    assert_eq!(metric(&address, "speed_layer_retries_total{target=\"Kafka\"}"), Some(0));
}

/// Which broker serves the topic's one partition to a client with this property.
async fn serving(topic: &TestTopic, property: (&str, &str)) -> i32 {
    let mut settings = client_config(topic.brokers());
    settings
        .set(property.0, property.1)
        .set("group.id", "serving")
        .set("statistics.interval.ms", "100");
    let consumer: BaseConsumer<Serving> = settings.create_with_context(Serving::default()).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic.name(), 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let look = move || {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let _ = consumer.poll(Duration::from_millis(100));
            // At first it asks the leader, who sends it to another.
            let by = *consumer.context().0.lock().unwrap();
            if by == Some(2) {
                return 2;
            }
        }
        consumer.context().0.lock().unwrap().unwrap_or(-1)
    };
    tokio::task::spawn_blocking(look).await.unwrap()
}

/// Notes who serves partition 0 of whatever topic it reads.
#[derive(Default)]
struct Serving(Mutex<Option<i32>>);

impl ClientContext for Serving {
    fn stats(&self, statistics: Statistics) {
        let broker = statistics
            .topics
            .values()
            .filter_map(|topic| topic.partitions.get(&0))
            .map(|of| of.broker)
            .next();
        *self.0.lock().unwrap() = broker;
    }
}

impl ConsumerContext for Serving {}

impl Trial {
    /// `coordinator` and `replicas`: the nodes that hold the consumer groups and each partition,
    /// the one that leads first.
    async fn start(coordinator: &[i32], replicas: &[&[i32]]) -> Self {
        let cluster = TestCluster::start(coordinator).await;
        let scene = Scene::with(TestTopic::placed(&cluster.brokers(), replicas).await).await;
        let mut command = scene.command();
        command.env("RUST_LOG", "info,speed_layer::kafka::inquiry=debug");
        let speed_layer = Child::spawn(command);
        let address = http_address(&speed_layer).await;
        wait_ready(&address, 200).await;
        let flow = Flow::start(&scene.topic, replicas.len());
        let mut trial =
            Self { flow, speed_layer, scene, cluster, address, apart: vec![0; replicas.len()] };
        let leaders: Vec<_> = replicas.iter().map(|nodes| nodes.first().copied()).collect();
        trial.wait_leaders(&leaders).await;
        for partition in 0..replicas.len() {
            trial.goes_on(partition).await;
        }
        trial
    }

    async fn wait_leaders(&self, leaders: &[Option<i32>]) {
        self.cluster.wait_leaders(self.scene.topic.name(), leaders).await;
    }

    /// Fails unless a tick that is sent now, after those that had to wait for the partition's
    /// leader, is written in time.
    async fn goes_on(&mut self, partition: usize) {
        let begun = Instant::now();
        self.apart[partition] += 1;
        let id = i32::try_from(partition).unwrap();
        self.scene.topic.produce([TestMessage::new(id, tick(0))]).await;
        let end = self.scene.topic.high_watermark(id).await;
        let what = format!("partition {partition} to go on");
        eventually(&what, RECOVERY.saturating_sub(begun.elapsed()), || async {
            let next: Option<i64> =
                sqlx::query_scalar("select next_offset from kafka_offsets where partition = $1")
                    .bind(id)
                    .fetch_optional(self.scene.database.pool())
                    .await
                    .unwrap();
            if next >= Some(end) {
                Ok(())
            } else {
                Err(format!("{next:?} of {end}; {:?}", self.speed_layer.stderr()))
            }
        })
        .await;
        assert_eq!(self.speed_layer.exit_status(), None);
    }

    fn assert_ready(&self) {
        let (status, body) = get(&self.address, "/readyz");
        assert_eq!(status, 200, "{body}");
    }

    /// Fails unless each acknowledged tick was written once, by an instance that is still the
    /// group's one member.
    async fn end(mut self) {
        let mut sent = self.flow.end().await;
        for (sent, apart) in sent.iter_mut().zip(&self.apart) {
            *sent += apart;
        }
        self.scene.wait_all_in().await;
        self.assert_ready();
        assert_eq!(self.speed_layer.exit_status(), None);
        let fates = self.scene.assert_each_once().await;
        assert!(fates.values().all(|fate| *fate == Fate::Written));
        let ends = self.scene.topic.high_watermarks().await;
        assert_eq!(
            ends,
            sent.iter().map(|count| i64::try_from(*count).unwrap()).collect::<Vec<_>>()
        );
        // Its coordinator takes them from a member only.
        eventually("the group to know the offsets", PATIENCE, || async {
            let known = self.offsets_of_the_group().await;
            if known == ends { Ok(()) } else { Err(format!("{known:?} instead of {ends:?}")) }
        })
        .await;
        let said = self.speed_layer.stderr();
        let joined = said.iter().filter(|line| line.contains("assigned partitions")).count();
        assert_eq!(joined, 1, "the election must not cost the group membership: {said:#?}");
    }

    async fn offsets_of_the_group(&self) -> Vec<i64> {
        let consumer: BaseConsumer<Quiet> = client_config(self.scene.topic.brokers())
            .set("group.id", self.scene.group())
            .create_with_context(Quiet)
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(
            self.scene.topic.name(),
            0,
            i32::try_from(self.apart.len()).unwrap() - 1,
        );
        let asked = tokio::task::spawn_blocking(move || {
            consumer.committed_offsets(list, Duration::from_secs(5))
        });
        let offsets = asked
            .await
            .unwrap()
            .map(|known| known.elements().iter().map(|of| of.offset()).collect());
        let offsets: Vec<Offset> = offsets.unwrap_or_default();
        offsets.into_iter().map(|offset| offset.to_raw().unwrap_or(-1)).collect()
    }
}

/// Ticks to every partition, two hundred a second each. It ends with the value.
struct Flow {
    end: mpsc::Sender<()>,
    sending: Option<JoinHandle<Vec<u64>>>,
}

impl Flow {
    fn start(topic: &TestTopic, partitions: usize) -> Self {
        let (end, ended) = mpsc::channel();
        let sender = Sender::new(client_config(topic.brokers()), topic.name()).unwrap();
        let partitions = i32::try_from(partitions).unwrap();
        let send = move || {
            for number in 0.. {
                let value = tick(number);
                for partition in 0..partitions {
                    let (partition, value) = (Some(partition), Some(value.as_bytes()));
                    sender.send(Outgoing { partition, value, ..Outgoing::default() }).unwrap();
                }
                sender.poll();
                match ended.recv_timeout(Duration::from_millis(5)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) => break,
                    // The test has failed, and nobody waits.
                    Err(RecvTimeoutError::Disconnected) => return Vec::new(),
                }
            }
            sender.finish(PATIENCE).unwrap()
        };
        Self { end, sending: Some(std::thread::spawn(send)) }
    }

    /// How many ticks each partition has acknowledged: all that were sent.
    async fn end(&mut self) -> Vec<u64> {
        self.end.send(()).unwrap();
        let sending = self.sending.take().unwrap();
        tokio::task::spawn_blocking(|| sending.join().unwrap()).await.unwrap()
    }
}
