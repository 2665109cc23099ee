//! A Kafka Connect worker in distributed mode, with the project's own converter settings left to the connector.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::files::write;
use super::kafka::log4j;
use super::{Stack, jars};
use crate::process::detached;

pub fn prepare(stack: &Stack) -> Result<Command> {
    let jars = jars::kafka()?;
    let home = stack.dir.join("connect");
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let config = home.join("worker.properties");
    write(&config, &properties(stack))?;
    let mut command = detached("java");
    command
        .args(jars::java(&jars, 768))
        .arg(log4j(&home)?)
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(&config);
    Ok(command)
}

/// True once the worker has joined its group and can take connectors.
pub fn is_ready(stack: &Stack) -> bool {
    ureq::get(format!("http://127.0.0.1:{}/health", stack.ports.connect))
        .config()
        .timeout_global(Some(Duration::from_secs(5)))
        .build()
        .call()
        .is_ok_and(|response| response.status() == 200)
}

/// Without a plugin nothing has to be looked for; looking through all jars would take 16 s.
fn properties(stack: &Stack) -> String {
    let (discovery, path) = match &stack.connect_plugin {
        Some(plugin) => ("hybrid_warn", format!("plugin.path={}\n", plugin.display())),
        None => ("service_load", String::new()),
    };
    format!(
        "bootstrap.servers=127.0.0.1:{kafka}
group.id=connect
listeners=http://127.0.0.1:{rest}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
config.storage.topic=connect-configs
config.storage.replication.factor=1
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.storage.partitions=1
status.storage.topic=connect-status
status.storage.replication.factor=1
status.storage.partitions=1
scheduled.rebalance.max.delay.ms=0
connector.client.config.override.policy=All
plugin.discovery={discovery}
{path}",
        kafka = stack.ports.kafka,
        rest = stack.ports.connect,
    )
}
