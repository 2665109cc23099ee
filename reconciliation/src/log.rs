//! [`Log`]: what Kafka itself has of the topic.

mod answer;
mod client;

pub use answer::LogRange;
pub use client::{KafkaAccess, Log};
