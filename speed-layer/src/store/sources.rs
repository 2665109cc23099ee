//! `kafka_sources`: which topic of which cluster the stored offsets belong to.

use super::limits::Limits;
use super::statements;
use crate::config::{Config, OnGap};
use crate::source::{Source, SourceId, TopicIdentity};
use anyhow::anyhow;
use service::pg;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    source: SourceId,
    group_id: String,
    first_partitions: i32,
    identity: TopicIdentity,
}

/// What a topic is to the database.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    /// It was read before.
    Known {
        source: SourceId,
        first_partitions: i32,
    },
    New,
    /// Another topic of this name was read before.
    Replaces(SourceId),
    /// Another group reads it.
    Taken(String),
}

/// How often a topic is looked up that others enter at the same time.
const TRIES: u32 = 3;

/// `known` are the sources of the topic's name, the newest first.
fn relation(found: &TopicIdentity, group_id: &str, known: &[Known]) -> Relation {
    let same = known.iter().find(|known| known.identity.may_be(found));
    let Some(latest) = same.or(known.first()) else {
        return Relation::New;
    };
    if latest.group_id != group_id {
        return Relation::Taken(latest.group_id.clone());
    }
    match same {
        Some(same) => Relation::Known { source: same.source, first_partitions: same.first_partitions },
        None => Relation::Replaces(latest.source),
    }
}

/// The source that the topic is; one that is new is entered. The inner error is a topic that must not be read: another
/// group reads it, or it took the place of another and `--on-gap stop` leaves that to a person.
pub async fn identify(
    connection: &mut PgConnection,
    config: &Config,
    limits: &Limits,
    found: &TopicIdentity,
) -> sqlx::Result<Result<Source, anyhow::Error>> {
    for _ in 0..TRIES {
        if let Some(source) = try_identify(connection, config, limits, found).await? {
            return Ok(source);
        }
    }
    Err(sqlx::Error::RowNotFound)
}

/// `None` where another instance was quicker to enter it: it is known now, and only as what that one made of it.
async fn try_identify(
    connection: &mut PgConnection,
    config: &Config,
    limits: &Limits,
    found: &TopicIdentity,
) -> sqlx::Result<Option<Result<Source, anyhow::Error>>> {
    let mut transaction = limits.begin(connection).await?;
    let known = read(&mut transaction, &found.topic).await?;
    let (mut first_partitions, mut recorded) = (found.partitions, None);
    let source = match relation(found, &config.group_id, &known) {
        Relation::Known { source, first_partitions } => {
            return Ok(Some(Ok(Source { id: source, topic: found.topic.clone(), first_partitions })));
        }
        Relation::Taken(group) => return Ok(Some(Err(taken(found, &group, &config.group_id)))),
        Relation::New => {
            if came_late(&mut transaction, config, found).await? {
                first_partitions = 0;
            }
            let found = TopicIdentity { partitions: first_partitions, ..found.clone() };
            enter(&mut transaction, config, &found).await?
        }
        Relation::Replaces(before) => {
            let why = replaced(found, known.iter().find(|known| known.source == before));
            if config.on_gap == OnGap::Stop {
                return Ok(Some(Err(anyhow!(
                    "{why}; --on-gap skip records that in kafka_gaps and reads it from its first message on"
                ))));
            }
            record_end(&mut transaction, before, &why).await?;
            // --start latest is for what was there at the start: all of this one came later.
            first_partitions = 0;
            recorded = Some((before, why));
            enter(&mut transaction, config, &TopicIdentity { partitions: 0, ..found.clone() }).await?
        }
    };
    transaction.commit().await?;
    let Some(source) = source else {
        return Ok(None);
    };
    let topic = &found.topic;
    if let Some((before, why)) = recorded {
        tracing::warn!(topic, source = before, "{why}; recorded in kafka_gaps, reading it as a source of its own");
    }
    tracing::info!(topic, source, "topic \"{topic}\" is source {source} in kafka_sources");
    Ok(Some(Ok(Source { id: source, topic: found.topic.clone(), first_partitions })))
}

/// Whether `--start latest` was given before the topic was there, so that all of it came after the start: it was missing
/// when it was first asked for, or a pattern has found it a while after others.
async fn came_late(connection: &mut PgConnection, config: &Config, found: &TopicIdentity) -> sqlx::Result<bool> {
    if found.was_missing {
        return Ok(true);
    }
    if config.named_topics().any(|named| named == found.topic) {
        return Ok(false);
    }
    pg::query_scalar(statements::HAS_BEGUN).bind(&config.group_id).fetch_one(connection).await
}

/// What is wrong with the numbers by which this process knows the topics, if anything is: in a database that was
/// restored another way they may stand for others.
pub async fn renumbered(
    connection: &mut PgConnection,
    topics: &BTreeMap<SourceId, TopicIdentity>,
) -> sqlx::Result<Option<String>> {
    let numbers: Vec<SourceId> = topics.keys().copied().collect();
    let rows: Vec<(SourceId, String, String, String)> =
        pg::query_as(statements::READ_SOURCES_BY_NUMBER).bind(numbers).fetch_all(connection).await?;
    let found: BTreeMap<SourceId, TopicIdentity> = rows
        .into_iter()
        .map(|(source, cluster_id, topic, topic_id)| {
            (source, TopicIdentity { topic, cluster_id, topic_id, ..TopicIdentity::default() })
        })
        .collect();
    let other = topics.iter().find(|(source, topic)| found.get(source).is_none_or(|found| !found.may_be(topic)));
    Ok(other.map(|(source, topic)| {
        format!(
            "this database has another topic than {} as source {source}: it is another one than before",
            topic.topic
        )
    }))
}

async fn read(connection: &mut PgConnection, topic: &str) -> sqlx::Result<Vec<Known>> {
    let rows: Vec<(SourceId, String, String, String, i32)> =
        pg::query_as(statements::READ_SOURCES).bind(topic).fetch_all(connection).await?;
    let known = rows.into_iter().map(|(source, group_id, cluster_id, topic_id, partitions)| {
        let identity = TopicIdentity { topic: topic.to_owned(), cluster_id, topic_id, partitions, was_missing: false };
        Known { source, group_id, first_partitions: partitions, identity }
    });
    Ok(known.collect())
}

/// `None` where it is there already.
async fn enter(
    connection: &mut PgConnection,
    config: &Config,
    found: &TopicIdentity,
) -> sqlx::Result<Option<SourceId>> {
    pg::query_scalar(statements::ENTER_SOURCE)
        .bind(&config.group_id)
        .bind(&found.cluster_id)
        .bind(&found.topic)
        .bind(&found.topic_id)
        .bind(found.partitions)
        .fetch_optional(connection)
        .await
}

/// Whatever followed the stored offsets of the topic that is gone was not read, if anything did.
async fn record_end(connection: &mut PgConnection, source: SourceId, why: &str) -> sqlx::Result<()> {
    pg::query(statements::RECORD_END).bind(source).bind(why).execute(connection).await?;
    Ok(())
}

fn taken(found: &TopicIdentity, group: &str, ours: &str) -> anyhow::Error {
    let topic = &found.topic;
    anyhow!(
        "group \"{group}\" already writes topic {topic} into this database, and group \"{ours}\" (--group-id) would \
         write each tick a second time; use the same group, or another database. To rename the group, stop its \
         instances and run: update kafka_sources set group_id = '{ours}' where topic = '{topic}'"
    )
}

fn replaced(found: &TopicIdentity, before: Option<&Known>) -> String {
    let shown = |id: &str| if id.is_empty() { "unknown".to_owned() } else { id.to_owned() };
    let (topic, now) = (&found.topic, shown(&found.topic_id));
    let Some(before) = before else {
        return format!("topic \"{topic}\" is another one than was read before");
    };
    let source = before.source;
    let was = &before.identity;
    if was.cluster_id == found.cluster_id {
        let id = shown(&was.topic_id);
        return format!(
            "topic \"{topic}\" was made anew: its id is {now}, and what was read before (source {source}) had the id \
             {id}; its offsets mean other messages"
        );
    }
    let (cluster, old) = (shown(&found.cluster_id), shown(&was.cluster_id));
    format!(
        "topic \"{topic}\" of Kafka cluster {cluster} is not the one that was read before (source {source}), which is \
         of cluster {old}; its offsets mean other messages"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster_id: &str, topic_id: &str) -> TopicIdentity {
        let (cluster_id, topic_id) = (cluster_id.to_owned(), topic_id.to_owned());
        TopicIdentity { topic: "t".into(), cluster_id, topic_id, partitions: 2, was_missing: false }
    }

    fn known(source: SourceId, topic_id: &str) -> Known {
        let identity = identity("c", topic_id);
        Known { source, group_id: "g".into(), first_partitions: 2, identity }
    }

    #[test]
    fn a_topic_is_known_by_its_id_and_not_by_its_name() {
        let sources = [known(2, "b"), known(1, "a")];
        let is = |source| Relation::Known { source, first_partitions: 2 };
        assert_eq!(relation(&identity("c", "b"), "g", &sources), is(2));
        // A topic of another cluster, and then that of the first again.
        assert_eq!(relation(&identity("c", "a"), "g", &sources), is(1));
        assert_eq!(relation(&identity("c", "x"), "g", &sources), Relation::Replaces(2));
        assert_eq!(relation(&identity("d", "b"), "g", &sources), Relation::Replaces(2));
        assert_eq!(relation(&identity("c", "b"), "g", &[]), Relation::New);
    }

    #[test]
    fn another_group_is_refused_whatever_became_of_the_topic() {
        let sources = [known(1, "a")];
        assert_eq!(relation(&identity("c", "a"), "other", &sources), Relation::Taken("g".into()));
        assert_eq!(relation(&identity("c", "b"), "other", &sources), Relation::Taken("g".into()));
    }

    #[test]
    fn the_newest_is_meant_where_the_brokers_tell_no_id() {
        let sources = [known(2, "b"), known(1, "a")];
        let is = Relation::Known { source: 2, first_partitions: 2 };
        assert_eq!(relation(&identity("", ""), "g", &sources), is);
    }
}
