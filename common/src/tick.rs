//! [`Tick`]: one validated price message.

use crate::reject::{Reason, Reject, excerpt};
use crate::{Price, Timestamp};

/// One tick, borrowing its symbol from the message. Only [`Tick::new`] makes one, so every tick is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick<'a> {
    symbol: &'a str,
    timestamp: Timestamp,
    prices: Prices,
    volume: i64,
}

/// The prices of a tick. `high` and `low` are optional in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    pub open: Price,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub close: Price,
}

impl<'a> Tick<'a> {
    /// A tick of the given parts. `volume` is a count of shares; `latest` is the last instant that is believed.
    ///
    /// # Errors
    /// The first rule that the parts break.
    pub fn new(
        symbol: &'a str,
        timestamp: Timestamp,
        prices: Prices,
        volume: i64,
        latest: Timestamp,
    ) -> Result<Self, Reject> {
        check_symbol(symbol)?;
        Self::of_symbol(symbol, timestamp, prices, volume, latest)
    }

    /// As [`Tick::new`], for a symbol that [`symbol_len`] has measured.
    pub(crate) fn of_symbol(
        symbol: &'a str,
        timestamp: Timestamp,
        prices: Prices,
        volume: i64,
        latest: Timestamp,
    ) -> Result<Self, Reject> {
        check_timestamp(timestamp, latest)?;
        prices.check()?;
        if volume < 0 {
            return Err(Reject::new(Reason::BadVolume, format!("volume {volume} is below zero")));
        }
        Ok(Self { symbol, timestamp, prices, volume })
    }

    #[must_use]
    pub fn symbol(&self) -> &'a str {
        self.symbol
    }

    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    #[must_use]
    pub fn prices(&self) -> Prices {
        self.prices
    }

    /// Shares traded, zero or more.
    #[must_use]
    pub fn volume(&self) -> u64 {
        self.volume.unsigned_abs()
    }
}

impl Prices {
    /// The highest price that the tick names.
    #[must_use]
    pub fn highest(&self) -> Price {
        self.high.unwrap_or_else(|| self.open.max(self.close))
    }

    /// The lowest price that the tick names.
    #[must_use]
    pub fn lowest(&self) -> Price {
        self.low.unwrap_or_else(|| self.open.min(self.close))
    }

    fn check(&self) -> Result<(), Reject> {
        let inconsistent = |detail: String| Err(Reject::new(Reason::InconsistentPrices, detail));
        let (top, bottom) = (self.open.max(self.close), self.open.min(self.close));
        match (self.high, self.low) {
            (Some(high), _) if high < top => inconsistent(format!("high {high} is below open or close, {top}")),
            (_, Some(low)) if low > bottom => inconsistent(format!("low {low} is above open or close, {bottom}")),
            _ => Ok(()),
        }
    }
}

const fn symbol_bytes() -> [bool; 256] {
    let mut allowed = [false; 256];
    let listed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.^=_:/-";
    let mut i = 0;
    while i < listed.len() {
        allowed[listed[i] as usize] = true;
        i += 1;
    }
    allowed
}

static SYMBOL_BYTES: [bool; 256] = symbol_bytes();

/// The longest symbol, in bytes.
pub const MAX_SYMBOL_BYTES: usize = 32;

/// How many bytes at the beginning of `bytes` may stand in a symbol.
pub(crate) fn symbol_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| SYMBOL_BYTES[usize::from(**byte)]).count()
}

fn check_symbol(symbol: &str) -> Result<(), Reject> {
    let right_length = (1..=MAX_SYMBOL_BYTES).contains(&symbol.len());
    if right_length && symbol_len(symbol.as_bytes()) == symbol.len() {
        return Ok(());
    }
    let detail = format!("symbol \"{}\" is not 1-32 of A-Z a-z 0-9 . ^ = _ : / -", excerpt(symbol));
    Err(Reject::new(Reason::BadSymbol, detail))
}

fn check_timestamp(timestamp: Timestamp, latest: Timestamp) -> Result<(), Reject> {
    if timestamp.micros() >= 0 && timestamp <= latest {
        return Ok(());
    }
    let detail = format!("timestamp {timestamp} is outside 1970-01-01..{latest}");
    Err(Reject::new(Reason::TimestampOutOfRange, detail))
}
