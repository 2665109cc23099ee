//! [`Presence`]: this instance among those that write into the database. Marks tell them from
//! instances that write into another database: a copy of a whole server shares everything else with
//! it.

pub mod marks;

use common::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often an instance renews its mark, and looks for those of the others.
const EVERY: Duration = Duration::from_secs(10);
/// Who has not renewed its mark for as long has ended, cannot reach the database, or had it copied
/// from another one.
pub const SILENT: Duration = Duration::from_secs(300);

/// Which instances were awake when the marks were last read.
#[derive(Debug, Clone)]
pub struct AwakeInstances {
    pub at: Instant,
    /// By client ids, the instances that have renewed their marks lately.
    pub awake: Arc<BTreeSet<String>>,
}

impl AwakeInstances {
    /// Whether it is no older than a few renewals.
    pub fn is_recent(&self) -> bool {
        self.at.elapsed() < EVERY * 3
    }
}

/// This instance among those that write into the database.
pub struct Presence {
    /// The number that tells this process from every other one.
    number: String,
    look: Mutex<Option<AwakeInstances>>,
}

impl Presence {
    pub fn new() -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        let process = format!("{host}/{}/{}", std::process::id(), Timestamp::now().micros());
        Self { number: short_digest(&process), look: Mutex::default() }
    }

    pub fn number(&self) -> &str {
        &self.number
    }

    /// `None` before the first.
    pub fn look(&self) -> Option<AwakeInstances> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in who is awake now.
    pub fn note(&self, awake: Vec<String>) {
        let look =
            AwakeInstances { at: Instant::now(), awake: Arc::new(awake.into_iter().collect()) };
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

/// Eight digits that hardly any other text has.
pub fn short_digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
