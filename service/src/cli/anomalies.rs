//! The flags of the detectors.

use anomalies::causal::Parameters;
use anomalies::hindsight;
use anomalies::{Calendar, Conditions, Session};
use clap::ValueEnum;
use common::Timestamp;
use common::decimal::{self, Rounding};
use common::trading_hours::{Holiday, TradingHours};
use std::sync::{Arc, OnceLock};

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// The settings of the detectors.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Anomalies")]
pub struct AnomalyArgs {
    /// Look for bad prints, bursts and silence: speed-layer as ticks come, batch-layer again when
    /// an hour is over. The findings are in the table `anomalies`.
    #[arg(long, env = "ANOMALIES", value_enum, default_value_t = Switch::On)]
    anomalies: Switch,

    /// When the exchange trades, Monday to Friday by its clocks; `always` for a market that never
    /// closes. A session over midnight, as `18:00-17:00`, is that of the day on which it ends.
    /// There are no bursts, bands and silence outside.
    #[arg(
        long,
        env = "TRADING_HOURS",
        default_value = "America/New_York 09:30-16:00",
        value_name = "ZONE HH:MM-HH:MM"
    )]
    trading_hours: TradingHours,

    /// Days on which it does not trade, such as 2026-12-25; repeatable.
    #[arg(
        id = "holiday",
        long = "holiday",
        env = "HOLIDAYS",
        value_delimiter = ',',
        value_name = "DATE"
    )]
    holidays: Vec<Holiday>,

    /// The step between two prices: nothing less is odd. Smaller for currencies and coins.
    #[arg(
        long, env = "PRICE_STEP", default_value = "0.01", value_parser = price_step,
        value_name = "PRICE"
    )]
    price_step: i64,

    /// Sale conditions whose price is not of its time, or not of the open market: such a trade is
    /// held to narrower margins, and its price is no measure for others. By default those letters
    /// of the US tapes that change neither the last price nor, most of them, high and low; give a
    /// feed with numbers its own.
    #[arg(
        long,
        env = "EXCLUDED_CONDITIONS",
        value_delimiter = ',',
        default_value = "C,H,M,N,P,Q,R,U,V,W,Z",
        value_name = "CODES"
    )]
    excluded_conditions: Vec<String>,

    /// Conditions by which a producer takes a trade back.
    #[arg(
        long,
        env = "CANCEL_CONDITIONS",
        value_delimiter = ',',
        default_value = "cancel,canceled,cancelled,error,incorrect,bust,busted,\
                         correction=7,correction=8,correction=10,correction=11,correction=12",
        value_name = "CODES"
    )]
    cancel_conditions: Vec<String>,

    /// Conditions by which a producer says how a trade really was.
    #[arg(
        long,
        env = "CORRECTION_CONDITIONS",
        value_delimiter = ',',
        default_value = "correction,corrected,correction=1",
        value_name = "CODES"
    )]
    correction_conditions: Vec<String>,

    #[arg(skip)]
    detectors: OnceLock<Arc<Detectors>>,
}

/// The parameters of the detectors for ticks as they come.
#[derive(Debug, Clone, Default)]
pub struct Detectors {
    pub parameters: Parameters,
    pub calendar: Calendar,
    pub conditions: Conditions,
}

/// Parses a price step, in units of 10^-9.
fn price_step(text: &str) -> Result<i64, String> {
    let is_plain = text.starts_with(|first: char| first.is_ascii_digit())
        && serde_json::from_str::<f64>(text).is_ok();
    let step = if is_plain { decimal::parse(text, 9, Rounding::Exact).ok() } else { None };
    step.filter(|nanos| *nanos > 0)
        .ok_or_else(|| "expected a number above zero, such as 0.01".to_owned())
}

impl AnomalyArgs {
    /// The settings of the detectors; `None` where there are to be none.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<Detectors>> {
        if self.anomalies == Switch::Off {
            return None;
        }
        let detectors = || {
            let mut parameters = Parameters::default();
            (parameters.bad_print.price_step, parameters.band.price_step) =
                (self.price_step, self.price_step);
            Arc::new(Detectors {
                parameters,
                calendar: self.calendar(),
                conditions: self.conditions(),
            })
        };
        Some(Arc::clone(self.detectors.get_or_init(detectors)))
    }

    /// The settings of what looks at an hour that is over.
    #[must_use]
    pub fn hindsight(&self) -> Option<hindsight::Parameters> {
        let is_on = self.anomalies == Switch::On;
        is_on.then(|| hindsight::Parameters {
            price_step: self.price_step,
            ..hindsight::Parameters::default()
        })
    }

    /// The meaning of sale conditions.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        Conditions::new(
            &self.excluded_conditions,
            &self.cancel_conditions,
            &self.correction_conditions,
        )
    }

    /// The flags that were given, as one text, which differs if they differ.
    #[must_use]
    pub fn describe(&self) -> String {
        let (switch, hours, holidays) = (self.anomalies, &self.trading_hours, &self.holidays);
        format!("{switch:?} {hours:?} {holidays:?} {} {}", self.price_step, self.condition_codes())
    }

    /// The conditions' codes as one text, which is another one where they are others.
    #[must_use]
    pub fn condition_codes(&self) -> String {
        let all = [&self.excluded_conditions, &self.cancel_conditions, &self.correction_conditions];
        all.map(|codes| codes.join(",")).join("; ")
    }

    /// The sessions as one text, which is another one where they are others.
    #[must_use]
    pub fn sessions(&self) -> String {
        let without: String = self.holidays.iter().map(|day| format!(" without {day}")).collect();
        format!("{}{without}", self.trading_hours)
    }

    fn calendar(&self) -> Calendar {
        let nanos = |at: Timestamp| at.micros() * 1000;
        let sessions = self.trading_hours.sessions(&self.holidays.iter().copied().collect());
        let of = |(opens, closes)| Session { opens: nanos(opens), closes: nanos(closes) };
        Calendar::of(sessions.into_iter().map(of).collect())
    }
}
