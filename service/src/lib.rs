//! Everything that a program of this project needs to run: flags, exit codes, PostgreSQL, Kafka's
//! settings, schema registries, logs, and how it stops.

pub mod cli;
pub mod failure;
pub mod files;
pub mod kafka;
pub mod pg;
#[cfg(feature = "registry")]
pub mod registry;
mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod words;

pub use failure::Failure;
