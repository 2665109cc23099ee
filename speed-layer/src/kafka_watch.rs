//! [`KafkaWatch`]: whether Kafka is there, and every partition's leader, logged once when they go
//! and once when they come back.

mod leaders;

use crate::health::Health;
use crate::kafka::Reports;
use anyhow::anyhow;
use leaders::{ABSENCE_TO_LOG, LeaderNews, LeaderWatch};
use prometheus_client::metrics::counter::Counter;
use rdkafka::error::RDKafkaErrorCode;
use service::Failure;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Since when Kafka is away, once that was logged. It outlives a session: who was told that Kafka
/// is away is told when it is back.
#[derive(Debug, Clone, Default)]
pub struct LoggedOutage(Arc<Mutex<Option<Instant>>>);

impl LoggedOutage {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the connection.
pub struct KafkaWatch {
    brokers: String,
    health: Arc<Health>,
    retries: Counter,
    away_since: Option<Instant>,
    logged: LoggedOutage,
    trouble: String,
    leaders: LeaderWatch,
}

impl KafkaWatch {
    pub fn new(brokers: &str, health: Arc<Health>, retries: Counter, logged: LoggedOutage) -> Self {
        Self {
            brokers: brokers.to_owned(),
            health,
            retries,
            away_since: None,
            logged,
            trouble: "no broker has answered yet".to_owned(),
            leaders: LeaderWatch::default(),
        }
    }

    /// Takes in what librdkafka reported.
    ///
    /// # Errors
    /// A refused login, as long as the process never had a connection: later it may be the broker's
    /// trouble.
    pub fn note(&mut self, reports: &Reports) -> Result<(), Failure> {
        if let Some((code, reason)) = &reports.trouble {
            self.trouble.clone_from(reason);
            let is_refusal =
                matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL);
            if is_refusal && !self.health.kafka.has_held() {
                return Err(Failure::Configuration(anyhow!(
                    "Kafka at {} refuses the connection (security.*, sasl.* and ssl.* of \
                     --kafka-property or --kafka-properties-file): {reason}",
                    self.brokers
                )));
            }
        }
        match reports.connected {
            Some(true) => self.connected(),
            Some(false) => drop(self.away_since.get_or_insert_with(Instant::now)),
            None => {}
        }
        self.log_if_away();
        self.note_leaders(reports);
        // With every report, so that the counter rises as long as the trouble lasts: alerts look at
        // its rise.
        if reports.connected.is_some()
            && (self.logged.lock().is_some() || self.leaders.are_missed())
        {
            self.retries.inc();
        }
        Ok(())
    }

    /// Whether the client has had no connection for so long.
    pub fn is_away_for(&self, time: Duration) -> bool {
        self.away_since.is_some_and(|since| since.elapsed() >= time)
    }

    fn connected(&mut self) {
        self.away_since = None;
        if let Some(since) = self.logged.lock().take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(seconds, "Kafka: works again after {seconds:.1} s");
        }
        self.health.kafka.set(true);
    }

    fn log_if_away(&mut self) {
        let Some(since) = self.away_since else {
            return;
        };
        // The first reports come before the first connection, and tell nothing.
        if self.health.kafka.has_held() || since.elapsed() >= ABSENCE_TO_LOG {
            self.health.kafka.set(false);
        }
        let mut logged = self.logged.lock();
        if logged.is_none() && since.elapsed() >= ABSENCE_TO_LOG {
            *logged = Some(since);
            let (brokers, trouble) = (&self.brokers, &self.trouble);
            tracing::warn!(
                brokers = %brokers,
                error = %trouble,
                "Kafka: no connection to {brokers} (--kafka-brokers): {trouble}; trying until it \
                 works"
            );
        }
    }

    /// Without any connection no leader can be there, and that has its own line.
    fn note_leaders(&mut self, reports: &Reports) {
        let Some(away) = reports.leaderless.as_deref().filter(|_| self.away_since.is_none()) else {
            return;
        };
        match self.leaders.note(away, Instant::now()) {
            Some(LeaderNews::Away) => {
                let partitions = away.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                tracing::warn!(
                    partitions,
                    "Kafka: partitions without a reachable leader: {partitions}; waiting for one, \
                     others are read"
                );
            }
            Some(LeaderNews::Back(after)) => {
                let seconds = after.as_secs_f64();
                tracing::info!(
                    seconds,
                    "Kafka: every partition can be read again after {seconds:.1} s"
                );
            }
            None => {}
        }
    }
}
