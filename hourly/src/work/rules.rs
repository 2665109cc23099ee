//! What other rules of messages do to hours that are known.
//!
//! A forgotten flag makes every line of an archive be rejected, or lets lines be ticks that are
//! none. So an object that was read by other rules before, and that holds fewer or more ticks of a
//! computed hour by this run's, stays in the index as it was: the hour is not written and keeps
//! what it knows, and the next run with the right flags has nothing to mend.

use super::due::HourToCompute;
use super::{TickCountChange, WindowRun};
use crate::decode_rules::{described, differences, rules};
use crate::hour::Hour;
use crate::index::{Computed, Indexed};
use crate::scan::{Conflicts, HourBars, Scan, places};
use crate::survey::{Change, ChangeKind};
use rustc_hash::FxHashMap;
use service::Failure;
use std::cmp::Ordering;

impl WindowRun {
    /// Whether a person allows that an hour loses records.
    pub(super) fn may_shrink(&self, hour: Hour) -> bool {
        self.allow_shrink && self.plan.window.contains(&hour) && !self.covered_hours.contains(&hour)
    }

    /// True if `--allow-shrink` was given but the hour keeps its records, because their raw objects
    /// were deleted once the lake had them.
    pub(super) fn keeps_lake_records(&self, hour: Hour) -> bool {
        self.allow_shrink && self.covered_hours.contains(&hour)
    }

    /// True if the objects seem to come from two topics of the same name: one topic's ticks would
    /// then be dropped as duplicates of the other's. Logs it in that case.
    pub(super) fn skip_if_two_topics(&mut self, due: &HourToCompute<'_>, sum: &HourBars) -> bool {
        let Conflicts { different_ticks, example, .. } = sum.conflicts;
        let is_refused =
            sum.conflicts.are_of_two_topics(sum.repeated.len()) && !self.may_shrink(due.stale.hour);
        if let Some((partition, place)) = example.filter(|_| is_refused) {
            let place = places::text(place);
            let why = format!(
                "not written, because of {different_ticks} records its objects tell different \
                 symbols or times, offset {place} of partition {partition} among them: was the \
                 topic made anew under the same name? Then the new one's objects belong below a \
                 prefix and to a topic's name of their own; --allow-shrink, with a window that \
                 holds the hour, writes it with the first object by key alone"
            );
            self.fail(due.stale.hour, &why);
        }
        is_refused
    }

    /// Whether a person asks for what this run's flags make of an hour.
    fn may_grow(&self, hour: Hour) -> bool {
        (self.recompute || self.allow_shrink) && self.plan.window.contains(&hour)
    }

    /// Whether an object is to stay as it was read before, because by this run's rules computed
    /// hours would lose ticks, or have more of the same messages.
    pub(super) async fn refuses(&mut self, change: &Change, scan: &Scan) -> Result<bool, Failure> {
        // One that the index knows is compared with what it was.
        let older = super::index::outdated_twins(change, scan).last();
        let older = older.filter(|_| change.kind == ChangeKind::New);
        if !older.map_or(change.by_other_rules, |older| !older.is_as_read) {
            return Ok(false);
        }
        let key = older.map_or(&change.object.key, |older| &older.key);
        let (held, decode_rules) = self.db.summed_ticks_and_rules(key).await?;
        let now: FxHashMap<Hour, u64> =
            scan.hours.iter().map(|(hour, bars)| (*hour, bars.ticks + bars.duplicates)).collect();
        let now = |hour: &Hour| now.get(hour).copied().unwrap_or(0);
        // An object that was replaced, or that another version of this program reads, may well hold
        // more.
        let may_be_more =
            change.kind != ChangeKind::Forced || rules(&decode_rules) == rules(&self.decode_rules);
        // A flag about messages may have been forgotten, so a person has to say it twice.
        let is_emptied = !self.recompute && rules(&decode_rules) != rules(&self.decode_rules);
        let is_refused = |(hour, before): &(Hour, u64)| match now(hour).cmp(before) {
            Ordering::Less => !self.may_shrink(*hour) || is_emptied && now(hour) == 0,
            Ordering::Equal => false,
            Ordering::Greater => !may_be_more && !self.may_grow(*hour),
        };
        let refused: Vec<_> = held.into_iter().filter(is_refused).collect();
        for (hour, before) in &refused {
            let otherwise = self.refused_changes.hours.entry(*hour).or_default();
            otherwise.objects += 1;
            otherwise.before += before;
            otherwise.now += now(hour);
            otherwise.is_less |= now(hour) < *before;
        }
        if !refused.is_empty() && !std::mem::replace(&mut self.refused_changes.is_explained, true) {
            self.explain(change, scan, &decode_rules);
        }
        Ok(!refused.is_empty())
    }

    fn explain(&self, change: &Change, scan: &Scan, decode_rules: &str) {
        let key = &*change.object.key;
        let (before, now) = differences(decode_rules, &self.decode_rules);
        let first = scan
            .rejects
            .first()
            .map(|first| format!(", the first: {}", first.reject))
            .unwrap_or_default();
        let location = self.store.location();
        let text = format!("{} of its {} lines are rejected now{first}", scan.rejected, scan.lines);
        self.progress.log(|| {
            tracing::warn!(
                location,
                key,
                before,
                now,
                rejected = scan.rejected,
                lines = scan.lines,
                "{location}{key} was read by other rules of messages before: then {before}, now \
                 {now} (is a flag missing?); {text}"
            );
        });
    }

    /// Logs once that hours are written again because their messages are read by other rules.
    pub(super) fn note_rewritten(&mut self, hour: Hour, known: &Computed) {
        let Some(others) = described(&known.decode_rules, &self.decode_rules) else {
            return;
        };
        if !std::mem::replace(&mut self.refused_changes.is_rewrite_logged, true) {
            self.progress.log(|| {
                tracing::warn!(
                    %hour,
                    others,
                    "hour {hour}, and perhaps others, was computed {others}; what these rules read \
                     otherwise is written again"
                );
            });
        }
    }

    /// Notes the hours of such objects as not written.
    pub(super) fn fail_refused(&mut self) {
        for (hour, otherwise) in std::mem::take(&mut self.refused_changes.hours) {
            if self.outcomes.failed.contains(&hour) {
                continue;
            }
            let TickCountChange { objects, before, now, is_less } = otherwise;
            let flag = match (is_less, self.allow_shrink) {
                (true, true) => "--recompute beside --allow-shrink",
                (true, false) => "--allow-shrink",
                (false, _) => "--recompute",
            };
            let why = format!(
                "not written, because by this run's rules of messages {objects} of its objects \
                 hold {now} ticks where they held {before}: it stays as it is known; {flag}, with \
                 a window that holds it, writes it"
            );
            self.fail(hour, &why);
        }
    }

    /// Notes that an hour is not written because it would have more ticks of the same objects.
    /// `false` where that is not for other flags, but for another version of this program.
    pub(super) fn fail_more(&mut self, hour: Hour, known: &Computed, now: u64) -> bool {
        if rules(&known.decode_rules) == rules(&self.decode_rules) {
            return false;
        }
        let (before, ours) = differences(&known.decode_rules, &self.decode_rules);
        let why = format!(
            "not written, because by this run's rules of messages it would have {now} ticks of the \
             same objects where it has {}: then {before}, now {ours} (is a flag missing?); \
             --recompute, with a window that holds it, writes it",
            known.ticks
        );
        self.fail(hour, &why);
        true
    }

    /// Whether an object can only be read by a run with another prefix, whose rules are not known
    /// here.
    pub(super) fn is_foreign(&self, indexed: &Indexed) -> bool {
        self.template.hour_of(&indexed.folder).is_none()
            && rules(&indexed.decode_rules) != rules(&self.decode_rules)
    }

    /// Notes that an hour is not written because it would have to be read again whole.
    pub(super) fn fail_foreign(&mut self, hour: Hour, foreign: &[Indexed]) {
        let Some(example) = foreign.first() else {
            return;
        };
        let (theirs, ours) = differences(&example.decode_rules, &self.decode_rules);
        let why = format!(
            "not written, because all of its objects would have to be read again, and {} of \
             another --prefix, {} among them, were read by other rules of messages: theirs \
             {theirs}, this run's {ours}. Read all prefixes of a database by the same flags (--map \
             takes alternatives, as symbol=a|b)",
            foreign.len(),
            example.object.key
        );
        self.fail(hour, &why);
    }
}
