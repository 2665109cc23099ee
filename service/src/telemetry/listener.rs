//! Who hears of events and spans, and which spans are traces.

use std::time::Duration;
use tracing_subscriber::{Layer, Registry};

/// The target of spans that are exported as traces and not logged. Where nobody exports them, they
/// cost a look at a flag.
pub const TRACED: &str = "traced";
/// How long a process that ends waits for its last traces to be taken.
pub const END_WITHIN: Duration = Duration::from_secs(2);

/// A listener for events and spans.
pub(super) type Listener = Box<dyn Layer<Registry> + Send + Sync>;
