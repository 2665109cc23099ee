//! Hourly summaries from the archive: everything that `batch-layer` does except `verify`.
//!
//! [`scan`] and [`pending_hours`] turn bytes into bars and know neither store nor database;
//! [`archive`] knows the store; [`index`] and [`summary`] know the tables; [`indicators`] follow
//! from the summaries; [`judging`] looks at the ticks again, [`odd_bars`] at the summaries;
//! [`run()`] puts them together. `docs/batch-layer.md` explains the design.

pub mod archive;
mod args;
mod bulk;
pub mod checksum;
pub mod completeness;
pub mod decode_rules;
mod dry_run;
mod engine;
pub mod export;
pub mod flags;
pub mod holdings;
pub mod hour;
pub mod index;
pub mod indicators;
mod judging;
pub mod lake;
pub mod ledger;
pub mod lock;
mod losses;
mod odd_bars;
pub mod output;
pub mod pending_hours;
mod progress;
pub mod reader;
pub mod run;
pub mod scan;
pub mod shared;
mod sharing;
#[cfg(feature = "spark")]
pub mod spark;
pub mod state;
pub mod stop;
pub mod summary;
mod survey;
mod work;

pub use args::Args;
pub use engine::conflicts;
pub use run::run;
pub use work::whereabouts;
