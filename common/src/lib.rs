//! The models that both layers share: the tick and its decoder, the bar, exact numbers.
//!
//! All of it is pure: no Kafka, no S3, no SQL, no command line.

#![warn(missing_docs)]

pub mod bar;
pub mod decimal;
pub mod decode;
pub mod named;
pub mod place;
pub mod price;
pub mod reject;
pub mod symbol;
pub mod tick;
pub mod timestamp;
pub mod trading_hours;
pub mod volume;
pub mod wide_sum;

pub use bar::{Bar, OrderKey};
pub use named::Named;
pub use place::Place;
pub use price::Price;
pub use reject::{Reason, Reject};
pub use symbol::{Symbol, SymbolMap};
pub use tick::Tick;
pub use timestamp::{TimeBounds, Timestamp};
pub use volume::Volume;
