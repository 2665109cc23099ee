//! [`Waiting`]: what a session's statement is at that has not answered, as another session is told.

use super::database::Database;
use super::query::query;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

/// How long the server may take to tell: it gives up the statement soon, which then waits no more.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a statement has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Others hold a lock; who.
    ForLock(String),
    /// Nothing is in its way.
    Working,
    /// It is no longer under way, or the session is gone: nothing can be told of it.
    Ended,
    /// The server does not answer another session either.
    Silent,
}

impl Waiting {
    /// Asks for the statement of the session `pid`.
    pub async fn of(database: &Database, pid: i32) -> Self {
        let asking = async {
            let mut connection = database.connect().await.ok()?;
            Self::ask(&mut connection, pid).await.ok()
        };
        tokio::time::timeout(ASK_TIMEOUT, asking).await.ok().flatten().unwrap_or(Self::Silent)
    }

    async fn ask(connection: &mut PgConnection, pid: i32) -> sqlx::Result<Self> {
        let statement = query(include_str!("../../sql/waiting/ask.sql")).bind(pid);
        let Some(row) = statement.fetch_optional(connection).await? else { return Ok(Self::Ended) };
        let holders: Option<String> = row.try_get("holders")?;
        Ok(match holders {
            Some(holders) => Self::ForLock(holders),
            None if row.try_get("is_active")? => Self::Working,
            None => Self::Ended,
        })
    }

    /// As a part of a sentence, where there is something to say.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::ForLock(holders) => Some(format!("the statement waits for a lock of {holders}")),
            Self::Working => Some("the statement waits for no lock: it takes long".into()),
            Self::Silent => Some("nor does the server answer another session".into()),
            Self::Ended => None,
        }
    }
}

/// Does `task`, whose statements are the session `pid`'s, and notes meanwhile who holds locks that
/// these wait for; looks after every `pause`, and not at all before the first one is over.
pub async fn watched<T>(
    (database, pid): (&Database, Option<i32>),
    pause: Duration,
    task: impl Future<Output = T>,
) -> (T, Option<String>) {
    let mut holders = None;
    let done = tokio::select! {
        biased;
        done = task => done,
        never = watch(database, pid, pause, &mut holders) => match never {},
    };
    (done, holders)
}

async fn watch(
    database: &Database,
    pid: Option<i32>,
    pause: Duration,
    holders: &mut Option<String>,
) -> Infallible {
    let Some(pid) = pid else { return pending().await };
    tokio::time::sleep(pause).await;
    let Ok(mut connection) = database.connect().await else { return pending().await };
    loop {
        match Waiting::ask(&mut connection, pid).await {
            Ok(Waiting::ForLock(by)) => *holders = Some(by),
            Ok(_) => {}
            Err(_) => return pending().await,
        }
        tokio::time::sleep(pause).await;
    }
}
