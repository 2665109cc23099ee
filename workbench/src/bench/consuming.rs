//! What reading the topic costs by itself: the yardstick for the speed layer's CPU seconds.

use super::process::cpu_seconds;
use super::rows::Backlog;
use anyhow::{Context, ensure};
use clap::Parser;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use speed_layer::Config;
use speed_layer::kafka::{self, MessageQueues, Polled, Rebalance};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(600);
const WAIT: Duration = Duration::from_millis(5);
const AT_ONCE: usize = 512;

/// CPU seconds to get all messages from librdkafka as the speed layer gets them, and to do nothing
/// with them.
///
/// # Errors
/// Kafka that is not there.
pub fn cpu_of_consuming(backlog: &Backlog<'_>) -> anyhow::Result<f64> {
    let group = format!("{}-consuming", backlog.topic.name());
    let (brokers, topic) = (backlog.topic.brokers(), backlog.topic.name());
    let flags = ["speed-layer", "--kafka-brokers", brokers, "--topic", topic, "--group-id", &group];
    let config = Config::try_parse_from(flags)?;
    let before = cpu_seconds(std::process::id())?;
    let consumer = kafka::consumer(&config, "speed-layer")?;
    kafka::subscribe(&consumer, &config)?;
    let read = read_all(&consumer, topic, backlog.messages);
    // Or the consumer would wait, when it is dropped, for somebody to agree that its partitions are
    // given up.
    consumer.context().close();
    read?;
    Ok(cpu_seconds(std::process::id())? - before)
}

fn read_all(consumer: &kafka::Consumer, topic: &str, messages: u64) -> anyhow::Result<()> {
    let mut queues = MessageQueues::new(consumer, 1).context("no memory for a queue")?;
    let (mut count, deadline) = (0, Instant::now() + PATIENCE);
    while count < messages {
        ensure!(
            Instant::now() < deadline,
            "{count} of {messages} messages were read in ten minutes"
        );
        // The consumer's own queue brings rebalances only.
        consumer.poll(Duration::ZERO);
        for rebalance in consumer.context().take_reports().rebalances {
            if let Rebalance::Assign(mut partitions) = rebalance {
                for partition in partitions.elements() {
                    queues.forward(0, consumer, topic, partition.partition());
                }
                partitions.set_all_offsets(Offset::Beginning)?;
                kafka::assign(consumer, &partitions)?;
            }
        }
        queues.drain(WAIT, &[AT_ONCE], |polled| {
            count += u64::from(matches!(polled, Polled::Message(_)))
        });
    }
    Ok(())
}
