//! [`GatheredMissing`]: what Kafka has that nothing else accounts for.
//!
//! A speed layer that was down for a day leaves hundreds of millions of such records, so they are
//! kept in sets, in which neighbours take next to nothing and none takes more than some bytes.
//! Those of hours that are not looked at must be looked for in the tables: they are handed over
//! before they are too many.

use common::Place;
use hourly::hour::Hour;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// Compact the sets after this many additions.
const LOOKED_AT_EVERY: u32 = 1 << 18;

/// Ticks of other hours, in little memory: their hours, and bytes as they are written down. Sets of
/// few offsets each take some times as much in memory.
const FAR_HOURS: usize = 10_000;
const FAR_BYTES: usize = 16 << 20;

/// A record of Kafka at a place that nothing else accounts for.
pub struct UnaccountedRecord {
    /// Place of the message, or of the one element of it that is missing.
    pub place: u64,
    /// Number of the element.
    pub element: u64,
    /// `None`: it is no tick.
    pub hour: Option<Hour>,
}

/// Places of a partition that are missing.
#[derive(Debug, Default, PartialEq)]
pub struct Missing {
    /// The speed layer has read past them.
    pub lost: RoaringTreemap,
    /// Ticks that it has not come to yet.
    pub pending: RoaringTreemap,
}

/// Missing records that are no ticks of the hours that are looked at.
#[derive(Debug, Default)]
pub struct OtherHours {
    pub missing: Missing,
    /// The offsets of those that are ticks, by their hours.
    pub hours: BTreeMap<Hour, RoaringTreemap>,
}

/// Missing records of a partition.
pub struct GatheredMissing {
    /// The hours that are looked at.
    hours: Range<Hour>,
    /// The speed layer's next offset.
    next: u64,
    own: BTreeMap<Hour, Missing>,
    far: OtherHours,
    /// How many were added since the sets were looked through.
    added: u32,
    is_full: bool,
}

impl GatheredMissing {
    pub fn new(hours: Range<Hour>, next: u64) -> Self {
        let (own, far) = (BTreeMap::new(), OtherHours::default());
        Self { hours, next, own, far, added: 0, is_full: false }
    }

    pub fn add(&mut self, found: &UnaccountedRecord) {
        let offset = Place::offset_of(found.place);
        let own = found.hour.filter(|hour| self.hours.contains(hour));
        let missing = match own {
            Some(hour) => self.own.entry(hour).or_default(),
            None => &mut self.far.missing,
        };
        match (offset < self.next, found.hour) {
            (true, _) => missing.lost.insert(found.place),
            (false, Some(_)) => missing.pending.insert(found.element),
            (false, None) => return,
        };
        if let (None, Some(hour)) = (own, found.hour) {
            self.far.hours.entry(hour).or_default().insert(offset);
            self.is_full |= self.far.hours.len() >= FAR_HOURS;
        }
        self.added += 1;
        if self.added >= LOOKED_AT_EVERY {
            self.look_through();
        }
    }

    /// Whether there is room for more before those of other hours are taken.
    pub const fn go_on(&self) -> ControlFlow<()> {
        if self.is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Gives those of other hours, of which nothing is kept.
    pub fn take_far(&mut self) -> OtherHours {
        self.is_full = false;
        std::mem::take(&mut self.far)
    }

    /// The missing records that are ticks of the hours that are looked at.
    pub fn into_hours(mut self) -> BTreeMap<Hour, Missing> {
        self.look_through();
        self.own
    }

    /// Bitmaps of neighbouring offsets become runs of a few bytes.
    fn look_through(&mut self) {
        self.added = 0;
        self.own.values_mut().for_each(Missing::optimize);
        self.far.missing.optimize();
        for offsets in self.far.hours.values_mut() {
            offsets.optimize();
        }
        self.is_full |= self.far.bytes() >= FAR_BYTES;
    }
}

impl Missing {
    fn optimize(&mut self) {
        self.lost.optimize();
        self.pending.optimize();
    }

    fn bytes(&self) -> usize {
        self.lost.serialized_size() + self.pending.serialized_size()
    }
}

impl OtherHours {
    fn bytes(&self) -> usize {
        let hours: usize = self.hours.values().map(RoaringTreemap::serialized_size).sum();
        self.missing.bytes() + hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;
    use hourly::scan::places;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const NEXT: u64 = 20;

    fn hour(number: i64) -> Hour {
        Hour::of(Timestamp::from_micros(0)).plus(number)
    }

    fn gathered(next: u64) -> GatheredMissing {
        GatheredMissing::new(hour(0)..hour(24), next)
    }

    fn found(offset: u64, hour: Option<Hour>) -> UnaccountedRecord {
        UnaccountedRecord { place: offset, element: offset, hour }
    }

    #[test]
    fn what_a_speed_layer_has_missed_of_a_day_takes_next_to_nothing() {
        const OF_HOUR: u64 = 250_000;
        for next in [0, u64::MAX] {
            let mut gathered = gathered(next);
            for number in 0_i64..24 {
                for offset in 0..OF_HOUR {
                    let offset = number as u64 * OF_HOUR + offset;
                    gathered.add(&found(offset, Some(hour(number))));
                    assert!(gathered.go_on().is_continue(), "{offset}");
                }
            }
            let own = gathered.into_hours();
            let bytes: usize = own.values().map(Missing::bytes).sum();
            assert!(bytes < 10_000, "{bytes}");
            let ticks = |missing: &Missing| missing.lost.len() + missing.pending.len();
            assert!(own.len() == 24 && own.values().all(|missing| ticks(missing) == OF_HOUR));
        }
    }

    #[test]
    fn ticks_of_two_hours_by_turns_take_a_bit_each() {
        let mut gathered = gathered(0);
        let count = 2_000_000;
        for offset in 0..count {
            gathered.add(&found(offset, Some(hour((offset % 2).cast_signed()))));
        }
        let bytes: usize = gathered.into_hours().values().map(Missing::bytes).sum();
        assert!(bytes < count as usize / 3, "{bytes}");
    }

    #[test]
    fn ticks_of_other_hours_are_handed_over_before_they_are_too_many() {
        // Of neighbours there may be as many as one likes.
        let mut one = gathered(u64::MAX);
        (0..3_000_000).for_each(|offset| one.add(&found(offset, Some(hour(100)))));
        // The last of them are bitmaps still.
        assert!(one.go_on().is_continue() && one.far.bytes() < 50_000, "{}", one.far.bytes());
        let far = one.take_far();
        assert_eq!((far.missing.lost.len(), far.hours[&hour(100)].len()), (3_000_000, 3_000_000));

        let mut by_hours = gathered(u64::MAX);
        let hours = (0..u64::MAX).find(|offset| {
            by_hours.add(&found(*offset, Some(hour(100 + offset.cast_signed()))));
            by_hours.go_on().is_break()
        });
        assert_eq!(hours, Some(FAR_HOURS as u64 - 1));
        by_hours.take_far();
        assert!(by_hours.go_on().is_continue());

        // Each one far from the others.
        let mut apart = gathered(u64::MAX);
        let apart = (0..u64::MAX).find(|number| {
            apart.add(&found(number << 16, Some(hour(100))));
            apart.go_on().is_break()
        });
        assert!(apart.is_some_and(|count| count < 1_100_000), "{apart:?}");
    }

    fn some_found() -> impl Strategy<Value = Vec<(u64, u16, bool, Option<i64>)>> {
        let hour = prop_oneof![3 => (-2_i64..30).prop_map(Some), 1 => Just(None)];
        proptest::collection::vec((0_u64..40, 0_u16..3, any::<bool>(), hour), 0..60)
    }

    proptest! {
        #[test]
        fn what_was_read_is_lost_and_of_what_was_not_ticks_are_pending(all in some_found()) {
            let mut gathered = gathered(NEXT);
            let mut far = OtherHours::default();
            let (mut lost, mut pending) = (BTreeSet::new(), BTreeSet::new());
            for (offset, index, is_whole, at) in all {
                let element = places::number(offset, index);
                let place = if is_whole { offset } else { element };
                let hour = at.map(hour);
                gathered.add(&UnaccountedRecord { place, element, hour });
                let own = at.filter(|at| (0..24).contains(at));
                match (offset < NEXT, at) {
                    (true, _) => drop(lost.insert((own, place))),
                    (false, Some(_)) => drop(pending.insert((own, element))),
                    (false, None) => {}
                }
                if (own, at.is_some()) == (None, true) {
                    let noted = &gathered.far.hours[&hour.unwrap()];
                    prop_assert!(noted.contains(offset), "{offset}");
                }
                // Taken at any time, nothing of it is twice there.
                if offset % 7 == 0 {
                    let taken = gathered.take_far();
                    far.missing.lost |= taken.missing.lost;
                    far.missing.pending |= taken.missing.pending;
                }
            }
            let taken = gathered.take_far();
            far.missing.lost |= taken.missing.lost;
            far.missing.pending |= taken.missing.pending;
            let of = |all: &BTreeSet<(Option<i64>, u64)>, of: Option<i64>| {
                all.iter().filter(|(at, _)| *at == of).map(|(_, place)| *place).collect::<RoaringTreemap>()
            };
            let expected = |at| Missing { lost: of(&lost, at), pending: of(&pending, at) };
            prop_assert_eq!(far.missing, expected(None));
            let own = gathered.into_hours();
            for at in 0..24 {
                let nothing = Missing::default();
                prop_assert_eq!(own.get(&hour(at)).unwrap_or(&nothing), &expected(Some(at)), "{}", at);
            }
        }
    }
}
