//! [`Health`]: whether the process can do its work at this moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The truth behind `/readyz`.
#[derive(Debug, Default)]
pub struct Health {
    /// The last thing that was tried on PostgreSQL worked.
    pub database: Flag,
    /// A connection to at least one broker is up.
    pub kafka: Flag,
    /// The group has given this instance its share of the partitions, be it none.
    pub group: Flag,
    /// What keeps a part of them from being read.
    trouble: Mutex<Option<String>>,
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
    pub fn missing(&self) -> Vec<String> {
        let facts = [
            (self.database.get(), "PostgreSQL is away"),
            (self.kafka.get(), "Kafka is away"),
            (self.group.get(), "no assignment from the consumer group yet"),
        ];
        let missing = facts.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what.to_owned());
        missing.chain(self.trouble().clone()).collect()
    }

    /// `None` where every partition is read.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble() = trouble;
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
