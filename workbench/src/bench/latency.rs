//! `bench latency`.

use super::database::speed_layer;
use super::process;
use crate::figures::{quantile, rounded};
use crate::simulate::Shape;
use crate::simulate::feed::{Feed, Pace, Plan};
use anyhow::Context;
use serde_json::json;
use sqlx::PgConnection;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testing::kafka::{Outgoing, Sender, client_config};
use testing::{TestDatabase, TestTopic, eventually};

/// How fast, and how long.
#[derive(clap::Args, Clone)]
pub struct LatencyArgs {
    /// Ticks a second.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Seconds of measuring, after three that do not count.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// How long the first message of a batch waits (speed-layer's `--linger`; its default where
    /// absent).
    #[arg(long)]
    linger: Option<String>,
}

const WARM_UP: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// When each message was sent; the index is its offset, since there is one partition and one
/// sender.
type Sent = Arc<Mutex<Vec<Instant>>>;

/// # Errors
/// Services that are not there, or a binary that is not built.
pub async fn run(args: &LatencyArgs) -> anyhow::Result<serde_json::Value> {
    let (topic, database) = (TestTopic::create(1).await, TestDatabase::create().await);
    let mut command = speed_layer(&topic, &database)?;
    if let Some(linger) = &args.linger {
        command.args(["--linger", linger]);
    }
    let speed_layer = process::Measured::spawn(command)?;
    let mut connection = database.connection().await;
    eventually("speed-layer to have its partition", PATIENCE, || async {
        let begun = sqlx::query_scalar::<_, bool>("select exists (select from kafka_offsets)");
        begun.fetch_one(database.pool()).await.unwrap_or(false)
    })
    .await;

    let total = u64::from(args.rate) * u64::from(WARM_UP + args.seconds);
    let sent = Sent::default();
    let sending = {
        let (sent, args) = (Arc::clone(&sent), args.clone());
        let (brokers, name) = (topic.brokers().to_owned(), topic.name().to_owned());
        tokio::task::spawn_blocking(move || send(&brokers, &name, args.rate, total, &sent))
    };
    let mut latencies = watch(&mut connection, total, &sent).await?;
    sending.await.context("the sending thread")??;
    let usage = speed_layer.usage()?;
    let warm_up = (u64::from(args.rate) * u64::from(WARM_UP)) as usize;
    latencies.drain(..warm_up.min(latencies.len()));
    let at = |part: f64| quantile(&latencies, part);
    println!(
        "at {} ticks/s: p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
        args.rate,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(json!({
        "bench": "latency",
        "rate": args.rate,
        "linger": args.linger,
        "p50_ms": rounded(at(0.5)),
        "p99_ms": rounded(at(0.99)),
        "worst_ms": rounded(at(1.0)),
        "rss_mb": usage.peak_megabytes.round(),
    }))
}

/// Sends at a steady rate, in portions of a millisecond.
fn send(brokers: &str, topic: &str, rate: u32, total: u64, sent: &Sent) -> anyhow::Result<()> {
    let start = jiff::Timestamp::now().as_microsecond();
    let pace = Pace::Steady { start, rate: rate.into(), ticks: Some(total) };
    let mut feed = Feed::new(Plan::plain(1, 500, Shape::Bare, pace))?;
    let mut config = client_config(brokers);
    // The producer's own waiting is not what is measured.
    config.set("linger.ms", "0");
    let sender = Sender::new(config, topic)?;
    let begun = Instant::now();
    let mut number = 0_u64;
    while number < total {
        let due = ((begun.elapsed().as_secs_f64() * f64::from(rate)) as u64).min(total);
        while number < due {
            let Some(message) = feed.next_message() else {
                break;
            };
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            sender.send(Outgoing {
                partition: Some(0),
                value: message.value,
                ..Outgoing::default()
            })?;
            number += 1;
        }
        sender.poll();
        std::thread::sleep(Duration::from_millis(1));
    }
    sender.finish(PATIENCE)?;
    Ok(())
}

/// Looks about every millisecond how far the committed offset is: from the outside, as a reader
/// would. Gives milliseconds.
async fn watch(connection: &mut PgConnection, total: u64, sent: &Sent) -> anyhow::Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(total as usize);
    while (latencies.len() as u64) < total {
        let next: i64 = sqlx::query_scalar("select next_offset from kafka_offsets")
            .fetch_one(&mut *connection)
            .await?;
        let seen = Instant::now();
        {
            let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            let new = sent.get(latencies.len()..next.max(0) as usize).unwrap_or_default();
            let millis = |at: Instant| seen.saturating_duration_since(at).as_secs_f64() * 1000.0;
            latencies.extend(new.iter().copied().map(millis));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(latencies)
}
