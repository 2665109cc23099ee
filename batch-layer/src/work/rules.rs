//! What other rules of messages do to hours that are known.
//!
//! A forgotten flag makes every line of an archive be rejected. So an object that was read by other rules before, and that
//! holds fewer ticks of a computed hour by this run's, stays in the index as it was: the hour is not written and keeps what
//! it knows, and the next run with the right flags has nothing to mend.

use super::Work;
use crate::hour::Hour;
use crate::index::Indexed;
use crate::scan::Scan;
use crate::survey::Change;
use common::Failure;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What this run's rules would take from an hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fewer {
    objects: u64,
    before: u64,
    now: u64,
}

/// What objects hold by this run's rules that held more by others.
#[derive(Debug, Default)]
pub(super) struct Refused {
    hours: BTreeMap<Hour, Fewer>,
    is_explained: bool,
}

impl Work {
    /// Whether a person allows that an hour loses records.
    pub(super) fn may_shrink(&self, hour: Hour) -> bool {
        self.allow_shrink && self.plan.window.contains(&hour)
    }

    /// Whether an object is to stay as it was read before, because by this run's rules computed hours would lose ticks.
    pub(super) async fn refuses(&mut self, change: &Change, scan: &Scan) -> Result<bool, Failure> {
        if !change.by_other_rules {
            return Ok(false);
        }
        let (held, format) = self.index.held_of(&change.object.key).await?;
        let now: FxHashMap<Hour, u64> =
            scan.hours.iter().map(|(hour, bars)| (*hour, bars.ticks + bars.duplicates)).collect();
        let now = |hour: &Hour| now.get(hour).copied().unwrap_or(0);
        let lost: Vec<_> =
            held.into_iter().filter(|(hour, before)| now(hour) < *before && !self.may_shrink(*hour)).collect();
        for (hour, before) in &lost {
            let fewer = self.refused.hours.entry(*hour).or_default();
            fewer.objects += 1;
            fewer.before += before;
            fewer.now += now(hour);
        }
        if !lost.is_empty() && !std::mem::replace(&mut self.refused.is_explained, true) {
            self.explain(change, scan, &format);
        }
        Ok(!lost.is_empty())
    }

    fn explain(&self, change: &Change, scan: &Scan, format: &str) {
        let (before, now) = differences(format, &self.format);
        let first = scan.rejects.first().map(|first| format!(", the first: {}", first.reject)).unwrap_or_default();
        self.progress.warn(format_args!(
            "{}{} was read by other rules of messages before: then \"{before}\", now \"{now}\" (is a flag missing?); \
             {} of its {} lines are rejected now{first}",
            self.store.location(),
            change.object.key,
            scan.rejected,
            scan.lines
        ));
    }

    /// Notes the hours of such objects as not written.
    pub(super) fn fail_refused(&mut self) {
        for (hour, fewer) in std::mem::take(&mut self.refused.hours) {
            if self.failed.contains(&hour) {
                continue;
            }
            let Fewer { objects, before, now } = fewer;
            let why = format!(
                "not written, because by this run's rules of messages {objects} of its objects hold {now} ticks where \
                 they held {before}: it stays as it is known; --allow-shrink, with a window that holds it, writes it"
            );
            self.fail(hour, &why);
        }
    }

    /// Whether an object can only be read by a run with another prefix, whose rules are not known here.
    pub(super) fn is_foreign(&self, indexed: &Indexed) -> bool {
        self.template.hour_of(&indexed.folder).is_none() && rules(&indexed.format) != rules(&self.format)
    }

    /// Notes that an hour is not written because it would have to be read again whole.
    pub(super) fn fail_foreign(&mut self, hour: Hour, foreign: &[Indexed]) {
        let Some(example) = foreign.first() else {
            return;
        };
        let (theirs, ours) = differences(&example.format, &self.format);
        let why = format!(
            "not written, because all of its objects would have to be read again, and {} of another --prefix, {} among \
             them, were read by other rules of messages: theirs \"{theirs}\", this run's \"{ours}\". Read all prefixes \
             of a database by the same flags (--map takes alternatives, as symbol=a|b)",
            foreign.len(),
            example.object.key
        );
        self.fail(hour, &why);
    }
}

/// A format without the version of this program's sums: how messages are read.
fn rules(format: &str) -> &str {
    format.split_once(' ').map_or(format, |(_, rules)| rules)
}

/// The words in which two formats differ, and the one before them, which names them.
fn differences(one: &str, other: &str) -> (String, String) {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split(' ').collect(), other.split(' ').collect());
    let same_front = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let least = one.len().min(other.len());
    let same_back =
        one.iter().rev().zip(other.iter().rev()).take(least - same_front).take_while(|(a, b)| a == b).count();
    let middle = |words: &[&str]| words[same_front.saturating_sub(1)..words.len() - same_back].join(" ");
    (middle(&one), middle(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_shown_by_what_differs_in_them() {
        let shown = |one, other| differences(one, other);
        let texts = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(shown("2 n map a=b unit Auto zone none", "2 n map a=c unit Auto zone none").0, "map a=b");
        assert_eq!(shown("2 n zone none x", "2 n zone Asia/Tokyo x"), texts("zone none", "zone Asia/Tokyo"));
        assert_eq!(shown("2 a map x b", "2 a map x y b"), texts("x", "x y"));
        assert_eq!(shown("1 a b", "2 a b"), texts("1", "2"));
        assert_eq!(shown("a b", "a b"), texts("b", "b"));
        assert_eq!((rules("1 a b"), rules("2 a c")), ("a b", "a c"));
    }
}
