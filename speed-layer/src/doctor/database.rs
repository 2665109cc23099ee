//! Whether PostgreSQL is ready for a run.

use service::pg::{Database, Migrations, describe, query_scalar};
use service::{Failure, pg};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Rights that a run needs and this user does not have (migrations/grants.sql).
const FORBIDDEN: &str = "
    select coalesce(string_agg(privilege || ' on ' || name, ', '), '')
    from (values ('realtime_stock', '{insert}'::text[]),
                 ('minute_bars', '{select, insert, update}'),
                 ('hour_bars', '{select, insert, update}'),
                 ('rejected_ticks', '{insert}'),
                 ('kafka_sources', '{select, insert, update}'),
                 ('kafka_offsets', '{select, insert, update}'),
                 ('begun_partitions', '{select, insert}'),
                 ('kafka_gaps', '{insert}'),
                 ('realtime_partitions', '{select}'),
                 ('realtime_upkeep', '{select, update}'),
                 ('anomalies', '{insert}'),
                 ('detector_log', '{select, insert, delete}'),
                 ('speed_instances', '{select, insert, update, delete}')) as needed (name, privileges),
         unnest(privileges) as privilege
    where not has_table_privilege(name, privilege)";

/// What it is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `None` where nobody said which database.
    pub is_ready: Option<bool>,
    /// A sentence for a person.
    pub words: String,
}

impl State {
    fn ready(words: String) -> Self {
        Self { is_ready: Some(true), words }
    }

    fn not_ready(words: String) -> Self {
        Self { is_ready: Some(false), words }
    }
}

/// Looks at the database; `migrations` is what a run would do about its tables.
pub async fn look_at(database: Option<Database>, migrations: Migrations) -> State {
    let Some(database) = database else {
        return State { is_ready: None, words: "not asked (--database-url)".to_owned() };
    };
    if let Err(failure) = database.connect().await {
        return State::not_ready(failure.reason());
    }
    let mut connection = match database.connect_ready().await {
        Ok(connection) => connection,
        // What is missing a run brings itself.
        Err(Failure::Infrastructure(_)) if migrations == Migrations::Run => {
            let address = database.address();
            return State::ready(format!(
                "{address} can be reached; the first start of speed-layer makes its tables"
            ));
        }
        Err(failure) => return State::not_ready(failure.reason()),
    };
    match pg::in_time(PATIENCE, query_scalar::<String>(FORBIDDEN).fetch_one(&mut connection)).await
    {
        Ok(none) if none.is_empty() => {
            State::ready(format!("{} is ready, with its tables", database.address()))
        }
        Ok(rights) => State::not_ready(format!(
            "this user has no right to {rights} in {}",
            database.address()
        )),
        Err(error) => State::not_ready(describe(&error)),
    }
}
