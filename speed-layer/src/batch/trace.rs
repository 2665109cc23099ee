//! [`Trace`]: a batch as spans for who takes traces, from its first message on.

use service::telemetry::TRACED;
use tracing::Span;
use tracing::field::Empty;

/// The whole batch, and the time until it is handed over. Where nobody takes traces it is nothing.
#[derive(Debug)]
pub struct Trace {
    pub(super) batch: Span,
    filling: Span,
}

impl Default for Trace {
    fn default() -> Self {
        Self { batch: Span::none(), filling: Span::none() }
    }
}

impl Trace {
    /// Each batch is a trace of its own: sessions last for days.
    pub fn begin() -> Self {
        let batch = tracing::info_span!(
            target: TRACED,
            parent: None,
            "batch",
            writer = Empty,
            topic = Empty,
            partitions = Empty,
            offsets = Empty,
            messages = Empty,
            rows = Empty,
            rejects = Empty,
        );
        let filling = tracing::info_span!(target: TRACED, parent: &batch, "fill");
        Self { batch, filling }
    }

    /// No more messages come in.
    pub fn fill_ended(&mut self) {
        self.filling = Span::none();
    }
}
