//! The random walk.

use common::Volume;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Prices are in units of 10^-4 of the currency.
pub const DECIMALS: u32 = 4;

/// One symbol's state.
pub struct Stock {
    pub symbol: String,
    /// Decimals that its prices have, 2 to 4.
    pub decimals: u32,
    base: i64,
    last: i64,
}

/// One trade interval of one symbol: prices in units of 10^-4, multiples of the symbol's smallest step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    pub stock: usize,
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    /// Whole; the feed may take it away, or add a fraction.
    pub volume: Option<Volume>,
}

pub struct Market {
    pub stocks: Vec<Stock>,
}

impl Market {
    pub fn new(symbols: Vec<String>, rng: &mut impl Rng) -> Self {
        let stocks = symbols.into_iter().map(|symbol| Stock::new(symbol, rng)).collect();
        Self { stocks }
    }

    /// The next tick of some symbol, the first ones more often. `activity` scales the volume.
    pub fn quote(&mut self, activity: f64, rng: &mut impl Rng) -> Quote {
        let pick: f64 = rng.random();
        let stock = ((pick * pick * self.stocks.len() as f64) as usize).min(self.stocks.len() - 1);
        let (open, close) = self.stocks[stock].step(rng);
        let step = self.stocks[stock].smallest_step();
        let reach: f64 = rng.random();
        let above = (reach * 3.0) as i64 * step;
        let below = ((1.0 - reach) * 3.0) as i64 * step;
        let normal: f64 = rng.sample(StandardNormal);
        let volume = ((activity * 300.0 * (normal * 1.1).exp()).ceil() as i64).max(1);
        Quote {
            stock,
            open,
            high: open.max(close) + above,
            low: (open.min(close) - below).max(step),
            close,
            volume: Volume::from_parts(volume, 0),
        }
    }
}

impl Stock {
    fn new(symbol: String, rng: &mut impl Rng) -> Self {
        let normal: f64 = rng.sample(StandardNormal);
        let price = 70.0 * normal.exp();
        // Penny stocks and some others are quoted more finely.
        let decimals = match rng.random_range(0..10) {
            _ if price < 10.0 => 4,
            0 => 3,
            _ => 2,
        };
        let mut stock = Self { symbol, decimals, base: 0, last: 0 };
        let step = stock.smallest_step();
        stock.base = ((price * 10_f64.powi(DECIMALS.cast_signed())) as i64 / step).max(100) * step;
        stock.last = stock.base;
        stock
    }

    fn smallest_step(&self) -> i64 {
        10_i64.pow(DECIMALS - self.decimals)
    }

    /// Open is the last close. A weak pull to the base keeps the walk in sight however long it runs.
    fn step(&mut self, rng: &mut impl Rng) -> (i64, i64) {
        let normal: f64 = rng.sample(StandardNormal);
        let step = self.smallest_step();
        let pull = (self.base - self.last) as f64 * 0.0005;
        let change = (normal * 0.0006).mul_add(self.last as f64, pull);
        let steps = (change / step as f64).round() as i64;
        let open = self.last;
        self.last = (open + steps * step).max(step);
        (open, self.last)
    }
}
