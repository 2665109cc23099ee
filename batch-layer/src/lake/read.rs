//! An object of the lake straight into sums: only the columns that they are made of, some rows at a time.
//!
//! Row groups are read by several threads. Each keeps a page of each column and some thousand rows, so memory does not grow
//! with the object, but for the sums.

use super::columns::{PRICE, SCHEMA, VOLUME, place};
use super::places::Places;
use crate::hour::Hour;
use crate::scan::HourBars;
use crate::totals::{self, MAX_SYMBOLS};
use bytes::Bytes;
use common::tick::Prices;
use common::{Bar, Place, Price, Symbol, Tick, TimeBounds, Timestamp, Volume};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Rows that are read of each column at a time.
const ROWS: usize = 1 << 12;
/// Threads of one object: 20 MB each at most, beside the sums.
const MAX_THREADS: usize = 4;

/// What is summed up.
#[derive(Debug, Clone)]
pub struct Asked {
    /// All ticks must be of it.
    pub hour: Hour,
    pub topic: Arc<str>,
}

/// Sums up a file's ticks. `has_enough`: the run is to end.
///
/// # Errors
/// Where it is no file of the lake, is cut, holds ticks of another hour or one twice, or more symbols than there is memory
/// for.
pub fn sum_up(file: File, asked: &Asked, has_enough: &(dyn Fn() -> bool + Sync)) -> Result<HourBars> {
    let chunks = Chunks(Arc::new(file));
    let groups = open(chunks.clone())?.num_row_groups();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(groups.max(1));
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sum_up_some = || {
        let some = sum_up_groups(open(chunks.clone())?, asked, || {
            let is_done = failed.load(Ordering::Relaxed) || has_enough();
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < groups && !is_done)
        });
        failed.fetch_or(some.is_err(), Ordering::Relaxed);
        some
    };
    let parts: Vec<Result<HourBars>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(sum_up_some)).collect();
        let own = sum_up_some();
        let joined = others.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(error("a thread panicked"))));
        std::iter::once(own).chain(joined).collect()
    });
    if has_enough() {
        return Err(error("the run was ended"));
    }
    let mut sum = HourBars::of_topic(Arc::clone(&asked.topic));
    for part in parts {
        sum = totals::joined(sum, part?).ok_or_else(too_wide)?;
    }
    each_once(sum)
}

fn sum_up_groups(
    reader: SerializedFileReader<Chunks>,
    asked: &Asked,
    next: impl Fn() -> Option<usize>,
) -> Result<HourBars> {
    let mut summing = Summing::default();
    while let Some(number) = next() {
        let group = reader.get_row_group(number)?;
        let mut columns = Columns::of(&*group)?;
        let mut left = usize::try_from(group.metadata().num_rows())?;
        while left > 0 {
            let rows = left.min(ROWS);
            columns.fill(rows)?;
            summing.add_all(&mut columns, rows, asked.hour)?;
            left -= rows;
        }
    }
    summing.finish(asked)
}

/// # Errors
/// Where a record stands there twice.
fn each_once(sum: HourBars) -> Result<HourBars> {
    match sum.offsets.len() == sum.ticks {
        true => Ok(sum),
        false => Err(error("a record stands in it twice")),
    }
}

fn open(chunks: Chunks) -> Result<SerializedFileReader<Chunks>> {
    let reader = SerializedFileReader::new(chunks)?;
    match *reader.metadata().file_metadata().schema() == parse_message_type(SCHEMA)? {
        true => Ok(reader),
        false => Err(error("its columns are not those of the lake")),
    }
}

fn error(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn too_wide() -> ParquetError {
    error(&format!("it has more than {MAX_SYMBOLS} symbols, for which there is no memory"))
}

/// A file that several threads read.
#[derive(Clone)]
struct Chunks(Arc<File>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        Length::len(&*self.0)
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(At { file: Arc::clone(&self.0), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A file from somewhere on.
struct At {
    file: Arc<File>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Some rows of a column.
struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    /// 0 for each row that has none; empty where each has one.
    levels: Vec<i16>,
}

impl<T: DataType> Column<T> {
    fn of(group: &dyn RowGroupReader, number: usize) -> Result<Self> {
        let reader = T::get_column_reader(group.get_column_reader(number)?);
        let reader = reader.ok_or_else(|| error(&format!("column {number} is of another type")))?;
        Ok(Self { reader, values: Vec::with_capacity(ROWS), levels: Vec::new() })
    }

    fn fill(&mut self, rows: usize) -> Result<()> {
        self.values.clear();
        self.levels.clear();
        let mut filled = 0;
        while filled < rows {
            let (read, ..) = self.reader.read_records(rows - filled, Some(&mut self.levels), None, &mut self.values)?;
            if read == 0 {
                return Err(error("a column ends before its row group"));
            }
            filled += read;
        }
        Ok(())
    }
}

/// Decimals of some rows.
struct Decimals {
    column: Column<FixedLenByteArrayType>,
    /// The next of those that are there.
    at: usize,
}

impl Decimals {
    fn of(group: &dyn RowGroupReader, number: usize) -> Result<Self> {
        Ok(Self { column: Column::of(group, number)?, at: 0 })
    }

    fn fill(&mut self, rows: usize) -> Result<()> {
        self.at = 0;
        self.column.fill(rows)
    }

    /// That of a row, which come one after the other; `None` where it has none.
    #[inline]
    fn next(&mut self, row: usize) -> Option<&FixedLenByteArray> {
        if self.column.levels.get(row) == Some(&0) {
            return None;
        }
        self.at += 1;
        self.column.values.get(self.at - 1)
    }

    /// # Errors
    /// Where it is none.
    #[inline]
    fn price(&mut self, row: usize) -> Result<Option<Price>> {
        self.next(row).map(|bytes| price(bytes.data()).ok_or_else(|| error("a price is too large"))).transpose()
    }

    /// # Errors
    /// Where it is none.
    #[inline]
    fn volume(&mut self, row: usize) -> Result<Option<Volume>> {
        self.next(row).map(|bytes| volume(bytes.data()).ok_or_else(|| error("a volume is too large"))).transpose()
    }
}

#[inline]
fn price(bytes: &[u8]) -> Option<Price> {
    let [sign, nanos @ ..]: [u8; PRICE] = bytes.try_into().ok()?;
    let nanos = i64::from_be_bytes(nanos);
    // What does not fit into 64 bits is no price.
    (i64::from(sign.cast_signed()) == nanos >> 63).then(|| Price::from_nanos(nanos)).flatten()
}

#[inline]
fn volume(bytes: &[u8]) -> Option<Volume> {
    let bytes: [u8; VOLUME] = bytes.try_into().ok()?;
    let [a, b, c, d, low @ ..] = bytes;
    if [a, b, c, d] == [0; 4] {
        // A division of 128 bits takes as long as all the rest.
        let nanos = u64::from_be_bytes(low);
        return Volume::from_parts(i64::try_from(nanos / ONE).ok()?, u32::try_from(nanos % ONE).ok()?);
    }
    let mut wide = [if a < 0x80 { 0 } else { 0xff }; 16];
    wide[16 - VOLUME..].copy_from_slice(&bytes);
    Volume::from_nanos(i128::from_be_bytes(wide))
}

/// Units of a volume of 1.
const ONE: u64 = Volume::ONE as u64;

/// Some rows of those columns that sums are made of.
struct Columns {
    symbol: Column<ByteArrayType>,
    timestamp: Column<Int64Type>,
    open: Decimals,
    high: Decimals,
    low: Decimals,
    close: Decimals,
    volume: Decimals,
    partition: Column<Int32Type>,
    offset: Column<Int64Type>,
    index: Column<Int32Type>,
}

impl Columns {
    fn of(group: &dyn RowGroupReader) -> Result<Self> {
        Ok(Self {
            symbol: Column::of(group, 0)?,
            timestamp: Column::of(group, 1)?,
            open: Decimals::of(group, 2)?,
            high: Decimals::of(group, 3)?,
            low: Decimals::of(group, 4)?,
            close: Decimals::of(group, 5)?,
            volume: Decimals::of(group, 6)?,
            partition: Column::of(group, 7)?,
            offset: Column::of(group, 8)?,
            index: Column::of(group, 9)?,
        })
    }

    fn fill(&mut self, rows: usize) -> Result<()> {
        self.symbol.fill(rows)?;
        self.timestamp.fill(rows)?;
        for decimals in [&mut self.open, &mut self.high, &mut self.low, &mut self.close, &mut self.volume] {
            decimals.fill(rows)?;
        }
        self.partition.fill(rows)?;
        self.offset.fill(rows)?;
        self.index.fill(rows)
    }

    #[inline]
    fn place(&self, row: usize) -> Option<(Place, u64)> {
        let place = place(self.partition.values[row], self.offset.values[row], self.index.values[row])?;
        Some((place, place.number()?))
    }

    #[inline]
    fn prices(&mut self, row: usize) -> Result<Prices> {
        let none = || error("a price is missing");
        Ok(Prices {
            open: self.open.price(row)?.ok_or_else(none)?,
            high: self.high.price(row)?,
            low: self.low.price(row)?,
            close: self.close.price(row)?.ok_or_else(none)?,
        })
    }
}

/// The sums so far.
#[derive(Default)]
struct Summing {
    sum: HourBars,
    places: Places,
    /// The symbol of the last tick, whose ticks stand together, and what they add up to.
    current: Option<(ByteArray, Bar)>,
}

impl Summing {
    fn add_all(&mut self, columns: &mut Columns, rows: usize, hour: Hour) -> Result<()> {
        let symbols = std::mem::take(&mut columns.symbol.values);
        let (mut begin, mut added) = (0, Ok(()));
        while begin < rows && added.is_ok() {
            let text = symbols[begin].data();
            let same = symbols[begin..rows].iter().take_while(|other| other.data() == text).count();
            added = self.add_some(&symbols[begin], columns, (begin..begin + same, hour));
            begin += same;
        }
        columns.symbol.values = symbols;
        added
    }

    /// Adds rows of one symbol.
    fn add_some(
        &mut self,
        name: &ByteArray,
        columns: &mut Columns,
        (rows, hour): (std::ops::Range<usize>, Hour),
    ) -> Result<()> {
        let symbol = Symbol::new(name.as_utf8()?).ok_or_else(|| error("a symbol is none"))?;
        let mut bar = match self.current.take() {
            Some((known, bar)) if known.data() == name.data() => Some(bar),
            before => {
                self.keep(before)?;
                None
            }
        };
        for row in rows {
            let at = Timestamp::from_micros(columns.timestamp.values[row]);
            if !at.is_within(hour.start(), Timestamp::HOUR) {
                return Err(error("a tick is of another hour"));
            }
            let (prices, volume) = (columns.prices(row)?, columns.volume.volume(row)?);
            let tick = Tick::of_symbol(symbol, at, prices, volume, common::Extras::default(), TimeBounds::only(at));
            let tick = tick.ok_or_else(|| error("a row is no tick"))?;
            let (place, number) = columns.place(row).ok_or_else(|| error("a row tells no place"))?;
            self.places.insert(place.partition, number);
            match &mut bar {
                Some(bar) => bar.add(&tick, place),
                None => bar = Some(Bar::of(&tick, place)),
            }
        }
        self.current = bar.map(|bar| (name.clone(), bar));
        Ok(())
    }

    /// Puts a symbol's sums to the others.
    fn keep(&mut self, bar: Option<(ByteArray, Bar)>) -> Result<()> {
        let Some((name, bar)) = bar else { return Ok(()) };
        let symbol = Symbol::new(name.as_utf8()?).ok_or_else(|| error("a symbol is none"))?;
        self.sum.ticks += bar.ticks;
        match self.sum.bars.get_mut(symbol) {
            Some(known) => known.merge(&bar),
            None => self.sum.bars.insert(symbol, bar),
        }
        if self.sum.bars.len() > MAX_SYMBOLS { Err(too_wide()) } else { Ok(()) }
    }

    fn finish(mut self, asked: &Asked) -> Result<HourBars> {
        let last = self.current.take();
        self.keep(last)?;
        self.sum.offsets = self.places.into_offsets(&asked.topic);
        Ok(self.sum)
    }
}

#[cfg(test)]
mod tests;
