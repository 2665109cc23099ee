//! [`Holdings`]: which ticks one side has, by hour and partition, in a form that two sides can be
//! compared by.

use crate::archive::Origin;
use crate::checksum::{Checksum, TickContent};
use crate::hour::Hour;
use crate::pending_hours::MAX_SYMBOLS;
use crate::scan::{
    self, Exclusions, Line, LinePosition, Offsets, Overlap, ScanError, ScanOptions,
    TICKS_BETWEEN_LOOKS, TooWide, Visitor, places,
};
use common::decode::DecodedTick;
use common::{Bar, Place, Reject, Symbol, SymbolMap, Tick};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

/// A block is this many neighbouring places, as a power of two. Each has a checksum of its own,
/// which says where something differs; 20 million ticks then take about a megabyte.
const BLOCK_BITS: u32 = 10;

/// Offsets by hour and partition.
pub type OffsetsByHour = BTreeMap<(Hour, i32), RoaringTreemap>;

/// Ticks of one side.
#[derive(Debug, Default)]
pub struct Holdings {
    pub hours: BTreeMap<Hour, HourHoldings>,
    /// Some lines were no ticks.
    pub has_rejects: bool,
    /// Which sources the rows of an hour name.
    pub sources: BTreeMap<Hour, BTreeSet<i16>>,
}

/// Ticks of one side in an hour.
#[derive(Debug, Default)]
pub struct HourHoldings {
    /// The places of the ticks that are counted.
    pub offsets: Offsets,
    pub partitions: BTreeMap<i32, PartitionHoldings>,
    /// The same ticks by symbol: what summaries and bars must say.
    pub bars: SymbolMap<Bar>,
    /// There are more than [`MAX_SYMBOLS`], and `bars` has not all of them.
    pub is_too_wide: bool,
}

/// Ticks of one side in an hour and partition.
#[derive(Debug, Default)]
pub struct PartitionHoldings {
    /// Records, each once.
    pub ticks: u64,
    /// How often a record came again.
    pub duplicates: u64,
    /// The places of rows that came again.
    pub doubled: RoaringTreemap,
    /// Values of ticks, if they are few and were asked for by place.
    pub values: BTreeMap<u64, TickValue>,
    /// Ticks whose lines carry no offset, so that duplicates among them cannot be found.
    pub without_offsets: u64,
    /// Over all ticks with their places, as far as known.
    pub checksum: Checksum,
    /// Over all ticks without their places.
    pub content: Checksum,
    /// By the number of the block.
    pub blocks: FxHashMap<u64, Checksum>,
    /// For objects without offsets: the offset ranges that their names imply.
    pub presumed: Vec<PresumedRange>,
}

/// Up to this many ticks keep their values for display.
pub const MAX_KEPT_VALUES: usize = 4 << BLOCK_BITS;

/// The value of a tick, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickValue {
    pub checksum: Checksum,
    pub text: String,
}

/// Whether `places` are few enough to keep the ticks' values.
#[must_use]
pub fn are_few(places: &OffsetsByHour) -> bool {
    places.values().map(RoaringTreemap::len).sum::<u64>() <= MAX_KEPT_VALUES as u64
}

/// Where the ticks of one object and hour are in a partition: the offsets [start, end), by the
/// object's name and their order. Their true offsets are at least these, as messages in between may
/// not have been archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresumedRange {
    pub start: u64,
    pub end: u64,
    pub ticks: u64,
}

/// The numbers of the places in a block.
#[must_use]
pub fn block_offsets(block: u64) -> std::ops::Range<u64> {
    block << BLOCK_BITS..(block + 1) << BLOCK_BITS
}

/// The places that two sides have in common in blurred blocks. A block is blurred if the two sides
/// hold different offsets of it: its checksums cannot be compared. Both must be flushed.
#[must_use]
pub fn common_in_blurred_blocks(one: &RoaringTreemap, other: &RoaringTreemap) -> RoaringTreemap {
    let mut blocks = RoaringTreemap::new();
    for run in places::runs(&(one ^ other)) {
        blocks.insert_range(run.start >> BLOCK_BITS..=(run.end - 1) >> BLOCK_BITS);
    }
    let (both, mut common) = (one & other, RoaringTreemap::new());
    let mut left = both.iter();
    for block in blocks.iter().map(block_offsets) {
        left.advance_to(block.start);
        common.extend(left.clone().take_while(|place| *place < block.end));
    }
    common
}

impl Holdings {
    /// Adds a tick. `place`: its [`Place::number`], if known. Returns `false` for a duplicate.
    pub fn add(&mut self, partition: i32, place: Option<u64>, content: &TickContent<'_>) -> bool {
        let hour = self.hours.entry(Hour::of(content.timestamp)).or_default();
        let held = hour.partitions.entry(partition).or_default();
        let checksum = Checksum::of(content, place);
        match place {
            Some(place) if !hour.offsets.insert(partition, place) => {
                held.duplicates += 1;
                return false;
            }
            Some(place) => held.blocks.entry(place >> BLOCK_BITS).or_default().add(checksum),
            None => held.without_offsets += 1,
        }
        held.ticks += 1;
        held.checksum.add(checksum);
        held.content.add(Checksum::of(content, None));
        true
    }

    /// Notes the place of a tick that is there already.
    pub fn note_doubled(&mut self, hour: Hour, partition: i32, place: u64) {
        self.hours
            .entry(hour)
            .or_default()
            .partitions
            .entry(partition)
            .or_default()
            .doubled
            .insert(place);
    }

    /// Keeps what a tick says.
    pub fn keep_value(&mut self, partition: i32, place: u64, content: &TickContent<'_>) {
        let held = self
            .hours
            .entry(Hour::of(content.timestamp))
            .or_default()
            .partitions
            .entry(partition)
            .or_default();
        let value =
            TickValue { checksum: Checksum::of(content, Some(place)), text: content.to_string() };
        held.values.insert(place, value);
    }

    /// Records the presumed offset of a tick without one. Ticks of an object arrive in order.
    fn presume(&mut self, hour: Hour, place: Place) {
        let presumed = &mut self
            .hours
            .entry(hour)
            .or_default()
            .partitions
            .entry(place.partition)
            .or_default()
            .presumed;
        let offset = place.offset.cast_unsigned();
        match presumed.first_mut() {
            Some(first) => (first.end, first.ticks) = (offset + 1, first.ticks + 1),
            None => presumed.push(PresumedRange { start: offset, end: offset + 1, ticks: 1 }),
        }
    }

    /// Adds the tick to its symbol's bar. `place` orders ticks of equal time.
    pub fn sum_up(&mut self, tick: &Tick<'_>, place: Place) {
        let hour = self.hours.entry(Hour::of(tick.timestamp())).or_default();
        match hour.bars.get_mut(tick.symbol()) {
            Some(bar) => bar.add(tick, place),
            None => hour.insert(tick.symbol(), Bar::of(tick, place)),
        }
    }

    /// How many bars there are in all hours: they are what memory goes into.
    #[must_use]
    pub fn bars(&self) -> usize {
        self.hours.values().map(|hour| hour.bars.len()).sum()
    }

    /// Makes the sets of offsets ready for being compared.
    pub fn flush(&mut self) {
        self.hours.values_mut().for_each(|hour| hour.offsets.flush());
    }

    /// Merges another part of the same side. Returns the records without which it must be built
    /// again, of those hours of which only some are new. Both must be flushed.
    #[must_use]
    pub fn merge_part(&mut self, other: Self) -> Exclusions {
        let mut again = Exclusions::default();
        for (hour, part) in other.hours {
            let known = self.hours.entry(hour).or_default();
            match known.overlap(&part) {
                Overlap::None => known.merge(part),
                Overlap::All => part.partitions.into_iter().for_each(|(partition, held)| {
                    known.partitions.entry(partition).or_default().duplicates +=
                        held.ticks + held.duplicates;
                }),
                Overlap::Part => drop(again.insert(hour, known.offsets.clone())),
            }
        }
        again
    }
}

impl HourHoldings {
    /// The places of one partition.
    #[must_use]
    pub fn offsets(&self, partition: i32) -> RoaringTreemap {
        self.offsets.partition(partition).cloned().unwrap_or_default()
    }

    /// Whether some ticks carry no offset.
    #[must_use]
    pub fn lacks_offsets(&self) -> bool {
        self.partitions.values().any(|held| held.without_offsets > 0)
    }

    fn overlap(&self, other: &Self) -> Overlap {
        let ticks = other.partitions.values().map(|held| held.ticks).sum();
        self.offsets.overlap(&other.offsets, ticks)
    }

    fn merge(&mut self, other: Self) {
        self.merge_bars(&other);
        self.offsets.add_all(other.offsets);
        for (partition, held) in other.partitions {
            self.partitions.entry(partition).or_default().merge(held);
        }
    }

    /// Takes in the bars alone.
    pub fn merge_bars(&mut self, other: &Self) {
        for (symbol, bar) in other.bars.iter() {
            match self.bars.get_mut(symbol) {
                Some(sum) => sum.merge(bar),
                None => self.insert(symbol, *bar),
            }
        }
        self.is_too_wide |= other.is_too_wide;
    }

    fn insert(&mut self, symbol: Symbol<'_>, bar: Bar) {
        if self.bars.len() < MAX_SYMBOLS {
            self.bars.insert(symbol, bar)
        } else {
            self.is_too_wide = true
        }
    }
}

impl PartitionHoldings {
    /// Whether some of its ticks carry their offset.
    #[must_use]
    pub const fn has_offsets(&self) -> bool {
        self.ticks > self.without_offsets
    }

    /// How many ticks may stand at an offset or behind it, where lines tell none: all of those
    /// objects that reach so far.
    #[must_use]
    pub fn presumed_from(&self, offset: u64) -> u64 {
        self.presumed
            .iter()
            .filter(|presumed| presumed.end > offset)
            .map(|presumed| presumed.ticks)
            .sum()
    }

    fn merge(&mut self, other: Self) {
        self.ticks += other.ticks;
        self.duplicates += other.duplicates;
        self.without_offsets += other.without_offsets;
        self.checksum.add(other.checksum);
        self.content.add(other.content);
        for (block, checksum) in other.blocks {
            self.blocks.entry(block).or_default().add(checksum);
        }
        self.presumed.extend(other.presumed);
        self.values.extend(other.values);
    }
}

/// The first difference between two sides, partition by partition. Both must be
/// flushed.
#[must_use]
pub fn find_difference(
    expected: Option<&HourHoldings>,
    found: Option<&HourHoldings>,
) -> Option<String> {
    let nothing = HourHoldings::default();
    let (expected, found) = (expected.unwrap_or(&nothing), found.unwrap_or(&nothing));
    let (lacking, extra) =
        (expected.offsets.missing_in(&found.offsets), found.offsets.missing_in(&expected.offsets));
    if lacking + extra > 0 {
        return Some(format!("{lacking} ticks are missing, {extra} are too many"));
    }
    let blocks = expected.partitions.iter().flat_map(|(partition, held)| {
        let other = found.partitions.get(partition);
        held.blocks.iter().filter(move |(block, sum)| {
            other.and_then(|other| other.blocks.get(block)) != Some(*sum)
        })
    });
    let doubled: u64 =
        found.partitions.values().map(|held| held.duplicates + held.without_offsets).sum();
    match (blocks.count(), doubled) {
        (0, 0) => None,
        (blocks, doubled) => Some(format!(
            "{blocks} blocks of ticks say something else, {doubled} ticks are there twice"
        )),
    }
}

/// Reads the ticks of an object of the archive. `among`: of these places alone, and by their
/// checksums alone.
///
/// # Errors
/// Where it cannot be read to its end.
pub fn of_object(
    body: impl Read,
    options: &ScanOptions,
    among: Option<&Arc<OffsetsByHour>>,
) -> Result<Holdings, ScanError> {
    let mut reading = HoldingsVisitor {
        holdings: Holdings::default(),
        origin: options.origin,
        exclude: options.exclude.clone(),
        among: among.cloned(),
        keeps_values: among.is_some_and(|among| are_few(among)),
        max_bars: options.max_bars,
        hour_weight: options.hour_weight,
        records: 0,
        is_too_wide: false,
    };
    let read = scan::visit(body, options, &mut reading);
    let read = read.and_then(|()| {
        if reading.is_too_wide { Err(TooWide::error(options.max_bars)) } else { Ok(()) }
    });
    let mut holdings = reading.holdings;
    match read {
        Ok(()) => {
            holdings.flush();
            Ok(holdings)
        }
        Err(error) => Err(ScanError { error, hours: holdings.hours.into_keys().collect() }),
    }
}

struct HoldingsVisitor {
    holdings: Holdings,
    origin: Origin,
    exclude: Option<Arc<Exclusions>>,
    among: Option<Arc<OffsetsByHour>>,
    keeps_values: bool,
    max_bars: usize,
    hour_weight: usize,
    records: u64,
    is_too_wide: bool,
}

impl Visitor for HoldingsVisitor {
    fn record(&mut self, record: &DecodedTick<'_>, position: LinePosition) {
        self.records += 1;
        if self.records.is_multiple_of(TICKS_BETWEEN_LOOKS) {
            let hours = self.hour_weight * self.holdings.hours.len();
            self.is_too_wide = self.holdings.bars() + hours > self.max_bars;
        }
        let content = TickContent::of(record);
        let Some((place, number)) =
            record.provenance.and_then(|provenance| scan::place_of(provenance, position.element))
        else {
            if self.among.is_none() {
                let place = self.origin.place(position.order);
                self.holdings.add(place.partition, None, &content);
                self.holdings.presume(Hour::of(content.timestamp), place);
                self.holdings.sum_up(&record.tick, place);
            }
            return;
        };
        let partition = place.partition;
        let hour = Hour::of(content.timestamp);
        let among = self.among.as_ref().map(|among| among.get(&(hour, partition)));
        if among.is_some_and(|places| !places.is_some_and(|places| places.contains(number))) {
            return;
        }
        let excluded = self.exclude.as_ref().and_then(|exclude| exclude.get(&hour));
        if excluded.is_some_and(|offsets| offsets.contains("", partition, number)) {
            let hour = self.holdings.hours.entry(hour).or_default();
            hour.partitions.entry(partition).or_default().duplicates += 1;
            return;
        }
        match (self.holdings.add(partition, Some(number), &content), among.is_none()) {
            (true, true) => self.holdings.sum_up(&record.tick, place),
            (true, false) if self.keeps_values => {
                self.holdings.keep_value(partition, number, &content)
            }
            (false, true) => self.holdings.note_doubled(hour, partition, number),
            _ => {}
        }
    }

    /// A line that is no tick has no hour; `rejected_lines` has it.
    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {
        self.holdings.has_rejects = true;
    }

    fn has_enough(&self) -> bool {
        self.is_too_wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{Price, Timestamp};

    fn holdings(offsets: &[u64]) -> Holdings {
        let mut holdings = Holdings::default();
        for offset in offsets {
            let content = TickContent {
                symbol: "A",
                timestamp: Timestamp::from_micros(*offset as i64),
                open: Price::from_nanos(1),
                high: None,
                low: None,
                close: Price::from_nanos(1),
                volume: common::Volume::from_parts(offset.cast_signed(), 0),
                extras: common::Extras::default(),
            };
            holdings.add(0, Some(*offset), &content);
        }
        holdings.flush();
        holdings
    }

    fn held(ticks: &[(u64, i64)]) -> HourHoldings {
        let mut holdings = Holdings::default();
        for (place, close) in ticks {
            holdings.add(0, Some(*place), &TickContent::with_close(*close));
        }
        holdings.flush();
        holdings.hours.into_values().next().unwrap_or_default()
    }

    #[test]
    fn a_tick_that_is_missing_too_many_there_twice_or_otherwise_is_a_difference() {
        let whole = held(&[(1, 7), (2000, 8)]);
        assert_eq!(find_difference(Some(&whole), Some(&held(&[(2000, 8), (1, 7)]))), None);
        for other in [
            &[(1, 7)][..],
            &[(1, 7), (2000, 8), (3, 9)],
            &[(1, 7), (2000, 9)],
            &[(1, 7), (2000, 8), (1, 7)],
        ] {
            assert!(find_difference(Some(&whole), Some(&held(other))).is_some(), "{other:?}");
        }
        assert!(find_difference(Some(&whole), None).is_some());
        assert_eq!(find_difference(None, None), None);
    }

    fn held_partition(holdings: &Holdings) -> &PartitionHoldings {
        &holdings.hours.values().next().unwrap().partitions[&0]
    }

    #[test]
    fn parts_add_up_to_the_whole_and_a_repeated_part_counts_as_duplicates() {
        let (mut parts, whole) = (holdings(&[1, 2, 3]), holdings(&[5000, 1, 3, 2]));
        assert!(parts.merge_part(holdings(&[5000])).is_empty());
        assert!(parts.merge_part(holdings(&[2, 3])).is_empty());
        assert_eq!(held_partition(&parts).checksum, held_partition(&whole).checksum);
        assert_eq!(held_partition(&parts).blocks, held_partition(&whole).blocks);
        assert_eq!((held_partition(&parts).ticks, held_partition(&parts).duplicates), (4, 2));
    }

    #[test]
    fn a_part_that_is_new_in_part_must_be_read_again_without_what_is_known() {
        let mut known = holdings(&[1, 2, 3]);
        let again = known.merge_part(holdings(&[3, 4]));
        assert!(again.values().next().unwrap().contains("", 0, 3));
        assert_eq!(held_partition(&known).ticks, 3);
    }

    #[test]
    fn of_blocks_in_which_one_side_has_others_the_common_places_are_asked_for() {
        let places = |places: &[u64]| places.iter().copied().collect::<RoaringTreemap>();
        let (one, other) = (
            places(&[0, 1, 1024, 1025, 2048, 5000]),
            places(&[0, 1, 2, 1024, 1025, 2048, 2050, 9000]),
        );
        assert_eq!(common_in_blurred_blocks(&one, &other), places(&[0, 1, 2048]));
        assert!(common_in_blurred_blocks(&one, &one).is_empty());
        assert!(common_in_blurred_blocks(&one, &places(&[])).is_empty());
    }

    /// In milliseconds.
    const AT: i64 = 1_748_869_200_000;

    fn limited(max_bars: usize, hour_weight: usize) -> ScanOptions {
        let stored_at = Timestamp::from_micros(AT * 1000);
        let options = ScanOptions::unlimited(Origin { partition: 0, start_offset: 0 }, stored_at);
        ScanOptions { max_bars, hour_weight, ..options }
    }

    #[test]
    fn an_object_that_goes_on_with_new_symbols_is_given_up() {
        let line = |number| {
            format!(r#"{{"symbol":"S{number}","timestamp":{AT},"open":1,"close":1,"volume":1}}"#)
        };
        let text: String = (0..20_000).map(|number| line(number) + "\n").collect();
        let endless = std::io::Cursor::new(text).chain(std::io::repeat(b'\n'));
        let options = limited(5000, 0);
        let error = of_object(endless, &options, None).unwrap_err().error;
        assert!(TooWide::caused(&error), "{error}");
    }

    #[test]
    fn an_object_of_very_many_hours_takes_the_memory_of_more_bars_than_it_has() {
        let line = |hour: i64| {
            let at = AT - hour * 3_600_000;
            format!(r#"{{"symbol":"A","timestamp":{at},"open":1,"close":1,"volume":1}}"#)
        };
        let text: String = (0..5_000).map(|hour| line(hour) + "\n").collect();
        let with = |hour_weight| {
            of_object(text.as_bytes(), &limited(20_000, hour_weight), None)
                .map(|held| held.hours.len())
        };
        assert!(TooWide::caused(&with(8).unwrap_err().error));
        assert_eq!(with(0).unwrap(), 5_000);
    }

    #[test]
    fn an_hour_keeps_no_more_bars_than_there_is_memory_for_and_says_so() {
        let mut hour = HourHoldings::default();
        let bar =
            Bar::of(&some_content().tick().unwrap(), Place { partition: 0, offset: 0, index: 0 });
        for number in 0..=MAX_SYMBOLS {
            assert!(!hour.is_too_wide);
            hour.insert(Symbol::new(&format!("S{number}")).unwrap(), bar);
        }
        assert!(hour.is_too_wide);
        assert_eq!(hour.bars.len(), MAX_SYMBOLS);
    }

    fn some_content() -> TickContent<'static> {
        TickContent {
            symbol: "A",
            timestamp: Timestamp::from_micros(0),
            open: Price::from_nanos(1),
            high: None,
            low: None,
            close: Price::from_nanos(1),
            volume: None,
            extras: common::Extras::default(),
        }
    }
}
