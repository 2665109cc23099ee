//! [`Health`]: whether the process can do its work at this moment.

use std::sync::atomic::{AtomicBool, Ordering};

/// The truth behind `/readyz`.
#[derive(Debug, Default)]
pub struct Health {
    /// The last thing that was tried on PostgreSQL worked.
    pub database: Flag,
    /// A connection to at least one broker is up.
    pub kafka: Flag,
    /// The group has given this instance its share of the partitions, be it none.
    pub group: Flag,
}

/// A fact that changes.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Health {
    /// What is missing; empty where the process is ready.
    pub fn missing(&self) -> Vec<&'static str> {
        let facts = [
            (self.database.get(), "PostgreSQL is away"),
            (self.kafka.get(), "Kafka is away"),
            (self.group.get(), "no assignment from the consumer group yet"),
        ];
        facts.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect()
    }
}
