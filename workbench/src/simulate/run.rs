//! `workbench simulate`: its flags, and messages at a steady rate or as fast as may be.

use super::feed::{Feed, Kind, Message, Pace, Plan, Volumes};
use super::odd::Share;
use super::shape::Shape;
use super::symbols::MOST;
use crate::pace::Pacer;
use anyhow::Context;
use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;
use service::cli::duration;
use std::time::{Duration, Instant};
use testing::kafka::{KafkaArgs, Outgoing, Sender};
use tokio_util::sync::CancellationToken;

/// How long brokers may be away, at the start and at the end.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(Args, Clone)]
#[command(group = ArgGroup::new("amount").required(true).args(["ticks", "rate"]))]
pub struct SimulateArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How many symbols trade; the first ones more than the last.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MOST as i64))]
    pub symbols: u32,
    /// The same seed and arguments give the same messages.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Sends this many messages over --span of market time, as fast as the brokers take them.
    #[arg(long, value_name = "COUNT")]
    pub ticks: Option<u64>,
    /// Sends this many messages a second in real time, until --duration is over or a signal comes.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long to go on with --rate.
    #[arg(long, value_parser = duration, conflicts_with = "ticks")]
    pub duration: Option<Duration>,
    /// Market time of the first message, as 2025-06-06T09:30:00-04:00. Default: now; with --ticks,
    /// now less --span.
    #[arg(long, value_name = "RFC3339")]
    pub start: Option<jiff::Timestamp>,
    /// Market time that the messages of --ticks cover; more of them fall into busy hours.
    #[arg(long, value_parser = duration, default_value = "6h", conflicts_with = "rate")]
    pub span: Duration,
    /// How values look. Those of a feed or library are read with --preset of the same name.
    #[arg(long, value_enum, default_value_t = Shape::Bare)]
    pub shape: Shape,
    /// Adds high and low to the pipeline's own form.
    #[arg(long)]
    pub high_low: bool,
    /// Part of the volumes that have a fraction; those of coins' feeds all have one.
    #[arg(long, default_value_t = 0.0, value_parser = fraction, value_name = "FRACTION")]
    pub fractional: f64,
    /// Part of the ticks that have no volume.
    #[arg(long, default_value_t = 0.0, value_parser = fraction, value_name = "FRACTION")]
    pub without_volume: f64,
    /// What all symbols together trade in a second on average over the session, however many ticks
    /// tell of it, with fractions or without, so that a backfill and what follows at another rate
    /// look like one market. Random, to a few per cent; a tick without a fraction trades one at
    /// least. Default: some 500 for each tick, and a hundredth of it where it has a fraction.
    #[arg(long, value_name = "SHARES", value_parser = rate)]
    pub volume_per_second: Option<f64>,
    /// Part of the ticks whose timestamp is a minute to three hours old.
    #[arg(long, default_value_t = 0.0, value_parser = fraction, value_name = "FRACTION")]
    pub late: f64,
    /// Part of the messages that are no valid tick, in thirty ways; in seven where values are a
    /// feed's.
    #[arg(long, default_value_t = 0.0, value_parser = fraction, value_name = "FRACTION")]
    pub broken: f64,
    /// Adds bid, ask, sequence and conditions to the pipeline's own form; the layers need --map
    /// sequence=sequence.
    #[arg(long)]
    pub beside: bool,
    /// Part of the ticks that are valid and odd all the same: wrong_price, far_price, new_level,
    /// volume_burst, silence, market_silence; and, with what --beside adds, outside_quotes,
    /// excluded_condition, sequence_hole, sequence_step, cancel, correction; such as
    /// wrong_price=0.001, repeatable. Their record header `odd` says which.
    #[arg(long, value_name = "KIND=FRACTION")]
    pub odd: Vec<Share>,
    /// The Kafka record's timestamp, which decides the archive's folder. Default: market with
    /// --ticks, now with --rate.
    #[arg(long, value_enum)]
    pub record_time: Option<RecordTime>,
}

/// Which time a Kafka record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordTime {
    /// The market's, as if the message had been sent then.
    Market,
    /// The moment of sending.
    Now,
}

/// What was sent.
#[derive(Debug, Default, Serialize)]
pub struct Sent {
    pub messages: u64,
    /// Including the late ones.
    pub valid: u64,
    pub broken: u64,
    pub late: u64,
    pub odd: u64,
    pub per_partition: Vec<u64>,
    pub seconds: f64,
}

/// Sends the simulated market, until it ends or `shutdown`; everything sent is acknowledged when it
/// returns.
///
/// # Errors
/// Brokers or topic that are not there, or messages that they do not take.
pub async fn run(args: &SimulateArgs, shutdown: &CancellationToken) -> anyhow::Result<Sent> {
    let waiting = args.kafka.await_topic(PATIENCE);
    let partitions = shutdown
        .run_until_cancelled(waiting)
        .await
        .context("stopped while waiting for Kafka")??;
    let feed = Feed::new(args.plan(jiff::Timestamp::now())?)?;
    let sending = Sending {
        sender: Sender::new(args.kafka.client_config(), &args.kafka.topic)?,
        record_time: args.record_time.unwrap_or(if args.rate.is_some() {
            RecordTime::Now
        } else {
            RecordTime::Market
        }),
        in_real_time: args.rate.is_some(),
        shutdown: shutdown.clone(),
        totals: Sent::default(),
    };
    let mut totals = tokio::task::spawn_blocking(move || sending.send_all(feed))
        .await
        .context("the sending thread")??;
    totals.per_partition.resize(partitions.len(), 0);
    Ok(totals)
}

impl SimulateArgs {
    fn plan(&self, now: jiff::Timestamp) -> anyhow::Result<Plan> {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let back = if self.ticks.is_some() { micros(self.span) } else { 0 };
        let start = self.start.map_or(now.as_microsecond() - back, jiff::Timestamp::as_microsecond);
        let pace = match (self.ticks, self.rate) {
            (Some(ticks), _) => Pace::Spread { start, span: micros(self.span), ticks },
            (None, Some(rate)) => {
                let ticks = self.duration.map(|duration| (duration.as_secs_f64() * rate) as u64);
                Pace::Steady { start, rate, ticks }
            }
            (None, None) => anyhow::bail!("give --ticks or --rate"),
        };
        let needs_beside = self.odd.iter().find(|share| share.oddity.is_beside());
        if let Some(share) = needs_beside.filter(|_| !self.shape.is_own()) {
            let kind = share.oddity.name();
            anyhow::bail!(
                "--odd {kind} shows in the pipeline's own form alone: give --shape bare, envelope or mixed"
            );
        }
        Ok(Plan {
            seed: self.seed,
            market_seed: self.seed,
            symbols: self.symbols as usize,
            shape: self.shape,
            high_low: self.high_low,
            beside: self.beside || needs_beside.is_some(),
            volumes: Volumes {
                fractional: self.fractional,
                absent: self.without_volume,
                per_second: self.volume_per_second,
            },
            late: self.late,
            broken: self.broken,
            odd: self.odd.clone(),
            pace,
        })
    }
}

struct Sending {
    sender: Sender,
    record_time: RecordTime,
    in_real_time: bool,
    shutdown: CancellationToken,
    totals: Sent,
}

impl Sending {
    fn send_all(mut self, mut feed: Feed) -> anyhow::Result<Sent> {
        let started = Instant::now();
        let mut next_progress = PROGRESS_EVERY;
        let mut pacer = None;
        while let Some(message) = feed.next_message() {
            if self.in_real_time {
                let pacer = pacer.get_or_insert_with(|| Pacer::new(message.time));
                pacer.wait(message.time, &self.shutdown, || self.sender.poll());
            }
            if self.shutdown.is_cancelled() {
                break;
            }
            self.send(&message)?;
            if self.totals.messages.is_multiple_of(1024) {
                self.sender.poll();
                if started.elapsed() >= next_progress {
                    next_progress += PROGRESS_EVERY;
                    let rate = self.totals.messages as f64 / started.elapsed().as_secs_f64();
                    tracing::info!("{} messages sent, {rate:.0}/s", self.totals.messages);
                }
            }
        }
        self.totals.per_partition = self.sender.finish(PATIENCE)?;
        self.totals.seconds = started.elapsed().as_secs_f64();
        Ok(self.totals)
    }

    fn send(&mut self, message: &Message<'_>) -> anyhow::Result<()> {
        self.sender.send(Outgoing {
            headers: &message.headers(),
            key: Some(message.key.as_bytes()),
            value: message.value,
            timestamp: (self.record_time == RecordTime::Market).then_some(message.time / 1000),
            ..Outgoing::default()
        })?;
        self.totals.messages += 1;
        self.totals.odd += u64::from(message.odd.is_some());
        match message.kind {
            Kind::Broken(_) => self.totals.broken += 1,
            Kind::Late => {
                self.totals.late += 1;
                self.totals.valid += 1;
            }
            Kind::OnTime => self.totals.valid += 1,
        }
        Ok(())
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction: f64 = text.parse().map_err(|_| "expected a fraction such as 0.001".to_owned())?;
    if (0.0..=1.0).contains(&fraction) {
        Ok(fraction)
    } else {
        Err("expected a fraction from 0 to 1".to_owned())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 =
        text.parse().map_err(|_| "expected a number of messages a second".to_owned())?;
    if rate.is_finite() && rate > 0.0 {
        Ok(rate)
    } else {
        Err("expected a number above zero".to_owned())
    }
}
