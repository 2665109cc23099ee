//! Measurements: ratios taken side by side in one run, because the machines are noisy. The last
//! line is JSON.

mod batch;
mod consuming;
mod dashboards;
mod database;
mod latency;
mod memory;
mod process;
mod rows;
mod share;
mod speed;

pub use batch::{BatchArgs, LakeArgs};
pub use dashboards::DashboardsBenchArgs;
pub use latency::LatencyArgs;
pub use memory::MemoryArgs;
pub use share::ShareArgs;
pub use speed::SpeedArgs;

use clap::Subcommand;

/// What to measure.
#[derive(Subcommand, Clone)]
pub enum Bench {
    /// The rate at which speed-layer drains a backlog, next to a bare COPY of the same rows with
    /// the same minute bars.
    Speed(SpeedArgs),
    /// The time from sending a tick to seeing it in PostgreSQL, at a steady rate.
    Latency(LatencyArgs),
    /// The seconds that batch-layer takes for an hour, next to general engines over the same
    /// objects.
    Batch(BatchArgs),
    /// An hour as Parquet: its size, what writing it takes, and a question to it next to one to the
    /// lines.
    Lake(LakeArgs),
    /// A backfill by one batch-layer, and by two and four that share it, each on one core.
    Share(ShareArgs),
    /// The most memory that batch-layer takes where something is very large: symbols, an object, a
    /// folder, a history.
    Memory(MemoryArgs),
    /// How long the dashboards' queries take on a month of a market; the ticks take about 7 GB of
    /// disk.
    Dashboards(DashboardsBenchArgs),
}

/// # Errors
/// Services that are not there, or a binary that is not built.
pub async fn run(bench: &Bench) -> anyhow::Result<serde_json::Value> {
    match bench {
        Bench::Speed(args) => speed::run(args).await,
        Bench::Latency(args) => latency::run(args).await,
        Bench::Batch(args) => batch::run(args).await,
        Bench::Lake(args) => batch::run_lake(args).await,
        Bench::Share(args) => share::run(args).await,
        Bench::Memory(args) => memory::run(args).await,
        Bench::Dashboards(args) => dashboards::run(args).await,
    }
}
