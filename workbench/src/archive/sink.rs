//! The archiver's loop: topic to bucket.

use super::args::ArchiveArgs;
use super::caught_up::{LOOK_EVERY, Others};
use super::convert::{Converted, Form, Position, Record, convert_as};
use super::objects::{Naming, OpenObjects};
use super::schemas::Registry;
use super::subscription::{Revoked, Subscription, subscribe};
use super::upload::Uploader;
use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde::Serialize;
use service::kafka::topic_id::{self, NoDescription};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testing::kafka::{Outgoing, Quiet, Sender};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How long the brokers may be away at the start.
const BROKER_PATIENCE: Duration = Duration::from_secs(60);

/// How long the brokers may take to tell where the group and the log stand.
const ASKING_PATIENCE: Duration = Duration::from_secs(5);

/// How long the dead-letter topic may take to acknowledge.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(30);

/// What to do for a topic that was made anew.
const OWN_FOLDER: &str = "give the archiver a folder and a group of their own for it, by --topics-dir and --group-id \
                          (docs/operations.md, \"A topic that was made anew\")";

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Archived {
    pub lines: u64,
    pub dead_letters: u64,
    /// Those by what is wrong with them.
    pub left_out: BTreeMap<&'static str, u64>,
    pub ignored: u64,
    /// Offsets that Kafka had lost before they were read.
    pub lost: u64,
    pub objects: u64,
}

/// Archives until `shutdown`, or until caught up if asked so. Open objects are written and
/// committed before it returns.
///
/// # Errors
/// Brokers, topic or store that are not there, and stay away; a store that does not take what is
/// open once `shutdown` has come; an object of another topic where one is to be written.
pub async fn run(args: &ArchiveArgs, shutdown: &CancellationToken) -> anyhow::Result<Archived> {
    let waiting = args.kafka.await_topic(BROKER_PATIENCE);
    let partitions = shutdown
        .run_until_cancelled(waiting)
        .await
        .context("stopped while waiting for Kafka")??;
    let (consumer, revoked) = subscribe(args)?;
    let uploader = Uploader::new(&args.store, args.gzip, shutdown.clone());
    uploader.find_bucket().await?;
    let mut sink = Sink::new(args, Arc::clone(&consumer), revoked, uploader)?;
    shutdown.run_until_cancelled(sink.identify()).await;
    let mut others =
        Others::new(Arc::clone(&consumer), (&args.kafka.topic, &args.group_id), partitions);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_rotation = rotation_after(now_ms(), args.rotate);
    let is_done = |sink: &Sink, others: &Others| {
        args.until_caught_up && others.are_done(|id| sink.has_read(id))
    };
    while !shutdown.is_cancelled() && !is_done(&sink, &others) {
        let until_rotation = Duration::from_millis(next_rotation.saturating_sub(now_ms()));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(until_rotation) => {
                if let Some(Some(before)) = shutdown.run_until_cancelled(sink.identify()).await {
                    sink.leave_topic(&before).await?;
                }
                sink.flush_all().await?;
                next_rotation = rotation_after(now_ms(), args.rotate);
            }
            _ = looks.tick(), if args.until_caught_up => {
                sink.follow_assignment();
                shutdown.run_until_cancelled(others.look()).await;
            }
            received = consumer.recv() => sink.accept(received).await?,
        }
    }
    sink.flush_all().await?;
    Ok(sink.totals)
}

struct Sink {
    topic: String,
    form: Form,
    registry: Registry,
    flush_size: usize,
    naming: Naming,
    uploader: Uploader,
    consumer: Arc<StreamConsumer<Subscription>>,
    revoked: Revoked,
    dead_letters: Option<Sender>,
    /// For questions about the topic.
    inquirer: Arc<BaseConsumer<Quiet>>,
    /// Of the topic that is read; empty as long as nobody has told it.
    topic_id: String,
    /// Whether it was said that the topic is gone.
    said_gone: bool,
    partitions: BTreeMap<i32, Partition>,
    totals: Archived,
}

struct Partition {
    objects: OpenObjects,
    /// What is to be committed once the open objects are written; None where nothing was read yet.
    next_offset: Option<i64>,
    /// What is to follow on what was read last.
    reached: i64,
    at_end: bool,
    /// Nothing of it was read yet.
    is_new: bool,
}

impl Sink {
    fn new(
        args: &ArchiveArgs,
        consumer: Arc<StreamConsumer<Subscription>>,
        revoked: Revoked,
        uploader: Uploader,
    ) -> anyhow::Result<Self> {
        let dead_letters = args
            .dead_letter_topic
            .as_deref()
            .map(|topic| Sender::new(args.kafka.client_config(), topic));
        Ok(Self {
            topic: args.kafka.topic.clone(),
            form: Form { keys: args.keys, record_time: args.record_time, wrap: args.wrap },
            registry: Registry::new(&args.registry)?,
            flush_size: args.flush_size.max(1),
            naming: Naming {
                folder: args.topics_dir.trim_end_matches('/').to_owned(),
                topic: args.kafka.topic.clone(),
                gzip: args.gzip,
            },
            uploader,
            consumer,
            revoked,
            dead_letters: dead_letters.transpose()?,
            inquirer: Arc::new(args.kafka.inquirer()?),
            topic_id: String::new(),
            said_gone: false,
            partitions: BTreeMap::new(),
            totals: Archived::default(),
        })
    }

    /// Whether a partition has been read to its end since the start; `None` where nothing of it was
    /// read, as of one that another member has.
    fn has_read(&self, partition: i32) -> Option<bool> {
        self.partitions.get(&partition).map(|partition| partition.at_end)
    }

    /// Asks for the topic's id. Gives the one that it had before, where it is another one now.
    async fn identify(&mut self) -> Option<String> {
        let (inquirer, topic) = (Arc::clone(&self.inquirer), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            topic_id::describe(&inquirer, &topic, ASKING_PATIENCE)
        });
        match asked.await.ok()? {
            Ok(found) if found.topic_id.is_empty() => None,
            Ok(found) => {
                self.said_gone = false;
                let before = std::mem::replace(&mut self.topic_id, found.topic_id);
                (!before.is_empty() && before != self.topic_id).then_some(before)
            }
            Err(NoDescription::Missing) if !self.said_gone => {
                self.said_gone = true;
                tracing::warn!("the brokers have no topic {} any more", self.topic);
                None
            }
            Err(_) => None,
        }
    }

    /// Says it where the topic is another one of its name. What is open is still of the old one.
    async fn leave_topic(&mut self, before: &str) -> anyhow::Result<()> {
        self.write_open_of(before).await?;
        tracing::warn!(
            "topic {} was made anew (its id was {before} and is {}): what follows goes into the same folder, where \
             objects of both may get the same name; {OWN_FOLDER}",
            self.topic,
            self.topic_id
        );
        Ok(())
    }

    /// Writes what is open, without commit: its offsets say nothing of the log that is there now.
    async fn write_open_of(&mut self, topic_id: &str) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        for partition in self.partitions.values_mut() {
            objects.extend(partition.objects.cut(&self.naming));
            partition.next_offset = None;
        }
        self.totals.objects += objects.len() as u64;
        self.uploader.upload(objects, topic_id).await
    }

    /// A partition that begins again has another log than before.
    async fn note_going_back(&mut self, position: Position) -> anyhow::Result<()> {
        let Position { partition, offset } = position;
        let reached = std::mem::replace(&mut self.partition(partition).reached, offset + 1);
        if offset >= reached {
            return Ok(());
        }
        tracing::warn!(
            partition,
            "partition {partition} of {} goes back from offset {reached} to {offset}: the topic was made anew, or Kafka \
             has lost the end of its log",
            self.topic
        );
        match self.identify().await {
            Some(before) => self.leave_topic(&before).await,
            None => self.write_open_of(&self.topic_id.clone()).await,
        }
    }

    async fn accept(
        &mut self,
        received: Result<BorrowedMessage<'_>, KafkaError>,
    ) -> anyhow::Result<()> {
        self.follow_assignment();
        match received {
            Ok(message) => self.archive(&message).await,
            Err(KafkaError::PartitionEOF(partition)) => {
                self.partition(partition).at_end = true;
                Ok(())
            }
            Err(error) => {
                tracing::warn!("reading topic {}: {error}; the client goes on trying", self.topic);
                Ok(())
            }
        }
    }

    /// A partition that went to another member takes its open objects with it: they were not
    /// committed.
    fn follow_assignment(&mut self) {
        while let Ok(partitions) = self.revoked.try_recv() {
            self.partitions.retain(|partition, _| !partitions.contains(partition));
        }
    }

    fn partition(&mut self, partition: i32) -> &mut Partition {
        self.partitions.entry(partition).or_insert_with(|| Partition {
            objects: OpenObjects::new(partition),
            next_offset: None,
            reached: 0,
            at_end: false,
            is_new: true,
        })
    }

    /// Says it where Kafka has no more what follows on the group's last commit.
    fn note_lost(&mut self, Position { partition, offset }: Position) {
        if !self.partition(partition).is_new {
            return;
        }
        self.partition(partition).is_new = false;
        let Some(lost) = self.lost_before(partition).filter(|lost| lost.start < lost.end) else {
            return;
        };
        let (first, last) = (lost.start, lost.end - 1);
        self.totals.lost += (lost.end - lost.start).cast_unsigned();
        tracing::warn!(
            partition,
            "Kafka has lost offsets {first} to {last} of partition {partition} of {}, and the archive never gets them: \
             it goes on with offset {offset}",
            self.topic
        );
    }

    /// What lies between the group's commit and the beginning of Kafka's log. Says it where the
    /// commit is of another topic.
    fn lost_before(&self, partition: i32) -> Option<Range<i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, partition);
        let committed = self.consumer.committed_offsets(asked, ASKING_PATIENCE).ok()?;
        let committed = committed.elements();
        let committed = committed.first()?;
        let Offset::Offset(next) = committed.offset() else { return None };
        if is_of_another(committed.metadata(), &self.topic_id) {
            tracing::warn!(
                partition,
                "the group's offset {next} of partition {partition} is of another topic {} (its id was {}, and is {}), and \
                 what this one has before it is not archived: {OWN_FOLDER}",
                self.topic,
                committed.metadata(),
                self.topic_id
            );
            return None;
        }
        let (low, _) =
            self.consumer.fetch_watermarks(&self.topic, partition, ASKING_PATIENCE).ok()?;
        Some(next..low)
    }

    async fn archive(&mut self, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let position = Position { partition: message.partition(), offset: message.offset() };
        self.note_lost(position);
        self.note_going_back(position).await?;
        let flush_size = self.flush_size;
        let timestamp = message.timestamp().to_millis().unwrap_or_else(|| now_ms().cast_signed());
        let value = message.payload().unwrap_or_default();
        self.registry.learn(value).await?;
        let (form, key) = (self.form, message.key());
        let converted = match self.registry.json(value) {
            Ok(value) => convert_as(form, &Record { key, value, timestamp, position }),
            Err(why) => Converted::DeadLetter(why),
        };
        match converted {
            Converted::Line(line) => {
                self.partition(position.partition).objects.push(position.offset, timestamp, &line);
                self.totals.lines += 1;
            }
            Converted::DeadLetter(why) => {
                self.send_dead_letter(message, why)?;
                self.note_left_out(position, why);
            }
            Converted::Ignored => self.totals.ignored += 1,
        }
        let partition = self.partition(position.partition);
        partition.next_offset = Some(position.offset + 1);
        if partition.objects.lines() >= flush_size {
            self.flush(&[position.partition]).await?;
        }
        Ok(())
    }

    fn note_left_out(&mut self, Position { partition, offset }: Position, why: &'static str) {
        self.totals.dead_letters += 1;
        let count = self.totals.left_out.entry(why).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(
                partition,
                offset,
                "the archive gets no line of message {partition}/{offset}, nor of others like it: {why}"
            );
        }
    }

    fn send_dead_letter(&self, message: &BorrowedMessage<'_>, why: &str) -> anyhow::Result<()> {
        let Some(dead_letters) = &self.dead_letters else {
            return Ok(());
        };
        let headers = [
            ("__connect.errors.topic", self.topic.clone()),
            ("__connect.errors.partition", message.partition().to_string()),
            ("__connect.errors.offset", message.offset().to_string()),
            ("__connect.errors.exception.message", why.to_owned()),
        ];
        dead_letters.send(Outgoing {
            headers: &headers,
            key: message.key(),
            value: message.payload(),
            ..Outgoing::default()
        })
    }

    async fn flush_all(&mut self) -> anyhow::Result<()> {
        self.follow_assignment();
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        self.flush(&all).await
    }

    /// Writes the open objects of these partitions, and only then commits how far they reach.
    async fn flush(&mut self, partitions: &[i32]) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        let mut offsets = TopicPartitionList::new();
        for id in partitions {
            let Some(partition) = self.partitions.get_mut(id) else { continue };
            objects.extend(partition.objects.cut(&self.naming));
            if let Some(next) = partition.next_offset.take() {
                let mut element = offsets.add_partition(&self.topic, *id);
                element.set_offset(Offset::Offset(next)).context("a list of offsets")?;
                if !self.topic_id.is_empty() {
                    element.set_metadata(&self.topic_id);
                }
            }
        }
        self.totals.objects += objects.len() as u64;
        self.uploader.upload(objects, &self.topic_id).await?;
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.finish(DELIVERY_PATIENCE)?;
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        // A commit that comes too late, after a rebalance, costs duplicates, as with the real sink.
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Sync) {
            tracing::warn!(
                "committing offsets of topic {}: {error}; some lines may be archived twice",
                self.topic
            );
        }
        Ok(())
    }
}

/// Whether a commit's words are the id of another topic. Kafka's ids have 22 characters; a real
/// sink commits no words.
fn is_of_another(words: &str, topic_id: &str) -> bool {
    const ID_LENGTH: usize = 22;
    words.len() == ID_LENGTH && !topic_id.is_empty() && words != topic_id
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The next multiple of `interval` on the wall clock, in milliseconds of the epoch.
fn rotation_after(now_ms: u64, interval: Duration) -> u64 {
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    (now_ms / interval).saturating_add(1).saturating_mul(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_another_topic_is_known_by_its_id() {
        let (one, other) = ("4gBcXYcSRcWbNc0RZFYNdw", "QX9ux1ZwQ8iC4HpTgwbtpA");
        assert!(is_of_another(one, other));
        for (words, id) in [(one, one), ("", one), (one, ""), ("metadata", one)] {
            assert!(!is_of_another(words, id), "{words} {id}");
        }
    }

    #[test]
    fn rotation_comes_at_multiples_of_the_interval() {
        let every = Duration::from_secs(6);
        assert_eq!(rotation_after(0, every), 6000);
        assert_eq!(rotation_after(5999, every), 6000);
        assert_eq!(rotation_after(6000, every), 12_000);
        assert_eq!(rotation_after(7, Duration::ZERO), 8);
    }
}
