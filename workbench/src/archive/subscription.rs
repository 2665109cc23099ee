//! The archiver's membership in its consumer group.

use super::args::ArchiveArgs;
use anyhow::Context;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testing::kafka::Quiet;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tells the sink which partitions are revoked, before any message that comes after.
pub struct Subscription {
    says_revoked: UnboundedSender<Vec<i32>>,
    is_member: AtomicBool,
}

impl Subscription {
    /// Whether the group has given this member its partitions, be it none.
    pub fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Acquire)
    }
}

impl ClientContext for Subscription {
    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for Subscription {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let partitions =
                partitions.elements().iter().map(|element| element.partition()).collect();
            // Nobody listens any more once the sink has ended.
            let _ = self.says_revoked.send(partitions);
        }
    }

    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.is_member.store(true, Ordering::Release);
        }
    }
}

/// Partitions that went to others, by revocation.
pub type Revoked = UnboundedReceiver<Vec<i32>>;

/// Joins the group. Offsets are committed by hand; a partition without any starts at its beginning.
pub fn subscribe(
    args: &ArchiveArgs,
) -> anyhow::Result<(Arc<StreamConsumer<Subscription>>, Revoked)> {
    let (says_revoked, revoked) = unbounded_channel();
    let mut config = args.kafka.client_config();
    config
        .set("group.id", &args.group_id)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        // As the connector's own setting: after a kill the next one need not wait long for the old
        // one's session.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "2000")
        // With its default of a second the client sleeps whenever its queue is full.
        .set("fetch.queue.backoff.ms", "5");
    let consumer: StreamConsumer<Subscription> = config
        .create_with_context(Subscription { says_revoked, is_member: AtomicBool::new(false) })
        .context("set up the Kafka consumer")?;
    let topic = args.kafka.topic.as_str();
    consumer.subscribe(&[topic]).with_context(|| format!("subscribe to topic {topic}"))?;
    Ok((Arc::new(consumer), revoked))
}
