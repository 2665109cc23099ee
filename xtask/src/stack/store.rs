//! The S3-compatible store: S3Proxy, which installs in seconds, or MinIO.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::kafka::write;
use super::{Stack, jars, s3};
use crate::process::detached;
use crate::{cache, setup};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    S3proxy,
    Minio,
}

/// MinIO's last release by its module version; the module proxy knows releases by commit only.
const MINIO: &str = "github.com/minio/minio@latest";
pub const BUCKET: &str = "stock-data";

/// The store asked for; otherwise MinIO where it is installed.
pub fn store_or_default(asked: Option<StoreKind>) -> StoreKind {
    asked.unwrap_or_else(|| match setup::on_path("minio") {
        Some(_) => StoreKind::Minio,
        None => StoreKind::S3proxy,
    })
}

/// Fetches or builds the store unless it is there.
pub fn install(kind: StoreKind) -> Result<()> {
    match kind {
        StoreKind::S3proxy => jars::s3proxy().map(drop),
        StoreKind::Minio => minio().map(drop),
    }
}

pub fn prepare(stack: &Stack) -> Result<Command> {
    let home = stack.dir.join("store");
    let data = home.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    match stack.store {
        StoreKind::S3proxy => {
            let jars = jars::s3proxy()?;
            let config = home.join("s3proxy.conf");
            write(&config, &s3proxy_properties(stack.ports.store, &data.to_string_lossy()))?;
            let mut command = detached("java");
            command.args(jars::java(&jars, 256)).args(["org.gaul.s3proxy.Main", "--properties"]).arg(&config);
            Ok(command)
        }
        StoreKind::Minio => {
            let mut command = detached(minio()?);
            command
                .arg("server")
                .arg(&data)
                .args(["--address", &format!("127.0.0.1:{}", stack.ports.store), "--quiet"])
                .env("MINIO_ROOT_USER", s3::ACCESS_KEY)
                .env("MINIO_ROOT_PASSWORD", s3::SECRET_KEY)
                .env("MINIO_BROWSER", "off")
                .env("MINIO_UPDATE", "off");
            Ok(command)
        }
    }
}

/// True once the bucket exists. MinIO answers 503 for a moment after it says that it is ready, so the bucket is the better sign.
pub fn is_ready(stack: &Stack) -> Result<bool> {
    s3::create_bucket(stack.ports.store, BUCKET)
}

fn s3proxy_properties(port: u16, data: &str) -> String {
    format!(
        "s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={identity}
s3proxy.credential={credential}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={data}
",
        identity = s3::ACCESS_KEY,
        credential = s3::SECRET_KEY,
    )
}

/// Path of the MinIO server: the one on the PATH, or one built by Go into the cache.
fn minio() -> Result<PathBuf> {
    if let Some(path) = setup::on_path("minio") {
        return Ok(path);
    }
    let dir = cache::entry("minio", |dir| {
        let started = Instant::now();
        println!("building MinIO by Go (about 2.5 minutes) ...");
        let output = Command::new("go")
            .args(["install", MINIO])
            .env("GOBIN", dir)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()
            .context("cannot run go")?;
        if !output.status.success() {
            bail!("Go cannot build MinIO: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        println!("  built in {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    })?;
    Ok(dir.join("minio"))
}
