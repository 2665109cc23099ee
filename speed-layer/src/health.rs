//! [`Health`]: whether the process can do its work at this moment, and why not.

use std::sync::{Mutex, PoisonError};

/// The truth behind `/readyz`.
#[derive(Debug)]
pub struct Health {
    /// The last thing that was tried on PostgreSQL worked.
    pub database: Fact,
    /// A connection to at least one broker is up.
    pub kafka: Fact,
    /// The group has given this instance its share of the partitions, be it none.
    pub group: Fact,
    /// All of them are read.
    pub partitions: Fact,
}

/// A fact that changes.
#[derive(Debug)]
pub struct Fact {
    /// What to say where it does not hold, and nobody knows more.
    missing: &'static str,
    /// Why it does not hold.
    trouble: Mutex<Option<String>>,
}

impl Fact {
    /// One that does not hold yet.
    fn new(missing: &'static str) -> Self {
        Self { missing, trouble: Mutex::new(Some(missing.to_owned())) }
    }

    pub fn set(&self, value: bool) {
        self.put((!value).then(|| self.missing.to_owned()));
    }

    /// It does not hold, for this reason.
    pub fn fails(&self, why: impl Into<String>) {
        self.put(Some(why.into()));
    }

    pub fn get(&self) -> bool {
        self.trouble().is_none()
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            database: Fact::new("PostgreSQL is away"),
            kafka: Fact::new("Kafka is away"),
            group: Fact::new("no assignment from the consumer group yet"),
            partitions: Fact::new("partitions are not read"),
        }
    }
}

impl Health {
    /// What is missing; empty where the process is ready.
    pub fn missing(&self) -> Vec<String> {
        [&self.database, &self.kafka, &self.group, &self.partitions].into_iter().filter_map(Fact::trouble).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing_and_why_where_that_is_known() {
        let health = Health::default();
        assert_eq!(health.missing().len(), 4);
        health.kafka.set(true);
        health.group.set(true);
        health.partitions.set(true);
        health.database.fails("writing to PostgreSQL at h/d: a full disk");
        assert_eq!(health.missing(), ["writing to PostgreSQL at h/d: a full disk"]);
        health.database.set(true);
        assert!(health.missing().is_empty() && health.database.get());
    }
}
