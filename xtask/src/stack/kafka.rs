//! A single-node broker in KRaft mode, made for development: quick to start, quick to come back
//! after a kill.

use super::jars;
use super::kafka_topics::{self, NewTopic};
use super::settings::Stack;
use super::tls::{Certificates, KAFKA_PASSWORD, KAFKA_USER, SERVER_NAME};
use crate::files::{create_dir, write};
use crate::process::{detached, output};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

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
    format.args(jars::java(jars, 256)).args(["kafka.tools.StorageTool", "format"]);
    output(format.args(["-t", CLUSTER_ID, "--add-scram", &login, "-c"]).arg(config)).map(drop)
}

fn properties(stack: &Stack, data: &Path) -> String {
    let ports = &stack.ports;
    format!(
        include_str!("kafka.properties.in"),
        server = SERVER_NAME,
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
    let file = home.join("log4j2.properties");
    write(&file, include_str!("log4j2.properties"))?;
    Ok(format!("-Dlog4j2.configurationFile={}", file.display()))
}
