//! Compares the two sides of an hour.

use crate::lost::Lost;
use crate::outcome::{PartitionOutcome, Status};
use crate::rejects::NonTicks;
use crate::tables::NonTickOffsets;
use hourly::holdings::{
    HourHoldings, OffsetsByHour, PartitionHoldings, PresumedRange, block_offsets,
};
use hourly::hour::Hour;
use hourly::scan::places;
use roaring::RoaringTreemap;
use service::words::{counted, inflected};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Ranges of offsets that are named; of more, only their number is.
const RANGES_NAMED: usize = 5;

/// Cure if the layers read by other flags.
pub const SAME_FLAGS: &str =
    "give speed-layer, batch-layer and verify the same flags about messages";

/// So many ticks whose values differ, and most of those that were looked up, were changed by
/// nobody.
const MANY_DIFFER: u64 = 10;

/// Ticks of which both values are shown.
const TICKS_SHOWN: usize = 5;

/// Ticks of objects that have expired and whose lines had no offsets: of them only the number is
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredTickCount {
    None,
    /// Of which partitions they are is known, too.
    ByPartition,
    /// The hour has as many more ticks in `realtime_stock` than in the archive.
    AsMany,
    /// It has more or fewer than these.
    Otherwise(u64),
    /// The archive has changed since the hour was computed.
    Unknown,
}

/// Objects that have expired and had no offsets, by hour and partition, each by what its name
/// tells.
pub type ExpiredWithoutOffsets = BTreeMap<(Hour, i32), Vec<PresumedRange>>;

/// Everything that the comparison of one topic and hour uses.
pub struct HourComparison<'a> {
    pub hour: Hour,
    pub topic: &'a str,
    /// `None` where retention has dropped the day.
    pub realtime: Option<&'a HourHoldings>,
    pub archive: &'a HourHoldings,
    /// Why the archive's side is not complete.
    pub unread: Option<&'a str>,
    pub lost: &'a Lost,
    pub gaps: &'a NonTickOffsets,
    /// The speed layer's next offset, by partition.
    pub next_offsets: &'a BTreeMap<i32, u64>,
    /// The newest offset in the archive, by partition.
    pub newest: &'a BTreeMap<i32, u64>,
    /// Kafka's offsets of the hour, by partition.
    pub kafka: BTreeMap<i32, (u64, u64)>,
    /// Where Kafka's log ends, by partition.
    pub kafka_ends: BTreeMap<i32, u64>,
    /// Ticks that were archived once, of hours of which objects have expired.
    pub expired: &'a OffsetsByHour,
    /// The ticks of expired objects that are not among them.
    pub expired_ticks: ExpiredTickCount,
    pub expired_without_offsets: &'a ExpiredWithoutOffsets,
    /// Lines without offsets may be of records that others tell, or that the lake has: no run has
    /// taken them in.
    pub may_be_twice: bool,
    /// Ticks of the archive that the speed layer has rejected.
    pub parsed_otherwise: &'a OffsetsByHour,
    /// Those that are ticks by the flags of this comparison.
    pub rejected_ticks: &'a OffsetsByHour,
    /// Those of which that is not known.
    pub rejected_unread: &'a OffsetsByHour,
    /// The places that both sides have in blocks in which one of them has others, too, by their
    /// checksums alone.
    pub blurred: Option<[&'a HourHoldings; 2]>,
    /// Values of some of the ticks in blocks whose values differ.
    pub differing_values: Option<[&'a HourHoldings; 2]>,
    /// Behind the archive's last line of each partition, where lines do not tell their offsets.
    pub presumed_ends: &'a BTreeMap<i32, u64>,
    /// Lines of the archive that are no ticks, as far as `realtime_stock` has ticks of them.
    pub non_ticks: &'a NonTicks,
    /// Kafka has answered what it has.
    pub is_kafka_asked: bool,
}

/// Expired ticks of a partition whose objects had no offsets.
#[derive(Debug, Default, Clone, Copy)]
struct ExpiredTicks {
    ticks: u64,
    /// They reach at least to before this offset.
    end: u64,
    /// As many of the ticks, or fewer, the speed layer may not have come to.
    unread: u64,
}

/// Comparison of the values of both sides' ticks.
#[derive(Default)]
pub struct ValueComparison {
    /// Places in blocks whose values differ.
    pub differing: RoaringTreemap,
    differing_blocks: u64,
    rounded_blocks: u64,
    /// Places that both sides have, in blocks in which one of them has others, too.
    blurred: RoaringTreemap,
}

/// What one side holds of a partition in an hour.
struct Side<'a> {
    offsets: RoaringTreemap,
    holdings: &'a PartitionHoldings,
}

impl<'a> Side<'a> {
    fn of(hour: &'a HourHoldings, partition: i32) -> Option<Self> {
        let holdings = hour.partitions.get(&partition)?;
        Some(Self { offsets: hour.offsets(partition), holdings })
    }
}

impl ValueComparison {
    /// Compares what both sides hold of a partition.
    pub fn compare_sides(&mut self, [realtime, archive]: [&HourHoldings; 2], partition: i32) {
        let (realtime, archive) = (Side::of(realtime, partition), Side::of(archive, partition));
        if let (Some(realtime), Some(archive)) = (realtime, archive) {
            self.compare(&realtime, &archive);
        }
    }

    /// Compares the blocks of both sides that hold the same places.
    fn compare(&mut self, realtime: &Side<'_>, archive: &Side<'_>) {
        for (block, checksum) in &realtime.holdings.blocks {
            let other = archive.holdings.blocks.get(block);
            let Some(other) = other.filter(|other| *other != checksum) else {
                continue;
            };
            let mut offsets = RoaringTreemap::new();
            offsets.insert_range(block_offsets(*block));
            let held = &offsets & &realtime.offsets;
            offsets &= &archive.offsets;
            if held != offsets {
                self.blurred |= held & offsets;
            } else if checksum.as_floats == other.as_floats {
                self.rounded_blocks += 1;
            } else {
                self.differing_blocks += 1;
                self.differing |= held;
            }
        }
    }
}

impl HourComparison<'_> {
    /// Compares each partition.
    #[must_use]
    pub fn compare(&self) -> Vec<PartitionOutcome> {
        let held = self
            .realtime
            .into_iter()
            .chain([self.archive])
            .flat_map(|side| side.partitions.keys().copied());
        let in_kafka =
            self.kafka.iter().filter(|(_, (from, to))| from < to).map(|(partition, _)| *partition);
        let lost = [&self.lost.lost, &self.lost.pending, self.expired];
        let lost = lost.into_iter().flat_map(BTreeMap::keys).chain(self.lost.unaccounted.keys());
        let lost = lost.filter(|(hour, _)| *hour == self.hour);
        let partitions: BTreeSet<i32> =
            held.chain(in_kafka).chain(lost.map(|(_, partition)| *partition)).collect();
        partitions.into_iter().map(|partition| self.compare_partition(partition)).collect()
    }

    fn compare_partition(&self, partition: i32) -> PartitionOutcome {
        let nothing = PartitionHoldings::default();
        let archive = self.archive.partitions.get(&partition).unwrap_or(&nothing);
        let realtime =
            self.realtime.map(|side| side.partitions.get(&partition).unwrap_or(&nothing));
        let mut outcome = self.counts(partition, realtime, archive);
        if let Some(why) = self.unread {
            outcome.find(Status::Open, not_all_read(why));
        }
        match (self.realtime, realtime) {
            (Some(_), Some(realtime)) if self.lacks_offsets(partition, archive) => {
                self.compare_without_offsets(&mut outcome, realtime, archive);
            }
            (Some(side), Some(realtime)) => {
                self.compare_offsets(
                    &mut outcome,
                    &side.offsets(partition),
                    &self.archive.offsets(partition),
                );
                self.compare_values(&mut outcome, (side, realtime), archive);
            }
            _ => self.compare_purged(&mut outcome),
        }
        if let Some(PartitionHoldings { duplicates: count @ 1.., doubled, .. }) = realtime {
            let what =
                "row[s] of realtime_stock [stands|stand] for a record that has a row already";
            outcome.find(
                Status::Mismatch,
                format!("{}: {}", inflected(*count, what), ranges(doubled)),
            );
        }
        if archive.duplicates > 0 {
            let what = "line[s] of the archive [stands|stand] for a record that has a line \
                        already, and [is|are] left out";
            outcome.find(Status::Ok, inflected(archive.duplicates, what));
        }
        self.compare_lost(&mut outcome);
        outcome
    }

    fn counts(
        &self,
        partition: i32,
        realtime: Option<&PartitionHoldings>,
        archive: &PartitionHoldings,
    ) -> PartitionOutcome {
        // Places are compared where the archive tells them; otherwise the checksums are those
        // without.
        let checksum = |held: &PartitionHoldings| {
            if archive.without_offsets > 0 { held.content } else { held.checksum }
        };
        let hex = |held: &PartitionHoldings| format!("{:016x}", checksum(held).as_floats);
        let kafka = self.kafka.get(&partition);
        PartitionOutcome {
            topic: self.topic.to_owned(),
            partition,
            status: Status::Ok,
            kafka_from: kafka.map(|(from, _)| *from),
            kafka_to: kafka.map(|(_, to)| *to),
            realtime_ticks: realtime.map(|held| held.ticks),
            archive_ticks: archive.ticks,
            realtime_duplicates: realtime.map_or(0, |held| held.duplicates),
            archive_duplicates: archive.duplicates,
            rejected: self.at(&self.lost.rejected, partition).map_or(0, RoaringTreemap::len),
            skipped: 0,
            unwritten: 0,
            missing_in_realtime: 0,
            missing_in_archive: 0,
            missing_everywhere: 0,
            differing_blocks: 0,
            realtime_checksum: realtime.map(hex),
            archive_checksum: hex(archive),
            details: Vec::new(),
        }
    }

    fn at<'p>(&self, places: &'p OffsetsByHour, partition: i32) -> Option<&'p RoaringTreemap> {
        places.get(&(self.hour, partition))
    }

    fn lacks_offsets(&self, partition: i32, archive: &PartitionHoldings) -> bool {
        archive.without_offsets > 0
            || archive.ticks == 0
                && (matches!(self.expired_ticks, ExpiredTickCount::Otherwise(_))
                    || self.gone(partition).ticks > 0)
    }

    /// Expired ticks of a partition whose objects had no offsets, as far as they are known.
    fn gone(&self, partition: i32) -> ExpiredTicks {
        let objects = self.expired_without_offsets.get(&(self.hour, partition));
        let is_known = self.expired_ticks == ExpiredTickCount::ByPartition;
        let next = self.next_offset(partition);
        let mut gone = ExpiredTicks::default();
        for presumed in objects.into_iter().flatten().filter(|_| is_known) {
            gone.ticks += presumed.ticks;
            gone.end = gone.end.max(presumed.end);
            gone.unread += if presumed.end > next { presumed.ticks } else { 0 };
        }
        gone
    }

    /// How many ticks of a partition have expired whose places are known.
    fn expired_with_offsets(&self, partition: i32) -> u64 {
        let expired = self.at(self.expired, partition);
        expired.map_or(0, |expired| expired.difference_len(&self.archive.offsets(partition)))
    }

    /// Without places, equal numbers and equal content are all that can be asked for; where a part
    /// has expired, the number alone.
    fn compare_without_offsets(
        &self,
        outcome: &mut PartitionOutcome,
        realtime: &PartitionHoldings,
        archive: &PartitionHoldings,
    ) {
        if self.unread.is_some() {
            return;
        }
        let expired = self.expired_with_offsets(outcome.partition);
        let gone = self.gone(outcome.partition).ticks;
        let (rows, lines) = (realtime.ticks, archive.ticks + expired + gone);
        if rows > lines && self.explains_unplaced(outcome, rows - lines) {
            return;
        }
        if rows < lines && self.may_be_twice {
            let detail = format!(
                "realtime_stock has {rows} ticks, the archive {lines}, of which some may be there \
                 twice: lines without offsets may be of records that it has already, and \
                 batch-layer has not taken them in"
            );
            outcome.find(Status::Open, detail);
        } else if let Some(pending) = self.pending(outcome.partition, (rows, lines), archive) {
            outcome.find(Status::Open, pending);
        } else if rows != lines {
            outcome.missing_in_realtime = lines.saturating_sub(rows);
            outcome.missing_in_archive = rows.saturating_sub(lines);
            let beside = match self.expired_ticks {
                ExpiredTickCount::Otherwise(gone) => format!(
                    ", and objects that have expired held {} of the hour whose lines told none",
                    counted(gone, "tick")
                ),
                _ if gone > 0 => {
                    format!(", {} of them in objects that have expired", counted(gone, "tick"))
                }
                _ => String::new(),
            };
            let detail = format!(
                "realtime_stock has {rows} ticks, the archive {lines}; its lines do not tell their \
                 offsets, so they cannot be named{beside}"
            );
            outcome.find(Status::Mismatch, detail);
        } else if gone > 0 {
            Self::note_unplaced(outcome, gone);
        } else if expired == 0 && realtime.content.as_floats != archive.content.as_floats {
            outcome.differing_blocks = 1;
            outcome.find(
                Status::Mismatch,
                "both sides have as many ticks, but their values differ".into(),
            );
        }
    }

    /// Explains `count` ticks found only in realtime_stock as ones from expired objects without
    /// offsets. Returns `false` if that cannot be the explanation.
    fn explains_unplaced(&self, outcome: &mut PartitionOutcome, count: u64) -> bool {
        match self.expired_ticks {
            ExpiredTickCount::AsMany => Self::note_unplaced(outcome, count),
            // Ticks of other places, or partitions, wait for something.
            ExpiredTickCount::Otherwise(gone) if gone == count => {
                Self::note_unplaced(outcome, count)
            }
            ExpiredTickCount::Unknown => {
                let ticks = counted(count, "tick");
                let detail = format!(
                    "{ticks} of realtime_stock may have been in objects that have expired: run \
                     batch-layer"
                );
                outcome.find(Status::Open, detail);
            }
            ExpiredTickCount::None
            | ExpiredTickCount::ByPartition
            | ExpiredTickCount::Otherwise(_) => return false,
        }
        true
    }

    fn note_unplaced(outcome: &mut PartitionOutcome, count: u64) {
        let detail = format!(
            "{} in objects that have expired, whose lines had no offsets: \
             only the hour's number of ticks is compared",
            inflected(count, "tick[s] of realtime_stock [was|were]")
        );
        outcome.find(Status::Ok, detail);
    }

    /// Words where what one side has not come to yet explains that it has fewer ticks, as far as
    /// the names of objects and Kafka tell.
    fn pending(
        &self,
        partition: i32,
        (rows, lines): (u64, u64),
        archive: &PartitionHoldings,
    ) -> Option<String> {
        let (gone, expired) = (self.gone(partition), self.at(self.expired, partition));
        let (side, most) = if rows < lines {
            let next = self.next_offset(partition);
            let mut placed = self.archive.offsets(partition);
            expired.into_iter().for_each(|expired| placed |= expired);
            let in_kafka = self.at(&self.lost.pending, partition).map_or(0, RoaringTreemap::len);
            let unplaced = if self.kafka_ends.contains_key(&partition) {
                in_kafka
            } else {
                archive.presumed_from(next) + gone.unread
            };
            ("the speed layer", places::from(&placed, next).len() + unplaced)
        } else {
            let end = self.presumed_ends.get(&partition).copied().unwrap_or(0).max(gone.end);
            let offsets = self.realtime.map(|side| places::from(&side.offsets(partition), end));
            let mut offsets = offsets.unwrap_or_default();
            if let Some(expired) = expired {
                offsets -= expired;
            }
            ("the sink", offsets.len())
        };
        let count = rows.abs_diff(lines);
        let waiting = inflected(count, "tick[s] [waits|wait]");
        let words = format!(
            "realtime_stock has {rows} ticks, the archive {lines}, whose lines do not tell their \
             offsets: {waiting} for {side}, as far as can be told"
        );
        let is_known =
            matches!(self.expired_ticks, ExpiredTickCount::None | ExpiredTickCount::ByPartition);
        (0 < count && count <= most && is_known).then_some(words)
    }

    /// The speed layer's.
    fn next_offset(&self, partition: i32) -> u64 {
        self.next_offsets.get(&partition).copied().unwrap_or(0)
    }

    fn compare_offsets(
        &self,
        outcome: &mut PartitionOutcome,
        realtime: &RoaringTreemap,
        archive: &RoaringTreemap,
    ) {
        let nothing = RoaringTreemap::new();
        let expired = self.at(self.expired, outcome.partition).unwrap_or(&nothing);
        self.compare_missing_in_realtime(outcome, (archive | expired) - realtime, archive);
        if self.unread.is_none() {
            self.compare_missing_in_archive(outcome, (realtime - archive) - expired);
        }
    }

    /// `missing`: places of the archive's ticks, or of expired ones, that `realtime_stock` lacks.
    fn compare_missing_in_realtime(
        &self,
        outcome: &mut PartitionOutcome,
        mut missing: RoaringTreemap,
        archive: &RoaringTreemap,
    ) {
        self.explain_missing(outcome, &mut missing);
        let pending = split_off(&mut missing, self.next_offset(outcome.partition));
        outcome.missing_in_realtime = missing.len();
        let (there, gone) = (&missing & archive, &missing - archive);
        name(
            outcome,
            Status::Mismatch,
            &there,
            "tick[s] of the archive [is|are] not in realtime_stock",
        );
        name(
            outcome,
            Status::Mismatch,
            &gone,
            "tick[s] of objects that have expired [is|are] not in realtime_stock",
        );
        name(
            outcome,
            Status::Open,
            &pending,
            "tick[s] of the archive [waits|wait] for the speed layer",
        );
    }

    /// `missing`: places of ticks of `realtime_stock` that the archive lacks, and that no expired
    /// object is known to have held.
    fn compare_missing_in_archive(
        &self,
        outcome: &mut PartitionOutcome,
        mut missing: RoaringTreemap,
    ) {
        let partition = outcome.partition;
        outcome.missing_in_archive = missing.len();
        self.explain_non_ticks(outcome, &mut missing);
        if !missing.is_empty() && self.explains_unplaced(outcome, missing.len()) {
            outcome.missing_in_archive -= missing.len();
            return;
        }
        let gone = self.gone(partition);
        let after_newest = self.newest.get(&partition).map_or(0, |newest| newest + 1).max(gone.end);
        let mut pending = split_off(&mut missing, after_newest);
        // The tables were read before Kafka was asked.
        let end = self.kafka_ends.get(&partition).copied().unwrap_or(u64::MAX);
        let beyond = split_off(&mut pending, end.max(after_newest));
        outcome.missing_in_archive -= pending.len();
        self.compare_gone(outcome, gone, (&mut missing, &mut pending));
        if !missing.is_empty() && self.explains_unplaced(outcome, missing.len()) {
            outcome.missing_in_archive -= missing.len();
            missing.clear();
        }
        let what = match self.expired_ticks {
            ExpiredTickCount::Otherwise(gone) => format!(
                "tick[s] of realtime_stock [is|are] in no object that is there, and those that \
                 have expired held {} of the hour whose lines had no offsets",
                counted(gone, "tick")
            ),
            _ if gone.ticks > 0 => format!(
                "tick[s] of realtime_stock [is|are] in no object that is there, and those that \
                 have expired held {} whose lines had no offsets",
                counted(gone.ticks, "tick")
            ),
            _ => "tick[s] of realtime_stock [is|are] not in the archive".to_owned(),
        };
        name(outcome, Status::Mismatch, &missing, &what);
        name(
            outcome,
            Status::Mismatch,
            &beyond,
            "tick[s] of realtime_stock [has an offset|have offsets] that Kafka does not have yet",
        );
        let what = "tick[s] of realtime_stock [waits|wait] for the sink, unless that has passed \
                    them and their objects are lost";
        name(outcome, Status::Open, &pending, what);
    }

    /// Takes as many of realtime_stock's ticks as expired objects without offsets held out of those
    /// that are in no object that is there: `missing`, and after the archive's last ones
    /// `pending`. Names tell the least that an object reaches to, so some of those may be after.
    fn compare_gone(
        &self,
        outcome: &mut PartitionOutcome,
        ExpiredTicks { ticks, unread, .. }: ExpiredTicks,
        (missing, pending): (&mut RoaringTreemap, &mut RoaringTreemap),
    ) {
        if ticks == 0 || missing.len() > ticks {
            return;
        }
        let behind = (ticks - missing.len()).min(pending.len());
        let explained = missing.len() + behind;
        outcome.missing_in_archive -= missing.len();
        missing.clear();
        match pending.select(behind) {
            Some(next) => drop(pending.remove_range(..next)),
            None => pending.clear(),
        }
        if explained > 0 {
            Self::note_unplaced(outcome, explained);
        }
        let lacks = ticks - explained;
        if lacks > 0 && lacks <= unread {
            let what = "tick[s] of objects that have expired, whose lines had no offsets, \
                        [waits|wait] for the speed layer, as far as can be told";
            outcome.find(Status::Open, inflected(lacks, what));
        } else if lacks > 0 {
            outcome.missing_in_realtime += lacks;
            let what = "tick[s] of objects that have expired, whose lines had no offsets, [is|are] \
                        not in realtime_stock";
            outcome.find(Status::Mismatch, inflected(lacks, what));
        }
    }

    /// Takes those of realtime_stock's ticks out of `missing` whose lines the archive has: it
    /// misses none, and nothing of them will come.
    fn explain_non_ticks(&self, outcome: &mut PartitionOutcome, missing: &mut RoaringTreemap) {
        for (places, why) in self.non_ticks.among(outcome.partition, missing) {
            *missing -= &places;
            let what = "tick[s] of realtime_stock [is|are] rejected in the archive, which has [its \
                        line|their lines]";
            let detail = format!(
                "{}: {}; the first for {why}: {SAME_FLAGS}, and let the sink keep the keys and \
                 times that these need",
                inflected(places.len(), what),
                ranges(&places)
            );
            outcome.find(Status::Mismatch, detail);
        }
    }

    /// Where retention has dropped the ticks, only those are known to be missing that the speed
    /// layer has noted as such.
    fn compare_purged(&self, outcome: &mut PartitionOutcome) {
        outcome.find(
            Status::Purged,
            "retention has dropped the ticks of this day from realtime_stock".into(),
        );
        let mut left = self.archive.offsets(outcome.partition);
        if let Some(expired) = self.at(self.expired, outcome.partition) {
            left |= expired;
        }
        let all = left.len();
        self.explain_missing(outcome, &mut left);
        outcome.unwritten = all - left.len();
    }

    /// Takes those of the archive's ticks out of `missing` of which the tables say why the speed
    /// layer has not written them.
    fn explain_missing(&self, outcome: &mut PartitionOutcome, missing: &mut RoaringTreemap) {
        let partition = outcome.partition;
        if let Some(gaps) = self.gaps.get(&partition) {
            let skipped = gaps.of_messages(missing);
            outcome.skipped = skipped.len();
            *missing -= skipped;
        }
        if let Some(rejected) = self.at(self.parsed_otherwise, partition) {
            *missing -= rejected;
            let what = "tick[s] of the archive [stands|stand] in rejected_ticks: Connect's parser \
                        takes what the speed layer rejects (docs/message-format.md)";
            name(outcome, Status::Ok, rejected, what);
        }
        if let Some(ticks) = self.at(self.rejected_ticks, partition) {
            *missing -= ticks;
            let what = format!(
                "tick[s] of the archive [stands|stand] in rejected_ticks and [is a tick|are ticks] \
                 by these flags: {SAME_FLAGS}"
            );
            name(outcome, Status::Mismatch, ticks, &what);
        }
        if let Some(unread) = self.at(self.rejected_unread, partition) {
            *missing -= unread;
            let what = "tick[s] of the archive [stands|stand] in rejected_ticks, which did not \
                        keep them whole, or are too many to be looked at";
            name(outcome, Status::Open, unread, what);
        }
    }

    /// Looks for ticks of the same place and other values.
    fn compare_values(
        &self,
        outcome: &mut PartitionOutcome,
        (side, realtime): (&HourHoldings, &PartitionHoldings),
        archive: &PartitionHoldings,
    ) {
        let (partition, mut values) = (outcome.partition, ValueComparison::default());
        let realtime = Side { offsets: side.offsets(partition), holdings: realtime };
        let archive = Side { offsets: self.archive.offsets(partition), holdings: archive };
        values.compare(&realtime, &archive);
        let blurred = std::mem::take(&mut values.blurred);
        let uncompared = blurred - self.compare_again(partition, &mut values);
        outcome.differing_blocks = values.differing_blocks;
        self.name_differing(outcome, &values.differing);
        let what = "tick[s] of both sides could not be compared by their values, because the \
                    archive has changed meanwhile: verify again";
        name(outcome, Status::Open, &uncompared, what);
        if values.rounded_blocks > 0 {
            let blocks = values.rounded_blocks;
            let detail = format!(
                "{blocks} blocks have prices that differ below what a 64-bit float can tell"
            );
            outcome.find(Status::Ok, detail);
        }
    }

    /// Names the ticks of `differing` blocks that differ, as far as they were looked up.
    fn name_differing(&self, outcome: &mut PartitionOutcome, differing: &RoaringTreemap) {
        let partition = outcome.partition;
        let [ours, theirs] = match self
            .differing_values
            .map(|sides| sides.map(|side| side.partitions.get(&partition)))
        {
            Some([Some(ours), Some(theirs)]) => [&ours.values, &theirs.values],
            _ => [&BTreeMap::new(), &BTreeMap::new()],
        };
        let both = ours.iter().filter_map(|(place, ours)| Some((*place, ours, theirs.get(place)?)));
        let mut left = differing.clone();
        let others: Vec<_> = both
            .clone()
            .filter(|(_, ours, theirs)| ours.checksum.as_floats != theirs.checksum.as_floats)
            .collect();
        let looked_up = both.clone().count() as u64;
        if !others.is_empty() {
            left -= both.map(|(place, ..)| place).collect::<RoaringTreemap>();
        }
        let places: RoaringTreemap = others.iter().map(|(place, ..)| *place).collect();
        name(
            outcome,
            Status::Mismatch,
            &places,
            "tick[s] [has|have] other values in realtime_stock than in the archive",
        );
        if places.len() >= MANY_DIFFER && places.len() * 2 > looked_up {
            let detail = format!(
                "{} of the {looked_up} that were looked up differ: rather the layers read them by \
                 other flags: {SAME_FLAGS}",
                places.len()
            );
            outcome.find(Status::Mismatch, detail);
        }
        for (place, ours, theirs) in others.into_iter().take(TICKS_SHOWN) {
            let (place, ours, theirs) = (places::text(place), &ours.text, &theirs.text);
            let detail = format!("offset {place}: realtime_stock has {ours}, the archive {theirs}");
            outcome.find(Status::Mismatch, detail);
        }
        name(
            outcome,
            Status::Mismatch,
            &left,
            "offset[s] [holds|hold] at least one tick whose values differ",
        );
    }

    /// Compares what was read again; gives the places that were compared by it.
    fn compare_again(&self, partition: i32, values: &mut ValueComparison) -> RoaringTreemap {
        let sides = self.blurred.map(|sides| sides.map(|side| Side::of(side, partition)));
        let Some([Some(realtime), Some(archive)]) = sides else {
            return RoaringTreemap::new();
        };
        values.compare(&realtime, &archive);
        (realtime.offsets & archive.offsets) - &values.blurred
    }

    /// Whether objects whose lines have no offsets have these by their names.
    fn are_presumed(&self, partition: i32, offsets: &RoaringTreemap) -> bool {
        let there = self.archive.partitions.get(&partition).into_iter().flat_map(|of| &of.presumed);
        let gone = self.expired_without_offsets.get(&(self.hour, partition)).into_iter().flatten();
        let mut left = places::messages(offsets);
        for PresumedRange { start, end, .. } in there.chain(gone) {
            left.remove_range(start..end);
        }
        left.is_empty()
    }

    fn compare_lost(&self, outcome: &mut PartitionOutcome) {
        let (lost, partition) = (self.lost, outcome.partition);
        // Where the rows were dropped, nothing tells whose lines those without offsets are.
        let archive =
            self.archive.partitions.get(&partition).map_or(0, |held| held.without_offsets);
        let unplaced = archive + self.gone(partition).ticks;
        let is_explained = |offsets: &RoaringTreemap| {
            self.realtime.is_none() && (1..=unplaced).contains(&offsets.len())
        };
        let found = self.at(&lost.lost, partition);
        if let Some(offsets) = found.filter(|offsets| is_explained(offsets)) {
            let what = "record[s] of Kafka [is|are] in no table, and the archive has as many whose \
                        lines have no offsets";
            let status =
                if self.are_presumed(partition, offsets) { Status::Ok } else { Status::Open };
            outcome.find(status, inflected(offsets.len(), what));
        } else if let Some(offsets) = found {
            outcome.missing_everywhere = offsets.len();
            name(
                outcome,
                Status::Mismatch,
                offsets,
                "record[s] of Kafka [is|are] neither in a table nor in the archive",
            );
        }
        if let Some(offsets) = self.at(&lost.pending, partition) {
            name(
                outcome,
                Status::Open,
                offsets,
                "tick[s] of Kafka [waits|wait] for the speed layer",
            );
        }
        if let Some(offsets) = lost.unaccounted.get(&(self.hour, partition)) {
            let what = if self.is_kafka_asked {
                "offset[s] [is|are] in no table and not in the archive, and Kafka no longer has \
                 [it|them]: nobody can tell whether of ticks"
            } else {
                "offset[s] [is|are] in no table and not in the archive; only Kafka could tell \
                 whether of ticks (--kafka-brokers)"
            };
            let count = inflected(offsets.len(), what);
            outcome.find(Status::Open, format!("{count}: {}", named(offsets.iter())));
        }
    }
}

/// Describes an object or a folder that cannot be read.
#[must_use]
pub fn not_all_read(why: &str) -> String {
    format!("not all of the archive was read: {why}")
}

/// Takes the places of messages from `start` on out of a set.
fn split_off(places: &mut RoaringTreemap, start: u64) -> RoaringTreemap {
    let later = places::from(places, start);
    *places -= &later;
    later
}

fn name(outcome: &mut PartitionOutcome, status: Status, offsets: &RoaringTreemap, what: &str) {
    if !offsets.is_empty() {
        outcome.find(status, format!("{}: {}", inflected(offsets.len(), what), ranges(offsets)));
    }
}

fn ranges(offsets: &RoaringTreemap) -> String {
    named(places::runs(offsets))
}

/// `offsets 5, 7-9 and 12 more ranges`
fn named(mut runs: impl Iterator<Item = Range<u64>>) -> String {
    let named = runs.by_ref().take(RANGES_NAMED).map(|Range { start, end }| match end - start {
        1 => places::text(start),
        _ => format!("{}-{}", places::text(start), places::text(end - 1)),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match runs.count() {
        0 => format!("offsets {named}"),
        more => format!("offsets {named} and {more} more ranges"),
    }
}

#[cfg(test)]
mod tests;
