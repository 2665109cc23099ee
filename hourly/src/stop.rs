//! The errors of work that a signal has stopped.

use service::Failure;

/// How the words about a run begin that did not come to its end.
pub const STOPPED: &str = "stopped by a signal";

pub(crate) fn stopped() -> Failure {
    Failure::Partial(format!(
        "{STOPPED} before all hours were done; the next run goes on with the rest (a run with \
         --recompute begins anew)"
    ))
}

/// The error of an export, which begins again.
pub(crate) fn stopped_exporting() -> Failure {
    Failure::Partial(format!("{STOPPED} before all hours were exported"))
}
