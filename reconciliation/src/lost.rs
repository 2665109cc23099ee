//! Offsets that neither side accounts for: whether they hold a tick, and of which hour, is asked of
//! Kafka.

use crate::archive::Archived;
use crate::gathered::{GatheredMissing, OtherHours, UnaccountedRecord};
use crate::log::{Log, LogRange};
use crate::previous_span::PreviousSpan;
use crate::tables::{self, NonTickOffsets, Sources};
use anyhow::Context;
use common::decode::{Decoder, RecordContext, Rules};
use common::{Place, Timestamp};
use hourly::completeness::KnownOffsets;
use hourly::holdings::{Holdings, OffsetsByHour};
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::scan::{Runs, places, runs};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::ops::Range;
use std::sync::Arc;

/// Offsets that may be very many, by hour and partition.
pub type Holes = BTreeMap<(Hour, i32), Runs>;

/// Classes of offsets that are ticks on neither side.
#[derive(Debug, Default)]
pub struct Lost {
    /// Kafka holds a record, and no table does.
    pub lost: OffsetsByHour,
    /// Kafka holds a tick that the speed layer has not come to yet.
    pub pending: OffsetsByHour,
    /// Kafka was not asked, or holds nothing that far back: perhaps a lost tick, perhaps the end of
    /// a transaction or a late tick of an hour that is not looked at.
    pub unaccounted: Holes,
    /// In `rejected_ticks`.
    pub rejected: OffsetsByHour,
    /// The messages with ticks of each partition.
    pub messages: BTreeMap<i32, RoaringTreemap>,
}

/// Input of the search for lost offsets.
pub struct LostSearch<'a> {
    pub topic: &'a str,
    pub sources: Sources<'a>,
    /// The one that it is now, where it was created again, or moved to another cluster.
    pub newest_source: Option<i16>,
    pub hours: &'a Range<Hour>,
    pub realtime: &'a Holdings,
    pub archived: &'a Archived,
    /// Ticks that were archived once and have expired.
    pub expired: &'a OffsetsByHour,
    pub gaps: &'a NonTickOffsets,
    /// Ticks of the hours right before these: a hole may lie between the two.
    pub earlier: &'a PreviousSpan,
    pub next_offsets: &'a BTreeMap<i32, u64>,
    /// Hours whose ticks retention has dropped: nothing tells any more which late ticks lay among
    /// theirs.
    pub purged: &'a BTreeSet<Hour>,
    pub log: Option<&'a Arc<Log>>,
    pub spans: &'a BTreeMap<i32, LogRange>,
    /// The rules of messages.
    pub rules: &'a Arc<Rules>,
}

/// Known messages: what `rejected_ticks` has of them and, where they may hold
/// several ticks, any side.
#[derive(Debug, Default)]
struct Rejected {
    /// Messages, or elements of them.
    places: RoaringTreemap,
    messages: RoaringTreemap,
    /// The length in bytes of what stands there as a message's first element.
    lengths: FxHashMap<u64, i64>,
}

impl Rejected {
    /// Whether the message itself was rejected, and not an element of it.
    fn is_whole(&self, offset: u64, value: Option<&[u8]>) -> bool {
        let length = value.and_then(|value| i64::try_from(value.len()).ok());
        length.is_some() && self.lengths.get(&offset).copied() == length
    }
}

/// Known offsets of a partition.
struct PartitionOffsets {
    number: i32,
    /// The places of ticks on whatever side.
    known: RoaringTreemap,
    /// The messages that they are in.
    messages: RoaringTreemap,
    /// The last of them that the hours before have.
    before: Option<u64>,
    /// The offsets of the sides that tell the hours of ticks.
    hours: KnownOffsets,
}

/// Input of reading a partition.
struct LogScan {
    partition: i32,
    offsets: Runs,
    rejected: Rejected,
    rules: Arc<Rules>,
    now: Timestamp,
    /// The hours that are looked at.
    hours: Range<Hour>,
    /// Hours whose ticks retention has dropped: of a tick of another hour of these nobody knows any
    /// more whether it was there.
    dropped: BTreeSet<Hour>,
}

impl LogScan {
    /// Reads from an offset on, for as long as there is room for what is found. Gives where to go
    /// on.
    fn go_on(
        &self,
        log: &Log,
        from: u64,
        gathered: &mut GatheredMissing,
    ) -> anyhow::Result<Option<u64>> {
        let mut decoder = Decoder::new(Arc::clone(&self.rules), self.now);
        let mut held = Vec::new();
        log.read(self.partition, (&self.offsets, from), |offset, value, beside| {
            if !self.rejected.is_whole(offset, value) {
                look_at(&mut decoder, (offset, value, beside), &self.rejected, &mut held);
                let compared = held.drain(..).filter(|found| self.is_compared(found.hour));
                compared.for_each(|found| gathered.add(&found));
            }
            gathered.go_on()
        })
    }

    fn is_compared(&self, hour: Option<Hour>) -> bool {
        hour.is_none_or(|hour| self.hours.contains(&hour) || !self.dropped.contains(&hour))
    }
}

impl LostSearch<'_> {
    /// # Errors
    /// Where the database or Kafka fails.
    pub async fn run(&self, db: &mut BatchDb) -> Result<Lost, Failure> {
        let mut lost = Lost::default();
        for partition in self.partitions() {
            let of = self.partition(partition);
            lost.messages.insert(partition, of.messages.clone());
            let (missing, own) = (holes(&of.messages), self.own_log(db, partition).await?);
            let in_log = self.in_log(db, partition, (&missing, &own)).await?;
            let beyond_log = missing.without_runs(&iter::once(own).collect());

            let (mut left, mut rejected) = self.without_gaps(db, &of, in_log, &mut lost).await?;
            if places::have_elements(&of.known) || places::have_elements(&rejected.places) {
                // Only Kafka tells whether the elements that are known or were rejected are all of
                // their message.
                rejected.places |= &of.known;
                rejected.messages |= &of.messages;
            } else {
                let rejected = std::mem::take(&mut rejected).messages;
                left = left.without(&of.messages).without(&rejected);
            }
            self.ask_log(db, &of, (left, rejected), &mut lost).await?;

            let (left, rejected) = self.without_gaps(db, &of, beyond_log, &mut lost).await?;
            let whole = rejected.messages - places::with_holes(&rejected.places);
            self.note_unaccounted(db, &of, &left.without(&whole), &mut lost).await?;
        }
        Ok(lost)
    }

    /// The offsets of Kafka's log that those of these hours are of. Of an earlier source it has
    /// none: where the hours have ticks of such, it is what lies between those of the newest.
    async fn own_log(&self, db: &mut BatchDb, partition: i32) -> Result<Range<u64>, Failure> {
        let Some(span) = self.spans.get(&partition) else {
            return Ok(0..0);
        };
        let log = span.low..span.high;
        let mut named = self.realtime.sources.values().flatten();
        let Some(newest) = self.newest_source.filter(|newest| !named.all(|of| of == newest)) else {
            return Ok(log);
        };
        let asked = (partition, Some(&[newest][..]));
        let spans = tables::source_spans(db, self.hours, asked).await?;
        let own = spans.first().cloned().unwrap_or_default();
        let start = log.start.max(own.start);
        Ok(start..log.end.min(own.end).max(start))
    }

    /// What Kafka is asked for: all that it took in these hours, and what is missing between known
    /// offsets and is nowhere else. A record's time is the producer's to say, so it may be any.
    async fn in_log(
        &self,
        db: &mut BatchDb,
        partition: i32,
        (missing, own): (&Runs, &Range<u64>),
    ) -> Result<Runs, Failure> {
        let Some(range) = self.spans.get(&partition).map(LogRange::range) else {
            return Ok(Runs::default());
        };
        let beyond = |run: Range<u64>| {
            [run.start..run.end.min(range.start), run.start.max(range.end)..run.end]
        };
        let between = runs::common(missing.iter(), iter::once(own.clone()));
        let beyond: Runs = between.flat_map(beyond).filter(|run| !run.is_empty()).collect();
        let beyond = match beyond.hull() {
            Some(hull) => beyond.without(&self.elsewhere(db, partition, hull).await?),
            None => beyond,
        };
        let is_before = |run: &Range<u64>| run.start < range.start;
        let (before, behind): (Vec<_>, Vec<_>) = beyond.iter().partition(is_before);
        let range = (!range.is_empty()).then_some(range);
        Ok(before.into_iter().chain(range).chain(behind).collect())
    }

    /// Which offsets any hour has, in `realtime_stock` or in the archive. Those of sources that
    /// these hours have no ticks of are other messages'.
    async fn elsewhere(
        &self,
        db: &mut BatchDb,
        partition: i32,
        hull: Range<u64>,
    ) -> Result<RoaringTreemap, Failure> {
        let named: BTreeSet<i16> = self.realtime.sources.values().flatten().copied().collect();
        let named: Vec<i16> = named.into_iter().collect();
        let are_told = self.newest_source.is_some() && !named.is_empty();
        let sources = if are_told { Some(&named[..]) } else { self.sources };
        let elsewhere = tables::realtime_anywhere(db, (partition, sources), hull).await?;
        let archived = self.archived.elsewhere.get(&partition).cloned().unwrap_or_default();
        Ok(elsewhere | archived)
    }

    fn partitions(&self) -> Vec<i32> {
        let held = [self.realtime, &self.archived.holdings]
            .into_iter()
            .flat_map(|side| side.hours.values());
        let mut partitions: Vec<i32> =
            held.flat_map(|hour| hour.partitions.keys().copied()).collect();
        partitions.extend(self.expired.keys().map(|(_, partition)| *partition));
        partitions.extend(self.spans.keys());
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    fn partition(&self, number: i32) -> PartitionOffsets {
        let held = self.realtime.hours.iter().chain(&self.archived.holdings.hours);
        let held =
            held.filter_map(|(hour, held)| Some((*hour, held.offsets.partition(number)?.clone())));
        let mut held: Vec<(Hour, RoaringTreemap)> = held.collect();
        let expired = self.expired.iter().filter(|((_, of), _)| *of == number);
        let known =
            held.iter().map(|(_, offsets)| offsets).chain(expired.map(|(_, places)| places));
        let mut known = known.fold(RoaringTreemap::new(), |known, offsets| known | offsets);
        let mut messages = places::messages(&known);
        // What is missing right after it lies in these hours, as far as is known.
        let before = self.earlier.before(number, &messages);
        if let Some(before) = before {
            held.push((self.hours.start, [before].into_iter().collect()));
            known.insert(before);
            messages.insert(before);
        }
        PartitionOffsets { number, known, messages, before, hours: KnownOffsets::of(held) }
    }

    /// The messages that the speed layer has read, and what was rejected of them, which is noted of
    /// those that are not known otherwise.
    async fn without_gaps(
        &self,
        db: &mut BatchDb,
        of: &PartitionOffsets,
        mut offsets: Runs,
        lost: &mut Lost,
    ) -> Result<(Runs, Rejected), Failure> {
        let partition = of.number;
        if let Some(gaps) = self.gaps.get(&partition) {
            offsets = offsets.without_runs(gaps);
        }
        let Some(hull) = offsets.hull() else {
            return Ok((offsets, Rejected::default()));
        };
        let rejected = tables::rejected(db, self.topic, partition, hull).await?;
        let places = offsets.of_messages(&rejected);
        let messages = places::messages(&places);
        let unknown = &messages - &of.messages;
        let untimed = self.count_by_time(db, partition, unknown, lost).await?;
        self.attribute(of, places::runs(&untimed), |hour, run| {
            lost.rejected.entry((hour, partition)).or_default().insert_range(run);
        });
        Ok((offsets, Rejected { places, messages, lengths: FxHashMap::default() }))
    }

    /// Notes rejected messages in the hours in which Kafka took them, other hours' in none. Gives
    /// those of which that is not known.
    async fn count_by_time(
        &self,
        db: &mut BatchDb,
        partition: i32,
        mut messages: RoaringTreemap,
        lost: &mut Lost,
    ) -> Result<RoaringTreemap, Failure> {
        for (offset, at) in tables::rejected_times(db, self.topic, partition, &messages).await? {
            messages.remove(offset);
            let hour = Hour::of(at);
            if self.hours.contains(&hour) {
                lost.rejected.entry((hour, partition)).or_default().insert(offset);
            }
        }
        Ok(messages)
    }

    async fn note_unaccounted(
        &self,
        db: &mut BatchDb,
        of: &PartitionOffsets,
        offsets: &Runs,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let between = self.between_sources(db, of, offsets).await?;
        let mut places = self.by_hour(of, &offsets.clone().without_runs(&between));
        places.retain(|(hour, _), _| !self.purged.contains(hour));
        let Some(hull) = runs::bounding_range(places.values().filter_map(Runs::hull)) else {
            return Ok(());
        };
        let elsewhere = self.elsewhere(db, of.number, hull).await?;
        for (place, offsets) in places {
            let left = offsets.without(&elsewhere);
            if !left.is_empty() {
                lost.unaccounted.insert(place, left);
            }
        }
        Ok(())
    }

    /// The offsets, of some, that lie between the ticks of two sources, and are missing in none.
    async fn between_sources(
        &self,
        db: &mut BatchDb,
        of: &PartitionOffsets,
        offsets: &Runs,
    ) -> Result<Runs, Failure> {
        if self.newest_source.is_none() || offsets.is_empty() {
            return Ok(Runs::default());
        }
        let asked = (of.number, self.sources);
        // The last tick of the hours before may be of a source that has none of these.
        let since = of.before.and_then(|before| self.earlier.in_realtime_since(of.number, before));
        let hours = since.unwrap_or(self.hours.start)..self.hours.end;
        let spans = tables::source_spans(db, &hours, asked).await?;
        // Of what the archive alone has nothing tells the source.
        let is_known = |offset: u64| {
            let mut held = self.realtime.hours.values();
            let is_here = held.any(|held| {
                held.offsets.partition(of.number).is_some_and(|all| all.contains(offset))
            });
            is_here || (since.is_some() && of.before == Some(offset))
        };
        let is_between = |run: &Range<u64>| {
            is_outside(run, &spans)
                && beside(&of.messages, run).is_some_and(|ticks| ticks.map(is_known) == [true; 2])
        };
        Ok(offsets.iter().filter(is_between).collect())
    }

    /// Offsets that are no ticks, with the hours that they lie in.
    fn by_hour(&self, of: &PartitionOffsets, offsets: &Runs) -> Holes {
        let mut holes = Holes::new();
        self.attribute(of, offsets.iter(), |hour, run| {
            holes.entry((hour, of.number)).or_default().push(run);
        });
        holes
    }

    /// Notes those that are no ticks of the hours that are looked at in the hours of their records,
    /// unless some side has them.
    async fn note_far(
        &self,
        db: &mut BatchDb,
        of: &PartitionOffsets,
        far: &OtherHours,
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let partition = of.number;
        let archived = self.archived.elsewhere.get(&partition);
        let mut held = RoaringTreemap::new();
        for (hour, offsets) in &far.hours {
            held |= tables::realtime_in(db, *hour, (partition, self.sources), offsets).await?;
        }
        let is_held = |offset| {
            held.contains(offset) || archived.is_some_and(|archived| archived.contains(offset))
        };
        let sides =
            [(&far.missing.lost, &mut lost.lost), (&far.missing.pending, &mut lost.pending)];
        for (found, noted) in sides {
            for place in found {
                let offset = Place::offset_of(place);
                if !is_held(offset)
                    && let Some(hour) = self.hour_near(of, offset)
                {
                    noted.entry((hour, partition)).or_default().insert(place);
                }
            }
            for places in noted.values_mut() {
                places.optimize();
            }
        }
        Ok(())
    }

    /// Looks in Kafka for what some messages hold that was not rejected.
    async fn ask_log(
        &self,
        db: &mut BatchDb,
        of: &PartitionOffsets,
        (offsets, mut rejected): (Runs, Rejected),
        lost: &mut Lost,
    ) -> Result<(), Failure> {
        let (Some(log), false) = (self.log, offsets.is_empty()) else {
            return Ok(());
        };
        let partition = of.number;
        rejected.lengths =
            tables::rejected_lengths(db, self.topic, partition, &rejected.messages).await?;
        let reading = Arc::new(LogScan {
            partition,
            offsets,
            rejected,
            rules: Arc::clone(self.rules),
            now: Timestamp::now(),
            hours: self.hours.clone(),
            dropped: tables::dropped_hours(db).await?,
        });
        let next = self.next_offsets.get(&partition).copied().unwrap_or(0);
        let (mut gathered, mut from) = (GatheredMissing::new(self.hours.clone(), next), Some(0));
        while let Some(start) = from {
            let (log, reading) = (Arc::clone(log), Arc::clone(&reading));
            let read = tokio::task::spawn_blocking(move || {
                let from = reading.go_on(&log, start, &mut gathered)?;
                anyhow::Ok((gathered, from))
            });
            let read = read.await.context("reading Kafka").and_then(|read| read);
            (gathered, from) = read.map_err(Failure::Infrastructure)?;
            let far = gathered.take_far();
            self.note_far(db, of, &far, lost).await?;
        }
        for (hour, missing) in gathered.into_hours() {
            let sides = [(missing.lost, &mut lost.lost), (missing.pending, &mut lost.pending)];
            for (found, noted) in sides.into_iter().filter(|(found, _)| !found.is_empty()) {
                *noted.entry((hour, partition)).or_default() |= found;
            }
        }
        Ok(())
    }

    /// Shows offsets that are no ticks, so that they have no hour of their own, with the hours that
    /// they lie in, in order. Those that follow one another share the hour of the tick before them,
    /// where nothing tells when Kafka took them.
    fn attribute(
        &self,
        of: &PartitionOffsets,
        offsets: impl Iterator<Item = Range<u64>>,
        mut each: impl FnMut(Hour, Range<u64>),
    ) {
        let starts = self.spans.get(&of.number).map_or(&[][..], |span| &span.starts);
        let mut neighbours = of.hours.neighbours();
        for run in offsets {
            let before = neighbours.before(run.start).map(|(_, hour)| hour);
            let cuts = if run.end - run.start > 1 { starts } else { &[] };
            let within = cuts.iter().copied().filter(|cut| (run.start + 1..run.end).contains(cut));
            let mut start = run.start;
            for end in within.chain([run.end]) {
                if let Some(hour) = self.hour_by_time(of.number, start).or(before)
                    && start < end
                {
                    each(hour, start..end);
                }
                start = end;
            }
        }
    }

    /// The hour in which Kafka took an offset, or, where that is not known, the hour of the last
    /// tick before it.
    fn hour_near(&self, of: &PartitionOffsets, offset: u64) -> Option<Hour> {
        let before = || of.hours.before(offset).map(|(_, hour)| hour);
        self.hour_by_time(of.number, offset).or_else(before)
    }

    /// The hour in which Kafka took an offset.
    fn hour_by_time(&self, partition: i32, offset: u64) -> Option<Hour> {
        let starts = &self.spans.get(&partition)?.starts;
        let number = starts.windows(2).position(|hour| (hour[0]..hour[1]).contains(&offset))?;
        Hour::each(self.hours.clone()).nth(number)
    }
}

/// Whether some offsets that follow one another lie in none of some spans.
fn is_outside(run: &Range<u64>, spans: &[Range<u64>]) -> bool {
    !spans.iter().any(|span| span.start < run.start && run.end < span.end)
}

/// The messages on either side of some that are missing.
fn beside(messages: &RoaringTreemap, run: &Range<u64>) -> Option<[u64; 2]> {
    let below = messages.rank(run.start);
    let after = messages.select(messages.rank(run.end - 1))?;
    Some([messages.select(below.checked_sub(1)?)?, after])
}

/// Offsets that are missing between known ones.
fn holes(known: &RoaringTreemap) -> Runs {
    let all = known.min().zip(known.max()).map(|(first, last)| first..last);
    runs::missing(all.into_iter(), places::runs(known)).collect()
}

/// Notes what a message of Kafka's holds. Of one that is known or was rejected in part, only its
/// other ticks are missing.
fn look_at(
    decoder: &mut Decoder,
    (offset, value, beside): (u64, Option<&[u8]>, &RecordContext<'_>),
    rejected: &Rejected,
    found: &mut Vec<UnaccountedRecord>,
) {
    let is_known = rejected.messages.contains(offset);
    let read = decoder.decode_each(value.unwrap_or_default(), beside, &mut |element| {
        let hour = element.read.ok().map(|record| Hour::of(record.tick.timestamp()));
        let element = places::number(offset, element.index);
        match is_known {
            false => found.push(UnaccountedRecord { place: offset, element, hour }),
            true if hour.is_some() && !rejected.places.contains(element) => {
                found.push(UnaccountedRecord { place: element, element, hour });
            }
            true => {}
        }
    });
    if read.is_err() && !is_known {
        found.push(UnaccountedRecord { place: offset, element: offset, hour: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::decode::Rules;

    const TICK: &str = r#"{"symbol":"A","timestamp":1748869200000,"open":1,"close":1,"volume":1}"#;

    /// The places that are missing of a message at offset 7, of which some elements were rejected.
    fn missing(message: &str, rejected: &[u16], first_length: Option<usize>) -> Vec<(u64, bool)> {
        let rejected = Rejected {
            places: rejected.iter().map(|index| places::number(7, *index)).collect(),
            messages: rejected.iter().map(|_| 7).collect(),
            lengths: first_length.map(|length| (7, length as i64)).into_iter().collect(),
        };
        let mut found = Vec::new();
        let value = Some(message.as_bytes());
        if !rejected.is_whole(7, value) {
            let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
            look_at(&mut decoder, (7, value, &RecordContext::NOTHING), &rejected, &mut found);
        }
        found.iter().map(|found| (found.place, found.hour.is_some())).collect()
    }

    #[test]
    fn holes_lie_between_known_offsets_however_far_apart() {
        let holes_of = |known: &[u64]| {
            let holes = super::holes(&known.iter().collect());
            (ends(&holes), holes.len())
        };
        assert_eq!(holes_of(&[3, 4, 7, 9]), (vec![(5, 7), (8, 9)], 3));
        assert_eq!(holes_of(&[3]), (vec![], 0));
        assert_eq!(holes_of(&[]), (vec![], 0));
        let far = (1 << 48) - 1;
        assert_eq!(holes_of(&[3, 5, far]), (vec![(4, 5), (6, far)], far - 5));
        for far in [1 << 33, 1 << 36, 1 << 40, 1 << 44] {
            assert_eq!(holes_of(&[0, far]), (vec![(1, far)], far - 1));
        }
    }

    fn ends(runs: &Runs) -> Vec<(u64, u64)> {
        runs.iter().map(|run| (run.start, run.end)).collect()
    }

    /// One object of hour 0 with ticks at some offsets, and nothing else.
    fn archived(offsets: &[u64]) -> Archived {
        let mut archived = Archived::default();
        let held = archived.holdings.hours.entry(Hour::of(Timestamp::from_micros(0))).or_default();
        for offset in offsets {
            held.offsets.insert(0, *offset);
        }
        held.offsets.flush();
        archived
    }

    /// The holes between some offsets, by hour.
    fn unaccounted(offsets: &[u64], starts: &[u64]) -> Holes {
        behind(&PreviousSpan::default(), offsets, starts)
    }

    /// The holes after hours that hold others.
    fn behind(earlier: &PreviousSpan, offsets: &[u64], starts: &[u64]) -> Holes {
        let first = Hour::of(Timestamp::from_micros(0));
        let span = LogRange { low: u64::MAX, high: u64::MAX, starts: starts.to_vec() };
        let (realtime, archived) = (Holdings::default(), archived(offsets));
        let search = LostSearch {
            topic: "t",
            sources: None,
            newest_source: None,
            hours: &(first..first.plus(2)),
            realtime: &realtime,
            archived: &archived,
            expired: &OffsetsByHour::new(),
            gaps: &NonTickOffsets::new(),
            earlier,
            next_offsets: &BTreeMap::new(),
            purged: &BTreeSet::new(),
            log: None,
            spans: &[(0, span)].into(),
            rules: &Arc::new(Rules::default()),
        };
        let of = search.partition(0);
        search.by_hour(&of, &holes(&of.messages))
    }

    #[test]
    fn holes_take_what_their_number_takes_and_not_their_width() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 24
        };
        let far: BTreeSet<u64> = (0..20_000).map(|_| next()).collect();
        let far: Vec<u64> = far.into_iter().collect();
        for offsets in [(0..1_000).map(|number| number << 30).collect(), far] {
            let holes = unaccounted(&offsets, &[]);
            assert_eq!(holes.len(), 1, "all lie behind ticks of one hour");
            let holes = &holes[&(Hour::of(Timestamp::from_micros(0)), 0)];
            let (apart, runs) = holes.kept();
            assert!(apart < 100 && runs < offsets.len(), "{apart} {runs}");
            let width = offsets[offsets.len() - 1] - offsets[0] + 1;
            assert_eq!(holes.len(), width - offsets.len() as u64);
        }
    }

    #[test]
    fn a_hole_behind_the_hours_before_is_one_of_the_first_hour() {
        let first = Hour::of(Timestamp::from_micros(0));
        let after = |before: &[(i32, u64)]| {
            let mut earlier = PreviousSpan::default();
            before.iter().for_each(|(of, last)| earlier.add(*of, &[*last].into_iter().collect()));
            earlier
        };
        let holes = behind(&after(&[(0, 49), (1, 7)]), &[100, 101, 103], &[]);
        let found: Vec<_> =
            holes.into_iter().map(|((hour, _), runs)| (hour, ends(&runs))).collect();
        assert_eq!(found, [(first, vec![(50, 100), (102, 103)])]);
        // Late ticks, and a topic that was created again.
        for newest in [100, 101, 102, 500] {
            let holes = behind(&after(&[(0, newest)]), &[100, 101, 103], &[]);
            assert_eq!(ends(&holes[&(first, 0)]), [(102, 103)], "{newest}");
        }
        assert!(behind(&after(&[(0, 99)]), &[100, 101], &[]).is_empty());
        // A late tick of the hours before, and elements of a message whose first one is missing.
        let mut earlier = after(&[(0, 49)]);
        earlier.add(0, &[49, 102].into_iter().collect());
        let element = places::number(100, 1);
        for offsets in [[100, 101, 103], [element, 101, 103]] {
            let holes = behind(&earlier, &offsets, &[]);
            let first_hole = holes[&(first, 0)].iter().next();
            assert_eq!(first_hole, Some(50..100), "{offsets:?}");
        }
        earlier.add(0, &[200].into_iter().collect());
        let far = behind(&earlier, &[places::number(100, 1)], &[]);
        assert!(far.is_empty(), "what lies behind is not before: {far:?}");
    }

    #[test]
    fn between_the_spans_of_two_sources_nothing_is_missing() {
        let (new, old) = (0..50, 400..500);
        let spans = [old, new];
        let messages = (0_u64..20).chain(25..50).chain(400..500).collect();
        for (run, ticks, is_within) in [
            (20..25, Some([19, 25]), true),
            (50..400, Some([49, 400]), false),
            // What was rejected is taken out of a hole.
            (60..70, Some([49, 400]), false),
            (500..510, None, false),
        ] {
            assert_eq!(beside(&messages, &run), ticks, "{run:?}");
            assert_eq!(is_outside(&run, &spans), !is_within, "{run:?}");
        }
        assert!(!is_outside(&(50..400), &[0..450, 400..500]), "one has ticks on either side");
    }

    #[test]
    fn holes_are_cut_where_kafkas_hours_begin() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let far = 1 << 40;
        let holes = unaccounted(&[0, far], &[2, 1_000, far]);
        let found: Vec<_> =
            holes.into_iter().map(|((hour, _), runs)| (hour, ends(&runs))).collect();
        // Before the first of them the tick before tells the hour.
        assert_eq!(found, [(hour(0), vec![(1, 1_000)]), (hour(1), vec![(1_000, far)])]);
    }

    #[test]
    fn of_a_message_that_was_rejected_in_part_the_other_ticks_are_missing() {
        let message = format!("[{TICK},{{}},{TICK}]");
        let of = |index| (places::number(7, index), true);
        assert_eq!(missing(&message, &[1], None), [of(0), of(2)]);
        assert_eq!(missing(&message, &[0, 1], Some(TICK.len())), [of(2)]);
        assert_eq!(missing(&message, &[0, 1, 2], Some(TICK.len())), []);
        // By other flags it was no message at all.
        assert_eq!(missing(&message, &[0], Some(message.len())), []);
        // Of very many broken elements only the first are kept.
        assert_eq!(missing(&format!("[{{}},{{}},{TICK}]"), &[0], Some(2)), [of(2)]);
    }

    #[test]
    fn a_message_of_which_nothing_was_rejected_is_missing_as_a_whole() {
        assert_eq!(missing(TICK, &[], None), [(7, true)]);
        assert_eq!(missing(&format!("[{TICK},{{}}]"), &[], None), [(7, true), (7, false)]);
        assert_eq!(missing("no tick", &[], None), [(7, false)]);
        assert_eq!(missing("no tick", &[0], Some(7)), []);
        assert_eq!(missing(TICK, &[0], Some(TICK.len())), []);
    }
}
