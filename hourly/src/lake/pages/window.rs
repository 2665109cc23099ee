//! [`Group`]: the bytes of a row group, of which its columns are read.

use super::parse::error;
use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader};
use parquet::data_type::{DataType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The first columns of a row group, which stand together.
pub struct Group<'a> {
    columns: &'a [ColumnChunkMetaData],
    pub rows: usize,
    window: Arc<Window>,
}

/// Bytes of a file from somewhere on.
struct Window {
    at: u64,
    bytes: Bytes,
}

impl<'a> Group<'a> {
    /// Reads the first `columns` columns of a row group.
    ///
    /// # Errors
    /// Where they do not lie in the file, or it cannot be read.
    pub fn read(file: &File, group: &'a RowGroupMetaData, columns: usize) -> Result<Self> {
        let columns =
            group.columns().get(..columns).ok_or_else(|| error("a row group lacks a column"))?;
        let ranges: Vec<Range<u64>> = columns.iter().map(range).collect::<Result<_>>()?;
        let at = ranges.iter().map(|range| range.start).min().unwrap_or_default();
        let end = ranges.iter().map(|range| range.end).max().unwrap_or_default();
        if end > Length::len(file) {
            return Err(error("a row group lies behind the end of the file"));
        }
        let mut bytes = vec![0; usize::try_from(end - at)?];
        file.read_exact_at(&mut bytes, at)?;
        let window = Arc::new(Window { at, bytes: bytes.into() });
        Ok(Self { columns, rows: usize::try_from(group.num_rows())?, window })
    }

    pub(super) fn is_optional(&self, number: usize) -> bool {
        self.columns.get(number).is_some_and(|column| column.column_descr().max_def_level() > 0)
    }

    /// The pages of a column, by its number.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn pages(&self, number: usize) -> Result<Box<dyn PageReader>> {
        let window = Arc::clone(&self.window);
        Ok(Box::new(SerializedPageReader::new(window, self.column(number)?, self.rows, None)?))
    }

    /// A column of whole numbers, by its number.
    ///
    /// # Errors
    /// Where it is none.
    pub fn numbers(&self, number: usize) -> Result<ColumnReaderImpl<Int64Type>> {
        let reader =
            get_column_reader(self.column(number)?.column_descr_ptr(), self.pages(number)?);
        Int64Type::get_column_reader(reader)
            .ok_or_else(|| error(&format!("column {number} is of another type")))
    }

    fn column(&self, number: usize) -> Result<&'a ColumnChunkMetaData> {
        self.columns.get(number).ok_or_else(|| error("a row group lacks a column"))
    }
}

/// Where a column lies.
fn range(column: &ColumnChunkMetaData) -> Result<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let (start, length) = (u64::try_from(start)?, u64::try_from(column.compressed_size())?);
    let end = start.checked_add(length).ok_or_else(|| error("a column has no end"))?;
    Ok(start..end)
}

impl Window {
    /// # Errors
    /// Where the bytes from `start` on lie elsewhere.
    fn behind(&self, start: u64) -> Result<Bytes> {
        let begin = start.checked_sub(self.at).and_then(|begin| usize::try_from(begin).ok());
        let begin = begin.filter(|begin| *begin <= self.bytes.len()).ok_or_else(lies_elsewhere)?;
        Ok(self.bytes.slice(begin..))
    }
}

fn lies_elsewhere() -> ParquetError {
    ParquetError::EOF("a page lies elsewhere".to_owned())
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }
}

impl ChunkReader for Window {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.behind(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.behind(start)?;
        if length <= bytes.len() { Ok(bytes.slice(..length)) } else { Err(lies_elsewhere()) }
    }
}
