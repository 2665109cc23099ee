//! Whether PostgreSQL is ready for a run.

use crate::store::rights;
use service::pg::{Database, Migrations, describe};
use service::{Failure, pg};
use std::time::Duration;

const RIGHTS_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of a database that can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState {
    /// `None` where nobody said which database.
    pub is_ready: Option<bool>,
    /// A sentence for a person.
    pub words: String,
}

impl DatabaseState {
    fn ready(words: String) -> Self {
        Self { is_ready: Some(true), words }
    }

    fn not_ready(words: String) -> Self {
        Self { is_ready: Some(false), words }
    }
}

/// Looks at the database; `migrations` is what a run would do about its tables.
pub async fn look_at(database: Option<Database>, migrations: Migrations) -> DatabaseState {
    let Some(database) = database else {
        return DatabaseState { is_ready: None, words: "not asked (--database-url)".to_owned() };
    };
    if let Err(failure) = database.connect().await {
        return DatabaseState::not_ready(failure.reason());
    }
    let mut connection = match database.connect_ready().await {
        Ok(connection) => connection,
        // A run itself brings what is missing.
        Err(Failure::Infrastructure(_)) if migrations == Migrations::Run => {
            let address = database.address();
            return DatabaseState::ready(format!(
                "{address} can be reached; the first start of speed-layer makes its tables"
            ));
        }
        Err(failure) => return DatabaseState::not_ready(failure.reason()),
    };
    match pg::in_time(RIGHTS_TIMEOUT, rights::missing(&mut connection)).await {
        Ok(None) => {
            DatabaseState::ready(format!("{} is ready, with its tables", database.address()))
        }
        Ok(Some(rights)) => DatabaseState::not_ready(format!(
            "this user has no right to {rights} in {}",
            database.address()
        )),
        Err(error) => DatabaseState::not_ready(describe(&error)),
    }
}
