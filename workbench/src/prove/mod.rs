//! The proof that topic, tables and archive hold the same records, and that both layers' numbers agree.

mod archive;
mod lag;
mod offsets;
mod tables;
mod topic;
mod verdict;

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use common::cli::{DatabaseArgs, duration};

use crate::kafka::KafkaArgs;
use crate::s3::{Bucket, StoreArgs};
pub use verdict::Verdict;

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
    /// First folder of the archive's keys.
    #[arg(long, default_value = "raw")]
    pub folder: String,
    /// How long the speed layer and the archiver may take to catch up with the topic before the comparison.
    #[arg(long, value_parser = duration, default_value = "60s")]
    pub timeout: Duration,
    /// An hour that the batch layer has not computed is none of the proof until this long after its end.
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub grace: Duration,
}

/// Compares everything, with the topic as it is at the start.
///
/// # Errors
/// Something that cannot be read. What does not agree is no error: it is in the verdict.
pub async fn run(args: &ProveArgs) -> anyhow::Result<Verdict> {
    let mut connection = args.database.parse("workbench")?.connect().await?;
    args.kafka.await_topic(args.timeout).await?;
    let kafka = args.kafka.clone();
    let mut topic = tokio::task::spawn_blocking(move || topic::bounds(&kafka)).await.context("a reading thread")??;
    let lags = lag::await_none(args, &topic, &mut connection).await?;
    let kafka = args.kafka.clone();
    let reading = tokio::task::spawn_blocking(move || topic::read(&kafka, &mut topic).map(|()| topic));
    let topic = reading.await.context("a reading thread")??;
    let name = &args.kafka.topic;
    let rows = tables::read(&mut connection, name).await.context("read realtime_stock and rejected_ticks")?;
    let prefix = format!("{}/{name}/", args.folder);
    let archive = archive::read(&Bucket::new(&args.store), &prefix).await?;
    let hours = tables::compare_hours(&mut connection, args.grace).await.context("compare hourly_stock_summary")?;
    Ok(Verdict::new(&topic, &rows, &archive, hours, lags))
}
