//! The speed layer: reads the topic of ticks and writes each into PostgreSQL exactly once.
//!
//! Data flows one way: [`intake`] (a thread that polls Kafka and decodes into a [`batch`]) →
//! [`store`] (a task that writes batch after batch, each in one transaction) → back to the intake,
//! which reuses the memory. While one batch is written, the next is decoded. [`writer`] is the
//! intake's end of that, [`handover`] the words between them. [`partition`] decides what is done
//! with one partition, [`assignment`] holds all of them. [`session`] is one membership in the
//! consumer group; when it ends for any reason but shutdown, [`run`] begins another from the
//! offsets that PostgreSQL holds.

mod assignment;
pub mod batch;
mod config;
mod detection;
mod doctor;
mod first_minute;
mod handover;
mod health;
mod http;
mod intake;
pub mod kafka;
mod kafka_watch;
mod kept_rejects;
mod latency;
mod metrics;
mod outage;
mod partition;
mod presence;
mod registry;
mod session;
mod source;
mod store;
mod upkeep;
mod writer;

pub use config::{Command, Config};
pub use doctor::run as doctor;
pub use registry::{Client as RegistryClient, RegistryArgs, Trouble as RegistryTrouble};
pub use source::SourcePartition;
pub use store::{DayPartitions, write_ticks};

use assignment::SeenEnds;
use common::decode::ProvenanceNames;
use health::Health;
use intake::Ended;
use metrics::Metrics;
use outage::Outage;
use presence::Presence;
use registry::Registry;
use service::Failure;
use service::failure::one_line;
use service::pg::{Database, Migrations};
use source::{SourceId, TopicIdentity};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// What a schema registry is called where it is away.
const REGISTRY: &str = "schema registry";

/// What is said to be away where a session has ended, and none works yet.
const GROUP: &str = "consumer group";

/// What all parts of the process share.
struct Shared {
    config: Config,
    database: Database,
    metrics: Metrics,
    health: Arc<Health>,
    stop: CancellationToken,
    /// Where the schemas of messages come from, if they have any.
    registry: Option<Registry>,
    /// What tells this database from every other one, but not from a copy of its whole server.
    database_id: Mutex<String>,
    presence: Presence,
    kafka_said_away: kafka_watch::Said,
    /// Sessions that ended, one after the other.
    rejoining: Mutex<Outage>,
    /// The topics by the numbers that the database has given them.
    topics: Mutex<BTreeMap<SourceId, TopicIdentity>>,
    /// Where logs ended of whose partitions the last session did not hear where to begin.
    ends: Mutex<SeenEnds>,
}

impl Shared {
    fn new(config: Config, database: Database, stop: CancellationToken) -> Result<Self, Failure> {
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
            kafka_said_away: kafka_watch::Said::default(),
            rejoining,
            topics: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    /// How Kafka knows this instance: by its database, and by a number of its own.
    fn client_id(&self) -> String {
        let database = self.database_id.lock().unwrap_or_else(PoisonError::into_inner);
        format!("speed-layer-{database}-{}", self.presence.number())
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<SourceId, TopicIdentity>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_ends(&self) -> SeenEnds {
        std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep_ends(&self, ends: SeenEnds) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    fn note_topic(&self, source: SourceId, found: &TopicIdentity) {
        let mut topics = self.topics();
        let found = topics
            .get(&source)
            .map_or_else(|| found.clone(), |known| found.clone().filled_from(known));
        topics.insert(source, found);
    }

    fn note_database(&self, id: String) {
        let before = std::mem::replace(
            &mut *self.database_id.lock().unwrap_or_else(PoisonError::into_inner),
            id.clone(),
        );
        if before != id && !self.config.names_its_client() {
            // Kafka's tools, and the other instances, know it by nothing else.
            let (group, client) = (&self.config.group_id, self.client_id());
            tracing::info!(client, "in group \"{group}\" this instance is client \"{client}\"");
        }
    }

    /// Nothing has failed yet.
    fn outage(&self, target: &'static str) -> Outage {
        Outage::new(target, self.metrics.retries(target), self.stop.clone())
    }

    fn rejoining(&self) -> MutexGuard<'_, Outage> {
        self.rejoining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session has written something, or has found the database as it should be. With
    /// partitions, or none for it, it is a success: its end will be a new trouble, and not the old
    /// one's next try.
    fn session_works(&self) {
        if self.health.group.get() {
            self.rejoining().over();
        }
    }

    /// No partition is read any more: readiness and lag say so at once.
    fn end_reading(&self) {
        self.health.group.set(false);
        self.health.partitions.set(true);
        self.metrics.forget_partitions();
    }
}

/// Runs until `stop` is cancelled.
///
/// # Errors
/// A configuration error. Infrastructure that is away is waited for, never an error.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Failure> {
    if config.healthcheck {
        return http::probe(config.http_addr).await;
    }
    let database = config.database.parse("speed-layer")?;
    if config.database.migrations == Migrations::Only {
        return database.migrate_only().await;
    }
    config.check()?;
    let shared = Arc::new(Shared::new(config, database, stop)?);
    http::serve(&shared).await?;
    let Some(first) = Store::open(&shared).await? else {
        return Ok(());
    };
    let more = (1..shared.config.writers).map(|writer| Store::another(writer, &shared));
    let mut stores: Vec<Store> = std::iter::once(first).chain(more).collect();
    tokio::spawn(kept_rejects::look(Arc::clone(&shared)));
    tokio::spawn(upkeep::run(Arc::clone(&shared)));
    tokio::spawn(presence::run(Arc::clone(&shared)));
    let counting = Arc::clone(&shared);
    let counts = move || {
        let ((rejected, all), messages) =
            (counting.metrics.read_so_far(), counting.metrics.messages_so_far());
        first_minute::Counts { rejected, all, messages }
    };
    tokio::spawn(first_minute::watch(counts, shared.stop.clone()));
    let mut session = 0_u64;
    while !shared.stop.is_cancelled() {
        session += 1;
        let span = tracing::info_span!("session", session);
        match session::run(&shared, &mut stores).instrument(span).await? {
            Ended::Shutdown => break,
            Ended::Rejoin(why) => {
                shared.health.group.fails(one_line(&why));
                let pause = shared.rejoining().note(&why);
                shared.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
    tracing::info!("stopped");
    Ok(())
}
