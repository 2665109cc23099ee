//! An object of the lake straight into sums: only the columns that they are made of, some rows at a
//! time.
//!
//! Row groups are read by several threads. Each keeps the bytes of one and a page of each column,
//! so memory does not grow with the object, but for the sums.

use super::columns::{SCHEMA, place_of_row};
use super::pages::{Group, Integers, Prices, Repeating, Texts, Volumes};
use super::places::OffsetBlocks;
use crate::hour::Hour;
use crate::pending_hours::{self, MAX_SYMBOLS};
use crate::scan::HourBars;
use common::{Bar, Extras, Place, Symbol, Tick, TimeBounds, Timestamp, tick};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Rows that are read of each column at a time: a core's own memory holds them.
const ROWS: usize = 1 << 10;
/// The first columns, of which sums are made.
const COLUMNS: usize = 10;
/// Threads of one object: 20 MB each at most, without the sums.
const MAX_THREADS: usize = 4;

/// The hour and topic that are summed up.
#[derive(Debug, Clone)]
pub struct HourOfTopic {
    /// All ticks must be of it.
    pub hour: Hour,
    pub topic: Arc<str>,
}

/// Sums up a file's ticks. `has_enough`: the run is to end.
///
/// # Errors
/// Where it is no file of the lake, is cut, holds ticks of another hour or one twice, or more
/// symbols than there is memory for.
pub fn sum_up(
    file: &File,
    of: &HourOfTopic,
    has_enough: &(dyn Fn() -> bool + Sync),
) -> Result<HourBars> {
    let metadata = read_metadata(file)?;
    let groups = metadata.num_row_groups();
    let threads =
        thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(groups.max(1));
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sum_up_some = || {
        let some = sum_up_groups((file, &metadata), of, || {
            let is_done = failed.load(Ordering::Relaxed) || has_enough();
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < groups && !is_done)
        });
        failed.fetch_or(some.is_err(), Ordering::Relaxed);
        some
    };
    let parts: Vec<Result<HourBars>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(sum_up_some)).collect();
        let own = sum_up_some();
        let joined = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))));
        std::iter::once(own).chain(joined).collect()
    });
    if has_enough() {
        return Err(error("the run was ended"));
    }
    let mut sum = HourBars::of_topic(Arc::clone(&of.topic));
    for part in parts {
        sum = pending_hours::joined(sum, part?).ok_or_else(too_wide)?;
    }
    each_once(sum)
}

fn sum_up_groups(
    (file, metadata): (&File, &ParquetMetaData),
    of: &HourOfTopic,
    next: impl Fn() -> Option<usize>,
) -> Result<HourBars> {
    let mut summing = Summing::default();
    while let Some(number) = next() {
        let group = Group::read(file, metadata.row_group(number), COLUMNS)?;
        let mut columns = Columns::of(&group)?;
        let mut left = group.rows;
        while left > 0 {
            let rows = left.min(ROWS);
            columns.fill(rows)?;
            summing.add_all(&columns, of.hour)?;
            left -= rows;
        }
    }
    summing.finish(of)
}

/// # Errors
/// Where a record stands there twice.
fn each_once(sum: HourBars) -> Result<HourBars> {
    if sum.offsets.len() == sum.ticks { Ok(sum) } else { Err(error("it contains a record twice")) }
}

/// Where a file's columns lie.
///
/// # Errors
/// Where it is none of the lake.
fn read_metadata(file: &File) -> Result<ParquetMetaData> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file)?;
    if *metadata.file_metadata().schema() == parse_message_type(SCHEMA)? {
        Ok(metadata)
    } else {
        Err(error("its columns are not those of the lake"))
    }
}

fn error(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn too_wide() -> ParquetError {
    error(&format!("it has more than {MAX_SYMBOLS} symbols, for which there is no memory"))
}

/// Whole numbers of some rows.
struct Numbers {
    reader: ColumnReaderImpl<Int64Type>,
    values: Vec<i64>,
}

impl Numbers {
    fn of(group: &Group<'_>, number: usize) -> Result<Self> {
        Ok(Self { reader: group.numbers(number)?, values: Vec::with_capacity(ROWS) })
    }

    fn fill(&mut self, rows: usize) -> Result<()> {
        self.values.clear();
        while self.values.len() < rows {
            let wanted = rows - self.values.len();
            if self.reader.read_records(wanted, None, None, &mut self.values)?.0 == 0 {
                return Err(error("a column ends before its row group"));
            }
        }
        Ok(())
    }
}

/// Some rows of those columns that sums are made of.
struct Columns {
    symbol: Repeating<Texts>,
    timestamp: Numbers,
    open: Repeating<Prices>,
    high: Repeating<Prices>,
    low: Repeating<Prices>,
    close: Repeating<Prices>,
    volume: Repeating<Volumes>,
    partition: Repeating<Integers>,
    offset: Numbers,
    index: Repeating<Integers>,
}

impl Columns {
    fn of(group: &Group<'_>) -> Result<Self> {
        Ok(Self {
            symbol: Repeating::of(group, 0)?,
            timestamp: Numbers::of(group, 1)?,
            open: Repeating::of(group, 2)?,
            high: Repeating::of(group, 3)?,
            low: Repeating::of(group, 4)?,
            close: Repeating::of(group, 5)?,
            volume: Repeating::of(group, 6)?,
            partition: Repeating::of(group, 7)?,
            offset: Numbers::of(group, 8)?,
            index: Repeating::of(group, 9)?,
        })
    }

    fn fill(&mut self, rows: usize) -> Result<()> {
        self.symbol.fill(rows)?;
        self.timestamp.fill(rows)?;
        for prices in [&mut self.open, &mut self.high, &mut self.low, &mut self.close] {
            prices.fill(rows)?;
        }
        self.volume.fill(rows)?;
        self.partition.fill(rows)?;
        self.offset.fill(rows)?;
        self.index.fill(rows)
    }

    /// A row's tick, and its place; `None` where it cannot be one.
    #[inline]
    fn tick<'s>(&self, row: usize, symbol: Symbol<'s>) -> Option<(Tick<'s>, Place)> {
        let at = Timestamp::from_micros(self.timestamp.values[row]);
        let prices = tick::Prices {
            open: self.open.values[row]?,
            high: self.high.values[row],
            low: self.low.values[row],
            close: self.close.values[row]?,
        };
        let (volume, bounds) = (self.volume.values[row], TimeBounds::only(at));
        let tick = Tick::of_symbol(symbol, at, prices, volume, Extras::default(), bounds)?;
        Some((
            tick,
            place_of_row(
                self.partition.values[row]?,
                self.offset.values[row],
                self.index.values[row]?,
            )?,
        ))
    }

    /// # Errors
    /// Where a row is of another hour.
    fn are_of(&self, hour: Hour) -> Result<()> {
        let is_within =
            |micros: &i64| Timestamp::from_micros(*micros).is_within(hour.start(), Timestamp::HOUR);
        if self.timestamp.values.iter().all(is_within) {
            Ok(())
        } else {
            Err(error("a tick is of another hour"))
        }
    }
}

/// The sums so far.
#[derive(Default)]
struct Summing {
    sum: HourBars,
    places: OffsetBlocks,
    /// The symbol of the last tick, whose ticks stand together, and what they add up to.
    current: Option<(Box<str>, Bar)>,
}

impl Summing {
    fn add_all(&mut self, columns: &Columns, hour: Hour) -> Result<()> {
        columns.are_of(hour)?;
        let mut begin = 0;
        for same in columns.symbol.values.chunk_by(|one, other| one == other) {
            let name = same[0].and_then(|number| columns.symbol.parse.get(number));
            let rows = begin..begin + same.len();
            begin = rows.end;
            self.add_some(name.ok_or_else(|| error("a symbol is missing"))?, columns, rows)?;
        }
        Ok(())
    }

    /// Adds rows of one symbol.
    fn add_some(&mut self, name: &str, columns: &Columns, rows: Range<usize>) -> Result<()> {
        let symbol = parse_symbol(name)?;
        let (name, mut bar) = match self.current.take() {
            Some((known, bar)) if *known == *name => (known, Some(bar)),
            before => {
                self.keep(before)?;
                (name.into(), None)
            }
        };
        for row in rows {
            let (tick, place) =
                columns.tick(row, symbol).ok_or_else(|| error("a row is no tick"))?;
            self.places.insert(
                place.partition,
                place.number().ok_or_else(|| error("a row has no offset"))?,
            );
            match &mut bar {
                Some(bar) => bar.add(&tick, place),
                None => bar = Some(Bar::of(&tick, place)),
            }
        }
        self.current = bar.map(|bar| (name, bar));
        Ok(())
    }

    /// Puts a symbol's sums to the others.
    fn keep(&mut self, bar: Option<(Box<str>, Bar)>) -> Result<()> {
        let Some((name, bar)) = bar else { return Ok(()) };
        let symbol = parse_symbol(&name)?;
        self.sum.ticks += bar.ticks;
        match self.sum.bars.get_mut(symbol) {
            Some(known) => known.merge(&bar),
            None => self.sum.bars.insert(symbol, bar),
        }
        if self.sum.bars.len() > MAX_SYMBOLS { Err(too_wide()) } else { Ok(()) }
    }

    fn finish(mut self, of: &HourOfTopic) -> Result<HourBars> {
        let last = self.current.take();
        self.keep(last)?;
        self.sum.offsets = self.places.into_offsets(&of.topic);
        Ok(self.sum)
    }
}

fn parse_symbol(name: &str) -> Result<Symbol<'_>> {
    Symbol::new(name).ok_or_else(|| error("a symbol is none"))
}

#[cfg(test)]
mod tests;
