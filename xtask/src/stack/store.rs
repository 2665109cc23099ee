//! The S3-compatible store: S3Proxy, which installs in seconds, or MinIO.

use super::bucket::{BUCKET, StoreKind};
use super::settings::Stack;
use super::{minio, s3proxy};
use anyhow::{Context, Result, bail};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;
use std::time::Duration;

/// Fetches or builds the store unless it is there.
pub fn install(kind: StoreKind) -> Result<()> {
    match kind {
        StoreKind::S3proxy => s3proxy::jars().map(drop),
        StoreKind::Minio => minio::program().map(drop),
    }
}

pub fn prepare(stack: &Stack) -> Result<Command> {
    // Each kind keeps objects in a layout of its own.
    let home = stack.dir.join(match stack.store {
        StoreKind::S3proxy => "s3proxy",
        StoreKind::Minio => "minio",
    });
    let data = home.join("data");
    // Both take a folder of their data for a bucket. S3Proxy lets everybody into one that everybody
    // may read.
    let bucket = data.join(BUCKET);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&bucket);
    made.with_context(|| format!("cannot create {}", bucket.display()))?;
    match stack.store {
        StoreKind::S3proxy => s3proxy::command(stack.ports.store, &home, &data),
        StoreKind::Minio => minio::command(stack.ports.store, &data),
    }
}

/// True once the store keeps strangers out of the bucket; before that it does not listen, or is not
/// ready yet (5xx).
pub fn is_ready(stack: &Stack) -> Result<bool> {
    let bucket = format!("http://127.0.0.1:{}/{BUCKET}", stack.ports.store);
    let asked = ureq::get(&bucket)
        .config()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)));
    match asked.build().call() {
        Ok(answer) => match answer.status().as_u16() {
            403 => Ok(true),
            500.. => Ok(false),
            status => bail!(
                "the S3 store answers {status} to who asks for {bucket} without a key, and not 403"
            ),
        },
        Err(ureq::Error::Io(_)) => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("the S3 store does not answer at {bucket}"))
        }
    }
}
