//! [`Findings`]: what else was wrong in a run of faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is wrong beside lost, doubled and differing data: processes that end, hang or read nothing.
#[derive(Default)]
pub struct Findings {
    all: Mutex<Vec<String>>,
    silent: AtomicU64,
}

impl Findings {
    pub fn add(&self, finding: String) {
        tracing::error!("FOUND {finding}");
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// One of a partition that is not read.
    pub fn add_silent(&self, finding: String) {
        self.silent.fetch_add(1, Ordering::Relaxed);
        self.add(finding);
    }

    pub fn all(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them are of a partition that is not read.
    pub fn silent(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }
}
