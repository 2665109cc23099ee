//! [`Sorter`]: any number of rows into the order of the lake, in bounded memory.
//!
//! Rows are gathered into runs, each run is sorted and written to a file of its own, and the runs are merged.

use super::row::Row;
use crate::checksum::Content;
use crate::totals::MAX_SYMBOLS;
use common::Place;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

/// Rows of a run: 38 MB.
const RUN: usize = 1 << 19;
/// What is read of a run's file at once.
const BUFFER: usize = 128 << 10;

/// Gathers rows.
pub struct Sorter {
    folder: PathBuf,
    run: usize,
    symbols: FxHashMap<Arc<str>, u32>,
    /// The same by their numbers.
    names: Vec<Arc<str>>,
    rows: Vec<Row>,
    files: Vec<File>,
}

impl Sorter {
    /// `folder`: where files may lie that have no name.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::with_run(folder, RUN)
    }

    fn with_run(folder: &Path, run: usize) -> Self {
        let (symbols, names, rows, files) = (FxHashMap::default(), Vec::new(), Vec::new(), Vec::new());
        Self { folder: folder.to_owned(), run, symbols, names, rows, files }
    }

    /// # Errors
    /// Where a run cannot be written, or there are more symbols than there is memory for.
    pub fn push(&mut self, content: &Content<'_>, place: Place) -> io::Result<()> {
        let symbol = self.number(content.symbol)?;
        self.rows.push(Row::of(symbol, content, place));
        if self.rows.len() >= self.run { self.spill() } else { Ok(()) }
    }

    /// All rows in order.
    ///
    /// # Errors
    /// Where a run cannot be read.
    pub fn finish(mut self) -> io::Result<Sorted> {
        self.sort();
        let files = std::mem::take(&mut self.files).into_iter();
        let written = files.map(|file| Ok(Source::File(BufReader::with_capacity(BUFFER, rewound(file)?))));
        let mut sources: Vec<Source> = written.collect::<io::Result<_>>()?;
        sources.push(Source::Memory(std::mem::take(&mut self.rows).into_iter()));
        let mut sorted = Sorted { ranks: self.ranks(), names: self.names, sources, heads: BinaryHeap::new() };
        for source in 0..sorted.sources.len() {
            sorted.advance(source)?;
        }
        Ok(sorted)
    }

    fn number(&mut self, name: &str) -> io::Result<u32> {
        if let Some(number) = self.symbols.get(name) {
            return Ok(*number);
        }
        if self.names.len() >= MAX_SYMBOLS {
            return Err(io::Error::other(format!(
                "it has more than {MAX_SYMBOLS} symbols, for which there is no memory"
            )));
        }
        let (name, number): (Arc<str>, _) = (name.into(), self.names.len() as u32);
        self.names.push(Arc::clone(&name));
        self.symbols.insert(name, number);
        Ok(number)
    }

    /// The places of the symbols in the order of their names, by their numbers.
    fn ranks(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.names.len() as u32).collect();
        numbers.sort_unstable_by_key(|number| &*self.names[*number as usize]);
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

/// Rows in order.
pub struct Sorted {
    names: Vec<Arc<str>>,
    ranks: Vec<u32>,
    sources: Vec<Source>,
    /// The first row of each source that has any left.
    heads: BinaryHeap<Reverse<Head>>,
}

enum Source {
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

    fn advance(&mut self, source: usize) -> io::Result<()> {
        let row = match &mut self.sources[source] {
            Source::Memory(rows) => rows.next(),
            Source::File(file) => Row::read_from(file)?,
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
    tempfile::tempfile_in(folder)
        .map_err(|error| io::Error::other(format!("cannot make a file in {} (--temp-dir): {error}", folder.display())))
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
    use common::{Price, Timestamp, Volume};
    use proptest::prelude::*;

    type Tick = (String, i64, i64, Option<i64>, Option<u32>);

    fn content(tick: &Tick) -> Content<'_> {
        let (symbol, at, close, high, volume) = tick;
        let price = |nanos| Price::from_nanos(nanos);
        Content {
            symbol,
            timestamp: Timestamp::from_micros(*at),
            open: price(1),
            high: high.and_then(price),
            low: None,
            close: price(*close),
            volume: volume.and_then(|nanos| Volume::from_parts(i64::MAX - 3, nanos % Volume::ONE)),
        }
    }

    fn place(number: usize) -> Place {
        Place { partition: number as i32 % 2, offset: number as i64, index: number as u16 % 3 }
    }

    proptest! {
        #[test]
        fn rows_come_back_whole_and_by_symbol_time_and_place_however_many_runs_there_are(
            ticks in proptest::collection::vec(
                ("[a-cB]{1,2}", 0_i64..9, -i64::MAX..=i64::MAX, proptest::option::of(0_i64..9), proptest::option::of(any::<u32>())),
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
                prop_assert_eq!(row.content(sorted.name(&row)), content);
            }
            prop_assert!(sorted.next_row().unwrap().is_none());
        }
    }
}
