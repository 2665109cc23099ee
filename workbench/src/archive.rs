//! A stand-in for the Kafka Connect S3 sink: the same keys and, byte for byte, the same lines.
//! Equipment for developers' machines, where that connector is not to be had.

pub mod convert;
pub mod java;
pub mod json;
pub mod objects;
mod sink;
mod subscription;
mod upload;

pub use sink::run;

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use service::cli::duration;

use testing::kafka::KafkaArgs;
use testing::s3::StoreArgs;

#[derive(Args, Clone)]
pub struct ArchiveArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    /// Consumer group; its committed offsets say where to go on.
    #[arg(long, default_value = "connect-minio-sink-connector")]
    pub group_id: String,
    /// First folder of every key.
    #[arg(long, default_value = "raw")]
    pub folder: String,
    /// Topic for values that are no JSON object. Without it they are only counted.
    #[arg(long, value_name = "TOPIC")]
    pub dead_letter_topic: Option<String>,
    /// Ends every open object at each multiple of this on the wall clock.
    #[arg(long, value_parser = duration, default_value = "6s")]
    pub rotate: Duration,
    /// Ends a partition's open objects once they hold this many lines together.
    #[arg(long, default_value_t = 100_000, value_name = "LINES")]
    pub flush_size: usize,
    /// Writes .json.gz.
    #[arg(long)]
    pub gzip: bool,
    /// Ends once everything that the topic holds is archived, instead of waiting for more.
    #[arg(long)]
    pub until_caught_up: bool,
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Archived {
    pub lines: u64,
    pub dead_letters: u64,
    pub ignored: u64,
    pub objects: u64,
}
