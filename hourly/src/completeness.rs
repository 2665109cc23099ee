//! Whether the archive shows an hour completely: `archive_hours`.
//!
//! The speed layer reads the topic on its own; an hour of which it has a tick that the archive
//! lacks ([`compared`]) is incomplete, and is looked at in each run until it is not, however far
//! back it lies. So is an hour that a broken object holds back, and one in whose folder offsets are
//! missing between archived ones ([`holes`]). Of an hour that the speed layer knows nothing of,
//! nothing else tells what is missing: it counts as complete, and its reason says so.

mod compared;
mod hole;
mod holes;
mod known;
mod lag;

pub use compared::compare;
pub use holes::{Naming, check_gaps, forget_read, lacks};
pub use known::KnownOffsets;
pub use lag::archive_lag;

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lock::TransactionLock;
use common::Timestamp;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Hours whose numbers of ticks are compared in each run. Older ones are looked at where the batch
/// layer has none at all.
const COMPARED_HOURS: i64 = 35 * 24;

/// Hours outside of the window whose folders a run lists at most; those that were listed longest
/// ago come first.
const LISTED_AT_MOST: i64 = 1000;

/// Summary of the hours that were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletenessSummary {
    pub incomplete: u64,
    /// One of them, with the reason.
    pub example: Option<String>,
    /// Hours of the window of which only the speed layer has ticks.
    pub speed_only: u64,
}

/// Hours before `due` of which something is missing, without those whose folders were listed within
/// the hour.
///
/// # Errors
/// Where the database fails.
pub async fn incomplete_hours(db: &mut BatchDb, due: Hour) -> Result<BTreeSet<Hour>, Failure> {
    // Hops from one hour to the next in the index of hour_bars, which has a row for each symbol.
    let statement = pg::query_scalar(include_str!("../sql/completeness/incomplete.sql"))
        .bind(Timestamptz(due.start()))
        .bind(Timestamptz(due.plus(-COMPARED_HOURS).start()))
        .bind(LISTED_AT_MOST);
    let hours: Vec<Timestamptz> = db.fetch_all("looking for missing hours in", statement).await?;
    Ok(hours.into_iter().map(Hour::from).collect())
}

/// When the last run began that looked at all of its usual window, came to its end and was not
/// stopped: what was archived since may lie as far back before that as a run looks back.
///
/// # Errors
/// Where the database fails.
pub async fn last_run(db: &mut BatchDb) -> Result<Option<Timestamp>, Failure> {
    let statement = pg::query_scalar(include_str!("../sql/completeness/last_run.sql"))
        .bind(crate::stop::STOPPED);
    let last: Option<Timestamptz> = db.fetch_one("reading batch_runs in", statement).await?;
    Ok(last.map(Timestamp::from))
}

/// Gaps of hours that the archive itself shows.
#[derive(Debug)]
pub struct Lacks<'a> {
    /// Hours in whose folders no line is a tick, with the number of lines.
    pub rejected: &'a BTreeMap<Hour, u64>,
    /// Hours of which offsets are missing, with why.
    pub offsets: &'a BTreeMap<Hour, String>,
}

/// Sets the status of the hours `listed`, and of those that the archive itself tells something
/// about.
///
/// # Errors
/// Where the database fails.
pub async fn check_completeness(
    db: &mut BatchDb,
    window: &Range<Hour>,
    (listed, lacks): (&[Timestamp], Lacks<'_>),
) -> Result<CompletenessSummary, Failure> {
    db.transact("writing archive_hours in", TransactionLock::None, async |transaction| {
        write_hours(transaction, listed, lacks).await
    })
    .await?;
    db.query("reading archive_hours in", async |connection| read_verdict(connection, window).await)
        .await
}

const UPDATE_STATUS: &str = include_str!("../sql/completeness/status.sql");

async fn write_hours(
    transaction: &mut PgTransaction<'_>,
    listed: &[Timestamp],
    Lacks { rejected, offsets }: Lacks<'_>,
) -> Result<(), sqlx::Error> {
    pg::query(UPDATE_STATUS)
        .bind(Timestamptz::all(listed.iter().copied()))
        .bind(Timestamptz::all(rejected.keys().map(|hour| hour.start())))
        .bind(rejected.values().map(|lines| lines.cast_signed()).collect::<Vec<_>>())
        .bind(Timestamptz::all(offsets.keys().map(|hour| hour.start())))
        .bind(offsets.values().collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}

async fn read_verdict(
    connection: &mut PgConnection,
    window: &Range<Hour>,
) -> Result<CompletenessSummary, sqlx::Error> {
    let row = pg::query(include_str!("../sql/completeness/verdict.sql"))
        .bind(Timestamptz(window.start.start()))
        .bind(Timestamptz(window.end.start()))
        .fetch_one(connection)
        .await?;
    let incomplete: i64 = row.try_get("incomplete")?;
    let speed_only: i64 = row.try_get("speed_only")?;
    let example: Option<String> = row.try_get("example")?;
    Ok(CompletenessSummary {
        incomplete: incomplete.cast_unsigned(),
        example: example.filter(|_| incomplete > 0),
        speed_only: speed_only.cast_unsigned(),
    })
}
