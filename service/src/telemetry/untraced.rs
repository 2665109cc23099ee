//! [`Traces`] of a program that was built without them.

use super::listener::Listener;
use crate::Failure;

/// The standard's variable for the receiver of traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Nothing to listen to: this program was built without traces.
pub struct Traces;

impl Traces {
    /// # Errors
    /// Never: without traces there is nothing to set up.
    pub(super) fn open(_: &'static str) -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(super) fn listener(&self) -> Option<Listener> {
        None
    }

    /// Warns if traces are asked for.
    pub(super) fn log(&self) {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if let Some(variable) = ENDPOINTS.into_iter().find(is_set) {
            tracing::warn!(
                variable,
                "{variable} is set, but this program was built without traces (feature `otlp`): \
                 none are exported"
            );
        }
    }

    /// Nothing.
    pub fn end(self) {}
}
