//! S3Proxy: a Java program that keeps objects as files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{bucket, jars};
use crate::files::write;
use crate::process::detached;

/// Without a configuration, it logs every step of every request.
const LOGBACK: &str = r#"<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"#;

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

/// Signatures are checked, so that a program that signs wrongly is found out here.
fn properties(port: u16, data: &Path) -> String {
    format!(
        "s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.v4-max-non-chunked-request-size=536870912
s3proxy.identity={identity}
s3proxy.credential={credential}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={data}
",
        identity = bucket::ACCESS_KEY,
        credential = bucket::SECRET_KEY,
        data = data.display(),
    )
}
