//! `kafka_offsets`: where each partition stands, moved by compare-and-set.

use super::limits::Limits;
use super::statements;
use super::transaction::Outcome;
use crate::Shared;
use crate::batch::Ranges;
use crate::config::{Config, OnGap, Start};
use anyhow::anyhow;
use common::pg;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What Kafka has of a partition: the offsets [low, high).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub partition: i32,
    pub low: i64,
    pub high: i64,
    /// The stored offset that was beyond the end when the store was asked before; Kafka was asked again since.
    pub beyond: Option<i64>,
}

/// The store's answer.
#[derive(Debug)]
pub enum Located {
    At(Vec<Position>),
    /// These stored offsets are beyond the ends. As long as Kafka was not asked again, that may mean no more than that
    /// another instance has written on meanwhile, while PostgreSQL was away for this one.
    Outdated(Vec<Position>),
}

/// The next offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub next: i64,
}

/// Next offsets by partition.
pub type Stored = BTreeMap<i32, i64>;

/// Locks and reads the offsets of the ranges' partitions until the transaction ends.
pub async fn lock(connection: &mut PgConnection, config: &Config, ranges: &Ranges) -> sqlx::Result<Stored> {
    read_locked(connection, config, ranges.iter().map(|range| range.partition).collect()).await
}

async fn read_locked(connection: &mut PgConnection, config: &Config, partitions: Vec<i32>) -> sqlx::Result<Stored> {
    let rows: Vec<(i32, i64)> = pg::query_as(statements::LOCK_OFFSETS)
        .bind(&config.group_id)
        .bind(&config.topic)
        .bind(partitions)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().collect())
}

/// `None` where the batch continues exactly what is stored, so that it may be written.
pub fn compare(stored: &Stored, ranges: &Ranges, topic: &str) -> Option<Outcome> {
    let moved = ranges.iter().find(|range| stored.get(&range.partition) != Some(&range.start))?;
    if ranges.iter().all(|range| stored.get(&range.partition) == Some(&range.next)) {
        return Some(Outcome::WrittenBefore);
    }
    let partition = moved.partition;
    let found = stored.get(&partition).map_or("gone".to_owned(), i64::to_string);
    Some(Outcome::Fenced(format!(
        "another instance has moved {topic}/{partition}: the stored offset is {found}, expected {}",
        moved.start
    )))
}

/// Which stored offset lies before the position that was committed, if any does: the database is then an older state of
/// itself. One that lies after it is another instance's business, which has the partition by now.
pub async fn behind(
    connection: &mut PgConnection,
    config: &Config,
    positions: &[Position],
) -> sqlx::Result<Option<String>> {
    let rows: Vec<(i32, i64)> =
        pg::query_as(statements::READ_OFFSETS).bind(&config.group_id).bind(&config.topic).fetch_all(connection).await?;
    let stored: Stored = rows.into_iter().collect();
    let behind = positions.iter().find(|known| stored.get(&known.partition).is_none_or(|next| *next < known.next));
    Ok(behind.map(|Position { partition, next }| {
        let found = stored.get(partition).map_or("gone".to_owned(), i64::to_string);
        format!(
            "the database is an older state of itself: the stored offset of {}/{partition} is {found}, but {next} was \
             committed; what is missing is read again",
            config.topic
        )
    }))
}

/// Moves the offsets behind the ranges; the rows must be locked and compared.
pub async fn advance(connection: &mut PgConnection, config: &Config, ranges: &Ranges) -> sqlx::Result<()> {
    let positions: Vec<_> =
        ranges.iter().map(|range| Position { partition: range.partition, next: range.next }).collect();
    set(connection, config, &positions).await
}

async fn set(connection: &mut PgConnection, config: &Config, positions: &[Position]) -> sqlx::Result<()> {
    pg::query(statements::MOVE_OFFSETS)
        .bind(&config.group_id)
        .bind(&config.topic)
        .bind(positions.iter().map(|position| position.partition).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| position.next).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// The stored position of each partition; one that was never read gets its first. The inner error is a gap that
/// `--on-gap stop` does not allow.
pub async fn positions(
    connection: &mut PgConnection,
    shared: &Shared,
    limits: &Limits,
    known: &[Known],
) -> sqlx::Result<Result<Located, anyhow::Error>> {
    let config = &shared.config;
    let mut transaction = limits.begin(connection).await?;
    begin(&mut transaction, config, known).await?;
    let partitions = known.iter().map(|known| known.partition).collect();
    let stored = read_locked(&mut transaction, config, partitions).await?;
    let outdated: Vec<Position> = known.iter().filter_map(|kafka| kafka.outdated_by(&stored)).collect();
    if !outdated.is_empty() {
        transaction.rollback().await?;
        return Ok(Ok(Located::Outdated(outdated)));
    }
    let mut positions = Vec::with_capacity(known.len());
    for kafka in known {
        let Some(&next) = stored.get(&kafka.partition) else {
            return Err(sqlx::Error::RowNotFound);
        };
        let Some(gap) = Gap::between(next, kafka) else {
            positions.push(Position { partition: kafka.partition, next });
            continue;
        };
        if config.on_gap == OnGap::Stop {
            transaction.rollback().await?;
            return Ok(Err(gap.refused(config)));
        }
        gap.record(&mut transaction, config).await?;
        shared.metrics.gaps.inc();
        positions.push(Position { partition: kafka.partition, next: kafka.low });
    }
    set(&mut transaction, config, &positions).await?;
    transaction.commit().await?;
    Ok(Ok(Located::At(positions)))
}

impl Known {
    /// The stored offset, where Kafka must be asked again before it can be called a gap.
    fn outdated_by(&self, stored: &Stored) -> Option<Position> {
        let next = *stored.get(&self.partition)?;
        let asked_since = self.beyond.is_some_and(|beyond| beyond > self.high);
        (next > self.high && !asked_since).then_some(Position { partition: self.partition, next })
    }
}

async fn begin(connection: &mut PgConnection, config: &Config, known: &[Known]) -> sqlx::Result<()> {
    let first = |known: &Known| match config.start {
        Start::Earliest => known.low,
        Start::Latest => known.high,
    };
    pg::query(statements::BEGIN_OFFSETS)
        .bind(&config.group_id)
        .bind(&config.topic)
        .bind(known.iter().map(|known| known.partition).collect::<Vec<_>>())
        .bind(known.iter().map(first).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// The next offset to read is not in Kafka.
struct Gap<'a> {
    stored: i64,
    kafka: &'a Known,
    why: String,
}

impl<'a> Gap<'a> {
    fn between(stored: i64, kafka: &'a Known) -> Option<Self> {
        let why = if stored < kafka.low {
            format!("{} offsets are gone, retention was faster than this consumer", kafka.low - stored)
        } else if stored > kafka.high {
            "it was made anew or truncated".to_owned()
        } else {
            return None;
        };
        Some(Self { stored, kafka, why })
    }

    fn text(&self, config: &Config) -> String {
        let Known { partition, low, high, .. } = *self.kafka;
        let topic = &config.topic;
        format!("{topic}/{partition} has offsets {low}..{high}, but the next to read is {}: {}", self.stored, self.why)
    }

    fn refused(&self, config: &Config) -> anyhow::Error {
        anyhow!(
            "{}; --on-gap skip records the range in kafka_gaps and goes on at {}",
            self.text(config),
            self.kafka.low
        )
    }

    async fn record(&self, connection: &mut PgConnection, config: &Config) -> sqlx::Result<()> {
        let text = self.text(config);
        tracing::warn!("{text}; recorded in kafka_gaps, going on at {}", self.kafka.low);
        pg::query(statements::RECORD_GAP)
            .bind(&config.group_id)
            .bind(&config.topic)
            .bind(self.kafka.partition)
            .bind(self.stored)
            .bind(self.kafka.low)
            .bind(text)
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stored: &[(i32, i64)]) -> Option<Outcome> {
        let mut ranges = Ranges::default();
        ranges.extend(0, 10, 15);
        ranges.extend(1, 20, 21);
        compare(&stored.iter().copied().collect(), &ranges, "t")
    }

    #[test]
    fn a_batch_is_written_only_where_it_continues_what_is_stored() {
        assert!(outcome(&[(0, 10), (1, 20)]).is_none());
    }

    #[test]
    fn a_batch_that_is_in_already_is_not_written_again() {
        assert!(matches!(outcome(&[(0, 15), (1, 21)]), Some(Outcome::WrittenBefore)));
    }

    #[test]
    fn a_partition_that_another_instance_has_moved_fences_the_whole_batch() {
        for stored in [&[(0, 12), (1, 20)][..], &[(0, 15), (1, 20)], &[(0, 10)], &[(0, 9), (1, 20)]] {
            assert!(matches!(outcome(stored), Some(Outcome::Fenced(_))), "{stored:?}");
        }
    }

    #[test]
    fn a_gap_is_an_offset_that_kafka_does_not_have() {
        let kafka = Known { partition: 0, low: 5, high: 9, beyond: None };
        assert!(Gap::between(4, &kafka).is_some());
        assert!(Gap::between(5, &kafka).is_none());
        assert!(Gap::between(9, &kafka).is_none());
        assert!(Gap::between(10, &kafka).is_some());
    }

    #[test]
    fn an_offset_beyond_the_end_is_believed_only_once_kafka_was_asked_again() {
        let (known, stored) = (Known { partition: 0, low: 5, high: 9, beyond: None }, Stored::from([(0, 12)]));
        let outdated = Some(Position { partition: 0, next: 12 });
        assert_eq!(known.outdated_by(&stored), outdated);
        // Another instance had written up to 12, and Kafka has more by now.
        assert_eq!(Known { high: 14, beyond: Some(12), ..known }.outdated_by(&stored), None);
        // Kafka still has no more than 9: these offsets are gone.
        assert_eq!(Known { beyond: Some(12), ..known }.outdated_by(&stored), None);
        // Between asking Kafka and the store the other instance wrote on once more.
        assert_eq!(
            Known { high: 13, beyond: Some(12), ..known }.outdated_by(&Stored::from([(0, 20)])),
            Some(Position { partition: 0, next: 20 })
        );
    }
}
