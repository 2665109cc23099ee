use std::sync::{Mutex, PoisonError};

/// What is wrong beside lost, doubled and differing data: processes that end or hang.
#[derive(Default)]
pub struct Findings(Mutex<Vec<String>>);

impl Findings {
    pub fn add(&self, finding: String) {
        tracing::error!("FOUND {finding}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
