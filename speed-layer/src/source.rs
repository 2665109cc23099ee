//! The source of messages: a topic of a cluster, told apart from every other one that had its name.

use std::fmt;

/// The number of a source in the database (`kafka_sources.source`).
pub type SourceId = i16;

/// A partition of a source: what has an offset of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePartition {
    pub source: SourceId,
    pub partition: i32,
}

/// A partition as Kafka names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A topic as the brokers describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicIdentity {
    pub topic: String,
    /// Empty where the brokers do not tell it.
    pub cluster_id: String,
    /// Changes when the topic is deleted and made again; empty where the brokers do not tell it.
    pub topic_id: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// The topic was not there when it was first asked for.
    pub was_missing: bool,
}

impl TopicIdentity {
    /// Whether both can be the same topic: what one of them does not know contradicts nothing.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let agree = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
        self.topic == other.topic
            && agree(&self.cluster_id, &other.cluster_id)
            && agree(&self.topic_id, &other.topic_id)
    }

    /// Whether both have the same ids, those included that neither knows.
    pub fn has_ids_of(&self, other: &Self) -> bool {
        self.topic == other.topic
            && self.cluster_id == other.cluster_id
            && self.topic_id == other.topic_id
    }

    /// With what was `known` before, where the brokers do not tell it now: forgotten, it could not
    /// contradict any more.
    #[must_use]
    pub fn filled_from(mut self, known: &Self) -> Self {
        for (own, known) in
            [(&mut self.cluster_id, &known.cluster_id), (&mut self.topic_id, &known.topic_id)]
        {
            if own.is_empty() {
                own.clone_from(known);
            }
        }
        self
    }
}

/// A source that the database knows.
#[derive(Debug, Clone)]
pub struct Source {
    pub id: SourceId,
    pub topic: String,
    /// Partitions that the topic had when it was first seen.
    pub first_partitions: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster_id: &str, topic_id: &str) -> TopicIdentity {
        let (cluster_id, topic_id) = (cluster_id.to_owned(), topic_id.to_owned());
        TopicIdentity { topic: "t".into(), cluster_id, topic_id, partitions: 1, was_missing: false }
    }

    #[test]
    fn a_topic_made_anew_and_one_of_another_cluster_are_others() {
        assert!(identity("c", "a").may_be(&identity("c", "a")));
        assert!(!identity("c", "a").may_be(&identity("c", "b")));
        assert!(!identity("c", "a").may_be(&identity("d", "a")));
    }

    #[test]
    fn what_the_brokers_do_not_tell_contradicts_nothing() {
        assert!(identity("", "").may_be(&identity("c", "b")));
        assert!(identity("c", "b").may_be(&identity("c", "")));
    }
}
