//! A Kafka Connect worker in distributed mode, configured as the project's container image is.

use super::jars;
use super::kafka::log4j;
use super::settings::Stack;
use crate::files::{create_dir, write};
use crate::process::detached;
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

pub fn prepare(stack: &Stack) -> Result<Command> {
    let jars = jars::kafka()?;
    let home = stack.dir.join("connect");
    create_dir(&home.join("plugins"))?;
    let config = home.join("worker.properties");
    write(&config, &properties(stack))?;
    let mut command = detached("java");
    command
        .args(jars::java(&jars, 768))
        .arg(log4j(&home)?)
        .arg("org.apache.kafka.connect.cli.ConnectDistributed")
        .arg(&config)
        .envs(stack.environment()?)
        .env("CONNECT_REPLICATION_FACTOR", "1")
        .env("S3_SINK_ROTATE_MS", "5000");
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

/// The worker's configuration of the container image, and after it (the last value counts) what
/// differs here.
const IMAGE: &str = include_str!("../../../connect/worker.properties");

/// Without a plugin nothing has to be looked for; looking through all jars would take 16 s.
fn properties(stack: &Stack) -> String {
    let (discovery, path) = match &stack.connect_plugin {
        Some(plugin) => ("hybrid_warn", plugin.clone()),
        None => ("service_load", stack.dir.join("connect/plugins")),
    };
    format!(
        "{IMAGE}
listeners=http://127.0.0.1:{rest}
offset.storage.partitions=1
status.storage.partitions=1
plugin.discovery={discovery}
plugin.path={path}
",
        rest = stack.ports.connect,
        path = path.display(),
    )
}
