//! [`Timestamp`]: an instant to the microsecond, and how a message's time is read as one.

mod date;
mod epoch;
mod instant;
mod rules;
mod text;
mod worded;
mod zone;

pub use epoch::EpochUnit;
pub use instant::{TimeBounds, Timestamp};
pub use rules::TimeRules;
pub use text::TimeError;
pub use zone::TimeZone;

/// The instant that a text with an offset names.
///
/// # Errors
/// If the text is no time: see [`TimeError`].
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimeError> {
    text::parse(text, None)
}
