//! MinIO: the one on the PATH, or one built by Go into the cache.

use super::bucket;
use crate::process::detached;
use crate::{cache, files, go};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The last release; the module proxy knows releases by commit only.
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";

pub fn program() -> Result<PathBuf> {
    if let Some(path) = files::on_path("minio") {
        return Ok(path);
    }
    let dir = cache::entry(&format!("minio-{VERSION}"), build)?;
    Ok(dir.join("minio"))
}

fn build(into: &Path) -> Result<()> {
    println!("building MinIO by Go (2 to 3 minutes) ...");
    let mut go = Command::new("go");
    go.arg("install").arg(format!("github.com/minio/minio@{VERSION}")).env("GOBIN", into);
    go::build("MinIO", &mut go)
}

pub fn command(port: u16, data: &Path) -> Result<Command> {
    let mut command = detached(program()?);
    command
        .arg("server")
        .arg(data)
        .args(["--address", &format!("127.0.0.1:{port}"), "--quiet"])
        .env("MINIO_ROOT_USER", bucket::ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", bucket::SECRET_KEY)
        .env("MINIO_BROWSER", "off")
        .env("MINIO_UPDATE", "off");
    Ok(command)
}
