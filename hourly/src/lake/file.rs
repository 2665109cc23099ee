//! A Parquet file of ticks: written in their order, and read back.

use super::columns::{
    Columns, Decimals, PRICE, ReadDecimals, ReadLists, ReadNumbers, SCHEMA, VOLUME, place_of_row,
    timestamp,
};
use crate::checksum::TickContent;
use common::{Codes, Extras, Place, Price};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::sync::Arc;

/// Rows of a row group: what DuckDB reads by one thread, and few symbols' ticks.
pub const GROUP: usize = 1 << 17;
/// Rows of a page: a query of one symbol reads few others'.
const PAGE: usize = 1 << 14;
const LEVEL: i32 = 6;

/// Writes a file.
pub struct Writer {
    file: SerializedFileWriter<File>,
    columns: Columns,
    /// The symbol of the last tick.
    symbol: ByteArray,
    rows: u64,
}

impl Writer {
    /// # Errors
    /// Where `file` cannot be written.
    pub fn new(file: File) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties()?))?;
        Ok(Self { file, columns: Columns::default(), symbol: ByteArray::from(Vec::new()), rows: 0 })
    }

    /// Adds a tick that comes after all that were added.
    ///
    /// # Errors
    /// Where `file` cannot be written.
    pub fn push(&mut self, content: &TickContent<'_>, place: Place) -> Result<()> {
        if self.symbol.data() != content.symbol.as_bytes() {
            self.symbol = ByteArray::from(content.symbol.as_bytes().to_vec());
        }
        self.columns.push(&self.symbol, content, place);
        self.rows += 1;
        if self.columns.len() >= GROUP { self.flush() } else { Ok(()) }
    }

    /// How many bytes are written so far, without the last rows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.bytes_written() as u64
    }

    /// What follows may come before what was added.
    ///
    /// # Errors
    /// Where `file` cannot be written.
    pub fn end_group(&mut self) -> Result<()> {
        if self.columns.is_empty() { Ok(()) } else { self.flush() }
    }

    /// Ends the file; gives it and the number of its rows.
    ///
    /// # Errors
    /// Where `file` cannot be written.
    pub fn finish(mut self) -> Result<(File, u64)> {
        self.end_group()?;
        Ok((self.file.into_inner()?, self.rows))
    }

    fn flush(&mut self) -> Result<()> {
        let Columns {
            symbol,
            timestamp,
            open,
            high,
            low,
            close,
            volume,
            partition,
            offset,
            index,
            ..
        } = &self.columns;
        let mut group = self.file.next_row_group()?;
        put::<ByteArrayType>(&mut group, symbol)?;
        put::<Int64Type>(&mut group, timestamp)?;
        put_decimals(&mut group, open, PRICE)?;
        put_decimals(&mut group, high, PRICE)?;
        put_decimals(&mut group, low, PRICE)?;
        put_decimals(&mut group, close, PRICE)?;
        put_decimals(&mut group, volume, VOLUME)?;
        put::<Int32Type>(&mut group, partition)?;
        put::<Int64Type>(&mut group, offset)?;
        put::<Int32Type>(&mut group, index)?;
        put_extras(&mut group, &self.columns)?;
        group.close()?;
        self.columns = Columns::default();
        Ok(())
    }
}

fn put<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: &[T::T]) -> Result<()> {
    put_some::<T>(group, values, None, None)
}

/// `levels`: which are there; `repetitions`: which go on with a row.
fn put_some<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<()> {
    let mut column = group.next_column()?.ok_or_else(a_column_too_many)?;
    column.typed::<T>().write_batch(values, levels, repetitions)?;
    column.close()
}

fn put_extras(group: &mut SerializedRowGroupWriter<'_, File>, columns: &Columns) -> Result<()> {
    let Columns { bid, ask, sequence, conditions, .. } = columns;
    put_decimals(group, bid, PRICE)?;
    put_decimals(group, ask, PRICE)?;
    put_some::<Int64Type>(group, &sequence.values, Some(&sequence.levels), None)?;
    let (levels, repetitions) = (Some(&*conditions.levels), Some(&*conditions.repetitions));
    put_some::<ByteArrayType>(group, &conditions.values, levels, repetitions)
}

/// `length`: of each decimal in bytes.
fn put_decimals(
    group: &mut SerializedRowGroupWriter<'_, File>,
    decimals: &Decimals,
    length: usize,
) -> Result<()> {
    let mut column = group.next_column()?.ok_or_else(a_column_too_many)?;
    let writer = column.typed::<FixedLenByteArrayType>();
    for (values, levels) in decimals.pieces(length) {
        // A column of which none may be missing takes no levels, and pays them no heed.
        writer.write_batch(&values, Some(levels), None)?;
    }
    column.close()
}

fn a_column_too_many() -> ParquetError {
    ParquetError::General("a column too many".into())
}

fn properties() -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::from(name);
    let order = [0, 1].map(|column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: false,
    });
    let properties = WriterProperties::builder()
        .set_created_by("stock-lambda batch-layer".into())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_data_page_row_count_limit(PAGE)
        .set_sorting_columns(Some(order.into()));
    // They differ from row to row, and grow within a symbol.
    let growing = ["timestamp", "kafka_offset"].into_iter().fold(properties, |properties, name| {
        properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED)
    });
    Ok(growing.build())
}

/// Shows each tick of a file to `visit`, in the order in which they stand there; gives how many
/// there are.
///
/// # Errors
/// Where it cannot be read, or holds what is no tick.
pub fn each(file: File, visit: &mut dyn FnMut(&TickContent<'_>, Place)) -> Result<u64> {
    let reader = SerializedFileReader::new(file)?;
    let schema = parse_message_type(SCHEMA)?;
    if *reader.metadata().file_metadata().schema() != schema {
        return Err(ParquetError::General("its columns are not those of the lake".into()));
    }
    let mut rows = 0;
    for number in 0..reader.num_row_groups() {
        rows += each_of_group(&*reader.get_row_group(number)?, visit)?;
    }
    Ok(rows)
}

fn each_of_group(
    group: &dyn RowGroupReader,
    visit: &mut dyn FnMut(&TickContent<'_>, Place),
) -> Result<u64> {
    let rows = usize::try_from(group.metadata().num_rows())?;
    let symbols = read_column::<ByteArrayType>(group, 0, rows)?.values;
    let timestamps = read_column::<Int64Type>(group, 1, rows)?.values;
    let decimals = |number| {
        let ColumnChunk { values, levels, .. } =
            read_column::<FixedLenByteArrayType>(group, number, rows)?;
        Ok::<_, ParquetError>(ReadDecimals::new(values, levels))
    };
    let [mut open, mut high, mut low, mut close] =
        [decimals(2)?, decimals(3)?, decimals(4)?, decimals(5)?];
    let mut volume = decimals(6)?;
    let partitions = read_column::<Int32Type>(group, 7, rows)?.values;
    let offsets = read_column::<Int64Type>(group, 8, rows)?.values;
    let indexes = read_column::<Int32Type>(group, 9, rows)?.values;
    let mut extras = ReadExtras::of(group, decimals, rows)?;
    let mut buffer = String::new();
    for row in 0..rows {
        let content = TickContent {
            symbol: symbols[row].as_utf8()?,
            timestamp: timestamp(timestamps[row]),
            open: open.next_price(),
            high: high.next_price(),
            low: low.next_price(),
            close: close.next_price(),
            volume: volume.next_volume(),
            extras: extras.next_row(&mut buffer)?,
        };
        let place = place_of_row(partitions[row], offsets[row], indexes[row]);
        visit(&content, place.ok_or_else(|| ParquetError::General("a row has no offset".into()))?);
    }
    Ok(rows as u64)
}

/// Readers of a tick's other columns than prices and volume.
struct ReadExtras {
    bid: ReadDecimals,
    ask: ReadDecimals,
    sequence: ReadNumbers,
    conditions: ReadLists,
}

impl ReadExtras {
    fn of(
        group: &dyn RowGroupReader,
        decimals: impl Fn(usize) -> Result<ReadDecimals>,
        rows: usize,
    ) -> Result<Self> {
        let ColumnChunk { values, levels, .. } = read_column::<Int64Type>(group, 12, rows)?;
        let sequence = ReadNumbers::new(values, levels);
        let ColumnChunk { values, levels, repetitions } =
            read_column::<ByteArrayType>(group, 13, rows)?;
        let conditions = ReadLists::new(values, levels, repetitions);
        Ok(Self { bid: decimals(10)?, ask: decimals(11)?, sequence, conditions })
    }

    /// Conditions are written into `buffer`.
    fn next_row<'a>(&mut self, buffer: &'a mut String) -> Result<Extras<'a>> {
        let mut extras = Extras::default();
        extras.set_bid(self.bid.next_price().map_or(0, Price::nanos));
        extras.set_ask(self.ask.next_price().map_or(0, Price::nanos));
        self.sequence.next_row().into_iter().for_each(|number| extras.set_sequence(number));
        let codes = self.conditions.next_row();
        if !codes.is_empty() {
            let codes: Vec<&str> = codes.iter().map(ByteArray::as_utf8).collect::<Result<_>>()?;
            extras.set_conditions(Codes::of(codes.into_iter(), buffer));
        }
        Ok(extras)
    }
}

/// All values of a column, which rows have one, and which go on with a row.
struct ColumnChunk<T> {
    values: Vec<T>,
    levels: Vec<i16>,
    repetitions: Vec<i16>,
}

fn read_column<T: DataType>(
    group: &dyn RowGroupReader,
    column: usize,
    rows: usize,
) -> Result<ColumnChunk<T::T>> {
    let mut reader: ColumnReaderImpl<T> = T::get_column_reader(group.get_column_reader(column)?)
        .ok_or_else(|| ParquetError::General(format!("column {column} is of another type")))?;
    let (mut values, mut levels, mut repetitions) =
        (Vec::with_capacity(rows), Vec::new(), Vec::new());
    let (read, _, _) =
        reader.read_records(rows, Some(&mut levels), Some(&mut repetitions), &mut values)?;
    if read == rows {
        return Ok(ColumnChunk { values, levels, repetitions });
    }
    Err(ParquetError::General(format!("column {column} has {read} of {rows} rows")))
}

#[cfg(test)]
mod tests {
    use super::super::sort::{nameless, rewound};
    use super::*;
    use common::{Price, Timestamp, Volume};
    use proptest::prelude::*;

    /// Prices of nine digits or many, above zero and below.
    fn nanos() -> impl Strategy<Value = i64> {
        prop_oneof![-i64::MAX..=i64::MAX, -9_i64..9, Just(201_500_000_000)]
    }

    fn extras(bid: Option<i64>, sequence: Option<i64>, conditions: &str) -> Extras<'_> {
        let mut extras = Extras::default();
        extras.set_bid(bid.unwrap_or_default());
        extras.set_ask(sequence.unwrap_or_default());
        sequence.into_iter().for_each(|number| extras.set_sequence(number));
        extras.set_conditions(Codes::of_text(conditions));
        extras
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_written_to_the_last_digit(
            ticks in proptest::collection::vec(
                ("[A-Z]{1,3}|µ{32}", any::<i64>(), nanos(), proptest::option::of(nanos()), nanos(),
                 proptest::option::of((0..=i64::MAX, 0..Volume::ONE)), any::<(i32, i64, u16)>(),
                 proptest::option::of(0..=i64::MAX), proptest::sample::select(vec!["", "7", r#"["@","Odd Lot","é"]"#])),
                0..30,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let price = |nanos: i64| Price::from_nanos(nanos);
            let all: Vec<_> = ticks.iter().map(|(symbol, at, open, high, close, volume, place, number, conditions)| {
                let content = TickContent {
                    symbol,
                    timestamp: Timestamp::from_micros(*at),
                    open: price(*open),
                    high: high.and_then(price),
                    low: high.and(price(*close)),
                    close: price(*close),
                    volume: volume.and_then(|(whole, part)| Volume::from_parts(whole, part)),
                    extras: extras(*high, *number, conditions),
                };
                (content, Place { partition: place.0, offset: place.1, index: place.2 })
            }).collect();
            let mut writer = Writer::new(nameless(folder.path()).unwrap()).unwrap();
            all.iter().for_each(|(content, place)| writer.push(content, *place).unwrap());
            let (file, rows) = writer.finish().unwrap();
            prop_assert_eq!(rows, all.len() as u64);
            let mut expected = all.iter();
            let mut same = true;
            let read = each(rewound(file).unwrap(), &mut |content, place| {
                same &= expected.next() == Some(&(*content, place));
            });
            prop_assert_eq!(read.unwrap(), rows);
            prop_assert!(same && expected.next().is_none());
        }
    }
}
