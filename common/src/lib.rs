//! The models that both layers share: the tick and its decoder, the bar, exact numbers.
//!
//! All of it is pure: no Kafka, no S3, no SQL, no command line.
//!
//! ```
//! use common::Timestamp;
//! use common::decode::{RecordContext, Decoder, Rules};
//!
//! let now = Timestamp::from_micros(1_780_000_000_000_000);
//! let mut decoder = Decoder::new(Rules::default(), now);
//! let value = br#"{"symbol":"AAPL","price":"201.50","volume":100,"ts":1749218401123}"#;
//! let record = decoder.decode(value, &RecordContext::NOTHING).unwrap();
//! assert_eq!(record.tick.symbol().as_str(), "AAPL");
//! assert_eq!(record.tick.prices().close.to_string(), "201.5");
//! assert_eq!(record.tick.timestamp().to_string(), "2025-06-06T14:00:01.123Z");
//!
//! let reject = decoder.decode(b"no tick", &RecordContext::NOTHING).unwrap_err();
//! assert_eq!(reject.reason.as_str(), "not_json");
//! ```

#![deny(missing_docs)]

pub mod bar;
pub mod decimal;
pub mod decode;
mod extras;
mod named;
mod place;
mod price;
mod reject;
mod symbol;
pub mod tick;
pub mod timestamp;
pub mod trading_hours;
mod volume;
pub mod wide_sum;

pub use bar::{Bar, OrderKey};
pub use extras::{Codes, Extras};
pub use named::Named;
pub use place::Place;
pub use price::Price;
pub use reject::{Reason, Reject};
pub use symbol::{Symbol, SymbolMap};
pub use tick::Tick;
pub use timestamp::{TimeBounds, Timestamp};
pub use volume::Volume;
