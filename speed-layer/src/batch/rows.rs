//! Rows of `realtime_stock` in PostgreSQL's binary COPY format.
//!
//! The format is documented under "Binary Format" in PostgreSQL's page on COPY: a header, for each
//! row a 16-bit count of fields and for each field a 32-bit length and its bytes, and a trailer.

use crate::source::SourcePartition;
use common::tick::Prices;
use common::{Codes, Extras, Price, Tick, Timestamp, Volume};
use service::pg::Timestamptz;
use service::pg::numeric::{get_price, get_volume, put_price_field, put_volume_field};

/// The statement that takes rows; the columns are in the order in which [`Rows::push`] writes
/// them.
macro_rules! copy {
    ($more:literal) => {
        concat!(
            "copy realtime_stock (symbol, timestamp, open, high, low, close, volume, \
             kafka_partition, source, kafka_offset",
            $more,
            ") from stdin (format binary)"
        )
    };
}
/// Takes the rows of messages, and of their first elements: that these are the first is the
/// column's default.
const COPY: &str = copy!("");
/// Takes the rows of elements, with their index.
const COPY_ELEMENTS: &str = copy!(", kafka_index");
/// Takes the rows of ticks that say more than prices and volume.
const COPY_EXTRAS: &str = copy!(", kafka_index, bid, ask, sequence, conditions");
const FIELDS: i16 = 10;
const FIELDS_OF_ELEMENTS: i16 = FIELDS + 1;
const FIELDS_WITH_EXTRAS: i16 = FIELDS_OF_ELEMENTS + 4;

/// Signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The beginning of a one-dimensional array, before its length: dimensions, no nulls, and the
/// number of the type `text`.
const TEXT_ARRAY: [i32; 3] = [1, 0, 25];
/// The number of its first element.
const FIRST: i32 = 1;

/// Encoded rows, in three streams: an ordinary row does not have to say that it is the only one of
/// its message, nor that it has no quotes, conditions and number of its feed's.
#[derive(Debug, Default)]
pub struct Rows {
    first: Stream,
    elements: Stream,
    with_extras: Stream,
    count: u32,
}

/// A COPY stream without its trailer.
#[derive(Debug, Default)]
struct Stream(Vec<u8>);

impl Rows {
    /// `index`: which element of the message it is.
    pub fn push(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64, index: u16) {
        self.count += 1;
        if !tick.extras().is_empty() {
            self.with_extras.push(FIELDS_WITH_EXTRAS, tick, at, offset);
            self.with_extras.field(&index.to_be_bytes());
            return self.with_extras.extras(tick.extras());
        }
        if index == 0 {
            return self.first.push(FIELDS, tick, at, offset);
        }
        self.elements.push(FIELDS_OF_ELEMENTS, tick, at, offset);
        // A message has at most 10,000.
        self.elements.field(&index.to_be_bytes());
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// How long they are.
    pub fn bytes(&self) -> usize {
        self.first.0.len() + self.elements.0.len() + self.with_extras.0.len()
    }

    /// The statements that take the rows, each with its whole stream but for the trailer.
    pub fn copies(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let all = [
            (COPY, &*self.first.0),
            (COPY_ELEMENTS, &*self.elements.0),
            (COPY_EXTRAS, &*self.with_extras.0),
        ];
        all.into_iter().filter(|(_, stream)| !stream.is_empty())
    }

    /// The end of the stream.
    pub fn trailer() -> &'static [u8] {
        &TRAILER
    }

    /// The rows, for the rare case in which they must be looked at again.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.first.rows().chain(self.elements.rows()).chain(self.with_extras.rows())
    }

    pub fn clear(&mut self) {
        self.first.0.clear();
        self.elements.0.clear();
        self.with_extras.0.clear();
        self.count = 0;
    }
}

impl Stream {
    /// A row of `fields`, the last of which may have to follow.
    #[inline]
    fn push(&mut self, fields: i16, tick: &Tick<'_>, at: SourcePartition, offset: i64) {
        if self.0.is_empty() {
            self.0.extend_from_slice(HEADER);
        }
        let prices = tick.prices();
        self.0.extend_from_slice(&fields.to_be_bytes());
        self.field(tick.symbol().as_str().as_bytes());
        self.field(&Timestamptz(tick.timestamp()).to_binary());
        self.price(Some(prices.open));
        self.price(prices.high);
        self.price(prices.low);
        self.price(Some(prices.close));
        match tick.volume() {
            Some(volume) => put_volume_field(&mut self.0, volume),
            None => self.0.extend_from_slice(&NULL),
        }
        self.field(&at.partition.to_be_bytes());
        self.field(&at.source.to_be_bytes());
        self.field(&offset.to_be_bytes());
    }

    fn extras(&mut self, extras: &Extras<'_>) {
        self.price(extras.bid());
        self.price(extras.ask());
        match extras.sequence() {
            Some(number) => self.field(&number.to_be_bytes()),
            None => self.0.extend_from_slice(&NULL),
        }
        if extras.conditions().is_empty() {
            return self.0.extend_from_slice(&NULL);
        }
        let length_at = self.0.len();
        let count = extras.conditions().iter().count() as i32;
        for word in [&[0], &TEXT_ARRAY[..], &[count, FIRST]].into_iter().flatten() {
            self.0.extend_from_slice(&word.to_be_bytes());
        }
        extras.conditions().iter().for_each(|code| self.field(code.as_bytes()));
        let length = (self.0.len() - length_at - size_of::<i32>()) as i32;
        self.0[length_at..length_at + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn price(&mut self, price: Option<Price>) {
        match price {
            Some(price) => put_price_field(&mut self.0, price),
            None => self.0.extend_from_slice(&NULL),
        }
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let mut rest = self.0.get(HEADER.len()..).unwrap_or_default();
        std::iter::from_fn(move || Row::read(&mut rest))
    }
}

/// A row, read back.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub symbol: &'a str,
    pub timestamp: Timestamp,
    pub prices: Option<Prices>,
    pub volume: Option<Volume>,
    pub at: SourcePartition,
    pub offset: i64,
    pub index: u16,
    extras: Option<RowExtras<'a>>,
}

/// A row's columns other than prices and volume.
#[derive(Debug, Clone, Copy)]
struct RowExtras<'a> {
    bid: Option<Price>,
    ask: Option<Price>,
    sequence: Option<i64>,
    /// As PostgreSQL has arrays.
    conditions: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// Takes the first row of `rest`, and moves `rest` past it.
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let (count, mut at) = rest.split_first_chunk::<2>()?;
        let fields: [Option<&[u8]>; FIELDS as usize] = std::array::from_fn(|_| take_field(&mut at));
        let count = i16::from_be_bytes(*count);
        let has_index = count > FIELDS;
        let index =
            if has_index { u16::from_be_bytes(take_field(&mut at)?.try_into().ok()?) } else { 0 };
        let extras = (count == FIELDS_WITH_EXTRAS).then(|| RowExtras::read(&mut at));
        *rest = at;
        let [symbol, timestamp, open, high, low, close, volume, partition, source, offset] = fields;
        let price = |field: Option<&[u8]>| field.and_then(get_price);
        let prices = price(open).zip(price(close));
        Some(Self {
            symbol: std::str::from_utf8(symbol?).ok()?,
            timestamp: Timestamptz::from_binary(timestamp?.try_into().ok()?).0,
            prices: prices.map(|(open, close)| Prices {
                open,
                high: price(high),
                low: price(low),
                close,
            }),
            volume: volume.and_then(get_volume),
            at: SourcePartition {
                source: i16::from_be_bytes(source?.try_into().ok()?),
                partition: i32::from_be_bytes(partition?.try_into().ok()?),
            },
            offset: i64::from_be_bytes(offset?.try_into().ok()?),
            index,
            extras,
        })
    }

    /// A row's extras; conditions are written into `buffer`.
    pub fn extras<'b>(&self, buffer: &'b mut String) -> Extras<'b> {
        let mut extras = Extras::default();
        if let Some(RowExtras { bid, ask, sequence, conditions }) = self.extras {
            extras.set_bid(bid.map_or(0, Price::nanos));
            extras.set_ask(ask.map_or(0, Price::nanos));
            sequence.into_iter().for_each(|number| extras.set_sequence(number));
            extras.set_conditions(Codes::of(codes(conditions.unwrap_or_default()), buffer));
        }
        extras
    }
}

impl<'a> RowExtras<'a> {
    fn read(rest: &mut &'a [u8]) -> Self {
        let [bid, ask, sequence, conditions] = std::array::from_fn(|_| take_field(rest));
        Self {
            bid: bid.and_then(get_price),
            ask: ask.and_then(get_price),
            sequence: sequence.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?))),
            conditions,
        }
    }
}

/// The texts of an array.
fn codes(array: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = array.get((TEXT_ARRAY.len() + 2) * size_of::<i32>()..).unwrap_or_default();
    std::iter::from_fn(move || std::str::from_utf8(take_field(&mut rest)?).ok())
}

/// `None` for a null.
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    *rest = behind;
    let (field, behind) =
        behind.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(field)
}
