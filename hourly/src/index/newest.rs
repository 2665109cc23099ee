//! How far the archive goes, by topic and partition: `archive_high_offsets`.

use crate::scan::HourBars;
use common::Timestamp;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Acquire;
use sqlx::postgres::PgTransaction;
use std::collections::BTreeMap;

/// How far an object goes in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Behind the newest offset; `None` where lines tell none.
    pub next_offset: Option<i64>,
    /// The newest tick that was not ahead of its time when the object was stored.
    pub tick: Timestamp,
    pub stored_at: Timestamp,
}

/// The time of no tick.
const LONG_AGO: Timestamp = Timestamp::from_micros(0);

/// By topic and partition.
pub type NewestPlaces = BTreeMap<(String, i32), Newest>;

impl Newest {
    /// The farther of the two.
    fn and(self, other: Self) -> Self {
        let later = if other.next_offset >= self.next_offset { other } else { self };
        Self { tick: self.tick.max(other.tick), ..later }
    }
}

/// How far an object goes that was stored then. `partition`: that of lines that tell none.
#[must_use]
pub fn newest_of<'h>(
    hours: impl Iterator<Item = &'h HourBars>,
    (topic, partition): (&str, i32),
    stored_at: Timestamp,
) -> NewestPlaces {
    let mut newest = NewestPlaces::new();
    for held in hours {
        let ticks = held.bars.iter().map(|(_, bar)| bar.last.timestamp);
        // What is ahead of its time says nothing of how far the archive goes.
        let tick = ticks.filter(|at| *at <= stored_at).max().unwrap_or(LONG_AGO);
        let told = held.offsets.newest_places();
        let told = told
            .map(|(topic, partition, offset)| (topic, partition, Some(offset.cast_signed() + 1)));
        let silent = (held.ticks > held.offsets.len()).then_some((topic, partition, None));
        for (topic, partition, next_offset) in told.chain(silent) {
            let found = Newest { next_offset, tick, stored_at };
            let known = newest.entry((topic.to_owned(), partition)).or_insert(found);
            *known = known.and(found);
        }
    }
    newest
}

/// Notes how far some objects go. Of a topic that was created again since, offsets begin again.
///
/// # Errors
/// Where the database fails.
pub async fn note<'e>(
    transaction: &mut PgTransaction<'_>,
    objects: impl Iterator<Item = &'e NewestPlaces>,
) -> Result<(), sqlx::Error> {
    let mut newest = NewestPlaces::new();
    for (place, found) in objects.flatten() {
        newest
            .entry(place.clone())
            .and_modify(|known| *known = known.and(*found))
            .or_insert(*found);
    }
    pg::query(include_str!("../../sql/index/note_newest.sql"))
        .bind(newest.keys().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>())
        .bind(newest.keys().map(|(_, partition)| *partition).collect::<Vec<_>>())
        .bind(newest.values().map(|newest| newest.next_offset).collect::<Vec<_>>())
        .bind(newest.values().map(|newest| Timestamptz(newest.tick)).collect::<Vec<_>>())
        .bind(newest.values().map(|newest| Timestamptz(newest.stored_at)).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}
