//! What a program of this project needs to run: flags, exit codes, PostgreSQL, Kafka's settings,
//! logs, and how it stops.

pub mod cli;
pub mod failure;
pub mod files;
pub mod kafka;
pub mod pg;
mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod words;

pub use failure::Failure;
