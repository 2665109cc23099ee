//! Offsets between archived ones that the archive does not show: `missing_offsets`.
//!
//! Where a speed layer has read past them, it knows what they were, and each of its ticks is looked
//! for in the sums (`compared_hours`). Else nothing tells whether they were ticks: an object that
//! has not come yet, or is lost, leaves such a hole. Whenever an hour's sums change, the run of
//! offsets that they lie in is looked through, with its neighbours.

use super::hole::{Folders, Hole, Reach, Recorded};
use super::known::{self, KnownOffsets, KnownReach};
use crate::archive::{FileName, FileNameTemplate, PrefixTemplate};
use crate::hour::Hour;
use crate::index::{BatchDb, Indexed};
use crate::lock::TransactionLock;
use crate::scan::places;
use common::Timestamp;
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::inflected;
use sqlx::Acquire;
use sqlx::postgres::{PgConnection, PgTransaction};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Hours whose places are looked through before that is noted.
const SPANS_AT_ONCE: i64 = 200;

/// Holes that each have a row of their own.
const HOLES_LISTED: usize = 100;

/// How the archive names folders and objects.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    pub template: &'a PrefixTemplate,
    pub names: &'a FileNameTemplate,
    /// By how many hours the folders of neighbouring offsets may be out of order.
    pub slack: i64,
}

/// A row of `hour_spans`: hour, topic, partition, first and last offset.
type SpanRow = (Timestamptz, String, i32, i64, i64);

/// Looks through what has changed since the last run. Objects below other prefixes have folders of
/// another form: the hours of their ticks stand for those.
///
/// # Errors
/// Where the database fails.
pub async fn check_gaps(db: &mut BatchDb, naming: Naming<'_>) -> Result<(), Failure> {
    loop {
        let statement = pg::query_as(include_str!("../../sql/completeness/gaps_unchecked.sql"))
            .bind(SPANS_AT_ONCE);
        let rows: Vec<SpanRow> = db.fetch_all("reading hour_spans in", statement).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for reach in joined(&rows) {
            look_through(db, naming, reach).await?;
        }
        let note = pg::query(include_str!("../../sql/completeness/note_gaps_checked.sql"))
            .bind(rows.iter().map(|(hour, ..)| *hour).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, topic, ..)| topic.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, _, partition, ..)| *partition).collect::<Vec<_>>());
        db.write("hour_spans", note).await?;
    }
}

/// Spans that touch are looked through together. In the order of their first offsets.
fn joined(rows: &[SpanRow]) -> Vec<Reach> {
    let mut joined: Vec<Reach> = Vec::new();
    for (_, topic, partition, first, last) in rows {
        let (first, last) = (first.cast_unsigned(), last.cast_unsigned());
        match joined.last_mut() {
            Some(known)
                if known.topic == *topic
                    && known.partition == *partition
                    && first <= known.last + 1 =>
            {
                known.last = known.last.max(last);
            }
            _ => joined.push(Reach { topic: topic.clone(), partition: *partition, first, last }),
        }
    }
    joined
}

async fn look_through(
    db: &mut BatchDb,
    naming: Naming<'_>,
    mut reach: Reach,
) -> Result<(), Failure> {
    let KnownReach { offsets: mut known, range, recorded } = db
        .query("reading hour_spans in", async |connection| {
            known::read(connection, &mut reach).await
        })
        .await?;
    let mut objects = Objects::default();
    for hole in &recorded {
        let of_new_topic = objects.of_new_topic(db, naming, (&reach, hole), &known).await?;
        if !of_new_topic.is_empty() {
            known.leave_out(&of_new_topic);
        }
    }
    let mut present = known.present();
    if present.gaps(range.clone()).next().is_some() {
        db.query("reading rejected_ticks in", async |connection| {
            let within = (&reach, &range);
            known::add_explained(connection, naming.names, within, &mut present).await
        })
        .await?;
    }
    let mut holes = Vec::new();
    for hole in holes_of(present.gaps(range.clone()), &known) {
        let was = recorded_of(&hole, &recorded);
        let folders = objects.folders_of(db, naming, (&reach, &hole), was).await?;
        holes.extend(folders.map(|folders| (hole, folders)));
    }
    if holes.is_empty() && recorded.is_empty() {
        return Ok(());
    }
    db.transact("writing missing_offsets in", TransactionLock::None, async |transaction| {
        replace(transaction, (&reach, &range), &holes).await
    })
    .await
}

/// Content of the offsets between two archived ones.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Between {
    /// Objects in these folders.
    Folders(Folders),
    /// Nothing: they are a new topic's before an old one's of the same name.
    NewTopic,
    /// Their folders go back in time, and nobody knows when their objects were stored.
    Unknown,
}

/// Tells what may lie between two offsets. Those of a new topic before an old one's go back in
/// time, and were stored later. History that is sent after newer ticks was not, and neither are
/// those of producers whose clocks differ. Objects may be written for as long as `slack`; where
/// nobody knows when they were stored, folders may go back by as much. Of folders that go back by
/// more, what is missing goes on after the one or comes before the other: not in between.
fn between(before: &Lies, after: &Lies, slack: i64) -> Between {
    let (one, other) = (&before.folder, &after.folder);
    let is_in_order = one.start < other.end;
    match before.stored.zip(after.stored) {
        Some((before, after))
            if !is_in_order && before > after.plus_micros(slack * Timestamp::HOUR) =>
        {
            Between::NewTopic
        }
        None if one.start >= other.end.plus(slack) => Between::Unknown,
        Some(_) if one.start >= other.end.plus(slack) => {
            Between::Folders(Folders { first: one.start, last: other.end.plus(-1) })
        }
        _ => Between::Folders(Folders {
            first: one.start.min(other.start),
            last: one.end.max(other.end).plus(-1),
        }),
    }
}

/// The recorded part of a hole.
fn recorded_of<'r>(hole: &Hole, recorded: &'r [Recorded]) -> Option<&'r Recorded> {
    let at = recorded.partition_point(|(known, _)| known.last < hole.first);
    recorded.get(at).filter(|(known, _)| known.first <= hole.last)
}

/// Missing offsets as holes between the ticks that are known. Of very many, those between the same
/// hours are one.
fn holes_of(missing: impl Iterator<Item = Range<u64>>, known: &KnownOffsets) -> Vec<Hole> {
    let (mut holes, mut neighbours): (Vec<Hole>, _) = (Vec::new(), known.neighbours());
    let mut count = 0;
    for gap in missing {
        let Some([before, after]) = neighbours.of(&gap) else { continue };
        let Range { start: first, end } = gap;
        count += 1;
        match holes.last_mut() {
            Some(last)
                if count > HOLES_LISTED && last.before.1 == before.1 && last.after.1 == after.1 =>
            {
                (last.last, last.offsets, last.after) =
                    (end - 1, last.offsets + end - first, after);
            }
            _ => holes.push(Hole { first, last: end - 1, offsets: end - first, before, after }),
        }
    }
    holes
}

/// The objects of hours, which tell in what folders offsets lie.
#[derive(Default)]
struct Objects {
    of: FxHashMap<Hour, Vec<Indexed>>,
}

/// Where an archived offset lies.
struct Lies {
    /// The hours of the folder; without the object those of the tick.
    folder: Range<Hour>,
    /// When the object was stored.
    stored: Option<Timestamp>,
}

impl Objects {
    /// The folders in which a hole's objects would lie; `None` if it is not a hole. A hole (or a
    /// part of it) that was recorded earlier, as `known`, keeps its folders: the objects they were
    /// derived from may be gone, and other objects of those hours would give a wrong answer.
    async fn folders_of(
        &mut self,
        db: &mut BatchDb,
        naming: Naming<'_>,
        (reach, hole): (&Reach, &Hole),
        known: Option<&Recorded>,
    ) -> Result<Option<Folders>, Failure> {
        if let Some((_, folders)) = known.filter(|(known, _)| known.has_neighbours_of(hole)) {
            return Ok(Some(*folders));
        }
        let before = self.lie(db, naming, (reach, hole.before)).await?;
        let after = self.lie(db, naming, (reach, hole.after)).await?;
        Ok(match between(&before, &after, naming.slack) {
            Between::Folders(folders) => Some(folders),
            // Another object of the hour may have been taken for the one that is gone.
            Between::NewTopic | Between::Unknown => known.map(|(_, folders)| *folders),
        })
    }

    /// Offsets that seem to fill a recorded hole but belong to a topic that was created again under
    /// the same name. What lies before an offset was there when that was stored; so neither its
    /// ticks nor its folder are later than the hole's folders, or than when the object after the
    /// hole was stored, by more than slack.
    async fn of_new_topic(
        &mut self,
        db: &mut BatchDb,
        naming: Naming<'_>,
        (reach, (hole, folders)): (&Reach, &Recorded),
        known: &KnownOffsets,
    ) -> Result<Vec<(Hour, RoaringTreemap)>, Failure> {
        let last = folders.first.max(folders.last);
        if known.later((hole.first, hole.last), last).is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.lie(db, naming, (reach, hole.after)).await?.stored.map(Hour::of);
        let end = stored.map_or(last, |stored| stored.max(last)).plus(1 + naming.slack);
        let mut of_new_topic = Vec::new();
        for (hour, offsets) in known.later((hole.first, hole.last), end) {
            if [hole.before.1, hole.after.1].contains(&hour) {
                continue;
            }
            let mut of_hour = RoaringTreemap::new();
            for run in places::runs(&offsets) {
                let first = self.lie(db, naming, (reach, (run.start, hour))).await?;
                let last = self.lie(db, naming, (reach, (run.end - 1, hour))).await?;
                if first.folder.start >= end && last.folder.start >= end {
                    of_hour.insert_range(run);
                }
            }
            of_new_topic.push((hour, of_hour));
        }
        of_new_topic.retain(|(_, offsets)| !offsets.is_empty());
        Ok(of_new_topic)
    }

    /// Where an offset of an hour lies.
    async fn lie(
        &mut self,
        db: &mut BatchDb,
        naming: Naming<'_>,
        (reach, (offset, hour)): (&Reach, (u64, Hour)),
    ) -> Result<Lies, Failure> {
        if let Entry::Vacant(unknown) = self.of.entry(hour) {
            unknown.insert(db.objects_of(hour).await?);
        }
        let start = |indexed: &&Indexed| match naming.names.read(&indexed.object.key) {
            FileName::Records(origin) if origin.partition == reach.partition => {
                Some(origin.start_offset)
            }
            _ => None,
        };
        let own = self.of[&hour]
            .iter()
            .filter(|indexed| naming.names.topic(&indexed.object.key) == reach.topic);
        let holding =
            own.filter(|indexed| start(indexed).is_some_and(|start| start <= offset.cast_signed()));
        let object = holding.max_by_key(start);
        let folder = object.and_then(|indexed| naming.template.folder_below(&indexed.object.key));
        Ok(Lies {
            folder: folder.map_or(hour..hour.plus(1), |folder| folder.hours),
            stored: object.and_then(|indexed| indexed.object.last_modified),
        })
    }
}

/// Replaces what is known to be missing in a range. What a person has accepted stays so, unless
/// more is missing.
async fn replace(
    transaction: &mut PgTransaction<'_>,
    (reach, range): (&Reach, &Range<u64>),
    holes: &[Recorded],
) -> Result<(), sqlx::Error> {
    let accepted: Vec<(i64, i64, i64, bool, Timestamptz)> =
        pg::query_as(include_str!("../../sql/completeness/take_missing.sql"))
            .bind(&reach.topic)
            .bind(reach.partition)
            .bind(range.start.cast_signed())
            .bind(range.end.cast_signed())
            .fetch_all(transaction.acquire().await?)
            .await?;
    let before = |hole: &Hole| {
        let (first, last) = (hole.first.cast_signed(), hole.last.cast_signed());
        accepted.iter().filter(move |(from, to, ..)| *from <= last && *to >= first)
    };
    let is_accepted = |hole: &Hole| {
        let (first, last) = (hole.first.cast_signed(), hole.last.cast_signed());
        before(hole).any(|(from, to, offsets, is_accepted, _)| {
            *is_accepted && *from <= first && *to >= last && *offsets >= hole.offsets.cast_signed()
        })
    };
    let found_at = |hole: &Hole| before(hole).map(|(.., at)| *at).min();
    let numbers = |of: fn(&Hole) -> u64| {
        holes.iter().map(|(hole, _)| of(hole).cast_signed()).collect::<Vec<_>>()
    };
    let hours =
        |of: fn(&Recorded) -> Hour| Timestamptz::all(holes.iter().map(|hole| of(hole).start()));
    pg::query(include_str!("../../sql/completeness/insert_missing.sql"))
        .bind(&reach.topic)
        .bind(reach.partition)
        .bind(numbers(|hole| hole.first))
        .bind(numbers(|hole| hole.last))
        .bind(numbers(|hole| hole.offsets))
        .bind(numbers(|hole| hole.before.0))
        .bind(hours(|(hole, _)| hole.before.1))
        .bind(numbers(|hole| hole.after.0))
        .bind(hours(|(hole, _)| hole.after.1))
        .bind(hours(|(_, folders)| folders.first))
        .bind(hours(|(_, folders)| folders.last))
        .bind(holes.iter().map(|(hole, _)| is_accepted(hole)).collect::<Vec<_>>())
        .bind(holes.iter().map(|(hole, _)| found_at(hole)).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

/// Forgets holes that the speed layer has read through: it has the ticks right before and after
/// them, or had, where retention has dropped their days.
///
/// # Errors
/// Where the database fails.
pub async fn forget_read(db: &mut BatchDb) -> Result<(), Failure> {
    let mut asked = db.query("reading missing_offsets in", read_asked).await?;
    let mut hours: Vec<Timestamp> =
        asked.iter().flat_map(|hole| hole.ends.map(|end| end.1)).collect();
    hours.sort_unstable();
    hours.dedup();
    for hour in hours {
        db.query("reading realtime_stock in", async |connection| {
            see(connection, hour, &mut asked).await
        })
        .await?;
    }
    asked.retain(|hole| hole.is_seen == [true, true]);
    if asked.is_empty() {
        return Ok(());
    }
    let forget = pg::query(include_str!("../../sql/completeness/forget_missing.sql"))
        .bind(asked.iter().map(|hole| hole.topic.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|hole| hole.partition).collect::<Vec<_>>())
        .bind(asked.iter().map(|hole| hole.first).collect::<Vec<_>>());
    db.write("missing_offsets", forget).await.map(drop)
}

/// A hole, and whether the speed layer has the ticks at its ends.
struct HoleEnds {
    topic: String,
    partition: i32,
    first: i64,
    /// Offset and hour.
    ends: [(i64, Timestamp); 2],
    is_seen: [bool; 2],
}

type HoleEndsRow = (String, i32, i64, i64, Timestamptz, i64, Timestamptz, bool, bool);

async fn read_asked(connection: &mut PgConnection) -> Result<Vec<HoleEnds>, sqlx::Error> {
    let rows: Vec<HoleEndsRow> =
        pg::query_as(include_str!("../../sql/completeness/missing_beside_realtime.sql"))
            .fetch_all(connection)
            .await?;
    let asked = |(
        topic,
        partition,
        first,
        before,
        Timestamptz(before_hour),
        after,
        Timestamptz(after_hour),
        is_old,
        is_next_old,
    ): HoleEndsRow| HoleEnds {
        topic,
        partition,
        first,
        ends: [(before, before_hour), (after, after_hour)],
        is_seen: [is_old, is_next_old],
    };
    Ok(rows.into_iter().map(asked).collect())
}

/// Looks which of the ends that lie in an hour are in `realtime_stock`.
async fn see(
    connection: &mut PgConnection,
    hour: Timestamp,
    asked: &mut [HoleEnds],
) -> Result<(), sqlx::Error> {
    let is_open = |hole: &HoleEnds, end: usize| hole.ends[end].1 == hour && !hole.is_seen[end];
    let ends = asked
        .iter()
        .flat_map(|hole| [(hole, 0), (hole, 1)])
        .filter(|(hole, end)| is_open(hole, *end));
    let offsets: Vec<i64> = ends.map(|(hole, end)| hole.ends[end].0).collect();
    if offsets.is_empty() {
        return Ok(());
    }
    let found: Vec<(Option<String>, i32, i64)> =
        pg::query_as(include_str!("../../sql/completeness/in_realtime.sql"))
            .bind(Timestamptz(hour))
            .bind(offsets)
            .fetch_all(connection)
            .await?;
    for hole in asked {
        for end in [0, 1] {
            let is_it = |(topic, partition, offset): &(Option<String>, i32, i64)| {
                let is_of = topic
                    .as_ref()
                    .is_none_or(|topic| hole.topic.is_empty() || *topic == hole.topic);
                is_of && *partition == hole.partition && *offset == hole.ends[end].0
            };
            hole.is_seen[end] |= hole.ends[end].1 == hour && found.iter().any(is_it);
        }
    }
    Ok(())
}

/// Hours that are incomplete because of missing offsets, each with why. What lies between two hours
/// counts only where a run has looked at all of them: else nobody has asked for those objects.
///
/// # Errors
/// Where the database fails.
pub async fn lacks(
    db: &mut BatchDb,
    template: &PrefixTemplate,
    run_id: i64,
) -> Result<BTreeMap<Hour, String>, Failure> {
    let statement = pg::query_as(include_str!("../../sql/completeness/missing.sql"));
    let rows: Vec<LackRow> = db.fetch_all("reading missing_offsets in", statement).await?;
    let mut hours = HoursOf { template, known: FxHashMap::default() };
    let mut lacks: Vec<Lack<'_>> = rows.iter().map(|row| (row, hours.of(row))).collect();
    let are_far = |(_, [one, other]): &Lack<'_>| one != other || one.start.plus(2) < one.end;
    if !lacks.iter().any(are_far) {
        return Ok(described(&lacks));
    }
    let looked_at = read_windows(db, run_id).await?;
    lacks.retain(|lack| {
        let (_, [one, other]) = lack;
        let has_both = |seen: &Range<Hour>| seen.start <= one.start && other.end <= seen.end;
        !are_far(lack) || looked_at.iter().any(has_both)
    });
    Ok(described(&lacks))
}

/// Missing offsets, and the hours of their folders: the first and the last range of them, which are
/// one where all that lies between belongs to it.
type Lack<'a> = (&'a LackRow, [Range<Hour>; 2]);

/// The hours of folders.
struct HoursOf<'a> {
    template: &'a PrefixTemplate,
    known: FxHashMap<Hour, Range<Hour>>,
}

impl HoursOf<'_> {
    fn of(&mut self, (.., first, last): &LackRow) -> [Range<Hour>; 2] {
        let (first, last) = (Hour::from(*first), Hour::from(*last));
        if first <= last {
            let all = first..last.plus(1);
            return [all.clone(), all];
        }
        [last, first].map(|hour| self.of_folder(hour))
    }

    /// The hours of the folder that an hour lies in.
    fn of_folder(&mut self, hour: Hour) -> Range<Hour> {
        let of_folder = || {
            let folder = self.template.folders(hour..hour.plus(1)).pop();
            folder.map_or(hour..hour.plus(1), |folder| folder.hours)
        };
        self.known.entry(hour).or_insert_with(of_folder).clone()
    }
}

/// Descriptions of the gaps of some hours, each with its first hole.
fn described(lacks: &[Lack<'_>]) -> BTreeMap<Hour, String> {
    let mut changes: Vec<(Hour, usize, bool)> = Vec::new();
    for (number, (_, [one, other])) in lacks.iter().enumerate() {
        for hours in std::iter::once(one).chain((one != other).then_some(other)) {
            changes.extend([(hours.start, number, true), (hours.end, number, false)]);
        }
    }
    changes.sort_unstable();
    let (mut open, mut offsets) = (BTreeSet::new(), 0_u128);
    let mut described = BTreeMap::new();
    let mut changes = changes.chunk_by(|one, next| one.0 == next.0).peekable();
    while let Some(here) = changes.next() {
        for &(_, number, begins) in here {
            let count = u128::from(lacks[number].0.4.cast_unsigned());
            if begins {
                open.insert(number);
                offsets += count;
            } else {
                open.remove(&number);
                offsets -= count;
            }
        }
        let (Some(first), Some(next)) = (open.first(), changes.peek()) else { continue };
        let offsets = u64::try_from(offsets).unwrap_or(u64::MAX);
        let what = describe(offsets, open.len(), lacks[*first].0);
        described.extend(Hour::each(here[0].0..next[0].0).map(|hour| (hour, what.clone())));
    }
    described
}

fn describe(offsets: u64, holes: usize, row: &LackRow) -> String {
    let (topic, partition, first, last, ..) = row;
    let count = inflected(offsets, "offset[s] between archived ones [is|are] missing");
    let range = if first == last { first.to_string() } else { format!("{first} to {last}") };
    let what = if holes == 1 { ":" } else { ", the first" };
    format!("{count}{what} {range} of partition {partition} of {topic}")
}

/// Topic, partition, first and last offset, how many, first and last folder.
type LackRow = (String, i32, i64, i64, i64, Timestamptz, Timestamptz);

/// The hours that runs have looked at, and this one.
async fn read_windows(db: &mut BatchDb, run_id: i64) -> Result<Vec<Range<Hour>>, Failure> {
    let statement = pg::query_as(include_str!("../../sql/completeness/windows.sql"))
        .bind(run_id)
        .bind(crate::stop::STOPPED);
    let windows: Vec<(Timestamptz, Timestamptz)> =
        db.fetch_all("reading batch_runs in", statement).await?;
    let mut seen: Vec<Range<Hour>> = Vec::new();
    for (start, end) in windows.into_iter().map(|(start, end)| (Hour::from(start), Hour::from(end)))
    {
        match seen.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => seen.push(start..end),
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURLY: &str = "raw/%Y-%m-%d-%H/";

    fn known(hours: &[(i64, &[u64])]) -> KnownOffsets {
        let base = Hour::of(Timestamp::from_micros(0));
        KnownOffsets::of(
            hours
                .iter()
                .map(|(hour, offsets)| (base.plus(*hour), offsets.iter().collect()))
                .collect(),
        )
    }

    fn holes(known: &KnownOffsets, missing: &[u64]) -> Vec<(u64, u64, u64)> {
        let runs = missing.chunk_by(|one, next| one + 1 == *next);
        holes_of(runs.map(|run| run[0]..run[run.len() - 1] + 1), known)
            .into_iter()
            .map(|hole| (hole.first, hole.last, hole.offsets))
            .collect()
    }

    #[test]
    fn each_run_of_missing_offsets_is_a_hole() {
        let known = known(&[(0, &[0, 1, 4, 8]), (1, &[12, 13])]);
        assert_eq!(holes(&known, &[2, 3, 5, 6, 7, 9, 10, 11]), [(2, 3, 2), (5, 7, 3), (9, 11, 3)]);
        assert_eq!(holes(&known, &[2, 3, 9, 11]), [(2, 3, 2), (9, 9, 1), (11, 11, 1)]);
        assert_eq!(holes(&known, &[]), []);
    }

    #[test]
    fn of_very_many_holes_those_between_the_same_hours_are_one() {
        let even: Vec<u64> = (0..1000).map(|number| number * 2).collect();
        let odd: Vec<u64> = (0..999).map(|number| number * 2 + 1).collect();
        let found = holes(&known(&[(0, &even)]), &odd);
        assert_eq!((found.len(), found[HOLES_LISTED - 1]), (HOLES_LISTED, (199, 1997, 900)));
    }

    #[test]
    fn folders_may_be_out_of_order_by_slack_or_as_they_were_stored() {
        let base = Hour::of(Timestamp::from_micros(0));
        let lies = |number: i64, stored: Option<i64>| Lies {
            folder: base.plus(number)..base.plus(number + 1),
            stored: stored.map(|hours| Timestamp::from_micros(hours * Timestamp::HOUR)),
        };
        let between = |before: i64, after: i64, stored: Option<(i64, i64)>| {
            let (one, other) = stored.unzip();
            super::between(&lies(before, one), &lies(after, other), 2)
        };
        let folders = |first: i64, last: i64| {
            Between::Folders(Folders { first: base.plus(first), last: base.plus(last) })
        };
        assert_eq!(between(5, 9, None), folders(5, 9));
        assert_eq!(between(5, 5, None), folders(5, 5));
        assert_eq!(between(5, 3, None), folders(3, 5));
        assert_eq!(between(5, 3, Some((6, 6))), folders(3, 5));
        assert_eq!(between(5, 2, None), Between::Unknown);
        // History that was sent after newer ticks, and a new topic before an old one.
        assert_eq!(between(90, 2, Some((91, 91))), folders(90, 2));
        assert_eq!(between(90, 2, Some((93, 91))), folders(90, 2));
        assert_eq!(between(90, 2, Some((91, 3))), Between::NewTopic);
        assert_eq!(between(5, 4, Some((91, 3))), Between::NewTopic);
    }

    #[test]
    fn what_was_recorded_of_a_hole_overlaps_it_and_tells_whether_its_neighbours_are_the_same() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let hole = |before: u64, after: u64| Hole {
            first: before + 1,
            last: after - 1,
            offsets: after - before - 1,
            before: (before, hour(90)),
            after: (after, hour(2)),
        };
        let of = |first, last| Folders { first: hour(first), last: hour(last) };
        let recorded = [(hole(400, 500), of(0, 0)), (hole(999, 1011), of(90, 2))];
        let known = |hole: &Hole| {
            recorded_of(hole, &recorded)
                .map(|(known, folders)| (*folders, known.has_neighbours_of(hole)))
        };
        assert_eq!(known(&hole(999, 1011)), Some((of(90, 2), true)));
        // Some of it was found since.
        assert_eq!(known(&hole(1004, 1011)), Some((of(90, 2), false)));
        assert_eq!(known(&hole(999, 1004)), Some((of(90, 2), false)));
        assert_eq!(known(&hole(400, 410)), Some((of(0, 0), false)));
        for other in [hole(300, 401), hole(600, 700), hole(1010, 1020)] {
            assert_eq!(known(&other), None);
        }
    }

    fn told(rows: &[LackRow], template: &str) -> BTreeMap<Hour, String> {
        let template = PrefixTemplate::parse(template).unwrap();
        let mut hours = HoursOf { template: &template, known: FxHashMap::default() };
        described(&rows.iter().map(|row| (row, hours.of(row))).collect::<Vec<_>>())
    }

    /// Rows of one offset each, with the first and the last folder.
    fn rows(folders: impl IntoIterator<Item = (i64, i64)>) -> Vec<LackRow> {
        let hour = |number| Timestamptz(Timestamp::from_micros(number * Timestamp::HOUR));
        let row = |(offset, (first, last))| -> LackRow {
            ("t".into(), 7, offset, offset, 1, hour(first), hour(last))
        };
        (0..).zip(folders).map(row).collect()
    }

    #[test]
    fn of_folders_out_of_order_what_lies_between_lacks_nothing() {
        let hours = |lacks: BTreeMap<Hour, String>| -> Vec<i64> {
            lacks.into_keys().map(|hour| hour.start().micros() / Timestamp::HOUR).collect()
        };
        assert_eq!(hours(told(&rows([(8_759, 0)]), HOURLY)), [0, 8_759]);
        assert_eq!(hours(told(&rows([(3, 0)]), HOURLY)), [0, 3]);
        assert_eq!(hours(told(&rows([(0, 3)]), HOURLY)), [0, 1, 2, 3]);
        // The folders are days: from the start of the one, to the end of the other.
        let days: Vec<i64> = (0..24).chain(72..96).collect();
        assert_eq!(hours(told(&rows([(72, 23)]), "raw/%Y/%m/%d/")), days);
    }

    #[test]
    fn very_many_long_holes_are_told_at_once() {
        // A year of history, with a mark of a transaction between each hour of it and the live
        // ticks.
        let history = (0..8_000).flat_map(|hour| [(9_000, hour), (hour, 9_000)]);
        let started = std::time::Instant::now();
        let lacks = told(&rows(history), HOURLY);
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(lacks.len(), 9_001);
        let said = |hour: i64| &lacks[&Hour::of(Timestamp::from_micros(hour * Timestamp::HOUR))];
        assert!(said(0).starts_with("2 offsets"), "{}", said(0));
        assert!(said(99).starts_with("101 offsets"), "{}", said(99));
        assert!(said(8_500).starts_with("8000 offsets"), "{}", said(8_500));
        assert!(said(9_000).starts_with("16000 offsets"), "{}", said(9_000));
    }

    #[test]
    fn an_hour_lacks_what_all_of_its_holes_lack_and_names_the_first() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let hole = |(first, last, offsets), (from, to)| -> LackRow {
            let [from, to] = [from, to].map(|of| Timestamptz(hour(of).start()));
            ("t".into(), 7, first, last, offsets, from, to)
        };
        // 19,999 holes of two offsets, and one that lies between two hours.
        let mut rows: Vec<LackRow> =
            (0..19_999).map(|number| hole((number * 3 + 1, number * 3 + 2, 2), (0, 0))).collect();
        rows.push(hole((70_000, 70_000, 1), (0, 1)));
        let said = [
            "39999 offsets between archived ones are missing, the first 1 to 2 of partition 7 of t",
            "1 offset between archived ones is missing: 70000 of partition 7 of t",
        ];
        let lacks = told(&rows, HOURLY);
        assert_eq!(lacks, [(hour(0), said[0].into()), (hour(1), said[1].into())].into());
        // What is one row of very many holes is told as such.
        let lacks = told(&[hole((199, 1997, 900), (0, 0))], HOURLY);
        let said = "900 offsets between archived ones are missing: 199 to 1997 of partition 7 of t";
        assert_eq!(lacks[&hour(0)], said);
    }

    #[test]
    fn spans_that_touch_are_looked_through_together() {
        let span = |topic: &str, partition, first, last| {
            (Timestamptz(Timestamp::from_micros(0)), topic.to_owned(), partition, first, last)
        };
        let rows = [
            span("a", 0, 0, 9),
            span("a", 0, 5, 7),
            span("a", 0, 10, 12),
            span("a", 0, 14, 15),
            span("a", 1, 16, 17),
            span("b", 1, 18, 18),
        ];
        let ranges: Vec<_> =
            joined(&rows).into_iter().map(|reach| (reach.first, reach.last)).collect();
        assert_eq!(ranges, [(0, 12), (14, 15), (16, 17), (18, 18)]);
    }
}
