//! MinIO: the one on the PATH, or one built by Go into the cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::s3;
use crate::process::detached;
use crate::{cache, setup};

/// The last release; the module proxy knows releases by commit only.
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";

pub fn program() -> Result<PathBuf> {
    if let Some(path) = setup::on_path("minio") {
        return Ok(path);
    }
    let dir = cache::entry(&format!("minio-{VERSION}"), build)?;
    Ok(dir.join("minio"))
}

fn build(into: &Path) -> Result<()> {
    let started = Instant::now();
    println!("building MinIO by Go (2 to 3 minutes) ...");
    let output = Command::new("go")
        .arg("install")
        .arg(format!("github.com/minio/minio@{VERSION}"))
        .env("GOBIN", into)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    if !output.status.success() {
        bail!("Go cannot build MinIO: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    println!("  built in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

pub fn command(port: u16, data: &Path) -> Result<Command> {
    let mut command = detached(program()?);
    command
        .arg("server")
        .arg(data)
        .args(["--address", &format!("127.0.0.1:{port}"), "--quiet"])
        .env("MINIO_ROOT_USER", s3::ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", s3::SECRET_KEY)
        .env("MINIO_BROWSER", "off")
        .env("MINIO_UPDATE", "off");
    Ok(command)
}
