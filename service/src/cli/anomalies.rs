//! The flags of the detectors.

use anomalies::causal::Parameters;
use anomalies::hindsight;
use anomalies::{Calendar, Session};
use clap::ValueEnum;
use common::Timestamp;
use common::decimal::{self, Rounding};
use common::trading_hours::{Holiday, TradingHours};
use std::sync::{Arc, OnceLock};

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// What the detectors are set to.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Anomalies")]
pub struct AnomalyArgs {
    /// Look for bad prints, bursts and silence: speed-layer as ticks come, batch-layer again when an hour is over. What is
    /// found is in the table `anomalies`.
    #[arg(long, env = "ANOMALIES", value_enum, default_value_t = Switch::On)]
    anomalies: Switch,

    /// When the exchange trades, Monday to Friday by its clocks; `always` for a market that never closes. There are no
    /// bursts, bands and silence outside.
    #[arg(
        long,
        env = "TRADING_HOURS",
        default_value = "America/New_York 09:30-16:00",
        value_name = "ZONE HH:MM-HH:MM"
    )]
    trading_hours: TradingHours,

    /// Days on which it does not trade, such as 2026-12-25; repeatable.
    #[arg(id = "holiday", long = "holiday", env = "HOLIDAYS", value_delimiter = ',', value_name = "DATE")]
    holidays: Vec<Holiday>,

    /// The step between two prices: nothing less is odd. Smaller for currencies and coins.
    #[arg(long, env = "PRICE_STEP", default_value = "0.01", value_parser = price_step, value_name = "PRICE")]
    price_step: i64,

    #[arg(skip)]
    calendar: OnceLock<Arc<Calendar>>,
}

/// In units of 10^-9.
fn price_step(text: &str) -> Result<i64, String> {
    let is_plain = text.starts_with(|first: char| first.is_ascii_digit()) && serde_json::from_str::<f64>(text).is_ok();
    let step = if is_plain { decimal::parse(text, 9, Rounding::Exact).ok() } else { None };
    step.filter(|nanos| *nanos > 0).ok_or_else(|| "expected a number above zero, such as 0.01".to_owned())
}

impl AnomalyArgs {
    /// What the detectors are set to; `None` where there are to be none.
    #[must_use]
    pub fn settings(&self) -> Option<(Parameters, Arc<Calendar>)> {
        if self.anomalies == Switch::Off {
            return None;
        }
        let mut parameters = Parameters::default();
        parameters.bad_print.price_step = self.price_step;
        Some((parameters, Arc::clone(self.calendar.get_or_init(|| Arc::new(self.calendar())))))
    }

    /// The same of what looks at an hour that is over.
    #[must_use]
    pub fn hindsight(&self) -> Option<hindsight::Parameters> {
        let is_on = self.anomalies == Switch::On;
        is_on.then(|| hindsight::Parameters { price_step: self.price_step, ..hindsight::Parameters::default() })
    }

    fn calendar(&self) -> Calendar {
        let nanos = |at: Timestamp| at.micros() * 1000;
        let sessions = self.trading_hours.sessions(&self.holidays.iter().copied().collect());
        let of = |(opens, closes)| Session { opens: nanos(opens), closes: nanos(closes) };
        Calendar::of(sessions.into_iter().map(of).collect())
    }
}
