//! Whether each tick of the speed layer is in an hour's sums: by topic and partition, offset by
//! offset: `compared_hours`.
//!
//! Numbers of ticks do not tell: where one is missing and another is too many, they are the same.
//! Which offsets `realtime_stock` has of an hour is asked in blocks of 64, each a number of 64
//! bits. An hour is compared once, and again where it was computed since or the speed layer has
//! another number of ticks.

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::scan::{Offsets, places};
use crate::state;
use common::Timestamp;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

/// A statement reads the ticks of so much time.
const SLICE_MICROS: i64 = 10 * Timestamp::MINUTE;

/// An hour that is to be compared.
struct HourToCompare {
    hour: Hour,
    computed_at: Timestamp,
    speed_ticks: i64,
    /// Ticks in its sums.
    ticks: u64,
    sums: Sums,
}

/// Which records are in an hour's sums, or were.
struct Sums {
    offsets: Offsets,
    withdrawn: Offsets,
    /// How many of these have not come again, as lines without offsets either.
    taken_out: u64,
}

/// The places that `realtime_stock` has of an hour, by source and partition.
type OffsetsBySource = FxHashMap<(i16, i32), RoaringTreemap>;

/// Topics by source.
type Topics = FxHashMap<i16, String>;

/// Offsets that the speed layer has and the sums have not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missing {
    ticks: u64,
    example: Option<String>,
}

/// Compares those of some hours that were not compared as they are.
///
/// # Errors
/// Where the database fails, or what was kept of the hour cannot be read.
pub async fn compare(db: &mut BatchDb, hours: &[Timestamp]) -> Result<(), Failure> {
    let statement = pg::query_scalar(include_str!("../../sql/completeness/due.sql"))
        .bind(Timestamptz::all(hours.iter().copied()));
    // Of a day that retention has dropped nothing is left to compare with.
    let due: Vec<Timestamptz> = db.fetch_all("looking for hours to compare in", statement).await?;
    if due.is_empty() {
        return Ok(());
    }
    let topics = db.sources().await?.into_iter();
    let topics: Topics = topics.map(|(topic, source)| (source, topic)).collect();
    for Timestamptz(hour) in due {
        compare_one(db, hour, &topics).await?;
    }
    Ok(())
}

async fn compare_one(db: &mut BatchDb, hour: Timestamp, topics: &Topics) -> Result<(), Failure> {
    let due = db.query("reading hour_sums in", async |connection| read(connection, hour).await);
    // What another version has kept is computed again when its hour is next.
    let Some(due) = due.await? else {
        return Ok(());
    };
    let mut speed = OffsetsBySource::default();
    let (mut start, end) = (due.hour.start(), due.hour.plus(1).start());
    while start < end {
        let slice = (start, start.plus_micros(SLICE_MICROS));
        db.query("reading realtime_stock in", async |connection| {
            add_places(connection, slice, &mut speed).await
        })
        .await?;
        start = slice.1;
    }
    let missing = find_missing(&due, &speed, topics);
    let note = pg::query(include_str!("../../sql/completeness/note_compared.sql"))
        .bind(Timestamptz(due.hour.start()))
        .bind(Timestamptz(due.computed_at))
        .bind(due.speed_ticks)
        .bind(missing.ticks.cast_signed())
        .bind(missing.example);
    db.write("compared_hours", note).await.map(drop)
}

async fn read(
    connection: &mut PgConnection,
    hour: Timestamp,
) -> Result<Option<HourToCompare>, sqlx::Error> {
    let row = pg::query(include_str!("../../sql/completeness/computed.sql"))
        .bind(Timestamptz(hour))
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let kept = |name: &str| Ok::<_, sqlx::Error>(state::decode_offsets(row.try_get(name)?).ok());
    let (Some(offsets), Some(withdrawn)) = (kept("offsets")?, kept("withdrawn")?) else {
        return Ok(None);
    };
    Ok(Some(HourToCompare {
        hour: Hour::of(hour),
        computed_at: row.try_get::<Timestamptz, _>("computed_at")?.into(),
        speed_ticks: row.try_get("speed_ticks")?,
        ticks: row.try_get::<i64, _>("ticks")?.cast_unsigned(),
        sums: Sums {
            offsets,
            withdrawn,
            taken_out: row.try_get::<i64, _>("taken_out")?.cast_unsigned(),
        },
    }))
}

/// Adds the places of `realtime_stock` from one time to another.
async fn add_places(
    connection: &mut PgConnection,
    (from, to): (Timestamp, Timestamp),
    speed: &mut OffsetsBySource,
) -> Result<(), sqlx::Error> {
    let mut rows = pg::query(include_str!("../../sql/completeness/places.sql"))
        .bind(Timestamptz(from))
        .bind(Timestamptz(to))
        .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        add_block(&row, speed)?;
    }
    Ok(())
}

fn add_block(row: &PgRow, speed: &mut OffsetsBySource) -> Result<(), sqlx::Error> {
    let of = (row.try_get("source")?, row.try_get("kafka_partition")?);
    let index = row.try_get::<i16, _>("kafka_index")?.cast_unsigned();
    let first = row.try_get::<i64, _>("block")?.cast_unsigned() << 6;
    let mut bits = row.try_get::<i64, _>("bits")?.cast_unsigned();
    let places = speed.entry(of).or_default();
    if bits == u64::MAX {
        let first = places::number(first, index);
        places.insert_range(first..first + 64);
        return Ok(());
    }
    while bits != 0 {
        places.insert(places::number(first + u64::from(bits.trailing_zeros()), index));
        bits &= bits - 1;
    }
    Ok(())
}

/// The speed layer's places in a topic's partition, and how many of them it has twice.
type OfPartition<'a> = ((Option<&'a str>, i32), RoaringTreemap, u64);

/// Offsets that are missing in the sums, by topic and partition.
fn find_missing(due: &HourToCompare, speed: &OffsetsBySource, topics: &Topics) -> Missing {
    let mut by_topic: Vec<OfPartition<'_>> = Vec::new();
    for ((source, partition), places) in speed {
        let of = (topics.get(source).map(String::as_str), *partition);
        match by_topic.iter_mut().find(|(known, ..)| *known == of) {
            // A topic that was created again has the same offsets again. The sums have each of them
            // once at most.
            Some((_, known, twice)) => {
                *twice += known.intersection_len(places);
                *known |= places;
            }
            None => by_topic.push((of, places.clone(), 0)),
        }
    }
    by_topic.sort_unstable_by_key(|(of, ..)| *of);
    let mut found = Missing::default();
    for ((topic, partition), mut places, twice) in by_topic {
        for (of, of_partition, archived) in due.sums.offsets.iter().chain(due.sums.withdrawn.iter())
        {
            if of_partition == partition && (of.is_empty() || topic.is_none_or(|topic| topic == of))
            {
                places -= archived;
            }
        }
        found.ticks += places.len() + twice;
        if let (Some(place), None) = (places.min(), &found.example) {
            let topic = topic.unwrap_or("a topic that kafka_sources lacks");
            found.example =
                Some(format!("offset {} of partition {partition} of {topic}", places::text(place)));
        }
    }
    // Ticks without offsets cannot be matched to records, except those that brought back records
    // withdrawn earlier.
    let Sums { offsets, withdrawn, taken_out } = &due.sums;
    let again = withdrawn.len().saturating_sub(*taken_out);
    found.ticks = found.ticks.saturating_sub(due.ticks.saturating_sub(offsets.len() + again));
    found.example = found.example.filter(|_| found.ticks > 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(topic: &str, places: &[(i32, u64)]) -> Offsets {
        let mut offsets = Offsets::of_topic(topic.into());
        for (partition, place) in places {
            offsets.insert(*partition, *place);
        }
        offsets.flush();
        offsets
    }

    fn of(sums: Sums, ticks: u64, speed: &[(i16, i32, &[u64])]) -> (u64, Option<String>) {
        let hour = Hour::of(Timestamp::from_micros(0));
        let due = HourToCompare { hour, computed_at: hour.start(), speed_ticks: 0, ticks, sums };
        let speed: OffsetsBySource = speed
            .iter()
            .map(|(source, partition, places)| ((*source, *partition), places.iter().collect()))
            .collect();
        let topics =
            [(1, "a".to_owned()), (2, "b".to_owned()), (3, "a".to_owned())].into_iter().collect();
        let Missing { ticks, example } = find_missing(&due, &speed, &topics);
        (ticks, example)
    }

    fn archived(topic: &str, places: &[(i32, u64)]) -> Sums {
        Sums { offsets: offsets(topic, places), withdrawn: Offsets::default(), taken_out: 0 }
    }

    #[test]
    fn one_that_is_missing_and_one_that_is_too_many_do_not_make_up_for_each_other() {
        let (missing, example) = of(archived("a", &[(0, 1), (0, 3)]), 2, &[(1, 0, &[1, 2])]);
        assert_eq!((missing, example.as_deref()), (1, Some("offset 2 of partition 0 of a")));
        assert_eq!(
            of(archived("a", &[(0, 1), (1, 2)]), 2, &[(1, 0, &[1, 2])]).0,
            1,
            "of another partition"
        );
        assert_eq!(of(archived("b", &[(0, 1)]), 1, &[(1, 0, &[1])]).0, 1, "of another topic");
        assert_eq!(of(archived("a", &[(0, 1), (0, 2), (0, 3)]), 3, &[(1, 0, &[1, 2])]), (0, None));
    }

    #[test]
    fn a_topic_of_objects_that_tell_none_may_be_any() {
        assert_eq!(of(archived("", &[(0, 1)]), 1, &[(1, 0, &[1])]), (0, None));
        assert_eq!(of(archived("a", &[(0, 1)]), 1, &[(9, 0, &[1])]), (0, None));
    }

    #[test]
    fn what_was_taken_out_is_not_missing_and_lines_without_offsets_may_be_anything() {
        let sums = |taken_out| Sums {
            offsets: offsets("a", &[(0, 1)]),
            withdrawn: offsets("a", &[(0, 2)]),
            taken_out,
        };
        assert_eq!(of(sums(1), 1, &[(1, 0, &[1, 2])]), (0, None));
        assert_eq!(of(sums(0), 2, &[(1, 0, &[1, 2])]), (0, None), "it has come without its offset");
        assert_eq!(of(sums(0), 2, &[(1, 0, &[1, 2, 3])]).0, 1, "another one is missing");
        assert_eq!(of(archived("a", &[(0, 1)]), 3, &[(1, 0, &[1, 2, 3])]), (0, None));
        assert_eq!(of(archived("a", &[(0, 1)]), 2, &[(1, 0, &[1, 2, 3])]).0, 1);
    }

    #[test]
    fn the_offsets_of_a_topic_that_was_made_anew_are_other_records() {
        assert_eq!(of(archived("a", &[(0, 1), (0, 2)]), 2, &[(1, 0, &[1, 2]), (3, 0, &[1])]).0, 1);
    }
}
