//! How far the archive is behind the speed layer, by topic and partition: the view `archive_lag`.

use crate::index::BatchDb;
use service::Failure;
use service::pg;
use service::words::counted;
use std::time::Duration;

/// A partition of which the speed layer has had newer ticks than the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLag {
    topic: String,
    partition: i32,
    waiting: Duration,
}

impl ArchiveLag {
    /// Logs the lag.
    pub fn log(&self) {
        let Self { topic, partition, waiting } = self;
        let seconds = waiting.as_secs();
        let text = counted(seconds / 60, "minute");
        tracing::warn!(
            topic,
            partition,
            seconds,
            "the archive lags: the speed layer has had newer ticks of partition {partition} of \
             {topic} for {text} (is the sink alive?)"
        );
    }
}

/// Notes where the archive has all that the speed layer has. Gives the partition that has waited
/// longest; `None` if none has waited for longer than is allowed.
///
/// # Errors
/// Where the database fails.
pub async fn archive_lag(
    db: &mut BatchDb,
    allowed: Duration,
) -> Result<Option<ArchiveLag>, Failure> {
    let allow = pg::query(include_str!("../../sql/completeness/note_check.sql"))
        .bind(allowed.as_secs_f64());
    db.write("archive_lag_check", allow).await?;
    let caught_up = pg::query(include_str!("../../sql/completeness/note_caught_up.sql"));
    db.write("archive_high_offsets", caught_up).await?;
    let statement = pg::query_as(include_str!("../../sql/completeness/waiting.sql"));
    let waiting: Option<(String, i32, f64)> =
        db.fetch_optional("reading archive_lag in", statement).await?;
    let lag = |(topic, partition, seconds)| ArchiveLag {
        topic,
        partition,
        waiting: Duration::from_secs_f64(seconds),
    };
    Ok(waiting.map(lag))
}
