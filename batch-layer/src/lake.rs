//! The archive as a lake: hours that are over as Parquet, which desks and data teams read.
//!
//! [`mod@compact`] decides which hours are written; [`gather`] reads the raw objects of one, [`sort`] puts its ticks in order,
//! [`mod@file`] writes them and reads them back, and [`publish`] shows them to readers. [`table`] is what PostgreSQL knows.

mod args;
mod columns;
mod compact;
pub mod file;
mod gather;
mod key;
mod publish;
mod row;
mod sort;
mod table;

pub use args::CompactArgs;
pub use compact::run as compact;
