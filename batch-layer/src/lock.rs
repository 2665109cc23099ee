//! The lock that lets one run work at a time: a row with a heartbeat.
//!
//! A session's advisory lock would outlive a host that died silently, and leak in a pooler. Who takes over a silent run's
//! lock is safe from it: whatever is written is written between [`begin`] and [`commit`], which ends with a look at the
//! lock, and that the old run no longer has.

use crate::cli::DatabaseOptions;
use crate::index::Index;
use service::Failure;
use service::pg;
use service::pg::{Database, in_time};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Connection, Row};
use std::io;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Heartbeats in the time after which a silent run counts as dead.
const BEATS: u32 = 6;
/// How often a lock is given back over a new connection, before it is left to age.
const RELEASE_TRIES: u32 = 4;
const RELEASE_PAUSE: Duration = Duration::from_secs(1);
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// What the sessions of a run are called in `pg_stat_activity`.
const RUN: &str = "batch-layer";

/// Ends transactions of this role's runs that are as old as the silence of the run that holds the lock: it is frozen or
/// gone in the middle of them, and what it has locked stands in the way of whoever takes over.
const CLEAR: &str = "
    with held as materialized
        (select from batch_lock where heartbeat_at < now() - make_interval(secs => $2)),
    ended as materialized
        (select pid from pg_stat_activity
         where exists (select from held) and datname = current_database() and usename = current_user
           and application_name = $1 and pid <> pg_backend_pid()
           and xact_start < now() - make_interval(secs => $2 / 2))
    select count(*) from ended where pg_terminate_backend(pid)";

/// What a run that has the lock writes with.
#[derive(Debug, Clone)]
pub struct Token {
    text: String,
    /// How long a statement of a transaction may take.
    limit: Duration,
    /// How long a transaction may wait for its next statement: after so long another run takes over.
    silence: Duration,
}

/// What trying to take the lock has led to.
pub enum Taken {
    Ours,
    /// A sentence about who has it.
    Theirs(String),
}

/// Opens the database for a run, and takes the lock, also of a run that has been silent for `silence`, whose transactions
/// are ended then. The index holds it from then on. `None`, and said in the log: another run is at work.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn open(database: &DatabaseOptions, silence: Duration) -> Result<Option<Index>, Failure> {
    let mut index = database.open(RUN, true).await?;
    index.limit_statements().await?;
    if let Taken::Theirs(who) = take(&mut index, silence).await? {
        let address = index.database.address();
        tracing::info!("another run of batch-layer is at work on {address} ({who}): nothing to do");
        return Ok(None);
    }
    Ok(Some(index))
}

/// The lock alone, for an index that is open.
///
/// # Errors
/// As [`open`].
pub async fn take(index: &mut Index, silence: Duration) -> Result<Taken, Failure> {
    let taken = in_time(index.patience, try_take(&mut index.connection, silence)).await;
    let token = taken.map_err(|error| index.failed("taking the batch layer's lock in", error))?;
    if let Some(text) = token {
        index.lock = Some(Token { text, limit: index.server_patience(), silence });
        return Ok(Taken::Ours);
    }
    let holder = in_time(index.patience, holder(&mut index.connection)).await;
    Ok(Taken::Theirs(holder.map_err(|error| index.failed("reading the batch layer's lock in", error))?))
}

async fn try_take(connection: &mut PgConnection, silence: Duration) -> Result<Option<String>, sqlx::Error> {
    let ended: i64 = pg::query_scalar(CLEAR).bind(RUN).bind(silence.as_secs_f64()).fetch_one(&mut *connection).await?;
    if ended > 0 {
        tracing::warn!(ended, "a run that is not heard of any more had a transaction open in PostgreSQL: it was ended");
    }
    pg::query_scalar(
        "insert into batch_lock as held (token, holder) values (gen_random_uuid(), $1)
         on conflict (is_the_only_row) do update
             set (token, holder, taken_at, heartbeat_at) = (excluded.token, excluded.holder, now(), now())
             where held.heartbeat_at < now() - make_interval(secs => $2)
         returning token::text",
    )
    .bind(describe())
    .bind(silence.as_secs_f64())
    .fetch_optional(connection)
    .await
}

async fn holder(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let row = pg::query(
        "select holder, extract(epoch from now() - taken_at)::bigint as since,
                extract(epoch from now() - heartbeat_at)::bigint as silent
         from batch_lock",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok("it has just ended".into());
    };
    let (since, silent): (i64, i64) = (row.try_get("since")?, row.try_get("silent")?);
    let holder: String = row.try_get("holder")?;
    Ok(format!("{holder}, for {since} s, last heard of {silent} s ago"))
}

/// The machine and the process, for people.
fn describe() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// Gives the lock back. A run that has lost it leaves the new owner's alone.
pub async fn release(index: &mut Index) {
    let Some(token) = index.lock.take() else {
        return;
    };
    let mut given_back = in_time(index.patience, give_back(&mut index.connection, &token)).await;
    // What has ended the run may have ended its connection. The next run should not have to wait for the lock to age.
    for _ in 0..RELEASE_TRIES {
        if given_back.is_ok() {
            return;
        }
        tokio::time::sleep(RELEASE_PAUSE).await;
        let anew = async { give_back(&mut connect(&index.database).await?, &token).await };
        given_back = in_time(RELEASE_LIMIT, anew).await;
    }
    if let Err(error) = given_back {
        tracing::warn!("the lock could not be given back, a later run will take it over: {error}");
    }
}

async fn give_back(connection: &mut PgConnection, token: &Token) -> Result<(), sqlx::Error> {
    pg::query("delete from batch_lock where token = $1::uuid").bind(&token.text).execute(connection).await.map(drop)
}

/// A transaction that the server itself ends, also behind a pooler: nobody may wait for its statements any more, or be
/// there to send the next one.
pub async fn begin<'a>(
    connection: &'a mut PgConnection,
    token: Option<&Token>,
) -> Result<PgTransaction<'a>, sqlx::Error> {
    match token {
        None => Connection::begin(connection).await,
        Some(token) => {
            let begin = format!(
                "begin isolation level read committed; set local statement_timeout = {}; \
                 set local idle_in_transaction_session_timeout = {}",
                token.limit.as_millis(),
                token.silence.as_millis().min(i32::MAX as u128)
            );
            connection.begin_with(sqlx::AssertSqlSafe(begin)).await
        }
    }
}

/// Commits, provided that the run still has its lock.
pub async fn commit(mut transaction: PgTransaction<'_>, token: Option<&Token>) -> Result<(), sqlx::Error> {
    if let Some(token) = token {
        // It cannot be taken over before the transaction has ended.
        let held = pg::query("select from batch_lock where token = $1::uuid for share")
            .bind(&token.text)
            .fetch_optional(transaction.acquire().await?)
            .await?;
        if held.is_none() {
            let why = "another run has taken over the lock, because this one was not heard of for too long";
            return Err(sqlx::Error::Io(io::Error::other(why)));
        }
    }
    transaction.commit().await
}

/// Keeps the lock alive over a connection of its own, until it is dropped. `lost` is cancelled once another run has it.
pub fn keep(index: &Index, silence: Duration, lost: CancellationToken) -> Option<AbortOnDropHandle<()>> {
    let (token, database) = (index.lock.clone()?, index.database.clone());
    let pause = silence / BEATS;
    let beating = async move {
        let mut connection = None;
        loop {
            tokio::time::sleep(pause).await;
            match in_time(pause, beat(&database, &mut connection, &token)).await {
                Ok(true) => {}
                Ok(false) => return lost.cancel(),
                Err(error) => {
                    tracing::debug!("heartbeat: {error}");
                    connection = None;
                }
            }
        }
    };
    Some(AbortOnDropHandle::new(tokio::spawn(beating)))
}

async fn beat(database: &Database, connection: &mut Option<PgConnection>, token: &Token) -> Result<bool, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connect(database).await?),
    };
    let done = pg::query("update batch_lock set heartbeat_at = now() where token = $1::uuid").bind(&token.text);
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

async fn connect(database: &Database) -> Result<PgConnection, sqlx::Error> {
    database.connect().await.map_err(|error| sqlx::Error::Io(io::Error::other(error.to_string())))
}
