//! The flags of `workbench archive`.

use clap::Args;
use service::cli::duration;
use service::registry::RegistryArgs;
use std::time::Duration;
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
    /// Folder of the bucket that the topics' folders stand in, as the sink's `topics.dir`. A topic
    /// that was made anew needs another one, and another --group-id.
    #[arg(long, value_name = "FOLDER", default_value = "raw")]
    pub topics_dir: String,
    /// Writes a line as Aiven's sink does, with the record's key, value, offset and time beside
    /// one another: for --symbol-from key, for --timestamp-from record, and for messages that are
    /// arrays.
    #[arg(long, conflicts_with_all = ["record_time", "wrap"])]
    pub keys: bool,
    /// Puts the record's time into the line as `kafka_timestamp`, for --timestamp-from record.
    #[arg(long)]
    pub record_time: bool,
    /// Wraps values into an object with the member `data`, as HoistField does, for messages that
    /// are arrays: give the programs `--each data`.
    #[arg(long)]
    pub wrap: bool,
    /// Topic for values that the archive cannot hold, such as what is no JSON object. Without it
    /// they are only counted, by their reasons, and the first of each is named.
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
    /// Ends once everything that the topic holds is archived, instead of waiting for more. What
    /// other members of the group read counts by their commits.
    #[arg(long)]
    pub until_caught_up: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}
