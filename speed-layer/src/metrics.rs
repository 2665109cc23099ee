//! The metrics; docs/metrics.md says what each means and when to worry.

use crate::batch::Batch;
use crate::detection::SymbolFinding;
use crate::latency::LatencyHistogram;
use crate::source::TopicPartition;
use common::{Reason, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTarget {
    target: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPartition {
    topic: String,
    partition: i32,
}

impl From<&TopicPartition> for ByPartition {
    fn from(at: &TopicPartition) -> Self {
        Self { topic: at.topic.clone(), partition: at.partition }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// Not shown: the histogram of batches has their sum.
    messages: Counter,
    ticks: Counter,
    without_volume: Counter,
    with_unread: Counter,
    rejected: Family<ByReason, Counter>,
    anomalies: Family<ByKind, Counter>,
    batches: Counter,
    batch_messages: Histogram,
    batch_write: Histogram,
    visible: LatencyHistogram,
    lag: Family<ByPartition, Gauge>,
    rebalances: Family<ByKind, Counter>,
    retries: Family<ByTarget, Counter>,
    pub fences: Counter,
    gaps: Counter,
    /// When the last gap was recorded, by any instance, in seconds of Unix time.
    last_gap: Gauge,
    /// Batches of the broker's that could not be read.
    pub damaged: Counter,
    /// Dead letters that were too large to be sent whole, or at all.
    pub letters_cut: Counter,
    stalled: Gauge,
    ready: Gauge,
    memory: Gauge,
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("speed_layer"),
            messages: Counter::default(),
            ticks: Counter::default(),
            without_volume: Counter::default(),
            with_unread: Counter::default(),
            rejected: Family::default(),
            anomalies: Family::default(),
            batches: Counter::default(),
            batch_messages: Histogram::new(exponential_buckets(1.0, 4.0, 10)),
            batch_write: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            visible: LatencyHistogram::default(),
            lag: Family::default(),
            rebalances: Family::default(),
            retries: Family::default(),
            fences: Counter::default(),
            gaps: Counter::default(),
            last_gap: Gauge::default(),
            damaged: Counter::default(),
            letters_cut: Counter::default(),
            stalled: Gauge::default(),
            ready: Gauge::default(),
            memory: Gauge::default(),
        };
        // A reason that has not happened yet is 0 rather than absent, so that an alert on its rate
        // works.
        for reason in Reason::ALL {
            drop(metrics.rejected.get_or_create(&ByReason { reason: reason.as_str() }));
        }
        for kind in anomalies::Kind::CAUSAL {
            drop(metrics.anomalies.get_or_create(&ByKind { kind: kind.name() }));
        }
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("ticks_written", "Ticks committed to realtime_stock", self.ticks.clone());
        let help = "Ticks among them without a volume: sums that hold one are null";
        r.register("ticks_without_volume", help, self.without_volume.clone());
        let help =
            "Ticks among them with a bid, an ask, conditions or a number that could not be read";
        r.register("ticks_with_unread_fields", help, self.with_unread.clone());
        r.register(
            "messages_rejected",
            "Messages committed to rejected_ticks",
            self.rejected.clone(),
        );
        r.register("anomalies_found", "Anomalies committed to anomalies", self.anomalies.clone());
        r.register("batches_written", "Transactions committed", self.batches.clone());
        r.register("batch_messages", "Messages in a batch", self.batch_messages.clone());
        let help = "From beginning to commit of a batch's transaction, without retries";
        r.register_with_unit("batch_write", help, Unit::Seconds, self.batch_write.clone());
        let help = "From a message's Kafka timestamp to the commit that makes it visible";
        r.register_with_unit("visible_latency", help, Unit::Seconds, self.visible.clone());
        r.register(
            "consumer_lag_messages",
            "Messages in the partition that are not written yet",
            self.lag.clone(),
        );
        r.register(
            "rebalances",
            "Assignments and revocations of partitions",
            self.rebalances.clone(),
        );
        r.register("retries", "Failed tries, by what was tried", self.retries.clone());
        r.register(
            "fences",
            "Batches dropped because another instance had moved the offsets",
            self.fences.clone(),
        );
        r.register("gaps_skipped", "Ranges of offsets recorded in kafka_gaps", self.gaps.clone());
        let help = "When the last row of kafka_gaps was recorded, by any instance; 0 without one";
        r.register_with_unit("last_gap_timestamp", help, Unit::Seconds, self.last_gap.clone());
        r.register(
            "damaged_batches",
            "Batches of a broker's that could not be read",
            self.damaged.clone(),
        );
        let help = "Rejected messages that the dead letter topic did not take whole";
        r.register("dead_letters_cut", help, self.letters_cut.clone());
        r.register(
            "stalled_partitions",
            "Partitions of this instance that are not read",
            self.stalled.clone(),
        );
        r.register("ready", "Whether /readyz answers 200", self.ready.clone());
        r.register_with_unit(
            "resident_memory",
            "Resident memory of the process",
            Unit::Bytes,
            self.memory.clone(),
        );
    }

    /// A batch was committed at `now`, after `took`.
    pub fn written(&self, batch: &Batch, took: Duration, now: Timestamp) {
        self.messages.inc_by(batch.messages.into());
        self.ticks.inc_by(batch.rows.count().into());
        self.without_volume.inc_by(batch.without_volume.into());
        self.with_unread.inc_by(batch.with_unread.into());
        for rejected in &batch.rejects {
            self.rejected_for(rejected.reject.reason).inc();
        }
        self.gaps_skipped(batch.gaps.len() as u64, now);
        self.batches.inc();
        self.batch_messages.observe(batch.messages.into());
        self.batch_write.observe(took.as_secs_f64());
        for (sent, messages) in &batch.sent {
            // A producer's clock may be ahead of ours.
            let micros = u64::try_from(now.micros() - sent.micros()).unwrap_or(0);
            self.visible.observe(Duration::from_micros(micros), *messages);
        }
    }

    /// Counts ranges of offsets that were recorded in `kafka_gaps`.
    pub fn gaps_skipped(&self, ranges: u64, now: Timestamp) {
        self.gaps.inc_by(ranges);
        if ranges > 0 {
            self.note_last_gap(now.micros() / 1_000_000);
        }
    }

    /// A range was recorded at this time, in seconds of Unix time. A counter tells nothing to a
    /// monitor that has not seen the process before.
    pub fn note_last_gap(&self, at: i64) {
        self.last_gap.inner().fetch_max(at, Ordering::Relaxed);
    }

    /// Findings of the detectors were committed.
    pub fn found(&self, all: &[SymbolFinding]) {
        for found in all {
            self.anomalies.get_or_create(&ByKind { kind: found.finding.kind.name() }).inc();
        }
    }

    fn rejected_for(&self, reason: Reason) -> Counter {
        self.rejected.get_or_create(&ByReason { reason: reason.as_str() }).clone()
    }

    /// How many messages and elements of messages were rejected so far, and how many were written
    /// in all. Messages of kinds that the flags exclude, such as heartbeats, are neither.
    pub fn read_so_far(&self) -> (u64, u64) {
        let reasons = Reason::ALL.into_iter().filter(|reason| *reason != Reason::OtherKind);
        // In this order: of a batch that is written meanwhile the ticks may be counted alone.
        let rejected = reasons.map(|reason| self.rejected_for(reason).get()).sum();
        (rejected, self.ticks.get() + rejected)
    }

    /// The number of messages with these, and of those of other kinds.
    pub fn messages_so_far(&self) -> u64 {
        self.messages.get()
    }

    pub fn retries(&self, target: &'static str) -> Counter {
        self.retries.get_or_create(&ByTarget { target }).clone()
    }

    pub fn rebalanced(&self, kind: &'static str) {
        self.rebalances.get_or_create(&ByKind { kind }).inc();
    }

    pub fn set_lag(&self, at: &TopicPartition, messages: i64) {
        self.lag.get_or_create(&at.into()).set(messages);
    }

    pub fn set_stalled(&self, partitions: usize) {
        self.stalled.set(partitions as i64);
    }

    /// The partition is no longer ours: its lag is another instance's to tell.
    pub fn forget_lag(&self, at: &TopicPartition) {
        self.lag.remove(&at.into());
    }

    /// No partition is ours any more.
    pub fn forget_partitions(&self) {
        self.lag.clear();
        self.stalled.set(0);
    }

    /// All metrics in the OpenMetrics text format. `is_ready`: as `/readyz` answers at this moment.
    pub fn render(&self, is_ready: bool) -> String {
        self.ready.set(is_ready.into());
        self.memory.set(resident_bytes().unwrap_or_default());
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    i64::try_from(rustix::param::page_size()).ok().map(|bytes| pages * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_other_kinds_are_not_counted_among_those_that_come_first() {
        let metrics = Metrics::new();
        metrics.rejected_for(Reason::OtherKind).inc_by(90);
        assert_eq!(metrics.read_so_far(), (0, 0));
        metrics.rejected_for(Reason::NotJson).inc_by(4);
        metrics.ticks.inc_by(6);
        assert_eq!(metrics.read_so_far(), (4, 10));
    }

    #[test]
    fn a_message_with_several_ticks_is_one() {
        let metrics = Metrics::new();
        let mut batch = Batch::default();
        batch.messages += 3;
        metrics.written(&batch, Duration::ZERO, Timestamp::now());
        assert_eq!(metrics.messages_so_far(), 3);
    }

    #[test]
    fn ticks_without_a_volume_and_with_what_could_not_be_read_have_metrics() {
        let (metrics, mut batch) = (Metrics::new(), Batch::default());
        (batch.without_volume, batch.with_unread) = (3, 2);
        metrics.written(&batch, Duration::ZERO, Timestamp::now());
        let text = metrics.render(true);
        for line in ["without_volume_total 3", "with_unread_fields_total 2"] {
            assert!(text.contains(&format!("\nspeed_layer_ticks_{line}\n")), "{text}");
        }
    }

    #[test]
    fn the_time_of_the_last_gap_is_the_latest_that_is_known() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let metrics = Metrics::new();
        metrics.gaps_skipped(0, at(900));
        assert_eq!((metrics.gaps.get(), metrics.last_gap.get()), (0, 0));
        metrics.note_last_gap(700);
        metrics.gaps_skipped(2, at(800));
        metrics.note_last_gap(750);
        assert_eq!((metrics.gaps.get(), metrics.last_gap.get()), (2, 800));
        let text = metrics.render(true);
        assert!(text.contains("\nspeed_layer_last_gap_timestamp_seconds 800\n"), "{text}");
    }
}
