//! Whether the archive stands, by topic and partition: the view `archive_standing`.

use crate::index::Index;
use service::Failure;
use service::pg;
use service::pg::in_time;
use service::words::counted;
use std::time::Duration;

/// A partition of which the speed layer has had newer ticks than the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    topic: String,
    partition: i32,
    waiting: Duration,
}

impl Standing {
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { topic, partition, waiting } = self;
        let minutes = counted(waiting.as_secs() / 60, "minute");
        format!(
            "the archive stands: the speed layer has had newer ticks of partition {partition} of {topic} than it for \
             {minutes} (is the sink alive?)"
        )
    }
}

/// Notes where the archive has all that the speed layer has. Gives the partition that has waited
/// longest, if one has for longer than is allowed.
///
/// # Errors
/// Where the database fails.
pub async fn standing(index: &mut Index, allowed: Duration) -> Result<Option<Standing>, Failure> {
    let allow = pg::query(
        "insert into archive_checks (allowed_seconds) values ($1)
         on conflict (is_the_only_row) do update
             set (allowed_seconds, checked_at) = (excluded.allowed_seconds, now())",
    )
    .bind(allowed.as_secs_f64());
    index.write("archive_checks", allow).await?;
    let caught_up = pg::query(
        "update archive_newest n set caught_up_at = now()
         from kafka_offsets o join kafka_sources s using (source)
         where n.topic in (s.topic, '') and n.partition = o.partition and n.next_offset >= o.next_offset
           and not exists (select from kafka_sources later
                           where later.topic = s.topic and later.first_seen_at > s.first_seen_at)",
    );
    index.write("archive_newest", caught_up).await?;
    let waiting = pg::query_as(
        "select topic, partition, waiting_seconds::float8 from archive_standing
         where waiting_seconds > allowed_seconds
         order by waiting_seconds desc, topic, partition
         limit 1",
    )
    .fetch_optional(&mut index.connection);
    let waiting: Result<Option<(String, i32, f64)>, _> = in_time(index.patience, waiting).await;
    let waiting = waiting.map_err(|error| index.failed("reading archive_standing in", error))?;
    let standing = |(topic, partition, seconds)| Standing {
        topic,
        partition,
        waiting: Duration::from_secs_f64(seconds),
    };
    Ok(waiting.map(standing))
}
