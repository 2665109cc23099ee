//! [`KafkaWatch`]: whether Kafka is there, said once when it goes and once when it comes back.

use crate::Shared;
use crate::kafka::Reports;
use anyhow::anyhow;
use common::Failure;
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// Shorter absences are ordinary: a broker restarts, a leader moves.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the connection.
pub struct KafkaWatch {
    away_since: Option<Instant>,
    was_connected: bool,
    said: bool,
    trouble: String,
}

impl KafkaWatch {
    pub fn new() -> Self {
        Self { away_since: Some(Instant::now()), was_connected: false, said: false, trouble: String::new() }
    }

    /// Takes in what librdkafka reported.
    ///
    /// # Errors
    /// A refused login, as long as there never was a connection: later it may be the broker's trouble.
    pub fn note(&mut self, shared: &Shared, reports: &Reports) -> Result<(), Failure> {
        if let Some((code, reason)) = &reports.trouble {
            self.trouble.clone_from(reason);
            let is_refusal = matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL);
            if is_refusal && !self.was_connected {
                return Err(Failure::Configuration(anyhow!(
                    "Kafka at {} refuses the connection (security.*, sasl.* and ssl.* of --kafka-property or \
                     --kafka-properties-file): {reason}",
                    shared.config.kafka_brokers
                )));
            }
        }
        match reports.connected {
            Some(true) => self.connected(shared),
            Some(false) => drop(self.away_since.get_or_insert_with(Instant::now)),
            None => {}
        }
        self.say_if_away(shared);
        Ok(())
    }

    fn connected(&mut self, shared: &Shared) {
        let since = self.away_since.take();
        if let Some(since) = since.filter(|_| self.said) {
            tracing::info!("Kafka: works again after {:.1} s", since.elapsed().as_secs_f64());
        }
        self.was_connected = true;
        self.said = false;
        shared.health.kafka.set(true);
    }

    fn say_if_away(&mut self, shared: &Shared) {
        let Some(since) = self.away_since else {
            return;
        };
        shared.health.kafka.set(false);
        if !self.said && since.elapsed() >= PATIENCE {
            self.said = true;
            shared.metrics.retries("Kafka").inc();
            let (brokers, trouble) = (&shared.config.kafka_brokers, &self.trouble);
            tracing::warn!("Kafka: no connection to {brokers} (--kafka-brokers): {trouble}; trying until it works");
        }
    }
}
