//! [`KnownOffsets`]: which offsets of a partition the archive shows, and in which hours.

use super::holes::Reach;
use crate::archive::FileNameTemplate;
use crate::hour::Hour;
use crate::scan::{Offsets, places};
use crate::state;
use common::Timestamp;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use service::pg;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::ops::Range;

/// The offsets of messages that are in the sums of hours, or were.
#[derive(Debug, Default)]
pub struct KnownOffsets {
    hours: Vec<(Hour, RoaringTreemap)>,
    pub all: RoaringTreemap,
}

impl KnownOffsets {
    pub fn of(hours: Vec<(Hour, RoaringTreemap)>) -> Self {
        let all = hours.iter().fold(RoaringTreemap::new(), |all, (_, offsets)| all | offsets);
        Self { hours, all }
    }

    /// The last one before an offset, with the hour of its tick.
    pub fn before(&self, offset: u64) -> Option<(u64, Hour)> {
        let below = self.all.rank(offset.checked_sub(1)?);
        self.with_hour(self.all.select(below.checked_sub(1)?)?)
    }

    /// The first one behind an offset.
    pub fn after(&self, offset: u64) -> Option<(u64, Hour)> {
        self.with_hour(self.all.select(self.all.rank(offset))?)
    }

    fn with_hour(&self, offset: u64) -> Option<(u64, Hour)> {
        let (hour, _) = self.hours.iter().find(|(_, offsets)| offsets.contains(offset))?;
        Some((offset, *hour))
    }
}

/// The end of the run of neighbours that `first` begins.
pub fn end_of_run(set: &RoaringTreemap, first: u64) -> u64 {
    let rank = set.rank(first);
    // As long as they are neighbours, each further one is as much larger as it comes later.
    let (mut low, mut high) = (0, set.len() - rank);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match set.select(rank - 1 + middle) == Some(first + middle) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    first + low + 1
}

/// Reads what is known in a reach and right beside it. What is known to be missing around it
/// belongs to it, too. Gives also from the last offset before the reach, if any, to the first one
/// behind it.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn read(
    connection: &mut PgConnection,
    reach: &mut Reach,
) -> Result<(KnownOffsets, Range<u64>), sqlx::Error> {
    loop {
        let known = read_once(connection, reach).await?;
        let start = known.before(reach.first).map_or(reach.first, |(offset, _)| offset);
        let range = start..known.after(reach.last).map_or(reach.last, |(offset, _)| offset);
        if !widen(connection, reach, &range).await? {
            return Ok((known, range));
        }
    }
}

async fn read_once(
    connection: &mut PgConnection,
    reach: &Reach,
) -> Result<KnownOffsets, sqlx::Error> {
    let mut hours = Vec::new();
    let mut rows = pg::query(include_str!("../../sql/completeness/known_offsets.sql"))
        .bind(&reach.topic)
        .bind(reach.partition)
        .bind(reach.first.cast_signed())
        .bind(reach.last.cast_signed())
        .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        hours.push(of_hour(&row, reach)?);
    }
    drop(rows);
    let beside = include_str!("../../sql/completeness/known_beside.sql");
    let beside: Vec<(Timestamp, i64)> = pg::query_as(beside)
        .bind(&reach.topic)
        .bind(reach.partition)
        .bind(reach.first.cast_signed())
        .bind(reach.last.cast_signed())
        .fetch_all(connection)
        .await?;
    let one = |offset: i64| RoaringTreemap::from_iter([offset.cast_unsigned()]);
    hours.extend(beside.into_iter().map(|(hour, offset)| (Hour::of(hour), one(offset))));
    Ok(KnownOffsets::of(hours))
}

/// Lets a reach go as far as what is known to be missing in a range; whether it did not before.
async fn widen(
    connection: &mut PgConnection,
    reach: &mut Reach,
    range: &Range<u64>,
) -> Result<bool, sqlx::Error> {
    let (first, last): (Option<i64>, Option<i64>) =
        pg::query_as(include_str!("../../sql/completeness/reach_of_missing.sql"))
            .bind(&reach.topic)
            .bind(reach.partition)
            .bind(range.start.cast_signed())
            .bind(range.end.cast_signed())
            .fetch_one(connection)
            .await?;
    let first = first.map_or(reach.first, |first| reach.first.min(first.cast_unsigned()));
    let last = last.map_or(reach.last, |last| reach.last.max(last.cast_unsigned()));
    let is_wider = (first, last) != (reach.first, reach.last);
    (reach.first, reach.last) = (first, last);
    Ok(is_wider)
}

/// What an hour has of a partition. Of one whose sums another version has kept, nothing tells what
/// is missing among them.
fn of_hour(row: &PgRow, reach: &Reach) -> Result<(Hour, RoaringTreemap), sqlx::Error> {
    let hour = Hour::of(row.try_get::<Timestamp, _>("hour")?);
    let kept = |name: &str| Ok::<_, sqlx::Error>(state::decode_offsets(row.try_get(name)?).ok());
    let mut known = RoaringTreemap::new();
    match (kept("offsets")?, kept("withdrawn")?) {
        (Some(offsets), Some(withdrawn)) => {
            known |= of_partition(&offsets, reach);
            known |= of_partition(&withdrawn, reach);
        }
        _ => {
            let offset =
                |name: &str| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(name)?.cast_unsigned());
            known.insert_range(offset("first_offset")?..=offset("last_offset")?);
        }
    }
    Ok((hour, known))
}

fn of_partition(offsets: &Offsets, reach: &Reach) -> RoaringTreemap {
    let own = offsets
        .iter()
        .filter(|(topic, partition, _)| *topic == reach.topic && *partition == reach.partition);
    own.fold(RoaringTreemap::new(), |all, (.., places)| all | places::messages(places))
}

/// Offsets in a range that were no ticks, or that Kafka had lost: rejected lines and messages, and
/// gaps.
pub async fn explained(
    connection: &mut PgConnection,
    names: &FileNameTemplate,
    (reach, range): (&Reach, &Range<u64>),
) -> Result<RoaringTreemap, sqlx::Error> {
    let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
    let lines: Vec<(String, i64)> =
        pg::query_as(include_str!("../../sql/completeness/rejected_lines.sql"))
            .bind(reach.partition)
            .bind(start)
            .bind(end)
            .fetch_all(&mut *connection)
            .await?;
    let own = lines.into_iter().filter(|(key, _)| names.topic(key) == reach.topic);
    let mut explained: RoaringTreemap = own.map(|(_, offset)| offset.cast_unsigned()).collect();
    let ranges: Vec<(i64, i64)> =
        pg::query_as(include_str!("../../sql/completeness/rejected_or_lost.sql"))
            .bind(&reach.topic)
            .bind(reach.partition)
            .bind(start)
            .bind(end)
            .fetch_all(connection)
            .await?;
    for (from, to) in ranges {
        explained.insert_range(from.cast_unsigned()..to.cast_unsigned());
    }
    Ok(explained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_run_ends_where_the_next_one_is_no_neighbour(offsets in proptest::collection::btree_set(0_u64..60, 1..50)) {
            let set: RoaringTreemap = offsets.iter().collect();
            for first in &offsets {
                let end = (*first..).find(|offset| !offsets.contains(offset)).unwrap();
                prop_assert_eq!(end_of_run(&set, *first), end);
            }
        }

        #[test]
        fn neighbours_are_found_with_their_hours(one in proptest::collection::btree_set(0_u64..40, 0..20),
                                                 other in proptest::collection::btree_set(0_u64..40, 0..20)) {
            let hours = [Hour::of(Timestamp::from_micros(0)), Hour::of(Timestamp::from_micros(Timestamp::HOUR))];
            let known = KnownOffsets::of(vec![(hours[0], one.iter().collect()), (hours[1], other.iter().collect())]);
            let all: BTreeSet<u64> = one.union(&other).copied().collect();
            let hour_of = |offset: &u64| (*offset, if one.contains(offset) { hours[0] } else { hours[1] });
            for offset in 0..41 {
                prop_assert_eq!(known.before(offset), all.range(..offset).next_back().map(hour_of));
                prop_assert_eq!(known.after(offset), all.range(offset + 1..).next().map(hour_of));
            }
        }
    }
}
