//! Parts that every Kafka client of this project has in common: how to log in, and what a topic
//! consists of. Without the feature `kafka` only the flags are left.

#[cfg(feature = "kafka")]
mod admin;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
pub mod group;
mod properties;
#[cfg(feature = "kafka")]
pub mod topic_id;

#[cfg(feature = "kafka")]
pub use client::{Quiet, partitions};
pub use properties::KafkaProperties;
