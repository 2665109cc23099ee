//! Where an hour's ticks are read from: its raw objects, and the lake's where some of those are
//! gone.

use super::collect::{self, CollectedTicks, Collecting, ObjectRank, TickSelection};
use super::store::HourToJudge;
use super::unread::{JudgeObstacle, unread};
use crate::archive::Object;
use crate::hour::Hour;
use crate::index::{BatchDb, Indexed};
use crate::lake::look::LakeReader;
use crate::lake::source::{self, Lake, LakeSourceError, Required};
use crate::lake::table::PublishedObject;
use crate::reader::Reader;
use crate::stop::stopped;
use common::Timestamp;
use rustc_hash::{FxBuildHasher, FxHashSet};
use service::Failure;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One object.
#[derive(Debug, Clone)]
pub enum TickSource {
    Raw(Object),
    Lake(PublishedObject),
}

impl TickSource {
    /// The topic that its name tells, if any.
    pub fn topic<'a>(&'a self, reader: &'a Reader) -> &'a str {
        match self {
            Self::Raw(object) => reader.topic(&object.key),
            Self::Lake(published) => &published.source,
        }
    }
}

/// Sources of an hour's ticks.
#[derive(Debug, Default)]
pub struct HourSources {
    pub raw: Vec<Indexed>,
    /// Empty where all raw objects are there, or the lake does not stand for them.
    pub lake: Vec<PublishedObject>,
}

impl HourSources {
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.lake.is_empty()
    }

    /// Without raw objects whose ticks of the hour lie elsewhere in it.
    pub fn only(mut self, is_near: impl Fn(&RangeInclusive<Timestamp>) -> bool) -> Self {
        self.raw.retain(|indexed| is_near(&indexed.span));
        self
    }
}

/// The hours that are due and can be judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DueHours {
    /// To be judged now, in order.
    pub now: Vec<Hour>,
    /// How many are left to later runs.
    pub later: usize,
}

/// The hours that are to be judged now and can be: those of the window, and as many `older` ones.
///
/// # Errors
/// Where the database fails.
pub async fn find_due_hours(
    db: &mut BatchDb,
    from: (Option<&Lake>, &Reader),
    (detectors, decode_rules): (&str, &str),
    (window, older): (&Range<Hour>, usize),
) -> Result<DueHours, Failure> {
    let mut due = db.to_judge((detectors, decode_rules), window).await?;
    due.retain(|due| due.is_in_window || older > 0);
    let without_raw: Vec<Hour> =
        due.iter().filter(|due| due.has_gone).map(|due| due.hour).collect();
    let of_lake = lake_hours(db, from, decode_rules, &without_raw).await?;
    due.retain(|due| !due.has_gone || of_lake.contains(&due.hour));
    let (within, before): (Vec<HourToJudge>, Vec<HourToJudge>) =
        due.into_iter().partition(|due| due.is_in_window);
    let taken = some(before.len(), older, Timestamp::now().micros().cast_unsigned());
    let later = before.len() - taken.len();
    let older = taken.into_iter().map(|place| before[place].hour);
    let mut now: Vec<Hour> = within.iter().map(|due| due.hour).chain(older).collect();
    now.sort_unstable();
    Ok(DueHours { now, later })
}

/// Which `few` of `many` are taken: the first ones, and a third of others by chance (`seed`), so
/// that first ones that cannot be judged do not stand before the rest for ever.
fn some(many: usize, few: usize, seed: u64) -> Vec<usize> {
    if many <= few {
        return (0..many).collect();
    }
    let by_chance = few / 3;
    let first = few - by_chance;
    let left = many - first;
    let start = FxBuildHasher.hash_one(seed) as usize % left;
    (0..first).chain((0..by_chance).map(|number| first + (start + number) % left)).collect()
}

/// The hours, of some, whose raw objects are gone and which the lake covers.
///
/// # Errors
/// Where the database fails.
pub async fn lake_hours(
    db: &mut BatchDb,
    (lake, reader): (Option<&Lake>, &Reader),
    decode_rules: &str,
    hours: &[Hour],
) -> Result<FxHashSet<Hour>, Failure> {
    let Some(lake) = lake else { return Ok(FxHashSet::default()) };
    let location = reader.store().location();
    lake.covers(db, hours, Required { decode_rules, location: &location }).await
}

/// Sources of the ticks of the hour before, of an hour, and of the one after it.
///
/// # Errors
/// Where the database fails.
pub async fn read_three_hours(
    db: &mut BatchDb,
    from: (Option<&Lake>, &Reader),
    decode_rules: &str,
    hour: Hour,
) -> Result<[HourSources; 3], Failure> {
    let hours = [hour.plus(-1), hour, hour.plus(1)];
    let of_lake = lake_hours(db, from, decode_rules, &hours).await?;
    let mut all: [HourSources; 3] = Default::default();
    for (hour, of) in hours.into_iter().zip(&mut all) {
        of.raw = db.objects_of(hour).await?;
        if let Some(lake) = from.0.filter(|_| of_lake.contains(&hour)) {
            of.lake = lake.published_objects(db, hour).await?;
        }
    }
    Ok(all)
}

/// The objects of which ticks are wanted, each once: of a record that several have the first one's
/// counts. Those of the lake come first, which has those that were counted; then raw ones in the
/// order of their keys, if they were read as `decode_rules` says.
pub fn reads(hours: [HourSources; 3], decode_rules: &str) -> Vec<TickSource> {
    let (mut lake, mut raw): (Vec<TickSource>, BTreeMap<Arc<str>, Object>) = Default::default();
    for of in hours {
        lake.extend(of.lake.into_iter().map(TickSource::Lake));
        let own = of.raw.into_iter().filter(|indexed| *indexed.decode_rules == *decode_rules);
        raw.extend(own.map(|indexed| (Arc::clone(&indexed.object.key), indexed.object)));
    }
    lake.into_iter().chain(raw.into_values().map(TickSource::Raw)).collect()
}

/// Collects the selected ticks of a raw object.
///
/// # Errors
/// Where it cannot be read.
pub async fn read_raw(
    reader: &Reader,
    object: &Object,
    (wanted, whose): (TickSelection, ObjectRank),
) -> Result<CollectedTicks, JudgeObstacle> {
    let collect = move |body, options: &_| collect::collect(body, options, &wanted, whose);
    reader.read_with(object, None, collect).await.map_err(|error| unread(object, error))
}

/// Collects the selected ticks of an object of the lake.
///
/// # Errors
/// Where it cannot be read.
pub async fn read_lake(
    (reader, lake, stop): (&Reader, Option<&Lake>, &CancellationToken),
    published: &PublishedObject,
    (wanted, whose): (TickSelection, ObjectRank),
) -> Result<CollectedTicks, JudgeObstacle> {
    let Some(lake) = lake else { return Ok(CollectedTicks::default()) };
    let (store, key) = (reader.store(), &published.key);
    let look = LakeReader { store, folder: &lake.folder, stop };
    let collecting = Collecting::new(wanted, whose);
    let visited = source::visit(look, published, collecting, |collecting, content, place| {
        collecting.add_row(content, place);
        Ok(())
    });
    let skipped = |why: String| {
        JudgeObstacle::Skipped(format!("{}{key} of the lake {why}", store.location()))
    };
    match visited.await {
        Ok(collecting) => Ok(collecting.finish()),
        Err(LakeSourceError::OfObject(why)) => Err(skipped(why)),
        Err(LakeSourceError::OfRun(_)) if stop.is_cancelled() => {
            Err(JudgeObstacle::Failed(stopped()))
        }
        Err(LakeSourceError::OfRun(failure)) => {
            Err(skipped(format!("could not be read: {failure}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_hours_the_newest_are_taken_and_some_time_each_other_one() {
        assert_eq!(some(0, 24, 3), [0; 0]);
        assert_eq!(some(24, 24, 3), Vec::from_iter(0..24));
        assert_eq!(some(100, 0, 3), [0; 0]);
        let mut seen = vec![false; 700];
        for run in 0..1000 {
            let taken = some(700, 24, 1_700_000_000_000_000 + run * 15 * 60_000_000);
            assert_eq!(taken[..16], Vec::from_iter(0..16));
            let distinct: FxHashSet<usize> = taken.iter().copied().collect();
            assert_eq!((taken.len(), distinct.len()), (24, 24));
            taken.into_iter().for_each(|place| seen[place] = true);
        }
        assert!(seen.iter().all(|is_seen| *is_seen));
    }
}
