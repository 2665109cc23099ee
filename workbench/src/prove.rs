//! The proof that topic, tables and archive hold the same records, and that both layers' numbers
//! agree.

mod anomalies;
mod archive;
mod args;
mod checks;
mod lag;
mod offsets;
mod plain;
mod staging;
mod tables;
mod topic;
mod verdict;

use anyhow::Context;
use archive::Archive;
pub use args::ProveArgs;
use sqlx::PgConnection;
use tables::Hours;
pub use tables::next_offsets;
use testing::s3::Bucket;
use topic::Topic;
pub use verdict::Verdict;

/// Compares everything, with the topic as it is at the start.
///
/// # Errors
/// Something that cannot be read. What does not agree is no error: it is in the verdict.
pub async fn run(args: &ProveArgs) -> anyhow::Result<Verdict> {
    let mut connection = args.database.parse("workbench")?.connect().await?;
    args.kafka.await_topic(args.timeout).await?;
    let topic = topic::bounds(args.kafka.clone()).await?;
    let lags = lag::await_none(args, &topic, &mut connection).await?;
    let name = &args.kafka.topic;
    staging::create(&mut connection).await.context("make temporary tables")?;
    let topic = read_topic(args, topic, &mut connection).await?;
    let archive = read_archive(args, &mut connection).await?;
    staging::finish(&mut connection).await.context("prepare the comparison")?;
    let rows = tables::read(&mut connection, name)
        .await
        .context("read realtime_stock and rejected_ticks")?;
    let checks =
        checks::run(&mut connection, name, args.at_rest).await.context("compare values")?;
    let anomalies =
        anomalies::compare(&mut connection, &args.anomalies).await.context("compare anomalies")?;
    let [hours, archived_hours] =
        hours(args, &mut connection).await.context("compare hourly_stock_summary")?;
    let mut verdict = Verdict::new(&topic, &rows, &archive, lags);
    verdict.judge_hours("the ticks in realtime_stock", hours);
    verdict.judge_hours("the ticks in the archive", archived_hours);
    verdict.judge_checks(checks);
    verdict.judge_checks(anomalies.into_iter().collect());
    if args.at_rest {
        let next = tables::next_offsets(&mut connection, &args.group_id, name)
            .await
            .context("read kafka_offsets")?;
        verdict.judge_ends(&topic, &next);
    }
    Ok(verdict)
}

/// Waits until the speed layer has come to the topic's end, at most for `--timeout`; the proof says
/// what was left.
///
/// # Errors
/// Services that do not answer.
pub async fn await_caught_up(args: &ProveArgs) -> anyhow::Result<()> {
    let mut connection = args.database.parse("workbench")?.connect().await?;
    let topic = topic::bounds(args.kafka.clone()).await?;
    lag::await_none(args, &topic, &mut connection).await.map(drop)
}

async fn read_topic(
    args: &ProveArgs,
    mut topic: Topic,
    connection: &mut PgConnection,
) -> anyhow::Result<Topic> {
    let (mut rows, portions) = staging::rows(args.shape.names());
    let kafka = args.kafka.clone();
    let reading = tokio::task::spawn_blocking(move || {
        topic::read(&kafka, &mut topic, &mut rows).map(|()| topic)
    });
    let (loaded, read) = tokio::join!(staging::load(connection, "sent", portions), reading);
    loaded.context("copy the topic into a temporary table")?;
    read.context("a reading thread")?
}

async fn read_archive(args: &ProveArgs, connection: &mut PgConnection) -> anyhow::Result<Archive> {
    let (rows, portions) = staging::rows(args.shape.names());
    let (bucket, prefix) = (Bucket::new(&args.store), format!("raw/{}/", args.kafka.topic));
    let (loaded, read) = tokio::join!(
        staging::load(connection, "archived", portions),
        archive::read(&bucket, &prefix, rows)
    );
    loaded.context("copy the archive into a temporary table")?;
    read
}

/// Against what the speed layer wrote, and against what the archive holds.
async fn hours(args: &ProveArgs, connection: &mut PgConnection) -> sqlx::Result<[Hours; 2]> {
    let written = tables::compare_hours(connection, "realtime_stock", args.grace).await?;
    Ok([written, tables::compare_hours(connection, "archived_ticks", args.grace).await?])
}
