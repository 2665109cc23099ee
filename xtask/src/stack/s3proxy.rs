//! S3Proxy: a Java program that keeps objects as files.

use super::{bucket, jars};
use crate::files::write;
use crate::process::detached;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Without a configuration, it logs every step of every request.
const LOGBACK: &str = include_str!("logback.xml");

pub fn jars() -> Result<PathBuf> {
    jars::s3proxy()
}

pub fn command(port: u16, home: &Path, data: &Path) -> Result<Command> {
    let config = home.join("s3proxy.conf");
    write(&config, &properties(port, data))?;
    let logging = home.join("logback.xml");
    write(&logging, LOGBACK)?;
    let mut command = detached("java");
    command
        .args(jars::java(&jars()?, 256))
        .arg(format!("-Dlogback.configurationFile={}", logging.display()))
        .args(["org.gaul.s3proxy.Main", "--properties"])
        .arg(&config);
    Ok(command)
}

fn properties(port: u16, data: &Path) -> String {
    format!(
        include_str!("s3proxy.conf.in"),
        port = port,
        identity = bucket::ACCESS_KEY,
        credential = bucket::SECRET_KEY,
        data = data.display(),
    )
}
