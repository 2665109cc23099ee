//! [`KnownOffsets`]: which offsets of a partition the archive shows, and in which hours.

use super::hole::{Folders, Hole, Reach, Recorded};
use crate::archive::FileNameTemplate;
use crate::hour::Hour;
use crate::scan::{places, runs};
use crate::state;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::iter::Peekable;
use std::ops::Range;

/// The offsets of messages that are in the sums of hours, or were.
#[derive(Debug, Default)]
pub struct KnownOffsets {
    hours: Vec<(Hour, RoaringTreemap)>,
    pub all: RoaringTreemap,
    /// Where nobody knows what is missing.
    unclear: Vec<Range<u64>>,
}

impl KnownOffsets {
    pub fn of(hours: Vec<(Hour, RoaringTreemap)>) -> Self {
        let all = hours.iter().fold(RoaringTreemap::new(), |all, (_, offsets)| all | offsets);
        Self { hours, all, unclear: Vec::new() }
    }

    /// The offsets from the first to the last one that are of hours from `start` on, hour by hour.
    pub fn later(&self, (first, last): (u64, u64), start: Hour) -> Vec<(Hour, RoaringTreemap)> {
        let below = |of: &RoaringTreemap| first.checked_sub(1).map_or(0, |end| of.rank(end));
        let within = |(hour, of): &(Hour, RoaringTreemap)| {
            let mut within = of.clone();
            within.remove_range(..first);
            within.remove_range(last + 1..);
            (*hour, within)
        };
        let later =
            self.hours.iter().filter(|(hour, of)| *hour >= start && of.rank(last) > below(of));
        later.map(within).collect()
    }

    /// Leaves some out, each of an hour.
    pub fn leave_out(&mut self, of_new_topic: &[(Hour, RoaringTreemap)]) {
        for (of, out) in of_new_topic {
            let of_hour = self.hours.iter_mut().filter(|(hour, _)| hour == of);
            of_hour.for_each(|(_, offsets)| *offsets -= out);
        }
        self.all = self.hours.iter().fold(RoaringTreemap::new(), |all, (_, of)| all | of);
    }

    /// Offsets that need no search.
    pub fn present(&self) -> Present {
        Present { apart: self.all.clone(), ranges: self.unclear.clone() }
    }

    /// The last one before an offset, with the hour of its tick.
    pub fn before(&self, offset: u64) -> Option<(u64, Hour)> {
        let below = self.all.rank(offset.checked_sub(1)?);
        self.with_hour(self.all.select(below.checked_sub(1)?)?)
    }

    /// The first one after an offset.
    pub fn after(&self, offset: u64) -> Option<(u64, Hour)> {
        self.with_hour(self.all.select(self.all.rank(offset))?)
    }

    fn with_hour(&self, offset: u64) -> Option<(u64, Hour)> {
        let (hour, _) = self.hours.iter().find(|(_, offsets)| offsets.contains(offset))?;
        Some((offset, *hour))
    }
}

/// Finds the known offsets on either side of others that come in their order.
pub struct Neighbours<'a, Runs: Iterator> {
    known: &'a KnownOffsets,
    runs: Peekable<Runs>,
    /// The last run that begins before what was asked for last.
    last: Option<Range<u64>>,
}

impl KnownOffsets {
    pub fn neighbours(&self) -> Neighbours<'_, impl Iterator<Item = Range<u64>>> {
        Neighbours { known: self, runs: places::runs(&self.all).peekable(), last: None }
    }
}

impl<Runs: Iterator<Item = Range<u64>>> Neighbours<'_, Runs> {
    /// The neighbours of a gap, each with the hour of its tick.
    pub fn of(&mut self, gap: &Range<u64>) -> Option<[(u64, Hour); 2]> {
        let before = self.before(gap.start);
        let after = self.runs.peek()?.start;
        Some([before?, self.known.with_hour(after)?])
    }

    /// The last one before an offset.
    pub fn before(&mut self, offset: u64) -> Option<(u64, Hour)> {
        while let Some(run) = self.runs.next_if(|run| run.start < offset) {
            self.last = Some(run);
        }
        self.known.with_hour(self.last.as_ref()?.end.min(offset) - 1)
    }
}

/// So many neighbours are kept one by one.
const SINGLE_RANGE_MAX: u64 = 65_536;

/// A set of offsets. One that lies far from all others, as a damaged line tells it, makes it no
/// larger.
#[derive(Debug, Default)]
pub struct Present {
    apart: RoaringTreemap,
    ranges: Vec<Range<u64>>,
}

impl Present {
    pub fn insert(&mut self, range: Range<u64>) {
        if range.end.saturating_sub(range.start) <= SINGLE_RANGE_MAX {
            self.apart.insert_range(range);
        } else {
            self.ranges.push(range);
        }
    }

    /// The missing parts of a range, from neighbour to neighbour, in order.
    pub fn gaps(&mut self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        self.ranges = runs::sorted(std::mem::take(&mut self.ranges));
        let there = runs::in_order(places::runs(&self.apart), self.ranges.iter().cloned());
        runs::missing(std::iter::once(within), there)
    }
}

/// Known offsets in a reach and right next to it.
#[derive(Debug)]
pub struct KnownReach {
    pub offsets: KnownOffsets,
    /// From the last offset before the reach, if any, to the first one after it.
    pub range: Range<u64>,
    /// The part that is recorded as missing, in order.
    pub recorded: Vec<Recorded>,
}

/// Reads what is known in a reach and right next to it. What is known to be missing around it
/// belongs to it, too.
///
/// # Errors
/// Where the database fails.
pub async fn read(
    connection: &mut PgConnection,
    reach: &mut Reach,
) -> Result<KnownReach, sqlx::Error> {
    loop {
        let offsets = read_once(connection, reach).await?;
        let start = offsets.before(reach.first).map_or(reach.first, |(offset, _)| offset);
        let range = start..offsets.after(reach.last).map_or(reach.last, |(offset, _)| offset);
        let recorded = read_recorded(connection, reach, &range).await?;
        let wider = recorded.iter().fold((reach.first, reach.last), |(first, last), (hole, _)| {
            (first.min(hole.first), last.max(hole.last))
        });
        if wider == (reach.first, reach.last) {
            return Ok(KnownReach { offsets, range, recorded });
        }
        (reach.first, reach.last) = wider;
    }
}

async fn read_once(
    connection: &mut PgConnection,
    reach: &Reach,
) -> Result<KnownOffsets, sqlx::Error> {
    let (mut hours, mut unclear) = (Vec::new(), Vec::new());
    let mut rows = pg::query(include_str!("../../sql/completeness/known_offsets.sql"))
        .bind(&reach.topic)
        .bind(reach.partition)
        .bind(reach.first.cast_signed())
        .bind(reach.last.cast_signed())
        .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        hours.push(of_hour(&row, &mut unclear)?);
    }
    drop(rows);
    let beside = include_str!("../../sql/completeness/known_beside.sql");
    let beside: Vec<(Timestamptz, i64)> = pg::query_as(beside)
        .bind(&reach.topic)
        .bind(reach.partition)
        .bind(reach.first.cast_signed())
        .bind(reach.last.cast_signed())
        .fetch_all(connection)
        .await?;
    let one = |offset: i64| RoaringTreemap::from_iter([offset.cast_unsigned()]);
    hours.extend(beside.into_iter().map(|(hour, offset)| (Hour::from(hour), one(offset))));
    Ok(KnownOffsets { unclear, ..KnownOffsets::of(hours) })
}

/// First and last offset, how many are missing, those before and after with their hours, first and
/// last folder.
type RecordedRow = (i64, i64, i64, i64, Timestamptz, i64, Timestamptz, Timestamptz, Timestamptz);

/// Reads the offsets that are recorded as missing in a range and around it.
async fn read_recorded(
    connection: &mut PgConnection,
    reach: &Reach,
    range: &Range<u64>,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let rows: Vec<RecordedRow> =
        pg::query_as(include_str!("../../sql/completeness/recorded_missing.sql"))
            .bind(&reach.topic)
            .bind(reach.partition)
            .bind(range.start.cast_signed())
            .bind(range.end.cast_signed())
            .fetch_all(connection)
            .await?;
    let beside = |offset: i64, hour| (offset.cast_unsigned(), Hour::from(hour));
    let recorded = |row: RecordedRow| {
        let (first, last, offsets, before, before_hour, after, after_hour, from, to) = row;
        let hole = Hole {
            first: first.cast_unsigned(),
            last: last.cast_unsigned(),
            offsets: offsets.cast_unsigned(),
            before: beside(before, before_hour),
            after: beside(after, after_hour),
        };
        (hole, Folders { first: Hour::from(from), last: Hour::from(to) })
    };
    Ok(rows.into_iter().map(recorded).collect())
}

/// The offsets that an hour has of a partition. If another version of the program stored them, we
/// cannot decode them, so the whole range is `unclear`.
fn of_hour(
    row: &PgRow,
    unclear: &mut Vec<Range<u64>>,
) -> Result<(Hour, RoaringTreemap), sqlx::Error> {
    let hour = Hour::from(row.try_get::<Timestamptz, _>("hour")?);
    let known = state::decode_messages(row.try_get("offsets")?);
    if let Ok(known) = known {
        return Ok((hour, known));
    }
    let offset = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(name)?.cast_unsigned());
    let (first, last) = (offset("first_offset")?, offset("last_offset")?);
    unclear.push(first..last + 1);
    Ok((hour, [first, last].into_iter().collect()))
}

/// Adds offsets in a range that need no looking for. Those of objects whose hours are not written
/// yet are there. Rejected lines and messages were no ticks, and gaps Kafka had lost.
///
/// # Errors
/// Where the database fails.
pub async fn add_explained(
    connection: &mut PgConnection,
    names: &FileNameTemplate,
    (reach, range): (&Reach, &Range<u64>),
    present: &mut Present,
) -> Result<(), sqlx::Error> {
    let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
    let lines: Vec<(String, i64)> =
        pg::query_as(include_str!("../../sql/completeness/rejected_lines.sql"))
            .bind(reach.partition)
            .bind(start)
            .bind(end)
            .fetch_all(&mut *connection)
            .await?;
    let own = lines.into_iter().filter(|(key, _)| names.topic(key) == reach.topic);
    present.apart.extend(own.map(|(_, offset)| offset.cast_unsigned()));
    let ranges: Vec<(i64, i64)> =
        pg::query_as(include_str!("../../sql/completeness/rejected_or_lost.sql"))
            .bind(&reach.topic)
            .bind(reach.partition)
            .bind(start)
            .bind(end)
            .fetch_all(&mut *connection)
            .await?;
    for (from, to) in ranges {
        present.insert(from.cast_unsigned()..to.cast_unsigned());
    }
    let mut rows =
        pg::query(include_str!("../../sql/completeness/unsummed_offsets.sql")).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let Ok(offsets) = state::decode_offsets(row.try_get("offsets")?) else { continue };
        let own = offsets.iter().filter(|(topic, partition, _)| {
            (*topic, *partition) == (reach.topic.as_str(), reach.partition)
        });
        for (.., of) in own {
            places::runs(&places::messages(of)).for_each(|run| present.insert(run));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_offset_far_from_all_others_leaves_one_gap_and_takes_no_memory() {
        let far = (1 << 48) - 1;
        let mut present = Present { apart: [3, 4, far].into_iter().collect(), ranges: Vec::new() };
        present.insert(1000..1 << 40);
        let gaps: Vec<_> = present.gaps(3..far).collect();
        assert_eq!(gaps, [5..1000, 1 << 40..far]);
    }

    proptest! {
        #[test]
        fn gaps_are_what_is_missing_between_neighbours(
            apart in proptest::collection::btree_set(0_u64..60, 0..30),
            ranges in proptest::collection::vec((0_u64..60, 0_u64..12), 0..6),
            (start, length) in (0_u64..60, 0_u64..60),
        ) {
            let ranges = ranges.into_iter().map(|(from, count)| from..from + count);
            let ranges: Vec<_> = ranges.collect();
            let in_range = |offset: &u64| ranges.iter().any(|range| range.contains(offset));
            let is_there = |offset: &u64| apart.contains(offset) || in_range(offset);
            let mut present = Present { apart: apart.iter().collect(), ranges: ranges.clone() };
            let gaps: Vec<_> = present.gaps(start..start + length).collect();
            prop_assert!(gaps.windows(2).all(|two| two[0].end < two[1].start), "{:?}", gaps);
            let missing: Vec<u64> = gaps.into_iter().flatten().collect();
            let all = start..start + length;
            prop_assert_eq!(missing, all.filter(|offset| !is_there(offset)).collect::<Vec<_>>());
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
            let mut neighbours = known.neighbours();
            for gap in known.present().gaps(0..40) {
                let (before, after) = (known.before(gap.start), known.after(gap.end - 1));
                prop_assert_eq!(neighbours.of(&gap), before.zip(after).map(|(before, after)| [before, after]));
            }
            let mut neighbours = known.neighbours();
            for offset in 0..41 {
                prop_assert_eq!(neighbours.before(offset), known.before(offset));
            }
        }
    }
}
