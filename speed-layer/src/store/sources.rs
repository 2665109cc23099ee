//! `kafka_sources`: which topic of which cluster the stored offsets belong to.

use super::limits::TimeLimits;
use super::statements;
use super::table::WriteError;
use crate::config::{Config, OnGap};
use crate::metrics::Metrics;
use crate::source::{Source, SourceId, TopicIdentity};
use anyhow::anyhow;
use common::Timestamp;
use service::pg;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Why a topic is not in the table after it was entered.
const NO_SOURCE: &str = "it took no row and raised no error: the number that comes next is taken \
    (a restore that left out its sequence), or a trigger or a rule is in the way";

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceRow {
    source: SourceId,
    group_id: String,
    first_partitions: i32,
    identity: TopicIdentity,
}

/// How a topic relates to the database's sources.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    /// The source was read before.
    Known {
        source: SourceId,
        first_partitions: i32,
        /// The parts of its identity that the row lacks, if it was entered before they were known.
        learned: Option<TopicIdentity>,
    },
    New,
    /// Another topic of this name was read before.
    Replaces(SourceId),
    /// Another group reads it.
    Taken(String),
}

/// `known` are the sources of the topic's name, the newest first.
fn relation(found: &TopicIdentity, group_id: &str, known: &[SourceRow]) -> Relation {
    let of_this_id = known.iter().find(|known| known.identity.has_ids_of(found));
    let same = of_this_id.or_else(|| known.iter().find(|known| known.identity.may_be(found)));
    let Some(latest) = same.or(known.first()) else {
        return Relation::New;
    };
    if latest.group_id != group_id {
        return Relation::Taken(latest.group_id.clone());
    }
    match same {
        Some(same) => {
            let filled = found.clone().filled_from(&same.identity);
            let learned = Some(filled).filter(|filled| !same.identity.has_ids_of(filled));
            Relation::Known {
                source: same.source,
                first_partitions: same.first_partitions,
                learned,
            }
        }
        None => Relation::Replaces(latest.source),
    }
}

/// Whether a topic may be read.
pub enum Admission {
    /// As this source.
    Granted(Source),
    /// Another group reads it, or it took the place of another and `--on-gap stop` leaves that to a
    /// person.
    Refused(anyhow::Error),
}

/// The source that the topic is; one that is new is entered.
pub(super) async fn identify(
    connection: &mut PgConnection,
    config: &Config,
    limits: &TimeLimits,
    metrics: &Metrics,
    found: &TopicIdentity,
) -> Result<Admission, WriteError> {
    let mut transaction = limits.begin(connection).await?;
    let (relation, known) = look_up(&mut transaction, &config.group_id, found).await?;
    let is = |id, first_partitions| {
        Ok(Admission::Granted(Source { id, topic: found.topic.clone(), first_partitions }))
    };
    match relation {
        Relation::Known { source, first_partitions, learned } => {
            if let Some(identity) = learned {
                learn(&mut transaction, source, &identity).await?;
            }
            transaction.commit().await?;
            is(source, first_partitions)
        }
        Relation::Taken(group) => {
            transaction.rollback().await?;
            Ok(Admission::Refused(taken(found, &group, &config.group_id)))
        }
        Relation::New => {
            let came_late = has_come_late(&mut transaction, config, found).await?;
            let first_partitions = if came_late { 0 } else { found.partitions };
            let source = enter(&mut transaction, config, found, first_partitions).await?;
            transaction.commit().await?;
            log_entered(found, source);
            is(source, first_partitions)
        }
        Relation::Replaces(before) => {
            let why = replaced(found, known.iter().find(|known| known.source == before));
            if config.on_gap == OnGap::Stop {
                transaction.rollback().await?;
                return Ok(Admission::Refused(anyhow!(
                    "{why}; --on-gap skip records that in kafka_gaps and reads it from its first \
                     message on"
                )));
            }
            let ends = record_end(&mut transaction, before, &why).await?;
            // --start latest is for what was there at the start: all of this one came later.
            let source = enter(&mut transaction, config, found, 0).await?;
            transaction.commit().await?;
            metrics.gaps_skipped(ends, Timestamp::now());
            let topic = &found.topic;
            tracing::warn!(
                topic,
                source = before,
                error = why,
                "{why}; recorded in kafka_gaps, reading it as a source of its own"
            );
            log_entered(found, source);
            is(source, 0)
        }
    }
}

/// How the topic relates to the database, and the sources of its name. If a source is to be
/// written, no other instance writes any.
async fn look_up(
    connection: &mut PgConnection,
    group_id: &str,
    found: &TopicIdentity,
) -> sqlx::Result<(Relation, Vec<SourceRow>)> {
    let known = read(connection, &found.topic).await?;
    let at_first = relation(found, group_id, &known);
    if !at_first.is_to_be_written() {
        return Ok((at_first, known));
    }
    // Another instance may be entering it, and may know less of it: then both would be a source.
    pg::within::query(statements::LOCK_SOURCES).execute(&mut *connection).await?;
    let known = read(connection, &found.topic).await?;
    Ok((relation(found, group_id, &known), known))
}

impl Relation {
    fn is_to_be_written(&self) -> bool {
        !matches!(self, Self::Known { learned: None, .. } | Self::Taken(_))
    }
}

fn log_entered(found: &TopicIdentity, source: SourceId) {
    let topic = &found.topic;
    tracing::info!(topic, source, "topic \"{topic}\" is source {source} in kafka_sources");
}

/// Whether `--start latest` was given before the topic was there, so that all of it came after the
/// start: it was missing when it was first asked for, or a pattern has found it a while after
/// others.
async fn has_come_late(
    connection: &mut PgConnection,
    config: &Config,
    found: &TopicIdentity,
) -> sqlx::Result<bool> {
    if found.was_missing {
        return Ok(true);
    }
    if config.named_topics().any(|named| named == found.topic) {
        return Ok(false);
    }
    pg::within::query_scalar(statements::HAS_BEGUN)
        .bind(&config.group_id)
        .fetch_one(connection)
        .await
}

/// Describes a mismatch between this process's source numbers and the database's, if there is any:
/// in a database that was restored another way they may mean other topics.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn source_ids_changed(
    connection: &mut PgConnection,
    topics: &BTreeMap<SourceId, TopicIdentity>,
) -> sqlx::Result<Option<String>> {
    let numbers: Vec<SourceId> = topics.keys().copied().collect();
    let rows: Vec<(SourceId, String, String, String)> =
        pg::within::query_as(statements::READ_SOURCES_BY_NUMBER)
            .bind(numbers)
            .fetch_all(connection)
            .await?;
    let found: BTreeMap<SourceId, TopicIdentity> = rows
        .into_iter()
        .map(|(source, cluster_id, topic, topic_id)| {
            (source, TopicIdentity { topic, cluster_id, topic_id, ..TopicIdentity::default() })
        })
        .collect();
    let other = topics
        .iter()
        .find(|(source, topic)| found.get(source).is_none_or(|found| !found.may_be(topic)));
    Ok(other.map(|(source, topic)| {
        format!(
            "this database has another topic than {} as source {source}: it is another one than \
             before",
            topic.topic
        )
    }))
}

async fn read(connection: &mut PgConnection, topic: &str) -> sqlx::Result<Vec<SourceRow>> {
    let rows: Vec<(SourceId, String, String, String, i32)> =
        pg::within::query_as(statements::READ_SOURCES).bind(topic).fetch_all(connection).await?;
    let known = rows.into_iter().map(|(source, group_id, cluster_id, topic_id, partitions)| {
        let identity = TopicIdentity {
            topic: topic.to_owned(),
            cluster_id,
            topic_id,
            partitions,
            was_missing: false,
        };
        SourceRow { source, group_id, first_partitions: partitions, identity }
    });
    Ok(known.collect())
}

async fn enter(
    connection: &mut PgConnection,
    config: &Config,
    found: &TopicIdentity,
    first_partitions: i32,
) -> Result<SourceId, WriteError> {
    let source = pg::within::query_scalar(statements::ENTER_SOURCE)
        .bind(&config.group_id)
        .bind(&found.cluster_id)
        .bind(&found.topic)
        .bind(&found.topic_id)
        .bind(first_partitions)
        .fetch_optional(connection)
        .await?;
    source.ok_or_else(|| WriteError::LeftOut(NO_SOURCE.to_owned()))
}

/// Parts of the identity that the brokers did not tell when the source was entered.
async fn learn(
    connection: &mut PgConnection,
    source: SourceId,
    identity: &TopicIdentity,
) -> sqlx::Result<()> {
    let query = pg::within::query(statements::LEARN_SOURCE)
        .bind(source)
        .bind(&identity.cluster_id)
        .bind(&identity.topic_id);
    query.execute(connection).await?;
    Ok(())
}

/// Whatever followed the stored offsets of the topic that is gone was not read, if anything did.
/// Gives how many there are.
async fn record_end(
    connection: &mut PgConnection,
    source: SourceId,
    why: &str,
) -> sqlx::Result<u64> {
    let done = pg::within::query(statements::RECORD_END)
        .bind(source)
        .bind(why)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

fn taken(found: &TopicIdentity, group: &str, ours: &str) -> anyhow::Error {
    let topic = &found.topic;
    anyhow!(
        "group \"{group}\" already writes topic {topic} into this database, and group \"{ours}\" \
         (--group-id) would write each tick a second time; use the same group, or another \
         database. To rename the group, stop its instances and run: update kafka_sources set \
         group_id = '{ours}' where topic = '{topic}'"
    )
}

fn replaced(found: &TopicIdentity, before: Option<&SourceRow>) -> String {
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
            "topic \"{topic}\" was recreated: its id is {now}, and that of the one that was read \
             before (source {source}) is {id}; its offsets mean other messages"
        );
    }
    let (cluster, old) = (shown(&found.cluster_id), shown(&was.cluster_id));
    format!(
        "topic \"{topic}\" of Kafka cluster {cluster} is not the one that was read before (source \
         {source}), which is of cluster {old}; its offsets mean other messages"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster_id: &str, topic_id: &str) -> TopicIdentity {
        let (cluster_id, topic_id) = (cluster_id.to_owned(), topic_id.to_owned());
        TopicIdentity { topic: "t".into(), cluster_id, topic_id, partitions: 2, was_missing: false }
    }

    fn known(source: SourceId, topic_id: &str) -> SourceRow {
        let identity = identity("c", topic_id);
        SourceRow { source, group_id: "g".into(), first_partitions: 2, identity }
    }

    #[test]
    fn a_topic_is_known_by_its_id_and_not_by_its_name() {
        let sources = [known(2, "b"), known(1, "a")];
        let is = |source| Relation::Known { source, first_partitions: 2, learned: None };
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
        let is = Relation::Known { source: 2, first_partitions: 2, learned: None };
        assert_eq!(relation(&identity("", ""), "g", &sources), is);
    }

    #[test]
    fn what_was_entered_without_an_id_learns_it_once_and_is_no_second_source() {
        let nameless = |source, topic_id: &str| SourceRow {
            identity: identity("", topic_id),
            ..known(source, topic_id)
        };
        let learned = |ids: Option<(&str, &str)>| Relation::Known {
            source: 1,
            first_partitions: 2,
            learned: ids.map(|(cluster_id, topic_id)| identity(cluster_id, topic_id)),
        };
        assert_eq!(
            relation(&identity("c", "a"), "g", &[nameless(1, "a")]),
            learned(Some(("c", "a")))
        );
        assert_eq!(
            relation(&identity("c", "a"), "g", &[nameless(1, "")]),
            learned(Some(("c", "a")))
        );
        assert_eq!(
            relation(&identity("c", ""), "g", &[nameless(1, "a")]),
            learned(Some(("c", "a")))
        );
        assert_eq!(relation(&identity("", "a"), "g", &[known(1, "a")]), learned(None));
        assert_eq!(relation(&identity("c", "b"), "g", &[nameless(1, "a")]), Relation::Replaces(1));
        // Where one has both ids, it is no other.
        assert_eq!(
            relation(&identity("c", "a"), "g", &[nameless(2, "a"), known(1, "a")]),
            learned(None)
        );
    }
}
