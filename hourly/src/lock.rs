//! The lock that lets one run work at a time, or those that share a window: a row with a heartbeat
//! for each of them.
//!
//! A session's advisory lock would outlive a host that died silently, and leak in a pooler. Who
//! takes over a silent run's lock is safe from it: whatever is written is written [`within`] a
//! transaction that ends with a look at the lock, and that the old run no longer has.
//!
//! Runs that share a window are kept from each other by what their transactions hold until they end
//! ([`TransactionLock`]): advisory locks, but those of a transaction, which a pooler cannot leak.
//! They are taken in one order: [`TransactionLock`], the rows of an hour, then
//! [`serialize_commits`].

pub(crate) mod transaction;

pub use transaction::{End, TakenOver, Token, TransactionLock, serialize_commits, within};

use crate::flags::DatabaseOptions;
use crate::index::BatchDb;
use crate::stop::stopped;
use service::Failure;
use service::pg;
use service::pg::{Database, in_time};
use service::words::counted;
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Row};
use std::io;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use transaction::{SESSIONS, TRANSACTIONS, begin_with};

/// Heartbeats in the time after which a silent run counts as dead.
const BEATS: u32 = 6;
/// Maximum heartbeat interval of a sharing run, so that others soon notice that it died.
const SHARED_BEAT: Duration = Duration::from_secs(2);
/// How often a lock is given back over a new connection, before it is left to age.
const RELEASE_TRIES: u32 = 4;
const RELEASE_PAUSE: Duration = Duration::from_secs(1);
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// Name of a run's sessions in `pg_stat_activity`.
const RUN: &str = "batch-layer";

/// Ends the transactions of runs that are dead: such a run is frozen or gone in the middle of them,
/// and its locks block the run that takes over.
const END_DEAD_TRANSACTIONS: &str = include_str!("../sql/lock/end_transactions.sql");

/// Forgets runs that are dead, but for one; and what runs have shared of which none is left.
const DELETE_DEAD_RUNS: [&str; 2] = [
    include_str!("../sql/lock/forget_dead.sql"),
    "delete from batch_stretches where not exists (select from batch_lock)",
];

/// Result of trying to take the lock.
pub enum Acquired {
    Yes,
    /// A sentence about who has it.
    HeldBy(String),
}

/// How often a run that shares hours asks whether others have made way.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Opens the database for a run, and takes the lock, also of a run that has been silent for
/// `silence`, whose transactions are ended then. The returned connection holds it. Returns
/// `None`, and logs who, if another run is at work.
///
/// # Errors
/// Where the database fails.
pub async fn open(
    database: &DatabaseOptions,
    silence: Duration,
) -> Result<Option<BatchDb>, Failure> {
    let mut db = database.open(RUN, true).await?;
    db.limit_statements().await?;
    if let Acquired::HeldBy(who) = acquire(&mut db, silence).await? {
        let address = db.database.address();
        tracing::info!(%who, address, "another run of batch-layer is at work on {address} ({who}): \
                                       nothing to do");
        return Ok(None);
    }
    Ok(Some(db))
}

/// Opens the database for a run that was asked for hours of its own: it waits for any other run,
/// but not for those of its `group` if it shares its hours.
///
/// # Errors
/// As [`open`], or where `stop` is cancelled.
pub async fn acquire_when_free(
    database: &DatabaseOptions,
    silence: Duration,
    group: Option<&str>,
    stop: &CancellationToken,
) -> Result<BatchDb, Failure> {
    let mut db = database.open(RUN, true).await?;
    db.limit_statements().await?;
    let mut is_logged = false;
    while let Acquired::HeldBy(who) = acquire_in_group(&mut db, silence, group).await? {
        if !std::mem::replace(&mut is_logged, true) {
            let address = db.database.address();
            tracing::info!(%who, address, "waiting for another run of batch-layer on {address} \
                                           ({who})");
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.ok_or_else(stopped)?;
    }
    Ok(db)
}

/// The lock alone, for an index that is open.
///
/// # Errors
/// As [`open`].
pub async fn acquire(db: &mut BatchDb, silence: Duration) -> Result<Acquired, Failure> {
    acquire_in_group(db, silence, None).await
}

async fn acquire_in_group(
    db: &mut BatchDb,
    silence: Duration,
    group: Option<&str>,
) -> Result<Acquired, Failure> {
    let limit = db.server_patience();
    let token = db
        .query("taking the batch layer's lock in", async |connection| {
            try_acquire(connection, (limit, silence), group).await
        })
        .await?;
    if let Some(text) = token {
        db.lock = Some(Token { text, limit, silence, shares: group.is_some() });
        return Ok(Acquired::Yes);
    }
    db.query("reading the batch layer's lock in", describe_holder).await.map(Acquired::HeldBy)
}

async fn try_acquire(
    connection: &mut PgConnection,
    (limit, silence): (Duration, Duration),
    group: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    end_dead_transactions(connection, silence).await?;
    let mut transaction =
        begin_with(connection, (limit, silence), None, TransactionLock::Membership).await?;
    delete_dead_runs(&mut transaction, silence, None).await?;
    let token = pg::query_scalar(include_str!("../sql/lock/take.sql"))
        .bind(describe())
        .bind(group)
        .fetch_optional(transaction.acquire().await?)
        .await?;
    transaction.commit().await?;
    Ok(token)
}

/// Ends the transactions of silent runs.
///
/// # Errors
/// Where the database fails.
pub async fn end_dead_transactions(
    connection: &mut PgConnection,
    silence: Duration,
) -> Result<(), sqlx::Error> {
    let ended: i64 = pg::query_scalar(END_DEAD_TRANSACTIONS)
        .bind(silence.as_secs_f64())
        .bind(SESSIONS)
        .bind(TRANSACTIONS)
        .fetch_one(connection)
        .await?;
    if ended > 0 {
        tracing::warn!(
            ended,
            "ended {ended} open transactions of runs that stopped sending heartbeats"
        );
    }
    Ok(())
}

/// Forgets silent runs but `own`, in a transaction that holds [`TransactionLock::Membership`].
///
/// # Errors
/// Where the database fails.
pub async fn delete_dead_runs(
    transaction: &mut PgTransaction<'_>,
    silence: Duration,
    own: Option<&Token>,
) -> Result<(), sqlx::Error> {
    let [silent, left] = DELETE_DEAD_RUNS;
    pg::query(silent)
        .bind(silence.as_secs_f64())
        .bind(SESSIONS)
        .bind(own.map(Token::as_str))
        .execute(transaction.acquire().await?)
        .await?;
    pg::query(left).execute(transaction.acquire().await?).await?;
    Ok(())
}

async fn describe_holder(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let row = pg::query(include_str!("../sql/lock/holder.sql")).fetch_optional(connection).await?;
    let Some(row) = row else {
        return Ok("it has just ended".into());
    };
    let (since, silent): (i64, i64) = (row.try_get("since")?, row.try_get("silent")?);
    let (holder, others): (String, i64) = (row.try_get("holder")?, row.try_get("others")?);
    let others = match others {
        0 => String::new(),
        others => format!(", with {}", counted(others.cast_unsigned(), "other")),
    };
    Ok(format!("{holder}{others}, for {since} s, last heard of {silent} s ago"))
}

/// The machine and the process, for people.
fn describe() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// Gives the lock back. A run that has lost it leaves the new owner's alone.
pub async fn release(db: &mut BatchDb) {
    let Some(token) = db.lock.take() else {
        return;
    };
    let mut given_back = in_time(db.patience, give_back(&mut db.connection, &token)).await;
    // What has ended the run may have ended its connection. The next run should not have to wait
    // for the lock to age.
    for _ in 0..RELEASE_TRIES {
        if given_back.is_ok() {
            return;
        }
        tokio::time::sleep(RELEASE_PAUSE).await;
        let anew = async { give_back(&mut connect(&db.database).await?, &token).await };
        given_back = in_time(RELEASE_LIMIT, anew).await;
    }
    if let Err(error) = given_back {
        tracing::warn!(
            %error,
            "could not release the lock; the next run takes it over after --takeover-after: {error}"
        );
    }
}

async fn give_back(connection: &mut PgConnection, token: &Token) -> Result<(), sqlx::Error> {
    pg::query("delete from batch_lock where token = $1::uuid")
        .bind(&token.text)
        .execute(connection)
        .await
        .map(drop)
}

/// Keeps the lock alive over a connection of its own, until it is dropped. `lost` is cancelled once
/// another run has it.
pub fn spawn_heartbeat(
    db: &BatchDb,
    silence: Duration,
    lost: CancellationToken,
) -> Option<AbortOnDropHandle<()>> {
    let (token, database) = (db.lock.clone()?, db.database.clone());
    let pause = if token.shares { SHARED_BEAT.min(silence / BEATS) } else { silence / BEATS };
    let beating = async move {
        let mut connection = None;
        loop {
            // Those that share are to know at once by which session it lives.
            if !token.shares || connection.is_some() {
                tokio::time::sleep(pause).await;
            }
            match in_time(pause, beat(&database, &mut connection, &token)).await {
                Ok(true) => {}
                Ok(false) => return lost.cancel(),
                Err(error) => {
                    tracing::debug!("heartbeat: {error}");
                    connection = None;
                    tokio::time::sleep(RELEASE_PAUSE.min(pause)).await;
                }
            }
        }
    };
    Some(AbortOnDropHandle::new(tokio::spawn(beating)))
}

async fn beat(
    database: &Database,
    connection: &mut Option<PgConnection>,
    token: &Token,
) -> Result<bool, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let mut new = connect(database).await?;
            note_session(&mut new, token).await?;
            connection.insert(new)
        }
    };
    let done = pg::query("update batch_lock set heartbeat_at = now() where token = $1::uuid")
        .bind(&token.text);
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// Notes by which session a run lives that shares its hours: where that ends, so has the run.
/// Behind a pooler there is none.
async fn note_session(connection: &mut PgConnection, token: &Token) -> Result<(), sqlx::Error> {
    if !token.shares || !pg::has_a_session() {
        return Ok(());
    }
    let number = token.number();
    let is_held: bool = pg::query_scalar("select pg_try_advisory_lock($1, $2)")
        .bind(SESSIONS)
        .bind(number)
        .fetch_one(&mut *connection)
        .await?;
    // An earlier session of it that has not ended yet tells nothing any more.
    pg::query("update batch_lock set session = $2 where token = $1::uuid")
        .bind(&token.text)
        .bind(is_held.then_some(number))
        .execute(connection)
        .await
        .map(drop)
}

async fn connect(database: &Database) -> Result<PgConnection, sqlx::Error> {
    database.connect().await.map_err(|error| sqlx::Error::Io(io::Error::other(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the words on that say which runs are dead, without blanks.
    fn dead(statement: &str) -> Option<String> {
        let (_, condition) = statement.split_once("(heartbeat_at <")?;
        let (condition, _) = condition.split_once("current_database())))")?;
        Some(condition.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn whose_transactions_are_ended_and_who_is_forgotten_are_the_same() {
        let said = dead(END_DEAD_TRANSACTIONS);
        assert!(said.is_some());
        assert_eq!(said, dead(DELETE_DEAD_RUNS[0]));
    }
}
