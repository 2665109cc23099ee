//! [`HourSpan`]: what was read of some hours that follow one another, of all sides.

use crate::archive::News;
use crate::compare::ExpiredTickCount;
use crate::kept::StoredSums;
use crate::lake::LakeComparison;
use crate::outcome::{HourOutcome, PartitionOutcome, Status};
use crate::repair;
use crate::tables::ComputedCounts;
use crate::topic::{Sum, TopicHoldings};
use common::Timestamp;
use hourly::holdings::{HourHoldings, PartitionHoldings};
use hourly::hour::Hour;
use hourly::scan::Conflicts;
use hourly::shared::SharedRecords;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Consecutive hours, as they were read.
pub struct HourSpan {
    pub hours: Range<Hour>,
    /// One entry per topic.
    pub parts: Vec<TopicHoldings>,
    pub computed: BTreeMap<Hour, ComputedCounts>,
    /// Stored sums of hours with expired objects.
    pub kept: BTreeMap<Hour, StoredSums>,
    /// The moment of which the tables were read.
    pub read_at: Timestamp,
    /// When reading the archive began.
    pub began_at: Timestamp,
    pub strays: BTreeMap<Hour, TableDifferences>,
    /// The lake's side of each hour.
    pub lake: BTreeMap<Hour, LakeComparison>,
    /// Records of other hours in the sums of hours.
    pub shared: BTreeMap<Hour, Vec<SharedRecords>>,
    /// Topics that are not compared, and share hours with those that are: bars and summaries count
    /// their ticks, too.
    pub others: BTreeMap<Hour, BTreeSet<String>>,
}

/// Differences between the tables and an hour's ticks, by symbol.
#[derive(Debug, Default)]
pub struct TableDifferences {
    /// Differences that --repair cannot fix.
    pub others: Vec<String>,
    /// Differences of minute and hour bars from `realtime_stock`.
    pub bars: Vec<String>,
    /// A difference that cannot be confirmed.
    pub unsure: Option<String>,
    /// That the hour was computed by other rules of messages.
    pub rules: Option<String>,
}

impl TableDifferences {
    /// `cure`: what to do about bars.
    pub fn compare(&self, outcome: &mut HourOutcome, cure: Option<&str>) {
        self.unsure.iter().for_each(|unsure| outcome.find(Status::Open, unsure.clone()));
        self.others.iter().for_each(|stray| outcome.find(Status::Mismatch, stray.clone()));
        find_bars(outcome, &self.bars, cure);
        if let (Some(rules), Status::Open | Status::Mismatch) = (&self.rules, outcome.status) {
            outcome.find(Status::Open, rules.clone());
        }
    }
}

/// What was seen of an hour in the archive.
pub struct ArchivedHour {
    /// How many ticks it has, or has had.
    pub archived: u64,
    /// Not all of it could be read.
    pub is_unread: bool,
    pub news: News,
    pub conflicts: Conflicts,
    /// The hour was computed by other rules of messages.
    pub is_read_otherwise: bool,
}

impl HourSpan {
    pub fn realtime(&self, hour: Hour) -> Sum<'_> {
        Sum::of(self.parts.iter().filter_map(|part| part.realtime.hours.get(&hour)))
    }

    pub fn archive(&self, hour: Hour) -> Sum<'_> {
        Sum::of(self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour)))
    }

    /// Ticks of it in objects that no run has read yet.
    pub fn news(&self, hour: Hour) -> News {
        let mut all = News::default();
        self.parts
            .iter()
            .filter_map(|part| part.archived.news.get(&hour))
            .for_each(|news| all.join(news));
        all
    }

    /// Whether the archive's bars of an hour can be compared with what was computed from them.
    pub fn is_archive_compared(&self, hour: Hour) -> bool {
        let is_as_computed = !self.computed[&hour].is_stale && self.news(hour).objects == 0;
        !self.archive(hour).is_too_wide && is_as_computed && self.unread(hour).is_none()
    }

    /// What was seen of an hour in the archive.
    pub fn archived_hour(&self, hour: Hour) -> ArchivedHour {
        ArchivedHour {
            archived: self.archived(hour),
            is_unread: self.unread(hour).is_some(),
            news: self.news(hour),
            conflicts: self.conflicts(hour),
            is_read_otherwise: self.strays[&hour].rules.is_some(),
        }
    }

    /// Records of which its lines tell different things.
    pub fn conflicts(&self, hour: Hour) -> Conflicts {
        let mut all = Conflicts::default();
        self.parts
            .iter()
            .filter_map(|part| part.archived.conflicts.get(&hour))
            .for_each(|found| all.add(*found));
        all
    }

    /// Whether lines without offsets may be of records that others tell, or that the lake has,
    /// which no run has taken in.
    pub fn may_be_twice(&self, hour: Hour) -> bool {
        let there = || self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour));
        let tell_offsets =
            || there().any(|held| held.partitions.values().any(PartitionHoldings::has_offsets));
        self.computed[&hour].is_stale
            && there().any(HourHoldings::lacks_offsets)
            && (self.covered(hour) > 0 || self.expired_tell_offsets(hour) || tell_offsets())
    }

    /// Whether objects that are gone told offsets of its ticks.
    pub fn expired_tell_offsets(&self, hour: Hour) -> bool {
        self.parts.iter().any(|part| part.expired.keys().any(|(of, _)| *of == hour))
    }

    /// How many raw objects were deleted because the lake has them, which was read in their place.
    pub fn covered(&self, hour: Hour) -> u32 {
        self.parts.iter().filter_map(|part| part.archived.covered.get(&hour)).sum()
    }

    /// How many ticks the archive has, or has had.
    pub fn archived(&self, hour: Hour) -> u64 {
        let there = self.archive(hour).ticks;
        let Some(kept) = self.kept.get(&hour) else {
            return there;
        };
        let Some(ticks) = kept.ticks else {
            return there.max(self.computed[&hour].summary_ticks.unwrap_or_default());
        };
        let holdings = self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour));
        let without_offsets: u64 = holdings
            .flat_map(|held| held.partitions.values())
            .map(|held| held.without_offsets)
            .sum();
        ticks - kept.without_offsets
            + self.new_places(hour)
            + without_offsets.max(kept.without_offsets)
    }

    /// How many ticks the archive has at places that are not in the hour's sums, of which something
    /// has expired.
    pub fn new_places(&self, hour: Hour) -> u64 {
        let of_part = |part: &TopicHoldings| -> u64 {
            let there = part.archived.holdings.hours.get(&hour);
            let places = there.into_iter().flat_map(|held| held.offsets.iter());
            places
                .map(|(_, partition, places)| match part.expired.get(&(hour, partition)) {
                    Some(kept) => places.difference_len(kept),
                    None => places.len(),
                })
                .sum()
        };
        self.parts.iter().map(of_part).sum()
    }

    /// Number of expired ticks whose lines had no offsets.
    pub fn expired_tick_count(&self, hour: Hour) -> ExpiredTickCount {
        let (computed, there) = (&self.computed[&hour], self.archive(hour).ticks);
        let gone = self.archived(hour) - there;
        match gone.saturating_sub(self.expired_with_offsets(hour)) {
            _ if computed.gone_objects == 0 => ExpiredTickCount::None,
            _ if computed.is_stale => ExpiredTickCount::Unknown,
            _ if self.kept.get(&hour).is_some_and(|kept| kept.is_attributed) => {
                ExpiredTickCount::ByPartition
            }
            0 => ExpiredTickCount::None,
            _ if self.realtime(hour).ticks == there + gone => ExpiredTickCount::AsMany,
            unplaced => ExpiredTickCount::Otherwise(unplaced),
        }
    }

    /// How many ticks of an hour have expired whose places are known.
    pub fn expired_with_offsets(&self, hour: Hour) -> u64 {
        let of_part = |part: &TopicHoldings| -> u64 {
            let there = part.archived.holdings.hours.get(&hour);
            let expired = part.expired.iter().filter(|((of, _), _)| *of == hour);
            expired
                .map(|((_, partition), offsets)| match there {
                    Some(there) => (offsets - there.offsets(*partition)).len(),
                    None => offsets.len(),
                })
                .sum()
        };
        self.parts.iter().map(of_part).sum()
    }

    /// Why not all of the archive could be read.
    pub fn unread(&self, hour: Hour) -> Option<&str> {
        self.parts.iter().find_map(|part| part.archived.unread.get(&hour)).map(String::as_str)
    }

    /// Why an hour's bars are better left alone: `realtime_stock` lacks ticks that are known
    /// elsewhere, or may lack some, or has others than the archive.
    pub fn reason_not_repaired(&self, outcome: &HourOutcome) -> Option<&'static str> {
        let has = |is_so: fn(&PartitionOutcome) -> bool| outcome.partitions.iter().any(is_so);
        if has(|partition| partition.missing_in_realtime > 0 || partition.missing_everywhere > 0) {
            return Some(repair::SHORT);
        }
        if has(|partition| partition.missing_in_archive > 0 || partition.differing_blocks > 0) {
            return Some(repair::CONTRADICTED);
        }
        let is_contradicted = |kept: &StoredSums| {
            let has_as_many = outcome.realtime_ticks == kept.ticks;
            !kept.other_values.is_empty() || (has_as_many && !kept.other_counts.is_empty())
        };
        if self.kept.get(&outcome.hour).is_some_and(is_contradicted) {
            return Some(repair::CONTRADICTED);
        }
        let computed = &self.computed[&outcome.hour];
        let counted = computed.minute_bar_ticks.max(computed.hour_bar_ticks);
        let is_read = self.unread(outcome.hour).is_none();
        let is_confirmed = |ticks| is_read && self.archived(outcome.hour) == ticks;
        let holes = || self.parts.iter().flat_map(|part| part.lost.unaccounted.keys());
        match outcome.realtime_ticks? {
            0 => Some(repair::EMPTY),
            ticks if counted > ticks && !is_confirmed(ticks) => Some(repair::UNSURE),
            ticks if counted > ticks && holes().any(|(hour, _)| *hour == outcome.hour) => {
                Some(repair::UNASKED)
            }
            _ => None,
        }
    }
}

/// Reports wrong bars; the last one also names the cure.
fn find_bars(outcome: &mut HourOutcome, strays: &[String], cure: Option<&str>) {
    let Some((last, others)) = strays.split_last() else {
        return;
    };
    others.iter().for_each(|stray| outcome.find(Status::Mismatch, stray.clone()));
    let last = cure.map_or_else(|| last.clone(), |cure| format!("{last}; {cure}"));
    outcome.find(Status::Mismatch, last);
}
