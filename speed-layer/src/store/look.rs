//! Questions to a database before anything is written to it.

use super::rights;
use crate::presence::short_digest;
use crate::process::Process;
use anyhow::anyhow;
use service::{Failure, pg};
use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// How long a question may take that needs no lock.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

const LAST_GAP: &str =
    "select coalesce(extract(epoch from max(recorded_at))::int8, 0) from kafka_gaps";
/// Some providers may take this right away.
const MAY_ASK_FOR_SYSTEM: &str = "select has_function_privilege('pg_control_system()', 'execute')";
const DATABASE_NUMBER: &str =
    "select oid::int8 from pg_database where datname = current_database()";

/// Fails where this user may not do what a run does.
pub(super) async fn may_write(
    shared: &Process,
    connection: &mut PgConnection,
) -> Result<(), Failure> {
    let asked = pg::in_time(LOOK_TIMEOUT, rights::missing(connection)).await;
    let missing = asked
        .map_err(|error| shared.database.failure("asking for this user's rights in", error))?;
    match missing {
        None => Ok(()),
        Some(rights) => Err(Failure::Configuration(anyhow!(
            "this user has no right to {rights} in PostgreSQL at {} ({})",
            shared.database.address(),
            shared.database.flag()
        ))),
    }
}

/// Learns which database it is: its server's number, which a standby shares, and its own. In a
/// transaction, since through a pooler a query's parts may otherwise meet different sessions.
pub(super) async fn note_database(
    shared: &Process,
    connection: &mut PgConnection,
) -> Result<(), Failure> {
    let ask = async {
        let mut transaction = connection.begin().await?;
        let may: bool =
            pg::within::query_scalar(MAY_ASK_FOR_SYSTEM).fetch_one(&mut *transaction).await?;
        let system: i64 = match may {
            true => {
                pg::within::query_scalar("select system_identifier from pg_control_system()")
                    .fetch_one(&mut *transaction)
                    .await?
            }
            false => 0,
        };
        let database: i64 =
            pg::within::query_scalar(DATABASE_NUMBER).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::Result::Ok((system, database))
    };
    let asked = pg::in_time(LOOK_TIMEOUT, ask).await;
    let (system, database) =
        asked.map_err(|error| shared.database.failure("asking for the identity of", error))?;
    shared.note_database(short_digest(&format!("{system}/{database}")));
    Ok(())
}

/// Learns when offsets were last skipped: who skips some and ends before Prometheus asks it would
/// take the news with it.
pub(super) async fn note_last_gap(
    shared: &Process,
    connection: &mut PgConnection,
) -> Result<(), Failure> {
    let ask = async {
        let mut transaction = connection.begin().await?;
        let at: i64 = pg::within::query_scalar(LAST_GAP).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        sqlx::Result::Ok(at)
    };
    let asked = pg::in_time(LOOK_TIMEOUT, ask).await;
    let at = asked.map_err(|error| shared.database.failure("reading kafka_gaps of", error))?;
    shared.metrics.note_last_gap(at);
    Ok(())
}
