//! A run's transactions: whatever is written is written [`within`] one.

use service::pg::{self, Limits};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Connection};
use std::io;
use std::time::Duration;

/// The first number of this program's advisory locks, "batc"; the second one says what for.
const ADVISORY: i32 = 0x6261_7463;
/// Advisory locks of sessions, one for each run that shares its hours.
pub(super) const SESSIONS: i32 = ADVISORY + 1;
/// Advisory locks of transactions, which show that they are a run's.
pub(super) const TRANSACTIONS: i32 = ADVISORY + 2;
const MEMBERS: i32 = 1;
const INDEX: i32 = 2;
const QUEUE: i32 = 3;

/// The lock that a transaction holds until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionLock {
    None,
    /// Coming and going: the lock itself, and who is at work on which hours.
    Membership,
    /// Changes of the index, so that what an hour is made of stays what it is.
    Hour,
    /// Both that and writing hours: it changes the index.
    Index,
}

/// Proof that a run has the lock; all its writes need it.
#[derive(Debug, Clone)]
pub struct Token {
    pub(super) text: String,
    /// How long a statement of a transaction may take.
    pub(super) limit: Duration,
    /// How long a transaction may wait for its next statement: after so long another run takes
    /// over.
    pub(super) silence: Duration,
    /// Its hours are shared with other runs, which need not wait for that where its session is
    /// gone.
    pub(super) shares: bool,
}

impl Token {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its number among advisory locks: the first digits.
    pub(super) fn number(&self) -> i32 {
        self.text
            .get(..8)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .unwrap_or_default()
            .cast_signed()
    }
}

/// How a transaction ends whose every statement was carried out.
pub enum End<T> {
    Commit(T),
    /// Nothing of it stays, and nobody asks whether the run still has its lock.
    Undo(T),
}

/// Does `task` in a transaction, and commits it only if the run still has its lock then.
///
/// # Errors
/// PostgreSQL's, those of `task`, and where another run has the lock; nothing has changed then.
pub async fn within<T>(
    connection: &mut PgConnection,
    token: Option<&Token>,
    lock: TransactionLock,
    task: impl AsyncFnOnce(&mut PgTransaction<'_>) -> Result<End<T>, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut transaction = begin_locked(connection, token, lock).await?;
    let done = task(&mut transaction).await?;
    match done {
        End::Commit(done) => commit_if_owner(transaction, token).await.map(|()| done),
        End::Undo(done) => transaction.rollback().await.map(|()| done),
    }
}

/// A transaction that the server itself ends, also behind a pooler: nobody may wait for its
/// statements any more, or be there to send the next one. It keeps other runs from what `lock`
/// says.
async fn begin_locked<'a>(
    connection: &'a mut PgConnection,
    token: Option<&Token>,
    lock: TransactionLock,
) -> Result<PgTransaction<'a>, sqlx::Error> {
    match token {
        None => Connection::begin(connection).await,
        Some(token) => {
            begin_with(connection, (token.limit, token.silence), Some(token), lock).await
        }
    }
}

pub(super) async fn begin_with<'a>(
    connection: &'a mut PgConnection,
    (limit, silence): (Duration, Duration),
    token: Option<&Token>,
    lock: TransactionLock,
) -> Result<PgTransaction<'a>, sqlx::Error> {
    // Others wait for what it holds, and not for longer than for a statement.
    let idle = silence.min(limit / 2).min(Duration::from_millis(i32::MAX as u64));
    let limits = Limits { lock: None, statement: Some(limit), idle: Some(idle) };
    let own = token.map(|token| {
        format!("; select pg_advisory_xact_lock_shared({TRANSACTIONS}, {})", token.number())
    });
    let own = own.unwrap_or_default();
    let lock = match lock {
        TransactionLock::None => String::new(),
        TransactionLock::Membership => {
            format!("; select pg_advisory_xact_lock({ADVISORY}, {MEMBERS})")
        }
        TransactionLock::Hour => {
            format!("; select pg_advisory_xact_lock_shared({ADVISORY}, {INDEX})")
        }
        TransactionLock::Index => format!("; select pg_advisory_xact_lock({ADVISORY}, {INDEX})"),
    };
    let begin = format!("{}{own}{lock}", limits.begin_statement(&[]));
    connection.begin_with(sqlx::AssertSqlSafe(begin)).await
}

/// Lets transactions that write hours end one after the other: what follows sees what those before
/// have written.
pub async fn serialize_commits(transaction: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
    pg::query("select pg_advisory_xact_lock($1, $2)")
        .bind(ADVISORY)
        .bind(QUEUE)
        .execute(transaction.acquire().await?)
        .await
        .map(drop)
}

/// Why nothing more can be written. It is no fault of the database's.
#[derive(Debug, thiserror::Error)]
#[error(
    "another run has taken over the lock, because this one sent no heartbeat within \
     --takeover-after: that one does the rest"
)]
pub struct TakenOver;

impl TakenOver {
    /// Whether this is why a transaction failed.
    #[must_use]
    pub fn caused(error: &sqlx::Error) -> bool {
        let sqlx::Error::Io(error) = error else { return false };
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

/// Commits, provided that the run still has its lock.
async fn commit_if_owner(
    mut transaction: PgTransaction<'_>,
    token: Option<&Token>,
) -> Result<(), sqlx::Error> {
    if let Some(token) = token {
        // It cannot be taken over before the transaction has ended.
        let held = pg::query("select from batch_lock where token = $1::uuid for share")
            .bind(&token.text)
            .fetch_optional(transaction.acquire().await?)
            .await?;
        if held.is_none() {
            return Err(sqlx::Error::Io(io::Error::other(TakenOver)));
        }
    }
    transaction.commit().await
}
