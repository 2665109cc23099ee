//! [`TestCluster`]: two brokers of a test's own, of which one may die.

use crate::folder::{folder, write};
use crate::java::{kafka_program, kafka_tool};
use crate::kafka::inquirer;
use crate::topic::{create, placed};
use crate::{Child, eventually, free_port};
use anyhow::Context;
use crc_fast::CrcAlgorithm;
use rdkafka::consumer::Consumer;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);

/// Any 22 characters of URL-safe base64 that decode to 16 bytes.
const CLUSTER_ID: &str = "dHdvLWJyb2tlcnMtb2YtYQ";

/// The topic in which Kafka keeps its consumer groups; who leads it coordinates them.
const GROUPS: &str = "__consumer_offsets";

const FIRST: i32 = 1;
const SECOND: i32 = 2;

/// A Kafka of two brokers of a test's own, so that no other test loses its topics with one of them.
/// The first is the controller as well, and stays; the second may be ended and started again, and
/// gets back what it shall lead within a few seconds. Both end with the value.
pub struct TestCluster {
    // They are dropped in this order: the folder is the first one's.
    first: Child,
    pub second: SecondBroker,
    port: u16,
    folder: TempDir,
}

/// A broker that joins one that is there already and controls it. It may be ended and started
/// again, and ends with the value.
pub struct SecondBroker {
    // They are dropped in this order: the folder is the process's.
    process: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl SecondBroker {
    /// `controller`: its port on loopback, of the cluster with this id. `more`: what listeners the
    /// cluster has beside CLIENT; whoever comes by one of them must find each broker there. Does
    /// not wait until it serves.
    pub async fn join(cluster_id: &str, controller: u16, more: &[&str]) -> Self {
        let (folder, port) = (folder(), free_port());
        let mut listeners = vec![format!("CLIENT://127.0.0.1:{port}")];
        listeners.extend(more.iter().map(|name| format!("{name}://127.0.0.1:{}", free_port())));
        write(&folder, LOG_FILE, LOG);
        write(
            &folder,
            &settings_file(SECOND),
            &second_settings(controller, &listeners.join(","), &folder),
        );
        format_storage(SECOND, cluster_id, &folder).await;
        Self { process: Some(run(SECOND, &folder)), port, folder }
    }

    /// kill -9: nobody takes over before the controller has missed it for two seconds.
    pub fn kill(&mut self) {
        drop(self.process.take().expect("the second broker runs"));
    }

    /// SIGTERM: what it leads is handed over before it ends, as in a rolling restart.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("the second broker runs");
        process.sigterm();
        process.wait_exit(PATIENCE).await;
    }

    /// Does not wait until it serves.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "the second broker runs already");
        self.process = Some(run(SECOND, &self.folder));
    }

    /// Writes other bytes into the segments of a partition that it has, wherever `from` stands in
    /// them: a disk's mistake. It must not run. Both must be as long.
    pub fn spoil(&self, topic: &str, partition: i32, from: &[u8], to: &[u8]) {
        assert_eq!(from.len(), to.len());
        let mut spoiled = 0;
        for path in self.segments(topic, partition) {
            let mut bytes = std::fs::read(&path).expect("read a segment");
            let places: Vec<usize> = bytes
                .windows(from.len())
                .enumerate()
                .filter(|(_, w)| *w == from)
                .map(|(at, _)| at)
                .collect();
            spoiled += places.len();
            for at in places {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
            std::fs::write(&path, bytes).expect("write a segment");
        }
        assert!(
            spoiled > 0,
            "{:?} is in no segment of {topic}/{partition}",
            String::from_utf8_lossy(from)
        );
    }

    /// Changes the batch of a partition that begins at `offset`, as this broker has it: its
    /// attributes, and all behind them. Its checksum is made anew, as if a producer had sent it so.
    /// The broker must not run.
    pub fn remake(&self, topic: &str, partition: i32, offset: i64, change: impl Fn(&mut [u8])) {
        let mut remade = 0;
        for path in self.segments(topic, partition) {
            let mut bytes = std::fs::read(&path).expect("read a segment");
            if let Some(batch) = batch_at(&mut bytes, offset) {
                change(&mut batch[ATTRIBUTES..]);
                // Castagnoli's.
                let checksum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &batch[ATTRIBUTES..]);
                batch[CHECKSUM..ATTRIBUTES].copy_from_slice(&(checksum as u32).to_be_bytes());
                remade += 1;
            }
            std::fs::write(&path, bytes).expect("write a segment");
        }
        assert_eq!(remade, 1, "batches of {topic}/{partition} that begin at {offset}");
    }

    fn segments(&self, topic: &str, partition: i32) -> Vec<PathBuf> {
        assert!(self.process.is_none(), "the second broker must not run");
        let folder =
            self.folder.path().join(format!("data-{SECOND}")).join(format!("{topic}-{partition}"));
        let entries = std::fs::read_dir(&folder).expect("read the partition's folder");
        let paths = entries.map(|entry| entry.expect("read the partition's folder").path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
    }
}

/// Where a batch of records has its checksum, which is of all from its attributes on.
const CHECKSUM: usize = 17;
const ATTRIBUTES: usize = 21;

/// The batch of a segment that begins at `offset`.
fn batch_at(mut segment: &mut [u8], offset: i64) -> Option<&mut [u8]> {
    while segment.len() > ATTRIBUTES {
        let first = i64::from_be_bytes(segment[..8].try_into().expect("eight bytes"));
        let length = u32::from_be_bytes(segment[8..12].try_into().expect("four bytes"));
        let (batch, rest) = segment.split_at_mut(12 + length as usize);
        if first == offset {
            return Some(batch);
        }
        segment = rest;
    }
    None
}

impl TestCluster {
    /// `coordinator`: the nodes that hold the consumer groups, the one that shall lead first.
    pub async fn start(coordinator: &[i32]) -> Self {
        let (folder, port, controller) = (folder(), free_port(), free_port());
        write(&folder, LOG_FILE, LOG);
        write(&folder, &settings_file(FIRST), &first_settings(controller, port, &folder));
        let formatting = format_storage(FIRST, CLUSTER_ID, &folder);
        let ((), second) =
            tokio::join!(formatting, SecondBroker::join(CLUSTER_ID, controller, &[]));
        let cluster = Self { first: run(FIRST, &folder), second, port, folder };
        eventually("both brokers to be there", PATIENCE, || cluster.brokers_are_there()).await;
        // Kafka would place it by itself, on either.
        create(
            &cluster.brokers(),
            &placed(GROUPS, &[coordinator]).set("cleanup.policy", "compact"),
            true,
        )
        .await;
        cluster
    }

    /// Changes the rights of everybody, who may do everything at first: `how` is what Kafka's own
    /// tool takes, such as `--add --deny-principal User:* --operation Read --topic NAME`.
    pub fn change_rights(&self, how: &[&str]) {
        let broker = self.first_broker();
        let args = [&["--bootstrap-server", &broker, "--force"], how].concat();
        kafka_tool("org.apache.kafka.tools.AclCommand", &args).expect("change the rights");
    }

    /// Both, as `host:port,host:port`.
    pub fn brokers(&self) -> String {
        format!("{},127.0.0.1:{}", self.first_broker(), self.second.port)
    }

    fn first_broker(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the first broker in order, keeps a copy of all that it has, and starts it again.
    /// Whatever it leads must be led by it alone.
    pub async fn back_up_first(&mut self) {
        self.end_first().await;
        self.copy("data-1", "backup");
        self.start_first();
    }

    pub async fn restart_first(&mut self) {
        self.end_first().await;
        self.start_first();
    }

    /// As who plays back a backup: the first broker, which is the controller, is what it was then.
    pub async fn restore_first(&mut self) {
        self.end_first().await;
        std::fs::remove_dir_all(self.folder.path().join("data-1"))
            .expect("delete what the broker has");
        self.copy("backup", "data-1");
        self.start_first();
    }

    async fn end_first(&mut self) {
        self.first.sigterm();
        self.first.wait_exit(PATIENCE).await;
    }

    /// Does not wait until it serves.
    fn start_first(&mut self) {
        self.first = run(FIRST, &self.folder);
    }

    fn copy(&self, from: &str, to: &str) {
        let status =
            Command::new("cp").arg("-a").args([from, to]).current_dir(self.folder.path()).status();
        assert!(
            status.expect("run cp").success(),
            "copy {from} in {}",
            self.folder.path().display()
        );
    }

    /// Waits until the first broker knows these leaders of the topic's partitions; None for a
    /// partition that has none.
    pub async fn wait_leaders(&self, topic: &str, expected: &[Option<i32>]) {
        eventually(&format!("{expected:?} to lead {topic}"), PATIENCE, || async {
            match leaders(&self.first_broker(), topic).await {
                Ok(leaders) if leaders == expected => Ok(()),
                other => Err(format!("{other:?}; {:?}", self.first.stderr().last())),
            }
        })
        .await;
    }

    async fn brokers_are_there(&self) -> anyhow::Result<()> {
        let count = broker_count(&self.first_broker()).await?;
        anyhow::ensure!(count == 2, "{count} of 2; {:?}", self.first.stderr().last());
        Ok(())
    }
}

/// Who leads the topic's partitions, as these brokers know; None for a partition that has no
/// leader.
///
/// # Errors
/// Brokers that do not answer.
pub async fn leaders(brokers: &str, topic: &str) -> anyhow::Result<Vec<Option<i32>>> {
    let (consumer, topic) = (inquirer(brokers)?, topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(5))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut leaders: Vec<_> = partitions.map(|found| (found.id(), found.leader())).collect();
        leaders.sort_unstable();
        anyhow::Ok(leaders.into_iter().map(|(_, leader)| (leader >= 0).then_some(leader)).collect())
    });
    asked.await.context("ask for leaders")?
}

/// How many brokers these know.
///
/// # Errors
/// Brokers that do not answer.
pub async fn broker_count(brokers: &str) -> anyhow::Result<usize> {
    let consumer = inquirer(brokers)?;
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(1))?;
        anyhow::Ok(metadata.brokers().len())
    });
    asked.await.context("ask for brokers")?
}

fn run(node: i32, folder: &TempDir) -> Child {
    let mut command = kafka_program("kafka.Kafka", 256, &[log_property(folder)]);
    command.arg(folder.path().join(settings_file(node)));
    Child::spawn(command)
}

async fn format_storage(node: i32, cluster_id: &str, folder: &TempDir) {
    let mut command = kafka_program("kafka.tools.StorageTool", 64, &[log_property(folder)]);
    command.args(["format", "-t", cluster_id, "-c"]).arg(folder.path().join(settings_file(node)));
    let mut formatting = Child::spawn(command);
    let status = formatting.wait_exit(PATIENCE).await;
    assert!(
        status.success(),
        "format a broker's storage: {:?} {:?}",
        formatting.stdout(),
        formatting.stderr()
    );
}

fn log_property(folder: &TempDir) -> String {
    format!("-Dlog4j2.configurationFile={}", folder.path().join(LOG_FILE).display())
}

fn settings_file(node: i32) -> String {
    format!("server-{node}.properties")
}

const LOG_FILE: &str = "log4j2.properties";

/// What a broker has to complain about, on standard error.
const LOG: &str = include_str!("log4j2.properties");

/// The controller looks every second whether each partition is led by whom it shall be.
fn first_settings(controller: u16, port: u16, folder: &TempDir) -> String {
    format!(
        "{}process.roles=broker,controller
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port}
leader.imbalance.check.interval.seconds=1
",
        settings(FIRST, controller, folder)
    )
}

/// It joins a controller that may be away for a while.
fn second_settings(controller: u16, listeners: &str, folder: &TempDir) -> String {
    format!(
        "{}process.roles=broker
listeners={listeners}
advertised.listeners={listeners}
initial.broker.registration.timeout.ms=300000
",
        settings(SECOND, controller, folder)
    )
}

fn settings(node: i32, controller: u16, folder: &TempDir) -> String {
    format!(
        include_str!("broker.properties.in"),
        node = node,
        first = FIRST,
        controller = controller,
        data = folder.path().join(format!("data-{node}")).display(),
    )
}
