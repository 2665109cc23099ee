//! The archive as a lake: hours that are over as Parquet, which desks and data teams read.
//!
//! [`mod@compact`] decides which hours are written; [`gather`] reads the raw objects of one, [`sort`] puts its ticks in order,
//! [`mod@file`] writes them, [`look`] reads them back, [`publish`] shows them to
//! readers, and [`read`] sums them up again. [`table`] is what PostgreSQL
//! knows, and [`inventory`] holds it against what lies there.

mod args;
mod columns;
mod compact;
pub mod file;
mod gather;
mod inventory;
pub(crate) mod key;
pub(crate) mod look;
mod places;
mod publish;
mod read;
mod row;
mod sort;
pub(crate) mod source;
pub(crate) mod table;

pub use args::CompactArgs;
pub use source::{FromLake, SourceArgs};
pub use compact::run as compact;
use table::Candidate;
