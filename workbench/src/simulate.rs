//! A market that does not exist, written to Kafka.

mod encode;
pub mod fault;
pub mod feed;
mod market;
pub mod odd;
mod path;
mod run;
mod session;
mod shape;
mod symbols;

pub use run::{SimulateArgs, run};
pub use shape::{Names, Shape};
