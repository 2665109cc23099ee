//! [`Process`]: what all parts of the process share.

use crate::assignment::SeenEnds;
use crate::config::Config;
use crate::health::Health;
use crate::kafka_watch;
use crate::metrics::Metrics;
use crate::outage::Outage;
use crate::presence::Presence;
use crate::registry::Registry;
use crate::source::{SourceId, TopicIdentity};
use common::decode::ProvenanceNames;
use service::Failure;
use service::pg::Database;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The name of a schema registry in log lines.
const REGISTRY: &str = "schema registry";

/// The name under which ended sessions are logged, until one works.
const GROUP: &str = "consumer group";

/// State that all parts of the process share.
pub struct Process {
    pub config: Config,
    pub database: Database,
    pub metrics: Metrics,
    pub health: Arc<Health>,
    pub stop: CancellationToken,
    /// The source of messages' schemas, if they have any.
    pub registry: Option<Registry>,
    /// The id that tells this database from every other one, but not from a copy of its whole
    /// server.
    database_id: Mutex<String>,
    pub presence: Presence,
    pub kafka_outage: kafka_watch::LoggedOutage,
    /// Sessions that ended, one after the other.
    rejoining: Mutex<Outage>,
    /// The topics by the numbers that the database has given them.
    topics: Mutex<BTreeMap<SourceId, TopicIdentity>>,
    /// The ends of logs whose partitions got no start offset in the last session.
    ends: Mutex<SeenEnds>,
}

impl Process {
    /// A process that has read nothing yet.
    ///
    /// # Errors
    /// If a client for the schema registry cannot be made of the settings.
    pub fn new(
        config: Config,
        database: Database,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let client = config.registry.client()?;
        let (metrics, health) = (Metrics::new(), Arc::<Health>::default());
        let outage = |target| Outage::new(target, metrics.retries(target), stop.clone());
        let rules = || config.messages.rules(ProvenanceNames::default());
        let start =
            |client| Registry::start(client, rules(), Arc::clone(&health), outage(REGISTRY));
        let (registry, rejoining) = (client.map(start).transpose()?, Mutex::new(outage(GROUP)));
        Ok(Self {
            config,
            database,
            metrics,
            health,
            stop,
            registry,
            database_id: Mutex::default(),
            presence: Presence::new(),
            kafka_outage: kafka_watch::LoggedOutage::default(),
            rejoining,
            topics: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    /// How Kafka knows this instance: by its database, and by a number of its own.
    pub fn client_id(&self) -> String {
        let database = self.database_id.lock().unwrap_or_else(PoisonError::into_inner);
        format!("speed-layer-{database}-{}", self.presence.number())
    }

    pub fn topics(&self) -> MutexGuard<'_, BTreeMap<SourceId, TopicIdentity>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take_ends(&self) -> SeenEnds {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn keep_ends(&self, ends: SeenEnds) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    pub fn note_topic(&self, source: SourceId, found: &TopicIdentity) {
        let mut topics = self.topics();
        let found = topics
            .get(&source)
            .map_or_else(|| found.clone(), |known| found.clone().filled_from(known));
        topics.insert(source, found);
    }

    /// The topic's name, for log lines. A source is only unknown here once its session has ended.
    pub fn topic_name(&self, source: SourceId) -> String {
        let topics = self.topics();
        topics.get(&source).map_or_else(|| format!("source {source}"), |known| known.topic.clone())
    }

    pub fn note_database(&self, id: String) {
        let before = std::mem::replace(
            &mut *self.database_id.lock().unwrap_or_else(PoisonError::into_inner),
            id.clone(),
        );
        if before != id && !self.config.names_its_client() {
            // Kafka's tools, and the other instances, know it by nothing else.
            let (group, client) = (&self.config.group_id, self.client_id());
            tracing::info!(
                group,
                client,
                "in group \"{group}\" this instance is client \"{client}\""
            );
        }
    }

    /// An outage that has not begun.
    pub fn outage(&self, target: &'static str) -> Outage {
        Outage::new(target, self.metrics.retries(target), self.stop.clone())
    }

    pub fn rejoining(&self) -> MutexGuard<'_, Outage> {
        self.rejoining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session has written something, or has found the database as it should be. With
    /// partitions, or none for it, it is a success: its end will be a new trouble, and not the old
    /// one's next try.
    pub fn session_works(&self) {
        if self.health.group.get() {
            self.rejoining().over();
        }
    }

    /// No partition is read any more: readiness and lag say so at once.
    pub fn end_reading(&self) {
        self.health.group.set(false);
        self.health.partitions.set(true);
        self.metrics.forget_partitions();
    }
}
