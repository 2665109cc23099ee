//! [`Health`]: whether the process can do its work at this moment, and why not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state that `/readyz` reports.
#[derive(Debug)]
pub struct Health {
    /// The last thing that each writer tried on PostgreSQL worked.
    pub database: Fact,
    /// A connection to at least one broker is up.
    pub kafka: Fact,
    /// The group has given this instance its share of the partitions, be it none.
    pub group: Fact,
    /// All assigned partitions are read.
    pub partitions: Fact,
    /// Rejected messages reach `--dead-letter-topic`, where there is one.
    pub letters: Fact,
    /// The schema registry answers, where there is one.
    pub registry: Fact,
}

/// A fact that changes.
#[derive(Debug)]
pub struct Fact {
    /// The reason to report when it does not hold, and nobody knows more.
    missing: &'static str,
    /// Why it does not hold, by who says so.
    troubles: Mutex<BTreeMap<u8, String>>,
    has_held: AtomicBool,
}

impl Fact {
    /// A condition that does not hold yet.
    fn new(missing: &'static str) -> Self {
        let troubles = Mutex::new(BTreeMap::from([(0, missing.to_owned())]));
        Self { missing, troubles, has_held: AtomicBool::new(false) }
    }

    pub fn set(&self, value: bool) {
        if value { self.holds_for(0) } else { self.fails(self.missing) }
    }

    /// Notes that the condition does not hold, for this reason.
    pub fn fails(&self, why: impl Into<String>) {
        self.fails_for(0, why);
    }

    /// Notes that the condition does not hold for one of its parts, for this reason.
    pub fn fails_for(&self, who: u8, why: impl Into<String>) {
        self.lock().insert(who, why.into());
    }

    /// Notes that the condition holds for one of its parts.
    pub fn holds_for(&self, who: u8) {
        self.has_held.store(true, Ordering::Relaxed);
        self.lock().remove(&who);
    }

    pub fn get(&self) -> bool {
        self.trouble().is_none()
    }

    /// Whether it was ever so since the process began.
    pub fn has_held(&self) -> bool {
        self.has_held.load(Ordering::Relaxed)
    }

    fn trouble(&self) -> Option<String> {
        self.lock().values().next().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u8, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Health {
    fn default() -> Self {
        let letters = Fact::new("rejected messages are not delivered");
        letters.set(true);
        let registry = Fact::new("the schema registry is away");
        registry.set(true);
        let (database, kafka) = (Fact::new("PostgreSQL is away"), Fact::new("Kafka is away"));
        // Neither was asked yet.
        database.fails("PostgreSQL has not answered yet");
        kafka.fails("Kafka has not answered yet");
        Self {
            letters,
            registry,
            database,
            kafka,
            group: Fact::new("no assignment from the consumer group yet"),
            partitions: Fact::new("partitions are not read"),
        }
    }
}

impl Health {
    /// The conditions that do not hold; empty if the process is ready.
    pub fn missing(&self) -> Vec<String> {
        let facts = [
            &self.database,
            &self.kafka,
            &self.group,
            &self.partitions,
            &self.letters,
            &self.registry,
        ];
        facts.into_iter().filter_map(Fact::trouble).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing_and_why_where_that_is_known() {
        let health = Health::default();
        assert_eq!(health.missing().len(), 4);
        assert_eq!(
            health.missing()[..2],
            ["PostgreSQL has not answered yet", "Kafka has not answered yet"]
        );
        health.kafka.set(true);
        health.group.set(true);
        health.partitions.set(true);
        health.database.fails("writing to PostgreSQL at h/d: a full disk");
        assert_eq!(health.missing(), ["writing to PostgreSQL at h/d: a full disk"]);
        health.database.set(true);
        assert!(health.missing().is_empty() && health.database.get());
    }

    #[test]
    fn what_one_writer_cannot_do_is_not_made_good_by_another() {
        let fact = Fact::new("away");
        assert!(!fact.has_held());
        fact.holds_for(0);
        fact.fails_for(1, "a lock");
        fact.holds_for(0);
        assert_eq!(fact.trouble().as_deref(), Some("a lock"));
        fact.holds_for(1);
        assert!(fact.get() && fact.has_held());
    }
}
