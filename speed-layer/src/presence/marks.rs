//! The marks that running instances leave in the database.

use super::{EVERY, SILENT};
use crate::process::Shared;
use crate::store::limits::PRESENCE;
use service::Failure;
use service::pg::{self, Database, in_time};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Longer than a look takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// A mark that is lost in a crash is renewed at the next look.
const BEGIN: &str = "begin isolation level read committed; \
                     set local lock_timeout = '4s'; \
                     set local statement_timeout = '10s'; \
                     set local synchronous_commit = off";
const RENEW: &str = include_str!("../../sql/presence/renew.sql");
const FORGET: &str =
    "delete from speed_instances where seen_at < clock_timestamp() - interval '1 day'";
const AWAKE: &str = include_str!("../../sql/presence/awake.sql");

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
