//! Judging an hour: what its ticks, and what was computed from them, come to.

use crate::compare::{self, HourComparison};
use crate::hour_span::{ArchivedHour, HourSpan};
use crate::kept::StoredSums;
use crate::outcome::{HourOutcome, PartitionOutcome, Status};
use crate::repair::Repair;
use crate::repeated;
use crate::tables::ComputedCounts;
use crate::topic::{ComparedTopic, TopicHoldings, kafka_ranges};
use crate::verification::Verification;
use hourly::holdings::HourHoldings;
use hourly::hour::Hour;
use hourly::pending_hours::MAX_SYMBOLS;
use service::words::inflected;
use std::collections::BTreeSet;

const EXPIRED: &str = "object[s] of the archive [has|have] expired";
const DELETED: &str = "object[s] of the archive [was|were] deleted, though [it|they] had not \
                       expired (stored within --lookback)";

impl Verification {
    /// The outcome of an hour. `repairs`: what became of its bars before.
    pub(super) fn compare(&self, hour: Hour, span: &HourSpan, repairs: &[Repair]) -> HourOutcome {
        let computed = span.computed[&hour];
        let mut outcome = self.compare_ticks(hour, span);
        if let Some(others) = span.others.get(&hour) {
            outcome.find(Status::Open, self.describe_others(others));
        }
        if span.archive(hour).is_too_wide || span.realtime(hour).is_too_wide {
            let detail =
                format!("its bars are not compared: they are of more than {MAX_SYMBOLS} symbols");
            outcome.find(Status::Open, detail);
        }
        if !span.others.contains_key(&hour) {
            compare_computed(&mut outcome, &computed, &span.archived_hour(hour));
            self.compare_gone(&mut outcome, span);
        }
        for (status, detail) in &span.lake[&hour].details {
            outcome.find(*status, detail.clone());
        }
        for shared in &span.shared[&hour] {
            let is_stale = computed.is_stale || shared.is_stale;
            outcome.find(if is_stale { Status::Open } else { Status::Mismatch }, shared.describe());
        }
        let is_logged = repairs.iter().any(|repair| !matches!(repair, Repair::Done { .. }));
        let cure = (!is_logged)
            .then(|| span.reason_not_repaired(&outcome).unwrap_or("--repair brings them in line"));
        span.strays[&hour].compare(&mut outcome, cure);
        let is_computed_since = computed.computed_at.is_some_and(|at| at >= span.began_at);
        if is_computed_since || span.others.contains_key(&hour) {
            // What differs may be new to one side alone, or another topic's.
            outcome.status = outcome.status.min(Status::Open);
        }
        if is_computed_since {
            outcome.find(
                Status::Open,
                "batch-layer has computed the hour while it was compared: verify again".into(),
            );
        }
        outcome
    }

    /// Compares the ticks of both sides, partition by partition, before anything that was computed
    /// from them is looked at.
    fn compare_ticks(&self, hour: Hour, span: &HourSpan) -> HourOutcome {
        let computed = &span.computed[&hour];
        let topics = self.topics.iter().zip(&span.parts);
        let partitions: Vec<_> = topics
            .flat_map(|(topic, part)| self.compare_topic((hour, topic), part, span))
            .collect();
        let mut outcome = HourOutcome {
            hour,
            status: partitions.iter().map(|partition| partition.status).max().unwrap_or(Status::Ok),
            realtime_ticks: (!computed.is_purged()).then_some(span.realtime(hour).ticks),
            minute_bar_ticks: computed.minute_bar_ticks,
            archive_ticks: span.archive(hour).ticks,
            summary_ticks: computed.summary_ticks,
            lake_ticks: span.lake[&hour].ticks,
            details: Vec::new(),
            partitions,
        };
        if let Some(what) = span.unread(hour).map(compare::not_all_read)
            && !outcome.partitions.iter().any(|partition| partition.details.contains(&what))
        {
            // No partition says it.
            outcome.find(Status::Open, what);
        }
        for (topic, part) in self.topics.iter().zip(&span.parts) {
            if let Some(anew) = topic.describe_anew(hour, &span.hours, part) {
                outcome.find(Status::Open, anew);
            }
            if let Some(strange) = topic.describe_strange_sources(hour, part) {
                outcome.find(Status::Mismatch, strange);
            }
        }
        outcome
    }

    fn describe_others(&self, others: &BTreeSet<String>) -> String {
        let others = others.iter().map(String::as_str).collect::<Vec<_>>();
        format!(
            "bars and summaries of this hour count, or may count, ticks of {}, too, and are not \
             compared: --topic {},{} compares all of them",
            others.join(", "),
            self.archive.topics.join(","),
            others.join(",")
        )
    }

    /// Reports ticks whose objects are gone.
    fn compare_gone(&self, outcome: &mut HourOutcome, span: &HourSpan) {
        let (hour, covered) = (outcome.hour, span.covered(outcome.hour));
        let worst = outcome.partitions.iter().map(|partition| partition.status).max();
        if covered > 0 {
            let objects = inflected(
                covered.into(),
                "raw object[s] that [was|were] deleted because it has their ticks",
            );
            outcome.find(Status::Ok, format!("the lake covers {objects}"));
        }
        let ComputedCounts { gone_objects, deleted_objects, unsummed_objects, .. } =
            span.computed[&hour];
        if unsummed_objects > 0 {
            let detail = format!(
                "{} before the hour was written with their ticks, which it lacks. Restore them, as \
                 from the bucket's versions, or let the sink write them again; table \
                 deleted_objects names them",
                inflected(unsummed_objects.into(), "object[s] of the archive [was|were] gone")
            );
            outcome.find(Status::Open, detail);
        }
        let deleted = deleted_objects.saturating_sub(unsummed_objects);
        let Some(kept) = span.kept.get(&hour) else {
            return;
        };
        if deleted > 0 {
            let detail = format!(
                "{}: the summary keeps their ticks, which a rebuild would lack. Restore them, as \
                 from the bucket's versions, or let the sink write them again; table \
                 deleted_objects names them, and each name the first offset",
                inflected(deleted.into(), DELETED)
            );
            outcome.find(Status::Open, detail);
        }
        let Some(ticks) = kept.ticks else {
            let detail = format!(
                "{}, and what batch-layer has kept of the ticks is of another version, or lost: \
                 they are not compared",
                inflected(gone_objects.into(), EXPIRED)
            );
            return outcome.find(Status::Open, detail);
        };
        let expired = gone_objects.saturating_sub(deleted);
        let detail = format!(
            "{}; the summary keeps their ticks, which are compared by their places and by the sums \
             of each symbol",
            inflected(expired.into(), EXPIRED)
        );
        if expired > 0 {
            outcome.find(Status::Ok, detail);
        }
        // Where one side has ticks that the other lacks, or may lack, its sums are others.
        let is_known = span.news(hour).objects == 0 && span.archived(hour) == ticks;
        if worst.is_none_or(|worst| worst <= Status::Purged) && is_known {
            compare_stored_sums(outcome, span, kept);
        }
    }

    pub(super) fn compare_topic(
        &self,
        (hour, topic): (Hour, &ComparedTopic),
        part: &TopicHoldings,
        span: &HourSpan,
    ) -> Vec<PartitionOutcome> {
        let nothing = HourHoldings::default();
        let is_purged = span.computed[&hour].is_purged();
        let sides = HourComparison {
            hour,
            topic: &topic.name,
            realtime: (!is_purged).then(|| part.realtime.hours.get(&hour).unwrap_or(&nothing)),
            archive: part.archived.holdings.hours.get(&hour).unwrap_or(&nothing),
            unread: part.archived.unread.get(&hour).map(String::as_str),
            lost: &part.lost,
            gaps: &topic.gaps.at(hour),
            next_offsets: &topic.next_offsets,
            newest: &part.archived.newest,
            kafka: kafka_ranges(hour, &span.hours, &part.spans),
            kafka_ends: part
                .spans
                .iter()
                .map(|(partition, span)| (*partition, span.high))
                .collect(),
            expired: &part.expired,
            expired_ticks: span.expired_tick_count(hour),
            expired_without_offsets: &part.expired_without_offsets,
            may_be_twice: span.may_be_twice(hour),
            parsed_otherwise: &part.parsed_otherwise,
            rejected_ticks: &part.rejected_ticks,
            rejected_unread: &part.rejected_unread,
            blurred: part.blurred_holdings(hour),
            differing_values: part.differing_values(hour),
            presumed_ends: &part.archived.presumed_ends,
            non_ticks: &part.non_ticks,
            is_kafka_asked: topic.is_log_known(),
        };
        sides.compare()
    }
}

/// Whether the speed layer has the same sums of ticks as were kept of those whose objects have
/// expired.
fn compare_stored_sums(outcome: &mut HourOutcome, span: &HourSpan, kept: &StoredSums) {
    if !kept.other_values.is_empty() {
        let symbols = &kept.other_values;
        let detail = format!(
            "the speed layer and the archive have other sums of as many ticks of {symbols}"
        );
        outcome.find(Status::Mismatch, detail);
    }
    if !kept.other_counts.is_empty() {
        let symbols = &kept.other_counts;
        let skipped: u64 = outcome.partitions.iter().map(|partition| partition.skipped).sum();
        let lacks =
            skipped > 0 || span.parts.iter().any(|part| part.has_parsed_otherwise(outcome.hour));
        let (status, why) = if lacks {
            (
                Status::Open,
                "so the values of those whose objects have expired could not be compared",
            )
        } else {
            (Status::Mismatch, "and nothing explains it")
        };
        outcome.find(
            status,
            format!(
                "the speed layer and the archive do not have as many ticks of {symbols}, {why}"
            ),
        );
    }
}

/// Whether what was computed from the ticks has counted them all.
fn compare_computed(
    outcome: &mut HourOutcome,
    computed: &ComputedCounts,
    of_archive: &ArchivedHour,
) {
    let ArchivedHour { archived, is_unread, conflicts, .. } = of_archive;
    let (archived, is_unread) = (*archived, *is_unread);
    // Minutes may be trimmed; the hours are kept.
    let is_trimmed = computed.minute_bar_ticks == 0 && computed.hour_bar_ticks > 0;
    let (bars, table) = if is_trimmed {
        (computed.hour_bar_ticks, "hour_bars")
    } else {
        (computed.minute_bar_ticks, "minute_bars")
    };
    if let Some(detail) = repeated::describe(*conflicts, computed.conflicts) {
        outcome.find(Status::Ok, detail);
    }
    let rows: u64 = outcome.partitions.iter().map(|partition| partition.realtime_duplicates).sum();
    let unwritten: u64 = outcome.partitions.iter().map(|partition| partition.unwritten).sum();
    match outcome.realtime_ticks.map(|ticks| ticks + rows) {
        Some(rows) if rows != bars => {
            outcome.find(
                Status::Mismatch,
                format!("{table} count {bars} ticks, realtime_stock has {rows}"),
            );
        }
        None if bars + unwritten != archived && !is_unread => {
            let less = if unwritten > 0 {
                format!(" and {unwritten} that were never written")
            } else {
                String::new()
            };
            outcome.find(
                Status::Mismatch,
                format!("{table} count {bars} ticks{less}, the archive has {archived}"),
            );
        }
        None if unwritten > 0 => {
            let detail = format!(
                "{}, as kafka_gaps and rejected_ticks say; the values of their symbols could not \
                 be compared",
                inflected(unwritten, "tick[s] of the archive [was|were] never written")
            );
            outcome.find(Status::Ok, detail);
        }
        _ => {}
    }
    if let Some(detail) = computed.misrecorded(archived) {
        outcome.find(Status::Mismatch, detail);
    }
    if !is_unread {
        compare_summed(outcome, computed, of_archive);
    }
}

/// Whether the summaries have counted all of the archive's ticks.
fn compare_summed(outcome: &mut HourOutcome, computed: &ComputedCounts, of_archive: &ArchivedHour) {
    let ArchivedHour { archived, news, is_read_otherwise, .. } = of_archive;
    let archived = *archived;
    match computed.summary_ticks {
        None if computed.summed.0 > 0 => {}
        Some(_) if computed.is_stale => {
            outcome.find(
                Status::Open,
                "the archive has changed since batch-layer computed the hour: run it over this \
                 hour (--hour)"
                    .into(),
            );
        }
        None if computed.is_stale || outcome.archive_ticks > 0 => {
            outcome.find(
                Status::Open,
                "batch-layer has not computed the hour: run it over this hour (--hour)".into(),
            );
        }
        // Nor are rows of as many ticks compared before they are read.
        Some(summed) if news.objects > 0 && news.explain(summed, archived) => {
            let came = "object[s] came since the last run of batch-layer, or [was|were] replaced, \
                        and no run has read [it|them] yet";
            let detail = format!(
                "{}, {} the first: hourly_stock_summary counts {summed} ticks, the archive has \
                 {archived}; run batch-layer over this hour (--hour)",
                inflected(news.objects.into(), came),
                news.first
            );
            outcome.find(Status::Open, detail);
        }
        // Where the rows are right, what batch_hours says of them is not.
        Some(summed) if summed != archived && computed.summed.0 != archived => {
            let cure = if *is_read_otherwise {
                " by these flags"
            } else if !computed.is_of_this_archive {
                // Which of the two it is to be is said beside it.
                ", and is another one (--bucket)"
            } else {
                ": run batch-layer over this hour (--hour)"
            };
            let detail = format!(
                "hourly_stock_summary counts {summed} ticks, the archive has {archived}{cure}"
            );
            outcome.find(Status::Mismatch, detail);
        }
        _ => {}
    }
}
