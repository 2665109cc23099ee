//! Anomalies of market data: detectors as pure functions, and the yardsticks that they are measured
//! with.
//!
//! [`causal`] looks at each tick as it comes; [`hindsight`] at an hour of ticks from both sides;
//! [`bars`] at the bars of a symbol. None of them knows SQL, Kafka, S3 or a clock.
//! docs/anomalies.md gives formulas, sources and figures.

pub mod bars;
mod calendar;
pub mod causal;
pub mod conditions;
pub mod evaluation;
mod exact;
pub mod hindsight;
pub mod pack;
pub mod random;
mod tick;

pub use calendar::{Calendar, Session};
pub use conditions::Conditions;
pub use tick::{Detector, Finding, Kind, MINUTE, Quote, Revision, SECOND, Tick, TickId};
