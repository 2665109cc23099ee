//! What both layers share: the tick and its decoder, the bar, exact numbers, the tables' migrations, and how a binary
//! starts, logs and stops.
//!
//! [`decode`], [`tick`], [`price`], [`volume`] and [`bar`] are pure: they know no Kafka, no S3 and no SQL.

pub mod bar;
pub mod cli;
pub mod decimal;
pub mod decode;
pub mod failure;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod pg;
pub mod place;
pub mod price;
pub mod reject;
pub mod shutdown;
pub mod symbol;
pub mod telemetry;
pub mod tick;
pub mod timestamp;
pub mod trading_hours;
pub mod volume;
pub mod wide_sum;

pub use bar::{Bar, OrderKey};
pub use failure::Failure;
pub use place::Place;
pub use price::Price;
pub use reject::{Reason, Reject};
pub use symbol::{Symbol, SymbolMap};
pub use tick::Tick;
pub use timestamp::{TimeBounds, Timestamp};
pub use volume::Volume;
