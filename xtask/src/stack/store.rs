//! The S3-compatible store: S3Proxy, which installs in seconds, or MinIO.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Stack, minio, s3, s3proxy};
use crate::files;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    S3proxy,
    Minio,
}

pub const BUCKET: &str = "stock-data";

/// The store asked for; otherwise MinIO where it is installed.
pub fn store_or_default(asked: Option<StoreKind>) -> StoreKind {
    asked.unwrap_or_else(|| match files::on_path("minio") {
        Some(_) => StoreKind::Minio,
        None => StoreKind::S3proxy,
    })
}

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
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    match stack.store {
        StoreKind::S3proxy => s3proxy::command(stack.ports.store, &home, &data),
        StoreKind::Minio => minio::command(stack.ports.store, &data),
    }
}

/// True once the bucket exists. MinIO answers 503 for a moment after it says that it is ready, so the bucket is the better sign.
pub fn is_ready(stack: &Stack) -> Result<bool> {
    s3::create_bucket(stack.ports.store, BUCKET)
}
