//! [`Findings`]: what else was wrong in a run of faults.

use sqlx::PgPool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take, other faults and a slow machine included; what is promised is said
/// beside its use.
pub const LIMIT: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

    /// Waits until a query counts as many rows as expected, and gives how long that took.
    /// PostgreSQL may be away meanwhile: that is one of the faults.
    pub async fn await_count(
        &self,
        pool: &PgPool,
        query: &'static str,
        expected: usize,
        when: &str,
    ) -> Duration {
        let (begun, expected) = (Instant::now(), i64::try_from(expected).unwrap_or(i64::MAX));
        let mut seen = Ok(0);
        while begun.elapsed() < LIMIT {
            seen = sqlx::query_scalar(query).fetch_one(pool).await;
            if matches!(seen, Ok(count) if count >= expected) {
                return begun.elapsed();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.add_silent(format!(
            "{when}, after {LIMIT:?}: {seen:?} of {expected} messages are in a table"
        ));
        begun.elapsed()
    }

    pub fn all(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them are of a partition that is not read.
    pub fn silent(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }
}
