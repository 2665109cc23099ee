//! The errors of a comparison that a signal has stopped.

use hourly::stop::STOPPED;
use service::Failure;

/// It begins again.
pub fn stopped_comparing() -> Failure {
    Failure::Partial(format!("{STOPPED} before all hours were compared"))
}
