//! What a process and its database look like from outside, at one moment.

use crate::process::status;
use anyhow::Context;
use serde::Serialize;
use sqlx::{PgConnection, Row};

/// One look.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Since the beginning.
    pub seconds: f64,
    /// Resident memory of the speed layer.
    pub memory_mb: f64,
    /// Its open files and sockets.
    pub handles: u64,
    pub threads: u64,
    /// Sessions of both layers at PostgreSQL.
    pub connections: i64,
    /// Messages of the topic that are not written.
    pub lag: i64,
    /// Messages written so far.
    pub written: i64,
    /// From sending a message to seeing it, since the last look.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// What the system knows of a process: memory in MB, handles and threads.
///
/// # Errors
/// Where the process has ended.
pub fn look_at_process(pid: i32) -> anyhow::Result<(f64, u64, u64)> {
    let id = pid.cast_unsigned();
    let handles = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let handles = handles.context("the speed layer has ended")?.count() as u64;
    Ok((status(id, "VmRSS")? / 1024.0, handles, status(id, "Threads")? as u64))
}

const LOOK: &str = include_str!("../../sql/soak/look.sql");

/// What PostgreSQL knows: sessions of both layers, and the sum of the stored offsets.
///
/// # Errors
/// The server's answer.
pub async fn look_at_database(connection: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query(LOOK).fetch_one(connection).await?;
    Ok((row.get(0), row.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_handles_and_threads() {
        let own = std::process::id().cast_signed();
        let (memory_mb, handles, threads) = look_at_process(own).unwrap();
        assert!(memory_mb > 1.0 && handles > 2 && threads > 0);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(look_at_process(i32::MAX).is_err());
    }
}
