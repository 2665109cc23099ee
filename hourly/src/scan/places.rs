//! What sets of [`Place::number`]s say of messages: a message's ticks lie far apart in them.

use super::runs;
use common::Place;
use common::decode::Provenance;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::ops::Range;

/// As people write it: `7`, and `7[2]` for a later element of a message.
#[must_use]
pub fn text(number: u64) -> String {
    match (Place::offset_of(number), Place::index_of(number)) {
        (offset, 0) => offset.to_string(),
        (offset, index) => format!("{offset}[{index}]"),
    }
}

/// The runs of neighbours in a set, in order: a billion of them cost no more than one.
pub fn runs(set: &RoaringTreemap) -> impl Iterator<Item = Range<u64>> {
    runs::joined(set.bitmaps().flat_map(|(high, bitmap)| runs_of(u64::from(high) << 32, bitmap)))
}

/// The runs of a part of a set, which begins at `start`.
fn runs_of(start: u64, bitmap: &RoaringBitmap) -> impl Iterator<Item = Range<u64>> {
    let mut offsets = bitmap.iter();
    std::iter::from_fn(move || offsets.next_range())
        .map(move |run| start + u64::from(*run.start())..start + u64::from(*run.end()) + 1)
}

/// Places of one index, whose messages lie close together.
pub struct Part<'a> {
    high: u32,
    offsets: &'a RoaringBitmap,
}

impl Part<'_> {
    /// Where the messages begin.
    fn start(&self) -> u64 {
        u64::from(offset_bits(self.high)) << 32
    }

    /// The runs of their messages.
    pub fn messages(&self) -> impl Iterator<Item = Range<u64>> {
        runs_of(self.start(), self.offsets)
    }

    /// The places whose messages are these.
    #[must_use]
    pub fn places(&self, messages: &Range<u64>) -> Range<u64> {
        let element = (u64::from(self.high) << 32) - self.start();
        messages.start + element..messages.end + element
    }
}

/// The parts of some places, each with the range of offsets that its messages are in.
pub fn parts(places: &RoaringTreemap) -> impl Iterator<Item = (Range<u64>, Part<'_>)> {
    places.bitmaps().map(|(high, offsets)| {
        let part = Part { high, offsets };
        (part.start()..part.start() + (1 << 32), part)
    })
}

/// The offsets of the messages that the places are in.
#[must_use]
pub fn messages(places: &RoaringTreemap) -> RoaringTreemap {
    let mut messages = RoaringTreemap::new();
    for (high, offsets) in places.bitmaps() {
        messages |= RoaringTreemap::from_bitmaps([(offset_bits(high), offsets.clone())]);
    }
    messages
}

/// The places whose messages are in `messages`.
#[must_use]
pub fn of_messages(places: &RoaringTreemap, messages: &RoaringTreemap) -> RoaringTreemap {
    let by_high: Vec<(u32, &RoaringBitmap)> = messages.bitmaps().collect();
    let of = |high: u32, offsets: &RoaringBitmap| {
        let at = by_high.binary_search_by_key(&offset_bits(high), |(other, _)| *other).ok()?;
        Some((high, offsets & by_high[at].1))
    };
    let found = places.bitmaps().filter_map(|(high, offsets)| of(high, offsets));
    RoaringTreemap::from_bitmaps(found.filter(|(_, offsets)| !offsets.is_empty()))
}

/// The places whose messages are at `start` or after it.
#[must_use]
pub fn from(places: &RoaringTreemap, start: u64) -> RoaringTreemap {
    let later = |(high, offsets): (u32, &RoaringBitmap)| {
        let own = u64::from(offset_bits(high));
        (own >= start >> 32).then(|| {
            let mut offsets = offsets.clone();
            if own == start >> 32 {
                offsets.remove_range(..start as u32);
            }
            (high, offsets)
        })
    };
    let found = places.bitmaps().filter_map(later);
    RoaringTreemap::from_bitmaps(found.filter(|(_, offsets)| !offsets.is_empty()))
}

/// So many places of the first messages, or more by what the last of these has.
#[must_use]
pub fn first(places: &RoaringTreemap, count: u64) -> RoaringTreemap {
    let all = messages(places);
    let of_first = |number: u64| {
        let mut first = all.clone();
        if let Some(next) = all.select(number) {
            first.remove_range(next..);
        }
        of_messages(places, &first)
    };
    let (mut low, mut high) = (0, all.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if of_first(middle).len() < count { low = middle + 1 } else { high = middle }
    }
    of_first(low)
}

/// How many places there are of messages with these offsets.
#[must_use]
pub fn len_of(places: &RoaringTreemap, messages: &Range<u64>) -> u64 {
    (from(places, messages.start).len()).saturating_sub(from(places, messages.end).len())
}

/// The largest offset of a message.
#[must_use]
pub fn newest(places: &RoaringTreemap) -> Option<u64> {
    let last = |(high, offsets): (u32, &RoaringBitmap)| {
        Some(u64::from(offset_bits(high)) << 32 | u64::from(offsets.max()?))
    };
    places.bitmaps().filter_map(last).max()
}

/// The number of a message's element.
#[must_use]
pub const fn number(offset: u64, index: u16) -> u64 {
    ((index as u64) * Place::FIRST_ELEMENTS) | offset
}

/// The place of the tick `element` of a line, and its number; `None` where no broker can have given
/// its offset.
pub fn place_of(position: Provenance, element: u16) -> Option<(Place, u64)> {
    let place = Place { partition: position.partition, offset: position.offset, index: element };
    Some((place, place.number()?))
}

/// Whether there are later elements of messages among some places.
#[must_use]
pub fn have_elements(places: &RoaringTreemap) -> bool {
    places.max().is_some_and(|last| last >= Place::FIRST_ELEMENTS)
}

/// The messages of which an element is among some places, and one before it is not.
#[must_use]
pub fn with_holes(places: &RoaringTreemap) -> RoaringTreemap {
    let later = places.iter().filter(|place| *place >= Place::FIRST_ELEMENTS);
    later
        .filter(|place| !places.contains(place - Place::FIRST_ELEMENTS))
        .map(Place::offset_of)
        .collect()
}

/// The bits of the upper half of a place's number that belong to its offset.
fn offset_bits(high: u32) -> u32 {
    (Place::offset_of(u64::from(high) << 32) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn some_places() -> impl Strategy<Value = BTreeSet<(u64, u16)>> {
        let offset = prop_oneof![3 => 0_u64..9, 1 => (1_u64 << 32)..(1 << 32) + 3, 1 => Just((1_u64 << 48) - 1)];
        proptest::collection::btree_set(
            (offset, prop_oneof![2 => Just(0), 1 => 0_u16..3, 1 => Just(9_999)]),
            0..30,
        )
    }

    fn number((offset, index): (u64, u16)) -> u64 {
        Place { partition: 0, offset: offset.cast_signed(), index }.number().unwrap()
    }

    proptest! {
        #[test]
        fn places_are_those_of_their_messages(places in some_places(), others in some_places(), start in 0_u64..9) {
            let set: RoaringTreemap = places.iter().copied().map(number).collect();
            let offsets = |places: &BTreeSet<(u64, u16)>| places.iter().map(|(offset, _)| *offset).collect::<BTreeSet<u64>>();
            let asked: RoaringTreemap = offsets(&others).into_iter().collect();
            let pick = |is_wanted: &dyn Fn(u64) -> bool| {
                places.iter().copied().filter(|(offset, _)| is_wanted(*offset)).map(number).collect::<RoaringTreemap>()
            };
            prop_assert_eq!(messages(&set), offsets(&places).into_iter().collect::<RoaringTreemap>());
            prop_assert_eq!(of_messages(&set, &asked), pick(&|offset| asked.contains(offset)));
            for start in [start, (1 << 32) + start % 4, (1 << 48) - 1, u64::MAX] {
                prop_assert_eq!(from(&set, start), pick(&|offset| offset >= start));
            }
            for end in [start, start + 3, (1 << 32) + start % 4] {
                let expected = pick(&|offset| (start..end).contains(&offset)).len();
                prop_assert_eq!(len_of(&set, &(start..end)), expected);
            }
            for count in 0..=places.len() + 1 {
                let last = places.iter().take(count).next_back().map(|(offset, _)| *offset);
                let expected = pick(&|offset| last.is_some_and(|last| offset <= last));
                prop_assert_eq!(first(&set, count as u64), expected);
            }
            prop_assert_eq!(newest(&set), offsets(&places).last().copied());
        }
    }

    #[test]
    fn messages_are_told_of_which_an_element_is_missing_before_another() {
        let set =
            |places: &[(u64, u16)]| places.iter().copied().map(number).collect::<RoaringTreemap>();
        let places = set(&[(1, 0), (2, 0), (2, 1), (3, 1), (4, 0), (4, 2), (4, 3), (1 << 40, 0)]);
        assert_eq!(with_holes(&places).iter().collect::<Vec<_>>(), [3, 4]);
        assert!(have_elements(&places) && !have_elements(&set(&[(1, 0), (1 << 40, 0)])));
        assert_eq!(super::number(4, 3), number((4, 3)));
    }

    #[test]
    fn only_later_elements_are_named_by_their_index() {
        assert_eq!([text(number((7, 0))), text(number((7, 2)))], ["7", "7[2]"]);
    }
}
