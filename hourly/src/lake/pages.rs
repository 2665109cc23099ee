//! Columns whose values repeat, page by page: what is in a dictionary is made a value of once,
//! and not for each row.
//!
//! The `parquet` crate finds and decompresses the pages. It would hand out a piece of memory with a
//! count of its own for each decimal and each text, which takes longer than all else that is done
//! with them ([docs/tried.md]).
//!
//! [docs/tried.md]: ../../../docs/tried.md

mod packed;
mod parse;
mod window;

pub use parse::{Integers, Parse, Prices, Texts, Volumes};
pub use window::Group;

use bytes::Bytes;
use packed::Packed;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::Result;
use parse::{error, take};

/// A column of a row group.
pub struct Repeating<P: Parse> {
    pages: Box<dyn PageReader>,
    pub parse: P,
    /// Values of the rows that were read last; `None` for a row without one.
    pub values: Vec<Option<P::Value>>,
    /// Some rows may have none.
    is_optional: bool,
    dictionary: Vec<Option<P::Value>>,
    page: Rest,
    /// Room for levels, and for the values of those rows that have one.
    levels: Vec<u32>,
    some: Vec<Option<P::Value>>,
    /// Room for numbers of the dictionary.
    numbers: Vec<u32>,
}

/// The unread rest of a page.
struct Rest {
    rows: usize,
    /// 1 for each row that has a value, 0 for each that has none; `None`: all have one.
    levels: Option<Packed>,
    values: PageValues,
}

enum PageValues {
    /// By their numbers in the dictionary.
    Numbers(Packed),
    /// One after the other, from somewhere on.
    Plain(Bytes, usize),
}

impl<P: Parse + Default> Repeating<P> {
    /// A column of a row group, by its number.
    ///
    /// # Errors
    /// Where its pages cannot be found, or are not as this program writes them.
    pub fn of(group: &Group<'_>, number: usize) -> Result<Self> {
        Ok(Self {
            pages: group.pages(number)?,
            parse: P::default(),
            values: Vec::new(),
            is_optional: group.is_optional(number),
            dictionary: Vec::new(),
            page: Rest { rows: 0, levels: None, values: PageValues::Plain(Bytes::new(), 0) },
            levels: Vec::new(),
            some: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Reads the next rows, in the place of those that were read before.
    pub fn fill(&mut self, rows: usize) -> Result<()> {
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        while values.len() < rows {
            if self.page.rows == 0 {
                self.next_page()?;
            }
            let count = (rows - values.len()).min(self.page.rows);
            self.add_rows(count, &mut values)?;
            self.page.rows -= count;
        }
        self.values = values;
        Ok(())
    }

    fn next_page(&mut self) -> Result<()> {
        match self
            .pages
            .get_next_page()?
            .ok_or_else(|| error("a column ends before its row group"))?
        {
            Page::DictionaryPage { buf, num_values, .. } => self.read_dictionary(&buf, num_values),
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let (levels, begin) = self.levels_of(&buf, def_level_encoding)?;
                self.page = Rest {
                    rows: usize::try_from(num_values)?,
                    levels,
                    values: values_of(buf, begin, encoding)?,
                };
                Ok(())
            }
            Page::DataPageV2 { .. } => Err(error("a page is of the second version")),
        }
    }

    fn read_dictionary(&mut self, mut rest: &[u8], count: u32) -> Result<()> {
        self.dictionary.clear();
        for _ in 0..count {
            let value = self
                .parse
                .parse(&mut rest)
                .ok_or_else(|| error("a dictionary has what is no value"))?;
            self.dictionary.push(Some(value));
        }
        Ok(())
    }

    /// Which rows of a page have a value, and where the values begin.
    fn levels_of(&self, page: &Bytes, encoding: Encoding) -> Result<(Option<Packed>, usize)> {
        if !self.is_optional {
            return Ok((None, 0));
        }
        let mut rest = &page[..];
        let length = take(&mut rest).map(u32::from_le_bytes).filter(|_| encoding == Encoding::RLE);
        let levels = length.and_then(|length| rest.get(..usize::try_from(length).ok()?));
        let levels = levels.ok_or_else(|| error("a page does not say which rows have a value"))?;
        let end = size_of::<u32>() + levels.len();
        Ok((Some(Packed::new(page.slice_ref(levels), 1)?), end))
    }

    fn add_rows(&mut self, count: usize, out: &mut Vec<Option<P::Value>>) -> Result<()> {
        let Some(levels) = &mut self.page.levels else { return self.add_values(count, out) };
        levels.read(count, &mut self.levels)?;
        match self.levels.iter().sum::<u32>() as usize {
            0 => out.extend(std::iter::repeat_n(None, count)),
            there if there == count => self.add_values(count, out)?,
            there => {
                let mut some = std::mem::take(&mut self.some);
                some.clear();
                self.add_values(there, &mut some)?;
                let mut values = some.iter();
                let levels = self.levels.iter();
                out.extend(levels.map(|level| {
                    if *level == 0 { None } else { values.next().copied().flatten() }
                }));
                self.some = some;
            }
        }
        Ok(())
    }

    /// Adds the values of so many rows that have one.
    fn add_values(&mut self, count: usize, out: &mut Vec<Option<P::Value>>) -> Result<()> {
        match &mut self.page.values {
            PageValues::Numbers(numbers) => {
                numbers.read(count, &mut self.numbers)?;
                let dictionary = &*self.dictionary;
                let largest = self.numbers.iter().max().map_or(0, |number| *number as usize);
                if count > 0 && largest >= dictionary.len() {
                    return Err(error("a dictionary lacks a value"));
                }
                out.extend(self.numbers.iter().map(|number| dictionary[*number as usize]));
            }
            PageValues::Plain(page, at) => {
                let mut rest = page.get(*at..).unwrap_or_default();
                for _ in 0..count {
                    let value = self.parse.parse(&mut rest);
                    out.push(Some(value.ok_or_else(|| error("a page has what is no value"))?));
                }
                *at = page.len() - rest.len();
            }
        }
        Ok(())
    }
}

/// The values of a page, which begin somewhere in it.
fn values_of(page: Bytes, begin: usize, encoding: Encoding) -> Result<PageValues> {
    match encoding {
        Encoding::PLAIN => Ok(PageValues::Plain(page, begin)),
        Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
            // A page of rows without values need not have any.
            let width = page.get(begin).copied().unwrap_or_default();
            Ok(PageValues::Numbers(Packed::new(
                page.slice(page.len().min(begin + 1)..),
                width.into(),
            )?))
        }
        other => Err(error(&format!("a page is encoded as {other}"))),
    }
}
