//! Rows of `realtime_stock` in PostgreSQL's binary COPY format.
//!
//! The format is documented under "Binary Format" in PostgreSQL's page on COPY: a header, for each row a 16-bit count
//! of fields and for each field a 32-bit length and its bytes, and a trailer.

use crate::source::SourcePartition;
use common::pg::numeric::put_price_field;
use common::pg::timestamp::to_postgres;
use common::{Price, Tick};

/// The statement that takes these rows; the columns stand in the order in which [`Rows::push`] writes them.
pub const COPY: &str = "copy realtime_stock (symbol, timestamp, open, high, low, close, volume, kafka_partition, \
                        source, kafka_offset) from stdin (format binary)";
const FIELDS: i16 = 10;

/// Signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Encoded rows.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    count: u32,
}

impl Rows {
    pub fn push(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(HEADER);
        }
        self.count += 1;
        let prices = tick.prices();
        self.bytes.extend_from_slice(&FIELDS.to_be_bytes());
        self.field(tick.symbol().as_str().as_bytes());
        self.field(&to_postgres(tick.timestamp()).to_be_bytes());
        self.price(Some(prices.open));
        self.price(prices.high);
        self.price(prices.low);
        self.price(Some(prices.close));
        self.field(&tick.volume().to_be_bytes());
        self.field(&at.partition.to_be_bytes());
        self.field(&at.source.to_be_bytes());
        self.field(&offset.to_be_bytes());
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// The whole COPY stream without its trailer.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What ends the stream.
    pub fn trailer() -> &'static [u8] {
        &TRAILER
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    fn field(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn price(&mut self, price: Option<Price>) {
        match price {
            Some(price) => put_price_field(&mut self.bytes, price),
            None => self.bytes.extend_from_slice(&NULL),
        }
    }
}
