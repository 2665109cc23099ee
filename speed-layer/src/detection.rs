//! [`Detection`]: what the detectors say of the ticks that a store writes. It knows no SQL.
//!
//! A detector's state is that of committed ticks. So the detectors look at a batch when it is about
//! to be written, by states that are taken out of here and come back only when it is committed
//! ([`Detected`]). If it is not, they are gone, and are read again from the log that each batch's
//! transaction has appended to.

use crate::batch::{Batch, DetectorInput, DetectorTick, Noted};
use crate::source::SourcePartition;
use anomalies::causal::{self, MOST_SYMBOLS, Market, State, SymbolTick};
use anomalies::conditions::Sale;
use anomalies::pack::Pack;
use anomalies::{Finding, Kind, Tick, TickId};
use common::{SymbolMap, Timestamp};
use service::cli::Detectors;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first byte of an entry of the log. One that another release has written is not read: the
/// states begin again.
const FORMAT: u8 = 3;
/// After this many entries the next one is a snapshot, which replaces all of them.
const MOST_ENTRIES: usize = 512;
/// A snapshot is due after this many bytes of entries, or this many times the bytes of the last
/// snapshot.
const MOST_BYTES: usize = 4 << 20;
const MOST_TIMES: usize = 8;

/// Once a batch has this many bytes of snapshots, those of its other partitions wait for the next
/// batch: they tend to be due together, and all of them may have ten times as many.
const SNAPSHOT_BYTES_PER_BATCH: usize = 4 << 20;

/// The detectors, and the states of the partitions that one store writes.
pub struct Detection {
    detectors: Arc<Detectors>,
    partitions: BTreeMap<SourcePartition, DetectorStates>,
}

/// A batch that the detectors are to look at. They do so when they are first asked: a store asks
/// while PostgreSQL is still busy with the rows that it was sent.
pub struct Detecting<'a> {
    batch: &'a Batch,
    by: Option<Arc<Detectors>>,
    detected: Detected,
}

/// The detectors' result for a batch.
#[derive(Default)]
pub struct Detected {
    pub findings: Vec<SymbolFinding>,
    pub log: Vec<LogEntry>,
    /// The states as they are once the batch is committed.
    states: Vec<(SourcePartition, DetectorStates)>,
}

/// A finding, with its partition and symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolFinding {
    pub at: SourcePartition,
    pub symbol: Box<str>,
    pub finding: Finding,
}

/// The entry of a partition in the detectors' log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: SourcePartition,
    /// The snapshot has everything: the entries before it are of no use any more.
    pub is_snapshot: bool,
    pub states: Vec<u8>,
}

/// The detectors' log of a partition, taken entry by entry: together the entries may be eight times
/// as large. `None` if they are of another release.
pub struct Remembered(Option<DetectorStates>);

/// The states of one partition.
#[derive(Default)]
struct DetectorStates {
    /// The offset that the next batch begins with.
    next: i64,
    market: Market,
    is_touched: bool,
    symbols: Vec<Symbol>,
    by_name: SymbolMap<u32>,
    /// Entries of the log since its last snapshot.
    entries: usize,
    /// The bytes of those entries.
    bytes: usize,
    /// The bytes of that snapshot; 0 where there is none.
    snapshot_bytes: usize,
}

struct Symbol {
    name: Box<str>,
    state: State,
    is_touched: bool,
}

impl Detection {
    pub fn new(detectors: Arc<Detectors>) -> Self {
        Self { detectors, partitions: BTreeMap::new() }
    }

    /// The partitions of the batch whose states have to be read first, with the offset that the
    /// batch begins with.
    pub fn missing(&self, batch: &Batch) -> Vec<(SourcePartition, i64)> {
        let is_known = |at: &SourcePartition, start| {
            self.partitions.get(at).is_some_and(|known| known.next == start)
        };
        let ranges = batch.ranges.iter().filter(|range| !is_known(&range.at, range.start));
        ranges.map(|range| (range.at, range.start)).collect()
    }

    /// Takes in what the log says of a partition of `topic` that has been written up to `next`.
    pub fn restore(&mut self, at: SourcePartition, topic: &str, next: i64, remembered: Remembered) {
        let partition_states = remembered.0.unwrap_or_else(|| {
            let SourcePartition { source, partition } = at;
            tracing::warn!(
                topic,
                source,
                partition,
                "{topic}/{partition} (source {source}): the detectors' states are of another \
                 release; they begin again"
            );
            DetectorStates::default()
        });
        self.partitions.insert(at, DetectorStates { next, ..partition_states });
    }

    /// Begins to examine the batch. Until [`Detection::adopt`] its partitions are missing here.
    pub fn detect<'a>(&mut self, batch: &'a Batch) -> Detecting<'a> {
        let taken = batch.ranges.iter().map(|range| {
            let partition_states = self.partitions.remove(&range.at).unwrap_or_default();
            (range.at, DetectorStates { next: range.next, ..partition_states })
        });
        let detected = Detected { states: taken.collect(), ..Detected::default() };
        Detecting { batch, by: Some(Arc::clone(&self.detectors)), detected }
    }

    /// The batch is not committed. Where the detectors have not looked at it, what they know is
    /// still true.
    pub fn take_back(&mut self, detecting: Detecting<'_>) {
        let Detecting { batch, by: Some(_), detected } = detecting else { return };
        let states = batch.ranges.iter().zip(detected.states);
        self.partitions.extend(states.map(|(range, (at, partition_states))| {
            (at, DetectorStates { next: range.start, ..partition_states })
        }));
    }

    /// The batch is committed.
    pub fn adopt(&mut self, detected: Detected) {
        self.partitions.extend(detected.states);
    }

    /// Forgets a partition that is given up. A later query for its start may find that others have
    /// written meanwhile.
    pub fn forget(&mut self, at: SourcePartition) {
        self.partitions.remove(&at);
    }

    pub fn forget_all(&mut self) {
        self.partitions.clear();
    }

    /// How many partitions have their states in memory.
    pub fn count(&self) -> usize {
        self.partitions.len()
    }
}

impl<'a> Detecting<'a> {
    /// With `--anomalies off`.
    pub fn disabled(batch: &'a Batch) -> Self {
        Self { batch, by: None, detected: Detected::default() }
    }

    pub fn detected(&mut self) -> &Detected {
        if let Some(detectors) = self.by.take() {
            self.detected.look_at(&self.batch.detector_input, &detectors);
            self.detected.write();
        }
        &self.detected
    }

    pub fn into_detected(mut self) -> Detected {
        self.detected();
        self.detected
    }
}

impl Detected {
    /// The entries for the log.
    fn write(&mut self) {
        let mut snapshots = 0;
        for (at, partition_states) in &mut self.states {
            let entry = partition_states.write(*at, snapshots < SNAPSHOT_BYTES_PER_BATCH);
            snapshots += entry
                .iter()
                .filter(|entry| entry.is_snapshot)
                .map(|entry| entry.states.len())
                .sum::<usize>();
            self.log.extend(entry);
        }
    }

    fn look_at(&mut self, input: &DetectorInput, by: &Detectors) {
        let of = |codes: &Vec<Box<str>>| by.conditions.of(codes.iter().map(|code| &**code));
        let sales: Vec<Sale> = input.conditions().iter().map(of).collect();
        let (states, mut found) = (&mut self.states, Vec::new());
        // The indices of each series' state: of its partition, and of the state there, if it has
        // one.
        let place = |series: &crate::batch::Series| {
            let partition = states.iter().position(|(at, _)| *at == series.at)?;
            Some((partition, states[partition].1.symbol(&series.symbol)))
        };
        let places: Vec<Option<(usize, Option<usize>)>> =
            input.series().iter().map(place).collect();
        for (tick, noted) in input.ticks() {
            let Some((partition, state)) = places[tick.series as usize] else { continue };
            let (at, partition_states) = &mut states[partition];
            let symbol = &*input.series()[tick.series as usize].symbol;
            let tick = as_tick(tick, noted, &sales);
            let next = SymbolTick { symbol, tick: &tick };
            partition_states.is_touched = true;
            let market = &mut partition_states.market;
            let state = state.map(|state| &mut partition_states.symbols[state].state);
            causal::observe(next, market, state, &by.parameters, &by.calendar, &mut found);
            self.findings.extend(found.drain(..).map(|(symbol, finding)| SymbolFinding {
                at: *at,
                symbol,
                finding,
            }));
        }
    }
}

/// `sales`: what each set of conditions says.
#[inline]
fn as_tick(tick: &DetectorTick, noted: Noted, sales: &[Sale]) -> Tick {
    let Noted { quote, sequence, conditions } = noted;
    let Sale { is_excluded, revision } =
        conditions.map_or(Sale::default(), |number| sales[number as usize]);
    let place = TickId { offset: tick.offset, index: tick.index };
    Tick {
        volume: tick.volume,
        quote,
        is_excluded,
        revision,
        sequence,
        ..Tick::of(place, tick.at, tick.price)
    }
}

impl DetectorStates {
    /// The index of the state of a symbol that has a tick now; `None` where there are too many
    /// symbols.
    fn symbol(&mut self, name: &str) -> Option<usize> {
        // It was valid when it was read.
        let symbol = common::Symbol::new(name)?;
        let place = match self.by_name.get_mut(symbol) {
            Some(place) => *place as usize,
            None if self.symbols.len() >= MOST_SYMBOLS => return None,
            None => {
                let place = self.symbols.len();
                self.by_name.insert(symbol, place as u32);
                self.symbols.push(Symbol {
                    name: name.into(),
                    state: State::default(),
                    is_touched: false,
                });
                place
            }
        };
        self.symbols[place].is_touched = true;
        Some(place)
    }

    /// The next entry of the log; `None` where nothing has changed. `is_its_turn`: a log that has
    /// become long may be replaced by a snapshot.
    fn write(&mut self, at: SourcePartition, is_its_turn: bool) -> Option<LogEntry> {
        if !std::mem::take(&mut self.is_touched) {
            return None;
        }
        let is_long = self.entries >= MOST_ENTRIES
            || self.bytes >= MOST_BYTES.max(MOST_TIMES * self.snapshot_bytes);
        let is_snapshot = self.snapshot_bytes == 0 || (is_long && is_its_turn);
        let mut states = vec![FORMAT];
        self.market.put(&mut states);
        for symbol in self.symbols.iter_mut().filter(|symbol| symbol.is_touched || is_snapshot) {
            symbol.is_touched = false;
            (symbol.name.len() as u8).put(&mut states);
            states.extend_from_slice(symbol.name.as_bytes());
            symbol.state.write(is_snapshot, &mut states);
        }
        self.note(is_snapshot, states.len());
        if is_snapshot {
            // The entry may have megabytes, and stays in memory until it is written.
            states.shrink_to_fit();
        }
        Some(LogEntry { at, is_snapshot, states })
    }

    fn note(&mut self, is_snapshot: bool, bytes: usize) {
        if is_snapshot {
            (self.snapshot_bytes, self.entries, self.bytes) = (bytes, 0, 0);
        } else {
            (self.entries, self.bytes) = (self.entries + 1, self.bytes + bytes);
        }
    }

    /// Reads on from the next entry of the log.
    fn read(&mut self, is_snapshot: bool, states: &[u8]) -> Option<()> {
        let mut from = states.strip_prefix(&[FORMAT])?;
        self.market = Pack::take(&mut from)?;
        while !from.is_empty() {
            let (name, rest) = from.split_at_checked(1 + usize::from(from[0]))?;
            from = rest;
            let place = self.symbol(str::from_utf8(&name[1..]).ok()?)?;
            self.symbols[place].state.read(&mut from)?;
            self.symbols[place].is_touched = false;
        }
        self.note(is_snapshot, states.len());
        Some(())
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self(Some(DetectorStates::default()))
    }
}

impl Remembered {
    /// The next one.
    pub fn entry(&mut self, is_snapshot: bool, states: &[u8]) {
        let is_read = self
            .0
            .as_mut()
            .is_none_or(|partition_states| partition_states.read(is_snapshot, states).is_some());
        if !is_read {
            self.0 = None;
        }
    }
}

impl SymbolFinding {
    pub fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.finding.at / 1000)
    }

    /// The expected value, in the unit that people know: prices in that of the currency, times in
    /// seconds.
    pub fn expected(&self) -> f64 {
        self.in_display_units(self.finding.expected)
    }

    /// The observed value, in the same unit.
    pub fn observed(&self) -> f64 {
        self.in_display_units(self.finding.observed)
    }

    fn in_display_units(&self, value: f64) -> f64 {
        match self.finding.kind {
            Kind::VolumeBurst | Kind::RangeBurst | Kind::SequenceStep | Kind::SequenceHole => value,
            // Divided, since 10^-9 is no float: so a price is the float that is nearest to it.
            _ => value / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Message;
    use anomalies::{Calendar, Conditions, Session};
    use common::decode::{Decoder, MapEntries, Mapping, Rules};
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;
    /// 2025-06-06, 13:30 UTC.
    const OPENS: i64 = 1_749_216_600 * SECOND;
    const PARTITIONS: i64 = 2;

    fn at(partition: i64) -> SourcePartition {
        SourcePartition { source: 1, partition: partition as i32 }
    }

    fn detection() -> Detection {
        let session = Session { opens: OPENS, closes: OPENS + 390 * 60 * SECOND };
        let codes = |codes: &str| vec![codes.to_owned()];
        let conditions = Conditions::new(&codes("U"), &codes("cancel"), &codes("corrected"));
        let calendar = Calendar::of(vec![session]);
        Detection::new(Arc::new(Detectors { calendar, conditions, ..Detectors::default() }))
    }

    /// A market of two partitions and five symbols: every 37th price is wrong, and the eighth now
    /// and then too; there is one long silence; every 50th message is no tick. Some are ahead of
    /// their time. Some messages have a quote, conditions or a number, in which there are holes and
    /// steps back.
    fn message(number: i64) -> String {
        if number % 50 == 49 {
            return "no tick".to_owned();
        }
        let cents = 10_000 + number * number % 7;
        let cents = if number % 37 == 0 { cents * 2 } else { cents };
        let pause = if number > 3000 { 600 } else { 0 };
        let ahead = if number % 211 == 105 || (2000..2006).contains(&number) { 72_000 } else { 0 };
        let millis = OPENS / 1_000_000 + number * 20 + (pause + ahead) * 1000;
        let symbol = number / PARTITIONS % 5;
        format!(
            r#"{{"symbol":"S{symbol}","timestamp":{millis},"price":{}.{:02},"volume":{}{}}}"#,
            cents / 100,
            cents % 100,
            number % 100,
            beside(number)
        )
    }

    /// The message's fields other than price and volume.
    fn beside(number: i64) -> String {
        let in_order = number / (5 * PARTITIONS);
        let mut json = match number % 10 {
            0..3 => r#","bid":99.99,"ask":100.08"#.to_owned(),
            3 | 8 => format!(
                r#","n":{}"#,
                if number % 420 == 3 { in_order - 5 } else { in_order + number / 1000 }
            ),
            _ => String::new(),
        };
        json += match number % 601 {
            7 => r#","conditions":["@","cancel"]"#,
            11 => r#","conditions":"corrected""#,
            number if number % 3 == 0 => r#","conditions":["@","U"]"#,
            _ => "",
        };
        json
    }

    /// The messages `numbers`; of each partition the offset is the number without it.
    fn batch(numbers: std::ops::Range<i64>) -> Batch {
        let map: MapEntries = "sequence=n".parse().unwrap();
        let rules = Rules { mapping: Mapping::new(&map.paths), ..Rules::default() };
        let mut decoder = Decoder::new(rules, Timestamp::from_micros(i64::MAX / 2));
        let mut batch = Batch::default();
        for number in numbers {
            let (partition, offset) = (number % PARTITIONS, number / PARTITIONS);
            let value = message(number);
            let value = Some(value.as_bytes());
            let message = Message {
                topic: "t",
                partition: partition as i32,
                offset,
                timestamp: None,
                key: None,
                value,
            };
            batch.push(&mut decoder, &message, at(partition), offset, |_, _, _| ());
        }
        batch
    }

    fn remembered(log: &[(bool, Vec<u8>)]) -> Remembered {
        let mut remembered = Remembered::default();
        log.iter().for_each(|(is_snapshot, states)| remembered.entry(*is_snapshot, states));
        remembered
    }

    /// The rows that the database would hold.
    #[derive(Default)]
    struct Database {
        log: BTreeMap<SourcePartition, Vec<(bool, Vec<u8>)>>,
        found: Vec<SymbolFinding>,
        written: BTreeMap<SourcePartition, i64>,
    }

    impl Database {
        fn detect(&self, detection: &mut Detection, batch: &Batch) -> Detected {
            for (at, start) in detection.missing(batch) {
                assert_eq!(self.written.get(&at).copied().unwrap_or_default(), start);
                detection.restore(
                    at,
                    "t",
                    start,
                    remembered(self.log.get(&at).map_or(&[], Vec::as_slice)),
                );
            }
            assert_eq!(detection.missing(batch), []);
            detection.detect(batch).into_detected()
        }

        fn commit(&mut self, batch: &Batch, detected: &Detected) {
            self.found.extend_from_slice(&detected.findings);
            for entry in &detected.log {
                let log = self.log.entry(entry.at).or_default();
                if entry.is_snapshot {
                    log.clear();
                }
                log.push((entry.is_snapshot, entry.states.clone()));
            }
            self.written.extend(batch.ranges.iter().map(|range| (range.at, range.next)));
        }

        fn write(&mut self, detection: &mut Detection, batch: &Batch) {
            let detected = self.detect(detection, batch);
            self.commit(batch, &detected);
            detection.adopt(detected);
        }

        fn found(mut self) -> Vec<SymbolFinding> {
            self.found.sort_by_key(|found| (found.at, found.finding.place, found.finding.kind));
            self.found
        }
    }

    const MESSAGES: i64 = 4000;

    fn undisturbed() -> Vec<SymbolFinding> {
        let (mut database, mut detection) = (Database::default(), detection());
        database.write(&mut detection, &batch(0..MESSAGES));
        database.found()
    }

    /// The fate of a batch.
    #[derive(Debug, Clone, Copy)]
    enum BatchOutcome {
        Written,
        /// The process is killed before it is committed, and another goes on.
        Lost,
        /// The process is killed after that.
        Last,
        /// The batch fails; another try of the same is committed.
        Retried,
        /// The batch is too large, and written in parts of this many messages.
        InParts(u32),
        /// The batch is the last one before another instance gets the partitions.
        MovedOn,
    }

    fn batch_outcome() -> impl Strategy<Value = BatchOutcome> {
        prop_oneof![
            4 => Just(BatchOutcome::Written),
            1 => Just(BatchOutcome::Lost),
            1 => Just(BatchOutcome::Last),
            1 => Just(BatchOutcome::Retried),
            1 => (1_u32..40).prop_map(BatchOutcome::InParts),
            2 => Just(BatchOutcome::MovedOn),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_does_not_depend_on_batches_nor_on_what_becomes_of_them(
            outcomes in prop::collection::vec((1_i64..400, batch_outcome()), 1..40),
        ) {
            let (mut database, mut detection, mut from) = (Database::default(), detection(), 0);
            let mut other = self::detection();
            for (length, outcome) in outcomes.into_iter().cycle().take(2000) {
                let batch = batch(from..MESSAGES.min(from + length));
                match outcome {
                    BatchOutcome::Written => database.write(&mut detection, &batch),
                    BatchOutcome::Lost => {
                        drop(database.detect(&mut detection, &batch));
                        detection = self::detection();
                        database.write(&mut detection, &batch);
                    }
                    BatchOutcome::Last => {
                        database.write(&mut detection, &batch);
                        detection = self::detection();
                    }
                    BatchOutcome::Retried => {
                        drop(database.detect(&mut detection, &batch));
                        database.write(&mut detection, &batch);
                    }
                    BatchOutcome::InParts(messages) => {
                        drop(database.detect(&mut detection, &batch));
                        batch.parts(messages).iter().for_each(|part| database.write(&mut detection, part));
                    }
                    BatchOutcome::MovedOn => {
                        database.write(&mut detection, &batch);
                        (0..PARTITIONS).for_each(|partition| detection.forget(at(partition)));
                        prop_assert_eq!(detection.count(), 0);
                        // It may come back to this one later.
                        std::mem::swap(&mut detection, &mut other);
                    }
                }
                from += length;
                if from >= MESSAGES {
                    break;
                }
            }
            database.write(&mut detection, &batch(from.min(MESSAGES)..MESSAGES));
            prop_assert_eq!(database.found(), undisturbed());
        }
    }

    #[test]
    fn the_market_of_these_tests_has_spikes_that_wait_and_all_that_detectors_are_told_beside_prices()
     {
        let mut kinds: Vec<Kind> = undisturbed().iter().map(|found| found.finding.kind).collect();
        kinds.sort();
        kinds.dedup();
        let expected = [
            Kind::OutsideQuotes,
            Kind::ExcludedCondition,
            Kind::Spike,
            Kind::OutsideBands,
            Kind::Silence,
            Kind::MarketSilence,
            Kind::SequenceStep,
            Kind::SequenceHole,
            Kind::Cancel,
            Kind::Correction,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_the_detectors_know_is_kept_where_a_batch_is_given_up_before_they_have_looked_at_it() {
        let (mut database, mut detection) = (Database::default(), detection());
        database.write(&mut detection, &batch(0..100));
        let refused = batch(100..300);
        let detecting = detection.detect(&refused);
        detection.take_back(detecting);
        // Nothing is to be read of the log for a part of it.
        assert_eq!(detection.missing(&batch(100..200)), []);
        let mut detecting = detection.detect(&refused);
        detecting.detected();
        detection.take_back(detecting);
        assert_eq!(detection.missing(&batch(100..200)), [(at(0), 50), (at(1), 50)]);
        database.write(&mut detection, &batch(100..MESSAGES));
        assert_eq!(database.found(), undisturbed());
    }

    #[test]
    fn the_log_is_no_longer_than_a_few_hundred_entries() {
        let (mut database, mut detection) = (Database::default(), detection());
        for from in (0..MESSAGES).step_by(4) {
            database.write(&mut detection, &batch(from..from + 4));
        }
        assert!(database.log.values().all(|log| log[0].0 && log.len() <= MOST_ENTRIES + 1));
        assert_eq!(database.found(), undisturbed());
    }

    #[test]
    fn of_more_symbols_than_can_be_watched_the_first_are() {
        let mut partition_states = DetectorStates::default();
        for number in 0..=MOST_SYMBOLS {
            assert_eq!(
                partition_states.symbol(&format!("S{number}")).is_some(),
                number < MOST_SYMBOLS
            );
        }
        assert!(partition_states.symbol("S0").is_some());
        partition_states.is_touched = true;
        assert!(partition_states.write(at(0), true).unwrap().states.len() < 8 << 20);
    }

    #[test]
    fn large_logs_of_several_partitions_are_replaced_one_a_batch_and_none_is_left_out() {
        let mut detected = Detected::default();
        for partition in 0..3 {
            let mut partition_states = DetectorStates::default();
            for number in 0..MOST_SYMBOLS {
                partition_states.symbol(&format!("S{number}"));
            }
            (partition_states.snapshot_bytes, partition_states.bytes) = (1, MOST_BYTES);
            detected.states.push((at(partition), partition_states));
        }
        for replaced in 0..3 {
            detected.states.iter_mut().for_each(|(_, partition_states)| {
                partition_states.is_touched = true;
                partition_states.symbol("S0");
            });
            detected.log.clear();
            detected.write();
            let snapshots = detected.log.iter().filter(|entry| entry.is_snapshot);
            assert_eq!(snapshots.map(|entry| entry.at).collect::<Vec<_>>(), [at(replaced)]);
            assert_eq!(detected.log.len(), 3);
        }
    }

    #[test]
    fn a_log_of_another_release_is_no_trouble() {
        let mut detection = detection();
        for log in
            [vec![(true, vec![FORMAT + 1, 7])], vec![(true, vec![FORMAT])], vec![(true, vec![])]]
        {
            detection.restore(at(0), "t", 0, remembered(&log));
            detection.restore(at(1), "t", 0, remembered(&[]));
            let detected = detection.detect(&batch(0..10)).into_detected();
            assert!(detected.log.iter().all(|entry| entry.is_snapshot), "{log:?}");
        }
    }

    #[test]
    fn prices_at_the_ends_of_what_there_is_are_no_panic() {
        let mut decoder = Decoder::new(Rules::default(), Timestamp::from_micros(i64::MAX / 2));
        let mut batch = Batch::default();
        for offset in 0..40 {
            let price = if offset % 3 == 0 { "9223372036.8" } else { "0.000000001" };
            let value = format!(
                r#"{{"symbol":"S","timestamp":{},"price":{price}}}"#,
                OPENS / SECOND + offset
            );
            let value = Some(value.as_bytes());
            let message =
                Message { topic: "t", partition: 0, offset, timestamp: None, key: None, value };
            batch.push(&mut decoder, &message, at(0), offset, |_, _, _| ());
        }
        assert_eq!(batch.rows.count(), 40);
        let _ = detection().detect(&batch).into_detected();
    }

    #[test]
    fn what_was_expected_is_in_peoples_units() {
        let found = undisturbed();
        let expected =
            |kind| found.iter().find(|found| found.finding.kind == kind).unwrap().expected();
        assert!((expected(Kind::Spike) - 100.0).abs() < 1.0);
        assert!((expected(Kind::Silence) - 0.2).abs() < 0.1, "{}", expected(Kind::Silence));
    }
}
