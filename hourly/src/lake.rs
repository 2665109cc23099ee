//! The archive as a lake: hours that are over as Parquet, which desks and data teams read.
//!
//! [`mod@compact`] decides which hours are written; [`gather`] reads the raw objects of one,
//! [`sort`] puts its ticks in order, [`mod@file`] writes them, [`look`] reads them back,
//! [`publish`] shows them to readers, and [`read`] sums them up again. [`table`] is what PostgreSQL
//! knows, and [`inventory`] holds it against what lies there.

mod args;
mod columns;
pub(crate) mod compact;
mod cover;
pub mod covered;
pub mod file;
pub(crate) mod gather;
mod inventory;
pub mod key;
pub mod look;
mod pages;
mod places;
mod publish;
mod read;
mod row;
pub(crate) mod sort;
pub mod source;
pub mod table;

pub use args::{CompactArgs, LakeArgs};
pub use compact::run as compact;
pub use source::{FromLake, SourceArgs};
