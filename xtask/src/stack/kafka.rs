//! A single-node broker in KRaft mode, made for development: quick to start, quick to come back
//! after a kill.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::jars;
use super::kafka_topics::{self, NewTopic};
use super::settings::Stack;
use super::tls::{Certificates, KAFKA_PASSWORD, KAFKA_USER, SERVER_NAME};
use crate::files::{create_dir, write};
use crate::process::{detached, output};

/// Any 22 characters of URL-safe base64 that decode to 16 bytes.
const CLUSTER_ID: &str = "c3RvY2stbGFtYmRhLWxvYw";

const TOPICS: [NewTopic; 2] = [("stock_prices", 4), ("dlq", 1)];

pub fn prepare(stack: &Stack) -> Result<Command> {
    let jars = jars::kafka()?;
    let home = stack.dir.join("kafka");
    let data = home.join("data");
    create_dir(&data)?;
    let config = home.join("server.properties");
    write(&config, &properties(stack, &data))?;
    if !data.join("meta.properties").exists() {
        format_storage(&jars, &config)?;
    }
    let mut command = detached("java");
    command.args(jars::java(&jars, 512)).arg(log4j(&home)?).arg("kafka.Kafka").arg(&config);
    Ok(command)
}

pub fn is_ready(stack: &Stack) -> Result<bool> {
    kafka_topics::create(stack.ports.kafka, &TOPICS)
}

fn format_storage(jars: &Path, config: &Path) -> Result<()> {
    let login = format!("SCRAM-SHA-512=[name={KAFKA_USER},password={KAFKA_PASSWORD}]");
    let mut format = Command::new("java");
    format.args(jars::java(jars, 256)).args([
        "kafka.tools.StorageTool",
        "format",
        "-t",
        CLUSTER_ID,
    ]);
    output(format.args(["--add-scram", &login, "-c"]).arg(config)).map(drop)
}

/// Old market time is normal here, so no topic loses records by age. One node, so one replica of
/// everything. The short session lets a killed broker register again within 3 s instead of 11 s.
fn properties(stack: &Stack, data: &Path) -> String {
    let ports = &stack.ports;
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{client},PROXIED://127.0.0.1:{target},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{client},PROXIED://127.0.0.1:{listen},SECURE://{SERVER_NAME}:{secure}
listener.security.protocol.map=CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={data}
log.retention.ms=-1
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=10000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=2000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
",
        client = ports.kafka,
        controller = ports.kafka_controller,
        target = ports.kafka_proxy_target,
        listen = ports.kafka_proxy_listen,
        secure = ports.kafka_secure,
        keystore = Certificates::of(stack).server_both().display(),
        data = data.display(),
    )
}

/// Writes a logging configuration (to standard output, which is the service's log file) and returns
/// the flag that names it.
pub fn log4j(home: &Path) -> Result<String> {
    let file: PathBuf = home.join("log4j2.properties");
    write(
        &file,
        "rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
",
    )?;
    Ok(format!("-Dlog4j2.configurationFile={}", file.display()))
}
