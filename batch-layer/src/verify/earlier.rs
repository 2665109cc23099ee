//! [`Earlier`]: the messages of the hours that were compared right before others.

use roaring::RoaringTreemap;
use std::collections::BTreeMap;

/// Messages with ticks by partition. An offset may be missing between the last of them and the
/// first of the hours that follow.
#[derive(Debug, Default)]
pub struct Earlier(BTreeMap<i32, RoaringTreemap>);

impl Earlier {
    /// The last one before some messages.
    #[must_use]
    pub fn before(&self, partition: i32, messages: &RoaringTreemap) -> Option<u64> {
        let known = self.0.get(&partition)?;
        let below = known.rank(messages.min()?.checked_sub(1)?);
        known.select(below.checked_sub(1)?)
    }

    /// Takes in those of a stretch of hours. What lies before all of them is asked for no longer;
    /// what lies behind may be of late ticks, and is asked for when their turn comes.
    pub fn add(&mut self, partition: i32, messages: &RoaringTreemap) {
        let Some(first) = messages.min() else { return };
        let known = self.0.entry(partition).or_default();
        known.remove_range(..first);
        *known |= messages;
        known.optimize();
    }

    /// Hours follow that are not the next ones: what lies in between was not looked at.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(offsets: &[u64]) -> RoaringTreemap {
        offsets.iter().copied().collect()
    }

    #[test]
    fn the_last_one_before_is_found_though_late_ticks_lie_behind() {
        let mut earlier = Earlier::default();
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
    fn what_lies_before_all_of_a_stretch_is_kept_no_longer() {
        let mut earlier = Earlier::default();
        for day in 0_u64..1_000 {
            earlier.add(0, &(day * 1_000..day * 1_000 + 9).collect());
        }
        assert_eq!(earlier.0[&0].len(), 9);
    }
}
