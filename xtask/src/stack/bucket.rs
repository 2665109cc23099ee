//! The bucket of the archive: in which kind of store it is, and by which key it is reached.

use crate::files;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    S3proxy,
    Minio,
}

pub const BUCKET: &str = "stock-data";
/// Demo credentials; the store listens on loopback only.
pub const ACCESS_KEY: &str = "minioadmin";
pub const SECRET_KEY: &str = "minioadmin";
pub const REGION: &str = "us-east-1";

/// The store asked for; otherwise MinIO where it is installed.
pub fn store_or_default(asked: Option<StoreKind>) -> StoreKind {
    asked.unwrap_or_else(|| match files::on_path("minio") {
        Some(_) => StoreKind::Minio,
        None => StoreKind::S3proxy,
    })
}
