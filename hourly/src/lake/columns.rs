//! [`Columns`]: ticks column by column, as a Parquet file has them.

use crate::checksum::TickContent;
use bytes::Bytes;
use common::{Place, Price, Timestamp, Volume};
use parquet::data_type::{ByteArray, FixedLenByteArray};

/// The file's columns. Prices have up to 10, volumes up to 19 digits before the point, and 9 after
/// it: so every tick that the decoder lets pass is kept to the last digit, and all files are of one
/// schema.
pub const SCHEMA: &str = "
message tick {
    required binary symbol (string);
    required int64 timestamp (timestamp(micros,true));
    required fixed_len_byte_array(9) open (decimal(19,9));
    optional fixed_len_byte_array(9) high (decimal(19,9));
    optional fixed_len_byte_array(9) low (decimal(19,9));
    required fixed_len_byte_array(9) close (decimal(19,9));
    optional fixed_len_byte_array(12) volume (decimal(28,9));
    required int32 kafka_partition;
    required int64 kafka_offset;
    required int32 kafka_index;
    optional fixed_len_byte_array(9) bid (decimal(19,9));
    optional fixed_len_byte_array(9) ask (decimal(19,9));
    optional int64 sequence;
    optional group conditions (list) {
        repeated group list {
            required binary element (string);
        }
    }
}";

/// The bytes of a price.
pub const PRICE: usize = 9;
/// The bytes of a volume.
pub const VOLUME: usize = 12;
/// Rows of a piece of a column.
const PIECE: usize = 1 << 10;

/// Decimals of which some may be missing.
#[derive(Debug, Default)]
pub struct Decimals {
    /// The values that are there, one after the other, each of the same length and with its highest
    /// byte first.
    bytes: Vec<u8>,
    /// 1 for each that is there, 0 for each that is not.
    pub levels: Vec<i16>,
}

/// Whole numbers of which some may be missing.
#[derive(Debug, Default)]
pub struct Numbers {
    /// The values that are there.
    pub values: Vec<i64>,
    /// 1 for each that is there, 0 for each that is not.
    pub levels: Vec<i16>,
}

/// Lists of texts of which some may be missing; none is empty.
#[derive(Debug, Default)]
pub struct Lists {
    pub values: Vec<ByteArray>,
    /// [`ELEMENT`] for each text, 0 for each list that is not there.
    pub levels: Vec<i16>,
    /// 0 for each that begins a row, 1 for each that goes on with it.
    pub repetitions: Vec<i16>,
}

/// The level of an element: neither its list nor itself is missing.
const ELEMENT: i16 = 2;

/// Some ticks.
#[derive(Debug, Default)]
pub struct Columns {
    pub symbol: Vec<ByteArray>,
    pub timestamp: Vec<i64>,
    pub open: Decimals,
    pub high: Decimals,
    pub low: Decimals,
    pub close: Decimals,
    pub volume: Decimals,
    pub partition: Vec<i32>,
    pub offset: Vec<i64>,
    pub index: Vec<i32>,
    pub bid: Decimals,
    pub ask: Decimals,
    pub sequence: Numbers,
    pub conditions: Lists,
}

impl Numbers {
    fn push(&mut self, number: Option<i64>) {
        self.levels.push(i16::from(number.is_some()));
        self.values.extend(number);
    }
}

impl Lists {
    fn push<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let first = self.values.len();
        self.values.extend(texts.map(|text| ByteArray::from(text.as_bytes().to_vec())));
        let count = self.values.len() - first;
        self.levels.extend(std::iter::repeat_n(if count > 0 { ELEMENT } else { 0 }, count.max(1)));
        self.repetitions.extend((0..count.max(1)).map(|number| i16::from(number > 0)));
    }
}

impl Decimals {
    fn push<const N: usize>(&mut self, number: Option<i128>) {
        self.levels.push(i16::from(number.is_some()));
        if let Some(number) = number {
            self.bytes.extend_from_slice(&number.to_be_bytes()[16 - N..]);
        }
    }

    /// Piece by piece: those that are there, and which are; `length`: of each in bytes.
    ///
    /// What the writer keeps of a column until its file ends, the least and the greatest value,
    /// holds on to the bytes of a whole piece.
    pub fn pieces(&self, length: usize) -> impl Iterator<Item = (Vec<FixedLenByteArray>, &[i16])> {
        let mut rest = &*self.bytes;
        self.levels.chunks(PIECE).map(move |levels| {
            let count = levels.iter().filter(|level| **level > 0).count();
            let (bytes, behind) = rest.split_at(count * length);
            rest = behind;
            let bytes = Bytes::copy_from_slice(bytes);
            let value =
                |at: usize| ByteArray::from(bytes.slice(at * length..(at + 1) * length)).into();
            ((0..count).map(value).collect(), levels)
        })
    }
}

impl Columns {
    /// `symbol`: the content's, whose bytes all of its ticks share.
    pub fn push(&mut self, symbol: &ByteArray, content: &TickContent<'_>, place: Place) {
        let nanos = |price: Option<Price>| price.map(|price| i128::from(price.nanos()));
        self.symbol.push(symbol.clone());
        self.timestamp.push(content.timestamp.micros());
        self.open.push::<PRICE>(nanos(content.open));
        self.high.push::<PRICE>(nanos(content.high));
        self.low.push::<PRICE>(nanos(content.low));
        self.close.push::<PRICE>(nanos(content.close));
        self.volume.push::<VOLUME>(content.volume.map(nanos_of));
        self.partition.push(place.partition);
        self.offset.push(place.offset);
        self.index.push(place.index.into());
        self.bid.push::<PRICE>(nanos(content.extras.bid()));
        self.ask.push::<PRICE>(nanos(content.extras.ask()));
        self.sequence.push(content.extras.sequence().map(u64::cast_signed));
        self.conditions.push(content.extras.conditions().iter());
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamp.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamp.is_empty()
    }
}

fn nanos_of(volume: Volume) -> i128 {
    i128::from(volume.whole()) * i128::from(Volume::ONE) + i128::from(volume.nanos())
}

/// Whole numbers that were read, one after the other.
pub struct ReadNumbers {
    values: std::vec::IntoIter<i64>,
    levels: std::vec::IntoIter<i16>,
}

impl ReadNumbers {
    #[must_use]
    pub fn new(values: Vec<i64>, levels: Vec<i16>) -> Self {
        Self { values: values.into_iter(), levels: levels.into_iter() }
    }

    /// That of the next row; `None` where there is none.
    pub fn next_row(&mut self) -> Option<i64> {
        if self.levels.next()? == 0 { None } else { self.values.next() }
    }
}

/// Lists of texts that were read, one after the other.
pub struct ReadLists {
    values: std::vec::IntoIter<ByteArray>,
    /// Levels and repetitions.
    elements: std::iter::Peekable<std::iter::Zip<std::vec::IntoIter<i16>, std::vec::IntoIter<i16>>>,
}

impl ReadLists {
    #[must_use]
    pub fn new(values: Vec<ByteArray>, levels: Vec<i16>, repetitions: Vec<i16>) -> Self {
        Self {
            values: values.into_iter(),
            elements: levels.into_iter().zip(repetitions).peekable(),
        }
    }

    /// That of the next row; empty where there is none.
    pub fn next_row(&mut self) -> Vec<ByteArray> {
        let mut texts = Vec::new();
        let mut element = self.elements.next();
        while let Some((level, _)) = element {
            if level == ELEMENT {
                texts.extend(self.values.next());
            }
            element = self.elements.next_if(|(_, repetition)| *repetition > 0);
        }
        texts
    }
}

/// Decimals that were read, one after the other.
pub struct ReadDecimals {
    values: std::vec::IntoIter<FixedLenByteArray>,
    levels: std::vec::IntoIter<i16>,
}

impl ReadDecimals {
    /// `levels`: empty where none may be missing.
    #[must_use]
    pub fn new(values: Vec<FixedLenByteArray>, levels: Vec<i16>) -> Self {
        let levels = if levels.is_empty() { vec![1; values.len()] } else { levels };
        Self { values: values.into_iter(), levels: levels.into_iter() }
    }

    fn next(&mut self) -> Option<i128> {
        if self.levels.next()? == 0 {
            None
        } else {
            self.values.next().map(|value| number(value.data()))
        }
    }

    /// The next price; `None` where there is none.
    pub fn next_price(&mut self) -> Option<Price> {
        Price::from_nanos(i64::try_from(self.next()?).ok()?)
    }

    /// The next volume; `None` where there is none.
    pub fn next_volume(&mut self) -> Option<Volume> {
        Volume::from_nanos(self.next()?)
    }
}

fn number(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte))
}

/// The place that a row tells; `None` where it cannot be one.
#[must_use]
pub fn place_of_row(partition: i32, offset: i64, index: i32) -> Option<Place> {
    Some(Place { partition, offset, index: u16::try_from(index).ok()? })
}

/// The time that a row tells.
#[must_use]
pub const fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}
