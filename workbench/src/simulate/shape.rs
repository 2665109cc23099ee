//! How values look: the pipeline's own form, and those of well-known feeds and libraries.

use super::encode::{Members, Moment, write_integer, write_price, write_size};
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

    /// A value; each word in angle brackets stands for something of the tick, as [`Words`] has it.
    const fn template(self) -> &'static str {
        match self {
            Self::Bare | Self::Envelope | Self::Mixed => "",
            Self::Trade => r#"{"ticker":"<symbol>","price":<close>,"qty":<volume>,"ts":<millis>}"#,
            Self::Finnhub => r#"{"p":<close>,"s":"<symbol>","t":<millis>,"v":<volume>,"c":["1"]}"#,
            Self::Binance => {
                r#"{"e":"trade","E":<millis>,"s":"<symbol>","t":<number>,"p":"<close>","q":<volume_text>,"T":<millis>,"m":true,"M":true}"#
            }
            Self::Coinbase => {
                r#"{"type":"ticker","sequence":<serial>,"product_id":"<symbol>","price":"<close>","side":"buy","time":"<utc>","trade_id":<serial>,"last_size":<volume_text>}"#
            }
            Self::Kraken => {
                r#"{"symbol":"<symbol>","side":"sell","price":<close>,"qty":<volume>,"ord_type":"limit","trade_id":<serial>,"timestamp":"<utc>"}"#
            }
            Self::Alpaca => {
                r#"{"T":"t","S":"<symbol>","i":<serial>,"x":"V","p":<close>,"s":<volume>,"c":["@"],"z":"C","t":"<utc>"}"#
            }
            Self::Massive => {
                r#"{"ev":"T","sym":"<symbol>","x":4,"i":"<serial>","p":<close>,"s":<whole_volume>,"ds":<volume_text>,"t":<millis>,"q":<serial>}"#
            }
            Self::Cryptofeed => {
                r#"{"exchange":"SIMULATED","symbol":"<symbol>","side":"buy","amount":<volume>,"price":<close>,"id":"<serial>","type":null,"timestamp":<seconds>,"receipt_timestamp":<seconds>}"#
            }
            Self::Yfinance => {
                r#"{"Datetime":"<with_offset>","Open":<open>,"High":<high>,"Low":<low>,"Close":<close>,"Volume":<volume>,"Dividends":0.0,"Stock Splits":0.0,"Symbol":"<symbol>"}"#
            }
            Self::AlphaVantage => {
                r#"{"symbol":"<symbol>","timestamp":"<local>","1. open":"<open>","2. high":"<high>","3. low":"<low>","4. close":"<close>","5. volume":<volume_text>}"#
            }
        }
    }

    /// Writes a value without an envelope. `members`: what the pipeline's own form has.
    pub fn write(self, members: Members, words: &Words<'_>, out: &mut Vec<u8>) {
        if !self.is_own() {
            return words.fill(self.template(), out);
        }
        let has_volume = words.quote.volume.is_some();
        let wanted = [true, members.high_low, true, has_volume, members.beside, true];
        for (piece, _) in OWN.iter().zip(wanted).filter(|(_, is_wanted)| *is_wanted) {
            words.fill(piece, out);
        }
    }
}

/// The pipeline's own form in pieces, as templates; some are not always wanted. Symbols are of
/// characters that need no escape.
const OWN: [&str; 6] = [
    r#"{"symbol":"<symbol>","timestamp":"<text>","open":<open>"#,
    r#","high":<high>,"low":<low>"#,
    r#","close":<close>"#,
    r#","volume":<volume>"#,
    r#","bid":<bid>,"ask":<ask>,"sequence":<number>,"conditions":["<conditions>"]"#,
    "}",
];

/// What the words of a template stand for.
pub struct Words<'a> {
    pub stock: &'a Stock,
    pub quote: &'a Quote,
    pub at: Moment<'a>,
    /// Of the message.
    pub serial: u64,
}

impl Words<'_> {
    fn fill(&self, template: &str, out: &mut Vec<u8>) {
        let Self { stock, quote, at, serial } = self;
        let price = |price, out: &mut Vec<u8>| write_price(price, stock.decimals, out);
        for (number, piece) in template.split(['<', '>']).enumerate() {
            match piece {
                text if number % 2 == 0 => out.extend_from_slice(text.as_bytes()),
                "symbol" => out.extend_from_slice(stock.symbol.as_bytes()),
                "open" => price(quote.open, out),
                "high" => price(quote.high, out),
                "low" => price(quote.low, out),
                "close" => price(quote.close, out),
                "bid" => price(quote.bid, out),
                "ask" => price(quote.ask, out),
                "volume" => write_size(quote.volume, false, out),
                "volume_text" => write_size(quote.volume, true, out),
                "whole_volume" => write_size(quote.volume.and_then(whole), false, out),
                "conditions" => out.extend_from_slice(quote.conditions.join("\",\"").as_bytes()),
                "serial" => write_integer(*serial, 1, out),
                "number" => write_integer(quote.number, 1, out),
                "millis" => write_integer(at.millis(), 1, out),
                "seconds" => {
                    write_integer(at.millis() / 1000, 1, out);
                    out.push(b'.');
                    write_integer(at.millis() % 1000, 3, out);
                }
                "text" => out.extend_from_slice(at.text.as_bytes()),
                "utc" => at.write_utc(out),
                "with_offset" => at.write_with_offset(out),
                // `local`: the only other word, as a test says.
                _ => at.write_local(out),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_template_is_one_that_is_written() {
        let known = "symbol open high low close bid ask volume volume_text whole_volume conditions \
                     serial number millis seconds text utc with_offset local";
        let templates = Shape::value_variants().iter().map(|shape| shape.template());
        for template in templates.chain(OWN) {
            for word in template.split(['<', '>']).skip(1).step_by(2) {
                assert!(known.split(' ').any(|known| known == word), "{word} in {template}");
            }
        }
    }
}
