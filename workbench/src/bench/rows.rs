//! What both sides of the comparison write: a topic's ticks, sent once and then read by each.

use crate::simulate::Shape;
use crate::simulate::feed::{Feed, Pace, Plan};
use anyhow::anyhow;
use common::decode::{Decoder, RecordContext, Rules};
use common::{Price, Tick, Timestamp};
use rdkafka::Message as _;
use speed_layer::SourcePartition;
use speed_layer::batch::{Batch, Message};
use std::time::Duration;
use testing::kafka::{Outgoing, Sender, client_config};
use testing::{TestTopic, avro_bytes, avro_long, framed};

pub const PARTITIONS: i32 = 4;
const SYMBOLS: usize = 500;
/// A trading day of 6.5 hours.
const SPAN: i64 = 23_400_000_000;
/// 2025-06-06T09:30:00 in New York.
const START: i64 = 1_749_216_600_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be drained, and how.
#[derive(Clone, Copy)]
pub struct Backlog<'a> {
    pub topic: &'a TestTopic,
    pub messages: u64,
    pub batch_rows: u32,
    /// Instances.
    pub workers: u32,
    /// Connections that each writes through.
    pub writers: u32,
    /// Whether anomalies are looked for meanwhile.
    pub anomalies: bool,
    /// How its values are read.
    pub reading: &'a [&'a str],
}

/// The number that a registry has for [`AVRO`].
pub const AVRO_ID: u32 = 1;
/// What bare ticks are as Avro: with the types that most producers take.
pub const AVRO: &str = r#"{"type":"record","name":"Tick","fields":[{"name":"symbol","type":"string"},
    {"name":"timestamp","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"open","type":"double"},
    {"name":"close","type":"double"},{"name":"volume","type":["null","long"]}]}"#;

/// Fills the topic with `ticks` messages of a simulated trading day, of which the part `broken` is
/// no tick.
pub fn send(topic: &TestTopic, ticks: u64, shape: Shape, broken: f64) -> anyhow::Result<()> {
    send_as(topic, ticks, shape, broken, |json| Ok(json.to_vec()))
}

/// Fills the topic with the ticks of [`Shape::Bare`] as [`AVRO`].
pub fn send_avro(topic: &TestTopic, ticks: u64) -> anyhow::Result<()> {
    let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
    send_as(topic, ticks, Shape::Bare, 0.0, |json| {
        let record = decoder.decode(json, &RecordContext::NOTHING);
        let record = record.map_err(|reject| anyhow!("a simulated message is no tick: {reject}"));
        Ok(avro(&record?.tick))
    })
}

/// In the registry's wire format.
fn avro(tick: &Tick<'_>) -> Vec<u8> {
    let double = |price: Price| (price.nanos() as f64 / 1e9).to_le_bytes().to_vec();
    let volume = tick.volume().map(|volume| avro_long(volume.whole().cast_signed()));
    let members = [
        avro_bytes(tick.symbol().as_str().as_bytes()),
        avro_long(tick.timestamp().micros()),
        double(tick.prices().open),
        double(tick.prices().close),
        avro_long(i64::from(volume.is_some())),
        volume.unwrap_or_default(),
    ];
    framed(AVRO_ID, &members.concat())
}

/// `encode` makes the message of what is simulated.
fn send_as(
    topic: &TestTopic,
    ticks: u64,
    shape: Shape,
    broken: f64,
    mut encode: impl FnMut(&[u8]) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<()> {
    let pace = Pace::Spread { start: START, span: SPAN, ticks };
    let mut feed = Feed::new(Plan { broken, ..Plan::plain(1, SYMBOLS, shape, pace) })?;
    let sender = Sender::new(client_config(topic.brokers()), topic.name())?;
    while let Some(message) = feed.next_message() {
        let value = message.value.map(&mut encode).transpose()?;
        sender.send(Outgoing {
            key: Some(message.key.as_bytes()),
            value: value.as_deref(),
            ..Outgoing::default()
        })?;
    }
    sender.finish(PATIENCE)?;
    Ok(())
}

/// Reads the topic as the speed layer does and encodes everything beforehand, `batch_rows` messages
/// a batch.
pub fn encoded(topic: &TestTopic, batch_rows: u32) -> anyhow::Result<Vec<Batch>> {
    let mut decoder = Decoder::new(Rules::default(), Timestamp::now());
    let mut batches = vec![Batch::default()];
    topic.read(|message| {
        let (partition, offset) = (message.partition(), message.offset());
        if batches.last().is_some_and(|batch| batch.is_full(batch_rows)) {
            batches.push(Batch::default());
        }
        if let Some(batch) = batches.last_mut() {
            let message = Message {
                topic: topic.name(),
                partition,
                offset,
                timestamp: None,
                key: None,
                value: message.payload(),
            };
            let source = SourcePartition { source: 1, partition };
            batch.push(&mut decoder, &message, source, offset, |_, _, _| ());
        }
        Ok(())
    })?;
    Ok(batches)
}
