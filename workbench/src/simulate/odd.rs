//! Ticks that are valid and odd all the same: what the detectors of anomalies are there to find.

use super::market::{Market, Quote};
use clap::ValueEnum;
use common::Volume;
use rand::{Rng, RngExt};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Oddity {
    /// A price that is wrong by half a per cent to five.
    WrongPrice,
    /// One that is wrong by eight to twenty per cent.
    FarPrice,
    /// The first tick of a new level, five to ten per cent away: nothing is wrong with it.
    NewLevel,
    /// A volume of hundreds of others.
    VolumeBurst,
    /// The first tick behind ten minutes without any.
    Silence,
    /// The first one of any symbol behind ten minutes in which the whole market had none.
    MarketSilence,
    /// A price that is wrong by half a per cent to five, beside the right quote.
    OutsideQuotes,
    /// A condition by which a price is not of its time, a price that is off by 0.2 to 0.4 per cent,
    /// and no quote.
    ExcludedCondition,
    /// Some numbers of the feed are missing before it.
    SequenceHole,
    /// A number of the feed that was there before.
    SequenceStep,
    /// A trade that its producer takes back.
    Cancel,
    /// A trade that its producer tells of once more.
    Correction,
}

impl Oddity {
    /// A record header that says what is odd about the tick; others have none.
    pub const HEADER: &str = "odd";

    /// As on the command line and in the header.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it shows in what a message says beside prices and volume alone.
    pub const fn is_beside(self) -> bool {
        matches!(
            self,
            Self::OutsideQuotes
                | Self::ExcludedCondition
                | Self::SequenceHole
                | Self::SequenceStep
                | Self::Cancel
                | Self::Correction
        )
    }
}

/// How many of the ticks are odd in one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub oddity: Oddity,
    pub fraction: f64,
}

/// `wrong_price=0.001`
impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split_once('=').and_then(|(name, fraction)| {
            let oddity = <Oddity as ValueEnum>::from_str(name, false).ok()?;
            let fraction =
                fraction.parse().ok().filter(|fraction| (0.0..=1.0).contains(fraction))?;
            Some(Self { oddity, fraction })
        });
        named.ok_or_else(|| {
            let names: Vec<_> =
                Oddity::value_variants().iter().map(|oddity| oddity.name()).collect();
            let names = names.join(", ");
            format!("expected a kind and a fraction, such as wrong_price=0.001; kinds are {names}")
        })
    }
}

/// Microseconds that a symbol is silent for.
const SILENCE: i64 = 600_000_000;
/// Numbers of the feed that are missing, or that one comes too late by, at most.
const NUMBERS: u64 = 20;

/// Makes some of a market's ticks odd.
#[derive(Debug, Default)]
pub struct Odd {
    shares: Vec<Share>,
    /// By stock, when it speaks again.
    silent: BTreeMap<usize, i64>,
    /// When all do.
    market_silent: Option<i64>,
}

impl Odd {
    pub fn new(shares: Vec<Share>) -> Self {
        Self { shares, ..Self::default() }
    }

    /// Whether the stock has no ticks at `time`.
    pub fn silences(&self, quote: &Quote, time: i64) -> bool {
        self.silent.get(&quote.stock).is_some_and(|until| time < *until)
    }

    /// Whether nobody has ticks at `time`.
    pub fn silences_all(&self, time: i64) -> bool {
        self.market_silent.is_some_and(|until| time < until)
    }

    /// Makes a tick odd now and then. Nothing is drawn where none is to be.
    pub fn change(
        &mut self,
        quote: &mut Quote,
        time: i64,
        (market, rng): (&mut Market, &mut impl Rng),
    ) -> Option<Oddity> {
        if self.market_silent.take().is_some() {
            return Some(Oddity::MarketSilence);
        }
        if self.silent.remove(&quote.stock).is_some() {
            return Some(Oddity::Silence);
        }
        let oddity = self.draw(rng)?;
        match oddity {
            Oddity::WrongPrice | Oddity::OutsideQuotes => {
                scale(quote, factor(0.005..=0.05, rng), market)
            }
            Oddity::FarPrice => scale(quote, factor(0.08..=0.2, rng), market),
            Oddity::NewLevel => {
                let factor = factor(0.05..=0.1, rng);
                market.stocks[quote.stock].move_to(factor);
                scale(quote, factor, market);
                (quote.bid, quote.ask) = (quote.close, quote.close);
            }
            Oddity::VolumeBurst => {
                quote.volume = Volume::from_parts(rng.random_range(500_000..5_000_000), 0)
            }
            Oddity::Silence => {
                self.silent.insert(quote.stock, time + SILENCE);
                return None;
            }
            Oddity::MarketSilence => {
                self.market_silent = Some(time + SILENCE);
                return None;
            }
            Oddity::ExcludedCondition => {
                scale(quote, factor(0.002..=0.004, rng), market);
                quote.conditions = &["@", "U"];
                (quote.bid, quote.ask) = (0, 0);
            }
            Oddity::SequenceHole => quote.number += rng.random_range(1..=NUMBERS),
            Oddity::SequenceStep => {
                quote.number = quote.number.saturating_sub(rng.random_range(1..=NUMBERS))
            }
            Oddity::Cancel => quote.conditions = &["cancelled"],
            Oddity::Correction => quote.conditions = &["corrected"],
        }
        Some(oddity)
    }

    fn draw(&self, rng: &mut impl Rng) -> Option<Oddity> {
        if self.shares.is_empty() {
            return None;
        }
        let mut left: f64 = rng.random();
        let drawn = self.shares.iter().find(|share| {
            left -= share.fraction;
            left < 0.0
        });
        drawn.map(|share| share.oddity)
    }
}

/// Up or down by a share of the price.
fn factor(by: RangeInclusive<f64>, rng: &mut impl Rng) -> f64 {
    let by = rng.random_range(by);
    if rng.random() { 1.0 + by } else { 1.0 - by }
}

fn scale(quote: &mut Quote, factor: f64, market: &Market) {
    let step = market.stocks[quote.stock].smallest_step();
    for price in [&mut quote.open, &mut quote.high, &mut quote.low, &mut quote.close] {
        *price = ((*price as f64 * factor / step as f64).round() as i64).max(1) * step;
    }
}
