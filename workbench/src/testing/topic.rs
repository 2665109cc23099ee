use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{clean_up, eventually, stack, unique_name};
use crate::kafka::{Outgoing, Quiet, Sender, client_config, watermarks};

const PATIENCE: Duration = Duration::from_secs(60);
/// A broker that starts while much else does takes its time.
const DELIVERED_WITHIN: Duration = Duration::from_secs(180);

/// A topic of its own. It is deleted with the value, as far as the broker is there.
pub struct TestTopic {
    name: String,
    brokers: String,
}

/// One message of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    /// None is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds of the epoch; the moment of sending where there is none.
    pub timestamp: Option<i64>,
}

impl Record {
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
        create(&brokers, &topic).await;
        Self { name, brokers }
    }

    /// On other brokers than the stack's. `replicas`: the nodes that hold each partition, the one that shall lead first.
    pub async fn placed(brokers: &str, replicas: &[&[i32]]) -> Self {
        let name = unique_name("topic");
        create(brokers, &placed(&name, replicas)).await;
        Self { name, brokers: brokers.to_owned() }
    }

    /// Deletes it and creates one of the same name, which is another topic to Kafka.
    pub async fn make_anew(&self, partitions: i32) {
        self.delete().await;
        self.make_anew_after_delete(partitions).await;
    }

    pub async fn make_anew_after_delete(&self, partitions: i32) {
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        eventually("the topic's name to be free again", PATIENCE, || async {
            let results = admin(&self.brokers).create_topics([&topic], &options).await;
            let results = results.map_err(|error| error.to_string())?;
            results.into_iter().try_for_each(|result| result.map(drop)).map_err(|(_, code)| code.to_string())
        })
        .await;
    }

    pub async fn delete(&self) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let results = admin(&self.brokers).delete_topics(&[&self.name], &options).await.expect("ask Kafka to delete");
        for result in results {
            result.expect("delete the test's topic");
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Sends the records, in order within each partition, and returns once the broker has acknowledged all of them.
    pub async fn produce(&self, records: impl IntoIterator<Item = Record>) {
        let records: Vec<Record> = records.into_iter().collect();
        let sender = Sender::new(client_config(&self.brokers), &self.name).expect("set up the test's producer");
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
            sender.finish(DELIVERED_WITHIN)
        };
        tokio::task::spawn_blocking(sending)
            .await
            .expect("the sending thread does not panic")
            .expect("send the test's records");
    }

    /// The next offset of each partition.
    pub async fn high_watermarks(&self) -> Vec<i64> {
        let (consumer, name) = (self.inquirer(), self.name.clone());
        tokio::task::spawn_blocking(move || watermarks(&consumer, &name))
            .await
            .expect("the asking thread does not panic")
            .expect("ask for watermarks")
            .into_iter()
            .map(|(_, high)| high)
            .collect()
    }

    /// The next offset of one partition; the others need no leader for it.
    pub async fn high_watermark(&self, partition: i32) -> i64 {
        let (consumer, name) = (self.inquirer(), self.name.clone());
        tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&name, partition, PATIENCE))
            .await
            .expect("the asking thread does not panic")
            .expect("ask for a watermark")
            .1
    }

    fn inquirer(&self) -> BaseConsumer<Quiet> {
        client_config(&self.brokers).create_with_context(Quiet).expect("set up the test's consumer")
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

pub(super) async fn create(brokers: &str, topic: &NewTopic<'_>) {
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let results = admin(brokers).create_topics([topic], &options).await.expect("ask Kafka for the test's topic");
    for result in results {
        result.expect("create the test's topic");
    }
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    client_config(brokers).create().expect("set up Kafka's admin client")
}
