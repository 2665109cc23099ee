//! The marks that running instances leave in the database, so that they can tell each other from
//! whoever writes into another one: a copy of a whole server shares everything else with it.

use crate::Shared;
use crate::store::limits::PRESENCE;
use common::Timestamp;
use service::Failure;
use service::pg::{self, Database, in_time};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often an instance renews its mark, and looks for those of the others.
const EVERY: Duration = Duration::from_secs(10);
/// Longer than a look takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);
/// Who has not renewed its mark for as long has ended, cannot reach the database, or had it copied
/// from another one.
pub const SILENT: Duration = Duration::from_secs(300);

/// A mark that is lost in a crash is renewed at the next look.
const BEGIN: &str = "begin isolation level read committed; \
                     set local lock_timeout = '4s'; \
                     set local statement_timeout = '10s'; \
                     set local synchronous_commit = off";
const RENEW: &str = include_str!("../sql/presence/renew.sql");
const FORGET: &str =
    "delete from speed_instances where seen_at < clock_timestamp() - interval '1 day'";
const AWAKE: &str = include_str!("../sql/presence/awake.sql");

/// What the last look has found.
#[derive(Debug, Clone)]
pub struct Look {
    pub at: Instant,
    /// By client ids, the instances that have renewed their marks lately.
    pub awake: Arc<BTreeSet<String>>,
}

impl Look {
    /// Whether the next one is not due for long.
    pub fn is_of_now(&self) -> bool {
        self.at.elapsed() < EVERY * 3
    }
}

/// This instance among those that write into the database.
pub struct Presence {
    /// What tells this process from every other one.
    number: String,
    look: Mutex<Option<Look>>,
}

impl Presence {
    pub fn new() -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        let process = format!("{host}/{}/{}", std::process::id(), Timestamp::now().micros());
        Self { number: short_digest(&process), look: Mutex::default() }
    }

    pub fn number(&self) -> &str {
        &self.number
    }

    /// `None` before the first.
    pub fn look(&self) -> Option<Look> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, awake: Vec<String>) {
        let look = Look { at: Instant::now(), awake: Arc::new(awake.into_iter().collect()) };
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

/// Eight digits that hardly any other text has.
pub fn short_digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Renews the mark and reads the others', until shutdown. The first mark is there already
/// ([`show`]).
pub async fn run(shared: Arc<Shared>) {
    let database = shared.database.with_application(PRESENCE);
    let mut outage = shared.outage("presence");
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
        match connect_and_show(&shared, &database).await {
            Ok(()) => outage.over(),
            // Where the writers fare no better, they say so.
            Err(failure) if shared.health.database.get() => outage.failed(&failure).await,
            Err(_) => {}
        }
    }
}

async fn connect_and_show(shared: &Shared, database: &Database) -> Result<(), Failure> {
    show(shared, &mut database.connect().await?).await
}

/// Shows the other instances that this one writes into this database, and looks who else does.
///
/// # Errors
/// The mark cannot be written.
pub async fn show(shared: &Shared, connection: &mut PgConnection) -> Result<(), Failure> {
    let looked = in_time(PATIENCE, renew_and_look(connection, &shared.client_id())).await;
    let awake = looked.map_err(|error| {
        shared.database.failure("marking this instance in speed_instances of", error)
    })?;
    shared.presence.note(awake);
    Ok(())
}

async fn renew_and_look(
    connection: &mut PgConnection,
    client_id: &str,
) -> sqlx::Result<Vec<String>> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    pg::within::query(RENEW).bind(client_id).execute(&mut *transaction).await?;
    pg::within::query(FORGET).execute(&mut *transaction).await?;
    let awake = pg::within::query_scalar(AWAKE)
        .bind(SILENT.as_secs_f64())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(awake)
}
