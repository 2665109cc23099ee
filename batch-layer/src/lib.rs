//! The batch layer: hourly summaries out of the archive.
//!
//! [`scan`] and [`totals`] turn bytes into bars and know neither store nor database; [`archive`] knows the store;
//! [`index`] and [`summary`] know the tables; [`indicators`] follow from the summaries;
//! [`judging`] looks at the ticks again, [`odd_bars`] at the summaries; [`run()`] puts them together. `docs/batch-layer.md` explains the design.

pub mod archive;
pub mod arenas;
pub mod bulk;
pub mod checksum;
pub mod cli;
pub mod completeness;
pub mod dry_run;
pub mod engine;
pub mod export;
mod flags;
pub mod hour;
pub mod index;
pub mod indicators;
pub mod judging;
pub mod lake;
pub mod ledger;
pub mod lock;
pub mod odd_bars;
mod output;
pub mod progress;
pub mod reader;
pub mod run;
pub mod scan;
mod shared;
pub mod sharing;
#[cfg(feature = "spark")]
pub mod spark;
pub mod state;
mod stop;
pub mod summary;
pub mod survey;
pub mod totals;
pub mod verify;
pub mod work;

pub use cli::{Args, Command};
pub use run::run;
