//! What the producers send: the simulated market, steady with bursts, with late and broken
//! messages, and with a clock that may be wrong. Each record says in a header what must become of
//! it, which the proof compares.

use crate::pace::Pacer;
use crate::simulate::Shape;
use crate::simulate::feed::{Feed, Pace, Plan, Volumes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Outgoing, Sender};
use tokio_util::sync::CancellationToken;

/// How long brokers may be away at the end.
const PATIENCE: Duration = Duration::from_secs(120);
/// The past that the market begins with, so that there are hours to sum up.
const PAST: Duration = Duration::from_secs(3 * 3600);
const PHASE: Duration = Duration::from_secs(3);
/// One phase in so many is a burst.
const BURST_ONE_IN: u32 = 5;
const BURST: f64 = 8.0;

/// How much to send.
#[derive(Clone, Copy)]
pub struct Amount {
    pub seed: u64,
    /// Messages a second between bursts.
    pub rate: f64,
    /// Messages of the past.
    pub backlog: u64,
}

/// How far the producer's clock is off, in microseconds.
pub type Skew = Arc<AtomicI64>;

/// Sends until `stop`, and gives the number of messages that the brokers have acknowledged.
///
/// # Errors
/// Messages that could not be delivered.
pub fn run(
    kafka: &KafkaArgs,
    amount: Amount,
    skew: &Skew,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let mut load = Load {
        sender: Sender::new(kafka.client_config(), &kafka.topic)?,
        rng: ChaCha8Rng::seed_from_u64(amount.seed),
        market_seed: amount.seed,
        stop: stop.clone(),
    };
    let span = i64::try_from(PAST.as_micros()).unwrap_or(i64::MAX);
    load.send_all(Pace::Spread { start: now() - span, span, ticks: amount.backlog }, || false)?;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let offset = skew.load(Ordering::Relaxed);
        let rate =
            amount.rate * if load.rng.random_range(0..BURST_ONE_IN) == 0 { BURST } else { 1.0 };
        let is_over = || begun.elapsed() >= PHASE || skew.load(Ordering::Relaxed) != offset;
        load.send_all(Pace::Steady { start: now() + offset, rate, ticks: None }, is_over)?;
    }
    Ok(load.sender.finish(PATIENCE)?.iter().sum())
}

struct Load {
    sender: Sender,
    rng: ChaCha8Rng,
    /// All pieces are of one market, whose prices go on from one to the next.
    market_seed: u64,
    stop: CancellationToken,
}

impl Load {
    fn send_all(&mut self, pace: Pace, is_over: impl Fn() -> bool) -> anyhow::Result<()> {
        let seed = self.rng.random();
        let (high_low, beside) = (self.rng.random(), self.rng.random());
        let volumes = Volumes { fractional: 0.1, absent: 0.0, ..Volumes::default() };
        let mut feed = Feed::new(Plan {
            market_seed: self.market_seed,
            high_low,
            beside,
            volumes,
            late: 0.02,
            broken: 0.02,
            ..Plan::plain(seed, 40, Shape::Mixed, pace)
        })?;
        let in_real_time = matches!(pace, Pace::Steady { .. });
        let mut pacer = None;
        while let Some(message) = feed.next_message() {
            if in_real_time {
                let pacer = pacer.get_or_insert_with(|| Pacer::new(message.time));
                pacer.wait(message.time, &self.stop, || self.sender.poll());
            }
            if self.stop.is_cancelled() || is_over() {
                break;
            }
            self.sender.send(Outgoing {
                headers: &[message.kind.header()],
                key: Some(message.key.as_bytes()),
                value: message.value,
                // The producer's clock tells both times.
                timestamp: Some(message.time / 1000),
                ..Outgoing::default()
            })?;
        }
        self.sender.poll();
        Ok(())
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
