//! The flags of `workbench prove`, which tell where everything is.

use crate::simulate::Shape;
use clap::Args;
use service::cli::{AnomalyArgs, DatabaseArgs, duration};
use std::time::Duration;
use testing::kafka::KafkaArgs;
use testing::s3::StoreArgs;

#[derive(Args, Clone)]
pub struct ProveArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    /// The speed layer's consumer group.
    #[arg(long, env = "KAFKA_GROUP_ID", default_value = "speed-layer")]
    pub group_id: String,
    /// The archiver's consumer group.
    #[arg(long, default_value = "connect-minio-sink-connector", value_name = "GROUP_ID")]
    pub archive_group_id: String,
    /// How long the speed layer and the archiver may take to catch up with the topic before the
    /// comparison.
    #[arg(long, value_parser = duration, default_value = "60s")]
    pub timeout: Duration,
    /// An hour that the batch layer has not computed is none of the proof until this long after its
    /// end.
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub grace: Duration,
    /// What the topic's values look like.
    #[arg(long, value_enum, default_value_t = Shape::Bare)]
    pub shape: Shape,
    /// As the speed layer has them.
    #[command(flatten)]
    pub anomalies: AnomalyArgs,
    /// Nothing writes any more: the stored offsets must be the topic's ends, and nothing may be
    /// left behind.
    #[arg(long)]
    pub at_rest: bool,
}
