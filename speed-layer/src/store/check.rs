//! Whether the database is as it should be: when it is opened, and while nothing is written.

use super::attempt::with_time_limit;
use super::look::{may_write, note_database, note_last_gap};
use super::offsets::{self, Moved};
use super::tries::Try;
use super::{Store, StoreError};
use crate::handover::Position;
use crate::presence::marks;
use crate::process::Process;
use service::failure::one_line;
use service::{Failure, pg};
use sqlx::PgConnection;
use std::sync::Arc;

const IS_READ_ONLY: &str = "select current_setting('transaction_read_only') = 'on'";

/// The result of a look at the database.
enum Looked {
    Good,
    ReadOnly,
    Behind(Moved),
}

impl Store {
    /// Connects and brings the tables up to date. `None` where the process was stopped meanwhile.
    ///
    /// # Errors
    /// If only a person can help, such as with a wrong password.
    pub async fn open(shared: &Arc<Process>) -> Result<Option<Self>, Failure> {
        let mut outage = shared.outage("PostgreSQL");
        while !shared.stop.is_cancelled() {
            let opening = shared.database.what("opening");
            let open = async {
                let mut connection = shared.database.connect_ready().await?;
                note_database(shared, &mut connection).await?;
                may_write(shared, &mut connection).await?;
                marks::show(shared, &mut connection).await?;
                note_last_gap(shared, &mut connection).await?;
                Ok(connection)
            };
            let opened = tokio::select! {
                opened = with_time_limit(&shared.health, 0, &mut outage, &opening, open) => opened,
                () = shared.stop.cancelled() => break,
            };
            match opened {
                Ok(connection) => {
                    outage.over();
                    shared.health.database.set(true);
                    return Ok(Some(Self::new(0, shared, Some(connection), outage)));
                }
                Err(Failure::Infrastructure(error)) => {
                    let error = format!("{error:#}");
                    shared.health.database.fails(one_line(&error));
                    outage.failed(&error).await;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// Makes sure that the database takes writes, and that the stored offsets are not below
    /// `positions`, which they had reached.
    ///
    /// # Errors
    /// If the database is an older state of itself, or only a person can help.
    pub async fn check(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        while !self.shared.stop.is_cancelled() {
            let limits = Arc::clone(&self.limits);
            let look = async |connection: &mut PgConnection| {
                let mut transaction = limits.begin(connection).await?;
                let is_read_only: bool =
                    pg::within::query_scalar(IS_READ_ONLY).fetch_one(&mut *transaction).await?;
                let behind = offsets::find_rolled_back(&mut transaction, positions).await?;
                transaction.commit().await?;
                Ok(match behind {
                    _ if is_read_only => Looked::ReadOnly,
                    Some(moved) => Looked::Behind(moved),
                    None => Looked::Good,
                })
            };
            match self.attempt(look).await? {
                Try::Done(Looked::Good) => {
                    self.note_recovered();
                    return Ok(());
                }
                Try::Done(Looked::Behind(moved)) => return Err(self.rolled_back(moved)),
                Try::Done(Looked::ReadOnly) => {
                    // Another server may be the one that takes writes by now.
                    self.connection = None;
                    let what = self.shared.database.what("looking after");
                    self.pause_for(&format!("{what}: it takes no writes at this moment")).await;
                }
                failed => self.pause_after(failed).await,
            }
        }
        Ok(())
    }
}
