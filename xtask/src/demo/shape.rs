//! Messages as feeds send them, which the simulated market may have.

use clap::ValueEnum;

/// By the name that `simulate --shape` knows, and where it needs flags `--preset`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
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

impl Shape {
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What both layers need to read them.
    pub fn flags(self) -> Vec<String> {
        match self {
            Self::Trade => Vec::new(),
            feed => vec!["--preset".to_owned(), feed.name()],
        }
    }
}
