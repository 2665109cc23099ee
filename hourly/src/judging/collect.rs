//! An hour's ticks out of the objects that hold them, symbol by symbol in the order of time.
//!
//! Of the hours before and after it the ticks nearest to it come along, as a margin for those at
//! its ends.

use crate::checksum::TickContent;
use crate::hour::Hour;
use crate::scan::{Line, LinePosition, ScanError, ScanOptions, Visitor, place_of, visit};
use anomalies::conditions::{Conditions, Sale};
use anomalies::{Quote, Revision};
use common::decode::DecodedTick;
use common::tick::Prices;
use common::{OrderKey, Place, Price, Reject, Symbol, SymbolMap, Timestamp, Volume};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

/// How far from the hour a tick of its margin may lie. What is nearest is then a matter of the
/// archive alone, and of other hours those objects alone are read that reach so near.
const MARGIN: i64 = 10 * Timestamp::MINUTE;

/// Between which times the ticks of an hour and of its margins lie: [from, until).
#[must_use]
pub fn margins(hour: Hour) -> (Timestamp, Timestamp) {
    (hour.start().plus_micros(-MARGIN), hour.plus(1).start().plus_micros(MARGIN))
}

/// One tick, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectedTick {
    /// Index into the owner's list of symbols.
    pub symbol: u32,
    pub key: OrderKey,
    pub prices: Prices,
    pub volume: Option<Volume>,
    /// Bid and ask in units of 10^-9; 0: none.
    pub quote: (i64, i64),
    /// The feed's sequence number plus one; 0: none.
    pub after_sequence: u64,
    /// Meaning of its conditions.
    pub sale: Sale,
    /// Index of the topic among the known ones; [`UNKNOWN_TOPIC`] and above: none of them.
    pub topic: u8,
    /// Number of its object in the order of keys, and of its line in the object.
    pub order: (u32, u32),
    /// Whether the line has an offset. If not, the place is derived from the object's name and the
    /// lines before it.
    pub has_offset: bool,
}

pub const UNKNOWN_TOPIC: u8 = u8::MAX;

impl CollectedTick {
    /// Where bid and ask are both known.
    pub fn quote(&self) -> Option<Quote> {
        let (bid, ask) = self.quote;
        (bid > 0 && ask > 0).then_some(Quote { bid, ask })
    }

    /// The feed's own number.
    pub fn sequence(&self) -> Option<u64> {
        self.after_sequence.checked_sub(1)
    }

    /// Whether its producer takes it back.
    pub fn is_cancel(&self) -> bool {
        self.sale.revision == Some(Revision::Cancel)
    }
}

/// Which ticks of an object are wanted.
#[derive(Debug, Clone)]
pub struct TickSelection {
    pub hour: Hour,
    /// How many ticks of it there are, each counted once.
    pub ticks: usize,
    /// `None`: all.
    pub symbols: Option<Arc<FxHashSet<Box<str>>>>,
    /// How many ticks of each symbol on either side of the hour, without those that are taken back.
    pub margin: usize,
    /// Meaning of conditions.
    pub conditions: Arc<Conditions>,
    /// Whether those before it are among them.
    pub with_before: bool,
    /// Pauses that are searched for ticks.
    pub pauses: Arc<Pauses>,
}

/// Times in which a partition had no ticks, as it was said by those that came then.
#[derive(Debug, Default)]
pub struct Pauses {
    /// By topic and partition, in the order of their ends. They overlap where two versions of the
    /// detector, or two sources of a topic, have found them.
    by_partition: FxHashMap<(u8, i32), Vec<Pause>>,
    /// How long the longest is, in microseconds.
    longest: i64,
    /// The first instant of all of them, and the one after the last.
    within: Option<(Timestamp, Timestamp)>,
}

/// One of them: its ticks would be at `since` or later, and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The finding's that says it.
    pub number: usize,
    pub since: Timestamp,
    pub until: Timestamp,
}

impl Pauses {
    pub fn of(all: impl IntoIterator<Item = ((u8, i32), Pause)>) -> Self {
        let mut pauses = Self::default();
        for (partition, pause) in all {
            let (from, until) = pauses.within.unwrap_or((pause.since, pause.until));
            pauses.within = Some((from.min(pause.since), until.max(pause.until)));
            pauses.longest = pauses.longest.max(pause.until.micros() - pause.since.micros());
            pauses.by_partition.entry(partition).or_default().push(pause);
        }
        pauses
            .by_partition
            .values_mut()
            .for_each(|pauses| pauses.sort_unstable_by_key(|pause| pause.until));
        pauses
    }

    /// Their first instant.
    pub fn since(&self) -> Option<Timestamp> {
        self.within.map(|(since, _)| since)
    }

    fn may_hold(&self, at: Timestamp) -> bool {
        self.within.is_some_and(|(since, until)| at >= since && at < until)
    }

    /// The numbers of those that an instant lies in.
    fn pauses_at(&self, partition: (u8, i32), at: Timestamp) -> impl Iterator<Item = usize> {
        let pauses = self.by_partition.get(&partition).map_or(&[][..], Vec::as_slice);
        let next = &pauses[pauses.partition_point(|pause| pause.until <= at)..];
        let may_hold = move |pause: &&Pause| pause.until.micros() - self.longest <= at.micros();
        next.iter()
            .take_while(may_hold)
            .filter(move |pause| pause.since <= at)
            .map(|pause| pause.number)
    }
}

/// Which object ticks are of.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRank {
    pub topic: u8,
    /// Among all that are read, in the order of their keys.
    pub rank: u32,
}

/// The selected ticks of one object.
#[derive(Debug, Default)]
pub struct CollectedTicks {
    pub symbols: Vec<Box<str>>,
    pub ticks: Vec<CollectedTick>,
    /// The seconds of each pause, by number, in which it has ticks.
    pub interrupted: Interrupted,
}

/// Seconds since 1970 in which pauses have ticks, by the pauses' numbers.
pub type Interrupted = FxHashMap<usize, BTreeSet<i64>>;

impl CollectedTicks {
    /// The ticks of some symbols; `None`: of all.
    pub fn only(&self, symbols: Option<&FxHashSet<Box<str>>>) -> Self {
        let is_wanted = |held: &&CollectedTick| {
            symbols.is_none_or(|wanted| wanted.contains(&self.symbols[held.symbol as usize]))
        };
        let ticks = self.ticks.iter().filter(is_wanted).copied().collect();
        Self { symbols: self.symbols.clone(), ticks, ..Self::default() }
    }

    /// Adds the last ticks of a symbol that it does not have yet.
    pub fn add_end(&mut self, symbol: &str, ticks: &[CollectedTick]) {
        let number = self.symbols.len() as u32;
        self.symbols.push(symbol.into());
        self.ticks.extend(ticks.iter().map(|held| CollectedTick { symbol: number, ..*held }));
    }
}

/// Which side of the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Before,
    Behind,
}

/// Reads of an object what is wanted.
///
/// # Errors
/// Where it cannot be read to its end.
pub fn collect(
    input: impl Read,
    options: &ScanOptions,
    wanted: &TickSelection,
    whose: ObjectRank,
) -> Result<CollectedTicks, ScanError> {
    let mut of_lines =
        LineCollector { options, collecting: Collecting::new(wanted.clone(), whose) };
    match visit(input, options, &mut of_lines) {
        Ok(()) => Ok(of_lines.collecting.finish()),
        Err(error) => Err(ScanError { error, hours: Vec::new() }),
    }
}

/// Collects what an object's lines say.
struct LineCollector<'a> {
    options: &'a ScanOptions,
    collecting: Collecting,
}

impl Visitor for LineCollector<'_> {
    fn record(&mut self, record: &DecodedTick<'_>, position: LinePosition) {
        let identified =
            record.provenance.and_then(|provenance| place_of(provenance, position.element));
        let place = || {
            identified.map_or_else(|| self.options.origin.place(position.order), |(place, _)| place)
        };
        let number = u32::try_from(position.order.0).unwrap_or(u32::MAX);
        self.collecting.add(&TickContent::of(record), place, (identified.is_some(), number));
    }

    fn reject(&mut self, _: &Line<'_>, _: u16, _: Reject) {}
}

/// Collects what is wanted of one object.
pub struct Collecting {
    wanted: TickSelection,
    whose: ObjectRank,
    /// The hour and its margins.
    window: (Timestamp, Timestamp),
    /// `None`: it is not wanted.
    numbers: SymbolMap<Option<u32>>,
    part: CollectedTicks,
    /// With so many ticks of the hour some must be there twice.
    room: usize,
    margins: FxHashMap<(u32, Side), Vec<CollectedTick>>,
}

impl Collecting {
    #[must_use]
    pub fn new(wanted: TickSelection, whose: ObjectRank) -> Self {
        let window = margins(wanted.hour);
        let (numbers, margins) = (SymbolMap::default(), FxHashMap::default());
        let room = wanted.ticks + SPARE;
        Self { wanted, whose, window, numbers, part: CollectedTicks::default(), room, margins }
    }

    /// Adds a tick of the lake, where every row has an offset.
    pub fn add_row(&mut self, content: &TickContent<'_>, place: Place) {
        self.add(content, || place, (true, 0));
    }

    /// `has_offset`, `number`: whether the line has an offset, and which line it is.
    fn add(
        &mut self,
        content: &TickContent<'_>,
        place: impl Fn() -> Place,
        (has_offset, number): (bool, u32),
    ) {
        let at = content.timestamp;
        if self.wanted.pauses.may_hold(at) {
            let partition = (self.whose.topic, place().partition);
            for number in self.wanted.pauses.pauses_at(partition, at) {
                self.part
                    .interrupted
                    .entry(number)
                    .or_default()
                    .insert(at.micros().div_euclid(1_000_000));
            }
        }
        let start = self.wanted.hour.start();
        let side = match at.micros() - start.micros() {
            0..Timestamp::HOUR => None,
            past if past >= Timestamp::HOUR => Some(Side::Behind),
            _ => Some(Side::Before),
        };
        let (from, until) = self.window;
        let is_near = at >= from && at < until;
        let is_wanted = is_near && (side != Some(Side::Before) || self.wanted.with_before);
        let Some(prices) = content.prices_of_tick().filter(|_| is_wanted) else { return };
        let Some(symbol) = self.number(content.symbol) else { return };
        let (extras, nanos) =
            (&content.extras, |price: Option<Price>| price.map_or(0, Price::nanos));
        let held = CollectedTick {
            symbol,
            key: OrderKey { timestamp: at, place: place() },
            prices,
            volume: content.volume,
            quote: (nanos(extras.bid()), nanos(extras.ask())),
            after_sequence: extras.sequence().map_or(0, |number| number.saturating_add(1)),
            sale: self.wanted.conditions.of(extras.conditions().iter()),
            topic: self.whose.topic,
            order: (self.whose.rank, number),
            has_offset,
        };
        match side {
            None => {
                self.part.ticks.push(held);
                if self.part.ticks.len() >= self.room {
                    forget_repeated(&mut self.part.ticks);
                    self.room = self.room.max(2 * self.part.ticks.len());
                }
            }
            Some(_) if held.is_cancel() => {}
            Some(side) => self.add_to_margin(side, held),
        }
    }

    fn number(&mut self, name: &str) -> Option<u32> {
        let symbol = Symbol::new(name)?;
        if let Some(number) = self.numbers.get_mut(symbol) {
            return *number;
        }
        let is_wanted = self.wanted.symbols.as_ref().is_none_or(|wanted| wanted.contains(name));
        let number = is_wanted.then(|| {
            self.part.symbols.push(name.into());
            self.part.symbols.len() as u32 - 1
        });
        self.numbers.insert(symbol, number);
        number
    }

    fn add_to_margin(&mut self, side: Side, held: CollectedTick) {
        let (margin, nearest) =
            (self.wanted.margin, self.margins.entry((held.symbol, side)).or_default());
        nearest.push(held);
        if nearest.len() >= 2 * margin {
            keep_nearest(nearest, side, margin);
        }
    }

    #[must_use]
    pub fn finish(mut self) -> CollectedTicks {
        for ((_, side), mut nearest) in self.margins {
            keep_nearest(&mut nearest, side, self.wanted.margin);
            self.part.ticks.append(&mut nearest);
        }
        self.part
    }
}

fn keep_nearest(ticks: &mut Vec<CollectedTick>, side: Side, count: usize) {
    ticks.sort_unstable_by_key(|held| (held.key, held.order));
    // A record that the object tells twice is one.
    ticks.dedup_by(|later, first| later.has_offset && first.has_offset && later.key == first.key);
    match side {
        Side::Before => drop(ticks.drain(..ticks.len().saturating_sub(count))),
        Side::Behind => ticks.truncate(count),
    }
}

/// Ticks that may come again before they are looked for.
const SPARE: usize = 65_536;

/// Leaves each record once: as in the sums, the first object by key has it, and in that the first
/// line. Lines without an offset are not records that could come again.
fn forget_repeated(ticks: &mut Vec<CollectedTick>) {
    ticks.sort_unstable_by_key(|held| (held.topic, !held.has_offset, held.key.place, held.order));
    ticks.dedup_by(|later, first| {
        later.has_offset
            && first.has_offset
            && (later.topic, later.key.place) == (first.topic, first.key.place)
    });
}

/// The selected ticks of all objects.
#[derive(Debug, Default)]
pub struct GatheredTicks {
    symbols: Vec<Box<str>>,
    numbers: SymbolMap<u32>,
    ticks: Vec<CollectedTick>,
    /// With so many some may be there twice.
    room: usize,
    /// The seconds of each pause, by number, in which there are ticks.
    pub interrupted: Interrupted,
}

impl GatheredTicks {
    /// With room for `count` ticks.
    pub fn with_room(count: usize) -> Self {
        let ticks = Vec::with_capacity(count);
        Self { ticks, room: 2 * count + SPARE, ..Self::default() }
    }

    pub fn add(&mut self, part: CollectedTicks) {
        let numbers: Vec<u32> = part.symbols.iter().map(|symbol| self.number(symbol)).collect();
        for (number, mut seconds) in part.interrupted {
            self.interrupted.entry(number).or_default().append(&mut seconds);
        }
        let ticks = part.ticks.into_iter();
        self.ticks.extend(
            ticks.map(|held| CollectedTick { symbol: numbers[held.symbol as usize], ..held }),
        );
        if self.ticks.len() >= self.room {
            forget_repeated(&mut self.ticks);
            self.room = self.room.max(2 * self.ticks.len());
        }
    }

    fn number(&mut self, symbol: &str) -> u32 {
        // It was one in the object.
        let Some(name) = common::Symbol::new(symbol) else { return u32::MAX };
        if let Some(number) = self.numbers.get_mut(name) {
            return *number;
        }
        let number = self.symbols.len() as u32;
        self.symbols.push(symbol.into());
        self.numbers.insert(name, number);
        number
    }

    /// In order, and each record once. Of the margins of `hour` the nearest `margin` ticks of each
    /// symbol are left, whichever objects they came from.
    pub fn put_in_order(&mut self, hour: Hour, margin: usize) {
        forget_repeated(&mut self.ticks);
        self.ticks.sort_unstable_by_key(|held| (held.symbol, held.key, held.topic, held.order));
        let (start, end) = (hour.start(), hour.plus(1).start());
        let mut kept = Vec::with_capacity(self.ticks.len());
        for ticks in self.ticks.chunk_by(|one, other| one.symbol == other.symbol) {
            let within =
                |until: Timestamp| ticks.partition_point(|held| held.key.timestamp < until);
            let (first, behind) = (within(start), within(end));
            let range = first.saturating_sub(margin)..ticks.len().min(behind + margin);
            kept.extend((0..ticks.len()).map(|number| range.contains(&number)));
        }
        let mut kept = kept.into_iter();
        self.ticks.retain(|_| kept.next().unwrap_or(true));
    }

    /// The ticks of each symbol; [`GatheredTicks::put_in_order`] comes first.
    pub fn by_symbol(&self) -> impl Iterator<Item = (&str, &[CollectedTick])> {
        let chunks = self.ticks.chunk_by(|one, other| one.symbol == other.symbol);
        chunks.map(|ticks| (&*self.symbols[ticks[0].symbol as usize], ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_wanted(hour: Hour) -> TickSelection {
        TickSelection {
            hour,
            ticks: 0,
            symbols: None,
            margin: 2,
            conditions: Arc::default(),
            with_before: true,
            pauses: Arc::default(),
        }
    }

    /// Adds the tick of a second after the hour's begin, so many times.
    fn add(collecting: &mut Collecting, (second, offset): (i64, i64), times: usize) {
        let at = collecting.wanted.hour.start().plus_micros(second * 1_000_000).to_string();
        let line = format!(r#"{{"symbol":"A","timestamp":"{at}","price":1,"volume":1}}"#);
        let mut decoder = common::decode::Decoder::new(
            common::decode::Rules::default(),
            Timestamp::from_micros(i64::MAX / 2),
        );
        let tick = decoder.decode(line.as_bytes(), &Default::default()).unwrap();
        let place = Place { partition: 0, offset, index: 0 };
        (0..times).for_each(|_| collecting.add_row(&TickContent::of(&tick), place));
    }

    #[test]
    fn a_record_that_comes_again_and_again_takes_no_memory_for_each_time() {
        let hour = Hour::of(Timestamp::from_micros(1_748_822_400_000_000));
        let mut gathered = GatheredTicks::with_room(2);
        for rank in 0..4 {
            let whose = ObjectRank { topic: 0, rank };
            let mut collecting =
                Collecting::new(TickSelection { ticks: 2, ..some_wanted(hour) }, whose);
            add(&mut collecting, (0, 0), SPARE / 2);
            add(&mut collecting, (1, 1), SPARE);
            let part = collecting.finish();
            assert!(part.ticks.len() < SPARE, "{}", part.ticks.len());
            gathered.add(part);
        }
        assert!(gathered.ticks.len() < 2 * SPARE, "{}", gathered.ticks.len());
        gathered.put_in_order(hour, 2);
        let (_, ticks) = gathered.by_symbol().next().unwrap();
        let first = ticks.iter().map(|held| (held.key.place.offset, held.order.0));
        assert_eq!(first.collect::<Vec<_>>(), [(0, 0), (1, 0)]);
    }

    /// What is left of ticks at these seconds after the hour's begin, each the one tick of an
    /// object.
    fn left(seconds: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let hour = Hour::of(Timestamp::from_micros(1_748_822_400_000_000));
        let wanted = some_wanted(hour);
        let mut gathered = GatheredTicks::default();
        for (rank, second) in (0..).zip(seconds) {
            let mut collecting = Collecting::new(wanted.clone(), ObjectRank { topic: 0, rank });
            add(&mut collecting, (second, i64::from(rank)), 1);
            gathered.add(collecting.finish());
        }
        gathered.put_in_order(hour, wanted.margin);
        let (_, ticks) = gathered.by_symbol().next().unwrap();
        ticks
            .iter()
            .map(|held| (held.key.timestamp.micros() - hour.start().micros()) / 1_000_000)
            .collect()
    }

    #[test]
    fn a_margin_is_the_nearest_ticks_of_all_objects_and_not_of_each() {
        assert_eq!(
            left([-500, -1, -2, -300, 0, 10, 3599, 3700, 3601, 3602]),
            [-2, -1, 0, 10, 3599, 3601, 3602]
        );
        assert_eq!(left([-500, 5]), [-500, 5]);
    }

    #[test]
    fn a_tick_interrupts_each_pause_that_it_lies_in_whichever_ends_first() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let pause =
            |number, since, until| ((0, 3), Pause { number, since: at(since), until: at(until) });
        let pauses = Pauses::of([
            pause(0, 0, 100),
            pause(1, 90, 200),
            pause(2, 150, 160),
            pause(3, 300, 301),
        ]);
        let holding = |second| pauses.pauses_at((0, 3), at(second)).collect::<Vec<_>>();
        assert_eq!(holding(50), [0]);
        assert_eq!(holding(95), [0, 1]);
        assert_eq!(holding(155), [2, 1]);
        assert!(holding(200).is_empty());
        assert_eq!(holding(300), [3]);
        assert_eq!(pauses.pauses_at((0, 4), at(50)).count(), 0);
    }
}
