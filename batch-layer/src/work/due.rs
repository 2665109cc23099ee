//! [`Due`]: an hour that is to be computed; [`New`]: what came of it.

use crate::hour::Hour;
use crate::index::{Computed, Indexed, Placeless, Seen, Stale};
use crate::scan::HourBars;
use crate::summary::Beside;
use rustc_hash::FxHashSet;

/// An hour that was read from the lake.
pub(super) struct OfLake {
    /// Of the objects that were read.
    pub(super) keys: Vec<String>,
}

/// An hour that is to be computed, and what is known of it.
pub(super) struct Due<'a> {
    pub(super) stale: Stale,
    pub(super) seen: &'a Seen,
    /// Some of its objects were read by other rules than this run's.
    pub(super) is_read_otherwise: bool,
    /// Objects that this run cannot read.
    pub(super) foreign: &'a [Indexed],
    /// It is asked for whether anything has changed or not.
    pub(super) is_forced: bool,
    pub(super) objects: &'a [Indexed],
    /// Objects without offsets that its sums have, and that are gone.
    pub(super) gone_placeless: Vec<Placeless>,
    pub(super) known: Option<&'a Computed>,
    /// What is known of its sums was read from the lake, which has all that they are made of.
    pub(super) from_lake: Option<&'a OfLake>,
    /// Hours that will be computed after it.
    pub(super) pending: &'a FxHashSet<Hour>,
}

/// New sums of an hour.
pub(super) struct New<'a> {
    pub(super) sum: HourBars,
    /// The objects that came to those that it was made of before; `None`: it was made of all.
    pub(super) added: Option<Vec<&'a Indexed>>,
    /// Those of them of whose known records the sums keep what was known before.
    pub(super) kept: Vec<&'a Indexed>,
}

impl Due<'_> {
    /// Whether what is known of it cannot be added to.
    pub(super) const fn needs_all(&self) -> bool {
        (self.is_forced && self.from_lake.is_none())
            || self.stale.replaced
            || self.stale.reread
            || self.is_read_otherwise
    }

    /// Which of the hours beside it what came to it may be seen from; `added`: as [`New::added`].
    /// What is more than added to may have changed anywhere.
    pub(super) fn beside(&self, added: Option<&[&Indexed]>) -> Beside {
        let may_be_elsewhere = self.needs_all() || self.is_forced || self.from_lake.is_some();
        let added = added.filter(|added| !added.is_empty() && !may_be_elsewhere);
        added.map_or(Beside::BOTH, |added| {
            Beside::of(self.stale.hour, added.iter().map(|indexed| &indexed.span))
        })
    }

    /// Whether its sums have records that this run cannot read. Of an object of another prefix that
    /// was replaced they have the earlier version's.
    pub(super) fn has_foreign(&self) -> bool {
        let may_be_replaced = self.known.is_some() && (self.stale.replaced || self.stale.reread);
        self.foreign.iter().any(|indexed| indexed.merged || may_be_replaced)
    }
}
