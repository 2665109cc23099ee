//! `bench flood`: what a topic full of broken messages does to the rate.

use super::rows::{self, Backlog};
use super::speed::drain;
use crate::figures::{median, rounded};
use crate::simulate::Shape;
use serde_json::json;
use testing::TestTopic;

/// How much, and how often.
#[derive(clap::Args, Clone)]
pub struct FloodArgs {
    /// Messages in each backlog.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Rounds; each drains both topics one after the other.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Errors: services that are not there, or a binary that is not built.
pub async fn run(args: &FloodArgs) -> anyhow::Result<serde_json::Value> {
    let (good, bad) =
        (TestTopic::create(rows::PARTITIONS).await, TestTopic::create(rows::PARTITIONS).await);
    rows::send(&good, args.messages, Shape::Bare, 0.0)?;
    rows::send(&bad, args.messages, Shape::Bare, 1.0)?;
    let mut ratios = Vec::new();
    for round in 1..=args.rounds {
        let of = |topic| Backlog {
            topic,
            messages: args.messages,
            batch_rows: 50_000,
            workers: 1,
            writers: 1,
            anomalies: true,
            reading: &[],
        };
        let ticks = drain(&of(&good)).await?.rows_per_second;
        let rejects = drain(&of(&bad)).await?.rows_per_second;
        println!(
            "round {round}: ticks {ticks:.0}/s, broken messages {rejects:.0}/s ({:.2})",
            rejects / ticks
        );
        ratios.push(rejects / ticks);
    }
    Ok(json!({ "bench": "flood", "ratio": rounded(median(&ratios)) }))
}
