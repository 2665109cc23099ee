//! The marks that running instances leave in the database.

use super::{EVERY, SILENT};
use crate::process::Process;
use crate::store::limits::PRESENCE;
use service::Failure;
use service::pg::{self, Database, Limits, in_time};
use sqlx::PgConnection;
use std::sync::Arc;
use std::time::Duration;

/// How long a statement may take, also on a busy machine.
const STATEMENT: Duration = Duration::from_secs(10);
const LIMITS: Limits =
    Limits { lock: Some(Duration::from_secs(4)), statement: Some(STATEMENT), idle: None };
/// Longer than a look takes: what the server says of the end tells more than silence.
const LOOK_TIMEOUT: Duration = Duration::from_secs(STATEMENT.as_secs() + 5);
/// A mark that is lost in a crash is renewed at the next look.
const SETTINGS: [(&str, &str); 1] = [("synchronous_commit", "off")];

const RENEW: &str = include_str!("../../sql/presence/renew.sql");
const DELETE_OLD: &str = include_str!("../../sql/presence/delete_old.sql");
const AWAKE: &str = include_str!("../../sql/presence/awake.sql");

/// Renews the mark and reads the others', until shutdown. The first mark is there already
/// ([`show`]).
pub async fn run(shared: Arc<Process>) {
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

async fn connect_and_show(shared: &Process, database: &Database) -> Result<(), Failure> {
    show(shared, &mut database.connect().await?).await
}

/// Shows the other instances that this one writes into this database, and looks who else does.
///
/// # Errors
/// If the mark cannot be written.
pub async fn show(shared: &Process, connection: &mut PgConnection) -> Result<(), Failure> {
    let looked = in_time(LOOK_TIMEOUT, renew_and_look(connection, &shared.client_id())).await;
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
    let mut transaction = LIMITS.begin(connection, &SETTINGS).await?;
    pg::within::query(RENEW).bind(client_id).execute(&mut *transaction).await?;
    pg::within::query(DELETE_OLD).execute(&mut *transaction).await?;
    let awake = pg::within::query_scalar(AWAKE)
        .bind(SILENT.as_secs_f64())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(awake)
}
