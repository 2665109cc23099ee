//! [`Preset`]: the messages of well-known feeds and libraries.

use super::condition::{Condition, Conditions};
use super::path::{MapEntries, Path};
use crate::Named;
use crate::timestamp::TimeZone;

/// Whose messages these are; [`Named::ALL`] says what they look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// <https://finnhub.io>
    Finnhub,
    /// <https://www.binance.com>
    Binance,
    /// <https://www.coinbase.com>
    Coinbase,
    /// <https://www.kraken.com>
    Kraken,
    /// <https://alpaca.markets>
    Alpaca,
    /// Massive, once Polygon.
    Massive,
    /// The Python library `cryptofeed`.
    Cryptofeed,
    /// The Python library `yfinance`.
    Yfinance,
    /// <https://www.alphavantage.co>
    AlphaVantage,
}

impl Named for Preset {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::Finnhub,
            "finnhub",
            r#"Trades: `{"s":"AAPL","p":201.5,"v":100,"t":1749218401123}`, alone or several in `data`"#,
        ),
        (
            Self::Binance,
            "binance",
            r#"Trades: `{"s":"BTCUSDT","p":"45123.50","q":"1","T":1749218401123}`"#,
        ),
        (
            Self::Coinbase,
            "coinbase",
            "Matches and the ticker: `product_id`, `price`, `last_size` or `size`, `time`",
        ),
        (
            Self::Kraken,
            "kraken",
            "Version 2's trades and ticker: `symbol`, `price` or `last`, `qty`, `timestamp`, alone \
             or in `data`, and no snapshots. The ticker's `volume` is that of a day, and of no \
             tick",
        ),
        (
            Self::Alpaca,
            "alpaca",
            r#"Trades `{"S":"AAPL","p":201.5,"s":100,"t":".."}`, and bars with `o`, `h`, `l`, `c`, `v`"#,
        ),
        (
            Self::Massive,
            "massive",
            r#"Trades, once Polygon's: `{"sym":"AAPL","p":201.5,"s":100,"t":1749218401123}`, with `ds` before `s`"#,
        ),
        (
            Self::Cryptofeed,
            "cryptofeed",
            "Trades: `symbol`, `price`, `amount`, `timestamp` in seconds",
        ),
        (
            Self::Yfinance,
            "yfinance",
            "Rows of a data frame, and the streamer's `id`; times without an offset are New York's",
        ),
        (
            Self::AlphaVantage,
            "alpha-vantage",
            "`GLOBAL_QUOTE` (`\"05. price\"`), and rows of a time series; times are New York's",
        ),
    ];
}

const NEW_YORK: &str = "America/New_York";

impl Preset {
    /// The preset's names, in the form of `--map`.
    const fn map(self) -> &'static str {
        match self {
            Self::Finnhub => "symbol=s,price=p,volume=v,timestamp=t,conditions=c",
            // A trade's number, one higher with each of its symbol; an `aggTrade` has none by this
            // name.
            Self::Binance => "symbol=s,price=p,volume=q,timestamp=T,sequence=t",
            // No sequence: a ticker names the last of several trades, and `sequence` counts more
            // than these.
            Self::Coinbase => "symbol=product_id,price=price,volume=last_size|size,timestamp=time",
            Self::Kraken => "symbol=symbol,price=price|last,volume=qty,timestamp=timestamp",
            // A trade's conditions have the name of a bar's close.
            Self::Alpaca => {
                "symbol=S,price=p,open=o,high=h,low=l,close=c,volume=s|v,timestamp=t,conditions=c"
            }
            // `ds` is the size with its fraction, which `s` has not. No sequence: `q` grows, and
            // leaves numbers out.
            Self::Massive => "symbol=sym,price=p,volume=ds|s,timestamp=t,conditions=c",
            Self::Cryptofeed => "symbol=symbol,price=price,volume=amount,timestamp=timestamp",
            Self::Yfinance => {
                "symbol=symbol|Symbol|ticker|Ticker|id|@key,timestamp=timestamp|Datetime|Date|datetime|date|time,\
                 volume=volume|Volume|last_size"
            }
            Self::AlphaVantage => {
                "symbol=symbol|\"Global Quote\".\"01. symbol\"|\"01. symbol\"|@key,\
                 price=\"Global Quote\".\"05. price\"|\"05. price\",\
                 open=open|\"1. open\",high=high|\"2. high\",low=low|\"3. low\",close=close|\"4. \
                 close\",\
                 volume=volume|\"5. volume\"|\"Global Quote\".\"06. volume\"|\"06. volume\",\
                 timestamp=timestamp|\"Global Quote\".\"07. latest trading day\"|\"07. latest \
                 trading day\""
            }
        }
    }

    /// The kinds of its messages that are ticks, as `--where` would say them, where it says which
    /// they are.
    const fn kinds(self) -> Option<&'static str> {
        match self {
            Self::Binance => Some("e=trade|aggTrade"),
            // A subscription begins with a `last_match`, or a `snapshot` of the last trades: who
            // connects again has sent most of these before.
            Self::Coinbase => Some("type=match|ticker"),
            Self::Kraken => Some("channel=trade|ticker,type=update"),
            Self::Alpaca => Some("T=t|b"),
            Self::Massive => Some("ev=T"),
            Self::Finnhub => Some("type=trade"),
            Self::Cryptofeed | Self::Yfinance | Self::AlphaVantage => None,
        }
    }

    /// Which of its messages are ticks. One that does not say of which kind it is may be one.
    #[must_use]
    pub fn conditions(self) -> Vec<Condition> {
        // A test reads them all.
        let Conditions(all) = self.kinds().and_then(|kinds| kinds.parse().ok()).unwrap_or_default();
        all.into_iter().map(|condition| Condition { is_optional: true, ..condition }).collect()
    }

    /// Its kinds that are the trades themselves. The others tell of the same trades once more.
    #[must_use]
    pub fn trades(self) -> Option<Conditions> {
        let trades = match self {
            Self::Binance => "e=trade",
            Self::Coinbase => "type=match",
            Self::Kraken => "channel=trade",
            Self::Alpaca => "T=t",
            _ => return None,
        };
        // A test reads them all.
        trades.parse().ok()
    }

    /// The preset's paths for the fields.
    #[must_use]
    pub fn entries(self) -> MapEntries {
        // A test reads them all.
        self.map().parse().unwrap_or_default()
    }

    /// The path to several ticks in a message, if they are not at its top.
    #[must_use]
    pub fn each(self) -> Option<Path> {
        match self {
            Self::Finnhub | Self::Kraken => "data".parse().ok(),
            _ => None,
        }
    }

    /// The zone of its times without an offset, where it is known.
    #[must_use]
    pub fn zone(self) -> Option<TimeZone> {
        match self {
            Self::Yfinance | Self::AlphaVantage => NEW_YORK.parse().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Field;
    use super::*;

    #[test]
    fn trades_are_some_of_a_preset_s_kinds() {
        for (preset, ..) in Preset::ALL {
            let kinds = preset.conditions();
            let has_several = kinds.iter().any(|kind| kind.values.len() > 1);
            assert_eq!(preset.trades().is_some(), has_several, "{preset:?}");
            for trades in preset.trades().unwrap_or_default().0 {
                let kind = kinds.iter().find(|kind| kind.path == trades.path).unwrap();
                let are_kinds = trades.values.iter().all(|value| kind.values.contains(value));
                assert!(are_kinds && trades.values.len() < kind.values.len(), "{preset:?}");
            }
        }
    }

    #[test]
    fn every_preset_can_be_read_and_maps_what_a_tick_needs() {
        for (preset, ..) in Preset::ALL {
            let MapEntries { paths, .. } = preset.map().parse().unwrap();
            for field in [Field::Symbol, Field::Timestamp, Field::Volume] {
                assert!(paths.iter().any(|(mapped, _)| *mapped == field), "{preset:?}: {field}");
            }
        }
        for (preset, ..) in Preset::ALL {
            let Conditions(kinds) = preset
                .kinds()
                .map_or_else(Conditions::default, |kinds| kinds.parse().expect("a preset's kinds"));
            assert_eq!(preset.conditions().len(), kinds.len(), "{preset:?}");
        }
        assert!(Preset::Yfinance.zone().is_some());
        assert!(Preset::Finnhub.each().is_some() && Preset::Alpaca.each().is_none());
    }
}
