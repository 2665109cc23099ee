//! [`HourToCompute`]: an hour that is to be computed; [`NewSums`]: what came of it.

use crate::hour::Hour;
use crate::index::{Computed, IndexSnapshot, Indexed, ObjectWithoutOffsets, Stale};
use crate::scan::HourBars;
use crate::summary::NeighbourHours;
use rustc_hash::FxHashSet;

/// What was read of the hour from the lake.
pub(super) struct LakeSums {
    /// The keys of the objects that were read.
    pub(super) keys: Vec<String>,
}

/// An hour that is to be computed, and what is known of it.
pub(super) struct HourToCompute<'a> {
    pub(super) stale: Stale,
    pub(super) snapshot: &'a IndexSnapshot,
    /// Some of its objects were read by other rules than this run's.
    pub(super) is_read_otherwise: bool,
    /// Objects that this run cannot read.
    pub(super) foreign: &'a [Indexed],
    /// `--recompute`: computed even if nothing changed.
    pub(super) is_forced: bool,
    pub(super) objects: &'a [Indexed],
    /// Objects without offsets that its sums have, and that are gone.
    pub(super) gone_without_offsets: Vec<ObjectWithoutOffsets>,
    pub(super) known: Option<&'a Computed>,
    /// What is known of its sums was read from the lake, which has all that they are made of.
    pub(super) from_lake: Option<&'a LakeSums>,
    /// Hours that will be computed after it.
    pub(super) pending: &'a FxHashSet<Hour>,
}

/// New sums of an hour.
pub(super) struct NewSums<'a> {
    pub(super) sum: HourBars,
    pub(super) scope: Scope<'a>,
    /// Added objects whose known records have changed; the sums keep the old values.
    pub(super) keep_old_values_of: Vec<&'a Indexed>,
}

/// The objects of an hour that its new sums are made of.
pub(super) enum Scope<'a> {
    /// All objects.
    All,
    /// The known sums, and these objects.
    Added(Vec<&'a Indexed>),
}

/// What a step on the way to an hour's new sums gives.
pub(super) enum Step<T> {
    Done(T),
    /// The hour is not written now; the reason has been logged.
    Skipped,
}

impl HourToCompute<'_> {
    /// Whether what is known of it cannot be added to.
    pub(super) const fn needs_all(&self) -> bool {
        (self.is_forced && self.from_lake.is_none())
            || self.stale.is_replaced
            || self.stale.is_reread
            || self.is_read_otherwise
    }

    /// The neighbouring hours that must be judged again because of the added ticks. If the hour was
    /// recomputed, that is both: its ticks may have changed anywhere.
    pub(super) fn neighbours(&self, scope: &Scope<'_>) -> NeighbourHours {
        let may_be_elsewhere = self.needs_all() || self.is_forced || self.from_lake.is_some();
        match scope {
            Scope::Added(added) if !added.is_empty() && !may_be_elsewhere => {
                NeighbourHours::of(self.stale.hour, added.iter().map(|indexed| &indexed.span))
            }
            _ => NeighbourHours::BOTH,
        }
    }

    /// Whether its sums have records that this run cannot read. Of an object of another prefix that
    /// was replaced they have the earlier version's.
    pub(super) fn has_foreign(&self) -> bool {
        let may_be_replaced =
            self.known.is_some() && (self.stale.is_replaced || self.stale.is_reread);
        self.foreign.iter().any(|indexed| indexed.is_merged || may_be_replaced)
    }
}

impl<'a> NewSums<'a> {
    /// Sums of all of an hour's objects.
    pub(super) const fn of_all(sum: HourBars) -> Self {
        Self { sum, scope: Scope::All, keep_old_values_of: Vec::new() }
    }
}

impl<'a> Scope<'a> {
    /// The objects that were added to what was known; `None` if the sums are made of all.
    pub(super) fn added(&self) -> Option<&[&'a Indexed]> {
        match self {
            Self::All => None,
            Self::Added(added) => Some(added),
        }
    }
}
