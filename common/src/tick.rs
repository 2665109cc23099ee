//! [`Tick`]: one validated price message.

use crate::reject::{Reason, Reject, excerpt};
use crate::symbol::MAX_SYMBOL_BYTES;
use crate::{Extras, Price, Symbol, TimeBounds, Timestamp, Volume};

/// One tick, borrowing its symbol from the message. Only [`Tick::new`] makes one, so every tick is
/// valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick<'a> {
    symbol: Symbol<'a>,
    timestamp: Timestamp,
    prices: Prices,
    volume: Option<Volume>,
    extras: Extras<'a>,
}

/// The prices of a tick. `high` and `low` are optional in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// The first price.
    pub open: Price,
    /// The highest, where it is known.
    pub high: Option<Price>,
    /// The lowest, where it is known.
    pub low: Option<Price>,
    /// The last price; a trade has one price for both.
    pub close: Price,
}

impl<'a> Tick<'a> {
    /// A tick of the given parts; `bounds` are the instants that are believed.
    ///
    /// # Errors
    /// If the parts break a rule; with the first one.
    pub fn new(
        symbol: &'a str,
        timestamp: Timestamp,
        prices: Prices,
        volume: Option<Volume>,
        bounds: TimeBounds,
    ) -> Result<Self, Reject> {
        let tick = Self {
            symbol: symbol_of(symbol)?,
            timestamp,
            prices,
            volume,
            extras: Extras::default(),
        };
        if tick.is_valid(&bounds) { Ok(tick) } else { Err(tick.reject(&bounds)) }
    }

    /// Like [`Tick::new`], for a symbol that has been checked, and without the reason: a `Result`
    /// of this size would be copied for each tick.
    #[must_use]
    #[inline]
    pub fn of_symbol(
        symbol: Symbol<'a>,
        timestamp: Timestamp,
        prices: Prices,
        volume: Option<Volume>,
        extras: Extras<'a>,
        bounds: TimeBounds,
    ) -> Option<Self> {
        let tick = Self { symbol, timestamp, prices, volume, extras };
        tick.is_valid(&bounds).then_some(tick)
    }

    /// The tick with these extras. None of them makes a tick invalid.
    #[must_use]
    pub fn with_extras(self, extras: Extras<'a>) -> Self {
        Self { extras, ..self }
    }

    /// Whether everything but the symbol keeps the rules.
    #[inline]
    fn is_valid(&self, bounds: &TimeBounds) -> bool {
        bounds.contain(self.timestamp) && self.prices.are_consistent()
    }

    /// The first rule that is broken.
    #[cold]
    fn reject(&self, bounds: &TimeBounds) -> Reject {
        let Self { timestamp, prices, .. } = self;
        let TimeBounds { oldest, latest } = bounds;
        if timestamp < oldest {
            let detail = format!("timestamp {timestamp} is before {oldest} (--oldest)");
            return Reject::new(Reason::TimestampOutOfRange, detail);
        }
        if timestamp > latest {
            let detail = format!("timestamp {timestamp} is after {latest}, a day from now");
            return Reject::new(Reason::TimestampOutOfRange, detail);
        }
        let (top, bottom) = (prices.open.max(prices.close), prices.open.min(prices.close));
        let detail = match (prices.high, prices.low) {
            (Some(high), _) if high < top => format!("high {high} is below open or close, {top}"),
            (_, low) => format!("low {} is above open or close, {bottom}", low.unwrap_or(bottom)),
        };
        Reject::new(Reason::InconsistentPrices, detail)
    }

    /// The symbol.
    #[must_use]
    #[inline]
    pub fn symbol(&self) -> Symbol<'a> {
        self.symbol
    }

    /// The tick's own time, UTC.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Open, high, low and close.
    #[must_use]
    #[inline]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// The number of shares or coins; `None` if the producer does not say.
    #[must_use]
    #[inline]
    pub fn volume(&self) -> Option<Volume> {
        self.volume
    }

    /// Quotes, conditions and the feed's own number.
    #[must_use]
    #[inline]
    pub fn extras(&self) -> &Extras<'a> {
        &self.extras
    }
}

impl Prices {
    /// The highest price that the tick names.
    #[must_use]
    #[inline]
    pub fn highest(&self) -> Price {
        self.high.unwrap_or_else(|| self.open.max(self.close))
    }

    /// The lowest price that the tick names.
    #[must_use]
    #[inline]
    pub fn lowest(&self) -> Price {
        self.low.unwrap_or_else(|| self.open.min(self.close))
    }

    #[inline]
    fn are_consistent(&self) -> bool {
        let (top, bottom) = (self.open.max(self.close), self.open.min(self.close));
        self.high.is_none_or(|high| high >= top) && self.low.is_none_or(|low| low <= bottom)
    }
}

fn symbol_of(text: &str) -> Result<Symbol<'_>, Reject> {
    Symbol::new(text).ok_or_else(|| {
        let what = match text.trim() {
            "" => "is empty",
            trimmed if trimmed.len() < text.len() => {
                "has blanks before or after it: the producer must leave these out"
            }
            _ if text.len() > MAX_SYMBOL_BYTES => "has more than 64 bytes",
            _ => "has characters that are not seen: the producer must leave these out",
        };
        Reject::new(Reason::BadSymbol, format!("symbol \"{}\" {what}", excerpt(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_symbol_is_said_why() {
        for (text, said) in [
            ("", "symbol \"\" is empty"),
            ("  ", "is empty"),
            (" AAPL", "symbol \" AAPL\" has blanks"),
            ("AAPL      ", "has blanks"),
            ("AAPL\u{a0}", "symbol \"AAPL\\u{a0}\" has blanks"),
            (&"A".repeat(65), "has more than 64 bytes"),
            ("A\u{200b}B", "symbol \"A\\u{200b}B\" has characters that are not seen"),
            ("A\u{7}", "symbol \"A\\u{7}\" has characters that are not seen"),
        ] {
            let reject = symbol_of(text).unwrap_err();
            assert_eq!(reject.reason, Reason::BadSymbol);
            assert!(reject.detail.contains(said), "{text:?}: {}", reject.detail);
        }
    }
}
