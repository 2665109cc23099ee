//! [`Log`], by librdkafka.

use super::answer::{LogRange, held};
use crate::args::KafkaArgs;
use anyhow::Context;
use common::Timestamp;
use common::decode::RecordContext;
use hourly::hour::Hour;
use hourly::scan::Runs;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use service::Failure;
use service::kafka::{Quiet, partitions, topic_id};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

/// How long the brokers may be silent while there is something to read.
const SILENCE: Duration = Duration::from_secs(30);
/// Reading on is cheaper than beginning again this many offsets later.
const WORTH_A_JUMP: u64 = 10_000;

/// Whether Kafka can be asked.
pub enum KafkaAccess {
    NotConfigured,
    Unreachable,
    Connected(Log),
}

/// A client that only asks and reads: it joins no group. Its calls block.
pub struct Log {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    /// Empty where the brokers do not tell it.
    pub topic_id: String,
    timeout: Duration,
}

impl Log {
    /// `None` where no brokers are given. Brokers that cannot be asked are said, and are no reason
    /// not to compare the rest.
    ///
    /// # Errors
    /// A property that librdkafka refuses, or a topic that is not there.
    pub fn connect(args: &KafkaArgs, topic: &str) -> Result<KafkaAccess, Failure> {
        let Some(brokers) = args.kafka_brokers.as_ref().filter(|brokers| !brokers.is_empty())
        else {
            return Ok(KafkaAccess::NotConfigured);
        };
        args.properties.check_login()?;
        let mut settings =
            args.properties.client_settings(brokers, "batch-layer", &[("log_level", "2")]);
        // The name is not used, but a consumer must have one.
        settings.set("group.id", "batch-layer-verify").set("enable.auto.commit", "false");
        settings.set("enable.partition.eof", "true");
        // Requests wait for their turn behind a fetch that waits for messages.
        settings.set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer<Quiet> = settings
            .create_with_context(Quiet)
            .context("the Kafka client refuses its settings (--kafka-brokers, --kafka-property)")
            .map_err(Failure::Configuration)?;
        if let Err(error) = consumer.fetch_metadata(None, args.kafka_timeout) {
            // What librdkafka has said meanwhile is more to the point than that time is over.
            let error =
                consumer.poll(Duration::ZERO).and_then(Result::err).map_or(error, |error| error);
            tracing::warn!(
                brokers,
                %error,
                "no Kafka broker answers at {brokers} (--kafka-brokers, --kafka-property): \
                 {error}; what PostgreSQL and the archive hold is compared without it"
            );
            return Ok(KafkaAccess::Unreachable);
        }
        partitions(&consumer, topic).map_err(|error| {
            Failure::Configuration(error.context(format!("topic {topic} at {brokers} (--topic)")))
        })?;
        let described = topic_id::describe(&consumer, topic, args.kafka_timeout);
        let topic_id = described.map(|described| described.topic_id).unwrap_or_default();
        Ok(KafkaAccess::Connected(Self {
            consumer,
            topic: topic.to_owned(),
            topic_id,
            timeout: args.kafka_timeout,
        }))
    }

    /// Kafka's offsets of some hours, by partition.
    ///
    /// # Errors
    /// Brokers that do not answer.
    pub fn spans(&self, hours: &Range<Hour>) -> anyhow::Result<BTreeMap<i32, LogRange>> {
        let mut spans = self.watermarks()?;
        for hour in Hour::each(hours.start..hours.end.plus(1)) {
            self.add_starts(hour, &mut spans)?;
        }
        Ok(spans)
    }

    /// The hours, of some, of which Kafka may have anything, in spans of a day at most.
    ///
    /// # Errors
    /// As [`Log::spans`].
    pub fn held(&self, hours: &Range<Hour>) -> anyhow::Result<Vec<Range<Hour>>> {
        let all = self.watermarks()?;
        // No record is older.
        let first = hours.start.max(Hour::of(Timestamp::from_micros(0)));
        held(first..hours.end, |hour| {
            let mut spans = all.clone();
            self.add_starts(hour, &mut spans)?;
            Ok(spans.into_values().flat_map(|span| span.starts).collect())
        })
    }

    /// Kafka's offsets of each partition.
    fn watermarks(&self) -> anyhow::Result<BTreeMap<i32, LogRange>> {
        let mut spans = BTreeMap::new();
        for partition in partitions(&self.consumer, &self.topic)? {
            let (low, high) = self
                .consumer
                .fetch_watermarks(&self.topic, partition, self.timeout)
                .with_context(|| format!("ask for the watermarks of {}/{partition}", self.topic))?;
            let span = LogRange {
                low: low.max(0).cast_unsigned(),
                high: high.max(0).cast_unsigned(),
                starts: Vec::new(),
            };
            spans.insert(partition, span);
        }
        Ok(spans)
    }

    fn add_starts(&self, hour: Hour, spans: &mut BTreeMap<i32, LogRange>) -> anyhow::Result<()> {
        // No record is older than 1970, and a negative number would not be taken for a time.
        let millis = (hour.start().micros() / 1000).max(0);
        let mut asked = TopicPartitionList::new();
        for partition in spans.keys() {
            asked.add_partition_offset(&self.topic, *partition, Offset::Offset(millis))?;
        }
        let found = self.consumer.offsets_for_times(asked, self.timeout);
        let found =
            found.with_context(|| format!("ask for the offsets of {} at {hour}", self.topic))?;
        for (partition, span) in spans {
            let offset = found.find_partition(&self.topic, *partition).map(|found| found.offset());
            // Where all records are older, there is no offset.
            let start = match offset {
                Some(Offset::Offset(offset)) => offset.max(0).cast_unsigned(),
                _ => span.high,
            };
            span.starts.push(start.clamp(span.low, span.high));
        }
        Ok(())
    }

    /// Shows those of some offsets of a partition, from one on, that hold a record to `each`, until
    /// that has enough: of a transaction some hold none, and compaction removes some. Gives where
    /// to go on, if it had.
    ///
    /// # Errors
    /// Brokers that do not answer.
    pub fn read(
        &self,
        partition: i32,
        offsets: (&Runs, u64),
        mut each: impl FnMut(u64, Option<&[u8]>, &RecordContext<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<Option<u64>> {
        let read = self.read_all(partition, offsets, &mut each);
        // What goes on being fetched would hold up whatever is asked next.
        self.consumer.unassign()?;
        read
    }

    fn read_all(
        &self,
        partition: i32,
        (offsets, from): (&Runs, u64),
        each: &mut impl FnMut(u64, Option<&[u8]>, &RecordContext<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<Option<u64>> {
        for range in offset_ranges(offsets).into_iter().filter(|range| range.end > from) {
            let range = range.start.max(from)..range.end;
            let read = self
                .read_range(partition, &range, &mut |offset, value, context| {
                    if offsets.contains(offset) {
                        each(offset, value, context)
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .with_context(|| {
                    format!("read {}/{partition} from offset {} on", self.topic, range.start)
                })?;
            if let ControlFlow::Break(next) = read {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// If `each` has enough, returns the offset after it.
    fn read_range(
        &self,
        partition: i32,
        range: &Range<u64>,
        each: &mut impl FnMut(u64, Option<&[u8]>, &RecordContext<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<ControlFlow<u64>> {
        const DONE: ControlFlow<u64> = ControlFlow::Continue(());
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(
            &self.topic,
            partition,
            Offset::Offset(range.start.cast_signed()),
        )?;
        self.consumer.assign(&assignment)?;
        let mut heard = Instant::now();
        while heard.elapsed() < SILENCE {
            match self.consumer.poll(Duration::from_millis(200)) {
                // The partition that was read before may still have had messages on their way.
                Some(Ok(message)) if message.partition() != partition => {}
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let offset = message.offset().cast_unsigned();
                    if offset >= range.end {
                        return Ok(DONE);
                    }
                    let millis = message.timestamp().to_millis().filter(|millis| *millis >= 0);
                    let time =
                        millis.map(|millis| Timestamp::from_micros(millis.saturating_mul(1000)));
                    let context =
                        RecordContext { key: message.key(), topic: Some(&self.topic), time };
                    if each(offset, message.payload(), &context).is_break() {
                        return Ok(ControlFlow::Break(offset + 1));
                    }
                    if offset + 1 == range.end {
                        return Ok(DONE);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(at))) if at == partition => return Ok(DONE),
                Some(Err(error)) => tracing::debug!("reading {}/{partition}: {error}", self.topic),
                None => {}
            }
        }
        anyhow::bail!("the brokers sent nothing for {SILENCE:?}")
    }
}

/// Ranges that cover the offsets, with little else.
fn offset_ranges(offsets: &Runs) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for run in offsets.iter() {
        match ranges.last_mut() {
            Some(range) if run.start - range.end < WORTH_A_JUMP => range.end = run.end,
            _ => ranges.push(run),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::VerifyArgs;
    use clap::Parser;
    use rdkafka::config::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
    use std::iter;

    fn one_message() -> (MockCluster<'static, DefaultProducerContext>, Log) {
        messages(1)
    }

    /// Brokers with a topic of some messages, for as long as the first of the two is there.
    fn messages(count: usize) -> (MockCluster<'static, DefaultProducerContext>, Log) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        for _ in 0..count {
            producer.send(BaseRecord::<(), str>::to("ticks").payload("a tick")).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let flags = [
            "verify",
            "--database-url",
            "postgres://u:p@h/d",
            "--kafka-brokers",
            &brokers,
            "--topic",
            "ticks",
        ];
        let args = VerifyArgs::try_parse_from(flags).unwrap();
        let KafkaAccess::Connected(log) = Log::connect(&args.kafka, "ticks").unwrap() else {
            panic!("the brokers answer");
        };
        (cluster, log)
    }

    #[test]
    fn hours_before_1970_can_be_asked_for() {
        let (_cluster, log) = one_message();
        let hour = Hour::parse("1905-05-30T07").unwrap();
        let LogRange { low, high, starts } =
            log.spans(&(hour..hour.plus(1))).unwrap().remove(&0).unwrap();
        // These brokers have no offsets of times.
        assert_eq!((low, high, starts.len()), (0, 1, 2));
    }

    /// Else each question to its broker would wait until a fetch is answered, which takes half a
    /// second.
    #[test]
    fn what_was_read_is_fetched_no_longer() {
        let (_cluster, log) = one_message();
        let mut read = Vec::new();
        let all = iter::once(0..1).collect();
        let rest = log.read(0, (&all, 0), |offset, _, _| {
            read.push(offset);
            ControlFlow::Continue(())
        });
        assert_eq!((rest.unwrap(), read), (None, vec![0]));
        assert_eq!(log.consumer.assignment().unwrap().count(), 0);
    }

    #[test]
    fn whoever_has_enough_goes_on_from_there() {
        let (_cluster, log) = messages(7);
        let asked = [0..3, 4..7].into_iter().collect();
        let (mut read, mut from) = (Vec::new(), Some(0));
        while let Some(start) = from {
            let mut count = 0;
            let rest = log.read(0, (&asked, start), |offset, _, _| {
                read.push(offset);
                count += 1;
                if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            from = rest.unwrap();
        }
        assert_eq!(read, [0, 1, 2, 4, 5, 6]);
    }

    #[test]
    fn offsets_that_lie_close_together_are_read_in_one_go() {
        let far = 1 << 40;
        let runs = [1..3, 5..6, 20_000..20_001, 20_100..20_101, 50_000..far, far + 9..far + 10];
        let expected = [1..6, 20_000..20_101, 50_000..far + 10];
        assert_eq!(offset_ranges(&runs.into_iter().collect()), expected);
    }
}
