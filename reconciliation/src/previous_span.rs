//! [`PreviousSpan`]: the messages of the hours that were compared right before others.

use hourly::holdings::Holdings;
use hourly::hour::Hour;
use roaring::RoaringTreemap;
use std::collections::BTreeMap;
use std::ops::Range;

/// Messages with ticks by partition. An offset may be missing between the last of them and the
/// first of the hours that follow.
#[derive(Debug, Default)]
pub struct PreviousSpan {
    messages: BTreeMap<i32, RoaringTreemap>,
    /// The hours that were compared last, and the places that `realtime_stock` has of them.
    realtime: Option<(Range<Hour>, BTreeMap<i32, RoaringTreemap>)>,
}

impl PreviousSpan {
    /// The last one before some messages.
    #[must_use]
    pub fn before(&self, partition: i32, messages: &RoaringTreemap) -> Option<u64> {
        let known = self.messages.get(&partition)?;
        let below = known.rank(messages.min()?.checked_sub(1)?);
        known.select(below.checked_sub(1)?)
    }

    /// Takes in those of a span of hours. What lies before all of them is asked for no longer;
    /// what lies after may be of late ticks, and is asked for when their turn comes.
    pub fn add(&mut self, partition: i32, messages: &RoaringTreemap) {
        let Some(first) = messages.min() else { return };
        let known = self.messages.entry(partition).or_default();
        known.remove_range(..first);
        *known |= messages;
        known.optimize();
    }

    /// Takes in what `realtime_stock` has of them.
    pub fn note_realtime(&mut self, hours: Range<Hour>, realtime: &Holdings) {
        let mut places: BTreeMap<i32, RoaringTreemap> = BTreeMap::new();
        for held in realtime.hours.values() {
            for (_, partition, offsets) in held.offsets.iter() {
                *places.entry(partition).or_default() |= offsets;
            }
        }
        self.realtime = Some((hours, places));
    }

    /// Since when `realtime_stock` tells whose an offset is; `None`: it has no such tick of the
    /// hours that were compared last.
    #[must_use]
    pub fn in_realtime_since(&self, partition: i32, offset: u64) -> Option<Hour> {
        let (hours, places) = self.realtime.as_ref()?;
        places.get(&partition)?.contains(offset).then_some(hours.start)
    }

    /// Hours follow that are not the next ones: what lies in between was not looked at.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;

    fn set(offsets: &[u64]) -> RoaringTreemap {
        offsets.iter().copied().collect()
    }

    #[test]
    fn the_last_one_before_is_found_though_late_ticks_lie_behind() {
        let mut earlier = PreviousSpan::default();
        assert_eq!(earlier.before(0, &set(&[7])), None);
        // The first hours have a late tick of the third ones, and a damaged line.
        let damaged = 1 << 47;
        for (messages, before) in [
            (&[0, 1, 2, 25, damaged][..], None),
            (&[10, 11, 12], Some(2)),
            (&[20, 21, 24, 26], Some(12)),
            (&[30], Some(26)),
            (&[], None),
            (&[damaged + 9], Some(damaged)),
        ] {
            let messages = set(messages);
            assert_eq!(earlier.before(0, &messages), before, "{messages:?}");
            earlier.add(0, &messages);
        }
        assert_eq!(earlier.before(1, &set(&[7])), None, "another partition");
        earlier.forget();
        assert_eq!(earlier.before(0, &set(&[damaged + 10])), None);
    }

    #[test]
    fn of_the_hours_right_before_it_is_known_what_realtime_stock_has_of_them() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let mut earlier = PreviousSpan::default();
        for day in 0..2 {
            let mut realtime = Holdings::default();
            let held = realtime.hours.entry(hour(day * 24)).or_default();
            held.offsets.insert(0, day.cast_unsigned());
            held.offsets.flush();
            earlier.note_realtime(hour(day * 24)..hour(day * 24 + 24), &realtime);
        }
        assert_eq!(earlier.in_realtime_since(0, 1), Some(hour(24)));
        assert_eq!([earlier.in_realtime_since(0, 0), earlier.in_realtime_since(1, 1)], [None; 2]);
        earlier.forget();
        assert_eq!(earlier.in_realtime_since(0, 1), None);
    }

    #[test]
    fn what_lies_before_all_of_a_stretch_is_kept_no_longer() {
        let mut earlier = PreviousSpan::default();
        for day in 0_u64..1_000 {
            earlier.add(0, &(day * 1_000..day * 1_000 + 9).collect());
        }
        assert_eq!(earlier.messages[&0].len(), 9);
    }
}
