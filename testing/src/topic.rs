//! [`TestTopic`]: a topic of a test's own.

use crate::eventually;
use crate::kafka::{Outgoing, Quiet, Sender, client_config, inquirer, read, watermarks};
use crate::stack::{clean_up, stack, unique_name};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use std::time::Duration;

/// How long one try may wait for its answer.
const TRY: Duration = Duration::from_secs(20);
/// A broker that starts while much else does takes its time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(180);

/// A topic of its own. It is deleted with the value, as far as the broker is there.
pub struct TestTopic {
    name: String,
    brokers: String,
}

/// One message of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestMessage {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds of the epoch; the moment of sending where there is none.
    pub timestamp: Option<i64>,
}

impl TestMessage {
    pub fn new(partition: i32, value: impl Into<Vec<u8>>) -> Self {
        Self { partition, value: Some(value.into()), ..Self::default() }
    }

    pub fn tombstone(partition: i32, key: impl Into<Vec<u8>>) -> Self {
        Self { partition, key: Some(key.into()), ..Self::default() }
    }

    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// `timestamp`: milliseconds of the epoch.
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

impl TestTopic {
    pub async fn create(partitions: i32) -> Self {
        Self::with_settings(partitions, &[]).await
    }

    /// `settings`: the topic's own, such as `cleanup.policy`.
    pub async fn with_settings(partitions: i32, settings: &[(&str, &str)]) -> Self {
        let name = unique_name("topic");
        let brokers = stack("STACK_KAFKA_BROKERS");
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        create(&brokers, &topic, true).await;
        Self { name, brokers }
    }

    /// On other brokers than the stack's. `replicas`: the nodes that hold each partition, the one
    /// that shall lead first.
    pub async fn placed(brokers: &str, replicas: &[&[i32]]) -> Self {
        Self::placed_with(brokers, replicas, &[]).await
    }

    /// `settings`: the topic's own.
    pub async fn placed_with(
        brokers: &str,
        replicas: &[&[i32]],
        settings: &[(&str, &str)],
    ) -> Self {
        let name = unique_name("topic");
        let topic = settings
            .iter()
            .fold(placed(&name, replicas), |topic, (setting, value)| topic.set(setting, value));
        create(brokers, &topic, true).await;
        Self { name, brokers: brokers.to_owned() }
    }

    /// Deletes it and creates one of the same name, which is another topic to Kafka.
    pub async fn make_anew(&self, partitions: i32) {
        self.delete().await;
        self.make_anew_after_delete(partitions).await;
    }

    pub async fn make_anew_after_delete(&self, partitions: i32) {
        // The name is free again only after a while.
        create(
            &self.brokers,
            &NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1)),
            false,
        )
        .await;
    }

    pub async fn delete(&self) {
        eventually("Kafka to delete the test's topic", ANSWERED_WITHIN, || async {
            let results = admin(&self.brokers).delete_topics(&[&self.name], &one_try()).await;
            results.map_err(|error| error.to_string())?.into_iter().try_for_each(|result| {
                match result {
                    // By a try whose answer did not come.
                    Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(()),
                    Err((_, code)) => Err(code.to_string()),
                }
            })
        })
        .await;
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Sends the records, in order within each partition, and returns once the broker has
    /// acknowledged all of them.
    pub async fn produce(&self, records: impl IntoIterator<Item = TestMessage>) {
        let records: Vec<TestMessage> = records.into_iter().collect();
        let sender = Sender::new(client_config(&self.brokers), &self.name)
            .expect("set up the test's producer");
        let sending = move || {
            for record in &records {
                sender.send(Outgoing {
                    partition: Some(record.partition),
                    headers: &[],
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    timestamp: record.timestamp,
                })?;
            }
            sender.finish(ANSWERED_WITHIN)
        };
        tokio::task::spawn_blocking(sending)
            .await
            .expect("the sending thread does not panic")
            .expect("send the test's records");
    }

    /// Gives every record that it has by now to `take`, in order within each partition.
    ///
    /// # Errors
    /// Brokers that do not answer, and what `take` says.
    pub fn read(
        &self,
        take: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let watermarks = (0..).zip(watermarks(&self.inquirer(), &self.name)?).collect();
        read(client_config(&self.brokers), &self.name, &watermarks, take)
    }

    /// The next offset of each partition.
    pub async fn high_watermarks(&self) -> Vec<i64> {
        let asked = self.ask(watermarks).await;
        asked.into_iter().map(|(_, high)| high).collect()
    }

    /// The next offset of one partition; the others need no leader for it.
    pub async fn high_watermark(&self, partition: i32) -> i64 {
        self.ask(move |consumer, name| Ok(consumer.fetch_watermarks(name, partition, TRY)?)).await.1
    }

    /// A leader may just be moving, and a client may have no broker left: it is asked until one
    /// answers, each time by a client of its own.
    async fn ask<T, F>(&self, question: F) -> T
    where
        T: Send + 'static,
        F: Fn(&BaseConsumer<Quiet>, &str) -> anyhow::Result<T> + Copy + Send + 'static,
    {
        eventually("Kafka to tell the topic's watermarks", ANSWERED_WITHIN, || async {
            let (consumer, name) = (self.inquirer(), self.name.clone());
            tokio::task::spawn_blocking(move || question(&consumer, &name))
                .await
                .expect("the asking thread does not panic")
        })
        .await
    }

    fn inquirer(&self) -> BaseConsumer<Quiet> {
        inquirer(&self.brokers).expect("set up the test's consumer")
    }
}

impl Drop for TestTopic {
    fn drop(&mut self) {
        let (name, brokers) = (self.name.clone(), self.brokers.clone());
        clean_up(|| async move {
            let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            let _ = admin(&brokers).delete_topics(&[&name], &options).await;
        });
    }
}

/// A topic of which each partition is on the nodes given.
pub(super) fn placed<'a>(name: &'a str, replicas: &'a [&'a [i32]]) -> NewTopic<'a> {
    let partitions = i32::try_from(replicas.len()).expect("a test's topic has few partitions");
    NewTopic::new(name, partitions, TopicReplication::Variable(replicas))
}

/// Asks until a broker answers, each time by a client of its own: one that has just started names
/// nobody for a while, and a client may then wait for ever. `or_is_there`: a topic of that name is
/// one that an earlier try has made.
pub(super) async fn create(brokers: &str, topic: &NewTopic<'_>, or_is_there: bool) {
    eventually("Kafka to create the test's topic", ANSWERED_WITHIN, || async {
        let results = admin(brokers)
            .create_topics([topic], &one_try())
            .await
            .map_err(|error| error.to_string())?;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) => Ok(()),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) if or_is_there => Ok(()),
            Err((_, code)) => Err(code.to_string()),
        })
    })
    .await;
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    client_config(brokers).create().expect("set up Kafka's admin client")
}

fn one_try() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TRY)).operation_timeout(Some(TRY))
}
