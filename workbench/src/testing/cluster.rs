use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::folder::Folder;
use super::java::kafka_program;
use super::topic::{create, placed};
use super::{Child, eventually};
use crate::kafka::{Quiet, client_config};

const PATIENCE: Duration = Duration::from_secs(120);

/// Any 22 characters of URL-safe base64 that decode to 16 bytes.
const CLUSTER_ID: &str = "dHdvLWJyb2tlcnMtb2YtYQ";

/// The topic in which Kafka keeps its consumer groups; who leads it coordinates them.
const GROUPS: &str = "__consumer_offsets";

const FIRST: i32 = 1;
const SECOND: i32 = 2;

/// A Kafka of two brokers of a test's own, so that no other test loses its topics with one of them. The first is the
/// controller as well, and stays; the second may be ended and started again, and gets back what it shall lead within a
/// few seconds. Both end with the value.
pub struct TestCluster {
    // They are dropped in this order: the folder is theirs.
    first: Child,
    second: Option<Child>,
    ports: Ports,
    folder: Folder,
}

struct Ports {
    controller: u16,
    first: u16,
    second: u16,
}

impl TestCluster {
    /// `coordinator`: the nodes that hold the consumer groups, the one that shall lead first.
    pub async fn start(coordinator: &[i32]) -> Self {
        let folder = Folder::new("cluster");
        let ports = Ports { controller: free_port(), first: free_port(), second: free_port() };
        folder.write(LOG_FILE, LOG);
        folder.write(&settings_file(FIRST), &first_settings(&ports, &folder));
        folder.write(&settings_file(SECOND), &second_settings(&ports, &folder));
        for mut formatting in [FIRST, SECOND].map(|node| format_storage(node, &folder)) {
            let status = formatting.wait_exit(PATIENCE).await;
            assert!(status.success(), "format a broker's storage: {:?} {:?}", formatting.stdout(), formatting.stderr());
        }
        let (first, second) = (run(FIRST, &folder), Some(run(SECOND, &folder)));
        let cluster = Self { first, second, ports, folder };
        eventually("both brokers to be there", PATIENCE, || cluster.brokers_are_there()).await;
        // Kafka would place it by itself, on either.
        create(&cluster.brokers(), &placed(GROUPS, &[coordinator]).set("cleanup.policy", "compact")).await;
        cluster
    }

    /// Both, as `host:port,host:port`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{},127.0.0.1:{}", self.ports.first, self.ports.second)
    }

    /// kill -9: nobody takes over before the controller has missed it for two seconds.
    pub fn kill_second(&mut self) {
        drop(self.second.take().expect("the second broker runs"));
    }

    /// SIGTERM: what it leads is handed over before it ends, as in a rolling restart.
    pub async fn stop_second(&mut self) {
        let mut second = self.second.take().expect("the second broker runs");
        second.sigterm();
        second.wait_exit(PATIENCE).await;
    }

    /// Does not wait until it serves.
    pub fn start_second(&mut self) {
        assert!(self.second.is_none(), "the second broker runs already");
        self.second = Some(run(SECOND, &self.folder));
    }

    /// Writes other bytes into the segments of a partition that the second broker has, wherever `from` stands in them: a
    /// disk's mistake. The broker must not run. Both must be as long.
    pub fn spoil(&self, topic: &str, partition: i32, from: &[u8], to: &[u8]) {
        assert!(self.second.is_none(), "the second broker must not run");
        assert_eq!(from.len(), to.len());
        let folder = self.folder.path().join(format!("data-{SECOND}")).join(format!("{topic}-{partition}"));
        let mut spoiled = 0;
        for entry in std::fs::read_dir(&folder).expect("read the partition's folder") {
            let path = entry.expect("read the partition's folder").path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            let mut bytes = std::fs::read(&path).expect("read a segment");
            let places: Vec<usize> =
                bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
            spoiled += places.len();
            for at in places {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
            std::fs::write(&path, bytes).expect("write a segment");
        }
        assert!(spoiled > 0, "{:?} is in no segment of {}", String::from_utf8_lossy(from), folder.display());
    }

    /// Waits until the first broker knows these leaders of the topic's partitions; None for a partition that has none.
    pub async fn wait_leaders(&self, topic: &str, expected: &[Option<i32>]) {
        eventually(&format!("{expected:?} to lead {topic}"), PATIENCE, || async {
            match self.leaders(topic).await {
                Ok(leaders) if leaders == expected => Ok(()),
                other => Err(format!("{other:?}; {:?}", self.first.stderr().last())),
            }
        })
        .await;
    }

    async fn leaders(&self, topic: &str) -> anyhow::Result<Vec<Option<i32>>> {
        let (consumer, topic) = (self.inquirer()?, topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(5))?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let mut leaders: Vec<_> = partitions.map(|found| (found.id(), found.leader())).collect();
            leaders.sort_unstable();
            anyhow::Ok(leaders.into_iter().map(|(_, leader)| (leader >= 0).then_some(leader)).collect())
        });
        asked.await.context("ask for leaders")?
    }

    async fn brokers_are_there(&self) -> anyhow::Result<()> {
        let consumer = self.inquirer()?;
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(1))?;
            anyhow::Ok(metadata.brokers().len())
        });
        let count = asked.await.context("ask for brokers")??;
        anyhow::ensure!(count == 2, "{count} of 2; {:?}", self.first.stderr().last());
        Ok(())
    }

    /// Asks the first broker, which is always there.
    fn inquirer(&self) -> anyhow::Result<BaseConsumer<Quiet>> {
        client_config(&format!("127.0.0.1:{}", self.ports.first)).create_with_context(Quiet).context("set up a client")
    }
}

fn run(node: i32, folder: &Folder) -> Child {
    let mut command = kafka_program("kafka.Kafka", 256, &[log_property(folder)]);
    command.arg(folder.path().join(settings_file(node)));
    Child::spawn(command)
}

fn format_storage(node: i32, folder: &Folder) -> Child {
    let mut command = kafka_program("kafka.tools.StorageTool", 64, &[log_property(folder)]);
    command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(folder.path().join(settings_file(node)));
    Child::spawn(command)
}

fn log_property(folder: &Folder) -> String {
    format!("-Dlog4j2.configurationFile={}", folder.path().join(LOG_FILE).display())
}

fn settings_file(node: i32) -> String {
    format!("server-{node}.properties")
}

const LOG_FILE: &str = "log4j2.properties";

/// What a broker has to complain about, on standard error.
const LOG: &str = "rootLogger.level=WARN
rootLogger.appenderRef.err.ref=err
appender.err.type=Console
appender.err.name=err
appender.err.target=SYSTEM_ERR
appender.err.layout.type=PatternLayout
appender.err.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
";

/// The controller looks every second whether each partition is led by whom it shall be.
fn first_settings(ports: &Ports, folder: &Folder) -> String {
    let Ports { controller, first, .. } = ports;
    format!(
        "{}process.roles=broker,controller
listeners=CLIENT://127.0.0.1:{first},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{first}
leader.imbalance.check.interval.seconds=1
",
        settings(FIRST, ports, folder)
    )
}

fn second_settings(ports: &Ports, folder: &Folder) -> String {
    format!(
        "{}process.roles=broker
listeners=CLIENT://127.0.0.1:{second}
advertised.listeners=CLIENT://127.0.0.1:{second}
",
        settings(SECOND, ports, folder),
        second = ports.second
    )
}

/// Replication is the topics' own affair; the log cleaner would take 128 MB.
fn settings(node: i32, ports: &Ports, folder: &Folder) -> String {
    format!(
        "node.id={node}
controller.quorum.voters={FIRST}@127.0.0.1:{controller}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={data}
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=2097152
auto.create.topics.enable=false
min.insync.replicas=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
",
        controller = ports.controller,
        data = folder.path().join(format!("data-{node}")).display(),
    )
}

/// Below those that `cargo xtask` chooses from, and below Linux's ephemeral ones, so that no outgoing connection takes
/// one between the choice and the start, or while a broker is away.
const PORTS: Range<u16> = 12_000..20_000;

fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    PORTS
        .map(|_| {
            let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(PORTS.end - PORTS.start);
            PORTS.start + u16::try_from(number).expect("it is less than a u16")
        })
        .find(is_free)
        .expect("one of 8,000 ports is free")
}
