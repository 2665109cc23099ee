//! [`Log`]: what Kafka itself has of the topic.

mod answer;
#[cfg(feature = "kafka")]
mod client;
#[cfg(not(feature = "kafka"))]
mod none;

pub use answer::Span;
#[cfg(feature = "kafka")]
pub use client::Log;
#[cfg(not(feature = "kafka"))]
pub use none::Log;

/// Whether Kafka can be asked.
pub type KafkaAccess = answer::KafkaAccess<Log>;
