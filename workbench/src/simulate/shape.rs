//! How values look: the pipeline's own form, and those of well-known feeds and libraries.

use super::encode::{Moment, write_integer, write_price, write_size};
use super::market::{Quote, Stock};
use clap::ValueEnum;
use common::Named;
use common::decode::{Preset, ProvenanceNames, Rules};
use service::cli::MessageArgs;

/// How values look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// The object alone: symbol, timestamp, open, close and volume.
    Bare,
    /// In Connect's envelope of schema and payload.
    Envelope,
    /// One or the other, by chance.
    Mixed,
    /// A trade under names that need no flag: ticker, price, qty, ts.
    Trade,
    Finnhub,
    Binance,
    Coinbase,
    Kraken,
    Alpaca,
    Massive,
    Cryptofeed,
    Yfinance,
    AlphaVantage,
}

/// What stands in a value, one after the other.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Text(&'static str),
    Symbol,
    Open,
    High,
    Low,
    /// The close of a bar, or the price of a trade.
    Close,
    /// A number, or null.
    Volume,
    /// The same as text, or null.
    VolumeText,
    /// The whole part of it, or null.
    WholeVolume,
    /// A number that no tick is made of.
    Serial,
    /// One that is one higher with each tick of a symbol.
    Number,
    /// Milliseconds since 1970.
    Millis,
    /// Seconds since 1970, with three decimals.
    Seconds,
    /// RFC 3339 in UTC.
    Utc,
    /// New York's time with its offset, and a blank for the `T`.
    WithOffset,
    /// New York's time to the second, without an offset.
    Local,
}

use Piece::{
    Close, High, Local, Low, Millis, Number, Open, Seconds, Serial, Symbol, Text, Utc, Volume,
    VolumeText, WholeVolume, WithOffset,
};

/// Under which names the fields of a tick stand; those of a trade have one for open and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    pub symbol: &'static str,
    pub timestamp: &'static str,
    pub open: &'static str,
    pub high: Option<&'static str>,
    pub low: Option<&'static str>,
    pub close: &'static str,
    pub volume: &'static str,
}

const PLAIN: Names = Names {
    symbol: "symbol",
    timestamp: "timestamp",
    open: "open",
    high: Some("high"),
    low: Some("low"),
    close: "close",
    volume: "volume",
};

const fn trade(
    symbol: &'static str,
    price: &'static str,
    volume: &'static str,
    timestamp: &'static str,
) -> Names {
    Names { symbol, timestamp, open: price, high: None, low: None, close: price, volume }
}

/// A volume without its fraction.
fn whole(volume: common::Volume) -> Option<common::Volume> {
    common::Volume::from_parts(volume.whole().cast_signed(), 0)
}

impl Shape {
    /// The rules by which they are ticks: those of the preset of the same name, where there is one.
    pub fn rules(self) -> Rules {
        let name = self.to_possible_value();
        let preset = name.and_then(|name| Preset::named(name.get_name()));
        MessageArgs { preset, ..MessageArgs::default() }.rules(ProvenanceNames::default())
    }

    /// Whether values have the pipeline's own names, with or without an envelope.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Bare | Self::Envelope | Self::Mixed)
    }

    pub const fn names(self) -> Names {
        match self {
            Self::Bare | Self::Envelope | Self::Mixed => PLAIN,
            Self::Trade => trade("ticker", "price", "qty", "ts"),
            Self::Finnhub => trade("s", "p", "v", "t"),
            Self::Binance => trade("s", "p", "q", "T"),
            Self::Coinbase => trade("product_id", "price", "last_size", "time"),
            Self::Kraken => trade("symbol", "price", "qty", "timestamp"),
            Self::Alpaca => trade("S", "p", "s", "t"),
            Self::Massive => trade("sym", "p", "ds", "t"),
            Self::Cryptofeed => trade("symbol", "price", "amount", "timestamp"),
            Self::Yfinance => Names {
                symbol: "Symbol",
                timestamp: "Datetime",
                open: "Open",
                high: Some("High"),
                low: Some("Low"),
                close: "Close",
                volume: "Volume",
            },
            Self::AlphaVantage => Names {
                open: "1. open",
                high: Some("2. high"),
                low: Some("3. low"),
                close: "4. close",
                volume: "5. volume",
                ..PLAIN
            },
        }
    }

    /// Whether volumes have fractions, as those of coins and of shares in parts do.
    pub fn has_fractions(self) -> bool {
        matches!(
            self,
            Self::Binance | Self::Coinbase | Self::Kraken | Self::Massive | Self::Cryptofeed
        )
    }

    const fn pieces(self) -> &'static [Piece] {
        match self {
            Self::Bare | Self::Envelope | Self::Mixed => &[],
            Self::Trade => &[
                Text(r#"{"ticker":""#),
                Symbol,
                Text(r#"","price":"#),
                Close,
                Text(r#","qty":"#),
                Volume,
                Text(r#","ts":"#),
                Millis,
                Text("}"),
            ],
            Self::Finnhub => &[
                Text(r#"{"p":"#),
                Close,
                Text(r#","s":""#),
                Symbol,
                Text(r#"","t":"#),
                Millis,
                Text(r#","v":"#),
                Volume,
                Text(r#","c":["1"]}"#),
            ],
            Self::Binance => &[
                Text(r#"{"e":"trade","E":"#),
                Millis,
                Text(r#","s":""#),
                Symbol,
                Text(r#"","t":"#),
                Number,
                Text(r#","p":""#),
                Close,
                Text(r#"","q":"#),
                VolumeText,
                Text(r#","T":"#),
                Millis,
                Text(r#","m":true,"M":true}"#),
            ],
            Self::Coinbase => &[
                Text(r#"{"type":"ticker","sequence":"#),
                Serial,
                Text(r#","product_id":""#),
                Symbol,
                Text(r#"","price":""#),
                Close,
                Text(r#"","side":"buy","time":""#),
                Utc,
                Text(r#"","trade_id":"#),
                Serial,
                Text(r#","last_size":"#),
                VolumeText,
                Text("}"),
            ],
            Self::Kraken => &[
                Text(r#"{"symbol":""#),
                Symbol,
                Text(r#"","side":"sell","price":"#),
                Close,
                Text(r#","qty":"#),
                Volume,
                Text(r#","ord_type":"limit","trade_id":"#),
                Serial,
                Text(r#","timestamp":""#),
                Utc,
                Text(r#""}"#),
            ],
            Self::Alpaca => &[
                Text(r#"{"T":"t","S":""#),
                Symbol,
                Text(r#"","i":"#),
                Serial,
                Text(r#","x":"V","p":"#),
                Close,
                Text(r#","s":"#),
                Volume,
                Text(r#","c":["@"],"z":"C","t":""#),
                Utc,
                Text(r#""}"#),
            ],
            Self::Massive => &[
                Text(r#"{"ev":"T","sym":""#),
                Symbol,
                Text(r#"","x":4,"i":""#),
                Serial,
                Text(r#"","p":"#),
                Close,
                Text(r#","s":"#),
                WholeVolume,
                Text(r#","ds":"#),
                VolumeText,
                Text(r#","t":"#),
                Millis,
                Text(r#","q":"#),
                Serial,
                Text("}"),
            ],
            Self::Cryptofeed => &[
                Text(r#"{"exchange":"SIMULATED","symbol":""#),
                Symbol,
                Text(r#"","side":"buy","amount":"#),
                Volume,
                Text(r#","price":"#),
                Close,
                Text(r#","id":""#),
                Serial,
                Text(r#"","type":null,"timestamp":"#),
                Seconds,
                Text(r#","receipt_timestamp":"#),
                Seconds,
                Text("}"),
            ],
            Self::Yfinance => &[
                Text(r#"{"Datetime":""#),
                WithOffset,
                Text(r#"","Open":"#),
                Open,
                Text(r#","High":"#),
                High,
                Text(r#","Low":"#),
                Low,
                Text(r#","Close":"#),
                Close,
                Text(r#","Volume":"#),
                Volume,
                Text(r#","Dividends":0.0,"Stock Splits":0.0,"Symbol":""#),
                Symbol,
                Text(r#""}"#),
            ],
            Self::AlphaVantage => &[
                Text(r#"{"symbol":""#),
                Symbol,
                Text(r#"","timestamp":""#),
                Local,
                Text(r#"","1. open":""#),
                Open,
                Text(r#"","2. high":""#),
                High,
                Text(r#"","3. low":""#),
                Low,
                Text(r#"","4. close":""#),
                Close,
                Text(r#"","5. volume":"#),
                VolumeText,
                Text("}"),
            ],
        }
    }

    /// Writes a value of this shape, which is none of the pipeline's own.
    pub fn write(
        self,
        stock: &Stock,
        quote: &Quote,
        at: &Moment<'_>,
        serial: u64,
        out: &mut Vec<u8>,
    ) {
        let price = |price, out: &mut Vec<u8>| write_price(price, stock.decimals, out);
        for piece in self.pieces() {
            match piece {
                Text(text) => out.extend_from_slice(text.as_bytes()),
                Symbol => out.extend_from_slice(stock.symbol.as_bytes()),
                Open => price(quote.open, out),
                High => price(quote.high, out),
                Low => price(quote.low, out),
                Close => price(quote.close, out),
                Volume => write_size(quote.volume, false, out),
                VolumeText => write_size(quote.volume, true, out),
                WholeVolume => write_size(quote.volume.and_then(whole), false, out),
                Serial => write_integer(serial, 1, out),
                Number => write_integer(quote.number, 1, out),
                Millis => write_integer(at.millis(), 1, out),
                Seconds => {
                    write_integer(at.millis() / 1000, 1, out);
                    out.push(b'.');
                    write_integer(at.millis() % 1000, 3, out);
                }
                Utc => at.write_utc(out),
                WithOffset => at.write_with_offset(out),
                Local => at.write_local(out),
            }
        }
    }
}
