//! [`Row`]: a tick of the lake while it is being sorted.

use crate::checksum::TickContent;
use common::{Codes, Extras, Place, Price, Timestamp, Volume};
use std::io::{self, ErrorKind, Read, Write};

/// Stands for a price that the tick does not name: no price is this.
const NO_PRICE: i64 = i64::MIN;
/// Stands for the fraction of a volume that the tick does not name: no fraction is this.
const NO_VOLUME: u32 = u32::MAX;

/// Stands for a number of the feed's that the tick does not name: no number is this.
const NO_SEQUENCE: u64 = u64::MAX;

/// A tick, with the number of its symbol in the place of its name, and that of its conditions in
/// the place of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub symbol: u32,
    pub timestamp: Timestamp,
    /// Open, high, low and close.
    prices: [i64; 4],
    whole: u64,
    nanos: u32,
    /// [`NO_CONDITIONS`]: it has none.
    pub conditions: u32,
    /// 0: none.
    bid: i64,
    ask: i64,
    sequence: u64,
    pub place: Place,
}

/// In the place of the number of a tick's conditions.
pub const NO_CONDITIONS: u32 = u32::MAX;

/// The length of a written row.
const LENGTH: usize = 4 + 8 + 4 * 8 + 8 + 4 + 4 + 3 * 8 + 4 + 8 + 2;

impl Row {
    #[must_use]
    pub fn of(symbol: u32, conditions: u32, content: &TickContent<'_>, place: Place) -> Self {
        let (extras, quote) =
            (&content.extras, |price: Option<Price>| price.map_or(0, Price::nanos));
        let prices = [content.open, content.high, content.low, content.close];
        let (whole, nanos) =
            content.volume.map_or((0, NO_VOLUME), |volume| (volume.whole(), volume.nanos()));
        Self {
            symbol,
            timestamp: content.timestamp,
            prices: prices.map(|price| price.map_or(NO_PRICE, Price::nanos)),
            whole,
            nanos,
            conditions,
            bid: quote(extras.bid()),
            ask: quote(extras.ask()),
            sequence: extras.sequence().unwrap_or(NO_SEQUENCE),
            place,
        }
    }

    /// What the tick says; `symbol`: its name; `conditions`: their text.
    #[must_use]
    pub fn content<'a>(&self, symbol: &'a str, conditions: &'a str) -> TickContent<'a> {
        let [open, high, low, close] = self.prices.map(Price::from_nanos);
        let (volume, extras) = (self.volume(), self.extras(conditions));
        TickContent { symbol, timestamp: self.timestamp, open, high, low, close, volume, extras }
    }

    fn extras<'a>(&self, conditions: &'a str) -> Extras<'a> {
        let mut extras = Extras::default();
        extras.set_bid(self.bid);
        extras.set_ask(self.ask);
        if self.sequence != NO_SEQUENCE {
            extras.set_sequence(self.sequence.cast_signed());
        }
        extras.set_conditions(Codes::of_text(conditions));
        extras
    }

    fn volume(&self) -> Option<Volume> {
        if self.nanos == NO_VOLUME {
            None
        } else {
            Volume::from_parts(self.whole.cast_signed(), self.nanos)
        }
    }

    /// The order of rows; `rank`: that of its symbol's name.
    #[must_use]
    pub fn order(&self, rank: u32) -> (u32, i64, Place) {
        (rank, self.timestamp.micros(), self.place)
    }

    /// # Errors
    /// Where `out` fails.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = [0; LENGTH];
        let mut rest = &mut bytes[..];
        rest.write_all(&self.symbol.to_le_bytes())?;
        rest.write_all(&self.timestamp.micros().to_le_bytes())?;
        for price in self.prices {
            rest.write_all(&price.to_le_bytes())?;
        }
        rest.write_all(&self.whole.to_le_bytes())?;
        rest.write_all(&self.nanos.to_le_bytes())?;
        rest.write_all(&self.conditions.to_le_bytes())?;
        rest.write_all(&self.bid.to_le_bytes())?;
        rest.write_all(&self.ask.to_le_bytes())?;
        rest.write_all(&self.sequence.to_le_bytes())?;
        rest.write_all(&self.place.partition.to_le_bytes())?;
        rest.write_all(&self.place.offset.to_le_bytes())?;
        rest.write_all(&self.place.index.to_le_bytes())?;
        out.write_all(&bytes)
    }

    /// The next row that was written; `None` after the last.
    ///
    /// # Errors
    /// Where `input` fails.
    pub fn read_from(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = [0; LENGTH];
        match input.read_exact(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut rest = &bytes[..];
        Ok(Some(Self {
            symbol: u32::from_le_bytes(take(&mut rest)),
            timestamp: Timestamp::from_micros(i64::from_le_bytes(take(&mut rest))),
            prices: [(); 4].map(|()| i64::from_le_bytes(take(&mut rest))),
            whole: u64::from_le_bytes(take(&mut rest)),
            nanos: u32::from_le_bytes(take(&mut rest)),
            conditions: u32::from_le_bytes(take(&mut rest)),
            bid: i64::from_le_bytes(take(&mut rest)),
            ask: i64::from_le_bytes(take(&mut rest)),
            sequence: u64::from_le_bytes(take(&mut rest)),
            place: Place {
                partition: i32::from_le_bytes(take(&mut rest)),
                offset: i64::from_le_bytes(take(&mut rest)),
                index: u16::from_le_bytes(take(&mut rest)),
            },
        }))
    }
}

/// The next bytes of a row; the row's length has been looked at.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    if let Some((head, tail)) = rest.split_at_checked(N) {
        bytes.copy_from_slice(head);
        *rest = tail;
    }
    bytes
}
