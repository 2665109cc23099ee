//! Symbols with their prices and volumes.

use super::path::Path;
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
    /// In units of 10^-4.
    base: f64,
    path: Path,
    /// The number of its newest tick.
    pub number: u64,
    /// The newest tick: its time, in microseconds of the epoch, and its close.
    last: (i64, i64),
}

/// One trade interval of one symbol: prices in units of 10^-4, multiples of the symbol's smallest
/// step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quote {
    pub stock: usize,
    pub open: i64,
    pub high: i64,
    pub low: i64,
    pub close: i64,
    /// As it was drawn, before it is told.
    pub size: f64,
    /// Whole; the feed may take it away, or add a fraction.
    pub volume: Option<Volume>,
    /// The feed's own number, one higher with each tick of the symbol.
    pub number: u64,
    /// The best ones at the time of the close.
    pub bid: i64,
    pub ask: i64,
    /// Of the sale.
    pub conditions: &'static [&'static str],
}

pub struct Market {
    pub stocks: Vec<Stock>,
}

impl Market {
    pub fn new(symbols: Vec<(String, Option<f64>)>, rng: &mut impl Rng) -> Self {
        let stocks =
            symbols.into_iter().map(|(symbol, price)| Stock::new(symbol, price, rng)).collect();
        Self { stocks }
    }

    /// A tick of some symbol at `time`, in microseconds of the epoch; of the first symbols more
    /// often. Half of the volumes are above `median_volume`.
    pub fn quote(&mut self, time: i64, median_volume: f64, rng: &mut impl Rng) -> Quote {
        let pick: f64 = rng.random();
        let stock = ((pick * pick * self.stocks.len() as f64) as usize).min(self.stocks.len() - 1);
        let (open, close) = self.stocks[stock].trade(time, rng);
        let step = self.stocks[stock].smallest_step();
        let reach: f64 = rng.random();
        let above = (reach * 3.0) as i64 * step;
        let below = ((1.0 - reach) * 3.0) as i64 * step;
        let normal: f64 = rng.sample(StandardNormal);
        let size = median_volume * (normal * VOLUME_SIGMA).exp();
        let volume = (size.ceil() as i64).max(1);
        Quote {
            stock,
            open,
            high: open.max(close) + above,
            low: (open.min(close) - below).max(step),
            close,
            size,
            volume: Volume::from_parts(volume, 0),
            number: 0,
            bid: (close - step).max(step),
            ask: close + step,
            conditions: &["@"],
        }
    }
}

impl Stock {
    fn new(symbol: String, price: Option<f64>, rng: &mut impl Rng) -> Self {
        let normal: f64 = rng.sample(StandardNormal);
        let price = price.unwrap_or(70.0 * normal.exp());
        // Penny stocks and some others are quoted more finely.
        let decimals = match rng.random_range(0..10) {
            _ if price < 10.0 => 4,
            0 => 3,
            _ => 2,
        };
        let base = price * 10_f64.powi(DECIMALS.cast_signed());
        Self {
            symbol,
            decimals,
            base,
            path: Path::new(rng.random()),
            number: 0,
            last: (i64::MIN, 0),
        }
    }

    pub fn smallest_step(&self) -> i64 {
        10_i64.pow(DECIMALS - self.decimals)
    }

    /// Open is the last close, or the price of a second before where that is older, or the tick
    /// comes late. The close is a trade at the bid, at the ask or between.
    fn trade(&mut self, time: i64, rng: &mut impl Rng) -> (i64, i64) {
        let step = self.smallest_step();
        let side = rng.random_range(-1..=1) * step;
        let close = (self.price(time) + side).max(step);
        let since = time.saturating_sub(self.last.0);
        let open =
            if (0..INTERVAL).contains(&since) { self.last.1 } else { self.price(time - INTERVAL) };
        if since >= 0 {
            self.last = (time, close);
        }
        (open, close)
    }

    /// Moves all prices from now on.
    pub fn move_to(&mut self, factor: f64) {
        self.base *= factor;
    }

    fn price(&self, time: i64) -> i64 {
        let step = self.smallest_step();
        ((self.base * self.path.at(time) / step as f64).round() as i64).max(1) * step
    }
}

/// Volumes are log-normal; this is the standard deviation of their logarithms.
const VOLUME_SIGMA: f64 = 1.1;

/// The median of volumes whose mean is `mean`.
pub fn median_volume(mean: f64) -> f64 {
    mean / (VOLUME_SIGMA * VOLUME_SIGMA / 2.0).exp()
}

/// What a tick tells of at most, in microseconds.
const INTERVAL: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_tick_that_comes_late_has_the_price_of_its_own_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut market = Market::new(vec![("AAPL".to_owned(), Some(230.0))], &mut rng);
        let start = 1_749_200_000_000_000;
        let then = market.quote(start, 300.0, &mut rng);
        for second in 1..10_000 {
            market.quote(start + second * 1_000_000, 300.0, &mut rng);
        }
        let late = market.quote(start, 300.0, &mut rng);
        let (ticks_apart, step) =
            ((late.close - then.close).abs(), market.stocks[0].smallest_step());
        assert!(ticks_apart <= 2 * step, "{then:?} {late:?}");
        let next = market.quote(start + 10_000 * 1_000_000, 300.0, &mut rng);
        assert!((next.open - next.close).abs() < next.close / 1_000, "{next:?}");
    }
}
