//! Who leads the partitions of a topic, so that nobody is asked who cannot answer.

use crate::source::TopicPartition;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use service::kafka::Quiet;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long what was said of a topic's leaders counts, and also that nobody has said it.
const FRESH: Duration = Duration::from_secs(1);
/// How long a broker is left alone that did not answer.
const SILENT: Duration = Duration::from_secs(5);

/// The partitions that have a leader, with its number.
type OfTopic = BTreeMap<i32, i32>;

#[derive(Debug, Default)]
pub struct Leaders {
    topics: BTreeMap<String, (Instant, Result<OfTopic, String>)>,
    /// Since when each has been silent.
    silent: BTreeMap<i32, Instant>,
}

impl Leaders {
    /// The broker that leads the partition, unless there is no use in asking it now; then why.
    ///
    /// # Errors
    /// If no leader is known, or it did not answer a moment ago; with the reason.
    pub fn of(
        &mut self,
        client: &BaseConsumer<Quiet>,
        at: &TopicPartition,
        patience: Duration,
    ) -> Result<i32, String> {
        if self.topics.get(&at.topic).is_none_or(|(asked, _)| asked.elapsed() >= FRESH) {
            let leaders = ask(client, &at.topic, patience);
            self.topics.insert(at.topic.clone(), (Instant::now(), leaders));
        }
        let leader = match self.topics.get(&at.topic) {
            Some((_, Err(why))) => return Err(why.clone()),
            Some((_, Ok(leaders))) => leaders.get(&at.partition).copied(),
            None => None,
        };
        let leader = leader.ok_or("it has no leader")?;
        self.silent.retain(|_, since| since.elapsed() < SILENT);
        match self.silent.contains_key(&leader) {
            true => Err(format!("its leader, broker {leader}, does not answer")),
            false => Ok(leader),
        }
    }

    /// The broker did not answer in time.
    pub fn is_silent(&mut self, leader: i32) {
        self.silent.insert(leader, Instant::now());
    }
}

/// # Errors
/// If no broker answers; in the client's words.
pub fn ask(
    client: &BaseConsumer<Quiet>,
    topic: &str,
    patience: Duration,
) -> Result<OfTopic, String> {
    let metadata =
        client.fetch_metadata(Some(topic), patience).map_err(|error| error.to_string())?;
    let topics = metadata.topics().iter().filter(|found| found.name() == topic);
    let partitions = topics.flat_map(|topic| topic.partitions());
    Ok(partitions
        .filter(|found| found.leader() >= 0)
        .map(|found| (found.id(), found.leader()))
        .collect())
}
