//! Whether a pooler is between this program and PostgreSQL.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a pooler (PgBouncer, RDS Proxy) is between us and the server. A process has one
/// database.
static IS_POOLED: AtomicBool = AtomicBool::new(false);

/// Whether a statement may be prepared once for all transactions of a connection. Behind a pooler
/// each transaction may be another session's: then nothing may outlive it, neither a statement nor
/// a setting.
#[must_use]
pub fn has_a_session() -> bool {
    !IS_POOLED.load(Ordering::Relaxed)
}

/// Notes that there is one; whether that is news.
pub(super) fn note_pooler() -> bool {
    !IS_POOLED.swap(true, Ordering::Relaxed)
}
