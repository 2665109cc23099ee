//! [`Sorter`]: any number of rows into the order of the lake, in bounded memory.
//!
//! Rows are gathered into runs, each run is sorted and written to a file of its own, and the runs
//! are merged.

use super::row::{NO_CONDITIONS, Row};
use crate::checksum::TickContent;
use crate::pending_hours::MAX_SYMBOLS;
use common::Place;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

/// Rows that are sorted in memory at once: 41 MB.
const ROWS_IN_MEMORY: usize = 3 << 17;
/// Kinds of sale conditions that are kept of an hour: a feed has some hundreds, and what has more
/// are no conditions.
const MAX_KINDS: usize = 20_000;
/// Bytes of a run's file that are read at once.
const BUFFER: usize = 128 << 10;

/// Filter of ticks.
#[derive(Debug, Clone, Default)]
pub struct RowFilter {
    /// Symbols to keep; empty: all.
    pub symbols: FxHashSet<String>,
    /// Times to keep, in microseconds; empty: all.
    pub times: Range<i64>,
}

impl RowFilter {
    /// None at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self { symbols: FxHashSet::default(), times: i64::MIN..i64::MIN + 1 }
    }

    fn has(&self, content: &TickContent<'_>) -> bool {
        (self.symbols.is_empty() || self.symbols.contains(content.symbol))
            && (self.times.is_empty() || self.times.contains(&content.timestamp.micros()))
    }
}

/// Gathers rows.
#[derive(Default)]
pub struct Sorter {
    folder: PathBuf,
    wanted: RowFilter,
    run: usize,
    symbols: Names,
    /// The texts of sale conditions, of which a feed has few.
    conditions: Names,
    /// Ticks whose conditions are of a kind too many.
    unkept: u64,
    rows: Vec<Row>,
    files: Vec<File>,
}

impl Sorter {
    /// `folder`: where files may lie that have no name.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::with_run(folder, ROWS_IN_MEMORY)
    }

    fn with_run(folder: &Path, run: usize) -> Self {
        let (symbols, conditions) = (Names::default(), Names::default());
        let (folder, wanted) = (folder.to_owned(), RowFilter::default());
        Self {
            folder,
            wanted,
            run,
            symbols,
            conditions,
            unkept: 0,
            rows: Vec::new(),
            files: Vec::new(),
        }
    }

    /// One that passes over all other ticks.
    #[must_use]
    pub fn only(self, wanted: RowFilter) -> Self {
        Self { wanted, ..self }
    }

    /// Whether some ticks are without their conditions.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.unkept > 0
    }

    /// Takes a tick, if it is asked for.
    ///
    /// # Errors
    /// Where a run cannot be written, or there are more symbols than there is memory for.
    pub fn push(&mut self, content: &TickContent<'_>, place: Place) -> io::Result<()> {
        if !self.wanted.has(content) {
            return Ok(());
        }
        let symbol =
            self.symbols.number(content.symbol, MAX_SYMBOLS).ok_or_else(too_many_symbols)?;
        let conditions = match content.extras.conditions() {
            none if none.is_empty() => NO_CONDITIONS,
            codes => self.conditions.number(codes.text(), MAX_KINDS).unwrap_or_else(|| {
                self.unkept += 1;
                NO_CONDITIONS
            }),
        };
        self.rows.push(Row::of(symbol, conditions, content, place));
        if self.rows.len() >= self.run { self.spill() } else { Ok(()) }
    }

    /// All rows in order.
    ///
    /// # Errors
    /// Where a run cannot be read.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.unkept > 0 {
            let ticks = self.unkept;
            tracing::warn!(
                ticks,
                "more than {MAX_KINDS} kinds of sale conditions in an hour: some ticks are without \
                 theirs"
            );
        }
        self.sort();
        let files = std::mem::take(&mut self.files).into_iter();
        let written =
            files.map(|file| Ok(RunFile::File(BufReader::with_capacity(BUFFER, rewound(file)?))));
        let mut sources: Vec<RunFile> = written.collect::<io::Result<_>>()?;
        sources.push(RunFile::Memory(std::mem::take(&mut self.rows).into_iter()));
        let (ranks, names, conditions) = (self.ranks(), self.symbols.texts, self.conditions.texts);
        let mut sorted = Sorted { ranks, names, conditions, sources, heads: BinaryHeap::new() };
        for source in 0..sorted.sources.len() {
            sorted.advance(source)?;
        }
        Ok(sorted)
    }

    /// The places of the symbols in the order of their names, by their numbers.
    fn ranks(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.symbols.texts.len() as u32).collect();
        numbers.sort_unstable_by_key(|number| &*self.symbols.texts[*number as usize]);
        let mut ranks = vec![0; numbers.len()];
        for (rank, number) in (0..).zip(numbers) {
            ranks[number as usize] = rank;
        }
        ranks
    }

    fn sort(&mut self) {
        let ranks = self.ranks();
        self.rows.sort_unstable_by_key(|row| row.order(ranks[row.symbol as usize]));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut file = BufWriter::with_capacity(BUFFER, nameless(&self.folder)?);
        for row in self.rows.drain(..) {
            row.write_to(&mut file)?;
        }
        self.files.push(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        Ok(())
    }
}

/// Texts by their numbers, and the numbers by them.
#[derive(Default)]
struct Names {
    numbers: FxHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// `None` where there are too many.
    fn number(&mut self, text: &str, most: usize) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        if self.texts.len() >= most {
            return None;
        }
        let (text, number): (Arc<str>, _) = (text.into(), self.texts.len() as u32);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Some(number)
    }
}

fn too_many_symbols() -> io::Error {
    io::Error::other(format!(
        "it has more than {MAX_SYMBOLS} symbols, for which there is no memory"
    ))
}

/// Rows in order.
pub struct Sorted {
    names: Vec<Arc<str>>,
    conditions: Vec<Arc<str>>,
    ranks: Vec<u32>,
    sources: Vec<RunFile>,
    /// The first row of each source that has any left.
    heads: BinaryHeap<Reverse<Head>>,
}

enum RunFile {
    Memory(vec::IntoIter<Row>),
    File(BufReader<File>),
}

/// Ordered as its row is.
struct Head {
    order: (u32, i64, Place),
    source: usize,
    row: Row,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.order, self.source).cmp(&(other.order, other.source))
    }
}

impl Sorted {
    /// The next row; its symbol's name is [`Sorted::name`].
    ///
    /// # Errors
    /// Where a run cannot be read.
    pub fn next_row(&mut self) -> io::Result<Option<Row>> {
        let Some(Reverse(Head { source, row, .. })) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(source)?;
        Ok(Some(row))
    }

    /// The symbol of a row.
    #[must_use]
    pub fn name(&self, row: &Row) -> &Arc<str> {
        &self.names[row.symbol as usize]
    }

    /// The text of a row's conditions; empty where it has none.
    #[must_use]
    pub fn conditions(&self, row: &Row) -> &str {
        self.conditions.get(row.conditions as usize).map_or("", |text| text)
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        let row = match &mut self.sources[source] {
            RunFile::Memory(rows) => rows.next(),
            RunFile::File(file) => Row::read_from(file)?,
        };
        if let Some(row) = row {
            let order = row.order(self.ranks[row.symbol as usize]);
            self.heads.push(Reverse(Head { order, source, row }));
        }
        Ok(())
    }
}

/// A file that is gone when it is closed, however the process ends.
///
/// # Errors
/// Where the folder takes none.
pub fn nameless(folder: &Path) -> io::Result<File> {
    tempfile::tempfile_in(folder).map_err(|error| {
        io::Error::other(format!(
            "cannot make a file in {} (--temp-dir): {error}",
            folder.display()
        ))
    })
}

/// # Errors
/// Where it cannot be read from its beginning.
pub fn rewound(mut file: File) -> io::Result<File> {
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{Codes, Extras, Price, Timestamp, Volume};
    use proptest::prelude::*;

    type Tick = (String, i64, i64, Option<i64>, Option<u32>, Option<&'static str>);

    fn content(tick: &Tick) -> TickContent<'_> {
        let (symbol, at, close, high, volume, conditions) = tick;
        let price = |nanos| Price::from_nanos(nanos);
        TickContent {
            symbol,
            timestamp: Timestamp::from_micros(*at),
            open: price(1),
            high: high.and_then(price),
            low: None,
            close: price(*close),
            volume: volume.and_then(|nanos| Volume::from_parts(i64::MAX - 3, nanos % Volume::ONE)),
            extras: extras(*at, *high, *conditions),
        }
    }

    fn extras(number: i64, bid: Option<i64>, conditions: Option<&str>) -> Extras<'_> {
        let mut extras = Extras::default();
        extras.set_bid(bid.unwrap_or_default());
        extras.set_ask(number);
        bid.into_iter().for_each(|_| extras.set_sequence(number));
        extras.set_conditions(Codes::of_text(conditions.unwrap_or_default()));
        extras
    }

    fn place(number: usize) -> Place {
        Place { partition: number as i32 % 2, offset: number as i64, index: number as u16 % 3 }
    }

    proptest! {
        #[test]
        fn rows_come_back_whole_and_by_symbol_time_and_place_however_many_runs_there_are(
            ticks in proptest::collection::vec(
                ("[a-cB]{1,2}", 0_i64..9, -i64::MAX..=i64::MAX, proptest::option::of(0_i64..9), proptest::option::of(any::<u32>()),
                 proptest::option::of(proptest::sample::select(vec!["[\"@\"]", "7"]))),
                0..40,
            ),
            run in 1_usize..20,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::with_run(folder.path(), run);
            let mut expected = Vec::new();
            for (number, tick) in ticks.iter().enumerate() {
                sorter.push(&content(tick), place(number)).unwrap();
                expected.push((tick.0.clone(), tick.1, place(number), content(tick)));
            }
            expected.sort_by(|a, b| (&a.0, a.1, a.2).cmp(&(&b.0, b.1, b.2)));
            let mut sorted = sorter.finish().unwrap();
            for (_, _, place, content) in expected {
                let row = sorted.next_row().unwrap().unwrap();
                prop_assert_eq!(row.place, place);
                prop_assert_eq!(row.content(sorted.name(&row), sorted.conditions(&row)), content);
            }
            prop_assert!(sorted.next_row().unwrap().is_none());
        }
    }

    #[test]
    fn a_tick_with_conditions_of_a_kind_too_many_is_kept_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        for number in 0..=MAX_KINDS {
            let (tick, text) = (("A".into(), 0, 1, None, None, None), number.to_string());
            let mut content = content(&tick);
            content.extras.set_conditions(Codes::of_text(&text));
            sorter.push(&content, place(number)).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let mut bare = 0;
        while let Some(row) = sorted.next_row().unwrap() {
            let is_first = usize::try_from(row.place.offset).unwrap() < MAX_KINDS;
            assert_eq!(sorted.conditions(&row).is_empty(), !is_first, "{:?}", row.place);
            bare += usize::from(!is_first);
        }
        assert_eq!(bare, 1);
    }
}
